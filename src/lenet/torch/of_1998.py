"""Modules for the layers of 1998, which PyTorch lacks; they need nothing of LeNet.

They are those of LeCun et al. 1998, section II.B and appendix A; docs/1998.md tells of each.

``lenet export --to torch`` copies the classes that a network needs into the file that it writes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn


class ConnectedConv2d(nn.Conv2d):
    """A convolution whose output channels each see only some of the input channels.

    Row i of ``connections`` lists the input channels that output channel i sees (table I of the
    paper); without it, all see all. The bias is (out_channels,), or, as in 1989, one for each
    place of a map: (out_channels, bias_size, bias_size).
    """

    mask: torch.Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        connections: Sequence[Sequence[int]] | None = None,
        bias_size: int = 1,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding)
        mask = torch.ones(out_channels, in_channels, 1, 1)
        for row, sources in enumerate(connections or ()):
            mask[row] = 0
            mask[row, list(sources)] = 1
        self.register_buffer("mask", mask, persistent=False)
        assert self.bias is not None
        bias = self.bias.detach()[:, None, None].repeat(1, bias_size, bias_size)
        with torch.no_grad():
            self.weight *= mask
        self.bias = nn.Parameter(bias if bias_size > 1 else bias.reshape(-1))

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(n, in_channels, h, w) to (n, out_channels, h, w)."""
        assert self.bias is not None
        sums = F.conv2d(input, self.weight * self.mask, None, self.stride, self.padding)
        return sums + self.bias.reshape(len(self.bias), *self.bias.shape[1:] or (1, 1))


class Subsample(nn.Module):
    """The sum of each window, times the channel's weight, plus the channel's bias.

    Both are (channels,); windows are ``kernel_size`` apart.
    """

    def __init__(self, channels: int, kernel_size: int = 2) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        bound = 1 / kernel_size
        self.weight = nn.Parameter(torch.empty(channels).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(channels).uniform_(-bound, bound))

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(n, channels, h, w) to (n, channels, h // kernel_size, w // kernel_size)."""
        sums = F.avg_pool2d(input, self.kernel_size, divisor_override=1)
        return sums * self.weight[:, None, None] + self.bias[:, None, None]


class ScaledTanh(nn.Module):
    """amplitude * tanh(slope * x): of ±1 it makes ±1, and its slope at 0 is 1.14."""

    def __init__(self, amplitude: float = 1.7159, slope: float = 2 / 3) -> None:
        super().__init__()
        self.amplitude, self.slope = amplitude, slope

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """A number for each number, in the same shape."""
        return self.amplitude * torch.tanh(self.slope * input)


class RBF(nn.Module):
    """Minus the squared distance to the code of each class: higher is better.

    A code is a text of ``+`` and ``-``, as long as the input has features; it is not trained.
    """

    codes: torch.Tensor

    def __init__(self, codes: Sequence[str]) -> None:
        super().__init__()
        signs = torch.tensor([[1.0 if sign == "+" else -1.0 for sign in code] for code in codes])
        self.register_buffer("codes", signs, persistent=False)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(n, features) to (n, classes)."""
        return -(input[:, None] - self.codes).square().sum(2)
