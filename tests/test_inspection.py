"""``lenet inspect``: the numbers, their sums, the JSON and the printed table.

After a wanted change of the printed table: ``python tests/test_inspection.py`` writes the golden
files anew; look at the difference before you commit it.
"""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from lenet.network import inspection, layers, zoo
from lenet.network.architecture import Network, from_dict, to_dict
from lenet.network.layers import (
    RBF,
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
    Subsample,
    show_shape,
)

GOLDEN = Path(__file__).parent / "golden"
NETWORKS = [zoo.build(name) for name in zoo.NETWORKS]
by_name = pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)


def printed(network, width, **console):
    """What a file or a pipe gets, without the blanks that fill the lines."""
    file = io.StringIO()
    Console(file=file, width=width, **console).print(
        inspection.render(inspection.table(network), width)
    )
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


# --- numbers -----------------------------------------------------------------------------------

# The table 参数数量 of tutorial 004, as it stands there; 无参数 means "no parameters".
TUTORIAL_004 = """
1 Conv2d(1→6, 5×5) 1×28×28 6×28×28 6×1×5×5 + 6 156
2 Sigmoid 6×28×28 6×28×28 无参数 0
3 AvgPool2d 6×28×28 6×14×14 无参数 0
4 Conv2d(6→16, 5×5) 6×14×14 16×10×10 16×6×5×5 + 16 2416
5 Sigmoid 16×10×10 16×10×10 无参数 0
6 AvgPool2d 16×10×10 16×5×5 无参数 0
7 Flatten 16×5×5 400 无参数 0
8 Linear(400→120) 400 120 120×400 + 120 48120
9 Sigmoid 120 120 无参数 0
10 Linear(120→84) 120 84 84×120 + 84 10164
11 Sigmoid 84 84 无参数 0
12 Linear(84→10) 84 10 10×84 + 10 850
"""


def test_lenet_is_the_table_of_tutorial_004():
    rows = inspection.table(zoo.lenet()).rows
    ours = [
        f"{row.index + 1} {row.kind.removesuffix('(2×2)')} {show_shape(row.input_shape)} "
        f"{show_shape(row.output_shape)} {row.parameter_formula or '无参数'} {row.parameters}"
        for row in rows
    ]
    assert ours == TUTORIAL_004.strip().split("\n")


def test_lenet_totals():
    table = inspection.table(zoo.lenet())
    assert table.parameters == 61_706
    assert table.macs == 416_520
    assert table.connections == 122_304 + 4_704 + 241_600 + 1_600 + 48_120 + 10_164 + 850
    assert table.parameter_bytes == 4 * 61_706
    assert table.input_bytes == 4 * 784
    outputs = 2 * 6 * 28 * 28 + 6 * 14 * 14 + 2 * 16 * 10 * 10 + 16 * 5 * 5 + 2 * 120 + 2 * 84 + 10
    assert table.activation_bytes == 4 * outputs  # Flatten copies nothing
    assert table.training_bytes == 256 * 4 * (784 + outputs) + 2 * 4 * 61_706


def test_lenet5_totals():
    table = inspection.table(zoo.lenet5())
    assert (table.parameters, table.connections) == (60_000, 340_908)
    assert table.rows[4].notation == "Conv2d(6→16, 5×5), 60 of 96 kernels"


@by_name
def test_sums_are_those_of_the_rows(network):
    table = inspection.table(network)
    for name in ("parameters", "macs", "connections", "parameter_bytes", "activation_bytes"):
        assert getattr(table, name) == sum(getattr(row, name) for row in table.rows)
    assert sum(row.parameter_share for row in table.rows) == pytest.approx(1)


def test_most_parameters_are_in_the_dense_layers():
    """Tutorial 004's remark on why modern networks give them up."""
    table = inspection.table(zoo.lenet())
    dense = sum(row.parameter_share for row in table.rows if row.type == "Linear")
    assert dense == pytest.approx(59_134 / 61_706)


def test_network_without_parameters_has_no_shares():
    network = Network("fixed", (1, 2, 1), (Flatten(), ReLU()), ("a", "b"))
    table = inspection.table(network)
    assert (table.parameters, table.comparison) == (0, None)
    assert {row.parameter_share for row in table.rows} == {0.0}
    assert "total" in printed(network, 80)


def test_network_that_does_not_fit_is_refused():
    with pytest.raises(ArchitectureError, match="layer 1"):
        inspection.table(Network("broken", (1, 2, 2), (Flatten(), Linear(5, 2)), ("a", "b")))


