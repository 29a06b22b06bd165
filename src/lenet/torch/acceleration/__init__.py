"""PyTorch modules whose forward and backward run in the native engine.

``accelerate`` gives a module like the one it got, with the same parameters, but with a ``forward``
of its own: one autograd function in place of one a layer. Optimisers, hooks of the module itself,
losses and loops stay PyTorch's. Whatever the engine does not do (other devices and types, hooks of
inner layers, gradients of the pictures …) goes the module's own way, for that call.

Here is the forward and when it holds; ``native`` is the operation, ``checking`` the net under both.
"""

from __future__ import annotations

import copy
import inspect
import os
import threading
import time
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.modules import module as nn_module
from torch.overrides import _get_current_function_mode_stack
from torch.utils._device import DeviceContext

from lenet.engines.native import why_missing
from lenet.network.layers import Shape
from lenet.torch.acceleration import checking
from lenet.torch.acceleration.checking import say
from lenet.torch.acceleration.native import CHUNK, Native
from lenet.torch.translation import UnsupportedModuleError, read
from lenet.torch.translation.surroundings import Surroundings
from lenet.torch.translation.trial import being_tried

__all__ = ["CHUNK", "accelerate", "accelerated", "say"]


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
    if not accelerated() or isinstance(module.__dict__.get("forward"), _Forward):
        return module
    if why := why_missing() or _wrapped(module):
        say(f"lenet: not accelerated: {why}")
        return module
    forward = _Forward.put_into(copy.copy(module), threads)
    if input_shape is not None and not forward.prepare(tuple(input_shape)):
        return module
    return forward.module


def _wrapped(module: nn.Module) -> str:
    """Why a module computes something else than its class's forward says; empty where it does."""
    if isinstance(module, torch.jit.ScriptModule):
        return "it is a TorchScript module, which has no Python to read: accelerate it before that"
    if type(module).__name__ == "OptimizedModule":  # whose class takes seconds to import
        return (
            "torch.compile has wrapped it. Accelerate the module itself, and leave torch.compile "
            "out: lenet.accelerate(net._orig_mod)"
        )
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return (
            f"{type(module).__name__} has wrapped it. On one CPU leave that out: "
            "lenet.accelerate(net.module)"
        )
    for path, own in module.named_modules():
        found = own.__dict__.get("forward")
        # an accelerated part computes what its class says
        if found is not None and not isinstance(found, _Forward):
            return (
                f"{path or 'the module'} ({type(own).__name__}) has a forward of its own in place "
                "of its class's; define it in a class to have it accelerated"
            )
    return ""


# --- what stands in place of a module's forward ------------------------------------------------


