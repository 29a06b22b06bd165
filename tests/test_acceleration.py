"""Modules whose forward and backward run in the native engine, beside plain PyTorch's."""

from __future__ import annotations

import copy
import functools
import importlib.util
import io
import math
import pickle
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activations import COMPUTED
from lenet.data import Dataset
from lenet.network import zoo

torch = pytest.importorskip("torch")
if importlib.util.find_spec("lenet._native") is None:
    pytest.skip("the native engine was not built", allow_module_level=True)

import torch.nn.functional as F  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from lenet.engines.native import NativeEngine  # noqa: E402
from lenet.torch import (  # noqa: E402
    UnsupportedModuleError,
    accelerate,
    accelerated,
    acceleration,
    to_torch,
)

PICTURE = (1, 28, 28)
# Sums of float32 in another order: see TOLERANCE in lenet.torch.translation.
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """PyTorch's threads wait for each other in every operation: on a busy machine, for long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


class Reshape(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.view(-1, 1, 28, 28)


def init_weights(layer: nn.Module) -> None:
    if type(layer) in (nn.Linear, nn.Conv2d):
        nn.init.xavier_uniform_(layer.weight)


def tutorial() -> nn.Module:
    """Tutorial 001's network with its first weights."""
    return nn.Sequential(Reshape(), *to_torch(zoo.lenet())).apply(init_weights)


class Dropping(nn.Module):
    """A small functional network that drops units and ends in log_softmax, as MNIST examples do."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 5, stride=2)
        self.drop = nn.Dropout(p)
        self.fc = nn.Linear(4 * 12 * 12, 10)

    def forward(self, x: Tensor) -> Any:
        x = self.drop(F.relu(self.conv(x)))
        return F.log_softmax(self.fc(torch.flatten(x, 1)), dim=1)


def pair(make: Callable[[], nn.Module] = tutorial) -> tuple[nn.Module, nn.Module]:
    """An accelerated network and a plain one with equal parameters of its own."""
    plain = make()
    return accelerate(copy.deepcopy(plain)), plain


def batch(n: int = 8, seed: int = 1) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    return torch.rand(n, *PICTURE, generator=random), torch.randint(10, (n,), generator=random)


class Watched:
    """How many batches the engine computed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        original = NativeEngine.forward

        def forward(engine: Any, *args: Any) -> Any:
            self.count += 1
            return original(engine, *args)

        monkeypatch.setattr(NativeEngine, "forward", forward)

    def during(self, call: Callable[[], Any]) -> int:
        before = self.count
        call()
        return self.count - before


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


def gradients(net: nn.Module, X: Tensor, y: Tensor) -> list[Tensor | None]:
    net.zero_grad()
    F.cross_entropy(net(X), y).backward()
    return [parameter.grad for parameter in net.parameters()]


