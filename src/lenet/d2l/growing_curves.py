"""Curves that are drawn while a loop trains: what the d2l book's Animator and ProgressBoard draw.

They are shown where the program runs: in a notebook a figure that grows in place, in
a terminal a line now and then and a plot at the end, and outside of notebooks a picture file at
the end, ``animator-1.png`` in the working folder or in ``$LENET_FIGURES``. Drawing takes at most
3% of the time. matplotlib is imported when the first figure is needed.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import math
import os
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from lenet.d2l.plotting import set_axes
from lenet.d2l.text_plot import text_plot
from lenet.drawing import live
from lenet.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

LINE_INTERVAL_S: Final = 0.5  # in a terminal; longer as the training goes on
LINE_SHARE: Final = 0.05

Place = Literal["notebook", "terminal", "elsewhere"]

_numbers = itertools.count(1)  # of the picture files that this process writes
_drawn: weakref.WeakSet[Curves] = weakref.WeakSet()  # for finish_all


@dataclass(frozen=True)
class Settings:
    """What the axes say; the arguments of ``plotting.set_axes``."""

    xlabel: str | None
    ylabel: str | None
    xlim: Sequence[float] | None
    ylim: Sequence[float] | None
    xscale: str
    yscale: str
    legend: Sequence[str]

    def texts(self) -> list[str]:
        """All that may need a font for Chinese."""
        return [self.xlabel or "", self.ylabel or "", *self.legend]


class Curves:
    """What has been drawn, and where it is shown.

    ``add`` gives a point to each of a number of curves, ``extend`` to the one of a label. The
    picture file is written by ``finish``, and when all curves have reached the end of ``xlim``.
    A style is a format, or a Line2D's properties. ``axes`` of somebody's own are drawn on; the
    figure is then theirs to keep.
    """

    def __init__(
        self,
        settings: Settings,
        styles: Sequence[str | Mapping[str, Any]],
        grid: tuple[int, int],
        figsize: tuple[float, float],
        axes: Axes | None = None,
    ) -> None:
        self.xs: list[list[float]] | None = None
        self.ys: list[list[float]] | None = None
        self._settings = settings
        self._styles, self._grid, self._figsize = styles, grid, figsize
        self._given = axes
        self._figure: Figure | None = None
        self._lines: list[Line2D] = []
        self._bare: set[Line2D] = set()  # those whose style has no marker
        self._place = _place()
        self._handle: Any = None  # of the picture in a notebook
        self._throttle = live.Throttle(live.NOTEBOOK_INTERVAL_S, live.NOTEBOOK_SHARE)
        self._ends = live.Throttle(live.NOTEBOOK_INTERVAL_S, live.NOTEBOOK_SHARE)
        self._names = [*settings.legend]  # what the legend says
        self._labels: list[str] = []  # one a curve, for the terminal
        self._started = time.perf_counter()
        self._next_line = -math.inf
        self._unseen = self._unsaved = False  # whether there are points not shown, not in the file
        self._path: Path | None = None
        if axes is not None or (self._place != "notebook" and _pyplot_can_show()):
            self.figure()  # for plt.show()
        _drawn.add(self)

    def set(self, settings: Settings) -> None:
        """From now on the axes say this."""
        if settings == self._settings:
            return
        self._settings = settings
        self._unseen = self._unsaved = True
        if self._figure is not None:
            self._set_axes()

    # --- points ---

    def add(self, xs: Sequence[float | None], ys: Sequence[float | None]) -> None:
        """A point for each curve; where either is None, none."""
        if self.xs is None or self.ys is None:
            self.xs, self.ys = [[] for _ in ys], [[] for _ in ys]
            unnamed = [f"curve {n + 1}" for n in range(len(self._names), len(ys))]
            self._labels = [*self._names, *unnamed][: len(ys)]
        if not len(xs) == len(ys) <= len(self.ys):
            raise ValueError(
                f"{len(xs)} x and {len(ys)} y were given, for an Animator of {len(self.ys)} curves"
            )
        for index, (x, y) in enumerate(zip(xs, ys, strict=True)):
            if x is not None and y is not None:
                self.xs[index].append(x)
                self.ys[index].append(y)
        self._follow()

    def extend(self, label: str, x: float, y: float) -> None:
        """A point for the curve of that label, which begins with it where there is none."""
        if self.xs is None or self.ys is None:
            self.xs, self.ys = [], []
        if label not in self._labels:
            self._labels.append(label)
            self._names.append(label)
            self.xs.append([])
            self.ys.append([])
        index = self._labels.index(label)
        self.xs[index].append(x)
        self.ys[index].append(y)
        self._follow()

    def _follow(self) -> None:
        """Show what was added, where that is due."""
        self._unseen = self._unsaved = True
        if self._figure is not None:
            self._update_lines()
        if self._complete() and self._ends.due():  # a loop may go on beyond the end of the axis
            with self._ends.timed():
                self.finish()
        elif self._place == "notebook":
            self._show_soon()
        elif self._place == "terminal":
            self._print_line()

    def _complete(self) -> bool:
        """Whether every curve has reached the end of the x axis."""
        if self._settings.xlim is None or not self.xs:
            return False
        return all(xs and xs[-1] >= max(self._settings.xlim) for xs in self.xs)

    def finish(self) -> None:
        """Show what has not been shown, and write the picture file."""
        if not self.xs or not any(self.xs):
            return
        if self._unseen and self._place == "notebook":
            self._show()
        elif self._unseen and self._place == "terminal":
            self._print_plot()
        if self._unsaved and (self._place != "notebook" or os.environ.get("LENET_FIGURES")):
            self._save()
        self._unseen = self._unsaved = False

    # --- the figure ---

    def figure(self) -> Figure:
        """The figure, with all points so far."""
        if self._figure is None:
            with _fonts_for(self._settings.texts()):
                self._figure = self._new_figure()
                self._set_axes()
            self._update_lines()
        return self._figure

    def _axes(self) -> Axes:
        assert self._figure is not None
        return self._given or self._figure.axes[0]

    def _set_axes(self) -> None:
        now = self._settings
        set_axes(
            *(self._axes(), now.xlabel, now.ylabel, now.xlim, now.ylim, now.xscale, now.yscale),
            None,
        )

    def _new_figure(self) -> Figure:
        if self._given is not None:
            theirs: Any = self._given.figure
            return theirs  # type: ignore[no-any-return]
        if self._place != "notebook" and _pyplot_can_show():
            import matplotlib.pyplot as plt

            return plt.subplots(*self._grid, figsize=self._figsize, layout="tight")[0]
        from matplotlib.figure import Figure

        figure = Figure(figsize=self._figsize, facecolor="white", layout="tight")
        figure.subplots(*self._grid)
        return figure

    def _update_lines(self) -> None:
        if self.xs is None or self.ys is None:
            return
        axes = self._axes()
        if len(self._lines) < len(self.xs):
            for _ in range(len(self._lines), len(self.xs)):
                style = self._styles[len(self._lines) % len(self._styles)]
                line = (
                    axes.plot([], [], style)[0]
                    if isinstance(style, str)
                    else axes.plot([], [], **style)[0]
                )
                self._lines.append(line)
                if line.get_marker() == "None":
                    self._bare.add(line)
            if self._names:
                count = min(len(self._lines), len(self._names))
                with _fonts_for(self._names):
                    axes.legend(self._lines[:count], self._names[:count])
        for line, xs, ys in zip(self._lines, self.xs, self.ys, strict=True):
            line.set_data(xs, ys)
            if line in self._bare:
                line.set_marker("o" if len(xs) == 1 else "None")  # one point makes no line
        axes.relim()
        axes.autoscale_view()

    # --- in a notebook ---

    def _show_soon(self) -> None:
        """Now, or if that would take too much of the time, at a later point."""
        if self._throttle.due():
            with self._throttle.timed():
                self._show()

    def _show(self) -> None:
        from lenet.drawing.figures import encoded

        ipython: Any = importlib.import_module("IPython")  # it has types only in part
        display = ipython.display
        picture = display.SVG(data=encoded(self.figure(), "svg").decode())
        if self._handle is None:
            self._handle = display.display(picture, display_id=True)
            if (shell := ipython.get_ipython()) is not None:
                _at_the_end_of_the_cell(shell, weakref.WeakMethod(self.finish))
        else:
            self._handle.update(picture)
        self._unseen = False

    # --- in a terminal ---

    def _print_line(self) -> None:
        now = time.perf_counter()
        if now < self._next_line or not self.xs or not self.ys:
            return
        self._next_line = now + max(LINE_INTERVAL_S, LINE_SHARE * (now - self._started))
        x = max(xs[-1] for xs in self.xs if xs) if any(self.xs) else 0.0
        named = zip(self._labels, self.ys, strict=True)
        values = [f"{name} {ys[-1]:.3f}" for name, ys in named if ys]
        print("  ".join([f"{self._settings.xlabel or 'x'} {x:.2f}", *values]), flush=True)

    def _print_plot(self) -> None:
        from rich.console import Console

        console = Console(file=sys.stdout)
        plain = console.options.ascii_only or os.environ.get("TERM") == "linux"
        curves = [*zip(self.xs or [], self.ys or [], strict=True)]
        width = min(console.width, 90) - 1
        scales = self._settings.xscale, self._settings.yscale
        lines = text_plot(curves, self._labels, scales, width, 16, ascii_only=plain)
        with contextlib.suppress(OSError, ValueError):  # the terminal is gone, or closed
            for line in lines:
                console.print(line, no_wrap=True)

    # --- in a file ---

    def _save(self) -> None:
        if self._given is not None:
            return
        from lenet.drawing.figures import encoded

        first = self._path is None
        if self._path is None:
            folder = Path(os.environ.get("LENET_FIGURES") or "")
            self._path = (folder / f"animator-{next(_numbers)}.png").absolute()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with _unknown_signs_allowed():
                write_atomically(self._path, encoded(self.figure(), "png", dpi=200))
        except OSError as error:  # the training's result is worth more than its picture
            tell(f"the curves could not be saved: {self._path}: {error.strerror or error}")
        else:
            if first:
                here = Path.cwd()
                path = self._path
                tell(
                    f"the curves are in {path.relative_to(here) if here in path.parents else path}"
                )


def finish_all() -> None:
    """Show what has not been shown, and write the picture files of all curves."""
    for curves in [*_drawn]:
        curves.finish()


def _place() -> Place:
    if live.in_notebook():
        return "notebook"
    try:
        return "terminal" if sys.stdout.isatty() else "elsewhere"
    except (AttributeError, ValueError):  # no standard output, or one that is closed
        return "elsewhere"


def _pyplot_can_show() -> bool:
    """Whether ``plt.show()`` has a window to show figures in, an IDE's included."""
    if os.environ.get("LENET_FIGURES") or threading.current_thread() is not threading.main_thread():
        return False
    if backend := os.environ.get("MPLBACKEND"):
        return backend.lower() != "agg"
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _at_the_end_of_the_cell(shell: Any, finish: weakref.WeakMethod[Any]) -> None:
    """Call ``finish`` after every cell, as long as its object is there."""

    def after_cell(*_: object) -> None:
        if (method := finish()) is not None:
            method()
        else:
            shell.events.unregister("post_run_cell", after_cell)

    shell.events.register("post_run_cell", after_cell)


@contextlib.contextmanager
def _fonts_for(texts: Sequence[str]) -> Iterator[None]:
    """Texts that are made inside may use a Chinese font, where there is one and they need it."""
    import matplotlib

    from lenet.drawing.figures import cjk_fonts

    with matplotlib.rc_context():
        if not all(text.isascii() for text in texts):
            matplotlib.rcParams["font.family"] = [*matplotlib.rcParams["font.family"], *cjk_fonts()]
        yield


@contextlib.contextmanager
def _unknown_signs_allowed() -> Iterator[None]:
    """No warning for a letter that no font here has: it is drawn as a box."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def tell(remark: str) -> None:
    """Say a remark beside the program's own output: in a notebook below it, else on
    standard error.
    """
    stream = sys.stdout if live.in_notebook() else sys.stderr
    with contextlib.suppress(AttributeError, OSError, ValueError):  # no such stream, or closed
        print(f"lenet: {remark}", file=stream, flush=True)
