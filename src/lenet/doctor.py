"""What of lenet works here, what is missing, and how to get it: ``lenet doctor``.

Everything is looked up quickly: nothing is downloaded or hashed, and PyTorch is not imported.
``broken`` is what keeps lenet from training anything: no engine, none of the pictures that come
with the package, or no place to write a run. What is ``missing`` it can do without.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sysconfig
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lenet import data, engines, installing, system
from lenet.engines import EngineError, native
from lenet.machine import allowed_cpus, available_cpus, gpu_driver, processor
from lenet.network import zoo

if TYPE_CHECKING:
    from rich.console import RenderableType

COMPILERS = ("c++", "g++", "clang++", "clang-cl")  # those that the engine can be built by
NOT_FOR_USERS = ("dev", "all")  # extras
COMPILING_S = 60.0  # more than any compiler takes for TRIAL
TRIAL = """\
#include <concepts>
#include <span>
typedef float lanes __attribute__((vector_size(32)));
template <std::integral T> T twice(T value) { return value + value; }
int main() { lanes zero{}; return twice(0) + static_cast<int>(zero[0]); }
"""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    state: Literal["ok", "missing", "broken"]
    text: str
    remedy: str = ""  # what to do about it


def examine() -> list[Finding]:
    """Everything that lenet needs or can use, and whether it is here."""
    return [
        Finding(
            "lenet",
            "ok",
            f"{version('lenet')}; Python {platform.python_version()}; {platform.platform()}; "
            f"{processor()}",
        ),
        engine(),
        native_engine(),
        threads(),
        *packages(),
        *data_sets(),
        runs_folder(),
    ]


def sound(findings: list[Finding]) -> bool:
    """Whether lenet can train here."""
    return all(finding.state != "broken" for finding in findings)


# --- what computes -----------------------------------------------------------------------------


def engine() -> Finding:
    """Which engine ``auto`` takes for the tutorials' network, and why."""
    gpu = find_spec("torch") is not None and gpu_driver()
    try:
        choice = engines.choose("auto", zoo.lenet(), "cpu" if gpu else "auto")
    except (EngineError, ImportError) as error:
        return Finding("engine", "broken", str(error))
    text = f"auto takes {choice.engine} on {choice.device}: {choice.reason}"
    if gpu:
        text += "; a GPU comes first if PyTorch, not asked here, can use the one there seems to be"
    return Finding("engine", "ok", text)


def native_engine() -> Finding:
    """Whether the native engine is here, and for which instruction sets."""
    if why := native.why_missing():
        return _native_missing(why)
    from lenet._native import instruction_sets

    can = ", ".join(instruction_sets())
    try:
        chosen = native.choose_instruction_set()
    except EngineError as error:
        return Finding("native", "broken", str(error))
    by = " as LENET_ISA says" if os.environ.get("LENET_ISA") else ""
    return Finding("native", "ok", f"{chosen}{by}, of {can}, which this processor can run")


def _native_missing(why: str) -> Finding:
    install = installing.how_to_build()
    if find_spec("lenet._native") is not None:
        return Finding("native", "missing", why, f"build it again: {install}")
    named = system.words(os.environ.get("CXX", ""))
    compilers = [named] if named else [[name] for name in COMPILERS]
    compiler = next((words for words in compilers if shutil.which(words[0])), None)
    headers = os.path.isfile(os.path.join(sysconfig.get_path("include"), "Python.h"))
    if compiler is None:
        kinds = "Clang as clang-cl" if system.is_windows() else "GCC or Clang"
        where = (
            f"CXX names {named[0]}, which is not on the PATH"
            if named
            else "there is none on the PATH"
        )
        return Finding(
            "native",
            "missing",
            f"not built: it takes a C++ compiler, {kinds}, and {where}",
            f"install one {system.how_to_get('compiler')}"
            + (", or let pip bring Zig's for the build" if system.pip_brings_compiler() else "")
            + ("" if headers else f"; Python's header files {system.how_to_get('headers')}")
            + f"; then: {install}",
        )
    if problem := why_not_compiling(compiler):
        return Finding(
            "native",
            "missing",
            f"not built: {system.command_line(compiler)} does not compile C++20 for it: {problem}",
            f"install another GCC (12 or later) or Clang (15 or later), then: {install}",
        )
    if not headers:
        return Finding(
            "native",
            "missing",
            "not built: Python's header files, such as Python.h, are not here",
            f"install them {system.how_to_get('headers')}, then: {install}",
        )
    return Finding(
        "native",
        "missing",
        f"not built, though there is a C++ compiler now that works: {shutil.which(compiler[0])}",
        f"{install}  builds it, or says why it cannot be built",
    )


