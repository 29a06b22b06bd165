"""What an example shows beyond its numbers, and where tutorial 004 says it otherwise."""

from __future__ import annotations

import numpy as np

from lenet import scratch
from lenet.language.asked import Language
from lenet.scratch import show
from lenet.walkthrough.steps import Walkthrough


def remarks(walk: Walkthrough, language: Language) -> list[str]:
    """Paragraphs about padding, channels and strides, as far as this example has them."""
    about = {"max": _about_max, "avg": _about_average, "conv": _about_convolution}[walk.kind]
    told = about(walk, language)
    if walk.kind != "conv" and len(walk.input) > 1:
        told.append(_about_channels(walk, language))
    if walk.kind != "conv" and walk.stride == 1 and max(walk.window) > 1:
        told.append(
            {
                "en": "The window moves by 1 here, as in tutorial 004's own function. PyTorch's "
                "nn.MaxPool2d and nn.AvgPool2d move it by its own size unless a stride is given.",
                "zh": "这里窗口每次移动 1 格，与教程 004 手写的函数相同。PyTorch 的 nn.MaxPool2d "
                "和 nn.AvgPool2d 若不指定步幅，则每次移动一个窗口的大小。",
            }[language]
        )
    return told


def _about_max(walk: Walkthrough, language: Language) -> list[str]:
    if not walk.padding:
        return []
    zeros = scratch.pool2d(scratch.pad(walk.input, walk.padding), walk.window, stride=walk.stride)
    changed = np.argwhere(zeros != walk.output)
    if not len(changed):
        return [
            {
                "en": "Max pooling pads with -∞: whatever lies outside of X is never the largest. "
                "Tutorial 004 speaks of a ring of zeros and prints one. With these numbers that "
                "comes to the same, since every window at the edge holds a number that is 0 or "
                "more; where all of a window is negative, a ring of zeros would give 0.",
                "zh": "最大汇聚用 -∞ 填充：X 之外的格子永远不会是最大值。教程 004 说四周补的是 0，"
                "并把补 0 后的张量打印了出来。对这里的数，两种说法结果相同，因为边上的每个窗口都有"
                "不小于 0 的数；如果某个窗口里全是负数，补 0 就会得到 0。",
            }[language]
        ]
    position = tuple(int(i) for i in changed[0])
    name = walk.name(position)
    right, wrong = show(walk.output[position]), show(zeros[position])
    return [
        {
            "en": "Max pooling pads with -∞: whatever lies outside of X is never the largest. "
            "Tutorial 004 speaks of a ring of zeros; here one can see that it is none: with zeros "
            f"{name} would be {wrong}, and PyTorch, too, gives {right}.",
            "zh": "最大汇聚用 -∞ 填充：X 之外的格子永远不会是最大值。教程 004 说四周补的是 0，"
            f"这里可以看出并非如此：若补 0，{name} 会是 {wrong}，而 PyTorch 给出的也是 {right}。",
        }[language]
    ]


def _about_average(walk: Walkthrough, language: Language) -> list[str]:
    if not walk.padding:
        return []
    other = scratch.pool2d(
        walk.input,
        walk.window,
        "avg",
        padding=walk.padding,
        stride=walk.stride,
        count_include_pad=not walk.count_include_pad,
    )
    corner, otherwise = show(walk.output[0, 0, 0]), show(other[0, 0, 0])
    size = walk.window[0] * walk.window[1]
    name = walk.name((0, 0, 0))
    if walk.count_include_pad:
        return [
            {
                "en": "Mean pooling pads with zeros, and counts them: every sum is divided by "
                f"{size}. That is PyTorch's count_include_pad=True. With False only the cells that "
                f"lie in X are counted, and {name} would be {otherwise} instead of {corner}.",
                "zh": f"平均汇聚用 0 填充，并且把它们也算进个数：每个和都除以 {size}。"
                "这就是 PyTorch 的 count_include_pad=True。若为 False，则只数落在 X 里的格子，"
                f"{name} 会是 {otherwise}，而不是 {corner}。",
            }[language]
        ]
    return [
        {
            "en": "Only the cells that lie in X are counted: count_include_pad=False. PyTorch's "
            f"default is True: zeros are counted as well, every sum is divided by {size}, and "
            f"{name} would be {otherwise} instead of {corner}.",
            "zh": "这里只数落在 X 里的格子：count_include_pad=False。PyTorch 默认是 True：填充的 0 "
            f"也算在内，每个和都除以 {size}，{name} 会是 {otherwise}，而不是 {corner}。",
        }[language]
    ]


def _about_convolution(walk: Walkthrough, language: Language) -> list[str]:
    told = [
        {
            "en": "K is laid on X as it is. Mathematics would turn it by 180° first; what networks "
            "call convolution is cross-correlation. To them it is all one, since K is learnt.",
            "zh": "K 直接盖在 X 上。数学里的卷积要先把它旋转 180°；神经网络所说的卷积其实是互相关。"
            "K 反正是学出来的，所以两者对网络没有区别。",
        }[language]
    ]
    channels = len(walk.input)
    if channels > 1:
        told.append(
            {
                "en": f"Each of the {channels} channels has a kernel of its own, and their sums "
                "are added up: one number, however many channels go in. A layer with several "
                "output channels does this anew for each, with other kernels.",
                "zh": f"{channels} 个通道各有自己的卷积核，各自的和再加在一起：不管输入几个通道，"
                "得到的都是一个数。输出有多个通道时，每个输出通道换一组卷积核，重新算一遍。",
            }[language]
        )
    if walk.padding:
        told.append(
            {
                "en": "A convolution pads with zeros, which add nothing to a sum.",
                "zh": "卷积用 0 填充，0 对求和没有影响。",
            }[language]
        )
    return told


def _about_channels(walk: Walkthrough, language: Language) -> str:
    c, h, w = walk.input.shape
    joined = "torch.cat((X, X + 1), 1)"
    return {
        "en": f"Each channel is pooled by itself. For PyTorch this input is (1, {c}, {h}, {w}): "
        f"one sample with {c} channels. {joined}, of which tutorial 004 says that it makes two "
        f"samples, joins along dimension 1, and that is the channels; two samples, (2, 1, {h}, "
        f"{w}), would come of dimension 0. Pooling gives the same numbers either way.",
        "zh": f"每个通道各自汇聚。对 PyTorch 来说，这个输入的形状是 (1, {c}, {h}, {w})：一个样本，"
        f"{c} 个通道。教程 004 说 {joined} 得到的是两个样本；其实它沿第 1 维拼接，那是通道维。"
        f"要得到两个样本 (2, 1, {h}, {w})，应沿第 0 维拼接。对汇聚来说，两种情形算出的数相同。",
    }[language]
