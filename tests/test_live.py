"""The live view, as it stands on a screen, in a log and in a notebook.

After a wanted change of what is drawn: ``python tests/test_live.py`` writes the golden frames anew;
look at them before committing.
"""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lenet.drawing import live, terminal_plot
from lenet.optimization import Settings
from lenet.training import Callbacks, Progress, Reading

GOLDEN = Path(__file__).parent / "golden"
SOURCE = str(Path(live.__file__).parents[1])
EXAMPLES = 60_000
ESCAPE = "\x1b"


def readings(epochs: int, *, val: bool = False) -> list[Reading]:
    """A training as the tutorials' goes: a plateau of one epoch, then quick, then slow."""
    made = []
    for fifth in range(1, 5 * epochs + 1):
        epoch = fifth / 5
        fallen = 1 - 1 / (1 + max(epoch - 0.9, 0)) ** 1.5
        loss, acc, whole = 2.31 - 1.85 * fallen, 0.1 + 0.74 * fallen, fifth % 5 == 0
        made.append(
            Reading(
                epoch=epoch,
                step=47 * fifth,
                examples_seen=12_000 * fifth,
                train_loss=loss,
                train_acc=acc,
                val_loss=loss + 0.03 if whole and val else None,
                val_acc=acc - 0.005 if whole and val else None,
                test_loss=loss + 0.02 if whole else None,
                test_acc=acc - 0.01 if whole else None,
                wall_s=0.9 * fifth,
                examples_per_s=15_000.0,
            )
        )
    return made


def replay(callbacks: Callbacks, made: list[Reading], stretches: int = 4) -> None:
    """Tell the view of a training as fit() would."""
    assert callbacks.on_stretch is not None
    assert callbacks.on_reading is not None
    for reading in made:
        for stretch in range(stretches):
            seen = reading.examples_seen - 12_000 * (stretches - 1 - stretch) // stretches
            callbacks.on_stretch(
                Progress(
                    epoch=(seen - 1) // EXAMPLES,
                    sample=(seen - 1) % EXAMPLES + 1,
                    examples_seen=seen,
                    wall_s=seen / EXAMPLES * 4.5,
                    train_s=seen / EXAMPLES * 4.0,
                )
            )
        callbacks.on_reading(reading)


