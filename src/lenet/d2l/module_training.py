"""Training of a PyTorch module as ``train_ch6`` of the d2l book does it: SGD, cross-entropy.

Two loops with the same outcome: PyTorch's, for any module on any device; and the native engine's,
for a module that is a chain of our layers, on a CPU, with pictures from a MemoryLoader. Both see
the same batches in the same order, which PyTorch's generator decides.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lenet import engines
from lenet.d2l.memory_loader import MemoryLoader
from lenet.data import Split
from lenet.engines import Batches, Position
from lenet.files import write_atomically
from lenet.machine import available_cpus
from lenet.network.layers import Dropout
from lenet.network.parameters import State
from lenet.network.weights import save_network
from lenet.optimization import Objective, Optimizer
from lenet.training import Reading, reading_batches

if TYPE_CHECKING:
    from lenet.torch import Translation

LARGEST_COPY = 64 << 20  # bytes of resized pictures that are held at once


@dataclass(frozen=True)
class History:
    """What a training leaves: its readings, five an epoch and those with ``test_acc`` at its end.

    A reading has ``epoch`` (1.0 after the first), ``train_loss`` and ``train_acc`` (means over the
    epoch so far) and the other columns of history.csv; ``lenet.drawing.figures.curves`` draws them.
    """

    readings: tuple[Reading, ...]
    examples_per_s: float  # of training alone
    device: str
    accelerated: bool  # whether the native engine did it

    @property
    def train_loss(self) -> list[float]:
        """Of each epoch."""
        return [reading.train_loss for reading in self._epochs()]

    @property
    def train_acc(self) -> list[float]:
        """Of each epoch."""
        return [reading.train_acc for reading in self._epochs()]

    @property
    def test_acc(self) -> list[float]:
        """After each epoch."""
        return [reading.test_acc for reading in self._epochs() if reading.test_acc is not None]

    def _epochs(self) -> list[Reading]:
        return [reading for reading in self.readings if reading.test_acc is not None]

    def __repr__(self) -> str:
        return (
            f"History(epochs={len(self.test_acc)}, train_loss={self.train_loss[-1]:.3f}, "
            f"train_acc={self.train_acc[-1]:.3f}, test_acc={self.test_acc[-1]:.3f})"
        )


@dataclass(frozen=True)
class Sums:
    """What an epoch has added up so far."""

    batches: int
    loss: float  # over all examples
    correct: int
    examples: int
    train_s: float


class Loop(Protocol):
    """One way to train and to measure a module."""

    def epoch(self, epoch: int) -> Iterator[Sums]:
        """Train on every batch once; the sums about five times."""

    def test(self) -> float:
        """The accuracy on the test pictures."""


def run(
    loop: Loop,
    num_epochs: int,
    num_batches: int,
    show: Callable[[float, tuple[float | None, float | None, float | None]], None],
    device: torch.device,
) -> History:
    """Train for some epochs; ``show(epochs, (train loss, train acc, test acc))`` on the way."""
    readings: list[Reading] = []
    train_s, seen, began = 0.0, 0, time.perf_counter()
    for epoch in range(num_epochs):
        sums = Sums(0, 0.0, 0, 0, 0.0)
        for now in loop.epoch(epoch):
            loss, acc = now.loss / now.examples, now.correct / now.examples
            show(epoch + now.batches / num_batches, (loss, acc, None))
            reading = Reading(
                epoch=epoch + now.batches / num_batches,
                step=epoch * num_batches + now.batches,
                examples_seen=seen + now.examples,
                train_loss=loss,
                train_acc=acc,
                val_loss=None,
                val_acc=None,
                test_loss=None,
                test_acc=None,
                wall_s=time.perf_counter() - began,
                examples_per_s=(now.examples - sums.examples)
                / max(now.train_s - sums.train_s, 1e-9),
            )
            readings.append(reading)
            sums = now
        if not sums.batches:
            raise ValueError("train_iter gave no batches")
        test_acc = loop.test()
        show(epoch + 1, (None, None, test_acc))
        wall_s = time.perf_counter() - began
        readings[-1] = replace(readings[-1], test_acc=test_acc, wall_s=wall_s)
        seen, train_s = seen + sums.examples, train_s + sums.train_s
    speed = seen / max(train_s, 1e-9)
    return History(tuple(readings), speed, str(device), isinstance(loop, NativeLoop))


# --- by PyTorch --------------------------------------------------------------------------------


class PlainLoop:
    """PyTorch's own forward, backward and step, as in the book."""

    def __init__(
        self, net: nn.Module, train_iter: Any, test_iter: Any, lr: float, device: torch.device
    ) -> None:
        self._net, self._device = net, device
        self._train_iter, self._test_iter = train_iter, test_iter
        self._optimizer = torch.optim.SGD(net.parameters(), lr=lr)
        self._loss = nn.CrossEntropyLoss()

    def epoch(self, epoch: int) -> Iterator[Sums]:
        points = reading_batches(len(self._train_iter))
        # What the device has computed is fetched at the readings alone: a GPU need not wait.
        pending: list[tuple[Tensor, Tensor]] = []
        sums = Sums(0, 0.0, 0, 0, 0.0)
        examples, train_s, batches = 0, 0.0, 0
        self._net.train()
        for batches, (X, y) in enumerate(self._train_iter, 1):
            started = time.perf_counter()
            X, y = X.to(self._device), y.to(self._device)
            self._optimizer.zero_grad()
            y_hat = self._net(X)
            loss = self._loss(y_hat, y)
            loss.backward()
            self._optimizer.step()
            with torch.no_grad():
                pending.append((loss.detach() * len(y), count_correct(y_hat, y)))
            examples += len(y)
            at_reading = batches in points
            if at_reading:
                loss_sum, correct = _fetched(pending)
            train_s += time.perf_counter() - started
            if at_reading:
                pending = []
                sums = Sums(
                    *(batches, sums.loss + loss_sum, sums.correct + correct, examples, train_s)
                )
                yield sums
        if pending:  # there were fewer or more batches than the loader's length says
            loss_sum, correct = _fetched(pending)
            yield Sums(batches, sums.loss + loss_sum, sums.correct + correct, examples, train_s)

    def test(self) -> float:
        return accuracy_on(self._net, self._test_iter, self._device)


