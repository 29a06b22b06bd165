"""A run's folder as it is now: read once, then only what is new in it.

Files are looked at by their size, time and number on the disk, a few system calls a look.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lenet import runs
from lenet.files import FileError, open_plain
from lenet.lab.datasets import Described, of_run
from lenet.language.chinese import in_chinese
from lenet.network.architecture import Network, trace
from lenet.runs import COLUMNS, Remark, snapshots
from lenet.training import Reading
from lenet.training.recipes import Recipe

SETTLED_S: Final = 0.1  # a folder's time has steps of some milliseconds: later is certain
MOST_BYTES: Final = 1 << 18  # of a history that are read at a look; the rest at the next ones
_MORE: Final = -1  # the size of a history of which the rest is still to be read

Signature = tuple[int, int, int] | None


@dataclass(frozen=True)
class Changes:
    """What is new in a run's folder since the last look."""

    readings: list[Reading] = field(default_factory=list)
    snapshots: list[int] = field(default_factory=list)  # steps
    gone: list[int] = field(default_factory=list)  # steps of snapshots that were thinned out
    remarks: list[Remark] = field(default_factory=list)
    reset: bool = False  # the run went on from before its last readings: all are in here again
    record: bool = False  # run.json

    def __bool__(self) -> bool:
        return any(getattr(self, each.name) for each in dataclasses.fields(self))


