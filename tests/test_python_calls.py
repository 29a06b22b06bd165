"""What programs give to lenet's functions: taken where it is certain, else refused in our words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import lenet
from lenet.data import DataError, arrays
from lenet.files import FileError, as_path
from lenet.runs import RunError

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (40, 1, 28, 28), np.uint8)
LABELS = np.arange(40) % 4


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("calls") / "run"
    return lenet.train("quickstart", data=(GREY, LABELS), epochs=1, network="mlp", out=out)


class Table:
    """What pandas gives: an array by request, and no item by position."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.asarray(self.values, dtype)

    def __len__(self) -> int:
        return len(self.values)


@pytest.mark.parametrize(
    ("labels", "right"),
    [
        (Table(np.array(list("abcd") * 10, object)), LABELS),
        (np.array(LABELS.tolist(), object), LABELS),
        (LABELS > 1, LABELS > 1),
    ],
    ids=["pandas texts", "objects", "bools"],
)
def test_labels_as_programs_hold_them(labels: Any, right: Any) -> None:
    whole = arrays.dataset((GREY, labels))
    count = np.bincount(np.concatenate([whole.train.labels, whole.test.labels]))
    np.testing.assert_array_equal(count, np.bincount(right))


def test_data_sets_of_pytorch_are_taken() -> None:
    torch = pytest.importorskip("torch")

    class Endless(torch.utils.data.Dataset):  # type: ignore[misc, name-defined]
        """As people write them: only the length says where it ends."""

        def __len__(self) -> int:
            return len(GREY)

        def __getitem__(self, index: int) -> Any:
            return torch.from_numpy(GREY[index % 40]) / 255, int(LABELS[index % 40])

    as_arrays = arrays.dataset((GREY, LABELS))
    assert arrays.dataset(Endless()).sha256 == as_arrays.sha256
    pair = arrays.dataset((Endless(), Endless()))
    np.testing.assert_array_equal(pair.test.images, GREY)
    tensors = torch.utils.data.TensorDataset(torch.from_numpy(GREY), torch.from_numpy(LABELS))
    assert arrays.dataset(tensors).sha256 == as_arrays.sha256
    half = (torch.from_numpy(GREY) // 8 * 8).bfloat16()
    np.testing.assert_array_equal(arrays.pictures(half), GREY // 8 * 8)
    np.testing.assert_array_equal(arrays.pictures(torch.from_numpy(GREY).to_sparse()), GREY)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((GREY, [[1], [2, 3]] * 20), "labels is not an array: its rows differ in length"),
        ((3, LABELS), "images is an int; give an array of numbers"),
        ((GREY, LABELS + np.inf), "labels is float64; give whole numbers"),
        ((GREY, LABELS * 1e300), "labels is float64; give whole numbers"),
        (list(zip(GREY[:4], LABELS[:4], strict=True)), r"tuple\(zip\(\*data\)\)"),
        ((["a.png"] * 40, LABELS), "images holds names of files"),
        (([Path("a.png")] * 40, LABELS), "images holds names of files"),
        (([Image.new("L", (8, 8)), Image.new("L", (8, 9))], [0, 1]), r"\(8, 8\) and \(8, 9\)"),
        ((np.ma.masked_greater(GREY, 9), LABELS), "images has masked values"),
        (7, "data is an int"),
    ],
)
def test_what_is_no_data_is_refused_in_our_words(given: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        arrays.dataset(given)


def test_numpy_numbers_are_settings() -> None:
    changes = {"epochs": np.int64(3), "schedule.learning_rate": np.float32(0.5)}
    recipe = lenet.load_recipe("quickstart", changes)
    assert (recipe.settings.epochs, recipe.settings.schedule.learning_rate) == (3, 0.5)
    assert type(recipe.settings.epochs) is int
    with pytest.raises(ValueError, match="must be a whole number"):
        lenet.load_recipe("quickstart", {"epochs": np.float64(3)})


def test_pictures_for_features(run: Any, tmp_path: Path) -> None:
    Image.fromarray(GREY[0, 0]).save(tmp_path / "x.png")
    seen = [
        lenet.features(run, given).predicted
        for given in (tmp_path / "x.png", GREY[0], GREY[0, 0].tolist(), Image.fromarray(GREY[0, 0]))
    ]
    assert len(set(seen)) == 1


@pytest.mark.parametrize("picture", [None, 1.7, True, float("nan"), b"x.png", {}, object()])
def test_what_is_no_picture_is_refused(run: Any, picture: Any) -> None:
    with pytest.raises(ValueError, match="give its number among the test pictures"):
        lenet.features(run, picture)


@pytest.mark.parametrize("picture", ["9" * 5000, "0:" + "9" * 5000, "0:²", "a\0b", "x" * 9000])
def test_texts_that_name_no_picture_are_refused(picture: str) -> None:
    with pytest.raises(ValueError, match="no such file") as caught:
        lenet.features("mlp", picture)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("test", "split is a str"),
        ((GREY,), "split is a tuple"),
        (arrays.dataset((GREY, LABELS)), "split is a Dataset"),
    ],
)
def test_what_is_no_split_is_refused(run: Any, split: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lenet.evaluate(run, split=split)
    assert lenet.evaluate(run, split=[GREY, LABELS]).examples == 40


CALLS: list[tuple[Callable[[], Any], str]] = [
    (lambda: lenet.evaluate(None), "model is None; give a path"),  # type: ignore[arg-type]
    (lambda: lenet.evaluate("runs/none"), "runs/none does not exist"),
    (lambda: lenet.evaluate("mlp", GREY), "parameters is a ndarray"),  # type: ignore[arg-type]
    (lambda: lenet.read_run(3), "folder is 3; give a path"),  # type: ignore[arg-type]
    (lambda: lenet.go_on(7), "folder is 7; give a path"),  # type: ignore[arg-type]
    (lambda: lenet.load_model(b"x"), "path is b'x'; give a path"),  # type: ignore[arg-type]
    (lambda: lenet.load_data(3), "data is 3; give a path"),  # type: ignore[arg-type]
    (lambda: lenet.load_recipe(3), "recipe is 3; give"),  # type: ignore[arg-type]
    (lambda: lenet.train(lenet.build("mlp")), "a network by network="),  # type: ignore[arg-type]
    (lambda: lenet.begin(None), "recipe is None; give"),  # type: ignore[arg-type]
    (lambda: lenet.build(3), "unknown network 3"),  # type: ignore[arg-type]
    (lambda: lenet.trace("lenet"), "network is 'lenet'; give a lenet.Network"),  # type: ignore[arg-type]
    (
        lambda: lenet.train(data=(GREY, ["a\nb", "c"] * 20)),
        r"the class name 'a\\nb' must have no control",
    ),
    (lambda: lenet.train(data=(GREY, LABELS), out="a\0b"), "out holds a NUL character"),
    (lambda: lenet.train(data=(GREY, LABELS), out=""), "out is empty"),
    (lambda: lenet.train(data=(GREY, LABELS), network=[]), "a list without layers"),
    (lambda: lenet.train(optimizer=3), "optimizer is 3; give sgd, adam, adamw"),  # type: ignore[arg-type]
    (lambda: lenet.train(data=(GREY, LABELS), engine=3), "unknown engine 3"),  # type: ignore[arg-type]
    (lambda: lenet.train(data=(GREY, LABELS), threads="2"), "threads is '2', must be a whole"),  # type: ignore[arg-type]
    (lambda: lenet.train(data=(GREY, LABELS), threads=1.5), "threads is 1.5, must be a whole"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("call", "message"), CALLS, ids=[message for _, message in CALLS])
def test_slips_are_told_in_our_words(
    call: Callable[[], Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        call()
    assert not list(tmp_path.iterdir())


def test_a_run_is_gone_on_with_by_its_record(run: Any) -> None:
    further = lenet.go_on(run, data=(GREY, LABELS), epochs=2)
    assert further.train().finished
    with pytest.raises(ValueError, match="goes on with the pictures it was trained on"):
        lenet.go_on(run, data="mnist")


def test_begin_takes_what_train_takes(tmp_path: Path) -> None:
    layers = [lenet.Flatten(), lenet.Linear(784, 4)]
    for place, network in enumerate(
        ("mlp", layers, lenet.build("mlp", (1, 28, 28), tuple("abcd")))
    ):
        out = tmp_path / str(place)
        experiment = lenet.begin("quickstart", data=(GREY, LABELS), network=network, out=out)
        assert experiment.train(stop=lambda: True).history == []


def test_an_experiment_trains_once(tmp_path: Path) -> None:
    experiment = lenet.begin("quickstart", data=(GREY, LABELS), network="mlp", out=tmp_path / "run")
    experiment.train(stop=lambda: True)
    with pytest.raises(RunError, match=r"an experiment trains once.*lenet\.go_on\('.*run'\)"):
        experiment.train()


def test_as_path_says_what_a_path_is() -> None:
    assert as_path(Path("a"), "out") == as_path("a", "out") == Path("a")
    with pytest.raises(FileError, match="out is 5"):
        as_path(5, "out")


def test_pictures_that_are_all_the_same_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="all training pictures are the same"):
        lenet.begin("quickstart", data=(GREY * 0, LABELS), out=tmp_path / "run")
    few = GREY * 0
    few[-1] = 9
    lenet.begin("quickstart", data=(few, LABELS, GREY, LABELS), network="mlp", out=tmp_path / "run")
