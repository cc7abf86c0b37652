"""A headless Chromium, moved by key and mouse events over its debugging pipe."""

import base64
import json
import os
import shutil
import subprocess


def find():
    """Return the path of a Chromium, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next((path for path in map(shutil.which, names) if path), None)


class Browser:
    """A context manager; `size` is the window's in pixels."""

    def __init__(self, profile, size=(900, 1000)):
        self._profile, self._size, self._calls = profile, size, 0

    def __enter__(self):
        here_read, there_write = os.pipe()
        there_read, here_write = os.pipe()

        def place():
            # Chromium reads commands from descriptor 3 and writes answers to 4; the pipes' own
            # ends may be among these.
            os.dup2(there_read, 63), os.dup2(there_write, 64)
            os.dup2(63, 3), os.dup2(64, 4)

        self._process = subprocess.Popen(
            [find(), "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
             f"--user-data-dir={self._profile}", "--hide-scrollbars", "about:blank"],
            preexec_fn=place, close_fds=False, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(there_read), os.close(there_write)
        self._out, self._in = os.fdopen(here_write, "wb", 0), os.fdopen(here_read, "rb")
        self._session = None
        target = next(
            t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page"
        )
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        width, height = self._size
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=False)  # fmt: skip
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._out.close(), self._in.close()

    def call(self, method, **parameters):
        """Send a command of the DevTools protocol and return its result."""
        self._calls += 1
        message = {"id": self._calls, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = json.loads(self._read())
            if answer.get("id") == self._calls:
                if "error" in answer:
                    raise RuntimeError(answer["error"])
                return answer["result"]

    def _read(self):
        data = bytearray()
        while (byte := self._in.read(1)) != b"\0":
            if not byte:
                raise RuntimeError("the browser has ended")
            data += byte
        return data.decode()

    def open(self, path):
        """Load a local file."""
        self.call("Page.enable")
        self.call("Page.navigate", url=f"file://{path}")
        while self.run("document.readyState") != "complete" or "file" not in self.run(
            "location.href"
        ):
            pass

    def run(self, script):
        """Return the value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def press(self, key):
        """Press and release a key."""
        text = {"text": key} if len(key) == 1 else {}
        code = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "End": 35,
                "Home": 36, " ": 32}.get(key, 0)  # fmt: skip
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **text
            )

    def click(self, x, y):
        """Click at a place in the window."""
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def picture(self, path):
        """Write the whole page as a PNG file."""
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))
