"""Pictures that are in a data set twice: the same bytes, or nearly the same picture.

A picture that was trained on and is tested on again is known by heart, and flatters the accuracy.

The same bytes are found by a hash of them. Nearly the same are found by a perceptual hash: 64 bits
that say where a picture becomes lighter from left to right, and from top to bottom (N. Krawetz,
"Kind of like that", 2013). Hashes that differ in a few bits are only candidates: pictures count as
near duplicates where their pixels agree as well.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lenet.data.idx import UInt8
from lenet.data.mapped import gather, pieces
from lenet.data.split import Int64, Split

MOST_EXACT: Final = 1_000_000  # pictures of a part whose bytes are compared
MOST_HELD: Final = 10_000  # of val and test each that are compared with
MOST_TRAINED: Final = 100_000  # training pictures, by their perceptual hash
NEAR_BITS: Final = 6  # of 64 that may differ
NEAR_LEVELS: Final = 6.0  # of 255, the mean difference of a pixel
CANDIDATES: Final = 4  # of a picture whose pixels are compared
SHOWN: Final = 50  # pairs that are kept

Bits = NDArray[np.float32]


@dataclass(frozen=True)
class Pair:
    """Two pictures: part and index of each, and their labels."""

    first: tuple[str, int]
    second: tuple[str, int]
    labels: tuple[int, int]


@dataclass(frozen=True)
class Duplicates:
    """How many pictures are there twice; ``compared`` says among how many was looked."""

    within_train: int  # training pictures of which an earlier one has the same bytes
    exact_across: int  # val and test pictures of which a training picture has the same bytes
    near_across: int  # and those of which one is nearly the same
    contradictory: int  # among all these, pairs with different labels
    pairs: tuple[Pair, ...]  # some of those across parts, and of the contradictory ones
    compared: dict[str, int]  # part -> pictures


def find_duplicates(train: Split, held: dict[str, Split]) -> Duplicates:
    """The pictures of the training part that are there twice, or in another part as well."""
    seen: dict[bytes, int] = {}
    pairs: list[Pair] = []
    within = contradictory = 0
    for index, digest in enumerate(_digests(train)):
        first = seen.setdefault(digest, index)
        if first != index:
            within += 1
            labels = int(train.labels[first]), int(train.labels[index])
            if labels[0] != labels[1]:
                contradictory += 1
                _keep(pairs, Pair(("train", first), ("train", index), labels))
    exact = near = 0
    rows = _some(len(train), MOST_TRAINED)
    trained = gather(train.images, rows)
    bits = perceptual_bits(trained)
    compared = {"train": len(rows)}
    for part, split in held.items():
        known = np.zeros(len(split), np.bool_)
        for index, digest in enumerate(_digests(split)):
            first = seen.get(digest, -1)
            if first < 0:
                continue
            known[index] = True
            exact += 1
            labels = int(train.labels[first]), int(split.labels[index])
            contradictory += labels[0] != labels[1]
            _keep(pairs, Pair(("train", first), (part, index), labels))
        asked = _some(len(split), MOST_HELD)
        asked = asked[~known[asked]]
        compared[part] = len(asked) + int(known.sum())
        pictures = gather(split.images, asked)
        for at, twin in _near(pictures, trained, bits):
            near += 1
            labels = int(train.labels[rows[twin]]), int(split.labels[asked[at]])
            contradictory += labels[0] != labels[1]
            _keep(pairs, Pair(("train", int(rows[twin])), (part, int(asked[at])), labels))
    return Duplicates(within, exact, near, contradictory, tuple(pairs), compared)


def perceptual_bits(images: UInt8) -> Bits:
    """The perceptual hash of each picture as 64 numbers -1 or 1, (n, 64) float32."""
    made = [_bits(images[start : start + 4096]) for start in range(0, len(images), 4096)]
    return np.concatenate(made) if made else np.zeros((0, 64), np.float32)


def _bits(images: UInt8) -> Bits:
    grey = images.mean(axis=1, dtype=np.float32)
    across = _shrunk(grey, 8, 5)  # 8 rows of 4 steps to the right
    down = _shrunk(grey, 5, 8)  # 4 steps down of 8 columns
    lighter = np.diff(across, axis=2) > 0
    lower = np.diff(down, axis=1) > 0
    both = np.concatenate([lighter.reshape(len(grey), -1), lower.reshape(len(grey), -1)], axis=1)
    return np.where(both, np.float32(1), np.float32(-1))


def _shrunk(grey: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Pictures (n, h, w) as means of the areas of rows × columns fields."""
    down, across = (
        _areas(old, new) for old, new in zip(grey.shape[1:], (rows, columns), strict=True)
    )
    return np.asarray(down @ grey @ across.T, np.float32)


def _areas(length: int, count: int) -> NDArray[np.float32]:
    """Of which old pixels each field is made, (count, length), each row adding up to one."""
    step = length / count
    edges = np.arange(count + 1)[:, None] * step
    old = np.arange(length)
    overlap = np.minimum(edges[1:], old + 1) - np.maximum(edges[:-1], old)
    return np.asarray(np.clip(overlap, 0, None) / step, np.float32)


def _near(pictures: UInt8, trained: UInt8, bits: Bits) -> list[tuple[int, int]]:
    """Which pictures have a near duplicate among the trained ones, and which."""
    found: list[tuple[int, int]] = []
    own = perceptual_bits(pictures)
    count = min(CANDIDATES, len(bits))
    if not count:
        return found
    for start in range(0, len(pictures), 256):
        same = own[start : start + 256] @ bits.T  # 64 - 2·(bits that differ)
        nearest = np.argpartition(-same, count - 1, axis=1)[:, :count]
        enough = np.take_along_axis(same, nearest, axis=1) >= 64 - 2 * NEAR_BITS
        for row in np.flatnonzero(enough.any(axis=1)).tolist():
            picture = pictures[start + row].astype(np.int16)
            for twin in nearest[row][enough[row]].tolist():
                if np.abs(trained[twin] - picture).mean() <= NEAR_LEVELS:
                    found.append((start + row, twin))
                    break
    return found


def _digests(split: Split) -> list[bytes]:
    """A hash of each picture's bytes, of the first million."""
    found: list[bytes] = []
    for piece in pieces(split):
        for picture in piece.images[: MOST_EXACT - len(found)]:
            found.append(hashlib.blake2b(picture.tobytes(), digest_size=12).digest())
        if len(found) >= MOST_EXACT:
            break
    return found


def _some(count: int, most: int) -> Int64:
    """Indices spread evenly over so many pictures, at most so many."""
    return np.unique(np.linspace(0, max(count - 1, 0), min(count, most)).astype(np.int64))


def _keep(pairs: list[Pair], pair: Pair) -> None:
    if len(pairs) < SHOWN:
        pairs.append(pair)
