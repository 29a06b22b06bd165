"""Small measurements behind the pages of docs/questions: minutes on one core, no download.

    python bench/questions.py [--only shift] [--seeds 3] [--json FILE]

All on the 12,000 bundled pictures of Fashion-MNIST, with the recipe quickstart (Adam 0.002, batches
of 64) but for what is varied. What is compared by accuracy is compared on a held-out tenth of the
training pictures; only "shift" and "trust" read the test pictures, and choose nothing by them.

shift       Accuracy on test pictures that are moved by 0 to 3 pixels: linear, mlp, lenet-relu.
activation  Sigmoid, tanh and ReLU in the same network, after one and three epochs.
start       Sigmoid and ReLU with four initialisations, after one epoch.
rate        SGD and Adam at several learning rates, after three epochs.
batch       Batches of 16 to 1,024, at the same rate, after three epochs.
trust       Mean confidence beside accuracy after 3 and 30 epochs; confidence on noise.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

import lenet
from lenet import data
from lenet.looking import evaluation
from lenet.machine import processor
from lenet.network import zoo

SMALL = "fashion-mnist-small"
Table = dict[str, list[float]]  # the values of each seed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", choices=list(QUESTIONS), action="append")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found: dict[str, Table] = {}
    for name in asked.only or QUESTIONS:
        found[name] = QUESTIONS[name](range(asked.seeds))
        print(f"\n{name}")
        for label, values in found[name].items():
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            print(f"  {label:<40}{statistics.mean(values):.3f} ± {spread:.3f}", flush=True)
        if asked.json:
            record = {"date": date.today().isoformat(), "processor": processor(), "tables": found}
            asked.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def shift(seeds: Iterable[int]) -> Table:
    test = data.bundled().test
    table: Table = {}
    for name in ("linear", "mlp", "lenet-relu"):
        for seed in seeds:
            network, weights = _trained(network=name, seed=seed, epochs=5)
            for pixels in range(4):
                moved = [
                    evaluation.evaluate(
                        network, weights, replace(test, images=np.roll(test.images, way, (2, 3)))
                    ).accuracy
                    for way in ((0, pixels), (0, -pixels), (pixels, 0), (-pixels, 0))
                ]
                table.setdefault(f"{name}, {pixels} pixels", []).append(statistics.mean(moved))
    return table


def activation(seeds: Iterable[int]) -> Table:
    table: Table = {}
    for kind in (lenet.Sigmoid(), lenet.Tanh(), lenet.ReLU()):
        for seed in seeds:
            history = _history(network=_with(kind), seed=seed, epochs=3, initialization="xavier")
            for epoch in (1, 3):
                table.setdefault(f"{type(kind).__name__}, epoch {epoch}", []).append(history[epoch])
    return table


def start(seeds: Iterable[int]) -> Table:
    return {
        f"{type(kind).__name__}, {first}": [
            _history(network=_with(kind), seed=seed, epochs=1, initialization=first)[1]
            for seed in seeds
        ]
        for kind in (lenet.Sigmoid(), lenet.ReLU())
        for first in ("torch", "lecun", "xavier", "he")
    }


def rate(seeds: Iterable[int]) -> Table:
    rates = {"sgd": (0.001, 0.01, 0.1, 1.0), "adam": (0.0001, 0.001, 0.01, 0.1)}
    return {
        f"{method} {value:g}": [
            _history(
                network="lenet-relu",
                optimizer=method,
                lr=value,
                seed=seed,
                epochs=3,
                schedule__kind="constant",
            ).get(3, 0.1)
            for seed in seeds
        ]
        for method, values in rates.items()
        for value in values
    }


def batch(seeds: Iterable[int]) -> Table:
    return {
        f"batches of {size}": [
            _history(network="lenet-relu", batch_size=size, seed=seed, epochs=3)[3]
            for seed in seeds
        ]
        for size in (16, 64, 256, 1024)
    }


def trust(seeds: Iterable[int]) -> Table:
    test = data.bundled().test
    noise = np.random.default_rng(0).integers(0, 256, test.images.shape, dtype=np.uint8)
    table: Table = {}
    for epochs in (3, 30):
        for seed in seeds:
            network, weights = _trained(network="lenet-relu", seed=seed, epochs=epochs)
            seen = evaluation.predictions(network, weights, test)
            right = seen.predicted == test.labels
            lost = evaluation.predictions(network, weights, replace(test, images=noise))
            for label, value in {
                "accuracy": right.mean(),
                "confidence": seen.probability.mean(),
                "confidence of wrong answers": seen.probability[~right].mean(),
                "confidence on noise": lost.probability.mean(),
            }.items():
                table.setdefault(f"{epochs} epochs: {label}", []).append(float(value))
    return table


def _with(kind: Any) -> list[Any]:
    """LeNet's layers with this activation in place of its sigmoids."""
    return [kind if isinstance(x, lenet.Sigmoid) else x for x in zoo.build("lenet").layers]


def _trained(**how: Any) -> tuple[Any, Any]:
    with tempfile.TemporaryDirectory() as folder:
        run = lenet.train("quickstart", data=SMALL, threads=1, out=Path(folder, "run"), **how)
        return lenet.load_model(run.folder)
    raise AssertionError


def _history(**how: Any) -> dict[int, float]:
    """The held-out accuracy after each epoch; without those that a loss of NaN cut off."""
    from lenet.training import TrainingError

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "run")
        try:
            run = lenet.train("quickstart", data=SMALL, threads=1, val=0.1, out=out, **how)
        except TrainingError:
            return {}
        return {round(x.epoch): x.val_acc for x in run.history if x.val_acc is not None}
    raise AssertionError


QUESTIONS: dict[str, Callable[[Iterable[int]], Table]] = {
    "shift": shift,
    "activation": activation,
    "start": start,
    "rate": rate,
    "batch": batch,
    "trust": trust,
}


if __name__ == "__main__":
    main()
