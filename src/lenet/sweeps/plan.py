"""What a sweep tries: a recipe, the keys that vary, how settings are drawn, seeds, pruning.

A plan is data. It comes from a command line or from a recipe's TOML file with two sections more,
``[vary]`` and ``[sweep]``, and lies in the sweep's folder as JSON.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from lenet.files import FileError, read_bounded
from lenet.names import did_you_mean, known_as
from lenet.sweeps.settings import FACTORS, levels
from lenet.training import recipes
from lenet.training.recipes import Recipe
from lenet.untrusted import UntrustedError, from_toml, shown

GRID: Final = "grid"
OPTUNA: Final = ("tpe", "gp")
SAMPLERS: Final = (GRID, "random", *OPTUNA)
HALVING: Final = "halving"
MEDIAN: Final = "median"
PRUNERS: Final = ("none", HALVING, MEDIAN)
MOST_RUNS: Final = 10_000
MOST_VALUES: Final = 1_000  # of one key
MOST_KEYS: Final = 20
MOST_SEEDS: Final = 1_000
VAL_SHARE: Final = 0.1  # held out where the recipe holds nothing out
# What cannot differ between settings that are compared, and what to do instead.
_NOT_VARIED: Final = {
    "seed": "repeat each setting with --seeds N",
    "val": "settings are compared on what is held out, so it must be the same for all (--val X)",
    "data": "results on different pictures cannot be compared: make a sweep of each",
    "title": "it changes nothing",
    "layers": "vary network, activation or pooling",
}


class SweepError(ValueError):
    """A sweep that cannot be; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class Choices:
    """Values to choose from."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Range:
    """Numbers between two ends; ``log``: each tenfold is as likely as the next."""

    low: float
    high: float
    log: bool = False
    whole: bool = False


Axis = Choices | Range


@dataclass(frozen=True)
class Plan:
    """All that decides which runs a sweep makes, and in which order."""

    recipe: Recipe
    vary: Mapping[str, Axis]
    sampler: str = GRID
    trials: int = 0  # settings to draw; of a grid there are as many as there are
    seeds: int = 1
    prune: str = "none"
    factor: int = 3  # halving keeps one setting in so many
    least: int = 1  # epochs before a setting is given up
    sampler_seed: int = 0
    rate_chosen: bool = False  # the learning rate is somebody's choice, for every setting
    question: str = ""  # of an ablation: what the report says first

    def __post_init__(self) -> None:
        _check(self)

    @property
    def epochs(self) -> int:
        """Of a run that is not given up; where epochs vary, the most."""
        axis = self.vary.get("epochs")
        if isinstance(axis, Choices):
            return int(max(axis.values))
        return int(axis.high) if axis else self.recipe.settings.epochs

    @property
    def run_seeds(self) -> range:
        """The seeds that each setting is trained with."""
        first = self.recipe.settings.seed
        return range(first, first + self.seeds)


def _check(plan: Plan) -> None:
    if not plan.vary:
        raise SweepError(
            "nothing varies: give --vary KEY=VALUES, such as --vary "
            "schedule.learning_rate=0.01,0.1 (or [vary] in a .toml file)"
        )
    if len(plan.vary) > MOST_KEYS:
        raise SweepError(f"{len(plan.vary)} keys vary; at most {MOST_KEYS} can")
    _one_of("sampler", plan.sampler, SAMPLERS)
    _one_of("prune", plan.prune, PRUNERS)
    for name, low, high in (
        ("seeds", 1, MOST_SEEDS),
        ("factor", 2, 100),
        ("least", 1, 1_000_000),
        ("trials", 0, MOST_RUNS),
        ("sampler_seed", 0, 2**31),
    ):
        value = getattr(plan, name)
        if type(value) is not int or not low <= value <= high:
            raise SweepError(
                f"{name} is {shown(value)}, must be a whole number from {low} to {high:,}"
            )
    ranges = [key for key, axis in plan.vary.items() if isinstance(axis, Range)]
    if plan.sampler == GRID:
        if ranges:
            raise SweepError(
                f"{ranges[0]} is a range, and a grid needs values: write them with commas, or add "
                "--sampler random or tpe"
            )
        if plan.trials:
            raise SweepError("a grid tries every setting; --trials goes with --sampler random, tpe")
    elif not plan.trials:
        raise SweepError(f"--sampler {plan.sampler} needs --trials N: how many settings to draw")
    if plan.prune != "none" and "epochs" in plan.vary:
        raise SweepError("settings of different length cannot be pruned: leave out one of the two")
    runs = (plan.trials or grid_size(plan.vary)) * plan.seeds
    if runs > MOST_RUNS:
        raise SweepError(f"that makes {runs:,} runs; at most {MOST_RUNS:,} are made in one sweep")


def grid_size(vary: Mapping[str, Axis]) -> int:
    """How many settings a grid of these choices has."""
    return math.prod(len(axis.values) for axis in vary.values() if isinstance(axis, Choices))


def rungs(plan: Plan) -> list[int]:
    """The epochs at which settings are given up, all in the first half, and the last one of all.

    >>> from lenet.training import recipes
    >>> rungs(Plan(recipes.load("d2l"), {"batch_size": Choices((64,))}, prune="halving", least=2))
    [2, 10]
    """
    if plan.prune != HALVING:
        return [plan.epochs]
    found, epochs = [], plan.least
    while 2 * epochs <= plan.epochs:
        found.append(epochs)
        epochs *= plan.factor
    return [*found, plan.epochs]


# --- from a command line or a file -------------------------------------------------------------


def parse_axis(text: str, recipe: Recipe) -> tuple[str, Axis]:
    """The key and values of ``KEY=a,b,c``, ``KEY=low..high`` or ``KEY=low..high:log``.

    Raises SweepError, RecipeError or SettingError, naming the key and the value.
    """
    key, equals, written = text.partition("=")
    key, written = key.strip(), written.strip()
    if not equals or not key or not written:
        raise SweepError(
            f"--vary {shown(text)}: write KEY=a,b,c or KEY=low..high or KEY=low..high:log"
        )
    low, dots, high = written.partition("..")
    if not dots:
        return axis_of(key, [_value(part.strip()) for part in written.split(",")], recipe)
    high, colon, kind = high.partition(":")
    if colon and kind.strip() != "log":
        raise SweepError(f"--vary {shown(text)}: after the colon only log can stand")
    ends = {"low": _value(low.strip()), "high": _value(high.strip()), "log": bool(colon)}
    return axis_of(key, ends, recipe)


def _value(text: str) -> Any:
    return recipes.parse_assignment(f"value={text}")[1]


def axis_of(key: str, given: Any, recipe: Recipe) -> tuple[str, Axis]:
    """The key as it is spelled, and its values: a list, or a table with low and high.

    Raises SweepError, RecipeError or SettingError where no recipe can have them.
    """
    known = [*FACTORS, *recipes.keys()]
    if (found := known_as(key, known)) is None:
        hint = did_you_mean(key, known)
        possible = ", ".join(name for name in known if name not in _NOT_VARIED)
        raise SweepError(f"{shown(key)} cannot vary; {hint}choose from {possible}")
    key = found
    if why := _NOT_VARIED.get(key):
        raise SweepError(f"{key} cannot vary: {why}")
    if isinstance(given, dict):
        return key, _range(key, given, recipe)
    if not isinstance(given, list | tuple) or not given:
        raise SweepError(f"{key} is {shown(given)}; give a list of values, or low and high")
    if len(given) > MOST_VALUES:
        raise SweepError(f"{key} has {len(given):,} values; at most {MOST_VALUES:,} are tried")
    values = tuple(levels(key, given)) if key in FACTORS else tuple(given)
    if key not in FACTORS:
        for value in values:
            recipes.change(recipe, key, value)
    if len(set(map(repr, values))) < len(values):
        raise SweepError(f"{key} has a value twice: {', '.join(map(shown, given))}")
    return key, Choices(values)


def _range(key: str, given: Mapping[str, Any], recipe: Recipe) -> Range:
    if unknown := given.keys() - {"low", "high", "log", "whole"}:
        raise SweepError(f"{key}: unknown key {shown(sorted(unknown)[0])}; low, high and log are")
    ends = given.get("low"), given.get("high")
    if any(isinstance(end, bool) or not isinstance(end, int | float) for end in ends):
        raise SweepError(f"{key} goes from {shown(ends[0])} to {shown(ends[1])}; give two numbers")
    low, high = float(given["low"]), float(given["high"])
    log = given.get("log", False)
    now = _current(recipe, key)
    if key in FACTORS or isinstance(now, bool) or not isinstance(now, int | float):
        raise SweepError(f"{key} is no number: give its values with commas")
    if not isinstance(log, bool) or not -math.inf < low < high < math.inf or (log and low <= 0):
        raise SweepError(
            f"{key} goes from {low:g} to {high:g}: low must be below high"
            + (", and above 0 with log" if log else "")
        )
    whole = isinstance(now, int)
    if whole and not (low.is_integer() and high.is_integer()):
        raise SweepError(f"{key} takes whole numbers, and goes from {low:g} to {high:g}")
    for end in (low, high):
        recipes.change(recipe, key, int(end) if whole else end)
    return Range(low, high, log, whole)


def _current(recipe: Recipe, key: str) -> Any:
    value: Any = recipes.to_dict(recipe)
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


@dataclass(frozen=True)
class File:
    """What a sweep's TOML file holds."""

    recipe: Recipe
    vary: Mapping[str, Any]  # as written, by dotted key
    options: Mapping[str, Any] = field(default_factory=dict)
    chosen: frozenset[str] = frozenset()  # the keys of the recipe that it gives


