"""Somebody's pictures read once and for all, into a data set with a name (``stored``).

They are written in an order in which classes are mixed evenly: each stretch of the file has every
class in its share. So a part of a file too large for memory stands for the whole (``mapped``).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from lenet.data.idx import DataError, UInt8, header, write_idx
from lenet.data.mapped import gather
from lenet.data.picture_reading import read_pictures
from lenet.data.preparation import prepare
from lenet.data.preparation import to_dict as preparation_to_dict
from lenet.data.report import Report
from lenet.data.report import to_dict as report_to_dict
from lenet.data.sources import Part, Source, divide
from lenet.data.split import Int64
from lenet.data.stored import DESCRIPTION, NAME, PARTS, REPORT, file_names, stored_shape
from lenet.files import (
    UNFINISHED,
    is_held,
    rename_folder,
    sync_folder,
    trouble_with_name,
    write_atomically,
)
from lenet.untrusted import plain, shown

AT_ONCE: Final = 8_192  # pictures of an array that are copied at once
STALE_S: Final = 86_400.0
SPARE: Final = 50_000_000  # bytes of a disk that are not filled


@dataclass(frozen=True)
class Shares:
    """How much becomes test and val part where the source has none, and by which seed."""

    test: float = 0.2
    val: float = 0.1
    seed: int = 0


def store(
    source: Source,
    name: str,
    root: Path,
    shares: Shares = Shares(),
    *,
    replace: bool = False,
    told: Callable[[int], None] = lambda count: None,
) -> Path:
    """The folder root/name that now holds the pictures of the source.

    It is written beside and renamed: whatever happens, no half of a data set has that name.
    ``told`` is called with how many pictures were read since. Raises DataError for a name that
    cannot be one or is taken, for a disk too small, and where a part has no readable picture;
    OSError where something cannot be written.
    """
    if trouble := trouble_with_name(name):
        raise DataError(f"{shown(name)} cannot be the name of a data set: {trouble}")
    if not NAME.fullmatch(name) or name.endswith(UNFINISHED):
        raise DataError(
            f"{shown(name)} cannot be the name of a data set: write letters, digits, - and _, at "
            "most 60"
        )
    folder = root / name
    if os.path.lexists(folder) and not replace:
        raise DataError(f"{folder} is there already; choose another name, or add --replace")
    if os.path.lexists(folder) and not (folder / DESCRIPTION).is_file():
        raise DataError(f"{folder} is no imported data set, and is not replaced")
    root.mkdir(parents=True, exist_ok=True)
    _remove_stale(root)
    size = source.pictures * int(np.prod(source.shape))
    if size + SPARE > (free := shutil.disk_usage(root).free):
        raise DataError(
            f"{root}: the pictures take {size / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free; "
            "free some space, or set XDG_CACHE_HOME to a folder on another disk"
        )
    beside = root / f".{name}.{os.urandom(8).hex()}{UNFINISHED}"
    beside.mkdir()
    try:
        parts = {}
        for part, (one, rows) in divide(source, shares.test, shares.val, shares.seed).items():
            order = rows[mixed(one.labels[rows], (shares.seed, PARTS.index(part)))]
            parts[part] = _write(source, part, one, order, beside, told)
        described = {
            "format": 1,
            "name": name,
            "source": plain(str(source.path.resolve()), 4096),
            "kind": source.kind,
            "classes": list(source.classes),
            "shape": list(source.shape),
            "parts": parts,
            "preparation": source.preparation and preparation_to_dict(source.preparation),
            "shares": {"test": shares.test, "val": shares.val, "seed": shares.seed},
        }
        classes = "".join(f"{name}\n" for name in source.classes)
        write_atomically(beside / "classes.txt", classes.encode())
        text = json.dumps(described, indent=2, ensure_ascii=False)
        write_atomically(beside / DESCRIPTION, text.encode())
        _put_in_place(beside, folder)
        sync_folder(root)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return folder


def _put_in_place(beside: Path, folder: Path) -> None:
    """Give a data set its name; what has the name goes, or stays whole where that cannot be."""
    before = folder.with_name(f".{folder.name}.{os.urandom(8).hex()}{UNFINISHED}")
    if os.path.lexists(folder):
        try:
            rename_folder(folder, before)
        except PermissionError as error:
            if not is_held(error):
                raise
            raise DataError(
                f"{folder}: another program reads these pictures, and Windows does not let them be "
                "replaced meanwhile: end it, or choose another name"
            ) from None
    try:
        rename_folder(beside, folder)
    except OSError:
        if before.exists():
            rename_folder(before, folder)
        raise
    shutil.rmtree(before, ignore_errors=True)


def keep_report(folder: Path, report: Report) -> None:
    """Write the report of an imported data set beside it."""
    text = json.dumps(report_to_dict(report), ensure_ascii=False)
    write_atomically(folder / REPORT, text.encode())


def mixed(labels: Int64, seed: tuple[int, ...]) -> Int64:
    """An order (n,) of examples in which every stretch has each class in its share.

    The pictures of a class are spread evenly from the first to the last, in an order of chance.
    """
    random = np.random.default_rng((*seed, 0x6D6978))  # "mix"
    keys = random.random(len(labels))
    for label in range(int(labels.max(initial=-1)) + 1):
        members = np.flatnonzero(labels == label)
        ranks = np.argsort(keys[members], kind="stable")
        keys[members[ranks]] = (np.arange(len(members)) + random.random(len(members))) / max(
            1, len(members)
        )
    return np.argsort(keys, kind="stable").astype(np.int64)


def _write(
    source: Source, name: str, part: Part, order: Int64, folder: Path, told: Callable[[int], None]
) -> dict[str, Any]:
    """A part's two files; what dataset.json says of them."""
    images_name, labels_name = file_names(name)
    path = folder / images_name
    kept: list[Int64] = []
    with path.open("xb") as file:
        begin = header(stored_shape((len(order), *source.shape)))
        digest = hashlib.sha256(begin)
        file.write(begin)
        for images, rows in _pictures(source, part, order, told):
            content = images.tobytes()
            digest.update(content)
            file.write(content)
            kept.append(part.labels[rows])
        labels = np.concatenate(kept) if kept else np.zeros(0, np.int64)
        if not len(labels):
            raise DataError(f"{source.path}: no picture of its {name} part can be read")
        if len(labels) < len(order):  # some could not be read: the header promised too much
            file.seek(0)
            file.write(header(stored_shape((len(labels), *source.shape))))
        file.flush()
        os.fsync(file.fileno())
    if len(labels) < len(order):
        with path.open("rb") as written:
            digest = hashlib.sha256()
            _hash(written, digest)
    write_idx(folder / labels_name, labels.astype(np.uint8))
    numbers = hashlib.sha256((folder / labels_name).read_bytes())
    return {
        "examples": len(labels),
        "images_sha256": digest.hexdigest(),
        "labels_sha256": numbers.hexdigest(),
    }


