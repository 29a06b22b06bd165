"""A setting: the values that one run of a sweep has for the keys that vary, and its recipe.

Besides the keys of a recipe three things vary that are no key of it: ``activation`` and
``pooling``, which change each such layer of the network, and ``optimizer``, a method with its usual
values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, get_args

from lenet.names import did_you_mean, known_as
from lenet.network.layers import Activation, AvgPool2d, Layer, MaxPool2d, Of1998
from lenet.optimization import METHODS, SettingError, usual_learning_rate
from lenet.runs.preparing import build_network, with_network
from lenet.training import recipes
from lenet.training.recipes import Recipe
from lenet.untrusted import shown

ACTIVATIONS: Final[dict[str, Activation]] = {
    kind.__name__.lower().replace("leaky", "leaky-"): kind()
    for kind in get_args(Activation)
    if kind not in get_args(Of1998)
}
POOLINGS: Final[dict[str, type[AvgPool2d | MaxPool2d]]] = {
    "average": AvgPool2d,
    "max": MaxPool2d,
}
LEVELS: Final[dict[str, tuple[str, ...]]] = {
    "activation": tuple(ACTIVATIONS),
    "pooling": tuple(POOLINGS),
    "optimizer": METHODS,
}
FACTORS: Final = tuple(LEVELS)
RATE: Final = "schedule.learning_rate"

Values = Mapping[str, Any]  # of the keys that vary
Pictures = tuple[tuple[int, int, int], tuple[str, ...]]  # their shape, and their classes


def levels(factor: str, names: Sequence[object]) -> list[str]:
    """The values of a factor as they are spelled. Raises SettingError for an unknown one."""
    found = []
    for name in names:
        known = known_as(name, LEVELS[factor])
        if known is None:
            hint = did_you_mean(name, LEVELS[factor])
            raise SettingError(
                f"{factor} is {shown(name)}; {hint}choose from {', '.join(LEVELS[factor])}"
            )
        found.append(known)
    return found


def recipe_of(base: Recipe, values: Values, pictures: Pictures, rate_chosen: bool) -> Recipe:
    """The recipe of a setting: ``base`` with these values.

    Unless ``rate_chosen`` or among the values, the learning rate is the usual one of the setting's
    optimiser and activation, or that of ``base`` where both are its own. Raises RecipeError,
    SettingError or ArchitectureError where they do not go together.
    """
    recipe = base
    for key in ("network", "initialization"):
        if key in values:
            recipe = recipes.change(recipe, key, values[key])
    if "network" in values:
        recipe = replace(recipe, layers="")
    recipe = _with_layers(recipe, values, pictures)
    if "optimizer" in values:
        recipe = recipes.with_method(recipe, values["optimizer"], True)
    method = values.get("optimizer.method", recipe.settings.optimizer.method)
    sigmoids = recipes.has_sigmoids(recipe)
    own = method == base.settings.optimizer.method and sigmoids == recipes.has_sigmoids(base)
    if RATE not in values and not rate_chosen and not own:
        recipe = recipes.change(recipe, RATE, usual_learning_rate(method, sigmoids=sigmoids))
    # a section at once: its values are checked against each other
    sections: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        head, dot, rest = key.partition(".")
        if dot:
            sections.setdefault(head, {})[rest] = value
        elif key not in (*FACTORS, "network", "initialization"):
            recipe = recipes.change(recipe, key, value)
    if not sections:
        return recipe
    whole = recipes.to_dict(recipe)
    return recipes.from_dict(
        {**whole, **{name: {**whole[name], **inner} for name, inner in sections.items()}}
    )


def _with_layers(recipe: Recipe, values: Values, pictures: Pictures) -> Recipe:
    """The recipe with its network's activations and poolings exchanged."""
    wanted = [values[factor] for factor in ("activation", "pooling") if factor in values]
    if not wanted:
        return recipe
    network = build_network(recipe, *pictures)
    layers = tuple(_exchanged(layer, values) for layer in network.layers)
    if layers == network.layers:
        return recipe
    name = "-".join([recipe.network, *wanted])
    return with_network(recipe, replace(network, name=name, layers=layers))


def _exchanged(layer: Layer, values: Values) -> Layer:
    if isinstance(layer, Activation) and "activation" in values:
        return ACTIVATIONS[values["activation"]]
    if isinstance(layer, AvgPool2d | MaxPool2d) and "pooling" in values:
        kind = POOLINGS[values["pooling"]]
        return kind(layer.kernel_size, layer.stride, layer.padding)
    return layer


def described(values: Values) -> str:
    """A setting in one line.

    >>> described({"activation": "relu", "schedule.learning_rate": 0.1})
    'activation relu, learning_rate 0.1'
    """
    return ", ".join(f"{short(key)} {text_of(value)}" for key, value in values.items())


def label(values: Values) -> str:
    """A setting in a figure: names speak for themselves, numbers do not.

    >>> label({"activation": "relu", "schedule.learning_rate": 0.1})
    'relu, learning_rate 0.1'
    """
    return ", ".join(
        value if isinstance(value, str) else f"{short(key)} {text_of(value)}"
        for key, value in values.items()
    )


def short(key: str) -> str:
    """A key without its section: the column of a table.

    >>> short("schedule.learning_rate"), short("activation")
    ('learning_rate', 'activation')
    """
    return key.rpartition(".")[2]


def text_of(value: object) -> str:
    """A value for a table."""
    return f"{value:g}" if isinstance(value, float) else str(value)
