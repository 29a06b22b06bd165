"""The confusion matrix and the surest mistakes, drawn."""

import numpy as np
import pytest

from lenet.data import Split
from lenet.drawing import figures
from lenet.looking import mistake_figures
from lenet.looking.evaluation import Mistake
from test_maps import check_texts

NAMES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag")


def counted(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 30, (n, n)) + 900 * np.eye(n, dtype=np.int64)


@pytest.mark.slow
@pytest.mark.parametrize("names", [("a", "b"), NAMES, tuple(f"class {i}" for i in range(16))])
def test_counts_and_shares_are_there_and_readable(names: tuple[str, ...]) -> None:
    counts = counted(len(names))
    counts[0, 1] = 0
    figure = mistake_figures.confusion(counts, names, "title")
    check_texts(figure)
    written = [text.get_text() for text in figure.axes[0].texts]
    for count in counts[counts > 0]:
        assert str(count) in written
    assert "0" not in written
    assert f"{counts[0, 0] / counts[0].sum():.1%}" in written


def test_a_hundred_classes_have_colours_alone() -> None:
    figure = mistake_figures.confusion(counted(100), [str(i) for i in range(100)], "title")
    check_texts(figure)
    assert not figure.axes[0].texts


def test_recognised_is_blue_and_mistaken_red() -> None:
    counts = np.array([[9, 1, 0], [0, 10, 0], [0, 0, 0]])
    figure = mistake_figures.confusion(counts, ("a", "b", "c"), "title")
    colors = figure.axes[0].images[0].get_array()
    assert colors[1, 1, 2] > colors[1, 1, 0]
    assert colors[0, 1, 0] > colors[0, 1, 2]
    assert (colors[1, 0] == 1).all()
    assert (colors[2] == 1).all()  # no pictures of this class


def split_of(channels: int, classes: tuple[str, ...]) -> Split:
    images = np.random.default_rng(0).integers(0, 256, (9, channels, 12, 12), np.uint8)
    return Split(images, np.arange(9, dtype=np.int64) % len(classes), classes, "made up")


@pytest.mark.slow
@pytest.mark.parametrize("count", [0, 1, 7])
@pytest.mark.parametrize("channels", [1, 3])
def test_each_mistake_has_its_picture_and_words(channels: int, count: int) -> None:
    split = split_of(channels, ("ankle boot", "a rather long name", "emu"))
    found = [Mistake(i, 0, 1, 0.9 - i / 100, 0.05) for i in range(count)]
    figure = mistake_figures.mistakes(split, found, "title")
    check_texts(figure)
    words = [text.get_text() for text in figure.texts]
    assert len(figure.axes) == count
    for mistake in found:
        assert f"picture {mistake.index}" in words
        assert f"a rather l… {mistake.probability:.3f}" in words
    assert ("no mistakes" in words) == (count == 0)


@pytest.mark.parametrize("there", [True, False])
def test_chinese_names_are_numbers_where_no_font_has_them(
    there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a font (one that claims to be) they stay; without, no boxes are drawn."""
    monkeypatch.setattr(figures, "cjk_fonts", lambda: ("DejaVu Serif",) if there else ())
    figure = mistake_figures.confusion(np.eye(2, dtype=np.int64), ("猫", "dog"), "title")
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["猫" if there else "class 0", "dog"]
    if not there:
        check_texts(figure)  # and no warning of a missing sign
