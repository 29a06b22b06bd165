"""What a network is made of, in numbers: shapes, parameters, costs, memory.

``table`` computes, ``to_json`` and ``render`` show. Nothing heavy is imported: ``lenet inspect``
answers at once.

>>> lenet = table(zoo.lenet())
>>> lenet.rows[0].notation, lenet.rows[0].parameter_formula, lenet.rows[0].parameters
('Conv2d(1→6, 5×5), padding 2', '6×1×5×5 + 6', 156)
>>> print(lenet.comparison)
lenet has 61,706 parameters, an mlp for the same pictures 235,146: 74% fewer
>>> print(lenet.comparison.baseline)
one dense layer, the network linear, has 7,850: fewer is no merit by itself
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lenet.network import zoo
from lenet.network.architecture import Network, to_dict, trace
from lenet.network.layers import (
    Conv2d,
    Flatten,
    Shape,
    notation,
    show_shape,
)

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

FLOAT_BYTES = 4  # float32


@dataclass(frozen=True)
class LayerRow:
    """One layer as ``lenet inspect`` shows it; the fields of ``trace``, and what they cost."""

    index: int  # from 0, as in the parameters' names
    stage: str  # C1 S2 C3 …; empty where a layer has none
    type: str  # "Conv2d"
    kind: str  # "Conv2d(1→6, 5×5)"
    options: tuple[str, ...]  # arguments that are not torch.nn's default: "padding 2"
    input_shape: Shape
    output_shape: Shape
    parameter_formula: str  # "6×1×5×5 + 6"; empty where there are none
    parameters: int
    parameter_share: float  # of all parameters of the network, 0 to 1
    parameter_bytes: int
    macs: int  # multiply-accumulates of one picture
    connections: int  # as LeCun et al. 1998 count them
    size_formula: str  # "(28 + 2·2 - 5) / 1 + 1 = 28"; empty where windows play no part
    receptive_field: tuple[int, int]  # input rows and columns that one output depends on
    input_stride: int
    input_offset: int
    activation_bytes: (
        int  # this layer's output for one picture; 0 for Flatten, which copies nothing
    )

    @property
    def notation(self) -> str:
        """The layer with all its arguments, as tutorial 004 writes it."""
        return ", ".join((self.kind, *self.options))


@dataclass(frozen=True)
class Comparison:
    """A network's parameters beside those of ``mlp`` and ``linear`` for the same pictures.

    The first is what tutorial 004 compares with; the second keeps that from being read as merit.
    """

    network: str
    parameters: int
    mlp_parameters: int
    linear_parameters: int

    def __str__(self) -> str:
        return (
            f"{self.network} has {self.parameters:,} parameters, an mlp for the same pictures "
            f"{self.mlp_parameters:,}: {proportion(self.parameters, self.mlp_parameters)}"
        )

    @property
    def baseline(self) -> str:
        """What the simplest network has."""
        return (
            f"one dense layer, the network linear, has {self.linear_parameters:,}: fewer is no "
            "merit by itself"
        )


def proportion(count: int, other: int) -> str:
    """How many a count is beside another one, in words.

    >>> proportion(61_706, 235_146), proportion(235_146, 61_706), proportion(7, 7)
    ('74% fewer', '3.81 times as many', 'as many')
    """
    if count == other:
        return "as many"
    if count > other:
        return f"{count / other:.3g} times as many"
    percent = round(100 * (1 - count / other))
    if percent in (0, 100):  # neither "0% fewer" nor "100% fewer" would be true
        return "less than 1% fewer" if percent == 0 else "more than 99% fewer"
    return f"{percent}% fewer"


@dataclass(frozen=True)
class LayerTable:
    """Every layer of a network with its costs, and the sums over them."""

    network: Network
    rows: tuple[LayerRow, ...]
    batch_size: int  # that ``training_bytes`` speaks of
    comparison: Comparison | None  # where the network has convolutions

    @property
    def parameters(self) -> int:
        """The trainable parameters."""
        return sum(row.parameters for row in self.rows)

    @property
    def macs(self) -> int:
        """The multiply-accumulates of one picture."""
        return sum(row.macs for row in self.rows)

    @property
    def connections(self) -> int:
        """The connections as LeCun et al. 1998 count them: 340,908 for LeNet-5."""
        return sum(row.connections for row in self.rows)

    @property
    def parameter_bytes(self) -> int:
        """The parameters' size as float32."""
        return sum(row.parameter_bytes for row in self.rows)

    @property
    def input_bytes(self) -> int:
        """One picture as float32, as the first layer sees it."""
        return FLOAT_BYTES * math.prod(self.network.input_shape)

    @property
    def activation_bytes(self) -> int:
        """The outputs of all layers for one picture; the picture itself is not among them."""
        return sum(row.activation_bytes for row in self.rows)

    @property
    def training_bytes(self) -> int:
        """About what a step of training holds: a batch with its outputs, parameters, gradients.

        Every output is counted as kept until the backward pass. Engines keep less where a layer's
        gradient needs less (PyTorch: the output of a sigmoid, but not its input), and hold the
        gradients of one or two layers' outputs for a moment. Momentum adds ``parameter_bytes``,
        Adam twice that.
        """
        pictures = self.batch_size * (self.input_bytes + self.activation_bytes)
        return pictures + 2 * self.parameter_bytes


