"""A run's folder: what was asked for, every reading, checkpoints to go on from, the result.

    run.json                recipe, data, engine, versions, machine, command, outcome
    history.csv             one row a reading
    checkpoints/            the last three: step-0000470.<checksum>.safetensors
    model.safetensors       the final weights, with their network
    snapshots/              with --snapshots, the weights at every reading: see snapshots.py
    remarks.jsonl           what was said of a plateau or an early end, where anything was
    curves.svg, curves.png

The folder appears whole, with run.json in it. Everything else that is to be seen of a run is
made from it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
import os
import platform
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

from filelock import FileLock, Timeout

from lenet import recipes, run_info
from lenet.architecture import Network, from_dict, to_dict
from lenet.checkpoints import last_checkpoint, remove_old, save_checkpoint
from lenet.engines import Engine
from lenet.files import (
    FileError,
    about,
    read_bounded,
    remove_unfinished,
    sync_folder,
    write_atomically,
)
from lenet.parameters import Parameters, State, check_parameters, initialize, parameter_shapes
from lenet.run_info import ENVIRONMENT
from lenet.training import Callbacks, Checkpoint, Outcome, Progress, Reading
from lenet.untrusted import UntrustedError, from_json, plain
from lenet.weights import load_network, save_network

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


# --- looking at runs ---------------------------------------------------------------------------


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
        """finished, interrupted, failed, or running (which a killed run says for ever)."""
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
    folder = Path(folder)
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
        raise RunError(
            f"{folder} is not a run: it {what}. 'lenet runs' lists the runs there are"
        ) from None
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


def load_model(path: str | os.PathLike[str]) -> tuple[Network, Parameters]:
    """The network and weights of a model.safetensors or of a run's folder: those of its last
    checkpoint where it has not finished, or trains on. Raises RunError or WeightsError."""
    path = Path(path)
    if not path.is_dir():
        return load_network(path)
    record, model = read(path), path / "model.safetensors"
    if record.status == "finished" and os.path.lexists(model):
        return load_network(model, links=False)  # a run's folder may be a stranger's
    found, _ = last_checkpoint(path)
    if found is None:
        raise RunError(f"{path} has no weights yet: go on with {_resume_line(path)}")
    _check_fit(record.network, found, path)
    weights = found.best or found.state.weights
    return record.network, {name: weights[name] for name in parameter_shapes(record.network)}


# --- history -----------------------------------------------------------------------------------


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


# --- a run under way ---------------------------------------------------------------------------


@dataclass
class Run:
    """A run's folder while this process trains into it; ``close`` lets others have it."""

    folder: Path
    info: dict[str, Any]
    network: Network
    start: Checkpoint
    earlier: list[Reading] = field(default_factory=list)  # before start
    remarks: list[str] = field(default_factory=list)  # for the person at the terminal
    _lock: FileLock | None = None
    _history: TextIO | None = None
    _seen: int = 0  # pictures trained on

    def callbacks(self) -> Callbacks:
        """What fit() must call so that nothing is lost."""
        return Callbacks(
            on_stretch=self._note_progress,
            on_reading=self._add_reading,
            on_remark=self._add_remark,
            on_checkpoint=self._save,
        )

    def finish(self, outcome: Outcome, remark: str = "") -> None:
        """Write the final weights and the outcome, with a last remark where there is one.

        Raises OSError where there is no space.
        """
        result: dict[str, Any] = {"status": "finished" if outcome.finished else "interrupted"}
        if outcome.finished:
            content = save_network(self.folder / "model.safetensors", self.network, outcome.weights)
            result["model_sha256"] = hashlib.sha256(content).hexdigest()
        progress = outcome.checkpoint.progress
        history = read_history(self.folder / "history.csv")
        result |= {
            "epochs": progress.epoch,
            "examples_seen": progress.examples_seen,
            "wall_s": round(progress.wall_s, 3),
            "examples_per_s": round(outcome.examples_per_s, 1),
            **({"last": dataclasses.asdict(history[-1])} if history else {}),
            **({"remark": remark} if remark else {}),
        }
        self._set_outcome(result)

    def fail(self, error: BaseException) -> None:
        """Record why the run ended; a full disk must not hide the error that is being told."""
        # a closed pipe is somebody who has seen enough: rich makes SystemExit of it
        stopped = isinstance(error, KeyboardInterrupt | SystemExit | BrokenPipeError)
        status = "interrupted" if stopped else "failed"
        said = (str(error) or type(error).__name__)[: run_info.LONGEST_TEXT]
        with suppress(OSError):
            self._set_outcome({"status": status, "message": said})

    def close(self) -> None:
        """Let go of the folder."""
        if self._history is not None:
            with suppress(OSError):  # tries once more what a full disk refused: that was told
                self._history.close()
        if self._lock is not None:
            self._lock.release()

    def _note_progress(self, progress: Progress) -> None:
        self._seen = progress.examples_seen

    def _add_remark(self, text: str) -> None:
        path = self.folder / "remarks.jsonl"
        line = json.dumps(dataclasses.asdict(Remark(self._seen, text)), ensure_ascii=False)
        with about(path), path.open("a", encoding="utf-8", newline="") as file:
            file.write(line + "\n")

    def _add_reading(self, reading: Reading) -> None:
        path = self.folder / "history.csv"
        with about(path):
            if self._history is None:
                self._history = path.open("a", encoding="utf-8", newline="")
            self._history.write(history_text([reading]).split("\n", 1)[1])
            self._history.flush()

    def _save(self, checkpoint: Checkpoint) -> None:
        if self._history is not None:  # a checkpoint must never know more than the history
            with about(self.folder / "history.csv"):
                os.fsync(self._history.fileno())
        save_checkpoint(self.folder, checkpoint)

    def _set_outcome(self, outcome: Mapping[str, Any]) -> None:
        self.info["outcome"] = {**outcome, "ended": _now()}
        _write_json(self.folder / "run.json", self.info)


