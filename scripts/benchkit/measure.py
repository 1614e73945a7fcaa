"""Loads a contestant, and takes figures: CPU time, rate, memory, latency, system calls, the share of each worker."""

import email.utils
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

from lib import Progress, Trouble, fetch, proc, quantile, request

from .contestants import OUT, STHENO, Contestant


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
    """Runs `load`, which returns a report of wrk: CPU µs and context switches for each request, and requests per second."""
    pids = proc.family(pid)

    def read():
        return time.monotonic(), proc.total(pids, proc.CPU_TIME), proc.total(pids, proc.SWITCHES)
    before, requests = read(), int(re.search(r"(\d+) requests in", load())[1])
    seconds, cpu, switches = (after - was for after, was in zip(read(), before))
    if not requests or not set(pids) <= set(proc.family(pid)):
        raise Trouble(f"process {pid} has answered {requests} requests, or a worker of it has ended")
    return {"cpu": cpu / requests / 1000, "rate": requests / seconds, "switches": switches / requests}


def wrk(port, seconds, options, path="/", name="", ignores=""):
    """Runs one load on CPU 1; returns its report and prints errors that do not match `ignores`."""
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-d{seconds}", *options, f"http://127.0.0.1:{port}{path}"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    wrong = re.search(r"Non-2xx or 3xx responses: \d+|Socket errors: .*", text)
    if wrong and not (ignores and wrong[0].startswith(ignores)):
        print(f"\n    {name}: {wrong[0]}", file=sys.stderr)
    return text


def h2load(port, path, rate, clients, seconds, shares):
    """Percentiles of the latency in milliseconds at a fixed rate; None without h2load."""
    if not shutil.which("h2load"):
        return None
    log = OUT / "latency.log"
    log.unlink(missing_ok=True)
    subprocess.run(["taskset", "-c", "1", "h2load", "--h1", "-t1", f"-c{clients}", f"--rps={rate / clients:.0f}",
                    f"-D{seconds}", "--warm-up-time=1", f"--log-file={log}", f"http://127.0.0.1:{port}{path}"],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    times = [int(line.split("\t")[2]) / 1000 for line in log.read_text().splitlines()]
    return [quantile(times, share) for share in shares] if times else None


def measure(contestant, row, seconds, workers=1):
    """One round: the figures of `Meter`, and bytes of memory at rest and for each idle connection."""
    with contestant.start(workers) as server:
        def memory():
            return proc.total(proc.family(server.pid), proc.ANONYMOUS) * 1024
        rest, idle = memory(), []
        for _ in range(row.idle):
            idle.append(Reader(server.port))
            idle[-1].ask(request("/1k"))
        of_idle = (memory() - rest) / row.idle if idle else None
        headers = ["-H", row.header] if row.header else []
        if row.name == "304":
            head = fetch(server.port, request(row.path, "Connection: close", method="HEAD")).decode()
            # A server that sends no date may still compare: with the present.
            found = re.search(r"^last-modified: (.*?)\r$", head, re.I | re.M)
            headers[1] += found[1] if found else email.utils.formatdate(usegmt=True)
        # wrk counts the end of each connection as an error.
        load = {"options": [*row.wrk, *headers], "path": row.path, "name": contestant.name,
                "ignores": "Socket" if row.name == "close" else ""}
        wrk(server.port, 1, **load)
        got = cost(server.pid, lambda: wrk(server.port, seconds, **load))
        for one in idle:
            one.close()
        return got | {"memory": of_idle, "rest": rest}


def in_rounds(what, names, rounds, measure_one, digits=2):
    """Contestant → the figures of each round, in each of which another contestant is the first; prints the medians."""
    got, progress = {name: [] for name in names}, Progress()
    for number in range(rounds):
        for name in [*names[number % len(names):], *names[:number % len(names)]]:
            progress.show(f"{what}: round {number + 1} of {rounds}, {name}")
            got[name].append(measure_one(name))
    progress.show()
    print(f"{what:40}" + "  ".join(f"{name} {median(got[name], 'cpu'):.{digits}f}" for name in names), flush=True)
    return got


def run_rows(rows, options, here):
    """Row → contestant → the figures of each round."""
    return {row.name: in_rounds(row.what, [name for name in row.contestants if name in here], options.rounds,
                                lambda name, row=row: measure(here[name], row, options.seconds)) for row in rows}


def median(rounds, key):
    return statistics.median(one[key] for one in rounds)


def ratio(ours, theirs):
    """The median of the rounds' ratios of CPU time. A ratio of medians would compare different minutes, and a shared
    machine is twice as fast in one minute as in the next."""
    return statistics.median(one["cpu"] / other["cpu"] for one, other in zip(ours, theirs))


def ratio_to_best(ours, peers):
    """The largest ratio: that to the cheapest peer."""
    return max(ratio(ours, theirs) for theirs in peers)


def latency(contestant, rate):
    """p50, p99 and p99.9 in milliseconds, as text; None without h2load."""
    with contestant.start() as server:
        found = h2load(server.port, "/1k", rate, 50, 5, (0.5, 0.99, 0.999))
    return found and "/".join(f"{value:.2f}" for value in found)


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
