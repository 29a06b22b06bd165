"""The lines that say whether a module is accelerated, and why it is not."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass


@functools.cache
def say(line: str) -> None:
    """Write a line to standard error, once a process."""
    print(f"lenet: {line}", file=sys.stderr)


@dataclass(frozen=True)
class Lines:
    """What is said of one module.

    ``name`` is empty where there is one module; ``quiet`` says whether it is no matter that the
    module stays plain.
    """

    name: str = ""
    tell: Callable[[str], None] = say
    quiet: Callable[[], bool] = lambda: False

    def on(self) -> None:
        """Its batches go to the engine."""
        self.tell(
            f"accelerated: {self._named('forward and backward of this network run')} in the native "
            "engine (LENET_ACCELERATE=0 switches it off)"
        )

    def off(self, why: str, was_on: bool = False) -> None:
        """It stays plain PyTorch, or is plain from now on."""
        if was_on or not self.quiet():
            self.tell(f"{'no longer' if was_on else 'not'} accelerated: {self._named(why)}")

    def off_while(self, why: str) -> None:
        """It is plain as long as something holds."""
        if not self.quiet():
            self.tell(f"not accelerated as long as {self._named(why)}")

    def failed(self, why: str) -> None:
        """A check has shown numbers that are not PyTorch's."""
        self.tell(
            f"NO LONGER ACCELERATED: {self._named('a check against plain PyTorch failed')}: {why}. "
            "Numbers are PyTorch's from this call on; outputs since the last check may have been "
            "wrong. Please report this"
        )

    def _named(self, what: str) -> str:
        return f"{self.name}: {what}" if self.name else what
