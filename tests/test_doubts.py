"""Doubtful labels: the ranking, the folds, the table, its corrections, and the corrected copy."""

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lenet import cli, data
from lenet.drawing.doubt_sheet import doubt_sheet
from lenet.drawing.figures import FigureError
from lenet.looking import doubts, out_of_fold
from lenet.looking.doubts import Correction, Doubted, Doubtful
from lenet.network import zoo
from lenet.training import confident_learning, recipes

# The 15 wrong labels of MNIST's test set: of the 100 pictures that confident learning suspected and
# five people each looked at (Northcutt, Athalye, Mueller, "Pervasive Label Errors in Test Sets
# Destabilize Machine Learning Benchmarks", 2021; mturk/mnist_mturk.json of its repository,
# cleanlab/label-errors), those where fewer than three of the five agreed with the label.
WRONG = (
    *(947, 1621, 1901, 2130, 2462, 2597, 2654, 3520),
    *(3558, 5937, 6651, 6783, 8527, 9679, 9729),
)


# --- confident learning ------------------------------------------------------------------------


def test_the_ranking_by_hand() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    probabilities = np.array(
        [[0.9, 0.1, 0], [0.8, 0.2, 0], [0.1, 0.9, 0], [0.3, 0.7, 0], [0.45, 0.55, 0]]
    )
    found = confident_learning.thresholds(labels, probabilities)
    assert found == pytest.approx([0.6, 0.625, 1.0])  # the third class has no pictures
    doubted = confident_learning.doubt(labels, probabilities)
    assert doubted.suspected.tolist() == [False, False, True, False, False]
    assert doubted.joint.tolist() == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]  # the last is not sure
    assert doubted.suggested.tolist() == [1, 1, 1, 0, 0]
    assert doubted.order.tolist() == [2, 4, 3, 1, 0]
    assert doubted.score == pytest.approx([0.8, 0.6, -0.8, 0.4, 0.1])


def test_every_class_is_spread_evenly_over_the_folds() -> None:
    labels = np.repeat([0, 1, 2], [51, 20, 3])
    fold = out_of_fold.folds(labels, 5, seed=7)
    for label in range(3):
        counts = np.bincount(fold[labels == label], minlength=5)
        assert counts.max() - counts.min() <= 1
    counts = np.bincount(fold, minlength=5)
    assert counts.max() - counts.min() <= 1
    assert (fold == out_of_fold.folds(labels, 5, seed=7)).all()
    assert not (fold == out_of_fold.folds(labels, 5, seed=8)).all()


