"""The lab's API: what it says of runs, models and data, and what it refuses."""

import base64
import contextlib
import gzip
import json
import math
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("fastapi")

from asgi import Answer, Client
from lenet import data, runs, training
from lenet.lab import datasets, opened, references
from lenet.lab.app import WEB, make_app
from lenet.lab.errors import LabError
from lenet.lab.events import Hub, message_of
from lenet.lab.lab import Lab
from lenet.looking.evaluation import evaluate
from lenet.network import layer_text, zoo
from lenet.network.architecture import from_dict, to_dict
from lenet.network.parameters import initialize
from lenet.network.weights import load_network, pack_network, unpack
from lenet.runs import COLUMNS, experiments, snapshots
from lenet.runs.experiments import Experiment
from lenet.training import recipes
from lenet.web.addresses import addresses
from lenet.web.listening import listen

TOKEN = "a-token"
HOST = "127.0.0.1:4711"
LAYERS = "AvgPool2d(4)\nFlatten()\nLinear(49, 10)"


@pytest.fixture(scope="module")
def root(small: data.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run and one that was stopped half-way."""
    folder = tmp_path_factory.mktemp("lab")
    own = folder / "my pictures"
    own.mkdir()
    splits = (data.subset(small.train, 320, 0), data.subset(small.test, 40, 0))
    arrays = [array for split in splits for array in (split.images[:, 0], split.labels)]
    for name, array in zip(data.FILES, arrays, strict=True):
        data.write_idx(own / name, array.astype(np.uint8))  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiments, "draw_curves", lambda run: None)
        patch.setattr(training, "STRETCH_S", 0.0)
        begin(own, folder / "runs" / "done", network="lenet-relu").train()
        half = begin(own, folder / "runs" / "half", network="own", layers=LAYERS)
        half.train(stop=lambda: half.engine.state().step >= 7)
    with contextlib.suppress(OSError):  # on Windows it needs a privilege
        (folder / "runs" / "link").symlink_to(folder / "runs" / "done")
    (folder / "runs" / "no run").mkdir()
    (folder / "runs" / "broken").mkdir()
    (folder / "runs" / "broken" / "run.json").write_text("{")
    return folder / "runs"


def begin(own: Path, out: Path, **changes: Any) -> Experiment:
    values = {"data": str(own), "epochs": 2, "batch_size": 64, **changes}
    recipe = recipes.load("d2l", values)
    return experiments.begin(recipe, out=out, snapshots=True, engine="numpy", threads=1)


@pytest.fixture(scope="module")
def lab(root: Path) -> Iterator[Lab]:
    lab = Lab(root)
    yield lab
    lab.shut_down(0)


@pytest.fixture(scope="module")
def client(lab: Lab) -> Iterator[Client]:
    known = addresses("127.0.0.1", 4711)
    client = Client(make_app(lab, TOKEN, known), host=HOST, x_lenet_token=TOKEN)
    yield client
    client.close()


def good(answer: Answer) -> Any:
    assert answer.status == 200, answer.content
    return answer.json()


def refused(answer: Answer, *statuses: int) -> str:
    assert answer.status in (statuses or (422,)), answer.content
    sentence = answer.json()["error"]
    assert isinstance(sentence, str)
    assert "\n" not in sentence
    return sentence


# --- the state ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_state_has_all_that_a_page_begins_with(client: Client) -> None:
    state = good(client.get("/api/state"))
    assert state["token_needed"] is True
    assert state["language"] in ("en", "zh")
    assert [run["name"] for run in state["runs"]] == ["done", "half"]
    assert [recipe["name"] for recipe in state["recipes"]] == recipes.names()
    for described in state["networks"]:
        network = from_dict(described["network"])
        assert network == zoo.build(described["name"])
        assert layer_text.parse(described["text"]) == network.layers
    names = {each["name"]: each for each in state["data"]}
    assert names["fashion-mnist-small"]["here"] is True
    assert names["fashion-mnist-small"]["train"] == 10_000
    assert state["runs"][0]["data"] in names


def test_the_lessons_are_ours_and_those_that_the_lab_was_given(client: Client, lab: Lab) -> None:
    ours = good(client.ask("GET", "/api/lessons"))["lessons"]
    assert [each["id"] for each in ours][:3] == ["tour", "picture", "convolution"]
    lab.lessons.append({"id": "mine"})
    assert good(client.ask("GET", "/api/lessons"))["lessons"] == [*ours, {"id": "mine"}]
    lab.lessons.pop()


def test_a_summary_is_a_run_in_short(client: Client, root: Path) -> None:
    done, half = good(client.get("/api/state"))["runs"]
    record = runs.read(root / "done")
    assert done["status"] == "finished"
    assert done["recipe"] == recipes.to_dict(record.recipe)
    assert (done["network"], done["parameters"]) == ("lenet-relu", 61_706)
    assert (done["epochs"], done["epochs_done"]) == (2, 2)
    assert done["last"]["test_acc"] == record.history[-1].test_acc
    assert (done["engine"], done["starred"], done["ours"]) == ("numpy", False, True)
    assert (half["status"], half["network"], half["parameters"]) == ("paused", "own", 500)
    assert half["epochs_done"] == record.history[6].epoch
    assert half["last"]["test_acc"] is None
    assert half["last_test_acc"] == runs.read(root / "half").history[4].test_acc is not None


def test_a_run_has_its_history_snapshots_and_record(client: Client, root: Path) -> None:
    run = good(client.get("/api/runs/done"))
    record = runs.read(root / "done")
    assert list(run["history"]) == COLUMNS
    assert run["history"]["train_loss"] == [row.train_loss for row in record.history]
    assert run["history"]["val_loss"] == [None] * 10
    assert run["history"]["test_acc"][3] is None
    assert run["info"] == record.info
    assert run["remarks"] == [record.remark] != [""]  # so few steps teach nothing
    assert run["remark_epochs"] == [2.0]
    assert [each["step"] for each in run["snapshots"]] == list(range(11))
    assert [each["epoch"] for each in run["snapshots"]] == [0, *run["history"]["epoch"]]


@pytest.mark.parametrize(
    "name",
    ["nothing", "link", "no run", "broken", "..", ".lab", "../runs/done", "done/.", "", "%00"],
)
def test_what_is_no_run_is_not_there(client: Client, name: str) -> None:
    for path in (f"/api/runs/{quote(name, safe='%')}", f"/api/runs/{quote(name)}"):
        refused(client.get(path), 404)
        refused(client.ask("DELETE", path), 404, 405)
    reference = quote(f"run:{name}", safe="")
    refused(client.get(f"/api/models/{reference}/weights"), 404)
    assert sorted(os.listdir(client_root(client)))[:2] == [".lab", "broken"]


def test_a_run_that_cannot_be_read_is_refused_with_what_is_wrong(client: Client) -> None:
    sentence = refused(client.get("/api/runs/broken"), 404)
    assert "run.json cannot be read: it is not JSON" in sentence
    assert sentence in refused(client.get("/api/models/run%3Abroken"), 404)


def client_root(client: Client) -> str:
    return str(good(client.get("/api/state"))["folder"])


# --- models ------------------------------------------------------------------------------------


def test_weights_are_a_file_with_its_network(client: Client, root: Path) -> None:
    answer = client.get("/api/models/run%3Adone/weights")
    parameters, metadata = unpack(answer.content, "the answer")
    network, expected = load_network(root / "done" / "model.safetensors")
    assert metadata["network"] == to_dict(network)
    assert metadata["preparation"]["fit"] == "digit"  # classes 0 to 9
    assert all(np.array_equal(parameters[name], expected[name]) for name in expected)
    again = client.get("/api/models/run%3Adone/weights", if_none_match=answer.headers["etag"])
    assert (again.status, again.content) == (304, b"")


@pytest.mark.parametrize("step", [0, 4, 10])
def test_a_snapshot_is_a_model(client: Client, root: Path, step: int) -> None:
    answer = client.get(f"/api/models/run:done@{step}/weights")
    assert answer.content == snapshots.path_of(root / "done", step).read_bytes()


def test_a_run_that_is_not_finished_has_its_last_weights(client: Client, root: Path) -> None:
    parameters, _ = unpack(client.get("/api/models/run:half/weights").content, "it")
    expected = runs.load_model(root / "half")[1]
    assert all(np.array_equal(parameters[name], expected[name]) for name in expected)


def test_a_snapshot_that_was_removed_while_it_was_looked_for_is_looked_for_again(
    client: Client, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training removes every second one when there are many."""
    good(client.get("/api/state"))
    answers = [99, 98, 7]  # 99 and 98 are not there any more
    monkeypatch.setattr(references, "_newest_snapshot", lambda watched: answers.pop(0))
    model = references.Models().of_run(lab.runs["half"], None)
    assert not answers
    assert model.title == "half"
    with pytest.raises(LabError, match="no snapshot after 99 steps any more"):
        references.Models().of_run(lab.runs["half"], 99)


@pytest.mark.parametrize(
    "reference",
    [
        *("run:done@11", "run:done@-1", "run:done@1e3", "run:done@", "run:done@99999999999999999"),
        *("done", "run:", "file:nothing", "file:", ":", "zoo:lenet", "run:done@٣", "run:link"),
    ],
)
@pytest.mark.parametrize("question", ["weights", "explanation", "predictions", "statistics"])
def test_a_model_that_is_none(client: Client, reference: str, question: str) -> None:
    refused(client.get(f"/api/models/{quote(reference, safe='')}/{question}"), 404)


def decoded(text: str, kind: str) -> Any:
    return np.frombuffer(base64.b64decode(text), kind)


def test_predictions_are_those_of_the_evaluation(client: Client, root: Path) -> None:
    found = good(client.get("/api/models/run:done/predictions"))
    split = data.load(root.parent / "my pictures").test
    network, parameters = load_network(root / "done" / "model.safetensors")
    report = evaluate(network, parameters, split)
    labels, predicted = (decoded(found[name], "u1") for name in ("labels", "predicted"))
    assert found["count"] == len(labels) == 40
    assert np.array_equal(labels, split.labels)
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (labels, predicted), 1)
    assert np.array_equal(confusion, report.confusion)
    sure, right = (decoded(found[name], "<f4") for name in ("probability", "label_probability"))
    assert (right <= sure).all()
    assert ((right == sure) == (labels == predicted)).all()
    assert -np.log(right.astype(float)).mean() == pytest.approx(report.loss, rel=1e-5)
    assert found["data"] == good(client.get("/api/runs/done"))["data"]


