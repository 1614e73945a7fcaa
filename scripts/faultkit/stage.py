"""One server with one fault: what clients and an operator do to it, and what came of it."""

import collections
import contextlib
import dataclasses
import glob
import hashlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

from lib import PROJECT, Trouble, fetch, proc, request, setup, until

from .table import OUTCOMES, Fault

OUT = PROJECT / "target" / "faults"
ROOT, NOT_CALLED = OUT / "root", "not called"
# No wait is longer; with `--grace 2` a server ends sooner.
PATIENCE = 10.0
SMALL, LARGE = b"hello\n", hashlib.sha256(b"large").digest() * 20_000
# Each connection: what it asks for, the statuses, and what the response has to contain. A file that is younger than two
# seconds is sent in another way: NEW is the one of this run.
CLIENTS = [(["/small"], ["200"], SMALL), (["/large"], ["200"], LARGE), (["/NEW"], ["200"], LARGE), (["/missing"], ["404"], b""),
           (["/dir/"], ["200"], b"inside"), (["/small", "/missing", "/small"], ["200", "404", "200"], SMALL)]
# Orders, and the lines of the log after which each is over, well or not.
ORDERS = {signal.SIGUSR1: "reopened|cannot be opened", signal.SIGHUP: "read again|stays in force"}


def can_trace():
    """Whether strace(1) is here and may trace; it is installed when that is possible."""
    setup.install({"strace": "strace"})
    with contextlib.suppress(OSError):
        return not subprocess.run(["strace", "-qqo", os.devnull, "true"], stderr=subprocess.DEVNULL, check=False).returncode
    return False


def prepare(program):
    """Makes the files; returns how often the loader and the runtime make each call before the program begins."""
    (ROOT / "dir").mkdir(parents=True, exist_ok=True)
    for name, content in {"small": SMALL, "large": LARGE, "dir/inside": b""}.items():
        if not (ROOT / name).exists():
            (ROOT / name).write_bytes(content)
    trace = OUT / "before"
    subprocess.run(["strace", "-qqo", trace, program, "--version"], stdout=subprocess.DEVNULL, check=True)
    before, _, _ = trace.read_text(errors="replace").partition("\nwrite(1, ")
    return collections.Counter(re.findall(r"^(\w+)\(", before, re.M))


def play(program, fault, skipped):
    """Runs one fault; the folder of a run as it was expected is removed."""
    stage = Stage(program, fault, skipped[fault.call] if fault.place == "master" else 0)
    try:
        stage.run()
    except (Trouble, OSError) as error:
        stage.wrong.append(f"{type(error).__name__} {error}")
    finally:
        stage.clean_up()
    order = list(OUTCOMES)
    if "INJECTED" not in stage.said("trace"):
        stage.outcome = NOT_CALLED
    elif order.index(stage.outcome) > order.index(fault.worst):
        stage.wrong.append(f"worse than {fault.worst}")
    if not stage.wrong:
        shutil.rmtree(stage.folder)
    return stage


