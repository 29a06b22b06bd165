"""Layers as text: they read back as they were, and what is no layer is told with its line."""

import dataclasses
import time
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lenet.network import layer_text, zoo
from lenet.network.architecture import trace
from lenet.network.layer_text import LayerTextError, parse, parse_lines, to_text
from lenet.network.layers import (
    LAYER_TYPES,
    ArchitectureError,
    AvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Sigmoid,
)
from test_architecture import networks

unhurried = settings(deadline=None, max_examples=60)

LENET = """\
Conv2d(1, 6, kernel_size=5, padding=2)
Sigmoid()
AvgPool2d(kernel_size=2, stride=2)
Conv2d(6, 16, kernel_size=5)
Sigmoid()
AvgPool2d(kernel_size=2, stride=2)
Flatten()
Linear(400, 120)
Sigmoid()
Linear(120, 84)
Sigmoid()
Linear(84, 10)"""


# --- there and back ----------------------------------------------------------------------------


def test_the_tutorials_network_reads_as_in_the_tutorials() -> None:
    assert to_text(zoo.lenet().layers) == LENET
    assert parse(LENET) == zoo.lenet().layers


@pytest.mark.parametrize("name", zoo.NETWORKS)
def test_every_network_of_the_zoo_reads_back(name: str) -> None:
    layers = zoo.build(name).layers
    assert parse(to_text(layers)) == layers


@pytest.mark.slow
@given(networks(of_1998=True))
@unhurried
def test_every_drawn_network_reads_back(network) -> None:
    assert parse(to_text(network.layers)) == network.layers


@pytest.mark.slow
@given(networks())
@unhurried
def test_what_pytorch_prints_is_read(network) -> None:
    torch = pytest.importorskip("torch")
    parts = []
    for layer in network.layers:
        values = dataclasses.asdict(layer)
        for own in ("connections", "bias_size"):
            values.pop(own, None)
        parts.append(getattr(torch.nn, type(layer).__name__)(**values))
    found = parse(str(torch.nn.Sequential(*parts)))
    assert [row.output_shape for row in trace(dataclasses.replace(network, layers=found))] == [
        row.output_shape for row in trace(network)
    ]


# --- what one pastes ---------------------------------------------------------------------------


def test_a_program_s_sequential_can_be_pasted() -> None:
    text = """
    net = nn.Sequential(
        nn.Conv2d(1, 6, kernel_size=5, padding=2), nn.Sigmoid(),
        nn.AvgPool2d(kernel_size=2, stride=2),   # halves it
        torch.nn.Flatten(),

        nn.Linear(6 , 10))
    """
    assert parse(text) == (
        Conv2d(1, 6, 5, padding=2),
        Sigmoid(),
        AvgPool2d(2, stride=2),
        Flatten(),
        Linear(6, 10),
    )


def test_what_changes_nothing_may_be_said() -> None:
    text = """
    Sequential(
      (0): Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1), padding=(2, 2), bias=True)
      (1): ReLU(inplace=True)
      (pool): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
      (3): Flatten(start_dim=1, end_dim=-1)
      (4): Dropout(p=0.25, inplace=False)
      (5): Linear(in_features=1176, out_features=10, bias=True)
    )
    """
    assert parse(text) == (
        Conv2d(1, 6, 5, padding=2),
        ReLU(),
        MaxPool2d(2, stride=2),
        Flatten(),
        Dropout(0.25),
        Linear(1176, 10),
    )


def test_lines_keep_their_numbers() -> None:
    text = "# one's own\n\nFlatten(), ReLU()\n\nLinear(784, 10),\n"
    assert parse_lines(text) == ((3, Flatten()), (3, ReLU()), (5, Linear(784, 10)))


def test_a_product_of_numbers_as_the_tutorials_write_it() -> None:
    assert layer_text.parse("nn.Linear(16 * 5 * 5, 120)") == (Linear(400, 120),)


