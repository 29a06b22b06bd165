"""The named networks: what their papers and tutorials say of them."""

import itertools

import numpy as np
import pytest

from lenet.engines import normalization_table
from lenet.network import zoo
from lenet.network.architecture import trace, trace_layers
from lenet.network.layers import (
    ArchitectureError,
    AvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    ScaledTanh,
    Sigmoid,
)


def parameters(network):
    return sum(row.parameters for row in trace(network))


def kinds(network):
    return {type(layer) for layer in network.layers}


def test_lenet_is_the_tutorials_sequential():
    assert zoo.lenet().layers == (
        Conv2d(1, 6, 5, padding=2),
        Sigmoid(),
        AvgPool2d(2, stride=2),
        Conv2d(6, 16, 5),
        Sigmoid(),
        AvgPool2d(2, stride=2),
        Flatten(),
        Linear(16 * 5 * 5, 120),
        Sigmoid(),
        Linear(120, 84),
        Sigmoid(),
        Linear(84, 10),
    )
    assert parameters(zoo.lenet()) == 61_706


def test_lenet_max_is_the_class_of_tutorial_002():
    network = zoo.lenet_max()
    assert next(x for x in network.layers if isinstance(x, Linear)) == Linear(16 * 4 * 4, 120)
    assert MaxPool2d(2, 2) in network.layers
    assert kinds(network).isdisjoint({AvgPool2d, ReLU})
    assert all(layer.padding == 0 for layer in network.layers if isinstance(layer, Conv2d))
    assert parameters(network) == 156 + 2_416 + 30_840 + 10_164 + 850


def test_linear_is_one_dense_layer():
    network = zoo.build("linear", (3, 8, 8), 4)
    assert network.layers == (Flatten(), Linear(3 * 8 * 8, 4))
    assert parameters(zoo.linear()) == 7_850


def test_lenet_relu_differs_from_lenet_in_activation_and_pooling_alone():
    newer = {Sigmoid(): ReLU(), AvgPool2d(2, 2): MaxPool2d(2, 2)}
    assert zoo.lenet_relu().layers == tuple(newer.get(x, x) for x in zoo.lenet().layers)
    assert parameters(zoo.lenet_relu()) == 61_706


@pytest.mark.parametrize(
    ("name", "most", "exactly", "dropout"),
    [("modern", 61_706, 54_410, set()), ("small", 20_000, 19_194, {Dropout})],
)
def test_modern_and_small_keep_to_the_familys_plan(name, most, exactly, dropout):
    network = zoo.build(name)
    weighted = [type(layer) for layer in network.layers if isinstance(layer, Conv2d | Linear)]
    assert weighted == [Conv2d, Conv2d, Conv2d, Linear, Linear]
    assert kinds(network) == {Conv2d, ReLU, MaxPool2d, Flatten, Linear} | dropout
    assert parameters(network) == exactly <= most


def test_mlp_is_tutorial_004s_comparison():
    dense = [layer for layer in zoo.mlp().layers if isinstance(layer, Linear)]
    assert dense == [Linear(784, 256), Linear(256, 128), Linear(128, 10)]
    assert parameters(zoo.mlp()) == 235_146
    assert zoo.lenet().classes == zoo.mlp().classes


# --- the 1998 network --------------------------------------------------------------------------


def test_lenet5_has_60_000_trainable_parameters():
    counts = [row.parameters for row in trace(zoo.lenet5()) if row.parameters]
    assert counts == [156, 12, 1_516, 32, 48_120, 10_164]
    assert sum(counts) == 60_000


def test_lenet5_has_340_908_connections():
    assert sum(row.connections for row in trace(zoo.lenet5())) == 340_908


@pytest.mark.parametrize(
    ("name", "parameters", "connections"),
    [
        # LeCun et al. 1989 and 1990 give the sums; by layers they follow from the text
        ("lenet1989", [1_068, 2_592, 5_790, 310], [19_968, 38_592, 5_790, 310]),
        ("lenet1", [104, 8, 512, 24, 1_930], [59_904, 2_880, 32_768, 960, 1_930]),
    ],
)
def test_the_networks_before_1998_have_the_papers_counts(name, parameters, connections):
    rows = [row for row in trace(zoo.build(name)) if row.parameters]
    assert [row.parameters for row in rows] == parameters
    assert [row.connections for row in rows] == connections
    sums = {"lenet1989": (9_760, 64_660), "lenet1": (2_578, 98_442)}
    assert (sum(parameters), sum(connections)) == sums[name]


def test_a_bias_for_each_unit_must_fit_the_output():
    with pytest.raises(
        ArchitectureError, match=r"has biases for 8×8 units .* its output has 10×10"
    ):
        trace_layers((1, 20, 20), (zoo.lenet1989().layers[0],))


def test_lenet5_sees_background_as_minus_0_1_and_ink_as_1_175():
    pixels = normalization_table(zoo.lenet5())
    np.testing.assert_allclose(pixels[0, [0, 255]], [-0.1, 1.175], rtol=1e-12)


def test_lenet5_squashes_with_the_papers_tanh():
    (squash,) = {layer for layer in zoo.lenet5().layers if isinstance(layer, ScaledTanh)}
    assert (squash.amplitude, squash.slope) == (1.7159, 2 / 3)


