"""Whole trainings that end where their recipe says; n = 5 seeds are in bench/results/."""

from pathlib import Path

import pytest

from lenet import runs
from lenet.runs import experiments
from lenet.training import Reading, recipes


def last_reading(recipe: str) -> Reading:
    experiment = experiments.begin(recipes.load(recipe))
    experiment.train()
    return runs.read(experiment.run.folder).history[-1]


@pytest.mark.slow
def test_quickstart_learns_at_once_and_ends_where_it_is_published(in_tmp: Path) -> None:
    experiment = experiments.begin(recipes.load("quickstart"))
    experiment.train()
    history = runs.read(experiment.run.folder).history
    tested = [row.test_acc for row in history if row.test_acc is not None]
    assert len(tested) == 10
    assert tested[0] > 0.65  # 0.793 ± 0.016, n = 5
    assert tested[-1] > 0.84  # 0.862 ± 0.003, n = 5


@pytest.mark.slow
@pytest.mark.usefixtures("full_data")
def test_d2l_ends_where_the_tutorials_end(in_tmp: Path) -> None:
    last = last_reading("d2l")
    assert last.test_acc is not None
    assert last.test_acc > 0.70  # 0.800 ± 0.012, n = 5; single epochs jump by several points
    assert 0.44 < last.train_loss < 0.52  # 0.465 ± 0.005; the tutorials 0.485 and 0.470
