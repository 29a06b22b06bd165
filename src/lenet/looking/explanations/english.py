"""The explanations in English: sentences with a network's own numbers."""

from __future__ import annotations

from lenet.looking.explanations.facts import Facts, LayerFacts
from lenet.network.layers import (
    GELU,
    RBF,
    SATURATED_SHARE,
    Activation,
    AvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    LeakyReLU,
    Linear,
    MaxPool2d,
    Pooling,
    ReLU,
    ScaledTanh,
    Sigmoid,
    SiLU,
    Subsample,
    Tanh,
    Windowed,
    connection_count,
    curve,
    padding_of,
    show_shape,
    stride_of,
)

LABELS = {"does": "What", "why": "Why", "run": "In this run"}


def introduction(facts: Facts) -> str:
    """What goes in, what comes out, and how to read the rest."""
    network = facts.network
    shape = show_shape(network.input_shape)
    return (
        f"{network.name} takes a {shape} picture (channels × rows × columns) and gives one number "
        f"for each of its {len(network.classes)} classes. Its {len(facts.layers)} layers, with "
        f"{facts.parameters:,} parameters in all, follow in order. The number before a layer is "
        "the one in its parameters' names."
    )


def closing(facts: Facts, comparison: str) -> str:
    """Where the parameters are."""
    if not facts.parameters:
        return "None of its layers has parameters."
    text = f"{facts.dense_share:.0%} of the {facts.parameters:,} parameters are in dense layers."
    if 0.5 < facts.dense_share < 1:
        text += (
            " That was usual in LeNet's time. Later networks have few dense layers or none: a "
            "convolution uses each weight at every place of the picture, a dense layer uses it "
            "once."
        )
    return f"{text} {comparison}".strip()


def does(facts: LayerFacts) -> str:
    """What the layer computes."""
    layer, row = facts.layer, facts.row
    out = show_shape(row.output_shape)
    match layer:
        case Conv2d():
            flat = f"{layer.kernel_size}×{layer.kernel_size}"
            size = f"{layer.in_channels}×{flat}" if layer.connections is None else flat
            many = f"the {layer.in_channels} maps" if layer.in_channels > 1 else "the map"
            maps = "the picture" if row.index == 0 else f"{many} before it"
            if layer.connections is not None and layer.in_channels > 1:
                maps = f"some of {maps}"
            return (
                f"Moves {_many(layer.out_channels, 'kernel')} of {size} over {maps}. At each "
                "place, a kernel multiplies the numbers under it by its weights and adds the "
                "products and one bias: that is one number of one map. "
                f"{_each_kernel(layer)}: {out}."
            )
        case AvgPool2d() | MaxPool2d():
            size = f"{layer.kernel_size}×{layer.kernel_size}"
            how = "the mean" if isinstance(layer, AvgPool2d) else "the largest number"
            return f"Replaces each {size} window by {how}, map by map: {out}."
        case Subsample():
            return (
                f"Adds up every {layer.kernel_size}×{layer.kernel_size} window of a map, times one "
                f"weight, plus one bias; each map has its own two: {out}."
            )
        case Sigmoid():
            return "Squeezes every number into the range 0 to 1: 1 / (1 + exp(−x))."
        case Tanh():
            return "Squeezes every number into the range −1 to 1: tanh(x)."
        case ScaledTanh():
            return (
                f"Squeezes every number into the range −{layer.amplitude:g} to "
                f"{layer.amplitude:g}: {layer.amplitude:g} · tanh({layer.slope:.3g} · x)."
            )
        case ReLU():
            return "Lets positive numbers pass and makes the others zero: max(0, x)."
        case LeakyReLU():
            return (
                "Lets positive numbers pass and multiplies the others by "
                f"{layer.negative_slope:g}: {curve(layer).formula}."
            )
        case GELU():
            return (
                "Multiplies every number by Φ(x), the share of a normal distribution that lies "
                "below it: x · Φ(x). Large numbers pass, far below zero nearly nothing does."
            )
        case SiLU():
            return (
                "Multiplies every number by its sigmoid: x / (1 + exp(−x)). Large numbers pass, "
                "far below zero nearly nothing does."
            )
        case Dropout():
            return (
                f"In training makes each number zero with probability {layer.p:g} and divides the "
                f"others by {1 - layer.p:g}, so that their mean stays the same. Outside training "
                "it does nothing."
            )
        case Flatten():
            return (
                f"Lays the {show_shape(row.input_shape)} numbers out as one vector of "
                f"{row.output_shape[0]:,}, map by map, row by row. It computes nothing."
            )
        case Linear():
            return (
                f"Each of its {layer.out_features:,} outputs is a sum over all "
                f"{layer.in_features:,} inputs, each times its own weight, plus a bias."
            )
        case RBF():
            return (
                f"Each output is minus the squared distance of the {layer.in_features} numbers to "
                "a fixed code of its class, a small picture of the character."
            )


