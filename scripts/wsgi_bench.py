"""`scripts/bench wsgi`: the WSGI server beside its peers. Not run by itself: `__main__` is scripts/bench, and lends its tools.

Every contestant of a row is started once; then they are measured in turn, round by round, so that whatever else the machine
does is shared out among them.
"""

import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time

import __main__ as bench

VENV = bench.PROJECT / "target" / "bench-wsgi-venv"
PACKAGES = ["bjoern", "granian", "uwsgi", "waitress", "gunicorn"]
STATIC = bench.OUT / "static"
# A p99 of three seconds is fifteen answers: with three pairs it was a matter of chance.
PAIRS = 9
CONNECTIONS = 32
BEGIN, END = "<!-- scripts/bench wsgi -->\n", "<!-- /scripts/bench wsgi -->\n"
POST = """wrk.method = "POST"
wrk.body = string.rep("p", 65536)
wrk.headers["Content-Type"] = "application/octet-stream"
"""

PYTHON = str(VENV / "bin" / "python")
STHENO = [PYTHON, "-m", "stheno_wsgi", "wsgi_bench_apps:%(app)s", "--host", "127.0.0.1", "--port", "%(port)s", "--log", "warning",
          "--access-log", "off", "--threads"]
# Each in its best honest configuration, access logs off. %(threads)s is for those that are asked to sleep.
CONTESTANTS = {
    "stheno 0": [*STHENO, "0"],
    "stheno 1": [*STHENO, "1"],
    "stheno 4": [*STHENO, "4"],
    "bjoern": [PYTHON, "-c", "import bjoern, wsgi_bench_apps; bjoern.run(wsgi_bench_apps.%(app)s, '127.0.0.1', %(port)s)"],
    "granian 1": [str(VENV / "bin/granian"), "--interface", "wsgi", "--host", "127.0.0.1", "--port", "%(port)s", "--http", "1",
                  "--no-ws", "--workers", "1", "--blocking-threads", "1", "--log-level", "warning",
                  "wsgi_bench_apps:%(app)s"],
    "granian 4": [str(VENV / "bin/granian"), "--interface", "wsgi", "--host", "127.0.0.1", "--port", "%(port)s", "--http", "1",
                  "--no-ws", "--workers", "1", "--blocking-threads", "4", "--log-level", "warning",
                  "wsgi_bench_apps:%(app)s"],
    "uWSGI": [str(VENV / "bin/uwsgi"), "--http11-socket", "127.0.0.1:%(port)s", "--module", "wsgi_bench_apps:%(app)s",
              "--processes", "1", "--disable-logging", "--die-on-term", "--listen", "128"],
    "waitress": [str(VENV / "bin/waitress-serve"), "--listen=127.0.0.1:%(port)s", "--threads=4", "wsgi_bench_apps:%(app)s"],
    "gunicorn": [str(VENV / "bin/gunicorn"), "-k", "gthread", "--threads", "4", "-b", "127.0.0.1:%(port)s", "--keep-alive",
                 "60", "--log-level", "warning", "wsgi_bench_apps:%(app)s"],
}
# uWSGI is not among them: a thread of its HTTP/1.1 socket stays with its connection, so the clients that it leaves waiting are
# never counted.
SLEEPERS = {
    "stheno": [*STHENO, "%(threads)s", "--static", f"/static={STATIC}"],
    "granian": [word.replace("4", "%(threads)s") if word == "4" else word for word in CONTESTANTS["granian 4"]],
    "waitress": [word.replace("threads=4", "threads=%(threads)s") for word in CONTESTANTS["waitress"]],
    "gunicorn": [word.replace("4", "%(threads)s") if word == "4" else word for word in CONTESTANTS["gunicorn"]],
}
PEERS = ["bjoern", "granian 1", "granian 4", "uWSGI", "waitress", "gunicorn"]
# What is right by docs/WSGI.md, and so may be compared with at the price.
CORRECT = ["waitress"]
ROWS = {
    "hello": ("hello, a list of one", "0: ≤ 1.0 × bjoern; 1 and 4: ≤ 0.9 × granian"),
    "json10k": ("10 KiB of JSON", "≤ 0.9 × waitress, ≤ 1.1 × best peer"),
    "streamed": ("10 pieces of 1 KiB from a generator", "≤ 0.9 × waitress, ≤ 1.1 × best peer"),
    "echo": ("64 KiB POST, sent back", "≤ 0.9 × waitress, ≤ 1.1 × best peer"),
}


