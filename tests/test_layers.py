"""What is said of layers once: groups, curves, notation; and that NumPy computes these curves."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from lenet.engines.numpy import activate, saturated, slope
from lenet.network import layers
from lenet.network.layers import (
    LAYER_TYPES,
    SATURATED_SHARE,
    Activation,
    Dense,
    Layer,
    Pooling,
    ReLU,
    ScaledTanh,
    Sigmoid,
    Tanh,
    Weighted,
    Windowed,
    curve,
    role_of,
)

ACTIVATIONS = [cls() for cls in LAYER_TYPES.values() if issubclass(cls, Activation)]
ACTIVATIONS.append(ScaledTanh(0.5, -1.5))
each = pytest.mark.parametrize("layer", ACTIVATIONS, ids=str)


def test_every_kind_has_one_role() -> None:
    roles = {name: role_of(cls) for name, cls in LAYER_TYPES.items()}
    assert roles["Conv2d"] == "convolution"
    assert roles["Subsample"] == "pooling"
    assert roles["RBF"] == "dense"
    assert roles["Flatten"] == "reshaping"
    for cls in LAYER_TYPES.values():
        groups = [issubclass(cls, group) for group in (Pooling, Dense, Activation)]
        assert sum(groups) == (role_of(cls) in ("pooling", "dense", "activation"))
        assert issubclass(cls, Windowed) == (role_of(cls) in ("convolution", "pooling"))
        assert issubclass(cls, Layer)


def test_layers_with_weights_are_those_with_parameters() -> None:
    some = (layers.Conv2d(1, 2, 3), layers.Linear(3, 2), layers.Subsample(4), layers.RBF(3, 2))
    for layer in (*some, layers.AvgPool2d(2), layers.Dropout(), layers.Flatten(), *ACTIVATIONS):
        count, formula = layers.parameter_count(layer)
        assert isinstance(layer, Weighted) == (count > 0) == (formula != "")
        if isinstance(layer, Weighted):
            weight, bias = layers.weight_and_bias_shapes(layer)
            assert count == math.prod(weight) + math.prod(bias)


@each
def test_the_curve_is_what_numpy_computes(layer: Activation) -> None:
    about = curve(layer)
    x = np.linspace(-40, 40, 800_001)
    y = activate(layer, x)
    slopes = slope(layer, x, y) * 1.0
    assert np.abs(slopes).max() == pytest.approx(about.steepest, rel=1e-6)
    low, high = about.bounds
    assert low - 1e-12 <= y.min() <= low + 1e-3 or (low == -math.inf and y.min() < -0.1)
    assert high - 1e-3 <= y.max() <= high + 1e-12 or (high == math.inf and y.max() == 40)
    measured = np.gradient(y, x)[1:-1]
    smooth = np.abs(np.diff(slopes, 2)) < 1e-3  # where there is no kink
    assert np.abs(measured - slopes[1:-1])[smooth].max() < 1e-6


@each
def test_where_it_is_flat(layer: Activation) -> None:
    about = curve(layer)
    ends = np.array([-60.0, 60.0])
    below, above = saturated(layer, ends, activate(layer, ends))
    assert above == about.saturates
    if math.isfinite(about.bounds[0]):
        assert below
        assert about.saturates != about.flat_below


def test_saturated_is_one_share_of_the_steepest_slope() -> None:
    for layer, edge in ((Sigmoid(), 0.98990), (Tanh(), 0.97980)):
        y = np.array([edge - 1e-4, edge + 1e-4])
        assert list(saturated(layer, y, y)) == [False, True]
    assert SATURATED_SHARE == 0.04


def test_the_path_that_programs_know() -> None:
    from lenet.network import architecture

    assert architecture.ReLU is ReLU
    with pytest.raises(AttributeError):
        architecture.no_such_layer  # noqa: B018


HOUSE = Path(__file__).parent.parent


def test_contributing_lists_the_files_that_an_activation_touches() -> None:
    text = (HOUSE / "CONTRIBUTING.md").read_text("utf-8")
    section = text[text.index("**A layer.**") : text.index("**An engine.**")]
    listed = set(re.findall(r"^\| `([\w/.]+)` \|", section, re.MULTILINE))
    sources = [
        *(HOUSE / "native").rglob("*.?pp"),
        *(HOUSE / "src").rglob("*.py"),
        *(HOUSE / "src").rglob("*.js"),
    ]
    touched = {
        str(path.relative_to(HOUSE))
        for path in sources
        if re.search(r"\bSiLU\b|\bsilu\b", path.read_text("utf-8"))
    }
    assert touched == listed
    assert len(touched) <= 10
