"""Running other people's tutorials as they stand: their cells, in a process of its own.

`read` finds the cells; `run` runs them with LeNet behind `import d2l`, keeps their figures, and
can make a page of it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import lenet
from lenet import system
from lenet.tutorial import ending
from lenet.tutorial.cells import Block, Tutorial, TutorialError, lost, read
from lenet.tutorial.other_name import lenet_itself
from lenet.tutorial.pictures import numeric_order
from lenet.tutorial.record import Output
from lenet.tutorial.tabs import summary as other_frameworks

if TYPE_CHECKING:
    from lenet.tutorial.runner import Plan

__all__ = [
    "Block",
    "Output",
    "Result",
    "Tutorial",
    "TutorialError",
    "child_environment",
    "figures_folder",
    "lost",
    "other_frameworks",
    "read",
    "run",
]

START = Path(__file__).parent / "start.py"


@dataclass(frozen=True)
class Result:
    """How a tutorial ended, what its cells put out (when asked for), and its new pictures."""

    code: int  # 0 done, 1 failed, 130 or 143 interrupted, or what the tutorial exits with
    outputs: tuple[Output, ...]
    pictures: tuple[Path, ...]
    died: str = ""  # what the process died of, and where, if it did


def run(
    tutorial: Tutorial,
    arguments: Sequence[str] = (),
    *,
    figures: Path | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    keep_going: bool = False,
    accelerate: bool = False,
    record: bool = False,
    quiet: bool = False,
) -> Result:
    """How the tutorial's cells went, one after the other, in a process of its own.

    What they print goes out as it is, unless `quiet`; with `record` it is returned as well.
    Figures go into `figures`, else into the folder of `figures_folder`. `epochs` replaces the
    numbers given to `num_epochs` and `epochs`; `seed` is set before the first cell. With
    `accelerate` the native engine computes the networks that it trains, where it can.

    Raises TutorialError where the file has no code, OSError where nothing can be written.
    """
    from lenet.tutorial.runner import Plan

    if reason := _nothing_to_run(tutorial):
        raise TutorialError(
            f"{tutorial.path} has no Python code that could be run{reason}; "
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
            accelerate=accelerate,
            record=str(log) if record else None,
            quiet=quiet,
            place=scratch,
        )
        code = _run_to_its_end(plan, _our_name_for(tutorial), folder)
        died = ending.story(code, tutorial, Path(scratch))
        outputs = _recorded(log) if record else ()
    after = _pictures(folder)
    pictures = tuple(path for path, state in after.items() if before.get(path) != state)
    return Result(code if code >= 0 else 128 - code, outputs, pictures, died)


def _nothing_to_run(tutorial: Tutorial) -> str:
    """What there is in place of code, where no cell does anything; else ""."""
    if any(_does_something(block.source) for block in tutorial.cells):
        return ""
    reasons = [block.reason for block in tutorial.blocks if block.reason]
    reasons += [remark for block in tutorial.cells for remark in block.remarks]
    counted = [f"{count} × {reason}" for reason, count in Counter(reasons).most_common(3)]
    return f" ({'; '.join(counted)})" if counted else ": it is empty, or holds only comments"


def _does_something(source: str) -> bool:
    """Whether more is left of a cell than comments and the `pass` of magics."""
    rows = (row.partition("#")[0].strip() for row in source.split("\n"))
    return any(row not in ("", "pass") for row in rows)


def _run_to_its_end(plan: Plan, name: str, figures: Path) -> int:
    """What `Popen.wait` gives for the tutorial's process, which does not outlive this one."""
    reading, writing = os.pipe()
    inherited = () if os.name == "nt" else (reading,)
    plan = replace(plan, pipe=reading if inherited else None)
    try:
        process = subprocess.Popen(
            [sys.executable, str(START), name, plan.to_json()],
            env=child_environment(figures, name),
            pass_fds=inherited,
        )
        with _signals_passed_on(process):
            return process.wait()
    finally:
        os.close(reading)
        os.close(writing)


def _our_name_for(tutorial: Tutorial) -> str:
    """The name under which the tutorial's process imports us: "lenet", where that is not the
    name of a module of the tutorial's own, or might be once it changes sys.path."""
    text = "\n".join(block.source for block in tutorial.cells)
    folders = [str(tutorial.path.resolve().parent), os.getcwd()]
    folders += [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    ours = Path(lenet.__file__).resolve().parent
    if lenet_itself.theirs(folders, ours=ours, but=tutorial.path):
        return lenet_itself.NAME
    later = "sys.path" in text and re.search(r"\b(from|import)\s+lenet\b", text)
    return lenet_itself.NAME if later else lenet_itself.PLAIN


# By libgomp's default a thread that waits for the others spins for milliseconds. Where another
# program wants a core, a short spin made PyTorch's steps 3 to 4 times as fast; else it costs
# nothing that could be measured. Other OpenMP runtimes do not know the name.
SHORT_SPIN = {"GOMP_SPINCOUNT": "1000"}


def child_environment(figures: Path, name: str = lenet_itself.PLAIN) -> dict[str, str]:
    """The variables of the tutorial's process: where figures go, and what makes PyTorch faster.

    The caller's own come before the latter. With another `name` of ours they say where it is.
    """
    places = {}
    if name != lenet_itself.PLAIN:
        paths = [str(Path(lenet_itself.__file__).parent), os.environ.get("PYTHONPATH", "")]
        places["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        places["LENET_PACKAGE"] = os.pathsep.join(lenet.__path__)  # an editable one has several
    return {
        "MPLBACKEND": f"module://{name}.tutorial.backend",
        **SHORT_SPIN,
        **os.environ,
        **places,
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
    states = {
        path: path.stat() for path in sorted(folder.iterdir(), key=numeric_order) if path.is_file()
    }
    return {path: (state.st_mtime_ns, state.st_ino) for path, state in states.items()}


@contextmanager
def _signals_passed_on(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Meanwhile SIGINT and SIGTERM end the process, and then us, with its figures kept."""

    def pass_on(number: int, frame: FrameType | None) -> None:
        if system.signals_kill():
            if number == signal.SIGTERM:  # the console sends the others to both
                process.terminate()
        elif number != signal.SIGINT or not _terminal_sends_it():
            process.send_signal(number)

    kinds = system.stop_signals()
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
    if sys.platform == "win32":
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
