"""The names of the d2l book's package (classic edition, chapters 3 to 7), on today's Python.

``from lenet import d2l`` does for code that says ``from d2l import torch as d2l``; ``lenet run``
does it for files as they stand. What is the same, what differs and why: docs/d2l.md.

Reference: A. Zhang, Z. C. Lipton, M. Li, A. J. Smola, "Dive into Deep Learning".
"""

from __future__ import annotations

import operator
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lenet import data as _data
from lenet import engines as _engines
from lenet import module_training as _training
from lenet.animation import Animator, tell
from lenet.memory_loader import MemoryLoader, Resize
from lenet.module_training import History
from lenet.plotting import plot, set_axes, set_figsize, show_images, use_svg_display

if TYPE_CHECKING:
    from matplotlib import pyplot as plt

__all__ = [
    "Accumulator",
    "Animator",
    "F",
    "History",
    "Residual",
    "Timer",
    "accuracy",
    "arange",
    "argmax",
    "astype",
    "concat",
    "corr2d",
    "corr2d_multi_in",
    "corr2d_multi_in_out",
    "cos",
    "evaluate_accuracy",
    "evaluate_accuracy_gpu",
    "evaluate_loss",
    "exp",
    "eye",
    "float32",
    "get_dataloader_workers",
    "get_fashion_mnist_labels",
    "int32",
    "linreg",
    "linspace",
    "load_array",
    "load_data_fashion_mnist",
    "log",
    "matmul",
    "nn",
    "normal",
    "np",
    "numpy",
    "ones",
    "plot",
    "plt",
    "pool2d",
    "predict_ch3",
    "rand",
    "reduce_sum",
    "reshape",
    "set_axes",
    "set_figsize",
    "sgd",
    "show_images",
    "sin",
    "size",
    "squared_loss",
    "stack",
    "synthetic_data",
    "tanh",
    "tensor",
    "to",
    "torch",
    "train_ch3",
    "train_ch6",
    "train_epoch_ch3",
    "transpose",
    "try_all_gpus",
    "try_gpu",
    "use_svg_display",
    "zeros",
]

# The book's own words for PyTorch's, so that its text is the same for every framework.
arange, linspace, ones, zeros, eye = (
    torch.arange,
    torch.linspace,
    torch.ones,
    torch.zeros,
    torch.eye,
)
tensor, normal, rand, concat, stack = torch.tensor, torch.normal, torch.rand, torch.cat, torch.stack
matmul, exp, log, sin, cos, tanh = (
    torch.matmul,
    torch.exp,
    torch.log,
    torch.sin,
    torch.cos,
    torch.tanh,
)
float32, int32 = torch.float32, torch.int32
argmax, astype, reduce_sum, reshape = Tensor.argmax, Tensor.type, Tensor.sum, Tensor.reshape
size, to, transpose = Tensor.numel, Tensor.to, Tensor.t

Net = Callable[[Tensor], Tensor]  # a module, or a function from pictures to outputs


def __getattr__(name: str) -> Any:
    if name != "plt":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from matplotlib import pyplot

    globals()["plt"] = pyplot
    return pyplot


def numpy(tensor: Tensor) -> Any:
    """The tensor as a NumPy array, detached."""
    return tensor.detach().numpy()


# --- measuring ---------------------------------------------------------------------------------


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
    return float(_training.count_correct(y_hat, y))


def evaluate_accuracy(net: Net, data_iter: Iterable[Any]) -> float:
    """The share of examples that ``net`` classifies rightly; a module is left in eval mode."""
    return _training.accuracy_on(net, data_iter, None)


def evaluate_accuracy_gpu(
    net: Net, data_iter: Iterable[Any], device: torch.device | str | None = None
) -> float:
    """The same on ``device``, without one on that of the module's first parameter."""
    return _training.accuracy_on(net, data_iter, device)


