"""Photographs beside what a network sees of them, and what it called them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from lenet.drawing.figures import GREY, INK, blank, drawn, said, style
from lenet.drawing.text_width import cells

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lenet.language.asked import Language

ACROSS: Final = 3  # pairs in a row
SIDE_IN: Final = 1.15
LETTERS: Final = 32  # of a line under a pair


@dataclass(frozen=True, eq=False)
class Pair:
    """A photograph and what the network sees of it."""

    original: NDArray[np.uint8]  # (h, w) or (h, w, 3 or 4)
    seen: NDArray[np.uint8]  # (channels, h, w)
    name: str
    lines: tuple[str, ...]  # what it was called, the first in bold


def pairs(found: Sequence[Pair], title: str, language: Language = "en") -> Figure:
    """The pairs in rows, each with its lines below: left the photograph, right what was seen."""
    most_lines = max((len(pair.lines) for pair in found), default=0)
    across = max(1, min(ACROSS, len(found)))
    down = max(1, math.ceil(len(found) / ACROSS))
    gap_in, cell_in = 0.35, 2 * SIDE_IN + 0.45
    row_in = SIDE_IN + 0.2 + 0.15 * (most_lines + 1)
    width_in, height_in = 0.6 + across * cell_in, 0.55 + down * row_in + 0.1
    texts = [drawn(text) for pair in found for text in (pair.name, *pair.lines)]
    title, nothing = drawn(said(title, language)), said("no pictures", language)
    with style([title, nothing, *texts]):
        figure = blank(width_in, height_in)
        figure.text(
            0.3 / width_in, 1 - 0.34 / height_in, title, fontsize=10.5, weight="bold", color=INK
        )
        for place, pair in enumerate(found):
            row, column = divmod(place, ACROSS)
            left_in, top_in = 0.3 + column * cell_in, 0.55 + row * row_in

            def axes(x_in: float, top_in: float = top_in) -> Axes:
                made = figure.add_axes(
                    (
                        x_in / width_in,
                        1 - (top_in + SIDE_IN) / height_in,
                        SIDE_IN / width_in,
                        SIDE_IN / height_in,
                    )
                )
                made.set_axis_off()
                return made

            _draw(axes(left_in), pair.original)
            seen = pair.seen.transpose(1, 2, 0)
            second_in = left_in + SIDE_IN + 0.12
            _draw(axes(second_in), seen if seen.shape[2] == 3 else seen[:, :, 0])
            lines = [(_cut(drawn(pair.name)), GREY, "normal")]
            lines += [
                (_cut(drawn(line)), INK, "normal" if number else "bold")
                for number, line in enumerate(pair.lines)
            ]
            for number, (text, color, weight) in enumerate(lines):
                y_in = top_in + SIDE_IN + 0.16 + 0.15 * number
                figure.text(
                    left_in / width_in,
                    1 - y_in / height_in,
                    text,
                    fontsize=7.5,
                    color=color,
                    weight=weight,
                )
        if not found:
            figure.text(0.3 / width_in, 1 - (0.55 + gap_in) / height_in, nothing, color=INK)
    return figure


def _draw(axes: Axes, pixels: NDArray[np.uint8]) -> None:
    axes.set_facecolor("white")
    small = max(pixels.shape[:2]) <= 64  # each pixel is to be seen
    axes.imshow(
        pixels, cmap="gray", vmin=0, vmax=255, interpolation="none" if small else "antialiased"
    )


def _cut(text: str) -> str:
    """The text, its beginning left out where it is too long: the end of a name tells more."""
    if cells(text) <= LETTERS:
        return text
    while cells(text) > LETTERS - 1:
        text = text[1:]
    return f"…{text}"
