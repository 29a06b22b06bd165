"""The lab: the runs of a folder, the queue of trainings, and what is told to the open pages.

Everything here happens in the server's one loop; ``tick`` is called ten times a second.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import lenet
from lenet import engines, runs, system, training
from lenet.lab import datasets
from lenet.lab.datasets import Described
from lenet.lab.jobs import LabError, Queue, open_queue
from lenet.lab.lessons.reading import built_in
from lenet.lab.watching import Changes, Watched, remarks_in_chinese, watch
from lenet.language.asked import language_of
from lenet.language.chinese import in_chinese
from lenet.network import layer_text, zoo
from lenet.network.architecture import Network, to_dict, trace
from lenet.runs import preparing
from lenet.training import recipes
from lenet.training.defaults import fit_to_few
from lenet.training.recipes import Recipe
from lenet.untrusted import plain

SCAN_S: Final = 1.0  # how often folders are looked at in which nothing is known to happen
SCANNING_S: Final = 0.05  # of a tick that new folders may take; the rest waits for the next ticks
FIRST_RECIPE: Final = "quickstart"
MOST_PARAMETERS: Final = 8_000_000
MOST_ACTIVATIONS: Final = 250_000_000  # 1 GB
OWN_NETWORK: Final = "own"  # the name of a network that was written in the page

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
        self.runs: dict[str, Watched] = {}
        self.damaged: dict[str, str] = {}  # folders that hold a run which cannot be shown, and why
        self.trouble = ""  # why the lab itself cannot go on as it should
        self._warned: dict[str, Any] = {}  # what the pages know of these two
        self._told: dict[str, dict[str, Any]] = {}  # the summaries that the pages have
        self._root_time = 0
        self._times: dict[str, int] = {}  # of the folders, when they were last looked at
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
            **_choices(),
            "data": [datasets.to_json(each) for each in self.data().values()],
        }

    def summaries(self) -> list[dict[str, Any]]:
        """Every run and every training that waits, oldest first."""
        found = []
        for name in self.names():
            try:
                found.append(self.summary(name))
            except Exception as wrong:  # a stranger's folder: whatever it is, the others are shown
                self._give_up(name, wrong)
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
        if recipe not in recipes.names():
            recipes.load(recipe.removesuffix(".toml"))  # says which there are; reads no file
        asked = _changed(recipes.load(recipe), settings)
        known = self.data()
        chosen = known.get(asked.data if data is None else data)
        if chosen is None:
            name = asked.data if data is None else data
            raise LabError(422, f"no data set is called {name[:100]!r} here")
        if not chosen.here:
            raise LabError(
                422, f"{chosen.title} is not here: lenet data get {chosen.source} fetches it"
            )
        asked = recipes.change(asked, "data", chosen.source)
        if text is not None:
            layers = layer_text.to_text(layer_text.parse(text))
            asked = recipes.change(asked, "layers", layers)
            own = network is not None and network not in zoo.NETWORKS
            asked = recipes.change(asked, "network", network if own else OWN_NETWORK)
        elif network is not None:
            asked = recipes.change(recipes.change(asked, "network", network), "layers", "")
        preparing.check(asked)
        asked, _ = fit_to_few(asked, settings, int(chosen.train * (1 - asked.val)))
        built = preparing.build_network(asked, chosen.shape, chosen.classes)
        engines.choose("auto", built, "cpu")  # says which layer none computes
        check_size(built, asked.settings.batch_size)
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
                changes = appeared.get(name) or self._look(watched, full, name == ended)
                if touched or changes is not None:
                    events += self._tell(name, changes or Changes())
            except Exception as wrong:  # a stranger's folder: the others are watched on
                self._give_up(name, wrong)
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
        """Watch the folders that have appeared, forget those that have gone; the new ones.

        ``first``: before there is anybody to wait, all of them, with the whole of their histories.
        """
        try:
            changed = os.stat(self.root).st_mtime_ns
        except OSError:
            changed = 0
        if changed == self._root_time and not full:
            return {}
        self._root_time = changed
        there = set()
        with suppress(OSError), os.scandir(self.root) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                    there.add(entry.name)
        for known in (self.runs, self._times, self.damaged):
            for name in known.keys() - there:
                del known[name]
        appeared: dict[str, Changes] = {}
        began = time.monotonic()
        for name in sorted(there - self.runs.keys()):
            if not first and time.monotonic() - began > SCANNING_S:
                self._root_time = 0  # go on at the next tick
                break
            if not self._folder_changed(name):
                continue  # it was no run the last time
            try:
                watched = watch(self.root / name)
                changes = watched.look(runs.LARGEST_HISTORY) if first else watched.look()
                watched.ask_lock()
            except Exception as wrong:  # a stranger's folder: the others are found
                if os.path.lexists(self.root / name / "run.json"):
                    self._give_up(name, wrong)
                else:
                    self.damaged.pop(name, None)
                continue
            self.damaged.pop(name, None)
            self.runs[name] = watched
            appeared[name] = dataclasses.replace(changes, reset=True)
            if self.queue.jobs.pop(name, None):
                self.queue.save()
        return appeared

    def _give_up(self, name: str, wrong: Exception) -> None:
        """Show a run no more, and say why, until something changes in its folder."""
        reason = (
            str(wrong)
            if isinstance(wrong, runs.RunError)
            else f"{name} cannot be shown: {type(wrong).__name__}, a mistake of this program"
        )
        if self.damaged.get(name) != reason:
            print(f"lenet: {plain(reason, 1_000)}", file=sys.stderr)
        self.damaged[name] = plain(reason, 1_000)
        self.runs.pop(name, None)

    def _look(self, watched: Watched, full: bool, ended: bool) -> Changes | None:
        """What is new in a run that trains, or whose folder has changed; None where nothing is."""
        ours = self.queue.runs(watched.name)
        busy = ours or ended or watched.held or watched.behind
        says_so = watched.record.status == "running"  # or was killed: its lock tells
        if not busy and not (full and (says_so or self._folder_changed(watched.name))):
            return None
        try:
            changes = watched.look()
        except (runs.RunError, OSError):
            return None  # gone: the next scan says
        turned = False
        if ours:
            watched.held = False
        elif full:
            turned = watched.ask_lock()
        return changes if changes or turned else None

    def _folder_changed(self, name: str) -> bool:
        """Whether something appeared in a run's folder, or was put in another's place."""
        try:
            now = (self.root / name).stat().st_mtime_ns
        except OSError:
            now = 0
        changed = self._times.get(name) != now
        self._times[name] = now
        return changed

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


def check_size(network: Network, batch_size: int) -> None:
    """Raise LabError for a network that the page could not show, or that fills the memory."""
    rows = trace(network)
    parameters = sum(row.parameters for row in rows)
    if parameters > MOST_PARAMETERS:
        raise LabError(
            422,
            f"{parameters:,} parameters are more than the lab shows ({MOST_PARAMETERS:,}); "
            "lenet train trains larger ones",
        )
    units = sum(math.prod(row.output_shape) for row in rows)
    if units * batch_size > MOST_ACTIVATIONS:
        raise LabError(
            422,
            f"a batch of {batch_size:,} pictures would have {units * batch_size:,} activations, "
            f"more than {MOST_ACTIVATIONS:,}; take a smaller batch or fewer channels",
        )


def _changed(recipe: Recipe, settings: dict[str, Any]) -> Recipe:
    """The recipe with these dotted keys changed, all at once: they are checked together."""
    values, known = recipes.to_dict(recipe), set(recipes.keys())
    for key, value in settings.items():
        if key not in known:
            recipes.change(recipe, key, value)  # says what is near
        section, _, inner = key.partition(".")
        if inner:
            values[section] = {**values[section], inner: value}
        else:
            values[section] = value
    return recipes.from_dict(values)


@functools.cache
def _choices() -> dict[str, Any]:
    """The recipes and networks that come with the package."""
    return {
        "recipes": [_recipe_json(name) for name in recipes.names()],
        "networks": [_network_json(name) for name in zoo.NETWORKS],
    }


def _recipe_json(name: str) -> dict[str, Any]:
    recipe = recipes.to_dict(recipes.load(name))
    for row in recipe["published"]:
        row["source_chinese"] = in_chinese(row["source"])
    return {**recipe, "title_chinese": in_chinese(recipe["title"])}


def _network_json(name: str) -> dict[str, Any]:
    """A network of the zoo for its own pictures, as data and as lines that can be edited."""
    network = zoo.build(name)
    return {
        "name": name,
        "text": layer_text.to_text(network.layers),
        "network": to_dict(network),
    }
