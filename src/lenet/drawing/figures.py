"""Pictures of a training and of its data, drawn with matplotlib.

matplotlib is imported when the first picture is drawn, and only its object interface: no pyplot,
no global backend, so that a server or a notebook may draw while others do. What is drawn depends
on the arguments alone, not on the reader's matplotlibrc; saved twice, it is the same file.
"""

from __future__ import annotations

import contextlib
import functools
import io
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from lenet import system
from lenet.drawing.text_width import cells
from lenet.files import write_atomically
from lenet.language.figures import figure_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lenet.data import Split
    from lenet.language.asked import Language
    from lenet.training import Reading

# The curves of a training by the names of history.csv, in the order of every legend; live.py takes
# them too. The colours are Okabe and Ito's, which all common kinds of colour blindness tell apart.
PALETTE: Final[Mapping[str, str]] = {
    "train_loss": "#0072B2",
    "train_acc": "#D55E00",
    "val_acc": "#CC79A7",
    "test_acc": "#009E73",
}
INK: Final = "#262626"
GREY: Final = "#6B6B6B"  # as text on white 5.3 : 1
PAPER: Final = "#E6E6E6"  # grid, and what lies between pictures

SUFFIXES: Final = (".svg", ".png", ".pdf")
MAX_SHEET_PX: Final = 1 << 15  # matplotlib draws no more than 2^16 on a side, at 200 dpi

# The tutorials' dashes: the curves are told apart in black and white, too.
_DASHES: Final = {"train_loss": "-", "train_acc": "--", "val_acc": ":", "test_acc": "-."}
_PUBLISHED_AS: Final = {"train_loss": "loss", "train_acc": "train_acc", "test_acc": "test_acc"}
_PUBLISHED_MARKERS: Final = "oDs^vP"

_STYLE: Final[dict[Any, object]] = {
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": PAPER,
    "grid.linewidth": 0.8,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.7,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "legend.handlelength": 3.2,
    "svg.fonttype": "none",  # text stays text: it can be searched, and is drawn in the page's font
    "svg.hashsalt": "lenet",  # else the ids in an SVG are drawn at random
}

# Fonts with Chinese, Japanese and Korean, for class names that the default font has no signs for.
_CJK_FONTS: Final = (
    *("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "PingFang SC"),
    *("Hiragino Sans GB", "Heiti TC", "Songti SC", "Arial Unicode MS"),  # macOS
    *("Microsoft YaHei", "SimHei", "SimSun", "Microsoft JhengHei"),  # Windows
    *("WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback"),
    "Noto Sans CJK JP",  # as which matplotlib before 3.11 lists the file that holds them all
)


class FigureError(ValueError):
    """A picture that cannot be drawn or saved so; the message says what is possible."""


# --- curves ------------------------------------------------------------------------------------


def points(readings: Sequence[Reading], name: str) -> tuple[list[float], list[float]]:
    """The epochs at which a column of the history was measured, and its values there."""
    measured = [(r.epoch, getattr(r, name)) for r in readings if getattr(r, name) is not None]
    return [epoch for epoch, _ in measured], [value for _, value in measured]


def curves(
    readings: Sequence[Reading],
    *,
    title: str | None = None,
    published: Sequence[Mapping[str, Any]] | None = None,
    epochs: int | None = None,
    language: Language = "en",
) -> Figure:
    """The figure of the tutorials: train loss, train acc and test acc over epochs; val acc if any.

    ``published`` are figures from elsewhere, dicts with ``source`` and any of ``loss``,
    ``train_acc``, ``test_acc``: light markers beside the last epoch. ``epochs`` is where the
    axis ends; without it, at the last reading.
    """
    end = float(epochs or max((reading.epoch for reading in readings), default=1.0))
    title = said(title, language) if title else None
    with style([title or "", said("epoch", language)]):
        height_in = 4.0 if title else 3.75
        figure = blank(6.4, height_in)
        axes = figure.add_axes((0.075, 0.46 / height_in, 0.845, 2.94 / height_in))
        _draw_curves(axes, readings, language)
        _draw_published(axes, published or (), end)
        _finish_axes(axes, end, 0.05 if published else 0.0, language)
        _label_last_values(axes, readings)
        figure.legend(
            *axes.get_legend_handles_labels(),
            loc="upper left",
            bbox_to_anchor=(0.068, 3.72 / height_in),
            ncols=4,
            borderaxespad=0.0,
            columnspacing=1.6,
        )
        if title:
            figure.text(0.075, 3.80 / height_in, title, fontsize=10.5, weight="bold", color=INK)
    return figure


def _draw_curves(axes: Axes, readings: Sequence[Reading], language: Language) -> None:
    for name, color in PALETTE.items():
        xs, ys = points(readings, name)
        if not xs and name == "val_acc":
            continue
        # Measured once an epoch: the points themselves are shown, as long as they keep apart.
        once_an_epoch = name not in ("train_loss", "train_acc")
        marker = "o" if (once_an_epoch and len(xs) <= 30) or len(xs) == 1 else None
        axes.plot(
            xs,
            ys,
            color=color,
            linestyle=_DASHES[name],
            marker=marker,
            markersize=6.5 if name == "val_acc" else 4.0,  # a ring where test acc covers it
            clip_on=False,  # a marker on the edge is shown whole
            label=said(name.replace("_", " "), language),
        )


def _draw_published(axes: Axes, published: Sequence[Mapping[str, Any]], end: float) -> None:
    """Light markers right of the last epoch, one shape a source, and their own legend."""
    if not published:
        return
    from matplotlib.lines import Line2D

    handles = []
    for index, row in enumerate(published):
        # Sources lie near each other: side by side, or one would hide the next.
        x = end * (1 + 0.05 * (index + 1) / (len(published) + 1))
        look: dict[str, Any] = {
            "marker": _PUBLISHED_MARKERS[index % len(_PUBLISHED_MARKERS)],
            "markersize": 5.0,
            "linestyle": "none",
            "alpha": 0.55,
            "markeredgewidth": 0.0,
        }
        for name, key in _PUBLISHED_AS.items():
            if row.get(key) is not None:
                axes.plot([x], [row[key]], color=PALETTE[name], **look)
        handles.append(Line2D([], [], color=GREY, label=str(row.get("source", "")), **look))
    axes.legend(
        handles=handles,
        title="published",
        loc="best",  # the upper right corner, unless the loss has stayed there
        fontsize=8.0,
        title_fontsize=8.0,
        alignment="left",
        handlelength=1.0,
    )


def _finish_axes(axes: Axes, end: float, beside: float, language: Language) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel(said("epoch", language))
    axes.set_xlim(0.0, end * (1 + beside))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=end >= 2))
    top = axes.dataLim.y1 if len(axes.lines) and math.isfinite(axes.dataLim.y1) else 1.0
    axes.set_ylim(0.0, max(1.0, 1.05 * top))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))


