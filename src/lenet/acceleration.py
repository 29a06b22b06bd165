"""PyTorch modules whose forward and backward run in the native engine.

``accelerate`` gives a module like the one it got, with the same parameters, but with a ``forward``
of its own: one autograd function in place of one a layer. Optimisers, hooks of the module itself,
losses and loops stay PyTorch's. Whatever the engine does not do (other devices and types, hooks of
inner layers, gradients of the pictures …) goes the module's own way, for that call.
"""

from __future__ import annotations

import copy
import ctypes
import functools
import inspect
import os
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import MethodType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.modules import module as nn_module

from lenet.architecture import Dropout, Shape
from lenet.engines import Position, available_cpus
from lenet.engines.native import NativeEngine, why_missing, why_refused
from lenet.engines.torch import dropout_place, dropout_scale, operation
from lenet.optimization import Objective, Optimizer
from lenet.parameters import State, parameter_shapes
from lenet.translation import Reading, UnsupportedModuleError, network_of, read

# Pictures that one call of the engine takes where no gradient is wanted: it keeps what backward
# would need, 70 kB a picture for d2l's LeNet.
CHUNK = 1024
MANY = 32  # pictures that keep several threads busy for longer than it takes to make one


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

    What ``from_torch`` accepts, and a softmax at the end and layers without a bias, runs in the
    engine; dropout then draws other units than PyTorch's, as ``torch.manual_seed`` decides. A call
    goes the module's own way where the engine would not do the same: on another device, in another
    type, under autocast, for a batch of another shape or of none, where the pictures' gradient is
    wanted, or inner layers have hooks. A layer that was replaced is noticed.

    Says on standard error, once a process, that it is on. Returns ``module`` as it is where
    ``LENET_ACCELERATE`` is 0, and, with a line that says why, where the engine was not built or
    has no kernel for a layer. Raises UnsupportedModuleError, naming the node and the reason, for a
    module that is no chain of lenet's layers; without ``input_shape``, the first batch does.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"threads is {threads}, must be at least 1")
    if not accelerated() or isinstance(module.__dict__.get("forward"), _Forward):
        return module
    if why := why_missing():
        say(f"lenet: not accelerated: {why}")
        return module
    fast = copy.copy(module)
    forward = _Forward(fast, threads)
    fast.__dict__["forward"] = forward
    if input_shape is not None and not forward.prepare(tuple(input_shape)):
        return module
    return fast


@functools.cache
def say(line: str) -> None:
    """Write a line to standard error, once a process."""
    print(line, file=sys.stderr)


# --- what stands in place of a module's forward ------------------------------------------------


