"""The HTTP API of the lab: what is asked in, what lab and models say out."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Annotated, Any, Final, TypeVar

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from lenet.lab import datasets, models
from lenet.lab.answers import as_bytes, as_json, error
from lenet.lab.datasets import Described, Shelf
from lenet.lab.errors import LabError
from lenet.lab.events import Hub
from lenet.lab.lab import Lab
from lenet.lab.models import Answers, Model
from lenet.lab.references import Asked, Models, split_reference
from lenet.lab.security import TOKEN_FAULT
from lenet.language.asked import Language, known_language
from lenet.language.chinese import listed_in_chinese
from lenet.network import layer_text
from lenet.network.architecture import Network, Normalization, to_dict, trace
from lenet.network.layer_text import LayerTextError
from lenet.network.layers import ArchitectureError
from lenet.network.zoo import class_names

MOST_PICTURES: Final = 1_000  # at once

T = TypeVar("T")
Size = Annotated[int, Field(ge=1, le=100_000)]
Shape = tuple[Size, Size, Size]


class NetworkText(BaseModel):
    """A network as lines of text."""

    text: str
    input_shape: Shape = (1, 28, 28)
    classes: Annotated[int, Field(ge=2, le=256)] | list[str] = 10
    name: str = "own"


class Training(BaseModel):
    """What is to be trained."""

    model_config = ConfigDict(extra="forbid")
    recipe: str
    settings: dict[str, Any] = {}
    network: str | None = None
    text: str | None = None
    data: str | None = None
    name: Annotated[str, Field(max_length=200)] | None = None


class Name(BaseModel):
    """What a run is to be called."""

    name: Annotated[str, Field(max_length=200)]


class Star(BaseModel):
    """Whether a run is starred."""

    starred: bool


def make_router(lab: Lab, hub: Hub) -> APIRouter:
    """The routes below /api."""
    router = APIRouter(prefix="/api")
    _add_lab(router, lab, hub)
    _add_changes(router, lab)
    _add_models(router, lab)
    return router


def _add_lab(router: APIRouter, lab: Lab, hub: Hub) -> None:
    @router.get(
        "/state",
        summary="All that the page begins with: runs, queue, recipes, networks, data",
    )
    async def state() -> Response:
        return as_json(lab.state())

    @router.get("/lessons", summary="The tour, lessons and challenges, those of --lesson too")
    async def lessons() -> Response:
        return as_json({"lessons": lab.lessons})

    @router.get("/access", summary="Why changes are refused from here, or null")
    async def access(request: Request) -> Response:
        return as_json({"fault": request.scope.get(TOKEN_FAULT)})

    @router.get(
        "/runs/{name}",
        summary="A run: its history by columns, snapshots, remarks, run.json",
    )
    async def run(name: str) -> Response:
        return as_json(lab.details(name))

    @router.get("/events", summary="What changes, as server-sent events")
    async def events() -> Response:
        headers = {"cache-control": "no-store"}
        return StreamingResponse(hub.listen(lab.state), 200, headers, "text/event-stream")

    @router.post(
        "/networks/check",
        summary="Shapes and costs of layers as text, or the line that errs",
    )
    async def check(asked: NetworkText) -> Response:
        return await asyncio.to_thread(check_network, asked)


def _add_changes(router: APIRouter, lab: Lab) -> None:
    @router.post("/train", summary="Begin a training, or put it into the queue; answers its name")
    async def train(asked: Training) -> Response:
        try:
            name = lab.train(
                asked.recipe, asked.settings, asked.network, asked.text, asked.data, asked.name
            )
        except LayerTextError as wrong:
            return error(422, str(wrong), line=wrong.line or None)
        return as_json({"name": name})

    @router.post("/runs/{name}/pause", summary="Pause a training, with a checkpoint")
    async def pause(name: str) -> Response:
        lab.pause(name)
        return as_json({"name": name})

    @router.post("/runs/{name}/stop", summary="End a training; what it has learnt stays")
    async def stop(name: str) -> Response:
        lab.pause(name, stopped=True)
        return as_json({"name": name})

    @router.post("/runs/{name}/resume", summary="Go on with a training")
    async def resume(name: str) -> Response:
        lab.resume(name)
        return as_json({"name": name})

    @router.post("/runs/{name}/slower", summary="Train it anew at a tenth of its learning rate")
    async def slower(name: str) -> Response:
        return as_json({"name": lab.train_slower(name)})

    @router.post("/runs/{name}/star", summary="Star a run, or take its star back")
    async def star(name: str, asked: Star) -> Response:
        lab.star(name, asked.starred)
        return as_json({"name": name, "starred": asked.starred})

    @router.post("/runs/{name}/rename", summary="Give a run that does not train another name")
    async def rename(name: str, asked: Name) -> Response:
        return as_json({"name": lab.rename(name, asked.name)})

    @router.post("/runs/{name}/restore", summary="Bring a deleted run back")
    async def restore(name: str) -> Response:
        lab.restore(name)
        return as_json({"name": name})

    @router.delete("/runs/{name}", summary="Put a run into the trash")
    async def delete(name: str) -> Response:
        lab.delete(name)
        return as_json({"name": name})


def _add_models(router: APIRouter, lab: Lab) -> None:
    found, shelf, answers = Models(), Shelf(), Answers()

    async def resolve(reference: str) -> Model:
        kind, name, step = split_reference(reference, lab.runs)
        if kind == "file":
            return found.of_file(name)
        lab.check(name)
        watched = lab.runs.get(name)
        if watched is None:
            raise LabError(409, f"{name} has not begun yet; it has no weights")
        return await asyncio.to_thread(found.of_run, watched, step)

    async def answer(
        reference: str, question: str, compute: Callable[[Model], dict[str, Any]]
    ) -> Response:
        asked = await resolve(reference)
        source = asked.data.source if asked.data else ""
        key = (question, asked.key, asked.title, source)
        return as_json(await answers.get(key, lambda: compute(asked)))

    def described(name: str) -> Described:
        known = lab.data().get(name)
        if known is None:
            raise LabError(404, f"there is no data set called {name[:100]!r}")
        return known

    @router.get("/models/{reference}", summary="The title of a model, and its data set")
    async def about_model(reference: str) -> Response:
        asked = await resolve(reference)
        return as_json({"title": asked.title, "data": asked.data.name if asked.data else None})

    @router.get("/models/{reference}/weights", summary="Its weights as model.safetensors")
    async def weights(reference: str, request: Request) -> Response:
        return as_bytes((await resolve(reference)).content, request)

    @router.get("/models/{reference}/explanation", summary="Each layer in words")
    async def explanation(reference: str, language: str = "en") -> Response:
        spoken = _language(language)
        return await answer(
            reference, spoken, lambda asked: models.explanation(asked, shelf, spoken)
        )

    @router.get("/models/{reference}/html", summary="The page that lenet export --to html makes")
    async def page(reference: str, language: str = "en", lean: bool = False) -> Response:
        asked = await resolve(reference)
        spoken, lessons = _language(language), lab.lessons
        text = await asyncio.to_thread(models.page, asked, shelf, spoken, lessons, lean)
        name = re.sub(r"[^\w.-]+", "-", asked.title, flags=re.ASCII).strip("-.") or "network"
        headers = {"content-disposition": f'attachment; filename="{name}.html"'}
        return Response(text.encode(errors="replace"), 200, headers, "text/html; charset=utf-8")

    @router.get(
        "/models/{reference}/predictions",
        summary="What it says of every test picture, and how sure",
    )
    async def predictions(reference: str) -> Response:
        return await answer(
            reference, "predictions", lambda asked: models.predictions(asked, shelf)
        )

    @router.get(
        "/models/{reference}/statistics",
        summary="Its parameters and activations in numbers",
    )
    async def statistics(reference: str) -> Response:
        return await answer(reference, "statistics", lambda asked: models.statistics(asked, shelf))

    @router.post("/models", summary="Open a file of weights; answers its reference")
    async def open_model(
        request: Request,
        name: str,
        network: str | None = None,
        text: str | None = None,
        data: str | None = None,
        shape: str | None = None,
        mean: Annotated[list[float] | None, Query()] = None,
        deviation: Annotated[list[float] | None, Query()] = None,
    ) -> Response:
        content = await request.body()
        normalization = None
        if mean or deviation:
            normalization = Normalization(tuple(mean or (0.0,)), tuple(deviation or (1.0,)))
        asked = Asked(network, text, data, normalization, _shape(shape))
        known = lab.data()
        reference, made, remark = await asyncio.to_thread(
            found.open, name, content, asked, known, shelf
        )
        return as_json(
            {
                "ref": f"file:{reference}",
                "title": made.title,
                "network": to_dict(made.network),
                "data": made.data.name if made.data else None,
                "remark": remark,
                "remark_chinese": listed_in_chinese(remark),
            }
        )

    @router.get(
        "/data/{name}",
        summary="A data set: title, classes, shape, number of test pictures",
    )
    async def about_data(name: str) -> Response:
        known = described(name)
        split = (await asyncio.to_thread(shelf.pictures, known.source)).test
        return as_json(
            {
                "name": known.name,
                "title": known.title,
                "classes": list(split.classes),
                "shape": list(split.images.shape[1:]),
                "count": len(split),
            }
        )

    @router.get("/data/{name}/labels", summary="The labels of its test pictures, a byte each")
    async def labels(name: str, request: Request) -> Response:
        split = (await asyncio.to_thread(shelf.pictures, described(name).source)).test
        return as_bytes(split.labels.astype(np.uint8).tobytes(), request)

    @router.get("/data/{name}/training", summary="Training pictures, then a byte for each label")
    async def training(name: str, request: Request) -> Response:
        split = (await asyncio.to_thread(shelf.pictures, described(name).source)).training
        labels = split.labels.astype(np.uint8)  # a byte each, behind all pictures
        return as_bytes(split.images.tobytes() + labels.tobytes(), request)

    @router.get(
        "/data/{name}/pictures",
        summary="Test pictures as bytes, from start on or by their indices",
    )
    async def pictures(
        name: str,
        request: Request,
        start: Annotated[int, Query(ge=0, le=2**40)] = 0,
        count: Annotated[int, Query(ge=0, le=MOST_PICTURES)] = 500,
        indices: str | None = None,
    ) -> Response:
        split = (await asyncio.to_thread(shelf.pictures, described(name).source)).test
        if indices is None:
            chosen = np.arange(min(start, len(split)), min(start + count, len(split)))
        else:
            chosen = _indices(indices)
        return as_bytes(datasets.chosen(split, chosen.astype(np.int64)), request)


def check_network(asked: NetworkText) -> Response:
    """Each layer of a described network with its shapes and costs, or the line that errs."""
    lines: list[int] = []
    try:
        parsed = layer_text.parse_lines(asked.text)
        lines = [line for line, _ in parsed]
        layers = tuple(layer for _, layer in parsed)
        classes = asked.classes if isinstance(asked.classes, int) else tuple(asked.classes)
        network = Network(asked.name, asked.input_shape, layers, class_names(classes))
        rows = trace(network)
    except LayerTextError as wrong:
        return error(422, str(wrong), line=wrong.line or None)
    except ArchitectureError as wrong:
        line = _line_of(str(wrong), lines)
        place = f"line {line}: " if line else ""
        return error(422, f"{place}{wrong}", line=line)
    return as_json(
        {
            "network": to_dict(network),
            "rows": [
                {
                    "index": row.index,
                    "kind": row.kind,
                    "stage": row.stage,
                    "input_shape": list(row.input_shape),
                    "output_shape": list(row.output_shape),
                    "parameters": row.parameters,
                    "parameter_formula": row.parameter_formula,
                    "size_formula": row.size_formula,
                    "macs": row.macs,
                    "line": lines[row.index],
                }
                for row in rows
            ],
            "parameters": sum(row.parameters for row in rows),
            "macs": sum(row.macs for row in rows),
        }
    )


def _line_of(message: str, lines: list[int]) -> int | None:
    """The line of the layer that a message begins with; the last where it ends wrongly."""
    words = message.split()
    if len(words) > 1 and words[0] == "layer" and words[1].isdecimal():
        return lines[int(words[1])]
    return lines[-1] if "ends with shape" in message else None


def _language(text: str) -> Language:
    try:
        return known_language(text[:20])
    except ValueError as wrong:
        raise LabError(422, str(wrong)) from None


def _shape(text: str | None) -> tuple[int, int, int] | None:
    if text is None:
        return None
    try:
        channels, height, width = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise LabError(
            422, f"shape {text[:50]!r}: write channels x height x width, such as 1x28x28"
        ) from None
    if not all(1 <= size <= 4_096 for size in (channels, height, width)):
        raise LabError(422, f"shape {text[:50]!r}: each size is from 1 to 4096")
    return channels, height, width


def _indices(text: str) -> np.ndarray[Any, Any]:
    parts = text.split(",") if text else []
    if len(parts) > MOST_PICTURES:
        raise LabError(422, f"{len(parts):,} pictures; at most {MOST_PICTURES:,} are given at once")
    if not all(part.isascii() and part.isdecimal() and len(part) < 13 for part in parts):
        raise LabError(422, f"indices {text[:50]!r}: write numbers with commas, such as 1,5,9")
    return np.array([int(part) for part in parts], np.int64)
