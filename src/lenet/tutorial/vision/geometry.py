"""Pictures and tensors resized, padded, cropped and flipped; what all functions on them share.

A tensor is (…, channels, rows, columns). Each function gives torchvision's values to the last bit,
so the order of the operations matters. What PIL can do is left to PIL.
"""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

PAD_MODES = ("constant", "edge", "reflect", "symmetric")


class InterpolationMode(Enum):
    """How a pixel between pixels is computed."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


_PIL_NUMBERS = {
    InterpolationMode.NEAREST: 0,
    InterpolationMode.LANCZOS: 1,
    InterpolationMode.BILINEAR: 2,
    InterpolationMode.BICUBIC: 3,
    InterpolationMode.BOX: 4,
    InterpolationMode.HAMMING: 5,
}
_FROM_NUMBER = {number: mode for mode, number in _PIL_NUMBERS.items()}


def interpolation_of(given: Any) -> Any:
    """The mode that a number of PIL's means; anything else as it is."""
    return _FROM_NUMBER[given] if isinstance(given, int) else given


def checked_interpolation(given: Any) -> InterpolationMode:
    """The mode; TypeError for what is neither a mode nor a number."""
    mode = interpolation_of(given)
    if not isinstance(mode, InterpolationMode):
        raise TypeError(
            "Argument interpolation should be a InterpolationMode or a corresponding Pillow "
            "integer constant"
        )
    return mode


def pil_number(mode: InterpolationMode) -> int:
    """PIL's number of the mode."""
    return _PIL_NUMBERS.get(mode, 0)


# ------------------------------------------------------------------------------ what a picture is


def require_picture(img: Any) -> None:
    """Raises TypeError for what is no PIL picture."""
    if not isinstance(img, Image.Image):
        raise TypeError(f"img should be PIL Image. Got {type(img)}")


def require_tensor_picture(img: Tensor) -> None:
    """Raises TypeError for a tensor without rows and columns."""
    if img.ndim < 2:
        raise TypeError("Tensor is not a torch image.")


def get_dimensions(img: Any) -> list[int]:
    """[channels, height, width] of a picture or tensor."""
    if isinstance(img, Tensor):
        require_tensor_picture(img)
        return [1 if img.ndim == 2 else img.shape[-3], *img.shape[-2:]]
    if isinstance(img, Image.Image):
        return [len(img.getbands()), img.height, img.width]
    raise TypeError(f"Unexpected type {type(img)}")


def get_image_size(img: Any) -> list[int]:
    """[width, height] of a picture or tensor."""
    _, height, width = get_dimensions(img)
    return [width, height]


def get_image_num_channels(img: Any) -> int:
    """The number of channels of a picture or tensor."""
    return get_dimensions(img)[0]


def fill_for(img: Image.Image, fill: Any) -> Any:
    """A value for each band of the picture, as PIL takes it."""
    bands = len(img.getbands())
    whole = img.mode != "F"
    if fill is None:
        fill = 0
    if isinstance(fill, int | float) and bands > 1:
        fill = [fill] * bands
    if isinstance(fill, list | tuple):
        if len(fill) == 1:
            fill = [*fill] * bands
        elif len(fill) != bands:
            raise ValueError(
                "The number of elements in 'fill' does not match the number of channels of the "
                f"image ({len(fill)} != {bands})"
            )
        return tuple(int(value) if whole else value for value in fill)
    return int(fill) if whole else fill


def as_floats(img: Tensor, types: Sequence[torch.dtype]) -> Tensor:
    """A batch (n, channels, rows, columns) of one of these types; the first where it is another."""
    batch = img if img.ndim >= 4 else img.unsqueeze(0)
    return batch if img.dtype in types else batch.to(types[0])


def as_before(batch: Tensor, img: Tensor) -> Tensor:
    """The batch with the dimensions and the type of `img`; whole numbers are rounded."""
    result = batch.squeeze(0) if img.ndim < 4 else batch
    if result.dtype == img.dtype:
        return result
    if img.dtype in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64):
        result = torch.round(result)
    return result.to(img.dtype)


# --------------------------------------------------------------------------------------- resizing


