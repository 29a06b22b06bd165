"""Pictures that a program holds in arrays, as data sets: NumPy's, PyTorch's or plain lists.

Nothing is guessed: what could be read in two ways is refused, with what to write instead.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet.data.idx import DataError, UInt8, header
from lenet.data.idx_folder import FILES
from lenet.data.split import IN_MEMORY, Dataset, Split, hold_out

TEST_SHARE = 0.2  # of the pictures, where none are given to test on
MOST_CLASSES = 256
CHANNELS = (1, 3)


def dataset(given: Any, classes: Sequence[str] | None = None) -> Dataset:
    """The data set of some arrays, with a training and a test part.

    ``given`` is one of

    - ``(images, labels)``: a fifth of each class becomes the test part, always the same pictures;
    - ``(images, labels, test_images, test_labels)``;
    - ``((images, labels), (test_images, test_labels))``, as Keras loads them;
    - ``(train, test)``, two Splits, or a Dataset, which is returned as it is.

    For images and labels see ``pictures`` and ``split``. ``classes`` are the names of the classes;
    without them they are "0" to the highest label, or the labels themselves where these are texts.
    Raises DataError, naming the argument.
    """
    if isinstance(given, Dataset):
        return given
    if not isinstance(given, tuple | list) or len(given) not in (2, 4):
        raise DataError(
            f"data is {_kind(given)}; give (images, labels), or (images, labels, test_images, "
            "test_labels), or the name of a data set"
        )
    if len(given) == 4:
        given = (given[:2], given[2:])
    first, second = given
    if isinstance(first, Split) and isinstance(second, Split):
        train, test = first, second
    elif _is_pair(first) and _is_pair(second):
        names = tuple(classes) if classes is not None else _names(first[1], second[1])
        train = split(first[0], first[1], names)
        test = split(second[0], second[1], names, "test_images", "test_labels")
    else:
        _check_lengths(_array(first, "images"), _label_array(second, "labels"), "images", "labels")
        names = tuple(classes) if classes is not None else _names(second)
        whole = split(first, second, names)
        train, test = hold_out(whole, TEST_SHARE, seed=0)
    if train.images.shape[1:] != test.images.shape[1:]:
        raise DataError(
            f"images are {train.images.shape[1:]}, test_images {test.images.shape[1:]}: make them "
            "equal in size"
        )
    parts: tuple[NDArray[Any], ...] = (train.images, train.labels, test.images, test.labels)
    hashes = {file: _sha256(array) for file, array in zip(FILES, parts, strict=True)}
    return Dataset(
        IN_MEMORY,
        train,
        test,
        source="arrays in memory",
        licence="not stated",
        sha256=MappingProxyType(hashes),
        bundled=False,
    )


def split(
    images: Any,
    labels: Any,
    classes: Sequence[str],
    images_name: str = "images",
    labels_name: str = "labels",
) -> Split:
    """Pictures and labels as a Split of these classes.

    ``labels`` (n,) are whole numbers from 0, or names of the classes. Raises DataError.
    """
    pixels = pictures(images, images_name)
    numbers = _numbers(labels, tuple(classes), labels_name)
    _check_lengths(pixels, numbers, images_name, labels_name)
    identity = f"{IN_MEMORY} (SHA-256 of images {_sha256(pixels)}, of labels {_sha256(numbers)})"
    return Split(pixels, numbers, tuple(classes), identity)


def pictures(images: Any, name: str = "images") -> UInt8:
    """The pictures as (n, channels, height, width) uint8.

    Taken are (n, height, width), (n, channels, height, width) and (n, height, width, channels)
    with 1 or 3 channels; pixels from 0 to 255, or from 0 to 1 as ``ToTensor`` makes them of bytes.
    Raises DataError for other shapes, for shapes that could be meant in two ways, and for other
    values.
    """
    array = _array(images, name)
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4:
        first, last = array.shape[1] in CHANNELS, array.shape[3] in CHANNELS
        if first == last:
            what = (
                "does not say which axis has the channels" if first else "has no axis of channels"
            )
            raise DataError(
                f"{name} {array.shape} {what}; give (n, channels, height, width) with 1 or 3 "
                "channels"
            )
        if last:
            array = array.transpose(0, 3, 1, 2)
    else:
        hint = ""
        if array.ndim == 2 and (side := int(np.sqrt(array.shape[1]))) ** 2 == array.shape[1]:
            hint = f": for {side}×{side} pixels, {name}.reshape(-1, {side}, {side})"
        raise DataError(
            f"{name} has shape {array.shape}; give (n, height, width) or (n, channels, height, "
            f"width){hint}"
        )
    return np.ascontiguousarray(_bytes(array, name))


def picture(image: Any, name: str = "picture") -> UInt8:
    """One picture as (channels, height, width) uint8, read as ``pictures`` reads many."""
    (pixels,) = pictures(_array(image, name)[None], name)
    return np.asarray(pixels)


def is_array(value: Any) -> bool:
    """Whether this is an array of NumPy or PyTorch, rather than a name, a number or a path."""
    return isinstance(value, np.ndarray) or _is_tensor(value)


# --- details -----------------------------------------------------------------------------------


def _is_tensor(value: Any) -> bool:
    """Known by its name: PyTorch may not be here."""
    return type(value).__module__.split(".")[0] == "torch" and hasattr(value, "detach")


def _array(values: Any, name: str) -> NDArray[Any]:
    if _is_tensor(values):
        values = values.detach().cpu().numpy()
    try:
        array = np.asarray(values)
    except ValueError:  # rows of different lengths
        raise DataError(f"{name} is no array: its rows differ in length") from None
    if array.dtype.kind not in "buif":
        raise DataError(f"{name} is {_kind(values)}; give an array of numbers")
    return array


def _bytes(array: NDArray[Any], name: str) -> UInt8:
    """Pixels as bytes, where each is one."""
    if array.dtype == np.uint8 or not array.size:
        return array.astype(np.uint8)
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    low, high = array.min(), array.max()
    # NaN is neither; a float's 1.0 is white, a whole number's 1 nearly black
    scale = 255.0 if array.dtype.kind == "f" and high <= 1 else 1.0
    if low >= 0 and high * scale <= 255:
        scaled = array * scale
        whole = np.rint(scaled)
        if np.abs(scaled - whole).max() < 0.01:
            return np.asarray(whole, np.uint8)
        raise DataError(
            f"{name} is {array.dtype} between the 256 values that pixels have; give "
            f"(255 * {name}).round().astype(numpy.uint8), which loses less than half a step"
            if scale > 1
            else f"{name} is {array.dtype} with fractions; round it, and give uint8"
        )
    raise DataError(
        f"{name} is {array.dtype} from {low:g} to {high:g}; give pixels from 0 to 255 as uint8, "
        "before any normalisation: the network does that itself"
    )


def _check_lengths(images: Any, labels: Any, images_name: str, labels_name: str) -> None:
    if len(images) != len(labels):
        raise DataError(
            f"{images_name} has {len(images)} pictures, {labels_name} {len(labels)} labels: give "
            "one label for each picture"
        )
    if not len(images):
        raise DataError(f"{images_name} has no picture")


def _is_pair(value: Any) -> bool:
    """Whether this is (images, labels) and no array of pictures."""
    return isinstance(value, tuple | list) and len(value) == 2 and np.ndim(value[0]) > 1


def _names(*parts: Any) -> tuple[str, ...]:
    """The classes' names that follow from the labels alone."""
    arrays = [_label_array(labels, "labels") for labels in parts]
    if any(array.dtype.kind == "U" for array in arrays):
        return tuple(sorted({str(name) for array in arrays for name in array.tolist()}))
    highest = max((int(array.max()) for array in arrays if len(array)), default=0)
    if highest >= MOST_CLASSES:
        raise DataError(
            f"labels go up to {highest}; at most {MOST_CLASSES} classes are possible, numbered "
            "from 0"
        )
    counts = np.bincount(np.concatenate([array[array >= 0] for array in arrays]).astype(np.int64))
    if gaps := np.flatnonzero(counts == 0).tolist():
        raise DataError(
            f"labels go up to {highest}, and no picture has label {gaps[0]}: number the classes "
            "from 0 without gaps, or name all of them by classes="
        )
    return tuple(map(str, range(highest + 1)))


