"""Who may ask the lab for what: hosts, origins, the token, sizes, slow senders, headers."""

import base64
import contextlib
import hashlib
import hmac
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("fastapi")

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from asgi import Client
from lenet.lab import security
from lenet.lab.connection import PatientProtocol
from lenet.lab.security import Guard, content_policy
from lenet.web.addresses import Addresses, addresses, is_everywhere, is_loopback

PORT = 4711
TOKEN = "a-token"
HERE = f"127.0.0.1:{PORT}"
WITH_TOKEN = {"x-lenet-token": TOKEN}


def with_length(length: int) -> dict[str, str]:
    return WITH_TOKEN | {"content-length": str(length)}


async def swallow(request: Request) -> Response:
    """The length of the body."""
    return PlainTextResponse(str(len(await request.body())))


async def fail(request: Request) -> Response:
    raise RuntimeError("a mistake")


async def endless(request: Request) -> Response:
    from starlette.responses import StreamingResponse

    async def rows() -> Any:
        for _ in range(100_000):
            yield b"x" * 65_536

    return StreamingResponse(rows())


def app(known: Addresses | None = None) -> Guard:
    routes = [
        Route("/", swallow, methods=["GET", "POST"]),
        Route("/api/models", swallow, methods=["POST"]),
        Route("/fail", fail),
        Route("/endless", endless),
    ]
    return Guard(Starlette(routes=routes), TOKEN, known or addresses("127.0.0.1", PORT))


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client(app(), host=HERE)
    yield client
    client.close()


# --- hosts and origins -------------------------------------------------------------------------


@pytest.mark.parametrize("host", [HERE, f"localhost:{PORT}", f"LOCALHOST:{PORT}", f"[::1]:{PORT}"])
def test_its_own_addresses(client: Client, host: str) -> None:
    assert client.ask("GET", "/", {"host": host}).status == 200
    headers = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
    assert client.ask("POST", "/", headers | WITH_TOKEN).status == 200


@pytest.mark.parametrize(
    "host",
    [
        *("", "evil.example", f"evil.example:{PORT}", "127.0.0.1", f"127.0.0.1:{PORT + 1}"),
        *("[::1]evil", f"[::1]evil:{PORT}", f"127.0.0.1.evil.example:{PORT}", f"{HERE}."),
        *(f"127.0.0.2:{PORT}", f"0.0.0.0:{PORT}", f"[::ffff:127.0.0.1]:{PORT}", f"{HERE},{HERE}"),
        *(f"user@{HERE}", f" {HERE}@evil", "localhost", "[::1]", f"2130706433:{PORT}"),
    ],
)
def test_a_foreign_host_is_refused(client: Client, host: str) -> None:
    """A rebound GET has no Origin: its Host gives it away."""
    response = client.ask("GET", "/", {"host": host})
    assert response.status == 403
    assert "host name" in response.json()["error"]
    assert client.ask("POST", "/", {"host": host} | WITH_TOKEN).status == 403


def test_two_hosts_are_none(client: Client) -> None:
    headers = [("host", HERE), ("host", HERE)]
    assert client.ask("GET", "/", headers).status == 403


@pytest.mark.parametrize(
    "origin",
    [
        *("http://evil.example", f"https://{HERE}", "null", "", f"http://{HERE}.evil.example"),
        *(f"http://127.0.0.1:{PORT + 1}", "http://127.0.0.1", f"http://{HERE}/", f"ws://{HERE}"),
    ],
)
def test_a_foreign_origin_is_refused_reading_and_writing(client: Client, origin: str) -> None:
    for method in ("GET", "POST", "DELETE", "OPTIONS"):
        headers = {"origin": origin} | WITH_TOKEN
        assert client.ask(method, "/", headers).status == 403
    upgrade = {"connection": "Upgrade", "upgrade": "websocket", "origin": origin}
    assert client.ask("GET", "/", upgrade).status == 403


def test_a_websocket_is_closed(client: Client) -> None:
    assert client.ask("GET", "/", kind="websocket").status == 1008


def test_what_another_site_asks_is_refused_but_opening_the_page(client: Client) -> None:
    for site in ("cross-site", "same-site"):
        assert client.ask("GET", "/", {"sec-fetch-site": site}).status == 403
        opened = {"sec-fetch-site": site, "sec-fetch-mode": "navigate"}
        assert client.ask("GET", "/", opened | {"sec-fetch-dest": "iframe"}).status == 403
        assert client.ask("GET", "/", opened | {"sec-fetch-dest": "document"}).status == 200
        there = client.ask("GET", "/fail", opened | {"sec-fetch-dest": "document"})
        assert there.status == 403
    assert client.ask("GET", "/", {"sec-fetch-site": "none"}).status == 200