class Running:
    """A contestant that serves an app."""

    def __init__(self, name, command, app, threads=1):
        self.name, self.port = name, bench.free_port()
        values = {"port": self.port, "app": app, "threads": threads}
        line = ["taskset", "-c", "0"] + [word % values for word in command]
        environment = os.environ | {"PYTHONPATH": str(bench.PROJECT / "scripts"), "PYTHONDONTWRITEBYTECODE": "1"}
        self.log = bench.OUT / f"wsgi-{name.replace(' ', '-')}.err"
        self.process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=self.log.open("w"), env=environment,
                                        start_new_session=True)
        until = time.monotonic() + 20
        while time.monotonic() < until and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        self.stop()
        sys.exit(f"{name} does not start: see {self.log}")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, 9)
        except ProcessLookupError:
            pass
        self.process.wait()

    def wrk(self, seconds, connections=CONNECTIONS, path="/", script=None):
        """One load: its report."""
        command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--timeout", "60"]
        if script:
            command += ["-s", str(script)]
        text = subprocess.run([*command, f"http://127.0.0.1:{self.port}{path}"], capture_output=True, text=True,
                              check=True).stdout
        if wrong := re.search(r"Non-2xx or 3xx responses: \d+|Socket errors: .*", text):
            print(f"\n    {self.name}: {wrong[0]}", file=sys.stderr)
        return text

    def measure(self, seconds, script):
        """CPU µs for each request, and requests per second."""
        pids = bench.family(self.process.pid)
        start, begun = bench.cpu_time(pids), time.monotonic()
        requests = int(re.search(r"(\d+) requests in", self.wrk(seconds, script=script))[1])
        used, took = bench.cpu_time(pids) - start, time.monotonic() - begun
        if not requests:
            sys.exit(f"{self.name} has answered nothing: see {self.log}")
        return {"cpu": used / requests / 1000, "rate": requests / took}


def run_row(app, rounds, seconds):
    script = None
    if app == "echo":
        script = bench.OUT / "post.lua"
        script.write_text(POST)
    running, got = [], {}
    try:
        for name, command in CONTESTANTS.items():
            if name == "uWSGI" and app == "streamed":
                # Its HTTP/1.1 socket does not say where such an answer ends; this one closes.
                command = [word.replace("--http11-socket", "--http-socket") for word in command]
            running.append(Running(name, command, app))
            running[-1].wrk(1, script=script)
        for number in range(rounds):
            for one in bench.in_turn(running, number):
                print(f"\r{app}: round {number + 1} of {rounds}, {one.name:10}", end="", file=sys.stderr)
                got.setdefault(one.name, []).append(one.measure(seconds, script))
    finally:
        for one in running:
            one.stop()
    figures = {name: bench.median(several, "cpu") for name, several in got.items()}
    print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
    print(f"{ROWS[app][0]:40}" + "  ".join(f"{name} {figure:.1f}" for name, figure in figures.items()), flush=True)
    return got


def milliseconds(text):
    value, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(value) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60_000}[unit]


def sleepers():
    """Mean milliseconds of 100 clients that wait for an app which sleeps 0.3 s, by number of threads."""
    got = {}
    for threads, seconds in ((4, 15), (32, 6), (100, 5)):
        for name, command in SLEEPERS.items():
            one = Running(name, command, "sleeps", threads)
            try:
                text = one.wrk(seconds, connections=100)
                got.setdefault(name, {})[threads] = milliseconds(re.search(r"Latency\s+(\S+)", text)[1])
            finally:
                one.stop()
        print(f"{'100 clients × 0.3 s, ' + str(threads) + ' threads':40}"
              + "  ".join(f"{name} {figures[threads]:.0f} ms" for name, figures in got.items()), flush=True)
    return got


