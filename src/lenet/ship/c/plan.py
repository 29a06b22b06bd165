"""How C code walks a network: which layers one loop computes together, and where its values lie.

A pooling whose windows do not overlap is computed with the convolution before it: no number of the
convolution is kept, and none is computed twice. So the memory that is needed is that of two
neighbouring stages.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from lenet.network.architecture import Network, TracedLayer, trace
from lenet.network.layers import (
    RBF,
    Activation,
    Conv2d,
    Linear,
    MaxPool2d,
    Pooling,
    Shape,
    Weighted,
    curve,
    padding_of,
    stride_of,
)


@dataclass(frozen=True)
class Stage:
    """What one function of the C code computes: a layer with weights or codes or none, then an
    activation and a pooling or neither, in the order that ``pooled_first`` says."""

    rows: tuple[TracedLayer, ...]  # its layers
    weighted: Conv2d | Linear | RBF | None
    activation: Activation | None
    pooling: Pooling | None
    pooled_first: bool  # the activation comes after the pooling
    input_shape: Shape
    middle_shape: Shape  # what leaves the layer with weights
    output_shape: Shape

    @property
    def index(self) -> int:
        """The number of its first layer in the network."""
        return self.rows[0].index

    @property
    def trained(self) -> tuple[TracedLayer, ...]:
        """Those of its layers that have weights: a pooling of 1998 has some, too."""
        return tuple(row for row in self.rows if isinstance(row.layer, Weighted))

    @property
    def in_place(self) -> bool:
        """Whether it changes each value where it is."""
        return self.weighted is None and self.pooling is None


def stages(network: Network) -> tuple[Stage, ...]:
    """The stages of a network, in order; the last one gives the logits."""
    found: list[Stage] = []
    for row in trace(network):
        layer = row.layer
        # a picture keeps its channels: each may be normalized otherwise
        shapes = row.input_shape if found else network.input_shape, row.output_shape
        last = found[-1] if found else None
        match layer:
            case Conv2d() | Linear() | RBF():
                found.append(Stage((row,), layer, None, None, False, *shapes, shapes[1]))
            case _ if isinstance(layer, Pooling):
                if last is not None and last.pooling is None and _fits_into_a_loop(last, layer):
                    # the largest sigmoid is that of the largest: one is computed, not four
                    found[-1] = replace(
                        last,
                        rows=(*last.rows, row),
                        pooling=layer,
                        pooled_first=last.activation is None
                        or (isinstance(layer, MaxPool2d) and _rises(last.activation)),
                        output_shape=row.output_shape,
                    )
                else:
                    found.append(Stage((row,), None, None, layer, True, shapes[0], *shapes))
            case _ if isinstance(layer, Activation):
                if last is not None and last.activation is None:
                    found[-1] = replace(last, rows=(*last.rows, row), activation=layer)
                else:
                    found.append(Stage((row,), None, layer, None, False, shapes[0], *shapes))
            case _:  # Dropout and Flatten compute nothing: the values lie as they are
                if last is not None:
                    found[-1] = replace(last, output_shape=row.output_shape)
    return tuple(found)


def _rises(activation: Activation) -> bool:
    """Whether a larger input never gives a smaller output; some activations dip before they rise,
    and so have a least value below zero."""
    shape = curve(activation)
    return not (shape.flat_below and shape.bounds[0] < 0)


def _fits_into_a_loop(stage: Stage, pooling: Pooling) -> bool:
    """Whether a pooling can be computed window by window with the convolution before it."""
    apart = stride_of(pooling) >= pooling.kernel_size and padding_of(pooling) == 0
    return apart and isinstance(stage.weighted, Conv2d)


@dataclass(frozen=True)
class Arena:
    """Where each stage's output lies in one piece of memory."""

    size: int  # in values
    outputs: tuple[int | None, ...]  # the first value of each stage's; None: the caller's logits


def arena(planned: tuple[Stage, ...]) -> Arena:
    """The smallest memory in which no stage overwrites what it reads.

    The picture and the logits are the caller's. Outputs lie at the beginning and at the end in
    turns; a stage that changes values in place stays where they are.
    """
    sizes = [math.prod(stage.output_shape) for stage in planned]
    size, before = 0, 0  # ``before``: what the input takes of the memory
    outputs: list[int | None] = []
    at_end: list[bool] = []
    end = True
    for number, stage in enumerate(planned):
        last = number == len(planned) - 1
        if not (stage.in_place and number > 0):
            end = not end
            size = max(size, before + (0 if last else sizes[number]))
        at_end.append(end)
        before = sizes[number]
    for number, output in enumerate(sizes):
        last = number == len(planned) - 1
        outputs.append(None if last else size - output if at_end[number] else 0)
    return Arena(max(size, 1), tuple(outputs))
