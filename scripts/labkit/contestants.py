"""Who is measured: the rungs of the ladder, and the lab's own programs in Python."""

import ctypes
import math
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

from . import PROJECT, Trouble

PYTHON = PROJECT / "examples" / "python"


@dataclass(frozen=True)
class Contestant:
    """A server that is started with --host, --port, --db and --backlog."""

    name: str
    # Requests that it serves at the same time.
    servers: float
    options: tuple = ()
    what: str = ""

    @property
    def is_python(self):
        return self.name.startswith("python/")

    @property
    def program(self):
        return self.name.removeprefix("python/").partition(":")[0]

    @property
    def slug(self):
        """Its name, as a file's."""
        return re.sub(r"\W+", "-", self.name)

    def command(self, profile):
        if self.is_python:
            return [sys.executable, "-u", str(PYTHON / f"{self.program}.py"), *self.options]
        return [str(PROJECT / "target" / profile / "examples" / self.program), *self.options]


CORES = os.cpu_count() or 1
# Name without a number → servers, the option that takes a number, and what it is.
KINDS = {
    "web_singlethread": (1, None, "one thread, one client at a time"),
    "web_multithread": (math.inf, None, "a thread for every client"),
    "web_threadpool": (10, "--threads", "a pool of threads"),
    "web_multiprocess": (CORES, "--processes", "a process for every core, or as many as are asked for"),
    "web_select": (math.inf, None, "one thread, select(2)"),
    "web_reactor": (math.inf, None, "one thread, our reactor"),
    "web_futures": (math.inf, None, "futures on our reactor"),
    "web_tokio": (math.inf, None, "futures on Tokio"),
    "python/web_singlethread": (1, None, "the lab's own, in Python"),
    "python/web_multithread": (math.inf, None, "the lab's own, in Python"),
    "python/web_threadpool": (10, "--threads", "the lab's pool with the lab's page"),
    "python/web_multiprocess": (CORES, "--processes", "the lab's processes with the lab's page"),
    "python/web_select": (math.inf, None, "the lab's select with the lab's page"),
    "python/web_asyncio": (math.inf, None, "the lab's own, in Python"),
}
DEFAULT = [
    "web_singlethread", "web_multithread",
    "web_threadpool:2", "web_threadpool:3", "web_threadpool", "web_multiprocess", "web_multiprocess:8",
    "web_select", "web_reactor", "web_futures", "web_tokio",
    "python/web_singlethread", "python/web_multithread", "python/web_threadpool", "python/web_multiprocess",
    "python/web_select", "python/web_asyncio",
]


def named(name):
    """The contestant of a name, `KIND` or `KIND:NUMBER`."""
    kind, colon, number = name.partition(":")
    if kind not in KINDS:
        raise Trouble(f"there is no rung '{name}'; scripts/lab list says which there are")
    servers, option, what = KINDS[kind]
    if not colon:
        return Contestant(name, servers, (option, str(servers)) if option else (), what)
    if not option:
        raise Trouble(f"'{kind}' takes no number; {', '.join(key for key in KINDS if KINDS[key][1])} do")
    if not number.isdigit() or not 0 < int(number) <= 1000:
        raise Trouble(f"'{name}': a number from 1 to 1000 is wanted behind the colon")
    return Contestant(name, int(number), (option, number), what)


def build(programs, profile):
    """Has cargo build what is wanted of the examples."""
    examples = sorted(set(programs))
    if not examples:
        return
    command = ["cargo", "build", "--locked", "--quiet"]
    command += ["--release"] if profile == "release" else []
    for name in examples:
        command += ["--example", name]
    try:
        subprocess.run(command, cwd=PROJECT, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Trouble(f"the rungs cannot be built: {error}") from error


def family(pid):
    """A process and all its descendants that are alive."""
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        try:
            for task in os.listdir(f"/proc/{one}/task"):
                todo += map(int, pathlib.Path(f"/proc/{one}/task/{task}/children").read_text().split())
        except OSError:
            continue
    return found


PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def _end_with_us():
    """In a child, before its program: it ends when the lab does, even if that is killed; and hears of Ctrl+C again."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # A new session is a group of its own to Linux's scheduler, which knows nothing of our niceness (sched(7)).
    try:
        with open("/proc/self/autogroup", "w", encoding="ascii") as group:
            group.write(str(os.nice(0)))
    except OSError:
        pass  # No such groups here, or not allowed: then it runs as anyone.


def spawn(command, **streams):
    """Starts a program that is out of reach of the terminal's Ctrl+C: we are the one who ends it."""
    try:
        return subprocess.Popen(command, start_new_session=True, preexec_fn=_end_with_us, cwd=PROJECT, **streams)
    except OSError as error:
        raise Trouble(f"{command[0]} does not start: {error}") from error


class Child:
    """A process that is ended when the block ends, with everything it has started, by their ids."""

    def __init__(self, process):
        self.process, self.usage = process, None

    @property
    def pid(self):
        return self.process.pid

    def is_over(self):
        """Whether it has ended; then `usage` is what it has used in all its life."""
        if self.usage is None:
            try:
                pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid == 0:
                return False
            self.usage, self.process.returncode = usage, os.waitstatus_to_exitcode(status)
        return True

    def end(self, patience=10):
        """Asks it to end as Ctrl+C does, waits, and makes it."""
        everyone = family(self.pid)
        if not self.is_over():
            self.process.send_signal(signal.SIGINT)
        until = time.monotonic() + patience
        while not self.is_over() and time.monotonic() < until:
            time.sleep(0.02)
        if not self.is_over():
            everyone = family(self.pid)
            self.process.kill()
            while not self.is_over():
                time.sleep(0.02)
        for pid in everyone[1:]:
            # Its own children are not ours to wait for; who is still of its session is a leftover.
            try:
                if os.getsid(pid) == self.pid:
                    os.kill(pid, signal.SIGKILL)
            except OSError:
                continue

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


# How rungs say where they listen; and the server itself.
RUNG_SAYS = r"^S(?:tart|erv)ing .*?(\d+)\)?$"
STHENO_SAYS = r"^ +url +http://.*:(\d+)/$"


class Server(Child):
    """A contestant on any free port."""

    def __init__(self, command, log, says=RUNG_SAYS):
        """`command` without --host and --port; what it says goes to the file `log`."""
        self.command = [*command, "--host", "127.0.0.1", "--port", "0"]
        self.log, self.says = log, re.compile(says, re.M)
        with open(log, "wb") as out:
            super().__init__(spawn(self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT))
        try:
            self.port = self._wait_for_port()
        except BaseException:
            self.end()
            raise

    def _wait_for_port(self):
        until = time.monotonic() + 20
        while time.monotonic() < until:
            text = pathlib.Path(self.log).read_text(errors="replace")
            if found := self.says.search(text):
                return int(found[1])
            if self.is_over():
                said = text.strip().splitlines()
                raise Trouble(f"{self.command[0]} has ended at once: {said[-1] if said else 'without a word'}")
            time.sleep(0.02)
        raise Trouble(f"{self.command[0]} does not say where it listens: see {self.log}")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"


def server_of(contestant, load, profile, log):
    """Starts a contestant as the load says."""
    command = contestant.command(profile)
    return Server([*command, "--db", str(round(load.service * 1000)), "--backlog", str(load.backlog)], log)
