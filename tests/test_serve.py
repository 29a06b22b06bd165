"""The prediction service: what it answers in both protocols, what it refuses, how it ends."""

import asyncio
import base64
import contextlib
import hashlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")

from PIL import Image

from asgi import Answer, Client
from lenet import cli, serve
from lenet.data.preparation import Preparation
from lenet.network import zoo
from lenet.network.parameters import initialize
from lenet.network.weights import save_network
from lenet.serve import app as application
from lenet.serve import exchange, openapi
from lenet.serve.app import Admission, Limits, Service
from lenet.serve.batching import Batcher, ExpiredError, FullError, Outcome
from lenet.serve.log import Log
from lenet.serve.served import Served
from lenet.ship.model import Model, load
from lenet.training.calibration import Calibration
from lenet.web.addresses import addresses
from lenet.web.listening import ServerError

HOST = "127.0.0.1:8000"
RAW = {"content-type": "application/octet-stream"}


def model(threshold: float | None = None) -> Model:
    network = zoo.build("mlp")
    parameters = initialize(network, "he", 0)
    calibration = Calibration(1.5, threshold, 100)
    return Model(network, parameters, Preparation(1, 28, 28), calibration, "here", 1)


@pytest.fixture(scope="module")
def trained() -> Model:
    return model()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, 1, 28, 28), np.uint8)


@pytest.fixture(scope="module")
def client(trained: Model) -> Iterator[Client]:
    strict = serve.of_model("strict", model(threshold=1e6))
    known = addresses("127.0.0.1", 8000)
    service = Service([serve.of_model("digits", trained), strict], admission=Admission(known))
    service.log = Log(stream=io.StringIO())
    client = Client(service, host=HOST)
    yield client
    client.close()


def png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image[0]).save(file, "PNG")
    return file.getvalue()


def form(*files: bytes) -> tuple[dict[str, str], bytes]:
    parts = [
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="p%d.png"\r\n\r\n%b\r\n' % pair
        for pair in enumerate(files)
    ]
    return {"content-type": "multipart/form-data; boundary=x"}, b"".join([*parts, b"--x--\r\n"])


def predict(client: Client, headers: dict[str, str], body: bytes, query: str = "") -> Any:
    answer = client.ask("POST", f"/v1/predict?model=digits{query}", headers, body)
    assert answer.status == 200, answer.text
    return answer.json()


def refused(answer: Answer, status: int) -> str:
    assert answer.status == status, answer.text
    sentence = answer.json()["error"]
    assert "\n" not in sentence
    return str(sentence)


# --- /v1 ---------------------------------------------------------------------------------------


def test_pixels_as_bytes_are_predicted(client: Client, trained: Model, images: np.ndarray) -> None:
    found = predict(client, RAW, images.tobytes(), "&top=10")["predictions"]
    expected = trained(images)
    assert len(found) == 7
    for prediction, row in zip(found, expected, strict=True):
        assert [each["index"] for each in prediction["top"]] == np.argsort(-row).tolist()
        shares = [each["probability"] for each in prediction["top"]]
        np.testing.assert_allclose(shares, np.sort(row)[::-1], atol=1e-6)
        assert prediction["class"] == prediction["top"][0]["class"]
        assert prediction["known"] is True


@pytest.mark.parametrize("way", ["file", "form", "base64", "data URL", "pixels", "flat pixels"])
def test_every_way_to_send_a_picture_gives_the_same(
    client: Client, images: np.ndarray, way: str
) -> None:
    file = png(images[0])
    text = base64.b64encode(file).decode()
    values: dict[str, Any] = {
        "base64": {"images": [text]},
        "data URL": {"image": f"data:image/png;base64,{text}"},
        "pixels": {"pixels": images[:1].tolist()},
        "flat pixels": {"pixels": images[:1].reshape(1, -1).tolist()},
    }
    headers, body = {"content-type": "application/json"}, b""
    if way == "file":
        headers, body = {"content-type": "image/png"}, file
    elif way == "form":
        headers, body = form(file)
    else:
        body = json.dumps(values[way]).encode()
    assert predict(client, headers, body) == predict(client, RAW, images[:1].tobytes())


def test_several_files_of_a_form_keep_their_order(client: Client, images: np.ndarray) -> None:
    headers, body = form(*[png(image) for image in images])
    assert predict(client, headers, body) == predict(client, RAW, images.tobytes())


