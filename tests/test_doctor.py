"""lenet doctor: what it finds, and what it advises where something is not there."""

import json
import os
import shutil
from pathlib import Path

import pytest

from lenet import cli, data, doctor, engines
from lenet.doctor import Finding
from lenet.engines import EngineError, native


@pytest.fixture(autouse=True)
def _nothing_from_outside(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data but the bundled ones, no forced instruction set."""
    monkeypatch.delenv("LENET_DATA", raising=False)
    monkeypatch.delenv("LENET_ISA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(in_tmp / "cache"))
    monkeypatch.setattr(data, "DISTRIBUTIONS", in_tmp / "none")


def test_everything_that_lenet_needs_is_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["doctor"]) == 0
    printed = capsys.readouterr().out
    for subject in ("lenet", "engine", "native", "threads", "packages", "data", "runs"):
        assert any(line.startswith(subject) for line in printed.splitlines()), subject
    assert "→ lenet data get mnist (12 MB)" in printed
    assert "\x1b" not in printed
    assert not list(Path().iterdir())  # nothing is left behind, and no folder made
    assert cli.run(["doctor", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["sound"] is True
    assert {*values["findings"][0]} == {"subject", "state", "text", "remedy"}


# --- what computes -----------------------------------------------------------------------------


def test_the_engine_is_the_one_that_auto_takes() -> None:
    from lenet import zoo

    choice = engines.choose("auto", zoo.lenet(), "cpu")
    found = doctor.engine()
    assert found.state == "ok"
    assert f"auto takes {choice.engine} on cpu: " in found.text


def test_a_gpu_is_left_to_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "gpu_driver", lambda: True)
    monkeypatch.setattr(doctor, "find_spec", lambda name: name)
    assert "a GPU comes first if PyTorch" in doctor.engine().text


def test_no_engine_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise EngineError("LENET_ISA is 'avx9'")

    monkeypatch.setattr(engines, "choose", refuse)
    assert doctor.engine() == Finding("engine", "broken", "LENET_ISA is 'avx9'")
    assert cli.run(["doctor"]) == 1


def test_the_native_engine_and_its_instruction_set(monkeypatch: pytest.MonkeyPatch) -> None:
    if native.why_missing():
        pytest.skip("the native engine is not built")
    from lenet._native import instruction_sets

    *_, best = here = instruction_sets()
    assert doctor.native_engine().text.startswith(f"{best}, of {', '.join(here)}, which")
    monkeypatch.setenv("LENET_ISA", here[0])
    assert doctor.native_engine().text.startswith(f"{here[0]} as LENET_ISA says, of ")
    monkeypatch.setenv("LENET_ISA", "avx9")
    found = doctor.native_engine()
    assert found.state == "broken"
    assert "'avx9'" in found.text


def test_why_the_native_engine_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(native, "why_missing", lambda: "it cannot be loaded: undefined symbol: x")
    monkeypatch.setattr(doctor, "find_spec", lambda name: name)
    found = doctor.native_engine()
    assert (found.state, found.text) == ("missing", "it cannot be loaded: undefined symbol: x")
    assert found.remedy.startswith("build it anew: pip install ")

    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(doctor, "SOURCE", tmp_path)  # no checkout
    found = doctor.native_engine()
    assert "GCC or Clang, and there is none on the PATH" in found.text
    assert "apt install g++" in found.remedy
    assert found.remedy.endswith(
        "--force-reinstall --no-cache-dir --no-deps --no-binary lenet lenet"
    )

    (tmp_path / "native").mkdir()
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}" if name == "g++" else None)
    found = doctor.native_engine()
    assert "though there is a C++ compiler now, /bin/g++" in found.text
    assert found.remedy.startswith(f"LENET_REQUIRE_NATIVE=1 pip install {tmp_path} ")

    monkeypatch.setenv("CXX", "nowhere-c++")
    assert "CXX names none: nowhere-c++" in doctor.native_engine().text


@pytest.mark.parametrize(
    ("usable", "allowed", "there", "text"),
    [
        (2, 2, 2, "2, all CPUs of this machine"),
        (2, 2, 64, "2 of 64 CPUs: the process's CPU affinity allows no more"),
        (2, 64, 64, "2 of 64 CPUs: the container's CPU quota allows no more"),
        (2, 8, 64, "2 of 64 CPUs: the container's CPU quota allows no more"),
    ],
)
def test_threads(
    usable: int, allowed: int, there: int, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "available_cpus", lambda: usable)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(allowed), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: there)
    assert doctor.threads().text == text


# --- what is installed -------------------------------------------------------------------------


def test_versions_and_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    here = {"numpy": "2.4", "fastapi": "0.1"}
    monkeypatch.setattr(doctor, "_version", lambda name: here.get(name, ""))
    needs = [
        *("numpy>=2.2", "torch>=2.10; extra == 'torch'", 'fastapi; extra == "lab"'),
        *("python-multipart>=0.0.20; extra == 'lab'", "ruff; extra == 'dev'"),
        "torch>=2.10; extra == 'all'",
    ]
    monkeypatch.setattr(doctor, "requires", lambda name: needs)
    lab = "not installed: python-multipart; here: fastapi 0.1"
    assert doctor.packages() == [
        Finding("packages", "ok", "numpy 2.4"),
        Finding("lenet[torch]", "missing", "not installed: torch", "pip install 'lenet[torch]'"),
        Finding("lenet[lab]", "missing", lab, "pip install 'lenet[lab]'"),
    ]
    here.clear()
    assert doctor.packages()[0].remedy == "pip install lenet"


# --- what is on the disk -----------------------------------------------------------------------


def test_data_sets(monkeypatch: pytest.MonkeyPatch, in_tmp: Path) -> None:
    fashion, mnist, small = doctor.data_sets()
    assert (fashion.state, mnist.state, small.state) == ("missing", "missing", "ok")
    assert fashion.remedy == "lenet data get fashion-mnist (31 MB)"
    assert small.text == f"fashion-mnist-small in {data.BUNDLED}"

    monkeypatch.setenv("LENET_DATA", str(in_tmp / "nowhere"))
    assert "which is no folder" in doctor.data_sets()[0].text

    monkeypatch.setenv("LENET_DATA", str(in_tmp))
    (in_tmp / "mnist").mkdir()
    for name in data.FILES:
        (in_tmp / "mnist" / name).touch()
    assert doctor.data_sets()[1] == Finding("data", "ok", f"mnist in {in_tmp / 'mnist'}")

    monkeypatch.setattr(data, "BUNDLED", in_tmp / "gone")
    found = doctor.data_sets()[-1]
    assert (found.state, found.remedy) == ("broken", "install lenet anew")


def test_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuse)
    found = doctor.runs_folder()
    assert found.state == "broken"
    assert "runs cannot be written: Permission denied" in found.text
    assert "--out FOLDER" in found.remedy
    assert not doctor.sound([found])
