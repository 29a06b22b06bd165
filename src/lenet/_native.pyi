"""The native engine's compiled part; engines/native.py checks what goes in."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

EVALUATION_CHUNK: int

def instruction_sets() -> list[str]: ...
def x86_64_level(
    leaf1_ecx: int,
    leaf7_ebx: int,
    extended1_ecx: int,
    xcr0: int,
    saves_when_used: bool = False,
) -> int: ...
def multiply_add_gflops(instruction_set: str, threads: int, seconds: float) -> float: ...
def apply_function(
    instruction_set: str,
    function: str,
    parameter: float,
    slope: bool,
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    second: float = 0.0,
) -> None: ...

class Engine:
    parameters: NDArray[np.float32]
    moment1: NDArray[np.float32]
    moment2: NDArray[np.float32]
    average: NDArray[np.float32]
    step: int

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        classes: int,
        layers: Sequence[tuple[str, int, int, int, int, int, float, float]],
        table: NDArray[np.float32],
        method: str,
        nesterov: bool,
        numbers: Sequence[float],
        label_smoothing: float,
        threads: int,
        instruction_set: str,
        class_weights: Sequence[float] = (),
        rubbish: float = ...,
        codes: NDArray[np.float32] | None = None,
        mask: NDArray[np.float32] | None = None,
    ) -> None: ...
    def changed(self) -> None: ...
    def train(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        order: NDArray[np.int64],
        augmentation: NDArray[np.int16] | None,
        batch_size: int,
        learning_rates: NDArray[np.float64],
        position: tuple[int, int, int],
        losses: NDArray[np.float64],
        shares: NDArray[np.float32] | None = None,
    ) -> int: ...
    def gradients(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        position: tuple[int, int, int],
        gradient: NDArray[np.float32],
        shares: NDArray[np.float32] | None = None,
    ) -> tuple[float, int]: ...
    def apply(self, gradient: NDArray[np.float32], learning_rate: float, /) -> None: ...
    def evaluate(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        losses: NDArray[np.float64],
        confusion: NDArray[np.int64],
        /,
    ) -> None: ...
    def logits(self, images: NDArray[np.uint8], out: NDArray[np.float32], /) -> None: ...
    def activations(
        self, images: NDArray[np.uint8], outputs: list[NDArray[np.float32]], /
    ) -> None: ...
    def forward(
        self,
        inputs: NDArray[np.float32],
        training: bool,
        position: tuple[int, int, int],
        out: NDArray[np.float32],
        /,
    ) -> None: ...
    def backward(self, dlogits: NDArray[np.float32], gradient: NDArray[np.float32], /) -> bool: ...