def test_other_interfaces_add_their_addresses() -> None:
    one = addresses("192.0.2.7", PORT)
    assert one.accept(f"192.0.2.7:{PORT}")
    assert one.accept(HERE)
    assert not one.accept(f"192.0.2.8:{PORT}")
    assert addresses("2001:db8::1", PORT).accept(f"[2001:db8::1]:{PORT}")
    assert addresses("lab.example", PORT).accept(f"LAB.example:{PORT}")


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_bound_everywhere_numbers_are_accepted_and_names_are_not(host: str) -> None:
    """A name can be made to point anywhere, a number cannot."""
    known = addresses(host, PORT)
    assert known.accept(f"192.0.2.7:{PORT}")
    assert known.accept(f"[2001:db8::1]:{PORT}")
    assert known.accept(f"{socket.gethostname()}:{PORT}")
    for foreign in ("evil.example", "192.0.2.7.evil.example", "[192.0.2.7]", "2001:db8::1"):
        assert not known.accept(f"{foreign}:{PORT}")
    assert not known.accept(f"192.0.2.7:{PORT + 1}")
    assert not known.accept("192.0.2.7")


def test_port_80_may_be_left_out() -> None:
    assert addresses("127.0.0.1", 80).accept("localhost")
    assert not addresses("127.0.0.1", PORT).accept("localhost")


@given(st.text(max_size=40))
def test_no_text_is_taken_for_an_address(text: str) -> None:
    known = addresses("127.0.0.1", PORT)
    assert known.accept(text) == (text.lower() in known.hosts)


def test_which_hosts_stay_on_this_machine() -> None:
    inside = ["127.0.0.1", "::1", "localhost", "127.1.2.3"]
    assert [
        host for host in [*inside, "0.0.0.0", "::", "", "lab.example"] if is_loopback(host)
    ] == inside
    assert [host for host in ("0.0.0.0", "::", "", "127.0.0.1", "x") if is_everywhere(host)] == [
        "0.0.0.0",
        "::",
        "",
    ]


