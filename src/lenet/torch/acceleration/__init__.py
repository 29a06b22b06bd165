"""PyTorch modules whose forward and backward run in the native engine.

``accelerate`` gives a module like the one it got, with the same parameters, but with a ``forward``
of its own: one autograd function in place of one a layer. Optimisers, hooks of the module itself,
losses and loops stay PyTorch's. Whatever the engine does not do (other devices and types, hooks of
inner layers, gradients of the pictures …) goes the module's own way, for that call.

``forward`` has that forward and when it holds; ``native`` is the operation, ``checking`` the net
under both. ``trained`` finds the modules to accelerate by itself.
"""

from __future__ import annotations

import copy
import os

from torch import nn

from lenet.engines.native import why_missing
from lenet.network.layers import Shape
from lenet.torch.acceleration.forward import Forward, wrapped
from lenet.torch.acceleration.native import CHUNK
from lenet.torch.acceleration.telling import say
from lenet.torch.acceleration.trained import Watch, accelerating_what_is_trained

__all__ = [
    "CHUNK",
    "Watch",
    "accelerate",
    "accelerated",
    "accelerating_what_is_trained",
    "say",
]


def accelerated() -> bool:
    """Whether ``accelerate`` does anything: not where ``LENET_ACCELERATE`` is 0."""
    return os.environ.get("LENET_ACCELERATE", "") != "0"


def accelerate(
    module: nn.Module, input_shape: Shape | None = None, *, threads: int | None = None
) -> nn.Module:
    """A module with the same parameters, computed by the native engine where that is possible.

    It is a copy of the same class that shares everything with the first: parameters, submodules,
    keys, hooks. The first stays plain PyTorch; use one of them only. ``input_shape`` is that of one
    picture; without it, the first batch tells. ``threads`` is PyTorch's number by default.

    What ``from_torch`` accepts, and softmaxes at the end, one output and layers without a bias as
    they are, runs in the engine; dropout then draws other units than PyTorch's, as
    ``torch.manual_seed`` decides. A call goes the module's own way where the engine would not do
    the same: on another device, in another type, under autocast, for a batch of another shape or of
    none, where the pictures' gradient is wanted, or inner layers have hooks. Layers that were
    replaced and settings that were changed are noticed, wherever ``forward`` has them from. Now and
    then a few pictures are also computed by plain PyTorch: see ``checking``.

    Says on standard error, once a process, that it is on. Returns ``module`` as it is where
    ``LENET_ACCELERATE`` is 0, and, with a line that says why, where the engine was not built or
    has no kernel for a layer, where a module or layer has a forward in place of its class's, and
    where forward keeps, prints or draws something, or computes a part without gradients. Without
    ``input_shape``, the first batch tells; the module is plain from then on, with such a line,
    also where it is no chain of lenet's layers. With ``input_shape``, that raises
    UnsupportedModuleError, naming the node and the reason. TypeError for what is no module.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"threads is {threads}, must be at least 1")
    if not isinstance(module, nn.Module):
        raise TypeError(f"accelerate takes an nn.Module, not {type(module).__name__}")
    if not accelerated() or isinstance(module.__dict__.get("forward"), Forward):
        return module
    if why := why_missing() or wrapped(module):
        say(f"not accelerated: {why}")
        return module
    forward = Forward.put_into(copy.copy(module), threads)
    if input_shape is not None and not forward.prepare(tuple(input_shape)):
        return module
    return forward.module
