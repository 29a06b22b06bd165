"""lenet run: which lines of a text are code, and how they run in a process of their own."""

import builtins
import json
import os
import signal
import subprocess
import sys
import traceback
from html import escape
from pathlib import Path
from typing import Any

import pytest

from lenet import cli, tutorial
from lenet.tutorial import cells, page, rewriting, statements

SAMPLES = Path(__file__).parent / "tutorials"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def places(path: Path) -> list[tuple[str, str]]:
    """Each block's lines, with "" for a cell, else why it is passed over."""
    return [(block.place, block.reason) for block in cells.read(path).blocks]


def taken(path: Path) -> list[str]:
    return [block.place for block in cells.read(path).cells]


def of(path: Path, text: str) -> list[str]:
    return [block.text for block in cells.read(write(path, text)).cells]


# --- which lines are code ----------------------------------------------------------------------

ABOVE = "printed output of the cell above"
INDENTED = "an indented block: printed output, where code is fenced"
GAP = "prose or printed output"
FOUND = {
    "fenced-en.md": [
        ("10-11", "bash, not Python"),
        ("17", ""),
        ("21-24", ""),
        ("32-33", ""),
        ("37", ABOVE),
        ("42", INDENTED),
        ("47-49", "no Python (line 47"),
        ("55-56", "text, not Python"),
        ("60-62", ""),
        ("68-69", ""),
        ("73", "no code"),
    ],
    "fenced-zh.md": [
        ("6", "no Python (line 6"),
        ("10-12", ""),
        ("18", "no Python (line 18"),
        ("24-25", "no Python (line 24"),
        ("29-31", "markdown, not Python"),
        ("35-36", ""),
        ("39", INDENTED),
    ],
    "indented-en.txt": [
        ("6-9", ""),
        ("13-14", ""),
        ("18", "no Python"),
        ("22-23", "no Python"),
        ("27", "no Python"),
        ("31", "no Python"),
        ("35", ""),
        ("37", ABOVE),
        ("41", "a value, as it is printed"),
        ("45-47", "no Python"),
        ("51", "no other code uses accuracy"),
        ("55-57", ""),
    ],
    "indented-zh.txt": [
        ("4-8", ""),
        ("12", "no Python"),
        ("16-19", "no Python"),
        ("23-24", ""),
        ("28", "no Python"),
        ("32-34", "no Python"),
        ("38", ""),
    ],
    "copied-en.txt": [
        ("1-8", GAP),
        ("10-28", ""),
        ("30-55", GAP),
        ("57-62", ""),
        ("64-78", GAP),
        ("80-82", ""),
        ("84", GAP),
    ],
    "copied-zh.txt": [
        ("1-11", GAP),
        ("14-23", ""),
        ("25-46", GAP),
        ("48-58", ""),
        ("60-64", GAP),
    ],
}
PRINTED = {
    "fenced-en.md": "array([1., 2., 3., 4.])\nsum: 12.5\n2 0.5\n3 1.0\n",
    "fenced-zh.md": "x： [0. 1. 2. 3.]\narray([0.5, 1.5, 2.5])\n",
    "indented-en.txt": "the 2\n4\n[('the', 2), ('cat', 1)]\n",
    "indented-zh.txt": "熵：0.693\n-0.0\n",
    "copied-en.txt": "w: 2.0 b: 1.0\n9.0\n11.0\ndone\n0.0\n",
    "copied-zh.txt": "结果：\n[-1, -1, -1]\n2.00\n",
}


def variants(text: str) -> dict[str, bytes]:
    return {
        "as it is": text.encode(),
        "Windows line ends": text.replace("\n", "\r\n").encode(),
        "a byte order mark": b"\xef\xbb\xbf" + text.encode(),
        "both": b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
        "UTF-16": text.encode("utf-16"),
        "no last line end": text.rstrip("\n").encode(),
    }


@pytest.mark.parametrize("name", FOUND)
def test_what_is_taken_and_what_is_passed_over(name: str, tmp_path: Path) -> None:
    text = (SAMPLES / name).read_text(encoding="utf-8")
    for kind, content in variants(text).items():
        path = tmp_path / name
        path.write_bytes(content)
        found = places(path)
        assert [place for place, _ in found] == [place for place, _ in FOUND[name]], kind
        for (place, reason), (_, expected) in zip(found, FOUND[name], strict=True):
            assert reason.startswith(expected), (kind, place)
            assert bool(reason) == bool(expected), (kind, place)


