"""LeNet: a workbench for LeNet-family networks.

The public names; each module is imported when one of its names is first used, so that
``import lenet`` costs nothing.

>>> import lenet
>>> network = lenet.build("lenet")
>>> sum(layer.parameters for layer in lenet.trace(network))
61706
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own takes longer to load than the command to be ready for Ctrl-C
if TYPE_CHECKING:
    from typing import Any

    from lenet.data import load as load_data
    from lenet.looking import diagram, evaluate, explain, features, kernels, statistics
    from lenet.network.architecture import Network, Normalization, trace
    from lenet.network.layers import (
        GELU,
        AvgPool2d,
        Conv2d,
        Dropout,
        Flatten,
        LeakyReLU,
        Linear,
        MaxPool2d,
        ReLU,
        Sigmoid,
        SiLU,
        Tanh,
    )
    from lenet.network.zoo import build
    from lenet.runs import list_runs, load_model
    from lenet.runs import read as read_run
    from lenet.runs.experiments import begin, find_learning_rate, go_on, train
    from lenet.ship.model import load
    from lenet.torch import to_torch
    from lenet.torch.acceleration import accelerate
    from lenet.torch.translation import from_torch
    from lenet.training.recipes import load as load_recipe

__version__ = "0.1.0"

__all__ = [
    "GELU",
    "AvgPool2d",
    "Conv2d",
    "Dropout",
    "Flatten",
    "LeakyReLU",
    "Linear",
    "MaxPool2d",
    "Network",
    "Normalization",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "Tanh",
    "accelerate",
    "begin",
    "build",
    "diagram",
    "evaluate",
    "explain",
    "features",
    "find_learning_rate",
    "from_torch",
    "go_on",
    "kernels",
    "list_runs",
    "load",
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
    "accelerate": ("torch.acceleration", "accelerate"),
    "begin": ("runs.experiments", "begin"),
    "build": ("network.zoo", "build"),
    "diagram": ("looking", "diagram"),
    "evaluate": ("looking", "evaluate"),
    "explain": ("looking", "explain"),
    "features": ("looking", "features"),
    "find_learning_rate": ("runs.experiments", "find_learning_rate"),
    "from_torch": ("torch.translation", "from_torch"),
    "go_on": ("runs.experiments", "go_on"),
    "kernels": ("looking", "kernels"),
    "list_runs": ("runs", "list_runs"),
    "load": ("ship.model", "load"),
    "load_data": ("data", "load"),
    "Network": ("network.architecture", "Network"),
    "Normalization": ("network.architecture", "Normalization"),
    "trace": ("network.architecture", "trace"),
    "load_model": ("runs", "load_model"),
    "load_recipe": ("training.recipes", "load"),
    "read_run": ("runs", "read"),
    "statistics": ("looking", "statistics"),
    "to_torch": ("torch", "to_torch"),
    "train": ("runs.experiments", "train"),
}

# Modules that programs know by a name in lenet.
_MODULES = {
    "architecture": "network.architecture",
    "figures": "drawing.figures",
    "recipes": "training.recipes",
}


def __getattr__(name: str) -> Any:
    if name not in __all__ and name not in _MODULES:
        raise AttributeError(f"module 'lenet' has no attribute {name!r}")
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"{__name__}.{_MODULES[name]}")
    module, original = _ELSEWHERE.get(name, ("network.layers", name))
    try:
        value = getattr(import_module(f"{__name__}.{module}"), original)
    except ImportError as error:
        if module not in _NEED_TORCH:
            raise
        return _missing(name, error)
    globals()[name] = value
    return value


# Modules that import PyTorch, which is an extra. Their names exist without it, so that help(),
# hasattr() and inspect.getmembers() work: only a call needs it.
_NEED_TORCH = ("torch", "torch.acceleration", "torch.translation")


def _missing(name: str, error: ImportError) -> Any:
    """What stands for a function whose module cannot be imported: it says so when it is called."""

    def function(*args: Any, **kwargs: Any) -> Any:
        raise ImportError(f"lenet.{name} {why}") from error

    why = f"needs PyTorch, which cannot be imported ({error}): pip install torch"
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Not here: {why}."
    return function


def load_ipython_extension(ipython: Any) -> None:
    """Let a notebook that says ``%load_ext lenet`` find d2l, and torchvision where it is absent."""
    from lenet.tutorial import stand_ins

    stand_ins.install(lambda line: print(f"lenet: {line}"))


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
