"""Which characters of Python source are code, and which stand in strings or comments, line by line.

It is less than Python's own tokenizer, so that it goes on where that gives up: at a magic of
IPython, or at a blank that Python does not know.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_OPENING = re.compile(r"(?P<prefix>\b[rRbBuUfFtT]{1,3})?(?P<quote>\"\"\"|'''|\"|')|[(\[{]|[)\]}]|#")


@dataclass(frozen=True)
class State:
    """What is open where a line begins."""

    quote: str = ""  # of a string that goes on
    formatted: bool = False  # whether it is an f-string
    depth: int = 0  # of brackets
    joined: bool = False  # by a backslash at the end of the line before

    @property
    def at_statement(self) -> bool:
        """Whether a statement can begin here."""
        return not (self.quote or self.depth or self.joined)


@dataclass(frozen=True)
class Part:
    """A stretch of a line: `kind` is code, string, formatted (an f-string) or comment."""

    kind: str
    text: str


def parts(line: str, state: State) -> tuple[list[Part], State]:
    """The line in parts that add up to it, and what is open at its end."""
    found: list[Part] = []
    state = replace(state, joined=False)
    at = 0
    while at < len(line):
        if state.quote:
            end = _string_end(line, at, state.quote)
            found.append(Part("formatted" if state.formatted else "string", line[at:end]))
            closed = line[at:end].endswith(state.quote) and end - at >= len(state.quote)
            if closed and not _is_escaped(line, end - len(state.quote), at):
                state = replace(state, quote="", formatted=False)
            at = end
            continue
        opening = _OPENING.search(line, at)
        if opening is None:
            found.append(Part("code", line[at:]))
            break
        sign = opening[0]
        if sign == "#":
            found += [
                Part("code", line[at : opening.start()]),
                Part("comment", line[opening.start() :]),
            ]
            return [part for part in found if part.text], state
        found.append(Part("code", line[at : opening.end()]))
        at = opening.end()
        if opening["quote"]:
            formatted = bool({*"fFtT"} & {*(opening["prefix"] or "")})
            state = replace(state, quote=opening["quote"], formatted=formatted)
        else:
            state = replace(state, depth=max(state.depth + (1 if sign in "([{" else -1), 0))
    if len(state.quote) == 1 and not _is_escaped(line, len(line), 0):
        state = replace(state, quote="", formatted=False)  # never closed: the line ends it
    joined = not state.quote and line.endswith("\\")
    return [part for part in found if part.text], replace(state, joined=joined)


def _string_end(line: str, at: int, quote: str) -> int:
    """Where the string that is open at `at` ends, its quote included, or the line."""
    while at < len(line):
        if line[at] == "\\":
            at += 2
        elif line.startswith(quote, at):
            return at + len(quote)
        else:
            at += 1
    return len(line)


def _is_escaped(line: str, end: int, start: int) -> bool:
    """Whether an odd number of backslashes stands before `end`."""
    before = line[start:end]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1
