"""A run's folder: what was asked for, every reading, checkpoints to go on from, the result.

    run.json                recipe, data, engine, versions, machine, command, outcome
    history.csv             one row a reading
    checkpoints/            the last three: step-0000470.<checksum>.safetensors
    model.safetensors       the final weights, with their network, preparation and calibration
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
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from lenet import __version__
from lenet.engines import Engine
from lenet.files import about, remove_unfinished, rename_folder, sync_folder, write_atomically
from lenet.machine import processor
from lenet.network.architecture import Network, to_dict
from lenet.network.parameters import State, initialize
from lenet.network.weights import save_network
from lenet.runs import run_info
from lenet.runs.checkpoints import last_checkpoint, remove_old, save_checkpoint
from lenet.runs.record import (
    Remark,
    RunError,
    check_fit,
    history_text,
    read,
    read_history,
    read_remarks,
    resume_line,
)
from lenet.runs.run_info import ENVIRONMENT
from lenet.system import command_line
from lenet.training import Callbacks, Checkpoint, Outcome, Progress, Reading, recipes

if TYPE_CHECKING:
    from filelock import FileLock

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

    def finish(
        self,
        outcome: Outcome,
        remark: str = "",
        notes: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Write the final weights, with ``notes`` on them, and the outcome, with a last remark
        where there is one.

        Raises OSError where there is no space.
        """
        result: dict[str, Any] = {"status": "finished" if outcome.finished else "interrupted"}
        if outcome.finished:
            path = self.folder / "model.safetensors"
            content = save_network(path, self.network, outcome.weights, notes)
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

    @property
    def held(self) -> bool:
        """Whether this process still holds the folder, so that it may train into it."""
        return self._lock is not None and self._lock.is_locked

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
    processes: int = 1,
) -> Run:
    """A new run's folder, held by this process: ``out``, or the next runs/DATE-RECIPE-N.

    ``data`` says which pictures: name, source and hashes; ``processes`` how many train together.
    Raises RunError when ``out`` is taken, SettingError or UntrustedError for what ``read`` would
    refuse, OSError when it cannot be written.
    """
    start = first_checkpoint(recipe, network)
    info: dict[str, Any] = {
        "recipe": recipes.to_dict(recipe),
        "network": to_dict(network),
        "data": dict(data),
        "engine": describe_engine(engine, processes),
        "versions": _versions(engine),
        "machine": {"system": platform.platform(), "processor": processor()},
        "command": command_line(["lenet", *sys.argv[1:]])[: run_info.LONGEST_TEXT],
        "started": _now(),
        "resumed": [],
        "outcome": {"status": "running"},
    }
    recipes.from_dict(info["recipe"])  # what could not be read back is not written
    run_info.check(info)
    folder = _make_folder(recipe.name, info, out)
    return Run(folder, info, network, start, _lock=_take(folder))


def resume(folder: Path, recipe: recipes.Recipe, engine: Engine, processes: int = 1) -> Run:
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
        check_fit(engine.network, checkpoint, folder)
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
        remarks += _note_resumption(record.info, engine, processes, checkpoint)
        _write_json(folder / "run.json", record.info)
    except BaseException:
        lock.release()
        raise
    return Run(folder, record.info, engine.network, checkpoint, kept, remarks, lock, _seen=seen)


def describe_engine(engine: Engine, processes: int = 1) -> dict[str, Any]:
    """What decides the last bits of a result, for run.json."""
    return {
        "name": engine.name,
        "device": engine.device,
        "threads": engine.threads,  # of each process
        "instruction_set": engine.instruction_set,
        **({"processes": processes} if processes > 1 else {}),
    }


# --- details -----------------------------------------------------------------------------------


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
                rename_folder(beside, folder)
            except OSError:
                if not _is_taken(folder):  # else another process was quicker
                    raise
                continue
            sync_folder(parent)
            return folder
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    raise RunError(
        f"{out} exists already: go on with it by {resume_line(out)}, or give another --out"
    )


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


def _take(folder: Path) -> FileLock:
    """Hold a run's folder until this process ends, however it ends."""
    from filelock import FileLock, Timeout  # takes a while to load

    # not of a thread: a server begins a run in one and ends it in another
    path = folder / ".lock"
    if path.is_symlink() or path.is_fifo():  # a link's target would be emptied
        raise RunError(f"{path} is not a plain file: remove it to free the run")
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0.2, poll_interval=0.02)  # who only looks holds it for a moment
    except Timeout:
        raise RunError(
            f"{folder} is in use: another process trains into it. "
            "Wait for it, or give another --out"
        ) from None
    return lock


def _note_resumption(
    info: dict[str, Any], engine: Engine, processes: int, checkpoint: Checkpoint
) -> list[str]:
    """Record that the run goes on, and how; a remark where the last bits may differ."""
    now = {"engine": describe_engine(engine, processes), "versions": _versions(engine)}
    last = [info, *info["resumed"]][-1]
    earlier = {part: {**last[part]} for part in ENVIRONMENT}
    earlier["engine"].setdefault("processes", 1)
    compared = {**now, "engine": {**now["engine"], "processes": processes}}
    changed = [
        f"{'engine' if name == 'name' else name} {earlier[part].get(name)} → {after}"
        for part in ENVIRONMENT
        for name, after in compared[part].items()
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
    found = {"python": platform.python_version(), "lenet": __version__, "numpy": np.__version__}
    if engine.name == "torch":
        from importlib.metadata import version  # takes a while to load

        found["torch"] = version("torch")
    return found


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    # names of files may hold bytes that are no text; what becomes of them is JSON's escape
    write_atomically(path, text.encode(errors="backslashreplace"))
