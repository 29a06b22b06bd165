"""lenet doctor: what it finds, and what it advises where something is not there."""

import importlib.metadata
import json
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lenet import cli, data, doctor, engines, installing, system
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
    from lenet.network import zoo

    choice = engines.choose("auto", zoo.lenet(), "cpu")
    found = doctor.engine()
    assert found.state == "ok"
    assert f"auto takes {choice.engine} on cpu: " in found.text


def test_a_gpu_is_left_to_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "gpu_driver", lambda: True)
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


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the engine was not built."""
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(native, "why_missing", lambda: "it was not built")
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)


def compiler(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_an_engine_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "why_missing", lambda: "it cannot be loaded: undefined symbol: x")
    monkeypatch.setattr(doctor, "find_spec", lambda name: name)
    found = doctor.native_engine()
    assert (found.state, found.text) == ("missing", "it cannot be loaded: undefined symbol: x")
    assert found.remedy == f"build it again: {installing.how_to_build()}"


@pytest.mark.usefixtures("no_engine")
def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    found = doctor.native_engine()
    assert "GCC or Clang, and there is none on the PATH" in found.text
    assert "apt install g++" in found.remedy
    assert found.remedy.endswith(f"; then: {installing.how_to_build()}")
    for brings in (True, False):
        monkeypatch.setattr(system, "pip_brings_compiler", lambda brings=brings: brings)
        assert ("or let pip bring Zig's" in doctor.native_engine().remedy) == brings
    monkeypatch.setattr(doctor.sysconfig, "get_path", lambda name: "nowhere")  # type: ignore[attr-defined]
    assert "apt install python3-dev; then" in doctor.native_engine().remedy
    monkeypatch.setenv("CXX", "nowhere-c++ -m64")
    assert "CXX names nowhere-c++, which is not" in doctor.native_engine().text


@pytest.mark.usefixtures("no_engine")
@pytest.mark.parametrize(
    ("platform", "has", "remedy"),
    [
        ("win32", "", "Visual Studio's Build Tools"),
        ("darwin", "brew", "install one by xcode-select --install"),
        ("linux", "apt", "install one by apt install g++"),
        ("linux", "dnf", "install one by dnf install gcc-c++"),
        ("linux", "", "install one such as by apt install g++"),
    ],
)
def test_what_is_missing_is_got_as_this_system_gets_things(
    platform: str, has: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "sys", SimpleNamespace(platform=platform))
    monkeypatch.setattr(shutil, "which", lambda name: name if name == has else None)
    monkeypatch.setattr(sys, "executable", str(Path("my env", "python").absolute()))
    monkeypatch.setattr(doctor, "_version", lambda name: "")
    said = " ".join(f"{each.text} {each.remedy}" for each in doctor.examine())
    assert remedy in said
    assert ("apt install" in said) == ("apt" in remedy)
    assert ("clang-cl" in said) == (platform == "win32")
    if platform == "win32":
        quoted = f'"{os.path.join("my env", "python")}" -m pip install'
        assert f"{quoted} --force-reinstall" in said
        assert f'{quoted} "torch>=2.10"' in said
        assert "set LENET_REQUIRE_NATIVE=1; in PowerShell $env:LENET_REQUIRE_NATIVE = '1'" in said
    else:
        assert f"LENET_REQUIRE_NATIVE=1 '{sys.executable}' -m pip install" in said
        assert "-m pip install 'torch>=2.10'" in said


@pytest.mark.usefixtures("no_engine")
@pytest.mark.skipif(os.name == "nt", reason="its compilers are no shell scripts")
@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 'no such option: -std=c++20' >&2; exit 1", "no such option: -std=c++20"),
        (
            "echo In file x:; echo 'x.cpp:1: fatal error: span: none'; exit 1",
            "x.cpp:1: fatal error",
        ),
        ("exit 3", "it ended with exit code 3"),
        ("kill -9 $$", "exit code -9"),
    ],
)
def test_a_compiler_that_cannot(
    script: str, why: str, monkeypatch: pytest.MonkeyPatch, in_tmp: Path
) -> None:
    monkeypatch.setenv("CXX", compiler(in_tmp / "my c++", script).replace(" ", "\\ "))
    found = doctor.native_engine()
    assert "does not compile C++20 for it: " in found.text
    assert why in found.text
    assert "install another GCC" in found.remedy


@pytest.mark.usefixtures("no_engine")
def test_a_compiler_that_works(monkeypatch: pytest.MonkeyPatch, in_tmp: Path) -> None:
    there = next(filter(shutil.which, doctor.COMPILERS), None)
    if there is None:
        pytest.skip("there is no C++ compiler here")
    assert doctor.why_not_compiling([there]) == ""
    assert doctor.why_not_compiling([str(in_tmp)]) == "it cannot be started: Permission denied"
    monkeypatch.setattr(doctor.sysconfig, "get_path", lambda name: str(in_tmp))  # type: ignore[attr-defined]
    assert "Python's header files" in doctor.native_engine().text
    (in_tmp / "Python.h").touch()
    found = doctor.native_engine()
    assert f"there is a C++ compiler now that works: {shutil.which(there)}" in found.text
    assert found.remedy.startswith("LENET_REQUIRE_NATIVE=1 ")


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
    monkeypatch.setattr(doctor, "available_cpus", lambda: usable)
    monkeypatch.setattr(doctor, "allowed_cpus", lambda: allowed)
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
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: needs)
    install = installing.pip_install()
    lab = "not installed: python-multipart; here: fastapi 0.1"
    assert doctor.packages() == [
        Finding("packages", "ok", "numpy 2.4"),
        Finding("for torch", "missing", "not installed: torch", f"{install} 'torch>=2.10'"),
        Finding("for lab", "missing", lab, f"{install} 'python-multipart>=0.0.20'"),
    ]
    here.clear()
    assert doctor.packages()[0].remedy == f"{install} 'numpy>=2.2'"


# --- what is on the disk -----------------------------------------------------------------------


def test_data_sets(monkeypatch: pytest.MonkeyPatch, in_tmp: Path) -> None:
    fashion, mnist, small = doctor.data_sets()
    assert (fashion.state, mnist.state, small.state) == ("missing", "missing", "ok")
    assert fashion.remedy == "lenet data get fashion-mnist (31 MB)"
    assert small.text == f"fashion-mnist-small in {data.BUNDLED}"

    monkeypatch.setenv("LENET_DATA", str(in_tmp / "nowhere"))
    assert "which is not a folder" in doctor.data_sets()[0].text

    monkeypatch.setenv("LENET_DATA", str(in_tmp))
    (in_tmp / "mnist").mkdir()
    for name in data.FILES:
        (in_tmp / "mnist" / name).touch()
    assert doctor.data_sets()[1] == Finding("data", "ok", f"mnist in {in_tmp / 'mnist'}")

    monkeypatch.setattr(data, "BUNDLED", in_tmp / "gone")
    found = doctor.data_sets()[-1]
    assert (found.state, found.remedy[:21]) == ("broken", "install lenet again: ")


def test_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuse)  # type: ignore[attr-defined]
    found = doctor.runs_folder()
    assert found.state == "broken"
    assert "runs cannot be written: Permission denied" in found.text
    assert "--out FOLDER" in found.remedy
    assert not doctor.sound([found])
