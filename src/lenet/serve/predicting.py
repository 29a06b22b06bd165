"""POST /v1/predict: pictures in any of four ways, answers in JSON or as an array."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lenet.serve.batching import Outcome, UInt8
from lenet.serve.exchange import Answer, Headers, RefusedError
from lenet.serve.served import NONE_OF_THESE, Served, shaped
from lenet.untrusted import shown

MOST_FILES: Final = 4096  # picture files in one request
TOP: Final = 3  # classes in an answer, unless it says how many
ARRAY: Final = b"application/octet-stream"
FORM: Final = b"multipart/form-data"
JSON: Final = b"application/json"
MOST_PART_HEADERS: Final = 4096  # bytes
_NONE: Final = json.dumps(NONE_OF_THESE)


@dataclass(frozen=True)
class Question:
    """What is to be predicted: pictures as the network sees them, and how much is to be said."""

    served: Served
    images: UInt8
    top: int


def kind_of(headers: Headers) -> bytes:
    """The media type of a body, without its parameters."""
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


def question(
    kind: bytes,
    content_type: bytes,
    body: bytes,
    query: Mapping[str, str],
    models: Mapping[str, Served],
) -> Question:
    """The question of a body of ``kind``; refused with a sentence where it is none."""
    if unknown := query.keys() - {"model", "top"}:
        raise RefusedError(400, f"unknown parameter {shown(min(unknown))}; there are model and top")
    values: dict[str, Any] = {}
    if kind == JSON:
        values = _json(body)
    served = _model(values.pop("model", query.get("model")), models)
    top = _top(values.pop("top", query.get("top")), served)
    if kind == ARRAY:
        return Question(served, _array(served, body), top)
    if kind == JSON:
        return Question(served, _of_json(served, values), top)
    if kind == FORM:
        files = _form(content_type, body)
    elif kind.startswith(b"image/"):
        files = [("the body", body)]
    else:
        raise RefusedError(
            415,
            f"Content-Type is {shown(kind.decode('latin-1'))}; send a picture as image/png (or "
            "jpeg …), several as multipart/form-data, base64 in application/json, or pixels as "
            "application/octet-stream",
        )
    return Question(served, _read(served, files), top)


def is_small(kind: bytes, body: bytes) -> bool:
    """Whether a body is read so quickly that a thread would only cost time."""
    return len(body) <= 16_384 or kind == ARRAY


def answer(question: Question, outcome: Outcome, accept: bytes) -> Answer:
    """The answer, in the form that the request accepts."""
    served = question.served
    if accept.partition(b";")[0].strip().lower() == ARRAY:
        shape = ",".join(map(str, outcome.probabilities.shape)).encode()
        array = np.ascontiguousarray(outcome.probabilities, "<f4")
        return Answer(array.tobytes(), kind=ARRAY, headers=((b"x-shape", shape),))
    classes = _as_json(served.network.classes)
    predictions = []
    rows = zip(
        outcome.logits.tolist(),
        outcome.probabilities.tolist(),
        outcome.known.tolist(),
        strict=True,
    )
    for logits, probabilities, known in rows:
        # by logits: probabilities of 1 and of 0 are equal among each other
        order = sorted(range(len(logits)), key=logits.__getitem__, reverse=True)[: question.top]
        top = ",".join(
            [
                f'{{"class":{classes[i]},"index":{i},"probability":{probabilities[i]:.6f}}}'
                for i in order
            ]
        )
        said, is_known = (classes[order[0]], "true") if known else (_NONE, "false")
        predictions.append(f'{{"class":{said},"known":{is_known},"top":[{top}]}}')
    # json.dumps would take half of a request's time
    text = f'{{"model":{json.dumps(served.name)},"predictions":[{",".join(predictions)}]}}'
    return Answer(text.encode())


@lru_cache(16)
def _as_json(classes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(json.dumps(name, ensure_ascii=False) for name in classes)


def _model(name: Any, models: Mapping[str, Served]) -> Served:
    if name is None and len(models) == 1:
        return next(iter(models.values()))
    if isinstance(name, str) and name in models:
        return models[name]
    known = ", ".join(models)
    if name is None:
        raise RefusedError(400, f"there are several models; add ?model=, one of {known}")
    raise RefusedError(404, f"there is no model {shown(name)}; there are {known}")


def _top(value: Any, served: Served) -> int:
    classes = len(served.network.classes)
    if value is None:
        return min(TOP, classes)
    text = str(value) if type(value) is int or isinstance(value, str) else ""
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise RefusedError(400, f"top is {shown(value)}; give a whole number from 1 to {classes}")
    return min(int(text), classes)


# --- bodies ------------------------------------------------------------------------------------


def _array(served: Served, body: bytes) -> UInt8:
    c, h, w = served.network.input_shape
    size = c * h * w
    if not body or len(body) % size:
        raise RefusedError(
            400,
            f"the body has {len(body):,} bytes; a picture of {served.name} has {size:,} "
            f"({c}×{h}×{w}, one byte a pixel), and any number of them may follow each other",
        )
    return np.frombuffer(body, np.uint8).reshape(-1, c, h, w)


def _json(body: bytes) -> dict[str, Any]:
    values = parse_json(body)
    if not isinstance(values, dict):
        raise RefusedError(400, 'the body must be a JSON object such as {"images": ["…"]}')
    return values


def parse_json(body: bytes) -> Any:
    """The values of a JSON text; refused where it is none, or nested without end."""
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        raise RefusedError(
            400, f"the body is no JSON from line {error.lineno}, column {error.colno} on"
        ) from None
    except RecursionError:
        raise RefusedError(400, "brackets are nested too deeply in the body") from None
    except ValueError:  # no UTF-8, or a number of 4,300 digits
        raise RefusedError(400, "the body is no JSON that is read here") from None


def _of_json(served: Served, values: dict[str, Any]) -> UInt8:
    ways = values.keys() & {"image", "images", "pixels"}
    if unknown := values.keys() - {"image", "images", "pixels"}:
        raise RefusedError(400, f"unknown key {shown(min(unknown))}; there are images and pixels")
    if len(ways) != 1:
        raise RefusedError(
            400, "give images, a list of picture files in base64, or pixels, a list of arrays"
        )
    if "pixels" in ways:
        return shaped(served, array_of(values["pixels"], "pixels"), "pixels")
    given = values["images"] if "images" in ways else [values["image"]]
    if not isinstance(given, list) or not given:
        raise RefusedError(400, f"images is {shown(given)}; give a list of base64 texts")
    if len(given) > MOST_FILES:
        raise RefusedError(413, f"{len(given):,} pictures at once; at most {MOST_FILES:,}")
    return _read(served, [(f"images[{i}]", _base64(text, i)) for i, text in enumerate(given)])


def array_of(values: Any, what: str) -> NDArray[Any]:
    """Nested lists as an array; refused where they are no numbers, or of different lengths."""
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError, RecursionError):
        raise RefusedError(400, f"{what} must be lists of equal lengths, of numbers") from None
    if array.dtype.kind not in "iuf":
        raise RefusedError(400, f"{what} must be lists of numbers from 0 to 255")
    return array


def _base64(text: Any, place: int) -> bytes:
    if not isinstance(text, str):
        raise RefusedError(400, f"images[{place}] is {shown(text)}, no base64 text")
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise RefusedError(400, f"images[{place}] is no base64 of a picture file") from None


def _read(served: Served, files: list[tuple[str, bytes]]) -> UInt8:
    """Picture files as the network sees them, (n, channels, height, width)."""
    try:
        return np.stack([served.read(BytesIO(content), name) for name, content in files])
    except ValueError as error:
        raise RefusedError(400, str(error)) from None


def _form(content_type: bytes, body: bytes) -> list[tuple[str, bytes]]:
    """The files of a multipart/form-data body: each part's file name, or number, and content."""
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header

    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise RefusedError(400, "the Content-Type of the form has no boundary")
    files: list[tuple[str, bytes]] = []
    parts: list[bytes] = []
    field, value, disposition = [b""], [b""], [b""]
    heads = [0]

    def begin() -> None:
        if len(files) == MOST_FILES:
            raise RefusedError(413, f"the form has more than {MOST_FILES:,} parts")
        parts.clear()
        disposition[0] = field[0] = value[0] = b""
        heads[0] = 0

    def header(store: list[bytes], data: bytes, start: int, end: int) -> None:
        heads[0] += end - start
        if heads[0] > MOST_PART_HEADERS:
            raise RefusedError(400, "the head of a part of the form is too long")
        store[0] += data[start:end]

    def header_end() -> None:
        if field[0].lower() == b"content-disposition":
            disposition[0] = value[0]
        field[0] = value[0] = b""

    def end() -> None:
        given = parse_options_header(disposition[0])[1].get(b"filename", b"")
        name = given.decode("utf-8", "replace") or f"part {len(files) + 1}"
        files.append((shown(name), b"".join(parts)))

    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": begin,
            "on_part_data": lambda data, start, end: parts.append(data[start:end]),
            "on_part_end": end,
            "on_header_field": lambda data, start, end: header(field, data, start, end),
            "on_header_value": lambda data, start, end: header(value, data, start, end),
            "on_header_end": header_end,
        },
    )
    ended = body.rstrip().endswith(b"--" + boundary + b"--")
    try:
        parser.write(body)
        parser.finalize()
    except FormParserError:
        ended = False
    if not ended:
        raise RefusedError(400, "the form is damaged, or cut off")
    if not files:
        raise RefusedError(400, "the form has no part; send each picture as a file of it")
    return files
