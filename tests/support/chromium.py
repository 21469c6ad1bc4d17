"""A headless Chromium, spoken to by its own protocol (CDP) over a WebSocket."""

import itertools
import json
import os
import signal
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from websockets.sync.client import connect

from support.processes import require_program, wait_until

GIVE_UP = 30.0

# Two pieces of text that share more than a hair's breadth; hidden ones aside.
_OVERLAPS = """(() => {
  const boxes = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  for (let node; node = walker.nextNode();) {
    if (!node.data.trim() || node.parentElement.closest('script,style,option')) continue
    const range = document.createRange()
    range.selectNodeContents(node)
    for (const box of range.getClientRects())
      if (box.width > 1 && box.height > 1) boxes.push([node.data.trim(), box])
  }
  const found = []
  boxes.forEach(([text, a], n) => boxes.slice(n + 1).forEach(([other, b]) => {
    const width = Math.min(a.right, b.right) - Math.max(a.left, b.left)
    const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)
    if (width > 1.5 && height > 3) found.push([text, other])
  }))
  return found
})()"""


class Chromium:
    """A browser, and the one page that it shows."""

    def __init__(self) -> None:
        program = require_program("chromium", "chromium")
        self._program = program
        self._numbers = itertools.count(1)
        self._open = ExitStack()
        self.errors: list[str] = []
        """What the console has shown as an error, and exceptions that nothing caught."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._start(stack)
            self._open = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open.close()

    def _start(self, stack: ExitStack) -> None:
        temporary = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        folder = stack.enter_context(temporary)
        process = subprocess.Popen(
            [
                self._program,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--autoplay-policy=no-user-gesture-required",
                f"--user-data-dir={folder}",
                "--remote-debugging-port=0",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"HOME": folder},
            start_new_session=True,
        )
        stack.callback(process.wait)
        stack.callback(os.killpg, process.pid, signal.SIGKILL)
        told = Path(folder, "DevToolsActivePort")
        wait_until(lambda: told.exists() and "\n" in told.read_text(), "chromium has started")
        port, path = told.read_text().split("\n")
        url = f"ws://127.0.0.1:{port}{path}"
        self._browser = stack.enter_context(connect(url, max_size=None, proxy=None))
        targets = self._call("Target.getTargets")["targetInfos"]
        page = next(each["targetId"] for each in targets if each["type"] == "page")
        attached = self._call("Target.attachToTarget", targetId=page, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """Have the page do something, and return what it answers."""
        return self._call(method, self._session, **parameters)

    def _call(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        self._browser.send(json.dumps(message))
        while True:
            answer = json.loads(self._browser.recv(GIVE_UP))
            self._note(answer)
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def _note(self, message: dict[str, Any]) -> None:
        method, told = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.errors.append(str(told["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "assert"):
            self.errors.append(str(told["args"]))
        elif method == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.errors.append(str(told["entry"]))

    def run(self, script: str) -> Any:
        """Return what a line of JavaScript is, as plain values; a promise is waited for."""
        answer = self.call(
            "Runtime.evaluate",
            expression=script,
            returnByValue=True,
            awaitPromise=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, script: str) -> Any:
        """Wait until a line of JavaScript is true, and return it."""
        until = time.monotonic() + GIVE_UP
        while not (value := self.run(script)):
            assert time.monotonic() < until, f"{script} stays {value!r}"
            time.sleep(0.02)
        return value

    def open(self, url: str, *, before: str = "") -> None:
        """Open a page, in which a script runs first; what the last one told is forgotten."""
        self.errors.clear()
        script = self.call("Page.addScriptToEvaluateOnNewDocument", source=before)["identifier"]
        answer = self.call("Page.navigate", url=url)
        assert "errorText" not in answer, answer
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")
        self.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script)

    def look_like(self, *, width: int, height: int = 800, scheme: str = "light") -> None:
        """Be a screen of a width in pixels, whose user likes it light or dark."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 700,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def overlaps(self) -> list[list[str]]:
        """Return each two texts that lie upon one another."""
        return self.run(_OVERLAPS)

    def too_wide(self) -> bool:
        """Whether the page must be moved sideways to be read."""
        return self.run("document.documentElement.scrollWidth > innerWidth")

    def contrast(self) -> float:
        """Return the ratio of luminance between the page's text and what is behind it."""
        colours = self.run(
            "['color', 'backgroundColor'].map(name => getComputedStyle(document.body)[name])"
        )
        dark, light = sorted(_luminance(each) for each in colours)
        return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    """Return the relative luminance of `rgb(…)`, by WCAG 2."""
    values = [int(each) / 255 for each in colour.partition("(")[2].rstrip(")").split(",")[:3]]
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
