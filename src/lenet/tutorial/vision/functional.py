"""`torchvision.transforms.functional`: pictures and tensors in and out, and what changes them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lenet.tutorial.vision.colour import (
    adjust_brightness,
    adjust_contrast,
    adjust_gamma,
    adjust_hue,
    adjust_saturation,
    adjust_sharpness,
    autocontrast,
    convert_image_dtype,
    equalize,
    invert,
    posterize,
    rgb_to_grayscale,
    solarize,
    to_grayscale,
)
from lenet.tutorial.vision.geometry import (
    InterpolationMode,
    as_before,
    as_floats,
    center_crop,
    crop,
    five_crop,
    get_dimensions,
    get_image_num_channels,
    get_image_size,
    hflip,
    pad,
    require_tensor_picture,
    resize,
    resized_crop,
    ten_crop,
    vflip,
)
from lenet.tutorial.vision.warping import affine, elastic_transform, perspective, rotate

__all__ = [
    "InterpolationMode",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_gamma",
    "adjust_hue",
    "adjust_saturation",
    "adjust_sharpness",
    "affine",
    "autocontrast",
    "center_crop",
    "convert_image_dtype",
    "crop",
    "elastic_transform",
    "equalize",
    "erase",
    "five_crop",
    "gaussian_blur",
    "get_dimensions",
    "get_image_num_channels",
    "get_image_size",
    "hflip",
    "invert",
    "normalize",
    "pad",
    "perspective",
    "pil_to_tensor",
    "posterize",
    "resize",
    "resized_crop",
    "rgb_to_grayscale",
    "rotate",
    "solarize",
    "ten_crop",
    "to_grayscale",
    "to_pil_image",
    "to_tensor",
    "vflip",
]

_SHORT = "I;16" if sys.byteorder == "little" else "I;16B"
_TYPES: dict[str, Any] = {"I": np.int32, "F": np.float32, _SHORT: np.int16}
_MODES = {"uint8": "L", "int16": _SHORT, "int32": "I", "float32": "F"}  # of one channel
_SEVERAL = {2: ["LA"], 3: ["RGB", "YCbCr", "HSV"], 4: ["RGBA", "CMYK", "RGBX"]}


def to_tensor(pic: Any) -> Tensor:
    """A picture or array (rows, columns, channels) as a tensor (channels, rows, columns).

    uint8 becomes 0 to 1 in the default floating type; other types keep their values.
    """
    if isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        array = pic if pic.ndim == 3 else pic[:, :, None]
    elif isinstance(pic, Image.Image):
        array = np.array(pic, _TYPES.get(pic.mode, np.uint8), copy=True)
        array = array.reshape(pic.size[1], pic.size[0], len(pic.getbands()))
        if pic.mode == "1":
            array = array * np.uint8(255)
    else:
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    return scaled(torch.from_numpy(array.transpose(2, 0, 1)).contiguous())


def scaled(tensor: Tensor) -> Tensor:
    """uint8 as 0 to 1 in the default floating type, anything else as it is."""
    if tensor.dtype != torch.uint8:
        return tensor
    return tensor.to(torch.get_default_dtype()).div(255)


def pil_to_tensor(pic: Any) -> Tensor:
    """A picture as a tensor (channels, rows, columns) of its own type and values."""
    if not isinstance(pic, Image.Image):
        raise TypeError(f"pic should be PIL Image. Got {type(pic)}")
    array = np.array(pic, copy=True).reshape(pic.size[1], pic.size[0], len(pic.getbands()))
    return torch.as_tensor(array).permute(2, 0, 1)


def to_pil_image(pic: Any, mode: str | None = None) -> Image.Image:
    """A tensor (channels, rows, columns) or array (rows, columns, channels) as a picture.

    Floats are 0 to 1, unless the mode is "F".
    """
    if isinstance(pic, Tensor):
        array = (pic.permute(1, 2, 0) if pic.ndim == 3 else pic).numpy(force=True)
    elif isinstance(pic, np.ndarray):
        array = pic
    else:
        raise TypeError(f"pic should be Tensor or ndarray. Got {type(pic)}.")
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3:
        raise ValueError(f"pic should be 2/3 dimensional. Got {array.ndim} dimensions.")
    channels = array.shape[2]
    if channels > 4:
        raise ValueError(f"pic should not have > 4 channels. Got {channels} channels.")
    if np.issubdtype(array.dtype, np.floating) and mode != "F":
        array = (array * 255).astype(np.uint8)
    if channels == 1:
        expected = _MODES.get(array.dtype.name)
        if mode is not None and mode != expected:
            raise ValueError(
                f"Incorrect mode ({mode}) supplied for input type {array.dtype}. "
                f"Should be {expected}"
            )
        mode, array = expected, array[:, :, 0]
    else:
        allowed = _SEVERAL.get(channels, _SEVERAL[3])
        if mode is not None and mode not in allowed:
            raise ValueError(f"Only modes {allowed} are supported for {channels}D inputs")
        if mode is None and array.dtype == np.uint8:
            mode = allowed[0]
    if mode is None:
        raise TypeError(f"Input type {array.dtype} is not supported")
    return picture_of(array, mode)


def picture_of(array: np.ndarray[Any, Any], mode: str) -> Image.Image:
    """The array's bytes as a picture of that mode, whatever the array's type."""
    size = (array.shape[1] if array.ndim > 1 else 1, array.shape[0])
    return Image.frombytes(mode, size, array.tobytes()[: _bytes(mode, size)])


def _bytes(mode: str, size: tuple[int, int]) -> int:
    bands = {"LA": 2, "RGB": 3, "YCbCr": 3, "HSV": 3, "I": 4, "F": 4, "RGBA": 4, "CMYK": 4}
    return size[0] * size[1] * {**bands, "RGBX": 4, "I;16": 2, "I;16B": 2}.get(mode, 1)


def normalize(
    tensor: Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool = False
) -> Tensor:
    """A float tensor (…, channels, rows, columns) less each channel's mean, over its deviation."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
    require_tensor_picture(tensor)
    if not tensor.is_floating_point():
        raise TypeError(f"Input tensor should be a float tensor. Got {tensor.dtype}.")
    if tensor.ndim < 3:
        raise ValueError(
            "Expected tensor to be a tensor image of size (..., C, H, W). Got tensor.size() = "
            f"{tensor.size()}"
        )
    if not inplace:
        tensor = tensor.clone()
    mean_, std_ = (
        torch.as_tensor(values, dtype=tensor.dtype, device=tensor.device) for values in (mean, std)
    )
    if (std_ == 0).any():
        raise ValueError(
            f"std evaluated to zero after conversion to {tensor.dtype}, leading to division by "
            "zero."
        )
    mean_, std_ = (v.view(-1, 1, 1) if v.ndim == 1 else v for v in (mean_, std_))
    return tensor.sub_(mean_).div_(std_)


