"""The book's own words for PyTorch's, so that its text is the same for every framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

nn_Module = nn.Module

arange, linspace, meshgrid = torch.arange, torch.linspace, torch.meshgrid
ones, zeros, eye, tensor = torch.ones, torch.zeros, torch.eye, torch.tensor
ones_like, zeros_like = torch.ones_like, torch.zeros_like
normal, rand, randn = torch.normal, torch.rand, torch.randn
concat, stack = torch.cat, torch.stack
matmul, batch_matmul = torch.matmul, torch.bmm
abs, exp, log = torch.abs, torch.exp, torch.log
sin, cos, sinh, cosh, tanh = torch.sin, torch.cos, torch.sinh, torch.cosh, torch.tanh
sigmoid = torch.sigmoid
float32, int32, int64 = torch.float32, torch.int32, torch.int64


def _method(name: str) -> Callable[..., Any]:
    """A function that calls this method of its first argument: a tensor's, or an array's."""

    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(x, name)(*args, **kwargs)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"x.{name}(…)."
    return call


argmax, astype, size, to, transpose = map(_method, ("argmax", "type", "numel", "to", "t"))
reshape, expand_dims, swapaxes, repeat = map(
    _method, ("reshape", "unsqueeze", "swapaxes", "repeat")
)
reduce_sum, reduce_mean = _method("sum"), _method("mean")


def numpy(x: Any, *args: Any, **kwargs: Any) -> Any:
    """The tensor as a NumPy array, detached."""
    return x.detach().numpy(*args, **kwargs)
