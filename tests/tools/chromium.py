"""Headless Chromium by its DevTools protocol: open a page, press keys, click, read what is there."""

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tornado.ioloop import IOLoop
from tornado.websocket import WebSocketClientConnection, websocket_connect

PATIENCE = 60
"""Seconds until a browser that does not answer counts as broken."""


def found() -> str | None:
    """Where Chromium is, if it is."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for name in names if (path := shutil.which(name))), None)


CONTRAST = r"""(() => {
  const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
  const linear = (one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
  const light = (rgb) => [0.2126, 0.7152, 0.0722].reduce((sum, share, n) => sum + share * linear(rgb[n] / 255), 0);
  const ground = (node) => {
    for (let one = node; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      if (colour.startsWith("color(")) return parts(colour.slice(10)).slice(0, 3).map((part) => 255 * part);
      if (parts(colour)[3] !== 0) return parts(colour);
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
  while (walker.nextNode()) {
    const text = walker.currentNode.data.trim(), node = walker.currentNode.parentElement;
    if (!text || !node.offsetHeight || node.matches("script, :disabled, [data-faint], [data-faint] *")) continue;
    const [one, other] = [light(parts(getComputedStyle(node).color)), light(ground(node))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < 4.5) found.push(`${text.slice(0, 30)}: ${contrast.toFixed(2)}`);
  }
  return found;
})()"""
"""Text whose contrast with its ground is below 4.5 : 1, WCAG 2.2, criterion 1.4.3; what is switched off is left out."""

REACHED = frozenset(
    (
        "button",
        "checkbox",
        "image",
        "link",
        "navigation",
        "region",
        "searchbox",
        "slider",
        "spinbutton",
        "tab",
    )
)
"""What readers of a screen are told by a name."""


class Browser:
    """One tab. `problems` holds everything that was written to its console as an error."""

    def __init__(self, loop: IOLoop, socket: WebSocketClientConnection):
        self._loop, self._socket, self._count = loop, socket, 0
        self.problems: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters) -> dict[str, Any]:
        """One command of the protocol."""
        self._count += 1
        number = self._count
        text = json.dumps({"id": number, "method": method, "params": parameters})
        self._run(lambda: self._socket.write_message(text))
        while True:
            message = self._read()
            if message.get("id") == number:
                assert "error" not in message, (method, message)
                return message["result"]

    def _run(self, begin: Callable[[], Awaitable]) -> Any:
        async def ended():
            return await begin()

        return self._loop.run_sync(ended, timeout=PATIENCE)

    def _read(self) -> dict[str, Any]:
        message = json.loads(self._run(self._socket.read_message))
        details = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(details["exceptionDetails"]))
        if message.get("method") == "Log.entryAdded" and details["entry"]["level"] == "error":
            self.problems.append(details["entry"]["text"])
        if message.get("method") == "Runtime.consoleAPICalled" and details["type"] == "error":
            self.problems.append(json.dumps(details["args"]))
        return message

    def open(self, page: Path, width: int = 1200, height: int = 900, scheme: str = "light") -> None:
        """Load a page at a width, in a colour scheme, and wait for it."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=page.as_uri())
        while self._read().get("method") != "Page.loadEventFired":
            pass

    def ask(self, expression: str) -> Any:
        """The value of an expression."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def faint(self) -> list[str]:
        """Text in sight that does not stand out from its ground."""
        return self.ask(CONTRAST)

    def named(self) -> dict[str, list[str]]:
        """The names of what can be reached, by role, as readers of a screen have them."""
        names: dict[str, list[str]] = {}
        self.call("Accessibility.enable")
        for node in self.call("Accessibility.getFullAXTree")["nodes"]:
            if not node["ignored"] and (role := node["role"]["value"]) in REACHED:
                names.setdefault(role, []).append(node.get("name", {}).get("value", ""))
        self.call("Accessibility.disable")
        return names

    def press(self, key: str, code: int) -> None:
        """One key, down and up."""
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text
            )

    def click(self, selector: str) -> None:
        """The mouse on the middle of an element."""
        at = self.ask(
            f"(() => {{ const one = document.querySelector({json.dumps(selector)}); one.scrollIntoView({{block: 'center',"
            " behavior: 'instant'}); const box = one.getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], button="left", clickCount=1)

    def picture(self, path: Path, whole: bool = False) -> None:
        """What is in sight, or the whole page, as PNG."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser with a profile of its own in a folder; it ends with the block."""
    path = found()
    assert path is not None
    options = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--remote-debugging-port=0",
        "--no-first-run",
    ]
    command = [path, *options, "--hide-scrollbars", f"--user-data-dir={folder}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    loop = IOLoop(make_current=False)
    try:
        port = _port(folder / "DevToolsActivePort")
        address = _page_address(port)
        socket = loop.run_sync(lambda: websocket_connect(address, max_message_size=2**28), timeout=PATIENCE)
        yield Browser(loop, socket)
        socket.close()
    finally:
        process.terminate()
        process.wait(PATIENCE)
        loop.close()


def _port(file: Path) -> str:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if file.exists() and (lines := file.read_text().splitlines()):
            return lines[0]
        time.sleep(0.05)
    raise TimeoutError("chromium: wanted a debugging port, got none")


def _page_address(port: str) -> str:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with urlopen(f"http://127.0.0.1:{port}/json/list", timeout=PATIENCE) as answer:
            pages = [one for one in json.load(answer) if one["type"] == "page"]
        if pages:
            return pages[0]["webSocketDebuggerUrl"]
        time.sleep(0.05)
    raise TimeoutError("chromium: wanted a page, got none")