def erase(img: Tensor, i: int, j: int, h: int, w: int, v: Tensor, inplace: bool = False) -> Tensor:
    """The tensor with the rectangle from row i and column j on set to v."""
    if not isinstance(img, Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(img)}")
    require_tensor_picture(img)
    if not inplace:
        img = img.clone()
    img[..., i : i + h, j : j + w] = v
    return img


def gaussian_blur(img: Any, kernel_size: Any, sigma: Any = None) -> Any:
    """The picture or tensor blurred; `kernel_size` (columns, rows) and `sigma` (x, y) in pixels."""
    if not isinstance(kernel_size, int | list | tuple):
        raise TypeError(
            f"kernel_size should be int or a sequence of integers. Got {type(kernel_size)}"
        )
    sides = [kernel_size] * 2 if isinstance(kernel_size, int) else [*kernel_size]
    if len(sides) != 2:
        raise ValueError(f"If kernel_size is a sequence its length should be 2. Got {len(sides)}")
    if any(side % 2 == 0 or side < 0 for side in sides):
        raise ValueError(f"kernel_size should have odd and positive integers. Got {sides}")
    if sigma is None:
        sigma = [side * 0.15 + 0.35 for side in sides]
    if not isinstance(sigma, int | float | list | tuple):
        raise TypeError(f"sigma should be either float or sequence of floats. Got {type(sigma)}")
    sigmas = [float(sigma)] if isinstance(sigma, int | float) else [*sigma]
    if len(sigmas) == 1:
        sigmas *= 2
    if len(sigmas) != 2:
        raise ValueError(f"If sigma is a sequence, its length should be 2. Got {len(sigmas)}")
    if min(sigmas) <= 0.0:
        raise ValueError(f"sigma should have positive values. Got {sigmas}")
    if isinstance(img, Tensor):
        require_tensor_picture(img)
        return _blurred(img, sides, sigmas)
    if not isinstance(img, Image.Image):
        raise TypeError(f"img should be PIL Image or Tensor. Got {type(img)}")
    return to_pil_image(_blurred(pil_to_tensor(img), sides, sigmas), mode=img.mode)


def _blurred(img: Tensor, sides: list[int], sigmas: list[float]) -> Tensor:
    dtype = img.dtype if img.is_floating_point() else torch.float32
    across, down = (
        _bell(side, sigma, dtype, img.device) for side, sigma in zip(sides, sigmas, strict=True)
    )
    kernel = torch.mm(down[:, None], across[None, :])
    channels = img.shape[-3]
    border = [sides[0] // 2, sides[0] // 2, sides[1] // 2, sides[1] // 2]
    wide = torch.nn.functional.pad(as_floats(img, (dtype,)), border, mode="reflect")
    blurred = torch.nn.functional.conv2d(
        wide, kernel.expand(channels, 1, *kernel.shape), groups=channels
    )
    return as_before(blurred, img)


def _bell(side: int, sigma: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    half = (side - 1) * 0.5
    x = torch.linspace(-half, half, steps=side, dtype=dtype, device=device)
    bell = torch.exp(-0.5 * (x / sigma).pow(2))
    return bell / bell.sum()