def test_what_was_computed_is_not_computed_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = good(client.get("/api/models/run:done@3/predictions"))
    monkeypatch.setattr("lenet.lab.models.predicted_by", lambda *_: pytest.fail("again"))
    assert good(client.get("/api/models/run:done@3/predictions")) == found


def test_statistics_are_of_the_batch(client: Client, root: Path) -> None:
    found = good(client.get("/api/models/run:done@5/statistics"))
    assert found["examples"] == 256
    network, parameters = load_network(snapshots.path_of(root / "done", 5))
    assert [layer["kind"] for layer in found["layers"]] == [
        type(layer).__name__ for layer in network.layers
    ]
    first = found["layers"][0]
    weights = parameters["0.weight"].astype(float)
    assert first["stage"] == "C1"
    assert first["weight"]["mean"] == pytest.approx(weights.mean())
    assert first["weight"]["deviation"] == pytest.approx(weights.std())
    assert sum(first["weight"]["counts"]) == weights.size == 150
    assert sum(first["activation"]["counts"]) == 256 * 6 * 28 * 28
    assert first["gradient"]["maximum"] > first["gradient"]["minimum"]
    assert first["activation"]["saturated"] is None
    relu = found["layers"][1]
    assert relu["gradient"] is relu["weight"] is None
    assert relu["activation"]["minimum"] == 0
    assert 0 < relu["activation"]["zero"] < 1