@dataclasses.dataclass
class Stage:
    program: pathlib.Path
    fault: Fault
    skipped: int
    outcome: str = "retried"
    wrong: list = dataclasses.field(default_factory=list)
    asked: int = 0
    tracer: subprocess.Popen = None

    def __post_init__(self):
        fault, self.seen = self.fault, set()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{fault}-".replace(" ", "-"), dir=OUT))
        self.new = ROOT / self.folder.name
        self.new.write_bytes(LARGE)
        first, *every = fault.when.split("+")
        when = "+".join([str(int(first) + self.skipped), *every])
        # The mark lets a machine be without a call of another one.
        self.strace = ["strace", "-o", self.folder / "trace", "-e", f"trace=?{fault.call}",
                       "-e", f"inject=?{fault.call}:error={fault.error}:when={when}"]
        # -D: the server is our child, and strace its grandchild.
        trace = [] if fault.place == "worker" else [*self.strace, "-D", "-qq", *["-f"] * (fault.place == "all")]
        words = [*trace, self.program, "--host", "127.0.0.1", "--port", "0", "-r", ROOT, "-w", "2", "--listing", "--grace", "2",
                 "--access-log", self.folder / "access", "--pidfile", self.folder / "pid"]
        with (self.folder / "log").open("w") as log:
            quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "start_new_session": True}
            self.process = subprocess.Popen(list(map(str, words)), stderr=log, **quiet)

    def saw(self, outcome):
        """Keeps the worst outcome."""
        self.outcome = max(self.outcome, outcome, key=list(OUTCOMES).index)

    def said(self, name="log"):
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / name).read_text(errors="replace")
        return ""

    def loses_lines(self):
        return self.fault.call == "write"

    def is_over(self):
        return self.process.poll() is not None

    def wait(self, condition, what):
        until(lambda: condition() or self.is_over(), what, PATIENCE, 0.01)
        if self.is_over():
            raise Trouble(f"the server has ended with {self.process.returncode} before: {what}")

    def workers(self):
        """Live children with the title of a worker, which prctl(2) sets; a child that tries a new configuration has another."""
        title = "stheno" if self.fault.call == "prctl" else "worker"
        return [pid for pid in proc.children(self.process.pid) if proc.is_alive(pid) and title in comm(pid)]

    def run(self):
        # The last of the start-up lines may be one that the fault takes.
        has_started = lambda: (self.folder / "pid").exists() and (self.loses_lines() or "  stop " in self.said())
        until(lambda: has_started() or self.is_over(), "the server starts", PATIENCE, 0.01)
        if self.is_over():
            self.saw("start")
            if self.process.returncode <= 0 or not self.said().strip() or "panicked" in self.said():
                self.wrong.append(f"exit code {self.process.returncode}: {self.said()[:100]!r}")
            return self.check_remains()
        self.port = listening_port(self.process.pid)
        self.wait(lambda: len(self.workers()) == 2, "two workers")
        before = self.descriptors()
        if self.fault.place == "worker":
            self.attach()
        self.ask()
        for number, over in ORDERS.items():
            self.order(number, over)
        self.wait(lambda: len(self.workers()) == 2, "two workers after the reload")
        self.ask()
        victim = self.workers()[0]
        self.seen.discard(victim)
        os.kill(victim, signal.SIGKILL)
        self.wait(lambda: len(self.workers()) == 2 and victim not in self.workers(), "another worker")
        self.ask()
        with contextlib.suppress(Trouble):
            until(lambda: all(now <= then for now, then in zip(self.descriptors(), before)), "", 4, 0.05)
            return self.end(victim)
        self.wrong.append(f"descriptors leak: {before}, then {self.descriptors()}")
        return self.end(victim)

    def descriptors(self):
        """Those of the master, and of the worker with the most."""
        return proc.descriptors(self.process.pid), max(map(proc.descriptors, self.workers()), default=0)

    def attach(self):
        words = [*self.strace, "-f", *[word for pid in self.workers() for word in ("-p", pid)]]
        with (self.folder / "attached").open("w") as out:
            self.tracer = subprocess.Popen(list(map(str, words)), stderr=out, stdin=subprocess.DEVNULL)
        self.wait(lambda: self.said("attached").count("attached") >= 2, "strace attaches")

    def order(self, number, over):
        length = len(self.said())
        os.kill(self.process.pid, number)
        with contextlib.suppress(*[Trouble] * self.loses_lines()):
            self.wait(lambda: re.search(over, self.said()[length:]), f"a line about {number.name}")
            if not re.search("reopened|read again", self.said()[length:]):
                self.saw("request")

    def ask(self):
        """One connection of each kind; each request has a number, by which the access log is searched."""
        self.seen.update(self.workers())
        for paths, statuses, part in CLIENTS:
            length, marks = len(self.said()), []
            for path in paths:
                self.asked += 1
                marks.append(f"{path.replace('NEW', self.new.name)}?{self.asked}")
            *others, last = marks
            try:
                answer = fetch(self.port, b"".join([*map(request, others), request(last, "Connection: close")]), PATIENCE)
            except TimeoutError:
                self.wrong.append(f"no answer to {paths}")
                continue
            except OSError:
                answer = b""
            found = re.findall(r"^HTTP/1.1 (\d+) ", answer.decode("latin-1"), re.M)
            if found == statuses and part in answer:
                continue
            is_whole = len(found) == len(statuses) and found != statuses
            self.saw("request" if is_whole else "connection")
            # The line of a response that was cut short may be written after the connection has ended.
            with contextlib.suppress(Trouble):
                until(lambda: is_whole or self.said()[length:] or all(f"{mark} " in self.said("access") for mark in marks), "", 1)
                continue
            self.wrong.append(f"{paths} were lost without a line: {answer[:60]!r}")

    def end(self, victim):
        log = re.sub(rf".*worker {victim} has died.*", "", self.said().partition("  stop ")[2])
        for pid in self.seen - set(self.workers()):
            if not re.search(rf"\b{pid}\b", log) and not self.loses_lines():
                self.wrong.append(f"worker {pid} has ended without a line")
        if re.search("has died|to abort|ends its service", log):
            self.saw("process")
        self.process.send_signal(signal.SIGTERM)
        until(self.is_over, "the server ends after TERM", PATIENCE, 0.01)
        if self.process.returncode:
            self.wrong.append(f"exit code {self.process.returncode}")
        self.check_remains()

    def check_remains(self):
        with contextlib.suppress(Trouble):
            until(lambda: not self.remaining(), "", 1)
        if left := self.remaining():
            self.wrong.append(f"processes are left: {left}")
        if (self.folder / "pid").exists() and "cannot be removed" not in self.said():
            self.wrong.append("the pid file is left")

    def remaining(self):
        """The live processes of the server's session, without strace."""
        found = []
        for path in glob.glob("/proc/[0-9]*"):
            pid = int(path.rpartition("/")[2])
            with contextlib.suppress(OSError):
                if os.getsid(pid) == self.process.pid and proc.is_alive(pid) and "stheno" in comm(pid):
                    found.append(pid)
        return found

    def clean_up(self):
        for pid in self.remaining():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        if self.tracer:
            self.tracer.wait()
        self.new.unlink()


def comm(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/comm").read_text()
    return ""


def listening_port(pid):
    held = {os.readlink(path) for path in glob.glob(f"/proc/{pid}/fd/*")}
    rows = [row.split() for row in pathlib.Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return next(int(row[1].split(":")[1], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in held)