def test_training_memory_is_no_less_than_what_pytorch_keeps_and_not_much_more():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    nn = torch.nn
    modules = nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.Sigmoid(), nn.AvgPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.Sigmoid(), nn.AvgPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.Sigmoid(), nn.Linear(120, 84), nn.Sigmoid(), nn.Linear(84, 10)),
    )
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = modules(torch.zeros(8, 1, 28, 28))  # held, so that no memory is used twice
    weights = {p.untyped_storage().data_ptr() for p in modules.parameters()}
    activations = sum(size for place, size in kept.items() if place not in weights)
    table = inspection.table(zoo.lenet(), batch_size=len(out))
    counted = table.training_bytes - 2 * table.parameter_bytes
    assert 0.4 * counted < activations <= counted


# --- notation ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "notation"),
    [
        (Conv2d(1, 6, 5), "Conv2d(1→6, 5×5)"),
        (Conv2d(1, 6, 5, padding=2), "Conv2d(1→6, 5×5), padding 2"),
        (Conv2d(3, 8, 3, 2, 1), "Conv2d(3→8, 3×3), stride 2, padding 1"),
        (Conv2d(2, 1, 1, connections=((1,),)), "Conv2d(2→1, 1×1), 1 of 2 kernels"),
        (AvgPool2d(2), "AvgPool2d(2×2)"),
        (AvgPool2d(2, 2), "AvgPool2d(2×2)"),
        (MaxPool2d(3, stride=2, padding=1), "MaxPool2d(3×3), stride 2, padding 1"),
        (MaxPool2d(3, stride=1), "MaxPool2d(3×3), stride 1"),
        (Subsample(6), "Subsample(2×2)"),
        (Linear(400, 120), "Linear(400→120)"),
        (RBF(84, 10), "RBF(84→10)"),
        (Dropout(), "Dropout(0.5)"),
        (Sigmoid(), "Sigmoid"),
        (ScaledTanh(), "ScaledTanh"),
        (ScaledTanh(1.0, 0.5), "ScaledTanh(1, 0.5)"),
        (Flatten(), "Flatten"),
    ],
)
def test_notation(layer, notation):
    kind, options = layers.notation(layer)
    assert ", ".join((kind, *options)) == notation


# --- beside the mlp ----------------------------------------------------------------------------


def test_lenet_has_74_percent_fewer_parameters_than_the_mlp():
    assert str(inspection.table(zoo.lenet()).comparison) == (
        "lenet has 61,706 parameters, an mlp for the same pictures 235,146: 74% fewer"
    )


def test_comparison_is_with_an_mlp_of_the_same_task():
    comparison = inspection.table(zoo.lenet((3, 32, 32), 100)).comparison
    layers = (3072 * 256 + 256) + (256 * 128 + 128) + (128 * 100 + 100)
    assert comparison.mlp_parameters == layers
    assert comparison.linear_parameters == 3072 * 100 + 100


def test_mlp_is_not_compared_with_itself():
    assert inspection.table(zoo.mlp()).comparison is None


@pytest.mark.parametrize(
    ("parameters", "mlp", "difference"),
    [
        (100, 100, "as many"),
        (1, 1_000_000, "more than 99% fewer"),
        (999_999, 1_000_000, "less than 1% fewer"),
        (50, 100, "50% fewer"),
        (350, 100, "3.5 times as many"),
    ],
)
def test_comparison_says_only_what_is_true(parameters, mlp, difference):
    assert str(inspection.Comparison("n", parameters, mlp, 1)).endswith(f": {difference}")


# --- as JSON -----------------------------------------------------------------------------------

ROW_KEYS = {
    *("index", "stage", "type", "notation", "input_shape", "output_shape", "parameter_formula"),
    *("parameters", "parameter_share", "parameter_bytes", "macs", "connections", "size_formula"),
    *("receptive_field", "input_stride", "input_offset", "activation_bytes"),
}
TOTAL_KEYS = {
    *("parameters", "macs", "connections", "parameter_bytes", "input_bytes"),
    *("activation_bytes", "training_batch_size", "training_bytes"),
}


@by_name
def test_json_has_the_keys_that_scripts_rely_on(network):
    values = json.loads(json.dumps(inspection.to_json(inspection.table(network)), allow_nan=False))
    assert set(values) >= {"network", "layers", "totals", "comparison"}
    assert all(set(row) >= ROW_KEYS for row in values["layers"])
    assert set(values["totals"]) >= TOTAL_KEYS
    assert from_dict(values["network"]) == network
    for name in ("parameters", "macs", "connections", "parameter_bytes", "activation_bytes"):
        assert values["totals"][name] == sum(row[name] for row in values["layers"])