def test_an_explanation_in_both_languages(client: Client) -> None:
    for language, word in (("en", "picture"), ("zh", "图片")):
        found = good(client.get(f"/api/models/run:done/explanation?language={language}"))
        assert word in found["introduction"]
        assert len(found["sections"]) == 12
        assert set(found["sections"][0]) == {"heading", "shapes", "does", "why", "numbers", "run"}
        assert found["sections"][0]["run"]
        assert found["closing"]
    refused(client.get("/api/models/run:done/explanation?language=fr"))


def test_a_model_as_one_file(client: Client) -> None:
    pytest.importorskip("lenet.lab.export")
    for reference in ("run:done", "run:done@4"):
        answer = client.get(f"/api/models/{reference}/html?language=zh")
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert re.fullmatch(
            r'attachment; filename="[\w.-]+\.html"', answer.headers["content-disposition"]
        )
        assert '<html lang="zh-CN">' in answer.text
        assert "lenet-relu" in answer.text
    refused(client.get("/api/models/run:done/html?language=fr"))
    refused(client.get("/api/models/run:nothing/html"), 404)


# --- data --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", data.KNOWN)
def test_what_is_known_of_a_data_set_is_so(name: str) -> None:
    if not data.available(name):
        pytest.skip(f"{name} is not here: set LENET_DATA")
    loaded, described = data.load(name), datasets.known()[name]
    assert (described.train, described.test) == (len(loaded.train), len(loaded.test))
    assert described.shape == loaded.test.images.shape[1:]
    assert described.classes == loaded.test.classes


def test_pictures_of_the_test_part(client: Client, small: data.Dataset) -> None:
    address = "/api/data/fashion-mnist-small"
    about = good(client.get(address))
    assert (about["count"], about["shape"]) == (2_000, [1, 28, 28])
    assert about["classes"] == list(small.test.classes)
    assert client.get(f"{address}/labels").content == small.test.labels.astype("u1").tobytes()
    images = small.test.images
    for query, expected in (
        ("start=0&count=3", images[:3]),
        ("start=1999&count=500", images[1999:]),
        ("start=5000", images[:0]),
        ("indices=7,1999,7", images[[7, 1999, 7]]),
        ("indices=", images[:0]),
        ("", images[:500]),
    ):
        assert client.get(f"{address}/pictures?{query}").content == expected.tobytes()


def test_training_pictures_are_bounded_and_each_class_has_its_share(
    client: Client, small: data.Dataset
) -> None:
    sent = client.get("/api/data/fashion-mnist-small/training")
    values = np.frombuffer(sent.content, np.uint8)
    count = datasets.MOST_TRAINING
    assert len(values) == count * 785
    images, labels = values[: count * 784].reshape(count, 784), values[count * 784 :]
    train = small.train
    of = {image.tobytes(): label for image, label in zip(train.images, train.labels, strict=True)}
    assert all(of[images[n].tobytes()] == labels[n] for n in range(0, count, 97))
    assert np.ptp(np.bincount(labels[-600:], minlength=10)) <= 1


@pytest.mark.parametrize(
    "query",
    [
        *("indices=2000", "indices=-1", "indices=x", "indices=1;2", "indices=1,,2", "count=1001"),
        *("start=-1", "count=x", "indices=" + ",".join(["1"] * 1_001), "indices=" + "9" * 30),
        *("start=1e999", "indices=%00", "indices=%F0%9F", "start=" + "9" * 40),
    ],
)
def test_pictures_that_are_not_there(client: Client, query: str) -> None:
    refused(client.get(f"/api/data/fashion-mnist-small/pictures?{query}"))


@pytest.mark.parametrize("name", ["nothing", "..", "/etc", "my pictures", "%2e%2e", "a/b", "%00"])
def test_data_that_is_not_there(client: Client, name: str) -> None:
    for rest in ("", "/labels", "/pictures", "/training"):
        refused(client.get(f"/api/data/{quote(name, safe='%')}{rest}"), 404)
        refused(client.get(f"/api/data/{quote(name, safe='')}{rest}"), 404)


def test_a_run_s_own_pictures_have_a_name_that_gives_no_path(client: Client, root: Path) -> None:
    name = good(client.get("/api/runs/done"))["data"]
    assert name.startswith("my-pictures-")
    assert good(client.get(f"/api/data/{name}"))["count"] == 40


# --- networks ----------------------------------------------------------------------------------


