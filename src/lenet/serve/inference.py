"""The Open Inference Protocol v2: metadata and /infer, in JSON and with binary tensors.

https://github.com/kserve/open-inference-protocol, with the binary tensor data extension as Triton
describes it: after a JSON text of ``Inference-Header-Content-Length`` bytes the tensors follow,
little-endian, strings with their lengths before them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lenet.serve.batching import Outcome, UInt8
from lenet.serve.exchange import Answer, RefusedError
from lenet.serve.predicting import array_of, parse_json
from lenet.serve.served import NONE_OF_THESE, Served, shaped
from lenet.untrusted import shown

VERSION: Final = "1"
INPUT: Final = "images"
DATATYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "BOOL": "|b1",
        "UINT8": "|u1",
        "UINT16": "<u2",
        "UINT32": "<u4",
        "UINT64": "<u8",
        "INT8": "|i1",
        "INT16": "<i2",
        "INT32": "<i4",
        "INT64": "<i8",
        "FP16": "<f2",
        "FP32": "<f4",
        "FP64": "<f8",
    }
)
OUTPUTS: Final = ("probabilities", "index", "label", "known", "logits")
MOST_DIMENSIONS: Final = 8


@dataclass(frozen=True)
class Inference:
    """What is to be inferred: pictures, and which tensors are wanted, which of them binary."""

    served: Served
    images: UInt8
    outputs: tuple[tuple[str, bool], ...]
    id: str | None


def metadata(served: Served) -> dict[str, Any]:
    """What the protocol says of a model."""
    classes = len(served.network.classes)
    return {
        "name": served.name,
        "versions": [VERSION],
        "platform": f"lenet_{served.engine or 'engine'}",
        "inputs": [
            {"name": INPUT, "datatype": "UINT8", "shape": [-1, *served.network.input_shape]}
        ],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, classes]},
            {"name": "index", "datatype": "INT64", "shape": [-1]},
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "known", "datatype": "BOOL", "shape": [-1]},
            {"name": "logits", "datatype": "FP32", "shape": [-1, classes]},
        ],
    }


# --- the request -------------------------------------------------------------------------------


def inference(served: Served, body: bytes, header_length: bytes | None) -> Inference:
    """What a body asks; refused with a sentence where it is not as the protocol says."""
    head, tensors = body, memoryview(b"")
    if header_length is not None:
        if not header_length.isdigit() or int(header_length[:20]) > len(body):
            raise RefusedError(
                400,
                f"Inference-Header-Content-Length is {shown(header_length.decode('latin-1'))}; the "
                f"body has {len(body):,} bytes",
            )
        cut = int(header_length)
        head, tensors = body[:cut], memoryview(body)[cut:]
    values = parse_json(head)
    if not isinstance(values, dict):
        raise RefusedError(400, "the request must be a JSON object with inputs")
    identity = values.get("id")
    if identity is not None and not (isinstance(identity, str) and len(identity) <= 1000):
        raise RefusedError(400, f"id is {shown(identity)}; give a text")
    inputs = values.get("inputs")
    one = inputs[0] if isinstance(inputs, list) and len(inputs) == 1 else None
    if not isinstance(one, dict) or one.get("name") != INPUT:
        name = shown(one.get("name")) if isinstance(one, dict) else shown(inputs)
        raise RefusedError(400, f"inputs is {name}; give one, with the name {INPUT}")
    pixels = _tensor(one, tensors)
    binary = _parameters(values).get("binary_data_output", False) is True
    outputs = _outputs(values.get("outputs"), binary)
    return Inference(served, shaped(served, pixels, INPUT), outputs, identity)


def _parameters(values: dict[str, Any]) -> dict[str, Any]:
    parameters = values.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise RefusedError(400, f"parameters is {shown(parameters)}; give an object")
    for name in ("shared_memory_region", "classification", "sequence_id"):
        if parameters.get(name):
            raise RefusedError(400, f"the parameter {name} is not offered here")
    return parameters


def _tensor(given: dict[str, Any], tensors: memoryview) -> NDArray[Any]:
    datatype, shape = given.get("datatype"), given.get("shape")
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise RefusedError(400, f"datatype is {shown(datatype)}; give UINT8, or another of numbers")
    sizes = isinstance(shape, list) and all(type(n) is int and 0 <= n < 2**31 for n in shape)
    if not sizes or not isinstance(shape, list) or len(shape) > MOST_DIMENSIONS:
        raise RefusedError(400, f"shape is {shown(shape)}; give a list of whole numbers")
    kind, count = np.dtype(DATATYPES[datatype]), math.prod(shape)
    size = _parameters(given).get("binary_data_size")
    if size is not None:
        if size != len(tensors) or size != count * kind.itemsize:
            raise RefusedError(
                400,
                f"binary_data_size is {shown(size)}; {len(tensors):,} bytes follow the JSON, and "
                f"{datatype} of shape {shape} takes {count * kind.itemsize:,}",
            )
        return np.frombuffer(tensors, kind).reshape(shape)
    if len(tensors):
        raise RefusedError(400, "bytes follow the JSON, and no input has a binary_data_size")
    array = array_of(given.get("data"), "data")
    if array.size != count:
        raise RefusedError(
            400, f"data holds {array.size:,} numbers; the shape {shape} takes {count:,}"
        )
    return array.reshape(shape)


def _outputs(given: Any, binary: bool) -> tuple[tuple[str, bool], ...]:
    """The tensors that are wanted, and whether as bytes: all of them unless it says which."""
    if given is None or given == []:
        return tuple((name, binary) for name in OUTPUTS)
    if not isinstance(given, list) or len(given) > len(OUTPUTS):
        raise RefusedError(400, f"outputs is {shown(given)}; give a list of {', '.join(OUTPUTS)}")
    wanted = []
    for output in given:
        name = output.get("name") if isinstance(output, dict) else output
        if not isinstance(output, dict) or name not in OUTPUTS:
            raise RefusedError(400, f"no output is {shown(name)}; there are {', '.join(OUTPUTS)}")
        wanted.append((name, _parameters(output).get("binary_data", binary) is True))
    return tuple(wanted)


# --- the response ------------------------------------------------------------------------------


def answer(asked: Inference, outcome: Outcome) -> Answer:
    """The response of the protocol."""
    outputs: list[dict[str, Any]] = []
    tensors: list[bytes] = []
    for name, binary in asked.outputs:
        datatype, array = _output(name, asked.served, outcome)
        output: dict[str, Any] = {
            "name": name,
            "datatype": datatype,
            "shape": list(array.shape),
        }
        if binary:
            tensors.append(_bytes_of(datatype, array))
            output["parameters"] = {"binary_data_size": len(tensors[-1])}
        else:
            output["data"] = array.reshape(-1).tolist()
        outputs.append(output)
    values: dict[str, Any] = {"model_name": asked.served.name, "model_version": VERSION}
    if asked.id is not None:
        values["id"] = asked.id
    values["outputs"] = outputs
    head = json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()
    if not tensors:
        return Answer(head)
    length = (b"inference-header-content-length", b"%d" % len(head))
    return Answer(b"".join([head, *tensors]), kind=b"application/octet-stream", headers=(length,))


def _output(name: str, served: Served, outcome: Outcome) -> tuple[str, NDArray[Any]]:
    match name:
        case "probabilities":
            return "FP32", outcome.probabilities
        case "logits":
            return "FP32", outcome.logits
        case "known":
            return "BOOL", outcome.known
        case "index":
            return "INT64", outcome.logits.argmax(axis=1)
        case _:
            best = zip(outcome.logits.argmax(axis=1).tolist(), outcome.known.tolist(), strict=True)
            classes = served.network.classes
            labels = [classes[i] if known else NONE_OF_THESE for i, known in best]
            return "BYTES", np.array(labels, object)


def _bytes_of(datatype: str, array: NDArray[Any]) -> bytes:
    if datatype != "BYTES":
        return np.ascontiguousarray(array, DATATYPES[datatype]).tobytes()
    texts = [text.encode() for text in array.tolist()]
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)
