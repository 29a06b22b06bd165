"""What this machine trains and recognises in a second, trainer beside trainer: ``lenet bench``.

A measurement is of a cell: a network, a task, a batch size. Every trainer has a process of its
own (see ``trainers``), started anew for each cell; they take turns, each measured once a
round, so that whatever else the machine does meets all of them. The multiply-adds that the cores
can issue are measured in every round as well. What is reported is medians over the rounds with
the lowest and the highest; ratios are to PyTorch eager in the same round.
"""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import product

from lenet.benchmark.trainers import (
    LARGEST_BATCH,
    TASKS,
    TORCH,
    TRAINERS,
    Job,
    Process,
    Speed,
    TrainerError,
    how_many,
)
from lenet.engines import native
from lenet.installing import how_to_install
from lenet.machine import available_cpus
from lenet.names import did_you_mean, known_as
from lenet.network import zoo
from lenet.network.architecture import Network, trace
from lenet.network.layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU

NETWORKS = ("lenet", "lenet-relu", "wide")  # measured where none is named; more are known
BATCH_SIZES = (1, 32, 256, 1024)
SLOW_TO_BEGIN = {  # measured at these sizes, and on these networks, where none is named
    "torch-compile": ((256,), NETWORKS),
    "d2l": ((256,), ("lenet",)),
}
REFERENCE = "torch-eager"  # ratios are to it
COMPILED = "torch-compile"  # and, where its compiler works, to this one
LIMIT_S = 0.2  # for measuring the limit; it varies little


class BenchmarkError(ValueError):
    """Something that cannot be measured; the message says what can be."""


# --- what a picture costs ----------------------------------------------------------------------


def build(name: str) -> Network:
    """The network of that name: one of the zoo's, or ``wide``, which is only measured.

    >>> sum(layer.macs for layer in trace(build("wide")))
    10117800
    """
    if name != "wide":
        return zoo.build(_spelled("network", name, ("wide", *zoo.NETWORKS)))
    layers = (
        Conv2d(3, 32, kernel_size=5, padding=2),  # 32×32×32
        ReLU(),
        MaxPool2d(2),  # 32×16×16
        Conv2d(32, 64, kernel_size=5),  # 64×12×12
        ReLU(),
        MaxPool2d(2),  # 64×6×6
        Flatten(),
        Linear(64 * 6 * 6, 120),
        ReLU(),
        Linear(120, 84),
        ReLU(),
        Linear(84, 10),
    )
    return Network("wide", (3, 32, 32), layers, zoo.class_names(10))


def forward_macs(network: Network) -> int:
    """The multiply-accumulates of one picture's way through the network.

    >>> forward_macs(zoo.lenet())
    416520
    """
    return sum(layer.macs for layer in trace(network))


def backward_macs(network: Network) -> int:
    """The multiply-accumulates of all gradients for one picture.

    Each layer's weights and input need as many as its outputs did; the gradient of the picture
    itself, the first layer's input, nobody needs.

    >>> backward_macs(zoo.lenet())
    715440
    """
    first = next((layer.macs for layer in trace(network) if layer.parameters), 0)
    return 2 * forward_macs(network) - first


def flops_per_example(network: Network, task: str) -> int:
    """The floating-point operations of one picture, two for each multiply-accumulate."""
    backward = backward_macs(network) if task == "train" else 0
    return 2 * (forward_macs(network) + backward)


# --- what is to be measured --------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """One task on one network, and who is to do it."""

    network: Network
    task: str
    batch_size: int
    trainers: tuple[str, ...]

    @property
    def title(self) -> str:
        """Task and batch size, as the table's heading."""
        return self.task if self.task == "one-picture" else f"{self.task}, batch {self.batch_size}"


@dataclass(frozen=True)
class LeftOut:
    """Who is not in the table, and why."""

    trainer: str
    why: str


def _spelled(kind: str, name: str, known: Sequence[str]) -> str:
    """The known name that was meant; BenchmarkError, with the nearest, where there is none."""
    found = known_as(name, known)
    if found is None:
        hint = did_you_mean(name, known)
        raise BenchmarkError(f"unknown {kind} {name!r}; {hint}choose from {', '.join(known)}")
    return found


@dataclass(frozen=True)
class Plan:
    """Everything that a run of the benchmark measures."""

    cells: tuple[Cell, ...]
    threads: int
    seconds: float  # of each measurement
    rounds: int
    left_out: tuple[LeftOut, ...] = ()

    @property
    def measurements(self) -> int:
        """How many there are in all, the limit's not counted."""
        return self.rounds * sum(len(cell.trainers) for cell in self.cells)


