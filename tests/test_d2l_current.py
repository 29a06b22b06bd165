"""The current edition's names: Module, Trainer, ProgressBoard, and both editions in one module."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset, TensorDataset

from lenet import d2l, data
from lenet.d2l import missing
from lenet.d2l.memory_loader import MemoryDataset, MemoryLoader
from lenet.data import Dataset, Split
from lenet.engines.native import NativeEngine, why_missing

# All public names of d2l/torch.py in 0.14.3, 0.15.1, 0.16.6, 0.17.6 and 1.0.3.
NAMES = """
    Accumulator AddNorm AdditiveAttention Animator AttentionDecoder BERTEncoder BERTModel
    BananasDataset BasicScheduler Benchmark Classifier DATA_HUB DATA_URL DataModule Decoder
    DotProductAttention Encoder EncoderBlock EncoderDecoder FashionMNIST GRU HPOScheduler
    HPOSearcher HPOTrainer HPOTuner HyperParameters LeNet LinearRegression
    LinearRegressionScratch MLPAttention MTFraEng MaskLM MaskedSoftmaxCELoss Module
    MultiHeadAttention NextSentencePred PositionWiseFFN PositionalEncoding ProgressBoard RNN
    RNNLM RNNLMScratch RNNModel RNNModelScratch RNNScratch RandomGenerator RandomSearcher
    ResNeXtBlock Residual SGD SNLIDataset Seq2Seq Seq2SeqDecoder Seq2SeqEncoder SeqDataLoader
    SoftmaxRegression SuccessiveHalvingScheduler SyntheticRegressionData TimeMachine Timer
    TokenEmbedding Trainer TransformerEncoder TransformerEncoderBlock VOCSegDataset VOC_CLASSES
    VOC_COLORMAP Vocab abs accuracy add_to_class annotate arange argmax assign_anchor_to_bbox
    astype batch_matmul batchify bbox_to_rect bleu box_center_to_corner box_corner_to_center
    box_iou build_array build_array_nmt check_len check_shape concat copyfile corr2d cos cosh
    count_corpus cpu d2l download download_all download_extract evaluate_accuracy
    evaluate_accuracy_gpu evaluate_loss exp expand_dims extract eye float32 frozen_lake
    get_centers_and_contexts get_data_ch11 get_dataloader_workers get_fashion_mnist_labels
    get_negatives get_tokens_and_segments gpu grad_clipping hpo_objective_lenet init_cnn
    init_seq2seq int32 int64 linreg linspace load_array load_corpus_time_machine
    load_data_bananas load_data_fashion_mnist load_data_imdb load_data_nmt load_data_ptb
    load_data_snli load_data_time_machine load_data_voc load_data_wiki log make_env
    masked_softmax matmul meshgrid mkdir_if_not_exist multibox_detection multibox_prior
    multibox_target nms nn_Module normal num_gpus numpy offset_boxes offset_inverse ones
    ones_like plot predict_ch3 predict_ch8 predict_s2s_ch9 predict_sentiment predict_seq2seq
    predict_snli preprocess_nmt rand randn rbfkernel read_csv_labels read_data_bananas
    read_data_nmt read_imdb read_ptb read_snli read_time_machine read_voc_images reduce_mean
    reduce_sum reorg_test reorg_train_valid repeat reshape resnet18 seq_data_iter_consecutive
    seq_data_iter_random seq_data_iter_sequential sequence_mask set_axes set_figsize sgd
    show_Q_function_progress show_bboxes show_heatmaps show_images show_list_len_pair_hist
    show_trace_2d show_value_function_progress sigmoid sin sinh size split_batch squared_loss
    stack subsample subsampling swapaxes synthetic_data tanh tensor to tokenize tokenize_nmt
    train_2d train_batch_ch13 train_ch11 train_ch13 train_ch3 train_ch6 train_ch8
    train_concise_ch11 train_epoch_ch3 train_epoch_ch8 train_s2s_ch9 train_seq2seq translate
    transpose transpose_output transpose_qkv truncate_pad try_all_gpus try_gpu update_D update_G
    use_svg_display voc_colormap2label voc_label_indices voc_rand_crop zeros zeros_like
    """
PACKAGE = NAMES.split()

needs_engine = pytest.mark.skipif(bool(why_missing()), reason=why_missing() or "-")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, in_tmp: Path) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "LENET_ACCELERATE", "LENET_FIGURES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MPLBACKEND", "agg")


@pytest.fixture
def fashion(monkeypatch: pytest.MonkeyPatch, small: Dataset) -> Dataset:
    """What ``FashionMNIST`` loads: the first of the bundled pictures."""

    def first(split: Split, count: int) -> Split:
        return Split(split.images[:count], split.labels[:count], split.classes, "the first")

    parts = {"train": first(small.train, 640), "test": first(small.test, 100)}
    dataset = Dataset("fashion-mnist", **parts, source="", licence="", sha256={}, bundled=True)
    monkeypatch.setattr(data, "load", lambda name, **_: dataset)
    return dataset


# --- the names ---------------------------------------------------------------------------------


def test_each_name_of_the_package_is_here_or_its_part_of_the_book_is_named() -> None:
    absent = []
    for name in PACKAGE:
        if name in missing.PART_OF:
            absent.append(name)
            with pytest.raises(AttributeError, match=f"{name!r}: in the book it belongs to"):
                getattr(d2l, name)
        else:
            assert getattr(d2l, name) is not None, name
    assert set(absent) == set(missing.PART_OF) <= set(PACKAGE)
    with pytest.raises(AttributeError, match=r"no attribute 'trian_ch6'$"):
        _ = d2l.trian_ch6


def test_the_words_that_the_current_edition_added() -> None:
    x = d2l.tensor([[1.0, -2.0, 3.0]])
    assert d2l.abs(x).tolist() == [[1, 2, 3]]
    assert d2l.reduce_mean(x, 1).tolist() == pytest.approx([2 / 3])
    assert d2l.expand_dims(x, 0).shape == (1, 1, 3)
    assert d2l.swapaxes(x, 0, 1).shape == (3, 1)
    assert d2l.repeat(x, 2, 1).shape == (2, 3)
    assert d2l.batch_matmul(d2l.ones(2, 1, 3), d2l.ones(2, 3, 1)).flatten().tolist() == [3, 3]
    assert d2l.sigmoid(d2l.zeros_like(x)).tolist() == [[0.5] * 3]
    assert float(d2l.cosh(d2l.ones_like(x))[0, 0] ** 2) == pytest.approx(
        1 + float(d2l.sinh(d2l.tensor(1.0))) ** 2
    )
    assert d2l.randn(2, 3).shape == (2, 3)
    assert d2l.meshgrid(d2l.arange(2), d2l.arange(3), indexing="ij")[0].dtype is d2l.int64
    assert d2l.nn_Module is nn.Module


def test_words_take_arrays_too() -> None:
    assert d2l.reduce_mean(np.array([1.0, 3.0])) == 2
    assert d2l.reshape(np.arange(4), (2, 2)).shape == (2, 2)
    assert d2l.argmax(np.array([1, 5, 2])) == 1


def test_devices() -> None:
    assert d2l.cpu() == torch.device("cpu")
    assert d2l.gpu(1) == torch.device("cuda:1")
    assert d2l.num_gpus() == torch.cuda.device_count()


@pytest.mark.parametrize(
    "sizes",
    [
        ((3, 6), {}),
        ((3, 6, True, 2), {}),
        ((3,), {"num_channels": 6}),
        ((), {"input_channels": 3, "num_channels": 6, "use_1x1conv": True, "strides": 2}),
    ],
)
def test_the_classic_residual_knows_the_channels_of_its_input(sizes: Any) -> None:
    block = d2l.Residual(*sizes[0], **sizes[1])
    assert block.conv1.weight.shape == (6, 3, 3, 3)
    assert (block.conv3 is not None) == (block.conv1.stride == (2, 2))


@pytest.mark.parametrize(
    ("sizes", "shape"),
    [
        (((3,), {}), (4, 3, 6, 6)),
        (((6, True, 2), {}), (4, 6, 3, 3)),
        (((6,), {"use_1x1conv": True, "strides": 2}), (4, 6, 3, 3)),
        (((), {"num_channels": 3}), (4, 3, 6, 6)),
    ],
)
def test_the_current_residual_takes_them_from_its_input(sizes: Any, shape: Any) -> None:
    block = d2l.Residual(*sizes[0], **sizes[1])
    assert block(torch.randn(4, 3, 6, 6)).shape == shape
    assert block.conv1.weight.shape[1] == 3


def test_a_residual_of_no_edition_is_an_error() -> None:
    with pytest.raises(TypeError, match="num_channels"):
        d2l.Residual()
    with pytest.raises(TypeError, match="depth"):
        d2l.Residual(3, 6, depth=2)


def test_resnext() -> None:
    block = d2l.ResNeXtBlock(32, 16, 1)
    assert block(torch.randn(4, 32, 6, 6)).shape == (4, 32, 6, 6)
    assert block.conv2.groups == 2
    assert d2l.ResNeXtBlock(8, 4, 0.5, True, 2)(torch.randn(1, 3, 6, 6)).shape == (1, 8, 3, 3)


# --- classes written in pieces -----------------------------------------------------------------


def test_add_to_class_and_hyperparameters() -> None:
    class A(d2l.HyperParameters):
        def __init__(self, a: int, b: int = 2, *, _hidden: int = 3, c: str = "c") -> None:
            self.save_hyperparameters(ignore=["c"])

    earlier = A(1)
    assert (earlier.hparams, earlier.a, earlier.b) == ({"a": 1, "b": 2}, 1, 2)  # type: ignore[attr-defined]
    assert not hasattr(earlier, "c")

    @d2l.add_to_class(A)
    def double(self: Any) -> int:
        return int(2 * self.a)

    assert earlier.double() == 2  # type: ignore[attr-defined]


def test_a_model_says_what_it_lacks() -> None:
    model = d2l.Module()
    with pytest.raises(AttributeError, match="Module has no net"):
        model(torch.zeros(1))
    with pytest.raises(NotImplementedError, match="loss"):
        model.loss(torch.zeros(1), torch.zeros(1))
    with pytest.raises(AttributeError, match="no trainer"):
        model.plot("loss", 1.0, train=True)
    with pytest.raises(NotImplementedError, match="get_dataloader"):
        d2l.DataModule().train_dataloader()


# --- the board ---------------------------------------------------------------------------------


def test_a_board_draws_the_mean_of_every_n_points(in_tmp: Path) -> None:
    board = d2l.ProgressBoard("x")
    for x in np.arange(0, 10, 0.1):
        board.draw(x, np.sin(x), "sin", every_n=2)
        board.draw(x, torch.tensor(float(np.cos(x)), requires_grad=True), "cos", every_n=10)
    assert [len(points) for points in board.data.values()] == [50, 10]
    assert board.data["sin"][0] == pytest.approx((0.05, (np.sin(0) + np.sin(0.1)) / 2))
    figure = board.fig
    lines = figure.axes[0].lines
    assert [(line.get_linestyle(), line.get_color()) for line in lines] == [
        ("-", "C0"),
        ("--", "C1"),
    ]
    assert [text.get_text() for text in figure.axes[0].get_legend().texts] == ["sin", "cos"]
    board.finish()
    (path,) = in_tmp.glob("animator-*.png")
    assert drawn_colors(path) > 10


def drawn_colors(path: Path) -> int:
    """How many colours a picture has; a blank one has one."""
    from PIL import Image

    with Image.open(path) as picture:
        return len(picture.convert("RGB").getcolors(1 << 24) or [])


def test_a_boards_picture_is_written_and_never_blank(in_tmp: Path) -> None:
    board = d2l.ProgressBoard()
    board.draw(0.5, 1.0, "a single point")
    del board
    (path,) = in_tmp.glob("animator-*.png")
    assert drawn_colors(path) > 10


def test_a_board_that_is_off_collects_alone(in_tmp: Path) -> None:
    board = d2l.ProgressBoard(display=False)
    for x in range(4):
        board.draw(x, x, "a")
    assert board.fig is None
    board.finish()
    assert not [*in_tmp.iterdir()]
    board.display = True
    board.draw(4, 4, "a")
    assert [*board.fig.axes[0].lines[0].get_xdata()] == [0, 1, 2, 3, 4]  # type: ignore[attr-defined]


def test_scales_limits_and_labels_may_be_set_at_any_time() -> None:
    board = d2l.ProgressBoard()
    board.draw(1, 10, "a")
    axes = board.fig.axes[0]
    assert axes.get_yscale() == "linear"
    board.yscale, board.ylabel, board.xlim, board.ylim = "log", "loss", [0, 5], [1, 100]
    board.draw(2, 20, "a")
    assert (axes.get_yscale(), axes.get_ylabel()) == ("log", "loss")
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 5), (1, 100))


def test_a_fifth_curve_is_drawn_and_styles_are_the_users() -> None:
    board = d2l.ProgressBoard(ls=["dotted", "-"], colors=["red"])
    for label in "abcde":
        board.draw(0, 0, label)
        board.draw(1, 1, label)
    lines = board.fig.axes[0].lines
    assert [line.get_linestyle() for line in lines] == [":", "-", ":", "-", ":"]
    assert {line.get_color() for line in lines} == {"red"}


def test_a_board_draws_on_axes_that_it_is_given(in_tmp: Path) -> None:
    _, (left, right) = d2l.plt.subplots(1, 2)
    board = d2l.ProgressBoard(axes=right)
    board.draw(0, 0, "a")
    board.finish()
    assert (len(left.lines), len(right.lines)) == (0, 1)
    assert not [*in_tmp.iterdir()]  # the figure is the user's, to show or to save
    d2l.plt.close("all")


def test_few_batches_are_drawn() -> None:
    """The package draws nothing where a plot would need less than one batch."""
    board = d2l.ProgressBoard()
    board.draw(1, 1, "a", every_n=0)
    assert len(board.data["a"]) == 1


def test_a_copy_of_a_model_draws_into_a_figure_of_its_own() -> None:
    model = d2l.LinearRegression(0.1)
    model.board.draw(0, 0, "a")
    twin = copy.deepcopy(model)
    twin.board.draw(1, 1, "a")
    assert twin.board.fig is not model.board.fig
    assert [*twin.board.fig.axes[0].lines[0].get_xdata()] == [0, 1]
    assert [*model.board.fig.axes[0].lines[0].get_xdata()] == [0]


# --- training ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_linear_regression_by_hand_and_with_a_layer_finds_the_line() -> None:
    torch.manual_seed(0)
    points = d2l.SyntheticRegressionData(w=torch.tensor([2, -3.4]), b=4.2)
    assert points.noise == 0.01  # type: ignore[attr-defined]  # the argument stays
    assert len(points.train_dataloader()) == len(points.val_dataloader()) == 32
    scratch = d2l.LinearRegressionScratch(2, lr=0.03)
    d2l.Trainer(max_epochs=10).fit(scratch, points)
    assert scratch.w.flatten().tolist() == pytest.approx([2, -3.4], abs=0.02)
    assert float(scratch.b.detach()) == pytest.approx(4.2, abs=0.02)
    concise = d2l.LinearRegression(lr=0.03)
    d2l.Trainer(max_epochs=10).fit(concise, points)
    w, b = concise.get_w_b()
    assert [*w.flatten().tolist(), float(b)] == pytest.approx([2, -3.4, 4.2], abs=0.02)
    assert [*concise.board.data] == ["train_loss", "val_loss"]
    assert [len(points) for points in concise.board.data.values()] == [20, 10]


def test_no_validation_data() -> None:
    class Points(d2l.SyntheticRegressionData):
        def val_dataloader(self) -> None:
            return None

    model = d2l.LinearRegression(lr=0.03)
    trainer = d2l.Trainer(max_epochs=1)
    trainer.fit(model, Points(torch.tensor([1.0]), 0.0))
    assert (trainer.num_val_batches, [*model.board.data]) == (0, ["train_loss"])


def test_fashion_mnist(fashion: Dataset) -> None:
    pictures = d2l.FashionMNIST(batch_size=32, resize=(32, 32))
    assert (len(pictures.train), pictures.train[0][0].shape) == (640, (1, 32, 32))
    X, y = next(iter(pictures.val_dataloader()))
    assert (X.shape, y.tolist()) == ((32, 1, 32, 32), fashion.test.labels[:32].tolist())
    assert pictures.text_labels([9, 0]) == ["ankle boot", "t-shirt"]
    pictures.visualize([X, y], nrows=1, ncols=4)
    titles = [axes.get_title() for axes in d2l.plt.gcf().axes]
    assert titles == pictures.text_labels(y[:4])
    d2l.plt.close("all")
    pictures.train = Subset(pictures.train, range(40))
    assert [len(y) for _, y in pictures.train_dataloader()] == [32, 8]


def plain_training(model: Any, pictures: Any, epochs: int) -> list[Tensor]:
    """The parameters after training by PyTorch alone, and nothing of ours but the pictures."""
    train = TensorDataset(*pictures.train.batch(torch.arange(len(pictures.train))))
    val = TensorDataset(*pictures.val.batch(torch.arange(len(pictures.val))))
    optimizer = torch.optim.SGD(model.parameters(), lr=model.lr)
    loss = nn.CrossEntropyLoss()
    for _ in range(epochs):
        model.train()
        for X, y in DataLoader(train, pictures.batch_size, shuffle=True):
            value = loss(model.net(X), y)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        for _ in DataLoader(val, pictures.batch_size):
            pass
    return [*model.parameters()]


@pytest.mark.slow
@needs_engine
@pytest.mark.usefixtures("fashion")
@pytest.mark.parametrize("initialised", [True, False])
def test_lenet_trains_in_the_engine_to_pytorchs_weights(
    initialised: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = 0
    forward = NativeEngine.forward

    def counted(self: Any, *args: Any) -> Any:
        nonlocal batches
        batches += 1
        return forward(self, *args)

    monkeypatch.setattr(NativeEngine, "forward", counted)
    pictures = d2l.FashionMNIST(batch_size=64)
    results = []
    for train in ("ours", "PyTorch's"):
        torch.manual_seed(3)
        model = d2l.LeNet(lr=0.1)
        if initialised:
            model.apply_init([next(iter(pictures.get_dataloader(True)))[0]], d2l.init_cnn)
        if train == "ours":
            net = model.net
            d2l.Trainer(max_epochs=2, num_gpus=1).fit(model, pictures)
            assert model.net is net  # plain again
            assert "forward" not in vars(net)
            assert batches == 2 * (10 + 2) - 1  # all but the first
            results.append([*model.parameters()])
        else:
            results.append(plain_training(model, pictures, 2))
    for ours, theirs in zip(*results, strict=True):
        assert ours.shape == theirs.shape
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("fashion")
def test_what_is_no_chain_or_has_hooks_is_pytorchs(monkeypatch: pytest.MonkeyPatch) -> None:
    class Normed(d2l.Classifier):
        def __init__(self) -> None:
            super().__init__()
            self.lr = 0.1
            self.net = nn.Sequential(
                nn.LazyConv2d(4, 5),
                nn.LazyBatchNorm2d(),
                nn.ReLU(),
                nn.Flatten(),
                nn.LazyLinear(10),
            )

    model = Normed()
    d2l.Trainer(max_epochs=1).fit(model, d2l.FashionMNIST(batch_size=128))
    assert [*model.board.data] == ["train_loss", "val_loss", "val_acc"]

    seen = []
    hooked = d2l.SoftmaxRegression(10, 0.1)
    hooked.net[1].register_forward_hook(lambda *_: seen.append(1))
    d2l.Trainer(max_epochs=1).fit(hooked, d2l.FashionMNIST(batch_size=128))
    assert len(seen) == 5 + 1


@pytest.mark.usefixtures("fashion")
def test_what_a_program_puts_in_place_of_a_method_is_used() -> None:
    class Mine(d2l.Trainer):
        def prepare_batch(self, batch: Any) -> Any:
            return [batch[0][:5], batch[1][:5]]

    class Model(d2l.SoftmaxRegression):
        sizes: list[int] = []  # noqa: RUF012 - of this test alone

        def training_step(self, batch: Any) -> Tensor:
            self.sizes.append(len(batch[1]))
            self.net.seen = True
            return super().training_step(batch)

    model = Model(10, 0.1)
    Mine(max_epochs=1).fit(model, d2l.FashionMNIST(batch_size=128))
    assert model.sizes == [5] * 5
    assert model.net.seen is True  # set on the network while the engine computed it


@pytest.mark.usefixtures("fashion")
def test_an_interrupted_training_leaves_the_network_plain_and_its_curves(in_tmp: Path) -> None:
    class Interrupted(d2l.Trainer):
        def fit_epoch(self) -> None:
            super().fit_epoch()
            raise KeyboardInterrupt

    model = d2l.LeNet()
    net = model.net
    with pytest.raises(KeyboardInterrupt):
        Interrupted(max_epochs=3).fit(model, d2l.FashionMNIST(batch_size=128))
    assert model.net is net
    assert not net._forward_hooks
    (path,) = in_tmp.glob("animator-*.png")
    assert drawn_colors(path) > 10


@pytest.mark.parametrize("clip", ["trainer", "classic"])
def test_gradients_are_clipped(clip: str) -> None:
    model = nn.Linear(2, 1)
    model(torch.tensor([[3.0, 4.0]])).sum().backward()
    norm = float(torch.sqrt(sum((p.grad**2).sum() for p in model.parameters())))  # type: ignore
    assert norm == pytest.approx(26**0.5)
    if clip == "trainer":
        d2l.Trainer(1).clip_gradients(1.0, model)
    else:
        d2l.grad_clipping(model, 1.0)
    clipped = torch.cat([p.grad.flatten() for p in model.parameters()])
    assert float(clipped.norm()) == pytest.approx(1)


def test_layer_summary(capsys: pytest.CaptureFixture[str]) -> None:
    d2l.LeNet().layer_summary((1, 1, 28, 28))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Conv2d output shape:\t torch.Size([1, 6, 28, 28])"
    assert lines[-1] == "Linear output shape:\t torch.Size([1, 10])"
    model = d2l.LeNet()
    model.apply_init([torch.zeros(1, 1, 28, 28)])
    assert sum(p.numel() for p in model.parameters()) == 61_706


# --- data in memory ----------------------------------------------------------------------------


def test_batches_follow_what_targets_has_become(small: Dataset) -> None:
    dataset = MemoryDataset(small.test)
    for targets in (
        dataset.targets % 2,
        (dataset.targets % 2).to(torch.int32),
        (small.test.labels % 2).tolist(),
    ):
        dataset.targets = targets
        _, y = next(iter(MemoryLoader(dataset, 16, shuffle=False)))
        assert y.dtype == torch.int64
        assert y.tolist() == (small.test.labels[:16] % 2).tolist()
        assert dataset[3][1] == small.test.labels[3] % 2
        assert dataset.split.labels.tolist() == (small.test.labels % 2).tolist()
    with pytest.raises(AttributeError, match="transform"):
        dataset.transform = abs  # type: ignore[attr-defined]


@needs_engine
def test_train_ch6_learns_the_targets_as_they_are(fashion: Dataset) -> None:
    train, test = d2l.load_data_fashion_mnist(64)
    train.dataset.targets = torch.full((640,), 3)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    history = d2l.train_ch6(net, train, test, 1, 0.1)  # without a device, as up to 0.15
    assert history.train_acc[-1] > 0.9
    assert history.accelerated


# --- as a tutorial -----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_chapter_runs_as_it_stands(in_tmp: Path) -> None:
    """Written as the current edition's chapters are; the curves belong to the cell that trained."""
    (in_tmp / "chapter.py").write_text(
        """# %%
import torch
from torch import nn
from d2l import torch as d2l
import d2l as package
assert package.__version__.startswith("1.0.3")

# %%
class Net(d2l.Classifier):
    def __init__(self, lr=0.1, num_classes=10):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(
            nn.LazyConv2d(6, kernel_size=5, padding=2), nn.Sigmoid(),
            nn.AvgPool2d(kernel_size=2, stride=2), nn.Flatten(), nn.LazyLinear(num_classes))

class Noise(d2l.DataModule):
    def __init__(self, batch_size=32):
        super().__init__()
        self.save_hyperparameters()
        self.X, self.y = d2l.rand(128, 1, 28, 28), torch.arange(128) % 10
    def get_dataloader(self, train):
        return self.get_tensorloader((self.X, self.y), train)

# %%
board = d2l.ProgressBoard('x')
for x in range(10):
    board.draw(x, x ** 2, 'square')

# %%
trainer = d2l.Trainer(max_epochs=2, num_gpus=1)
model, data = Net(lr=0.1), Noise()
model.apply_init([next(iter(data.get_dataloader(True)))[0]], d2l.init_cnn)
trainer.fit(model, data)
"""
    )
    result = subprocess.run(
        [sys.executable, "-m", "lenet", "run", "chapter.py", "--json"],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "MPLBACKEND": ""},
    )
    assert result.returncode == 0, result.stderr
    figures = sorted((in_tmp / "chapter-figures").iterdir())
    assert [path.name for path in figures] == ["animator-1.png", "animator-2.png"]
    assert all(drawn_colors(path) > 10 for path in figures)

    cells = [b for b in json.loads(result.stdout)["blocks"] if b["taken"]]
    pictures = [[o for o in cell["outputs"] if o["kind"] == "picture"] for cell in cells]
    assert [len(found) for found in pictures] == [0, 0, 1, 1]
