"""Curves drawn with characters: what a training looks like in a terminal.

Braille patterns give 2×4 dots a character; where there is nothing but ASCII, one sign.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from rich.text import Text

from lenet.drawing.figures import PALETTE, points
from lenet.training import Reading


@dataclass(frozen=True)
class Brush:
    """How one curve looks in a terminal; without colours, too, no two look alike."""

    color: str
    sign: str  # where there is nothing but ASCII
    dash: tuple[int, int] = (1, 0)  # dots drawn, dots left out
    marker: str = ""  # for points measured once an epoch, instead of a line


BRUSHES: Final = {
    "train_loss": Brush(PALETTE["train_loss"], "*"),
    "train_acc": Brush(PALETTE["train_acc"], "+", dash=(3, 3)),
    "val_acc": Brush(PALETTE["val_acc"], "x", marker="◆"),
    "test_acc": Brush(PALETTE["test_acc"], "o", marker="●"),
}

_DASHES: Final = {(1, 0): "⠒⠒", (3, 3): "⠒ ⠒"}  # in the legend
GUTTER: Final = 6  # columns left of the axis: "epoch "
_BRAILLE: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by row and column


class Canvas:
    """A field of characters to draw on; in each 2×4 dots of Braille, or one ASCII sign.

    Places are (x, y) from (0, 0) at the lower left to (1, 1).
    """

    def __init__(self, columns: int, rows: int, ascii_only: bool = False) -> None:
        self.columns, self.rows, self._ascii = columns, rows, ascii_only
        self._across, self._down = (1, 1) if ascii_only else (2, 4)  # dots in a character
        self._dots: dict[tuple[int, int], int] = {}  # (row, column) -> the dots set in it
        self._brushes: dict[tuple[int, int], list[Brush]] = {}
        self._marks: dict[tuple[int, int], list[Brush]] = {}

    def dot(self, x: float, y: float) -> tuple[int, int]:
        """The dot (across, down) at a place; places outside are moved to the edge."""
        across, down = self.columns * self._across, self.rows * self._down
        # Height 1 is the middle of the first row, 0 that of the row below the last: there the
        # axis is drawn, and so a tick stands at the height of its value.
        row = math.floor((1 - y) * down + self._down / 2)
        column = math.floor(x * (across - 1) + 0.5)
        return min(max(column, 0), across - 1), min(max(row, 0), down - 1)

    def cell(self, x: float, y: float) -> tuple[int, int]:
        """The character (row, column) at a place."""
        across, down = self.dot(x, y)
        return down // self._down, across // self._across

    def line(self, places: Sequence[tuple[float, float]], brush: Brush) -> None:
        """Straight lines from place to place, or one dot."""
        dots = [self.dot(x, y) for x, y in places]
        path = dots[:1]
        for (x0, y0), (x1, y1) in pairwise(dots):
            steps = max(abs(x1 - x0), abs(y1 - y0))
            path += [
                (x0 + round((x1 - x0) * step / steps), y0 + round((y1 - y0) * step / steps))
                for step in range(1, steps + 1)
            ]
        drawn, left_out = brush.dash if not self._ascii else (1, 0)
        for index, (across, down) in enumerate(path):
            if index % (drawn + left_out) < drawn:
                cell = down // self._down, across // self._across
                bit = _BRAILLE[down % self._down][across % self._across]
                self._dots[cell] = self._dots.get(cell, 0) | bit
                _add(self._brushes, cell, brush)

    def marks(self, places: Sequence[tuple[float, float]], brush: Brush) -> None:
        """A marker at each place but those too near the one before; the last always has one."""
        cells = [self.cell(x, y) for x, y in places]
        last_column = -3
        for cell in cells:
            if cell[1] >= last_column + 3 or cell == cells[-1]:
                last_column = cell[1]
                _add(self._marks, cell, brush)

    def text(self, row: int) -> Text:
        """One row of characters, with colours."""
        text = Text()
        for column in range(self.columns):
            cell = row, column
            # Where curves meet in one character its colour is that of each by turns.
            if brushes := self._marks.get(cell):
                brush = brushes[column // 2 % len(brushes)]
                text.append(brush.sign if self._ascii else brush.marker, brush.color)
            elif brushes := self._brushes.get(cell):
                brush = brushes[column % len(brushes)]
                sign = brush.sign if self._ascii else chr(0x2800 + self._dots[cell])
                text.append(sign, brush.color)
            else:
                text.append(" ")
        return text


def _add(brushes: dict[tuple[int, int], list[Brush]], cell: tuple[int, int], brush: Brush) -> None:
    here = brushes.setdefault(cell, [])
    if brush not in here:
        here.append(brush)


def draw_curves(
    readings: Sequence[Reading],
    epochs: int,
    width: int,
    height: int,
    *,
    ascii_only: bool = False,
) -> list[Text]:
    """The curves over the epochs, at most ``height`` lines of at most ``width`` characters.

    Legend, plot and axes; in a small window the legend alone, which holds the last values.
    """
    legend = _legend(readings, width, ascii_only)
    readings = [reading for reading in readings if math.isfinite(reading.train_loss)]
    columns, rows = width - GUTTER - 2, height - 3
    if columns < 30 or rows < 5:
        return [legend]
    values = [value for name in BRUSHES for value in points(readings, name)[1]]
    step, top, rows = ticks(max([1.0, *values]), rows)
    canvas = Canvas(columns, rows, ascii_only)
    for name, brush in BRUSHES.items():
        xs, ys = points(readings, name)
        places = [(x / epochs, y / top) for x, y in zip(xs, ys, strict=True)]
        (canvas.marks if brush.marker else canvas.line)(places, brush)

    labels = _y_labels(canvas, step, top)
    tick, wall = ("+", "|") if ascii_only else ("┤", "│")
    plot = [
        Text.assemble(
            (f"{labels.get(row, ''):>{GUTTER - 1}} ", "dim"),
            (tick if row in labels else wall, "dim"),
            canvas.text(row),
        )
        for row in range(rows)
    ]
    lines = [legend, *plot, *_x_axis(canvas, epochs, ascii_only)]
    for line in lines:
        line.rstrip()
    return lines


def _legend(readings: Sequence[Reading], width: int, ascii_only: bool) -> Text:
    """Each curve's look, name and last value, in the longest form that there is room for."""
    entries, short, bare = [], [], []
    for name, brush in BRUSHES.items():
        values = points(readings, name)[1]
        if values or name != "val_acc":
            sign = brush.sign if ascii_only else brush.marker or _DASHES[brush.dash]
            value = f" {values[-1]:{'.3f' if values[-1] < 1000 else '.3g'}}" if values else ""
            label = "loss" if name == "train_loss" else name.removesuffix("_acc")
            look = Text(f"{sign} ", brush.color)
            entries.append(look + Text(name.replace("_", " ") + value))
            short.append(look + Text(label + value))
            bare.append(Text(label + value))
    head = Text("value".rjust(GUTTER - 1) + "  ", "dim")
    forms = [
        head + Text("   ").join(entries),
        Text("  ").join(entries),
        Text("  ").join(short),
        Text(" ").join(bare),
    ]
    legend = next((form for form in forms if form.cell_len <= width), forms[-1])
    legend.truncate(width)
    return legend


