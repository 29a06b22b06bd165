"""A trained network as PyTorch source and a state dict, which need nothing of LeNet."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Final

import numpy as np

from lenet.data import preparation as preparations
from lenet.network.architecture import trace
from lenet.network.layers import (
    ArchitectureError,
    Layer,
    is_of_1998,
    show_shape,
)

if TYPE_CHECKING:
    from lenet.ship.model import Model

SOURCE: Final = '''\
"""{name}: {shape} pictures, {count} classes; written by lenet export --to torch.

It needs torch and safetensors. In a program beside this file:

    import model
    network = model.load("{weights}")
    probabilities = network(pictures)  # uint8 (n, {channels}, {height}, {width}) -> (n, {count})

How a photograph becomes a picture: {preparation}
"""

import torch
from torch import nn

CLASSES = {classes}
TEMPERATURE = {temperature}
THRESHOLD = {threshold}  # of the familiarity; below it a picture is none of these


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
{layers}
        )
        # what turns a pixel into the first layer's input: (pixel / 255 - mean) / deviation
        self.register_buffer("mean", torch.tensor({mean}).reshape(-1, 1, 1), persistent=False)
        self.register_buffer(
            "deviation", torch.tensor({deviation}).reshape(-1, 1, 1), persistent=False
        )

    def logits(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.layers((pictures.float() / 255 - self.mean) / self.deviation)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """The probability of each class, (n, {count}), of pictures uint8."""
        return torch.softmax(self.logits(pictures) / TEMPERATURE, dim=1)

    def known(self, pictures: torch.Tensor) -> torch.Tensor:
        """Which pictures are of the classes, (n,) bool; the others are none of these."""
        if THRESHOLD is None:
            return torch.ones(len(pictures), dtype=torch.bool)
        return torch.logsumexp(self.logits(pictures), dim=1) >= THRESHOLD


def load(path: str = "{weights}") -> Network:
    """The network with its weights, ready to predict."""
    from safetensors.torch import load_file

    network = Network()
    network.layers.load_state_dict(load_file(path))
    return network.eval()
'''


def source(model: Model, weights: str) -> str:
    """The text of a Python module that computes the model; ``weights`` is its file's name.

    Raises ArchitectureError for a layer that PyTorch has no module for.
    """
    network = model.network
    channels, height, width = network.input_shape
    lines = [f"            {_module(row.index, row.layer)}," for row in trace(network)]
    return SOURCE.format(
        name=_plain(network.name),
        shape=show_shape(network.input_shape),
        count=len(network.classes),
        channels=channels,
        height=height,
        width=width,
        weights=weights,
        preparation=json.dumps(preparations.to_dict(model.preparation)),
        classes=json.dumps(list(network.classes)),  # ASCII, and Python reads it as JSON does
        temperature=model.calibration.temperature,
        threshold=model.calibration.threshold,
        layers="\n".join(lines),
        mean=[float(value) for value in np.resize(network.normalization.mean, channels)],
        deviation=[float(value) for value in np.resize(network.normalization.deviation, channels)],
    )


def _module(index: int, layer: Layer) -> str:
    """A layer as PyTorch's source."""
    match layer:
        case _ if not is_of_1998(layer):  # named as there, with its arguments
            values = {
                field.name: getattr(layer, field.name)
                for field in dataclasses.fields(layer)
                if getattr(layer, field.name) != field.default
            }
            arguments = ", ".join(f"{name}={value!r}" for name, value in values.items())
            return f"nn.{type(layer).__name__}({arguments})"
        case _:
            raise ArchitectureError(
                f"PyTorch has no module for layer {index} ({type(layer).__name__})"
            )


def _plain(text: str) -> str:
    """A name inside a docstring: nothing in it ends the docstring."""
    return text.replace("\\", "/").replace('"', "'")
