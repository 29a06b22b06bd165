"""lenet sweep: what is drawn, given up and chosen, and what the report says of it."""

from __future__ import annotations

import html
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lenet import cli
from lenet.optimization import SettingError
from lenet.sweeps import ablation, comparing, folder, report, running, sampling, student, view
from lenet.sweeps import plan as plans
from lenet.sweeps.folder import DamagedSweepError, Sweep
from lenet.sweeps.local import shares
from lenet.sweeps.plan import Choices, Plan, Range, SweepError
from lenet.sweeps.settings import recipe_of
from lenet.sweeps.trial import (
    BROKEN,
    FAILED,
    FINISHED,
    PRUNED,
    REACHED,
    Result,
    result_from,
    to_dict,
)
from lenet.training import recipes
from lenet.untrusted import UntrustedError

SMALL = "fashion-mnist-small"
D2L = recipes.load("d2l")
PICTURES = ((1, 28, 28), tuple("0123456789"))
INFO = {
    "pictures": {"name": "some", "sha256": {}, "examples": {"val": 6000}},
    "machine": {"processor": "a processor"},
    "versions": {"lenet": "0.1"},
    "command": "lenet sweep",
    "started": "2026-11-29",
}


def a_plan(**changes: object) -> Plan:
    vary = {"batch_size": Choices((32, 64, 128, 256)), "activation": Choices(("sigmoid", "relu"))}
    return Plan(**{"recipe": D2L, "vary": vary, "seeds": 2, **changes})


def pretend(sweep: Sweep, most_epochs: int = 10**9) -> list[list[running.Wanted]]:
    """The waves of a grid whose runs all end at once: larger numbers of settings do better."""
    sweep.settings[:] = sampling.draw(sweep.plan, [], 10**9)
    waves = []
    for wave in running.waves(sweep, range(len(sweep.settings))):
        waves.append(wave)
        for wanted in wave:
            curve = tuple(
                round(0.01 * wanted.setting + 0.02 * e + 0.001 * wanted.seed, 6)
                for e in range(1, wanted.epochs + 1)
            )
            state = FINISHED if wanted.epochs == sweep.plan.epochs else REACHED
            sweep.results[wanted.setting, wanted.seed] = Result(
                wanted.setting, wanted.seed, state, wanted.epochs, curve, curve[-1], 1.0, 1.0
            )
    return waves


# --- plans -------------------------------------------------------------------------------------


def test_values_of_a_line_are_choices_or_ranges() -> None:
    assert plans.parse_axis("batch_size=32, 64", D2L) == ("batch_size", Choices((32, 64)))
    rate = "schedule.learning_rate"
    assert plans.parse_axis(f"{rate}=1e-4..0.1:log", D2L) == (rate, Range(1e-4, 0.1, True))
    assert plans.parse_axis("epochs=1..5", D2L) == ("epochs", Range(1, 5, whole=True))
    assert plans.parse_axis("activation=ReLU,leaky_relu", D2L)[1] == Choices(("relu", "leaky-relu"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batch_size", "write KEY=a,b,c"),
        ("batchsize=1,2", r"did you mean batch_size\?|'batchsize' cannot vary"),
        ("batch_size=1,x", "batch_size is 'x'"),
        ("batch_size=32,32", "has a value twice"),
        ("batch_size=1..2.5", "takes whole numbers"),
        ("schedule.learning_rate=2..1", "low must be below high"),
        ("schedule.learning_rate=0..1:log", "above 0 with log"),
        ("schedule.learning_rate=1..2:exp", "only log"),
        ("activation=relu,softplus", "choose from sigmoid"),
        ("pooling=1..2", "is no number"),
        ("seed=1,2", "--seeds N"),
        ("val=0.1,0.2", "must be the same for all"),
        ("data=mnist,fashion-mnist", "a sweep of each"),
    ],
)
def test_what_cannot_vary_is_refused(text: str, message: str) -> None:
    with pytest.raises((SweepError, SettingError), match=message):
        plans.parse_axis(text, D2L)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vary": {}}, "nothing varies"),
        ({"sampler": "rnd"}, "sampler is 'rnd'"),
        ({"sampler": "random"}, "needs --trials N"),
        ({"trials": 3}, "a grid tries every setting"),
        ({"seeds": 0}, "seeds is 0"),
        ({"seeds": 1000, "vary": {"batch_size": Choices(tuple(range(1, 20)))}}, "19,000 runs"),
        ({"prune": "median", "vary": {"epochs": Choices((1, 2))}}, "different length"),
        ({"vary": {"schedule.learning_rate": Range(0.1, 1)}}, "a grid needs values"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SweepError, match=message):
        a_plan(**changes)


