"""Data sets that are made of a known one: the same pictures at another size.

The networks before 2010 were trained on other sizes than MNIST's 28×28: LeNet-5 on the same
digits in the middle of 32×32, so that the ends of a stroke come to the middle of a 5×5 kernel's
field (LeCun et al. 1998, section II.B); the network of 1989 on 16×16.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lenet.data.idx import UInt8
from lenet.data.split import Dataset, Split


@dataclass(frozen=True)
class Derived:
    """A name, what it is made of, and the side of its pictures."""

    name: str
    base: str
    side: int


DERIVED: Final[Mapping[str, Derived]] = MappingProxyType(
    {one.name: one for one in (Derived("mnist-32", "mnist", 32), Derived("mnist-16", "mnist", 16))}
)


def derive(made: Derived, base: Dataset) -> Dataset:
    """The data set, made of the one it is made of; ``base`` is that of its name."""

    def part(split: Split) -> Split:
        side = split.images.shape[-1]
        images = (framed if made.side > side else shrunk)(split.images, made.side)
        identity = split.identity.replace(f"{made.base}/", f"{made.name}/", 1)
        return replace(split, images=images, identity=identity)

    return replace(base, name=made.name, train=part(base.train), test=part(base.test))


def framed(images: UInt8, side: int) -> UInt8:
    """The pictures (n, c, h, w) in the middle of (n, c, side, side), 0 around them."""
    n, channels, height, width = images.shape
    top, left = (side - height) // 2, (side - width) // 2
    out = np.zeros((n, channels, side, side), np.uint8)
    out[:, :, top : top + height, left : left + width] = images
    return out


def shrunk(images: UInt8, side: int) -> UInt8:
    """The pictures (n, c, h, w) as (n, c, side, side): each pixel the mean of the area under it."""
    n, channels, height, width = images.shape
    rows, columns = area_weights(height, side), area_weights(width, side)
    out = np.empty((n, channels, side, side), np.uint8)
    for start in range(0, n, 1000):  # as float32 all of them would be a few hundred megabytes
        part = images[start : start + 1000].astype(np.float32)
        out[start : start + 1000] = np.rint(rows @ part @ columns.T)
    return out


def area_weights(size: int, side: int) -> NDArray[np.float32]:
    """How much of each of ``size`` pixels lies in each of ``side`` larger ones, (side, size)."""
    edges = np.arange(side + 1) * size / side
    pixel = np.arange(size)
    covered = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    weights: NDArray[np.float32] = (np.maximum(covered, 0) * side / size).astype(np.float32)
    return weights
