"""Data sets of other libraries, by what they can do: a length, and an item for each index.

PyTorch's and torchvision's give pairs (picture, label), Hugging Face's a dict with image and label.
Pictures are arrays, tensors, or Pillow's; Pillow's may differ in size and mode, and are made equal
as files are (``picture_reading``). Nothing is imported: types are known by what they offer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from lenet.data.class_folder import PARTS
from lenet.data.idx import DataError, UInt8
from lenet.data.picture_files import PictureFileError
from lenet.data.picture_pixels import pixels_of
from lenet.data.picture_reading import Look, fitted
from lenet.data.preparation import Preparation, PreparationError
from lenet.untrusted import plain, shown

PICTURES: Final = ("image", "img", "picture", "pixel_values", "pixels", "x")
LABELS: Final = ("label", "labels", "fine_label", "target", "class", "y")
SAMPLED: Final = 300


@dataclass(frozen=True, eq=False)
class Columns:
    """The pictures and the labels of each part, and the classes' names where it says them."""

    parts: Mapping[str, tuple[Any, list[Any]]]  # "train", "val", "test"
    classes: tuple[str, ...] | None
    preparation: Preparation | None = None


def is_sequence(value: Any) -> bool:
    """Whether this is a data set with a length and items, and no array, list, table or text."""
    known = (Mapping, str, bytes, bytearray, list, tuple, range, memoryview, np.ndarray)
    if isinstance(value, (*known, type)):
        return False
    array = hasattr(value, "__array_interface__") or hasattr(value, "__array__")
    if array or type(value).__module__.split(".")[0] == "pandas":
        return False
    return hasattr(value, "__len__") and hasattr(value, "__getitem__")


def is_parts(value: Any) -> bool:
    """Whether this is a dict of such data sets by part: {"train": …, "test": …}."""
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(key, str) and key.casefold() in PARTS for key in value)
        and all(map(is_sequence, value.values()))
    )


def columns(given: Any) -> Columns:
    """The pictures and labels of a data set, of a dict of them, or of (train, test).

    Raises DataError where an item is neither a pair nor a dict with a picture and a label.
    """
    if isinstance(given, Mapping):
        sets = {PARTS[key.casefold()]: one for key, one in given.items()}
        if "train" not in sets:
            raise DataError(f"data has the parts {', '.join(map(shown, given))}, and none is train")
    elif is_sequence(given):
        sets = {"train": given}
    else:
        sets = dict(zip(("train", "test"), given, strict=True))
    how = _preparation(sets)
    parts = {}
    for part, one in sets.items():
        items = [_pair(one[index], index, part) for index in range(len(one))]
        if not items:
            raise DataError(f"the {part} part of data has no picture")
        pictures: Any = [picture for picture, _ in items]
        if how is not None:
            pictures = np.stack(
                [_made(picture, how, index) for index, picture in enumerate(pictures)]
            )
        parts[part] = (pictures, [label for _, label in items])
    return Columns(parts, _classes(sets["train"]), how)


def _preparation(sets: Mapping[str, Any]) -> Preparation | None:
    """How Pillow's pictures become equal, from a sample; None where the pictures are arrays."""
    look = Look()
    train = sets["train"]
    count = len(train)
    for index in np.unique(np.linspace(0, count - 1, min(count, SAMPLED)).astype(int)).tolist():
        picture, _ = _pair(train[index], index, "train")
        if not _is_pillow(picture):
            return None
        look.take(_pixels(picture, index))
    return look.preparation(None, None, "pad") if count else None


def _is_pillow(value: Any) -> bool:
    return type(value).__module__.split(".")[0] == "PIL"


def _pixels(picture: Any, index: int) -> UInt8:
    try:
        return pixels_of(picture, f"picture {index}")
    except (PictureFileError, OSError, ValueError) as error:
        raise DataError(f"picture {index} cannot be read: {plain(str(error))}") from None


def _made(picture: Any, how: Preparation, index: int) -> UInt8:
    if not _is_pillow(picture):
        raise DataError(f"picture {index} is a {type(picture).__name__}, and the others Pillow's")
    try:
        return fitted(_pixels(picture, index), how)
    except PreparationError as error:
        raise DataError(f"picture {index}: {error}") from None


def _pair(item: Any, index: int, part: str) -> tuple[Any, Any]:
    if isinstance(item, Mapping):
        picture = next((item[key] for key in PICTURES if key in item), None)
        label = next((item[key] for key in LABELS if key in item), None)
        if picture is not None and label is not None:
            return picture, label
        raise DataError(
            f"item {index} of the {part} part has the keys {', '.join(map(shown, item))}: give a "
            "data set with image and label"
        )
    if isinstance(item, tuple | list) and len(item) == 2:
        return item[0], item[1]
    raise DataError(
        f"data holds {_kind(item)}; give a data set of (picture, label), or of dicts with image "
        "and label"
    )


def _kind(item: Any) -> str:
    kind = type(item).__name__
    article = "an" if kind[:1].lower() in "aeiou" else "a"
    return f"{article} {kind}" + (f" of {len(item)}" if isinstance(item, tuple | list) else "")


def _classes(data: Any) -> tuple[str, ...] | None:
    """The names of the classes: torchvision's ``classes``, or those of Hugging Face's features."""
    names = getattr(data, "classes", None)
    if not names and isinstance(features := getattr(data, "features", None), Mapping):
        labels = next((features[key] for key in LABELS if key in features), None)
        names = getattr(labels, "names", None)
    if isinstance(names, tuple | list) and names and all(isinstance(name, str) for name in names):
        return tuple(names)
    return None
