"""The service's addresses, said once: the router reads them, programs and people get them told.

``describe`` makes the OpenAPI description of them, ``documents`` the JSON and a page that needs
nothing from elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lenet.serve.exchange import Answer
from lenet.serve.inference import DATATYPES, INPUT, OUTPUTS, VERSION
from lenet.serve.predicting import ARRAY, FORM, JSON, TOP
from lenet.serve.served import NONE_OF_THESE, Served


@dataclass(frozen=True)
class Route:
    """One address: who answers it (``app.HANDLERS``), and what is told of it."""

    method: str
    path: str
    handler: str
    summary: str
    open: bool = False  # to anyone, whatever the token


ROUTES: Final = (
    Route("POST", "/v1/predict", "predict", "Predict what is on pictures"),
    Route("GET", "/v1/models", "models", "List the models, their classes and pictures"),
    Route("GET", "/v2", "server", "Name the server and its extensions"),
    Route("GET", "/v2/health/live", "live", "Tell whether the service runs", open=True),
    Route("GET", "/v2/health/ready", "ready", "Tell whether it takes requests", open=True),
    Route("GET", "/v2/models/{name}", "metadata", "Describe a model's tensors"),
    Route("GET", "/v2/models/{name}/ready", "ready", "Tell whether a model takes requests"),
    Route("POST", "/v2/models/{name}/infer", "infer", "Infer, in JSON or with binary tensors"),
    Route("GET", "/v2/models/{name}/versions/{version}", "metadata", "Describe a version"),
    Route("GET", "/v2/models/{name}/versions/{version}/ready", "ready", "Tell whether it is ready"),
    Route("POST", "/v2/models/{name}/versions/{version}/infer", "infer", "Infer with a version"),
    Route("POST", "/v2/repository/index", "index", "List the models as Triton does"),
    Route("GET", "/metrics", "metrics", "Give numbers for Prometheus"),
    Route("GET", "/openapi.json", "openapi", "Describe all this for programs", open=True),
    Route("GET", "/docs", "docs", "Describe all this for people", open=True),
    Route("GET", "/", "home", "Lead to /docs", open=True),
)

STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 50rem; padding: 0 1rem;
  color: #1c2430; background: #fff }
h1, h2 { line-height: 1.2 } h2 { margin-top: 2.5rem; font-size: 1.1rem }
code, pre { font: 14px/1.45 ui-monospace, monospace } pre { background: #f2f4f7; padding: .8rem;
  overflow: auto; border-radius: 6px } td, th { text-align: left; padding: .2rem 1rem .2rem 0;
  vertical-align: top } .method { background: #1c2430; color: #fff; border-radius: 4px;
  padding: .1rem .5rem; margin-right: .5rem }
@media (prefers-color-scheme: dark) { body { color: #e6e9ee; background: #14181f }
  pre { background: #1f2530 } .method { background: #e6e9ee; color: #14181f } a { color: #8ab4ff } }
"""


def model(served: Served) -> dict[str, Any]:
    """What GET /v1/models says of a model."""
    channels, height, width = served.network.input_shape
    return {
        "name": served.name,
        "network": served.network.name,
        "classes": list(served.network.classes),
        "picture": {"channels": channels, "height": height, "width": width},
    }


# --- for programs ------------------------------------------------------------------------------


def describe(models: Mapping[str, Served], token: bool, body_bytes: int) -> dict[str, Any]:
    """The OpenAPI 3.1 description of the service."""
    from lenet import __version__

    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, models, token)
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "LeNet's prediction service",
            "version": __version__,
            "description": (
                f"Bodies of at most {body_bytes:,} bytes are read. A full queue answers 503 with "
                "Retry-After. Every error is a JSON object with one sentence, error. The addresses "
                "under /v2 are the Open Inference Protocol, with its binary tensor extension."
            ),
        },
        "paths": paths,
        "components": {"schemas": _schemas()},
    }
    if token:
        scheme = {"type": "http", "scheme": "bearer"}
        described["components"]["securitySchemes"] = {"token": scheme}
    return described


