"""Records: the least time to a mark, of ``lenet train`` from the start of its process.

    python bench/records.py [--seeds 20] [--only record-mnist] [--tutorials 1] [--json FILE]

Every seed is a process of its own: it starts, reads the whole data set from the disk, checks it,
trains, evaluates on the test set once, writes its run and draws its curves. Three times are taken:
to the line that tells the test accuracy, to the exit, and of the training alone. A record counts
where the mean test accuracy of all seeds is at or above the mark; no seed is left out. The settings
were chosen on a held-out part of the training pictures (docs/records.md).

``--tutorials N`` runs the tutorials' way N times beside it: the loop of the book on the same
pictures, ten epochs, as a process that starts, reads, trains and prints. It takes minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from lenet import data, runs
from lenet.benchmark import Spread
from lenet.machine import processor

MARKS = {"record-fashion": 0.816, "record-fashion-90": 0.90, "record-mnist": 0.99}
TUTORIAL = Path(__file__).with_name("whole_run.py")


@dataclass(frozen=True)
class Try:
    """What one process reached, and how long it took."""

    test_acc: float
    told_s: float  # to the line with the test accuracy
    whole_s: float  # to the exit
    train_s: float  # of training alone


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", choices=MARKS, action="append")
    parser.add_argument("--tutorials", type=int, default=0, help="times that the book's loop runs")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    for name in ("fashion-mnist", "mnist"):
        if not data.available(name):
            parser.exit(1, f"{name} is not here; 'lenet data get {name}' downloads it\n")
    load_average = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    found = {}
    for recipe in arguments.only or MARKS:
        tries = [attempt(recipe, seed) for seed in range(arguments.seeds)]
        found[recipe] = tries
        print(told(recipe, tries), flush=True)
    tutorials_s = []
    for _ in range(arguments.tutorials):
        # PyTorch warns of four workers on fewer CPUs; the tutorials have them all the same
        command = [sys.executable, "-W", "ignore", str(TUTORIAL), "--tutorial", "--epochs", "10"]
        started = time.perf_counter()
        said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        tutorials_s.append(time.perf_counter() - started)
        print(f"the tutorials' way: {tutorials_s[-1]:.1f} s ({said.strip()})", flush=True)
    if arguments.json:
        versions = {name: version(name) for name in ("lenet", "numpy")}
        facts = {
            "records": {name: [asdict(one) for one in tries] for name, tries in found.items()},
            "marks": {name: MARKS[name] for name in found},
            "tutorials_s": tutorials_s,
            "machine": {
                "system": platform.platform(),
                "processor": processor(),
                "cpus": os.cpu_count(),
            },
            "load_average": load_average,  # before the start: others' work makes it slower
            "versions": {"python": platform.python_version(), **versions},
            "command": shlex.join(["python", *sys.argv]),
        }
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def attempt(recipe: str, seed: int) -> Try:
    """Train one seed in a process of its own, from its start to its exit."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "lenet", "train", recipe]
        started = time.perf_counter()
        with subprocess.Popen(
            [*command, "--seed", str(seed), "--out", str(out)], stdout=subprocess.PIPE, text=True
        ) as process:
            told_s = 0.0
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("epoch "):  # the last of them is the one that counts
                    told_s = time.perf_counter() - started
        whole_s = time.perf_counter() - started
        if process.returncode:
            raise SystemExit(f"{shlex.join(command)} --seed {seed} failed")
        outcome = runs.read(out).info["outcome"]
    train_s = outcome["examples_seen"] / outcome["examples_per_s"]
    return Try(outcome["last"]["test_acc"], told_s, whole_s, train_s)


def told(recipe: str, tries: list[Try]) -> str:
    """A line for the table: what was reached and how long it took."""
    reached = [one.test_acc for one in tries]
    mean = statistics.fmean(reached)
    deviation = statistics.stdev(reached) if len(tries) > 1 else 0.0
    mark = MARKS[recipe]
    times = (
        f"{name} {spread.median:.2f} s ({spread.min:.2f} to {spread.max:.2f})"
        for name, spread in (
            ("to the accuracy", Spread.of([one.told_s for one in tries])),
            ("whole", Spread.of([one.whole_s for one in tries])),
            ("training alone", Spread.of([one.train_s for one in tries])),
        )
    )
    verdict = "reached" if mean >= mark else "MISSED"
    return (
        f"{recipe}: test accuracy {mean:.4f} ± {deviation:.4f}, n = {len(tries)}, "
        f"mark {mark} {verdict}; {', '.join(times)}"
    )


if __name__ == "__main__":
    main()
