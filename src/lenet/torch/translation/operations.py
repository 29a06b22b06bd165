"""What each operation of PyTorch is as a layer, with the reason where it is none.

The functions have the signatures of PyTorch's, behind the reader (and the module that is called).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from lenet.network.codes import codes
from lenet.network.layers import (
    GELU,
    RBF,
    AvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    Layer,
    LeakyReLU,
    Linear,
    MaxPool2d,
    ReLU,
    ScaledTanh,
    Shape,
    Sigmoid,
    SiLU,
    Subsample,
    Tanh,
    show_shape,
)
from lenet.torch import of_1998
from lenet.torch.translation.one_output import SQUEEZE, SQUEEZE_CLASSES
from lenet.torch.translation.reader import COUNT, Count, Flow, Operations, Reader, Stored


def _square(reader: Reader, name: str, value: Any) -> int:
    """A size that PyTorch takes as one number or as one for each direction."""
    sizes = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(sizes) == 1:
        sizes *= 2
    if any(not isinstance(size, int) for size in sizes) or len(set(sizes)) != 1:
        raise reader.refuse(f"{name} is {value}; lenet's is the same in both directions")
    return int(sizes[0])


def _conv2d(
    reader: Reader,
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Flow:
    if _square(reader, "dilation", dilation) != 1:
        raise reader.refuse(f"dilation is {dilation}; lenet's kernels have no gaps")
    if groups != 1:
        raise reader.refuse(f"groups is {groups}; lenet's kernels see every channel")
    outputs, inputs, *kernel = reader.own(weight, "weight").shape
    kernel_size = _square(reader, "kernel_size", tuple(kernel))
    step = _square(reader, "stride", stride)
    if padding == "same":
        if step != 1 or kernel_size % 2 == 0:
            raise reader.refuse(f"padding 'same' is not symmetric for a kernel of {kernel_size}")
        padding = kernel_size // 2
    around = _square(reader, "padding", 0 if padding == "valid" else padding)
    if bias is not None:
        reader.own(bias, "bias")
    return reader.add(Conv2d(inputs, outputs, kernel_size, step, around), input)


def _conv2d_module(reader: Reader, own: nn.Conv2d, input: Any) -> Flow:
    if own.padding_mode != "zeros":
        raise reader.refuse(f"padding_mode is {own.padding_mode!r}; lenet pads with zeros")
    weight, bias = _weight_and_bias(reader, own)
    sizes = own.stride, own.padding, own.dilation
    return _conv2d(reader, input, weight, bias, *sizes, groups=own.groups)


def _linear(reader: Reader, input: Any, weight: Any, bias: Any = None) -> Flow:
    outputs, inputs = reader.own(weight, "weight").shape
    if bias is not None:
        reader.own(bias, "bias")
    return reader.add(Linear(inputs, outputs), input)


def _linear_module(reader: Reader, own: nn.Linear, input: Any) -> Flow:
    return _linear(reader, input, *_weight_and_bias(reader, own))


def _connected_conv2d_module(reader: Reader, own: of_1998.ConnectedConv2d, input: Any) -> Flow:
    mask = own._buffers["mask"]
    assert mask is not None
    if not ((mask == 0) | (mask == 1)).all():
        raise reader.refuse("its mask has numbers besides 0 and 1")
    table = tuple(tuple(row.nonzero().flatten().tolist()) for row in mask[:, :, 0, 0])
    whole = all(len(sources) == own.in_channels for sources in table)
    weight, bias = _weight_and_bias(reader, own)
    outputs, inputs, *kernel = reader.own(weight, "weight").shape
    biases = reader.own(bias, "bias")
    layer = Conv2d(
        inputs,
        outputs,
        _square(reader, "kernel_size", tuple(kernel)),
        _square(reader, "stride", own.stride),
        _square(reader, "padding", own.padding),
        None if whole else table,
        biases.shape[-1] if biases.dim() == 3 else 1,
    )
    return reader.add(layer, input)


def _subsample_module(reader: Reader, own: of_1998.Subsample, input: Any) -> Flow:
    weight, bias = _weight_and_bias(reader, own)
    reader.own(bias, "bias")
    channels = len(reader.own(weight, "weight"))
    return reader.add(Subsample(channels, own.kernel_size), input)


def _scaled_tanh_module(reader: Reader, own: of_1998.ScaledTanh, input: Any) -> Flow:
    return reader.add(ScaledTanh(own.amplitude, own.slope), input)


def _rbf_module(reader: Reader, own: of_1998.RBF, input: Any) -> Flow:
    theirs = own._buffers["codes"]
    assert theirs is not None
    layer = RBF(theirs.shape[1], theirs.shape[0])
    if not torch.equal(theirs, torch.from_numpy(codes(layer))):
        raise reader.refuse("its codes are others than those of lenet.network.codes")
    return reader.add(layer, input)


def _weight_and_bias(
    reader: Reader, own: nn.Conv2d | nn.Linear | of_1998.Subsample
) -> tuple[Stored, Stored | None]:
    assert reader.node is not None
    path = str(reader.node.target)
    # not own.bias: while forward is traced, that would be one more node
    bias = None if own._parameters["bias"] is None else Stored(f"{path}.bias")
    return Stored(f"{path}.weight"), bias


def _avg_pool2d(
    reader: Reader,
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Flow:
    layer = AvgPool2d(*_window(reader, input, kernel_size, stride, padding, ceil_mode))
    if layer.padding and not count_include_pad:
        raise reader.refuse("count_include_pad is False; lenet counts the zeros around pictures")
    if divisor_override not in (None, layer.kernel_size**2):
        raise reader.refuse(f"divisor_override is {divisor_override}; lenet takes the mean")
    return reader.add(layer, input)


def _avg_pool2d_module(reader: Reader, own: nn.AvgPool2d, input: Any) -> Flow:
    window = own.kernel_size, own.stride, own.padding, own.ceil_mode
    return _avg_pool2d(reader, input, *window, own.count_include_pad, own.divisor_override)


def _max_pool2d(
    reader: Reader,
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Flow:
    if _square(reader, "dilation", dilation) != 1:
        raise reader.refuse(f"dilation is {dilation}; lenet's windows have no gaps")
    if return_indices:
        raise reader.refuse("it returns indices, too; lenet's layers return one tensor")
    window = _window(reader, input, kernel_size, stride, padding, ceil_mode)
    return reader.add(MaxPool2d(*window), input)


def _max_pool2d_module(reader: Reader, own: nn.MaxPool2d, input: Any) -> Flow:
    window = own.kernel_size, own.stride, own.padding, own.dilation
    return _max_pool2d(reader, input, *window, own.ceil_mode, own.return_indices)


def _window(
    reader: Reader, input: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool
) -> tuple[int, int, int]:
    kernel = _square(reader, "kernel_size", kernel_size)
    step = kernel if stride in (None, [], ()) else _square(reader, "stride", stride)
    around = _square(reader, "padding", padding)
    sizes = reader.take(input).shape[1:]
    if ceil_mode and any((size + 2 * around - kernel) % step for size in sizes):
        raise reader.refuse(
            f"ceil_mode is True, and windows of {kernel} with stride {step} do not divide "
            f"{show_shape(sizes)}; lenet leaves the rest out"
        )
    return kernel, step, around


def _elementwise(layer: Layer, inplace: bool = False) -> Callable[..., Flow]:
    default = inplace

    def function(reader: Reader, input: Any, inplace: bool = default) -> Flow:
        return reader.add(layer, input, inplace)

    return function


def _elementwise_module(layer: Layer) -> Callable[..., Flow]:
    def function(reader: Reader, own: Any, input: Any) -> Flow:
        return reader.add(layer, input, getattr(own, "inplace", False))

    return function


def _leaky_relu(
    reader: Reader, input: Any, negative_slope: float = 0.01, inplace: bool = False
) -> Flow:
    return reader.add(LeakyReLU(float(negative_slope)), input, inplace)


def _leaky_relu_(reader: Reader, input: Any, negative_slope: float = 0.01) -> Flow:
    return _leaky_relu(reader, input, negative_slope, inplace=True)


def _leaky_relu_module(reader: Reader, own: nn.LeakyReLU, input: Any) -> Flow:
    return _leaky_relu(reader, input, own.negative_slope, own.inplace)


def _gelu(reader: Reader, input: Any, *, approximate: str = "none") -> Flow:
    if approximate != "none":
        raise reader.refuse(f"approximate is {approximate!r}; lenet's GELU is exact, 'none'")
    return reader.add(GELU(), input)


def _gelu_module(reader: Reader, own: nn.GELU, input: Any) -> Flow:
    return _gelu(reader, input, approximate=own.approximate)


def _dropout(
    reader: Reader, input: Any, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Flow:
    if training and not reader.training:
        raise reader.refuse("it drops units in evaluation, too: give it training=self.training")
    if training:
        return reader.add(Dropout(p), input, inplace)
    return reader.give(reader.take(input).shape)


def _torch_dropout(reader: Reader, input: Any, p: float, train: bool) -> Flow:
    return _dropout(reader, input, p, train)


def _dropout_module(reader: Reader, own: nn.Dropout, input: Any) -> Flow:
    return reader.add(Dropout(own.p), input, own.inplace)


def _flatten(reader: Reader, input: Any, start_dim: int = 0, end_dim: int = -1) -> Flow:
    shape = reader.take(input).shape
    dimensions = len(shape) + 1
    start, end = start_dim % dimensions, end_dim % dimensions
    if start == end:
        return reader.give(shape)
    if start == 0 and shape == (1,):
        return _squeezed(reader, SQUEEZE_CLASSES, shape)
    if (start, end) != (1, dimensions - 1):
        raise reader.refuse(
            f"it joins dimensions {start} to {end} of {dimensions}; a network makes one vector of "
            "each picture: start_dim=1"
        )
    return _reshape(reader, input, COUNT, math.prod(shape))


def _flatten_module(reader: Reader, own: nn.Flatten, input: Any) -> Flow:
    return _flatten(reader, input, own.start_dim, own.end_dim)


def _reshape(reader: Reader, input: Any, *sizes: Any, shape: Any = None) -> Flow:
    now = reader.take(input).shape
    if shape is not None:
        sizes = tuple(shape)
    elif len(sizes) == 1 and isinstance(sizes[0], tuple | list):
        sizes = tuple(sizes[0])
    first, rest = sizes[0], sizes[1:]
    if now == (1,) and not rest and (first is COUNT or first == -1):
        return _squeezed(reader, SQUEEZE_CLASSES, now)
    if rest.count(-1) == 1 and first is COUNT:
        known = -math.prod(size for size in rest if isinstance(size, int))
        if known > 0 and math.prod(now) % known == 0:
            rest = tuple(math.prod(now) // known if size == -1 else size for size in rest)
    shown = ", ".join("n" if size is COUNT else str(size) for size in sizes)
    if not (first is COUNT or first == -1):
        raise reader.refuse(f"({shown}) fixes the number of pictures; begin with x.shape[0] or -1")
    if any(not isinstance(size, int) for size in rest) or math.prod(rest) != math.prod(now):
        raise reader.refuse(
            f"({shown}) does not hold one picture a row: a picture is {show_shape(now)} here"
        )
    if rest == now:
        return reader.give(now)
    if not reader.layers and len(now) != 3 and len(rest) == 3:
        reader.input_shape = rest  # the module's own way of giving a picture its shape
        return reader.give(rest)
    if len(rest) == 1:
        return reader.add(Flatten(), input)
    raise reader.refuse(
        f"it makes {show_shape(rest)} of {show_shape(now)}; a network can only flatten"
    )


def _unflatten(reader: Reader, input: Any, dim: int, sizes: Any) -> Flow:
    now = reader.take(input).shape
    place = dim % (len(now) + 1) - 1
    if place < 0:
        raise reader.refuse("it cuts the number of pictures")
    return _reshape(reader, input, COUNT, *now[:place], *sizes, *now[place + 1 :])


def _unflatten_module(reader: Reader, own: nn.Unflatten, input: Any) -> Flow:
    if not isinstance(own.dim, int):
        raise reader.refuse("its dimension has a name; give its number")
    return _unflatten(reader, input, own.dim, own.unflattened_size)


def _unsqueeze(reader: Reader, input: Any, dim: int) -> Flow:
    now = reader.take(input).shape
    place = dim % (len(now) + 2) - 1
    if place < 0:
        raise reader.refuse("it makes the batch a single picture")
    return _reshape(reader, input, COUNT, *now[:place], 1, *now[place:])


def _pad(
    reader: Reader, input: Any, pad: Any, mode: str = "constant", value: float | None = None
) -> Flow:
    if mode != "constant" or value:
        raise reader.refuse(f"it pads with {value if mode == 'constant' else mode}, not with zeros")
    if len(pad) != 4 or len(set(pad)) != 1 or pad[0] < 0:
        raise reader.refuse(f"padding is {tuple(pad)}; lenet's is the same on all four sides")
    return reader.pad(input, pad[0])


def _pad_module(reader: Reader, own: Any, input: Any) -> Flow:
    return _pad(reader, input, own.padding, value=own.value)


def _final(name: str) -> Callable[..., Flow]:
    def function(
        reader: Reader, input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
    ) -> Flow:
        shape = reader.take(input).shape
        # Without a dim, PyTorch takes 1 of two dimensions, and warns: the code is older than that.
        if dim not in (None, 1, -1) or len(shape) != 1 or dtype is not None:
            raise reader.refuse(f"{name} with dim={dim}; only dim=1, over the classes, is known")
        reader.final = name
        return reader.give(shape)

    return function


def _final_module(name: str) -> Callable[..., Flow]:
    return lambda reader, own, input: _final(name)(reader, input, own.dim)


def _squeeze(reader: Reader, input: Any, dim: int | None = None) -> Flow:
    shape = reader.take(input).shape
    if shape != (1,) or dim not in (None, 1, -1):
        raise reader.refuse(
            f"it takes dimensions of size 1 away, and a picture is {show_shape(shape)} here; only "
            "that of a single output can be, at the end: for others use flatten"
        )
    return _squeezed(reader, SQUEEZE if dim is None else SQUEEZE_CLASSES, shape)


def _squeezed(reader: Reader, name: str, shape: Shape) -> Flow:
    reader.final = name
    return reader.give(shape)


def _getitem(reader: Reader, input: Any, index: Any) -> Any:
    """``x[:, 0]`` of a single output; all else is no layer."""
    if (
        isinstance(input, Flow)
        and input.shape == (1,)
        and isinstance(index, tuple)
        and len(index) == 2
        and index[0] in (slice(None), Ellipsis)
        and index[1] in (0, -1)
    ):
        return _squeezed(reader, SQUEEZE_CLASSES, reader.take(input).shape)
    raise reader.refuse(
        "lenet has no such layer; only x[:, 0] of a single output can be, at the end"
    )


def _identity(reader: Reader, input: Any) -> Flow:
    return reader.give(reader.take(input).shape)


def _size(reader: Reader, input: Any, dim: int) -> Count:
    return COUNT  # all others are numbers that _Proxy knows


MODULES: dict[Any, Callable[..., Any]] = {
    nn.Conv2d: _conv2d_module,
    nn.Linear: _linear_module,
    nn.AvgPool2d: _avg_pool2d_module,
    nn.MaxPool2d: _max_pool2d_module,
    nn.ReLU: _elementwise_module(ReLU()),
    nn.LeakyReLU: _leaky_relu_module,
    nn.GELU: _gelu_module,
    nn.SiLU: _elementwise_module(SiLU()),
    nn.Sigmoid: _elementwise_module(Sigmoid()),
    nn.Tanh: _elementwise_module(Tanh()),
    nn.Dropout: _dropout_module,
    nn.Flatten: _flatten_module,
    nn.Unflatten: _unflatten_module,
    nn.ZeroPad2d: _pad_module,
    nn.ConstantPad2d: _pad_module,
    nn.Identity: lambda reader, own, input: _identity(reader, input),
    nn.Softmax: _final_module("softmax"),
    nn.LogSoftmax: _final_module("log_softmax"),
    of_1998.ConnectedConv2d: _connected_conv2d_module,
    of_1998.Subsample: _subsample_module,
    of_1998.ScaledTanh: _scaled_tanh_module,
    of_1998.RBF: _rbf_module,
}
METHODS: dict[str, Callable[..., Any]] = {
    "relu": _elementwise(ReLU()),
    "relu_": _elementwise(ReLU(), inplace=True),
    "sigmoid": _elementwise(Sigmoid()),
    "sigmoid_": _elementwise(Sigmoid(), inplace=True),
    "tanh": _elementwise(Tanh()),
    "tanh_": _elementwise(Tanh(), inplace=True),
    "flatten": _flatten,
    "reshape": _reshape,
    "view": _reshape,
    "unflatten": _unflatten,
    "unsqueeze": _unsqueeze,
    "softmax": _final("softmax"),
    "log_softmax": _final("log_softmax"),
    "squeeze": _squeeze,
    "contiguous": _identity,
    "float": _identity,
    "size": _size,
}
# F.sigmoid and F.tanh call the methods.
FUNCTIONS: dict[Any, Callable[..., Any]] = {
    torch.conv2d: _conv2d,  # also F.conv2d
    F.linear: _linear,
    F.avg_pool2d: _avg_pool2d,
    F.max_pool2d: _max_pool2d,
    torch.max_pool2d: _max_pool2d,
    F.relu: _elementwise(ReLU()),
    F.relu_: _elementwise(ReLU(), inplace=True),
    F.leaky_relu: _leaky_relu,
    F.leaky_relu_: _leaky_relu_,
    F.gelu: _gelu,
    F.silu: _elementwise(SiLU()),
    **{getattr(torch, name): METHODS[name] for name in ("relu", "relu_")},
    **{getattr(torch, name): METHODS[name] for name in ("sigmoid", "sigmoid_", "tanh", "tanh_")},
    F.dropout: _dropout,
    torch.dropout: _torch_dropout,
    torch.flatten: _flatten,
    torch.reshape: _reshape,
    torch.unflatten: _unflatten,
    torch.unsqueeze: _unsqueeze,
    torch.squeeze: _squeeze,
    operator.getitem: _getitem,
    F.pad: _pad,
    F.softmax: _final("softmax"),
    torch.softmax: _final("softmax"),
    F.log_softmax: _final("log_softmax"),
    torch.log_softmax: _final("log_softmax"),
}

OPERATIONS = Operations(MODULES, FUNCTIONS, METHODS)
