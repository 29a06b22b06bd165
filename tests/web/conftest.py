"""A Chromium for the tests of the page, and a server for parts that need no server of ours.

Whatever a page writes to the console as an error, and whatever it asks of another host, fails the
test. A test that provokes an error on purpose takes it out of ``problems``.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
from chromium import launch_options
from filelock import FileLock

import lenet

WEB = Path(lenet.__file__).parent / "lab" / "page"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
IMPORT_MAP = '{"imports": {"lenet/": "/web/"}}'
PAGE = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Test</title>
<script type="importmap">{IMPORT_MAP}</script>
<script type="module" src="/page.js"></script>
</html>
"""
NETWORK = sorted(
    path.stem for path in (WEB / "network").glob("*.js") if not path.stem.endswith("worker")
)
# What the tests call by page.evaluate: all that these modules export, and ways for bytes.
PAGE_JS = """
import * as calculator from "lenet/calculator.js";
"""
PAGE_JS += "".join(f'import * as {name} from "lenet/network/{name}.js";\n' for name in NETWORK)
PAGE_JS += f"""
const network = Object.assign({{}}, {", ".join(NETWORK)});
"""
PAGE_JS += """
const fetched = async (path) => (await fetch(path)).arrayBuffer();
Object.assign(globalThis, network, calculator, {
  fetched,
  base64(array) {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    let text = "";
    for (let i = 0; i < bytes.length; i += 8192) {
      text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    }
    return btoa(text);
  },
  startWorker: () => new Worker("/web/network/worker.js", { type: "module" }),
  ready: true,
});
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests with a browser are slow ones: the fast suite is for every commit."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.slow)


@dataclass
class Site:
    """A server of the folder ``web``, a page with the import map, and ``files`` by their path."""

    address: str
    files: dict[str, bytes] = field(default_factory=dict)


def _security_policy(workers: str) -> str:
    map_hash = base64.b64encode(hashlib.sha256(IMPORT_MAP.encode()).digest()).decode()
    own = "'self' 'wasm-unsafe-eval'"
    return f"default-src 'self'; script-src {own} 'sha256-{map_hash}'; worker-src {workers}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, files: dict[str, bytes], *arguments: Any) -> None:
        self.files = files
        super().__init__(*arguments)

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        content = self.files.get(path)
        if path in ("/", "/without-workers"):
            content = PAGE.encode()
        elif path == "/page.js":
            content = PAGE_JS.encode()
        elif path == "/favicon.ico":
            content = b""
        elif path.startswith("/web/"):
            file = (WEB / path.removeprefix("/web/")).resolve()
            if file.is_file() and file.is_relative_to(WEB):
                content = file.read_bytes()
        self.send_response(200 if content is not None else 404)
        suffix = Path(path).suffix if "." in path else ".html" if content else ""
        self.send_header("Content-Type", TYPES.get(suffix, "application/octet-stream"))
        self.send_header("Content-Length", str(len(content or b"")))
        workers = "'none'" if path == "/without-workers" else "'self' blob:"
        self.send_header("Content-Security-Policy", _security_policy(workers))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """The static server on 127.0.0.1; what a test puts into ``files`` stays there."""
    found = Site("")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, found.files)) as server:
        found.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


# The sync interface of Playwright keeps an event loop in this thread until the browser is closed:
# asyncio.run() is refused there. This folder is the last one of tests, so nothing else meets it.
@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium, or Chrome; skips where there is none, or no Playwright."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    options = launch_options()
    if options is None:
        pytest.skip("Chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(**options)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def trained_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of ``lab_process.RUNS``, trained once for all workers; copy them to serve them."""
    from lab_process import train_runs  # needs Playwright

    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, done = shared / "trained-runs", shared / "trained-runs-done"
    with FileLock(shared / "trained-runs.lock"):
        if not done.exists():
            train_runs(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def served_runs(trained_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of trained runs that no test changes."""
    return Path(shutil.copytree(trained_runs, tmp_path_factory.mktemp("served") / "runs"))


@pytest.fixture(scope="session")
def lab(served_runs: Path) -> Iterator[str]:
    """A lab that serves it; its address."""
    from lab_process import running_lab

    with running_lab(served_runs) as address:
        yield address


@pytest.fixture
def problems() -> list[str]:
    """What went wrong in the pages of this test so far; anything left at the end fails it."""
    return []


@contextmanager
def watched_pages(browser: Any, problems: list[str]) -> Iterator[Callable[..., Any]]:
    """A function that opens an empty page whose problems are written down; closes all it opened."""
    contexts = []

    def watch_request(request: Any) -> None:
        address = urlsplit(request.url)
        here = address.scheme in ("blob", "data", "file") or address.hostname == "127.0.0.1"
        if not here:
            problems.append(f"asked another host: {request.url[:200]}")

    def watch_console(message: Any) -> None:
        if message.type == "error":
            problems.append(f"console: {message.text} ({message.location.get('url', '')})")

    def open_page(**options: Any) -> Any:
        context = browser.new_context(**options)
        contexts.append(context)
        context.on("request", watch_request)
        context.on("console", watch_console)
        context.on("weberror", lambda error: problems.append(f"uncaught: {error.error}"))
        return context.new_page()

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def with_functions(page: Any, site: Site) -> Any:
    """The page with network/ and calculator.js loaded, their names global."""
    page.goto(site.address)
    page.wait_for_function("globalThis.ready")
    return page


@pytest.fixture
def new_page(browser: Any, problems: list[str]) -> Iterator[Callable[..., Any]]:
    """A function that opens an empty page; it takes what Playwright's ``new_context`` takes."""
    with watched_pages(browser, problems) as open_page:
        yield open_page


@pytest.fixture
def page(new_page: Callable[..., Any]) -> Any:
    """An empty page, 1280×800."""
    return new_page(viewport={"width": 1280, "height": 800})


@pytest.fixture
def lab_page(page: Any, site: Site) -> Any:
    """A page where network/ and calculator.js are loaded, their names global."""
    return with_functions(page, site)


@pytest.fixture(scope="module")
def shared_page(browser: Any, site: Site) -> Iterator[Any]:
    """The same for all tests of a module, which leave nothing behind in it."""
    with watched_pages(browser, []) as open_page:
        yield with_functions(open_page(), site)


@pytest.fixture(scope="session")
def opened(browser: Any, site: Site) -> Iterator[tuple[Any, list[str]]]:
    """A page for Explore and what went wrong in it, the same for all tests."""
    import explore_view

    with explore_view.one_page(browser, site) as page:
        yield page


@pytest.fixture
def explore(opened: tuple[Any, list[str]]) -> Iterator[Callable[..., Any]]:
    """A function that shows Explore with an address's parameters."""
    import explore_view

    with explore_view.watched(opened) as open_view:
        yield open_view
