"""The self-check: now and then, a few pictures of a batch also go through plain PyTorch.

A reading holds for what it watches. This is the net under it: where the engine's outputs or
gradients are not PyTorch's, whatever the reason, the module is plain from then on, and says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lenet.engines import Position
from lenet.network.layers import Dropout
from lenet.torch.translation import TOLERANCE
from lenet.torch.translation.surroundings import Surroundings
from lenet.torch.translation.trial import Traces, as_before

if TYPE_CHECKING:
    from lenet.torch.acceleration.native import Native

PICTURES = 4  # of a batch that are checked
SHARE = 1 / 150  # of the engine's time; a check that takes longer than the last may reach 1%
# Of the norm of a parameter's gradient. It jumps where rounding decides which side of a ReLU, or
# which of two pixels under a MaxPool2d, an output is on: measured, one unit of four pictures moves
# it by less than 1%. A wrong batch's gradient is off by 10% and more.
GRADIENT_TOLERANCE = 0.03
DROPOUTS = frozenset(
    {F.dropout, torch.dropout, torch.dropout_, F.dropout1d, F.dropout2d, F.dropout3d}
)


@dataclass
class Schedule:
    """When an engine is to be checked next, and whether a check has failed."""

    busy_s: float = float("inf")  # of the engine, since the last check
    cost_s: float = 0.0  # of the last check, forward and backward
    failed: bool = False

    def due(self) -> bool:
        """Whether now; then the next is counted from here."""
        if self.busy_s * SHARE < self.cost_s:
            return False
        self.busy_s = self.cost_s = 0.0
        return True


def fail(native: Native, why: str) -> None:
    """Leave the module to PyTorch from now on, and say why."""
    native.shared.schedule.failed = True
    native.lines.failed(why)


def outputs(
    native: Native,
    module: nn.Module,
    plain: Callable[[Tensor], Any],
    X: Tensor,
    parameters: list[Tensor],
    computed: Tensor | None,
) -> str:
    """What is another in the module's own forward, for a few pictures; empty where nothing is.

    ``plain`` is that forward, ``computed`` the module's outputs as the engine gave them; without
    them, the engine computes the few without dropout. The module, what it keeps and random states
    stay as they were.
    """
    started = time.perf_counter()
    few = X[:PICTURES].detach()
    why, traces, surroundings = "", Traces(), Surroundings(module)
    with torch.no_grad():
        with as_before(surroundings, traces):
            try:
                with _WithoutDropout():
                    theirs = plain(few)
            except Exception as error:  # which the user's own call is to raise
                why = f"forward raises {type(error).__name__}: {error}"
        if traces.words:
            why = f"forward {traces.words}, and the engine only computes"
        if not why:
            ours = (
                native.finish(native.logits(few, parameters, None))
                if computed is None
                else (computed[:PICTURES] if computed.dim() else computed).detach()
            )
            if not _close(native, few, parameters, ours, theirs):
                why = _differing_layer(native, plain, surroundings, few, parameters)
    native.shared.schedule.cost_s += time.perf_counter() - started
    return why


class _WithoutDropout(TorchFunctionMode):
    """All units are kept, in this thread; remembers what operations gave."""

    def __init__(self) -> None:
        super().__init__()
        self.results: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in DROPOUTS:
            return args[0] if args else kwargs["input"]
        result = func(*args, **kwargs)
        if type(result) is Tensor and result.is_floating_point():
            self.results.append(result.clone())  # some write in place afterwards
        return result


def _close(
    native: Native, few: Tensor, parameters: list[Tensor], ours: Tensor, theirs: Any
) -> bool:
    """Whether outputs are the same but for rounding."""
    if type(theirs) is not Tensor or theirs.shape != ours.shape or theirs.dtype != ours.dtype:
        return False
    if not theirs.isfinite().all():  # rounding decides where an overflow begins
        return True
    allowed = TOLERANCE * float(theirs.abs().max())
    difference = float((ours - theirs).abs().max())
    if difference <= allowed:
        return True
    # Weights that have grown large cancel each other: what float32 loses then, PyTorch's loses, too
    exact = native.finish(native.replay(few.double(), [p.double() for p in parameters], None))
    rounded = native.finish(native.replay(few, parameters, None))
    return difference <= allowed + 10 * float((rounded - exact).abs().max())


def _differing_layer(
    native: Native,
    plain: Callable[[Tensor], Any],
    surroundings: Surroundings,
    few: Tensor,
    parameters: list[Tensor],
) -> str:
    """The first layer of the network whose outputs no operation of the module gives."""
    layers: list[Tensor] = []
    native.replay(few, parameters, None, layers)
    with as_before(surroundings, Traces()), _WithoutDropout() as mode:
        plain(few)
    for index, (layer, values) in enumerate(zip(native.network.layers, layers, strict=True)):
        allowed = TOLERANCE * float(values.abs().max())
        if not isinstance(layer, Dropout) and not any(
            result.numel() == values.numel()
            and torch.allclose(result.reshape(-1), values.reshape(-1), rtol=0, atol=allowed)
            for result in mode.results
        ):
            return f"layer {index} ({type(layer).__name__}) gives other numbers in the module"
    return "the outputs of the module are other numbers, though those of its layers are not"


def backward(
    native: Native,
    ticket: int,
    X: Tensor,
    parameters: list[Tensor],
    place: Position | None,
    dlogits: NDArray[np.float32],
    check: bool,
) -> tuple[list[Tensor], int, str]:
    """The engine's gradients, the ticket to come again, and what is wrong with them, or empty.

    A check takes the gradient of a few pictures alone, which the engine gives where all others'
    is zero, and so tells whether it still has this batch.
    """
    found, ticket = native.backward(ticket, X, parameters, place, dlogits)
    wrong = ""
    if check:
        started = time.perf_counter()
        for start in (0, PICTURES):
            few = _only(dlogits, start)
            ours, ticket = native.backward(ticket, X, parameters, place, few)
            wrong = _differing_gradient(native, X, parameters, place, few, start, ours)
            # Rounding may have decided which of two outputs is the larger: not twice.
            if not wrong or len(X) <= PICTURES:
                break
        native.shared.schedule.cost_s += time.perf_counter() - started
    if wrong:
        fail(native, wrong)
    return found, ticket, wrong


def _only(dlogits: NDArray[np.float32], start: int) -> NDArray[np.float32]:
    few = np.zeros_like(dlogits)
    few[start : start + PICTURES] = dlogits[start : start + PICTURES]
    return few


def _differing_gradient(
    native: Native,
    X: Tensor,
    parameters: list[Tensor],
    place: Position | None,
    dlogits: NDArray[np.float32],
    start: int,
    ours: list[Tensor],
) -> str:
    """The parameter whose gradient, of a few pictures, is not PyTorch's; empty where all are."""
    part = slice(start, start + PICTURES)
    at = place and replace(place, first_sample=place.first_sample + start)
    with torch.enable_grad():
        leaves = [tensor.detach().clone().requires_grad_() for tensor in parameters]
        logits = native.replay(X[part].detach(), leaves, at)
        theirs = torch.autograd.grad(logits, leaves, torch.from_numpy(dlogits[part]))
    whole = max(float(gradient.norm()) for gradient in theirs)
    if not np.isfinite(whole):
        return ""
    for name, a, b in zip(native.reading.keys.values(), ours, theirs, strict=True):
        size = float(b.norm())
        difference = float((a - b).norm())
        if not difference <= GRADIENT_TOLERANCE * size + 1e-5 * whole:
            return f"the gradient of {name} differs from PyTorch's by {difference / size:.0%}"
    return ""
