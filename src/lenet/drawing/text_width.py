"""How wide a text is in a terminal or a figure, and lines of at most so much: Chinese too.

>>> cells("LeNet"), cells("卷积层")
(5, 6)
>>> wrapped("卷积层有6个卷积核，每个5×5。", 12)
['卷积层有6个', '卷积核，每个', '5×5。']
"""

from __future__ import annotations

import re
import unicodedata

_NOT_FIRST = "，。；：、！？）」》”’…"  # signs that begin no line
_NOT_LAST = "（「《“‘"  # signs that end none


def cells(text: str) -> int:
    """The width of a text in Latin letters; Chinese signs are as wide as two, accents as none."""
    return sum(
        0 if unicodedata.combining(sign) else 1 + (unicodedata.east_asian_width(sign) in "WF")
        for sign in text
    )


def padded(text: str, width: int) -> str:
    """The text with blanks to the right of it, ``width`` Latin letters wide."""
    return text + " " * (width - cells(text))


def wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """The text in lines of at most ``width``, each after ``indent``; longer words stay whole.

    Lines break at blanks, and anywhere between Chinese signs but before what closes and after what
    opens.
    """
    lines, line = [], ""
    for piece in _pieces(text):
        if line and cells(indent + line + piece.rstrip()) > width:
            lines.append(indent + line.rstrip())
            line = ""
        line += piece if line else piece.lstrip()
    return [*lines, indent + line.rstrip()]


def _pieces(text: str) -> list[str]:
    """The parts between which a line may break; the blank that follows a word belongs to it."""
    parts = re.findall(r"\s+|[^\s]", text)
    pieces: list[str] = []
    for part in parts:
        before = pieces[-1][-1:] if pieces else ""
        breaks = (
            not before
            or (before.isspace() and not part.isspace())
            or (
                not part.isspace()
                and (cells(before) > 1 or cells(part) > 1)
                and part not in _NOT_FIRST
                and before not in _NOT_LAST
            )
        )
        if breaks:
            pieces.append(part)
        else:
            pieces[-1] += part
    return pieces
