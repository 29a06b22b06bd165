"""Which settings a sweep tries next: a grid, drawn at random, or by one of Optuna's samplers.

What is drawn is a function of the plan and of the results of earlier generations, in their order:
how many processes ran them, and which was first to end, changes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lenet.installing import how_to_install
from lenet.sweeps.plan import GRID, MEDIAN, OPTUNA, Axis, Choices, Plan, Range, SweepError

if TYPE_CHECKING:
    import optuna

GENERATION: Final = 8  # settings that are drawn before any of them is judged
PATIENCE: Final = 200  # draws in a row that were there already: then there are no others


@dataclass(frozen=True)
class Judged:
    """What a sampler is told of a setting: its mean held-out accuracy by epoch."""

    values: Mapping[str, Any]
    curve: tuple[float, ...]
    whole: bool  # trained to the end
    failed: bool


def generation_size(plan: Plan) -> int:
    """How many settings are drawn at once."""
    waits = plan.sampler in OPTUNA or plan.prune == MEDIAN
    return GENERATION if waits else 10**9


def draw(plan: Plan, judged: Sequence[Judged], count: int) -> list[dict[str, Any]]:
    """The next settings, at most ``count``, after those that were judged; none at the end."""
    if plan.sampler in OPTUNA:
        count = min(count, plan.trials - len(judged))
        return _by_optuna(plan, judged, count) if count > 0 else []
    every = _grid(plan) if plan.sampler == GRID else _at_random(plan)
    return every[len(judged) : len(judged) + count]


def _grid(plan: Plan) -> list[dict[str, Any]]:
    values = [axis.values for axis in plan.vary.values() if isinstance(axis, Choices)]
    return [dict(zip(plan.vary, chosen, strict=True)) for chosen in itertools.product(*values)]


def _at_random(plan: Plan) -> list[dict[str, Any]]:
    """The settings that are drawn, none twice: fewer than asked for where there are no others."""
    random = np.random.default_rng((plan.sampler_seed, 0))
    found: dict[str, dict[str, Any]] = {}
    misses = 0
    while len(found) < plan.trials and misses < PATIENCE:
        values = {key: _one(axis, random) for key, axis in plan.vary.items()}
        misses = misses + 1 if repr(values) in found else 0
        found.setdefault(repr(values), values)
    return list(found.values())


def _one(axis: Axis, random: np.random.Generator) -> Any:
    if isinstance(axis, Choices):
        return axis.values[int(random.integers(len(axis.values)))]
    if axis.log:
        value = float(np.exp(random.uniform(np.log(axis.low), np.log(axis.high))))
    else:
        value = float(random.uniform(axis.low, axis.high))
    return _rounded(value, axis)


def _rounded(value: float, axis: Range) -> Any:
    """The number as a person writes it: four digits, inside the range."""
    if axis.whole:
        return round(min(max(value, axis.low), axis.high))
    return min(max(float(f"{value:.4g}"), axis.low), axis.high)


def _by_optuna(plan: Plan, judged: Sequence[Judged], count: int) -> list[dict[str, Any]]:
    """What a study proposes that was told of all earlier settings: asked, never run by it."""
    study, distributions = _study(plan, len(judged))
    for earlier in judged:
        study.add_trial(_told(plan, earlier, distributions))
    found = []
    for _ in range(count):
        params = study.ask(distributions).params
        found.append(
            {
                key: _rounded(float(params[key]), axis)
                if isinstance(axis, Range)
                else axis.values[params[key]]
                for key, axis in plan.vary.items()
            }
        )
    return found


def check_optuna(sampler: str) -> None:
    """Raise SweepError where a sampler of Optuna's is asked for and cannot run."""
    from importlib.util import find_spec

    needed = ("optuna", *(("torch", "scipy") if sampler == "gp" else ()))
    missing = [name for name in needed if find_spec(name) is None]
    if sampler in OPTUNA and missing:
        raise SweepError(
            f"--sampler {sampler} needs {' and '.join(missing)}: "
            f"{how_to_install('torch' if missing == ['torch'] else 'scale')}"
        )


def _study(plan: Plan, told: int) -> tuple[optuna.Study, dict[str, Any]]:
    import warnings

    import optuna
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    # one seed a generation: nothing random has to be kept between them
    seed = int(np.random.default_rng((plan.sampler_seed, 1, told)).integers(2**31))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler: optuna.samplers.BaseSampler
        if plan.sampler == "gp":
            sampler = optuna.samplers.GPSampler(seed=seed, n_startup_trials=GENERATION)
        else:
            # constant_liar: settings of one generation keep apart
            sampler = optuna.samplers.TPESampler(
                seed=seed, n_startup_trials=GENERATION, multivariate=True, constant_liar=True
            )
    distributions: dict[str, Any] = {}
    for key, axis in plan.vary.items():
        if isinstance(axis, Choices):
            distributions[key] = CategoricalDistribution(range(len(axis.values)))
        elif axis.whole:
            distributions[key] = IntDistribution(int(axis.low), int(axis.high), log=axis.log)
        else:
            distributions[key] = FloatDistribution(axis.low, axis.high, log=axis.log)
    return optuna.create_study(direction="maximize", sampler=sampler), distributions


def _told(
    plan: Plan, earlier: Judged, distributions: Mapping[str, Any]
) -> optuna.trial.FrozenTrial:
    import optuna
    from optuna.trial import TrialState

    state = TrialState.COMPLETE if earlier.whole else TrialState.PRUNED
    if earlier.failed or not earlier.curve:
        state = TrialState.FAIL
    params = {
        key: list(map(repr, axis.values)).index(repr(earlier.values[key]))
        if isinstance(axis, Choices)
        else earlier.values[key]
        for key, axis in plan.vary.items()
    }
    return optuna.trial.create_trial(
        params=params,
        distributions=dict(distributions),
        value=None if state == TrialState.FAIL else earlier.curve[-1],
        intermediate_values=dict(enumerate(earlier.curve, 1)),
        state=state,
    )
