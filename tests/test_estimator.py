"""LeNetClassifier among scikit-learn's tools: what it promises, and what goes in and out."""

import dataclasses
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lenet import data
from lenet.estimator import LeNetClassifier
from lenet.network.weights import load_network, save_network
from lenet.optimization import Augmentation
from lenet.ship.rows import learn_pixels, shape_of

# Each with its reason; none that is here may pass unnoticed.
EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": (
        "batches are drawn from the rows: a row that is there twice falls into two batches, one of "
        "weight 2 into one"
    )
}


@pytest.fixture(scope="module")
def digits(small: data.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """320 pictures of three kinds of clothes, and their labels as texts."""
    few = np.flatnonzero(small.train.labels < 3)[:320]
    names = np.array(["t-shirt", "trouser", "pullover"])
    return small.train.images[few][:, 0], names[small.train.labels[few]]


@pytest.fixture(scope="module")
def fitted(digits: tuple[np.ndarray, np.ndarray]) -> LeNetClassifier:
    return LeNetClassifier(epochs=6, random_state=0, threads=1).fit(*digits)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_own_checks_pass() -> None:
    from sklearn.utils.estimator_checks import check_estimator  # takes a second to load

    found = check_estimator(LeNetClassifier(), on_fail=None, on_skip=None)
    failed = {each["check_name"] for each in found if each["status"] == "failed"}
    assert failed == EXPECTED.keys()
    assert sum(each["status"] == "passed" for each in found) >= 50


def test_pictures_are_learnt_and_their_labels_come_back(
    fitted: LeNetClassifier, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    images, labels = digits
    assert fitted.score(images, labels) > 0.9
    assert fitted.classes_.tolist() == ["pullover", "t-shirt", "trouser"]
    assert fitted.network_.name == "lenet-relu"
    assert fitted.network_.classes == ("pullover", "t-shirt", "trouser")
    assert (fitted.n_features_in_, fitted.image_shape_) == (784, (1, 28, 28))
    shares = fitted.predict_proba(images)
    assert shares.shape == (320, 3)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-12)
    assert (fitted.classes_[shares.argmax(1)] == fitted.predict(images)).all()


def test_flat_rows_floats_and_channels_are_the_same_pictures(
    fitted: LeNetClassifier, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    images, labels = digits
    expected = fitted.predict_proba(images)
    for same in (images.reshape(320, -1), images[:, None], images.astype(np.int64)):
        np.testing.assert_array_equal(fitted.predict_proba(same), expected)
    settings: Any = {"epochs": 6, "random_state": 0, "threads": 1}
    bright = LeNetClassifier(scaling=(0.0, 1.0), **settings).fit(images / 255, labels)
    np.testing.assert_allclose(bright.predict_proba(images / 255), expected, atol=1e-6)
    with pytest.raises(ValueError, match=r"pictures of \(14, 56\)"):
        fitted.predict(images.reshape(320, 14, 56))


def test_the_same_random_state_gives_the_same_weights(
    fitted: LeNetClassifier, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    again = clone(fitted).fit(*digits)
    for name, values in fitted.parameters_.items():
        np.testing.assert_array_equal(values, again.parameters_[name])


def test_a_pickle_holds_safetensors_and_goes_on_training(
    digits: tuple[np.ndarray, np.ndarray],
) -> None:
    images, labels = digits
    first = LeNetClassifier(random_state=1, threads=1, optimizer="adamw")
    first.partial_fit(images[:160], labels[:160], classes=np.unique(labels))
    state = first.__getstate__()
    assert not any(isinstance(value, np.ndarray) and value.size > 100 for value in state.values())
    copied = pickle.loads(pickle.dumps(first))
    for classifier in (first, copied):
        classifier.partial_fit(images[160:], labels[160:])
    assert first.n_iter_ == copied.n_iter_ == 2
    np.testing.assert_array_equal(first.predict_proba(images), copied.predict_proba(images))
    damaged = {**state, "_content": state["_content"][:-10]}
    with pytest.raises(ValueError, match="the pickled classifier"):
        LeNetClassifier().__setstate__(damaged)


def test_partial_fit_learns_pass_by_pass(digits: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = digits
    classifier = LeNetClassifier(random_state=0, threads=1)
    with pytest.raises(ValueError, match="classes must be named"):
        classifier.partial_fit(images, labels)
    for _ in range(6):
        classifier.partial_fit(images, labels, classes=np.unique(labels))
    assert classifier.score(images, labels) > 0.9
    with pytest.raises(ValueError, match="'shoe', which is not among"):
        classifier.partial_fit(images[:1], ["shoe"])
    with pytest.raises(ValueError, match="they were"):
        classifier.partial_fit(images, labels, classes=["a", "b"])
    with pytest.raises(ValueError, match="needs all labels"):
        LeNetClassifier(class_weight="balanced").partial_fit(images, labels, np.unique(labels))


def test_weights_decide_what_is_learnt(digits: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = digits
    wrong = np.where(np.arange(320) % 2, labels, np.roll(labels, 7))
    settings: Any = {"epochs": 6, "random_state": 0, "threads": 1}
    weighted = LeNetClassifier(**settings)
    weighted.fit(images, wrong, sample_weight=np.arange(320) % 2)  # the right ones alone
    assert weighted.score(images, labels) > LeNetClassifier(**settings).fit(images, wrong).score(
        images, labels
    )
    one = LeNetClassifier(class_weight={"trouser": 1e4}, **settings).fit(
        images[:, ::4, ::4], labels
    )
    plain = LeNetClassifier(**settings).fit(images[:, ::4, ::4], labels)
    assert (one.predict(images[:, ::4, ::4]) == "trouser").sum() > (
        plain.predict(images[:, ::4, ::4]) == "trouser"
    ).sum()
    with pytest.raises(ValueError, match="at least one non-zero"):
        LeNetClassifier().fit(images, labels, sample_weight=np.zeros(320))


def test_it_works_in_scikit_learns_tools(digits: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = digits
    rows = images[:120].reshape(120, -1)
    small = LeNetClassifier("mlp", epochs=3, random_state=0, threads=1)
    assert cross_val_score(small, rows, labels[:120], cv=2).mean() > 0.6
    search = GridSearchCV(small, {"learning_rate": [1e-5, 0.002]}, cv=2)
    assert search.fit(rows, labels[:120]).best_params_ == {"learning_rate": 0.002}
    scaled = make_pipeline(StandardScaler(), small)
    assert scaled.fit(rows, labels[:120]).score(rows, labels[:120]) > 0.6


def test_its_network_is_saved_as_any_other(
    fitted: LeNetClassifier, digits: tuple[np.ndarray, np.ndarray], tmp_path: Any
) -> None:
    from lenet.ship.model import load

    save_network(tmp_path / "m.safetensors", fitted.network_, fitted.parameters_)
    assert load_network(tmp_path / "m.safetensors")[0] == fitted.network_
    found = load(tmp_path / "m.safetensors", threads=1)(digits[0])
    np.testing.assert_allclose(found, fitted.predict_proba(digits[0]), atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"network": "lenett"}, "did you mean lenet"),
        ({"network": 3}, "network is 3"),
        ({"network": "lenet", "image_shape": (4, 4)}, r"image_shape is \(4, 4\)"),
        ({"image_shape": 28}, "image_shape is 28"),
        ({"scaling": "rows"}, "scaling is 'rows'"),
        ({"scaling": (1, 0)}, "must be below"),
        ({"epochs": "many"}, "epochs is 'many'"),
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": "all"}, "batch_size is 'all'"),
        ({"optimizer": "sdg"}, "did you mean sgd"),
        ({"engine": "fast"}, "unknown engine"),
        ({"class_weight": "even"}, "class_weight"),
    ],
)
def test_wrong_settings_are_said_when_they_are_used(settings: dict[str, Any], words: str) -> None:
    rows = np.arange(640, dtype=np.uint8).reshape(10, 64)
    with pytest.raises(ValueError, match=words):
        LeNetClassifier(**settings).fit(rows, np.arange(10) % 2)


def test_every_way_to_change_pictures_is_a_setting(digits: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = digits
    pictures, few = images[:40], {"epochs": 1, "random_state": 0}
    plain = LeNetClassifier("linear", **few).fit(pictures, labels[:40]).parameters_
    given = {"shift": 1, "flip": True, "rotate": 9, "scale": 0.2, "shear": 9, "elastic": 1}
    for key, value in {**given, "erase": 0.5}.items():
        changed = LeNetClassifier("linear", **few, **{key: value}).fit(pictures, labels[:40])
        assert (changed.parameters_["1.weight"] != plain["1.weight"]).any(), key
    names = {field.name for field in dataclasses.fields(Augmentation)}
    assert names == {*given, "erase"}


def test_one_class_is_no_choice() -> None:
    with pytest.raises(ValueError, match="one class in the data, 'a'"):
        LeNetClassifier().fit(np.zeros((4, 64)), ["a"] * 4)


def test_how_rows_lie_as_pictures() -> None:
    assert shape_of(784, None, None) == (1, 28, 28)
    assert shape_of(3072, None, None) == (3, 32, 32)
    assert shape_of(10, None, None) == (1, 1, 10)
    assert shape_of(16, None, None) == (1, 1, 16)  # measurements, rather than 4×4
    assert shape_of(12, (3, 4), None) == (1, 3, 4)
    assert shape_of(12, [3, 2, 2], None) == (3, 2, 2)
    assert shape_of(12, None, (2, 6)) == (1, 2, 6)


def test_what_the_pixels_of_numbers_are() -> None:
    bytes_ = np.array([[3, 255]], np.uint8)
    assert learn_pixels(bytes_, (1, 1, 2), "auto").pictures(bytes_).ravel().tolist() == [3, 255]
    columns = np.array([[-1.0, 10.0, 5.0], [1.0, 20.0, 5.0]])
    pixels = learn_pixels(columns, (1, 1, 3), "auto")
    assert pixels.pictures(columns).reshape(2, 3).tolist() == [[0, 0, 0], [255, 255, 0]]
    later = pixels.pictures(np.array([[0.0, 100.0, 7.0]]))
    assert later.ravel().tolist() == [128, 255, 0]  # 7 is cut off to 5
    picture = np.array([[0.0, 16.0, 8.0, 4.0]])
    grey = learn_pixels(picture, (1, 2, 2), "auto").pictures(picture)
    assert grey.ravel().tolist() == [0, 255, 128, 64]
    assert replace(pixels, low=None).pictures(np.array([[1.4, -5, 300]])).ravel().tolist() == [
        1,
        0,
        255,
    ]
