"""Networks as data: numbers of the papers, shapes against PyTorch, strangers' files."""

import copy
import json
import math

import numpy as np
import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from activations import COMPUTED
from lenet.network import zoo
from lenet.network.architecture import (
    Network,
    Normalization,
    from_dict,
    to_dict,
    trace,
    trace_layers,
)
from lenet.network.layers import (
    LARGEST,
    LAYER_TYPES,
    RBF,
    ArchitectureError,
    AvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    LeakyReLU,
    Linear,
    MaxPool2d,
    ReLU,
    ScaledTanh,
    Subsample,
    connection_count,
    padding_of,
    show_shape,
    stride_of,
)
from lenet.network.parameters import parameter_shapes

unhurried = settings(deadline=None, max_examples=50)


# --- drawing networks --------------------------------------------------------------------------


@st.composite
def windows(draw, shape, of_1998=False):
    """A convolution or pooling layer that fits on ``shape`` (channels, height, width)."""
    channels, smallest = shape[0], min(shape[1:])
    kernel = draw(st.integers(1, min(smallest, 5)))
    stride = draw(st.integers(1, 3))
    kind = draw(st.sampled_from((Conv2d, Conv2d, AvgPool2d, MaxPool2d) + (Subsample,) * of_1998))
    if kind is Subsample:
        return Subsample(channels, kernel)
    if kind is not Conv2d:
        return kind(
            kernel, draw(st.sampled_from((None, stride))), draw(st.integers(0, kernel // 2))
        )
    outputs = draw(st.integers(1, 4))
    table = None
    if of_1998 and draw(st.booleans()):
        one = st.sets(st.integers(0, channels - 1), min_size=1).map(lambda s: tuple(sorted(s)))
        table = tuple(draw(one) for _ in range(outputs))
    return Conv2d(channels, outputs, kernel, stride, draw(st.integers(0, kernel - 1)), table)


@st.composite
def networks(draw, of_1998=False):
    """A small network of any layers that fit together."""
    input_shape = (draw(st.integers(1, 3)), draw(st.integers(1, 14)), draw(st.integers(1, 14)))
    classes = tuple(f"class {i}" for i in range(draw(st.integers(2, 5))))
    activations = [*COMPUTED.values(), Dropout(draw(st.floats(0, 0.99)))]
    activations += [ScaledTanh(), ScaledTanh(0.5, -1)] * of_1998
    layers, shape = [], input_shape
    for _ in range(draw(st.integers(0, 4))):
        layers.append(draw(windows(shape, of_1998)))
        shape = trace_layers(input_shape, tuple(layers))[-1].output_shape
        layers += draw(st.lists(st.sampled_from(activations), max_size=1))
    layers.append(Flatten())
    features = math.prod(shape)
    for width in draw(st.lists(st.integers(1, 20), max_size=2)):
        layers += [Linear(features, width), draw(st.sampled_from(activations))]
        features = width
    layers.append((RBF if of_1998 and draw(st.booleans()) else Linear)(features, len(classes)))
    channels = draw(st.sampled_from((1, input_shape[0])))
    normalization = Normalization((draw(st.floats(-9, 9)),) * channels, (0.5,))
    return Network("drawn", input_shape, tuple(layers), classes, normalization)


# --- numbers from the papers and tutorials -----------------------------------------------------


def test_lenet_has_the_parameters_of_the_tutorials():
    counts = [row.parameters for row in trace(zoo.lenet()) if row.parameters]
    assert counts == [156, 2_416, 48_120, 10_164, 850]
    assert sum(counts) == 61_706


def test_lenet_costs_416_520_multiply_accumulates():
    assert sum(row.macs for row in trace(zoo.lenet())) == 416_520


def test_lenet_needs_715_440_multiply_accumulates_backward():
    """Twice the forward ones but for the first layer, whose input gradient nobody asks for."""
    first, *others = (row.macs for row in trace(zoo.lenet()) if row.parameters)
    assert first + 2 * sum(others) == 715_440


def test_lenet5_has_the_parameters_and_connections_of_the_paper():
    rows = {row.stage: row for row in trace(zoo.lenet5()) if row.stage}
    assert {stage: row.parameters for stage, row in rows.items()} == {
        "C1": 156,
        "S2": 12,
        "C3": 1_516,
        "S4": 32,
        "C5": 48_120,
        "F6": 10_164,
    }
    assert {stage: row.connections for stage, row in rows.items()} == {
        "C1": 122_304,
        "S2": 5_880,
        "C3": 151_600,
        "S4": 2_000,
        "C5": 48_120,
        "F6": 10_164,
    }
    assert sum(row.connections for row in trace(zoo.lenet5())) == 340_908


def test_a_pooling_window_connects_its_members_without_a_bias():
    """Four for each output, where the paper's subsampling has five."""
    rows = {row.stage: row for row in trace(zoo.lenet()) if row.stage}
    assert (rows["S2"].connections, rows["S4"].connections) == (1_176 * 4, 400 * 4)
    assert sum(row.connections for row in trace(zoo.lenet_max())) == 286_334 + 864 * 4 + 256 * 4


def test_lenet_stages_are_numbered_through():
    stages = [row.stage for row in trace(zoo.lenet()) if row.stage]
    assert stages == ["C1", "S2", "C3", "S4", "F5", "F6", "F7"]


def test_lenet_receptive_fields_grow_to_the_whole_picture():
    fields = {row.stage: row.receptive_field for row in trace(zoo.lenet()) if row.stage}
    assert fields == {
        "C1": (5, 5),
        "S2": (6, 6),
        "C3": (14, 14),
        "S4": (16, 16),
        "F5": (28, 28),
        "F6": (28, 28),
        "F7": (28, 28),
    }


def test_size_formulas_are_tutorial_002s_with_the_numbers_put_in():
    formulas = {row.stage: row.size_formula for row in trace(zoo.lenet()) if row.size_formula}
    assert formulas == {
        "C1": "(28 + 2·2 - 5) / 1 + 1 = 28",
        "S2": "(28 - 2) / 2 + 1 = 14",
        "C3": "(14 - 5) / 1 + 1 = 10",
        "S4": "(10 - 2) / 2 + 1 = 5",
    }


def test_size_formula_shows_rounding_and_both_sizes():
    (row,) = trace_layers((1, 9, 12), (MaxPool2d(4, stride=3),))
    assert row.size_formula == "⌊(9 - 4) / 3⌋ + 1 = 2, ⌊(12 - 4) / 3⌋ + 1 = 3"


@given(networks())
@unhurried
def test_size_formulas_are_true(network):
    for row in trace(network):
        for formula in filter(None, row.size_formula.split(", ")):
            quotient, result = formula.replace("⌊", "(").replace("⌋", ")").split(" + 1 = ")
            value = eval(quotient.replace("·", "*"), {})
            assert math.floor(value) + 1 == int(result)
            assert "⌊" in formula or value == math.floor(value)


@given(networks(of_1998=True))
@unhurried
def test_parameter_formulas_are_true(network):
    for row in trace(network):
        formula = row.parameter_formula.replace("×", "*") or "0"
        assert eval(formula, {}) == row.parameters


@given(networks(of_1998=True))
@unhurried
def test_parameters_are_those_that_have_a_place(network):
    """The count of a layer is the size of its arrays, but for kernels that do not exist."""
    shapes = parameter_shapes(network)
    for row in trace(network):
        size = sum(
            math.prod(shapes.get(f"{row.index}.{name}", (0,))) for name in ("weight", "bias")
        )
        if isinstance(row.layer, Conv2d):
            missing = row.layer.in_channels * row.layer.out_channels - connection_count(row.layer)
            size -= missing * row.layer.kernel_size**2
        assert size == row.parameters


# --- shapes and costs against PyTorch ----------------------------------------------------------


def as_torch(layer, nn):
    """The namesake in torch.nn, without memory for its weights."""
    match layer:
        case Conv2d():
            return nn.Conv2d(
                layer.in_channels,
                layer.out_channels,
                layer.kernel_size,
                layer.stride,
                layer.padding,
                device="meta",
            )
        case AvgPool2d() | MaxPool2d():
            cls = getattr(nn, type(layer).__name__)
            return cls(layer.kernel_size, layer.stride, layer.padding)
        case Linear():
            return nn.Linear(layer.in_features, layer.out_features, device="meta")
        case Dropout():
            return nn.Dropout(layer.p)
        case _:
            return getattr(nn, type(layer).__name__)()


@given(networks())
@example(zoo.lenet())
@example(zoo.lenet_max())
@example(zoo.lenet_relu((3, 33, 30)))
@example(zoo.mlp())
@unhurried
def test_shapes_parameters_and_costs_are_pytorchs(network):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from torch.utils.flop_counter import FlopCounterMode

    modules = torch.nn.Sequential(*(as_torch(layer, torch.nn) for layer in network.layers))
    names = {name: tuple(value.shape) for name, value in modules.state_dict().items()}
    assert parameter_shapes(network) == names

    x = torch.empty((1, *network.input_shape), device="meta")
    for row, module in zip(trace(network), modules, strict=True):
        assert row.input_shape == tuple(x.shape[1:])
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            x = module(x)
        assert row.output_shape == tuple(x.shape[1:])
        assert row.macs == counter.get_total_flops() / 2
        assert row.parameters == sum(p.numel() for p in module.parameters())


# --- receptive fields against changing every pixel ---------------------------------------------


def run_chain(pictures, layers, padding_value=0.0):
    """(n, h, w) through windows that sum or take the largest, in plain loops; all weights 1."""
    x = pictures
    for layer in layers:
        k, s, p = layer.kernel_size, stride_of(layer), padding_of(layer)
        x = np.pad(x, ((0, 0), (p, p), (p, p)), constant_values=padding_value)
        rows, columns = ((size - k) // s + 1 for size in x.shape[1:])
        out = np.empty((len(x), rows, columns))
        for row in range(rows):
            for column in range(columns):
                window = x[:, row * s : row * s + k, column * s : column * s + k]
                pooled = window.max if isinstance(layer, MaxPool2d) else window.sum
                out[:, row, column] = pooled(axis=(1, 2))
        x = out
    return x


@st.composite
def chains(draw):
    input_shape = (1, draw(st.integers(4, 13)), draw(st.integers(4, 13)))
    layers, shape = [], input_shape
    for _ in range(draw(st.integers(1, 4))):
        layer = draw(windows(shape))
        if isinstance(layer, Conv2d):
            layer = Conv2d(1, 1, layer.kernel_size, layer.stride, layer.padding)
        layers.append(layer)
        shape = trace_layers(input_shape, tuple(layers))[-1].output_shape
    return input_shape, tuple(layers)


@given(chains())
@example(((1, 12, 12), (Conv2d(1, 1, 5, padding=2), AvgPool2d(2), Conv2d(1, 1, 3))))
@example(((1, 5, 6), (MaxPool2d(2), Conv2d(1, 1, 3, padding=1))))  # the last row is never seen
@example(((1, 7, 7), (Conv2d(1, 1, 1, stride=2), Conv2d(1, 1, 2))))  # with gaps
@settings(deadline=None)
def test_receptive_fields_are_where_a_changed_pixel_changes_an_output(chain):
    (_, height, width), layers = chain
    last = trace_layers((1, height, width), layers)[-1]
    one_pixel_each = np.eye(height * width).reshape(-1, height, width)
    changed = run_chain(one_pixel_each, layers) != 0
    touches_padding = run_chain(np.zeros((1, height, width)), layers, padding_value=1.0)[0] != 0

    _, rows, columns = last.output_shape
    assert changed.shape[1:] == (rows, columns)
    event(f"whole windows: {not touches_padding.all()}")
    for row in range(rows):
        for column in range(columns):
            pixels = np.argwhere(changed[:, row, column].reshape(height, width))
            low, high = pixels.min(0), pixels.max(0) + 1
            first = last.input_offset + last.input_stride * np.array([row, column])
            end = first + last.receptive_field
            assert (first <= low).all()
            assert (high <= end).all()
            if not touches_padding[row, column]:
                assert (first == low).all()
                assert (high == end).all()

    # a dense layer depends on all that any output depends on
    dense = (*layers, Flatten(), Linear(rows * columns, 2))
    pixels = np.argwhere(changed.any((1, 2)).reshape(height, width))
    field = trace_layers((1, height, width), dense)[-1].receptive_field
    assert field == tuple(pixels.max(0) + 1 - pixels.min(0))


# --- networks that do not fit together ---------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            (Conv2d(3, 6, 5),),
            r"layer 0 \(Conv2d\) expects 3×height×width, but its input has shape 1×28×28",
        ),
        (
            (Flatten(), Conv2d(1, 6, 5)),
            r"layer 1 \(Conv2d\) expects channels×height×width, but its input has shape 784",
        ),
        (
            (Conv2d(1, 6, 29),),
            r"layer 0 \(Conv2d\) expects at least 29×29 for its 29×29 window, .* shape 1×28×28",
        ),
        (
            (AvgPool2d(14), ReLU(), Conv2d(1, 6, 5, padding=1)),
            r"layer 2 \(Conv2d\) expects at least 3×3 for its 5×5 window, .* shape 1×2×2",
        ),
        (
            (AvgPool2d(29),),
            r"layer 0 \(AvgPool2d\) expects at least 29×29 .* shape 1×28×28",
        ),
        (
            (Flatten(), MaxPool2d(2)),
            r"layer 1 \(MaxPool2d\) expects channels×height×width, .* shape 784",
        ),
        (
            (Subsample(6),),
            r"layer 0 \(Subsample\) expects 6×height×width, .* shape 1×28×28",
        ),
        (
            (Flatten(), Flatten()),
            r"layer 1 \(Flatten\) expects channels×height×width, .* shape 784",
        ),
        (
            (Conv2d(1, 6, 5), Linear(3456, 10)),
            r"layer 1 \(Linear\) expects a vector of 3456, but its input has shape 6×24×24",
        ),
        (
            (Flatten(), Linear(783, 10)),
            r"layer 1 \(Linear\) expects a vector of 783, but its input has shape 784",
        ),
        (
            (Flatten(), RBF(84, 10)),
            r"layer 1 \(RBF\) expects a vector of 84, but its input has shape 784",
        ),
        ((Conv2d(0, 6, 5),), r"layer 0 \(Conv2d\): in_channels is 0, must be at least 1"),
        ((Conv2d(1, -6, 5),), r"layer 0 \(Conv2d\): out_channels is -6, must be at least 1"),
        ((Conv2d(1, 6, 0),), r"layer 0 \(Conv2d\): kernel_size is 0, must be at least 1"),
        ((Conv2d(1, 6, 5, stride=0),), r"layer 0 \(Conv2d\): stride is 0, must be at least 1"),
        ((Conv2d(1, 6, 5, padding=-1),), r"layer 0 \(Conv2d\): padding is -1, must be from 0"),
        ((Conv2d(1, LARGEST + 1, 5),), r"out_channels is 2147483648, must be at most 2147483647"),
        ((MaxPool2d(3, padding=2),), r"layer 0 \(MaxPool2d\): padding is 2, must be from 0 to 1"),
        ((AvgPool2d(2, stride=-2),), r"layer 0 \(AvgPool2d\): stride is -2, must be at least 1"),
        ((Subsample(1, 0),), r"layer 0 \(Subsample\): kernel_size is 0, must be at least 1"),
        ((Dropout(1.5),), r"layer 0 \(Dropout\): p is 1.5, must be from 0 to 1"),
        ((ReLU(), Dropout(-0.1)), r"layer 1 \(Dropout\): p is -0.1"),
        ((Dropout(math.nan),), r"layer 0 \(Dropout\): p is nan"),
        ((LeakyReLU(-0.1),), r"layer 0 \(LeakyReLU\): negative_slope is -0.1, .* at least 0"),
        ((ScaledTanh(0.0),), r"layer 0 \(ScaledTanh\): amplitude is 0.0, .* finite number"),
        ((ScaledTanh(1.0, math.inf),), r"layer 0 \(ScaledTanh\): slope is inf"),
        ((Flatten(), Linear(784, 0)), r"layer 1 \(Linear\): out_features is 0"),
        (
            (Conv2d(1, 2, 5, connections=((0,),)),),
            r"layer 0 \(Conv2d\): connections has 1 rows for 2 output channels",
        ),
        (
            (Conv2d(1, 2, 5, connections=((0,), (1,))),),
            r"connections of output channel 1 are \(1,\); .* from 0 to 0",
        ),
        ((Conv2d(1, 2, 5, connections=((0,), ())),), r"connections of output channel 1 are \(\)"),
        ((Conv2d(1, 1, 5, connections=((0, 0),)),), r"output channel 0 are \(0, 0\); .* different"),
    ],
)
def test_what_does_not_fit_is_named_with_its_number_and_shapes(layers, message):
    network = Network("broken", (1, 28, 28), layers, ("yes", "no"))
    with pytest.raises(ArchitectureError, match=message):
        trace(network)


