"""The names of ``d2lzh_pytorch``: the first Chinese edition's, as ShusenTang's PyTorch version has
them up to its chapter 5, and ``train_2d`` and ``show_trace_2d`` of chapter 7.

``lenet run`` answers ``import d2lzh_pytorch as d2l`` with it. It is a module beside ``lenet.d2l``
since functions of one name take their arguments in another order: ``evaluate_accuracy(data_iter,
net)``. docs/d2l.md lists the names.
"""

from __future__ import annotations

import inspect
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lenet.d2l import blocks, loading
from lenet.d2l.blocks import corr2d
from lenet.d2l.classic import linreg, squared_loss
from lenet.d2l.loading import get_fashion_mnist_labels
from lenet.d2l.memory_loader import MemoryLoader, Resize
from lenet.d2l.module_training import accelerated_for
from lenet.d2l.plotting import FIGSIZE, set_figsize, use_svg_display

if TYPE_CHECKING:
    from matplotlib import pyplot as plt

__all__ = [
    "F",
    "FlattenLayer",
    "GlobalAvgPool2d",
    "Residual",
    "corr2d",
    "data_iter",
    "evaluate_accuracy",
    "get_fashion_mnist_labels",
    "linreg",
    "load_data_fashion_mnist",
    "nn",
    "np",
    "plt",
    "random",
    "resnet18",
    "resnet_block",
    "semilogy",
    "set_figsize",
    "sgd",
    "show_fashion_mnist",
    "show_trace_2d",
    "squared_loss",
    "sys",
    "time",
    "torch",
    "train_2d",
    "train_ch3",
    "train_ch5",
    "use_svg_display",
]

_PARTS = {
    "recurrent networks": """
        RNNModel data_iter_consecutive data_iter_random grad_clipping load_data_jay_lyrics one_hot
        predict_rnn predict_rnn_pytorch to_onehot train_and_predict_rnn
        train_and_predict_rnn_pytorch
        """,
    "optimization algorithms": "get_data_ch7 train_ch7 train_pytorch_ch7",
    "computational performance": "Benchmark",
    "computer vision": """
        MultiBoxDetection MultiBoxPrior MultiBoxTarget PikachuDetDataset VOCSegDataset VOC_CLASSES
        VOC_COLORMAP assign_anchor bbox_to_rect compute_intersection compute_jaccard
        load_data_pikachu non_max_suppression read_voc_images show_bboxes show_images train
        voc_label_indices voc_rand_crop xy_to_cxcy
        """,
    "natural language processing": """
        get_tokenized_imdb get_vocab_imdb load_pretrained_embedding predict_sentiment
        preprocess_imdb read_imdb
        """,
}


def __getattr__(name: str) -> Any:
    if name == "plt":
        from matplotlib import pyplot

        globals()["plt"] = pyplot
        return pyplot
    text = f"module 'd2lzh_pytorch' has no attribute {name!r}"
    for part, names in _PARTS.items():
        if name in names.split():
            text += (
                f": in the book it belongs to {part}, which LeNet leaves out; "
                "docs/d2l.md lists what is here"
            )
    raise AttributeError(text, name=name, obj=sys.modules[__name__])


# --- chapter 3 ---------------------------------------------------------------------------------


