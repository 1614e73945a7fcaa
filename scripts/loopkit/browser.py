"""A headless Chromium that is driven through two pipes, by the DevTools protocol."""

import base64
import collections
import contextlib
import json
import os
import select
import shutil
import signal
import tempfile
import time

from lib import Trouble

# The browser sends nothing to a network by itself, and resolves no name.
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
         "--disable-component-update", "--disable-background-networking", "--disable-sync",
         "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
         "--remote-debugging-pipe"]
PATIENCE = 30.0
CODES = {"ArrowLeft": 37, "ArrowRight": 39, "Home": 36, "End": 35, " ": 32}


def program():
    """The path of a Chromium; None if there is none."""
    return next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)


class Browser:
    """A browser with one tab. `troubles` has what its console said, `requests` what it asked for."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="loop-page-", ignore_cleanup_errors=True)
        theirs_in, self.out = os.pipe()
        self.into, theirs_out = os.pipe()
        quiet = os.open(os.devnull, os.O_RDWR)
        # Two steps, since the numbers 3 and 4 may be in use here.
        high = [(os.POSIX_SPAWN_DUP2, theirs_in, 60), (os.POSIX_SPAWN_DUP2, theirs_out, 61)]
        low = [(os.POSIX_SPAWN_DUP2, old, new) for old, new in ((60, 3), (61, 4), (quiet, 1), (quiet, 2))]
        command = [program(), *FLAGS, f"--user-data-dir={self.folder.name}", "about:blank"]
        self.pid = os.posix_spawn(command[0], command, os.environ, file_actions=high + low, setpgroup=0)
        for descriptor in (theirs_in, theirs_out, quiet):
            os.close(descriptor)
        self.rest, self.number, self.session = b"", 0, None
        self.events, self.troubles, self.requests = collections.deque(), [], []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.session = None
        with contextlib.suppress(Trouble, OSError):
            self.send("Browser.close")
        os.close(self.out)
        deadline = time.monotonic() + 5
        while os.waitpid(self.pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.killpg(self.pid, signal.SIGKILL)
            select.select([self.into], [], [], 0.05)
        os.close(self.into)
        self.folder.cleanup()

    def send(self, method, **parameters):
        """Sends a command; returns its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        text = json.dumps(message).encode() + b"\0"
        while text:
            text = text[os.write(self.out, text):]
        wanted = self.number
        return self.until(lambda answer: answer.get("id") == wanted, method)["result"]

    def until(self, is_it, what):
        deadline = time.monotonic() + PATIENCE
        while True:
            message = self.receive(deadline, what)
            if "error" in message:
                raise Trouble(f"the browser refuses {what}: {message['error']}")
            self.note(message)
            if is_it(message):
                return message

    def receive(self, deadline, what):
        while b"\0" not in self.rest:
            if not select.select([self.into], [], [], max(0, deadline - time.monotonic()))[0]:
                raise Trouble(f"the browser does not answer: {what}")
            data = os.read(self.into, 1 << 20)
            if not data:
                raise Trouble("the browser has ended")
            self.rest += data
        text, self.rest = self.rest.split(b"\0", 1)
        return json.loads(text)

    def note(self, message):
        method, given = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(given["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = given["exceptionDetails"]
            self.troubles.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and given["type"] in ("error", "warning", "assert"):
            self.troubles.append(" ".join(str(one.get("value", one.get("description"))) for one in given["args"]))
        elif method == "Log.entryAdded" and given["entry"]["level"] in ("error", "warning"):
            self.troubles.append(given["entry"]["text"])

    def resize(self, width, height=900):
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)

    def scheme(self, name, calm=True):
        self.send("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": name},
            {"name": "prefers-reduced-motion", "value": "reduce" if calm else "no-preference"}])

    def load(self, url):
        """Opens a page, and waits until it is loaded."""
        if failure := self.send("Page.navigate", url=url).get("errorText"):
            raise Trouble(f"{url} cannot be opened: {failure}")
        self.until(lambda message: message.get("method") == "Page.loadEventFired", f"loading {url}")

    def open(self, url):
        """Opens the page of a recording, and waits until it shows it."""
        self.load(url)
        return self.run("new Promise((done) => { const look = () => document.documentElement.dataset.shown"
                        " ? done(Number(document.documentElement.dataset.shown)) : setTimeout(look, 5); look(); })")

    def run(self, script):
        """The value of a script; of a promise, what it resolves to."""
        answer = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise Trouble(f"{script}: {answer['exceptionDetails'].get('exception', {}).get('description')}")
        return answer["result"].get("value")

    def press(self, key, shift=False, times=1):
        for _ in range(times):
            for kind in ("rawKeyDown", "keyUp"):
                self.send("Input.dispatchKeyEvent", type=kind, key=key, modifiers=8 if shift else 0,
                          windowsVirtualKeyCode=CODES.get(key, ord(key[0].upper())))

    def picture(self, path, whole=True):
        content = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(content))
