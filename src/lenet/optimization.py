"""How a network is trained, as data: optimiser, schedule, objective, augmentation.

Only descriptions and the numbers that follow from them; the engines do the work.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real

import numpy as np
from numpy.typing import NDArray

from lenet.names import did_you_mean, known_as
from lenet.untrusted import shown


class SettingError(ValueError):
    """A value that no training can use; the message names it and says what is possible."""


METHODS = ("sgd", "adam", "adamw", "sdlm")
SCHEDULES = ("constant", "step", "cosine", "one-cycle", "listed")
SAMPLINGS = ("shuffled", "balanced")
BALANCED = "balanced"  # class weights: n / (classes · pictures of the class)

# What PyTorch's optimisers do when nobody says otherwise.
DEFAULT_LEARNING_RATE = {"sgd": 0.9, "adam": 0.001, "adamw": 0.001, "sdlm": 0.0005}  # 0.9: the
# tutorials'; 0.0005: where the 1998 paper begins
DEFAULT_WEIGHT_DECAY = {"sgd": 0.0, "adam": 0.0, "adamw": 0.01, "sdlm": 0.0}


def usual_learning_rate(method: str, *, sigmoids: bool) -> float:
    """Where to begin with this optimiser: the default, but 0.1 for SGD without sigmoids.

    A sigmoid passes at most a quarter of a gradient on; ReLU, which passes it whole, dies of 0.9.
    """
    return 0.1 if method == "sgd" and not sigmoids else DEFAULT_LEARNING_RATE[method]


@dataclass(frozen=True)
class Optimizer:
    """The rule of one step, with PyTorch's names and formulas.

    ``sdlm`` is the stochastic diagonal Levenberg–Marquardt method (LeCun et al. 1998, appendix C):
    SGD whose learning rate is divided, for each weight, by ``damping`` plus the loss's curvature
    along it, which is estimated anew before each epoch (``training.curvature``).

    ``average`` is the decay of an exponential moving average of the weights (0: none), which
    evaluation then uses; after t steps the decay in force is min(average, (1 + t) / (10 + t)),
    so that the random start does not linger in a short run.
    """

    method: str = "sgd"
    momentum: float = 0.0  # sgd
    nesterov: bool = False  # sgd
    weight_decay: float = 0.0  # adamw: decoupled from the gradient
    beta1: float = 0.9  # adam, adamw
    beta2: float = 0.999  # adam, adamw
    eps: float = 1e-8  # adam, adamw
    damping: float = 0.02  # sdlm: the paper's μ
    average: float = 0.0

    def __post_init__(self) -> None:
        _spell(self, "optimizer", "method", METHODS)
        for name in ("momentum", "beta1", "beta2", "average"):
            _check(f"optimizer.{name}", getattr(self, name), 0, 1, below=True)
        _check("optimizer.weight_decay", self.weight_decay, 0, math.inf)
        _check("optimizer.eps", self.eps, 0, math.inf, above=True)
        _check("optimizer.damping", self.damping, 0, math.inf, above=True)
        if self.nesterov and self.momentum == 0:
            raise SettingError("optimizer.nesterov needs optimizer.momentum above 0, such as 0.9")

    @property
    def moments(self) -> tuple[str, ...]:
        """What is kept for each parameter between steps, by PyTorch's names."""
        if self.method == "sgd":
            return ("momentum_buffer",) if self.momentum else ()
        if self.method == "sdlm":
            return ("curvature",)
        return ("exp_avg", "exp_avg_sq")

    def averaging_decay(self, step: int) -> float:
        """The share of the old average kept at step ``step``, the first being 1."""
        return min(self.average, (1 + step) / (10 + step))


