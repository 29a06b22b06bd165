"""lenet train."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lenet.cli import completion, several
from lenet.cli.naming import new_folder, run_folder
from lenet.cli.options import (
    BatchSize,
    DataDir,
    Epochs,
    Json,
    NetworkName,
    OptimizerName,
    Seed,
    Settings,
    Threads,
    device_option,
    engine_option,
    number,
)
from lenet.cli.printing import ascii_only, complain, print_json, reason, say, show
from lenet.cli.recipe import changes_of, described
from lenet.cli.stopping import listen_to, stop_on_signals
from lenet.processes import place
from lenet.system import command_line, quote

if TYPE_CHECKING:
    from lenet.processes import Place
    from lenet.runs.experiments import Experiment


commands = typer.Typer()


@commands.command(
    epilog="""\
lenet train                                     quickstart: learns in its first epoch
lenet train d2l                                 the tutorials' LeNet
lenet train mnist-adamw --epochs 5              another recipe, shorter
lenet train --network mlp                       another network
lenet train --data ./my-pictures                your own, one sub-folder a class
lenet train --class-weights balanced            rare classes count as much as others
lenet train --set schedule.kind=cosine          any key of a recipe
lenet train --resume runs/2026-11-21-d2l-1      continue where it stopped"""
)
def train(
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="A recipe's name ('lenet recipes' lists them) or a .toml file. Without one: "
            "quickstart, on Fashion-MNIST; if that cannot be downloaded, on the part of it that "
            "comes with the program.",
            autocompletion=completion.recipes,
        ),
    ] = None,
    settings: Settings = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="A data set's name, or your own pictures: a folder with one sub-folder a class, a "
            ".csv or .npz file, a folder of IDX files.",
            autocompletion=completion.data_sets,
        ),
    ] = None,
    data_dir: DataDir = None,
    network: NetworkName = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    lr: Annotated[
        str | None,
        typer.Option(
            parser=number_or_auto,
            metavar="X",
            help="Learning rate; auto finds one (lenet find-lr).",
        ),
    ] = None,
    optimizer: OptimizerName = None,
    seed: Seed = None,
    val: Annotated[
        float | None,
        typer.Option(parser=number, metavar="X", help="Share of the pictures to hold out: 0.1."),
    ] = None,
    class_weights: Annotated[
        str | None,
        typer.Option(
            metavar="WEIGHTS",
            help="For unequal classes: balanced, cat=2,dog=1, or one number a class.",
        ),
    ] = None,
    engine: Annotated[str | None, engine_option()] = None,
    device: Annotated[str | None, device_option()] = None,
    threads: Threads = None,
    compile: Annotated[
        bool, typer.Option("--compile", help="Run the torch engine's step through torch.compile.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=new_folder, metavar="PATH", help="Folder for the run; runs/… by default."
        ),
    ] = None,
    snapshots: Annotated[
        bool, typer.Option("--snapshots", help="Also keep the weights at every reading.")
    ] = False,
    resume: Annotated[
        Path | None,
        typer.Option(
            parser=run_folder,
            metavar="RUN",
            help="Go on with this run.",
            autocompletion=completion.runs,
        ),
    ] = None,
    stop_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Stop with a checkpoint as soon as this file is there, and remove it.",
        ),
    ] = None,
) -> int:
    """Train a network, show how it learns, and save it in a run's folder."""
    here = place()
    if here is not None and here.rank:
        return several.follow(here, data_dir, threads, compile)
    # held from before everything that takes time, until this process or this function ends
    listening = None if stop_file is None else listen_to(stop_file)  # noqa: F841
    from lenet.runs import experiments

    flags: dict[str, Any] = {
        "data": data,
        "network": network,
        "epochs": epochs,
        "batch_size": batch_size,
        "schedule.learning_rate": None if lr in (None, AUTO) else number(str(lr)),
        "seed": seed,
        "val": val,
        "objective.class_weights": class_weights,
    }
    find_rate = lr == AUTO
    changes = {key: value for key, value in flags.items() if value is not None}
    begun = several.begun_before(out)
    with several.leading(here) as group:
        if resume is not None and begun is None:
            changed = {*changes, *(settings or ()), *filter(None, (recipe, optimizer, out))}
            changed |= {"--lr auto"} if find_rate else set()
            if extra := changed - {"epochs"}:
                raise typer.BadParameter(
                    f"--resume continues with the recipe as it was; {sorted(map(str, extra))[0]} "
                    "cannot be given with it (--epochs, --engine, --device, --threads can)"
                )
        how: dict[str, Any] = {
            "data_dir": data_dir,
            "threads": here.threads if here and threads is None else threads,
            "compile": compile,
            "progress": sys.stderr.isatty(),
            "snapshots": snapshots,
            "processes": here.size if here else 1,
        }
        if (going_on := begun or resume) is not None:
            experiment = experiments.go_on(
                going_on, epochs=epochs, engine=engine, device=device, **how
            )
        else:
            asked, chosen = described(
                recipe, changes_of(changes, settings), data_dir, optimizer=optimizer, tell=say
            )
            experiment = experiments.begin(
                asked,
                chosen=chosen,
                engine=engine or "auto",
                device=device or "auto",
                out=out,
                find_rate=find_rate,
                **how,
            )
        experiment = several.led(experiment, group)
    from lenet.drawing import live  # was loaded while the pictures were read

    run = experiment.run
    go_on = command_line(["lenet", "train", "--resume", str(run.folder)])
    try:
        if begun is not None:
            say(f"torchrun has restarted the processes: going on with {begun}")
        _introduce(experiment, here)
        view = live.choose_view(
            experiment.recipe.settings,
            len(experiment.parts.train),
            start=run.start.progress,
            earlier=run.earlier,
        )
        with stop_on_signals(stop_file) as signalled, view as callbacks:
            stop = several.Stop(group, signalled, stop_file)
            outcome = experiment.train([callbacks], stop)
            stopped_by = stop.exit_code()
    except BaseException as error:
        run.fail(error)  # also where it came before the training, from the first lines on
        run.close()
        if not isinstance(error, OSError) or isinstance(error, BrokenPipeError):
            raise
        return complain(f"{reason(error)}. Mend that, then go on with: {go_on}", 1)
    if not outcome.finished:
        print(f"stopped; go on with: {go_on}")
        return stopped_by
    history = [*run.earlier, *outcome.history]
    speed, where = outcome.examples_per_s, experiment.engine.device
    print(*live.closing_lines(history, speed, where), sep="\n")
    print(f"saved in {run.folder}")
    return 0


