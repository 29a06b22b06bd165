"""What one training over many processes costs: measured here, modelled, and simulated further.

    python bench/scale_out.py [--steps 60] [--json FILE] [--draw FILE.svg] [--from FILE]

1, 2 and 4 processes, of one thread each, train the tutorials' LeNet on random pictures with the
native engine. Of each step three things are measured: computing (the processor time of gradients
and of the update), the exchange of the gradients (wall time, waiting included), and the whole.
Besides, vectors of several lengths are added up with nothing else to do.

The model of a step is  computing + exchange:

    computing(n) = fixed + each · n                     n pictures in a process's part
    ring(p)      = 2 (p - 1) · (latency + bytes / (p · bandwidth))    gloo's all-reduce

fitted by least squares to the lower quartiles, which others' work on the machine moves least. The
simulation draws the computing of each worker in each step from what was measured, relative to its
median; the slowest worker of a step holds up all.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet.data import Split
from lenet.engines import Batches, Choice, Position, make
from lenet.engines.distributed import DistributedEngine
from lenet.engines.group import Group, join
from lenet.machine import available_cpus, processor
from lenet.network import zoo
from lenet.network.parameters import Layout, State, initialize
from lenet.optimization import Objective, Optimizer
from lenet.processes import place

PROCESSES = (1, 2, 4)
BATCHES = (64, 256, 1024)  # pictures of a step, all processes together
LENGTHS = (1, 6_000, 60_000, 600_000)  # floats that are added up
MANY = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)
ETHERNET = (50e-6, 1.25e9)  # assumed, not measured: latency in s, bytes/s of 10 Gbit/s
BATCH = 256  # of the recipes d2l and most others
QUARTILE = 0.25
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """What a step costs, in seconds; see above."""

    fixed_s: float
    each_s: float
    latency_s: float
    bytes_per_s: float
    gradient_bytes: int

    def computing_s(self, pictures: float) -> float:
        return self.fixed_s + self.each_s * pictures

    def ring_s(self, processes: int) -> float:
        return ring_s(processes, self.gradient_bytes, self.latency_s, self.bytes_per_s)

    def step_s(self, processes: int, batch: int, cpus: float = np.inf) -> float:
        """A step of so many processes, which share so many CPUs."""
        crowded = max(1.0, processes / cpus)
        return self.computing_s(batch / processes) * crowded + self.ring_s(processes)


def ring_s(processes: int, size_bytes: float, latency_s: float, bytes_per_s: float) -> float:
    """An all-reduce in a ring: each sends 2 (p - 1) pieces of a p-th to its neighbour."""
    rounds = 2 * (processes - 1)
    return rounds * (latency_s + size_bytes / processes / bytes_per_s)


# --- measuring ---------------------------------------------------------------------------------


class Alone:
    """The group of a process that trains alone."""

    rank, size = 0, 1

    def total(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        return vector

    def gather(self, numbers: Floats) -> list[Floats]:
        return [numbers]

    def broadcast(self, content: bytes) -> bytes:
        return content


class Timed:
    """A group that notes how long each exchange took, and what was computed before it."""

    def __init__(self, group: Group) -> None:
        self.group, self.rank, self.size = group, group.rank, group.size
        self.exchange_s: list[float] = []  # wall
        self.computing_s: list[float] = []  # processor time of this thread since the one before
        self.before = time.thread_time()

    def total(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        self.computing_s.append(time.thread_time() - self.before)
        started = time.perf_counter()
        result = self.group.total(vector)
        self.exchange_s.append(time.perf_counter() - started)
        self.before = time.thread_time()
        return result

    def gather(self, numbers: Floats) -> list[Floats]:
        return self.group.gather(numbers)

    def broadcast(self, content: bytes) -> bytes:
        return self.group.broadcast(content)


def work(steps: int) -> dict[str, Any]:
    """What one process measures."""
    here = place()
    joined = None if here is None else join(here)
    group: Group = Alone() if joined is None else joined
    network = zoo.build("lenet")
    alone = make(Choice("native", "cpu", ""), network, Optimizer(), Objective(), threads=1)
    state = State(initialize(network, "xavier", 0))
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (4096, *network.input_shape), np.uint8)
    split = Split(images, random.integers(0, 10, 4096), network.classes, "random")
    found: dict[str, Any] = {"training": {}, "exchange": {}}
    for batch in BATCHES:
        for count in (5, steps):  # the first ones warm up
            alone.load(state)
            group.gather(np.zeros(1))  # all begin together
            timed, started = Timed(group), time.perf_counter()
            DistributedEngine(alone, timed, Objective()).train(
                split,
                Batches(
                    order=random.integers(0, 4096, batch * count),
                    batch_size=batch,
                    learning_rates=np.full(count, 0.01),
                    augmentation=None,
                    position=Position(0, 0, 0),
                ),
            )
            step_s = (time.perf_counter() - started) / count
        found["training"][str(batch)] = {
            "step_s": step_s,
            "computing_s": timed.computing_s[1:],
            "exchange_s": timed.exchange_s[1:],
        }
    for length in LENGTHS if group.size > 1 else ():
        vector, seconds = np.zeros(length, np.float32), []
        for _ in range(steps + 5):
            group.gather(np.zeros(1))
            started = time.perf_counter()
            group.total(vector)
            seconds.append(time.perf_counter() - started)
        found["exchange"][str(4 * length)] = seconds[5:]
    if joined is not None:
        joined.leave()
    return found


def measure(processes: int, steps: int) -> list[dict[str, Any]]:
    """What each of so many processes on this machine measures."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
    common |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    workers = [
        subprocess.Popen(
            [sys.executable, __file__, "--worker", "--steps", str(steps)],
            env={**os.environ, **common, "RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]
    said = [worker.communicate()[0] for worker in workers]
    if any(worker.returncode for worker in workers):
        raise SystemExit(f"a process ended with {[worker.returncode for worker in workers]}")
    return [json.loads(text) for text in said]


# --- the model and the simulation --------------------------------------------------------------


def fit(measured: dict[str, list[dict[str, Any]]], gradient_bytes: int) -> Model:
    """The model whose numbers come nearest to what was measured."""
    rows, seconds = [], []
    for processes, workers in measured.items():
        for batch in BATCHES:
            for worker in workers:
                rows.append([1.0, batch / int(processes)])
                computing = worker["training"][str(batch)]["computing_s"]
                seconds.append(np.quantile(computing, QUARTILE))
    fixed, each = relative_fit(np.array(rows), np.array(seconds))
    rows, seconds = [], []
    for processes, workers in measured.items():
        p = int(processes)
        if p > available_cpus():
            continue  # they would measure the queue for a CPU
        for size in workers[0]["exchange"]:
            rows.append([2.0 * (p - 1), 2 * (p - 1) / p * int(size)])
            seconds.append(np.quantile(workers[0]["exchange"][size], QUARTILE))
    latency, per_byte = relative_fit(np.array(rows), np.array(seconds))
    return Model(fixed, each, latency, 1 / per_byte, gradient_bytes)


def relative_fit(rows: Floats, seconds: Floats) -> tuple[float, float]:
    """Least squares of the relative errors: short times count as much as long ones."""
    solution = np.linalg.lstsq(rows / seconds[:, None], np.ones(len(seconds)), rcond=None)[0]
    return max(float(solution[0]), 0.0), max(float(solution[1]), 1e-15)


def simulate(
    model: Model,
    processes: int,
    batch: int,
    jitter: Floats,
    exchange: Callable[[int], float],
    steps: int = 400,
) -> Floats:
    """The seconds of each of so many steps: the slowest worker, then the exchange."""
    random = np.random.default_rng((processes, batch))
    slowest = np.array([random.choice(jitter, processes).max() for _ in range(steps)])
    return model.computing_s(batch / processes) * slowest + exchange(processes)


def jitter_of(measured: dict[str, list[dict[str, Any]]]) -> Floats:
    """Computing of a step over its median, of all steps of one and of two processes."""
    parts = []
    for processes in ("1", "2"):
        for worker in measured[processes]:
            for told in worker["training"].values():
                parts.append(np.array(told["computing_s"]) / np.median(told["computing_s"]))
    return np.concatenate(parts)


def report(facts: dict[str, Any]) -> dict[str, Any]:
    """Print what was measured beside the model, and the simulation; what the figure shows."""
    measured, model = facts["measured"], Model(**facts["model"])
    cpus = facts["machine"]["cpus"]
    print(
        f"computing: {model.fixed_s * 1e3:.2f} ms + {model.each_s * 1e6:.1f} µs a picture; "
        f"exchange: {model.latency_s * 1e6:.0f} µs a round, {model.bytes_per_s / 1e9:.2f} GB/s"
    )
    print("processes  batch  computing ms  exchange ms  step ms  model ms   (medians; step: mean)")
    for processes, workers in measured.items():
        for batch in BATCHES:
            told = [worker["training"][str(batch)] for worker in workers]
            computing = np.median([np.median(one["computing_s"]) for one in told])
            exchange = np.median(told[0]["exchange_s"])
            step = told[0]["step_s"]
            expected = model.step_s(int(processes), batch, cpus)
            print(
                f"{processes:>9}  {batch:>5}  {computing * 1e3:>12.2f}  {exchange * 1e3:>11.2f}  "
                f"{step * 1e3:>7.2f}  {expected * 1e3:>8.2f}"
            )
    jitter = jitter_of(measured)
    exchanges: dict[str, Callable[[int], float]] = {
        "as measured": model.ring_s,
        "10 Gbit/s, 50 µs (assumed)": lambda p: ring_s(p, model.gradient_bytes, *ETHERNET),
    }
    curves: dict[str, dict[str, list[float]]] = {}
    print(f"\nsimulated speed-up over one process, a CPU each; jitter n = {len(jitter)}")
    print("way                                      " + "".join(f"{p:>7}" for p in MANY))
    for name, exchange in exchanges.items():
        for kind in (f"batch of {BATCH}", f"{BATCH} a process"):
            speed_ups = []
            for p in MANY:
                batch = BATCH if kind.startswith("batch") else BATCH * p
                step = simulate(model, p, batch, jitter, exchange).mean()
                one = simulate(model, 1, BATCH, jitter, exchange).mean()
                speed_ups.append(float(batch / step / (BATCH / one)))
            curves.setdefault(name, {})[kind] = speed_ups
            label = f"{name}, {kind}"
            print(f"{label:<41}" + "".join(f"{value:>7.1f}" for value in speed_ups))
            best = int(np.argmax(speed_ups))
            half = [p for p, value in zip(MANY, speed_ups, strict=True) if value >= p / 2]
            print(
                f"    fastest at {MANY[best]} ({speed_ups[best]:.1f} times); half of each "
                f"process's time is still of use at {half[-1]}"
            )
    return curves


def draw(facts: dict[str, Any], curves: dict[str, Any], path: Path) -> None:
    """Speed-up over processes: the simulation, and what was measured."""
    from lenet.drawing import figures

    title = "Speed-up of one training over many processes"
    with figures.style([title]):
        figure = figures.blank(6.4, 5.2)
        axes = figure.add_axes((0.1, 0.37, 0.86, 0.56))
        for name, dashes in zip(curves, ("-", "--"), strict=True):
            for kind, colour in zip(curves[name], ("C0", "C1"), strict=True):
                label = f"{kind}, exchange {name}"
                axes.plot(MANY, curves[name][kind], dashes, color=colour, label=label)
        one, *_ = steps = [
            workers[0]["training"][str(BATCH)]["step_s"] for workers in facts["measured"].values()
        ]
        cpus = facts["machine"]["cpus"]
        loaded = ", loaded" if (facts["load_average"] or 0) > cpus / 2 else ""
        axes.plot(
            [int(p) for p in facts["measured"]],
            [one / step for step in steps],
            "ko",
            label=f"measured, batch of {BATCH}, on {cpus} CPUs{loaded}",
        )
        axes.plot(MANY, MANY, color="0.8", zorder=0, label="as many times as processes")
        axes.set(xscale="log", yscale="log", xlabel="processes", ylabel="times as fast as one")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_title(title, loc="left")
        figure.legend(loc="lower left", bbox_to_anchor=(0.07, 0.01), frameon=False)
        figures.save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--json", type=Path, help="what was measured, as a file")
    parser.add_argument("--draw", type=Path)
    parser.add_argument("--from", dest="source", type=Path, help="a file of --json; no measuring")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(work(arguments.steps)))
        return
    if arguments.source is not None:
        facts = json.loads(arguments.source.read_text(encoding="utf-8"))
    else:
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        measured = {str(p): measure(p, arguments.steps) for p in PROCESSES}
        size = 4 * Layout.of(zoo.build("lenet")).size
        facts = {
            "measured": measured,
            "model": asdict(fit(measured, size)),
            "steps": arguments.steps,
            "load_average": load,  # before the start: others' work distorts the times
            "machine": {
                "system": platform.platform(),
                "processor": processor(),
                "cpus": available_cpus(),
            },
        }
    print(
        f"{facts['machine']['processor']}, {facts['machine']['cpus']} CPUs, load average "
        f"{facts['load_average']}, n = {facts['steps']} steps"
    )
    curves = report(facts)
    if arguments.json is not None:
        short = json.loads(json.dumps(facts), parse_float=lambda text: float(f"{float(text):.4g}"))
        text = json.dumps(short, separators=(",", ":"))
        arguments.json.write_text(text + "\n", encoding="utf-8")
    if arguments.draw is not None:
        draw(facts, curves, arguments.draw)
        print(arguments.draw)


if __name__ == "__main__":
    main()
