"""The four IDX files in a folder: found under the names in use, and found to fit together.

Pictures are (n, height, width) or, with channels, (n, channels, height, width); channels last is
taken where nothing else can be meant. Labels count from 0.
"""

from __future__ import annotations

import os
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice, product
from pathlib import Path
from typing import Final

import numpy as np

from lenet.data.idx import DataError, IdxFile, UInt8, read_file, read_shape
from lenet.files import FileError, read_bounded

LARGEST_CLASSES: Final = 1_000_000  # bytes of a classes.txt
LONGEST_CLASS: Final = 100  # characters, as for a network's classes

FILES: Final = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
VAL_FILES: Final = ("val-images-idx3-ubyte", "val-labels-idx1-ubyte")  # of imported data sets
_ANY_NAME: Final = re.compile(
    r"(?P<prefix>.*[-_.])?(?P<part>train|t10k|test)-(?P<kind>images|labels)[-.]idx[134]-ubyte(\.gz)?",
    re.IGNORECASE,
)
_UPPER, _LOWER = tuple(string.ascii_uppercase), tuple(string.ascii_lowercase)
_MERGED: Final = (*string.digits, *_UPPER, *"abdefghnqrt")  # the others look like their capitals
# G. Cohen et al., "EMNIST: an extension of MNIST to handwritten letters", arXiv:1702.05373
EMNIST: Final[Mapping[str, tuple[str, ...]]] = {
    "emnist-balanced": _MERGED,
    "emnist-bymerge": _MERGED,
    "emnist-byclass": (*string.digits, *_UPPER, *_LOWER),
    "emnist-digits": tuple(string.digits),
    "emnist-mnist": tuple(string.digits),
    "emnist-letters": _UPPER,  # its labels count from 1
}


class UnknownDataError(DataError):
    """A name that no data set has, or a folder that is none; the message says what there is."""


@dataclass(frozen=True, eq=False)
class FourFiles:
    """What a folder's four files hold, and what was taken otherwise than it stands in them."""

    files: Mapping[str, IdxFile]  # by FILES; images (n, channels, height, width)
    prefix: str = ""  # before the usual names, such as "emnist-letters"
    remarks: tuple[str, ...] = ()


def files_in(folder: Path) -> dict[str, Path]:
    """Those of FILES that lie in the folder, under any of the usual names."""
    found = {}
    for file in FILES:
        part, kind, _ = file.split("-", 2)
        parts = ("t10k", "test") if part == "t10k" else (part,)
        types = ("idx3", "idx4") if kind == "images" else ("idx1",)  # idx4: with channels
        # `train-images.idx3-ubyte` is what some unpackers make of it. Decompressed is faster.
        for p, type_, dot, end in product(parts, types, "-.", ("", ".gz")):
            path = folder / f"{p}-{kind}{dot}{type_}-ubyte{end}"
            if os.path.isfile(path):  # False, too, where access is denied
                found[file] = path
                break
    return found


def holds_idx(folder: Path) -> bool:
    """Whether a file of the folder has one of the usual names."""
    try:
        return any(map(_ANY_NAME.fullmatch, os.listdir(folder)))
    except OSError:
        return False


