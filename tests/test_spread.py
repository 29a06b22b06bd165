"""Predictions on a Ray cluster: its parts, and what is said; tests/test_on_ray.py has a cluster."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lenet
from lenet import cli, clusters
from lenet.network.parameters import initialize
from lenet.network.weights import pack_network
from lenet.ship import predicting, spread


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """LeNet with first weights: what it says of a picture differs from picture to picture."""
    network = lenet.build("lenet-relu")
    path = tmp_path / "model.safetensors"
    path.write_bytes(pack_network(network, initialize(network, "he", 0)))
    return path


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
    for address in ("somewhere", "127.0.0.1:99999999", f"127.0.0.1:{'9' * 5000}"):
        assert cli.run([*words, "--ray", address]) == 2
        assert "give auto, or an address" in capsys.readouterr().err
