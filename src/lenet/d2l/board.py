"""ProgressBoard, the curves of the book's current edition."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from lenet.d2l.growing_curves import Curves, Settings
from lenet.d2l.hyperparameters import HyperParameters
from lenet.d2l.plotting import FIGSIZE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Point(NamedTuple):
    """A point of a curve."""

    x: float
    y: float


class ProgressBoard(HyperParameters):
    """Curves that grow while ``draw`` gives them points, each curve with its label.

    They are shown where the program runs, as an Animator's are; with ``display`` off they are
    collected alone. ``data`` holds for each label the points that are drawn. Labels, limits and
    scales may be set at any time. ``axes`` of your own are drawn on instead of a new figure.
    """

    def __init__(
        self,
        xlabel: str | None = None,
        ylabel: str | None = None,
        xlim: Sequence[float] | None = None,
        ylim: Sequence[float] | None = None,
        xscale: str = "linear",
        yscale: str = "linear",
        ls: Sequence[str] = ("-", "--", "-.", ":"),
        colors: Sequence[str] = ("C0", "C1", "C2", "C3"),
        fig: Figure | None = None,
        axes: Axes | None = None,
        figsize: tuple[float, float] = FIGSIZE,
        display: bool = True,
    ) -> None:
        self.save_hyperparameters(ignore=["fig"])
        self._fig = fig
        self._curves: Curves | None = None
        self.raw_points: dict[str, list[tuple[Any, Any]]] = {}
        self.data: dict[str, list[Point]] = {}

    # what save_hyperparameters sets, for who reads this and for the type checker
    xlabel: str | None
    ylabel: str | None
    xlim: Sequence[float] | None
    ylim: Sequence[float] | None
    xscale: str
    yscale: str
    ls: Sequence[str]
    colors: Sequence[str]
    axes: Axes | None
    figsize: tuple[float, float]
    display: bool

    def __getstate__(self) -> dict[str, Any]:
        """A copy has the points, and draws them into a figure of its own."""
        return {**vars(self), "_fig": None, "_curves": None, "axes": None}

    @property
    def fig(self) -> Figure | None:
        """The figure with all points so far; None before the first, unless one was given."""
        return self._curves.figure() if self._curves is not None else self._fig

    @fig.setter
    def fig(self, figure: Figure | None) -> None:
        self._fig, self._curves = figure, None

    def draw(self, x: Any, y: Any, label: str, every_n: int = 1) -> None:
        """Add the mean of ``every_n`` calls' points to the curve of that label."""
        raw = self.raw_points.setdefault(label, [])
        line = self.data.setdefault(label, [])
        raw.append((_detached(x), _detached(y)))
        if len(raw) < every_n:
            return
        point = Point(*(float(sum(values) / len(raw)) for values in zip(*raw, strict=True)))
        raw.clear()
        line.append(point)
        if not self.display:
            return
        if self._curves is None:
            self._curves = self._new_curves()
            for earlier, points in self.data.items():  # collected while the display was off
                for past in points[:-1] if points is line else points:
                    self._curves.extend(earlier, *past)
        self._curves.set(self._settings())
        self._curves.extend(label, *point)

    def finish(self) -> None:
        """Show what has not been shown, and write the picture file."""
        if self._curves is not None:
            self._curves.finish()

    def _settings(self) -> Settings:
        return Settings(
            self.xlabel, self.ylabel, self.xlim, self.ylim, self.xscale, self.yscale, ()
        )

    def _new_curves(self) -> Curves:
        axes = self.axes
        if axes is None and self._fig is not None:
            axes = self._fig.gca()
        # As many styles as there are pairs before one comes again.
        styles = [
            {"linestyle": self.ls[n % len(self.ls)], "color": self.colors[n % len(self.colors)]}
            for n in range(len(self.ls) * len(self.colors))
        ]
        curves = Curves(self._settings(), styles, (1, 1), self.figsize, axes=axes)
        weakref.finalize(self, curves.finish)
        return curves


def _detached(value: Any) -> Any:
    """The number or tensor without its gradients; a GPU's is fetched when it is drawn."""
    return value.detach() if hasattr(value, "detach") else value
