"""One module's network in the native engine, as one operation of PyTorch's."""

from __future__ import annotations

import ctypes
import functools
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from lenet.engines import Position
from lenet.engines.native import NativeEngine, why_refused
from lenet.engines.torch import dropout_place, dropout_scale, operation
from lenet.machine import available_cpus
from lenet.network.layers import Dropout
from lenet.network.parameters import parameter_shapes
from lenet.optimization import Objective, Optimizer
from lenet.torch.acceleration import checking
from lenet.torch.acceleration.telling import Lines
from lenet.torch.translation import Reading, network_of, one_output
from lenet.torch.translation.one_output import widened, with_zeros

# Pictures that one call of the engine takes where no gradient is wanted: it keeps what backward
# would need, 70 kB a picture for d2l's LeNet.
CHUNK = 1024
SHORT_SPIN = 10_000  # turns of waiting, some microseconds: less than to end the threads
MANY = 32  # pictures that keep several threads busy for longer than it takes to make one


class Shared:
    """An engine, and which batch it computed last: of all readings that use it."""

    def __init__(self, engine: NativeEngine) -> None:
        self.engine = engine
        self.lock = threading.Lock()
        self.ticket = 0  # counts the batches; the engine remembers the last one
        self.schedule = checking.Schedule()


class Native:
    """The engine of a module's network, and where the module keeps what the engine needs."""

    def __init__(self, module: nn.Module, reading: Reading, shared: Shared, lines: Lines) -> None:
        self.reading = reading
        self.shared = shared
        self.lines = lines
        self.network = shared.engine.network
        self.drops = any(
            isinstance(layer, Dropout) and layer.p > 0 for layer in self.network.layers
        )
        self.single = widened(reading.layers)[1]  # from here on the engine has two outputs for one
        self.shapes = parameter_shapes(replace(self.network, layers=reading.layers))
        self.slots = []  # for each parameter: whose it is, and its name and shape there
        for ours, theirs in reading.keys.items():
            path, _, name = theirs.rpartition(".")
            own = module.get_submodule(path)._parameters
            self.slots.append((own, name, torch.Size(self.shapes[ours])))
        self.widened = (
            [] if self.single is None else [f"{self.single}.weight", f"{self.single}.bias"]
        )
        self.biases = [ours.endswith(".bias") for ours in reading.keys]
        self.zeros = {
            name: np.zeros(shape, np.float32)
            for name, shape in self.shapes.items()
            if name not in reading.keys
        }

    @staticmethod
    def make(
        module: nn.Module, reading: Reading, threads: int | None, lines: Lines
    ) -> Native | None:
        """One with a new engine; None, with a line that says why, where the engine refuses."""
        network = network_of(replace(reading, layers=widened(reading.layers)[0]), "accelerated")
        if why := why_refused(network):
            lines.off(why)
            return None
        count = min(threads or torch.get_num_threads(), available_cpus())
        engine = NativeEngine(network, Optimizer(), Objective(), count)
        return Native(module, reading, Shared(engine), lines)

    def parameters(self) -> list[Tensor] | None:
        """The module's parameters as they are now; None where the engine cannot have them."""
        found: list[Tensor] = []
        for own, name, shape in self.slots:
            tensor = own.get(name)
            if (
                tensor is None
                or type(tensor) not in (nn.Parameter, Tensor)
                or tensor.dtype is not torch.float32
                or tensor.device.type != "cpu"
                or tensor.layout is not torch.strided
                or tensor.shape != shape
            ):
                return None
            found.append(tensor)
        return found

    def run(self, X: Tensor, parameters: list[Tensor], training: bool, check: bool) -> Tensor:
        """The module's outputs (n, classes); ``check``: see ``Step.backward``."""
        self.lines.on()
        place = None
        if training and self.drops:
            seed, epoch = torch.randint(2**32, (2,), device="cpu").tolist()
            place = Position(seed, epoch, 0)
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in parameters):
            logits: Tensor = Step.apply(self, place, check, X, *parameters)  # type: ignore[no-untyped-call]
        else:
            logits = self.logits(X, parameters, place)
        return self.finish(logits)

    def finish(self, logits: Tensor) -> Tensor:
        """The module's outputs from its logits."""
        match self.reading.final:
            case "softmax":
                return F.softmax(logits, 1)
            case "log_softmax":
                return F.log_softmax(logits, 1)
            case one_output.SQUEEZE:
                return logits.squeeze()
            case one_output.SQUEEZE_CLASSES:
                return logits.squeeze(1)
        return logits

    def logits(self, X: Tensor, parameters: list[Tensor], place: Position | None) -> Tensor:
        """The logits (n, classes) without anything for backward."""
        inputs = self._inputs(X)
        parts = []
        with self.shared.lock:
            self.shared.ticket += 1
            self._load(parameters)
            self._make_room(X)
            for start in range(0, len(inputs), CHUNK):
                at = place and replace(place, first_sample=start)
                parts.append(self._outputs(inputs[start : start + CHUNK], at))
        return torch.from_numpy(parts[0] if len(parts) == 1 else np.concatenate(parts))

    def forward(
        self, X: Tensor, parameters: list[Tensor], place: Position | None
    ) -> tuple[Tensor, int]:
        """The logits (n, classes), and the ticket for their backward."""
        with self.shared.lock:
            return torch.from_numpy(self._forward(X, parameters, place)), self.shared.ticket

    def backward(
        self,
        ticket: int,
        X: Tensor,
        parameters: list[Tensor],
        place: Position | None,
        dlogits: NDArray[np.float32],
    ) -> tuple[list[Tensor], int]:
        """The gradients of the parameters, from that of the logits, and the ticket to come again.

        The forward is repeated where another batch came after it.
        """
        with self.shared.lock:
            if ticket != self.shared.ticket:
                self._forward(X, parameters, place)
            self._make_room(X)
            if self.single is not None:
                dlogits = np.concatenate([np.zeros_like(dlogits), dlogits], 1)
            named = self.shared.engine.backward(dlogits).named()
            for name in self.widened:
                named[name] = named[name][1:]
            return [torch.from_numpy(named[name]) for name in self.reading.keys], self.shared.ticket

    def replay(
        self,
        X: Tensor,
        parameters: list[Tensor],
        place: Position | None,
        layers: list[Tensor] | None = None,
    ) -> Tensor:
        """The logits as PyTorch computes them, with the engine's dropout.

        In the type of X. ``layers`` gets the outputs of all layers.
        """
        named = dict(zip(self.reading.keys, parameters, strict=True))
        zeros = {name: torch.from_numpy(values).to(X.dtype) for name, values in self.zeros.items()}
        named = {**zeros, **named}
        for name in self.widened:
            named[name] = torch.cat([torch.zeros_like(named[name]), named[name]])
        x = X.reshape(-1, *self.network.input_shape)
        at = torch.tensor(dropout_place(place, place.first_sample)) if place else None
        for index, layer in enumerate(self.network.layers):
            if isinstance(layer, Dropout):
                if at is not None and layer.p > 0:
                    x = x * dropout_scale(layer.p, tuple(x.shape), index, at, x.dtype)
            elif f"{index}.weight" in named:
                x = operation(layer)(x, named[f"{index}.weight"], named[f"{index}.bias"])
            else:
                x = operation(layer)(x)
            if layers is not None:
                layers.append(x if self.single is None or index < self.single else x[:, 1:])
        return x if self.single is None else x[:, 1:]

    def _forward(
        self, X: Tensor, parameters: list[Tensor], place: Position | None
    ) -> NDArray[np.float32]:
        self.shared.ticket += 1
        self._load(parameters)
        self._make_room(X)
        return self._outputs(self._inputs(X), place)

    def _outputs(self, inputs: NDArray[np.float32], place: Position | None) -> NDArray[np.float32]:
        outputs = self.shared.engine.forward(inputs, place)
        return outputs if self.single is None else outputs[:, 1:]

    def _make_room(self, X: Tensor) -> None:
        if self.shared.engine.threads > 1 and len(X) >= MANY:
            _send_openmp_away()

    def _load(self, parameters: list[Tensor]) -> None:
        # Every time: a write through .data or a NumPy array leaves no trace, and it takes less than
        # a hundredth of the step of a batch of 256.
        arrays = [_array(tensor) for tensor in parameters]
        named = {**self.zeros, **dict(zip(self.reading.keys, arrays, strict=True))}
        self.shared.engine.set_parameters(with_zeros(named, self.single))

    def _inputs(self, X: Tensor) -> NDArray[np.float32]:
        return _array(X).reshape(-1, *self.network.input_shape)


