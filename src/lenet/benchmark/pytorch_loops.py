"""PyTorch as its users write it, to compare with: the shortest loops, and the tutorials' loop.

``training``, ``evaluation`` and ``one_picture`` keep the pictures in memory as float32, normalised
once, and do nothing that the task does not need: the fastest of what people write by hand.
``train_ch6`` is the loop of the d2l book's chapter 6, which the tutorials copy, and ``loader`` is
what feeds it: each picture is decoded anew, by four worker processes that every pass over the data
starts anew.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lenet.engines import Pictures
from lenet.network.architecture import Network

WORKERS = 4  # as d2l's get_dataloader_workers
VARIANTS = ("eager", "channels-last", "compile")

Batches = Iterable[tuple[Tensor, Tensor]]  # X (n, c, h, w) float32, y (n,) int64


# --- the shortest loops ------------------------------------------------------------------------


def in_memory(network: Network, split: Pictures, variant: str) -> tuple[Tensor, Tensor]:
    """All pictures as the network's first layer sees them, (n, c, h, w) float32, and labels."""
    mean, deviation = (
        torch.tensor(values).view(-1, 1, 1)
        for values in (network.normalization.mean, network.normalization.deviation)
    )
    X = (torch.from_numpy(split.images).float() / 255 - mean) / deviation
    if variant == "channels-last":
        X = X.to(memory_format=torch.channels_last)
    return X, torch.from_numpy(split.labels)


def training(
    net: nn.Module,
    data: tuple[Tensor, Tensor],
    order: NDArray[np.int64],
    batch_size: int,
    learning_rate: float,
    variant: str,
) -> Callable[[int], float]:
    """A function that takes that many steps of SGD, and returns the loss before the last one.

    The batches are those of ``order``, over and over; "compile" has ``torch.compile`` translate
    the network with its loss.
    """
    (X_all, y_all), loss = data, nn.CrossEntropyLoss()
    net = _prepared(net, variant).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate)

    def forward(X: Tensor, y: Tensor) -> Tensor:
        mean_loss: Tensor = loss(net(X), y)
        return mean_loss

    step = torch.compile(forward, dynamic=False) if variant == "compile" else forward
    starts = range(0, len(order) - batch_size + 1, batch_size)
    indices = torch.from_numpy(order)
    batches = itertools.cycle([indices[start : start + batch_size] for start in starts])

    def train(steps: int) -> float:
        mean_loss = torch.tensor(0.0)
        for chosen in itertools.islice(batches, steps):
            X, y = X_all[chosen], y_all[chosen]
            optimizer.zero_grad()
            mean_loss = step(X, y)
            mean_loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return float(mean_loss.detach())

    return train


def evaluation(
    net: nn.Module, data: tuple[Tensor, Tensor], batch_size: int, different: int, variant: str
) -> Callable[[int], int]:
    """A function that classifies that many batches, and returns how many pictures it got right.

    There are up to ``different`` ones, over and over.
    """
    (X_all, y_all), net = data, _for_inference(net, variant)
    starts = range(0, len(y_all) - batch_size + 1, batch_size)[:different]
    batches = itertools.cycle([slice(start, start + batch_size) for start in starts])

    def evaluate(count: int) -> int:
        right = torch.tensor(0)
        with torch.no_grad():
            for part in itertools.islice(batches, count):
                right = right + (net(X_all[part]).argmax(1) == y_all[part]).sum()
        return int(right)

    return evaluate


def one_picture(
    net: nn.Module, data: tuple[Tensor, Tensor], different: int, variant: str
) -> Callable[[int], Tensor]:
    """A function that looks at that many single pictures, and returns the last logits (1, k)."""
    net = _for_inference(net, variant)
    pictures = itertools.cycle([data[0][i : i + 1] for i in range(different)])

    def look(count: int) -> Tensor:
        logits = torch.tensor(0.0)
        with torch.inference_mode():
            for picture in itertools.islice(pictures, count):
                logits = net(picture)
        return logits

    return look


def _prepared(net: nn.Module, variant: str) -> nn.Module:
    # Module.to's annotations know no memory format
    return (
        cast(Any, net).to(memory_format=torch.channels_last) if variant == "channels-last" else net
    )


def _for_inference(net: nn.Module, variant: str) -> Any:
    net = _prepared(net, variant).eval()
    return torch.compile(net, dynamic=False) if variant == "compile" else net


# --- the tutorials' loop -----------------------------------------------------------------------


class Decoded:
    """A data set as torchvision's are: each picture is made a PIL image, then ToTensor's tensor."""

    def __init__(self, split: Pictures) -> None:
        self._images = torch.from_numpy(split.images).permute(0, 2, 3, 1).contiguous()
        self._labels = torch.from_numpy(split.labels)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        pixels = self._images[index].numpy()  # (h, w, c)
        picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        X = torch.from_numpy(np.array(picture, np.uint8))
        X = X.view(picture.height, picture.width, -1).permute(2, 0, 1).contiguous()
        return X.to(torch.float32).div(255), int(self._labels[index])


def loader(split: Pictures, batch_size: int, shuffle: bool, workers: int = WORKERS) -> Batches:
    """d2l's iterator over a split; whoever iterates starts the worker processes, each time."""
    decoded: Any = Decoded(split)
    batches: Batches = DataLoader(decoded, batch_size, shuffle=shuffle, num_workers=workers)
    return batches


class Accumulator:
    """Sums over several values, as Python's floats."""

    def __init__(self, count: int) -> None:
        self.sums = [0.0] * count

    def add(self, *values: Any) -> None:
        """Add each value to its sum; a tensor's is waited for."""
        self.sums = [total + float(value) for total, value in zip(self.sums, values, strict=True)]


def accuracy(y_hat: Tensor, y: Tensor) -> float:
    """How many of the predictions (n, k) are right."""
    right = y_hat.argmax(1).type(y.dtype) == y
    return float(right.type(y.dtype).sum())


def train_epoch(
    net: nn.Module, train_iter: Batches, loss: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[float, float]:
    """The mean loss and the accuracy of an epoch of train_ch6, summed batch by batch as there."""
    metric = Accumulator(3)
    net.train()
    for X, y in train_iter:
        optimizer.zero_grad()
        y_hat = net(X)
        mean_loss = loss(y_hat, y)
        mean_loss.backward()
        optimizer.step()
        with torch.no_grad():
            metric.add(mean_loss * X.shape[0], accuracy(y_hat, y), X.shape[0])
    return metric.sums[0] / metric.sums[2], metric.sums[1] / metric.sums[2]


def evaluate_accuracy(net: nn.Module, data_iter: Batches) -> float:
    """The accuracy over a data set, as evaluate_accuracy_gpu computes it."""
    metric = Accumulator(2)
    net.eval()
    with torch.no_grad():
        for X, y in data_iter:
            metric.add(accuracy(net(X), y), y.numel())
    return metric.sums[0] / metric.sums[1]


def train_ch6(
    net: nn.Module, train_iter: Batches, test_iter: Batches, num_epochs: int, lr: float
) -> tuple[float, float, float]:
    """The last epoch's loss, training and test accuracy, after training as the tutorials do.

    Nothing is drawn: their figure, redrawn six times an epoch, comes on top of this.
    """
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
    optimizer, loss = torch.optim.SGD(net.parameters(), lr=lr), nn.CrossEntropyLoss()
    train_loss = train_acc = test_acc = float("nan")
    for _ in range(num_epochs):
        train_loss, train_acc = train_epoch(net, train_iter, loss, optimizer)
        test_acc = evaluate_accuracy(net, test_iter)
    return train_loss, train_acc, test_acc
