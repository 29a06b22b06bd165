"""What a model hub shows of a model: a README.md with a head in YAML that its search reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from lenet.network.architecture import trace
from lenet.network.layers import (
    notation,
    show_shape,
)
from lenet.untrusted import plain

if TYPE_CHECKING:
    from lenet.looking.evaluation import Report
    from lenet.runs import RunRecord
    from lenet.ship.model import Model

HUB_DATASETS: Final = {  # as the hub calls them; the bundled pictures are a part of theirs
    "mnist": "ylecun/mnist",
    "fashion-mnist": "zalando-datasets/fashion_mnist",
    "fashion-mnist-small": "zalando-datasets/fashion_mnist",
}
FITS: Final = {
    "crop": "the middle is cut out in the picture's proportions, and scaled",
    "pad": "it is scaled to fit, and its own ground fills the rest",
    "stretch": "it is scaled to the picture's height and width, whatever its proportions",
    "digit": "the ink is cut out, scaled into 20 of 28 rows and columns, and moved until its "
    "centre of mass lies in the middle, as in MNIST",
    "object": "the article is cut out and scaled until it fills the picture, as in Fashion-MNIST",
}
CARD: Final = """\
---
{head}
---

# {name}

{network}, trained on {data}: a picture of {shape} in, the probabilities of {count} classes out.
{result}

{classes}

## Use it

```python
{snippet}
```

`model.safetensors` holds the weights under PyTorch's names (`{first}`), with the network's
description in its metadata; `lenet predict model.safetensors photograph.png` takes it as it is.
`parity.npz` holds pictures with the probabilities that they must have.

## Pictures

uint8, {channels} × {height} × {width} (channels, rows, columns), 0 to 255. The normalization is in
the network. How a photograph becomes such a picture: {fit}{ground}.

Probabilities are the softmax of the logits divided by {temperature}{fitted}. {none}

## The network

| | layer | output | parameters |
|---|---|---|---|
{layers}

## Training

| | |
|---|---|
{training}

{results}
## What it cannot do

It knows these {count} classes and nothing else, in pictures like those that it was
trained on.{limits}
"""


def text(
    model: Model,
    name: str,
    snippet: str,
    record: RunRecord | None = None,
    report: Report | None = None,
) -> str:
    """The card in Markdown. ``report`` is of the test pictures; ``snippet`` is Python."""
    network = model.network
    channels, height, width = network.input_shape
    rows = trace(network)
    parameters = sum(row.parameters for row in rows)
    data = _cell(data_name(record))
    calibration, preparation = model.calibration, model.preparation
    fitted = ""
    if calibration.pictures:
        fitted = f", which was fitted on {calibration.pictures:,} held-out pictures"
    threshold = calibration.threshold
    none = "It never says that a picture is none of these."
    if threshold is not None:
        none = (
            f"Where log Σ exp(logit) is below {threshold:.4g}, the picture is none of these: at "
            "most one in a hundred of the held-out pictures lies there."
        )
    result = "How good it is was not measured."
    if report is not None:
        result = f"{report.accuracy:.2%} of {report.examples:,} test pictures are recognised."
    return CARD.format(
        head="\n".join(
            f"{key}: {json.dumps(value, ensure_ascii=False)}"
            for key, value in _head(model, name, record, report).items()
        ),
        name=_cell(name),
        network=f"{_cell(network.name)} ({parameters:,} parameters)",
        data=data,
        shape=show_shape(network.input_shape),
        count=len(network.classes),
        result=result,
        classes=", ".join(_cell(one) for one in network.classes),
        snippet=snippet,
        first=next(iter(model.parameters), "0.weight"),
        channels=channels,
        height=height,
        width=width,
        fit=FITS[preparation.fit],
        ground="; light and dark are exchanged where its ground is light"
        if preparation.ground == "dark"
        else "",
        temperature=f"{calibration.temperature:g}",
        fitted=fitted,
        none=none,
        layers="\n".join(_layer_row(row) for row in rows),
        training="\n".join(f"| {key} | {value} |" for key, value in _training(record)),
        results="" if report is None else _results(report),
        limits=" It was measured on test pictures of the same kind alone." if report else "",
    )


def _head(
    model: Model, name: str, record: RunRecord | None, report: Report | None
) -> dict[str, Any]:
    """What the hub's search reads. A value as JSON is YAML, too."""
    head: dict[str, Any] = {
        "library_name": "onnx",
        "pipeline_tag": "image-classification",
        "tags": ["lenet", "onnx", "safetensors", "image-classification"],
    }
    data = data_name(record)
    if data in HUB_DATASETS:
        head["datasets"] = [HUB_DATASETS[data]]
    if report is not None:
        head["metrics"] = ["accuracy"]
        metric = {"type": "accuracy", "value": round(report.accuracy, 6)}
        head["model-index"] = [
            {
                "name": plain(name),
                "results": [
                    {
                        "task": {"type": "image-classification"},
                        "dataset": {
                            "name": plain(data),
                            "type": HUB_DATASETS.get(data, "own"),
                            "split": "test",
                        },
                        "metrics": [metric],
                    }
                ],
            }
        ]
    return head


