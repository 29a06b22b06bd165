"""Predictions as lines of a table, as JSON and as rows of a CSV, one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lenet.drawing.text_width import cells, padded
from lenet.language.asked import Language
from lenet.ship.model import NONE_OF_THESE, Prediction
from lenet.ship.predicting import Answer
from lenet.untrusted import plain

GAP: Final = "  "
SHORTEST_NAME: Final = 12  # cells that a name keeps where a terminal is narrow
PROBABILITY: Final = "probability"
HEAD: Final[dict[Language, tuple[str, str, str, str]]] = {
    "en": ("picture", "it is", PROBABILITY, "next"),
    "zh": ("图片", "它是", "概率", "其次"),
}
NONE: Final[dict[Language, str]] = {"en": NONE_OF_THESE, "zh": "都不是"}


@dataclass(frozen=True)
class Table:
    """The widths of a table's columns; its lines are made one by one, as they come."""

    name: int
    answer: int
    width: int | None  # of the whole; None: lines are as long as they are
    language: Language = "en"

    def head(self) -> str:
        """The first line."""
        picture, answer, probability, after = HEAD[self.language]
        right = " " * (len(PROBABILITY) - cells(probability)) + probability
        return GAP.join((padded(picture, self.name), padded(answer, self.answer), right, after))

    def line(self, answer: Answer) -> str:
        """A picture's line. What of the less probable classes has no room is left out."""
        name = padded(shortened(plain(answer.name), self.name), self.name)
        if answer.prediction is None:
            return GAP.join((name, "–"))
        found = answer.prediction
        shares = [f"{p:.1%}" for p in found.probabilities]
        first = shares[0] if found.known else "–"
        said = found.answer if found.known else NONE[self.language]
        line = GAP.join((name, padded(said, self.answer), first.rjust(len(PROBABILITY))))
        rest = list(zip(found.classes, shares, strict=True))[1 if found.known else 0 :]
        between = GAP
        for other, share in rest:
            longer = f"{line}{between}{other} {share}"
            if self.width is not None and cells(longer) > self.width:
                break
            line, between = longer, ", "
        return line


def table(
    names: Iterable[str], classes: Sequence[str], width: int | None, language: Language = "en"
) -> Table:
    """The table for these pictures, at most ``width`` cells wide; None for no terminal."""
    head = HEAD[language]
    answer = max(map(cells, (*classes, NONE[language], head[1])))
    name = max((cells(plain(name)) for name in names), default=0)
    name = max(name, cells(head[0]))
    if width is not None:
        room = width - answer - len(PROBABILITY) - 2 * len(GAP)
        name = min(name, max(room, SHORTEST_NAME))
    return Table(name, answer, width, language)


def shortened(name: str, width: int) -> str:
    """The name without its beginning where it is too wide: the end of a path tells more."""
    if cells(name) <= width:
        return name
    while cells(name) > width - 1:
        name = name[1:]
    return f"…{name}"


def to_json(answer: Answer) -> dict[str, Any]:
    """An answer as plain values, for ``lenet predict --json`` and for a service."""
    if answer.prediction is None:
        return {"picture": answer.name, "error": answer.problem}
    return {"picture": answer.name, **prediction_to_json(answer.prediction)}


def prediction_to_json(found: Prediction) -> dict[str, Any]:
    """A prediction as plain values: ``answer``, ``known``, and the classes with probabilities."""
    ranked = zip(found.classes, found.probabilities, strict=True)
    return {
        "answer": found.answer,
        "known": found.known,
        "classes": [{"class": name, "probability": share} for name, share in ranked],
    }


def csv_head(top: int) -> list[str]:
    """The names of the columns of ``csv_row``."""
    ranked = [f"{what}_{rank}" for rank in range(1, top + 1) for what in ("class", PROBABILITY)]
    return ["picture", "answer", *ranked, "error"]


def csv_row(answer: Answer, top: int) -> list[str]:
    """An answer as the cells of a row; what an error leaves open is empty."""
    if answer.prediction is None:
        return [answer.name, "", *[""] * (2 * top), answer.problem]
    found = answer.prediction
    ranked = zip(found.classes, found.probabilities, strict=True)
    cells = [cell for name, share in ranked for cell in (name, f"{share:.6f}")]
    return [answer.name, found.answer, *cells, ""]
