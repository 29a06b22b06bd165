"""What a recipe names, made of the pictures that are there: its network, its parts, its engine.

Nothing here writes; what is wrong with a recipe is said before anything is trained or downloaded.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from lenet import engines
from lenet.data import DERIVED, IN_MEMORY, KNOWN, Dataset, hold_out, subset
from lenet.engines import Choice, Engine
from lenet.network import layer_text, zoo
from lenet.network.architecture import Network, trace
from lenet.network.layers import ArchitectureError, Layer, show_shape
from lenet.optimization import Settings
from lenet.training import Parts, recipes, weighting
from lenet.training.recipes import Recipe

VAL_SHARE = 0.1  # of somebody's own pictures
LEAST_TO_HOLD_OUT = 10  # pictures a class, on the average
WATCH = "early_stopping needs a held-out part to watch: add --val 0.1"
OWN = "mine"  # the name of a network that is given as a list of layers


def settled(settings: Settings, parts: Parts) -> Settings:
    """The settings with numbers for the class weights of these pictures."""
    return replace(settings, objective=weighting.resolved(settings.objective, parts.train))


def engine_for(
    recipe: Recipe,
    parts: Parts,
    choice: Choice,
    network: Network,
    threads: int | None,
    compile: bool,
) -> Engine:
    """The engine that trains this network on these pictures."""
    settings = settled(recipe.settings, parts)
    return engines.make(choice, network, settings.optimizer, settings.objective, threads, compile)


def with_network(recipe: Recipe, network: Network) -> Recipe:
    """The recipe with this network in place of its own.

    Raises RecipeError for a network that has a name of the zoo, but other layers.
    """
    trace(network)
    name = network.name
    if name in zoo.NETWORKS:
        same = zoo.build(name, network.input_shape, network.classes)
        if same.layers == network.layers:
            return replace(recipe, network=name, layers="")
    return replace(recipe, network=name, layers=layer_text.to_text(network.layers))


def check(recipe: Recipe) -> None:
    """Raise what is wrong with a recipe before minutes are spent on downloading its data."""
    if recipe.layers:
        layer_text.parse(recipe.layers)
        if recipe.network in zoo.NETWORKS:
            raise recipes.RecipeError(
                f'layers describe a new network, but network is "{recipe.network}": give '
                'it a name of its own, such as network = "mine"'
            )
    else:
        zoo.name_of(recipe.network)
    if not 0 <= recipe.val < 1:
        raise recipes.RecipeError(
            f"val is {recipe.val}, must be the share to hold out: at least 0 and below 1"
        )
    if recipe.pictures < 0:
        raise recipes.RecipeError(
            f"pictures is {recipe.pictures}, must be how many to train on; 0 takes them all"
        )
    known = recipe.data in {*KNOWN, *DERIVED}  # other pictures may bring a part to watch
    if known and recipe.settings.early_stopping.patience and not recipe.val:
        raise recipes.RecipeError(WATCH)


def hold_out_of_own(
    recipe: Recipe, loaded: Dataset, chosen: Collection[str] | None
) -> tuple[Recipe, list[str]]:
    """The recipe with a share to hold out of somebody's own pictures, and a line that says so.

    Where nobody chose otherwise, a tenth: without pictures that it was not trained on, a network
    cannot be judged before it is tested. Raises RecipeError where early stopping has none.
    """
    said = []
    if loaded.val is not None and recipe.val:
        recipe = replace(recipe, val=0.0)
        said.append(f"the {len(loaded.val):,} val pictures that the data brings are held out")
    elif (
        loaded.val is None
        and not recipe.val
        and chosen is not None
        and "val" not in chosen
        and loaded.name not in {*KNOWN, *DERIVED, IN_MEMORY}
        and len(loaded.train) >= LEAST_TO_HOLD_OUT * len(loaded.train.classes)
    ):
        recipe = replace(recipe, val=VAL_SHARE)
        said.append("a tenth of the training pictures is held out, to choose by (--val 0: none)")
    if recipe.settings.early_stopping.patience and not recipe.val and loaded.val is None:
        raise recipes.RecipeError(WATCH)
    return recipe, said


def build_network(
    recipe: Recipe, input_shape: tuple[int, int, int], classes: tuple[str, ...]
) -> Network:
    """The recipe's network for these pictures: its own layers where it has some, else the zoo's.

    Raises ArchitectureError where they do not fit the pictures or each other, ValueError for an
    unknown name, LayerTextError for a line that is no layer.
    """
    if recipe.layers:
        return layer_text.network(recipe.network, recipe.layers, input_shape, classes)
    return zoo.build(recipe.network, input_shape, classes)


def network_keys(given: Any) -> dict[str, str]:
    """What a network's name or a list of layers is in a recipe. Raises ArchitectureError."""
    if isinstance(given, str):
        return {"layers": "", "network": given}
    return {"layers": layer_text.to_text(_layers(given)), "network": OWN}


def _layers(given: Any) -> tuple[Layer, ...]:
    """The layers of a list, checked: whether they fit together depends on the pictures."""
    if not isinstance(given, Sequence):
        raise ArchitectureError(
            f"network is of type {type(given).__name__}; give a name, a lenet.Network, or a "
            "list of layers; lenet.from_torch makes a network of a PyTorch module"
        )
    if not given:
        raise ArchitectureError("network is a list without layers; give one layer or more")
    return Network(OWN, (1, 1, 1), tuple(given), ()).layers


def fitted(network: Network, shape: tuple[int, int, int], classes: tuple[str, ...]) -> Network:
    """The network with the classes of the pictures; ArchitectureError where it takes others."""
    if network.input_shape != shape:
        raise ArchitectureError(
            f"network {network.name!r} takes pictures of {show_shape(network.input_shape)}, these "
            f"are {show_shape(shape)}"
        )
    if len(network.classes) != len(classes):
        raise ArchitectureError(
            f"network {network.name!r} has {len(network.classes)} classes, the pictures have "
            f"{len(classes)}"
        )
    return replace(network, classes=classes)


def divide(recipe: Recipe, loaded: Dataset) -> Parts:
    """The pictures to learn from, those held out as the recipe says, and the test set.

    Raises RecipeError where the recipe asks for more pictures than there are to learn from.
    """
    train, val = loaded.train, loaded.val
    if recipe.val:
        train, val = hold_out(train, recipe.val, recipe.settings.seed)
    if recipe.pictures > len(train):
        raise recipes.RecipeError(
            f"pictures is {recipe.pictures:,}, but there are {len(train):,} to learn from; "
            "0 takes them all"
        )
    if recipe.pictures:
        train = subset(train, recipe.pictures, recipe.settings.seed)
    return Parts(train, val, loaded.test)


def describe_data(loaded: Dataset, parts: Parts) -> dict[str, Any]:
    """Which pictures these are, for run.json."""
    examples = {
        name: len(split)
        for name in ("train", "val", "test")
        if (split := getattr(parts, name)) is not None
    }
    weights = loaded.train.weights
    own = {} if weights is None else {"weights": sha256(weights.tobytes()).hexdigest()}
    return {
        "name": loaded.name,
        "source": str(loaded.source),
        "bundled": loaded.bundled,
        "licence": loaded.licence,
        "sha256": {**loaded.sha256, **own},
        "examples": examples,
    }
