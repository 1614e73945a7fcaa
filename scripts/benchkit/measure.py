"""Loads a contestant, and takes figures: CPU time, rate, memory, system calls, the share of each worker."""

import dataclasses
import email.utils
import math
import pathlib
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

from lib import PROJECT, Progress, Trouble, fetch, proc, request
from lib.server import Child

from .contestants import LOG, OUT, PLAIN, STHENO, Contestant


class Metronome:
    """Knows how late the machine was: a process that sleeps for 10 ms, again and again, as the lab's does. A measurement in
    which a sleep ended too late is made again; too many of them end the run."""

    EVERY, TRIES = 0.01, 4

    def __init__(self):
        self.path, self.most, self.child, self.late, self.measured = OUT / "sleeps.csv", None, None, 0, 0

    def start(self, milliseconds):
        """Listens from now on; a sleep may end so many milliseconds late."""
        self.most = milliseconds
        self.path.write_text("")
        script = PROJECT / "scripts" / "labkit" / "metronome.py"
        self.child = Child([sys.executable, "-S", str(script), str(self.EVERY), str(self.path)], OUT / "metronome.txt")

    def latest(self, begun):
        """By how many milliseconds the latest sleep was late of those that ended since `begun`."""
        with open(self.path, "rb") as file:
            file.seek(begun)
            lines = file.read().decode().splitlines()[1:]
        return max((float(line.split(",")[1]) for line in lines if line.count(",") == 1), default=0) - self.EVERY * 1000

    def measure(self, once):
        """The result of `once()`, in a time in which the machine was not late."""
        if self.most is None:
            return once()
        for _ in range(self.TRIES):
            begun, self.measured = self.path.stat().st_size, self.measured + 1
            found = once()
            late = self.latest(begun)
            if late <= self.most:
                return found
            self.late += 1
        raise Trouble(f"the machine was late by up to {late:.0f} ms, {self.TRIES} times in a row: nothing is written")

    def summary(self):
        return (f"{self.late} of {self.measured} measurements were made again, because a sleep of {self.EVERY * 1000:.0f} ms "
                f"ended more than {self.most:g} ms late meanwhile.")

    def end(self):
        if self.child:
            self.child.end()


TIMED = Metronome()


class Reader:
    """One connection that reads whole responses."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.file = self.socket.makefile("rb", 1 << 20)

    def ask(self, payload, batch=1):
        """Sends `batch` requests at once and reads their responses."""
        self.socket.sendall(payload * batch)
        for _ in range(batch):
            self.read()

    def read(self):
        length = -1
        while (line := self.file.readline()).strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        if length < 0 or len(self.file.read(length)) < length:
            raise Trouble("the server closed in the middle of a response")

    def close(self):
        self.file.close()
        self.socket.close()


def cost(pid, load):
    """Runs `load`, which returns a report of wrk: CPU µs and context switches for each request, requests per second, and the
    client's share of a CPU."""
    pids = proc.family(pid)

    def read():
        return time.monotonic(), proc.total(pids, proc.CPU_TIME), proc.total(pids, proc.SWITCHES)
    client, before, requests = client_seconds(), read(), int(re.search(r"(\d+) requests in", load())[1])
    seconds, cpu, switches = (after - was for after, was in zip(read(), before))
    if not requests or not set(pids) <= set(proc.family(pid)):
        raise Trouble(f"process {pid} has answered {requests} requests, or a worker of it has ended")
    return {"cpu": cpu / requests / 1000, "rate": requests / seconds, "switches": switches / requests,
            "client": (client_seconds() - client) / seconds}