def assert_same(ours: nn.Module, theirs: nn.Module, X: Tensor, y: Tensor) -> None:
    """Outputs and gradients of both are as close as float32 allows."""
    with torch.no_grad():
        assert torch.allclose(ours(X), theirs(X), **CLOSE)
    for a, b in zip(gradients(ours, X, y), gradients(theirs, X, y), strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            assert torch.allclose(a, b, rtol=1e-4, atol=1e-5 * float(b.abs().max() + 1))


# --- what it looks like ------------------------------------------------------------------------


def test_it_is_the_same_module_but_for_its_forward(engine: Watched) -> None:
    plain = tutorial()
    fast = accelerate(plain, PICTURE)
    assert isinstance(fast, nn.Sequential)
    assert type(fast) is type(plain)
    assert repr(fast) == repr(plain)
    assert [id(p) for p in fast.parameters()] == [id(p) for p in plain.parameters()]
    assert list(fast.state_dict()) == list(plain.state_dict())
    assert fast[1] is plain[1]
    assert len(list(fast)) == 13
    X, _ = batch()
    assert engine.during(lambda: plain(X)) == 0
    assert engine.during(lambda: fast(X)) == 1
    assert accelerate(fast) is fast
    for layer in fast:  # tutorial 001 prints every layer's shape like this
        X = layer(X)
    assert X.shape == (8, 10)
    assert fast.to("cpu") is fast
    assert fast.train() is fast
    assert fast.eval() is fast
    assert not fast.training


def test_one_line_says_that_it_is_on_and_another_why_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    acceleration.say.cache_clear()  # as in a new process
    nets = [accelerate(to_torch(zoo.lenet())), accelerate(to_torch(zoo.mlp()), PICTURE)]
    assert capsys.readouterr().err == ""
    for _ in range(2):
        for net in nets:
            net(batch()[0])
    assert capsys.readouterr().err == (
        "lenet: accelerated: forward and backward of this network run in the native engine "
        "(LENET_ACCELERATE=0 switches it off)\n"
    )
    large = nn.Sequential(nn.Conv2d(1, 2, 9), nn.Flatten(), nn.Linear(800, 10))
    assert accelerate(large, PICTURE) is large
    late = accelerate(large)
    assert late(batch()[0]).shape == (8, 10)
    said = capsys.readouterr().err
    assert said.startswith("lenet: not accelerated: the native engine has kernels up to 7×7")
    assert said.count("\n") == 1


def test_it_can_be_switched_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert accelerated()
    monkeypatch.setenv("LENET_ACCELERATE", "0")
    assert not accelerated()
    net = nn.Sequential(nn.BatchNorm2d(1))
    assert accelerate(net, PICTURE) is net
    assert capsys.readouterr().err == ""


def test_without_the_engine_the_module_is_plain(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reason = "the native engine was not built here; lenet doctor says why"
    monkeypatch.setattr(acceleration, "why_missing", lambda: reason)
    acceleration.say.cache_clear()
    net = tutorial()
    assert accelerate(net) is net
    assert accelerate(net, PICTURE) is net
    assert capsys.readouterr().err == f"lenet: not accelerated: {reason}\n"


def test_what_cannot_be_translated_is_an_error_or_plain(
    capsys: pytest.CaptureFixture[str],
) -> None:
    net = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(784, 10))
    with pytest.raises(UnsupportedModuleError, match="BatchNorm2d"):
        accelerate(net, PICTURE)
    fast, plain = accelerate(copy.deepcopy(net)), net  # the first batch tells, and goes on
    acceleration.say.cache_clear()
    for _ in range(3):
        assert_same(fast, plain, *batch())
    said = capsys.readouterr().err
    assert said.startswith("lenet: not accelerated: node '_0' (0, BatchNorm2d)")
    assert said.count("\n") == 1


def by_value(self: Any, x: Tensor) -> Tensor:
    return self.fc(x.flatten(1)) * float(x.mean())


def counting(self: Any, x: Tensor) -> Tensor:
    self.count += 1
    return self.fc(x.flatten(1))


def doubled(self: Any, x: Tensor) -> Tensor:
    return nn.Module.__call__(self, x) * 2


def checking_type(self: Any, x: Any) -> Tensor:
    if type(x) is not Tensor:
        raise TypeError("a tensor, please")
    return self.fc(x.flatten(1))


def of_class(name: str, base: Any = nn.Module, **members: Any) -> Any:
    return type(name, (base,), members)


def with_fc(forward: Any) -> Any:
    net = of_class("Net", forward=forward)()
    net.fc = nn.Linear(784, 10)
    net.register_buffer("count", torch.zeros(()))
    return net


PLAIN: dict[str, Callable[[], nn.Module]] = {
    "by value": lambda: with_fc(by_value),
    "a buffer is written": lambda: with_fc(counting),
    "a type is asked for": lambda: with_fc(checking_type),
    "parametrised": lambda: nn.Sequential(
        nn.Flatten(), nn.utils.parametrizations.weight_norm(nn.Linear(784, 10))
    ),
    "an inner __call__": lambda: nn.Sequential(
        nn.Flatten(), of_class("Twice", nn.Linear, __call__=doubled)(784, 10)
    ),
    "rows": lambda: with_fc(lambda self, x: torch.stack([self.fc(row.flatten()) for row in x])),
    "no vector": lambda: nn.Sequential(nn.Conv2d(1, 3, 5)),
    "no layer": lambda: nn.Sequential(nn.Linear(28, 10), nn.GELU(), nn.Flatten()),
}


@pytest.mark.parametrize("name", PLAIN)
def test_no_first_batch_ends_a_training(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    acceleration.say.cache_clear()
    plain = PLAIN[name]()
    fast = accelerate(copy.deepcopy(plain))
    for seed in range(3):
        X = batch(4, seed)[0]
        for net in (fast, plain):
            net.zero_grad()
            net(X).pow(2).mean().backward()
        assert torch.equal(fast(X), plain(X))
        for ours, theirs in zip(fast.parameters(), plain.parameters(), strict=True):
            assert torch.equal(ours.grad, theirs.grad)
    for ours, theirs in zip(fast.buffers(), plain.buffers(), strict=True):
        assert torch.equal(ours, theirs)
    said = capsys.readouterr().err
    assert said.startswith("lenet: not accelerated: ")
    assert said.count("\n") == 1


def test_a_first_batch_of_a_wrong_shape_is_no_verdict(engine: Watched) -> None:
    fast = accelerate(tutorial()[1:])
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):  # PyTorch's own
        fast(torch.zeros(2, 1, 20, 20))
    assert engine.during(lambda: fast(batch()[0])) == 1


ONE_OUTPUT: dict[str, Callable[[Any], Any]] = {
    "logit": lambda z: z,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "squeeze": torch.squeeze,
    "squeeze(1)": lambda z: z.squeeze(1),
    "sigmoid of it": lambda z: torch.sigmoid(z.squeeze(-1)),
    "view": lambda z: z.view(-1),
    "[:, 0]": lambda z: z[:, 0],
}


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 7])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("end", ONE_OUTPUT)
def test_one_output(end: str, bias: bool, n: int, engine: Watched) -> None:
    def make() -> nn.Module:
        net = of_class(
            "Binary", forward=lambda s, x: ONE_OUTPUT[end](s.fc(F.relu(s.conv(x)).flatten(1)))
        )()
        net.conv, net.fc = nn.Conv2d(1, 3, 5, stride=3), nn.Linear(3 * 8 * 8, 1, bias=bias)
        return net

    fast, plain = pair(make)
    optimizers = [torch.optim.SGD(net.parameters(), 0.1, momentum=0.9) for net in (fast, plain)]
    for seed in range(5):
        X = batch(n, seed)[0]
        for net, optimizer in zip((fast, plain), optimizers, strict=True):
            z = net(X)
            optimizer.zero_grad()
            (z - 0.5).pow(2).mean().backward()
            optimizer.step()
    assert engine.count == 5
    with torch.no_grad():
        assert fast(X).shape == plain(X).shape
        assert torch.allclose(fast(X), plain(X), **CLOSE)
    for ours, theirs in zip(fast.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(ours, theirs, **CLOSE)


def test_one_output_of_a_convolution_and_second_gradients(engine: Watched) -> None:
    fast, plain = pair(
        lambda: nn.Sequential(nn.Conv2d(1, 1, 4, 4), nn.Tanh(), nn.AvgPool2d(7), nn.Flatten())
    )
    X = batch(6)[0]
    found = []
    for net in (fast, plain):
        parts = torch.autograd.grad(net(X).pow(2).sum(), [*net.parameters()], create_graph=True)
        sum(part.pow(2).sum() for part in parts).backward()
        found.append([parameter.grad for parameter in net.parameters()])
    assert engine.count == 1
    for ours, theirs in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, **CLOSE)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("when", ["always", "in training", "in evaluation"])
