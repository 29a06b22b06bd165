"""Activations as C functions, made of the formulas that are known of their curves."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from types import MappingProxyType
from typing import Final

from lenet.network.layers import Activation, ArchitectureError, LeakyReLU, ScaledTanh, curve
from lenet.ship.c.numbers import floats

# What formulas call, in C; exp is in every header.
FUNCTIONS: Final = MappingProxyType(
    {
        "max": """\
static inline float PREFIX_max(float a, float b)
{
    return a > b ? a : b;
}
""",
        "min": """\
static inline float PREFIX_min(float a, float b)
{
    return a < b ? a : b;
}
""",
        "tanh": """\
static float PREFIX_tanh(float x)
{
    const float e = PREFIX_exp(x < 0.0f ? 2.0f * x : -2.0f * x);
    return (x < 0.0f ? e - 1.0f : 1.0f - e) / (1.0f + e);
}
""",
        "Φ": """\
/* the share of a normal distribution below x: Abramowitz and Stegun 1964, 7.1.26 */
static float PREFIX_normal_below(float x)
{
    const float t = 1.0f / (1.0f + 0.231641888f * (x < 0.0f ? -x : x));
    float tail = 1.061405429f;
    tail = tail * t - 1.453152027f;
    tail = tail * t + 1.421413741f;
    tail = tail * t - 0.284496736f;
    tail = tail * t + 0.254829592f;
    tail = 0.5f * tail * t * PREFIX_exp(-0.5f * x * x);
    return x < 0.0f ? tail : 1.0f - tail;
}
""",
    }
)
SIGNS: Final = MappingProxyType({"·": "*", "−": "-"})
NUMBER: Final = r"\d+(?:\.\d+)?(?:e[+-]?\d+)?"
WORD: Final = r"[^\W\d_]+"
TOKEN: Final = re.compile(rf"{NUMBER}|{WORD}|[()+*/,·−-]|\s")


def name_of(prefix: str, activation: Activation) -> str:
    """The name of an activation's function in C, with its arguments where it has some."""
    numbers = (repr(getattr(activation, field.name)) for field in dataclasses.fields(activation))
    words = "_".join((*curve(activation).word.split(), *numbers))
    return f"{prefix}_{re.sub(r'[^a-z0-9]', '_', words.lower())}"


def functions(prefix: str, activations: Iterable[Activation]) -> list[str]:
    """The functions of activations, after what they call.

    Raises ArchitectureError for one whose formula calls something that is not here.
    """
    called: dict[str, str] = {}
    own: dict[str, str] = {}
    for activation in activations:
        formula = curve(activation).formula
        # those with arguments are rounded for their readers
        if isinstance(activation, LeakyReLU):
            formula = f"max(0, x) + {activation.negative_slope!r} · min(0, x)"
        if isinstance(activation, ScaledTanh):
            formula = f"{activation.amplitude!r} · tanh({activation.slope!r} · x)"
        value = expression(prefix, formula)
        for word in re.findall(WORD, formula):
            if word in FUNCTIONS:
                called[word] = FUNCTIONS[word].replace("PREFIX", prefix)
        name = name_of(prefix, activation)
        if value != f"{name}(x)":  # tanh is what it calls
            own[name] = f"static float {name}(float x)\n{{\n    return {value};\n}}\n"
    return [*called.values(), *own.values()]


def expression(prefix: str, formula: str) -> str:
    """A formula of x as C. Raises ArchitectureError where it calls something that is not here.

    >>> expression("net", "1 / (1 + exp(−x))")
    '1.0f / (1.0f + net_exp(-x))'
    """
    tokens = TOKEN.findall(formula)
    parts = []
    for token in tokens:
        if token[0].isdigit():
            parts.append(floats([float(token)])[0])
        elif token == "exp" or token in FUNCTIONS:
            parts.append(f"{prefix}_{'normal_below' if token == 'Φ' else token}")
        elif token[0].isalpha() and token != "x":
            raise ArchitectureError(f"{token} in the formula {formula!r} has no C code")
        else:
            parts.append(SIGNS.get(token, token))
    if "".join(tokens) != formula:
        raise ArchitectureError(f"the formula {formula!r} has no C code")
    return "".join(parts)
