"""The live view of a training: what fit() reports, shown where it runs.

    with choose_view(settings, len(parts.train)) as view:
        outcome = fit(engine, parts, settings, start, [view])

In a terminal a bar with the curves beneath it, elsewhere a line an epoch, in a notebook a figure
that grows in place. It knows readings and progress; engines, files and runs it does not know.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TextIO, cast

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.control import Control
from rich.file_proxy import FileProxy
from rich.progress_bar import ProgressBar
from rich.segment import ControlType, Segment
from rich.text import Text

from lenet.drawing.figures import PALETTE, curves, encoded, said
from lenet.drawing.terminal_plot import draw_curves
from lenet.language.asked import language_of
from lenet.language.finding import told
from lenet.optimization import Settings
from lenet.training import Callbacks, Progress, Reading

Kind = Literal["auto", "terminal", "lines", "notebook"]

# A drawing waits for so many times its own cost: the view takes that share of the time, no more.
TERMINAL_SHARE: Final = 0.01
NOTEBOOK_SHARE: Final = 0.03
TERMINAL_INTERVAL_S: Final = 0.1
NOTEBOOK_INTERVAL_S: Final = 0.5


def choose_view(
    settings: Settings,
    train_examples: int,
    *,
    start: Progress | None = None,
    earlier: Sequence[Reading] = (),
    console: Console | None = None,
    kind: Kind = "auto",
) -> AbstractContextManager[Callbacks]:
    """The view for where this runs; entered, it gives the callbacks for fit().

    ``start`` and ``earlier`` are where a resumed training goes on from, and its readings so far.
    ``console`` is where it is shown, standard output unless given.
    """
    record = Record(
        epochs=settings.epochs,
        train_examples=train_examples,
        start=start or Progress(),
        now=start or Progress(),
        readings=list(earlier),
    )
    if kind == "auto" and console is None and in_notebook():
        kind = "notebook"
    if kind == "notebook":
        return _notebook(record)
    console = console or Console()
    if kind == "auto":
        # FORCE_COLOR makes rich take a pipe for a terminal; a file full of cursor movements helps
        # nobody, so the stream itself is asked.
        kind = "terminal" if console.is_interactive and console.file.isatty() else "lines"
    return _terminal(record, console) if kind == "terminal" else _lines(record, console)


def in_notebook() -> bool:
    """Whether this runs in an IPython kernel; IPython is not imported to find out."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


@dataclass
class Record:
    """What a view knows of a training; the callbacks keep it up to date."""

    epochs: int
    train_examples: int
    start: Progress
    now: Progress
    readings: list[Reading] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Pictures in all epochs."""
        return self.epochs * self.train_examples

    @property
    def epoch(self) -> int:
        """The epoch under way, the first being 1."""
        return min(self.now.epoch + 1, self.epochs)

    @property
    def examples_per_s(self) -> float:
        """Training speed since the start of this call, evaluation not counted; 0 at first."""
        seconds = self.now.train_s - self.start.train_s
        return (self.now.examples_seen - self.start.examples_seen) / seconds if seconds > 0 else 0.0

    @property
    def remaining_s(self) -> float | None:
        """The time to the last epoch at the speed so far, evaluation counted; None at first."""
        seen = self.now.examples_seen - self.start.examples_seen
        if seen <= 0:
            return None
        return (self.now.wall_s - self.start.wall_s) / seen * (self.total - self.now.examples_seen)


class Throttle:
    """Allows a drawing so often that drawing takes at most a share of the time."""

    def __init__(self, interval_s: float, share: float) -> None:
        self._interval_s, self._share = interval_s, share
        self._next = -math.inf

    def due(self) -> bool:
        """Whether to draw now."""
        return time.perf_counter() >= self._next

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """Measures the drawing inside; the next is due after a wait in proportion."""
        started = time.perf_counter()
        yield
        ended = time.perf_counter()
        self._next = ended + max(self._interval_s, (ended - started) / self._share)


# --- text --------------------------------------------------------------------------------------


def closing_lines(
    readings: Sequence[Reading], examples_per_s: float, device: str
) -> tuple[str, str]:
    """The two lines that the tutorials print at the end, of the last whole epoch.

    ``loss 0.485, train acc 0.814, test acc 0.816`` and ``7366.3 examples/sec on cpu``; without
    what was not measured, and with ``val acc`` before ``test acc`` where it was.
    """
    speed = f"{examples_per_s:.1f} examples/sec on {device}"
    if not readings:
        return "stopped before the first reading", speed
    whole = [reading for reading in readings if reading.epoch.is_integer()]
    return ", ".join(_values((whole or list(readings))[-1])), speed


def epoch_line(reading: Reading, epochs: int, examples_per_s: float) -> str:
    """One epoch as one line of a log: ``epoch 3/10  loss 0.612  train acc 0.761  …  0:12``."""
    number = f"{math.ceil(reading.epoch):>{len(str(epochs))}}"
    speed, wall = f"{examples_per_s:,.0f} examples/s", duration(reading.wall_s)
    return "  ".join([f"epoch {number}/{epochs}", *_values(reading), speed, wall])


def _values(reading: Reading) -> list[str]:
    values = {
        "loss": reading.train_loss,
        "train acc": reading.train_acc,
        "val acc": reading.val_acc,
        "test acc": reading.test_acc,
    }
    return [f"{name} {_short(value)}" for name, value in values.items() if value is not None]


def _short(value: float) -> str:
    """Three digits after the point; of a loss that has blown up, three in all."""
    return f"{value:.3f}" if value < 1e4 else f"{value:.3g}"


def duration(seconds: float) -> str:
    """Minutes and whole seconds, and hours where there are any.

    >>> duration(72.3), duration(3723)
    ('1:12', '1:02:03')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _encodable(text: str, encoding: str) -> str:
    """The text with ``?`` for what the stream cannot write, instead of an error in mid-training."""
    return text.encode(encoding, "replace").decode(encoding)


