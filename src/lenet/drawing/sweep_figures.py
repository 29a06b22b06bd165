"""What a sweep found, as figures: settings with intervals, their curves, numbers that vary."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lenet.drawing.figures import GREY, INK, PALETTE, blank, said, style
from lenet.language.asked import Language

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS: Final = 40
COLOR: Final = PALETTE["train_loss"]
BEST: Final = PALETTE["train_acc"]


@dataclass(frozen=True)
class Mark:
    """A setting in a figure."""

    label: str
    mean: float
    low: float | None
    high: float | None
    values: tuple[float, ...]  # one a seed
    curve: tuple[float, ...]  # by epoch
    finished: bool
    best: bool


def settings_figure(marks: Sequence[Mark], title: str, language: Language = "en") -> Figure:
    """A row a setting, best first: its seeds as points, its mean, the 95% interval of that.

    Hollow ones were given up early. At most ``MOST_ROWS`` rows.
    """
    marks = marks[:MOST_ROWS]
    title, across = said(title, language), said("held-out accuracy", language)
    longest = max((len(mark.label) for mark in marks), default=0)
    left_in = min(4.2, 0.3 + 0.064 * longest)
    height_in = 1.0 + 0.2 * len(marks)
    width_in = left_in + 4.4
    with style([title, across, *(mark.label for mark in marks)]):
        figure = blank(width_in, height_in)
        axes = figure.add_axes(
            (left_in / width_in, 0.5 / height_in, 4.2 / width_in, 1 - 0.9 / height_in)
        )
        for row, mark in enumerate(marks):
            color = BEST if mark.best else COLOR if mark.finished else GREY
            if mark.low is not None and mark.high is not None:
                dashes = "-" if mark.finished else ":"
                axes.plot([mark.low, mark.high], [row, row], dashes, color=color, linewidth=1.4)
            axes.plot(mark.values, [row] * len(mark.values), "|", color=color, markersize=5)
            filled = color if mark.finished else "white"
            axes.plot([mark.mean], [row], "o", color=color, mfc=filled, markersize=4.5)
        values = [value for mark in marks for value in mark.values]
        margin = 0.04 * (max(values) - min(values)) + 0.005
        axes.set_xlim(max(0, min(values) - margin), min(1, max(values) + margin))
        axes.set_ylim(len(marks) - 0.5, -0.5)
        axes.set_yticks(range(len(marks)), [_short(mark.label) for mark in marks])
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(across)
        axes.set_title(title, color=INK)
    return figure


def curves_figure(marks: Sequence[Mark], title: str, language: Language = "en") -> Figure:
    """The mean held-out accuracy of each setting by epoch; the best one thick, dots: given up."""
    title, up = said(title, language), said("held-out accuracy", language)
    with style([title, up]):
        figure = blank(6.4, 3.6)
        axes = figure.add_axes((0.1, 0.15, 0.86, 0.73))
        longest = 1
        for mark in sorted(marks, key=lambda mark: (mark.best, mark.finished)):
            epochs = range(1, len(mark.curve) + 1)
            longest = max(longest, len(mark.curve))
            color = BEST if mark.best else COLOR if mark.finished else GREY
            axes.plot(
                epochs,
                mark.curve,
                color=color,
                linestyle="-" if mark.finished else ":",
                linewidth=2.2 if mark.best else 0.9,
                alpha=1.0 if mark.best else 0.6,
                marker="o" if len(mark.curve) == 1 else None,
                markersize=3.5,
            )
        axes.set_xlim(0.8, longest + 0.2)
        axes.set_ylim(0, 1)
        from matplotlib.ticker import MaxNLocator

        axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True))
        axes.set_xlabel(said("epoch", language))
        axes.set_ylabel(up)
        axes.set_title(title, color=INK)
    return figure


def values_figure(
    key: str,
    values: Sequence[float],
    accuracies: Sequence[float],
    finished: Sequence[bool],
    log: bool,
    language: Language = "en",
) -> Figure:
    """The held-out accuracy over a number that varies, a point a setting."""
    up = said("held-out accuracy", language)
    with style([key, up]):
        figure = blank(4.6, 3.0)
        axes = figure.add_axes((0.14, 0.17, 0.82, 0.72))
        for value, accuracy, whole in zip(values, accuracies, finished, strict=True):
            color = COLOR if whole else GREY
            filled = color if whole else "white"
            axes.plot([value], [accuracy], "o", color=color, mfc=filled, markersize=4)
        if log:
            axes.set_xscale("log")
        top = max((one for one in accuracies if math.isfinite(one)), default=1.0)
        axes.set_ylim(0, min(1.0, top * 1.1) or 1.0)
        axes.set_xlabel(key)
        axes.set_ylabel(up)
    return figure


def _short(label: str, most: int = 64) -> str:
    return label if len(label) <= most else f"{label[: most - 1]}…"
