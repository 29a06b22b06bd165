"""The reference engine: NumPy that reads like the mathematics, and always works.

Activations lie as (channels, height, width, n): the batch last, so that every window is a copy
of long runs of memory and every layer is one matrix product. Each layer is a pair x_forward,
x_backward; gradients are named d…, the gradient of the loss by what follows.

A batch is cut into chunks of 64 pictures, which go through the network side by side, one thread
each; their gradients are summed in order. Thus the number of threads changes no bit. (BLAS's own
threads would wait for each other in every small product: on a busy machine they were measured
20 times slower than none.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import DTypeLike, NDArray
from threadpoolctl import ThreadpoolController

from lenet.engines.protocol import (
    Batches,
    Gradients,
    Metrics,
    Pictures,
    Position,
    class_weights_of,
    normalization_table,
    shares,
)
from lenet.engines.warping import parts, warp
from lenet.machine import keep_freed_memory
from lenet.network.architecture import Network, trace
from lenet.network.codes import codes
from lenet.network.hashing import hash32
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
    ReLU,
    ScaledTanh,
    Sigmoid,
    SiLU,
    Subsample,
    Tanh,
    Weighted,
    Windowed,
    curve,
    padding_of,
    stride_of,
)
from lenet.network.parameters import (
    Layout,
    Parameters,
    State,
    check_parameters,
    connection_mask,
    weight_mask,
)
from lenet.optimization import Objective, Optimizer

Array = NDArray[Any]  # of the engine's float type
T = TypeVar("T")

CHUNK = 64  # pictures that go through the network at once; part of the result's last bits


class NumpyEngine:
    """See ``lenet.engines.Engine``. ``dtype`` float64 is for checking gradients."""

    name = "numpy"
    device = "cpu"

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer,
        objective: Objective,
        threads: int = 1,
        dtype: DTypeLike = np.float32,
    ) -> None:
        trace(network)
        self._class_weights = class_weights_of(objective, network)
        self.network = network
        self.optimizer = optimizer
        self.objective = objective
        self.threads = threads
        self.dtype = np.dtype(dtype)
        self.layout = Layout.of(network)
        self._blas = ThreadpoolController()
        found = self._blas.select(user_api="blas").info()
        self.instruction_set = str(found[0].get("architecture", "?")) if found else "?"
        self._pixel_values = normalization_table(network).astype(self.dtype)
        self._codes = {
            index: codes(layer).astype(self.dtype)
            for index, layer in enumerate(network.layers)
            if isinstance(layer, RBF)
        }
        self._flat = np.zeros(self.layout.size, self.dtype)
        self._moments = {name: np.zeros_like(self._flat) for name in optimizer.moments}
        self._average = self._flat.copy() if optimizer.average else None
        self._step = 0
        keep_freed_memory()
        self._workers = ThreadPoolExecutor(threads, thread_name_prefix="lenet")

    # --- state ---

    def load(self, state: State) -> None:
        check_parameters(self.network, state.parameters, "state")
        mask = weight_mask(self.network, self.layout)
        exists = 1 if mask is None else mask.astype(self.dtype)
        self._flat = self.layout.flatten(state.parameters, self.dtype) * exists
        for name, moment in self._moments.items():
            values = state.moments.get(name)
            moment[:] = 0 if values is None else self.layout.flatten(values, self.dtype)
        if self._average is not None:
            self._average = self.layout.flatten(state.weights, self.dtype) * exists
        self._step = state.step

    def state(self) -> State:
        views = self.layout.views
        return State(
            parameters=views(self._flat.copy()),
            moments={name: views(moment.copy()) for name, moment in self._moments.items()},
            average=None if self._average is None else views(self._average.copy()),
            step=self._step,
        )

    # --- training ---

    def train(self, split: Pictures, batches: Batches) -> Metrics:
        losses, correct = [], 0
        for place, learning_rate in zip(batches.steps(), batches.learning_rates, strict=True):
            chosen = batches.order[place]
            images = split.images[chosen]
            if batches.augmentation is not None:
                images = augment(images, batches.augmentation[place])
            at = batches.position
            position = Position(at.seed, at.epoch, at.first_sample + place.start)
            weights = None if batches.weights is None else batches.weights[place]
            gradients = self.gradients(images, split.labels[chosen], position, weights)
            self.apply(gradients, float(learning_rate))
            losses.append(gradients.metrics.losses)
            correct += gradients.metrics.correct
        return Metrics(np.concatenate(losses), correct, len(batches.order))

    def gradients(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        position: Position,
        weights: NDArray[np.float32] | None = None,
    ) -> Gradients:
        parameters = self.layout.views(self._flat)
        share = shares(self._class_weights, labels, weights, len(labels))
        scale = None if share is None else share.astype(self.dtype)

        def of_chunk(part: slice) -> tuple[Array, float, int]:
            place = Position(position.seed, position.epoch, position.first_sample + part.start)
            logits, caches = self._forward(images[part], parameters, place)
            losses, dlogits = cross_entropy(
                logits,
                labels[part],
                self.objective.label_smoothing,
                self._class_weights,
                self.objective.rubbish_logit,
            )
            if scale is None:
                dlogits = dlogits / len(images)
            else:
                dlogits, losses = dlogits * scale[part], losses * (scale[part] * len(images))
            gradient = self._backward(dlogits, caches, parameters)
            correct = int((logits.argmax(0) == labels[part]).sum())
            return self.layout.flatten(gradient, self.dtype), _sum(losses), correct

        total, loss, correct = np.zeros_like(self._flat), 0.0, 0
        for gradient, its_loss, its_correct in self._map_chunks(of_chunk, len(images)):
            total += gradient
            loss += its_loss
            correct += its_correct
        return Gradients(total, self.layout, Metrics(np.array([loss]), correct, len(images)))

    @np.errstate(all="ignore")
    def apply(self, gradients: Gradients, learning_rate: float) -> None:
        self._step += 1
        optimizer_step(
            self.optimizer, self._flat, gradients.flat, self._moments, learning_rate, self._step
        )
        if self._average is not None:
            decay = self.optimizer.averaging_decay(self._step)
            self._average += (1 - decay) * (self._flat - self._average)

    # --- looking ---

    def evaluate(self, split: Pictures) -> Metrics:
        parameters = self.layout.views(self._weights())
        classes = len(self.network.classes)

        def of_chunk(part: slice) -> tuple[float, NDArray[np.int64]]:
            labels = split.labels[part]
            logits, _ = self._forward(split.images[part], parameters)
            losses, _ = cross_entropy(logits, labels, label_smoothing=0.0)
            pairs = labels * classes + logits.argmax(0)
            return _sum(losses), np.bincount(pairs, minlength=classes * classes)

        losses, counts = zip(*self._map_chunks(of_chunk, len(split.labels)), strict=True)
        confusion = np.sum(counts, axis=0).reshape(classes, classes)
        correct = int(np.trace(confusion))
        return Metrics(np.array(losses), correct, len(split.labels), confusion)

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        parameters = self.layout.views(self._weights())
        chunks = self._map_chunks(
            lambda part: self._forward(images[part], parameters)[0].T, len(images)
        )
        return np.ascontiguousarray(np.concatenate(chunks), np.float32)

    def activations(self, images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        parameters = self.layout.views(self._weights())

        def of_chunk(part: slice) -> list[Array]:
            outputs: list[Array] = []
            self._forward(images[part], parameters, keep=outputs.append)
            return [np.moveaxis(output, -1, 0) for output in outputs]

        chunks = self._map_chunks(of_chunk, len(images))
        return [
            np.ascontiguousarray(np.concatenate(outputs)) for outputs in zip(*chunks, strict=True)
        ]

    def _map_chunks(self, function: Callable[[slice], T], examples: int) -> list[T]:
        """What ``function`` gives for each chunk, in order, the chunks spread over the threads."""
        parts = [slice(start, min(start + CHUNK, examples)) for start in range(0, examples, CHUNK)]

        def quietly(part: slice) -> T:  # whoever trains asks whether the loss is a number
            with np.errstate(all="ignore"):
                return function(part)

        with self._blas.limit(limits=1):
            if self.threads == 1 or len(parts) == 1:
                return [quietly(part) for part in parts]
            return list(self._workers.map(quietly, parts))

    def _weights(self) -> Array:
        return self._flat if self._average is None else self._average

    # --- the network ---

    def _forward(
        self,
        images: NDArray[np.uint8],
        parameters: Parameters,
        position: Position | None = None,
        keep: Callable[[Array], None] | None = None,
    ) -> tuple[Array, list[Any]]:
        """The logits (classes, n), and what each layer's backward needs.

        Dropout acts only where there is a ``position``, that is in training.
        """
        x = self._normalize(images)
        caches: list[Any] = []
        for index, layer in enumerate(self.network.layers):
            weight, bias = f"{index}.weight", f"{index}.bias"
            cache: Any = None
            match layer:
                case Conv2d():
                    x, cache = conv2d_forward(x, parameters[weight], parameters[bias], layer)
                case Linear():
                    x, cache = linear_forward(x, parameters[weight], parameters[bias])
                case AvgPool2d():
                    x, cache = avg_pool2d_forward(x, layer)
                case MaxPool2d():
                    x, cache = max_pool2d_forward(x, layer)
                case Subsample():
                    x, cache = subsample_forward(x, parameters[weight], parameters[bias], layer)
                case RBF():
                    x, cache = rbf_forward(x, self._codes[index])
                case Dropout():
                    if position is not None and layer.p > 0:
                        cache = dropout_scale(layer.p, x.shape, index, position).astype(x.dtype)
                        x = x * cache
                case Flatten():
                    cache = x.shape
                    x = x.reshape(-1, x.shape[-1])
                case _ if isinstance(layer, Activation):
                    cache = x, activate(layer, x)
                    x = cache[1]
            caches.append(cache)
            if keep is not None:
                keep(x)
        return x, caches

    def _backward(self, dout: Array, caches: list[Any], parameters: Parameters) -> Parameters:
        """The gradient of every parameter, from that of the logits."""
        gradients: Parameters = {}
        first = next(
            (i for i, one in enumerate(self.network.layers) if isinstance(one, Weighted)), 0
        )
        for index in range(len(caches) - 1, first - 1, -1):
            layer, cache = self.network.layers[index], caches[index]
            weight, bias = f"{index}.weight", f"{index}.bias"
            match layer:
                case Conv2d():
                    gradients[weight], gradients[bias] = conv2d_backward_weight(dout, cache, layer)
                    if index > first:  # nobody asks for the gradient of the picture
                        dout = conv2d_backward_input(dout, parameters[weight], cache, layer)
                case Linear():
                    gradients[weight], gradients[bias], dout = linear_backward(
                        dout, parameters[weight], cache
                    )
                case AvgPool2d():
                    dout = avg_pool2d_backward(dout, cache, layer)
                case MaxPool2d():
                    dout = max_pool2d_backward(dout, cache, layer)
                case Subsample():
                    gradients[weight], gradients[bias], dout = subsample_backward(
                        dout, parameters[weight], cache, layer
                    )
                case RBF():
                    dout = rbf_backward(dout, self._codes[index], cache)
                case Dropout():
                    dout = dout if cache is None else dout * cache
                case Flatten():
                    dout = dout.reshape(cache)
                case _ if isinstance(layer, Activation):
                    dout = dout * slope(layer, *cache)
        return gradients

    def _normalize(self, images: NDArray[np.uint8]) -> Array:
        """Pictures (n, channels, height, width) uint8 as the first layer sees them, batch last."""
        pixels = np.ascontiguousarray(images.transpose(1, 2, 3, 0))
        return np.stack(
            [table[plane] for table, plane in zip(self._pixel_values, pixels, strict=True)]
        )


# --- convolution -------------------------------------------------------------------------------


def conv2d_forward(x: Array, weight: Array, bias: Array, layer: Conv2d) -> tuple[Array, Any]:
    """Every kernel on every window, as one matrix product.

    x (in, h, w, n) → (out, oh, ow, n); kept: the windows (in·k·k, oh·ow·n) and x's shape.
    """
    k, stride = layer.kernel_size, layer.stride
    windows = sliding_window_view(pad(x, layer.padding, 0), (k, k), axis=(1, 2))
    windows = windows[:, ::stride, ::stride]  # (in, oh, ow, n, k, k)
    oh, ow = windows.shape[1:3]
    columns = windows.transpose(0, 4, 5, 1, 2, 3).reshape(-1, oh * ow * x.shape[-1])
    out = weight.reshape(len(weight), -1) @ columns
    out = out.reshape(-1, oh, ow, x.shape[-1])
    out += bias.reshape(len(bias), layer.bias_size, layer.bias_size, 1)
    return out, (columns, x.shape)


def conv2d_backward_weight(dout: Array, cache: Any, layer: Conv2d) -> tuple[Array, Array]:
    """dweight (out, in, k, k) and dbias (out,), of biases a unit (out, oh, ow)."""
    columns, _ = cache
    dbias = dout.sum((1, 2, 3)) if layer.bias_size == 1 else dout.sum(3)
    dout = dout.reshape(len(dout), -1)
    dweight = (dout @ columns.T).reshape(-1, layer.in_channels, *(layer.kernel_size,) * 2)
    if layer.connections is not None:  # the other weights do not exist: they are 0 and stay so
        dweight *= connection_mask(layer)[:, :, None, None]
    return dweight, dbias


def conv2d_backward_input(dout: Array, weight: Array, cache: Any, layer: Conv2d) -> Array:
    """dinp (in, h, w, n): each output's gradient goes back to the window that made it."""
    _, shape = cache
    k, (_, oh, ow, n) = layer.kernel_size, dout.shape
    dcolumns = weight.reshape(len(weight), -1).T @ dout.reshape(len(dout), -1)
    dcolumns = dcolumns.reshape(layer.in_channels, k, k, oh, ow, n)
    dinp = np.zeros(padded_shape(shape, layer.padding), dout.dtype)
    for row in range(k):
        for column in range(k):
            dinp[window_slice(layer, row, column, oh, ow)] += dcolumns[:, row, column]
    return unpad(dinp, layer.padding)


