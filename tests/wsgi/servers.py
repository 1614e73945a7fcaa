"""The servers that the tests can be run against: how each is started, and how it gets its options.

Each is started in its own process group on a port from the system, and ended with its group, also when the tests are
killed.
"""

import atexit
import contextlib
import ctypes
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
BIN = pathlib.Path(sys.executable).parent
PATIENCE = 30.0
RUNNING = set()
LIBC = ctypes.CDLL(None)


class Skip(Exception):
    """This server cannot run the test; the text is the reason."""


class DoesNotStart(AssertionError):
    """The server has ended, or does not listen."""


def end_with_us():
    """In the child: the kernel kills it when these tests are killed. (PR_SET_PDEATHSIG)"""
    LIBC.prctl(1, signal.SIGKILL)


def end_all():
    for server in list(RUNNING):
        server.kill()


atexit.register(end_all)


class Server:
    """A server with an app of the package `apps`. Unknown options raise `Skip`."""

    name = "?"
    # The options that it has, of "prefix", "unix", "max_body", "workers", "threads", "args"
    knows = {"threads", "workers"}

    def __init__(self, app="apps:application", threads=4, workers=1, prefix=None, unix=None, max_body=None, args=(),
                 env=None, cwd=None):
        self.app, self.threads, self.workers, self.prefix, self.unix = app, threads, workers, prefix, unix
        self.max_body, self.args, self.env, self.cwd = max_body, list(args), env or {}, cwd
        for option in ("prefix", "unix", "max_body", "args"):
            if getattr(self, option) and option not in self.knows:
                raise Skip(f"{self.name} is not tested with {option}")
        if workers != 1 and "workers" not in self.knows or threads != 4 and "threads" not in self.knows:
            raise Skip(f"{self.name} has one thread and one process")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="stheno-wsgi-"))
        self.process, self.port = None, None

    # -- different for each server --

    def command(self):
        raise NotImplementedError

    def found_port(self):
        """The port from its log, once it is there. Other servers get a port in advance."""
        return None

    # -- the same for all --

    @property
    def address(self):
        return str(self.unix) if self.unix else ("127.0.0.1", self.port)

    def environment(self):
        paths = [str(HERE), os.environ.get("PYTHONPATH", "")]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONUNBUFFERED": "1",
                "PYTHONDONTWRITEBYTECODE": "1", "WSGI_EVENTS": str(self.folder / "events"),
                "WSGI_SECRET": "do-not-tell", **self.env}

    def start(self):
        """Starts it and waits until it listens. If the port was taken meanwhile, tries another one."""
        for attempt in range(5):
            self.port = self.port_to_give()
            self.launch()
            try:
                self.wait_until_it_listens()
                return
            except DoesNotStart:
                if attempt == 4 or "in use" not in self.log():
                    self.stop()
                    raise

    def port_to_give(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    def launch(self):
        with (self.folder / "log").open("wb") as log, (self.folder / "out").open("wb") as out:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=out, stderr=log, env=self.environment(),
                cwd=self.cwd or self.folder, start_new_session=True, preexec_fn=end_with_us)
        RUNNING.add(self)

    def wait_until_it_listens(self):
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise DoesNotStart(f"{self.name} ends with {self.process.returncode}: {self.log()[-2000:]}")
            if port := self.found_port():
                self.port = port
            with contextlib.suppress(OSError):
                if self.port or self.unix:
                    family = socket.AF_UNIX if self.unix else socket.AF_INET
                    with socket.socket(family) as probe:
                        probe.settimeout(1)
                        probe.connect(self.address)
                    return
            time.sleep(0.01)
        raise DoesNotStart(f"{self.name} does not listen: {self.log()[-2000:]}")

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def output(self):
        return (self.folder / "out").read_text(errors="replace")

    def events(self):
        """The events that apps have noted: mark, name, text."""
        with contextlib.suppress(FileNotFoundError):
            return [line.split("\t", 2) for line in (self.folder / "events").read_text().splitlines()]
        return []

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, patience=PATIENCE):
        """Waits until it has ended by itself; returns its exit code."""
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {patience:.0f} s: {self.log()[-1000:]}") from None

    def pids(self):
        """Its processes: those of its group."""
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = path.read_text().rpartition(")")[2].split()
                if int(fields[2]) == self.process.pid and fields[0] != "Z":
                    found.append(int(path.parent.name))
        return sorted(found)

    def memory(self, field, pids=None):
        """The sum of a field of /proc/PID/status over its processes, or over `pids`, in bytes."""
        texts = [pathlib.Path(f"/proc/{pid}/status").read_text() for pid in pids or self.pids()]
        return sum(int(re.search(rf"{field}:\s+(\d+)", text)[1]) * 1024 for text in texts)

    def descriptors(self):
        """The targets of all descriptors of its processes."""
        found = []
        for pid in self.pids():
            for name in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
        return found

    def kill(self):
        with contextlib.suppress(ProcessLookupError, AttributeError):
            os.killpg(self.process.pid, signal.SIGKILL)
        with contextlib.suppress(AttributeError):
            self.process.wait()
        RUNNING.discard(self)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(3)
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Stheno(Server):
    name = "stheno"
    knows = {"threads", "workers", "prefix", "unix", "max_body", "args"}

    def command(self):
        where = ["--bind", f"unix:{self.unix}"] if self.unix else ["--host", "127.0.0.1", "--port", "0"]
        line = [sys.executable, "-m", "stheno_wsgi", self.app, *where, "--threads", str(self.threads), "-w",
                str(self.workers)]
        if self.prefix:
            line += ["--url-prefix", self.prefix]
        if self.max_body:
            line += ["--max-body", str(self.max_body)]
        return line + self.args

    def port_to_give(self):
        return None

    def found_port(self):
        said = re.search(r"http://(?:127\.0\.0\.1|localhost):(\d+)/", self.log())
        return int(said[1]) if said else None