def test_a_sweeps_file_is_a_recipe_with_two_sections_more(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'recipe = "d2l"\nepochs = 2\n[vary]\nactivation = ["sigmoid", "relu"]\n'
        "schedule.learning_rate = { low = 0.01, high = 1, log = true }\n"
        '[sweep]\nsampler = "random"\ntrials = 4\n'
    )
    file = plans.read_file(path)
    assert file is not None
    assert (file.recipe.settings.epochs, file.options) == (2, {"sampler": "random", "trials": 4})
    axes = dict(plans.axis_of(key, value, file.recipe) for key, value in file.vary.items())
    assert axes["schedule.learning_rate"] == Range(0.01, 1.0, log=True)
    assert file.chosen == {"epochs"}
    path.write_text("epochs = 2\n")
    assert plans.read_file(path) is None  # a recipe
    path.write_text("[sweep]\nseed = 1\n")
    with pytest.raises(SweepError, match="unknown key 'seed'"):
        plans.read_file(path)


def test_plans_come_back_from_their_plain_values() -> None:
    vary = {"schedule.learning_rate": Range(0.01, 1.0, True), "pooling": Choices(("max",))}
    plan = a_plan(vary=vary, sampler="random", trials=5, prune="median", question="Why?")
    assert plans.from_dict(json.loads(json.dumps(plans.to_dict(plan)))) == plan


# --- settings ----------------------------------------------------------------------------------


def test_a_setting_changes_layers_optimiser_and_the_usual_rate() -> None:
    relu = recipe_of(D2L, {"activation": "relu", "pooling": "max"}, PICTURES, False)
    assert relu.network == "lenet-relu-max"
    assert relu.layers.count("ReLU") == 4
    assert relu.layers.count("MaxPool2d(kernel_size=2, stride=2)") == 2
    assert relu.settings.schedule.learning_rate == 0.1  # SGD without sigmoids
    same = recipe_of(D2L, {"activation": "sigmoid", "optimizer": "sgd"}, PICTURES, False)
    assert same == D2L
    adam = recipe_of(D2L, {"optimizer": "adam"}, PICTURES, False)
    assert (adam.settings.optimizer.method, adam.settings.schedule.learning_rate) == ("adam", 0.001)
    chosen = recipe_of(D2L, {"optimizer": "adam"}, PICTURES, True)
    assert chosen.settings.schedule.learning_rate == 0.9
    both = {"optimizer.momentum": 0.9, "optimizer.nesterov": True}  # checked against each other
    assert recipe_of(D2L, both, PICTURES, False).settings.optimizer.nesterov


def test_random_settings_are_a_function_of_the_plan_and_none_comes_twice() -> None:
    vary = {"schedule.learning_rate": Range(1e-4, 1, True), "batch_size": Range(8, 64, whole=True)}
    plan = a_plan(vary=vary, sampler="random", trials=50)
    drawn = sampling.draw(plan, [], 100)
    assert drawn == sampling.draw(plan, [], 100)
    assert len({repr(one) for one in drawn}) == 50
    rates = [one["schedule.learning_rate"] for one in drawn]
    assert all(1e-4 <= rate <= 1 for rate in rates)
    assert 0.3 < np.mean(np.array(rates) < 1e-2) < 0.7  # log: half below the middle
    assert {type(one["batch_size"]) for one in drawn} == {int}
    few = a_plan(vary={"batch_size": Choices((1, 2, 3))}, sampler="random", trials=50)
    assert len(sampling.draw(few, [], 100)) == 3


