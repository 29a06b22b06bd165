"""What code that was written in a notebook imports, where there is no notebook.

``tqdm.notebook`` draws with widgets, which only a page can show: here its bars are tqdm's bars for
a terminal. ``IPython.display`` shows values as the last line of a cell is shown, so that they are
on the page of ``--html``, too; and where IPython is not installed, enough of it is here for that.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

WRAPPERS = ("HTML", "Image", "JSON", "Latex", "Markdown", "Math", "Pretty", "SVG")


def install(source: str, display: Callable[..., None]) -> None:
    """From now on the code `source` can import them; `display` shows values."""

    def fill_display(module: ModuleType, installed: bool) -> None:
        names = vars(module)
        if not installed:
            names.update({name: type(name, (_Wrapped,), {}) for name in WRAPPERS})
            names["set_matplotlib_formats"] = _nothing
        names["display"] = lambda *values, **options: display(*values)
        names["clear_output"] = _nothing  # what was printed stays printed

    hooks: list[MetaPathFinder] = []
    if "tqdm" in source:
        hooks.append(_Hook("tqdm.notebook", _fill_bars, instead=True))
    if "IPython" in source:  # no other package shall find a part of IPython
        hooks += [_Hook("IPython", _fill_ipython), _Hook("IPython.display", fill_display)]
    sys.meta_path[:0] = hooks


class _Hook(MetaPathFinder, Loader):
    """An import hook for one module: `fill` gives it names, after what is installed has run."""

    def __init__(
        self, name: str, fill: Callable[[ModuleType, bool], None], instead: bool = False
    ) -> None:
        self.name = name
        self.fill = fill
        self.instead = instead  # of what is installed
        self.installed: ModuleSpec | None = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        self.installed = None if self.instead else PathFinder.find_spec(fullname, path)
        if self.installed is None:
            return ModuleSpec(fullname, self, is_package="." not in fullname)
        spec = ModuleSpec(fullname, self, origin=self.installed.origin)
        spec.submodule_search_locations = self.installed.submodule_search_locations
        spec.has_location = self.installed.has_location
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        if self.installed is not None and self.installed.loader is not None:
            self.installed.loader.exec_module(module)
        self.fill(module, self.installed is not None)


def _fill_ipython(module: ModuleType, installed: bool) -> None:
    if not installed:
        # As IPython's own outside of its shell. matplotlib asks, and would want events of a shell.
        vars(module).update(get_ipython=lambda: None, version_info=(0, 0, 0))
        vars(module)["display"] = import_module("IPython.display")


def _fill_bars(module: ModuleType, installed: bool) -> None:
    std: Any = import_module("tqdm.std")  # it has no types

    class TextBar(std.tqdm):  # type: ignore[misc]
        def __init__(self, *values: Any, display: bool = True, **options: Any) -> None:
            super().__init__(*values, **options)

    def trange(*numbers: int, **options: Any) -> TextBar:
        return TextBar(range(*numbers), **options)

    vars(module).update(tqdm=TextBar, tqdm_notebook=TextBar, trange=trange, tnrange=trange)


class _Wrapped:
    """A value that is shown as its class says: on the page HTML and SVG are what they say."""

    def __init__(self, data: Any = None, *args: Any, **options: Any) -> None:
        self.data = data

    def __repr__(self) -> str:
        return f"<IPython.core.display.{type(self).__name__} object>"

    def _repr_html_(self) -> str | None:
        return self.data if type(self).__name__ in ("HTML", "SVG") else None


def _nothing(*args: Any, **options: Any) -> None: ...
