"""Named experiments: network, data, settings, and the figures that were published for them.

A recipe is a TOML file, one of this folder or your own. Its keys are the fields of Recipe and
of Settings; sections are optimizer, schedule, objective, augmentation and early_stopping.
"""

from __future__ import annotations

import dataclasses
import numbers
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from lenet.files import FileError, read_bounded
from lenet.names import did_you_mean, known_as
from lenet.network import layer_text, zoo
from lenet.network.architecture import LONGEST_NAME, trouble_with_name
from lenet.network.layers import Sigmoid
from lenet.optimization import (
    DEFAULT_WEIGHT_DECAY,
    METHODS,
    Optimizer,
    SettingError,
    Settings,
    usual_learning_rate,
    weights_text,
)
from lenet.untrusted import UntrustedError, from_toml, shown

FOLDER = Path(__file__).parent
LARGEST = 100_000  # bytes of a recipe's file; a network of many layers has some thousand
LONGEST_PATH = 4_096
LONGEST_TITLE = 300
LONGEST_WEIGHTS = 20_000


class RecipeError(ValueError):
    """A recipe that cannot be used; the message names the key and what is possible."""


@dataclass(frozen=True)
class Published:
    """Figures that a text prints for this experiment; None for those it does not."""

    source: str
    loss: float | None = None
    train_acc: float | None = None
    test_loss: float | None = None
    test_acc: float | None = None
    examples_per_s: float | None = None
    device: str | None = None


@dataclass(frozen=True)
class Recipe:
    """All that a training is made from, but for the engine."""

    name: str
    title: str = ""
    data: str = "fashion-mnist"
    network: str = "lenet"
    layers: str = ""  # of a network of your own, as layer_text reads them; else the zoo's
    initialization: str = "xavier"
    val: float = 0.0  # the share of the training pictures that is held out
    pictures: int = 0  # so many of the rest are trained on, each class in its share; 0: all
    settings: Settings = field(default_factory=Settings)
    published: tuple[Published, ...] = ()


def names() -> list[str]:
    """The names of the recipes that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str | os.PathLike[str], changes: Mapping[str, Any] | None = None) -> Recipe:
    """The named recipe, or that of a TOML file by its path, with some values changed.

    ``changes`` maps dotted keys to values: ``{"epochs": 3, "schedule.kind": "cosine"}``.
    Raises RecipeError or SettingError, naming the key and the value.
    """
    name, values = _read(_spelling(name))
    recipe = from_dict({"name": name, **values})
    for key, value in (changes or {}).items():
        recipe = change(recipe, key, value)
    return recipe


def chosen_keys(name: str | os.PathLike[str], changes: Collection[str] = ()) -> set[str]:
    """The keys that somebody chose: ``changes``, and all that a TOML file of your own holds.

    The recipes of the package are nobody's choice for your pictures: what is not chosen may be
    fitted to them. Raises RecipeError as ``load`` does.
    """
    name = _spelling(name)
    if not _is_file(name):
        return set(changes)
    _, values = _read(name)
    inner = {f"{k}.{i}" for k, part in values.items() if isinstance(part, dict) for i in part}
    return {*values, *inner, *changes}


def _spelling(name: object) -> str:
    """The name or path as a text; RecipeError where it is neither."""
    if isinstance(name, str):
        return name
    if isinstance(name, os.PathLike) and isinstance(text := os.fspath(name), str):
        return text
    raise RecipeError(
        f"recipe is {shown(name)}; give a recipe's name, or the path of a .toml file. "
        "Pictures are given by data=, a network by network="
    )


def _is_file(name: str) -> bool:
    return name.casefold().endswith(".toml")


def _read(name: str) -> tuple[str, dict[str, Any]]:
    """The recipe's name, and what its TOML file holds."""
    if _is_file(name):
        path = Path(name)
        try:
            content = read_bounded(path, LARGEST, links=True)
        except FileNotFoundError:
            raise _no_file(path) from None
        except FileError as error:
            raise RecipeError(f"recipe {error}") from None
        except OSError as error:
            raise RecipeError(f"recipe {name}: {error.strerror}") from None
        name = path.stem
    elif (known := known_as(name, names())) is not None:
        name = known
        content = (FOLDER / f"{name}.toml").read_bytes()
    else:
        own = Path(f"{name}.toml")
        hint = f"did you mean {own}? " if own.is_file() else did_you_mean(name, names())
        raise RecipeError(f"unknown recipe {name!r}; {hint}choose from {', '.join(names())}")
    try:
        return name, from_toml(content)
    except UntrustedError as error:
        raise RecipeError(f"recipe {name}: {error}") from None


