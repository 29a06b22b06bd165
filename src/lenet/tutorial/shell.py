"""`get_ipython()` in a tutorial: what its magics do there, and what they leave out with a remark.

It has the names of IPython's shell that notebooks use, and needs no IPython.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import time
import timeit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

from lenet.tutorial import cells, magics

# What changes the user's installation is left to the user.
_INSTALLS = re.compile(
    r"\b(pip3?|conda|mamba|apt|apt-get|brew|npm|uv|poetry)\b.*\b(install|uninstall|remove|add|"
    r"update|upgrade|sync)\b|\bsudo\b"
)
NAME = "get_ipython"


class Lines(list[str]):
    """What a command printed, as IPython's SList: a list of lines that is also one text."""

    @property
    def l(self) -> list[str]:  # noqa: E743 - IPython's names
        return list(self)

    list = l

    @property
    def n(self) -> str:
        return "\n".join(self)

    nlstr = n

    @property
    def s(self) -> str:
        return " ".join(self)

    spstr = s

    @property
    def p(self) -> Any:
        return [Path(line) for line in self if os.path.exists(line)]

    paths = p

    def grep(self, pattern: str) -> Lines:
        """The lines in which the pattern is found, in upper or lower case."""
        return Lines(line for line in self if re.search(pattern, line, re.IGNORECASE))

    def fields(self, *numbers: int) -> Lines:
        """Of each line the words with these numbers, or all."""
        words = [line.split() for line in self]
        if not numbers:
            return Lines(" ".join(row) for row in words)
        picked = ([row[n] for n in numbers if -len(row) <= n < len(row)] for row in words)
        return Lines(" ".join(row) for row in picked)


@dataclass(frozen=True)
class Timed:
    """What `%timeit -o` gives: seconds for one loop, of each repetition."""

    loops: int
    timings: tuple[float, ...]

    @property
    def average(self) -> float:
        return sum(self.timings) / len(self.timings)

    @property
    def best(self) -> float:
        return min(self.timings)

    @property
    def worst(self) -> float:
        return max(self.timings)


@dataclass
class Captured:
    """What `%%capture NAME` gives: the cell's output as text."""

    stdout: str = ""
    stderr: str = ""
    outputs: list[Any] = field(default_factory=list)

    def show(self) -> None:
        """Print what was captured."""
        print(self.stdout, end="")
        print(self.stderr, end="", file=sys.stderr)

    __call__ = show

    def __str__(self) -> str:
        return self.stdout


class Hidden(StringIO):
    """What `%%capture` puts in place of a stream; values that are displayed are kept apart."""

    def __init__(self, outputs: list[Any]) -> None:
        super().__init__()
        self.outputs = outputs


