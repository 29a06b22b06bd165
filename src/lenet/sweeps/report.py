"""A sweep's report: for a terminal, as Markdown, as one HTML file with its figures inside."""

from __future__ import annotations

import dataclasses
import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lenet.drawing.live import duration
from lenet.files import write_atomically
from lenet.language.asked import Language, known_language
from lenet.language.sweeps import sweep_words
from lenet.sweeps.comparing import Comparison, Level, Row, compare
from lenet.sweeps.folder import Sweep
from lenet.sweeps.plan import HALVING, MEDIAN, Range, rungs
from lenet.sweeps.settings import Values, described, label, short, text_of
from lenet.sweeps.student import Difference, Summary, summary
from lenet.sweeps.trial import FAILED, FINISHED
from lenet.untrusted import plain

if TYPE_CHECKING:
    from rich.console import RenderableType

MOST_TERMINAL: Final = 20  # settings; the files have all


def write(sweep: Sweep, language: Language | None = None) -> list[Path]:
    """The paths of report.html and report.md in the sweep's folder, written now.

    Without a language, in that of the environment.
    """
    found, language = compare(sweep), known_language(language)
    contents = {
        "report.html": to_html(sweep, found, language),
        "report.md": to_markdown(sweep, found, language),
    }
    for name, content in contents.items():
        write_atomically(sweep.folder / name, content.encode(errors="backslashreplace"))
    return [sweep.folder / name for name in contents]


def to_json(sweep: Sweep) -> dict[str, Any]:
    """The comparison as plain values, with the folder and what the test said."""
    tested = None if sweep.tested is None else dataclasses.asdict(sweep.tested)
    return {"folder": str(sweep.folder), "tested": tested, **dataclasses.asdict(compare(sweep))}


# --- text ---------------------------------------------------------------------------------------


def _said(text: str, language: Language) -> str:
    """What the report says, in the language."""
    return sweep_words(text) if language == "zh" else text


def _all_said(texts: Sequence[str], language: Language) -> list[str]:
    return [_said(text, language) for text in texts]


def _setting(values: Values, language: Language) -> str:
    """A setting in one line."""
    if language == "en":
        return plain(described(values))
    named = (f"{sweep_words(short(key))} {text_of(value)}" for key, value in values.items())
    return plain("，".join(named))


def title(sweep: Sweep) -> str:
    """What the report is of."""
    recipe = sweep.plan.recipe
    return (
        sweep.plan.question or f"Sweep of {recipe.name}: {', '.join(map(short, sweep.plan.vary))}"
    )


def headings(sweep: Sweep) -> list[str]:
    """The columns of the table of settings."""
    keys = [short(key) for key in sweep.plan.vary]
    return [*keys, "epochs", "n", "held-out accuracy", "95% interval", "behind the best", "p"]


def cells(sweep: Sweep, row: Row, winner: int | None, language: Language = "en") -> list[str]:
    """A setting's row of that table."""
    values = [plain(text_of(value)) for value in row.values.values()]
    state = _said(row.state, language)
    if row.accuracy is None:
        return [*values, "–", "0", row.message or state, "", "", ""]
    return [
        *values,
        f"{row.epochs}" if row.state == FINISHED else _aside(f"{row.epochs}", state, language),
        str(row.accuracy.n),
        mean_text(row.accuracy),
        interval_text(row.accuracy, language),
        _said("best", language) if row.number == winner else difference_text(row.behind, language),
        p_text(row.p),
    ]


def mean_text(found: Summary) -> str:
    """``0.8123 ± 0.0012``."""
    deviation = "" if found.deviation is None else f" ± {found.deviation:.4f}"
    return f"{found.mean:.4f}{deviation}"


def interval_text(found: Summary | Difference, language: Language = "en") -> str:
    """``0.8101 to 0.8145``; empty of a single value."""
    if found.low is None or found.high is None:
        return ""
    return f"{found.low:.4f} {'to' if language == 'en' else '到'} {found.high:.4f}"


def difference_text(found: Difference | None, language: Language = "en") -> str:
    """``-0.0123 (-0.0150 to -0.0096)``."""
    if found is None:
        return ""
    interval = interval_text(found, language)
    return _aside(f"{found.mean:+.4f}", interval, language) if interval else f"{found.mean:+.4f}"


def _aside(text: str, more: str, language: Language) -> str:
    return f"{text} ({more})" if language == "en" else f"{text}（{more}）"


