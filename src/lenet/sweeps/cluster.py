"""Runs of a sweep on a Ray cluster: each a task, which is tried again where its machine is lost.

A task trains in a folder of its own and sends that back: nothing needs a disk that all machines
share. The pictures are sent once to each machine. LeNet must be installed on all of them.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lenet.data import Dataset
from lenet.files import discard, read_bounded, write_atomically
from lenet.installing import how_to_install
from lenet.runs.checkpoints import NAME, checkpoint_files
from lenet.sweeps.local import Tell
from lenet.sweeps.plan import SweepError
from lenet.sweeps.trial import BROKEN, FAILED, STOPPED, Job, Result, run_trial
from lenet.untrusted import shown

LARGEST: Final = 1_000_000_000  # bytes of a file
REACHED_S: Final = 10.0
RETRIES: Final = 10  # of a task whose machine or process is lost
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
                    said = str(error).strip().split("\n")[0][:500]
                    yield Result(job.setting, job.seed, FAILED, message=f"lost on Ray: {said}")
                    continue
                if result.state not in (BROKEN, STOPPED):
                    write_files(self.root / job.name, files)
                yield result

    def close(self) -> None:
        """Leave the cluster."""
        import ray

        with suppress(Exception):
            ray.shutdown()


def connect(address: str, loaded: Dataset, threads: int, root: Path = Path()) -> RayPool:
    """A pool on the cluster at ``address``; "auto" is the one of this machine, or a new one.

    ``root`` is where the runs come to lie: it may be set later.

    Raises SweepError where there is none, or Ray is not installed.
    """
    try:
        import ray
    except ImportError:
        raise SweepError(f"--ray needs Ray: {how_to_install('scale')}") from None
    if address != "auto":
        _check_reachable(address)
    try:
        _initialize(ray, address)
    except Exception as error:  # Ray raises of every kind
        said = str(error).strip().split("\n")[0][:300]
        raise SweepError(f"no Ray cluster at {address}: {said}") from None
    task = ray.remote(num_cpus=threads, max_retries=RETRIES)(_train)
    return RayPool(root, ray.put(loaded), threads, task)


def _check_reachable(address: str) -> None:
    """Raise SweepError where nobody listens: Ray would try for minutes, and print what it tries."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise SweepError(f"--ray {shown(address)}: give auto, or an address such as 10.0.0.1:6379")
    try:
        socket.create_connection((host, int(port)), timeout=REACHED_S).close()
    except (OSError, OverflowError) as error:
        raise SweepError(
            f"no Ray cluster at {shown(address)}: {error}. 'ray start --head' on its first machine "
            "begins one and prints its address"
        ) from None


def _initialize(ray: Any, address: str) -> None:
    quiet = {"log_to_driver": False, "logging_level": "error", "include_dashboard": False}
    if address != "auto":
        ray.init(address=address, **{k: v for k, v in quiet.items() if k != "include_dashboard"})
        return
    try:
        ray.init(address="auto", log_to_driver=False, logging_level="error")
    except ConnectionError:
        ray.init(address="local", **quiet)


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