def test_what_forward_computes_without_gradients_is_not_trained(
    when: str, training: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    acceleration.say.cache_clear()

    def forward(self: Any, x: Tensor) -> Tensor:
        with torch.set_grad_enabled(when != "always" and self.training != (when == "in training")):
            x = self.frozen(x.flatten(1))
        return self.fc(torch.tanh(x))

    def make() -> nn.Module:
        net = of_class("Frozen", forward=forward)()
        net.frozen, net.fc = nn.Linear(784, 16), nn.Linear(16, 10)
        return net.train(training)

    fast, plain = pair(make)
    assert_same(fast, plain, *batch())
    assert (fast.frozen.weight.grad is None) == (plain.frozen.weight.grad is None)
    assert accelerate(plain, PICTURE) is plain
    assert "without gradients (torch.no_grad)" in capsys.readouterr().err


# --- training ----------------------------------------------------------------------------------

OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.9),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.001),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.001),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_twenty_steps_are_those_of_plain_pytorch(name: str, small: Dataset) -> None:
    fast, plain = pair()
    optimizers = [OPTIMIZERS[name](net.parameters()) for net in (fast, plain)]
    images = torch.from_numpy(small.train.images) / 255
    labels = torch.from_numpy(small.train.labels)
    for step in range(20):
        part = slice(step * 64, step * 64 + 64)
        for net, optimizer in zip((fast, plain), optimizers, strict=True):
            optimizer.zero_grad()
            F.cross_entropy(net(images[part]), labels[part]).backward()
            optimizer.step()
    for ours, theirs in zip(fast.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-4)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 70),
    inner=st.sampled_from([getattr(nn, name) for name in COMPUTED]),
    pool=st.sampled_from([nn.AvgPool2d, nn.MaxPool2d]),
    bias=st.booleans(),
    last=st.sampled_from([nn.Identity, lambda: nn.LogSoftmax(1), lambda: nn.Softmax(-1)]),
    seed=st.integers(0, 2**16),
)
def test_any_batch_of_any_network(
    n: int, inner: Any, pool: Any, bias: bool, last: Any, seed: int
) -> None:
    torch.manual_seed(seed)

    def make() -> nn.Module:
        return nn.Sequential(
            *(nn.Conv2d(1, 3, 5, bias=bias), inner(), pool(2), nn.Conv2d(3, 4, 3), inner()),
            *(nn.Flatten(), nn.Linear(400, 20, bias=bias), inner(), nn.Linear(20, 10), last()),
        )

    fast, plain = pair(make)
    assert_same(fast, plain, *batch(n, seed))


def test_gradients_add_up_over_batches() -> None:
    fast, plain = pair()
    for net in (fast, plain):
        for seed in (1, 2, 3):
            X, y = batch(5, seed)
            (F.cross_entropy(net(X), y) / 3).backward()
    for ours, theirs in zip(fast.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(ours.grad, theirs.grad, **CLOSE)


def test_two_forwards_before_a_backward(engine: Watched) -> None:
    fast, plain = pair()
    found = []
    for net in (fast, plain):
        outputs = [(net(X), y) for X, y in (batch(5, 1), batch(7, 2))]
        with torch.no_grad():
            net(batch(9, 3)[0])
        F.cross_entropy(*outputs[0]).backward(retain_graph=True)
        F.cross_entropy(*outputs[0]).backward()
        F.cross_entropy(*outputs[1]).backward()
        found.append([parameter.grad for parameter in net.parameters()])
    for ours, theirs in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, **CLOSE)
    assert engine.count == 3 + 2  # the two of the first come one after the other


@pytest.mark.parametrize("network", [0, 1])
def test_a_change_between_forward_and_backward_is_noticed(network: int) -> None:
    net, (X, y) = pair()[network], batch()
    loss = F.cross_entropy(net(X), y)
    with torch.no_grad():
        net[10].weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
    loss = F.cross_entropy(net(X), y)
    X.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
    loss = F.cross_entropy(net(X), y)
    loss.backward()
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_no_gradients_where_none_are_wanted(engine: Watched) -> None:
    fast, plain = pair()
    X, y = batch()
    for context in (torch.no_grad, torch.inference_mode):
        with context():
            assert engine.during(lambda: fast(X)) == 1
            assert torch.allclose(fast(X), plain(X), **CLOSE)
            assert not fast(X).requires_grad
    for net in (fast, plain):
        net[1].requires_grad_(False)
        net[10].bias.requires_grad_(False)
    assert_same(fast, plain, X, y)
    assert fast[1].weight.grad is None
    for net in (fast, plain):
        net.requires_grad_(False)
    assert not fast(X).requires_grad
    fresh = accelerate(tutorial())
    with torch.inference_mode():  # read, loaded and first used there
        fresh(X)
    assert_same(fresh, copy.deepcopy(fresh), X, y)


def test_a_large_batch_without_gradients_goes_in_parts(engine: Watched) -> None:
    fast, plain = pair()
    X, _ = batch(2 * acceleration.CHUNK + 1)
    with torch.no_grad():
        assert engine.during(lambda: fast(X)) == 3
        assert torch.allclose(fast(X), plain(X), **CLOSE)


