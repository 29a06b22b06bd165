"""The lenet command: one function a command; each imports what it needs when it runs."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lenet.cli import completion

if TYPE_CHECKING:
    from lenet.looking import Look, Picture
    from lenet.network.architecture import Network
    from lenet.runs.experiments import Experiment
    from lenet.training.recipes import Recipe
    from lenet.walkthrough import Walkthrough

app = typer.Typer(
    name="lenet",
    help="Train LeNet on real pictures in seconds, look inside it, and keep what was trained.",
    epilog="Start with:  lenet train   ·   lenet inspect lenet   ·   lenet data show mnist",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        from lenet import __version__

        print(f"lenet {__version__}")
        raise typer.Exit


@app.callback()
def options_of_the_program(
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Train LeNet on real pictures in seconds, look inside it, and keep what was trained."""


data_app = typer.Typer(help="Find, download and look at data sets.", no_args_is_help=True)
app.add_typer(data_app, name="data")
explain_app = typer.Typer(
    help="Compute pooling or a convolution by hand: every window, every sum.", no_args_is_help=True
)
app.add_typer(explain_app, name="explain")

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder with the data sets; before $LENET_DATA."),
]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"must be a number, got {text!r}") from None


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"must be a whole number, got {text!r}") from None


RUNS = Path("runs")  # where a run goes unless told otherwise


def _run_folder(text: str) -> Path:
    """Where the run or model of that name lies: there, or in the runs of this folder.

    What is not there, and what holds no run, is refused here, for every command in the same words.
    """
    path = _existing_run(text)
    if path is None:
        from lenet import names

        hint = names.did_you_mean(text, _run_names()).capitalize()
        raise typer.BadParameter(
            f"{text} is not a run: it does not exist. {hint}'lenet runs' lists the runs there are"
        )
    return path


def _existing_run(text: str) -> Path | None:
    """The run or model of that name, here or in the folder runs; else what is at that path."""
    path = Path(os.path.expanduser(text))
    for place in (path, RUNS / path):  # an absolute path is itself, twice
        if place.is_file() or (place / "run.json").is_file():
            return place
    return path if os.path.lexists(path) else None  # who reads it says what is wrong with it


def _run_names() -> list[str]:
    return sorted(folder.name for folder in RUNS.iterdir()) if RUNS.is_dir() else []


def _run_argument(help: str) -> Any:
    return typer.Argument(
        parser=_run_folder, metavar="RUN", help=help, autocompletion=completion.runs
    )


def _engine_option() -> Any:
    return typer.Option(help="auto, native, numpy or torch.", autocompletion=completion.engines)


def _device_option() -> Any:
    return typer.Option(help="auto, cpu, cuda or mps.", autocompletion=completion.devices)


