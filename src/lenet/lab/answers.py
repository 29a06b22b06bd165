"""Answers as bytes: JSON that every browser reads, files with their types, and errors."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import re
import stat
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from lenet.lab.errors import LabError
from lenet.lab.export.bundle import bundle, modules
from lenet.lab.security import content_policy
from lenet.language.chinese import in_chinese

TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".wasm": "application/wasm",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    "": "text/plain; charset=utf-8",  # LICENSE
}
LARGEST_FILE: Final = 16 << 20
# That are sent as one file.
SCRIPTS: Final = ("main.js", "network/worker.js", "network/training-worker.js")
_STYLE: Final = re.compile(rb'<link rel="stylesheet" href="/web/[\w./-]+">\n')


def encoded(values: Any) -> bytes:
    """The values as JSON, in ASCII; null for numbers that JSON does not have."""
    try:
        text = json.dumps(values, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(_finite(values), allow_nan=False, separators=(",", ":"))
    return text.encode("ascii")


def as_json(values: Any, status: int = 200) -> Response:
    """The values as a response that no cache keeps."""
    headers = {"cache-control": "no-store"}
    return Response(encoded(values), status, headers, "application/json")


def error(status: int, sentence: str, **more: Any) -> Response:
    """An error as the page shows it: one sentence, in Chinese too where that is known."""
    said = " ".join(sentence.split())[:2_000]
    return as_json({"error": said, "chinese": in_chinese(said), **more}, status)


def as_bytes(content: bytes, request: Request, *, lasts: bool = False) -> Response:
    """Bytes that a browser may keep, as long as they are still the same."""
    return _tagged(content, "application/octet-stream", request, {}, lasts=lasts)


def file(root: Path, path: str, request: Request) -> Response:
    """A file below ``root``. Raises LabError with 404 for anything else that is asked for."""
    found = find(root, path)
    if found is None:
        raise LabError(404, "there is no such file")
    return _tagged(found.read_bytes(), TYPES[found.suffix], request, {})


def page(root: Path, request: Request) -> Response:
    """index.html, its scripts and its stylesheets as one file each; as they are with ``?modules``.

    Raises LabError with 404 where there is none.
    """
    found = find(root, "index.html")
    if found is None:
        raise LabError(404, "there is no such file")
    content = found.read_bytes()
    if "modules" not in request.query_params:
        links = _STYLE.findall(content)
        for link in links:
            together = b'<link rel="stylesheet" href="/web/all/style.css">\n'
            content = content.replace(link, together if link == links[0] else b"", 1)
        content = content.replace(b'src="/web/main.js"', b'src="/web/all/main.js"', 1)
    headers = {"content-security-policy": content_policy(content)}
    return _tagged(content, TYPES[".html"], request, headers)


def whole(root: Path, path: str, request: Request) -> Response:
    """Several files of the page as one: ``style.css``, or one of ``SCRIPTS`` with all it imports,
    or its source map. Raises LabError with 404 for anything else."""
    name = path.removesuffix(".map")
    if path == "style.css":
        text = _stylesheet(root)
    elif name in SCRIPTS:
        script, source_map = _bundle(root, name, _version(root))
        script += f"//# sourceMappingURL=/web/all/{name}.map\n"
        text = script if path == name else source_map
    else:
        raise LabError(404, "there is no such file")
    kind = TYPES[".json"] if path.endswith(".map") else TYPES[Path(name).suffix]
    return _tagged(text.encode(), kind, request, {})


def _stylesheet(root: Path) -> str:
    """The stylesheets that index.html names, in its order."""
    found = find(root, "index.html")
    links = _STYLE.findall(found.read_bytes()) if found else []
    paths = [link.split(b'href="/web/')[1].split(b'"')[0].decode() for link in links]
    files = [find(root, path) for path in paths]
    return "\n".join(each.read_text(encoding="utf-8") for each in files if each)


def _version(root: Path) -> tuple[tuple[str, int, int], ...]:
    """Made anew when a script has changed, so that you see your edit at the next visit."""
    stats = ((str(path), path.stat()) for path in sorted(root.rglob("*.js")))
    return tuple((path, status.st_mtime_ns, status.st_size) for path, status in stats)


@lru_cache(maxsize=4)
def _bundle(root: Path, name: str, version: tuple[tuple[str, int, int], ...]) -> tuple[str, str]:
    entry = f"lenet/{name}"
    return bundle(modules(entry, root), entry)


def find(root: Path, path: str) -> Path | None:
    """The regular file below ``root`` at a path of plain names, no part of it a link; or None."""
    parts = path.split("/")
    plain = all(
        part and not part.startswith(".") and part.isprintable() and not {*part} & {"\\", ":"}
        for part in parts
    )
    if not plain or len(path) > 1_000:
        return None
    found = root
    try:
        for part in parts:
            found = found / part
            if found.is_symlink():
                return None
        status = found.stat()
    except (OSError, ValueError):
        return None
    regular = stat.S_ISREG(status.st_mode) and status.st_size <= LARGEST_FILE
    return found if regular and found.suffix in TYPES else None


def _tagged(
    content: bytes, kind: str, request: Request, headers: dict[str, str], *, lasts: bool = False
) -> Response:
    """A response with the checksum of its bytes, or the word that they are still the same."""
    checksum = hashlib.sha256(content).hexdigest()[:32]
    headers = {**headers, "vary": "accept-encoding"}
    if kind != "application/octet-stream" and "gzip" in request.headers.get("accept-encoding", ""):
        content, checksum = _compressed(content), f"{checksum}-gzip"
        headers["content-encoding"] = "gzip"
    tag = f'"{checksum}"'
    keep = "private, max-age=86400, immutable" if lasts else "no-cache"
    headers = {**headers, "etag": tag, "cache-control": keep}
    if tag in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    return Response(content, 200, headers, kind)


@lru_cache(maxsize=256)
def _compressed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def _finite(values: Any) -> Any:
    if isinstance(values, float):
        return values if math.isfinite(values) else None
    if isinstance(values, dict):
        return {key: _finite(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_finite(value) for value in values]
    return values
