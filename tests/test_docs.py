"""README and docs/: every shell command and Python snippet runs, every link leads somewhere.

A block is left out after a comment ``<!-- not run: why -->``.
"""

import contextlib
import io
import re
import shlex
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from lenet import cli
from lenet.training import recipes

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BOOK = sorted(page for page in DOCS.rglob("*.md") if page.parent != DOCS / "reference")
PAGES = [*sorted(ROOT.glob("README*.md")), ROOT / "CONTRIBUTING.md", *BOOK]
BLOCK = re.compile(r"(<!-- not run: .*? -->\n)?```(\w+)\n(.*?)```", re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [text for left_out, kind, text in found if kind == language and not left_out]


SLOW = (
    "data.md",
    "doubt.md",
    "export.md",
    "learning-rate.md",
    "looking.md",
    "predict.md",
    "reproduction.md",
    "scratch.md",
    "sweep.md",
)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix().removeprefix("docs/")


def slow_if_it_trains(page: Path) -> object:
    """Commands that train or draw take seconds, and the CLI's own tests are fast."""
    fast = page.parent == DOCS and page.name not in SLOW
    marks = [] if fast else [pytest.mark.slow]
    return pytest.param(page, marks=marks, id=name_of(page))


CHINESE = [page for page in BOOK if (DOCS / "zh") in page.parents]  # runs what the English runs
RUN = [page for page in PAGES if page not in CHINESE]


@pytest.mark.parametrize("page", [slow_if_it_trains(page) for page in RUN if blocks(page, "sh")])
def test_shell_commands(page: Path, in_tmp: Path) -> None:
    for block in blocks(page, "sh"):
        for line in block.strip().splitlines():
            command, _, target = line.partition(" > ")
            words = shlex.split(command)
            assert words[0] == "lenet", f"{page.name}: {line!r} is not ours to run"
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                assert cli.run(words[1:]) == 0, line
            if target:
                Path(target).write_text(output.getvalue(), encoding="utf-8")


def test_a_chinese_page_runs_what_the_english_one_runs() -> None:
    for page in CHINESE:
        english = DOCS / page.relative_to(DOCS / "zh")
        if page.name != "README.md":
            for language in ("sh", "python"):
                assert blocks(page, language) == blocks(english, language), page.name


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in RUN if blocks(page, "python")], ids=name_of)
def test_python_snippets(page: Path, in_tmp: Path) -> None:
    for block in blocks(page, "python"):
        if "import torch" in block:
            pytest.importorskip("torch")
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(block, page.name, "exec"), {"__name__": "__main__"})


def test_recipes_in_the_text_are_recipes(tmp_path: Path) -> None:
    shown = [block for page in PAGES for block in blocks(page, "toml")]
    assert shown
    for block in shown:
        path = tmp_path / "shown.toml"
        path.write_text(block, encoding="utf-8")
        recipes.load(str(path))


def test_every_key_of_a_recipe_is_documented() -> None:
    text = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
    keys = recipes.keys()
    for key in keys:
        head, _, rest = key.partition(".")
        assert f"`{key}`" in text or (f"`{head}." in text and f"`.{rest}`" in text), key


@cache
def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts and Sphinx make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    found = set()
    for heading in re.findall(r"^#+ (.*)", text, re.M):
        plain = re.sub(r"\]\([^)]*\)", "", heading).lower()
        kept = [c for c in plain if c in " -_" or unicodedata.category(c)[0] in "LN"]
        found.add("".join(kept).replace(" ", "-"))
    return found


def test_links_lead_somewhere() -> None:
    pages = [*PAGES, ROOT / "CHANGELOG.md"]
    assert [f"{page.name} links to {link}" for page in pages for link in dead_links(page)] == []


