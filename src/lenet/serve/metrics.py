"""What Prometheus reads at /metrics: requests, pictures, batches, answers by class."""

from __future__ import annotations

from typing import Final

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

from lenet.serve.batching import Batcher, Outcome
from lenet.serve.served import NONE_OF_THESE, Served

KIND: Final = b"text/plain; version=0.0.4; charset=utf-8"
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
BATCHES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """The numbers of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "lenet_requests", "Requests answered.", ["route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "lenet_request_seconds",
            "Time from a request's head to its answer.",
            ["route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._known: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._answers = Counter(
            "lenet_pictures",
            "Pictures by the class that was said, 'none of these' included.",
            ["model", "class"],
            registry=self.registry,
        )
        self._batches = Histogram(
            "lenet_batch_pictures",
            "Pictures computed together.",
            ["model"],
            buckets=BATCHES,
            registry=self.registry,
        )
        self._computing = Counter(
            "lenet_compute_seconds", "Time spent computing.", ["model"], registry=self.registry
        )
        self._waiting = Gauge(
            "lenet_waiting_pictures", "Pictures in the queue.", ["model"], registry=self.registry
        )

    def request(self, route: str, status: int, seconds: float) -> None:
        """One request was answered."""
        found = self._known.get((route, status))
        if found is None:  # looking a label up takes longer than counting
            found = self._requests.labels(route, str(status)), self._seconds.labels(route)
            self._known[route, status] = found
        found[0].inc()
        found[1].observe(seconds)

    def batch(self, served: Served, outcome: Outcome, seconds: float) -> None:
        """One batch was computed."""
        self._batches.labels(served.name).observe(len(outcome.logits))
        self._computing.labels(served.name).inc(seconds)
        classes = served.network.classes
        said = np.where(outcome.known, outcome.logits.argmax(axis=1), len(classes))
        counts = np.bincount(said, minlength=len(classes) + 1)
        for index in np.flatnonzero(counts).tolist():
            name = classes[index] if index < len(classes) else NONE_OF_THESE
            self._answers.labels(served.name, name).inc(int(counts[index]))

    def watch(self, served: Served, batcher: Batcher) -> None:
        """Have the length of a queue among the numbers."""
        self._waiting.labels(served.name).set_function(lambda: batcher.waiting)

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self.registry)
