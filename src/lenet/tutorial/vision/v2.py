"""`torchvision.transforms.v2`: those of its transforms that give one picture what ours give.

Pictures alone, one at a time; no boxes, masks or videos. A tensor is a plain one, where
torchvision has a class of its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from lenet.tutorial.vision import functional
from lenet.tutorial.vision.colour import largest
from lenet.tutorial.vision.functional import InterpolationMode
from lenet.tutorial.vision.random_transforms import RandomHorizontalFlip, RandomVerticalFlip
from lenet.tutorial.vision.transforms import (
    CenterCrop,
    Lambda,
    Normalize,
    PILToTensor,
    ToPILImage,
    listed,
)
from lenet.tutorial.vision.transforms import ToTensor as _ToTensor

__all__ = [
    "CenterCrop",
    "Compose",
    "Identity",
    "InterpolationMode",
    "Lambda",
    "Normalize",
    "PILToTensor",
    "RandomHorizontalFlip",
    "RandomVerticalFlip",
    "ToDtype",
    "ToImage",
    "ToPILImage",
    "ToTensor",
]


class Compose(torch.nn.Module):
    """One transform after the other, of one picture."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        super().__init__()
        if not isinstance(transforms, Sequence):
            raise TypeError("Argument transforms should be a sequence of callables")
        if not transforms:
            raise ValueError("Pass at least one transform")
        self.transforms = transforms

    def forward(self, img: Any) -> Any:
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return listed(type(self).__name__, (), self.transforms)


class Identity(torch.nn.Module):
    """The picture as it is."""

    def forward(self, img: Any) -> Any:
        return img


class ToImage(torch.nn.Module):
    """A picture or array (rows, columns, channels) as a tensor of its own type and values."""

    def forward(self, img: Any) -> Any:
        if isinstance(img, Image.Image):
            return functional.pil_to_tensor(img)
        if isinstance(img, Tensor):
            return img if img.ndim > 2 else img.unsqueeze(0)
        array = torch.from_numpy(img)
        return (array if array.ndim > 2 else array.unsqueeze(-1)).permute(2, 0, 1).contiguous()


class ToDtype(torch.nn.Module):
    """A tensor in another type; with `scale` so that white stays white. Pictures stay."""

    def __init__(self, dtype: torch.dtype | Mapping[Any, Any], scale: bool = False) -> None:
        super().__init__()
        if not isinstance(dtype, torch.dtype):
            raise ValueError(f"dtype must be a torch.dtype, got {type(dtype)} instead")
        self.dtype = dtype
        self.scale = scale

    def forward(self, img: Any) -> Any:
        if not isinstance(img, Tensor):
            return img
        if not self.scale:
            return img.to(self.dtype)
        if self.dtype.is_floating_point and not img.is_floating_point():
            return img.to(self.dtype).mul_(1.0 / largest(img.dtype))  # not the bits of a division
        return functional.convert_image_dtype(img, self.dtype)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(scale={self.scale})"


class ToTensor(_ToTensor):
    """`functional.to_tensor`; torchvision warns that it will go."""

    def __init__(self) -> None:
        warnings.warn(
            "The transform `ToTensor()` is deprecated and will be removed in a future release. "
            "Instead, please use `v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, "
            "scale=True)])`.Output is equivalent up to float precision.",
            stacklevel=2,
        )

    def __call__(self, pic: Any) -> Tensor:
        return pic if isinstance(pic, Tensor) else super().__call__(pic)
