"""The lab: the runs of a folder, the queue of trainings, and what is told to the open pages.

Everything here happens in the server's one loop; ``tick`` is called ten times a second.
"""

from __future__ import annotations

import dataclasses
import os
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import lenet
from lenet import runs, system, training
from lenet.lab import datasets
from lenet.lab.datasets import Described
from lenet.lab.errors import LabError
from lenet.lab.finding import Found
from lenet.lab.lessons.reading import built_in
from lenet.lab.new_training import asked_for, choices
from lenet.lab.queue import Queue, open_queue
from lenet.lab.watching import Changes, Watched, remarks_in_chinese
from lenet.language.asked import language_of
from lenet.language.chinese import in_chinese
from lenet.network.architecture import trace
from lenet.runs import preparing
from lenet.training import recipes
from lenet.untrusted import plain

SCAN_S: Final = 1.0  # how often folders are looked at in which nothing is known to happen
FIRST_RECIPE: Final = "quickstart"

Event = tuple[str, dict[str, Any]]


class Lab:
    """The state of one folder of runs, and the page's ``lessons`` besides ours.

    Raises LabError where another lab serves the folder.
    """

    def __init__(self, root: Path, lessons: Sequence[Mapping[str, Any]] = ()) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root.resolve()
        self.lessons = [*built_in(), *lessons]
        self.queue: Queue = open_queue(self.root)
        self.found = Found(self.root)
        self.runs: dict[str, Watched] = self.found.runs
        self.damaged: dict[str, str] = self.found.damaged
        self.trouble = ""  # why the lab itself cannot go on as it should
        self._warned: dict[str, Any] = {}  # what the pages know of these two
        self._told: dict[str, dict[str, Any]] = {}  # the summaries that the pages have
        self._scanned = -SCAN_S
        self._version = -1  # of the queue, when the pages were last told of it
        self._find_runs(full=True, first=True)
        self._names = set(self.names())
        self._warned = self.warnings()
        if not self.runs and not self.queue.jobs and not self.queue.first_run:
            self.queue.first_run = True
            self.queue.add(recipes.load(FIRST_RECIPE))

    # --- what is there ---

    def state(self) -> dict[str, Any]:
        """All that a page begins with."""
        return {
            "version": lenet.__version__,
            "language": language_of(os.environ),
            "token_needed": True,
            "folder": str(self.root),
            "runs": self.summaries(),
            "groups": self.groups(),
            "trash": self.queue.thrown_away(),
            **self.warnings(),
            **choices(),
            "data": [datasets.to_json(each) for each in self.data().values()],
        }

    def summaries(self) -> list[dict[str, Any]]:
        """Every run and every training that waits, oldest first."""
        found = []
        for name in self.names():
            try:
                found.append(self.summary(name))
            except Exception as wrong:  # a stranger's folder: whatever it is, the others are shown
                self.found.give_up(name, wrong)
        return sorted(found, key=lambda each: (each["started"] or "", each["name"]))

    def groups(self) -> list[dict[str, Any]]:
        """The folders of runs that belong together, such as a sweep's, and how many they hold."""
        with suppress(OSError):
            found = runs.list_groups(self.root)
            return [
                {
                    "name": plain(group.folder.name),
                    "runs": group.runs,
                    "folder": plain(system.quote(str(group.folder))),
                }
                for group in found
            ]
        return []

    def warnings(self) -> dict[str, Any]:
        """``damaged``: the folders whose run cannot be read, and why; ``trouble``: the lab's."""
        faults = {name: watched.fault for name, watched in self.runs.items() if watched.fault}
        listed = sorted((self.damaged | faults).items())
        return {
            "damaged": [
                {"name": plain(name), "reason": why, "reason_chinese": in_chinese(why)}
                for name, why in listed
            ],
            "trouble": self.trouble,
            "trouble_chinese": in_chinese(self.trouble),
        }

    def names(self) -> list[str]:
        """The names of all of them."""
        return list(dict.fromkeys([*self.runs, *self.queue.jobs]))

    def summary(self, name: str) -> dict[str, Any]:
        """A run in short. Raises LabError where there is none."""
        self.check(name)
        watched = self.runs.get(name)
        values = watched.summary() if watched else self._job_summary(name)
        status, message = self.status(name)
        if watched and watched.fault:
            message = watched.fault
        ours = watched is None or not watched.held or self.queue.runs(name)
        return {
            **values,
            "status": status,
            "message": message,
            "message_chinese": in_chinese(message),
            "diverged": status == "failed" and training.TRY_SMALLER in message,
            "starred": name in self.queue.starred,
            "ours": ours,
        }

    def status(self, name: str) -> tuple[str, str]:
        """queued, running, paused, stopped, failed or finished, and what there is to say of it."""
        queue, watched = self.queue, self.runs.get(name)
        outcome = watched.record.info["outcome"] if watched else {}
        said = str(outcome.get("message", ""))
        if name in queue.waiting:
            place = queue.waiting.index(name)
            return "queued", f"{place} before it" if place else ""
        if queue.runs(name):
            saved = outcome.get("status", "running") != "running"
            if not (queue.ending() and saved):  # else it is busy with its curves
                return "running", "writing its checkpoint" if queue.ending() else ""
        if watched and watched.held:
            return "running", "another program trains it; the lab can watch it, not pause it"
        status = outcome.get("status", "interrupted")
        if name in queue.failed and status != "finished":
            return "failed", queue.failed[name]
        if status in ("finished", "failed"):
            return status, said
        word = "stopped" if name in queue.stopped else "paused"
        killed = "its process was killed; it goes on from its last checkpoint"
        return word, killed if status == "running" else said

    def details(self, name: str) -> dict[str, Any]:
        """A run whole. Raises LabError where there is none."""
        summary = self.summary(name)
        if name in self.runs:
            return {**summary, **self.runs[name].details()}
        nothing = {"history": {column: [] for column in runs.COLUMNS}, "snapshots": []}
        no_remarks: dict[str, Any] = {"remarks": [], "remark_epochs": [], "chinese": {}}
        return {**summary, **nothing, **no_remarks, "info": None}

    def data(self) -> dict[str, Described]:
        """The data sets with a name and those of the runs, by their names in the page."""
        return datasets.known() | {each.data.name: each.data for each in self.runs.values()}

    def check(self, name: str) -> None:
        """Raise LabError unless there is a run or a training of that name, saying why."""
        if name not in self.runs and name not in self.queue.jobs:
            if name in self.damaged:
                raise LabError(404, self.damaged[name])
            raise LabError(404, f"there is no run called {name[:100]!r}")

    # --- what is asked ---

    def train(
        self,
        recipe: str,
        settings: dict[str, Any],
        network: str | None,
        text: str | None,
        data: str | None,
        name: str | None = None,
    ) -> str:
        """The name of a new training, put at the end of the queue; ``name`` where it was given one.

        Raises LabError, and the ValueErrors of what it is made of.
        """
        asked = asked_for(self.data(), recipe, settings, network, text, data)
        return self.queue.add(asked, name)

    def train_slower(self, name: str) -> str:
        """The name of a new training: one that went beyond numbers, at a tenth of its rate.

        Raises LabError for any other: there, going on does not come to the same end.
        """
        watched = self.runs.get(name)
        if not self.summary(name)["diverged"] or watched is None:
            raise LabError(409, f"the weights of {name} have not grown beyond what numbers hold")
        recipe = watched.recipe
        rate = float(f"{recipe.settings.schedule.learning_rate / 10:.6g}")
        slower = recipes.change(recipe, "schedule.learning_rate", rate)
        begun = re.sub(r"-rate-[\w.-]+$", "", name)  # a second time: of the first name again
        wanted = f"{begun[:40]}-rate-{rate:g}".replace("+", "")
        return self.queue.add(slower, self.queue.free_name(wanted))

    def pause(self, name: str, *, stopped: bool = False) -> None:
        """Let a training write a checkpoint and end; or take it out of the queue."""
        status, _ = self._own_status(name)
        if status not in ("running", "queued", *(["paused", "failed"] if stopped else [])):
            raise LabError(409, f"{name} is {status}; there is nothing to pause")
        self.queue.halt(name, stopped=stopped)

    def resume(self, name: str) -> None:
        """Put a training that is not finished back into the queue."""
        status, _ = self._own_status(name)
        if status == "finished":
            raise LabError(409, f"{name} is finished; start a new training with more epochs")
        if status == "running" and not self.queue.ending():
            raise LabError(409, f"{name} is training already")
        self.queue.go_on(name)

    def star(self, name: str, starred: bool) -> None:
        """Mark a run, or not."""
        self.check(name)
        self.queue.star(name, starred)

    def rename(self, name: str, wanted: str) -> str:
        """The new name of a run that does not train. Raises LabError."""
        status, _ = self._own_status(name)
        if status == "running" or self.queue.runs(name):
            raise LabError(
                409, f"{name} is training; pause it first, or wait until it has finished"
            )
        new = self.queue.rename(name, wanted)
        if self.runs.pop(name, None) is not None:
            self._find_runs(full=True)
        return new

    def delete(self, name: str) -> None:
        """Throw a run away; it can be restored for 30 days."""
        status, _ = self._own_status(name)
        if status == "running" or self.queue.runs(name):
            raise LabError(409, f"{name} is training; stop it first, and wait a moment")
        self.queue.delete(name)
        self.runs.pop(name, None)

    def restore(self, name: str) -> None:
        """Bring back what was thrown away."""
        if name in self.runs or name in self.queue.jobs:
            raise LabError(409, f"{name} is there already")
        self.queue.restore(name)

    # --- what goes on by itself ---

    def tick(self) -> list[Event]:
        """What has changed: the events for the pages. Called often."""
        worker = self.queue.worker
        self.queue.tick()
        ended = worker.name if worker and worker is not self.queue.worker else ""
        now = time.monotonic()
        full = now - self._scanned >= SCAN_S
        if full:
            self._scanned = now
        events: list[Event] = []
        appeared = self._find_runs(full)  # and all that is in them
        touched, self._version = self._version != self.queue.version, self.queue.version
        for name, watched in [*self.runs.items()]:
            try:
                changes = appeared.get(name) or self.found.look(
                    watched, full, ours=self.queue.runs(name), ended=name == ended
                )
                if touched or changes is not None:
                    events += self._tell(name, changes or Changes())
            except Exception as wrong:  # a stranger's folder: the others are watched on
                self.found.give_up(name, wrong)
        for name in self.queue.jobs:
            if touched and name not in self.runs:
                events += self._tell(name, Changes())
        before, self._names = self._names, set(self.names())
        gone = sorted(before - self._names)
        thrown_away = self.queue.thrown_away() if gone else []
        for name in gone:
            self._told.pop(name, None)
            events.append(("removed", {"name": name, "restorable": name in thrown_away}))
        return events + self.new_warnings()

    def new_warnings(self) -> list[Event]:
        """The event that tells the pages of damaged runs and trouble, where it is news."""
        warnings = self.warnings()
        if warnings == self._warned:
            return []
        self._warned = warnings
        return [("warnings", warnings)]

    def shut_down(self, patience_s: float) -> None:
        """Pause what trains, keep the queue as it is, and let the folder go."""
        try:
            self.queue.wait(patience_s, self._has_ended)
        finally:
            with suppress(OSError):
                self.queue.save()
            self.queue.close()

    def _find_runs(self, full: bool, *, first: bool = False) -> dict[str, Changes]:
        """The runs that have appeared: a training that waited for its folder has it."""
        appeared = self.found.find(full, first=first)
        for name in appeared:
            if self.queue.jobs.pop(name, None):
                self.queue.save()
        return appeared

    def _tell(self, name: str, changes: Changes) -> list[Event]:
        """An event where the pages do not know all of it."""
        summary = self.summary(name)
        if not changes and self._told.get(name) == summary:
            return []
        self._told[name] = summary
        watched = self.runs.get(name)
        event: dict[str, Any] = {
            "summary": summary,
            "readings": [dataclasses.asdict(reading) for reading in changes.readings],
            "snapshots": watched.snapshots_json(changes.snapshots) if watched else [],
            "remarks": [remark.text for remark in changes.remarks],
            "chinese": remarks_in_chinese(changes.remarks),
            "remark_epochs": [watched.epoch_of(r) for r in changes.remarks] if watched else [],
            "gone": changes.gone,
            "reset": changes.reset,
        }
        return [("run", event)]

    def _own_status(self, name: str) -> tuple[str, str]:
        """The status; LabError for a run that another program trains."""
        self.check(name)
        watched = self.runs.get(name)
        if watched and not self.queue.runs(name):
            if watched.ask_lock():
                self._version = -1  # the pages are to be told
            if watched.held:
                raise LabError(409, f"another program trains {name}; end it where it was started")
        return self.status(name)

    def _has_ended(self, name: str) -> bool:
        """Whether a run's outcome is written."""
        try:
            return runs.read(self.root / name, history=False).status != "running"
        except runs.RunError:
            return False

    def _job_summary(self, name: str) -> dict[str, Any]:
        """A training that has no folder yet, as a run's summary."""
        job = self.queue.jobs[name]
        recipe = recipes.from_dict(job.recipe)
        described = next((d for d in self.data().values() if d.source == recipe.data), None)
        parameters = 0
        if described is not None:
            with suppress(ValueError):
                built = preparing.build_network(recipe, described.shape, described.classes)
                parameters = sum(row.parameters for row in trace(built))
        return {
            "name": name,
            "started": job.created,
            "recipe": job.recipe,
            "network": recipe.network,
            "parameters": parameters,
            "data": described.name if described else recipe.data,
            "epochs": recipe.settings.epochs,
            "epochs_done": 0,
            "last": None,
            "last_test_acc": None,
            "wall_s": 0,
            "examples_per_s": None,
            "engine": None,
        }
