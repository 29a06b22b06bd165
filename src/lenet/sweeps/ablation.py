"""The classic questions of a small convolutional network, as the plan of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lenet.network import layer_text, zoo
from lenet.network.layers import Activation, AvgPool2d, MaxPool2d
from lenet.sweeps.plan import HALVING, Axis, Choices, Plan
from lenet.training.recipes import Recipe

QUESTIONS: Final[dict[str, tuple[str, ...]]] = {
    "activation": ("sigmoid", "tanh", "relu"),
    "pooling": ("average", "max"),
    "optimizer": ("sgd", "adam"),
    "initialization": ("xavier", "he", "torch"),
}
SEEDS: Final = 5
LEAST: Final = 3  # epochs: a sigmoid network has begun to learn by then, if it does at all


def plan(
    recipe: Recipe,
    own: Mapping[str, Axis] | None = None,
    *,
    seeds: int = SEEDS,
    prune: str = HALVING,
    rate_chosen: bool = False,
    least: int | None = None,
    **options: Any,
) -> tuple[Plan, list[str]]:
    """The plan of an ablation of a recipe, and a line for each question that does not apply.

    ``own`` are questions in place of the classic ones. Raises SweepError as ``Plan`` does.
    """
    said = []
    axes = dict(own or {})
    if not axes:
        possible, missing = _that_apply(recipe)
        axes = {name: Choices(QUESTIONS[name]) for name in possible}
        said = [
            f"{recipe.network} has no {name} layers: that question is left out" for name in missing
        ]
    if least is None:
        least = min(LEAST, max(1, recipe.settings.epochs // 2))
    question = f"Which {_list(list(axes))} for {recipe.name}?"
    made = Plan(
        recipe,
        axes,
        seeds=seeds,
        prune=prune,
        least=least,
        rate_chosen=rate_chosen,
        question=question,
        **options,
    )
    return made, said


def _that_apply(recipe: Recipe) -> tuple[list[str], list[str]]:
    """The questions that a network has layers for, and those that it has none for."""
    own = recipe.layers
    layers = layer_text.parse(own) if own else zoo.build(recipe.network).layers
    without = {
        name
        for name, kinds in (("activation", Activation), ("pooling", AvgPool2d | MaxPool2d))
        if not any(isinstance(layer, kinds) for layer in layers)
    }
    names = list(QUESTIONS)
    return [n for n in names if n not in without], [n for n in names if n in without]


def _list(names: list[str]) -> str:
    """
    >>> _list(["activation", "pooling", "optimizer"])
    'activation, pooling and optimizer'
    """
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
