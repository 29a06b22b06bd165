"""A trained network as one C header: C99, no allocation, nothing but stdint.h and string.h."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from lenet.data import preparation as preparations
from lenet.network.architecture import Network, trace
from lenet.network.layers import (
    show_shape,
)
from lenet.ship.c import float32, int8
from lenet.ship.c.numbers import array, floats
from lenet.ship.c.plan import stages
from lenet.ship.c.quantized import QuantizedNetwork
from lenet.ship.c.text import ascii_of, title

if TYPE_CHECKING:
    from lenet.ship.model import Model

LARGEST_PREFIX: Final = 40

HEAD: Final = """\
/* @NAME@: @WHAT@.
 *
 * Made by lenet export --to c from @SOURCE@; @NUMBERS@.
 *
 * How to use it, in one .c or .cpp file of your program:
 *
 *     #include "@FILE@"
 *     static @P@_scratch scratch;                       (@SCRATCH@ bytes)
 *     float probabilities[@U@_CLASSES];
 *     int found = @P@_predict(picture, probabilities, &scratch);
 *     const char *name = found < 0 ? "none of these" : @P@_classes[found];
 *
 * A picture is @PICTURE@ bytes: channel by channel, row by row, 0 to 255.
 * How a photograph becomes one: @PREPARATION@
 *
 * With -D@U@_SELF_TEST, @P@_self_test(&scratch) gives how many of @TESTS@ pictures come out
 * otherwise than they did where this file was made: 0 if all is well.
 *
@STAGES@
 */
#ifndef @U@_H
#define @U@_H

#include <stdint.h>
#include <string.h>

#define @U@_CLASSES @CLASSES@
#define @U@_CHANNELS @CHANNELS@
#define @U@_HEIGHT @HEIGHT@
#define @U@_WIDTH @WIDTH@
#define @U@_PICTURE_BYTES @PICTURE@
#define @U@_TEMPERATURE @TEMPERATURE@
@THRESHOLD@#define @U@_NONE (-1) /* none of these */

typedef struct {
    @MEMBER@;
} @P@_scratch;

"""
EXP: Final = """\
/* exp(x), to a relative error of 2e-7: 2^n for the whole part, a polynomial for the rest.
   Not inline, as it is called in several places: flash is dear. */
static float @P@_exp(float x)
{
    if (x < -87.0f)
        return 0.0f;
    if (x > 88.0f)
        x = 88.0f;
    const float scaled = x * 1.44269504f;
    const int32_t n = (int32_t)(scaled < 0.0f ? scaled - 0.5f : scaled + 0.5f);
    const float r = (x - (float)n * 0.693359375f) + (float)n * 2.12194440e-4f;
    float e = 1.9875691500e-4f;
    e = e * r + 1.3981999507e-3f;
    e = e * r + 8.3334519073e-3f;
    e = e * r + 4.1665795894e-2f;
    e = e * r + 1.6666665459e-1f;
    e = e * r + 5.0000001201e-1f;
    e = e * r * r + r + 1.0f;
    const int32_t bits = (n + 127) * 8388608;
    float power;
    memcpy(&power, &bits, sizeof power);
    return e * power;
}

"""
USE: Final = """\
/* The logits of a picture: one number a class, the higher the likelier. */
static inline void @P@_logits(const uint8_t *picture, float *logits, @P@_scratch *scratch)
{
@CALLS@
}

/* The probability of each class, from its logit, in place. Returns the likeliest class, or
   @U@_NONE where the picture is none of these. */
static inline int @P@_probabilities(float *values)
{
    int best = 0;
    for (int i = 1; i < @U@_CLASSES; i++)
        if (values[i] > values[best])
            best = i;
    const float highest = values[best];
@FAMILIAR@    float sum = 0.0f;
    for (int i = 0; i < @U@_CLASSES; i++) {
@COUNT@        values[i] = @P@_exp((values[i] - highest) * (1.0f / @U@_TEMPERATURE));
        sum += values[i];
    }
    for (int i = 0; i < @U@_CLASSES; i++)
        values[i] /= sum;
    return @RESULT@;
}

/* The probability of each class; returns the likeliest class, or @U@_NONE. */
static inline int @P@_predict(const uint8_t *picture, float *probabilities, @P@_scratch *scratch)
{
    @P@_logits(picture, probabilities, scratch);
    return @P@_probabilities(probabilities);
}

#ifdef @U@_SELF_TEST
@VECTORS@
static inline int @P@_self_test(@P@_scratch *scratch)
{
    int wrong = 0;
    for (int n = 0; n < @TESTS@; n++) {
        float logits[@U@_CLASSES];
        int differs = 0;
        @P@_logits(@P@_test_pictures + n * @U@_PICTURE_BYTES, logits, scratch);
        for (int i = 0; i < @U@_CLASSES; i++) {
            const float expected = @P@_test_logits[n * @U@_CLASSES + i];
            const float apart = logits[i] < expected ? expected - logits[i] : logits[i] - expected;
            if (!(apart <= 1e-4f * (1.0f + (expected < 0.0f ? -expected : expected))))
                differs = 1;
        }
        wrong += differs;
    }
    return wrong;
}
#endif

#endif
"""


EXAMPLE: Final = """\
/* main.c: cc -std=c99 -O2 main.c -o main */
#include <stdio.h>
#include "@FILE@"

