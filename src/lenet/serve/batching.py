"""Pictures of many requests, computed together: what waits while one batch is computed is the next.

A batch takes what is there, so that a lone request never waits for company. One that takes less
than ``INLINE_S`` is computed where it is, which costs less than handing it to a thread.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

UInt8 = NDArray[np.uint8]

INLINE_S: Final = 0.001
MOST_TOGETHER: Final = 1024  # pictures in one batch; more gain nothing and keep others waiting


class FullError(Exception):
    """The queue is full; ``retry_after_s`` is when it is probably worth trying again."""

    def __init__(self, waiting: int, retry_after_s: int) -> None:
        super().__init__(f"{waiting:,} pictures are waiting already")
        self.retry_after_s = retry_after_s


class ExpiredError(Exception):
    """A request that waited longer than it was given."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a network says of n pictures."""

    logits: NDArray[np.float32]  # (n, classes)
    probabilities: NDArray[np.float32]  # (n, classes)
    known: NDArray[np.bool_]  # (n,) False: none of these

    def part(self, start: int, stop: int) -> Outcome:
        """The same of some of them."""
        return Outcome(
            self.logits[start:stop], self.probabilities[start:stop], self.known[start:stop]
        )


@dataclass(slots=True)
class _Request:
    images: UInt8
    answer: asyncio.Future[Outcome]
    until: float


class Batcher:
    """Computes for one network what requests submit, on the event loop that it is used on.

    ``compute`` (n, channels, height, width) is never called twice at once. ``tell(outcome,
    seconds)`` hears of every batch.
    """

    def __init__(
        self,
        compute: Callable[[UInt8], Outcome],
        *,
        most_waiting: int,
        patience_s: float,
        tell: Callable[[Outcome, float], None] = lambda outcome, seconds: None,
    ) -> None:
        self._compute, self._tell = compute, tell
        self._most_waiting, self._patience_s = most_waiting, patience_s
        self._queue: deque[_Request] = deque()
        self._busy = False  # a batch is being computed, or about to be
        self._thread = ThreadPoolExecutor(1, "lenet-batch")
        self._first_s = self._each_s = 0.0
        self.waiting = 0  # pictures

    def warm_up(self, shape: tuple[int, ...]) -> Outcome:
        """Compute some pictures of ``shape`` (channels, height, width), to know how long one takes.

        The outcome of black ones is returned, so that who serves sees that they are numbers.
        """
        outcome = self._compute(np.zeros((64, *shape), np.uint8))  # memory is allocated once
        one, many = (min(self._seconds(n, shape) for _ in range(3)) for n in (1, 64))
        self._first_s, self._each_s = one, max(many - one, many / 10) / 63
        return outcome

    def submit(self, images: UInt8) -> asyncio.Future[Outcome]:
        """The outcome, once it is there; raises FullError where too many pictures wait already.

        The future raises ExpiredError where it took too long, and what ``compute`` raises.
        """
        count = len(images)
        if self.waiting and self.waiting + count > self._most_waiting:
            expected_s = self.waiting * self._each_s
            raise FullError(self.waiting, max(1, min(30, math.ceil(expected_s))))
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Outcome] = loop.create_future()
        self._queue.append(_Request(images, answer, time.monotonic() + self._patience_s))
        self.waiting += count
        if not self._busy:
            self._busy = True
            loop.call_soon(self._next_batch)  # after all that this turn of the loop has read
        return answer

    def close(self) -> None:
        """End the thread; what is submitted afterwards is not computed."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _next_batch(self) -> None:
        batch = self._take()
        if not batch:
            self._busy = False
            return
        count = sum(len(request.images) for request in batch)
        loop = asyncio.get_running_loop()
        if self._first_s + count * self._each_s <= INLINE_S:
            try:
                self._deliver(batch, self._run(batch))
            except Exception as error:
                self._fail(batch, error)
            loop.call_soon(self._next_batch)
            return
        computing = loop.run_in_executor(self._thread, self._run, batch)
        computing.add_done_callback(lambda done: self._done(batch, done))

    def _done(self, batch: list[_Request], done: asyncio.Future[tuple[Outcome, float]]) -> None:
        error = None if done.cancelled() else done.exception()
        if done.cancelled() or error is not None:
            self._fail(batch, error or ExpiredError("the service is ending"))
        else:
            self._deliver(batch, done.result())
        self._next_batch()

    def _take(self) -> list[_Request]:
        """The requests of the next batch; those that waited too long, or whose client is gone, are
        passed over."""
        batch: list[_Request] = []
        count, now = 0, time.monotonic()
        while self._queue and (not batch or count + len(self._queue[0].images) <= MOST_TOGETHER):
            request = self._queue.popleft()
            self.waiting -= len(request.images)
            if request.answer.done():
                continue
            if request.until < now:
                request.answer.set_exception(ExpiredError("it waited too long"))
                continue
            batch.append(request)
            count += len(request.images)
        return batch

    def _run(self, batch: list[_Request]) -> tuple[Outcome, float]:
        images = [request.images for request in batch]
        began = time.perf_counter()
        outcome = self._compute(images[0] if len(images) == 1 else np.concatenate(images))
        return outcome, time.perf_counter() - began

    def _deliver(self, batch: list[_Request], computed: tuple[Outcome, float]) -> None:
        outcome, seconds = computed
        start = 0
        for request in batch:
            stop = start + len(request.images)
            if not request.answer.done():
                request.answer.set_result(outcome.part(start, stop))
            start = stop
        self._learn(start, seconds)
        self._tell(outcome, seconds)

    def _fail(self, batch: list[_Request], error: BaseException) -> None:
        for request in batch:
            if not request.answer.done():
                request.answer.set_exception(error)

    def _learn(self, count: int, seconds: float) -> None:
        """Move the expectation a tenth of the way to what was measured."""
        expected = self._first_s + count * self._each_s
        if expected > 0:
            factor = 0.9 + 0.1 * min(seconds / expected, 10.0)
            self._first_s, self._each_s = self._first_s * factor, self._each_s * factor

    def _seconds(self, count: int, shape: tuple[int, ...]) -> float:
        images: Any = np.zeros((count, *shape), np.uint8)
        began = time.perf_counter()
        self._compute(images)
        return time.perf_counter() - began
