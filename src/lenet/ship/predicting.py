"""Files predicted, one after the other, however many there are: found, read, prepared, asked."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from lenet.data.idx import UInt8
from lenet.data.picture_files import PictureFileError, read_picture_bytes
from lenet.data.picture_pixels import pixels_of_file, read_pixels
from lenet.data.preparation import PreparationError, prepare
from lenet.files import FileError
from lenet.ship.model import Model, Prediction

SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp")
TOGETHER: Final = 32  # pictures that the network is asked about at once
LARGEST_STDIN: Final = 200_000_000  # bytes of a picture on standard input
LONGEST_NAME: Final = 10_000  # bytes of a line with a file's name


class NoPicturesError(ValueError):
    """Nothing to predict: what was named holds no pictures."""


@dataclass(frozen=True)
class Source:
    """A picture to predict: its name, and how its pixels, or its file's bytes, are read."""

    name: str
    read: Callable[[], UInt8]
    content: Callable[[], bytes]


@dataclass(frozen=True, eq=False)
class Answer:
    """What became of one picture: a prediction, or the reason why there is none."""

    name: str
    prediction: Prediction | None
    problem: str = ""


def from_paths(named: Sequence[str]) -> list[Source]:
    """The pictures that were named: files, and in folders all whose names end as pictures' do.

    A folder's are sorted, with those of its folders; hidden ones are passed over. Raises
    NoPicturesError for a folder without any. A file that is none shows when it is read.
    """
    found = []
    for name in named:
        path = Path(os.path.expanduser(name))
        if not path.is_dir():
            found.append(_from_path(path))
            continue
        inside = list(_pictures_in(path))
        if not inside:
            raise NoPicturesError(
                f"{path} holds no pictures: no file in it ends in {', '.join(SUFFIXES)}"
            )
        found += map(_from_path, inside)
    return found


def from_stream(stream: BinaryIO) -> list[Source]:
    """What came on standard input: one picture, or the names of files and folders, one a line.

    Raises NoPicturesError where it is neither, and as ``from_paths``.
    """
    content = stream.read(LARGEST_STDIN + 1)
    if len(content) > LARGEST_STDIN:
        raise NoPicturesError(f"standard input has more than {LARGEST_STDIN:,} bytes")
    if _is_picture(content):
        name = "standard input"
        pixels = partial(pixels_of_file, name=name)
        return [Source(name, lambda: pixels(io.BytesIO(content)), lambda: content)]
    lines = content.replace(b"\0", b"\n").splitlines()  # find's -print0 will do
    if any(len(line) > LONGEST_NAME for line in lines):
        raise NoPicturesError(
            "standard input is neither a picture that is read here nor a list of files, one a line"
        )
    names = [os.fsdecode(line) for line in lines if line.strip()]
    if not names:
        raise NoPicturesError("standard input is empty: give a picture, or names of files")
    return from_paths(names)


def predict(
    model: Model, sources: Sequence[Source], top: int | None = None, ground: str = "auto"
) -> Iterator[Answer]:
    """The answer to each picture, in their order; a bad one holds up no other.

    ``top`` and ``ground`` are as for ``Model.predict``.
    """
    for start in range(0, len(sources), TOGETHER):
        together = sources[start : start + TOGETHER]
        seen = [_seen(model, source, ground) for source in together]
        good = [picture for picture in seen if not isinstance(picture, str)]
        predictions = iter(model.predictions(np.stack(good), top) if good else ())
        for source, picture in zip(together, seen, strict=True):
            if isinstance(picture, str):
                yield Answer(source.name, None, picture)
            else:
                yield Answer(source.name, next(predictions))


def look(model: Model, source: Source, ground: str = "auto") -> tuple[UInt8, UInt8]:
    """A picture as it is, and as the network sees it. Raises as ``Model.prepare``."""
    pixels = source.read()
    return pixels, prepare(pixels, model.preparation, ground)


def _seen(model: Model, source: Source, ground: str) -> UInt8 | str:
    """What the network sees of a picture, or why it sees nothing."""
    try:
        return look(model, source, ground)[1]
    except (PictureFileError, PreparationError, FileError) as error:
        return str(error).removeprefix(f"{source.name}: ")


def _from_path(path: Path) -> Source:
    return Source(str(path), partial(read_pixels, path), partial(read_picture_bytes, path))


def _pictures_in(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                yield Path(parent, name)


def _is_picture(content: bytes) -> bool:
    """Whether the bytes begin as one of the formats that are read does."""
    return (
        content.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*"))
        or (content[:4] == b"RIFF" and content[8:12] == b"WEBP")
        or (content[:2] == b"BM" and content[6:10] == bytes(4))
    )
