"""A picture's file as pixels: of any mode, 8 bits a channel, upright, and never larger than needed.

A photograph is reduced while it is read: the mean of blocks, so that its longer side has at most
1,024 pixels, as the page does. No network here looks at more, and the memory stays small.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from lenet.data.idx import UInt8
from lenet.data.picture_files import PictureFileError, decoded, open_picture

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE: Final = 1024
BAND: Final = 64  # rows, of the reduced picture, that are made at once
ORIENTATION: Final = 0x0112  # in EXIF
_TURNS: Final = {  # what makes it upright: whether rows and columns are exchanged first, then flips
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def read_pixels(path: Path) -> UInt8:
    """The pixels of a picture's file: (h, w) where it is grey, else (h, w, 3), or with opacity
    (h, w, 4). Raises PictureFileError, naming the file."""
    with open_picture(path) as image:
        return _pixels(image, str(path))


def pixels_of_file(file: BinaryIO, name: str) -> UInt8:
    """The pixels in an open file, as ``read_pixels`` gives them; ``name`` is for messages."""
    with decoded(file, name) as image:
        return _pixels(image, name)


def pixels_of(image: Image, name: str = "the picture", side: int = SIDE) -> UInt8:
    """The pixels of Pillow's picture, as ``read_pixels`` gives them. Raises PictureFileError.

    The longer side has at most ``side`` pixels.
    """
    return _pixels(image, name, side)


def _pixels(image: Image, name: str, side: int = SIDE) -> UInt8:
    factor = max(1, -(-max(image.size) // side))
    width, height = (-(-length // factor) for length in image.size)
    scale = next(power for power in (8, 4, 2, 1) if factor % power == 0)
    if scale > 1:
        # a JPEG can be decoded smaller: four times as fast, or more; others stay as they are
        image.draft(None, (image.width // scale, image.height // scale))
    image.load()
    if (-(-image.width // (factor // scale)), -(-image.height // (factor // scale))) == (
        width,
        height,
    ):
        factor //= scale
    scaling = _range_of(image, name)
    bands = []
    for top in range(0, image.height, BAND * factor):
        box = (0, top, image.width, min(top + BAND * factor, image.height))
        band = _with_8_bits(image if box[3] - top == image.height else image.crop(box), scaling)
        bands.append(np.asarray(band.reduce(factor) if factor > 1 else band))
    pixels = bands[0] if len(bands) == 1 else np.concatenate(bands)
    return _upright(pixels, _orientation(image))


def _with_8_bits(image: Image, scaling: float) -> Image:
    """The picture as L, RGB or RGBA."""
    from PIL import Image as images

    if image.mode.startswith(("I", "F")):
        values = np.asarray(image).astype(np.float64) * scaling
        return images.fromarray(np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8))
    if image.mode in ("LA", "La", "PA", "RGBa") or "transparency" in image.info:
        return image.convert("RGBA")
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in ("L", "RGB", "RGBA") else image.convert("RGB")


def _range_of(image: Image, name: str) -> float:
    """What the values of a picture with more than 8 bits are multiplied by. Raises
    PictureFileError where they go beyond what pictures have."""
    if image.mode.startswith("I;16"):
        return 255 / 65535
    if image.mode not in ("I", "F"):
        return 1.0
    least, most = (float(value) for value in image.getextrema())  # type: ignore[arg-type]
    if image.mode == "F" and 0 <= least <= most <= 1:
        return 255.0
    if 0 <= least <= most <= 255 and image.mode == "F":
        return 1.0
    if 0 <= least <= most <= 65535 and image.mode == "I":
        return 255 / 65535
    raise PictureFileError(
        f"{name}: its values go from {least:g} to {most:g}; give a picture with values from 0 to "
        "255, from 0 to 65,535, or, where they are no whole numbers, from 0 to 1"
    )


def _orientation(image: Image) -> int:
    """How the camera was held, 1 to 8; 1 where the file does not say."""
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except Exception:  # a damaged block: struct.error, KeyError, … all mean that it says nothing
        return 1
    return found if isinstance(found, int) and found in _TURNS else 1


def _upright(pixels: NDArray[np.uint8], orientation: int) -> UInt8:
    exchanged, down, across = _TURNS[orientation]
    if exchanged:
        pixels = pixels.swapaxes(0, 1)
    if down:
        pixels = pixels[::-1]
    if across:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
