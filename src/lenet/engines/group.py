"""What processes that train one network together tell each other, through ``torch.distributed``.

Nothing here loads PyTorch before ``join``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lenet.engines.protocol import EngineError
from lenet.installing import how_to_install
from lenet.processes import Place

if TYPE_CHECKING:
    import torch

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

STEP_LIMIT = timedelta(minutes=5)  # until all have joined, and for each exchange in training
START_LIMIT = timedelta(hours=1)  # while the first process fetches the pictures, others wait


class LostContactError(ConnectionError):
    """Another process has ended, or cannot be reached; the message says who noticed."""


class Group(Protocol):
    """What processes that train together can tell each other.

    All of them must call the same functions in the same order; each waits for the others.
    """

    @property
    def rank(self) -> int:
        """Which process this is, from 0."""

    @property
    def size(self) -> int:
        """How many there are."""

    def total(self, vector: Float32) -> Float32:
        """The sum of all processes' vectors, (n,), with the same bits in each; may overwrite."""

    def gather(self, numbers: Float64) -> list[Float64]:
        """Every process's numbers, (n,) each, in the order of the ranks."""

    def broadcast(self, content: bytes) -> bytes:
        """The content that process 0 gives; what the others give is not looked at."""


def largest(group: Group | None, number: float) -> float:
    """The largest of the processes' numbers; this one's where it trains alone."""
    if group is None:
        return number
    return max(float(theirs[0]) for theirs in group.gather(np.array([number])))


def join(here: Place) -> TorchGroup:
    """The group, once all its processes are there.

    Raises EngineError without PyTorch, LostContactError where not all come within five minutes.
    """
    if find_spec("torch") is None:
        raise EngineError(
            f"WORLD_SIZE is {here.size}: processes that train together need PyTorch, which is not "
            f"installed: {how_to_install('torch')}. Or unset WORLD_SIZE"
        )
    import torch
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_gloo_available()):
        raise EngineError(f"PyTorch {torch.__version__} was built without torch.distributed's gloo")
    gpus = torch.cuda.device_count() if dist.is_nccl_available() else 0
    if gpus:
        torch.cuda.set_device(here.local_rank % gpus)
    address, port = os.environ.get("MASTER_ADDR", ""), os.environ.get("MASTER_PORT", "")
    if not address or not port.isdecimal():
        raise EngineError(
            f"WORLD_SIZE is set, MASTER_ADDR is {address!r} and MASTER_PORT {port!r}: they must "
            "say where the processes meet. Start with torchrun, which sets them"
        )
    try:
        store = dist.TCPStore(  # type: ignore[attr-defined]
            address,
            int(port),
            is_master=here.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True",
            timeout=STEP_LIMIT,
            wait_for_workers=False,
            multi_tenant=True,
        )
        word = meet(store, here)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if gpus else "gloo",
            store=dist.PrefixStore(word, store),  # type: ignore[attr-defined]
            rank=here.rank,
            world_size=here.size,
            timeout=STEP_LIMIT,
        )
        patient = dist.new_group(backend="gloo", timeout=START_LIMIT)
        # NCCL takes no two processes on one GPU; all must decide alike
        shared = torch.tensor([here.local_size > gpus], dtype=torch.int32)
        dist.all_reduce(shared, dist.ReduceOp.MAX)
    except (RuntimeError, ValueError) as error:
        raise LostContactError(
            f"process {here.rank} of {here.size} could not join the others at {address}:{port}: "
            f"{_first_line(error)}"
        ) from error
    return TorchGroup(here.rank, here.size, bool(gpus) and not shared.item(), patient)


class Store(Protocol):
    """What ``meet`` needs of torch.distributed's stores, which all processes can reach."""

    def set(self, key: str, value: str) -> None:
        """Give the key a value."""

    def get(self, key: str) -> bytes:
        """The key's value."""

    def check(self, keys: list[str]) -> bool:
        """Whether all keys are there."""


def meet(store: Store, here: Place, limit_s: float = STEP_LIMIT.total_seconds()) -> str:
    """A word that the processes which are alive now have in common, once all are there.

    torchrun's store outlives the processes that it restarts, with the addresses that dead ones
    have left in it (github.com/pytorch/pytorch/issues/135712), and the machines count restarts
    differently. So each process asks by a name that nobody had before it, and process 0 answers
    every name. Raises RuntimeError where not all come in time.
    """
    name = os.urandom(8).hex()
    deadline = time.monotonic() + limit_s
    if here.rank == 0:
        awaited = set(range(1, here.size))
        while awaited:
            for rank in sorted(awaited):
                if store.check([f"lenet/{name}/{rank}"]):
                    awaited.discard(rank)
                elif store.check([f"lenet/asks/{rank}"]):
                    asked = store.get(f"lenet/asks/{rank}").decode()
                    store.set(f"lenet/answer/{asked}", name)
            _wait(awaited, deadline)
        return name
    store.set(f"lenet/asks/{here.rank}", name)
    while not store.check([f"lenet/answer/{name}"]):
        _wait({0}, deadline)
    word = store.get(f"lenet/answer/{name}").decode()
    store.set(f"lenet/{word}/{here.rank}", "")
    return word


def _wait(awaited: set[int], deadline: float) -> None:
    if awaited and time.monotonic() > deadline:
        raise RuntimeError(f"process {min(awaited)} has not come in time")
    time.sleep(0.02 if awaited else 0)


@dataclass(frozen=True)
class TorchGroup:
    """See ``Group``: gloo between CPUs; NCCL sums the gradients where each has a GPU."""

    rank: int
    size: int
    on_gpu: bool = False
    _patient: Any = None  # a process group that waits longer

    def total(self, vector: Float32) -> Float32:
        import torch
        import torch.distributed as dist

        tensor = torch.from_numpy(np.ascontiguousarray(vector))
        if self.on_gpu:
            tensor = tensor.cuda()
        with self._contact():
            dist.all_reduce(tensor)
            result: Float32 = tensor.cpu().numpy()
        return result

    def gather(self, numbers: Float64) -> list[Float64]:
        import torch
        import torch.distributed as dist

        mine = torch.from_numpy(np.ascontiguousarray(numbers, np.float64))
        parts = [torch.empty_like(mine) for _ in range(self.size)]
        with self._contact():
            dist.all_gather(parts, mine)
        return [part.numpy() for part in parts]

    def broadcast(self, content: bytes) -> bytes:
        import torch

        length = torch.tensor([len(content)])
        self._from_first(length)
        if self.rank == 0:
            sent = torch.from_numpy(np.frombuffer(content, np.uint8).copy())
        else:
            sent = torch.empty(int(length.item()), dtype=torch.uint8)
        if len(sent):
            self._from_first(sent)
        return sent.numpy().tobytes()

    def leave(self) -> None:
        """Close the connections, when all is done."""
        import torch.distributed as dist

        dist.destroy_process_group()

    def _from_first(self, tensor: torch.Tensor) -> None:
        import torch.distributed as dist

        with self._contact():
            dist.broadcast(tensor, 0, group=self._patient)

    @contextmanager
    def _contact(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:  # of gloo and of NCCL
            raise LostContactError(
                f"process {self.rank} of {self.size} has lost contact with the others: "
                f"{_first_line(error)}"
            ) from error


def _first_line(error: Exception) -> str:
    """What the library says, without the place in its source that it puts before it."""
    line = str(error).strip().partition("\n")[0]
    if line.startswith("[") and "] " in line:
        line = line.partition("] ")[2]
    return line.partition(". ")[0][:300]
