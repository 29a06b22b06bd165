"""What every engine can do, and which one to take.

An engine is made from a network, an optimiser and an objective; it holds the weights and does
all the arithmetic of training. Engines differ in speed, not in results: they start from the same
weights, see the same pictures in the same order and drop the same units.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lenet.architecture import RBF, Conv2d, Network, ScaledTanh, Subsample
from lenet.installing import how_to_install
from lenet.names import did_you_mean, known_as
from lenet.optimization import Objective, Optimizer
from lenet.parameters import Layout, State

ENGINES = ("native", "numpy", "torch")
DEVICES = ("auto", "cpu", "cuda", "mps")


class EngineError(ValueError):
    """An engine that cannot run here, or not this network; the message says why."""


class Pictures(Protocol):
    """A data set's split, as far as an engine is concerned."""

    @property
    def images(self) -> NDArray[np.uint8]:
        """(n, channels, height, width)"""

    @property
    def labels(self) -> NDArray[np.int64]:
        """(n,), from 0 to classes - 1"""


@dataclass(frozen=True)
class Position:
    """Where in a run a stretch of training begins; decides the dropout masks."""

    seed: int
    epoch: int  # from 0
    first_sample: int  # how many pictures of this epoch came before


@dataclass(frozen=True)
class Batches:
    """A stretch of one epoch: which pictures, in which order, in steps of which size."""

    order: NDArray[np.int64]  # (n,) indices into the split
    batch_size: int
    learning_rates: NDArray[np.float64]  # (ceil(n / batch_size),) one a step
    augmentation: NDArray[np.int8] | None  # (n, 3) rows down, columns right, mirrored or not
    position: Position

    def steps(self) -> list[slice]:
        """The place of each step's pictures in ``order``; the last may be short."""
        starts = range(0, len(self.order), self.batch_size)
        return [slice(start, start + self.batch_size) for start in starts]


@dataclass(frozen=True)
class Metrics:
    """Sums over the pictures seen, kept a batch apart so that any grouping gives equal sums."""

    losses: NDArray[np.float64]  # (batches,) the sum of the loss over each batch's pictures
    correct: int
    examples: int
    confusion: NDArray[np.int64] | None = None  # (classes, classes), rows the true class

    @property
    def loss(self) -> float:
        """The mean loss of a picture."""
        return float(self.losses.sum()) / self.examples

    @property
    def accuracy(self) -> float:
        """The share of pictures whose highest output is their class."""
        return self.correct / self.examples


@dataclass(frozen=True)
class Gradients:
    """The mean gradient over a batch: one float32 vector, and where each parameter lies in it."""

    flat: NDArray[np.float32]
    layout: Layout
    metrics: Metrics

    def named(self) -> dict[str, NDArray[np.float32]]:
        """Each parameter's gradient in its own shape, as views of the vector."""
        return self.layout.views(self.flat)


