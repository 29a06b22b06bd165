"""Recipes: what comes with the package, changes by dotted keys, and clear refusals."""

from pathlib import Path

import pytest

from lenet.optimization import SettingError
from lenet.training import recipes
from lenet.training.recipes import RecipeError


def test_the_named_recipes() -> None:
    assert recipes.names() == [
        *("d2l", "d2l-adam", "d2l-max", "lenet5", "lenet5-distorted", "mnist-adamw"),
        *("modern-fashion", "modern-mnist", "quickstart"),
        *("record-fashion", "record-fashion-90", "record-mnist", "small-mnist"),
    ]


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_survives_its_plain_form_and_toml(name: str, tmp_path: Path) -> None:
    recipe = recipes.load(name)
    assert recipe.title
    assert recipes.from_dict(recipes.to_dict(recipe)) == recipe
    path = tmp_path / f"{name}.toml"
    path.write_text(recipes.to_toml(recipe), encoding="utf-8")
    assert recipes.load(str(path)) == recipe


def test_d2l_is_what_the_tutorials_do() -> None:
    recipe = recipes.load("d2l")
    settings = recipe.settings
    assert (recipe.network, recipe.data, recipe.initialization) == (
        "lenet",
        "fashion-mnist",
        "xavier",
    )
    assert (settings.epochs, settings.batch_size, settings.optimizer.method) == (10, 256, "sgd")
    assert (settings.schedule.kind, settings.schedule.learning_rate) == ("constant", 0.9)
    assert [(row.loss, row.train_acc, row.test_acc) for row in recipe.published] == [
        (0.485, 0.814, 0.816),
        (0.470, 0.824, 0.805),
    ]


def test_tutorial_002_leaves_the_convolutions_as_pytorch_does() -> None:
    for name in ("d2l-adam", "d2l-max"):
        assert recipes.load(name).initialization == "xavier-linear"
        assert recipes.load(name).published == ()


def test_mnist_adamw_is_what_tutorial_003_does() -> None:
    recipe = recipes.load("mnist-adamw")
    optimizer = recipe.settings.optimizer
    assert (recipe.data, recipe.initialization) == ("mnist", "torch")
    assert (optimizer.method, optimizer.weight_decay) == ("adamw", 0.01)
    assert (recipe.settings.epochs, recipe.settings.batch_size) == (30, 512)
    assert (recipe.published[0].test_loss, recipe.published[0].test_acc) == (0.0380, 0.9879)


def test_changes_by_dotted_key() -> None:
    recipe = recipes.load("d2l", {"epochs": 3, "schedule.kind": "cosine", "val": 0.1})
    assert recipe.settings.epochs == 3
    assert recipe.settings.schedule.kind == "cosine"
    assert recipe.val == 0.1
    assert recipe.settings.batch_size == 256


