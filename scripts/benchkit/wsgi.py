"""`scripts/bench wsgi`: the WSGI server beside its peers. All contestants of a row run at the same time and are
measured in turn, so that other load of the machine is shared by all of them."""

import os
import re
import statistics
import subprocess
from typing import NamedTuple

from lib import PROJECT, setup
from lib.server import Child, PortServer

from .contestants import OUT
from .latency import at_rate
from .measure import TIMED, cost, in_rounds, ratio, ratio_to_best, ratios, ratios_to_best, wrk
from .report import cell, hardware, publish, spread

VENV = PROJECT / "target" / "bench-wsgi-venv"
PACKAGES = ["bjoern", "granian", "uwsgi", "waitress", "gunicorn"]
FRAMEWORKS = ["flask", "django", "falcon"]
STATIC = OUT / "static"
# A p99 of three seconds rests on fifteen responses; with three pairs it was chance.
PAIRS = 9
CONNECTIONS = 32
POST = """wrk.method = "POST"
wrk.body = string.rep("p", 65536)
wrk.headers["Content-Type"] = "application/octet-stream"
"""
# Each in its best honest configuration, without an access log; %(threads)s is the size of its pool.
BIN, APP, PORT = VENV / "bin", "benchkit.%(app)s", "127.0.0.1:%(port)s"
STHENO = [f"{BIN}/python", "-m", "stheno_wsgi", APP, "--host", "127.0.0.1", "--port", "%(port)s", "--log", "warning",
          "--access-log", "off", "--threads", "%(threads)s"]
BJOERN = [f"{BIN}/python", "-c", "import bjoern, pkgutil; "
          f"bjoern.run(pkgutil.resolve_name('{APP}'), '127.0.0.1', %(port)s)"]
GRANIAN = [f"{BIN}/granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", "%(port)s", "--http", "1", "--no-ws",
           "--workers", "1", "--blocking-threads", "%(threads)s", "--log-level", "warning", APP]
UWSGI = [f"{BIN}/uwsgi", "--http11-socket", PORT, "--module", APP, "--processes", "1", "--disable-logging",
         "--die-on-term", "--listen", "128"]
WAITRESS = [f"{BIN}/waitress-serve", f"--listen={PORT}", "--threads=%(threads)s", APP]
GUNICORN = [f"{BIN}/gunicorn", "-k", "gthread", "--threads", "%(threads)s", "-b", PORT, "--keep-alive", "60",
            "--log-level", "warning", APP]
CONTESTANTS = {"stheno 0": (STHENO, 0), "stheno 1": (STHENO, 1), "stheno 4": (STHENO, 4), "bjoern": (BJOERN, 1),
               "granian 1": (GRANIAN, 1), "granian 4": (GRANIAN, 4), "uWSGI": (UWSGI, 1), "waitress": (WAITRESS, 4),
               "gunicorn": (GUNICORN, 4)}
OURS, PEERS = list(CONTESTANTS)[:3], list(CONTESTANTS)[3:]
# Not uWSGI: a thread of its HTTP/1.1 socket stays with its connection, so the clients that wait are never counted.
SLEEPERS = {"stheno": [*STHENO, "--static", f"/static={STATIC}"], "granian": GRANIAN, "waitress": WAITRESS,
            "gunicorn": GUNICORN}
# The peers that are correct by docs/WSGI.md, whose price is a fair comparison.
CORRECT = ["waitress"]
BAR = "≤ 0.9 × waitress, ≤ 1.1 × best peer"
FRAMEWORK_BAR = "0: ≤ 1.0 × 4; ≤ 1.1 × best peer"


class Row(NamedTuple):
    """What a row measures: the app below `benchkit`, and the path that the clients ask for."""

    what: str
    bar: str
    app: str
    path: str = "/"