# --- pooling -----------------------------------------------------------------------------------


def avg_pool2d_forward(x: Array, layer: AvgPool2d) -> tuple[Array, Any]:
    """The mean of each window: x (c, h, w, n) → (c, oh, ow, n)."""
    padded = pad(x, layer.padding, 0)
    oh, ow = output_size(x, layer)
    out = np.zeros((len(x), oh, ow, x.shape[-1]), x.dtype)
    for row in range(layer.kernel_size):
        for column in range(layer.kernel_size):
            out += padded[window_slice(layer, row, column, oh, ow)]
    out /= layer.kernel_size**2
    return out, x.shape


def avg_pool2d_backward(dout: Array, shape: Any, layer: AvgPool2d) -> Array:
    """dinp (c, h, w, n): an equal share of dout for every member of the window."""
    share = dout / layer.kernel_size**2
    dinp = np.zeros(padded_shape(shape, layer.padding), dout.dtype)
    for row in range(layer.kernel_size):
        for column in range(layer.kernel_size):
            dinp[window_slice(layer, row, column, *dout.shape[1:3])] += share
    return unpad(dinp, layer.padding)


def max_pool2d_forward(x: Array, layer: MaxPool2d) -> tuple[Array, Any]:
    """The largest of each window: x (c, h, w, n) → (c, oh, ow, n)."""
    padded = pad(x, layer.padding, -np.inf)
    oh, ow = output_size(x, layer)
    out = np.full((len(x), oh, ow, x.shape[-1]), -np.inf, x.dtype)
    for row in range(layer.kernel_size):
        for column in range(layer.kernel_size):
            np.maximum(out, padded[window_slice(layer, row, column, oh, ow)], out=out)
    return out, (padded, out)


