"""What computes beside a module's ``forward``, and a network cannot have: each is refused by name.

Hooks, parametrizations, a class's own ``__call__`` and modes change what comes out although
``forward`` says nothing of them, so that reading it is not enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules import module as nn_module
from torch.nn.utils import parametrize, prune
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm
from torch.utils._device import DeviceContext

from lenet.torch.translation.reader import UnsupportedModuleError

KINDS = {"_forward_pre_hooks": "forward pre-hook", "_forward_hooks": "forward hook"}
GLOBAL = {
    "register_module_forward_pre_hook": nn_module._global_forward_pre_hooks,
    "register_module_forward_hook": nn_module._global_forward_hooks,
}


def check_surroundings(module: nn.Module) -> None:
    """Raise UnsupportedModuleError where something beside ``forward`` can change the outputs.

    Nothing of it is called. Hooks of the backward pass, of parameters and of state dicts are no
    matter: the outputs are the same with them.
    """
    if isinstance(module, torch.jit.ScriptModule):
        raise UnsupportedModuleError(
            f"a {type(module).__name__} has no forward in Python, which could be followed: give "
            "from_torch the module that it was made of"
        )
    if compiled := module._modules.get("_orig_mod"):
        raise UnsupportedModuleError(
            "the module is what torch.compile made: give from_torch the "
            f"{type(compiled).__name__} that was compiled (module._orig_mod)"
        )
    for path, own in module.named_modules():
        where = f"layer {path} ({type(own).__name__})" if path else f"the {type(own).__name__}"
        _check_parameters(own, where)
        for kind, name in KINDS.items():
            for hook in own.__dict__[kind].values():
                raise UnsupportedModuleError(f"{where} has {_hook(hook, name, own)}")
        # torch.fx's own does nothing but explain errors.
        if type(own).__call__ is not nn.Module.__call__ and not isinstance(own, fx.GraphModule):
            raise UnsupportedModuleError(
                f"{where} has a __call__ of its own, of which forward says nothing: do its work "
                "in forward"
            )
    for register, hooks in GLOBAL.items():
        for hook in hooks.values():
            raise UnsupportedModuleError(
                f"every module has the hook {_name(hook)} ({register}), which a network cannot "
                "have: remove it (handle.remove()) before from_torch"
            )
    for mode in _modes():
        raise UnsupportedModuleError(
            f"the mode {type(mode).__name__} is active, which may change what each operation "
            "computes: call from_torch outside of it"
        )


def _hook(hook: Any, kind: str, own: nn.Module) -> str:
    """What the hook is and what to do about it."""
    match hook:
        case WeightNorm(name=name):
            return f"weight_norm on {name!r}: torch.nn.utils.remove_weight_norm makes it plain"
        case SpectralNorm(name=name):
            return f"spectral_norm on {name!r}: torch.nn.utils.remove_spectral_norm makes it plain"
        case prune.BasePruningMethod():
            name = hook._tensor_name
            return (
                f"pruning on {name!r}: torch.nn.utils.prune.remove(layer, {name!r}) makes it plain"
            )
    if isinstance(own, nn.modules.lazy.LazyModuleMixin):
        return "no sizes yet (it is lazy): run one batch through the module first"
    return (
        f"the {kind} {_name(hook)}, which a network cannot have: do its work in forward (or, for "
        "pixels, in normalization=…), or remove it (handle.remove()) before from_torch"
    )


def _name(hook: Any) -> str:
    """A hook by its name and line, "normalise at model.py:17"."""
    function = getattr(hook, "func", hook)  # a functools.partial's
    code = getattr(function, "__code__", None)
    name = getattr(function, "__name__", type(function).__name__)
    if code is None:
        return str(name)
    file = code.co_filename.replace("\\", "/").rpartition("/")[2]
    return f"{name} at {file}:{code.co_firstlineno}"


def _check_parameters(own: nn.Module, where: str) -> None:
    if parametrize.is_parametrized(own):
        name = next(iter(own.parametrizations))  # type: ignore[arg-type]
        raise UnsupportedModuleError(
            f"{where} computes its {name} anew in each call (a parametrization, which a network "
            "cannot have): torch.nn.utils.parametrize.remove_parametrizations(layer, "
            f"{name!r}) makes it plain"
        )
    for name, parameter in own._parameters.items():
        if parameter is None:
            continue
        if nn.parameter.is_lazy(parameter):
            raise UnsupportedModuleError(
                f"{where} has no sizes yet (it is lazy): run one batch through the module first"
            )
        if type(parameter) not in (nn.Parameter, Tensor):
            raise UnsupportedModuleError(
                f"{name} of {where} is a {type(parameter).__name__}, which may compute in a way of "
                "its own: make it a plain nn.Parameter"
            )


def _modes() -> Iterator[Any]:
    """The modes that are active, but for the choice of a device for new tensors."""
    functions, dispatches = torch._C._len_torch_function_stack, torch._C._len_torch_dispatch_stack
    for place in range(functions()):
        mode = torch._C._get_function_stack_at(place)
        if not isinstance(mode, DeviceContext):
            yield mode
    for place in range(dispatches()):
        yield torch._C._get_dispatch_stack_at(place)
