"""What stands in place of a module's ``forward``: when the engine may compute it, and when not."""

from __future__ import annotations

import copy
import inspect
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

from lenet.network.layers import Shape
from lenet.torch.acceleration import checking
from lenet.torch.acceleration.native import Native
from lenet.torch.acceleration.telling import Lines
from lenet.torch.translation import UnsupportedModuleError, read
from lenet.torch.translation.surroundings import Surroundings
from lenet.torch.translation.trial import being_tried


class Forward:
    """The ``forward`` of one accelerated module.

    A deep copy of the module gets one of its own. A pickle, a shallow copy and TorchScript get the
    plain module, so that you can load it without lenet.
    """

    def __init__(self, module: nn.Module, threads: int | None, lines: Lines) -> None:
        self.module = module
        self.threads = threads
        self.lines = lines
        self.own = module.__dict__.get("forward")  # of the instance alone
        # as torch.export looks for them
        self.__code__ = self.func.__code__
        self.__signature__ = inspect.signature(MethodType(self.func, module))
        self.plan: Plan | None = None
        self.unreadable = False
        self.lock = threading.Lock()

    @staticmethod
    def put_into(
        module: nn.Module, threads: int | None = None, lines: Lines | None = None
    ) -> Forward:
        """A module's new forward, and what has its copies made without it."""
        forward = Forward(module, threads, lines or Lines())
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
    def was_asked(self) -> bool:
        """Whether a batch came that the engine might have computed."""
        return self.plan is not None or self.unreadable

    def take_out_of(self, module: nn.Module) -> None:
        """Leave a module with what ``put_into`` has added as it would be without."""
        for name in ADDED:
            added = module.__dict__.get(name)  # or somebody has put something else there
            if added is self or getattr(added, "__self__", None) is self:
                del module.__dict__[name]

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
        self.take_out_of(plain)
        return plain

    def deep_copy(self, memo: dict[int, Any]) -> nn.Module:
        """An accelerated module of its own."""
        begun: Any = ("lenet", id(self.module))
        inside = begun in memo  # a part of the module refers to the whole
        plain = memo.setdefault(begun, self.plain_copy())
        copied: nn.Module = copy.deepcopy(plain, memo)
        if not inside:
            Forward.put_into(copied, self.threads, self.lines)
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
        self.plan = Plan(self.module, shape, self.threads, self.lines, strict=True)
        return self.plan.native is not None

    def _plan_for(self, shape: Shape) -> Plan | None:
        """How to compute the module as it is now; None where its own way is to be gone."""
        if self.unreadable:
            return None
        try:
            return self._current_plan(shape)
        except Exception as error:  # whatever it is, the module's own way is still there
            self.unreadable = True
            self.lines.off(f"it cannot be read: {type(error).__name__}: {error}")
            return None

    def _current_plan(self, shape: Shape) -> Plan | None:
        plan = self.plan
        if plan is None or plan.outdated(shape):
            with self.lock:
                plan = self.plan  # which another thread may have made meanwhile
                if plan is None or plan.outdated(shape):
                    if any(_inner_hooks(self.module)):  # are not to see what a reading is tried on
                        _say_hooks(self.module, self.lines)
                        return None
                    self.plan = plan = Plan(
                        self.module, shape, self.threads, self.lines, after=plan
                    )
        return plan if plan.holds(shape) else None


# What Forward.put_into adds to a module's attributes.
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


def wrapped(module: nn.Module) -> str:
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
        if found is not None and not isinstance(found, Forward):
            return (
                f"{path or 'the module'} ({type(own).__name__}) has a forward of its own in place "
                "of its class's; define it in a class to have it accelerated"
            )
    return ""


IN_VAIN = 8  # readings without success, one after the other


class Plan:
    """What was read of a module for pictures of one shape, and what it was read from."""

    def __init__(
        self,
        module: nn.Module,
        shape: Shape,
        threads: int | None,
        lines: Lines,
        after: Plan | None = None,
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
        why, reading, writes = wrapped(module), None, ""
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
            lines.off(why, before)
        elif after and after.native and after.native.reading.layers == reading.layers:
            self.native = Native(module, reading, after.native.shared, lines)
        else:
            self.native = Native.make(module, reading, threads, lines)
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


def _say_hooks(module: nn.Module, lines: Lines) -> None:
    """Say which inner layer's hook keeps the module plain; not of those that end by themselves."""
    for path, own in module.named_modules():
        lazy = isinstance(own, nn.modules.lazy.LazyModuleMixin)
        if own is not module and not lazy and any(own.__dict__[kind] for kind in HOOKS):
            lines.off_while(f"layer {path} ({type(own).__name__}) has a hook")
            return


def _inner_hooks(module: nn.Module) -> list[dict[int, Any]]:
    """The dicts that hold the hooks of all modules within."""
    return [own.__dict__[kind] for own in module.modules() if own is not module for kind in HOOKS]
