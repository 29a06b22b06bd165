"""Training: fit() is the whole job on one screen; what it needs stands below it.

Everything that the next step depends on is in a Checkpoint: weights and moments in the engine's
state, the place in the data and the running sums in Progress. Order and augmentation are drawn
from (seed, epoch), so that nothing random has to be saved (docs/randomness.md).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from lenet.data import Split, mapped
from lenet.engines import Batches, Engine, Metrics, Position
from lenet.network.parameters import Parameters, State
from lenet.optimization import BALANCED, Settings
from lenet.training.augmentation import draw_changes
from lenet.training.curvature import with_curvature
from lenet.training.weighting import balanced_order

READINGS_PER_EPOCH = 5  # as often as the tutorials plot
STRETCH_S = 0.1  # how long an engine trains before it is asked whether to stop


TRY_SMALLER = "Try a smaller learning rate"  # what every TrainingError of a loss without end says


class TrainingError(RuntimeError):
    """Training that cannot go on; the message says at which step, and what to try."""


@dataclass(frozen=True)
class Parts:
    """The pictures to learn from, those held out to choose by, and those only measured."""

    train: Split
    val: Split | None
    test: Split | None


@dataclass(frozen=True)
class Progress:
    """How far a training has come, and the sums that the next reading needs."""

    epoch: int = 0  # from 0
    sample: int = 0  # pictures of this epoch that were trained on
    loss_sum: float = 0.0  # over these pictures
    correct: int = 0  # among these pictures
    examples_seen: int = 0  # in all epochs
    wall_s: float = 0.0
    train_s: float = 0.0  # without evaluation: what examples/s divides by
    lowest_val_loss: float = math.inf
    epochs_since_lowest: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """All that the rest of a training depends on."""

    state: State
    progress: Progress = field(default_factory=Progress)
    best: Parameters | None = None  # early stopping: the weights with the lowest val_loss


@dataclass(frozen=True)
class Reading:
    """One row of the history; None where nothing was measured. Names as in history.csv."""

    epoch: float  # 1.0 after the first
    step: int
    examples_seen: int
    train_loss: float  # mean over this epoch so far, as the tutorials plot it
    train_acc: float
    val_loss: float | None
    val_acc: float | None
    test_loss: float | None
    test_acc: float | None
    wall_s: float
    examples_per_s: float  # of training alone, since the reading before


@dataclass(frozen=True)
class Callbacks:
    """Functions that fit() calls; None for those that nobody needs."""

    on_stretch: Callable[[Progress], None] | None = None  # about ten times a second
    on_reading: Callable[[Reading], None] | None = None  # five times an epoch
    on_remark: Callable[[str], None] | None = None  # a plateau, early stopping: one line each
    on_checkpoint: Callable[[Checkpoint], None] | None = None  # every epoch, and when stopped


@dataclass(frozen=True)
class Outcome:
    """What fit() leaves: every reading of this call, and the last checkpoint."""

    history: list[Reading]
    checkpoint: Checkpoint
    finished: bool  # False: stopped from outside; a checkpoint to go on from exists

    @property
    def weights(self) -> Parameters:
        """The result: the best ones where early stopping kept them, else the last."""
        return self.checkpoint.best or self.checkpoint.state.weights

    @property
    def examples_per_s(self) -> float:
        """Training speed over the whole run, evaluation not counted."""
        progress = self.checkpoint.progress
        return progress.examples_seen / max(progress.train_s, 1e-9)


def fit(
    engine: Engine,
    parts: Parts,
    settings: Settings,
    start: Checkpoint,
    callbacks: Sequence[Callbacks] = (),
    stop: Callable[[], bool] = lambda: False,
    largest: Callable[[float], float] = float,
) -> Outcome:
    """Train from ``start`` to the last epoch, or until ``stop()`` says so.

    Where several processes train together, ``largest`` is the largest of their numbers: what
    depends on time must be the same in all of them. Two calls that stop and go on give the same
    weights and readings, bit for bit, as one call that does not, wherever they stop. Raises
    TrainingError when a loss is not finite.
    """
    engine.load(start.state)
    progress, best = start.progress, start.best
    rates = settings.schedule.learning_rates(
        steps_per_epoch(settings, parts.train), settings.epochs
    )
    history: list[Reading] = []
    told_epoch = -math.inf
    saved = start
    in_file = mapped.is_mapped(parts.train.images)
    height, width = parts.train.images.shape[2:]
    drawn = None

    while not finished(progress, settings) and not stop():
        if drawn is None or progress.sample == 0:
            drawn = draw_epoch(
                settings, parts.train.labels, progress.epoch, (height, width), in_file
            )
            if progress.sample == 0 and settings.optimizer.method == "sdlm":
                engine.load(with_curvature(engine, parts.train, settings, progress.epoch))
        before = progress
        for now in train_to_next_reading(
            engine, parts.train, settings, rates, progress, drawn, largest
        ):
            progress = now
            call(callbacks, "on_stretch", progress)
            if stop():
                break
        if progress.sample not in reading_points(settings, parts.train):
            break  # stopped between two readings

        started = time.perf_counter()
        val = test = None
        if progress.sample == len(parts.train):
            val, test = (measure(engine, split, progress) for split in (parts.val, parts.test))
            progress, best, farewell = choose_best(settings, progress, val, engine, best)
            if farewell:
                call(callbacks, "on_remark", farewell)
        progress = replace(progress, wall_s=progress.wall_s + time.perf_counter() - started)
        reading = read(settings, parts, before, progress, val, test)
        history.append(reading)
        call(callbacks, "on_reading", reading)

        if progress.sample == len(parts.train):
            if progress.epoch > told_epoch + 4:  # a plateau, at most every five epochs
                from lenet.training.diagnosis import diagnose  # takes a while to load

                remark = diagnose(engine, parts.train, settings, rates, history, start.state)
                if remark:
                    told_epoch = progress.epoch
                    call(callbacks, "on_remark", remark)
            progress = replace(
                progress, epoch=progress.epoch + 1, sample=0, loss_sum=0.0, correct=0
            )
            saved = Checkpoint(engine.state(), progress, best)
            call(callbacks, "on_checkpoint", saved)

    if saved.progress != progress:  # stopped inside an epoch
        saved = Checkpoint(engine.state(), progress, best)
        call(callbacks, "on_checkpoint", saved)
    return Outcome(history, saved, finished(progress, settings))


# --- the parts of an epoch ---------------------------------------------------------------------


def steps_per_epoch(settings: Settings, train: Split) -> int:
    """How many batches the training pictures make; the last may be short."""
    return math.ceil(len(train) / settings.batch_size)


def reading_batches(batches: int) -> list[int]:
    """After which of an epoch's batches a reading is taken: where the tutorials plot.

    Every (batches // 5)-th batch and the last; every batch where there are fewer than five.
    """
    every = max(1, batches // READINGS_PER_EPOCH)
    return sorted({*range(every, batches + 1, every), batches})


def reading_points(settings: Settings, train: Split) -> list[int]:
    """After how many pictures of an epoch a reading is taken."""
    batches = reading_batches(steps_per_epoch(settings, train))
    return [min(batch * settings.batch_size, len(train)) for batch in batches]


Drawn = tuple[NDArray[np.int64], NDArray[np.int16] | None]  # order (n,), augmentation (n, …)


def draw_epoch(
    settings: Settings,
    labels: NDArray[np.int64],
    epoch: int,
    size: tuple[int, int],
    in_blocks: bool = False,
) -> Drawn:
    """The order of an epoch's pictures (n,), and how each is changed (n, 3 or more) or None.

    ``size`` is their height and width. ``in_blocks`` is for pictures that stay in their file
    (``mapped.epoch_order``).
    """
    random = np.random.default_rng((settings.seed, epoch + 1))
    examples = len(labels)
    if settings.sampling == BALANCED:
        order = balanced_order(random, labels)
    elif in_blocks:
        order = mapped.epoch_order(random, examples)
    else:
        order = random.permutation(examples)
    return order, draw_changes(random, settings.augmentation, examples, size)


def train_to_next_reading(
    engine: Engine,
    train: Split,
    settings: Settings,
    rates: NDArray[np.float64],
    progress: Progress,
    drawn: Drawn,
    largest: Callable[[float], float] = float,
) -> Iterator[Progress]:
    """The progress after each stretch of about ``STRETCH_S``, up to the next reading point.

    ``drawn`` is what ``draw_epoch`` gives for the epoch; ``largest`` is as in ``fit``.
    """
    point = next(p for p in reading_points(settings, train) if p > progress.sample)
    order, table = drawn
    first_step = progress.epoch * steps_per_epoch(settings, train)
    size, steps = settings.batch_size, 1
    with mapped.stretches(train, order, size) as stretch:
        while progress.sample < point:
            started = time.perf_counter()
            stop = min(progress.sample + steps * size, point)
            pictures, rows = stretch(progress.sample, stop)
            part = slice(progress.sample, progress.sample + len(rows))
            step = first_step + progress.sample // size
            metrics = engine.train(
                pictures,
                Batches(
                    order=rows,
                    batch_size=size,
                    learning_rates=rates[step : step + math.ceil(len(rows) / size)],
                    augmentation=None if table is None else table[part],
                    position=Position(settings.seed, progress.epoch, progress.sample),
                    weights=None if train.weights is None else train.weights[order[part]],
                ),
            )
            check_finite(metrics, step, rates)
            elapsed = largest(time.perf_counter() - started)
            progress = advanced(progress, metrics, elapsed)
            steps = max(1, int(STRETCH_S / elapsed * len(metrics.losses)))
            yield progress


def advanced(progress: Progress, metrics: Metrics, elapsed: float) -> Progress:
    """The progress after a stretch that took so many seconds."""
    loss_sum = progress.loss_sum
    for loss in metrics.losses:  # one by one: the sum must not depend on the stretches
        loss_sum += float(loss)
    return replace(
        progress,
        sample=progress.sample + metrics.examples,
        loss_sum=loss_sum,
        correct=progress.correct + metrics.correct,
        examples_seen=progress.examples_seen + metrics.examples,
        wall_s=progress.wall_s + elapsed,
        train_s=progress.train_s + elapsed,
    )


def check_finite(metrics: Metrics, first_step: int, rates: NDArray[np.float64]) -> None:
    """Raise TrainingError naming the first step whose loss is NaN or infinite."""
    bad = np.flatnonzero(~np.isfinite(metrics.losses))
    if len(bad):
        step = first_step + int(bad[0])
        raise TrainingError(
            f"the loss of step {step + 1} is {metrics.losses[bad[0]]:g}: the weights grew beyond "
            f"what numbers hold. {TRY_SMALLER} than {rates[step]:g}"
        )


def measure(engine: Engine, split: Split | None, progress: Progress) -> Metrics | None:
    """What the network makes of a split; TrainingError where that is no number."""
    if split is None:
        return None
    metrics = evaluate_pieces(engine, split)
    if not math.isfinite(metrics.loss):
        raise TrainingError(
            f"after epoch {progress.epoch + 1} the loss on {split.identity} is {metrics.loss:g}. "
            f"{TRY_SMALLER}"
        )
    return metrics


def evaluate_pieces(engine: Engine, split: Split) -> Metrics:
    """What the network makes of a split, a piece at a time where it is larger than memory."""
    found = [engine.evaluate(piece) for piece in mapped.pieces(split)]
    if len(found) == 1:
        return found[0]
    confusions = [metrics.confusion for metrics in found if metrics.confusion is not None]
    return Metrics(
        np.concatenate([metrics.losses for metrics in found]),
        sum(metrics.correct for metrics in found),
        sum(metrics.examples for metrics in found),
        np.sum(confusions, axis=0) if len(confusions) == len(found) else None,
    )


def read(
    settings: Settings,
    parts: Parts,
    before: Progress,
    now: Progress,
    val: Metrics | None,
    test: Metrics | None,
) -> Reading:
    """The reading at ``now``, the one before it having been at ``before``."""
    steps = steps_per_epoch(settings, parts.train)
    step_in_epoch = math.ceil(now.sample / settings.batch_size)
    return Reading(
        epoch=now.epoch + step_in_epoch / steps,
        step=now.epoch * steps + step_in_epoch,
        examples_seen=now.examples_seen,
        train_loss=now.loss_sum / now.sample,
        train_acc=now.correct / now.sample,
        val_loss=val.loss if val else None,
        val_acc=val.accuracy if val else None,
        test_loss=test.loss if test else None,
        test_acc=test.accuracy if test else None,
        wall_s=now.wall_s,
        examples_per_s=(now.examples_seen - before.examples_seen)
        / max(now.train_s - before.train_s, 1e-9),
    )


# --- early stopping ----------------------------------------------------------------------------


def finished(progress: Progress, settings: Settings) -> bool:
    """Whether the last epoch is over, or early stopping has lost its patience."""
    patience = settings.early_stopping.patience
    return progress.epoch >= settings.epochs or (
        patience > 0 and progress.epochs_since_lowest >= patience
    )


def choose_best(
    settings: Settings,
    progress: Progress,
    val: Metrics | None,
    engine: Engine,
    best: Parameters | None,
) -> tuple[Progress, Parameters | None, str]:
    """Progress and best weights after an epoch's ``val``, and a remark where patience ends."""
    stopping = settings.early_stopping
    if not stopping.patience:
        return progress, best, ""
    if val is None:
        raise TrainingError(
            f"early stopping (patience {stopping.patience}) needs a held-out part: add --val 0.1"
        )
    if val.loss < progress.lowest_val_loss - stopping.min_delta:
        progress = replace(progress, lowest_val_loss=val.loss, epochs_since_lowest=0)
        return progress, engine.state().weights, ""
    progress = replace(progress, epochs_since_lowest=progress.epochs_since_lowest + 1)
    if progress.epochs_since_lowest < stopping.patience:
        return progress, best, ""
    return (
        progress,
        best,
        f"stopped early: val_loss has not fallen for {stopping.patience} epochs; kept the weights "
        f"of epoch {progress.epoch + 1 - stopping.patience} ({progress.lowest_val_loss:.4f})",
    )


def call(callbacks: Sequence[Callbacks], name: str, argument: object) -> None:
    """Call the function of this name of each that has it."""
    for callback in callbacks:
        function = getattr(callback, name)
        if function is not None:
            function(argument)