def evaluate_loss(net: Net, data_iter: Iterable[Any], loss: Callable[..., Tensor]) -> float:
    """The mean of ``loss(net(X), y)`` over its elements."""
    metric = Accumulator(2)
    with torch.no_grad():
        for X, y in data_iter:
            out = net(X)
            losses = loss(out, y.reshape(out.shape))
            metric.add(losses.sum(), losses.numel())
    return metric[0] / metric[1]


# --- devices -----------------------------------------------------------------------------------


def try_gpu(i: int = 0) -> torch.device:
    """GPU number ``i``; where there is none so numbered, the cpu. Apple's (mps) is number 0."""
    gpus = try_all_gpus()
    return gpus[i] if 0 <= i < len(gpus) else torch.device("cpu")


def try_all_gpus() -> list[torch.device]:
    """All CUDA devices, else Apple's GPU, else the cpu."""
    if count := torch.cuda.device_count():
        return [torch.device(f"cuda:{i}") for i in range(count)]
    return [torch.device("mps" if torch.backends.mps.is_available() else "cpu")]


# --- data --------------------------------------------------------------------------------------


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
    dataset = _data.load("fashion-mnist", progress=True)
    # A step of PyTorch's on the tutorials' network would else map 26 MB anew: 6,700 page faults.
    _engines.keep_freed_memory()
    return (
        MemoryLoader(dataset.train, batch_size, shuffle=True, resize=resize),
        MemoryLoader(dataset.test, batch_size, shuffle=False, resize=resize),
    )


def get_fashion_mnist_labels(labels: Iterable[Any]) -> list[str]:
    """The classes' names for these numbers."""
    names = _data.KNOWN["fashion-mnist"].classes
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


# --- chapter 3: linear and softmax regression --------------------------------------------------


