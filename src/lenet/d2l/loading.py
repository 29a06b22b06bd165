"""Fashion-MNIST from memory, loaders of tensors, and points on a line with noise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from lenet import data
from lenet.d2l.memory_loader import MemoryLoader, Resize
from lenet.machine import keep_freed_memory


def get_dataloader_workers() -> int:
    """0: batches are cut out of memory, where worker processes would only cost time."""
    return 0


def load_data_fashion_mnist(
    batch_size: int, resize: Resize = None
) -> tuple[MemoryLoader, MemoryLoader]:
    """Loaders of the 60,000 training pictures, in a new order each epoch, and the 10,000 others.

    A batch is X (n, 1, 28, 28) float32 in 0 … 1 and y (n,) int64. Raises
    ``lenet.data.DataError`` where the data set is not here and cannot be downloaded.
    """
    dataset = data.load("fashion-mnist", progress=True)
    # A step of PyTorch's on the tutorials' network would else map 26 MB anew: 6,700 page faults.
    keep_freed_memory()
    return (
        MemoryLoader(dataset.train, batch_size, shuffle=True, resize=resize),
        MemoryLoader(dataset.test, batch_size, shuffle=False, resize=resize),
    )


def get_fashion_mnist_labels(labels: Iterable[Any]) -> list[str]:
    """The classes' names for these numbers."""
    names = data.KNOWN["fashion-mnist"].classes
    return [names[int(label)] for label in labels]


def load_array(
    data_arrays: Sequence[Tensor], batch_size: int, is_train: bool = True
) -> torch.utils.data.DataLoader[Any]:
    """A DataLoader of tensors with the same first dimension, shuffled where ``is_train``."""
    dataset = torch.utils.data.TensorDataset(*data_arrays)
    return torch.utils.data.DataLoader(dataset, batch_size, shuffle=is_train)


def synthetic_data(w: Tensor, b: float | Tensor, num_examples: int) -> tuple[Tensor, Tensor]:
    """X (n, len(w)) from a standard normal, and y (n, 1) = Xw + b with noise of deviation 0.01."""
    X = torch.normal(0.0, 1.0, (num_examples, len(w)))
    y = X @ w + b
    y = y + torch.normal(0.0, 0.01, y.shape)
    return X, y.reshape(-1, 1)
