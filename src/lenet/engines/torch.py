"""The PyTorch engine: autograd on the CPU, on CUDA and on Apple's MPS.

Parameters, moments and averaged weights are one flat vector each; what the layers see are views
of it. Order, augmentation and every number that changes from step to step are sent to the device
once a call of ``train``, the losses come back once: in between, the device is never waited for.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from functools import partial
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import DTypeLike, NDArray
from torch import Tensor, nn

from lenet.engines.protocol import (
    Batches,
    EngineError,
    Gradients,
    Metrics,
    Pictures,
    Position,
    check_pictures,
    class_weights_of,
    normalization_table,
    shares,
)
from lenet.engines.warping import GRID, UNITS, grid_place, parts
from lenet.machine import keep_freed_memory
from lenet.network.architecture import Network, trace
from lenet.network.codes import codes
from lenet.network.layers import (
    RBF,
    AvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    Layer,
    Linear,
    MaxPool2d,
    ScaledTanh,
    Subsample,
)
from lenet.network.parameters import (
    Array,
    Layout,
    Parameters,
    State,
    check_parameters,
    connection_mask,
)
from lenet.optimization import Objective, Optimizer

Hashed = TypeVar("Hashed", int, Tensor)

CHUNK = 1024  # pictures that are evaluated at once
SPLITS = 4  # data sets kept on the device: training, held-out and test part, and one more

# Factors modulo 2³², those above 2³¹ less 2³²: so no product leaves int64.
MASK = 0xFFFFFFFF
GOLDEN = 0x9E3779B9 - 2**32
LOWBIAS = 0x7FEB352D, 0x846CA68B - 2**32


class TorchEngine:
    """See ``lenet.engines.Engine``. ``dtype`` float64 is for checking gradients.

    ``compile`` lets ``torch.compile`` translate the network and its loss when they are first
    used; on the CPU that takes a C++ compiler and about a minute. Raises EngineError for a device
    or a layer that it does not have.
    """

    name = "torch"

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer,
        objective: Objective,
        device: str = "cpu",
        threads: int = 2,
        compile: bool = False,
        dtype: DTypeLike = np.float32,
    ) -> None:
        trace(network)
        self.network = network
        self.optimizer = optimizer
        self.objective = objective
        self.device = find_device(device)
        self.threads = threads
        self.instruction_set = instruction_set(self.device) + (", compiled" if compile else "")
        self.layout = Layout.of(network)
        self.dtype = np.dtype(dtype)
        if self.device == "mps" and self.dtype == np.float64:
            raise EngineError("device mps has no float64; use float32, or the cpu")
        self._sum_type = torch.float32 if self.device == "mps" else torch.float64
        self._operations = [operation(layer, self._floats) for layer in network.layers]
        # On the CPU pooling is 1.7 times as fast with channels last, the whole step 1.1 times.
        self._format = torch.channels_last if self.device == "cpu" else torch.contiguous_format
        self._loss = torch.compile(self._losses, dynamic=False) if compile else self._losses

        self._numbers = class_weights_of(objective, network)
        self._class_weights = self._floats(self._numbers) if self._numbers else None
        table = normalization_table(network)
        self._pixel_values = self._floats(table.reshape(-1))  # (channels · 256,)
        offsets = self._integers(256 * np.arange(len(table)))
        self._pixel_offsets = offsets if self.device == "cpu" else offsets.view(-1, 1, 1)
        self._flat = self._floats(np.zeros(self.layout.size))
        self._parameters = {
            name: self._flat[place].view(shape).detach().requires_grad_()
            for name, place, shape in self.layout.slices()
        }
        self._moments = {name: torch.zeros_like(self._flat) for name in optimizer.moments}
        self._average = self._flat.clone() if optimizer.average else None
        self._step = 0
        self._splits: list[tuple[tuple[Array, Array], Tensor, Tensor]] = []
        self._graph: StepGraph | None = None
        if self.device == "cpu":
            keep_freed_memory()

    # --- state ---

    def load(self, state: State) -> None:
        check_parameters(self.network, state.parameters, "state")
        # In place: a captured graph knows the vectors by their addresses.
        self._copy_in(self._flat, state.parameters)
        for name, moment in self._moments.items():
            self._copy_in(moment, state.moments.get(name))
        if self._average is not None:
            self._copy_in(self._average, state.weights)
        self._step = state.step

    def state(self) -> State:
        return State(
            parameters=self._copy_out(self._flat),
            moments={name: self._copy_out(moment) for name, moment in self._moments.items()},
            average=None if self._average is None else self._copy_out(self._average),
            step=self._step,
        )

    def _copy_in(self, flat: Tensor, parameters: Parameters | None) -> None:
        with torch.no_grad():
            if parameters is None:
                flat.zero_()
            else:
                flat.copy_(torch.from_numpy(self.layout.flatten(parameters, self.dtype)))

    def _copy_out(self, flat: Tensor) -> Parameters:
        return self.layout.views(flat.cpu().numpy().copy())

    # --- training ---

    def train(self, split: Pictures, batches: Batches) -> Metrics:
        plan = list(zip(batches.steps(), batches.learning_rates, strict=True))
        at, table = batches.position, batches.augmentation
        with self._settings():
            images, labels = self._on_device(split)
            order = self._integers(batches.order)
            changes = None if table is None else torch.tensor(table, device=self.device)
            places = self._integers(
                [dropout_place(at, at.first_sample + part.start) for part, _ in plan]
            )  # (steps, 2)
            numbers = self._floats(
                [
                    step_numbers(self.optimizer, float(learning_rate), step)
                    for step, (_, learning_rate) in enumerate(plan, self._step + 1)
                ]
            )  # (steps, 5)
            share = shares(
                self._numbers, split.labels[batches.order], batches.weights, batches.batch_size
            )
            scale = None if share is None else self._floats(share)  # (n,)
            losses = torch.empty(len(plan), dtype=self._sum_type, device=self.device)
            correct = torch.empty(len(plan), dtype=torch.int64, device=self.device)
            for i, (part, _) in enumerate(plan):
                chosen = order[part]
                pictures = images.index_select(0, chosen)
                if changes is not None:
                    pictures = augment(pictures, changes[part])
                batch: tuple[Tensor, ...] = (
                    pictures,
                    labels.index_select(0, chosen),
                    places[i],
                    numbers[i],
                )
                if scale is not None:
                    batch = (*batch, scale[part])
                # Capturing a graph takes longer than the one step of a short last batch.
                full = len(chosen) == batches.batch_size
                step = self._captured(batch) if self.device == "cuda" and full else self._train_step
                losses[i], correct[i] = step(*batch)
                self._step += 1
            sums, right = losses.cpu().double().numpy(), int(correct.sum().item())
        return Metrics(sums, right, len(batches.order))

    def gradients(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        position: Position,
        weights: NDArray[np.float32] | None = None,
    ) -> Gradients:
        check_pictures(self.network, images, labels)
        share = shares(self._numbers, labels, weights, len(labels))
        with self._settings():
            place = self._integers(dropout_place(position, position.first_sample))
            scale = None if share is None else self._floats(share)
            gradient, loss, correct = self._gradient(
                as_tensor(images).to(self.device), self._integers(labels), place, scale
            )
            metrics = Metrics(np.array([loss.item()], np.float64), int(correct.item()), len(labels))
            return Gradients(gradient.cpu().numpy(), self.layout, metrics)

    def apply(self, gradients: Gradients, learning_rate: float) -> None:
        with self._settings():
            self._step += 1
            numbers = step_numbers(self.optimizer, learning_rate, self._step)
            self._update(self._floats(gradients.flat), self._floats(numbers))

    def _train_step(
        self,
        images: Tensor,
        labels: Tensor,
        place: Tensor,
        numbers: Tensor,
        scale: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """One optimiser step on a batch (n, c, h, w) uint8; its loss sum and correct count.

        No number that differs from step to step is a Python number, and no tensor is made from
        one: that is what lets a CUDA graph repeat it.
        """
        gradient, loss, correct = self._gradient(images, labels, place, scale)
        self._update(gradient, numbers)
        return loss, correct

    def _gradient(
        self, images: Tensor, labels: Tensor, place: Tensor, scale: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The mean gradient, flat (size,), the loss sum and the correct count of a batch.

        ``scale`` (n,) is each picture's share of the mean where they are not alike.
        """
        losses, logits = self._loss(images, labels, place)
        share = torch.full_like(losses, 1 / len(labels)) if scale is None else scale
        found = torch.autograd.grad(losses, list(self._parameters.values()), share)
        gradient = torch.cat([part.reshape(-1) for part in found])
        correct = (logits.detach().argmax(1) == labels).sum()
        losses = losses.detach() if scale is None else losses.detach() * (scale * len(labels))
        return gradient, losses.sum(dtype=self._sum_type), correct

    def _losses(self, images: Tensor, labels: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        """Each picture's loss (n,), as the objective has it, and its logits (n, classes)."""
        logits = self._forward(images, self._parameters, place)
        smoothing = self.objective.label_smoothing
        if self.objective.rubbish_distance:
            return self._losses_with_rubbish(logits, labels), logits
        losses = F.cross_entropy(
            logits, labels, self._class_weights, reduction="none", label_smoothing=smoothing
        )
        return losses, logits

    def _losses_with_rubbish(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The same with one class more, which no picture has (Objective.rubbish_distance)."""
        rubbish = torch.full_like(logits[:, :1], self.objective.rubbish_logit)
        log_probabilities = torch.log_softmax(torch.cat([logits, rubbish], 1), 1)[:, :-1]
        smoothing = self.objective.label_smoothing
        target = torch.full_like(logits, smoothing / logits.shape[1])
        target = target.scatter_add(
            1, labels[:, None], torch.full_like(logits[:, :1], 1 - smoothing)
        )
        if self._class_weights is not None:
            target = target * self._class_weights
        return -(target * log_probabilities).sum(1)

    @torch.no_grad()
    def _update(self, gradient: Tensor, numbers: Tensor) -> None:
        """One step of the same rules as numpy.optimizer_step; ``numbers`` as in step_numbers."""
        rate, shrink, step_size, deviation, share = numbers.unbind()
        optimizer, flat = self.optimizer, self._flat
        if optimizer.method == "adamw":
            flat.mul_(shrink)
        elif optimizer.weight_decay:
            gradient = gradient.add(flat, alpha=optimizer.weight_decay)
        if optimizer.method == "sgd":
            if optimizer.momentum:
                buffer = self._moments["momentum_buffer"]
                buffer.mul_(optimizer.momentum).add_(gradient)
                ahead = optimizer.momentum
                gradient = gradient.add(buffer, alpha=ahead) if optimizer.nesterov else buffer
            flat.sub_(gradient * rate)
        elif optimizer.method == "sdlm":
            flat.sub_((gradient * rate).div_(self._moments["curvature"] + optimizer.damping))
        else:
            first, second = self._moments["exp_avg"], self._moments["exp_avg_sq"]
            first.lerp_(gradient, 1 - optimizer.beta1)
            second.mul_(optimizer.beta2).addcmul_(gradient, gradient, value=1 - optimizer.beta2)
            corrected = second.sqrt().div_(deviation).add_(optimizer.eps)
            flat.sub_(first.mul(step_size).div_(corrected))
        if self._average is not None:
            self._average.add_((flat - self._average).mul_(share))

    def _captured(self, batch: tuple[Tensor, ...]) -> Callable[..., tuple[Tensor, Tensor]]:
        """``_train_step`` as a CUDA graph for batches of this size; kept until another comes."""
        if self._graph is None or not self._graph.fits(batch):
            held = [self._flat, *self._moments.values()]
            held += [] if self._average is None else [self._average]
            self._graph = None  # its memory first
            self._graph = StepGraph(self._train_step, batch, held)
        return self._graph

    # --- looking ---

    def evaluate(self, split: Pictures) -> Metrics:
        classes = len(self.network.classes)
        with self._settings(), torch.no_grad():
            images, labels = self._on_device(split)
            parameters = self._weights()
            losses, predicted = [], []
            for start in range(0, len(labels), CHUNK):
                part = slice(start, start + CHUNK)
                logits = self._forward(images[part], parameters)
                loss = F.cross_entropy(logits, labels[part], reduction="none")
                losses.append(loss.sum(dtype=self._sum_type))
                predicted.append(logits.argmax(1))
            sums = torch.stack(losses).cpu().double().numpy()
            cells = split.labels * classes + torch.cat(predicted).cpu().numpy()
        confusion = np.bincount(cells, minlength=classes**2).reshape(classes, classes)
        return Metrics(sums, int(np.trace(confusion)), len(split.labels), confusion)

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        check_pictures(self.network, images)
        with self._settings(), torch.no_grad():
            pictures, weights = as_tensor(images).to(self.device), self._weights()
            parts = [
                self._forward(pictures[start : start + CHUNK], weights)
                for start in range(0, len(images), CHUNK)
            ]
            return np.array(torch.cat(parts).cpu().numpy(), np.float32)

    def activations(self, images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        check_pictures(self.network, images)
        outputs: list[Tensor] = []
        with self._settings(), torch.no_grad():
            pictures = as_tensor(images).to(self.device)
            self._forward(pictures, self._weights(), keep=outputs.append)
            # copies: Flatten's and Dropout's outputs would share memory with what came before
            return [np.array(output.cpu().numpy(), np.float32, order="C") for output in outputs]

    def _weights(self) -> dict[str, Tensor]:
        if self._average is None:
            return self._parameters
        average = self._average
        return {name: average[place].view(shape) for name, place, shape in self.layout.slices()}

    # --- the network ---

    def _forward(
        self,
        images: Tensor,
        parameters: dict[str, Tensor],
        place: Tensor | None = None,
        keep: Callable[[Tensor], None] | None = None,
    ) -> Tensor:
        """The logits (n, classes) of pictures (n, c, h, w) uint8.

        Dropout acts only where there is a ``place``, that is in training.
        """
        x = self._normalize(images)
        for index, (layer, compute) in enumerate(
            zip(self.network.layers, self._operations, strict=True)
        ):
            if isinstance(layer, Dropout):
                if place is not None and layer.p > 0:
                    x = x * dropout_scale(layer.p, x.shape, index, place, x.dtype)
            elif f"{index}.weight" in parameters:
                weight = parameters[f"{index}.weight"]
                if weight.ndim == 4:
                    weight = weight.contiguous(memory_format=self._format)
                x = compute(x, weight, parameters[f"{index}.bias"])
            else:
                x = compute(x)
            if keep is not None:
                keep(x)
        return x

    def _normalize(self, images: Tensor) -> Tensor:
        """Pictures (n, c, h, w) uint8 as the first layer sees them."""
        channels_last = self._format == torch.channels_last
        if channels_last:
            images = images.permute(0, 2, 3, 1)
        entries = images.int()
        if len(self._pixel_values) > 256:
            entries = entries + self._pixel_offsets  # each channel has 256 values of its own
        x = self._pixel_values.index_select(0, entries.reshape(-1)).view(entries.shape)
        # With one channel both orders are the same memory, and strides alone tell them apart:
        # these say channels last, which is what the convolution then computes in.
        return x.permute(0, 3, 1, 2) if channels_last else x

    # --- the device ---

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """PyTorch's global settings as this engine needs them, put back afterwards."""
        threads = torch.get_num_threads()
        # TF32 keeps 10 bits of each factor: engines would differ in the third digit.
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        torch.set_num_threads(self.threads)
        try:
            with exact if self.device == "cuda" else nullcontext():
                yield
        finally:
            torch.set_num_threads(threads)

    def _on_device(self, split: Pictures) -> tuple[Tensor, Tensor]:
        """A split's pictures, uint8, and labels; sent once, the last few splits are kept."""
        for held, images, labels in self._splits:
            if held[0] is split.images and held[1] is split.labels:
                return images, labels
        check_pictures(self.network, split.images, split.labels)
        images, labels = as_tensor(split.images).to(self.device), self._integers(split.labels)
        # The arrays are held with them, so that no others can get their identity.
        held = split.images, split.labels
        self._splits = [*self._splits[1 - SPLITS :], (held, images, labels)]
        return images, labels

    def _floats(self, values: object) -> Tensor:
        return torch.tensor(np.asarray(values, self.dtype), device=self.device)

    def _integers(self, values: object) -> Tensor:
        return torch.tensor(np.asarray(values, np.int64), device=self.device)


class StepGraph:
    """A step captured as a CUDA graph: one launch in place of a hundred small kernels.

    ``batch`` is what the step takes, for the shapes; ``held`` is what it changes, which is as
    before when the graph is made. The graph reads and writes the memory of its own inputs and of
    ``held``, and stays valid as long as that stays where it is.
    """

    def __init__(
        self,
        step: Callable[..., tuple[Tensor, Tensor]],
        batch: tuple[Tensor, ...],
        held: list[Tensor],
    ) -> None:
        self._inputs = [tensor.clone() for tensor in batch]
        before = [tensor.clone() for tensor in held]
        # cuDNN and cuBLAS set themselves up in their first runs, which must not be captured.
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                step(*self._inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._outputs = step(*self._inputs)
        for tensor, values in zip(held, before, strict=True):
            tensor.copy_(values)

    def fits(self, batch: tuple[Tensor, ...]) -> bool:
        """Whether the batch has the shapes that were captured."""
        return all(mine.shape == new.shape for mine, new in zip(self._inputs, batch, strict=True))

    def __call__(self, *batch: Tensor) -> tuple[Tensor, Tensor]:
        """What the step returns; the next call overwrites it."""
        for mine, new in zip(self._inputs, batch, strict=True):
            mine.copy_(new)
        self._graph.replay()
        return self._outputs


# --- what the engine is made of ----------------------------------------------------------------


def find_device(device: str) -> str:
    """The device by its name in PyTorch; ``auto`` is the first of cuda, mps and cpu that is here.

    Raises EngineError, with what PyTorch reports, when the device asked for cannot be used.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    if device not in ("cpu", "cuda", "mps"):
        raise EngineError(f"unknown device {device!r}; choose from auto, cpu, cuda, mps")
    try:
        torch.zeros(1, device=device)
    except (AssertionError, RuntimeError) as error:
        said = str(error).partition("\n")[0]
        raise EngineError(
            f"device {device} cannot be used; PyTorch {torch.__version__} reports: {said}"
        ) from error
    return device


def instruction_set(device: str) -> str:
    """What the arithmetic of a device runs on: "AVX512", "NVIDIA H200", "arm64"."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    return torch.backends.cpu.get_cpu_capability() if device == "cpu" else platform.machine()


def operation(
    layer: Layer, floats: Callable[[NDArray[np.float32]], Tensor] = torch.from_numpy
) -> Callable[..., Tensor]:
    """The function of PyTorch that computes a layer, of x or of x, weight and bias.

    Dropout's does nothing; its mask needs to know more than x. ``floats`` puts the numbers that a
    layer of 1998 has where they are computed with.
    """
    match layer:
        case Conv2d() if layer.connections is not None:
            compute = operation(replace(layer, connections=None), floats)
            mask = floats(connection_mask(layer)[:, :, None, None])
            return lambda x, weight, bias: compute(x, weight * mask, bias)
        case Conv2d() if layer.bias_size != 1:
            compute = operation(replace(layer, bias_size=1), floats)
            return lambda x, weight, bias: compute(x, weight, None) + bias
        case RBF():
            code = floats(codes(layer))
            return lambda x: -(x[:, None] - code).square().sum(2)
        case Conv2d(kernel_size=1) if layer.stride > 1:
            return partial(strided_1x1, stride=layer.stride, padding=layer.padding)
        case Conv2d():
            return partial(F.conv2d, stride=layer.stride, padding=layer.padding)
        case AvgPool2d():
            return partial(
                F.avg_pool2d,
                kernel_size=layer.kernel_size,
                stride=layer.stride,
                padding=layer.padding,
            )
        case MaxPool2d():
            return partial(
                F.max_pool2d,
                kernel_size=layer.kernel_size,
                stride=layer.stride,
                padding=layer.padding,
            )
        case Dropout():
            return torch.as_tensor
        case Flatten():
            return flatten
        case Linear():
            return F.linear
        case Subsample():
            return partial(subsample, size=layer.kernel_size)
        case ScaledTanh(amplitude, slope):
            return lambda x: amplitude * torch.tanh(slope * x)
        case _:  # an activation, named as there, with its arguments
            function: nn.Module = getattr(nn, type(layer).__name__)(**asdict(layer))
            return function


def strided_1x1(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
) -> Tensor:
    """F.conv2d of 1×1 kernels: the pixels that the stride meets, and then a stride of 1.

    Left to itself oneDNN 3.12 (PyTorch 2.13) writes past its workspace in this convolution's
    backward, where channels lie last and are fewer than a vector holds
    (github.com/uxlfoundation/oneDNN/issues/6035); torch.compile puts channels last by itself.
    """
    if padding:
        x = F.pad(x, (padding,) * 4)
    return F.conv2d(x[:, :, ::stride, ::stride], weight, bias)


def subsample(x: Tensor, weight: Tensor, bias: Tensor, size: int) -> Tensor:
    """The sum of each window times its channel's weight, plus its bias."""
    sums = F.avg_pool2d(x, size, divisor_override=1)
    return sums * weight[:, None, None] + bias[:, None, None]


def flatten(x: Tensor) -> Tensor:
    """x (n, c, h, w) as (n, c·h·w); the gradient comes back in the order of x in memory.

    Left to itself it comes back channels first, and pooling's backward follows it: measured, 0.67
    ms in place of 0.07 for LeNet's second pooling, of 9.5 for a step.
    """
    last = torch.channels_last
    if (
        x.requires_grad
        and x.is_contiguous(memory_format=last)
        and not torch.compiler.is_compiling()
    ):
        x.register_hook(partial(Tensor.contiguous, memory_format=last))  # type: ignore[no-untyped-call]
    return x.flatten(1)


def step_numbers(optimizer: Optimizer, learning_rate: float, step: int) -> tuple[float, ...]:
    """What differs from step to step, the first step being 1, worked out in double precision.

    The learning rate; what AdamW shrinks the weights by; Adam's step size, and the root that its
    second moment is divided by; the share of the new weights in the averaged ones.
    """
    return (
        learning_rate,
        1 - learning_rate * optimizer.weight_decay,
        learning_rate / (1 - optimizer.beta1**step),
        math.sqrt(1 - optimizer.beta2**step),
        1 - optimizer.averaging_decay(step),
    )


def augment(images: Tensor, table: Tensor) -> Tensor:
    """The pictures (n, c, h, w) mirrored, warped, moved, painted over, as their rows say.

    As numpy.augment, bit for bit.
    """
    moves, displacements, rectangles = parts(table)
    if displacements is None:
        images = move(images, moves)
    else:
        mirrored = move(images, moves * moves.new_tensor([0, 0, 1]))
        images = move(warp(mirrored, displacements), moves * moves.new_tensor([1, 1, 0]))
    return images if rectangles is None else erase(images, rectangles)


def erase(images: Tensor, rectangles: Tensor) -> Tensor:
    """The pictures with their rectangles, as numpy.erase does."""
    top, left, height, width, grey = rectangles.long().t()[:, :, None]
    rows, columns = (torch.arange(side, device=images.device) for side in images.shape[2:])
    inside = ((rows >= top) & (rows < top + height))[:, None, :, None] & (
        (columns >= left) & (columns < left + width)
    )[:, None, None]
    return torch.where(inside, grey.to(images.dtype)[:, :, None, None], images)


def warp(images: Tensor, displacements: Tensor) -> Tensor:
    """As warping.warp, where each step is explained, bit for bit."""
    n, channels, height, width = images.shape
    grid = displacements.long().reshape(n, 2, GRID, GRID)
    (i, y), (j, x) = (
        (torch.from_numpy(numbers).long().to(images.device) for numbers in grid_place(size))
        for size in (height, width)
    )
    rows = grid[:, :, i] * (UNITS - y)[:, None] + grid[:, :, i + 1] * y[:, None]
    moved = (rows[..., j] * (UNITS - x) + rows[..., j + 1] * x + UNITS * UNITS // 2) >> 16
    from_row = torch.arange(height, device=images.device)[:, None] * UNITS + moved[:, 0]
    from_column = torch.arange(width, device=images.device) * UNITS + moved[:, 1]
    top, y = (from_row >> 8)[:, None], (from_row & 255)[:, None]
    left, x = (from_column >> 8)[:, None], (from_column & 255)[:, None]
    around = F.pad(images.long(), (1, 1, 1, 1)).flatten(2)

    def at(row: Tensor, column: Tensor) -> Tensor:
        place = (row.clamp(-1, height) + 1) * (width + 2) + column.clamp(-1, width) + 1
        return around.gather(2, place.flatten(2).expand(-1, channels, -1)).view(images.shape)

    above = at(top, left) * (UNITS - x) + at(top, left + 1) * x
    below = at(top + 1, left) * (UNITS - x) + at(top + 1, left + 1) * x
    return ((above * (UNITS - y) + below * y + UNITS * UNITS // 2) >> 16).to(images.dtype)


def move(images: Tensor, table: Tensor) -> Tensor:
    """The pictures mirrored, then moved, as numpy.move does."""
    _, channels, height, width = images.shape
    down, right, mirrored = table.long().unbind(1)
    rows = torch.arange(height, device=images.device) - down[:, None]  # (n, h) that come here
    columns = torch.arange(width, device=images.device) - right[:, None]  # (n, w)
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[
        :, None, :
    ]
    columns = torch.where(mirrored[:, None] == 1, width - 1 - columns, columns)
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    source = (rows[:, :, None] * width + columns[:, None, :]).flatten(1)  # (n, h·w)
    moved = images.flatten(2).gather(2, source[:, None].expand(-1, channels, -1))
    return moved.view(images.shape) * inside[:, None]


def dropout_place(position: Position, first_sample: int) -> tuple[int, int]:
    """All that dropout needs to know of a batch: the hash of seed and epoch, the first sample."""
    return hash32(hash32(position.seed) ^ position.epoch), first_sample


def dropout_scale(
    p: float, shape: tuple[int, ...], layer: int, place: Tensor, dtype: torch.dtype
) -> Tensor:
    """0 for the units to drop, 1 / (1 - p) for the others; shape (n, …), batch first.

    ``place`` is dropout_place as a tensor (2,). The hash of docs/randomness.md, 32 bits in int64,
    since PyTorch computes little with uint32.
    """
    n, units = shape[0], math.prod(shape[1:])
    key = hash32(place[0] ^ layer)
    samples = torch.arange(n, device=place.device) + place[1]
    picture = hash32(key ^ (samples & MASK))  # (n,)
    unit = torch.arange(units, device=place.device) * GOLDEN  # (units,)
    drawn = hash32((picture[:, None] + unit) & MASK)
    # drawn < p · 2³² for whole numbers; with p itself PyTorch would compare in float32
    kept = drawn >= math.ceil(p * 2**32)
    return (kept.to(dtype) * (1 / (1 - p) if p < 1 else 0)).view(shape)  # where p is 1, none is


def hash32(x: Hashed) -> Hashed:
    """``network.hashing.hash32`` of a number, or of each in an int64 tensor, from 0 to 2³² - 1."""
    x = (x ^ (x >> 16)) * LOWBIAS[0] & MASK
    x = (x ^ (x >> 15)) * LOWBIAS[1] & MASK
    return x ^ (x >> 16)


def as_tensor(array: NDArray[np.uint8]) -> Tensor:
    """The array's memory as a tensor; a copy where PyTorch cannot share it."""
    array = np.ascontiguousarray(array)
    return torch.from_numpy(array) if array.flags.writeable else torch.tensor(array)
