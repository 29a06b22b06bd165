"""The figures of the five lessons in docs/pictures/lessons, in English and Chinese.

    LENET_DATA=folder-of-data-sets python scripts/make_lesson_figures.py

Each number in them is computed here by the product, or was measured (bench/results). Chinese needs
a font: apt install fonts-noto-cjk.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import lenet
from lenet.drawing import figures
from lenet.engines import with_weights
from lenet.network import zoo
from lenet.network.layers import ReLU, Sigmoid
from lenet.network.parameters import initialize
from lenet.scratch import corr2d, pool2d

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "pictures" / "lessons"
INK, GREY, BLUE, ORANGE = "#222222", "#595959", "#0072B2", "#D55E00"
EDGES = np.array([[1.0, 0.0, -1.0]] * 3)
CLASSES_ZH = ("T恤", "裤子", "套衫", "连衣裙", "外套", "凉鞋", "衬衫", "运动鞋", "包", "短靴")

Words = Callable[[str, str], str]


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    drawings = (seeing, fields, judging, learning, stuck, believing)
    for draw in drawings:
        for language in ("en", "zh"):
            with figures.style(["中" if language == "zh" else ""]):
                figure = draw(_chinese if language == "zh" else _english)
                path = OUT / f"{draw.__name__}.{language}.png"
                figures.save(figure, path, dpi=110)
            print(f"{path.stat().st_size:>8,}  {path}")


def _english(en: str, zh: str) -> str:
    return en


def _chinese(en: str, zh: str) -> str:
    return zh


def seeing(say: Words) -> Any:
    """A digit, a kernel, and the map that the kernel makes of the digit, with one sum."""
    digit = lenet.load_data("mnist").test.images[0, 0] / 255.0
    edges = corr2d(digit, EDGES)
    row, column = 12, 15
    figure = figures.blank(8.0, 2.9)
    left, middle, right = (
        figure.add_axes((x, 0.06, w, 0.78)) for x, w in ((0.02, 0.3), (0.42, 0.14), (0.66, 0.3))
    )
    left.imshow(digit, cmap="gray", vmin=0, vmax=1)
    _box(left, row, column, 3)
    left.set_title(say("the picture, 28×28", "图片，28×28"), fontsize=10)
    middle.imshow(EDGES, cmap="RdBu_r", vmin=-2, vmax=2)  # pale: the numbers stand on it
    for y, x in np.ndindex(3, 3):
        number = _signed(f"{EDGES[y, x]:g}")
        middle.text(x, y, number, ha="center", va="center", fontsize=12, color=INK)
    middle.set_title(say("the kernel, 3×3", "卷积核，3×3"), fontsize=10)
    right.imshow(edges, cmap="RdBu_r", vmin=-3, vmax=3)
    _box(right, row, column, 1)
    right.set_title(say("the map, 26×26", "特征图，26×26"), fontsize=10)
    value = _signed(f"{edges[row, column]:.2f}")
    figure.text(
        0.49,
        0.1,
        say(f"sum of nine\nproducts: {value}", f"九个乘积\n之和：{value}"),
        ha="center",
        fontsize=10,
        color=INK,
    )
    _bare(left, middle, right)
    return figure


def fields(say: Words) -> Any:
    """What one number of C1, S2, C3 and S4 sees of the picture."""
    digit = lenet.load_data("mnist").test.images[0, 0] / 255.0
    rows = lenet.trace(lenet.build("lenet"))
    figure = figures.blank(8.0, 2.4)
    for number, index in enumerate((0, 2, 3, 5)):
        row = rows[index]
        size = row.receptive_field[0]
        middle = row.output_shape[1] // 2  # of the rows of its map, and of the columns
        start = row.input_offset + middle * row.input_stride
        axes = figure.add_axes((0.01 + 0.25 * number, 0.03, 0.23, 0.8))
        axes.imshow(digit, cmap="gray", vmin=0, vmax=1)
        _box(axes, start, start, size)
        axes.set_title(f"{row.stage}: {size}×{size}", fontsize=10)
        _bare(axes)
    return figure


@cache
def _a_shirt() -> tuple[Any, tuple[str, ...]]:
    """What a network of three epochs makes of a shirt that it takes for a dress."""
    with tempfile.TemporaryDirectory() as folder:
        run = lenet.train("quickstart", epochs=3, out=Path(folder, "run"))
        return lenet.features(run.folder, "shirt:4"), run.network.classes


def judging(say: Words) -> Any:
    """Ten logits, ten probabilities, and the loss of each answer."""
    seen, classes = _a_shirt()
    logits, shares = seen.outputs[-1], seen.probabilities
    names = [say(en, zh) for en, zh in zip(classes, CLASSES_ZH, strict=True)]
    label = classes.index("shirt")
    figure = figures.blank(8.0, 3.2)
    titles = (
        say("logits z", "logits z"),
        say("softmax: p", "softmax：p"),
        say("loss if this were the class: −ln p", "若真实类别是它，损失为 −ln p"),
    )
    for number, (title, values) in enumerate(
        zip(titles, (logits, shares, -np.log(shares)), strict=True)
    ):
        axes = figure.add_axes((0.11 + 0.3 * number, 0.06, 0.25, 0.84))
        marks = [ORANGE if index == label else BLUE for index in range(10)]
        bars = axes.barh(range(10), values, color=marks)
        bars[label].set_hatch("//")
        lowest, highest = min(0.0, float(min(values))), float(max(values))
        room = 0.27 * (highest - lowest)
        axes.set_xlim(lowest - (room if lowest else 0), highest + room)
        for index, value in enumerate(values):
            side = "left" if value >= 0 else "right"
            shown = _signed(f" {value:.2f} ")
            axes.text(value, index, shown, va="center", ha=side, fontsize=8, color=INK)
        axes.set_yticks(range(10), names if number == 0 else [""] * 10, fontsize=9)
        axes.invert_yaxis()
        axes.set_xticks([])
        axes.set_title(title, fontsize=10)
        for side in ("top", "right", "bottom"):
            axes.spines[side].set_visible(False)
    return figure


def learning(say: Words) -> Any:
    """Backward through a convolution and through max pooling, number by number."""
    picture = np.arange(9.0).reshape(3, 3)
    kernel = np.array([[0.0, 1.0], [2.0, 3.0]])
    above = np.ones((2, 2))
    grids = [
        (0.01, "X", picture, None),
        (0.235, "K", kernel, None),
        (0.40, "Y", corr2d(picture, kernel), None),
        (0.60, "dY", above, ORANGE),
        (0.80, "dK", corr2d(picture, above), ORANGE),
    ]
    pooled = pool2d(picture, (2, 2))
    back = np.isin(picture, pooled).astype(float)
    lower = [
        (0.01, "X", picture, None),
        (0.40, "Y", pooled, None),
        (0.60, "dY", above, ORANGE),
        (0.80, "dX", back, ORANGE),
    ]
    figure = figures.blank(8.0, 3.9)
    titles = (
        say("Convolution: forward, and backward in orange", "卷积：前向传播，橙色为反向传播"),
        say("Max pooling, 2×2, stride 1", "最大汇聚，2×2，步幅 1"),
    )
    for top, title, row in ((0.9, titles[0], grids), (0.42, titles[1], lower)):
        figure.text(0.01, top + 0.03, title, fontsize=10.5, color=INK, weight="bold")
        for x, name, numbers, color in row:
            _grid(figure, x, top - 0.03, name, numbers, color)
    return figure


def _grid(
    figure: Any, x: float, top: float, name: str, numbers: NDArray[Any], color: str | None
) -> None:
    cell_x, cell_y = 0.055, 0.055 * 8.0 / 3.9
    rows, columns = numbers.shape
    axes = figure.add_axes((x, top - cell_y * rows, cell_x * columns, cell_y * rows))
    axes.set_xlim(0, columns)
    axes.set_ylim(rows, 0)
    for row, column in np.ndindex(rows, columns):
        filled = color is not None and numbers[row, column] != 0
        axes.add_patch(_square(row, column, "#fbe3d3" if filled else "#f2f2f2"))
        axes.text(
            column + 0.5,
            row + 0.5,
            f"{numbers[row, column]:g}",
            ha="center",
            va="center",
            fontsize=12,
            color=INK,
        )
    axes.set_axis_off()
    figure.text(x + cell_x * columns + 0.006, top - 0.05, name, fontsize=11, color=color or GREY)


def _square(row: int, column: int, color: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((column, row), 1, 1, facecolor=color, edgecolor="#8a8a8a", linewidth=0.8)


@cache
def deviations(name: str, initialization: str, seeds: int = 3) -> list[float]:
    """How much each activation's outputs differ between 1,000 pictures before training, mean."""
    network = zoo.build(name)
    images = lenet.load_data("fashion-mnist").test.images[:1000]
    found = []
    for seed in range(seeds):
        weights = initialize(network, initialization, seed)
        outputs = with_weights(network, weights, 1).activations(images)
        found.append(
            [
                float(values.reshape(len(images), -1).std(axis=0).mean())
                for layer, values in zip(network.layers, outputs, strict=True)
                if isinstance(layer, (Sigmoid, ReLU))
            ]
        )
    return [float(value) for value in np.mean(found, axis=0)]


