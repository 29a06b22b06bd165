"""The d2l book's Animator: curves that are drawn while a loop trains.

An Animator shows its curves where the program runs: in a notebook a figure that grows in place, in
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
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from lenet import live
from lenet.files import write_atomically
from lenet.plotting import FIGSIZE, FORMATS, set_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from rich.text import Text

LINE_INTERVAL_S: Final = 0.5  # in a terminal; longer as the training goes on
LINE_SHARE: Final = 0.05

Place = Literal["notebook", "terminal", "elsewhere"]

_numbers = itertools.count(1)  # of the picture files that this process writes


class Animator:
    """Curves that are drawn while they grow, see the module's first lines.

    ``add(x, y)`` adds a point to each curve; ``fig``, ``axes`` (a list), ``X`` and ``Y`` (a list
    for each curve, None before the first point) are as in the book. The picture file is written
    when every curve has reached the end of ``xlim``, or else when the Animator is no longer used:
    at the latest when Python ends.
    """

    def __init__(
        self,
        xlabel: str | None = None,
        ylabel: str | None = None,
        legend: Sequence[str] | None = None,
        xlim: Sequence[float] | None = None,
        ylim: Sequence[float] | None = None,
        xscale: str = "linear",
        yscale: str = "linear",
        fmts: Sequence[str] = FORMATS,
        nrows: int = 1,
        ncols: int = 1,
        figsize: tuple[float, float] = FIGSIZE,
    ) -> None:
        names = [*legend] if legend else []
        settings = (xlabel, ylabel, xlim, ylim, xscale, yscale, names)
        self._drawing = _Drawing(settings, [*fmts], (nrows, ncols), figsize)
        # not a method of this object: that would keep it in use until Python ends
        self._end = weakref.finalize(self, self._drawing.finish)

    def add(self, x: Any, y: Any) -> None:
        """Add points: ``y`` a number or one for each curve, ``x`` a number or one for each y.

        Where either is None that curve stays as it is. Tensors are detached.
        """
        self._drawing.add(x, y)

    @property
    def fig(self) -> Figure:
        """The figure, with all points so far."""
        return self._drawing.figure()

    @property
    def axes(self) -> list[Axes]:
        """The figure's axes; the curves are in the first."""
        return [*self.fig.axes]

    @property
    def X(self) -> list[list[float]] | None:
        return self._drawing.xs

    @property
    def Y(self) -> list[list[float]] | None:
        return self._drawing.ys


class _Drawing:
    """What an Animator has drawn, and where it is shown."""

    def __init__(
        self,
        settings: tuple[Any, ...],
        formats: list[str],
        grid: tuple[int, int],
        figsize: tuple[float, float],
    ) -> None:
        self.xs: list[list[float]] | None = None
        self.ys: list[list[float]] | None = None
        self._xlabel, self._ylabel, self._xlim, self._ylim, *scales, self._names = settings
        self._scales = scales
        self._formats, self._grid, self._figsize = formats, grid, figsize
        self._figure: Figure | None = None
        self._lines: list[Line2D] = []
        self._bare: set[Line2D] = set()  # those whose format has no marker
        self._place = _place()
        self._handle: Any = None  # of the picture in a notebook
        self._throttle = live.Throttle(live.NOTEBOOK_INTERVAL_S, live.NOTEBOOK_SHARE)
        self._ends = live.Throttle(live.NOTEBOOK_INTERVAL_S, live.NOTEBOOK_SHARE)
        self._labels: list[str] = []  # one a curve, for the terminal
        self._started = time.perf_counter()
        self._next_line = -math.inf
        self._unseen = self._unsaved = False  # whether there are points not shown, not in the file
        self._path: Path | None = None
        if self._place != "notebook" and _pyplot_can_show():
            self.figure()  # for plt.show()

    # --- points ---

    def add(self, x: Any, y: Any) -> None:
        ys = _numbers_in(y)
        xs = _numbers_in(x)
        if len(xs) == 1:
            xs *= len(ys)
        if self.xs is None or self.ys is None:
            self.xs, self.ys = [[] for _ in ys], [[] for _ in ys]
            unnamed = [f"curve {n + 1}" for n in range(len(self._names), len(ys))]
            self._labels = [*self._names, *unnamed][: len(ys)]
        if not len(xs) == len(ys) <= len(self.ys):
            raise ValueError(
                f"{len(xs)} x and {len(ys)} y were given, for an Animator of {len(self.ys)} curves"
            )
        for index, (x_, y_) in enumerate(zip(xs, ys, strict=True)):
            if x_ is not None and y_ is not None:
                self.xs[index].append(x_)
                self.ys[index].append(y_)
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
        if self._xlim is None or not self.xs:
            return False
        return all(xs and xs[-1] >= max(self._xlim) for xs in self.xs)

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
        if self._figure is None:
            with _fonts_for([self._xlabel or "", self._ylabel or "", *self._names]):
                self._figure = self._new_figure()
                set_axes(
                    *(self._figure.axes[0], self._xlabel, self._ylabel, self._xlim, self._ylim),
                    *(self._scales[0], self._scales[1], None),
                )
            self._update_lines()
        return self._figure

    def _new_figure(self) -> Figure:
        if self._place != "notebook" and _pyplot_can_show():
            import matplotlib.pyplot as plt

            return plt.subplots(*self._grid, figsize=self._figsize, layout="tight")[0]
        from matplotlib.figure import Figure

        figure = Figure(figsize=self._figsize, facecolor="white", layout="tight")
        figure.subplots(*self._grid)
        return figure

    def _update_lines(self) -> None:
        assert self._figure is not None
        if self.xs is None or self.ys is None:
            return
        axes = self._figure.axes[0]
        if not self._lines:
            formats = itertools.cycle(self._formats)
            self._lines = [axes.plot([], [], next(formats))[0] for _ in self.xs]
            self._bare = {line for line in self._lines if line.get_marker() == "None"}
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
        from lenet.figures import encoded

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
        print("  ".join([f"{self._xlabel or 'x'} {x:.2f}", *values]), flush=True)

    def _print_plot(self) -> None:
        from rich.console import Console

        console = Console(file=sys.stdout)
        plain = console.options.ascii_only or os.environ.get("TERM") == "linux"
        curves = [*zip(self.xs or [], self.ys or [], strict=True)]
        width = min(console.width, 90) - 1
        lines = text_plot(curves, self._labels, self._scales, width, 16, ascii_only=plain)
        with contextlib.suppress(OSError, ValueError):  # the terminal is gone, or closed
            for line in lines:
                console.print(line, no_wrap=True)

    # --- in a file ---

    def _save(self) -> None:
        from lenet.figures import encoded

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


