"""The classic edition's functions: regression by hand (chapter 3), train_ch6 (chapter 6)."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lenet.d2l import module_training
from lenet.d2l.animation import Animator
from lenet.d2l.blocks import init_cnn
from lenet.d2l.devices import try_gpu
from lenet.d2l.growing_curves import tell
from lenet.d2l.loading import get_fashion_mnist_labels
from lenet.d2l.measuring import Accumulator, Net, accuracy, evaluate_accuracy
from lenet.d2l.module_training import History
from lenet.d2l.plotting import show_images


def linreg(X: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Xw + b."""
    return X @ w + b


def squared_loss(y_hat: Tensor, y: Tensor) -> Tensor:
    """Half the squared difference, in the shape of ``y_hat``."""
    return (y_hat - y.reshape(y_hat.shape)) ** 2 / 2


def sgd(params: Iterable[Tensor], lr: float, batch_size: int) -> None:
    """Take one step down the gradients, which are sums over the batch, and set them to 0."""
    with torch.no_grad():
        for param in params:
            if param.grad is not None:
                param -= lr * param.grad / batch_size
                param.grad.zero_()


def train_epoch_ch3(
    net: Net,
    train_iter: Iterable[Any],
    loss: Callable[..., Tensor],
    updater: torch.optim.Optimizer | Callable[[int], Any],
) -> tuple[float, float]:
    """Mean loss and accuracy of one epoch of training.

    ``updater`` is an optimiser, or a function of the batch size that takes a step down the
    gradients of the summed loss, as ``sgd`` does.
    """
    if isinstance(net, nn.Module):
        net.train()
    metric = Accumulator(3)
    for X, y in train_iter:
        y_hat = net(X)
        losses = loss(y_hat, y)  # one an example, or their mean
        if isinstance(updater, torch.optim.Optimizer):
            updater.zero_grad()
            losses.mean().backward()  # type: ignore[no-untyped-call]
            updater.step()
        else:
            losses.sum().backward()  # type: ignore[no-untyped-call]
            updater(X.shape[0])
        metric.add(losses.mean() * y.numel(), accuracy(y_hat, y), y.numel())
    return metric[0] / metric[2], metric[1] / metric[2]


def train_ch3(
    net: Net,
    train_iter: Iterable[Any],
    test_iter: Iterable[Any],
    loss: Callable[..., Tensor],
    num_epochs: int,
    updater: torch.optim.Optimizer | Callable[[int], Any],
) -> list[tuple[float, float, float]]:
    """Train loss, train accuracy and test accuracy of each epoch, which are drawn, too."""
    animator = Animator(
        xlabel="epoch",
        xlim=[1, num_epochs],
        ylim=[0.3, 0.9],
        legend=["train loss", "train acc", "test acc"],
    )
    history = []
    for epoch in range(num_epochs):
        train_metrics = train_epoch_ch3(net, train_iter, loss, updater)
        history.append((*train_metrics, evaluate_accuracy(net, test_iter)))
        animator.add(epoch + 1, history[-1])
    return history


def predict_ch3(net: Net, test_iter: Iterable[Any], n: int = 6) -> None:
    """Show the first ``n`` pictures, each under its class and the predicted one."""
    X, y = next(iter(test_iter))
    with torch.no_grad():
        predicted = net(X).argmax(dim=1)
    pairs = zip(get_fashion_mnist_labels(y), get_fashion_mnist_labels(predicted), strict=True)
    titles = [f"{true}\n{guess}" for true, guess in pairs]
    show_images(X[:n, 0] if X.ndim == 4 else X[:n], 1, n, titles=titles[:n])


def grad_clipping(net: Any, theta: float) -> None:
    """Shorten the gradients, all by one factor, to the norm ``theta`` at most.

    ``net`` is a module, or has its parameters in ``params``.
    """
    parameters = net.parameters() if isinstance(net, nn.Module) else net.params
    gradients = [p.grad for p in parameters if p.requires_grad and p.grad is not None]
    norm = torch.sqrt(sum((g**2).sum() for g in gradients))  # type: ignore[arg-type]
    if norm > theta:
        for gradient in gradients:
            gradient *= theta / norm


def train_ch6(
    net: nn.Module,
    train_iter: Any,
    test_iter: Any,
    num_epochs: int,
    lr: float,
    device: torch.device | str | None = None,
    *,
    save: str | os.PathLike[str] | None = None,
) -> History:
    """The readings of a training by SGD, after Xavier's initial weights; drawn and printed.

    Without a ``device`` it is that of ``try_gpu()``, as in the book's earlier versions. The native
    engine does it where it can, see ``module_training.native_loop``; the variable
    LENET_ACCELERATE=0 forbids it. ``save`` is a ``.safetensors`` file for the weights.
    """
    if operator.index(num_epochs) < 1:
        raise ValueError(f"num_epochs is {num_epochs}, must be at least 1")
    if not len(train_iter):
        raise ValueError("train_iter has no batches")
    target = None if save is None else module_training.check_target(Path(save))
    device = try_gpu() if device is None else device
    where = torch.device(device)
    net.apply(init_cnn)
    print("training on", device)
    net.to(where)
    animator = Animator(
        xlabel="epoch", xlim=[1, num_epochs], legend=["train loss", "train acc", "test acc"]
    )
    loop: module_training.Loop | None = module_training.native_loop(
        net, train_iter, test_iter, lr, where
    )
    if loop is not None:
        tell("accelerated by the native engine; LENET_ACCELERATE=0 leaves it to PyTorch")
    loop = loop or module_training.PlainLoop(net, train_iter, test_iter, lr, where)
    history = module_training.run(loop, num_epochs, len(train_iter), animator.add, where)
    last = history.readings[-1]
    print(
        f"loss {last.train_loss:.3f}, train acc {last.train_acc:.3f}, test acc {last.test_acc:.3f}"
    )
    print(f"{history.examples_per_s:.1f} examples/sec on {device}")
    if target is not None:
        module_training.save(net, target, train_iter)
    return history
