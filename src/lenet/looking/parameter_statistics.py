"""A network's parameters in words and figures: shapes, first values, statistics, histograms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lenet.drawing.tensor_text import tensor_text
from lenet.language.asked import known_language
from lenet.network.architecture import Network
from lenet.network.layers import Shape, show_shape
from lenet.network.parameters import Parameters, parameter_shapes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIRST = 10  # values that tutorial 004 prints of each parameter
BINS = 24
NEAR_ZERO = 0.01  # of the largest size: what is smaller counts as near zero
BLOCKS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class ParameterStatistics:
    """One parameter's values in figures."""

    name: str  # "0.weight"
    shape: Shape
    first: NDArray[np.float32]  # its first 10 values
    count: int
    minimum: float
    maximum: float
    mean: float
    deviation: float  # of the population: divided by the count
    near_zero: float  # share of values smaller than a hundredth of the largest, 0 to 1
    not_finite: int  # NaN and infinite values; the figures above are of the others
    counts: NDArray[np.int64]  # (24,) histogram over ``edges``
    edges: NDArray[np.float64]  # (25,) from minus the largest size to plus it


@dataclass(frozen=True)
class Statistics:
    """Every parameter of a network; a notebook shows their histograms."""

    network: str
    parameters: tuple[ParameterStatistics, ...]

    def __str__(self) -> str:
        return to_text(self)

    def figure(self) -> Figure:
        """A histogram of each parameter."""
        from lenet.drawing import maps

        panels = [
            (
                f"{row.name}  {show_shape(row.shape)}",
                f"mean {_signed(row.mean)}, deviation {row.deviation:.2g}",
                row.counts,
                row.edges,
            )
            for row in self.parameters
        ]
        title = f"Parameters of {self.network}"
        return maps.histograms(panels, title, known_language(None))

    def _repr_png_(self) -> bytes:
        from lenet.drawing import figures

        return figures.encoded(self.figure(), "png", dpi=110)


def statistics(network: Network, parameters: Parameters) -> Statistics:
    """The statistics of each parameter, in the order of the layers."""
    rows = tuple(_measure(name, parameters[name]) for name in parameter_shapes(network))
    return Statistics(network.name, rows)


def _measure(name: str, values: NDArray[np.float32]) -> ParameterStatistics:
    flat = values.astype(np.float64).ravel()
    finite = flat[np.isfinite(flat)]
    largest = float(np.abs(finite).max(initial=0.0))
    counts, edges = np.histogram(finite, BINS, (-(largest or 1.0), largest or 1.0))
    nothing = not finite.size
    return ParameterStatistics(
        name=name,
        shape=values.shape,
        first=values.ravel()[:FIRST],
        count=values.size,
        minimum=np.nan if nothing else float(finite.min()),
        maximum=np.nan if nothing else float(finite.max()),
        mean=np.nan if nothing else float(finite.mean()),
        deviation=np.nan if nothing else float(finite.std()),
        near_zero=np.nan if nothing else float(np.mean(np.abs(finite) <= NEAR_ZERO * largest)),
        not_finite=int(flat.size - finite.size),
        counts=counts,
        edges=edges,
    )


def to_text(statistics: Statistics, width: int = 80, *, ascii_only: bool = False) -> str:
    """Names, shapes and first values as tutorial 004 prints them, then a table of statistics."""
    parts = []
    for row in statistics.parameters:
        shape = str(row.shape)
        parts += [f"{row.name}: shape={shape}", tensor_text(row.first)]
    return "\n".join([*parts, "", *_table(statistics, width, ascii_only)])


def _table(statistics: Statistics, width: int, ascii_only: bool) -> list[str]:
    header = ("parameter", "values", "min", "max", "mean", "deviation", "near 0")
    rows = [
        (
            row.name,
            f"{row.count:,}",
            f"{row.minimum:.4f}",
            f"{row.maximum:.4f}",
            f"{row.mean:.4f}",
            f"{row.deviation:.4f}",
            f"{row.near_zero:.1%}",
        )
        for row in statistics.parameters
    ]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    room = min(BINS, width - sum(widths) - 2 * len(widths))
    bins = next((n for n in (24, 12, 8, 6) if n <= room), 0)

    def line(cells: tuple[str, ...], histogram: str) -> str:
        first, *others = (
            cell.rjust(size) if index else cell.ljust(size)
            for index, (cell, size) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join([first, *others, histogram]).rstrip()

    lines = [line(header, "histogram" if bins >= 9 else "")]
    for cells, row in zip(rows, statistics.parameters, strict=True):
        lines.append(line(cells, _blocks(row.counts, bins, ascii_only)))
    lines += [
        "",
        f"near 0: share of values of at most {NEAR_ZERO:g} of the largest one's size",
    ]
    if bins:
        lines.append("histogram: from minus the largest size to plus it, zero in the middle")
    broken = [(row.name, row.not_finite) for row in statistics.parameters if row.not_finite]
    lines += [f"{name}: {count:,} values are not finite" for name, count in broken]
    return lines


def _blocks(counts: NDArray[np.int64], bins: int, ascii_only: bool) -> str:
    """A histogram in one line of ``bins`` signs; what is there at all shows."""
    if not bins or not counts.any():
        return ""
    grouped = counts.reshape(bins, -1).sum(axis=1)
    levels = " .-=#" if ascii_only else BLOCKS
    steps = np.ceil(grouped / grouped.max() * (len(levels) - 1)).astype(int)
    return "".join(levels[step] for step in steps)


def to_json(statistics: Statistics) -> list[dict[str, Any]]:
    """One object a parameter: ``name``, ``shape``, ``first``, ``count``, ``minimum``, ``maximum``,
    ``mean``, ``deviation``, ``near_zero`` (0 to 1), ``not_finite``, ``counts``, ``edges``."""
    return [
        {
            "name": row.name,
            "shape": list(row.shape),
            "first": row.first.tolist(),
            "count": row.count,
            "minimum": row.minimum,
            "maximum": row.maximum,
            "mean": row.mean,
            "deviation": row.deviation,
            "near_zero": row.near_zero,
            "not_finite": row.not_finite,
            "counts": row.counts.tolist(),
            "edges": row.edges.tolist(),
        }
        for row in statistics.parameters
    ]


def _signed(value: float) -> str:
    return f"{value:.2g}".replace("-", "−")
