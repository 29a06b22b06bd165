"""The examples in docstrings show what happens.

Not by pytest's --doctest-modules: it would load every file of src and look through every test.
"""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import lenet

PACKAGE = Path(lenet.__file__).parent
WITH_EXAMPLES = sorted(
    path.relative_to(PACKAGE.parent)
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=Path.as_posix)
def test_the_examples_of(path: Path) -> None:
    name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    try:
        module = import_module(name)
    except ImportError as error:
        pytest.skip(f"{name} cannot be loaded: {error}")
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed
