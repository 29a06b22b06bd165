"""lenet export --to onnx, c, torch, tensorboard, card: what is written, and that its snippet runs.
(html: test_export.py.)"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lenet
from lenet import cli, runs
from lenet.network.parameters import initialize
from lenet.network.weights import pack_network
from lenet.ship import exporting, tensorboard
from lenet.ship import onnx as files
from lenet.ship.c import compiled
from lenet.ship.model import load

SMALL = [
    lenet.Conv2d(1, 4, 5, stride=2),
    lenet.Sigmoid(),
    lenet.MaxPool2d(2),
    lenet.Flatten(),
    lenet.Linear(144, 10),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One epoch of a small network on the bundled pictures, a tenth of them held out."""
    folder = tmp_path_factory.mktemp("exporting") / "a-run"
    lenet.train("quickstart", network=SMALL, epochs=1, val=0.1, lr=0.01, out=folder)
    return folder


def exported(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """What the command said, and the snippet at its end."""
    assert cli.run(["export", *arguments]) == 0
    said, _, snippet = capsys.readouterr().out.partition("how to use it:\n\n")
    return said, "".join(line.removeprefix("    ") for line in snippet.splitlines(True))


def executed(snippet: str) -> dict[str, Any]:
    """The names that a Python snippet leaves."""
    names: dict[str, Any] = {}
    before = list(sys.path)
    try:
        exec(compile(snippet, "snippet", "exec"), names)
    finally:
        sys.path[:] = before
        sys.modules.pop("model", None)
    return names


@pytest.mark.slow
@pytest.mark.parametrize("quantize", [[], ["--quantize", "int8"]], ids=["float32", "int8"])
def test_onnx(run: Path, capsys: pytest.CaptureFixture[str], quantize: list[str]) -> None:
    pytest.importorskip("onnxruntime")
    said, snippet = exported([str(run), "--to", "onnx", *quantize], capsys)
    name = "a-run-int8" if quantize else "a-run"
    assert str(run / f"{name}.onnx") in said
    assert "onnxruntime's logits differ by at most" in said
    assert ("accuracy on 2,000 test pictures" in said) == bool(quantize)
    names = executed(snippet)
    with np.load(run / f"{name}.parity.npz", allow_pickle=False) as parity:
        assert parity["pictures"].shape == (10, 1, 28, 28)
        np.testing.assert_allclose(names["probabilities"], parity["probabilities"], atol=1e-6)
        np.testing.assert_array_equal(names["known"], parity["known"])
        within = 0.2 if quantize else 1e-6
        own = load(run)(parity["pictures"])
        np.testing.assert_allclose(parity["probabilities"], own, atol=within)


@pytest.mark.slow
@pytest.mark.skipif(compiled.compiler() is None, reason="there is no C compiler here")
@pytest.mark.parametrize("quantize", [[], ["--quantize", "int8"]], ids=["float32", "int8"])
def test_c(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], quantize: list[str]
) -> None:
    path = tmp_path / "net.h"
    said, snippet = exported([str(run), "--to", "c", *quantize, "--out", str(path)], capsys)
    assert "checked: compiled here" in said
    assert ("accuracy on 2,000 test pictures" in said) == bool(quantize)
    assert compiled.load(path, ("-O1",)).self_test() == 0
    (tmp_path / "main.c").write_text(snippet)
    program = str(tmp_path / "main")
    compiled.run(str(compiled.compiler()), "-std=c99", str(tmp_path / "main.c"), "-o", program)
    classes = {*load(run).classes, "none of these"}
    assert compiled.run(program).strip() in classes


