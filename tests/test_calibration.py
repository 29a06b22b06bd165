"""Temperature and threshold: fitted on made-up logits whose right answer is known."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lenet.training import calibration
from lenet.training.calibration import Calibration, CalibrationError


def drawn(
    count: int, seed: int, classes: int = 10
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Logits, and labels drawn from their softmax: perfectly calibrated at temperature 1."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (count, classes))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([random.choice(classes, p=row) for row in shares])
    return logits, labels


@pytest.mark.parametrize("factor", [0.3, 1.0, 2.5, 8.0])
def test_the_temperature_undoes_what_logits_were_multiplied_by(factor: float) -> None:
    logits, labels = drawn(4000, 0)
    fitted = calibration.fit_calibration(logits * factor, labels)
    assert fitted.temperature == pytest.approx(factor, rel=0.06)
    assert fitted.pictures == 4000


def test_the_temperature_is_at_the_minimum_of_the_loss() -> None:
    logits, labels = drawn(1500, 1)
    logits *= 3
    found = calibration.fit_calibration(logits, labels).temperature

    def loss(t: float) -> float:
        shares = calibration.probabilities(logits, Calibration(t)).astype(np.float64)
        return float(-np.log(shares[np.arange(len(labels)), labels]).mean())

    assert loss(found) <= min(loss(found * 1.02), loss(found / 1.02), loss(1.0))


def test_few_pictures_all_recognised_do_not_make_it_sure_of_everything() -> None:
    logits = np.eye(3)[[0, 1, 2, 0, 1]] * 6
    fitted = calibration.fit_calibration(logits, np.array([0, 1, 2, 0, 1]))
    assert 0.3 < fitted.temperature <= 1.01
    assert fitted.threshold is None  # one in a hundred of five is none


@pytest.mark.parametrize("count", [100, 250, 5000])
def test_at_most_one_in_a_hundred_held_out_pictures_is_refused(count: int) -> None:
    logits, labels = drawn(count, 2)
    fitted = calibration.fit_calibration(logits, labels)
    refused = int((~calibration.known(logits, fitted)).sum())
    assert refused == count // 100


def test_without_a_threshold_every_picture_is_known() -> None:
    assert calibration.known(np.full((3, 2), -1e9), Calibration()).all()


def test_familiarity_is_log_sum_exp_whatever_the_size() -> None:
    logits = np.array([[0.0, math.log(3)], [1e5, 0], [-1e5, -1e5]])
    expected = [math.log(4), 1e5, -1e5 + math.log(2)]
    assert calibration.familiarity(logits).tolist() == pytest.approx(expected)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.floats(-1e4, 1e4, width=32), min_size=3, max_size=3), min_size=1),
    st.floats(0.05, 20),
)
def test_probabilities_add_up_to_one_and_keep_the_order(
    rows: list[list[float]], temperature: float
) -> None:
    logits = np.array(rows, np.float32)
    shares = calibration.probabilities(logits, Calibration(temperature))
    assert shares.dtype == np.float32
    assert shares.sum(1) == pytest.approx(np.ones(len(rows)), abs=1e-5)
    each = np.arange(len(rows))
    assert (shares[each, logits.argmax(1)] == shares.max(1)).all()


def test_equal_logits_give_equal_calibrations() -> None:
    logits, labels = drawn(300, 3)
    assert calibration.fit_calibration(logits, labels) == calibration.fit_calibration(
        logits.copy(), labels.copy()
    )


def test_it_reads_back_from_json() -> None:
    for fitted in (Calibration(), Calibration(1.25, -3.5, 6000)):
        assert calibration.from_dict(json.loads(json.dumps(calibration.to_dict(fitted)))) == fitted


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], "must be an object"),
        ({"temperature": 0}, "must be a positive number"),
        ({"temperature": math.nan}, "must be a positive number"),
        ({"temperature": "1"}, "must be a number"),
        ({"temperature": True}, "must be a number"),
        ({"threshold": math.inf}, "must be finite"),
        ({"threshold": [1]}, "must be a number"),
        ({"pictures": -1}, "must be a whole number"),
        ({"pictures": 1.5}, "must be a whole number"),
    ],
)
def test_a_stranger_s_calibration_is_checked(values: object, said: str) -> None:
    with pytest.raises(CalibrationError, match=said):
        calibration.from_dict(values)


@pytest.mark.parametrize(
    ("logits", "labels"),
    [(np.empty((0, 3)), np.empty(0, np.int64)), (np.array([[np.nan, 1]]), np.array([0]))],
)
def test_nothing_to_fit_on_is_said(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> None:
    with pytest.raises(CalibrationError, match="nothing to calibrate on"):
        calibration.fit_calibration(logits, labels)