RunOrModel = Annotated[Path, _run_argument("A run's name or folder, or a model.safetensors.")]
Threads = Annotated[
    int | None, typer.Option(parser=_whole, metavar="N", help="CPU threads; all there are.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def prepare_streams() -> None:
    """Let nothing that is printed end the program: × on an old console, a closed output."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by who started it
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for good
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def run(arguments: list[str]) -> int:
    """The exit code of one command; an error is one line on stderr."""
    try:
        code = app(arguments, prog_name="lenet", standalone_mode=False)
    except typer.Abort:
        return 130
    except typer.TyperException as error:
        tell = getattr(error, "format_message", error.__str__)
        return _complain(f"{tell()} ('lenet {_command(arguments)}--help' explains)", 2)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        return 1
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        return _complain(_reason(error), 2 if isinstance(error, WRONG_PATH) else 1)
    except ValueError as error:
        return _complain(str(error), _exit_code(error))
    except RuntimeError as error:
        from lenet.training import TrainingError

        if not isinstance(error, TrainingError):
            raise
        return _complain(str(error), 1)
    return code if isinstance(code, int) else 0


WRONG_PATH = (FileNotFoundError, NotADirectoryError, IsADirectoryError, FileExistsError)


def _reason(error: OSError) -> str:
    """What the system says, of which file; and what to do where there is no space."""
    where = f"{error.filename}: " if error.filename else ""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    hint = "; free some space" if full else ""
    return f"{where}{error.strerror or error}{hint}"


# --- train -------------------------------------------------------------------------------------


@app.command(
    epilog="""\
lenet train                                     quickstart: learns in its first epoch
lenet train d2l                                 the tutorials' LeNet
lenet train mnist-adamw --epochs 5              another recipe, shorter
lenet train --network mlp                       another network
lenet train --data ./my-pictures --val 0.1      your own four IDX files
lenet train --set schedule.kind=cosine          any key of a recipe
lenet train --resume runs/2026-11-21-d2l-1      go on where it stopped"""
)
def train(
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="A recipe's name ('lenet recipes' lists them) or a .toml file. Without one: "
            "quickstart, on Fashion-MNIST or, where that is not to be had, on a part of it that "
            "comes with the program.",
            autocompletion=completion.recipes,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change any value of the recipe.",
            autocompletion=completion.settings,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="A data set's name, or a folder of four IDX files.",
            autocompletion=completion.data_sets,
        ),
    ] = None,
    data_dir: DataDir = None,
    network: Annotated[
        str | None,
        typer.Option(help="lenet, lenet-max, lenet-relu, mlp.", autocompletion=completion.networks),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(parser=_whole, metavar="N", help="Passes over the training pictures."),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(parser=_whole, metavar="N", help="Pictures a step.")
    ] = None,
    lr: Annotated[
        float | None, typer.Option(parser=_number, metavar="X", help="Learning rate.")
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(help="sgd, adam or adamw.", autocompletion=completion.optimizers),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(parser=_whole, metavar="N", help="Decides everything random.")
    ] = None,
    val: Annotated[
        float | None,
        typer.Option(parser=_number, metavar="X", help="Share to hold out, such as 0.1."),
    ] = None,
    engine: Annotated[str | None, _engine_option()] = None,
    device: Annotated[str | None, _device_option()] = None,
    threads: Threads = None,
    compile: Annotated[
        bool, typer.Option("--compile", help="Let torch.compile translate the torch engine's step.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="The run's folder; else runs/…")] = None,
    snapshots: Annotated[
        bool, typer.Option("--snapshots", help="Keep the weights at every reading, too.")
    ] = False,
    resume: Annotated[
        Path | None,
        typer.Option(
            parser=_run_folder,
            metavar="RUN",
            help="Go on with this run.",
            autocompletion=completion.runs,
        ),
    ] = None,
) -> int:
    """Train a network; see it learn; find it saved in its run's folder."""
    from lenet.drawing import live
    from lenet.runs import experiments

    flags: dict[str, Any] = {
        "data": data,
        "network": network,
        "epochs": epochs,
        "batch_size": batch_size,
        "schedule.learning_rate": lr,
        "seed": seed,
        "val": val,
    }
    changes = {key: value for key, value in flags.items() if value is not None}
    machine: dict[str, Any] = {
        "data_dir": data_dir,
        "threads": threads,
        "compile": compile,
        "progress": sys.stderr.isatty(),
        "snapshots": snapshots,
    }
    if resume is not None:
        changed = {*changes, *(settings or ()), *filter(None, (recipe, optimizer, out))}
        if extra := changed - {"epochs"}:
            raise typer.BadParameter(
                f"--resume goes on with the recipe as it was; {sorted(map(str, extra))[0]} "
                "cannot be given with it (--epochs, --engine, --device, --threads can)"
            )
        experiment = experiments.go_on(
            resume, epochs=epochs, engine=engine, device=device, **machine
        )
    else:
        asked, chosen = _recipe(recipe, changes, settings or [], optimizer, data_dir)
        experiment = experiments.begin(
            asked,
            chosen=chosen,
            engine=engine or "auto",
            device=device or "auto",
            out=out,
            **machine,
        )
    run = experiment.run
    go_on = f"lenet train --resume {shlex.quote(str(run.folder))}"
    try:
        _introduce(experiment)
        view = live.choose_view(
            experiment.recipe.settings,
            len(experiment.parts.train),
            start=run.start.progress,
            earlier=run.earlier,
        )
        with stop_on_signals() as signalled, view as callbacks:
            outcome = experiment.train([callbacks], stop=lambda: bool(signalled()))
            stopped_by = signalled()
    except BaseException as error:
        run.fail(error)  # also where it came before the training, from the first lines on
        run.close()
        if not isinstance(error, OSError) or isinstance(error, BrokenPipeError):
            raise
        return _complain(f"{_reason(error)}. Once that is mended, go on with: {go_on}", 1)
    if not outcome.finished:
        print(f"stopped; go on with: {go_on}")
        return 128 + stopped_by
    history = [*run.earlier, *outcome.history]
    speed, where = outcome.examples_per_s, experiment.engine.device
    print(*live.closing_lines(history, speed, where), sep="\n")
    print(f"saved in {run.folder}")
    return 0


def _recipe(
    name: str | None,
    flags: dict[str, Any],
    assignments: list[str],
    optimizer: str | None,
    data_dir: Path | None,
) -> tuple[Recipe, set[str]]:
    """The recipe that the flags describe, and the keys that were chosen."""
    from lenet.training import defaults, recipes

    changes = {**flags, **dict(map(recipes.parse_assignment, assignments))}
    if name is None:
        name = defaults.RECIPE
        if "data" not in changes:
            progress = sys.stderr.isatty()
            changes["data"], why = defaults.choose_data(data_dir, progress=progress)
            _say(why)
    # the network first: an optimiser's usual learning rate depends on it
    network = {key: value for key, value in changes.items() if key in ("network", "layers")}
    recipe = recipes.load(name, network)
    if optimizer is not None:
        rate_given = "schedule.learning_rate" in changes
        recipe = recipes.with_method(recipe, optimizer, rate_given)
    for key, value in changes.items():
        recipe = recipes.change(recipe, key, value)
    return recipe, recipes.chosen_keys(name, changes)


def _introduce(experiment: Experiment) -> None:
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
        _say(
            f"{data['name']}: the {len(parts.train) + len(parts.val or ()):,} + "
            f"{len(parts.test or ()):,} pictures that come with the program "
            "('lenet data get fashion-mnist' fetches all 70,000)"
        )
    held_out = f", {len(parts.val):,} held out" if parts.val else ""
    parameters = sum(row.parameters for row in trace(engine.network))
    _say(
        f"{recipe.name}: {engine.network.name} ({parameters:,} parameters) on {data['name']} "
        f"({len(parts.train):,} pictures{held_out})"
    )
    _say(
        f"engine {engine.name} on {engine.device}, {engine.threads} threads "
        f"({experiment.choice.reason}); seed {recipe.settings.seed}; into {run.folder}"
    )
    for remark in run.remarks:
        _say(f"note: {remark}")
    if finished(run.start.progress, recipe.settings):
        _say("note: this run has come to its end; --epochs N trains it further")


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], int]]:
    """A function that tells which of SIGINT and SIGTERM has come, 0 for none.

    The first is noted, so that training can stop in good order; a second interrupts at once.
    """
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    kinds = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(kind, note) for kind in kinds]
    try:
        yield lambda: received[0] if received else 0
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)