def _fetched(pending: list[tuple[Tensor, Tensor]]) -> tuple[float, int]:
    """Loss and correct predictions over these batches; the device is waited for."""
    losses, hits = zip(*pending, strict=True)
    return sum(torch.stack(losses).tolist()), int(torch.stack(hits).sum())


def accuracy_on(net: Any, data_iter: Any, device: torch.device | str | None) -> float:
    """The share of examples whose highest output is their label; a module is left in eval mode.

    Without a device, that of the module's first parameter; for a function, the data's own.
    """
    if isinstance(net, nn.Module):
        net.eval()
        if not device:
            device = next((parameter.device for parameter in net.parameters()), None)
    correct, examples = [], 0
    with torch.no_grad():
        for X, y in data_iter:
            if device is not None:
                X = [x.to(device) for x in X] if isinstance(X, list) else X.to(device)
                y = y.to(device)
            correct.append(count_correct(net(X), y))
            examples += y.numel()
    if not examples:
        raise ValueError("there are no examples to measure the accuracy on")
    return float(torch.stack(correct).sum()) / examples


def count_correct(y_hat: Tensor, y: Tensor) -> Tensor:
    """How many predictions are right, as a tensor (): of outputs (n, classes), or of labels."""
    if y_hat.ndim > 1 and y_hat.shape[1] > 1:
        y_hat = y_hat.argmax(dim=1)
    return (y_hat.to(y.dtype) == y).sum()


