"""Keeping the figures of a tutorial: what it shows, leaves open, or saves into no folder.

As a notebook shows the figures of a cell below it, so they are kept when a cell ends; a later cell
can still draw on one, and the file then follows. `matplotlib` is imported by the tutorial first.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path, PureWindowsPath
from typing import Any

from lenet.files import write_atomically

DPI = 150  # sharp on a screen that has two pixels where it says one
REMEMBERED = 20  # figures that a later cell may still change


class Keeper:
    """Keeps figures as figure-1.png, figure-2.png … in a folder, in the order of their appearance.

    `tell` gets a line for the reader, `kept` the path of each picture.
    """

    def __init__(
        self, folder: Path, tell: Callable[[str], None], kept: Callable[[Path], None]
    ) -> None:
        self.folder = folder
        self.tell = tell
        self.kept = kept
        self.count = 0
        self.recent: list[tuple[Any, Path]] = []

    def keep_open(self) -> None:
        """Write every open figure that has something in it, and close it; follow earlier ones."""
        from matplotlib._pylab_helpers import Gcf

        for manager in Gcf.get_all_fig_managers():
            figure = manager.canvas.figure
            if figure.get_children()[1:]:  # the first is its background
                self.count += 1
                path = self.folder / f"figure-{self.count}.png"
                self._write(figure, path)
                self.recent = [*self.recent, (figure, path)][-REMEMBERED:]
                Gcf.destroy(manager)
        for figure, path in self.recent:
            if figure.stale:
                self._write(figure, path)

    def _write(self, figure: Any, path: Path) -> None:
        buffer = BytesIO()
        figure.canvas.print_figure(buffer, format="png", dpi=DPI)
        figure.stale = False
        self._put(path, buffer.getvalue())

    def _put(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
        self.kept(path)

    def watch_saves(self) -> None:
        """From now on `savefig` into a folder that is not there saves into the pictures' folder."""
        from matplotlib.figure import Figure

        plain = Figure.savefig

        def savefig(figure: Figure, fname: Any, **options: Any) -> None:
            path = _missing(fname)
            if path is None:
                plain(figure, fname, **options)
                if isinstance(fname, str | os.PathLike):
                    self.kept(Path(fname))
                return
            suffix = path.suffix.lstrip(".")
            buffer = BytesIO()
            plain(figure, buffer, **{"format": suffix or None, **options})
            target = self.folder / path.name
            self._put(target, buffer.getvalue())
            self.tell(f"there is no folder {path.parent}: {path.name} is in {self.folder}")

        Figure.savefig = savefig  # type: ignore[assignment, method-assign]


def _missing(fname: Any) -> Path | None:
    """The path that cannot be saved to, since its folder is not here or is closed; else None."""
    if not isinstance(fname, str | os.PathLike):
        return None
    text = os.fspath(fname)
    if isinstance(text, bytes):
        return None
    if os.name != "nt" and re.match(r"[A-Za-z]:[\\/]", text):  # a path of somebody's Windows
        return Path(PureWindowsPath(text).as_posix())
    path = Path(text)
    folder = path.parent
    return None if folder.is_dir() and os.access(folder, os.W_OK) else path