def table(network: Network, batch_size: int = 256) -> LayerTable:
    """Each layer of the network with shapes, parameters, costs and memory, and the sums.

    Raises ArchitectureError where the network does not fit together.
    """
    traced = trace(network)
    total = sum(layer.parameters for layer in traced)
    rows = []
    for layer in traced:
        kind, options = notation(layer.layer)
        copies = not isinstance(layer.layer, Flatten)
        rows.append(
            LayerRow(
                index=layer.index,
                stage=layer.stage,
                type=layer.kind,
                kind=kind,
                options=options,
                input_shape=layer.input_shape,
                output_shape=layer.output_shape,
                parameter_formula=layer.parameter_formula,
                parameters=layer.parameters,
                parameter_share=layer.parameters / total if total else 0.0,
                parameter_bytes=FLOAT_BYTES * layer.parameters,
                macs=layer.macs,
                connections=layer.connections,
                size_formula=layer.size_formula,
                receptive_field=layer.receptive_field,
                input_stride=layer.input_stride,
                input_offset=layer.input_offset,
                activation_bytes=FLOAT_BYTES * math.prod(layer.output_shape) if copies else 0,
            )
        )
    return LayerTable(network, tuple(rows), batch_size, _compare_with_dense(network, total))


def _compare_with_dense(network: Network, parameters: int) -> Comparison | None:
    """None where the network has no convolutions: the sentence is about what they save."""
    if not any(isinstance(layer, Conv2d) for layer in network.layers):
        return None
    mlp, linear = (
        sum(layer.parameters for layer in trace(build(network.input_shape, network.classes)))
        for build in (zoo.mlp, zoo.linear)
    )
    return Comparison(network.name, parameters, mlp, linear)


# --- as JSON -----------------------------------------------------------------------------------


def to_json(table: LayerTable) -> dict[str, Any]:
    """The table as plain values for ``--json``. Keys may be added, but none change or go.

    - ``network``: as ``architecture.to_dict`` writes it
    - ``layers``, in order: ``index`` (from 0), ``stage`` ("C1", or ""), ``type`` ("Conv2d"),
      ``notation`` ("Conv2d(1→6, 5×5), padding 2"), ``input_shape`` and ``output_shape`` (lists),
      ``parameter_formula`` (or ""), ``parameters``, ``parameter_share`` (0 to 1),
      ``parameter_bytes``, ``macs``, ``connections``, ``size_formula`` (or ""), ``receptive_field``
      (rows, columns), ``input_stride``, ``input_offset``, ``activation_bytes``
    - ``totals``: ``parameters``, ``macs``, ``connections``, ``parameter_bytes``, ``input_bytes``,
      ``activation_bytes`` (of one picture), ``training_batch_size``, ``training_bytes`` (about)
    - ``comparison``: null, or ``mlp_parameters``, ``linear_parameters`` and ``sentence``
    """
    return {
        "network": to_dict(table.network),
        "layers": [_row_to_json(row) for row in table.rows],
        "totals": {
            "parameters": table.parameters,
            "macs": table.macs,
            "connections": table.connections,
            "parameter_bytes": table.parameter_bytes,
            "input_bytes": table.input_bytes,
            "activation_bytes": table.activation_bytes,
            "training_batch_size": table.batch_size,
            "training_bytes": table.training_bytes,
        },
        "comparison": None
        if table.comparison is None
        else {
            "mlp_parameters": table.comparison.mlp_parameters,
            "linear_parameters": table.comparison.linear_parameters,
            "sentence": str(table.comparison),
        },
    }


def _row_to_json(row: LayerRow) -> dict[str, Any]:
    return {
        "index": row.index,
        "stage": row.stage,
        "type": row.type,
        "notation": row.notation,
        "input_shape": list(row.input_shape),
        "output_shape": list(row.output_shape),
        "parameter_formula": row.parameter_formula,
        "parameters": row.parameters,
        "parameter_share": row.parameter_share,
        "parameter_bytes": row.parameter_bytes,
        "macs": row.macs,
        "connections": row.connections,
        "size_formula": row.size_formula,
        "receptive_field": list(row.receptive_field),
        "input_stride": row.input_stride,
        "input_offset": row.input_offset,
        "activation_bytes": row.activation_bytes,
    }


# --- for the terminal --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Column:
    """A column of the printed table, as text: what each row, and the sum below, show."""

    header: str
    justify: Literal["left", "right"]
    cell: Callable[[LayerRow], str]
    total: Callable[[LayerTable], str] = lambda table: ""
    drop: int = 0  # where the terminal is too narrow the highest go first; 0: never
    legend: str = ""


