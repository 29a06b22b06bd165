"""Optimisers, schedules and settings as data: PyTorch's numbers, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lenet.optimization import (
    DEFAULT_LEARNING_RATE,
    METHODS,
    SCHEDULES,
    Augmentation,
    EarlyStopping,
    Objective,
    Optimizer,
    Schedule,
    SettingError,
    Settings,
)
from lenet.untrusted import shown

lengths = {"steps_per_epoch": st.integers(1, 30), "epochs": st.integers(1, 8)}


def torch_rates(scheduler, learning_rate, steps, **arguments):
    """The learning rate of each of so many steps, with one of torch.optim.lr_scheduler."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=learning_rate, momentum=0.9)
    schedule = getattr(torch.optim.lr_scheduler, scheduler)(optimizer, **arguments)
    rates = []
    for step in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step + 1 < steps:  # OneCycleLR refuses to go past its end
            schedule.step()
    return rates


# --- schedules ---------------------------------------------------------------------------------


@pytest.mark.slow
@given(**lengths)
@example(steps_per_epoch=1, epochs=1)
@example(steps_per_epoch=3, epochs=1)  # three steps or fewer: no rise
@example(steps_per_epoch=10, epochs=1)  # the turn falls on a step
@settings(deadline=None, max_examples=10)
def test_one_cycle_is_pytorchs(steps_per_epoch, epochs):
    steps = steps_per_epoch * epochs
    rates = Schedule("one-cycle", learning_rate=0.3).learning_rates(steps_per_epoch, epochs)
    expected = torch_rates("OneCycleLR", 0.3, steps, max_lr=0.3, total_steps=steps)
    np.testing.assert_allclose(rates, expected, rtol=1e-9)


@given(**lengths, every=st.integers(1, 9), gamma=st.floats(0.1, 1))
@settings(deadline=None, max_examples=10)
def test_step_is_pytorchs(steps_per_epoch, epochs, every, gamma):
    steps = steps_per_epoch * epochs
    schedule = Schedule("step", learning_rate=0.9, step_epochs=every, gamma=gamma)
    by_step = torch_rates("StepLR", 0.9, steps, step_size=every * steps_per_epoch, gamma=gamma)
    by_epoch = torch_rates("StepLR", 0.9, epochs, step_size=every, gamma=gamma)
    rates = schedule.learning_rates(steps_per_epoch, epochs)
    np.testing.assert_allclose(rates, by_step, rtol=1e-12)
    np.testing.assert_allclose(rates, np.repeat(by_epoch, steps_per_epoch), rtol=1e-12)


@given(**lengths, final=st.floats(0, 1))
@settings(deadline=None, max_examples=10)
def test_cosine_is_pytorchs(steps_per_epoch, epochs, final):
    steps = steps_per_epoch * epochs
    schedule = Schedule("cosine", learning_rate=0.9, final=final)
    expected = torch_rates("CosineAnnealingLR", 0.9, steps, T_max=steps, eta_min=0.9 * final)
    rates = schedule.learning_rates(steps_per_epoch, epochs)
    np.testing.assert_allclose(rates, expected, rtol=1e-7, atol=1e-9)  # theirs is a recurrence


@given(**lengths, warmup=st.integers(0, 9))
@settings(deadline=None, max_examples=10)
def test_warmup_is_pytorchs_linear_one(steps_per_epoch, epochs, warmup):
    rates = Schedule(warmup_epochs=warmup, learning_rate=0.9).learning_rates(
        steps_per_epoch, epochs
    )
    steps, rise = steps_per_epoch * epochs, min(warmup, epochs) * steps_per_epoch
    expected = torch_rates(
        "LinearLR", 0.9, steps, start_factor=1 / (rise + 1), end_factor=1.0, total_iters=rise
    )
    np.testing.assert_allclose(rates, expected, rtol=1e-9)


def test_constant_is_constant():
    np.testing.assert_array_equal(Schedule().learning_rates(235, 10), np.full(2350, 0.9))


@pytest.mark.parametrize("kind", ["constant", "step", "cosine"])
def test_warmup_comes_first_and_the_schedule_after_it(kind):
    schedule = Schedule(kind, learning_rate=1.0, step_epochs=2, gamma=0.5)
    warm = Schedule(kind, learning_rate=1.0, step_epochs=2, gamma=0.5, warmup_epochs=1)
    rates = warm.learning_rates(4, 7)
    np.testing.assert_allclose(rates[:4], [1 / 5, 2 / 5, 3 / 5, 4 / 5])
    np.testing.assert_allclose(rates[4:], schedule.learning_rates(4, 6))


