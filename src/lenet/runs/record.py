"""What a run's folder says of itself: its record, its history, its remarks, its weights.

A folder may come from anywhere: each part is read by one function, and what cannot be read is
refused by a RunError.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lenet.files import FileError, as_path, read_bounded
from lenet.network.architecture import Network, from_dict
from lenet.network.parameters import Parameters, check_parameters, parameter_shapes
from lenet.network.weights import load_network_and_notes
from lenet.runs import run_info
from lenet.runs.checkpoints import last_checkpoint
from lenet.system import quote
from lenet.training import Checkpoint, Reading, recipes
from lenet.untrusted import UntrustedError, from_json, plain

WALL_CLOCK_COLUMNS = ("wall_s", "examples_per_s")  # all that differs between equal runs
COLUMNS = [field.name for field in dataclasses.fields(Reading)]
WHOLE_NUMBERS = ("step", "examples_seen")
MAY_BE_EMPTY = ("val_loss", "val_acc", "test_loss", "test_acc")
LARGEST_INFO = 4_000_000  # bytes of a run.json; ours have some thousand
LARGEST_HISTORY = 64_000_000  # bytes: 400,000 readings
LARGEST_REMARKS = 1_000_000  # bytes
MOST_REMARKS = 1_000
LONGEST_REMARK = 2_000  # characters
LARGEST_WHOLE = 2**63 - 1


class RunError(ValueError):
    """A folder that cannot be used as a run; the message names it and says what to do."""


class DamagedRunError(RunError):
    """A run whose files cannot be understood: not a mistake in what was asked."""


@dataclass(frozen=True)
class RunRecord:
    """What a run's folder says of itself."""

    folder: Path
    info: dict[str, Any]  # run.json
    history: list[Reading]

    @property
    def recipe(self) -> recipes.Recipe:
        """The recipe as it was run, changes included."""
        return recipes.from_dict(self.info["recipe"])

    @property
    def network(self) -> Network:
        """The network that was trained."""
        return from_dict(self.info["network"])

    @property
    def remark(self) -> str:
        """Why the network has not learnt, where it had not when it ended; else empty. One line."""
        text = str(self.info["outcome"].get("remark") or "")[:LONGEST_REMARK]
        return "".join(letter for letter in text if letter.isprintable())

    @property
    def status(self) -> str:
        """finished, interrupted, failed, or running (which a killed run goes on saying)."""
        return str(self.info["outcome"]["status"])

    @property
    def state(self) -> str:
        """``status``, or killed where it says running and no process holds the folder's lock."""
        killed = self.status == "running" and not is_held(self.folder)
        return "killed" if killed else self.status


def read(folder: str | os.PathLike[str], *, history: bool = True) -> RunRecord:
    """The record of a run, finished or not; unless ``history``, its readings are not read.

    Raises RunError where there is none, or a value in it is none that it can have.
    """
    folder = _as_path(folder, "folder")
    path = folder / "run.json"
    try:
        info = from_json(read_bounded(path, LARGEST_INFO))
        run_info.check(info)
        record = RunRecord(folder, info, [])
        record.recipe, record.network  # noqa: B018 - raise where they cannot be understood
        path = folder / "history.csv"
        return dataclasses.replace(record, history=read_history(path)) if history else record
    except (FileNotFoundError, NotADirectoryError):
        there = "holds no run.json" if folder.is_dir() else "is a file"
        what = there if folder.exists() else "does not exist"
        raise RunError(f"{folder} is not a run: it {what}. 'lenet runs' lists your runs") from None
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from None
    except ValueError as error:  # ours, all of them: what was read is bounded
        raise _unreadable(path, str(error).removeprefix(f"{path}: ")) from None


def _unreadable(path: Path, reason: str) -> DamagedRunError:
    said = plain(reason, 500)
    return DamagedRunError(
        f"{path} cannot be read: {said}; put back a copy of it, or move the folder elsewhere"
    )


def list_runs(
    root: str | os.PathLike[str] = "runs", tell: Callable[[str], None] = lambda line: None
) -> list[RunRecord]:
    """The runs in a folder, oldest first; ``tell`` is called for each that cannot be read."""
    root = Path(root)
    found = []
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        if folder.name.startswith(".") or not os.path.lexists(folder / "run.json"):
            continue  # not a run, or one that was killed while its folder was made
        try:
            found.append(read(folder))
        except RunError as error:
            tell(str(error))
    return sorted(found, key=lambda run: run.info.get("started") or "")


MOST_IN_A_GROUP: Final = 10_000  # runs of one folder that are counted


@dataclass(frozen=True)
class Group:
    """A folder of runs that belong together, such as those of a sweep: one line of a list."""

    folder: Path
    runs: int
    started: str  # when the first was
    networks: tuple[str, ...]
    data: tuple[str, ...]


def list_groups(root: str | os.PathLike[str] = "runs") -> list[Group]:
    """The folders in a folder that are no runs but hold some, oldest first.

    What cannot be read in one of them is left out of its networks and data.
    """
    root = Path(root)
    found = []
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        if folder.name.startswith(".") or folder.is_symlink() or not folder.is_dir():
            continue
        inside = itertools.islice(folder.iterdir(), 2 * MOST_IN_A_GROUP)
        runs = [] if _holds_run(folder) else sorted(filter(_holds_run, inside))[:MOST_IN_A_GROUP]
        if runs:
            found.append(_group(folder, runs))
    return sorted(found, key=lambda group: group.started)


def _holds_run(folder: Path) -> bool:
    return not folder.name.startswith(".") and os.path.lexists(folder / "run.json")


