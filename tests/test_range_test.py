"""Range tests: the rule on made curves, real ones, --lr auto and lenet find-lr."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lenet import cli, data, runs
from lenet.drawing.range_figure import range_figure, range_text
from lenet.network import zoo
from lenet.optimization import Optimizer, Settings
from lenet.runs import experiments, range_test
from lenet.runs.range_test import Curve, RangeTest
from lenet.training import recipes


def curve(shape: Callable[[Any], Any]) -> Curve:
    """A curve whose loss is a function of the learning rate's power of ten."""
    rates = np.geomspace(1e-5, 10, 61)
    losses = shape(np.log10(rates))
    return Curve(rates, losses, losses)


def chosen(method: str, *curves: Curve, network: str = "lenet-relu") -> RangeTest:
    settings = Settings(optimizer=Optimizer(method))
    return range_test.choose(curves, settings, zoo.build(network), guess=2.3)


def valley(end: float) -> Curve:
    """Falls down to 0.001, stays low up to ``end``, and rises there."""
    low = np.log10(end)
    return curve(lambda power: np.interp(power, [-5, -3, low, low + 0.1], [2.3, 1, 1.05, 5]))


def test_the_rate_is_a_part_of_where_the_valley_ends() -> None:
    assert valley(0.1).edge == pytest.approx(0.1)
    assert chosen("sgd", valley(0.1)).learning_rate == pytest.approx(0.033)
    assert chosen("adam", valley(0.1)).learning_rate == pytest.approx(0.0025)
    found = chosen("sgd", valley(0.1), valley(0.01))  # the geometric mean of both
    assert found.learning_rate == pytest.approx(0.011)
    assert found.found
    assert "up to a learning rate of 0.032 the loss stayed near its lowest, 1.00" in found.why


def test_a_network_that_does_not_start_gets_the_usual_rate_and_is_told_so() -> None:
    flat = curve(lambda power: 2.31 + 0.1 * np.maximum(power, 0))
    found = chosen("sgd", flat, network="lenet")
    assert not found.found
    assert found.learning_rate == 0.9  # sigmoids
    assert "no lower than 2.31 at any rate, which is that of a guess (2.30)" in found.why
    assert chosen("sgd", flat).learning_rate == 0.1


def test_a_test_ends_where_the_loss_runs_away(small: data.Dataset) -> None:
    found = experiments.find_learning_rate(
        recipes.load("quickstart", {"network": "mlp", "optimizer.method": "sgd"}),
        data=(small.train.images[:1000], small.train.labels[:1000]),
    )
    for each in found.curves:
        assert len(each.learning_rates) == len(each.losses) == len(each.smoothed) < 200
        assert np.isfinite(each.losses).all()
        assert each.learning_rates[-1] < 10
    first, second = found.curves
    assert not (first.losses[:50] == second.losses[:50]).all()  # other weights, another order
    assert found.found
    assert 0.02 < found.learning_rate < 0.5


@pytest.mark.slow
def test_the_same_seed_finds_the_same_rate(small: data.Dataset) -> None:
    def find(seed: int) -> RangeTest:
        recipe = recipes.load("quickstart", {"network": "mlp", "seed": seed})
        return experiments.find_learning_rate(recipe, data=small)

    one, again, other = find(0), find(0), find(5)
    assert one.learning_rate == again.learning_rate
    assert (one.curves[0].losses == again.curves[0].losses).all()
    assert not (one.curves[0].losses[:50] == other.curves[0].losses[:50]).all()
    assert 1 / 4 < one.learning_rate / other.learning_rate < 4


# --- drawn -------------------------------------------------------------------------------------

CURVES = (valley(0.1), curve(lambda power: 2 + power**2))


def test_the_figure_shows_every_curve_and_the_rate() -> None:
    figure = range_figure(CURVES, 0.05, "Range test")
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert len(axes.lines) == 5  # two a curve, and the rate
    assert list(axes.lines[-1].get_xdata()) == [0.05, 0.05]
    assert "0.05" in axes.texts[0].get_text()


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_text_fits_the_terminal(width: int, ascii_only: bool) -> None:
    lines = [line.plain for line in range_text(CURVES, 0.05, width, ascii_only=ascii_only)]
    assert max(map(len, lines)) <= max(width, 40)
    assert "learning rate" in lines[0]
    assert "0.001" in lines[-1]
    assert "\n".join(lines).isascii() == ascii_only
    mark = "+" if ascii_only else "│"
    assert any(mark in line for line in lines)


# --- commands ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_find_lr_shows_and_draws_what_it_finds(
    in_tmp: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    command = ["find-lr", "quickstart", "--data", "fashion-mnist-small", "--network", "mlp"]
    assert cli.run([*command, "--out", "curve.svg"]) == 0
    said = capsys.readouterr().out
    assert "learning rate" in said
    assert "Train with it: lenet train quickstart --lr 0.0" in said
    assert max(len(line) for line in said.splitlines() if "│" in line) <= 80
    assert Path("curve.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert cli.run([*command, "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert f"--lr {values['learning_rate']:g}" in said
    assert not Path("runs").exists()
    assert cli.run([*command, "--out", "curve.txt"]) == 2


@pytest.mark.slow
def test_train_lr_auto_takes_it_and_says_why(
    in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "quickstart", "--data", "fashion-mnist-small", "--network", "mlp"]
    assert cli.run([*command, "--epochs", "1", "--lr", "auto", "--out", "run"]) == 0
    assert "learning rate 0.0" in capsys.readouterr().out
    record = runs.read(Path("run"))
    recipe = recipes.load("quickstart", {"network": "mlp", "data": "fashion-mnist-small"})
    found = experiments.find_learning_rate(recipe)
    assert record.recipe.settings.schedule.learning_rate == found.learning_rate
    assert any(
        "the loss stayed near its lowest" in r.text
        for r in runs.read_remarks(Path("run/remarks.jsonl"))
    )
    assert record.history[-1].test_acc is not None
    assert record.history[-1].test_acc > 0.6
    assert cli.run(["train", "--resume", "run", "--lr", "auto"]) == 2
    assert cli.run([*command, "--lr", "much"]) == 2
    assert "must be a number" in capsys.readouterr().err
