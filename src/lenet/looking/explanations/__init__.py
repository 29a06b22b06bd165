"""Each layer of a network in words: what it does, why, and its numbers; in English and Chinese."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lenet.drawing.text_width import wrapped
from lenet.language.asked import Language, known_language
from lenet.looking.explanations import chinese, english
from lenet.looking.explanations.facts import LayerFacts, gather
from lenet.network import inspection
from lenet.network.architecture import Network
from lenet.network.layers import notation as notation_of
from lenet.network.layers import show_shape

if TYPE_CHECKING:
    from lenet.network.parameters import Parameters


@dataclass(frozen=True)
class Section:
    """One layer explained."""

    heading: str  # "0  C1  Conv2d(1→6, 5×5), padding 2"
    shapes: str  # "1×28×28 → 6×28×28"
    does: str
    why: str
    numbers: tuple[str, ...]
    run: str  # what this run's weights and pictures say; empty where there are none


@dataclass(frozen=True)
class Explanation:
    """A network explained layer by layer; a notebook shows it as a page."""

    network: str
    language: Language
    introduction: str
    sections: tuple[Section, ...]
    closing: str

    def __str__(self) -> str:
        return to_text(self)

    def _repr_html_(self) -> str:
        labels = _words(self.language).LABELS
        parts = [f"<p>{escape(self.introduction)}</p>"]
        for section in self.sections:
            parts.append(f"<h4>{escape(section.heading)}</h4><p>{escape(section.shapes)}</p>")
            for key in ("does", "why", "run"):
                if text := getattr(section, key):
                    parts.append(f"<p><b>{escape(labels[key])}</b> {escape(text)}</p>")
            items = "".join(f"<li>{escape(line)}</li>" for line in section.numbers)
            parts.append(f"<ul>{items}</ul>" if items else "")
        parts.append(f"<p>{escape(self.closing)}</p>")
        return f'<div lang="{self.language}">{"".join(parts)}</div>'


def explain(
    network: Network,
    language: str | None = None,
    parameters: Parameters | None = None,
    outputs: list[NDArray[np.float32]] | None = None,
) -> Explanation:
    """Every layer of the network in words, in English ("en") or Chinese ("zh").

    Without a language, that of the environment (``LC_ALL``, ``LC_MESSAGES``, ``LANG``). With a
    run's parameters, and the outputs (n, …) of each layer for some pictures, it says what training
    made of the layers. Raises ValueError for another language.
    """
    spoken = known_language(language)
    words = _words(spoken)
    facts = gather(network, parameters, outputs)
    comparison = _comparison(network, spoken)
    return Explanation(
        network=network.name,
        language=spoken,
        introduction=words.introduction(facts),
        sections=tuple(_section(words, layer) for layer in facts.layers),
        closing=words.closing(facts, comparison),
    )


def _words(language: Language) -> Any:
    """The module with the sentences of a language; both have the same functions."""
    return chinese if language == "zh" else english


def _section(words: Any, facts: LayerFacts) -> Section:
    row = facts.row
    kind, options = notation_of(row.layer)
    notation = ", ".join((kind, *options))
    stage = f"{row.stage}  " if row.stage else ""
    return Section(
        heading=f"{row.index}  {stage}{notation}",
        shapes=f"{show_shape(row.input_shape)} → {show_shape(row.output_shape)}",
        does=words.does(facts),
        why=words.why(facts),
        numbers=tuple(words.numbers(facts)),
        run=words.run(facts),
    )


def _comparison(network: Network, language: Language) -> str:
    """The network beside an mlp for the same pictures, where it has convolutions."""
    found = inspection.table(network).comparison
    if found is None:
        return ""
    if language == "en":
        return f"{found}. {found.baseline.capitalize()}."
    share = found.parameters / found.mlp_parameters
    percent = round(100 * (1 - share))
    difference = f"比它少 {percent}%" if 0 < percent < 100 else f"是它的 {share:.3g} 倍"
    return (
        f"同样的图片换成 mlp，要 {found.mlp_parameters:,} 个参数，{network.name} {difference}。"
        f"而只有一个全连接层的 linear 只要 {found.linear_parameters:,} 个：参数少本身并不是优点。"
    )


# --- as text and JSON --------------------------------------------------------------------------


def to_text(explanation: Explanation, width: int = 80) -> str:
    """The explanation in lines of at most ``width`` Latin letters, at most 100: longer read ill."""
    width = min(width, 100)
    labels = _words(explanation.language).LABELS
    stop = "：" if explanation.language == "zh" else ": "
    lines = [*wrapped(explanation.introduction, width), ""]
    for section in explanation.sections:
        lines += [*wrapped(section.heading, width), *wrapped(section.shapes, width, "   "), ""]
        for key in ("does", "why"):
            if text := getattr(section, key):
                lines += wrapped(f"{labels[key]}{stop}{text}", width, "   ")
        for line in section.numbers:
            first, *rest = wrapped(line, width - 5)
            lines += [f"   · {first}", *(f"     {part}" for part in rest)]
        if section.run:
            lines += wrapped(f"{labels['run']}{stop}{section.run}", width, "   ")
        lines.append("")
    return "\n".join([*lines, *wrapped(explanation.closing, width)])


def to_json(explanation: Explanation) -> dict[str, Any]:
    """``network``, ``language``, ``introduction``, ``layers`` and ``closing``; each layer with
    ``heading``, ``shapes``, ``does``, ``why``, ``numbers`` (a list), ``run``."""
    return {
        "network": explanation.network,
        "language": explanation.language,
        "introduction": explanation.introduction,
        "layers": [
            {
                "heading": section.heading,
                "shapes": section.shapes,
                "does": section.does,
                "why": section.why,
                "numbers": list(section.numbers),
                "run": section.run,
            }
            for section in explanation.sections
        ],
        "closing": explanation.closing,
    }
