"""fit(): what it draws, when it reads, that stopping and going on changes nothing."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lenet import data, engines, training
from lenet.engines.numpy import NumpyEngine
from lenet.network import zoo
from lenet.network.architecture import Network
from lenet.network.layers import Flatten, Linear
from lenet.network.parameters import State, initialize
from lenet.optimization import Augmentation, EarlyStopping, Objective, Optimizer, Schedule, Settings
from lenet.training import Callbacks, Checkpoint, Parts, Progress, fit
from lenet.training.augmentation import draw_grids, draw_rectangles


@pytest.fixture(scope="module")
def parts(small: data.Dataset) -> Parts:
    train, val = data.hold_out(data.subset(small.train, 900, 0), 0.1, 0)
    return Parts(train, val, data.subset(small.test, 200, 0))


def perceptron() -> Network:
    """The smallest network there is: quick, and it learns at once."""
    return Network("perceptron", (1, 28, 28), (Flatten(), Linear(784, 10)), zoo.class_names(10))


def begin(
    settings: Settings, network: Network | None = None, scheme: str = "xavier"
) -> tuple[NumpyEngine, Checkpoint]:
    network = network or perceptron()
    engine = NumpyEngine(network, settings.optimizer, settings.objective, threads=1)
    return engine, Checkpoint(State(initialize(network, scheme, settings.seed)))


SIZE = (28, 28)
CALM = Settings(epochs=3, batch_size=64, schedule=Schedule(learning_rate=0.1))


def test_it_learns_and_reads_five_times_an_epoch(parts: Parts) -> None:
    engine, start = begin(CALM)
    outcome = fit(engine, parts, CALM, start)
    history = outcome.history
    assert outcome.finished
    assert len(history) == 3 * 7  # 13 batches: every second one, and the last
    assert [row.epoch for row in history[6::7]] == [1, 2, 3]
    assert [row.test_acc is not None for row in history[:7]] == [False] * 6 + [True]
    assert history[-1].train_loss < history[6].train_loss < math.log(10)
    assert history[-1].test_acc is not None
    assert history[-1].test_acc > 0.5
    assert history[-1].examples_seen == 3 * len(parts.train)


def test_the_order_of_an_epoch_is_drawn_once(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def draw_epoch(settings: Settings, labels: Any, epoch: int, *others: Any) -> training.Drawn:
        drawn.append(epoch)
        return draw(settings, labels, epoch, *others)

    draw = training.draw_epoch
    monkeypatch.setattr(training, "draw_epoch", draw_epoch)
    engine, start = begin(CALM)
    fit(engine, parts, CALM, start)
    assert drawn == [0, 1, 2]


def test_readings_are_where_the_tutorials_plot(parts: Parts) -> None:
    """(i + 1) % (num_batches // 5) == 0 or i == num_batches - 1, as in train_ch6."""
    for batches in range(1, 60):
        n, size = batches * 10 - 3, 10
        split = data.Split(
            np.zeros((n, 1, 2, 2), np.uint8), np.zeros(n, np.int64), ("a", "b"), "made"
        )
        points = training.reading_points(dataclasses.replace(CALM, batch_size=size), split)
        every = max(1, batches // 5)  # the tutorials divide by zero below five
        expected = [i + 1 for i in range(batches) if (i + 1) % every == 0 or i == batches - 1]
        assert points == [min(batch * size, n) for batch in expected]


def test_train_loss_is_the_mean_since_the_epoch_began(parts: Parts) -> None:
    engine, start = begin(CALM)
    first = fit(engine, parts, CALM, start).history[0]
    order, _ = training.draw_epoch(CALM, parts.train.labels, 0, SIZE)
    again, _ = begin(CALM)
    again.load(start.state)
    rates = np.full(2, 0.1)
    metrics = again.train(
        parts.train,
        engines.Batches(order[:128], 64, rates, None, engines.Position(0, 0, 0)),
    )
    assert first.train_loss == float(metrics.losses[0] + metrics.losses[1]) / 128
    assert first.train_acc == metrics.correct / 128


def test_an_epoch_is_a_function_of_seed_and_epoch() -> None:
    settings = dataclasses.replace(CALM, augmentation=Augmentation(shift=2, flip=True))
    order, table = training.draw_epoch(settings, np.zeros(500, np.int64), 3, SIZE)
    same_order, same_table = training.draw_epoch(settings, np.zeros(500, np.int64), 3, SIZE)
    assert table is not None
    assert same_table is not None
    assert sorted(order) == list(range(500))
    assert (order == same_order).all()
    assert (table == same_table).all()
    assert not (order == training.draw_epoch(settings, np.zeros(500, np.int64), 4, SIZE)[0]).all()
    other_seed = dataclasses.replace(settings, seed=1)
    assert not (order == training.draw_epoch(other_seed, np.zeros(500, np.int64), 3, SIZE)[0]).all()
    assert set(np.unique(table[:, :2])) == {-2, -1, 0, 1, 2}
    assert set(np.unique(table[:, 2])) == {0, 1}
    # augmentation must not change the order: two runs can then be compared
    assert (order == training.draw_epoch(CALM, np.zeros(500, np.int64), 3, SIZE)[0]).all()
    bent = dataclasses.replace(CALM, augmentation=Augmentation(shift=2, flip=True, elastic=1))
    bent_order, bent_table = training.draw_epoch(bent, np.zeros(500, np.int64), 3, SIZE)
    assert bent_table is not None
    assert (order == bent_order).all()
    assert (table == bent_table[:, :3]).all()
    erased = dataclasses.replace(bent, augmentation=dataclasses.replace(bent.augmentation, erase=1))
    erased_table = training.draw_epoch(erased, np.zeros(500, np.int64), 3, SIZE)[1]
    assert erased_table is not None
    assert (bent_table == erased_table[:, :53]).all()


def test_rectangles_of_any_size_up_to_the_share_lie_anywhere_inside() -> None:
    random = np.random.default_rng(0)
    top, left, height, width, grey = draw_rectangles(random, 0.5, 5_000, (28, 20)).T
    assert set(height) == set(range(15))
    assert set(width) == set(range(11))
    assert set(grey) == set(range(256))
    assert (top.min(), left.min(), (top + height).max(), (left + width).max()) == (0, 0, 28, 20)
    assert abs((top + height / 2).mean() - 14) < 0.5  # as often above the middle as below
    whole = draw_rectangles(random, 1, 5_000, (28, 20))
    assert whole[:, 2:4].max(axis=0).tolist() == [28, 20]


def grids(**augmentation: float) -> NDArray[np.float64]:
    """Displacements in pixels of 2,000 pictures of 28 × 20, (n, rows or columns, 5, 5)."""
    random = np.random.default_rng(0)
    drawn = draw_grids(random, Augmentation(**augmentation), 2_000, (28, 20))  # type: ignore[arg-type]
    return drawn.reshape(-1, 2, 5, 5) / 256


def test_grids_are_the_rotations_scales_slants_and_bends_that_were_asked_for() -> None:
    y, x = np.linspace(0, 28, 5)[:, None] - 13.5, np.linspace(0, 20, 5) - 9.5
    turned = grids(rotate=30) + np.stack(np.broadcast_arrays(y, x))
    assert np.allclose(np.hypot(*turned.swapaxes(0, 1)), np.hypot(y, x), atol=0.01)
    angle = np.degrees(np.arctan2(turned[:, 1], turned[:, 0]) - np.arctan2(x, y))[:, 0, 0]
    assert abs(angle).max() == pytest.approx(30, abs=0.2)
    assert abs(angle.mean()) < 1

    height, width = grids(scale=0.5).swapaxes(0, 1)
    share = 1 + height[:, 0, 0] / y[0, 0]
    assert (share.min(), share.max()) == pytest.approx((1 / 1.5, 1.5), abs=0.01)
    assert np.allclose(height, (share - 1)[:, None, None] * y, atol=0.05)
    assert np.corrcoef(share, width[:, 0, 0])[0, 1] ** 2 < 0.01  # each its own

    rows, columns = grids(shear=45).swapaxes(0, 1)
    assert not rows.any()
    slant = columns[:, 0, 0] / y[0, 0]
    assert (slant.min(), slant.max()) == pytest.approx((-1, 1), abs=0.01)

    bent = grids(elastic=1.5)
    assert bent.std() == pytest.approx(1.5, rel=0.02)
    assert abs(np.corrcoef(bent[:, 0, 0, 0], bent[:, 0, 0, 1])[0, 1]) < 0.1


VARIANTS = {
    "sgd": CALM,
    "momentum, cosine": dataclasses.replace(
        CALM,
        optimizer=Optimizer(momentum=0.9),
        schedule=Schedule("cosine", 0.05, warmup_epochs=0.5),
    ),
    "adamw, average, smoothing, augmentation": dataclasses.replace(
        CALM,
        optimizer=Optimizer("adamw", weight_decay=0.01, average=0.99),
        schedule=Schedule("one-cycle", 0.003),
        objective=Objective(label_smoothing=0.1),
        augmentation=Augmentation(shift=2, flip=True, rotate=10, elastic=0.5),
    ),
    "early stopping": dataclasses.replace(CALM, early_stopping=EarlyStopping(patience=2)),
    "class weights, balanced sampling": dataclasses.replace(
        CALM, objective=Objective(class_weights=[*range(1, 11)]), sampling="balanced"
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_stopping_anywhere_and_going_on_changes_nothing(
    name: str, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "STRETCH_S", 0)  # one step a stretch: stops everywhere
    settings = dataclasses.replace(VARIANTS[name], epochs=2)
    engine, start = begin(settings)
    whole = fit(engine, parts, settings, start)

    rows, checkpoint = [], start
    while not training.finished(checkpoint.progress, settings):
        engine, _ = begin(settings)
        asked = iter((False, False, True))  # a different place every time: the loop asks often
        outcome = fit(engine, parts, settings, checkpoint, stop=lambda a=asked: next(a, True))
        rows += outcome.history
        assert outcome.checkpoint.progress.examples_seen > checkpoint.progress.examples_seen
        checkpoint = outcome.checkpoint

    def timeless(row: training.Reading) -> training.Reading:
        return dataclasses.replace(row, wall_s=0, examples_per_s=0)

    assert list(map(timeless, rows)) == list(map(timeless, whole.history))
    final = outcome.weights
    assert all((final[key] == value).all() for key, value in whole.weights.items())
    state, expected = checkpoint.state, whole.checkpoint.state
    assert state.step == expected.step
    for moment, values in expected.moments.items():
        assert all((state.moments[moment][key] == value).all() for key, value in values.items())


def test_balanced_sampling_shows_each_class_equally_often() -> None:
    settings = dataclasses.replace(CALM, sampling="balanced")
    labels = np.repeat([0, 1, 3], [70, 10, 23])  # class 2 has no pictures
    order, table = training.draw_epoch(settings, labels, 3, SIZE)
    assert table is None
    assert len(order) == 103
    counts = np.bincount(labels[order], minlength=4)
    assert sorted(counts[[0, 1, 3]]) == [34, 34, 35]
    assert counts[2] == 0
    times = np.bincount(order, minlength=103)
    assert times[:70].max() == 1  # of a large class each picture at most once
    assert set(times[70:80]) <= {3, 4}  # of a small one all equally often
    assert set(times[80:]) <= {1, 2}
    assert not (np.diff(labels[order]) == 0).all()
    assert (order == training.draw_epoch(settings, labels, 3, SIZE)[0]).all()
    other = training.draw_epoch(settings, labels, 4, SIZE)[0]
    assert not (order == other).all()
    seen = {*order[labels[order] == 0], *other[labels[other] == 0]}
    assert len(seen) > 40  # the next epoch shows others of the large class


def test_own_weights_of_pictures_go_with_them(parts: Parts) -> None:
    """Pictures of weight 0 teach nothing: whatever their labels, the same weights come out."""
    weights = (np.arange(len(parts.train)) % 3).astype(np.float32)
    finals = []
    for shift in (0, 1):
        labels = np.where(weights == 0, (parts.train.labels + shift) % 10, parts.train.labels)
        train = dataclasses.replace(parts.train, labels=labels, weights=weights)
        engine, start = begin(CALM)
        finals.append(fit(engine, Parts(train, None, None), CALM, start).weights)
    assert all((finals[0][key] == finals[1][key]).all() for key in finals[0])
    kept, held = data.hold_out(dataclasses.replace(parts.train, weights=weights), 0.1, 0)
    assert kept.weights is not None
    assert held.weights is not None
    assert kept.weights.sum() + held.weights.sum() == weights.sum()


def test_callbacks_see_stretches_readings_and_checkpoints(parts: Parts) -> None:
    stretches: list[Progress] = []
    readings: list[training.Reading] = []
    checkpoints: list[Checkpoint] = []
    callbacks = Callbacks(stretches.append, readings.append, None, checkpoints.append)
    engine, start = begin(CALM)
    outcome = fit(engine, parts, CALM, start, [Callbacks(), callbacks])
    assert readings == outcome.history
    assert [c.progress.epoch for c in checkpoints] == [1, 2, 3]
    assert stretches[-1].examples_seen == readings[-1].examples_seen
    assert all(a.examples_seen < b.examples_seen for a, b in zip(stretches, stretches[1:]))  # noqa: B905, RUF007


def test_a_loss_that_is_no_number_names_the_step(parts: Parts) -> None:
    settings = dataclasses.replace(CALM, schedule=Schedule(learning_rate=1e38))
    engine, start = begin(settings)
    with (
        np.errstate(all="ignore"),
        pytest.raises(training.TrainingError, match=r"the loss of step \d+ is (nan|inf)"),
    ):
        fit(engine, parts, settings, start)


def test_early_stopping_keeps_the_best_weights(parts: Parts) -> None:
    settings = dataclasses.replace(
        CALM,
        epochs=40,
        optimizer=Optimizer("adam"),
        schedule=Schedule(learning_rate=0.03),  # overfits soon
        early_stopping=EarlyStopping(patience=3),
    )
    engine, start = begin(settings)
    remarks: list[str] = []
    outcome = fit(engine, parts, settings, start, [Callbacks(on_remark=remarks.append)])
    losses = [row.val_loss for row in outcome.history if row.val_loss is not None]
    best = int(np.argmin(losses))
    assert outcome.finished
    assert len(losses) == best + 1 + 3 < 40
    assert any(f"kept the weights of epoch {best + 1} " in remark for remark in remarks)
    assert parts.val is not None
    engine.load(State(outcome.weights))
    assert engine.evaluate(parts.val).loss == min(losses)


def test_early_stopping_without_a_held_out_part_is_refused(parts: Parts) -> None:
    settings = dataclasses.replace(CALM, early_stopping=EarlyStopping(patience=1))
    engine, start = begin(settings)
    with pytest.raises(training.TrainingError, match="--val"):
        fit(engine, Parts(parts.train, None, parts.test), settings, start)


def test_more_pictures_in_a_batch_than_there_are(parts: Parts) -> None:
    settings = dataclasses.replace(CALM, batch_size=10_000, epochs=2)
    engine, start = begin(settings)
    outcome = fit(engine, Parts(parts.train, None, None), settings, start)
    assert [row.step for row in outcome.history] == [1, 2]
    assert outcome.history[-1].test_acc is None