def test_every_layout_has_its_samples() -> None:
    layouts = [cells.read(SAMPLES / name).layout for name in FOUND]
    assert sorted(layouts) == sorted(["fenced", "indented", "copied"] * 2)
    assert {path.name for path in SAMPLES.iterdir()} == set(FOUND)


@pytest.mark.parametrize("name", FOUND)
def test_the_samples_run_and_print_what_they_say(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / name, (SAMPLES / name).read_text(encoding="utf-8"))
    assert cli.run(["run", str(path)]) == 0
    assert capfd.readouterr().out == PRINTED[name]


def test_a_chinese_text_in_gb18030(tmp_path: Path) -> None:
    name = "copied-zh.txt"
    text = (SAMPLES / name).read_text(encoding="utf-8")
    (tmp_path / name).write_bytes(text.encode("gb18030"))
    assert taken(tmp_path / name) == ["14-23", "48-58"]


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0")
    with pytest.raises(cells.TutorialError, match="is no text"):
        cells.read(tmp_path / "x.txt")


@pytest.mark.parametrize(
    "line",
    [
        "tensor([[0., 1., 2.]])",  # printed; nothing called tensor is known
        "0.weight: shape=(6, 1, 5, 5)",
        "conv layer 1 kernels shape: (6, 1, 5, 5)",
        "layer 1: Conv2d",
        "accuracy: 0.81",
        "torch.Size([1, 6, 28, 28])",
        "(400)",
        "W = (W - F) / S + 1",
        "this is that",
        "not bad",
        "torch",
        "pass",
        "global warming",
        "nvidia-smi",
        "pip install torch",
        "print（1）",
        "'cpu'",
        "[1, 2]",
        "<class 'int'>",
        "KeyError: 'x'",
        "--------",
        "| a | b |",
        "net = nn.Sequential(  # never closed",
    ],
)
def test_lines_that_are_no_code(line: str, tmp_path: Path) -> None:
    text = f"import torch\n\n{line}\n\nprose.\n\nprint(1)\n"
    assert of(tmp_path / "x.txt", text) == ["import torch", "print(1)"]


@pytest.mark.parametrize(
    "lines",
    [
        "from math import *\ntau_times(2)",  # a star may define anything
        "@staticmethod\ndef f():\n    return 1\n\n\n    # the end",
        "if True:\n    x = 1\n# between\nelse:\n    x = 2",
        "try:\n    f = 1\nexcept ValueError as error:\n    print(error)\n\nfinally:\n\n    pass",
        "x = (1 +\n\n     2)\nprint(x)",
        's = """\ntext at the margin\n\n    and more\n"""\nprint(s)',
        "total = 0\nfor i in range(3):\n\n    total += i\ntotal",
        "x = 1; y = x\nprint(x, \\\n      y)",
        "import os\nprint([n for n in os.listdir() if n])\nlater = lambda: undefined_here",
        "async def f():\n    await g()",
        "x = 3\nx += 1\nassert x == 4, 'four'\ndel x",
        "match [1]:\n    case [x]:\n        print(x)",
        "class A:\n    def f(self):\n        return 1\n\n    def g(self):\n\n        return 2",
    ],
)
def test_runs_of_code_are_taken_whole(lines: str, tmp_path: Path) -> None:
    assert of(tmp_path / "x.txt", f"Some prose.\n\n{lines}\n\nMore prose.\n") == [lines]


def test_a_comment_directly_above_belongs_to_the_code(tmp_path: Path) -> None:
    text = "# A heading\n\n# of the code\nprint(1)\n# after\n\n# A heading\n\nEnd.\n"
    assert of(tmp_path / "x.txt", text) == ["# of the code\nprint(1)\n# after"]


def test_printed_numbers_that_would_hide_a_function_are_passed_over(tmp_path: Path) -> None:
    text = "loss = max\n\nText.\n\nloss = 0.5\n\nText.\n\nprint(loss(1, 2))\n"
    assert of(tmp_path / "x.txt", text) == ["loss = max", "print(loss(1, 2))"]


