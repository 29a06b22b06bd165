"""Numbers as small coloured maps: kernels, the channels of every layer, histograms.

Takes arrays and words, and knows nothing of networks. Two colour scales, those of the page: one
symmetric about zero, blue below, white at zero, red above; and for a layer without negative numbers
one from white to dark purple.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from lenet.drawing.figures import GREY, INK, PAPER, blank, drawn, said, style
from lenet.drawing.text_width import wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lenet.language.asked import Language

Array = NDArray[Any]

SCALE: Final = "RdBu_r"
SEQUENCE: Final = ("#FFFFFF", "#C9BEDE", "#8066AC", "#3E2168", "#16082C")  # page/colors.js, light
WIDTH_IN: Final = 8.0
MARGIN_IN: Final = 0.3
SMALL: Final = 7.0  # points
MOST_ACROSS: Final = 128  # output channels that a picture shows of one layer
MOST_DOWN: Final = 64
TALLEST_IN: Final = 8.0  # of one layer's kernels


@dataclass(frozen=True)
class Grid:
    """One convolution's kernels, (out, in, k, k); NaN where two channels are not connected."""

    title: str
    kernels: Array


@dataclass(frozen=True)
class Row:
    """One layer's output for one picture: maps (channels, h, w), or a vector (features,)."""

    title: str
    note: str
    values: Array


# --- kernels -----------------------------------------------------------------------------------


def kernel_grids(grids: Sequence[Grid], title: str, language: Language = "en") -> Figure:
    """Every kernel as a small map: a column an output channel, a row an input channel.

    Each layer's scale ends at its own largest weight: else the many small weights of a late layer
    would be as pale as paper. Of very wide layers the first 128 × 64 are shown, and it is said.
    """
    layouts = [_lay_out(grid, language) for grid in grids]
    height_in = 0.6 + sum(layout.height_in for layout in layouts)
    title = drawn(said(title, language))
    with style([title]):
        figure = blank(WIDTH_IN, height_in)
        figure.text(
            *_place(figure, MARGIN_IN, 0.34), title, fontsize=10.5, weight="bold", color=INK
        )
        top_in = 0.6
        for layout in layouts:
            _draw_grid(figure, layout, top_in, language)
            top_in += layout.height_in
    return figure


@dataclass(frozen=True)
class _Layout:
    title: str
    axis: str  # what the columns are
    canvas: Array  # the kernels side by side, NaN between them
    pitch: int  # columns of the canvas from one kernel to the next
    cell_in: float  # the same in inches
    across: int
    down: int

    @property
    def height_in(self) -> float:
        return 0.62 + self.down * self.cell_in + 0.2


def _lay_out(grid: Grid, language: Language) -> _Layout:
    outputs, inputs, size, _ = grid.kernels.shape
    across, down = min(outputs, MOST_ACROSS), min(inputs, MOST_DOWN)
    shown = grid.kernels[:across, :down]
    gap = 1 if size > 1 else 0
    pitch = size + gap
    canvas = np.full((down * pitch - gap, across * pitch - gap), np.nan)
    for column in range(across):
        for row in range(down):
            y, x = row * pitch, column * pitch
            canvas[y : y + size, x : x + size] = shown[column, row]
    cell_in = min(0.56, (WIDTH_IN - 2 * MARGIN_IN - 0.45) / across, TALLEST_IN / down)
    axis = "output" if across == outputs else f"output: the first {across} of {outputs}"
    axis += "" if down == inputs else f"; of each the first {down} of {inputs} inputs"
    title, axis = said(grid.title, language), said(axis, language)
    return _Layout(title, axis, canvas, pitch, cell_in, across, down)