FITTING = (Flatten(), Linear(784, 2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_shape": (28, 28)}, r"input shape \(28, 28\) must be \(channels, height, width\)"),
        ({"input_shape": (1, 0, 28)}, r"input shape \(1, 0, 28\) .* at least 1"),
        ({"input_shape": (1, 1, LARGEST + 1)}, r"input shape .* at most 2147483647"),
        ({"layers": ()}, r"network 'broken' has no layers; give at least one"),
        ({"classes": ("one",)}, r"network 'broken' has 1 classes; it needs at least 2"),
        (
            {"classes": ("a", "b", "c")},
            r"network 'broken' ends with shape 2, but has 3 classes; end it with Linear\(…, 3\)",
        ),
        ({"layers": (ReLU(),)}, r"ends with shape 1×28×28, but has 2 classes"),
        ({"normalization": Normalization((0.0, 0.0))}, r"2 means and 1 deviations for 1 channels"),
        ({"normalization": Normalization((0.0,), ())}, r"1 means and 0 deviations for 1 channels"),
        ({"normalization": Normalization((0.0,), (0.0,))}, r"deviations positive"),
        ({"normalization": Normalization((0.0,), (-1.0,))}, r"deviations positive"),
        ({"normalization": Normalization((math.nan,), (1.0,))}, r"means must be finite"),
        ({"normalization": Normalization((0.0,), (math.inf,))}, r"deviation \(inf,\)"),
        ({"name": "\x1b[2J"}, r"the name '\\x1b\[2J' must have no control characters"),
        ({"classes": ("yes", "no\n")}, r"the name 'no\\n' must have no control characters"),
        ({"classes": ("yes", "\ud800")}, r"the name '\\ud800' must have no control characters"),
    ],
)
def test_what_is_wrong_around_the_layers_is_named(changes, message):
    values = {
        "name": "broken",
        "input_shape": (1, 28, 28),
        "layers": FITTING,
        "classes": ("yes", "no"),
    }
    trace(Network(**values))
    with pytest.raises(ArchitectureError, match=message):
        trace(Network(**(values | changes)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": 1}, "name is 1, must be text"),
        ({"input_shape": 28}, r"input_shape is 28, must be \(channels, height, width\)"),
        ({"input_shape": (1, 28.0, 28)}, r"input_shape is 28\.0, must be a whole number"),
        ({"layers": Flatten()}, r"layers is Flatten\(\), must be a tuple of layers"),
        ({"layers": "Flatten"}, "layers is 'Flatten', must be a tuple of layers"),
        ({"layers": (Flatten,)}, r"must be a layer: write Flatten\(\)"),
        ({"layers": ("Flatten",)}, "layer 0 is 'Flatten', must be one of lenet's layers"),
        ({"layers": (Conv2d(1, 6, (5, 5)),)}, r"kernel_size is \(5, 5\).*write 5"),
        ({"layers": (Conv2d(1, 6, "5"),)}, r"layer 0 \(Conv2d\): kernel_size is '5'"),
        ({"layers": (Conv2d(1, 6, None),)}, "kernel_size is None, must be a whole number"),
        ({"layers": (Conv2d(1, True, 5),)}, "out_channels is True, must be a whole number"),
        ({"layers": (Conv2d(1, 1, 5, connections=0),)}, "connections is 0, must be a tuple"),
        ({"layers": (Flatten(), Dropout("half"))}, r"layer 1 \(Dropout\): p is 'half'"),
        ({"classes": 10}, r'classes is 10, must be a tuple of names, such as \("cat", "dog"\)'),
        ({"classes": "cat"}, "classes is 'cat', must be a tuple of names"),
        ({"classes": (0, 1)}, "classes hold 0, must be names: write '0'"),
        ({"normalization": 0.5}, r"normalization is 0\.5, must be a Normalization"),
    ],
)
def test_arguments_of_another_type_are_refused_at_once(changes, message):
    values = {"name": "n", "input_shape": (1, 28, 28), "layers": FITTING, "classes": ("a", "b")}
    with pytest.raises(ArchitectureError, match=message):
        Network(**(values | changes))


