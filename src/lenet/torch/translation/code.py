"""What a function's compiled code says of the names that it uses and writes to."""

from __future__ import annotations

import builtins
import dis
import functools
import sys
import types
from types import CodeType, FunctionType
from typing import Any

from torch import nn

OURS = __name__.partition(".")[0]  # another name, where a tutorial has a lenet of its own
# Whose functions and objects are not looked into: they change nothing of the user's.
FOREIGN = frozenset(
    {
        *("torch", "functorch", "torchvision", "numpy", OURS, "matplotlib", "pandas", "scipy"),
        *("PIL", "tqdm", "rich", "IPython", "ipykernel", "pytest", "_pytest", "pluggy"),
        *(sys.stdlib_module_names - {"__main__", "test"}),
    }
)
# With these, code writes to what it does not show.
WRITERS = frozenset(
    {
        *("setattr", "delattr", "__setattr__", "__delattr__", "vars", "__dict__", "eval", "exec"),
        *("__init__", "__setstate__"),
    }
)
ITEM_WRITERS = frozenset(
    {
        *("add_module", "register_module", "register_buffer", "register_parameter", "_modules"),
        *("_buffers", "_parameters", "append", "insert", "extend", "pop", "popitem", "clear"),
        *("update", "setdefault", "__setitem__", "__delitem__", "__iadd__"),
    }
)
# What Python calls without its name being in any code; those that make an object are no part of it.
HIDDEN = frozenset({"__getattr__", "__getattribute__", "__setattr__", "__delattr__"})
MAKING = frozenset({"__init__", "__new__", "__init_subclass__", "__setstate__", "__post_init__"})
SIMPLE = (FunctionType, property, staticmethod, classmethod, types.MemberDescriptorType)
SLOTS = (types.GetSetDescriptorType, type)


def foreign(value: Any) -> bool:
    """Whether a function or class is Python's, PyTorch's, NumPy's or ours."""
    if value is builtins:
        return True
    name = getattr(value, "__module__", None)
    return not isinstance(name, str) or name.partition(".")[0] in FOREIGN


def names_of(code: CodeType) -> set[str]:
    """All names that a function's code has, those in strings too (``getattr(self, "act")``)."""
    names = {*code.co_names}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= names_of(constant)
        elif isinstance(constant, str):
            names |= {part for part in constant.split(".") if part.isidentifier()}
    return names


@functools.lru_cache(maxsize=4096)
def written_by(code: CodeType) -> tuple[frozenset[str], bool]:
    """The names of the attributes that code writes to, and whether it writes to items."""
    attributes, items = set(), False
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("STORE_ATTR", "DELETE_ATTR"):
            attributes.add(str(instruction.argval))
        items = items or instruction.opname in ("STORE_SUBSCR", "DELETE_SUBSCR", "STORE_SLICE")
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            more, further = written_by(constant)
            attributes |= more
            items = items or further
    return frozenset(attributes), items


def always(name: Any) -> bool:
    """True: whatever the name."""
    return True


class Writes:
    """What the functions that ``forward`` can reach may write to."""

    def __init__(self) -> None:
        self.attributes: set[str] = set()
        self.names: set[str] = set()
        self.items = False

    def add(self, code: CodeType, names: set[str]) -> None:
        """Count a function in, with all its names."""
        attributes, items = written_by(code)
        self.attributes |= attributes
        self.names |= names
        self.items = self.items or items

    def add_class(self, kind: type) -> None:
        """Count in what operators, ``with`` and the like call without its name."""
        if not foreign(kind):
            for name, value in [*vars(kind).items()]:
                hidden = name.startswith("__") and name not in MAKING
                if hidden and isinstance(value, FunctionType):
                    self.add(value.__code__, names_of(value.__code__))

    def attribute(self, kind: type, name: Any) -> bool:
        """Whether an attribute of that name, of a module of that class, may be written to."""
        return (
            name in self.attributes
            or not WRITERS.isdisjoint(self.names)
            or any(_writes_unseen(base, self.names) for base in kind.__mro__)
        )

    def item(self, kind: type, name: Any) -> bool:
        """Whether a layer, parameter or buffer of that name may be replaced."""
        return self.items or not ITEM_WRITERS.isdisjoint(self.names) or self.attribute(kind, name)


def _writes_unseen(kind: type, names: set[str]) -> bool:
    """Whether a class may write to its objects' attributes in a way that its code does not show."""
    if kind in (object, nn.Module) or kind.__module__.startswith("torch.nn.modules."):
        return False
    return foreign(kind) or any(
        name in HIDDEN
        or (
            name in names
            and hasattr(type(value), "__get__")
            and not isinstance(value, (*SIMPLE, *SLOTS))
        )
        for name, value in vars(kind).items()
    )
