"""Latency since a request was due, by examples/stheno_load at a fixed rate: a server that stands still delays every request
that is due meanwhile, and each of them counts. A client that waits for it would count one."""

import csv
import os
import re
import subprocess

from lib import RELEASE, Trouble, proc
from lib.server import Child

from .contestants import OURS, OUT, TWINS, Contestant
from .measure import TIMED, client_seconds, quartiles, show_medians

PERCENTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
SHARES = [share / 10 for share in range(1, 10)]
CONNECTIONS = 64
# Seconds of each point of a curve, and those at its start that do not count.
POINT, WARM_UP = 0.8, 0.2
# Requests a second on two workers: the others, and those that compute for as many milliseconds.
OTHERS, BURNING, BURN = 4000, 40, 5
# What serves beside requests that compute: the server and its twin, with one service.
BURNERS = [Contestant(name, [f"%(bin)s/examples/{program}", "--port", "%(port)s", "-r", "%(root)s", "-w", "%(workers)s",
                             "--log", "warning", "--access-log", "off", *runtime])
           for name, program, runtime in [(OURS, "burning", []),
                                          *[(twin, "tokio_httpd", ["--runtime", twin.split("-")[1]]) for twin in TWINS]]]


def command(port, path, *words):
    return ["taskset", "-c", "1", str(RELEASE / "examples" / "stheno_load"), "--url", f"http://127.0.0.1:{port}{path}",
            *map(str, words)]


def load(*words):
    """Runs the client; returns its report. A request that fails ends the measurement."""
    report = subprocess.run(command(*words), capture_output=True, text=True, check=True).stdout
    if "failures" in report:
        raise Trouble(f"requests have failed:\n{report}")
    return report


def at_rate(port, path, rate, seconds, connections=CONNECTIONS, warm_up=WARM_UP):
    """Percentile → milliseconds since due, the share of the rate that was answered, and the client's share of a CPU."""
    table, cpu = OUT / "latency.csv", client_seconds()
    report = load(port, path, "--rate", rate, "--connections", connections, "--time", seconds, "--warm-up", warm_up,
                  "--percentiles", table)
    rows = list(csv.DictReader(table.read_text().splitlines()))
    found = {name: min(((abs(float(row["share"]) - share), float(row["since_due_ms"])) for row in rows))[1]
             for name, share in PERCENTILES.items()}
    answered = float(re.search(r"rate +([\d.]+)", report)[1]) / rate
    return found | {"answered": answered, "client": (client_seconds() - cpu) / seconds}


def capacity(contestant):
    """Requests a second that one worker and this client reach together without a schedule, rounded to thousands."""
    def once():
        with contestant.start() as server:
            report = load(server.port, "/1k", "--users", CONNECTIONS, "--wait", "0-0", "--spawn-rate", 1e6, "--time", 1.5,
                          "--warm-up", 0.5)
        return float(re.search(r"rate +([\d.]+)", report)[1])
    return round(sorted(TIMED.measure(once) for _ in range(3))[1], -3)


def curves(here, names, rounds):
    """Name → rate → the figures of each round. All have the same rates: shares of what `stheno` can."""
    names, most = [name for name in names if name in here], capacity(here[OURS])
    rates = [round(most * share) for share in SHARES]
    got = {name: {rate: [] for rate in rates} for name in names}
    for number in range(rounds):
        for name in [*names[number % len(names):], *names[:number % len(names)]]:
            with here[name].start() as server:
                at_rate(server.port, "/1k", rates[0], 0.3, warm_up=0)
                for rate in rates:
                    got[name][rate].append(TIMED.measure(lambda: at_rate(server.port, "/1k", rate, POINT)))
        print(f"latency: round {number + 1} of {rounds} at up to {rates[-1]:,} requests a second", flush=True)
    return got


def for_chart(curve):
    """The quartiles of the curves, for bars.py."""
    return {"latency": {name: {rate: summary(rounds) for rate, rounds in points.items()} for name, points in curve.items()}}


def mixed(rounds, seconds):
    """Name → the figures of the requests that do not compute, of each round."""
    def once(name):
        os.environ["BURN"] = str(BURN)
        try:
            with next(one for one in BURNERS if one.name == name).start(2) as server:
                pids = proc.family(server.pid)
                burner = command(server.port, "/burn", "--rate", BURNING, "--connections", 8, "--time", 60)
                with Child(burner):
                    at_rate(server.port, "/1k", OTHERS, 0.3, warm_up=0)
                    before = proc.total(pids, proc.CPU_TIME)
                    got = at_rate(server.port, "/1k", OTHERS, seconds)
                return got | {"busy": (proc.total(pids, proc.CPU_TIME) - before) / seconds / 1e9}
        finally:
            del os.environ["BURN"]
    names, got = [one.name for one in BURNERS], {one.name: [] for one in BURNERS}
    for number in range(rounds):
        for name in [*names[number % len(names):], *names[:number % len(names)]]:
            got[name].append(TIMED.measure(lambda: once(name)))
    show_medians("1 % compute, ms at p99 of the others", got, "p99", 2)
    return got


def summary(rounds):
    """Percentile → the quartiles of its rounds."""
    return {name: quartiles([one[name] for one in rounds]) for name in PERCENTILES}
