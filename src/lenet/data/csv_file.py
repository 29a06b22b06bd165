"""CSV files with labelled pictures: a column with labels, and pixels or names of picture files.

    label,pixel0,pixel1,…        as Kaggle's digits: h·w or 3·h·w columns of 0 to 255
    emotion,pixels,Usage         all pixels in one column, with spaces between them
    label,path                   picture files, beside the CSV file or below its folder

A file without a heading is taken where its first column is the label and the others are the pixels
of a square picture. Labels are whole numbers or names.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lenet.data.class_folder import MOST_CLASSES, PARTS, in_order
from lenet.data.idx import DataError, UInt8
from lenet.data.idx_folder import LONGEST_CLASS
from lenet.files import FileError, open_plain
from lenet.untrusted import plain, shown

LABELS: Final = ("label", "labels", "class", "target", "category", "emotion", "y")
PATHS: Final = ("path", "file", "filename", "file_name", "filepath", "image", "image_path", "img")
USAGE: Final[dict[str, str]] = {
    **PARTS,
    "publictest": "val",  # as in FER2013
    "privatetest": "test",
}
MOST_BYTES: Final = 1 << 32
LONGEST_LINE: Final = 4_000_000  # characters: a picture of 512×512 in colour has 3,000,000
ROWS_AT_ONCE: Final = 4_096


@dataclass(frozen=True, eq=False)
class CsvPictures:
    """What a CSV file holds: pixels (n, c, h, w), or the paths of files in their place."""

    labels: tuple[str, ...]
    parts: tuple[str, ...]  # of each: "train", "val", "test"; empty where no column says so
    pixels: UInt8 | None
    paths: tuple[Path, ...] | None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Columns:
    """Which column is what."""

    label: int
    pixels: tuple[int, ...] = ()
    joined: int = -1  # all pixels in one
    path: int = -1
    usage: int = -1


def read_csv(path: Path) -> CsvPictures:
    """The labelled pictures of a CSV file. Raises DataError, naming the line."""
    try:
        with open_plain(path, links=True) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MOST_BYTES:
                raise DataError(f"{path}: has {size:,} bytes; at most {MOST_BYTES:,} are read")
            with io.TextIOWrapper(file, "utf-8-sig", newline="") as text:
                return _read(_lines(text, path), path)
    except FileError as error:
        raise DataError(str(error)) from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: is no UTF-8 text, from byte {error.start} of a part on; save it as UTF-8"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


def has_labels(path: Path) -> bool:
    """Whether the file's heading names a column with labels: Kaggle's test.csv has none."""
    try:
        with open_plain(path, links=True) as file:
            heading = file.readline(LONGEST_LINE).decode("utf-8-sig", errors="replace")
    except (FileError, OSError):
        return False
    cells = [cell.strip().strip('"').casefold() for cell in heading.split(",")]
    return any(cell in LABELS for cell in cells) or _is_number(cells[0])


def class_numbers(labels: Sequence[str]) -> tuple[tuple[str, ...], list[int]]:
    """The classes in order, and of each label its number. Raises DataError for what is no class."""
    names = {*labels}
    if len(names) > MOST_CLASSES:
        raise DataError(
            f"there are {len(names):,} different labels, at most {MOST_CLASSES} classes are "
            "possible. Is another column the label?"
        )
    for name in names:
        if not name or len(name) > LONGEST_CLASS or not name.isprintable():
            raise DataError(f"{shown(name)} cannot be the name of a class")
    classes = in_order(names)
    numbers = {name: number for number, name in enumerate(classes)}
    return classes, [numbers[label] for label in labels]


def _lines(file: io.TextIOWrapper, path: Path) -> Iterator[str]:
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise DataError(f"{path}: line {number:,} has more than {LONGEST_LINE:,} characters")
        if "\0" in line:
            raise DataError(f"{path}: line {number:,} has a zero byte: it is no CSV text")
        yield line


def _read(lines: Iterator[str], path: Path) -> CsvPictures:
    rows = _rows(lines, path)
    first = next(rows, None)
    if first is None:
        raise DataError(f"{path}: is empty")
    heading = [cell.strip() for cell in first]
    headless = all(map(_is_number, heading))
    columns = _headless(heading, path) if headless else _find_columns(heading, path)
    if columns.path >= 0:
        return _of_files(rows, columns, heading, path)
    made: list[UInt8] = []
    labels: list[str] = []
    parts: list[str] = []
    cells: list[str] = []
    count = 0
    line = 1
    body = _with(first, rows) if headless else rows
    for row in body:
        line += 1
        if len(row) != len(heading):
            raise DataError(
                f"{path}: line {line - headless:,} has {len(row):,} columns, the first has "
                f"{len(heading):,}"
            )
        labels.append(_label(row[columns.label]))
        if columns.usage >= 0:
            parts.append(_part(row[columns.usage], path, line))
        if columns.joined >= 0:
            cells.append(" ".join(row[columns.joined].split()))
        elif len(columns.pixels) == len(row) - 1 and columns.label == 0:
            cells.append(" ".join(row[1:]))
        else:
            cells.append(" ".join([row[at] for at in columns.pixels]))
        count += 1
        if count == ROWS_AT_ONCE:
            made.append(_bytes(cells, path, line - headless))
            cells, count = [], 0
    if cells:
        made.append(_bytes(cells, path, line - headless))
    if not made:
        raise DataError(f"{path}: has a heading, and no picture below it")
    if len({part.shape[1] for part in made}) > 1:
        raise DataError(f"{path}: its pictures differ in their number of pixels")
    flat = np.concatenate(made)
    pixels, remarks = _shaped(flat, heading, columns, path)
    return CsvPictures(tuple(labels), tuple(parts), pixels, None, remarks)


def _rows(lines: Iterator[str], path: Path) -> Iterator[list[str]]:
    """The cells of each line that is not blank; a hundred times faster where nothing is quoted."""
    separator = ","
    for number, line in enumerate(lines):
        text = line.rstrip("\r\n")
        if not number and "," not in text:
            separator = next((sign for sign in ("\t", ";") if sign in text), ",")
        if not text.strip():
            continue
        if '"' in text:
            try:
                yield next(csv.reader([text], delimiter=separator, strict=True))
            except csv.Error as error:
                raise DataError(f"{path}: line {number + 1:,}: {error}") from None
        else:
            yield text.split(separator)


def _with(first: list[str], rest: Iterator[list[str]]) -> Iterator[list[str]]:
    yield first
    yield from rest


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _label(text: str) -> str:
    """A label as the name of a class: 3, 3.0 and " 3" are the same."""
    text = text.strip()
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number == int(number) and abs(number) < 1e9 else text


def _part(text: str, path: Path, line: int) -> str:
    found = USAGE.get(text.strip().casefold())
    if found is None:
        raise DataError(
            f"{path}: line {line:,}: {shown(text)} is no part; write train, val or test"
        )
    return found


def _headless(cells: list[str], path: Path) -> _Columns:
    if _size_of(len(cells) - 1) is None:
        raise DataError(
            f"{path}: has no heading, and {len(cells):,} columns are not a label and the pixels of "
            "a square picture. Write a first line with a column label, and pixels or a path"
        )
    return _Columns(0, tuple(range(1, len(cells))))


def _find_columns(heading: list[str], path: Path) -> _Columns:
    names = [cell.casefold() for cell in heading]

    def named(known: Sequence[str]) -> int:
        return next((names.index(name) for name in known if name in names), -1)

    label = named(LABELS)
    if label < 0:
        raise DataError(
            f"{path}: no column is called label (there is {_some(heading)}). Name the column with "
            f"the classes so; {', '.join(LABELS[1:])} are known as well"
        )
    usage = named(("usage", "part", "split"))
    if "pixels" in names:
        return _Columns(label, joined=names.index("pixels"), usage=usage)
    where = named(PATHS)
    if where >= 0:
        return _Columns(label, path=where, usage=usage)
    pixels = tuple(
        at for at in range(len(names)) if at not in (label, usage) and names[at] not in ("id", "")
    )
    return _Columns(label, pixels, usage=usage)


def _some(heading: list[str]) -> str:
    shown_ = ", ".join(plain(name, 40) for name in heading[:5])
    return f"{shown_}, … ({len(heading):,} in all)" if len(heading) > 5 else shown_


def _bytes(rows: list[str], path: Path, line: int) -> UInt8:
    """Pixels (rows, pixels) of text; the last row stands on that line."""
    counts = {row.count(" ") for row in rows}
    if len(counts) > 1:  # a space more after a comma?
        rows = [" ".join(row.split()) for row in rows]
        counts = {row.count(" ") for row in rows}
    values = _numbers(" ".join(rows)) if len(counts) == 1 else None
    if values is None or values.size != len(rows) * (counts.pop() + 1):
        start = line - len(rows) + 1
        for number, row in enumerate(rows):
            wrong = next((cell for cell in row.split(" ") if not _is_number(cell)), None)
            if wrong is not None:
                raise DataError(
                    f"{path}: line {start + number:,} has {shown(wrong)} where a pixel stands; "
                    "pixels are whole numbers from 0 to 255"
                )
        raise DataError(
            f"{path}: between lines {start:,} and {line:,} the number of pixels changes"
        )
    low, high = float(values.min()), float(values.max())
    if not (0 <= low <= high <= 255) or (values != np.rint(values)).any():
        raise DataError(
            f"{path}: up to line {line:,} pixels go from {low:g} to {high:g}; they must be whole "
            "numbers from 0 to 255"
        )
    return values.astype(np.uint8).reshape(len(rows), -1)


def _numbers(text: str) -> NDArray[np.float32] | None:
    """The numbers of a text; None where something else stands between them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return np.fromstring(text, np.float32, sep=" ")
    except (ValueError, DeprecationWarning):
        return None


