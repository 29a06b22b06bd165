"""What IPython understands and Python does not, as Python: magics, shell commands, questions.

Each line of them becomes a call of `get_ipython()` (shell.py) on the same line, or `pass` with a
remark where it is passed over: what only a notebook needs, and commands of a shell whose output
nobody reads.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lenet.tutorial import lexing

# What a line or a cell is given to, by name; the rest is passed over.
RUN_LINES = frozenset(
    {"capture", "cd", "env", "prun", "pwd", "pylab", "run", "set_env", "time", "timeit", "who_ls"}
)
_RUN_STATEMENT = frozenset({"time", "prun", "memit", "lprun"})
_AS_FILE = frozenset({"writefile", "file"})
_AROUND = frozenset({"capture", "time"})  # the cell runs, something is done before and after it
_AS_THEY_STAND = frozenset({"timeit", "prun", "debug", "memit", "lprun"})
# Those that only set a notebook up: nothing is lost, and nobody need read that while it runs.
QUIET = re.compile(r"passed over %(matplotlib|load_ext|reload_ext|autoreload|config|precision)\b")
# Without a % IPython takes these for magics, too, where nothing else makes sense.
_AUTOMATIC = re.compile(
    r"(pip|conda|mamba|cd|ls|cat|mkdir|cp|mv|rm|matplotlib|load_ext|autoreload|pylab)\s+[-\w./~].*"
)
_MAGIC = re.compile(r"%(?P<name>[A-Za-z_]\w*)\s*(?P<rest>.*)", re.DOTALL)
_ASSIGNED = re.compile(
    r"(?P<target>[A-Za-z_][\w\s.,\[\]'\"]*?)\s*=\s*(?P<sign>[!%])(?P<what>.+)", re.DOTALL
)
_QUESTION = re.compile(r"\?{1,2}[\w.*%]+$|%{0,2}[A-Za-z_][\w.*\[\]'\"]*\?{1,2}$")
_OPTIONS = re.compile(r"(-\w+\s+)*(-\w+$)?")


def translate(source: str, raw: str, offset: int) -> tuple[str, tuple[str, ...]]:
    """The cell in Python, line for line, and a remark for each line that is passed over.

    `raw` is the source with the blanks as the file has them, `offset` the number of lines of the
    file before it.
    """
    rows = source.split("\n")
    first = next((number for number, row in enumerate(rows) if row.strip()), 0)
    if rows[first].startswith("%%"):
        return _cell_magic(rows, raw.split("\n"), first, offset)
    if _compiles(source):
        return source, ()
    changed, remarks = _lines(rows, offset)
    return "\n".join(changed), remarks


def _cell_magic(
    rows: list[str], raw: list[str], first: int, offset: int
) -> tuple[str, tuple[str, ...]]:
    line = rows[first].strip()
    name, _, rest = line.removeprefix("%%").partition(" ")
    where = f"line {offset + first + 1}"
    blank = [""] * (len(rows) - first - 1)
    head = rows[:first]
    if name in _AS_FILE:
        body = rows if line.endswith(".py") else raw
        text = "\n".join(body[first + 1 :]) + "\n"
        call = f"get_ipython().run_cell_magic({name!r}, {rest.strip()!r}, {text!r})"
        return "\n".join([*head, call, *blank]), ()
    if name in _AROUND or name in _AS_THEY_STAND:
        again = "\n".join(["", *rows[first + 1 :]])
        source, remarks = translate(again, "\n".join(["", *raw[first + 1 :]]), offset + first)
        if name in _AROUND:
            call = f"get_ipython().begin_cell({name!r}, {rest.strip()!r})"
            return "\n".join([*head, call]) + source, remarks
        return "\n".join([*head, ""]) + source, (f"{where}: passed over {line}", *remarks)
    return "", (f"{where}: {line.split()[0]} makes it no Python",)


def _lines(rows: Sequence[str], offset: int) -> tuple[list[str], tuple[str, ...]]:
    """The rows with magics as Python, and the remarks."""
    changed, remarks = [], []
    state, at = lexing.State(), 0
    while at < len(rows):
        end = at + 1
        text = rows[at].strip()
        found = _line(text) if state.at_statement else None
        if found is None:
            _, state = lexing.parts(rows[at], state)
            changed.append(rows[at])
        else:
            while text.endswith("\\") and end < len(rows):
                text = f"{text[:-1].rstrip()} {rows[end].strip()}"
                end += 1
            again = _line(text)
            statement, remark = again if again is not None else found
            indentation = rows[at][: len(rows[at]) - len(rows[at].lstrip())]
            changed += [f"{indentation}{statement}", *[""] * (end - at - 1)]
            _, state = lexing.parts(statement, state)  # `%time net = train(` goes on below
            if remark:
                remarks.append(f"line {offset + at + 1}: {remark}")
        at = end
    return changed, tuple(remarks)


def _line(text: str) -> tuple[str, str] | None:
    """The statement for a line of IPython's, and a remark or ""; None where it is Python."""
    over = ("pass", f"passed over {text}")
    if text.startswith("!") or _QUESTION.match(text):
        return over
    if _AUTOMATIC.fullmatch(text) and not _compiles(text):
        return _line(f"%{text}")
    if magic := _MAGIC.fullmatch(text):
        name, rest = magic["name"], magic["rest"].strip()
        if name in _RUN_STATEMENT and rest:
            options = _OPTIONS.match(rest)
            statement = rest[options.end() if options else 0 :]
            if name == "time" and _compiles(f"lambda: ({statement}\n)"):
                return f"get_ipython().timed(lambda: ({statement}))", ""
            return statement or "pass", ""
        return (_call(name, rest), "") if name in RUN_LINES else over
    if (assigned := _ASSIGNED.fullmatch(text)) and _is_target(assigned["target"]):
        target, what = assigned["target"], assigned["what"].strip()
        if assigned["sign"] == "!":
            return f"{target} = get_ipython().getoutput({what!r})", ""
        if magic := _MAGIC.fullmatch(f"%{what}"):
            if magic["name"] in RUN_LINES:
                return f"{target} = {_call(magic['name'], magic['rest'].strip())}", ""
            return f"{target} = None", f"{target} is None: passed over %{what}"
    return None


def _call(name: str, rest: str) -> str:
    return f"get_ipython().run_line_magic({name!r}, {rest!r})"


def _is_target(text: str) -> bool:
    return _compiles(f"{text} = 0")


def _compiles(source: str) -> bool:
    from lenet.tutorial import statements

    try:
        statements.parse(source)
    except (SyntaxError, ValueError):
        return False
    return True
