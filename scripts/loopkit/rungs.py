"""The rungs: their kinds, how they are built and started, and how they are stopped and set going again."""

import contextlib
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import sys
import time

from lib import PROJECT, Trouble, proc, setup, until
from lib.server import RUNG_SAYS, STHENO_SAYS, Child

from . import TARGET, broken, kinds, strace
from .clients import is_listening

# Rung → the kind of what it answers. These have a loop, and record it.
LOOPS = {
    "tcp_select": "echo", "tcp_mio": "echo", "tcp_reactor": "echo", "tcp_chat": "echo", "tcp_tokio": "echo",
    "web_select": "web", "web_reactor": "web", "web_waker": "web", "web_executor": "web", "web_futures": "web",
    "web_tokio": "web", "stheno": "file",
}
# These have none, or none of ours: they are recorded from outside, by their system calls.
OUTSIDE = {
    "tcp_singlethread": "echo", "tcp_multithread": "echo", "tcp_threadpool": "echo", "tcp_multiprocess": "echo",
    "tcp_multiprocess_threads": "echo", "web_singlethread": "web", "web_multithread": "web", "web_threadpool": "web",
    "web_multiprocess": "web",
}
PYTHON = PROJECT / "examples" / "python"
OUTSIDE |= {f"python/{path.stem}": {"tcp": "echo", "web": "web"}[path.stem[:3]]
            for path in sorted(PYTHON.glob("*_*.py")) if re.match("tcp_|web_(?!cpubound)", path.stem)}
# These are played for their broken ones only.
FOR_BREAKS = {"web_cpubound": "web", "async_server_step3": "file"}
KINDS = LOOPS | OUTSIDE
DEBUG = PROJECT / "target" / "debug"
SITE = TARGET / "site"
# Bytes that a program may write into a file.
MOST_OUTPUT = 64 << 20


class Rung:
    """A rung by its name, or a broken one, `RUNG+PATCH`."""

    # The port that the program has to be given; None where it chooses one, and prints it.
    port = None

    def __init__(self, name):
        self.name = name
        self.whole, _, self.patch = name.partition("+")
        kind = (KINDS | FOR_BREAKS).get(self.whole)
        if not kind:
            raise Trouble(f"there is no rung '{self.whole}'; there are {', '.join(KINDS)}")
        if self.patch and name not in broken.names():
            raise Trouble(f"there is no broken rung '{name}'; there are {', '.join(broken.names())}")
        self.kind = kinds.File(SITE) if kind == "file" else kinds.of(kind)
        self.is_python = self.whole.startswith("python/")
        # Whether strace(1) records it.
        self.from_outside = self.whole in OUTSIDE or self.whole == "web_cpubound"

    @property
    def slug(self):
        return re.sub(r"[+/]", "-", self.name)

    @property
    def traits(self):
        """Words that the line `without` of a scenario may have in place of a name."""
        found = {"outside"} if self.from_outside else set()
        return found | ({"one-at-a-time"} if self.whole.endswith(("_singlethread", "_waker")) else set())

    @property
    def program(self):
        if self.is_python:
            return PROJECT / "examples" / f"{self.whole}.py"
        if self.patch:
            return broken.program(self.name)
        return DEBUG / "stheno" if self.name == "stheno" else DEBUG / "examples" / self.name

    @property
    def source(self):
        """The text of the rung; None of the server, which has many files."""
        if self.name == "stheno":
            return None
        if self.is_python:
            return self.program.read_text(encoding="utf-8")
        path = broken.source(self.name) if self.patch else PROJECT / "examples" / f"{self.name}.rs"
        return path.read_text(encoding="utf-8")

    def command(self, *options):
        where = ["--host", "127.0.0.1", "--port", "0"]
        python = [sys.executable, "-u"] if self.is_python else []
        root = ["-r", str(SITE)] if self.kind.name == "file" else []
        return [*python, str(self.program), *root, *where, *options]


