"""How a tutorial's process ends: with its parent, or of something that its parent then tells.

The process notes which cell and which line it is at in a folder of its parent's. A crash has its
line from `faulthandler`; a kill leaves no time for that, so the line is also noted twice a second.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import re
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from lenet.tutorial import cells

if TYPE_CHECKING:
    from lenet.tutorial.cells import Tutorial

INTERVAL_S = 0.5
_PR_SET_PDEATHSIG = 1
_FRAME = re.compile(r'File "(?P<name>.*)", line (?P<line>\d+) in ')


class Place:
    """Where the process is, noted in `folder`; nowhere where that is None."""

    def __init__(self, folder: str | None, name: str) -> None:
        self.folder = Path(folder) if folder else None
        self.name = name  # of the tutorial, as its frames have it
        self.cell = 0
        self.noted = ""
        self.crash: TextIO | None = None  # open as long as faulthandler may write to it
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="lenet-place", daemon=True)
        if self.folder is not None:
            self.crash = (self.folder / "crash.txt").open("w", encoding="utf-8")
            faulthandler.enable(self.crash, all_threads=True)
            self._watcher.start()

    def begin(self, cell: int) -> None:
        """Note that this cell, counted from 0, begins."""
        self.cell = cell
        self._note(cell=cell)

    def end(self) -> None:
        """Note that the tutorial's code has ended, well or not, and stop watching it.

        The watching thread must be gone before Python ends. Python stops a thread that is left
        then at whatever it does; where that is a destructor of PyTorch's, the process aborts
        (pytorch/pytorch#38228).
        """
        self._over.set()
        if self._watcher.is_alive():
            self._watcher.join()
        self._note(ended=True)

    def _watch(self) -> None:
        while not self._over.wait(INTERVAL_S):
            if line := self._line():
                self._note(cell=self.cell, line=line)

    def _line(self) -> int:
        """The line of the tutorial that the main thread is at; 0 where it is at none.

        Apart from `_watch`, so that no frame, with all that it refers to, is held between looks.
        """
        frame = sys._current_frames().get(threading.main_thread().ident or 0)
        while frame is not None:
            if frame.f_code.co_filename.startswith(self.name):
                return frame.f_lineno
            frame = frame.f_back
        return 0

    def _note(self, **place: Any) -> None:
        text = json.dumps(place)
        if self.folder is None or text == self.noted or '"ended"' in self.noted:
            return
        self.noted = text
        beside = self.folder / f"place-{threading.get_ident()}"
        beside.write_text(text, encoding="utf-8")
        beside.replace(self.folder / "place.json")


def with_parent(pipe: int | None) -> None:
    """From now on this process ends when its parent does, which holds the pipe's other end."""
    if sys.platform == "linux":  # the kernel sees to it, whatever this process is doing
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if pipe is not None:
        threading.Thread(target=_wait_for_the_end, args=(pipe,), daemon=True).start()


def _wait_for_the_end(pipe: int) -> None:
    os.read(pipe, 1)  # nothing is ever written: it returns when the other end is closed
    os._exit(137)


def story(code: int, tutorial: Tutorial, folder: Path) -> str:
    """What the process died of, and where; "" where it ended as Python ends.

    `code` is what `Popen.wait` gives, `folder` that of `Place`.
    """
    place = _read(folder / "place.json")
    if place.get("ended") and code >= 0:
        return ""
    if code < 0:
        about = signal.strsignal(-code) or "a signal"
        what = f"died of {_signal_name(-code)} ({about.lower()}; exit code {128 - code})"
    else:
        what = f"left without Python's own end (exit code {code})"
    hint = ""
    if code == -getattr(signal, "SIGKILL", 9):
        hint = "; where nobody killed it, the system was short of memory"
    return f"the tutorial's process {what}{_where(tutorial, place, folder)}{hint}"


def _where(tutorial: Tutorial, place: dict[str, Any], folder: Path) -> str:
    if "cell" not in place or place["cell"] >= len(tutorial.cells):
        return " before its first cell" if not place else " after its last cell"
    cell = tutorial.cells[place["cell"]]
    name = cells.frame_name(tutorial.path, cell)
    line = _crash_line(folder / "crash.txt", name) or place.get("line")
    at = f", at line {line}" if line else ""
    inside = cell.place if cell.number else f"{tutorial.path.name}, lines {cell.place}"
    return f" in cell {place['cell'] + 1} ({inside}){at}"


def _crash_line(path: Path, name: str) -> int | None:
    """The line in the innermost of the tutorial's frames that faulthandler wrote."""
    if not path.exists():
        return None
    escaped = name.encode("ascii", "backslashreplace").decode()
    for frame in _FRAME.finditer(path.read_text(encoding="utf-8", errors="replace")):
        if frame["name"] == escaped:
            return int(frame["line"])
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        place: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return place


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
