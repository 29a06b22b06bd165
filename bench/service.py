"""The prediction service under load, and onnxruntime behind the same server beside it.

    python bench/service.py [--rounds 3] [--seconds 5] [--connections 64] [--json FILE]

Each round asks two services in turn, each a process of its own: ``lenet serve``, and the same
server whose pictures onnxruntime computes, from the file that ``lenet export --to onnx`` writes.
Both serve d2l's LeNet, 61,706 parameters. The load comes from this process, on the same machine:
each of the connections sends its next request when its answer is there.

- raw: one picture a request, 784 bytes, to /v1/predict
- png: one picture a request, as a PNG file, to /v1/predict
- many: 1,000 pictures a request to /v2/…/infer, tensors as bytes both ways, 4 connections

Every answer is compared with the first one of its picture: probabilities within 2e-6. ``asking`` is
the share of a processor that this process took, ``cpu`` what the service took for each picture: on
a machine that others use as well, only the second says much.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import select
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

from lenet import data
from lenet.benchmark import Spread
from lenet.machine import available_cpus, processor
from lenet.network import zoo
from lenet.network.parameters import initialize
from lenet.network.weights import save_network

SERVERS = ("native", "onnxruntime")
PICTURES = 64  # different ones
MANY = 1000  # pictures in one request
WARM_UP_S = 0.5


@dataclass(frozen=True)
class Found:
    """One case of one round."""

    pictures_per_s: float
    p50_ms: float
    p99_ms: float
    requests: int
    errors: int  # answers other than 200
    differing: int  # answers that were not the first one of their picture
    asking: float  # share of a processor that asking took
    cpu_us: float | None  # of the service, for each picture; None where the system does not say


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--cases", nargs="+", default=["raw", "png", "many"])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--onnxruntime", help=argparse.SUPPRESS)  # that process: a model's file
    arguments = parser.parse_args()
    if arguments.onnxruntime:
        serve_by_onnxruntime(Path(arguments.onnxruntime))
        return
    load_average = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    requests = {name: made for name, made in requests_of().items() if name in arguments.cases}
    found: dict[str, dict[str, list[Found]]] = {
        case: {server: [] for server in SERVERS} for case in requests
    }
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "lenet" / "model.safetensors"
        model.parent.mkdir()
        network = zoo.lenet()
        save_network(model, network, initialize(network, "xavier", 0))
        with contextlib.ExitStack() as stack:
            ports = {name: stack.enter_context(running(name, model)) for name in SERVERS}
            for number in range(1, arguments.rounds + 1):
                for case, sent in requests.items():
                    connections = 4 if case == "many" else arguments.connections
                    for server, port in ports.items():
                        measure(*port, sent, connections, WARM_UP_S, case)
                        one = measure(*port, sent, connections, arguments.seconds, case)
                        found[case][server].append(one)
                        print(
                            f"round {number}, {case}, {server}: {one.pictures_per_s:,.0f} "
                            f"pictures/s, p50 {one.p50_ms:.1f} ms, p99 {one.p99_ms:.1f} ms, "
                            f"{one.errors} errors, {one.differing} differing, "
                            f"asking {one.asking:.2f}, cpu {one.cpu_us or 0:.1f} µs",
                            flush=True,
                        )
    for case, by_server in found.items():
        pairs = zip(*(by_server[server] for server in SERVERS), strict=True)
        ratio = Spread.of([ours.pictures_per_s / theirs.pictures_per_s for ours, theirs in pairs])
        print(
            f"{case}: lenet serve {ratio.median:.2f} times onnxruntime behind it "
            f"({ratio.min:.2f} to {ratio.max:.2f}, n = {arguments.rounds})"
        )
    if arguments.json:
        versions = {name: version(name) for name in ("lenet", "numpy", "uvicorn", "onnxruntime")}
        facts = {
            "found": {
                case: {server: [asdict(one) for one in ones] for server, ones in by.items()}
                for case, by in found.items()
            },
            "connections": arguments.connections,
            "seconds": arguments.seconds,
            "machine": {
                "system": platform.platform(),
                "processor": processor(),
                "cpus": available_cpus(),
            },
            "load_average": load_average,  # before the start: others' work distorts the figures
            "versions": {"python": platform.python_version(), **versions},
            "command": shlex.join(["python", *sys.argv]),
        }
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


# --- what is asked -----------------------------------------------------------------------------


def requests_of() -> dict[str, list[bytes]]:
    """Whole HTTP requests of each case."""
    images = data.bundled().test.images[:MANY]
    raw = [image.tobytes() for image in images[:PICTURES]]
    given = {"name": "images", "datatype": "UINT8", "shape": [MANY, 1, 28, 28]}
    given["parameters"] = {"binary_data_size": images.nbytes}  # type: ignore[assignment]
    wanted = {"name": "probabilities", "parameters": {"binary_data": True}}
    head = json.dumps({"inputs": [given], "outputs": [wanted]}).encode()
    extra = f"Inference-Header-Content-Length: {len(head)}\r\n"
    array = "application/octet-stream"
    return {
        "raw": [post("/v1/predict", array, body) for body in raw],
        "png": [post("/v1/predict", "image/png", png(image[0])) for image in images[:PICTURES]],
        "many": [post("/v2/models/lenet/infer", array, head + images.tobytes(), extra)],
    }


def post(path: str, kind: str, body: bytes, extra: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost:PORT\r\nContent-Type: {kind}\r\n"
    return f"{head}{extra}Content-Length: {len(body)}\r\n\r\n".encode() + body


def png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


# --- asking ------------------------------------------------------------------------------------


def measure(
    port: int, process: int, requests: list[bytes], count: int, seconds: float, case: str
) -> Found:
    """Keep ``count`` connections asking for so many seconds."""
    sent = [each.replace(b"localhost:PORT", b"localhost:%d" % port, 1) for each in requests]
    firsts: dict[int, bytes] = {}
    times: list[float] = []
    errors = differing = following = 0
    poll = select.poll()
    sockets: dict[int, socket.socket] = {}
    asked: dict[int, tuple[int, float]] = {}
    parts = {}  # type: ignore[var-annotated]
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[connection.fileno()] = connection
        poll.register(connection.fileno(), select.POLLIN)
    began, began_cpu, spent = time.perf_counter(), time.process_time(), cpu_s(process)
    end = began + seconds
    for number, connection in sockets.items():
        following = (following + 1) % len(sent)
        asked[number] = (following, time.perf_counter())
        connection.sendall(sent[following])
    while asked:
        for number, _ in poll.poll(10_000) or [(-1, 0)]:
            if number < 0:
                raise TimeoutError("no answer for ten seconds")
            part = sockets[number].recv(1 << 18)
            if not part:
                raise ConnectionError("the service closed a connection")
            content = parts.pop(number, b"") + part
            head, whole, body = content.partition(b"\r\n\r\n")
            if not whole or len(body) < length_in(head):
                parts[number] = content
                continue
            now = time.perf_counter()
            picture, at = asked.pop(number)
            times.append(now - at)
            if not head.startswith(b"HTTP/1.1 200"):
                errors += 1
            elif not same(firsts.setdefault(picture, body), body):
                differing += 1
            if now < end:
                following = (following + 1) % len(sent)
                asked[number] = (following, now)
                sockets[number].sendall(sent[following])
    wall = time.perf_counter() - began
    asking = (time.process_time() - began_cpu) / wall
    spent_now = cpu_s(process)
    for connection in sockets.values():
        connection.close()
    each = MANY if case == "many" else 1
    times.sort()
    p50, p99 = (1000 * times[int(share * (len(times) - 1))] for share in (0.5, 0.99))
    pictures = each * len(times)
    cpu_us = None if spent is None or spent_now is None else 1e6 * (spent_now - spent) / pictures
    return Found(pictures / wall, p50, p99, len(times), errors, differing, asking, cpu_us)


def same(one: bytes, other: bytes) -> bool:
    """Whether two answers say the same, but for the last digit that was rounded."""
    if one == other:
        return True
    if not one.startswith(b'{"model":') or not other.startswith(b'{"model":'):
        return False
    tops = [json.loads(text)["predictions"][0]["top"] for text in (one, other)]
    return all(
        a["class"] == b["class"] and abs(a["probability"] - b["probability"]) < 2e-6
        for a, b in zip(*tops, strict=True)
    )


def cpu_s(process: int) -> float | None:
    """The processor time that a process has taken; None where Linux does not say."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def length_in(head: bytes) -> int:
    """The length of a body, as the head of its response says."""
    at = head.lower().index(b"content-length:") + 15
    return int(head[at:].partition(b"\r\n")[0])


# --- the two services --------------------------------------------------------------------------


@contextlib.contextmanager
def running(server: str, model: Path) -> Iterator[tuple[int, int]]:
    """The port and the number of a service in a process of its own."""
    command = [sys.executable, "-m", "lenet", "serve", str(model), "--port", "0"]
    if server == "onnxruntime":
        command = [sys.executable, __file__, "--onnxruntime", str(model)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            yield int(line.rpartition(":")[2].partition("/")[0]), process.pid
        finally:
            process.terminate()


def serve_by_onnxruntime(path: Path) -> None:
    """What ``lenet serve`` does, but for who computes the logits."""
    from dataclasses import replace

    from lenet import serve
    from lenet.ship import onnx
    from lenet.ship.model import load

    model = load(path)
    session = onnx.session(onnx.to_onnx(model).SerializeToString(), available_cpus())
    (given,) = session.get_inputs()

    def logits(images: np.ndarray) -> np.ndarray:
        return session.run(["logits"], {given.name: images})[0]

    served = replace(serve.of_model("lenet", model), logits=logits, engine="onnxruntime")
    sys.exit(serve.serve([served], port=0))


if __name__ == "__main__":
    main()
