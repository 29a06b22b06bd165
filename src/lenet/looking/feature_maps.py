"""What a network makes of one picture: every channel of every layer, and what it answers."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lenet import engines
from lenet.data.picture_files import PictureFileError
from lenet.data.picture_pixels import read_pixels
from lenet.data.preparation import Preparation, PreparationError, doubt, prepare, usual
from lenet.drawing.text_width import cells, padded, wrapped
from lenet.language.asked import Language
from lenet.looking.evaluation import softmax
from lenet.network.architecture import Network, TracedLayer, trace
from lenet.network.layers import Conv2d, Flatten, show_shape
from lenet.network.parameters import Parameters

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lenet.data import Split

Floats = NDArray[np.float32]


class PictureError(ValueError):
    """A picture that is not there, cannot be read, or is not one for this network."""


@dataclass(frozen=True)
class Picture:
    """One picture as a network takes it, and where it is from."""

    pixels: NDArray[np.uint8]  # (channels, height, width)
    name: str  # "17"
    source: str  # "test picture 17 (coat)"
    label: int | None  # its class, where that is known
    remark: str = ""  # what is odd about it


@dataclass(frozen=True)
class Shortcut:
    """Tutorial 003's figure beside what the network passes on; maps (h, w), summed over channels.

    There the second convolution is applied to the first one's output as it is. In the network an
    activation and pooling lie between them, so ``second`` is of numbers that never occur in it.
    """

    first: Floats  # conv1(x)
    second: Floats  # conv2(conv1(x))
    passed_on: Floats  # what the second convolution really gets
    really: Floats  # what it really makes of that
    between: tuple[str, ...]  # the layers that the tutorial leaves out, by type


@dataclass(frozen=True)
class Features:
    """The output of every layer for one picture; a notebook shows them as maps."""

    network: Network
    picture: Picture
    layers: tuple[TracedLayer, ...]
    outputs: tuple[Floats, ...]  # of each layer, (channels, h, w) or (features,)
    shortcut: Shortcut | None  # where a second convolution follows the first
    language: Language = "en"  # of its figures

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """The softmax of the network's outputs, (classes,)."""
        (row,) = softmax(self.outputs[-1][None])
        return np.asarray(row)

    @property
    def predicted(self) -> int:
        """The class with the highest output."""
        return int(self.outputs[-1].argmax())

    def __str__(self) -> str:
        return to_text(self)

    def figure(self) -> Figure:
        """The picture, every channel of every layer below it, and a bar for each class."""
        from lenet.drawing import figures, maps

        rows = []
        for layer, values in zip(self.layers, self.outputs, strict=True):
            if isinstance(layer.layer, Flatten):
                continue  # the same numbers once more
            rows.append(maps.Row(_title(layer), show_shape(layer.output_shape), values))
        names, _ = figures.drawn_names(self.network.classes)
        bars = list(zip(names, self.probabilities.tolist(), self.outputs[-1].tolist(), strict=True))
        bars = _best(bars)
        title = f"{self.network.name} on {self.picture.source}"
        return maps.layer_rows(self.picture.pixels, rows, bars, title, self.language)

    def shortcut_figure(self) -> Figure:
        """Tutorial 003's figure and the network's own, with a word on the difference.

        Raises PictureError where the network has no second convolution.
        """
        from lenet.drawing import figures, maps

        if self.shortcut is None:
            raise PictureError(f"network {self.network.name!r} has no second convolution to show")
        short, picture = self.shortcut, self.picture.pixels.sum(0) / 255
        rows = (
            (
                "as tutorial 003 computes it",
                (("input", picture), ("conv1(x)", short.first), ("conv2(conv1(x))", short.second)),
            ),
            (
                "as the network computes it",
                (
                    ("input", picture),
                    ("what conv2 gets", short.passed_on),
                    ("what conv2 makes of it", short.really),
                ),
            ),
        )
        speaks = "en" if self.language == "zh" and not figures.cjk_fonts() else self.language
        words = _shortcut_words(short, speaks)
        title = "Two convolutions, summed over their channels"
        return maps.comparison_rows(rows, title, words, speaks)

    def _repr_png_(self) -> bytes:
        from lenet.drawing import figures

        return figures.encoded(self.figure(), "png", dpi=110)


def _title(layer: TracedLayer) -> str:
    """A layer in a few letters: "C1: Conv2d 5×5"; its channels are in its shape."""
    stage = f"{layer.stage}: " if layer.stage else ""
    size = getattr(layer.layer, "kernel_size", None)
    return f"{stage}{layer.kind}" + (f" {size}×{size}" if size else "")


MOST_BARS = 20


def _best(bars: list[tuple[str, float, float]]) -> list[tuple[str, float, float]]:
    """All bars in the order of the classes; the most probable ones where they are too many."""
    if len(bars) <= MOST_BARS:
        return bars
    return sorted(bars, key=lambda bar: -bar[1])[:MOST_BARS]


