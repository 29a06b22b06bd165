"""README and docs/: every shell command and Python snippet runs, every link leads somewhere.

A block is left out after a comment ``<!-- not run: why -->``.
"""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from lenet import cli
from lenet.training import recipes

ROOT = Path(__file__).parents[1]
PAGES = [
    *sorted(ROOT.glob("README*.md")),
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
BLOCK = re.compile(r"(<!-- not run: .*? -->\n)?```(\w+)\n(.*?)```", re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [text for left_out, kind, text in found if kind == language and not left_out]


SLOW = ("data.md", "export.md", "looking.md", "predict.md", "reproduction.md", "scratch.md")


def slow_if_it_trains(page: Path) -> object:
    """Commands that train or draw take seconds, and the CLI's own tests are fast."""
    fast = not page.name.startswith("README") and page.name not in SLOW
    marks = [] if fast else [pytest.mark.slow]
    return pytest.param(page, marks=marks, id=page.name)


@pytest.mark.parametrize("page", [slow_if_it_trains(page) for page in PAGES])
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


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_python_snippets(page: Path, in_tmp: Path) -> None:
    for block in blocks(page, "python"):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(block, page.name, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_recipes_in_the_text_are_recipes(page: Path, tmp_path: Path) -> None:
    for block in blocks(page, "toml"):
        path = tmp_path / "shown.toml"
        path.write_text(block, encoding="utf-8")
        recipes.load(str(path))


def test_every_key_of_a_recipe_is_documented() -> None:
    text = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
    keys = recipes.keys()
    for key in keys:
        head, _, rest = key.partition(".")
        assert f"`{key}`" in text or (f"`{head}." in text and f"`.{rest}`" in text), key


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


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