@pytest.mark.slow
def test_optuna_draws_a_function_of_the_results_and_finds_the_better_half() -> None:
    pytest.importorskip("optuna", reason="Optuna is not installed")
    vary = {"schedule.learning_rate": Range(0.0, 1.0), "activation": Choices(("relu", "tanh"))}
    plan = a_plan(vary=vary, sampler="tpe", trials=40)
    judged: list[sampling.Judged] = []
    for _ in range(5):
        drawn = sampling.draw(plan, judged, sampling.generation_size(plan))
        assert drawn == sampling.draw(plan, judged, 8)
        for values in drawn:
            good = (
                1 - abs(values["schedule.learning_rate"] - 0.8) + (values["activation"] == "relu")
            )
            judged.append(sampling.Judged(values, (good,), True, False))
    assert len(judged) == 40
    assert sampling.draw(plan, judged, 8) == []
    last = [one.values for one in judged[-8:]]
    assert np.mean([values["activation"] == "relu" for values in last]) > 0.5
    assert np.mean([abs(values["schedule.learning_rate"] - 0.8) for values in last]) < 0.25
    failed = [replace(one, failed=True, curve=()) for one in judged[:8]]
    assert len(sampling.draw(plan, failed, 8)) == 8


# --- giving up ---------------------------------------------------------------------------------


def test_halving_trains_the_best_third_further(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, a_plan(prune="halving", least=1, factor=3), INFO)
    waves = pretend(sweep)
    reached = [sorted({wanted.setting for wanted in wave}) for wave in waves]
    assert reached == [list(range(8)), [5, 6, 7], [7]]
    assert [wave[0].epochs for wave in waves] == [1, 3, 10]
    assert [len(wave) for wave in waves] == [16, 6, 2]
    assert running.best(sweep) == 7
    # nothing that has a result is asked for again, wherever it stopped
    assert [wave for wave in running.waves(sweep, range(8)) if wave] == []
    del sweep.results[6, 1]
    again = next(running.waves(sweep, range(8)))
    assert [(one.setting, one.seed, one.epochs) for one in again] == [(6, 1, 1)]


def test_a_setting_that_failed_is_not_the_best_and_goes_no_further(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, a_plan(prune="halving"), INFO)
    sweep.settings[:] = sampling.draw(sweep.plan, [], 100)
    for number in range(8):
        for seed in (0, 1):
            bad = number == 7 and seed == 1
            sweep.results[number, seed] = Result(
                number, seed, FAILED if bad else REACHED, 1, (0.1 * number,), 0.1 * number, 1.0, 1.0
            )
    waves = running.waves(sweep, range(8))
    assert next(waves) == []
    assert {one.setting for one in next(waves)} == {4, 5, 6}


@pytest.mark.slow
def test_the_medians_are_optunas(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna", reason="Optuna is not installed")
    from optuna.distributions import FloatDistribution

    from lenet.sweeps import trial

    random = np.random.default_rng(0)
    curves = [tuple(map(float, np.sort(random.uniform(0, 1, 10)))) for _ in range(8)]
    sweep = Sweep(tmp_path, a_plan(prune="median", least=2), INFO)
    sweep.settings[:] = sampling.draw(sweep.plan, [], 100)
    study = optuna.create_study(
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=2),
    )
    for number, curve in enumerate(curves):
        sweep.results[number, 0] = Result(number, 0, FINISHED, 10, curve, curve[-1], 1.0, 1.0)
        study.add_trial(
            optuna.trial.create_trial(
                params={"x": 0.5},
                distributions={"x": FloatDistribution(0, 1)},
                value=curve[-1],
                intermediate_values=dict(enumerate(curve, 1)),
            )
        )
    thresholds = running.medians(sweep, 8)
    assert sorted(thresholds) == list(range(2, 10))
    agreed = set()
    for _ in range(20):
        curve = np.sort(random.uniform(0, 1.2, 10))
        asked = study.ask()
        theirs = None
        rows = []
        ours = None
        for epoch, value in enumerate(map(float, curve), 1):
            asked.report(value, epoch)
            rows.append(type("Row", (), {"val_acc": value}))
            if theirs is None and epoch < 10 and asked.should_prune():
                theirs = epoch
            if ours is None and epoch < 10 and trial._below(rows, thresholds):
                ours = epoch
        assert ours == theirs
        agreed.add(ours)
        study.tell(asked, state=optuna.trial.TrialState.FAIL)
    assert len(agreed) > 2  # pruned at several epochs, and not at all


