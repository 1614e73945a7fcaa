"""`scripts/bench lanes`: programs of a package of their own (scripts/lanes), beside the server."""

import dataclasses
import re
import subprocess
import sys

from lib import PROJECT, Trouble, setup

from . import latency
from .contestants import CONTESTANTS, MINIMAL, OURS, ROWS, STHENO, TWINS, Contestant, make_root
from .lanes_check import check
from .measure import median, ratio, run_rows
from .report import PACKAGES, latency_table, machine, memory_for_chart, publish

SOURCE, BUILT = PROJECT / "scripts" / "lanes", PROJECT / "target" / "lanes"
OF_FILES = ["--port", "%(port)s", "-r", "%(root)s", "-w", "%(workers)s"]


def lane(name, *words, program=None):
    return Contestant(name, [str(BUILT / "release" / (program or name)), *words])


LANES = [
    lane("hyper-servedir", *OF_FILES),
    lane("axum-servedir", *OF_FILES),
    lane("uring-floor", *MINIMAL, "-w", "%(workers)s"),
    lane("uring-hello", *MINIMAL, "-w", "%(workers)s", program="uring-server"),
    lane("uring-server", *OF_FILES),
    lane("stheno-mimalloc", *STHENO[1:]),
    *[lane(f"{name}-mimalloc", *STHENO[1:], "--runtime", name.removeprefix("tokio-"), program="tokio-mimalloc")
      for name in TWINS],
]
# Always the same response: floors do not parse, and so do not close.
FLOORS, HELLOS = ["floor", "uring-floor"], ["hyper", "uring-hello"]
NAMES = [OURS, *TWINS, "floor", "hyper", *(one.name for one in LANES)]
FILE_SERVERS = [name for name in NAMES if name not in FLOORS + HELLOS]
LANE_ROWS = {"1k": NAMES, "pipelined": NAMES, "close": [name for name in NAMES if name not in FLOORS],
             "100k": FILE_SERVERS, "idle-1000": FILE_SERVERS}
# The lanes with mimalloc differ in CPU time by less than the noise, so only one of them has a curve.
IN_CURVES = [name for name in FILE_SERVERS if "mimalloc" not in name] + ["stheno-mimalloc"]
CRATES = ["tokio", "hyper", "axum", "tower-http", "io-uring", "compio", "mimalloc"]
# How a lane begins its last line when the kernel refuses a ring.
NO_RING = "io_uring cannot be used here"


def build():
    """One package after the other: built together, they would get each other's features, and the twin a runtime that handles
    signals, which its jail forbids."""
    try:
        for package in ("stheno-lanes", "stheno-mimalloc"):
            subprocess.run(["cargo", "build", "--locked", "--release", "--manifest-path", SOURCE / "Cargo.toml",
                            "--target-dir", BUILT, "--package", package], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Trouble(f"the lanes cannot be built: {error}") from error


def checked():
    """The lanes that answer as they have to. One that gets no ring is left out, with a line; any other failure ends the
    run."""
    here = {}
    for one in LANES:
        try:
            check(one, parses=one.name not in FLOORS, files=one.name in FILE_SERVERS, no_ring=NO_RING)
            here[one.name] = one
        except Trouble as trouble:
            if NO_RING not in str(trouble):
                raise
            print(f"{one.name} is left out: {trouble}", file=sys.stderr)
    return here


def bench(options):
    setup.install({name: PACKAGES[name] for name in ("wrk", "strace")})
    build()
    make_root()
    lanes = checked()
    if options.check:
        return
    setup.build("stheno", "floor", "hyper_hello", "tokio_httpd", "stheno_load")
    here = {one.name: one for one in CONTESTANTS if one.name in NAMES} | lanes
    wanted = options.rows.split(",") if options.rows else [*LANE_ROWS, "latency"]
    # The lanes accept connections with their first bytes, so all do.
    rows = [dataclasses.replace(row, contestants=LANE_ROWS[row.name], deferred=True) for row in ROWS
            if row.name in LANE_ROWS and row.name in wanted]
    results = run_rows(rows, options, here)
    curve = latency.curves(here, IN_CURVES, options.rounds) if "latency" in wanted else {}
    data = {"all": results} | latency.for_chart(curve) | memory_for_chart(rows, results)
    publish("lanes", "scripts/bench lanes", as_text(rows, results, curve, options), options, data)


def as_text(rows, results, curve, options):
    def figures(name, row):
        got = results[row.name]
        if name not in got:
            return [""] * (1 + bool(row.idle))
        cpu = f"{median(got[name], 'cpu'):.2f} ({ratio(got[name], got[OURS]):.2f})"
        return [cpu, f"{median(got[name], 'memory'):.0f}"] if row.idle else [cpu]
    titles = [title for row in rows for title in [row.what] + ["bytes of an idle connection"] * bool(row.idle)]
    lines = [f"{options.rounds} rounds of {options.seconds} s, medians; in parentheses the ratio to stheno, the median of the "
             f"rounds' ratios. {machine()} {versions()}.", "",
             f"| CPU µs for each request | {' | '.join(titles)} |", "|---|" + "---|" * len(titles)]
    for name in NAMES:
        cells = [cell for row in rows for cell in figures(name, row)]
        if any(cells):
            lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "![Memory of an idle connection](img/lanes-memory.svg)"] + latency_table(curve, "lanes")
    return "\n".join(lines) + "\n"


def versions():
    """The crates that the lanes were built with."""
    locked = dict(re.findall(r'^name = "(.*)"\nversion = "(.*)"', (SOURCE / "Cargo.lock").read_text(), re.M))
    return ", ".join(f"{name} {locked[name]}" for name in CRATES)
