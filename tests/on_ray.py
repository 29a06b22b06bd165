"""A Ray cluster of a head and three nodes, two of which are lost: one during a sweep, one during
predictions. Its words: tests/test_on_ray.py. A program of its own, so that all of Ray ends with it.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import ray
from ray.cluster_utils import Cluster

from lenet import cli
from lenet.ship import spread
from lenet.ship.model import load

SMALL = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}


@contextlib.contextmanager
def losing(cluster: Cluster, node: object, out: Path) -> Iterator[None]:
    """Kills ``node`` as soon as ``out`` is there and a task runs on every node."""

    def kill() -> None:
        while not (out.exists() and ray.is_initialized()) or ray.available_resources().get("CPU"):
            time.sleep(0.02)
        cluster.remove_node(node, allow_graceful=False)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    yield
    thread.join(timeout=60)
    assert not thread.is_alive(), "no node was killed"


def main() -> None:
    words = json.loads(sys.argv[1])
    out, said = Path(words["out"]), Path(words["said"])
    cluster = Cluster(initialize_head=True, head_node_args={**SMALL, "num_cpus": 0})
    nodes = [cluster.add_node(**SMALL) for _ in range(3)]
    cluster.wait_for_nodes()
    to = ["--ray", cluster.address]
    with losing(cluster, nodes[0], out):
        assert cli.run([*words["sweep"], "--out", str(out), *to]) == 0
    with losing(cluster, nodes[1], said), said.open("w") as file, contextlib.redirect_stdout(file):
        predict = ["predict", words["model"], words["pictures"], "--json", *to]
        assert cli.run(predict) == 1  # of the bad files
    loaded = load(words["model"], 1)
    shape = (spread.IMAGES * 2 + 3, 1, 28, 28)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with spread.on_ray(cluster.address, loaded) as everywhere:
        assert np.array_equal(everywhere(images), loaded(images))
        assert np.array_equal(everywhere(images[:3]), loaded(images[:3]))
        assert everywhere(images[:0]).shape == (0, 10)
    cluster.shutdown()


if __name__ == "__main__":
    main()
