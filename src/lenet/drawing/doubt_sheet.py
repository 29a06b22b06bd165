"""A sheet of pictures whose labels are doubtful, each over what it is said to be, and is like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lenet.data.idx import UInt8
from lenet.drawing.figures import GREY, INK, FigureError, blank, style
from lenet.drawing.text_width import cells

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL_IN = 0.92  # inches a picture
TEXT_IN = 0.47  # below it
MOST = 400  # pictures on a sheet


def doubt_sheet(
    pictures: Sequence[UInt8],
    captions: Sequence[tuple[str, str, str]],
    *,
    title: str = "",
    columns: int = 10,
) -> Figure:
    """The pictures (channels, h, w), each over three lines: which it is, its label, a better one.

    Raises FigureError for none, for more than fit, and for other channels than 1 or 3.
    """
    if not 0 < len(pictures) <= MOST:
        raise FigureError(f"{len(pictures)} pictures; a sheet shows 1 to {MOST}")
    if pictures[0].shape[0] not in (1, 3):
        raise FigureError(
            f"pictures with {pictures[0].shape[0]} channels cannot be shown; 1 is grey, 3 is RGB"
        )
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    head = 0.42 if title else 0.12
    across, down = CELL_IN + 0.1, CELL_IN + TEXT_IN
    width, height = max(columns * across + 0.1, 3.0), head + rows * down + 0.08
    with style([title, *(text for caption in captions for text in caption)]):
        figure = blank(width, height)
        for place, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
            row, column = divmod(place, columns)
            left, top = 0.1 + column * across, head + row * down
            axes = figure.add_axes(
                (left / width, 1 - (top + CELL_IN) / height, CELL_IN / width, CELL_IN / height)
            )
            axes.set_axis_off()
            shown = np.repeat(picture, 3, axis=0) if picture.shape[0] == 1 else picture
            axes.imshow(shown.transpose(1, 2, 0), interpolation="nearest")
            middle = (left + CELL_IN / 2) / width
            for line, (text, ink) in enumerate(zip(caption, (GREY, INK, INK), strict=True)):
                figure.text(
                    middle,
                    1 - (top + CELL_IN + 0.09 + 0.13 * line) / height,
                    _fitted(text),
                    color=ink,
                    fontsize=6.5 if line == 0 else 7.5,
                    horizontalalignment="center",
                    verticalalignment="center",
                )
        if title:
            figure.text(
                0.1 / width,
                1 - 0.2 / height,
                title,
                fontsize=10.5,
                weight="bold",
                color=INK,
                verticalalignment="center",
            )
    return figure


def _fitted(text: str, most: int = 19) -> str:
    """The text, cut to what a picture's width holds."""
    if cells(text) <= most:
        return text
    while cells(text) > most - 1:
        text = text[:-1]
    return text + "…"
