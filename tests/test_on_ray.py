"""Sweeps and predictions on a Ray cluster that loses machines: the results of this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lenet
from lenet import cli, runs
from lenet.network.parameters import initialize
from lenet.network.weights import pack_network
from lenet.ship import predicting, prediction_text, spread
from lenet.ship.model import load

SWEEP = [
    *("sweep", "quickstart", "--network", "linear", "--set", "batch_size=32"),
    *("--vary", "schedule.learning_rate=1e-3..1e-1:log", "--sampler", "random"),
    *("--set", "optimizer.method=sgd", "--trials", "6", "--epochs", "300"),
    *("--prune", "halving", "--least", "100", "--factor", "2"),
]


def three_kinds(path: Path) -> Path:
    """240 pictures of three classes, which a dense layer tells apart."""
    random = np.random.default_rng(0)
    labels = np.arange(240) % 3
    images = random.integers(0, 60, (240, 1, 28, 28)) + 60 * labels[:, None, None, None]
    np.savez(path, images=images.astype(np.uint8), labels=labels)
    return path


def picture_files(folder: Path) -> Path:
    """Files for three parts; two of them are no pictures."""
    folder.mkdir()
    random = np.random.default_rng(1)
    for number in range(2 * spread.PICTURES + 200):
        pixels = random.integers(0, 256, (28, 28), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:04}.png", compress_level=0)
    (folder / "0007.png").write_bytes(b"no picture")
    (folder / "0300.png").unlink()
    (folder / "0300.png").symlink_to("nowhere")
    return folder


def hashes(out: Path) -> dict[str, str]:
    found = runs.list_runs(out)
    return {run.folder.name: run.info["outcome"].get("model_sha256", "") for run in found}


# One test, so that one cluster is started: that takes most of the time.
@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(600)
def test_lost_machines_are_made_good_and_the_results_are_the_local_ones(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    sweep = [*SWEEP, "--data", str(three_kinds(tmp_path / "tiny.npz"))]
    pictures = picture_files(tmp_path / "pictures")
    network = lenet.build("lenet-relu")
    model = tmp_path / "model.safetensors"
    # with its first weights: what it says differs from picture to picture
    model.write_bytes(pack_network(network, initialize(network, "he", 0)))
    words = {
        "sweep": sweep,
        "out": str(tmp_path / "ray"),
        "model": str(model),
        "pictures": str(pictures),
        "said": str(tmp_path / "said.json"),
    }
    result = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("on_ray.py")), json.dumps(words)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=580,
        env={
            **os.environ,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
            "RAY_enable_worker_prestart": "0",
            "RAY_prestart_worker_first_driver": "0",
        },
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert cli.run([*sweep, "--out", str(tmp_path / "local")]) == 0
    assert hashes(tmp_path / "ray") == hashes(tmp_path / "local")
    assert len(hashes(tmp_path / "ray")) == 6
    assert "not predicted: 2 of 712 pictures" in result.stderr
    here = predicting.predict(load(model), predicting.from_paths([str(pictures)]), 3)
    said = json.loads((tmp_path / "said.json").read_text())
    assert said == [prediction_text.to_json(answer) for answer in here]
