"""What forward can see and change: noticed where it is another, and put back after a trial."""

from __future__ import annotations

import collections
import contextvars
import functools
import io
import itertools
import logging
import os
import random
import threading
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from lenet.d2l.memory_loader import MemoryLoader  # noqa: E402
from lenet.d2l.module_training import native_loop  # noqa: E402
from lenet.data import Dataset  # noqa: E402
from lenet.engines.native import why_missing  # noqa: E402
from lenet.torch import from_torch  # noqa: E402
from lenet.torch.translation import UnsupportedModuleError, read  # noqa: E402
from lenet.torch.translation.surroundings import Surroundings  # noqa: E402
from lenet.torch.translation.trial import Traces, as_before  # noqa: E402

PICTURE = (1, 6, 6)
ACT: Any = F.relu
ACTS: list[Any] = [F.relu]
KEPT: list[Any] = []


class Base(nn.Module):
    """A small network; the tests' modules say what it does between its layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 2, 3), nn.Linear(32, 3)
        self.prepare()

    def prepare(self) -> None: ...

    def act(self, x: Tensor) -> Any:
        return F.relu(x)

    def keep(self, x: Tensor) -> Any: ...

    def forward(self, x: Tensor) -> Any:
        x = self.act(self.conv(x))
        self.keep(x)
        return self.fc(torch.flatten(x, 1))


def module(**members: Any) -> Any:
    """A module of a class of its own with these methods and attributes."""
    return type("Made", (Base,), members)()


def helper(x: Tensor) -> Any:
    return ACTS[0](x)


def with_closure() -> Any:
    act = F.relu

    def swap(self: Any) -> None:
        nonlocal act
        act = torch.tanh

    return module(act=lambda self, x: act(x), swap=swap)


class Slots:
    __slots__ = ("kind",)

    def __init__(self) -> None:
        self.kind = "relu"


def replaced_then_changed(net: Any) -> None:
    """An equal list is another object, and what is in it can be changed."""
    net.acts = [*net.acts]


SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], object], str]] = {
    "dict": (
        lambda: module(
            prepare=lambda self: setattr(self, "opt", {"act": F.relu}),
            act=lambda self, x: self.opt["act"](x),
        ),
        lambda net: net.opt.update(act=torch.tanh),
        "self.opt['act']",
    ),
    "list": (
        lambda: module(
            prepare=lambda self: setattr(self, "acts", [F.relu, torch.tanh]),
            act=lambda self, x: self.acts[0](x),
        ),
        lambda net: net.acts.reverse(),
        "self.acts",
    ),
    "equal list": (
        lambda: module(
            prepare=lambda self: setattr(self, "acts", [F.relu, torch.tanh]),
            act=lambda self, x: self.acts[0](x),
        ),
        replaced_then_changed,
        "self.acts",
    ),
    "namespace in a namespace": (
        lambda: module(
            prepare=lambda self: setattr(
                self, "cfg", types.SimpleNamespace(act=types.SimpleNamespace(kind="relu"))
            ),
            act=lambda self, x: getattr(torch, self.cfg.act.kind)(x),
        ),
        lambda net: setattr(net.cfg.act, "kind", "tanh"),
        "self.cfg.act.kind",
    ),
    "class attribute": (
        lambda: module(activation=staticmethod(F.relu), act=lambda self, x: self.activation(x)),
        lambda net: setattr(type(net), "activation", staticmethod(torch.tanh)),
        "Made.activation",
    ),
    "class forward": (
        lambda: module(),
        lambda net: setattr(type(net), "forward", lambda self, x: self.fc(self.conv(x).flatten(1))),
        "Made.forward",
    ),
    "closure": (with_closure, lambda net: net.swap(), "act"),
    "global list, in a helper": (
        lambda: module(act=lambda self, x: helper(x)),
        lambda net: ACTS.__setitem__(0, torch.tanh),
        "ACTS",
    ),
    "global": (
        lambda: module(act=lambda self, x: ACT(x)),
        lambda net: globals().update(ACT=torch.tanh),
        "ACT",
    ),
    "default": (
        lambda: module(act=lambda self, x, kinds=["relu"]: getattr(torch, kinds[0])(x)),
        lambda net: type(net).act.__defaults__[0].__setitem__(0, "tanh"),
        "Made.act",
    ),
    "slots": (
        lambda: module(
            prepare=lambda self: setattr(self, "cfg", Slots()),
            act=lambda self, x: getattr(torch, self.cfg.kind)(x),
        ),
        lambda net: setattr(net.cfg, "kind", "tanh"),
        "self.cfg",
    ),
    "UserDict": (
        lambda: module(
            prepare=lambda self: setattr(self, "opt", collections.UserDict(act=F.relu)),
            act=lambda self, x: self.opt["act"](x),
        ),
        lambda net: net.opt.update(act=torch.tanh),
        "self.opt.data['act']",
    ),
    "context variable": (
        lambda: module(
            prepare=lambda self: setattr(
                self, "kind", contextvars.ContextVar("kind", default="relu")
            ),
            act=lambda self, x: getattr(torch, self.kind.get())(x),
        ),
        lambda net: net.kind.set("tanh"),
        "self.kind",
    ),
    "tensor": (
        lambda: module(
            prepare=lambda self: setattr(self, "flag", torch.tensor(True)),
            act=lambda self, x: F.relu(x) if self.flag else x,
        ),
        lambda net: net.flag.fill_(False),
        "self.flag",
    ),
    "array": (
        lambda: module(
            prepare=lambda self: setattr(self, "flag", np.array([1])),
            act=lambda self, x: F.relu(x) if self.flag[0] else x,
        ),
        lambda net: net.flag.fill(0),
        "self.flag",
    ),
    "environment": (
        lambda: module(act=lambda self, x: x if os.environ.get("LENET_TEST_ACT") else F.relu(x)),
        lambda net: os.environ.update(LENET_TEST_ACT="1"),
        "os.environ[b'LENET_TEST_ACT']",
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_changed_setting_is_noticed_and_put_back(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, change, where = SETTINGS[name]
    monkeypatch.setitem(globals(), "ACT", F.relu)
    monkeypatch.setitem(globals(), "ACTS", [F.relu])
    monkeypatch.delenv("LENET_TEST_ACT", raising=False)
    net, x = make(), torch.rand(2, *PICTURE) - 0.5
    before = net(x)
    surroundings = Surroundings(net)
    net(x)
    net.train(False)  # which the callers look at
    assert surroundings.changed() == ""
    change(net)
    assert surroundings.changed() == where
    surroundings.put_back()
    assert surroundings.changed() == ""
    assert torch.equal(net(x), before)


class Recorder:
    def __init__(self) -> None:
        self.items: list[Any] = []


def prepared(value: Callable[[], Any]) -> Callable[[Any], None]:
    return lambda self: setattr(self, "kept", value())


KEEPING: dict[str, tuple[Callable[[], Any], Callable[[Any, Any], object]]] = {
    "dict": (dict, lambda self, x: self.kept.update(c=x)),
    "ordered": (collections.OrderedDict, lambda self, x: self.kept.update(c=x)),
    "defaultdict": (
        lambda: collections.defaultdict(list),
        lambda self, x: self.kept["c"].append(x),
    ),
    "Counter": (collections.Counter, lambda self, x: self.kept.update("a")),
    "list": (list, lambda self, x: self.kept.append(x)),
    "deque": (lambda: collections.deque([1], maxlen=2), lambda self, x: self.kept.append(x)),
    "set": (set, lambda self, x: self.kept.add("seen")),
    "count": (lambda: [0], lambda self, x: self.kept.__setitem__(0, self.kept[0] + 1)),
    "nested": (lambda: {"a": [{"b": []}]}, lambda self, x: self.kept["a"][0]["b"].append(x)),
    "bytes": (lambda: bytearray(b"ab"), lambda self, x: self.kept.append(1)),
    "tensor": (lambda: torch.zeros(2), lambda self, x: self.kept.add_(1)),
    "array": (lambda: np.zeros(2), lambda self, x: self.kept.__iadd__(1)),
    "attribute": (lambda: None, lambda self, x: setattr(self, "kept", x)),
    "new attribute": (lambda: None, lambda self, x: setattr(self, "other", x)),
    "class attribute": (lambda: None, lambda self, x: setattr(type(self), "last", x)),
    "object": (Recorder, lambda self, x: self.kept.items.append(x)),
    "global": (lambda: KEPT, lambda self, x: KEPT.append(x)),
}


def contents(net: Any) -> str:
    kept = getattr(net.kept, "items", net.kept) if isinstance(net.kept, Recorder) else net.kept
    return repr((kept, sorted(vars(net)), sorted(vars(type(net)))))


@pytest.mark.parametrize("name", KEEPING)
def test_what_forward_keeps_is_as_before_its_trial(name: str) -> None:
    value, keep = KEEPING[name]
    net = module(prepare=prepared(value), keep=keep)
    before = contents(net)
    reading = read(net, PICTURE)
    assert contents(net) == before
    assert reading.writes.startswith("changes ")
    from_torch(net, PICTURE)  # a network all the same
    assert contents(net) == before


@pytest.mark.skipif(why_missing() != "", reason="the native engine was not built")
def test_train_ch6_leaves_such_modules_to_pytorch(small: Dataset) -> None:
    loader = MemoryLoader(small.train, 64, shuffle=False)
    cpu = torch.device("cpu")

    def made(**members: Any) -> Any:
        net = module(**members)
        net.fc = nn.Linear(2 * 26 * 26, 10)
        return net

    assert native_loop(made(), loader, None, 0.1, cpu) is not None
    for keep in (lambda self, x: self.kept.append(x), lambda self, x: print(x.shape)):
        net = made(prepare=prepared(list), keep=keep)
        assert native_loop(net, loader, None, 0.1, cpu) is None
        assert net.kept == []


def test_what_forward_prints_logs_and_draws_leaves_no_trace(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    log = logging.getLogger("a module's")
    for keep, said in (
        (lambda self, x: print(x.shape), "prints"),
        (lambda self, x: log.warning("%s", x.shape), "writes to a log"),
        (lambda self, x: random.random(), "draws random numbers"),
        (lambda self, x: np.random.rand(), "draws random numbers"),  # noqa: NPY002
        (lambda self, x: torch.rand(2), "draws random numbers"),
    ):
        net = module(keep=keep)
        states = random.getstate(), repr(np.random.get_state()), torch.get_rng_state()  # noqa: NPY002
        assert read(net, PICTURE).writes == said
        assert (random.getstate(), repr(np.random.get_state())) == states[:2]  # noqa: NPY002
        assert torch.equal(torch.get_rng_state(), states[2])
    assert capsys.readouterr() == ("", "")
    assert caplog.records == []
    print("heard")
    log.warning("heard")
    assert capsys.readouterr().out == "heard\n"
    assert [record.message for record in caplog.records] == ["heard"]


@pytest.mark.parametrize(
    "value",
    [
        *(itertools.count, io.StringIO, lambda: (i for i in range(3))),
        *(random.Random, np.random.default_rng, torch.Generator),
    ],
)
def test_what_cannot_be_put_back_is_named(value: Callable[[], Any]) -> None:
    net = module(prepare=prepared(value), keep=lambda self, x: self.kept)
    assert Surroundings(net).unknown.startswith("self.kept, a ")
    unused = module(prepare=prepared(value))
    assert Surroundings(unused).unknown == ""


def test_an_error_says_what_forward_kept_until_then() -> None:
    net = module(prepare=prepared(list), keep=lambda self, x: self.kept.append(x.detach()))
    with pytest.raises(UnsupportedModuleError, match="detach") as caught:
        read(net, PICTURE)
    assert caught.value.writes == "changes self.kept"
    assert net.kept == []


# --- what another thread writes meanwhile ------------------------------------------------------


class Cached(Base):
    @functools.cached_property
    def scale(self) -> Any:
        return self.fc.bias.sum()

    def act(self, x: Tensor) -> Any:
        return F.relu(x) if self.scale is None else torch.tanh(x)


class Remembers(Base):
    def keep(self, x: Tensor) -> Any:
        self.last = x


class Hidden(Base):
    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__["names"] = name
        super().__setattr__(name, value)

    def keep(self, x: Tensor) -> Any:
        self.last = 1


def elsewhere(write: Callable[[], Any]) -> None:
    thread = threading.Thread(target=write)
    thread.start()
    thread.join()


def test_a_trial_leaves_what_another_thread_writes() -> None:
    def write() -> None:
        net.epoch = 3
        net.opt = "tanh"
        net.fc = other
        net.conv.weight = weight
        net.conv.extra = nn.ReLU()
        del net.old

    class Net(Base):
        def prepare(self) -> None:
            self.opt, self.old, self.epoch = "relu", 1, 0

        def act(self, x: Tensor) -> Any:
            return torch.tanh(x) if self.opt == "tanh" else F.relu(x)

    net, other, x = Net(), nn.Linear(32, 3), torch.rand(2, *PICTURE)
    weight = nn.Parameter(net.conv.weight.detach().clone())
    surroundings, traces = Surroundings(net), Traces()
    with as_before(surroundings, traces):
        net(x)
        elsewhere(write)
    assert (net.epoch, net.opt, hasattr(net, "old"), traces.words) == (3, "tanh", False, "")
    assert net.fc is other
    assert net.conv.weight is weight
    assert isinstance(net.conv.extra, nn.ReLU)
    assert surroundings.changed() != ""  # and it is noticed


@pytest.mark.parametrize("kind", [Cached, Remembers, Hidden])
def test_a_trial_undoes_what_forward_writes_in_ways_its_code_does_not_show(kind: Any) -> None:
    net, x = kind(), torch.rand(2, *PICTURE)
    before = set(net.__dict__)
    surroundings, traces = Surroundings(net), Traces()
    with as_before(surroundings, traces):
        net(x)
    assert set(net.__dict__) == before
    assert traces.words.startswith("changes self.")