# --- by the native engine ----------------------------------------------------------------------


class NativeLoop:
    """The native engine's training; the module has the weights whenever somebody could look."""

    def __init__(
        self,
        net: nn.Module,
        translation: Translation,
        train_iter: MemoryLoader,
        test_iter: Any,
        lr: float,
    ) -> None:
        network = translation.network
        self._net, self._lr, self._input_shape = net, lr, network.input_shape
        self._train_iter, self._test_iter = train_iter, test_iter
        self._parameters = {
            translation.keys[name]: parameter
            for name, parameter in net.named_parameters()
            if name in translation.keys
        }
        threads = min(available_cpus(), torch.get_num_threads())
        choice = engines.choose("native", network)
        self._engine = engines.make(choice, network, Optimizer(), Objective(), threads)
        self._engine.load(State(translation.parameters))
        # Masks are not PyTorch's, but its generator decides them, too.
        dropout = any(isinstance(layer, Dropout) for layer in network.layers)
        self._seed = int(torch.randint(2**32, (), device="cpu")) if dropout else 0

    def epoch(self, epoch: int) -> Iterator[Sums]:
        loader = self._train_iter
        order = loader.draw_order().numpy()
        loss_sum, correct, train_s, done = 0.0, 0, 0.0, 0
        self._net.train()
        for point in reading_batches(len(loader)):
            started = time.perf_counter()
            part = order[done : point * loader.batch_size]
            try:
                for split, places in self._stretches(loader, part):
                    metrics = self._engine.train(split, self._batches(places, epoch, done))
                    loss_sum += sum(metrics.losses.tolist())
                    correct += metrics.correct
                    done += metrics.examples
            finally:  # also where Ctrl-C ends it
                self._copy_back()
            train_s += time.perf_counter() - started
            yield Sums(point, loss_sum, correct, done, train_s)

    def _batches(self, places: NDArray[np.int64], epoch: int, first: int) -> Batches:
        size = self._train_iter.batch_size
        rates = np.full(math.ceil(len(places) / size), self._lr)
        return Batches(places, size, rates, None, Position(self._seed, epoch, first))

    def _stretches(
        self, loader: MemoryLoader, order: NDArray[np.int64]
    ) -> Iterator[tuple[Split, NDArray[np.int64]]]:
        """Splits with the pictures of ``order`` as the network sees them, and their places there.

        The loader's own, unless pictures have to be resized: then some whole batches at a time.
        """
        dataset = loader.dataset
        stored = dataset.split
        if not dataset.resizes:
            yield stored, order
            return
        most = max(1, LARGEST_COPY // math.prod(dataset.shape) // loader.batch_size)
        for indices in torch.split(torch.from_numpy(order), most * loader.batch_size):
            images, labels = dataset.pictures(indices), dataset.labels(indices)
            split = Split(images.numpy(), labels.numpy(), stored.classes, stored.identity)
            yield split, np.arange(len(split))

    def test(self) -> float:
        loader = self._test_iter
        if not isinstance(loader, MemoryLoader) or loader.dataset.shape != self._input_shape:
            return accuracy_on(self._net, loader, None)
        self._net.eval()
        order = loader.draw_order().numpy()
        parts = [self._engine.evaluate(split) for split, _ in self._stretches(loader, order)]
        return sum(part.correct for part in parts) / sum(part.examples for part in parts)

    def _copy_back(self) -> None:
        with torch.no_grad():
            for name, values in self._engine.state().parameters.items():
                self._parameters[name].copy_(torch.from_numpy(values))


def native_loop(
    net: nn.Module, train_iter: Any, test_iter: Any, lr: float, device: torch.device
) -> NativeLoop | None:
    """The native engine's loop, or None where it would not do what PyTorch's does, or cannot.

    It is taken on a CPU, for pictures from a MemoryLoader and a module that is a chain of our
    layers, all of it float32, to be trained, without hooks and with a forward that keeps nothing.
    """
    from lenet.torch import accelerated
    from lenet.torch.translation import read

    if device.type != "cpu" or not isinstance(train_iter, MemoryLoader) or not accelerated():
        return None
    parameters = [*net.parameters()]
    trained = all(p.requires_grad and p.dtype == torch.float32 for p in parameters)
    if not parameters or not trained or _has_hooks(net):
        return None
    dataset = train_iter.dataset
    translation = translate(net, dataset.shape)
    labels = dataset.split.labels
    if translation is None or not 0 <= labels.min() <= labels.max() < len(
        translation.network.classes
    ):
        return None
    if read(net, dataset.shape).writes:  # forward keeps something that PyTorch's loop would leave
        return None
    try:
        return NativeLoop(net, translation, train_iter, test_iter, lr)
    except engines.EngineError:  # it was not built, or has no kernel for a layer
        return None


def accelerated_for(net: nn.Module, X: Tensor) -> nn.Module | None:
    """``lenet.accelerate(net)`` for pictures such as X (n, channels, height, width), or None where
    the network stays PyTorch's: on another device, in another type, with hooks, which a reading of
    the network would call, or no chain of our layers.
    """
    from lenet.torch import UnsupportedModuleError, accelerate

    if X.ndim != 4 or X.device.type != "cpu" or X.dtype != torch.float32 or _has_hooks(net):
        return None
    try:
        fast = accelerate(net, tuple(X.shape[1:]))
    except UnsupportedModuleError:
        return None
    return None if fast is net else fast


def _has_hooks(net: nn.Module) -> bool:
    """Whether something is called when the module, a part of it or a gradient is computed."""
    from torch.nn.modules import module as torch_module

    kinds = ("forward_hooks", "forward_pre_hooks", "backward_hooks", "backward_pre_hooks")
    everywhere = [getattr(torch_module, f"_global_{kind}", None) for kind in kinds]
    here = [getattr(module, f"_{kind}", None) for module in net.modules() for kind in kinds]
    names = ("_backward_hooks", "_post_accumulate_grad_hooks")
    gradients = [getattr(p, name, None) for p in net.parameters() for name in names]
    return any([*everywhere, *here, *gradients])


def translate(net: nn.Module, input_shape: tuple[int, ...]) -> Translation | None:
    """The module as a network of ours, or None where it is none that trains as the module does."""
    from lenet.torch import UnsupportedModuleError, from_torch

    try:
        found = from_torch(net, input_shape)
    except UnsupportedModuleError:
        return None
    return found if found.exact else None


# --- files -------------------------------------------------------------------------------------


def check_target(path: Path) -> Path:
    """The path; ValueError, before any training, where weights cannot be saved there."""
    if path.suffix != ".safetensors":
        raise ValueError(f"save is {path}; end the name in .safetensors")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"save is {path}, but the folder {path.parent} does not exist; make it")
    return path


def save(net: nn.Module, path: Path, data_iter: Any) -> None:
    """Write the weights to ``path``: with their network where it is a chain of our layers
    (``lenet.load_model`` reads it), else under the names of the module's state_dict.

    A batch of ``data_iter`` gives the shape of a picture.
    """
    with torch.random.fork_rng(devices=[]):
        pictures, _ = next(iter(data_iter))
    shape = tuple(pictures.shape[1:])
    translation = translate(net, shape) if len(shape) == 3 else None
    if translation is not None:
        network = translation.network
        classes = getattr(getattr(data_iter, "dataset", None), "classes", None)
        if classes is not None and len(classes) == len(network.classes):
            network = replace(network, classes=tuple(map(str, classes)))
        save_network(path, network, translation.parameters)
        return
    from safetensors.torch import save as encoded

    # copies: safetensors refuses tensors that share memory
    tensors = {name: value.cpu().clone().contiguous() for name, value in net.state_dict().items()}
    write_atomically(path, encoded(tensors))
