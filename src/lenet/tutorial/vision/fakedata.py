"""`torchvision.datasets.fakedata`: random pictures."""

from __future__ import annotations

from typing import Any

import torch

from lenet.tutorial.vision.dataset import Transform, VisionDataset
from lenet.tutorial.vision.transforms import ToPILImage


class FakeData(VisionDataset):
    """`size` random pictures, each a function of its index and `random_offset`."""

    def __init__(
        self,
        size: int = 1000,
        image_size: tuple[int, ...] = (3, 224, 224),
        num_classes: int = 10,
        transform: Transform = None,
        target_transform: Transform = None,
        random_offset: int = 0,
    ) -> None:
        super().__init__(transform=transform, target_transform=target_transform)
        self.size = size
        self.num_classes = num_classes
        self.image_size = image_size
        self.random_offset = random_offset

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if index >= len(self):
            raise IndexError(f"{type(self).__name__} index out of range")
        state = torch.get_rng_state()
        torch.manual_seed(index + self.random_offset)
        values = torch.randn(*self.image_size)
        target: Any = torch.randint(0, self.num_classes, size=(1,), dtype=torch.long)[0]
        torch.set_rng_state(state)
        picture: Any = ToPILImage()(values)
        if self.transform is not None:
            picture = self.transform(picture)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return picture, target.item()

    def __len__(self) -> int:
        return self.size
