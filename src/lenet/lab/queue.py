"""The queue of trainings, of which one runs at a time, and what is remembered of the others.

What the lab must know after it ended lies in RUNS/.lab/:

    state.json        the queue, what runs, what was stopped, stars
    recipes/NAME.toml the recipes that were made in the page
    logs/NAME.log     what the trainings wrote on standard error the last time
    stop/NAME         tells a training to stop; NAME.lock is held by it
    trash/TIME.NAME   runs that were deleted, for 30 days
    .lock             held by the lab that serves the folder
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from lenet.files import (
    SHORT_PATIENCE_S,
    is_held,
    patiently,
    read_bounded,
    trouble_with_name,
    write_atomically,
)
from lenet.lab.errors import LabError
from lenet.lab.jobs import Worker, start
from lenet.training import recipes
from lenet.training.recipes import Recipe
from lenet.untrusted import from_json, plain

FORMAT: Final = 1
KEPT_DAYS: Final = 30  # in the trash
LONGEST_NAME: Final = 60  # letters of a name that somebody gave
NAME: Final = re.compile(r"\w([\w .-]*\w)?")
LARGEST_STATE: Final = 64_000_000  # bytes of state.json: some thousand recipes in full


@dataclass
class Job:
    """A training that was made here and has no folder yet."""

    recipe: dict[str, Any]
    created: str


@dataclass
class Queue:
    """Which trainings wait, which one runs, and what is to be remembered of the others."""

    root: Path
    waiting: list[str] = field(default_factory=list)
    jobs: dict[str, Job] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)
    starred: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)  # why a process ended that left no word
    removed: dict[str, Job] = field(default_factory=dict)  # jobs without a folder, to be restored
    first_run: bool = False  # whether the first one was queued
    worker: Worker | None = None
    version: int = 0  # counts the changes
    _lock: FileLock | None = None

    @property
    def folder(self) -> Path:
        """Where all of this is kept."""
        return self.root / ".lab"

    # --- what is asked ---

    def add(self, recipe: Recipe, name: str | None = None) -> str:
        """The name of a new training of this recipe, at the end of the queue.

        Raises LabError for a ``name`` that is taken, or that no folder should have.
        """
        name = self._free_name(recipe.name) if name is None else self._checked(name)
        (self.folder / "recipes").mkdir(parents=True, exist_ok=True)
        text = f"name = {json.dumps(recipe.name)}\n{recipes.to_toml(recipe)}"
        write_atomically(self.recipe_path(name), text.encode())
        self.jobs[name] = Job(recipes.to_dict(recipe), _now())
        self.waiting.append(name)
        self.save()
        return name

    def go_on(self, name: str) -> None:
        """Put a training at the end of the queue; one that is just ending keeps its turn."""
        self.stopped.discard(name)
        self.failed.pop(name, None)
        if name not in self.waiting:
            self.waiting.insert(0 if self.runs(name) else len(self.waiting), name)
        self.save()

    def halt(self, name: str, *, stopped: bool) -> None:
        """Take a training out of the queue, or tell its process to write a checkpoint and end."""
        if stopped:
            self.stopped.add(name)
        if name in self.waiting:
            self.waiting.remove(name)
        if self.worker is not None and self.worker.name == name:
            self.worker.tell_to_stop()
        self.save()

    def star(self, name: str, starred: bool) -> None:
        """Mark a run, or not."""
        (self.starred.add if starred else self.starred.discard)(name)
        self.save()

    def rename(self, name: str, wanted: str) -> str:
        """The name that a run has now, its folder with it.

        Raises LabError for a name that is taken, or that no folder should have.
        """
        new = self._checked(wanted)
        if (self.root / name).is_dir():
            _move(self.root / name, self.root / new)
        if name in self.jobs:
            with suppress(FileNotFoundError):  # somebody deleted it; the run has moved already
                self.recipe_path(name).replace(self.recipe_path(new))
            self.jobs[new] = self.jobs.pop(name)
        if name in self.failed:
            self.failed[new] = self.failed.pop(name)
        for names in (self.stopped, self.starred):
            if name in names:
                names.remove(name)
                names.add(new)
        self.waiting = [new if each == name else each for each in self.waiting]
        self.save()
        return new

    def delete(self, name: str) -> None:
        """Move a run's folder to the trash; a training that has none is remembered."""
        if name in self.waiting:
            self.waiting.remove(name)
        run = self.root / name
        if run.is_dir():
            (self.folder / "trash").mkdir(parents=True, exist_ok=True)
            _move(run, self.folder / "trash" / f"{time.time_ns() // 1000}.{name}")
        if name in self.jobs:
            self.removed[name] = self.jobs.pop(name)
        self.save()

    def restore(self, name: str) -> None:
        """Bring back what was deleted last under that name. Raises LabError."""
        if (self.root / name).exists() or name in self.jobs:
            raise LabError(409, f"{name} is there already; it cannot be restored over it")
        thrown = [path for path in self._trash() if path.name.partition(".")[2] == name]
        if thrown:
            _move(thrown[-1], self.root / name)
            self.removed.pop(name, None)
        elif name in self.removed:
            self.jobs[name] = self.removed.pop(name)
        else:
            raise LabError(404, f"nothing called {name} was deleted in the last {KEPT_DAYS} days")
        self.save()

    def thrown_away(self) -> list[str]:
        """The names that can be restored, what was deleted last first."""
        names = [path.name.partition(".")[2] for path in reversed(self._trash())]
        there = {name for name in names if (self.root / name).exists()}
        return [name for name in dict.fromkeys([*names, *self.removed]) if name not in there]

    def runs(self, name: str) -> bool:
        """Whether the training's process runs."""
        return self.worker is not None and self.worker.name == name

    def ending(self) -> bool:
        """Whether what runs was told to stop."""
        return self.worker is not None and self.worker.ending()

    def recipe_path(self, name: str) -> Path:
        """The file of a recipe that was made here."""
        return self.folder / "recipes" / f"{name}.toml"

    # --- what goes on by itself ---

    def tick(self) -> None:
        """Note what ended, begin what is next."""
        if self.worker is not None and self.worker.ended():
            self._note_end(self.worker)
            self.worker = None
            self.save()
        if self.worker is None and self.waiting:
            self._begin(self.waiting.pop(0))
            self.save()

    def wait(self, patience_s: float, outcome: Callable[[str], bool]) -> None:
        """Tell what runs to stop, and wait for its checkpoint; what waits in the queue stays.

        The process may be busy with its curves for longer; it has its own session.
        """
        worker = self.worker
        if worker is None:
            return
        worker.tell_to_stop()
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline and not worker.ended() and not outcome(worker.name):
            time.sleep(0.02)

    def _begin(self, name: str) -> None:
        run = self.root / name
        resumed = (run / "run.json").is_file()
        arguments = ["--resume", str(run)] if resumed else [str(self.recipe_path(name))]
        arguments += [] if resumed else ["--out", str(run)]
        for folder in ("logs", "stop"):
            (self.folder / folder).mkdir(parents=True, exist_ok=True)
        try:
            self.worker = start(name, arguments, self.stop_path(name), self.log_path(name))
        except OSError as error:
            self.failed[name] = f"the training cannot be started: {error.strerror}"

    def _note_end(self, worker: Worker) -> None:
        name = worker.name
        if (self.root / name / "run.json").is_file():
            self.jobs.pop(name, None)
        worker.tidy_up()
        if reason := worker.reason(self.log_path(name)):
            self.failed[name] = reason

    def log_path(self, name: str) -> Path:
        """What the training wrote on standard error."""
        return self.folder / "logs" / f"{name}.log"

    def stop_path(self, name: str) -> Path:
        """The file that tells a training to stop."""
        return self.folder / "stop" / name

    def free_name(self, beginning: str) -> str:
        """A name that no run has, nor one in the trash: the beginning and a number."""
        taken = self._taken()
        number = 1
        while True:
            name = f"{beginning}-{number}"
            if name not in taken and not os.path.lexists(self.root / name):
                return name
            number += 1

    def _free_name(self, recipe_name: str) -> str:
        kind = re.sub(r"[^\w.-]+", "-", recipe_name)[:50]
        return self.free_name(f"{date.today().isoformat()}-{kind}")

    def _checked(self, name: str) -> str:
        name = " ".join(name.split())
        own = name.lower().endswith(".lock")  # see ``stop_path``
        if own or not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
            raise LabError(
                422,
                f"the name {plain(name, 100)!r} cannot be a folder's: write letters, digits, "
                f"spaces, and . _ - between them, {LONGEST_NAME} at most",
            )
        if name in self._taken() or os.path.lexists(self.root / name):
            raise LabError(409, f"there is a run called {name} already, here or in the trash")
        return name

    def _taken(self) -> set[str]:
        thrown = (path.name.partition(".")[2] for path in self._trash())
        return {*self.jobs, *self.removed, *thrown}

    def _trash(self) -> list[Path]:
        """What lies in the trash, oldest first."""
        with suppress(OSError):
            found = [path for path in (self.folder / "trash").iterdir() if path.is_dir()]
            return sorted(path for path in found if path.name.partition(".")[0].isdecimal())
        return []

    # --- on disk ---

    def save(self) -> None:
        """Write state.json. Raises OSError where there is no space."""
        self.version += 1
        worker = self.worker
        values = {
            "format": FORMAT,
            "queue": self.waiting,
            "running": None if worker is None else {"name": worker.name, "began": worker.began},
            "jobs": {name: vars(job) for name, job in self.jobs.items()},
            "removed": {name: vars(job) for name, job in self.removed.items()},
            "stopped": sorted(self.stopped),
            "starred": sorted(self.starred),
            "failed": self.failed,
            "first_run": self.first_run,
        }
        text = json.dumps(values, indent=1)
        write_atomically(self.folder / "state.json", text.encode())

    def close(self) -> None:
        """Let another lab have the folder."""
        if self._lock is not None:
            self._lock.release()


