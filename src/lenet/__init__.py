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
    from lenet.acceleration import accelerate
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
    from lenet.looking import diagram, explain, features, kernels, statistics
    from lenet.recipes import load as load_recipe
    from lenet.runs import list_runs, load_model
    from lenet.runs import read as read_run
    from lenet.torch import to_torch
    from lenet.translation import from_torch
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
    "accelerate",
    "begin",
    "build",
    "diagram",
    "evaluate",
    "explain",
    "features",
    "from_torch",
    "go_on",
    "kernels",
    "list_runs",
    "load_data",
    "load_model",
    "load_recipe",
    "read_run",
    "statistics",
    "to_torch",
    "trace",
    "train",
]

# Where a name lives, and what it is called there.
_ELSEWHERE = {
    "accelerate": ("acceleration", "accelerate"),
    "begin": ("experiments", "begin"),
    "build": ("zoo", "build"),
    "diagram": ("looking", "diagram"),
    "evaluate": ("evaluation", "evaluate"),
    "explain": ("looking", "explain"),
    "features": ("looking", "features"),
    "from_torch": ("translation", "from_torch"),
    "go_on": ("experiments", "go_on"),
    "kernels": ("looking", "kernels"),
    "list_runs": ("runs", "list_runs"),
    "load_data": ("data", "load"),
    "load_model": ("runs", "load_model"),
    "load_recipe": ("recipes", "load"),
    "read_run": ("runs", "read"),
    "statistics": ("looking", "statistics"),
    "to_torch": ("torch", "to_torch"),
    "train": ("experiments", "train"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'lenet' has no attribute {name!r}")
    module, original = _ELSEWHERE.get(name, ("architecture", name))
    value = getattr(import_module(f"lenet.{module}"), original)
    globals()[name] = value
    return value


def load_ipython_extension(ipython: Any) -> None:
    """Let a notebook that says ``%load_ext lenet`` find d2l, and torchvision where it is absent."""
    from lenet.tutorial import stand_ins

    stand_ins.install(lambda line: print(f"lenet: {line}"))


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