def features(
    network: Network, parameters: Parameters, picture: Picture, language: Language = "en"
) -> Features:
    """What every layer makes of the picture.

    Raises PictureError where it is not one for this network, EngineError where no engine here
    computes the network.
    """
    if picture.pixels.shape != network.input_shape:
        raise PictureError(
            f"{picture.source} is {show_shape(picture.pixels.shape)}; network {network.name!r} "
            f"takes {show_shape(network.input_shape)}"
        )
    engine = engines.with_weights(network, parameters, threads=1)
    outputs = tuple(output[0] for output in engine.activations(picture.pixels[None]))
    layers = trace(network)
    shortcut = _shortcut(network, layers, parameters, picture, outputs)
    return Features(network, picture, layers, outputs, shortcut, language)


# --- pictures ----------------------------------------------------------------------------------


def find_picture(
    what: str | int, network: Network, split: Split | None, how: Preparation | None = None
) -> Picture:
    """The picture that is asked for: a file, an index into the split, or "CLASS:n".

    "dress:2" is the third dress of the split; ``how`` a file is prepared, else as is usual for the
    network's classes. Raises PictureError where there is none.
    """
    text = str(what)
    if not isinstance(what, int) and os.path.isfile(text):
        return picture_from_file(Path(text), how or usual(network.input_shape, network.classes))
    if isinstance(what, int) or re.fullmatch(r"-?\d{1,18}", text):
        return _from_split(split, int(text), text)
    name, colon, number = text.rpartition(":")
    if colon and re.fullmatch(r"\d{1,18}", number):
        if split is None or name not in split.classes:
            known = ", ".join(network.classes if split is None else split.classes)
            raise PictureError(
                f"{text!r}: no class {name!r} to take a picture of; choose from {known}"
            )
        members = np.flatnonzero(split.labels == split.classes.index(name))
        if int(number) >= len(members):
            raise PictureError(
                f"{text!r}: there are {len(members):,} pictures of this class, numbered from 0"
            )
        return _from_split(split, int(members[int(number)]), text)
    raise PictureError(
        f"{text!r:.100}: no such file; give a picture's file, its number among the test pictures "
        "(from 0), or CLASS:NUMBER"
    )


def _from_split(split: Split | None, index: int, text: str) -> Picture:
    if split is None:
        raise PictureError(
            f"picture {text} of which pictures? Only a run has test pictures; give a picture's file"
        )
    if not 0 <= index < len(split):
        raise PictureError(f"no test picture {index}: they go from 0 to {len(split) - 1}")
    label = int(split.labels[index])
    return Picture(
        split.images[index], text, f"test picture {index} ({split.classes[label]})", label
    )


def picture_from_file(path: Path, how: Preparation) -> Picture:
    """A picture's file as the network takes it, prepared as for ``lenet predict``.

    Raises PictureError for a file that is no picture, or in which there is nothing.
    """
    try:
        pixels = prepare(read_pixels(path), how)
    except PictureFileError as error:
        raise PictureError(str(error)) from None
    except PreparationError as error:
        raise PictureError(f"{path}: {error}") from None
    kind = "RGB" if how.channels == 3 else "grey"
    source = f"{path.name} (made {kind} and {how.width}×{how.height})"
    return Picture(pixels, path.stem, source, None, doubt(pixels, how) or "")


# --- tutorial 003's figure ---------------------------------------------------------------------


def _shortcut(
    network: Network,
    layers: tuple[TracedLayer, ...],
    parameters: Parameters,
    picture: Picture,
    outputs: tuple[Floats, ...],
) -> Shortcut | None:
    places = [layer.index for layer in layers if isinstance(layer.layer, Conv2d)]
    if len(places) < 2:
        return None
    first, second = places[:2]
    conv1, conv2 = network.layers[first], network.layers[second]
    assert isinstance(conv1, Conv2d)
    assert isinstance(conv2, Conv2d)
    table = engines.normalization_table(network)  # (channels, 256)
    entered = np.stack([table[i][channel] for i, channel in enumerate(picture.pixels)])
    if first > 0:
        entered = outputs[first - 1].astype(np.float64)
    feature1 = _convolved(entered, conv1, parameters, first)
    feature2 = _convolved(feature1, conv2, parameters, second)
    between = tuple(layer.kind for layer in layers[first + 1 : second])
    return Shortcut(
        feature1.sum(0).astype(np.float32),
        feature2.sum(0).astype(np.float32),
        outputs[second - 1].sum(0),
        outputs[second].sum(0),
        between,
    )