def _label_last_values(axes: Axes, readings: Sequence[Reading]) -> None:
    """The last value of each curve, right of the axes, in its colour and beside its height."""
    last = [(points(readings, name)[1][-1:], color) for name, color in PALETTE.items()]
    labels = sorted((ys[0], color) for ys, color in last if ys)
    top = axes.get_ylim()[1]
    heights = spread([value / top for value, _ in labels], gap=0.047)
    for (value, color), height in zip(labels, heights, strict=True):
        axes.text(
            1.012,
            height,
            f"{value:{'.3f' if value < 1000 else '.3g'}}",
            color=color,
            transform=axes.transAxes,
            verticalalignment="center",
            fontsize=8.5,
        )


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Ascending places moved as little as it takes to lie ``gap`` apart.

    >>> spread([0.0, 0.5, 0.5], gap=0.25)
    [0.0, 0.375, 0.625]
    """
    groups: list[list[float]] = []  # places that touch are spread about their common middle
    for place in places:
        groups.append([place])
        while len(groups) > 1 and _touch(groups[-2], groups[-1], gap):
            groups[-2:] = [groups[-2] + groups[-1]]
    return [place for group in groups for place in _spaced(group, gap)]


def _spaced(group: list[float], gap: float) -> list[float]:
    middle = sum(group) / len(group)
    return [middle + (index - (len(group) - 1) / 2) * gap for index in range(len(group))]


def _touch(below: list[float], above: list[float], gap: float) -> bool:
    return _spaced(above, gap)[0] - _spaced(below, gap)[-1] < gap


# Okabe and Ito's colours, for runs beside each other; the dashes begin anew with the colours.
_RUN_COLORS: Final = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"),
    "#262626",
)
_RUN_DASHES: Final = ("-", "--", ":", "-.")


def overlaid(histories: Mapping[str, Sequence[Reading]], language: Language = "en") -> Figure:
    """Several runs' train loss and test accuracy over each other, one colour a run.

    Where a run has no test accuracy it has no curve on the right. Beyond 28 runs looks repeat.
    """
    columns = 2 if max(map(cells, histories), default=0) <= 40 else 1
    rows = math.ceil(len(histories) / columns)
    legend_in = 0.2 * rows + 0.15
    height_in = 3.6 + legend_in
    with style([*histories, said("epoch", language)]):
        figure = blank(8.6, height_in)
        bottom, high = (0.5 + legend_in) / height_in, 2.75 / height_in
        panels = (("train_loss", 0.07), ("test_acc", 0.565))
        for name, left in panels:
            axes = figure.add_axes((left, bottom, 0.42, high))
            axes.set_title(said(name.replace("_", " "), language))
            for index, (label, readings) in enumerate(histories.items()):
                xs, ys = points(readings, name)
                axes.plot(
                    xs,
                    ys,
                    color=_RUN_COLORS[index % len(_RUN_COLORS)],
                    linestyle=_RUN_DASHES[index % len(_RUN_DASHES)],
                    marker="o" if len(xs) == 1 else None,
                    label=label,
                )
            end = max((r.epoch for readings in histories.values() for r in readings), default=1.0)
            _finish_axes(axes, end, 0.0, language)
        figure.legend(
            *axes.get_legend_handles_labels(),
            loc="lower left",
            bbox_to_anchor=(0.06, 0.02),
            ncols=columns,
            borderaxespad=0.0,
        )
    return figure


# --- pictures ----------------------------------------------------------------------------------


def sheet(
    split: Split,
    *,
    count: int | None = None,
    columns: int = 10,
    title: str | None = None,
) -> Figure:
    """A sheet of labelled pictures, grey (n, 1, h, w) or RGB (n, 3, h, w).

    One row a class, of its first ``columns`` pictures; with ``count``, the first so many of the
    split in its order, each over its label. Raises FigureError for other channels.
    """
    if split.images.shape[1] not in (1, 3):
        raise FigureError(
            f"pictures with {split.images.shape[1]} channels cannot be shown; 1 is grey, 3 is RGB"
        )
    if columns < 1 or (count is not None and count < 1):
        raise FigureError(f"count is {count} and columns {columns}; both must be at least 1")
    if not len(split):
        raise FigureError(f"there are no pictures in {split.identity}")
    if count is None:
        rows = [np.flatnonzero(split.labels == c)[:columns] for c in np.unique(split.labels)]
    else:
        first = np.arange(min(count, len(split)))
        rows = [first[start : start + columns] for start in range(0, len(first), columns)]
    return _draw_sheet(split, rows, max(map(len, rows)), by_class=count is None, title=title)


def _draw_sheet(
    split: Split, rows: list[NDArray[np.int64]], columns: int, by_class: bool, title: str | None
) -> Figure:
    _, _, height, width = split.images.shape
    # All lengths below are pixels of the pictures; `zoom` of the figure's make one of them.
    zoom = max(1, round(56 / max(height, width)))
    gap = math.ceil(4 / zoom)
    line = math.ceil(15 / zoom)  # the height of a line of text
    names = [split.classes[split.labels[row[0]]] for row in rows] if by_class else []
    left = gap + math.ceil(max((6 * cells(name) + 4 for name in names), default=0) / zoom) + gap
    top = 2 * gap + (math.ceil(26 / zoom) if title else 0)
    across = width + gap
    down = height + gap + (0 if by_class else line)
    shape = (top + len(rows) * down + gap, left + columns * across + gap, 3)
    if max(shape) * zoom > MAX_SHEET_PX:
        raise FigureError(
            f"a sheet of {len(rows)} rows of {columns} pictures of {height}×{width} pixels is too "
            "large to draw; ask for fewer pictures"
        )

    canvas = np.full(shape, 255, np.uint8)
    labels: list[tuple[float, float, str, str]] = []  # x, y, alignment, text
    for row, members in enumerate(rows):
        y = top + row * down
        if by_class:
            labels.append((left - 2 * gap, y + height / 2, "right", names[row]))
        for column, index in enumerate(members):
            x = left + column * across
            picture = split.images[index].transpose(1, 2, 0)  # (h, w, 1 or 3)
            canvas[y : y + height, x : x + width] = picture
            if not by_class:
                name = _shortened(split.classes[split.labels[index]], across * zoom)
                labels.append((x + width / 2, y + height + line / 2, "center", name))

    with style([title or "", *(label for *_, label in labels)]):
        figure = blank(shape[1] * zoom / 100, shape[0] * zoom / 100)
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        # "none" is nearest on a raster, and in an SVG leaves the pixels as they are.
        axes.imshow(canvas, interpolation="none", extent=(0, shape[1], shape[0], 0), aspect="auto")
        for x, y, alignment, label in labels:
            axes.text(
                x,
                y,
                label,
                color=INK,
                fontsize=7.0,
                horizontalalignment=alignment,
                verticalalignment="center",
            )
        if title:
            axes.text(left, top - 14 / zoom, title, fontsize=10.5, weight="bold", color=INK)
    return figure


def _shortened(name: str, room_px: int) -> str:
    letters = max(3, int(room_px / 5.7))
    if cells(name) <= letters:
        return name
    while cells(name) > letters - 1:
        name = name[:-1]
    return name + "…"


# --- files -------------------------------------------------------------------------------------


def save(figure: Figure, path: str | os.PathLike[str], *, dpi: int = 200) -> Path:
    """The path, where the figure now is: SVG, PNG or PDF by its suffix; ``dpi`` is for PNG.

    The same figure gives the same bytes. Raises FigureError for another suffix, OSError where the
    disk refuses.
    """
    path = Path(path)
    check_suffix(path)
    write_atomically(path, encoded(figure, path.suffix.lower()[1:], dpi=dpi))
    return path


def check_suffix(path: Path) -> None:
    """Raise FigureError unless a figure can be saved under this name."""
    if path.suffix.lower() not in SUFFIXES:
        raise FigureError(
            f"{path}: cannot save a figure as {path.suffix or 'a file without suffix'}; "
            f"end the name in one of {', '.join(SUFFIXES)}"
        )


def encoded(figure: Figure, form: str, *, dpi: int = 200) -> bytes:
    """The figure as bytes of an ``svg``, ``png`` or ``pdf`` file, without times and versions."""
    metadata = {
        "svg": {"Date": None, "Creator": None},
        "png": {"Software": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    from matplotlib.text import Text

    # the powers of ten on an axis are set only now, in the font of the other words
    words = [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)]
    stream = io.BytesIO()
    with style(words), warnings.catch_warnings():
        # An SVG's text is drawn where it is read; the fonts of this machine are not asked for.
        if form == "svg":
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(stream, format=form, dpi=dpi, metadata=metadata[form])
    return stream.getvalue()


# --- style -------------------------------------------------------------------------------------


def blank(width_in: float, height_in: float) -> Figure:
    """A white figure of this size in inches, to be drawn on under ``style``."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), dpi=100, facecolor="white")


