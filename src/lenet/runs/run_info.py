"""What a run.json holds besides recipe and network: every value of the kind that its readers take.

A run's folder may come from anybody, and one bad value must not take the other runs along: so it
is refused here, by its key, before anything is made of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from lenet.network.architecture import trouble_with_name
from lenet.untrusted import UntrustedError, shown

LONGEST_TEXT: Final = 10_000  # a command line, a path, an error
LONGEST_LINE: Final = 300  # a name, a title


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_TEXT


def _is_name(value: Any) -> bool:
    # that of a folder may hold bytes that are no text
    return isinstance(value, str) and not trouble_with_name(
        value.encode(errors="replace").decode(), LONGEST_LINE
    )


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _are_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value.values()))


def _are_counts(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_count, value.values()))


_OBJECT: Final = (_is_object, "an object")
_LIST: Final = (_is_list, "a list")
_TEXT: Final = (_is_text, f"a text of at most {LONGEST_TEXT:,} characters")
_NAME: Final = (_is_name, f"a name: at most {LONGEST_LINE} characters, no control characters")
_COUNT: Final = (_is_count, "a whole number, at least 0")
_NUMBER: Final = (_is_number, "a number")
_FLAG: Final = (_is_flag, "true or false")
_TEXTS: Final = (_are_texts, "an object of texts")
_COUNTS: Final = (_are_counts, "an object of whole numbers, at least 0")

Kind = tuple[Callable[[Any], bool], str]

ENVIRONMENT: Final = ("engine", "versions")  # parts of run.json that decide a result's last bits

_ENVIRONMENT_NEEDED: Final[dict[str, Kind]] = {"engine": _OBJECT, "versions": _TEXTS}
_ENVIRONMENT_OPTIONAL: Final[dict[str, Kind]] = {
    "engine.name": _NAME,
    "engine.device": _NAME,
    "engine.threads": _COUNT,
    "engine.instruction_set": _NAME,
    "engine.processes": _COUNT,
}
_NEEDED: Final[dict[str, Kind]] = {  # to go on with the run
    "recipe": _OBJECT,
    "network": _OBJECT,
    "data": _OBJECT,
    "data.sha256": _TEXTS,
    "data.examples": _COUNTS,
    **_ENVIRONMENT_NEEDED,
    "engine.name": _NAME,
    "engine.device": _NAME,
    "engine.threads": _COUNT,
    "outcome": _OBJECT,
    "outcome.status": _NAME,
    "resumed": _LIST,
}
_OPTIONAL: Final[dict[str, Kind]] = {  # absent or null
    "data.name": _NAME,
    "data.source": _TEXT,
    "data.licence": _TEXT,
    "data.bundled": _FLAG,
    "engine.instruction_set": _NAME,
    "engine.processes": _COUNT,
    "machine": _OBJECT,
    "machine.system": _TEXT,
    "machine.processor": _TEXT,
    "command": _TEXT,
    "started": _NAME,
    "outcome.ended": _NAME,
    "outcome.message": _TEXT,
    "outcome.epochs": _COUNT,
    "outcome.examples_seen": _COUNT,
    "outcome.wall_s": _NUMBER,
    "outcome.examples_per_s": _NUMBER,
    "outcome.model_sha256": _NAME,
    "outcome.last": _OBJECT,
}


def check(info: Any) -> None:
    """Raise UntrustedError where a value of a run.json is missing or of the wrong kind."""
    _check(info, _NEEDED, _OPTIONAL, "")
    for number, entry in enumerate(info["resumed"], 1):
        where = f"resumed, entry {number}: "
        _check(entry, _ENVIRONMENT_NEEDED, _ENVIRONMENT_OPTIONAL, where)


def _check(values: Any, needed: dict[str, Kind], optional: dict[str, Kind], where: str) -> None:
    if not isinstance(values, dict):
        raise UntrustedError(f"{where or 'it '}is {shown(values)}, must be an object")
    for key, (fits, wanted) in needed.items():
        value = _at(values, key)
        if value is None:
            raise UntrustedError(f"{where}{key} is missing")
        if not fits(value):
            raise UntrustedError(f"{where}{key} is {shown(value)}, must be {wanted}")
    for key, (fits, wanted) in optional.items():
        value = _at(values, key)
        if value is not None and not fits(value):
            raise UntrustedError(f"{where}{key} is {shown(value)}, must be {wanted}")


def _at(values: dict[str, Any], key: str) -> Any:
    """The value at a dotted key; None where it is absent."""
    value: Any = values
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