def stuck(say: Words) -> Any:
    """Differences between pictures, layer by layer, with sigmoids and with ReLU."""
    lines = {
        say("sigmoid, Xavier's first weights", "sigmoid，Xavier 初始化"): (
            deviations("lenet", "xavier"),
            BLUE,
            "o-",
        ),
        say("ReLU, He's first weights", "ReLU，He 初始化"): (
            deviations("lenet-relu", "he"),
            ORANGE,
            "s--",
        ),
    }
    figure = figures.blank(7.0, 3.2)
    axes = figure.add_axes((0.12, 0.16, 0.62, 0.72))
    for name, (values, color, line) in lines.items():
        axes.plot(range(4), values, line, color=color)
        axes.annotate(
            f" {name}",
            (3, values[-1]),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            color=color,
            fontsize=9,
            annotation_clip=False,
        )
        for place, value in enumerate(values):
            axes.annotate(
                f"{value:.2f}" if value >= 0.1 else f"{value:.2g}",
                (place, value),
                xytext=(0, 7),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=INK,
            )
    axes.set_yscale("log")
    axes.set_ylim(2e-4, 1)
    axes.set_xlim(-0.3, 3.3)
    axes.set_xticks(range(4), ["C1", "C3", "F5", "F6"])
    axes.set_title(
        say(
            "deviation of a unit over 1,000 pictures, before training",
            "训练之前，一个单元在 1,000 张图片上的标准差",
        ),
        fontsize=10,
        loc="left",
    )
    axes.grid(alpha=0.3)
    return figure


