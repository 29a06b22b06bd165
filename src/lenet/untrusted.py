"""What a stranger wrote, as plain values: JSON and TOML within bounds, texts that a line can show.

Python's own readers have no bounds: brackets nested 3,000 times, a number of 5,000 digits, a key
that is there twice. Here each of them is an ``UntrustedError`` with a sentence of ours.
"""

from __future__ import annotations

import json
import tomllib
from typing import Any, Final

DEEPEST: Final = 50  # brackets inside brackets; ours have five
MOST_DOTS: Final = 30  # in a line of TOML
LARGEST_WHOLE: Final = 2**63 - 1
LONGEST_SHOWN: Final = 300


class UntrustedError(ValueError):
    """Why a text is not read; the message names no file."""


def from_json(content: bytes | str) -> Any:
    """The values of a JSON text. NaN and infinity are numbers, as Python writes them.

    Raises UntrustedError for anything else, for a key that is there twice, whole numbers of more
    than 64 bits, and more than 50 brackets inside each other.
    """
    try:
        text = content if isinstance(content, str) else content.decode("utf-8")
        values = json.loads(text, parse_int=_whole, object_pairs_hook=_without_twins)
    except UntrustedError:
        raise
    except UnicodeDecodeError as error:
        raise UntrustedError(f"byte {error.start} is no UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise UntrustedError(
            f"it is not JSON from line {error.lineno}, column {error.colno} on"
        ) from None
    except RecursionError:
        raise _too_deep() from None
    check_values(values)
    return values


def from_toml(content: bytes | str) -> dict[str, Any]:
    """The values of a TOML text. Raises UntrustedError, as ``from_json`` does."""
    try:
        text = content if isinstance(content, str) else content.decode("utf-8")
        text = text.removeprefix("\ufeff")  # some editors begin a file with it
        # tomllib takes the square of the time for a.b.c…, and more for each line of it
        if any(line.count(".") > MOST_DOTS for line in text.splitlines()):
            raise UntrustedError(f"a line of it has more than {MOST_DOTS} dots")
        values = tomllib.loads(text)
    except UntrustedError:
        raise
    except UnicodeDecodeError as error:
        raise UntrustedError(f"byte {error.start} is no UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:  # a sentence with line and column
        raise UntrustedError(f"not TOML: {plain(str(error))}") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError:  # int() takes 4,300 digits
        raise UntrustedError("a number in it has too many digits") from None
    check_values(values)
    return values


def check_values(values: Any) -> None:
    """Raise UntrustedError where plain values are nested too deeply, or a number is too large."""
    level, depth = [values], 0
    while level:
        if depth > DEEPEST:
            raise _too_deep()
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += value.values()
            elif isinstance(value, list):
                inner += value
            elif isinstance(value, int) and not -LARGEST_WHOLE - 1 <= value <= LARGEST_WHOLE:
                raise UntrustedError("a whole number in it has more than 64 bits")
        level, depth = inner, depth + 1


def shown(value: Any) -> str:
    """A value as a message shows it: in one line, short, whatever it is."""
    try:
        return plain(repr(value), 100)
    except (ValueError, RecursionError):  # 4,300 digits; brackets in brackets
        kind = "whole number" if isinstance(value, int) else type(value).__name__
        return f"a {kind} too long to show"


def plain(text: str, most: int = LONGEST_SHOWN) -> str:
    """A text with no control characters, cut to what a line holds.

    >>> plain("a\\tb\\x1b[2J")
    'a?b?[2J'
    """
    return "".join(sign if sign.isprintable() else "?" for sign in text[:most])


def _whole(digits: str) -> int:
    if len(digits) > 20:  # before it is computed: that takes the square of its length
        raise UntrustedError(f"a whole number in it has {len(digits):,} digits")
    return int(digits)


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise UntrustedError(f"{shown(key)} is there twice")
            seen.add(key)
    return values


def _too_deep() -> UntrustedError:
    return UntrustedError(f"brackets are nested too deeply in it; at most {DEEPEST} are read")
