"""The lab's sentences in Chinese: none is forgotten, and no stranger's takes for ever."""

# ruff: noqa: E501 (sentences as they are said)

from __future__ import annotations

import ast
import re
import time
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

import lenet
from lenet.lab.security import REFUSALS
from lenet.language import chinese
from lenet.language.chinese import in_chinese, listed_in_chinese
from lenet.training import recipes

LAB = Path(lenet.__file__).parent / "lab"
RAISED = ("LabError", "WeightsError", "TorchFileError", "DataError")
# Sentences that are another's, with the name of what it is about before it.
PASSED_ON = {"{}: {}", "{} is {}: {}", "{} is no file of weights that LeNet reads: {}"}


def template(node: ast.expr) -> str | None:
    """A sentence in a call, {} for what is put into it; None for what is no sentence."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        return "".join(map(str, parts))
    return None


def raised() -> set[str]:
    """What the lab's own files refuse with."""
    found = set()
    for path in LAB.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in RAISED:
                found |= {said for said in map(template, node.args) if said and " " in said}
    return found - PASSED_ON


def has_chinese(text: str) -> bool:
    return re.search("[\u4e00-\u9fff]", text) is not None


def test_whatever_the_lab_refuses_it_refuses_in_chinese_too() -> None:
    sentences = raised()
    assert len(sentences) > 40
    unknown = {said for said in sentences if in_chinese(said.replace("{}", "7")) is None}
    assert unknown == set()
    assert all(in_chinese(said) for _, said in REFUSALS.values())


def test_every_recipe_has_a_chinese_title() -> None:
    for name in recipes.names():
        recipe = recipes.load(name)
        assert has_chinese(in_chinese(recipe.title) or ""), recipe.title
        assert all(has_chinese(in_chinese(row.source) or "") for row in recipe.published)


@pytest.mark.parametrize(
    ("english", "expected"),
    [
        ("there is no run called 'x'", "没有名为 'x' 的训练"),
        (
            "/r/run.json cannot be read: it is not JSON from line 2, column 1 on; put back a copy of "
            "it, or move the folder elsewhere",
            "无法读取 /r/run.json：从第 2 行第 1 列起不是 JSON；请放回一份副本，或把文件夹移到别处",
        ),
        (
            "line 8: layer 7 (Linear) expects a vector of 401, but its input has shape 16×5×5",
            "第 8 行：第 7 层（Linear）需要长度为 401 的向量，但它的输入形状是 16×5×5",
        ),
        (
            "Seen: this run ended before its network learnt anything: its loss of 3.011 and its "
            "accuracy of 0.097 are those of a guess (ln 10, 0.100). Why: Sigmoid networks need about "
            "400 such steps to start, and this run did 40 (40 an epoch). Try: --epochs 25, or ReLU in "
            "place of Sigmoid, which starts at once (the recipe quickstart).",
            "现象：训练结束时网络还什么都没有学到：损失 3.011 和准确率 0.097 与猜测相同（ln 10，0.100）。"
            "原因：Sigmoid 网络大约要 400 个这样的步才开始学习，而这次训练做了 40 步（每轮 40 步）。"
            "建议：--epochs 25，或用 ReLU 代替 Sigmoid，它立刻就能开始（配方 quickstart）。",
        ),
        (
            "Seen: the loss has stayed at 2.303 ≈ ln 10 for 3 epochs; over 99% of the Sigmoid outputs of "
            "layer 1 (C1) are saturated (slope under 4% of its peak), as in layers 4 and 8. Why: no "
            "gradient reaches layer 0 through a flat Sigmoid; 354 steps of AdamW moved the weights of "
            "layer 0 (C1) by 2.1 times their first size. Try: a tenth of the learning rate (0.001).",
            "现象：损失停在 2.303 ≈ ln 10，已有 3 轮；第 1 层（C1）的 Sigmoid 输出有 99% 以上已饱和（斜率"
            "不到最陡处的 4%），第 4、8 层也是如此。原因：梯度通不过平坦的 Sigmoid，到不了第 0 层；354 步 "
            "AdamW 使第 0 层（C1）的权重移动了初始大小的 2.1 倍。建议：十分之一的学习率（0.001）。",
        ),
        (
            "x.pt is no file of weights that LeNet reads: give a .safetensors file, or a state dict "
            "that torch.save wrote",
            "x.pt 不是 LeNet 能读的权重文件：请给 .safetensors 文件，或 torch.save 保存的状态字典",
        ),
        ("layer cake with 7 (Linear) of it all", None),
        ("what nobody has translated", None),
        ("", None),
    ],
)
def test_a_sentence_in_chinese(english: str, expected: str | None) -> None:
    assert in_chinese(english) == expected


def test_several_sentences_are_all_known_or_none() -> None:
    known = "names as in an nn.Sequential"
    assert listed_in_chinese(f"BF16 was turned into float32; {known}") == (
        "BF16 已转换为 float32；名称与 nn.Sequential 相同"
    )
    assert listed_in_chinese(f"{known}; and this") is None


def test_no_template_is_there_twice_and_the_chinese_takes_every_part() -> None:
    tables = (chinese.LAB, chinese.FILES, chinese.TRAINING, chinese.PREDICTING, chinese.NETWORKS)
    pairs = [pair for table in (*tables, chinese.PHRASES) for pair in table]
    assert len({english for english, _ in pairs}) == len(pairs)
    for english, said in pairs:
        count = english.count("{}")
        marks = [f"〈{number}〉" for number in range(count)]
        shown = said.format(*marks)
        lacking = [mark for mark in marks if mark not in shown]
        assert not lacking or english.startswith("{} is not in {}"), english


def test_a_stranger_s_sentence_takes_no_time() -> None:
    began = time.process_time()
    for hostile in (
        "{} is " * 330,
        "; try " * 330,
        "it is damaged: " * 120,
        "the loss has stayed at " * 80,
        "; or " * 390,
        "Seen: . Why: . Try: . " * 90,
    ):
        in_chinese(hostile)
    assert time.process_time() - began < 2