def p_text(p: float | None) -> str:
    """A probability with three digits.

    >>> p_text(0.0004), p_text(0.0312), p_text(None)
    ('<0.001', '0.031', '')
    """
    return "" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def answer(sweep: Sweep, found: Comparison, language: Language = "en") -> list[str]:
    """What was found, in sentences."""
    lines = []
    if found.best is not None:
        row = next(row for row in found.rows if row.number == found.best)
        assert row.accuracy is not None
        lines.append(
            f"Best on the held-out pictures: {_setting(row.values, language)}, "
            f"{mean_text(row.accuracy)} (n = {row.accuracy.n})."
        )
        equal = [
            other
            for other in found.rows
            if other.number != found.best
            and other.state == FINISHED
            and other.p is not None
            and other.p >= 0.05
        ]
        if equal:
            lines.append(
                f"{len(equal)} other setting{'s' if len(equal) > 1 else ''} trained to the end "
                f"cannot be told from it with {sweep.plan.seeds} seeds (p at least 0.05)."
            )
        if sweep.plan.seeds == 1:
            lines.append("With one seed each, a difference may be chance: --seeds 5 says more.")
    if sweep.tested is not None:
        on_test = summary(sweep.tested.test_acc)
        lines.append(
            f"On the test pictures, looked at once for this setting alone: {mean_text(on_test)} "
            f"(n = {on_test.n})."
        )
    failed = sum(row.state == FAILED for row in found.rows)
    if failed:
        lines.append(f"{failed} setting{'s' if failed > 1 else ''} failed: see below.")
    return _all_said(lines, language)


def how(sweep: Sweep, found: Comparison, language: Language) -> list[str]:
    """How it was measured, in sentences."""
    plan, info = sweep.plan, sweep.info
    examples = info["pictures"].get("examples", {})
    drawn = {"grid": "Every combination was tried", "random": "Settings were drawn at random"}
    lines = [
        f"{drawn.get(plan.sampler, f'Optuna ({plan.sampler}) drew the settings')}: "
        f"{len(sweep.settings)} settings, {found.runs} runs, {duration(found.wall_s)} of training "
        "in all.",
        "Settings are judged by the accuracy of the last epoch on "
        f"{examples.get('val', 0):,} of the training pictures, which no run is trained on. Each "
        "seed has first weights, an order and held-out pictures of its own, the same for all "
        "settings, so that settings are compared seed by seed.",
        "Mean ± standard deviation (n - 1). Intervals and p are Student's; p is of the paired "
        "difference from the best, made larger for the number of comparisons (Holm). The best one "
        "was chosen by these figures, so its own is a little too high.",
    ]
    if plan.prune == HALVING:
        stops = ", ".join(map(str, rungs(plan)[:-1]))
        lines.append(
            f"After epoch {stops} the best 1 in {plan.factor} went on (successive halving). The "
            "others are compared with the best one after as many epochs: a setting that learns "
            "slowly at first may have been given up too early."
        )
    if plan.prune == MEDIAN:
        lines.append(
            "A setting was stopped where its first seed fell below the median of earlier settings."
        )
    if not plan.rate_chosen and {"activation", "optimizer"} & plan.vary.keys():
        rate = plan.recipe.settings.schedule.learning_rate
        lines.append(
            f"The learning rate is the recipe's ({rate:g}) for its own optimiser and kind of "
            "activation, and the usual one of each other: SGD 0.9 with sigmoids and 0.1 without, "
            "Adam and AdamW 0.001."
        )
    machine = info["machine"].get("processor", "")
    versions = ", ".join(f"{name} {value}" for name, value in info["versions"].items())
    name = info["pictures"].get("name", "")
    lines += [
        f"Recipe {plan.recipe.name}, {plan.epochs} epochs, on {name}. Machine: {machine}. "
        f"Versions: {versions}.",
    ]
    return [_said(plain(line, 1000), language) for line in lines]


LEVEL_HEADINGS: Final = (
    *("question", "answer", "held-out accuracy", "95% interval", "behind the best answer", "p"),
)


def level_cells(level: Level, language: Language = "en") -> list[str]:
    """An answer's row."""
    return [
        _said(short(level.key), language),
        plain(text_of(level.value)),
        mean_text(level.accuracy),
        interval_text(level.accuracy, language),
        _said("best", language)
        if level.behind is None
        else difference_text(level.behind, language),
        p_text(level.p),
    ]


