"""Transforms by chance: whether, which, and which part. Draws are in torchvision's order, so the
same seed gives the same.

PyTorch's global generator gives them all, except those of `RandomOrder` and `RandomChoice`, which
are Python's.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lenet.tutorial.vision import functional as F
from lenet.tutorial.vision.geometry import interpolation_of, two_sides
from lenet.tutorial.vision.transforms import BILINEAR, listed


def between(low: float, high: float) -> float:
    """A number drawn from low to high."""
    return torch.empty(1).uniform_(float(low), float(high)).item()


def whole(low: int, end: int) -> int:
    """A whole number drawn from low to end - 1."""
    return int(torch.randint(low, end, size=(1,)).item())


# ------------------------------------------------------------------------- one of several, or none


class RandomTransforms:
    """Several transforms of which chance chooses."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        if not isinstance(transforms, Sequence):
            raise TypeError("Argument transforms should be a sequence")
        self.transforms = transforms

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def __repr__(self) -> str:
        return listed(type(self).__name__, (), self.transforms)


class RandomOrder(RandomTransforms):
    """All of them, in random order."""

    def __call__(self, img: Any) -> Any:
        order = list(range(len(self.transforms)))
        random.shuffle(order)
        for place in order:
            img = self.transforms[place](img)
        return img


class RandomChoice(RandomTransforms):
    """One of them, with the weights `p`."""

    def __init__(
        self, transforms: Sequence[Callable[[Any], Any]], p: Sequence[float] | None = None
    ) -> None:
        super().__init__(transforms)
        if p is not None and not isinstance(p, Sequence):
            raise TypeError("Argument p should be a sequence")
        self.p = p

    def __call__(self, *args: Any) -> Any:
        chosen = random.choices(self.transforms, weights=self.p)[0]
        return chosen(*args)

    def __repr__(self) -> str:
        return f"{super().__repr__()}(p={self.p})"


class RandomApply(torch.nn.Module):
    """All of them with probability p, else none."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: float = 0.5) -> None:
        super().__init__()
        self.transforms = transforms
        self.p = p

    def forward(self, img: Any) -> Any:
        if self.p < torch.rand(1):
            return img
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return listed(type(self).__name__, [f"p={self.p}"], self.transforms)


# --------------------------------------------------------------------------- with probability p


class Sometimes(torch.nn.Module):
    """`change` with probability p."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, img: Any) -> Any:
        self.check(img)
        return self.change(img) if torch.rand(1) < self.p else img

    def check(self, img: Any) -> None:
        """Raises TypeError, before anything is drawn, for what cannot be changed."""

    def change(self, img: Any) -> Any:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class RandomHorizontalFlip(Sometimes):
    """`functional.hflip` with probability p."""

    def change(self, img: Any) -> Any:
        return F.hflip(img)


class RandomVerticalFlip(Sometimes):
    """`functional.vflip` with probability p."""

    def change(self, img: Any) -> Any:
        return F.vflip(img)


class RandomGrayscale(Sometimes):
    """Grey, with as many channels as before, with probability p."""

    def __init__(self, p: float = 0.1) -> None:
        super().__init__(p)

    def check(self, img: Any) -> None:
        F.get_dimensions(img)

    def change(self, img: Any) -> Any:
        return F.rgb_to_grayscale(img, num_output_channels=F.get_dimensions(img)[0])


class RandomInvert(Sometimes):
    """`functional.invert` with probability p."""

    def change(self, img: Any) -> Any:
        return F.invert(img)


class RandomAutocontrast(Sometimes):
    """`functional.autocontrast` with probability p."""

    def change(self, img: Any) -> Any:
        return F.autocontrast(img)


class RandomEqualize(Sometimes):
    """`functional.equalize` with probability p."""

    def change(self, img: Any) -> Any:
        return F.equalize(img)


class RandomPosterize(Sometimes):
    """`functional.posterize` with probability p."""

    def __init__(self, bits: int, p: float = 0.5) -> None:
        super().__init__(p)
        self.bits = bits

    def change(self, img: Any) -> Any:
        return F.posterize(img, self.bits)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(bits={self.bits},p={self.p})"


class RandomSolarize(Sometimes):
    """`functional.solarize` with probability p."""

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.threshold = threshold

    def change(self, img: Any) -> Any:
        return F.solarize(img, self.threshold)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(threshold={self.threshold},p={self.p})"


class RandomAdjustSharpness(Sometimes):
    """`functional.adjust_sharpness` with probability p."""

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.sharpness_factor = sharpness_factor

    def change(self, img: Any) -> Any:
        return F.adjust_sharpness(img, self.sharpness_factor)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(sharpness_factor={self.sharpness_factor},p={self.p})"


