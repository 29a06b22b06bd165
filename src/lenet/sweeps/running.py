"""A sweep from its plan to its last result: generations, rungs, medians, and one look at the test.

What is trained, given up and chosen is a function of the plan and of the results, never of how
many processes ran, on which machine, or how often the sweep was stopped.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from lenet import engines
from lenet.data import KNOWN, Dataset, check_classes
from lenet.data import load as load_data
from lenet.network import zoo
from lenet.network.architecture import Network
from lenet.runs import preparing
from lenet.runs.record import load_model
from lenet.sweeps.folder import Sweep, Tested
from lenet.sweeps.local import Pool
from lenet.sweeps.plan import HALVING, MEDIAN, Plan, SweepError, held_out, rungs
from lenet.sweeps.sampling import Judged, draw, generation_size
from lenet.sweeps.settings import Pictures, recipe_of
from lenet.sweeps.trial import BROKEN, FAILED, FINISHED, PRUNED, STOPPED, Job, Result
from lenet.training import evaluate_pieces, recipes
from lenet.training.defaults import fit_to_few

NEVER: Final = -math.inf


@dataclass(frozen=True)
class Machine:
    """What each run computes with."""

    engine: str = "auto"
    device: str = "auto"
    threads: int = 1


@dataclass(frozen=True)
class Views:
    """Functions that are called while a sweep runs."""

    on_jobs: Callable[[Sequence[Job]], None] = lambda jobs: None  # that come next
    on_progress: Callable[[str, float, float | None], None] = lambda name, epoch, val_acc: None
    on_result: Callable[[Result], None] = lambda result: None


def prepare(
    plan: Plan, loaded: Dataset, chosen: set[str] | None = None
) -> tuple[Plan, Pictures, list[str]]:
    """The plan with what its pictures ask for, their shape and classes, and a line for each change.

    Every setting of a grid is built, so that one that cannot be is told before any is trained.
    Raises what building it raises.
    """
    check_classes(loaded)
    recipe = held_out(plan.recipe, loaded.val is not None)
    if not recipe.layers:
        recipe = replace(recipe, network=zoo.name_of(recipe.network))
    if recipe.data not in KNOWN and (own := Path(recipe.data).expanduser()).exists():
        recipe = replace(recipe, data=str(own.resolve()))  # to be found from anywhere
    said = [] if recipe.val == plan.recipe.val or loaded.val is not None else [HELD_OUT]
    channels, height, width = loaded.train.images.shape[1:]
    pictures: Pictures = ((channels, height, width), loaded.train.classes)
    parts = preparing.divide(recipe, loaded)
    if chosen is not None:
        recipe, remarks = fit_to_few(recipe, {*chosen, *plan.vary}, len(parts.train))
        said += remarks
    plan = replace(plan, recipe=recipe)
    if plan.sampler == "grid":
        for values in draw(plan, [], 10**9):
            setting = recipe_of(recipe, values, pictures, plan.rate_chosen)
            preparing.check(replace(setting, val=setting.val or 0.1))
            preparing.build_network(setting, *pictures)
    return plan, pictures, said


def first_network(plan: Plan, loaded: Dataset) -> Network:
    """The network of the recipe without what varies: for the choice of a device."""
    channels, height, width = loaded.train.images.shape[1:]
    return preparing.build_network(plan.recipe, (channels, height, width), loaded.train.classes)


HELD_OUT: Final = "a tenth of the training pictures is held out, and settings are judged by it"


def load(plan: Plan, data_dir: Path | None, progress: bool = False) -> Dataset:
    """The pictures of a sweep. Raises DataError."""
    return load_data(plan.recipe.data, data_dir, progress=progress)


def run(
    sweep: Sweep,
    pool: Pool,
    pictures: Pictures,
    machine: Machine,
    views: Views,
    stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Train what is not trained yet; whether everything is, or ``stop()`` came true before.

    Raises SweepError where the disk or the machine refuses what every run needs.
    """
    size = generation_size(sweep.plan)
    first = 0
    while True:
        judged = [judge(sweep, number) for number in range(first)]
        # what was drawn before a stop is kept: another version of a library may draw otherwise
        wanted = draw(sweep.plan, judged, size) if len(sweep.settings) <= first else []
        if wanted:
            sweep.add_settings(wanted)
        numbers = range(first, min(first + size, len(sweep.settings)))
        if not numbers:
            return True
        for wave in waves(sweep, numbers):
            jobs = [_job(sweep, one, pictures, machine) for one in wave]
            if not _train(sweep, pool, jobs, views, stop):
                return False
        first = numbers.stop