def client_seconds():
    """The CPU time of all children that have ended: clients, between the start of a server and its end."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


# The caches of a connection's objects in the kernel.
CACHES = r"TCP|sock_inode_cache|filp|eventpoll_\w+|tcp_bind2?_bucket|skbuff_\w+"


def kernel_memory():
    """Bytes of the kernel's sockets, files and epoll entries, and of TCP's queues; nan if only root may see them."""
    try:
        table = pathlib.Path("/proc/slabinfo").read_text()
    except OSError:
        return math.nan
    found = re.findall(rf"^(?:{CACHES}) +(\d+) +\d+ +(\d+) ", table, re.M)
    objects = sum(int(count) * int(size) for count, size in found)
    pages = int(re.search(r"TCP: .* mem (\d+)", pathlib.Path("/proc/net/sockstat").read_text())[1])
    return objects + pages * resource.getpagesize()


def wrk(port, seconds, options, path="/", name="", ignores=""):
    """Runs one load on CPU 1; returns its report and prints errors that do not match `ignores`."""
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-d{seconds}", *options, f"http://127.0.0.1:{port}{path}"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    wrong = re.search(r"Non-2xx or 3xx responses: \d+|Socket errors: .*", text)
    if wrong and not (ignores and wrong[0].startswith(ignores)):
        print(f"\n    {name}: {wrong[0]}", file=sys.stderr)
    return text


def warm_up(port, options, path, **_):
    """The load for a third of a second: files are cached, and buffers are made."""
    subprocess.run(["timeout", "-s", "INT", "0.3", "taskset", "-c", "1", "wrk", "-t1", "-d5", *options,
                    f"http://127.0.0.1:{port}{path}"], stdout=subprocess.DEVNULL, check=False)


def measure(contestant, row, seconds):
    """One round: the figures of `cost`, and bytes of memory at rest and for each idle connection: the server's own, and those
    of the kernel for both ends."""
    with contestant.start(row.workers, row.deferred, row.logs) as server:
        def memory():
            return proc.total(proc.family(server.pid), proc.ANONYMOUS) * 1024
        rest, kernel, idle = memory(), kernel_memory(), []
        for _ in range(row.idle):
            idle.append(Reader(server.port))
            idle[-1].ask(request("/1k"))
        of_idle = {"memory": (memory() - rest) / row.idle, "kernel": (kernel_memory() - kernel) / row.idle} if idle else {}
        headers = ["-H", row.header] if row.header else []
        if row.header.startswith("If-Modified-Since"):
            head = fetch(server.port, request(row.path, "Connection: close", method="HEAD")).decode()
            # A server that sends no date may still compare: with the present.
            found = re.search(r"^last-modified: (.*?)\r$", head, re.I | re.M)
            headers[1] += found[1] if found else email.utils.formatdate(usegmt=True)
        # wrk counts the end of each connection as an error.
        load = {"options": [*row.wrk, *headers], "path": row.path, "name": contestant.name,
                "ignores": "Socket" if row.name.startswith("close") else ""}
        warm_up(server.port, **load)
        got = cost(server.pid, lambda: wrk(server.port, seconds, **load))
        for one in idle:
            one.close()
        return got | of_idle | {"rest": rest}


def in_rounds(what, names, rounds, measure_one, digits=2):
    """Contestant → the figures of each round, in each of which another contestant is the first; prints the medians."""
    got, progress = {name: [] for name in names}, Progress()
    for number in range(rounds):
        for name in [*names[number % len(names):], *names[:number % len(names)]]:
            progress.show(f"{what}: round {number + 1} of {rounds}, {name}")
            got[name].append(TIMED.measure(lambda: measure_one(name)))
    progress.show()
    show_medians(what, got, "cpu", digits)
    return got


def show_medians(what, got, key, digits):
    print(f"{what:40}" + "  ".join(f"{name} {median(rounds, key):.{digits}f}" for name, rounds in got.items()), flush=True)


def run_rows(rows, options, here):
    """Row → contestant → the figures of each round."""
    def once(row, name):
        if name == PLAIN:
            row, name = dataclasses.replace(row, header="", idle=0, logs=False), PLAIN.split()[0]
        try:
            return measure(here[name], row, options.seconds)
        finally:
            LOG.unlink(missing_ok=True)
    return {row.name: in_rounds(row.what, [name for name in row.contestants if name in here or name == PLAIN],
                                options.rounds, lambda name, row=row: once(row, name)) for row in rows}


def median(rounds, key):
    return statistics.median(one[key] for one in rounds)


def quartiles(values):
    """The first quartile, the median, and the third."""
    values = sorted(values)
    return statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3


def ratios(ours, theirs):
    """The quartiles of the rounds' ratios of CPU time. A ratio of medians would compare different minutes, and a shared
    machine is twice as fast in one minute as in the next."""
    return quartiles([one["cpu"] / other["cpu"] for one, other in zip(ours, theirs)])


def ratio(ours, theirs):
    return ratios(ours, theirs)[1]


def ratios_to_best(ours, peers):
    """Those with the largest median: to the cheapest peer."""
    return max((ratios(ours, theirs) for theirs in peers), key=lambda found: found[1])


def ratio_to_best(ours, peers):
    return ratios_to_best(ours, peers)[1]


def balance(mode):
    """Connections of each of four workers: one connection at a time, and 64 at a time."""
    figures, log = {}, OUT / "balance.log"
    ours = Contestant("balance", [*STHENO[:7], "--accept", mode, "--log", "debug", "--logfile", str(log),
                                  "--access-log", "off"])
    for kind, concurrent in (("sequential", 1), ("64 at a time", 64)):
        log.unlink(missing_ok=True)
        with ours.start(workers=4) as server:
            for _ in range(800 // concurrent):
                readers = [Reader(server.port) for _ in range(concurrent)]
                for reader in readers:
                    reader.socket.sendall(request("/1k", "Connection: close"))
                for reader in readers:
                    reader.read()
                    reader.close()
        workers = re.findall(r"^stheno: (\d+) Incoming", log.read_text(), re.M)
        figures[kind] = sorted((workers.count(pid) for pid in set(workers)), reverse=True)
    return figures


def drive(port, workload, requests):
    """Has the server answer this many requests, in batches as the workload says."""
    payload, batch, closes = workload
    reader = Reader(port)
    for _ in range(requests // batch):
        reader = Reader(port) if closes else reader
        reader.ask(payload, batch)
        if closes:
            reader.close()


def system_calls(contestant, workload, requests=1000):
    """System calls of the worker for each request, by name; None without strace."""
    if not shutil.which("strace"):
        return None
    trace, calls = OUT / "strace.txt", {}
    with contestant.start() as server:
        # A worker may set itself up until it has answered its first requests.
        drive(server.port, workload, workload[1])
        command = ["strace", "-f", "-c", "-o", str(trace), "-p", str(proc.family(server.pid)[-1])]
        strace = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        strace.stderr.readline()
        drive(server.port, workload, requests)
        strace.send_signal(signal.SIGINT)
        strace.wait()
    for line in trace.read_text().splitlines():
        words = line.split()
        if len(words) >= 5 and words[0].replace(".", "").isdigit() and words[-1] != "total":
            calls[words[-1]] = int(words[3]) / requests
    return {name: round(number, 2) for name, number in calls.items() if number >= 0.02}
