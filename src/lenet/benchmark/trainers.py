"""One process of ``lenet bench``: one trainer, prepared for one task, timed when it is told to.

A process for each, because PyTorch's number of threads belongs to the process, and so does how
the C library treats freed memory, by which the same PyTorch loop was measured up to 1.5 times as
fast: no other batch size may have gone before. Every line read from standard input, a number of
seconds, is answered by one line of JSON.

What is timed:

- ``train``: steps of SGD on batches drawn from all pictures. The learning rate is the tutorials'
  0.9 for sigmoids, 0.1 for others, less for batches below 256, so that the numbers stay finite.
- ``evaluate``: loss and accuracy (PyTorch: accuracy) of ``batch_size`` pictures a call.
- ``one-picture``: the logits of a single picture, call by call.

Our engines begin with uint8 pictures each time, plain PyTorch with float32 ones that were
normalised beforehand. ``d2l`` is timed by whole epochs, never less than one, and without a warm-up:
starting its four workers is a part of every epoch of the tutorials.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet import data
from lenet.engines import Batches, Choice, Position, make
from lenet.network import architecture
from lenet.network.architecture import Network
from lenet.network.layers import Sigmoid
from lenet.network.parameters import State, initialize
from lenet.optimization import Objective, Optimizer

ENGINES = ("native", "numpy")
TORCH = ("torch-eager", "torch-channels-last", "torch-compile", "d2l")
TRAINERS = (*ENGINES, *TORCH)
TASKS = ("train", "evaluate", "one-picture")

LARGEST_BATCH = 60_000  # as many as Fashion-MNIST has
MOST_RANDOM = 10_000  # pictures of other sizes, fewer where they are large
RANDOM_BYTES = 1 << 26
CALL_S = 0.01  # a call does as many batches as take about this long: the clock is read seldom
MOST_BATCHES = 4096
SPLITS = 1000  # that are evaluated, or looked at, over and over


@dataclass(frozen=True)
class Job:
    """What a process is to measure."""

    trainer: str
    task: str
    network: Network
    batch_size: int
    threads: int


@dataclass(frozen=True)
class Work:
    """A task that can be done any number of times."""

    do: Callable[[int], Any]  # that many batches; the result is finite if all went well
    examples: int  # of a batch
    instruction_set: str
    whole: bool = False  # a batch is a whole epoch: one is enough, and nothing is warmed up
    single: bool = False  # a batch is one picture, whose latency is wanted


@dataclass(frozen=True)
class Speed:
    """One measurement."""

    examples_per_s: float
    median_latency_us: float | None = None  # of one picture


# --- what is measured --------------------------------------------------------------------------


def pictures(network: Network) -> data.Split:
    """Fashion-MNIST's training pictures where they are here and fit the network, else random ones.

    60,000 for pictures of its size, for others ``how_many``; nothing is downloaded.
    """
    fit = network.input_shape == (1, 28, 28)
    if fit and len(network.classes) == 10 and data.available("fashion-mnist"):
        return data.load("fashion-mnist", download=False).train
    random, count = np.random.default_rng(0), how_many(network)
    images = random.integers(0, 256, (count, *network.input_shape), np.uint8)
    labels = random.integers(0, len(network.classes), count)
    return data.Split(images, labels, network.classes, f"{count:,} random pictures")


def how_many(network: Network) -> int:
    """The number of ``pictures``: what the largest batch can hold.

    >>> from lenet.network import zoo
    >>> [how_many(zoo.lenet((1, side, side))) for side in (28, 56, 112)]
    [60000, 10000, 5349]
    """
    if network.input_shape == (1, 28, 28):
        return LARGEST_BATCH
    return max(SPLITS, min(MOST_RANDOM, RANDOM_BYTES // math.prod(network.input_shape)))


def learning_rate(network: Network, batch_size: int) -> float:
    """A rate at which the loss stays finite, however long the measurement."""
    rate = 0.9 if any(isinstance(layer, Sigmoid) for layer in network.layers) else 0.1
    return rate * min(1.0, batch_size / 256)


def prepare(job: Job, split: data.Split) -> Work:
    """The job's work, with weights of its own. Raises EngineError where it cannot be done."""
    if job.trainer in ENGINES:
        return engine_work(job, split)
    return d2l_work(job, split) if job.trainer == "d2l" else torch_work(job, split)


