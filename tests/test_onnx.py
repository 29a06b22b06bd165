"""ONNX models: the same numbers as the engines, computed by onnxruntime."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import lenet
from activations import COMPUTED
from lenet.data.preparation import Preparation
from lenet.network.architecture import Network, Normalization
from lenet.network.layers import (
    AvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    Layer,
    Linear,
    MaxPool2d,
    ReLU,
    Sigmoid,
    Tanh,
)
from lenet.network.parameters import initialize
from lenet.ship import missing
from lenet.ship import onnx as files
from lenet.ship.checking import ParityError
from lenet.ship.model import Model
from lenet.training.calibration import Calibration, known, probabilities

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

RANDOM = np.random.default_rng(5)
NETWORKS: dict[str, tuple[Layer, ...]] = {
    "windows": (
        Conv2d(3, 4, 3, stride=2, padding=2),
        Sigmoid(),
        AvgPool2d(3, stride=1, padding=1),
        Conv2d(4, 5, 2),
        Tanh(),
        MaxPool2d(2, stride=1, padding=1),
        Dropout(),
        Flatten(),
        Linear(125, 4),
    ),
    "dense": (Flatten(), Linear(147, 9), ReLU(), Dropout(), Linear(9, 4)),
    "activations": (Flatten(), Linear(147, 9), *COMPUTED.values(), Linear(9, 4)),
}


def model_of(layers: tuple[Layer, ...], threshold: float | None = 1.4) -> Model:
    normalization = Normalization((0.5, 0.4, 0.0), (0.2, 0.3, 1.0))
    network = Network("own", (3, 7, 7), layers, ("a", "猫", "c", "d"), normalization)
    calibration = Calibration(1.7, threshold, 50)
    parameters = initialize(network, "xavier", 1)
    return Model(network, parameters, Preparation(3, 7, 7), calibration, "runs/own", 1)


@pytest.mark.parametrize("layers", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("count", [1, 7])
def test_it_computes_what_the_engines_do(layers: tuple[Layer, ...], count: int) -> None:
    model = model_of(layers)
    session = files.session(files.to_onnx(model).SerializeToString(), 1)
    pictures = RANDOM.integers(0, 256, (count, 3, 7, 7), np.uint8)
    given = files.compute(session, pictures, batch_size=4)
    logits = model.logits(pictures)
    np.testing.assert_allclose(given["logits"], logits, atol=1e-5)
    expected = probabilities(logits, model.calibration)
    np.testing.assert_allclose(given["probabilities"], expected, atol=1e-6)
    np.testing.assert_array_equal(given["known"], known(logits, model.calibration))
    assert files.check(session, model, pictures) < 1e-5


def test_without_a_threshold_every_picture_is_known() -> None:
    model = model_of(NETWORKS["dense"], threshold=None)
    session = files.session(files.to_onnx(model).SerializeToString(), 1)
    assert files.compute(session, np.zeros((3, 3, 7, 7), np.uint8))["known"].tolist() == [True] * 3


def test_what_it_says_of_itself() -> None:
    made = files.to_onnx(model_of(NETWORKS["windows"]))
    said = {entry.key: entry.value for entry in made.metadata_props}
    assert json.loads(said["classes"]) == ["a", "猫", "c", "d"]
    assert json.loads(said["temperature"]) == 1.7
    assert json.loads(said["threshold"]) == 1.4
    assert json.loads(said["preparation"])["fit"] == "pad"
    assert said["source"] == "own"
    assert (made.ir_version, made.opset_import[0].version) == (7, 13)


def test_another_file_is_not_kept() -> None:
    model, other = model_of(NETWORKS["dense"]), model_of(NETWORKS["dense"])
    other.parameters["1.bias"][0] += 1
    session = files.session(files.to_onnx(other).SerializeToString(), 1)
    with pytest.raises(ParityError, match="the file was not kept"):
        files.check(session, model, np.zeros((2, 3, 7, 7), np.uint8))


@pytest.mark.parametrize("name", ["lenet5", "lenet1", "lenet1989"])
def test_the_networks_of_1998_and_before(name: str) -> None:
    network = lenet.build(name)
    parameters = initialize(network, "lecun", 0)
    for values in parameters.values():  # also where a table has no kernel
        values += 0.01
    shape = network.input_shape
    model = Model(network, parameters, Preparation(*shape), Calibration(), "runs/own", 1)
    session = files.session(files.to_onnx(model).SerializeToString(), 1)
    assert files.check(session, model, RANDOM.integers(0, 256, (5, *shape), np.uint8)) < 1e-3


@pytest.mark.slow
def test_int8_says_nearly_the_same(tmp_path: Path) -> None:
    model = model_of(NETWORKS["windows"])
    source, target = tmp_path / "float32.onnx", tmp_path / "int8.onnx"
    source.write_bytes(files.to_onnx(model).SerializeToString())
    pictures = RANDOM.integers(0, 256, (120, 3, 7, 7), np.uint8)
    files.quantize(source, target, pictures)
    kinds = {node.op_type for node in onnx.load(str(target)).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    given = files.compute(files.session(str(target), 1), pictures)["logits"]
    expected = model.logits(pictures)
    assert 0 < np.abs(given - expected).max() < 0.2 * np.abs(expected).max()


def test_a_missing_package_is_told_with_its_remedy() -> None:
    with pytest.raises(ValueError, match=r"nothing_of_that_name is not installed.*install"):
        missing.import_extra("nothing_of_that_name.at_all", "export")
