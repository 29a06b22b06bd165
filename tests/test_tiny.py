"""The whole path in seconds: pictures → training → checkpoint → weights → evaluation."""

from pathlib import Path

import pytest

import lenet
from lenet import data, optimization, runs
from lenet.looking import evaluation
from lenet.runs import experiments
from lenet.training import recipes


def test_from_nothing_to_a_network_that_recognises_pictures(in_tmp: Path) -> None:
    changes = {"network": "mlp", "epochs": 1, "val": 0.1}
    experiment = experiments.begin(recipes.load("quickstart", changes), engine="numpy")
    stopped = experiment.train(stop=lambda: True)
    assert not stopped.finished

    experiment = experiments.go_on(experiment.run.folder)
    outcome = experiment.train()
    assert outcome.finished

    record = runs.read(experiment.run.folder)
    assert record.status == "finished"
    network, parameters = lenet.load_model(record.folder)
    assert sum(row.parameters for row in lenet.trace(network)) == 235_146
    report = evaluation.evaluate(network, parameters, data.bundled().test)
    assert report.accuracy == record.history[-1].test_acc
    assert report.accuracy > 0.5  # chance is 0.1


def test_one_call_from_python(in_tmp: Path) -> None:
    record = lenet.train("quickstart", network="mlp", epochs=1, schedule__learning_rate=0.01)
    assert record.folder.parent == Path("runs")
    assert record.history[-1].epoch == 1
    assert record.recipe.settings.schedule.learning_rate == 0.01


SMALL = [lenet.Flatten(), lenet.Linear(784, 10)]


@pytest.mark.usefixtures("no_curves")
def test_networks_of_every_form(in_tmp: Path) -> None:
    by_list = lenet.train("quickstart", network=SMALL, epochs=1, out="list", lr=0.01)
    normal = lenet.Normalization((0.3,), (0.3,))
    own = lenet.Network("own", (1, 28, 28), SMALL, [f"class {n}" for n in range(10)], normal)
    by_network = lenet.train("quickstart", network=own, epochs=1, out=Path("network"), lr=0.01)
    assert by_list.network.layers == by_network.network.layers == tuple(SMALL)
    assert by_network.network.name == by_network.recipe.network == "own"
    assert by_network.network.normalization == normal
    assert by_network.network.classes == by_list.network.classes  # those of the pictures
    assert by_network.history != by_list.history
    again = lenet.train("quickstart", network=lenet.build("mlp"), epochs=1, lr=0.01)
    assert (again.recipe.network, again.recipe.layers) == ("mlp", "")
    lenet.go_on("network", epochs=2).train()
    assert lenet.load_model("network")[0].normalization == normal


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lenet.Network("lenet", (1, 28, 28), SMALL, tuple("0123456789")), "a name of its own"),
        (lenet.build("lenet", (3, 32, 32)), "takes pictures of 3×32×32, these are 1×28×28"),
        (lenet.build("lenet", classes=4), "has 4 classes, the pictures have 10"),
        ([lenet.Linear(784, 10)], "layer 0"),
        ([lenet.Linear], "write Linear"),
        (42, "network is of type int"),
    ],
)
def test_networks_that_do_not_fit_are_refused(in_tmp: Path, network: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lenet.train("quickstart", network=network, epochs=1)  # type: ignore[arg-type]
    assert not list(in_tmp.iterdir())


@pytest.mark.usefixtures("no_curves")
def test_optimizers_of_every_form(in_tmp: Path) -> None:
    short = {"network": SMALL, "epochs": 1}
    usual = lenet.train("quickstart", optimizer="adamw", **short)
    assert usual.recipe.settings.optimizer == optimization.Optimizer("adamw", weight_decay=0.01)
    assert usual.recipe.settings.schedule.learning_rate == 0.001
    given = optimization.Optimizer("adamw", weight_decay=0.1)
    own = lenet.train("quickstart", optimizer=given, lr=0.002, **short)
    assert own.recipe.settings.optimizer == given
    assert own.recipe.settings.schedule.learning_rate == 0.002
    schedule = optimization.Schedule("cosine", 0.05)
    whole = lenet.train("quickstart", schedule=schedule, **short)
    assert whole.recipe.settings.schedule == schedule


@pytest.mark.usefixtures("no_curves")
def test_arrays_train_resume_and_are_told_apart(in_tmp: Path) -> None:
    train, test = data.bundled().train, data.bundled().test
    pictures = (train.images, train.labels, test.images, test.labels)
    run = lenet.train("quickstart", data=pictures, network=SMALL, epochs=1, lr=0.01, out="arrays")
    from_files = lenet.train("quickstart", network=SMALL, epochs=1, lr=0.01)
    assert [r.train_loss for r in run.history] == [r.train_loss for r in from_files.history]
    assert run.info["data"]["sha256"] == from_files.info["data"]["sha256"]
    with pytest.raises(data.DataError, match="given as arrays"):
        lenet.go_on("arrays", epochs=2)
    with pytest.raises(runs.RunError, match=r"other pictures.*by data="):
        lenet.go_on("arrays", data=pictures[:2], epochs=2)
    lenet.go_on("arrays", data=pictures, epochs=2).train()
    assert lenet.read_run("arrays").history[-1].epoch == 2
    assert {run.folder.name for run in lenet.list_runs(".")} == {"arrays"}
    assert len(lenet.list_runs()) == 1  # in runs/
