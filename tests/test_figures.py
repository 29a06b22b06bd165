"""Pictures: what is in them, that they are sharp, and that the same one is the same file."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import lenet
from lenet import drawing, system
from lenet.data import Dataset, Split
from lenet.drawing import figures
from lenet.drawing.figures import FigureError
from lenet.drawing.prepared_figure import pairs
from lenet.language.figures import figure_words
from lenet.looking import mistake_figures
from test_live import readings

PUBLISHED = [
    {"source": "tutorial 001", "loss": 0.485, "train_acc": 0.814, "test_acc": 0.816},
    {"source": "tutorial 003", "test_acc": 0.9879, "loss": None},
]


def pictures(
    n: int = 12, channels: int = 1, size: int = 28, classes: tuple[str, ...] = ("cat", "dog", "emu")
) -> Split:
    images = np.random.default_rng(0).integers(0, 256, (n, channels, size, size), np.uint8)
    return Split(images, np.arange(n, dtype=np.int64) % len(classes), classes, "made up")


# --- curves ------------------------------------------------------------------------------------


def test_the_curves_are_the_readings_in_the_palette() -> None:
    axes = figures.curves(readings(3)).axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    assert list(lines) == ["train loss", "train acc", "test acc"]
    assert list(lines["train loss"].get_xdata()) == [fifth / 5 for fifth in range(1, 16)]
    assert list(lines["test acc"].get_xdata()) == [1.0, 2.0, 3.0]
    assert lines["train loss"].get_color() == figures.PALETTE["train_loss"]
    assert axes.get_xlabel() == "epoch"
    assert axes.get_xlim() == (0, 3)


def test_val_acc_is_there_when_measured() -> None:
    lines = figures.curves(readings(2, val=True)).axes[0].lines
    labels = [str(line.get_label()) for line in lines]
    assert labels == ["train loss", "train acc", "val acc", "test acc"]


def test_the_last_values_are_written_beside_their_curves_and_apart() -> None:
    made = readings(3, val=True)
    texts = figures.curves(made).axes[0].texts
    last = made[-1]
    values = (last.train_loss, last.train_acc, last.val_acc, last.test_acc)
    assert {text.get_text() for text in texts} == {f"{value:.3f}" for value in values}
    heights = sorted(text.get_position()[1] for text in texts)
    assert min(b - a for a, b in pairwise(heights)) > 0.04


def test_published_figures_are_light_markers_right_of_the_last_epoch() -> None:
    figure = figures.curves(readings(3), published=PUBLISHED)
    axes = figure.axes[0]
    markers = [line for line in axes.lines if line.get_linestyle() == "None"]
    assert sorted(float(line.get_ydata()[0]) for line in markers) == [0.485, 0.814, 0.816, 0.9879]
    assert all(3 < line.get_xdata()[0] < axes.get_xlim()[1] for line in markers)
    assert all(line.get_alpha() < 1 for line in markers)
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["tutorial 001", "tutorial 003"]
    assert figures.encoded(figure, "svg").count(b">tutorial 001<") == 1  # drawn once


def test_a_training_that_has_just_begun_can_be_drawn() -> None:
    assert figures.encoded(figures.curves([], epochs=10), "svg")
    assert figures.encoded(figures.curves(readings(1)[:1]), "svg")
    assert figures.curves(readings(1)[:2], epochs=10).axes[0].get_xlim() == (0, 10)


@given(st.lists(st.floats(0, 1), max_size=6).map(sorted))
def test_spread_keeps_the_order_the_gap_and_what_needs_no_moving(places: list[float]) -> None:
    moved = figures.spread(places, gap=0.05)
    assert all(b - a > 0.05 - 1e-9 for a, b in pairwise(moved))
    if all(b - a > 0.051 for a, b in pairwise(places)):
        assert moved == pytest.approx(places)


# --- sheets ------------------------------------------------------------------------------------


def texts(figure: matplotlib.figure.Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_a_sheet_has_a_row_a_class_or_the_first_in_their_order(small: Dataset) -> None:
    by_class = figures.sheet(small.train, title="fashion")
    assert texts(by_class) == [*small.train.classes, "fashion"]
    first = figures.sheet(small.train, count=7, columns=5)
    assert texts(first) == [small.train.classes[label] for label in small.train.labels[:7]]


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dpi", [100, 200])
def test_every_pixel_of_a_picture_is_a_sharp_square(channels: int, dpi: int) -> None:
    split = pictures(4, channels)
    png = figures.encoded(figures.sheet(split, count=4, columns=2), "png", dpi=dpi)
    drawn = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    zoom = 2 * dpi // 100
    expected = np.broadcast_to(split.images[3].transpose(1, 2, 0), (28, 28, 3))
    expected = expected.repeat(zoom, 0).repeat(zoom, 1)
    windows = np.lib.stride_tricks.sliding_window_view(drawn[:, :, 0], expected.shape[:2])
    corners = np.argwhere((windows[:, :, 0] == expected[0, :, 0]).all(-1))
    y, x = corners[0]  # and a few rows below, which are the same
    assert (drawn[y : y + 28 * zoom, x : x + 28 * zoom] == expected).all()


def test_an_svg_holds_the_pixels_themselves() -> None:
    svg = figures.encoded(figures.sheet(pictures(), count=4), "svg").decode()
    assert "image-rendering:pixelated" in svg
    assert len(svg) < 40_000


def test_long_names_are_shortened_and_foreign_ones_do_not_warn_in_an_svg() -> None:
    split = pictures(3, classes=("汽车", "a dog of the neighbours", "猫"))
    figure = figures.sheet(split, count=3)
    assert texts(figure)[0] == "汽车"
    assert texts(figure)[1].startswith("a dog")
    assert texts(figure)[1].endswith("…")
    assert "汽车" in figures.encoded(figure, "svg").decode()


@pytest.mark.parametrize(
    ("split", "options", "message"),
    [
        (pictures(channels=2), {}, "2 channels cannot be shown; 1 is grey, 3 is RGB"),
        (pictures(), {"count": 0}, "count is 0 and columns 10; both must be at least 1"),
        (pictures(n=0), {}, "there are no pictures in made up"),
        (pictures(n=2000), {"count": 2000, "columns": 2}, "1000 rows of 2 pictures"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    split: Split, options: dict[str, int], message: str
) -> None:
    with pytest.raises(FigureError, match=re.escape(message)):
        figures.sheet(split, **options)


# --- files -------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["svg", "png", "pdf"])
def test_the_same_figure_is_the_same_file_whatever_the_readers_settings(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn() -> list[bytes]:
        curves = figures.curves(readings(10, val=True), title="d2l", published=PUBLISHED)
        sheet = figures.sheet(pictures(), title="sheet")
        return [figures.encoded(figure, form) for figure in (curves, sheet)]

    before = drawn()
    for key, value in {"lines.linewidth": 9, "font.size": 30, "svg.fonttype": "path"}.items():
        monkeypatch.setitem(matplotlib.rcParams, key, value)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    assert drawn() == before
    assert matplotlib.rcParams["lines.linewidth"] == 9


def test_text_in_an_svg_is_text_and_no_date_or_version_is_in_it() -> None:
    svg = figures.encoded(figures.curves(readings(3), title="Ours"), "svg").decode()
    for text in ("Ours", "train loss", "test acc", "epoch", "0.799"):
        assert f">{text}</text>" in svg
    assert "dc:date" not in svg
    assert matplotlib.__version__ not in svg


def test_save_writes_whole_files_by_their_suffix(tmp_path: Path) -> None:
    figure = figures.curves(readings(1))
    heads = {"a.svg": b"<?xml", "b.PNG": b"\x89PNG", "c.pdf": b"%PDF"}
    for name, head in heads.items():
        assert figures.save(figure, tmp_path / name).read_bytes().startswith(head)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(heads)


def test_save_says_which_suffixes_there_are(tmp_path: Path) -> None:
    for name in ("curves.jpg", "curves"):
        with pytest.raises(FigureError, match=r"end the name in one of \.svg, \.png, \.pdf"):
            figures.save(figures.curves([]), tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_no_pyplot_and_no_backend_is_loaded() -> None:
    code = f"""