def _each_kernel(layer: Conv2d) -> str:
    return "One kernel makes one map" if layer.out_channels == 1 else "Each makes its own map"


def why(facts: LayerFacts) -> str:
    """What the layer is good for, in full where its kind comes first."""
    layer, row = facts.layer, facts.row
    match layer:
        case Conv2d():
            return _why_convolution(facts, layer)
        case _ if isinstance(layer, Pooling) and facts.again:
            fewer = "fewer numbers, and " if facts.kept < 1 else ""
            return f"As before: {fewer}small shifts matter even less."
        case AvgPool2d() | Subsample():
            return (
                "It blurs and compresses. A shift by one pixel changes the means less than the "
                "map: the network is less sensitive to small shifts, but notices them"
                f"{_saved(facts)}."
            )
        case MaxPool2d():
            return (
                "It tells whether a pattern is in the window, not where in it, so the network is "
                "less sensitive to small shifts. It still notices them, since a pattern that "
                f"moves often enters another window{_saved(facts)}."
            )
        case _ if isinstance(layer, Activation) and facts.again:
            return (
                f"The nonlinearity again, for these {show_shape(row.output_shape)} numbers: "
                "without one between them, two linear layers would collapse into one."
            )
        case Sigmoid():
            return (
                "It makes the network nonlinear: without it, any number of linear layers would "
                "collapse into one. Its price: its slope is 1/4 at most, and nearly zero where it "
                "saturates, close to 0 and 1. Differences between pictures shrink on their way "
                "through several of these, and so do gradients on their way back (vanishing "
                "gradients). So training is slow to start, although no sigmoid need be saturated "
                "then; most networks of today have ReLU here."
            )
        case Tanh() | ScaledTanh():
            return (
                "It makes the network nonlinear: without it, any number of linear layers would "
                "collapse into one. Its outputs lie around zero, which helps the next layer learn; "
                "like the sigmoid it saturates, and gradients fade where it does."
            )
        case ReLU():
            return (
                "It makes the network nonlinear: without it, any number of linear layers would "
                "collapse into one. Its slope is 1 wherever it is positive, so it does not itself "
                "shrink gradients (the weights still can), and it is cheap. A unit that is zero "
                "for every picture no longer learns."
            )
        case LeakyReLU():
            return (
                "It makes the network nonlinear: without it, any number of linear layers would "
                "collapse into one. Like ReLU it passes gradients whole above zero; below zero it "
                f"passes {layer.negative_slope:.3g} of them, so a unit that is negative for every "
                "picture still learns a little."
            )
        case GELU():
            return (
                "It makes the network nonlinear: without it, any number of linear layers would "
                "collapse into one. It is a ReLU without the corner: its slope changes gradually, "
                "and a number a little below zero still learns. Most transformers have it."
            )
        case SiLU():
            return (
                "It makes the network nonlinear: without it, any number of linear layers would "
                "collapse into one. It is a ReLU without the corner, as GELU is, and costs one "
                "exponential: its slope changes gradually, and a number a little below zero still "
                "learns. It is also called swish."
            )
        case Dropout() if facts.again:
            return "Against overfitting, as before."
        case Dropout():
            return (
                "No unit can rely on any one other unit: what is learned is spread over many, and "
                "the network overfits less."
            )
        case Flatten():
            return (
                "It is the bridge from maps to dense layers. From here on, place and channel are "
                "just positions in a vector."
            )
        case Linear():
            return _why_dense(facts, layer)
        case RBF():
            return (
                "The class whose code is nearest has the highest output. Codes of similar "
                "characters are similar, and a picture far from all codes can be rejected."
            )