def max_pool2d_backward(dout: Array, cache: Any, layer: MaxPool2d) -> Array:
    """dinp (c, h, w, n): all of dout to the first member that has the largest value."""
    padded, out = cache
    dinp = np.zeros_like(padded)
    waiting = np.ones(out.shape, bool)  # windows whose winner was not met yet
    for row in range(layer.kernel_size):
        for column in range(layer.kernel_size):
            place = window_slice(layer, row, column, *out.shape[1:3])
            wins = waiting & (padded[place] == out)
            dinp[place] += dout * wins
            waiting &= ~wins
    return unpad(dinp, layer.padding)


def subsample_forward(x: Array, weight: Array, bias: Array, layer: Subsample) -> tuple[Array, Any]:
    """Each window's sum times its channel's weight, plus its bias: x (c, h, w, n) → (c, oh, ow, n).

    Kept: the sums and x's shape.
    """
    oh, ow = output_size(x, layer)
    sums = np.zeros((len(x), oh, ow, x.shape[-1]), x.dtype)
    for row in range(layer.kernel_size):
        for column in range(layer.kernel_size):
            sums += x[window_slice(layer, row, column, oh, ow)]
    return sums * weight[:, None, None, None] + bias[:, None, None, None], (sums, x.shape)


def subsample_backward(
    dout: Array, weight: Array, cache: Any, layer: Subsample
) -> tuple[Array, Array, Array]:
    """dweight (c,), dbias (c,), dinp (c, h, w, n): every member of a window counts alike."""
    sums, shape = cache
    dsums = dout * weight[:, None, None, None]
    dinp = np.zeros(shape, dout.dtype)
    for row in range(layer.kernel_size):
        for column in range(layer.kernel_size):
            dinp[window_slice(layer, row, column, *dout.shape[1:3])] = dsums
    return (dout * sums).sum((1, 2, 3)), dout.sum((1, 2, 3)), dinp


