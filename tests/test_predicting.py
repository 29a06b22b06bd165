"""lenet predict: files found, streamed, answered; bad ones listed; tables, JSON, CSV."""

import csv
import io
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import photographs
from lenet import cli, data
from lenet.drawing.text_width import cells
from lenet.ship import predicting, prediction_text
from lenet.ship.model import Model, Prediction, load
from lenet.ship.predicting import Answer, NoPicturesError


@pytest.fixture(scope="module")
def model(calibrated_run: Path) -> Model:
    return load(calibrated_run, threads=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, few: data.Dataset) -> Path:
    """Pictures, in folders too; what is none; what is damaged."""
    where = tmp_path_factory.mktemp("pictures")
    (where / "more" / ".hidden").mkdir(parents=True)
    for place in ("b.png", "a.PNG", "more/c.png", "more/.hidden/d.png", ".e.png"):
        Image.fromarray(few.test.images[len(place), 0]).save(where / place, "PNG")
    (where / "notes.txt").write_text("no picture", encoding="utf-8")
    (where / "damaged.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing more")
    Image.new("L", (90, 90), 200).save(where / "empty.bmp")
    return where


def names(sources: list[predicting.Source]) -> list[str]:
    return [source.name for source in sources]


# --- what is found -----------------------------------------------------------------------------


def test_a_folder_s_pictures_sorted_with_those_of_its_folders(folder: Path) -> None:
    found = [Path(name).relative_to(folder).as_posix() for name in names(found_in(folder))]
    assert found == ["a.PNG", "b.png", "damaged.jpg", "empty.bmp", "more/c.png"]


def found_in(folder: Path) -> list[predicting.Source]:
    return predicting.from_paths([str(folder)])


def test_files_are_taken_as_they_are_named_whatever_they_are(folder: Path) -> None:
    named = [str(folder / "notes.txt"), str(folder / "nothing.png"), str(folder / "b.png")]
    assert names(predicting.from_paths(named)) == named


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoPicturesError, match="holds no pictures"):
        predicting.from_paths([str(tmp_path)])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_a_picture_on_standard_input(kind: str) -> None:
    content = io.BytesIO()
    Image.new("L", (7, 5), 9).save(content, kind)
    content.seek(0)
    (source,) = predicting.from_stream(content)
    assert source.name == "standard input"
    assert source.read().shape[:2] == (5, 7)


def test_names_on_standard_input_one_a_line_or_after_zeros(folder: Path) -> None:
    listed = [str(folder / name) for name in ("b.png", "BMW ü.png")]
    for between in ("\n", "\r\n", "\0"):
        content = between.join([*listed, ""]).encode()
        assert names(predicting.from_stream(io.BytesIO(content))) == listed


@pytest.mark.parametrize("content", [b"", b"\n\n", b"x" * 20_000])
def test_nothing_on_standard_input_is_said(content: bytes) -> None:
    with pytest.raises(NoPicturesError, match="standard input"):
        predicting.from_stream(io.BytesIO(content))


# --- answers -----------------------------------------------------------------------------------


def test_a_bad_picture_holds_up_no_other(model: Model, folder: Path) -> None:
    answers = list(predicting.predict(model, found_in(folder), 3))
    good = [answer.prediction is not None for answer in answers]
    assert good == [True, True, False, False, True]
    assert "cut off or damaged" in answers[2].problem
    assert "nothing stands out from the ground" in answers[3].problem
    assert str(folder) not in answers[2].problem  # the name is there already
    assert answers[0].prediction == model.predict(folder / "a.PNG", 3)


def test_thousands_are_streamed(model: Model, few: data.Dataset) -> None:
    read: list[int] = []

    def source(number: int) -> predicting.Source:
        def pixels() -> np.ndarray:
            read.append(number)
            return few.test.images[number % 200, 0]

        return predicting.Source(str(number), pixels, bytes)

    stream = predicting.predict(model, [source(number) for number in range(3000)], 1)
    assert next(stream).name == "0"
    assert len(read) == predicting.TOGETHER  # no more is held than that
    rest = list(stream)
    assert [answer.name for answer in rest] == [str(number) for number in range(1, 3000)]
    shares = model(few.test.images[:200])
    expected = [model.classes[index] for index in shares.argmax(1)]
    assert [a.prediction.classes[0] for a in rest[:199] if a.prediction] == expected[1:]


@pytest.mark.slow
def test_photographs_of_clothes_are_prepared_for_what_they_are(
    model: Model, tmp_path: Path
) -> None:
    """A picture of the data set, photographed, is prepared as the data set's own picture was."""
    for made in map(photographs.article, range(10)):
        (tmp_path / made.name).write_bytes(made.content)
        seen = model.prepare(tmp_path / made.name)
        rows, columns = (np.flatnonzero((seen[0] > 15).any(axis=axis)) for axis in (1, 0))
        assert max(rows[-1] - rows[0], columns[-1] - columns[0]) >= 26, made.name
        assert np.median(seen[0][[0, 0, -1, -1], [0, -1, 0, -1]]) == 0, made.name  # the corners


# --- as text -----------------------------------------------------------------------------------

KNOWN = Prediction(("ankle boot", "bag", "衬衫"), (0.8, 0.15, 0.05), True)
STRANGER = Prediction(("ankle boot", "bag"), (0.5, 0.3), False)


