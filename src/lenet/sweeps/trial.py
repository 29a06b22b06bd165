"""One run of a sweep: trained into an ordinary run's folder, up to an epoch, as part of its recipe.

A run that is stopped goes on from its checkpoint: given up for now by pruning, by a kill, by
Ctrl-C. Its result is read from the folder, so that nothing depends on how often it was stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from lenet.data import Dataset
from lenet.files import discard
from lenet.runs import checkpoints, experiments
from lenet.runs.record import RunError, RunRecord, is_held
from lenet.runs.record import read as read_run
from lenet.training import Callbacks, Reading, recipes
from lenet.untrusted import plain, shown

FINISHED: Final = "finished"  # to its last epoch, or early stopping has ended it
REACHED: Final = "reached"  # the epoch it was asked for, of more
PRUNED: Final = "pruned"  # below the median of earlier settings
FAILED: Final = "failed"
STOPPED: Final = "stopped"  # by Ctrl-C: no result
BROKEN: Final = "broken"  # the disk or the machine: other runs would fail, too
STATES: Final = (FINISHED, REACHED, PRUNED, FAILED)  # that are results
LONGEST_MESSAGE: Final = 1_000
MOST_EPOCHS: Final = 1_000_000
HELD_S: Final = 30.0  # a process whose sweep was killed lets go of its run within a second


@dataclass(frozen=True)
class Job:
    """What a process is to do."""

    setting: int  # from 0
    seed: int
    recipe: Mapping[str, Any]
    epochs: int  # train up to here
    thresholds: Mapping[int, float]  # epoch -> the held-out accuracy to be reached by then
    engine: str = "auto"
    device: str = "auto"
    threads: int = 1

    @property
    def name(self) -> str:
        """The run's folder in the sweep's."""
        return f"{self.setting:04}-seed{self.seed}"


@dataclass(frozen=True)
class Result:
    """How far a run came and what it reached; accuracies and losses of its judged epoch."""

    setting: int
    seed: int
    state: str
    epochs: int = 0
    curve: tuple[float, ...] = ()  # val_acc by epoch
    val_acc: float | None = None
    val_loss: float | None = None
    train_loss: float | None = None
    wall_s: float = 0.0
    message: str = ""


def to_dict(result: Result) -> dict[str, Any]:
    """The result as plain values."""
    return {**asdict(result), "curve": list(result.curve)}


def result_from(values: Any) -> Result:
    """The result that ``to_dict`` wrote. Raises ValueError for what none can be."""
    if not isinstance(values, dict):
        raise ValueError(f"{shown(values)} is no result")
    kinds = {field: type(value) for field, value in asdict(Result(0, 0, "")).items()}
    if values.keys() != kinds.keys():
        raise ValueError(f"a result has {', '.join(kinds)}")
    for name in ("setting", "seed", "epochs"):
        if type(values[name]) is not int or not 0 <= values[name] <= 2**63 - 1:
            raise ValueError(f"{name} is {shown(values[name])}")
    numbers = [values[name] for name in ("val_acc", "val_loss", "train_loss") if name in values]
    curve = values["curve"]
    if not isinstance(curve, list) or len(curve) > MOST_EPOCHS:
        raise ValueError(f"curve is {shown(curve)}")
    for value in (*(one for one in numbers if one is not None), *curve, values["wall_s"]):
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise ValueError(f"{shown(value)} is no finite number")
    if values["state"] not in STATES or not isinstance(values["message"], str):
        raise ValueError(f"state is {shown(values['state'])}")
    if values["state"] in (FINISHED, REACHED) and (values["val_acc"] is None or not curve):
        raise ValueError("a run that was trained has a held-out accuracy")
    message = plain(values["message"], LONGEST_MESSAGE)
    return Result(**{**values, "curve": tuple(map(float, curve)), "message": message})


Load = Callable[[str], Dataset]  # by the recipe's name for it


def run_trial(
    job: Job,
    root: Path,
    load: Load,
    stop: Callable[[], bool] = lambda: False,
    tell: Callable[[float, float | None], None] = lambda epoch, val_acc: None,
) -> Result:
    """The job's result, its run lying in ``root``; begun, gone on with, or found there.

    ``tell`` is called with the epoch and the last held-out accuracy. Never raises an Exception: a
    run that fails is a result.
    """
    try:
        return _run(job, root / job.name, load, stop, tell)
    except OSError as error:
        return _ended(job, BROKEN, f"{error.filename or ''}: {error.strerror or error}".strip(": "))
    except MemoryError:
        return _ended(job, FAILED, "there was not enough memory")
    except Exception as error:
        return _ended(job, FAILED, str(error) or type(error).__name__)


def _ended(job: Job, state: str, message: str) -> Result:
    return Result(job.setting, job.seed, state, message=plain(message, LONGEST_MESSAGE))


def _run(
    job: Job,
    folder: Path,
    load: Load,
    stop: Callable[[], bool],
    tell: Callable[[float, float | None], None],
) -> Result:
    recipe = recipes.from_dict(job.recipe)
    if folder.is_symlink():
        raise RunError(f"{folder} is a link, which may lead elsewhere: remove it")
    if _is_run(folder):
        _wait_until_free(folder, stop)
        if is_held(folder, unknown=False):
            return _ended(job, BROKEN, f"{folder} is in use: another process trains into it")
        record = _same(folder, recipe)
        if result := result_of(job, record):
            return result
        experiment = experiments.go_on(
            record, data=load(recipe.data), threads=job.threads, curves=False
        )
    else:
        experiment = experiments.begin(
            recipe,
            data=load(recipe.data),
            engine=job.engine,
            device=job.device,
            threads=job.threads,
            out=folder,
            tested=False,
            curves=False,
        )
    earlier = [row for row in experiment.run.earlier if row.epoch.is_integer()]
    reached = len(earlier) >= job.epochs
    ended = [reached or _below(earlier, job.thresholds)]

    def on_reading(reading: Reading) -> None:
        if reading.epoch.is_integer():
            earlier.append(reading)
            if reading.epoch >= job.epochs or _below(earlier, job.thresholds):
                ended[0] = True
        tell(reading.epoch, earlier[-1].val_acc if earlier else None)

    told = Callbacks(on_reading=on_reading)
    outcome = experiment.train([told], stop=lambda: ended[0] or stop())
    for old in checkpoints.checkpoint_files(folder)[:-1]:
        discard(old)  # of hundreds of runs, three each would fill a disk
    record = read_run(folder)
    if not outcome.finished and not ended[0]:
        return _ended(job, STOPPED, "")
    return result_of(job, record) or _ended(job, FAILED, "the run left no readings")


def _is_run(folder: Path) -> bool:
    return (folder / "run.json").is_file()


def _wait_until_free(folder: Path, stop: Callable[[], bool]) -> None:
    """Wait for the process of a sweep that was killed: it lets go of the run when it notices."""
    until = time.monotonic() + HELD_S
    while is_held(folder, unknown=False) and time.monotonic() < until and not stop():
        time.sleep(0.05)


def _same(folder: Path, recipe: recipes.Recipe) -> RunRecord:
    """The run that lies there. Raises RunError where it is another's."""
    record = read_run(folder)
    if other := recipes.difference(record.recipe, recipe):
        raise RunError(f"{folder} is a run with {other}: move it elsewhere")
    return record


