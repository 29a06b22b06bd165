"""Checks what would be released: versions, the sdist with its tests, the wheel's contents and size.

    make release-check
    make release-check ARGS=--final       fails while CHANGELOG.md says "not released", too

The sdist is built and unpacked. Its own scripts/test_wheel.sh builds the wheel, installs it in an
environment of its own and runs tests on it. Nothing is uploaded.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
LARGEST_WHEEL = 8_000_000  # bytes; 10,000 bundled pictures are most of it
WANTED = (
    "lenet/__init__.py",
    "lenet/py.typed",
    "lenet/lab/page/index.html",
    "lenet/lab/page/network/engine.wasm",
    "lenet/training/recipes/quickstart.toml",
)
UNWANTED = ("__pycache__", "tests/", ".pyc", "native/", ".cpp", ".o")


def wrong_with_versions(root: Path, final: bool) -> list[str]:
    """Where the version is another one, or the CHANGELOG's newest is not released."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version, wrong = project["version"], []
    package = (root / "src/lenet/__init__.py").read_text(encoding="utf-8")
    said = re.search(r'^__version__ = "(.*)"$', package, re.M)
    if said is None or said[1] != version:
        wrong.append(f"pyproject.toml has version {version}, lenet.__version__ {said and said[1]}")
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+) \((.*)\)$", changelog, re.M)
    if newest is None or newest[1] != version:
        wrong.append(f"CHANGELOG.md begins with {newest and newest[1]}, the version is {version}")
    elif final and not re.fullmatch(r"\d{4}-\d\d-\d\d", newest[2]):
        wrong.append(f"CHANGELOG.md says {version} is {newest[2]!r}; give it its date")
    return wrong


def wrong_with_wheel(wheel: Path) -> list[str]:
    """What is missing in a wheel, or has no place there."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    wrong = [f"the wheel has no {name}" for name in WANTED if name not in names]
    if not any(re.fullmatch(r"lenet/_native\.(abi3|cp\w+-\w+)?.*\.?(so|pyd)", n) for n in names):
        wrong.append("the wheel has no native engine")
    if not any(n.endswith(".dist-info/licenses/LICENSE") for n in names):
        wrong.append("the wheel has no LICENSE")
    wrong += [
        f"the wheel has {name}, which has no place there"
        for name in names
        if any(
            name.startswith(part) or f"/{part}" in name or name.endswith(part) for part in UNWANTED
        )
    ]
    if (size := wheel.stat().st_size) > LARGEST_WHEEL:
        wrong.append(f"the wheel has {size:,} bytes, more than {LARGEST_WHEEL:,}")
    return wrong


def sdist_in(folder: Path) -> Path:
    """The sdist of this checkout, built in ``folder``."""
    hook = "import sys; from scikit_build_core.build import build_sdist; build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", hook, str(folder)], cwd=ROOT, check=True)
    (sdist,) = folder.glob("*.tar.gz")
    return sdist


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--final", action="store_true", help="the version must have its date")
    wrong = wrong_with_versions(ROOT, parser.parse_args().final)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sdist = sdist_in(folder)
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
        source = folder / sdist.name.removesuffix(".tar.gz")
        wheels = folder / "wheels"
        environment = os.environ | {"LENET_PYTHON": sys.executable, "LENET_WHEELS": str(wheels)}
        tested = subprocess.run([str(source / "scripts/test_wheel.sh")], env=environment)
        if tested.returncode != 0:
            wrong.append("the wheel of the sdist did not pass its tests")
        for wheel in wheels.glob("*.whl"):
            wrong += wrong_with_wheel(wheel)
            print(f"{sdist.name}: {sdist.stat().st_size:,} bytes")
            print(f"{wheel.name}: {wheel.stat().st_size:,} bytes")
    for sentence in wrong:
        print(f"not ready: {sentence}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
