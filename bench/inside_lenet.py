"""What happens inside LeNet, where textbooks and tutorials often tell it otherwise.

    python bench/inside_lenet.py [--only start] [--seeds 3]

Measured with the tutorials' LeNet (recipe d2l) on 1,000 test pictures of Fashion-MNIST, but for
the last:

start    Before training: how steep each sigmoid is (mean slope, as a share of the steepest, 1/4),
         how many are saturated, and how much its outputs differ between pictures (the standard
         deviation over the pictures, mean over the units).
back     Before training: how large the loss's gradient is, by the outputs of each layer that has
         weights, and by these (root mean square, one batch of 1,000). It needs PyTorch.
equal    Before training, with all numbers of a layer the same but for the last one's: how far the
         gradients of C1's six kernels lie from each other. It needs PyTorch.
shift    After training: each picture is moved by one pixel. How much the maps of C1 and C3 and
         their pooled maps change, as a share of their standard deviation.
stay     Of the pairs of neighbouring columns, how many lie in one window of 2×2 pooling.
wrong    After training, on all 10,000 test pictures: recall and precision of the four classes that
         are mistaken for each other, and which wrong answer is given most often.
idle     Tutorial 003's network on MNIST (recipe mnist-adamw, seed 2): how many of C3's 16 channels
         show no picture for any of ten digits, after each of 30 epochs.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import lenet
from lenet import data
from lenet.engines import with_weights
from lenet.network import zoo
from lenet.network.architecture import Network
from lenet.network.layers import SATURATED_SHARE, Sigmoid
from lenet.network.parameters import Parameters, initialize
from lenet.runs import snapshots

PICTURES = 1000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", choices=list(MEASUREMENTS), action="append")
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    for name in asked.only or MEASUREMENTS:
        needed = "mnist" if name == "idle" else "fashion-mnist"
        if not data.available(needed):
            parser.exit(1, f"{needed} is not here; 'lenet data get {needed}' downloads it\n")
        MEASUREMENTS[name](range(asked.seeds))


def pictures() -> NDArray[np.uint8]:
    return lenet.load_data("fashion-mnist").test.images[:PICTURES]


@cache
def trained(seed: int) -> tuple[Network, Parameters]:
    with tempfile.TemporaryDirectory() as folder:
        run = lenet.train("d2l", seed=seed, out=Path(folder, "run"))
        return lenet.load_model(run.folder)


def start(seeds: range) -> None:
    network, images = zoo.lenet(), pictures()
    print("start, after each sigmoid: share of the steepest slope, saturated, deviation")
    rows: dict[int, list[tuple[float, float, float]]] = {}
    for seed in seeds:
        outputs = with_weights(network, initialize(network, "xavier", seed), 1).activations(images)
        for index, (layer, values) in enumerate(zip(network.layers, outputs, strict=True)):
            if isinstance(layer, Sigmoid):
                slope = values * (1 - values) * 4
                deviation = values.reshape(len(images), -1).std(axis=0).mean()
                saturated = (slope < SATURATED_SHARE).mean()
                row = (float(slope.mean()), float(saturated), float(deviation))
                rows.setdefault(index, []).append(row)
    for index, found in rows.items():
        slopes, saturations, deviations = zip(*found, strict=True)
        print(
            f"  layer {index:>2}: {min(slopes):.1%} to {max(slopes):.1%}, "
            f"{max(saturations):.2%}, {statistics.mean(deviations):.5f} "
            f"({min(deviations):.5f} to {max(deviations):.5f})"
        )


def back(seeds: range) -> None:
    import torch
    from torch.nn.functional import cross_entropy

    network, test = zoo.lenet(), lenet.load_data("fashion-mnist").test
    inputs = torch.from_numpy(test.images[:PICTURES].astype(np.float32) / 255)
    labels = torch.from_numpy(test.labels[:PICTURES].astype(np.int64))
    print("\nback: root mean square of the gradient by a picture's outputs, and by the weights")
    rows: dict[str, list[tuple[float, float]]] = {}
    for seed in seeds:
        outputs, values = [], inputs
        module = lenet.to_torch(network, initialize(network, "xavier", seed))
        for layer in module:
            values = layer(values)
            values.retain_grad()
            outputs.append(values)
        cross_entropy(values, labels).backward()
        for row, layer, output in zip(lenet.trace(network), module, outputs, strict=True):
            if row.parameters:
                one = PICTURES * _size(output.grad)  # the loss is a mean over the pictures
                rows.setdefault(row.stage, []).append((one, _size(layer.weight.grad)))
    for stage, found in rows.items():
        by_output, by_weight = (statistics.mean(each) for each in zip(*found, strict=True))
        print(f"  {stage}: {by_output:.2g}, {by_weight:.2g}")


def equal(seeds: range) -> None:
    import torch
    from torch.nn.functional import cross_entropy

    network, test = zoo.lenet(), lenet.load_data("fashion-mnist").test
    inputs = torch.from_numpy(test.images[:PICTURES].astype(np.float64) / 255)
    labels = torch.from_numpy(test.labels[:PICTURES].astype(np.int64))
    print("\nequal: the largest difference between the gradients of C1's kernels, and their size")
    for seed in seeds:
        weights = dict(initialize(network, "xavier", seed))
        hidden = list(weights)[:-2]
        for start, names in (("equal", hidden), ("random", ())):
            first = {name: np.full_like(weights[name], 0.01) for name in names}
            module = lenet.to_torch(network, weights | first).double()
            cross_entropy(module(inputs), labels).backward()
            gradient: Any = module.get_parameter("0.weight").grad
            apart = float((gradient - gradient[0]).abs().max())
            print(f"  seed {seed}, {start} first weights: {apart:.1e}, {_size(gradient):.1e}")


def _size(gradient: Any) -> float:
    return float(gradient.square().mean().sqrt())


def shift(seeds: range) -> None:
    images = pictures()
    moved = np.roll(images, 1, axis=3)  # the columns at the edges are background
    print("\nshift by one pixel: change as a share of the deviation")
    for seed in seeds:
        network, weights = trained(seed)
        engine = with_weights(network, weights, 1)
        still, other = (engine.activations(which) for which in (images, moved))
        for stage, index in (("C1", 1), ("C3", 4)):  # after their sigmoids
            shares = {
                name: float((pooled(other[index]) - pooled(still[index])).std())
                / float(pooled(still[index]).std())
                for name, pooled in {"maps": _whole, "maximum": _maximum, "mean": _mean}.items()
            }
            line = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
            print(f"  seed {seed}, {stage}: {line}")


def stay(seeds: range) -> None:
    columns = pictures().shape[3]
    same = sum(x // 2 == (x + 1) // 2 for x in range(columns - 1))
    print(f"\nstay: {same} of {columns - 1} steps by one column stay in their window of 2×2")


def wrong(seeds: range) -> None:
    test = lenet.load_data("fashion-mnist").test
    print("\nwrong: recall and precision, and the most frequent wrong answer")
    for seed in seeds:
        network, weights = trained(seed)
        report = lenet.evaluate(network, weights, test)
        answers = report.confusion.sum(axis=0) - np.diag(report.confusion)
        shares = ", ".join(
            f"{name} {report.recall(label):.3f} {report.precision(label):.3f}"
            for label, name in enumerate(report.classes)
            if name in ("t-shirt", "pullover", "coat", "shirt")
        )
        favourite = report.classes[int(answers.argmax())]
        print(f"  seed {seed}: {shares}; {favourite}, {answers.max():,} of {answers.sum():,}")


def idle(seeds: range) -> None:
    test = lenet.load_data("mnist").test
    ten = np.stack([test.images[test.labels == digit][0] for digit in range(10)])
    with tempfile.TemporaryDirectory() as folder:
        run = lenet.train("mnist-adamw", seed=2, out=Path(folder, "run"), snapshots=True)
        ends = {reading.step: reading.epoch for reading in run.history if reading.epoch % 1 == 0}
        counts = {}
        for step in snapshots.steps(run.folder):
            if step in ends:
                network, weights = lenet.load_model(snapshots.path_of(run.folder, step))
                maps = with_weights(network, weights, 1).activations(ten)[4]  # (10, 16, 10, 10)
                counts[ends[step]] = int((np.ptp(maps, axis=(2, 3)) < 0.01).all(axis=0).sum())
    print("\nidle: of 16 channels of C3, after each epoch (seed 2)")
    print("  " + ", ".join(f"{epoch:.0f}: {count}" for epoch, count in counts.items()))


def _windows(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    n, channels, height, width = maps.shape
    return maps.reshape(n, channels, height // 2, 2, width // 2, 2)


def _whole(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    return maps


def _maximum(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(_windows(maps).max(axis=(3, 5)))


def _mean(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(_windows(maps).mean(axis=(3, 5)))


MEASUREMENTS: dict[str, Callable[[range], None]] = {
    "start": start,
    "back": back,
    "equal": equal,
    "shift": shift,
    "stay": stay,
    "wrong": wrong,
    "idle": idle,
}


if __name__ == "__main__":
    main()