def linreg(X: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Xw + b."""
    return X @ w + b


def squared_loss(y_hat: Tensor, y: Tensor) -> Tensor:
    """Half the squared difference, in the shape of ``y_hat``."""
    return (y_hat - y.reshape(y_hat.shape)) ** 2 / 2


def sgd(params: Iterable[Tensor], lr: float, batch_size: int) -> None:
    """Nothing; one step down the gradients, which are sums over the batch, and then set to 0."""
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
    """Nothing; the first ``n`` pictures are shown, each under its class and the predicted one."""
    X, y = next(iter(test_iter))
    with torch.no_grad():
        predicted = net(X).argmax(dim=1)
    pairs = zip(get_fashion_mnist_labels(y), get_fashion_mnist_labels(predicted), strict=True)
    titles = [f"{true}\n{guess}" for true, guess in pairs]
    show_images(X[:n, 0] if X.ndim == 4 else X[:n], 1, n, titles=titles[:n])


# --- chapter 6: convolutional networks ---------------------------------------------------------


def corr2d(X: Tensor, K: Tensor) -> Tensor:
    """The cross-correlation of (height, width) with a kernel; gradients pass through.

    >>> corr2d(torch.arange(9.0).reshape(3, 3), torch.arange(4.0).reshape(2, 2))
    tensor([[19., 25.],
            [37., 43.]])
    """
    return (_windows(X, K.shape[0], K.shape[1]) * K).sum((-2, -1))


def corr2d_multi_in(X: Tensor, K: Tensor) -> Tensor:
    """The sum over the channels of X and K, both (channels, height, width), of ``corr2d``."""
    return torch.stack([corr2d(x, k) for x, k in zip(X, K, strict=True)]).sum(0)


def corr2d_multi_in_out(X: Tensor, K: Tensor) -> Tensor:
    """``corr2d_multi_in`` with each kernel of K (out, in, height, width): (out, height, width)."""
    return torch.stack([corr2d_multi_in(X, k) for k in K])


def pool2d(X: Tensor, pool_size: tuple[int, int], mode: str = "max") -> Tensor:
    """The maximum or, with ``mode="avg"``, the mean of each window of (height, width), stride 1.

    >>> pool2d(torch.arange(9.0).reshape(3, 3), (2, 2), "avg")
    tensor([[2., 3.],
            [5., 6.]])
    """
    if mode not in ("max", "avg"):
        raise ValueError(f"mode is {mode!r}, must be 'max' or 'avg'")
    windows = _windows(X, *pool_size)
    return windows.amax((-2, -1)) if mode == "max" else windows.mean((-2, -1))


def _windows(X: Tensor, height: int, width: int) -> Tensor:
    """Every window of X, (rows, columns, height, width), floating."""
    if X.ndim != 2 or X.shape[0] < height or X.shape[1] < width:
        raise ValueError(f"no window of {height}×{width} fits into {tuple(X.shape)}")
    X = X if X.is_floating_point() else X.to(torch.get_default_dtype())
    return X.unfold(0, height, 1).unfold(1, width, 1)


def train_ch6(
    net: nn.Module,
    train_iter: Any,
    test_iter: Any,
    num_epochs: int,
    lr: float,
    device: torch.device | str,
    *,
    save: str | os.PathLike[str] | None = None,
) -> History:
    """The readings of a training by SGD, after Xavier's initial weights; drawn and printed.

    The native engine does it where it can, see ``module_training.native_loop``; the variable
    LENET_ACCELERATE=0 forbids it. ``save`` is a ``.safetensors`` file for the weights.
    """
    if operator.index(num_epochs) < 1:
        raise ValueError(f"num_epochs is {num_epochs}, must be at least 1")
    if not len(train_iter):
        raise ValueError("train_iter has no batches")
    target = None if save is None else _training.check_target(Path(save))
    where = torch.device(device)

    def init_weights(m: nn.Module) -> None:
        if type(m) in (nn.Linear, nn.Conv2d):
            nn.init.xavier_uniform_(m.weight)  # type: ignore[arg-type]

    net.apply(init_weights)
    print("training on", device)
    net.to(where)
    animator = Animator(
        xlabel="epoch", xlim=[1, num_epochs], legend=["train loss", "train acc", "test acc"]
    )
    loop: _training.Loop | None = _training.native_loop(net, train_iter, test_iter, lr, where)
    if loop is not None:
        tell("accelerated by the native engine; LENET_ACCELERATE=0 leaves it to PyTorch")
    loop = loop or _training.PlainLoop(net, train_iter, test_iter, lr, where)
    history = _training.run(loop, num_epochs, len(train_iter), animator.add, where)
    last = history.readings[-1]
    print(
        f"loss {last.train_loss:.3f}, train acc {last.train_acc:.3f}, test acc {last.test_acc:.3f}"
    )
    print(f"{history.examples_per_s:.1f} examples/sec on {device}")
    if target is not None:
        _training.save(net, target, train_iter)
    return history


# --- chapter 7: residual networks --------------------------------------------------------------


class Residual(nn.Module):
    """A block of ResNet: two 3×3 convolutions, each with batch normalisation, and the input added.

    The first has ``strides``; with ``use_1x1conv`` the input passes a 1×1 convolution with the
    same, so that its shape is that of the output (n, num_channels, height, width).
    """

    def __init__(
        self, input_channels: int, num_channels: int, use_1x1conv: bool = False, strides: int = 1
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(
            input_channels, num_channels, kernel_size=3, padding=1, stride=strides
        )
        self.conv2 = nn.Conv2d(num_channels, num_channels, kernel_size=3, padding=1)
        self.conv3 = (
            nn.Conv2d(input_channels, num_channels, kernel_size=1, stride=strides)
            if use_1x1conv
            else None
        )
        self.bn1 = nn.BatchNorm2d(num_channels)
        self.bn2 = nn.BatchNorm2d(num_channels)

    def forward(self, X: Tensor) -> Tensor:
        Y = F.relu(self.bn1(self.conv1(X)))
        Y = self.bn2(self.conv2(Y))
        return F.relu(Y + (X if self.conv3 is None else self.conv3(X)))
