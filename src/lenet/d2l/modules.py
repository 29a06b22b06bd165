"""Module, DataModule, Trainer and Classifier: the frame of the book's current edition.

A Trainer has the native engine compute ``model.net`` where it can (``lenet.accelerate``); losses,
optimisers, curves and whatever a program puts in place of a method stay PyTorch's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lenet.d2l.board import ProgressBoard
from lenet.d2l.classic import grad_clipping
from lenet.d2l.devices import gpu, num_gpus
from lenet.d2l.hyperparameters import HyperParameters
from lenet.d2l.module_training import accelerated_for


class Module(nn.Module, HyperParameters):
    """A model: a network ``net``, a loss, an optimiser, and a board on which its curves grow."""

    lr: float  # of those models that say no optimiser of their own
    plot_train_per_epoch: float
    plot_valid_per_epoch: float
    trainer: Any
    net: Any

    def __init__(self, plot_train_per_epoch: float = 2, plot_valid_per_epoch: float = 1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.board = ProgressBoard()

    def loss(self, y_hat: Tensor, y: Tensor) -> Tensor:
        """The loss of outputs; a model says which."""
        raise NotImplementedError(f"{type(self).__name__} has no loss(y_hat, y); define one")

    def forward(self, X: Tensor) -> Any:
        """The outputs of ``net``."""
        if not hasattr(self, "net"):
            raise AttributeError(f"{type(self).__name__} has no net; set one, or define forward")
        return self.net(X)

    def plot(self, key: str, value: Any, train: bool) -> None:
        """Add a point to the curve ``train_key`` or ``val_key``, at this place in the training."""
        trainer = getattr(self, "trainer", None)
        if trainer is None:
            raise AttributeError("the model has no trainer; plot is for a Trainer's fit")
        self.board.xlabel = "epoch"
        if train:
            x = trainer.train_batch_idx / trainer.num_train_batches
            every_n = trainer.num_train_batches / self.plot_train_per_epoch
        else:
            x = trainer.epoch + 1
            every_n = trainer.num_val_batches / self.plot_valid_per_epoch
        self.board.draw(x, value, ("train_" if train else "val_") + key, every_n=int(every_n))

    def training_step(self, batch: Any) -> Tensor:
        """The loss of a batch (inputs …, labels), which is plotted."""
        loss = self.loss(self(*batch[:-1]), batch[-1])
        self.plot("loss", loss, train=True)
        return loss

    def validation_step(self, batch: Any) -> None:
        """Plot the loss of a batch (inputs …, labels)."""
        self.plot("loss", self.loss(self(*batch[:-1]), batch[-1]), train=False)

    def configure_optimizers(self) -> Any:
        """SGD with the rate ``lr``."""
        return torch.optim.SGD(self.parameters(), lr=self.lr)

    def apply_init(
        self, inputs: Iterable[Tensor], init: Callable[[nn.Module], None] | None = None
    ) -> None:
        """Call the model on ``inputs``, so that lazy layers get shapes; then ``init`` on each."""
        self.forward(*inputs)
        if init is not None:
            self.net.apply(init)


class Classifier(Module):
    """A model of classes, with cross-entropy and the share of right predictions."""

    def validation_step(self, batch: Any) -> None:
        """Plot loss and accuracy of a batch (inputs …, labels)."""
        Y_hat = self(*batch[:-1])
        self.plot("loss", self.loss(Y_hat, batch[-1]), train=False)
        self.plot("acc", self.accuracy(Y_hat, batch[-1]), train=False)

    def accuracy(self, Y_hat: Tensor, Y: Tensor, averaged: bool = True) -> Tensor:
        """The share () of right predictions; with ``averaged`` off, 1.0 or 0.0 for each (n,)."""
        predicted = Y_hat.reshape(-1, Y_hat.shape[-1]).argmax(dim=1)
        right = (predicted.to(Y.dtype) == Y.reshape(-1)).to(torch.float32)
        return right.mean() if averaged else right

    def loss(self, Y_hat: Tensor, Y: Tensor, averaged: bool = True) -> Tensor:
        """The cross-entropy (); with ``averaged`` off, of each (n,)."""
        outputs = Y_hat.reshape(-1, Y_hat.shape[-1])
        return F.cross_entropy(outputs, Y.reshape(-1), reduction="mean" if averaged else "none")

    def layer_summary(self, X_shape: Iterable[int]) -> None:
        """Print the kind and the output shape of each layer of ``net``, for inputs of a shape."""
        X = torch.randn(*X_shape)
        for layer in self.net:
            X = layer(X)
            print(type(layer).__name__, "output shape:\t", X.shape)


class DataModule(HyperParameters):
    """Data: a loader for training and one for validation."""

    root: str
    num_workers: int
    batch_size: int

    def __init__(self, root: str = "../data", num_workers: int = 4) -> None:
        self.save_hyperparameters()

    def get_dataloader(self, train: bool) -> Any:
        """The loader of training or of validation data; a data module says which."""
        raise NotImplementedError(f"{type(self).__name__} has no get_dataloader(train); define it")

    def train_dataloader(self) -> Any:
        """The loader of training data."""
        return self.get_dataloader(train=True)

    def val_dataloader(self) -> Any:
        """The loader of validation data."""
        return self.get_dataloader(train=False)

    def get_tensorloader(
        self, tensors: Iterable[Tensor], train: bool, indices: slice | Any = slice(0, None)
    ) -> torch.utils.data.DataLoader[Any]:
        """A loader of these rows of the tensors, shuffled where ``train``."""
        dataset = torch.utils.data.TensorDataset(*(tensor[indices] for tensor in tensors))
        return torch.utils.data.DataLoader(dataset, self.batch_size, shuffle=train)


class Trainer(HyperParameters):
    """A training of ``max_epochs`` epochs, on the first CUDA device where ``num_gpus`` asks for it.

    While ``fit`` runs, ``epoch``, ``train_batch_idx`` and ``val_batch_idx`` say where it is.
    """

    max_epochs: int
    gradient_clip_val: float

    def __init__(self, max_epochs: int, num_gpus: int = 0, gradient_clip_val: float = 0) -> None:
        self.save_hyperparameters()
        self.gpus = [gpu(i) for i in range(min(num_gpus, _num_gpus()))]

    def prepare_data(self, data: Any) -> None:
        """Ask the data for its loaders."""
        self.train_dataloader = data.train_dataloader()
        self.val_dataloader = data.val_dataloader()
        self.num_train_batches = len(self.train_dataloader)
        self.num_val_batches = 0 if self.val_dataloader is None else len(self.val_dataloader)

    def prepare_model(self, model: Any) -> None:
        """Put the model on its device, and its board's x axis from 0 to the last epoch."""
        model.trainer = self
        model.board.xlim = [0, self.max_epochs]
        if self.gpus:
            model.to(self.gpus[0])
        self.model = model

    def prepare_batch(self, batch: Any) -> Any:
        """The batch on the model's device."""
        return [tensor.to(self.gpus[0]) for tensor in batch] if self.gpus else batch

    def fit(self, model: Any, data: Any) -> None:
        """Train the model on the data; its curves are drawn."""
        self.prepare_data(data)
        self.prepare_model(model)
        self.optim = model.configure_optimizers()
        self.epoch = self.train_batch_idx = self.val_batch_idx = 0
        try:
            with _accelerated(model):
                for self.epoch in range(self.max_epochs):  # noqa: B020 - the book has it
                    self.fit_epoch()
        finally:
            if isinstance(board := getattr(model, "board", None), ProgressBoard):
                board.finish()

    def fit_epoch(self) -> None:
        """Train on every batch once, then validate."""
        self.model.train()
        for batch in self.train_dataloader:
            loss = self.model.training_step(self.prepare_batch(batch))
            self.optim.zero_grad()
            with torch.no_grad():
                loss.backward()
                if self.gradient_clip_val > 0:
                    self.clip_gradients(self.gradient_clip_val, self.model)
                self.optim.step()
            self.train_batch_idx += 1
        if self.val_dataloader is None:
            return
        self.model.eval()
        for batch in self.val_dataloader:
            with torch.no_grad():
                self.model.validation_step(self.prepare_batch(batch))
            self.val_batch_idx += 1

    def clip_gradients(self, grad_clip_val: float, model: nn.Module) -> None:
        """Shorten the gradients, all by one factor, to the norm ``grad_clip_val`` at most."""
        grad_clipping(model, grad_clip_val)


def _num_gpus() -> int:
    return num_gpus()  # Trainer's argument has the same name


@contextlib.contextmanager
def _accelerated(model: Any) -> Iterator[None]:
    """Inside, ``model.net`` is computed by the native engine where that is possible.

    Its first batch goes the plain way: it gives lazy layers their shapes, and says the pictures'.
    """
    net = getattr(model, "net", None)
    if not isinstance(model, nn.Module) or not isinstance(net, nn.Module):
        yield
        return
    fast: nn.Module | None = None

    def after_first(module: nn.Module, inputs: tuple[Any, ...], _: Any) -> None:
        nonlocal fast
        first.remove()
        if len(inputs) == 1 and isinstance(inputs[0], Tensor):
            fast = accelerated_for(module, inputs[0])
            if fast is not None and model.net is module:
                model.net = fast

    first = net.register_forward_hook(after_first)
    try:
        yield
    finally:
        first.remove()
        if fast is not None and model.net is fast:
            from lenet.torch.acceleration.forward import ADDED

            vars(net).update({name: at for name, at in vars(fast).items() if name not in ADDED})
            model.net = net
