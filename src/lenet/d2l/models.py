"""The models and data sets of the current edition's chapters 3 to 8."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lenet import data as datasets
from lenet.d2l.hyperparameters import HyperParameters
from lenet.d2l.loading import get_fashion_mnist_labels
from lenet.d2l.memory_loader import MemoryDataset, MemoryLoader
from lenet.d2l.modules import Classifier, DataModule, Module
from lenet.d2l.plotting import show_images
from lenet.machine import keep_freed_memory


class SyntheticRegressionData(DataModule):
    """X (n, len(w)) from a standard normal, and y (n, 1) = Xw + b with noise."""

    num_train: int

    def __init__(
        self,
        w: Tensor,
        b: float | Tensor,
        noise: float = 0.01,
        num_train: int = 1000,
        num_val: int = 1000,
        batch_size: int = 32,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        count = num_train + num_val
        self.X = torch.randn(count, len(w))
        deviations = torch.randn(count, 1) * noise
        self.y = self.X @ w.reshape(-1, 1) + b + deviations

    def get_dataloader(self, train: bool) -> Any:
        """A loader of the first ``num_train`` examples, shuffled, or of the others."""
        rows = slice(0, self.num_train) if train else slice(self.num_train, None)
        return self.get_tensorloader((self.X, self.y), train, rows)


class FashionMNIST(DataModule):
    """Fashion-MNIST from memory; a batch is X (n, 1, height, width) in 0 … 1 and y (n,) int64.

    Raises ``lenet.data.DataError`` where it is not here and cannot be downloaded.
    """

    def __init__(self, batch_size: int = 64, resize: int | Sequence[int] = (28, 28)) -> None:
        super().__init__()
        self.save_hyperparameters()
        dataset = datasets.load("fashion-mnist", progress=True)
        keep_freed_memory()
        self.train = MemoryDataset(dataset.train, resize)
        self.val = MemoryDataset(dataset.test, resize)

    def text_labels(self, indices: Iterable[Any]) -> list[str]:
        """The classes' names for these numbers."""
        return get_fashion_mnist_labels(indices)

    def get_dataloader(self, train: bool) -> Any:
        """A loader of the training pictures, shuffled, or of the others."""
        dataset: Any = self.train if train else self.val
        if isinstance(dataset, MemoryDataset):
            return MemoryLoader(dataset, self.batch_size, shuffle=train)
        return torch.utils.data.DataLoader(dataset, self.batch_size, shuffle=train)

    def visualize(
        self, batch: Any, nrows: int = 1, ncols: int = 8, labels: Sequence[str] = ()
    ) -> None:
        """Show pictures of a batch, each under its label."""
        X, y = batch
        show_images(X.squeeze(1), nrows, ncols, titles=labels or self.text_labels(y))


class SGD(HyperParameters):
    """Stochastic gradient descent by hand: ``step`` is one down the gradients."""

    params: Sequence[Tensor]
    lr: float

    def __init__(self, params: Iterable[Tensor], lr: float) -> None:
        params = list(params)
        self.save_hyperparameters()

    def step(self) -> None:
        """Take a step; parameters without a gradient stay."""
        with torch.no_grad():
            for param in self.params:
                if param.grad is not None:
                    param -= self.lr * param.grad

    def zero_grad(self) -> None:
        """Set the gradients to 0."""
        for param in self.params:
            if param.grad is not None:
                param.grad.zero_()


class LinearRegressionScratch(Module):
    """Xw + b by hand, its loss half the mean squared difference."""

    def __init__(self, num_inputs: int, lr: float, sigma: float = 0.01) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.w = torch.normal(0, sigma, (num_inputs, 1), requires_grad=True)
        self.b = torch.zeros(1, requires_grad=True)

    def forward(self, X: Tensor) -> Tensor:
        """Xw + b, (n, 1)."""
        return X @ self.w + self.b

    def loss(self, y_hat: Tensor, y: Tensor) -> Tensor:
        """Half the mean squared difference."""
        return ((y_hat - y) ** 2 / 2).mean()

    def configure_optimizers(self) -> SGD:
        """SGD by hand."""
        return SGD([self.w, self.b], self.lr)


class LinearRegression(Module):
    """A Linear layer of one output, its loss the mean squared difference."""

    def __init__(self, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        # PyTorch draws the first weights when the layer gets its shape. The book fills them before
        # that, which has no effect.
        self.net = nn.LazyLinear(1)

    def forward(self, X: Tensor) -> Tensor:
        """The layer's output, (n, 1)."""
        return self.net(X)  # type: ignore[no-any-return]

    def loss(self, y_hat: Tensor, y: Tensor) -> Tensor:
        """The mean squared difference."""
        return nn.functional.mse_loss(y_hat, y)

    def get_w_b(self) -> tuple[Tensor, Tensor]:
        """Weights (1, inputs) and bias (1,)."""
        return self.net.weight.data, self.net.bias.data


class SoftmaxRegression(Classifier):
    """A Linear layer on flattened pictures."""

    def __init__(self, num_outputs: int, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Flatten(), nn.LazyLinear(num_outputs))


class LeNet(Classifier):
    """The book's LeNet: sigmoid, average pooling, 61,706 parameters for pictures of 28×28."""

    def __init__(self, lr: float = 0.1, num_classes: int = 10) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(
            *(nn.LazyConv2d(6, kernel_size=5, padding=2), nn.Sigmoid(), nn.AvgPool2d(2, 2)),
            *(nn.LazyConv2d(16, kernel_size=5), nn.Sigmoid(), nn.AvgPool2d(2, 2)),
            nn.Flatten(),
            *(nn.LazyLinear(120), nn.Sigmoid()),
            *(nn.LazyLinear(84), nn.Sigmoid()),
            nn.LazyLinear(num_classes),
        )