class RandomErasing(torch.nn.Module):
    """A rectangle of a tensor set to a value, or to noise ("random"), with probability p."""

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: Any = 0,
        inplace: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(value, int | float | str | tuple | list):
            raise TypeError("Argument value should be either a number or str or a sequence")
        if isinstance(value, str) and value != "random":
            raise ValueError("If value is str, it should be 'random'")
        _check_scale_and_ratio(scale, ratio)
        if scale[0] < 0 or scale[1] > 1:
            raise ValueError("Scale should be between 0 and 1")
        if p < 0 or p > 1:
            raise ValueError("Random erasing probability should be between 0 and 1")
        self.p = p
        self.scale = scale
        self.ratio = ratio
        self.value = value
        self.inplace = inplace

    @staticmethod
    def get_params(
        img: Tensor,
        scale: Sequence[float],
        ratio: Sequence[float],
        value: list[float] | None = None,
    ) -> tuple[int, int, int, int, Tensor]:
        """Row, column, height, width and values of the rectangle."""
        channels, rows, columns = img.shape[-3:]
        log_ratio = torch.log(torch.tensor(ratio)).tolist()
        for _ in range(10):
            area = rows * columns * between(*scale)
            aspect = torch.exp(torch.empty(1).uniform_(*log_ratio)).item()
            h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if not (h < rows and w < columns):
                continue
            if value is None:
                values = torch.empty([channels, h, w], dtype=torch.float32).normal_()
            else:
                values = torch.tensor(value)[:, None, None]
            return whole(0, rows - h + 1), whole(0, columns - w + 1), h, w, values
        return 0, 0, rows, columns, img

    def forward(self, img: Tensor) -> Tensor:
        if not torch.rand(1) < self.p:
            return img
        value: list[float] | None = None
        if isinstance(self.value, int | float):
            value = [float(self.value)]
        elif isinstance(self.value, list | tuple):
            value = [float(v) for v in self.value]
        if value is not None and len(value) not in (1, img.shape[-3]):
            raise ValueError(
                "If value is a sequence, it should have either a single value or "
                f"{img.shape[-3]} (number of input channels)"
            )
        return F.erase(img, *self.get_params(img, self.scale, self.ratio, value), self.inplace)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(p={self.p}, scale={self.scale}, ratio={self.ratio}, "
            f"value={self.value}, inplace={self.inplace})"
        )


# ------------------------------------------------------------------------- a random place or size


class RandomCrop(torch.nn.Module):
    """A part at a random place, after padding."""

    def __init__(
        self,
        size: int | Sequence[int],
        padding: Any = None,
        pad_if_needed: bool = False,
        fill: Any = 0,
        padding_mode: str = "constant",
    ) -> None:
        super().__init__()
        self.size = tuple(two_sides(size))
        self.padding = padding
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode

    @staticmethod
    def get_params(img: Any, output_size: Sequence[int]) -> tuple[int, int, int, int]:
        """Row, column, height and width of the part."""
        _, rows, columns = F.get_dimensions(img)
        height, width = output_size
        if rows < height or columns < width:
            raise ValueError(
                f"Required crop size {(height, width)} is larger than input image size "
                f"{(rows, columns)}"
            )
        if (rows, columns) == (height, width):
            return 0, 0, height, width
        return whole(0, rows - height + 1), whole(0, columns - width + 1), height, width

    def forward(self, img: Any) -> Any:
        if self.padding is not None:
            img = F.pad(img, self.padding, self.fill, self.padding_mode)
        _, rows, columns = F.get_dimensions(img)
        if self.pad_if_needed and columns < self.size[1]:
            img = F.pad(img, [self.size[1] - columns, 0], self.fill, self.padding_mode)
        if self.pad_if_needed and rows < self.size[0]:
            img = F.pad(img, [0, self.size[0] - rows], self.fill, self.padding_mode)
        return F.crop(img, *self.get_params(img, self.size))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, padding={self.padding})"


def _check_scale_and_ratio(scale: Any, ratio: Any) -> None:
    if not isinstance(scale, Sequence):
        raise TypeError("Scale should be a sequence")
    if not isinstance(ratio, Sequence):
        raise TypeError("Ratio should be a sequence")
    if scale[0] > scale[1] or ratio[0] > ratio[1]:
        warnings.warn("Scale and ratio should be of kind (min, max)", stacklevel=3)


class RandomResizedCrop(torch.nn.Module):
    """A part of random size and shape, resized to `size`."""

    def __init__(
        self,
        size: int | Sequence[int],
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        interpolation: Any = BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.size = two_sides(size)
        _check_scale_and_ratio(scale, ratio)
        self.interpolation = interpolation_of(interpolation)
        self.antialias = antialias
        self.scale = scale
        self.ratio = ratio

    @staticmethod
    def get_params(
        img: Any, scale: Sequence[float], ratio: Sequence[float]
    ) -> tuple[int, int, int, int]:
        """Row, column, height and width of the part; the middle where ten draws did not fit."""
        _, rows, columns = F.get_dimensions(img)
        log_ratio = torch.log(torch.tensor(ratio)).tolist()
        for _ in range(10):
            area = rows * columns * between(*scale)
            aspect = torch.exp(torch.empty(1).uniform_(*log_ratio)).item()
            w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < w <= columns and 0 < h <= rows:
                return whole(0, rows - h + 1), whole(0, columns - w + 1), h, w
        h, w = rows, columns
        if columns / rows < min(ratio):
            h = round(columns / min(ratio))
        elif columns / rows > max(ratio):
            w = round(rows * max(ratio))
        return (rows - h) // 2, (columns - w) // 2, h, w

    def forward(self, img: Any) -> Any:
        place = self.get_params(img, self.scale, self.ratio)
        return F.resized_crop(img, *place, self.size, self.interpolation, antialias=self.antialias)

    def __repr__(self) -> str:
        scale, ratio = (tuple(round(v, 4) for v in both) for both in (self.scale, self.ratio))
        return (
            f"{type(self).__name__}(size={self.size}, scale={scale}, ratio={ratio}, "
            f"interpolation={self.interpolation.value}, antialias={self.antialias})"
        )
