"""Names, shapes and first values of a network's numbers."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lenet.network import zoo
from lenet.network.architecture import Network
from lenet.network.layers import Conv2d, Dropout, Flatten, LeakyReLU, Linear, ReLU, Subsample
from lenet.network.parameters import (
    INITIALIZATIONS,
    Layout,
    State,
    check_parameters,
    initialize,
    parameter_shapes,
)

NETWORKS = [zoo.build(name) for name in zoo.NETWORKS]
by_name = pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)


def fans(layer):
    """Inputs that an output sums, and outputs that an input reaches, on average."""
    match layer:
        case Conv2d(connections=None):
            area = layer.kernel_size**2
            return layer.in_channels * area, layer.out_channels * area
        case Conv2d():
            kernels, area = sum(map(len, layer.connections)), layer.kernel_size**2
            return kernels * area / layer.out_channels, kernels * area / layer.in_channels
        case Linear():
            return layer.in_features, layer.out_features
        case Subsample():
            return layer.kernel_size**2, 1


def weighted(network):
    return [
        (i, x) for i, x in enumerate(network.layers) if isinstance(x, Conv2d | Linear | Subsample)
    ]


# --- names and shapes --------------------------------------------------------------------------


def test_lenet_has_the_names_and_shapes_that_tutorial_004_prints():
    assert list(parameter_shapes(zoo.lenet()).items()) == [
        ("0.weight", (6, 1, 5, 5)),
        ("0.bias", (6,)),
        ("3.weight", (16, 6, 5, 5)),
        ("3.bias", (16,)),
        ("7.weight", (120, 400)),
        ("7.bias", (120,)),
        ("9.weight", (84, 120)),
        ("9.bias", (84,)),
        ("11.weight", (10, 84)),
        ("11.bias", (10,)),
    ]


def test_subsampling_has_one_weight_and_one_bias_a_channel():
    shapes = parameter_shapes(zoo.lenet5())
    assert (shapes["2.weight"], shapes["2.bias"]) == ((6,), (6,))
    assert not any(name.startswith("13.") for name in shapes)  # the codes of RBF are not trained


@by_name
def test_first_values_are_the_networks_parameters(network):
    check_parameters(network, initialize(network, "xavier", 0), "here")


def test_wrong_names_and_shapes_are_named():
    network = zoo.lenet()
    good = initialize(network, "xavier", 0)
    with pytest.raises(
        ValueError, match=r"run 3: not .* 'lenet': missing \['0.bias'\], unexpected none"
    ):
        check_parameters(network, {k: v for k, v in good.items() if k != "0.bias"}, "run 3")
    with pytest.raises(ValueError, match=r"missing none, unexpected \['1.weight'\]"):
        check_parameters(network, good | {"1.weight": np.zeros(3)}, "run 3")
    with pytest.raises(ValueError, match=r"0.weight has shape \(6, 25\), .* needs \(6, 1, 5, 5\)"):
        check_parameters(network, good | {"0.weight": np.zeros((6, 25))}, "run 3")


# --- first values ------------------------------------------------------------------------------


@by_name
@pytest.mark.parametrize("scheme", INITIALIZATIONS)
def test_first_values_lie_within_their_bounds(network, scheme):
    for index, layer in weighted(network):
        fan_in, fan_out = fans(layer)
        xavier = math.sqrt(6 / (fan_in + fan_out))
        bound = {
            "xavier": xavier,
            "xavier-linear": xavier if isinstance(layer, Linear) else 1 / math.sqrt(fan_in),
            "torch": 1 / math.sqrt(fan_in),
            "he": 6 * math.sqrt(2 / fan_in),  # six deviations
            "lecun": 2.4 / fan_in,
        }[scheme]
        values = initialize(network, scheme, seed=1)
        assert np.abs(values[f"{index}.weight"]).max() <= np.float32(bound)
        assert np.abs(values[f"{index}.bias"]).max() <= np.float32(1 / math.sqrt(fan_in))
        if values[f"{index}.weight"].size > 1000 and scheme != "he":  # and fill them
            assert np.abs(values[f"{index}.weight"]).max() > 0.98 * bound


@pytest.mark.parametrize(
    ("scheme", "deviation"),
    [
        ("xavier", lambda i, o: math.sqrt(2 / (i + o))),
        ("he", lambda i, o: math.sqrt(2 / i)),
        ("torch", lambda i, o: 1 / math.sqrt(3 * i)),
        ("lecun", lambda i, o: 2.4 / i / math.sqrt(3)),
    ],
)
@by_name
def test_first_weights_spread_as_theory_says(network, scheme, deviation):
    values = initialize(network, scheme, seed=0)
    for index, layer in weighted(network):
        weight = values[f"{index}.weight"]
        weight = weight[weight != 0]  # those that exist
        expected = deviation(*fans(layer))
        # five standard errors; that of a deviation is at most 1 / sqrt(2 n) of it (normal)
        assert weight.std() == pytest.approx(expected, rel=5 / math.sqrt(2 * weight.size))
        assert abs(weight.mean()) < 5 * expected / math.sqrt(weight.size)


def test_xavier_is_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    ours = initialize(zoo.lenet(), "xavier", seed=0)
    for name in ("3.weight", "7.weight", "9.weight"):
        theirs = torch.empty(ours[name].shape)
        torch.nn.init.xavier_uniform_(theirs, generator=torch.Generator().manual_seed(0))
        assert np.abs(ours[name]).max() == pytest.approx(float(theirs.abs().max()), rel=0.01)


def test_xavier_linear_leaves_convolutions_as_pytorch_does():
    """Tutorial 002 names nn.ConstantPad2d where it means nn.Conv2d."""
    mixed, xavier, plain = (
        initialize(zoo.lenet(), scheme, seed=4) for scheme in ("xavier-linear", "xavier", "torch")
    )
    for name in ("0.weight", "3.weight"):
        np.testing.assert_array_equal(mixed[name], plain[name])
    for name in ("7.weight", "9.weight", "11.weight"):
        np.testing.assert_array_equal(mixed[name], xavier[name])


def test_kernels_that_do_not_exist_are_zero():
    weight = initialize(zoo.lenet5(), "lecun", seed=0)["4.weight"]
    exists = np.zeros((16, 6), bool)
    for output, sources in enumerate(zoo.C3_CONNECTIONS):
        exists[output, list(sources)] = True
    assert (weight[~exists] == 0).all()
    assert (weight[exists] != 0).all()


@by_name
@pytest.mark.parametrize("scheme", INITIALIZATIONS)
def test_same_seed_gives_the_same_float32_values(network, scheme):
    first, again, other = (initialize(network, scheme, seed) for seed in (7, 7, 8))
    assert {value.dtype for value in first.values()} == {np.dtype(np.float32)}
    for name, value in first.items():
        np.testing.assert_array_equal(value, again[name])
        assert (value != other[name]).any()


def test_first_values_stay_what_they_were():
    """A changed value here means that no published result can be repeated: don't."""
    values = initialize(zoo.lenet(), "xavier", seed=0)
    np.testing.assert_array_equal(
        values["0.weight"].flat[:3], np.array(FIRST_WEIGHTS, np.float32), strict=True
    )
    np.testing.assert_array_equal(
        values["11.bias"][-3:], np.array(LAST_BIASES, np.float32), strict=True
    )


