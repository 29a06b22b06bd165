"""What values pixels have: brightness, contrast, colour, grey; PIL pictures and tensors.

A tensor is (…, channels, rows, columns). Each function gives torchvision's values to the last bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from lenet.tutorial.vision.geometry import (
    as_before,
    as_floats,
    get_dimensions,
    require_picture,
    require_tensor_picture,
)

_LARGEST = {
    torch.uint8: 255,
    torch.int8: 127,
    torch.int16: 32767,
    torch.uint16: 65535,
    torch.int32: 2147483647,
    torch.int64: 9223372036854775807,
}


def largest(dtype: torch.dtype) -> int:
    """The value of white."""
    return _LARGEST.get(dtype, 1)


def convert_image_dtype(image: Tensor, dtype: torch.dtype = torch.float) -> Tensor:
    """The tensor in another type, its values scaled so that white stays white."""
    if not isinstance(image, Tensor):
        raise TypeError("Input img should be Tensor Image")
    if image.dtype == dtype:
        return image
    if image.is_floating_point():
        if dtype.is_floating_point:
            return image.to(dtype)
        if (dtype == torch.int64 and image.dtype in (torch.float32, torch.float64)) or (
            image.dtype == torch.float32 and dtype == torch.int32
        ):
            raise RuntimeError(
                f"The cast from {image.dtype} to {dtype} cannot be performed safely."
            )
        # a little less than one step more, so that each whole number has an equal share
        return image.mul(float(largest(dtype)) + 1.0 - 1e-3).to(dtype)
    before = float(largest(image.dtype))
    if dtype.is_floating_point:
        return image.to(dtype) / before
    after = float(largest(dtype))
    if before > after:
        fewer = int((before + 1) // (after + 1))
        return torch.div(image, fewer, rounding_mode="floor").to(dtype)
    return image.to(dtype) * int((after + 1) // (before + 1))


def _require_channels(img: Tensor, allowed: list[int]) -> int:
    channels = get_dimensions(img)[0]
    if channels not in allowed:
        raise TypeError(
            f"Input image tensor permitted channel values are {allowed}, but found {channels}"
        )
    return channels


def _require_three_dimensions(img: Tensor) -> None:
    require_tensor_picture(img)
    if img.ndim < 3:
        raise TypeError(
            f"Input image tensor should have at least 3 dimensions, but found {img.ndim}"
        )


def _require_factor(name: str, factor: float) -> None:
    if factor < 0:
        raise ValueError(f"{name} ({factor}) is not non-negative.")


def _blend(img: Tensor, other: Tensor, share: float) -> Tensor:
    share = float(share)
    mixed = share * img + (1.0 - share) * other
    return mixed.clamp(0, largest(img.dtype)).to(img.dtype)


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """0 is black, 1 the picture as it is."""
    if not isinstance(img, Tensor):
        require_picture(img)
        return ImageEnhance.Brightness(img).enhance(brightness_factor)
    _require_factor("brightness_factor", brightness_factor)
    _require_channels(img, [1, 3])
    return _blend(img, torch.zeros_like(img), brightness_factor)


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """0 is grey, 1 the picture as it is."""
    if not isinstance(img, Tensor):
        require_picture(img)
        return ImageEnhance.Contrast(img).enhance(contrast_factor)
    _require_factor("contrast_factor", contrast_factor)
    channels = _require_channels(img, [3, 1])
    grey = rgb_to_grayscale(img) if channels == 3 else img
    dtype = img.dtype if img.is_floating_point() else torch.float32
    mean = torch.mean(grey.to(dtype), dim=(-3, -2, -1), keepdim=True)
    return _blend(img, mean, contrast_factor)


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """0 is without colour, 1 the picture as it is."""
    if not isinstance(img, Tensor):
        require_picture(img)
        return ImageEnhance.Color(img).enhance(saturation_factor)
    _require_factor("saturation_factor", saturation_factor)
    if _require_channels(img, [1, 3]) == 1:
        return img
    return _blend(img, rgb_to_grayscale(img), saturation_factor)


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """The colours moved along the circle of hues, by -0.5 to 0.5 of it."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    if not isinstance(img, Tensor):
        require_picture(img)
        if img.mode in {"L", "1", "I", "F"}:
            return img
        hue, saturation, value = img.convert("HSV").split()
        moved = np.array(hue, np.uint8) + np.int32(hue_factor * 255).astype(np.uint8)  # wraps
        bands = (Image.fromarray(moved), saturation, value)
        return Image.merge("HSV", bands).convert(img.mode)
    if _require_channels(img, [1, 3]) == 1:
        return img
    h, s, v = _hue_saturation_value(convert_image_dtype(img, torch.float32))
    return convert_image_dtype(_red_green_blue((h + hue_factor) % 1.0, s, v), img.dtype)