class _Forward:
    """The ``forward`` of one accelerated module.

    A deep copy of the module gets one of its own. A pickle, a shallow copy and TorchScript get the
    plain module, so that you can load it without lenet.
    """

    def __init__(self, module: nn.Module, threads: int | None) -> None:
        self.module = module
        self.threads = threads
        self.own = module.__dict__.get("forward")  # of the instance alone
        # as torch.export looks for them
        self.__code__ = self.func.__code__
        self.__signature__ = inspect.signature(MethodType(self.func, module))
        self.plan: _Plan | None = None
        self.lock = threading.Lock()

    @staticmethod
    def put_into(module: nn.Module, threads: int | None) -> _Forward:
        """A module's new forward, and what has its copies made without it."""
        forward = _Forward(module, threads)
        module.__dict__.update(
            forward=forward,
            __deepcopy__=forward.deep_copy,
            __getstate__=forward.plain_state,
            __reduce_ex__=forward.plain_pickle,
            __prepare_scriptable__=forward.plain_copy,
            _replicate_for_data_parallel=forward.replica,
        )
        return forward

    @property
    def func(self) -> Any:
        """What this computes, also where the class has got another; functools.partial's name."""
        return type(self.module).forward

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and not kwargs and _suits(args[0]):
            X = args[0]
            plan = self._plan_for(X.shape[1:])
            if plan and plan.native and (parameters := plan.native.parameters()):
                found = self._run(plan.native, X, parameters)
                if found is not None:
                    return found
        return self.plain(*args, **kwargs)

    def plain(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes without lenet."""
        return self.own(*args, **kwargs) if self.own else self.func(self.module, *args, **kwargs)

    def _run(self, native: Native, X: Tensor, parameters: list[Tensor]) -> Tensor | None:
        """The module's outputs from the engine; None where a check shows that they are wrong."""
        schedule, training = native.shared.schedule, self.module.training
        if schedule.failed:
            return None
        check, why = schedule.due(), ""
        drops = training and native.drops
        if check and drops:  # before the batch, which the engine is to remember
            why = checking.outputs(native, self.module, self.plain, X, parameters, None)
        started = time.perf_counter()
        found = native.run(X, parameters, training, check)
        schedule.busy_s += time.perf_counter() - started
        if check and not drops:
            why = checking.outputs(native, self.module, self.plain, X, parameters, found)
        if why:
            checking.fail(native, why)
            return None
        return found

    def plain_state(self) -> Any:
        """What a shallow copy has: all but what ``put_into`` adds."""
        return self.plain_copy().__getstate__()  # type: ignore[no-untyped-call]

    def plain_pickle(self, protocol: Any) -> Any:
        """What a pickle has: the module without what ``put_into`` adds."""
        return self.plain_copy().__reduce_ex__(protocol)

    def plain_copy(self) -> nn.Module:
        """The same module without acceleration, of the same parameters."""
        plain = object.__new__(type(self.module))
        plain.__dict__.update(self.module.__dict__)
        for name in ADDED:
            del plain.__dict__[name]
        return plain

    def deep_copy(self, memo: dict[int, Any]) -> nn.Module:
        """An accelerated module of its own."""
        begun: Any = ("lenet", id(self.module))
        inside = begun in memo  # a part of the module refers to the whole
        plain = memo.setdefault(begun, self.plain_copy())
        copied: nn.Module = copy.deepcopy(plain, memo)
        if not inside:
            _Forward.put_into(copied, self.threads)
        return copied

    def replica(self) -> Any:
        """What nn.DataParallel puts on another device."""
        return self.plain_copy()._replicate_for_data_parallel()  # type: ignore[no-untyped-call]

    def prepare(self, shape: Shape) -> bool:
        """Whether the engine may compute the module for pictures of that shape; says why not.

        Raises UnsupportedModuleError.
        """
        if _observed() or any(_inner_hooks(self.module)):
            return True  # the first batch that nobody looks at tells
        self.plan = _Plan(self.module, shape, self.threads, strict=True)
        return self.plan.native is not None

    def _plan_for(self, shape: Shape) -> _Plan | None:
        """How to compute the module as it is now; None where its own way is to be gone."""
        plan = self.plan
        if plan is None or plan.outdated(shape):
            with self.lock:
                plan = self.plan  # which another thread may have made meanwhile
                if plan is None or plan.outdated(shape):
                    if any(_inner_hooks(self.module)):  # are not to see what a reading is tried on
                        _say_hooks(self.module)
                        return None
                    self.plan = plan = _Plan(self.module, shape, self.threads, after=plan)
        return plan if plan.holds(shape) else None


# What _Forward.put_into adds to a module's attributes.
ADDED = (
    *("forward", "__deepcopy__", "__getstate__", "__reduce_ex__", "__prepare_scriptable__"),
    "_replicate_for_data_parallel",
)


def _suits(X: Any) -> bool:
    """Whether these are pictures for the engine, and nobody is to see PyTorch's operations."""
    return (
        not torch.compiler.is_compiling()
        and not being_tried()
        and type(X) is Tensor
        and X.dtype is torch.float32
        and X.device.type == "cpu"
        and X.layout is torch.strided
        and not X.is_neg()
        and X.dim() > 1
        and len(X) > 0
        and not (X.requires_grad and torch.is_grad_enabled())
        and not torch.is_autocast_enabled("cpu")
        and not _observed()
    )


def _observed() -> bool:
    """Whether somebody is to see each of PyTorch's operations, or change what it does."""
    return (
        torch._C._get_tracing_state() is not None
        or nn_module._has_any_global_hook()  # type: ignore[no-untyped-call]
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack() > 0
        or _function_modes()
        or forward_ad._current_level >= 0
    )


def _function_modes() -> bool:
    """Whether somebody is to see PyTorch's functions; a default device is not that."""
    return torch._C._len_torch_function_stack() > 0 and any(
        not isinstance(mode, DeviceContext)
        for mode in _get_current_function_mode_stack()  # type: ignore[no-untyped-call]
    )


IN_VAIN = 8  # readings without success, one after the other


class _Plan:
    """What was read of a module for pictures of one shape, and what it was read from."""

    def __init__(
        self,
        module: nn.Module,
        shape: Shape,
        threads: int | None,
        after: _Plan | None = None,
        strict: bool = False,
    ) -> None:
        self.shape = tuple(shape)
        self.native: Native | None = None
        self.surroundings = Surroundings(module)
        self.root = module.__dict__
        self.modules = [own.__dict__ for own in module.modules()]
        self.kinds = _kinds(module)
        self.hooks = _inner_hooks(module)
        self.final = False  # whether the module is plain from now on, whatever it becomes
        why, reading, writes = _wrapped(module), None, ""
        if self.surroundings.unknown:  # a file, a generator: what a trial does to it stays done
            self.final = True
            why = f"forward can use {self.surroundings.unknown}, which a reading would change"
        if not why:
            try:
                reading = read(module, self.shape)
                writes = reading.writes
                if reading.untrained:
                    why = (
                        f"forward computes {reading.untrained} without gradients (torch.no_grad), "
                        "and the engine would train it; requires_grad_(False) on its parameters is "
                        "the same, and can be accelerated"
                    )
            except UnsupportedModuleError as error:
                why, writes = str(error), error.writes
                if strict and not writes:
                    raise
        if writes:
            self.final = True  # a new reading at every call would find the same
            why = why or f"forward {writes}, and the engine would only compute"
        if why or reading is None:
            before = after is not None and after.native is not None
            say(f"lenet: {'no longer' if before else 'not'} accelerated: {why}")
        elif after and after.native and after.native.reading.layers == reading.layers:
            self.native = Native(module, reading, after.native.shared)
        else:
            self.native = Native.make(module, reading, threads)
        # What changes at every call is not read at every call.
        self.in_vain: int = 0 if self.native else (after.in_vain if after else 0) + 1
        self.final = self.final or self.in_vain > IN_VAIN

    def outdated(self, shape: Shape) -> bool:
        """Whether a reading may now give something else.

        Since a module, a layer or one of its settings is another than when it was read, or since
        it was read in vain for pictures of another shape, which it may not take.
        """
        if self.final:
            return False
        if self.native is None and shape != self.shape:
            return True
        return any(type(own) is not kind for own, kind in self.kinds) or bool(
            self.surroundings.changed()
        )

    def holds(self, shape: Shape) -> bool:
        """Whether the engine would do what the modules do, for pictures of that shape."""
        training = self.root["training"]
        return (
            self.native is not None
            and shape == self.shape
            and not any(self.hooks)
            and self.root["_is_full_backward_hook"] is not False
            and all(now["training"] is training for now in self.modules)
        )


HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def _kinds(module: nn.Module) -> list[tuple[nn.Module, type]]:
    """All modules within, and what each is."""
    return [(own, type(own)) for own in module.modules()]


def _say_hooks(module: nn.Module) -> None:
    """Say which inner layer's hook keeps the module plain; not of those that end by themselves."""
    for path, own in module.named_modules():
        lazy = isinstance(own, nn.modules.lazy.LazyModuleMixin)
        if own is not module and not lazy and any(own.__dict__[kind] for kind in HOOKS):
            say(f"lenet: not accelerated as long as layer {path} ({type(own).__name__}) has a hook")
            return


def _inner_hooks(module: nn.Module) -> list[dict[int, Any]]:
    """The dicts that hold the hooks of all modules within."""
    return [own.__dict__[kind] for own in module.modules() if own is not module for kind in HOOKS]