def _no_file(path: Path) -> RecipeError:
    """What is wrong with a recipe's file that is not there, and which recipe may be meant."""
    known = known_as(path.stem, names())
    if known is not None:
        hint = f"; the recipe {known} comes with lenet: give its name without .toml"
    else:
        near = did_you_mean(path.stem, names()).removesuffix("? ")
        hint = f"; {near}, a recipe that comes with lenet?" if near else ""
    return RecipeError(f"recipe {path}: no such file{hint}")


def change(recipe: Recipe, key: str, value: Any) -> Recipe:
    """The recipe with one value changed, by its dotted key.

    Raises RecipeError for an unknown key, with the nearest one, or a value of another type.
    """
    key = known_as(key, keys()) or key
    head, _, rest = key.partition(".")
    if head in ("name", "settings", "published") or (rest and head not in sections()):
        raise _unknown(key)
    if head in _types(Recipe):
        return replace(recipe, **{head: _typed(key, value, _types(Recipe)[head])})
    return replace(recipe, settings=_changed(recipe.settings, key, key, value))


def with_method(recipe: Recipe, method: str, learning_rate_given: bool) -> Recipe:
    """The recipe with another optimiser at its usual values, learning rate too if none is given.

    Raises SettingError for an unknown method.
    """
    method = known_as(method, METHODS) or method
    if not isinstance(method, str):
        raise SettingError(
            f"optimizer is {shown(method)}; give {', '.join(METHODS)}, or a "
            "lenet.optimization.Optimizer"
        )
    if method == recipe.settings.optimizer.method:
        return recipe
    optimizer = Optimizer(
        method,
        weight_decay=DEFAULT_WEIGHT_DECAY.get(method, 0.0),
        average=recipe.settings.optimizer.average,
    )
    schedule = recipe.settings.schedule
    if not learning_rate_given:
        usual = usual_learning_rate(method, sigmoids=has_sigmoids(recipe))
        schedule = replace(schedule, learning_rate=usual)
    return replace(
        recipe, settings=replace(recipe.settings, optimizer=optimizer, schedule=schedule)
    )


def has_sigmoids(recipe: Recipe) -> bool:
    """Whether the recipe's network has sigmoids; yes where it is none, which is told later."""
    try:
        own = recipe.layers
        layers = layer_text.parse(own) if own else zoo.build(recipe.network).layers
    except ValueError:
        return True
    return any(isinstance(layer, Sigmoid) for layer in layers)