def test_writes_that_leave_no_trace_are_seen() -> None:
    fast, plain = pair()
    X, y = batch()
    fast(X)
    for net in (fast, plain):
        net[1].weight.data.mul_(3)
        net[4].weight.detach().numpy()[:] = 0.1
    assert_same(fast, plain, X, y)


def small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 5), nn.ReLU(), nn.Flatten(), nn.Linear(2304, 10))


def vectors() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 30), nn.Tanh(), nn.Linear(30, 10))


def assert_same_gradients(step: Callable[[nn.Module], object], make: Any = small) -> None:
    """``step``, which ends with gradients, gives plain PyTorch's."""
    nets = pair(make)
    for net in nets:
        step(net)
    for ours, theirs in zip(*(net.parameters() for net in nets), strict=True):
        assert (ours.grad is None) == (theirs.grad is None)
        if theirs.grad is not None:
            assert float((ours.grad - theirs.grad).norm()) <= 1e-5 * float(theirs.grad.norm() + 1)


def read_again(net: Any) -> None:
    X, V = batch(32, 1)[0], batch(32, 2)[0]
    net(X)
    outputs = net(X)
    net.step = 1
    with torch.no_grad():
        net(V)
    outputs.pow(2).sum().backward()


def read_three_times(net: Any) -> None:
    outputs = []
    for step in range(3):
        net.step = step
        outputs.append(net(batch(5 + step, step)[0]).pow(2).sum())
    sum(outputs).backward(retain_graph=True)  # type: ignore[union-attr]
    net(batch()[0])
    outputs[0].backward()


def replaced_and_back(net: Any) -> None:
    X, V = batch(32, 1)[0], batch(32, 2)[0]
    outputs, first = net(X), net[1]
    net[1] = nn.Tanh()
    net(V)
    net[1] = first
    net(V)
    outputs.pow(2).sum().backward()


def two_of_the_same_layers(net: Any) -> None:
    X, V = batch(32, 1)[0], batch(32, 2)[0]
    other = accelerate(nn.Sequential(*net)) if "forward" in vars(net) else nn.Sequential(*net)
    outputs = net(X).pow(2).sum() + other(V).pow(2).sum()
    net.step = 1
    net(V)
    outputs.backward()


@pytest.mark.parametrize(
    "step", [read_again, read_three_times, replaced_and_back, two_of_the_same_layers]
)
def test_a_backward_is_of_its_own_batch_however_often_the_module_is_read(step: Any) -> None:
    assert_same_gradients(step)


def negative(values: Tensor) -> Tensor:
    """The same numbers, with the bit that says that those in memory are negative."""
    found = torch.complex(torch.zeros_like(values), -values).conj().imag
    assert found.is_neg()
    return found


def test_numbers_with_the_negative_bit() -> None:
    X, _ = batch()

    def with_weight(net: Any) -> None:
        net[3].weight = nn.Parameter(negative(net[3].weight.detach()))
        net(X).pow(2).sum().backward()

    def conjugate(net: nn.Module) -> None:
        outputs = net(X)
        torch.complex(outputs, 2 * outputs).conj().imag.pow(2).sum().backward()

    assert_same_gradients(with_weight)
    assert_same_gradients(conjugate)
    assert_same_gradients(lambda net: net(negative(X)).pow(2).sum().backward())
    assert_same_gradients(lambda net: net(X).backward(negative(torch.ones(8, 10))))


@pytest.mark.parametrize("create_graph", [False, True])
def test_many_gradients_at_once(create_graph: bool) -> None:
    X, _ = batch(4)
    several = torch.eye(40).reshape(40, 4, 10)[:6]

    def step(net: nn.Module) -> None:
        parameters = [*net.parameters()]
        found = torch.autograd.grad(
            net(X), parameters, several, is_grads_batched=True, create_graph=create_graph
        )
        for parameter, part in zip(parameters, found, strict=True):
            assert part.shape == (6, *parameter.shape)
            parameter.grad = part.detach().pow(2).sum(0)

    assert_same_gradients(step, vectors)


def frozen_first() -> Any:
    net = vectors()
    net[1].requires_grad_(False)
    return net


@pytest.mark.parametrize("again", ["", "another batch", "second gradients"])
@pytest.mark.parametrize("make", [vectors, frozen_first])
def test_a_weight_that_no_gradient_passes_may_change(make: Any, again: str) -> None:
    """That of the first dense layer, and of the next where the first does not train."""
    X, V = batch(8, 1)[0], batch(8, 2)[0]

    def step(net: Any) -> None:
        layers = [layer for layer in net if isinstance(layer, nn.Linear)]
        outputs = net(X)
        with torch.no_grad():
            for layer in layers[:1] if layers[0].weight.requires_grad else layers[:2]:
                layer.weight.mul_(2)
            if again == "another batch":
                net(V)
        loss = outputs.pow(2).sum()
        if again == "second gradients":
            trained = [p for p in net.parameters() if p.requires_grad]
            found = torch.autograd.grad(loss, trained, create_graph=True)
            loss = sum(part.pow(2).sum() for part in found)
        loss.backward()

    assert_same_gradients(step, make)