def data_name(record: RunRecord | None) -> str:
    """The data set's name; of a folder of one's own not the path, which is nobody's business."""
    name = None if record is None else record.info["data"].get("name")
    return str(name or "pictures of its own")


def config(model: Model) -> dict[str, Any]:
    """The model's description for programs: network, classes, preparation, calibration."""
    from lenet.network.architecture import to_dict
    from lenet.ship.model import notes_of

    return {
        "model_type": "lenet",
        "num_parameters": sum(values.size for values in model.parameters.values()),
        "id2label": {str(index): name for index, name in enumerate(model.network.classes)},
        "network": to_dict(model.network),
        **notes_of(model),
    }


def _layer_row(row: Any) -> str:
    kind, options = notation(row.layer)
    layer = ", ".join((kind, *options))
    return f"| {row.index} | {layer} | {show_shape(row.output_shape)} | {row.parameters:,} |"


def _training(record: RunRecord | None) -> list[tuple[str, str]]:
    if record is None:
        return [("run", "its record is not here")]
    recipe, info = record.recipe, record.info
    settings = recipe.settings
    examples = info["data"]["examples"]
    rows = [
        ("recipe", recipe.name),
        ("data", f"{data_name(record)} ({examples.get('train', 0):,} training pictures)"),
        ("licence of the data", str(info["data"].get("licence") or "not stated")),
        (
            "optimizer",
            f"{settings.optimizer.method}, learning rate "
            f"{settings.schedule.learning_rate:g}, batches of {settings.batch_size}",
        ),
        ("epochs", str(info["outcome"].get("epochs", "?"))),
        ("seed", str(settings.seed)),
        ("engine", f"{info['engine']['name']} on {info['engine']['device']}"),
        ("LeNet's version", str(info["versions"].get("lenet", "?"))),
    ]
    return [(key, _cell(value)) for key, value in rows]


def _results(report: Report) -> str:
    lines = [
        "## Results",
        "",
        f"Accuracy {report.accuracy:.4f}, loss {report.loss:.4f}, on {report.examples:,} test "
        "pictures that chose nothing.",
        "",
        "| class | recall | precision | most often mistaken for |",
        "|---|---|---|---|",
    ]
    for label, name in enumerate(report.classes):
        recall, precision = report.recall(label), report.precision(label)
        mistaken = report.mistaken_for(label)
        other = f"{_cell(report.classes[mistaken[0]])} ({mistaken[1]:,})" if mistaken else "–"
        shares = ("–" if share is None else f"{share:.3f}" for share in (recall, precision))
        lines.append(f"| {_cell(name)} | {' | '.join(shares)} | {other} |")
    return "\n".join([*lines, "", ""])


def _cell(value: str) -> str:
    """A text that may stand in a cell of a table, and is text there."""
    text = plain(value, 500)
    for sign in "\\|<*_[]#":
        text = text.replace(sign, f"\\{sign}")
    return text
