"""A lesson's file, checked: what is wrong with it is told with its place in the file.

A lesson is a stranger's: its texts are bounded, nothing in it is HTML, and nothing is run. The form
is told in docs/lessons.md; ``built_in`` reads ours by the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from lenet.untrusted import UntrustedError, from_json, plain, shown

FORM: Final = "lenet-lesson-1"
LARGEST: Final = 400_000  # bytes of a file
MOST_FILES: Final = 20
MOST_STEPS: Final = 40
LONGEST_TITLE: Final = 80
LONGEST_TEXT: Final = 700
LONGEST_ADDRESS: Final = 16_000
MOST_CHOICES: Final = 6
LANGUAGES: Final = ("en", "zh")
KINDS: Final = ("tour", "lesson", "challenge")
# What the page can light up, besides a stage such as C1.
LIGHTS: Final = ("picture", "draw", "verdict", "classes", "network", "lens", "time", "menu", "link")
PARTS: Final = ("model", "moment", "picture", "data", "pixels", "unit", "lens", "edits")
OTHER_PARTS: Final = (
    "weight",
    "figure",
    "truth",
    "why",
    "lesson",
)  # of a link, which no step needs
VALUES: Final = ("any", "largest", "smallest", "positive", "negative", "zero")
MEASURES: Final = ("parameters", "outputs", "field", "number", "loss", "share")
# What somebody does with the page, and how the page knows that it is done.
DOINGS: Final = ("pin", "draw", "cover", "change", "switch-off", "wrong", "right", "moment")
CHALLENGES: Final = ("five-pixels", "repair", "guess")
_STAGE: Final = re.compile(r"[A-Z][0-9]{1,3}")
_NAME: Final = re.compile(r"[^a-z0-9]+")

Reader = Callable[[Any, str], Any]


class LessonError(ValueError):
    """What is wrong with a lesson's file, and where."""


def read(path: Path) -> dict[str, Any]:
    """The lesson of a file, as the page takes it, its ``id`` from the file's name.

    Raises LessonError for a file that is no lesson, OSError for one that cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise LessonError(f"{path}: it is larger than {LARGEST:,} bytes; divide the lesson")
    try:
        values = from_json(content)
        lesson = check(values)
    except (UntrustedError, LessonError) as wrong:
        raise LessonError(f"{path}: {wrong}") from None
    return {"id": _NAME.sub("-", path.stem.lower()).strip("-")[:60] or "lesson", **lesson}


def read_all(paths: list[Path]) -> list[dict[str, Any]]:
    """The lessons of several files, each with an id of its own that none of ours has.

    Raises LessonError and OSError, as ``read`` does.
    """
    if len(paths) > MOST_FILES:
        raise LessonError(f"{len(paths)} lessons; at most {MOST_FILES} are taken at once")
    taken = {lesson["id"] for lesson in built_in()}
    found = []
    for path in paths:
        lesson = read(path)
        name, number = lesson["id"], 2
        while lesson["id"] in taken:
            lesson["id"], number = f"{name}-{number}", number + 1
        taken.add(lesson["id"])
        found.append({**lesson, "own": True})
    return found


@cache
def built_in() -> tuple[dict[str, Any], ...]:
    """Our lessons in their order: the tour, five lessons, the challenges."""
    folder = Path(__file__).parent
    lessons = []
    for path in sorted(folder.glob("*.json")):
        lesson = read(path)
        lessons.append({**lesson, "id": lesson["id"].split("-", 1)[1]})
    return tuple(lessons)


def check(values: Any) -> dict[str, Any]:
    """A lesson's values, each of them known and within its bounds. Raises LessonError."""
    lesson = _object(
        values,
        "",
        {
            "form": _one_of((FORM,)),
            "title": _text(LONGEST_TITLE),
            "about": _text(LONGEST_TEXT),
            "kind": _one_of(KINDS),
            "minutes": _number(1, 240),
            "stages": _list(_stage, 1, 20),
            "steps": _list(_step, 1, MOST_STEPS),
        },
        needed=("form", "title", "steps"),
    )
    return {"kind": "lesson", **lesson}


def _step(value: Any, where: str) -> dict[str, Any]:
    return _object(
        value,
        where,
        {
            "title": _text(LONGEST_TITLE),
            "address": _address,
            "light": _list(_light, 1, 8),
            "text": _text(LONGEST_TEXT),
            "question": _question,
        },
        needed=("text",),
    )


def _question(value: Any, where: str) -> dict[str, Any]:
    question = _object(
        value,
        where,
        {
            "text": _text(LONGEST_TEXT),
            "number": _answer,
            "within": _number(0, 1e9),
            "choices": _list(_text(LONGEST_TITLE), 2, MOST_CHOICES),
            "right": _number(0, MOST_CHOICES - 1),
            "point": _point,
            "do": _one_of(DOINGS),
            "challenge": _one_of(CHALLENGES),
            "hint": _text(LONGEST_TEXT),
            "why": _text(LONGEST_TEXT),
        },
        needed=("text",),
    )
    kinds = [kind for kind in ("number", "choices", "point", "do", "challenge") if kind in question]
    if len(kinds) != 1:
        raise LessonError(
            f"{where}: a question has one of number, choices, point, do and challenge; this has "
            f"{' and '.join(kinds) or 'none'}"
        )
    choices, right = question.get("choices"), question.get("right")
    if (choices is None) != (right is None):
        raise LessonError(f"{where}: choices and right go together")
    if choices is not None and right not in range(len(choices)):
        raise LessonError(
            f"{where}.right: which of the {len(choices)} choices is right, counted from 0; got "
            f"{shown(right)}"
        )
    if "within" in question and "number" not in question:
        raise LessonError(f"{where}.within: goes with number")
    return question