def plan(
    only: Sequence[str] | None = None,
    networks: Sequence[str] | None = None,
    tasks: Sequence[str] | None = None,
    batch_sizes: Sequence[int] | None = None,
    threads: int | None = None,
    seconds: float = 0.3,
    rounds: int = 5,
) -> Plan:
    """What can be measured here of what you ask for; None asks for everything.

    A single picture has no batch size: it belongs to size 1, and to no other, unless the task is
    asked for by name. ``SLOW_TO_BEGIN`` says what is left out unless it is asked for.
    Raises BenchmarkError for what is unknown or impossible, and when nothing is left.
    """
    only = only and [_spelled("trainer", name, TRAINERS) for name in only]
    tasks = tasks and [_spelled("task", name, TASKS) for name in tasks]
    networks = networks and [
        _spelled("network", name, ("wide", *zoo.NETWORKS)) for name in networks
    ]
    for size in batch_sizes or ():
        if not 1 <= size <= LARGEST_BATCH:
            raise BenchmarkError(f"batch size is {size}, must be from 1 to {LARGEST_BATCH:,}")
    cpus = available_cpus()
    threads = cpus if threads is None else threads
    if not 1 <= threads <= cpus:
        raise BenchmarkError(f"threads is {threads}, must be from 1 to {cpus}, the CPUs there are")
    if rounds < 1:
        raise BenchmarkError(f"rounds is {rounds}, must be at least 1")
    if not 0 < seconds < math.inf:
        raise BenchmarkError(f"seconds is {seconds:g}, must be above 0, such as 0.3")

    asked = tuple(dict.fromkeys(only or TRAINERS))
    left_out = _absent(asked)
    here = set(asked) - {absent.trainer for absent in left_out}
    cells = []
    for name, task in product(dict.fromkeys(networks or NETWORKS), dict.fromkeys(tasks or TASKS)):
        network = build(name)
        sizes = tuple(dict.fromkeys(batch_sizes or BATCH_SIZES))
        if task == "one-picture":
            sizes = (1,) if tasks or 1 in sizes else ()
        for size in sizes:
            if size > how_many(network):
                if not networks:
                    continue
                raise BenchmarkError(
                    f"batch size is {size:,}, but {name} is measured on {how_many(network):,} "
                    "pictures"
                )
            able = [
                trainer
                for trainer in asked
                if trainer in here
                and (trainer != "d2l" or task != "one-picture")
                and _is_default(trainer, name, task, size, networks, batch_sizes)
            ]
            if able:
                cells.append(Cell(network, task, size, tuple(able)))
    if not cells:
        reasons = sentences(left_out) or ["d2l looks at no single pictures"]
        raise BenchmarkError(f"nothing to measure: {'; '.join(reasons)}")
    return Plan(tuple(cells), threads, seconds, rounds, left_out)


def _is_default(
    trainer: str,
    network: str,
    task: str,
    size: int,
    networks: Sequence[str] | None,
    batch_sizes: Sequence[int] | None,
) -> bool:
    """Whether a trainer that is slow to begin is worth it here; what is named always is."""
    if trainer not in SLOW_TO_BEGIN:
        return True
    usual_sizes, usual_networks = SLOW_TO_BEGIN[trainer]
    return bool(networks or network in usual_networks) and bool(
        batch_sizes or task == "one-picture" or size in usual_sizes
    )


def _absent(asked: Iterable[str]) -> tuple[LeftOut, ...]:
    """Those that cannot run here at all."""
    absent = []
    for name in asked:
        if name in TORCH and find_spec("torch") is None:
            absent.append(
                LeftOut(name, f"PyTorch is not installed; get it by: {how_to_install('torch')}")
            )
        elif name == "native" and native.why_missing():
            absent.append(
                LeftOut(name, "not built here; 'lenet doctor' says why, and how to get it")
            )
    return tuple(absent)


