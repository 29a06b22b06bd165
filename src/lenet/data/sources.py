"""Somebody's own pictures, whatever they come as: recognised, divided, read.

A source is one of

- a folder with one sub-folder a class (``class_folder``);
- a CSV file of pixels or of paths, or a folder with one, or with train.csv and test.csv;
- an .npz file, a folder with one, or a folder of .npy files (``array_files``).

IDX files are read by ``idx_folder``. Where a source brings no test part, a fifth of each class is
held out, always the same pictures.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lenet.data import arrays
from lenet.data.array_files import NamedArrays, read_npy_folder, read_npz
from lenet.data.class_folder import SUFFIXES, list_folder
from lenet.data.csv_file import CsvPictures, class_numbers, has_labels, read_csv
from lenet.data.idx import DataError, UInt8
from lenet.data.idx_folder import FILES, VAL_FILES, UnknownDataError
from lenet.data.picture_reading import Findings, choose_preparation, read_pictures
from lenet.data.preparation import Preparation
from lenet.data.split import Dataset, Int64, Split, rows_held_out
from lenet.untrusted import plain, shown

TEST_SHARE: Final = 0.2
MOST_IN_MEMORY: Final = 1 << 31  # bytes of pictures that are read anew for each training
LARGEST_SIDE: Final = 1024  # of pictures that are made
FITS: Final = ("crop", "pad", "stretch")
SHOWN: Final = 3  # unreadable files that a line names


@dataclass(frozen=True)
class Asked:
    """What pictures from files are to become; None is decided by the files."""

    size: int | None = None
    channels: int | None = None
    fit: str = "pad"

    def __post_init__(self) -> None:
        if self.size is not None and not 1 <= self.size <= LARGEST_SIDE:
            raise UnknownDataError(f"size is {self.size}; it must be 1 to {LARGEST_SIDE}, as 28")
        if self.channels not in (None, 1, 3):
            raise UnknownDataError(f"channels is {self.channels}; 1 is grey, 3 is in colour")
        if self.fit not in FITS:
            raise UnknownDataError(f"fit is {shown(self.fit)}; choose from {', '.join(FITS)}")


@dataclass(frozen=True, eq=False)
class Part:
    """Labels (n,), and the pictures as files or as an array (n, c, h, w)."""

    labels: Int64
    paths: Sequence[Path] = ()
    images: UInt8 | None = None


@dataclass(frozen=True, eq=False)
class Source:
    """Somebody's pictures before they are read."""

    path: Path
    kind: str  # "a folder with one sub-folder a class"
    classes: tuple[str, ...]
    parts: Mapping[str, Part]  # "train", "val", "test"
    shape: tuple[int, int, int]  # of the pictures that it becomes
    preparation: Preparation | None = None  # of files
    remarks: tuple[str, ...] = ()
    findings: Findings = field(default_factory=Findings)

    @property
    def name(self) -> str:
        """What the data set is called: the folder, or the file without its end."""
        path = self.path.resolve()
        return path.name if path.is_dir() else path.stem

    @property
    def pictures(self) -> int:
        """How many there are in all, readable or not."""
        return sum(len(part.labels) for part in self.parts.values())

    def line(self) -> str:
        """What it was recognised as, in one line."""
        count = f"{len(self.classes)} classes, {self.pictures:,} pictures"
        channels, height, width = self.shape
        what = f"{height}×{width} {'grey' if channels == 1 else 'in colour'}"
        if self.preparation is not None:
            what = f"made {what}"
        return f"{plain(str(self.path), 80)} is {self.kind}: {count}, {what}"


def recognise(path: Path, asked: Asked) -> Source | None:
    """What a path holds, or None where it is nothing of these. Raises DataError where it is, and
    something is wrong with it."""
    if path.is_file():
        suffix = path.suffix.casefold()
        if suffix in (".csv", ".tsv"):
            return _of_csv(path, {"train": path}, asked)
        if suffix == ".npz":
            return _of_arrays(path, "an .npz file", read_npz(path))
        return None
    if not path.is_dir():
        return None
    listing = list_folder(path)
    if listing is not None:
        parts = {
            part: Part(np.array(labels, np.int64), paths)
            for part, (paths, labels) in listing.parts.items()
        }
        findings = Findings()
        findings.unreadable += [(_inside(path, file), why) for file, why in listing.passed_over]
        kind = "a folder with one sub-folder a class"
        if len(parts) > 1:
            kind += f", in {' and '.join(parts)}"
        made = _of_files(path, kind, listing.classes, parts, asked, listing.remarks)
        return replace(made, findings=findings)
    return _of_files_in(path, asked)