def text_plot(
    curves: Sequence[tuple[Sequence[float], Sequence[float]]],
    names: Sequence[str],
    scales: Sequence[str],
    width: int,
    height: int,
    *,
    ascii_only: bool = False,
) -> list[Text]:
    """Curves, each (xs, ys), drawn with characters: a legend and ``height`` lines.

    ``scales`` are matplotlib's for x and y; of them "log" is known. What is not finite is left out.
    """
    from rich.text import Text

    from lenet.terminal_plot import BRUSHES, GUTTER, Canvas

    places = [
        [(_scaled(x, scales[0]), _scaled(y, scales[1])) for x, y in zip(xs, ys, strict=True)]
        for xs, ys in curves
    ]
    places = [[(x, y) for x, y in line if math.isfinite(x + y)] for line in places]
    points = [point for line in places for point in line]
    if not points:
        return []
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    low, high = min(y for _, y in points), max(y for _, y in points)
    if scales[1] != "log" and 0 <= low <= high / 2:
        low = 0.0
    across, up = right - left or 1.0, high - low or 1.0

    canvas = Canvas(max(width - GUTTER - 2, 8), height - 2, ascii_only)
    brushes = [replace(brush, marker="●") for brush in BRUSHES.values()]
    legend = []
    for line, name, brush in zip(places, names, itertools.cycle(brushes), strict=False):
        (canvas.line if len(line) > 1 else canvas.marks)(
            [((x - left) / across, (y - low) / up) for x, y in line], brush
        )
        sign = brush.sign if ascii_only else "⠒ ⠒" if brush.dash[1] else "⠒⠒"
        legend.append(Text(f"{sign} ", brush.color) + Text(name))
    wall, corner, edge = "|+-" if ascii_only else "│└─"
    labels = {0: _short(_unscaled(high, scales[1]))}
    rows = [
        Text(f"{labels.get(row, ''):>{GUTTER - 1}} {wall}", "dim") + canvas.text(row)
        for row in range(canvas.rows)
    ]
    floor = f"{_short(_unscaled(low, scales[1])):>{GUTTER - 1}} {corner}" + edge * canvas.columns
    first, last = (f"{_unscaled(x, scales[0]):.4g}" for x in (left, right))
    numbers = " " * (GUTTER + 1) + first + last.rjust(canvas.columns - len(first))
    return [Text("   ").join(legend), *rows, Text(floor, "dim"), Text(numbers, "dim")]


def _scaled(value: float, scale: str) -> float:
    if scale != "log":
        return value
    return math.log10(value) if value > 0 else math.nan


def _short(value: float) -> str:
    """As many digits as five signs hold."""
    forms = [f"{value:.{digits}g}" for digits in (4, 3, 2, 1)]
    return next((form for form in forms if len(form) <= 5), forms[-1])


def _unscaled(value: float, scale: str) -> float:
    return 10**value if scale == "log" else value


def _numbers_in(values: Any) -> list[float | None]:
    """Numbers of a sequence, an array or a tensor, or of one number; None stays."""
    values = values.detach() if hasattr(values, "detach") else values
    alone = not hasattr(values, "__len__") or getattr(values, "ndim", 1) == 0
    return [
        None if v is None else float(v.detach() if hasattr(v, "detach") else v)
        for v in ([values] if alone else values)
    ]


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

    from lenet.figures import cjk_fonts

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
    """Nothing; a remark stands beside the program's own output: in a notebook below it, else on
    standard error.
    """
    stream = sys.stdout if live.in_notebook() else sys.stderr
    with contextlib.suppress(AttributeError, OSError, ValueError):  # no such stream, or closed
        print(f"lenet: {remark}", file=stream, flush=True)