def parse_assignment(text: str) -> tuple[str, Any]:
    """The key and value of ``key=value``, the value read as TOML where it is, else as text.

    >>> parse_assignment("schedule.kind=cosine"), parse_assignment("epochs=3")
    (('schedule.kind', 'cosine'), ('epochs', 3))
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"--set {text!r}: write key=value, such as --set schedule.kind=cosine")
    try:
        return key.strip(), from_toml(f"value = {value}")["value"]
    except UntrustedError:
        return key.strip(), value.strip()


def sections() -> list[str]:
    """The settings that have fields of their own."""
    return [name for name, kind in _types(Settings).items() if dataclasses.is_dataclass(kind)]


def keys() -> list[str]:
    """Every key that a recipe or ``--set`` can give, dotted."""
    own = [name for name in _types(Recipe) if name not in ("name", "settings", "published")]
    for name, kind in _types(Settings).items():
        own += [f"{name}.{inner}" for inner in _types(kind)] if name in sections() else [name]
    return own


# --- as plain values ---------------------------------------------------------------------------


def to_dict(recipe: Recipe) -> dict[str, Any]:
    """The recipe in full as plain values, for run.json; ``from_dict`` reads it back."""
    values = dataclasses.asdict(recipe)
    settings = values.pop("settings")
    published = [
        {key: value for key, value in row.items() if value is not None}
        for row in values.pop("published")
    ]
    return {**values, **settings, "published": published}


def difference(there: Recipe, wanted: Recipe) -> str:
    """The first setting in which two recipes differ, in words; empty where a run of one is a run of
    the other.

    What was published may have been corrected since, and your own data has its full path.
    """
    before, now = to_dict(there), to_dict(wanted)
    for key, value in now.items():
        if key not in ("title", "published", "data") and before[key] != value:
            return f"{key} = {shown(before[key])}, not {shown(value)}"
    return ""


def to_toml(recipe: Recipe) -> str:
    """The recipe in full as a TOML file that ``load`` reads."""
    import tomli_w

    values = to_dict(recipe)
    del values["name"]  # the file's own
    return tomli_w.dumps(values, multiline_strings=True)


def from_dict(values: Mapping[str, Any]) -> Recipe:
    """The recipe that a TOML file or run.json holds; RecipeError or SettingError where it errs."""
    rest = dict(values)
    recipe = Recipe(name=_typed("name", rest.pop("name", ""), str))
    rows = rest.pop("published", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise RecipeError("published: write one [[published]] section for each source")
    published = []
    for row in rows:
        kinds = _types(Published)
        if unknown := row.keys() - kinds.keys():
            raise RecipeError(f"published: unknown key {sorted(unknown)[0]!r}")
        if "source" not in row:
            raise RecipeError("published: source is missing: say where the figures stand")
        published.append(
            Published(**{k: _typed(f"published.{k}", v, kinds[k]) for k, v in row.items()})
        )
    recipe = replace(recipe, published=tuple(published))
    for key, value in rest.items():
        if key in sections():
            if not isinstance(value, dict):
                raise RecipeError(f"{key} is {shown(value)}, must be a section")
            # as one: values of a section are checked against each other
            recipe = replace(recipe, settings=_with_section(recipe.settings, key, value))
        else:
            recipe = change(recipe, key, value)
    return recipe


def _with_section(settings: Settings, section: str, values: Mapping[str, Any]) -> Settings:
    kind = _types(Settings)[section]
    kinds = _types(kind)
    for name in values:
        if name not in kinds:
            raise _unknown(f"{section}.{name}")
    typed = {
        name: _typed(f"{section}.{name}", value, kinds[name]) for name, value in values.items()
    }
    return replace(settings, **{section: kind(**typed)})


def _changed(part: Any, path: str, key: str, value: Any) -> Any:
    """A settings dataclass with the value at the dotted ``path`` inside it changed."""
    head, _, rest = path.partition(".")
    kind: type = type(part)
    kinds = _types(kind)
    if not rest and dataclasses.is_dataclass(kinds.get(head)) and isinstance(value, kinds[head]):
        return replace(part, **{head: value})  # a program may give a whole section
    if head not in kinds or (not rest and dataclasses.is_dataclass(kinds[head])):
        raise _unknown(key)
    if rest:
        inner = _changed(getattr(part, head), rest, key, value)
        return replace(part, **{head: inner})
    return replace(part, **{head: _typed(key, value, kinds[head])})


def _unknown(key: str) -> RecipeError:
    if key in sections():
        own = [name for name in keys() if name.startswith(f"{key}.")]
        return RecipeError(
            f"{key!r} is a section, not a key; did you mean {own[0]}? Its keys are {', '.join(own)}"
        )
    hint = did_you_mean(key, keys())
    return RecipeError(f"unknown key {key!r}; {hint}choose from {', '.join(keys())}")


@cache  # annotations are text, which Python compiles: a third of a short run's time
def _types(kind: type) -> Mapping[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _typed(key: str, value: Any, kind: Any) -> Any:
    """The value as the field's type; whole numbers pass for numbers, nothing else is converted."""
    wanted = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    kind = next((k for k in wanted if kind in (k, k | None)), kind)
    if key == "objective.class_weights":  # a table or a list is one way to write it
        value = weights_text(value)
    # NumPy's numbers are numbers, too: sweeps are written with them
    accepted = {int: numbers.Integral, float: numbers.Real}.get(kind, kind)
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise SettingError(f"{key} is {shown(value)}, must be {wanted[kind]}")
    if kind is float:
        try:
            return float(value)
        except OverflowError:
            raise SettingError(f"{key} is {shown(value)}, too large for a number") from None
    if kind is int:
        return int(value)
    if isinstance(value, str):
        _check_text(key, value)
    return value


def _check_text(key: str, text: str) -> None:
    """Raise SettingError for a text that is too long, or would act on the terminal it is on."""
    if key == "layers":  # several lines, checked one by one when they are read
        if len(text) > layer_text.LONGEST:
            raise SettingError(
                f"layers has {len(text):,} characters; at most {layer_text.LONGEST:,} fit"
            )
        return
    names = ("network", "initialization")
    longest = {"data": LONGEST_PATH, "objective.class_weights": LONGEST_WEIGHTS}
    most = LONGEST_NAME if key in names else longest.get(key, LONGEST_TITLE)
    # the name of a folder may hold bytes that are no text
    trouble = trouble_with_name(text.encode(errors="replace").decode(), most)
    if trouble:
        raise SettingError(f"{key} is {shown(text)}: it {trouble}")