FIRST_WEIGHTS = (0.050720755, -0.08525444, -0.16999038)
LAST_BIASES = (0.047217034, 0.07254297, -0.06562887)


def test_unknown_scheme_is_refused():
    with pytest.raises(
        ValueError, match="unknown initialization 'zeros'; choose from xavier, xavier-l"
    ):
        initialize(zoo.lenet(), "zeros", 0)


# --- the flat vector ---------------------------------------------------------------------------


@by_name
def test_layout_covers_the_vector_without_gap(network):
    layout = Layout.of(network)
    stop = 0
    for name, place, shape in layout.slices():
        assert place.start == stop
        stop = place.stop
        assert stop - place.start == math.prod(shape) == math.prod(layout.shapes[name])
    assert stop == layout.size
    assert list(layout.shapes) == list(parameter_shapes(network))


def test_lenet_layout_is_61_706_long():
    assert Layout.of(zoo.lenet()).size == 61_706


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=4),
    st.sampled_from((np.float32, np.float64)),
    st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=50)
def test_flatten_and_views_give_each_other_back(widths, dtype, seed):
    layers, features = [Flatten()], 4
    for width in (*widths, 2):
        layers.append(Linear(features, width))
        features = width
    layout = Layout.of(Network("drawn", (1, 2, 2), tuple(layers), ("a", "b")))
    flat = np.random.default_rng(seed).normal(size=layout.size).astype(dtype)
    views = layout.views(flat)
    assert {name: view.shape for name, view in views.items()} == layout.shapes
    np.testing.assert_array_equal(layout.flatten(views, dtype), flat, strict=True)


def test_views_write_through_and_flatten_copies():
    layout = Layout.of(zoo.lenet())
    flat = np.zeros(layout.size, np.float32)
    views = layout.views(flat)
    views["0.bias"][:] = 3
    assert flat[150:156].tolist() == [3] * 6
    copied = layout.flatten(views)
    views["0.bias"][:] = 4
    assert copied[150:156].tolist() == [3] * 6


def test_flatten_takes_parameters_in_any_order_and_layout():
    layout = Layout.of(zoo.lenet())
    values = initialize(zoo.lenet(), "xavier", seed=0)
    shuffled = {name: np.asfortranarray(values[name]) for name in reversed(values)}
    np.testing.assert_array_equal(layout.flatten(shuffled), layout.flatten(values))


def test_weights_are_the_average_where_there_is_one():
    parameters, average = {"0.bias": np.zeros(1)}, {"0.bias": np.ones(1)}
    assert State(parameters).weights is parameters
    assert State(parameters, average=average).weights is average


def test_he_takes_what_a_leaky_relu_lets_pass_into_account():
    layers = (Flatten(), Linear(400, 300), LeakyReLU(0.5), Dropout(), Linear(300, 2))
    network = Network("leaky", (1, 20, 20), layers, ("a", "b"))
    weight = initialize(network, "he", 0)["1.weight"]
    # torch.nn.init.kaiming_normal_(…, a=0.5)
    assert weight.std() == pytest.approx(math.sqrt(2 / (1 + 0.5**2) / 400), rel=0.02)
    relu = replace(network, layers=(*layers[:2], ReLU(), *layers[3:]))
    ratio = initialize(relu, "he", 0)["1.weight"] / weight
    np.testing.assert_allclose(ratio, math.sqrt(1 + 0.5**2), rtol=1e-5)