# --- looking at networks and runs --------------------------------------------------------------


@app.command(
    epilog="""\
lenet evaluate runs/2026-11-21-d2l-1
lenet evaluate model.safetensors --data mnist --json
lenet evaluate runs/2026-11-21-d2l-1 --mistakes 24 --confusion"""
)
def evaluate(
    run: RunOrModel,
    data: Annotated[
        str | None,
        typer.Option(
            help="Other pictures than the run's own.", autocompletion=completion.data_sets
        ),
    ] = None,
    data_dir: DataDir = None,
    threads: Threads = None,
    mistakes: Annotated[
        int | None,
        typer.Option(parser=_whole, metavar="N", help="List the N surest mistakes; draw them."),
    ] = None,
    confusion: Annotated[
        bool, typer.Option("--confusion", help="Draw what was mistaken for what.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="The picture, or a folder for it; else the run's.")
    ] = None,
    json: Json = False,
) -> None:
    """Measure a trained network on its test pictures: loss, accuracy, and which are mistaken."""
    from lenet import data as datasets
    from lenet import looking, runs
    from lenet.looking import evaluation

    network, parameters = runs.load_model(run)
    folder = run if run.is_dir() else run.parent
    if data is None:
        data = runs.read(folder).recipe.data
    if remark := looking.ending(folder):
        print(f"lenet: {remark}", file=sys.stderr)
    split = datasets.load(data, data_dir, progress=sys.stderr.isatty()).test
    report = evaluation.evaluate(network, parameters, split, threads)
    found = None
    if mistakes is not None:
        found = evaluation.mistakes(network, parameters, split, mistakes, threads)
    if json:
        listed = [] if found is None else evaluation.mistakes_to_json(found, split.classes)
        extra = {} if found is None else {"mistakes": listed}
        _print_json({**evaluation.to_json(report), **extra})
    else:
        _show(lambda width: evaluation.render(report, width))
        if found is not None:
            print()
            _show(lambda width: evaluation.render_mistakes(found, split.classes))
    pictures = looking.mistake_pictures(network.name, report, split, found, confusion)
    if not json or out is not None:
        _write_pictures(pictures, split.classes, folder, network.name, out, tell=not json)


class _Inspect(typer.core.TyperCommand):
    """``inspect``, whose --explain stands alone or before a language."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """What remains of the arguments; Typer's options take always one value, or never."""
        spelled = []
        for place, word in enumerate(args):
            after = [other.lower() for other in args[place + 1 : place + 2]]
            alone = word == "--explain" and after not in (["en"], ["zh"])
            spelled.append("--explain=auto" if alone else word)
        return super().parse_args(ctx, spelled)


@app.command(
    cls=_Inspect,
    epilog="""\
lenet inspect lenet                    each layer: shapes, parameters, costs
lenet inspect lenet-max --input 3x32x32 --classes 100
lenet inspect lenet --diagram --explain zh
lenet inspect runs/2026-11-21-d2l-1 --kernels --parameters
lenet inspect runs/2026-11-21-d2l-1 --features 17
lenet inspect runs/2026-11-21-d2l-1 --features dress:2 --out dress.png
lenet inspect runs/2026-11-21-d2l-1 --json""",
)
def inspect(
    network: Annotated[
        str,
        typer.Argument(
            help="A network's name, or a run's name, folder or model.",
            autocompletion=completion.networks_and_runs,
        ),
    ],
    kernels: Annotated[
        bool, typer.Option("--kernels", help="Every number of every kernel, and a picture.")
    ] = False,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="PICTURE",
            help="Every channel of every layer for a picture: its number in the test set, "
            "CLASS:NUMBER, or a file.",
        ),
    ] = None,
    parameters: Annotated[
        bool, typer.Option("--parameters", help="Shapes, first values, statistics, histograms.")
    ] = False,
    diagram: Annotated[bool, typer.Option("--diagram", help="The network drawn, as SVG.")] = False,
    explain: Annotated[
        str | None,
        typer.Option(metavar="[en|zh]", help="Each layer in words, in English or Chinese."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The picture, or a folder for pictures; else the run's.")
    ] = None,
    input: Annotated[str | None, typer.Option(help="Picture shape, such as 3x32x32.")] = None,
    classes: Annotated[
        int | None, typer.Option(parser=_whole, metavar="N", help="Number of classes.")
    ] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Show a network layer by layer: shapes, parameters, costs; or what its weights have become."""
    if not (kernels or features is not None or parameters or diagram or explain):
        from lenet.network import inspection

        table = inspection.table(_network(network, input, classes))
        if json:
            _print_json(inspection.to_json(table))
        else:
            _show(lambda width: inspection.render(table, width))
        return
    from lenet import looking

    named = input is not None or classes is not None
    subject = looking.open_subject(
        _network(network, input, classes) if named else _network_or_run(network)
    )
    looks = looking.looks(
        subject,
        kernels=kernels,
        features=features,
        parameters=parameters,
        diagram=diagram,
        explain=explain is not None,
        language=None if explain in (None, "auto") else explain.lower(),
        data_dir=data_dir,
        progress=sys.stderr.isatty(),
    )
    if json:
        _print_json({look.name: look.json for look in looks})
    else:
        _print_looks(looks, subject.remark if kernels or parameters or features else "")
    if not json or out is not None:
        pictures = [picture for look in looks for picture in look.pictures]
        names = subject.network.classes
        _write_pictures(pictures, names, subject.folder, subject.network.name, out, tell=not json)


def _print_looks(looks: list[Look], remark: str) -> None:
    """Each text as wide as the terminal, 80 columns where there is none."""
    import shutil

    width = shutil.get_terminal_size().columns
    ascii_only = "utf" not in (sys.stdout.encoding or "").lower()
    texts = [remark, *(look.text(width, ascii_only) for look in looks)]
    print("\n\n".join(text for text in texts if text))


def _write_pictures(
    pictures: list[Picture],
    classes: tuple[str, ...],
    folder: Path | None,
    prefix: str,
    out: Path | None,
    *,
    tell: bool,
) -> None:
    """Write the pictures and print where; say so where their fonts lack the classes' names."""
    from lenet import looking

    paths = looking.write_pictures(pictures, folder, prefix, out)
    if not tell:
        return
    if remark := looking.font_remark(classes, pictures):
        print(f"lenet: {remark}", file=sys.stderr)
    for path in paths:
        print(path)


@app.command(epilog="lenet recipes   ·   lenet recipes d2l")
def recipes(
    name: Annotated[
        str | None,
        typer.Argument(help="Show this one whole, as TOML.", autocompletion=completion.recipes),
    ] = None,
) -> None:
    """List the named experiments, or show one."""
    from lenet.training import recipes as named

    if name is not None:
        print(named.to_toml(named.load(name)), end="")
        return
    from lenet.drawing.listing import Column, listing

    columns = (
        Column("recipe"),
        Column("what it is", wrap=True),
        Column("data", spare=3),
        Column("network", spare=2),
        Column("optimiser", spare=4),
        Column("epochs", right=True, spare=1),
        Column("published", wrap=True, spare=5),
    )
    rows = []
    for recipe in map(named.load, named.names()):
        settings = recipe.settings
        accuracies = [f"{row.test_acc:g}" for row in recipe.published if row.test_acc is not None]
        rows.append(
            (
                recipe.name,
                recipe.title,
                recipe.data,
                recipe.network,
                f"{settings.optimizer.method} {settings.schedule.learning_rate:g}",
                str(settings.epochs),
                ", ".join(accuracies) or "–",
            )
        )
    _show(lambda width: listing(columns, rows, width))


@app.command(epilog="lenet runs   ·   lenet runs --root experiments")
def runs(
    root: Annotated[
        Path | None, typer.Option(help="The folder that holds the runs; else runs.")
    ] = None,
    json: Json = False,
) -> None:
    """List past runs: what was trained, how it ended, and its curve in small."""
    from lenet import data
    from lenet import runs as folders
    from lenet.drawing import terminal_plot

    if root is not None and not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise typer.BadParameter(f"{root} {what}: give the folder that holds the runs")
    root = root or RUNS
    found = folders.list_runs(root, tell=lambda line: print(f"lenet: {line}", file=sys.stderr))
    if json:
        _print_json([{"folder": str(run.folder), "status": run.state, **run.info} for run in found])
        return
    if not found:
        print(f"no runs in {root}; 'lenet train' makes one")
        return
    from lenet.drawing.listing import Column, listing
    from lenet.untrusted import plain

    columns = (
        Column("run"),
        Column("status"),
        Column("network", spare=3),
        Column("data", spare=4),
        Column("epochs", right=True, spare=1),
        Column("train loss", right=True, spare=6),
        Column("test acc", right=True),
        Column("test acc by epoch", spare=5),
    )
    rows = []
    ascii_only = "utf" not in (sys.stdout.encoding or "").lower()
    for run in found:
        recipe, history = run.recipe, run.history
        tested = [row.test_acc for row in history if row.test_acc is not None]
        rows.append(
            (
                plain(_typed_as(run.folder)),
                run.state,
                plain(recipe.network),
                plain(recipe.data if recipe.data in data.KNOWN else Path(recipe.data).name),
                f"{history[-1].epoch:g}/{recipe.settings.epochs}" if history else "–",
                f"{history[-1].train_loss:.3f}" if history else "–",
                f"{tested[-1]:.3f}" if tested else "–",
                terminal_plot.sparkline(tested, 12, ascii_only=ascii_only),
            )
        )
    _show(lambda width: listing(columns, rows, width))


def _typed_as(folder: Path) -> str:
    """A run's folder as any command takes it from here: its name alone where it is in runs."""
    from lenet.network import zoo

    name = folder.name
    if folder.parent == RUNS and _run_folder(name) == folder and name not in zoo.NETWORKS:
        return name
    return str(folder) if folder.parent.parts else os.path.join(os.curdir, folder)


@app.command(epilog="lenet plot runs/2026-11-21-d2l-1   ·   lenet plot runs/… --out curves.pdf")
def plot(
    run: Annotated[Path, _run_argument("A run's name or folder.")],
    out: Annotated[Path | None, typer.Option(help="A .svg, .png or .pdf file.")] = None,
) -> None:
    """Draw a run's curves anew: into its folder, or into another file."""
    from lenet import runs as folders
    from lenet.runs import experiments

    record = folders.read(run)
    if not record.history:
        raise folders.RunError(f"{run} has no readings yet: nothing to draw")
    for path in experiments.draw_curves(record, out):
        print(path)


@app.command(
    epilog="""\
lenet compare lenet mlp                         two networks: how many parameters fewer
lenet compare runs/2026-11-21-d2l-1 runs/2026-11-21-d2l-max-1
lenet compare runs/* --out curves.svg"""
)
def compare(
    names: Annotated[
        list[str],
        typer.Argument(
            help="Runs' names or folders, and networks' names.",
            autocompletion=completion.networks_and_runs,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Draw the curves there: a .svg, .png or .pdf file.")
    ] = None,
    json: Json = False,
) -> None:
    """Set runs and networks side by side: costs, results, settings, curves."""
    from lenet.drawing import figures
    from lenet.looking import compare as comparison

    entries = [comparison.entry(_network_or_run(name)) for name in names]
    if out is not None:
        figure = comparison.curves(entries)
        if figure is None:
            raise typer.BadParameter("--out draws the curves of runs; none of these has readings")
        figures.save(figure, out)
    if json:
        _print_json(comparison.to_json(entries))
        return
    ascii_only = "utf" not in (sys.stdout.encoding or "").lower()
    _show(lambda width: comparison.render(entries, ascii_only=ascii_only))
    if out is not None:
        print(f"curves: {out}")


@app.command(
    epilog="""\
lenet reproduce                                 every recipe, five seeds each: minutes
lenet reproduce d2l --seeds 3
lenet reproduce quickstart --seeds 2 --set epochs=2 --out runs/short"""
)
def reproduce(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RECIPE]...", help="Without any: all.", autocompletion=completion.recipes
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(parser=_whole, metavar="N", help="Runs of each, with seeds 0 to N - 1.")
    ] = 5,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a value of every recipe.",
            autocompletion=completion.settings,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder of the runs and the table.")] = Path(
        "runs/reproduction"
    ),
    data_dir: DataDir = None,
    engine: Annotated[str, _engine_option()] = "auto",
    device: Annotated[str, _device_option()] = "auto",
    threads: Threads = None,
    json: Json = False,
) -> int:
    """Run recipes over several seeds: published figures beside measured ones, in one table.

    Begun again with the same folder it goes on where it stopped.
    """
    from lenet.runs import reproduction
    from lenet.training import recipes as named

    changes = dict(map(named.parse_assignment, settings or []))
    wanted = [named.load(name, changes) for name in names or named.names()]
    with stop_on_signals() as signalled:
        records = reproduction.reproduce(
            wanted,
            seeds,
            out,
            data_dir=data_dir,
            engine=engine,
            device=device,
            threads=threads,
            tell=lambda line: print(line, file=sys.stderr, flush=True),
            stop=lambda: bool(signalled()),
        )
        stopped_by = signalled()
    if records:
        table = reproduction.table(records)
        paths = reproduction.write(table, out)
        if json:
            _print_json(reproduction.to_json(table))
        else:
            _show(lambda width: reproduction.render(table))
            print(f"written: {', '.join(map(str, paths))}")
    if stopped_by:
        print("stopped; the same command goes on from there", file=sys.stderr)
        return 128 + stopped_by
    return 0


