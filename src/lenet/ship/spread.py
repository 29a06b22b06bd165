"""Many pictures predicted on a Ray cluster: each part of them a task, which is tried again where
its machine is lost.

A file's bytes are sent with its task, so that the machines need no disk that they share. The parts
are cut where ``predicting`` and the engine cut them too: the answers are the local ones, bit for
bit, where the machines have the same kind of processor.
"""

from __future__ import annotations

import io
import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lenet import clusters
from lenet.clusters import ClusterError
from lenet.data.idx import UInt8
from lenet.data.picture_files import PictureFileError
from lenet.data.picture_pixels import pixels_of_file
from lenet.ship.model import Model
from lenet.ship.predicting import TOGETHER, Answer, Source
from lenet.ship.predicting import predict as predict_here

PICTURES: Final = 8 * TOGETHER  # files of a part, at most
PART_BYTES: Final = 16_000_000  # no more are added to a part that has as many
IMAGES: Final = 4_096  # of a part of an array


@dataclass(frozen=True)
class Sent:
    """A picture on its way: a file's bytes, or why there are none."""

    name: str
    content: bytes
    problem: str = ""

    def pixels(self) -> UInt8:
        """Its pixels. Raises PictureFileError."""
        if self.problem:
            raise PictureFileError(self.problem)
        return pixels_of_file(io.BytesIO(self.content), self.name)


@dataclass(frozen=True, eq=False)
class Spread:
    """A model on every machine of a cluster."""

    ray: Any
    model: Any  # where the cluster keeps it
    threads: int  # of a task
    window: int  # tasks that are there at once

    def predict(
        self, sources: Sequence[Source], top: int | None = None, ground: str = "auto"
    ) -> Iterator[Answer]:
        """An answer for each picture, in their order, as ``predicting.predict`` gives them.

        ``top`` and ``ground`` are those of that function. A picture that cannot be read is an
        answer with its problem. Raises ClusterError where the cluster fails time and again.
        """
        parts = ((part, top, ground) for part in _parts(sources))
        return itertools.chain.from_iterable(self._in_order(_predict, parts))

    def __call__(self, images: UInt8) -> NDArray[np.float32]:
        """The probability of each class, (n, classes) float32, as ``Model`` gives it.

        ``images`` is (n, channels, height, width) uint8. Raises ClusterError where the cluster
        fails time and again.
        """
        # a short rest would be computed otherwise than as the end of a large batch
        cuts = [*range(0, max(1, len(images) - IMAGES + 1), IMAGES), len(images)]
        parts = ((images[start:end],) for start, end in itertools.pairwise(cuts))
        return np.concatenate(list(self._in_order(_probabilities, parts)))

    def _in_order(self, function: Any, arguments: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        """What the function returns for each, in their order; only so many wait at a time."""
        task = self.ray.remote(num_cpus=self.threads, max_retries=clusters.RETRIES)(function)
        waiting: deque[Any] = deque()
        for argument in arguments:
            waiting.append(task.remote(self.model, *argument))
            if len(waiting) == self.window:
                yield self._result(waiting.popleft())
        while waiting:
            yield self._result(waiting.popleft())

    def _result(self, task: Any) -> Any:
        try:
            return self.ray.get(task)
        except self.ray.exceptions.RayTaskError:
            raise  # a mistake of ours, with its place
        except self.ray.exceptions.RayError as error:
            raise ClusterError(
                f"lost on Ray: {clusters.first_line(error)}. 'ray status' shows its machines"
            ) from None


@contextmanager
def on_ray(address: str, model: Model, threads: int = 1) -> Iterator[Spread]:
    """The model on the cluster at ``address``, "auto" for this machine's; left at the end.

    ``address`` is a host with its port, too. Each task has ``threads`` processors. Raises
    ClusterError where no cluster can be joined, or Ray is not installed.
    """
    ray = clusters.join(address)
    try:
        alone = replace(model, threads=threads)  # without an engine, which each machine makes
        window = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)) // threads)
        yield Spread(ray, ray.put(alone), threads, window)
    finally:
        clusters.leave()


def _parts(sources: Sequence[Source]) -> Iterator[list[Sent]]:
    """The pictures in parts of whole batches, none much larger than ``PART_BYTES``."""
    part: list[Sent] = []
    for start in range(0, len(sources), TOGETHER):
        part += map(_sent, sources[start : start + TOGETHER])
        if len(part) >= PICTURES or sum(len(one.content) for one in part) >= PART_BYTES:
            yield part
            part = []
    if part:
        yield part


def _sent(source: Source) -> Sent:
    try:
        return Sent(source.name, source.content())
    except PictureFileError as error:
        return Sent(source.name, b"", str(error))


def _predict(model: Model, part: list[Sent], top: int | None, ground: str) -> list[Answer]:
    """A task: the answers to a part."""
    sources = [Source(one.name, one.pixels, lambda: b"") for one in part]
    return list(predict_here(model, sources, top, ground))


def _probabilities(model: Model, images: UInt8) -> NDArray[np.float32]:
    """A task: the probabilities of a part of an array."""
    return model(images)