class Program:
    """Any program that takes `--host 127.0.0.1 --port N`, in any language: it is recorded from outside. `source` is its text,
    where that is known."""

    patch, from_outside, is_python, traits = "", True, False, frozenset({"outside"})

    def __init__(self, path, kind="echo", source=None):
        self.program = pathlib.Path(path).absolute()
        if not self.program.is_file() or not os.access(self.program, os.X_OK):
            raise Trouble(f"{path} is no program that can be started")
        self.name = self.whole = self.program.name
        self.kind, self.text = kinds.of(kind), source
        self.port = None

    @property
    def slug(self):
        return re.sub(r"[^\w.-]", "-", self.name)

    @property
    def source(self):
        """The text of a script, whose first line names its interpreter, is the program itself."""
        if self.text is None and (content := self.program.read_bytes()).startswith(b"#!"):
            return content.decode(errors="replace")
        return self.text

    def command(self, *options):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        return [str(self.program), "--host", "127.0.0.1", "--port", str(self.port), *options]


def of(word, kind="echo"):
    """The rung of this name, or the program at this path: `./mine`."""
    is_path = word.startswith((".", "/")) or "/" in word and word.partition("+")[0] not in KINDS
    return Program(word, kind) if is_path else Rung(word)


def build(rungs, *others):
    """Builds these rungs and other programs, and the folder that stheno serves: the demo site, and files of lines."""
    ours = {rung.whole for rung in rungs if not rung.patch and not rung.is_python and isinstance(rung, Rung)}
    setup.build(*sorted(ours | set(others)), profile="debug")
    broken.build([rung.name for rung in rungs if rung.patch])
    if any(rung.kind.name == "file" for rung in rungs):
        make_site()


def make_site():
    """The folder that is served: the demo site, names with dots, and a link that leads out."""
    shutil.copytree(PROJECT / "examples" / "site", SITE, dirs_exist_ok=True)
    for name in ("text..txt", ".dotted"):
        (SITE / name).write_text("Dots belong to a name.\n", encoding="ascii")
    outside, link = SITE.with_name("outside.txt"), SITE / "outside.txt"
    outside.write_text("This file is beside the root.\n", encoding="ascii")
    if not link.is_symlink():
        link.symlink_to(outside)


class Running(Child):
    """A rung that runs, on a free port. Its output is in the file `log`; what the echo rungs say about each line of a
    client goes nowhere. With `trace`, strace(1) writes its system calls to this file; they are whole after `end`."""

    def __init__(self, rung, *options, log, trace=None, **streams):
        self.rung, self.tracer = rung, 0
        TARGET.mkdir(parents=True, exist_ok=True)
        out = open(log, "wb")
        # stheno says all that it says on standard error; a program that is not ours says there why it ends.
        is_ours = isinstance(rung, Rung) and not rung.is_python
        with out, open(os.devnull, "wb") as nothing:
            streams = {"stdout": out, "stderr": nothing if is_ours and rung.name != "stheno" else out} | streams
            command = rung.command(*options)
            super().__init__(strace.command(command, trace) if trace else command, **streams)
        # A program that prints without an end is ended, and not the disk filled.
        with contextlib.suppress(OSError):
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (MOST_OUTPUT, MOST_OUTPUT))
        self.wait_until_ready(lambda: self.find_port(log), log, 20)
        self.port, self.sockets_at_start = self.find_port(log), self.sockets()
        self.tracer = proc.tracer(self.pid)

    def end(self, patience=10):
        super().end(patience)
        if self.tracer:
            try:
                until(lambda: not proc.is_alive(self.tracer), "strace ends")
            except Trouble:
                os.kill(self.tracer, signal.SIGKILL)
            self.tracer = 0

    def find_port(self, log):
        """The port of a rung that serves; None before. A program that was given its port serves when it listens."""
        if self.rung.port:
            return self.rung.port if is_listening(self.rung.port) else None
        # The last line that the server says before it serves: its workers are there.
        says, ready = (STHENO_SAYS, "\n  stop ") if self.rung.name == "stheno" else (RUNG_SAYS, "")
        text = log.read_text(errors="replace")
        found = re.findall(says, text, re.M) if ready in text else []
        return int(found[0]) if found else None

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
        until(lambda: proc.are_stopped(family), "the rung stands still")
        if self.tracer:
            # A tracer stops a thread for a moment at each call as well: at the second look it stands still for good.
            time.sleep(0.002)
            until(lambda: proc.are_stopped(family), "the rung stands still")

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
