"""The rungs with a loop: their kinds, how they are built and started, and how they are stopped and set going again."""

import contextlib
import os
import re
import shutil
import signal

from lib import PROJECT, Trouble, proc, setup, until
from lib.server import RUNG_SAYS, STHENO_SAYS, Child

from . import TARGET, broken, kinds

# Rung → the kind of what it answers.
KINDS = {
    "tcp_select": "echo", "tcp_mio": "echo", "tcp_reactor": "echo", "tcp_chat": "echo", "tcp_tokio": "echo",
    "web_select": "web", "web_reactor": "web", "web_futures": "web", "web_tokio": "web", "stheno": "file",
}
DEBUG = PROJECT / "target" / "debug"
SITE = TARGET / "site"


class Rung:
    """A rung by its name, or a broken one, `RUNG+PATCH`."""

    def __init__(self, name):
        self.name = name
        self.whole, _, self.patch = name.partition("+")
        if self.whole not in KINDS:
            raise Trouble(f"'{self.whole}' is no rung with a loop; there are {', '.join(KINDS)}")
        if self.patch and name not in broken.names():
            raise Trouble(f"there is no broken rung '{name}'; there are {', '.join(broken.names())}")
        kind = KINDS[self.whole]
        self.kind = {"echo": kinds.Echo, "web": kinds.Web}[kind]() if kind != "file" else kinds.File(SITE)

    @property
    def slug(self):
        return self.name.replace("+", "-")

    @property
    def program(self):
        if self.patch:
            return broken.program(self.name)
        return DEBUG / "stheno" if self.name == "stheno" else DEBUG / "examples" / self.name

    @property
    def source(self):
        """The text of the rung; None of the server, which has many files."""
        if self.name == "stheno":
            return None
        path = broken.source(self.name) if self.patch else PROJECT / "examples" / f"{self.name}.rs"
        return path.read_text(encoding="utf-8")

    def command(self, *options):
        where = ["--host", "127.0.0.1", "--port", "0"]
        return [str(self.program), *(["-r", str(SITE)] if self.name == "stheno" else []), *where, *options]


def build(rungs, *others):
    """Builds these rungs and other programs, and the folder that stheno serves: the demo site, and files of lines."""
    setup.build(*sorted({rung.whole for rung in rungs if not rung.patch} | set(others)), profile="debug")
    for rung in rungs:
        if rung.patch:
            broken.build(rung.name)
    if any(rung.name == "stheno" for rung in rungs):
        shutil.copytree(PROJECT / "examples" / "site", SITE, dirs_exist_ok=True)


class Running(Child):
    """A rung that runs, on a free port. Its output is in the file `log`; what the echo rungs say about each line of a
    client goes nowhere."""

    def __init__(self, rung, *options, log, **streams):
        self.rung = rung
        TARGET.mkdir(parents=True, exist_ok=True)
        out = open(log, "wb")
        # stheno says all that it says on standard error.
        with out, open(os.devnull, "wb") as nothing:
            streams = {"stdout": out, "stderr": out if rung.name == "stheno" else nothing} | streams
            super().__init__(rung.command(*options), **streams)
        # The last line that the server says before it serves: its workers are there.
        says, ready = (STHENO_SAYS, "\n  stop ") if rung.name == "stheno" else (RUNG_SAYS, "")

        def is_ready():
            text = log.read_text(errors="replace")
            return ready in text and re.findall(says, text, re.M)
        self.wait_until_ready(is_ready, log, 20)
        self.port, self.sockets_at_start = int(is_ready()[0]), self.sockets()

    def sockets(self):
        return sum(links(pid, "socket:") for pid in proc.family(self.pid))

    def settle(self, connected, seconds=2):
        """Waits until the rung has closed all but `connected` connections, so that the recording has that as well. A broken
        one may not."""
        with contextlib.suppress(Trouble):
            until(lambda: self.sockets() <= self.sockets_at_start + connected, "connections are closed", seconds)

    def freeze(self):
        """Stops all threads of the rung, and returns when they stand still: what is sent meanwhile is there all at once."""
        family = proc.family(self.pid)
        for pid in family:
            os.kill(pid, signal.SIGSTOP)
        until(lambda: all(proc.state(pid) in "TXZ" for pid in family), "the rung stands still")

    def thaw(self):
        for pid in proc.family(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def links(pid, kind):
    """The number of descriptors of a process that are of this kind."""
    found = 0
    with contextlib.suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                found += os.readlink(entry.path).startswith(kind)
    return found
