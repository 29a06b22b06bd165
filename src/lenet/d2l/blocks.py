"""Cross-correlation and pooling by hand, and the parts of convolutional networks."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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


def init_cnn(module: nn.Module) -> None:
    """Draw the weights of a convolution or Linear layer anew, by Xavier's rule."""
    if type(module) in (nn.Linear, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)  # type: ignore[arg-type]


class Residual(nn.Module):
    """A block of ResNet: two 3×3 convolutions, each with batch normalisation, and the input added.

    ``Residual(num_channels, use_1x1conv=False, strides=1)`` takes the input's channels from the
    first batch, as in the current edition; ``Residual(input_channels, num_channels, …)`` is told
    them, as in the classic one. The first convolution has ``strides``; with ``use_1x1conv`` the
    input passes a 1×1 convolution with the same, so that its shape is that of the output
    (n, num_channels, height, width).
    """

    def __init__(self, *sizes: Any, **named: Any) -> None:
        super().__init__()
        two = "input_channels" in named or (len(sizes) > 1 and not isinstance(sizes[1], bool))
        two |= bool(sizes) and "num_channels" in named
        read = _sizes_of_classic if two else _sizes_of_current
        input_channels, num_channels, use_1x1conv, strides = read(*sizes, **named)
        first: Any  # makes a convolution of the input
        second: Any
        norm: Any
        if input_channels is None:
            first = second = partial(nn.LazyConv2d, num_channels)
            norm = nn.LazyBatchNorm2d
        else:
            first = partial(nn.Conv2d, input_channels, num_channels)
            second = partial(nn.Conv2d, num_channels, num_channels)
            norm = partial(nn.BatchNorm2d, num_channels)
        self.conv1 = first(kernel_size=3, padding=1, stride=strides)
        self.conv2 = second(kernel_size=3, padding=1)
        self.conv3 = first(kernel_size=1, stride=strides) if use_1x1conv else None
        self.bn1 = norm()
        self.bn2 = norm()

    def forward(self, X: Tensor) -> Tensor:
        """The block's output."""
        Y = F.relu(self.bn1(self.conv1(X)))
        Y = self.bn2(self.conv2(Y))
        return F.relu(Y + (X if self.conv3 is None else self.conv3(X)))


Sizes = tuple[int | None, int, bool, int]


def _sizes_of_classic(
    input_channels: int, num_channels: int, use_1x1conv: bool = False, strides: int = 1
) -> Sizes:
    return input_channels, num_channels, use_1x1conv, strides


def _sizes_of_current(num_channels: int, use_1x1conv: bool = False, strides: int = 1) -> Sizes:
    return None, num_channels, use_1x1conv, strides


class ResNeXtBlock(nn.Module):
    """A block of ResNeXt: a 3×3 convolution in groups between two 1×1 ones, and the input added.

    Inside there are ``num_channels · bot_mul`` channels, ``groups`` of them in each group.
    """

    def __init__(
        self,
        num_channels: int,
        groups: int,
        bot_mul: float,
        use_1x1conv: bool = False,
        strides: int = 1,
    ) -> None:
        super().__init__()
        inside = round(num_channels * bot_mul)
        self.conv1 = nn.LazyConv2d(inside, kernel_size=1)
        self.conv2 = nn.LazyConv2d(
            inside, kernel_size=3, stride=strides, padding=1, groups=inside // groups
        )
        self.conv3 = nn.LazyConv2d(num_channels, kernel_size=1)
        self.bn1 = nn.LazyBatchNorm2d()
        self.bn2 = nn.LazyBatchNorm2d()
        self.bn3 = nn.LazyBatchNorm2d()
        self.conv4 = nn.LazyConv2d(num_channels, 1, stride=strides) if use_1x1conv else None
        self.bn4 = nn.LazyBatchNorm2d() if use_1x1conv else None

    def forward(self, X: Tensor) -> Tensor:
        """The block's output."""
        Y = F.relu(self.bn1(self.conv1(X)))
        Y = F.relu(self.bn2(self.conv2(Y)))
        Y = self.bn3(self.conv3(Y))
        if self.conv4 is not None and self.bn4 is not None:
            X = self.bn4(self.conv4(X))
        return F.relu(Y + X)