class SthenoInline(Stheno):
    """The app on the loop."""

    name = "stheno:0"

    def __init__(self, threads=None, **options):
        super().__init__(threads=0 if threads is None else threads, **options)


class Waitress(Server):
    name = "waitress"
    knows = {"threads", "prefix", "unix", "max_body"}

    def command(self):
        where = f"--unix-socket={self.unix}" if self.unix else f"--listen=127.0.0.1:{self.port}"
        line = [str(BIN / "waitress-serve"), where, f"--threads={self.threads}"]
        if self.prefix:
            line.append(f"--url-prefix={self.prefix}")
        if self.max_body:
            line.append(f"--max-request-body-size={self.max_body}")
        return line + [self.app]


class Gunicorn(Server):
    name = "gunicorn"
    knows = {"threads", "workers", "prefix", "unix"}

    def command(self):
        where = f"unix:{self.unix}" if self.unix else f"127.0.0.1:{self.port}"
        return [str(BIN / "gunicorn"), "-k", "gthread", "--threads", str(self.threads), "-w", str(self.workers), "-b", where,
                "--keep-alive", "5", "--log-level", "warning", self.app]

    def environment(self):
        prefix = {"SCRIPT_NAME": self.prefix} if self.prefix else {}
        return {**super().environment(), **prefix}


class Granian(Server):
    name = "granian"
    knows = {"threads", "workers", "prefix", "unix"}

    def command(self):
        where = ["--uds", str(self.unix)] if self.unix else ["--host", "127.0.0.1", "--port", str(self.port)]
        line = [str(BIN / "granian"), "--interface", "wsgi", *where, "--http", "1", "--no-ws", "--workers",
                str(self.workers), "--blocking-threads", str(self.threads), "--log-level", "warning"]
        if self.prefix:
            line += ["--url-path-prefix", self.prefix]
        return line + [self.app]


class Bjoern(Server):
    name = "bjoern"
    knows = {"unix"}

    def command(self):
        where = f"'unix:{self.unix}'" if self.unix else f"'127.0.0.1', {self.port}"
        module, _, name = self.app.partition(":")
        return [sys.executable, "-c", f"import bjoern, {module}; bjoern.run({module}.{name}, {where})"]


class Uwsgi(Server):
    name = "uwsgi"
    knows = {"threads", "workers", "unix"}

    def command(self):
        # Its HTTP router keeps connections, and sends chunked responses.
        where = ["--http-socket", str(self.unix)] if self.unix else [
            "--http", f"127.0.0.1:{self.port}", "--http-keepalive", "--http-auto-chunked", "--http-timeout", "30"]
        return [str(BIN / "uwsgi"), *where, "--module", self.app, "--threads", str(self.threads), "--processes",
                str(self.workers), "--master", "--need-app", "--die-on-term", "--disable-logging"]


class Custom(Server):
    """A command line with {app} and {port} in it."""

    name = "custom"
    line = ""

    def command(self):
        return [word.format(app=self.app, port=self.port) for word in self.line.split()]

    def __init__(self, threads=4, workers=1, **options):
        super().__init__(**options)


KINDS = {kind.name: kind for kind in (Stheno, SthenoInline, Waitress, Gunicorn, Granian, Bjoern, Uwsgi)}
PEERS = ["waitress", "gunicorn", "granian", "bjoern", "uwsgi"]


def kind(name):
    """The server of this name; `stheno:N` has N threads unless a test says otherwise."""
    base, _, threads = name.partition(":")
    if name in KINDS:
        return KINDS[name]
    if base != "stheno" or not threads.isdigit():
        sys.exit(f"no server {name!r}; there are stheno[:threads], {', '.join(PEERS)}")

    class SthenoThreads(Stheno):
        def __init__(self, threads=int(threads), **options):
            super().__init__(threads=threads, **options)

    SthenoThreads.name = name
    return SthenoThreads
