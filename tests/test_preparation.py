"""Photographs made into what a data set has: places, grounds, sizes; descriptions of strangers."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lenet import data
from lenet.data import preparation
from lenet.data.preparation import Preparation, PreparationError, prepare, usual

DIGIT = Preparation(1, 28, 28, "digit", "dark")
OBJECT = Preparation(1, 28, 28, "object", "dark")
FASHION = data.KNOWN["fashion-mnist"].classes


def digit_on_paper(scale: int = 10, paper: int = 210, ink: int = 40) -> NDArray[np.uint8]:
    """A dark 7-like shape somewhere on noisy light paper."""
    random = np.random.default_rng(0)
    image = paper + random.normal(0, 3, (30 * scale, 40 * scale))
    image[5 * scale : 7 * scale, 8 * scale : 18 * scale] = ink
    image[5 * scale : 25 * scale, 16 * scale : 18 * scale] = ink
    return np.clip(image, 0, 255).astype(np.uint8)


def test_a_dark_digit_on_paper_becomes_light_ink_in_20_by_20_centred_by_mass() -> None:
    made = prepare(digit_on_paper(), DIGIT)
    assert made.shape == (1, 28, 28)
    assert made.dtype == np.uint8
    rows, columns = (np.flatnonzero(made[0].any(axis=axis)) for axis in (1, 0))
    assert rows[-1] - rows[0] + 1 == 20
    assert columns[-1] - columns[0] + 1 == 10
    assert made.max() == 255
    mass = made[0].astype(float)
    grid = np.indices(mass.shape)
    assert [float((mass * axis).sum() / mass.sum()) for axis in grid] == pytest.approx(
        [14, 14], abs=0.5
    )


def test_light_ink_on_a_dark_ground_gives_the_same_picture() -> None:
    paper = digit_on_paper()
    np.testing.assert_array_equal(prepare(paper, DIGIT), prepare(255 - paper, DIGIT))


def test_mnist_s_own_digits_come_back_from_enlargements(full_data: None) -> None:
    same, tried = 0, 0
    for image in data.load("mnist").test.images[:60, 0]:
        rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
        part = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        if any(
            edge.max() <= preparation.INK for edge in (part[0], part[-1], part[:, 0], part.T[-1])
        ):
            continue  # it is cut off, as a shimmer
        large = np.pad(part.repeat(10, 0).repeat(10, 1), ((30, 11), (5, 72)))
        tried += 1
        same += bool(np.abs(prepare(large, DIGIT)[0].astype(int) - image).mean() < 1)
    assert tried >= 25
    assert same >= 0.95 * tried


def test_an_article_fills_the_picture_and_keeps_its_greys() -> None:
    image = np.full((300, 200, 3), 255, np.uint8)
    image[50:250, 60:160] = 128
    made = prepare(image, OBJECT)[0]
    assert made[:, :7].max() == made[:, 21:].max() == 0
    assert made[:, 7:21].min() == made[:, 7:21].max() == 127


def test_a_picture_of_the_right_size_is_left_as_it_is() -> None:
    image = np.random.default_rng(1).integers(0, 256, (28, 28), dtype=np.uint8)
    for how in (DIGIT, OBJECT, Preparation(1, 28, 28), Preparation(1, 28, 28, "crop")):
        np.testing.assert_array_equal(prepare(image, how)[0], image)


def test_a_ground_that_is_told_is_taken() -> None:
    image = np.full((60, 60), 255, np.uint8)
    image[:, :40] = 0  # mostly dark at the border: is it a bright stripe, or a dark one?
    bright = prepare(image, DIGIT)[0]
    dark = prepare(image, DIGIT, "light")[0]
    columns = [np.flatnonzero(made.any(0)) for made in (bright, dark)]
    assert len(columns[0]) == 7  # 20 of 60 columns, scaled to 20 rows
    assert len(columns[1]) == 13
    exact = np.full((28, 28), 240, np.uint8)
    exact[10:20, 10:20] = 10
    assert prepare(exact, DIGIT, "light")[0, 15, 15] == 255


def test_crop_pad_and_stretch() -> None:
    image = np.full((40, 80, 3), 200, np.uint8)
    image[:, 20:60] = (250, 0, 10)
    crop, pad, stretch = (
        prepare(image, Preparation(3, 20, 20, fit)) for fit in ("crop", "pad", "stretch")
    )
    assert (crop == np.array([250, 0, 10], np.uint8)[:, None, None]).all()
    assert (pad[:, :5] == 200).all()  # its own ground
    assert (pad[:, 15:] == 200).all()
    assert pad[:, 10, 10].tolist() == [250, 0, 10]
    assert stretch[:, 0, 0].tolist() == [200] * 3
    assert stretch[:, 10, 10].tolist() == [250, 0, 10]


def test_a_transparent_ground_is_one_that_the_ink_stands_out_from() -> None:
    for shade, expected in ((250, 0), (5, 255)):
        image = np.zeros((50, 50, 4), np.uint8)
        image[10:40, 20:30] = (shade, shade, shade, 255)
        kept = prepare(image, Preparation(1, 25, 25))
        assert kept[0, 0, 0] == expected
        made = prepare(image, DIGIT)[0]
        assert made[14, 14] == 255
        assert made[0, 0] == 0


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_an_empty_picture_is_said_to_be_empty(shade: int) -> None:
    with pytest.raises(PreparationError, match="nothing stands out from the ground"):
        prepare(np.full((50, 60), shade, np.uint8), DIGIT)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((0, 4), np.uint8),
        np.zeros((4, 4)),
        np.zeros((4, 4, 5), np.uint8),
        np.zeros(4, np.uint8),
        "x.png",
    ],
)
def test_what_is_no_picture_is_refused(image: Any) -> None:
    with pytest.raises(PreparationError, match="give uint8"):
        prepare(image, DIGIT)


@settings(deadline=None)
@given(
    st.integers(1, 40), st.integers(1, 40), st.sampled_from([0, 1, 2, 3, 4]),
    st.sampled_from(["crop", "pad", "stretch"]), st.sampled_from([1, 3]), st.integers(0, 9),
)  # fmt: skip
def test_any_picture_becomes_the_shape_that_was_asked_for(
    height: int, width: int, depth: int, fit: str, channels: int, seed: int
) -> None:
    shape = (height, width, depth) if depth else (height, width)
    image = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    made = prepare(image, Preparation(channels, 12, 17, fit))
    assert made.shape == (channels, 12, 17)
    assert made.flags.c_contiguous
    if depth in (0, 1, 3):  # opaque: no new extremes
        assert image.min() <= made.min() <= made.max() <= image.max()


def test_the_usual_preparation_is_the_data_set_s() -> None:
    digits = tuple("0123456789")
    assert usual((1, 28, 28), digits, "mnist") == DIGIT
    assert usual((1, 32, 32), digits).fit == "digit"
    assert usual((1, 28, 28), digits, "fashion-mnist") == OBJECT
    assert usual((1, 28, 28), FASHION) == OBJECT
    assert usual((3, 28, 28), digits, "mnist") == Preparation(3, 28, 28, "crop", "keep")
    assert usual((1, 28, 28), (*digits, "A", "é")) == OBJECT
    assert usual((1, 28, 28), ("0", "1")) == Preparation(1, 28, 28, "pad", "keep")
    assert usual((1, 28, 28), ("cat", "dog")) == Preparation(1, 28, 28, "pad", "keep")


def test_it_reads_back_from_json() -> None:
    for how in (DIGIT, Preparation(3, 5, 7, "crop")):
        assert preparation.from_dict(json.loads(json.dumps(preparation.to_dict(how)))) == how


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (None, "must be an object"),
        ({"channels": 1, "height": 28}, "has no width"),
        ({"channels": 1, "height": 28, "width": 10**9}, "width is 1000000000"),
        ({"channels": True, "height": 28, "width": 28}, "channels is True"),
        ({"channels": 1, "height": 28, "width": 28, "fit": "\x1b[2J"}, "fit is"),
        ({"channels": 1, "height": 28, "width": 28, "fit": ["pad"]}, "choose from crop"),
        ({"channels": 3, "height": 28, "width": 28, "fit": "digit"}, "needs ground"),
    ],
)
def test_a_stranger_s_preparation_is_checked(values: object, said: str) -> None:
    with pytest.raises(PreparationError, match=said):
        preparation.from_dict(values)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch", "digit", "object"])
def test_a_grey_picture_of_the_right_size_is_itself_by_the_short_way_and_the_long(fit: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    preparation = Preparation(1, 28, 28, fit, "dark")
    short = prepare(image, preparation)
    np.testing.assert_array_equal(short[0], image)
    np.testing.assert_array_equal(prepare(image[:, :, None], preparation), short)
    assert not np.shares_memory(short, image)