def test_a_pytorch_module_among_the_layers_leads_to_from_torch():
    nn = pytest.importorskip("torch").nn
    with pytest.raises(ArchitectureError, match=r"lenet\.from_torch"):
        Network("n", (1, 28, 28), (nn.Flatten(), nn.Linear(784, 2)), ("a", "b"))


def test_lists_and_numpys_numbers_become_tuples_and_pythons():
    np = pytest.importorskip("numpy")
    layers = [Flatten(), Linear(np.prod([28, 28]), np.int8(2))]
    network = Network("n", [1, np.int64(28), 28], layers, ["a", "b"])
    assert network == Network("n", (1, 28, 28), FITTING, ("a", "b"))
    assert type(network.layers[1].in_features) is type(network.input_shape[1]) is int
    assert from_dict(json.loads(json.dumps(to_dict(network)))) == network


def test_class_names_of_any_language_pass():
    names = ("T恤", "شلوار", "می\u200cخواهم", "👩\u200d🎓")  # with joiners that do not print
    trace(Network("any", (1, 28, 28), (Flatten(), Linear(784, 4)), names))


def test_chain_of_layers_checks_the_picture_too():
    with pytest.raises(ArchitectureError, match="input shape"):
        trace_layers((28, 28), FITTING)


# --- as JSON -----------------------------------------------------------------------------------


