"""Pictures of what a network gets wrong: the confusion matrix, and its surest mistakes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from lenet.drawing.figures import GREY, INK, blank, drawn, drawn_names, said, style
from lenet.drawing.text_width import cells

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lenet.data import Split
    from lenet.language.asked import Language
    from lenet.looking.evaluation import Mistake

MOST_COUNTED: Final = 30  # classes; with more the cells are too small for their counts
RIGHT, WRONG = "#2166AC", "#B2182B"


def confusion(
    counts: NDArray[np.int64], classes: Sequence[str], title: str, language: Language = "en"
) -> Figure:
    """The counts (classes, classes) as a matrix: rows what a picture is, columns what it is called.

    Darker is more of the row; recognised is blue, mistaken red.
    """
    names, _ = drawn_names(classes)
    number = len(names)
    cell_in = min(0.52, max(0.12, 7.0 / number))
    letters_in = 0.075
    left_in = 0.55 + letters_in * max(map(cells, names))
    top_in = 0.75 + letters_in * min(max(map(cells, names)), 40) * 0.75
    width_in = max(left_in + number * cell_in + 0.75, 5.4)
    height_in = top_in + number * cell_in + 0.35
    legend = said(
        "row: what it is   column: what it was called   blue: recognised, right its share   "
        "red: mistaken",
        language,
    )
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    title = drawn(said(title, language))
    with style([title, legend, *names]):
        figure = blank(width_in, height_in)
        figure.text(
            0.3 / width_in, 1 - 0.34 / height_in, title, fontsize=10.5, weight="bold", color=INK
        )
        axes = figure.add_axes(
            (
                left_in / width_in,
                1 - (top_in + number * cell_in) / height_in,
                number * cell_in / width_in,
                number * cell_in / height_in,
            )
        )
        axes.imshow(_cell_colors(shares), interpolation="none", aspect="auto")
        _label_classes(axes, names, counts, cell_in)
        if number <= MOST_COUNTED:
            _write_counts(axes, counts, _cell_colors(shares))
        figure.text(
            0.3 / width_in,
            0.14 / height_in,
            legend,
            fontsize=7.0,
            color=GREY,
        )
    return figure


def _cell_colors(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, n, 3): white for none, towards blue on the diagonal and red beside it."""
    from matplotlib.colors import to_rgb

    right = np.eye(len(shares), dtype=bool)[..., None]
    hue = np.where(right, to_rgb(RIGHT), to_rgb(WRONG))
    # mistakes are small shares: their square roots can be told apart
    strength = np.where(right[..., 0], 0.85 * shares, np.sqrt(shares))[..., None]
    return np.asarray(1 - strength * (1 - hue))


def _label_classes(
    axes: Axes, names: Sequence[str], counts: NDArray[np.int64], cell_in: float
) -> None:
    every = max(1, math.ceil(0.14 / cell_in))
    places = range(0, len(names), every)
    shown = [names[place] for place in places]
    axes.grid(False)
    axes.tick_params(length=0)
    axes.set_yticks(list(places), shown, fontsize=8.0)
    axes.xaxis.tick_top()
    look: dict[str, Any] = {"rotation": 45, "ha": "left", "va": "bottom", "rotation_mode": "anchor"}
    axes.set_xticks(list(places), shown, fontsize=8.0, **look)
    for spine in axes.spines.values():
        spine.set(visible=True, linewidth=0.6, edgecolor=GREY)
    if len(names) > MOST_COUNTED:
        return
    totals = counts.sum(axis=1)
    for row, total in enumerate(totals):
        share = f"{counts[row, row] / total:.1%}" if total else "–"
        axes.annotate(
            share,
            (len(names) - 0.5, row),
            (34, 0),
            textcoords="offset points",
            annotation_clip=False,
            horizontalalignment="right",
            verticalalignment="center",
            fontsize=8.0,
            color=INK,
        )


def _write_counts(axes: Axes, counts: NDArray[np.int64], colors: NDArray[np.float64]) -> None:
    for row, column in np.argwhere(counts > 0):
        right = row == column
        axes.text(
            column,
            row,
            f"{counts[row, column]}",
            horizontalalignment="center",
            verticalalignment="center_baseline",
            fontsize=7.5 if len(counts) <= 12 else 6.0,
            weight="bold" if right else "normal",
            color=_ink_on(colors[row, column]),
        )


def _ink_on(color: NDArray[np.float64]) -> str:
    """White or black, whichever stands out more, by the relative luminance of WCAG 2.2."""
    linear = np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ (0.2126, 0.7152, 0.0722))
    return "white" if (luminance + 0.05) ** 2 < 1.05 * 0.05 else "black"


def mistakes(
    split: Split, found: Sequence[Mistake], title: str, language: Language = "en"
) -> Figure:
    """The pictures that were mistaken, the surest first: what each was called, and what it is."""
    names, _ = drawn_names(split.classes)
    channels = split.images.shape[1]
    across = max(1, min(6, len(found)))
    down = math.ceil(len(found) / across)
    cell_in, text_in = 1.25, 0.62
    width_in = max(0.6 + across * cell_in, 5.0)
    height_in = 0.55 + max(1, down) * (cell_in - 0.2 + text_in) + 0.05
    title = drawn(said(title, language))
    with style([title, said("no mistakes", language), *names]):
        figure = blank(width_in, height_in)
        figure.text(
            0.3 / width_in, 1 - 0.34 / height_in, title, fontsize=10.5, weight="bold", color=INK
        )
        for place, mistake in enumerate(found):
            row, column = divmod(place, across)
            left_in = 0.3 + column * cell_in
            top_in = 0.55 + row * (cell_in - 0.2 + text_in)
            side_in = cell_in - 0.2
            axes = figure.add_axes(
                (
                    left_in / width_in,
                    1 - (top_in + side_in) / height_in,
                    side_in / width_in,
                    side_in / height_in,
                )
            )
            axes.set_axis_off()
            picture = split.images[mistake.index]
            shown = picture.transpose(1, 2, 0) if channels == 3 else picture[0]
            axes.imshow(shown, cmap="gray", vmin=0, vmax=255, interpolation="none")
            true = f"is {_cut(names[mistake.label])} {mistake.label_probability:.3f}"
            lines = (
                (f"{_cut(names[mistake.predicted])} {mistake.probability:.3f}", WRONG, 8.0),
                (said(true, language), INK, 8.0),
                (said(f"picture {mistake.index}", language), GREY, 7.0),
            )
            for line, (text, color, size) in enumerate(lines):
                y_in = top_in + side_in + 0.15 + 0.15 * line
                figure.text(
                    left_in / width_in, 1 - y_in / height_in, text, fontsize=size, color=color
                )
        if not found:
            figure.text(
                0.3 / width_in, 1 - 0.8 / height_in, said("no mistakes", language), color=INK
            )
    return figure


def _cut(name: str) -> str:
    return name if cells(name) <= 11 else name[: 10 if cells(name) == len(name) else 5] + "…"