def _of_files_in(folder: Path, asked: Asked) -> Source | None:
    """What a folder without sub-folders of classes holds: CSV files, an .npz, .npy files."""
    names = [name for name in sorted(os.listdir(folder)) if not name.startswith(".")]
    tables = [name for name in names if name.casefold().endswith((".csv", ".tsv"))]
    packed = [name for name in names if name.casefold().endswith(".npz")]
    if len(packed) == 1:
        path = folder / packed[0]
        return replace(_of_arrays(path, f"a folder with {packed[0]}", read_npz(path)), path=folder)
    if tables:
        return _of_tables(folder, tables, asked)
    found = read_npy_folder(folder)
    if found is not None:
        return _of_arrays(folder, "a folder of .npy files", found)
    loose = sum(os.path.splitext(name)[1].casefold() in SUFFIXES for name in names)
    if loose:
        raise DataError(
            f"{folder} holds {loose:,} pictures and no folders: which is of which class? Put those "
            "of each class into a folder with its name"
        )
    return None


def _of_tables(folder: Path, names: list[str], asked: Asked) -> Source:
    labelled = [name for name in names if has_labels(folder / name)]
    without = [name for name in names if name not in labelled]
    remarks = [f"{name} has no labels, and is passed over" for name in without]
    parts: dict[str, Path] = {}
    for name in labelled:
        words = Path(name).stem.casefold().replace("-", "_").split("_")
        for part in ("train", "val", "test"):
            if part in words and part not in parts:
                parts[part] = folder / name
    if len(labelled) == 1:
        parts = {"train": folder / labelled[0]}
    if "train" not in parts or len(parts) != len(labelled):
        raise DataError(
            f"{folder} has {len(names)} CSV files ({', '.join(names[:4])}), "
            f"{'none' if not labelled else len(labelled)} with a column label: give one of them, "
            "or call them train.csv and test.csv"
        )
    made = _of_csv(folder, parts, asked)
    return replace(made, remarks=(*made.remarks, *remarks))


def _of_csv(path: Path, files: Mapping[str, Path], asked: Asked) -> Source:
    """The pictures of one CSV file, or of one a part."""
    read = {part: read_csv(file) for part, file in files.items()}
    classes, _ = class_numbers([label for one in read.values() for label in {*one.labels}])
    numbers = {name: number for number, name in enumerate(classes)}
    labels = {
        part: np.array([numbers[label] for label in one.labels], np.int64)
        for part, one in read.items()
    }
    remarks = tuple(remark for one in read.values() for remark in one.remarks)
    parts: dict[str, Part] = {}
    for part, one in read.items():
        where = np.array(one.parts or [part] * len(one.labels))
        for inner in ("train", "val", "test"):
            rows = np.flatnonzero(where == inner)
            if len(rows) == len(where):
                parts[inner] = _csv_part(one, labels[part], None)
            elif len(rows):
                parts[inner] = _csv_part(one, labels[part], rows)
    if "train" not in parts:
        raise DataError(f"{path}: none of its pictures is of the part train")
    kind = " and ".join(file.name for file in files.values()) if len(files) > 1 else "a CSV file"
    if all(part.images is not None for part in parts.values()):
        return _of_pixels(path, f"{kind} of pixels", classes, parts, remarks)
    if any(part.images is not None for part in parts.values()):
        raise DataError(f"{path}: one CSV file holds pixels, another one paths")
    return _of_files(path, f"{kind} of picture files", classes, parts, asked, remarks)


