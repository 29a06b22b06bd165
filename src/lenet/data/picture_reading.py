"""Many picture files made into pictures of one size: looked at first, then read side by side.

What cannot be read is no reason to stop: each such file is kept with its reason.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lenet.data.idx import DataError, UInt8
from lenet.data.picture_files import PictureFileError, open_picture
from lenet.data.picture_pixels import SIDE as SIDE_READ
from lenet.data.picture_pixels import pixels_of
from lenet.data.preparation import Preparation, PreparationError, prepare
from lenet.untrusted import plain

SIDE: Final = 28  # of pictures that differ in size, or are larger than KEPT
KEPT: Final = 64  # pictures of one size up to this side stay as they are
SAMPLED: Final = 300  # files that are opened to choose size and colours
FINER: Final = 4  # times the network's pixels are read of a photograph, before it is prepared
AT_ONCE: Final = 64  # files of one task


@dataclass(eq=False)
class Findings:
    """What was met while files were read: sizes, modes, and those that could not be."""

    sizes: Counter[str] = field(default_factory=Counter)  # "640×480"
    modes: Counter[str] = field(default_factory=Counter)  # "RGB JPEG"
    unreadable: list[tuple[str, str]] = field(default_factory=list)  # a file, and why


def choose_preparation(
    paths: Sequence[Path], size: int | None, channels: int | None, fit: str
) -> Preparation:
    """How these files become pictures of one size, from a sample of them.

    Pictures of one size up to 64×64 keep it, others become 28×28; grey ones are grey, and one with
    colours makes all have three channels. Raises DataError where no file of the sample can be read.
    """
    chosen = np.unique(np.linspace(0, len(paths) - 1, min(SAMPLED, len(paths))).astype(int))
    look, why = Look(), ""
    for at in chosen.tolist():
        try:
            look.take(_pixels(paths[at])[0])
        except PictureFileError as error:
            why = why or str(error)
            continue
        if look.colored and len(look.sizes) > 1:
            break  # nothing more can be learnt
    if not look.sizes:
        raise DataError(f"none of the {len(paths):,} files can be read as a picture: {why}")
    return look.preparation(size, channels, fit)


@dataclass(eq=False)
class Look:
    """What a sample of pictures shows: their sizes, and whether one of them has colours."""

    sizes: set[tuple[int, int]] = field(default_factory=set)
    colored: bool = False

    def take(self, pixels: UInt8) -> None:
        """Look at a picture's pixels, (h, w) or (h, w, 3 or 4)."""
        self.sizes.add((pixels.shape[0], pixels.shape[1]))
        self.colored = self.colored or _is_colored(pixels)

    def preparation(self, size: int | None, channels: int | None, fit: str) -> Preparation:
        """How pictures like these become pictures of one size."""
        height, width = (SIDE, SIDE) if size is None else (size, size)
        if size is None and len(self.sizes) == 1 and max(one := next(iter(self.sizes))) <= KEPT:
            height, width = one
        if channels is None:
            channels = 3 if self.colored else 1
        return Preparation(channels, height, width, fit)


def read_pictures(
    paths: Sequence[Path],
    preparation: Preparation,
    findings: Findings,
    root: Path,
    told: Callable[[int], None] = lambda count: None,
) -> Iterator[tuple[UInt8, NDArray[np.bool_]]]:
    """The pictures of the files, some at a time: (k, c, h, w), and which of them could be read.

    In the order of ``paths``; what could not be read is zero, and in ``findings``, by its path
    from ``root`` on. ``told`` is called with how many files were read since.
    """
    shape = (preparation.channels, preparation.height, preparation.width)

    def read(some: Sequence[Path]) -> tuple[UInt8, NDArray[np.bool_], Findings]:
        made = np.zeros((len(some), *shape), np.uint8)
        good = np.zeros(len(some), np.bool_)
        found = Findings()
        for at, path in enumerate(some):
            try:
                pixels, size, mode = _pixels(path, preparation)
                made[at] = fitted(pixels, preparation)
            except (PictureFileError, PreparationError) as error:
                found.unreadable.append((_from(root, path), _reason(error, path)))
                continue
            good[at] = True
            found.sizes[size] += 1
            found.modes[mode] += 1
        return made, good, found

    from concurrent.futures import ThreadPoolExecutor  # takes a while to load

    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        tasks = (paths[start : start + AT_ONCE] for start in range(0, len(paths), AT_ONCE))
        waiting = [
            pool.submit(read, some) for some, _ in zip(tasks, range(2 * workers), strict=False)
        ]
        while waiting:
            made, good, found = waiting.pop(0).result()
            if (some := next(tasks, None)) is not None:
                waiting.append(pool.submit(read, some))
            findings.sizes += found.sizes
            findings.modes += found.modes
            findings.unreadable += found.unreadable
            told(len(good))
            yield made, good


def _pixels(path: Path, preparation: Preparation | None = None) -> tuple[UInt8, str, str]:
    """A file's pixels, its size and its mode with its format; a photograph's no finer than its
    preparation needs."""
    with open_picture(path) as image:
        size = f"{image.width}×{image.height}"
        mode = f"{image.mode} {image.format}"
        side = SIDE_READ if preparation is None else _enough(image.size, preparation)
        return pixels_of(image, str(path), side), size, mode


def _enough(size: tuple[int, int], preparation: Preparation) -> int:
    """The longer side that a picture of this size is reduced to while it is read."""
    needed = FINER * max(preparation.height, preparation.width)
    factor = 1
    while min(size) // (2 * factor) >= needed:
        factor *= 2
    return min(SIDE_READ, -(-max(size) // factor))


def fitted(pixels: UInt8, preparation: Preparation) -> UInt8:
    """The pixels prepared, (c, h, w); as they are where they have the size already."""
    size = (preparation.height, preparation.width)
    if pixels.shape == size and preparation.channels == 1:
        return pixels[None]
    if pixels.shape == (*size, 3) and preparation.channels == 3:
        return pixels.transpose(2, 0, 1)
    return prepare(pixels, preparation)


def _is_colored(pixels: UInt8) -> bool:
    if pixels.ndim == 2:
        return False
    colors = pixels[:, :, :3].astype(np.int16)
    # a grey JPEG in three channels may differ by a rounding
    return bool((np.ptp(colors, axis=2) > 3).mean() > 0.001)


def _from(root: Path, path: Path) -> str:
    """The path from ``root`` on, as a line can show it."""
    return plain(str(path.relative_to(root) if path.is_relative_to(root) else path))


def _reason(error: Exception, path: Path) -> str:
    return plain(str(error).removeprefix(f"{path}: "))