def ticks(highest: float, rows: int) -> tuple[float, float, int]:
    """A step of 1, 2 or 5 times a power of ten, where the axis ends, and how many rows it takes.

    The rows are a multiple of the ticks, so that these lie evenly; of the steps that is taken with
    which the values fill most of the window, rather one with more ticks.

    >>> ticks(2.31, rows=17), ticks(2.61, rows=17), ticks(38, rows=10)
    ((0.5, 2.5, 15), (1.0, 3.0, 15), (20.0, 40.0, 10))
    """
    power = 10.0 ** (math.floor(math.log10(highest)) - 1)
    best, choice = 0.0, (highest, highest, rows)
    for step in (power * factor for factor in (1, 2, 5, 10, 20, 50, 100)):
        count = math.ceil(highest / step - 1e-9)
        if count <= min(6, rows // 2):
            taken = rows - rows % count
            worth = highest / (step * count) * taken * (1 + 0.03 * count)
            if worth > best:
                best, choice = worth, (step, step * count, taken)
    return choice


def _y_labels(canvas: Canvas, step: float, top: float) -> dict[int, str]:
    """The text beside each row that has a tick."""
    digits = max(0, -math.floor(math.log10(step)))
    heights = [step * k for k in range(1, round(top / step) + 1)]
    labels = {canvas.cell(0, height / top)[0]: f"{height:.{digits}f}" for height in heights}
    if max(map(len, labels.values())) < GUTTER:
        return labels
    power = math.floor(math.log10(step))  # a training that runs away: 15e6
    return {row: f"{float(label) / 10**power:.0f}e{power}" for row, label in labels.items()}


def _x_axis(canvas: Canvas, epochs: int, ascii_only: bool) -> list[Text]:
    """The axis with its ticks, and their numbers below."""
    corner, line, tick = "+-+" if ascii_only else "└─┬"
    room = len(str(epochs)) + 3
    steps = (m * 10**power for power in range(8) for m in (1, 2, 5))
    step = next(step for step in steps if step * canvas.columns >= room * epochs)
    axis, numbers = [line] * canvas.columns, [" "] * (canvas.columns + room)
    for epoch in range(0, epochs + 1, step):
        column = canvas.cell(epoch / epochs, 0)[1]
        axis[column] = tick
        number = str(epoch)
        first = max(0, column + 1 - len(number) // 2)
        numbers[first : first + len(number)] = number
    return [
        Text(f"{'0':>{GUTTER - 1}} {corner}" + "".join(axis), "dim"),
        Text("epoch".ljust(GUTTER) + "".join(numbers), "dim"),
    ]


def sparkline(values: Sequence[float | None], width: int = 20, *, ascii_only: bool = False) -> str:
    """The course of the values in one line, at most ``width`` signs; a blank where none is finite.

    >>> sparkline([2.3, 1.1, 0.7, 0.6, None, 0.5])
    '█▃▁▁ ▁'
    >>> sparkline([1, 2, 3, 4], ascii_only=True)
    "_.-'"
    """
    levels = "_.-'" if ascii_only else "▁▂▃▄▅▆▇█"
    count = min(width, len(values))
    edges = [round(index * len(values) / max(count, 1)) for index in range(count + 1)]
    buckets = [
        [value for value in values[a:b] if value is not None and math.isfinite(value)]
        for a, b in pairwise(edges)
    ]
    # Divided before they are added: a training that runs away reaches the largest numbers.
    means = [sum(v / len(bucket) for v in bucket) if bucket else None for bucket in buckets]
    finite = [mean for mean in means if mean is not None]
    low, high = min(finite, default=0.0), max(finite, default=0.0)

    def sign(mean: float | None) -> str:
        if mean is None:
            return " "
        height = (mean / 2 - low / 2) / (high / 2 - low / 2) if high > low else 0.5
        return levels[min(int(height * len(levels)), len(levels) - 1)]

    return "".join(map(sign, means))