def _why_convolution(facts: LayerFacts, layer: Conv2d) -> str:
    if layer.kernel_size == 1:
        return (
            f"A kernel of 1×1 looks at one place only: it mixes the {layer.in_channels} channels "
            "there."
        )
    if facts.again:
        text = (
            "It combines the strokes and edges of the maps before it into corners, curves and "
            "parts of a shape. One output now depends on more of the picture."
        )
        if layer.out_channels > layer.in_channels:
            text += (
                " There are more combinations than single strokes, so the channels grow from "
                f"{layer.in_channels} to {layer.out_channels}."
            )
    else:
        text = (
            "Each kernel looks everywhere for one small pattern, such as an edge or a stroke in "
            "one direction. They start with different random numbers, so backpropagation gives "
            "each a different gradient, and they divide the work between them. A pattern matters "
            "in one corner as much as in another, so all places share the weights: "
            f"{facts.row.parameters:,} of them, where a dense layer would need "
            f"{facts.dense_parameters:,}."
        )
    if facts.covers_its_input and not layer.padding:
        text += " A kernel is as large as its input maps, so this is a dense layer by another name."
    if layer.connections is not None:
        pairs = layer.in_channels * layer.out_channels
        text += (
            f" Only {connection_count(layer)} of the {pairs} pairs of maps are connected: fewer "
            "weights, and maps that see different inputs must become different."
        )
    return text


def _why_dense(facts: LayerFacts, layer: Linear) -> str:
    parts = []
    if facts.first_dense and facts.sees == "regions":
        parts.append(
            "Up to here, each number described a region of the picture. Here all of them are "
            "weighed together, wherever they come from. The decision begins."
        )
    elif facts.first_dense and facts.sees == "pixels":
        parts.append(
            "Every pixel has its own weight for every output: what the layer learns for one place "
            "of the picture says nothing about another."
        )
    elif not facts.last_dense:
        kind = "fewer and more abstract" if layer.out_features < layer.in_features else "new"
        parts.append(f"Combines its inputs into {kind} features.")
    if facts.last_dense:
        parts.append(
            "One number for each class, the logits: unnormalised scores. They may be negative and "
            "do not add up to one; the highest is the answer. Softmax turns them into "
            "probabilities; the loss (cross-entropy) does that itself, so the network has no layer "
            "for it."
        )
    return " ".join(parts)


def numbers(facts: LayerFacts) -> list[str]:
    """Sizes, parameters and receptive field, as formulas with their results."""
    row, layer = facts.row, facts.layer
    lines = []
    if row.size_formula:
        lines.append(f"size: {row.size_formula}")
    if isinstance(layer, Windowed) and padding_of(layer):
        what = "minus infinity" if isinstance(layer, MaxPool2d) else "zeros"
        kept = ", so that the map keeps its size" if _keeps_size(facts) else ""
        lines.append(f"padding: {padding_of(layer)} rows and columns of {what} on each side{kept}")
    if isinstance(layer, Conv2d) and stride_of(layer) > 1:
        lines.append(f"stride: the kernel moves {stride_of(layer)} pixels at a time")
    if row.parameters:
        lines.append(
            f"parameters: {row.parameter_formula} = {row.parameters:,}, "
            f"{_percent(facts.share)} of the network's"
        )
    elif row.size_formula:
        lines.append("parameters: none")
    if row.size_formula:
        rows, columns = facts.field
        whole = ": all of it" if facts.sees_all else ""
        lines.append(f"receptive field: {rows}×{columns} pixels of the picture{whole}")
    return lines


def run(facts: LayerFacts) -> str:
    """What training made of the layer; empty where nothing was measured."""
    measured = facts.measured
    if measured.weights is not None:
        low, high = measured.weights
        return f"weights from {_signed(low)} to {_signed(high)}."
    if measured.idle is None:
        return ""
    of = f"on {measured.pictures} test pictures"
    zero = isinstance(facts.layer, ReLU)
    idle = "zero" if zero else f"saturated (slope below {SATURATED_SHARE:.0%} of the steepest)"
    text = f"{of} {measured.idle:.0%} of the outputs are {idle}"
    if measured.dead is None:
        return f"{text}."
    units = show_shape(facts.row.output_shape)
    they = "are zero" if zero else "are so"
    return f"{text}; {measured.dead:,} of the {units} units {they} for all of them."


def _keeps_size(facts: LayerFacts) -> bool:
    return facts.row.input_shape[1:] == facts.row.output_shape[1:]


def _saved(facts: LayerFacts) -> str:
    if facts.kept >= 1:
        return ""
    share = {0.25: "a quarter", 0.5: "half"}.get(facts.kept, f"{facts.kept:.0%}")
    return f". The layers after it have less to compute: {share} of the numbers"


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.0005 else "less than 0.1%"


def _many(count: int, word: str) -> str:
    return f"{count} {word}" + ("s" if count > 1 else "")


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