def _group(folder: Path, runs: list[Path]) -> Group:
    records = []
    for path in runs[:MOST_READ]:
        with suppress(RunError):
            records.append(read(path, history=False))
    recipes_ = [record.recipe for record in records]
    return Group(
        folder,
        len(runs),
        min((record.info.get("started") or "" for record in records), default=""),
        tuple(dict.fromkeys(recipe.network for recipe in recipes_)),
        tuple(dict.fromkeys(recipe.data for recipe in recipes_)),
    )


MOST_READ: Final = 50  # runs of a group that are asked what they are


def _as_path(value: object, what: str) -> Path:
    try:
        return as_path(value, what)
    except FileError as error:
        raise RunError(str(error)) from None


def load_model(path: str | os.PathLike[str]) -> tuple[Network, Parameters]:
    """The network and weights of a model.safetensors or of a run's folder: those of its last
    checkpoint where it has not finished, or trains on. Raises RunError or WeightsError."""
    network, parameters, _ = load_model_and_notes(path)
    return network, parameters


def load_model_and_notes(
    path: str | os.PathLike[str],
) -> tuple[Network, Parameters, dict[str, Any]]:
    """What ``load_model`` gives, and the notes that the run left with it when it had finished."""
    path = _as_path(path, "path")
    if not path.is_dir():
        return load_network_and_notes(path)
    record, model = read(path), path / "model.safetensors"
    if record.status == "finished" and os.path.lexists(model):
        return load_network_and_notes(model, links=False)  # a run's folder may be a stranger's
    found, _ = last_checkpoint(path)
    if found is None:
        raise RunError(f"{path} has no weights yet: go on with {resume_line(path)}")
    check_fit(record.network, found, path)
    weights = found.best or found.state.weights
    ordered = {name: weights[name] for name in parameter_shapes(record.network)}
    return record.network, ordered, {}


def read_history(path: Path) -> list[Reading]:
    """Every whole row of a history.csv, up to the first that is damaged. Raises FileError."""
    try:
        return parse_history(read_bounded(path, LARGEST_HISTORY).decode("utf-8", "replace"))
    except FileNotFoundError:
        return []


def parse_history(text: str) -> list[Reading]:
    """Every whole row of a history.csv's text, which begins with the names of the columns."""
    header, *rows = text.split("\n")
    readings = []
    for row in rows[:-1]:  # after the last end of a line: nothing, or a row cut off
        try:
            cells = dict(zip(header.strip().split(","), row.strip().split(","), strict=True))
            readings.append(Reading(**{name: _number(name, cells[name]) for name in COLUMNS}))
        except (KeyError, ValueError):
            break
    return readings


def _number(name: str, cell: str) -> Any:
    """A cell's value. Raises ValueError for one that no training can have come to."""
    if not cell and name in MAY_BE_EMPTY:
        return None
    if name in WHOLE_NUMBERS:
        if len(cell) > 19 or not 0 <= int(cell) <= LARGEST_WHOLE:
            raise ValueError(name)
        return int(cell)
    value = float(cell)
    if name.endswith("_acc"):
        possible = 0 <= value <= 1
    else:  # a loss may have become anything
        possible = name.endswith("_loss") or 0 <= value < math.inf
    if not possible:
        raise ValueError(name)
    return value


def history_text(readings: list[Reading]) -> str:
    """A history.csv: numbers in full, so that they read back as they were."""
    lines = [",".join(COLUMNS)]
    for reading in readings:
        values = (getattr(reading, name) for name in COLUMNS)
        lines.append(",".join("" if value is None else repr(value) for value in values))
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Remark:
    """What was said while a run trained, and after how many pictures."""

    examples_seen: int
    text: str


def read_remarks(path: Path) -> list[Remark]:
    """Every line of a remarks.jsonl that is one; none where nothing was said, or it is no file."""
    try:
        lines = read_bounded(path, LARGEST_REMARKS).split(b"\n")[:-1]  # the last is cut off
    except (OSError, FileError):
        return []
    remarks = (_remark(line) for line in lines)
    return list(itertools.islice((remark for remark in remarks if remark), MOST_REMARKS))


def _remark(line: bytes) -> Remark | None:
    try:
        values = from_json(line.decode("utf-8", "replace"))
    except UntrustedError:
        return None
    fields = values if isinstance(values, dict) else {}
    seen, text = fields.get("examples_seen"), fields.get("text")
    if type(seen) is not int or seen < 0 or not isinstance(text, str):
        return None
    return Remark(seen, plain(text, LONGEST_REMARK))


def check_fit(network: Network, checkpoint: Checkpoint, folder: Path) -> None:
    """Raise RunError where a checkpoint's numbers are not of the run's network."""
    state = checkpoint.state
    for values in (state.parameters, *state.moments.values(), state.average, checkpoint.best):
        try:
            check_parameters(network, state.parameters if values is None else values, "weights")
        except ValueError as error:
            raise RunError(f"{folder / 'checkpoints'}: {error}") from None


def resume_line(folder: Path | None) -> str:
    return f"'lenet train --resume {quote(str(folder))}'"


def is_held(folder: Path, *, unknown: bool = True) -> bool:
    """Whether a process, here or on another machine that shares the disk, holds the run.

    ``unknown`` is the answer where nobody can tell: in a folder that you may not write to.
    """
    return is_locked(folder / ".lock", unknown=unknown)


def is_locked(path: Path, *, unknown: bool = True) -> bool:
    """Whether a process holds the lock that this file is; ``unknown`` where nobody can tell."""
    if path.is_symlink() or not path.is_file():  # taking a lock empties the file that it is
        return False
    from filelock import FileLock, Timeout  # takes a while to load

    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:
        return unknown
    lock.release()
    return False
