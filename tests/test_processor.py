"""The level of x86-64 that a processor has: bits of cpuid, /proc/cpuinfo, models of QEMU."""

import importlib.util
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

if importlib.util.find_spec("lenet._native") is None:
    pytest.skip("the native engine was not built", allow_module_level=True)

from lenet import _native

LEVELS = ["plain", "x86-64-v2", "x86-64-v3", "x86-64-v4"]
on_x86_64 = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="another processor than x86-64"
)

# What each level needs beyond the one below it: names of Linux, register, bit (Intel's manual,
# volume 2, cpuid). xcr0 has a bit for each kind of register that the system saves.
BITS = {
    2: {
        "pni": ("leaf1_ecx", 0),
        "ssse3": ("leaf1_ecx", 9),
        "cx16": ("leaf1_ecx", 13),
        "sse4_1": ("leaf1_ecx", 19),
        "sse4_2": ("leaf1_ecx", 20),
        "popcnt": ("leaf1_ecx", 23),
        "lahf_lm": ("extended1_ecx", 0),
    },
    3: {
        "fma": ("leaf1_ecx", 12),
        "movbe": ("leaf1_ecx", 22),
        "xsave": ("leaf1_ecx", 27),
        "avx": ("leaf1_ecx", 28),
        "f16c": ("leaf1_ecx", 29),
        "bmi1": ("leaf7_ebx", 3),
        "avx2": ("leaf7_ebx", 5),
        "bmi2": ("leaf7_ebx", 8),
        "abm": ("extended1_ecx", 5),
        "xmm saved": ("xcr0", 1),
        "ymm saved": ("xcr0", 2),
    },
    4: {
        "avx512f": ("leaf7_ebx", 16),
        "avx512dq": ("leaf7_ebx", 17),
        "avx512cd": ("leaf7_ebx", 28),
        "avx512bw": ("leaf7_ebx", 30),
        "avx512vl": ("leaf7_ebx", 31),
        "masks saved": ("xcr0", 5),
        "low zmm saved": ("xcr0", 6),
        "high zmm saved": ("xcr0", 7),
    },
}


def registers(level: int, *without: str) -> dict[str, int]:
    """The registers of a processor that has just ``level``, but for the names in ``without``."""
    filled = {"leaf1_ecx": 0, "leaf7_ebx": 0, "extended1_ecx": 0, "xcr0": 1}
    for below in range(2, level + 1):
        for name, (register, bit) in BITS[below].items():
            if name not in without:
                filled[register] |= 1 << bit
    return filled


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_a_level_is_had_with_all_its_bits(level: int) -> None:
    assert _native.x86_64_level(**registers(level)) == level


@pytest.mark.parametrize(
    ("level", "name"), [(level, name) for level, bits in BITS.items() for name in bits]
)
def test_without_one_bit_a_processor_has_only_the_level_below(level: int, name: str) -> None:
    assert _native.x86_64_level(**registers(4, name)) == level - 1


def test_macos_saves_the_registers_of_avx512_when_they_are_used() -> None:
    unsaved = registers(4, "masks saved", "low zmm saved", "high zmm saved")
    assert _native.x86_64_level(**unsaved) == 3
    assert _native.x86_64_level(**unsaved, saves_when_used=True) == 4
    assert _native.x86_64_level(**registers(3), saves_when_used=True) == 3


@pytest.mark.needs("proc")
@on_x86_64
def test_linux_says_the_same_of_this_processor() -> None:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        pytest.skip("no /proc/cpuinfo")
    line = next(line for line in cpuinfo.read_text().splitlines() if line.startswith("flags"))
    flags, level = set(line.split()), 1
    while level < 4 and {name for name in BITS[level + 1] if "saved" not in name} <= flags:
        level += 1
    assert _native.instruction_sets() == LEVELS[:level]


@on_x86_64
@pytest.mark.slow
@pytest.mark.parametrize(("model", "level"), [("Nehalem", 2), ("Haswell", 3), ("qemu64", 1)])
def test_an_emulated_processor_gets_its_own_kernels(model: str, level: int) -> None:
    """QEMU's models name what these processors have; what it cannot emulate it warns of."""
    if not (qemu := shutil.which("qemu-x86_64")):
        pytest.skip("no qemu-x86_64: apt install qemu-user")
    script = (
        "import importlib.util, sys; "
        "spec = importlib.util.spec_from_file_location('_native', sys.argv[1]); "
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module); "
        "print(*module.instruction_sets())"
    )
    command = [qemu, "-cpu", model, sys.executable, "-I", "-c", script, _native.__file__]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.stdout.split() == LEVELS[:level], result.stderr