def _draw_grid(figure: Figure, layout: _Layout, top_in: float, language: Language) -> None:
    largest = _largest(layout.canvas)
    _draw_scale(figure, WIDTH_IN - MARGIN_IN, top_in + 0.04, f"{largest:.2g}")
    gap_in = layout.cell_in / layout.pitch if layout.pitch > 1 else 0.0
    left_in = MARGIN_IN + 0.45
    axes = _axes(
        figure,
        left_in,
        top_in + 0.52,
        layout.across * layout.cell_in - gap_in,
        layout.down * layout.cell_in - gap_in,
    )
    _draw_map(axes, layout.canvas, largest)
    figure.text(*_place(figure, MARGIN_IN, top_in + 0.12), layout.title, color=INK)
    word = said("input", language)
    figure.text(*_place(figure, MARGIN_IN, top_in + 0.45), word, fontsize=SMALL, color=GREY)
    figure.text(*_place(figure, left_in, top_in + 0.31), layout.axis, fontsize=SMALL, color=GREY)
    middle = (layout.pitch - (layout.pitch > 1)) / 2
    for count, is_column in ((layout.across, True), (layout.down, False)):
        for index in range(0, count, _every(layout.cell_in)):
            place = (index * layout.pitch + middle) / layout.canvas.shape[is_column]
            axes.text(
                place if is_column else -0.06 / (layout.across * layout.cell_in),
                1 + 0.05 / (layout.down * layout.cell_in) if is_column else 1 - place,
                str(index),
                transform=axes.transAxes,
                horizontalalignment="center" if is_column else "right",
                verticalalignment="bottom" if is_column else "center",
                fontsize=SMALL,
                color=INK,
            )


def _every(cell_in: float) -> int:
    """Which labels fit: each where cells are wide enough for three digits, else every so many."""
    return next(step for step in (1, 2, 5, 10, 20, 50) if step * cell_in >= 0.2 or step == 50)


# --- what a network passes on ------------------------------------------------------------------


def layer_rows(
    picture: Array,
    rows: Sequence[Row],
    bars: Sequence[tuple[str, float, float]],
    title: str,
    language: Language = "en",
) -> Figure:
    """A picture (1 or 3, h, w) uint8, the rows below it, and bars: (class, probability, output).

    Each row has a scale of its own, whose end stands at its right.
    """
    heights = [_row_height(row.values) for row in rows]
    picture_in = 1.0
    bars_in = 0.155 * len(bars) + 0.45
    height_in = 0.62 + picture_in + 0.3 + sum(heights) + bars_in + 0.15
    title = drawn(said(title, language))
    with style([title, *(name for name, _, _ in bars)]):
        figure = blank(WIDTH_IN, height_in)
        figure.text(
            *_place(figure, MARGIN_IN, 0.34), title, fontsize=10.5, weight="bold", color=INK
        )
        _draw_picture(figure, picture, LEFT_IN, 0.6, picture_in)
        word = said("input", language)
        figure.text(*_place(figure, MARGIN_IN, 0.72), word, fontsize=8.0, color=INK)
        shape = "×".join(map(str, picture.shape))
        figure.text(*_place(figure, MARGIN_IN, 0.88), shape, fontsize=SMALL, color=GREY)
        _draw_scale(figure, WIDTH_IN - MARGIN_IN, 0.62, "R")
        _draw_scale(figure, WIDTH_IN - MARGIN_IN, 1.0, "R", signed=False)
        note = said("R: the number right of each row", language)
        place = _place(figure, WIDTH_IN - MARGIN_IN, 1.4)
        figure.text(*place, note, fontsize=SMALL, color=GREY, horizontalalignment="right")
        top_in = 0.62 + picture_in + 0.2
        for row, row_in in zip(rows, heights, strict=True):
            _draw_row(figure, row, top_in, language)
            top_in += row_in
        _draw_bars(figure, bars, top_in + 0.12, language)
    return figure


LEFT_IN: Final = 1.75  # where the maps begin, right of their titles
ROOM_IN: Final = WIDTH_IN - LEFT_IN - MARGIN_IN - 0.62  # for maps, left of their scale's end
MOST_CHANNELS: Final = 64
CELLS_A_LINE: Final = 120  # of a vector


def _row_height(values: Array) -> float:
    _, map_height_in, lines = _row_layout(values)
    return max(0.42, lines * (map_height_in + 0.05) + 0.13)


