"""The notebooks of examples/: they say what their sources say, were executed, and still run."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from nbformat import NotebookNode

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
NAMES = sorted(path.stem for path in (EXAMPLES / "source").glob("*.md"))
LARGEST_BYTES = 300_000
# Of the machine and the hour: nobody else would see the same.
OWN = re.compile(
    r"/(?:home|work|tmp|root|Users)/|[A-Z]:\\|\d examples/s|Warning|Traceback|\d\d:\d\d:\d\d"
)

HAS_TORCH = importlib.util.find_spec("torch") is not None


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    """scripts/make_examples.py."""
    spec = importlib.util.spec_from_file_location(
        "make_examples", ROOT / "scripts/make_examples.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_examples"] = module  # where its dataclasses look for themselves
    spec.loader.exec_module(module)
    return module


def committed(name: str, language: str) -> NotebookNode:
    path = EXAMPLES / language / f"{name}.ipynb"
    assert path.exists(), f"{path.name} is not made: python scripts/make_examples.py {name}"
    return nbformat.read(path, as_version=4)


def test_there_are_five_subjects_and_the_readme_lists_them() -> None:
    assert [name[0] for name in NAMES] == list("12345")
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for name in NAMES:
        for language in ("en", "zh"):
            assert f"({language}/{name}.ipynb)" in readme


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_made_from_its_source_as_it_is(
    name: str, language: str, maker: ModuleType
) -> None:
    source = (EXAMPLES / "source" / f"{name}.md").read_text(encoding="utf-8")
    expected = maker.notebook(maker.parse(source), language)
    there = committed(name, language)
    nbformat.validate(there)
    for notebook in (expected, there):
        assert notebook.cells
    assert [(cell.cell_type, cell.source) for cell in there.cells] == [
        (cell.cell_type, cell.source) for cell in expected.cells
    ], f"python scripts/make_examples.py {name}"


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_was_executed_from_top_to_bottom_without_an_error(
    name: str, language: str
) -> None:
    code = [cell for cell in committed(name, language).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert outputs
    assert not [output for output in outputs if output.output_type == "error"]
    for output in outputs:
        texts = [output.get("text", ""), *map(str, _texts(output))]
        for text in texts:
            assert not OWN.search(text), OWN.search(text)


def _texts(output: NotebookNode) -> list[str]:
    data = output.get("data", {})
    return [content for form, content in data.items() if form != "image/png"]


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_have_the_same_code_but_for_its_words(name: str) -> None:
    english, chinese = committed(name, "en"), committed(name, "zh")
    for one, other in zip(english.cells, chinese.cells, strict=True):
        assert one.cell_type == other.cell_type
        if one.cell_type == "code":
            assert _without_words(one.source) == _without_words(other.source)
        else:
            assert not re.search(r"[\u4e00-\u9fff]", one.source)
            assert re.search(r"[\u4e00-\u9fff]", other.source)
            assert re.findall(r"^#+", one.source, re.M) == re.findall(r"^#+", other.source, re.M)


def _without_words(code: str) -> str:
    """The code without what stands in quotes, and without the font that Chinese words need."""
    lines = [line for line in code.splitlines() if line.strip() and "cjk_fonts" not in line]
    return re.sub(r'"[^"]*"', '""', "\n".join(lines))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/*.ipynb")), ids=lambda p: p.stem)
def test_a_notebook_is_small(path: Path) -> None:
    assert path.stat().st_size < LARGEST_BYTES


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.usefixtures("full_data")
@pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is not installed")
@pytest.mark.parametrize("name", NAMES)
def test_the_code_of_a_notebook_runs(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "scripts/make_examples.py", name, "--language", "en"]
    result = subprocess.run(
        [*command, "--epochs", "1", "--out", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    made = nbformat.read(tmp_path / "en" / f"{name}.ipynb", as_version=4)
    for now, before in zip(made.cells, committed(name, "en").cells, strict=True):
        if now.cell_type == "code":
            assert _forms(now) == _forms(before), now.source
            if name == "1-by-hand":  # nothing is trained in it
                assert _printed(now) == _printed(before)


def _forms(cell: NotebookNode) -> list[str]:
    """What kinds of pictures and pages a cell shows."""
    return [form for output in cell.outputs for form in output.get("data", {})]


def _printed(cell: NotebookNode) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)


# --- the script --------------------------------------------------------------------------------

SOURCE = """\
<!-- en -->
Words.
```text
not code
```
<!-- zh -->
文字。

```python
epochs = 10
```

```python
print(epochs)
```
<!-- en -->
More.
<!-- zh -->
更多。
<!-- en -->
Again.
<!-- zh -->
再来。
"""


def test_a_source_is_texts_and_code(maker: ModuleType) -> None:
    plain = SOURCE.replace("```text\nnot code\n```\n", "")
    cells = maker.parse(plain)
    assert cells == [
        maker.Text("Words.", "文字。"),
        maker.Code("epochs = 10", "epochs = 10"),
        maker.Code("print(epochs)", "print(epochs)"),
        maker.Text("More.", "更多。"),
        maker.Text("Again.", "再来。"),
    ]
    assert maker.with_epochs(cells, 2)[1] == maker.Code("epochs = 2", "epochs = 2")
    assert maker.with_epochs(cells, 2)[0] == cells[0]
    called = [maker.Code("lenet.train(num_epochs=10, warmup_epochs=1)", "epochs = 10")]
    assert maker.with_epochs(called, 2) == [
        maker.Code("lenet.train(num_epochs=2, warmup_epochs=1)", "epochs = 2")
    ]
    node = maker.notebook(cells, "zh")
    assert [cell.source for cell in node.cells][:2] == ["文字。", "epochs = 10"]
    said = maker.parse('```python en\nprint("one")\n```\n\n```python zh\nprint("一")\n```')
    assert said == [maker.Code('print("one")', 'print("一")')]
    assert maker.notebook(said, "zh").cells[0].source == 'print("一")'


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("Words.", "line 1: 'Words.' belongs to no language"),
        ("<!-- en -->\nWords.\n```python\n1\n```", "not there in zh"),
        ("<!-- en -->\nWords.\n<!-- zh -->\n\n", "not there in zh"),
        ("<!-- en -->\nWords.\n<!-- en -->\nMore.", "a second text in en"),
        ("```python\n1", "the last fence does not end"),
        ("```python zh\n1\n```", "its code is in one language only"),
        ("```python zh\n1\n```\n```python\n2\n```", "the code above it is in one language only"),
        ("```python zh\n1\n```\n<!-- en -->\nW", "the code above it is in one language only"),
        (SOURCE, "line 5: a fence ends that did not begin"),
    ],
)
def test_what_is_no_source_is_told(source: str, message: str, maker: ModuleType) -> None:
    with pytest.raises(maker.SourceError, match=re.escape(message)):
        maker.parse(source)