def test_a_disk_that_refuses_ends_the_sweep_and_records_nothing(tmp_path: Path) -> None:
    sweep = folder.create(a_plan(), INFO["pictures"], tmp_path / "sweep")

    class Refusing:
        def results(self, jobs, tell, stop):
            yield Result(0, 0, FINISHED, 10, (0.5,) * 10, 0.5, 1.0, 1.0)
            yield Result(0, 1, BROKEN, message="x: No space left on device")

        def close(self) -> None:
            pass

    with pytest.raises(SweepError, match="could not be written: x: No space left"):
        running.run(sweep, Refusing(), PICTURES, running.Machine(), running.Views())
    assert list(sweep.results) == [(0, 0)]
    assert list(folder.read(sweep.folder).results) == [(0, 0)]
    sweep.close()


def test_shares_never_take_more_threads_than_there_are_processors() -> None:
    for cpus in (1, 2, 3, 8):
        for count in (1, 2, 5, 100):
            jobs, threads = shares(count, cpus, None, None)
            assert jobs * threads <= cpus
    with pytest.raises(ValueError, match="4 processes with 2 threads each are 8 threads"):
        shares(10, 4, 4, 2)
    with pytest.raises(ValueError, match="--jobs is 0"):
        shares(10, 4, 0, None)


# --- figures and words -------------------------------------------------------------------------


def test_students_t_is_that_of_the_tables() -> None:
    table = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 9: 2.262, 30: 2.042}
    for freedom, value in table.items():
        assert student.t_quantile(0.95, freedom) == pytest.approx(value, abs=6e-4)
    assert student.paired([1.0, 2.0], [1.0, 2.0]).p == 1.0
    assert student.paired([2.0, 3.0], [1.0, 2.0]).p == 0.0
    assert student.summary([0.5]) == student.Summary(1, 0.5, None, None, None)


@pytest.mark.slow
def test_students_t_is_scipys() -> None:
    stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed")
    for freedom in (1, 2, 3, 4, 7, 30, 99):
        for t in (0.0, 0.3, 2.5, 40.0):
            expected = 2 * stats.t.sf(t, freedom)
            assert student.t_probability(t, freedom) == pytest.approx(expected, abs=1e-12)
        assert student.t_quantile(0.95, freedom) == pytest.approx(stats.t.ppf(0.975, freedom))
    first, second = [0.81, 0.82, 0.80, 0.83], [0.80, 0.80, 0.81, 0.80]
    found = student.paired(first, second)
    assert found.p == pytest.approx(stats.ttest_rel(first, second).pvalue)


def test_settings_are_compared_after_as_many_epochs_and_answers_averaged(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, a_plan(prune="halving"), INFO)
    pretend(sweep)
    sweep.tested = folder.Tested(7, (0.8, 0.82), (0.6, 0.5))
    found = comparing.compare(sweep)
    assert [row.number for row in found.rows][:4] == [7, 6, 5, 4]
    second, last = found.rows[1], found.rows[-1]
    assert (second.epochs, second.state, last.epochs) == (3, "given up", 1)
    assert second.behind is not None
    assert second.behind.mean == pytest.approx(-0.01)  # not of the best one's tenth epoch
    assert found.levels_epoch == 1
    answers = {(level.key, level.value): level for level in found.levels}
    worse = answers["activation", "sigmoid"]
    assert worse.behind is not None
    assert worse.behind.mean == pytest.approx(-0.01)
    assert answers["activation", "relu"].behind is None
    assert answers["batch_size", 32].settings == 2


