"""A server under test: its processes, its log, and what is done to them."""

import contextlib
import ctypes
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from time import monotonic as now

from lib import Trouble, fetch, proc, request, until
from lib.proc import children, is_alive, state

from .clients import OUT, ROOT, Download, Load, failed

# Parts of lines in the server's log.
RELOADED, ABORTED, REFUSED, FAILED = "configuration has been read", "to abort", "no hand-over", "not taken over"
PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans():
    """A process that loses its parent becomes our child, so that no process of a server can be overlooked."""
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        sys.exit("scripts/chaos: this kernel has no subreapers, so remaining processes could not be seen")


def reap(spared=()):
    """Waits for zombies that have become our children, but for those that another part of the script waits for."""
    for pid in children(os.getpid()):
        if state(pid) == "Z" and pid not in spared:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def clients_of(pid):
    """The ports of the clients that are connected with a process, which has to be stopped for an exact answer."""
    held, ports, known = set(), set(), -1
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            held.add(os.readlink(f"/proc/{pid}/fd/{descriptor}").removeprefix("socket:[").removesuffix("]"))
    # The kernel's table may skip a row while other rows come and go, so it is read until nothing new is found.
    while known < len(ports):
        known = len(ports)
        rows = [row.split() for row in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
        ports |= {int(row[2].split(":")[1], 16) for row in rows if row[9] in held}
    return ports - {0}


class Stage(contextlib.AbstractContextManager):
    """One server with its files in a folder of its own, until the block ends; with clients if there are options for `load`."""

    def __init__(self, program, contents, size, *options, access_log="off", log=None, load=None):
        self.contents, self.size = contents, size
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="stage-", dir=OUT))
        self.program, self.pidfile = self.folder / "stheno", self.folder / "pid"
        self.log = log or self.folder / "log"
        self.access_log = self.folder / "access" if access_log == "file" else access_log
        self.clients, self.process, self.hurt, self.sockets = None, None, [], []
        try:
            self.start(program, options)
            if load is not None:
                self.load(**load)
        except BaseException:
            self.__exit__()
            raise

    def start(self, program, options):
        self.install(program)
        words = [self.program, "--host", "127.0.0.1", "--port", "0", "-r", ROOT, "-w", self.size, "--pidfile", self.pidfile,
                 "--logfile", self.log, "--access-log", self.access_log, *options]
        banner = self.folder / "banner"
        with banner.open("w") as error:
            self.process = subprocess.Popen(list(map(str, words)), stdin=subprocess.DEVNULL, stderr=error,
                                            stdout=subprocess.DEVNULL, start_new_session=True)
        until(lambda: self.pidfile.exists() and "  stop " in banner.read_text() or self.process.poll() is not None,
              "the server starts")
        if self.process.poll() is not None:
            raise Trouble(f"the server does not start: {banner.read_text().strip()}")
        self.address = "127.0.0.1", int(re.search(r"http://127.0.0.1:(\d+)/", banner.read_text())[1])

    def install(self, program):
        """Replaces the server's program in one step."""
        shutil.copy(program, self.folder / "new").rename(self.program)

    def load(self, **options):
        self.clients = Load(self.address, self.contents, **options)
        return self.clients

    def ask(self):
        """Makes one request on a connection of its own; returns whether the response is right."""
        head, _, body = fetch(self.address[1], request("/1k", "Connection: close")).partition(b"\r\n\r\n")
        return head.startswith(b"HTTP/1.1 200 ") and body == self.contents["1k"]

    def downloads(self, number):
        found = [Download(self.address, self.contents["2m"]) for _ in range(number)]
        self.sockets += [one.socket for one in found]
        return found

    def master(self):
        """The pid in the pid file; None while there is none."""
        with contextlib.suppress(OSError, ValueError):
            return int(self.pidfile.read_text())
        return None

    def workers(self):
        """The workers of the current master, the oldest first."""
        return children(self.master())

    def processes(self):
        """Every live process of the server, also those whose parent is gone."""
        ours = self.clients and self.clients.process.pid
        return [pid for pid in proc.family(os.getpid())[1:] if pid != ours and is_alive(pid)]

    def is_whole(self):
        """Whether there is one master with all its workers, and no other process."""
        workers = self.workers()
        return len(workers) == self.size and all(map(is_alive, workers)) and len(self.processes()) == self.size + 1

    def signal(self, number):
        os.kill(self.master(), number)

    def said(self, text):
        """How often the log says `text`, renamed files included."""
        return sum(path.read_text(errors="replace").count(text) for path in self.folder.glob("log*"))

    def halt(self, pid, seconds=3.0):
        """Stops a worker. Failures of its clients within `seconds` are excused; returns the clients' ports."""
        begun = now()
        os.kill(pid, signal.SIGSTOP)
        until(lambda: state(pid) in "TXZ", "the worker stops", every=0.0001)
        ports = clients_of(pid)
        self.hurt.append((begun, now() + seconds, ports))
        return ports

    def kill(self, pid):
        """Halts and kills a worker; returns when, or None if it was gone already."""
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            self.halt(pid)
            os.kill(pid, signal.SIGKILL)
            return now()
        return None

    def reload(self):
        """Sends HUP and waits until the new generation serves."""
        before = self.said(RELOADED)
        self.signal(signal.SIGHUP)
        until(lambda: self.said(RELOADED) > before, "the new generation serves", 40)

    def wait_replaced(self, victims, seconds=10.0):
        """Waits until there are as many workers as before and none of `victims`; returns when."""
        until(lambda: len(self.workers()) == self.size and not set(victims) & set(self.workers()), "new workers", seconds,
              0.0001)
        return now()

    def finish(self, more=0):
        """Ends the load after `more` responses; returns what was seen."""
        self.clients.wait_for_more(more)
        seen = self.clients.stop()
        seen.others = [failure for failure in seen.failures if not any(
            begun <= failure["at"] <= end and failure["port"] in ports for begun, end, ports in self.hurt)]
        return seen

    def victims(self, seen):
        """The failures of the clients of halted workers, and those of the others."""
        at_risk = sum(len(ports) for _, _, ports in self.hurt)
        return (f"{len(seen.failures) - len(seen.others)} of the {at_risk} clients of the victims; of the others "
                f"{failed(seen.others)}")

    def __exit__(self, *_):
        """Ends every process of the server by its pid, and removes its folder."""
        if self.clients:
            self.clients.end()
            self.clients = None
        for client in self.sockets:
            client.close()
        begun = now()
        while (left := self.processes()) and now() - begun < 10:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)
        if self.process:
            self.process.wait()
        reap()
        shutil.rmtree(self.folder, ignore_errors=True)
