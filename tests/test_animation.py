"""The Animator in a notebook, a terminal and elsewhere; what it costs; what it leaves behind."""

import gc
import os
import re
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")  # the package d2l imports it

from lenet.d2l import growing_curves
from lenet.d2l.animation import Animator
from lenet.d2l.text_plot import text_plot
from lenet.drawing import live

LEGEND = ["train loss", "train acc", "test acc"]
SCRIPT = """
import sys
from lenet.d2l.animation import Animator
animator = Animator(xlabel="epoch", xlim=[1, 3], legend=["loss", "acc"])
for epoch in range({epochs}):
    animator.add(epoch + 1, (1 / (epoch + 1), 0.5))
print("matplotlib" in sys.modules)
"""


@pytest.fixture(autouse=True)
def headless(monkeypatch: pytest.MonkeyPatch, in_tmp: Path) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND", "LENET_FIGURES"):
        monkeypatch.delenv(name, raising=False)


def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=240,
    )


def pictures() -> list[Path]:
    return sorted(Path().rglob("animator-*.png"))


# --- points ------------------------------------------------------------------------------------


def test_points_go_to_their_curves_and_none_keeps_a_curve() -> None:
    torch = pytest.importorskip("torch")
    animator = Animator(legend=LEGEND)
    assert animator.X is None
    assert animator.Y is None
    animator.add(0.5, (2.0, np.float32(0.25), None))
    animator.add(1, (torch.tensor(1.0, requires_grad=True), None, torch.tensor([0.5])))
    animator.add([2, 3, None], torch.tensor([0.5, 0.75, 9.0]))
    assert animator.X == [[0.5, 1.0, 2.0], [0.5, 3.0], [1.0]]
    assert animator.Y == [[2.0, 1.0, 0.5], [0.25, 0.75], [0.5]]
    lines = animator.axes[0].lines
    assert [list(line.get_ydata()) for line in lines] == animator.Y
    assert [line.get_marker() for line in lines] == ["None", "None", "o"]  # a point is no line
    legend = animator.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == LEGEND


def test_a_number_is_one_curve() -> None:
    torch = pytest.importorskip("torch")
    animator = Animator()
    for x in range(3):
        animator.add(x, torch.tensor(x**2))
    assert animator.Y == [[0.0, 1.0, 4.0]]


def test_a_wrong_number_of_values_is_refused() -> None:
    animator = Animator()
    animator.add(1, (1, 2))
    with pytest.raises(ValueError, match="2 x and 3 y were given, for an Animator of 2 curves"):
        animator.add([1, 2], (1, 2, 3))


@pytest.mark.slow
def test_the_figure_is_as_it_was_asked_for() -> None:
    animator = Animator(
        *("step", "loss", ["a"], [1, 100], [0.01, 10], "log", "log", ["r:o"]),
        nrows=2,
        ncols=2,
        figsize=(7, 5),
    )
    animator.add([1, 10], [1, 0.5])
    axes = animator.axes[0]
    assert len(animator.axes) == 4
    assert list(animator.fig.get_size_inches()) == [7, 5]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step", "loss")
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert axes.get_xlim() == (1, 100)
    assert axes.get_ylim() == (0.01, 10)
    assert axes.lines[0].get_color() == "r"


def test_a_training_of_one_epoch_has_no_identical_limits() -> None:
    animator = Animator(xlim=[1, 1], legend=LEGEND)  # matplotlib's warning would be an error
    for step in range(5):
        animator.add((step + 1) / 5, (1.0 / (step + 1), 0.5, None))
    low, high = animator.axes[0].get_xlim()
    assert low < 0.2
    assert high > 1


# --- elsewhere: a picture file -----------------------------------------------------------------


@pytest.mark.slow
def test_the_file_is_written_when_all_curves_have_reached_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    animator = Animator(xlim=[1, 2], legend=LEGEND)
    for epoch in (0, 1):
        animator.add(epoch + 1, (0.5, 0.75, None))
        assert not pictures()
        animator.add(epoch + 1, (None, None, 0.7))
    (path,) = pictures()
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    captured = capsys.readouterr()
    assert captured.err == f"lenet: the curves are in {path}\n"
    assert captured.out == ""
    written = path.stat().st_mtime_ns
    del animator
    gc.collect()
    assert path.stat().st_mtime_ns == written  # nothing was new


def test_the_file_is_written_when_the_animator_is_no_longer_used() -> None:
    animator = Animator(xlim=[1, 10])
    animator.add(1, 0.5)
    assert not pictures()
    del animator
    assert len(pictures()) == 1