def test_what_a_text_calls_python_is_taken_as_it_is(tmp_path: Path) -> None:
    text = "```python\nlr = 0.9\n```\n\n```python\nno python at all\n```\n"
    assert of(tmp_path / "x.md", text) == ["lr = 0.9", "no python at all"]


@pytest.mark.parametrize(
    "info", ["python", "Py", 'python title="a.py"', "{.python .input}", " py3"]
)
def test_names_of_the_language(info: str, tmp_path: Path) -> None:
    assert of(tmp_path / "x.md", f"```{info}\nx = undefined\n```\n") == ["x = undefined"]


def test_a_fence_that_is_never_closed_ends_with_the_text(tmp_path: Path) -> None:
    assert of(tmp_path / "x.md", "text\n````python\nx = 1\n```\n") == ["x = 1\n```"]


def test_function_bodies_of_a_copied_text_are_no_indented_blocks(tmp_path: Path) -> None:
    text = "def f():\n    x = 1\n\n    y = 2\n    return x + y\n\nprose here\n\nprint(f())\n"
    path = write(tmp_path / "x.txt", text)
    assert cells.read(path).layout == "copied"
    assert taken(path) == ["1-5", "9"]


def test_scripts_and_their_cells(tmp_path: Path) -> None:
    script = write(tmp_path / "a.py", "import sys\n1 + 1\n")
    assert (cells.read(script).layout, taken(script)) == ("script", ["1-2"])
    marked = "import sys\n# %% [markdown]\n# text\n# %%\n%matplotlib inline\nx = 1\n# In[3]:\nx\n"
    cellular = cells.read(write(tmp_path / "b.py", marked))
    assert cellular.layout == "cells"
    assert [cell.place for cell in cellular.cells] == ["1", "4-6", "7-8"]
    assert cellular.cells[1].source == "# %%\npass\nx = 1"
    assert cellular.cells[1].remarks == ("line 5: passed over %matplotlib inline",)


def notebook(path: Path, *sources: str, **metadata: Any) -> Path:
    listed = [
        {"cell_type": "code" if not source.startswith("#") else "markdown", "source": source}
        for source in sources
    ]
    return write(path, json.dumps({"cells": listed, "metadata": metadata, "nbformat": 4}))


def test_notebooks(tmp_path: Path) -> None:
    path = notebook(
        tmp_path / "x.ipynb",
        "# Title",
        "!pip install d2l\nimport math",
        "%%bash\nls",
        "",
        "math.pi",
    )
    found = cells.read(path)
    assert [(block.place, block.taken) for block in found.blocks] == [
        *(("cell 1", False), ("cell 2", True), ("cell 3", True), ("cell 4", False)),
        ("cell 5", True),
    ]
    assert found.cells[0].source == "pass\nimport math"
    assert found.cells[1].source == ""
    assert "makes it no Python" in found.cells[1].remarks[0]
    with pytest.raises(cells.TutorialError, match="in R"):
        cells.read(notebook(tmp_path / "r.ipynb", "x <- 1", kernelspec={"language": "R"}))
    with pytest.raises(cells.TutorialError, match="is no notebook"):
        cells.read(write(tmp_path / "b.ipynb", "[1, 2]"))


def test_magics_are_told_from_python(tmp_path: Path) -> None:
    python = "x = (7\n     % 4)\ns = '''\n!not a command\n'''"
    assert of(tmp_path / "x.md", f"```python\n{python}\n```\n") == [python]
    magic = "if True:\n    !ls\nlen?\nget_ipython().system('ls')"
    read = cells.read(write(tmp_path / "y.md", f"```python\n{magic}\n```\n"))
    assert read.cells[0].source == ("if True:\n    pass\npass\nget_ipython().system('ls')")
    assert len(read.cells[0].remarks) == 2