def test_probabilities_come_as_an_array_where_that_is_asked_for(
    client: Client, trained: Model, images: np.ndarray
) -> None:
    headers = {**RAW, "accept": "application/octet-stream"}
    answer = client.ask("POST", "/v1/predict?model=digits", headers, images.tobytes())
    assert answer.headers["x-shape"] == "7,10"
    found = np.frombuffer(answer.content, "<f4").reshape(7, 10)
    np.testing.assert_allclose(found, trained(images), atol=1e-6)


def test_what_is_none_of_the_classes_is_said(client: Client, images: np.ndarray) -> None:
    answer = client.ask("POST", "/v1/predict?model=strict&top=1", RAW, images[:1].tobytes())
    (prediction,) = answer.json()["predictions"]
    assert (prediction["class"], prediction["known"]) == ("none of these", False)
    assert prediction["top"][0]["class"] in zoo.build("mlp").classes


@pytest.mark.parametrize(
    ("headers", "body", "status", "words"),
    [
        (RAW, b"", 400, "0 bytes; a picture of digits has 784"),
        (RAW, b"x" * 783, 400, "783 bytes"),
        ({}, b"x", 415, "Content-Type is ''"),
        ({"content-type": "text/csv"}, b"x", 415, "text/csv"),
        ({"content-type": "image/png"}, b"GIF8", 400, "not a picture"),
        ({"content-type": "image/png"}, b"%!PS-Adobe-3.0 EPSF", 400, "not a picture"),
        ({"content-type": "application/json"}, b"{", 400, "no JSON from line 1"),
        ({"content-type": "application/json"}, b"[]", 400, "must be a JSON object"),
        ({"content-type": "application/json"}, b"[" * 100_000, 400, "nested too deeply"),
        ({"content-type": "application/json"}, b"\xff", 400, "no JSON"),
        ({"content-type": "application/json"}, b'{"images": []}', 400, "base64 texts"),
        ({"content-type": "application/json"}, b'{"images": ["!"]}', 400, "images[0]"),
        ({"content-type": "application/json"}, b'{"images": [3]}', 400, "images[0] is 3"),
        ({"content-type": "application/json"}, b'{"image": "", "pixels": 1}', 400, "give images"),
        ({"content-type": "application/json"}, b'{"imgs": []}', 400, "unknown key 'imgs'"),
        ({"content-type": "application/json"}, b'{"pixels": [[1, 2], [3]]}', 400, "equal lengths"),
        ({"content-type": "application/json"}, b'{"pixels": [["a"]]}', 400, "numbers"),
        ({"content-type": "application/json"}, b'{"pixels": [[1, 2]]}', 400, "[n, 1, 28, 28]"),
        ({"content-type": "application/json"}, b'{"pixels": [[NaN]]}', 400, "[1, 1]"),
        ({"content-type": "multipart/form-data"}, b"", 400, "no boundary"),
        ({"content-type": "multipart/form-data; boundary=x"}, b"--x\r\nrest", 400, "cut off"),
        ({"content-type": "multipart/form-data; boundary=x"}, b"--x--\r\n", 400, "no part"),
        ({**RAW, "content-encoding": "gzip"}, b"x", 415, "without Content-Encoding"),
        ({**RAW, "content-length": "99999999999"}, b"", 413, "16,777,216 bytes"),
        ({**RAW, "content-length": "-1"}, b"", 413, "larger"),
    ],
)
def test_what_is_no_question_is_refused_in_one_sentence(
    client: Client, headers: dict[str, str], body: bytes, status: int, words: str
) -> None:
    answer = client.ask("POST", "/v1/predict?model=digits", headers, body)
    assert words in refused(answer, status)


@pytest.mark.parametrize(
    ("target", "status", "words"),
    [
        ("/v1/predict", 400, "one of digits, strict"),
        ("/v1/predict?model=nothing", 404, "no model 'nothing'"),
        ("/v1/predict?model=digits&top=0", 400, "from 1 to 10"),
        ("/v1/predict?model=digits&top=x", 400, "top is 'x'"),
        ("/v1/predict?modell=digits", 400, "unknown parameter 'modell'"),
        (f"/v1/predict?model={'d' * 2000}", 400, "too long"),
    ],
)
def test_wrong_parameters(client: Client, target: str, status: int, words: str) -> None:
    assert words in refused(client.ask("POST", target, RAW, b"x" * 784), status)