def _csv_part(read: CsvPictures, labels: Int64, rows: Int64 | None) -> Part:
    if read.pixels is not None:
        images = read.pixels if rows is None else read.pixels[rows]
        return Part(labels if rows is None else labels[rows], images=images)
    paths = read.paths or ()
    if rows is None:
        return Part(labels, paths)
    return Part(labels[rows], [paths[row] for row in rows.tolist()])


def _of_arrays(path: Path, kind: str, found: NamedArrays) -> Source:
    labels = {
        part: arrays.label_array(y, f"{path}: labels") for part, (_, y) in found.parts.items()
    }
    classes, numbers, remarks = _classes_of(path, labels, found.classes)
    parts = {}
    for part, (images, _) in found.parts.items():
        pixels = arrays.mapped_pictures(images, f"{path}: pictures")
        if len(pixels) != len(numbers[part]):
            raise DataError(
                f"{path}: its {part} part has {len(pixels):,} pictures and "
                f"{len(numbers[part]):,} labels"
            )
        if not len(pixels):
            raise DataError(f"{path}: its {part} part has no picture")
        parts[part] = Part(numbers[part], images=pixels)
    return _of_pixels(path, kind, classes, parts, remarks)


def _classes_of(
    path: Path, labels: Mapping[str, NDArray[Any]], given: tuple[str, ...] | None
) -> tuple[tuple[str, ...], dict[str, Int64], tuple[str, ...]]:
    """The classes, and each part's labels as their numbers."""
    if given is not None and all(array.dtype.kind != "U" for array in labels.values()):
        checked = {
            part: arrays.numbers_of(y, given, f"{path}: labels") for part, y in labels.items()
        }
        return given, checked, ()
    texts = any(array.dtype.kind == "U" for array in labels.values())
    values = np.unique(np.concatenate([np.unique(array) for array in labels.values()]))
    names = {str(value) for value in values.tolist()}
    classes, _ = class_numbers(sorted(names))
    order = {name: number for number, name in enumerate(classes)}
    table = np.array([order[str(value)] for value in values.tolist()], np.int64)
    numbers = {part: table[np.searchsorted(values, array)] for part, array in labels.items()}
    renumbered = not texts and classes != tuple(map(str, range(len(classes))))
    said = f"labels {', '.join(classes[:6])}{', …' if len(classes) > 6 else ''} are the classes"
    return classes, numbers, (said,) if renumbered else ()


def _of_pixels(
    path: Path,
    kind: str,
    classes: tuple[str, ...],
    parts: Mapping[str, Part],
    remarks: Sequence[str],
) -> Source:
    shapes = {part: _shape_of(one) for part, one in parts.items()}
    if len({*shapes.values()}) > 1:
        said = ", ".join(f"{part} {shape}" for part, shape in shapes.items())
        raise DataError(f"{path}: pictures differ in size: {said}. Make them equal")
    return Source(path, kind, classes, parts, shapes["train"], None, tuple(remarks))


def _shape_of(part: Part) -> tuple[int, int, int]:
    assert part.images is not None
    channels, height, width = part.images.shape[1:]
    return channels, height, width


def _of_files(
    path: Path,
    kind: str,
    classes: tuple[str, ...],
    parts: Mapping[str, Part],
    asked: Asked,
    remarks: Sequence[str],
) -> Source:
    how = choose_preparation(parts["train"].paths, asked.size, asked.channels, asked.fit)
    shape = (how.channels, how.height, how.width)
    return Source(path, kind, classes, parts, shape, how, tuple(remarks))


def of_dataset(path: Path, kind: str, loaded: Dataset) -> Source:
    """A data set that was read as a source, to be stored."""
    splits = {"train": loaded.train, "val": loaded.val, "test": loaded.test}
    parts = {
        part: Part(split.labels, images=split.images)
        for part, split in splits.items()
        if split is not None
    }
    said = loaded.remarks
    made = _of_pixels(path, kind, loaded.train.classes, parts, said)
    return replace(made, preparation=loaded.preparation)


def resized(source: Source, asked: Asked) -> Source:
    """The source with pictures of the size that was asked for.

    Files are read in it anyway; arrays are prepared as files are.
    """
    channels, height, width = source.shape
    size = (height, width) if asked.size is None else (asked.size, asked.size)
    shape = (asked.channels or channels, *size)
    if shape == source.shape:
        return source
    return replace(source, shape=shape, preparation=Preparation(*shape, asked.fit))


