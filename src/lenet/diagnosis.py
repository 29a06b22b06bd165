"""Why a network does not learn: a plateau at ln(classes), explained from what it computes."""

from __future__ import annotations


def diagnose(*_: object) -> str | None:
    """One line."""
    return None