# --- fewer epochs ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("num_epochs = 10", 1),
        ("epochs: int = 30", 1),
        ("lr, num_epochs = 0.9, 10", 1),
        ("a = num_epochs = 2 * 5", 1),
        ("if True:\n    epochs = 3", 1),
        ("epochs = list(range(1, 4))", [1, 2, 3]),
        ("[lr, epochs], x = [0.1, 7], 3", 7),
        ("EPOCHS = 5\nepochs = EPOCHS", 1),
        ("N_EPOCHS, lr = 15, 0.1\nepochs = N_EPOCHS", 1),
        ("EPOCH = 3\nepochs = EPOCH", 1),
        ("all_epoch = 100\nepochs = all_epoch", 1),
        ("epoches = 50\nepochs = epoches", 1),
        ("class Config:\n    max_epochs = 8\nepochs = Config.max_epochs", 1),
        ("class C: pass\nC.n_epochs = 8\nepochs = C.n_epochs", 1),
        ("config = {'lr': 1, 'epochs': 9}\nepochs = config['epochs']", 1),
        ("config = {}\nconfig['num_epochs'] = 9\nepochs = config['num_epochs']", 1),
        ("epochs = dict(max_epochs=9)['max_epochs']", 1),
        ("epochs = 0\nfor epoch in range(5): epochs = epochs + 1", 1),
        ("epochs = []\nfor epoch in range(1, 6): epochs += [epoch]", [1]),
        ("epoch = 7\nepochs = epoch", 7),
        ("last_epoch = 7\nepochs = last_epoch", 7),
        ("epochs = 'ten'", "ten"),
        ("epochs = 0\nfor i in range(3): epochs += 1", 3),
    ],
)
def test_epochs_are_replaced_where_a_number_is_assigned(source: str, value: object) -> None:
    names: dict[str, Any] = {}
    program = rewriting.prepare(source, "x", 1, 0, 1, show=True)
    exec(compile(program.body, "x", "exec"), names)
    assert names.get("num_epochs", names.get("epochs")) == value
    assert program.shortened == (value in (1, [1]))


def test_argparses_default_is_replaced_wherever_it_is() -> None:
    source = (
        "import argparse\n"
        "def arguments():\n"
        "    parser = argparse.ArgumentParser()\n"
        "    parser.add_argument('-e', '--epochs', type=int, default=14)\n"
        "    parser.add_argument('--save-epoch', type=int, default=5)\n"
        "    return parser.parse_args([])\n"
        "found = arguments()"
    )
    program = rewriting.prepare(source, "x", 1, 0, 2, show=True)
    names: dict[str, Any] = {}
    exec(compile(program.body, "x", "exec"), names)
    assert vars(names["found"]) == {"epochs": 2, "save_epoch": 5}
    assert program.shortened


def test_epochs_inside_functions_stay() -> None:
    source = "def f():\n    epochs = 5\n    return epochs"
    program = rewriting.prepare(source, "x", 1, 0, 1, show=True)
    names: dict[str, Any] = {}
    exec(compile(program.body, "x", "exec"), names)
    assert names["f"]() == 5


def test_errors_point_into_the_file() -> None:
    with pytest.raises(SyntaxError) as caught:
        rewriting.prepare("x = 1\ny = = 2", "tutorial.md", 20, 4, None, show=True)
    assert (caught.value.filename, caught.value.lineno) == ("tutorial.md", 21)
    program = rewriting.prepare("x = 1\n1 / 0", "tutorial.md", 20, 4, None, show=False)
    try:
        exec(compile(program.body, "tutorial.md", "exec"))
    except ZeroDivisionError as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
    assert (frame.filename, frame.lineno, frame.colno) == ("tutorial.md", 21, 4)


# --- the process of its own --------------------------------------------------------------------


def lenet_run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lenet", "run", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, **environment},
        timeout=120,
    )


@pytest.mark.slow
def test_a_script_runs_as_python_runs_it(in_tmp: Path) -> None:
    folder = in_tmp / "lessons"
    folder.mkdir()
    write(folder / "beside.py", "VALUE = 42\n")
    script = """\
import os, sys
from beside import VALUE
print(__name__, __file__, sys.argv, VALUE)
print(sys.path[0], os.getcwd(), sys.modules["__main__"].VALUE)
def square(x):
    return x * x
import pickle
print(pickle.loads(pickle.dumps(square))(3), sorted(set(globals()) - {"display"}))
"not displayed, as python does not"
sys.exit(7)
"""
    path = write(folder / "script.py", script)
    ours = lenet_run("lessons/script.py", "--", "--lr", "0.5")
    plain = subprocess.run(
        [sys.executable, "lessons/script.py", "--lr", "0.5"], capture_output=True, text=True
    )
    hidden = ("__annotations__", "__cached__", "__builtins__", "__loader__", "__package__")

    def visible(text: str) -> str:
        for name in (*hidden, "__spec__", "__doc__"):
            text = text.replace(f"'{name}', ", "")
        return text

    assert visible(ours.stdout) == visible(plain.stdout)
    assert ours.returncode == plain.returncode == 7
    assert path.exists()


