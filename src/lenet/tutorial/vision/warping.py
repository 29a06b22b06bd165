"""Pictures and tensors turned, sheared, seen from the side, displaced.

A tensor is (…, channels, rows, columns). Each function gives torchvision's values to the last bit,
so the order of the operations matters. What PIL can do is left to PIL.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from lenet.tutorial.vision.geometry import (
    InterpolationMode,
    as_before,
    as_floats,
    checked_interpolation,
    fill_for,
    get_dimensions,
    get_image_size,
    pil_number,
    require_picture,
)


def _inverse_matrix(
    center: Sequence[float],
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: Sequence[float],
) -> list[float]:
    """Six numbers that map a place in the result to the place in the picture it comes from."""
    turn, shear_x, shear_y = (math.radians(value) for value in (angle, *shear))
    a = math.cos(turn - shear_y) / math.cos(shear_y)
    b = -math.cos(turn - shear_y) * math.tan(shear_x) / math.cos(shear_y) - math.sin(turn)
    c = math.sin(turn - shear_y) / math.cos(shear_y)
    d = -math.sin(turn - shear_y) * math.tan(shear_x) / math.cos(shear_y) + math.cos(turn)
    # a, b, c, d have determinant 1: the inverse needs no division but that by the scale
    m = [value / scale for value in (d, -b, 0.0, -c, a, 0.0)]
    x, y = (-middle - shift for middle, shift in zip(center, translate, strict=True))
    m[2] += m[0] * x + m[1] * y
    m[5] += m[3] * x + m[4] * y
    m[2] += center[0]
    m[5] += center[1]
    return m


def _from_the_middle(img: Tensor, center: Sequence[float] | None) -> list[float]:
    if center is None:
        return [0.0, 0.0]
    sides = get_image_size(img)
    return [1.0 * (c - side * 0.5) for c, side in zip(center, sides, strict=True)]


def _require_angle(angle: Any) -> None:
    if not isinstance(angle, int | float):
        raise TypeError("Argument angle should be int or float")


def _require_center(center: Any) -> None:
    if center is not None and not isinstance(center, list | tuple):
        raise TypeError("Argument center should be a sequence")


def rotate(
    img: Any,
    angle: float,
    interpolation: Any = InterpolationMode.NEAREST,
    expand: bool = False,
    center: Any = None,
    fill: Any = None,
) -> Any:
    """The picture or tensor turned counter-clockwise by `angle` degrees."""
    mode = checked_interpolation(interpolation)
    _require_angle(angle)
    _require_center(center)
    if not isinstance(img, Tensor):
        require_picture(img)
        resample: Any = pil_number(mode)
        return img.rotate(angle, resample, expand, center, fillcolor=fill_for(img, fill))
    matrix = _inverse_matrix(_from_the_middle(img, center), -angle, [0.0, 0.0], 1.0, [0.0, 0.0])
    _check_warp(img, mode, fill)
    rows, columns = img.shape[-2:]
    size = _turned_size(matrix, rows, columns) if expand else (rows, columns)
    return _warp(img, _affine_grid(img, matrix, size), mode, fill)


def affine(
    img: Any,
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: Any,
    interpolation: Any = InterpolationMode.NEAREST,
    fill: Any = None,
    center: Any = None,
) -> Any:
    """The picture or tensor turned clockwise (degrees), moved (pixels), scaled and sheared."""
    mode = checked_interpolation(interpolation)
    _require_angle(angle)
    if not isinstance(translate, list | tuple):
        raise TypeError("Argument translate should be a sequence")
    if len(translate) != 2:
        raise ValueError("Argument translate should be a sequence of length 2")
    if scale <= 0.0:
        raise ValueError("Argument scale should be positive")
    if not isinstance(shear, int | float | list | tuple):
        raise TypeError("Shear should be either a single value or a sequence of two values")
    both = [shear, 0.0] if isinstance(shear, int | float) else [*shear]
    if len(both) == 1:
        both *= 2
    if len(both) != 2:
        raise ValueError(f"Shear should be a sequence containing two values. Got {both}")
    _require_center(center)
    _, height, width = get_dimensions(img)
    if not isinstance(img, Tensor):
        middle = center if center is not None else [width * 0.5, height * 0.5]
        return _transformed(
            img,
            Image.Transform.AFFINE,
            _inverse_matrix(middle, angle, translate, scale, both),
            mode,
            fill,
        )
    middle = _from_the_middle(img, center)
    matrix = _inverse_matrix(middle, angle, [1.0 * t for t in translate], scale, both)
    _check_warp(img, mode, fill)
    rows, columns = img.shape[-2:]
    return _warp(img, _affine_grid(img, matrix, (rows, columns)), mode, fill)


def perspective(
    img: Any,
    startpoints: Sequence[Sequence[int]],
    endpoints: Sequence[Sequence[int]],
    interpolation: Any = InterpolationMode.BILINEAR,
    fill: Any = None,
) -> Any:
    """The picture or tensor with its four `startpoints` (x, y) moved to the `endpoints`."""
    numbers_ = _perspective_numbers(startpoints, endpoints)
    mode = checked_interpolation(interpolation)
    if not isinstance(img, Tensor):
        require_picture(img)
        return _transformed(img, Image.Transform.PERSPECTIVE, numbers_, mode, fill)
    _check_warp(img, mode, fill)
    return _warp(img, _perspective_grid(img, numbers_), mode, fill)


def _transformed(
    img: Image.Image, how: Any, numbers_: list[float], mode: InterpolationMode, fill: Any
) -> Image.Image:
    resample: Any = pil_number(mode)
    return img.transform(img.size, how, numbers_, resample, fillcolor=fill_for(img, fill))


def _perspective_numbers(starts: Sequence[Any], ends: Sequence[Any]) -> list[float]:
    """Eight numbers of the map from the result's places to the picture's."""
    if len(starts) != 4 or len(ends) != 4:
        raise ValueError(
            f"Please provide exactly four corners, got {len(starts)} startpoints and "
            f"{len(ends)} endpoints."
        )
    rows: list[list[float]] = []
    for (x, y), (u, v) in zip(ends, starts, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    left = torch.tensor(rows, dtype=torch.float64)
    right = torch.tensor([[*point] for point in starts], dtype=torch.float64).view(8)
    solution = torch.linalg.lstsq(left, right, driver="gels").solution
    found: list[float] = solution.to(torch.float32).tolist()
    return found


def _check_warp(img: Tensor, mode: InterpolationMode, fill: Any) -> None:
    channels = get_dimensions(img)[0]
    if fill is not None and not isinstance(fill, int | float | tuple | list):
        warnings.warn("Argument fill should be either int, float, tuple or list", stacklevel=3)
    if isinstance(fill, tuple | list) and len(fill) > 1 and len(fill) != channels:
        raise ValueError(
            "The number of elements in 'fill' cannot broadcast to match the number of channels of "
            f"the image ({len(fill)} != {channels})"
        )
    if mode not in (InterpolationMode.NEAREST, InterpolationMode.BILINEAR):
        raise ValueError(f"Interpolation mode '{mode.value}' is unsupported with Tensor input")


def _warp(img: Tensor, grid: Tensor, mode: InterpolationMode, fill: Any) -> Tensor:
    """The tensor's values at the places of the grid (1, rows, columns, 2)."""
    batch = as_floats(img, (grid.dtype,))
    grid = grid.expand(len(batch), -1, -1, -1)
    if fill is not None:  # one more channel, of ones, becomes how much of a pixel is picture
        batch = torch.cat([batch, torch.ones_like(batch[:, :1])], dim=1)
    moved = torch.nn.functional.grid_sample(
        batch, grid, mode=mode.value, padding_mode="zeros", align_corners=False
    )
    if fill is not None:
        moved, share = moved[:, :-1], moved[:, -1:]
        values = [*fill] if isinstance(fill, tuple | list) else [float(fill)]
        ground = torch.tensor(values, dtype=moved.dtype, device=moved.device).view(1, -1, 1, 1)
        if mode is InterpolationMode.NEAREST:
            moved = torch.where(share < 0.5, ground, moved)
        else:
            moved = moved * share + (1.0 - share) * ground
    return as_before(moved, img)


