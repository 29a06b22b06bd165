"""Lessons: ours are whole and true, and a stranger's file is refused with its place."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lenet import cli, scratch
from lenet.lab.export.bundle import WEB
from lenet.lab.lessons import reading
from lenet.lab.lessons.reading import LessonError, built_in, check, read, read_all
from lenet.network import zoo
from lenet.network.architecture import trace

EXAMPLE = Path(__file__).parents[1] / "examples" / "lesson.json"


def texts_of(value: Any) -> list[dict[str, str]]:
    """Every text in a lesson, in its languages."""
    if isinstance(value, list):
        return [text for each in value for text in texts_of(each)]
    if not isinstance(value, dict):
        return []
    if set(value) <= {"en", "zh"}:
        return [value]
    return [text for each in value.values() for text in texts_of(each)]


# --- ours ---------------------------------------------------------------------------------------


def test_ours_are_a_tour_five_lessons_and_three_challenges() -> None:
    kinds = [lesson["kind"] for lesson in built_in()]
    assert kinds == ["tour", *["lesson"] * 5, *["challenge"] * 3]
    stages = {row.stage for row in trace(zoo.build("lenet"))}
    for lesson in built_in():
        assert set(lesson.get("stages", [])) <= stages
        for text in texts_of(lesson):
            assert set(text) == {"en", "zh"}
        for step in lesson["steps"]:
            assert {light for light in step.get("light", []) if light[0].isupper()} <= stages
            for unit in re.findall(r"unit=(\w+):", step.get("address", "")):
                assert unit in {*stages, "picture", "last"}
            question = step.get("question", {})
            if "point" in question:
                assert question["point"]["stage"] in {*stages, "picture"}
            of = question.get("number")
            if isinstance(of, str) and " " in of:
                assert of.split()[1] in lesson["stages"]
    asked = {
        step["question"].get("challenge")
        for each in built_in()
        for step in each["steps"]
        if "question" in step
    }
    assert asked >= set(reading.CHALLENGES)


def numbers(text: str) -> set[float]:
    """The numbers of a text that say something: of two digits or more, or with a fraction."""
    found = re.findall(r"(?<![\w.])[-−]?\d[\d,]*(?:\.\d+)?", text)
    values = {float(each.rstrip(",").replace(",", "").replace("−", "-")) for each in found}
    return {value for value in values if abs(value) > 9 or value != int(value)}


def facts() -> dict[float, float]:
    """What the lessons may say, each number as the product computes it."""
    rows = {row.stage: row for row in trace(zoo.build("lenet")) if row.stage}
    c1, s2, c3, s4, f5 = (rows[stage] for stage in ("C1", "S2", "C3", "S4", "F5"))
    total = sum(row.parameters for row in rows.values())
    picture, outputs = 28 * 28, math.prod(c1.output_shape)
    x = np.arange(9.0).reshape(3, 3)
    kernel = np.arange(4.0).reshape(2, 2)
    slopes = np.array([[x[u : u + 2, v : v + 2].sum() for v in (0, 1)] for u in (0, 1)])
    exps = np.exp([2.0, 1.0, 0.0])
    shares = exps / exps.sum()
    linear = zoo.build("linear")
    columns = [column for column in range(27) if column // 2 == (column + 1) // 2]
    said = {
        19: scratch.corr2d(x, kernel)[0, 0],
        784: picture,
        28: c1.output_shape[1],
        27: c1.output_shape[1] - 1,
        14: len(columns),
        10: len(zoo.build("lenet").classes),
        7850: sum(row.parameters for row in trace(linear)),
        156: c1.parameters,
        3692640: (picture + 1) * outputs,
        16: s4.receptive_field[0],
        1176: math.prod(s2.output_shape),
        4704: outputs,
        400: math.prod(s4.output_shape),
        120: f5.output_shape[0],
        48120: f5.parameters,
        61706: total,
        7.389: exps[0],
        2.718: exps[1],
        11.107: exps.sum(),
        0.665: shares[0],
        0.245: shares[1],
        0.09: shares[2],
        -0.335: shares[0] - 1,
        0.408: -math.log(shares[0]),
        2.303: math.log(10),
        256: 4**4,
        12: slopes[0, 1],
        20: slopes[1, 0],
        24: slopes[1, 1],
        0.5: 0.5,  # a weight and a rate that are chosen
        0.1: 0.1,
        0.3: 0.5 - 0.1 * 2,
        255: np.iinfo(np.uint8).max,
        100: sum(shares) * 100,
        13: c3.input_shape[1] - 1,
    }
    assert s2.output_shape[1] == 14
    assert (c3.output_shape[1], slopes[0, 0], f5.parameters / total > 0.75) == (10, 8, True)
    assert [rows[stage].receptive_field[0] for stage in ("C1", "S2", "C3", "S4")] == [5, 6, 14, 16]
    return said


def test_every_number_that_they_say_is_the_product_s() -> None:
    known = facts()
    for value, computed in known.items():
        assert computed == pytest.approx(value, abs=5e-4), value
    for lesson in built_in():
        for text in texts_of(lesson):
            assert numbers(text["en"]) <= {*known}, text["en"]
            assert numbers(text["zh"]) <= {*known}, text["zh"]
    answers = [
        step["question"]["number"]
        for lesson in built_in()
        for step in lesson["steps"]
        if isinstance(step.get("question", {}).get("number"), int | float)
    ]
    assert len(answers) >= 12
    one_digit = {2: 8 / 4, 8: 0 + 1 + 3 + 4}
    for answer in answers:
        assert answer in known or one_digit[answer] == answer


def test_the_page_knows_what_a_file_may_name() -> None:
    folder = WEB / "explore" / "lessons"
    light, goals = ((folder / f"{name}.js").read_text("utf-8") for name in ("light", "goals"))
    parts = light.split("const PARTS = {")[1].split("};")[0]
    assert set(re.findall(r"(\w+):", parts)) == set(reading.LIGHTS)
    for name in (*reading.DOINGS, *reading.VALUES):
        assert re.search(rf'"?{name}"?: \(\) =>', goals), name
    for name in reading.MEASURES[:-1]:
        assert f'"{name}"' in goals, name
    challenges = (folder / "challenge.js").read_text("utf-8")
    for name in reading.CHALLENGES:
        assert re.search(rf'"?{name}"?: mount', challenges), name


# --- a teacher's --------------------------------------------------------------------------------


def test_the_example_of_the_docs_is_a_lesson(tmp_path: Path) -> None:
    lesson = read(EXAMPLE)
    assert (lesson["id"], lesson["kind"], len(lesson["steps"])) == ("lesson", "lesson", 3)
    kinds = {key for step in lesson["steps"] for key in step.get("question", {})}
    assert {"number", "choices", "do"} <= kinds
    again = tmp_path / "Tour.json"  # a name that one of ours has
    again.write_bytes(EXAMPLE.read_bytes())
    assert [each["id"] for each in read_all([EXAMPLE, again, EXAMPLE])] == [
        "lesson",
        "tour-2",
        "lesson-2",
    ]
    with pytest.raises(LessonError, match="at most 20"):
        read_all([EXAMPLE] * 21)


def changed(change: Callable[[Any], None]) -> Any:
    values = json.loads(EXAMPLE.read_text("utf-8"))
    change(values)
    return values


WRONG: list[tuple[str, Callable[[Any], Any], str]] = [
    ("form", lambda v: v.update(form="2"), r"form: lenet-lesson-1, got '2'"),
    ("missing", lambda v: v.pop("title"), "a lesson: title is missing"),
    ("unknown", lambda v: v["steps"][1].update(html="<b>"), r"steps\[1\]: 'html' is none of"),
    ("no steps", lambda v: v.update(steps=[]), "steps: a list of 1 to 40, got 0"),
    ("long", lambda v: v["steps"][0].update(text="a" * 701), "1 to 700 characters, got 701"),
    ("empty", lambda v: v["steps"][0].update(text={"zh": " "}), r"steps\[0\]\.text\.zh: a text"),
    ("language", lambda v: v.update(title={"fr": "a"}), "title: a text, or"),
    ("control", lambda v: v.update(title="a\x1b[2J"), "title: it has signs"),
    ("light", lambda v: v["steps"][0].update(light=["c1"]), r"light\[0\]: picture, .* got 'c1'"),
    ("address", lambda v: v["steps"][0].update(address="http://x?a#b"), "what follows the"),
    ("part", lambda v: v["steps"][0].update(address="token=1"), "'token' is none of model"),
    (
        "two answers",
        lambda v: v["steps"][0]["question"].update(do="pin"),
        r"steps\[0\]\.question: a question has one of .* this has number and do",
    ),
    ("no answer", lambda v: v["steps"][0]["question"].pop("number"), "this has none"),
    ("right", lambda v: v["steps"][1]["question"].update(right=7), "right: a number from 0 to 5"),
    ("right", lambda v: v["steps"][1]["question"].update(right=4), "which of the 3 choices"),
    ("fraction", lambda v: v["steps"][1]["question"].update(right=0.5), "which of the 3 choices"),
    ("alone", lambda v: v["steps"][1]["question"].pop("right"), "choices and right go together"),
    ("measure", lambda v: v["steps"][0]["question"].update(number="size C1"), "a number, or one"),
    ("stage", lambda v: v["steps"][0]["question"].update(number="field"), "field of which stage"),
    ("true", lambda v: v["steps"][0]["question"].update(number=True), "a number from -1e"),
    ("nan", lambda v: v["steps"][0]["question"].update(number=math.nan), "a number from -1e"),
    ("do", lambda v: v["steps"][2]["question"].update(do="eval"), "do: pin or draw"),
]


@pytest.mark.parametrize(("name", "change", "sentence"), WRONG, ids=[each[0] for each in WRONG])
def test_a_wrong_lesson_is_refused_with_its_place(
    name: str, change: Callable[[Any], Any], sentence: str
) -> None:
    values = changed(change)
    with pytest.raises(LessonError, match=sentence):
        check(values)


def test_a_wrong_file_is_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.json"
    for content, sentence in [
        (b"{", "is not JSON"),
        (b"\xff", "no UTF-8"),
        (b"[" * 5_000, "nested"),
        (b" " * 400_001, "larger than 400,000"),
        (b'{"form": "lenet-lesson-1", "form": 1}', "is there twice"),
        (b'{"form": "lenet-lesson-1", "title": "x", "steps": 3}', "steps: a list"),
    ]:
        path.write_bytes(content)
        assert cli.run(["lab", "--no-browser", "--runs", str(tmp_path), "--lesson", str(path)]) == 2
        said = capsys.readouterr().err
        assert sentence in said
        assert len(said.splitlines()) <= 3
    assert cli.run(["lab", "--no-browser", "--lesson", str(tmp_path / "none.json")]) == 2
    assert "none.json" in capsys.readouterr().err