def open_queue(root: Path) -> Queue:
    """The queue of a folder of runs as it was left, held by this process.

    Raises LabError where another lab serves the folder, OSError where it cannot be written.
    """
    folder = root / ".lab"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise LabError(
            409, f"another lenet lab serves {root}: use its page, or give another folder by --runs"
        ) from None
    queue = _read(root, folder / "state.json")
    queue._lock = lock
    oldest = (time.time() - KEPT_DAYS * 86_400) * 1e6
    for path in queue._trash():
        if int(path.name.partition(".")[0]) < oldest:
            shutil.rmtree(path, ignore_errors=True)
    return queue


def _read(root: Path, path: Path) -> Queue:
    """What state.json says; what is damaged in it is as if it were not there."""
    queue = Queue(root)
    try:
        values = from_json(read_bounded(path, LARGEST_STATE))
    except (OSError, ValueError):
        return queue
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        return queue
    for name, into in (("jobs", queue.jobs), ("removed", queue.removed)):
        for key, job in _dict(values.get(name)).items():
            with suppress(KeyError, TypeError, ValueError):
                if not _is_plain(key):
                    continue
                recipes.from_dict(job["recipe"])
                into[key] = Job(job["recipe"], str(job["created"]))
    queue.waiting = [
        name
        for name in dict.fromkeys(_texts(values.get("queue")))
        if name in queue.jobs or (_is_plain(name) and (root / name / "run.json").is_file())
    ]
    queue.stopped = set(_texts(values.get("stopped")))
    queue.starred = set(_texts(values.get("starred")))
    queue.failed = {
        key: plain(text, 500)
        for key, text in _dict(values.get("failed")).items()
        if isinstance(text, str)
    }
    queue.first_run = values.get("first_run") is True
    running = _dict(values.get("running"))
    left, began = running.get("name"), running.get("began")
    if isinstance(left, str) and isinstance(began, int | float) and _is_plain(left):
        worker = Worker(left, queue.stop_path(left), float(began))
        if not worker.ended():  # the earlier lab was killed, the training was not
            queue.worker = worker
    return queue


def _is_plain(name: str, windows: bool = os.name == "nt") -> bool:
    """Whether a name is that of a folder beside the others, and leads nowhere else.

    On Windows ``C:x`` lies on another drive, and ``con`` is a device.
    """
    if windows and trouble_with_name(name):
        return False
    return not name.startswith(".") and not {*name} & {"/", "\\", "\0"} and 0 < len(name) < 256


def _move(folder: Path, target: Path) -> None:
    """Rename a run's folder. Raises LabError where Windows refuses it for an open file in it."""
    try:
        patiently(lambda: folder.rename(target), SHORT_PATIENCE_S)
    except PermissionError as error:
        if not is_held(error):
            raise
        raise LabError(
            409, f"another program has a file of {folder} open; close it there, then try again"
        ) from None


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: Any) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
