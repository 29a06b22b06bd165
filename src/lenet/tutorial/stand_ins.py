"""What answers `import d2l` and, where it is not installed, `import torchvision`.

`d2l.torch` and `d2l.d2ltorch` are `lenet.d2l`, and `d2lzh_pytorch` is `lenet.d2l.d2lzh`, always; so
no other version of the book's package gets in between. torchvision's modules are those of `vision`,
and only where Python finds no torchvision. Processes that multiprocessing starts anew, and Pythons
that the tutorial starts itself, find them, too. Nothing else is changed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from lenet.tutorial import vision

D2L = ("d2l.torch", "d2l.d2ltorch")
BOOKS = ("d2l", "d2lzh_pytorch")  # packages that are answered whatever is installed
D2LZH = "d2lzh_pytorch.utils"
INSTEAD = "pip install torchvision has the others"

# torchvision's packages, and its modules that gather several of ours: what is in each, by module
GATHERED: Mapping[str, Mapping[str, Sequence[str]]] = {
    "torchvision.datasets": vision.DATASETS,
    "torchvision.transforms": vision.TRANSFORMS,
    "torchvision.transforms.transforms": vision.TRANSFORMS,
}
PARTS = {
    "torchvision": ("datasets", "transforms", "utils", "version"),
    "torchvision.datasets": ("fakedata", "folder", "mnist", "vision"),
    "torchvision.transforms": ("functional", "transforms", "v2"),
}
OFFERED = {"torchvision.version", *PARTS, *GATHERED, *vision.MODULES}


def install(tell: Callable[[str], None]) -> None:
    """Put the stand-ins in place, once; `tell` is given a line when one is first imported."""
    if any(isinstance(finder, Finder) for finder in sys.meta_path):
        return
    for name in [name for name in sys.modules if name.split(".")[0] in BOOKS]:
        del sys.modules[name]  # a d2l imported before would go on answering
    for book in BOOKS:
        sys.meta_path.insert(0, Finder(book, tell))
    sys.meta_path.append(Finder("torchvision", tell))  # last: the real one comes before
    _install_in_children()


def install_quietly() -> None:
    """Put the stand-ins in place, and say nothing: the process before has said it."""
    install(lambda line: None)


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
        if fullname not in {self.package, *D2L, D2LZH, *OFFERED}:
            raise ImportError(_not_there(fullname), name=fullname)
        return ModuleSpec(fullname, self, is_package=fullname in {*BOOKS, *PARTS})

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        if name in D2L:
            from lenet import d2l

            sys.modules[name] = d2l
        elif name == D2LZH:
            from lenet.d2l import d2lzh

            sys.modules[name] = d2lzh
        elif name == "d2l":
            from lenet import __version__

            module.__version__ = f"1.0.3+lenet.{__version__}"  # type: ignore[attr-defined]
            module.__getattr__ = _forward  # type: ignore[method-assign]
            self.tell("d2l is LeNet's own (lenet.d2l), whatever else is installed")
        elif name == "d2lzh_pytorch":
            from lenet.d2l import d2lzh

            module.__all__ = d2lzh.__all__  # type: ignore[attr-defined]
            module.__getattr__ = _forward_d2lzh  # type: ignore[method-assign]
            self.tell("d2lzh_pytorch is LeNet's own (lenet.d2l.d2lzh), whatever else is installed")
        elif name in vision.MODULES:
            sys.modules[name] = _ours(vision.MODULES[name])
            vars(sys.modules[name])["__getattr__"] = _refuse(name)
        else:
            self._fill(module)

    def _fill(self, module: ModuleType) -> None:
        """Give one of torchvision's packages, or a module that gathers ours, what is in it."""
        name = module.__name__
        offers = {
            offer: getattr(_ours(part), offer)
            for part, names in GATHERED.get(name, {}).items()
            for offer in names
        }
        if name in ("torchvision", "torchvision.version"):
            offers["__version__"] = f"{vision.VERSION}+lenet"
        if name == "torchvision":
            offers |= {function.__name__: function for function in BACKENDS}
        vars(module).update(offers, __getattr__=_refuse(name), __all__=_public(name))
        for part in PARTS.get(name, ()):
            import_module(f"{name}.{part}")
        if name == "torchvision":
            self.tell("torchvision is not installed: its data sets and transforms are ours")