@dataclass(frozen=True)
class Wanted:
    """A run that is to reach an epoch."""

    setting: int
    seed: int
    epochs: int
    thresholds: Mapping[int, float]


def waves(sweep: Sweep, numbers: range) -> Iterator[list[Wanted]]:
    """What is to be trained of a generation, one list after the other: each is asked for when the
    results of the one before are there. Runs that need nothing more are left out."""
    plan = sweep.plan
    if plan.prune == MEDIAN:
        yield from _median_waves(sweep, numbers)
        return
    alive = list(numbers)
    for place, until in enumerate(rungs(plan)):
        yield _missing(sweep, alive, plan.run_seeds, until)
        if plan.prune == HALVING and place + 1 < len(rungs(plan)):
            scores = {number: score(sweep, number, until) for number in alive}
            best = sorted(alive, key=lambda number: (-scores[number], number))
            kept = best[: max(1, math.ceil(len(alive) / plan.factor))]
            alive = sorted(number for number in kept if scores[number] > NEVER)


def _median_waves(sweep: Sweep, numbers: range) -> Iterator[list[Wanted]]:
    """The first seed of each setting, which is stopped where it falls below the median of earlier
    settings; then the other seeds of those that were not."""
    plan, (first, *others) = sweep.plan, sweep.plan.run_seeds
    thresholds = medians(sweep, numbers.start)
    yield _missing(sweep, list(numbers), [first], plan.epochs, thresholds)
    alive = [n for n in numbers if sweep.results[n, first].state == FINISHED]
    if others:
        yield _missing(sweep, alive, others, plan.epochs)


def medians(sweep: Sweep, before: int) -> dict[int, float]:
    """For each epoch after ``least`` the median held-out accuracy of earlier settings' first seed.

    Only runs that were trained to the end count, as for Optuna's median pruner.
    """
    found = [sweep.results.get((n, sweep.plan.run_seeds[0])) for n in range(before)]
    curves = [result.curve for result in found if result and result.state == FINISHED]
    return {
        epoch: statistics.median(values)
        for epoch in range(sweep.plan.least, sweep.plan.epochs)
        if (values := [curve[epoch - 1] for curve in curves if len(curve) >= epoch])
    }


def _missing(
    sweep: Sweep,
    numbers: Sequence[int],
    seeds: Sequence[int],
    until: int,
    thresholds: Mapping[int, float] | None = None,
) -> list[Wanted]:
    wanted = []
    for number in numbers:
        for seed in seeds:
            there = sweep.results.get((number, seed))
            ended = there is not None and there.state in (FINISHED, PRUNED, FAILED)
            if not ended and (there is None or there.epochs < until):
                wanted.append(Wanted(number, seed, until, thresholds or {}))
    return wanted


def _job(sweep: Sweep, wanted: Wanted, pictures: Pictures, machine: Machine) -> Job | Result:
    """The job, or the result where the setting can have no run."""
    plan = sweep.plan
    try:
        recipe = recipe_of(plan.recipe, sweep.settings[wanted.setting], pictures, plan.rate_chosen)
        recipe = recipes.change(recipe, "seed", wanted.seed)
    except ValueError as error:  # drawn at random: some values do not go together
        return Result(wanted.setting, wanted.seed, FAILED, message=str(error)[:1000])
    until = min(wanted.epochs, recipe.settings.epochs)
    return Job(
        wanted.setting,
        wanted.seed,
        recipes.to_dict(recipe),
        until,
        wanted.thresholds,
        machine.engine,
        machine.device,
        machine.threads,
    )


