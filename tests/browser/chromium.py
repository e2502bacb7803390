"""A page in headless Chromium without a network, driven through Chromium's own debugging pipe: no library needed."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
    *("--host-resolver-rules=MAP * ~NOTFOUND", "--remote-debugging-pipe"),
)
# The browser reads commands from file 3 and answers on file 4.
START = 'exec 3<&"$1" 4>&"$2"; shift 2; exec "$@"'


class Page:
    """One open page. ``errors``: console errors, uncaught exceptions and failed requests so far."""

    def __init__(self, profile: Path, seconds: float = 120) -> None:
        self.seconds = seconds
        self.errors: list[str] = []
        self._number, self._unread, self._session = 0, b"", None
        commands, write = os.pipe()
        self._read, answers = os.pipe()
        self._write = write
        command = ["bash", "-c", START, "bash", str(commands), str(answers), PROGRAM, *OPTIONS]
        self.process = subprocess.Popen(
            [*command, f"--user-data-dir={profile}"],
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *_) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)
        os.close(self._write)
        os.close(self._read)

    def call(self, method: str, **parameters) -> dict:
        """The result of one command; AssertionError if the browser refuses it or does not answer in time."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session and not method.startswith("Target."):
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        number = self._number
        while True:
            answer = self._next(method)
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def open(self, path: Path, width: int, height: int = 900) -> None:
        """Load a file at a window's width, in pixels, and wait until all of it is there."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.call("Page.navigate", url=path.as_uri())
        self.wait("document.readyState === 'complete'")

    def wait(self, expression: str) -> None:
        """Wait until a JavaScript expression holds."""
        end = time.monotonic() + self.seconds
        while not self.evaluate(expression):
            assert time.monotonic() < end, f"never held: {expression}"
            time.sleep(0.1)

    def evaluate(self, expression: str):
        """The value of a JavaScript expression."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """The whole page, beyond the window, as PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _next(self, awaited: str) -> dict:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._read], [], [], self.seconds)
            assert ready, f"{awaited}: no answer of the browser in {self.seconds} s"
            read = os.read(self._read, 1 << 20)
            assert read, f"{awaited}: the browser ended with status {self.process.wait()}"
            self._unread += read
        message, _, self._unread = self._unread.partition(b"\0")
        event = json.loads(message)
        self._note(event.get("method"), event.get("params", {}))
        return event

    def _note(self, method: str | None, facts: dict) -> None:
        if method == "Runtime.exceptionThrown":
            self.errors.append(str(facts["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and facts["type"] in ("error", "assert"):
            self.errors.append(str(facts["args"]))
        elif method == "Log.entryAdded" and facts["entry"]["level"] == "error":
            self.errors.append(str(facts["entry"]))
        elif method == "Network.requestWillBeSent" and facts["request"]["url"].startswith(("http:", "https:", "//")):
            self.errors.append(f"a request to the network: {facts['request']['url']}")