def _array(tensor: Tensor) -> NDArray[np.float32]:
    """Its numbers, also where a bit says that they are to be taken negative."""
    values: NDArray[np.float32] = tensor.detach().resolve_neg().numpy()
    return values


class Step(torch.autograd.Function):
    """The network as one operation of PyTorch's: logits (n, classes) of X and the parameters."""

    @staticmethod
    def forward(
        ctx: Any,
        native: Native,
        place: Position | None,
        check: bool,
        X: Tensor,
        *parameters: Tensor,
    ) -> Tensor:
        logits, ctx.ticket = native.forward(X, list(parameters), place)
        ctx.native, ctx.place, ctx.check = native, place, check
        # What is saved so is not to be written to before backward, as in PyTorch. There a bias may
        # be, and a weight that no gradient passes on its way to another parameter: the values of
        # these are kept for when the forward has to be repeated.
        passed, saved = False, []
        ctx.kept = []  # for each parameter: it and its values now, where it may be written to
        for tensor, bias in zip(parameters, native.biases, strict=True):
            if bias or not passed:
                ctx.kept.append((tensor, tensor.detach().clone()))
            else:
                ctx.kept.append(None)
                saved.append(tensor)
            passed = passed or tensor.requires_grad
        ctx.save_for_backward(X, *saved)
        return logits

    @staticmethod
    def backward(ctx: Any, dlogits: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of the parameters.

        Where the step is to be checked and the engine's are wrong, those of PyTorch, and the module
        is plain from then on.
        """
        native, place, wanted = ctx.native, ctx.place, ctx.needs_input_grad[4:]
        X, *saved = ctx.saved_tensors
        left = iter(saved)
        pairs = [pair or (next(left), None) for pair in ctx.kept]
        plain = torch.is_grad_enabled() or _of_several(dlogits)
        gradients: list[Tensor | None]
        if not plain:
            now = [tensor if before is None else before for tensor, before in pairs]
            started = time.perf_counter()
            found, ctx.ticket, wrong = checking.backward(
                native, ctx.ticket, X, now, place, _array(dlogits), ctx.check
            )
            gradients = [*found]
            native.shared.schedule.busy_s += time.perf_counter() - started
            plain = bool(wrong)
        if plain:  # the gradients are to have gradients, or are many at once, or were wrong
            gradients = _replayed(native, X, pairs, place, dlogits, wanted)
        kept = [part if want else None for part, want in zip(gradients, wanted, strict=True)]
        return None, None, None, None, *kept


def _of_several(dlogits: Tensor) -> bool:
    """Whether it stands for many gradients (``is_grads_batched``), or is no plain tensor."""
    return (
        torch._C._are_functorch_transforms_active()
        or type(dlogits) is not Tensor
        or torch._C._functorch.is_legacy_batchedtensor(dlogits)
        or torch._C._functorch.is_functorch_wrapped_tensor(dlogits)
    )


def _replayed(
    native: Native,
    X: Tensor,
    pairs: list[tuple[Tensor, Tensor | None]],
    place: Position | None,
    dlogits: Tensor,
    wanted: tuple[bool, ...],
) -> list[Tensor | None]:
    """The gradients that are wanted, by PyTorch's operations."""
    further = torch.is_grad_enabled()
    with torch.enable_grad():
        # It may have been written to: its graph, and the values that forward had.
        parameters = [
            tensor if before is None else before + (tensor - tensor.detach())
            for tensor, before in pairs
        ]
        if not further:
            parameters = [tensor.detach().requires_grad_() for tensor in parameters]
        logits = native.replay(X, parameters, place)
    trained = [tensor for tensor, want in zip(parameters, wanted, strict=True) if want]
    found = iter(torch.autograd.grad(logits, trained, dlogits, create_graph=further))
    return [next(found) if want else None for want in wanted]


@functools.cache
def _openmp() -> ctypes.CDLL | None:
    """GCC's OpenMP library, where this PyTorch has its threads from it and they spin for long."""
    spins = os.environ.get("GOMP_SPINCOUNT", "")  # as `lenet run` sets it, they soon sleep anyway
    if spins.isdecimal() and int(spins) <= SHORT_SPIN:
        return None
    for path in (Path(torch.__file__).parent / "lib").glob("libgomp*.so*"):
        try:
            library = ctypes.CDLL(str(path))
            return library if hasattr(library, "omp_pause_resource_all") else None
        except OSError:
            return None
    return None


def _send_openmp_away() -> None:
    """End PyTorch's idle threads; it makes them anew when it next needs them.

    Else they look for work for milliseconds after an operation as short as a loss, on the
    processors that the engine's threads need: measured with two, a step of 9.4 ms in place of 6.5.
    """
    if library := _openmp():
        library.omp_pause_resource_all(1)  # 1: omp_pause_soft