def test_the_table() -> None:
    table = prediction_text.table(["a.png", "猫.png"], ("ankle boot", "bag", "衬衫"), 100)
    assert table.head() == "picture  it is          probability  next"
    assert table.line(Answer("a.png", KNOWN)) == (
        "a.png    ankle boot           80.0%  bag 15.0%, 衬衫 5.0%"
    )
    assert table.line(Answer("猫.png", STRANGER)) == (
        "猫.png   none of these            –  ankle boot 50.0%, bag 30.0%"
    )
    assert table.line(Answer("a.png", None, "broken")) == "a.png    –"


def test_the_table_in_chinese() -> None:
    table = prediction_text.table(["猫.png"], ("ankle boot", "bag"), 60, "zh")
    assert table.head() == "图片    它是               概率  其次"
    assert table.line(Answer("猫.png", STRANGER)) == (
        "猫.png  都不是                –  ankle boot 50.0%, bag 30.0%"
    )


@pytest.mark.parametrize("width", [40, 60, 80])
def test_the_table_keeps_to_the_width_and_cuts_no_class(width: int) -> None:
    long = "pictures/of/a/long/folder/猫和狗/ankle-boot-in-the-rain.png"
    table = prediction_text.table([long], ("ankle boot", "bag", "衬衫"), width)
    line = table.line(Answer(long, KNOWN))
    assert cells(line) <= width
    assert "ankle boot" in line
    assert line.split("  ")[0].endswith("rain.png")
    assert line[0] == "…"


def test_a_name_cannot_move_the_cursor() -> None:
    table = prediction_text.table(["\x1b[2Jx\n.png"], ("a",), None)
    assert table.line(Answer("\x1b[2Jx\n.png", KNOWN)).isprintable()


def test_csv_and_json_have_the_same_columns_for_good_and_bad() -> None:
    head = prediction_text.csv_head(3)
    good, bad = (
        prediction_text.csv_row(answer, 3)
        for answer in (Answer("a", KNOWN), Answer("b", None, "broken"))
    )
    assert len(head) == len(good) == len(bad) == 9
    assert good[:4] == ["a", "ankle boot", "ankle boot", "0.800000"]
    assert bad[-1] == "broken"
    values = prediction_text.to_json(Answer("a", STRANGER))
    assert values["answer"] == "none of these"
    assert values["known"] is False
    assert values["classes"][0] == {"class": "ankle boot", "probability": 0.5}


# --- the command -------------------------------------------------------------------------------


def test_the_command_exits_with_1_and_lists_the_bad_ones_last(
    calibrated_run: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["predict", str(calibrated_run), str(folder)]) == 1
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 6
    errors = printed.err.splitlines()
    assert errors[0] == "lenet: not predicted: 2 of 5 pictures"
    assert [Path(line.split(": ")[0].strip()).name for line in errors[1:]] == [
        "damaged.jpg",
        "empty.bmp",
    ]


def test_the_command_s_json_and_csv(
    calibrated_run: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["predict", str(calibrated_run), str(folder), "--top", "2"]
    assert cli.run([*command, "--json"]) == 1
    values = json.loads(capsys.readouterr().out)
    assert [len(each.get("classes", ())) for each in values] == [2, 2, 0, 0, 2]
    assert cli.run([*command, "--csv"]) == 1
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["answer"] for row in rows] == [each.get("answer", "") for each in values]
    assert rows[0]["probability_1"] == f"{values[0]['classes'][0]['probability']:.6f}"
    assert rows[2]["error"] == values[2]["error"]


def test_the_command_reads_standard_input(
    calibrated_run: Path,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = (folder / "b.png").read_bytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    assert cli.run(["predict", str(calibrated_run), "-"]) == 0
    assert "standard input" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--top", "0"], "--top 0: must be at least 1"),
        (["--ground", "green"], "choose from auto, light, dark"),
        (["--json", "--csv"], "choose one of them"),
        (["--out", "x.txt"], r"\.svg"),
    ],
)
def test_wrong_options_are_said_before_anything_is_done(
    options: list[str], said: str, calibrated_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["predict", str(calibrated_run), "x.png", *options]) == 2

    assert re.search(said, capsys.readouterr().err)


def test_a_network_that_never_says_none_of_these_says_so(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lenet.network.parameters import initialize
    from lenet.network.weights import save_network
    from lenet.network.zoo import build

    network = build("lenet")
    save_network(tmp_path / "m.safetensors", network, initialize(network, "torch", 0))
    assert cli.run(["predict", str(tmp_path / "m.safetensors"), str(folder / "b.png")]) == 0
    assert 'never says "none of these"' in capsys.readouterr().err


@pytest.mark.slow
def test_show_draws_what_the_network_sees(
    calibrated_run: Path, folder: Path, in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["predict", str(calibrated_run), str(folder), "--show"]) == 1
    assert "predictions.png" in capsys.readouterr().out
    with Image.open(in_tmp / "predictions.png") as image:
        assert image.width > 1000
    picture = str(folder / "b.png")
    assert cli.run(["predict", str(calibrated_run), picture, "--out", "it.svg"]) == 0
    assert "<svg" in (in_tmp / "it.svg").read_text(encoding="utf-8")
