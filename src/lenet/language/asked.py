"""The language that somebody asks for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final, Literal

Language = Literal["en", "zh"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh")


def language_of(environment: Mapping[str, str]) -> Language:
    """The language that the environment asks for: Chinese, else English.

    >>> language_of({"LANG": "zh_CN.UTF-8"}), language_of({"LANG": "zh_CN", "LC_ALL": "C"})
    ('zh', 'en')
    """
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := environment.get(variable):
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


def known_language(language: str | None) -> Language:
    """The language if it is one of ours; without one, that of the environment.

    Raises ValueError for another language.
    """
    if language is None:
        return language_of(os.environ)
    for known in LANGUAGES:
        if language == known:
            return known
    raise ValueError(f"language {language!r}: explanations are in {' and '.join(LANGUAGES)}")