@pytest.mark.parametrize("value", [256, -1, 0.5, float("nan"), float("inf")])
def test_pixels_that_are_none_are_shown(client: Client, value: float) -> None:
    pixels = [[0] * 783 + [value]]
    headers = {"content-type": "application/json"}
    body = json.dumps({"pixels": pixels, "model": "digits"}).encode()
    sentence = refused(client.ask("POST", "/v1/predict", headers, body), 400)
    assert "whole numbers from 0 to 255" in sentence


@pytest.mark.slow
def test_a_form_of_ten_thousand_parts_is_refused(client: Client) -> None:
    headers, body = form(*[b"x"] * 10_000)
    assert "more than 4,096" in refused(
        client.ask("POST", "/v1/predict?model=digits", headers, body), 413
    )


# --- /v2 ---------------------------------------------------------------------------------------


def test_health_metadata_and_versions(client: Client) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    described = client.get("/v2/models/digits").json()
    assert described["inputs"] == [
        {"name": "images", "datatype": "UINT8", "shape": [-1, 1, 28, 28]}
    ]
    assert client.get("/v2/models/digits/versions/1").json() == described
    assert client.get("/v2/models/digits/ready").json() == {"name": "digits", "ready": True}
    names = [each["name"] for each in client.ask("POST", "/v2/repository/index").json()]
    assert names == ["digits", "strict"] == [*_names(client)]
    assert "no model 'other'" in refused(client.get("/v2/models/other"), 404)
    assert refused(client.get("/v2/models/digits/versions/2"), 404)


def _names(client: Client) -> list[str]:
    return [each["name"] for each in client.get("/v1/models").json()["models"]]


def infer(client: Client, values: dict[str, Any], tensor: bytes | None = None) -> Answer:
    head = json.dumps(values).encode()
    headers = {"content-type": "application/json"}
    if tensor is not None:
        headers = {**RAW, "inference-header-content-length": str(len(head))}
    return client.ask("POST", "/v2/models/digits/infer", headers, head + (tensor or b""))


@pytest.mark.parametrize("datatype", ["UINT8", "INT64", "FP32", "FP64"])
@pytest.mark.parametrize("flat", [False, True])
def test_inference_in_json(
    client: Client, trained: Model, images: np.ndarray, datatype: str, flat: bool
) -> None:
    data = images.reshape(-1).tolist() if flat else images.tolist()
    given = {"name": "images", "datatype": datatype, "shape": [7, 1, 28, 28], "data": data}
    answer = infer(client, {"id": "a", "inputs": [given]}).json()
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("a", "digits", "1")
    outputs = {each["name"]: each for each in answer["outputs"]}
    expected = trained(images)
    found = np.reshape(outputs["probabilities"]["data"], outputs["probabilities"]["shape"])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert outputs["index"]["data"] == expected.argmax(1).tolist()
    assert outputs["label"]["data"] == [trained.classes[i] for i in expected.argmax(1)]
    assert outputs["known"]["data"] == [True] * 7
    np.testing.assert_allclose(outputs["logits"]["data"], trained.logits(images).ravel(), atol=1e-6)


def test_inference_with_binary_tensors(client: Client, trained: Model, images: np.ndarray) -> None:
    given = {"name": "images", "datatype": "UINT8", "shape": [7, 1, 28, 28]}
    given["parameters"] = {"binary_data_size": images.nbytes}
    wanted = [{"name": "probabilities", "parameters": {"binary_data": True}}, {"name": "index"}]
    wanted.append({"name": "label", "parameters": {"binary_data": True}})
    answer = infer(client, {"inputs": [given], "outputs": wanted}, images.tobytes())
    assert answer.status == 200, answer.text
    cut = int(answer.headers["inference-header-content-length"])
    probabilities, index, label = json.loads(answer.content[:cut])["outputs"]
    tensors = answer.content[cut:]
    size = probabilities["parameters"]["binary_data_size"]
    found = np.frombuffer(tensors[:size], "<f4").reshape(probabilities["shape"])
    np.testing.assert_allclose(found, trained(images), atol=1e-6)
    assert index["data"] == found.argmax(1).tolist()
    texts, at = [], size
    while at < len(tensors):
        end = at + 4 + int.from_bytes(tensors[at : at + 4], "little")
        texts.append(tensors[at + 4 : end].decode())
        at = end
    assert texts == [trained.classes[i] for i in found.argmax(1)]
    assert at == size + label["parameters"]["binary_data_size"]


