"""How Sphinx makes the site: ``make docs``. The pages stay plain Markdown that a code host shows.

Which pages there are, and in which order, is said once: in the lists of README.md and zh/README.md.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent / "scripts"))
import make_reference  # noqa: E402  (beside this folder, not in a package)

project = "LeNet"
author = "the LeNet authors"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
autodoc_typehints = "none"  # the docstrings say what the types cannot; signatures stay short
root_doc = "README"
exclude_patterns = ["conf.py"]
nitpicky = True
keep_warnings = True

myst_heading_anchors = 4  # a link to page.md#a-heading, as code hosts make it
myst_links_external_new_tab = False

html_theme = "furo"  # its fonts are the system's: nothing is fetched
html_title = "LeNet"
html_copy_source = False
html_show_sphinx = False
html_static_path: list[str] = []

SECTION = re.compile(
    r"^\*\*(.+?)\*\*.*\n(?:\S.*\n)*\n((?:(?:-|\d+\.) .*\n(?:[ ].*\n)*)+)", re.MULTILINE
)
PAGE = re.compile(r"\]\(([^)#]+)\.md[)#]")
CAPTION = re.compile(r'(?=<p class="caption")')  # where a group of the sidebar begins
CHINESE = "中文 · "
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)#:]+)\)")


class Words(SearchEnglish):
    """English words, and Chinese by twos, since nothing stands between its words."""

    # "var", for Furo's page runs Sphinx's own script first, which has declared it so
    js_splitter_code = r"""
var splitQuery = (query) => {
  const runs = query.match(/\p{Script=Han}+|(?:(?!\p{Script=Han})[\p{Letter}\p{Number}_])+/gu);
  return (runs ?? []).flatMap((run) => {
    const signs = [...run];
    const twos = /^\p{Script=Han}{3,}$/u.test(run);
    return twos ? signs.slice(1).map((sign, at) => signs[at] + sign) : [run];
  });
};
"""
    runs = re.compile(r"[\u4e00-\u9fff]+|(?:(?![\u4e00-\u9fff])\w)+")

    def split(self, input: str) -> list[str]:
        found = []
        for run in self.runs.findall(input):
            twos = len(run) > 2 and "\u4e00" <= run[0] <= "\u9fff"
            found += [run[at : at + 2] for at in range(len(run) - 1)] if twos else [run]
        return found


def toctrees() -> str:
    """The hidden tables of contents of the whole site: one for each list of the two indexes."""
    made = []
    for folder, mark in (("", ""), ("zh/", CHINESE)):
        text = (DOCS / folder / "README.md").read_text(encoding="utf-8")
        first = [f"{folder}README"] if folder else []
        for title, items in SECTION.findall(text):
            pages = [folder + page for page in PAGE.findall(items) if not page.startswith("..")]
            if title == "Reference":
                pages += [f"reference/{Path(name).stem}" for name in make_reference.pages()]
            if not pages:  # a list of English pages, in Chinese
                continue
            head = ["```{toctree}", ":hidden:", f":caption: {mark}{title}", ""]
            made.append("\n".join([*head, *first, *pages, "```\n"]))
            first = []
    return "\n".join(made)


def read(app: Sphinx, docname: str, source: list[str]) -> None:
    """Before a page is read: give the first its tables of contents, and mend links out of docs/."""
    folder = (DOCS / docname).parent

    def within(link: re.Match[str]) -> str:
        text, target = link.groups()
        path = (folder / target).resolve()
        if path.is_relative_to(DOCS) or (path.is_file() and path.suffix != ".md"):
            return link[0]  # a page, or a file that the site brings with it
        return f"{text} (`{path.relative_to(DOCS.parent)}`)"

    source[0] = LINK.sub(within, source[0])
    if docname == root_doc:
        source[0] += "\n" + toctrees()


def language_of(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    """Say which language a page is in: a browser takes its font and its voice from that."""
    chinese = pagename.startswith("zh/")
    context["language"] = "zh-CN" if chinese else "en"
    if tree := context.get("furo_navigation_tree"):  # each language has its own sidebar
        head, *groups = CAPTION.split(tree)
        kept = [group for group in groups if (CHINESE in group.partition("</p>")[0]) == chinese]
        context["furo_navigation_tree"] = "".join([head, *kept])


def finish(app: Sphinx, error: Exception | None) -> None:
    """The first page under the name that servers look for."""
    if error is None:
        shutil.copy(app.outdir / "README.html", app.outdir / "index.html")


def setup(app: Sphinx) -> None:
    for name, text in make_reference.pages().items():
        path = DOCS / "reference" / name
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8", newline="\n")
    app.add_search_language(Words)
    app.connect("source-read", read)
    app.connect("html-page-context", language_of, priority=900)  # after the theme's
    app.connect("build-finished", finish)
