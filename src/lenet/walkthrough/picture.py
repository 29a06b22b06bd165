"""A walkthrough as a picture: one frame a step, as an animated GIF; or the last one, to print.

X with its window, the kernel, Y as it fills up, and below them the arithmetic of the step.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lenet import system
from lenet.drawing import figures
from lenet.drawing.figures import GREY, INK, PAPER
from lenet.drawing.maps import SCALE
from lenet.drawing.text_width import cells
from lenet.files import write_atomically
from lenet.language.asked import Language
from lenet.scratch import Step, show
from lenet.walkthrough.steps import Walkthrough, WalkthroughError
from lenet.walkthrough.text import arithmetic, captions, padding_sign, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image

SUFFIXES: Final = (".gif", *figures.SUFFIXES)
MOST_STEPS: Final = 100
MOST_CELLS: Final = 24  # across or down: more could not be read
STEP_MS: Final = 1300
LAST_MS: Final = 4000

CELL_IN: Final = 0.46
LINE_IN: Final = 0.24  # of the arithmetic
LETTER_IN: Final = 0.0836  # of the arithmetic's font
MARGIN_IN: Final = 0.25
FRAME: Final = "#E69F00"  # Okabe and Ito's orange: the window, and what came of it
FIRST: Final = 1.5  # cells from the top to the first channel
BETWEEN: Final = 1.3  # cells between channels, and between grids
FONT_HINTS: Final = {
    system.WINDOWS: "Windows 自带“微软雅黑”，请在“设置”的“字体”中查看",
    system.MACOS: "macOS 自带“冬青黑体简体中文”，请在“字体册”中查看",
}
STRENGTH: Final = 0.5  # of the colours: black numbers stay legible on them


@dataclass(frozen=True)
class _Panel:
    """A grid of numbers: where it is, in cells from the upper left, and what is in it."""

    caption: str
    left: float
    top: float
    numbers: Sequence[Sequence[Any]]
    limit: float  # where the colours end
    padding: int = 0  # rings of cells around the numbers


def save(walk: Walkthrough, path: str | os.PathLike[str], language: Language) -> str:
    """Draw into the file; "", or a remark for the reader, such as that a Chinese font is missing.

    ``.gif`` moves; ``.png``, ``.svg`` and ``.pdf`` show the last step. Raises WalkthroughError for
    another suffix, and where there are too many steps or cells to read.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise WalkthroughError(
            f"{path}: cannot draw into {path.suffix or 'a file without suffix'}; "
            f"end the name in one of {', '.join(SUFFIXES)}"
        )
    _check_size(walk)
    remark = ""
    if suffix != ".svg":  # whose text is drawn by the page that shows it, with the fonts there
        language, remark = drawable(language)
    if suffix == ".gif":
        write_atomically(path, animation(walk, language))
    else:
        figures.save(last_frame(walk, language), path)
    return remark


def drawable(language: Language) -> tuple[Language, str]:
    """The language that a picture can have here, and a remark where that is another."""
    if language == "en" or figures.cjk_fonts():
        return language, ""
    return "en", (
        "没有找到中文字体，图中的文字用英文。"
        + FONT_HINTS.get(sys.platform, "Debian 和 Ubuntu 的 fonts-noto-cjk 包里有中文字体")
    )


def last_frame(walk: Walkthrough, language: Language) -> Figure:
    """The figure with all of Y. Raises WalkthroughError where it is too large to read."""
    _check_size(walk)
    return _frame(walk, language, len(walk.steps))


def frames(walk: Walkthrough, language: Language) -> Iterator[Figure]:
    """A figure for each step, all of one size."""
    _check_size(walk)
    return (_frame(walk, language, done) for done in range(1, len(walk.steps) + 1))


def _check_size(walk: Walkthrough) -> None:
    channels, rows, columns = walk.input.shape
    down = channels * (rows + 2 * walk.padding)
    across = columns + 2 * walk.padding
    if len(walk.steps) > MOST_STEPS or max(down, across) > MOST_CELLS:
        raise WalkthroughError(
            f"{len(walk.steps)} steps over {down} rows and {across} columns of numbers are too "
            f"many for a picture; {MOST_STEPS} steps and {MOST_CELLS} rows or columns can be read"
        )


# --- one step ----------------------------------------------------------------------------------


