"""What is released: versions, a wheel's contents, and for which machines wheels are made."""

from __future__ import annotations

import importlib.util
import re
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def release_check() -> ModuleType:
    path = ROOT / "scripts/release_check.py"
    spec = importlib.util.spec_from_file_location("release_check", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_version_is_the_same_everywhere(release_check: ModuleType) -> None:
    assert release_check.wrong_with_versions(ROOT, final=False) == []


def test_the_citation_names_this_version_and_licence() -> None:
    yaml = pytest.importorskip("yaml")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]


def test_another_version_and_a_missing_date_are_found(
    release_check: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "src/lenet").mkdir(parents=True)
    (tmp_path / "src/lenet/__init__.py").write_text('__version__ = "0.3.0"\n')
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "0.2.0"\n')
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text("# Changelog\n\n## 0.1.0 (2026-12-01)\n")
    version, newest = release_check.wrong_with_versions(tmp_path, final=True)
    assert "0.2.0" in version
    assert "0.3.0" in version
    assert "begins with 0.1.0" in newest
    changelog.write_text("## 0.2.0 (not released)\n\n## 0.1.0 (2026-12-01)\n")
    assert len(release_check.wrong_with_versions(tmp_path, final=False)) == 1
    assert "date" in release_check.wrong_with_versions(tmp_path, final=True)[1]


def test_what_a_wheel_lacks_or_has_too_much_is_found(
    release_check: ModuleType, tmp_path: Path
) -> None:
    wheel = tmp_path / "lenet.whl"
    whole = [*release_check.WANTED, "lenet/_native.abi3.so", "x.dist-info/licenses/LICENSE"]
    for left_out in whole:
        with zipfile.ZipFile(wheel, "w") as archive:
            for name in whole:
                if name != left_out:
                    archive.writestr(name, "")
        assert len(release_check.wrong_with_wheel(wheel)) == 1, left_out
    for module in ("lenet/_native.cpython-311-x86_64-linux-gnu.so", "lenet/_native.pyd"):
        with zipfile.ZipFile(wheel, "w") as archive:
            for name in (*whole, module):
                archive.writestr(name, "")
        assert release_check.wrong_with_wheel(wheel) == []
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("lenet/__pycache__/files.cpython-311.pyc", "")
    assert release_check.wrong_with_wheel(wheel) != []


def test_wheels_are_made_for_the_oldest_python_and_for_all_later_ones() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["requires-python"] == ">=3.11"
    stable = project["tool"]["scikit-build"]["wheel"]["py-api"]
    assert project["tool"]["cibuildwheel"]["build"] == ["cp311-*", f"{stable}-*"]


def test_the_workflow_tests_the_wheels_it_makes() -> None:
    yaml = pytest.importorskip("yaml", reason="pyyaml is not installed: make .venv/all.stamp")
    workflow = ROOT / ".github/workflows/wheels.yml"
    if not workflow.exists():
        pytest.skip("an sdist has no workflows")
    text = workflow.read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    made = set(jobs["wheels"]["strategy"]["matrix"]["os"])
    tested = jobs["test"]["strategy"]["matrix"]
    assert set(tested["os"]) <= made
    assert tested["python"] == ["3.11", "3.14"]
    assert {system.partition("-")[0] for system in made} == {"ubuntu", "windows", "macos"}
    actions = re.findall(r"uses: (\S+)(.*)", text)
    assert actions
    for action, comment in actions:  # a tag can be moved to other code, a commit cannot
        assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action
