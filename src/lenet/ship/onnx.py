"""A trained network as an ONNX model: a uint8 picture goes in, probabilities come out.

It is written from the network's description, without PyTorch, in operators of opset 13 (2021), so
that older readers take it. Normalization, temperature and "none of these" are part of the graph.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, assert_never, cast

import numpy as np
from numpy.typing import NDArray

from lenet.data import preparation as preparations
from lenet.network.architecture import to_dict, trace
from lenet.network.codes import codes
from lenet.network.layers import (
    GELU,
    RBF,
    AvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    LeakyReLU,
    Linear,
    MaxPool2d,
    ReLU,
    ScaledTanh,
    Sigmoid,
    SiLU,
    Subsample,
    Tanh,
    show_shape,
    stride_of,
)
from lenet.network.parameters import existing_weights
from lenet.ship.checking import largest_difference
from lenet.ship.missing import import_extra

if TYPE_CHECKING:
    import onnx

    from lenet.ship.model import Model

OPSET: Final = 13
IR_VERSION: Final = 7
INPUT: Final = "pictures"
OUTPUTS: Final = ("probabilities", "logits", "known")
CALIBRATION_PICTURES: Final = 500


def to_onnx(model: Model) -> onnx.ModelProto:
    """The ONNX model: ``pictures`` uint8 (n, channels, height, width) in; ``probabilities`` and
    ``logits`` float32 (n, classes) out, and ``known`` bool (n,), false for "none of these".

    Raises ImportError without onnx.
    """
    library = import_extra("onnx", "export")
    helper, numbers = library.helper, library.numpy_helper
    network = model.network
    nodes: list[Any] = []
    constants: list[Any] = []

    def constant(name: str, values: Any) -> str:
        constants.append(numbers.from_array(np.asarray(values), name))
        return name

    def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], output, **attributes))
        return output

    channels = network.input_shape[0]
    deviation = np.resize(network.normalization.deviation, channels).reshape(-1, 1, 1)
    mean = np.resize(network.normalization.mean, channels).reshape(-1, 1, 1)
    x = node("Cast", [INPUT], "pixels", to=library.TensorProto.FLOAT)
    scale = constant("pixel_scale", (1 / (255 * deviation)).astype(np.float32))
    x = node("Mul", [x, scale], "scaled")
    if mean.any():
        x = node("Sub", [x, constant("pixel_mean", (mean / deviation).astype(np.float32))], "input")
    for row in trace(network):
        layer, name = row.layer, f"layer_{row.index}"
        weight, bias = f"{row.index}.weight", f"{row.index}.bias"
        match layer:
            case Conv2d():
                window = _window(layer.kernel_size, layer.stride, layer.padding)
                constant(weight, existing_weights(layer, model.parameters[weight]))
                constant(bias, model.parameters[bias])
                if layer.bias_size == 1:
                    x = node("Conv", [x, weight, bias], name, **window)
                else:
                    x = node("Conv", [x, weight], f"{name}_sums", **window)
                    x = node("Add", [x, bias], name)
            case Linear():
                constant(weight, model.parameters[weight])
                constant(bias, model.parameters[bias])
                x = node("Gemm", [x, weight, bias], name, transB=1)
            case Subsample(channels, kernel_size):  # a kernel of equal weights for each channel
                kernels = model.parameters[weight].reshape(-1, 1, 1, 1)
                constant(weight, np.tile(kernels, (1, 1, kernel_size, kernel_size)))
                constant(bias, model.parameters[bias])
                window = _window(kernel_size, kernel_size, 0)
                x = node("Conv", [x, weight, bias], name, group=channels, **window)
            case RBF():  # -Σ (x - code)², each picture beside each code
                axis = constant(f"{name}_axis", np.array([1]))
                beside = node("Unsqueeze", [x, axis], f"{name}_beside")
                apart = node("Sub", [beside, constant(f"{name}_codes", codes(layer))], f"{name}_by")
                distance = node(
                    "ReduceSumSquare", [apart], f"{name}_distance", axes=[2], keepdims=0
                )
                x = node("Neg", [distance], name)
            case AvgPool2d():
                window = _window(layer.kernel_size, stride_of(layer), layer.padding)
                x = node("AveragePool", [x], name, count_include_pad=1, **window)
            case MaxPool2d():
                window = _window(layer.kernel_size, stride_of(layer), layer.padding)
                x = node("MaxPool", [x], name, **window)
            case Sigmoid() | Tanh():
                x = node(row.kind, [x], name)
            case ReLU():
                x = node("Relu", [x], name)
            case LeakyReLU(negative_slope):
                x = node("LeakyRelu", [x], name, alpha=negative_slope)
            case GELU():  # (x / 2) · (1 + erf(x / √2)): opset 13 has no Gelu yet
                root, one, half = (
                    constant(f"{name}_{what}", np.float32(value))
                    for what, value in (("root", math.sqrt(0.5)), ("one", 1), ("half", 0.5))
                )
                scaled = node("Mul", [x, root], f"{name}_scaled")
                share = node("Add", [node("Erf", [scaled], f"{name}_erf"), one], f"{name}_share")
                x = node("Mul", [node("Mul", [x, half], f"{name}_halved"), share], name)
            case ScaledTanh(amplitude, slope):
                steep = constant(f"{name}_slope", np.float32(slope))
                high = constant(f"{name}_amplitude", np.float32(amplitude))
                scaled = node("Mul", [x, steep], f"{name}_scaled")
                x = node("Mul", [node("Tanh", [scaled], f"{name}_tanh"), high], name)
            case SiLU():
                x = node("Mul", [x, node("Sigmoid", [x], f"{name}_sigmoid")], name)
            case Flatten():
                x = node("Flatten", [x], name, axis=1)
            case Dropout():
                pass  # acts in training alone
            case _:
                assert_never(layer)
    probabilities, logits, known = OUTPUTS
    node("Identity", [x], logits)
    temperature = constant("temperature", np.float32(model.calibration.temperature))
    divided = node("Div", [x, temperature], "divided")
    node("Softmax", [divided], probabilities, axis=1)
    threshold = model.calibration.threshold
    least = constant("threshold", np.float32(-math.inf if threshold is None else threshold))
    familiarity = node("ReduceLogSumExp", [x], "familiarity", axes=[1], keepdims=0)
    node("Not", [node("Less", [familiarity, least], "unknown")], known)

    kinds, classes = library.TensorProto, len(network.classes)
    graph = helper.make_graph(
        nodes,
        network.name,
        [helper.make_tensor_value_info(INPUT, kinds.UINT8, ["n", *network.input_shape])],
        [
            helper.make_tensor_value_info(probabilities, kinds.FLOAT, ["n", classes]),
            helper.make_tensor_value_info(logits, kinds.FLOAT, ["n", classes]),
            helper.make_tensor_value_info(known, kinds.BOOL, ["n"]),
        ],
        constants,
        doc_string=f"{show_shape(network.input_shape)} uint8 pictures to the probabilities of "
        f"{classes} classes; the metadata name them",
    )
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="lenet"
    )
    made.ir_version = IR_VERSION
    helper.set_model_props(made, metadata(model))
    library.checker.check_model(made, full_check=True)
    return cast("onnx.ModelProto", made)


def metadata(model: Model) -> dict[str, str]:
    """What the model says of itself beside its graph, each as JSON but for the source."""
    return {
        "classes": json.dumps(list(model.network.classes), ensure_ascii=False),
        "temperature": json.dumps(model.calibration.temperature),
        "threshold": json.dumps(model.calibration.threshold),
        "preparation": json.dumps(preparations.to_dict(model.preparation)),
        "network": json.dumps(to_dict(model.network), ensure_ascii=False),
        "source": Path(model.source).name,
    }


def _window(kernel_size: int, stride: int, padding: int) -> dict[str, Any]:
    return {
        "kernel_shape": [kernel_size] * 2,
        "strides": [stride] * 2,
        "pads": [padding] * 4,
    }


# --- computed by onnxruntime -------------------------------------------------------------------


def session(path_or_bytes: str | bytes, threads: int = 0) -> Any:
    """An onnxruntime session of a model; ImportError without onnxruntime."""
    runtime = import_extra("onnxruntime", "export")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    return runtime.InferenceSession(path_or_bytes, options, providers=["CPUExecutionProvider"])


def compute(
    loaded: Any, pictures: NDArray[np.uint8], batch_size: int = 500
) -> dict[str, NDArray[Any]]:
    """Each of ``OUTPUTS`` for pictures (n, channels, height, width), as onnxruntime computes it."""
    parts = [
        loaded.run(list(OUTPUTS), {INPUT: pictures[at : at + batch_size]})
        for at in range(0, len(pictures), batch_size)
    ]
    return {
        name: np.concatenate(arrays)
        for name, arrays in zip(OUTPUTS, zip(*parts, strict=True), strict=True)
    }


def check(loaded: Any, model: Model, pictures: NDArray[np.uint8]) -> float:
    """The largest difference of a logit between onnxruntime and the engine here, at most 1e-4.

    Raises ParityError where it is larger.
    """
    logits = compute(loaded, pictures)["logits"]
    return largest_difference("onnxruntime", logits, model.logits(pictures))


# --- int8 --------------------------------------------------------------------------------------


class _Calibration:
    """The pictures that say how large values become, one batch after the other."""

    def __init__(self, pictures: NDArray[np.uint8]) -> None:
        self._batches = iter(self._cut(pictures))

    @staticmethod
    def _cut(pictures: NDArray[np.uint8]) -> Iterator[dict[str, Any]]:
        for at in range(0, len(pictures), 50):
            yield {INPUT: pictures[at : at + 50]}

    def get_next(self) -> dict[str, Any] | None:
        return next(self._batches, None)


def quantize(source: Path, target: Path, pictures: NDArray[np.uint8]) -> None:
    """Write a model's int8 form, of the pictures' (n, channels, height, width) ranges.

    Weights and what flows between layers are int8, with a scale for each output channel (QDQ
    nodes); normalization and softmax stay float32. ImportError without onnxruntime.
    """
    quantization = import_extra("onnxruntime.quantization", "export")
    with _without_advice():
        quantization.quantize_static(
            str(source),
            str(target),
            _Calibration(pictures[:CALIBRATION_PICTURES]),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=[
                "Conv",
                "Gemm",
                "AveragePool",
                "MaxPool",
                "Sigmoid",
                "Tanh",
                "Relu",
            ],
            per_channel=True,
            activation_type=quantization.QuantType.QInt8,
            weight_type=quantization.QuantType.QInt8,
        )


@contextmanager
def _without_advice() -> Iterator[None]:
    """Hold back onnxruntime's advice to prepare the model first: there is nothing to fold in it."""
    logger = logging.getLogger()
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before
