"""The process of lenet run: what a notebook's shell does, figures that grow, and how it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from lenet import cli, tutorial
from lenet.tutorial import pictures, shell
from tutorial_process import lenet_run, out, write


def notebook(path: Path, *sources: str) -> Path:
    listed = [{"cell_type": "code", "source": source} for source in sources]
    return write(path, json.dumps({"cells": listed}))


# --- the shell of a notebook -------------------------------------------------------------------


@pytest.fixture
def ipython() -> shell.Shell:
    return shell.Shell(ModuleType("tutorial"), lambda line: print(f"lenet: {line}"))


def test_lines_of_a_command(ipython: shell.Shell, capsys: pytest.CaptureFixture[str]) -> None:
    ipython.push({"word": "two"})
    found = ipython.getoutput("echo one; echo {word} $word; echo '{print $1}'")
    assert found == ["one", "two two", "{print $1}"]
    assert (found.n, found.s) == ("one\ntwo two\n{print $1}", "one two two {print $1}")
    assert found.grep("TWO") == ["two two"]
    assert found.fields(0) == ["one", "two", "{print"]
    assert ipython.getoutput("pip install torch") == []
    assert "left to you" in capsys.readouterr().out


def test_magics_that_run(
    ipython: shell.Shell, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LENET_TEST", "old")
    assert ipython.run_line_magic("env", "LENET_TEST") == "old"
    ipython.magic("env LENET_TEST=new")
    assert os.environ["LENET_TEST"] == "new"
    (in_tmp / "sub").mkdir()
    ipython.run_line_magic("cd", "-q sub")
    assert ipython.run_line_magic("pwd") == str(in_tmp / "sub")
    assert ipython.run_line_magic("time", "1 + 1") == 2
    timed = ipython.run_line_magic("timeit", "-n 2 -r 3 -q -o 1 + 1")
    assert (timed.loops, len(timed.timings)) == (2, 3)
    assert 0 < timed.best <= timed.average <= timed.worst
    assert ipython.run_line_magic("no_such", "thing") is None
    assert "google.colab" not in str(ipython)


@pytest.mark.slow
def test_a_notebook_with_ipythons_lines(in_tmp: Path) -> None:
    write(in_tmp / "other.py", "import sys\nA = sys.argv[1:]\n")
    notebook(
        in_tmp / "a.ipynb",
        "%%writefile made.py\ndef f():\n    return V",
        "%%writefile -a made.py\nV = 3",
        "import made\nprint(made.f())\n!pip install \\\n   nothing",
        "%%capture out\nprint('hidden')\n1 / 1",
        "print(repr(out.stdout))\n%run other.py x\nprint(A)\nfiles = !ls\nprint(len(files) > 0)",
        "if 'google.colab' in str(get_ipython()):\n    !pip install torch\nprint('local')",
    )
    done = lenet_run("a.ipynb")
    assert done.stdout.splitlines() == [
        *("Writing made.py", "Appending to made.py", "3", "'hidden\\n'", "['x']", "True", "local")
    ]
    assert "lenet: cell 3, line 3: passed over !pip install nothing" in done.stderr
    assert done.returncode == 0


@pytest.mark.slow
def test_methods_in_a_second_block_are_the_classs(in_tmp: Path) -> None:
    text = """\
```python
class Base:
    def area(self):
        return 10

class Net(Base):
    def __init__(self):
        self.a = 1
```

And the method:

```python
    def twice(self):
        return 2 * self.area()

    def area(self):
        return super().area() + self.a
```

```python
print(Net().twice(), Net.__mro__[1].__name__)
1 / 0
```
"""
    write(in_tmp / "t.md", text)
    done = lenet_run("t.md")
    assert done.stdout == "22 Base\n"
    assert 'File "t.md", line 23, in <module>' in done.stderr
    assert "lines 14-18: methods of the class Net (lines 2-8)" in done.stderr


@pytest.mark.slow
def test_everybodys_cells_of_the_book_ask_which_tab_is_selected(in_tmp: Path) -> None:
    text = """\
```{.python .input}
%load_ext d2lbook.tab
tab.interact_select(['mxnet', 'pytorch'])
```

```{.python .input}
%%tab pytorch
x = 1
```

```{.python .input}
%%tab mxnet
import mxnet
```

```{.python .input}
%%tab all
if tab.selected('pytorch'):
    print(x)
if tab.selected('mxnet', 'jax'):
    print('no')
```
"""
    write(in_tmp / "t.md", text)
    done = lenet_run("t.md")
    assert (done.returncode, done.stdout) == (0, "1\n")
    assert "passed over as other frameworks' cells: mxnet 1 (lines 12-13)" in done.stderr


# --- files of which nothing runs ---------------------------------------------------------------


@pytest.mark.parametrize(
    "source", ["!pip install d2l", "%matplotlib inline\n# text", "%%bash\nls", "# no code\n#"]
)
def test_a_file_none_of_whose_cells_does_anything_is_no_success(
    source: str, in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook(in_tmp / "a.ipynb", source)
    assert cli.run(["run", "a.ipynb"]) == 2
    assert "a.ipynb has no Python code that could be run" in capsys.readouterr().err


# --- figures -----------------------------------------------------------------------------------

GROWS = """\
import matplotlib.pyplot as plt
plt.ion()
for i in range(4):
    {before}
    plt.plot([0, i + 1])
    plt.pause(30)
    {after}
