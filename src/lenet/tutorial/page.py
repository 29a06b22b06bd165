"""A tutorial as one HTML page: its prose, its code, and below each cell what it put out here.

The file needs nothing else: pictures are inside it, no script runs, nothing is fetched. Pictures
that the text has elsewhere stay links.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from datetime import date
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

from lenet.tutorial import tabs
from lenet.tutorial.cells import Block, Tutorial
from lenet.tutorial.process import Result
from lenet.tutorial.record import Output

_KINDS = {".png": "image/png", ".svg": "image/svg+xml", ".jpg": "image/jpeg", ".gif": "image/gif"}
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_IMAGE_TAG = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
_TAG = re.compile(r"</?(script|style|iframe|div|span|p|center|a|br|font|details|summary)\b[^>]*>")
_SCRIPT = re.compile(r"<(script|style|iframe)\b.*?</\1>", re.IGNORECASE | re.DOTALL)
_FRONT_MATTER = re.compile(r"---\n(.*?)\n---\n", re.DOTALL)
_HEADING = re.compile(r"^#\s+(.+?)\s*#*$|^(\S.*)\n=+\s*$", re.MULTILINE)

_STYLE = """
:root { color-scheme: light dark; --text: #1d2430; --soft: #667085; --page: #fff;
  --code: #f6f7f9; --line: #e2e5ea; --mark: #2f6fdb; --bad: #b42318; --bad-page: #fef3f2; }
@media (prefers-color-scheme: dark) { :root { --text: #dfe3ea; --soft: #98a2b3; --page: #14171c;
  --code: #1c2027; --line: #323843; --mark: #7aa7f5; --bad: #fda29b; --bad-page: #2b1715; } }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--text); font: 1rem/1.65 system-ui,
  -apple-system, "Segoe UI", Roboto, "PingFang SC", "Hiragino Sans GB", "Noto Sans CJK SC",
  "Noto Sans SC", "Microsoft YaHei", sans-serif; overflow-wrap: break-word }
main { max-width: 50rem; margin: 0 auto; padding: 1.5rem 1rem 4rem }
h1, h2, h3, h4 { line-height: 1.3; margin: 2em 0 .6em } h1 { font-size: 1.75rem; margin-top: .5em }
h2 { font-size: 1.35rem } h3 { font-size: 1.12rem }
a { color: var(--mark) } blockquote { margin: 1em 0; padding: 0 1em;
  border-left: 3px solid var(--line); color: var(--soft) }
pre, code { font: .86rem/1.5 ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas,
  "DejaVu Sans Mono", "Noto Sans Mono CJK SC", "PingFang SC", "Microsoft YaHei", monospace }
code { background: var(--code); border-radius: 3px; padding: .1em .3em }
pre { margin: 0; padding: .7rem .9rem; overflow-x: auto; tab-size: 8 } pre code { padding: 0 }
main > pre, .was { background: none; border: 1px dashed var(--line); border-radius: 6px;
  margin: 1em 0; color: var(--soft) } main > pre code { background: none }
main > pre::before { content: "in the text"; float: right; font: .72rem system-ui, sans-serif }
.copied { white-space: pre-wrap; margin: 1em 0 }
table { border-collapse: collapse; display: block; overflow-x: auto; margin: 1em 0 }
th, td { border: 1px solid var(--line); padding: .3em .7em; text-align: left }
img, svg { max-width: 100%; height: auto }
.cell { margin: 1.4em 0; border: 1px solid var(--line); border-radius: 8px; overflow: hidden }
.label { display: flex; justify-content: space-between; gap: 1em; padding: .25rem .9rem;
  font-size: .75rem; color: var(--soft); background: var(--code);
  border-bottom: 1px solid var(--line) }
.code { background: var(--code) } .out { border-top: 1px solid var(--line) }
.out figure { margin: 0; padding: .7rem .9rem; background: #fff } .out img { display: block }
.html { padding: .7rem .9rem; overflow-x: auto } .stderr { color: var(--soft) }
.error { color: var(--bad); background: var(--bad-page) } .note { color: var(--soft) }
.banner { padding: .6rem .9rem; border-radius: 8px; color: var(--bad); background: var(--bad-page) }
footer { margin-top: 3rem; padding-top: .8rem; border-top: 1px solid var(--line);
  font-size: .8rem; color: var(--soft) }
"""


def render(tutorial: Tutorial, result: Result) -> str:
    """The whole page; `result` must have been made with `record`."""
    from lenet import __version__

    text = "\n".join(tutorial.lines) or "\n".join(block.text for block in tutorial.blocks)
    heading = "" if tutorial.layout in ("copied", "script", "cells") else _title(text)
    title = heading or tutorial.path.stem
    body = "\n".join(_parts(tutorial, result))
    language = "zh" if len(_CJK.findall(text)) * 10 > len(text.split()) else "en"
    banner = _banner(result)
    top = "" if heading and not _FRONT_MATTER.match(text) else f"<h1>{escape(title)}</h1>"
    return f"""<!doctype html>
<html lang="{language}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'unsafe-inline'">
<title>{escape(title)}</title>
<style>{_STYLE}{_code_styles()}</style>
<main>
{top}{banner}
{body}
<footer>{escape(tutorial.path.name)}, run unchanged on {date.today()} with \
LeNet {__version__}: {len(tutorial.cells)} cells</footer>
</main>
</html>
"""


def _banner(result: Result) -> str:
    if result.code == 0:
        return ""
    ended = "was interrupted" if result.code in (130, 143) else "ended with an error"
    why = f" {result.died[:1].upper()}{result.died[1:]}." if result.died else ""
    return f'<p class="banner">The run {ended} (exit code {result.code}).{escape(why)}</p>'


def _title(text: str) -> str:
    """The title in the front matter, or the first heading outside of code."""
    matter = _FRONT_MATTER.match(text)
    if matter and (named := re.search(r"^title:\s*(.+?)\s*$", matter[1], re.MULTILINE)):
        return named[1].strip("'\"")
    plain = re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.MULTILINE | re.DOTALL)
    found = _HEADING.search(plain)
    return (found[1] or found[2]).strip() if found else ""


def _parts(tutorial: Tutorial, result: Result) -> Iterator[str]:
    """The page's pieces in the order of the text."""
    number = 0
    previous = rest = 0  # lines that have been put on the page; where a cell's fence goes on
    known = {output.text for output in result.outputs if output.kind == "picture"}
    late = [
        Output(len(tutorial.cells) - 1, "picture", str(path))
        for path in result.pictures
        if str(path) not in known
    ]
    outputs = [*result.outputs, *late]
    printed: set[str] = set()
    for block in tutorial.blocks:
        if not block.taken:
            if tutorial.layout == "notebook" and block.reason == "a markdown cell":
                text = "\n".join(tabs.prose(block.text.split("\n")))
                yield _markdown(text, tutorial.path.parent)
            elif tutorial.layout == "fenced" and block.first == rest:  # in the cell's own fence
                yield f'<pre class="was">{escape(block.text)}</pre>'
                previous = _after_fence(tutorial.lines, block.last)
            continue
        if tutorial.lines:
            fence = tutorial.layout == "fenced"
            prose = tutorial.lines[previous : block.first - 1 - fence]
            yield from _prose(tutorial, prose, printed)
            previous = _after_fence(tutorial.lines, block.last) if fence else block.last
            rest = previous + 1
        own = [output for output in outputs if output.cell == number]
        number += 1
        printed |= {
            row.expandtabs().strip()
            for output in own
            for row in output.text.splitlines()
            if output.kind == "stdout"
        }
        yield _cell(number, block, own)
    yield from _prose(tutorial, tutorial.lines[previous:], printed)


def _after_fence(lines: Sequence[str], end: int) -> int:
    """The number of lines up to the fence that closes after line `end`, or up to what it holds."""
    while end < len(lines) and not lines[end].strip():
        end += 1
    closes = end < len(lines) and not lines[end].strip().strip("`~")
    return end + 1 if closes else end


def _prose(tutorial: Tutorial, lines: Sequence[str], printed: set[str]) -> Iterator[str]:
    text = "\n".join(tabs.prose(lines))
    if tutorial.layout == "copied":
        yield from _copied(text, printed)
    elif tutorial.layout in ("script", "cells"):
        comments = [re.sub(r"^#\s?(%%.*)?", "", line) for line in lines]
        yield _markdown("\n".join(comments), tutorial.path.parent)
    else:
        yield _markdown(_FRONT_MATTER.sub("", text, count=1), tutorial.path.parent)


def _copied(text: str, printed: set[str]) -> Iterator[str]:
    """Paragraphs of a page without marks; those that were printed stay as they are."""
    for paragraph in re.split(r"\n\s*\n", text):
        rows = [row for row in paragraph.expandtabs().split("\n") if row.strip()]
        if not rows:
            continue
        ours = sum(row.strip() in printed for row in rows) * 2 >= len(rows)
        aligned = any(re.match(r"\s{2,}\S|.*\S {2,}\S|[\[({]|\w+\(\[|-{5,}", row) for row in rows)
        kind, tag = ("was", "pre") if ours or aligned else ("copied", "p")
        yield f'<{tag} class="{kind}">{escape(chr(10).join(rows))}</{tag}>'


def _markdown(text: str, folder: Path) -> str:
    """The text's Markdown as HTML; tags in it are left out but for pictures."""
    from markdown_it import MarkdownIt

    if not text.strip():
        return ""
    text = _SCRIPT.sub("", text)
    text = _IMAGE_TAG.sub(lambda tag: _image_as_markdown(tag[0]), text)
    text = _TAG.sub("", text)
    renderer = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])

    def image(self: Any, tokens: Any, place: int, options: Any, env: Any) -> str:
        token = tokens[place]
        return _image(str(token.attrs.get("src", "")), token.content, folder)

    renderer.add_render_rule("image", image)
    return str(renderer.render(text))


def _image_as_markdown(tag: str) -> str:
    source = re.search(r"""\bsrc=["']?([^"'\s>]+)""", tag)
    alt = re.search(r"""\balt=["']([^"']*)""", tag)
    return f"![{alt[1] if alt else ''}]({source[1]})" if source else ""


def _image(source: str, alt: str, folder: Path) -> str:
    """A picture of the text: inside the page where the file is here, else a link to it."""
    here = folder / source
    if "://" not in source and here.suffix.lower() in _KINDS and here.is_file():
        return _picture(here, alt)
    name = alt or source.rpartition("/")[2]
    return f'<a class="note" href="{escape(source)}">[{escape(name or "picture")}]</a>'


def _picture(path: Path, alt: str) -> str:
    content = base64.b64encode(path.read_bytes()).decode()
    kind = _KINDS.get(path.suffix.lower(), "image/png")
    return f'<img alt="{escape(alt)}" src="data:{kind};base64,{content}">'


def _cell(number: int, block: Block, outputs: Sequence[Output]) -> str:
    place = f"cell {block.number}" if block.number else f"lines {block.place}"
    remarks = f" · {'; '.join(block.remarks)}" if block.remarks else ""
    shown = "".join(_output(output, after) for output, after in pairwise([*outputs, None]))
    return (
        f'<section class="cell"><div class="label"><span>{number}</span>'
        f"<span>{escape(place + remarks)}</span></div>{_highlighted(block.text)}{shown}</section>"
    )


def _output(output: Output | None, after: Output | None) -> str:
    if output is None or (output.kind == "value" and after and after.kind == "html"):
        return ""
    if output.kind == "picture":
        path = Path(output.text)
        if not path.is_file() or path.suffix.lower() not in _KINDS:
            return ""
        return f'<div class="out"><figure>{_picture(path, path.name)}</figure></div>'
    if output.kind == "html":
        return f'<div class="out html">{output.text}</div>'
    text = _ANSI.sub("", output.text).rstrip("\n")
    if output.kind == "stderr":  # where our own files went, the page shows
        text = "\n".join(row for row in text.split("\n") if not row.startswith("lenet: "))
    text = "\n".join(row.rstrip("\r").rpartition("\r")[2] for row in text.split("\n"))
    return f'<div class="out"><pre class="{output.kind}">{escape(text)}</pre></div>' if text else ""


def _highlighted(source: str) -> str:
    from pygments import highlight  # type: ignore[import-untyped]
    from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
    from pygments.lexers import PythonLexer  # type: ignore[import-untyped]

    formatter = HtmlFormatter(cssclass="code", wrapcode=False)
    return str(highlight(source, PythonLexer(stripnl=True), formatter))


def _code_styles() -> str:
    from pygments.formatters import HtmlFormatter

    def rules(style: str) -> str:
        text = HtmlFormatter(style=style).get_style_defs(".code")
        return "\n".join(
            row
            for row in text.splitlines()
            if row.startswith(".code .") and "background" not in row
        )

    return f"{rules('friendly')}\n@media (prefers-color-scheme: dark) {{\n{rules('monokai')}\n}}\n"
