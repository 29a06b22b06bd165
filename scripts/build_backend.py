"""What pip calls to build lenet: scikit-build-core, and Zig's compiler where there is no other.

Zig is Clang with the libraries of every target, and comes as the package ziglang. pip installs it
for the time of the build where this says so (``get_requires_for_build_wheel``). native/zig/
tells CMake how to call it. What is printed here, pip shows with -v.

LENET_ZIG=1 takes Zig where there is another compiler, too; LENET_ZIG=0 never takes it.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from scikit_build_core import build as scikit_build

Settings = dict[str, str | list[str]]

ZIG = "ziglang>=0.17.1,<0.18"
TOOLCHAIN = Path(__file__).parents[1] / "native/zig/toolchain.cmake"
# What a machine is for Python's platform.machine(), and for Zig.
MACHINES = {"x86_64": "x86_64", "AMD64": "x86_64"}
# By one of these you say what compiles: then nothing else is looked for.
SAID = ("CXX", "CMAKE_ARGS", "CMAKE_GENERATOR", "CMAKE_TOOLCHAIN_FILE", "SKBUILD_CMAKE_ARGS")
# Where Visual Studio says what is installed, and the part of it that compiles the engine.
VSWHERE = "Microsoft Visual Studio/Installer/vswhere.exe"
CLANG_FOR_VISUAL_STUDIO = "Microsoft.VisualStudio.Component.VC.Llvm.ClangToolset"

WHAT_TO_DO = """
lenet: the native engine could not be compiled; the compiler's words stand above.
You need a C++20 compiler (GCC 12 or later, or Clang 15 or later) and Python's header files.
docs/install.md says how you get them. Without LENET_REQUIRE_NATIVE=1, pip installs lenet
without the engine, and it trains with NumPy.
"""

build_sdist = scikit_build.build_sdist
get_requires_for_build_sdist = scikit_build.get_requires_for_build_sdist


def target() -> str | None:
    """This machine as Zig names it; None where it was not tried: another system or processor.

    On Linux the C library is named as old as NumPy's wheels need it, so that no header of the
    system is asked for.
    """
    machine = MACHINES.get(platform.machine())
    if machine is None or sys.maxsize < 2**32:
        return None
    if sys.platform == "win32":
        return f"{machine}-windows-gnu"
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        return f"{machine}-linux-gnu.2.28"
    return None


def has_compiler() -> bool:
    """Whether CMake will find a C++ compiler that the engine can be built with."""
    if sys.platform == "win32":
        vswhere = Path(os.environ.get("PROGRAMFILES(X86)", "C:/Program Files (x86)"), VSWHERE)
        command = [str(vswhere), "-products", "*", "-requires", CLANG_FOR_VISUAL_STUDIO]
        try:
            done = subprocess.run(
                [*command, "-property", "installationPath"], capture_output=True, check=False
            )
        except OSError:
            return False
        return bool(done.stdout.strip())
    return any(shutil.which(name) for name in ("c++", "g++", "clang++", "icpx"))


def takes_zig() -> bool:
    """Whether Zig's compiler serves: there is no other, and Python's headers are here.

    Exits where LENET_ZIG=1 asks for it and it cannot serve.
    """
    wanted = os.environ.get("LENET_ZIG")
    if wanted == "0":
        return False
    headers = Path(sysconfig.get_path("include"), "Python.h")
    if target() is None:
        why_not = "LENET_ZIG=1 is for x86-64 processors with Windows or glibc's Linux"
    elif not headers.is_file():
        why_not = f"no compiler can do without Python's header files: no {headers}"
    elif wanted == "1":
        return True
    else:
        return not (any(os.environ.get(name) for name in SAID) or has_compiler())
    if wanted == "1":
        raise SystemExit(f"lenet: {why_not}")
    return False


def can_fetch_zig() -> bool:
    """Whether pip finds Zig: told to fetch what it cannot find, it would install nothing at all.

    Only the list of versions is read. True, too, where pip does not answer.
    """
    project = Requirement(ZIG)
    pip = [sys.executable, "-I", "-m", "pip"]  # -I: this Python's pip, not the build's packages
    options = ["--only-binary=:all:", "--retries=1", "--timeout=15", "--no-color"]
    done = subprocess.run(
        [*pip, "index", "versions", *options, project.name],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if "No matching distribution" in done.stderr:
        return False
    versions = re.search(r"Available versions: (.+)", done.stdout)
    return versions is None or any(
        project.specifier.contains(version) for version in versions[1].split(", ")
    )


def _requires(scikit: list[str]) -> list[str]:
    if not takes_zig():
        return scikit
    if os.environ.get("LENET_ZIG") != "1" and not can_fetch_zig():
        print("lenet: there is no C++ compiler, and pip finds none: no ziglang", flush=True)
        return scikit
    print("lenet: pip fetches Zig's compiler for this build, 100 MB", flush=True)
    ninja = [] if any(each.startswith("ninja") for each in scikit) else ["ninja>=1.5"]
    return [*scikit, *ninja, ZIG]


def get_requires_for_build_wheel(config_settings: Settings | None = None) -> list[str]:
    return _requires(scikit_build.get_requires_for_build_wheel(config_settings))


def get_requires_for_build_editable(config_settings: Settings | None = None) -> list[str]:
    return _requires(scikit_build.get_requires_for_build_editable(config_settings))


def with_zig(config_settings: Settings | None) -> Settings:
    """The settings of a build, with Zig's where it serves and is installed.

    Exits where LENET_ZIG=1 asks for it and it is not installed: pip did not isolate the build.
    """
    settings = dict(config_settings or {})
    if not takes_zig():
        return settings
    spec = find_spec("ziglang")
    if spec is None or spec.origin is None:
        if os.environ.get("LENET_ZIG") == "1":
            raise SystemExit(f"lenet: LENET_ZIG=1 needs Zig: pip install '{ZIG}'")
        return settings
    program = Path(spec.origin).with_name("zig.exe" if sys.platform == "win32" else "zig")
    print(f"lenet: compiling with Zig's compiler, {program}; it takes minutes", flush=True)
    os.environ.setdefault("CMAKE_GENERATOR", "Ninja")
    return settings | {
        "cmake.define.CMAKE_TOOLCHAIN_FILE": TOOLCHAIN.as_posix(),
        "cmake.define.LENET_ZIG": program.as_posix(),
        "cmake.define.LENET_ZIG_TARGET": target() or "",
    }


def built(
    build: Callable[..., str], folder: str, settings: Settings | None, metadata: str | None
) -> str:
    """The name of what scikit-build-core builds; where it fails, what to do is said, too."""
    try:
        return build(folder, with_zig(settings), metadata)
    except SystemExit:
        print(WHAT_TO_DO, file=sys.stderr)
        raise


def build_wheel(
    wheel_directory: str,
    config_settings: Settings | None = None,
    metadata_directory: str | None = None,
) -> str:
    return built(scikit_build.build_wheel, wheel_directory, config_settings, metadata_directory)


def build_editable(
    wheel_directory: str,
    config_settings: Settings | None = None,
    metadata_directory: str | None = None,
) -> str:
    return built(scikit_build.build_editable, wheel_directory, config_settings, metadata_directory)