@given(networks(of_1998=True))
@example(zoo.lenet())
@example(zoo.lenet_max())
@example(zoo.lenet_relu())
@example(zoo.mlp())
@example(zoo.lenet5())
@unhurried
def test_json_gives_the_same_network_back(network):
    text = json.dumps(to_dict(network), allow_nan=False)
    assert from_dict(json.loads(text)) == network


def test_every_layer_type_can_be_written_and_read():
    used = {type(layer) for build in (zoo.lenet5, zoo.lenet_max) for layer in build().layers}
    assert used | {AvgPool2d, Dropout, *map(type, COMPUTED.values())} == set(LAYER_TYPES.values())


def test_normalization_may_be_left_out():
    values = to_dict(zoo.lenet())
    del values["normalization"]
    assert from_dict(values) == zoo.lenet()


HOSTILE = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    10**30,
    -(10**30),
    10**400,
    10**5000,  # more digits than Python writes
    0.5,
    -1.0,
    1e308,
    math.nan,
    math.inf,
    "",
    "x",
    "\x1b[31m",
    "Conv2d",
    "__class__",
    [],
    {},
    [[]],
    [None],
    [10**5000],
    {"type": "Flatten"},
    {"type": "Network"},
    {"type": ["Conv2d"]},
    ["0"],
    list(range(1000)),
)


