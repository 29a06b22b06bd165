"""Pictures that stay in their file: more of them than memory holds can be trained on.

A large stored data set is mapped (``numpy.memmap``), and is read a stretch at a time into memory
of the program's own. What was read is let go at once (``madvise``): otherwise all pages that were
ever touched would count as the program's, and push out those of others.

Reading one picture here and one there costs a disk a thousand times what reading neighbours costs.
So an epoch's order keeps blocks of pictures together (``epoch_order``). The pictures of a stored
data set were mixed when it was imported, so that neighbours have no more in common than others.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from lenet.data.idx import DataError, UInt8
from lenet.data.split import Split
from lenet.data.split import is_mapped as is_mapped

if TYPE_CHECKING:
    from concurrent.futures import Future

BLOCK: Final = 64  # pictures that lie side by side, and stay together in an epoch's order
WINDOW: Final = 65_536  # pictures that are mixed with each other
AHEAD: Final = 32_768  # pictures that are read at once, while those before are trained on
REGION: Final = 1 << 21  # bytes that the system maps at once, at most
MOST_REGIONS: Final = 100  # that are held, before what was read is let go
EVALUATED: Final = 65_536  # a multiple of every engine's own chunks: sums stay the same

Int64 = NDArray[np.int64]


def open_mapped(path: Path, shape: tuple[int, ...], offset: int) -> UInt8:
    """The bytes of a file as an array that stays in it. Raises DataError where it is too short."""
    try:
        return np.memmap(path, np.uint8, mode="r", offset=offset, shape=shape)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be mapped: {error}") from None


def gather(images: UInt8, rows: Int64) -> UInt8:
    """A copy of these pictures, (len(rows), …), in memory; in the order of ``rows``.

    Of mapped ones at most 200 MB of the file are held at once.
    """
    if not is_mapped(images):
        return images[rows]
    made = np.empty((len(rows), *images.shape[1:]), np.uint8)
    inside = np.argsort(rows, kind="stable")  # from the file's beginning to its end
    size = images[0].nbytes if len(images) else 1
    regions = np.diff(rows[inside] * size // REGION, prepend=-1) != 0
    cuts = np.flatnonzero(np.diff(np.cumsum(regions) // MOST_REGIONS)) + 1
    for place in np.split(inside, cuts):
        made[place] = images[rows[place]]
        let_go(images)
    return made


def let_go(images: UInt8) -> None:
    """Tell the system that the pages of mapped pictures are not needed in memory any more."""
    holder: object = images
    while isinstance(holder, np.ndarray):
        holder = holder.base
    if sys.platform != "win32" and isinstance(holder, mmap.mmap):
        holder.madvise(mmap.MADV_DONTNEED)


def epoch_order(random: np.random.Generator, examples: int) -> Int64:
    """An order (examples,) that mixes blocks, and then the pictures of a thousand blocks at a time.

    >>> sorted(epoch_order(np.random.default_rng(0), 5).tolist())
    [0, 1, 2, 3, 4]
    """
    blocks = random.permutation(-(-examples // BLOCK)).astype(np.int64)
    rows = (blocks[:, None] * BLOCK + np.arange(BLOCK)).reshape(-1)
    rows = rows[rows < examples]
    for start in range(0, examples, WINDOW):
        rows[start : start + WINDOW] = random.permutation(rows[start : start + WINDOW])
    return rows


# --- a stretch at a time -----------------------------------------------------------------------


class Stretches(Protocol):
    """What an engine is given for a part of an epoch's order."""

    def __call__(self, start: int, stop: int) -> tuple[Split, Int64]:
        """A split, and the order of its pictures that stands for order[start:stop] or its head."""


@contextmanager
def stretches(split: Split, order: Int64, batch_size: int) -> Iterator[Stretches]:
    """A function that gives the pictures of a stretch of ``order``, which must not go backwards.

    Of pictures in memory it gives the split itself. Of mapped ones it gives a part of the stretch,
    whole batches of it, read while the engine was busy with the pictures before.
    """
    if not is_mapped(split.images):
        yield lambda start, stop: (split, order[start:stop])
        return
    from concurrent.futures import ThreadPoolExecutor  # takes a while to load

    length = max(1, AHEAD // batch_size) * batch_size

    def read(chunk: int) -> Split:
        rows = order[chunk * length : (chunk + 1) * length]
        images, labels = gather(split.images, rows), split.labels[rows]
        return Split(images, labels, split.classes, split.identity)

    pending: dict[int, Future[Split]] = {}
    with ThreadPoolExecutor(1) as pool:

        def stretch(start: int, stop: int) -> tuple[Split, Int64]:
            chunk = start // length
            for wanted in (chunk, chunk + 1):
                if wanted not in pending and wanted * length < len(order):
                    pending[wanted] = pool.submit(read, wanted)
            for old in [old for old in pending if old < chunk]:
                del pending[old]
            first = chunk * length
            return (
                pending[chunk].result(),
                np.arange(start - first, min(stop - first, length), dtype=np.int64),
            )

        yield stretch
        for waiting in pending.values():
            waiting.cancel()


def pieces(split: Split) -> Iterator[Split]:
    """The split in parts that memory holds, in its order; itself where it is in memory."""
    if not is_mapped(split.images):
        yield split
        return
    for start in range(0, len(split), EVALUATED):
        images = np.array(split.images[start : start + EVALUATED])
        let_go(split.images)
        labels = split.labels[start : start + EVALUATED]
        yield Split(images, labels, split.classes, split.identity)