# --- windows -----------------------------------------------------------------------------------


def window_slice(layer: Windowed, row: int, column: int, oh: int, ow: int) -> tuple[slice, ...]:
    """Where the member (row, column) of all windows lies in the padded (c, h, w, n)."""
    stride = stride_of(layer)
    rows = slice(row, row + stride * (oh - 1) + 1, stride)
    columns = slice(column, column + stride * (ow - 1) + 1, stride)
    return slice(None), rows, columns


def output_size(x: Array, layer: Windowed) -> tuple[int, int]:
    """How many windows fit below and beside each other."""
    room, stride = 2 * padding_of(layer) - layer.kernel_size, stride_of(layer)
    return (x.shape[1] + room) // stride + 1, (x.shape[2] + room) // stride + 1


def padded_shape(shape: tuple[int, ...], padding: int) -> tuple[int, ...]:
    """(c, h, w, n) with the padding on all four sides."""
    return shape[0], shape[1] + 2 * padding, shape[2] + 2 * padding, shape[3]


def pad(x: Array, padding: int, value: float) -> Array:
    """x (c, h, w, n) with ``value`` around each picture."""
    if padding == 0:
        return x
    padded = np.full(padded_shape(x.shape, padding), value, x.dtype)
    padded[:, padding:-padding, padding:-padding] = x
    return padded