@app.command(
    epilog="""\
lenet export runs/2026-11-21-d2l-1 --to html
lenet export runs/2026-11-21-d2l-1 --to html --out lenet.html"""
)
def export(
    run: RunOrModel,
    to: Annotated[str, typer.Option(help="html: a page to explore the network, in one file.")],
    out: Annotated[Path | None, typer.Option(help="The file; else in the run's folder.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Make a file of a trained network that others can use."""
    from lenet.files import write_atomically
    from lenet.lab.export import html
    from lenet.looking.explanations import known_language

    if to.lower() != "html":
        raise typer.BadParameter(f"--to must be html, got {to!r}")
    content = html.of_run(run, data_dir, known_language(None)).encode()
    path = out or (run if run.is_dir() else run.parent) / f"{run.resolve().name}.html"
    write_atomically(path, content)
    print(f"{path}  ({len(content) / 1e3:,.0f} kB)")


# --- the lab -----------------------------------------------------------------------------------


@app.command(
    epilog="""\
lenet lab                                       opens the page of runs/
lenet lab --runs experiments --port 8080
lenet lab --no-browser                          prints its address alone"""
)
def lab(
    runs: Annotated[Path, typer.Option(help="The folder that holds the runs.")] = Path("runs"),
    port: Annotated[
        int, typer.Option(parser=_whole, metavar="N", help="Any that is free unless given.")
    ] = 0,
    host: Annotated[
        str, typer.Option(help="Where it listens; beyond this machine only if you say so.")
    ] = "127.0.0.1",
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page, where there is a screen.")
    ] = True,
) -> None:
    """Open the lab: a page that shows networks computing, learning and compared."""
    from lenet import lab as server

    server.serve(runs, host=host, port=port, browser=None if browser else False)


# --- tutorials ---------------------------------------------------------------------------------


@app.command(
    "run",
    epilog="""\
lenet run tutorial.md                           its cells, in order, as they stand
lenet run tutorial.md --list                    what is code there, and what is not
lenet run tutorial.ipynb --epochs 1 --html page.html
lenet run script.py -- --lr 0.5                 with arguments of its own""",
)
def run_file(
    file: Annotated[Path, typer.Argument(help="A .py, .ipynb, .md or .txt file.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(help="What its sys.argv has after the file; after --.")
    ] = None,
    list_: Annotated[
        bool, typer.Option("--list", help="Show what would be run and what not, and why.")
    ] = False,
    epochs: Annotated[
        int | None,
        typer.Option(parser=_whole, metavar="N", help="Instead of its num_epochs and epochs."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(parser=_whole, metavar="N", help="Set before the first cell.")
    ] = None,
    figures: Annotated[
        Path | None, typer.Option(help="The folder for figures; else NAME-figures beside it.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write an executed page, one file.")] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Go on with the next cell after an error.")
    ] = False,
    json: Json = False,
) -> int:
    """Run a tutorial written for d2l as it stands: cell by cell, figures kept."""
    from lenet import tutorial as tutorials

    if epochs is not None and epochs < 1:
        raise typer.BadParameter(f"{epochs} is less than 1", param_hint="--epochs")
    tutorial = tutorials.read(file)
    if list_:
        from lenet.tutorial import report

        if json:
            _print_json(report.to_json(tutorial))
        else:
            _show(lambda width: report.render(tutorial))
        return 0
    passed = sum(not block.taken for block in tutorial.blocks)
    more = f", passed over: {passed} (--list shows what and why)" if passed else ""
    print(f"lenet: {file}: cells: {len(tutorial.cells)}{more}", file=sys.stderr)
    for remark in tutorials.lost(tutorial):
        print(f"lenet: {remark}", file=sys.stderr)
    result = tutorials.run(
        tutorial,
        arguments or (),
        figures=figures,
        epochs=epochs,
        seed=seed,
        keep_going=keep_going,
        record=json or html is not None,
        quiet=json,
    )
    for remark in filter(None, (result.died, tutorials.other_frameworks(tutorial))):
        print(f"lenet: {remark}", file=sys.stderr)
    for folder in sorted({path.parent for path in result.pictures}):
        names = ", ".join(path.name for path in result.pictures if path.parent == folder)
        print(f"lenet: kept in {_shortest(folder)}: {names}", file=sys.stderr)
    if html is not None:
        from lenet.files import write_atomically
        from lenet.tutorial import page

        write_atomically(html, page.render(tutorial, result).encode())
        print(f"lenet: {html}", file=sys.stderr)
    if json:
        from lenet.tutorial import report

        _print_json(report.to_json(tutorial, result))
    return result.code


def _shortest(path: Path) -> Path:
    """The path as seen from here, where it lies below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


# --- explaining --------------------------------------------------------------------------------

Numbers = Annotated[
    str | None,
    typer.Option(
        "--input", metavar="NUMBERS", help="Rows end at ';', channels at '|'. Else 0, 1, 2 …"
    ),
]
Size = Annotated[str | None, typer.Option(help="Rows x columns of the input: 3x3 unless given.")]
Channels = Annotated[
    int | None, typer.Option(parser=_whole, metavar="N", help="Each one more than the one before.")
]
PaddingWidth = Annotated[
    int, typer.Option(parser=_whole, metavar="N", help="Rings of cells around the input.")
]
Stride = Annotated[
    int, typer.Option(parser=_whole, metavar="N", help="How far the window moves each time.")
]
Spoken = Annotated[
    str | None, typer.Option("--lang", metavar="en|zh", help="The locale's unless given.")
]
Drawing = Annotated[
    Path | None,
    typer.Option("--out", help="Draw it: .gif moves, .png, .svg and .pdf show the last step."),
]


@explain_app.command(
    "pool",
    epilog="""\
lenet explain pool                                 tutorial 004's 3x3 numbers
lenet explain pool --size 4x4 --window 3 --padding 1 --stride 2 --channels 2
lenet explain pool --mode avg --out pool.gif       and the animation
lenet explain pool --input "-1 -2; -3 -4" --padding 1 --lang zh""",
)
def explain_pool(
    input: Numbers = None,
    size: Size = None,
    channels: Channels = None,
    window: Annotated[str, typer.Option(help="Its rows x columns, or one number.")] = "2",
    mode: Annotated[str, typer.Option(help="max or avg.")] = "max",
    padding: PaddingWidth = 0,
    stride: Stride = 1,
    count_padding: Annotated[
        bool,
        typer.Option(
            "--count-padding/--skip-padding",
            help="Whether averages count the padding (count_include_pad).",
        ),
    ] = True,
    lang: Spoken = None,
    out: Drawing = None,
) -> None:
    """Pool step by step: the window, its maximum or mean, and what PyTorch does at the edge."""
    from lenet import walkthrough

    walk = walkthrough.pooling(
        _numbers(input, size, channels),
        _rows_and_columns("--window", window),
        mode.lower(),
        padding=padding,
        stride=stride,
        count_include_pad=count_padding,
    )
    _explain(walk, lang, out)


@explain_app.command(
    "conv",
    epilog="""\
lenet explain conv                                 the book's first example
lenet explain conv --kernel "1 -1" --input "1 1 0 0 1; 1 1 0 0 1"
lenet explain conv --channels 2 --bias 1 --padding 1 --stride 2
lenet explain conv --size 4x4 --out conv.gif       and the animation""",
)
def explain_conv(
    input: Numbers = None,
    size: Size = None,
    channels: Channels = None,
    kernel: Annotated[
        str | None, typer.Option(metavar="NUMBERS", help="Like --input; '0 1; 2 3' unless given.")
    ] = None,
    bias: Annotated[
        float | None, typer.Option(parser=_number, metavar="X", help="Added to every sum.")
    ] = None,
    padding: PaddingWidth = 0,
    stride: Stride = 1,
    lang: Spoken = None,
    out: Drawing = None,
) -> None:
    """Convolve step by step: each product of a window and the kernel, and their sum."""
    from lenet import walkthrough

    numbers = _numbers(input, size, channels)
    if kernel is None:
        weights = walkthrough.counted(2, 2, len(numbers))
    else:
        weights = walkthrough.parse(kernel)
    walk = walkthrough.convolution(numbers, weights, bias, padding=padding, stride=stride)
    _explain(walk, lang, out)


def _numbers(text: str | None, size: str | None, channels: int | None) -> Any:
    """What is explained: the numbers written, or counted up over the size and channels asked."""
    from lenet import walkthrough

    if text is None:
        rows, columns = _rows_and_columns("--size", size or "3x3")
        return walkthrough.counted(rows, columns, 1 if channels is None else channels)
    if size is not None or channels is not None:
        raise typer.BadParameter("--input has its own size and channels; leave the others out")
    return walkthrough.parse(text)


def _rows_and_columns(name: str, text: str) -> tuple[int, int]:
    try:
        sizes = [int(part) for part in text.lower().replace("×", "x").split("x")]
    except ValueError:
        sizes = []
    if len(sizes) not in (1, 2):
        raise typer.BadParameter(f"{name} {text!r}: write rows x columns, such as 3x3")
    return sizes[0], sizes[-1]


def _explain(walk: Walkthrough, asked: str | None, out: Path | None) -> None:
    from lenet.looking.explanations import language_of
    from lenet.walkthrough import text

    asked = asked and asked.lower()
    if asked not in (None, "en", "zh"):
        raise typer.BadParameter(f"--lang must be en or zh, got {asked!r}")
    language = language_of(os.environ if asked is None else {"LANG": asked})
    told = text.lines(walk, language)
    if out is None:
        print(*told, sep="\n")
        return
    from lenet.walkthrough import picture

    remark = picture.save(walk, out, language)
    print(*told, sep="\n")
    if remark:
        print(f"lenet: {remark}", file=sys.stderr)
    print(f"\n{out}")


# --- this machine ------------------------------------------------------------------------------


@app.command(
    epilog="""\
lenet bench                                     everything, minutes
lenet bench --only native,torch-eager --network lenet --batch-size 256 --seconds 3
lenet bench --task one-picture --json > one-picture.json"""
)
def bench(
    only: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="native, numpy, torch-eager, torch-channels-last, torch-compile, d2l; "
            "several with commas.",
        ),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="lenet, lenet-relu, wide, or another of the zoo."),
    ] = None,
    task: Annotated[
        str | None, typer.Option(metavar="NAMES", help="train, evaluate, one-picture.")
    ] = None,
    batch_size: Annotated[
        str | None, typer.Option(metavar="NUMBERS", help="1,32,256,1024 unless given.")
    ] = None,
    threads: Threads = None,
    seconds: Annotated[
        float, typer.Option(parser=_number, metavar="X", help="Of each measurement.")
    ] = 0.3,
    rounds: Annotated[
        int, typer.Option(parser=_whole, metavar="N", help="How often each is measured.")
    ] = 5,
    json: Json = False,
) -> int:
    """Measure this machine: our engines beside PyTorch and what the processor can do."""
    from lenet import benchmark
    from lenet.benchmark import report

    sizes = _listed(batch_size)
    plan = benchmark.plan(
        only=_listed(only),
        networks=_listed(network),
        tasks=_listed(task),
        batch_sizes=None if sizes is None else [_size(text) for text in sizes],
        threads=threads,
        seconds=seconds,
        rounds=rounds,
    )
    with _progress(plan.measurements) as tell:
        results = benchmark.run(plan, tell)
    if json:
        _print_json(report.to_json(results))
    else:
        _show(lambda width: report.render(results))
    return 130 if results.interrupted else 0 if results.rows else 1


@app.command(epilog="lenet doctor   ·   lenet doctor --json")
def doctor(json: Json = False) -> int:
    """Tell what works here, what is missing, and how to get it; 1 if nothing can be trained."""
    from lenet import doctor as examination

    findings = examination.examine()
    if json:
        _print_json(examination.to_json(findings))
    else:
        _show(lambda width: examination.render(findings))
    return 0 if examination.sound(findings) else 1


def _listed(text: str | None) -> list[str] | None:
    """The parts of a text with commas."""
    return None if text is None else [part.strip() for part in text.split(",")]


def _size(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(
            f"must be whole numbers, got {text!r}", param_hint="--batch-size"
        ) from None


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int, str], None]]:
    """A function that shows how much of the total is done and what comes next, at a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, what: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (BarColumn(20), MofNCompleteColumn(), Remaining(), TextColumn("{task.description}"))
    # drawn between measurements alone: a thread that draws would take its time from them
    with Progress(
        *columns, console=Console(stderr=True), transient=True, auto_refresh=False
    ) as progress:
        shown = progress.add_task("", total=total)
        yield lambda done, what: progress.update(
            shown, completed=done, description=what, refresh=True
        )


# --- data --------------------------------------------------------------------------------------


@data_app.command("list", epilog="lenet data list")
def data_list(data_dir: DataDir = None) -> None:
    """List the known data sets, and where they were found."""
    from lenet import data
    from lenet.drawing.listing import Column, listing

    rows = []
    for known in data.KNOWN.values():
        folder = data.find(known.name, data_dir)
        missing = f"not here: lenet data get {known.name} ({known.download_bytes / 1e6:.0f} MB)"
        rows.append((known.name, str(folder) if folder else missing, known.licence))
    columns = (Column("data set"), Column("where", wrap=True), Column("licence", wrap=True))
    _show(lambda width: listing(columns, rows, width))


@data_app.command("get", epilog="lenet data get mnist   ·   lenet data get mnist --force")
def data_get(
    name: Annotated[
        str, typer.Argument(help="A data set's name.", autocompletion=completion.data_sets)
    ],
    force: Annotated[bool, typer.Option(help="Download even if it is here.")] = False,
) -> None:
    """Download a data set into the user's cache, and verify every byte."""
    from lenet import data

    if not force and (found := data.find(name)) is not None:
        data.load(name)
        print(f"{name} is here and whole: {found}")
        return
    folder = data.fetch(name, force=force, progress=sys.stderr.isatty())
    print(f"{name}: {folder}")


@data_app.command(
    "show", epilog="lenet data show fashion-mnist   ·   lenet data show ./mine --out sheet.png"
)
def data_show(
    name: Annotated[
        str,
        typer.Argument(
            help="A data set's name, or a folder of IDX files.",
            autocompletion=completion.data_sets,
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="The picture; else NAME.png.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Write a sheet of labelled pictures, some of each class, as PNG."""
    from lenet import data
    from lenet.drawing import figures

    loaded = data.load(name, data_dir, progress=sys.stderr.isatty())
    path = out or Path(f"{loaded.name}.png")
    figures.save(figures.sheet(loaded.train, title=loaded.name), path)
    print(path)


# --- details -----------------------------------------------------------------------------------


def _network_or_run(name: str) -> str:
    """A network's name as it is spelled, or a run's path; what is neither is refused."""
    from lenet import names
    from lenet.network import zoo

    if _is_network(name):
        return zoo.name_of(name)
    path = _existing_run(name)
    if path is None:
        hint = names.did_you_mean(name, [*zoo.NETWORKS, *_run_names()])
        raise typer.BadParameter(
            f"{name} is neither a network nor a run; {hint}the networks are "
            f"{', '.join(zoo.NETWORKS)}, and 'lenet runs' lists the runs"
        )
    return str(path) if path.parent.parts else os.path.join(os.curdir, path)


def _is_network(name: str) -> bool:
    """Whether a network of the zoo is meant; a folder is, where it is spelled exactly so."""
    from lenet import names
    from lenet.network import zoo

    if name in zoo.NETWORKS:
        return True
    return not Path(name).exists() and names.known_as(name, zoo.NETWORKS) is not None


def _network(name: str, shape: str | None, classes: int | None) -> Network:
    """The zoo's network of that name, or that of a run's folder or model file."""
    from lenet.network import zoo

    if not _is_network(name):
        from lenet import runs as folders

        path = _network_or_run(name)
        if shape is not None or classes is not None:
            raise typer.BadParameter(
                "--input and --classes go with a network's name; a run has its own"
            )
        return folders.load_model(Path(path))[0]
    return zoo.build(name, None if shape is None else _shape(shape), classes)


def _shape(text: str) -> tuple[int, int, int]:
    try:
        channels, height, width = (int(size) for size in text.lower().replace("×", "x").split("x"))
    except ValueError:
        raise typer.BadParameter(
            f"--input {text!r}: write channels x height x width, such as 3x32x32"
        ) from None
    return channels, height, width


def _show(render: Callable[[int], Any]) -> None:
    """Print a rich renderable at the terminal's width, plain where it is none."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
        console = Console(highlight=False, width=max(console.width, 120))
    shown = render(console.width)
    if isinstance(shown, str):
        print(shown)  # rich would cut its lines
    else:
        console.print(shown)


def _say(line: str) -> None:
    """Print a line, broken between words where a terminal is too narrow for it."""
    if sys.stdout.isatty():
        import shutil
        import textwrap

        line = textwrap.fill(line, shutil.get_terminal_size().columns, break_on_hyphens=False)
    print(line)


def _print_json(values: Any) -> None:
    import json

    print(json.dumps(values, indent=2, ensure_ascii=False))


def _command(arguments: list[str]) -> str:
    """The command's own name for a hint, such as "train "."""
    functions = (command.name or command.callback for command in app.registered_commands)
    names = {"data", "explain", *(getattr(name, "__name__", name) for name in functions)}
    return f"{arguments[0]} " if arguments and arguments[0] in names else ""


def _complain(message: str, code: int) -> int:
    print(f"lenet: {' '.join(message.split())}", file=sys.stderr)
    return code


def _exit_code(error: ValueError) -> int:
    """2 where the person asked for what cannot be, 1 where the machine or a file is at fault."""
    from lenet.data import DataError, UnknownDataError
    from lenet.network.weights import WeightsError
    from lenet.runs import DamagedRunError

    at_fault = isinstance(error, DataError | DamagedRunError | WeightsError)
    return 1 if at_fault and not isinstance(error, UnknownDataError) else 2
