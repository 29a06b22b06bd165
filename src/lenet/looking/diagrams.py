"""A network drawn as the figure of LeCun et al. 1998 (fig. 2) draws LeNet-5, as SVG.

Feature maps are stacks of planes, dense layers strips of units; a window on one stack and its two
lines lead to the unit that it makes on the next, in its true place. Built as text by hand: the
same network gives the same file, and its words stay words that can be searched.

The drawing has its own white ground: it reads the same on a light page and a dark one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from xml.sax.saxutils import escape

from lenet.network.architecture import Network, TracedLayer, trace
from lenet.network.layers import (
    RBF,
    AvgPool2d,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    Layer,
    Linear,
    MaxPool2d,
    Shape,
    Subsample,
    Windowed,
    connection_count,
    curve,
    padding_of,
    show_shape,
    stride_of,
)

# Lengths are pixels at 100%.
MARGIN = 20.0
GAP = 30.0  # between neighbours, at least
LARGEST_SIDE = 88.0  # of the largest map
SMALLEST_SIDE = 9.0
MOST_PLANES = 16  # that are drawn of a stack; its label has the number
STRIP_WIDTH = 11.0
CLASS_PITCH = 15.0  # between class names
MOST_NAMES = 20

FONTS = (  # Latin letters, then the Chinese that macOS, Windows and Linux bring
    "Helvetica, Arial, 'DejaVu Sans', 'PingFang SC', 'Hiragino Sans GB', 'Microsoft YaHei', "
    "'Noto Sans CJK SC', sans-serif"
)
TITLE, LABEL, NOTE = 14.0, 12.0, 10.5  # font sizes
INK, GREY, EDGE, ACCENT = "#262626", "#6B6B6B", "#5A6672", "#D55E00"
FILLS = {"input": "#F4F4F4", "C": "#DCE9F5", "S": "#FFFFFF", "F": "#FBEBD9"}


@dataclass(frozen=True)
class Diagram:
    """A drawing of a network; a notebook shows it."""

    network: str
    svg: str

    def __str__(self) -> str:
        return self.svg

    def _repr_svg_(self) -> str:
        return self.svg


def diagram(network: Network) -> Diagram:
    """The network drawn from left to right, as one SVG text.

    Raises ArchitectureError where the network does not fit together.
    """
    nodes = _nodes(network)
    return Diagram(network.name, _draw(network, nodes))


# --- what is drawn -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Node:
    """The picture, or a layer with all that follows it and is drawn with it."""

    label: str  # "C1: 6×28×28"
    notes: tuple[str, ...]  # below: what the layer is, and what follows it
    parameters: int
    shape: Shape
    fill: str
    windowed: TracedLayer | None = None  # the convolution or pooling that makes it

    @property
    def is_stack(self) -> bool:
        return len(self.shape) == 3


def _nodes(network: Network) -> list[_Node]:
    """A node for the input and for each layer with a place of its own.

    Activations, dropout and flattening are notes: to what they follow, or the strip they lead to.
    """
    shape = network.input_shape
    nodes = [_Node(f"input: {show_shape(shape)}", (), 0, shape, "input")]
    traced = trace(network)
    waiting: tuple[str, ...] = ()  # a flattening whose strip is to come
    for place, row in enumerate(traced):
        layer = row.layer
        if isinstance(layer, Flatten):
            dense_follows = any(isinstance(later.layer, Dense) for later in traced[place:])
            if dense_follows:
                waiting = (f"flatten to {row.output_shape[0]:,}",)
            else:
                label = f"flat: {row.output_shape[0]:,}"
                nodes.append(_Node(label, ("flatten",), 0, row.output_shape, "F"))
        elif _has_place(layer):
            kind = row.stage[:1] or "F"
            name = row.stage or "output"
            notes = (*waiting, *_words(layer))
            windowed = row if isinstance(layer, Windowed) else None
            label = f"{name}: {show_shape(row.output_shape)}"
            nodes.append(_Node(label, notes, row.parameters, row.output_shape, kind, windowed))
            waiting = ()
        elif waiting:
            waiting = (*waiting, *_words(layer))
        else:
            nodes[-1] = replace(nodes[-1], notes=(*nodes[-1].notes, *_words(layer)))
    return nodes


def _has_place(layer: Layer) -> bool:
    return isinstance(layer, Windowed | Dense)


def _words(layer: Layer) -> tuple[str, ...]:
    """A layer in short lines."""
    match layer:
        case Conv2d() | AvgPool2d() | MaxPool2d() | Subsample():
            size, stride, padding = layer.kernel_size, stride_of(layer), padding_of(layer)
            kind = {
                Conv2d: "convolution",
                AvgPool2d: "mean pooling",
                MaxPool2d: "max pooling",
                Subsample: "subsampling",
            }[type(layer)]
            words: tuple[str, ...] = (f"{size}×{size} {kind}",)
            if stride != (1 if isinstance(layer, Conv2d) else size):
                words += (f"stride {stride}",)
            if padding:
                words += (f"padding {padding}",)
            if isinstance(layer, Conv2d) and layer.connections is not None:
                pairs = layer.in_channels * layer.out_channels
                words += (f"{connection_count(layer)} of {pairs} kernels",)
            return words
        case Linear():
            return ("dense",)
        case RBF():
            return ("distance to codes",)
        case Dropout():
            return (f"dropout {layer.p:g}",)
        case Flatten():
            return ("flatten",)
        case _:
            return (curve(layer).word,)


# --- where it lies -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Box:
    """Where a node lies: its front plane or its strip, and the step from plane to plane."""

    x: float
    y: float
    width: float
    height: float
    planes: int = 1
    step: float = 0.0  # to the left and up for each plane behind

    @property
    def depth(self) -> float:
        return (self.planes - 1) * self.step


def _size(node: _Node, scale: int) -> _Box:
    """The node's box, not yet in its place; ``scale`` is the largest side of any map."""
    if not node.is_stack:
        (features,) = node.shape
        return _Box(0, 0, STRIP_WIDTH, min(200.0, 26 + 14 * math.log2(features)))
    channels, height, width = node.shape
    planes = min(channels, MOST_PLANES)
    # more channels are deeper, but no stack is as deep as their number says
    depth = min(80.0, 10 * math.log2(channels))
    step = depth / (planes - 1) if planes > 1 else 0.0
    return _Box(0, 0, _side(width, scale), _side(height, scale), planes, step)