ROWS = {
    "hello": Row("hello, a list of one", "0: ≤ 1.0 × bjoern; 1 and 4: ≤ 0.9 × granian", "wsgi_apps:hello"),
    "json10k": Row("10 KiB of JSON", BAR, "wsgi_apps:json10k"),
    "streamed": Row("10 pieces of 1 KiB from a generator", BAR, "wsgi_apps:streamed"),
    "echo": Row("64 KiB POST, sent back", "4: ≤ 0.9 × granian; " + BAR, "wsgi_apps:echo"),
} | {name.lower(): Row(f"{name}, a route and JSON", FRAMEWORK_BAR, f"wsgi_{name.lower()}:application", "/users/7")
     for name in ("Flask", "Django", "falcon")}
SLEEPS = "wsgi_apps:sleeps"


def install():
    """Peers and frameworks, and this project as `pip install .` builds it."""
    setup.install({"wrk": "wrk", "/usr/include/ev.h": "libev-dev"})
    python = setup.venv(VENV, PACKAGES + FRAMEWORKS)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps", PROJECT], check=True)


def bench(options):
    install()
    setup.build("stheno_load")
    STATIC.mkdir(parents=True, exist_ok=True)
    (STATIC / "1k").write_bytes(b"x" * 1024)
    (OUT / "post.lua").write_text(POST)
    wanted = options.rows.split(",") if options.rows else [*ROWS, "sleep", "static"]
    results = {name: run_row(name, options.rounds, options.seconds) for name in ROWS if name in wanted}
    asleep = sleepers() if "sleep" in wanted else None
    files = static() if "static" in wanted else None
    options.docs = options.docs and results
    charted = {ROWS[name].what: got for name, got in results.items()}
    publish("bench-wsgi", "scripts/bench wsgi", as_text(results, asleep, files, options), options, {}, charted, 2.5)


class Running(PortServer):
    """A contestant that serves an app."""

    def __init__(self, name, command, app, threads):
        self.name = name
        environment = os.environ | {"PYTHONPATH": str(PROJECT / "scripts"), "PYTHONDONTWRITEBYTECODE": "1"}

        def command_for(port):
            return ["taskset", "-c", "0", *(word % {"port": port, "app": app, "threads": threads} for word in command)]
        super().__init__(command_for, OUT / f"wsgi-{name.replace(' ', '-')}.err", "/", 20, env=environment)

    def load(self, seconds, *options, path="/"):
        return wrk(self.port, seconds, [*options, "--timeout", "60"], path, self.name)


def run_row(name, rounds, seconds):
    row, running = ROWS[name], {}
    load = [f"-c{CONNECTIONS}", *(["-s", f"{OUT}/post.lua"] if name == "echo" else [])]
    try:
        for contestant, (command, threads) in CONTESTANTS.items():
            if contestant == "uWSGI" and name == "streamed":
                # Its HTTP/1.1 socket does not mark the end of such a response; this socket closes.
                command = [word.replace("--http11-socket", "--http-socket") for word in command]
            running[contestant] = Running(contestant, command, row.app, threads)
            running[contestant].load(1, *load, path=row.path)
        return in_rounds(row.what, list(running), rounds,
                         lambda one: cost(running[one].pid, lambda: running[one].load(seconds, *load, path=row.path)), 1)
    finally:
        for one in running.values():
            one.end()


def sleepers():
    """Mean milliseconds of 100 clients of an app that sleeps 0.3 s, by number of threads."""
    got = {name: {} for name in SLEEPERS}
    for threads, seconds in ((4, 15), (32, 6), (100, 5)):
        for name, command in SLEEPERS.items():
            with Running(name, command, SLEEPS, threads) as server:
                value, unit = re.search(r"Latency\s+([\d.]+)(us|ms|s|m)\b", server.load(seconds, "-c100")).groups()
            got[name][threads] = float(value) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60_000}[unit]
        print(f"{f'100 clients × 0.3 s, {threads} threads':40}"
              + "  ".join(f"{name} {figures[threads]:.0f} ms" for name, figures in got.items()), flush=True)
    return got


