"""How good is LeNet? The same training for networks that are simpler, and for LeNet with ReLU.

    python bench/baselines.py [--seeds 5] [--epochs 10] [--json FILE]

Each network trains on Fashion-MNIST with the recipe d2l: batches of 256, ten epochs. Its learning
rate is the one of RATES with the best accuracy on a held-out tenth of the training pictures, seed
0. Then it trains on all training pictures with each seed, and the test set is read once, after the
last epoch.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import lenet
from lenet import data
from lenet.machine import processor
from lenet.network import zoo

SETTINGS = (
    ("linear", "sgd"),
    ("linear", "adam"),
    ("mlp", "sgd"),
    ("lenet", "sgd"),
    ("lenet-relu", "sgd"),
)
RATES = {"sgd": (0.03, 0.1, 0.3, 0.9), "adam": (0.0003, 0.001, 0.003)}


@dataclass(frozen=True)
class Row:
    """One network: its learning rate, and the test accuracy of each seed after the last epoch."""

    network: str
    optimizer: str
    parameters: int
    learning_rate: float
    test_accuracies: list[float]
    seconds: list[float]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not data.available("fashion-mnist"):
        parser.exit(1, "Fashion-MNIST is not here; 'lenet data get fashion-mnist' downloads it\n")
    rows = [
        measure(network, optimizer, arguments.seeds, arguments.epochs)
        for network, optimizer in SETTINGS
    ]
    print(f"\n{'network':<12}{'optimizer':<11}{'parameters':>10}{'rate':>9}   test accuracy")
    for row in rows:
        accuracies = row.test_accuracies
        spread = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
        print(
            f"{row.network:<12}{row.optimizer:<11}{row.parameters:>10,}{row.learning_rate:>9}   "
            f"{statistics.mean(accuracies):.4f} ± {spread:.4f} (n = {len(accuracies)})"
        )
    if arguments.json:
        record = {
            "date": date.today().isoformat(),
            "processor": processor(),
            "epochs": arguments.epochs,
            "rows": [asdict(row) for row in rows],
        }
        arguments.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def measure(network: str, optimizer: str, seeds: int, epochs: int) -> Row:
    held_out = {
        rate: train(network, optimizer, rate, 0, epochs, val=0.1)[0] for rate in RATES[optimizer]
    }
    rate = max(held_out, key=lambda rate: held_out[rate])
    print(f"{network} with {optimizer}: {held_out} → {rate}", flush=True)
    runs = [train(network, optimizer, rate, seed, epochs, val=0) for seed in range(seeds)]
    parameters = sum(row.parameters for row in lenet.trace(zoo.build(network)))
    accuracies, seconds = ([run[i] for run in runs] for i in (0, 1))
    return Row(network, optimizer, parameters, rate, accuracies, seconds)


def train(
    network: str, optimizer: str, rate: float, seed: int, epochs: int, val: float
) -> tuple[float, float]:
    """The accuracy after the last epoch, on what is not trained on, and the seconds it took."""
    with tempfile.TemporaryDirectory() as folder:
        run = lenet.train(
            "d2l",
            network=network,
            optimizer=optimizer,
            lr=rate,
            seed=seed,
            epochs=epochs,
            val=val,
            out=Path(folder, "run"),
        )
        last = run.history[-1]
        accuracy = last.val_acc if val else last.test_acc
        assert accuracy is not None
        return accuracy, last.wall_s
    raise AssertionError


if __name__ == "__main__":
    main()
