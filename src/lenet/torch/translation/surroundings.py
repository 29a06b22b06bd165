"""What a module's ``forward`` can see and change besides the pictures.

A reading runs ``forward`` with stand-ins, so it must leave no trace; and what it took from an
attribute, a dict or a global variable holds only as long as that stays as it was. ``Surroundings``
remembers all of it: whatever is reached from the code of ``forward`` and of the functions that it
calls.
"""

from __future__ import annotations

import argparse
import builtins
import collections
import contextvars
import functools
import io
import operator
import os
import random
import threading
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lenet.torch.translation.code import Writes, always, foreign, names_of

MOST = 2000  # objects that are looked into; a call would spend longer on more than in the network
SMALL = 1 << 16  # bytes of an array that are kept
ATOMS = (int, float, complex, str, bytes, bool, type(None), type(Ellipsis), range, slice)
MISSING = object()
FUNCTION = ("__code__", "__defaults__", "__kwdefaults__")
NAMESPACES = (
    *(types.SimpleNamespace, argparse.Namespace, threading.local),
    *(collections.UserDict, collections.UserList, collections.ChainMap),
)
# Random generators that everybody shares: a trial of forward puts them back.
EVERYBODYS = frozenset({id(random.random.__self__), id(np.random.rand.__self__)})  # type: ignore[attr-defined]
GENERATORS = (random.Random, np.random.Generator, np.random.RandomState, torch.Generator)
OF_EVERY_MODULE = frozenset(nn.Module().__dict__)  # hooks among them, which a reading never sees
# What reaches attributes by names that its code does not show.
DYNAMIC = frozenset({"getattr", "setattr", "vars", "__dict__", "globals", "locals", "eval", "exec"})


@dataclass(slots=True)
class _Watch:
    """One place that ``forward`` can see: how to read it, what was there, how to put that back."""

    where: str
    read: Callable[[], list[Any]]
    write: Callable[[list[Any]], object]
    before: list[Any]
    names: tuple[str, ...] = ()  # of the values, where they are variables

    def changed(self) -> bool:
        try:
            now = self.read()
        except RuntimeError:  # another thread is changing it
            return True
        before = self.before
        if len(now) == len(before) and all(map(operator.is_, now, before)):
            return False
        if len(now) != len(before) or not all(map(_same, now, before)):
            return True
        self.before = now  # equal numbers in other objects
        return False


def _same(a: Any, b: Any) -> bool:
    """Whether two values are one object, or equal and of a kind that nothing can change."""
    return a is b or (type(a) is type(b) and isinstance(a, ATOMS) and bool(a == b))


@dataclass(slots=True)
class _Dict:
    """A dict, or a class's attributes, that ``forward`` can see."""

    where: str  # with {} for the name of a value
    now: Any  # a dict or a mappingproxy
    before: dict[Any, Any]
    own: bool  # of a module, whose ``training`` readings switch and callers look at
    deep: list[tuple[Any, Any]]  # what can be changed within, and so must be the same object
    writes: Callable[[Any], bool]  # whether forward can write to what has a name

    def changed(self) -> bool:
        now, before = self.now, self.before
        if self.own:
            before["training"] = now.get("training")
        try:
            if now != before:
                return True
        except (RuntimeError, ValueError):  # arrays in it; or another thread is changing it
            return True
        return any(now[name] is not value for name, value in self.deep)


@dataclass(slots=True)
class _Named:
    """A module's parameters or buffers."""

    where: str
    now: dict[str, Any]
    before: dict[str, Any]
    writes: Callable[[Any], bool]