# --- lines -------------------------------------------------------------------------------------


@contextlib.contextmanager
def _lines(record: Record, console: Console) -> Iterator[Callbacks]:
    stream, last_epoch = console.file, record.start

    def write(line: str) -> None:
        stream.write(_encodable(line, console.encoding) + "\n")
        stream.flush()  # whoever follows the log sees the epoch when it ends

    def on_stretch(progress: Progress) -> None:
        record.now = progress

    def on_reading(reading: Reading) -> None:
        nonlocal last_epoch
        if not reading.epoch.is_integer():
            return
        seconds = record.now.train_s - last_epoch.train_s
        seen = record.now.examples_seen - last_epoch.examples_seen
        speed = seen / seconds if seconds > 0 else reading.examples_per_s
        last_epoch = record.now
        write(epoch_line(reading, record.epochs, speed))

    def on_remark(remark: str) -> None:
        write(told(remark, encoding=console.encoding))

    yield Callbacks(on_stretch=on_stretch, on_reading=on_reading, on_remark=on_remark)


# --- notebook ----------------------------------------------------------------------------------


@contextlib.contextmanager
def _notebook(record: Record) -> Iterator[Callbacks]:
    display: Any = importlib.import_module("IPython.display")  # it has types only in part
    throttle = Throttle(NOTEBOOK_INTERVAL_S, NOTEBOOK_SHARE)
    language = language_of(os.environ)

    def picture() -> Any:
        epoch = said(f"epoch {record.epoch} of {record.epochs}", language)
        title = "  ·  ".join([epoch, *_speed_and_time(record)])
        figure = curves(record.readings, title=title, epochs=record.epochs, language=language)
        return display.SVG(data=encoded(figure, "svg").decode())

    handle = display.display(picture(), display_id=True)

    def draw() -> None:
        with throttle.timed():
            handle.update(picture())

    def on_stretch(progress: Progress) -> None:
        record.now = progress
        if throttle.due():
            draw()

    def on_remark(remark: str) -> None:
        print(told(remark, encoding="utf-8"))

    try:
        yield Callbacks(
            on_stretch=on_stretch, on_reading=record.readings.append, on_remark=on_remark
        )
    finally:
        draw()


def _speed_and_time(record: Record) -> list[str]:
    """Speed, and the time that is left; at the end the time it took."""
    left = record.remaining_s
    if left is None:
        return []
    ended = record.now.examples_seen >= record.total
    time_ = f"in {duration(record.now.wall_s)}" if ended else f"{duration(left)} left"
    return [f"{record.examples_per_s:,.0f} examples/s", time_]


# --- terminal ----------------------------------------------------------------------------------


@contextlib.contextmanager
def _terminal(record: Record, console: Console) -> Iterator[Callbacks]:
    screen = _Screen(record, console)

    def on_stretch(progress: Progress) -> None:
        record.now = progress
        screen.draw_if_due()

    def on_remark(remark: str) -> None:
        shown = told(remark, encoding=console.encoding)
        console.print(Text(_encodable(shown, console.encoding)))

    console.push_render_hook(screen)
    try:
        console.show_cursor(False)
        with _printed_above(console):
            screen.draw()
            try:
                yield Callbacks(
                    on_stretch=on_stretch, on_reading=record.readings.append, on_remark=on_remark
                )
            finally:
                screen.draw()
    finally:  # also when Ctrl-C comes a second time, into the last drawing
        console.pop_render_hook()
        console.show_cursor(True)
        console.line()


