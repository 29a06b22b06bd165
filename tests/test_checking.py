"""The net under accelerate: with each detection cut, the check alone finds what is wrong."""

from __future__ import annotations

import copy
import importlib.util
import types
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from lenet.network import zoo

torch = pytest.importorskip("torch")
if importlib.util.find_spec("lenet._native") is None:
    pytest.skip("the native engine was not built", allow_module_level=True)

import torch.nn.functional as F  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from lenet.torch import accelerate, acceleration, to_torch  # noqa: E402
from lenet.torch.acceleration import checking, forward, say  # noqa: E402

BROKEN = "NO LONGER ACCELERATED: a check against plain PyTorch failed: "


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Weights of one seed, and lines that were not yet said."""
    torch.manual_seed(0)
    say.cache_clear()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.drop, self.fc = nn.Conv2d(1, 4, 5), nn.Dropout(0.4), nn.Linear(2304, 10)
        self.opt: dict[str, Any] = {"act": F.relu}
        self.seen: dict[str, Any] = {}

    def forward(self, x: Tensor) -> Any:
        return self.fc(self.drop(self.opt["act"](self.conv(x))).flatten(1))


class Keeping(Net):
    def forward(self, x: Tensor) -> Any:
        self.seen["x"] = x
        return super().forward(x)


class Printing(Net):
    def forward(self, x: Tensor) -> Any:
        print("shape", x.shape[1:])
        return super().forward(x)


class Drawing(Net):
    def forward(self, x: Tensor) -> Any:
        torch.rand(3)
        return super().forward(x)


def pictures(n: int = 8, seed: int = 1) -> Tensor:
    return torch.rand(n, 1, 28, 28, generator=torch.Generator().manual_seed(seed))


def schedule_of(fast: Any) -> checking.Schedule:
    found: checking.Schedule = fast.forward.plan.native.shared.schedule
    return found


def make_due(fast: Any) -> None:
    schedule_of(fast).busy_s = float("inf")


def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no change of a module noticed."""
    monkeypatch.setattr(forward.Plan, "outdated", lambda self, shape: False)


CHANGES: dict[str, tuple[Callable[[Any], object], str]] = {
    "a setting in a dict": (lambda net: net.opt.update(act=torch.tanh), "layer 1 (ReLU)"),
    "a layer": (lambda net: setattr(net, "fc", nn.Linear(2304, 10)), "layer 4 (Linear)"),
    "a layer's own forward": (
        lambda net: setattr(net.fc, "forward", lambda x: F.linear(x, 2 * net.fc.weight)),
        "layer 4 (Linear)",
    ),
    "the class's forward": (
        lambda net: setattr(type(net), "forward", lambda self, x: 2 * Net.forward(self, x)),
        "the outputs of the module",
    ),
}


@pytest.mark.parametrize("drops", [False, True])
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_nothing_noticed_is_found(
    name: str, drops: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    change, layer = CHANGES[name]
    kind = type("Kind", (Net,), {})
    fast, X = accelerate(kind().train(drops)), pictures()
    fast(X)
    blind(monkeypatch)
    change(fast)
    make_due(fast)
    found = fast(X)
    said = capsys.readouterr().err
    assert BROKEN in said
    assert layer in said
    if not drops:
        assert torch.equal(found, type(fast).forward(fast, X))  # this call's are right already
        assert torch.equal(fast(X), found)  # and all further ones


@pytest.mark.parametrize("kind", [Keeping, Printing, Drawing])
def test_what_the_trial_did_not_tell_is_found_at_the_first_batch(
    kind: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read = forward.read  # type: ignore[attr-defined]
    monkeypatch.setattr(forward, "read", lambda *args: replace(read(*args), writes=""))
    fast, X = accelerate(kind().eval()), pictures()
    found = fast(X)
    heard = capsys.readouterr()
    assert BROKEN in heard.err
    assert heard.out == ("shape torch.Size([1, 28, 28])\n" if kind is Printing else "")
    assert torch.equal(found, fast(X))
    if kind is Keeping:
        assert len(fast.seen["x"]) == 8  # and not the few that were checked


def test_an_own_forward_that_nothing_noticed_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    net = Net().eval()
    net.forward = types.MethodType(lambda self, x: 2 * Net.forward(self, x), net)
    for place in (acceleration, forward):
        monkeypatch.setattr(place, "wrapped", lambda module: "")
    assert torch.equal(accelerate(net)(pictures()), net(pictures()))
    assert BROKEN in capsys.readouterr().err


def test_the_gradient_of_another_batch_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    plain = to_torch(zoo.lenet_relu())
    fast = accelerate(copy.deepcopy(plain))
    X = pictures(32)
    fast(X)
    shared = fast.forward.plan.native.shared  # type: ignore[attr-defined]
    make_due(fast)
    outputs = fast(X)
    ticket = shared.ticket
    fast(pictures(32, seed=2))
    shared.ticket = ticket  # the engine takes the other batch for this one
    outputs.pow(2).sum().backward()
    plain(X).pow(2).sum().backward()
    for ours, theirs in zip(fast.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(ours.grad, theirs.grad, rtol=1e-3, atol=1e-5)
    said = capsys.readouterr().err
    assert BROKEN in said
    assert "the gradient of " in said
    assert schedule_of(fast).failed


@pytest.mark.parametrize("drops", [False, True])
def test_a_check_finds_nothing_where_all_is_well_and_leaves_no_trace(
    drops: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    fast, X = accelerate(Net().train(drops)), pictures(9)
    y = torch.arange(9)
    results = []
    for due in (True, False):
        if fast.forward.plan:  # type: ignore[attr-defined]
            schedule_of(fast).busy_s = float("inf") if due else 0.0
        fast.zero_grad()
        torch.manual_seed(5)
        outputs = fast(X)
        F.cross_entropy(outputs, y).backward()
        gradients = [parameter.grad.clone() for parameter in fast.parameters()]
        results.append([outputs.detach(), torch.get_rng_state(), *gradients])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    assert not schedule_of(fast).failed
    assert BROKEN not in capsys.readouterr().err


def test_large_weights_and_infinite_outputs_are_no_faults() -> None:
    for scale in (1e3, 1e6, 1e18, float("inf")):
        net = Net().eval()
        with torch.no_grad():
            net.fc.weight.mul_(scale)
            net.conv.weight.mul_(min(scale, 1e18))
        fast = accelerate(net)
        with torch.no_grad():
            fast(pictures())
        if fast.forward.plan.native:  # type: ignore[attr-defined]
            assert not schedule_of(fast).failed


def test_checks_take_under_a_hundredth_of_the_time() -> None:
    schedule = checking.Schedule()
    assert schedule.due()  # the first batch
    schedule.cost_s, checks, busy_s = 0.002, 0, 0.0
    for _ in range(3000):
        schedule.busy_s += 0.001
        busy_s += 0.001
        if schedule.due():
            checks += 1
            schedule.cost_s = 0.002
    assert checks in (9, 10)
    assert checks * 0.002 / busy_s < 0.01
