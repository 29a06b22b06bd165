"""The tutorials as they stand under `lenet run`, over seeds: published beside measured, wall time.

    python bench/tutorials.py ../shared/seeds/*.txt --seeds 3 --json bench/results/tutorials.json

Each run is a whole `lenet run FILE --seed N`, with the numbers of epochs that the file has. The
figures are those that its last cell with figures prints. Hours, not minutes: see --seeds, --epochs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# What the texts print at their end; by the number that their names begin with.
PUBLISHED = {
    "001": {"train_loss": 0.485, "train_acc": 0.814, "test_acc": 0.816},
    "003": {"test_loss": 0.0380, "test_acc": 0.9879},
    "004": {"train_loss": 0.470, "train_acc": 0.824, "test_acc": 0.805},
}
LINES = (  # the lines with figures that the tutorials print
    (
        re.compile(r"^loss ([\d.]+|nan), train acc ([\d.]+), test acc ([\d.]+)$"),
        ("train_loss", "train_acc", "test_acc"),
    ),
    (re.compile(r"^epoch: \d+, loss: ([\d.]+|nan), acc: ([\d.]+)$"), ("test_loss", "test_acc")),
)
SPEED = re.compile(r"^([\d.]+) examples/sec on (\S+)$")


def last_figures(text: str) -> dict[str, float]:
    """The figures in the last line that has any, and the printed speed; {} where none has."""
    figures: dict[str, float] = {}
    for line in text.splitlines():
        for pattern, names in LINES:
            if match := pattern.match(line.strip()):
                figures |= dict(zip(names, map(float, match.groups()), strict=True))
        if match := SPEED.match(line.strip()):
            figures["examples_per_s"] = float(match[1])
    return figures


def run_once(file: Path, seed: int, epochs: int | None, accelerate: bool = False) -> dict[str, Any]:
    """The figures of one run with its wall time. The file is run where nothing else is, so that
    its figures do not land beside it. Raises CalledProcessError."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / file.name
        shutil.copyfile(file, copy)
        command = [sys.executable, "-m", "lenet", "run", str(copy), "--seed", str(seed)]
        if epochs is not None:
            command += ["--epochs", str(epochs)]
        if accelerate:
            command.append("--accelerate")
        started = time.perf_counter()
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, encoding="utf-8", check=True
        )
        wall_s = time.perf_counter() - started
    return {"seed": seed, "wall_s": round(wall_s, 2), **last_figures(done.stdout)}


def measure(
    files: Sequence[Path],
    seeds: int,
    epochs: int | None,
    tell: Callable[[str], None],
    accelerate: bool = False,
) -> dict[str, Any]:
    """The runs of each file with their mean and deviation, and what they ran on."""
    tutorials = []
    for file in files:
        runs = []
        for seed in range(seeds):
            runs.append(run_once(file, seed, epochs, accelerate))
            tell(f"{file.name}: {runs[-1]}")
        names = [name for name in runs[0] if name != "seed"]
        tutorials.append(
            {
                "file": file.name,
                "n": seeds,
                "published": PUBLISHED.get(file.name[:3], {}),
                "measured": {name: _summary([run[name] for run in runs]) for name in names},
                "runs": runs,
            }
        )
    command = f"python bench/tutorials.py {' '.join(f.name for f in files)} --seeds {seeds}"
    command += " --accelerate" if accelerate else ""
    return {"command": command, "epochs": epochs, **_machine(), "tutorials": tutorials}


def _summary(values: list[float]) -> dict[str, float]:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {
        "mean": statistics.fmean(values),
        "deviation": deviation,
        "min": min(values),
        "max": max(values),
    }


def _machine() -> dict[str, Any]:
    import torch

    import lenet

    return {
        "machine": f"{platform.system()} {platform.machine()}",
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lenet": lenet.__version__,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="fewer than the tutorial has, to try")
    parser.add_argument("--accelerate", action="store_true", help="with lenet run --accelerate")
    parser.add_argument("--json", type=Path, help="also write the results there")
    arguments = parser.parse_args()
    results = measure(
        arguments.files,
        arguments.seeds,
        arguments.epochs,
        lambda line: print(line, file=sys.stderr, flush=True),
        arguments.accelerate,
    )
    for tutorial in results["tutorials"]:
        print(tutorial["file"], f"n = {tutorial['n']}")
        for name, values in tutorial["measured"].items():
            published = tutorial["published"].get(name, "–")
            print(f"  {name:15} {published!s:>8}  {values['mean']:.4f} ± {values['deviation']:.4f}")
    if arguments.json is not None:
        arguments.json.write_text(
            json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