class Screen:
    """What a terminal shows after some output: as much of a VT100 as the view needs."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.lines: list[list[str]] = [[]]
        self.row = self.column = 0
        self.cursor_shown = True

    def feed(self, output: str) -> Screen:
        for match in re.finditer(r"\x1b\[(\??)([\d;]*)([A-Za-z])|(.)", output, re.DOTALL):
            private, numbers, command, sign = match.groups()
            if sign == "\n":
                self.row, self.column = self.row + 1, 0
            elif sign == "\r":
                self.column = 0
            elif sign:
                self._put(sign)
            elif command == "A":
                top = max(0, len(self.lines) - self.height)
                self.row = max(top, self.row - int(numbers or 1))
            elif command == "K":
                self.lines[self.row] = [] if numbers == "2" else self._line()[: self.column]
            elif private and numbers == "25":
                self.cursor_shown = command == "h"
            else:
                assert command == "m", f"the view sent {match.group()!r}"
            self._line()
        return self

    def _line(self) -> list[str]:
        self.lines += [[] for _ in range(self.row + 1 - len(self.lines))]
        return self.lines[self.row]

    def _put(self, sign: str) -> None:
        assert sign >= " ", f"the view sent {sign!r}"
        if self.column == self.width:
            self.row, self.column = self.row + 1, 0
        line = self._line()
        line += " " * (self.column + 1 - len(line))
        line[self.column] = sign
        self.column += 1

    @property
    def text(self) -> str:
        return "\n".join("".join(line).rstrip() for line in self.lines).rstrip("\n")


def console_of(width: int, height: int, **options: object) -> Console:
    return Console(
        file=io.StringIO(),
        force_terminal=True,
        width=width,
        height=height,
        color_system="truecolor",
        legacy_windows=False,
        _environ={"TERM": "xterm-256color"},
        **options,  # type: ignore[arg-type]
    )


def shown(
    made: list[Reading], epochs: int, width: int, height: int, encoding: str = "utf-8"
) -> Screen:
    """The screen after a training of these readings."""
    console, stream = console_of(width, height), io.BytesIO()
    console.file = io.TextIOWrapper(stream, encoding=encoding, newline="")
    view = live.choose_view(Settings(epochs=epochs), EXAMPLES, console=console, kind="terminal")
    with view as callbacks:
        replay(callbacks, made)
    console.file.flush()
    return Screen(width, height).feed(stream.getvalue().decode(encoding))


# The golden frames: readings, epochs, width, height, encoding.
FRAMES = {
    "live-80x24": (readings(10), 10, 80, 24, "utf-8"),
    "live-80x24-ascii": (readings(10), 10, 80, 24, "ascii"),
    "live-80x24-stopped": (readings(10)[:18], 10, 80, 24, "utf-8"),
    "live-120x40-val": (readings(40, val=True), 40, 120, 40, "utf-8"),
    "live-50x14": (readings(3), 3, 50, 14, "utf-8"),
    "live-34x8": (readings(3), 3, 34, 8, "utf-8"),
}


# --- the terminal ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FRAMES)
def test_the_final_frame_is_the_golden_one(name: str) -> None:
    golden = (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")
    assert shown(*FRAMES[name]).text + "\n" == golden


def test_no_line_is_as_wide_as_the_window() -> None:
    for width in range(20, 130, 7):
        screen = shown(readings(4, val=True), 4, width, 24)
        assert max(map(len, screen.text.split("\n"))) < width


def test_a_stream_without_utf_8_gets_ascii_alone() -> None:
    screen = shown(readings(3), 3, 80, 24, "ascii")
    assert screen.text.isascii()
    for sign in "*+o":
        assert sign in screen.text


@pytest.mark.parametrize("width", [1, 5, 12, 33, 40, 61])
@pytest.mark.parametrize("height", [1, 2, 5, 9, 13])
def test_a_small_window_holds_what_fits(width: int, height: int) -> None:
    lines = shown(readings(2, val=True), 2, width, height).text.split("\n")
    assert max(map(len, lines)) <= max(width - 1, 1)
    if width >= 33:
        assert lines[0].startswith("epoch 2/2 ━")


def test_the_linux_console_has_no_braille(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "linux")
    assert not re.search("[\u2801-\u28ff]", shown(readings(2), 2, 80, 24).text)


def test_colours_are_the_palette_and_no_color_sends_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def output(console: Console) -> str:
        view = live.choose_view(Settings(epochs=2), EXAMPLES, console=console, kind="terminal")
        with view as callbacks:
            replay(callbacks, readings(2))
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    assert "38;2;0;114;178m" in output(console_of(80, 24))
    assert "38;" not in output(console_of(80, 24, no_color=True))


def test_remarks_stand_above_the_view_wrapped_and_whole() -> None:
    console = console_of(60, 24)
    remark = "plateau: the loss is still 2.30 = ln(10), the network says the same for all; " * 2
    view = live.choose_view(Settings(epochs=3), EXAMPLES, console=console, kind="terminal")
    with view as callbacks:
        assert callbacks.on_remark is not None
        replay(callbacks, readings(3)[:7])
        callbacks.on_remark(remark)
        replay(callbacks, readings(3)[7:])
    assert isinstance(console.file, io.StringIO)
    text = Screen(60, 24).feed(console.file.getvalue()).text
    above, view_ = text.split("epoch 3/3")
    assert " ".join(above.split()) == remark.strip()
    assert text.count("train loss") == view_.count("train loss") == 1


def test_the_bar_tells_epoch_pictures_speed_and_time_left() -> None:
    console = console_of(100, 30)
    view = live.choose_view(Settings(epochs=10), EXAMPLES, console=console, kind="terminal")
    with view as callbacks:
        replay(callbacks, readings(10)[:20])  # four epochs in 18 s
    assert isinstance(console.file, io.StringIO)
    bar = Screen(100, 30).feed(console.file.getvalue()).text.split("\n")[0]
    assert bar.startswith("epoch 4/10 ━")
    assert bar.endswith("240,000/600,000  15,000 examples/s  0:27 left")


def test_a_resumed_training_shows_its_earlier_readings_and_counts_from_there() -> None:
    console, made = console_of(100, 30), readings(10)
    start = Progress(epoch=5, examples_seen=300_000, wall_s=1000.0, train_s=900.0)
    view = live.choose_view(
        Settings(epochs=10),
        EXAMPLES,
        start=start,
        earlier=made[:25],
        console=console,
        kind="terminal",
    )
    with view as callbacks:
        assert callbacks.on_stretch is not None
        callbacks.on_stretch(
            replace(start, sample=30_000, examples_seen=330_000, wall_s=1003.0, train_s=902.0)
        )
    assert isinstance(console.file, io.StringIO)
    text = Screen(100, 30).feed(console.file.getvalue()).text
    assert "train loss 0.6" in text
    assert "330,000/600,000  15,000 examples/s  0:27 left" in text


def test_after_narrowing_the_view_goes_up_by_the_rows_it_takes_now() -> None:
    console = console_of(100, 30)
    view = live.choose_view(Settings(epochs=10), EXAMPLES, console=console, kind="terminal")
    with view as callbacks:
        replay(callbacks, readings(10)[:30])
        assert isinstance(console.file, io.StringIO)
        wide = Screen(100, 30).feed(console.file.getvalue())
        sent = len(console.file.getvalue())
        console.width = 60
    rows = sum(max(1, -(-len(line) // 60)) for line in wide.text.split("\n"))
    up = console.file.getvalue()[sent:].split("epoch ")[0].count(f"{ESCAPE}[1A")
    assert up == rows - 1


def test_a_view_of_nothing_and_a_loss_that_runs_away_can_be_drawn() -> None:
    for made in ([], readings(1)[:1], [replace(r, train_loss=1e28) for r in readings(2)]):
        assert "train loss" in shown(made, 2, 80, 24).text


# A shell that starts pytest in the background has its children ignore SIGINT.
CHILD = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path[:0] = sys.argv[1:3]
from test_live import EXAMPLES, readings, replay
from lenet.drawing import live
from lenet.optimization import Settings
with live.choose_view(Settings(epochs=10), EXAMPLES) as callbacks:
    replay(callbacks, readings(10)[:30])
    print("a word from elsewhere")
    if sys.argv[3] == "wait":
        os.write(2, b"^C")  # as a terminal echoes the key
        for _ in range(600):  # a signal just before a sleep would wait for its end
            time.sleep(0.1)
    replay(callbacks, readings(10)[30:])
print("after it")
"""


