"""A trained network as PyTorch source and a state dict, which need nothing of LeNet."""

from __future__ import annotations

import ast
import dataclasses
import json
from importlib import resources
from typing import TYPE_CHECKING, Final

import numpy as np

from lenet.data import preparation as preparations
from lenet.network.architecture import trace
from lenet.network.codes import codes_as_text
from lenet.network.layers import (
    RBF,
    Conv2d,
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

{imports}

CLASSES = {classes}
TEMPERATURE = {temperature}
THRESHOLD = {threshold}  # of the familiarity; below it a picture is none of these
{definitions}

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


IMPORTS: Final = """\
import torch
from torch import nn"""
IMPORTS_OF_1998: Final = """\
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn"""


def source(model: Model, weights: str) -> str:
    """The text of a Python module that computes the model; ``weights`` is its file's name.

    The classes of layers that PyTorch lacks are copied into it.
    """
    network = model.network
    channels, height, width = network.input_shape
    rows = trace(network)
    lines = [f"            {_module(row.index, row.layer)}," for row in rows]
    own = {_name(row.layer) for row in rows if is_of_1998(row.layer)}
    return SOURCE.format(
        name=_plain(network.name),
        shape=show_shape(network.input_shape),
        count=len(network.classes),
        channels=channels,
        height=height,
        width=width,
        weights=weights,
        imports=IMPORTS_OF_1998 if own else IMPORTS,
        definitions="".join(
            [
                *(_codes(row.index, row.layer) for row in rows if isinstance(row.layer, RBF)),
                *_definitions(own),
            ]
        ),
        preparation=json.dumps(preparations.to_dict(model.preparation)),
        classes=json.dumps(list(network.classes)),  # ASCII, and Python reads it as JSON does
        temperature=model.calibration.temperature,
        threshold=model.calibration.threshold,
        layers="\n".join(lines),
        mean=[float(value) for value in np.resize(network.normalization.mean, channels)],
        deviation=[float(value) for value in np.resize(network.normalization.deviation, channels)],
    )


def _module(index: int, layer: Layer) -> str:
    """A layer as PyTorch's source: named as there, with its arguments."""
    if isinstance(layer, RBF):
        return f"RBF(CODES_{index})"
    values = {
        field.name: getattr(layer, field.name)
        for field in dataclasses.fields(layer)
        if getattr(layer, field.name) != field.default
    }
    arguments = ", ".join(f"{name}={value!r}" for name, value in values.items())
    return f"{_name(layer)}({arguments})"


def _name(layer: Layer) -> str:
    """The class of a layer's module, as it is written."""
    if not is_of_1998(layer):
        return f"nn.{type(layer).__name__}"
    return "ConnectedConv2d" if isinstance(layer, Conv2d) else type(layer).__name__


def _codes(index: int, layer: RBF) -> str:
    texts = "".join(f'    "{code}",\n' for code in codes_as_text(layer))
    return f"CODES_{index} = (\n{texts})\n"


def _definitions(names: set[str]) -> list[str]:
    """The source of classes of ``lenet.torch.of_1998``, which is read, so that PyTorch need not be
    here."""
    text = resources.files("lenet").joinpath("torch", "of_1998.py").read_text(encoding="utf-8")
    return [
        f"\n\n{ast.get_source_segment(text, node)}\n"
        for node in ast.parse(text).body
        if isinstance(node, ast.ClassDef) and node.name in names
    ]


def _plain(text: str) -> str:
    """A name inside a docstring: nothing in it ends the docstring."""
    return text.replace("\\", "/").replace('"', "'")
