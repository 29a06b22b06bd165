"""Running other people's tutorials as they stand: their cells, in a process of its own.

`read` finds the cells; `run` runs them with LeNet behind `import d2l`, keeps their figures, and
can make a page of it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from lenet.tutorial.cells import Block, Tutorial, TutorialError, read
from lenet.tutorial.record import Output

__all__ = [
    "Block",
    "Output",
    "Result",
    "Tutorial",
    "TutorialError",
    "child_environment",
    "figures_folder",
    "read",
    "run",
]


@dataclass(frozen=True)
class Result:
    """How a tutorial ended, what its cells put out (when asked for), and its new pictures."""

    code: int  # 0 done, 1 failed, 130 or 143 interrupted, or what the tutorial exits with
    outputs: tuple[Output, ...]
    pictures: tuple[Path, ...]


def run(
    tutorial: Tutorial,
    arguments: Sequence[str] = (),
    *,
    figures: Path | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    keep_going: bool = False,
    record: bool = False,
    quiet: bool = False,
) -> Result:
    """How the tutorial's cells went, one after the other, in a process of its own.

    What they print goes out as it is, unless `quiet`; with `record` it is returned as well.
    Figures go into `figures`, else into the folder of `figures_folder`. `epochs` replaces the
    numbers given to `num_epochs` and `epochs`; `seed` is set before the first cell.

    Raises TutorialError where the file has no code, OSError where nothing can be written.
    """
    from lenet.tutorial.runner import Plan

    if not tutorial.cells:
        raise TutorialError(
            f"{tutorial.path} has no Python code that could be run; "
            f"'lenet run {tutorial.path} --list' says what was passed over"
        )
    folder = (figures or figures_folder(tutorial.path)).absolute()
    before = _pictures(folder)
    with tempfile.TemporaryDirectory(prefix="lenet-run-") as scratch:
        log = Path(scratch) / "outputs.jsonl"
        plan = Plan(
            str(tutorial.path),
            tuple(arguments),
            str(folder),
            epochs=epochs,
            seed=seed,
            keep_going=keep_going,
            record=str(log) if record else None,
            quiet=quiet,
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "lenet.tutorial.runner", plan.to_json()],
            env=child_environment(folder),
        )
        with _signals_passed_on(process):
            code = process.wait()
        outputs = _recorded(log) if record else ()
    after = _pictures(folder)
    pictures = tuple(path for path, state in after.items() if before.get(path) != state)
    return Result(code if code >= 0 else 128 - code, outputs, pictures)


# By libgomp's default a thread that waits for the others spins for milliseconds. Where another
# program wants a core, a short spin made PyTorch's steps 3 to 4 times as fast; else it costs
# nothing that could be measured. Other OpenMP runtimes do not know the name.
SHORT_SPIN = {"GOMP_SPINCOUNT": "1000"}


def child_environment(figures: Path) -> dict[str, str]:
    """The variables of the tutorial's process: where figures go, and what makes PyTorch faster.

    The caller's own come before the latter.
    """
    from lenet.tutorial.runner import BACKEND

    return {
        "MPLBACKEND": BACKEND,
        **SHORT_SPIN,
        **os.environ,
        "LENET_FIGURES": str(figures),
    }


def figures_folder(path: Path) -> Path:
    """Where the figures of a file are kept: NAME-figures beside it, or here if it is read-only."""
    beside = path.parent / f"{path.stem}-figures"
    writable = os.access(beside if beside.is_dir() else path.parent, os.W_OK)
    return beside if writable else Path(beside.name)


def _recorded(log: Path) -> tuple[Output, ...]:
    from lenet.tutorial import record

    return tuple(record.read(log)) if log.exists() else ()


def _pictures(folder: Path) -> dict[Path, tuple[int, int]]:
    """The folder's files with what changes when one is replaced."""
    if not folder.is_dir():
        return {}
    states = {path: path.stat() for path in sorted(folder.iterdir()) if path.is_file()}
    return {path: (state.st_mtime_ns, state.st_ino) for path, state in states.items()}


@contextmanager
def _signals_passed_on(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Meanwhile SIGINT and SIGTERM end the process, and then us, with its figures kept."""

    def pass_on(number: int, frame: FrameType | None) -> None:
        if number != signal.SIGINT or not _terminal_sends_it():
            process.send_signal(number)

    kinds = (signal.SIGINT, signal.SIGTERM)
    try:
        before: list[Callable[..., object] | int | None] = [
            signal.signal(kind, pass_on) for kind in kinds
        ]
    except ValueError:  # not the main thread: signals come elsewhere
        yield
        return
    try:
        yield
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)
        if process.poll() is None:
            process.terminate()
            process.wait()


def _terminal_sends_it() -> bool:
    """Whether Ctrl-C at the terminal reaches the tutorial's process by itself."""
    if os.name == "nt":
        return True
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