@dataclass(frozen=True)
class Schedule:
    """The learning rate of every step.

    - ``constant``
    - ``step``: times ``gamma`` after every ``step_epochs`` epochs
    - ``cosine``: half a cosine down to ``final`` times the learning rate
    - ``one-cycle``: Smith's, as in PyTorch: from 1/25 up to the learning rate over 30% of the
      steps, then down to 1/250,000 of it
    - ``listed``: times the epoch's number in ``factors``, "1 x2, 0.4 x3, 0.1": two epochs at the
      learning rate, three at 0.4 of it, all others at a tenth (other kinds do not look there)

    ``warmup_epochs`` come before any of them but one-cycle, which has its own, and rise linearly.
    """

    kind: str = "constant"
    learning_rate: float = 0.9
    warmup_epochs: float = 0.0
    step_epochs: float = 10.0
    gamma: float = 0.1
    final: float = 0.0
    factors: str = ""

    def __post_init__(self) -> None:
        _spell(self, "schedule", "kind", SCHEDULES)
        _check("learning rate", self.learning_rate, 0, math.inf, above=True)
        _check("schedule.warmup_epochs", self.warmup_epochs, 0, math.inf)
        _check("schedule.step_epochs", self.step_epochs, 0, math.inf, above=True)
        _check("schedule.gamma", self.gamma, 0, 1, above=True)
        _check("schedule.final", self.final, 0, 1)
        if self.kind == "one-cycle" and self.warmup_epochs:
            raise SettingError(
                "schedule.warmup_epochs goes with constant, step and cosine; one-cycle has its own"
            )
        if self.factors or self.kind == "listed":
            parse_factors(self.factors)

    def learning_rates(self, steps_per_epoch: int, epochs: int) -> NDArray[np.float64]:
        """The learning rate of each step of a whole run, (steps_per_epoch * epochs,) float64."""
        total = steps_per_epoch * epochs
        step = np.arange(total, dtype=np.float64)
        if self.kind == "one-cycle":
            return self._one_cycle(step)
        warmup = min(self.warmup_epochs * steps_per_epoch, float(total))
        after = np.maximum(step - warmup, 0)
        match self.kind:
            case "step":
                shape = self.gamma ** np.floor(after / (self.step_epochs * steps_per_epoch))
            case "listed":
                factors = parse_factors(self.factors)
                epoch = (after // steps_per_epoch).astype(np.int64)
                shape = np.array(factors)[np.minimum(epoch, len(factors) - 1)]
            case "cosine":
                progress = after / max(total - warmup, 1)
                shape = self.final + (1 - self.final) * (1 + np.cos(np.pi * progress)) / 2
            case _:
                shape = np.ones(total)
        rising = step < warmup
        shape[rising] = (step[rising] + 1) / (warmup + 1)
        return self.learning_rate * shape

    def _one_cycle(self, step: NDArray[np.float64]) -> NDArray[np.float64]:
        highest, last = self.learning_rate, len(step) - 1
        turn = 0.3 * len(step) - 1  # a run of three steps or fewer has no rise, as in PyTorch
        rising = _cosine_between(highest / 25, highest, step / turn)
        falling = _cosine_between(highest, highest / 250_000, (step - turn) / (last - turn))
        return np.where(step <= turn, rising, falling)


LONGEST_LIST = 10_000  # epochs of a listed schedule


def parse_factors(text: object) -> list[float]:
    """The factor of each epoch that a listed schedule says.

    Raises SettingError, naming the part that is wrong.

    >>> parse_factors("1 x2, 0.4 x3, 0.1")
    [1.0, 1.0, 0.4, 0.4, 0.4, 0.1]
    """
    if not isinstance(text, str):
        raise SettingError(f"schedule.factors is {shown(text)}, must be text: {_FACTORS_ARE}")
    found: list[float] = []
    for part in text.split(","):
        number, several, times = part.lower().partition("x")
        try:
            factor, count = float(number), int(times) if several else 1
        except ValueError:
            raise SettingError(f"schedule.factors: {shown(part.strip())}: {_FACTORS_ARE}") from None
        _check("a factor in schedule.factors", factor, 0, math.inf, above=True)
        _check("a count in schedule.factors", count, 1, LONGEST_LIST - len(found), whole=True)
        found += [factor] * count
    return found


_FACTORS_ARE = 'write a number for each epoch, or for several, such as "1 x2, 0.4 x3, 0.1"'


def _cosine_between(start: float, end: float, progress: NDArray[np.float64]) -> NDArray[np.float64]:
    return end + (start - end) / 2 * (1 + np.cos(np.pi * progress))


@dataclass(frozen=True)
class Objective:
    """Cross-entropy of the softmax, its target spread over all classes by ``label_smoothing``.

    Evaluation always reports the plain cross-entropy, so that its figures can be compared.

    ``class_weights`` is one text: "" (all classes count alike), "balanced", "cat=2, dog=1" (every
    other class 1), or one number a class in their order, "1.5, 0.7, 1". Programs may give
    ``{"cat": 2}`` or ``[1.5, 0.7, 1]``. They act as ``weight`` of PyTorch's CrossEntropyLoss does,
    with label smoothing too: the loss of a batch is the weighted mean.

    ``rubbish_distance`` is j in equation 9 of LeCun et al. 1998: the softmax has one class more,
    "none of these", whose output is always -j. With the 1998 output layer, whose outputs are minus
    distances, that is the paper's loss: the distance to the right code, plus log(exp(-j) +
    Σ exp(-distance)), which pushes wrong codes away unless they are far already. 0: no such class.
    """

    label_smoothing: float = 0.0
    class_weights: str = ""
    rubbish_distance: float = 0.0

    def __post_init__(self) -> None:
        _check("objective.label_smoothing", self.label_smoothing, 0, 1, below=True)
        _check("objective.rubbish_distance", self.rubbish_distance, 0, math.inf)
        object.__setattr__(self, "class_weights", weights_text(self.class_weights))

    @property
    def rubbish_logit(self) -> float:
        """The output of the class that is none of the network's; minus infinity without one."""
        return -self.rubbish_distance if self.rubbish_distance else -math.inf

    @property
    def numbers(self) -> tuple[float, ...]:
        """The weight of each class in order; empty where all count alike.

        Raises SettingError for "balanced" and for names, which depend on the training pictures:
        ``lenet.training.weighting.resolved`` makes numbers of them.
        """
        if not self.class_weights:
            return ()
        named = parse_weights(self.class_weights)
        if isinstance(named, str) or any(name is not None for name, _ in named):
            raise SettingError(
                f"objective.class_weights is {shown(self.class_weights)}, which depends on the "
                "training pictures: give one number a class, or make numbers of it by "
                "lenet.training.weighting.resolved"
            )
        return tuple(number for _, number in named)


def weights_text(given: object) -> str:
    """Class weights as a recipe holds them, from the same text, a mapping or a list of numbers.

    Raises SettingError for what is none, with the part that is wrong.
    """
    if isinstance(given, Mapping):
        given = ", ".join(_weight_of(name, number) for name, number in given.items())
    elif isinstance(given, Iterable) and not isinstance(given, str | bytes):
        given = ", ".join(_weight_of(None, number) for number in given)
    if not isinstance(given, str):
        raise SettingError(f"objective.class_weights is {shown(given)}; {_WEIGHTS_ARE}")
    text = given.strip()
    if text:
        parse_weights(text)
    return BALANCED if text.lower() == BALANCED else text


def _weight_of(name: object, number: object) -> str:
    if isinstance(number, bool) or not isinstance(number, Real):
        of = "" if name is None else f" of {shown(name)}"
        raise SettingError(f"the class weight{of} is {shown(number)}, must be a number")
    if name is not None and {",", "="} & {*str(name)}:
        raise SettingError(
            f"the class {shown(name)} has a comma or = in its name: give the class weights as one "
            "number a class, in their order"
        )
    return repr(float(number)) if name is None else f"{name}={float(number)!r}"


_WEIGHTS_ARE = (
    "give balanced, or weights by name such as cat=2,dog=1, or one number a class in their order"
)


def parse_weights(text: str) -> str | list[tuple[str | None, float]]:
    """What a text of class weights says: "balanced", or (name or None, weight) of each part.

    Raises SettingError, naming the part.
    """
    if text.strip().lower() == BALANCED:
        return BALANCED
    found: list[tuple[str | None, float]] = []
    for part in text.split(","):
        name, equals, number = part.rpartition("=")
        try:
            weight = float(number)
        except ValueError:
            raise SettingError(
                f"objective.class_weights: {shown(part.strip())} is no weight; {_WEIGHTS_ARE}"
            ) from None
        whose = f"class weight of {name.strip()}" if equals else "class weight"
        _check(whose, weight, 0, math.inf)
        found.append((name.strip() if equals else None, weight))
    named = [name for name, _ in found if name is not None]
    if named and len(named) < len(found):
        raise SettingError(
            f"objective.class_weights is {shown(text)}: some parts have names and some have none; "
            f"{_WEIGHTS_ARE}"
        )
    if twice := {name for name in named if named.count(name) > 1}:
        raise SettingError(f"objective.class_weights names {sorted(twice)[0]!r} twice")
    if not any(weight for _, weight in found) and not named:
        raise SettingError("objective.class_weights are all 0: nothing would be learnt")
    return found


@dataclass(frozen=True)
class Augmentation:
    """Random changes to the training pictures, drawn anew each epoch.

    ``shift``: up to so many pixels in each direction, background moving in.
    ``flip``: mirrored left to right half of the time.
    ``rotate``: up to so many degrees to either side, about the middle.
    ``scale``: height and width each larger or smaller by up to this share.
    ``shear``: slanted by up to so many degrees to either side.
    ``elastic``: bent; the standard deviation, in pixels, of how far points move.
    ``erase``: painted over with one grey, a rectangle of up to this share of each side.
    """

    shift: int = 0
    flip: bool = False
    rotate: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    elastic: float = 0.0
    erase: float = 0.0

    def __post_init__(self) -> None:
        _check("augmentation.shift", self.shift, 0, 127, whole=True)
        _check("augmentation.rotate", self.rotate, 0, 90)
        _check("augmentation.scale", self.scale, 0, 1)
        _check("augmentation.shear", self.shear, 0, 60)
        _check("augmentation.elastic", self.elastic, 0, 100)
        _check("augmentation.erase", self.erase, 0, 1)

    @property
    def warps(self) -> bool:
        """Whether pixels are interpolated, not just moved."""
        return bool(self.rotate or self.scale or self.shear or self.elastic)


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when the loss on the held-out part has not fallen for ``patience`` epochs (0: never).

    The weights with the lowest such loss are the result.
    """

    patience: int = 0
    min_delta: float = 0.0  # a smaller fall than this counts as none

    def __post_init__(self) -> None:
        _check("early_stopping.patience", self.patience, 0, math.inf, whole=True)
        _check("early_stopping.min_delta", self.min_delta, 0, math.inf)


@dataclass(frozen=True)
class Settings:
    """All that decides a training besides the network, the data and the first weights."""

    epochs: int = 10
    batch_size: int = 256
    seed: int = 0
    sampling: str = "shuffled"  # each picture once an epoch; balanced: each class equally often
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule = field(default_factory=Schedule)
    objective: Objective = field(default_factory=Objective)
    augmentation: Augmentation = field(default_factory=Augmentation)
    early_stopping: EarlyStopping = field(default_factory=EarlyStopping)

    def __post_init__(self) -> None:
        _check("epochs", self.epochs, 1, 1_000_000, whole=True)
        _check("batch size", self.batch_size, 1, 2**31 - 1, whole=True)
        _check("seed", self.seed, 0, 2**32 - 1, whole=True)
        _spell(self, "", "sampling", SAMPLINGS)


def _spell(part: object, section: str, field: str, known: tuple[str, ...]) -> None:
    """Write a name as it is known, whatever the case it was typed in; SettingError for others."""
    value = getattr(part, field)
    found = known_as(value, known) if isinstance(value, str) else None
    if found is None:
        hint = did_you_mean(value, known).strip() if isinstance(value, str) else ""
        name = f"{section}.{field}" if section else field
        raise SettingError(
            f"{name} is {shown(value)}, must be one of {', '.join(known)}"
            + (f"; {hint}" if hint else "")
        )
    object.__setattr__(part, field, found)


def _check(
    name: str,
    value: float,
    low: float,
    high: float,
    *,
    above: bool = False,
    below: bool = False,
    whole: bool = False,
) -> None:
    """Refuse a number outside low … high; ``above`` and ``below`` exclude the ends.

    Recipes come from people: text, true and false, and fractions where ``whole`` are refused too.
    """
    kind = Integral if whole else Real
    if not isinstance(value, kind) or isinstance(value, bool):
        raise SettingError(f"{name} is {shown(value)}, must be a {'whole ' if whole else ''}number")
    inside = (value > low if above else value >= low) and (value < high if below else value <= high)
    if inside and _is_finite(value):
        return
    least = f"above {low:g}" if above else f"at least {low:g}"
    most = "finite" if math.isinf(high) else f"{'below' if below else 'at most'} {high:.10g}"
    raise SettingError(f"{name} is {shown(value)}, must be {least} and {most}")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float can hold
        return False
