"""`scripts/bench shares`: how connections are shared out over the workers of each server, and what that is worth to clients
whose requests cost CPU time."""

import contextlib
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import statistics
import subprocess
import time

from lib import PROJECT, RELEASE, Trouble, proc, request, setup, until, write_part
from lib.server import PortServer

from .contestants import CONTESTANTS, OUT, STHENO, Contestant, make_root
from .measure import quartiles
from .report import machine

WORKERS = 4
SCENARIOS = {
    "8 in a burst": lambda crowd: crowd.connect(8),
    "64 in a burst": lambda crowd: crowd.connect(64),
    "1,000 in a burst": lambda crowd: crowd.connect(1000),
    "64, one each 2 ms": lambda crowd: crowd.connect(64, 0.002),
    "64, a worker killed, those of it and 64 more": lambda crowd: crowd.survive(64),
    "64 after a reload": lambda crowd: crowd.reload(64),
}
# Requests that burn CPU time, by a WSGI application on the loop.
CLIENTS, BURNED, SECONDS = 32, 0.005, 6
VENV = PROJECT / "target" / "bench-shares-venv"
BURN = f"{VENV}/bin/python -m stheno_wsgi benchkit.wsgi_apps:burns --threads 0 --host 127.0.0.1".split()


class Crowd:
    """A server of several workers, and connections that stay open after one response each."""

    def __init__(self, server):
        self.server, self.clients = server, []

    def workers(self):
        return proc.family(self.server.pid)[1:]

    def connect(self, count, pause=0.0):
        new = []
        for _ in range(count):
            client = socket.socket()
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(("127.0.0.1", self.server.port))
            new.append(client)
            time.sleep(pause) if pause else None
        for client in new:
            client.settimeout(30)
            client.sendall(request("/1k"))
        for client in new:
            answer = b""
            while len(answer.partition(b"\r\n\r\n")[2]) < 1024:
                answer += client.recv(1 << 16) or self.fail("a response was cut short")
        self.clients += new

    def fail(self, what):
        raise Trouble(f"{self.server.process.args}: {what}")

    def survive(self, count):
        """Kills a worker; its clients connect again, and as many as all before come."""
        self.connect(count)
        workers = self.workers()
        held = connections(workers[0], self.server.port)
        os.kill(workers[0], signal.SIGKILL)
        until(lambda: len(self.gone()) == held, "the clients of the worker that was killed see it")
        lost = self.gone()
        self.clients = [client for client in self.clients if client not in lost]
        self.connect(held)
        until(lambda: len(self.workers()) == WORKERS and workers[0] not in self.workers(), "the worker is replaced")
        self.connect(count)

    def gone(self):
        return select.select(self.clients, [], [], 0)[0]

    def reload(self, count):
        self.connect(count)
        old = set(self.workers())
        os.kill(self.server.pid, signal.SIGHUP)
        until(lambda: len(set(self.workers()) - old) == WORKERS, "there are new workers")
        for client in self.clients:
            client.close()
        self.clients = []
        until(lambda: not old & set(self.workers()), "the old workers are gone", 60)
        self.connect(count)

    def shares(self):
        return sorted((connections(pid, self.server.port) for pid in self.workers()), reverse=True)


def connections(pid, port):
    """How many of the descriptors of a process are connections to a port (proc_pid_net(5))."""
    rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    open_ones = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "01"}
    found = 0
    for link in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found += os.readlink(link) in open_ones
    return found


def contestants(before):
    found = [Contestant("before", [before, *STHENO[1:]])] if before else []
    modes = {"stheno": "exclusive", "shared": "shared", "reuseport": "reuseport"}
    found += [Contestant(name, [*STHENO, "--accept", mode]) for name, mode in modes.items()]
    return found + [one for one in CONTESTANTS if one.name == "nginx" and one.is_here()]