def _frame(walk: Walkthrough, language: Language, done: int) -> Figure:
    """The picture after ``done`` steps, the last of them shown at work."""
    inputs, kernels, outputs = _layout(walk, language)
    panels = [*inputs, *kernels, *outputs]
    across = max(panel.left + len(panel.numbers[0]) + 2 * panel.padding for panel in panels)
    down = max(panel.top + len(panel.numbers) + 2 * panel.padding for panel in panels)
    letters = _letters(across)
    most = max(len(arithmetic(walk, step, language, letters)) for step in walk.steps)
    width_in = max(across * CELL_IN, letters * LETTER_IN) + 2 * MARGIN_IN
    below_in = (most + 0.6) * LINE_IN
    height_in = down * CELL_IN + below_in + 2 * MARGIN_IN
    step = walk.steps[done - 1]
    heading = title(walk, language)
    with figures.style([heading]):
        figure = figures.blank(width_in, height_in)
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        left = (width_in / CELL_IN - across) / 2
        axes.set_xlim(-left, width_in / CELL_IN - left)
        axes.set_ylim(height_in / CELL_IN - MARGIN_IN / CELL_IN, -MARGIN_IN / CELL_IN)
        start = MARGIN_IN / CELL_IN - left  # of title and arithmetic
        axes.text(start, 0.0, heading, fontsize=11.5, weight="bold", color=INK, va="center")
        for panel in inputs:
            _draw(axes, panel, padding_sign(walk))
        for panel in kernels:
            _draw(axes, panel)
        _draw_outputs(axes, walk, outputs, done)
        _draw_signs(axes, walk, inputs, kernels, outputs)
        _draw_window(axes, walk, inputs, step)
        for number, line in enumerate(arithmetic(walk, step, language, letters)):
            _write(axes, start, down + (1.0 + number) * LINE_IN / CELL_IN, line)
    return figure


def _write(axes: Axes, x: float, y: float, line: str) -> None:
    """A line of arithmetic. A Chinese font is not twice as wide as ours: each begins anew."""
    written = 0
    for _, signs in groupby(line, key=lambda sign: cells(sign) > 1):
        run = "".join(signs)
        axes.text(
            x + written * LETTER_IN / CELL_IN,
            y,
            run,
            fontsize=10.0,
            family=["DejaVu Sans Mono", *figures.cjk_fonts()],
            color=INK,
            va="center",
        )
        written += cells(run)


def _layout(
    walk: Walkthrough, language: Language
) -> tuple[list[_Panel], list[_Panel], list[_Panel]]:
    """Where the grids of inputs, kernels and outputs stand: a band a channel."""
    words = captions(language)
    channels, rows, columns = walk.input.shape
    p, out = walk.padding, walk.output.shape[1:]
    tall: int = max(rows + 2 * p, walk.window[0] if walk.kernel is not None else 0, out[0])
    limits = [_limit(walk.input), _limit(walk.kernel), _limit(walk.output)]
    if walk.kernel is None:  # pooled numbers are numbers of the input's kind
        limits = [max(limits[0], limits[2])] * 3
    inputs, kernels, outputs = [], [], []
    for channel in range(channels):
        top = FIRST + channel * (tall + BETWEEN)
        name = f", {words['channel']} {channel}" if channels > 1 else ""

        def middle(height: int, top: float = top, tall: int = tall) -> float:
            return top + (tall - height) / 2

        left = 0.0
        inputs.append(
            _Panel(
                words["input"] + name,
                left,
                middle(rows + 2 * p),
                walk.input[channel].tolist(),
                limits[0],
                p,
            )
        )
        left += columns + 2 * p + BETWEEN
        if walk.kernel is not None:
            kernel = walk.kernel[channel].tolist()
            kernels.append(
                _Panel(words["kernel"] + name, left, middle(len(kernel)), kernel, limits[1])
            )
            left += max(walk.window[1], 2) + BETWEEN + (0.0 if walk.bias is None else 1.0)
        if channel < len(walk.output):
            place = middle(out[0])
            if len(walk.output) < channels:  # one output of all channels: halfway down
                place += (channels - 1) * (tall + BETWEEN) / 2
            outputs.append(
                _Panel(
                    words["output"] + (name if len(walk.output) > 1 else ""),
                    left,
                    place,
                    walk.output[channel].tolist(),
                    limits[2],
                )
            )
    return inputs, kernels, outputs


def _limit(numbers: Any) -> float:
    return 0.0 if numbers is None else float(np.abs(numbers).max())


def _letters(across: float) -> int:
    """How many letters a line of arithmetic has; the picture is at least that wide."""
    return max(60, int(across * CELL_IN / LETTER_IN))


def _draw(axes: Axes, panel: _Panel, sign: str = "") -> None:
    _draw_caption(axes, panel)
    p, rows, columns = panel.padding, len(panel.numbers), len(panel.numbers[0])
    size = _font_size(panel)
    for y in range(-p, rows + p):
        for x in range(-p, columns + p):
            inside = 0 <= y < rows and 0 <= x < columns
            left, top = panel.left + p + x, panel.top + p + y
            if inside:
                value = panel.numbers[y][x]
                _cell(axes, left, top, _color(value, panel.limit), show(value), size)
            else:
                _cell(axes, left, top, "none", sign, size, outside=True)


def _draw_caption(axes: Axes, panel: _Panel) -> None:
    axes.text(panel.left, panel.top - 0.35, panel.caption, fontsize=9.0, color=GREY, va="center")


def _font_size(panel: _Panel) -> float:
    longest = max(len(show(value)) for row in panel.numbers for value in row)
    return min(11.0, 38.0 / longest)


def _cell(
    axes: Axes, x: float, y: float, color: Any, text: str, size: float, outside: bool = False
) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(
        Rectangle(
            (x, y),
            1,
            1,
            facecolor=color,
            edgecolor=PAPER if outside else GREY,
            linewidth=0.8,
            linestyle=(0, (3, 2)) if outside else "-",
            zorder=1 if outside else 2,
        )
    )
    ink = GREY if outside else INK
    axes.text(x + 0.5, y + 0.5, text, fontsize=size, color=ink, ha="center", va="center", zorder=4)


