"""The words of a sweep's report in Chinese."""

# ruff: noqa: E501 (a sentence a line, its Chinese beside it)

from __future__ import annotations

from typing import Final

from lenet.language.chinese import spoken

# As in figures.py: ``{}`` is a part that changes, and of two that match the first counts.
SWEEPS: Final = (
    ("Which {}, {}, {} and {} for {}?", "{4}：{0}、{1}、{2}和{3}选哪一种？"),
    ("Which {}, {} and {} for {}?", "{3}：{0}、{1}和{2}选哪一种？"),
    ("Which {} and {} for {}?", "{2}：{0}和{1}选哪一种？"),
    ("Which {} for {}?", "{1}：{0}选哪一种？"),
    ("Sweep of {}: {}", "{0} 的各组设置：{1}"),
    ("activation", "激活函数"),
    ("pooling", "汇聚"),
    ("optimizer", "优化器"),
    ("initialization", "初始权重"),
    ("epochs", "轮数"),
    ("held-out accuracy", "留出准确率"),
    ("95% interval", "95% 置信区间"),
    ("behind the best", "与最好一组的差"),
    ("behind the best answer", "与最好的值的差"),
    ("question", "问题"),
    ("answer", "值"),
    ("best", "最好"),
    ("failed", "失败"),
    ("given up", "已放弃"),
    ("unfinished", "未完成"),
    ("Best on the held-out pictures: {}, {} (n = {}).", "在留出图片上最好的是：{}，{}（n = {}）。"),
    (
        "{} other setting trained to the end cannot be told from it with {} seeds (p at least 0.05).",
        "另有 {} 组训练到底的设置，用 {} 个种子分不出它们与最好一组的高下（p 不小于 0.05）。",
    ),
    (
        "{} other settings trained to the end cannot be told from it with {} seeds (p at least 0.05).",
        "另有 {} 组训练到底的设置，用 {} 个种子分不出它们与最好一组的高下（p 不小于 0.05）。",
    ),
    (
        "With one seed each, a difference may be chance: --seeds 5 says more.",
        "每组只有一个种子，差别可能只是偶然：用 --seeds 5 更说明问题。",
    ),
    (
        "On the test pictures, looked at once for this setting alone: {} (n = {}).",
        "在测试图片上（只为这一组设置看一次）：{}（n = {}）。",
    ),
    ("{} setting failed: see below.", "{} 组设置失败：见下文。"),
    ("{} settings failed: see below.", "{} 组设置失败：见下文。"),
    ("{}: {} settings, {} runs, {} of training in all.", "{}：{} 组设置，{} 次训练，训练时间共 {}。"),
    ("Every combination was tried", "试了所有组合"),
    ("Settings were drawn at random", "设置是随机抽取的"),
    ("Optuna ({}) drew the settings", "设置由 Optuna（{}）选取"),
    (
        "Settings are judged by the accuracy of the last epoch on {} of the training pictures, which no run is trained on. Each seed has first weights, an order and held-out pictures of its own, the same for all settings, so that settings are compared seed by seed.",
        "设置的好坏看最后一轮在 {} 张训练图片上的准确率，任何一次训练都不从这些图片学习。每个种子有自己的初始权重、图片次序和留出图片，对所有设置都相同，所以各组设置可以逐个种子地比较。",
    ),
    (
        "Mean ± standard deviation (n - 1). Intervals and p are Student's; p is of the paired difference from the best, made larger for the number of comparisons (Holm). The best one was chosen by these figures, so its own is a little too high.",
        "平均值 ± 标准差（n - 1）。置信区间和 p 按 Student 的 t 分布计算；p 针对与最好一组的配对差，再用 Holm 的方法按比较的次数加大。最好的一组是凭这些数字选出来的，所以它自己的数字略微偏高。",
    ),
    (
        "After epoch {} the best 1 in {} went on (successive halving). The others are compared with the best one after as many epochs: a setting that learns slowly at first may have been given up too early.",
        "第 {} 轮之后，最好的 1/{} 继续训练（逐次减半，successive halving）。其余各组在同样的轮数上与最好的一组比较：开头学得慢的设置可能放弃得太早。",
    ),
    (
        "A setting was stopped where its first seed fell below the median of earlier settings.",
        "第一个种子如果低于先前各组设置的中位数，就停止这一组。",
    ),
    (
        "The learning rate is the recipe's ({}) for its own optimiser and kind of activation, and the usual one of each other: SGD 0.9 with sigmoids and 0.1 without, Adam and AdamW 0.001.",
        "优化器和激活函数的种类与配方相同时，学习率用配方的（{}）；其余用各自通常的学习率：SGD 配 sigmoid 用 0.9，不配 sigmoid 用 0.1，Adam 和 AdamW 用 0.001。",
    ),
    (
        "Recipe {}, {} epochs, on {}. Machine: {}. Versions: {}.",
        "配方 {}，{} 轮，数据为 {}。机器：{}。版本：{}。",
    ),
    (
        "Each answer, averaged over everything else, after epoch {}, which all settings reached",
        "每个值对其他各项取平均的结果；比较的是第 {} 轮之后，所有设置都训练到了这一轮",
    ),
    ("Settings", "各组设置"),
    ("Questions", "各个问题"),
    ("Failed", "失败的设置"),
    ("How it was measured", "测量的方法"),
)  # fmt: skip


def sweep_words(text: str) -> str:
    """A heading or a sentence of the report, in Chinese; as it is where it is none of them.

    >>> sweep_words("Which pooling and optimizer for d2l?"), sweep_words("batch_size")
    ('d2l：汇聚和优化器选哪一种？', 'batch_size')
    """
    return spoken(text, SWEEPS)
