"""Modules that code trains which knows nothing of lenet: found and accelerated where they stand.

An optimiser's first step says what is trained: the modules that hold its parameters. Their forward
is replaced then, in the objects that the code has (``forward``), not in copies. PyTorch's own hook
of all optimisers tells of the step; nothing of PyTorch's is replaced.
"""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from lenet.torch.acceleration.forward import Forward, wrapped
from lenet.torch.acceleration.telling import Lines

NEVER = (
    "no batch came after its optimiser's first step that the engine can compute: float32, on the "
    "CPU, outside autocast, without a gradient of the pictures"
)


@contextmanager
def accelerating_what_is_trained(
    names: Mapping[str, Any], tell: Callable[[str], None]
) -> Iterator[Watch]:
    """Meanwhile each module that an optimiser of PyTorch's trains is computed by the native engine.

    From the optimiser's second batch on, and as ``accelerate`` does it: with the same checks, and
    where something does not suit the engine, plain PyTorch. ``names`` has the code's variables, by
    which modules are called in the lines; ``tell`` gets each line once. Afterwards all modules are
    as they would be without.
    """
    watch = Watch(names, tell)
    hook = register_optimizer_step_pre_hook(watch.before_step)
    try:
        yield watch
    finally:
        hook.remove()
        watch.end()


class Watch:
    """The modules that optimisers have trained so far."""

    def __init__(self, names: Mapping[str, Any], tell: Callable[[str], None]) -> None:
        self._names = names
        self._tell = tell
        self._told: set[str] = set()
        self._lock = threading.Lock()
        # of each optimiser, how many parameters it had when it was looked at
        self._seen: weakref.WeakKeyDictionary[Optimizer, int] = weakref.WeakKeyDictionary()
        self._known: list[weakref.ref[nn.Module]] = []
        self._wholes: list[list[weakref.ref[Forward]]] = []  # of each: its forward, its parts'
        self.found = False  # whether a module was trained

    def before_step(self, optimizer: Optimizer, *_: Any) -> None:
        """Accelerate what this optimiser trains, at its first step and when it has got more."""
        count = sum(len(group["params"]) for group in optimizer.param_groups)
        if self._seen.get(optimizer) == count:
            return
        with self._lock:
            self._seen[optimizer] = count
            try:
                self._accelerate(optimizer)
            except Exception as error:  # the training goes on in plain PyTorch
                self._say(f"not accelerated: {type(error).__name__}: {error}")

    def end(self) -> None:
        """Take everything back; say which modules the engine could do nothing for."""
        for references in self._wholes:
            forwards = [forward for found in references if (forward := found()) is not None]
            if forwards and not any(forward.was_asked for forward in forwards):
                forwards[0].lines.off(NEVER)
            for forward in forwards:
                forward.take_out_of(forward.module)
        self._wholes.clear()

    def _accelerate(self, optimizer: Optimizer) -> None:
        trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
        known = [module for found in self._known if (module := found()) is not None]
        if trained <= {key for module in known for key in _parameters_in(module)}:
            return  # a new optimiser of the same modules
        for module in _outermost_holders(trained):
            if any(module is one for one in known):
                continue
            self.found = True
            self._known.append(weakref.ref(module))
            lines = Lines(_name_of(module, self._names), self._say)
            if isinstance(module.__dict__.get("forward"), Forward):  # the code's own accelerate
                continue
            if why := wrapped(module):
                lines.off(why)
                continue
            self._wholes.append([*map(weakref.ref, self._put_into(module, lines))])

    def _put_into(self, module: nn.Module, lines: Lines) -> list[Forward]:
        """The new forwards of the module and of those of its parts that have parts.

        Where the whole cannot be accelerated, or is never called, as of a GAN, its parts may. Of a
        part that cannot either there is something to say only in the second case.
        """
        whole = Forward.put_into(module, lines=lines)
        forwards = [whole]
        for part in _parts(module)[1:]:
            if part.__dict__["_modules"] and "forward" not in part.__dict__:
                name = f"a {type(part).__name__} of {lines.name}"
                its_lines = Lines(name, self._say, lambda: whole.was_asked)
                forwards.append(Forward.put_into(part, lines=its_lines))
        return forwards

    def _say(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._tell(line)


def _outermost_holders(trained: set[int]) -> list[nn.Module]:
    """The modules with one of these parameters that are no part of another such module.

    All that there are in this process: code may keep them anywhere.
    """
    holders = [
        found
        for found in gc.get_objects()
        if issubclass(type(found), nn.Module) and not trained.isdisjoint(_parameters_in(found))
    ]
    inner = {id(part) for module in holders for part in _parts(module)[1:]}
    return [module for module in holders if id(module) not in inner]


def _parameters_in(module: nn.Module) -> set[int]:
    """What its parameters are, and those of its parts: their ids."""
    return {
        id(parameter)
        for part in _parts(module)
        for parameter in part.__dict__.get("_parameters", {}).values()
    }


def _parts(module: nn.Module) -> list[nn.Module]:
    """The module and all in it, as ``modules()``, which a class may have made something else."""
    found: dict[int, nn.Module] = {}
    waiting = [module]
    while waiting:
        part = waiting.pop()
        if id(part) not in found:
            found[id(part)] = part
            inner = part.__dict__.get("_modules", {})  # absent before nn.Module.__init__
            waiting.extend(one for one in inner.values() if isinstance(one, nn.Module))
    return [*found.values()]


def _name_of(module: nn.Module, names: Mapping[str, Any]) -> str:
    """The module's class, with the variable in which the code has it, if it is in one."""
    kind = type(module).__name__
    variable = next((name for name, value in [*names.items()] if value is module), "")
    return f"{variable} ({kind})" if variable else kind
