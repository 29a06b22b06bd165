"""The d2l book's Animator: curves that are drawn while a loop trains."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lenet.d2l.growing_curves import Curves, Settings
from lenet.d2l.plotting import FIGSIZE, FORMATS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Animator:
    """Curves that are drawn while they grow, see ``growing_curves``.

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
        names = [legend] if isinstance(legend, str) else [*(legend or ())]
        settings = Settings(xlabel, ylabel, xlim, ylim, xscale, yscale, names)
        self._curves = Curves(settings, [*fmts], (nrows, ncols), figsize)
        # not a method of this object: that would keep it in use until Python ends
        self._end = weakref.finalize(self, self._curves.finish)

    def add(self, x: Any, y: Any) -> None:
        """Add points: ``y`` a number or one for each curve, ``x`` a number or one for each y.

        Where either is None that curve stays as it is. Tensors are detached.
        """
        ys = _numbers_in(y)
        xs = _numbers_in(x)
        self._curves.add(xs * len(ys) if len(xs) == 1 else xs, ys)

    @property
    def fig(self) -> Figure:
        """The figure, with all points so far."""
        return self._curves.figure()

    @property
    def axes(self) -> list[Axes]:
        """The figure's axes; the curves are in the first."""
        return [*self.fig.axes]

    @property
    def X(self) -> list[list[float]] | None:
        return self._curves.xs

    @property
    def Y(self) -> list[list[float]] | None:
        return self._curves.ys


def _numbers_in(values: Any) -> list[float | None]:
    """Numbers of a sequence, an array or a tensor, or of one number; None stays."""
    values = values.detach() if hasattr(values, "detach") else values
    alone = not hasattr(values, "__len__") or getattr(values, "ndim", 1) == 0
    return [
        None if v is None else float(v.detach() if hasattr(v, "detach") else v)
        for v in ([values] if alone else values)
    ]