def create(
    recipe: recipes.Recipe,
    network: Network,
    data: Mapping[str, Any],
    engine: Engine,
    out: Path | None = None,
) -> Run:
    """A new run's folder, held by this process: ``out``, or the next runs/DATE-RECIPE-N.

    ``data`` says which pictures: name, source and hashes. Raises RunError when ``out`` is taken,
    SettingError or UntrustedError for what ``read`` would refuse, OSError when it cannot be
    written.
    """
    start = first_checkpoint(recipe, network)
    info: dict[str, Any] = {
        "recipe": recipes.to_dict(recipe),
        "network": to_dict(network),
        "data": dict(data),
        "engine": describe_engine(engine),
        "versions": _versions(engine),
        "machine": {"system": platform.platform(), "processor": processor()},
        "command": shlex.join(["lenet", *sys.argv[1:]])[: run_info.LONGEST_TEXT],
        "started": _now(),
        "resumed": [],
        "outcome": {"status": "running"},
    }
    recipes.from_dict(info["recipe"])  # what could not be read back is not written
    run_info.check(info)
    folder = _make_folder(recipe.name, info, out)
    return Run(folder, info, network, start, _lock=_take(folder))


def resume(folder: Path, recipe: recipes.Recipe, engine: Engine) -> Run:
    """A run to go on with from its last whole checkpoint, held by this process.

    history.csv is cut back to that checkpoint; ``recipe`` may train it further than before.
    Raises RunError when the folder is no run, in use, or was trained further than ``recipe`` says.
    """
    record = read(folder)
    lock = _take(folder)
    try:
        record = read(folder)  # it may have changed before it was ours
        checkpoint, remarks = last_checkpoint(folder)
        remove_old(folder)
        if checkpoint is None:
            checkpoint = first_checkpoint(recipe, engine.network)
            remarks.append("no checkpoint to go on from: starting at the beginning")
        _check_fit(engine.network, checkpoint, folder)
        done = checkpoint.progress.epoch + (checkpoint.progress.sample > 0)
        if done > recipe.settings.epochs:
            raise RunError(
                f"{folder} is in epoch {done} already: it cannot end after {recipe.settings.epochs}"
            )
        (folder / "checkpoints").mkdir(exist_ok=True)
        remove_unfinished(folder / "checkpoints")
        remove_unfinished(folder)
        seen = checkpoint.progress.examples_seen
        kept = [reading for reading in record.history if reading.examples_seen <= seen]
        write_atomically(folder / "history.csv", history_text(kept).encode())
        _cut_remarks(folder / "remarks.jsonl", seen)
        record.info["recipe"] = recipes.to_dict(recipe)
        remarks += _note_resumption(record.info, engine, checkpoint)
        _write_json(folder / "run.json", record.info)
    except BaseException:
        lock.release()
        raise
    return Run(folder, record.info, engine.network, checkpoint, kept, remarks, lock, _seen=seen)


def describe_engine(engine: Engine) -> dict[str, Any]:
    """What decides the last bits of a result, for run.json."""
    return {
        "name": engine.name,
        "device": engine.device,
        "threads": engine.threads,
        "instruction_set": engine.instruction_set,
    }


