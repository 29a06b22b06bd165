"""How a run ended: a line where the network knows no more than a guess, and none where it does."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lenet import cli, data, runs
from lenet.engines.numpy import NumpyEngine
from lenet.language.finding import lines
from lenet.network.architecture import Flatten, Linear, Network
from lenet.network.parameters import State, initialize
from lenet.optimization import Objective, Settings
from lenet.runs import experiments
from lenet.training import Reading, recipes
from lenet.training.verdict import best_guess, conclude

pytestmark = pytest.mark.usefixtures("no_curves")


def ended(
    changes: dict[str, object], name: str = "d2l", out: str = "run"
) -> tuple[runs.RunRecord, list[str]]:
    """A run on the pictures that come with the program, and its remarks."""
    recipe = recipes.load(name, {"data": "fashion-mnist-small", **changes})
    experiments.begin(recipe, out=Path(out)).train()
    return runs.read(Path(out)), [
        remark.text for remark in runs.read_remarks(Path(out) / "remarks.jsonl")
    ]


# --- starts that have not come to pass ---------------------------------------------------------


@pytest.mark.slow
def test_a_run_that_ends_on_the_natural_plateau_says_so_with_its_own_numbers(
    in_tmp: Path,
) -> None:
    record, (text,) = ended({"epochs": 4})
    assert text.startswith(
        "Seen: this run ended before its network learnt anything: its loss of 2.3"
    )
    assert "are those of a guess (ln 10, 0.100)" in text
    assert "Sigmoid networks need about 400 such steps to start, and this run did 160" in text
    assert "(40 an epoch). Try: --epochs 25, or ReLU in place of Sigmoid" in text
    assert record.remark == text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ({"batch_size": 64, "epochs": 1}, "1,600 such steps to start, and this run did 157"),
        ({"schedule.learning_rate": 0.3, "epochs": 1}, "600 such steps to start, and this run"),
        ({"epochs": 1, "val": 0.5, "batch_size": 500}, "(10 an epoch). Try: --epochs 100"),
        (
            {"optimizer.method": "adam", "schedule.learning_rate": 0.001, "epochs": 1},
            "150 such steps to start, and this run did 40 (40 an epoch). Try: --epochs 10",
        ),
    ],
    ids=["batches of 64", "a third of the rate", "half held out", "adam"],
)
def test_what_a_start_needs_depends_on_batches_and_rate(
    in_tmp: Path, changes: dict[str, object], needed: str
) -> None:
    assert needed in ended(changes)[0].remark


def test_one_step_of_relu_is_too_few(in_tmp: Path) -> None:
    changes = {"network": "lenet-relu", "batch_size": 10_000, "epochs": 1}
    changes["schedule.learning_rate"] = 0.001
    text = ended(changes)[0].remark
    assert "a network needs 100 steps and more, and this run did 1 (1 an epoch)" in text


def test_a_fault_is_named_however_short_the_run(in_tmp: Path) -> None:
    changes = {"network": "lenet-relu", "schedule.learning_rate": 5.0, "epochs": 1}
    text = ended(changes)[0].remark
    assert "of the ReLU" in text or "the steps are too large" in text
    assert "Try: a learning rate of 0.1 in place of 5" in text


@pytest.mark.slow
def test_a_plateau_that_was_explained_at_the_end_is_not_explained_twice(in_tmp: Path) -> None:
    changes = {"network": "lenet-relu", "schedule.learning_rate": 5.0, "epochs": 3}
    changes["batch_size"] = 64
    record, texts = ended(changes)
    assert len(texts) == len(set(texts))
    assert record.remark == texts[-1]


# --- worse than a guess ------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [1e4, pytest.param(1e30, marks=pytest.mark.slow)])
def test_a_loss_that_has_blown_up_is_no_success(
    in_tmp: Path, rate: float, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "d2l", "--data", "fashion-mnist-small", "--epochs", "1"]
    assert cli.run([*command, "--lr", f"{rate:g}", "--out", "run"]) == 0
    printed = capsys.readouterr().out
    text = runs.read(Path("run")).remark
    seen, why, to_try = lines(text)
    assert f"{seen}\n{why}\n{to_try}\n" in printed
    assert seen.startswith("Seen: this run ended worse than it began")
    assert "that of a guess ln 10" in seen
    assert "the steps are too large: 40 steps of SGD moved" in why
    assert to_try == f"Try: a learning rate of 0.9 in place of {rate:g}."
    assert re.search(
        r"^epoch 1/1  loss [\d.]+e\+\d\d  train", printed, re.MULTILINE
    )  # no 30 digits


@pytest.mark.slow
def test_the_rate_that_is_named_is_the_one_that_was_set_not_where_a_schedule_ends(
    in_tmp: Path,
) -> None:
    text = ended({"network": "mlp", "epochs": 1, "schedule.learning_rate": 10.0}, "quickstart")[0]
    assert "Try: a learning rate of 0.001 in place of 10" in text.remark
    text = ended({"epochs": 1, "schedule.learning_rate": 1e-12}, "quickstart", "small")[0]
    assert "the steps are too small" in text.remark
    assert "in place of 1e-12" in text.remark


@pytest.mark.slow
def test_a_run_that_has_learnt_gets_no_remark(in_tmp: Path) -> None:
    for network in ("mlp", "lenet-relu"):
        record, texts = ended({"epochs": 1, "network": network}, "quickstart", network)
        assert texts == []
        assert record.remark == ""
        assert "remark" not in record.info["outcome"]


# --- who tells it ------------------------------------------------------------------------------


@pytest.mark.slow
def test_evaluate_and_inspect_tell_it_again(
    in_tmp: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    record, _ = ended({"epochs": 1})
    capsys.readouterr()
    assert cli.run(["evaluate", "run"]) == 0
    said = "about this run\n" + "\n".join(lines(record.remark)) + "\n"
    assert capsys.readouterr().err == f"lenet: {said}"
    assert cli.run(["inspect", "run", "--kernels"]) == 0
    assert capsys.readouterr().out.startswith(said)
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert cli.run(["evaluate", "run"]) == 0
    first, seen, why, to_try = capsys.readouterr().err.splitlines()
    assert first == "lenet: 关于这次训练"
    assert seen.startswith("现象：训练结束时网络还什么都没有学到：损失 3.")
    assert why.startswith("原因：Sigmoid 网络大约要 400 个这样的步")
    assert to_try.startswith("建议：--epochs 25，或用 ReLU 代替 Sigmoid")


def test_what_a_strangers_folder_says_is_short_and_one_line(in_tmp: Path) -> None:
    record, _ = ended({"epochs": 1})
    record.info["outcome"]["remark"] = "a\x1b[2J\n" + 5_000 * "b"
    assert record.remark.startswith("a[2Jbb")
    assert len(record.remark) <= 2_000
    record.info["outcome"]["remark"] = {"no": "text"}
    assert record.remark.isprintable()


@pytest.mark.slow
def test_a_resumed_run_ends_as_one_that_was_never_stopped(in_tmp: Path) -> None:
    whole, _ = ended({"epochs": 2}, out="whole")
    ended({"epochs": 1}, out="resumed")
    experiments.go_on(Path("resumed"), epochs=2).train()
    resumed = runs.read(Path("resumed"))
    assert resumed.remark == whole.remark != ""
    experiments.go_on(Path("resumed")).train()  # at its end already: it says so once more …
    assert runs.read(Path("resumed")).remark == whole.remark
    texts = [remark.text for remark in runs.read_remarks(Path("resumed/remarks.jsonl"))]
    assert texts.count(whole.remark) == 1  # … but writes it down once


@pytest.mark.slow
def test_the_weights_that_early_stopping_kept_are_judged_not_the_last(in_tmp: Path) -> None:
    """A network that learns in its first epoch, and is thrown away in its second."""
    recipe = recipes.load("quickstart", {"network": "mlp", "epochs": 3, "val": 0.1})
    recipe = recipes.change(recipe, "early_stopping.patience", 1)
    experiment = experiments.begin(recipe, out=Path("run"))
    outcome = experiment.train()
    blown_up = {name: values * 1e6 for name, values in outcome.weights.items()}
    state = replace(outcome.checkpoint.state, parameters=blown_up)
    experiment.engine.load(state)
    kept = replace(outcome.checkpoint, state=state, best=outcome.weights)
    assert experiment._verdict(replace(outcome, checkpoint=kept)) is None
    after = experiment.engine.state().parameters
    assert all(np.array_equal(after[name], blown_up[name]) for name in after)


def test_a_stopped_run_is_not_judged(in_tmp: Path) -> None:
    recipe = recipes.load("d2l", {"data": "fashion-mnist-small", "epochs": 2})
    experiments.begin(recipe, out=Path("run")).train(stop=lambda: True)
    assert runs.read(Path("run")).remark == ""


# --- what a guess reaches ----------------------------------------------------------------------


def test_a_network_that_tells_rare_classes_by_their_weights_has_learnt() -> None:
    """Its plain loss and accuracy are worse than those of always saying the frequent class."""
    labels = np.repeat(np.array([0, 1]), [950, 50])
    images = np.zeros((1000, 1, 2, 2), np.uint8)
    images[940:] = 200  # ten of the frequent class look like the rare one
    network = Network("two", (1, 2, 2), (Flatten(), Linear(4, 2)), ("often", "seldom"))
    settings = Settings(objective=Objective(class_weights="1, 19"), batch_size=100)
    train = data.Split(images, labels, network.classes, "made")
    engine = NumpyEngine(network, settings.optimizer, settings.objective, threads=1)
    parameters = initialize(network, "xavier", 0)
    parameters["1.weight"][:] = [[0.0] * 4, [1.0] * 4]
    parameters["1.bias"][:] = [0.0, -0.2]
    engine.load(State(parameters))
    history = [Reading(1.0, 10, 1000, 0.6, 0.5, None, None, None, None, 1.0, 1.0)]
    rates, first = np.full(10, 0.1), State(initialize(network, "xavier", 1))
    assert conclude(engine, train, settings, rates, history, first) is None
    plain = Settings(batch_size=100)
    assert conclude(engine, train, plain, rates, history, first) is not None


def test_the_best_guess() -> None:
    balanced = best_guess(np.arange(100) % 10, 10)
    assert (balanced.name, balanced.accuracy) == ("ln 10", 0.1)
    assert balanced.loss == pytest.approx(np.log(10))
    uneven = best_guess(np.repeat([0, 1], [90, 10]), 2)
    assert (uneven.name, uneven.accuracy) == ("0.325", 0.9)
    assert best_guess(np.zeros(5, np.int64), 1).loss == 0
