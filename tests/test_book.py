"""The lessons and questions of docs/: their figures are computed or looked up again, twice."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pytest

import lenet
from lenet import data
from lenet.engines import with_weights
from lenet.lab.lessons.reading import built_in
from lenet.looking.evaluation import softmax
from lenet.network import zoo
from lenet.network.layers import SATURATED_SHARE, Sigmoid
from lenet.network.parameters import initialize
from lenet.scratch import corr2d, pool2d

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
NAMES = sorted(page.stem for page in (DOCS / "lessons").glob("*.md"))
PAGES = {"en": DOCS / "lessons", "zh": DOCS / "zh" / "lessons"}

X = np.arange(9.0).reshape(3, 3)
K = np.array([[0.0, 1.0], [2.0, 3.0]])


def text(name: str, language: str) -> str:
    return (PAGES[language] / f"{name}.md").read_text(encoding="utf-8")


def parameters(name: str) -> int:
    return sum(layer.parameters for layer in lenet.trace(zoo.build(name)))


def seeds(network: str, optimizer: str) -> list[float]:
    record = json.loads((ROOT / "bench/results/baselines.json").read_text(encoding="utf-8"))
    for row in record["rows"]:
        if (row["network"], row["optimizer"]) == (network, optimizer):
            return list(row["test_accuracies"])
    raise AssertionError(network)


def seeing() -> list[str]:
    c1, s4, dense = (
        lenet.trace(lenet.build("lenet"))[0],
        *(lenet.trace(lenet.build("lenet"))[index] for index in (5, 7)),
    )
    outputs = math.prod(c1.output_shape)
    whole = 784 * outputs + outputs
    sums = corr2d(X, K).ravel()
    assert dense.receptive_field == (28, 28)
    return [
        f"= {sums[0]:g}",
        *(f"{value:g}" for value in sums[1:]),
        f"{c1.parameters}",
        f"{whole:,}",
        f"{whole / c1.parameters:,.0f}",
        f"784·{outputs:,}",
        f"{s4.receptive_field[0]}×{s4.receptive_field[1]}",
        f"{mean(seeds('linear', 'adam')):.3f}",
        f"{mean(seeds('lenet', 'sgd')):.3f}",
    ]


def judging() -> list[str]:
    p = softmax(np.array([[2.0, 1.0, 0.0]]))[0]
    gradient = p - [1, 0, 0]
    assert softmax(np.array([[102.0, 101.0, 100.0]]))[0] == pytest.approx(p)
    return [
        *(f"{share:.3f}" for share in p),
        f"−ln {p[0]:.3f} = {-math.log(p[0]):.3f}",
        f"−ln {p[2]:.3f} = {-math.log(p[2]):.3f}",
        f"ln 10 = {-math.log(softmax(np.ones((1, 10)))[0, 3]):.3f}",
        f"−{-gradient[0]:.3f}",
        *(f"{value:.3f}" for value in gradient[1:]),
    ]


def learning() -> list[str]:
    way = [0.0]
    for _ in range(2):
        way.append(way[-1] - 1.1 * 2 * (way[-1] - 3))
    grown = np.pad(np.ones((2, 2)), 1)
    given = corr2d(grown, K[::-1, ::-1])  # of each number of X
    back = np.isin(X, pool2d(X, (2, 2))).astype(int)
    assert back.tolist() == [[0, 0, 0], [0, 1, 1], [0, 1, 1]]
    sigmoids = sum(isinstance(layer, Sigmoid) for layer in lenet.build("lenet").layers)
    assert sigmoids == 4
    assert given[0, 0] == 0
    return [
        f"{0 + 0.1 * 6:g}",
        f"{way[1]:g}",
        f"−{-way[2]:.2f}",
        f"{math.ceil(60_000 / 256)}",
        f"{60_000 % 256}",
        *(f"= {value:g}" for value in corr2d(X, np.ones((2, 2))).ravel()),
        f"= {given[1, 1]:g}",
        f"1/{4**sigmoids}",
    ]


def getting_stuck() -> list[str]:
    found = ["1.7", f"{400 / (10_000 / 256):.0f}", "0.1135", "2.303"]
    if data.available("mnist"):
        ones = int((lenet.load_data("mnist").test.labels == 1).sum())
        assert f"{ones / 10_000:.4f}" == "0.1135"
        found.append(f"{ones:,}")
    assert 400 / math.ceil(60_000 / 256) == pytest.approx(1.7, abs=0.01)
    notebook = (ROOT / "examples/en/4-lenet-mnist-adamw.ipynb").read_text(encoding="utf-8")
    hard, warm = re.findall(r"(\d+) of 16 channels show no picture", notebook)
    assert warm == "0"  # "none"
    (accuracy,) = re.findall(r"AdamW 0.01  .*test acc ([\d.]+)", notebook)
    return [*found, hard, f"{100 * float(accuracy):.1f}%"]


def believing() -> list[str]:
    five = seeds("lenet", "sgd")
    relu = seeds("lenet-relu", "sgd")
    draws = np.random.default_rng(0).standard_normal((20_000, 20)).max(axis=1).mean()
    assert 0.8 + 0.012 * draws == pytest.approx(0.822, abs=0.0005)
    now, then = parameters("lenet"), parameters("lenet5")
    reproduced = json.loads((ROOT / "bench/results/reproduction.json").read_text(encoding="utf-8"))
    rows = {(row["recipe"], row["figure"]): row["mean"] for row in reproduced["rows"]}
    c3 = 16 * 6 * 25 - 60 * 25
    return [
        *(f"{value:.3f}" for value in five),
        f"{mean(five):.3f}",
        f"{stdev(five):.3f}",
        f"{math.sqrt(0.8 * 0.2 / 10_000):g}",
        f"{mean(relu):.3f} ± {stdev(relu):.3f}",
        f"{parameters('linear'):,}",
        f"{then:,} + {c3} − {12 + 32} + {84 * 10 + 10} = {now:,}",
        f"{rows['mnist-adamw', 'train accuracy']:.3f}",
        f"{rows['mnist-adamw', 'test accuracy']:.3f}",
    ]


FIGURES: dict[str, Callable[[], list[str]]] = {
    "1-seeing": seeing,
    "2-judging": judging,
    "3-learning": learning,
    "4-getting-stuck": getting_stuck,
    "5-believing": believing,
}


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_is_what_the_product_computes(name: str) -> None:
    for figure in FIGURES[name]():
        for language in PAGES:
            assert re.search(rf"(?<![\d.]){re.escape(figure)}(?!\d)", text(name, language)), (
                f"{language}: {figure}"
            )


@pytest.mark.parametrize("language", PAGES)
def test_max_pooling_gives_the_gradient_to_the_maxima_that_are_named(language: str) -> None:
    maxima = [f"{value:g}" for value in pool2d(X, (2, 2)).ravel()]
    assert re.search(r"(, | and |、)".join(maxima), text("3-learning", language))


@pytest.mark.slow
@pytest.mark.usefixtures("full_data")
def test_what_is_said_of_the_sigmoids_before_training() -> None:
    network = lenet.build("lenet")
    images = lenet.load_data("fashion-mnist").test.images[:1000]
    slopes, deviations = [], []
    for seed in range(3):
        weights = initialize(network, "xavier", seed)
        outputs = with_weights(network, weights, 1).activations(images)
        after = [x for x, layer in zip(outputs, network.layers, strict=True) if layer == Sigmoid()]
        slopes.append([float((4 * x * (1 - x)).mean()) for x in after])
        assert all((4 * x * (1 - x)).min() > SATURATED_SHARE for x in after)  # 0% are saturated
        deviations.append([x.reshape(1000, -1).std(axis=0).mean() for x in after])
    least, most = np.min(slopes), np.max(slopes)  # of all layers and seeds
    first, *_, last = np.mean(deviations, axis=0)
    for language, to in (("en", " to "), ("zh", "% 到 ")):
        page = text("4-getting-stuck", language)
        assert f"{100 * least:.0f}{to}{100 * most:.0f}%" in page
        assert f"{first:.2g}" in page
        assert f"{last:.2g}" in page


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_ask_the_same_questions_and_fold_as_many_answers(name: str) -> None:
    english, chinese = text(name, "en"), text(name, "zh")
    for page in (english, chinese):
        questions = re.findall(r"^(\d)\. ", page, re.M)
        assert questions == [str(number + 1) for number in range(len(questions))]
        assert len(questions) == page.count("<details>") == page.count("</details>")
    assert re.findall(r"#/\S+?`", english) == re.findall(r"#/\S+?`", chinese)
    assert english.count("\n## ") == chinese.count("\n## ")


# What begins a paragraph in Chinese and is no term.
HEADS = ("在", "笔记", "更多", "为什么", "经过", "更小")


def test_the_lessons_of_the_lab_that_they_name_are_there() -> None:
    named = [name for page in NAMES for name in re.findall(r"\?lesson=([a-z-]+)", text(page, "en"))]
    assert len(named) >= 3
    assert set(named) <= {lesson["id"] for lesson in built_in()}


@pytest.mark.parametrize("language", PAGES)
def test_each_term_is_defined_where_it_first_stands(language: str) -> None:
    """A term is bold where it is defined; before that it stands in none of the lessons."""
    pages = [text(name, language) for name in NAMES]
    pages = [page[page.index("\n## ") :] for page in pages]  # without introductions
    code = r"^```[\s\S]*?^```|\]\([^)]*\)|`[^`]*`|^#.*|^!.*"
    whole = re.sub(code, "", "\n".join(pages), flags=re.MULTILINE)
    terms = [
        term
        for term in re.findall(r"\*\*([^*:。，]{2,30})\*\*", whole)
        if not term[0].isupper() and not term.startswith(HEADS)
    ]
    assert len(terms) >= 25
    early = []
    for term in terms:
        pattern = re.escape(term) if language == "zh" else rf"\b{re.escape(term)}s?\b"
        first = re.search(pattern, whole, re.IGNORECASE)
        assert first is not None
        if whole[first.start() - 2 : first.start()] != "**":
            early.append((term, whole[first.start() - 40 : first.start() + 30]))
    assert not early, f"used before their definition: {early}"


# Which measurements a page shows, whole, as mean ± deviation.
TABLES = {
    "convolution-or-dense": ["shift"],
    "why-sigmoid-stalls": ["activation"],
    "what-came-later": ["activation"],
    "xavier-and-he": ["start"],
    "sgd-or-adam": ["rate", "batch"],
    "can-softmax-be-trusted": ["trust"],
}


@pytest.mark.parametrize("language", ["questions", "zh/questions"])
@pytest.mark.parametrize("name", TABLES)
def test_a_question_shows_what_was_measured(name: str, language: str) -> None:
    record = json.loads((ROOT / "bench/results/questions.json").read_text(encoding="utf-8"))
    page = (DOCS / language / f"{name}.md").read_text(encoding="utf-8")
    for table in TABLES[name]:
        for label, values in record["tables"][table].items():
            shown = f"{mean(values):.3f} ± {stdev(values):.3f}"
            assert shown in page, f"{table}, {label}: {shown}"


@pytest.mark.parametrize("language", ["questions", "zh/questions"])
def test_the_figures_of_the_baselines_are_those_of_the_record(language: str) -> None:
    shown = {
        f"{mean(values):.3f} ± {stdev(values):.3f}"
        for values in (
            seeds(*which)
            for which in (("linear", "adam"), ("linear", "sgd"), ("mlp", "sgd"), ("lenet", "sgd"))
        )
    }
    page = (DOCS / language / "how-much-is-luck.md").read_text(encoding="utf-8")
    assert all(figure in page for figure in shown)


def test_connections_and_parameters_of_the_three_lenets() -> None:
    counted = [
        f"{sum(layer.connections for layer in lenet.trace(zoo.build(name))):,}"
        for name in ("lenet5", "lenet")
    ]
    for folder in ("questions", "zh/questions"):
        page = (DOCS / folder / "three-lenets.md").read_text(encoding="utf-8")
        assert all(figure in page for figure in counted)


@pytest.mark.parametrize("language", ["", "zh"])
def test_corrections_show_what_was_measured(language: str) -> None:
    page = (DOCS / language / "corrections.md").read_text(encoding="utf-8")
    for network, optimizer in (("linear", "adam"), ("lenet", "sgd"), ("lenet-relu", "sgd")):
        values = seeds(network, optimizer)
        assert f"{mean(values):.3f} ± {stdev(values):.3f}" in page
    layers = lenet.trace(zoo.build("lenet"))
    pooled = sum(layer.connections for layer in layers if layer.stage.startswith("S"))
    whole = sum(layer.connections for layer in layers)
    assert f"{whole - pooled:,}" in page
    assert f"{whole:,}" in page
    rows = re.findall(r"^\| .* \|$", page, re.M)
    claims = [row for row in rows if row.count("`") >= 2]
    assert len(claims) >= 17
    for row in claims:  # the last cell is a command of ours, of a script that is there
        (command,) = re.findall(r"`([^`]+)` \|$", row)
        words = command.split()
        assert words[0] == "lenet" or (words[0] == "python" and (ROOT / words[1]).exists()), row
