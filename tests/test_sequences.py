"""Data sets of other libraries: a length and items are enough."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lenet.data import DataError, arrays


@dataclass
class Pairs:
    """As torchvision's: items are pairs, and the names of the classes are known."""

    items: Sequence[Any]
    classes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


@dataclass
class Names:
    names: list[str]


@dataclass
class Rows(Pairs):
    """As Hugging Face's: items are dicts, and features say what they are."""

    features: dict[str, Any] = field(default_factory=dict)


def picture(number: int, mode: str = "L", size: tuple[int, int] = (12, 10)) -> Image.Image:
    noise = np.random.default_rng(number).integers(0, 256, (size[1], size[0]), np.uint8)
    return Image.fromarray(noise).convert(mode)


def test_pairs_of_pillows_pictures() -> None:
    given = Pairs([(picture(at), at % 2) for at in range(20)], ["cat", "dog"])
    loaded = arrays.dataset(given)
    assert loaded.train.classes == ("cat", "dog")
    assert loaded.train.images.shape == (16, 1, 10, 12)
    first = np.asarray(picture(0))
    everything = np.concatenate([loaded.train.images, loaded.test.images])
    assert (everything[:, 0] == first).all((1, 2)).sum() == 1


def test_dicts_by_part_as_hugging_face_has_them() -> None:
    features = {"label": Names(["a", "b"])}
    rows = [{"image": picture(at), "label": at % 2} for at in range(8)]
    given = {name: Rows(rows, features=features) for name in ("train", "validation", "test")}
    loaded = arrays.dataset(given)
    assert loaded.train.classes == ("a", "b")
    assert loaded.val is not None
    assert [len(split) for split in (loaded.train, loaded.val, loaded.test)] == [8, 8, 8]
    assert len(loaded.sha256) == 6


def test_pictures_that_differ_are_made_equal() -> None:
    modes = ("L", "RGB", "RGBA", "P", "1", "CMYK")
    red = Image.new("RGB", (50, 20), (200, 0, 0))
    items = [(picture(at, modes[at % 6], (10 + at, 15)), at % 2) for at in range(18)]
    loaded = arrays.dataset(Pairs([*items, (red, 0), (red, 1)]))
    assert loaded.train.images.shape[1:] == (3, 28, 28)
    assert loaded.preparation is not None
    assert loaded.preparation.channels == 3


def test_two_data_sets_are_to_train_and_to_test_on() -> None:
    x = np.random.default_rng(0).integers(0, 256, (10, 6, 6), np.uint8)
    one = Pairs([(x[at], at % 2) for at in range(10)])
    loaded = arrays.dataset((one, Pairs(one.items[:4])))
    assert (len(loaded.train), len(loaded.test)) == (10, 4)
    np.testing.assert_array_equal(loaded.train.images[:, 0], x)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Pairs([]), "train part of data has no picture"),
        (Pairs([1, 2]), "data holds an int; give a data set of"),
        (Pairs([(1, 2, 3)]), "data holds a tuple of 3; give a data set of"),
        (Pairs([{"text": "x", "label": 1}]), "has the keys 'text', 'label': give a data set with"),
        ({"test": Pairs([(1, 2)])}, "has the parts 'test', and none is train"),
    ],
)
def test_what_is_none(given: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        arrays.dataset(given)


def test_a_picture_that_cannot_be_read_is_named() -> None:
    import io

    whole = io.BytesIO()
    picture(0, "L", (60, 60)).save(whole, "PNG")
    cut = Image.open(io.BytesIO(whole.getvalue()[:300]))
    with pytest.raises(DataError, match="picture 1 cannot be read"):
        arrays.dataset(Pairs([(picture(0), 0), (cut, 1)]))
