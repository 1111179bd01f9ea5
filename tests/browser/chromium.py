"""A headless Chromium, driven over the pipe of its DevTools protocol; needs no package."""

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
WAIT = 60.0
"""Seconds for any answer: machines that run other things too are slow to start a browser."""

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--force-color-profile=srgb", "--hide-scrollbars",
    "--remote-debugging-pipe",
)  # fmt: skip


class Browser:
    """A browser with one page at a time.

    Args:
        profile: An empty folder for its profile.
    """

    def __init__(self, profile: Path) -> None:
        assert PROGRAM is not None
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        # The browser reads from 3 and writes to 4; higher numbers do not collide with those.
        given = [fcntl.fcntl(one, fcntl.F_DUPFD, 20) for one in (theirs_in, theirs_out)]
        command = [PROGRAM, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{given[0]} 4>&{given[1]}', "bash", *command],
            pass_fds=given,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for one in (*given, theirs_in, theirs_out):
            os.close(one)
        self._in, self._out = ours_in, ours_out
        self._rest, self._count = b"", 0
        self.events: list[dict[str, Any]] = []

    def close(self) -> None:
        """Ends the browser and its processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(WAIT)
        os.close(self._in)
        os.close(self._out)

    def ask(self, method: str, session: str = "", /, **values: Any) -> dict[str, Any]:
        """Sends a command and returns its result; events before it are kept."""
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": values}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        for found in self._messages(WAIT):
            if found.get("id") == self._count:
                assert "error" not in found, found["error"]
                result: dict[str, Any] = found["result"]
                return result
            self.events.append(found)
        raise TimeoutError(method)

    def wait_for(self, method: str) -> None:
        """Waits for an event that did not come yet."""
        if any(one.get("method") == method for one in self.events):
            return
        for found in self._messages(WAIT):
            self.events.append(found)
            if found.get("method") == method:
                return
        raise TimeoutError(method)

    def _messages(self, seconds: float) -> Iterator[dict[str, Any]]:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            while b"\0" in self._rest:
                one, _, self._rest = self._rest.partition(b"\0")
                yield json.loads(one)
            if select.select([self._in], [], [], left)[0]:
                got = os.read(self._in, 1 << 20)
                assert got, "the browser has ended"
                self._rest += got


class Tab:
    """An open page.

    Args:
        browser: The browser.
        file: The page.
        size: Width and height in pixels.
        dark: Whether the reader prefers dark colours.
        script: Whether scripts run.
        first: A script that runs before those of the page.
    """

    def __init__(
        self,
        browser: Browser,
        file: Path,
        size: tuple[int, int] = (1280, 800),
        dark: bool = False,
        script: bool = True,
        first: str = "",
    ) -> None:
        self._browser = browser
        browser.events.clear()
        self._target = browser.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = browser.ask(
            "Target.attachToTarget", targetId=self._target, flatten=True
        )["sessionId"]  # fmt: skip
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._ask(f"{domain}.enable")
        self._ask("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1],
                  deviceScaleFactor=1, mobile=size[0] < 600)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", features=[scheme])
        self._ask("Emulation.setScriptExecutionDisabled", value=not script)
        self._ask("Page.addScriptToEvaluateOnNewDocument", source=first)
        self._ask("Page.navigate", url=file.as_uri())
        browser.wait_for("Page.loadEventFired")

    def close(self) -> None:
        """Closes the page."""
        self._browser.ask("Target.closeTarget", targetId=self._target)

    def _ask(self, method: str, **values: Any) -> dict[str, Any]:
        return self._browser.ask(method, self._session, **values)

    def value(self, script: str) -> Any:
        """Returns the value of an expression or a promise."""
        found = self._ask(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def text(self) -> str:
        """Returns the text of the page, from its accessibility tree."""
        nodes = self._ask("Accessibility.getFullAXTree")["nodes"]
        return "\n".join(str(one.get("name", {}).get("value", "")) for one in nodes)

    def press(self, key: str, held: bool = False) -> None:
        """Presses a key; one that is held repeats."""
        enter = {"text": "\r", "windowsVirtualKeyCode": 13} if key == "Enter" else {}
        kinds = ["keyDown", *["keyDown"] * held, "keyUp"]
        for number, kind in enumerate(kinds):
            self._ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, **enter,
                      autoRepeat=number == 1 and held)  # fmt: skip

    def write(self, text: str) -> None:
        """Writes into the focused field."""
        self._ask("Input.insertText", text=text)

    def click(self, selector: str, times: int = 1) -> None:
        """Clicks on the middle of an element, several times at the same place."""
        box = self.value(
            f"(box => [box.x + box.width / 2, box.y + box.height / 2])"
            f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )
        for count in range(1, times + 1):
            for kind in ("mousePressed", "mouseReleased"):
                self._ask("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left",
                          clickCount=count)  # fmt: skip

    def picture(self) -> bytes:
        """Returns a picture of the page, as a PNG file."""
        return base64.b64decode(self._ask("Page.captureScreenshot")["data"])

    def printed(self) -> bytes:
        """Returns the page as a PDF file."""
        return base64.b64decode(self._ask("Page.printToPDF")["data"])

    def media(self, kind: str) -> None:
        """Shows the page as for `print` or `screen`."""
        self._ask("Emulation.setEmulatedMedia", media=kind)

    def requested(self) -> list[str]:
        """Returns the addresses that the page asked for."""
        return [one["request"]["url"] for one in self._events("Network.requestWillBeSent")]

    def complaints(self) -> list[str]:
        """Returns errors, refusals of the policy, messages on the console, and dialogs."""
        self.value("0")
        names = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled",
                 "Page.javascriptDialogOpening")  # fmt: skip
        return [json.dumps(one)[:500] for name in names for one in self._events(name)]

    def _events(self, method: str) -> list[dict[str, Any]]:
        return [
            one["params"]
            for one in self._browser.events
            if one.get("method") == method and one.get("sessionId") == self._session
        ]