plt.ioff()
plt.show()
"""
LAST = "import matplotlib.pyplot as plt\nplt.plot([0, 4])\nplt.show()\n"


@pytest.mark.slow
def test_a_figure_that_grows_is_one_file_with_its_last_state(in_tmp: Path) -> None:
    write(in_tmp / "last.py", LAST)
    started = time.monotonic()
    out("last.py")
    last = (in_tmp / "last-figures" / "figure-1.png").read_bytes()
    for name, before, after in (
        ("axes", "plt.cla()", ""),
        ("figure", "plt.clf()", ""),
        ("afterwards", "", "plt.clf()"),
    ):
        write(in_tmp / f"{name}.py", GROWS.format(before=before, after=after))
        out(f"{name}.py")
        (kept,) = (in_tmp / f"{name}-figures").iterdir()
        assert kept.read_bytes() == last, name
    assert time.monotonic() - started < 120  # nobody waits for plt.pause


@pytest.mark.slow
def test_figures_are_listed_in_the_order_of_their_numbers(in_tmp: Path) -> None:
    code = "import matplotlib.pyplot as plt\nfor i in range(11):\n    plt.figure(); plt.plot([i])\n"
    read = tutorial.read(write(in_tmp / "t.py", code))
    result = tutorial.run(read, record=True, quiet=True)
    names = [f"figure-{number}.png" for number in range(1, 12)]
    assert [path.name for path in result.pictures] == names
    assert [Path(o.text).name for o in result.outputs if o.kind == "picture"] == names
    shuffled = [Path(name) for name in sorted(names)]
    assert [p.name for p in sorted(shuffled, key=pictures.numeric_order)] == names


# --- how it ends -------------------------------------------------------------------------------

SEGFAULT = "import ctypes\n\ndef boom():\n    ctypes.string_at(0)\n\nboom()"
KILL = "import os, signal, time\ntime.sleep(1.5)\nos.kill(os.getpid(), signal.SIGKILL)"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(
    ("code", "exit_code", "what", "where"),
    [
        (SEGFAULT, 139, "died of SIGSEGV (segmentation fault; exit code 139)", "6-11), at line 9"),
        (KILL, 137, "died of SIGKILL (killed; exit code 137)", "6-8), at line 7; where nobody"),
        (
            "import os\nos.abort()",
            134,
            "died of SIGABRT (aborted; exit code 134)",
            "6-7), at line 7",
        ),
        ("import os\nos._exit(3)", 3, "left without Python's own end (exit code 3)", "6-7)"),
    ],
    ids=["segfault", "kill", "abort", "_exit"],
)
def test_what_a_tutorial_died_of_is_said(
    code: str, exit_code: int, what: str, where: str, in_tmp: Path
) -> None:
    write(in_tmp / "t.md", f"```python\nx = 1\n```\n\n```python\n{code}\n```\n")
    done = lenet_run("t.md")
    assert done.returncode == exit_code
    assert f"lenet: the tutorial's process {what} in cell 2 (t.md, lines {where}" in done.stderr


@pytest.mark.slow
def test_a_tutorial_that_ends_by_itself_died_of_nothing(in_tmp: Path) -> None:
    for code in ("x = 1", "import sys\nsys.exit(4)", "1 / 0"):
        read = tutorial.read(write(in_tmp / "t.py", code))
        assert tutorial.run(read, record=True, quiet=True).died == ""


@pytest.mark.slow
def test_nobody_watches_when_python_ends(in_tmp: Path) -> None:
    """Python would stop a watching thread inside a destructor of PyTorch's: SIGABRT."""
    code = (
        "import atexit, threading\n"
        "names = lambda: print([t.name for t in threading.enumerate()])\n"
        "names()\natexit.register(names)"
    )
    write(in_tmp / "t.py", code)
    within, at_the_end = lenet_run("t.py").stdout.splitlines()[-2:]
    assert "'lenet-place'" in within
    assert "'lenet-place'" not in at_the_end


WAITS = """\
```python
import os
print(os.getpid(), flush=True)
sum(range(10**12))
```
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal at a parent's end")
def test_a_killed_parent_takes_the_tutorial_along(in_tmp: Path) -> None:
    write(in_tmp / "t.md", WAITS)
    parent = subprocess.Popen(
        [sys.executable, "-m", "lenet", "run", "t.md"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.stdout.close()
    parent.kill()
    assert parent.wait() == -signal.SIGKILL
    assert is_gone(child)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="fork")
def test_elsewhere_a_pipe_tells_that_the_parent_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import os, sys, time\nfrom lenet.tutorial import ending\nsys.platform = 'darwin'\n"
        "ending.with_parent(int(sys.argv[1]))\nprint('ready', flush=True)\ntime.sleep(60)\n"
    )
    reading, writing = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(reading)], pass_fds=(reading,), stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    assert child.poll() is None
    os.close(writing)
    assert child.wait(timeout=240) == 137
    os.close(reading)
    child.stdout.close()


def is_gone(process: int) -> bool:
    """Whether it ends within some seconds; whoever adopts it may leave it a zombie."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2]
        except OSError:
            return True
        if state.split()[0] in "ZX":
            return True
        time.sleep(0.05)
    return False


@pytest.mark.slow
def test_what_is_missing_is_said_in_one_line(in_tmp: Path) -> None:
    write(in_tmp / "models" / "__init__.py", "")
    for line, said in {
        "import no_such_package.part": "needs no_such_package, which is not installed and not",
        "from models.lenet import LeNet": "models.lenet is not in the models that is here",
        "raise ModuleNotFoundError(name='cv2')": "pip install opencv-python, or put its own file",
    }.items():
        write(in_tmp / "t.py", f"{line}\n")
        done = lenet_run("t.py")
        assert done.returncode == 1
        assert said in done.stderr.splitlines()[-1]
