"""A sweep as it runs: in a terminal a table with bars, elsewhere a line a run."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lenet.drawing.figures import PALETTE
from lenet.drawing.live import duration
from lenet.sweeps.folder import Sweep
from lenet.sweeps.running import Views, runs_of, value_at
from lenet.sweeps.settings import described
from lenet.sweeps.trial import FAILED, Job, Result
from lenet.untrusted import plain

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

SHOWN: Final = 8  # of the best settings
INTERVAL_S: Final = 0.2
BAR_CELLS: Final = 16


@dataclass
class _Progress:
    """What the view knows."""

    sweep: Sweep
    jobs: dict[str, Job] = field(default_factory=dict)  # of this wave
    ended: int = 0  # of this wave
    started: float = field(default_factory=time.monotonic)
    running: dict[str, tuple[float, float | None]] = field(default_factory=dict)


@contextlib.contextmanager
def watch(sweep: Sweep, console: Console | None = None) -> Iterator[Views]:
    """The functions that a running sweep calls, and what they show."""
    from rich.console import Console as RichConsole

    console = console or RichConsole(stderr=False, highlight=False)
    progress = _Progress(sweep)
    if console.is_interactive and console.file.isatty():
        with _table(progress, console) as views:
            yield views
    else:
        yield _lines(progress)


def _begin(progress: _Progress, jobs: Sequence[Job]) -> None:
    progress.jobs = {job.name: job for job in jobs}
    progress.ended, progress.running = 0, {}
    progress.started = time.monotonic()


def _lines(progress: _Progress) -> Views:
    def on_jobs(jobs: Sequence[Job]) -> None:
        _begin(progress, jobs)
        print(f"{wave_text(progress.sweep, jobs)}", file=sys.stderr, flush=True)

    def on_result(result: Result) -> None:
        progress.ended += 1
        print(line(progress, result), file=sys.stderr, flush=True)

    return Views(on_jobs=on_jobs, on_result=on_result)


def wave_text(sweep: Sweep, jobs: Sequence[Job]) -> str:
    """What comes next, in a line."""
    settings = len({job.setting for job in jobs})
    until = max(job.epochs for job in jobs)
    return (
        f"{len(jobs)} run{'s' if len(jobs) > 1 else ''} of {settings} "
        f"setting{'s' if settings > 1 else ''}, up to epoch {until}"
    )


def line(progress: _Progress, result: Result) -> str:
    """A run that ended, in a line."""
    values = described(progress.sweep.settings[result.setting])
    count = f"{progress.ended:>{len(str(len(progress.jobs)))}}/{len(progress.jobs)}"
    head = f"{count}  {plain(values)}, seed {result.seed}"
    if result.state == FAILED:
        return f"{head}: failed: {result.message}"
    accuracy = "–" if result.val_acc is None else f"{result.val_acc:.4f}"
    return f"{head}: epoch {result.epochs}, val acc {accuracy}, {duration(result.wall_s)}"


@contextlib.contextmanager
def _table(progress: _Progress, console: Console) -> Iterator[Views]:
    from rich.live import Live

    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        drawn = [0.0]

        def draw(now: bool = False) -> None:
            if now or time.monotonic() > drawn[0] + INTERVAL_S:
                live.update(render(progress, console), refresh=True)
                drawn[0] = time.monotonic()

        def on_jobs(jobs: Sequence[Job]) -> None:
            _begin(progress, jobs)
            draw(now=True)

        def on_progress(name: str, epoch: float, val_acc: float | None) -> None:
            progress.running[name] = (epoch, val_acc)
            draw()

        def on_result(result: Result) -> None:
            progress.ended += 1
            for name, job in progress.jobs.items():
                if (job.setting, job.seed) == (result.setting, result.seed):
                    progress.running.pop(name, None)
            draw()

        try:
            yield Views(on_jobs, on_progress, on_result)
        finally:
            draw(now=True)


def render(progress: _Progress, console: Console) -> RenderableType:
    """Bars of what runs, and the best settings so far."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    ascii_only = console.options.ascii_only
    sweep, total = progress.sweep, max(1, len(progress.jobs))
    share = sum(
        min(1.0, epoch / max(1, progress.jobs[name].epochs))
        for name, (epoch, _) in progress.running.items()
        if name in progress.jobs
    )
    done = progress.ended + share
    elapsed = time.monotonic() - progress.started
    left = f", {duration(elapsed / done * (total - done))} left" if done > 0.5 else ""
    head = Table.grid(padding=(0, 1))
    head.add_row(
        Text(f"{progress.ended}/{total} runs"),
        _bar(ProgressBar(total=total, completed=done, width=24), ascii_only, done / total, 24),
        Text(f"{duration(elapsed)}{left}"),
    )
    parts: list[RenderableType] = []
    if progress.jobs:
        parts.append(Text(wave_text(sweep, list(progress.jobs.values()))))
    parts.append(head)
    running = _grid()
    for name, (epoch, val_acc) in sorted(progress.running.items()):
        job = progress.jobs.get(name)
        if job is None:
            continue
        part = min(1.0, epoch / max(1, job.epochs))
        running.add_row(
            Text(f"{described(sweep.settings[job.setting])}, seed {job.seed}"),
            _bar(
                ProgressBar(total=1, completed=part, width=BAR_CELLS), ascii_only, part, BAR_CELLS
            ),
            Text(f"{epoch:.1f}/{job.epochs}"),
            Text("" if val_acc is None else f"{val_acc:.3f}"),
        )
    parts.append(running)
    ranked = ranking(sweep)[:SHOWN]
    if ranked:
        parts += [Text(), Text("best so far, held-out accuracy", style="bold")]
        best = _grid()
        for number, mean, epochs, n in ranked:
            bar = ProgressBar(
                total=1, completed=mean, width=BAR_CELLS, complete_style=PALETTE["test_acc"]
            )
            best.add_row(
                Text(described(sweep.settings[number])),
                _bar(bar, ascii_only, mean, BAR_CELLS),
                Text(f"epoch {epochs}, n {n}"),
                Text(f"{mean:.4f}"),
            )
        parts.append(best)
    return Group(*parts)


def _grid() -> Table:
    from rich.table import Table

    grid = Table.grid(padding=(0, 1), expand=False)
    grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    grid.add_column(width=BAR_CELLS)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    return grid


def _bar(bar: RenderableType, ascii_only: bool, share: float, cells: int) -> RenderableType:
    from rich.text import Text

    if not ascii_only:
        return bar
    filled = round(share * cells)
    return Text("#" * filled + "-" * (cells - filled))


def ranking(sweep: Sweep) -> list[tuple[int, float, int, int]]:
    """Number, mean held-out accuracy, epochs and seeds of each setting with a result.

    Best first among those trained furthest; a setting that was given up stands below all that were
    trained further.
    """
    found = []
    for number in range(len(sweep.settings)):
        runs = [run for run in runs_of(sweep, number) if run.curve]
        if not runs or any(run.state == FAILED for run in runs_of(sweep, number)):
            continue
        epochs = min(run.epochs for run in runs)
        values = [value for run in runs if (value := value_at(run, epochs)) is not None]
        found.append((number, sum(values) / len(values), epochs, len(values)))
    return sorted(found, key=lambda row: (-row[2], -row[1], row[0]))