@pytest.mark.parametrize("again", ["", "another batch", "second gradients"])
@pytest.mark.parametrize("make", [small, vectors])
def test_a_bias_may_change_between_forward_and_backward(make: Any, again: str) -> None:
    X, V = batch(8, 1)[0], batch(8, 2)[0]

    def step(net: Any) -> None:
        outputs = net(X)
        with torch.no_grad():
            for layer in net:
                if isinstance(layer, nn.Linear | nn.Conv2d):
                    layer.bias.add_(1)
            if again == "another batch":
                net(V)
        loss = outputs.pow(2).sum()
        if again == "second gradients" and make is vectors:
            found = torch.autograd.grad(loss, [*net.parameters()], create_graph=True)
            loss = sum(part.pow(2).sum() for part in found)
        loss.backward()

    assert_same_gradients(step, make)


# --- what goes the module's own way ------------------------------------------------------------


def test_the_gradient_of_the_pictures(engine: Watched) -> None:
    fast, plain = pair()
    X, y = batch()
    found = []
    for net in (fast, plain):
        pictures = X.clone().requires_grad_()
        assert engine.during(lambda n=net, p=pictures: F.cross_entropy(n(p), y).backward()) == 0
        found.append(pictures.grad)
    assert torch.equal(*found)
    with torch.no_grad():
        assert engine.during(lambda: fast(pictures)) == 1


