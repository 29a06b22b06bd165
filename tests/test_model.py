"""lenet.load: a trained network with its preparation and calibration, from a run or a file."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import lenet
from lenet import data
from lenet.data.picture_files import PictureFileError
from lenet.data.preparation import Preparation, PreparationError
from lenet.network.architecture import to_dict
from lenet.network.parameters import initialize
from lenet.network.weights import WeightsError, pack, save_network
from lenet.network.zoo import build
from lenet.runs import RunError, experiments
from lenet.ship.model import Model, load
from lenet.training import calibration, recipes
from lenet.training.calibration import Calibration


def model_file(path: Path, **notes: Any) -> Path:
    """A network's first weights with these notes."""
    network = build("lenet")
    save_network(path, network, initialize(network, "torch", 0), notes)
    return path


# --- what a run leaves -------------------------------------------------------------------------


def test_a_run_leaves_the_calibration_of_its_held_out_pictures(
    calibrated_run: Path, few: data.Dataset
) -> None:
    model = load(calibrated_run)
    _, val = data.hold_out(few.train, 0.25, recipes.load("quickstart").settings.seed)
    assert len(val) == model.calibration.pictures == 200
    expected = calibration.fit_calibration(model.logits(val.images), val.labels)
    assert model.calibration == expected
    assert (~model.known(val.images)).sum() == 2
    assert model.preparation == Preparation(1, 28, 28, "object", "dark")


def test_nothing_held_out_nothing_calibrated(
    few: data.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiments, "draw_curves", lambda record: [])
    given = replace(few, preparation=Preparation(1, 28, 28, "crop"))
    recipe = recipes.load("quickstart", {"epochs": 1})
    experiments.begin(recipe, data=given, out=tmp_path / "run", threads=1).train()
    model = load(tmp_path / "run")
    assert model.calibration == Calibration()
    assert model.preparation == given.preparation  # the data set's own


def test_early_stopping_calibrates_the_weights_that_are_kept(
    few: data.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiments, "draw_curves", lambda record: [])
    changes = {"epochs": 6, "val": 0.25, "schedule.learning_rate": 0.02}
    recipe = recipes.load("quickstart", {**changes, "early_stopping.patience": 1})
    experiment = experiments.begin(recipe, data=few, out=tmp_path / "run", threads=1)
    outcome = experiment.train()
    assert outcome.checkpoint.best is not None
    model, val = load(tmp_path / "run"), experiment.parts.val
    assert val is not None
    assert model.calibration == calibration.fit_calibration(model.logits(val.images), val.labels)


def test_outputs_that_are_not_finite_lose_no_run(
    few: data.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiments, "draw_curves", lambda record: [])
    recipe = recipes.load("quickstart", {"epochs": 1, "val": 0.25})
    experiment = experiments.begin(recipe, data=few, out=tmp_path / "run", engine="numpy")
    logits = experiment.engine.logits
    monkeypatch.setattr(experiment.engine, "logits", lambda images: logits(images) - np.inf)
    assert experiment.train().finished
    assert load(tmp_path / "run").calibration == Calibration()


# --- predictions -------------------------------------------------------------------------------


def test_probabilities_are_the_softmax_at_the_run_s_temperature(
    calibrated_run: Path, few: data.Dataset
) -> None:
    model, images = lenet.load(calibrated_run), few.test.images
    shares = model(images)
    assert shares.shape == (200, 10)
    assert shares.dtype == np.float32
    np.testing.assert_array_equal(
        shares, calibration.probabilities(model.logits(images), model.calibration)
    )
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-6)
    assert (shares.argmax(1) == few.test.labels).mean() > 0.5


def test_one_picture_many_pictures_with_and_without_channels(
    calibrated_run: Path, few: data.Dataset
) -> None:
    model, images = load(calibrated_run), few.test.images[:3]
    for given in (images, images[:, 0]):
        np.testing.assert_array_equal(model(given), model(images))
    for one in (images[0], images[0, 0]):
        np.testing.assert_allclose(model(one), model(images)[:1], atol=1e-6)


