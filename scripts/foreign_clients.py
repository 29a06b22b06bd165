"""Ask a running `lenet serve` by clients that others wrote: those that are installed here.

python -m pip install 'tritonclient[http]' open-inference-openapi pydantic-open-inference kserve
python scripts/foreign_clients.py http://127.0.0.1:8000 MODEL

Each sends the same pictures as it usually does, and must get the same probabilities. They pull in
much, and are no dependencies of lenet.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from importlib.util import find_spec
from urllib.request import Request, urlopen

import numpy as np


def plain(url: str, model: str, images: np.ndarray) -> np.ndarray:
    """The probabilities (n, classes) as /v1/predict gives them."""
    headers = {"Content-Type": "application/octet-stream", "Accept": "application/octet-stream"}
    request = Request(f"{url}/v1/predict?model={model}", images.tobytes(), headers)
    with urlopen(request) as answer:
        return np.frombuffer(answer.read(), "<f4").reshape(len(images), -1)


def triton(url: str, model: str, images: np.ndarray) -> np.ndarray:
    """tritonclient over HTTP, tensors as bytes."""
    from tritonclient import http, utils

    client = http.InferenceServerClient(url.removeprefix("http://"))
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(model)
    assert client.get_model_metadata(model)["name"] == model
    assert client.get_server_metadata()["name"] == "lenet"
    assert model in [each["name"] for each in client.get_model_repository_index()]
    given = http.InferInput("images", images.shape, "UINT8")
    given.set_data_from_numpy(images, binary_data=True)
    wanted = [
        http.InferRequestedOutput(name, binary_data=True) for name in ("probabilities", "label")
    ]
    answer = client.infer(model, [given], outputs=wanted, request_id="7")
    assert answer.get_response()["id"] == "7"
    assert answer.as_numpy("label").shape == (len(images),)
    client.infer(model, [given])  # all outputs
    said = ""
    try:
        client.infer(f"{model}-not", [given])
    except utils.InferenceServerException as error:
        said = str(error)
    assert "there is no model" in said
    return answer.as_numpy("probabilities")


def open_inference_openapi(url: str, model: str, images: np.ndarray) -> np.ndarray:
    """The client that is generated from the protocol's own OpenAPI description."""
    from open_inference.openapi.client import InferenceRequest, OpenInferenceClient

    client = OpenInferenceClient(base_url=url)
    client.check_server_liveness()
    client.check_server_readiness()
    client.check_model_readiness(model)
    assert client.read_server_metadata().name == "lenet"
    assert client.read_model_metadata(model).name == model
    given = {"name": "images", "shape": list(images.shape), "datatype": "UINT8"}
    request = InferenceRequest(inputs=[{**given, "data": images.reshape(-1).tolist()}])
    answer = client.model_infer(model, request=request)
    found = {output.name: output for output in answer.outputs}["probabilities"]
    data = getattr(found.data, "__root__", getattr(found.data, "root", found.data))
    return np.array(data, np.float32).reshape(found.shape)


def pydantic_open_inference(url: str, model: str, images: np.ndarray) -> np.ndarray:
    """Inputs and outputs as pydantic models, checked against the server's metadata."""
    from typing import Annotated

    from pydantic_open_inference import (
        DatatypeOverride,
        InputsBaseModel,
        OutputsBaseModel,
        RemoteModel,
    )

    class Inputs(InputsBaseModel):
        images: Annotated[list[list[list[list[int]]]], DatatypeOverride("UINT8")]

    class Outputs(OutputsBaseModel):
        probabilities: list[list[float]]
        label: list[str]

    remote = RemoteModel(
        server_url=url, model_name=model, inputs_model=Inputs, outputs_model=Outputs
    )
    return np.array(remote.infer(Inputs(images=images.tolist())).probabilities, np.float32)


def kserve(url: str, model: str, images: np.ndarray) -> np.ndarray:
    """KServe's REST client, tensors as bytes."""
    from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
    from kserve.protocol.infer_type import RequestedOutput

    async def ask() -> np.ndarray:
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        assert await client.is_server_ready(url)
        assert await client.is_server_live(url)
        assert await client.is_model_ready(url, model)
        given = InferInput("images", list(images.shape), "UINT8")
        given.set_data_from_numpy(images, binary_data=True)
        wanted = RequestedOutput("probabilities", {"binary_data": True})
        request = InferRequest(model, [given], request_outputs=[wanted])
        answer = await client.infer(url, request, model_name=model)
        return answer.outputs[0].as_numpy()

    return asyncio.run(ask())


CLIENTS: dict[str, tuple[str, Callable[[str, str, np.ndarray], np.ndarray]]] = {
    "tritonclient": ("tritonclient", triton),
    "open-inference-openapi": ("open_inference", open_inference_openapi),
    "pydantic-open-inference": ("pydantic_open_inference", pydantic_open_inference),
    "kserve": ("kserve", kserve),
}


def main() -> int:
    url, model = sys.argv[1].rstrip("/"), sys.argv[2]
    with urlopen(f"{url}/v2/models/{model}") as answer:
        shape = json.load(answer)["inputs"][0]["shape"][1:]
    images = np.random.default_rng(0).integers(0, 256, (5, *shape), np.uint8)
    expected = plain(url, model, images)
    wrong = 0
    for name, (module, ask) in CLIENTS.items():
        if find_spec(module) is None:
            print(f"{name}: not installed here")
            continue
        difference = float(np.abs(ask(url, model, images) - expected).max())
        wrong += difference > 1e-6
        print(f"{name}: probabilities differ by at most {difference:.1e}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