def test_second_gradients() -> None:
    fast, plain = pair()
    X, y = batch()
    found = []
    for net in (fast, plain):
        parameters = list(net.parameters())
        first = torch.autograd.grad(F.cross_entropy(net(X), y), parameters, create_graph=True)
        norm = sum((part**2).sum() for part in first)
        found.append([norm, *torch.autograd.grad(norm, parameters, allow_unused=True)])
    for ours, theirs in zip(*found, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            assert torch.allclose(ours, theirs, **CLOSE)


def test_second_gradients_drop_the_units_that_forward_dropped() -> None:
    fast = accelerate(Dropping()).train()
    X, y = batch()
    loss = F.cross_entropy(fast(X), y)
    parameters = list(fast.parameters())
    first = torch.autograd.grad(loss, parameters, retain_graph=True)
    again = torch.autograd.grad(loss, parameters, create_graph=True)
    for ours, theirs in zip(first, again, strict=True):
        assert torch.allclose(ours, theirs, **CLOSE)


def test_other_inputs(engine: Watched) -> None:
    fast, plain = pair()
    X, _ = batch()
    fast(X)
    with torch.no_grad():
        flat = X.reshape(8, 784)
        assert engine.during(lambda: fast(flat)) == 0  # another shape than it began with
        assert torch.equal(fast(flat), plain(flat))
        assert engine.during(lambda: fast(X[:0])) == 0
        assert fast(X[:0]).shape == (0, 10)
        last = X.to(memory_format=torch.channels_last)
        turned = X.transpose(2, 3)
        assert torch.allclose(fast(last), plain(last), **CLOSE)
        assert torch.allclose(fast[1:](turned), plain[1:](turned), **CLOSE)
        strided = torch.cat([X, X], 3)[..., ::2]
        assert torch.allclose(fast(strided.contiguous()), plain(strided.contiguous()), **CLOSE)
        step = accelerate(plain[1:])
        assert engine.during(lambda: step(strided)) == 1
        assert torch.allclose(step(strided), plain[1:](strided), **CLOSE)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert engine.during(lambda: fast(X)) == 0
            assert fast(X).dtype == torch.bfloat16
        assert fast.forward(x := X).equal(fast(x))
        with pytest.raises(RuntimeError, match=r"dtype|type"):
            fast(X.double())
        fast.double()
        assert engine.during(lambda: fast(X.double())) == 0
        assert fast(X.double()).dtype == torch.float64
        with pytest.raises(RuntimeError, match=r"dtype|type"):
            fast(X)
        fast.float()
        assert engine.during(lambda: fast(X)) == 1
        fast.to("meta")
        assert engine.during(lambda: fast(X.to("meta"))) == 0
    vectors = accelerate(copy.deepcopy(plain))
    assert engine.during(lambda: vectors(flat)) > 0
    assert torch.allclose(vectors(flat), plain(flat), **CLOSE)
    assert engine.during(lambda: accelerate(plain)(input=X)) == 0


def own_forward_first(net: Any) -> Any:
    net.forward = lambda x: 2 * nn.Sequential.forward(net, x)
    return accelerate(net)


def own_forward_later(net: Any) -> Any:
    fast = accelerate(net)
    fast(batch()[0])
    net[1].forward = torch.tanh
    return fast


def own_forward_within(net: Any) -> Any:
    net[1].forward = torch.tanh
    return accelerate(net, PICTURE)


@pytest.mark.parametrize("make", [own_forward_first, own_forward_later, own_forward_within])
def test_a_forward_of_the_instance_is_the_one_that_counts(
    make: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    acceleration.say.cache_clear()
    net, (X, _) = small(), batch()
    fast = make(net)
    assert torch.equal(fast(X), net(X))
    assert "has a forward of its own" in capsys.readouterr().err


def test_wrapped_modules_are_left_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    acceleration.say.cache_clear()
    net = small()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that TorchScript is deprecated
        traced = torch.jit.trace(net, batch()[0])
    for wrapped, said in (
        (torch.compile(net, backend="eager"), "lenet.accelerate(net._orig_mod)"),
        (nn.DataParallel(net), "lenet.accelerate(net.module)"),
        (traced, "TorchScript"),
    ):
        assert accelerate(wrapped) is wrapped
        assert said in capsys.readouterr().err
    with pytest.raises(TypeError, match=r"takes an nn\.Module, not int"):
        accelerate(5)  # type: ignore[arg-type]


def test_a_function_mode_sees_pytorchs_functions() -> None:
    class Doubling(torch.overrides.TorchFunctionMode):  # type: ignore[name-defined]
        def __torch_function__(self, func: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            return 2 * result if func is F.relu else result

    fast, plain = pair(small)
    X, _ = batch()
    fast(X)
    with Doubling():
        assert torch.equal(fast(X), plain(X))


class Kept(nn.Module):
    """Keeps what it sees in a dict, and its activation in another."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.last = small()[:2], small()[2:]
        self.seen: dict[str, Any] = {}
        self.opt: dict[str, Any] = {"keeps": True, "act": F.relu}

    def forward(self, x: Tensor) -> Any:
        x = self.opt["act"](self.body[0](x))
        if self.opt["keeps"]:
            self.seen["x"] = x.detach()
        return self.last(x)


def test_what_forward_keeps_is_kept(engine: Watched, capsys: pytest.CaptureFixture[str]) -> None:
    acceleration.say.cache_clear()
    X, _ = batch(32)
    fast = accelerate(Kept())
    assert engine.during(lambda: fast(X)) == 0
    assert len(fast.seen["x"]) == 32
    assert "'detach'" in capsys.readouterr().err
    file = io.BytesIO()
    torch.save(fast, file)
    net = Kept()
    assert accelerate(net, PICTURE) is net  # plain from the beginning
    assert net.seen == {}


def test_a_setting_in_a_dict_is_noticed(engine: Watched) -> None:
    X, _ = batch()
    net = Kept()
    net.opt["keeps"] = False
    fast = accelerate(net)
    for act in (F.relu, torch.tanh, torch.sigmoid):
        net.opt["act"] = act
        assert engine.during(lambda: fast(X)) == 1
        assert torch.allclose(fast(X), Kept.forward(net, X), **CLOSE)


def test_hooks(engine: Watched) -> None:
    fast, plain = pair()
    X, y = batch()
    seen: list[str] = []
    handles = [fast.register_forward_hook(lambda *_: seen.append("forward"))]
    handles.append(fast.register_full_backward_hook(lambda *_: seen.append("backward")))
    handles.append(fast[1].weight.register_hook(lambda grad: 2 * grad))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the pictures need no gradient
        assert engine.during(lambda: gradients(fast, X, y)) == 1
    assert seen == ["forward", "backward"]
    assert torch.allclose(fast[1].weight.grad, 2 * gradients(plain, X, y)[0], **CLOSE)
    for handle in handles:
        handle.remove()
    handle = fast[4].register_forward_hook(lambda *_: seen.append("inner"))
    assert engine.during(lambda: fast(X)) == 0
    assert seen[2:] == ["inner"]
    fresh = accelerate(plain)
    plain[4].register_forward_hook(lambda *_: seen.append("first"))
    fresh(X)
    assert seen[3:] == ["first"]  # and was shown nothing else
    handle.remove()
    assert engine.during(lambda: fast(X)) == 1
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    assert engine.during(lambda: fast(X)) == 0
    handle.remove()


def test_no_hook_sees_what_a_reading_is_tried_on(
    engine: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    acceleration.say.cache_clear()
    X, seen = batch(8)[0], []
    for register in (nn.Module.register_forward_hook, nn.Module.register_forward_pre_hook):
        net = tutorial()
        handle = register(net[4], lambda *args: seen.append(len(args[1][0])))
        fast = accelerate(net, PICTURE)
        assert seen == []
        assert engine.during(lambda net=fast: net(X)) == 0
        assert seen == [8]
        seen.clear()
        handle.remove()
        assert engine.during(lambda net=fast: net(X)) == 1
    assert "as long as layer 4 (Conv2d) has a hook" in capsys.readouterr().err
    every = nn.modules.module.register_module_forward_hook
    handle = every(lambda *args: seen.append(len(args[1][0])))
    fast = accelerate(tutorial(), PICTURE)
    handle.remove()

    class Mode(torch.overrides.TorchFunctionMode):  # type: ignore[name-defined]
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            seen.append(1)
            return func(*args, **(kwargs or {}))

    net = tutorial()
    with Mode():
        accelerate(net, PICTURE)
    assert seen == []
    assert engine.during(lambda: fast(X)) == 1


def test_pytorchs_own_transformations(engine: Watched) -> None:
    fast, plain = pair()
    X, y = batch()
    fast(X)
    own = dict(plain.named_parameters())
    assert engine.during(lambda: torch.func.functional_call(fast, own, X)) == 1

    def loss(parameters: dict[str, Tensor]) -> Tensor:
        return F.cross_entropy(torch.func.functional_call(fast, parameters, X), y)

    found = torch.func.grad(loss)(own)
    for key, theirs in zip(own, gradients(plain, X, y), strict=True):
        assert torch.allclose(found[key], theirs, **CLOSE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is deprecated
        traced = torch.jit.trace(fast, X)
        other, _ = batch(8, 5)
        assert torch.allclose(traced(other), plain(other), **CLOSE)
    assert torch.allclose(torch.fx.symbolic_trace(fast)(X), plain(X), **CLOSE)
    with torch.autograd.forward_ad.dual_level():
        assert engine.during(lambda: fast(X)) == 0


@pytest.mark.slow
def test_export_and_compile_take_pytorchs_operations() -> None:
    fast, plain = pair()
    X, y = batch()
    exported = torch.export.export(fast, (X,)).module()
    assert torch.allclose(exported(X), plain(X), **CLOSE)
    assert_same(torch.compile(fast, backend="eager"), plain, X, y)


# --- changes of the module ---------------------------------------------------------------------


def test_changed_modules_are_never_stale(
    engine: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    fast, plain = pair()
    X, y = batch()
    fast(X)

    def check(computed: bool = True) -> None:
        plain.load_state_dict(fast.state_dict())
        assert (engine.during(lambda: fast(X)) > 0) == computed
        assert_same(fast, plain, X, y)

    fast[1].weight = nn.Parameter(torch.rand(6, 1, 5, 5) - 0.5)
    check()
    fast.load_state_dict(tutorial().state_dict())
    check()
    for net in (fast, plain):
        net[5] = nn.ReLU()
    check()
    for net in (fast, plain):
        net[3].stride = 3  # 9×9, and so 2×2 behind the second pooling
        net[8] = nn.Linear(64, 120)
    check()
    for net in (fast, plain):
        net.append(nn.Tanh())
    check()
    for net in (fast, plain):
        net[1].bias = None
    check()
    for net in (fast, plain):
        net[1].bias = nn.Parameter(torch.rand(6))
    check()
    for net in (fast, plain):
        net[10].weight = net[10].weight  # the same: nothing to read
        net[1].register_parameter("bias", net[1].bias)
    check()
    for net in (fast, plain):
        net.append(nn.LayerNorm(10))
    capsys.readouterr()
    check(computed=False)
    assert "no longer accelerated: node '_14' (14, LayerNorm)" in capsys.readouterr().err
    for net in (fast, plain):
        del net[14]
    check()
    for net in (fast, plain):
        torch.nn.utils.parametrizations.weight_norm(net[1])
    check(computed=False)


def test_one_parameter_in_two_layers_gets_both_gradients() -> None:
    def make() -> nn.Module:
        return nn.Sequential(
            *(nn.Flatten(), nn.Linear(784, 20), nn.Tanh(), nn.Linear(20, 20), nn.Tanh()),
            *(nn.Linear(20, 20), nn.Tanh(), nn.Linear(20, 10)),
        )

    fast, plain = pair(make)
    X, y = batch()
    fast(X)
    for net in (fast, plain):
        net[5].weight = net[3].weight
    assert_same(fast, plain, X, y)


def test_copies_are_independent(engine: Watched) -> None:
    fast, _ = pair()
    X, _ = batch()
    before = fast(X)
    other = copy.deepcopy(fast)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert torch.equal(fast(X), before)
    assert engine.during(lambda: other(X)) == 1
    assert not other(X).any()
    whole = copy.deepcopy(nn.ModuleDict({"net": fast}))
    assert torch.equal(whole["net"](X), before)


class Doubled(nn.Linear):
    """A layer that lenet has not."""

    def forward(self, x: Tensor) -> Any:
        return 2 * super().forward(x)


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("copied", [False, True])
def test_an_edited_module_is_what_it_has_become(used: bool, copied: bool) -> None:
    fast, plain = pair(small)
    X, _ = batch()
    if used:
        fast(X)
    if copied:
        fast = copy.deepcopy(fast)
    for net in (fast, plain):
        torch.manual_seed(1)
        net[3] = Doubled(2304, 10)
    assert torch.equal(fast(X), plain(X))


@pytest.mark.parametrize("inplace", [False, True])
def test_quantisation(inplace: bool) -> None:
    fast, plain = pair(small)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it will move
        quantize = functools.partial(
            torch.ao.quantization.quantize_dynamic, qconfig_spec={nn.Linear}, inplace=inplace
        )
        found, right = quantize(fast), quantize(plain)
        assert torch.equal(found(batch()[0]), right(batch()[0]))


def test_torchscript_gets_the_plain_module() -> None:
    fast, plain = pair(small)
    X, _ = batch()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is deprecated
        assert torch.allclose(torch.jit.script(fast)(X), plain(X), **CLOSE)
        whole = torch.jit.script(nn.Sequential(accelerate(plain), nn.Softmax(1)))
        assert torch.allclose(whole(X), plain(X).softmax(1), **CLOSE)
    assert torch.equal(nn.DataParallel(fast)(X), fast(X))
    shallow = copy.copy(fast)
    assert "forward" not in vars(shallow)
    assert shallow[0] is fast[0]


def test_a_module_that_holds_itself_is_copied() -> None:
    class Holds(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.me = small(), [self]

        def forward(self, x: Tensor) -> Any:
            return self.body(x)

    fast = accelerate(Holds())
    fast.me[0] = fast
    copied = copy.deepcopy(fast)
    assert copied.me[0] is copied
    assert "forward" in vars(copied)
    assert torch.equal(copied(batch()[0]), fast(batch()[0]))


def test_a_pickle_is_the_plain_module(engine: Watched) -> None:
    fast = accelerate(to_torch(zoo.lenet()), PICTURE)
    X, _ = batch()
    before = fast(X)
    file = io.BytesIO()
    torch.save(fast, file)
    assert b"lenet" not in file.getvalue()
    file.seek(0)
    for loaded in (pickle.loads(pickle.dumps(fast)), torch.load(file, weights_only=False)):
        assert type(loaded) is nn.Sequential
        assert "forward" not in vars(loaded)
        assert engine.during(lambda net=loaded: net(X)) == 0
        assert torch.allclose(loaded(X), before, **CLOSE)
        assert torch.equal(copy.deepcopy(loaded)(X), loaded(X))
        again = accelerate(loaded, PICTURE)
        assert engine.during(lambda net=again: net(X)) == 1
        assert torch.equal(again(X), before)
    torch.save(fast.state_dict(), io.BytesIO())


def test_threads_do_not_mix_their_batches() -> None:
    fast, plain = pair()
    batches = [batch(5, seed) for seed in range(4)]
    wrong: list[str] = []

    def work(X: Tensor, y: Tensor) -> None:
        with torch.no_grad():
            right = plain(X)
        for _ in range(20):
            outputs = fast(X)
            found = torch.autograd.grad(F.cross_entropy(outputs, y), [fast[12].bias])[0]
            shares = (outputs.detach().softmax(1) - F.one_hot(y, 10)).mean(0)
            if not torch.allclose(outputs, right, **CLOSE) or not torch.allclose(
                found, shares, **CLOSE
            ):
                wrong.append("mixed")

    threads = [threading.Thread(target=work, args=pictures) for pictures in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_threads() -> None:
    """As many as PyTorch's, or as asked for; PyTorch gets its own back when it needs them."""
    from lenet.machine import available_cpus

    X, y = batch(64)
    plain = tutorial()
    expected = gradients(copy.deepcopy(plain), X, y)
    torch.set_num_threads(2)
    try:
        for threads, count in ((None, min(2, available_cpus())), (1, 1)):
            fast = accelerate(copy.deepcopy(plain), PICTURE, threads=threads)
            assert fast.forward.plan.native.shared.engine.threads == count  # type: ignore[attr-defined]
            large = torch.rand(1 << 18)
            for _ in range(3):
                found = gradients(fast, X, y)
                assert torch.equal(large + large, 2 * large)  # on several threads of PyTorch's
            for ours, theirs in zip(found, expected, strict=True):
                assert torch.allclose(ours, theirs, **CLOSE)
    finally:
        torch.set_num_threads(1)
    with pytest.raises(ValueError, match="threads is 0"):
        accelerate(plain, threads=0)


# --- dropout -----------------------------------------------------------------------------------


def test_dropout_is_drawn_by_pytorchs_seed_and_only_in_training(engine: Watched) -> None:
    fast, plain = pair(Dropping)
    X, y = batch()
    fast.train()
    torch.manual_seed(3)
    first, second = fast(X), fast(X)
    torch.manual_seed(3)
    assert torch.equal(fast(X), first)
    assert not torch.allclose(first, second, atol=1e-3)
    fast.eval()
    plain.eval()
    state = torch.get_rng_state()
    assert torch.allclose(fast(X), plain(X), **CLOSE)
    assert torch.equal(torch.get_rng_state(), state)
    assert_same(fast, plain, X, y)
    fast.train()
    fast.drop.eval()  # which the engine knows only all or none of
    assert engine.during(lambda: fast(X)) == 0
    fast.drop.train()
    fast.drop.p = 0.0
    plain.train()
    plain.drop.p = 0.0
    assert engine.during(lambda: fast(X)) > 0
    assert_same(fast, plain, X, y)


def test_the_gradient_is_that_of_the_units_that_were_kept() -> None:
    fast = accelerate(Dropping(0.3)).train()
    X, y = batch(4)

    def loss() -> Any:
        torch.manual_seed(9)
        return F.nll_loss(fast(X), y)

    (found,) = torch.autograd.grad(loss(), [fast.fc.bias])
    step = 1e-2
    for i in range(10):
        with torch.no_grad():
            fast.fc.bias[i] += step
            up = loss()
            fast.fc.bias[i] -= 2 * step
            down = loss()
            fast.fc.bias[i] += step
        assert float(found[i]) == pytest.approx(float((up - down) / (2 * step)), abs=2e-4)


def test_as_many_units_are_dropped_as_in_pytorch() -> None:
    p, X = 0.3, torch.ones(64, *PICTURE)
    net = nn.Sequential(nn.Dropout(p), nn.Flatten(), nn.Linear(784, 2))
    with torch.no_grad():
        net[2].weight.fill_(1)
        net[2].bias.zero_()
    counts = accelerate(net).train()(X)[:, 0].detach() * (1 - p)
    deviation = math.sqrt(784 * p * (1 - p))
    assert abs(float(counts.mean()) - 784 * (1 - p)) < 5 * deviation / 8
    assert 0.5 * deviation < float(counts.std()) < 1.7 * deviation


# --- the same distribution of results ----------------------------------------------------------


@pytest.mark.slow
def test_results_over_seeds_are_those_of_plain_pytorch(small: Dataset) -> None:
    """Ten seeds each of a short training with dropout: the means differ by less than chance.

    Two-sided t-test by hand: |t| below 3.9 is what 99.9% of pairs of equal distributions show
    with 18 degrees of freedom.
    """
    X, y = torch.from_numpy(small.train.images[:6000]) / 255, torch.from_numpy(small.train.labels)
    X_test = torch.from_numpy(small.test.images) / 255
    y_test = torch.from_numpy(small.test.labels)

    def result(seed: int, fast: bool) -> float:
        torch.manual_seed(seed + 1000 * fast)
        net: nn.Module = Dropping(0.3).apply(init_weights)
        net = accelerate(net, PICTURE) if fast else net
        optimizer = torch.optim.Adam(net.parameters(), lr=0.003)
        for _ in range(3):
            net.train()
            for part in torch.randperm(len(X)).split(128):
                optimizer.zero_grad()
                F.nll_loss(net(X[part]), y[part]).backward()
                optimizer.step()
        net.eval()
        with torch.no_grad():
            return float((net(X_test).argmax(1) == y_test).double().mean())

    results = np.array([[result(seed, fast) for seed in range(10)] for fast in (True, False)])
    assert results.min() > 0.7
    spread = math.sqrt(results.var(axis=1, ddof=1).mean() * 2 / 10)
    t = (results[0].mean() - results[1].mean()) / spread
    assert abs(t) < 3.9, (results.mean(axis=1), results.std(axis=1, ddof=1))