def resized_size(
    height: int, width: int, size: Sequence[int], max_size: int | None
) -> tuple[int, int]:
    """The rows and columns after `resize`; one number is the shorter edge."""
    if len(size) == 2:
        return size[0], size[1]
    shorter, longer = min(height, width), max(height, width)
    short, long = size[0], int(size[0] * longer / shorter)
    if max_size is not None:
        if max_size <= short:
            raise ValueError(
                f"max_size = {max_size} must be strictly greater than the requested "
                f"size for the smaller edge size = {[*size]}"
            )
        if long > max_size:
            short, long = int(max_size * short / long), max_size
    return (long, short) if width <= height else (short, long)


def resize(
    img: Any,
    size: int | Sequence[int],
    interpolation: Any = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """The picture or tensor at another size: (rows, columns), or its shorter edge."""
    mode = checked_interpolation(interpolation)
    sides = [size] if isinstance(size, int) else [*size]
    if len(sides) not in (1, 2):
        raise ValueError(
            f"Size must be an int or a 1 or 2 element tuple/list, not a {len(sides)} element "
            "tuple/list"
        )
    if max_size is not None and len(sides) != 1:
        raise ValueError(
            "max_size should only be passed if size specifies the length of the smaller edge, "
            "i.e. size should be an int or a sequence of length 1 in torchscript mode."
        )
    _, height, width = get_dimensions(img)
    rows, columns = resized_size(height, width, sides, max_size)
    if (rows, columns) == (height, width):
        return img
    if not isinstance(img, Tensor):
        if antialias is False:
            warnings.warn(
                "Anti-alias option is always applied for PIL Image input. Argument antialias is "
                "ignored.",
                stacklevel=2,
            )
        return img.resize((columns, rows), pil_number(mode))
    smooth = mode in (InterpolationMode.BILINEAR, InterpolationMode.BICUBIC)
    resized = torch.nn.functional.interpolate(
        as_floats(img, (torch.float32, torch.float64)),
        size=[rows, columns],
        mode=mode.value,
        align_corners=False if smooth else None,
        antialias=bool(antialias) and smooth,
    )
    if mode is InterpolationMode.BICUBIC and img.dtype == torch.uint8:
        resized = resized.clamp(min=0, max=255)  # a cubic overshoots
    return as_before(resized, img)


# --------------------------------------------------------------------------- padding and cropping


def _borders(padding: Any) -> tuple[int, int, int, int]:
    """Left, top, right, bottom."""
    if isinstance(padding, numbers.Number):
        padding = [padding]
    if not isinstance(padding, list | tuple):
        raise TypeError("Got inappropriate padding arg")
    if len(padding) not in (1, 2, 4):
        raise ValueError(
            f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(padding)} element "
            "tuple"
        )
    left, top, right, bottom = [*padding] * (4 // len(padding))
    return left, top, right, bottom


def pad(img: Any, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Any:
    """The picture or tensor with a border: all sides, (left and right, top and bottom), or
    (left, top, right, bottom); a negative one crops."""
    if not isinstance(padding_mode, str):
        raise TypeError("Got inappropriate padding_mode arg")
    borders = _borders(padding)
    if fill is not None and not isinstance(fill, int | float | list | tuple):
        raise TypeError("Got inappropriate fill arg")
    if padding_mode not in PAD_MODES:
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
    if isinstance(img, Tensor):
        return _padded_tensor(img, borders, fill, padding_mode)
    require_picture(img)
    if padding_mode == "constant":
        padded = ImageOps.expand(img, border=borders, fill=fill_for(img, fill))
    else:
        left, top, right, bottom = borders
        cut = [max(-side, 0) for side in borders]
        if any(cut):
            img = img.crop((cut[0], cut[1], img.width - cut[2], img.height - cut[3]))
        sides: Any = ((max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0)), (0, 0))
        array = np.asarray(img)
        mode: Any = padding_mode
        padded = Image.fromarray(np.pad(array, sides[: array.ndim], mode=mode))
    if img.mode == "P":
        palette = img.getpalette()
        if palette is not None:
            padded.putpalette(palette)
    return padded


def _padded_tensor(img: Tensor, borders: tuple[int, int, int, int], fill: Any, mode: str) -> Tensor:
    require_tensor_picture(img)
    if fill is None:
        fill = 0
    if not isinstance(fill, int | float):
        raise TypeError("Got inappropriate fill arg")
    left, top, right, bottom = borders
    if mode == "symmetric":
        return _mirrored(img, borders)
    sides = [left, right, top, bottom]
    batch = img if img.ndim >= 4 else img.unsqueeze(0)
    if mode == "constant":
        padded = torch.nn.functional.pad(batch, sides, mode="constant", value=float(fill))
    else:
        batch = as_floats(img, (torch.float32, torch.float64))
        padded = torch.nn.functional.pad(
            batch, sides, mode="replicate" if mode == "edge" else "reflect"
        )
    return (padded.squeeze(0) if img.ndim < 4 else padded).to(img.dtype)


def _mirrored(img: Tensor, borders: tuple[int, int, int, int]) -> Tensor:
    """Padded with what lies inside the border, the edge's own row included."""
    left, top, right, bottom = borders
    if img.ndim not in (3, 4):
        raise RuntimeError("Symmetric padding of N-D tensors are not supported yet")
    for dimension, before, after in ((-2, top, bottom), (-1, left, right)):
        kept = img.narrow(
            dimension, max(-before, 0), img.shape[dimension] - max(-before, 0) - max(-after, 0)
        )
        ahead = kept.narrow(dimension, 0, max(before, 0)).flip(dimension)
        length = max(after, 0)
        behind = kept.narrow(dimension, kept.shape[dimension] - length, length).flip(dimension)
        img = torch.cat([ahead, kept, behind], dim=dimension)
    return img


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """The rectangle of the picture or tensor; zero where it reaches beyond."""
    if not isinstance(img, Tensor):
        require_picture(img)
        return img.crop((left, top, left + width, top + height))
    _, rows, columns = get_dimensions(img)
    right, bottom = left + width, top + height
    inside = img[..., max(top, 0) : bottom, max(left, 0) : right]
    if left >= 0 and top >= 0 and right <= columns and bottom <= rows:
        return inside
    beyond = [
        max(-left + min(0, right), 0),
        max(-top + min(0, bottom), 0),
        max(right - max(columns, left), 0),
        max(bottom - max(rows, top), 0),
    ]
    return pad(inside, beyond, fill=0)


def two_sides(
    size: Any, message: str = "Please provide only two dimensions (h, w) for size."
) -> Any:
    """(height, width) from a number or a sequence."""
    if isinstance(size, numbers.Number):
        side: Any = size
        return int(side), int(side)
    if isinstance(size, Sequence) and len(size) == 1:
        return size[0], size[0]
    if len(size) != 2:
        raise ValueError(message)
    return size


def center_crop(img: Any, output_size: Any) -> Any:
    """The middle of the picture or tensor, padded with zeros where it is too small."""
    height, width = two_sides(output_size)
    _, rows, columns = get_dimensions(img)
    wider, higher = max(width - columns, 0), max(height - rows, 0)
    if wider or higher:
        img = pad(img, [wider // 2, higher // 2, (wider + 1) // 2, (higher + 1) // 2], fill=0)
        _, rows, columns = get_dimensions(img)
        if (rows, columns) == (height, width):
            return img
    top, left = round((rows - height) / 2), round((columns - width) / 2)
    return crop(img, top, left, height, width)


def resized_crop(
    img: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """The rectangle, at another size."""
    part = crop(img, top, left, height, width)
    return resize(part, size, interpolation, antialias=antialias)


def five_crop(img: Any, size: Any) -> tuple[Any, ...]:
    """The four corners (upper left, upper right, lower left, lower right) and the middle."""
    height, width = two_sides(size)
    _, rows, columns = get_dimensions(img)
    if width > columns or height > rows:
        raise ValueError(
            f"Requested crop size {(height, width)} is bigger than input size {(rows, columns)}"
        )
    corners = [(y, x) for y in (0, rows - height) for x in (0, columns - width)]
    return (
        *(crop(img, y, x, height, width) for y, x in corners),
        center_crop(img, [height, width]),
    )


def ten_crop(img: Any, size: Any, vertical_flip: bool = False) -> tuple[Any, ...]:
    """`five_crop` of the picture, and of the flipped one."""
    upright = five_crop(img, size)
    return upright + five_crop(vflip(img) if vertical_flip else hflip(img), size)


def hflip(img: Any) -> Any:
    """Left and right exchanged."""
    if isinstance(img, Tensor):
        require_tensor_picture(img)
        return img.flip(-1)
    require_picture(img)
    return img.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def vflip(img: Any) -> Any:
    """Above and below exchanged."""
    if isinstance(img, Tensor):
        require_tensor_picture(img)
        return img.flip(-2)
    require_picture(img)
    return img.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
