"""docs/formats.md names every key, column and tensor of the files that a run leaves."""

import csv
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

from lenet import training
from lenet.network.weights import read_header
from lenet.runs import run_info
from lenet.runs.checkpoints import checkpoint_files
from lenet.sweeps.plan import Plan
from lenet.sweeps.trial import Result
from lenet.training import Reading

PAGE = Path(__file__).parents[1] / "docs/formats.md"
SECTIONS = dict(re.findall(r"^## (.+)\n([\s\S]*?)(?=^## |\Z)", PAGE.read_text("utf-8"), re.M))


def named(section: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", SECTIONS[section]))


def keys(values: dict[str, Any], within: str = "") -> set[str]:
    """The keys of an object and, two steps down, of those in it."""
    found = set(values)
    for key, value in values.items():
        if isinstance(value, dict) and within + key in NESTED:
            found |= keys(value, f"{within}{key}.")
    return found


NESTED = {"network", "network.normalization", "data", "engine", "machine", "outcome"}


def test_run_json(calibrated_run: Path) -> None:
    info = json.loads((calibrated_run / "run.json").read_text("utf-8"))
    known = {key.split(".")[-1] for key in (*run_info._NEEDED, *run_info._OPTIONAL)}
    assert keys(info) | known <= named("run.json")


def test_history_csv(calibrated_run: Path) -> None:
    with (calibrated_run / "history.csv").open(encoding="utf-8") as file:
        columns = next(csv.reader(file))
    assert columns == [field.name for field in dataclasses.fields(Reading)]
    assert {*columns} == named("history.csv")


def test_the_metadata_of_the_weights(calibrated_run: Path) -> None:
    header = read_header((calibrated_run / "model.safetensors").read_bytes(), "model")
    assert [*header.metadata] == ["lenet"]
    described = header.described("lenet")
    inside = {*described["preparation"], *described["calibration"]}
    assert {*described} | inside <= named("model.safetensors")


def test_checkpoints(calibrated_run: Path) -> None:
    path = checkpoint_files(calibrated_run)[-1]
    header = read_header(path.read_bytes(), "checkpoint")
    groups = {entry.name.partition("/")[0] for entry in header.entries}
    assert groups == {"parameters", "moments"}
    described = header.described("lenet")
    progress = described["progress"]
    assert progress.keys() == dataclasses.asdict(training.Progress()).keys()
    assert {"step", "progress", *progress} <= named("Checkpoints")
    groups |= {"average", "best"}
    assert {f"{group}/" for group in groups - {"moments"}} <= named("Checkpoints")


def test_a_sweep_s_files() -> None:
    plan = {field.name for field in dataclasses.fields(Plan)}
    result = {field.name for field in dataclasses.fields(Result)}
    assert plan | result <= named("A sweep's folder")