@pytest.mark.slow
def test_values_are_displayed_as_a_notebook_does(in_tmp: Path) -> None:
    path = notebook(
        *(in_tmp / "x.ipynb", "x = 5\nx", "x;", "None", "display(1, 'two')", "print(x)"),
        "list(range(40))",
    )
    done = lenet_run(str(path))
    assert done.stdout.splitlines()[:5] == ["5", "1", "'two'", "5", "[0,"]
    assert done.returncode == 0


@pytest.mark.slow
def test_an_error_shows_the_tutorials_own_line_and_ends_with_1(in_tmp: Path) -> None:
    function = "- item\n\n  ```python\n  def f(x):\n      return 1 / x\n  ```\n\n"
    calls = "```python\nf(0)\n```\n\n```python\nprint('later')\n```\n"
    text = f"# T\n\n{function}{calls}"
    path = write(in_tmp / "t.md", text)
    done = lenet_run("t.md")
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if not line.startswith("lenet: ")]
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1] == '  File "t.md", line 11, in <module>'
    assert lines[2].strip() == "f(0)"
    assert '  File "t.md", line 7, in f' in lines
    assert "      return 1 / x".strip() in [line.strip() for line in lines]
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert "runner" not in done.stderr
    assert done.stdout == ""
    going = lenet_run("t.md", "--keep-going")
    assert (going.returncode, going.stdout) == (1, "later\n")
    assert path.exists()


@pytest.mark.slow
def test_a_cell_that_is_no_python_is_an_error_of_the_files_line(in_tmp: Path) -> None:
    write(in_tmp / "t.md", "Text\n\n```python\nx = 1\ny = = 2\n```\n")
    done = lenet_run("t.md")
    assert done.returncode == 1
    assert 'File "t.md", line 5' in done.stderr
    assert "SyntaxError: invalid syntax" in done.stderr


@pytest.mark.slow
def test_a_notebooks_error_names_the_cell(in_tmp: Path) -> None:
    notebook(in_tmp / "n.ipynb", "# Text", "x = 1\nx.y")
    done = lenet_run("n.ipynb")
    assert 'File "n.ipynb, cell 2", line 2, in <module>\n    x.y' in done.stderr


