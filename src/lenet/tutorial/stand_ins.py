"""What answers `import d2l` and, where it is not installed, `import torchvision`.

`d2l.torch` and `d2l.d2ltorch` are `lenet.d2l`, always; so no other version of d2l gets in between.
torchvision's data sets and transforms are those of `vision.py`, and only where Python finds no
torchvision. Nothing else is changed.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

D2L = ("d2l.torch", "d2l.d2ltorch")
DATASETS = ("FashionMNIST", "MNIST")
TRANSFORMS = ("Compose", "Normalize", "Resize", "ToTensor")
OFFERED = {"torchvision.datasets": DATASETS, "torchvision.transforms": TRANSFORMS}
INSTEAD = "pip install torchvision has the others"


def install(tell: Callable[[str], None]) -> None:
    """Put the stand-ins in place, once; `tell` is given a line when one is first imported."""
    if any(isinstance(finder, Finder) for finder in sys.meta_path):
        return
    for name in [name for name in sys.modules if name.split(".")[0] == "d2l"]:
        del sys.modules[name]  # a d2l imported before would go on answering
    sys.meta_path.insert(0, Finder("d2l", tell))
    sys.meta_path.append(Finder("torchvision", tell))  # last: the real one comes before


class Finder(MetaPathFinder, Loader):
    """An import hook for one package and what is in it."""

    def __init__(self, package: str, tell: Callable[[str], None]) -> None:
        self.package = package
        self.tell = tell

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.split(".")[0] != self.package:
            return None
        if path:  # inside a package of that name that is somebody else's
            return None
        known = {self.package, *D2L, *OFFERED}
        if fullname not in known:
            raise ImportError(_not_there(fullname), name=fullname)
        return ModuleSpec(fullname, self, is_package=fullname not in D2L)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        if name in D2L:
            from lenet import d2l

            sys.modules[name] = d2l
        elif name in OFFERED:
            from lenet.tutorial import vision

            vars(module).update({offer: getattr(vision, offer) for offer in OFFERED[name]})
            module.__getattr__ = _refuse(name)  # type: ignore[method-assign]
        elif name == "d2l":
            from lenet import __version__

            module.__version__ = f"1.0.3+lenet.{__version__}"  # type: ignore[attr-defined]
            module.__getattr__ = _forward  # type: ignore[method-assign]
            self.tell("d2l is LeNet's own (lenet.d2l), whatever else is installed")
        else:
            module.__version__ = "0+lenet"  # type: ignore[attr-defined]
            for part in OFFERED:
                importlib.import_module(part)
            module.__getattr__ = _refuse(name)  # type: ignore[method-assign]
            self.tell(
                "torchvision is not installed: its MNIST, FashionMNIST and transforms are ours"
            )


def _forward(name: str) -> Any:
    """A name of `lenet.d2l`, for code that says `import d2l` and no more."""
    if name.startswith("__") or f"d2l.{name}" in D2L:
        raise AttributeError(f"module 'd2l' has no attribute {name!r}")
    from lenet import d2l

    return getattr(d2l, name)


def _refuse(module: str) -> Callable[[str], Any]:
    def attribute(name: str) -> Any:
        raise AttributeError(_not_there(f"{module}.{name}"))

    return attribute


def _not_there(name: str) -> str:
    if name.startswith("d2l."):
        return f"LeNet's d2l has no {name}; it has d2l.torch"
    parent = name.rpartition(".")[0]
    offers = OFFERED.get(parent) or [part.rpartition(".")[2] for part in OFFERED]
    return (
        f"LeNet's stand-in for torchvision has no {name}; "
        f"{parent} has {', '.join(offers)}; {INSTEAD}"
    )
