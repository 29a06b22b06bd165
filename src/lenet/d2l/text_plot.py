"""Curves drawn with characters, for a terminal."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text


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

    from lenet.drawing.terminal_plot import BRUSHES, GUTTER, Canvas

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
