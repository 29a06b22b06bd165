"""A run of a module's ``forward`` that leaves no trace."""

from __future__ import annotations

import logging
import random
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from lenet.torch.translation.surroundings import Surroundings

ONE_AT_A_TIME = threading.RLock()  # puts something in place of streams that all threads write to
HERE = threading.local()


def being_tried() -> bool:
    """Whether this thread runs a ``forward`` that is to leave no trace."""
    return getattr(HERE, "depth", 0) > 0


class Traces:
    """What a run of ``forward`` left, in words that follow "forward"; empty where nothing."""

    def __init__(self) -> None:
        self.words = ""

    def add(self, words: str) -> None:
        """Keep the first."""
        self.words = self.words or words


class _Unheard:
    """A stream that drops what one thread writes, and passes on what others do."""

    def __init__(self, stream: Any, traces: Traces) -> None:
        self._stream, self._traces = stream, traces
        self._thread: int | None = threading.get_ident()

    def write(self, text: str) -> Any:
        if threading.get_ident() != self._thread:
            return self._stream.write(text)
        self._traces.add("prints")
        return len(text)

    def end(self) -> None:
        """Pass on everything from now on, also where somebody has kept this."""
        self._thread = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _unheard(traces: Traces) -> Iterator[None]:
    """Drop what this thread prints and logs; its warnings are shown as ever."""
    streams, handle, show = (sys.stdout, sys.stderr), logging.Logger.handle, warnings.showwarning
    thread = threading.get_ident()
    quiet = _Unheard(streams[0], traces), _Unheard(streams[1], traces)

    def handled(self: logging.Logger, record: logging.LogRecord) -> None:
        if threading.get_ident() != thread:
            return handle(self, record)
        return traces.add("writes to a log")

    def shown(
        message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None
    ) -> None:
        show(message, category, filename, lineno, file or streams[1], line)

    sys.stdout, sys.stderr = quiet
    logging.Logger.handle = handled  # type: ignore[method-assign]
    warnings.showwarning = shown
    try:
        yield
    finally:
        quiet[0].end()
        quiet[1].end()
        if sys.stdout is quiet[0]:
            sys.stdout = streams[0]
        if sys.stderr is quiet[1]:
            sys.stderr = streams[1]
        logging.Logger.handle = handle  # type: ignore[method-assign]
        if warnings.showwarning is shown:
            warnings.showwarning = show


@contextmanager
def as_before(surroundings: Surroundings, traces: Traces) -> Iterator[None]:
    """Put back afterwards what ``forward`` can change, and the states of random generators.

    What it prints or logs meanwhile is dropped. ``traces`` gets what was undone. What another
    thread writes meanwhile stays, where it is an attribute, layer or parameter that forward's code
    does not write to; where it is anything else, it cannot be told from what forward did.
    """
    if surroundings.unknown:
        traces.add(f"can use {surroundings.unknown}, which cannot be put back after trying it")
    with ONE_AT_A_TIME, torch.random.fork_rng(devices=[]), _unheard(traces):
        states, numpys = _random_states(), np.random.get_state()  # noqa: NPY002 (the user's own)
        HERE.depth = getattr(HERE, "depth", 0) + 1
        try:
            yield
        finally:
            HERE.depth -= 1
            if where := surroundings.changed(forwards=True):
                traces.add(f"changes {where}")
            surroundings.put_back(forwards=True)
            if _random_states() != states:
                traces.add("draws random numbers")
                random.setstate(states[0])
                np.random.set_state(numpys)  # noqa: NPY002


def _random_states() -> tuple[Any, ...]:
    """Those of Python, NumPy and PyTorch, to compare."""
    numpys: Any = np.random.get_state()  # noqa: NPY002
    numbers = numpys[1].tobytes(), *numpys[2:], torch.get_rng_state().numpy().tobytes()
    return random.getstate(), *numbers
