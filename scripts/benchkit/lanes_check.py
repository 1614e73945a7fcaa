"""Checks that a lane serves what it has to: a server that answers wrongly may be as fast as it likes."""

import contextlib
import re
import signal
import socket
import subprocess

from lib import RELEASE, Trouble, request

from .contestants import FILES, OUT, ROOT

# Bounds each read, and each end of a process.
PATIENCE = 10


class Client:
    """One connection that reads responses."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def send(self, payload):
        self.socket.sendall(payload)

    def read(self, is_head=False):
        """The status, `Content-Length`, and the body."""
        lines = list(iter(lambda: self.file.readline().strip(), b""))
        fields = dict(line.lower().split(b":", 1) for line in lines[1:])
        length = int(fields.get(b"content-length", -1)) if lines else -1
        body = b"" if is_head or length < 0 else self.file.read(length)
        return (int(lines[0].split()[1]) if lines else 0), length, body


def check(lane, parses, files, no_ring):
    """Raises `Trouble` unless the lane answers as it has to, and ends as it has to. `parses`: it reads its requests;
    `files`: it looks for what they name. `no_ring`: what a lane on io_uring says when it gets no ring."""
    try:
        serves(lane, parses, files)
        if lane.name.startswith("uring-"):
            refuses(lane, 0, no_ring, "strace", "-f", "-o", "/dev/null", "-e", "inject=io_uring_setup:error=EPERM")
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise Trouble(f"{lane.name}: {error}") from error
    print(f"{lane.name} answers and ends as it has to", flush=True)


def serves(lane, parses, files):
    for workers, ends_by in ((1, signal.SIGINT), (2, signal.SIGTERM)):
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(lane.start(workers))
            server.polite = ends_by
            for _ in range(2 * workers):
                answers(lane.name, server.port, parses, files)
            if workers == 1:
                refuses(lane, server.port, "in use|taken")
            # An idle connection holds nothing up.
            idle = stack.enter_context(Client(server.port))
            idle.send(request("/1k"))
            wanted(lane.name, "a connection that stays idle", idle.read()[0], 200)
            server.end(PATIENCE)
            wanted(lane.name, f"exit code after {ends_by.name}", server.process.returncode, 0)


def wanted(lane, what, got, should):
    if got != should:
        raise Trouble(f"{lane}: {what}: {str(got)[:200]}, not {str(should)[:200]}")


def answers(lane, port, parses, files):
    def is_file(what, got, name="1k"):
        size = FILES[name]
        wanted(lane, f"{what}: status and length", got[:2], (200, size))
        wanted(lane, f"{what}: body", got[2] == b"x" * size, True)
    with Client(port) as client:
        for _ in range(2):
            client.send(request("/1k"))
            is_file("kept alive", client.read())
        client.send(request("/1k") * 16)
        for _ in range(16):
            is_file("pipelined", client.read())
        if files:
            client.send(request("/10m"))
            is_file("a large file", client.read(), "10m")
            client.send(request("/none"))
            wanted(lane, "a missing file", client.read()[0], 404)
        if parses:
            client.send(request("/1k", method="HEAD"))
            wanted(lane, "HEAD", client.read(is_head=True)[:2], (200, FILES["1k"]))
            client.send(request("/1k", "Connection: close"))
            is_file("Connection: close", client.read())
            wanted(lane, "Connection: close: nothing follows, and it closes", client.file.read(), b"")


def refuses(lane, port, why, *before):
    """A start that fails: with an exit code, and one line that matches `why`."""
    values = {"port": port, "root": ROOT, "workers": 1, "bin": RELEASE, "out": OUT, "config": "", "log": "off"}
    run = subprocess.run([*before, *(word % values for word in lane.command)], capture_output=True, text=True,
                         timeout=PATIENCE, check=False)
    wanted(lane.name, f"an exit code that says {why}", run.returncode > 0, True)
    lines = run.stderr.strip().splitlines()
    if len(lines) != 1 or not re.search(why, lines[0]):
        raise Trouble(f"{lane.name}: not one line that says {why}: {run.stderr}")