import sys
sys.path[:0] = [{str(Path(figures.__file__).parents[2])!r}, {str(Path(__file__).parent)!r}]
from lenet import data
from lenet.drawing import figures, live
assert not [name for name in sys.modules if name.startswith("matplotlib")]
from test_live import readings
figures.encoded(figures.curves(readings(2)), "svg")
figures.encoded(figures.sheet(data.bundled().test), "png")
assert "matplotlib.pyplot" not in sys.modules
import matplotlib
assert matplotlib.get_backend(auto_select=False) is None
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=240)


def luminance(color: Any) -> float:
    """Of WCAG 2.2."""
    from matplotlib.colors import to_rgb

    parts = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in to_rgb(color))
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


def contrast(one: Any, other: Any) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_grey_text_can_be_read() -> None:
    assert contrast(figures.GREY, "white") >= 4.5
    assert contrast(figures.INK, "white") >= 4.5


def test_a_count_on_any_shade_can_be_read() -> None:
    shares = np.linspace(0, 1, 101 * 2).reshape(101, 2)
    for share in shares:
        colors = mistake_figures._cell_colors(np.array([share, share]))
        for color in colors.reshape(4, 3):
            assert contrast(color, mistake_figures._ink_on(color)) >= 4.5


def test_no_run_is_told_by_its_colour_alone() -> None:
    figure = figures.overlaid({f"run {number}": readings(1) for number in range(28)})
    lines = figure.axes[0].get_lines()
    assert len({line.get_linestyle() for line in lines[:4]}) == 4
    assert len({(line.get_linestyle(), line.get_color()) for line in lines}) == 28


