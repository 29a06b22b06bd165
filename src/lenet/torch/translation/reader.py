"""One run of a module's ``forward`` without numbers, each operation taken as a layer.

``torch.fx`` calls ``forward`` with a stand-in for the pictures; every operation on it is a node of
a graph. ``Reader`` takes the nodes as they come: each is a layer, or is refused by its name. Since
it knows all shapes on the way, sizes are plain numbers to ``forward``; only the number of pictures
stays open.
"""

from __future__ import annotations

import inspect
import math
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from lenet.network.architecture import trace_layers
from lenet.network.layers import (
    ArchitectureError,
    AvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    Layer,
    Linear,
    Shape,
    Sigmoid,
)
from lenet.torch.translation.one_output import SINGLE


class UnsupportedModuleError(ValueError):
    """A module that is no chain of lenet's layers; the message names the node and the reason."""

    writes = ""  # what forward had done besides until then, see Reading


def picture_shape(shape: Shape) -> tuple[int, int, int]:
    """The shape as a network has it; UnsupportedModuleError where there is none.

    A vector is a flat picture of one channel: a square where its length allows, else one row.
    """
    if len(shape) == 1:
        side = math.isqrt(shape[0])
        return (1, side, side) if side**2 == shape[0] else (1, 1, shape[0])
    if len(shape) != 3:
        raise UnsupportedModuleError(
            f"input_shape is {tuple(shape)}, must be (channels, height, width): a network takes "
            "pictures, or flat ones, (784,)"
        )
    channels, height, width = shape
    return channels, height, width


class Count:
    """The number of pictures in a batch: the one size that is not known."""


COUNT = Count()
STARRED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
ONE_AT_A_TIME = threading.RLock()  # fx puts its own functions into nn.Module, and back


@dataclass(frozen=True)
class Flow:
    """What the chain has computed up to a node."""

    node: fx.Node
    shape: Shape  # of one picture


@dataclass(frozen=True)
class Stored:
    """A parameter or buffer, by its key."""

    key: str


@dataclass(frozen=True)
class Operations:
    """What each operation does to the chain: of (reader, module, …) or (reader, …)."""

    modules: dict[type[nn.Module], Callable[..., Any]]
    functions: dict[Any, Callable[..., Any]]
    methods: dict[str, Callable[..., Any]]


class _Proxy(fx.Proxy):
    """What ``forward`` gets in place of a tensor; its sizes are numbers."""

    @property
    def shape(self) -> tuple[Any, ...]:
        tracer = cast(_Tracer, self.tracer)
        value = tracer.reader.values[self.node]
        if isinstance(value, Flow):
            count = tracer.create_proxy("call_method", "size", (self, 0), {})
            return (count, *value.shape)
        if isinstance(value, Stored):
            return tuple(tracer.reader.tensors[value.key].shape)
        raise tracer.reader.unknown or tracer.reader.refuse("it has no shape", self.node)

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def dim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        reader = cast(_Tracer, self.tracer).reader
        raise reader.refuse("len() of it is asked for; x.shape[0] can be followed", self.node)


class _Tracer(fx.Tracer):
    """Has each node read as soon as it is there, so that its shape is known."""

    proxy_buffer_attributes = True  # so that nothing is written to a buffer

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self.reader = reader
        self.thread = threading.get_ident()

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        known = type(m) in self.reader.operations.modules
        return known or super().is_leaf_module(m, module_qualified_name)

    # While it traces, fx sees the modules that other threads call, too.

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        if threading.get_ident() != self.thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: Any) -> Any:
        if threading.get_ident() != self.thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(*args, **kwargs)
        self.reader.read(node)
        return node

    def create_args_for_root(
        self, root_fn: Any, is_module: bool, concrete_args: Any = None
    ) -> tuple[Any, list[Any]]:
        """``forward`` is called as by anyone, with pictures alone: what has a default keeps it."""
        _, *parameters = inspect.signature(root_fn).parameters.values()
        missing = [
            parameter.name
            for parameter in parameters[1:]
            if parameter.default is parameter.empty and parameter.kind not in STARRED
        ]
        pictures = [parameter.name for parameter in parameters[:1]] or ["pictures"]
        inputs = [self.create_proxy("placeholder", name, (), {}) for name in (*pictures, *missing)]
        return root_fn, [self.root, *inputs]

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    def to_bool(self, obj: fx.Proxy) -> bool:
        raise self.reader.refuse("forward branches on its value", obj.node)

    def iter(self, obj: fx.Proxy) -> Iterator[Any]:
        raise self.reader.refuse("forward loops over it", obj.node)


