"""The report of an evaluation: shares of each class, what is mistaken for what."""

import io

import numpy as np
import pytest
from rich.console import Console

from lenet import data, evaluation, zoo
from lenet.architecture import ArchitectureError
from lenet.evaluation import Report
from lenet.parameters import initialize

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
    }


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
