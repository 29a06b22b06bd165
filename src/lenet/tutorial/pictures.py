"""Keeping the figures of a tutorial: what it shows, leaves open, or saves into no folder.

As a notebook shows the figures of a cell below it, so they are kept when a cell ends; a later cell
can still draw on one, and the file then follows. `matplotlib` is imported by the tutorial first.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path, PureWindowsPath
from typing import Any

from lenet.files import write_atomically

DPI = 150  # sharp on a screen that has two pixels where it says one
REMEMBERED = 20  # figures that a later cell may still change
EVERY_STATE_S = 5.0  # of writing figures that grow, before states are left out


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
        self.late: list[Any] = []  # figures drawn or shown since they were last written
        self.drawing_s = 0.0  # spent on figures that are shown and drawn on
        self.rest_until = 0.0

    def keep_open(self) -> None:
        """Write every open figure that has something in it, and close it; follow earlier ones."""
        from matplotlib._pylab_helpers import Gcf

        for manager in Gcf.get_all_fig_managers():
            figure = manager.canvas.figure
            if figure.get_children()[1:]:  # the first is its background
                if self._path(figure) is None:
                    self._write(figure, self._new_path(figure))
                self._follow(figure)
                Gcf.destroy(manager)
        for figure, _ in self.recent:
            self._follow(figure)

    def show_open(self) -> None:
        """Write every open figure as it is now, and leave it open: more is drawn on it later.

        A loop may show hundreds of states. Each is written into the same file, and once that has
        taken some seconds, only as many as cost a tenth of the time; the last is always written.
        """
        from matplotlib._pylab_helpers import Gcf

        for manager in Gcf.get_all_fig_managers():
            figure = manager.canvas.figure
            if not (self._changed(figure) and _has_content(figure)):
                continue
            started = time.perf_counter()
            if self.drawing_s > EVERY_STATE_S and started < self.rest_until:
                self.drawn(figure)
                continue
            self._write(figure, self._path(figure) or self._new_path(figure))
            spent = time.perf_counter() - started
            self.drawing_s += spent
            self.rest_until = started + 10 * spent

    def drawn(self, figure: Any) -> None:
        """The figure is up to date in memory, not yet in its file."""
        if not any(figure is other for other in self.late):
            self.late.append(figure)

    def closing(self, figure: Any) -> None:
        """The figure is about to be closed: write it where its last state has only been shown."""
        if any(figure is other for other in self.late):
            self._follow(figure)

    def _follow(self, figure: Any) -> None:
        """Write the figure again, if it has changed; what was cleared after it was shown stays."""
        path = self._path(figure)
        if path is not None and self._changed(figure) and _has_content(figure):
            self._write(figure, path)

    def _changed(self, figure: Any) -> bool:
        return figure.stale or any(figure is other for other in self.late)

    def _path(self, figure: Any) -> Path | None:
        return next((path for known, path in self.recent if known is figure), None)

    def _new_path(self, figure: Any) -> Path:
        self.count += 1
        path = self.folder / f"figure-{self.count}.png"
        self.recent = [*self.recent, (figure, path)][-REMEMBERED:]
        return path

    def _write(self, figure: Any, path: Path) -> None:
        self.late = [other for other in self.late if other is not figure]
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


def numeric_order(path: Path) -> list[tuple[int, str]]:
    """A key that sorts figure-2.png before figure-10.png.

    >>> names = ["figure-10.png", "figure-2.png", "a.svg"]
    >>> [path.name for path in sorted(map(Path, names), key=numeric_order)]
    ['a.svg', 'figure-2.png', 'figure-10.png']
    """
    words = re.split(r"(\d+)", path.name)
    return [(int(word), "") if word.isdecimal() else (-1, word) for word in words]


def _has_content(figure: Any) -> bool:
    """Whether more than empty axes can be seen."""
    axes = figure.axes
    others = [child for child in figure.get_children()[1:] if child not in axes]
    return bool(others) or any(
        one.has_data() or one.texts or one.artists or one.get_title() for one in axes
    )


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
