"""What pip builds: the native module, the wheel, one without a compiler, the sdist."""

import importlib.machinery
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
NO_BACKEND = "scikit-build-core is not installed: make .venv/all.stamp"


def backend(hook: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Call a hook of the build backend as pip does, with what it makes going to ``folder``."""
    pytest.importorskip("scikit_build_core", reason=NO_BACKEND)
    script = f"import sys; from build_backend import {hook}; {hook}(sys.argv[1])"
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("LENET_", "SKBUILD_"))}
    return subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        cwd=ROOT,
        env=inherited | {"PYTHONPATH": "scripts"} | environment,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def build_backend() -> ModuleType:
    """scripts/build_backend.py, which asks for scikit-build-core when it is imported."""
    pytest.importorskip("scikit_build_core", reason=NO_BACKEND)
    spec = importlib.util.spec_from_file_location(
        "build_backend", ROOT / "scripts/build_backend.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, build_backend: ModuleType) -> Path:
    """A machine with Linux, Python's headers and no compiler; the one folder on its PATH."""
    for name in ("LENET_ZIG", *build_backend.SAID):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.36"))
    (tmp_path / "include").mkdir()
    (tmp_path / "include/Python.h").touch()
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / name))
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "bin"


def wants_zig(build_backend: ModuleType) -> bool:
    needed = build_backend.get_requires_for_build_wheel()
    assert needed == build_backend.get_requires_for_build_editable()
    if build_backend.ZIG in needed:
        assert any(each.startswith("ninja") for each in needed)  # Visual Studio cannot call Zig
        assert any(each.startswith("cmake") for each in needed)
    return build_backend.ZIG in needed