GIVEN = {"name": "images", "datatype": "UINT8", "shape": [1, 784], "data": [0] * 784}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"inputs": None}, "give one, with the name images"),
        ({"inputs": [GIVEN, GIVEN]}, "give one"),
        ({"inputs": [{**GIVEN, "name": "x"}]}, "inputs is 'x'"),
        ({"inputs": [{**GIVEN, "datatype": "BYTES"}]}, "datatype is 'BYTES'"),
        ({"inputs": [{**GIVEN, "datatype": []}]}, "datatype is []"),
        ({"inputs": [{**GIVEN, "shape": [-1, 784]}]}, "shape is"),
        ({"inputs": [{**GIVEN, "shape": [2, 784]}]}, "784 numbers; the shape [2, 784] takes 1,568"),
        ({"inputs": [{**GIVEN, "shape": [0, 784], "data": []}]}, "no picture"),
        ({"inputs": [{**GIVEN, "shape": [1] * 9}]}, "shape is"),
        ({"inputs": [{**GIVEN, "parameters": {"shared_memory_region": "x"}}]}, "not offered"),
        ({"inputs": [{**GIVEN, "parameters": {"binary_data_size": 784}}]}, "0 bytes follow"),
        ({"outputs": [{"name": "x"}]}, "no output is 'x'"),
        ({"outputs": {}}, "outputs is {}"),
        ({"outputs": [[]]}, "no output is"),
        ({"parameters": []}, None),
        ({"parameters": 3}, "parameters is 3"),
        ({"id": 3}, "id is 3"),
    ],
)
def test_what_is_not_as_the_protocol_says(
    client: Client, change: dict[str, Any], words: str | None
) -> None:
    answer = infer(client, {"inputs": [GIVEN], **change})
    if words is None:
        assert answer.status == 200
    else:
        assert words in refused(answer, 400)


@pytest.mark.parametrize("length", ["x", "-1", "99999", "1" * 30])
def test_a_wrong_header_length_is_refused(client: Client, length: str) -> None:
    headers = {**RAW, "inference-header-content-length": length}
    answer = client.ask("POST", "/v2/models/digits/infer", headers, b"{}")
    assert "Inference-Header-Content-Length" in refused(answer, 400)


# --- who is let in -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example:8000"},
        {"host": ""},
        {"host": "[::1]evil:8000"},
        {"host": HOST, "origin": "http://evil.example"},
        {"host": HOST, "origin": "null"},
    ],
)
def test_foreign_hosts_and_pages_are_refused(client: Client, headers: dict[str, str]) -> None:
    assert refused(client.ask("GET", "/v1/models", headers), 403)


@pytest.mark.parametrize("host", [HOST, "localhost:8000", "[::1]:8000"])
def test_its_own_names_are_let_in(client: Client, host: str) -> None:
    assert client.ask("GET", "/v1/models", {"host": host, "origin": f"http://{host}"}).status == 200


def test_a_header_that_is_there_twice_is_refused(client: Client) -> None:
    answer = client.ask("GET", "/v1/models", [("host", HOST), ("host", "evil")])
    assert "host is there twice" in refused(answer, 400)


