"""A folder with one sub-folder a class: which picture files there are, and of which class and part.

    pictures/cat/1.png                  classes alone
    pictures/train/cat/1.png            parts above them: train, val, test, by their usual names
    pictures/test/cat/2.png

Only names are looked at here. A folder is a stranger's: links to folders are not followed below a
class, and the number of files is bounded.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lenet.data.idx import DataError
from lenet.data.idx_folder import LONGEST_CLASS
from lenet.untrusted import plain, shown

_ENDS: Final = ("png", "jpg", "jpeg", "jpe", "jfif", "gif", "bmp", "dib", "tif", "tiff", "webp")
SUFFIXES: Final = frozenset(f".{end}" for end in _ENDS)
UNREAD: Final = frozenset((".heic", ".heif", ".avif", ".svg", ".jp2", ".jxl", ".psd", ".raw"))
NO_PICTURES: Final = frozenset(("thumbs.db", "desktop.ini", "__macosx"))  # systems leave these
PARTS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
MOST_CLASSES: Final = 256
MOST_FILES: Final = 20_000_000
DEEPEST: Final = 8  # folders inside a class's folder


@dataclass(frozen=True, eq=False)
class Listing:
    """Picture files with their classes, nothing opened yet."""

    classes: tuple[str, ...]
    parts: Mapping[str, tuple[list[Path], list[int]]]  # "train", "val", "test": files, labels
    passed_over: tuple[tuple[str, str], ...] = ()  # a file, and why it is none of the pictures
    remarks: tuple[str, ...] = ()


def list_folder(folder: Path) -> Listing | None:
    """The pictures of a folder with a sub-folder a class, or None where it is none.

    Without parts all are "train". Raises DataError for what cannot be classes: one alone, more
    than 256, a name that no line can show.
    """
    folder = _inner(folder)
    below = _folders(folder)
    parts: dict[str, Path] = {}
    for path in below:
        if (part := PARTS.get(path.name.casefold())) and part not in parts and _holds_classes(path):
            parts[part] = path
    if "train" in parts:
        found = {part: _classes_in(path) for part, path in parts.items()}
    else:
        found = {"train": _classes_in(folder)}
    passed_over: list[tuple[str, str]] = []
    files: dict[str, dict[str, list[Path]]] = {}
    remarks = []
    count = 0
    for part, folders in found.items():
        for path in folders:
            pictures = []
            for file, why in _pictures_in(path):
                count += 1
                if count > MOST_FILES:
                    raise DataError(f"{folder}: more than {MOST_FILES:,} files are not read")
                if why:
                    passed_over.append((str(file), why))
                else:
                    pictures.append(file)
            if pictures:
                files.setdefault(part, {})[path.name] = pictures
            else:
                remarks.append(f"{path.name}/ holds no picture, and is no class")
    names = {name for classes in files.values() for name in classes}
    if not names or "train" not in files:
        return None
    _check_names(folder, names)
    classes = in_order(names)
    listed = {
        part: (
            [file for name in classes for file in found.get(name, ())],
            [label for label, name in enumerate(classes) for _ in found.get(name, ())],
        )
        for part, found in files.items()
    }
    return Listing(classes, listed, tuple(passed_over), tuple(remarks))


def in_order(names: set[str]) -> tuple[str, ...]:
    """The names in the order of their labels: by the alphabet, numbers by their size."""
    return tuple(sorted(names, key=_by_number))


def is_hidden(name: str) -> bool:
    """Whether a system put the file there, not a person."""
    return name.startswith(".") or name.casefold() in NO_PICTURES


def _by_number(name: str) -> tuple[int, int, str]:
    number = int(name) if name.isascii() and name.isdigit() and len(name) < 10 else None
    return (1, 0, name) if number is None else (0, number, name)


def _inner(folder: Path) -> Path:
    """The folder itself, or what it holds alone: archives unpack as flowers/flowers/…"""
    for _ in range(3):
        below = _folders(folder)
        if len(below) != 1 or _has_pictures(folder) or _has_pictures(below[0]):
            return folder
        if not _folders(below[0]):
            return folder
        folder = below[0]
    return folder


def _classes_in(folder: Path) -> list[Path]:
    return sorted(_folders(folder), key=lambda path: _by_number(path.name))


def _holds_classes(folder: Path) -> bool:
    return bool(_folders(folder))


def _folders(folder: Path) -> list[Path]:
    """The folders in it; links to folders are taken at this level."""
    try:
        with os.scandir(folder) as entries:
            names = [
                entry.name for entry in entries if not is_hidden(entry.name) and _is_dir(entry)
            ]
    except OSError:
        return []
    return [folder / name for name in sorted(names)]


def _is_dir(entry: os.DirEntry[str], links: bool = True) -> bool:
    try:
        return entry.is_dir(follow_symlinks=links)
    except OSError:
        return False


def _has_pictures(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(
                os.path.splitext(entry.name)[1].casefold() in SUFFIXES
                and not is_hidden(entry.name)
                and not _is_dir(entry)
                for entry in entries
            )
    except OSError:
        return False


def _pictures_in(folder: Path, depth: int = 0) -> Iterator[tuple[Path, str]]:
    """Each file of a class's folder, and why it is no picture, "" where it may be one; sorted."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        yield folder, f"the folder cannot be read: {error.strerror or error}"
        return
    for entry in found:
        path = Path(entry.path)
        if is_hidden(entry.name):
            continue
        if _is_dir(entry, links=False):
            if depth < DEEPEST:
                yield from _pictures_in(path, depth + 1)
            else:
                yield path, "it lies too deep"
            continue
        yield path, _why_none(entry)


def _why_none(entry: os.DirEntry[str]) -> str:
    suffix = os.path.splitext(entry.name)[1].casefold()
    try:
        mode = entry.stat().st_mode
    except OSError as error:
        return "a link that leads nowhere" if entry.is_symlink() else str(error.strerror or error)
    if stat.S_ISDIR(mode):
        return "a link to a folder, which is not followed here"
    if not stat.S_ISREG(mode):
        return "a pipe or a device, not a file"
    if suffix in UNREAD:
        return f"{suffix[1:].upper()} is not read here: save it as PNG or JPEG"
    if suffix and suffix not in SUFFIXES:
        return "no picture, by the end of its name"
    return ""


def _check_names(folder: Path, names: set[str]) -> None:
    if len(names) > MOST_CLASSES:
        raise DataError(
            f"{folder} has {len(names):,} folders with pictures; at most {MOST_CLASSES} classes "
            "are possible. Give the folder that holds one folder a class"
        )
    for name in sorted(names):
        if len(name) > LONGEST_CLASS or not name.isprintable():
            raise DataError(
                f"{folder}: {shown(name)} cannot be the name of a class: it has at most "
                f"{LONGEST_CLASS} characters, all of which can be printed. Rename the folder"
            )
    if len(names) == 1:
        raise DataError(
            f"{folder} has pictures of one class, {plain(next(iter(names)))}: to learn a "
            "difference takes two. Make a folder for each class"
        )
