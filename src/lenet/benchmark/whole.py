"""Where the time of a whole training goes, from the command to its end: ``lenet bench --whole``.

``lenet train`` runs in a process of its own under a stopwatch (``stages``), a few times over, into
a folder that is then removed. Beside the engine's training and evaluating there is all that you
wait for, too: modules that are loaded, pictures that are read, files, the curves.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lenet.benchmark import stages
from lenet.benchmark.measuring import BenchmarkError, Spread

if TYPE_CHECKING:
    from rich.console import RenderableType

MEANING = {  # in the order of the table
    stages.START: "Python itself",
    stages.IMPORTS: "loading modules",
    stages.DATA: "reading the pictures",
    stages.PYTHON: "between all others",
    stages.GARBAGE: "collecting garbage",
    stages.FILES: "history, checkpoints, weights",
    stages.CURVES: "drawing the curves",
    stages.EXIT: "the end of the process",
    stages.TRAINING: "engine: training",
    stages.EVALUATING: "engine: evaluating",
}
IN_ENGINE = (stages.TRAINING, stages.EVALUATING)


@dataclass(frozen=True)
class Round:
    """One training: seconds by stage, of the clock and of all its threads together."""

    wall_s: dict[str, float]
    cpu_s: dict[str, float]

    @property
    def whole_s(self) -> float:
        """From start to exit."""
        return sum(self.wall_s.values())

    @property
    def outside_s(self) -> float:
        """Without the engine's training and evaluating."""
        return sum(s for stage, s in self.wall_s.items() if stage not in IN_ENGINE)


@dataclass(frozen=True)
class Whole:
    """A command's rounds, and what it said last."""

    command: tuple[str, ...]
    rounds: tuple[Round, ...]
    said: tuple[str, ...]

    @property
    def whole_s(self) -> Spread:
        """Seconds from start to exit."""
        return Spread.of([one.whole_s for one in self.rounds])

    @property
    def outside_s(self) -> Spread:
        """Seconds outside the engine's training and evaluating."""
        return Spread.of([one.outside_s for one in self.rounds])

    def stage_s(self, stage: str, of: str = "wall_s") -> Spread:
        """Seconds of a stage, ``wall_s`` or ``cpu_s``."""
        return Spread.of([getattr(one, of).get(stage, 0.0) for one in self.rounds])


def measure(
    recipe: str = "d2l",
    rounds: int = 3,
    options: tuple[str, ...] = (),
    tell: Callable[[int, str], None] = lambda done, what: None,
) -> Whole:
    """``lenet train RECIPE`` that many times, with ``options`` of its command line.

    ``tell`` is called before each. Raises BenchmarkError with what it said where one fails.
    """
    if rounds < 1:
        raise BenchmarkError(f"rounds is {rounds}, must be at least 1")
    command = ("train", recipe, *options)
    measured = []
    for number in range(rounds):
        tell(number, f"lenet {' '.join(command)}, round {number + 1}")
        one, said = _measure_once(command)
        measured.append(one)
    return Whole(command, tuple(measured), said)


def _measure_once(command: tuple[str, ...]) -> tuple[Round, tuple[str, ...]]:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "stages.json")
        started = time.perf_counter()
        result = subprocess.run(
            [
                *(sys.executable, "-P", str(stages.__file__), str(report), str(started)),
                *(*command, "--out", str(Path(folder, "run"))),
            ],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        ended = time.perf_counter()
        if result.returncode:
            last = (result.stderr.strip() or result.stdout.strip()).splitlines() or ["nothing"]
            raise BenchmarkError(f"lenet {' '.join(command)} failed and said: {last[-1]}")
        values = json.loads(report.read_text(encoding="utf-8"))
    wall_s = {**values["wall_s"], stages.EXIT: ended - values["ended"]}
    # the last line names a folder that is no more
    return Round(wall_s, values["cpu_s"]), tuple(result.stdout.splitlines()[-3:-1])


# --- said ----------------------------------------------------------------------------------------


def to_json(whole: Whole) -> dict[str, Any]:
    """The results as plain values for ``--json``: ``command``, ``whole_s`` and ``outside_s``
    (median, min, max), ``stages`` (by name ``wall_s`` and ``cpu_s``, each so), ``rounds``."""
    return {
        "command": f"lenet {' '.join(whole.command)}",
        "whole_s": asdict(whole.whole_s),
        "outside_s": asdict(whole.outside_s),
        "stages": {
            stage: {of: asdict(whole.stage_s(stage, of)) for of in ("wall_s", "cpu_s")}
            for stage in MEANING
        },
        "rounds": [asdict(one) for one in whole.rounds],
    }


def render(whole: Whole) -> RenderableType:
    """A table of the stages, and the line that says what is outside the engine."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in ("", "seconds", "low–high", "processor s", ""):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for stage, meaning in MEANING.items():
        wall, cpu = whole.stage_s(stage), whole.stage_s(stage, "cpu_s")
        name = "" if stage in IN_ENGINE else stage
        table.add_row(name, f"{wall.median:.2f}", _range(wall), f"{cpu.median:.2f}", meaning)
    all_of_it, outside = whole.whole_s, whole.outside_s
    count = len(whole.rounds)
    return Group(
        Text(f"lenet {' '.join(whole.command)}, medians of {count}", style="bold"),
        *(Text(line) for line in whole.said),
        Text(),
        table,
        Text(),
        Text(
            f"outside the engine: {outside.median:.2f} s ({_range(outside)}) "
            f"of {all_of_it.median:.2f} s ({_range(all_of_it)})"
        ),
    )


def _range(spread: Spread) -> str:
    return f"{spread.min:.2f}–{spread.max:.2f}"
