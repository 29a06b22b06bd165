"""A run as one HTML file: what is in it, how large it is, what it refuses. (How it works in a
browser: tests/web/test_standalone.py.)"""

from __future__ import annotations

import base64
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lenet import cli, data
from lenet.lab.datasets import training_part
from lenet.lab.export import html
from lenet.lab.export.bundle import WEB
from lenet.lab.lessons.reading import built_in
from lenet.looking import evaluation
from lenet.network import weights
from lenet.runs import experiments, load_model, load_model_and_notes
from lenet.ship.model import load


class Scripts(HTMLParser):
    """The texts of a page's scripts, and every address in an attribute."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.texts: dict[str, str] = {}
        self.addresses: list[str] = []
        self._open = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._open = str(given.get("id") or "loader") if tag == "script" else ""
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open] = self.texts.get(self._open, "") + data

    def handle_endtag(self, tag: str) -> None:
        self._open = ""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One epoch on the bundled pictures."""
    folder = tmp_path_factory.mktemp("export") / "a-run"
    with pytest.MonkeyPatch.context() as patch:  # curves take longer than all the rest
        patch.setattr(experiments, "draw_curves", lambda record: [])
        assert cli.run(["train", "quickstart", "--epochs", "1", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def page(run: Path) -> str:
    return html.of_run(run)


@pytest.fixture(scope="module")
def lean(run: Path) -> str:
    return html.of_run(run, lean=True)


@pytest.fixture(scope="module")
def scripts(page: str) -> Scripts:
    parser = Scripts()
    parser.feed(page)
    return parser


def content(scripts: Scripts) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(scripts.texts["lenet-content"])
    return loaded


def unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


@pytest.mark.slow
def test_it_is_one_file_below_two_megabytes_and_a_lean_one_below_one(
    page: str, lean: str, scripts: Scripts
) -> None:
    assert len(page.encode()) < 2_000_000
    assert len(lean.encode()) < 1_000_000
    assert scripts.addresses == []
    assert "default-src &#x27;none&#x27;" in page
    assert not re.search(r"""(?:url\(|@import|from ["'])\s*["']?https?:""", page)


def test_the_weights_are_the_runs_own(run: Path, scripts: Scripts) -> None:
    packed = base64.b64decode(content(scripts)["weights"])
    parameters, metadata = weights.unpack(packed, "the page")
    network, expected = load_model(run)
    assert metadata["network"]["name"] == network.name
    assert parameters.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(parameters[name], values)


def test_the_pictures_are_ten_of_each_class_with_what_the_network_says(
    run: Path, scripts: Scripts
) -> None:
    there = content(scripts)
    test = data.bundled().test
    chosen = there["indices"]
    assert len(chosen) == html.SAMPLES
    assert np.bincount(test.labels[chosen]).tolist() == [10] * 10
    pixels = np.frombuffer(base64.b64decode(there["pixels"]), np.uint8)
    np.testing.assert_array_equal(pixels.reshape(-1, 1, 28, 28), test.images[chosen])
    seen = evaluation.predictions(*load_model(run), test)
    predicted = np.frombuffer(base64.b64decode(there["predicted"]), np.uint8)
    np.testing.assert_array_equal(predicted, seen.predicted[chosen])
    probability = np.frombuffer(base64.b64decode(there["probability"]), "<f4")
    np.testing.assert_allclose(probability, seen.probability[chosen], atol=1e-6)


def test_the_page_has_the_calibration_and_its_probabilities(
    calibrated_run: Path, few: data.Dataset
) -> None:
    network, parameters, notes = load_model_and_notes(calibrated_run)
    assert notes["calibration"]["temperature"] != 1
    parser = Scripts()
    parser.feed(html.to_html("it", network, parameters, "few", few.test, {}, notes=notes))
    there = content(parser)
    _, metadata = weights.unpack(base64.b64decode(there["weights"]), "the page")
    assert {key: metadata[key] for key in notes} == notes
    shares = load(calibrated_run)(few.test.images[there["indices"]])
    probability = np.frombuffer(base64.b64decode(there["probability"]), "<f4")
    np.testing.assert_allclose(probability, shares.max(axis=1), atol=1e-6)


def test_both_languages_are_inside(scripts: Scripts) -> None:
    explanations = content(scripts)["explanations"]
    assert set(explanations) == {"en", "zh"}
    assert len(explanations["en"]["sections"]) == len(explanations["zh"]["sections"]) == 12
    assert explanations["en"]["sections"][0]["run"]  # what training made of it, not only theory


@pytest.mark.slow
def test_the_lessons_are_inside_and_a_teacher_s_too(run: Path, tmp_path: Path) -> None:
    lesson = tmp_path / "mine.json"
    lesson.write_text(
        '{"form": "lenet-lesson-1", "title": "</script><b>", "steps": [{"text": "a"}]}'
    )
    out = tmp_path / "page.html"
    command = ["export", str(run), "--out", str(out), "--lesson", str(lesson)]
    assert cli.run([*command, "--to", "card"]) == 2
    assert cli.run([*command, "--to", "html"]) == 0
    parser = Scripts()
    parser.feed(out.read_text(encoding="utf-8"))
    lessons = content(parser)["lessons"]
    assert [each["id"] for each in lessons] == [*(each["id"] for each in built_in()), "mine"]
    assert lessons[-1]["title"] == {"en": "</script><b>"}


def test_every_import_is_inside_and_the_other_views_are_not(scripts: Scripts) -> None:
    packed = json.loads(unpacked(scripts.texts["lenet-modules"]))
    modules = packed["modules"]
    assert {html.ENTRY, "lenet/network/layers.js"} <= {*modules}
    assert {*packed["scripts"]} == {"worker", "trainer"}
    for script in packed["scripts"].values():  # each is whole: a worker there imports nothing
        assert "self.onmessage = " in script
        assert not re.search(r"^(import|export) ", script, re.M)
    assert not {"lenet/learn.js", "lenet/compare.js", "lenet/main.js"} & set(modules)
    for name, text in modules.items():
        file = (WEB / name.removeprefix("lenet/")).read_text(encoding="utf-8")
        assert text == file.replace('from "./', 'from "lenet/network/')
        for imported in re.findall(r'^(?:import|\}).*"([^"]+)";$', text, re.M):
            assert imported in modules, f"{name} imports {imported}"


def test_the_training_pictures_and_the_engine_are_inside(scripts: Scripts) -> None:
    there = content(scripts)
    train = data.bundled().train
    pixels = np.frombuffer(unpacked(there["training"]), np.uint8)
    count = html.TRAINING
    assert 1_000 <= count <= 2_000
    images, labels = pixels[:-count].reshape(count, 1, 28, 28), pixels[-count:]
    assert unpacked(there["engine"]) == (WEB / "network/engine.wasm").read_bytes()
    known = {
        image.tobytes(): label for image, label in zip(train.images, train.labels, strict=True)
    }
    assert all(known[image.tobytes()] == label for image, label in zip(images, labels, strict=True))
    for part in (labels[: count // 5], labels[-count // 5 :]):  # wherever it is cut
        assert np.bincount(part, minlength=10).tolist() == [count // 50] * 10


def test_a_lean_page_has_no_training_nor_its_scripts(lean: str, few: data.Dataset) -> None:
    parser = Scripts()
    parser.feed(lean)
    assert not {"training", "engine"} & {*content(parser)}
    packed = json.loads(unpacked(parser.texts["lenet-modules"]))
    modules = packed["modules"]
    assert html.LEAN_ENTRY in modules
    assert {*packed["scripts"]} == {"worker"}
    others = ("lenet/playground/", "lenet/vendor/", "lenet/network/engine", "lenet/network/train")
    assert not [name for name in modules if name.startswith(others)]
    assert ".train-charts" not in lean
    part = training_part(few.train, most=50, most_bytes=784 * 20 + 700)
    assert len(part) == 20
    assert len(training_part(few.train, most=50, most_bytes=700)) == 0


def test_a_name_cannot_end_the_script(run: Path) -> None:
    network, parameters = load_model(run)
    text = html.to_html("</script><b>", network, parameters, "x<!--", data.bundled().test, {})
    assert "</script><b>" not in text
    assert "x<!--" not in text
    parser = Scripts()
    parser.feed(text)
    assert content(parser)["title"] == "</script><b>"


def test_samples_where_a_class_is_rare_or_there_are_few() -> None:
    test = data.bundled().test
    few = data.Split(test.images[:30], test.labels[:30], test.classes, "few")
    right = evaluation.Predictions(few.labels, np.ones(30), np.ones(30))
    assert html.sample(few, right, 100).tolist() == list(range(30))
    labels = np.array([0] * 50 + [1] * 2)
    images = np.zeros((52, 1, 28, 28), np.uint8)
    rare = data.Split(images, labels, ("a", "b"), "rare")
    seen = evaluation.Predictions(labels.copy(), np.linspace(0.5, 1, 52), np.ones(52))
    assert html.sample(rare, seen, 10).tolist() == [*range(8), 50, 51]
    seen.predicted[[20, 30, 40, 45]] = 1  # the three surest of the misread come first
    assert html.sample(rare, seen, 10).tolist() == [0, 1, 2, 3, 4, 30, 40, 45, 50, 51]


@pytest.mark.slow
def test_from_the_command_line(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["export", str(run), "--to", "html"]) == 0
    path = run / "a-run.html"
    assert str(path) in capsys.readouterr().out
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    out = run.parent / "here.html"
    model = str(run / "model.safetensors")
    assert cli.run(["export", model, "--to", "html", "--lean", "--out", str(out)]) == 0
    assert out.stat().st_size < 0.6 * path.stat().st_size


@pytest.mark.slow
@pytest.mark.needs("links")
def test_a_run_may_be_called_as_a_network_is(
    run: Path, in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (in_tmp / "lenet").mkdir()
    assert cli.run(["export", "lenet", "--to", "html"]) == 2
    assert "holds no run.json" in capsys.readouterr().err
    (in_tmp / "mlp").symlink_to(run)
    assert cli.run(["export", "mlp", "--to", "html", "--out", "mlp.html"]) == 0
    assert (in_tmp / "mlp.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["runs/nowhere", "--to", "html"],
            "runs/nowhere is not a run: it does not exist. 'lenet runs' lists",
        ),
        (["lenet", "--to", "html"], "lenet is not a run: it does not exist"),
        (
            [".", "--to", "pdf"],
            "--to must be one of html, onnx, c, torch, ",
        ),
        ([".", "--to", "c", "--lean"], "--lean goes with --to html, got --to c"),
    ],
)
def test_what_cannot_be_exported_is_told(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], in_tmp: Path
) -> None:
    assert cli.run(["export", *arguments]) == 2
    assert message in capsys.readouterr().err