def _side(size: int, scale: int) -> float:
    """The side of a map: halved sizes shrink by a third, so that small ones can be seen."""
    return max(SMALLEST_SIDE, LARGEST_SIDE * math.pow(size / scale, 0.6))


def _text_width(text: str, size: float) -> float:
    """About the width of a text, rather too wide: fonts differ from one reader to the next."""
    letters = sum(1.0 if ord(sign) > 0x2E7F else 0.63 for sign in text)
    return letters * size


def _lines(node: _Node) -> list[str]:
    numbers = [_count(node.parameters)] if node.parameters else []
    return [*node.notes, *numbers]


def _count(parameters: int) -> str:
    return f"{parameters:,} parameters"


# --- the drawing -------------------------------------------------------------------------------


def _draw(network: Network, nodes: list[_Node]) -> str:
    scale = max(max(node.shape[1:]) for node in nodes if node.is_stack)
    boxes = [_size(node, scale) for node in nodes]
    names = _class_names(network)
    if names:
        height = max(boxes[-1].height, CLASS_PITCH * len(names))
        boxes[-1] = _Box(0, 0, boxes[-1].width, height)
    texts = [
        max(
            _text_width(node.label, LABEL),
            *(_text_width(line, NOTE) for line in _lines(node)),
            0.0,
        )
        for node in nodes
    ]
    top = MARGIN + 46.0  # the title and the labels are above
    tallest = max(box.height + box.depth for box in boxes)
    middle = top + tallest / 2
    x = MARGIN
    placed = []
    for box, text in zip(boxes, texts, strict=True):
        column = max(text, box.width + box.depth)
        left = x + (column - box.width - box.depth) / 2 + box.depth
        y = middle - (box.height + box.depth) / 2 + box.depth
        placed.append(_Box(left, y, box.width, box.height, box.planes, box.step))
        x += column + GAP
    bottom = top + tallest
    width = x - GAP + MARGIN
    if names:
        last = placed[-1]
        room = max(_text_width(name, NOTE) for name in names)
        width = max(width, last.x + last.width + 8 + room + MARGIN)
    title, total = network.name, sum(node.parameters for node in nodes)
    width = max(
        width, 2 * MARGIN + _text_width(title, TITLE) + 12 + _text_width(_count(total), LABEL)
    )
    most_lines = max(len(_lines(node)) for node in nodes)
    height = bottom + 20 + NOTE * 1.4 * max(0, most_lines - 1) + MARGIN

    parts = [_head(network, nodes, width, height, total)]
    for node, box in zip(nodes, placed, strict=True):
        parts.append(_strip(node, box) if not node.is_stack else _stack(node, box))
        centre = box.x + (box.width - box.depth) / 2
        parts.append(_text(centre, top - 12, node.label, LABEL, INK, "middle", bold=True))
        for line, words in enumerate(_lines(node)):
            color = GREY if words == _count(node.parameters) else INK
            y = bottom + 20 + NOTE * 1.4 * line
            parts.append(_text(centre, y, words, NOTE, color, "middle"))
    for index in range(1, len(nodes)):
        before, after = placed[index - 1], placed[index]
        row = nodes[index].windowed
        if row is not None:
            parts.append(_window(row, before, after, late=index % 2 == 0))
        else:
            parts.append(_fan(nodes[index - 1], before, after))
    if names:
        parts.append(_classes(names, placed[-1]))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _class_names(network: Network) -> tuple[str, ...]:
    """The class names, where they are few and short enough to stand beside the last strip."""
    short = all(_text_width(name, NOTE) <= 110 for name in network.classes)
    return network.classes if short and len(network.classes) <= MOST_NAMES else ()


