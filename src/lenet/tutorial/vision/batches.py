"""A whole batch of MNIST's pictures at once, where that gives what one by one gives.

A DataLoader asks for a batch; ToTensor and Normalize of a whole batch take a tenth of the time
that they take picture by picture. It is done only where everything on the way is what it was when
this module was imported: whatever a tutorial overrides, reassigns or replaces is used.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.modules import module as hooks

from lenet.tutorial.vision import functional
from lenet.tutorial.vision.functional import picture_of, scaled
from lenet.tutorial.vision.transforms import Compose, Normalize, Resize, ToTensor

# What turns a picture into a tensor, as it was: a tutorial may replace any of it.
_AS_IMPORTED = tuple(
    (owner, name, getattr(owner, name))
    for owner, name in (
        (Compose, "__call__"),
        (ToTensor, "__call__"),
        (Resize, "forward"),
        (Normalize, "forward"),
        (torch.nn.Module, "__call__"),
        (functional, "to_tensor"),
        (functional, "resize"),
        (functional, "normalize"),
    )
)
_ATTRIBUTES = ("data", "targets", "transform", "target_transform")
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def asked_by_pytorch() -> bool:
    """Whether PyTorch's own data loading reads the property that calls this."""
    reader = sys._getframe(2).f_globals.get("__name__", "")
    return str(reader).startswith("torch.utils.data.")


def is_plain(dataset: Any, getitem: Any) -> bool:
    """Whether `dataset[index]` is `getitem`, of attributes that are plainly the data set's own."""
    kind: Any = type(dataset)
    return (
        kind.__getitem__ is getitem
        and kind.__getattribute__ is object.__getattribute__
        and not any(hasattr(kind, name) for name in _ATTRIBUTES)
        and all(name in vars(dataset) for name in _ATTRIBUTES)
    )


def at_once(dataset: Any, indices: Sequence[Any]) -> list[tuple[Any, Any]] | None:
    """What `dataset[index]` gives for each index, or None where it has to be asked itself.

    None, too, for whatever is an error, so that the error is that of `dataset[index]`.
    """
    steps = _steps(dataset.transform)
    if steps is None or not _is_grey(dataset.data):
        return None
    if not all(type(index) is int or isinstance(index, np.integer) for index in indices):
        return None
    places = [int(index) for index in indices]
    try:
        pictures = _transformed(dataset.data[torch.tensor(places, device="cpu")], *steps)
        labels = _labels(dataset.targets, places)
    except Exception:
        return None
    if labels is None:
        return None
    target = dataset.target_transform
    named = labels if target is None else [target(label) for label in labels]
    return list(zip(pictures.unbind(), named, strict=True))


def _is_grey(data: Any) -> bool:
    return (
        type(data) is Tensor
        and (data.dtype, data.ndim) == (torch.uint8, 3)
        and (data.device.type, data.layout) == ("cpu", torch.strided)
    )


def _labels(targets: Any, places: list[int]) -> list[int] | None:
    """`int(targets[place])` for each place, or None for a kind of targets not known here."""
    if type(targets) is Tensor and targets.ndim == 1 and targets.device.type == "cpu":
        return [int(label) for label in targets[torch.tensor(places, device="cpu")].tolist()]
    if type(targets) in (list, tuple, np.ndarray):
        return [int(targets[place]) for place in places]
    return None


def _transformed(chosen: Tensor, resizes: list[Resize], normalizes: list[Normalize]) -> Tensor:
    """The pictures (n, rows, columns) uint8 as (n, 1, rows, columns) floats."""
    if resizes:
        pictures = [picture_of(grey, "L") for grey in chosen.numpy()]
        for resize in resizes:
            pictures = [resize(picture) for picture in pictures]
        chosen = torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures]))
    batch = scaled(chosen).unsqueeze(1)
    for normalize in normalizes:
        for values in (normalize.mean, normalize.std):
            one = torch.as_tensor(values)
            if one.ndim > 1 or one.numel() != 1:  # would meet the batch's own dimension
                raise ValueError(f"{values} is not the value of one channel")
        batch = normalize(batch)
    return batch


def _steps(transform: Any) -> tuple[list[Resize], list[Normalize]] | None:
    """The steps before and after ToTensor, of a transform that is made of ours alone, as it was."""
    if any(getattr(owner, name) is not value for owner, name, value in _AS_IMPORTED):
        return None
    parts = list(_parts(transform))
    kinds = [type(part) for part in parts]
    if ToTensor not in kinds or hooks._has_any_global_hook():  # type: ignore[no-untyped-call]
        return None
    middle = kinds.index(ToTensor)
    resizes, normalizes = parts[:middle], parts[middle + 1 :]
    if {*kinds[:middle]} - {Resize} or {*kinds[middle + 1 :]} - {Normalize}:
        return None
    if any(_has_own_ways(step) for step in [*resizes, *normalizes]):
        return None
    return resizes, normalizes


def _parts(transform: Any) -> Iterator[Any]:
    if type(transform) is Compose and type(transform.transforms) in (list, tuple):
        for part in transform.transforms:
            yield from _parts(part)
    else:
        yield transform


def _has_own_ways(step: torch.nn.Module) -> bool:
    """Whether somebody gave this one step a forward, hooks or a compiled call of its own."""
    own = vars(step)
    return (
        "forward" in own
        or own.get("_compiled_call_impl") is not None
        or any(own.get(name) for name in _HOOKS)
    )