def _hue_saturation_value(img: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    r, g, b = img.unbind(dim=-3)
    high, low = img.amax(dim=-3), img.amin(dim=-3)
    grey, one = high == low, torch.ones_like(high)
    saturation = (high - low) / torch.where(grey, one, high)
    range_ = torch.where(grey, one, high - low)
    rc, gc, bc = ((high - channel) / range_ for channel in (r, g, b))
    red = high == r
    green = (high == g) & ~red
    blue = (high != g) & ~red
    h = red * (bc - gc) + green * (2.0 + rc - bc) + blue * (4.0 + gc - rc)
    return torch.fmod(h / 6.0 + 1.0, 1.0), saturation, high


def _red_green_blue(h: Tensor, s: Tensor, v: Tensor) -> Tensor:
    sector = torch.floor(h * 6.0)
    f = h * 6.0 - sector
    p, q, t = (torch.clamp(v * (1.0 - part), 0.0, 1.0) for part in (s, s * f, s * (1.0 - f)))
    which = (sector.to(torch.int32) % 6).to(torch.int64).unsqueeze(-3)
    channels = ((v, q, p, p, t, v), (t, v, v, q, p, p), (p, p, t, v, v, q))
    values = [torch.stack(channel, dim=-3).gather(-3, which) for channel in channels]
    return torch.cat(values, dim=-3)


def adjust_gamma(img: Any, gamma: float, gain: float = 1) -> Any:
    """Values (0 to 1) to the power of gamma, times gain."""
    if not isinstance(img, Tensor):
        require_picture(img)
        if gamma < 0:
            raise ValueError("Gamma should be a non-negative real number")
        table = [int((256 - 1e-3) * gain * pow(value / 255.0, gamma)) for value in range(256)]
        return img.convert("RGB").point(table * 3).convert(img.mode)
    _require_channels(img, [1, 3])
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    floats = img if img.is_floating_point() else convert_image_dtype(img, torch.float32)
    return convert_image_dtype((gain * floats.pow(gamma)).clamp(0, 1), img.dtype)


def to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """The PIL picture in grey, with one channel or three."""
    if not isinstance(img, Image.Image):
        raise TypeError("Input should be PIL Image")
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    grey = img.convert("L")
    if num_output_channels == 1:
        return grey
    return Image.fromarray(np.dstack([np.asarray(grey)] * 3))


def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """The picture or tensor (3 channels, or 1) in grey, with one channel or three."""
    if not isinstance(img, Tensor):
        require_picture(img)
        return to_grayscale(img, num_output_channels)
    _require_three_dimensions(img)
    _require_channels(img, [1, 3])
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    if img.shape[-3] == 3:
        r, g, b = img.unbind(dim=-3)
        grey = (0.2989 * r + 0.587 * g + 0.114 * b).to(img.dtype).unsqueeze(-3)
    else:
        grey = img.clone()
    return grey.expand(img.shape) if num_output_channels == 3 else grey


def invert(img: Any) -> Any:
    """White for black."""
    if not isinstance(img, Tensor):
        require_picture(img)
        return ImageOps.invert(img)
    _require_three_dimensions(img)
    _require_channels(img, [1, 3])
    return largest(img.dtype) - img


def posterize(img: Any, bits: int) -> Any:
    """The picture or uint8 tensor with its first `bits` bits alone."""
    if not 0 <= bits <= 8:
        raise ValueError(f"The number if bits should be between 0 and 8. Got {bits}")
    if not isinstance(img, Tensor):
        require_picture(img)
        return ImageOps.posterize(img, bits)
    _require_three_dimensions(img)
    if img.dtype != torch.uint8:
        raise TypeError(f"Only torch.uint8 image tensors are supported, but found {img.dtype}")
    _require_channels(img, [1, 3])
    return img & -int(2 ** (8 - bits))


def solarize(img: Any, threshold: float) -> Any:
    """The values from the threshold on inverted."""
    if not isinstance(img, Tensor):
        require_picture(img)
        return ImageOps.solarize(img, threshold)  # type: ignore[arg-type]
    _require_three_dimensions(img)
    if threshold > largest(img.dtype):
        raise TypeError("Threshold should be less than bound of img.")
    return torch.where(img >= threshold, invert(img), img)


def adjust_sharpness(img: Any, sharpness_factor: float) -> Any:
    """0 is blurred, 1 the picture as it is, 2 sharper."""
    if not isinstance(img, Tensor):
        require_picture(img)
        return ImageEnhance.Sharpness(img).enhance(sharpness_factor)
    _require_factor("sharpness_factor", sharpness_factor)
    _require_channels(img, [1, 3])
    if min(img.shape[-2:]) <= 2:
        return img
    dtype = img.dtype if img.is_floating_point() else torch.float32
    kernel = torch.ones((3, 3), dtype=dtype, device=img.device)
    kernel[1, 1] = 5.0
    kernel /= kernel.sum()
    inner = torch.nn.functional.conv2d(
        as_floats(img, (dtype,)), kernel.expand(img.shape[-3], 1, 3, 3), groups=img.shape[-3]
    )
    blurred = img.clone()
    blurred[..., 1:-1, 1:-1] = as_before(inner, img)
    return _blend(img, blurred, sharpness_factor)


def autocontrast(img: Any) -> Any:
    """Each channel's values stretched from black to white."""
    if not isinstance(img, Tensor):
        require_picture(img)
        return ImageOps.autocontrast(img)
    _require_three_dimensions(img)
    _require_channels(img, [1, 3])
    white = largest(img.dtype)
    dtype = img.dtype if img.is_floating_point() else torch.float32
    low = img.amin(dim=(-2, -1), keepdim=True).to(dtype)
    high = img.amax(dim=(-2, -1), keepdim=True).to(dtype)
    scale = white / (high - low)
    flat = torch.isfinite(scale).logical_not()
    low[flat], scale[flat] = 0, 1
    return ((img - low) * scale).clamp(0, white).to(img.dtype)


def equalize(img: Any) -> Any:
    """Each channel's values spread so that all are about equally frequent (uint8)."""
    if not isinstance(img, Tensor):
        require_picture(img)
        return ImageOps.equalize(img)
    require_tensor_picture(img)
    if img.ndim not in (3, 4):
        raise TypeError(f"Input image tensor should have 3 or 4 dimensions, but found {img.ndim}")
    if img.dtype != torch.uint8:
        raise TypeError(f"Only torch.uint8 image tensors are supported, but found {img.dtype}")
    _require_channels(img, [1, 3])
    planes = img.reshape(-1, *img.shape[-2:])
    return torch.stack([_equalized(plane) for plane in planes]).reshape(img.shape)


def _equalized(plane: Tensor) -> Tensor:
    counts = torch.bincount(plane.reshape(-1), minlength=256)
    step = torch.div(counts[counts != 0][:-1].sum(), 255, rounding_mode="floor")
    if step == 0:
        return plane
    half = torch.div(step, 2, rounding_mode="floor")
    table = torch.div(torch.cumsum(counts, 0) + half, step, rounding_mode="floor")
    table = torch.nn.functional.pad(table, [1, 0])[:-1].clamp(0, 255)
    return table[plane.to(torch.int64)].to(torch.uint8)