def _answer(value: Any, where: str) -> Any:
    """A number, or what the page measures: "parameters C1", "number", "loss"."""
    if not isinstance(value, str):
        return _number(-1e12, 1e12)(value, where)
    measure, _, stage = value.partition(" ")
    if measure not in MEASURES or (stage and not _STAGE.fullmatch(stage)):
        raise LessonError(
            f'{where}: a number, or one of {", ".join(MEASURES)} (with a stage: "field S4"), got '
            f"{shown(value)}"
        )
    if not stage and measure in ("outputs", "field"):
        raise LessonError(f'{where}: {measure} of which stage? Write "{measure} C1"')
    return value


def _point(value: Any, where: str) -> dict[str, Any]:
    return _object(
        value,
        where,
        {"stage": _stage_or_picture, "value": _one_of(VALUES)},
        needed=("stage",),
    )


def _address(value: Any, where: str) -> str:
    """The part of a link after its question mark."""
    if not isinstance(value, str) or len(value) > LONGEST_ADDRESS:
        raise LessonError(
            f"{where}: a text of at most {LONGEST_ADDRESS:,} characters, what follows the ? of a "
            f"link, got {shown(value)}"
        )
    if not value.isascii() or not value.isprintable() or "#" in value or "?" in value:
        raise LessonError(
            f'{where}: only what follows the ? of a link, such as "picture=6&unit=0:300", got '
            f"{shown(value)}"
        )
    for name, _ in parse_qsl(value, keep_blank_values=True, max_num_fields=20):
        if name not in PARTS + OTHER_PARTS:
            raise LessonError(f"{where}: {shown(name)} is none of {', '.join(PARTS)}")
    return value


def _light(value: Any, where: str) -> str:
    if isinstance(value, str) and (value in LIGHTS or _STAGE.fullmatch(value)):
        return value
    raise LessonError(f"{where}: {', '.join(LIGHTS)} or a stage such as C1, got {shown(value)}")


def _stage(value: Any, where: str) -> str:
    if isinstance(value, str) and _STAGE.fullmatch(value):
        return value
    raise LessonError(f"{where}: a stage such as C1, got {shown(value)}")


def _stage_or_picture(value: Any, where: str) -> str:
    return "picture" if value == "picture" else _stage(value, where)


def _object(
    value: Any, where: str, readers: Mapping[str, Reader], needed: tuple[str, ...]
) -> dict[str, Any]:
    place = where or "a lesson"
    if not isinstance(value, dict):
        raise LessonError(f"{place}: {{…}} is needed here, got {shown(value)}")
    for name in value:
        if name not in readers:
            raise LessonError(f"{place}: {shown(name)} is none of {', '.join(readers)}")
    for name in needed:
        if name not in value:
            raise LessonError(f"{place}: {name} is missing")
    dot = f"{where}." if where else ""
    return {name: readers[name](each, f"{dot}{name}") for name, each in value.items()}


def _list(reader: Reader, least: int, most: int) -> Reader:
    def of(value: Any, where: str) -> list[Any]:
        if not isinstance(value, list) or not least <= len(value) <= most:
            got = f"{len(value)}" if isinstance(value, list) else shown(value)
            raise LessonError(f"{where}: a list of {least} to {most}, got {got}")
        return [reader(each, f"{where}[{number}]") for number, each in enumerate(value)]

    return of


def _text(most: int) -> Reader:
    def of(value: Any, where: str) -> dict[str, str]:
        texts = {"en": value} if isinstance(value, str) else value
        if not isinstance(texts, dict) or not texts or not set(texts) <= {*LANGUAGES}:
            raise LessonError(
                f'{where}: a text, or {{"en": …, "zh": …}} with one or both, got {shown(value)}'
            )
        for language, text in texts.items():
            place = where if isinstance(value, str) else f"{where}.{language}"
            if not isinstance(text, str) or not 0 < len(text.strip()) <= len(text) <= most:
                got = f"{len(text):,} characters" if isinstance(text, str) else shown(text)
                raise LessonError(f"{place}: a text of 1 to {most} characters, got {got}")
            if plain(text, most) != text:
                raise LessonError(f"{place}: it has signs that no line can show")
        return dict(texts)

    return of


def _number(least: float, most: float) -> Reader:
    def of(value: Any, where: str) -> float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not least <= value <= most:
            raise LessonError(f"{where}: a number from {least:g} to {most:g}, got {shown(value)}")
        return float(value) if isinstance(value, float) else int(value)

    return of


def _one_of(values: tuple[str, ...]) -> Reader:
    def of(value: Any, where: str) -> str:
        if not isinstance(value, str) or value not in values:
            raise LessonError(f"{where}: {' or '.join(values)}, got {shown(value)}")
        return value

    return of