@pytest.mark.parametrize(
    "images",
    [np.zeros((2, 28, 28)), np.zeros((2, 3, 28, 28), np.uint8), np.zeros((32, 32), np.uint8), 7],
)
def test_other_pictures_are_refused(calibrated_run: Path, images: Any) -> None:
    with pytest.raises(ValueError, match=r"takes uint8 \(n, 1, 28, 28\)"):
        load(calibrated_run)(images)


def test_a_file_an_array_and_pillow_s_picture_are_the_same(
    calibrated_run: Path, tmp_path: Path
) -> None:
    model = load(calibrated_run)
    image = np.full((200, 150, 3), 250, np.uint8)
    image[30:180, 50:100] = (120, 30, 60)
    picture = Image.fromarray(image)
    picture.save(tmp_path / "dress.png")
    found = model.predict(tmp_path / "dress.png", top=3)
    assert found == model.predict(str(tmp_path / "dress.png"), 3)
    assert found == model.predict(image, 3) == model.predict(picture, 3)
    assert len(found.classes) == len(found.probabilities) == 3
    assert list(found.probabilities) == sorted(found.probabilities, reverse=True)
    assert found.answer in (found.classes[0], "none of these")
    every = model.predict(image)
    assert sum(every.probabilities) == pytest.approx(1, abs=1e-6)
    assert sorted(every.classes) == sorted(model.classes)


def test_a_stranger_is_none_of_these(calibrated_run: Path) -> None:
    model = load(calibrated_run)
    strict = replace(model, calibration=Calibration(1.0, 1e9))
    found = strict.predict(np.tile(np.arange(28, dtype=np.uint8), (28, 1)))
    assert not found.known
    assert found.answer == "none of these"
    assert found.classes[0] in model.classes  # the nearest is there all the same


def test_what_cannot_be_predicted_says_why(calibrated_run: Path, tmp_path: Path) -> None:
    model = load(calibrated_run)
    with pytest.raises(PictureFileError, match=r"nothing\.png"):
        model.predict(tmp_path / "nothing.png")
    with pytest.raises(PreparationError, match="nothing stands out"):
        model.predict(np.zeros((50, 50), np.uint8))
    for top in (0, -1, 1.5):
        with pytest.raises(ValueError, match="top is"):
            model.predict(np.eye(50, dtype=np.uint8) * 255, top)  # type: ignore[arg-type]


# --- files -------------------------------------------------------------------------------------


def test_a_file_without_notes_gets_the_usual_ones(tmp_path: Path) -> None:
    model = load(model_file(tmp_path / "model.safetensors"))
    assert isinstance(model, Model)
    assert model.calibration == Calibration()
    assert model.preparation.fit == "digit"  # classes 0 to 9
    assert model.network == build("lenet")
    assert model.parameters.keys() == initialize(model.network, "torch", 0).keys()


def test_an_older_run_s_preparation_is_its_data_set_s(calibrated_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "older"
    folder.mkdir()
    info = json.loads((calibrated_run / "run.json").read_text(encoding="utf-8"))
    info["data"]["name"] = "fashion-mnist"
    info["network"] = to_dict(build("lenet"))
    (folder / "run.json").write_text(json.dumps(info), encoding="utf-8")
    model_file(folder / "model.safetensors")
    assert load(folder).preparation.fit == load(folder / "model.safetensors").preparation.fit
    assert load(folder).preparation.fit == "object"


@pytest.mark.parametrize(
    ("notes", "said"),
    [
        ({"calibration": {"temperature": -1}}, "temperature is -1"),
        ({"calibration": 5}, "a calibration is 5"),
        ({"preparation": {"fit": "x"}}, "a preparation has no channels"),
        (
            {"preparation": {"channels": 1, "height": 30, "width": 28}},
            r"makes pictures of \(1, 30, 28\)",
        ),
    ],
)
def test_a_stranger_s_notes_are_checked(notes: Any, said: str, tmp_path: Path) -> None:
    path = model_file(tmp_path / "model.safetensors", **notes)
    with pytest.raises(WeightsError, match=said) as error:
        load(path)
    assert str(path) in str(error.value)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run"):
        load(tmp_path)
    path = tmp_path / "x.safetensors"
    path.write_bytes(pack({}, {}))
    with pytest.raises(WeightsError, match="holds no network"):
        load(path)
