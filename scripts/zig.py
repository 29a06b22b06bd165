"""Builds the native engine for other machines with Zig's compiler, from the package ziglang.

    python scripts/zig.py wasm        src/lenet/lab/page/network/engine.wasm, for the page
    python scripts/zig.py c TARGET OUT [SOURCE]... [--optimize 1]
                                      native/c for another machine, linked with SOURCE: a program
    python scripts/zig.py targets [--quick] [TARGET]...
                                      whether everything compiles for Windows, macOS and ARM

Zig is Clang with the libraries of every target, and the same version makes the same bytes on every
machine: tests/test_c_interface.py builds the page's module anew and compares.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
NATIVE = ROOT / "native"
WASM = ROOT / "src/lenet/lab/page/network/engine.wasm"

# As CMakeLists.txt; without exceptions and without a C++ library (native/c/alone.cpp).
FLAGS = ["-std=c++20", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"]
FLAGS += ["-Wall", "-Wextra", "-Werror", "-fvisibility=hidden"]
ALONE = ["-fno-exceptions", "-fno-rtti", "-DLENET_ONE_THREAD", "-DLENET_PICTURES_AS_THEY_ARE"]
# One table of kernels, with the instructions that every processor of the target has.
TABLE = ["-DLENET_KERNELS=kernels_default_4", "-DLENET_LANES=4"]
# What every browser has had since 2021, and Safari since 2023.
WEB = ["-target", "wasm32-wasi", "-Os", "-flto"]
WEB += ["-mcpu=generic+simd128+bulk_memory+nontrapping_fptoint+sign_ext"]

X86_64 = {
    "kernels_v2_4": (4, "x86_64_v2"),
    "kernels_v3_8": (8, "x86_64_v3"),
    "kernels_v4_16": (16, "x86_64_v4"),
}
TARGETS = {
    "x86_64-windows-gnu": X86_64,
    "aarch64-macos": {"kernels_default_4": (4, "apple_m1")},
    "x86_64-macos": X86_64,
    "aarch64-linux-gnu.2.28": {"kernels_default_4": (4, "baseline")},
}


def zig(*arguments: str | Path) -> None:
    """Calls Zig in native/, so that no path of this machine gets into what it makes."""
    command = [sys.executable, "-m", "ziglang", *map(str, arguments)]
    subprocess.run(command, cwd=NATIVE, check=True)


def c_interface(target: list[str], folder: Path) -> list[Path]:
    """The objects of the engine with its C interface for a target, made in ``folder``."""
    sources = [*NATIVE.glob("*.cpp"), *NATIVE.glob("c/*.cpp")]
    objects = []
    for source in sorted(sources):
        if source.name in ("bindings.cpp", "processor.cpp"):
            continue  # Python's, and for a choice between tables
        made = folder / f"{source.stem}.o"
        table = TABLE if source.name == "kernels.cpp" else []
        options = [*target, *FLAGS, *ALONE, *table]
        zig("c++", *options, "-c", source.relative_to(NATIVE), "-o", made)
        objects.append(made)
    return objects


def exported() -> list[str]:
    """The functions of native/c/lenet.h."""
    header = (NATIVE / "c/lenet.h").read_text(encoding="utf-8")
    lines = [line for line in header.splitlines() if line.startswith("LENET_API")]
    return [line.partition("(")[0].split()[-1].lstrip("*") for line in lines]


def wasm(out: Path) -> None:
    """Writes the module for the page: no imports, and what the header names for exports."""
    with tempfile.TemporaryDirectory() as folder:
        objects = c_interface(WEB, Path(folder))
        exports = [f"-Wl,--export={name}" for name in exported()]
        zig(
            "cc",
            *WEB,
            "-mexec-model=reactor",
            "-Wl,--no-entry",
            *exports,
            "-s",
            *objects,
            "-o",
            out,
        )
    out.chmod(0o644)


def program(target: str, out: Path, sources: list[Path], optimize: int = 3) -> None:
    """Writes a program for ``target`` (as "aarch64-linux-musl"), static if the target allows it."""
    options = ["-target", target, f"-O{optimize}"]
    static = [] if "macos" in target or "linux-gnu" in target else ["-static"]
    with tempfile.TemporaryDirectory() as folder:
        objects = c_interface(options, Path(folder))
        zig("cc", *options, *static, "-s", *sources, *objects, "-o", out)


def together(sources: list[Path], file: Path) -> Path:
    """Writes a file that includes ``sources``: the C++ library's headers are then read once."""
    lines = [f'#include "{source.relative_to(NATIVE).as_posix()}"\n' for source in sorted(sources)]
    file.write_text("".join(lines), encoding="utf-8")
    return file


