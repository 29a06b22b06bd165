"""The language that somebody asks for."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Final, Literal

Language = Literal["en", "zh"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh")


def language_of(environment: Mapping[str, str]) -> Language:
    """The language that the environment asks for: Chinese, else English.

    As gettext has it, the first of ``LANGUAGE`` counts before any locale but C.

    >>> language_of({"LANG": "zh_CN.UTF-8"}), language_of({"LANG": "zh_CN", "LC_ALL": "C"})
    ('zh', 'en')
    >>> language_of({"LANG": "zh_CN.UTF-8", "LANGUAGE": "en_US:zh"})
    'en'
    """
    names = ("LC_ALL", "LC_MESSAGES", "LANG")
    locale = next((value for name in names if (value := environment.get(name))), "C")
    if locale.partition(".")[0] not in ("C", "POSIX"):
        locale = environment.get("LANGUAGE", "").partition(":")[0] or locale
    return "zh" if locale.lower().startswith("zh") else "en"


def terminal_language() -> Language:
    """The language of the environment, where stdout can write it; else English."""
    try:
        "中文".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return "en"
    return language_of(os.environ)


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