def read_folder(folder: Path, remedy: str) -> FourFiles:
    """The four files of a folder that fit together; their names may have a prefix, as EMNIST's.

    Raises DataError for what is missing, with what is there; for what is damaged or does not
    belong together; and for pictures whose channels may be first or last.
    """
    paths, prefix = files_in(folder), ""
    if len(paths) < len(FILES):
        paths, prefix = _prefixed(folder, paths)
    # By their headers, before a small file is unpacked to the gigabyte that it promises.
    shapes = {file: read_shape(paths[file], remedy) for file in FILES}
    for images, labels in (FILES[:2], FILES[2:]):
        _check_pair(paths[images], shapes[images], paths[labels], shapes[labels], remedy)
    from concurrent.futures import ThreadPoolExecutor  # takes a while to load

    # Decompressing and hashing release the interpreter: the test files cost no time.
    with ThreadPoolExecutor(len(FILES)) as pool:
        reading = {file: pool.submit(read_file, paths[file], remedy) for file in FILES}
    files = {file: read.result() for file, read in reading.items()}
    remarks = []
    for file in (FILES[0], FILES[2]):
        read = files[file]
        pictures = _channels_first(read)
        files[file] = replace(read, array=pictures)
        if pictures.shape[1:] != read.array.shape[1:] and read.array.ndim == 4:
            taken = f"{read.path.name}: shape {read.array.shape} is taken as channels last"
            remarks.append(f"{taken}, (pictures, height, width, channels)")
    train, test = (files[file].array.shape[1:] for file in (FILES[0], FILES[2]))
    if train != test:
        raise DataError(
            f"{folder}: training pictures are {_size(train)}, test pictures {_size(test)}: "
            "make them equal in size"
        )
    return FourFiles(files, prefix, tuple(remarks))


def _prefixed(folder: Path, usual: Mapping[str, Path]) -> tuple[dict[str, Path], str]:
    """The four files of the one prefix that has them all; DataError names what is there instead."""
    groups: dict[str, dict[str, Path]] = {}
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror or error}") from None
    for name in names:
        match = _ANY_NAME.fullmatch(name)
        if match and match["prefix"] and os.path.isfile(folder / name):
            part = "train" if match["part"].lower() == "train" else "t10k"
            type_ = "idx3" if match["kind"].lower() == "images" else "idx1"
            file = f"{part}-{match['kind'].lower()}-{type_}-ubyte"
            groups.setdefault(match["prefix"][:-1], {}).setdefault(file, folder / name)
    whole = {prefix: paths for prefix, paths in groups.items() if len(paths) == len(FILES)}
    if len(whole) == 1 and not usual:
        ((prefix, paths),) = whole.items()
        return paths, prefix
    if whole and not usual:
        raise DataError(
            f"{folder} holds several data sets: {', '.join(whole)}. "
            "Put the four files of one into their own folder"
        )
    lacking = [file for file in FILES if file not in usual]
    kind = DataError if usual or groups else UnknownDataError
    raise kind(f"{folder} lacks {', '.join(lacking)} (.gz or not); {_what_is_there(folder)}")


def _what_is_there(folder: Path) -> str:
    """What a folder without the four files holds, and the folder below it that has them."""
    names = sorted(os.listdir(folder))
    if not names:
        return "it is empty"
    below = [name for name in names[:1000] if len(files_in(folder / name)) == len(FILES)]
    if below:
        return f"all four are in {folder / below[0]}: give that folder"
    shown = ", ".join(repr(name) if not name.isprintable() else name for name in islice(names, 5))
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return f"it holds {shown}{more}. Add or rename the files"


def _check_pair(
    images: Path, pictures: tuple[int, ...], labels: Path, labelled: tuple[int, ...], remedy: str
) -> None:
    """Raise DataError where the shapes of two files are not those of pictures and their labels."""
    if len(pictures) not in (3, 4) or len(labelled) != 1:
        raise DataError(
            f"{images} has shape {pictures} and {labels.name} {labelled}: pictures have 3 or 4 "
            "dimensions, labels 1. Are the files swapped?"
        )
    if pictures[0] != labelled[0]:
        raise DataError(
            f"{images} has {pictures[0]} pictures, {labels.name} {labelled[0]} labels: they do not "
            f"belong together. {remedy}"
        )
    if 0 in pictures:
        raise DataError(f"{images}: shape {pictures} holds no picture. {remedy}")


def _channels_first(images: IdxFile) -> UInt8:
    """The pictures as (n, channels, height, width), wherever the file has its channels.

    One or three channels at one end alone say where they are. Any other number is taken first,
    unless it is larger than what stands last: then nobody can know.
    """
    array = images.array
    if array.ndim == 3:
        return array[:, None]
    first, last = array.shape[1] in (1, 3), array.shape[3] in (1, 3)
    if last and not first:
        return np.ascontiguousarray(array.transpose(0, 3, 1, 2))
    if first != last or (not first and array.shape[1] <= array.shape[3]):
        return array
    raise DataError(
        f"{images.path}: shape {array.shape} may have its channels first or last. Write the file "
        "as (pictures, channels, height, width) with one or three channels, or, if the pictures "
        "are grey, as (pictures, height, width)"
    )


