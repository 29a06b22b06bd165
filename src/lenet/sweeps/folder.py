"""A sweep's folder: its plan, what was drawn, every result, and the runs themselves.

    sweep.json        plan, settings drawn so far, pictures, machine, command, the best one's test
    results.jsonl     a line for each run that ended or reached the epoch it was asked for
    0000-seed0/ …     the runs: ordinary run folders
    report.html  report.md
    workers.log       what the processes said, where they said anything
    .lock             held by the process that runs the sweep

A folder may come from anybody: files are read up to a size, and every value is checked.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from lenet import __version__
from lenet.files import FileError, about, read_bounded, write_atomically
from lenet.machine import processor
from lenet.runs.record import is_locked
from lenet.runs.run_info import LONGEST_TEXT
from lenet.sweeps import plan as plans
from lenet.sweeps.plan import Plan, SweepError
from lenet.sweeps.trial import Result, result_from, to_dict
from lenet.system import command_line
from lenet.untrusted import from_json, plain, shown

INFO: Final = "sweep.json"
RESULTS: Final = "results.jsonl"
LARGEST_INFO: Final = 16_000_000  # bytes
LARGEST_RESULTS: Final = 256_000_000  # bytes: 10,000 runs of 1,000 epochs
MOST_LINES: Final = 100_000


class DamagedSweepError(SweepError):
    """A sweep whose files cannot be understood: not a mistake in what was asked."""


@dataclass(frozen=True)
class Tested:
    """The one look at the test set: the best setting's runs, when all others had ended."""

    setting: int
    test_acc: tuple[float, ...]  # one a seed
    test_loss: tuple[float, ...]


@dataclass
class Sweep:
    """A sweep as it lies in its folder; ``close`` lets others have it where it is held."""

    folder: Path
    plan: Plan
    info: dict[str, Any]  # pictures, machine, versions, command, started
    settings: list[dict[str, Any]] = field(default_factory=list)  # drawn, in their order
    results: dict[tuple[int, int], Result] = field(default_factory=dict)  # by setting and seed
    tested: Tested | None = None
    _lock: FileLock | None = None

    def add_settings(self, drawn: list[dict[str, Any]]) -> None:
        """Keep what was drawn, before any of it is trained."""
        self.settings += drawn
        self.save()

    def add_result(self, result: Result) -> None:
        """Keep a result: the line is on the disk when this returns."""
        path = self.folder / RESULTS
        line = json.dumps(to_dict(result), ensure_ascii=False) + "\n"
        with about(path), path.open("ab") as file:
            file.write(line.encode(errors="backslashreplace"))
            file.flush()
            os.fsync(file.fileno())
        self.results[result.setting, result.seed] = result

    def set_tested(self, tested: Tested) -> None:
        """Keep what the test set said."""
        self.tested = tested
        self.save()

    def save(self) -> None:
        """Write sweep.json anew."""
        values = {
            "version": 1,
            "plan": plans.to_dict(self.plan),
            "info": self.info,
            "settings": self.settings,
            "tested": None if self.tested is None else dataclasses.asdict(self.tested),
        }
        text = json.dumps(values, indent=1, ensure_ascii=False) + "\n"
        write_atomically(self.folder / INFO, text.encode(errors="backslashreplace"))

    def close(self) -> None:
        """Let go of the folder."""
        if self._lock is not None:
            self._lock.release()


def create(plan: Plan, pictures: Mapping[str, Any], out: Path | None = None) -> Sweep:
    """A new sweep's folder, held by this process: ``out``, or the next runs/DATE-sweep-RECIPE-N.

    Raises SweepError where ``out`` holds something else, OSError where it cannot be written.
    """
    info = {
        "pictures": dict(pictures),
        "machine": {"system": platform.platform(), "processor": processor()},
        "versions": {"python": platform.python_version(), "lenet": __version__},
        "command": command_line(["lenet", *sys.argv[1:]])[:LONGEST_TEXT],
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
    }
    folder = _make(plan, out)
    lock = _take(folder)
    if (folder / INFO).exists():
        lock.release()
        raise SweepError(f"{folder} was taken by another sweep just now: give another --out")
    sweep = Sweep(folder, plan, info, _lock=lock)
    sweep.save()
    return sweep


def is_sweep(folder: Path) -> bool:
    """Whether a sweep lies there, whole or not."""
    return os.path.lexists(folder / INFO)


def resume(folder: Path, plan: Plan | None = None) -> Sweep:
    """A sweep to go on with, held by this process.

    Raises SweepError where it is none or in use, or its plan is not ``plan``.
    """
    if not is_sweep(folder):
        what = "holds no sweep" if folder.is_dir() else "does not exist"
        raise SweepError(f"{folder} {what}: give the folder that 'lenet sweep' named")
    lock = _take(folder)
    try:
        sweep = read(folder)
        if plan is not None and (other := _differs(sweep.plan, plan)):
            raise SweepError(f"{folder} holds another sweep: {other}. Give another --out")
        _cut_torn_line(folder / RESULTS)
        for unfinished in folder.glob(".new-run-*"):  # of processes that were killed
            if unfinished.is_dir() and not unfinished.is_symlink():
                shutil.rmtree(unfinished, ignore_errors=True)
    except BaseException:
        lock.release()
        raise
    sweep._lock = lock
    return sweep


