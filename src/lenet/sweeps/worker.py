"""A process that trains runs of a sweep, one after the other: ``python -m lenet.sweeps.worker``.

It reads a line of JSON from standard input, first where the sweep lies, then a job at a time, and
answers with lines of JSON on standard output. Where the input ends, because the sweep has ended or
was killed, it stops within a moment and leaves a checkpoint.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from functools import lru_cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from lenet import system
from lenet.sweeps.trial import Job, run_trial, to_dict


def main() -> None:
    """Do what standard input says until it ends."""
    for kind in system.stop_signals():
        signal.signal(kind, signal.SIG_IGN)  # Ctrl-C reaches the sweep, which then says stop
    # what a library prints must not stand between the answers
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    jobs: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
    stopped = threading.Event()

    def listen() -> None:
        for line in sys.stdin:
            order = json.loads(line)
            if order.get("stop"):
                break
            jobs.put(order)
        stopped.set()
        jobs.put(None)

    def answer(kind: str, values: Any) -> None:
        try:
            answers.write(json.dumps({kind: values}) + "\n")
            answers.flush()
        except OSError:  # the sweep has ended
            stopped.set()

    threading.Thread(target=listen, daemon=True).start()
    setup = jobs.get()
    if setup is None:
        return
    root = Path(setup["root"])
    load = lru_cache(maxsize=2)(lambda name: _load(name, setup["data_dir"]))
    while (order := jobs.get()) is not None and not stopped.is_set():
        job = job_from(order)

        def tell(epoch: float, val_acc: float | None, job: Job = job) -> None:
            answer("progress", {"name": job.name, "epoch": epoch, "val_acc": val_acc})

        result = run_trial(job, root, load, stopped.is_set, tell)
        answer("result", to_dict(result))


def job_from(values: dict[str, Any]) -> Job:
    """The job of a line: JSON has texts alone for keys."""
    thresholds = {int(epoch): value for epoch, value in values["thresholds"].items()}
    return Job(**{**values, "thresholds": thresholds})


def _load(name: str, data_dir: str | None) -> Any:
    from lenet import data

    return data.load(name, data_dir)


if __name__ == "__main__":
    main()