class _Forward:
    """The ``forward`` of one accelerated module.

    A copy of the module gets one of its own. A pickle of it holds the class's forward instead, so
    that whoever loads it needs no lenet.
    """

    def __init__(self, module: nn.Module, threads: int | None) -> None:
        self.module = module
        self.threads = threads
        self.func = type(module).forward  # what this computes; the name is functools.partial's
        # as torch.export looks for them
        self.__code__ = self.func.__code__
        self.__signature__ = inspect.signature(MethodType(self.func, module))
        self.plan: _Plan | None = None
        self.lock = threading.Lock()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and not kwargs and _suits(args[0]):
            X = args[0]
            try:
                native = self._native_for(X.shape[1:])
            except UnsupportedModuleError:
                self.func(self.module, X)  # where PyTorch refuses X, that is what is wrong
                raise
            if native and (parameters := native.parameters()):
                return native.run(X, parameters, self.module.training)
        return self.func(self.module, *args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Forward:
        return _Forward(copy.deepcopy(self.module, memo), self.threads)

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial, (self.func, self.module)

    def prepare(self, shape: Shape) -> bool:
        """Whether the engine computes the module for pictures of that shape; says why not.

        Raises UnsupportedModuleError.
        """
        self.plan = _Plan(self.module, shape, self.threads)
        return self.plan.native is not None

    def _native_for(self, shape: Shape) -> _Native | None:
        """What computes the module as it is now; None where the module's own way is to be gone."""
        plan = self.plan
        if plan is None or plan.changed():
            with self.lock:
                plan = self.plan  # which another thread may have made meanwhile
                if plan is None or plan.changed():
                    if any(_inner_hooks(self.module)):  # are not to see what a reading is tried on
                        return None
                    plan = self.plan = _Plan(self.module, shape, self.threads, after=plan)
        return plan.native if plan.holds(shape) else None


def _suits(X: Any) -> bool:
    """Whether these are pictures for the engine, and nobody is to see PyTorch's operations."""
    return (
        not torch.compiler.is_compiling()
        and type(X) is Tensor
        and X.dtype is torch.float32
        and X.device.type == "cpu"
        and X.layout is torch.strided
        and X.dim() > 1
        and len(X) > 0
        and not (X.requires_grad and torch.is_grad_enabled())
        and not torch.is_autocast_enabled("cpu")
        and torch._C._get_tracing_state() is None
        and not nn_module._has_any_global_hook()  # type: ignore[no-untyped-call]
        and not torch._C._are_functorch_transforms_active()
        and not torch._C._len_torch_dispatch_stack()
        and forward_ad._current_level < 0
    )


class _Plan:
    """What was read of a module for pictures of one shape, and what it was read from."""

    def __init__(
        self, module: nn.Module, shape: Shape, threads: int | None, after: _Plan | None = None
    ) -> None:
        self.shape = tuple(shape)
        self.native: _Native | None = None
        try:
            reading = _read(module, self.shape)
        except UnsupportedModuleError as error:
            if after is None:
                raise
            say(f"lenet: no longer accelerated: {error}")
        else:
            if after and after.native and after.native.reading.layers == reading.layers:
                self.native = _Native(module, reading, after.native.engine)
            else:
                self.native = _Native.make(module, reading, threads)
        self.root = module.__dict__
        self.seen = [
            (own, type(own), own.__dict__, dict(own.__dict__), _contents(own.__dict__))
            for own in module.modules()
        ]
        self.hooks = [
            own.__dict__[kind] for own in module.modules() for kind in HOOKS if own is not module
        ]

    def changed(self) -> bool:
        """Whether a module, a layer or one of its settings is another than when it was read."""
        for own, kind, now, before, contents in self.seen:
            before["training"] = now["training"]
            try:
                if type(own) is not kind or now != before or _contents(now) != contents:
                    return True
            except (RuntimeError, ValueError):  # an array of several numbers is neither
                return True
        return False

    def holds(self, shape: Shape) -> bool:
        """Whether the engine would do what the modules do, for pictures of that shape."""
        training = self.root["training"]
        return (
            shape == self.shape
            and not any(self.hooks)
            and self.root["_is_full_backward_hook"] is not False
            and all(now["training"] is training for _, _, now, _, _ in self.seen)
        )


HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def _inner_hooks(module: nn.Module) -> list[dict[int, Any]]:
    """The dicts that hold the hooks of all modules within."""
    return [own.__dict__[kind] for own in module.modules() if own is not module for kind in HOOKS]


def _contents(attributes: dict[str, Any]) -> tuple[list[Any], list[str]]:
    """A module's submodules, and which parameters it has; not which tensors they are."""
    named = attributes["_parameters"].items()
    return [*attributes["_modules"].items()], [name for name, tensor in named if tensor is not None]


def _read(module: nn.Module, shape: Shape) -> Reading:
    reading = read(module, shape)
    if reading.writes:
        raise UnsupportedModuleError(
            f"forward sets the attribute {reading.writes!r}, which the engine would not: remove it"
        )
    return reading


@functools.cache
def _openmp() -> ctypes.CDLL | None:
    """GCC's OpenMP library, where this PyTorch has its threads from it."""
    for path in (Path(torch.__file__).parent / "lib").glob("libgomp*.so*"):
        try:
            library = ctypes.CDLL(str(path))
            return library if hasattr(library, "omp_pause_resource_all") else None
        except OSError:
            return None
    return None


def _send_openmp_away() -> None:
    """Nothing; PyTorch's idle threads end, and are made anew when it next needs them.

    Else they look for work for milliseconds after an operation as short as a loss, on the
    processors that the engine's threads need: measured with two, a step of 9.4 ms in place of 6.5.
    """
    if library := _openmp():
        library.omp_pause_resource_all(1)  # 1: omp_pause_soft


# --- one network in the engine -----------------------------------------------------------------


class _Native:
    """The engine of a module's network, and where the module keeps what the engine needs."""

    def __init__(self, module: nn.Module, reading: Reading, engine: NativeEngine) -> None:
        self.reading = reading
        self.engine = engine
        self.network = engine.network
        self.drops = any(
            isinstance(layer, Dropout) and layer.p > 0 for layer in self.network.layers
        )
        self.shapes = parameter_shapes(self.network)
        self.slots = []  # for each parameter: whose it is, and its name and shape there
        for ours, theirs in reading.keys.items():
            path, _, name = theirs.rpartition(".")
            own = module.get_submodule(path)._parameters
            self.slots.append((own, name, torch.Size(self.shapes[ours])))
        self.zeros = {
            name: np.zeros(shape, np.float32)
            for name, shape in self.shapes.items()
            if name not in reading.keys
        }
        self.lock = threading.Lock()
        self.ticket = 0  # counts the batches; the engine remembers the last one

    @staticmethod
    def make(module: nn.Module, reading: Reading, threads: int | None) -> _Native | None:
        """One with a new engine; None, with a line that says why, where the engine refuses."""
        network = network_of(reading, "accelerated")
        if why := why_refused(network):
            say(f"lenet: not accelerated: {why}")
            return None
        count = min(threads or torch.get_num_threads(), available_cpus())
        return _Native(module, reading, NativeEngine(network, Optimizer(), Objective(), count))

    def parameters(self) -> list[Tensor] | None:
        """The module's parameters as they are now; None where the engine cannot have them."""
        found: list[Tensor] = []
        for own, name, shape in self.slots:
            tensor = own.get(name)
            if (
                tensor is None
                or type(tensor) not in (nn.Parameter, Tensor)
                or tensor.dtype is not torch.float32
                or tensor.device.type != "cpu"
                or tensor.layout is not torch.strided
                or tensor.shape != shape
            ):
                return None
            found.append(tensor)
        return found

    def run(self, X: Tensor, parameters: list[Tensor], training: bool) -> Tensor:
        """The module's outputs (n, classes)."""
        say(
            "lenet: accelerated: forward and backward of this network run in the native engine "
            "(LENET_ACCELERATE=0 switches it off)"
        )
        place = None
        if training and self.drops:
            seed, epoch = torch.randint(2**32, (2,), device="cpu").tolist()
            place = Position(seed, epoch, 0)
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in parameters):
            logits: Tensor = _Step.apply(self, place, X, *parameters)  # type: ignore[no-untyped-call]
        else:
            logits = self.logits(X, parameters, place)
        match self.reading.final:
            case "softmax":
                return F.softmax(logits, 1)
            case "log_softmax":
                return F.log_softmax(logits, 1)
        return logits

    def logits(self, X: Tensor, parameters: list[Tensor], place: Position | None) -> Tensor:
        """The logits (n, classes) without anything for backward."""
        inputs = self._inputs(X)
        parts = []
        with self.lock:
            self.ticket += 1
            self._load(parameters)
            self._make_room(X)
            for start in range(0, len(inputs), CHUNK):
                at = place and replace(place, first_sample=start)
                parts.append(self.engine.forward(inputs[start : start + CHUNK], at))
        return torch.from_numpy(parts[0] if len(parts) == 1 else np.concatenate(parts))

    def forward(
        self, X: Tensor, parameters: list[Tensor], place: Position | None
    ) -> tuple[Tensor, int]:
        """The logits (n, classes), and the ticket for their backward."""
        with self.lock:
            return torch.from_numpy(self._forward(X, parameters, place)), self.ticket

    def backward(
        self,
        ticket: int,
        X: Tensor,
        parameters: list[Tensor],
        place: Position | None,
        dlogits: Tensor,
    ) -> tuple[list[Tensor], int]:
        """The gradients of the parameters, from that of the logits, and the ticket to come again.

        The forward is repeated where another batch came after it.
        """
        with self.lock:
            if ticket != self.ticket:
                self._forward(X, parameters, place)
            self._make_room(X)
            named = self.engine.backward(dlogits.detach().numpy()).named()
            return [torch.from_numpy(named[name]) for name in self.reading.keys], self.ticket

    def replay(self, X: Tensor, parameters: list[Tensor], place: Position | None) -> Tensor:
        """The logits as PyTorch computes them, with the engine's dropout: for second gradients."""
        named = dict(zip(self.reading.keys, parameters, strict=True))
        zeros = {name: torch.from_numpy(values) for name, values in self.zeros.items()}
        named = {**zeros, **named}
        x = X.reshape(-1, *self.network.input_shape)
        at = torch.tensor(dropout_place(place, 0)) if place else None
        for index, layer in enumerate(self.network.layers):
            if isinstance(layer, Dropout):
                if at is not None and layer.p > 0:
                    x = x * dropout_scale(layer.p, tuple(x.shape), index, at, x.dtype)
            elif f"{index}.weight" in named:
                x = operation(index, layer)(x, named[f"{index}.weight"], named[f"{index}.bias"])
            else:
                x = operation(index, layer)(x)
        return x

    def _forward(
        self, X: Tensor, parameters: list[Tensor], place: Position | None
    ) -> NDArray[np.float32]:
        self.ticket += 1
        self._load(parameters)
        self._make_room(X)
        return self.engine.forward(self._inputs(X), place)

    def _make_room(self, X: Tensor) -> None:
        if self.engine.threads > 1 and len(X) >= MANY:
            _send_openmp_away()

    def _load(self, parameters: list[Tensor]) -> None:
        # Every time: a write through .data or a NumPy array leaves no trace, and it takes less than
        # a hundredth of the step of a batch of 256.
        arrays = [tensor.detach().numpy() for tensor in parameters]
        named = dict(zip(self.reading.keys, arrays, strict=True))
        self.engine.load(State({**self.zeros, **named}))

    def _inputs(self, X: Tensor) -> NDArray[np.float32]:
        inputs: NDArray[np.float32] = X.detach().numpy()
        return inputs.reshape(-1, *self.network.input_shape)


class _Step(torch.autograd.Function):
    """The network as one operation of PyTorch's: logits (n, classes) of X and the parameters."""

    @staticmethod
    def forward(
        ctx: Any, native: _Native, place: Position | None, X: Tensor, *parameters: Tensor
    ) -> Tensor:
        logits, ctx.ticket = native.forward(X, list(parameters), place)
        ctx.native, ctx.place = native, place
        ctx.save_for_backward(X, *parameters)  # which notices that one was written to
        return logits

    @staticmethod
    def backward(ctx: Any, dlogits: Tensor) -> tuple[Tensor | None, ...]:
        native, place, wanted = ctx.native, ctx.place, ctx.needs_input_grad[3:]
        X, *parameters = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph: the gradients are to have gradients
            trained = [tensor for tensor, want in zip(parameters, wanted, strict=True) if want]
            logits = native.replay(X, parameters, place)
            found = iter(torch.autograd.grad(logits, trained, dlogits, create_graph=True))
            gradients = [next(found) if want else None for want in wanted]
        else:
            parts, ctx.ticket = native.backward(ctx.ticket, X, parameters, place, dlogits)
            gradients = [part if want else None for part, want in zip(parts, wanted, strict=True)]
        return None, None, None, *gradients
