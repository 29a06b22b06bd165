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
from typing import Any

from lenet.files import discard, write_atomically
from lenet.network.parameters import Parameters, State
from lenet.network.weights import WeightsError, pack, read_whole, unpack
from lenet.training import Checkpoint, Progress
from lenet.untrusted import shown

KEPT = 3  # so that a damaged one has others before it
NAME = re.compile(r"step-([0-9]{7,18})\.([0-9a-f]{16})\.safetensors")
LARGEST_WHOLE = 2**63 - 1


def to_bytes(checkpoint: Checkpoint) -> bytes:
    """A checkpoint as the content of a safetensors file."""
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
    return pack(
        {
            f"{group}/{name}": value
            for group, values in groups.items()
            for name, value in values.items()
        },
        {"step": state.step, "progress": progress},
    )


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint into a run's folder and remove all but the last three."""
    content, step = to_bytes(checkpoint), checkpoint.state.step
    path = folder / "checkpoints" / f"step-{step:07}.{_checksum(content)}.safetensors"
    write_atomically(path, content)
    files = checkpoint_files(folder)
    # later ones are of a line that was given up, because they were damaged
    for later in files[files.index(path) + 1 :]:
        discard(later)
    remove_old(folder)
    return path


def remove_old(folder: Path) -> None:
    """Remove all but the last checkpoints: a killed process may have left one more, and on Windows
    one that was being read has stayed."""
    for old in checkpoint_files(folder)[:-KEPT]:
        discard(old)


def checkpoint_files(folder: Path) -> list[Path]:
    """The checkpoints of a run's folder, oldest first; what is none by its name is passed over."""
    inside = folder / "checkpoints"
    if inside.is_symlink():  # leads out of the run's folder
        return []
    found = [(NAME.fullmatch(path.name), path) for path in inside.glob("step-*")]
    steps = [
        (int(match[1]), path)
        for match, path in found
        if match and path.is_file() and not path.is_symlink()
    ]
    return [path for _, path in sorted(steps)]


def step_of(path: Path) -> int:
    """After how many steps a checkpoint was written, by its name."""
    return int(path.name.split(".")[0].removeprefix("step-"))


def load_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint of a file. Raises WeightsError unless its bytes are those once written."""
    content = read_whole(path, links=False)
    if _checksum(content) != path.name.split(".")[-2]:
        raise WeightsError(f"{path}: damaged: its bytes do not match the checksum in its name")
    checkpoint = from_bytes(content, str(path))
    if checkpoint.state.step != step_of(path):
        raise WeightsError(
            f"{path}: not a checkpoint of this version: its step is {checkpoint.state.step}, by "
            f"its name {step_of(path)}"
        )
    return checkpoint


def from_bytes(content: bytes, where: str) -> Checkpoint:
    """What ``to_bytes`` was given. Raises WeightsError, naming ``where``, for other content."""
    tensors, metadata = unpack(content, where)
    groups: dict[str, Parameters] = {}
    for name, value in tensors.items():
        group, _, key = name.rpartition("/")
        groups.setdefault(group, {})[key] = value
    moments = {
        group.removeprefix("moments/"): values
        for group, values in groups.items()
        if group.startswith("moments/")
    }
    step = metadata.get("step")
    if type(step) is not int or not 0 <= step <= LARGEST_WHOLE:
        raise WeightsError(f"{where}: not a checkpoint of this version: its step is {shown(step)}")
    if "parameters" not in groups:
        raise WeightsError(f"{where}: not a checkpoint of this version: parameters are missing")
    state = State(groups["parameters"], moments, groups.get("average"), step)
    return Checkpoint(state, _progress(metadata.get("progress"), where), groups.get("best"))


def _progress(values: Any, where: str) -> Progress:
    """How far a checkpoint's training had come. Raises WeightsError for what none can come to."""
    known = {name: type(value) for name, value in dataclasses.asdict(Progress()).items()}
    if not isinstance(values, dict) or values.keys() != known.keys():
        raise WeightsError(
            f"{where}: not a checkpoint of this version: progress must have {', '.join(known)}"
        )
    if values["lowest_val_loss"] is None:
        values = {**values, "lowest_val_loss": math.inf}
    for name, kind in known.items():
        value = values[name]
        whole = type(value) is int and 0 <= value <= LARGEST_WHOLE
        if not whole and (kind is int or not isinstance(value, float)):
            raise WeightsError(f"{where}: not a checkpoint: its {name} is {shown(value)}")
    return Progress(**{name: kind(values[name]) for name, kind in known.items()})


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