def _head(network: Network, nodes: list[_Node], width: float, height: float, total: int) -> str:
    chain = " → ".join(node.label for node in nodes)
    title, name_end = _safe(network.name), MARGIN + _text_width(network.name, TITLE) + 12
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(width)} {_n(height)}" '
            f'width="{_n(width)}" height="{_n(height)}" role="img" '
            f'font-family="{FONTS}">',
            f"<title>{title}</title>",
            f"<desc>{_safe(chain)}</desc>",
            f'<rect width="{_n(width)}" height="{_n(height)}" fill="#FFFFFF"/>',
            _text(MARGIN, MARGIN + 6, network.name, TITLE, INK, "start", bold=True),
            _text(name_end, MARGIN + 6, _count(total), LABEL, GREY, "start"),
        )
    )


def _stack(node: _Node, box: _Box) -> str:
    planes = []
    for behind in range(box.planes - 1, -1, -1):
        shift = behind * box.step
        planes.append(
            f'<rect x="{_n(box.x - shift)}" y="{_n(box.y - shift)}" width="{_n(box.width)}" '
            f'height="{_n(box.height)}"/>'
        )
    group = f'<g fill="{FILLS[node.fill]}" stroke="{EDGE}" stroke-width="0.8">'
    return "\n".join((group, *planes, "</g>"))


def _strip(node: _Node, box: _Box) -> str:
    """A strip of units: each of them where they are few, else its ends and dots between."""
    (features,) = node.shape
    shape = f'x="{_n(box.x)}" y="{_n(box.y)}" width="{_n(box.width)}" height="{_n(box.height)}"'
    parts = [
        f'<g fill="{FILLS["F"]}" stroke="{EDGE}" stroke-width="0.8">',
        f"<rect {shape}/>",
    ]
    few = features <= MOST_NAMES
    pitch = box.height / features if few else box.width
    ends = (1, 2, -2, -1) if not few else tuple(range(1, features))
    for end in ends:
        y = box.y + end * pitch if end > 0 else box.y + box.height + end * pitch
        parts.append(f'<path d="M{_n(box.x)} {_n(y)}h{_n(box.width)}"/>')
    if not few:
        centre, middle = box.x + box.width / 2, box.y + box.height / 2
        dots = "".join(
            f'<circle cx="{_n(centre)}" cy="{_n(middle + shift)}" r="1.1"/>' for shift in (-6, 0, 6)
        )
        parts.append(f'<g fill="{EDGE}" stroke="none">{dots}</g>')
    return "\n".join((*parts, "</g>"))


