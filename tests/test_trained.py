"""Modules that code trains which knows nothing of lenet, found by their optimiser's first step."""

from __future__ import annotations

import copy
import gc
import importlib.util
import pickle
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

torch = pytest.importorskip("torch")
if importlib.util.find_spec("lenet._native") is None:
    pytest.skip("the native engine was not built", allow_module_level=True)

import torch.nn.functional as F  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.optim.optimizer import _global_optimizer_pre_hooks  # noqa: E402

from lenet.engines.native import NativeEngine  # noqa: E402
from lenet.torch import accelerate  # noqa: E402
from lenet.torch.acceleration import accelerating_what_is_trained  # noqa: E402
from lenet.torch.acceleration.forward import Forward  # noqa: E402

CLOSE = {"rtol": 1e-4, "atol": 1e-4}  # after twenty steps, as docs/pytorch.md promises


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 4, 5, stride=2), nn.Linear(4 * 4 * 4, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.sigmoid(self.conv(x)).flatten(1))


class Skipping(nn.Module):
    """What the engine has no network for, around a chain that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(121, 20), nn.ReLU(), nn.Linear(20, 10))
        self.short = nn.Linear(121, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + self.short(x.flatten(1))


def batches(count: int) -> list[tuple[Tensor, Tensor]]:
    """Pictures 11×11 with their classes."""
    draw = torch.Generator().manual_seed(1)
    return [
        (torch.rand(16, 1, 11, 11, generator=draw), torch.randint(10, (16,), generator=draw))
        for _ in range(count)
    ]


def train(net: Any, steps: int = 3, optimizer: Any = None) -> list[float]:
    """The losses of a loop as tutorials have it."""
    optimizer = optimizer or torch.optim.SGD(net.parameters(), lr=0.5)
    losses = []
    for X, y in batches(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(X), y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    return losses


def run(code: Callable[[], Any], names: dict[str, Any]) -> tuple[Any, list[str]]:
    """What the code gives, with the lines that were said."""
    said: list[str] = []
    with accelerating_what_is_trained(names, said.append):
        found = code()
    return found, said


def runs_in_the_engine(net: nn.Module) -> bool:
    forward = net.__dict__.get("forward")
    return isinstance(forward, Forward) and forward.plan is not None and bool(forward.plan.native)


def test_a_trained_network_is_accelerated_and_given_back_as_it_was() -> None:
    net = Net()
    plain, attributes = copy.deepcopy(net), {*vars(net)}
    keys, identities = [*net.state_dict()], [id(p) for p in net.parameters()]

    def code() -> tuple[bool, bool]:
        train(net, 1)
        before = "forward" in vars(net)
        train(net, 19)
        return before, runs_in_the_engine(net)

    (found, engine), said = run(code, {"net": net})
    assert found
    assert engine
    assert len(said) == 1
    assert said[0].startswith("accelerated: net (Net): forward and backward")
    train(plain, 1)
    train(plain, 19)
    for a, b in zip(net.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, **CLOSE)
    assert [id(p) for p in net.parameters()] == identities
    assert [*net.state_dict()] == keys
    assert {*vars(net)} == attributes
    assert not _global_optimizer_pre_hooks


def test_what_is_not_trained_stays_plain() -> None:
    net, other = Net(), Net()

    def code() -> None:
        train(net)
        other(batches(1)[0][0])
        assert "forward" not in vars(other)
        assert "forward" not in vars(net.conv)  # a layer alone, as when its maps are looked at

    run(code, {})


def test_evaluation_gradients_and_copies_are_the_modules_own() -> None:
    net = Net()

    def code() -> None:
        train(net)
        (X, y), plain = batches(1)[0], Net()
        plain.load_state_dict(net.state_dict())
        with torch.no_grad():
            torch.testing.assert_close(net.eval()(X), plain.eval()(X))
        for model in (net, plain):
            model.zero_grad()
            F.cross_entropy(model(X), y).backward()  # type: ignore[no-untyped-call]
        for a, b in zip(net.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(a.grad, b.grad)
        assert "forward" not in vars(pickle.loads(pickle.dumps(net)))
        twin = copy.deepcopy(net)
        assert runs_in_the_engine(twin) is False  # it has not computed yet
        torch.testing.assert_close(twin(X), plain(X))
        assert runs_in_the_engine(twin)
        assert all(a is not b for a, b in zip(twin.parameters(), net.parameters(), strict=True))

    run(code, {"net": net})


def test_networks_one_after_the_other_and_two_at_once() -> None:
    nets = {name: Net() for name in ("first", "generator", "critic")}

    def code() -> None:
        train(nets["first"])
        both = [*nets["generator"].parameters(), *nets["critic"].parameters()]
        optimizer = torch.optim.Adam(both)
        for name in ("generator", "critic", "generator"):
            train(nets[name], 2, optimizer)
        assert all(map(runs_in_the_engine, nets.values()))

    _, said = run(code, nets)
    assert [line.split(":")[1] for line in said] == [f" {name} (Net)" for name in nets]


def test_new_weights_layers_and_optimisers_are_noticed() -> None:
    net = Net()

    def code() -> None:
        train(net)
        net.apply(lambda m: nn.init.zeros_(m.weight) if isinstance(m, nn.Linear) else None)
        nn.init.ones_(net.fc.bias)
        assert torch.equal(net(batches(1)[0][0]), torch.ones(16, 10))
        net.fc = nn.Linear(64, 3)
        assert net(batches(1)[0][0]).shape == (16, 3)
        assert runs_in_the_engine(net)
        optimizer = torch.optim.SGD(net.conv.parameters(), lr=0.1)
        net(batches(1)[0][0]).sum().backward()
        optimizer.step()
        optimizer.add_param_group({"params": net.fc.parameters()})
        net(batches(1)[0][0]).sum().backward()
        optimizer.step()
        assert runs_in_the_engine(net)

    _, said = run(code, {"net": net})
    assert len(said) == 1


def test_what_cannot_be_accelerated_says_why_once_and_computes_the_same() -> None:
    net = Skipping()
    plain = copy.deepcopy(net)

    def code() -> list[float]:
        found = train(net, 5)
        # the chain inside it runs in the engine all the same
        assert runs_in_the_engine(net.body)
        return found

    losses, said = run(code, {"net": net})
    assert losses == pytest.approx(train(plain, 5), rel=1e-4)
    assert [line for line in said if line.startswith("not ")] == said[:1]
    assert said[0].startswith("not accelerated: net (Skipping): ")
    assert "one chain of layers" in said[0]
    assert said[1].startswith("accelerated: a Sequential of net (Skipping): ")
    assert "forward" not in vars(net)
    assert "forward" not in vars(net.body)


def test_the_parts_of_a_module_that_is_never_called_whole() -> None:
    class Gan(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.critic = Net()
            self.recurrent = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(121), nn.Linear(121, 10))

    gan = Gan()

    def code() -> None:
        optimizer = torch.optim.SGD(gan.parameters(), lr=0.1)
        train(gan.critic, 2, optimizer)
        train(gan.recurrent, 2, optimizer)
        assert runs_in_the_engine(gan.critic)

    _, said = run(code, {"gan": gan})
    assert said[0].startswith("accelerated: a Net of gan (Gan): ")
    assert said[1].startswith("not accelerated: a Sequential of gan (Gan): ")
    assert len(said) == 2


def test_the_place_that_is_named_is_the_code_that_was_read() -> None:
    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(121), nn.Linear(121, 10))

        def forward(self, x: Tensor) -> Tensor:
            return cast(Tensor, self.body(x))  # its forward is LeNet's by then

    net = Normed()
    _, said = run(lambda: train(net, 2), {"net": net})
    line = Normed.forward.__code__.co_firstlineno + 1
    assert f"(body.1, BatchNorm1d) at test_trained.py:{line}: " in said[0]


def test_a_check_that_fails_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net()
    plain, real = copy.deepcopy(net), NativeEngine.forward

    def code() -> list[float]:
        monkeypatch.setattr(
            NativeEngine, "forward", lambda self, X, place=None: 2 * real(self, X, place)
        )
        return train(net)

    losses, said = run(code, {"net": net})
    assert losses == train(plain)  # the first wrong numbers are not given out
    broken = "NO LONGER ACCELERATED: net (Net): a check against plain PyTorch failed: "
    assert any(line.startswith(broken) for line in said)


class Keeping(Net):
    """Its forward keeps what it saw."""

    def forward(self, x: Tensor) -> Tensor:
        self.last = x
        return super().forward(x)


class Modules(Net):
    """Has a list of the name of a method that reading needs."""

    def __init__(self) -> None:
        super().__init__()
        self.modules = ["of", "the", "author"]  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (Keeping, "forward changes self.last"),
        (Modules, "it cannot be read: TypeError"),
    ],
)
def test_odd_classes_run_as_they_are(kind: type[Net], why: str) -> None:
    net = kind()

    def code() -> None:
        optimizer = torch.optim.SGD([*net.conv.parameters(), *net.fc.parameters()], lr=0.1)
        losses = train(net, 3, optimizer)
        assert losses[-1] > 0

    _, said = run(code, {"net": net})
    assert len(said) == 1
    assert said[0].startswith(f"not accelerated: net ({kind.__name__}): {why}")


def test_wrapped_modules_and_own_forwards_are_left_alone() -> None:
    net = Net()
    own = Net()
    own.forward = lambda x: 2 * Net.forward(own, x)  # type: ignore[method-assign]
    parallel = nn.DataParallel(net)

    def code() -> None:
        train(parallel, 2)
        train(own, 2)
        assert "forward" not in vars(net)
        assert own.forward(batches(1)[0][0]).shape == (16, 10)

    _, said = run(code, {"parallel": parallel, "own": own})
    assert "DataParallel has wrapped it" in said[0]
    assert "has a forward of its own" in said[1]
    assert len(said) == 2


def test_batches_that_do_not_suit_are_told_at_the_end() -> None:
    net = Net()

    def code() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            train(net)

    _, said = run(code, {"net": net})
    assert len(said) == 1
    assert "outside autocast" in said[0]


def test_a_network_that_the_code_accelerates_itself() -> None:
    net = Net()
    fast = accelerate(net)

    def code() -> None:
        forward = vars(fast)["forward"]
        train(fast)
        assert vars(fast)["forward"] is forward

    run(code, {"net": net, "fast": fast})
    assert "forward" in vars(fast)
    assert "forward" not in vars(net)


def test_an_error_of_the_code_ends_it_too() -> None:
    net = Net()

    def code() -> None:
        train(net)
        raise RuntimeError("theirs")

    with pytest.raises(RuntimeError, match="theirs"):
        run(code, {})
    assert "forward" not in vars(net)
    assert not _global_optimizer_pre_hooks


def test_nothing_is_kept_alive() -> None:
    import weakref

    found: list[Any] = []

    def code() -> None:
        net = Net()
        train(net)
        found.append(weakref.ref(net))
        del net
        gc.collect()
        assert found[0]() is None

    run(code, {})