def _hash(file: BinaryIO, digest: Any) -> None:
    while piece := file.read(1 << 20):
        digest.update(piece)


def _pictures(
    source: Source, part: Part, order: Int64, told: Callable[[int], None]
) -> Iterator[tuple[UInt8, NDArray[np.int64]]]:
    """The pictures of these rows that can be read, some at a time, and which rows they are."""
    if part.images is not None:
        for start in range(0, len(order), AT_ONCE):
            rows = order[start : start + AT_ONCE]
            images = gather(part.images, rows)
            if source.preparation is not None and images.shape[1:] != source.shape:
                how = source.preparation
                images = np.stack([prepare(one.transpose(1, 2, 0), how) for one in images])
            yield images, rows
            told(len(rows))
        return
    assert source.preparation is not None
    paths = [part.paths[row] for row in order.tolist()]
    start = 0
    for made, good in read_pictures(paths, source.preparation, source.findings, source.path, told):
        rows = order[start : start + len(made)]
        start += len(made)
        yield made[good], rows[good]


def _remove_stale(root: Path) -> None:
    """Remove what imports that were killed a day ago or more left."""
    for path in root.glob(f".*{UNFINISHED}"):
        with suppress(OSError):
            if path.is_dir() and time.time() - path.stat().st_mtime > STALE_S:
                shutil.rmtree(path)