class Pty:
    """A training in a pseudo-terminal of 80×24."""

    def __init__(self, argument: str) -> None:
        pty = pytest.importorskip("pty", reason="no pseudo-terminals here")
        import fcntl
        import struct
        import termios

        self.output = b""
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        kept = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
        self.child = subprocess.Popen(
            [sys.executable, "-c", CHILD, SOURCE, str(Path(__file__).parent), argument],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**kept, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"},
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> Pty:
        return self

    def __exit__(self, *exception: object) -> None:
        self.child.kill()
        self.child.wait()
        os.close(self._ours)

    def read(self, until: bytes | None = None) -> None:
        """Take the output up to some bytes, or all that there will be."""
        while until is None or until not in self.output:
            try:
                piece = os.read(self._ours, 1 << 16)
            except OSError:  # how Linux says that the other end is closed
                piece = b""
            if not piece:
                assert until is None, self.output.decode(errors="replace")
                return
            self.output += piece

    @property
    def screen(self) -> Screen:
        return Screen(80, 24).feed(self.output.decode())


@pytest.mark.slow
@pytest.mark.needs("terminal")
def test_in_a_terminal_the_last_screen_holds_curves_and_legend() -> None:
    with Pty("go") as terminal:
        terminal.read()
        assert terminal.child.wait() == 0
    golden = (GOLDEN / "live-80x24.txt").read_text(encoding="utf-8")
    assert terminal.screen.text == f"a word from elsewhere\n{golden}after it"
    assert b"\x1b[?25l" in terminal.output
    assert terminal.screen.cursor_shown


@pytest.mark.slow
@pytest.mark.needs("signals", "terminal")
def test_ctrl_c_leaves_the_curve_and_shows_the_cursor() -> None:
    with Pty("wait") as terminal:
        terminal.read(until=b"^C")
        assert not terminal.screen.cursor_shown
        terminal.child.send_signal(signal.SIGINT)
        terminal.read()
        assert terminal.child.wait() != 0
    assert terminal.screen.cursor_shown
    text = terminal.screen.text
    assert "epoch  0      1 " in text
    assert "^C" not in text
    assert re.search(r"\nTraceback", text)  # what comes after starts on its own line
    assert "KeyboardInterrupt" in text


def test_the_last_point_has_a_marker_however_near_the_one_before() -> None:
    canvas = terminal_plot.Canvas(40, 8)
    places = [(0.0, 0.5), (0.02, 0.5), (0.5, 0.5), (0.54, 0.5)]
    canvas.marks(places, terminal_plot.BRUSHES["test_acc"])
    rows = [canvas.text(row).plain for row in range(8)]
    assert [at for row in rows for at, sign in enumerate(row) if sign == "●"] == [0, 20, 21]


# --- what it costs -----------------------------------------------------------------------------


@pytest.mark.parametrize("cost_s", [0.0005, 0.003, 0.05])
def test_drawing_takes_at_most_its_share(monkeypatch: pytest.MonkeyPatch, cost_s: float) -> None:
    now = 0.0
    monkeypatch.setattr(live, "time", SimpleNamespace(perf_counter=lambda: now))
    throttle = live.Throttle(interval_s=0.1, share=0.01)
    drawings = 0
    for _ in range(3000):
        now += 0.1
        if throttle.due():
            with throttle.timed():
                now += cost_s
            drawings += 1
    assert drawings > 20
    assert drawings * cost_s < 0.0101 * now + cost_s


# --- lines -------------------------------------------------------------------------------------


def test_a_log_gets_a_line_an_epoch_at_once_and_no_control_codes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as CI services set it
    log, made = tmp_path / "log", readings(10, val=True)
    with log.open("w", encoding="utf-8") as stream:
        view = live.choose_view(Settings(epochs=10), EXAMPLES, console=Console(file=stream))
        with view as callbacks:
            assert callbacks.on_remark is not None
            replay(callbacks, made[:5])
            assert log.read_text(encoding="utf-8").count("\n") == 1
            callbacks.on_remark("a remark " * 30)
            replay(callbacks, made[5:])
    lines = log.read_text(encoding="utf-8").split("\n")
    assert lines[0] == (
        "epoch  1/10  loss 2.064  train acc 0.199  val acc 0.194  test acc 0.189  "
        "15,000 examples/s  0:04"
    )
    assert lines[1] == "a remark " * 30
    assert [line[:11] for line in lines[2:-1]] == [f"epoch {n:>2}/10" for n in range(2, 11)]
    assert ESCAPE not in "".join(lines)


def test_a_log_that_cannot_hold_a_sign_gets_a_question_mark() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    view = live.choose_view(Settings(epochs=1), EXAMPLES, console=Console(file=stream))
    with view as callbacks:
        assert callbacks.on_remark is not None
        callbacks.on_remark("5×5")
    stream.seek(0)
    assert stream.read() == "5?5\n"


def test_the_closing_lines_are_the_tutorials() -> None:
    reading = replace(readings(1)[-1], train_loss=0.485, train_acc=0.814, test_acc=0.816)
    assert live.closing_lines([reading], 7366.3, "cpu") == (
        "loss 0.485, train acc 0.814, test acc 0.816",
        "7366.3 examples/sec on cpu",
    )
    without_test = replace(reading, test_acc=None)
    assert live.closing_lines([without_test], 1.0, "cpu")[0] == "loss 0.485, train acc 0.814"
    with_val = replace(reading, val_acc=0.812)
    assert live.closing_lines([with_val], 1.0, "cuda")[0] == (
        "loss 0.485, train acc 0.814, val acc 0.812, test acc 0.816"
    )


def test_the_closing_lines_of_a_stopped_training_are_of_its_last_whole_epoch() -> None:
    made = readings(3)
    assert live.closing_lines(made[:12], 1.0, "cpu") == live.closing_lines(made[:10], 1.0, "cpu")
    assert "test" not in live.closing_lines(made[:3], 1.0, "cpu")[0]
    assert live.closing_lines([], 1.0, "cpu")[0] == "stopped before the first reading"


@given(st.lists(st.none() | st.floats()), st.integers(1, 40), st.booleans())
def test_a_sparkline_has_a_sign_for_each_value_as_far_as_there_is_room(
    values: list[float | None], width: int, ascii_only: bool
) -> None:
    line = terminal_plot.sparkline(values, width, ascii_only=ascii_only)
    assert len(line) == min(width, len(values))
    assert line.isascii() or not ascii_only


# --- notebooks ---------------------------------------------------------------------------------


def test_outside_a_kernel_it_is_no_notebook() -> None:
    assert not live.in_notebook()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of jupyter_client, about event loops
def test_in_a_notebook_one_figure_grows_in_place() -> None:
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    code = f"""
import sys
sys.path[:0] = [{SOURCE!r}, {str(Path(__file__).parent)!r}]
from test_live import EXAMPLES, readings, replay
from lenet.drawing import live
from lenet.optimization import Settings
live.NOTEBOOK_INTERVAL_S, live.NOTEBOOK_SHARE = 0.0, 1e9  # drawn at each chance, to see it grow
with live.choose_view(Settings(epochs=3), EXAMPLES) as callbacks:
    replay(callbacks, readings(3), stretches=1)
    callbacks.on_remark("a remark")
assert "matplotlib.pyplot" not in sys.modules
"""
    updates = []

    class Client(nbclient.NotebookClient):  # type: ignore[misc, name-defined]
        def process_message(self, message, cell, index):  # type: ignore[no-untyped-def]
            if message["msg_type"] == "update_display_data":
                updates.append(message)
            return super().process_message(message, cell, index)

    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    Client(book, kernel_name="python3", timeout=240, startup_timeout=240).execute()
    outputs = book.cells[0].outputs
    pictures = [output for output in outputs if output.output_type == "display_data"]
    assert [output.output_type for output in outputs if output not in pictures] == ["stream"]
    assert len(pictures) == 1
    assert len(updates) == 15 + 1
    svg = pictures[0].data["image/svg+xml"]
    for text in ("train loss", "train acc", "test acc", "epoch 3 of 3", ">0.799<"):
        assert text in svg


if __name__ == "__main__":
    for name, case in FRAMES.items():
        frame = shown(*case).text
        (GOLDEN / f"{name}.txt").write_text(f"{frame}\n", encoding="utf-8")
        print(f"--- {name}", frame, sep="\n")
