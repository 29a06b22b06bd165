"""The process of its own in which `lenet run` runs a tutorial, begun by start.py.

It is given a `Plan` as JSON. To the tutorial it is as if Python had been started with the
file: `__main__`, sys.argv, sys.path and the working folder are as there; only `d2l` and, where it
is absent, `torchvision` are LeNet's, and figures become files.
"""

from __future__ import annotations

import json
import linecache
import os
import signal
import sys
import time
import traceback
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from io import TextIOWrapper
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from lenet.installing import how_to_install
from lenet.machine import keep_freed_memory
from lenet.tutorial import cells, ending, joining, magics, notebook_modules, shell, stand_ins, tabs
from lenet.tutorial.accelerating import NOTHING, accelerating
from lenet.tutorial.pictures import Keeper, numeric_order
from lenet.tutorial.record import Record, Tee
from lenet.tutorial.rewriting import prepare

BACKEND = f"module://{__package__}.backend"  # we may have another name (other_name/)
CLOCK_NS = 50_000_000  # by which the clock of a file system may lag behind


@dataclass(frozen=True)
class Plan:
    """What to run and how."""

    file: str
    arguments: tuple[str, ...]
    figures: str  # the folder
    epochs: int | None = None
    seed: int | None = None
    keep_going: bool = False
    accelerate: bool = False
    record: str | None = None  # the file for the outputs
    quiet: bool = False  # outputs go into the record alone
    place: str | None = None  # the folder in which is noted where the process is
    pipe: int | None = None  # whose other end the parent holds open as long as it lives

    def to_json(self) -> str:
        """The plan as the runner's argument."""
        return json.dumps(asdict(self))


def main(plan: str) -> None:
    """Run the plan; exit 0 done, 1 a cell failed, 130 interrupted, or as the tutorial says."""
    sys.exit(run(Plan(**json.loads(plan))))


def run(plan: Plan) -> int:
    """The exit code of the tutorial."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a line is seen when it is printed, on any console
            stream.reconfigure(errors="replace", line_buffering=True)
    ending.with_parent(plan.pipe)
    started_ns = time.time_ns() - CLOCK_NS
    tutorial = cells.read(Path(plan.file))
    record = Record(Path(plan.record) if plan.record else None)
    say = _teller(sys.stderr)
    stand_ins.install(say)
    stand_ins.install_in_programs()
    keep_freed_memory()  # PyTorch's steps take a third less time
    keeper = Keeper(Path(plan.figures), say, lambda path: record.add("picture", str(path)))
    source = "\n".join(cell.source for cell in tutorial.cells)
    # Before the tutorial's folder is where modules are looked for: a random.py there is not ours.
    if plan.seed is not None:
        _seed(plan.seed, source)
    if any(word in source for word in ("matplotlib", "plt", "d2l")):
        _watch(keeper)
    around = ExitStack()  # as for the seed: PyTorch is not looked for in the tutorial's folder
    main_module = ModuleType("__main__")
    watch = around.enter_context(accelerating(plan.accelerate, vars(main_module), say))
    _become(main_module, tutorial, plan)
    place = ending.Place(plan.place, str(tutorial.path))
    ipython = shell.Shell(main_module, say)
    _offer_notebook_names(tutorial, ipython, source)
    if plan.record:
        sys.stdout = Tee(
            sys.stdout, lambda text: record.add("stdout", text), pass_on=not plan.quiet
        )
        sys.stderr = Tee(sys.stderr, lambda text: record.add("stderr", text), pass_on=True)
    shown = _Display(record)
    vars(main_module)["display"] = shown
    notebook_modules.install(source, shown)
    failed = 0
    shortened = False
    try:
        for number, cell in enumerate(tutorial.cells):
            record.cell = number
            place.begin(number)
            for remark in cell.remarks:
                if not magics.QUIET.search(remark):
                    say(f"cell {cell.number}, {remark}" if cell.number else remark)
            try:
                with ipython.cell():
                    shortened |= _run_cell(tutorial, cell, plan, main_module, shown)
            except (Exception, SystemExit) as error:
                code = _tell_error(error, record, say)
                if isinstance(error, SystemExit) or not plan.keep_going:
                    return code
                failed = code
            finally:
                if tutorial.layout != "script":
                    _keep(keeper, record, started_ns)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal and lenet may both send one
        cell = tutorial.cells[record.cell]
        say(f"interrupted in cell {record.cell + 1} ({tutorial.path.name}, {_lines(cell)})")
        return 130
    finally:
        _keep(keeper, record, started_ns)
        place.end()
        around.close()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
    if plan.epochs is not None and not shortened:
        say(
            "--epochs changed nothing: no cell gives num_epochs, epochs or the like a number "
            "outside of functions"
        )
    if watch is not None and not watch.found:
        say(NOTHING)
    return failed


def _become(module: ModuleType, tutorial: cells.Tutorial, plan: Plan) -> None:
    """Make it `__main__`: what `python FILE` would have made, as far as the file is Python."""
    vars(module)["__builtins__"] = __builtins__
    if tutorial.path.suffix in (".py", ".pyw"):
        module.__file__ = os.path.abspath(tutorial.path)
    sys.modules["__main__"] = module
    sys.argv = [plan.file, *plan.arguments]
    folder = str(tutorial.path.resolve().parent)
    if sys.flags.safe_path:
        return
    sys.path.insert(0, folder)
    if tutorial.layout != "script":  # as in a notebook, what a cell writes can be imported
        sys.path.insert(1, "")


def _offer_notebook_names(tutorial: cells.Tutorial, ipython: shell.Shell, source: str) -> None:
    """Give cells what notebooks have; a script only where it counts on it: many ask for
    `get_ipython` to learn whether they are in a notebook."""
    counts_on_it = any(line.startswith(f"{shell.NAME}().") for line in source.split("\n"))
    if tutorial.layout == "script" and not counts_on_it:
        return
    ipython.user_ns[shell.NAME] = lambda: ipython
    if "tab.selected(" in source or "tab.interact_select(" in source:
        ipython.user_ns["tab"] = tabs.Tab()


def _run_cell(
    tutorial: cells.Tutorial,
    cell: cells.Block,
    plan: Plan,
    module: ModuleType,
    shown: _Display,
) -> bool:
    """Whether the cell's number of epochs was changed; runs the cell and shows its last value."""
    name = cells.frame_name(tutorial.path, cell)
    lines = [f"{line}\n" for line in tutorial.lines]
    if cell.number:
        lines = [f"{line}\n" for line in cell.text.split("\n")]
    linecache.cache[name] = (sum(map(len, lines)), None, lines, name)
    program = prepare(
        cell.source,
        name,
        cell.first,
        cell.indent,
        plan.epochs,
        show=tutorial.layout != "script",
        methods_of=cell.methods_of,
    )
    whole = vars(module).get(cell.methods_of)
    exec(compile(program.body, name, "exec", dont_inherit=True), vars(module))
    if isinstance(whole, type):
        joining.add_methods(whole, vars(module)[cell.methods_of])
        vars(module)[cell.methods_of] = whole
    if program.shown is not None:
        value = eval(compile(program.shown, name, "eval", dont_inherit=True), vars(module))
        shown(value)
    return program.shortened