def percentile(port, seconds=3, rate=500):
    """p50 and p99 in milliseconds of a static file, asked for at a fixed rate."""
    log = bench.OUT / "latency.log"
    log.unlink(missing_ok=True)
    clients = 10
    subprocess.run(["taskset", "-c", "1", "h2load", "--h1", "-t1", f"-c{clients}", f"--rps={rate // clients}", f"-D{seconds}",
                    "--warm-up-time=1", f"--log-file={log}", f"http://127.0.0.1:{port}/static/1k"],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    times = sorted(int(line.split("\t")[2]) / 1000 for line in log.read_text().splitlines())
    return [times[int(len(times) * share)] for share in (0.5, 0.99)]


def static():
    """p50 and p99 of a file, medians of some pairs of loads: with nobody else, and beside 100 clients of an app that sleeps."""
    if not shutil.which("h2load"):
        return None
    alone, beside = [], []
    one = Running("stheno", SLEEPERS["stheno"], "sleeps", 100)
    try:
        for _ in range(PAIRS):
            alone.append(percentile(one.port))
            load = subprocess.Popen(["taskset", "-c", "1", "wrk", "-t1", "-c100", "-d30", "--timeout", "60",
                                     f"http://127.0.0.1:{one.port}/"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                beside.append(percentile(one.port))
            finally:
                load.terminate()
                load.wait()
    finally:
        one.stop()
    got = {"alone": [statistics.median(one) for one in zip(*alone)], "beside": [statistics.median(one) for one in zip(*beside)]}
    got["ratio"] = statistics.median(loaded[1] / quiet[1] for quiet, loaded in zip(alone, beside))
    print(f"{'static file, p50/p99 ms':40}" + "  ".join(f"{name} {got[name][0]:.2f}/{got[name][1]:.2f}" for name in ("alone", "beside"))
          + f"  ratio {got['ratio']:.2f}", flush=True)
    return got


# ---- the report ------------------------------------------------------------------------------------------------

def versions():
    code = ("import importlib.metadata as m, sys; print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]), "
            "'CPython', sys.version.split()[0])")
    return subprocess.run([PYTHON, "-c", code, *PACKAGES], capture_output=True, text=True, check=True).stdout.strip()


def report(results, asleep, files, options):
    names = list(CONTESTANTS)
    lines = [f"{options.rounds} rounds of {options.seconds} s, medians, {CONNECTIONS} connections; ratios are medians of the "
             "rounds' ratios, to the peer beside whom they are largest. "
             f"{bench.machine().split(';')[0]}; {versions()}.", "",
             "CPU µs of the server for each request (and requests per second, in thousands). The number behind a name is that "
             "of its threads; 0 is the app on the loop:", "",
             "| work | " + " | ".join(names) + " | stheno / best peer | stheno / waitress | bar |",
             "|---|" + "---|" * (len(names) + 3)]
    for app, got in results.items():
        figures = {name: bench.median(several, "cpu") for name, several in got.items()}
        rates = {name: bench.median(several, "rate") for name, several in got.items()}
        peers, correct = [got[name] for name in PEERS], [got[name] for name in CORRECT]
        lines.append(f"| {ROWS[app][0]} | " + " | ".join(f"{figures[name]:.1f} ({rates[name] / 1000:.1f})" for name in names)
                     + " | " + ", ".join(f"{bench.ratio_to_best(got[name], peers):.2f}" for name in names[:3]) + " | "
                     + ", ".join(f"{bench.ratio_to_best(got[name], correct):.2f}" for name in names[:3])
                     + f" | {ROWS[app][1]} |")
    if "hello" in results:
        got = results["hello"]
        granians = [got["granian 1"], got["granian 4"]]
        pools = [f"{bench.ratio_to_best(got[name], granians):.2f}" for name in ("stheno 1", "stheno 4")]
        lines += ["", f"Hello beside those of the bar: the loop {bench.ratio(got['stheno 0'], got['bjoern']):.2f} × bjoern; pools of "
                  f"1 and 4 {pools[0]} and {pools[1]} × granian's better one."]
    if asleep:
        lines += ["", "Mean answer of 100 clients, ms, where the app sleeps 0.3 s (bar: ≤ 310 with 100 threads). With few threads it is "
                  "the mean of the first seconds, in which the queue still grows:", "",
                  "| threads | " + " | ".join(asleep) + " |", "|---|" + "---|" * len(asleep)]
        lines += [f"| {threads} | " + " | ".join(f"{asleep[name][threads]:,.0f}" for name in asleep) + " |"
                  for threads in (4, 32, 100)]
    if files:
        alone, beside = files["alone"], files["beside"]
        lines += ["", f"A static file of 1 KiB through `--static`, p50/p99 in ms: alone {alone[0]:.2f}/{alone[1]:.2f}; beside 100 "
                  f"clients of that app {beside[0]:.2f}/{beside[1]:.2f} (in {PAIRS} pairs {files['ratio']:.2f} × the p99; bar ≤ 2)."]
    return "\n".join(lines) + "\n"


CHART = """
import json, sys
import matplotlib
matplotlib.use("svg")
import matplotlib.pyplot as plt
rows = json.load(open(sys.argv[1]))
plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "stheno",
                     "font.family": "DejaVu Sans"})
colours = {"stheno": "#0b7a75", "bjoern": "#c1666b", "granian": "#7d6b91", "uWSGI": "#d5a021", "waitress": "#4a6fa5",
           "gunicorn": "#b9b4a7"}
figure, axes = plt.subplots((len(rows) + 1) // 2, 2, figsize=(9, 2.5 * ((len(rows) + 1) // 2)), squeeze=False)
for axis, row in zip(axes.flat, rows):
    names = list(row["cpu"])[::-1]
    values = [row["cpu"][name] for name in names]
    bars = axis.barh(names, values, color=[colours[name.split()[0]] for name in names], height=0.72)
    axis.bar_label(bars, [f"{value:.1f}" for value in values], padding=3)
    axis.set_title(row["what"], loc="left", fontsize=10, fontweight="bold")
    axis.set_xlim(0, max(values) * 1.18)
    axis.tick_params(left=False, bottom=False, labelbottom=False)
    axis.spines["bottom"].set_visible(False)
for axis in axes.flat[len(rows):]:
    axis.axis("off")
figure.suptitle("CPU microseconds of the server for each request; less is better", x=0.01, ha="left")
figure.tight_layout(rect=(0, 0, 1, 0.985))
figure.savefig(sys.argv[2], metadata={"Date": None})
"""


def into_the_docs(text, chart):
    page = bench.PROJECT / "docs" / "BENCHMARKS.md"
    before, rest = page.read_text().split(BEGIN)
    page.write_text(before + BEGIN + text + END + rest.split(END)[1])
    shutil.copy(chart, bench.PROJECT / "docs" / "img" / chart.name)


# ---- set-up ----------------------------------------------------------------------------------------------------

def set_up():
    """A venv with the peers and with us, as `pip install .` builds it."""
    bench.install(["wrk", "h2load"])
    if os.geteuid() == 0 and shutil.which("apt-get") and not pathlib.Path("/usr/include/ev.h").exists():
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", "libev-dev"], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)
    if not (VENV / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        (VENV / "ready").touch()
    subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps", str(bench.PROJECT)], check=True)
    STATIC.mkdir(parents=True, exist_ok=True)
    (STATIC / "1k").write_bytes(b"x" * 1024)


def main(options):
    set_up()
    wanted = options.rows.split(",") if options.rows else [*ROWS, "sleep", "static"]
    results = {app: run_row(app, options.rounds, options.seconds) for app in ROWS if app in wanted}
    asleep = sleepers() if "sleep" in wanted else None
    files = static() if "static" in wanted else None
    data = [{"what": ROWS[app][0], "cpu": {name: bench.median(several, "cpu") for name, several in got.items()}}
            for app, got in results.items()]
    (bench.OUT / "bench-wsgi.json").write_text(json.dumps(data, indent=1))
    text = report(results, asleep, files, options)
    (bench.OUT / "bench-wsgi.md").write_text(text)
    if results:
        chart = bench.OUT / "bench-wsgi.svg"
        bench.draw(chart, CHART, bench.OUT / "bench-wsgi.json")
        if options.docs:
            into_the_docs(text, chart)
    print(text)