# LeCun et al. 1998, table I as printed: a row for each S2 map, an X for each C3 map that sees it.
TABLE_I = """
X . . . X X X . . X X X X . X X
X X . . . X X X . . X X X X . X
X X X . . . X X X . . X . X X X
. X X X . . X X X X . . X . X X
. . X X X . . X X X X . X X . X
. . . X X X . . X X X X . X X X
"""


def test_c3_connections_are_table_i_of_the_paper():
    marks = [line.split() for line in TABLE_I.split("\n") if line]
    columns = zip(*marks, strict=True)
    table = tuple(tuple(i for i, mark in enumerate(column) if mark == "X") for column in columns)
    assert table == zoo.C3_CONNECTIONS


def neighbours(sources):
    """Whether the maps follow each other in the ring of six."""
    return any(set(sources) == {(first + i) % 6 for i in range(len(sources))} for first in range(6))


def test_c3_connections_are_grouped_as_the_papers_text_says():
    groups = [
        list(g) for _, g in itertools.groupby(zoo.C3_CONNECTIONS, lambda s: (len(s), neighbours(s)))
    ]
    assert [(len(g), len(g[0]), neighbours(g[0])) for g in groups] == [
        (6, 3, True),
        (6, 4, True),
        (3, 4, False),
        (1, 6, True),
    ]
    for sources in groups[2]:  # two pairs of neighbours, opposite each other
        gaps = [(b - a) % 6 for a, b in zip(sources, sources[1:] + sources[:1], strict=True)]
        assert sorted(gaps) == [1, 1, 2, 2]
    assert len(set(zoo.C3_CONNECTIONS)) == 16
    assert sum(len(sources) for sources in zoo.C3_CONNECTIONS) == 60


# --- building ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", zoo.NETWORKS)
def test_every_network_takes_other_pictures_and_classes(name):
    side = zoo.OWN_SIDES.get(name, 36)
    network = zoo.build(name, (3, side, side), ("cat", "dog"))
    assert network.name == name
    assert network.classes == ("cat", "dog")
    assert trace(network)[0].input_shape[0] == 3
    assert trace(network)[-1].output_shape == (2,)


@pytest.mark.parametrize("name", zoo.NETWORKS)
def test_without_a_shape_each_has_its_own_pictures(name):
    side = {"lenet5": 32, "lenet1989": 16}.get(name, 28)
    assert zoo.build(name).input_shape == (1, side, side)
    assert len(zoo.build(name).classes) == 10


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("lenet", (1, 9, 28), r"layer 3 \(Conv2d\) expects at least 5×5 .* shape 6×4×14"),
        ("lenet-max", (1, 4, 4), r"layer 0 \(Conv2d\) expects at least 5×5 .* shape 1×4×4"),
        ("lenet-relu", (1, 1, 1), r"layer 2 \(MaxPool2d\) expects at least 2×2 .* shape 6×1×1"),
        ("lenet5", (1, 28, 28), r"layer 8 \(Conv2d\) expects at least 5×5 .* shape 16×4×4"),
        ("lenet5", (1, 36, 36), r"layer 11 \(Linear\) expects a vector of 120, .* shape 480"),
        ("lenet", (28, 28), r"input_shape is \(28, 28\); give .* such as \(1, 28, 28\)"),
        ("lenet", "28x28", r"input_shape is '28x28'; give .* such as \(1, 28, 28\)"),
        ("lenet", "3 32 32", r"such as \(3, 32, 32\)"),
        ("lenet", 28, r"input_shape is 28; give \(channels, height, width\)"),
        ("lenet", (1, "a", 2), r"input_shape is \(1, 'a', 2\); give"),
        ("mlp", (1, 0, 28), r"input shape \(1, 0, 28\)"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(name, shape, message):
    with pytest.raises(ArchitectureError, match=message):
        zoo.build(name, shape)


@pytest.mark.parametrize("name", ["LeNet", "LENET-MAX", "Lenet_ReLU", "MLP", "LeNet5"])
def test_case_is_no_mistake(name):
    assert zoo.build(name).name == name.lower().replace("_", "-")


@pytest.mark.parametrize("name", zoo.NETWORKS)
@pytest.mark.parametrize("classes", [0, 1, (), ("one",)])
def test_fewer_than_two_classes_are_refused(name, classes):
    with pytest.raises(ArchitectureError, match="it needs at least 2"):
        zoo.build(name, classes=classes)


def test_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(
        ValueError, match=r"unknown network 'lenet-relo'; did you mean lenet-relu\?"
    ):
        zoo.build("lenet-relo")
    with pytest.raises(ValueError, match=r"unknown network 'vgg'; choose from lenet, lenet-max"):
        zoo.build("vgg")


def test_networks_compare_and_hash_by_value():
    assert zoo.lenet() == zoo.build("lenet")
    assert len({zoo.lenet(), zoo.lenet(), zoo.mlp()}) == 2


@pytest.mark.parametrize("name", ["lenet", "lenet-max", "lenet-relu", "mlp"])
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 64, 64), (3, 48, 40), (1, 28, 28)])
def test_a_network_adapts_to_the_pictures_and_their_classes(name, shape):
    network = zoo.build(name, shape, ("a", "b", "c"))
    assert network.input_shape == shape
    assert trace(network)[-1].output_shape == (3,)