def test_a_network_is_checked_as_one_types(client: Client) -> None:
    for name in zoo.NETWORKS:
        network = zoo.build(name)
        text = layer_text.to_text(network.layers)
        asked = {"text": text, "input_shape": network.input_shape, "classes": 10}
        found = good(client.post("/api/networks/check", asked))
        assert from_dict(found["network"]).layers == network.layers
        assert [row["line"] for row in found["rows"]] == list(range(1, len(network.layers) + 1))
        if name == "lenet5":
            assert found["parameters"] == 60_000


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("Flatten()\nLinaer(784, 10)", 2, "did you mean Linear?"),
        ("\nFlatten()\n\nLinear(28, 10)", 4, "line 4: layer 1 (Linear) expects a vector of 28"),
        ("Flatten()\nLinear(784, 7)\n", 2, "10 classes"),
        ("", None, "there are no layers"),
        ("Flatten()\nDropout(2)\nLinear(784, 10)", 2, "p is 2"),
    ],
)
def test_what_is_wrong_with_it_is_told_with_the_line(
    client: Client, text: str, line: int | None, words: str
) -> None:
    asked = {"text": text, "input_shape": [1, 28, 28], "classes": 10}
    answer = client.post("/api/networks/check", asked)
    assert words in refused(answer)
    assert answer.json()["line"] == line


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"text": 3},
        {"text": "ReLU()", "input_shape": [1, 28]},
        {"text": "ReLU()", "input_shape": [1, 28, 10**30]},
        {"text": "ReLU()", "classes": 10**30},
        {"text": "ReLU()", "classes": ["a", "\x00"]},
        {"text": "\udc80"},
        {"text": "x" * 60_000},
        [1],
        None,
        "text",
    ],
)
def test_questions_that_are_none(client: Client, asked: Any) -> None:
    headers = {"content-type": "application/json"}
    body = json.dumps(asked).encode()
    refused(client.ask("POST", "/api/networks/check", headers, body))


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"{}" * 3, b'{"text": NaN}'])
def test_bodies_that_are_no_json(client: Client, body: bytes) -> None:
    for path in ("/api/networks/check", "/api/train", "/api/runs/done/star"):
        for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x"):
            refused(client.ask("POST", path, {"content-type": kind}, body), 400, 422)


# --- training: what is refused (what is done: test_lab.py) -------------------------------------


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"recipe": "d3l"}, "did you mean d2l?"),
        ({"recipe": "/etc/passwd.toml"}, "unknown recipe"),
        ({"recipe": "../x.toml"}, "unknown recipe"),
        ({"recipe": "quickstart", "data": "/etc"}, "no data set is called"),
        ({"recipe": "quickstart", "settings": {"data": "../x"}}, "no data set is called"),
        ({"recipe": "quickstart", "settings": {"epoch": 3}}, "did you mean epochs?"),
        ({"recipe": "quickstart", "settings": {"epochs": 0}}, "epochs is 0"),
        ({"recipe": "quickstart", "settings": {"epochs": "x"}}, "a whole number"),
        ({"recipe": "quickstart", "settings": {"val": 10**400}}, "too large for a number"),
        ({"recipe": "quickstart", "settings": {"name": "x"}}, "unknown key 'name'"),
        ({"recipe": "quickstart", "settings": {"published": []}}, "unknown key 'published'"),
        ({"recipe": "quickstart", "settings": {"optimizer": {}}}, "'optimizer' is a section"),
        ({"recipe": "quickstart", "network": "lenet6"}, "did you mean lenet?"),
        ({"recipe": "quickstart", "text": "Linear(3)"}, "line 1: Linear lacks out_features"),
        ({"recipe": "quickstart", "text": "Flatten()\nLinear(3, 10)"}, "expects a vector of 3"),
        ({"recipe": "quickstart", "text": "Flatten()\nLinear(784, 20000)\nLinear(20000, 10)"}, "parameters are more"),  # noqa: E501
        ({"recipe": "d2l", "data": "fashion-mnist-small", "text": "Conv2d(1, 4000, 3)\nMaxPool2d(26)\nFlatten()\nLinear(4000, 10)"}, "smaller batch"),  # noqa: E501
        ({"recipe": "quickstart", "settings": {"early_stopping.patience": 3}}, "--val"),
        ({"recipe": "quickstart", "else": 3}, "else"),
        ({"settings": {}}, "recipe"),
    ],
)  # fmt: skip
def test_a_training_that_cannot_be_is_not_queued(
    client: Client, lab: Lab, asked: dict[str, Any], words: str
) -> None:
    assert words in refused(client.post("/api/train", asked))
    assert lab.queue.waiting == []


@pytest.mark.parametrize("what", ["pause", "resume"])
def test_a_finished_run_is_neither_paused_nor_resumed(client: Client, what: str) -> None:
    assert "finished" in refused(client.post(f"/api/runs/done/{what}"), 409)


def test_a_star_is_remembered(client: Client, root: Path) -> None:
    good(client.post("/api/runs/done/star", {"starred": True}))
    assert good(client.get("/api/runs/done"))["starred"] is True
    assert json.loads((root / ".lab" / "state.json").read_text())["starred"] == ["done"]
    good(client.post("/api/runs/done/star", {"starred": False}))
    assert good(client.get("/api/runs/done"))["starred"] is False


def test_what_is_deleted_can_be_restored(client: Client, lab: Lab, root: Path) -> None:
    before = good(client.get("/api/runs/half"))
    good(client.ask("DELETE", "/api/runs/half"))
    assert not (root / "half").exists()
    refused(client.get("/api/runs/half"), 404)
    assert ("removed", {"name": "half", "restorable": True}) in [*lab.tick(), *lab.tick()]
    assert good(client.get("/api/state"))["trash"] == ["half"]
    refused(client.get("/api/runs/half"), 404)
    refused(client.ask("DELETE", "/api/runs/half"), 404)
    good(client.post("/api/runs/half/restore"))
    events = lab.tick()
    assert [event["summary"]["name"] for name, event in events if name == "run"] == ["half"]
    assert good(client.get("/api/runs/half")) == before
    assert good(client.get("/api/state"))["trash"] == []
    refused(client.post("/api/runs/half/restore"), 409)
    refused(client.post("/api/runs/never/restore"), 404)


def test_every_change_needs_the_token(lab: Lab) -> None:
    known = addresses("127.0.0.1", 4711)
    stranger = Client(make_app(lab, TOKEN, known), host=HOST)
    try:
        assert good(stranger.get("/api/access")) == {"fault": "missing"}
        with_old = {"x-lenet-token": "of-an-earlier-start"}
        assert good(stranger.ask("GET", "/api/access", with_old)) == {"fault": "old"}
        with_own = {"x-lenet-token": TOKEN}
        assert good(stranger.ask("GET", "/api/access", with_own)) == {"fault": None}
        schema = good(stranger.get("/api/openapi.json"))
        changing = [
            (method.upper(), path)
            for path, methods in schema["paths"].items()
            for method in methods
            if method != "get"
        ]
        assert len(changing) == 11
        for method, path in changing:
            assert stranger.ask(method, path.replace("{name}", "done")).status == 401
    finally:
        stranger.close()