def believing(say: Words) -> Any:
    """Five seeds of each network as dots."""
    record = json.loads((ROOT / "bench/results/baselines.json").read_text(encoding="utf-8"))
    rows = record["rows"]
    figure = figures.blank(7.0, 2.8)
    axes = figure.add_axes((0.3, 0.17, 0.67, 0.78))
    for place, row in enumerate(rows):
        values = row["test_accuracies"]
        axes.plot(values, [place] * len(values), "o", color=BLUE, alpha=0.75, markersize=7)
        mean = math.fsum(values) / len(values)
        axes.plot([mean, mean], [place - 0.28, place + 0.28], color=ORANGE, linewidth=2)
    axes.set_yticks(
        range(len(rows)),
        [
            f"{r['network']}, {r['optimizer'].upper() if r['optimizer'] == 'sgd' else 'Adam'}"
            for r in rows
        ],
    )
    axes.invert_yaxis()
    axes.set_xlabel(
        say(
            "test accuracy after 10 epochs; the line is the mean of five seeds",
            "10 轮后的测试准确率；竖线是五个种子的平均值",
        ),
        color=INK,
    )
    axes.grid(axis="x", alpha=0.3)
    return figure


def _box(axes: Any, row: float, column: float, size: int) -> None:
    from matplotlib.patches import Rectangle

    corner = (column - 0.5, row - 0.5)
    axes.add_patch(Rectangle(corner, size, size, fill=False, edgecolor=ORANGE, linewidth=2))


def _signed(number: str) -> str:
    """With a minus sign, as the axes have it."""
    return number.replace("-", "−")


def _bare(*every: Any) -> None:
    for axes in every:
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_color("#8a8a8a")


if __name__ == "__main__":
    main()
