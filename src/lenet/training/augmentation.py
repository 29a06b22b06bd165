"""How the pictures of an epoch are changed: drawn here, done by the engines."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lenet.engines.warping import ERASURE, GRID, MOVES, UNITS, WARP
from lenet.optimization import Augmentation

CHUNK = 4096  # pictures whose grids are made at once
FARTHEST = 32_767  # of a point: the table is int16, so 128 pixels


def draw_changes(
    random: np.random.Generator, augmentation: Augmentation, count: int, size: tuple[int, int]
) -> NDArray[np.int16] | None:
    """The change of each of an epoch's pictures, (count, columns) int16; None where none changes.

    There are 3 columns for shifts and mirroring, 50 more where pictures are warped, and 5 more
    where they are painted over: ``engines.warping`` says what each is. ``size`` is the pictures'
    height and width in pixels. In which order things are drawn stands in docs/randomness.md.
    """
    shift, flip, warps = augmentation.shift, augmentation.flip, augmentation.warps
    if not shift and not flip and not warps and not augmentation.erase:
        return None
    end = MOVES + (WARP if warps else 0)
    table = np.zeros((count, end + (ERASURE if augmentation.erase else 0)), np.int16)
    if shift or flip:
        table[:, :2] = random.integers(-shift, shift, (count, 2), endpoint=True)
    if flip:
        table[:, 2] = random.integers(0, 2, count)
    for start in range(0, count if warps else 0, CHUNK):
        part = table[start : start + CHUNK, MOVES:end]
        part[...] = draw_grids(random, augmentation, len(part), size)
    if augmentation.erase:
        table[:, end:] = draw_rectangles(random, augmentation.erase, count, size)
    return table


def draw_rectangles(
    random: np.random.Generator, erase: float, count: int, size: tuple[int, int]
) -> NDArray[np.int64]:
    """So many rectangles, (count, 5): top, left, height, width in pixels, a grey from 0 to 255.

    A side is of any length up to the share ``erase`` of the picture's (Zhong et al. 2017 draw the
    area and the sides' ratio), the rectangle anywhere inside.
    """
    sides = np.array(size)
    lengths = random.integers(0, np.rint(sides * erase), (count, 2), endpoint=True)
    corners = random.integers(0, sides - lengths, endpoint=True)
    greys = random.integers(0, 255, (count, 1), endpoint=True)
    return np.hstack([corners, lengths, greys])


def draw_grids(
    random: np.random.Generator, augmentation: Augmentation, count: int, size: tuple[int, int]
) -> NDArray[np.int16]:
    """Displacements of the points of so many grids, (count, 50) int16, in 1/256 of a pixel.

    A point says where its picture's value comes from: 25 rows down, then 25 columns right. Bending
    is that of Simard et al. 2003, on a coarse grid. No sine or exponential is taken of what is
    drawn, since libraries round these differently: every machine draws the same pictures.
    """
    drawn = random.uniform(-1, 1, (4, count, 1, 1))
    rows, columns = (np.arange(GRID) * side / (GRID - 1) - (side - 1) / 2 for side in size)
    rows, columns = np.broadcast_arrays(rows[:, None], columns)  # (GRID, GRID) from the middle
    half = drawn[0] * _tangent(augmentation.rotate / 2)
    cosine, sine = (1 - half * half) / (1 + half * half), 2 * half / (1 + half * half)
    # larger by 1 + s, or smaller by as much: the source is nearer to the middle, or farther
    reach = drawn[1:3] * augmentation.scale
    height, width = np.where(reach > 0, 1 + reach, 1 / (1 - reach))
    slant = drawn[3] * _tangent(augmentation.shear)
    found = np.empty((count, 2, GRID, GRID))
    found[:, 0] = (cosine * rows + sine * columns) * height - rows
    found[:, 1] = (cosine * columns - sine * rows) * width + slant * rows - columns
    if augmentation.elastic:
        found += augmentation.elastic * random.standard_normal(found.shape)
    whole = np.rint(found * UNITS).clip(-FARTHEST, FARTHEST)
    return np.asarray(whole.reshape(count, -1), np.int16)


def _tangent(degrees: float) -> float:
    """The tangent of an angle, rounded so that every library says the same."""
    return round(math.tan(math.radians(degrees)) * 2**24) / 2**24
