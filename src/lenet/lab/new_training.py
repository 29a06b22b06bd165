"""What a new training is made of: the recipe that the page asks for, checked; what it offers."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any, Final

from lenet import engines
from lenet.lab.datasets import Described
from lenet.lab.errors import LabError
from lenet.language.chinese import in_chinese
from lenet.network import layer_text, zoo
from lenet.network.architecture import Network, to_dict, trace
from lenet.runs import preparing
from lenet.training import recipes
from lenet.training.defaults import fit_to_few
from lenet.training.recipes import Recipe

MOST_PARAMETERS: Final = 8_000_000
MOST_ACTIVATIONS: Final = 250_000_000  # 1 GB
OWN_NETWORK: Final = "own"  # the name of a network that was written in the page


def asked_for(
    known: Mapping[str, Described],
    recipe: str,
    settings: dict[str, Any],
    network: str | None,
    text: str | None,
    data: str | None,
) -> Recipe:
    """The recipe of that name with the settings, network or its ``text``, and data set asked for.

    ``known`` are the data sets by their names in the page. Raises LabError, and the ValueErrors of
    what it is made of.
    """
    if recipe not in recipes.names():
        recipes.load(recipe.removesuffix(".toml"))  # says which there are; reads no file
    asked = _changed(recipes.load(recipe), settings)
    chosen = known.get(asked.data if data is None else data)
    if chosen is None:
        name = asked.data if data is None else data
        raise LabError(422, f"no data set is called {name[:100]!r} here")
    if not chosen.here:
        raise LabError(
            422, f"{chosen.title} is not here: lenet data get {chosen.source} fetches it"
        )
    asked = recipes.change(asked, "data", chosen.source)
    if text is not None:
        layers = layer_text.to_text(layer_text.parse(text))
        asked = recipes.change(asked, "layers", layers)
        own = network is not None and network not in zoo.NETWORKS
        asked = recipes.change(asked, "network", network if own else OWN_NETWORK)
    elif network is not None:
        asked = recipes.change(recipes.change(asked, "network", network), "layers", "")
    preparing.check(asked)
    asked, _ = fit_to_few(asked, settings, int(chosen.train * (1 - asked.val)))
    built = preparing.build_network(asked, chosen.shape, chosen.classes)
    engines.choose("auto", built, "cpu")  # says which layer none computes
    check_size(built, asked.settings.batch_size)
    return asked


def check_size(network: Network, batch_size: int) -> None:
    """Raise LabError for a network that the page could not show, or that fills the memory."""
    rows = trace(network)
    parameters = sum(row.parameters for row in rows)
    if parameters > MOST_PARAMETERS:
        raise LabError(
            422,
            f"{parameters:,} parameters are more than the lab shows ({MOST_PARAMETERS:,}); "
            "lenet train trains larger ones",
        )
    units = sum(math.prod(row.output_shape) for row in rows)
    if units * batch_size > MOST_ACTIVATIONS:
        raise LabError(
            422,
            f"a batch of {batch_size:,} pictures would have {units * batch_size:,} activations, "
            f"more than {MOST_ACTIVATIONS:,}; take a smaller batch or fewer channels",
        )


def _changed(recipe: Recipe, settings: dict[str, Any]) -> Recipe:
    """The recipe with these dotted keys changed, all at once: they are checked together."""
    values, known = recipes.to_dict(recipe), set(recipes.keys())
    for key, value in settings.items():
        if key not in known:
            recipes.change(recipe, key, value)  # says what is near
        section, _, inner = key.partition(".")
        if inner:
            values[section] = {**values[section], inner: value}
        else:
            values[section] = value
    return recipes.from_dict(values)


@functools.cache
def choices() -> dict[str, Any]:
    """The recipes and networks that come with the package."""
    return {
        "recipes": [_recipe_json(name) for name in recipes.names()],
        "networks": [_network_json(name) for name in zoo.NETWORKS],
    }


def _recipe_json(name: str) -> dict[str, Any]:
    recipe = recipes.to_dict(recipes.load(name))
    for row in recipe["published"]:
        row["source_chinese"] = in_chinese(row["source"])
    return {**recipe, "title_chinese": in_chinese(recipe["title"])}


def _network_json(name: str) -> dict[str, Any]:
    """A network of the zoo for its own pictures, as data and as lines that can be edited."""
    network = zoo.build(name)
    return {
        "name": name,
        "text": layer_text.to_text(network.layers),
        "network": to_dict(network),
    }