def test_a_report_in_chinese_leaves_nothing_in_english(tmp_path: Path) -> None:
    names = {"activation", "batch_size", "relu", "sigmoid", "seeds", "sgd", "adam", "adamw", "d2l"}
    names |= {"student", "holm", "successive", "halving"}
    for prune in ("halving", "median"):
        sweep = Sweep(tmp_path, a_plan(prune=prune), INFO)
        pretend(sweep)
        sweep.tested = folder.Tested(7, (0.8, 0.82), (0.6, 0.5))
        found = comparing.compare(sweep)
        text = report.to_markdown(sweep, found, "zh")
        page = report.to_html(sweep, found, "zh")
        assert '<html lang="zh">' in page
        said = text[: text.index("配方 ")]  # then come names of the machine and of versions
        words = re.findall("[a-z_]{2,}", html.unescape(said).replace("\\", "").lower())
        assert set(words) <= names
        assert report.to_markdown(sweep, found, "en").count("\n") == text.count("\n")


@pytest.mark.slow
def test_a_report_shows_what_strangers_wrote_as_text(tmp_path: Path) -> None:
    plan = a_plan(vary={"network": Choices(("<script>alert(1)</script>", "[a](b)|`c`"))})
    sweep = Sweep(tmp_path, plan, {**INFO, "command": "lenet <b>\x1b[2J"})
    pretend(sweep)
    page, text = (path.read_text() for path in report.write(sweep))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert page.count("<svg") == 2
    assert "\x1b" not in page + text
    assert "\\[a\\](b)\\|\\`c\\`" in text
    assert "http" not in page.replace("http://www.w3.org", "")  # nothing is loaded from elsewhere
    import xml.etree.ElementTree as tree

    tree.fromstring(
        page.replace("<!doctype html>", "")
        .replace('charset="utf-8">', "/>")
        .replace('initial-scale=1">', 'initial-scale=1"/>')
    )


def test_the_table_of_a_running_sweep_fits_80_columns(tmp_path: Path) -> None:
    from rich.console import Console

    sweep = Sweep(tmp_path, a_plan(), INFO)
    waves = pretend(sweep)
    jobs = [running._job(sweep, one, PICTURES, running.Machine()) for one in waves[0]]
    progress = view._Progress(sweep)
    view._begin(progress, jobs)
    progress.running[jobs[0].name] = (4.2, 0.5)
    for encoding in (True, False):
        console = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
        console.options.encoding = "utf-8" if encoding else "ascii"
        console.print(view.render(progress, console))
        lines = console.export_text().splitlines()
        assert max(map(len, lines)) <= 80
        assert any("batch_size 32, activation sigmoid, seed 0" in line for line in lines)
        assert any("4.2/10" in line for line in lines)
        console.file.close()
    shown = view.line(progress, Result(0, 1, FAILED, message="the loss of step 3 is nan"))
    assert shown.endswith("seed 1: failed: the loss of step 3 is nan")


# --- folders -----------------------------------------------------------------------------------


