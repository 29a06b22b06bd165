"""Trainings as processes of their own.

Each is ``lenet train RECIPE.toml --out FOLDER``, or ``--resume FOLDER``, in a session of its own:
what ends the lab does not end it in mid-step; it is told to stop, and leaves a checkpoint.

It is told by a file that it looks for ten times a second (``--stop-file``), because a file works
everywhere and at any time: on Windows every signal to another process kills it at once, or comes to
those of the same console alone, and a lab that was started later shares no console with it.
Elsewhere SIGTERM is sent as well to a process that this lab started, which stops it also while it
loads its pictures. The training holds the lock beside that file from its first moment on, so that
a later lab knows whether it still runs: numbers of processes come again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lenet import system
from lenet.files import FileError, discard, open_plain, patiently
from lenet.runs.record import is_locked
from lenet.untrusted import plain

ENDED_WELL: Final = (0, 130, 143)  # to the end, or stopped with a checkpoint
STARTING_S: Final = 10.0  # what a training may take until it holds its lock
CRASHES: Final = 0x8000_0000  # codes from here on are Windows' own words for a crash
LOG_TAIL: Final = 4_096  # bytes that are looked at for a reason


@dataclass
class Worker:
    """A training's process; one that an earlier lab left behind has no ``process``."""

    name: str
    stop_file: Path
    began: float  # Unix time
    process: subprocess.Popen[bytes] | None = None
    told: bool = False  # to stop

    def ending(self) -> bool:
        """Whether it was told to stop, by this lab or an earlier one."""
        return self.told or os.path.lexists(self.stop_file)

    def ended(self) -> bool:
        """Whether it is over."""
        if self.process is not None:
            return self.process.poll() is not None
        lock = _lock_beside(self.stop_file)
        if not os.path.lexists(lock) and 0 <= time.time() - self.began < STARTING_S:
            return False  # it has not come so far yet
        return not is_locked(lock)

    def tell_to_stop(self) -> None:
        """Let it write a checkpoint and end; once only: a second signal would be impatient."""
        if self.told:
            return
        with suppress(OSError):  # no space: then it can be told again
            self.stop_file.touch()
            self.told = True
        if self.process is not None and not system.signals_kill():
            self.process.send_signal(signal.SIGTERM)
            self.told = True

    def reason(self, log: Path) -> str:
        """Why it ended, if it left no word in its run; "" where it ended well or was told to."""
        code = self.process.returncode if self.process else 0
        if code in ENDED_WELL or self.told:
            return ""
        if code < 0:
            return f"its process was ended by signal {-code}"
        said = f"0x{code:08X}" if code >= CRASHES else str(code)
        return _last_line(log) or f"its process ended with code {said}"

    def tidy_up(self) -> None:
        """Take away what told it to stop, once it has ended."""
        for path in (self.stop_file, _lock_beside(self.stop_file)):
            discard(path)


def start(name: str, arguments: Sequence[str], stop_file: Path, log: Path) -> Worker:
    """A training that has begun, as ``lenet train`` is told by ``arguments``. Raises OSError."""
    words = [sys.executable, "-m", "lenet", "train", *arguments, "--snapshots"]
    words += ["--stop-file", str(stop_file)]
    patiently(lambda: stop_file.unlink(missing_ok=True))  # an old one would stop it
    discard(_lock_beside(stop_file))
    with log.open("wb") as written:
        nothing = subprocess.DEVNULL
        process = system.start_detached(words, stdin=nothing, stdout=nothing, stderr=written)
    return Worker(name, stop_file, time.time(), process)


def _lock_beside(stop_file: Path) -> Path:
    return stop_file.with_name(f"{stop_file.name}.lock")


def _last_line(path: Path) -> str:
    """The last line that a training wrote, which says why it ended."""
    try:
        with open_plain(path) as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - LOG_TAIL))
            text = log.read(LOG_TAIL).decode("utf-8", "replace")
    except (OSError, FileError):
        return ""
    lines = [line for line in text.splitlines() if line.strip()]
    return plain(lines[-1].strip().removeprefix("lenet: "), 500) if lines else ""