def test_the_token_is_needed_and_in_no_log(trained: Model) -> None:
    log = io.StringIO()
    service = Service(
        [serve.of_model("digits", trained)],
        admission=Admission(None, "s3cret-of-16-signs"),
        log=Log(True, log),
    )
    client = Client(service, host="anything")
    for path in ("/v1/models", "/v2", "/metrics", "/v2/models/digits", "/nothing"):
        answer = client.get(path)
        assert "token is missing" in refused(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "another one" in refused(client.get(path, authorization="Bearer x"), 401)
    right = {"authorization": "Bearer s3cret-of-16-signs"}
    assert client.get("/v1/models", **right).status == 200
    assert client.get("/nothing", **right).status == 404
    for path in ("/v2/health/live", "/v2/health/ready", "/docs", "/openapi.json"):
        assert client.get(path).status == 200
    client.close()
    assert "s3cret" not in log.getvalue()
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert {line["status"] for line in lines} == {200, 401, 404}
    assert all({"time", "level", "event", "path", "ms"} <= line.keys() for line in lines)


@pytest.mark.parametrize(
    "path", ["/../x", "/v2/models/..", "/v2/models/%00", "/v2/models/a%2Fb", "//"]
)
def test_other_paths_lead_nowhere(client: Client, path: str) -> None:
    assert refused(client.get(path), 404)


def test_other_methods_are_told_what_there_is(client: Client) -> None:
    answer = client.get("/v1/predict")
    assert refused(answer, 405) == "this address takes POST"
    assert answer.headers["allow"] == "POST"
    assert client.ask("HEAD", "/v1/models").content == b""


# --- bodies ------------------------------------------------------------------------------------


def test_a_body_beyond_its_limit_is_read_no_further(trained: Model) -> None:
    service = Service([serve.of_model("digits", trained)], Limits(body_bytes=10_000))
    client = Client(service, host=HOST)
    answer = client.ask("POST", "/v1/predict", RAW, (b"x" * 1000 for _ in range(100)))
    assert "10,000 bytes" in refused(answer, 413)
    assert answer.headers["connection"] == "close"
    assert sum(client.read) <= 11_000
    assert service._room.taken == 0
    client.close()


def test_bodies_have_only_so_much_room_together(trained: Model) -> None:
    service = Service([serve.of_model("digits", trained)], Limits(all_bytes=5_000))
    client = Client(service, host=HOST)
    answer = client.ask("POST", "/v1/predict", RAW, (b"x" * 784 for _ in range(10)))
    assert refused(answer, 503)
    assert answer.headers["retry-after"] == "1"
    assert client.ask("POST", "/v1/predict", RAW, b"x" * 784).status == 200
    assert service._room.taken == 0
    client.close()


def test_a_body_that_does_not_come_is_not_waited_for(
    trained: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "PATIENCE_S", 0.1)

    async def ask() -> list[Any]:
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(60)
            return {}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/v1/predict", "query_string": b""}
        service = Service([serve.of_model("digits", trained)])
        await service({**scope, "headers": [(b"host", b"x")]}, receive, send)
        return sent

    start, body = asyncio.run(ask())
    assert start["status"] == 408
    assert b"too slowly" in body["body"]


# --- batches -----------------------------------------------------------------------------------


def batcher(compute: Any, **settings: Any) -> Batcher:
    return Batcher(compute, **{"most_waiting": 100, "patience_s": 5.0, **settings})


def echo(images: np.ndarray) -> Outcome:
    """The first pixel of each picture as its logits."""
    first = images.reshape(len(images), -1)[:, :1].astype(np.float32)
    return Outcome(first, first, np.ones(len(images), np.bool_))


@pytest.mark.parametrize("in_thread", [False, True])
def test_what_is_submitted_at_once_is_computed_at_once(in_thread: bool) -> None:
    sizes: list[int] = []

    async def run() -> None:
        made = batcher(echo, tell=lambda outcome, seconds: sizes.append(len(outcome.logits)))
        if in_thread:
            made._first_s = 1.0
        pictures = [np.full((n, 1, 1, 1), n, np.uint8) for n in (1, 2, 3, 4, 5)]
        answers = await asyncio.gather(*[made.submit(each) for each in pictures])
        for images, outcome in zip(pictures, answers, strict=True):
            assert outcome.logits.tolist() == images.reshape(-1, 1).tolist()
        assert made.waiting == 0
        made.close()

    asyncio.run(run())
    assert sizes == [15]


def test_a_full_queue_says_when_to_try_again_and_large_requests_are_split() -> None:
    def slow(images: np.ndarray) -> Outcome:
        time.sleep(0.05)
        return echo(images)

    async def run() -> None:
        made = batcher(slow, most_waiting=10)
        made._first_s, made._each_s = 0.05, 0.4
        first = made.submit(np.zeros((50, 1, 1, 1), np.uint8))  # more than the queue: alone it may
        with pytest.raises(FullError) as full:
            made.submit(np.zeros((1, 1, 1, 1), np.uint8))
        assert full.value.retry_after_s == 20
        assert len((await first).logits) == 50
        assert len((await made.submit(np.zeros((1, 1, 1, 1), np.uint8))).logits) == 1
        made.close()

    asyncio.run(run())


def test_who_waits_too_long_is_told_and_a_mistake_reaches_those_it_concerns() -> None:
    def broken(images: np.ndarray) -> Outcome:
        raise ArithmeticError("no numbers")

    async def run() -> None:
        late = batcher(echo, patience_s=-1.0)
        with pytest.raises(ExpiredError):
            await late.submit(np.zeros((1, 1, 1, 1), np.uint8))
        wrong = batcher(broken)
        for cost in (0.0, 1.0):
            wrong._first_s = cost
            with pytest.raises(ArithmeticError):
                await wrong.submit(np.zeros((1, 1, 1, 1), np.uint8))
        late.close()
        wrong.close()

    asyncio.run(run())


def test_a_full_queue_is_503_with_retry_after(trained: Model) -> None:
    service = Service([serve.of_model("digits", trained)], Limits(queue=1))
    service.batchers["digits"].waiting = 1
    client = Client(service, host=HOST)
    answer = client.ask("POST", "/v1/predict", RAW, b"x" * 784)
    assert "waiting already" in refused(answer, 503)
    assert answer.headers["retry-after"] == "1"
    client.close()


def test_outputs_that_are_no_numbers_are_no_answer(tmp_path: Path) -> None:
    network = zoo.build("mlp")
    broken = Served(
        "broken",
        network,
        lambda images: np.full((len(images), 10), np.nan if images.any() else 0, np.float32),
        lambda logits: logits,
        lambda logits: np.ones(len(logits), np.bool_),
        lambda file, name: np.zeros((1, 28, 28), np.uint8),
    )
    client = Client(Service([broken]), host=HOST)
    assert "no finite numbers" in refused(client.ask("POST", "/v1/predict", RAW, b"x" * 784), 500)
    client.close()
    parameters = initialize(network, "he", 0)
    parameters["1.bias"][:] = np.nan
    save_network(tmp_path / "broken.safetensors", network, parameters)
    with pytest.raises(ServerError, match="the outputs of broken are no finite numbers"):
        serve.serve(serve.load([str(tmp_path / "broken.safetensors")]), port=0)


def test_a_mistake_of_ours_is_one_sentence_and_its_trace_is_in_the_log(
    trained: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = io.StringIO()
    service = Service([serve.of_model("digits", trained)], log=Log(stream=log))
    monkeypatch.setattr(application, "json_answer", None)
    client = Client(service, host=HOST)
    assert "a mistake" in refused(client.get("/v2"), 500)
    assert "TypeError" in json.loads(log.getvalue().splitlines()[0])["trace"]
    client.close()


# --- what is told ------------------------------------------------------------------------------


def test_metrics_count_requests_pictures_and_batches(trained: Model, images: np.ndarray) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    service = Service([serve.of_model("digits", trained)])
    client = Client(service, host=HOST)
    for _ in range(3):
        client.ask("POST", "/v1/predict", RAW, images.tobytes())
    client.ask("POST", "/v1/predict", RAW, b"x")
    client.get("/nothing")
    answer = client.get("/metrics")
    client.close()
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = [s for family in text_string_to_metric_families(answer.text) for s in family.samples]

    def total(name: str, **labels: str) -> float:
        return sum(
            s.value for s in samples if s.name == name and labels.items() <= s.labels.items()
        )

    assert total("lenet_requests_total", route="/v1/predict", status="200") == 3
    assert total("lenet_requests_total", route="/v1/predict", status="400") == 1
    assert total("lenet_requests_total", route="other", status="404") == 1
    assert total("lenet_pictures_total", model="digits") == 21
    assert total("lenet_batch_pictures_sum", model="digits") == 21
    assert total("lenet_request_seconds_count", route="/v1/predict") == 4
    assert total("lenet_waiting_pictures", model="digits") == 0


def test_every_address_is_described_and_answers(client: Client) -> None:
    described = client.get("/openapi.json").json()
    assert described["openapi"] == "3.1.0"
    identities = []
    for path, ways in described["paths"].items():
        for method, operation in ways.items():
            identities.append(operation["operationId"])
            at = path.replace("{name}", "digits").replace("{version}", "1")
            answer = client.ask(method.upper(), at)
            assert str(answer.status) in operation["responses"], (method, path, answer.text)
    assert len(set(identities)) == len(identities) == len(openapi.ROUTES)
    assert {route.handler for route in openapi.ROUTES} == application.HANDLERS.keys()
    references = set(_references(described))
    known = {f"#/components/schemas/{name}" for name in described["components"]["schemas"]}
    assert references <= known


def _references(values: Any) -> Iterator[str]:
    if isinstance(values, dict):
        if isinstance(found := values.get("$ref"), str):
            yield found
        values = list(values.values())
    if isinstance(values, list):
        for value in values:
            yield from _references(value)


def test_the_page_needs_nothing_from_elsewhere(client: Client) -> None:
    answer = client.get("/docs")
    for path in client.get("/openapi.json").json()["paths"]:
        assert path in answer.text
    for word in ("<script", "src=", "url(", "@import"):
        assert word not in answer.text
    style = answer.text.partition("<style>")[2].partition("</style>")[0].encode()
    digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
    assert f"'sha256-{digest}'" in answer.headers["content-security-policy"]


# --- how it is started and ends ----------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, trained: Model) -> Path:
    folder = tmp_path_factory.mktemp("models") / "digits"
    folder.mkdir()
    save_network(folder / "model.safetensors", trained.network, trained.parameters)
    return folder / "model.safetensors"


def test_models_have_the_names_of_their_folders_or_those_given(saved: Path) -> None:
    for given, names in (
        ([str(saved)], ["digits"]),
        ([f"a.b-c={saved}", str(saved)], ["a.b-c", "digits"]),
    ):
        assert [served.name for served in serve.load(given)] == names
    with pytest.raises(ServerError, match="two models have the name 'digits'"):
        serve.load([str(saved), str(saved)])
    with pytest.raises(ServerError, match="cannot have the name 'a b'"):
        serve.load([f"a b={saved}"])


def test_the_command_refuses_what_cannot_be(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = tmp_path / "token"
    short.write_text("short\n")
    for arguments, words in (
        ((str(saved), "--queue", "0"), "--queue is 0"),
        ((str(saved), "--port", "99999"), "port 99999"),
        ((str(saved), "--token-file", str(short)), "is no token"),
        ((str(tmp_path / "nothing"),), "is not a run"),
        ((f"x={tmp_path / 'nothing'}",), "is not a run"),
    ):
        assert cli.run(["serve", *arguments]) == 2
        assert words in capsys.readouterr().err


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "NEEDED", ("httptools", "no_such_package"))
    with pytest.raises(ServerError, match=r"needs no_such_package.*install"):
        serve.check_installed()


@contextlib.contextmanager
def running(saved: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A service in a process of its own, and its port."""
    command = [sys.executable, "-m", "lenet", "serve", str(saved), "--port", "0", *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert "serving digits: http://127.0.0.1:" in line, process.stderr
            yield process, int(line.rpartition(":")[2].partition("/")[0])
        finally:
            if process.poll() is None:
                process.kill()


def ask(port: int, body: bytes, connection: socket.socket | None = None) -> bytes:
    """The whole response to pixels that are sent over a connection."""
    with contextlib.ExitStack() as stack:
        if connection is None:
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        head = f"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        head += f"Content-Type: application/octet-stream\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        return response(connection)


def response(connection: socket.socket) -> bytes:
    content = b""
    while not content.endswith(b"]}]}"):
        part = connection.recv(65_536)
        if not part:
            break
        content += part
    return content


@pytest.mark.slow
@pytest.mark.needs("signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_after_what_it_accepted(
    saved: Path, trained: Model, images: np.ndarray, number: signal.Signals
) -> None:
    with running(saved) as (process, port):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            head = f"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            head += "Content-Type: application/octet-stream\r\nContent-Length: 784\r\n\r\n"
            connection.sendall(head.encode() + images[0].tobytes()[:400])
            time.sleep(0.5)
            process.send_signal(number)
            time.sleep(0.5)
            with pytest.raises(ConnectionRefusedError):  # no new ones
                socket.create_connection(("127.0.0.1", port))
            connection.sendall(images[0].tobytes()[400:])
            answer = response(connection)
        assert answer.startswith(b"HTTP/1.1 200")
        best = trained.predictions(images[:1])[0].classes[0]
        assert f'"class":"{best}"'.encode() in answer
        assert process.wait(10) == 0
        assert process.stderr is not None
        events = [json.loads(line)["event"] for line in process.stderr.read().splitlines()]
        assert events == ["start", "end"]


@pytest.mark.slow
@pytest.mark.needs("signals")
def test_a_signal_under_load_cuts_nobody_off(saved: Path) -> None:
    answered: list[int] = []
    cut: list[str] = []

    def keep_asking(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            count = 0
            try:
                while b"connection: close" not in (content := ask(port, bytes(784), connection)):
                    if not content.startswith(b"HTTP/1.1 200"):
                        cut.append(f"{content!r} after {count}")
                        return
                    count += 1
            except OSError as error:
                cut.append(f"{error} after {count}")
            answered.append(count)

    with running(saved) as (process, port):
        threads = [threading.Thread(target=keep_asking, args=(port,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(1.0)
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(30)
        assert process.wait(10) == 0
    assert cut == []
    assert min(answered) > 0


@pytest.mark.slow
@pytest.mark.needs("signals")
def test_a_second_ctrl_c_ends_it_at_once(saved: Path) -> None:
    with (
        running(saved) as (process, port),
        socket.create_connection(("127.0.0.1", port)) as connection,
    ):
        head = f"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 784\r\n\r\n"
        connection.sendall(head.encode())
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130


@pytest.mark.slow
def test_many_clients_get_each_the_answer_they_would_get_alone(saved: Path) -> None:
    count, times = 16, 50
    pictures = np.random.default_rng(1).integers(0, 256, (count, times, 1, 28, 28), np.uint8)
    loaded = load(saved)
    alone = [np.concatenate([loaded(image[None]) for image in mine]) for mine in pictures]
    wrong: list[bytes] = []

    def many(port: int, mine: np.ndarray, expected: np.ndarray) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            for image, row in zip(mine, expected, strict=True):
                content = ask(port, image.tobytes(), connection)
                top = json.loads(content.partition(b"\r\n\r\n")[2])["predictions"][0]["top"]
                difference = max(abs(row[each["index"]] - each["probability"]) for each in top)
                if difference > 1.5e-6 or top[0]["index"] != row.argmax():
                    wrong.append(content)

    with running(saved) as (_, port):
        threads = [
            threading.Thread(target=many, args=(port, mine, expected))
            for mine, expected in zip(pictures, alone, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    assert wrong == []


@pytest.mark.slow
def test_those_who_dawdle_are_closed_and_others_are_answered_meanwhile(saved: Path) -> None:
    with running(saved) as (_, port):
        slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
        for connection in slow:
            connection.sendall(b"P")
        began = time.monotonic()
        longest = 0.0
        while time.monotonic() - began < 3:
            asked = time.monotonic()
            assert ask(port, bytes(784)).startswith(b"HTTP/1.1 200")
            longest = max(longest, time.monotonic() - asked)
        for connection in slow:
            connection.settimeout(max(0.1, began + 15 - time.monotonic()))
            assert connection.recv(10) == b""
            connection.close()
        assert longest < 1


def test_an_environment_variable_names_the_tokens_file(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("a-token-of-16-signs\nmore\n")
    monkeypatch.setenv("LENET_TOKEN_FILE", str(tmp_path / "token"))
    given: dict[str, Any] = {}
    monkeypatch.setattr(serve, "serve", lambda models, **options: given.update(options) or 0)
    assert cli.run(["serve", str(saved)]) == 0
    assert given["token"] == "a-token-of-16-signs"
    assert os.environ["LENET_TOKEN_FILE"]


def test_a_network_is_served_by_any_functions(images: np.ndarray) -> None:
    network = zoo.build("mlp")
    ones = Served(
        "ones",
        network,
        lambda images: np.ones((len(images), 10), np.float32),
        lambda logits: np.full(logits.shape, 0.1, np.float32),
        lambda logits: np.ones(len(logits), np.bool_),
        lambda file, name: images[0],
    )
    client = Client(Service([ones]), host="x")
    found = client.ask("POST", "/v1/predict", RAW, images.tobytes()).json()["predictions"]
    assert [each["top"][0]["probability"] for each in found] == [0.1] * 7
    client.close()