def test_another_method_brings_its_usual_values() -> None:
    recipe = recipes.with_method(recipes.load("d2l"), "adamw", learning_rate_given=False)
    assert recipe.settings.optimizer.weight_decay == 0.01
    assert recipe.settings.schedule.learning_rate == 0.001
    kept = recipes.with_method(recipes.load("d2l"), "adam", learning_rate_given=True)
    assert kept.settings.schedule.learning_rate == 0.9
    assert recipes.with_method(recipe, "adamw", learning_rate_given=False) is recipe


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epoch": 3}, ["unknown key 'epoch'", "did you mean epochs?"]),
        ({"schedule.rate": 3}, ["unknown key 'schedule.rate'"]),
        ({"schedule": "cosine"}, ["'schedule' is a section", "did you mean schedule.kind?"]),
        ({"optimizer": "adam"}, ["'optimizer' is a section", "did you mean optimizer.method?"]),
        ({"lr": 0.1}, ["unknown key 'lr'", "did you mean schedule.learning_rate?"]),
        ({"learning_rate": 0.1}, ["did you mean schedule.learning_rate?"]),
        ({"optimizer.lr": 0.1}, ["did you mean schedule.learning_rate?"]),
        ({"wd": 0.1}, ["did you mean optimizer.weight_decay?"]),
        ({"momentum": 0.1}, ["did you mean optimizer.momentum?"]),
        ({"epochs.x": 3}, ["unknown key 'epochs.x'"]),
        ({"name": "x"}, ["unknown key 'name'"]),
        ({"settings.epochs": 3}, ["unknown key 'settings.epochs'"]),
        ({"schedule.kind": "cosin"}, ["'cosin'", "constant, step, cosine, one-cycle"]),
        ({"schedule.learning_rate": -1}, ["learning rate is -1", "above 0"]),
        ({"schedule.learning_rate": "abc"}, ["'abc'", "a number"]),
        ({"schedule.learning_rate": float("nan")}, ["nan"]),
        ({"batch_size": 0}, ["batch size is 0", "at least 1"]),
        ({"batch_size": 2.5}, ["2.5", "a whole number"]),
        ({"epochs": True}, ["True", "a whole number"]),
        ({"optimizer.nesterov": 1}, ["true or false"]),
        ({"optimizer.nesterov": True}, ["momentum"]),
        ({"optimizer.momentum": 1}, ["below 1"]),
    ],
)
def test_a_change_that_cannot_be_is_refused(changes: dict[str, object], words: list[str]) -> None:
    with pytest.raises((RecipeError, SettingError)) as caught:
        recipes.load("d2l", changes)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("epochs = [", "not TOML"),
        ("epoch = 3", "did you mean epochs?"),
        ("optimizer = 3", "must be a section"),
        ("[optimizer]\nmethd = 'sgd'", "did you mean optimizer.method?"),
        ("[[published]]\nloss = 0.3", "source is missing"),
        ("[[published]]\nsource = 'x'\nspeed = 3", "unknown key 'speed'"),
        ("published = 3", "[[published]]"),
        ("epochs = 0", "epochs is 0"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(text: str, word: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises((RecipeError, SettingError)) as caught:
        recipes.load(str(path))
    assert word in str(caught.value)


def test_case_is_no_mistake() -> None:
    assert recipes.load("D2L").name == "d2l"
    assert recipes.load("d2l", {"Schedule.Learning_Rate": 0.1, "EPOCHS": 3}).settings.epochs == 3
    assert recipes.load("MNIST_AdamW").name == "mnist-adamw"
    changed = recipes.load("d2l", {"optimizer.method": "AdamW", "schedule.kind": "One_Cycle"})
    assert changed.settings.optimizer.method == "adamw"
    assert changed.settings.schedule.kind == "one-cycle"
    assert recipes.with_method(recipes.load("d2l"), "Adam", False).settings.optimizer == (
        recipes.with_method(recipes.load("d2l"), "adam", False).settings.optimizer
    )


def test_a_recipe_whose_file_is_not_there(in_tmp: Path) -> None:
    with pytest.raises(RecipeError, match=r"d2l.toml: no such file; the recipe d2l comes with"):
        recipes.load("d2l.toml")
    with pytest.raises(RecipeError, match=r"no such file; did you mean d2l, a recipe"):
        recipes.load("dl2.toml")
    Path("mine.toml").write_text("epochs = 3", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"unknown recipe 'mine'; did you mean mine\.toml\?"):
        recipes.load("mine")


def test_names_that_are_not_there() -> None:
    with pytest.raises(RecipeError, match="unknown recipe 'dl2'; did you mean d2l"):
        recipes.load("dl2")
    with pytest.raises(RecipeError, match="no such file"):
        recipes.load("nowhere.toml")
    with pytest.raises(RecipeError, match="key=value"):
        recipes.parse_assignment("epochs")
    with pytest.raises(SettingError, match="sgd, adam, adamw"):
        recipes.with_method(recipes.load("d2l"), "rmsprop", learning_rate_given=True)


def test_keys_name_every_value_that_can_be_set() -> None:
    recipe = recipes.load("d2l")
    plain = recipes.to_dict(recipe)
    keys = recipes.keys()
    for key in keys:
        head, _, rest = key.partition(".")
        value = plain[head][rest] if rest else plain[head]
        assert recipes.change(recipe, key, value) == recipe
