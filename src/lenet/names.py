"""The nearest of the known names, for whoever mistyped one."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """ "did you mean …? " for a name that is nearly one of the known, else nothing.

    >>> did_you_mean("Fashion_MNITS", ["mnist", "fashion-mnist"])
    'did you mean fashion-mnist? '
    """
    import difflib  # only a wrong name pays for it

    plain = {_plain(candidate): candidate for candidate in known}
    near = difflib.get_close_matches(_plain(name), plain, n=1)
    return f"did you mean {plain[near[0]]}? " if near else ""


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")