def _label_array(labels: Any, name: str) -> NDArray[Any]:
    array = labels.detach().cpu().numpy() if _is_tensor(labels) else np.asarray(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]  # as Keras has them
    if array.ndim != 1:
        hint = f": from one column for each class, {name}.argmax(1)" if array.ndim == 2 else ""
        raise DataError(f"{name} has shape {array.shape}; give (n,), one for each picture{hint}")
    if array.dtype.kind == "f" and array.size and (array == np.rint(array)).all():
        return array.astype(np.int64)
    if array.dtype.kind not in "iuU" and array.size:
        raise DataError(f"{name} is {array.dtype}; give whole numbers from 0, or names")
    return array


def _numbers(labels: Any, classes: tuple[str, ...], name: str) -> NDArray[np.int64]:
    """Labels as numbers of classes."""
    array = _label_array(labels, name)
    if array.dtype.kind == "U":
        known = {label: number for number, label in enumerate(classes)}
        if unknown := sorted({*array.tolist()} - known.keys()):
            raise DataError(
                f"{name} has {unknown[0]!r}, which is none of the classes {', '.join(classes)}"
            )
        return np.array([known[label] for label in array.tolist()], np.int64)
    wrong = np.flatnonzero((array < 0) | (array >= len(classes)))
    if len(wrong):
        raise DataError(
            f"{name}[{wrong[0]}] is {array[wrong[0]]}; there are {len(classes)} classes, labels "
            f"are 0 to {len(classes) - 1}"
        )
    return array.astype(np.int64)


def _sha256(array: NDArray[Any]) -> str:
    """That of an IDX file with these pictures (grey ones without an axis of channels) or labels."""
    values = array.astype(np.uint8, copy=False)
    if values.ndim == 4 and values.shape[1] == 1:
        values = values[:, 0]
    digest = hashlib.sha256(header(values.shape))
    digest.update(np.ascontiguousarray(values).reshape(-1).data)
    return digest.hexdigest()


def _kind(value: Any) -> str:
    """What was given, in a few words."""
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"