def unpad(x: Array, padding: int) -> Array:
    """x without its padding."""
    return x if padding == 0 else x[:, padding:-padding, padding:-padding]


# --- dense layers and activations --------------------------------------------------------------


def linear_forward(x: Array, weight: Array, bias: Array) -> tuple[Array, Array]:
    """x (in, n) → (out, n); kept: x."""
    return weight @ x + bias[:, None], x


def linear_backward(dout: Array, weight: Array, x: Array) -> tuple[Array, Array, Array]:
    """dweight (out, in), dbias (out,), dinp (in, n)."""
    return dout @ x.T, dout.sum(1), weight.T @ dout


def rbf_forward(x: Array, code: Array) -> tuple[Array, Array]:
    """Minus the squared distance to each code (out, in): x (in, n) → (out, n); kept: x."""
    return -((x - code[:, :, None]) ** 2).sum(1), x


def rbf_backward(dout: Array, code: Array, x: Array) -> Array:
    """dinp (in, n): the code pulls, or pushes, by twice the difference."""
    dinp: Array = 2 * (code.T @ dout - x * dout.sum(0))
    return dinp


def _sum(losses: Array) -> float:
    """In float64, so that many small losses are not lost beside their sum."""
    return float(losses.sum(dtype=np.float64))


def activate(layer: Activation, x: Array) -> Array:
    """f(x)."""
    match layer:
        case Sigmoid():
            return sigmoid(x)
        case Tanh():
            return np.tanh(x)
        case ReLU():
            return np.maximum(x, 0)
        case LeakyReLU(below):
            return np.where(x < 0, x * below, x)
        case GELU():
            return x * normal_below(x)
        case SiLU():
            return x * sigmoid(x)
        case ScaledTanh(a, s):
            return a * np.tanh(s * x)


