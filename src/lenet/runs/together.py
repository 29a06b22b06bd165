"""A run that several processes train together (``engines.group``), as torchrun starts them.

Process 0 makes or opens the run's folder, and does all that is done for a training in one process
(``lead``). The others are told the recipe and the checkpoint to begin with, load the same pictures
and take part in ``fit``; they write nothing (``follow``). What is sent is JSON and safetensors:
nothing in it can run code.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from lenet import engines
from lenet.data import load as load_data
from lenet.engines import Engine
from lenet.engines.distributed import DistributedEngine
from lenet.engines.group import Group, largest
from lenet.files import FileError, read_bounded, write_atomically
from lenet.network.architecture import from_dict, to_dict
from lenet.optimization import Settings
from lenet.runs.checkpoints import from_bytes, to_bytes
from lenet.runs.experiments import Experiment
from lenet.runs.preparing import describe_data, divide, engine_for, settled
from lenet.runs.record import RunError, read
from lenet.training import Callbacks, Checkpoint, Outcome, Parts, fit, recipes
from lenet.untrusted import from_json

LONGEST_PATH = 10_000  # bytes


# --- process 0 and the others ------------------------------------------------------------------


def lead(experiment: Experiment, group: Group) -> Experiment:
    """The experiment, to be trained by all processes of the group; for process 0.

    When its training begins, the others are told what they need.
    """

    def begin_together(
        engine: Engine,
        parts: Parts,
        settings: Settings,
        start: Checkpoint,
        callbacks: Sequence[Callbacks],
        stop: Callable[[], bool],
    ) -> Outcome:
        info = experiment.run.info
        told = {
            "recipe": recipes.to_dict(experiment.recipe),
            "network": to_dict(engine.network),
            "data": {key: info["data"][key] for key in ("sha256", "examples")},
            "engine": engine.name,
            "device": engine.device,
        }
        group.broadcast(json.dumps(told).encode(errors="backslashreplace"))
        group.broadcast(to_bytes(start))
        together = DistributedEngine(engine, group, settings.objective)
        return fit(together, parts, settings, start, callbacks, stop, partial(largest, group))

    return replace(experiment, fit=begin_together)


def give_up(group: Group) -> None:
    """Tell the others that there will be no training: process 0 has said why."""
    group.broadcast(b"")


def follow(
    group: Group,
    *,
    data_dir: Path | None = None,
    threads: int | None = None,
    compile: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome | None:
    """What came of a training that process 0 leads; None where it gave up before the beginning.

    Raises RunError where this machine has other pictures than that of process 0, and what
    ``experiments.begin`` raises.
    """
    told = group.broadcast(b"")
    if not told:
        return None
    values: dict[str, Any] = from_json(told)
    start = from_bytes(group.broadcast(b""), "the checkpoint of process 0")
    recipe, network = recipes.from_dict(values["recipe"]), from_dict(values["network"])
    loaded = load_data(recipe.data, data_dir)
    parts = divide(recipe, loaded)
    described = describe_data(loaded, parts)
    for key, theirs in values["data"].items():
        if described[key] != theirs:
            raise RunError(
                f"process {group.rank} finds other pictures in {loaded.source} than process 0 "
                f"has: {key} differs ({described[key]} here, {theirs} there). Copy them to this "
                "machine, or name their folder by --data-dir"
            )
    choice = engines.choose(values["engine"], network, values["device"])
    engine = engine_for(recipe, parts, choice, network, threads, compile)
    settings = settled(recipe.settings, parts)
    together = DistributedEngine(engine, group, settings.objective)
    return fit(together, parts, settings, start, (), stop, partial(largest, group))


# --- after a restart ---------------------------------------------------------------------------


def remember(folder: Path) -> None:
    """Note the run's folder where a restart by the same torchrun finds it."""
    if (note := _note()) is not None:
        write_atomically(note, os.fsencode(folder.resolve()))


def begun_before(out: Path | None) -> Path | None:
    """The run that this torchrun began before it restarted its processes; None where none.

    That is the one noted by ``remember``, or, where process 0 was on another machine, what lies
    at ``out`` unfinished.
    """
    note = _note()
    if note is not None and note.is_file():
        try:
            return Path(os.fsdecode(read_bounded(note, LONGEST_PATH)))
        except (FileError, OSError):
            return None
    restarts = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    if out is None or restarts in ("", "0") or not (out / "run.json").is_file():
        return None
    return out if read(out).info["outcome"]["status"] != "finished" else None


def _note() -> Path | None:
    """A file of its own for each torchrun, in the folder that it makes for its processes' logs."""
    error_file = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if not error_file:  # not torchrun
        return None
    folder = Path(error_file).parent.parent.parent  # …/attempt_0/0/error.json
    return folder / "lenet-run" if folder.is_dir() else None