def test_a_loop_that_goes_on_beyond_the_axis_does_not_write_at_every_point(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = []
    monkeypatch.setattr(growing_curves, "write_atomically", lambda path, _: written.append(path))
    animator = Animator(xlim=[0, 1])
    for x in range(1, 100):
        animator.add(x, 0.5)
    assert len(written) < 5
    monkeypatch.chdir(Path().absolute().parent)
    before = len(written)
    del animator
    assert len(written) == before + 1
    assert len({*written}) == 1  # wherever the program has gone


def test_a_training_that_runs_away_is_drawn() -> None:
    animator = Animator(xlim=[0, 3], legend=["loss"])
    for x, y in enumerate([2.3, float("inf"), float("nan"), 1e300]):
        animator.add(x, y)
    assert len(pictures()) == 1


def test_without_points_there_is_no_file() -> None:
    animator = Animator()
    del animator
    assert not pictures()


@pytest.mark.slow
def test_the_file_is_there_when_python_ends() -> None:
    result = run(SCRIPT.format(epochs=2))
    assert result.stderr == "lenet: the curves are in animator-1.png\n"
    assert result.stdout == "False\n"  # before, nothing had to be drawn
    assert [path.name for path in pictures()] == ["animator-1.png"]


NUMBERS = "import matplotlib.pyplot as plt; print(plt.get_fignums())"


@pytest.mark.slow
def test_where_there_are_no_windows_pyplot_knows_no_figure() -> None:
    result = run(SCRIPT.format(epochs=3) + NUMBERS, MPLBACKEND="agg")
    assert result.stderr == "lenet: the curves are in animator-1.png\n"
    assert result.stdout == "True\n[]\n"  # all epochs are there: it was drawn at once


def test_the_folder_of_figures_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LENET_FIGURES", "some/folder")
    animator = Animator(xlim=[0, 1])
    animator.add(1, 0.5)
    (path,) = pictures()  # its number counts the Animators of this process
    assert path.parent == Path("some", "folder")
    assert re.fullmatch(r"animator-\d+\.png", path.name)


def test_a_folder_that_cannot_be_written_ends_no_training(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("taken").write_text("a file")
    monkeypatch.setenv("LENET_FIGURES", "taken")
    animator = Animator(xlim=[0, 1])
    animator.add(1, 0.5)
    assert "the curves could not be saved: " in capsys.readouterr().err


def test_letters_that_no_font_has_end_no_training() -> None:
    animator = Animator(xlabel="\u6df1\u5ea6", xlim=[0, 1], legend=["\u8bad\u7ec3\u635f\u5931"])
    animator.add(1, 0.5)
    assert len(pictures()) == 1


@pytest.mark.slow
def test_where_there_are_windows_pyplot_knows_the_figure() -> None:
    result = run(SCRIPT.format(epochs=3) + NUMBERS, MPLBACKEND="svg")
    assert result.stdout.endswith("[1]\n"), result.stderr


@pytest.mark.slow
def test_drawing_takes_little_of_the_time() -> None:
    def steps() -> None:
        for _ in range(20_000):
            sum(range(2000))

    animator = Animator(xlim=[1, 10], legend=LEGEND)
    started = time.perf_counter()
    for step in range(500):  # as often as in a hundred epochs
        animator.add(step / 500, (0.5, 0.5, None))
    drawn_s, started = time.perf_counter() - started, time.perf_counter()
    steps()
    assert drawn_s < 0.05 * (time.perf_counter() - started)


# --- in a notebook -----------------------------------------------------------------------------


class Notebook:
    """What of IPython an Animator uses; it counts the drawings."""

    def __init__(self) -> None:
        self.pictures: list[str] = []
        self.after_cell: list[object] = []
        self.display = self.events = self

    def SVG(self, data: str) -> str:
        return data

    def __call__(self, picture: str, display_id: bool) -> "Notebook":
        self.pictures.append(picture)
        return self

    def update(self, picture: str) -> None:
        self.pictures.append(picture)

    def get_ipython(self) -> "Notebook":
        return self

    def register(self, event: str, function: object) -> None:
        assert event == "post_run_cell"
        self.after_cell.append(function)

    def unregister(self, event: str, function: object) -> None:
        self.after_cell.remove(function)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    book = Notebook()
    module = types.ModuleType("IPython")
    display = types.SimpleNamespace(display=book, SVG=book.SVG)
    vars(module).update(version_info=(9, 0), display=display, get_ipython=book.get_ipython)
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setattr(live, "in_notebook", lambda: True)
    return book


def test_in_a_notebook_the_last_state_is_always_shown(notebook: Notebook) -> None:
    animator = Animator(xlim=[1, 100], legend=LEGEND)
    for x in range(1, 100):
        animator.add(x, (1 / x, 0.5, None))
    drawn = len(notebook.pictures)
    assert 1 <= drawn < 20
    for function in [*notebook.after_cell]:  # the cell ends
        function(None)  # type: ignore[operator]
    assert len(notebook.pictures) == drawn + 1
    animator.add(100, (0.01, 0.5, 0.5))  # the end of the axis
    assert len(notebook.pictures) == drawn + 2
    del animator
    assert len(notebook.pictures) == drawn + 2
    for function in [*notebook.after_cell]:
        function(None)  # type: ignore[operator]
    assert notebook.after_cell == []
    assert not pictures()  # the notebook has the figure


@pytest.mark.slow
def test_in_a_notebook_drawing_is_rationed(notebook: Notebook) -> None:
    Animator().add(0, 1)  # matplotlib's first drawing is slow
    notebook.pictures.clear()
    animator = Animator()
    cost_s = []
    started = time.perf_counter()
    while time.perf_counter() - started < 1.5:
        before = time.perf_counter()
        drawn = len(notebook.pictures)
        animator.add(before - started, 1.0)
        if len(notebook.pictures) > drawn:
            cost_s.append(time.perf_counter() - before)
    # each drawing but the last was followed by a pause of 33 times its length
    assert sum(cost_s[:-1]) < 0.05 * 1.5
    assert len(cost_s) >= 1


@pytest.mark.slow
def test_in_a_real_notebook_one_output_grows(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    cells = [
        "from lenet.d2l.animation import Animator\nimport time",
        "animator = Animator(xlabel='epoch', legend=['loss'])\n"
        "for x in range(20):\n    animator.add(x, 1.0 - x / 20)\n    time.sleep(0.05)",
        "animator.add(20, 0.0)",
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    nbclient.NotebookClient(
        book, timeout=240, startup_timeout=240, resources={"metadata": {"path": tmp_path}}
    ).execute()
    outputs = [cell["outputs"] for cell in book["cells"]]
    assert [len(output) for output in outputs] == [0, 1, 0]
    assert "<svg" in outputs[1][0]["data"]["image/svg+xml"]
    assert not list(tmp_path.glob("*.png"))


# --- in a terminal -----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pty")
def test_in_a_terminal_some_lines_and_then_a_plot() -> None:
    import pty

    code = (
        "from lenet.d2l.animation import Animator\n"
        "animator = Animator(xlabel='epoch', xlim=[1, 500], legend=['loss', 'acc'])\n"
        "for x in range(1, 501): animator.add(x, (500 / x, x / 500))"
    )
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code],
        stdout=child,
        stderr=subprocess.PIPE,
        env={**os.environ, "TERM": "dumb", "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"},
    )
    os.close(child)
    sent = b""
    while True:
        try:
            data = os.read(parent, 65536)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        sent += data
    os.close(parent)
    assert process.stderr is not None
    errors = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait() == 0, errors
    lines = sent.decode().splitlines()
    readings = [line for line in lines if line.startswith("epoch ")]
    assert readings[0] == "epoch 1.00  loss 500.000  acc 0.002"
    assert len(readings) < 10
    assert any("loss" in line and "acc" in line and "epoch" not in line for line in lines)
    assert any("└" in line for line in lines)
    assert "animator-1.png" in errors


def test_text_plot() -> None:
    xs = [0.0, 1.0, 2.0, 3.0, 4.0]
    lines = text_plot(
        [(xs, [0.0, 2.0, 4.0, 6.0, 8.0]), ([4.0], [4.0])],
        *(["up", "dot"], ["linear", "linear"], 40, 10),
        ascii_only=True,
    )
    assert [line.plain.rstrip() for line in lines] == [
        "* up   + dot",
        "    8 |                             ***",
        "      |                          ***",
        "      |                      ****",
        "      |                  ****",
        "      |              ****             +",
        "      |           ***",
        "      |     ******",
        "      |*****",
        "    0 +--------------------------------",
        "       0                              4",
    ]


def test_text_plot_with_logarithms_and_what_is_not_finite() -> None:
    curve = ([1.0, 10.0, 100.0], [1e-3, 1.0, 1e3])
    lines = text_plot([curve], ["a"], ["log", "log"], 40, 10, ascii_only=True)
    assert lines[1].plain.startswith(" 1000 ")
    assert lines[-2].plain.startswith("0.001 ")
    linear = text_plot([([0, 1, 2], [0, 1, 2])], ["a"], ["linear"] * 2, 40, 10, ascii_only=True)
    rows = slice(1, -2)
    marks = [line.plain[8:] for line in lines[rows]]
    assert marks == [line.plain[8:] for line in linear[rows]]
    nothing = [([1.0, 2.0], [float("nan"), float("inf")])]
    assert text_plot(nothing, ["a"], ["linear"] * 2, 40, 10) == []
    assert text_plot([([1.0], [0.0])], ["a"], ["linear", "log"], 40, 10) == []


def test_without_standard_streams_nothing_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)  # pythonw, some services
    monkeypatch.setattr(sys, "stderr", None)
    animator = Animator(xlim=[0, 1])
    animator.add(1, 0.5)
    assert len(pictures()) == 1
    assert growing_curves._place() == "elsewhere"


def test_one_curve_may_have_its_name_alone() -> None:
    animator = Animator(legend="loss")
    animator.add(1, 0.5)
    assert [text.get_text() for text in animator.axes[0].get_legend().texts] == ["loss"]