def slope(layer: Activation, x: Array, y: Array) -> Array:
    """f'(x), where y is f(x)."""
    slopes: Array
    match layer:
        case Sigmoid():
            slopes = y * (1 - y)
        case Tanh():
            slopes = 1 - y * y
        case ReLU():
            slopes = y > 0
        case LeakyReLU():
            slopes = np.where(x > 0, 1, layer.negative_slope).astype(x.dtype)
        case GELU():
            slopes = normal_below(x) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        case SiLU():
            s = sigmoid(x)
            slopes = s * (1 + x * (1 - s))
        case ScaledTanh():
            slopes = layer.amplitude * layer.slope * (1 - (y / layer.amplitude) ** 2)
    return slopes


def saturated(layer: Activation, x: Array, y: Array) -> NDArray[np.bool_]:
    """Where a change of x hardly comes through: slopes below SATURATED_SHARE of the steepest."""
    flat: NDArray[np.bool_] = abs(slope(layer, x, y)) < SATURATED_SHARE * curve(layer).steepest
    return flat


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)); where exp overflows, the quotient is the 0 that it should be."""
    out = np.exp(-x)
    out += 1
    return np.reciprocal(out, out=out)


def normal_below(x: Array) -> Array:
    """Φ(x), the share of a normal distribution below x, by Python's own erfc."""
    below = np.vectorize(math.erfc, otypes=[np.float64])(-x.astype(np.float64) / math.sqrt(2)) / 2
    return np.asarray(below, x.dtype)


def cross_entropy(
    logits: Array,
    labels: NDArray[np.int64],
    label_smoothing: float,
    class_weights: Sequence[float] = (),
    rubbish_logit: float = -math.inf,
) -> tuple[Array, Array]:
    """Each picture's loss (n,), and its gradient (classes, n) by the logits (classes, n).

    ``rubbish_logit`` is that of one class more, which no picture has.
    """
    rubbish = logits.dtype.type(rubbish_logit)
    highest = np.maximum(logits.max(0), rubbish)
    shifted = logits - highest
    log_probabilities = shifted - np.log(np.exp(shifted).sum(0) + np.exp(rubbish - highest))
    target = np.full_like(logits, label_smoothing / len(logits))
    target[labels, np.arange(len(labels))] += 1 - label_smoothing
    if not class_weights:
        return -(target * log_probabilities).sum(0), np.exp(log_probabilities) - target
    # each class's part of the target is weighted, as in PyTorch, and so adds up to no 1
    target *= np.asarray(class_weights, logits.dtype)[:, None]
    gradient = np.exp(log_probabilities) * target.sum(0) - target
    return -(target * log_probabilities).sum(0), gradient


# --- dropout, augmentation, optimiser ----------------------------------------------------------