@pytest.mark.slow
def test_torch(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    _, snippet = exported([str(run), "--to", "torch"], capsys)
    names = executed(snippet)
    assert names["probabilities"].shape == (1, 10)
    model = load(run)
    pictures = np.random.default_rng(0).integers(0, 256, (5, 1, 28, 28), np.uint8)
    given = names["network"](torch.from_numpy(pictures)).detach().numpy()
    np.testing.assert_allclose(given, model(pictures), atol=1e-6)
    said = names["network"].known(torch.from_numpy(pictures)).numpy()
    np.testing.assert_array_equal(said, model.known(pictures))
    source = (run / "a-run-torch/model.py").read_text(encoding="utf-8")
    assert "import lenet" not in source
    assert list(model.classes) == names["model"].CLASSES


@pytest.mark.slow
def test_torch_of_1998_needs_nothing_of_lenet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    network = lenet.build("lenet5")
    path = tmp_path / "old.safetensors"
    path.write_bytes(pack_network(network, initialize(network, "lecun", 1)))
    _, snippet = exported([str(path), "--to", "torch"], capsys)
    pictures = np.random.default_rng(0).integers(0, 256, (5, 1, 32, 32), np.uint8)
    given = executed(snippet)["network"].logits(torch.from_numpy(pictures)).detach().numpy()
    np.testing.assert_allclose(given, load(path).logits(pictures), rtol=1e-5)
    source = (tmp_path / "old-torch/model.py").read_text(encoding="utf-8")
    assert "lenet.torch" not in source


def test_tensorboard(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, snippet = exported([str(run), "--to", "tensorboard"], capsys)
    folder = run / "a-run-tensorboard"
    assert snippet == f"tensorboard --logdir {folder}\n"
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = reader.EventAccumulator(str(folder))
    events.Reload()
    history = runs.read(run).history
    for name, tag in tensorboard.TAGS.items():
        readings = [one for one in history if getattr(one, name) is not None]
        scalars = events.Scalars(tag)
        assert [scalar.step for scalar in scalars] == [one.step for one in readings]
        expected = [getattr(one, name) for one in readings]
        np.testing.assert_allclose([scalar.value for scalar in scalars], expected, rtol=1e-6)
    apart = events.Scalars("loss/train")[-1].wall_time - events.FirstEventTimestamp()
    assert apart == pytest.approx(history[-1].wall_s, abs=1e-3)


def test_card(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    yaml = pytest.importorskip("yaml")
    said, snippet = exported([str(run), "--to", "card"], capsys)
    folder = run / "a-run-card"
    assert "nothing was sent anywhere" in said
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["README.md", "config.json", "model.onnx", "model.safetensors", "parity.npz"]
    text = (folder / "README.md").read_text(encoding="utf-8")
    _, head, body = text.split("---\n", 2)
    values = yaml.safe_load(head)
    assert values["pipeline_tag"] == "image-classification"
    assert values["datasets"] == ["zalando-datasets/fashion_mnist"]
    record = runs.read(run)
    accuracy = values["model-index"][0]["results"][0]["metrics"][0]["value"]
    assert accuracy == pytest.approx(record.history[-1].test_acc, abs=1e-6)
    assert "| ankle boot |" in body
    assert "nan" not in body.lower()
    assert executed(snippet)["probabilities"].shape == (10, 10)
    model, own = load(folder / "model.safetensors"), load(run)
    assert (model.calibration, model.preparation) == (own.calibration, own.preparation)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["id2label"]["9"] == "ankle boot"


@pytest.mark.slow
def test_the_cards_own_snippet_runs_in_its_folder(run: Path) -> None:
    pytest.importorskip("onnxruntime")
    what = exporting.subject(run)
    folder = run.parent / "card"
    exporting.to_card(what, folder)
    text = (folder / "README.md").read_text(encoding="utf-8")
    snippet = text.split("```python\n")[1].split("```")[0]
    subprocess.run([sys.executable, "-c", snippet], cwd=folder, check=True)


def test_a_file_of_weights_alone(
    run: Path, in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    shutil.copy(run / "model.safetensors", "clothes.safetensors")
    said, snippet = exported(["clothes.safetensors", "--to", "onnx"], capsys)
    assert "10 pictures of noise, as its own are not here" in said
    assert executed(snippet)["probabilities"].shape == (10, 10)
    for arguments, message in (
        (["--to", "onnx", "--quantize", "int8"], "needs training pictures of clothes"),
        (["--to", "tensorboard"], "needs a run's history"),
    ):
        assert cli.run(["export", "clothes.safetensors", *arguments]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "pdf"], "--to must be one of html, onnx, c, torch, tensorboard, card"),
        (["--to", "torch", "--quantize", "int8"], "--quantize goes with --to onnx and --to c"),
        (["--to", "onnx", "--quantize", "int4"], "--quantize must be int8, got 'int4'"),
    ],
)
def test_wrong_usage(
    run: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["export", str(run), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_what_is_there_is_written_over_only_by_force(
    run: Path, in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine").mkdir()
    arguments = ["export", str(run), "--to", "tensorboard", "--out", "mine"]
    assert cli.run(arguments) == 2
    assert "mine is already there; --force writes over it" in capsys.readouterr().err
    assert cli.run([*arguments, "--force"]) == 0
    assert len(list(Path("mine").iterdir())) == 1


def test_a_file_that_computes_something_else_is_not_kept(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    right = files.compute

    def wrong(*arguments: Any) -> dict[str, Any]:
        given = right(*arguments)
        return given | {"logits": given["logits"] + 0.01}

    monkeypatch.setattr(files, "compute", wrong)
    path = tmp_path / "a.onnx"
    assert cli.run(["export", str(run), "--to", "onnx", "--out", str(path)]) == 1
    assert "the file was not kept" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("compiler", "remark"),
    [("false", "not checked: it does not compile here"), ("", "there is no C compiler here")],
)
def test_c_where_no_compiler_works(
    run: Path,
    tmp_path: Path,
    compiler: str,
    remark: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(compiled, "compiler", lambda: shutil.which(compiler) if compiler else None)
    path = tmp_path / "a.h"
    said, _ = exported([str(run), "--to", "c", "--out", str(path)], capsys)
    assert remark in " ".join(said.split())
    assert path.exists()


def test_a_data_folder_that_is_not_there(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["export", str(run), "--to", "onnx", "--data-dir", "nowhere"]) == 2
    assert "the data folder nowhere does not exist" in capsys.readouterr().err
