"""plot, show_images and set_axes as the d2l book has them, on pyplot.

pyplot is imported when something is drawn. Where there is neither a display nor a notebook,
matplotlib draws without one.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lenet.drawing import live

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS: Final = ("-", "m--", "g-.", "r:")
FIGSIZE: Final = (3.5, 2.5)  # inches


def use_svg_display() -> None:
    """Make pyplot's figures in a notebook sharp at every size, from now on."""
    if live.in_notebook():
        inline: Any = importlib.import_module("matplotlib_inline.backend_inline")  # has no types
        inline.set_matplotlib_formats("svg")


def set_figsize(figsize: tuple[float, float] = FIGSIZE) -> None:
    """Give the figures that pyplot makes from now on this width and height in inches."""
    import matplotlib.pyplot as plt

    use_svg_display()
    plt.rcParams["figure.figsize"] = figsize


def set_axes(
    axes: Axes,
    xlabel: str | None,
    ylabel: str | None,
    xlim: Sequence[float] | None,
    ylim: Sequence[float] | None,
    xscale: str,
    yscale: str,
    legend: Sequence[str] | None,
) -> None:
    """Give the axes labels, limits, scales, a legend and a grid.

    Limits that are equal (the epochs of a training of one epoch) are left to matplotlib.
    """
    axes.set_xlabel(xlabel or "")
    axes.set_ylabel(ylabel or "")
    axes.set_xscale(xscale)
    axes.set_yscale(yscale)
    if xlim is not None and xlim[0] != xlim[1]:
        axes.set_xlim(xlim[0], xlim[1])
    if ylim is not None and ylim[0] != ylim[1]:
        axes.set_ylim(ylim[0], ylim[1])
    if legend:
        axes.legend([*legend])
    axes.grid(True)


def plot(
    X: Any,
    Y: Any = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
    legend: Sequence[str] | None = None,
    xlim: Sequence[float] | None = None,
    ylim: Sequence[float] | None = None,
    xscale: str = "linear",
    yscale: str = "linear",
    fmts: Sequence[str] = FORMATS,
    figsize: tuple[float, float] = FIGSIZE,
    axes: Axes | None = None,
) -> None:
    """Draw curves in ``axes``, or in pyplot's.

    ``X`` and ``Y`` are one curve each (numbers) or several (sequences of numbers, one ``X`` for
    all or one each); without ``Y``, ``X`` holds the heights.
    """
    import matplotlib.pyplot as plt

    set_figsize(figsize)
    axes = axes or plt.gca()
    curves_x, curves_y = _curves(X), _curves(Y) if Y is not None else None
    if curves_y is None:
        curves_x, curves_y = [None] * len(curves_x), curves_x
    elif len(curves_x) != len(curves_y):
        curves_x = curves_x[:1] * len(curves_y)
    axes.cla()
    for x, y, fmt in zip(curves_x, curves_y, itertools.cycle(fmts), strict=False):
        axes.plot(*([y] if x is None or not len(x) else [x, y]), fmt)
    set_axes(axes, xlabel, ylabel, xlim, ylim, xscale, yscale, legend)


def _curves(values: Any) -> list[Any]:
    """One array a curve, of numbers or of sequences of numbers."""
    dimensions = [getattr(value, "ndim", int(hasattr(value, "__len__"))) for value in values]
    return [_array(value) for value in values] if any(dimensions) else [_array(values)]


def _array(values: Any) -> Any:
    values = values.detach().cpu() if hasattr(values, "detach") else values
    return np.asarray([_array(v) for v in values] if isinstance(values, list) else values, float)


def show_images(
    imgs: Iterable[Any],
    num_rows: int,
    num_cols: int,
    titles: Sequence[str] | None = None,
    scale: float = 1.5,
) -> Any:
    """The axes (num_rows · num_cols,) in which pyplot shows pictures, row by row.

    ``imgs`` are tensors or arrays (height, width), (1, height, width), (height, width, channels),
    or PIL pictures.
    """
    import matplotlib.pyplot as plt

    figsize = (num_cols * scale, num_rows * scale)
    grid = plt.subplots(num_rows, num_cols, figsize=figsize, squeeze=False)[1].flatten()
    for index, (axes, img) in enumerate(zip(grid, imgs, strict=False)):
        picture = np.asarray(img.detach().cpu() if hasattr(img, "detach") else img)
        axes.imshow(picture[0] if picture.ndim == 3 and picture.shape[0] == 1 else picture)
        axes.xaxis.set_visible(False)
        axes.yaxis.set_visible(False)
        if titles is not None:
            axes.set_title(titles[index])
    if titles is not None and any("\n" in str(title) for title in titles):
        grid[0].figure.tight_layout()  # the usual distance between rows has room for one line
    return grid
