"""Transforms by chance: turned, sheared, blurred, in other colours. Draws are in torchvision's
order, so the same seed gives the same.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lenet.tutorial.vision import functional as F
from lenet.tutorial.vision.functional import InterpolationMode
from lenet.tutorial.vision.geometry import interpolation_of, two_sides
from lenet.tutorial.vision.random_transforms import Sometimes, between, whole
from lenet.tutorial.vision.transforms import BILINEAR

NEAREST = InterpolationMode.NEAREST


def _require_sequence(value: Any, name: str, lengths: tuple[int, ...] = (2,)) -> None:
    text = f"{name} should be a sequence of length {' or '.join(map(str, lengths))}."
    if not isinstance(value, Sequence):
        raise TypeError(text)
    if len(value) not in lengths:
        raise ValueError(text)


def _angles(value: Any, name: str, lengths: tuple[int, ...] = (2,)) -> list[float]:
    if isinstance(value, int | float):
        if value < 0:
            raise ValueError(f"If {name} is a single number, it must be positive.")
        value = [-value, value]
    else:
        _require_sequence(value, name, lengths)
    return [float(angle) for angle in value]


def _checked_fill(fill: Any) -> Any:
    if fill is None:
        return 0
    if not isinstance(fill, Sequence | numbers.Number):
        raise TypeError("Fill should be either a sequence or a number.")
    return fill


def _fill_of(img: Any, fill: Any) -> Any:
    """A tensor's fill is a float a channel; a picture's is as it was given."""
    channels = F.get_dimensions(img)[0]
    if not isinstance(img, Tensor):
        return fill
    values = [fill] * channels if isinstance(fill, int | float) else fill
    return [float(value) for value in values]


class RandomPerspective(Sometimes):
    """`functional.perspective` with corners moved inwards, with probability p."""

    def __init__(
        self,
        distortion_scale: float = 0.5,
        p: float = 0.5,
        interpolation: Any = BILINEAR,
        fill: Any = 0,
    ) -> None:
        super().__init__(p)
        self.interpolation = interpolation_of(interpolation)
        self.distortion_scale = distortion_scale
        self.fill = _checked_fill(fill)

    def check(self, img: Any) -> None:
        F.get_dimensions(img)

    def change(self, img: Any) -> Any:
        _, height, width = F.get_dimensions(img)
        starts, ends = self.get_params(width, height, self.distortion_scale)
        return F.perspective(img, starts, ends, self.interpolation, _fill_of(img, self.fill))

    @staticmethod
    def get_params(
        width: int, height: int, distortion_scale: float
    ) -> tuple[list[list[int]], list[list[int]]]:
        """The four corners (x, y), clockwise from the upper left, before and after."""
        x = int(distortion_scale * (width // 2))
        y = int(distortion_scale * (height // 2))
        left, right = (0, x + 1), (width - x - 1, width)
        above, below = (0, y + 1), (height - y - 1, height)
        corners = ((left, above), (right, above), (right, below), (left, below))
        ends = [[whole(*horizontal), whole(*vertical)] for horizontal, vertical in corners]
        starts = [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]
        return starts, ends


class RandomRotation(torch.nn.Module):
    """`functional.rotate` by an angle between `degrees` (or between -degrees and degrees)."""

    def __init__(
        self,
        degrees: float | Sequence[float],
        interpolation: Any = NEAREST,
        expand: bool = False,
        center: Sequence[float] | None = None,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.degrees = _angles(degrees, "degrees")
        if center is not None:
            _require_sequence(center, "center")
        self.center = center
        self.interpolation = interpolation_of(interpolation)
        self.expand = expand
        self.fill = _checked_fill(fill)

    @staticmethod
    def get_params(degrees: Sequence[float]) -> float:
        """The angle."""
        return between(degrees[0], degrees[1])

    def forward(self, img: Any) -> Any:
        fill = _fill_of(img, self.fill)
        angle = self.get_params(self.degrees)
        return F.rotate(img, angle, self.interpolation, self.expand, self.center, fill)

    def __repr__(self) -> str:
        center = "" if self.center is None else f", center={self.center}"
        return (
            f"{type(self).__name__}(degrees={self.degrees}, "
            f"interpolation={self.interpolation.value}, expand={self.expand}{center}, "
            f"fill={self.fill})"
        )


class RandomAffine(torch.nn.Module):
    """`functional.affine` with random angle, shift (shares of the sides), scale and shear."""

    def __init__(
        self,
        degrees: float | Sequence[float],
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: float | Sequence[float] | None = None,
        interpolation: Any = NEAREST,
        fill: Any = 0,
        center: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.degrees = _angles(degrees, "degrees")
        if translate is not None:
            _require_sequence(translate, "translate")
            if not all(0.0 <= share <= 1.0 for share in translate):
                raise ValueError("translation values should be between 0 and 1")
        if scale is not None:
            _require_sequence(scale, "scale")
            if min(scale) <= 0:
                raise ValueError("scale values should be positive")
        if center is not None:
            _require_sequence(center, "center")
        self.translate = translate
        self.scale = scale
        self.shear = None if shear is None else _angles(shear, "shear", (2, 4))
        self.interpolation = interpolation_of(interpolation)
        self.fill = _checked_fill(fill)
        self.center = center

    @staticmethod
    def get_params(
        degrees: Sequence[float],
        translate: Sequence[float] | None,
        scale_ranges: Sequence[float] | None,
        shears: Sequence[float] | None,
        img_size: Sequence[int],
    ) -> tuple[float, tuple[int, int], float, tuple[float, float]]:
        """Angle, shift (x, y) in pixels, scale and shear (x, y)."""
        angle = between(degrees[0], degrees[1])
        x, y = 0, 0
        if translate is not None:
            most = [float(share * n) for share, n in zip(translate, img_size, strict=True)]
            x, y = (round(between(-m, m)) for m in most)
        scale = 1.0 if scale_ranges is None else between(scale_ranges[0], scale_ranges[1])
        shear_x, shear_y = 0.0, 0.0
        if shears is not None:
            shear_x = between(shears[0], shears[1])
            if len(shears) == 4:
                shear_y = between(shears[2], shears[3])
        return angle, (x, y), scale, (shear_x, shear_y)

    def forward(self, img: Any) -> Any:
        fill = _fill_of(img, self.fill)
        drawn = self.get_params(
            self.degrees, self.translate, self.scale, self.shear, F.get_image_size(img)
        )
        return F.affine(
            img, *drawn, interpolation=self.interpolation, fill=fill, center=self.center
        )

    def __repr__(self) -> str:
        parts = [f"degrees={self.degrees}"]
        for name in ("translate", "scale", "shear"):
            if getattr(self, name) is not None:
                parts.append(f"{name}={getattr(self, name)}")
        if self.interpolation is not NEAREST:
            parts.append(f"interpolation={self.interpolation.value}")
        if self.fill != 0:
            parts.append(f"fill={self.fill}")
        if self.center is not None:
            parts.append(f"center={self.center}")
        return f"{type(self).__name__}({', '.join(parts)})"


class ElasticTransform(torch.nn.Module):
    """A tensor with its pixels displaced by smooth noise: `alpha` how far, `sigma` how smooth."""

    def __init__(
        self,
        alpha: float | Sequence[float] = 50.0,
        sigma: float | Sequence[float] = 5.0,
        interpolation: Any = BILINEAR,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.alpha = _two_floats(alpha, "alpha")
        self.sigma = _two_floats(sigma, "sigma")
        self.interpolation = interpolation_of(interpolation)
        if not isinstance(fill, int | float | list | tuple):
            raise TypeError(
                f"fill should be int or float or a list or tuple of them. Got {type(fill)}"
            )
        values = [fill] if isinstance(fill, int | float) else fill
        self.fill = [float(value) for value in values]

    @staticmethod
    def get_params(alpha: Sequence[float], sigma: Sequence[float], size: Sequence[int]) -> Tensor:
        """The displacements (1, rows, columns, 2)."""
        both = []
        for strength, smooth, side in zip(alpha, sigma, reversed(size), strict=True):
            noise = torch.rand([1, 1, *size]) * 2 - 1
            if smooth > 0.0:
                width = int(8 * smooth + 1)
                width += width % 2 == 0
                noise = F.gaussian_blur(noise, [width, width], [*sigma])
            both.append(noise * strength / side)
        return torch.concat(both, 1).permute([0, 2, 3, 1])

    def forward(self, tensor: Any) -> Any:
        _, rows, columns = F.get_dimensions(tensor)
        moved = self.get_params(self.alpha, self.sigma, [rows, columns])
        if isinstance(tensor, Tensor):
            return F.elastic_transform(tensor, moved, self.interpolation, self.fill)
        values = F.elastic_transform(F.pil_to_tensor(tensor), moved, self.interpolation, self.fill)
        return F.to_pil_image(values, mode=tensor.mode)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(alpha={self.alpha}, sigma={self.sigma}, "
            f"interpolation={self.interpolation}, fill={self.fill})"
        )


def _two_floats(value: Any, name: str) -> list[float]:
    if not isinstance(value, float | Sequence):
        raise TypeError(f"{name} should be float or a sequence of floats. Got {type(value)}")
    if isinstance(value, float):
        return [value, value]
    if len(value) != 2:
        raise ValueError(f"If {name} is a sequence its length should be 2. Got {len(value)}")
    for element in value:
        if not isinstance(element, float):
            raise TypeError(f"{name} should be a sequence of floats. Got {type(element)}")
    return [*value]


class GaussianBlur(torch.nn.Module):
    """`functional.gaussian_blur` with a deviation between the two of `sigma`."""

    def __init__(
        self, kernel_size: int | Sequence[int], sigma: float | Sequence[float] = (0.1, 2.0)
    ) -> None:
        super().__init__()
        text = "Kernel size should be a tuple/list of two integers"
        self.kernel_size = two_sides(kernel_size, text)
        if any(side <= 0 or side % 2 == 0 for side in self.kernel_size):
            raise ValueError("Kernel size value should be an odd and positive number.")
        if isinstance(sigma, int | float):
            if sigma <= 0:
                raise ValueError("If sigma is a single number, it must be positive.")
            sigma = (sigma, sigma)
        elif not isinstance(sigma, Sequence) or len(sigma) != 2:
            raise ValueError("sigma should be a single number or a list/tuple with length 2.")
        elif not 0.0 < sigma[0] <= sigma[1]:
            raise ValueError("sigma values should be positive and of the form (min, max).")
        self.sigma = sigma

    @staticmethod
    def get_params(sigma_min: float, sigma_max: float) -> float:
        """The deviation in pixels."""
        return between(sigma_min, sigma_max)

    def forward(self, img: Any) -> Any:
        sigma = self.get_params(self.sigma[0], self.sigma[1])
        return F.gaussian_blur(img, self.kernel_size, [sigma, sigma])

    def __repr__(self) -> str:
        return f"{type(self).__name__}(kernel_size={self.kernel_size}, sigma={self.sigma})"


class ColorJitter(torch.nn.Module):
    """Brightness, contrast, saturation and hue changed at random, in random order."""

    def __init__(
        self,
        brightness: float | Sequence[float] = 0,
        contrast: float | Sequence[float] = 0,
        saturation: float | Sequence[float] = 0,
        hue: float | Sequence[float] = 0,
    ) -> None:
        super().__init__()
        self.brightness = _range("brightness", brightness)
        self.contrast = _range("contrast", contrast)
        self.saturation = _range("saturation", saturation)
        self.hue = _range("hue", hue, center=0, bound=(-0.5, 0.5))

    @staticmethod
    def get_params(
        brightness: Sequence[float] | None,
        contrast: Sequence[float] | None,
        saturation: Sequence[float] | None,
        hue: Sequence[float] | None,
    ) -> tuple[Tensor, float | None, float | None, float | None, float | None]:
        """The order, and a factor for each, or None."""
        order = torch.randperm(4)
        b, c, s, h = (
            None if both is None else between(both[0], both[1])
            for both in (brightness, contrast, saturation, hue)
        )
        return order, b, c, s, h

    def forward(self, img: Any) -> Any:
        order, *factors = self.get_params(self.brightness, self.contrast, self.saturation, self.hue)
        changes = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
        for place in order.tolist():
            if factors[place] is not None:
                img = changes[place](img, factors[place])
        return img

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(brightness={self.brightness}, contrast={self.contrast}, "
            f"saturation={self.saturation}, hue={self.hue})"
        )


def _range(
    name: str, value: Any, center: float = 1, bound: tuple[float, float] = (0, math.inf)
) -> tuple[float, float] | None:
    """The two ends, or None where nothing would change."""
    if isinstance(value, int | float):
        if value < 0:
            raise ValueError(f"If {name} is a single number, it must be non negative.")
        low, high = center - float(value), center + float(value)
        if center:  # a factor is not negative
            low = max(low, 0.0)
    elif isinstance(value, tuple | list) and len(value) == 2:
        low, high = float(value[0]), float(value[1])
    else:
        raise TypeError(f"{name} should be a single number or a list/tuple with length 2.")
    if not bound[0] <= low <= high <= bound[1]:
        raise ValueError(f"{name} values should be between {bound}, but got {[low, high]}.")
    return None if low == high == center else (low, high)
