"""A process that is ``lenet`` with a stopwatch: where the time of a command goes.

    python -P stages.py REPORT STARTED train d2l --out …

It is run as a file, and loads next to nothing of its own, so that the command starts as it does for
its user. REPORT is the file that the seconds are written to, STARTED the ``time.perf_counter()`` at
which this process was started: that clock is the same for all processes of a machine.

Every moment of the main thread counts for one stage, the innermost that it is in; a collection of
garbage counts for none of them but its own. What no stage holds is Python. What other threads do
meanwhile takes no time of its own, but its processor time is counted where it falls.
"""

from __future__ import annotations

import builtins
import gc
import sys
import time
from _thread import get_ident
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

START, IMPORTS, DATA = "start", "imports", "data"
TRAINING, EVALUATING = "training", "evaluating"
CURVES, FILES, GARBAGE, PYTHON, EXIT = "curves", "files", "garbage", "python", "exit"

# What is timed, by module: a function of it, or a method. The names are replaced as soon as their
# module is loaded, before others take them from it.
TIMED = {
    "lenet.data": {"load": DATA},
    "lenet.engines.native": {"NativeEngine.train": TRAINING, "NativeEngine.evaluate": EVALUATING},
    "lenet.engines.numpy": {"NumpyEngine.train": TRAINING, "NumpyEngine.evaluate": EVALUATING},
    "lenet.engines.torch": {"TorchEngine.train": TRAINING, "TorchEngine.evaluate": EVALUATING},
    "lenet.files": {"write_atomically": FILES},
    "lenet.runs.run": {
        "create": FILES,
        "Run._add_reading": FILES,
        "Run._save": FILES,
        "Run.finish": FILES,
    },
    "lenet.runs.experiments": {"draw_curves": CURVES},
}


class Stopwatch:
    """Seconds by stage, of the clock and of all this process's threads."""

    def __init__(self) -> None:
        self.wall_s: dict[str, float] = {}
        self.cpu_s: dict[str, float] = {}
        self._stages = [PYTHON]
        self.main = (
            get_ident()
        )  # this is made in the main thread; functions may be wrapped in others
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def enter(self, stage: str) -> None:
        """From now on the time counts for this stage."""
        self._count()
        self._stages.append(stage)

    def leave(self) -> None:
        """From now on it counts for the stage before."""
        self._count()
        self._stages.pop()

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose time counts for the stage; in the main thread, as all that is."""

        def watched(*args: Any, **kwargs: Any) -> Any:
            # an import within an import, of which there are thousands, is in its stage already
            if get_ident() != self.main or self._stages[-1] == stage:
                return function(*args, **kwargs)
            self.enter(stage)
            try:
                return function(*args, **kwargs)
            finally:
                self.leave()

        return watched

    def _count(self) -> None:
        wall, cpu, stage = time.perf_counter(), time.process_time(), self._stages[-1]
        self.wall_s[stage] = self.wall_s.get(stage, 0.0) + wall - self._wall
        self.cpu_s[stage] = self.cpu_s.get(stage, 0.0) + cpu - self._cpu
        self._wall, self._cpu = wall, cpu


def watch_imports(stopwatch: Stopwatch) -> None:
    """Time what loads modules, and time what ``TIMED`` names once it is loaded."""
    load = builtins.__import__
    loading = stopwatch.timed(IMPORTS, load)
    waiting = {module: dict(names) for module, names in TIMED.items()}

    def importing(name: str, *args: Any, **kwargs: Any) -> Any:
        loaded = loading(name, *args, **kwargs)
        if get_ident() != stopwatch.main:  # one thread replaces the names, each of them once
            return loaded
        for module in [module for module in waiting if module in sys.modules]:
            found = sys.modules[module]
            for path in [*waiting[module]]:
                *owners, attribute = path.split(".")
                owner: Any = found
                for step in owners:
                    owner = getattr(owner, step, None)
                function = getattr(owner, attribute, None)
                if function is not None:  # else the module is still being loaded
                    stage = waiting[module].pop(path)
                    setattr(owner, attribute, stopwatch.timed(stage, function))
            if not waiting[module]:
                del waiting[module]
        return loaded

    builtins.__import__ = importing


def watch_garbage(stopwatch: Stopwatch) -> None:
    """Time the collections of garbage."""

    def collecting(phase: str, info: dict[str, int]) -> None:
        if get_ident() == stopwatch.main:
            stopwatch.enter(GARBAGE) if phase == "start" else stopwatch.leave()

    gc.callbacks.append(collecting)


def main() -> None:
    """Run the command of the command line; write where its time went."""
    stopwatch, cpu_s = Stopwatch(), time.process_time()
    report, started, *arguments = sys.argv[1:]
    start_s = time.perf_counter() - float(started)
    sys.argv[:] = ["lenet", *arguments]
    watch_imports(stopwatch)
    watch_garbage(stopwatch)
    try:
        import_module("lenet.__main__").main()
    finally:
        stopwatch.enter(EXIT)
        import json

        wall, cpu = {START: start_s, **stopwatch.wall_s}, {START: cpu_s, **stopwatch.cpu_s}
        values = {"wall_s": wall, "cpu_s": cpu, "ended": time.perf_counter()}
        with open(report, "w", encoding="utf-8") as file:
            json.dump(values, file)


if __name__ == "__main__":
    main()
