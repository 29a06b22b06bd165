"""Reads a PyTorch state dict on standard input; writes it as safetensors on standard output.

    python -m lenet.lab.torch_file < model.pt > model.safetensors

A process of its own: PyTorch is large, and a file from a stranger may bring down what reads it.
With ``weights_only`` nothing in the file is run. An error is one line on standard error, exit 1.
"""

from __future__ import annotations

import io
import re
import sys
import zipfile
from typing import Any

from lenet.installing import how_to_install

LARGEST = 512 << 20  # bytes, unpacked
MOST_TENSORS = 2_000
MOST_DEEP = 3  # dictionaries inside each other
KEYS = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params")
_CLASS = re.compile(r"GLOBAL ([\w.]{1,100})")  # what PyTorch refuses to make


class TorchFileError(ValueError):
    """A file that holds no state dict."""


def convert(content: bytes) -> bytes:
    """The state dict of a .pt file as safetensors; the order of its names in the metadata."""
    try:
        parts = zipfile.ZipFile(io.BytesIO(content)).infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        raise TorchFileError(
            "this file is not from torch.save, or it is from PyTorch 1.5 or older, or cut off: "
            "save it again with torch.save(model.state_dict(), …)"
        ) from None
    if sum(part.file_size for part in parts) > LARGEST:
        raise TorchFileError(f"it unpacks to more than {LARGEST:,} bytes")
    if not any(part.filename.endswith("data.pkl") for part in parts):
        raise TorchFileError("this zip archive is not from torch.save: give the file inside it")
    try:
        import torch
    except ImportError:
        raise TorchFileError(
            "a .pt file needs PyTorch to be read: save safetensors, or install it by "
            f"{how_to_install('torch')}"
        ) from None
    try:
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds: a stranger chose the bytes
        found = _CLASS.search(str(error))
        what = f"it holds an object of the class {found[1]}" if found else "it is damaged"
        raise TorchFileError(
            f"{what}, and only tensors are read: save it again with "
            "torch.save(model.state_dict(), …)"
        ) from None
    return _packed(_state_dict(loaded, torch), torch)


def _state_dict(loaded: Any, torch: Any) -> dict[str, Any]:
    """The tensors by name, of a state dict or of a checkpoint that has one inside."""
    for _ in range(MOST_DEEP):
        inner = _inner(loaded, torch)
        if inner is None:
            break
        loaded = inner
    if not isinstance(loaded, dict):
        raise TorchFileError(f"it holds a {type(loaded).__name__}, not a state dict")
    tensors = {
        name: value
        for name, value in loaded.items()
        if isinstance(name, str) and isinstance(value, torch.Tensor)
    }
    if len(tensors) != len(loaded) or not tensors:
        raise TorchFileError(
            "it is not a state dict: its names must be texts, its values tensors; save it again "
            "with torch.save(model.state_dict(), …)"
        )
    if len(tensors) > MOST_TENSORS:
        raise TorchFileError(f"it has {len(tensors):,} tensors, more than {MOST_TENSORS:,}")
    return tensors


def _inner(loaded: Any, torch: Any) -> dict[str, Any] | None:
    """The dictionary in which a training loop keeps the tensors; None where there is none.

    By the names that are usual, else the only one that has tensors and nothing else, else the only
    one.
    """
    if not isinstance(loaded, dict):
        return None
    inside = {key: value for key, value in loaded.items() if isinstance(value, dict) and value}
    for key in KEYS:
        if key in inside:
            return dict(inside[key])
    plain = [
        value
        for value in inside.values()
        if all(isinstance(tensor, torch.Tensor) for tensor in value.values())
    ]
    found = plain or [*inside.values()]
    return dict(found[0]) if len(found) == 1 else None


def _packed(tensors: dict[str, Any], torch: Any) -> bytes:
    import json

    from safetensors.torch import save

    # a tensor can promise more numbers than the file has: one number repeated
    if sum(4 * tensor.numel() for tensor in tensors.values()) > LARGEST:
        raise TorchFileError(f"its tensors have more than {LARGEST:,} bytes")
    plain = {}
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized:
            raise TorchFileError(f"{name[:100]} is no plain tensor")
        wide = tensor.to(torch.float32) if tensor.is_floating_point() else tensor
        plain[name] = wide.contiguous().clone()
    content: bytes = save(plain, {"order": json.dumps(list(plain))})
    return content


def main() -> int:
    """The exit code."""
    try:
        content = convert(sys.stdin.buffer.read())
    except Exception as error:
        print(" ".join(str(error).split()) or type(error).__name__, file=sys.stderr)
        return 1
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
