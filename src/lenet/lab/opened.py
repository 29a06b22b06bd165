"""Files that are opened in the page: another program's weights for a network that is known.

What names the layers have in the file does not matter where it can be seen which is which: by
the same names, or by shapes that only one layer has. Which way was taken is told.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from lenet.network import zoo
from lenet.network.architecture import Network, from_dict
from lenet.network.layers import ArchitectureError, show_shape
from lenet.network.parameters import Parameters, parameter_shapes
from lenet.network.weights import KEY, Entry, WeightsError, read_header
from lenet.untrusted import plain

TORCH_PATIENCE_S: Final = 60.0
# What other files begin with, and what to do about them.
OTHERS: Final = (
    (b"\x89HDF\r\n", "an HDF5 file, as Keras writes them"),
    (b"\x12\x01\0\0\0\0\0\0", "a parameter file of MXNet"),
    (b"\x93NUMPY", "an array of NumPy"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"<", "a page or a drawing"),
)
TORCH: Final = (b"PK\x03\x04", b"\x80")  # a zip, or a pickle: what torch.save wrote, new or old
GIVE: Final = "give a .safetensors file, or a state dict that torch.save wrote"
_WEIGHT = re.compile(r"(.*?)\.?(weight|bias)")
_FLOATS: Final = {"F64": np.float64, "F32": np.float32, "F16": np.float16}


@dataclass(frozen=True)
class Opened:
    """What a file holds: tensors by name in its order, and the network where it says which."""

    tensors: dict[str, Any]
    network: Network | None
    in_order: bool  # whether the order is that of the layers, as in a state dict
    remarks: tuple[str, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)  # beside the network, where there is one


def read(name: str, content: bytes) -> Opened:
    """What the file of that name holds: its bytes say what it is, its name does not.

    Raises WeightsError with the reason.
    """
    where = plain(name, 100)
    if not content:
        raise WeightsError(f"{where} is empty")
    if content[8:9] != b"{":  # else safetensors: the length of the header, and the header
        for beginning, kind in OTHERS:
            if content.startswith(beginning):
                raise WeightsError(f"{where} is {kind}: {GIVE}")
        if content.startswith(TORCH):
            content = _from_torch(content)
        elif not name.lower().endswith(".safetensors"):
            raise WeightsError(f"{where} is no file of weights that LeNet reads: {GIVE}")
    return _safetensors(content, where)


def _from_torch(content: bytes) -> bytes:
    command = [sys.executable, "-m", "lenet.lab.torch_file"]
    try:
        result = subprocess.run(
            command, input=content, capture_output=True, timeout=TORCH_PATIENCE_S
        )
    except subprocess.TimeoutExpired:
        raise WeightsError("PyTorch took too long to read it") from None
    if result.returncode:
        lines = result.stderr.decode("utf-8", "replace").strip().splitlines()
        raise WeightsError(plain(lines[-1]) if lines else "PyTorch could not read it")
    return result.stdout


def _safetensors(content: bytes, where: str) -> Opened:
    """The tensors of a safetensors file, all of them float32, in the order of the state dict.

    The library's reader knows no bfloat16 for NumPy, and forgets the order.
    """
    header = read_header(content, where)
    converted: set[str] = set()
    tensors = {entry.name: _tensor(entry, content, converted) for entry in header.entries}
    order, network = header.described("order"), header.described(KEY)
    in_order = isinstance(order, list) and sorted(map(str, order)) == sorted(tensors)
    if in_order:
        tensors = {str(name): tensors[str(name)] for name in order}
    remarks = tuple(f"{kind} was turned into float32" for kind in sorted(converted))
    notes = network if isinstance(network, dict) and "network" in network else {}
    return Opened(tensors, _network(network), in_order, remarks, notes)


def _tensor(entry: Entry, content: bytes, converted: set[str]) -> Any:
    raw = memoryview(content)[entry.start : entry.stop]
    if entry.kind == "BF16":  # the upper half of a float32
        values = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    elif entry.kind in _FLOATS:
        stored = np.dtype(_FLOATS[entry.kind]).newbyteorder("<")
        with np.errstate(over="ignore"):  # float64 beyond float32: infinity
            values = np.frombuffer(raw, stored).astype(np.float32)
    else:
        return None  # counters, such as num_batches_tracked
    if entry.kind != "F32":
        converted.add(entry.kind)
    return values.reshape(entry.shape)


def _network(values: Any) -> Network | None:
    if not isinstance(values, dict) or "network" not in values:
        return None
    try:
        return from_dict(values["network"])
    except ArchitectureError as error:
        raise WeightsError(f"the network in the file: {plain(str(error))}") from None


# --- which tensor is which ---------------------------------------------------------------------


def match(opened: Opened, network: Network) -> tuple[Parameters, str]:
    """The network's parameters from a file's tensors, and how their names were matched.

    Raises WeightsError where they do not fit, or where two layers could be exchanged.
    """
    tensors = {name: value for name, value in opened.tensors.items() if value is not None}
    shapes = parameter_shapes(network)
    if tensors.keys() == shapes.keys() and all(
        tensors[name].shape == shape for name, shape in shapes.items()
    ):
        return {name: tensors[name] for name in shapes}, "names as in an nn.Sequential"
    theirs: dict[str, dict[str, str]] = {}
    for name in tensors:
        part = _WEIGHT.fullmatch(name)
        if part is None:
            raise WeightsError(
                f"{plain(name)} is neither a weight nor a bias; network {network.name!r} has "
                "nothing else"
            )
        theirs.setdefault(part[1], {})[part[2]] = name
    ours = list(dict.fromkeys(name.partition(".")[0] for name in shapes))
    wanted = {layer: _signature(layer, shapes) for layer in ours}
    there = {
        prefix: tuple(tensors[names[p]].shape if p in names else None for p in ("weight", "bias"))
        for prefix, names in theirs.items()
    }
    if sorted(map(str, wanted.values())) != sorted(map(str, there.values())):
        raise WeightsError(_misfit(network, wanted, there))
    ordered = list(there)
    if opened.in_order and [there[prefix] for prefix in ordered] == list(wanted.values()):
        pairs, how = dict(zip(ours, ordered, strict=True)), "names matched in the file's order"
    elif len(set(wanted.values())) == len(wanted):
        pairs = {
            layer: next(prefix for prefix in there if there[prefix] == wanted[layer])
            for layer in ours
        }
        how = "names matched by shapes, of which every layer has its own"
    else:
        raise WeightsError(
            f"two layers of network {network.name!r} have the same shape, and the file's names do "
            "not say which is which: name them as in an nn.Sequential, 0.weight, 0.bias …"
        )
    parameters = {
        f"{layer}.{part}": tensors[theirs[pairs[layer]][part]]
        for layer in ours
        for part in ("weight", "bias")
    }
    listed = ", ".join(f"{plain(pairs[layer]) or '(none)'} → {layer}" for layer in ours)
    return parameters, f"{how}: {listed}"


def guess(opened: Opened, named: Sequence[Network] = ()) -> Network:
    """The network of a file that does not say which: the only one that its tensors fit.

    Raises WeightsError where there is none, or more than one.
    """
    fitting = []
    for network in named or _candidates(opened):
        try:
            match(opened, network)
        except WeightsError:
            continue
        fitting.append(network)
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise WeightsError(
            "its tensors fit none of the known networks; describe the network as a list of layers"
        )
    names = ", ".join(network.name for network in fitting)
    raise WeightsError(f"its tensors fit {names}: say which network it is")


def fitted(opened: Opened, name: str, shape: tuple[int, int, int] | None = None) -> Network:
    """The zoo's network of that name, for as many classes and channels as the file has.

    Raises ValueError for an unknown name.
    """
    name = zoo.name_of(name)
    weights = [value for value in opened.tensors.values() if value is not None]
    kernels = [value for value in weights if value.ndim == 4]
    channels = kernels[0].shape[1] if opened.in_order and kernels else 1
    dense = [value for value in weights if value.ndim == 2]
    inputs = {value.shape[1] for value in dense}
    # the last layer's outputs are no layer's inputs
    last = [value.shape[0] for value in dense if value.shape[0] not in inputs]
    classes = last[-1] if last and 2 <= last[-1] <= 256 else 10
    return zoo.build(name, shape or (_at_least_one(channels), *_size_of(name)), int(classes))


def _candidates(opened: Opened) -> list[Network]:
    found = []
    for name in zoo.NETWORKS:
        try:
            found.append(fitted(opened, name))
        except ValueError:
            continue
    return found


def _size_of(name: str) -> tuple[int, int]:
    return zoo.own_shape(name)[1:]


def _at_least_one(channels: int) -> int:
    return channels if 1 <= channels <= 16 else 1


def _signature(layer: str, shapes: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(shapes.get(f"{layer}.{part}") for part in ("weight", "bias"))


def _misfit(network: Network, wanted: dict[str, Any], there: dict[str, Any]) -> str:
    """What the network needs and the file lacks, or has too much."""

    def shown(shapes: Any) -> str:
        return " and ".join(show_shape(shape) for shape in shapes if shape is not None)

    has, needs = [shown(s) for s in there.values()], [shown(s) for s in wanted.values()]
    return (
        f"the file is not of network {network.name!r}: it has layers of {'; '.join(has)[:300]}, "
        f"and the network needs {'; '.join(needs)[:300]}"
    )