OPTIONS: Final = ("sampler", "trials", "seeds", "prune", "factor", "least", "sampler_seed")


def read_file(path: str | os.PathLike[str]) -> File | None:
    """What a TOML file says of a sweep; None where it is a recipe alone.

    ``recipe`` in it names the recipe that it changes. Raises SweepError, RecipeError or
    SettingError.
    """
    path = Path(path)
    try:
        values = from_toml(read_bounded(path, recipes.LARGEST, links=True))
    except (FileError, UntrustedError) as error:
        raise SweepError(f"{path}: {error}") from None
    if not {"vary", "sweep"} & values.keys():
        return None
    vary, options, base = values.pop("vary", {}), values.pop("sweep", {}), values.pop("recipe", "")
    if not isinstance(vary, dict) or not isinstance(options, dict) or not isinstance(base, str):
        raise SweepError(f"{path}: [vary] and [sweep] must be sections, and recipe a name")
    if unknown := options.keys() - set(OPTIONS):
        raise SweepError(
            f"{path}: [sweep] has an unknown key {shown(sorted(unknown)[0])}; choose from "
            f"{', '.join(OPTIONS)}"
        )
    changes = _flat(values)
    if base:
        recipe = recipes.load(base, changes)
    else:
        recipe = recipes.from_dict({"name": path.stem, **values})
    return File(recipe, _flat(vary, ends=True), options, frozenset(changes))


