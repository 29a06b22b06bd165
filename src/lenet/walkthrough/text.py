"""A walkthrough in words: what is done, the numbers, and the arithmetic of every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from numpy.typing import NDArray

from lenet.drawing.text_width import cells, padded, wrapped
from lenet.language.asked import Language
from lenet.scratch import Step, show
from lenet.walkthrough.remarks import remarks
from lenet.walkthrough.steps import Walkthrough

WIDTH: Final = 80  # columns


def lines(walk: Walkthrough, language: Language, width: int = WIDTH) -> list[str]:
    """The whole explanation: what is done, the numbers, every step, and what to know about it."""
    told = [title(walk, language), *wrapped(_rule(walk, language), width), ""]
    told += [*_grids(walk, language, width), "", *_size(walk, language), ""]
    for step in walk.steps:
        told += arithmetic(walk, step, language, width)
    for remark in remarks(walk, language):
        told += ["", *wrapped(remark, width)]
    return told


def title(walk: Walkthrough, language: Language) -> str:
    """What is computed, with its window, padding and stride, on one line."""
    names = {
        "en": {"max": "Max pooling", "avg": "Mean pooling", "conv": "Convolution"},
        "zh": {"max": "最大汇聚", "avg": "平均汇聚", "conv": "卷积"},
    }
    words = ("window", "kernel", "padding", "stride")
    if language == "zh":
        words = ("窗口", "卷积核", "填充", "步幅")
    window = words[1] if walk.kind == "conv" else words[0]
    parts = (
        names[language][walk.kind],
        f"{window} {walk.window[0]}×{walk.window[1]}",
        f"{words[2]} {walk.padding}",
        f"{words[3]} {walk.stride}",
    )
    return " · ".join(parts)


def captions(language: Language) -> dict[str, str]:
    """The words beside the grids, in the text and in the picture."""
    if language == "zh":
        return {
            "input": "输入 X",
            "kernel": "卷积核 K",
            "output": "输出 Y",
            "channel": "通道",
            "sum": "求和",
            "sum_bias": "求和，加偏置",
        }
    return {
        "input": "input X",
        "kernel": "kernel K",
        "output": "output Y",
        "channel": "channel",
        "sum": "sum",
        "sum_bias": "sum and bias",
    }


def padding_sign(walk: Walkthrough) -> str:
    """What stands in a cell of the padding: -∞, 0, or a dot where it is not counted."""
    if walk.kind == "max":
        return "-∞"
    return "0" if walk.kind == "conv" or walk.count_include_pad else "·"


def _rule(walk: Walkthrough, language: Language) -> str:
    rules = {
        "en": {
            "max": "Each number of Y is the largest one in its window of X.",
            "avg": "Each number of Y is the mean of its window of X.",
            "conv": "Each number of Y is a window of X times K, number by number, added up.",
        },
        "zh": {
            "max": "Y 的每个数，是 X 中对应窗口里最大的那个数。",
            "avg": "Y 的每个数，是 X 中对应窗口里所有数的平均值。",
            "conv": "Y 的每个数，是 X 的一个窗口与 K 逐个相乘，再全部相加。",
        },
    }
    return rules[language][walk.kind]


def _grids(walk: Walkthrough, language: Language, width: int) -> list[str]:
    """X, K and Y side by side, a block of lines for each channel; below each other if too wide."""
    words = captions(language)
    told: list[str] = []
    for channel, numbers in enumerate(walk.input):
        blocks = [_grid(words["input"], _with_padding(walk, numbers))]
        if walk.kernel is not None:
            blocks.append(
                _grid(words["kernel"], [list(map(show, row)) for row in walk.kernel[channel]])
            )
        if channel < len(walk.output):  # the one output of a convolution stands beside the first
            blocks.append(
                _grid(words["output"], [list(map(show, row)) for row in walk.output[channel]])
            )
        if len(walk.input) > 1:
            told += [""] if channel else []
            told.append(f"{words['channel']} {channel}")
        beside = _beside(blocks)
        fits = max(map(cells, beside)) <= width
        told += beside if fits else [line for block in blocks for line in block]
    return told


def _with_padding(walk: Walkthrough, numbers: NDArray[Any]) -> list[list[str]]:
    p, sign = walk.padding, padding_sign(walk)
    across = [sign] * (numbers.shape[1] + 2 * p)
    inner = [[sign] * p + [show(x) for x in row] + [sign] * p for row in numbers.tolist()]
    return [list(across) for _ in range(p)] + inner + [list(across) for _ in range(p)]


def _grid(caption: str, cells: Sequence[Sequence[str]]) -> list[str]:
    width = max(len(cell) for row in cells for cell in row)
    return [caption, *(" ".join(cell.rjust(width + 1) for cell in row) for row in cells)]


def _beside(blocks: list[list[str]], gap: int = 4) -> list[str]:
    widths = [max(map(cells, block)) + gap for block in blocks]
    told = []
    for y in range(max(map(len, blocks))):
        line = [block[y] if y < len(block) else "" for block in blocks]
        told.append("".join(map(padded, line, widths)).rstrip())
    return told


def _size(walk: Walkthrough, language: Language) -> list[str]:
    names = {"en": ("rows of Y:    ", "columns of Y: "), "zh": ("Y 的行数：", "Y 的列数：")}
    down = {"en": ", rounded down", "zh": "（向下取整）"}[language]
    told = []
    for name, size, window, result in zip(
        names[language], walk.input.shape[1:], walk.window, walk.output.shape[1:], strict=True
    ):
        padded_size = f"{size} + 2·{walk.padding}" if walk.padding else str(size)
        rounded = down if (size + 2 * walk.padding - window) % walk.stride else ""
        told.append(f"{name}({padded_size} - {window}) / {walk.stride} + 1 = {result}{rounded}")
    return told


def arithmetic(walk: Walkthrough, step: Step, language: Language, width: int) -> list[str]:
    """How one number of Y comes about, in lines of at most ``width`` columns."""
    name = walk.name(step.position)
    if len(step.arithmetic) == 1:
        return _hanging(f"{name} = ", step.arithmetic[0], width)
    colon = ": " if language == "en" else "："
    labels = [label + colon for label in line_labels(walk, language)]
    longest = max(map(cells, labels))
    told = [name]
    for label, line in zip(labels, step.arithmetic, strict=True):
        told += _hanging(f"  {padded(label, longest)}", line, width)
    return told


def _hanging(first: str, text: str, width: int) -> list[str]:
    """The text behind ``first``; its further lines begin below it."""
    indent = " " * cells(first)
    told = wrapped(text, width, indent)
    return [first + told[0][len(indent) :], *told[1:]]


def line_labels(walk: Walkthrough, language: Language) -> list[str]:
    """What each line of a convolution's arithmetic is: one a channel, and the total."""
    words = captions(language)
    labels = [f"{words['channel']} {channel}" for channel in range(len(walk.input))]
    if len(labels) > 1 or walk.bias is not None:
        labels.append(words["sum"] if walk.bias is None else words["sum_bias"])
    return labels
