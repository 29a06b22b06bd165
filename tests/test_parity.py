"""One trained network, computed everywhere: the same logits on all 10,000 test pictures, and of
three others on 2,000. (The page's arithmetic: tests/web/test_network_js.py.)"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import lenet
from lenet import data, engines
from lenet.network.parameters import State
from lenet.optimization import Objective, Optimizer
from lenet.ship import exporting
from lenet.ship import onnx as files
from lenet.ship.c import compiled
from lenet.ship.exporting import Subject

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("full_data")]

CLOSE = 1e-4  # of a logit
TIE = 2e-4  # between the two highest logits: either may win
INT8_POINTS = 0.005  # of accuracy


@pytest.fixture(scope="module", params=["lenet", "lenet-max", "lenet-relu", "mlp"])
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """A network of the zoo after an epoch of Fashion-MNIST."""
    folder = tmp_path_factory.mktemp("parity") / request.param
    lenet.train("d2l-adam", network=request.param, epochs=1, lr=0.004, val=0.1, out=folder)
    return exporting.subject(folder)


@pytest.fixture(autouse=True)
def few_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an export says of its accuracy: here all pictures are counted afterwards."""
    monkeypatch.setattr(exporting, "MOST_TESTED", 100)


@pytest.fixture(scope="module")
def test(subject: Subject) -> data.Split:
    assert subject.pictures is not None
    whole = subject.pictures.test
    assert len(whole) == 10_000
    return whole if subject.name == "lenet" else data.subset(whole, 2_000, 0)


@pytest.fixture(scope="module")
def expected(subject: Subject, test: data.Split) -> NDArray[np.float32]:
    """The native engine's logits, of a network that has learnt."""
    assert subject.model.engine.name == "native"
    logits = subject.model.logits(test.images)
    assert (logits.argmax(1) == test.labels).mean() > 0.6
    return logits


def assert_the_same(name: str, logits: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    apart = float(np.abs(logits - expected).max())
    first, second = np.sort(expected, axis=1)[:, :-3:-1].T
    differ = (logits.argmax(1) != expected.argmax(1)) & (first - second > TIE)
    print(f"{name}: logits differ by at most {apart:.1e}, {differ.sum()} classes differ")
    assert apart < CLOSE
    assert not differ.any()


@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_engines(
    subject: Subject, test: data.Split, expected: NDArray[np.float32], engine: str
) -> None:
    if engine == "torch":
        pytest.importorskip("torch")
    network = subject.model.network
    choice = engines.choose(engine, network, "cpu")
    made = engines.make(choice, network, Optimizer(), Objective(), threads=2)
    made.load(State(subject.model.parameters))
    assert_the_same(f"{subject.name}, {engine}", made.logits(test.images), expected)


def test_onnx(
    subject: Subject, test: data.Split, expected: NDArray[np.float32], tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    path = tmp_path / "net.onnx"
    exporting.to_onnx(subject, path, int8=False)
    given = files.compute(files.session(str(path)), test.images)
    assert_the_same(f"{subject.name}, onnx", given["logits"], expected)
    np.testing.assert_allclose(given["probabilities"], subject.model(test.images), atol=1e-5)
    path = tmp_path / "int8.onnx"
    exporting.to_onnx(subject, path, int8=True)
    small = files.compute(files.session(str(path)), test.images)["logits"]
    assert_as_good(f"{subject.name}, onnx", small, expected, test)


@pytest.mark.skipif(compiled.compiler() is None, reason="no C compiler is here")
def test_c(
    subject: Subject, test: data.Split, expected: NDArray[np.float32], tmp_path: Path
) -> None:
    path = tmp_path / "net.h"
    exporting.to_c(subject, path, int8=False)
    answers = compiled.load(path)(test.images)
    assert_the_same(f"{subject.name}, C", answers.logits, expected)
    np.testing.assert_allclose(answers.probabilities, subject.model(test.images), atol=1e-5)
    exporting.to_c(subject, path, int8=True)
    small = compiled.load(path)(test.images).logits
    assert_as_good(f"{subject.name}, C", small, expected, test)


def assert_as_good(
    name: str, small: NDArray[np.float32], expected: NDArray[np.float32], test: data.Split
) -> None:
    before, after = ((logits.argmax(1) == test.labels).mean() for logits in (expected, small))
    same = (small.argmax(1) == expected.argmax(1)).mean()
    print(f"{name}: accuracy {before:.4f}, int8 {after:.4f}; {same:.4f} of the classes are equal")
    assert abs(after - before) < INT8_POINTS