def processor() -> str:
    """The processor's name, such as "Intel(R) Xeon(R) Processor @ 2.80GHz"."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


# --- details -----------------------------------------------------------------------------------


def _check_fit(network: Network, checkpoint: Checkpoint, folder: Path) -> None:
    """Raise RunError where a checkpoint's numbers are not of the run's network."""
    state = checkpoint.state
    for values in (state.parameters, *state.moments.values(), state.average, checkpoint.best):
        try:
            check_parameters(network, state.parameters if values is None else values, "weights")
        except ValueError as error:
            raise RunError(f"{folder / 'checkpoints'}: {error}") from None


def first_checkpoint(recipe: recipes.Recipe, network: Network) -> Checkpoint:
    """Where a run begins: the first weights, a function of the recipe's seed."""
    return Checkpoint(State(initialize(network, recipe.initialization, recipe.settings.seed)))


def _make_folder(recipe_name: str, info: dict[str, Any], out: Path | None) -> Path:
    """Make the folder with run.json inside, by one rename: nobody sees it without."""
    parent = out.parent if out else Path("runs")
    parent.mkdir(parents=True, exist_ok=True)
    beside = parent / f".new-run-{os.urandom(8).hex()}"
    try:
        beside.mkdir()
        (beside / "checkpoints").mkdir()
        write_atomically(beside / "history.csv", history_text([]).encode())
        _write_json(beside / "run.json", info)
        for folder in [out] if out else _numbered(parent, recipe_name):
            if _is_taken(folder):
                continue
            try:
                beside.rename(folder)
            except OSError:
                if not _is_taken(folder):  # else another process was quicker
                    raise
                continue
            sync_folder(parent)
            return folder
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    raise RunError(
        f"{out} exists already: go on with it by {_resume_line(out)}, or give another --out"
    )


def _resume_line(folder: Path | None) -> str:
    return f"'lenet train --resume {shlex.quote(str(folder))}'"


def _cut_remarks(path: Path, examples_seen: int) -> None:
    """Keep of the remarks what was said up to there."""
    remarks = read_remarks(path)
    if remarks and remarks[-1].examples_seen > examples_seen:
        kept = [dataclasses.asdict(r) for r in remarks if r.examples_seen <= examples_seen]
        lines = (json.dumps(remark, ensure_ascii=False) + "\n" for remark in kept)
        write_atomically(path, "".join(lines).encode())


def _is_taken(folder: Path) -> bool:
    """Whether something is there; an empty folder is nothing."""
    return os.path.lexists(folder) and (not folder.is_dir() or any(folder.iterdir()))


def _numbered(parent: Path, recipe_name: str) -> Iterator[Path]:
    name = re.sub(r"[^\w.-]+", "-", recipe_name)[:50]  # a recipe may be called anything
    for number in itertools.count(1):
        yield parent / f"{date.today().isoformat()}-{name}-{number}"


def is_held(folder: Path) -> bool:
    """Whether a process, here or on another machine that shares the disk, holds the run."""
    path = folder / ".lock"
    if not path.is_file():
        return False
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # somebody else's folder: nobody can tell
        return True
    lock.release()
    return False


def _take(folder: Path) -> FileLock:
    """Hold a run's folder until this process ends, however it ends."""
    # not of a thread: a server begins a run in one and ends it in another
    path = folder / ".lock"
    if path.is_symlink() or path.is_fifo():  # a link's target would be emptied
        raise RunError(f"{path} is no plain file: remove it, then nothing holds the run")
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0.2, poll_interval=0.02)  # who only looks holds it for a moment
    except Timeout:
        raise RunError(
            f"{folder} is in use: another process trains into it. "
            "Wait for it, or give another --out"
        ) from None
    return lock


def _note_resumption(info: dict[str, Any], engine: Engine, checkpoint: Checkpoint) -> list[str]:
    """Record that the run goes on, and how; a remark where the last bits may differ."""
    now = {"engine": describe_engine(engine), "versions": _versions(engine)}
    earlier = [info, *info["resumed"]][-1]
    changed = [
        f"{'engine' if name == 'name' else name} {earlier[part].get(name)} → {after}"
        for part in ENVIRONMENT
        for name, after in now[part].items()
        if earlier[part].get(name) != after
        # PyTorch's sums alone depend on how many threads there are
        and not (name == "threads" and engine.name != "torch")
    ]
    seen = checkpoint.progress.examples_seen
    info["resumed"].append({"at": _now(), "examples_seen": seen, **now, "changed": changed})
    info["outcome"] = {"status": "running"}
    if not changed:
        return []
    return [
        f"going on with {', '.join(changed)}: the result may differ in its last bits from that of "
        "an uninterrupted run (recorded in run.json)"
    ]


def _versions(engine: Engine) -> dict[str, str]:
    names = ["lenet", "numpy"] + (["torch"] if engine.name == "torch" else [])
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    # names of files may hold bytes that are no text; what becomes of them is JSON's escape
    write_atomically(path, text.encode(errors="backslashreplace"))
