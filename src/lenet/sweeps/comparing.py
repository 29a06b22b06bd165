"""What a sweep found, as data: settings beside the best one, and the answers to each question."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from lenet.sweeps.folder import Sweep
from lenet.sweeps.plan import GRID, Choices
from lenet.sweeps.running import best, runs_of, value_at
from lenet.sweeps.student import Difference, Summary, holm, paired, summary
from lenet.sweeps.trial import FAILED, FINISHED, Result

NO_RUN: Final = "no run yet"


@dataclass(frozen=True)
class Row:
    """A setting: what its seeds reached on the held-out pictures, and beside the best one."""

    number: int
    values: Mapping[str, Any]
    epochs: int  # that all its seeds were trained for
    state: str  # finished, given up, failed, or unfinished
    accuracy: Summary | None
    curve: tuple[float, ...]  # mean by epoch
    behind: Difference | None  # this minus the best one after as many epochs, seed by seed
    p: float | None  # of that, by Holm's method for all settings
    message: str = ""


@dataclass(frozen=True)
class Level:
    """One answer to a question: its mean over all settings that differ in nothing else."""

    key: str
    value: Any
    accuracy: Summary  # over the seeds
    behind: Difference | None  # this minus the best answer; None for that
    p: float | None
    settings: int


@dataclass(frozen=True)
class Comparison:
    """All that a report says."""

    rows: tuple[Row, ...]  # best first
    best: int | None
    levels: tuple[Level, ...]
    levels_epoch: int  # after which the levels are compared
    runs: int
    wall_s: float  # of all runs together


def compare(sweep: Sweep) -> Comparison:
    """The settings in their order, and the questions' answers, of what is there so far."""
    winner = best(sweep)
    rows = [_row(sweep, number, winner) for number in range(len(sweep.settings))]
    adjusted = holm([row.behind.p if row.behind else None for row in rows])
    rows = [replace(row, p=p) for row, p in zip(rows, adjusted, strict=True)]
    epoch, levels = _levels(sweep)
    results = sweep.results.values()
    return Comparison(
        tuple(sorted(rows, key=_rank)),
        winner,
        tuple(levels),
        epoch,
        len(results),
        sum(result.wall_s for result in results),
    )


def _rank(row: Row) -> tuple[int, float, int]:
    mean = row.accuracy.mean if row.accuracy and row.state != FAILED else -1.0
    return -row.epochs if row.state != FAILED else 1, -mean, row.number


def _row(sweep: Sweep, number: int, winner: int | None) -> Row:
    runs = runs_of(sweep, number)
    trained = [run for run in runs if run.curve]
    epochs = min((run.epochs for run in trained), default=0)
    values = {run.seed: value for run in trained if (value := value_at(run, epochs)) is not None}
    failed = next((run for run in runs if run.state == FAILED), None)
    if failed:
        state = FAILED
    elif len(runs) == sweep.plan.seeds and all(run.state == FINISHED for run in runs):
        state = FINISHED
    else:
        state = "given up" if sweep.tested is not None else "unfinished"
    behind = None
    if winner is not None and winner != number and values:
        there = {run.seed: value_at(run, epochs) for run in runs_of(sweep, winner)}
        seeds = [seed for seed in values if there.get(seed) is not None]
        if seeds:
            behind = paired([values[s] for s in seeds], [there[s] or 0.0 for s in seeds])
    return Row(
        number,
        sweep.settings[number],
        epochs,
        state,
        summary(list(values.values())) if values else None,
        _mean_curve(trained, epochs),
        behind,
        None,
        failed.message if failed else "" if runs else NO_RUN,
    )


def _mean_curve(runs: Sequence[Result], epochs: int) -> tuple[float, ...]:
    return tuple(statistics.fmean(run.curve[epoch] for run in runs) for epoch in range(epochs))


def _levels(sweep: Sweep) -> tuple[int, list[Level]]:
    """Each value of each key that varies, averaged over all else, after as many epochs as all
    settings were trained for. Only of a grid: elsewhere settings differ in several things at once.
    """
    plan = sweep.plan
    axes = {key: axis.values for key, axis in plan.vary.items() if isinstance(axis, Choices)}
    trained = [run for run in sweep.results.values() if run.curve]
    complete = len({run.setting for run in sweep.results.values()}) == len(sweep.settings)
    if plan.sampler != GRID or len(axes) < 2 or not trained or not complete:
        return 0, []
    epoch = min(run.epochs for run in trained)
    numbers = {
        tuple(map(repr, chosen)): number
        for number, chosen in enumerate(itertools.product(*axes.values()))
    }
    # a setting that failed has no value: none of those that it is compared with counts then
    means = {
        (number, run.seed): value
        for number in range(len(sweep.settings))
        for run in runs_of(sweep, number)
        if (value := value_at(run, epoch)) is not None
    }
    seeds = list(plan.run_seeds)
    found: list[Level] = []
    for place, (key, values) in enumerate(axes.items()):
        others = [levels for at, levels in enumerate(axes.values()) if at != place]
        groups = []  # settings that differ in this key alone
        for rest in itertools.product(*others):
            group = [
                numbers[tuple(map(repr, (*rest[:place], value, *rest[place:])))] for value in values
            ]
            if all((number, seed) in means for number in group for seed in seeds):
                groups.append(group)
        if groups:
            found += _answers(key, values, groups, seeds, means)
    adjusted = holm([level.behind.p if level.behind else None for level in found])
    return epoch, [replace(level, p=p) for level, p in zip(found, adjusted, strict=True)]


def _answers(
    key: str,
    values: Sequence[Any],
    groups: Sequence[Sequence[int]],
    seeds: Sequence[int],
    means: Mapping[tuple[int, int], float],
) -> list[Level]:
    by_seed = [
        [statistics.fmean(means[group[at], seed] for group in groups) for seed in seeds]
        for at in range(len(values))
    ]
    top = max(range(len(values)), key=lambda at: statistics.fmean(by_seed[at]))
    return [
        Level(
            key,
            value,
            summary(by_seed[at]),
            None if at == top else paired(by_seed[at], by_seed[top]),
            None,
            len(groups),
        )
        for at, value in enumerate(values)
    ]