# --- measuring ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spread:
    """The middle of several measurements, and how far they lie apart."""

    median: float
    min: float
    max: float

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        """The spread of at least one value."""
        return Spread(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Row:
    """What one trainer did in one cell, a value a round."""

    cell: Cell
    trainer: str
    threads: int
    instruction_set: str
    speeds: tuple[Speed, ...]
    reference: tuple[float, ...]  # examples/s of REFERENCE in the same rounds; empty without it
    limits_gflops: tuple[float, ...]  # in the same rounds; empty where unknown
    compiled: tuple[float, ...] = ()  # examples/s of COMPILED in the same rounds

    @property
    def examples_per_s(self) -> Spread:
        """Pictures a second."""
        return Spread.of([speed.examples_per_s for speed in self.speeds])

    @property
    def ratio(self) -> Spread | None:
        """How many times as fast as REFERENCE, round by round."""
        return self._times(self.reference)

    @property
    def ratio_to_compiled(self) -> Spread | None:
        """How many times as fast as COMPILED, round by round."""
        return self._times(self.compiled)

    def _times(self, others: Sequence[float]) -> Spread | None:
        pairs = [
            speed.examples_per_s / other for speed, other in zip(self.speeds, others, strict=False)
        ]  # either may have failed before the last round
        return Spread.of(pairs) if pairs else None

    @property
    def median_latency_us(self) -> float | None:
        """Microseconds for one picture, from the call to the logits."""
        times = [s.median_latency_us for s in self.speeds if s.median_latency_us is not None]
        return statistics.median(times) if times else None

    @property
    def flops_per_example(self) -> int:
        """What the task needs, counted by hand; a trainer may compute more."""
        return flops_per_example(self.cell.network, self.cell.task)

    @property
    def limit_gflops(self) -> float | None:
        """The multiply-adds that the threads can issue, in 10⁹ operations a second."""
        return statistics.median(self.limits_gflops) if self.limits_gflops else None

    @property
    def share_of_limit(self) -> float | None:
        """Of all multiply-adds that could have been issued, those that the task needs."""
        if self.limit_gflops is None:
            return None
        return self.examples_per_s.median * self.flops_per_example / (self.limit_gflops * 1e9)


@dataclass(frozen=True)
class Results:
    """A run of the benchmark, whole or as far as it came."""

    plan: Plan
    rows: tuple[Row, ...]
    limits_gflops: tuple[float, ...]  # all that were measured; empty where unknown
    instruction_set: str | None  # that the limit is of
    pictures: dict[str, str]  # by network
    left_out: tuple[LeftOut, ...]
    load_average: float | None  # processes that were running when this began
    interrupted: bool

    @property
    def limit_gflops(self) -> float | None:
        """The median limit."""
        return statistics.median(self.limits_gflops) if self.limits_gflops else None


class Turns:
    """A cell while it is measured: its trainers' processes take turns."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.pictures = ""
        self.instruction_sets: dict[str, str] = {}
        self.speeds: dict[str, list[Speed]] = {}
        self.limits_gflops: list[float] = []
        self.left_out: list[LeftOut] = []

    def take(self, plan: Plan, measure_limit: Callable[[], float | None]) -> Generator[str]:
        """What comes next, before each thing that takes time; what was measured stays here."""
        cell = self.cell
        with ExitStack() as stack:
            processes = {}
            for name in cell.trainers:
                job = Job(name, cell.task, cell.network, cell.batch_size, plan.threads)
                processes[name] = stack.enter_context(Process(job))
            for name, process in list(processes.items()):
                yield f"{cell.title}: {name} begins"
                try:
                    self.instruction_sets[name], self.pictures = process.ready()
                except TrainerError as error:
                    self._leave_out(processes, name, error)
            for number in range(1, plan.rounds + 1):
                limit = measure_limit()
                self.limits_gflops += [] if limit is None else [limit]
                for name, process in list(processes.items()):
                    yield f"{cell.title}: round {number}, {name}"
                    try:
                        self.speeds.setdefault(name, []).append(process.measure(plan.seconds))
                    except TrainerError as error:
                        self._leave_out(processes, name, error)

    def _leave_out(self, processes: dict[str, Process], name: str, error: TrainerError) -> None:
        del processes[name]
        self.left_out.append(LeftOut(name, str(error)))

    def rows(self, threads: int) -> list[Row]:
        """A row for each trainer that was measured."""
        reference, compiled = (
            tuple(speed.examples_per_s for speed in self.speeds.get(name, ()))
            for name in (REFERENCE, COMPILED)
        )
        return [
            Row(
                cell=self.cell,
                trainer=name,
                threads=threads,
                instruction_set=self.instruction_sets[name],
                speeds=tuple(speeds),
                reference=reference,
                limits_gflops=tuple(self.limits_gflops),
                compiled=compiled,
            )
            for name, speeds in self.speeds.items()
            if speeds
        ]


def run(plan: Plan, tell: Callable[[int, str], None] = lambda done, what: None) -> Results:
    """Everything of the plan, measured; after Ctrl-C what was measured until then.

    ``tell`` is called before each thing that takes time, with how many measurements are done.
    """
    load_average = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    measure_limit, instruction_set = limit_of(plan)
    turns: list[Turns] = []
    interrupted = False
    try:
        for cell in plan.cells:
            turns.append(Turns(cell))
            with closing(turns[-1].take(plan, measure_limit)) as steps:
                for what in steps:
                    done = sum(len(speeds) for its in turns for speeds in its.speeds.values())
                    tell(done, f"{cell.network.name}, {what}")
    except KeyboardInterrupt:
        interrupted = True
    failures = [lack for its in turns for lack in its.left_out]
    return Results(
        plan=plan,
        rows=tuple(row for its in turns for row in its.rows(plan.threads)),
        limits_gflops=tuple(limit for its in turns for limit in its.limits_gflops),
        instruction_set=instruction_set,
        pictures={its.cell.network.name: its.pictures for its in turns if its.pictures},
        left_out=(*plan.left_out, *dict.fromkeys(failures)),
        load_average=load_average,
        interrupted=interrupted,
    )


def limit_of(plan: Plan) -> tuple[Callable[[], float | None], str | None]:
    """How to measure the limit, if it can be, and the instruction set that it is of."""
    if native.why_missing():
        return lambda: None, None
    from lenet._native import multiply_add_gflops

    instruction_set = native.choose_instruction_set()
    seconds = min(plan.seconds, LIMIT_S)
    return lambda: multiply_add_gflops(instruction_set, plan.threads, seconds), instruction_set


def sentences(left_out: Iterable[LeftOut]) -> list[str]:
    """Each reason once, after the names that it holds for."""
    reasons: dict[str, list[str]] = {}
    for lack in left_out:
        names = reasons.setdefault(lack.why, [])
        if lack.trainer not in names:
            names.append(lack.trainer)
    return [f"{', '.join(names)}: {why}" for why, names in reasons.items()]
