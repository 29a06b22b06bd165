"""The report of an evaluation: shares of each class, what is mistaken for what."""

import io

import numpy as np
import pytest
from rich.console import Console

from lenet import data
from lenet.looking import evaluation
from lenet.looking.evaluation import Report
from lenet.network import zoo
from lenet.network.layers import ArchitectureError
from lenet.network.parameters import initialize

REPORT = Report(
    "made up", ("cat", "dog", "emu"), 0.5, np.array([[6, 4, 0], [1, 9, 0], [0, 0, 0]], np.int64)
)


def test_shares() -> None:
    assert REPORT.examples == 20
    assert REPORT.accuracy == 0.75
    assert [REPORT.recall(label) for label in range(3)] == [0.6, 0.9, None]
    assert [REPORT.precision(label) for label in range(3)] == [6 / 7, 9 / 13, None]
    assert [REPORT.mistaken_for(label) for label in range(3)] == [(1, 4), (0, 1), None]


def test_json_has_every_number() -> None:
    values = evaluation.to_json(REPORT)
    assert values["accuracy"] == 0.75
    assert values["confusion"] == [[6, 4, 0], [1, 9, 0], [0, 0, 0]]
    assert values["classes"][2] == {
        "name": "emu",
        "examples": 0,
        "recall": None,
        "precision": None,
        "f1": None,
    }
    assert values["balanced_accuracy"] == values["macro_recall"] == 0.75
    assert values["macro_f1"] == pytest.approx((12 / 17 + 18 / 23) / 2)


def test_unequal_classes_by_figures_of_scikit_learn() -> None:
    # sklearn.metrics 1.9: balanced_accuracy_score, and precision_recall_fscore_support
    # (average="macro", zero_division=0), of these 110 pictures
    report = Report("", ("a", "b", "c"), 0.5, np.array([[95, 5, 0], [3, 2, 0], [4, 1, 0]]))
    assert report.accuracy == pytest.approx(0.8818181818)
    assert report.balanced_accuracy == pytest.approx(0.45)
    assert report.macro_precision == pytest.approx(0.3937908497)
    assert report.macro_f1 == pytest.approx(0.4160954557)
    assert [report.f1(label) for label in range(3)] == pytest.approx([190 / 202, 4 / 13, 0])
    assert report.precision(2) is None


@pytest.mark.parametrize(("width", "matrix"), [(100, True), (12, False)])
def test_the_matrix_is_shown_where_it_fits(width: int, matrix: bool) -> None:
    stream = io.StringIO()
    Console(file=stream, width=100).print(evaluation.render(REPORT, width))
    assert ("rows: what it is" in stream.getvalue()) == matrix
    assert "dog (4)" in stream.getvalue()


def test_pictures_of_another_shape_are_refused(small: data.Dataset) -> None:
    network = zoo.build("lenet", (3, 32, 32))
    with pytest.raises(ArchitectureError, match="takes pictures of 3×32×32 in 10 classes"):
        evaluation.evaluate(network, initialize(network, "torch", 0), small.test)


# --- the surest mistakes -----------------------------------------------------------------------


def test_the_surest_mistakes_come_first(small: data.Dataset) -> None:
    network = zoo.build("lenet", classes=small.test.classes)
    parameters = initialize(network, "xavier", 0)
    found = evaluation.mistakes(network, parameters, small.test, 50)
    probabilities = [mistake.probability for mistake in found]
    assert probabilities == sorted(probabilities, reverse=True)
    for mistake in found:
        assert mistake.label == small.test.labels[mistake.index] != mistake.predicted
        assert mistake.probability >= mistake.label_probability
    wrong = evaluation.mistakes(network, parameters, small.test, 10_000)
    report = evaluation.evaluate(network, parameters, small.test)
    assert len(wrong) == report.examples - np.trace(report.confusion)
    assert wrong[:50] == found


def test_equally_sure_mistakes_are_in_their_order(small: data.Dataset) -> None:
    network = zoo.build("mlp", classes=small.test.classes)
    nothing = {name: 0 * array for name, array in initialize(network, "torch", 0).items()}
    found = evaluation.mistakes(network, nothing, small.test, 5)
    assert [m.index for m in found] == np.flatnonzero(small.test.labels != 0)[:5].tolist()
    assert all(m.probability == pytest.approx(0.1) for m in found)


def test_no_mistakes_are_refused_before_anything_is_computed(small: data.Dataset) -> None:
    network = zoo.build("mlp")
    with pytest.raises(ValueError, match="0 mistakes: ask for at least 1"):
        evaluation.mistakes(network, {}, small.test, 0)


def test_mistakes_as_table_and_json() -> None:
    found = [evaluation.Mistake(1300, 0, 1, 0.99412, 0.0031)]
    stream = io.StringIO()
    Console(file=stream, width=80).print(evaluation.render_mistakes(found, ("[b]cat", "dog")))
    lines = stream.getvalue().splitlines()
    assert lines[0].split() == [
        "picture",
        "it",
        "is",
        "called",
        "probability",
        "of",
        "what",
        "it",
        "is",
    ]
    assert lines[1].split() == ["1300", "[b]cat", "dog", "0.9941", "0.0031"]
    (values,) = evaluation.mistakes_to_json(found, ("cat", "dog"))
    assert values["label"] == "cat"
    assert values["probability"] == 0.99412


def test_softmax_of_any_outputs_adds_up_to_one() -> None:
    outputs = np.array([[1e4, 0, -1e4], [-1e4, -1e4, -1e4]], np.float32)
    assert evaluation.softmax(outputs).tolist() == [[1, 0, 0], pytest.approx([1 / 3] * 3)]


def test_the_highest_output_is_the_answer_where_its_probability_cannot_tell() -> None:
    class Close:
        def logits(self, images: np.ndarray) -> np.ndarray:
            return np.array([[0, 1e-20, 0], [3, 1, 2]], np.float32)

    split = data.Split(np.zeros((2, 1, 2, 2), np.uint8), np.array([2, 2]), ("a", "b", "c"), "x")
    seen = evaluation.predicted_by(Close(), split)  # type: ignore[arg-type]
    assert seen.predicted.tolist() == [1, 0]
    assert seen.probability == pytest.approx([1 / 3, 0.66524096])
    assert seen.label_probability == pytest.approx([1 / 3, 0.24472847])


def test_class_names_are_no_markup() -> None:
    names = ("[/x]", "[red]a")
    report = Report("own", names, 0.5, np.array([[3, 1], [2, 4]]))
    stream = io.StringIO()
    Console(file=stream, width=80).print(evaluation.render(report, 80))
    shown = stream.getvalue()
    assert "[red]a (1)" in shown
    assert "[/x] (2)" in shown
    assert "[/x] [red]" in shown  # the matrix' columns
