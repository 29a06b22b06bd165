"""The documents as a site (``make docs``), and the texts that its reference pages are made of."""

import importlib.util
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from urllib.parse import quote

import pytest
from typer.main import get_command

import lenet
from lenet import cli
from lenet.serve import openapi

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def make_reference() -> ModuleType:
    """scripts/make_reference.py."""
    path = ROOT / "scripts/make_reference.py"
    spec = importlib.util.spec_from_file_location("make_reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.long
def test_the_site_is_made_without_a_connection_and_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("sphinx")
    made = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", str(DOCS), str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"},
        timeout=200,
    )
    assert made.returncode == 0, made.stderr
    pages = sorted(tmp_path.rglob("*.html"))
    for page in DOCS.rglob("*.md"):
        shown = (tmp_path / page.relative_to(DOCS)).with_suffix(".html")
        text = shown.read_text(encoding="utf-8")
        language = "zh-CN" if "zh" in page.relative_to(DOCS).parts else "en"
        assert f'lang="{language}"' in text
        sidebar = text.partition('class="sidebar-tree"')[2].partition("</aside>")[0]
        captions = re.findall(r'<span class="caption-text">([^<]*)', sidebar)
        assert captions, shown
        assert all(("中文" in caption) == (language == "zh-CN") for caption in captions), shown
    for page in pages:
        text = page.read_text(encoding="utf-8")
        fetched = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="(?:https?:)?//[^"]*', text)
        assert not fetched, f"{page.name} needs a connection"
    index = (tmp_path / "searchindex.js").read_text(encoding="utf-8")
    assert '"\\u5377\\u79ef":' in index or '"卷积":' in index  # a word of two signs is found
    if browser := next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None):
        for wanted, page in (("卷积", "zh/scratch.html"), ("convolutions", "scratch.html")):
            assert f'href="{page}"' in found_by_searching(browser, tmp_path, wanted), wanted
    options = (tmp_path / "reference/command-line.html").read_text(encoding="utf-8")
    assert "--class-weights" in options
    names = (tmp_path / "reference/python.html").read_text(encoding="utf-8")
    for name in lenet.__all__:
        assert f'id="lenet.{name}"' in names, name


def found_by_searching(browser: str, site: Path, wanted: str) -> str:
    """The page of results as a browser has it when the page's scripts have run."""
    address = f"{(site / 'search.html').as_uri()}?q={quote(wanted)}"
    options = ["--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-sandbox"]
    options += ["--virtual-time-budget=10000", "--dump-dom", f"--user-data-dir={site / 'profile'}"]
    shown = subprocess.run([browser, *options, address], capture_output=True, timeout=60)
    return shown.stdout.decode("utf-8", "replace")


def test_everything_that_a_user_can_name_says_what_it_is(make_reference: ModuleType) -> None:
    """The site's reference pages are made of these texts: one that is missing leaves a hole."""
    for name, command in make_reference.commands(get_command(cli.app)):
        assert command.help, name
        for parameter in command.params:
            if not parameter.hidden:
                assert parameter.help, f"{name} {parameter.opts}"
    for name in lenet.__all__:
        own = getattr(lenet, name)
        assert own.__doc__, name
        assert not inspect.isclass(own) or own.__doc__ != inspect.getdoc(object), name
        if inspect.isclass(own):  # what dataclass writes is the signature and says nothing
            assert not own.__doc__.startswith(f"{own.__name__}("), name
    for route in openapi.ROUTES:
        assert route.summary, route.path
    routes = make_reference.lab_routes()
    assert len(routes) >= 20
    for route in routes:
        assert route.summary, route.path
    served = (DOCS / "serve.md").read_text(encoding="utf-8")
    for route in openapi.ROUTES:  # those below /v2 are a protocol that others describe
        assert route.path in served or route.path.startswith("/v2"), route.path