def _operation(route: Route, models: Mapping[str, Served], token: bool) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": _response(route)}
    if route.handler == "home":
        responses = {"307": {"description": "To /docs"}}
    errors = {"400": "What was wrong", "403": "A foreign host or page"}
    if route.handler in ("predict", "infer"):
        errors |= {"404": "No such model", "408": "Too slow", "413": "Too large"}
        errors |= {"415": "Not a kind of body that is read", "503": "Too busy"}
    if route.handler == "ready":
        errors["503"] = "The service is about to end"
    if token and not route.open:
        errors["401"] = "The token is missing or wrong"
    for status, description in errors.items():
        responses.setdefault(status, {"description": description, **_json("Error")})
    if "503" in errors and route.handler != "ready":
        after = {"schema": {"type": "integer"}, "description": "Seconds"}
        responses["503"]["headers"] = {"Retry-After": after}
    parts = route.path.replace("}", "{").split("{")[1::2]
    identity = f"{route.handler}_version" if "version" in parts else route.handler
    if route.handler == "ready" and parts:
        identity = f"model_{identity}"
    values: dict[str, Any] = {"operationId": identity, "summary": route.summary}
    known = {"name": list(models), "version": [VERSION]}
    parameters = [
        {"name": part, "in": "path", "required": True}
        | {"schema": {"type": "string", "enum": known[part]}}
        for part in parts
    ]
    if route.handler == "predict":
        top = {"type": "integer", "minimum": 1, "default": TOP}
        parameters = [
            {"name": "model", "in": "query", "schema": {"type": "string", "enum": list(models)}},
            {"name": "top", "in": "query", "schema": top},
        ]
        values["requestBody"] = {"required": True, "content": _predict_bodies()}
    if route.handler == "infer":
        values["requestBody"] = {"required": True, "content": _json("Inference")["content"]}
    if parameters:
        values["parameters"] = parameters
    if token and not route.open:
        values["security"] = [{"token": []}]
    return {**values, "responses": responses}


def _json(schema: str) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}}


def _response(route: Route) -> dict[str, Any]:
    named = {"predict": "Predictions", "infer": "InferenceAnswer", "metadata": "Metadata"}
    texts = {"metrics": "text/plain", "docs": "text/html"}
    if route.handler in named:
        return {"description": "The answer", **_json(named[route.handler])}
    kind = texts.get(route.handler, "application/json")
    schema = {"type": "string"} if route.handler in texts else {}
    return {"description": "The answer", "content": {kind: {"schema": schema}}}


def _predict_bodies() -> dict[str, Any]:
    binary = {"type": "string", "format": "binary"}
    form = {"type": "object", "additionalProperties": binary, "minProperties": 1}
    return {
        "image/*": {"schema": binary},
        FORM.decode(): {"schema": form},
        JSON.decode(): {"schema": {"$ref": "#/components/schemas/Pictures"}},
        ARRAY.decode(): {"schema": binary},
    }


def _schemas() -> dict[str, Any]:
    text, number, whole = {"type": "string"}, {"type": "number"}, {"type": "integer"}
    base64_text = {"type": "string", "contentEncoding": "base64"}
    ranked = _object({"class": text, "index": whole, "probability": number})
    prediction = _object(
        {
            "class": {**text, "description": f"the most probable one, or '{NONE_OF_THESE}'"},
            "known": {"type": "boolean"},
            "top": {"type": "array", "items": ranked},
        }
    )
    shape = {"type": "array", "items": whole}
    tensor = {"name": text, "datatype": {"enum": [*DATATYPES, "BYTES"]}, "shape": shape}
    given = {**tensor, "name": {"const": INPUT}, "datatype": {"enum": [*DATATYPES]}}
    wanted = _object({"name": {"enum": [*OUTPUTS]}, "parameters": {"type": "object"}}, {"name"})
    inference = _object(
        {
            "id": text,
            "inputs": {
                "type": "array",
                "minItems": 1,
                "maxItems": 1,
                "items": _object(
                    {**given, "data": {"type": "array"}}, {"name", "datatype", "shape"}
                ),
            },
            "outputs": {"type": "array", "items": wanted},
            "parameters": {"type": "object"},
        },
        {"inputs"},
    )
    return {
        "Error": _object({"error": text}),
        "Pictures": {
            "type": "object",
            "properties": {
                "images": {"type": "array", "items": base64_text, "minItems": 1},
                "image": base64_text,
                "pixels": {"type": "array", "items": {}, "minItems": 1},
                "model": text,
                "top": {"type": "integer", "minimum": 1},
            },
            "additionalProperties": False,
        },
        "Predictions": _object(
            {"model": text, "predictions": {"type": "array", "items": prediction}}
        ),
        "Metadata": _object(
            {
                "name": text,
                "versions": {"type": "array", "items": text},
                "platform": text,
                "inputs": {"type": "array", "items": _object(tensor)},
                "outputs": {"type": "array", "items": _object(tensor)},
            }
        ),
        "Inference": inference,
        "InferenceAnswer": _object(
            {
                "model_name": text,
                "model_version": text,
                "id": text,
                "outputs": {
                    "type": "array",
                    "items": _object({**tensor, "data": {"type": "array"}}, {*tensor}),
                },
            },
            {"model_name", "outputs"},
        ),
    }