def levels_title(found: Comparison) -> str:
    """What the table of answers is."""
    return (
        f"Each answer, averaged over everything else, after epoch {found.levels_epoch}, which all "
        "settings reached"
    )


# --- Markdown -----------------------------------------------------------------------------------


def to_markdown(sweep: Sweep, found: Comparison, language: Language) -> str:
    """The report as Markdown."""
    head = _said(title(sweep), language)
    parts = [f"# {_escaped(head)}", *map(_escaped, answer(sweep, found, language))]
    parts.append(f"## {_said('Settings', language)}")
    rows = [cells(sweep, row, found.best, language) for row in found.rows]
    parts.append(_markdown_table(_all_said(headings(sweep), language), rows))
    if found.levels:
        parts.append(f"## {_said('Questions', language)}")
        parts.append(_sentence(levels_title(found), language))
        rows = [level_cells(level, language) for level in found.levels]
        parts.append(_markdown_table(_all_said(LEVEL_HEADINGS, language), rows))
    if failed := _failures(found, language):
        lines = "\n".join(f"- {_escaped(line)}" for line in failed)
        parts += [f"## {_said('Failed', language)}", lines]
    parts.append(f"## {_said('How it was measured', language)}")
    parts += map(_escaped, how(sweep, found, language))
    parts.append(f"    {plain(sweep.info['command'], 1000)}")
    return "\n\n".join(parts) + "\n"


def _sentence(text: str, language: Language) -> str:
    return _said(text, language) + ("。" if language == "zh" else ".")


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_escaped, line)) + " |" for line in lines)


def _escaped(text: str) -> str:
    """A text that Markdown shows as it is."""
    text = html.escape(text, quote=False)
    return "".join(f"\\{sign}" if sign in "\\`*_[]|" else sign for sign in text)


def _failures(found: Comparison, language: Language = "en") -> list[str]:
    return [
        f"{_setting(row.values, language)}: {row.message}"
        for row in found.rows
        if row.state == FAILED
    ]


# --- HTML ---------------------------------------------------------------------------------------

CSS: Final = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem;
       color: #262626; background: #fff; }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.9rem }
th, td { text-align: left; padding: 0.2rem 0.8rem 0.2rem 0; border-bottom: 1px solid #e6e6e6;
         white-space: nowrap }
