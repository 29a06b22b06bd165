"""Class weights as texts and numbers, balanced ones, and what runs of unequal classes do."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lenet import cli, data, runs
from lenet.optimization import Objective, SettingError, Settings
from lenet.runs import experiments
from lenet.runs.record import RunError
from lenet.training import recipes, weighting

CLASSES = ("cat", "dog", "red panda")
LABELS = np.repeat([0, 1, 2], [6, 3, 1])
PICTURES = data.Split(np.zeros((10, 1, 2, 2), np.uint8), LABELS, CLASSES, "made")


@pytest.mark.parametrize(
    ("given", "text", "numbers"),
    [
        ("", "", ()),
        ("balanced", "balanced", (10 / 18, 10 / 9, 10 / 3)),
        ("Balanced", "balanced", (10 / 18, 10 / 9, 10 / 3)),
        ("dog=2", "dog=2", (1, 2, 1)),
        ("red panda = 5, cat=0.5", "red panda = 5, cat=0.5", (0.5, 1, 5)),
        ("1, 2, 3.5", "1, 2, 3.5", (1, 2, 3.5)),
        ({"dog": 2}, "dog=2.0", (1, 2, 1)),
        ([1, 2, np.float32(3)], "1.0, 2.0, 3.0", (1, 2, 3)),
        (np.array([0.1, 1, 2]), "0.1, 1.0, 2.0", (0.1, 1, 2)),
    ],
)
def test_ways_to_write_class_weights(given: object, text: str, numbers: tuple[float, ...]) -> None:
    objective = Objective(class_weights=given)  # type: ignore[arg-type]
    assert objective.class_weights == text
    assert weighting.resolved(objective, PICTURES).numbers == pytest.approx(numbers, abs=0)
    recipe = recipes.change(recipes.load("d2l"), "objective.class_weights", given)
    assert recipe.settings.objective == objective
    assert recipes.from_dict(recipes.to_dict(recipe)) == recipe


@given(st.lists(st.floats(0, 1e30), min_size=3, max_size=3).filter(any))
def test_numbers_survive_as_text(numbers: list[float]) -> None:
    objective = Objective(class_weights=numbers)  # type: ignore[arg-type]
    assert objective.numbers == tuple(numbers)
    assert weighting.resolved(objective, PICTURES) == objective


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("much", "'much' is no weight; give balanced, or weights by name such as cat=2,dog=1"),
        ("cat=", "'cat=' is no weight"),
        ("cat=-1", "class weight of cat is -1.0, must be at least 0 and finite"),
        ("1, nan, 2", "class weight is nan, must be at least 0 and finite"),
        ("cat=2, 3", "some parts have names and some have none"),
        ("cat=2, cat=3", "names 'cat' twice"),
        ("0, 0, 0", "all 0: nothing would be learnt"),
        (3, "objective.class_weights is 3; give balanced"),
        ({"cat": "much"}, "the class weight of 'cat' is 'much', must be a number"),
        ({"a,b": 2}, "has a comma or = in its name: give the class weights as one number"),
        ([True, 1, 1], "the class weight is True, must be a number"),
    ],
)
def test_what_is_no_weight_is_refused(given: object, message: str) -> None:
    with pytest.raises(SettingError) as caught:
        Objective(class_weights=given)  # type: ignore[arg-type]
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dgo=2", "no class is called 'dgo'; did you mean dog? choose from 'cat', 'dog'"),
        ("1, 2", "has 2 numbers for 3 classes ('cat', 'dog', 'red panda'): give one for each"),
        ("cat=0, dog=0, red panda=0", "0 for every class that has pictures"),
    ],
)
def test_what_does_not_fit_the_pictures_is_refused(text: str, message: str) -> None:
    with pytest.raises(SettingError) as caught:
        weighting.resolved(Objective(class_weights=text), PICTURES)
    assert message in str(caught.value)


def test_every_class_has_the_same_sum_of_balanced_weights() -> None:
    weights = weighting.balanced(LABELS, 4)  # the fourth has no pictures
    assert np.bincount(LABELS, weights[LABELS]) == pytest.approx([10 / 3] * 3)
    assert weights[3] == 1
    assert weights[LABELS].mean() == pytest.approx(1)


def test_what_each_picture_counts_in_all() -> None:
    assert weighting.emphasis(LABELS, 3, Settings(), None) is None
    settings = Settings(objective=Objective(class_weights="1, 2, 3"), sampling="balanced")
    own = np.ones(10, np.float32)
    own[0] = 0
    found = weighting.emphasis(LABELS, 3, settings, own)
    assert found is not None
    assert np.bincount(LABELS, found) == pytest.approx([10 / 3 * 5 / 6, 20 / 3, 10])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(9, np.float32), r"weights are float32 \(9,\); give float32 \(10,\)"),
        (np.ones(10), r"weights are float64 \(10,\); give float32"),
        (np.arange(-1, 9, dtype=np.float32), "the weight of picture 0 is -1; weights must be"),
        (np.full(10, np.nan, np.float32), "the weight of picture 0 is nan"),
    ],
)
def test_weights_of_pictures_are_checked(weights: np.ndarray, message: str) -> None:
    with pytest.raises(data.DataError, match=message):
        dataclasses.replace(PICTURES, weights=weights)


# --- runs --------------------------------------------------------------------------------------


def unequal(small: data.Dataset, rare: int) -> data.Dataset:
    """Shirts and a few coats, which are hard to tell apart; both equally often to test on."""

    def two(split: data.Split, count: int) -> data.Split:
        shirts = np.flatnonzero(split.labels == 6)
        coats = np.flatnonzero(split.labels == 4)[:count]
        chosen = np.concatenate([shirts, coats])
        labels = (split.labels[chosen] == 4).astype(np.int64)
        return data.Split(split.images[chosen], labels, ("shirt", "coat"), "two classes")

    return dataclasses.replace(
        small, name="two", train=two(small.train, rare), test=two(small.test, 10_000)
    )


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["native", "numpy"])
def test_weights_and_sampling_help_the_rare_class(
    small: data.Dataset, engine: str, in_tmp: Path
) -> None:
    loaded = unequal(small, 60)
    recalls = {}
    for name, changes in {
        "plain": {},
        "weights": {"objective.class_weights": "balanced"},
        "sampling": {"sampling": "balanced"},
    }.items():
        recipe = recipes.load("quickstart", {"epochs": 4, "batch_size": 32, **changes})
        experiment = experiments.begin(recipe, data=loaded, engine=engine, out=Path(name))
        experiment.train()
        confusion = experiment.engine.evaluate(loaded.test).confusion
        assert confusion is not None
        recalls[name] = confusion[1, 1] / confusion[1].sum()
    assert recalls["weights"] > recalls["plain"] + 0.1
    assert recalls["sampling"] > recalls["plain"] + 0.1


@pytest.mark.slow
def test_a_run_with_weights_stopped_and_gone_on_is_the_same_run(
    small: data.Dataset, in_tmp: Path
) -> None:
    train = data.subset(small.train, 600, 0)
    weights = np.random.default_rng(0).random(600).astype(np.float32)
    loaded = dataclasses.replace(
        small,
        train=dataclasses.replace(train, weights=weights),
        test=data.subset(small.test, 50, 0),
    )
    changes = {"epochs": 2, "objective.class_weights": "balanced", "sampling": "balanced"}
    recipe = recipes.load("quickstart", changes)
    whole = experiments.begin(recipe, data=loaded, out=Path("whole"))
    whole.train()
    asked = iter([False, False, True])
    experiments.begin(recipe, data=loaded, out=Path("cut")).train(stop=lambda: next(asked, True))
    with pytest.raises(RunError, match="other pictures"):  # other weights are other data
        experiments.go_on(Path("cut"), data=dataclasses.replace(loaded, train=train))
    experiments.go_on(Path("cut"), data=loaded).train()
    models = [(Path(name) / "model.safetensors").read_bytes() for name in ("whole", "cut")]
    assert models[0] == models[1]
    assert runs.read(Path("cut")).recipe.settings.objective.class_weights == "balanced"


def test_the_option_reaches_the_recipe_and_errors_are_one_line(
    in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "quickstart", "--data", "fashion-mnist-small", "--out", "run"]
    assert cli.run([*arguments, "--class-weights", "shrit=2"]) == 2
    assert "no class is called 'shrit'; did you mean shirt?" in capsys.readouterr().err
    assert cli.run([*arguments, "--class-weights", "-1"]) == 2
    assert cli.run([*arguments, "--set", "sampling=blanced"]) == 2
    assert "did you mean balanced?" in capsys.readouterr().err
    assert not Path("run").exists()
