"""A loader that serves batches from memory, with the values and the order of PyTorch's DataLoader.

A DataLoader takes its pictures one by one, through PIL, at every epoch; here a batch is cut out of
the uint8 array whole. From the same ``torch.manual_seed`` both give the same batches, and leave
PyTorch's generator in the same state.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Sequence
from typing import Any, SupportsIndex

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lenet.data import Split

UInt8 = NDArray[np.uint8]
Resize = int | Sequence[int] | None


class MemoryDataset:
    """Pictures and labels of a split as ``torchvision`` gives them: indexed, (picture, label).

    A picture is (channels, height, width) in 0 … 1, as ``ToTensor`` makes it; a label is an int.
    ``targets`` may be changed or replaced. There is no ``transform``; to set one is an error.
    """

    __slots__ = ("_identity", "_images", "classes", "shape", "targets")

    def __init__(self, split: Split, resize: Resize = None) -> None:
        self._identity = split.identity
        height, width = _size(split, resize)
        self.shape = (split.images.shape[1], height, width)  # of a picture as it is given
        # the memory is the split's own, unless PyTorch would warn that it cannot be written to
        self._images = torch.from_numpy(np.require(split.images, requirements=["C", "W"]))
        self.targets: Any = torch.from_numpy(np.require(split.labels, requirements=["C", "W"]))
        self.classes = list(split.classes)

    @property
    def split(self) -> Split:
        """The pictures as they are stored, and the labels as they are now."""
        labels = np.asarray(self.targets, np.int64)
        return Split(self._images.numpy(), labels, tuple(self.classes), self._identity)

    @property
    def data(self) -> Tensor:
        """The pictures as they are stored, before any resizing: (n, height, width) uint8."""
        return self._images[:, 0] if self._images.shape[1] == 1 else self._images

    @property
    def resizes(self) -> bool:
        """Whether pictures are given in another size than they are stored in."""
        return self.shape != self._images.shape[1:]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: SupportsIndex) -> tuple[Tensor, int]:
        place = operator.index(index)
        if not -len(self) <= place < len(self):
            raise IndexError(f"index {place} is out of range: there are {len(self)} pictures")
        picture, label = self.batch(torch.tensor([place % len(self)], device="cpu"))
        return picture[0], int(label)

    def pictures(self, indices: Tensor) -> Tensor:
        """The pictures of these indices (n,), resized: (n, channels, height, width) uint8."""
        shape = (len(indices), *self._images.shape[1:])
        flat = self._images.view(len(self), -1)  # rows are copied three times as fast as pictures
        chosen = flat.index_select(0, indices).view(shape)
        if not self.resizes:
            return chosen
        return torch.from_numpy(resized(chosen.numpy(), *self.shape[1:]))

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (n, channels, height, width) in 0 … 1 and labels (n,) of these indices."""
        # of uint8, div gives PyTorch's default type: float32 unless somebody changed it
        return torch.div(self.pictures(indices), 255), self.labels(indices)

    def labels(self, indices: Tensor) -> Tensor:
        """The labels (n,) int64 of these indices, of whatever ``targets`` has become."""
        return torch.as_tensor(self.targets, dtype=torch.int64).index_select(0, indices)


class MemoryLoader:
    """What ``DataLoader(dataset, batch_size, shuffle=shuffle)`` is, without worker processes.

    Each iteration gives ``[X, y]``, X (n, channels, height, width) in 0 … 1 and y (n,) int64; the
    last batch may be short. A ``MemoryDataset`` is served as it is. Of a split, ``resize``, a
    side's length or (height, width), is torchvision's Resize on PIL pictures to the last bit, done
    when a batch is cut out.
    """

    def __init__(
        self,
        split: Split | MemoryDataset,
        batch_size: int,
        *,
        shuffle: bool,
        resize: Resize = None,
    ) -> None:
        if operator.index(batch_size) < 1:
            raise ValueError(f"batch_size is {batch_size}, must be at least 1")
        self.dataset = split if isinstance(split, MemoryDataset) else MemoryDataset(split, resize)
        self.batch_size = operator.index(batch_size)
        self.shuffle = shuffle

    num_workers, drop_last = 0, False  # as a DataLoader has them

    def __len__(self) -> int:
        return math.ceil(len(self.dataset) / self.batch_size)

    def __iter__(self) -> Iterator[list[Tensor]]:
        _draw_seed()  # a DataLoader draws one here, for its workers
        return self._batches()

    def _batches(self) -> Iterator[list[Tensor]]:
        for indices in torch.split(self._order(), self.batch_size):
            yield [*self.dataset.batch(indices)]

    def draw_order(self) -> Tensor:
        """The order (n,) int64 of the pictures that an iteration begun now would have.

        It takes of PyTorch's generator what that iteration would take.
        """
        _draw_seed()
        return self._order()

    def _order(self) -> Tensor:
        if not self.shuffle:
            return torch.arange(len(self.dataset), device="cpu")
        generator = torch.Generator().manual_seed(_draw_seed())
        return torch.randperm(len(self.dataset), generator=generator, device="cpu")


def _draw_seed() -> int:
    """A seed from PyTorch's global generator, drawn as its DataLoader and sampler draw theirs."""
    return int(torch.empty((), dtype=torch.int64, device="cpu").random_().item())


def _size(split: Split, resize: Resize) -> tuple[int, int]:
    """Height and width after resizing; a single number is the shorter side, as in torchvision."""
    height, width = split.images.shape[2:]
    if not resize:  # d2l takes 0 for None, too
        return height, width
    given = resize if isinstance(resize, Sequence) else [resize]
    sides = [operator.index(side) for side in given]
    if len(sides) > 2 or min(sides) < 1:
        raise ValueError(f"resize is {resize!r}; give a length or (height, width), at least 1")
    if len(sides) == 2:
        return sides[0], sides[1]
    shorter = min(height, width)
    return int(sides[0] * height / shorter), int(sides[0] * width / shorter)


def resized(images: UInt8, height: int, width: int) -> UInt8:
    """Pictures (n, channels, height, width) uint8, each as PIL's bilinear resizing makes it.

    PIL works on rows, then on columns. Rows of all pictures lie under one another like those of
    one tall picture, so that PIL is called twice a batch instead of once a picture.
    """
    n, channels, old_height, old_width = images.shape
    if old_height * width != old_width * height:  # PIL may then begin with the columns
        pictures = [
            Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR)
            for picture in images.reshape(-1, old_height, old_width)
        ]
        return np.array(pictures).reshape(n, channels, height, width)
    wide = _stretched(images, width)  # (n, channels, old_height, width)
    return np.array(_stretched(wide.swapaxes(2, 3), height).swapaxes(2, 3), order="C")


def _stretched(images: UInt8, width: int) -> UInt8:
    """All rows brought to this width; heights stay."""
    rows = np.ascontiguousarray(images).reshape(-1, images.shape[3])
    across = Image.fromarray(rows).resize((width, len(rows)), Image.Resampling.BILINEAR)
    return np.asarray(across).reshape(*images.shape[:3], width)