@dataclass
class Watched:
    """A run, and how much of its folder was read."""

    folder: Path
    record: runs.RunRecord
    recipe: Recipe
    network: Network
    data: Described
    parameters: int
    readings: list[Reading] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)  # of the snapshots
    remarks: list[Remark] = field(default_factory=list)
    held: bool = False  # another process trains into it
    fault: str = ""  # why its run.json can no longer be read; the record is the last that could
    _header: str = ""
    _read: int = 0  # bytes of history.csv
    _signatures: dict[str, Signature] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The folder's."""
        return self.folder.name

    @property
    def behind(self) -> bool:
        """Whether the last look left some of a long history to the next one."""
        return (self._signatures.get("history.csv") or (0,))[0] == _MORE

    def look(self, most_bytes: int = MOST_BYTES) -> Changes:
        """What is new; of a history, ``most_bytes`` at once. Raises RunError where it is gone."""
        record = self._changed("run.json")
        if record:
            try:
                self.record = runs.read(self.folder, history=False)
                self.recipe, self.fault = self.record.recipe, ""
            except runs.RunError as error:
                if self._signatures["run.json"] is None:
                    raise
                self.fault = str(error)
        # in this order: the row of a snapshot that is seen is there to be read
        added, gone = self._new_snapshots()
        reset, readings = self._new_readings(most_bytes)
        remarks = self._new_remarks()
        return Changes(readings, added, gone, remarks, reset, record)

    def ask_lock(self) -> bool:
        """Whether ``held`` changed: a killed run says "running" for ever, its lock tells."""
        before = self.held
        self.held = self.record.status == "running" and runs.is_held(self.folder, unknown=False)
        return self.held != before

    def _changed(self, name: str) -> bool:
        now = _signature(self.folder / name)
        changed = self._signatures.get(name, ()) != now
        self._signatures[name] = now
        return changed

    def _new_readings(self, most_bytes: int) -> tuple[bool, list[Reading]]:
        before = self._signatures.get("history.csv")
        if not self._changed("history.csv"):
            return False, []
        now = self._signatures["history.csv"]
        if now is None:
            return False, []
        # resuming puts another file in its place
        again = before is not None and (before[2] != now[2] or now[0] < self._read)
        if again:
            self._read, self._header = 0, ""
        try:
            with open_plain(self.folder / "history.csv") as file:
                file.seek(self._read)
                content = file.read(most_bytes)
        except (OSError, FileError):
            return False, []
        whole = content[: content.rfind(b"\n") + 1]
        if len(content) == most_bytes and whole:  # there is more: it is looked at once more
            self._signatures["history.csv"] = (_MORE, now[1], now[2])
        self._read += len(whole)
        rows = whole.decode("utf-8", "replace")
        if not self._header:
            self._header, _, rows = rows.partition("\n")
        found = runs.parse_history(f"{self._header}\n{rows}")
        reset = again and self.readings != found[: len(self.readings)]
        if again and not reset:
            found = found[len(self.readings) :]
        elif again:
            self.readings = []
        self.readings += found
        return reset, found

    def _new_snapshots(self) -> tuple[list[int], list[int]]:
        if not self._changed("snapshots"):
            return [], []
        now = self._signatures["snapshots"]
        if now is not None and time.time() - now[1] / 1e9 < SETTLED_S:
            self._signatures["snapshots"] = None  # look once more
        steps = snapshots.steps(self.folder)
        added, gone = set(steps) - set(self.steps), set(self.steps) - set(steps)
        self.steps = steps
        return sorted(added), sorted(gone)

    def _new_remarks(self) -> list[Remark]:
        if not self._changed("remarks.jsonl"):
            return []
        before, self.remarks = {*self.remarks}, runs.read_remarks(self.folder / "remarks.jsonl")
        return [remark for remark in self.remarks if remark not in before]

    # --- as plain values ---

    def summary(self) -> dict[str, Any]:
        """The run in short, but for its status and what the lab knows of it."""
        info, last = self.record.info, self.readings[-1] if self.readings else None
        outcome = info["outcome"]
        tested = (r.test_acc for r in reversed(self.readings) if r.test_acc is not None)
        return {
            "name": self.name,
            "started": info.get("started"),
            "recipe": info["recipe"],
            "network": self.network.name,
            "parameters": self.parameters,
            "data": self.data.name,
            "epochs": self.recipe.settings.epochs,
            "epochs_done": last.epoch if last else 0,
            "last": None if last is None else dataclasses.asdict(last),
            "last_test_acc": next(tested, None),  # a last reading within an epoch has none
            "wall_s": outcome.get("wall_s", last.wall_s if last else 0),
            "examples_per_s": outcome.get("examples_per_s", last.examples_per_s if last else None),
            "engine": info["engine"]["name"],
        }

    def details(self) -> dict[str, Any]:
        """History by columns, snapshots, remarks, and run.json."""
        return {
            "history": {name: [getattr(row, name) for row in self.readings] for name in COLUMNS},
            "snapshots": self.snapshots_json(self.steps),
            "remarks": [remark.text for remark in self.remarks],
            "chinese": remarks_in_chinese(self.remarks),
            "remark_epochs": [self.epoch_of(remark) for remark in self.remarks],
            "info": self.record.info,
        }

    def snapshots_json(self, steps: Sequence[int]) -> list[dict[str, Any]]:
        """Step and epoch of each; one whose reading was not read yet has no epoch."""
        epochs = {0: 0.0, **{reading.step: reading.epoch for reading in self.readings}}
        return [{"step": step, "epoch": epochs.get(step)} for step in steps]

    def epoch_of(self, remark: Remark) -> float | None:
        """Where a remark belongs on the curves."""
        at = [r.epoch for r in self.readings if r.examples_seen >= remark.examples_seen]
        return at[0] if at else None


def remarks_in_chinese(remarks: Sequence[Remark]) -> dict[str, str]:
    """The remarks that are known in Chinese, by what they say in English."""
    found = {remark.text: in_chinese(remark.text) for remark in remarks}
    return {text: chinese for text, chinese in found.items() if chinese is not None}


def watch(folder: Path) -> Watched:
    """A run from now on, nothing but its record read. Raises RunError where there is none."""
    record = runs.read(folder, history=False)
    network, described = record.network, of_run(record.info)
    parameters = sum(row.parameters for row in trace(network))
    return Watched(folder, record, record.recipe, network, described, parameters)


def _signature(path: Path) -> Signature:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns, stat.st_ino