def dropout_scale(
    p: float, shape: tuple[int, ...], layer: int, position: Position
) -> NDArray[np.float64]:
    """0 for the units to drop, 1 / (1 - p) for the others; shape (…, n), batch last.

    A function of seed, epoch, the picture's place in the epoch, layer and unit alone: the hash of
    docs/randomness.md, the same in every engine.
    """
    units, n = int(np.prod(shape[:-1])), shape[-1]
    key = hash32(np.array([position.seed], np.uint32))
    key = hash32(key ^ np.uint32(position.epoch))
    key = hash32(key ^ np.uint32(layer))
    samples = np.arange(position.first_sample, position.first_sample + n).astype(np.uint32)
    picture = hash32(key ^ samples)  # (n,)
    unit = np.arange(units).astype(np.uint32) * np.uint32(0x9E3779B9)
    drawn = hash32(unit[:, None] + picture)
    kept = 1 / (1 - p) if p < 1 else 0  # where p is 1, none is
    return np.where(drawn < p * 2**32, 0, kept).reshape(shape)


def augment(images: NDArray[np.uint8], table: NDArray[np.int16]) -> NDArray[np.uint8]:
    """The pictures (n, c, h, w) mirrored, warped, moved, painted over, as their rows say.

    0 moves in. ``warping.parts`` tells what the table's columns are.
    """
    moves, displacements, rectangles = parts(table)
    if displacements is None:
        images = move(images, moves)
    else:
        mirrored = move(images, moves * np.array([0, 0, 1], np.int16))
        images = move(warp(mirrored, displacements), moves * np.array([1, 1, 0], np.int16))
    return images if rectangles is None else erase(images, rectangles)


def move(images: NDArray[np.uint8], table: NDArray[np.int16]) -> NDArray[np.uint8]:
    """The pictures mirrored, then moved."""
    height, width = images.shape[2:]
    down, right, mirrored = table.T.astype(np.int64)
    rows = np.arange(height) - down[:, None]  # (n, h) the row that comes here
    columns = np.arange(width) - right[:, None]  # (n, w)
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[
        :, None, :
    ]
    columns = np.where(mirrored[:, None] == 1, width - 1 - columns, columns)
    picture = np.arange(len(images))[:, None, None]
    # advanced indices on both sides of a slice put their axes first: (n, h, w, c)
    moved = images[
        picture, :, rows.clip(0, height - 1)[:, :, None], columns.clip(0, width - 1)[:, None, :]
    ]
    return np.where(inside[..., None], moved, np.uint8(0)).transpose(0, 3, 1, 2)


def erase(images: NDArray[np.uint8], rectangles: NDArray[np.int16]) -> NDArray[np.uint8]:
    """The pictures (n, c, h, w), each with its rectangle (top, left, height, width, grey)."""
    top, left, height, width, grey = rectangles.T.astype(np.int64)[:, :, None]
    rows, columns = (np.arange(side) for side in images.shape[2:])
    inside = ((rows >= top) & (rows < top + height))[:, None, :, None] & (
        (columns >= left) & (columns < left + width)
    )[:, None, None]
    return np.where(inside, grey.astype(np.uint8)[:, :, None, None], images)


def optimizer_step(
    optimizer: Optimizer,
    flat: Array,
    gradient: Array,
    moments: dict[str, Array],
    learning_rate: float,
    step: int,
) -> None:
    """One step of PyTorch's rules on the flat vector of all parameters, in place; first step: 1."""
    decay = optimizer.weight_decay
    if optimizer.method == "adamw":
        flat *= 1 - learning_rate * decay
    elif decay:
        gradient = gradient + decay * flat
    if optimizer.method == "sgd":
        if optimizer.momentum:
            buffer = moments["momentum_buffer"]
            buffer *= optimizer.momentum
            buffer += gradient
            gradient = gradient + optimizer.momentum * buffer if optimizer.nesterov else buffer
        flat -= learning_rate * gradient
        return
    if optimizer.method == "sdlm":
        flat -= learning_rate * gradient / (moments["curvature"] + optimizer.damping)
        return
    first, second = moments["exp_avg"], moments["exp_avg_sq"]
    first += (1 - optimizer.beta1) * (gradient - first)
    second *= optimizer.beta2
    second += (1 - optimizer.beta2) * gradient * gradient
    corrected = np.sqrt(second) / math.sqrt(1 - optimizer.beta2**step) + optimizer.eps
    flat -= learning_rate / (1 - optimizer.beta1**step) * first / corrected
