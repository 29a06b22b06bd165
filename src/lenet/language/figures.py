"""The words on figures in Chinese: labels, legends, titles."""

from __future__ import annotations

from typing import Final

from lenet.language.chinese import spoken

# As in chinese.py: ``{}`` is a part that changes, and of two that match the first counts.
FIGURES: Final = (
    ("train loss", "训练损失"),
    ("train acc", "训练准确率"),
    ("val acc", "验证准确率"),
    ("test acc", "测试准确率"),
    ("epoch", "轮"),
    ("epoch {} of {}", "第 {} 轮，共 {} 轮"),
    ("test picture {} ({})", "测试图片 {}（{}）"),
    ("an array", "一个数组"),
    ("Range test: {}, {}, {}", "学习率测试：{}，{}，{}"),
    ("learning rate, rising from step to step", "学习率，逐步增大"),
    ("training loss", "训练损失"),
    ("{}: is it right as often as it says?", "{}：所说的概率与答对的比例"),
    ("at temperature 1: error {}", "温度为 1：误差 {}"),
    ("calibrated: error {}; pale: fewer than {} pictures", "校准后：误差 {}；浅色：不到 {} 张图片"),
    ("as it says", "与所说的一致"),
    ("share that is right", "答对的比例"),
    ("probability that it gave its answer", "它给自己的回答的概率"),
    ("pictures", "图片数"),
    ("what {} sees", "{} 看到的"),
    ("no pictures", "没有图片"),
    ("none of these", "都不是"),
    ("{} on {}", "{}：{}"),
    ("input", "输入"),
    ("output", "输出"),
    ("output: the first {} of {}", "输出：{1} 个中的前 {0} 个"),
    ("{}; of each the first {} of {} inputs", "{0}；各取 {2} 个输入中的前 {1} 个"),
    ("{}, first {}", "{}，前 {} 个"),
    ("R: the number right of each row", "R：每行右边的数"),
    ("{} to {}", "{} 到 {}"),
    ("class", "类别"),
    ("probability", "概率"),
    ("Kernels of {}", "{} 的卷积核"),
    ("{}, layer {}: {} kernels of {}, {}", "{}，第 {} 层：{} 个 {} 的卷积核，{}"),
    ("Parameters of {}", "{} 的参数"),
    ("mean {}, deviation {}", "平均值 {}，标准差 {}"),
    ("as tutorial 003 computes it", "教程 003 的算法"),
    ("as the network computes it", "网络自己的算法"),
    ("what conv2 gets", "conv2 的输入"),
    ("what conv2 makes of it", "conv2 的输出"),
    ("Two convolutions, summed over their channels", "两次卷积，各通道相加"),
    (
        "row: what it is   column: what it was called   blue: recognised, right its share   "
        "red: mistaken",
        "行：真实类别   列：网络的回答   蓝：认对，右边是比例   红：认错",
    ),
    ("is {} {}", "应为 {} {}"),
    ("picture {}", "图片 {}"),
    ("no mistakes", "没有错误"),
    (
        "{}: doubtful labels, and what the pictures are more like",
        "{}：可疑的标签，以及图片更像什么",
    ),
    ("train {}", "训练 {}"),
    ("val {}", "验证 {}"),
    ("test {}", "测试 {}"),
    ("held-out accuracy", "留出准确率"),
    ("{} (the first {} of {})", "{0}（{2} 组中的前 {1} 组）"),
    (
        "Settings, their seeds, and 95% intervals of their means",
        "各组设置、各个种子，以及平均值的 95% 置信区间",
    ),
    ("Means by epoch; dotted: given up", "每轮的平均值；点线：已放弃"),
    ("{}: most confident mistakes", "{}：最有把握的错误"),
    ("{}: {} of {} pictures recognised", "{0}：{2} 张图片认对 {1}"),
)


def figure_words(text: str) -> str:
    """What stands on a figure, in Chinese; the text itself where it is no known one.

    >>> figure_words("lenet on test picture 0 (7)"), figure_words("AdamW 0.01")
    ('lenet：测试图片 0（7）', 'AdamW 0.01')
    """
    return spoken(text, FIGURES)
