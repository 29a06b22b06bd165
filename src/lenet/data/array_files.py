"""Arrays in NumPy's files: an .npz, or a folder of .npy files, with pictures and labels by name.

    x_train, y_train, x_test, y_test              as Keras keeps MNIST; x_val and y_val as well
    train_images, train_labels, val_images, …     as MedMNIST
    images, labels                                 one part, to be divided

An array of Python objects is refused: reading it would run what somebody put there.
"""

from __future__ import annotations

import math
import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lenet.data.class_folder import PARTS
from lenet.data.idx import DataError
from lenet.untrusted import plain

PICTURES: Final = frozenset(("x", "images", "image", "imgs", "img", "data", "pixels", "pictures"))
LABELS: Final = frozenset(("y", "labels", "label", "targets", "target"))
CLASSES: Final = ("classes", "class_names", "label_names", "names")
MOST_BYTES: Final = 1 << 31  # of an .npz, unpacked: it is read into memory
MOST_ARRAYS: Final = 100

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class NamedArrays:
    """Pictures and labels by part: "train", "val", "test"; and the classes' names, if there."""

    parts: Mapping[str, tuple[Array, Array]]
    classes: tuple[str, ...] | None


def read_npz(path: Path) -> NamedArrays:
    """The labelled pictures of an .npz file. Raises DataError, naming file and array."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
        size = sum(info.file_size for info in infos)
        if size > MOST_BYTES or len(infos) > MOST_ARRAYS:
            raise DataError(
                f"{path}: its {len(infos)} arrays have {size:,} bytes; at most {MOST_BYTES:,} are "
                "read. Save each array by numpy.save into a folder, and give the folder"
            )
        with np.load(path, allow_pickle=False) as loaded:
            arrays = {name: loaded[name] for name in _wanted(list(loaded.files))}
    except DataError:
        raise
    except zipfile.BadZipFile:
        raise DataError(f"{path}: is no .npz file, or is cut off") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError, KeyError, zipfile.error, MemoryError) as error:
        raise DataError(f"{path}: {_why(error)}") from None
    return name_arrays(arrays, path)


def read_npy_folder(folder: Path) -> NamedArrays | None:
    """The labelled pictures of a folder's .npy files, which stay in them; None where it has none.

    Raises DataError, naming file and array.
    """
    names = [name[:-4] for name in sorted(os.listdir(folder)) if name.endswith(".npy")]
    arrays: dict[str, Array] = {}
    for name in _wanted(names[:MOST_ARRAYS]):
        path = folder / f"{name}.npy"
        if not path.is_file():
            continue
        try:
            arrays[name] = np.load(path, mmap_mode="r", allow_pickle=False)
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
        except (ValueError, EOFError) as error:
            raise DataError(f"{path}: {_why(error)}") from None
    return name_arrays(arrays, folder) if arrays else None


def _why(error: BaseException) -> str:
    if "allow_pickle" in str(error) or "pickled" in str(error):
        return (
            "holds Python objects, which are not read, since reading them can run a program. Save "
            "pictures as an array of uint8, labels as numbers or texts"
        )
    return f"is damaged or cut off ({plain(str(error), 120)})"


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[^a-z]+", name.casefold()) if word]


def _role(name: str) -> tuple[str, str] | None:
    """Which part's pictures or labels an array's name says it holds: ("train", "y")."""
    words = _words(name)
    parts = [PARTS[word] for word in words if word in PARTS]
    pictures = any(word in PICTURES for word in words)
    labels = any(word in LABELS for word in words)
    if pictures == labels or len(parts) > 1 or len(words) > 2:
        return None
    return (parts[0] if parts else "train"), ("x" if pictures else "y")


def _wanted(names: list[str]) -> list[str]:
    return [
        name for name in names if _role(name) or name in CLASSES or re.fullmatch(r"arr_\d", name)
    ]


def name_arrays(arrays: Mapping[str, Array], path: Path) -> NamedArrays:
    """Arrays by what their names say they are. Raises DataError for what is missing or twice."""
    found: dict[tuple[str, str], Array] = {}
    for name, array in arrays.items():
        if role := _role(name):
            if role in found:
                raise DataError(f"{path}: several arrays may be the {role[0]} part's; keep one")
            found[role] = array
    if not found and {*arrays} >= {"arr_0", "arr_1"}:  # numpy.savez without names
        found = {("train", "x"): arrays["arr_0"], ("train", "y"): arrays["arr_1"]}
    parts = {}
    for part in ("train", "val", "test"):
        here = [kind for kind in "xy" if (part, kind) in found]
        if len(here) == 1:
            lacking = "labels" if here == ["x"] else "pictures"
            raise DataError(f"{path}: its {part} part has no {lacking}; {_how(arrays)}")
        if here:
            parts[part] = (squared(found[part, "x"], path), found[part, "y"])
    if "train" not in parts:
        raise DataError(f"{path}: no array is called images or x_train; {_how(arrays)}")
    names = next((arrays[name] for name in CLASSES if name in arrays), None)
    texts = names is not None and names.ndim == 1 and names.dtype.kind == "U"
    return NamedArrays(
        parts, tuple(map(str, names.tolist())) if texts and names is not None else None
    )


def _how(arrays: Mapping[str, Array]) -> str:
    there = ", ".join(plain(name, 40) for name in list(arrays)[:6]) or "nothing that is known"
    return f"there is {there}. Name them x_train, y_train, x_test, y_test, or images, labels"


def squared(array: Array, path: Path) -> Array:
    """Rows of pixels (n, h·h) as grey pictures (n, h, h); others as they are."""
    if array.ndim != 2:
        return array
    side = math.isqrt(array.shape[1])
    if not side or side * side != array.shape[1]:
        raise DataError(
            f"{path}: pictures of shape {array.shape} are no rows of square grey pictures; save "
            "them as (n, height, width) or (n, channels, height, width)"
        )
    return array.reshape(-1, side, side)
