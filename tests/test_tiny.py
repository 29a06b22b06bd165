"""The whole path in seconds: pictures → training → checkpoint → weights → evaluation."""

from pathlib import Path

import lenet
from lenet import data, evaluation, experiments, recipes, runs


def test_from_nothing_to_a_network_that_recognises_pictures(in_tmp: Path) -> None:
    changes = {"network": "mlp", "epochs": 1, "schedule.learning_rate": 0.1, "val": 0.1}
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
    record = lenet.train("quickstart", network="mlp", epochs=1, schedule__learning_rate=0.1)
    assert record.folder.parent == Path("runs")
    assert record.history[-1].epoch == 1
    assert record.recipe.settings.schedule.learning_rate == 0.1
