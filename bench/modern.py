"""What each step towards `modern` and `small` gave, and how good they are in the end.

    python bench/modern.py steps [--only fashion] [--seeds 3] [--json FILE]
    python bench/modern.py final [--only small-mnist] [--seeds 5] [--json FILE]

`steps` trains with a sixth of the training pictures held out, and reads nothing else: a recipe
without what later steps bring. `final` trains the recipes on all training pictures and reads the
test set. What chooses is `steps` alone. Beside the last epoch `final` says what the habit of taking
the best epoch on the test set, of the best run, would have claimed.

Every run is written to the file at once: a second call goes on where the first was stopped.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lenet
from lenet import files
from lenet.machine import processor
from lenet.network import zoo
from lenet.network.layers import Dropout, Flatten, Layer
from lenet.training import recipes

RECIPES = ("modern-fashion", "modern-mnist", "small-mnist")
HELD_OUT = 1 / 6
Changes = Mapping[str, Any]

PLAIN: Changes = {
    "network": "lenet-relu",
    "optimizer.average": 0.0,
    "objective.label_smoothing": 0.0,
    "augmentation.shift": 0,
    "augmentation.rotate": 0.0,
    "augmentation.scale": 0.0,
    "augmentation.shear": 0.0,
    "augmentation.elastic": 0.0,
}
WARP = {"rotate": 10.0, "scale": 0.1, "shear": 5.0}


def steps(recipe: str) -> Iterator[tuple[str, Changes]]:
    """Each step's name and what it changes in the recipe, the first the plainest; sums of steps."""
    network = recipe.partition("-")[0]
    fashion = recipe.endswith("fashion")
    changes = dict(PLAIN)
    yield "lenet-relu", dict(changes)
    changes["network"] = network
    yield f"the network {network}", dict(changes)
    del changes["optimizer.average"]
    yield "averaged weights", dict(changes)
    del changes["objective.label_smoothing"]
    yield "label smoothing", dict(changes)
    del changes["augmentation.shift"]
    yield "shift 1", dict(changes)
    if fashion:
        yield "beside: dropout 0.2", changes | {"network": with_dropout(0.2)}
        yield "beside: shift 2", changes | {"augmentation.shift": 2}
        yield "beside: flip", changes | {"augmentation.flip": True}
        warps = {"augmentation.rotate": 5.0, "augmentation.scale": 0.08}
        yield "beside: rotate 5, scale 0.08", changes | warps
        yield "beside: erase 0.4", changes | {"augmentation.erase": 0.4}
        return
    yield (
        "rotate 10, scale 0.1, shear 5",
        changes | {f"augmentation.{key}": value for key, value in WARP.items()},
    )
    yield "elastic 0.5", {}


def with_dropout(share: float) -> list[Layer]:
    """The layers of `modern`, with dropout before the first dense one."""
    layers = list(zoo.modern().layers)
    layers.insert(layers.index(Flatten()) + 1, Dropout(share))
    return layers


@dataclass(frozen=True)
class Row:
    """One run: the accuracy after every epoch, on what the mode measures."""

    mode: str
    recipe: str
    step: str
    seed: int
    epochs: int
    accuracies: list[float]
    seconds: float
    parameters: int
    processor: str
    pictures: int = 0  # learned from; 0: all


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("mode", choices=("steps", "final"))
    parser.add_argument("--only", default="", help="recipes whose name holds this")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--epochs", type=int, help="fewer than the recipe's, to look quickly")
    parser.add_argument("--pictures", type=int, default=0, help="to learn from, as few; 0: all")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path, default=Path("bench/results/modern.json"))
    arguments = parser.parse_args()
    seeds = arguments.seeds or {"steps": 3, "final": 5}[arguments.mode]
    plan = [
        (recipe, step, changes, seed)
        for recipe in RECIPES
        if arguments.only in recipe
        for step, changes in (steps(recipe) if arguments.mode == "steps" else [("", {})])
        for seed in range(seeds)
    ]
    rows = read(arguments.json)
    for recipe, step, changes, seed in plan:
        epochs = arguments.epochs or recipes.load(recipe).settings.epochs
        key = (arguments.mode, recipe, step, seed, epochs, arguments.pictures)
        if not any((r.mode, r.recipe, r.step, r.seed, r.epochs, r.pictures) == key for r in rows):
            rows.append(train(*key, changes, arguments.threads))
            written = {"rows": [asdict(row) for row in rows]}
            files.write_atomically(arguments.json, (json.dumps(written, indent=1) + "\n").encode())
    for line in table([row for row in rows if row.mode == arguments.mode]):
        print(line)


def read(path: Path) -> list[Row]:
    if not path.exists():
        return []
    return [Row(**row) for row in json.loads(path.read_text(encoding="utf-8"))["rows"]]


def train(
    mode: str,
    recipe: str,
    step: str,
    seed: int,
    epochs: int,
    pictures: int,
    changes: Changes,
    threads: int | None,
) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        run = lenet.train(
            recipe,
            seed=seed,
            epochs=epochs,
            pictures=pictures,
            val=HELD_OUT if mode == "steps" else 0,
            threads=threads,
            out=Path(folder, "run"),
            **{key.replace(".", "__"): value for key, value in changes.items()},
        )
        readings = [row.val_acc if mode == "steps" else row.test_acc for row in run.history]
        accuracies = [reading for reading in readings if reading is not None]
        assert len(accuracies) == epochs
        count = sum(row.parameters for row in lenet.trace(run.network))
        return Row(
            *(mode, recipe, step, seed, epochs, accuracies),
            seconds=round(run.history[-1].wall_s, 1),
            parameters=count,
            processor=processor(),
            pictures=pictures,
        )


def table(rows: list[Row]) -> Iterator[str]:
    """A line of Markdown for each setting: mean and deviation over seeds of the last epoch."""
    yield "| recipe | step | epochs | n | last epoch | best epoch of the best run | time (median) |"
    yield "|---|---|--:|--:|---|---|--:|"
    groups: dict[tuple[str, str, int, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.recipe, row.step, row.epochs, row.pictures), []).append(row)
    for (recipe, step, epochs, _), runs in groups.items():
        last = [run.accuracies[-1] for run in runs]
        spread = f" ± {statistics.stdev(last):.4f}" if len(last) > 1 else ""
        best = f"{max(max(run.accuracies) for run in runs):.4f}" if runs[0].mode == "final" else ""
        seconds = statistics.median(run.seconds for run in runs)
        yield (
            f"| `{recipe}` | {step} | {epochs} | {len(runs)} "
            f"| {statistics.mean(last):.4f}{spread} | {best} | {seconds:.0f} s |"
        )


if __name__ == "__main__":
    main()
