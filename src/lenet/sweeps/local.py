"""Runs of a sweep on this machine: several processes, together as many threads as processors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, Protocol

from lenet.sweeps.trial import FAILED, Job, Result

LAST_S: Final = 20.0  # that a process may take to write its last checkpoint
TRIES: Final = 2  # of a run whose process ends under it
# so that the libraries below NumPy and PyTorch do not take every processor for each process
THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Tell = Callable[[str, float, float | None], None]  # a run's name, its epoch, its val_acc


class Pool(Protocol):
    """What trains the runs of a sweep."""

    def results(
        self, jobs: Sequence[Job], tell: Tell, stop: Callable[[], bool]
    ) -> Iterator[Result]:
        """The results, in the order in which the runs end; fewer where ``stop()`` comes true."""
        ...

    def close(self) -> None:
        """End what runs."""
        ...


def shares(runs: int, cpus: int, jobs: int | None, threads: int | None) -> tuple[int, int]:
    """How many processes, and how many threads each: together no more than there are processors.

    Raises ValueError where more were asked for.

    >>> shares(40, 8, None, None), shares(2, 8, None, None), shares(40, 8, 2, None)
    ((8, 1), (2, 4), (2, 4))
    """
    for name, value in (("--jobs", jobs), ("--threads", threads)):
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}, must be at least 1")
    if jobs is None:
        jobs = max(1, min(runs, cpus // (threads or 1)))
    if threads is None:
        threads = max(1, cpus // jobs)
    if jobs * threads > max(cpus, 1) and (jobs, threads) != (1, 1):
        raise ValueError(
            f"{jobs} processes with {threads} threads each are {jobs * threads} threads, and this "
            f"machine has {cpus} processors: lower --jobs or --threads"
        )
    return jobs, threads


@dataclass
class _Worker:
    """A process, and the job it does."""

    process: subprocess.Popen[bytes]
    job: Job | None = None


@dataclass
class LocalPool:
    """Processes that live as long as the sweep does, started when there is work for them."""

    root: Path
    jobs: int
    data_dir: Path | None = None
    threads: int = 1
    _workers: list[_Worker] = field(default_factory=list)
    _events: SimpleQueue[tuple[_Worker, dict[str, Any] | None]] = field(default_factory=SimpleQueue)

    def results(
        self, jobs: Sequence[Job], tell: Tell, stop: Callable[[], bool]
    ) -> Iterator[Result]:
        """As ``Pool`` says. A process that ends under a run is replaced, and the run goes on."""
        waiting = list(reversed(jobs))
        tries: dict[str, int] = {}
        stopped_at: float | None = None
        while waiting or any(worker.job for worker in self._workers):
            if stopped_at is None and stop():
                stopped_at, waiting = time.monotonic(), []
                for worker in self._workers:
                    _send(worker.process, {"stop": True})
            if stopped_at is None:
                self._give_out(waiting)
            elif time.monotonic() > stopped_at + LAST_S:
                return
            try:
                worker, event = self._events.get(timeout=0.1)
            except Empty:
                continue
            if event is None:
                self._workers.remove(worker)
                code = worker.process.wait()
                _close_pipes(worker.process)
                job, worker.job = worker.job, None
                if job is None or stopped_at is not None:
                    continue
                tries[job.name] = tries.get(job.name, 0) + 1
                if tries[job.name] < TRIES:
                    waiting.append(job)
                else:
                    said = f"its process ended with exit code {code}, {TRIES} times"
                    yield Result(job.setting, job.seed, FAILED, message=said)
            elif "progress" in event:
                tell(*event["progress"].values())
            else:
                worker.job = None
                values = event["result"]
                yield Result(**{**values, "curve": tuple(values["curve"])})

    def _give_out(self, waiting: list[Job]) -> None:
        while waiting:
            idle = next((worker for worker in self._workers if worker.job is None), None)
            if idle is None:
                if len(self._workers) >= self.jobs:
                    return
                idle = self._start()
            idle.job = waiting.pop()
            job = {**asdict(idle.job), "recipe": dict(idle.job.recipe)}
            _send(idle.process, job)

    def _start(self) -> _Worker:
        environment = {**os.environ, **dict.fromkeys(THREADS, str(self.threads))}
        with (self.root / "workers.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "lenet.sweeps.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
            )
        worker = _Worker(process)
        self._workers.append(worker)
        data_dir = None if self.data_dir is None else str(self.data_dir)
        _send(process, {"root": str(self.root), "data_dir": data_dir})
        threading.Thread(target=self._listen, args=(worker,), daemon=True).start()
        return worker

    def _listen(self, worker: _Worker) -> None:
        assert worker.process.stdout is not None
        with suppress(ValueError, OSError):  # a line that is cut off: the process was killed
            for line in worker.process.stdout:
                self._events.put((worker, json.loads(line)))
        self._events.put((worker, None))

    def close(self) -> None:
        """Let the processes end by themselves; who does not is ended."""
        for worker in self._workers:
            with suppress(OSError):
                if worker.process.stdin:
                    worker.process.stdin.close()
        for worker in self._workers:
            try:
                worker.process.wait(LAST_S)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            _close_pipes(worker.process)
        self._workers.clear()


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):  # what it did not read any more
            if pipe:
                pipe.close()


def _send(process: subprocess.Popen[bytes], values: dict[str, Any]) -> None:
    with suppress(OSError):  # it has ended: its reader says so
        assert process.stdin is not None
        process.stdin.write(json.dumps(values).encode() + b"\n")
        process.stdin.flush()