def _object(properties: dict[str, Any], required: set[str] | None = None) -> dict[str, Any]:
    needed = sorted(properties if required is None else required)
    return {"type": "object", "properties": properties, "required": needed}


# --- for people --------------------------------------------------------------------------------


def documents(described: dict[str, Any]) -> dict[str, Answer]:
    """The description as JSON ("json") and as a page ("page")."""
    style = base64.b64encode(hashlib.sha256(STYLE.encode()).digest())
    policy = b"default-src 'none'; style-src 'sha256-" + style + b"'; frame-ancestors 'none'"
    return {
        "json": Answer(json.dumps(described, ensure_ascii=False).encode()),
        "page": Answer(
            _page(described).encode(),
            kind=b"text/html; charset=utf-8",
            headers=((b"content-security-policy", policy),),
        ),
    }


def _page(described: dict[str, Any]) -> str:
    info = described["info"]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width'>",
        f"<title>{html.escape(info['title'])}</title><style>{STYLE}</style>",
        f"<h1>{html.escape(info['title'])}</h1><p>{html.escape(info['description'])}</p>",
        "<p>For programs: <a href=/openapi.json>openapi.json</a>. For Prometheus: "
        "<a href=/metrics>metrics</a>.</p>",
        f"<h2>Try it</h2><pre>{html.escape(_examples(described))}</pre>",
    ]
    for path, ways in described["paths"].items():
        for method, operation in ways.items():
            parts.append(_section(method.upper(), path, operation))
    parts.append("<h2>Schemas</h2>")
    for name, schema in described["components"]["schemas"].items():
        text = html.escape(json.dumps(schema, indent=2, ensure_ascii=False))
        parts.append(f"<details id={name}><summary>{name}</summary><pre>{text}</pre></details>")
    return "\n".join(parts)


def _section(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = [
        f"<tr><td><code>{html.escape(each['name'])}</code><td>in the {each['in']}"
        f"<td><code>{html.escape(json.dumps(each['schema'], ensure_ascii=False))}</code>"
        for each in operation.get("parameters", ())
    ]
    bodies = operation.get("requestBody", {}).get("content", {})
    rows += [f"<tr><td>body<td><code>{html.escape(kind)}</code><td>" for kind in bodies]
    rows += [
        f"<tr><td>{status}<td colspan=2>{html.escape(each['description'])}"
        for status, each in operation["responses"].items()
    ]
    lock = " · with the token" if "security" in operation else ""
    return (
        f"<h2><span class=method>{method}</span><code>{html.escape(path)}</code></h2>"
        f"<p>{html.escape(operation['summary'])}{lock}</p><table>{''.join(rows)}</table>"
    )


def _examples(described: dict[str, Any]) -> str:
    enum = described["paths"]["/v1/predict"]["post"]["parameters"][0]["schema"]["enum"]
    name = enum[0] if enum else "NAME"
    token = ""
    if "securitySchemes" in described["components"]:
        token = " -H 'Authorization: Bearer TOKEN'"
    more = f"?model={name}" if len(enum) > 1 else ""
    return (
        f"curl{token} -F file=@picture.png 'http://HOST/v1/predict{more}'\n"
        f"curl{token} --data-binary @picture.jpg -H 'Content-Type: image/jpeg' "
        f"'http://HOST/v1/predict{more}'\n"
        f"curl{token} http://HOST/v2/models/{name}"
    )