def why_not_compiling(compiler: list[str]) -> str:
    """What a compiler says to a program of five lines in C++20; empty where it compiles it."""
    standard = "/std:c++20" if "clang-cl" in compiler[0] else "-std=c++20"
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "trial.cpp"
        program.write_text(TRIAL, encoding="utf-8")
        try:
            done = subprocess.run(
                [*compiler, standard, "-o", str(Path(folder) / "trial"), str(program)],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=COMPILING_S,
                check=False,
                cwd=folder,
            )
        except subprocess.TimeoutExpired:
            return f"it took longer than {COMPILING_S:.0f} s"
        except OSError as error:
            return f"it cannot be started: {error.strerror or error}"
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower()]
    return next(iter([*telling, *lines]), f"it ended with exit code {done.returncode}")[:300]


def threads() -> Finding:
    """How many CPUs an engine uses unless told otherwise, and why not all."""
    usable, there = available_cpus(), os.cpu_count() or 1
    allowed = allowed_cpus()
    if usable == there:
        return Finding("threads", "ok", f"{usable}, all CPUs of this machine")
    why = "the container's CPU quota" if usable < allowed else "the process's CPU affinity"
    return Finding("threads", "ok", f"{usable} of {there} CPUs: {why} allows no more")


# --- what is installed -------------------------------------------------------------------------


def packages() -> list[Finding]:
    """The versions of what lenet imports: the core, then each extra with how to get it."""
    findings = []
    for extra, needed in installing.requirements().items():
        if extra in NOT_FOR_USERS:
            continue
        names = {re.split(r"[^\w.-]", text, maxsplit=1)[0]: text for text in needed}
        found = {name: _version(name) for name in names}
        here = ", ".join(f"{name} {number}" for name, number in found.items() if number)
        lacking = [name for name, number in found.items() if not number]
        absent = ", ".join(lacking)
        subject = f"for {extra}" if extra else "packages"
        if not names:
            text = f"no package for {platform.machine()} with {platform.system()}"
            findings.append(Finding(subject, "missing", text))
        elif not absent:
            findings.append(Finding(subject, "ok", here))
        else:
            text = f"not installed: {absent}" + (f"; here: {here}" if here else "")
            wanted = system.command_line([names[name] for name in lacking])
            remedy = f"{installing.pip_install()} {wanted}"
            findings.append(Finding(subject, "missing", text, remedy))
    return findings


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


# --- what is on the disk -----------------------------------------------------------------------


def data_sets() -> list[Finding]:
    """Where each known data set lies, or how to get it; no byte of them is verified."""
    findings = []
    place = os.environ.get("LENET_DATA")
    if place and not os.path.isdir(os.path.expanduser(place)):
        findings.append(
            Finding(
                "data", "missing", f"LENET_DATA is {place}, which is not a folder", "correct it"
            )
        )
    for known in data.KNOWN.values():
        folder = data.find(known.name)
        if folder is not None:
            findings.append(Finding("data", "ok", f"{known.name} in {folder}"))
        elif known.mirrors:
            remedy = f"lenet data get {known.name} ({known.download_bytes / 1e6:.0f} MB)"
            findings.append(Finding("data", "missing", f"{known.name} is not here", remedy))
        else:
            text = f"{known.name}, which comes with lenet, is not in {data.BUNDLED}"
            remedy = f"install lenet again: {installing.how_to_build()}"
            findings.append(Finding("data", "broken", text, remedy))
    return findings


def runs_folder() -> Finding:
    """Whether a run can be written where ``lenet train`` would put it, and how much room there is.

    A file without a name is made and is gone again.
    """
    folder = Path("runs").absolute()
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            free_bytes = shutil.disk_usage(place).free
    except OSError as error:
        return Finding(
            "runs",
            "broken",
            f"{folder} cannot be written: {error.strerror}",
            "go to another folder, or give each run its own: lenet train --out FOLDER",
        )
    return Finding("runs", "ok", f"{folder} can be written; {free_bytes / 1e9:,.1f} GB are free")


# --- showing it --------------------------------------------------------------------------------


def to_json(findings: list[Finding]) -> dict[str, Any]:
    """The findings as plain values, for ``lenet doctor --json``."""
    return {"sound": sound(findings), "findings": [asdict(finding) for finding in findings]}


def render(findings: list[Finding]) -> RenderableType:
    """A line for each finding, a second one for what to do about it."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    before = ""
    for finding in findings:
        text = finding.text if finding.state != "broken" else f"broken: {finding.text}"
        if finding.remedy:
            text += f"\n→ {finding.remedy}"
        style = {"ok": "", "missing": "yellow", "broken": "red"}[finding.state]
        subject = finding.subject if finding.subject != before else ""
        table.add_row(Text(subject, style="bold"), Text(text, style=style))
        before = finding.subject
    return table
