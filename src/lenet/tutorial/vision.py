"""What tutorials use of torchvision: MNIST, FashionMNIST, and the transforms of a picture.

The values are torchvision's, to the last bit; only the way there is shorter: a DataLoader asks
for a whole batch (`__getitems__`), and a transform made of these is then done on all of it at once.
The pictures come from `lenet.data`, so that `root` stays empty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from lenet import data

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_MODES = {"1": np.uint8, "I": np.int32, "F": np.float32, "I;16": np.uint16}


@lru_cache(maxsize=2)
def _load(name: str) -> data.Dataset:
    return data.load(name)


class _Pictures(TorchDataset[tuple[Any, Any]]):
    """28×28 grey pictures with their labels: `(PIL picture or what the transform makes, int)`."""

    name: str
    classes: list[str]

    def __init__(
        self,
        root: Any = None,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
        download: bool = False,
    ) -> None:
        """Raises RuntimeError, as torchvision does, where nothing is here and nothing may be
        downloaded."""
        if not download and not data.available(self.name):
            raise RuntimeError("Dataset not found. You can use download=True to download it")
        loaded = _load(self.name)
        split = loaded.train if train else loaded.test
        self.root = root
        self.train = train
        self.transform = transform
        self.target_transform = target_transform
        self.data = torch.from_numpy(split.images[:, 0].copy())  # (n, 28, 28) uint8
        self.targets = torch.from_numpy(split.labels.copy())  # (n,) int64

    @property
    def class_to_idx(self) -> dict[str, int]:
        return {label: number for number, label in enumerate(self.classes)}

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        picture: Any = Image.fromarray(self.data[int(index)].numpy())
        if self.transform is not None:
            picture = self.transform(picture)
        return picture, self._target(int(self.targets[int(index)]))

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Any, Any]]:
        """The pictures of a batch, each equal to `self[index]`."""
        steps = _steps(self.transform)
        if steps is None:
            return [self[index] for index in indices]
        resizes, normalizes = steps
        chosen = torch.as_tensor(indices)
        grey = self.data[chosen].numpy()
        if resizes:
            pictures = [Image.fromarray(picture) for picture in grey]
            for resize in resizes:
                pictures = [resize(picture) for picture in pictures]
            grey = np.stack([np.asarray(picture) for picture in pictures])
        batch = _scaled(torch.from_numpy(grey)).unsqueeze(1)
        for normalize in normalizes:
            batch = normalize(batch)
        labels = self.targets[chosen].tolist()
        return [(x, self._target(y)) for x, y in zip(batch.unbind(), labels, strict=True)]

    def _target(self, label: int) -> Any:
        return label if self.target_transform is None else self.target_transform(label)

    def __repr__(self) -> str:
        lines = [
            f"Dataset {type(self).__name__}",
            f"    Number of datapoints: {len(self)}",
            f"    Root location: {self.root} (unused: lenet.data has the pictures)",
            f"    Split: {'Train' if self.train else 'Test'}",
        ]
        if self.transform is not None:
            lines.append(f"    Transform: {self.transform!r}")
        return "\n".join(lines)


class MNIST(_Pictures):
    """Handwritten digits: 60,000 pictures to train on, 10,000 to test."""

    name = "mnist"
    classes = [f"{number} - {word}" for number, word in enumerate(_DIGITS)]  # noqa: RUF012


class FashionMNIST(_Pictures):
    """Pictures of clothes: 60,000 to train on, 10,000 to test."""

    name = "fashion-mnist"
    classes = [  # noqa: RUF012
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ]


class Compose:
    """One transform after the other."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return "\n".join(["Compose(", *(f"    {step}" for step in self.transforms), ")"])


class ToTensor:
    """A picture or an array (rows, columns, channels) as a tensor (channels, rows, columns).

    uint8 becomes 0 to 1 in the default floating type; other types keep their values.
    """

    def __call__(self, pic: Any) -> Tensor:
        if isinstance(pic, np.ndarray):
            if pic.ndim not in (2, 3):
                raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
            array = pic if pic.ndim == 3 else pic[:, :, None]
        elif isinstance(pic, Image.Image):
            array = np.array(pic, _MODES.get(pic.mode, np.uint8), copy=True)
            array = array.reshape(pic.size[1], pic.size[0], -1)
            if pic.mode == "1":
                array = array * np.uint8(255)
        else:
            raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
        tensor = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))
        return _scaled(tensor)

    def __repr__(self) -> str:
        return "ToTensor()"


class Resize:
    """A picture at another size, bilinear: (rows, columns), or its shorter edge as one number."""

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = size

    def __call__(self, img: Any) -> Any:
        if isinstance(img, Image.Image):
            width, height = img.size
            rows, columns = self._rows_columns(height, width)
            return img.resize((columns, rows), Image.Resampling.BILINEAR)
        if isinstance(img, Tensor) and img.is_floating_point():
            size = self._rows_columns(img.shape[-2], img.shape[-1])
            batch = img.reshape(-1, *img.shape[-3:])
            smooth = torch.nn.functional.interpolate(
                batch, size=size, mode="bilinear", align_corners=False, antialias=True
            )
            return smooth.reshape(*img.shape[:-2], *size)
        raise TypeError(f"img should be PIL Image or a tensor of floats. Got {type(img)}")

    def _rows_columns(self, height: int, width: int) -> tuple[int, int]:
        if not isinstance(self.size, int) and len(self.size) == 2:
            rows, columns = self.size
            return rows, columns
        short = self.size if isinstance(self.size, int) else self.size[0]
        if width <= height:
            return int(short * height / width), short
        return short, int(short * width / height)

    def __repr__(self) -> str:
        return f"Resize(size={self.size}, interpolation=bilinear, max_size=None, antialias=True)"


class Normalize:
    """A tensor (…, channels, rows, columns) less the mean of each channel, over its deviation."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        self.mean, self.std, self.inplace = mean, std, inplace

    def __call__(self, tensor: Tensor) -> Tensor:
        if not isinstance(tensor, Tensor):
            raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
        if not tensor.is_floating_point():
            raise TypeError(f"Input tensor should be a float tensor. Got {tensor.dtype}.")
        mean, std = (
            torch.as_tensor(values, dtype=tensor.dtype, device=tensor.device).reshape(-1, 1, 1)
            for values in (self.mean, self.std)
        )
        if (std == 0).any():
            raise ValueError(f"std is {self.std}: division by zero")
        if not self.inplace:
            tensor = tensor.clone()
        return tensor.sub_(mean).div_(std)

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean}, std={self.std})"


def _scaled(tensor: Tensor) -> Tensor:
    """uint8 as 0 to 1 in the default floating type, anything else as it is."""
    if tensor.dtype != torch.uint8:
        return tensor
    return tensor.to(torch.get_default_dtype()).div(255)


def _steps(transform: Any) -> tuple[list[Any], list[Any]] | None:
    """The steps before and after ToTensor, of a transform that is made of ours alone."""
    parts = list(transform.transforms) if type(transform) is Compose else [transform]
    kinds = [type(part) for part in parts]
    if ToTensor not in kinds:
        return None
    middle = kinds.index(ToTensor)
    resizes, normalizes = parts[:middle], parts[middle + 1 :]
    if {*kinds[:middle]} - {Resize} or {*kinds[middle + 1 :]} - {Normalize}:
        return None
    return resizes, normalizes
