"""HyperParameters and add_to_class: how the book's current edition writes its classes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any


def add_to_class(Class: type) -> Callable[[Any], None]:
    """A decorator that makes a function a method of ``Class``, also of objects that exist."""

    def wrapper(obj: Any) -> None:
        setattr(Class, obj.__name__, obj)

    return wrapper


class HyperParameters:
    """What keeps the arguments of its ``__init__`` as attributes."""

    hparams: dict[str, Any]

    def save_hyperparameters(self, ignore: Iterable[str] = ()) -> None:
        """The arguments and variables of the calling function become attributes, and ``hparams``.

        Left out are ``self``, names in ``ignore``, and those that begin with ``_``.
        """
        ignored = {"self", *ignore}
        found = sys._getframe(1).f_locals
        self.hparams = {
            name: value
            for name, value in found.items()
            if name not in ignored and not name.startswith("_")
        }
        for name, value in self.hparams.items():
            setattr(self, name, value)
