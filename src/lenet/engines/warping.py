"""Pictures rotated, scaled, slanted and bent: the reference of what every engine does.

A coarse grid of displacements says where a picture's values come from. Rotation, scaling and
slanting are exactly a grid that is linear; random displacements bend (Simard et al. 2003). All
arithmetic is of whole numbers, so that every engine makes the same bytes.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

GRID = 5  # points in each direction, over the whole picture, its edges included
UNITS = 256  # a pixel's parts: displacements are whole numbers of them

# A table has a row for each picture. Its columns:
MOVES = 3  # rows down, columns right, mirrored or not
WARP = 2 * GRID * GRID  # where pictures are warped: the grid's displacements in rows, in columns
ERASURE = 5  # where they are painted over: a rectangle's top, left, height, width, and its grey
WIDTHS = (MOVES, MOVES + ERASURE, MOVES + WARP, MOVES + WARP + ERASURE)

T = TypeVar("T")  # an array, or PyTorch's tensor


def parts(table: T) -> tuple[T, T | None, T | None]:
    """A table's moves (n, 3), displacements (n, 50) or None, and rectangles (n, 5) or None."""
    rows: Any = table
    warps = rows.shape[1] >= MOVES + WARP
    end = MOVES + (WARP if warps else 0)
    erases = rows.shape[1] > end
    return rows[:, :MOVES], rows[:, MOVES:end] if warps else None, rows[:, end:] if erases else None


Whole = NDArray[np.int32]  # 32 bits are enough for all that follows


def warp(images: NDArray[np.uint8], displacements: NDArray[np.int16]) -> NDArray[np.uint8]:
    """The pictures (n, c, h, w), each value taken from where the grid points; 0 lies around them.

    ``displacements`` is (n, 2 · GRID · GRID), rows first, in 1/256 of a pixel. Between the points
    of the grid, and between pixels, values are interpolated linearly.
    """
    n, _, height, width = images.shape
    grid: Whole = displacements.reshape(n, 2, GRID, GRID).astype(np.int32)
    (i, y), (j, x) = grid_place(height), grid_place(width)
    rows = between(grid[:, :, i], grid[:, :, i + 1], y[:, None])  # (n, 2, h, GRID), in 1/256²
    moved = rounded(between(rows[..., j], rows[..., j + 1], x))  # (n, 2, h, w), in 1/256
    from_row = np.arange(height, dtype=np.int32)[:, None] * UNITS + moved[:, 0]  # (n, h, w)
    from_column = np.arange(width, dtype=np.int32) * UNITS + moved[:, 1]
    top, left = from_row // UNITS, from_column // UNITS  # rounded down, outside too
    around = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1))).astype(np.int32)
    picture = np.arange(n)[:, None, None]

    def at(row: Whole, column: Whole) -> Whole:
        found = around[picture, :, row.clip(-1, height) + 1, column.clip(-1, width) + 1]
        return np.asarray(found.transpose(3, 0, 1, 2))  # (c, n, h, w)

    y, x = from_row % UNITS, from_column % UNITS
    above = between(at(top, left), at(top, left + 1), x)
    below = between(at(top + 1, left), at(top + 1, left + 1), x)
    return np.asarray(rounded(between(above, below, y)).transpose(1, 0, 2, 3), np.uint8)


def between(before: Whole, after: Whole, way: Whole) -> Whole:
    """So far on the way from one number to the other, in 1/256 of their unit."""
    return np.asarray(before * (UNITS - way) + after * way, np.int32)


def rounded(sums: Whole) -> Whole:
    """To the nearest 1/256, what came out of two interpolations: 1/256² of that."""
    return np.asarray((sums + UNITS * UNITS // 2) // UNITS**2, np.int32)


def grid_place(size: int) -> tuple[Whole, Whole]:
    """For each of a side's pixels the point of the grid before it, and how far it is from there.

    Both (size,); the distance in 1/256 of that to the next point.
    """
    place = np.arange(size, dtype=np.int32) * (GRID - 1) * UNITS // size
    return place // UNITS, place % UNITS
