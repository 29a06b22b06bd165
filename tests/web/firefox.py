"""Debian's Firefox, driven by WebDriver BiDi (https://w3c.github.io/webdriver-bidi/).

Playwright drives only a Firefox of its own. Firefox itself speaks BiDi over a WebSocket, and the
little that the main path through the page needs of it stands here.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

FIREFOXES = ("firefox-esr", "firefox")
PATIENCE_S = 60.0  # a busy machine
PREFERENCES = {
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.auto": False,
    "browser.startup.homepage": "about:blank",
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}


def executable() -> str | None:
    """The Firefox here; None where there is none."""
    return next(filter(None, map(shutil.which, FIREFOXES)), None)


@dataclass
class Tab:
    """A tab: what was written to its console as an error, or not caught, is in ``problems``."""

    socket: ClientConnection
    context: str = ""
    problems: list[str] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a command of the protocol."""
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self.socket.recv(PATIENCE_S))
            if answer.get("method") == "log.entryAdded" and answer["params"]["level"] == "error":
                self.problems.append(str(answer["params"]["text"]))
            if answer.get("id") == number:
                assert answer["type"] == "success", f"{method}: {answer.get('message')}"
                result: dict[str, Any] = answer["result"]
                return result

    def go(self, address: str) -> None:
        """Opens an address."""
        self.ask("browsingContext.navigate", context=self.context, url=address, wait="complete")

    def resize(self, width: int, height: int) -> None:
        """Gives the page another size."""
        size = {"width": width, "height": height}
        self.ask("browsingContext.setViewport", context=self.context, viewport=size)

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression, or what its promise comes to."""
        found = self.ask(
            "script.evaluate",
            expression=f"(async () => JSON.stringify(await ({expression})))()",
            target={"context": self.context},
            awaitPromise=True,
        )
        assert found["type"] == "success", found["exceptionDetails"]["text"]
        return json.loads(found["result"].get("value", "null"))

    def wait(self, expression: str) -> Any:
        """The first value of an expression that is true."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if value := self.run(expression):
                return value
            time.sleep(0.1)
        raise AssertionError(f"in vain: {expression}; the console: {self.problems}")

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Left, top, width and height in the window of what is there and seen."""
        found = self.wait(
            f"(() => {{ const seen = [...document.querySelectorAll({json.dumps(selector)})]"
            ".find((one) => one.checkVisibility()); if (!seen) return null;"
            " seen.scrollIntoView({block: 'nearest'}); const box = seen.getBoundingClientRect();"
            " return [box.left, box.top, box.width, box.height]; })()"
        )
        return tuple(found)

    def click(self, selector: str) -> None:
        """A click in the middle of what is there and seen."""
        left, top, width, height = self.box(selector)
        self.mouse([(left + width / 2, top + height / 2)])

    def mouse(self, points: list[tuple[float, float]]) -> None:
        """The mouse goes to the first point, is pressed, goes to the others, and is let go."""
        moves: list[dict[str, Any]] = [
            {"type": "pointerMove", "x": round(x), "y": round(y), "duration": 20} for x, y in points
        ]
        moves.insert(1, {"type": "pointerDown", "button": 0})
        moves.append({"type": "pointerUp", "button": 0})
        self.ask(
            "input.performActions",
            context=self.context,
            actions=[{"type": "pointer", "id": "mouse", "actions": moves}],
        )


@contextmanager
def firefox(folder: Path) -> Iterator[Tab]:
    """An empty tab of a Firefox with a new profile in ``folder``, ended with the block."""
    program = executable()
    assert program is not None
    profile = folder / "profile"
    profile.mkdir(parents=True)
    lines = [
        f"user_pref({json.dumps(key)}, {json.dumps(PREFERENCES[key])});" for key in PREFERENCES
    ]
    (profile / "user.js").write_text("\n".join(lines))
    process = subprocess.Popen(
        [program, "--headless", "--remote-debugging-port=0", "--profile", str(profile)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        address = None
        while address is None:
            line = process.stderr.readline()
            assert line, "Firefox ended"
            address = re.search(r"BiDi listening on (ws://\S+)", line)
        with connect(f"{address[1]}/session", max_size=None, open_timeout=PATIENCE_S) as socket:
            tab = Tab(socket)
            tab.ask("session.new", capabilities={})
            tab.context = tab.ask("browsingContext.getTree")["contexts"][0]["context"]
            tab.ask("session.subscribe", events=["log.entryAdded"])
            tab.resize(1440, 900)
            yield tab
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stderr.close()
