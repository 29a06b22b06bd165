"""lenet sweep and ablate: many runs from one line, compared."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lenet.cli import completion
from lenet.cli.naming import RUNS, new_folder
from lenet.cli.options import (
    DataDir,
    Epochs,
    Json,
    NetworkName,
    Ray,
    Settings,
    device_option,
    engine_option,
    number,
    whole,
)
from lenet.cli.printing import complain, print_json, show
from lenet.cli.recipe import changed, changes_of, described
from lenet.cli.stopping import stop_on_signals
from lenet.system import command_line

if TYPE_CHECKING:
    from lenet.data import Dataset
    from lenet.sweeps.cluster import RayPool
    from lenet.sweeps.folder import Sweep
    from lenet.sweeps.local import LocalPool
    from lenet.sweeps.plan import File, Plan
    from lenet.sweeps.running import Machine
    from lenet.sweeps.settings import Pictures

commands = typer.Typer()

Seeds = Annotated[
    int | None,
    typer.Option(parser=whole, metavar="N", help="Train each setting N times, with other seeds."),
]
DataName = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="A data set's name, or your own pictures.",
        autocompletion=completion.data_sets,
    ),
]
Vary = Annotated[
    list[str] | None,
    typer.Option(
        "--vary",
        metavar="KEY=VALUES",
        help="What varies: KEY=a,b,c or KEY=low..high or KEY=low..high:log. Any key of a recipe, "
        "and activation, pooling, optimizer.",
    ),
]
Prune = Annotated[
    str | None,
    typer.Option(help="Give up what is behind: none, halving or median."),
]
Factor = Annotated[
    int | None,
    typer.Option(parser=whole, metavar="N", help="Halving keeps one setting in N; 3 by default."),
]
Least = Annotated[
    int | None,
    typer.Option(
        "--least", parser=whole, metavar="N", help="Epochs before a setting may be given up."
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(parser=whole, metavar="N", help="Runs at once; as many as processors by default."),
]
RunThreads = Annotated[
    int | None,
    typer.Option("--threads", parser=whole, metavar="N", help="CPU threads of each run."),
]
Out = Annotated[
    Path | None,
    typer.Option(
        parser=new_folder,
        metavar="PATH",
        help="Folder for the sweep; runs/… by default. A sweep that is there goes on.",
    ),
]


@commands.command(
    epilog="""\
lenet sweep d2l --vary schedule.learning_rate=0.1,0.3,0.9 --seeds 5
lenet sweep --vary schedule.learning_rate=1e-4..1e-1:log --sampler tpe --trials 40
lenet sweep d2l --vary activation=sigmoid,relu --vary pooling=average,max
lenet sweep mine.toml                           a sweep described in a file
lenet sweep --resume runs/2026-11-29-sweep-d2l-1"""
)
def sweep(
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="A recipe's name or .toml file, or a .toml file of a sweep. Without one: "
            "quickstart.",
            autocompletion=completion.recipes,
        ),
    ] = None,
    vary: Vary = None,
    settings: Settings = None,
    sampler: Annotated[
        str | None, typer.Option(help="How settings are drawn: grid, random, tpe or gp.")
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(parser=whole, metavar="N", help="Settings to draw; a grid tries all."),
    ] = None,
    seeds: Seeds = None,
    prune: Prune = None,
    factor: Factor = None,
    least: Least = None,
    epochs: Epochs = None,
    data: DataName = None,
    data_dir: DataDir = None,
    network: NetworkName = None,
    val: Annotated[
        float | None,
        typer.Option(
            parser=number, metavar="X", help="Share held out to judge by; 0.1 by default."
        ),
    ] = None,
    engine: Annotated[str, engine_option()] = "auto",
    device: Annotated[str, device_option()] = "auto",
    jobs: Jobs = None,
    threads: RunThreads = None,
    ray: Ray = None,
    out: Out = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="SWEEP", help="Go on with the sweep in this folder.")
    ] = None,
    json: Json = False,
) -> int:
    """Train many settings, compare them on held-out pictures, and report.

    The test pictures choose nothing: they are looked at once, at the end, for the best setting.
    """
    from lenet.sweeps import plan as plans

    flags = {"epochs": epochs, "data": data, "network": network, "val": val}
    options = {
        "sampler": sampler,
        "trials": trials,
        "seeds": seeds,
        "prune": prune,
        "factor": factor,
        "least": least,
    }
    if resume is not None:
        given = [recipe, vary, settings, out, *flags.values(), *options.values()]
        _refuse_with_resume(given)
        return _resume(resume, _How(data_dir, engine, device, jobs, threads, ray, json))
    file = _sweep_file(recipe)
    changes = changes_of(flags, settings)
    if file is None:
        base, chosen = described(recipe, changes, data_dir, tell=_note)
        written: dict[str, Any] = {}
        options_there: dict[str, Any] = {}
    else:
        base, chosen = changed(file.recipe, changes), {*file.chosen, *changes}
        written, options_there = dict(file.vary), dict(file.options)
    axes = dict(plans.axis_of(key, value, base) for key, value in written.items())
    axes |= plans.axes_of(vary or [], base)
    asked = {**options_there, **{k: v for k, v in options.items() if v is not None}}
    plan = plans.Plan(base, axes, rate_chosen="schedule.learning_rate" in chosen, **asked)
    return _begin(plan, chosen, out, _How(data_dir, engine, device, jobs, threads, ray, json))


@commands.command(
    epilog="""\