class Engine(Protocol):
    """One implementation of a network's arithmetic."""

    name: str  # "numpy", "native", "torch"
    device: str  # "cpu", "cuda", "mps"
    network: Network
    threads: int
    instruction_set: str  # what the arithmetic runs on; another one may round differently

    def load(self, state: State) -> None:
        """Take parameters, optimiser moments, step and averaged weights in, bit for bit."""

    def state(self) -> State:
        """A copy of all of that, bit for bit."""

    def train(self, split: Pictures, batches: Batches) -> Metrics:
        """One optimiser step a batch; what the network said before each step is summed."""

    def gradients(
        self, images: NDArray[np.uint8], labels: NDArray[np.int64], position: Position
    ) -> Gradients:
        """The mean gradient of one batch, in training mode; nothing changes."""

    def apply(self, gradients: Gradients, learning_rate: float) -> None:
        """One optimiser step with these gradients."""

    def evaluate(self, split: Pictures) -> Metrics:
        """Plain cross-entropy, accuracy and confusion; with the averaged weights if there are."""

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The network's outputs (n, classes), in evaluation mode, as ``evaluate`` sees them."""

    def activations(self, images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """The output of every layer, batch first, in evaluation mode, as ``evaluate`` sees it."""


def normalization_table(network: Network) -> NDArray[np.float64]:
    """The first layer's input for each value of a pixel, (channels, 256) float64.

    A table, so that every engine feeds the same numbers to its first layer.
    """
    channels = network.input_shape[0]
    mean = np.resize(network.normalization.mean, channels)[:, None]
    deviation = np.resize(network.normalization.deviation, channels)[:, None]
    return np.asarray((np.arange(256) / 255 - mean) / deviation, np.float64)


def check_pictures(
    network: Network, images: NDArray[np.uint8], labels: NDArray[np.int64] | None = None
) -> None:
    """Raise ValueError for pictures or labels that are not the network's.

    A GPU would notice them late, and a C++ loop not at all.
    """
    if images.dtype != np.uint8 or images.shape[1:] != network.input_shape:
        raise ValueError(
            f"images are {images.dtype} {images.shape}; network {network.name!r} needs uint8 "
            f"{(len(images), *network.input_shape)}"
        )
    if labels is None:
        return
    classes = len(network.classes)
    if len(labels) != len(images):
        raise ValueError(f"{len(images)} pictures have {len(labels)} labels")
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(
            f"labels go from {labels.min()} to {labels.max()}; network {network.name!r} has "
            f"classes 0 to {classes - 1}"
        )


# --- choosing ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Choice:
    """An engine's name and device, with the reason for the reader of the log."""

    engine: str
    device: str
    reason: str


def choose(engine: str, network: Network, device: str = "auto") -> Choice:
    """Which engine runs ``network`` here, and why; ``auto`` takes the fastest that can.

    Raises EngineError when the engine asked for cannot run here, or cannot run a layer.
    """
    engine = _spelled("engine", engine, ("auto", *ENGINES))
    device = _spelled("device", device, DEVICES)
    refuse_1998_layers(network)
    if engine in ("native", "numpy"):
        if device not in ("auto", "cpu"):
            raise EngineError(f"the {engine} engine runs on the cpu alone, not on {device}")
        if engine == "native" and (problem := _why_not_native(network)):
            raise EngineError(f"{problem}. --engine numpy does without it")
        return Choice(engine, "cpu", "asked for")
    if find_spec("torch") is None:
        if engine == "torch" or device not in ("auto", "cpu"):
            wanted = "the torch engine" if engine == "torch" else f"device {device}"
            raise EngineError(
                f"{wanted} needs PyTorch, which is not installed: {how_to_install('torch')}"
            )
        return _on_cpu(network, "PyTorch, which a GPU needs, is not installed")
    if engine == "auto" and device == "cpu":
        return _on_cpu(network, "asked for the cpu")
    if engine == "auto" and not gpu_driver():
        return _on_cpu(network, "no GPU here")

    from lenet.engines.torch import find_device

    found = find_device(device)
    if engine == "auto" and found == "cpu":
        return _on_cpu(network, "PyTorch finds no GPU")
    return Choice("torch", found, "asked for" if engine == "torch" else f"{found} is here")


def _spelled(what: str, name: str, known: tuple[str, ...]) -> str:
    """The known name that was meant; EngineError, with the nearest, where there is none."""
    found = known_as(name, known)
    if found is None:
        hint = did_you_mean(name, known)
        raise EngineError(f"unknown {what} {name!r}; {hint}choose from {', '.join(known)}")
    return found


def _on_cpu(network: Network, reason: str) -> Choice:
    """The native engine where it was built and has the kernels, else NumPy, saying so."""
    if problem := _why_not_native(network):
        return Choice("numpy", "cpu", problem)
    return Choice("native", "cpu", reason)


def _why_not_native(network: Network) -> str:
    """Why the native engine cannot run ``network`` here; empty where it can."""
    from lenet.engines.native import why_missing, why_refused

    return why_missing() or why_refused(network)


def make(
    choice: Choice,
    network: Network,
    optimizer: Optimizer,
    objective: Objective,
    threads: int | None = None,
    compile: bool = False,
) -> Engine:
    """The engine that was chosen, without weights: ``load`` gives it some.

    ``compile`` is for the torch engine: ``torch.compile`` translates the step when it is first
    used. Raises EngineError for fewer threads than one, or where there is nothing to compile.
    """
    threads = available_cpus() if threads is None else threads
    if threads < 1:
        raise EngineError(f"threads is {threads}, must be at least 1")
    if choice.engine == "torch":
        from lenet.engines.torch import TorchEngine

        return TorchEngine(network, optimizer, objective, choice.device, threads, compile)
    if compile:
        raise EngineError(f"the {choice.engine} engine has nothing to compile; add --engine torch")
    if choice.engine == "native":
        from lenet.engines.native import NativeEngine

        # more threads than processors would wait for each other
        return NativeEngine(network, optimizer, objective, min(threads, available_cpus()))

    from lenet.engines.numpy import NumpyEngine

    return NumpyEngine(network, optimizer, objective, threads=threads)


def refuse_1998_layers(network: Network) -> None:
    """Raise EngineError, naming the layer, where a network has one that no engine computes yet."""
    for index, layer in enumerate(network.layers):
        table = isinstance(layer, Conv2d) and layer.connections is not None
        if table or isinstance(layer, ScaledTanh | Subsample | RBF):
            what = "Conv2d with a connection table" if table else type(layer).__name__
            raise EngineError(
                f"no engine computes layer {index} ({what}) of network {network.name!r} yet, so it "
                "cannot be trained; it can be inspected. Train lenet or lenet-relu in its place"
            )


def gpu_driver() -> bool:
    """Whether it is worth the seconds that importing PyTorch takes to look for a GPU."""
    if sys.platform == "darwin" or Path("/dev/nvidiactl").exists():
        return True
    return shutil.which("nvidia-smi") is not None


def keep_freed_memory() -> None:
    """Nothing; from now on glibc keeps the memory that one step frees for the next one.

    It returns freed memory to the system above a limit which the largest block ever freed has
    raised, up to 32 MiB, so one such block is freed here. Else the activations of every step are
    mapped, zeroed and faulted in anew: measured, a third of the time. No harm elsewhere.
    """
    np.empty(31 << 20, np.uint8)


def available_cpus() -> int:
    """The CPUs that this process may use: its affinity, and the quota of its control groups."""
    try:
        cpus = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        cpus = os.cpu_count() or 1
    return math.ceil(min(cpus, cpu_quota()))


def cpu_quota(
    proc: Path = Path("/proc/self/cgroup"), groups: Path = Path("/sys/fs/cgroup")
) -> float:
    """How many CPUs' time the process's Linux control groups allow it; infinite without a limit.

    Both versions of control groups; a group's quota holds for all groups below it.
    """
    least = math.inf
    try:
        lines = proc.read_text().splitlines()
    except OSError:
        return least
    for line in lines:
        _, controllers, own = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = groups / controllers if controllers else groups
        folder = root / own.lstrip("/")
        for group in (folder, *folder.parents):
            least = min(least, _quota_of(group))
            if group == root:
                break
    return least


def _quota_of(group: Path) -> float:
    """One control group's quota, in CPUs; infinite where it has none."""
    for files in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            text = " ".join((group / file).read_text() for file in files)
            quota, period = (int(number) for number in text.split())
        except (OSError, ValueError):  # not there, or "max": no limit
            continue
        if quota > 0 and period > 0:
            return quota / period
    return math.inf
