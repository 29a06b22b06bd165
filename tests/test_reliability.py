"""Whether probabilities are worth what they say: counted by hand on made-up logits."""

import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from lenet import cli, data, runs
from lenet.looking import reliability
from lenet.looking.reliability import Reliability
from lenet.network.layers import ArchitectureError
from lenet.training.calibration import Calibration, fit_calibration


def logits_of(*shares: float) -> np.ndarray:
    """Two classes' logits whose first class has these probabilities."""
    return np.array([[math.log(share), math.log(1 - share)] for share in shares])


def test_the_error_counted_by_hand() -> None:
    # three pictures said at 0.9, two of them right; one at 0.62, wrong
    found = reliability.reliability(
        logits_of(0.9, 0.9, 0.9, 0.62), np.array([0, 0, 1, 1]), Calibration(), "four"
    )
    filled = [each for each in found.bins if each.pictures]
    assert [each.pictures for each in filled] == [1, 3]
    assert [each.accuracy for each in filled] == pytest.approx([0, 2 / 3])
    assert [each.confidence for each in filled] == pytest.approx([0.62, 0.9], abs=1e-6)
    assert found.error == pytest.approx(0.62 / 4 + abs(2 / 3 - 0.9) * 3 / 4, abs=1e-6)
    assert found.refused is None


def test_bins_hold_their_upper_edge_and_every_picture() -> None:
    shares = np.array([[1.0, 0.0], [0.5, 0.5], [14 / 15, 1 / 15]])
    found = reliability.bins(shares, np.array([0, 0, 0]))
    assert len(found) == 15
    assert [index for index, each in enumerate(found) if each.pictures] == [7, 13, 14]


def test_a_perfect_temperature_leaves_no_error() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (8000, 4))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (shares.cumsum(1) < random.random((8000, 1))).sum(1)
    fitted = fit_calibration(3 * logits[:4000], labels[:4000])
    found = reliability.reliability(3 * logits[4000:], labels[4000:], fitted, "other half")
    assert found.error < 0.03 < found.plain_error


def test_auroc_counts_pairs() -> None:
    assert reliability.auroc(np.array([3.0, 4.0]), np.array([1.0, 2.0])) == 1
    assert reliability.auroc(np.array([1.0]), np.array([1.0, 0.0])) == 0.75
    random = np.random.default_rng(1)
    own, others = random.integers(0, 9, 40).astype(float), random.integers(0, 9, 30).astype(float)
    pairs = [(a > b) + 0.5 * (a == b) for a in own for b in others]
    assert reliability.auroc(own, others) == pytest.approx(np.mean(pairs))


@pytest.fixture(scope="module")
def measured(calibrated_run: Path, few: data.Dataset) -> Reliability:
    network, parameters, notes = runs.load_model_and_notes(calibrated_run)
    noise = np.random.default_rng(0).integers(0, 256, few.test.images.shape, dtype=np.uint8)
    strangers = replace(few.test, images=noise)
    return reliability.measure(network, parameters, notes, few.test, ("noise", strangers), 1)


def test_a_run_is_measured_with_its_own_calibration(measured: Reliability) -> None:
    assert measured.pictures == 200
    assert measured.calibration.pictures == 200
    assert measured.refused is not None
    assert 0 <= measured.refused < 20
    assert measured.strangers is not None
    assert 0 <= measured.strangers.auroc <= 1
    assert sum(each.pictures for each in measured.bins) == 200


def test_the_numbers_in_words_and_as_a_table(measured: Reliability) -> None:
    said = " ".join(reliability.sentences(measured))
    assert f"error {measured.error:.4f}; it was {measured.plain_error:.4f} before" in said
    assert "fitted on 200 held-out pictures" in said
    assert "200 pictures of noise as strangers: AUROC" in said
    stream = io.StringIO()
    Console(file=stream, width=80).print(reliability.render(measured))
    assert len(stream.getvalue().splitlines()) == 1 + sum(b.pictures > 0 for b in measured.bins)
    plain = replace(measured, calibration=Calibration(), refused=None, strangers=None)
    assert "No temperature was fitted" in reliability.sentences(plain)[0]


def test_pictures_of_another_size_are_refused(calibrated_run: Path, few: data.Dataset) -> None:
    network, parameters, notes = runs.load_model_and_notes(calibrated_run)
    large = replace(few.test, images=few.test.images.repeat(2, 3))
    with pytest.raises(ArchitectureError, match="these are 1×28×56"):
        reliability.measure(network, parameters, notes, few.test, ("large", large), 1)


@pytest.mark.slow
def test_evaluate_draws_and_prints_it(
    calibrated_run: Path, in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = calibrated_run / "model.safetensors"
    command = ["evaluate", str(model), "--data", "fashion-mnist-small", "--calibration"]
    assert cli.run([*command, "--out", "here"]) == 0
    printed = capsys.readouterr().out
    assert "expected calibration error" in printed
    assert '"none of these" was said of' in printed
    assert (in_tmp / "here" / "reliability.png").stat().st_size > 10_000
    assert cli.run([*command, "--json", "--strangers", "fashion-mnist-small"]) == 0
    assert '"auroc": 0.5' in capsys.readouterr().out  # no picture is stranger than itself