int main(void)
{
    static @P@_scratch scratch;
    static uint8_t picture[@U@_PICTURE_BYTES]; /* yours comes here */
    float probabilities[@U@_CLASSES];
    const int found = @P@_predict(picture, probabilities, &scratch);
    printf("%s\\n", found < 0 ? "none of these" : @P@_classes[found]);
    return 0;
}
"""


def write(
    model: Model,
    file_name: str,
    pictures: NDArray[np.uint8],
    quantized: QuantizedNetwork | None = None,
) -> str:
    """The text of the header: float32, or int8 where the network is given ``quantized``.

    ``pictures`` (n, channels, height, width) are the self-test's, with what they come to here.
    Raises ValueError for weights that are not finite.
    """
    network = model.network
    for name, values in model.parameters.items():
        if not np.isfinite(values).all():
            raise ValueError(f"{name} holds values that are not finite: its training went wrong")
    prefix = prefix_of(network.name)
    if quantized is None:
        body = float32.code(prefix, network, model.parameters)
        size, outputs = float32.memory(network)
        member, scratch = f"float values[{size}]", 4 * size
        logits = model.logits(pictures)
        numbers, planned = "float32", stages(network)
    else:
        body = int8.code(prefix, quantized)
        size, outputs = int8.memory(quantized)
        member, scratch = f"uint8_t bytes[{size}]", size
        logits = quantized.logits(pictures)
        numbers, planned = "int8", tuple(one.stage for one in quantized.stages)
    channels, height, width = network.input_shape
    threshold = model.calibration.threshold
    classes = ",\n".join(f"    {c_string(name)}" for name in network.classes)
    filling: dict[str, object] = {
        "NAME": ascii_of(network.name),
        "WHAT": ascii_of(
            f"{show_shape(network.input_shape)} pictures, {len(network.classes)} classes"
        ),
        "SOURCE": ascii_of(Path(model.source).name),
        "FILE": ascii_of(file_name),
        "NUMBERS": numbers,
        "PREPARATION": ascii_of(json.dumps(preparations.to_dict(model.preparation))),
        "STAGES": "\n".join(f" * {title(stage)}" for stage in planned),
        "SCRATCH": f"{scratch:,}",
        "CLASSES": len(network.classes),
        "CHANNELS": channels,
        "HEIGHT": height,
        "WIDTH": width,
        "PICTURE": channels * height * width,
        "TEMPERATURE": _float(model.calibration.temperature),
        "THRESHOLD": "" if threshold is None else f"#define @U@_THRESHOLD {_float(threshold)}\n",
        "MEMBER": member,
        "CALLS": _calls(prefix, outputs),
        "FAMILIAR": "" if threshold is None else "    float familiar = 0.0f;\n",
        "COUNT": ""
        if threshold is None
        else f"        familiar += {prefix}_exp(values[i] - highest);\n",
        # log sum exp(logit) >= threshold, without a logarithm
        "RESULT": "best"
        if threshold is None
        else f"familiar < {prefix}_exp(@U@_THRESHOLD - highest) ? @U@_NONE : best",
        "TESTS": len(pictures),
        "VECTORS": array("uint8_t", f"{prefix}_test_pictures", [str(v) for v in pictures.ravel()])
        + array("float", f"{prefix}_test_logits", floats(logits)),
    }
    names = (
        f"static const char *const {prefix}_classes[{len(network.classes)}] = {{\n{classes}\n}};\n"
    )
    return "".join(
        (
            _fill(HEAD, filling, prefix),
            names,
            "\n",
            _fill(EXP, filling, prefix),
            body,
            "\n",
            _fill(USE, filling, prefix),
        )
    )


def needs(model: Model, quantized: QuantizedNetwork | None = None) -> str:
    """What the code needs of a machine's memory, in words."""
    if quantized is None:
        weights = 4 * sum(row.parameters for row in trace(model.network))
        scratch = 4 * float32.memory(model.network)[0]
    else:
        weights, scratch = int8.weight_bytes(quantized), int8.memory(quantized)[0]
    picture = math.prod(model.network.input_shape)
    return (
        f"weights {weights:,} bytes; working memory {scratch:,} bytes, "
        f"beside the picture's {picture:,}"
    )


def example(network: Network, file_name: str) -> str:
    """A whole program that uses the header."""
    return _fill(EXAMPLE, {"FILE": file_name}, prefix_of(network.name))


def prefix_of(name: str) -> str:
    """A network's name as the beginning of C names.

    >>> prefix_of("lenet-relu"), prefix_of("3 Wege"), prefix_of("猫")
    ('lenet_relu', 'net_3_wege', 'net')
    """
    words = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:LARGEST_PREFIX]
    return words if words[:1].isalpha() else f"net_{words}".rstrip("_")


def c_string(text: str) -> str:
    """A text as C writes it: UTF-8, what is not ASCII in octal, no trigraphs."""
    signs = []
    for byte in text.encode("utf-8"):
        sign = chr(byte)
        plain = 32 <= byte < 127 and sign not in '"\\?'
        signs.append(sign if plain else f"\\{byte:03o}")
    return f'"{"".join(signs)}"'


def _calls(prefix: str, outputs: Sequence[str]) -> str:
    """The stages one after the other, each from where the one before it wrote."""
    source, lines = "picture", []
    for number, output in enumerate(outputs):
        lines.append(f"    {prefix}_stage_{number}({source}, {output});")
        source = output
    if not any("scratch" in line for line in lines):
        lines.append("    (void)scratch;")
    return "\n".join(lines)


def _float(value: float) -> str:
    return floats([value])[0]


def _fill(text: str, values: dict[str, object], prefix: str) -> str:
    """The template with its places filled: those of the texts that are put in, too, but not what
    came from the network."""
    for name in ("THRESHOLD", "RESULT"):
        text = text.replace(f"@{name}@", str(values.get(name, "")))
    known = values | {"P": prefix, "U": prefix.upper()}
    return re.sub(r"@(\w+)@", lambda found: str(known[found[1]]), text)