# --- files that are opened ---------------------------------------------------------------------


def post_file(client: Client, name: str, content: bytes, **query: str) -> Answer:
    text = "&".join(f"{key}={quote(value)}" for key, value in {"name": name, **query}.items())
    return client.ask("POST", f"/api/models?{text}", {}, content)


@pytest.mark.slow
def test_our_own_file_is_opened_with_its_network(client: Client, root: Path) -> None:
    content = (root / "done" / "model.safetensors").read_bytes()
    found = good(post_file(client, "mine.safetensors", content))
    assert from_dict(found["network"]) == load_network(root / "done" / "model.safetensors")[0]
    assert "nn.Sequential" in found["remark"]
    assert "recognises" in found["remark"]
    weights = client.get(f"/api/models/{quote(found['ref'], safe='')}/weights")
    assert weights.content == content
    assert good(client.get(f"/api/models/{found['ref']}/predictions"))["data"] == found["data"]


@pytest.mark.slow
def test_a_file_s_calibration_goes_to_the_page_and_a_false_one_nowhere(
    client: Client, root: Path
) -> None:
    network, parameters = load_network(root / "done" / "model.safetensors")
    told = {"temperature": 2.0, "threshold": 1.5, "pictures": 300}
    packed = pack_network(network, parameters, {"calibration": told})
    found = good(post_file(client, "calibrated.safetensors", packed))
    _, metadata = unpack(client.get(f"/api/models/{found['ref']}/weights").content, "it")
    assert metadata["calibration"] == told
    plain = good(post_file(client, "plain.safetensors", pack_network(network, parameters)))
    cooler, warmer = (
        np.frombuffer(
            base64.b64decode(good(client.get(f"/api/models/{ref}/predictions"))["probability"]),
            "<f4",
        )
        for ref in (plain["ref"], found["ref"])
    )
    assert (warmer < cooler).all()  # twice the temperature: less sure of each
    false = pack_network(network, parameters, {"calibration": {"temperature": -1}})
    assert "temperature is -1" in refused(post_file(client, "false.safetensors", false))


@pytest.mark.parametrize("kind", ["float32", "float16", "float64"])
def test_another_program_s_names_are_matched_by_shape(client: Client, kind: str) -> None:
    from safetensors.numpy import save

    network = zoo.lenet()
    ours = initialize(network, "xavier", 3)
    names = {"0": "conv1", "3": "conv2", "7": "fc1", "9": "fc2", "11": "fc3"}
    theirs = {}
    for key, value in ours.items():
        layer, part = key.split(".")
        theirs[f"{names[layer]}.{part}"] = value.astype(kind)
    found = good(post_file(client, "theirs.safetensors", save(theirs), network="lenet"))
    assert "conv1 → 0, conv2 → 3, fc1 → 7, fc2 → 9, fc3 → 11" in found["remark"]
    parameters, _ = unpack(client.get(f"/api/models/{found['ref']}/weights").content, "it")
    for key, value in ours.items():
        assert np.allclose(parameters[key], value, atol=1e-3 if kind == "float16" else 0)


def test_without_a_network_the_only_one_that_fits_is_taken(client: Client) -> None:
    from safetensors.numpy import save

    mlp = save(initialize(zoo.mlp(), "he", 0))
    assert good(post_file(client, "x.safetensors", mlp))["network"]["name"] == "mlp"
    either = save(initialize(zoo.lenet(), "he", 0))
    sentence = refused(post_file(client, "x.safetensors", either))
    assert "lenet, lenet-relu: say which" in sentence
    content = save(initialize(zoo.lenet(), "he", 0))
    assert "it has layers of" in refused(
        post_file(client, "x.safetensors", content, network="lenet-max")
    )


def test_a_described_network_and_its_normalization(client: Client) -> None:
    from safetensors.numpy import save

    weights = {"head.weight": np.ones((10, 784), "f4"), "head.bias": np.zeros(10, "f4")}
    text = "Flatten()\nLinear(784, 10)"
    query = {"text": text, "mean": "0.1307", "deviation": "0.3081"}
    found = good(post_file(client, "x.safetensors", save(weights), **query))
    assert found["network"]["normalization"] == {"mean": [0.1307], "deviation": [0.3081]}
    assert "head → 1" in found["remark"]
    bad = query | {"deviation": "0"}
    refused(post_file(client, "x.safetensors", save(weights), **bad))


def test_layers_that_could_be_exchanged_are_not_guessed(client: Client) -> None:
    from safetensors.numpy import save

    text = "Flatten()\nLinear(784, 784)\nReLU()\nLinear(784, 784)\nReLU()\nLinear(784, 10)"
    tensors = {}
    for name, outputs in (("a", 784), ("b", 784), ("c", 10)):
        tensors[f"{name}.weight"] = np.zeros((outputs, 784), "f4")
        tensors[f"{name}.bias"] = np.zeros(outputs, "f4")
    assert "which is which" in refused(post_file(client, "x.safetensors", save(tensors), text=text))