def _flat(values: Mapping[str, Any], ends: bool = False) -> dict[str, Any]:
    """The values of sections by dotted keys; with ``ends`` a table with low and high is a value."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and not (ends and "low" in value):
            found |= {f"{key}.{inner}": one for inner, one in value.items()}
        else:
            found[key] = value
    return found


def held_out(recipe: Recipe, brings_val: bool) -> Recipe:
    """The recipe with pictures to choose by: a tenth where it and the data hold none out."""
    if brings_val:
        return replace(recipe, val=0.0)
    return recipe if recipe.val else replace(recipe, val=VAL_SHARE)


# --- as plain values ---------------------------------------------------------------------------


def to_dict(plan: Plan) -> dict[str, Any]:
    """The plan as plain values; ``from_dict`` reads it back."""
    vary = {
        key: list(axis.values) if isinstance(axis, Choices) else asdict(axis)
        for key, axis in plan.vary.items()
    }
    rest = {name: getattr(plan, name) for name in (*OPTIONS, "rate_chosen", "question")}
    return {"recipe": recipes.to_dict(plan.recipe), "vary": vary, **rest}


def from_dict(values: Any) -> Plan:
    """The plan of a sweep.json. Raises a ValueError where it is none."""
    if not isinstance(values, dict):
        raise SweepError(f"the plan is {shown(values)}, must be an object")
    given, vary = values.get("recipe"), values.get("vary")
    if not isinstance(given, dict) or not isinstance(vary, dict):
        raise SweepError("recipe and vary must be objects")
    recipe = recipes.from_dict(given)
    axes = dict(axis_of(key, one, recipe) for key, one in vary.items())
    rest = {name: values[name] for name in OPTIONS if name in values}
    chosen, question = values.get("rate_chosen", False), values.get("question", "")
    if not isinstance(chosen, bool) or not isinstance(question, str) or len(question) > 1000:
        raise SweepError("rate_chosen must be true or false, and question a short text")
    return Plan(recipe, axes, rate_chosen=chosen, question=question, **rest)


def _one_of(name: str, value: object, known: Sequence[str]) -> None:
    if value not in known:
        hint = did_you_mean(value, known)
        raise SweepError(f"{name} is {shown(value)}; {hint}choose from {', '.join(known)}")


def axes_of(given: Sequence[str], recipe: Recipe) -> dict[str, Axis]:
    """The axes of several ``--vary``. Raises SweepError for a key that is there twice."""
    found: dict[str, Axis] = {}
    for text in given:
        key, axis = parse_axis(text, recipe)
        if key in found:
            raise SweepError(f"--vary {key} is given twice: write all its values in one")
        found[key] = axis
    return found