def static():
    """p50 and p99 of a file since it was due, medians of pairs of loads: alone, and beside 100 clients of an app that
    sleeps."""
    alone, beside = [], []
    with Running("stheno", SLEEPERS["stheno"], SLEEPS, 100) as server:
        def load():
            found = at_rate(server.port, "/static/1k", 500, 3, 10)
            return found["p50"], found["p99"]
        for _ in range(PAIRS):
            alone.append(TIMED.measure(load))
            with Child(["taskset", "-c", "1", "wrk", "-t1", "-c100", "-d30", "--timeout", "60",
                        f"http://127.0.0.1:{server.port}/"]):
                beside.append(TIMED.measure(load))
    got = {"alone": list(map(statistics.median, zip(*alone))), "beside": list(map(statistics.median, zip(*beside))),
           "ratio": statistics.median(loaded[1] / quiet[1] for quiet, loaded in zip(alone, beside))}
    print(f"{'static file, p50/p99 ms':40}" + "  ".join(f"{name} {got[name][0]:.2f}/{got[name][1]:.2f}" for name in
                                                        ("alone", "beside")) + f"  ratio {got['ratio']:.2f}", flush=True)
    return got


VERSIONS = ("import importlib.metadata as m, sys; print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]), "
            "'CPython', sys.version.split()[0])")


def as_text(results, asleep, files, options):
    names, versions = list(CONTESTANTS), setup.output(f"{BIN}/python", "-c", VERSIONS, *PACKAGES, *FRAMEWORKS)
    lines = [f"{options.rounds} rounds of {options.seconds} s, {CONNECTIONS} connections: the median, and in small the first "
             "and the third quartile. Ratios are those of the rounds, to the peer with the largest one; for the columns stheno "
             f"0, 1 and 4. {hardware()}; {versions}.", "",
             "CPU µs of the server for each request (and requests per second, in thousands). The number after a name is the "
             "number of its threads; 0 is the app on the loop:", "",
             "| work | " + " | ".join(names) + " | stheno / best peer | stheno / waitress | bar |",
             "|---|" + "---|" * (len(names) + 3)]
    for row, got in results.items():
        beside = ["; ".join(spread(ratios_to_best(got[name], [got[other] for other in others])) for name in OURS)
                  for others in (PEERS, CORRECT)]
        cells = [ROWS[row].what, *(cell(got[name], 1) for name in names), *beside, ROWS[row].bar]
        lines.append("| " + " | ".join(cells) + " |")
    if got := results.get("hello"):
        pools = [f"{ratio_to_best(got[name], [got['granian 1'], got['granian 4']]):.2f}" for name in OURS[1:]]
        loop = ratio(got["stheno 0"], got["bjoern"])
        lines += ["", f"Hello beside the contestants of the bar: the loop {loop:.2f} × bjoern; pools of 1 and 4 {pools[0]} and "
                  f"{pools[1]} × granian's better one."]
    if loops := [f"{ROWS[name].what.split(',')[0]} {spread(ratios(got['stheno 0'], got['stheno 4']))}"
                 for name, got in results.items() if ROWS[name].bar == FRAMEWORK_BAR]:
        lines += ["", f"Frameworks on the loop beside the pool of 4: {', '.join(loops)}."]
    if asleep:
        lines += ["", "Mean response time of 100 clients, ms, where the app sleeps 0.3 s (bar: ≤ 310 with 100 threads). With "
                  "few threads it is the mean of the first seconds, in which the queue still grows:", "",
                  "| threads | " + " | ".join(asleep) + " |", "|---|" + "---|" * len(asleep)]
        lines += [f"| {threads} | " + " | ".join(f"{asleep[name][threads]:,.0f}" for name in asleep) + " |"
                  for threads in (4, 32, 100)]
    if files:
        alone, beside = files["alone"], files["beside"]
        lines += ["", f"A static file of 1 KiB through `--static`, p50/p99 in ms since a request was due: alone {alone[0]:.2f}/"
                  f"{alone[1]:.2f}; beside 100 clients of that app {beside[0]:.2f}/{beside[1]:.2f} (in {PAIRS} pairs "
                  f"{files['ratio']:.2f} × the p99; bar ≤ 2)."]
    return "\n".join(lines) + "\n"
