"""The runs of a folder: found as they appear, looked at where something changes, given up."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lenet import runs
from lenet.lab.watching import Changes, Watched, watch
from lenet.untrusted import plain

SCANNING_S: Final = 0.05  # of a tick that new folders may take; the rest waits for the next ticks


@dataclass
class Found:
    """What is known of the folders in ``root``."""

    root: Path
    runs: dict[str, Watched] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)  # with a run that cannot be shown: why
    _root_time: int = 0
    _times: dict[str, int] = field(default_factory=dict)  # when they were last looked at

    def find(self, full: bool, *, first: bool = False) -> dict[str, Changes]:
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
            except Exception as wrong:  # one wrong folder hides no other run
                if os.path.lexists(self.root / name / "run.json"):
                    self.give_up(name, wrong)
                else:
                    self.damaged.pop(name, None)
                continue
            self.damaged.pop(name, None)
            self.runs[name] = watched
            appeared[name] = dataclasses.replace(changes, reset=True)
        return appeared

    def give_up(self, name: str, wrong: Exception) -> None:
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

    def look(self, watched: Watched, full: bool, *, ours: bool, ended: bool) -> Changes | None:
        """What is new in a run that trains, or whose folder has changed; None where nothing is.

        ``ours``: the lab's own training writes it; ``ended``: that has just ended.
        """
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
