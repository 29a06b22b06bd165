"""Which engine computes a network, and why: ``choose`` says, ``make`` makes it.

``with_weights`` is both at once, for who only looks at a trained network.

``protocol`` says what every engine can do; ``native``, ``numpy`` and ``torch`` are the three.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from numbers import Integral

from lenet.engines.protocol import (
    Batches,
    Engine,
    EngineError,
    Gradients,
    Metrics,
    Pictures,
    Position,
    check_pictures,
    normalization_table,
)
from lenet.installing import how_to_install
from lenet.machine import available_cpus, gpu_driver
from lenet.names import did_you_mean, known_as
from lenet.network.architecture import Network
from lenet.network.parameters import Parameters, State
from lenet.optimization import Objective, Optimizer

__all__ = [
    "DEVICES",
    "ENGINES",
    "Batches",
    "Choice",
    "Engine",
    "EngineError",
    "Gradients",
    "Metrics",
    "Pictures",
    "Position",
    "check_pictures",
    "choose",
    "make",
    "normalization_table",
    "with_weights",
]

ENGINES = ("native", "numpy", "torch")
DEVICES = ("auto", "cpu", "cuda", "mps")


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
    if engine in ("native", "numpy"):
        if device not in ("auto", "cpu"):
            raise EngineError(f"the {engine} engine runs only on the cpu, not on {device}")
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


def with_weights(
    network: Network, parameters: Parameters, threads: int | None = None, device: str = "auto"
) -> Engine:
    """The fastest engine that runs ``network`` here, with these weights: to look, not to train.

    Raises EngineError where none can.
    """
    choice = choose("auto", network, device)
    engine = make(choice, network, Optimizer(), Objective(), threads)
    engine.load(State(parameters))
    return engine


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
    if not isinstance(threads, Integral) or isinstance(threads, bool) or threads < 1:
        raise EngineError(f"threads is {threads!r:.80}, must be a whole number, at least 1")
    threads = int(threads)
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
