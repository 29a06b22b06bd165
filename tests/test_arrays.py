"""Pictures given as arrays: what is taken, what they become, and what is refused."""

import numpy as np
import pytest

from lenet import data
from lenet.data import DataError, arrays

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (40, 1, 12, 10), np.uint8)
COLOUR = RANDOM.integers(0, 256, (40, 3, 12, 10), np.uint8)
LABELS = np.arange(40) % 4


@pytest.mark.parametrize(
    ("images", "right"),
    [
        (GREY, GREY),
        (GREY[:, 0], GREY),
        (GREY.transpose(0, 2, 3, 1), GREY),
        (COLOUR, COLOUR),
        (COLOUR.transpose(0, 2, 3, 1), COLOUR),
        (GREY.astype(np.int64), GREY),
        (GREY.astype(np.float64), GREY),
        (GREY / 255, GREY),
        ((GREY / 255).astype(np.float32), GREY),
        (GREY[:, 0].tolist(), GREY),
        (GREY > 127, (GREY > 127) * np.uint8(255)),
    ],
    ids=lambda value: f"{type(value).__name__}{getattr(value, 'dtype', '')}",
)
def test_pictures_of_every_usual_form_become_the_same_bytes(images: object, right: object) -> None:
    taken = arrays.pictures(images)
    assert taken.dtype == np.uint8
    np.testing.assert_array_equal(taken, right)


def test_tensors_are_taken() -> None:
    torch = pytest.importorskip("torch")
    np.testing.assert_array_equal(arrays.pictures(torch.from_numpy(GREY) / 255), GREY)
    assert arrays.is_array(torch.zeros(1))
    split = arrays.split(torch.from_numpy(GREY), torch.from_numpy(LABELS), "abcd")
    np.testing.assert_array_equal(split.labels, LABELS)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((5, 3, 8, 3), np.uint8), "does not say which axis has the channels"),
        (np.zeros((5, 1, 8, 1), np.uint8), "does not say which axis has the channels"),
        (np.zeros((5, 8, 8, 2), np.uint8), "has no axis of channels"),
        (np.zeros((5, 784), np.uint8), r"for 28×28 pixels, images\.reshape\(-1, 28, 28\)"),
        (np.zeros(5, np.uint8), r"shape \(5,\)"),
        (np.full((5, 8, 8), -0.4), "from -0.4 to -0.4; give pixels from 0 to 255"),
        (np.full((5, 8, 8), 256), "int64 from 256 to 256"),
        (np.full((5, 8, 8), np.nan), "float64 from nan to nan"),
        (np.full((5, 8, 8), 0.335), "between the 256 values"),
        (np.full((5, 8, 8), 17.5), "with fractions; round it"),
        ([[[1, 2], [3]]], "its rows differ in length"),
        ("pictures", "is a str; give an array of numbers"),
        (None, "is None"),
    ],
)
def test_what_could_be_meant_in_two_ways_is_refused(images: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        arrays.pictures(images)


def test_one_picture() -> None:
    np.testing.assert_array_equal(arrays.picture(GREY[0, 0]), GREY[0])
    np.testing.assert_array_equal(arrays.picture(COLOUR[0].transpose(1, 2, 0)), COLOUR[0])


# --- labels and classes ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels",
    [LABELS, LABELS.tolist(), LABELS.astype(np.uint8), LABELS[:, None], LABELS.astype(float)],
)
def test_labels_of_every_usual_form(labels: object) -> None:
    made = arrays.dataset((GREY, labels))
    assert made.train.classes == ("0", "1", "2", "3")
    assert made.train.labels.dtype == np.int64


def test_names_are_labels_too() -> None:
    words = np.array(["dog", "cat", "owl", "bee"])[LABELS]
    made = arrays.dataset((GREY, words, GREY, words))
    assert made.train.classes == ("bee", "cat", "dog", "owl")
    assert [made.train.classes[label] for label in made.train.labels] == words.tolist()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS[:5], "images has 40 pictures, labels 5 labels"),
        (LABELS + 1, "no picture has label 0"),
        (LABELS * 2, "no picture has label 1"),
        (LABELS + 1000, "at most 256 classes"),
        (LABELS - 1, r"labels\[0\] is -1"),
        (np.eye(4)[LABELS], r"labels\.argmax\(1\)"),
        (LABELS + 0.5, "is float64; give whole numbers"),
    ],
)
def test_labels_that_cannot_be_meant_are_refused(labels: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        arrays.dataset((GREY, labels))


def test_labels_are_checked_against_the_classes() -> None:
    with pytest.raises(DataError, match="'emu', which is not one of the classes cat, dog"):
        arrays.split(GREY[:1], ["emu"], ("cat", "dog"))
    with pytest.raises(DataError, match=r"labels\[2\] is 2; there are 2 classes"):
        arrays.split(GREY[:3], [0, 1, 2], ("cat", "dog"))


# --- data sets ---------------------------------------------------------------------------------


def test_a_fifth_is_set_apart_and_always_the_same() -> None:
    made, again = arrays.dataset((GREY, LABELS)), arrays.dataset((GREY, LABELS))
    assert (len(made.train), len(made.test)) == (32, 8)
    assert np.bincount(made.test.labels).tolist() == [2, 2, 2, 2]
    np.testing.assert_array_equal(made.test.images, again.test.images)
    assert made.sha256 == again.sha256


def test_four_arrays_two_pairs_and_two_splits_are_the_same_data() -> None:
    four = arrays.dataset((GREY, LABELS, GREY[:8], LABELS[:8]))
    pairs = arrays.dataset(((GREY, LABELS), (GREY[:8], LABELS[:8])))
    splits = arrays.dataset((four.train, four.test))
    assert four.sha256 == pairs.sha256 == splits.sha256
    assert arrays.dataset(four) is four


def test_two_pictures_in_lists_are_pictures_and_no_pairs() -> None:
    made = arrays.dataset((GREY[:2, 0].tolist() * 5, [0, 1] * 5))
    assert len(made.train) + len(made.test) == 10


def test_hashes_are_those_of_the_same_pictures_in_files() -> None:
    small = data.bundled()
    parts = (small.train.images, small.train.labels, small.test.images, small.test.labels)
    assert dict(arrays.dataset(parts).sha256) == dict(small.sha256)


@pytest.mark.parametrize("given", [GREY, (GREY,), "mnist", None, (GREY, LABELS, GREY)])
def test_what_is_no_data_is_refused(given: object) -> None:
    with pytest.raises(DataError, match=r"give \(images, labels\)"):
        arrays.dataset(given)


def test_a_file_can_not_be_found_for_arrays() -> None:
    with pytest.raises(DataError, match=r"given as arrays from Python.*lenet\.go_on"):
        data.load(data.IN_MEMORY)