@given(
    kind=st.sampled_from(SCHEDULES),
    warmup=st.floats(0, 12),
    step_epochs=st.floats(0.01, 20),
    final=st.floats(0, 1),
    **lengths,
)
@settings(deadline=None)
def test_every_learning_rate_is_usable(kind, warmup, step_epochs, final, steps_per_epoch, epochs):
    schedule = Schedule(
        kind,
        learning_rate=0.5,
        warmup_epochs=0 if kind == "one-cycle" else warmup,
        step_epochs=step_epochs,
        gamma=0.9,
        final=final,
        factors="1 x2, 0.25",
    )
    rates = schedule.learning_rates(steps_per_epoch, epochs)
    assert rates.shape == (steps_per_epoch * epochs,)
    assert rates.dtype == np.float64
    assert np.isfinite(rates).all()
    assert (rates >= 0).all()
    assert (rates <= 0.5 * (1 + 1e-12)).all()


@pytest.mark.parametrize("kind", SCHEDULES)
def test_no_steps_need_no_learning_rates(kind):
    assert Schedule(kind, factors="1").learning_rates(0, 3).shape == (0,)


def test_a_listed_schedule_says_what_is_wrong_with_its_factors():
    for factors in ("", "1 x", "1, a", "1 x2.5", "0", "1 x0", "1 x10001", "nan"):
        with pytest.raises(SettingError, match=r"schedule\.factors"):
            Schedule("listed", factors=factors)


# --- optimisers --------------------------------------------------------------------------------