def deeply_nested(depth=100_000):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def places(value, path=()):
    """The path of every value inside a JSON document."""
    yield path
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*path, key))


def reading(values):
    """The network, or why it is refused; any exception but ArchitectureError fails the test."""
    try:
        network = from_dict(values)
    except ArchitectureError as error:
        network = error
    if isinstance(network, Network):
        assert from_dict(to_dict(network)) == network
    else:
        assert len(str(network)) < 1000  # however much was in the file
    return network


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet", "lenet5"])
def test_hostile_value_in_any_place_is_refused_as_such(name):
    good = to_dict(zoo.build(name))
    for path in list(places(good)):
        if len(path) > 3 and path[2] == "connections" and path[3:] not in ((), (0,), (0, 0)):
            continue  # one row of the table stands for all
        for hostile in HOSTILE:
            values = copy.deepcopy(good)
            if not path:
                assert isinstance(reading(hostile), ArchitectureError)
                continue
            holder = values
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = hostile
            reading(values)


@pytest.mark.parametrize("name", ["lenet", "lenet5"])
def test_missing_and_extra_keys_are_refused(name):
    good = to_dict(zoo.build(name))
    optional = {"normalization", "stride", "padding", "connections", "amplitude", "slope"} | {
        "bias_size"
    }
    for path in list(places(good)):
        holder, values = good, copy.deepcopy(good)
        changed = values
        for key in path:
            holder, changed = holder[key], changed[key]
        if not isinstance(changed, dict):
            continue
        for key in holder:
            value = changed.pop(key)
            if key not in optional | {"kernel_size"}:
                with pytest.raises(ArchitectureError):
                    from_dict(values)
            else:
                reading(values)
            changed[key] = value
        changed["surprise"] = 1
        with pytest.raises(ArchitectureError, match="unknown key 'surprise'"):
            from_dict(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": 3}, "layers is 3, must be a list"),
        ({"layers": ["Flatten"]}, "layer 0 is 'Flatten', must be a dict"),
        ({"layers": [{"type": "Exec"}]}, r"layer 0: unknown type 'Exec'; choose from Conv2d, "),
        ({"layers": [{"type": 3}]}, "layer 0: unknown type 3"),
        ({"layers": [{}]}, "layer 0: unknown type None"),
        ({"layers": [{"type": "Linear"}]}, r"layer 0 \(Linear\): .* missing 2 required"),
        (
            {"layers": [{"type": "Linear", "in_features": True, "out_features": 2}]},
            r"layer 0 \(Linear\): in_features is True, must be a whole number",
        ),
        (
            {"layers": [{"type": "Dropout", "p": "half"}]},
            r"layer 0 \(Dropout\): p is 'half', must be a number",
        ),
        (
            {"layers": [{"type": "Dropout", "p": 10**400}]},
            r"layer 0 \(Dropout\): p is .*, too large for a number",
        ),
        ({"name": 3}, "name is 3, must be a str"),
        ({"classes": "ab"}, "classes is 'ab', must be a list"),
        ({"classes": [1, 2]}, "class is 1, must be a str"),
        ({"input_shape": [28, 28]}, r"input_shape is \[28, 28\], must be \[channels"),
        ({"input_shape": [1, 28.0, 28]}, "input_shape is 28.0, must be a whole number"),
        ({"input_shape": [1, 28, 10**30]}, "input_shape is 10+, must be a whole number of at most"),
        ({"normalization": None}, "normalization is None, must be a dict"),
        ({"normalization": {"mean": [0]}}, "'deviation' is missing"),
        ({"normalization": {"mean": "0", "deviation": [1]}}, "normalization mean is '0'"),
        ({"normalization": {"mean": [False], "deviation": [1]}}, "normalization mean is False"),
    ],
)
def test_refusal_names_the_value_and_its_place(change, message):
    with pytest.raises(ArchitectureError, match=message):
        from_dict(to_dict(zoo.mlp()) | change)