def run(contestant, scenario, tries):
    """The shares of the median try, by the largest one."""
    def once():
        with contestant.start(WORKERS) as server:
            until(lambda: len(proc.family(server.pid)) == WORKERS + 1, "all workers are there")
            crowd = Crowd(server)
            scenario(crowd)
            shares = crowd.shares()
            for client in crowd.clients:
                client.close()
        return shares
    return sorted((once() for _ in range(tries)), key=excess)[tries // 2]


def excess(shares):
    return max(shares) / statistics.mean(shares)


def burn(rounds):
    """p99 in ms of clients whose requests burn CPU time: two workers, and a perfect split: two servers of one worker, each
    with half of the clients."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "scripts"), "PYTHONDONTWRITEBYTECODE": "1"}

    def serve(workers, log):
        def command_for(port):
            return [*BURN, "-w", str(workers), "--port", str(port), "--log", "warning", "--access-log", "off"]
        return PortServer(command_for, OUT / log, "/", 20, env=environment)

    def load(*ports):
        command = [f"{RELEASE}/examples/stheno_load", "--users", str(CLIENTS // len(ports)), "--wait", "0-0", "--spawn-rate",
                   "100000", "--time", str(SECONDS), "--warm-up", "1"]
        pipes = {"stdout": subprocess.PIPE, "text": True}
        running = [subprocess.Popen([*command, "--url", f"http://127.0.0.1:{port}/"], **pipes) for port in ports]
        times = [re.findall(r"([\d.]+) (µs|ms|s)\b", re.search(r"response.*", one.communicate()[0])[0]) for one in running]
        return max(float(row[4][0]) * {"µs": 0.001, "ms": 1, "s": 1000}[row[4][1]] for row in times)
    shared, split = [], []
    for _ in range(rounds):
        with serve(2, "burn.err") as server:
            shared.append(load(server.port))
        with serve(1, "burn-1.err") as one, serve(1, "burn-2.err") as other:
            split.append(load(one.port, other.port))
    ratios = [one / other for one, other in zip(shared, split)]
    return statistics.median(shared), statistics.median(split), quartiles(ratios)


def bench(options):
    setup.install({"nginx": "nginx-light"})
    setup.build("stheno", "stheno_load")
    make_root()
    found = {}
    for one in contestants(options.before):
        for title, scenario in SCENARIOS.items():
            found.setdefault(title, {})[one.name] = shares = run(one, scenario, 5)
            print(f"{one.name:10} {title:46} {'/'.join(map(str, shares)):24} {excess(shares):.2f}", flush=True)
    # This project as `pip install .` builds it.
    python = setup.venv(VENV, ["pip"])
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps", PROJECT], check=True)
    text = as_text(found, burn(max(options.rounds, 9)))
    picture = OUT / "shares.svg"
    draw(found, picture)
    if options.docs:
        write_part("BENCHMARKS.md", "scripts/bench shares", text)
        shutil.copy(picture, PROJECT / "docs" / "img")
    print(text)


def as_text(found, burned):
    names = list(next(iter(found.values())))
    lines = [f"{WORKERS} workers, connections that stay open; in parentheses the largest share over the mean. Medians of 5 tries "
             f"by that. {machine()}", "", "| connections | " + " | ".join(names) + " | bar |", "|---|" + "---|" * (len(names) + 1)]
    for title, got in found.items():
        cells = [f"{'/'.join(map(str, got[name]))} ({excess(got[name]):.2f})" for name in names]
        lines.append(f"| {title} | " + " | ".join(cells) + f" | {'≤ 3 on one' if title.startswith('8') else '≤ 1.25'} |")
    shared, split, (low, middle, high) = burned
    lines += ["", f"{CLIENTS} clients whose requests burn {BURNED * 1000:.0f} ms of CPU time each (WSGI, `--threads 0`, `-w 2`): "
              f"p99 {shared:.0f} ms, with a perfect split (two servers, half of the clients each) {split:.0f} ms; ratio "
              f"{middle:.2f} ({low:.2f} to {high:.2f}); bar ≤ 1.2."]
    return "\n".join(lines) + "\n"


COLOURS = ["#0b7a75", "#74b3ae", "#d5a021", "#b9b4a7"]


def draw(found, path):
    """Writes a picture by hand: one bar for each server and kind of arrival, and in it one part for each worker."""
    width, line, left = 420, 16, 150
    rows, y = [], 10
    for title, got in found.items():
        rows.append(f'<text x="0" y="{y + 12}" font-weight="bold">{title}</text>')
        y += line + 4
        for name, shares in got.items():
            rows.append(f'<text x="{left - 8}" y="{y + 11}" text-anchor="end">{name}</text>')
            x = left
            for share, colour in zip(shares, COLOURS):
                size = width * share / sum(shares)
                rows.append(f'<rect x="{x:.1f}" y="{y}" width="{max(size - 1, 0):.1f}" height="12" fill="{colour}"/>')
                x += size
            rows.append(f'<text x="{left + width + 8}" y="{y + 11}">{excess(shares):.2f}</text>')
            y += line
        y += 8
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="640" height="{y}" viewBox="0 0 640 {y}" '
                    'font-family="DejaVu Sans, sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="#fff"/>\n'
                    + "\n".join(rows) + "\n</svg>\n", encoding="utf-8")