def _differs(there: Plan, wanted: Plan) -> str:
    """The first thing in which two plans differ; empty where they are the same."""
    before, now = plans.to_dict(there), plans.to_dict(wanted)
    before, now = ({**plan, **plan.pop("recipe")} for plan in (before, now))
    for key in now:
        if key not in ("title", "published") and before.get(key) != now[key]:
            return f"{key} is {shown(before.get(key))} there, not {shown(now[key])}"
    return ""


def read(folder: Path) -> Sweep:
    """A sweep as its folder says. Raises DamagedSweepError for what cannot be one."""
    path = folder / INFO
    try:
        values = from_json(read_bounded(path, LARGEST_INFO))
        if not isinstance(values, dict) or values.get("version") != 1:
            raise SweepError("it is no sweep of this version")
        plan = plans.from_dict(values.get("plan"))
        info = _info(values.get("info"))
        settings = _settings(values.get("settings"), plan)
        tested = _tested(values.get("tested"), len(settings))
        path = folder / RESULTS
        results = _results(path, len(settings))
    except ValueError as error:
        raise DamagedSweepError(
            f"{path} cannot be read: {plain(str(error).removeprefix(f'{path}: '), 500)}; put back "
            "a copy of it, or begin a new sweep"
        ) from None
    return Sweep(folder, plan, info, settings, results, tested)


def _info(values: Any) -> dict[str, Any]:
    parts = {"pictures": dict, "machine": dict, "versions": dict, "command": str, "started": str}
    if not isinstance(values, dict):
        raise SweepError("info must be an object")
    for name, kind in parts.items():
        if not isinstance(values.get(name), kind):
            raise SweepError(f"info.{name} is {shown(values.get(name))}")
    return values


def _settings(values: Any, plan: Plan) -> list[dict[str, Any]]:
    """What was drawn: each with a value for every key that varies, which its recipe can have."""
    if not isinstance(values, list) or len(values) > plans.MOST_RUNS:
        raise SweepError(f"settings is {shown(values)}")
    for one in values:
        if not isinstance(one, dict) or one.keys() != plan.vary.keys():
            raise SweepError(f"a setting is {shown(one)}, must have {', '.join(plan.vary)}")
        for key, value in one.items():
            if isinstance(value, str) and len(value) > 1000:
                raise SweepError(f"{key} is {shown(value)}")
            plans.axis_of(key, [value], plan.recipe)
    return values


def _tested(values: Any, settings: int) -> Tested | None:
    if values is None:
        return None
    if not isinstance(values, dict) or type(number := values.get("setting")) is not int:
        raise SweepError(f"tested is {shown(values)}")
    parts: list[list[float]] = []
    for name in ("test_acc", "test_loss"):
        part = values.get(name)
        if not isinstance(part, list) or not all(isinstance(one, int | float) for one in part):
            raise SweepError(f"tested is {shown(values)}")
        parts.append(part)
    if not 0 <= number < settings:
        raise SweepError(f"tested.setting is {number}, and there are {settings} settings")
    return Tested(number, tuple(map(float, parts[0])), tuple(map(float, parts[1])))


def _results(path: Path, settings: int) -> dict[tuple[int, int], Result]:
    """The last result of each run: a later line is of the same run, trained further."""
    found: dict[tuple[int, int], Result] = {}
    try:
        lines = read_bounded(path, LARGEST_RESULTS).split(b"\n")[:-1]  # the last is cut off
    except FileNotFoundError:
        return found
    if len(lines) > MOST_LINES:
        raise FileError(f"it has {len(lines):,} lines; at most {MOST_LINES:,} are read")
    for number, line in enumerate(lines, 1):
        try:
            result = result_from(from_json(line))
            if result.setting >= settings:
                raise SweepError(f"there is no setting {result.setting}")
        except ValueError as error:
            raise SweepError(f"line {number}: {error}") from None
        found[result.setting, result.seed] = result
    return found


def _cut_torn_line(path: Path) -> None:
    """Take away the line that a killed process left half written."""
    try:
        content = read_bounded(path, LARGEST_RESULTS)
    except FileNotFoundError:
        return
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        write_atomically(path, whole)


def _make(plan: Plan, out: Path | None) -> Path:
    if out is not None:
        if os.path.lexists(out) and (not out.is_dir() or any(out.iterdir())):
            raise SweepError(f"{out} exists already and holds no sweep: give another --out")
        out.mkdir(parents=True, exist_ok=True)
        return out
    parent, number = Path("runs"), 1
    parent.mkdir(exist_ok=True)
    kind = "ablation" if plan.question else "sweep"
    name = "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in plan.recipe.name)
    while True:
        folder = parent / f"{date.today().isoformat()}-{kind}-{name[:50]}-{number}"
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1


def _take(folder: Path) -> FileLock:
    path = folder / ".lock"
    if path.is_symlink() or path.is_fifo():
        raise SweepError(f"{path} is not a plain file: remove it to free the sweep")
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0.2, poll_interval=0.02)
    except Timeout:
        raise SweepError(
            f"{folder} is in use: another process runs this sweep. Wait for it, or give another "
            "--out"
        ) from None
    return lock


def state_of(sweep: Sweep) -> str:
    """finished, running, or stopped: nobody runs it, and it is not at its end."""
    if sweep.tested is not None:
        return "finished"
    return "running" if is_locked(sweep.folder / ".lock") else "stopped"
