"""The data sets that the lab shows: what is known of each without reading it, and its pictures."""

from __future__ import annotations

import hashlib
import math
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lenet import data
from lenet.data import DataError, Split

BATCH: Final = 256  # training pictures that statistics are made of
MOST_TRAINING: Final = 6_000  # training pictures that a page may train on …
MOST_TRAINING_BYTES: Final = 16 << 20  # … as long as they have no more bytes
MOST_LOADED: Final = 4  # data sets in memory; the test part of one has some megabytes

# Training and test pictures of the data sets with a name, all 28×28: facts, as their hashes are.
SIZES: Final[Mapping[str, tuple[int, int]]] = {
    "mnist": (60_000, 10_000),
    "fashion-mnist": (60_000, 10_000),
    "fashion-mnist-small": (10_000, 2_000),
}
TITLES: Final[Mapping[str, str]] = {
    "mnist": "MNIST",
    "fashion-mnist": "Fashion-MNIST",
    "fashion-mnist-small": "Fashion-MNIST, a sixth",
}


@dataclass(frozen=True)
class Described:
    """A data set as the page lists it."""

    name: str
    source: str  # what lenet.data.load takes
    title: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    train: int
    test: int

    @property
    def here(self) -> bool:
        """Whether it can be read without a download."""
        made = data.DERIVED.get(self.source)
        name = self.source if made is None else made.base
        if name in data.KNOWN:
            return data.available(name)
        return Path(self.source).exists() or data.find_imported(self.source) is not None


@dataclass(frozen=True, eq=False)
class Pictures:
    """What is kept of a data set in memory."""

    test: Split
    batch: Split  # the first training pictures
    training: Split  # what a page trains on


def known() -> dict[str, Described]:
    """The data sets with a name, by it."""
    return {
        name: Described(name, name, TITLES[name], known.classes, (1, 28, 28), *SIZES[name])
        for name, known in data.KNOWN.items()
    }


def of_run(info: Mapping[str, Any]) -> Described:
    """The data set that a run was trained on; one of your own folders gets a name for the page."""
    source = str(info["recipe"]["data"])
    if source in data.KNOWN:
        return known()[source]
    described, network = info["data"], info["network"]
    title = str(described.get("name") or Path(source).name)
    slug = re.sub(r"[^\w.-]+", "-", title)[:40].strip(".-") or "pictures"
    number = hashlib.sha256(source.encode(errors="surrogateescape")).hexdigest()[:6]
    counts = described["examples"]
    channels, height, width = network["input_shape"]
    return Described(
        name=source if source in data.DERIVED else f"{slug}-{number}",
        source=source,
        title=title,
        classes=tuple(network["classes"]),
        shape=(channels, height, width),
        train=int(counts.get("train", 0)) + int(counts.get("val", 0)),
        test=int(counts.get("test", 0)),
    )


def to_json(described: Described) -> dict[str, Any]:
    """The data set as plain values."""
    return {
        "name": described.name,
        "title": described.title,
        "classes": list(described.classes),
        "shape": list(described.shape),
        "train": described.train,
        "test": described.test,
        "here": described.here,
    }


class Shelf:
    """The data sets that were read, so that each is read once; threads may share it."""

    def __init__(self) -> None:
        self._loaded: OrderedDict[str, Pictures] = OrderedDict()
        self._lock = threading.Lock()

    def pictures(self, source: str) -> Pictures:
        """The test part and a batch of the training part. Raises DataError where it is not here."""
        with self._lock:
            if source in self._loaded:
                self._loaded.move_to_end(source)
                return self._loaded[source]
            loaded = data.load(source, download=False)
            train, first = loaded.train, slice(0, BATCH)
            batch = Split(
                train.images[first].copy(),  # a view would keep all of them in memory
                train.labels[first].copy(),
                train.classes,
                f"{train.identity}; the first {BATCH}",
            )
            training = training_part(train, MOST_TRAINING, MOST_TRAINING_BYTES)
            self._loaded[source] = Pictures(loaded.test, batch, training)
            while len(self._loaded) > MOST_LOADED:
                self._loaded.popitem(last=False)
            return self._loaded[source]


def training_part(train: Split, most: int, most_bytes: int) -> Split:
    """A copy of at most so many training pictures and bytes, each class in its share.

    Wherever you cut it, both parts have every class in its share: a page holds out the last ones.
    """
    size = math.prod(train.images.shape[1:])
    count = min(most, len(train), most_bytes // max(size, 1))
    if count < 1:
        return Split(train.images[:0].copy(), train.labels[:0].copy(), train.classes, "none")
    part = data.subset(train, count, seed=0)
    place = np.zeros(count)
    for label in np.unique(part.labels):
        own = np.flatnonzero(part.labels == label)
        place[own] = (np.arange(len(own)) + 0.5) / len(own)
    order = np.argsort(place, kind="stable")
    return Split(part.images[order], part.labels[order], part.classes, part.identity)


def chosen(split: Split, indices: NDArray[np.int64]) -> bytes:
    """The pixels of these pictures, one after the other. Raises DataError for one that is not."""
    if len(indices) and not 0 <= indices.min() <= indices.max() < len(split):
        raise DataError(
            f"there are pictures 0 to {len(split) - 1}, not {indices.min()} to {indices.max()}"
        )
    return np.ascontiguousarray(split.images[indices]).tobytes()