@pytest.fixture
def pip(build_backend: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What pip says of Zig, on stdout and stderr; the last one again and again."""
    says = [("ziglang (0.18.0)\nAvailable versions: 0.18.0, 0.17.1, 0.16.0\n", "")]

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert command[1:6] == ["-I", "-m", "pip", "index", "versions"]
        return subprocess.CompletedProcess(command, 0, *says[-1])

    monkeypatch.setattr(build_backend.subprocess, "run", run)
    return says


def test_where_no_compiler_is_pip_brings_zig(
    build_backend: ModuleType,
    bare: Path,
    pip: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert wants_zig(build_backend)
    pip.append(("", "ERROR: No matching distribution found for ziglang\n"))
    assert not wants_zig(build_backend), "pip would install nothing at all"
    pip.append(("Available versions: 0.18.0, 0.16.0\n", ""))
    assert not wants_zig(build_backend)
    pip.append(("", "/usr/bin/python3: No module named pip\n"))
    assert wants_zig(build_backend), "another program builds"
    monkeypatch.setenv("LENET_ZIG", "0")
    assert not wants_zig(build_backend)
    monkeypatch.setenv("LENET_ZIG", "1")
    monkeypatch.setenv("CXX", "clang++-19")
    assert wants_zig(build_backend)
    monkeypatch.delenv("LENET_ZIG")
    assert not wants_zig(build_backend), "CXX says what compiles"
    monkeypatch.delenv("CXX")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    assert build_backend.ZIG in extras["dev"]


@pytest.mark.needs("modes")
def test_where_a_compiler_is_it_compiles(build_backend: ModuleType, bare: Path) -> None:
    (bare / "clang++").touch(mode=0o755)
    assert not wants_zig(build_backend)


def test_zig_is_not_fetched_where_it_could_not_compile(
    build_backend: ModuleType, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = bare.parent / "include/Python.h"
    header.unlink()
    assert not wants_zig(build_backend)
    monkeypatch.setenv("LENET_ZIG", "1")
    with pytest.raises(SystemExit, match=re.escape(f"no {header}")):
        build_backend.takes_zig()
    header.touch()
    monkeypatch.delenv("LENET_ZIG")
    for machine, libc in (("riscv64", "glibc"), ("x86_64", "")):  # "": musl
        monkeypatch.setattr(platform, "machine", lambda machine=machine: machine)
        monkeypatch.setattr(platform, "libc_ver", lambda libc=libc: (libc, ""))
        assert not wants_zig(build_backend)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not wants_zig(build_backend)
    monkeypatch.setenv("LENET_ZIG", "1")
    with pytest.raises(SystemExit, match="x86-64"):
        build_backend.takes_zig()


def test_on_windows_visual_studio_is_asked_for_clang(
    build_backend: ModuleType, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(platform, "machine", lambda: "AMD64")
    assert build_backend.target() == "x86_64-windows-gnu"
    assert not build_backend.has_compiler(), "there is no Visual Studio"
    for found, has in ((b"C:\\Program Files\\BuildTools\r\n", True), (b"", False)):
        done = subprocess.CompletedProcess([], 0, found)
        monkeypatch.setattr(subprocess, "run", lambda *_, done=done, **__: done)
        assert build_backend.has_compiler() is has


def test_cmake_is_told_of_zig(
    build_backend: ModuleType, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CMAKE_GENERATOR", "Ninja")
    assert build_backend.with_zig({"build-dir": "b"}) == {"build-dir": "b"}, "you said what builds"
    monkeypatch.setenv("LENET_ZIG", "1")
    program = bare.parent / "ziglang/zig"
    found = importlib.machinery.ModuleSpec("ziglang", None, origin=str(program.with_name("x.py")))
    monkeypatch.setattr(build_backend, "find_spec", lambda _: found)
    settings = build_backend.with_zig({"build-dir": "b"})
    assert settings.pop("build-dir") == "b"
    defined = {name.removeprefix("cmake.define."): said for name, said in settings.items()}
    assert defined["LENET_ZIG"] == program.as_posix()
    assert defined["LENET_ZIG_TARGET"] == "x86_64-linux-gnu.2.28"
    toolchain = Path(defined["CMAKE_TOOLCHAIN_FILE"])
    assert {"LENET_ZIG", "LENET_ZIG_TARGET"} <= {*re.findall(r"LENET_\w+", toolchain.read_text())}
    monkeypatch.setattr(build_backend, "find_spec", lambda _: None)
    with pytest.raises(SystemExit, match="pip install 'ziglang"):
        build_backend.with_zig(None)  # where pip does not isolate the build
    monkeypatch.delenv("LENET_ZIG")
    monkeypatch.delenv("CMAKE_GENERATOR")
    assert build_backend.with_zig({"build-dir": "b"}) == {"build-dir": "b"}


def test_a_container_s_build_gets_what_pip_needs() -> None:
    ignored = ROOT / ".dockerignore"
    if not ignored.exists():
        pytest.skip("an sdist has no .dockerignore")
    kept = ignored.read_text(encoding="utf-8").split()
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    system, project = pyproject["build-system"], pyproject["project"]
    needed = [f"{system['backend-path'][0]}/{system['build-backend']}.py", project["readme"]]
    needed += ["CMakeLists.txt", "pyproject.toml", "native", "src", "LICENSE"]
    assert {f"!{name}" for name in needed} <= {*kept}


def sources(*folders: str) -> set[str]:
    """The files of the source tree below ``folders`` that are no compiler's output."""
    files = (path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file())
    return {
        path.relative_to(ROOT).as_posix()
        for path in files
        if path.suffix != ".so" and "__pycache__" not in path.parts
    }


def test_the_native_module_is_here() -> None:
    pytest.importorskip("lenet._native", reason="the native engine is not built")


def test_build_requirements_are_pinned_as_in_the_constraints() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert set(pyproject["build-system"]["requires"]) <= set(pins)


def test_each_table_of_kernels_is_all_that_its_object_defines() -> None:
    """An inline function of <vector>, say, would be shared by all: the linker keeps any of them,
    and one compiled for AVX-512 would then run everywhere."""
    objects = sorted(ROOT.glob("build/*/CMakeFiles/kernels_*.dir/native/kernels.cpp.o"))
    if not objects or not shutil.which("nm"):
        pytest.skip("no objects of the native engine in build/, or no nm to read them")
    for path in objects:
        command = ["nm", "--extern-only", "--defined-only", "--demangle", str(path)]
        symbols = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        table = path.parents[1].name.removesuffix(".dir")
        assert [line.split()[-1] for line in symbols.splitlines()] == [f"lenet::{table}"]


# Where the inner loop touches the stack all the same: a part of the function's name, and why.
ON_THE_STACK = {
    "clang": {
        "gather_floats": "one pointer a lane, eight or more, which x86 has no registers for",
        "dot_rows": "with 16 lanes: each row's sum is stored once, in the array that is transposed",
        "weighted_cross_entropy": "two sums over a picture's classes, where classes have weights",
    },
    "clang, x86-64-v2": {
        "gather_floats": "as above",
        "dinput_tile": "there is no multiply-add instruction, and Clang 14 loads ahead",
    },
    "gcc": {},
}


def innermost_loops(lines: list[tuple[int, str]]) -> Iterator[list[str]]:
    """The instructions between a jump back and where it goes, where no such loop lies inside."""
    loops = set()
    for at, instruction in lines:
        jump = re.match(
            r"(?:notrack )?j\w+\s+([0-9a-f]+) <|b(?:\.\w+)?\s+([0-9a-f]+) <", instruction
        )
        to = int(jump[1] or jump[2], 16) if jump else at + 1
        if lines[0][0] <= to <= at:
            loops.add((to, at))
    for first, last in loops:
        if not any(first <= a and b <= last for a, b in loops - {(first, last)}):
            yield [instruction for at, instruction in lines if first <= at <= last]


def vectors_on_the_stack(disassembly: str) -> dict[str, list[str]]:
    """For each function: what its inner loops load into a vector from the stack, or store there.

    A loop that calls a function is none of them: no vector register outlives a call.
    """
    found: dict[str, list[str]] = {}
    for name, body in re.findall(r"^[0-9a-f]+ <(.*)>:\n((?:.+\n)*)", disassembly, re.MULTILINE):
        pairs = re.findall(r"^\s*([0-9a-f]+):\s+(\S.*)$", body, re.MULTILINE)
        lines = [(int(at, 16), instruction) for at, instruction in pairs]
        framed = re.search(r"mov\s+%rsp,%rbp", body) is not None
        place = r"\(%r[sb]p|\[sp" if framed else r"\(%rsp|\[sp"
        found[name] = [
            instruction
            for loop in innermost_loops(lines)
            if not any(re.match("call|bl ", instruction) for instruction in loop)
            for instruction in loop
            if re.search(place, instruction) and re.search(r"%[xyz]mm|\bq\d", instruction)
        ]
    return found


def test_no_inner_loop_keeps_a_vector_on_the_stack() -> None:
    """A sum that is stored and loaded again in each turn costs more than its multiply-add."""
    objects = sorted(ROOT.glob("build/*/CMakeFiles/kernels_*.dir/native/kernels.cpp.o"))
    objects = [path for path in objects if "plain" not in path.parts[-3]]
    cache = [path.read_text() for path in ROOT.glob("build/*/CMakeCache.txt")]
    if not objects or not shutil.which("objdump"):
        pytest.skip("no objects of the native engine in build/, or no objdump to read them")
    if not any("CMAKE_BUILD_TYPE:STRING=Release" in text for text in cache):
        pytest.skip("build/ holds no release build")
    for path in objects:
        command = ["objdump", "-d", "-C", "-w", "--no-show-raw-insn", str(path)]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        comment = subprocess.run(
            ["objdump", "-s", "-j", ".comment", str(path)], capture_output=True, text=True
        ).stdout
        by_clang = "clang, x86-64-v2" if "_v2_" in path.parts[-3] else "clang"
        known = ON_THE_STACK[by_clang if "clang" in comment else "gcc"]
        found = vectors_on_the_stack(text)
        assert any("product_tile" in name for name in found)
        for name, instructions in found.items():
            if not any(part in name for part in known):
                assert not instructions, f"{path.parts[-3]}: {name}"


def test_a_sum_on_the_stack_is_found() -> None:
    loop = """0000000000000000 <kernel>:
   0:\tvmovaps %ymm1,0x20(%rsp)
   6:\tvbroadcastss (%rax),%ymm2
   b:\tvfmadd231ps {},%ymm2,%ymm0
  11:\tcmp    %rax,%rdx
  14:\tjne    6 <kernel+0x6>
  16:\tvmovaps 0x20(%rsp),%ymm1
"""
    assert vectors_on_the_stack(loop.format("(%rcx)")) == {"kernel": []}
    spilled = vectors_on_the_stack(loop.format("0x20(%rsp)"))
    assert spilled == {"kernel": ["vfmadd231ps 0x20(%rsp),%ymm2,%ymm0"]}


@pytest.mark.slow
def test_without_a_compiler_the_wheel_is_pure_and_whole(tmp_path: Path) -> None:
    result = backend("build_wheel", tmp_path, CXX="/no/compiler")
    assert result.returncode == 0, result.stderr
    assert "retrying" in result.stdout
    (wheel,) = tmp_path.iterdir()
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        assert names == {name.removeprefix("src/") for name in sources("src")}
        archive.extractall(tmp_path / "site")

    # -S: without the packages of this environment, which has another lenet
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); import lenet; "
        "from importlib.util import find_spec; print(lenet.__file__, find_spec('lenet._native'))"
    )
    command = [sys.executable, "-I", "-S", "-c", script]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert printed.split() == [str(tmp_path / "site" / "lenet" / "__init__.py"), "None"]


@pytest.mark.slow
def test_without_a_compiler_a_required_native_engine_is_an_error(tmp_path: Path) -> None:
    result = backend("build_wheel", tmp_path, CXX="/no/compiler", LENET_REQUIRE_NATIVE="1")
    assert result.returncode != 0
    assert re.search("/no/compiler", result.stdout + result.stderr)
    assert "docs/install.md says how you get them" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_sdist_holds_what_the_build_and_the_tests_need(tmp_path: Path) -> None:
    result = backend("build_sdist", tmp_path)
    assert result.returncode == 0, result.stderr
    (sdist,) = tmp_path.iterdir()
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    files = {"CMakeLists.txt", "pyproject.toml", "constraints.txt", "LICENSE"}
    files |= {"README.md", "CHANGELOG.md"}
    assert names == sources("src", "native", "tests", "scripts", "docs") | files | {"PKG-INFO"}