def _size(shape: tuple[int, ...]) -> str:
    channels, height, width = shape
    return str((height, width) if channels == 1 else shape)


# --- classes -----------------------------------------------------------------------------------


def read_classes(path: Path) -> tuple[str, ...]:
    """The classes' names: the lines of a classes.txt. Raises DataError for a line that is none."""
    try:
        text = read_bounded(path, LARGEST_CLASSES, links=True).decode("utf-8-sig")
    except FileError as error:
        raise DataError(str(error)) from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: cannot be read as UTF-8 text, from byte {error.start} on; save it as UTF-8"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    classes = tuple(line.strip() for line in text.rstrip().splitlines())
    for number, name in enumerate(classes, 1):
        if not name or not name.isprintable() or name in classes[: number - 1]:
            raise DataError(
                f"{path}: line {number} is {name[:100]!r}; write one class a line, no two alike"
            )
        if len(name) > LONGEST_CLASS:
            raise DataError(
                f"{path}: line {number} has {len(name):,} characters; the name of a class has at "
                f"most {LONGEST_CLASS}"
            )
        if number > 256:
            break
    if not 1 <= len(classes) <= 256:
        raise DataError(f"{path}: has {len(classes)} classes; labels are bytes, so 1 to 256 fit")
    return classes


def emnist(four: FourFiles) -> tuple[FourFiles, tuple[str, ...] | None]:
    """EMNIST's files with labels from 0, and its classes' names; None where it is not EMNIST."""
    classes = EMNIST.get(four.prefix.lower())
    if classes is None:
        return four, None
    files = dict(four.files)
    remarks = [
        *four.remarks,
        f"{four.prefix}: EMNIST stores each picture with rows and columns exchanged; the pictures "
        "are taken as they are",
    ]
    first = 1 if four.prefix.lower() == "emnist-letters" else 0
    for file in (FILES[1], FILES[3]):
        labels = files[file].array
        if labels.min() < first or labels.max() >= first + len(classes):
            return four, None
        files[file] = replace(files[file], array=labels - np.uint8(first))
    if first:
        remarks.append(f"{four.prefix}: labels 1 to 26 are taken as the classes A to Z")
    return FourFiles(files, four.prefix, tuple(remarks)), classes


def count_classes(labels: IdxFile) -> tuple[str, ...]:
    """The names "0" to "k-1"; labels with a gap are refused.

    Otherwise a single damaged label, 255, would make 246 classes more.
    """
    counts = np.bincount(labels.array)
    if not counts.all():
        raise DataError(f"{labels.path}: {_gap(labels, np.flatnonzero(counts).tolist())}")
    return tuple(str(label) for label in range(len(counts)))


def _gap(labels: IdxFile, present: list[int]) -> str:
    """Where labels that are not 0 to k-1 leave one out, and the two ways to mend it."""
    listed, largest = labels.path.parent / "classes.txt", present[-1]
    if present == list(range(1, largest + 1)):
        return (
            f"the labels count from 1 (1 to {largest}), and must count from 0. Subtract 1 from "
            f"each, or name all {largest + 1} classes in {listed}, one a line, beginning with that "
            "of label 0"
        )
    gap = next(label for label in range(largest) if label not in present)
    where = int(np.argmax(labels.array == largest))
    shown = ", ".join(map(str, present)) if len(present) <= 12 else f"0 to {largest} with gaps"
    return (
        f"label {largest} at index {where} is out of range: no picture has label {gap} (the labels "
        f"are {shown}). Number the {len(present)} classes 0 to {len(present) - 1}, or name all "
        f"{largest + 1} in {listed}, one a line"
    )
