"""Servers that run: one process for each set of options, kept until the column is done."""

import contextlib
import os
import pathlib
import pty
import shutil
import socket
import subprocess
import threading

from lib import Trouble, proc, until
from lib.server import Child

from . import TARGET, folder, wire
from .servers import Option

# Runs a command in a network of its own, where no port is taken; 198.51.100.7 stands for the address in the LAN.
ALONE = ["unshare", "-rn", "sh", "-c", "ip link set lo up; ip link add lan type veth peer name far; "
         "ip addr add 198.51.100.7/24 dev lan; ip link set lan up; ip link set far up; exec \"$@\"", "sh"]

HOME = str(TARGET / "home")
# No server writes into the home of the person, or asks for updates.
QUIET = {"HOME": HOME, "XDG_DATA_HOME": HOME, "XDG_CONFIG_HOME": HOME, "NO_UPDATE_CHECK": "1", "PYTHONUNBUFFERED": "1"}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Running(Child):
    """A server that listens. `log` is where its output goes; what it writes into files of its own is beside it. `second` is
    another port, for options that need one."""

    def __init__(self, command, log, ports, polite, environment):
        (self.port, self.second), self.log, self.socket = ports, log, pathlib.Path(f"{log}.sock")
        super().__init__(command, log, polite, env=os.environ | QUIET | environment)
        self.wait_until_ready(self.listens, log, 20)

    def listens(self):
        if self.socket.exists():
            return True
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def output(self):
        """All that the server has written."""
        files = [self.log, *sorted(self.log.parent.glob(f"{self.log.name}.access*"))]
        return "".join(file.read_text(errors="replace") for file in files)

    def says(self, what, seconds=3.0):
        """Whether `what(output)` becomes true within these seconds."""
        with contextlib.suppress(Trouble):
            until(lambda: what(self.output()), "the log says it", seconds, 0.02)
        return what(self.output())

    def ask(self, path, *fields, **options):
        return wire.ask(self.port, path, *fields, **options)

    def everyone(self):
        return proc.family(self.pid)


class Stage:
    """One server and its processes."""

    def __init__(self, server):
        self.server, self.processes, self.failed = server, {}, {}
        self.lock, self.place = threading.Lock(), TARGET / "runs" / server.name.replace(" ", "-")
        shutil.rmtree(self.place, ignore_errors=True)
        folder.make_certificate(self.place, "first")

    def options(self, keys):
        """The options for these features, where the server has them."""
        found = [self.server.options[key] for key in keys if key in self.server.options]
        return [Option(words=one) if isinstance(one, str) else one for one in found]

    def running(self, *keys):
        """The server with the options for these features; raises `Trouble` if it does not start with them."""
        options = self.options(keys)
        name = "-".join(key for key in keys if key in self.server.options) or "plain"
        with self.lock:
            if name in self.failed:
                raise Trouble(self.failed[name])
            if name not in self.processes or self.processes[name].is_over():
                if name in self.processes:
                    print(f"{self.server.name} has ended during a probe: see {self.place / name}", flush=True)
                try:
                    self.processes[name] = self.start(options, name, {})
                except Trouble as trouble:
                    self.failed[name] = str(trouble)
                    raise
            return self.processes[name]

    def command(self, options, name, port, host="127.0.0.1", second=0):
        """The words that start the server; its configuration file is written."""
        log = self.place / name
        values = folder.values() | {"host": host, "port": port, "second": second, "log": log, "config": f"{log}.toml",
                                    "socket": f"{log}.sock", "cert": self.place / "cert.pem", "key": self.place / "key.pem"}
        words, text = self.server.line(options, values)
        pathlib.Path(values["config"]).write_text(text)
        return words

    def start(self, options, name, environment):
        port, second = free_port(), free_port()
        command = self.command(options, name, port, second=second)
        return Running(command, self.place / name, (port, second), self.server.polite, environment)

    @contextlib.contextmanager
    def fresh(self, *keys, **environment):
        """A process for one probe, which may end it."""
        name = "-".join(["fresh", *(key for key in keys if key in self.server.options), *environment]).lower()
        with self.start(self.options(keys), name, environment) as running:
            yield running

    def end(self):
        for process in self.processes.values():
            process.end()


@contextlib.contextmanager
def as_typed(words, seconds=10):
    """A command in a network of its own, typed in the served folder, on a terminal. Yields the process and a function that
    returns what it has shown; waits until the process listens or ends."""
    ours, theirs = pty.openpty()
    shown = []

    def read():
        with contextlib.suppress(OSError):
            while data := os.read(ours, 1 << 16):
                shown.append(data)
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "cwd": folder.ROOT}
    with Child([*ALONE, *map(str, words)], env=os.environ | QUIET | {"TERM": "xterm-256color"}, **streams) as child:
        os.close(theirs)
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        with contextlib.suppress(Trouble):
            until(lambda: child.is_over() or listening(child.pid), "it listens", seconds, 0.05)
        yield child, lambda: b"".join(shown).decode(errors="replace")
        child.end()
        reader.join(2)
        os.close(ours)


def listening(pid):
    """The addresses on which the network of a process listens: `127.0.0.1:80`, `*:80`. None as long as it is in ours."""
    found = set()
    if in_our_network(pid):
        return []
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in pathlib.Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == "0A":
                    address, port = words[1].split(":")
                    found.add(f"{SPELT.get(address, address)}:{int(port, 16)}")
    return sorted(found)


SPELT = {"0100007F": "127.0.0.1", "00000000": "*", "0" * 32: "*", "0" * 24 + "01000000": "[::1]"}


def in_our_network(pid):
    """Whether the process is still in our network."""
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/self/ns/net")
    return True


def fetch_inside(pid, address, path):
    """What a client in the network of the process gets."""
    host, _, port = address.rpartition(":")
    url = f"http://{'127.0.0.1' if host == '*' else host}:{port}{path}"
    command = ["nsenter", "-U", "--preserve-credentials", "-n", "-t", str(pid), "curl", "-gs", "-m", "5", url]
    return subprocess.run(command, capture_output=True, check=False).stdout


def can_isolate():
    """Whether networks of one's own can be made here."""
    with contextlib.suppress(OSError):
        run = subprocess.run([*ALONE, "true"], capture_output=True, check=False)
        return bool(shutil.which("curl")) and run.returncode == 0
    return False
