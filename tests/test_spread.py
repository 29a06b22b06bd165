"""Predictions on a Ray cluster of several nodes, one of which is killed: those of this machine."""

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
from lenet import cli, clusters
from lenet.network.parameters import initialize
from lenet.network.weights import pack_network
from lenet.ship import predicting, prediction_text, spread
from lenet.ship.model import load

CLUSTER = """
import contextlib, sys, threading, time
import numpy as np
import ray
from ray.cluster_utils import Cluster
from lenet import cli
from lenet.ship import spread
from lenet.ship.model import load

model, folder, out = sys.argv[1:]
small = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args={**small, "num_cpus": 0})
nodes = [cluster.add_node(**small) for _ in range(2)]
cluster.wait_for_nodes()

def kill() -> None:
    while not (ray.is_initialized() and not ray.available_resources().get("CPU")):
        time.sleep(0.02)  # until a task runs on both
    cluster.remove_node(nodes[0], allow_graceful=False)
    print("killed a node with a part on it", file=sys.stderr, flush=True)

threading.Thread(target=kill, daemon=True).start()
with open(out, "w") as file, contextlib.redirect_stdout(file):
    code = cli.run(["predict", model, folder, "--json", "--ray", cluster.address])
loaded = load(model, 1)
images = np.random.default_rng(0).integers(0, 256, (spread.IMAGES * 2 + 3, 1, 28, 28), np.uint8)
with spread.on_ray(cluster.address, loaded) as everywhere:
    assert np.array_equal(everywhere(images), loaded(images))
    assert np.array_equal(everywhere(images[:3]), loaded(images[:3]))
    assert everywhere(images[:0]).shape == (0, 10)
cluster.shutdown()
sys.exit(code)
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """LeNet with first weights: what it says of a picture differs from picture to picture."""
    network = lenet.build("lenet-relu")
    path = tmp_path / "model.safetensors"
    path.write_bytes(pack_network(network, initialize(network, "he", 0)))
    return path


@pytest.mark.slow
def test_on_ray_a_lost_machine_is_made_good_and_the_answers_are_the_local_ones(
    model: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(1)
    for number in range(2 * spread.PICTURES + 200):
        pixels = random.integers(0, 256, (28, 28), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:04}.png", compress_level=0)
    (folder / "0007.png").write_bytes(b"no picture")
    (folder / "0300.png").unlink()
    (folder / "0300.png").symlink_to("nowhere")
    script, out = tmp_path / "cluster.py", tmp_path / "said.json"
    script.write_text(CLUSTER)
    result = subprocess.run(
        [sys.executable, str(script), str(model), str(folder), str(out)],
        capture_output=True,
        text=True,
        timeout=280,
        env={
            **os.environ,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
            "RAY_enable_worker_prestart": "0",
            "RAY_prestart_worker_first_driver": "0",
        },
    )
    assert result.returncode == 1, result.stdout[-3000:] + result.stderr[-3000:]  # of the bad files
    assert "not predicted: 2 of 712 pictures" in result.stderr
    assert "killed a node with a part on it" in result.stderr
    here = predicting.predict(load(model), predicting.from_paths([str(folder)]), 3)
    assert json.loads(out.read_text()) == [prediction_text.to_json(answer) for answer in here]


def test_parts_are_whole_batches_of_a_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    def source(number: int) -> predicting.Source:
        return predicting.Source(str(number), lambda: np.zeros((1, 1), np.uint8), lambda: b"12345")

    def sizes(count: int) -> list[int]:
        parts = list(spread._parts([source(number) for number in range(count)]))
        assert [one.name for part in parts for one in part] == [str(n) for n in range(count)]
        return [len(part) for part in parts]

    together, most = predicting.TOGETHER, spread.PICTURES
    assert sizes(0) == []
    assert sizes(2 * most + 3) == [most, most, 3]
    monkeypatch.setattr(spread, "PART_BYTES", 5 * (together + 1))
    assert sizes(5 * together + 1) == [2 * together, 2 * together, together + 1]


def test_what_ray_reports_is_no_part_of_a_commands_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    worker = pytest.importorskip("ray._private.worker", reason="Ray is not installed")
    before = worker.print_to_stdstream
    try:
        clusters._keep_stdout_clean()
        said = {"lines": ["a machine is lost\nand more"], "pid": "raylet", "is_err": False}
        worker.print_to_stdstream(said, ignore_prefix=False)
    finally:
        worker.print_to_stdstream = before
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "lenet: Ray says: a machine is lost\n")


def test_where_no_cluster_is(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    words = ["predict", str(model), str(model)]
    assert cli.run([*words, "--ray", "127.0.0.1:1"]) == 2
    assert "no Ray cluster at '127.0.0.1:1'" in capsys.readouterr().err
    assert cli.run([*words, "--ray", "somewhere"]) == 2
    assert "give auto, or an address" in capsys.readouterr().err
