"""Pictures with their labels, and how a part of them is held out or drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lenet.data.idx import DataError, UInt8
from lenet.data.preparation import Preparation

IN_MEMORY: Final = "(arrays)"  # the name of a data set that a program gave, and that is in no file

Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Split:
    """Pictures with their labels.

    `identity` says exactly which: data set, part, SHA-256 of the decompressed files, and for a
    derived part how it was derived.
    """

    images: UInt8  # (n, channels, height, width)
    labels: Int64  # (n,)
    classes: tuple[str, ...]
    identity: str
    weights: Float32 | None = None  # (n,) how much each counts in training; None: all alike

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            raise DataError(
                f"images are {self.images.dtype} {self.images.shape}; "
                "give uint8 (n, channels, height, width)"
            )
        if self.labels.dtype != np.int64 or self.labels.shape != self.images.shape[:1]:
            raise DataError(
                f"labels are {self.labels.dtype} {self.labels.shape}; "
                f"give int64 ({len(self.images)},), one for each picture"
            )
        if self.weights is not None:
            _check_weights(self.weights, len(self.labels))

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training and a test part with where they come from."""

    name: str
    train: Split
    test: Split
    source: str  # the folder or file it was read from
    licence: str
    sha256: Mapping[str, str]  # file name -> SHA-256 of the decompressed bytes
    bundled: bool
    remarks: tuple[str, ...] = ()  # what it is, and what was taken otherwise than it stands there
    val: Split | None = None  # a part of its own to choose by
    preparation: Preparation | None = None  # how its pictures were made of other ones


def is_mapped(images: UInt8) -> bool:
    """Whether these pictures stay in their file, and are read a stretch at a time (``mapped``)."""
    return isinstance(images, np.memmap)


def hold_out(split: Split, fraction: float, seed: int) -> tuple[Split, Split]:
    """The part to train on and the part held out, each in the order of the split.

    The same fraction of every class is held out, rounded; a class with two pictures or more is
    in both parts. Depends on nothing but (labels, fraction, seed).

    Pictures that stay in their file are not copied: they were mixed by class when the file was
    made, and its last ones are held out, whatever the seed.

    Raises DataError unless 0 < fraction < 1, and when no class has two pictures.
    """
    _check_fraction(fraction)
    if is_mapped(split.images):
        kept = len(split) - round(len(split) * fraction)
        how = f"the last {len(split) - kept} as stored"
        return (
            _stretch(split, slice(0, kept), f"{split.identity}; what remains without {how}"),
            _stretch(split, slice(kept, None), f"{split.identity}; {how}"),
        )
    held = rows_held_out(split.labels, len(split.classes), fraction, seed)
    how = f"{float(fraction)!r} held out by class, seed {seed}"
    return (
        _part(split, ~held, f"{split.identity}; what remains, {how}"),
        _part(split, held, f"{split.identity}; {how}"),
    )


def rows_held_out(labels: Int64, classes: int, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Which of the examples with these labels ``hold_out`` holds out, (n,)."""
    _check_fraction(fraction)
    counts = np.bincount(labels, minlength=classes)
    takes = np.clip(np.floor(counts * fraction + 0.5).astype(np.int64), 1, None)
    takes = np.minimum(takes, np.maximum(counts - 1, 0))
    if not takes.any():
        raise DataError(
            f"nothing can be held out of {len(labels)} pictures: no class has two of them"
        )
    return _draw(labels, takes, (seed, 0x76616C))  # "val"


def _check_fraction(fraction: float) -> None:
    if not 0 < fraction < 1:
        raise DataError(
            f"the fraction held out is {fraction}; it must lie between 0 and 1, such as 0.1"
        )


def subset(split: Split, count: int, seed: int) -> Split:
    """That many pictures, each class in its share, in the order of the split.

    Of pictures that stay in their file it is a stretch that the seed chooses, and no copy.

    Raises DataError unless 1 <= count <= len(split).
    """
    if not 1 <= count <= len(split):
        raise DataError(f"cannot take {count} of {len(split)} pictures; take 1 to {len(split)}")
    if is_mapped(split.images):
        start = int(np.random.default_rng((seed, 0x737562)).random() * (len(split) - count + 1))
        how = f"{count} as stored, from {start} on"
        return _stretch(split, slice(start, start + count), f"{split.identity}; {how}")
    counts = np.bincount(split.labels, minlength=len(split.classes))
    takes, remainders = np.divmod(counts * count, len(split))
    # Largest remainders first, so that the shares add up to count.
    takes[np.argsort(-remainders, kind="stable")[: count - takes.sum()]] += 1
    chosen = _draw(split.labels, takes, (seed, 0x737562))  # "sub"
    return _part(split, chosen, f"{split.identity}; {count} drawn by class, seed {seed}")


def _draw(labels: Int64, takes: Int64, seed: tuple[int, int]) -> NDArray[np.bool_]:
    """Which examples: takes[c] of class c."""
    if seed[0] < 0:
        raise DataError(f"the seed is {seed[0]}; it must not be negative")
    # Sorting random() keeps the draw the same under every NumPy; how permutation() draws may
    # change between versions (NEP 19).
    ranks = np.random.default_rng(seed).random(len(labels))
    chosen = np.zeros(len(labels), np.bool_)
    for label, take in enumerate(takes):
        members = np.flatnonzero(labels == label)
        chosen[members[np.argsort(ranks[members], kind="stable")[:take]]] = True
    return chosen


def _part(split: Split, chosen: NDArray[np.bool_], identity: str) -> Split:
    weights = None if split.weights is None else split.weights[chosen]
    return Split(split.images[chosen], split.labels[chosen], split.classes, identity, weights)


def _stretch(split: Split, part: slice, identity: str) -> Split:
    weights = None if split.weights is None else split.weights[part]
    return Split(split.images[part], split.labels[part], split.classes, identity, weights)


def _check_weights(weights: Float32, pictures: int) -> None:
    """Raise DataError unless there is one usable weight a picture."""
    if weights.dtype != np.float32 or weights.shape != (pictures,):
        raise DataError(
            f"weights are {weights.dtype} {weights.shape}; give float32 ({pictures},), one for "
            "each picture"
        )
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(wrong):
        raise DataError(
            f"the weight of picture {wrong[0]} is {weights[wrong[0]]:g}; weights must be finite "
            "and at least 0"
        )