def _color(value: float, limit: float) -> Any:
    """The value's colour: white is 0, the limit is the scale's at half strength."""
    import matplotlib

    share = value / limit if limit else 0.0
    return matplotlib.colormaps[SCALE](0.5 + 0.5 * STRENGTH * share)


def _draw_outputs(axes: Axes, walk: Walkthrough, panels: list[_Panel], done: int) -> None:
    """Y as far as it is computed; its newest number in a frame."""
    for channel, panel in enumerate(panels):
        _draw_caption(axes, panel)
        size = _font_size(panel)
        for y, row in enumerate(panel.numbers):
            for x, value in enumerate(row):
                index = (channel * len(panel.numbers) + y) * len(row) + x
                known = index < done
                color = _color(value, panel.limit) if known else "none"
                text = show(value) if known else ""
                _cell(axes, panel.left + x, panel.top + y, color, text, size)
                if index == done - 1:
                    _outline(axes, panel.left + x, panel.top + y, 1, 1)


def _draw_window(axes: Axes, walk: Walkthrough, panels: list[_Panel], step: Step) -> None:
    """A frame around each window of the step; in its cells the weights, or a ring: the largest."""
    first, top, left = step.place
    for channel, numbers in enumerate(step.window, first):
        panel = panels[channel]
        x0, y0 = panel.left + panel.padding + left, panel.top + panel.padding + top
        _outline(axes, x0, y0, walk.window[1], walk.window[0])
        for y, row in enumerate(numbers):
            for x, value in enumerate(row):
                if walk.kind == "max" and value == step.result:
                    _ring(axes, x0 + x + 0.5, y0 + y + 0.5)
                if step.kernel is not None:
                    weight = step.kernel[channel][y][x]
                    axes.text(
                        x0 + x + 0.92,
                        y0 + y + 0.82,
                        f"×{show(weight or 0)}",
                        fontsize=7.5,
                        color=INK,
                        ha="right",
                        va="center",
                        zorder=5,
                    )


def _outline(axes: Axes, x: float, y: float, width: float, height: float) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(
        Rectangle((x, y), width, height, fill=False, edgecolor=FRAME, linewidth=3.0, zorder=6)
    )


def _ring(axes: Axes, x: float, y: float) -> None:
    from matplotlib.patches import Circle

    axes.add_patch(Circle((x, y), 0.36, fill=False, edgecolor=INK, linewidth=1.3, zorder=3))


def _draw_signs(
    axes: Axes,
    walk: Walkthrough,
    inputs: list[_Panel],
    kernels: list[_Panel],
    outputs: list[_Panel],
) -> None:
    """∗ between X and K, + between the channels, then the bias and =, or an arrow."""
    look: dict[str, Any] = {"fontsize": 15.0, "color": INK, "va": "center"}
    for panel in kernels:
        axes.text(panel.left - BETWEEN / 2, _middle(panel), "∗", ha="center", **look)
    for above, below in pairwise(kernels):
        between = (_middle(above) + _middle(below)) / 2
        axes.text(above.left - BETWEEN / 2, between, "+", ha="center", **look)
    for panel in outputs:
        sign = "=" if kernels else "→"
        if walk.bias is not None:
            sign = f"+ {show(walk.bias)} =" if walk.bias >= 0 else f"- {show(-walk.bias)} ="
        axes.text(panel.left - 0.4, _middle(panel), sign, ha="right", **look)


def _middle(panel: _Panel) -> float:
    return panel.top + panel.padding + len(panel.numbers) / 2


# --- the animation -----------------------------------------------------------------------------


def animation(walk: Walkthrough, language: Language) -> bytes:
    """The frames as a GIF that begins anew after its end."""
    from PIL import Image

    pictures = []
    for figure in frames(walk, language):
        png = io.BytesIO(figures.encoded(figure, "png", dpi=100))
        with Image.open(png, formats=["PNG"]) as picture:
            pictures.append(picture.convert("RGB"))
    indexed = _with_one_palette(pictures)
    stream = io.BytesIO()
    indexed[0].save(
        stream,
        format="GIF",
        save_all=True,
        append_images=indexed[1:],
        duration=[STEP_MS] * (len(indexed) - 1) + [LAST_MS],
        loop=0,
        optimize=False,
    )
    return stream.getvalue()


def _with_one_palette(pictures: list[Image]) -> list[Image]:
    """The pictures with the same 256 colours, so that a frame stores only where it differs."""
    from PIL import Image

    width, height = pictures[0].size
    film = Image.new("RGB", (width, height * len(pictures)))
    for number, picture in enumerate(pictures):
        film.paste(picture, (0, number * height))
    # of Pillow's methods the one that leaves white white; median cut takes averages
    method = Image.Quantize.MAXCOVERAGE
    film = film.quantize(256, method=method, dither=Image.Dither.NONE)
    return [film.crop((0, top, width, top + height)) for top in range(0, film.height, height)]