def _convolved(
    values: NDArray[np.float64], layer: Conv2d, parameters: Parameters, index: int
) -> NDArray[np.float64]:
    """(channels, h, w) through one convolution."""
    weight, bias = parameters[f"{index}.weight"], parameters[f"{index}.bias"]
    margin = (layer.padding, layer.padding)
    padded = np.pad(values, ((0, 0), margin, margin))
    size, step = layer.kernel_size, layer.stride
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), (1, 2))
    windows = windows[:, ::step, ::step]  # (channels, h, w, k, k)
    summed = np.tensordot(weight.astype(np.float64), windows, ((1, 2, 3), (0, 3, 4)))
    return np.asarray(summed + bias.astype(np.float64)[:, None, None])


def _shortcut_words(shortcut: Shortcut, language: str) -> str:
    """Why the two rows differ."""
    between = ("、" if language == "zh" else ", ").join(shortcut.between)
    shapes = [show_shape(values.shape) for values in (shortcut.second, shortcut.really)]
    if not shortcut.between:
        return {
            "en": "Nothing lies between the two convolutions here, so both rows are the same.",
            "zh": "这个网络的两个卷积层之间没有别的层，所以两行相同。",
        }[language]
    if language == "zh":
        return (
            "教程 003 的写法是 feature2 = conv2(feature1)：把第二个卷积层直接用在"
            f"第一个卷积层的输出上，跳过了中间的 {between}。网络真正计算的是下面一行："
            f"先经过 {between}，再做第二次卷积，所以最后一张是 {shapes[1]}，而不是 {shapes[0]}。"
            "上面一行的 conv2(conv1(x)) 在网络里从未出现过：这些卷积核没有在那样的输入上训练过。"
            "每张图都是把各通道相加得到的一张图，相反的通道会互相抵消。"
        )
    return (
        "Tutorial 003 writes feature2 = conv2(feature1): the second convolution on the first "
        f"one's output as it is, past {between}. The network passes through them, as in the lower "
        f"row, so that its last map is {shapes[1]} and not {shapes[0]}. The numbers of "
        "conv2(conv1(x)) never occur in the network: its kernels were not trained on such input. "
        "Each map is the sum over all channels, in which opposite channels cancel."
    )


# --- as text and JSON --------------------------------------------------------------------------


def to_text(features: Features, width: int = 80, *, ascii_only: bool = False) -> str:
    """What the picture is, the range of each layer's output, and each class's probability."""
    network, picture = features.network, features.picture
    predicted, probabilities = features.predicted, features.probabilities
    true = "" if picture.label is None else f", it is {network.classes[picture.label]}"
    answer = f"{network.classes[predicted]}, probability {probabilities[predicted]:.4f}{true}"
    remark = wrapped(f"note: {picture.remark}", width) if picture.remark else []
    lines = [f"{picture.source}: {answer}", *remark, ""]
    names = [f"{layer.index:>2} {layer.stage:<3} {layer.kind}" for layer in features.layers]
    shapes = [show_shape(layer.output_shape) for layer in features.layers]
    wide, wide_shape = max(map(len, names)), max(map(len, ["output", *shapes]))
    lines.append(f"{' #     layer':<{wide}}  {'output':<{wide_shape}}      min     mean      max")
    for name, shape, values in zip(names, shapes, features.outputs, strict=True):
        numbers = (values.min(), values.mean(), values.max())
        columns = " ".join(f"{number:8.4f}" for number in numbers)
        lines.append(f"{name:<{wide}}  {shape:<{wide_shape}} {columns}")
    lines.append("")
    classes = list(zip(network.classes, probabilities.tolist(), strict=True))
    longest = max(map(cells, network.classes))
    room = max(10, min(40, width - longest - 10))
    shown = _best([(name, probability, 0.0) for name, probability in classes])
    for name, probability, _ in shown:
        bar = ("#" if ascii_only else "█") * round(room * probability)
        lines.append(f"{padded(name, longest)}  {probability:.4f} {bar}".rstrip())
    if features.shortcut is not None:
        words = _shortcut_words(features.shortcut, features.language)
        lines += ["", *(wrapped(words, width))]
    return "\n".join(lines)


def to_json(features: Features) -> dict[str, Any]:
    """``source``, ``label``, ``predicted``, ``probabilities`` by class, ``layers``: each with
    ``layer``, ``type``, ``shape`` and ``values``; ``remark`` where the picture is an odd one."""
    classes = features.network.classes
    label = features.picture.label
    return {
        "source": features.picture.source,
        **({"remark": features.picture.remark} if features.picture.remark else {}),
        "label": None if label is None else classes[label],
        "predicted": classes[features.predicted],
        "probabilities": dict(zip(classes, features.probabilities.tolist(), strict=True)),
        "layers": [
            {
                "layer": layer.index,
                "type": layer.kind,
                "shape": list(values.shape),
                "values": values.tolist(),
            }
            for layer, values in zip(features.layers, features.outputs, strict=True)
        ],
    }
