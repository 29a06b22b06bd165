"""A C header compiled here and called from Python: to check it, and to try it."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lenet.ship.checking import largest_difference

COMPILERS: Final = ("cc", "gcc", "clang")
FLAGS: Final = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
LONGEST_S: Final = 120  # of a compiler

SHIM: Final = """\
#include "@FILE@"
void run_all(const uint8_t *pictures, int count, float *logits, float *probabilities, int *found)
{
    static @P@_scratch scratch;
    for (int n = 0; n < count; n++) {
        const uint8_t *picture = pictures + (long)n * @U@_PICTURE_BYTES;
        @P@_logits(picture, logits + (long)n * @U@_CLASSES, &scratch);
        memcpy(probabilities + (long)n * @U@_CLASSES, logits + (long)n * @U@_CLASSES,
               @U@_CLASSES * sizeof *logits);
        found[n] = @P@_probabilities(probabilities + (long)n * @U@_CLASSES);
    }
}
int self_test(void)
{
    static @P@_scratch scratch;
    return @P@_self_test(&scratch);
}
"""


class CompileError(RuntimeError):
    """A header that does not compile here; the message is the compiler's."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What compiled code says of pictures."""

    logits: NDArray[np.float32]  # (n, classes)
    probabilities: NDArray[np.float32]  # (n, classes)
    found: NDArray[np.int32]  # (n,) class numbers; -1: none of these


@dataclass(frozen=True, eq=False)
class Compiled:
    """A header as machine code."""

    library: Any
    classes: int
    picture_bytes: int

    def __call__(self, pictures: NDArray[np.uint8]) -> Answers:
        """What it says of pictures (n, channels, height, width) uint8."""
        pictures = np.ascontiguousarray(pictures, np.uint8)
        n = len(pictures)
        if pictures.size != n * self.picture_bytes:
            raise ValueError(
                f"pictures are {pictures.shape}; the code takes {self.picture_bytes} bytes each"
            )
        logits = np.zeros((n, self.classes), np.float32)
        probabilities = np.zeros_like(logits)
        found = np.zeros(n, np.int32)
        arrays = (a.ctypes.data_as(ctypes.c_void_p) for a in (logits, probabilities, found))
        self.library.run_all(pictures.ctypes.data_as(ctypes.c_void_p), ctypes.c_int(n), *arrays)
        return Answers(logits, probabilities, found)

    def self_test(self) -> int:
        """How many of the header's own pictures come out otherwise than they should."""
        return int(self.library.self_test())


def compiler() -> str | None:
    """The C compiler here: $CC, or the first that there is; None without one."""
    named = os.environ.get("CC")
    return next(
        (path for name in (named, *COMPILERS) if name and (path := shutil.which(name))), None
    )


def load(header: Path, flags: Sequence[str] = ("-O2",), command: str | None = None) -> Compiled:
    """A header, compiled with every warning an error. It must be one of ours: its code is run.

    Raises CompileError, with what the compiler said, or where there is no compiler.
    """
    command = command or compiler()
    if command is None:
        raise CompileError("no C compiler is here; install one, such as gcc")
    text = header.read_text(encoding="utf-8")
    prefix = re.search(r"^\} (\w+)_scratch;", text, re.M)
    if prefix is None:
        raise CompileError(f"{header} is not a header that lenet export wrote")
    upper = prefix[1].upper()
    numbers = dict(re.findall(rf"^#define {upper}_(\w+) (\d+)$", text, re.M))
    with tempfile.TemporaryDirectory(prefix="lenet-c-") as folder:
        source, built = Path(folder, "run.c"), Path(folder, "run.so")
        filled = SHIM.replace("@P@", prefix[1]).replace("@U@", upper)
        source.write_text(filled.replace("@FILE@", "header.h"), encoding="utf-8")
        Path(folder, "header.h").write_text(text, encoding="utf-8")
        defines = [f"-D{upper}_SELF_TEST", "-fPIC", "-shared"]
        run(command, *FLAGS, *flags, *defines, str(source), "-o", str(built))
        # loaded code outlives its file, where the system is no Windows
        library = ctypes.CDLL(str(built))
    return Compiled(library, int(numbers["CLASSES"]), int(numbers["PICTURE_BYTES"]))


def check(text: str, pictures: NDArray[np.uint8], expected: NDArray[np.float32]) -> float:
    """The largest difference of a logit between a header's text, compiled here, and ``expected``.

    Raises CompileError where it does not compile, ParityError where it differs.
    """
    with tempfile.TemporaryDirectory(prefix="lenet-c-") as folder:
        header = Path(folder, "header.h")
        header.write_text(text, encoding="ascii")
        logits = load(header, ("-O1",))(pictures).logits
    return largest_difference("the compiled code", logits, expected)


def run(*command: str) -> str:
    """What a compiler or a program printed. Raises CompileError where it failed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CompileError(f"{command[0]}: {error}") from None
    if done.returncode:
        raise CompileError(f"{command[0]}: {(done.stderr or done.stdout)[:2000]}")
    return done.stdout + done.stderr
