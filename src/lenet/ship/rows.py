"""Rows of numbers made into the pictures that a network takes, and how: kept with the classifier.

A network's pixels are bytes. What is uint8 stays as it is; other numbers are spread over 0 to 255
between the least and the greatest that were there to learn from: one range for all pixels of a
picture, one a column for measurements. What comes later and lies beyond is cut off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lenet.data.idx import UInt8

SMALLEST_SIDE: Final = 8  # of a square that a row without a shape is taken for
SCALINGS: Final = ("auto", "picture", "column")

Shape3 = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Pixels:
    """How rows become pictures: their shape, and what 0 and 255 mean."""

    shape: Shape3  # (channels, height, width)
    low: NDArray[np.float64] | None = None  # (1,) or (features,); None: bytes, as they are
    high: NDArray[np.float64] | None = None

    def pictures(self, rows: NDArray[Any]) -> UInt8:
        """The pictures (n, channels, height, width) of rows (n, features)."""
        if self.low is None or self.high is None:
            values = rows if rows.dtype == np.uint8 else np.clip(np.rint(rows), 0, 255)
        else:
            span = np.where(self.high > self.low, self.high - self.low, 1.0)
            scaled = (np.clip(rows.astype(np.float64), self.low, self.high) - self.low) / span
            values = np.rint(255 * scaled)
        return np.ascontiguousarray(values, np.uint8).reshape(-1, *self.shape)


def shape_of(features: int, given: object, seen: tuple[int, ...] | None) -> Shape3:
    """The shape of the pictures that rows of so many numbers are.

    ``given`` is what the person said, (height, width) or (channels, height, width); ``seen`` that
    of an array that was more than rows. Else 784 numbers are 28×28, and 3,072 are 3×32×32; what is
    no square of eight or more is one row of pixels. Raises ValueError where ``given`` does not fit.
    """
    if given is not None:
        sizes = tuple(given) if isinstance(given, tuple | list) else ()
        whole = all(isinstance(n, int | np.integer) and n > 0 for n in sizes)
        if not whole or len(sizes) not in (2, 3) or math.prod(sizes) != features:
            raise ValueError(
                f"image_shape is {given!r:.80}; give (height, width) or (channels, height, width) "
                f"of {features} numbers together"
            )
        channels, height, width = (1, *sizes) if len(sizes) == 2 else sizes
        return int(channels), int(height), int(width)
    if seen is not None:
        return (1, seen[0], seen[1]) if len(seen) == 2 else (seen[0], seen[1], seen[2])
    for channels in (1, 3):
        side = math.isqrt(features // channels)
        if side >= SMALLEST_SIDE and channels * side * side == features:
            return channels, side, side
    return 1, 1, features


def learn_pixels(rows: NDArray[Any], shape: Shape3, scaling: object) -> Pixels:
    """How to make pictures of these rows, and of those that come later.

    ``scaling`` is "picture" (one range), "column" (each its own), "auto" (a picture where it has
    several rows of pixels) or (low, high). Raises ValueError for others.
    """
    if isinstance(scaling, tuple | list) and len(scaling) == 2:
        low, high = (float(value) for value in scaling)
        if not low < high < math.inf or low == -math.inf:
            raise ValueError(f"scaling is {scaling!r:.80}; the first must be below the second")
        return Pixels(shape, np.array([low]), np.array([high]))
    if not isinstance(scaling, str) or scaling not in SCALINGS:
        raise ValueError(
            f"scaling is {scaling!r:.80}; choose from {', '.join(SCALINGS)}, or give (low, high)"
        )
    if rows.dtype == np.uint8 and scaling == "auto":
        return Pixels(shape)
    values = rows.astype(np.float64)
    if scaling == "column" or (scaling == "auto" and shape[:2] == (1, 1)):
        return Pixels(shape, values.min(axis=0), values.max(axis=0))
    return Pixels(shape, np.array([values.min()]), np.array([values.max()]))
