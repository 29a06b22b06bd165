"""Looking inside from Python and from the command line, on a run that was really trained."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lenet
from lenet import cli, data, looking, system
from lenet.drawing import figures
from lenet.drawing.text_width import cells
from lenet.looking.feature_maps import PictureError


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of LeNet, one epoch on the pictures that come with the package."""
    folder = tmp_path_factory.mktemp("looking") / "run"
    lenet.train("quickstart", out=folder, epochs=1)
    return folder


@pytest.fixture
def run(trained: Path, in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run in an empty working folder, at a terminal of 80 columns, in English."""
    monkeypatch.setenv("COLUMNS", "80")
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG", "LANGUAGE"):
        monkeypatch.delenv(variable, raising=False)
    shutil.copytree(trained, in_tmp / "run")
    return Path("run")


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert cli.run([str(argument) for argument in arguments]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert cli.run([str(argument) for argument in arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def is_png(path: str | Path) -> bool:
    with Image.open(path) as image:
        image.load()
        return image.format == "PNG" and image.width > 800


# --- lenet inspect -----------------------------------------------------------------------------


@pytest.mark.slow
def test_features_of_a_class(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "inspect", run, "--features", "ankle boot:2", "--out", "boot.png")
    assert text.splitlines()[-2:] == ["boot.png", "boot-features-ankle-boot-2-003.png"]
    assert is_png("boot.png")
    assert is_png("boot-features-ankle-boot-2-003.png")


@pytest.mark.slow
def test_features_of_a_file(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.full((50, 40), 240, np.uint8)
    pixels[10:40, 8:30] = 60
    Image.fromarray(pixels).save("a b.jpg")
    text = printed(capsys, "inspect", run / "model.safetensors", "--features", "a b.jpg")
    assert text.startswith("a b.jpg (made grey and 28×28): ")
    assert text.splitlines()[-2:] == [str(run / f"features-a-b{end}.png") for end in ("", "-003")]


def test_a_diagram_has_the_runs_classes(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "inspect", run, "--diagram").strip() == str(run / "diagram.svg")
    root = ET.parse(run / "diagram.svg").getroot()
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "ankle boot" in words


def test_an_explanation_tells_what_training_made_of_it(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    english = printed(capsys, "inspect", run, "--explain")
    assert "In this run: weights from −" in english
    assert "In this run: on 256 test pictures" in english
    chinese = printed(capsys, "inspect", run, "--explain", "zh")
    assert "本次训练：在 256 张测试图片上" in chinese
    assert printed(capsys, "inspect", "--explain", "zh", run) == chinese


@pytest.mark.parametrize(
    ("variable", "value", "word"),
    [("LANG", "zh_CN.UTF-8", "卷积核"), ("LC_ALL", "en_US.UTF-8", "kernels")],
)
def test_the_language_is_the_readers(
    run: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    word: str,
) -> None:
    monkeypatch.setenv(variable, value)
    assert word in printed(capsys, "inspect", "lenet", "--explain")


@pytest.mark.slow
def test_all_at_once_in_80_columns(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--kernels", "--features", "17", "--parameters", "--diagram", "--explain")
    text = printed(capsys, "inspect", run, *options)
    assert max(map(cells, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert text.startswith("conv layer 1 kernels shape: (6, 1, 5, 5)\ntensor([[[[")
    assert "conv layer 2 kernels shape: (16, 6, 5, 5)" in text
    test = data.bundled().test
    assert f"test picture 17 ({test.classes[test.labels[17]]}): " in text
    assert "\n0.weight: shape=(6, 1, 5, 5)\ntensor([" in text
    assert "█" in text
    names = ("kernels.png", "features-17.png", "features-17-003.png", "parameters.png")
    assert text.splitlines()[-5:] == [str(run / name) for name in (*names, "diagram.svg")]
    assert all(is_png(run / name) for name in names)


def test_pictures_go_where_they_are_asked_to(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed(capsys, "inspect", run, "--kernels", "--diagram", "--out", "new/pictures")
    assert {path.name for path in Path("new/pictures").iterdir()} == {"kernels.png", "diagram.svg"}
    printed(capsys, "inspect", run, "--kernels", "--out", "kernels.svg")
    assert Path("kernels.svg").read_text(encoding="utf-8").startswith("<?xml")


def test_json_for_programs_writes_no_pictures(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(run.iterdir())
    options = ("--kernels", "--features", "3", "--parameters", "--diagram", "--explain", "zh")
    values = json.loads(printed(capsys, "inspect", run, *options, "--json"))
    assert list(values) == ["kernels", "features", "parameters", "diagram", "explanation"]
    assert values["explanation"]["language"] == "zh"
    assert sorted(run.iterdir()) == before


def test_a_named_network_has_its_first_weights_and_says_so(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(capsys, "inspect", "lenet", "--kernels")
    assert text.startswith("lenet is not trained: these are first weights (xavier, seed 0)\n")
    assert is_png("lenet-kernels.png")
    assert "not trained" not in printed(capsys, "inspect", "lenet5", "--diagram")
    text = printed(capsys, "inspect", "lenet", "--input", "3x32x32", "--explain")
    assert "3×32×32" in text
    assert not [path for path in Path().iterdir() if path.name.startswith("lenet-explain")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("mlp", "--kernels"), "no convolutions"),
        (("lenet", "--features", "3"), "Only a run has test pictures"),
        (("run", "--features", "nothing"), "no such file"),
        (("run", "--diagram", "--out", "x.png"), "end the name in .svg"),
        (("run", "--kernels", "--out", "x.gif"), "one of .svg, .png, .pdf"),
        (("run", "--explain", "fr"), "fr"),
        (("run", "--explain=fr"), "explanations are in en and zh"),
        (("lenett", "--kernels"), "did you mean lenet?"),
    ],
)
def test_what_cannot_be_shown(
    run: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
) -> None:
    assert message in refused(capsys, "inspect", *options)


def test_an_explanation_needs_no_data(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    info = json.loads((run / "run.json").read_text(encoding="utf-8"))
    info["recipe"]["data"] = "./gone"
    (run / "run.json").write_text(json.dumps(info), encoding="utf-8")
    text = printed(capsys, "inspect", run, "--explain")
    assert "weights from" in text
    assert "test pictures" not in text


# --- lenet evaluate ----------------------------------------------------------------------------


@pytest.mark.slow
def test_mistakes_and_confusion(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "evaluate", run, "--mistakes", "4", "--confusion")
    table = text[text.index("picture  ") :].splitlines()
    assert len(table) == 1 + 4 + 2
    assert table[-2:] == [str(run / "confusion.png"), str(run / "mistakes.png")]
    assert is_png(run / "confusion.png")
    assert is_png(run / "mistakes.png")
    index, label = table[1].split()[0], data.bundled().test.labels[int(table[1].split()[0])]
    assert f"{index}  {data.bundled().test.classes[label]}" in table[1]


def test_mistakes_as_json(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = json.loads(printed(capsys, "evaluate", run, "--mistakes", "3", "--json"))
    assert len(values["mistakes"]) == 3
    assert "mistakes" not in json.loads(printed(capsys, "evaluate", run, "--json"))
    assert not (run / "mistakes.png").exists()
    assert "0 mistakes" in refused(capsys, "evaluate", run, "--mistakes", "0")


@pytest.mark.slow
def test_a_missing_font_is_said(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no picture has boxes: a sign that no font has would be a warning, here an error."""
    monkeypatch.setattr(figures, "cjk_fonts", tuple)
    small = data.bundled()
    names = ("上衣", "裤子", "套衫", "连衣裙", "外套", "凉鞋", "衬衫", "运动鞋", "包", "短靴")
    test = data.Split(small.test.images[:200], small.test.labels[:200], names, "named")
    chinese = data.Dataset(**{**small.__dict__, "test": test, "train": test})
    monkeypatch.setattr(data, "load", lambda *args, **kwargs: chinese)
    capsys.readouterr()
    assert cli.run(["evaluate", str(run), "--mistakes", "4", "--confusion"]) == 0
    output = capsys.readouterr()
    assert "连衣裙" in output.out
    assert system.how_to_get("font") in output.err
    for diagram in (True, False):  # its words are drawn where it is read
        (look,) = looking.looks(looking.open_subject("lenet"), diagram=diagram, kernels=not diagram)
        assert bool(looking.font_remark(names, look.pictures)) != diagram


# --- from Python -------------------------------------------------------------------------------


def test_the_public_functions_take_a_run_a_record_a_name_and_a_network(trained: Path) -> None:
    record = lenet.read_run(trained)
    network, parameters = lenet.load_model(trained)
    for model in (
        trained,
        str(trained),
        record,
        trained / "model.safetensors",
        lenet.load(trained),
    ):
        bank = lenet.kernels(model).banks[0]
        assert np.array_equal(bank.weights, parameters["0.weight"])
    assert lenet.diagram(record) == lenet.diagram(network)
    assert lenet.statistics("mlp").parameters[0].shape == (256, 784)
    assert lenet.explain("lenet-relu", "zh").language == "zh"
    for model in (record, lenet.load(trained), lenet.load(trained / "model.safetensors")):
        assert lenet.features(model, 17).picture.label == data.bundled().test.labels[17]
    with pytest.raises(PictureError, match="Only a run"):
        lenet.features("lenet", 17)
    with pytest.raises(ValueError, match="explanations are in en and zh"):
        lenet.features(trained, 17, language="fr")


def test_evaluate_takes_what_features_takes(trained: Path) -> None:
    record = lenet.read_run(str(trained))
    network, parameters = lenet.load_model(str(trained))
    test = data.bundled().test
    right = record.history[-1].test_acc
    loaded = lenet.load(trained)
    for model in (trained, str(trained), record, str(trained / "model.safetensors"), loaded):
        assert lenet.evaluate(model).accuracy == right
    assert lenet.evaluate(network, parameters, test).accuracy == right
    by_arrays = lenet.evaluate(record, split=(test.images[:, 0], test.labels))
    assert by_arrays.accuracy == right
    assert lenet.evaluate(record, split=(test.images[:50], test.labels[:50])).examples == 50
    with pytest.raises(ValueError, match=r"lenet is not trained.*give a run"):
        lenet.evaluate("lenet")
    with pytest.raises(ValueError, match="would have test pictures"):
        lenet.evaluate(network, parameters)
    with pytest.raises(ValueError, match="parameters go with a Network"):
        lenet.evaluate(record, parameters)


def test_features_of_a_picture_in_an_array(trained: Path) -> None:
    pixels = data.bundled().test.images[17]
    right = lenet.features(trained, 17).outputs[-1]
    for array in (pixels, pixels[0], pixels.transpose(1, 2, 0), pixels / 255):
        assert np.array_equal(lenet.features(trained, array).outputs[-1], right)
    with pytest.raises(data.DataError, match="picture"):
        lenet.features(trained, np.zeros(784, np.uint8))
    with pytest.raises(PictureError, match="takes 1×28×28"):
        lenet.features(trained, np.zeros((32, 32), np.uint8))


@pytest.mark.slow
def test_what_notebooks_show(trained: Path) -> None:
    assert lenet.kernels(trained)._repr_png_().startswith(b"\x89PNG")
    assert lenet.features(trained, 0)._repr_png_().startswith(b"\x89PNG")
    assert lenet.statistics(trained)._repr_png_().startswith(b"\x89PNG")
    assert lenet.diagram(trained)._repr_svg_().startswith("<svg ")
    assert "<h4>" in lenet.explain(trained)._repr_html_()


def test_looking_loads_no_matplotlib_before_it_draws() -> None:
    code = """
import lenet, sys
lenet.diagram("lenet"), str(lenet.explain("lenet")), str(lenet.kernels("lenet"))
print({"matplotlib", "torch"} & set(sys.modules))
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"