AUTO = "auto"


def number_or_auto(text: str) -> str:
    """The text, where it is a number or "auto"."""
    if text.lower() == AUTO:
        return AUTO
    number(text)
    return text


@commands.command(
    "find-lr",
    epilog="""\
lenet find-lr                                   for quickstart
lenet find-lr d2l-adam --data mnist             for another recipe, on other pictures
lenet find-lr --network mlp --optimizer sgd     for another network and optimiser
lenet find-lr --out curve.svg                   draw the curve into a file""",
)
def find_lr(
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="A recipe's name or a .toml file; quickstart by default.",
            autocompletion=completion.recipes,
        ),
    ] = None,
    settings: Settings = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="A data set's name, or your own pictures.", autocompletion=completion.data_sets
        ),
    ] = None,
    data_dir: DataDir = None,
    network: NetworkName = None,
    batch_size: BatchSize = None,
    optimizer: OptimizerName = None,
    seed: Seed = None,
    engine: Annotated[str | None, engine_option()] = None,
    device: Annotated[str | None, device_option()] = None,
    threads: Threads = None,
    out: Annotated[
        Path | None, typer.Option(help="Draw the curve into this .svg, .png or .pdf file.")
    ] = None,
    json: Json = False,
) -> None:
    """Find a learning rate by a range test on the training pictures, and show its curve."""
    from rich.console import Group

    from lenet.drawing import figures, range_figure
    from lenet.language.asked import known_language
    from lenet.runs import experiments

    if out is not None:
        figures.check_suffix(out)
    flags = {"data": data, "network": network, "batch_size": batch_size, "seed": seed}
    changes = changes_of(flags, settings)
    asked, chosen = described(
        recipe, changes, data_dir, optimizer=optimizer, tell=lambda why: None if json else say(why)
    )
    found = experiments.find_learning_rate(
        asked,
        chosen=chosen,
        data_dir=data_dir,
        engine=engine or "auto",
        device=device or "auto",
        threads=threads,
        progress=sys.stderr.isatty(),
    )
    rate = found.learning_rate
    if json:
        curves = [
            {"learning_rates": c.learning_rates.tolist(), "losses": c.losses.tolist()}
            for c in found.curves
        ]
        values = {"learning_rate": rate, "found": found.found, "why": found.why}
        print_json({**values, "curves": curves})
    else:
        show(
            lambda width: Group(
                *range_figure.range_text(found.curves, rate, width, ascii_only=ascii_only())
            )
        )
        say(f"learning rate {rate:g}: {found.why}.")
        name = recipe or asked.name
        say(f"Train with it: lenet train {quote(name)} --lr {rate:g}, or --lr auto")
    if out is not None:
        title = f"Range test: {asked.name}, {asked.network}, {asked.settings.optimizer.method}"
        language = known_language(None)
        figures.save(range_figure.range_figure(found.curves, rate, title, language), out)
        if not json:
            print(out)


def _introduce(experiment: Experiment, here: Place | None) -> None:
    """The first lines: what is trained, on which pictures, by which engine, into which folder."""
    from lenet.network.architecture import trace
    from lenet.training import finished

    recipe, parts, run, engine = (
        experiment.recipe,
        experiment.parts,
        experiment.run,
        experiment.engine,
    )
    data = run.info["data"]
    if data["bundled"]:
        say(
            f"{data['name']}: the {len(parts.train) + len(parts.val or ()):,} + "
            f"{len(parts.test or ()):,} pictures that come with the program "
            "('lenet data get fashion-mnist' fetches all 70,000)"
        )
    held_out = f", {len(parts.val):,} held out" if parts.val else ""
    parameters = sum(row.parameters for row in trace(engine.network))
    say(
        f"{recipe.name}: {engine.network.name} ({parameters:,} parameters) on {data['name']} "
        f"({len(parts.train):,} pictures{held_out})"
    )
    threads = f"{engine.threads} thread{'s' if engine.threads > 1 or not here else ''}"
    each = f" in each of {here.size} processes" if here else ""
    say(
        f"engine {engine.name} on {engine.device}, {threads}{each} "
        f"({experiment.choice.reason}); seed {recipe.settings.seed}; into {run.folder}"
    )
    for remark in run.remarks:
        say(f"note: {remark}")
    if finished(run.start.progress, recipe.settings):
        say("note: this run is finished; --epochs N trains it further")