def compiles(target: str, folder: Path, quick: bool) -> str:
    """Compiles the engine for a target, links its C interface to a program, and says what it did.

    As CMakeLists.txt says it, but without optimisation, and without its bindings, which need the
    Python of the target. ``quick`` leaves out the tables of kernels for each instruction set, and
    the program where Zig would compile a whole C library first.
    """
    options = ["-target", target, *FLAGS, "-O0", "-I.", "-c"]
    apart = ("bindings.cpp", "kernels.cpp")
    engine = [path for path in NATIVE.glob("*.cpp") if path.name not in apart]
    zig("c++", *options, together(engine, folder / "whole.cpp"), "-o", folder / "whole.o")
    for table, (lanes, cpu) in TARGETS[target].items() if not quick else ():
        defined = [f"-DLENET_KERNELS={table}", f"-DLENET_LANES={lanes}", f"-mcpu={cpu}"]
        zig("c++", *options, *defined, "kernels.cpp", "-o", folder / "table.o")
    alone = [path for path in engine if path.name != "processor.cpp"] + [*NATIVE.glob("c/*.cpp")]
    # Names that no file of native/ has: a file that includes one of its own name includes itself.
    source, objects = together(alone, folder / "c.cpp"), [folder / "c.o", folder / "table.o"]
    # -O1: without a C++ library, no call of a virtual function may be left.
    zig("c++", *options, "-O1", *ALONE, source, "-o", objects[0])
    zig("c++", *options, *ALONE, *TABLE, "kernels.cpp", "-o", objects[1])
    if quick and "macos" not in target:
        return "compiled"
    main = ROOT / "tests/c_engine.c"
    zig("cc", "-target", target, "-O0", "-s", main, *objects, "-o", folder / "program")
    return "compiled, and native/c linked"


def targets(names: list[str], quick: bool) -> None:
    """Says of each target what was done for it; ends with Zig's error."""
    for target in names or TARGETS:
        with tempfile.TemporaryDirectory() as folder:
            print(f"{target}: {compiles(target, Path(folder), quick)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    page = commands.add_parser("wasm", help="the page's module")
    page.add_argument("out", type=Path, nargs="?", default=WASM)
    other = commands.add_parser("c", help="a program with the C interface")
    other.add_argument("target", help="as Zig says it: aarch64-linux-musl")
    other.add_argument("out", type=Path)
    other.add_argument("sources", type=Path, nargs="*")
    other.add_argument("--optimize", type=int, default=3, help="1 compiles sooner")
    machines = commands.add_parser("targets", help="whether everything compiles for other machines")
    machines.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    machines.add_argument("--quick", action="store_true", help="one table of kernels, no C library")
    arguments = parser.parse_args()
    if arguments.command == "wasm":
        wasm(arguments.out.absolute())
        print(f"{arguments.out}: {arguments.out.stat().st_size:,} bytes")
    elif arguments.command == "targets":
        if unknown := [name for name in arguments.targets if name not in TARGETS]:
            parser.error(f"{unknown[0]!r} is none of {', '.join(TARGETS)}")
        targets(arguments.targets, arguments.quick)
    else:
        sources = [source.absolute() for source in arguments.sources]
        program(arguments.target, arguments.out.absolute(), sources, arguments.optimize)


if __name__ == "__main__":
    main()