class Surroundings:
    """What ``forward`` of a module and of its layers can see, as it is now."""

    def __init__(self, module: nn.Module) -> None:
        self._names: set[str] = {"forward", "__call__"}
        while True:  # until no more code is reached by the names that are known
            self._dicts: list[_Dict] = []
            self._named: list[_Named] = []
            self._watches: list[_Watch] = []
            self._met: dict[int, Any] = {}
            self.unknown = ""  # what can be reached and not be watched
            self._writes = Writes()
            known = set(self._names)
            self._all = not known.isdisjoint(DYNAMIC)
            self._walk(module, "")
            if known == self._names:
                break

    def changed(self, forwards: bool = False) -> str:
        """What is another than before, as one reads it in code ("self.opt['act']"), or empty.

        ``forwards``: an attribute, layer or parameter that none of forward's code writes to is left
        out, since that is another thread's doing.
        """
        for dictionary in self._dicts:
            if dictionary.changed():
                where = _first_difference(dictionary, dictionary.writes if forwards else None)
                if where:
                    return where
        for named in self._named:
            # which parameters or buffers there are; not which tensors they are
            if (named.now or named.before) and _given(named.now) != _given(named.before):
                return named.where
        for watch in self._watches:
            if watch.changed():
                values = zip(watch.names, watch.read(), watch.before, strict=False)
                differ = [name for name, now, before in values if not _same(now, before)]
                return watch.where + ", ".join(differ)
        return ""

    def put_back(self, forwards: bool = False) -> None:
        """Make everything as it was; only what differs, since another thread may be reading.

        ``forwards``: as in ``changed``; what another thread wrote meanwhile stays.
        """
        for watch in self._watches:
            if watch.changed():
                watch.write(watch.before)
                watch.before = watch.read()  # a tensor counts this write, too
        for named in self._named:
            _restore_dict(named.now, named.before, named.writes if forwards else always)
        for dictionary in self._dicts:
            if dictionary.changed():
                if isinstance(dictionary.now, dict):
                    writes = dictionary.writes if forwards else always
                    _restore_dict(dictionary.now, dictionary.before, writes)
                else:
                    _restore_class(self._met[id(dictionary.now)], dictionary.before)

    # --- finding it ---

    def _watch(
        self,
        where: str,
        read: Callable[[], list[Any]],
        write: Callable[[list[Any]], object],
        names: tuple[str, ...] = (),
    ) -> None:
        self._watches.append(_Watch(where, read, write, read(), names))

    def _walk(self, value: Any, where: str) -> None:
        if isinstance(value, ATOMS) or id(value) in self._met or len(self._met) > MOST:
            return
        self._met[id(value)] = value  # kept, so that its id stays its own
        if isinstance(value, nn.Module):
            self._walk_module(value, where or "self")
        elif isinstance(value, Tensor):
            self._watch_tensor(value, where)
        elif isinstance(value, np.ndarray):
            self._watch_array(value, where)
        elif value is os.environ or value is os.getenv:
            variables: Any = os.environ
            self._watch_dict(variables._data, "os.environ[{!r}]")
        elif isinstance(value, FunctionType):
            self._walk_function(value, where)
        elif isinstance(value, MethodType):
            self._walk(value.__func__, where)
            self._walk(value.__self__, where)
        elif isinstance(value, staticmethod | classmethod):
            self._walk(value.__func__, where)
        elif isinstance(value, property):
            self._walk(value.fget, where)
        elif isinstance(value, functools.partial):
            self._walk_all([value.func, *value.args, *value.keywords.values()], where)
        elif isinstance(value, type):
            if not foreign(value):
                self._walk_class(value, where)
        elif isinstance(value, dict | list | set | collections.deque | bytearray):
            self._walk_container(value, where)
        elif isinstance(value, tuple | frozenset | types.MappingProxyType):
            items = value.values() if isinstance(value, types.MappingProxyType) else value
            self._walk_all([*items], where)
        elif isinstance(value, contextvars.ContextVar):
            self._watch(where, lambda: [_value(value)], lambda before: _set(value, before[0]))
            self._walk(_value(value), where)
        elif id(value) in EVERYBODYS:
            pass
        elif isinstance(value, (io.IOBase, *GENERATORS)) or (
            hasattr(value, "__next__") and _endless(value)
        ):
            self.unknown = self.unknown or f"{where}, a {type(value).__name__}"
        elif isinstance(value, NAMESPACES) or not (
            isinstance(value, ModuleType) or foreign(type(value))
        ):
            self._walk_object(value, where)

    def _walk_all(self, values: list[Any], where: str) -> None:
        for value in values:
            self._walk(value, where)

    def _walk_module(self, own: nn.Module, where: str) -> None:
        attributes, others, writes = own.__dict__, foreign(type(own)), self._writes
        attribute = functools.partial(writes.attribute, type(own))
        item = functools.partial(writes.item, type(own))
        self._watch_dict(attributes, f"{where}.{{}}", attribute, own=True)
        for name, value in [*attributes.items()]:
            if name == "_modules":
                self._watch_dict(value, f"{where}[{{}}]", item)
                for key, inner in [*value.items()]:
                    self._walk(inner, f"{where}.{key}" if key.isidentifier() else f"{where}[{key}]")
            elif name in ("_parameters", "_buffers"):
                self._named.append(_Named(f"{where}.{name}", value, dict(value), item))
                if name == "_buffers":
                    self._walk_all([*value.values()], where)
            elif name not in OF_EVERY_MODULE and (others or self._all or name in self._names):
                self._walk(value, f"{where}.{name}")
        for kind in type(own).__mro__:
            if kind not in (nn.Module, object):
                self._walk_class(kind, kind.__name__)

    def _walk_class(self, kind: type, where: str) -> None:
        if kind is not object and id(kind) != id(nn.Module):
            self._met[id(kind)] = kind
            attributes = kind.__dict__
            self._writes.add_class(kind)
            self._watch_dict(attributes, f"{where}.{{}}")
            self._met[id(attributes)] = kind
            if not foreign(kind):
                self._walk(type(kind), type(kind).__name__)
                for name, value in [*attributes.items()]:
                    if self._all or name in self._names:
                        self._walk(value, f"{where}.{name}")

    def _walk_function(self, function: FunctionType, where: str) -> None:
        if foreign(function):
            return
        names = names_of(function.__code__)
        self._names |= names
        self._writes.add(function.__code__, names)
        self._watch(
            where,
            lambda: [function.__code__, function.__defaults__, function.__kwdefaults__],
            lambda before: _restore_slots(function, FUNCTION, before),
        )
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        ):
            if _cell(cell) is not MISSING:
                self._watch(
                    name, functools.partial(_read_cell, cell), functools.partial(_write_cell, cell)
                )
                self._walk(_cell(cell), name)
        self._walk_all([*(function.__defaults__ or ())], where)
        self._walk_all([*(function.__kwdefaults__ or {}).values()], where)
        self._walk_namespace(function.__globals__, names, "")

    def _walk_namespace(self, namespace: dict[str, Any], names: set[str], where: str) -> None:
        """The variables of a Python module that code names."""
        here = tuple(sorted(name for name in names if name in namespace))
        if here:
            self._watch(
                where,
                lambda: [namespace.get(name, MISSING) for name in here],
                lambda before: _restore_names(namespace, here, before),
                here,
            )
        for name in here:
            value = namespace[name]
            if not isinstance(value, ModuleType):
                self._walk(value, where + name)
            elif id(value) not in self._met and value is not builtins:
                self._met[id(value)] = value
                self._walk_namespace(vars(value), names, f"{where}{name}.")

    def _walk_container(self, value: Any, where: str) -> None:
        if isinstance(value, dict):
            self._watch_dict(value, f"{where}[{{!r}}]")
            for key, inner in [*value.items()]:
                shown = repr(key).replace("{", "").replace("}", "")[:40]
                self._walk(inner, f"{where}[{shown}]")
        elif isinstance(value, set):
            self._watch(where, lambda: [*value], functools.partial(_refill, value, value.update))
        elif isinstance(value, collections.deque):
            self._watch(where, lambda: [*value], functools.partial(_refill, value, value.extend))
        elif isinstance(value, bytearray):
            self._watch(
                where,
                lambda: [bytes(value)],
                lambda before: value.__setitem__(slice(None), before[0]),
            )
        else:
            self._watch(
                where, lambda: [*value], lambda before: value.__setitem__(slice(None), before)
            )
        if not isinstance(value, dict):
            for index, inner in enumerate([*value]):
                self._walk(inner, f"{where}[{index}]")
        self._walk_object(value, where)  # what a subclass has besides

    def _walk_object(self, value: Any, where: str) -> None:
        kind = type(value)
        attributes = getattr(value, "__dict__", None)
        if isinstance(attributes, dict):
            self._watch_dict(attributes, f"{where}.{{}}")
            everything = self._all or isinstance(value, NAMESPACES)
            for name, inner in [*attributes.items()]:
                if everything or name in self._names:
                    self._walk(inner, f"{where}.{name}")
        slots = [
            name
            for base in kind.__mro__
            for name, member in vars(base).items()
            if isinstance(member, types.MemberDescriptorType)
        ]
        if slots and not foreign(kind):
            self._watch(
                where,
                lambda: [getattr(value, name, MISSING) for name in slots],
                lambda before: _restore_slots(value, slots, before),
            )
            for name in self._names.intersection(slots):
                self._walk(getattr(value, name, None), f"{where}.{name}")
        for base in kind.__mro__:
            if not foreign(base):
                self._walk(base, base.__name__)

    def _watch_dict(
        self, value: Any, where: str, writes: Callable[[Any], bool] = always, own: bool = False
    ) -> None:
        deep = [
            (name, inner)
            for name, inner in value.items()
            if not isinstance(inner, ATOMS) and _compares(inner)
        ]
        if own:
            deep = [(name, inner) for name, inner in deep if name not in OF_EVERY_MODULE]
        self._dicts.append(_Dict(where, value, dict(value), own, deep, writes))

    def _watch_tensor(self, value: Tensor, where: str) -> None:
        if isinstance(value, nn.Parameter) or value.is_inference():
            return
        size = value.numel() * value.element_size()
        kept = value.detach().clone() if size <= SMALL else None

        def write(_: list[Any]) -> None:
            if kept is not None:
                with torch.no_grad():
                    value.copy_(kept)

        self._watch(where, lambda: [value._version], write)

    def _watch_array(self, value: NDArray[Any], where: str) -> None:
        if value.nbytes > SMALL or value.dtype.hasobject:
            return
        kept = value.copy()
        self._watch(where, lambda: [value.tobytes()], lambda _: value.__setitem__(Ellipsis, kept))


