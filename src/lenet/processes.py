"""Which of several processes this one is, where ``torchrun`` starts a training as several."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """Which process of how many this is, in all and on this machine."""

    rank: int
    size: int
    local_rank: int
    local_size: int

    @property
    def threads(self) -> int:
        """This process's part of the machine's CPUs.

        torchrun sets OMP_NUM_THREADS to 1, which no engine of ours asks.
        """
        from lenet.machine import available_cpus  # loads numpy

        return max(1, available_cpus() // self.local_size)


def place() -> Place | None:
    """The place that torchrun gave this process; None where it trains alone.

    Raises ValueError where WORLD_SIZE is set and what belongs to it is not, or is no number.
    """
    if "WORLD_SIZE" not in os.environ:
        return None
    size = _number("WORLD_SIZE", 1)
    if size == 1:
        return None
    rank = _number("RANK", 0, size - 1)
    local_size = _number("LOCAL_WORLD_SIZE", 1, size, otherwise=1)
    return Place(rank, size, _number("LOCAL_RANK", 0, size - 1, otherwise=0), local_size)


def _number(name: str, least: int, most: int | None = None, otherwise: int | None = None) -> int:
    text = os.environ.get(name)
    if text is None and otherwise is not None:
        return otherwise
    number = int(text) if text is not None and text.isdecimal() else -1
    if number >= least and (most is None or number <= most):
        return number
    said = "is not set" if text is None else f"is {text!r:.80}"
    limits = f"at least {least}" if most is None else f"from {least} to {most}"
    raise ValueError(
        f"WORLD_SIZE is set, so this is one of several processes, and {name} {said}; it must be a "
        f"whole number, {limits}. Start with torchrun, which sets all of them, or unset WORLD_SIZE"
    )