def engine_work(job: Job, split: data.Split) -> Work:
    """The task as one of our engines does it."""
    network, size = job.network, job.batch_size
    choice = Choice(job.trainer, "cpu", "to measure it")
    engine = make(choice, network, Optimizer(), Objective(), job.threads)
    engine.load(State(initialize(network, "xavier", seed=0)))
    order, rate, done = shuffled(split), learning_rate(network, size), 0

    def train(steps: int) -> float:
        nonlocal done
        chosen = order.take(range(done, done + steps * size), mode="wrap")
        done += steps * size
        rates = np.full(steps, rate)
        return engine.train(split, Batches(chosen, size, rates, None, Position(0, 0, 0))).loss

    parts = itertools.cycle(
        [
            data.Split(split.images[i : i + size], split.labels[i : i + size], split.classes, "")
            for i in range(0, len(split) - size + 1, size)[:SPLITS]
        ]
    )

    def evaluate(count: int) -> float:
        return sum(engine.evaluate(part).loss for part in itertools.islice(parts, count))

    singles = itertools.cycle([split.images[i : i + 1] for i in range(SPLITS)])

    def look(count: int) -> NDArray[np.float32]:
        logits = np.zeros(0, np.float32)
        for picture in itertools.islice(singles, count):
            logits = engine.logits(picture)
        return logits

    do = {"train": train, "evaluate": evaluate, "one-picture": look}[job.task]
    single = job.task == "one-picture"
    return Work(do, 1 if single else size, engine.instruction_set, single=single)


# What holds PyTorch and its libraries to the instructions that LENET_ISA leaves to our engine, as a
# processor would that has no others. Each reads its variable when it is loaded.
TORCH_LIMITS = {
    "x86-64-v2": ("default", "SSE4_2", "SSE41"),
    "x86-64-v3": ("avx2", "AVX2", "AVX2"),
}


def limit_torch() -> None:
    """Hold PyTorch to ``$LENET_ISA``, where it is not loaded yet; what the user set stays."""
    names = ("ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA")
    limits = TORCH_LIMITS.get(os.environ.get("LENET_ISA", ""), ())
    for name, limit in zip(names, limits, strict=False):
        os.environ.setdefault(name, limit)


def torch_work(job: Job, split: data.Split) -> Work:
    """The task as plain PyTorch does it."""
    limit_torch()
    # torch.compile's own pool of processes would stay, and take time from the other trainers
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    import torch

    from lenet.benchmark import pytorch_loops as loops
    from lenet.torch import to_torch

    network, size = job.network, job.batch_size
    torch.set_num_threads(job.threads)
    variant = job.trainer.removeprefix("torch-")
    held = loops.in_memory(network, split, variant)
    net = to_torch(network, initialize(network, "xavier", seed=0))
    do: Callable[[int], Any]
    if job.task == "train":
        rate = learning_rate(network, size)
        do = loops.training(net, held, shuffled(split), size, rate, variant)
    elif job.task == "evaluate":
        do = loops.evaluation(net, held, size, SPLITS, variant)
    else:
        do, size = loops.one_picture(net, held, SPLITS, variant), 1
    capability = torch.backends.cpu.get_cpu_capability()
    return Work(do, size, capability, single=job.task == "one-picture")


def d2l_work(job: Job, split: data.Split) -> Work:
    """An epoch of the tutorials' loop over all pictures, or its evaluation of 10,000."""
    limit_torch()
    import torch
    from torch import nn

    from lenet.benchmark import pytorch_loops as loops
    from lenet.torch import to_torch

    torch.set_num_threads(job.threads)
    net = to_torch(job.network)
    if job.task == "evaluate":
        part = data.Split(split.images[:10_000], split.labels[:10_000], split.classes, "")
        iterator = loops.loader(part, job.batch_size, shuffle=False)
        examples = len(part)

        def do(count: int) -> float:
            return sum(loops.evaluate_accuracy(net, iterator) for _ in range(count))

    else:
        iterator = loops.loader(split, job.batch_size, shuffle=True)
        examples = len(split)
        rate = learning_rate(job.network, job.batch_size)
        optimizer = torch.optim.SGD(net.parameters(), lr=rate)

        def do(count: int) -> float:
            parts = net, iterator, nn.CrossEntropyLoss(), optimizer
            return sum(loops.train_epoch(*parts)[0] for _ in range(count))

    return Work(do, examples, torch.backends.cpu.get_cpu_capability(), whole=True)


