"""The recipe that a command line describes: its name, and what flags and --set change."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lenet.training.recipes import Recipe


def changes_of(flags: Mapping[str, Any], assignments: list[str] | None) -> dict[str, Any]:
    """What the flags that were given and each --set change, by the recipe's keys."""
    from lenet.training import recipes

    given = {key: value for key, value in flags.items() if value is not None}
    return {**given, **dict(map(recipes.parse_assignment, assignments or []))}


def described(
    name: str | None,
    changes: Mapping[str, Any],
    data_dir: Path | None,
    *,
    optimizer: str | None = None,
    tell: Callable[[str], object] = lambda why: None,
) -> tuple[Recipe, set[str]]:
    """The recipe, and the keys that somebody chose; without a name the usual one.

    ``tell`` is called with the reason where its pictures are chosen, too.
    """
    from lenet.training import defaults, recipes

    changes = dict(changes)
    usual_pictures = name is None and "data" not in changes
    if name is None:
        name = defaults.RECIPE
    # the network first: an optimiser's usual learning rate depends on it
    network = {key: value for key, value in changes.items() if key in ("network", "layers")}
    recipe = recipes.load(name, network)
    if optimizer is not None:
        rate_given = "schedule.learning_rate" in changes
        recipe = recipes.with_method(recipe, optimizer, rate_given)
    recipe = changed(recipe, changes)
    if usual_pictures:  # last: a setting that is wrong is said before anything is downloaded
        changes["data"], why = defaults.choose_data(data_dir, progress=sys.stderr.isatty())
        tell(why)
        recipe = changed(recipe, {"data": changes["data"]})
    return recipe, recipes.chosen_keys(name, changes)


def changed(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """The recipe with what the changes say."""
    from lenet.training import recipes

    for key, value in changes.items():
        recipe = recipes.change(recipe, key, value)
    return recipe