@pytest.mark.parametrize("key", ["name", "input_shape", "layers", "classes", "normalization"])
def test_nesting_without_end_is_refused(key):
    with pytest.raises(ArchitectureError):
        from_dict(to_dict(zoo.mlp()) | {key: deeply_nested()})


leaves = st.sampled_from(HOSTILE) | st.integers() | st.floats() | st.text(max_size=3)
anything = leaves | st.lists(leaves, max_size=3) | st.dictionaries(st.text(max_size=3), leaves)
sizes = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "in_features")
almost = st.fixed_dictionaries(
    {
        "name": st.text(max_size=3) | anything,
        "input_shape": st.tuples(*[st.integers(0, 20) | leaves] * 3).map(list),
        "layers": st.lists(
            st.fixed_dictionaries(
                {"type": st.sampled_from(tuple(LAYER_TYPES))},
                optional={
                    **dict.fromkeys((*sizes, "out_features", "channels"), st.integers(-1, 9)),
                    **dict.fromkeys(("connections", "p", "slope"), anything),
                },
            ),
            max_size=3,
        ),
        "classes": st.lists(st.text(max_size=3) | leaves, max_size=3),
    },
    optional={"normalization": anything},
)


@pytest.mark.slow
@given(anything | almost)
@settings(deadline=None, max_examples=200)
def test_any_json_is_refused_as_a_network_that_is_none(values):
    reading(values)


def test_shapes_are_shown_with_times_signs():
    assert show_shape((16, 5, 5)) == "16×5×5"