class _Display:
    """`display(…)`: values as a notebook shows them: as text, on the page with their HTML."""

    def __init__(self, record: Record) -> None:
        self.record = record

    def __call__(self, *values: Any) -> None:
        for value in values:
            if value is None:
                continue
            if isinstance(sys.stdout, shell.Hidden):
                sys.stdout.outputs.append(value)
                continue
            text = _text(value)
            if isinstance(sys.stdout, Tee):
                self.record.add("value", text)
                if html := _html(value):
                    self.record.add("html", html)
                if sys.stdout.pass_on:
                    print(text, file=sys.stdout.stream)
            else:
                print(text)


def _text(value: Any) -> str:
    """Its repr; a long list or dictionary over several lines, as notebooks have it."""
    text = repr(value)
    if len(text) > 79 and type(value) in (list, tuple, dict, set):
        import pprint

        return pprint.pformat(value, sort_dicts=False)
    return text


def _html(value: Any) -> str:
    """What the value says for a page itself, or ""."""
    for name in ("_repr_html_", "_repr_svg_"):
        method = getattr(type(value), name, None)
        if callable(method):
            with suppress(Exception):
                if isinstance(html := method(value), str):
                    return html
    return ""


def _teller(stream: Any) -> Any:
    def say(line: str) -> None:
        print(f"lenet: {line}", file=stream)

    return say


def _watch(keeper: Keeper) -> None:
    keeper.watch_saves()
    if os.environ.get("MPLBACKEND") == BACKEND:
        from lenet.tutorial import backend

        backend.FigureManager.keeper = keeper


def _keep(keeper: Keeper, record: Record, started_ns: int) -> None:
    """Keep the open figures, and note what else has come into the folder, such as an Animator's."""
    if curves := sys.modules.get("lenet.d2l.growing_curves"):  # a cell's curves belong to that cell
        curves.finish_all()
    if "matplotlib.pyplot" in sys.modules:
        try:
            keeper.keep_open()
        except Exception as error:  # a figure that cannot be drawn is no reason to lose the others
            keeper.tell(f"a figure could not be drawn: {type(error).__name__}: {error}")
    if record.path is not None:
        for path in sorted(keeper.folder.glob("*.[ps][nv]g"), key=numeric_order):
            if path.stat().st_mtime_ns >= started_ns:
                record.add("picture", str(path))


def _seed(seed: int, source: str) -> None:
    import random

    import numpy as np

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the generator that tutorials draw from
    if "torch" in source or "d2l" in source:
        import torch

        torch.manual_seed(seed)


def _tell_error(error: BaseException, record: Record, say: Any) -> int:
    """The exit code after showing the traceback, from the tutorial's own lines on."""
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        print(error.code, file=sys.stderr)
        return 1
    text = "".join(
        traceback.format_exception(type(error), error, _from_the_tutorial(error.__traceback__))
    )
    record.add("error", text)
    stream = sys.stderr.stream if isinstance(sys.stderr, Tee) else sys.stderr
    print(text, end="", file=stream)
    if isinstance(error, ModuleNotFoundError):
        say(_what_is_missing(error))
    return 1


# Packages that are imported under another name than pip's.
PIP_NAMES = {
    "cv2": "opencv-python",
    "PIL": "pillow",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}


def _what_is_missing(error: ModuleNotFoundError) -> str:
    name = error.name or str(error)
    top = name.partition(".")[0]
    if name == "torch":
        return f"this tutorial needs PyTorch: {how_to_install('torch')}"
    if top in sys.modules:
        return f"{name} is not in the {top} that is here; the tutorial may need another version"
    return (
        f"this tutorial needs {top}, which is not installed and not beside it: "
        f"pip install {PIP_NAMES.get(top, top)}, or put its own file {top}.py there"
    )


def _from_the_tutorial(trace: TracebackType | None) -> TracebackType | None:
    ours = (__file__, prepare.__code__.co_filename)
    while trace is not None and trace.tb_frame.f_code.co_filename in ours:
        trace = trace.tb_next
    if trace is not None and trace.tb_frame.f_code.co_filename.endswith("ast.py"):
        return None  # a SyntaxError: the parser's own lines say nothing
    return trace


def _lines(cell: cells.Block) -> str:
    return cell.place if cell.number else f"lines {cell.place}"
