"""The names of d2lzh_pytorch: its own order of arguments, and its training by the engine."""

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor, nn

from lenet import data
from lenet.d2l import d2lzh as d2l
from lenet.d2l.memory_loader import MemoryLoader
from lenet.data import Dataset, Split
from lenet.engines.native import NativeEngine, why_missing

# All public names of d2lzh_pytorch/utils.py.
NAMES = """
    Benchmark FlattenLayer GlobalAvgPool2d MultiBoxDetection MultiBoxPrior MultiBoxTarget
    PikachuDetDataset RNNModel Residual VOCSegDataset VOC_CLASSES VOC_COLORMAP assign_anchor
    bbox_to_rect compute_intersection compute_jaccard corr2d data_iter data_iter_consecutive
    data_iter_random evaluate_accuracy get_data_ch7 get_fashion_mnist_labels get_tokenized_imdb
    get_vocab_imdb grad_clipping linreg load_data_fashion_mnist load_data_jay_lyrics
    load_data_pikachu load_pretrained_embedding non_max_suppression one_hot predict_rnn
    predict_rnn_pytorch predict_sentiment preprocess_imdb read_imdb read_voc_images resnet18
    resnet_block semilogy set_figsize sgd show_bboxes show_fashion_mnist show_images show_trace_2d
    squared_loss to_onehot train train_2d train_and_predict_rnn train_and_predict_rnn_pytorch
    train_ch3 train_ch5 train_ch7 train_pytorch_ch7 use_svg_display voc_label_indices voc_rand_crop
    xy_to_cxcy
    """


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, in_tmp: Path) -> None:
    monkeypatch.delenv("LENET_ACCELERATE", raising=False)
    monkeypatch.setenv("MPLBACKEND", "agg")


@pytest.fixture
def loaders(small: Dataset) -> tuple[MemoryLoader, MemoryLoader]:
    def first(split: Split, count: int) -> Split:
        return Split(split.images[:count], split.labels[:count], split.classes, "the first")

    return (
        MemoryLoader(first(small.train, 640), 64, shuffle=True),
        MemoryLoader(first(small.test, 100), 64, shuffle=False),
    )