@pytest.mark.parametrize("key", sorted(ROW_KEYS | TOTAL_KEYS))
def test_every_key_is_documented(key):
    assert f"``{key}``" in inspection.to_json.__doc__


def test_json_of_a_layer():
    row = inspection.to_json(inspection.table(zoo.lenet()))["layers"][0]
    assert row == {
        "index": 0,
        "stage": "C1",
        "type": "Conv2d",
        "notation": "Conv2d(1→6, 5×5), padding 2",
        "input_shape": [1, 28, 28],
        "output_shape": [6, 28, 28],
        "parameter_formula": "6×1×5×5 + 6",
        "parameters": 156,
        "parameter_share": 156 / 61_706,
        "parameter_bytes": 624,
        "macs": 117_600,
        "connections": 122_304,
        "size_formula": "(28 + 2·2 - 5) / 1 + 1 = 28",
        "receptive_field": [5, 5],
        "input_stride": 1,
        "input_offset": -2,
        "activation_bytes": 18_816,
    }
    values = inspection.to_json(inspection.table(zoo.lenet()))
    assert values["network"] == to_dict(zoo.lenet())
    assert values["comparison"]["mlp_parameters"] == 235_146


# --- printed -----------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 120])
def test_printed_table_is_the_golden_one(width):
    golden = (GOLDEN / f"inspect-lenet-{width}.txt").read_text(encoding="utf-8")
    assert printed(zoo.lenet(), width) == golden


@by_name
@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_every_layer_has_a_line_with_its_numbers_and_none_is_cut(network, width):
    text = printed(network, width)
    assert "…" not in text
    for row in inspection.table(network).rows:
        (line,) = re.findall(rf"^ *{row.index} .*{re.escape(row.kind)}[ ,].*$", text, re.MULTILINE)
        assert show_shape(row.output_shape) in line
        assert f" {row.parameters:,}" in line


@by_name
def test_from_120_on_every_column_is_there(network):
    text = printed(network, 120)
    headers = (column.header.split("\n")[0] for column in inspection.COLUMNS)
    assert all(header in text for header in headers)


@pytest.mark.slow
@by_name
@given(width=st.integers(36, 200))
@settings(deadline=None, max_examples=30)
def test_nothing_is_wider_than_the_terminal(network, width):
    table = inspection.table(network)
    assert max(map(cell_len, printed(network, width).splitlines())) <= width
    assert f"{table.parameters:,}" in printed(network, width)


def test_wider_terminals_show_no_less():
    counts = [len(inspection._fit(inspection.table(zoo.lenet()), w)[0]) for w in range(20, 200)]
    assert counts == sorted(counts)
    assert counts[-1] == len(inspection.COLUMNS)


def test_options_share_the_line_where_there_is_room():
    assert "Conv2d(1→6, 5×5), padding 2 " in printed(zoo.lenet(), 160)
    assert "Conv2d(1→6, 5×5) " in printed(zoo.lenet(), 80)


def test_numbers_end_in_one_column():
    ends = {
        line.index(number) + len(number)
        for line in printed(zoo.lenet(), 80).splitlines()
        for number in ("156", "2,416", "48,120", "10,164", "850", "61,706")
        if re.match(rf" *(\d+  [CF]\d|total) .* {number}  ", f"{line}  ")
    }
    assert len(ends) == 1


def test_file_gets_no_colours_and_terminal_does(monkeypatch):
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b" not in printed(zoo.lenet(), 80)
    assert "\x1b" in printed(zoo.lenet(), 80, force_terminal=True)


def test_name_is_text_and_no_markup():
    network = Network("[red]a[/red]", (1, 1, 2), (Flatten(), Linear(2, 2)), ("a", "b"))
    assert printed(network, 80).startswith("[red]a[/red]: 1×1×2 pictures, 2 classes\n")


def test_importing_loads_neither_numpy_nor_rich():
    code = "import sys, lenet.network.inspection; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert {"numpy", "rich", "torch", "matplotlib"}.isdisjoint(result.stdout.split())


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for columns in (80, 120):
        path = GOLDEN / f"inspect-lenet-{columns}.txt"
        path.write_text(printed(zoo.lenet(), columns), encoding="utf-8")