@contextlib.contextmanager
def style(texts: Sequence[str]) -> Iterator[None]:
    """matplotlib with our settings over its own defaults, and fonts that can show the texts."""
    import matplotlib

    # Which backend is in use is the reader's business; to touch it would load pyplot.
    defaults = {
        key: value
        for key, value in matplotlib.rcParamsDefault.items()
        if not key.startswith("backend")
    }
    with matplotlib.rc_context():
        matplotlib.rcParams.update(defaults)
        matplotlib.rcParams.update(_STYLE)
        if any(map(_is_wide, texts)):  # one font for all of it: it has Latin letters, too
            fonts = [*cjk_fonts(), "DejaVu Sans"]
            faces = ("rm", "it", "bf", "bfit", "sf", "tt", "cal")  # of powers of ten on an axis
            look: dict[Any, object] = {f"mathtext.{face}": fonts[0] for face in faces}
            look |= {"font.family": fonts, "mathtext.fontset": "custom"}
            matplotlib.rcParams.update(look)
        yield


@functools.cache
def cjk_fonts() -> tuple[str, ...]:
    """Those of the known fonts with Chinese, Japanese and Korean that matplotlib finds here."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    def found() -> tuple[str, ...]:
        there = set(fontManager.get_font_names())
        return tuple(font for font in _CJK_FONTS if font in there)

    if not found():  # matplotlib keeps its list of fonts, which lacks those installed since
        listed = {font.fname for font in fontManager.ttflist}
        for path in set(findSystemFonts()) - listed:
            with contextlib.suppress(RuntimeError, OSError):  # no font that it can read
                fontManager.addfont(path)
    return found()


def drawn_names(names: Sequence[str]) -> tuple[list[str], str]:
    """The names as a picture can show them, and a remark for the reader where that is otherwise.

    A name that needs a Chinese font where there is none becomes its number: "class 3", not boxes.
    """
    if not any(map(_is_wide, names)) or cjk_fonts():
        return list(names), ""
    shown = [f"class {i}" if _is_wide(name) else name for i, name in enumerate(names)]
    return shown, (
        "no font for Chinese was found, so the picture has numbers for such names; get one "
        f"{system.how_to_get('font')}"
    )


def said(text: str, language: Language) -> str:
    """A figure's own words in the language; in English where no font has Chinese."""
    return figure_words(text) if language == "zh" and cjk_fonts() else text


def drawn(text: str) -> str:
    """The text as a picture can show it: Chinese signs become "?" where no font has them."""
    if not _is_wide(text) or cjk_fonts():
        return text
    return "".join("?" if cells(sign) > 1 else sign for sign in text)


def _is_wide(text: str) -> bool:
    return cells(text) > len(text)