class Reader:
    """The layers of one run of ``forward``, taken node by node."""

    def __init__(self, module: nn.Module, input_shape: Shape, operations: Operations) -> None:
        self.module = module
        self.operations = operations
        self.parameters = dict(module.named_parameters(remove_duplicate=False))
        self.tensors: dict[str, Tensor] = {**self.parameters, **dict(module.named_buffers())}
        self.training = module.training
        self.first_shape = self.input_shape = tuple(input_shape)
        self.layers: list[Layer] = []
        self.nodes: list[fx.Node] = []  # that computed them
        self.keys: dict[str, str] = {}
        self.final = ""
        self.untrained = ""  # the first node under torch.no_grad or inference_mode
        self.values: dict[fx.Node, Any] = {}
        self.current: Flow | None = None
        self.padding: tuple[int, fx.Node] | None = None  # before the next layer
        self.node: fx.Node | None = None
        self.graph: fx.Graph | None = None
        self.unknown: UnsupportedModuleError | None = None  # the first operation that is no layer

    def trace(self) -> None:
        """Run ``forward``; UnsupportedModuleError says where it cannot be followed."""
        try:
            with (
                ONE_AT_A_TIME,
                torch.inference_mode(False),
                torch.enable_grad(),
                torch.autocast("cpu", enabled=False),
            ):
                self.graph = _Tracer(self).trace(self.module)
        except UnsupportedModuleError:
            raise
        except Exception as error:  # whatever forward does with what is no tensor
            where = _line_of_forward(traceback.extract_tb(error.__traceback__))
            raise UnsupportedModuleError(
                f"forward of {type(self.module).__name__} cannot be followed{where}: {error}"
            ) from error
        if self.unknown:
            raise self.unknown
        used = {id(self.parameters[key]) for key in self.keys.values()}
        for key, parameter in self.parameters.items():
            if id(parameter) not in used:
                raise UnsupportedModuleError(
                    f"parameter {key} is not used by forward: remove its layer"
                )

    def without_dropout(self) -> list[object]:
        """All that the run computes but for dropout, to compare with another run."""
        layers = [
            (layer, self.keys.get(f"{index}.weight"), self.keys.get(f"{index}.bias"))
            for index, layer in enumerate(self.layers)
            if not isinstance(layer, Dropout)
        ]
        return [self.input_shape, self.final, *layers]

    def computing_nodes(self) -> list[fx.Node]:
        """The node of each layer that is no dropout."""
        pairs = zip(self.layers, self.nodes, strict=True)
        return [node for layer, node in pairs if not isinstance(layer, Dropout)]

    def read(self, node: fx.Node) -> None:
        """Take one node; UnsupportedModuleError where it is no layer."""
        self.node = node
        if not torch.is_grad_enabled() and not self.untrained:
            self.untrained = self._describe(node)
        if torch.is_autocast_enabled("cpu"):
            raise self.refuse("forward computes it under autocast, in another type than float32")
        if node.op == "placeholder":
            if self.current is not None:
                raise self.refuse("a second input; a network takes pictures alone")
            self.values[node] = self.current = Flow(node, self.input_shape)
        elif node.op == "get_attr":
            self.values[node] = Stored(str(node.target))
        elif node.op == "output":
            self._finish(node.args[0])
        else:
            args = cast(Any, fx.map_arg(node.args, self.values.__getitem__))
            kwargs = cast(Any, fx.map_arg(node.kwargs, self.values.__getitem__))
            if node.op == "call_module":
                own = self.module.get_submodule(str(node.target))
                handler: Any = self.operations.modules.get(type(own))
                args = (own, *args)
            elif node.op == "call_method":
                handler = self.operations.methods.get(str(node.target))
            else:
                handler = self.operations.functions.get(node.target)
            if handler is None:
                # Not yet an error: where forward branches on it, that is the reason to give.
                self.unknown = self.unknown or self._unknown(args)
                self.values[node] = self.unknown
                return
            try:
                self.values[node] = handler(self, *args, **kwargs)
            except TypeError as error:  # an argument that the table's function does not have
                raise self.refuse(str(error).replace("()", "", 1).lstrip("_")) from error

    def _unknown(self, args: tuple[Any, ...]) -> UnsupportedModuleError:
        if sum(isinstance(value, Flow) for value in args) > 1:
            return self.refuse(
                "it joins two branches (a skip connection); a network here is one chain of layers"
            )
        return self.refuse("lenet has no such layer; the docstring of from_torch lists what it has")

    def _finish(self, value: Any) -> None:
        flow = self.values.get(value) if isinstance(value, fx.Node) else None
        if not isinstance(flow, Flow):
            raise self.unknown or self.refuse(
                "forward must return one tensor, the outputs of the last layer"
            )
        self._check_current(flow)
        if self.padding:
            raise self._stray_padding()

    # --- what the tables' functions use ---

    def refuse(self, reason: str, node: fx.Node | None = None) -> UnsupportedModuleError:
        """The error for a node, by default the one that is being read."""
        node = node or self.node
        assert node is not None
        where = _line_of_forward(traceback.extract_stack())
        return UnsupportedModuleError(
            f"node {node.name!r} ({self._describe(node)}){where}: {reason}"
        )

    def _describe(self, node: fx.Node) -> str:
        target = str(node.target)
        if node.op == "call_module":
            return f"{target}, {type(self.module.get_submodule(target)).__name__}"
        if node.op == "call_method":
            return f"Tensor.{target}"
        if node.op == "call_function":
            return getattr(node.target, "__name__", target)
        return node.op

    def take(self, value: Any, after_final: bool = False) -> Flow:
        """The pictures that a node takes, where they are the end of the chain."""
        if not isinstance(value, Flow):
            raise self.unknown or self.refuse("its input is not what the layer before it gives")
        self._check_current(value)
        if self.final and not after_final:
            raise self.refuse(f"it comes after {self.final}, which only the end can be")
        return value

    def _check_current(self, flow: Flow) -> None:
        assert self.current is not None
        if flow != self.current:
            raise self.refuse(
                f"it takes the output of {flow.node.name!r}, but {self.current.node.name!r} came "
                "after that; a network here is one chain of layers, without branches"
            )

    def give(self, shape: Shape) -> Flow:
        """The end of the chain, now at this node."""
        assert self.node is not None
        self.current = Flow(self.node, shape)
        return self.current

    def add(self, layer: Layer, value: Any, inplace: bool = False) -> Flow:
        """The end of the chain after one more layer."""
        # of (n, 1) or (n,), a sigmoid is the same
        self.take(value, isinstance(layer, Sigmoid) and self.final in SINGLE)
        assert self.node is not None
        self._begin()
        if self.padding:
            if not isinstance(layer, Conv2d | AvgPool2d):
                raise self._stray_padding()
            layer = replace(layer, padding=layer.padding + self.padding[0])
            self.padding = None
        if inplace and all(isinstance(done, Dropout | Flatten) for done in self.layers):
            raise self.refuse("it would write into the pictures: use inplace=False")
        try:
            shape = picture_shape(self.input_shape)
            rows = trace_layers(shape, (*self.layers, layer))
        except (ArchitectureError, UnsupportedModuleError) as error:
            flat = isinstance(layer, Linear) and not self.layers
            hint = "; put nn.Flatten() in front of it" if flat else ""
            raise self.refuse(f"{error}{hint}") from None
        self.layers.append(layer)
        self.nodes.append(self.node)
        return self.give(rows[-1].output_shape)

    def own(self, stored: Any, what: str) -> Tensor:
        """The parameter that a layer about to be added uses; entered under the layer's number."""
        if not isinstance(stored, Stored) or stored.key not in self.parameters:
            raise self.unknown or self.refuse(f"its {what} is not a parameter of the module")
        self._begin()
        parameter = self.parameters[stored.key]
        for key in self.keys.values():
            if self.parameters[key] is parameter:
                raise self.refuse(
                    f"parameter {stored.key} is used twice; lenet's layers share none"
                )
        self.keys[f"{len(self.layers)}.{what}"] = stored.key
        return parameter

    def _begin(self) -> None:
        """Before the first layer of a module that takes vectors: what makes them of pictures."""
        if not self.layers and len(self.input_shape) == 1:
            assert self.current is not None
            self.layers.append(Flatten())
            self.nodes.append(self.current.node)

    def _stray_padding(self) -> UnsupportedModuleError:
        assert self.padding
        return self.refuse(
            "zeros around pictures can only come right before a convolution or average pooling",
            self.padding[1],
        )

    def pad(self, value: Any, amount: int) -> Flow:
        """The end of the chain after zeros on all sides, which the next layer will have."""
        flow = self.take(value)
        assert self.node is not None
        if len(flow.shape) != 3:
            raise self.refuse("it pads vectors")
        before = self.padding[0] if self.padding else 0
        self.padding = before + amount, self.node
        channels, height, width = flow.shape
        return self.give((channels, height + 2 * amount, width + 2 * amount))


def _line_of_forward(stack: traceback.StackSummary) -> str:
    """Where in somebody's forward the stack's end is: " at model.py:17", or empty."""
    # PyTorch's frames, and ours, such as accelerate()'s round the forward of each module
    others, place = (str(Path(torch.__file__).parent), str(Path(__file__).parents[2])), ""
    for frame in reversed(stack):
        if frame.filename == __file__ and frame.name == "trace":
            return place  # what lies above is who asked for the translation
        if not place and not frame.filename.startswith(others):
            place = f" at {Path(frame.filename).name}:{frame.lineno}"
    return ""
