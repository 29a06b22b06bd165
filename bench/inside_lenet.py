"""What happens inside LeNet, where textbooks and tutorials often tell it otherwise.

    python bench/inside_lenet.py [--seeds 3]

Three measurements, on 1,000 pictures of Fashion-MNIST, with the tutorials' LeNet (recipe d2l):

start    Before training: how steep each sigmoid is (mean slope, as a share of the steepest, 1/4),
         how many are saturated, and how much its outputs differ between pictures (the standard
         deviation over the pictures, mean over the units).
shift    After training: each picture is moved by one pixel. How much C1's maps and their pooled
         maps change, as a share of their standard deviation.
stay     Of the pairs of neighbouring columns, how many lie in one window of 2×2 pooling.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import lenet
from lenet import data
from lenet.engines import with_weights
from lenet.network import zoo
from lenet.network.layers import SATURATED_SHARE, Sigmoid
from lenet.network.parameters import initialize

PICTURES = 1000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(parser.parse_args().seeds)
    if not data.available("fashion-mnist"):
        parser.exit(1, "Fashion-MNIST is not here; 'lenet data get fashion-mnist' downloads it\n")
    images = lenet.load_data("fashion-mnist").test.images[:PICTURES]
    start(images, seeds)
    shift(images, seeds)
    columns = images.shape[3]
    same = sum(x // 2 == (x + 1) // 2 for x in range(columns - 1))
    print(f"\nstay: {same} of {columns - 1} steps by one column stay in their window of 2×2")


def start(images: NDArray[np.uint8], seeds: range) -> None:
    network = zoo.lenet()
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


def shift(images: NDArray[np.uint8], seeds: range) -> None:
    moved = np.roll(images, 1, axis=3)  # the columns at the edges are background
    print("\nshift by one pixel: change as a share of the deviation")
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            run = lenet.train("d2l", seed=seed, out=Path(folder, "run"))
            network, weights = lenet.load_model(run.folder)
        engine = with_weights(network, weights, 1)
        maps, other = (engine.activations(which)[1] for which in (images, moved))
        shares = {
            name: float((pooled(other) - pooled(maps)).std() / (pooled(maps)).std())
            for name, pooled in {"maps": _whole, "maximum": _maximum, "mean": _mean}.items()
        }
        print(f"  seed {seed}: " + ", ".join(f"{name} {x:.0%}" for name, x in shares.items()))


def _windows(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    n, channels, height, width = maps.shape
    return maps.reshape(n, channels, height // 2, 2, width // 2, 2)


def _whole(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    return maps


def _maximum(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(_windows(maps).max(axis=(3, 5)))


def _mean(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(_windows(maps).mean(axis=(3, 5)))


if __name__ == "__main__":
    main()
