"""How fast each engine trains LeNet, beside the tutorials' loop and plain PyTorch.

    python bench/engines.py [--threads 2] [--rounds 7] [--seconds 2] [--only …] [--json FILE]

The tutorials' network, batch 256, SGD with learning rate 0.9, pictures in memory: Fashion-MNIST
where $LENET_DATA has it, else random ones. In each round every trainer is measured once, in a
process of its own: PyTorch's threads belong to the process, and so does how the C library treats
freed memory, by which the same PyTorch loop differs up to 1.5 times from one process to the next.
Ratios are to the tutorials' loop of the same round.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lenet import data, zoo
from lenet.engines import Batches, Choice, Position, make
from lenet.optimization import Objective, Optimizer
from lenet.parameters import State, initialize

BATCH, LEARNING_RATE = 256, 0.9
TRAINERS = ("tutorial", "eager", "torch", "torch-compile", "numpy")
Train = Callable[[np.ndarray], object]  # one step for every 256 of these indices, in order


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--only", nargs="+", choices=TRAINERS, default=TRAINERS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", choices=TRAINERS, help=argparse.SUPPRESS)  # the process's part
    options = parser.parse_args()
    if options.one:
        print(measure(options.one, options.threads, options.seconds))
        return
    split = pictures()
    command = [sys.executable, __file__, "--threads", str(options.threads)]
    command += ["--seconds", str(options.seconds), "--one"]
    speeds: dict[str, list[float]] = {name: [] for name in ["tutorial", *options.only]}
    for _ in range(options.rounds):
        for name, its in speeds.items():
            run = subprocess.run([*command, name], stdout=subprocess.PIPE, text=True, check=True)
            its.append(float(run.stdout))

    print(f"{options.threads} threads, {options.rounds} rounds, {split.identity.split(' (')[0]}")
    print(f"{'':14s}{'examples/s':>27s}{'times the tutorial':>26s}   median (lowest to highest)")
    results = {}
    for name, its in speeds.items():
        ratios = [a / b for a, b in zip(its, speeds["tutorial"], strict=True)]
        results[name] = {"examples_per_s": its, "ratio": ratios}
        print(f"{name:14s}{spread(its, ',.0f'):>27s}{spread(ratios, '.2f'):>26s}")
    if options.json:
        facts = {"pictures": split.identity, "batch_size": BATCH, "threads": options.threads}
        facts |= {"machine": platform.platform(), "python": platform.python_version()}
        facts |= {"command": sys.argv, "results": results}
        options.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def spread(values: list[float], form: str) -> str:
    low, middle, high = (f(values) for f in (min, statistics.median, max))
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def measure(name: str, threads: int, seconds: float) -> float:
    """The examples/s of one trainer in this process, warm."""
    split = pictures()
    train = (pytorch if name in ("tutorial", "eager") else engine)(name, split, threads)
    random, size = np.random.default_rng(0), 8 * BATCH
    train(random.integers(0, len(split), size))
    done, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        train(random.integers(0, len(split), size))
        done += size
    return done / elapsed


def pictures() -> data.Split:
    """The 60,000 training pictures, or as many random ones."""
    if os.environ.get("LENET_DATA") and data.available("fashion-mnist"):
        return data.load("fashion-mnist").train
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (60_000, 1, 28, 28), np.uint8)
    return data.Split(images, random.integers(0, 10, 60_000), zoo.class_names(10), "random")


def engine(name: str, split: data.Split, threads: int) -> Train:
    parts = zoo.lenet(), Optimizer(), Objective()
    it = make(Choice(name.partition("-")[0], "cpu", "to measure it"), *parts, threads)
    if name == "torch-compile":
        it = type(it)(*parts, threads=threads, compile=True)
    it.load(State(initialize(parts[0], "xavier", seed=0)))
    rates = np.full(8, LEARNING_RATE)
    return lambda order: it.train(split, Batches(order, BATCH, rates, None, Position(0, 0, 0)))


def pytorch(name: str, split: data.Split, threads: int) -> Train:
    """The loop of d2l's train_ch6; "eager" keeps no sums and looks at no result."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    X_all, y_all = torch.from_numpy(split.images).float() / 255, torch.from_numpy(split.labels)
    net = nn.Sequential(
        *(nn.Conv2d(1, 6, kernel_size=5, padding=2), nn.Sigmoid(), nn.AvgPool2d(2, stride=2)),
        *(nn.Conv2d(6, 16, kernel_size=5), nn.Sigmoid(), nn.AvgPool2d(2, stride=2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.Sigmoid(), nn.Linear(120, 84), nn.Sigmoid(), nn.Linear(84, 10)),
    )
    optimizer, loss = torch.optim.SGD(net.parameters(), lr=LEARNING_RATE), nn.CrossEntropyLoss()

    def train(order: np.ndarray) -> None:
        metric = [0.0, 0.0, 0.0]
        for chosen in torch.from_numpy(order).split(BATCH):
            X, y = X_all[chosen], y_all[chosen]
            optimizer.zero_grad()
            y_hat = net(X)
            mean_loss = loss(y_hat, y)
            mean_loss.backward()
            optimizer.step()
            if name == "tutorial":
                right = (y_hat.argmax(1).type(y.dtype) == y).type(y.dtype).sum()
                for i, value in enumerate((mean_loss.detach() * len(X), right, len(X))):
                    metric[i] += float(value)

    return train


if __name__ == "__main__":
    main()