def shuffled(split: data.Split) -> NDArray[np.int64]:
    """All pictures once, in the order in which they are trained on, over and over."""
    return np.random.default_rng(0).permutation(len(split))


# --- timing ------------------------------------------------------------------------------------


def batches_a_call(work: Work) -> int:
    """How many batches take about CALL_S, or more; doing them brings everything up to speed."""
    if work.whole or work.single:
        return 1
    work.do(1)  # memory is got here, and torch.compile compiles
    count = 1
    while True:
        started = time.perf_counter()
        work.do(count)
        if time.perf_counter() - started >= CALL_S or count == MOST_BATCHES:
            return count
        count *= 2


def measure(work: Work, count: int, seconds: float) -> Speed:
    """The speed over at least that time, in calls of ``count`` batches.

    Raises ArithmeticError where the numbers are no longer finite: arithmetic with them may take
    another time.
    """
    if not work.whole:
        work.do(count)  # others had the processor
    times: list[float] = []
    result = None
    began = before = time.perf_counter()
    while before - began < seconds or not times:
        result = work.do(count)
        now = time.perf_counter()
        times.append(now - before)
        before = now
    if not np.isfinite(np.asarray(result)).all():
        raise ArithmeticError("its numbers were no longer finite")
    examples_per_s = len(times) * count * work.examples / (before - began)
    return Speed(examples_per_s, statistics.median(times) * 1e6 if work.single else None)


# --- the process, from outside and from inside -------------------------------------------------


START = "from lenet.benchmark import trainers; trainers.main()"


class TrainerError(RuntimeError):
    """A trainer that cannot do its job; the message is what it reported last."""


class Process:
    """A job in a process of its own, for as long as the ``with`` block lasts."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def __enter__(self) -> Process:
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", START, to_json(self.job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,  # Ctrl-C is for the process that prints the table
        )
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        if process.poll() is None:  # it holds nothing that is worth waiting for
            if sys.platform != "win32":
                os.killpg(process.pid, signal.SIGKILL)  # the DataLoader's workers with it
            else:
                process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, self._errors):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()

    def ready(self) -> tuple[str, str]:
        """The instruction set and the pictures, once it can begin: its first answer.

        Raises TrainerError where it cannot.
        """
        values = self._answer()
        return str(values["instruction_set"]), str(values["pictures"])

    def measure(self, seconds: float) -> Speed:
        """One measurement. Raises TrainerError when it failed."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # why it has ended, its answer says
            print(seconds, file=self._process.stdin, flush=True)
        return Speed(**self._answer())

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            values: dict[str, Any] = json.loads(line)
            if "error" in values:
                raise TrainerError(values["error"])
            return values
        code = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines() or ["nothing"]
        raise TrainerError(f"its process ended with exit code {code}; it said last: {said[-1]}")


def to_json(job: Job) -> str:
    """The job as the process's argument."""
    return json.dumps({**asdict(job), "network": architecture.to_dict(job.network)})


def from_json(text: str) -> Job:
    """The job that ``to_json`` wrote."""
    values = json.loads(text)
    return Job(**{**values, "network": architecture.from_dict(values["network"])})


def serve(argument: str) -> None:
    """Prepare the job that ``to_json`` wrote, say so, then measure once a line that is read."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # whatever PyTorch prints is no answer

        def answer(**values: Any) -> None:
            print(json.dumps(values), file=answers, flush=True)

        try:
            job = from_json(argument)
            split = pictures(job.network)
            work = prepare(job, split)
            count = batches_a_call(work)
            described = split.identity.partition(" (")[0]
            answer(instruction_set=work.instruction_set, pictures=described)
            for line in sys.stdin:
                answer(**asdict(measure(work, count, float(line))))
        except Exception as error:  # of PyTorch, of the compiler that it calls, …
            first_line = str(error).strip().partition("\n")[0]
            answer(error=f"{type(error).__name__}: {first_line}"[:200])


def main() -> None:
    """Serve the job of the command line."""
    serve(sys.argv[1])
