"""Tutorial 001 as a whole process: as its readers run it today, and in four ways of ours.

    python bench/tutorial_001.py TUTORIAL [--rounds 3] [--epochs 10] [--json FILE]

TUTORIAL is the text of tutorial 001. In each round four processes are timed from start to exit:

    d2l         the tutorial's loop with a DataLoader of four workers and PIL decoding
                (lenet.benchmark.pytorch_loops); draws nothing, which the tutorial does besides
    lenet run   the tutorial as it stands
    option      the same with lenet run --accelerate
    accelerate  the tutorial with one line added: net = lenet.accelerate(net)
    train_ch6   the same network trained by d2l.train_ch6 as LeNet provides it

The ratios are of d2l's time to the others' in the same round.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from lenet import data
from lenet.benchmark import Spread
from lenet.machine import processor
from whole_run import timed

TRAINING = "lr, num_epochs = 0.9, 10\n"  # where the tutorial's last cell begins
ACCELERATED = f"import lenet\nnet = lenet.accelerate(net)\n{TRAINING}"
IMPORTED = """\
from torch import nn
from d2l import torch as d2l

net = nn.Sequential(
    nn.Conv2d(1, 6, kernel_size=5, padding=2), nn.Sigmoid(), nn.AvgPool2d(2, stride=2),
    nn.Conv2d(6, 16, kernel_size=5), nn.Sigmoid(), nn.AvgPool2d(2, stride=2),
    nn.Flatten(),
    nn.Linear(16 * 5 * 5, 120), nn.Sigmoid(),
    nn.Linear(120, 84), nn.Sigmoid(),
    nn.Linear(84, 10))
train_iter, test_iter = d2l.load_data_fashion_mnist(batch_size=256)
lr, num_epochs = 0.9, 10
d2l.train_ch6(net, train_iter, test_iter, num_epochs, lr, d2l.try_gpu())
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("tutorial", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not data.available("fashion-mnist"):
        parser.exit(1, "Fashion-MNIST is not here; 'lenet data get fashion-mnist' downloads it\n")
    text = arguments.tutorial.read_text(encoding="utf-8")
    if text.count(TRAINING) != 1:
        parser.exit(2, f"{arguments.tutorial} is not tutorial 001: {TRAINING!r} is not in it\n")
    load_average = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    seconds: dict[str, list[float]] = {}
    said: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        epochs = ["--epochs", str(arguments.epochs)]
        loop = Path(__file__).with_name("whole_run.py")
        commands = {"d2l": [sys.executable, "-W", "ignore", str(loop), "--tutorial", *epochs]}
        for name, content, suffix in (
            ("lenet run", text, ".txt"),
            ("option", text, ".txt"),
            ("accelerate", text.replace(TRAINING, ACCELERATED), ".txt"),
            ("train_ch6", IMPORTED, ".py"),
        ):
            path = Path(folder) / f"{name.replace(' ', '-')}{suffix}"
            path.write_text(content, encoding="utf-8")
            commands[name] = [sys.executable, "-m", "lenet", "run", str(path), *epochs]
        commands["option"].append("--accelerate")
        for number in range(1, arguments.rounds + 1):
            for name, command in commands.items():
                took, output = timed(command)
                seconds.setdefault(name, []).append(took)
                line = next(line for line in output.splitlines() if line.startswith("loss "))
                said.setdefault(name, []).append(line)
                ratio = seconds["d2l"][-1] / took
                print(f"round {number}: {name:10} {took:6.2f} s ({line}): {ratio:.2f}", flush=True)
    ratios = {
        name: Spread.of([slow / fast for slow, fast in zip(seconds["d2l"], own, strict=True)])
        for name, own in seconds.items()
        if name != "d2l"
    }
    for name, ratio in ratios.items():
        print(
            f"{name}: {ratio.median:.2f} times as fast as with d2l and its DataLoader "
            f"({ratio.min:.2f} to {ratio.max:.2f}, n = {arguments.rounds})"
        )
    if arguments.json:
        versions = {name: version(name) for name in ("lenet", "numpy", "torch")}
        facts = {
            "ratios": {name: asdict(ratio) for name, ratio in ratios.items()},
            "n": arguments.rounds,
            "epochs": arguments.epochs,
            "seconds": seconds,
            "printed": said,
            "machine": {"system": platform.platform(), "processor": processor()},
            "load_average": load_average,  # before the start: others' work distorts the ratios
            "versions": {"python": platform.python_version(), **versions},
            "command": f"python bench/tutorial_001.py {arguments.tutorial.name} "
            f"--rounds {arguments.rounds} --epochs {arguments.epochs}",
        }
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
