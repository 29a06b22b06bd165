"""A whole training from the command line, beside the tutorials' loop as a whole process.

    python bench/whole_run.py [--rounds 3] [--epochs 10] [--engine auto] [--json FILE]

In each round two processes are timed from start to exit. One is ``lenet train d2l``: start,
reading Fashion-MNIST, ten epochs with evaluation after each, files and curves written. The other
reads the same files and does what the tutorials do: ten epochs of train_ch6 with a DataLoader of
four workers, evaluate_accuracy_gpu after each. It draws and writes nothing, which the tutorials
do besides. The ratio is of the two times in the same round.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from lenet import data, runs
from lenet.benchmark import Spread
from lenet.machine import processor
from lenet.network import zoo
from lenet.training import Reading


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--engine", default="auto", help="for lenet train")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--tutorial", action="store_true", help=argparse.SUPPRESS)  # that process
    arguments = parser.parse_args()
    if arguments.tutorial:
        tutorial(arguments.epochs)
        return
    if not data.available("fashion-mnist"):
        parser.exit(1, "Fashion-MNIST is not here; 'lenet data get fashion-mnist' downloads it\n")
    load_average = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    lenet_s, tutorial_s = [], []
    for number in range(1, arguments.rounds + 1):
        seconds, engine, reading = time_lenet(arguments.engine, arguments.epochs)
        lenet_s.append(seconds)
        # PyTorch warns of four workers on fewer CPUs; the tutorials have them all the same
        command = [sys.executable, "-W", "ignore", __file__, "--tutorial"]
        seconds, said = timed([*command, "--epochs", str(arguments.epochs)])
        said = said.strip()
        tutorial_s.append(seconds)
        print(
            f"round {number}: lenet train d2l {lenet_s[-1]:.2f} s "
            f"({engine['name']}; test acc {reading.test_acc:.3f}), "
            f"tutorials {tutorial_s[-1]:.2f} s ({said}): {tutorial_s[-1] / lenet_s[-1]:.2f} times",
            flush=True,
        )
    ratio = Spread.of([slow / fast for slow, fast in zip(tutorial_s, lenet_s, strict=True)])
    print(
        f"lenet train d2l is {ratio.median:.2f} times as fast as the tutorials' loop "
        f"({ratio.min:.2f} to {ratio.max:.2f}, n = {arguments.rounds}, {arguments.epochs} epochs)"
    )
    if arguments.json:
        versions = {name: version(name) for name in ("lenet", "numpy", "torch")}
        facts = {
            "ratio": asdict(ratio),
            "n": arguments.rounds,
            "epochs": arguments.epochs,
            "lenet_s": lenet_s,
            "tutorial_s": tutorial_s,
            "engine": engine,
            "machine": {"system": platform.platform(), "processor": processor()},
            "load_average": load_average,  # before the start: others' work distorts the ratio
            "versions": {"python": platform.python_version(), **versions},
            "command": shlex.join(["python", *sys.argv]),
        }
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def timed(command: list[str]) -> tuple[float, str]:
    """The seconds that a process took, and what it printed."""
    started = time.perf_counter()
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return time.perf_counter() - started, result.stdout


def time_lenet(engine: str, epochs: int) -> tuple[float, dict[str, object], Reading]:
    """The seconds of ``lenet train d2l``, the engine it took, and its last reading."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "lenet", "train", "d2l", "--epochs", str(epochs)]
        seconds, _ = timed([*command, "--engine", engine, "--out", str(out)])
        record = runs.read(out)
        return seconds, record.info["engine"], record.history[-1]


def tutorial(epochs: int) -> None:
    """The tutorials' training, from the files to the line that they print at the end."""
    from lenet.benchmark import pytorch_loops as loops
    from lenet.torch import to_torch

    fashion = data.load("fashion-mnist", download=False)
    train_iter = loops.loader(fashion.train, 256, shuffle=True)
    test_iter = loops.loader(fashion.test, 256, shuffle=False)
    net = to_torch(zoo.lenet())
    loss, train_acc, test_acc = loops.train_ch6(net, train_iter, test_iter, epochs, lr=0.9)
    print(f"loss {loss:.3f}, train acc {train_acc:.3f}, test acc {test_acc:.3f}")


if __name__ == "__main__":
    main()