lenet ablate d2l                                36 settings, 5 seeds each, the worst given up early
lenet ablate quickstart --seeds 2 --epochs 3
lenet ablate d2l --vary activation=sigmoid,relu --vary batch_size=64,256"""
)
def ablate(
    recipe: Annotated[
        str, typer.Argument(help="A recipe's name.", autocompletion=completion.recipes)
    ] = "d2l",
    vary: Vary = None,
    settings: Settings = None,
    seeds: Seeds = None,
    prune: Prune = None,
    factor: Factor = None,
    least: Least = None,
    epochs: Epochs = None,
    data: DataName = None,
    data_dir: DataDir = None,
    engine: Annotated[str, engine_option()] = "auto",
    device: Annotated[str, device_option()] = "auto",
    jobs: Jobs = None,
    threads: RunThreads = None,
    ray: Ray = None,
    out: Out = None,
    json: Json = False,
) -> int:
    """Ask the classic questions of a recipe: which activation, pooling, optimiser, first weights?

    Sigmoid, tanh and ReLU, mean and max pooling, SGD and Adam, three ways to draw the first
    weights: every combination, with several seeds. What a --vary names takes the place of these
    questions.
    """
    from lenet.sweeps import ablation
    from lenet.sweeps import plan as plans

    changes = changes_of({"epochs": epochs, "data": data}, settings)
    base, chosen = described(recipe, changes, data_dir, tell=_note)
    asked = {"seeds": seeds, "prune": prune, "factor": factor, "least": least}
    given: dict[str, Any] = {key: value for key, value in asked.items() if value is not None}
    plan, said = ablation.plan(
        base,
        plans.axes_of(vary or [], base),
        rate_chosen="schedule.learning_rate" in chosen,
        **given,
    )
    for line in said:
        _note(line)
    return _begin(plan, chosen, out, _How(data_dir, engine, device, jobs, threads, ray, json))


def _note(line: str) -> None:
    """A line beside the result, which --json prints alone."""
    print(f"note: {line}", file=sys.stderr)


def _refuse_with_resume(given: list[Any]) -> None:
    if any(one is not None for one in given):
        raise typer.BadParameter(
            "--resume goes on with the plan as it was; only --data-dir, --engine, --device, "
            "--jobs, --threads, --ray and --json can be given with it"
        )


def _sweep_file(recipe: str | None) -> File | None:
    if recipe is None or not recipe.casefold().endswith(".toml"):
        return None
    from lenet.sweeps import plan as plans

    try:
        return plans.read_file(recipe)
    except FileNotFoundError:
        return None  # the recipe's own reader says what may be meant


@dataclass(frozen=True)
class _How:
    """How runs are made: what changes nothing in their results."""

    data_dir: Path | None
    engine: str
    device: str
    jobs: int | None
    threads: int | None
    ray: str | None
    json: bool


def _begin(plan: Plan, chosen: set[str], out: Path | None, how: _How) -> int:
    """Run a plan in a new folder, or go on where one with the same plan lies."""
    from lenet.runs import preparing
    from lenet.sweeps import folder as folders
    from lenet.sweeps import running, sampling

    sampling.check_optuna(plan.sampler)
    loaded = running.load(plan, how.data_dir, progress=sys.stderr.isatty())
    plan, pictures, said = running.prepare(plan, loaded, chosen)
    pool, machine = _pool(plan, loaded, how)  # before a folder is made
    if out is not None and folders.is_sweep(out):
        sweep = folders.resume(out, plan)
    else:
        for line in said:
            _note(line)
        parts = preparing.divide(plan.recipe, loaded)
        described = preparing.describe_data(loaded, replace(parts, test=None))
        sweep = folders.create(plan, described, out)
    return _run(sweep, loaded, pictures, pool, machine, how)


def _resume(folder: Path, how: _How) -> int:
    """Go on with a sweep, by its folder or its name in runs."""
    from lenet.runs import preparing
    from lenet.sweeps import folder as folders
    from lenet.sweeps import running
    from lenet.sweeps.plan import SweepError

    if not folder.exists() and folders.is_sweep(RUNS / folder):
        folder = RUNS / folder
    sweep = folders.resume(folder)
    try:
        loaded = running.load(sweep.plan, how.data_dir, progress=sys.stderr.isatty())
        plan, pictures, _ = running.prepare(sweep.plan, loaded)
        parts = preparing.divide(plan.recipe, loaded)
        now = preparing.describe_data(loaded, replace(parts, test=None))["sha256"]
        if now != sweep.info["pictures"].get("sha256"):
            raise SweepError(
                f"{folder} was begun with other pictures than {loaded.source} holds: give the "
                "folder of those by --data-dir"
            )
        pool, machine = _pool(sweep.plan, loaded, how)
    except BaseException:
        sweep.close()
        raise
    return _run(sweep, loaded, pictures, pool, machine, how)


def _run(
    sweep: Sweep,
    loaded: Dataset,
    pictures: Pictures,
    pool: LocalPool | RayPool,
    machine: Machine,
    how: _How,
) -> int:
    """Run what is left of a sweep, then report: the exit code."""
    from lenet.sweeps import report, running, view
    from lenet.sweeps.plan import SweepError

    go_on = command_line(["lenet", "sweep", "--resume", str(sweep.folder)])
    pool.root = sweep.folder
    try:
        with stop_on_signals() as signalled:
            try:
                with view.watch(sweep) as views:
                    whole = running.run(
                        sweep, pool, pictures, machine, views, lambda: bool(signalled())
                    )
            finally:
                pool.close()
            if whole:
                running.look_at_the_test(sweep, loaded)
            paths = report.write(sweep) if sweep.results else []
            stopped_by = signalled()
    except SweepError as error:
        return complain(f"{error}; then go on with: {go_on}", 1)
    finally:
        sweep.close()
    if how.json:
        print_json(report.to_json(sweep))
    elif sweep.results:
        show(lambda width: report.render(sweep, width))
    for path in paths if not how.json else []:
        print(path)
    if not whole:
        print(f"stopped; go on with: {go_on}", file=sys.stderr)
        return stopped_by or 1
    return 0


def _pool(plan: Plan, loaded: Dataset, how: _How) -> tuple[LocalPool | RayPool, Machine]:
    """What trains the runs: this machine's processes, or a Ray cluster. Its folder comes later."""
    from lenet import engines
    from lenet.machine import available_cpus
    from lenet.sweeps import local, running
    from lenet.sweeps.plan import MOST_RUNS, grid_size

    if how.ray is not None:
        from lenet.sweeps import cluster

        threads = how.threads or 1
        machine = running.Machine(how.engine, how.device, threads)
        return cluster.connect(how.ray, loaded, threads), machine
    runs = (plan.trials or grid_size(plan.vary)) * plan.seeds
    jobs = how.jobs
    if jobs is None and (how.engine in ("auto", "torch") and how.device != "cpu"):
        network = running.first_network(plan, loaded)
        if engines.choose(how.engine, network, how.device).device != "cpu":
            jobs = 1  # runs would share the one accelerator
    jobs, threads = local.shares(min(runs, MOST_RUNS), available_cpus(), jobs, how.threads)
    machine = running.Machine(how.engine, how.device, threads)
    return local.LocalPool(Path(), jobs, how.data_dir, threads), machine
