"""The devices that the book asks for: CUDA's, Apple's GPU, the cpu."""

from __future__ import annotations

import torch


def cpu() -> torch.device:
    """The cpu."""
    return torch.device("cpu")


def gpu(i: int = 0) -> torch.device:
    """CUDA's device number ``i``, whether it is there or not."""
    return torch.device(f"cuda:{i}")


def num_gpus() -> int:
    """How many CUDA devices there are."""
    return torch.cuda.device_count()


def try_gpu(i: int = 0) -> torch.device:
    """GPU number ``i``; where there is none so numbered, the cpu. Apple's (mps) is number 0."""
    gpus = try_all_gpus()
    return gpus[i] if 0 <= i < len(gpus) else torch.device("cpu")


def try_all_gpus() -> list[torch.device]:
    """All CUDA devices, else Apple's GPU, else the cpu."""
    if count := torch.cuda.device_count():
        return [torch.device(f"cuda:{i}") for i in range(count)]
    return [torch.device("mps" if torch.backends.mps.is_available() else "cpu")]
