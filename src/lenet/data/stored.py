"""Data sets that were imported: a folder with IDX files, and dataset.json, which describes them.

    NAME/
      train-images-idx3-ubyte   train-labels-idx1-ubyte     and test-…, val-…
      classes.txt
      dataset.json              shape, counts, SHA-256, how the pictures were made
      report.json               what was met on the way

Large ones are mapped: see ``mapped``. Their SHA-256 is then that of dataset.json, and is not
computed anew.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from lenet.data.idx import DataError, header, read_file
from lenet.data.idx_folder import LONGEST_CLASS
from lenet.data.mapped import open_mapped
from lenet.data.preparation import Preparation, PreparationError
from lenet.data.preparation import from_dict as preparation_from_dict
from lenet.data.split import Dataset, Split
from lenet.files import FileError, read_bounded
from lenet.untrusted import UntrustedError, from_json, shown

DESCRIPTION: Final = "dataset.json"
REPORT: Final = "report.json"
LARGEST: Final = 1_000_000  # bytes of a dataset.json
HELD: Final = 1 << 28  # bytes of pictures that are read into memory; more are mapped
PARTS: Final = ("train", "val", "test")
NAME: Final = re.compile(r"\w[\w.-]{0,59}")
REMEDY: Final = "Import it again, with --replace"


def file_names(part: str) -> tuple[str, str]:
    """The names of a part's files, with its pictures and its labels."""
    prefix = "t10k" if part == "test" else part
    return f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"


def find_stored(name: str, roots: Iterable[Path]) -> Path | None:
    """The folder of the imported data set of that name in the first of the roots that has it."""
    if not NAME.fullmatch(name):
        return None
    for root in roots:
        if os.path.isfile(root / name / DESCRIPTION):
            return root / name
    return None


def names_stored(roots: Iterable[Path]) -> dict[str, Path]:
    """The imported data sets in these folders, by their name."""
    found: dict[str, Path] = {}
    for root in roots:
        try:
            names = sorted(os.listdir(root))
        except OSError:
            continue
        for name in names[:10_000]:
            there = NAME.fullmatch(name) and os.path.isfile(root / name / DESCRIPTION)
            if there and name not in found:
                found[name] = root / name
    return found


def load_stored(folder: Path) -> Dataset:
    """The imported data set in a folder. Raises DataError for what is damaged or does not fit."""
    path = folder / DESCRIPTION
    try:
        described = from_json(read_bounded(path, LARGEST, links=True))
        return _load(folder, described)
    except (UntrustedError, PreparationError) as error:
        raise DataError(f"{path}: {error}. {REMEDY}") from None
    except FileError as error:
        raise DataError(str(error)) from None
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: is not what lenet wrote ({shown(error)}). {REMEDY}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


def _load(folder: Path, described: dict[str, Any]) -> Dataset:
    name, classes = described["name"], tuple(described["classes"])
    if (
        not isinstance(name, str)
        or not all(map(_is_class, classes))
        or not 1 <= len(classes) <= 256
    ):
        raise UntrustedError("its name or its classes are none")
    channels, height, width = (_size(value) for value in described["shape"])
    shape = (channels, height, width)
    splits: dict[str, Split] = {}
    hashes: dict[str, str] = {}
    for part in PARTS:
        if part not in described["parts"]:
            continue
        about = described["parts"][part]
        count = _size(about["examples"])
        files = file_names(part)
        pixels, numbers = str(about["images_sha256"])[:64], str(about["labels_sha256"])[:64]
        labels = read_file(folder / files[1], REMEDY)
        if labels.sha256 != numbers or labels.array.shape != (count,):
            raise DataError(f"{labels.path}: these are not the labels that were stored. {REMEDY}")
        if count and labels.array.max() >= len(classes):
            raise DataError(f"{labels.path}: label {labels.array.max()} has no class. {REMEDY}")
        splits[part] = Split(
            _pictures(folder / files[0], (count, *shape), pixels),
            labels.array.astype(np.int64),
            classes,
            f"{name}/{part} (SHA-256 of images {pixels}, of labels {numbers})",
        )
        hashes.update(zip(files, (pixels, numbers), strict=True))
    how = described.get("preparation")
    return Dataset(
        name,
        splits["train"],
        splits["test"],
        source=str(folder),
        licence="not stated",
        sha256=MappingProxyType(hashes),
        bundled=False,
        val=splits.get("val"),
        preparation=_checked(preparation_from_dict(how), shape) if how is not None else None,
    )


def _pictures(path: Path, shape: tuple[int, int, int, int], sha256: str) -> Any:
    """The pictures of a file, in memory or mapped."""
    begin = header(stored_shape(shape))
    size = int(np.prod(shape))
    try:
        with path.open("rb") as file:
            same = file.read(len(begin)) == begin
            there = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    if not same or there != len(begin) + size:
        raise DataError(f"{path}: is not the file that was stored: {there:,} bytes. {REMEDY}")
    if size > HELD:
        return open_mapped(path, shape, len(begin))
    read = read_file(path, REMEDY)
    if read.sha256 != sha256:
        raise DataError(f"{path}: these are not the pictures that were stored. {REMEDY}")
    return read.array.reshape(shape)


def stored_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The dimensions in the file: grey pictures have no axis of channels, as MNIST's."""
    count, channels, height, width = shape
    return (count, height, width) if channels == 1 else shape


def _size(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 32:
        raise UntrustedError(f"{shown(value)} is no count or size")
    return value


def _is_class(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name) <= LONGEST_CLASS and name.isprintable()


def _checked(preparation: Preparation, shape: tuple[int, int, int]) -> Preparation:
    if (preparation.channels, preparation.height, preparation.width) != shape:
        raise PreparationError("its preparation makes pictures of another size")
    return preparation