class Shell:
    """The shell of one tutorial, whose code runs in the namespace of `module`.

    `tell` gets a remark for what is passed over.
    """

    def __init__(self, module: ModuleType, tell: Callable[[str], None]) -> None:
        self.user_module = module
        self.user_ns = vars(module)
        self.tell = tell
        self.ending: list[Callable[[], None]] = []  # what is due at the end of this cell
        self.execution_count = 0
        self.config: dict[str, Any] = {}

    def __repr__(self) -> str:
        return "<lenet run: no IPython shell, but its magics>"

    # --- what the tutorial's own code calls ---

    def run_line_magic(self, name: str, rest: str = "", *_: Any) -> Any:
        """What `%name rest` gives; None where it is passed over."""
        known: dict[str, Callable[[str], Any]] = {
            "cd": self._cd,
            "env": self._env,
            "prun": self.ex,
            "pwd": lambda _: os.getcwd(),
            "pylab": self._pylab,
            "run": self._run,
            "set_env": self._env,
            "sx": self.getoutput,
            "system": self.getoutput,
            "time": lambda text: self.timed(lambda: self._value(text)),
            "timeit": self._timeit,
            "who_ls": lambda _: sorted(name for name in self.user_ns if name[:1] != "_"),
        }
        if name in known:
            return known[name](self.var_expand(rest) if name not in ("time", "timeit") else rest)
        if not magics.QUIET.match(f"passed over %{name}"):
            self.tell(f"passed over %{name} {rest}".rstrip())
        return None

    def magic(self, text: str) -> Any:
        """`%text`, as older notebooks call it."""
        name, _, rest = text.lstrip("%").partition(" ")
        return self.run_line_magic(name, rest.strip())

    def run_cell_magic(self, name: str, rest: str, body: str) -> Any:
        """What `%%name rest` does with the lines under it."""
        if name in ("writefile", "file"):
            return self._write(self.var_expand(rest), body)
        if name in ("time", "timeit", "prun", "capture"):
            with self.cell():
                if name in ("time", "capture"):
                    self.begin_cell(name, rest)
                return self.run_cell(body)
        self.tell(f"passed over %%{name} {rest}".rstrip())
        return None

    def run_cell(self, source: str, *_: Any, **__: Any) -> None:
        """Run the source, magics and all, in the tutorial's namespace."""
        self.ex(magics.translate(source, source, 0)[0])

    def ex(self, source: str) -> None:
        """Run the source in the tutorial's namespace."""
        exec(compile(source, "<cell>", "exec", dont_inherit=True), self.user_ns)

    def ev(self, source: str) -> Any:
        """The value of an expression in the tutorial's namespace."""
        return eval(compile(source, "<cell>", "eval", dont_inherit=True), self.user_ns)

    def system(self, command: str) -> None:
        """Nothing: commands of a shell whose output nobody reads are passed over."""
        self.tell(f"passed over !{command}")

    system_raw = system_piped = system

    def getoutput(self, command: str, *_: Any, **__: Any) -> Lines:
        """The lines that the command prints; none where it would install something."""
        command = self.var_expand(command)
        if _INSTALLS.search(command):
            self.tell(f"passed over !{command}: what it installs is left to you")
            return Lines()
        done = subprocess.run(
            command,
            shell=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self.user_ns["_exit_code"] = done.returncode
        return Lines(done.stdout.splitlines())

    def push(self, names: dict[str, Any], *_: Any, **__: Any) -> None:
        """Give the tutorial these names."""
        self.user_ns.update(names)

    def register_magic_function(self, *_: Any, **__: Any) -> None:
        """Nothing: magics of the tutorial's own are not run."""

    def var_expand(self, text: str) -> str:
        """The text with `{expression}` and `$name` replaced, where the tutorial has them."""

        def value(found: re.Match[str]) -> str:
            try:
                return str(self.ev(found[1] or found[2]))
            except Exception:  # such as awk's {print $1}: it is the shell's own
                return found[0]

        return re.sub(r"\{([^{}]+)\}|\$([A-Za-z_]\w*)", value, text)

    def timed(self, function: Callable[[], Any]) -> Any:
        """The function's value; its time is printed."""
        started = time.perf_counter()
        value = function()
        print(f"Wall time: {_duration(time.perf_counter() - started)}")
        return value

    # --- around a cell ---

    @contextmanager
    def cell(self) -> Iterator[None]:
        """Meanwhile one cell runs; what its magic has begun ends with it."""
        before, self.ending = self.ending, []
        self.execution_count += 1
        try:
            yield
        finally:
            due, self.ending = self.ending, before
            for end in reversed(due):
                end()

    def begin_cell(self, name: str, rest: str) -> None:
        """Begin what `%%time` or `%%capture` does around its cell."""
        if name == "time":
            started = time.perf_counter()
            self.ending.append(
                lambda: print(f"Wall time: {_duration(time.perf_counter() - started)}")
            )
            return
        target = next((word for word in rest.split() if not word.startswith("-")), "")
        captured = Captured()
        if target:
            self.user_ns[target] = captured
        for stream, option in (("stdout", "--no-stdout"), ("stderr", "--no-stderr")):
            if option not in rest.split():
                self._capture(stream, captured)

    def _capture(self, stream: str, captured: Captured) -> None:
        before: TextIO = getattr(sys, stream)
        buffer = Hidden(captured.outputs)
        setattr(sys, stream, buffer)

        def end() -> None:
            setattr(sys, stream, before)
            setattr(captured, stream, buffer.getvalue())

        self.ending.append(end)

    # --- magics ---

    def _value(self, text: str) -> Any:
        try:
            return self.ev(text)
        except SyntaxError:
            self.ex(text)
            return None

    def _cd(self, rest: str) -> None:
        folder = re.sub(r"^-q\s+", "", rest).strip("'\"") or "~"
        if folder == "-":
            folder = str(self.user_ns.get("_oldcwd", "."))
        self.user_ns["_oldcwd"] = os.getcwd()
        os.chdir(os.path.expanduser(folder))
        if "-q" not in rest.split():
            print(os.getcwd())

    def _env(self, rest: str) -> Any:
        if not rest:
            return dict(os.environ)
        name, sign, value = rest.partition("=")
        if not sign:
            name, sign, value = rest.partition(" ")
        if not sign:
            return os.environ.get(name)
        os.environ[name.strip()] = value.strip()
        print(f"env: {name.strip()}={value.strip()}")
        return None

    def _pylab(self, _: str) -> None:
        self.ex(
            "import numpy\nimport numpy as np\nimport matplotlib.pyplot as plt\nfrom pylab import *"
        )

    def _run(self, rest: str) -> None:
        import shlex

        words = shlex.split(rest)
        while words and words[0].startswith("-"):
            words.pop(0)
        if not words:
            raise ValueError("%run needs a file: %run FILE [arguments]")
        path = Path(words[0]).expanduser()
        if not path.exists() and not path.suffix:
            path = path.with_suffix(".py")
        names = self.user_ns if "-i" in rest.split() else {"__name__": "__main__"}
        names["__file__"] = str(path)
        arguments, sys.argv = sys.argv, [str(path), *words[1:]]
        try:
            for block in cells.read(path).cells:
                exec(compile(block.source, str(path), "exec", dont_inherit=True), names)
        finally:
            sys.argv = arguments
        hidden = ("__name__", "__file__", "__builtins__")
        self.user_ns.update({name: names[name] for name in names if name not in hidden})

    def _write(self, rest: str, body: str) -> None:
        words = rest.split()
        append = bool({"-a", "--append"} & {*words})
        path = Path(" ".join(word for word in words if word not in ("-a", "--append")).strip("'\""))
        path = path.expanduser()
        verb = "Appending to" if append else "Overwriting" if path.exists() else "Writing"
        print(f"{verb} {path}")
        with path.open("a" if append else "w", encoding="utf-8") as file:
            file.write(body)
        importlib.invalidate_caches()

    def _timeit(self, rest: str) -> Timed | None:
        options = re.match(r"((-[nr]\s*\d+|-[tcpqov]+\d*)\s+)*", rest)
        flags = options[0] if options else ""
        statement = rest[len(flags) :]
        numbers = dict(re.findall(r"-([nr])\s*(\d+)", flags))
        timer = timeit.Timer(statement, globals=self.user_ns)
        loops = int(numbers.get("n", 0)) or timer.autorange()[0]
        times = timer.repeat(int(numbers.get("r", 3)), loops)
        result = Timed(loops, tuple(seconds / loops for seconds in times))
        if "q" not in flags:
            print(
                f"{_duration(result.average)} per loop "
                f"(mean of {len(times)} runs of {loops} loops, best {_duration(result.best)})"
            )
        return result if "o" in flags else None


def _duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"