@pytest.mark.slow
def test_a_state_dict_of_pytorch(client: Client, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from lenet.torch import to_torch

    module = to_torch(zoo.lenet())
    path = tmp_path / "model.pt"
    torch.save({"epoch": 3, "model_state_dict": module.state_dict()}, path)
    # its name says nothing: what it is, its bytes say
    found = good(post_file(client, "model.params", path.read_bytes(), network="lenet"))
    parameters, _ = unpack(client.get(f"/api/models/{found['ref']}/weights").content, "it")
    for key, value in module.state_dict().items():
        assert np.array_equal(parameters[key], value.numpy())


def test_the_state_dict_is_found_in_what_a_training_loop_saved() -> None:
    torch = pytest.importorskip("torch")
    import io

    from lenet.lab.torch_file import TorchFileError, convert

    def saved(values: Any) -> bytes:
        stream = io.BytesIO()
        torch.save(values, stream)
        return stream.getvalue()

    tensors = {"0.weight": torch.ones(2, 3), "0.bias": torch.zeros(2)}
    optimizer = {"state": {}, "param_groups": [{"lr": 0.1}]}
    checkpoints: list[dict[str, Any]] = [
        {"net": tensors, "acc": 91.2, "epoch": 3},
        {"my_net": tensors, "optimizer": optimizer},
        {"checkpoint": {"state_dict": tensors, "epoch": 1}},
    ]
    for checkpoint in checkpoints:
        assert [*opened.read("x.bin", convert(saved(checkpoint))).tensors] == [*tensors]
    with pytest.raises(TorchFileError, match="not a state dict"):
        convert(saved({"a": tensors, "b": tensors}))  # which one?
    with pytest.raises(TorchFileError, match=r"class torch\.nn\.\S*Linear, and only") as told:
        convert(saved(torch.nn.Linear(2, 2)))
    assert "weights_only" not in str(told.value)  # PyTorch's own advice: to run the file


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\x89HDF\r\n\x1a\n", "HDF5 file, as Keras"),
        (b"\x12\x01\0\0\0\0\0\0" + bytes(40), "of MXNet"),
        (b"<!doctype html><title>x</title>", "a page or a drawing"),
        (b"weights, honestly", "no file of weights"),
    ],
)
def test_another_kind_of_file_is_named(client: Client, content: bytes, words: str) -> None:
    for name in ("model.params", "model.pt"):
        said = refused(post_file(client, name, content))
        assert words in said
        assert content == b"" or "give a .safetensors file" in said