@contextlib.contextmanager
def _printed_above(console: Console) -> Iterator[None]:
    """What others print, warnings above all, goes above the view instead of into it."""
    with contextlib.ExitStack() as stack:
        for stream, redirect in (
            (sys.stdout, contextlib.redirect_stdout),
            (sys.stderr, contextlib.redirect_stderr),
        ):
            if stream.isatty() and not isinstance(stream, FileProxy):
                proxy = cast(TextIO, FileProxy(console, stream))
                stack.callback(proxy.flush)  # the beginning of a line that was not ended
                stack.enter_context(redirect(proxy))
        yield


class _Screen(RenderHook):
    """The view at the bottom of the terminal, drawn anew over itself.

    rich's own Live does as much, but takes a thread, and loses its place when the window becomes
    narrower: the terminal has then broken the lines, and the view is more rows high than it was.
    """

    def __init__(self, record: Record, console: Console) -> None:
        self._record, self._console = record, console
        self._throttle = Throttle(TERMINAL_INTERVAL_S, TERMINAL_SHARE)
        self._shown: list[int] = []  # the lengths of the lines on the screen
        self._plot: list[list[Segment]] = []
        self._plot_of: tuple[int, ...] = ()  # what the plot depends on

    def draw_if_due(self) -> None:
        if self._throttle.due():
            self.draw()

    def draw(self) -> None:
        with self._throttle.timed():
            self._console.print(Control())  # nothing, and the view beneath it

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """rich's hook: what is to be printed, the view taken away before it and put back after."""
        return [self._rewind(), *renderables, self]

    def _rewind(self) -> Control:
        """Back to the view's first row, all rows erased."""
        rows = rows_taken(self._shown, self._console.width)
        codes: list[Any] = [ControlType.CARRIAGE_RETURN]
        for row in range(rows):
            codes += [(ControlType.ERASE_IN_LINE, 2)]
            codes += [(ControlType.CURSOR_UP, 1)] if row < rows - 1 else []
        return Control(*codes)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # One column stays free: a full line leaves the cursor where terminals do not agree.
        width, height = console.width - 1, console.height
        no_braille = options.legacy_windows or os.environ.get("TERM") == "linux"  # in their fonts
        plain = options.ascii_only or no_braille
        depends = (len(self._record.readings), width, height)
        if depends != self._plot_of:
            record = self._record
            lines = draw_curves(
                record.readings, record.epochs, width, min(height - 4, 28), ascii_only=plain
            )
            self._plot = [list(line.render(console)) for line in lines]
            self._plot_of = depends
        rows = [list(_bar(self._record, console, options, width)), *self._plot]
        rows = rows[: max(1, height - 1)]  # what has left the screen at the top cannot be erased
        self._shown = [Segment.get_line_length(row) for row in rows]
        for index, row in enumerate(rows):
            if index:
                yield Segment.line()
            yield from row


def rows_taken(lengths: Sequence[int], width: int) -> int:
    """How many rows lines of these lengths are high in a terminal that is now so wide.

    >>> rows_taken([79, 12], width=80), rows_taken([79, 12], width=40)
    (2, 3)
    """
    return sum(max(1, math.ceil(length / width)) for length in lengths)


def _bar(
    record: Record, console: Console, options: ConsoleOptions, width: int
) -> Iterator[Segment]:
    """One line: the epoch, a bar of the whole run, pictures, speed, time left."""
    left = f"epoch {record.epoch}/{record.epochs}"
    right = [f"{record.now.examples_seen:,}/{record.total:,}", *_speed_and_time(record)]
    while right and width - len(left) - len("  ".join(right)) < 14:
        right = right[1:]  # in a narrow window the time left is worth most
    room = width - len(left) - len("".join(f"  {part}" for part in right)) - 1
    yield Segment(f"{left} "[:width])
    if room > 0:
        bar = ProgressBar(
            total=record.total,
            completed=record.now.examples_seen,
            width=room,
            complete_style=PALETTE["test_acc"],
            finished_style=PALETTE["test_acc"],
        )
        drawn = list(console.render(bar, options))
        yield from drawn
        yield Segment(" " * (room - Segment.get_line_length(drawn)))  # colourless, it is cut short
        yield Segment("".join(f"  {part}" for part in right))