def _number_type(img: Tensor) -> torch.dtype:
    return img.dtype if img.is_floating_point() else torch.float32


def _places(rows: int, columns: int, first: tuple[float, float], like: Tensor) -> Tensor:
    """(x, y, 1) of each pixel's middle: (1, rows · columns, 3)."""
    y, x = (
        torch.linspace(start, start + n - 1, steps=n, device=like.device)
        for start, n in zip(first, (rows, columns), strict=True)
    )
    places = torch.empty(1, rows, columns, 3, dtype=_number_type(like), device=like.device)
    places[..., 0].copy_(x)
    places[..., 1].copy_(y.unsqueeze(-1))
    places[..., 2].fill_(1)
    return places.view(1, rows * columns, 3)


def _half(columns: int, rows: int, like: Tensor) -> Tensor:
    return torch.tensor([0.5 * columns, 0.5 * rows], dtype=_number_type(like), device=like.device)


def _affine_grid(img: Tensor, matrix: list[float], size: tuple[int, int]) -> Tensor:
    rows, columns = size
    theta = torch.tensor(matrix, dtype=_number_type(img), device=img.device).view(1, 2, 3)
    theta = theta.transpose(1, 2) / _half(img.shape[-1], img.shape[-2], img)
    places = _places(rows, columns, (-rows * 0.5 + 0.5, -columns * 0.5 + 0.5), img)
    return places.bmm(theta).view(1, rows, columns, 2)