def _endless(value: Any) -> bool:
    """Whether it is an iterator, which every look into would change."""
    try:
        return iter(value) is value
    except TypeError:
        return False


def _cell(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that is not bound yet
        return MISSING


def _value(variable: contextvars.ContextVar[Any]) -> Any:
    try:
        return variable.get()
    except LookupError:  # it was not set, and has no default
        return MISSING


def _set(variable: contextvars.ContextVar[Any], value: Any) -> None:
    if value is not MISSING:
        variable.set(value)


def _read_cell(cell: types.CellType) -> list[Any]:
    return [_cell(cell)]


def _write_cell(cell: types.CellType, before: list[Any]) -> None:
    cell.cell_contents = before[0]


def _given(named: dict[str, Any]) -> list[str]:
    return [name for name, tensor in named.items() if tensor is not None]


def _first_difference(dictionary: _Dict, writes: Callable[[Any], bool] | None) -> str:
    """Where a dict or a module's attributes are others than before, down to the name.

    Empty where ``writes`` is given and holds for none.
    """
    now, before = dictionary.now, dictionary.before
    differ = [
        name for name in [*now, *before] if now.get(name, MISSING) is not before.get(name, MISSING)
    ]
    for name in differ:
        if writes is None or writes(name):
            return dictionary.where.format(name)
    return "" if differ and writes else dictionary.where.format("…")


def _compares(value: Any) -> bool:
    """Whether it may be equal to another object, which then is not the one that is watched."""
    equal: object = type(value).__eq__
    return equal is not object.__eq__


def _refill(value: Any, add: Callable[[Any], None], before: list[Any]) -> None:
    value.clear()
    add(before)


def _restore_dict(
    now: dict[Any, Any], before: dict[Any, Any], writes: Callable[[Any], bool]
) -> None:
    for key in [key for key in now if key not in before and writes(key)]:
        del now[key]
    for key, value in before.items():
        if (key not in now or now[key] is not value) and writes(key):
            now[key] = value


def _restore_class(kind: type, before: dict[str, Any]) -> None:
    for name in [name for name in vars(kind) if name not in before]:
        type.__delattr__(kind, name)
    for name, value in before.items():
        if vars(kind).get(name, MISSING) is not value:
            type.__setattr__(kind, name, value)


def _restore_names(namespace: dict[str, Any], names: tuple[str, ...], before: list[Any]) -> None:
    for name, value in zip(names, before, strict=True):
        namespace[name] = value


def _restore_slots(value: Any, slots: Sequence[str], before: list[Any]) -> None:
    for name, old in zip(slots, before, strict=True):
        if old is not MISSING:
            object.__setattr__(value, name, old)
        elif hasattr(value, name):
            object.__delattr__(value, name)