def _size_of(pixels: int) -> tuple[int, int, int] | None:
    """Channels, height and width of a square picture with so many values; None for none."""
    for channels in (1, 3):
        side = math.isqrt(max(pixels, 0) // channels)
        if side and channels * side * side == pixels:
            return channels, side, side
    return None


def _shaped(
    flat: UInt8, heading: list[str], columns: _Columns, path: Path
) -> tuple[UInt8, tuple[str, ...]]:
    """The pictures (n, c, h, w) of rows of pixels."""
    count = flat.shape[1]
    last = re.fullmatch(r"(\d+)x(\d+)", heading[columns.pixels[-1]]) if columns.pixels else None
    if last and int(last[1]) * int(last[2]) == count:  # 1x1 … 28x28
        return flat.reshape(-1, 1, int(last[1]), int(last[2])), ()
    shape = _size_of(count)
    if shape is None:
        raise DataError(
            f"{path}: {count:,} pixels are no square picture, grey or with three colours. Is "
            "another column beside the label none of the pixels?"
        )
    if shape[0] == 1:
        return flat.reshape(-1, *shape), ()
    return planes_first(flat, shape, path.name)


def planes_first(
    flat: UInt8, shape: tuple[int, int, int], name: str
) -> tuple[UInt8, tuple[str, ...]]:
    """Rows of 3·h·w values as pictures, whether the colours of a pixel stand together or apart.

    Neighbours in a picture are alike: the reading in which they are more so is the right one.
    """
    channels, height, width = shape
    some = flat[:: max(1, len(flat) // 256)][:256].astype(np.int16)
    apart = some.reshape(-1, *shape)
    together = some.reshape(-1, height, width, channels).transpose(0, 3, 1, 2)
    rough = [float(np.abs(np.diff(view, axis=3)).mean()) for view in (apart, together)]
    if rough[0] <= rough[1]:
        return flat.reshape(-1, *shape), (f"{name}: each row is taken as red, green, blue planes",)
    made = flat.reshape(-1, height, width, channels).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(made), (f"{name}: each row is taken as pixels of red, green, blue",)


def _of_files(
    rows: Iterator[list[str]], columns: _Columns, heading: list[str], path: Path
) -> CsvPictures:
    labels, parts, paths = [], [], []
    root = path.parent
    for line, row in enumerate(rows, 2):
        if len(row) != len(heading):
            raise DataError(
                f"{path}: line {line:,} has {len(row):,} columns, the first has {len(heading):,}"
            )
        text = row[columns.path].strip()
        inside = Path(os.path.normpath(text.replace("\\", "/"))) if text else None
        if inside is None or inside.is_absolute() or ".." in inside.parts or "\0" in text:
            raise DataError(
                f"{path}: line {line:,}: {shown(text)} does not lie beside this file; write paths "
                "from its folder on, without .."
            )
        labels.append(_label(row[columns.label]))
        paths.append(root / inside)
        if columns.usage >= 0:
            parts.append(_part(row[columns.usage], path, line))
    if not paths:
        raise DataError(f"{path}: has a heading, and no picture below it")
    return CsvPictures(tuple(labels), tuple(parts), None, tuple(paths))