def _window(row: TracedLayer, before: _Box, after: _Box, late: bool) -> str:
    """The window on the front plane before, and lines to the unit that it makes.

    Early ones lie up left, late ones down right, so that a plane's two are told apart.
    """
    layer = row.layer
    assert isinstance(layer, Windowed)
    (_, rows, columns), (_, out_rows, out_columns) = row.input_shape, row.output_shape
    share = 0.72 if late else 0.28
    y, x = int(share * (out_rows - 1) + 0.5), int(share * (out_columns - 1) + 0.5)

    def span(unit: int, size: int) -> tuple[float, float]:
        start = unit * stride_of(layer) - padding_of(layer)
        return max(0, start) / size, min(size, start + layer.kernel_size) / size

    (top, bottom), (left, right) = span(y, rows), span(x, columns)
    x0, x1 = before.x + left * before.width, before.x + right * before.width
    y0, y1 = before.y + top * before.height, before.y + bottom * before.height
    unit_x = after.x + x / out_columns * after.width
    unit_y = after.y + y / out_rows * after.height
    unit_w, unit_h = after.width / out_columns, after.height / out_rows
    end_x, end_y = unit_x + unit_w / 2, unit_y + unit_h / 2
    return "\n".join(
        (
            f'<g fill="none" stroke="{ACCENT}" stroke-width="0.9">',
            f'<rect x="{_n(x0)}" y="{_n(y0)}" width="{_n(x1 - x0)}" height="{_n(y1 - y0)}" '
            f'fill="{ACCENT}" fill-opacity="0.18"/>',
            f'<path d="M{_n(x1)} {_n(y0)}L{_n(end_x)} {_n(end_y)}L{_n(x1)} {_n(y1)}" '
            'stroke-width="0.7" stroke-opacity="0.75"/>',
            f'<rect x="{_n(unit_x)}" y="{_n(unit_y)}" width="{_n(unit_w)}" '
            f'height="{_n(unit_h)}" fill="{ACCENT}"/>',
            "</g>",
        )
    )


def _fan(node: _Node, before: _Box, after: _Box) -> str:
    """All units before lead to all units after: the two outermost pairs, and the field between."""
    right, top = before.x + before.width, before.y
    bottom = before.y + before.height
    if node.is_stack:  # the back plane's upper corner belongs to it, too
        right_top = right - before.depth
        top = before.y - before.depth
    else:
        right_top = right
    field = (
        f"M{_n(right_top)} {_n(top)}L{_n(after.x)} {_n(after.y)}V{_n(after.y + after.height)}"
        f"L{_n(right)} {_n(bottom)}"
    )
    inner = f"L{_n(right)} {_n(before.y)}Z" if node.is_stack else "Z"
    lines = (
        f"M{_n(right_top)} {_n(top)}L{_n(after.x)} {_n(after.y)}"
        f"M{_n(right)} {_n(bottom)}L{_n(after.x)} {_n(after.y + after.height)}"
    )
    return (
        f'<path d="{field}{inner}" fill="{EDGE}" fill-opacity="0.07"/>\n'
        f'<path d="{lines}" fill="none" stroke="{EDGE}" stroke-width="0.6"/>'
    )


def _classes(names: tuple[str, ...], box: _Box) -> str:
    pitch = box.height / len(names)
    parts = []
    for index, name in enumerate(names):
        y = box.y + (index + 0.5) * pitch + NOTE * 0.35
        parts.append(_text(box.x + box.width + 8, y, name, NOTE, INK, "start"))
    return "\n".join(parts)


def _text(
    x: float, y: float, words: str, size: float, color: str, anchor: str, bold: bool = False
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{_n(x)}" y="{_n(y)}" font-size="{_n(size)}" fill="{color}" '
        f'text-anchor="{anchor}"{weight}>{_safe(words)}</text>'
    )


def _safe(words: str) -> str:
    """The words as XML: two signs that no XML may hold are left out."""
    return escape(words.replace("\ufffe", "").replace("\uffff", ""))


def _n(value: float) -> str:
    """A length with at most two digits after the point.

    >>> _n(2.0), _n(0.125), _n(-0.001)
    ('2', '0.12', '0')
    """
    return f"{round(value, 2) + 0.0:.10g}"
