"""A remark in three parts: what was seen, why it is so, and what to try.

Files keep it as one line of English. The terminal and the page show three lines, in your language.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from typing import Final

from lenet.language.asked import Language, language_of
from lenet.language.chinese import in_chinese

MOST_WORDS: Final = 40  # of a part
_PARTS: Final = re.compile(  # in either language
    r"(Seen: .+\.) (Why: .+\.) (Try: .+\.)|(现象：.+。)(原因：.+。)(建议：.+。)"
)


@dataclass(frozen=True)
class Finding:
    """Three parts, none of more than 40 words; ``str`` is the line that files keep."""

    seen: str
    why: str
    to_try: str

    def __str__(self) -> str:
        return f"Seen: {self.seen}. Why: {self.why}. Try: {self.to_try}."


def lines(remark: str) -> list[str]:
    """The three parts of a finding, in either language, a line each; any other remark as it is.

    >>> lines("Seen: a loss of 2.3. Why: no step was made. Try: --epochs 2.")
    ['Seen: a loss of 2.3.', 'Why: no step was made.', 'Try: --epochs 2.']
    """
    found = _PARTS.fullmatch(remark)
    return [remark] if found is None else [part for part in found.groups() if part]


def told(remark: str, language: Language | None = None, encoding: str | None = None) -> str:
    """A remark as the terminal shows it: three lines where it is a finding.

    Without a language, in that of the environment; in English where the Chinese is not known, or
    the stream's ``encoding`` (stdout's where there is none) cannot write it.
    """
    if (language or language_of(os.environ)) == "zh" and (chinese := in_chinese(remark)):
        try:
            chinese.encode(encoding or sys.stdout.encoding or "ascii")
        except UnicodeEncodeError:
            pass
        else:
            remark = chinese
    return "\n".join(lines(remark))