def test_a_picture_is_judged_by_networks_that_never_saw_it(
    small: data.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another label of a picture changes all predictions but those of its own fold."""
    train, test = data.subset(small.train, 200, 0), data.subset(small.test, 30, 0)
    settings = recipes.load("quickstart", {"epochs": 1, "batch_size": 16}).settings
    network = zoo.mlp(classes=train.classes)
    calls: list[tuple[int, int]] = []
    fold = out_of_fold.folds(train.labels, 3, settings.seed)
    before = out_of_fold.predict(
        network, train, [test], settings, count=3, on_progress=lambda *call: calls.append(call)
    )
    labels = train.labels.copy()
    one, other = np.flatnonzero(fold == 1)[[0, -1]]
    assert labels[one] != labels[other]
    labels[[one, other]] = labels[[other, one]]
    changed = dataclasses.replace(train, labels=labels)
    monkeypatch.setattr(out_of_fold, "folds", lambda *_: fold)
    after = out_of_fold.predict(network, changed, [test], settings, count=3)
    same = (before.train == after.train).all(axis=1)
    assert same[fold == 1].all()
    assert not same[fold != 1].any()
    assert not (before.others[0] == after.others[0]).all()
    assert before.train.sum(1) == pytest.approx(np.ones(200))
    assert before.others[0].sum(1) == pytest.approx(np.ones(30))
    assert calls[-1] == (400, 400)


def test_folds_that_cannot_be_are_refused(small: data.Dataset) -> None:
    train = data.subset(small.train, 20, 0)
    settings = recipes.load("quickstart").settings
    for count in (1, 21):
        with pytest.raises(data.DataError, match=f"{count} folds of 20 training pictures: give"):
            out_of_fold.predict(zoo.mlp(), train, [train], settings, count=count)


# --- the table ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def few(small: data.Dataset) -> data.Dataset:
    train, test = data.subset(small.train, 60, 0), data.subset(small.test, 20, 0)
    return dataclasses.replace(small, name="few", train=train, test=test)


def some_doubts(few: data.Dataset) -> Doubted:
    pictures = (
        Doubtful("test", 3, int(few.test.labels[3]), 9, 0.01, 0.98, True),
        Doubtful("train", 5, int(few.train.labels[5]), 2, 0.3, 0.6, False),
    )
    return Doubted(few, pictures, {"train": 0, "test": 1}, {"train": 0.9, "test": 0.8})


def filled_in(text: str, *correct: str) -> str:
    """The table with its column ``correct`` filled in, as a spreadsheet would write it."""
    head, *rows = csv.reader(text.splitlines())
    for row, answer in zip(rows, correct, strict=True):
        row[head.index("correct")] = answer
    return "".join(",".join(row) + "\r\n" for row in [head, *rows])


def test_a_corrected_table_gives_a_corrected_copy(few: data.Dataset, in_tmp: Path) -> None:
    table = Path("doubt.csv")
    text = doubts.to_csv(some_doubts(few))
    table.write_text("\ufeff" + filled_in(text, "bag", "-"), encoding="utf-8")
    corrections = doubts.read_corrections(table, few)
    bag = few.train.classes.index("bag")
    assert corrections == [Correction("test", 3, bag), Correction("train", 5, None)]
    before = few.test.labels.copy(), few.train.labels.copy()
    better = doubts.corrected(few, corrections)
    assert better.test.labels[3] == bag
    others = np.arange(20) != 3
    assert (better.test.labels[others] == few.test.labels[others]).all()
    kept = np.arange(60) != 5
    assert (better.train.images == few.train.images[kept]).all()
    assert (better.train.labels == few.train.labels[kept]).all()
    assert (few.test.labels == before[0]).all()
    assert (few.train.labels == before[1]).all()
    folder = doubts.write(better, Path("copy"))
    again = data.load("./copy")
    assert again.train.classes == few.train.classes
    for part in ("train", "test"):
        assert pairs(getattr(again, part)) == pairs(getattr(better, part))
    with pytest.raises(data.DataError, match="copy is there already"):
        doubts.write(few, folder)


def pairs(split: data.Split) -> list[tuple[bytes, int]]:
    """Every picture with its label, in an order of their own: a stored data set is mixed."""
    labels = map(int, split.labels)
    return sorted(zip((image.tobytes() for image in split.images), labels, strict=True))


def test_semicolons_and_empty_rows_are_no_mistake(few: data.Dataset, in_tmp: Path) -> None:
    table = Path("doubt.csv")
    text = filled_in(doubts.to_csv(some_doubts(few)), "", "pullover")
    table.write_text(text.replace(",", ";"))
    assert doubts.read_corrections(table, few) == [Correction("train", 5, 2)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("part,", "share,"), "the column 'part' is missing; its first line must name part, index"),
        (("test,3,", "val,3,"), "line 2: the part is 'val'; it must be train or test"),
        (("test,3,", "test,20,"), "line 2: the picture is '20'; test has pictures 0 to 19"),
        (("test,3,", "test,-3,"), "the picture is '-3'"),
        (("test,3,", "test," + "9" * 5000 + ","), "the picture is "),
        (("bag", "bgg"), "no class is called 'bgg'; did you mean bag?"),
        (("test,3,", "test,4,"), "picture 4 of test is said to be labelled"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(
    few: data.Dataset, in_tmp: Path, change: tuple[str, str], message: str
) -> None:
    table = Path("doubt.csv")
    text = filled_in(doubts.to_csv(some_doubts(few)), "bag", "")
    assert change[0] in text
    assert few.test.labels[3] != few.test.labels[4]
    table.write_text(text.replace(*change))
    with pytest.raises(data.DataError) as caught:
        doubts.read_corrections(table, few)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_picture_corrected_in_two_ways_is_refused(few: data.Dataset, in_tmp: Path) -> None:
    text = filled_in(doubts.to_csv(some_doubts(few)), "bag", "")
    line = text.splitlines()[1]
    Path("doubt.csv").write_text(text + line.replace(",bag,", ",coat,") + "\n")
    with pytest.raises(data.DataError, match="picture 3 of test was corrected to another class"):
        doubts.read_corrections(Path("doubt.csv"), few)


def test_bytes_that_are_no_table(few: data.Dataset, in_tmp: Path) -> None:
    Path("doubt.csv").write_bytes(b"\xff\xfe\0\0")
    with pytest.raises(data.DataError, match="cannot be read as UTF-8 text"):
        doubts.read_corrections(Path("doubt.csv"), few)
    with pytest.raises(FileNotFoundError):
        doubts.read_corrections(Path("nothing.csv"), few)


def test_a_copy_keeps_a_picture_of_each_part(few: data.Dataset) -> None:
    everything = [Correction("test", index, None) for index in range(20)]
    with pytest.raises(data.DataError, match="every picture of test would be left out"):
        doubts.corrected(few, everything)


def test_pictures_of_three_channels_are_written_and_read(few: data.Dataset, in_tmp: Path) -> None:
    coloured = {
        part: dataclasses.replace(
            getattr(few, part), images=np.repeat(getattr(few, part).images, 3, axis=1)
        )
        for part in ("train", "test")
    }
    coloured["val"] = coloured["test"]
    doubts.write(dataclasses.replace(few, **coloured), Path("coloured"))
    again = data.load("./coloured")
    assert again.val is not None
    for part, split in coloured.items():
        assert pairs(getattr(again, part)) == pairs(split)
    corrected = doubts.corrected(again, [Correction("val", 0, 7)])
    assert corrected.val is not None
    assert corrected.val.labels[0] == 7


# --- the sheet ---------------------------------------------------------------------------------


def test_the_sheet_has_a_place_for_every_picture(few: data.Dataset) -> None:
    captions = [(f"train {i}", "shirt", "→ a class of a very long name 名字") for i in range(13)]
    figure = doubt_sheet(list(few.train.images[:13]), captions, title="few")
    assert len(figure.axes) == 13
    assert sum(text.get_text() == "shirt" for text in figure.texts) == 13
    with pytest.raises(FigureError, match="0 pictures; a sheet shows 1 to 400"):
        doubt_sheet([], [])
    with pytest.raises(FigureError, match="pictures with 2 channels cannot be shown"):
        doubt_sheet([np.zeros((2, 4, 4), np.uint8)], [("", "", "")])


# --- the command -------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_finds_what_was_put_in_and_applies_what_is_written(
    small: data.Dataset, in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = data.subset(small.train, 1500, 0)
    wrong = np.flatnonzero((train.labels == 1) | (train.labels == 8))[:12]  # trousers and bags
    labels = train.labels.copy()
    labels[wrong] = 7  # sneakers
    test = data.subset(small.test, 50, 0)
    source = dataclasses.replace(small, train=dataclasses.replace(train, labels=labels), test=test)
    doubts.write(source, Path("mine"))
    command = ["data", "doubt", "./mine", "--part", "train", "--top", "30"]
    command += ["--epochs", "20", "--folds", "3"]
    assert cli.run([*command, "--out", "check"]) == 0
    said = capsys.readouterr().out
    assert "train: networks that never saw the picture agree with" in said
    text = Path("check/doubt.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    with Image.open("check/doubt.png") as sheet:
        assert sheet.width > 500
    assert cli.run(["data", "doubt", "./mine", "--apply", "check/doubt.csv"]) == 2
    assert "the column correct is empty in every row" in capsys.readouterr().err
    wrong_pictures = {train.images[index].tobytes(): int(train.labels[index]) for index in wrong}
    mine = data.load("./mine").train
    right = [wrong_pictures.get(mine.images[int(row["index"])].tobytes()) for row in rows]
    assert sum(label is not None for label in right) >= 6  # by chance a quarter of one
    answers = ["" if label is None else train.classes[label] for label in right]
    Path("check/doubt.csv").write_text(filled_in(text, *answers), encoding="utf-8")
    applied = ["data", "doubt", "./mine", "--apply", "check/doubt.csv", "--out", "better"]
    assert cli.run(applied) == 0
    assert "labels corrected, 0 pictures left out" in capsys.readouterr().out
    expected = {
        image.tobytes(): int(label) for image, label in zip(mine.images, mine.labels, strict=True)
    }
    for row, label in zip(rows, right, strict=True):
        if label is not None:
            expected[mine.images[int(row["index"])].tobytes()] = label
    assert dict(pairs(data.load("./better").train)) == expected
    assert cli.run([*command, "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert [row["index"] for row in values["pictures"]] == [int(row["index"]) for row in rows]


def test_wrong_usage_is_told(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["data", "doubt", "fashion-mnist-small"]
    for option, message in (
        (["--part", "tset"], "no part is called 'tset'; did you mean test?"),
        (["--top", "0"], "0 pictures: ask for at least 1"),
        (["--folds", "1"], "1 folds of 10,000 training pictures"),
        (["--apply", "nothing.csv"], "nothing.csv"),
    ):
        assert cli.run([*command, *option]) in (1, 2)
        assert message in capsys.readouterr().err
    assert not any(in_tmp.iterdir())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_most_of_mnists_known_wrong_labels_are_among_the_first_hundred(full_data: None) -> None:
    found = doubts.find(data.load("mnist"), part="test", top=100, folds=2)
    assert len({picture.index for picture in found.pictures} & {*WRONG}) >= 10