def _inside(folder: Path, file: str) -> str:
    return plain(file.removeprefix(f"{folder}{os.sep}"))


# --- divided and read --------------------------------------------------------------------------


def divide(
    source: Source, test: float = TEST_SHARE, val: float = 0.0, seed: int = 0
) -> dict[str, tuple[Part, Int64]]:
    """Which pictures of which part of the source become "train", "val" and "test": their rows.

    A part that the source brings stays as it is; another one is held out by class.
    """
    made = {part: (one, np.arange(len(one.labels))) for part, one in source.parts.items()}
    for name, share in (("test", test), ("val", val)):
        if name in made or not share:
            continue
        part, rows = made["train"]
        held = rows_held_out(part.labels[rows], len(source.classes), share, seed)
        made[name] = (part, rows[held])
        made["train"] = (part, rows[~held])
    return made


def read(source: Source, told: Callable[[int], None] = lambda count: None) -> Dataset:
    """The data set of a source, in memory. What cannot be read is left out, and it is said.

    Raises DataError for more pictures than are read anew for each training, and where a part has
    none that can be read.
    """
    size = source.pictures * int(np.prod(source.shape))
    if size > MOST_IN_MEMORY:
        raise DataError(
            f"{source.path} holds {source.pictures:,} pictures of {size / 1e9:.1f} GB in all: "
            f"`lenet data import {source.path} --name NAME` stores them so that they need not fit "
            "into memory"
        )
    splits = {}
    for part, (one, rows) in divide(source).items():
        images, labels = _read_rows(source, one, rows, told)
        if not len(labels):
            raise DataError(f"{source.path}: no picture of its {part} part can be read")
        pixels, numbers = arrays.idx_sha256(images), arrays.idx_sha256(labels)
        identity = f"{source.name}/{part} (SHA-256 of images {pixels}, of labels {numbers})"
        splits[part] = (Split(images, labels, source.classes, identity), pixels, numbers)
    hashes: dict[str, str] = {}
    for part, files in (("train", FILES[:2]), ("test", FILES[2:]), ("val", VAL_FILES)):
        if part in splits:
            hashes.update(zip(files, splits[part][1:], strict=True))
    return Dataset(
        source.name,
        splits["train"][0],
        splits["test"][0],
        source=str(source.path),
        licence="not stated",
        sha256=MappingProxyType(hashes),
        bundled=False,
        remarks=remarks_of(source),
        val=splits["val"][0] if "val" in splits else None,
        preparation=source.preparation,
    )


def remarks_of(source: Source) -> tuple[str, ...]:
    """What there is to say of a source that was read: a line each."""
    said = [source.line(), *source.remarks]
    if "test" not in source.parts:
        said.append("it brings no test part: a fifth of each class is held out to test on")
    if bad := source.findings.unreadable:
        named = "; ".join(f"{plain(name, 60)}: {plain(why, 90)}" for name, why in bad[:SHOWN])
        more = f"; and {len(bad) - SHOWN:,} more" if len(bad) > SHOWN else ""
        files = f"{len(bad):,} file{'s are' if len(bad) > 1 else ' is'} left out"
        said.append(f"{files}: {named}{more} (`lenet data report` lists all)")
    return tuple(said)


def _read_rows(
    source: Source, part: Part, rows: Int64, told: Callable[[int], None]
) -> tuple[UInt8, Int64]:
    labels = part.labels[rows]
    if part.images is not None:
        return np.ascontiguousarray(part.images[rows]), labels
    images = np.empty((len(rows), *source.shape), np.uint8)
    kept = np.zeros(len(rows), np.bool_)
    assert source.preparation is not None
    paths = [part.paths[row] for row in rows.tolist()]
    start = 0
    for made, good in read_pictures(paths, source.preparation, source.findings, source.path, told):
        images[start : start + len(made)] = made
        kept[start : start + len(made)] = good
        start += len(made)
    return (images, labels) if kept.all() else (images[kept], labels[kept])