def _perspective_grid(img: Tensor, n: list[float]) -> Tensor:
    rows, columns = img.shape[-2:]
    kind: Any = {"dtype": _number_type(img), "device": img.device}
    above = torch.tensor([[n[:3], n[3:6]]], **kind).transpose(1, 2) / _half(columns, rows, img)
    below = torch.tensor([[[n[6], n[7], 1.0]] * 2], **kind).transpose(1, 2)
    places = _places(rows, columns, (0.5, 0.5), img)
    return (places.bmm(above) / places.bmm(below) - 1.0).view(1, rows, columns, 2)


def _turned_size(matrix: list[float], rows: int, columns: int) -> tuple[int, int]:
    """The rows and columns that hold the whole turned picture."""
    half = torch.tensor((columns * 0.5, rows * 0.5))
    signs = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
    corners = torch.cat([signs * half, torch.ones(4, 1)], dim=1)
    moved = corners @ torch.tensor(matrix, dtype=torch.float32).view(2, 3).T
    low, high = moved.amin(0) + half, moved.amax(0) + half
    grain = 1e-4  # so that 28.00000001 is no reason for another row
    last = torch.ceil((high / grain).trunc() * grain)
    first = torch.floor((low / grain).trunc() * grain)
    width, height = (last - first).tolist()
    return int(height), int(width)


def elastic_transform(
    img: Any,
    displacement: Tensor,
    interpolation: Any = InterpolationMode.BILINEAR,
    fill: Any = None,
) -> Any:
    """The tensor with its pixels displaced (1, rows, columns, 2), in halves of its sides."""
    mode = checked_interpolation(interpolation)
    size = img.shape[-2:]
    if not isinstance(displacement, Tensor):
        raise TypeError("Argument displacement should be a Tensor")
    wanted = (1, *size, 2)
    if wanted != tuple(displacement.shape):
        raise ValueError(
            f"Argument displacement shape should be {wanted}, but given {displacement.shape}"
        )
    y, x = torch.meshgrid(
        *(torch.linspace((-n + 1) / n, (n - 1) / n, n) for n in size), indexing="ij"
    )
    grid = torch.stack([x, y], -1).unsqueeze(0).to(img.device) + displacement.to(img.device)
    return _warp(img, grid, mode, fill)
