"""Runs and networks side by side."""

import json
from pathlib import Path

import pytest

from lenet import cli, runs
from lenet.looking import compare
from lenet.runs import experiments
from lenet.training import recipes


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("runs")
    folders = []
    for name, changes in (
        ("sigmoid", {"epochs": 1}),
        ("relu", {"epochs": 2, "network": "lenet-relu", "schedule.learning_rate": 0.1}),
    ):
        recipe = recipes.load("d2l", {"data": "fashion-mnist-small", "batch_size": 500, **changes})
        with pytest.MonkeyPatch.context() as patch:  # curves take longer than all the rest
            patch.setattr(experiments, "draw_curves", lambda record: [])
            experiments.begin(recipe, out=root / name).train()
        folders.append(root / name)
    return folders


def test_lenet_beside_mlp_answers_tutorial_004() -> None:
    (sentence,) = compare.sentences([compare.entry("lenet"), compare.entry("mlp")])
    assert sentence == (
        "lenet has 74% fewer parameters than mlp (61,706 against 235,146) and 1.77 times as many "
        "multiply-accumulates as mlp (416,520 against 234,752)"
    )
    (other_way,) = compare.sentences([compare.entry("mlp"), compare.entry("lenet")])
    assert other_way.startswith("mlp has 3.81 times as many parameters as lenet")


def test_a_network_beside_itself_needs_no_words() -> None:
    assert compare.sentences([compare.entry("lenet"), compare.entry("lenet")]) == []


@pytest.mark.slow
def test_runs_with_their_results_and_the_settings_that_differ(two_runs: list[Path]) -> None:
    entries = [compare.entry(str(folder)) for folder in two_runs]
    values = compare.to_json([*entries, compare.entry("mlp")])
    sigmoid, relu, mlp = values["entries"]
    last = runs.read(two_runs[1]).history[-1]
    assert (relu["epochs"], relu["train_loss"]) == (2.0, last.train_loss)
    assert relu["test_acc"] == last.test_acc
    assert sigmoid["network"] == "lenet"
    assert mlp["epochs"] is None
    assert mlp["test_acc"] is None
    assert values["differences"] == {
        "network": ["lenet", "lenet-relu"],
        "epochs": [1, 2],
        "schedule.learning_rate": [0.9, 0.1],
    }


def test_the_curves_of_each_run(two_runs: list[Path]) -> None:
    entries = [compare.entry(str(folder)) for folder in two_runs]
    figure = compare.curves(entries)
    assert figure is not None
    losses, accuracies = figure.axes
    assert [line.get_label() for line in losses.lines] == ["sigmoid", "relu"]
    history = runs.read(two_runs[1]).history
    assert list(losses.lines[1].get_ydata()) == [row.train_loss for row in history]
    assert len(accuracies.lines[1].get_ydata()) == 2
    assert compare.curves([compare.entry("lenet")]) is None


def test_the_command(
    two_runs: list[Path], in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [*map(str, two_runs), "mlp"]
    assert cli.run(["compare", *names, "--out", "curves.svg"]) == 0
    output = capsys.readouterr().out
    assert "schedule.learning_rate" in output
    assert "curves: curves.svg" in output
    assert Path("curves.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert cli.run(["compare", *names, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["entries"]) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["lenett"],
            "lenett is neither a network nor a run; did you mean lenet? the networks are lenet,",
        ),
        (["."], "is not a run: it holds no run.json"),
        (["lenet", "--out", "c.svg"], "none of these has readings"),
    ],
)
def test_wrong_input(
    arguments: list[str], message: str, in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["compare", *arguments]) == 2
    assert message in capsys.readouterr().err