def _row_layout(values: Array) -> tuple[float, float, int]:
    """The width and height of a map (of a unit, for vectors) in inches, and the lines of them."""
    if values.ndim == 1:
        lines = math.ceil(len(values) / CELLS_A_LINE)
        return ROOM_IN / min(CELLS_A_LINE, max(len(values), 24)), 0.16, lines
    channels, height, width = values.shape
    channels = min(channels, MOST_CHANNELS)
    across = min(channels, 16)
    map_in = min(0.62, ROOM_IN / across - 0.04)
    scale = map_in / max(height, width)
    return scale * width, scale * height, math.ceil(channels / across)


def _draw_row(figure: Figure, row: Row, top_in: float, language: Language) -> None:
    largest, signed = _largest(row.values), bool((row.values < 0).any())
    map_in, high_in, lines = _row_layout(row.values)
    if row.values.ndim == 1:
        line_in = high_in + 0.05
        starts = range(0, len(row.values), CELLS_A_LINE)
        shown = [row.values[None, start : start + CELLS_A_LINE] for start in starts]
        places = [(0.0, index * line_in) for index in range(lines)]
        wide_in = [map_in * cells.shape[1] for cells in shown]
    else:
        shown = list(row.values[:MOST_CHANNELS])
        across = math.ceil(len(shown) / lines)
        places = [
            (index % across * (map_in + 0.04), index // across * (high_in + 0.05))
            for index in range(len(shown))
        ]
        wide_in = [map_in] * len(shown)
    _draw_maps(figure, shown, places, wide_in, high_in, largest, signed, top_in)
    note = row.note
    if row.values.ndim == 3 and len(row.values) > MOST_CHANNELS:
        note = said(f"{note}, first {MOST_CHANNELS}", language)
    figure.text(*_place(figure, MARGIN_IN, top_in + 0.12), row.title, fontsize=8.0, color=INK)
    figure.text(*_place(figure, MARGIN_IN, top_in + 0.27), note, fontsize=SMALL, color=GREY)
    figure.text(
        *_place(figure, WIDTH_IN - MARGIN_IN, top_in + 0.12),
        f"±{_short(largest)}" if signed else said(f"0 to {_short(largest)}", language),
        fontsize=SMALL,
        color=GREY,
        horizontalalignment="right",
    )


def _draw_maps(
    figure: Figure,
    maps: Sequence[Array],
    places: Sequence[tuple[float, float]],
    wide_in: Sequence[float],
    high_in: float,
    largest: float,
    signed: bool,
    top_in: float,
) -> None:
    """All maps of a row in one pair of axes whose units are inches: many axes take their time."""
    from matplotlib.patches import Rectangle

    right = max(x + wide for (x, _), wide in zip(places, wide_in, strict=True))
    bottom = places[-1][1] + high_in
    axes = _axes(figure, LEFT_IN, top_in, right, bottom)
    for values, (x, y), wide in zip(maps, places, wide_in, strict=True):
        _draw_map(axes, values, largest, signed, extent=(x, x + wide, y + high_in, y))
        frame = Rectangle((x, y), wide, high_in, fill=False, linewidth=0.4, edgecolor=GREY)
        frame.set_clip_on(False)
        axes.add_patch(frame)
    axes.set_xlim(0, right)
    axes.set_ylim(bottom, 0)


def _draw_bars(
    figure: Figure,
    bars: Sequence[tuple[str, float, float]],
    top_in: float,
    language: Language,
) -> None:
    """One bar a class: its probability, and beside it the output that gave it."""
    if not bars:
        return
    best = max(range(len(bars)), key=lambda index: bars[index][1])
    line_in = 0.155
    axes = _axes(figure, LEFT_IN, top_in + 0.2, 3.6, line_in * len(bars))
    axes.set_xlim(0, 1)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.axvline(0, color=GREY, linewidth=0.8, clip_on=False)
    for text, x, alignment in (
        ("class", LEFT_IN - 0.08, "right"),
        ("probability", LEFT_IN + 4.15, "right"),
        ("output", LEFT_IN + 4.75, "right"),
    ):
        figure.text(
            *_place(figure, x, top_in + 0.13),
            said(text, language),
            fontsize=SMALL,
            color=GREY,
            horizontalalignment=alignment,
        )
    for index, (name, probability, output) in enumerate(bars):
        weight = "bold" if index == best else "normal"
        axes.barh(index, probability, height=0.68, color=INK if index == best else GREY)
        for text, x in (
            (name, LEFT_IN - 0.08),
            (f"{probability:.4f}", LEFT_IN + 4.15),
            (f"{output:.2f}".replace("-", "−"), LEFT_IN + 4.75),
        ):
            figure.text(
                *_place(figure, x, top_in + 0.2 + line_in * (index + 0.5)),
                text,
                fontsize=8.0,
                weight=weight,
                color=INK,
                horizontalalignment="right",
                verticalalignment="center_baseline",
            )


def comparison_rows(
    rows: Sequence[tuple[str, Sequence[tuple[str, Array]]]],
    title: str,
    words: str,
    language: Language = "en",
) -> Figure:
    """Rows of grey maps (h, w) beside each other, each with a caption; words below all of them.

    Each map is scaled from its own smallest to its own largest number, as imshow does.
    """
    map_in, line_in = 1.55, 0.16
    lines = wrapped(words, 116)
    row_in = map_in + 0.62
    height_in = 0.55 + row_in * len(rows) + line_in * len(lines) + 0.2
    title = drawn(said(title, language))
    with style([title, words]):
        figure = blank(WIDTH_IN, height_in)
        figure.text(
            *_place(figure, MARGIN_IN, 0.34), title, fontsize=10.5, weight="bold", color=INK
        )
        for index, (name, panels) in enumerate(rows):
            top_in = 0.55 + index * row_in
            for line, part in enumerate(wrapped(said(name, language), 19)):
                place = _place(figure, MARGIN_IN, top_in + 0.2 + line * line_in)
                figure.text(*place, part, color=INK)
            for column, (caption, values) in enumerate(panels):
                left_in = LEFT_IN + column * (map_in + 0.4)
                axes = _axes(figure, left_in, top_in + 0.08, map_in, map_in)
                axes.imshow(values, cmap="gray", interpolation="none")
                low, high = float(np.nanmin(values)), float(np.nanmax(values))
                ends = f"{_short(low)} to {_short(high)}"
                below = (said(caption, language), said(ends, language))
                for line, part in enumerate(below):
                    figure.text(
                        *_place(figure, left_in, top_in + map_in + 0.25 + line * 0.14),
                        part,
                        fontsize=SMALL,
                        color=(INK, GREY)[line],
                    )
        for index, part in enumerate(lines):
            y_in = height_in - 0.2 - (len(lines) - 1 - index) * line_in
            figure.text(*_place(figure, MARGIN_IN, y_in), part, fontsize=8.0, color=INK)
    return figure


# --- histograms --------------------------------------------------------------------------------


def histograms(
    panels: Sequence[tuple[str, str, Array, Array]], title: str, language: Language = "en"
) -> Figure:
    """Small histograms: (name, note, counts (bins,), edges (bins + 1,)) of each parameter.

    Each has its own axis, symmetric about zero.
    """
    across = 4
    down = max(1, math.ceil(len(panels) / across))
    wide_in, high_in = (WIDTH_IN - 2 * MARGIN_IN + 0.25) / across, 1.5
    title = drawn(said(title, language))
    with style([title]):
        figure = blank(WIDTH_IN, 0.5 + down * high_in + 0.1)
        figure.text(
            *_place(figure, MARGIN_IN, 0.34), title, fontsize=10.5, weight="bold", color=INK
        )
        for index, (name, note, counts, edges) in enumerate(panels):
            row, column = divmod(index, across)
            left_in, top_in = MARGIN_IN + column * wide_in, 0.5 + row * high_in
            axes = _axes(figure, left_in, top_in + 0.42, wide_in - 0.25, high_in - 0.75)
            colors = ["#4393C3" if edge < 0 else "#D6604D" for edge in (edges[:-1] + edges[1:]) / 2]
            axes.bar(edges[:-1], counts, width=np.diff(edges), align="edge", color=colors)
            axes.axhline(0, color=GREY, linewidth=0.8)
            axes.axvline(0, color=INK, linewidth=0.6)
            axes.set_xlim(edges[0], edges[-1])
            axes.set_ylim(bottom=0)
            for x, alignment in ((edges[0], "left"), (0, "center"), (edges[-1], "right")):
                axes.annotate(
                    f"{x:.2g}".replace("-", "−"),
                    (x, 0),
                    (0, -3),
                    textcoords="offset points",
                    horizontalalignment=alignment,
                    verticalalignment="top",
                    annotation_clip=False,
                    fontsize=SMALL,
                    color=INK,
                )
            figure.text(*_place(figure, left_in, top_in + 0.17), name, color=INK)
            note = said(note, language)
            figure.text(*_place(figure, left_in, top_in + 0.32), note, fontsize=SMALL, color=GREY)
    return figure


def _short(value: float) -> str:
    """A number with three digits, or all of those before the point.

    >>> _short(-0.12345), _short(1120.6)
    ('−0.123', '1,121')
    """
    text = f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return text.replace("-", "−")


# --- parts -------------------------------------------------------------------------------------


def _place(figure: Figure, x_in: float, y_in: float) -> tuple[float, float]:
    """Inches from the upper left corner as the figure's fractions."""
    width_in, height_in = figure.get_size_inches()
    return x_in / width_in, 1 - y_in / height_in


def _axes(figure: Figure, x_in: float, y_in: float, width_in: float, height_in: float) -> Axes:
    """Bare axes whose upper left corner lies there."""
    whole_width_in, whole_height_in = figure.get_size_inches()
    left, top = _place(figure, x_in, y_in)
    size = (width_in / whole_width_in, height_in / whole_height_in)
    axes = figure.add_axes((left, top - size[1], *size))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def _draw_map(
    axes: Axes,
    values: Array,
    largest: float,
    signed: bool = True,
    extent: tuple[float, float, float, float] | None = None,
) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import LinearSegmentedColormap

    scale = colormaps[SCALE] if signed else LinearSegmentedColormap.from_list("", SEQUENCE)
    axes.imshow(
        np.ma.masked_invalid(values),
        cmap=scale.with_extremes(bad="white" if extent is None else PAPER),
        vmin=-largest if signed else 0,
        vmax=largest,
        interpolation="none",
        aspect="auto",
        extent=extent,
    )


def _draw_picture(figure: Figure, picture: Array, x_in: float, y_in: float, high_in: float) -> None:
    channels, height, width = picture.shape
    axes = _axes(figure, x_in, y_in, high_in * width / height, high_in)
    if channels == 3:
        axes.imshow(picture.transpose(1, 2, 0), interpolation="none")
    else:
        axes.imshow(picture[0], cmap="gray", vmin=0, vmax=255, interpolation="none")


def _largest(values: Array) -> float:
    """The largest size among the finite values: a run that came to NaN is drawn too, with gaps."""
    sizes = np.abs(values[np.isfinite(values)])
    return float(sizes.max(initial=0.0)) or 1.0


def _draw_scale(
    figure: Figure, right_in: float, y_in: float, end: str, signed: bool = True
) -> None:
    """The legend of the colours, its right end there; ``end`` is what the strongest ones mean."""
    axes = _axes(figure, right_in - 1.5, y_in, 1.5, 0.1)
    _draw_map(axes, np.linspace(-1 if signed else 0, 1, 101)[None], 1.0, signed)
    for spine in axes.spines.values():
        spine.set(visible=True, linewidth=0.4, edgecolor=GREY)
    middle = [(0.75, "0", "center")] if signed else []
    for place, text, alignment in (
        (1.5, f"−{end}" if signed else "0", "left"),
        *middle,
        (0, end, "right"),
    ):
        figure.text(
            *_place(figure, right_in - place, y_in + 0.23),
            text,
            fontsize=SMALL,
            color=INK,
            horizontalalignment=alignment,
        )
