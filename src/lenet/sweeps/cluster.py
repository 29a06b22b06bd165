"""Runs of a sweep on a Ray cluster: each a task, which is tried again where its machine is lost.

A task trains in a folder of its own and sends that back: nothing needs a disk that all machines
share. The pictures are sent once to each machine. LeNet must be installed on all of them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lenet import clusters
from lenet.data import Dataset
from lenet.files import discard, read_bounded, write_atomically
from lenet.runs.checkpoints import NAME, checkpoint_files
from lenet.sweeps.local import Tell
from lenet.sweeps.plan import SweepError
from lenet.sweeps.trial import BROKEN, FAILED, STOPPED, Job, Result, run_trial
from lenet.untrusted import shown

LARGEST: Final = 1_000_000_000  # bytes of a file
FILES: Final = ("run.json", "history.csv", "remarks.jsonl", "model.safetensors")
Files = dict[str, bytes]  # of a run's folder, by path in it


@dataclass
class RayPool:
    """The runs of a sweep as tasks of a cluster."""

    root: Path
    pictures: Any  # where the cluster keeps them
    threads: int
    task: Any

    def results(
        self, jobs: Sequence[Job], tell: Tell, stop: Callable[[], bool]
    ) -> Iterator[Result]:
        """As ``Pool`` says; what a task was at when ``stop()`` comes true is trained again."""
        import ray

        waiting = {}
        for job in jobs:
            there = read_files(self.root / job.name)
            waiting[self.task.remote(job, there, self.pictures)] = job
        while waiting:
            if stop():
                for task in waiting:
                    ray.cancel(task, force=True)
                return
            ended, _ = ray.wait(list(waiting), num_returns=1, timeout=0.2)
            for task in ended:
                job = waiting.pop(task)
                try:
                    result, files = ray.get(task)
                except ray.exceptions.RayError as error:
                    said = f"lost on Ray: {clusters.first_line(error)}"
                    yield Result(job.setting, job.seed, FAILED, message=said)
                    continue
                if result.state not in (BROKEN, STOPPED):
                    write_files(self.root / job.name, files)
                yield result

    def close(self) -> None:
        """Leave the cluster."""
        clusters.leave()


def connect(address: str, loaded: Dataset, threads: int, root: Path = Path()) -> RayPool:
    """A pool on the cluster at ``address``; "auto" is the one of this machine, or a new one.

    ``root`` is where the runs come to lie: it may be set later.

    Raises ClusterError where there is none, or Ray is not installed.
    """
    ray = clusters.join(address)
    task = ray.remote(num_cpus=threads, max_retries=clusters.RETRIES)(_train)
    return RayPool(root, ray.put(loaded), threads, task)


def _train(job: Job, files: Files, loaded: Dataset) -> tuple[Result, Files]:
    """A task: the job's result, and the run's folder."""
    with tempfile.TemporaryDirectory(prefix="lenet-sweep-") as root:
        folder = Path(root) / job.name
        write_files(folder, files)
        result = run_trial(job, Path(root), lambda name: loaded)
        return result, read_files(folder)


def read_files(folder: Path) -> Files:
    """What the next step of a run depends on, and its result; nothing where there is no run."""
    paths = [*(folder / name for name in FILES), *checkpoint_files(folder)[-1:]]
    return {
        path.relative_to(folder).as_posix(): read_bounded(path, LARGEST)
        for path in paths
        if os.path.lexists(path)
    }


def write_files(folder: Path, files: Files) -> None:
    """Put them into the run's folder, run.json last: without it, it is no run yet."""
    if not files:
        return
    for name in files:
        own = name.removeprefix("checkpoints/")
        if name not in FILES and not (own != name and NAME.fullmatch(own)):
            raise SweepError(f"a task sent {shown(name)}, which is no file of a run")
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    for name in sorted(files, key=lambda name: name == "run.json"):
        write_atomically(folder / name, files[name])
    new = {Path(name).name for name in files}
    for old in checkpoint_files(folder):
        if old.name not in new:
            discard(old)
