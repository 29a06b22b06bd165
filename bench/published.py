"""Recipes over several seeds, beside the figures that were published for them.

    python bench/published.py d2l --seeds 5 --json bench/results/d2l.json

Prints mean ± standard deviation (n - 1) of what the tutorials print at the end of a run.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lenet import experiments, recipes, runs

FIGURES = {
    "loss": "train_loss",
    "train_acc": "train_acc",
    "test_loss": "test_loss",
    "test_acc": "test_acc",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("recipe", choices=recipes.names())
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    changes = dict(map(recipes.parse_assignment, arguments.set))
    results = []
    for seed in range(arguments.seeds):
        recipe = recipes.load(arguments.recipe, {**changes, "seed": seed})
        record = run(recipe, arguments.engine, arguments.threads)
        last = record.history[-1]
        figures = {name: getattr(last, column) for name, column in FIGURES.items()}
        figures["val_acc"] = last.val_acc
        print(
            f"seed {seed}: "
            + ", ".join(f"{k} {v:.4f}" for k, v in figures.items() if v is not None),
            flush=True,
        )
        results.append({"seed": seed, **figures, "outcome": record.info["outcome"]})
    summary = {
        name: summarize([result[name] for result in results])
        for name in (*FIGURES, "val_acc")
        if results[0][name] is not None
    }
    for name, (mean, deviation) in summary.items():
        published = [
            f"{row.source} {value}"
            for row in recipe.published
            if (value := getattr(row, name, None))
        ]
        print(
            f"{name:10} {mean:.4f} ± {deviation:.4f} (n = {len(results)})  {', '.join(published)}"
        )
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(
            json.dumps(describe(record, arguments, results, summary), indent=2) + "\n"
        )


def run(recipe: recipes.Recipe, engine: str, threads: int | None) -> runs.RunRecord:
    """The record of one run in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        experiment = experiments.begin(
            recipe, engine=engine, threads=threads, out=Path(folder) / "run"
        )
        experiment.train()
        return runs.read(experiment.run.folder)


def summarize(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation; 0 for a single value."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def describe(
    record: runs.RunRecord,
    arguments: argparse.Namespace,
    results: list[dict[str, Any]],
    summary: dict[str, tuple[float, float]],
) -> dict[str, Any]:
    """What a published result must carry."""
    info = record.info
    return {
        "recipe": arguments.recipe,
        "changes": arguments.set,
        "n": len(results),
        "summary": {
            name: {"mean": mean, "deviation": deviation}
            for name, (mean, deviation) in summary.items()
        },
        "runs": results,
        "engine": info["engine"],
        "versions": info["versions"],
        "machine": info["machine"],
        "data_sha256": info["data"]["sha256"],
        "command": shlex.join(["python", *sys.argv]),
    }


if __name__ == "__main__":
    main()