class LeNet(nn.Module):
    """As chapter 5.5 writes it: two parts, and a view between them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            *(nn.Conv2d(1, 6, 5), nn.Sigmoid(), nn.MaxPool2d(2, 2)),
            *(nn.Conv2d(6, 16, 5), nn.Sigmoid(), nn.MaxPool2d(2, 2)),
        )
        self.fc = nn.Sequential(
            *(nn.Linear(16 * 4 * 4, 120), nn.Sigmoid(), nn.Linear(120, 84), nn.Sigmoid()),
            nn.Linear(84, 10),
        )

    def forward(self, img: Tensor) -> Any:
        feature = self.conv(img)
        return self.fc(feature.view(img.shape[0], -1))


def test_each_name_is_here_or_its_part_of_the_book_is_named() -> None:
    here = {name for name in NAMES.split() if hasattr(d2l, name)}
    for name in {*NAMES.split()} - here:
        with pytest.raises(AttributeError, match=f"{name!r}: in the book it belongs to"):
            getattr(d2l, name)
    assert here <= set(d2l.__all__)
    assert {"train_ch3", "train_ch5", "evaluate_accuracy", "train_2d", "FlattenLayer"} <= here
    assert all(getattr(d2l, name) is not None for name in d2l.__all__)


def test_data_iter_and_linear_regression_by_hand() -> None:
    random.seed(0)
    torch.manual_seed(0)
    X = torch.randn(1000, 2)
    y = X @ torch.tensor([[2.0], [-3.4]]) + 4.2
    sizes = [len(labels) for _, labels in d2l.data_iter(300, X, y)]
    assert sizes == [300, 300, 300, 100]
    w, b = torch.zeros(2, 1, requires_grad=True), torch.zeros(1, requires_grad=True)
    for _ in range(5):
        for features, labels in d2l.data_iter(10, X, y):
            d2l.squared_loss(d2l.linreg(features, w, b), labels).sum().backward()
            d2l.sgd([w, b], 0.03, 10)
            assert w.grad is not None and b.grad is not None  # noqa: PT018 - sgd leaves them
            w.grad.zero_()
            b.grad.zero_()
    assert [*w.flatten().tolist(), b.item()] == pytest.approx([2, -3.4, 4.2], abs=1e-3)


def test_accuracy_takes_the_data_first_and_leaves_the_module_training() -> None:
    batches = [(torch.eye(3), torch.tensor([0, 1, 0])), (torch.eye(3)[:1], torch.tensor([0]))]
    assert d2l.evaluate_accuracy(batches, nn.Identity()) == 0.75
    dropout = nn.Dropout(0.999)
    assert d2l.evaluate_accuracy(batches, dropout) == 0.75
    assert dropout.training

    def by_hand(X: Tensor, is_training: bool = True) -> Tensor:
        return X * 0 if is_training else X

    assert d2l.evaluate_accuracy(batches, by_hand) == 0.75
    with pytest.raises(ValueError, match="no examples"):
        d2l.evaluate_accuracy([], nn.Identity())


def test_train_ch3_by_hand_and_with_an_optimiser_is_the_same(
    loaders: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = []
    for by_hand in (True, False):
        torch.manual_seed(0)
        net = nn.Sequential(d2l.FlattenLayer(), nn.Linear(784, 10))
        params = [*net.parameters()]
        mean = nn.CrossEntropyLoss()
        if by_hand:
            summed = nn.CrossEntropyLoss(reduction="none")
            d2l.train_ch3(net, *loaders, summed, 2, 64, params, 0.1)  # type: ignore[call-arg]
        else:
            optimizer = torch.optim.SGD(params, lr=0.1)
            d2l.train_ch3(net, *loaders, mean, 2, 64, None, None, optimizer)  # type: ignore[call-arg]
        printed.append(capsys.readouterr().out.splitlines())
    assert printed[0][1].startswith("epoch 2, loss ")
    accuracies = [[line.partition("train acc")[2] for line in lines] for lines in printed]
    assert accuracies[0] == accuracies[1]
    with pytest.raises(ValueError, match="either params and lr, or an optimizer"):
        d2l.train_ch3(nn.Identity(), [], [], nn.CrossEntropyLoss(), 1, 1)


@pytest.mark.skipif(bool(why_missing()), reason=why_missing() or "-")
def test_train_ch5_has_pytorchs_weights_and_figures(
    loaders: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine_steps = 0
    backward = NativeEngine.backward

    def counted(self: Any, *args: Any) -> Any:
        nonlocal engine_steps
        engine_steps += 1
        return backward(self, *args)

    monkeypatch.setattr(NativeEngine, "backward", counted)
    weights, printed = [], []
    for accelerate in ("", "0"):
        monkeypatch.setenv("LENET_ACCELERATE", accelerate)
        torch.manual_seed(0)
        net = LeNet()
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
        d2l.train_ch5(net, *loaders, 64, optimizer, torch.device("cpu"), 2)  # type: ignore[call-arg]
        assert net.training
        weights.append(torch.cat([p.detach().flatten() for p in net.parameters()]))
        printed.append(
            [line.partition(", time")[0] for line in capsys.readouterr().out.split("\n")]
        )
    assert 20 <= engine_steps <= 22  # the self-check takes some besides
    assert printed[0] == printed[1]
    assert printed[0][0] == "training on  cpu"
    torch.testing.assert_close(*weights, rtol=1e-3, atol=1e-4)


def test_blocks() -> None:
    assert d2l.GlobalAvgPool2d()(torch.ones(2, 3, 4, 5)).shape == (2, 3, 1, 1)
    assert d2l.FlattenLayer()(torch.ones(2, 3, 4)).shape == (2, 12)
    assert d2l.Residual(3, 6, use_1x1conv=True, stride=2)(torch.ones(4, 3, 6, 6)).shape == (
        4,
        6,
        3,
        3,
    )
    assert len(d2l.resnet_block(3, 6, 2)) == 2
    with pytest.raises(ValueError, match="3 channels in and 6 out"):
        d2l.resnet_block(3, 6, 2, first_block=True)
    resnet = d2l.resnet18(output=5, in_channels=1)
    assert resnet(torch.ones(2, 1, 64, 64)).shape == (2, 5)
    assert sum(p.numel() for p in resnet.parameters()) == 11_175_813


def test_figures() -> None:
    d2l.show_fashion_mnist(torch.rand(3, 1, 28, 28), ["a", "b", "c"])
    assert [axes.get_title() for axes in d2l.plt.gcf().axes] == ["a", "b", "c"]
    d2l.plt.close("all")
    d2l.semilogy(
        range(1, 4), [3, 2, 1], "epochs", "loss", range(1, 4), [4, 3, 2], ["train", "test"]
    )
    axes = d2l.plt.gca()
    assert (axes.get_yscale(), axes.get_ylabel(), len(axes.lines)) == ("log", "loss", 2)
    d2l.plt.close("all")


def test_descent_in_two_dimensions(capsys: pytest.CaptureFixture[str]) -> None:
    places = d2l.train_2d(lambda x1, x2, s1, s2: (x1 - 0.2 * x1, x2 - 0.4 * x2, 0, 0))
    assert (len(places), places[0]) == (21, (-5, -2))
    assert capsys.readouterr().out == "epoch 20, x1 -0.057646, x2 -0.000073\n"
    d2l.show_trace_2d(lambda x1, x2: 0.1 * x1**2 + 2 * x2**2, places)
    assert len(d2l.plt.gca().lines) == 1
    d2l.plt.close("all")


def test_without_the_data_set_the_error_is_lenets(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str, **_: object) -> None:
        raise data.DataNotFoundError(f"{name}: no network; set LENET_DATA")

    monkeypatch.setattr(data, "load", fail)
    with pytest.raises(data.DataNotFoundError, match="set LENET_DATA"):
        d2l.load_data_fashion_mnist(256, resize=None, root="~/elsewhere")


@pytest.mark.slow
def test_the_package_is_answered_under_its_names(in_tmp: Path) -> None:
    folder = in_tmp / "d2lzh_pytorch"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise ImportError('torchtext is not here')")
    (in_tmp / "code").mkdir()
    (in_tmp / "code" / "chapter.py").write_text(
        "import sys\nsys.path.append('..')\nsys.path.insert(0, '..')\n"
        "import d2lzh_pytorch as d2l\nfrom d2lzh_pytorch.utils import FlattenLayer\n"
        "from d2lzh_pytorch import *\n"
        "print(d2l.FlattenLayer is FlattenLayer, train_ch5 is d2l.train_ch5, plt is d2l.plt)\n"
        "try:\n    d2l.load_data_jay_lyrics()\n"
        "except AttributeError as error:\n    print(error)\n"
        "try:\n    import d2lzh_pytorch.nothing\n"
        "except ImportError as error:\n    print(error)\n"
    )
    result = subprocess.run(
        [sys.executable, "-m", "lenet", "run", "chapter.py"],
        cwd=in_tmp / "code",
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "MPLBACKEND": ""},
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "True True True"
    assert "it belongs to recurrent networks" in lines[1]
    assert (
        lines[2] == "LeNet's d2lzh_pytorch has no d2lzh_pytorch.nothing; it has d2lzh_pytorch.utils"
    )
    assert "d2lzh_pytorch is LeNet's own" in result.stderr
