"""lenet run on texts as people have them: blanks of pages, IPython's lines, several frameworks,
classes told in pieces."""

import json
from pathlib import Path

import pytest

from lenet.tutorial import blanks, cells, magics, tabs

PAGE = """\
import math

class Circle:
    def __init__(self):
        self.radius = 2

    def area(self):
        return math.floor(math.pi * self.radius ** 2)

print(Circle().area())
"""
BLANKS = {
    "no-break": "\u00a0",
    "figure": "\u2007",
    "narrow no-break": "\u202f",
    "full width": "\u3000",
    "en": "\u2002",
    "line separator": "\u2028",
}
NARROW = {"zero width": "\u200b", "byte order mark": "\ufeff", "soft hyphen": "\u00ad"}


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def printed(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What the file's cells print, run here one after the other."""
    names: dict[str, object] = {}
    for block in cells.read(path).cells:
        exec(block.source, names)
    return capsys.readouterr().out


# --- blanks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("blank", BLANKS.values(), ids=BLANKS)
@pytest.mark.parametrize("name", ["page.py", "page.md", "page.txt", "page.ipynb", "list.md"])
def test_blanks_of_pages_are_blanks(
    name: str, blank: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = PAGE.replace(" ", blank)
    if name == "page.md":
        code = f"# Page\n\n```python\n{code}```\n"
    elif name == "list.md":
        inside = "".join(f"{blank * 2}{line}\n" for line in code.split("\n"))
        code = f"- item\n\n{blank * 2}```python\n{inside}{blank * 2}```\n"
    elif name == "page.txt":
        code = f"A page about circles\n\nHere is one.\n\n{code}\nThat is all.\n"
    elif name == "page.ipynb":
        code = json.dumps({"cells": [{"cell_type": "code", "source": code}]})
    assert printed(write(tmp_path / name, code), capsys) == "12\n"


@pytest.mark.parametrize("mark", NARROW.values(), ids=NARROW)
def test_marks_of_no_width_are_nothing(
    mark: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = PAGE.replace("    ", f"{mark}    ").replace(" = ", f"{mark} = {mark}")
    assert printed(write(tmp_path / "a.md", f"```python\n{code}```\n"), capsys) == "12\n"
    assert printed(write(tmp_path / "a.txt", f"Prose.\n\n{code}\nProse.\n"), capsys) == "12\n"
    indented = PAGE.replace("    ", mark * 4)  # no other sign that it is inside
    assert printed(write(tmp_path / "b.md", f"```python\n{indented}```\n"), capsys) == "12\n"


def test_blanks_in_strings_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = "s\u00a0= '\u00a0\u3000'\nt = '''\n\u00a0\u00a0x\n'''\nprint(ascii(s),\u00a0ascii(t))"
    right = r"'\xa0\u3000' '\n\xa0\xa0x\n'" + "\n"
    assert printed(write(tmp_path / "a.md", f"```python\n{code}\n```\n"), capsys) == right
    assert printed(write(tmp_path / "a.txt", f"Prose here.\n\n{code}\n"), capsys) == right
    shown = "print(ascii(f'{1\u00a0+ 1:\u00a0>3}'))  # don't\u00a0touch"
    assert blanks.plain(shown) == shown.replace("1\u00a0+", "1 +")


def test_line_separators_end_lines_where_nothing_else_is_python(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = write(tmp_path / "a.txt", "Text.\n\n" + PAGE.replace("\n", "\u2028"))
    assert printed(whole, capsys) == "12\n"
    two = write(tmp_path / "b.md", "# T\n\n```python\nx = 1\u2028y = 2\nprint(x + y)\n```\n")
    assert printed(two, capsys) == "3\n"


def test_a_full_width_blank_may_be_two_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "if True:\n\u3000\u3000x = 1\n    x += 1\nprint(x)\n"
    assert printed(write(tmp_path / "a.md", f"```python\n{code}```\n"), capsys) == "2\n"


def test_code_that_is_lost_is_told(tmp_path: Path) -> None:
    text = (
        "Text.\n\nimport math\n\nclass A:\n    def f(self):\n  return 1\n\nEnd.\n\nprint(math.e)\n"
    )
    assert cells.lost(cells.read(write(tmp_path / "a.txt", text))) == [
        "line 5 reads like code, but is not run: unindent does not match any outer indentation "
        "level (line 7)"
    ]
    for prose in ("for each of them:\n    we look", "import it as you like", "class of 1998:"):
        text = f"Text.\n\n{prose}\n\nprint(1)\n"
        assert cells.lost(cells.read(write(tmp_path / "b.txt", text))) == []


# --- IPython -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "python", "remarks"),
    [
        ("!pip \\\n  a \\\n  b\nx = 1", "pass\n\n\nx = 1", ["line 1: passed over !pip a b"]),
        ("for i in x:\n  !ls\n  i", "for i in x:\n  pass\n  i", ["line 2: passed over !ls"]),
        ("?len\nlen?\nx.y??", "pass\npass\npass", None),
        ("%matplotlib inline\nx", "pass\nx", ["line 1: passed over %matplotlib inline"]),
        ("pip install torch numpy\nx", "pass\nx", ["line 1: passed over %pip install torch numpy"]),
        ("x = !ls *.py", "x = get_ipython().getoutput('ls *.py')", []),
        ("x = %pwd", "x = get_ipython().run_line_magic('pwd', '')", []),
        ("a.b = %nothing 1", "a.b = None", ["line 1: a.b is None: passed over %nothing 1"]),
        ("%time y = f(\n    1)", "y = f(\n    1)", []),
        ("x = (7\n  % 4)\n!ls", "x = (7\n  % 4)\npass", ["line 3: passed over !ls"]),
        ("s = '''\n!no\n'''\n!ls", "s = '''\n!no\n'''\npass", ["line 4: passed over !ls"]),
        ("!echo 'open\nx = 1", "pass\nx = 1", ["line 1: passed over !echo 'open"]),
        ("%%time\nx = 1", "get_ipython().begin_cell('time', '')\nx = 1", []),
        ("%%timeit\nx = 1", "\nx = 1", ["line 1: passed over %%timeit"]),
        ("%%bash\nls", "", ["line 1: %%bash makes it no Python"]),
        ("x = 7 % 3\ny = x != 2", "x = 7 % 3\ny = x != 2", []),
    ],
)  # fmt: skip
def test_what_ipython_understands_is_python(
    source: str, python: str, remarks: list[str] | None
) -> None:
    found, said = magics.translate(source, source, 0)
    assert found == python
    assert remarks is None or list(said) == remarks
    assert found.count("\n") in (source.count("\n"), 0)


def test_a_file_that_a_cell_writes_has_its_lines() -> None:
    source = "%%writefile -a x.txt\na 'b'\n  c\u00a0d"
    found, _ = magics.translate(blanks.plain(source), source, 0)
    call, *rest = found.split("\n")
    assert eval(call.replace("get_ipython().run_cell_magic", "tuple or ")[9:]) == (
        *("writefile", "-a x.txt"),
        "a 'b'\n  c\u00a0d\n",
    )
    assert rest == ["", ""]


# --- frameworks --------------------------------------------------------------------------------

BOOK = """\
```{.python .input}
from mxnet import np
```

```{.python .input}
#@tab pytorch
import torch
```

```{.python .input}
%%tab tensorflow, jax
import tensorflow as tf
```

```{.python .input}
#@tab mxnet, pytorch
x = 1
```

```{.python .input}
%%tab all
x
```

```{.python .input}
y = 2
```
"""


def test_pytorchs_and_everybodys_cells_are_run(tmp_path: Path) -> None:
    read = cells.read(write(tmp_path / "book.md", BOOK))
    assert [(block.place, block.reason) for block in read.blocks] == [
        ("2", "for mxnet, the book's first framework (no tab is given)"),
        ("6-7", ""),
        ("11-12", "for tensorflow, jax"),
        ("16-17", ""),
        ("21-22", ""),
        ("26", "for mxnet, the book's first framework (no tab is given)"),
    ]
    assert tabs.summary(read) == (
        "passed over as other frameworks' cells: mxnet 2, tensorflow 1 (lines 2, 11-12, 26)"
    )


def test_cells_without_a_tab_are_pytorchs_where_they_import_it(tmp_path: Path) -> None:
    text = BOOK.replace("from mxnet import np", "import torch").replace("#@tab pytorch\n", "")
    read = cells.read(write(tmp_path / "book.md", text))
    assert [block.framework for block in read.blocks] == ["", "", "tensorflow", "", "", ""]


def test_a_notebooks_metadata_names_frameworks(tmp_path: Path) -> None:
    listed = [
        {"cell_type": "code", "source": f"x = {number}", "metadata": {"tab": tab}}
        for number, tab in enumerate((["pytorch"], "tensorflow", ["all"], ["jax", "pytorch"]))
    ]
    read = cells.read(write(tmp_path / "a.ipynb", json.dumps({"cells": listed})))
    assert [block.taken for block in read.blocks] == [True, False, True, True]


def test_prose_of_other_frameworks_is_left_out() -> None:
    lines = [
        "a",
        ":begin_tab:`mxnet, jax`",
        "b",
        ":end_tab:",
        ":begin_tab:`pytorch`",
        "c",
        ":end_tab:",
    ]
    assert [line for line in tabs.prose(lines) if line] == ["a", "c"]


# --- classes in pieces -------------------------------------------------------------------------

FIRST = "class Net(Base):\n    def __init__(self):\n        super().__init__()\n        self.a = 1"
METHODS = (
    "    def area(self):\n        return 1\n\n    @property\n    def two(self):\n        return 2"
)


def classes(text: str, path: Path) -> list[str]:
    return [block.methods_of for block in cells.read(write(path, text)).cells]


def test_methods_in_a_block_of_their_own_find_their_class(tmp_path: Path) -> None:
    head = "class Base:\n    pass\n\n"
    fenced = f"```python\n{head}{FIRST}\n```\n\nText.\n\n```python\n{METHODS}\n\nprint(1)\n```\n"
    assert classes(fenced, tmp_path / "a.md") == ["", "Net", ""]
    assert [c.place for c in cells.read(tmp_path / "a.md").cells] == ["2-8", "14-19", "21"]
    copied = f"Text first.\n\n{head}{FIRST}\n\nThen text:\n\n{METHODS}\n\nEnd.\n\nprint(Net().a)\n"
    assert classes(copied, tmp_path / "a.txt") == ["", "Net", ""]
    margin = "def area(self):\n    return self.a\n\nprint(1)"
    text = f"```python\n{head}{FIRST}\n```\n\n```python\n{margin}\n```\n"
    assert classes(text, tmp_path / "b.md") == ["", "Net", ""]


@pytest.mark.parametrize(
    "after",
    [
        "def area(self):\n    return 1\n\nNet.area = area",  # it is used as a function
        "def __init__(self):\n    pass",  # the class has it
        "def area(radius):\n    return radius",
        "@add_to_class(Net)\ndef area(self):\n    return 1",
    ],
)
def test_functions_that_are_no_methods_stay_functions(after: str, tmp_path: Path) -> None:
    text = f"```python\n{FIRST}\n```\n\n```python\n{after}\n```\n"
    assert set(classes(text, tmp_path / "a.md")) == {""}
