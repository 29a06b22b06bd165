"""The names of the d2l book's package, on today's Python: those of its chapters 2 to 8.

Both editions are here: the classic one (d2l 0.14 to 0.17), and the current one (d2l 1.x) with its
Module, Trainer and ProgressBoard. ``from lenet import d2l`` does for code that says
``from d2l import torch as d2l``; ``lenet run`` does it for files as they stand. What is the same,
what differs and why: docs/d2l.md.

Reference: A. Zhang, Z. C. Lipton, M. Li, A. J. Smola, "Dive into Deep Learning".
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from lenet.d2l import missing
from lenet.d2l.animation import Animator
from lenet.d2l.blocks import (
    Residual,
    ResNeXtBlock,
    corr2d,
    corr2d_multi_in,
    corr2d_multi_in_out,
    init_cnn,
    pool2d,
)
from lenet.d2l.board import ProgressBoard
from lenet.d2l.classic import (
    grad_clipping,
    linreg,
    predict_ch3,
    sgd,
    squared_loss,
    train_ch3,
    train_ch6,
    train_epoch_ch3,
)
from lenet.d2l.devices import cpu, gpu, num_gpus, try_all_gpus, try_gpu
from lenet.d2l.hyperparameters import HyperParameters, add_to_class
from lenet.d2l.loading import (
    get_dataloader_workers,
    get_fashion_mnist_labels,
    load_array,
    load_data_fashion_mnist,
    synthetic_data,
)
from lenet.d2l.measuring import (
    Accumulator,
    Timer,
    accuracy,
    check_len,
    check_shape,
    evaluate_accuracy,
    evaluate_accuracy_gpu,
    evaluate_loss,
)
from lenet.d2l.models import (
    SGD,
    FashionMNIST,
    LeNet,
    LinearRegression,
    LinearRegressionScratch,
    SoftmaxRegression,
    SyntheticRegressionData,
)
from lenet.d2l.module_training import History
from lenet.d2l.modules import Classifier, DataModule, Module, Trainer
from lenet.d2l.plotting import plot, set_axes, set_figsize, show_images, use_svg_display
from lenet.d2l.words import (
    abs,
    arange,
    argmax,
    astype,
    batch_matmul,
    concat,
    cos,
    cosh,
    exp,
    expand_dims,
    eye,
    float32,
    int32,
    int64,
    linspace,
    log,
    matmul,
    meshgrid,
    nn_Module,
    normal,
    numpy,
    ones,
    ones_like,
    rand,
    randn,
    reduce_mean,
    reduce_sum,
    repeat,
    reshape,
    sigmoid,
    sin,
    sinh,
    size,
    stack,
    swapaxes,
    tanh,
    tensor,
    to,
    transpose,
    zeros,
    zeros_like,
)

if TYPE_CHECKING:
    from matplotlib import pyplot as plt

d2l = sys.modules[__name__]  # as in the package: "from d2l.torch import d2l"

__all__ = [
    "SGD",
    "Accumulator",
    "Animator",
    "Classifier",
    "DataModule",
    "F",
    "FashionMNIST",
    "History",
    "HyperParameters",
    "LeNet",
    "LinearRegression",
    "LinearRegressionScratch",
    "Module",
    "ProgressBoard",
    "ResNeXtBlock",
    "Residual",
    "SoftmaxRegression",
    "SyntheticRegressionData",
    "Timer",
    "Trainer",
    "abs",
    "accuracy",
    "add_to_class",
    "arange",
    "argmax",
    "astype",
    "batch_matmul",
    "check_len",
    "check_shape",
    "concat",
    "corr2d",
    "corr2d_multi_in",
    "corr2d_multi_in_out",
    "cos",
    "cosh",
    "cpu",
    "d2l",
    "evaluate_accuracy",
    "evaluate_accuracy_gpu",
    "evaluate_loss",
    "exp",
    "expand_dims",
    "eye",
    "float32",
    "get_dataloader_workers",
    "get_fashion_mnist_labels",
    "gpu",
    "grad_clipping",
    "init_cnn",
    "int32",
    "int64",
    "linreg",
    "linspace",
    "load_array",
    "load_data_fashion_mnist",
    "log",
    "matmul",
    "meshgrid",
    "nn",
    "nn_Module",
    "normal",
    "np",
    "num_gpus",
    "numpy",
    "ones",
    "ones_like",
    "plot",
    "plt",
    "pool2d",
    "predict_ch3",
    "rand",
    "randn",
    "reduce_mean",
    "reduce_sum",
    "repeat",
    "reshape",
    "set_axes",
    "set_figsize",
    "sgd",
    "show_images",
    "sigmoid",
    "sin",
    "sinh",
    "size",
    "squared_loss",
    "stack",
    "swapaxes",
    "synthetic_data",
    "tanh",
    "tensor",
    "to",
    "torch",
    "train_ch3",
    "train_ch6",
    "train_epoch_ch3",
    "transpose",
    "try_all_gpus",
    "try_gpu",
    "use_svg_display",
    "zeros",
    "zeros_like",
]


def __getattr__(name: str) -> Any:
    if name != "plt":
        raise AttributeError(missing.message(__name__, name), name=name, obj=d2l)
    from matplotlib import pyplot

    globals()["plt"] = pyplot
    return pyplot
