"""Times, sums, accuracy and loss: how the book measures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sized
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lenet.d2l import module_training

Net = Callable[[Tensor], Tensor]  # a module, or a function from pictures to outputs


class Timer:
    """Times of several runs in seconds, ``times``; it starts when it is made."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.start()

    def start(self) -> None:
        """Begin a run."""
        self._started = time.perf_counter()

    def stop(self) -> float:
        """The time since the last start, which is added to ``times``."""
        self.times.append(time.perf_counter() - self._started)
        return self.times[-1]

    def avg(self) -> float:
        """The mean time of a run."""
        return sum(self.times) / len(self.times)

    def sum(self) -> float:
        """The time of all runs."""
        return sum(self.times)

    def cumsum(self) -> list[float]:
        """The time of all runs up to each."""
        return [float(total) for total in np.cumsum(self.times)]


class Accumulator:
    """``n`` sums; what is added may be tensors of one element, whose gradients are not kept."""

    def __init__(self, n: int) -> None:
        self.data = [0.0] * n

    def add(self, *args: Any) -> None:
        """Add a value to each sum."""
        values = [float(a.detach() if isinstance(a, Tensor) else a) for a in args]
        self.data = [total + value for total, value in zip(self.data, values, strict=True)]

    def reset(self) -> None:
        """All sums are 0 again."""
        self.data = [0.0] * len(self.data)

    def __getitem__(self, idx: int) -> float:
        return self.data[idx]


def accuracy(y_hat: Tensor, y: Tensor) -> float:
    """How many predictions are right: of outputs (n, classes), or of labels (n,)."""
    return float(module_training.count_correct(y_hat, y))


def evaluate_accuracy(net: Net, data_iter: Iterable[Any]) -> float:
    """The share of examples that ``net`` classifies rightly; a module is left in eval mode."""
    return module_training.accuracy_on(net, data_iter, None)


def evaluate_accuracy_gpu(
    net: Net, data_iter: Iterable[Any], device: torch.device | str | None = None
) -> float:
    """The same on ``device``, without one on that of the module's first parameter."""
    return module_training.accuracy_on(net, data_iter, device)


def evaluate_loss(net: Net, data_iter: Iterable[Any], loss: Callable[..., Tensor]) -> float:
    """The mean of ``loss(net(X), y)`` over its elements."""
    metric = Accumulator(2)
    with torch.no_grad():
        for X, y in data_iter:
            out = net(X)
            losses = loss(out, y.reshape(out.shape))
            metric.add(losses.sum(), losses.numel())
    return metric[0] / metric[1]


def check_len(a: Sized, n: int) -> None:
    """Raise AssertionError where there are not ``n`` elements."""
    if len(a) != n:
        raise AssertionError(f"the length is {len(a)}, must be {n}")


def check_shape(a: Any, shape: tuple[int, ...]) -> None:
    """Raise AssertionError where the tensor has another shape."""
    if tuple(a.shape) != tuple(shape):
        raise AssertionError(f"the shape is {tuple(a.shape)}, must be {tuple(shape)}")
