"""How to install what is absent: no command names what no index has, and each is one that works."""

import importlib.metadata
import json
import re
import shlex
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from lenet import doctor, installing

ROOT = Path(__file__).parents[1]


def test_packages_are_named_not_lenet() -> None:
    for extra in ("torch", "lab", "export"):
        command = installing.how_to_install(extra)
        names = shlex.split(command.split(" install ")[1])
        assert names == installing.requirements()[extra]
        assert names
        assert "lenet" not in names


MAC, PC = {"sys_platform": "darwin"}, {"sys_platform": "win32"}


@pytest.mark.parametrize(
    ("machine", "lacking"),
    [
        ({"sys_platform": "linux", "platform_machine": "x86_64"}, set()),
        ({"sys_platform": "linux", "platform_machine": "aarch64"}, set()),
        ({**MAC, "platform_machine": "arm64", "python_version": "3.14"}, set()),
        ({**MAC, "platform_machine": "x86_64", "python_version": "3.13"}, {"torch"}),
        (
            {**MAC, "platform_machine": "x86_64", "python_version": "3.14"},
            {"torch", "onnxruntime", "ray"},
        ),
        ({**PC, "platform_machine": "AMD64"}, {"uvloop"}),
        ({**PC, "platform_machine": "ARM64"}, {"uvloop", "torch", "ray"}),
    ],
)
def test_what_has_no_package_for_a_machine_is_not_asked_for(
    machine: dict[str, str], lacking: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needs = list(project["dependencies"])
    for extra, texts in project["optional-dependencies"].items():
        for text in texts:
            needed, _, marker = text.partition(";")
            both = f"({marker}) and " if marker else ""
            needs.append(f"{needed}; {both}extra == '{extra}'")
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: needs)
    found = installing.requirements(machine)
    here = {re.split(r"[>=]", text)[0] for texts in found.values() for text in texts}
    known = {"torch", "onnxruntime", "ray", "uvloop", "numpy", "onnx", "fastapi", "scikit-learn"}
    assert known - here == lacking
    assert found["torch"] == ([] if "torch" in lacking else ["torch>=2.10"])
    monkeypatch.setattr(installing, "requirements", lambda: found)
    assert ("pip has no package" in installing.how_to_install("torch")) == ("torch" in lacking)
    torch = [each for each in doctor.packages() if each.subject == "for torch"]
    assert [bool(each.remedy) or each.state == "ok" for each in torch] == ["torch" not in lacking]


def test_no_text_sends_anybody_to_an_index_for_lenet() -> None:
    pages = [*(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*.md")]
    for path in [*(ROOT / "src/lenet").rglob("*.py"), *pages]:
        found = re.search(
            r"install [^\n]*lenet\[|install lenet\\b", path.read_text(encoding="utf-8")
        )
        assert found is None, f"{path}: {found}"


def test_the_pip_is_that_of_this_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = str(tmp_path / "my env" / "bin" / "python")
    monkeypatch.setattr(sys, "executable", python)
    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / "my env" / "bin" / name))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert installing.pip_install() == "pip install"
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert installing.pip_install() == f"'{python}' -m pip install"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert installing.pip_install() == f"uv pip install --python '{python}'"


class Installed:
    """As importlib.metadata has it."""

    def __init__(self, origin: dict[str, object] | None) -> None:
        self.origin = origin

    def read_text(self, name: str) -> str | None:
        return None if self.origin is None else json.dumps(self.origin)


def test_lenet_is_built_from_where_it_came(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def from_(origin: dict[str, object] | None) -> str:
        monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Installed(origin))
        command = installing.how_to_build()
        start, _, rest = command.partition(" --no-deps ")
        assert "LENET_REQUIRE_NATIVE=1 " in start
        return rest if start.startswith("LENET") else f"{start.split(':')[0]}: {rest}"

    checkout = tmp_path / "my checkout"
    (checkout / "native").mkdir(parents=True)
    monkeypatch.setattr(installing, "SOURCE", checkout)
    assert from_({"dir_info": {"editable": True}}) == f"--editable '{checkout}'"
    assert from_(None) == f"'{checkout}'"

    monkeypatch.setattr(installing, "SOURCE", tmp_path)
    assert from_({"url": checkout.as_uri(), "dir_info": {}}) == f"'{checkout}'"
    assert (
        from_({"url": (tmp_path / "gone").as_uri(), "dir_info": {}})
        == "in the folder of lenet's source code: ."
    )
    wheel = tmp_path / "lenet-0.1.0-py3-none-any.whl"
    wheel.touch()
    assert (
        from_({"url": wheel.as_uri(), "archive_info": {}})
        == "in the folder of lenet's source code: ."
    )
    where = {"url": "https://example.org/lenet.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}
    assert from_(where) == "git+https://example.org/lenet.git@abc"
    assert from_(None) == "in the folder of lenet's source code: ."