def _train(
    sweep: Sweep,
    pool: Pool,
    wanted: Sequence[Job | Result],
    views: Views,
    stop: Callable[[], bool],
) -> bool:
    """Whether all of these have a result now."""
    for one in wanted:
        if isinstance(one, Result):
            sweep.add_result(one)
            views.on_result(one)
    jobs = [one for one in wanted if isinstance(one, Job)]
    if not jobs:
        return True
    views.on_jobs(jobs)
    done = 0
    for result in pool.results(jobs, views.on_progress, stop):
        if result.state == BROKEN:
            raise SweepError(f"a run could not be written: {result.message}. Mend that")
        if result.state != STOPPED:
            sweep.add_result(result)
            views.on_result(result)
            done += 1
    return done == len(jobs)


# --- judging -----------------------------------------------------------------------------------


def runs_of(sweep: Sweep, number: int) -> list[Result]:
    """The results of a setting, by seed."""
    found = [sweep.results.get((number, seed)) for seed in sweep.plan.run_seeds]
    return [result for result in found if result is not None]


def score(sweep: Sweep, number: int, epoch: int) -> float:
    """The mean held-out accuracy of a setting's seeds after an epoch; -inf where a run failed."""
    found = runs_of(sweep, number)
    values = [value_at(result, epoch) for result in found]
    if len(values) < sweep.plan.seeds or None in values:
        return NEVER
    return statistics.fmean(value for value in values if value is not None)


def value_at(result: Result, epoch: int) -> float | None:
    """A run's held-out accuracy after an epoch, or what it is judged by where it ended earlier."""
    if result.state == FAILED or not result.curve:
        return None
    if epoch >= result.epochs:
        return result.val_acc if result.state == FINISHED else result.curve[-1]
    return result.curve[epoch - 1]


def judge(sweep: Sweep, number: int) -> Judged:
    """What a sampler is told of a setting: the mean of its seeds."""
    found = [result for result in runs_of(sweep, number) if result.curve]
    failed = not found or any(result.state == FAILED for result in runs_of(sweep, number))
    epochs = min((result.epochs for result in found), default=0)
    curve = tuple(
        statistics.fmean(result.curve[epoch] for result in found) for epoch in range(epochs)
    )
    whole = len(found) == sweep.plan.seeds and all(r.state == FINISHED for r in found)
    return Judged(sweep.settings[number], curve, whole, failed)


def best(sweep: Sweep) -> int | None:
    """The setting with the highest mean held-out accuracy among those trained to the end with all
    seeds; the lower loss decides where two are equal. None where there is none."""
    whole = [
        number
        for number in range(len(sweep.settings))
        if len(runs := runs_of(sweep, number)) == sweep.plan.seeds
        and all(result.state == FINISHED for result in runs)
    ]

    def rank(number: int) -> tuple[float, float, int]:
        runs = runs_of(sweep, number)
        accuracy = statistics.fmean(result.val_acc or 0.0 for result in runs)
        losses = [math.inf if one.val_loss is None else one.val_loss for one in runs]
        return -accuracy, statistics.fmean(losses), number

    return min(whole, key=rank, default=None)


def look_at_the_test(sweep: Sweep, loaded: Dataset, threads: int | None = None) -> Tested | None:
    """The best setting's figures on the test part, read once: a second call returns the first's.

    None where no setting was trained to the end.
    """
    number = best(sweep)
    if sweep.tested is not None or number is None:
        return sweep.tested
    found = []
    for result in runs_of(sweep, number):
        name = Job(number, result.seed, {}, 0, {}).name
        network, parameters = load_model(sweep.folder / name)
        engine = engines.with_weights(network, parameters, threads, "cpu")
        found.append(evaluate_pieces(engine, loaded.test))
    tested = Tested(
        number,
        tuple(metrics.accuracy for metrics in found),
        tuple(metrics.loss for metrics in found),
    )
    sweep.set_tested(tested)
    return tested