def test_a_sweeps_folder_comes_back_whole_and_is_held_by_one(tmp_path: Path) -> None:
    out = tmp_path / "sweep"
    sweep = folder.create(a_plan(), INFO["pictures"], out)
    sweep.add_settings(sampling.draw(sweep.plan, [], 10))
    sweep.add_result(Result(3, 1, PRUNED, 2, (0.1, 0.2), 0.2, 1.5, 2.0, 3.25, ""))
    with pytest.raises(SweepError, match="is in use"):
        folder.resume(out)
    assert folder.state_of(sweep) == "running"
    sweep.close()
    with (out / folder.RESULTS).open("ab") as file:
        file.write(b'{"setting": 4, "se')  # a kill in the middle of a line
    again = folder.resume(out, a_plan())
    assert (again.plan, again.settings, again.results) == (
        sweep.plan,
        sweep.settings,
        sweep.results,
    )
    assert (out / folder.RESULTS).read_bytes().count(b"\n") == 1
    again.close()
    with pytest.raises(SweepError, match="holds another sweep: seeds is 2 there, not 3"):
        folder.resume(out, a_plan(seeds=3))
    assert folder.state_of(sweep) == "stopped"
    (tmp_path / "other").mkdir()
    (tmp_path / "other/notes").touch()
    with pytest.raises(SweepError, match="exists already"):
        folder.create(a_plan(), {}, tmp_path / "other")
    with pytest.raises(SweepError, match="holds no sweep"):
        folder.resume(tmp_path / "other")


@pytest.mark.parametrize(
    "change",
    [
        lambda info: info.update(version=2),
        lambda info: info["plan"].update(seeds=-1),
        lambda info: info["plan"].update(sampler=["grid"]),
        lambda info: info["plan"].update(vary={"batch_size": "all"}),
        lambda info: info["plan"].update(recipe=None),
        lambda info: info.update(settings=[{"batch_size": 32}]),
        lambda info: info["settings"][0].update(activation="../../etc"),
        lambda info: info.update(tested={"setting": 99, "test_acc": [1], "test_loss": [1]}),
        lambda info: info.update(tested={"setting": 0, "test_acc": "x", "test_loss": [1]}),
        lambda info: info.update(info=[]),
    ],
)
def test_a_strange_sweep_is_refused(change, tmp_path: Path) -> None:
    sweep = folder.create(a_plan(), INFO["pictures"], tmp_path / "sweep")
    sweep.add_settings(sampling.draw(sweep.plan, [], 10))
    sweep.close()
    path = sweep.folder / folder.INFO
    info = json.loads(path.read_text())
    change(info)
    path.write_text(json.dumps(info))
    with pytest.raises(DamagedSweepError, match=r"sweep\.json cannot be read"):
        folder.read(sweep.folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"setting": -1},
        {"seed": True},
        {"state": "done"},
        {"val_acc": "0.9"},
        {"val_acc": float("nan")},
        {"val_acc": None},
        {"curve": [0.1, float("inf")]},
        {"curve": 3},
        {"more": 1},
    ],
)
def test_a_strange_result_is_refused(changes: dict[str, object]) -> None:
    good = to_dict(Result(0, 0, FINISHED, 1, (0.5,), 0.5, 1.0, 1.0))
    assert result_from(good).val_acc == 0.5
    with pytest.raises((ValueError, UntrustedError)):
        result_from({**good, **changes})


def test_ablation_asks_the_classic_questions_that_a_network_has_layers_for() -> None:
    plan, said = ablation.plan(D2L)
    assert plans.grid_size(plan.vary) == 36
    assert (plan.seeds, plan.prune, plans.rungs(plan), said) == (5, "halving", [3, 10], [])
    flat, said = ablation.plan(recipes.change(D2L, "network", "mlp"))
    assert "pooling" not in flat.vary
    assert said == ["mlp has no pooling layers: that question is left out"]


@pytest.mark.needs("links")
def test_runs_of_a_sweep_are_one_line_of_the_list(
    in_tmp: Path,
    calibrated_run: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    for name in ("0000-seed0", "0000-seed1", "0001-seed0"):
        target = in_tmp / "runs/2026-sweep" / name
        target.mkdir(parents=True)
        (target / "run.json").write_bytes((calibrated_run / "run.json").read_bytes())
    (target / "run.json").write_text("no run")
    (in_tmp / "runs/empty").mkdir()
    (in_tmp / "runs/link").symlink_to(in_tmp / "runs/2026-sweep")
    assert cli.run(["runs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].split()[:5] == ["runs/2026-sweep", "3", "runs", "lenet-relu", SMALL]
    assert cli.run(["runs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"folder": "runs/2026-sweep", "runs": 3}]
