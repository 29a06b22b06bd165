"""LeNet: a workbench for LeNet-family networks.

The public names; each module is imported when one of its names is first used, so that
``import lenet`` costs nothing.

>>> import lenet
>>> network = lenet.build("lenet")
>>> sum(layer.parameters for layer in lenet.trace(network))
61706
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lenet.architecture import (
        AvgPool2d,
        Conv2d,
        Dropout,
        Flatten,
        Linear,
        MaxPool2d,
        Network,
        Normalization,
        ReLU,
        Sigmoid,
        Tanh,
        trace,
    )
    from lenet.data import load as load_data
    from lenet.evaluation import evaluate
    from lenet.experiments import begin, go_on, train
    from lenet.recipes import load as load_recipe
    from lenet.runs import list_runs, load_model
    from lenet.runs import read as read_run
    from lenet.zoo import build

__version__ = "0.1.0"

__all__ = [
    "AvgPool2d",
    "Conv2d",
    "Dropout",
    "Flatten",
    "Linear",
    "MaxPool2d",
    "Network",
    "Normalization",
    "ReLU",
    "Sigmoid",
    "Tanh",
    "begin",
    "build",
    "evaluate",
    "go_on",
    "list_runs",
    "load_data",
    "load_model",
    "load_recipe",
    "read_run",
    "trace",
    "train",
]

# Where a name lives, and what it is called there.
_ELSEWHERE = {
    "begin": ("experiments", "begin"),
    "build": ("zoo", "build"),
    "evaluate": ("evaluation", "evaluate"),
    "go_on": ("experiments", "go_on"),
    "list_runs": ("runs", "list_runs"),
    "load_data": ("data", "load"),
    "load_model": ("runs", "load_model"),
    "load_recipe": ("recipes", "load"),
    "read_run": ("runs", "read"),
    "train": ("experiments", "train"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'lenet' has no attribute {name!r}")
    module, original = _ELSEWHERE.get(name, ("architecture", name))
    value = getattr(import_module(f"lenet.{module}"), original)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
