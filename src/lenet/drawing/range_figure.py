"""The curve of a range test: the loss over the learning rate, as a figure and in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from lenet.drawing.figures import GREY, INK, PALETTE, blank, said, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.text import Text

    from lenet.language.asked import Language


class Curve(Protocol):
    """What of ``runs.range_test.Curve`` is drawn."""

    @property
    def learning_rates(self) -> NDArray[np.float64]: ...
    @property
    def losses(self) -> NDArray[np.float64]: ...
    @property
    def smoothed(self) -> NDArray[np.float64]: ...


def range_figure(
    curves: Sequence[Curve], chosen: float, title: str, language: Language = "en"
) -> Figure:
    """The loss of each batch, grey, and smoothed; a line where the chosen rate is."""
    title = said(title, language)
    with style([title]):
        figure = blank(6.4, 3.6)
        axes = figure.add_axes((0.1, 0.15, 0.86, 0.73))
        highest = max(float(curve.smoothed.max()) for curve in curves)
        for curve, dash in zip(curves, "-:" * len(curves), strict=False):
            rates = curve.learning_rates
            axes.plot(rates, curve.losses, color=GREY, linewidth=0.6, alpha=0.6)
            axes.plot(rates, curve.smoothed, dash, color=PALETTE["train_loss"], linewidth=1.6)
        axes.axvline(chosen, color=PALETTE["train_acc"], linewidth=1.4, linestyle="--")
        axes.text(
            chosen,
            highest * 1.08,
            f" {chosen:g}",
            color=PALETTE["train_acc"],
            fontsize=8.5,
            verticalalignment="top",
        )
        axes.set_xscale("log")
        axes.set_ylim(0, highest * 1.1)
        axes.set_xlabel(said("learning rate, rising from step to step", language))
        axes.set_ylabel(said("training loss", language))
        axes.set_title(title, color=INK)
    return figure


def range_text(
    curves: Sequence[Curve],
    chosen: float,
    width: int,
    height: int = 12,
    *,
    ascii_only: bool = False,
) -> list[Text]:
    """The smoothed curves with characters, the chosen rate as a column of marks."""
    from rich.text import Text

    from lenet.drawing.terminal_plot import BRUSHES, Canvas

    columns = max(20, min(width - 8, 72))
    canvas = Canvas(columns, height, ascii_only)
    ends = [curve.learning_rates[[0, -1]] for curve in curves]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    top = max(float(curve.smoothed.max()) for curve in curves) * 1.05

    def across(rate: float) -> float:
        return float(np.log(rate / low) / np.log(high / low))

    for curve in curves:
        places = [
            (across(rate), loss / top)
            for rate, loss in zip(curve.learning_rates, curve.smoothed, strict=True)
        ]
        canvas.line(places, BRUSHES["train_loss"])
    canvas.line([(across(chosen), 0.0), (across(chosen), 1.0)], BRUSHES["train_acc"])
    labels = {0: f"{top:.2f}", height // 2: f"{top / 2:.2f}"}
    rows = [
        Text(f"{labels.get(row, ''):>6} {'|' if ascii_only else '│'}") + canvas.text(row)
        for row in range(height)
    ]
    corner, line = ("+", "-") if ascii_only else ("└", "─")
    ticks = [" "] * (columns + 8)
    for power in range(int(np.ceil(np.log10(low))), int(np.floor(np.log10(high))) + 1):
        text = f"{10.0**power:g}"
        at = min(int(across(10.0**power) * (columns - 1)), columns - len(text))
        ticks[at : at + len(text)] = text
    return [
        Text("  loss, over the learning rate"),
        *rows,
        Text(" " * 7 + corner + line * columns),
        Text(" " * 8 + "".join(ticks[:columns]).rstrip()),
    ]
