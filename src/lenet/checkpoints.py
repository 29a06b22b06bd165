"""Checkpoints: all that the rest of a training depends on, in one file each.

A checkpoint's name holds the checksum of its bytes, so that one rename makes both appear; a
damaged one is passed over for the one before it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import re
from pathlib import Path

from lenet.files import write_atomically
from lenet.parameters import Parameters, State
from lenet.training import Checkpoint, Progress
from lenet.weights import WeightsError, pack, read_whole, unpack

KEPT = 3  # so that a damaged one has others before it
NAME = re.compile(r"step-(\d+)\.([0-9a-f]{16})\.safetensors")


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint into a run's folder and remove all but the last three."""
    state = checkpoint.state
    groups = {
        "parameters": state.parameters,
        **{f"moments/{name}": moment for name, moment in state.moments.items()},
        "average": state.average or {},
        "best": checkpoint.best or {},
    }
    progress = dataclasses.asdict(checkpoint.progress)
    if math.isinf(checkpoint.progress.lowest_val_loss):
        progress["lowest_val_loss"] = None  # JSON has no infinity
    content = pack(
        {
            f"{group}/{name}": value
            for group, values in groups.items()
            for name, value in values.items()
        },
        {"step": state.step, "progress": progress},
    )
    path = folder / "checkpoints" / f"step-{state.step:07}.{_checksum(content)}.safetensors"
    write_atomically(path, content)
    files = checkpoint_files(folder)
    # later ones are of a line that was given up, because they were damaged
    kept = files[: files.index(path) + 1][-KEPT:]
    for old in files:
        if old not in kept:
            old.unlink(missing_ok=True)
    return path


def checkpoint_files(folder: Path) -> list[Path]:
    """The checkpoints of a run's folder, oldest first; what is none by its name is passed over."""
    found = [(NAME.fullmatch(path.name), path) for path in (folder / "checkpoints").glob("step-*")]
    steps = [(int(match[1]), path) for match, path in found if match and path.is_file()]
    return [path for _, path in sorted(steps)]


def step_of(path: Path) -> int:
    """After how many steps a checkpoint was written, by its name."""
    return int(path.name.split(".")[0].removeprefix("step-"))


def load_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint of a file. Raises WeightsError unless its bytes are those once written."""
    content = read_whole(path)
    if _checksum(content) != path.name.split(".")[-2]:
        raise WeightsError(f"{path}: damaged: its bytes do not match the checksum in its name")
    tensors, metadata = unpack(content, str(path))
    groups: dict[str, Parameters] = {}
    for name, value in tensors.items():
        group, _, key = name.rpartition("/")
        groups.setdefault(group, {})[key] = value
    moments = {
        group.removeprefix("moments/"): values
        for group, values in groups.items()
        if group.startswith("moments/")
    }
    try:
        progress = dict(metadata["progress"])
        if progress["lowest_val_loss"] is None:
            progress["lowest_val_loss"] = math.inf
        state = State(groups["parameters"], moments, groups.get("average"), metadata["step"])
        return Checkpoint(state, Progress(**progress), groups.get("best"))
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: no checkpoint of this version: {error}") from None


def last_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that is whole, or None, and a word about each that is not."""
    remarks: list[str] = []
    for path in reversed(checkpoint_files(folder)):
        try:
            return load_checkpoint(path), remarks
        except WeightsError as error:
            remarks.append(f"{error}; passed over")
    return None, remarks


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