def data_iter(batch_size: int, features: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of features and labels in a new order, which ``random`` decides."""
    order = [*range(len(features))]
    random.shuffle(order)
    for start in range(0, len(order), batch_size):
        rows = torch.tensor(order[start : start + batch_size])
        yield features.index_select(0, rows), labels.index_select(0, rows)


def sgd(params: Iterable[Tensor], lr: float, batch_size: int) -> None:
    """Take one step down the gradients, which are sums over the batch and stay as they are."""
    with torch.no_grad():
        for param in params:
            if param.grad is not None:
                param -= lr * param.grad / batch_size


def show_fashion_mnist(images: Sequence[Tensor], labels: Sequence[str]) -> None:
    """Show the pictures in a row, each under its label."""
    import matplotlib.pyplot as plt

    use_svg_display()
    row = plt.subplots(1, len(images), figsize=(12, 12), squeeze=False)[1][0]
    for axes, image, label in zip(row, images, labels, strict=False):
        axes.imshow(image.detach().cpu().reshape(image.shape[-2:]).numpy())
        axes.set_title(label)
        axes.xaxis.set_visible(False)
        axes.yaxis.set_visible(False)


def load_data_fashion_mnist(
    batch_size: int, resize: Resize = None, root: str = "~/Datasets/FashionMNIST"
) -> tuple[MemoryLoader, MemoryLoader]:
    """Loaders of training and test pictures from memory, as ``lenet.d2l`` has them.

    ``root`` is not looked at: LeNet finds the data set itself.
    """
    return loading.load_data_fashion_mnist(batch_size, resize)


def evaluate_accuracy(
    data_iter: Iterable[Any], net: Any, device: torch.device | str | None = None
) -> float:
    """The share of examples that ``net`` classifies rightly.

    A module is left in training mode. A function that has the parameter ``is_training`` gets
    False for it.
    """
    module = isinstance(net, nn.Module)
    options: dict[str, Any] = {}
    if module:
        device = device or next((p.device for p in net.parameters()), None)
    elif "is_training" in _parameters_of(net):
        options["is_training"] = False
    right, count = 0, 0
    if module:
        net.eval()
    with torch.no_grad():
        for X, y in data_iter:
            if module and device is not None:
                X, y = X.to(device), y.to(device)
            right += int((net(X, **options).argmax(dim=1) == y).sum())
            count += len(y)
    if module:
        net.train()
    if not count:
        raise ValueError("there are no examples to measure the accuracy on")
    return right / count


def _parameters_of(function: Callable[..., Any]) -> Iterable[str]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # of a callable that is not Python's
        return ()


def train_ch3(
    net: Any,
    train_iter: Iterable[Any],
    test_iter: Iterable[Any],
    loss: Callable[..., Tensor],
    num_epochs: int,
    batch_size: int,
    params: Sequence[Tensor] | None = None,
    lr: float | None = None,
    optimizer: torch.optim.Optimizer | None = None,
) -> None:
    """Train the network; print each epoch's loss and accuracies.

    Without an ``optimizer``, ``sgd`` takes the steps on ``params`` with the rate ``lr``.
    """
    if optimizer is None and (params is None or lr is None):
        raise ValueError("give train_ch3 either params and lr, or an optimizer")
    for epoch in range(num_epochs):
        loss_sum, right, count = 0.0, 0, 0
        for X, y in train_iter:
            y_hat = net(X)
            batch_loss = loss(y_hat, y).sum()
            if optimizer is not None:
                optimizer.zero_grad()
            else:
                for param in params or ():
                    param.grad = None
            batch_loss.backward()  # type: ignore[no-untyped-call]
            if optimizer is not None:
                optimizer.step()
            else:
                sgd(params or (), lr or 0.0, batch_size)
            loss_sum += batch_loss.item()
            right += int((y_hat.argmax(dim=1) == y).sum())
            count += len(y)
        test_acc = evaluate_accuracy(test_iter, net)
        print(
            f"epoch {epoch + 1}, loss {loss_sum / count:.4f}, "
            f"train acc {right / count:.3f}, test acc {test_acc:.3f}"
        )


class FlattenLayer(nn.Module):
    """All but the first dimension in one."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, …) as (n, features)."""
        return x.view(x.shape[0], -1)


def semilogy(
    x_vals: Sequence[float],
    y_vals: Sequence[float],
    x_label: str,
    y_label: str,
    x2_vals: Sequence[float] | None = None,
    y2_vals: Sequence[float] | None = None,
    legend: Sequence[str] | None = None,
    figsize: tuple[float, float] = FIGSIZE,
) -> None:
    """Draw one or two curves over a logarithmic y axis."""
    import matplotlib.pyplot as plt

    set_figsize(figsize)
    plt.xlabel(x_label)
    plt.ylabel(y_label)
    plt.semilogy(x_vals, y_vals)
    if x2_vals is not None and y2_vals is not None and len(x2_vals) and len(y2_vals):
        plt.semilogy(x2_vals, y2_vals, linestyle=":")
        plt.legend(legend or [])


# --- chapter 5 ---------------------------------------------------------------------------------


def train_ch5(
    net: nn.Module,
    train_iter: Iterable[Any],
    test_iter: Iterable[Any],
    batch_size: int,
    optimizer: torch.optim.Optimizer,
    device: torch.device | str,
    num_epochs: int,
) -> None:
    """Train the network with cross-entropy; print each epoch's figures.

    On a CPU the native engine computes the network where it can (``lenet.accelerate``).
    """
    net = net.to(device)
    print("training on ", device)
    fast: nn.Module | None = None
    for epoch in range(num_epochs):
        loss_sum, right, count, batches, began = 0.0, 0, 0, 0, time.time()
        for X, y in train_iter:
            X, y = X.to(device), y.to(device)
            fast = fast or accelerated_for(net, X) or net
            y_hat = fast(X)
            batch_loss = F.cross_entropy(y_hat, y)
            optimizer.zero_grad()
            batch_loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            loss_sum += batch_loss.item()
            right += int((y_hat.argmax(dim=1) == y).sum())
            count += len(y)
            batches += 1
        if not batches:
            raise ValueError("train_iter gave no batches")
        test_acc = evaluate_accuracy(test_iter, fast or net)
        net.train()
        print(
            f"epoch {epoch + 1}, loss {loss_sum / batches:.4f}, train acc {right / count:.3f}, "
            f"test acc {test_acc:.3f}, time {time.time() - began:.1f} sec"
        )


class GlobalAvgPool2d(nn.Module):
    """The mean of each channel: (n, channels, height, width) to (n, channels, 1, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        """The means."""
        return F.avg_pool2d(x, kernel_size=x.shape[2:])


class Residual(blocks.Residual):
    """A block of ResNet, with this edition's names of its arguments."""

    def __init__(
        self, in_channels: int, out_channels: int, use_1x1conv: bool = False, stride: int = 1
    ) -> None:
        super().__init__(in_channels, out_channels, use_1x1conv, stride)


def resnet_block(
    in_channels: int, out_channels: int, num_residuals: int, first_block: bool = False
) -> nn.Sequential:
    """Blocks one after the other; the first halves the sides, unless it is the network's first."""
    if first_block and in_channels != out_channels:
        raise ValueError(
            f"the first block has {in_channels} channels in and {out_channels} out; "
            "they must be equal"
        )
    first = (
        Residual(out_channels, out_channels)
        if first_block
        else Residual(in_channels, out_channels, use_1x1conv=True, stride=2)
    )
    others = [Residual(out_channels, out_channels) for _ in range(1, num_residuals)]
    return nn.Sequential(*[first, *others][:num_residuals])


def resnet18(output: int = 10, in_channels: int = 3) -> nn.Sequential:
    """ResNet-18 with this number of classes and of the pictures' channels."""
    net = nn.Sequential(
        nn.Conv2d(in_channels, 64, kernel_size=7, stride=2, padding=3),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
    )
    net.add_module("resnet_block1", resnet_block(64, 64, 2, first_block=True))
    for number, channels in enumerate((64, 128, 256), 2):
        net.add_module(f"resnet_block{number}", resnet_block(channels, 2 * channels, 2))
    net.add_module("global_avg_pool", GlobalAvgPool2d())
    net.add_module("fc", nn.Sequential(FlattenLayer(), nn.Linear(512, output)))
    return net


# --- chapter 7 ---------------------------------------------------------------------------------


def train_2d(trainer: Callable[..., Any]) -> list[tuple[float, float]]:
    """The 21 places of a descent that begins at (-5, -2); the last one is printed.

    ``trainer(x1, x2, s1, s2)`` gives the next four; s1 and s2 begin at 0.
    """
    x1, x2, s1, s2 = -5.0, -2.0, 0.0, 0.0
    places = [(x1, x2)]
    for _ in range(20):
        x1, x2, s1, s2 = trainer(x1, x2, s1, s2)
        places.append((x1, x2))
    print(f"epoch {len(places) - 1}, x1 {x1:f}, x2 {x2:f}")
    return places


def show_trace_2d(f: Callable[..., Any], results: Sequence[tuple[float, float]]) -> None:
    """Draw the places over the contours of ``f(x1, x2)``."""
    import matplotlib.pyplot as plt

    plt.plot(*zip(*results, strict=True), "-o", color="#ff7f0e")
    x1, x2 = np.meshgrid(np.arange(-5.5, 1.0, 0.1), np.arange(-3.0, 1.0, 0.1))
    plt.contour(x1, x2, f(x1, x2), colors="#1f77b4")
    plt.xlabel("x1")
    plt.ylabel("x2")