def test_the_order_of_a_state_dict_tells_equal_layers_apart(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from lenet.lab.torch_file import convert

    layers = layer_text.parse("Linear(4, 4)\nReLU()\nLinear(4, 4)")
    network = layer_text.Network("x", (1, 1, 4), layers, tuple("abcd"))  # type: ignore[attr-defined]
    weights = {"b.weight": torch.ones(4, 4), "b.bias": torch.ones(4)}
    weights |= {"a.weight": torch.zeros(4, 4), "a.bias": torch.zeros(4)}
    torch.save(weights, tmp_path / "model.pt")
    read = opened.read("x.safetensors", convert((tmp_path / "model.pt").read_bytes()))
    assert list(read.tensors) == list(weights)
    parameters, how = opened.match(read, network)
    assert parameters["0.weight"].all()
    assert not parameters["2.weight"].any()
    assert "in the file's order: b → 0, a → 2" in how


@pytest.mark.slow
def test_a_pickle_is_never_run(client: Client, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    import pickle

    from lenet.lab.torch_file import TorchFileError, convert

    canary = tmp_path / "canary"

    class Trap:
        def __reduce__(self) -> Any:
            return (Path.write_text, (canary, "run"))

    torch.save({"0.weight": Trap()}, tmp_path / "trap.pt")
    torch.save(torch.nn.Linear(3, 3), tmp_path / "module.pt")
    torch.save([torch.zeros(3)], tmp_path / "list.pt")
    torch.save({"0.weight": 3}, tmp_path / "numbers.pt")
    for name in ("trap", "module", "list", "numbers"):
        with pytest.raises(TorchFileError, match=r"torch.save\(model.state_dict\(\), …\)|a list"):
            convert((tmp_path / f"{name}.pt").read_bytes())
    for content in (pickle.dumps(Trap()), b"", b"PK\x03\x04" + b"x" * 100):
        for name in ("x.pt", "x.PTH", "x.safetensors", "x.bin", "x", ".pt"):
            refused(post_file(client, name, content, network="lenet"))
    assert not canary.exists()


def test_a_tensor_that_promises_more_than_the_file_has(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from lenet.lab.torch_file import TorchFileError, convert

    torch.save({"0.weight": torch.zeros(1).expand(1 << 40)}, tmp_path / "bomb.pt")
    with pytest.raises(TorchFileError, match="more than"):
        convert((tmp_path / "bomb.pt").read_bytes())


def test_an_unpacked_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    import zipfile

    from lenet.lab import torch_file

    monkeypatch.setattr(torch_file, "LARGEST", 1_000_000)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data/0", b"\0" * 2_000_000)
    with pytest.raises(torch_file.TorchFileError, match="unpacks to more"):
        torch_file.convert(packed.getvalue())


@given(st.data())
@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
def test_a_damaged_safetensors_file_is_refused(draw: st.DataObject) -> None:
    network = layer_text.network("x", "Flatten()\nLinear(4, 3)", (1, 2, 2), ("a", "b", "c"))
    content = bytearray(pack_network(network, initialize(network, "he", 0)))
    for _ in range(draw.draw(st.integers(1, 4))):
        place = draw.draw(st.integers(0, len(content) - 1))
        content[place] = draw.draw(st.integers(0, 255))
    cut = draw.draw(st.integers(0, len(content)))
    from lenet.network.weights import WeightsError

    for changed in (bytes(content), bytes(content[:cut])):
        said = ""
        try:
            read = opened.read("x.safetensors", changed)
            opened.match(read, network)
        except WeightsError as error:
            said = str(error)
        assert said.isprintable()


def test_tensors_over_the_same_bytes_are_refused_before_they_are_copied(client: Client) -> None:
    """2,000 tensors of 0.6 MB that lie in one place: 1.2 GB from a body of 0.6 MB."""
    import tracemalloc

    floats = 150_000
    for kind in ("F32", "F16", "BF16"):
        size = 4 if kind == "F32" else 2
        entry = {"dtype": kind, "shape": [floats], "data_offsets": [0, size * floats]}
        header = json.dumps({f"{i}.weight": entry for i in range(1_999)}).encode()
        content = len(header).to_bytes(8, "little") + header + bytes(size * floats)
        tracemalloc.start()
        sentence = refused(post_file(client, "x.safetensors", content, network="lenet"))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert "lies over another" in sentence
        assert peak < 50_000_000


def test_at_most_twenty_files_are_kept(client: Client) -> None:
    refs = []
    network = zoo.mlp((1, 4, 4), 3)  # fits no data set: nothing is measured
    for seed in range(21):
        content = pack_network(network, initialize(network, "he", seed))
        refs.append(good(post_file(client, "x.safetensors", content))["ref"])
    assert "open it again" in refused(client.get(f"/api/models/{refs[0]}/weights"), 404)
    assert client.get(f"/api/models/{refs[1]}/weights").status == 200


# --- static files ------------------------------------------------------------------------------


@pytest.fixture
def page(lab: Lab, tmp_path: Path) -> Iterator[Client]:
    """A server of another page, which is whole."""
    (tmp_path / "web" / "i18n").mkdir(parents=True)
    for name, text in (
        ("index.html", '<!doctype html><script type="importmap">{}</script>'),
        ("main.js", "export default 1;"),
        ("style.css", "body {}"),
        ("i18n/shell.js", "export default {};"),
    ):
        (tmp_path / "web" / name).write_text(text)
    (tmp_path / "secret.js").write_text("secret")
    known = addresses("127.0.0.1", 4711)
    client = Client(make_app(lab, TOKEN, known, web=tmp_path / "web"), host=HOST)
    yield client
    client.close()


def test_the_page_and_its_files(page: Client) -> None:
    index = page.get("/")
    assert index.headers["content-type"] == "text/html; charset=utf-8"
    assert "'sha256-" in index.headers["content-security-policy"]
    for path, kind in (
        ("main.js", "text/javascript; charset=utf-8"),
        ("style.css", "text/css; charset=utf-8"),
        ("i18n/shell.js", "text/javascript; charset=utf-8"),
    ):
        answer = page.get(f"/web/{path}")
        assert answer.status == 200
        assert answer.headers["content-type"] == kind
        assert answer.headers["cache-control"] == "no-cache"
        again = page.get(f"/web/{path}", if_none_match=answer.headers["etag"])
        assert (again.status, again.content) == (304, b"")


def test_the_page_is_sent_compressed_to_who_reads_that(page: Client) -> None:
    plain = page.get("/web/main.js")
    assert "content-encoding" not in plain.headers
    packed = page.get("/web/main.js", accept_encoding="gzip, br")
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "accept-encoding"
    assert gzip.decompress(packed.content) == plain.content
    tag = packed.headers["etag"]
    assert tag != plain.headers["etag"]
    again = page.get("/web/main.js", accept_encoding="gzip, br", if_none_match=tag)
    assert (again.status, again.content) == (304, b"")


def test_the_page_is_three_files(client: Client) -> None:
    index = client.get("/").text
    named = re.findall(r'(?:href|src)="(/web/[^"]+\.(?:css|js))"', index)
    assert named == ["/web/all/style.css", "/web/all/main.js"]
    styles = client.get("/web/all/style.css")
    assert styles.headers["content-type"].startswith("text/css")
    own = re.findall(r'href="/web/([^"]+\.css)"', (WEB / "index.html").read_text())
    assert len(own) > 3
    assert all((WEB / name).read_text() in styles.text for name in own)
    for name in ("main.js", "network/worker.js"):
        script = client.get(f"/web/all/{name}")
        assert script.headers["content-type"].startswith("text/javascript")
        assert not re.search(r"^(?:import|export) ", script.text, re.M)
        assert script.text.endswith(f"//# sourceMappingURL=/web/all/{name}.map\n")
        assert good(client.get(f"/web/all/{name}.map"))["version"] == 3
    assert 'src="/web/main.js"' in client.get("/?modules").text  # for whoever edits them
    for path in ("compare.js", "../main.js", "", "i18n/shell.js", "main.js.map.map"):
        refused(client.get(f"/web/all/{path}"), 404)


def test_a_script_that_was_edited_is_sent_at_the_next_visit(lab: Lab, tmp_path: Path) -> None:
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "main.js").write_text('import { one } from "lenet/one.js";\nsay(one);\n')
    (folder / "one.js").write_text("export const one = 1;\n")
    known = addresses("127.0.0.1", 4711)
    visitor = Client(make_app(lab, TOKEN, known, web=folder), host=HOST)
    try:
        assert "const one = 1;" in visitor.get("/web/all/main.js").text
        (folder / "one.js").write_text("export const one = 1_000;\n")
        assert "const one = 1_000;" in visitor.get("/web/all/main.js").text
    finally:
        visitor.close()


def test_an_answer_does_not_wait_for_its_head_to_be_heard_of() -> None:
    with listen("127.0.0.1", 0) as listening:
        assert listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_the_whole_page_is_light(client: Client) -> None:
    """Under 400 kB on its way: every file of it, as it is sent."""
    paths = [path for path in WEB.rglob("*") if path.suffix in (".js", ".css", ".svg")]
    every = ["/", *(f"/web/{path.relative_to(WEB).as_posix()}" for path in paths)]
    one = ["/", "/web/all/style.css", "/web/all/main.js", "/web/all/network/worker.js"]
    for addresses_of in (every, one):
        sizes = [len(client.get(at, accept_encoding="gzip").content) for at in addresses_of]
        assert sum(sizes) < 400_000


@pytest.mark.parametrize(
    "path",
    [
        *(
            "../secret.js",
            "%2e%2e/secret.js",
            "..%2fsecret.js",
            "i18n/../../secret.js",
            "nothing.js",
        ),
        *("/etc/passwd", "%2fetc%2fpasswd", "main.js%00", "i18n", "", ".", "..", "\\..\\secret.js"),
        *("http://127.0.0.1/main.js", "main.js/", "i18n//shell.js", "%ff%fe", "..\\secret.js"),
    ],
)
def test_no_file_but_the_page_s(page: Client, path: str) -> None:
    assert "secret" not in page.get(f"/web/{path}").text
    refused(page.get(f"/web/{path}"), 404)


# --- events ------------------------------------------------------------------------------------


def test_an_event_is_one_line_of_json() -> None:
    message = message_of("run", {"text": "a\nb\u2028", "loss": math.nan, "more": [math.inf, 1.5]})
    assert message.startswith(b"event: run\ndata: ")
    assert message.endswith(b"\n\n")
    assert message.count(b"\n") == 3
    values = json.loads(message.splitlines()[1].removeprefix(b"data: "))
    assert values == {"text": "a\nb\u2028", "loss": None, "more": [None, 1.5]}


def test_a_page_hears_the_state_first_and_is_let_go_when_it_is_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import asyncio

    monkeypatch.setattr("lenet.lab.events.WAITING", 3)
    monkeypatch.setattr("lenet.lab.events.HEARTBEAT_S", 0.05)

    async def story() -> None:
        hub = Hub()
        hub.tell("run", {"nobody": "listens"})
        quick, slow = hub.listen(lambda: {"n": 0}), hub.listen(lambda: {"n": 0})
        for page in (quick, slow):
            assert (await anext(page)).startswith(b"retry: 1000\n\nevent: state\ndata: ")
        assert len(hub) == 2
        assert (await anext(quick)).startswith(b":")  # a comment when nothing happens
        for number in range(4):
            hub.tell("run", {"n": number})
            assert json.loads((await anext(quick)).split(b"data: ")[1]) == {"n": number}
        assert len(hub) == 1
        with pytest.raises(StopAsyncIteration):
            await anext(slow)
        hub.close()
        for page in (quick, hub.listen(dict)):
            with pytest.raises(StopAsyncIteration):
                await anext(page)

    asyncio.run(story())


# --- anything at all ---------------------------------------------------------------------------

texts = st.text(max_size=30)
values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
PATHS = [
    *("/api/state", "/api/runs/{}", "/api/models/{}/weights", "/api/models/{}/explanation"),
    *("/api/models/{}/predictions", "/api/models/{}/statistics", "/api/data/{}", "/web/{}"),
    *("/api/data/{}/labels", "/api/data/{}/pictures", "/api/data/fashion-mnist-small/pictures"),
    "/api/data/{}/training",
    *("/api/networks/check", "/api/train", "/api/runs/{}/star", "/api/runs/{}/restore", "/{}"),
    *("/api/models", "/api/runs/{}/pause", "/api/runs/{}/stop", "/api/runs/{}/resume"),
]
names = texts | st.sampled_from(["done", "run:done", "run:done@3", "file:x", "../done", "%2e%2e"])
fields = st.sampled_from(
    ["text", "input_shape", "classes", "recipe", "settings", "network", "data", "starred", "name"]
)
queries = st.dictionaries(
    st.sampled_from(
        ["indices", "start", "count", "language", "name", "network", "text", "shape", "mean"]
    ),
    texts | st.integers().map(str),
    max_size=3,
)


@pytest.mark.parametrize("path", PATHS)
@given(
    name=names,
    method=st.sampled_from(["GET", "POST"]),
    body=st.dictionaries(fields, values, max_size=4) | values,
    query=queries,
)
@settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_nothing_that_is_asked_is_a_mistake_of_ours(
    client: Client, path: str, name: str, method: str, body: Any, query: dict[str, str]
) -> None:
    encoded = quote(name.encode("utf-8", "surrogatepass"), safe="%")
    pairs = [f"{key}={quote(text.encode('utf-8', 'surrogatepass'))}" for key, text in query.items()]
    target = f"{path.replace('{}', encoded)}?{'&'.join(pairs)}"
    sent = json.dumps(body).encode() if method == "POST" else b""
    answer = client.ask(method, target, {"content-type": "application/json"}, sent)
    assert answer.status < 500, answer.content
    if answer.status >= 400:
        assert set(answer.json()) <= {"error", "chinese", "line"}


# --- starting ----------------------------------------------------------------------------------


def test_what_is_missing_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import util

    from lenet import lab as server

    find_spec = util.find_spec
    monkeypatch.setattr(
        util, "find_spec", lambda name: None if name == "uvicorn" else find_spec(name)
    )
    with pytest.raises(ValueError, match=r"needs uvicorn.*install 'fastapi>=.*'uvicorn>="):
        server.check_installed()


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({"DISPLAY": ":0"}, True),
        ({"WAYLAND_DISPLAY": "w"}, True),
        ({"DISPLAY": ":0", "CI": "true"}, False),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "1"}, False),
        ({"BROWSER": "firefox"}, True),
        ({}, sys.platform in ("darwin", "win32")),
    ],
)
def test_a_page_is_opened_where_there_is_a_screen(
    environment: dict[str, str], wanted: bool
) -> None:
    from lenet.lab import wants_browser

    assert wants_browser(environment) is wanted


def test_importing_the_server_loads_no_framework() -> None:
    code = (
        "import lenet.lab, sys; "
        "print(bool({'fastapi', 'numpy', 'uvicorn', 'torch'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.slow
def test_the_lab_itself_loads_neither_torch_nor_matplotlib() -> None:
    code = "import lenet.lab.app, sys; print(bool({'torch', 'matplotlib'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
