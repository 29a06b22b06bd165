"""Pictures stored under a name: whole or not at all, found again, mapped where they are many."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from lenet import cli, data, engines
from lenet.data import DataError, mapped, stored
from lenet.data.importing import Shares, mixed, store
from lenet.data.sources import Asked
from lenet.network import zoo
from lenet.optimization import Settings
from lenet.runs import experiments
from lenet.training import Checkpoint, Parts, fit, recipes
from lenet.training.recipes import Recipe
from test_sources import make_folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("LENET_DATA", raising=False)
    monkeypatch.setattr(data, "cache_dir", lambda: tmp_path / "cache" / "lenet")
    return tmp_path / "cache" / "lenet"


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "flowers", {"rose": 30, "tulip": 20})


def test_a_folder_is_stored_and_found_by_its_name(cache: Path, flowers: Path) -> None:
    source = data.recognise(flowers, Asked())
    folder = store(source, "garden", cache)
    loaded = data.load("garden")
    assert loaded.val is not None
    assert [len(split) for split in (loaded.train, loaded.val, loaded.test)] == [36, 4, 10]
    assert loaded.train.classes == ("rose", "tulip")
    # the same test part as without storing it
    direct = data.load(flowers)
    assert sorted(map(bytes, loaded.test.images)) == sorted(map(bytes, direct.test.images))
    assert data.imported() == {"garden": folder}
    assert data.load(folder).sha256 == loaded.sha256
    again = store(source, "other", cache)
    assert (again / "train-images-idx3-ubyte").read_bytes() == (
        folder / "train-images-idx3-ubyte"
    ).read_bytes()
    assert not [path for path in cache.iterdir() if path.name.startswith(".")]


def test_a_name_wins_over_a_folder_here_and_it_is_said(
    cache: Path, flowers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(data.recognise(flowers, Asked()), "flowers", cache)
    monkeypatch.chdir(flowers.parent)
    assert "for what is here write ./flowers" in data.load("flowers").remarks[-1]
    assert data.load("./flowers").source == "flowers"


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "x" * 61, "a b", "con", "a."])
def test_names_that_are_none(name: str, cache: Path, flowers: Path) -> None:
    with pytest.raises(DataError, match="cannot be the name of a data set"):
        store(data.recognise(flowers, Asked()), name, cache)


def test_a_name_that_is_taken(cache: Path, flowers: Path) -> None:
    source = data.recognise(flowers, Asked())
    store(source, "garden", cache)
    with pytest.raises(DataError, match="there already; choose another name, or add --replace"):
        store(source, "garden", cache)
    store(source, "garden", cache, Shares(seed=1), replace=True)
    (cache / "precious").mkdir()
    with pytest.raises(DataError, match="is no imported data set, and is not replaced"):
        store(source, "precious", cache, replace=True)


def test_nothing_is_left_of_an_import_that_stops(
    cache: Path, flowers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store(data.recognise(flowers, Asked()), "garden", cache, told=stop)
    assert list(cache.iterdir()) == []


def test_unreadable_files_are_left_out_of_the_counts(cache: Path, flowers: Path) -> None:
    (flowers / "rose" / "000.png").write_bytes(b"nothing")
    source = data.recognise(flowers, Asked())
    loaded = data.load(store(source, "garden", cache))
    assert loaded.val is not None
    assert len(loaded.train) + len(loaded.val) + len(loaded.test) == 49
    assert [name for name, _ in source.findings.unreadable] == [str(Path("rose") / "000.png")]


@pytest.mark.parametrize("change", ["cut", "longer", "header", "labels", "json", "class"])
def test_what_was_changed_afterwards_is_refused(change: str, cache: Path, flowers: Path) -> None:
    folder = store(data.recognise(flowers, Asked()), "garden", cache)
    images, labels = (folder / name for name in stored.file_names("train"))
    content = images.read_bytes()
    if change == "cut":
        images.write_bytes(content[:-1])
    elif change == "longer":
        images.write_bytes(content + b"\0")
    elif change == "header":
        images.write_bytes(content[:7] + b"\1" + content[8:])
    elif change == "labels":
        labels.write_bytes(labels.read_bytes()[:-1] + b"\7")
    else:
        described = json.loads((folder / "dataset.json").read_text())
        described["classes"] = ["a"] if change == "class" else 5
        (folder / "dataset.json").write_text(json.dumps(described))
    with pytest.raises(DataError, match="Import it again, with --replace"):
        data.load("garden")


def test_arrays_are_resized_where_it_is_asked(cache: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (20, 3, 12, 12), np.uint8)
    np.savez(tmp_path / "x.npz", images=x, labels=np.arange(20) % 2)
    source = data.recognise(tmp_path / "x.npz", Asked(size=6, channels=1, fit="stretch"))
    assert source.shape == (1, 6, 6)
    loaded = data.load(store(source, "small", cache))
    assert loaded.train.images.shape[1:] == (1, 6, 6)
    with pytest.raises(DataError, match="channels is 2; 1 is grey"):
        data.recognise(tmp_path / "x.npz", Asked(channels=2))
    with pytest.raises(DataError, match="fit is 'squeeze'; choose from crop, pad, stretch"):
        data.recognise(tmp_path / "x.npz", Asked(fit="squeeze"))


def test_every_stretch_has_each_class_in_its_share() -> None:
    labels = np.repeat(np.arange(3), [600, 300, 100])
    order = mixed(labels, (0, 0))
    assert sorted(order.tolist()) == list(range(1000))
    for start in range(0, 1000, 100):
        counts = np.bincount(labels[order[start : start + 100]], minlength=3)
        np.testing.assert_allclose(counts, [60, 30, 10], atol=3)
    assert (order != mixed(labels, (1, 0))).any()


# --- mapped ------------------------------------------------------------------------------------


@pytest.fixture
def large(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> data.Dataset:
    """A data set that is mapped, as if it were too large for memory."""
    small = data.bundled()
    (tmp_path / "arrays").mkdir()
    np.save(tmp_path / "arrays" / "x_train.npy", small.train.images[:3000, 0])
    np.save(tmp_path / "arrays" / "y_train.npy", small.train.labels[:3000])
    store(data.recognise(tmp_path / "arrays", Asked()), "large", cache)
    monkeypatch.setattr(stored, "HELD", 1000)
    monkeypatch.setattr(mapped, "BLOCK", 8)
    monkeypatch.setattr(mapped, "WINDOW", 256)
    monkeypatch.setattr(mapped, "AHEAD", 400)
    monkeypatch.setattr(mapped, "EVALUATED", 256)
    return data.load("large")


def test_parts_of_mapped_pictures_are_no_copies(large: data.Dataset) -> None:
    assert mapped.is_mapped(large.train.images)
    train, val = data.hold_out(large.train, 0.25, seed=3)
    assert (len(train), len(val)) == (1620, 540)
    some = data.subset(large.train, 500, seed=1)
    for part in (train, val, some):
        assert mapped.is_mapped(part.images)
        shares = np.bincount(part.labels) / len(part)
        np.testing.assert_allclose(shares, np.bincount(large.train.labels) / 2160, atol=0.01)
    np.testing.assert_array_equal(np.concatenate([train.images, val.images]), large.train.images)


def test_gathered_pictures_are_those_of_the_rows(large: data.Dataset) -> None:
    rows = np.random.default_rng(0).permutation(2160)
    np.testing.assert_array_equal(
        mapped.gather(large.train.images, rows), np.asarray(large.train.images)[rows]
    )


def train_on(split: data.Split, epochs: int = 1) -> tuple[bytes, list[float]]:
    settings = Settings(epochs=epochs, batch_size=50)
    network = zoo.build("lenet-relu")
    recipe = Recipe("x", settings=settings)
    start: Checkpoint = experiments.first_checkpoint(recipe, network)  # type: ignore[attr-defined]
    choice = engines.choose("auto", network)
    engine = engines.make(choice, network, settings.optimizer, settings.objective, 1)
    outcome = fit(engine, Parts(split, None, split), settings, start)
    weights = b"".join(array.tobytes() for array in outcome.weights.values())
    return weights, [reading.test_loss for reading in outcome.history if reading.test_loss]


@pytest.mark.slow
def test_the_pieces_in_which_a_file_is_read_change_nothing(
    large: data.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = train_on(large.train)
    monkeypatch.setattr(mapped, "AHEAD", 130)
    monkeypatch.setattr(mapped, "REGION", 4096)
    monkeypatch.setattr(mapped, "MOST_REGIONS", 3)
    assert train_on(large.train) == one
    # and in memory, with the same order, it is the same
    monkeypatch.setattr(mapped, "EVALUATED", 1 << 20)
    monkeypatch.setattr(mapped, "AHEAD", 1 << 20)
    weights, losses = train_on(large.train)
    assert weights == one[0]
    np.testing.assert_allclose(losses, one[1], rtol=1e-12)


def test_an_order_in_blocks_has_every_picture_once() -> None:
    for examples in (1, 63, 64, 65, 70_001):
        order = mapped.epoch_order(np.random.default_rng(examples), examples)
        np.testing.assert_array_equal(np.sort(order), np.arange(examples))
    # neighbours in the file stay within a window of each other, and are no neighbours in it
    order = mapped.epoch_order(np.random.default_rng(0), 200_000)
    blocks = np.unique(order[: mapped.WINDOW] // mapped.BLOCK)
    assert len(blocks) <= mapped.WINDOW // mapped.BLOCK + 1
    assert (np.abs(np.diff(order)) == 1).mean() < 0.001


def test_reading_a_mapped_file_takes_no_memory_of_its_size(large: data.Dataset) -> None:
    tracemalloc.start()
    for piece in mapped.pieces(large.train):
        assert len(piece) <= 256
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * 256 * 784 + 100_000


# --- the command -------------------------------------------------------------------------------


@pytest.mark.slow
def test_from_pictures_to_a_trained_model(
    cache: Path, flowers: Path, in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (flowers / "rose" / "bad.png").write_bytes(b"nothing")
    assert cli.run(["data", "import", str(flowers), "--name", "garden", "--size", "28"]) == 0
    out = capsys.readouterr().out
    assert "is a folder with one sub-folder a class: 2 classes, 51 pictures" in out
    assert "1 file is left out:" in out
    assert f"bad.png: {'not a picture'}" in out
    assert "lenet train --data garden" in out
    assert cli.run(["train", "--data", "garden", "--epochs", "1", "--out", "r"]) == 0
    assert "on garden (36 pictures, 5 held out)" in capsys.readouterr().out
    assert cli.run(["data", "report", "garden", "--out", "sheet.png"]) == 0
    assert "1 file is left out" in capsys.readouterr().out
    assert Path("sheet.png").stat().st_size > 1000
    assert cli.run(["data", "report", str(flowers), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert sum(map(sum, values["counts"].values())) == 50
    assert cli.run(["data", "list"]) == 0
    assert "garden" in capsys.readouterr().out
    assert cli.run(["data", "import", str(flowers), "--name", "garden"]) == 1
    assert "add --replace" in capsys.readouterr().err


def test_a_tenth_of_own_pictures_is_held_out(cache: Path, flowers: Path, in_tmp: Path) -> None:
    recipe = recipes.change(recipes.load("quickstart"), "data", str(flowers))
    recipe = recipes.change(recipe, "epochs", 1)
    recipe = recipes.change(recipe, "network", "mlp")
    made = experiments.begin(recipe, chosen={"epochs", "network"}, out="one")
    made.run.close()
    assert made.parts.val is not None
    assert (len(made.parts.train), len(made.parts.val)) == (36, 4)
    assert any("a tenth of the training pictures" in remark for remark in made.run.remarks)
    made = experiments.begin(recipe, chosen={"epochs", "network", "val"}, out="two")
    made.run.close()
    assert made.parts.val is None