def test_numbers_in_torch_s_order_and_by_name() -> None:
    assert parse("Conv2d(3, 8, 5, 2, 1)") == (Conv2d(3, 8, 5, 2, 1),)
    assert parse("Linear(out_features=3, in_features=5)") == (Linear(5, 3),)
    assert parse("AvgPool2d(2, stride=None)") == (AvgPool2d(2),)
    assert parse("Dropout()") == (Dropout(0.5),)
    assert parse("Dropout(0)") == (Dropout(0.0),)


# --- refusals ----------------------------------------------------------------------------------


GIANT = "0x" + "f" * 6_000  # Python computes it, and does not write it


@pytest.mark.parametrize(
    "line",
    [
        f"Linear({GIANT}, 10)",
        f"Linear(-{GIANT}, 10)",
        f"Linear(84, 10, bias={GIANT})",
        f"Linear([{GIANT}], 10)",
        f"Linear({GIANT} * 2, 10)",
        f"Linear({{{GIANT}}}, 10)",
        f"Dropout({GIANT})",
        f"Conv2d(1, 6, ({GIANT}, {GIANT}))",
        f"Conv2d(1, 6, 5, connections={GIANT})",
        f"AvgPool2d(2, ceil_mode={GIANT})",
        "Linear(" + "9" * 6_000 + ", 10)",
        "Linear(0b" + "1" * 15_000 + ", 10)",
        "Dropout(1e999)",
        "Dropout(-1e999)",
    ],
)
def test_giant_numbers_are_refused_by_a_sentence_of_ours(line: str) -> None:
    with pytest.raises(LayerTextError) as caught:
        parse(line)
    message = str(caught.value)
    assert message.startswith("line 1: ")
    assert "limit" not in message
    assert len(message) < 400


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(["ReLU()"] * 5_000),
        ", ".join(["ReLU()"] * 5_000),
        "Conv2d(1, 9000, 1, connections=[" + "[0]," * 9_000 + "])",
        "Conv2d(1, 3000, 1, connections=[" + "[0]," * 3_000 + "])",
        "Linear(" + "1+" * 7_000 + "1, 2)",
        "a." * 7_900 + "b()",
        "Linear(" + ",".join(f"a{i}=1" for i in range(2_000)) + ")",
    ],
)
def test_what_would_take_long_is_refused_at_once(text: str) -> None:
    began = time.process_time()
    with pytest.raises(LayerTextError):
        parse(text)
    assert time.process_time() - began < 0.3


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Conv2D(1, 6, 5)", ["Conv2D(1, 6, 5) is not a layer", "did you mean Conv2d?", "RBF"]),
        ("BatchNorm2d(6)", ["is not a layer", "choose from Conv2d, AvgPool2d"]),
        ("Linear", ["lacks its parentheses", "Linear(in_features, out_features)"]),
        ("Linear(84)", ["lacks out_features"]),
        ("Linear(84, 10, 3)", ["at most 2 numbers without a name"]),
        ("Linear(84, outfeatures=10)", ["no outfeatures", "did you mean out_features?"]),
        ("Linear(84, 10, in_features=84)", ["in_features is given twice"]),
        ("Linear(84, 10, bias=False)", ["bias is False", "always True"]),
        ("Conv2d(1, 6, 5, dilation=2)", ["dilation is 2", "always 1"]),
        ("Conv2d(1, 6, (3, 5))", ["kernel_size is (3, 5)", "square"]),
        ("Conv2d(1, 6, 5, padding='same')", ["padding is 'same'", "a whole number"]),
        ("Conv2d(1, 6, 5, connections=7)", ["the input channels of each output"]),
        ("Conv2d(1, 6, 5, connections=[[0.5]])", ["the input channels of each output"]),
        ("Linear(n, 10)", ["in_features is n", "must be a number"]),
        ("Linear(28+28, 10)", ["in_features is 28 + 28", "must be a number"]),
        ("Linear('a' * 9, 10)", ["must be a number"]),
        ("Linear(9**9, 10)", ["must be a number"]),
        (f"Linear({'*'.join(['1'] * 20_000)}, 10)", []),
        (f"Linear({'*'.join(['1000'] * 9)}, 10)", ["must be"]),
        ("Linear(1e3, 10)", ["1000.0", "a whole number"]),
        ("Linear(True, 10)", ["True"]),
        (f"Linear({2**31}, 10)", [str(2**31), "at most 2147483647"]),
        ("Dropout(p=1e999)", ["inf", "finite"]),
        ("Dropout(p='x')", ["'x'", "must be a number"]),
        ("Linear(84, 10", ["cannot be read"]),
        ("Linear(84 10)", ["cannot be read"]),
        ("a line of words", ["cannot be read"]),
        ("lambda: 3", ["is not a layer"]),
        ("Linear(*[84, 10])", ["lacks out_features"]),
        ("Linear(**{'in_features': 3})", ["has no **"]),
        ("Linear(" + "9" * 5_000 + ", 10)", ["cannot be read"]),
        ("(" * 5_000, ["cannot be read"]),
        ("Linear(84, " + "-" * 3_000 + "1)", ["line 2"]),
        ("a\x00b", ["a?b cannot be read"]),
        ("1if 2else 3", ["line 2"]),
    ],
)
def test_a_line_that_is_no_layer_is_named(line: str, words: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(LayerTextError) as caught:
            parse(f"Flatten()\n{line}\n")
    assert caught.value.line == 2
    for word in ["line 2: ", *words]:
        assert word in str(caught.value)
    assert len(str(caught.value)) < 600
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("text", ["", "  \n # nothing\n", "nn.Sequential(\n)"])
def test_no_layer_at_all(text: str) -> None:
    with pytest.raises(LayerTextError, match="there are no layers") as caught:
        parse(text)
    assert caught.value.line == 0


def test_no_more_is_read_than_a_network_has() -> None:
    with pytest.raises(LayerTextError, match=r"50,001 characters"):
        parse("#" * 50_001)
    with pytest.raises(LayerTextError, match="more than 500 layers"):
        parse("ReLU()\n" * 501)


def test_nothing_that_is_written_is_run(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for line in (
        "Linear(__import__('pathlib').Path('run').write_text('x'), 10)",
        "__import__('pathlib').Path('run').write_text('x')",
        "Linear(84, 10) if open('run', 'w') else 3",
        "Linear([open('run', 'w') for _ in range(3)], 10)",
    ):
        with pytest.raises(LayerTextError):
            parse(line)
    assert not (tmp_path / "run").exists()


@given(st.text(max_size=200))
@unhurried
def test_any_text_is_a_network_or_an_error_with_a_line(text: str) -> None:
    line = 0
    try:
        layers = parse(text)
    except LayerTextError as error:
        line = error.line
    else:
        assert parse(to_text(layers)) == layers
    assert 0 <= line <= len(text.splitlines())


arguments = st.lists(
    st.sampled_from(["1", "0", "-3", "None", "True", "(2, 2)", "[[0]]", "0.5", "stride=2", "p=.1"]),
    max_size=6,
).map(", ".join)


@given(st.sampled_from(sorted(LAYER_TYPES)), arguments)
@unhurried
def test_any_arguments_are_a_layer_or_an_error(name: str, written: str) -> None:
    try:
        (layer,) = parse(f"{name}({written})")
    except LayerTextError:
        return
    assert type(layer) is LAYER_TYPES[name]
    for field in dataclasses.fields(layer):
        value = getattr(layer, field.name)
        assert value is None or isinstance(value, int | float | tuple)
        assert not isinstance(value, bool)


def test_a_network_of_one_s_own_must_fit_together() -> None:
    network = layer_text.network("mine", "Flatten()\nLinear(784, 2)", (1, 28, 28), ("a", "b"))
    assert network.name == "mine"
    with pytest.raises(ArchitectureError, match=r"layer 1 \(Linear\) expects a vector of 784"):
        layer_text.network("mine", "Flatten()\nLinear(784, 2)", (1, 8, 8), ("a", "b"))
