"""A Ray cluster of a head and two nodes, which are lost: one during a sweep, the other during
predictions. Its words: tests/test_on_ray.py. A program of its own, so that all of Ray ends with it.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray.cluster_utils import Cluster

from lenet import cli
from lenet.ship import spread
from lenet.ship.model import load

SMALL = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
# Nobody reads the logs here, or asks for more machines: two processes fewer.
HEAD = {**SMALL, "include_log_monitor": False, "no_monitor": True}


@contextlib.contextmanager
def losing(cluster: Cluster, nodes: list[Any], find: Callable[[list[Any]], Any]) -> Iterator[None]:
    """Kills the first node that ``find`` returns, and takes it out of ``nodes``."""

    def kill() -> None:
        while (node := find(nodes)) is None:
            time.sleep(0.01)
        nodes.remove(node)
        cluster.remove_node(node, allow_graceful=False)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    yield
    thread.join(timeout=60)
    assert not thread.is_alive(), "no node was killed"


def one_that_trains(nodes: list[Any]) -> Any:
    """A node with a process that Ray calls after the task in it; None where there is none yet."""
    for node in nodes:
        raylet = node.all_processes["raylet"][0].process.pid
        for child in Path(f"/proc/{raylet}/task/{raylet}/children").read_text().split():
            with contextlib.suppress(OSError):  # it has ended
                if Path(f"/proc/{child}/cmdline").read_bytes().startswith(b"ray::_train"):
                    return node
    return None


def one_of_all_taken(nodes: list[Any]) -> Any:
    """A node, once each has a task, or a process that starts for one; None before."""
    if not ray.is_initialized() or ray.available_resources().get("CPU"):
        return None
    return nodes[0]


def main() -> None:
    words = json.loads(sys.argv[1])
    out, said = Path(words["out"]), Path(words["said"])
    cluster = Cluster(initialize_head=True, head_node_args=HEAD)
    nodes = [cluster.add_node(**SMALL) for _ in range(2)]
    cluster.wait_for_nodes()
    to = ["--ray", cluster.address]
    with losing(cluster, nodes, one_that_trains):
        assert cli.run([*words["sweep"], "--out", str(out), *to]) == 0
    with losing(cluster, nodes, one_of_all_taken), said.open("w") as file:
        predict = ["predict", words["model"], words["pictures"], "--json", *to]
        with contextlib.redirect_stdout(file):
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