tr.best td { font-weight: 600 } tr.aside td { color: #6b6b6b }
.wide { overflow-x: auto } figure { margin: 1rem 0 } svg { max-width: 100%; height: auto }
.answer { font-size: 1.05rem } code { overflow-wrap: anywhere }
"""


def to_html(sweep: Sweep, found: Comparison, language: Language) -> str:
    """The report as one HTML file: no script, nothing that is loaded from elsewhere."""
    head = html.escape(_said(title(sweep), language))
    parts = [f"<h1>{head}</h1>"]
    parts += [f'<p class="answer">{html.escape(s)}</p>' for s in answer(sweep, found, language)]
    for svg in figures(sweep, found, language).values():
        parts.append(f"<figure>{svg}</figure>")
    parts.append(f"<h2>{_said('Settings', language)}</h2>")
    classes = [
        "best" if row.number == found.best else "" if row.state == FINISHED else "aside"
        for row in found.rows
    ]
    rows = [cells(sweep, row, found.best, language) for row in found.rows]
    parts.append(_html_table(_all_said(headings(sweep), language), rows, classes))
    if found.levels:
        parts.append(f"<h2>{_said('Questions', language)}</h2>")
        parts.append(f"<p>{html.escape(_sentence(levels_title(found), language))}</p>")
        classes = ["best" if level.behind is None else "" for level in found.levels]
        rows = [level_cells(level, language) for level in found.levels]
        parts.append(_html_table(_all_said(LEVEL_HEADINGS, language), rows, classes))
    if failed := _failures(found, language):
        items = "".join(f"<li>{html.escape(line)}</li>" for line in failed)
        parts.append(f"<h2>{_said('Failed', language)}</h2><ul>{items}</ul>")
    parts.append(f"<h2>{_said('How it was measured', language)}</h2>")
    parts += [f"<p>{html.escape(line)}</p>" for line in how(sweep, found, language)]
    parts.append(f"<p><code>{html.escape(plain(sweep.info['command'], 1000))}</code></p>")
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{head}</title><style>{CSS}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _html_table(head: Sequence[str], rows: Sequence[Sequence[str]], classes: Sequence[str]) -> str:
    top = "".join(f"<th>{html.escape(text)}</th>" for text in head)
    lines = [
        f'<tr class="{name}">' + "".join(f"<td>{html.escape(text)}</td>" for text in row) + "</tr>"
        for row, name in zip(rows, classes, strict=True)
    ]
    return f'<div class="wide"><table><tr>{top}</tr>\n{chr(10).join(lines)}</table></div>'


def figures(sweep: Sweep, found: Comparison, language: Language = "en") -> dict[str, str]:
    """The figures by name, as SVG that can stand inside a page."""
    from lenet.drawing import figures as drawing
    from lenet.drawing import sweep_figures

    marks = [mark for row in found.rows if (mark := _mark(sweep, row, found.best))]
    if not marks:
        return {}
    most = sweep_figures.MOST_ROWS
    beyond = f" (the first {most} of {len(marks)})" if len(marks) > most else ""
    made = {
        "settings": sweep_figures.settings_figure(
            marks, f"Settings, their seeds, and 95% intervals of their means{beyond}", language
        ),
        "curves": sweep_figures.curves_figure(marks, "Means by epoch; dotted: given up", language),
    }
    rows = [row for row in found.rows if row.accuracy is not None]
    for key in sweep.plan.vary:
        values = [row.values[key] for row in rows]
        if len(set(map(repr, values))) < 3 or not all(map(_is_number, values)):
            continue
        axis = sweep.plan.vary[key]
        spread = min(values) > 0 and max(values) / min(values) > 20
        made[key] = sweep_figures.values_figure(
            short(key),
            values,
            [row.accuracy.mean for row in rows if row.accuracy],
            [row.state == FINISHED for row in rows],
            axis.log if isinstance(axis, Range) else spread,
            language,
        )
    return {name: _inline(drawing.encoded(figure, "svg")) for name, figure in made.items()}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _mark(sweep: Sweep, row: Row, winner: int | None) -> Any:
    from lenet.drawing.sweep_figures import Mark
    from lenet.sweeps.running import runs_of, value_at

    if row.accuracy is None:
        return None
    values = [value_at(run, row.epochs) for run in runs_of(sweep, row.number)]
    return Mark(
        plain(label(row.values)),
        row.accuracy.mean,
        row.accuracy.low,
        row.accuracy.high,
        tuple(value for value in values if value is not None),
        row.curve,
        row.state == FINISHED,
        row.number == winner,
    )


def _inline(svg: bytes) -> str:
    """The SVG element alone, without what can stand only at the head of a file."""
    text = re.sub(r"<metadata>.*?</metadata>", "", svg.decode(), flags=re.DOTALL)
    return text[text.index("<svg") :]


# --- terminal -----------------------------------------------------------------------------------


def render(sweep: Sweep, width: int) -> RenderableType:
    """The best settings, the answers and the sentences, for a terminal."""
    from rich.console import Group
    from rich.text import Text

    from lenet.drawing.listing import Column, listing

    found = compare(sweep)
    keys = [short(key) for key in sweep.plan.vary]
    columns = [
        *(Column(key, wrap=True) for key in keys),
        Column("epochs", right=True, spare=1),
        Column("n", right=True, spare=2),
        Column("held-out accuracy", wrap=True),
        Column("95% interval", spare=4, wrap=True),
        Column("behind the best", spare=3, wrap=True),
        Column("p", right=True, spare=2),
    ]
    rows = [cells(sweep, row, found.best) for row in found.rows[:MOST_TERMINAL]]
    parts: list[Any] = [_shown(listing(columns, rows, width))]
    if len(found.rows) > MOST_TERMINAL:
        parts.append(Text(f"… and {len(found.rows) - MOST_TERMINAL} more, in the report"))
    if found.levels:
        columns = [
            *(Column("question"), Column("answer"), Column("held-out accuracy", wrap=True)),
            Column("95% interval", spare=2, wrap=True),
            Column("behind the best answer", spare=1, wrap=True),
            Column("p", right=True),
        ]
        levels = [level_cells(level) for level in found.levels]
        parts += [Text(), Text(levels_title(found)), _shown(listing(columns, levels, width))]
    parts.append(Text())
    parts += [Text(line) for line in answer(sweep, found)]
    parts += [Text(f"failed: {line}") for line in _failures(found)[:5]]
    return Group(*parts)


def _shown(table: Any) -> Any:
    from rich.text import Text

    return Text(table) if isinstance(table, str) else table
