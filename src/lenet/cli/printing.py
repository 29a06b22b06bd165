"""How a command prints: a table, a line, JSON, what went wrong; an error's exit code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import Any


def show(render: Callable[[int], Any]) -> None:
    """Print a rich renderable at the terminal's width, plain where it is none."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
        console = Console(highlight=False, width=max(console.width, 120))
    shown = render(console.width)
    if isinstance(shown, str):
        print(shown)  # rich would cut its lines
    else:
        console.print(shown)


def ascii_only() -> bool:
    """Whether text for stdout has to be ASCII: its encoding is none of Unicode's."""
    return "utf" not in (sys.stdout.encoding or "").lower()


def say(line: str) -> None:
    """Print a line, broken between words where a terminal is too narrow for it."""
    if sys.stdout.isatty():
        import shutil
        import textwrap

        line = textwrap.fill(line, shutil.get_terminal_size().columns, break_on_hyphens=False)
    print(line)


def print_json(values: Any) -> None:
    """Print plain values for programs."""
    import json

    print(json.dumps(values, indent=2, ensure_ascii=False))


def complain(message: str, code: int) -> int:
    """The exit code; the message is one line on stderr."""
    print(f"lenet: {' '.join(message.split())}", file=sys.stderr)
    return code


WRONG_PATH = (FileNotFoundError, NotADirectoryError, IsADirectoryError, FileExistsError)


def reason(error: OSError) -> str:
    """What the system says, of which file; and what to do where there is no space."""
    where = f"{error.filename}: " if error.filename else ""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    hint = "; free some space" if full else ""
    return f"{where}{error.strerror or error}{hint}"


def exit_code(error: ValueError) -> int:
    """2 where the person asked for what cannot be, 1 where the machine or a file is at fault."""
    from lenet.data import DataError, UnknownDataError
    from lenet.data.preparation import PreparationError
    from lenet.network.weights import WeightsError
    from lenet.runs import DamagedRunError
    from lenet.training.calibration import CalibrationError

    damaged = DataError | DamagedRunError | WeightsError | CalibrationError | PreparationError
    at_fault = isinstance(error, damaged)
    return 1 if at_fault and not isinstance(error, UnknownDataError) else 2