def result_of(job: Job, record: RunRecord) -> Result | None:
    """What a run has reached, where it need not be trained further for this job; else None.

    A run that early stopping ended is judged by the epoch whose weights it kept, every other by the
    last epoch that was asked for.
    """
    rows = [row for row in record.history if row.epoch.is_integer() and row.val_acc is not None]
    outcome = record.info["outcome"]
    if record.status == FAILED:
        return _ended(job, FAILED, str(outcome.get("message", "")))
    finished = record.status == FINISHED
    rows = rows[: job.epochs]
    below = _below(rows, job.thresholds)
    if not rows or not (finished or below or len(rows) >= job.epochs):
        return None
    last = rows[-1]
    if finished and record.recipe.settings.early_stopping.patience:
        last = min(rows, key=lambda row: row.val_loss if row.val_loss is not None else math.inf)
    state = FINISHED if finished else PRUNED if below else REACHED
    return Result(
        job.setting,
        job.seed,
        state,
        len(rows),
        tuple(row.val_acc for row in rows if row.val_acc is not None),
        last.val_acc,
        last.val_loss,
        last.train_loss if math.isfinite(last.train_loss) else None,
        round(rows[-1].wall_s, 3),
    )


def _below(rows: Sequence[Reading], thresholds: Mapping[int, float]) -> bool:
    """Whether the best epoch so far is below what was to be reached by now.

    The rule of Optuna's median pruner.
    """
    best = -math.inf
    for epoch, row in enumerate(rows, 1):
        best = max(best, row.val_acc if row.val_acc is not None else -math.inf)
        if best < thresholds.get(epoch, -math.inf):
            return True
    return False
