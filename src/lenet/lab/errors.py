"""What the lab refuses."""

from __future__ import annotations


class LabError(Exception):
    """What the lab does not do, and why; ``status`` is the HTTP status that says so."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