def test_moments_are_those_that_pytorchs_optimizers_keep():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for ours, theirs, arguments in (
        (Optimizer("sgd"), torch.optim.SGD, {"lr": 0.1}),
        (Optimizer("sgd", momentum=0.9), torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
        (Optimizer("adam"), torch.optim.Adam, {}),
        (Optimizer("adamw"), torch.optim.AdamW, {}),
    ):
        weight = torch.zeros(1, requires_grad=True)
        optimizer = theirs([weight], **arguments)
        weight.sum().backward()
        optimizer.step()
        kept = {name for name, value in optimizer.state[weight].items() if value is not None}
        assert set(ours.moments) == kept - {"step"}


def test_defaults_are_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for method, cls in (("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)):
        theirs = cls([torch.zeros(1)]).defaults
        ours = Optimizer(method)
        assert (ours.beta1, ours.beta2) == theirs["betas"]
        assert ours.eps == theirs["eps"]
        assert DEFAULT_LEARNING_RATE[method] == theirs["lr"]
    assert set(DEFAULT_LEARNING_RATE) == set(METHODS)


def test_averaging_starts_with_the_present_and_grows_to_its_decay():
    optimizer = Optimizer(average=0.99)
    assert optimizer.averaging_decay(1) == 2 / 11
    decays = [optimizer.averaging_decay(step) for step in range(1, 5000)]
    assert decays == sorted(decays)
    assert decays[-1] == 0.99
    assert Optimizer().averaging_decay(1) == 0


# --- what no training can use ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Schedule(learning_rate=-1), "learning rate is -1, must be above 0 and finite"),
        (lambda: Schedule(learning_rate=0), "learning rate is 0, must be above 0"),
        (lambda: Schedule(learning_rate=math.nan), "learning rate is nan, must be above 0"),
        (lambda: Schedule(learning_rate=math.inf), "learning rate is inf, .* finite"),
        (lambda: Schedule(learning_rate=10**400), "learning rate is 10+, .* finite"),
        (lambda: Schedule(learning_rate="0.9"), "learning rate is '0.9', must be a number"),
        (lambda: Schedule(learning_rate=None), "learning rate is None, must be a number"),
        (lambda: Schedule(kind="warm"), "schedule.kind is 'warm', .* constant, step, cosine, one-"),
        (lambda: Schedule(warmup_epochs=-1), "schedule.warmup_epochs is -1, must be at least 0"),
        (lambda: Schedule("one-cycle", warmup_epochs=1), "one-cycle has its own"),
        (lambda: Schedule(step_epochs=0), "schedule.step_epochs is 0, must be above 0"),
        (lambda: Schedule(gamma=0), "schedule.gamma is 0, must be above 0 and at most 1"),
        (lambda: Schedule(gamma=1.5), "schedule.gamma is 1.5, must be above 0 and at most 1"),
        (lambda: Schedule(final=-0.1), "schedule.final is -0.1, must be at least 0 and at most 1"),
        (lambda: Settings(batch_size=0), "batch size is 0, must be at least 1"),
        (lambda: Settings(batch_size=-256), "batch size is -256, must be at least 1"),
        (lambda: Settings(batch_size=2.5), "batch size is 2.5, must be a whole number"),
        (lambda: Settings(batch_size=True), "batch size is True, must be a whole number"),
        (lambda: Settings(batch_size=2**31), "batch size is .* at most 2147483647"),
        (lambda: Settings(epochs=0), "epochs is 0, must be at least 1"),
        (lambda: Settings(epochs="10"), "epochs is '10', must be a whole number"),
        (lambda: Settings(epochs=10**7), "epochs is 10000000, .* at most 1000000"),
        (lambda: Settings(seed=-1), "seed is -1, must be at least 0"),
        (lambda: Settings(seed=2**32), "seed is 4294967296, .* at most 4294967295"),
        (lambda: Optimizer("rmsprop"), "optimizer.method is 'rmsprop', .* sgd, adam, adamw"),
        (lambda: Optimizer(momentum=1), "optimizer.momentum is 1, must be at least 0 and below 1"),
        (lambda: Optimizer(momentum=-0.1), "optimizer.momentum is -0.1, must be at least 0"),
        (lambda: Optimizer(momentum=math.nan), "optimizer.momentum is nan"),
        (lambda: Optimizer(beta1=1.0), "optimizer.beta1 is 1.0, must be at least 0 and below 1"),
        (lambda: Optimizer(beta2=-1), "optimizer.beta2 is -1"),
        (lambda: Optimizer(average=1), "optimizer.average is 1, must be at least 0 and below 1"),
        (lambda: Optimizer(weight_decay=-1e-4), "optimizer.weight_decay is -0.0001"),
        (lambda: Optimizer(weight_decay=math.inf), "optimizer.weight_decay is inf, .* finite"),
        (lambda: Optimizer("adam", eps=0), "optimizer.eps is 0, must be above 0"),
        (lambda: Optimizer(nesterov=True), "optimizer.nesterov needs optimizer.momentum above 0"),
        (lambda: Objective(1.0), "objective.label_smoothing is 1.0, .* below 1"),
        (lambda: Objective(math.nan), "objective.label_smoothing is nan"),
        (lambda: Augmentation(shift=-1), "augmentation.shift is -1, must be at least 0"),
        (lambda: Augmentation(shift=128), "augmentation.shift is 128, .* at most 127"),
        (lambda: Augmentation(shift=1.5), "augmentation.shift is 1.5, must be a whole number"),
        (lambda: Augmentation(rotate=91), "augmentation.rotate is 91, .* at most 90"),
        (lambda: Augmentation(scale=-0.1), "augmentation.scale is -0.1, must be at least 0"),
        (lambda: Augmentation(shear=61), "augmentation.shear is 61, .* at most 60"),
        (lambda: Augmentation(elastic=math.nan), "augmentation.elastic is nan"),
        (lambda: Augmentation(erase=1.1), "augmentation.erase is 1.1, must be .* at most 1"),
        (lambda: EarlyStopping(patience=-1), "early_stopping.patience is -1, must be at least 0"),
        (lambda: EarlyStopping(min_delta=math.nan), "early_stopping.min_delta is nan"),
    ],
)
def test_refused_with_the_value_and_what_is_possible(make, message):
    with pytest.raises(SettingError, match=message):
        make()


def test_numpys_numbers_are_numbers():
    assert Settings(epochs=np.int64(3)).epochs == 3
    assert Schedule(learning_rate=np.float32(0.5)).learning_rate == 0.5


@settings(deadline=None, max_examples=40)
@given(st.one_of(st.integers(), st.floats(), st.booleans(), st.text(), st.none()))
def test_any_value_is_taken_or_refused_as_a_setting(value):
    for make in (
        lambda: Schedule(learning_rate=value),
        lambda: Settings(batch_size=value),
        lambda: Optimizer(momentum=value),
        lambda: Augmentation(shift=value),
    ):
        try:
            make()
        except SettingError as error:
            refused = error
        else:
            refused = None
        assert refused is None or shown(value) in str(refused)