COLUMNS = (
    _Column("#", "right", lambda row: str(row.index)),
    _Column("", "left", lambda row: row.stage, drop=1),
    _Column("layer", "left", lambda row: row.notation, lambda table: "total"),
    _Column("input", "left", lambda row: show_shape(row.input_shape), drop=6),
    _Column("output", "left", lambda row: show_shape(row.output_shape)),
    _Column("formula", "left", lambda row: row.parameter_formula, drop=4),
    _Column(
        "params",
        "right",
        lambda row: f"{row.parameters:,}",
        lambda table: f"{table.parameters:,}",
    ),
    _Column(
        "%",
        "right",
        lambda row: f"{100 * row.parameter_share:.1f}" if row.parameters else "",
        drop=5,
        legend="share of all parameters",
    ),
    _Column(
        "MACs",
        "right",
        lambda row: f"{row.macs:,}",
        lambda table: f"{table.macs:,}",
        drop=2,
        legend="multiply-accumulates for one picture",
    ),
    _Column(
        "field",
        "right",
        lambda row: show_shape(row.receptive_field),
        drop=3,
        legend="rows×columns of the picture that one output depends on",
    ),
    _Column(
        "activation\nbytes",
        "right",
        lambda row: f"{row.activation_bytes:,}",
        lambda table: f"{table.activation_bytes:,}",
        drop=7,
    ),
    _Column(
        "parameter\nbytes",
        "right",
        lambda row: f"{row.parameter_bytes:,}",
        lambda table: f"{table.parameter_bytes:,}",
        drop=8,
    ),
)

GAP = 2  # blanks between columns


def render(table: LayerTable, width: int) -> RenderableType:
    """The table for a terminal ``width`` characters wide, for ``rich.print``.

    Where it is too wide, first each layer's options get a line of their own, then the least
    important columns go; everything is there from 120 on for the networks of the zoo.
    """
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    columns, split = _fit(table, width)
    grid = Table(
        box=box.SIMPLE,
        show_edge=False,
        pad_edge=False,
        padding=(0, GAP - 1, 0, 0),  # the border between columns is the other blank
        show_footer=True,
        header_style="bold",
        footer_style="bold",
    )
    for column in columns:
        grid.add_column(
            Text(column.header),
            Text(column.total(table)),
            justify=column.justify,
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in table.rows:
        idle = not row.parameters and not row.macs
        cells = (Text(_cell(column, row, split)) for column in columns)
        grid.add_row(*cells, style="dim" if idle else "")
    return Group(_title(table), Text(), grid, Text(), *_notes(table, columns))


def _fit(table: LayerTable, width: int) -> tuple[list[_Column], bool]:
    """The columns that fit into ``width``, and whether options go on lines of their own."""
    columns = list(COLUMNS)
    if _width(table, columns, split=False) <= width:
        return columns, False
    droppable = sorted((column for column in columns if column.drop), key=lambda c: -c.drop)
    for column in droppable:
        if _width(table, columns, split=True) <= width:
            break
        columns.remove(column)
    # what was dropped may have made room for the options
    return columns, _width(table, columns, split=False) > width


def _width(table: LayerTable, columns: list[_Column], *, split: bool) -> int:
    """The characters that the table takes with these columns."""

    def widest(column: _Column) -> int:
        texts = [column.header, column.total(table)]
        texts += [_cell(column, row, split) for row in table.rows]
        return max(len(line) for text in texts for line in text.split("\n"))

    return sum(widest(column) for column in columns) + GAP * (len(columns) - 1)


def _cell(column: _Column, row: LayerRow, split: bool) -> str:
    if split and column.header == "layer":
        return "\n  ".join((row.kind, *row.options))
    return column.cell(row)


def _title(table: LayerTable) -> Text:
    from rich.text import Text

    network = table.network
    return Text.assemble(
        (network.name, "bold"),
        f": {show_shape(network.input_shape)} pictures, {len(network.classes)} classes",
    )


def _notes(table: LayerTable, columns: list[_Column]) -> list[Text]:
    """What stands below the table: its columns' meaning, sizes, memory, comparison."""
    from rich.text import Text

    lines = [f"{column.header}: {column.legend}" for column in columns if column.legend]
    sized = [row for row in table.rows if row.size_formula]
    if sized:
        lines.append("sizes, (W + 2P - F) / S + 1:")
        lines += [f"  {row.index:>2} {row.stage:<3} {row.size_formula}" for row in sized]
    lines += [
        f"connections, as LeCun et al. 1998 count them: {table.connections:,}",
        f"memory: parameters {_size(table.parameter_bytes)}, "
        f"outputs for one picture {_size(table.activation_bytes)} (float32)",
        f"memory for training in batches of {table.batch_size}: "
        f"about {_size(table.training_bytes)}, momentum not counted",
    ]
    if table.comparison is not None:
        lines += [str(table.comparison), table.comparison.baseline]
    return [Text(line) for line in lines]


def _size(size_bytes: int) -> str:
    """Bytes as people read them, in powers of a thousand.

    >>> _size(840), _size(61_544), _size(16_248_912)
    ('840 bytes', '61.5 kB', '16.2 MB')
    """
    if size_bytes < 1000:
        return f"{size_bytes} bytes"
    size, unit = size_bytes / 1000, "kB"
    for larger in ("MB", "GB", "TB"):
        if size < 999.95:  # what would round to 1,000.0
            break
        size, unit = size / 1000, larger
    return f"{size:,.1f} {unit}"
