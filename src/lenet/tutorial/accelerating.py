"""`lenet run --accelerate`: what a tutorial trains is computed by the native engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from lenet.installing import how_to_install

if TYPE_CHECKING:
    from lenet.torch.acceleration import Watch

NOTHING = "--accelerate changed nothing: no optimizer of PyTorch's has trained a network here"


@contextmanager
def accelerating(
    wanted: bool, names: Mapping[str, Any], tell: Callable[[str], None]
) -> Iterator[Watch | None]:
    """Meanwhile the native engine computes the modules that the tutorial trains, where `wanted`.

    Gives what knows whether there are any; None where nothing is accelerated, for a reason that
    `tell` gets. It also gets a line for each module, with its name among `names`, the tutorial's
    variables.
    """
    why = _why_not() if wanted else ""
    if why:
        tell(f"--accelerate changes nothing: {why}")
    if not wanted or why:
        yield None
        return
    from lenet.torch.acceleration import accelerating_what_is_trained

    with accelerating_what_is_trained(names, tell) as watch:
        yield watch


def _why_not() -> str:
    """Why nothing can be accelerated here; empty where something can."""
    if find_spec("torch") is None:
        return f"it needs PyTorch: {how_to_install('torch')}"
    from lenet.engines.native import why_missing
    from lenet.torch.acceleration import accelerated

    return why_missing() if accelerated() else "LENET_ACCELERATE is 0"