def get_image_backend() -> str:
    """What reads pictures: PIL."""
    return "PIL"


def set_image_backend(backend: str) -> None:
    """Nothing for PIL. Raises ValueError for another backend."""
    if backend != "PIL":
        raise ValueError(f"Invalid backend '{backend}'. LeNet's stand-in for torchvision has 'PIL'")


def disable_beta_transforms_warning() -> None:
    """Nothing: there is no such warning."""


BACKENDS = (get_image_backend, set_image_backend, disable_beta_transforms_warning)


# ------------------------------------------------------------------------------- new processes


class _Installs:
    """What installs the stand-ins in the process that unpickles it."""

    def __reduce__(self) -> Any:
        return install_quietly, ()


def _install_in_children() -> None:
    """Let processes that multiprocessing starts anew have the stand-ins before anything else.

    Such a process first unpickles how to prepare itself, and then imports the script that started
    it. The fork server, from Python 3.13 on, imports the script before that: it imports us instead.
    """
    from multiprocessing import get_all_start_methods, get_context, spawn

    prepare = spawn.get_preparation_data

    def get_preparation_data(name: str) -> dict[str, Any]:
        return {__package__ or "": _Installs(), **prepare(name)}

    spawn.get_preparation_data = get_preparation_data
    if "forkserver" in get_all_start_methods():
        get_context("forkserver").set_forkserver_preload([f"{__package__}.in_fork_server"])


def install_in_programs() -> None:
    """Let Pythons that this process starts, such as `python other.py`, find the stand-ins."""
    paths = [os.environ.get("PYTHONPATH", ""), str(Path(__file__).parent / "children")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    package = sys.modules[(__package__ or "").partition(".")[0]]
    os.environ["LENET_PACKAGE"] = os.pathsep.join(package.__path__)  # an editable one has several


# ---------------------------------------------------------------------------------- what is there


def _ours(part: str) -> ModuleType:
    return import_module(f"{vision.__name__}.{part}")


def _public(name: str) -> list[str]:
    gathered = GATHERED.get(name, {})
    return sorted(
        [*PARTS.get(name, ()), *(offer for names in gathered.values() for offer in names)]
    )


def _forward(name: str) -> Any:
    """A name of `lenet.d2l`, for code that says `import d2l` and no more."""
    if name.startswith("__") or f"d2l.{name}" in D2L:
        raise AttributeError(f"module 'd2l' has no attribute {name!r}")
    from lenet import d2l

    return getattr(d2l, name)


def _forward_d2lzh(name: str) -> Any:
    """A name of `lenet.d2l.d2lzh`."""
    if name.startswith("__") or name == "utils":
        raise AttributeError(f"module 'd2lzh_pytorch' has no attribute {name!r}")
    from lenet.d2l import d2lzh

    return getattr(d2lzh, name)


def _refuse(module: str) -> Callable[[str], Any]:
    def attribute(name: str) -> Any:
        raise AttributeError(_not_there(f"{module}.{name}"))

    return attribute


def _not_there(name: str) -> str:
    if name.startswith("d2l."):
        return f"LeNet's d2l has no {name}; it has d2l.torch"
    if name.startswith("d2lzh_pytorch."):
        return f"LeNet's d2lzh_pytorch has no {name}; it has {D2LZH}"
    parent = name.rpartition(".")[0]
    while parent not in {*PARTS, *GATHERED}:
        parent = parent.rpartition(".")[0]
    return (
        f"LeNet's stand-in for torchvision has no {name}; "
        f"{parent} has {', '.join(_public(parent))}; {INSTEAD}"
    )
