"""LeNet under another name, for tutorials that have a `lenet` of their own beside them.

Two packages of one name cannot be loaded at once. So where a tutorial's folder holds a lenet.py,
that one is `lenet`, as with plain Python, and ours is loaded as `lenet_itself`: its modules are
read from the same files, with `lenet` in their imports replaced. This file stands alone in its
folder, which is on PYTHONPATH there: new processes of the tutorial find us, too.
"""

import ast
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

PLAIN = "lenet"
NAME = "lenet_itself"
PACKAGE = Path(__file__).resolve().parents[2]


class Renaming(SourceFileLoader):
    """A module of ours with our other name in its imports."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        tree = ast.parse(self.get_data(path), path)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and not node.level:
                node.module = _renamed(node.module or "")
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name == PLAIN and alias.asname is None:
                        alias.asname = PLAIN
                    alias.name = _renamed(alias.name)
            elif isinstance(node, ast.Call) and node.args and _looks_for_a_module(node.func):
                for part in ast.walk(node.args[0]):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        part.value = _renamed(part.value)
        code: CodeType = compile(tree, path, "exec", dont_inherit=True)
        return code


class Same(Loader):
    """`lenet` and what is in it, where the tutorial turns out to have none: ours."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = import_module(_renamed(module.__name__))


class Finder(MetaPathFinder):
    """Finds our modules under our other name, and the tutorial's `lenet` before ours."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == PLAIN:
            return theirs(sys.path, ours=PACKAGE) or ModuleSpec(fullname, Same(), is_package=True)
        top = fullname.partition(".")[0]
        if top == PLAIN and sys.modules.get(PLAIN) is sys.modules[NAME]:
            return ModuleSpec(fullname, Same(), is_package=True)
        if top != NAME:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = Renaming(fullname, spec.loader.path)
        return spec


def theirs(path: Sequence[str], *, ours: Path, but: Path | None = None) -> ModuleSpec | None:
    """The spec of the first `lenet` on a path that is not ours; None where there is none.

    The file `but` does not count: a tutorial that is itself called lenet.py. A folder without
    __init__.py counts where modules are in it: pictures make no package.
    """
    for folder in path:
        spec = PathFinder.find_spec(PLAIN, [folder])
        if spec is None or (spec.origin and but and os.path.samefile(spec.origin, but)):
            continue
        found = [Path(place) for place in spec.submodule_search_locations or ()]
        if any(place.resolve() == ours for place in found):
            continue
        if spec.origin or any(True for place in found for _ in place.glob("*.py")):
            return spec
    return None


def _renamed(name: str) -> str:
    return NAME + name[len(PLAIN) :] if name == PLAIN or name.startswith(f"{PLAIN}.") else name


def _looks_for_a_module(function: ast.expr) -> bool:
    """Whether it is `import_module` or `find_spec`, whose names are strings."""
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in ("import_module", "find_spec")


def _become_the_package() -> None:
    """Make this module the package that __init__.py makes, with all places of its parts."""
    module = sys.modules[NAME]
    places = os.environ.get("LENET_PACKAGE", "").split(os.pathsep)
    module.__path__ = [str(PACKAGE), *(place for place in places if place)]
    assert module.__spec__ is not None
    module.__spec__.submodule_search_locations = module.__path__
    module.__package__ = NAME
    sys.meta_path.insert(0, Finder())
    loader = Renaming(NAME, str(PACKAGE / "__init__.py"))
    exec(loader.get_code(NAME), vars(module))


if __name__ == NAME:
    _become_the_package()