def dead_links(page: Path) -> Iterator[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", text):
        if "://" not in target:
            path = page.parent / target if target else page
            if not path.exists():
                yield target
            elif anchor and path.suffix == ".md" and anchor not in anchors(path):
                yield f"{target}#{anchor}"


def test_every_picture_says_in_words_what_it_shows() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for words, target in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", text):
            assert len(words) >= 8, f"{page.name}: {target} has no alternative text"


@pytest.mark.parametrize("folder", [DOCS, DOCS / "zh"], ids=["en", "zh"])
def test_every_document_is_in_a_list_of_its_index(folder: Path) -> None:
    """What no list names, the site has no way to: docs/conf.py makes its contents from them."""
    lines = (folder / "README.md").read_text(encoding="utf-8").splitlines()
    items = "\n".join(line for line in lines if re.match(r"- |\d+\. |  ", line))
    listed = {folder / target for target in re.findall(r"\]\(([^)#]+\.md)[)#]", items)}
    ours = {page for page in BOOK if ("zh" in page.relative_to(DOCS).parts) == (folder != DOCS)}
    assert sorted(map(name_of, ours - listed - {folder / "README.md"})) == []


def test_what_is_there_in_chinese_is_there_in_english_and_leads_to_it() -> None:
    for folder in ("lessons", "questions"):
        names = {page.name for page in (DOCS / folder).glob("*.md")}
        assert names == {page.name for page in (DOCS / "zh" / folder).glob("*.md")}
    assert {"scratch.md", "looking.md"} <= {page.name for page in (DOCS / "zh").glob("*.md")}
    assert [link for page in CHINESE for link in links_into_english(page)] == []
    for chinese in sorted((DOCS / "zh").rglob("*.md")):
        inside = chinese.relative_to(DOCS / "zh")
        up = "../" * len(inside.parts[:-1])
        assert f"[English](../{up}{inside.as_posix()})" in chinese.read_text(encoding="utf-8")
        english = (DOCS / inside).read_text(encoding="utf-8")
        assert f"[中文]({up}zh/{inside.as_posix()})" in english, inside


def figures(page: Path) -> set[str]:
    """The numbers of a page's text that have a decimal point or a comma: 0.842, 61,706."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    millions = re.sub(r"(\d+) 万", lambda found: f"{int(found[1]) / 100:g}", text)  # 204 万: 2.04
    numbers: list[str] = re.findall(r"\d+(?:,\d{3})*(?:\.\d+)*", millions)
    return {number for number in numbers if not number.isdigit()}


def test_a_chinese_page_has_the_figures_of_the_english_one() -> None:
    """What was measured anew, or has come to one page alone, is missing in the other."""
    for page in CHINESE:
        english = figures(DOCS / page.relative_to(DOCS / "zh"))
        if page.name != "README.md":
            assert figures(page) == english, f"{name_of(page)}: {figures(page) ^ english}"


def links_into_english(page: Path) -> Iterator[str]:
    """The links of a Chinese page to an English one that there is in Chinese."""
    text = page.read_text(encoding="utf-8")
    for words, target in re.findall(r"\[([^\]]*)\]\(([^)#]+\.md)", text):
        path = (page.parent / target).resolve()
        english = DOCS in path.parents and DOCS / "zh" not in path.parents
        if english and words != "English" and (DOCS / "zh" / path.relative_to(DOCS)).exists():
            yield f"{name_of(page)}: {target}"


def test_chinese_sentences_are_not_broken_over_lines() -> None:
    """A line's end is shown as a space, and between Chinese signs there is none."""
    broken = []
    for page in CHINESE:
        text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
        between = r"[\u4e00-\u9fff，。；：、（）]\n *[\u4e00-\u9fff（“`A-Za-z].{0,20}"
        broken += [(page.name, found) for found in re.findall(between, text)]
    assert broken == []


# One word for one thing: what stood in the texts once, and what stands there now.
NOT_SAID = {
    "(?<![单双])精度": "准确率",
    "周期": "轮",
    "网络不怕小的平移": "对小平移较不敏感",
    "汇聚让它变粗": "汇聚降低了分辨率",
    "它的前向和反向": "前向传播和反向传播",
    "学到的东西也只能不同": "被迫学到不同特征",
    "没有有限的数": "数值溢出（NaN 或无穷）",
    "最容易被什么冒充": "最常被误认成各类的图片",
    "pays that says": "is the loss of a network that answers one tenth for every class",
    "stands what the network said": "Wrong answers are printed below the true name",
    "Whoever chooses by them": "Choosing by them is a little training on them",
    "would come to one": "would collapse into one",
    "easily told wrong": "easy to get wrong",
    "surest of": "most confident",
    "(?<!平)均值": "平均值",
    "正确率": "准确率",
    "您": "你",
    "average pooling": "mean pooling",
}
NOT_SAID_BY_US = {"池化": "汇聚", "占比 p": "概率 p"}  # the tutorials that pages quote say them


def test_the_book_says_one_word_for_one_thing() -> None:
    quoting = [*BOOK, *(ROOT / "examples/source").glob("*.md"), *ROOT.glob("README*.md")]
    ours = [*(ROOT / "src/lenet/looking/explanations").glob("*.py")]
    ours += (ROOT / "src/lenet/language").glob("*.py")
    ours += (ROOT / "src/lenet/lab/page/i18n").glob("*.js")
    ours += (ROOT / "src/lenet/lab/lessons").glob("*.json")
    for page in quoting + ours:
        text = page.read_text(encoding="utf-8")
        for old, new in (NOT_SAID if page in quoting else NOT_SAID | NOT_SAID_BY_US).items():
            assert not re.search(old, text), f"{page.name}: say {new!r}, not {old!r}"


def test_every_room_is_in_the_drawing_and_every_target_in_make_help() -> None:
    drawing = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for path in (ROOT / "src/lenet").iterdir():
        if not path.name.startswith(("__", "_native", "py.typed")):
            assert re.search(rf"\b{path.stem}\b", drawing), path.name
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.search(r"\.PHONY: (.*)", makefile)
    assert targets is not None
    for target in targets.group(1).split():
        assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE), target


def test_the_layer_table_in_the_docs_is_what_the_command_prints(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    golden = (ROOT / "tests/golden/inspect-lenet-80.txt").read_text(encoding="utf-8")
    assert golden.strip() in (ROOT / "docs/looking.md").read_text(encoding="utf-8")
