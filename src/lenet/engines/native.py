"""The fast engine: C++ kernels on vectors of pictures, see docs/engine.md.

This module checks what goes into the compiled part and gives it contiguous arrays; a training
stretch is one call there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

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
from lenet.engines.warping import WIDTHS
from lenet.network.architecture import Network, trace
from lenet.network.codes import codes
from lenet.network.layers import (
    RBF,
    Conv2d,
    Layer,
    Linear,
    Pooling,
    Subsample,
    padding_of,
    stride_of,
)
from lenet.network.parameters import Layout, Parameters, State, check_parameters, weight_mask
from lenet.optimization import Objective, Optimizer

LARGEST_KERNEL = 7  # of a convolution; its loops over a kernel's row are unrolled


def why_missing() -> str:
    """Why the compiled part cannot be used here, in a few words; empty where it can."""
    if find_spec("lenet._native") is None:
        return "the native engine was not built here; lenet doctor says why"
    try:
        import lenet._native  # noqa: F401
    except ImportError as error:
        return f"the native engine cannot be loaded: {error}"
    return ""


def why_refused(network: Network) -> str:
    """The layer of ``network`` that this engine has no kernel for; empty where it has all."""
    for index, layer in enumerate(network.layers):
        if isinstance(layer, Conv2d) and layer.bias_size != 1:
            return (
                f"the native engine has one bias a channel, and layer {index} (Conv2d) of network "
                f"{network.name!r} has one a unit"
            )
        if isinstance(layer, Conv2d) and layer.kernel_size > LARGEST_KERNEL:
            return (
                f"the native engine has kernels up to {LARGEST_KERNEL}×{LARGEST_KERNEL}, and layer "
                f"{index} (Conv2d) of network {network.name!r} has "
                f"{layer.kernel_size}×{layer.kernel_size}"
            )
    return ""


def choose_instruction_set() -> str:
    """The best that this processor has, or ``$LENET_ISA``.

    Raises EngineError where that one is not here.
    """
    from lenet._native import instruction_sets

    here = instruction_sets()
    wanted = os.environ.get("LENET_ISA", "")
    if wanted and wanted not in here:
        raise EngineError(
            f"LENET_ISA is {wanted!r}; this processor has {', '.join(here)}. Unset it to take "
            f"{here[-1]}"
        )
    return wanted or here[-1]


class NativeEngine:
    """See ``lenet.engines.Engine``. ``instruction_set``: see ``choose_instruction_set``."""

    name = "native"
    device = "cpu"

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer,
        objective: Objective,
        threads: int = 1,
        instruction_set: str | None = None,
    ) -> None:
        trace(network)
        if missing := why_missing() or why_refused(network):
            raise EngineError(missing)
        from lenet import _native

        self.network = network
        self._class_weights = class_weights_of(objective, network)
        self.threads = threads
        self.instruction_set = instruction_set or choose_instruction_set()
        self.layout = Layout.of(network)
        self._mask = weight_mask(network, self.layout)
        self._chunk = _native.EVALUATION_CHUNK
        self._core = _native.Engine(
            input_shape=network.input_shape,
            classes=len(network.classes),
            layers=[_numbers_of(layer) for layer in network.layers],
            table=normalization_table(network).astype(np.float32),
            method=optimizer.method,
            nesterov=optimizer.nesterov,
            numbers=[
                *(optimizer.momentum, optimizer.weight_decay, optimizer.beta1, optimizer.beta2),
                optimizer.damping if optimizer.method == "sdlm" else optimizer.eps,
                optimizer.average,
            ],
            label_smoothing=objective.label_smoothing,
            rubbish=objective.rubbish_logit,
            threads=threads,
            instruction_set=self.instruction_set,
            codes=_codes_of(network),
            mask=self._mask,
            **({"class_weights": self._class_weights} if self._class_weights else {}),
        )
        moments = (self._core.moment1, self._core.moment2)
        self._moments = dict(zip(optimizer.moments, moments, strict=False))
        self._average = self._core.average if optimizer.average else None
        self._weights = self.layout.views(self._core.parameters)

    # --- state ---

    def load(self, state: State) -> None:
        check_parameters(self.network, state.parameters, "state")
        flatten = self.layout.flatten
        self._core.parameters[:] = self._existing(state.parameters)
        for name, moment in self._moments.items():
            values = state.moments.get(name)
            moment[:] = 0 if values is None else flatten(values, np.float32)
        if self._average is not None:
            self._average[:] = self._existing(state.weights)
        self._core.step = state.step
        self._core.changed()

    def _existing(self, parameters: Parameters) -> NDArray[np.float32]:
        """The flat vector, 0 where a table of connections leaves a weight out."""
        flat = self.layout.flatten(parameters, np.float32)
        return flat if self._mask is None else flat * self._mask

    def set_parameters(self, parameters: Mapping[str, NDArray[np.float32]]) -> None:
        """Replace the weights alone, in a fifth of the time of ``load``; moments and step stay.

        Raises ValueError where one has another shape.
        """
        for name, weights in self._weights.items():
            if parameters[name].shape != weights.shape:
                raise ValueError(f"{name} is {parameters[name].shape}, must be {weights.shape}")
            weights[...] = parameters[name]
        if self._mask is not None:
            self._core.parameters[:] *= self._mask
        self._core.changed()

    def state(self) -> State:
        views = self.layout.views
        return State(
            parameters=views(self._core.parameters.copy()),
            moments={name: views(moment.copy()) for name, moment in self._moments.items()},
            average=None if self._average is None else views(self._average.copy()),
            step=self._core.step,
        )

    # --- training ---

    def train(self, split: Pictures, batches: Batches) -> Metrics:
        images, labels = self._checked(split.images, split.labels)
        order = np.ascontiguousarray(batches.order, np.int64)
        if len(order) and not 0 <= order.min() <= order.max() < len(images):
            raise IndexError(
                f"the order names pictures {order.min()} to {order.max()}, of {len(images)}"
            )
        steps = len(batches.steps())
        if len(batches.learning_rates) != steps:
            raise ValueError(
                f"there are {len(batches.learning_rates)} learning rates for {steps} steps"
            )
        table = batches.augmentation
        if table is not None and table.shape not in [(len(order), width) for width in WIDTHS]:
            wanted = f"({len(order)}, {' or '.join(map(str, WIDTHS))})"
            raise ValueError(f"the augmentation has shape {table.shape}, not {wanted}")
        losses = np.zeros(steps)
        correct = self._core.train(
            images=images,
            labels=labels,
            order=order,
            augmentation=None if table is None else np.ascontiguousarray(table, np.int16),
            batch_size=batches.batch_size,
            learning_rates=np.ascontiguousarray(batches.learning_rates, np.float64),
            position=_place(batches.position),
            losses=losses,
            **self._shares(labels[order], batches.weights, batches.batch_size),
        )
        return Metrics(losses, correct, len(order))

    def gradients(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        position: Position,
        weights: NDArray[np.float32] | None = None,
    ) -> Gradients:
        images, labels = self._checked(images, labels)
        flat = np.empty(self.layout.size, np.float32)
        shares = self._shares(labels, weights, len(labels))
        loss, correct = self._core.gradients(images, labels, _place(position), flat, **shares)
        return Gradients(flat, self.layout, Metrics(np.array([loss]), correct, len(images)))

    def apply(self, gradients: Gradients, learning_rate: float) -> None:
        self._core.apply(np.ascontiguousarray(gradients.flat, np.float32), learning_rate)

    def forward(
        self, inputs: NDArray[np.float32], position: Position | None = None
    ) -> NDArray[np.float32]:
        """The logits (n, classes) of what the first layer sees, (n, channels, height, width).

        Dropout acts where there is a ``position``. All activations are kept for ``backward``.
        """
        shape = self.network.input_shape
        if inputs.shape[1:] != shape or len(inputs) == 0:
            raise ValueError(f"inputs have shape {inputs.shape}, not (n, {str(shape)[1:]}")
        out = np.empty((len(inputs), len(self.network.classes)), np.float32)
        place = _place(position or Position(0, 0, 0))
        inputs = np.ascontiguousarray(inputs, np.float32)
        self._core.forward(inputs, position is not None, place, out)
        return out

    def backward(self, dlogits: NDArray[np.float32]) -> Gradients:
        """The gradient of all weights, from that of the logits (n, classes) of ``forward``.

        So that a loss computed elsewhere can drive it; ``dlogits`` is not divided by n. The
        weights must be those that ``forward`` had. Raises ValueError where no forward of n
        pictures came before.
        """
        if dlogits.ndim != 2 or dlogits.shape[1] != len(self.network.classes):
            raise ValueError(
                f"dlogits has shape {dlogits.shape}, not (n, {len(self.network.classes)})"
            )
        flat = np.empty(self.layout.size, np.float32)
        if not self._core.backward(np.ascontiguousarray(dlogits, np.float32), flat):
            raise ValueError(f"backward of {len(dlogits)} pictures without their forward before it")
        return Gradients(flat, self.layout, Metrics(np.array([np.nan]), 0, len(dlogits)))

    # --- looking ---

    def evaluate(self, split: Pictures) -> Metrics:
        images, labels = self._checked(split.images, split.labels)
        classes = len(self.network.classes)
        losses = np.zeros(-(-len(labels) // self._chunk))
        confusion = np.zeros((classes, classes), np.int64)
        self._core.evaluate(images, labels, losses, confusion)
        return Metrics(losses, int(np.trace(confusion)), len(labels), confusion)

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        check_pictures(self.network, images)
        out = np.empty((len(images), len(self.network.classes)), np.float32)
        self._core.logits(np.ascontiguousarray(images), out)
        return out

    def activations(self, images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        check_pictures(self.network, images)
        outputs = [
            np.empty((len(images), *row.output_shape), np.float32) for row in trace(self.network)
        ]
        self._core.activations(np.ascontiguousarray(images), outputs)
        return outputs

    def _shares(
        self, labels: NDArray[np.int64], weights: NDArray[np.float32] | None, batch_size: int
    ) -> dict[str, NDArray[np.float32]]:
        """``protocol.shares`` as the compiled part takes them; empty where all count alike."""
        share = shares(self._class_weights, labels, weights, batch_size)
        return {} if share is None else {"shares": share.astype(np.float32)}

    def _checked(
        self, images: NDArray[np.uint8], labels: NDArray[np.int64]
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        check_pictures(self.network, images, labels)
        return np.ascontiguousarray(images), np.ascontiguousarray(labels, np.int64)


def _place(position: Position) -> tuple[int, int, int]:
    """Seed, epoch and sample, of which the hash takes 32 bits each."""
    numbers = (position.seed, position.epoch, position.first_sample)
    seed, epoch, sample = (number % 2**32 for number in numbers)
    return seed, epoch, sample


def _codes_of(network: Network) -> NDArray[np.float32] | None:
    """The codes of every layer of radial units, one behind the other; None without any."""
    found = [codes(layer).ravel() for layer in network.layers if isinstance(layer, RBF)]
    return np.concatenate(found) if found else None


def _numbers_of(layer: Layer) -> tuple[str, int, int, int, int, int, float, float]:
    """What the compiled part is told of a layer.

    Kind, in, out, kernel size, stride, padding, and the one or two numbers that Dropout and some
    activations have for arguments.
    """
    kind = type(layer).__name__
    match layer:
        case Conv2d(i, o, k, stride, padding):
            return kind, i, o, k, stride, padding, 0.0, 0.0
        case Subsample(channels, k):
            return kind, 0, channels, k, k, 0, 0.0, 0.0
        case _ if isinstance(layer, Pooling):
            return kind, 0, 0, layer.kernel_size, stride_of(layer), padding_of(layer), 0.0, 0.0
        case Linear(i, o) | RBF(i, o):
            return kind, i, o, 0, 1, 0, 0.0, 0.0
    numbers = [getattr(layer, field.name) for field in fields(layer)]
    first, second, *_ = *numbers, 0.0, 0.0
    return kind, 0, 0, 0, 1, 0, first, second