# --- the token ---------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_whatever_may_change_something_needs_the_token(client: Client, method: str) -> None:
    assert client.ask(method, "/").status == 401
    for wrong in ("", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\xe9"):
        headers = {"x-lenet-token": wrong}
        assert client.ask(method, "/", headers).status == 403
    twice = [("x-lenet-token", TOKEN), ("x-lenet-token", TOKEN)]
    assert client.ask(method, "/", twice).status == 403
    assert client.ask(method, f"/?token={TOKEN}").status == 401
    assert client.ask(method, "/", WITH_TOKEN).status in (200, 405)


def test_it_is_compared_in_constant_time(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return compare_digest(one, other)

    compare_digest = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", compare)
    client.ask("POST", "/", {"x-lenet-token": "wrong"})
    assert compared == [(b"wrong", TOKEN.encode())]


# --- bodies ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "limit"), [("/", security.LARGEST_BODY), ("/api/models", security.LARGEST_MODEL)]
)
def test_a_body_up_to_its_limit_and_not_one_byte_more(
    client: Client, path: str, limit: int
) -> None:
    response = client.ask("POST", path, with_length(limit), b"x" * limit)
    assert (response.status, response.text) == (200, str(limit))
    response = client.ask("POST", path, with_length(limit + 1), b"x" * (limit + 1))
    assert response.status == 413
    assert f"{limit:,} bytes" in response.json()["error"]
    assert response.headers["connection"] == "close"
    assert client.read == []  # the length was promised: nothing was read


def test_a_body_without_a_length_is_counted(client: Client) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 65_536

    response = client.ask("POST", "/", WITH_TOKEN, parts())
    assert response.status == 413
    assert sum(client.read) < 2 * security.LARGEST_BODY


@pytest.mark.parametrize("length", ["10000000000", "-1", "x", "", "1e3", "9" * 5_000])
def test_a_length_that_is_none_or_too_large(client: Client, length: str) -> None:
    response = client.ask("POST", "/", WITH_TOKEN | {"content-length": length})
    assert response.status == 413


# --- headers and errors ------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/nothing", "/fail"])
def test_every_answer_has_the_headers(client: Client, path: str) -> None:
    for response in (client.get(path), client.ask("GET", path, {"host": "evil"})):
        headers = response.headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        policy = headers["content-security-policy"]
        for part in (
            *(
                "default-src 'self'",
                "script-src 'self' 'wasm-unsafe-eval'",
                "worker-src 'self' blob:",
            ),
            *("img-src 'self' data: blob:", "connect-src 'self'", "style-src 'self'"),
            *("object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"),
            "form-action 'none'",
        ):
            assert part in policy.split("; ")
        assert "unsafe" not in policy.replace("'wasm-unsafe-eval'", "")
        assert "access-control-allow-origin" not in headers


def test_the_policy_allows_the_page_s_import_map_and_nothing_else_inline() -> None:
    text = b'\n{"imports": {"lenet/": "/web/"}}\n'
    page = b'<script>alert(1)</script><script type="importmap">' + text + b"</script>"
    digest = base64.b64encode(hashlib.sha256(text).digest()).decode()
    assert f"script-src 'self' 'wasm-unsafe-eval' 'sha256-{digest}';" in content_policy(page)
    assert content_policy(page).count("sha256-") == 1
    assert "sha256-" not in content_policy(b"<p>")


def test_a_mistake_of_ours_is_one_sentence(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    response = client.get("/fail")
    assert response.status == 500
    assert "RuntimeError" not in response.text
    assert "RuntimeError: a mistake" in capsys.readouterr().err


# --- over a real connection --------------------------------------------------------------------


@contextlib.contextmanager
def served(application: Any) -> Iterator[int]:
    """The port of a server in a thread."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    config = uvicorn.Config(
        application,
        http=PatientProtocol,
        ws="none",
        log_config=None,
        log_level="critical",
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()
        assert not thread.is_alive()


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A guarded server that waits half a second where it usually waits fifteen."""
    monkeypatch.setattr(security, "PATIENCE_S", 0.5)
    monkeypatch.setattr("lenet.lab.connection.PATIENCE_S", 0.5)
    known = Addresses(frozenset({"lab"}), 0)
    with served(app(known)) as port:
        yield port


def closed_after(connection: socket.socket, dribble: bytes = b"") -> float:
    """How long it takes until the other end closes, while a byte is sent now and then."""
    began = time.monotonic()
    connection.settimeout(0.1)
    while time.monotonic() - began < 10:
        with contextlib.suppress(TimeoutError):
            try:
                if connection.recv(65_536) == b"":
                    break
            except ConnectionError:
                break
        if dribble:
            with contextlib.suppress(OSError):
                connection.send(dribble)
    return time.monotonic() - began


HEAD = b"POST / HTTP/1.1\r\nHost: lab\r\nX-LeNet-Token: a-token\r\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "dribble"),
    [
        (b"", b""),
        (b"GET / HT", b""),
        (b"GET / HTTP/1.1\r\nHost: lab\r\nX: ", b"x"),
        (HEAD + b"Content-Length: 100000\r\n\r\n", b"x"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (HEAD + b"Content-Length: 10\r\n\r\n", b""),
    ],
    ids=["nothing", "half a line", "half a head", "slow body", "slow chunks", "no body"],
)
def test_a_slow_sender_is_closed(port: int, sent: bytes, dribble: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(sent)
        assert 0.2 < closed_after(connection, dribble) < 5


@pytest.mark.slow
def test_a_second_request_is_timed_as_the_first(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET / HT")
        assert closed_after(connection, b"x") < 5


@pytest.mark.slow
def test_a_body_that_comes_steadily_may_take_longer(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security, "SLOWEST", 50_000)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(HEAD + b"Content-Length: 200000\r\n\r\n")
        for _ in range(10):
            connection.sendall(b"x" * 20_000)
            time.sleep(0.1)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")


@pytest.mark.slow
def test_who_does_not_read_is_dropped(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /endless HTTP/1.1\r\nHost: lab\r\n\r\n")
        time.sleep(1.5)  # the buffers are full long before
        received = 0
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(1 << 20):
                received += len(part)
        assert received < 100_000 * 65_536


def test_a_body_of_ten_gigabytes_is_not_read(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(HEAD + b"Content-Length: 10000000000\r\n\r\n")
        answer = connection.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 413")
        sent = 0
        with contextlib.suppress(OSError):
            while sent < 64 << 20:
                sent += connection.send(b"x" * 65_536)
        assert sent < 64 << 20


@pytest.mark.slow
def test_many_slow_senders_hold_up_nobody(port: int) -> None:
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
    try:
        for connection in slow:
            connection.sendall(b"GET / HT")
        took = []
        for _ in range(20):
            began = time.monotonic()
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n")
                assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
            took.append(time.monotonic() - began)
        assert max(took) < 1
        assert all(closed_after(connection) < 5 for connection in slow[:3] + slow[-3:])
    finally:
        for connection in slow:
            connection.close()


def test_a_request_head_is_bounded(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: lab\r\nX: " + b"x" * 1_000_000)
        connection.settimeout(5)
        with contextlib.suppress(ConnectionError):
            assert re.match(rb"HTTP/1.1 4\d\d", connection.recv(65_536))


@pytest.mark.needs("links")
def test_the_server_knows_no_other_file(tmp_path: Path) -> None:
    """See test_server.py for what it gives."""
    from lenet.lab.answers import find

    (tmp_path / "web" / "sub").mkdir(parents=True)
    (tmp_path / "web" / "sub" / "a.js").write_text("1")
    (tmp_path / "web" / ".hidden.js").write_text("1")
    (tmp_path / "web" / "a.py").write_text("1")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "web" / "link.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "web" / "folder").symlink_to(tmp_path)
    root = tmp_path / "web"
    assert find(root, "sub/a.js") == root / "sub" / "a.js"
    for path in (
        *("../secret.txt", "sub/../../secret.txt", "/etc/passwd", "sub//a.js", "sub/./a.js"),
        *("link.txt", "folder/secret.txt", ".hidden.js", "a.py", "sub", "", ".", "..", "a\x00.js"),
        *("..\\secret.txt", "C:\\x.txt", "x" * 5_000 + ".js", "sub/" + "y" * 300 + ".js", "\udc80"),
    ):
        assert find(root, path) is None


@given(st.text(max_size=60))
def test_no_path_leads_out(path: str) -> None:
    from lenet.lab import app as application
    from lenet.lab.answers import find

    found = find(application.WEB, path)
    assert found is None or found.resolve().is_relative_to(application.WEB.resolve())
