"""Pictures that a program holds in arrays, as data sets: NumPy's, PyTorch's, pandas', plain lists.

Nothing is guessed: what could be read in two ways is refused, with what to write instead.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet.data.idx import DataError, UInt8, header
from lenet.data.idx_folder import FILES, VAL_FILES
from lenet.data.sequences import columns, is_parts, is_sequence
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
    - ``(train, test)``, two Splits, or a Dataset, which is returned as it is;
    - a data set of another library, PyTorch's or Hugging Face's: what has a length and items
      (picture, label), or dicts with image and label; two of them, to train and to test on; or a
      dict of them, by part (``sequences``).

    For images and labels see ``pictures`` and ``split``. ``classes`` are the names of the classes;
    without them they are "0" to the highest label, or the labels themselves where these are texts.
    Raises DataError, naming the argument.
    """
    if isinstance(given, Dataset):
        return given
    found = None
    two = isinstance(given, tuple | list) and len(given) == 2 and all(map(is_sequence, given))
    if two or is_sequence(given) or is_parts(given):
        found = columns(given)
        classes = found.classes if classes is None else classes
        given = [found.parts[part] for part in ("train", "test") if part in found.parts]
        given = given if len(given) == 2 else given[0]
    if not isinstance(given, tuple | list) or len(given) not in (2, 4) or _is_rows(given):
        hint = ": from pairs of a picture and its label, tuple(zip(*data))"
        raise DataError(
            f"data is {_kind(given)}; give (images, labels), or (images, labels, test_images, "
            f"test_labels), or the name of a data set{hint if _is_rows(given) else ''}"
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
        first, second = pictures(first), label_array(second, "labels")
        _check_lengths(first, second, "images", "labels")
        names = tuple(classes) if classes is not None else _names(second)
        whole = split(first, second, names)
        train, test = hold_out(whole, TEST_SHARE, seed=0)
    if train.images.shape[1:] != test.images.shape[1:]:
        raise DataError(
            f"images are {train.images.shape[1:]}, test_images {test.images.shape[1:]}: make them "
            "equal in size"
        )
    val = None
    if found is not None and "val" in found.parts:
        val = split(*found.parts["val"], train.classes, "val images", "val labels")
    parts: tuple[NDArray[Any], ...] = (train.images, train.labels, test.images, test.labels)
    hashes = {file: idx_sha256(array) for file, array in zip(FILES, parts, strict=True)}
    if val is not None:
        own: tuple[NDArray[Any], ...] = (val.images, val.labels)
        hashes |= {file: idx_sha256(a) for file, a in zip(VAL_FILES, own, strict=True)}
    return Dataset(
        IN_MEMORY,
        train,
        test,
        source="arrays in memory",
        licence="not stated",
        sha256=MappingProxyType(hashes),
        bundled=False,
        val=val,
        preparation=found.preparation if found is not None else None,
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
    numbers = numbers_of(labels, tuple(classes), labels_name)
    _check_lengths(pixels, numbers, images_name, labels_name)
    identity = (
        f"{IN_MEMORY} (SHA-256 of images {idx_sha256(pixels)}, of labels {idx_sha256(numbers)})"
    )
    return Split(pixels, numbers, tuple(classes), identity)


def pictures(images: Any, name: str = "images") -> UInt8:
    """The pictures as (n, channels, height, width) uint8.

    Taken are (n, height, width), (n, channels, height, width) and (n, height, width, channels)
    with 1 or 3 channels; pixels from 0 to 255, or from 0 to 1 as ``ToTensor`` makes them of bytes.
    Raises DataError for other shapes, for shapes that could be meant in two ways, and for other
    values.
    """
    return np.ascontiguousarray(_bytes(_channels_first(_array(images, name), name), name))


def mapped_pictures(images: Any, name: str = "images") -> UInt8:
    """The pictures as ``pictures`` gives them; bytes that are in a file stay there."""
    if isinstance(images, np.memmap) and images.dtype == np.uint8:
        return _channels_first(images, name)
    return pictures(images, name)


def _channels_first(array: NDArray[Any], name: str) -> NDArray[Any]:
    """A view of the pictures as (n, channels, height, width)."""
    if array.ndim == 3:
        return array[:, None]
    if array.ndim == 4:
        first, last = array.shape[1] in CHANNELS, array.shape[3] in CHANNELS
        if first == last:
            what = (
                "does not say which axis has the channels" if first else "has no axis of channels"
            )
            raise DataError(
                f"{name} {array.shape} {what}; give (n, channels, height, width) with 1 or 3 "
                "channels"
            )
        return array.transpose(0, 3, 1, 2) if last else array
    hint = ""
    if array.ndim == 2 and (side := int(np.sqrt(array.shape[1]))) ** 2 == array.shape[1]:
        hint = f": for {side}×{side} pixels, {name}.reshape(-1, {side}, {side})"
    raise DataError(
        f"{name} has shape {array.shape}; give (n, height, width) or (n, channels, height, "
        f"width){hint}"
    )


def picture(image: Any, name: str = "picture") -> UInt8:
    """One picture as (channels, height, width) uint8, read as ``pictures`` reads many."""
    (pixels,) = pictures(_array(image, name)[None], name)
    return np.asarray(pixels)


def is_array(value: Any) -> bool:
    """Whether this holds pixels, rather than being a name, a number or a path: an array of NumPy
    or PyTorch, nested lists, or a picture of Pillow's."""
    if isinstance(value, np.generic):  # NumPy's single numbers are no arrays
        return False
    return (
        isinstance(value, list | tuple)
        or hasattr(value, "__array_interface__")
        or _is_tensor(value)
    )


# --- details -----------------------------------------------------------------------------------


def _is_tensor(value: Any) -> bool:
    """Known by its name: PyTorch may not be here."""
    return type(value).__module__.split(".")[0] == "torch" and hasattr(value, "detach")


def _is_rows(value: Any) -> bool:
    """Whether this is a list of pairs (picture, label), rather than pictures and labels."""
    return isinstance(value, tuple | list) and all(
        isinstance(pair, tuple | list)
        and len(pair) == 2
        and (isinstance(pair[1], str) or np.isscalar(pair[1]) or getattr(pair[1], "ndim", 1) == 0)
        and not np.isscalar(pair[0])
        for pair in value
    )


def _plain(values: Any, name: str) -> NDArray[Any]:
    """What was given as an array of NumPy's, of any type. Raises DataError where it is none."""
    try:
        if isinstance(values, tuple | list) and values and all(map(_is_tensor, values)):
            values = [_numpy(value) for value in values]
        array = _numpy(values) if _is_tensor(values) else np.asarray(values)
    except ValueError:  # rows of different lengths
        sizes = sorted(
            {shape for value in values if (shape := getattr(value, "size", None))}, key=str
        )
        hint = f": the pictures are of {sizes[0]} and {sizes[-1]}" if _are_sizes(sizes) else ""
        raise DataError(f"{name} is not an array: its rows differ in length{hint}") from None
    except (TypeError, RuntimeError, OverflowError) as error:
        raise DataError(f"{name} cannot become a NumPy array ({error})") from None
    if isinstance(values, np.ma.MaskedArray) and values.mask.any():
        raise DataError(f"{name} has masked values; give {name}.filled(…)")
    return array


def _are_sizes(found: list[Any]) -> bool:
    """Whether these are widths and heights of pictures of Pillow's."""
    return len(found) > 1 and all(isinstance(size, tuple) and len(size) == 2 for size in found)


def _numpy(tensor: Any) -> NDArray[Any]:
    """A tensor's values; the types that NumPy lacks (bfloat16) as float32."""
    tensor = tensor.detach().cpu().resolve_neg()
    if tensor.layout.__str__() != "torch.strided":
        tensor = tensor.to_dense()
    try:
        return np.asarray(tensor.numpy())
    except TypeError:
        return np.asarray(tensor.float().numpy())


def _array(values: Any, name: str) -> NDArray[Any]:
    array = _plain(values, name)
    if array.dtype.kind not in "buif" or not array.ndim:
        first = next(iter(values), None) if isinstance(values, tuple | list) else None
        files = isinstance(first, str | os.PathLike)
        raise DataError(
            f"{name} {'holds names of files' if files else 'is ' + _kind(values)}; give an array "
            f"of numbers{', or the pictures that PIL.Image.open gives' if files else ''}"
        )
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
    arrays = [label_array(labels, "labels") for labels in parts]
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


def label_array(labels: Any, name: str) -> NDArray[Any]:
    """The labels (n,) as int64, or as texts. Raises DataError, naming them."""
    array = _plain(labels, name)
    if array.dtype == np.bool_:
        array = array.astype(np.int64)
    elif array.dtype == object:  # as pandas holds texts
        array = _unboxed(array)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]  # as Keras has them
    if array.ndim != 1:
        hint = f": from one column for each class, {name}.argmax(1)" if array.ndim == 2 else ""
        raise DataError(f"{name} has shape {array.shape}; give (n,), one for each picture{hint}")
    # infinity equals itself rounded, and is no whole number
    whole = array.dtype.kind == "f" and ((array == np.rint(array)) & (np.abs(array) < 2**53)).all()
    if whole and array.size:
        return array.astype(np.int64)
    if array.dtype.kind not in "iuU" and array.size:
        raise DataError(f"{name} is {array.dtype}; give whole numbers from 0, or names")
    return array


def _unboxed(array: NDArray[Any]) -> NDArray[Any]:
    """An array of Python's objects as texts or numbers, where all are; else as it is."""
    values = array.ravel().tolist()
    if values and all(isinstance(value, str) for value in values):
        return array.astype(np.str_)
    whole = (isinstance(value, int) and abs(value) < 2**53 for value in values)
    return array.astype(np.int64) if values and all(whole) else array


def numbers_of(labels: Any, classes: tuple[str, ...], name: str) -> NDArray[np.int64]:
    """Labels as numbers of classes."""
    array = label_array(labels, name)
    if array.dtype.kind == "U":
        known = {label: number for number, label in enumerate(classes)}
        if unknown := sorted({*array.tolist()} - known.keys()):
            raise DataError(
                f"{name} has {unknown[0]!r}, which is not one of the classes {', '.join(classes)}"
            )
        return np.array([known[label] for label in array.tolist()], np.int64)
    wrong = np.flatnonzero((array < 0) | (array >= len(classes)))
    if len(wrong):
        raise DataError(
            f"{name}[{wrong[0]}] is {array[wrong[0]]}; there are {len(classes)} classes, labels "
            f"are 0 to {len(classes) - 1}"
        )
    return array.astype(np.int64)


def idx_sha256(array: NDArray[Any]) -> str:
    """That of an IDX file with these pictures (grey ones without an axis of channels) or labels."""
    values = array.astype(np.uint8, copy=False)
    if values.ndim == 4 and values.shape[1] == 1:
        values = values[:, 0]
    digest = hashlib.sha256(header(values.shape))
    digest.update(np.ascontiguousarray(values).reshape(-1).data)
    return digest.hexdigest()


def _kind(value: Any) -> str:
    """What was given, in a few words."""
    if value is None:
        return "None"
    kind = type(value).__name__
    article = "an" if kind[:1].lower() in "aeiou" else "a"
    if isinstance(value, tuple | list):
        return f"{article} {kind} of {len(value)}"
    return f"{article} {kind}"