@pytest.mark.slow
def test_input_reaches_the_tutorial(in_tmp: Path) -> None:
    write(in_tmp / "t.md", "```python\nprint(input() * 2)\n```\n")
    done = subprocess.run(
        [sys.executable, "-m", "lenet", "run", "t.md"], input="ab\n", capture_output=True, text=True
    )
    assert done.stdout == "abab\n"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_tutorial_too(in_tmp: Path, number: int, code: int) -> None:
    text = """\
```python
import os, time
import matplotlib.pyplot as plt
plt.plot([1, 2])
plt.show()
plt.plot([2, 1])
print(os.getpid())
time.sleep(60)
```
"""
    write(in_tmp / "t.md", text)
    process = subprocess.Popen(
        [sys.executable, "-m", "lenet", "run", "t.md"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.send_signal(number)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == code
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    kept = sorted(path.name for path in (in_tmp / "t-figures").iterdir())
    if number == signal.SIGINT:
        assert kept == ["figure-1.png", "figure-2.png"]
        assert "interrupted in cell 1 (t.md, lines 2-8)" in errors
    else:
        assert kept == ["figure-1.png"]


def test_nothing_to_run_is_said(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(in_tmp / "t.md", "Only prose.\n")
    assert cli.run(["run", "t.md"]) == 2
    assert "has no Python code" in capsys.readouterr().err
    assert cli.run(["run", "t.md", "--list"]) == 0
    assert cli.run(["run", "missing.md"]) == 2
    assert "missing.md: No such file" in capsys.readouterr().err
    assert cli.run(["run", "t.md", "--epochs", "0"]) == 2


@pytest.mark.slow
def test_seed_epochs_and_json(in_tmp: Path) -> None:
    text = "```python\nimport random\nnum_epochs = 10\nprint(random.random(), num_epochs)\n```\n"
    write(in_tmp / "t.md", text)
    first, second = (lenet_run("t.md", "--seed", "3", "--epochs", "2", "--json") for _ in range(2))
    assert first.stdout == second.stdout
    report = json.loads(first.stdout)
    assert report["blocks"][0]["outputs"][0]["kind"] == "stdout"
    assert report["blocks"][0]["outputs"][0]["text"].endswith(" 2\n")
    assert report["code"] == 0
    write(in_tmp / "u.md", "```python\nprint(1)\n```\n")
    assert "--epochs changed nothing" in lenet_run("u.md", "--epochs", "2").stderr


@pytest.mark.slow
def test_without_pytorch_one_line_says_how_to_get_it(in_tmp: Path) -> None:
    write(
        in_tmp / "torch.py", "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')"
    )
    write(in_tmp / "t.py", "import torch\n")
    done = lenet_run("t.py")
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith("lenet: this tutorial needs PyTorch: ")
    assert line.endswith("install 'torch>=2.10'")


# --- stand-ins ---------------------------------------------------------------------------------

IMPORTS = """\
from d2l import torch as d2l
from d2l import d2ltorch
import d2l as package
from d2l.torch import Accumulator
import lenet.d2l
assert d2l is d2ltorch is lenet.d2l
assert package.torch is d2l and package.Accumulator is Accumulator is d2l.Accumulator
for wrong in ("from d2l import mxnet", "import d2l.tensorflow"):
    try:
        exec(wrong)
    except ImportError as error:
        print(error)
"""


@pytest.mark.slow
def test_d2l_is_ours_under_all_its_names_even_where_another_is_near(in_tmp: Path) -> None:
    pytest.importorskip("torch")
    (in_tmp / "d2l").mkdir()
    write(in_tmp / "d2l" / "__init__.py", "raise RuntimeError('the wrong d2l')")
    write(in_tmp / "t.py", IMPORTS)
    done = lenet_run("t.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "LeNet's d2l has no d2l.mxnet; it has d2l.torch",
        "LeNet's d2l has no d2l.tensorflow; it has d2l.torch",
    ]
    assert done.stderr.count("d2l is LeNet's own") == 1


NOTEBOOKS = """\
```python
from tqdm.notebook import tqdm, trange
import tqdm as package
for i in trange(2, desc="Epochs"):
    for x in tqdm([1, 2], leave=False, display=False):
        pass
bar = package.notebook.tqdm(total=5)
bar.update(5)
bar.close()
```

```python
from IPython import display
from IPython.display import HTML, clear_output, display as show
import IPython
import matplotlib.pyplot as plt
clear_output(wait=True)
show(HTML("<b>bold</b>"), display_id=True)
display.display(3)
print(IPython.get_ipython())
```
"""
WITHOUT_IPYTHON = """\
from importlib.machinery import PathFinder
found = PathFinder.find_spec
def without(name, path=None, target=None):
    return None if name.split(".")[0] == "IPython" else found(name, path, target)
PathFinder.find_spec = without
"""


@pytest.mark.slow
@pytest.mark.parametrize("installed", [True, False], ids=["IPython", "no IPython"])
def test_what_notebooks_import(installed: bool, in_tmp: Path) -> None:
    """Bars and values are shown as text, with IPython and without it."""
    pytest.importorskip("tqdm")
    if installed:
        pytest.importorskip("IPython")
    else:
        (in_tmp / "site").mkdir()
        write(in_tmp / "site" / "sitecustomize.py", WITHOUT_IPYTHON)
    write(in_tmp / "t.md", NOTEBOOKS)
    done = lenet_run("t.md", "--html", "page.html", PYTHONPATH=str(in_tmp / "site"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "<IPython.core.display.HTML object>\n3\nNone\n"
    assert "Epochs: 100%" in done.stderr
    assert "5/5" in done.stderr
    assert "<b>bold</b>" in (in_tmp / "page.html").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_load_ext_in_a_kernel(in_tmp: Path) -> None:
    """In IPython itself: the loader is called with its shell, and the book's figure is shown."""
    import nbformat
    from nbclient import NotebookClient

    sources = [
        "%load_ext lenet",
        "from d2l import torch as d2l\nprint(d2l.__name__)",
        "animator = d2l.Animator(xlabel='epoch', legend=['loss'])\n"
        "for epoch in range(3):\n    animator.add(epoch, (1 / (epoch + 1),))",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in sources])
    resources = {"metadata": {"path": str(in_tmp)}}
    # a busy machine takes its time to start a kernel, and to load PyTorch in it
    patience = {"timeout": 240, "startup_timeout": 240}
    NotebookClient(notebook, **patience, kernel_name="python3", resources=resources).execute()
    _, imported, drawn = notebook.cells
    assert "".join(output.text for output in imported.outputs).endswith("lenet.d2l\n")
    assert any(form.startswith("image/") for output in drawn.outputs for form in output.data)


def test_a_notebook_gets_them_by_load_ext() -> None:
    code = (
        "import lenet\nlenet.load_ipython_extension(None)\nlenet.load_ipython_extension(None)\n"
        "import sys\nprint([type(f).__module__ for f in sys.meta_path].count("
        "'lenet.tutorial.stand_ins'), 'torch' in sys.modules, 'matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "3 False False\n"


# --- figures and the page ----------------------------------------------------------------------

FIGURES = """\
# Figures & <tags>

<script>alert("never")</script> Text with **bold** words.

```python
import matplotlib.pyplot as plt
import numpy as np
fig, ax = plt.subplots()
ax.plot([1, 2, 3])
```

The same figure, drawn on later:

```python
ax.set_title("later")
plt.figure()
plt.imshow(np.eye(3))
plt.show()
plt.savefig("/no/such/folder/curve.svg")
fig.savefig("here.png")
fig.savefig(r"C:\\Users\\me\\other.png")
print("<b>", 1 < 2)
```

```python
class Shown:
    def _repr_html_(self):
        return "<table><tr><td>cell</td></tr></table>"
Shown()
```
"""


@pytest.mark.slow
def test_figures_are_kept_and_the_page_shows_all(in_tmp: Path) -> None:
    folder = in_tmp / "lessons"
    folder.mkdir()
    write(folder / "t.md", FIGURES)
    done = lenet_run("lessons/t.md", "--html", "page.html")
    assert done.returncode == 0, done.stderr
    kept = {path.name: path.read_bytes() for path in (folder / "t-figures").iterdir()}
    assert sorted(kept) == ["curve.svg", "figure-1.png", "figure-2.png", "other.png"]
    assert (in_tmp / "here.png").exists()
    assert "there is no folder /no/such/folder: curve.svg is in" in done.stderr
    last = "lenet: kept in lessons/t-figures: curve.svg, figure-1.png, figure-2.png, other.png"
    assert last in done.stderr
    html = (in_tmp / "page.html").read_text(encoding="utf-8")
    assert "<title>Figures &amp; &lt;tags&gt;</title>" in html
    assert html.count('src="data:image/') == 5
    assert "<strong>bold</strong>" in html
    assert "&lt;b&gt; True" in html
    assert "<td>cell</td>" in html
    assert "<script" not in html
    assert "Shown object at" not in html


@pytest.mark.slow
def test_a_figure_that_a_later_cell_changes_is_kept_as_it_is_at_last(in_tmp: Path) -> None:
    first = "import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.plot([1, 2])"
    notebook(in_tmp / "b.ipynb", first, "ax.set_title('changed')")
    notebook(in_tmp / "c.ipynb", first, "plt.plot([3, 1])")
    for name in "bc":
        assert lenet_run(f"{name}.ipynb").returncode == 0
    changed, one = ((in_tmp / f"{n}-figures/figure-1.png").read_bytes() for n in "bc")
    assert one != changed
    assert [path.name for path in (in_tmp / "b-figures").iterdir()] == ["figure-1.png"]
    kept = [path.name for path in sorted((in_tmp / "c-figures").iterdir())]
    assert kept == ["figure-1.png", "figure-2.png"]


@pytest.mark.slow
def test_a_script_keeps_drawing_on_one_figure_until_show(in_tmp: Path) -> None:
    code = "import matplotlib.pyplot as plt\nplt.plot([1])\nplt.plot([2])\n"
    write(in_tmp / "t.py", f"{code}plt.show()\n{code}")
    assert lenet_run("t.py", "--figures", "elsewhere").returncode == 0
    kept = sorted(path.name for path in (in_tmp / "elsewhere").iterdir())
    assert kept == ["figure-1.png", "figure-2.png"]


def test_the_folder_is_here_where_the_file_cannot_be_written_beside(in_tmp: Path) -> None:
    assert tutorial.figures_folder(Path("a/b.md")) == Path("b-figures")  # no folder a
    (in_tmp / "a").mkdir()
    assert tutorial.figures_folder(Path("a/b.md")) == Path("a/b-figures")


@pytest.mark.parametrize("name", FOUND)
def test_pages_of_the_samples_hold_prose_code_and_outputs(name: str) -> None:
    read = cells.read(SAMPLES / name)
    outputs = (tutorial.Output(0, "stdout", "10%\r100%\n\x1b[31mred\x1b[0m\n"),)
    html = page.render(read, tutorial.Result(1, outputs, ()))
    assert html.count('<section class="cell">') == len(read.cells)
    assert '<pre class="stdout">100%\nred</pre>' in html
    assert "ended with an error" in html
    assert f'<html lang="{"zh" if "-zh" in name else "en"}">' in html
    for number, line in enumerate(read.lines, start=1):
        inside = any(block.first <= number <= block.last for block in read.cells)
        words = line.strip().split("`")[0].strip(":：")
        if inside or read.layout != "copied" or not words:
            continue
        assert escape(words) in html, line


def test_a_fence_that_ends_with_blank_lines_or_output_leaves_no_fence_behind(
    tmp_path: Path,
) -> None:
    text = "```\nx = [1]\nprint(x)\n\n[1]\n```\n\n**one**\n\n```\nx\n\n\n```\n\n**two**\n"
    read = cells.read(write(tmp_path / "t.md", text))
    assert [(block.place, block.taken) for block in read.blocks] == [
        *(("2-3", True), ("5", False), ("11", True)),
    ]
    html = page.render(read, tutorial.Result(0, (), ()))
    assert '<pre class="was">[1]</pre>' in html
    assert "<strong>one</strong>" in html
    assert "<strong>two</strong>" in html


def test_a_page_links_pictures_it_has_not_and_holds_those_it_has(tmp_path: Path) -> None:
    (tmp_path / "p.svg").write_text("<svg/>", encoding="utf-8")
    text = '![a](p.svg) ![b](https://example.org/q.png) <img src="r.png" alt="c" width="3">\n'
    path = write(tmp_path / "t.md", f"{text}\n[x](javascript:alert(1))\n\n```python\n1\n```\n")
    html = page.render(cells.read(path), tutorial.Result(0, (), ()))
    assert html.count("<img") == 1
    assert 'src="data:image/svg+xml;base64,' in html
    assert '<a class="note" href="https://example.org/q.png">[b]</a>' in html
    assert '<a class="note" href="r.png">[c]</a>' in html
    assert 'href="javascript' not in html


def test_the_list_shows_every_block_without_running(
    in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(in_tmp / "t.md", "```python\nraise SystemExit(9)\n```\n\n```sh\nls\n```\n")
    assert cli.run(["run", str(path), "--list"]) == 0
    shown = capsys.readouterr().out
    assert "cell 1       raise SystemExit(9)" in shown
    assert "passed over  sh, not Python" in shown
    assert cli.run(["run", str(path), "--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [block["taken"] for block in listed["blocks"]] == [True, False]
    assert listed["layout"] == "fenced"


def test_builtins_are_known() -> None:
    assert {"print", "len", "display", "__name__"} <= statements.ALWAYS_KNOWN
    assert set(dir(builtins)) <= statements.ALWAYS_KNOWN
    assert "tensor" not in statements.ALWAYS_KNOWN