@pytest.mark.parametrize("there", [True, False])
def test_a_chinese_picture_has_one_font(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "cjk_fonts", lambda: ("DejaVu Serif",) if there else ())
    with figures.style(["2 猫"]):
        assert matplotlib.rcParams["font.family"][0] == ("DejaVu Serif" if there else "DejaVu Sans")
        assert matplotlib.rcParams["mathtext.rm"] == matplotlib.rcParams["font.family"][0]


@pytest.mark.parametrize("there", [True, False])
def test_names_that_no_font_has_are_numbers(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "cjk_fonts", lambda: ("DejaVu Serif",) if there else ())
    names, remark = figures.drawn_names(("cat", "狗", "鸟"))
    assert names == (["cat", "狗", "鸟"] if there else ["cat", "class 1", "class 2"])
    assert (system.how_to_get("font") in remark) == (not there)
    assert figures.drawn("猫 cat") == ("猫 cat" if there else "? cat")
    assert figures.drawn_names(("cat", "dog")) == (["cat", "dog"], "")


def test_what_draws_is_loaded_in_a_thread_and_its_errors_are_for_who_draws(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "csv", None)  # what Python takes for "cannot be imported"
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    drawing.load_ahead(("colorsys", "csv"))
    for thread in threading.enumerate():
        if thread.name == "lenet-load-ahead":
            assert not thread.daemon
            thread.join()
    assert "colorsys" in sys.modules


# --- in Chinese --------------------------------------------------------------------------------


def words_of(figure: Any) -> list[str]:
    """What stands on a figure, without numbers, sizes and the names of layers and classes."""
    from matplotlib.text import Text

    found = [text.get_text() for text in figure.findobj(Text) if text.get_visible()]
    free = r"[\d.,%×−±()\s:：，]|lenet|Conv2d|Sigmoid|AvgPool2d|Linear|Max|[CSF]\d|R|conv|x"
    return [text for text in found if re.sub(free, "", text)]


def test_a_chinese_figure_has_chinese_words_alone(
    small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not figures.cjk_fonts():
        pytest.skip("no font with Chinese is here")
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    seen = lenet.features("lenet", small.test.images[0, 0])
    counts = np.eye(3, dtype=np.int64)
    drawn = [
        figures.curves(readings(2), title="epoch 1 of 2", language="zh"),
        figures.overlaid({"1": readings(2), "2": readings(2)}, "zh"),
        mistake_figures.confusion(counts, "123", "lenet: 9% of 9 pictures recognised", "zh"),
        mistake_figures.mistakes(small.test, [], "lenet: most confident mistakes", "zh"),
        lenet.kernels("lenet").figure(),
        pairs([], "what lenet sees", "zh"),
        seen.figure(),
        seen.shortcut_figure(),
    ]
    for figure in drawn:
        words = words_of(figure)
        assert words
        english = [text for text in words if not re.search("[\u4e00-\u9fff]", text)]
        assert english == [], english


def test_a_sentence_that_is_not_known_stays_as_it_is() -> None:
    assert figure_words("AdamW 0.01") == "AdamW 0.01"
    assert figures.said("epoch", "en") == "epoch"
