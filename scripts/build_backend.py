"""What pip calls to build lenet: scikit-build-core, and with LENET_ZIG=1 Zig's compiler.

Zig is Clang with the libraries of every target, and comes as the package ziglang. pip installs it
for the time of the build where this asks for it (``get_requires_for_build_wheel``). native/zig/
tells CMake how to call it. So a machine without a compiler gets the native engine, too.
"""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

from scikit_build_core import build as scikit_build

Settings = dict[str, str | list[str]]

ZIG = "ziglang>=0.17.1,<0.18"
TOOLCHAIN = Path(__file__).parents[1] / "native/zig/toolchain.cmake"
# What a machine is for Python's platform.machine(), and for Zig.
MACHINES = {"x86_64": "x86_64", "AMD64": "x86_64"}

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


def takes_zig() -> bool:
    """Whether Zig's compiler serves: LENET_ZIG=1 asks for it, and Python's headers are here."""
    if os.environ.get("LENET_ZIG") != "1":
        return False
    if target() is None:
        raise SystemExit(
            "lenet: LENET_ZIG=1 is for x86-64 processors with Windows or glibc's Linux"
        )
    headers = Path(sysconfig.get_path("include"), "Python.h")
    if not headers.is_file():
        raise SystemExit(f"lenet: no compiler can do without Python's header files: no {headers}")
    return True


def _requires(scikit: list[str]) -> list[str]:
    if not takes_zig():
        return scikit
    ninja = [] if any(each.startswith("ninja") for each in scikit) else ["ninja>=1.5"]
    return [*scikit, *ninja, ZIG]


def get_requires_for_build_wheel(config_settings: Settings | None = None) -> list[str]:
    return _requires(scikit_build.get_requires_for_build_wheel(config_settings))


def get_requires_for_build_editable(config_settings: Settings | None = None) -> list[str]:
    return _requires(scikit_build.get_requires_for_build_editable(config_settings))


def with_zig(config_settings: Settings | None) -> Settings:
    """The settings of a build, with Zig's where it serves."""
    settings = dict(config_settings or {})
    if not takes_zig():
        return settings
    spec = find_spec("ziglang")
    if spec is None or spec.origin is None:  # where pip does not isolate the build
        raise SystemExit(f"lenet: LENET_ZIG=1 needs Zig: pip install '{ZIG}'")
    program = Path(spec.origin).with_name("zig.exe" if sys.platform == "win32" else "zig")
    print(f"lenet: compiling with Zig's compiler, {program}", flush=True)
    os.environ.setdefault("CMAKE_GENERATOR", "Ninja")
    return settings | {
        "cmake.define.CMAKE_TOOLCHAIN_FILE": TOOLCHAIN.as_posix(),
        "cmake.define.LENET_ZIG": program.as_posix(),
        "cmake.define.LENET_ZIG_TARGET": target() or "",
    }


def build_wheel(
    wheel_directory: str,
    config_settings: Settings | None = None,
    metadata_directory: str | None = None,
) -> str:
    settings = with_zig(config_settings)
    try:
        return scikit_build.build_wheel(wheel_directory, settings, metadata_directory)
    except SystemExit:
        print(WHAT_TO_DO, file=sys.stderr)
        raise


def build_editable(
    wheel_directory: str,
    config_settings: Settings | None = None,
    metadata_directory: str | None = None,
) -> str:
    settings = with_zig(config_settings)
    try:
        return scikit_build.build_editable(wheel_directory, settings, metadata_directory)
    except SystemExit:
        print(WHAT_TO_DO, file=sys.stderr)
        raise
