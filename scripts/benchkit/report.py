"""`scripts/bench`: every row, the single figures, and the report of both."""

import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys

from lib import PROJECT, RELEASE, cpu_model, setup, write_part

from .contestants import CONTESTANTS, EVERYONE, FILE_SERVERS, OURS, OUT, PEERS, ROWS, Row, make_root
from .instructions import WORKLOADS
from .measure import balance, latency, measure, median, ratio_to_best, run_rows, system_calls

BARS = pathlib.Path(__file__).with_name("bars.py")
PACKAGES = {"nginx": "nginx-light", "lighttpd": "lighttpd", "h2o": "h2o", "wrk": "wrk", "h2load": "nghttp2-client",
            "strace": "strace"}


def bench(options):
    setup.install(PACKAGES)
    setup.build("stheno", "floor", "hyper_hello", "tokio_httpd")
    make_root()
    here = {contestant.name: contestant for contestant in CONTESTANTS if contestant.is_here()}
    for missing in [contestant.name for contestant in CONTESTANTS if contestant.name not in here]:
        print(f"{missing} is not here and is left out", file=sys.stderr)
    wanted = options.rows.split(",") if options.rows else [row.name for row in ROWS]
    rows = [row for row in ROWS if row.name in wanted]
    results = run_rows(rows, options, here)
    extra = {} if options.rows else extras(here, results)
    charted = {row.what: results[row.name] for row in rows}
    data = {"all": results, "extra": extra}
    publish("bench", "scripts/bench", as_text(results, rows, extra, options), options, data, charted, 1.75)


def publish(name, mark, text, options, data, charted=None, height=0):
    """Prints the text; writes NAME.json, NAME.md and a chart of `charted` (title → results), with `height` inches for each,
    into target/bench; and text and chart into the docs if that is wanted."""
    cpu = {what: {one: median(rounds, "cpu") for one, rounds in got.items()} for what, got in (charted or {}).items()}
    data, path, picture = {"cpu": cpu} | data, OUT / f"{name}.json", OUT / f"{name}.svg"
    path.write_text(json.dumps(data, indent=1))
    path.with_suffix(".md").write_text(text)
    if charted:
        python = setup.venv(PROJECT / "target" / "bench-venv", ["matplotlib"])
        subprocess.run([python, BARS, path, picture, str(height)], check=True)
    if options.docs:
        write_part("BENCHMARKS.md", mark, text)
        if charted:
            shutil.copy(picture, PROJECT / "docs" / "img")
    print(text)


def extras(here, results):
    """The figures that are no rows."""
    extra, starts, names = {}, {}, [name for name in FILE_SERVERS if name in here]
    half = median(results["1k"][OURS], "rate") / 2
    extra[f"Latency at {half / 1000:.0f}k requests per second, ms p50/p99/p99.9"] = {
        name: found for name in names if (found := latency(here[name], half))}
    figures = {name: measure(here[name], Row("", "", []), 3, 2) for name in names}
    extra["Two workers, CPU µs per request (thousand requests per second)"] = {
        name: f"{got['cpu']:.2f} ({got['rate'] / 1000:.0f})" for name, got in figures.items()}
    for mode in ("exclusive", "shared", "reuseport"):
        extra[f"Connections of four workers, --accept {mode}"] = {
            kind: "/".join(map(str, counts)) for kind, counts in balance(mode).items()}
    for name in names * 5:
        with here[name].start() as server:
            starts.setdefault(name, []).append(server.start_seconds * 1000)
    extra["Start to first answer, ms"] = {name: f"{statistics.median(times):.0f}" for name, times in starts.items()}
    extra["Size of the program, KiB"] = {OURS: f"{(RELEASE / 'stheno').stat().st_size / 1024:.0f}"}
    if calls := system_calls(here[OURS], WORKLOADS["1 KiB"]):
        extra["System calls for each request on one connection"] = calls
    return extra


def as_text(results, rows, extra, options):
    lines = [f"{options.rounds} rounds of {options.seconds} s, medians; ratios are medians of the rounds' ratios, to the peer "
             f"with the largest one. {machine()}", "",
             "CPU µs of the server for each request (and requests per second, in thousands):", "",
             "| work | " + " | ".join(EVERYONE) + " | / best peer | / floor | / hyper | bar |",
             "|---|" + "---|" * (len(EVERYONE) + 4)]
    for row in rows:
        got = results[row.name]
        cells = [cell(got[name], ".2f") if name in got else "" for name in EVERYONE]
        for others in (PEERS, ["floor"], ["hyper"]):
            there = [got[name] for name in others if name in got]
            cells.append(f"{ratio_to_best(got[OURS], there):.2f}" if there and OURS in got else "")
        lines.append(f"| {row.what} | " + " | ".join(cells) + f" | {row.bar} |")
    for row in rows:
        if "undeferred" in results[row.name]:
            figure = median(results[row.name]["undeferred"], "cpu")
            lines += ["", f"{row.what}, stheno without `--defer-accept`: {figure:.2f}."]
    for row in [row for row in rows if row.idle]:
        figures = ", ".join(f"{name} {median(rounds, 'memory'):.0f}" for name, rounds in results[row.name].items())
        lines += ["", f"Memory of one idle connection, bytes ({row.what}): {figures}."]
    for title, figures in extra.items():
        lines += ["", f"{title}: " + "; ".join(f"{name} {figure}" for name, figure in figures.items()) + "."]
    lines += ["", "Configurations:", ""]
    lines += [f"* {contestant.name}: `{' '.join(contestant.config.split())}`" for contestant in CONTESTANTS
              if contestant.config and (OUT / f"{contestant.name}.conf").exists()]
    return "\n".join(lines).replace(str(PROJECT), ".") + "\n"


def cell(rounds, form):
    return f"{median(rounds, 'cpu'):{form}} ({median(rounds, 'rate') / 1000:.1f})"


def hardware():
    return f"{os.cpu_count()} CPUs ({cpu_model()}), Linux {platform.release()}"


def machine():
    programs = {name: path for name in PEERS if (path := setup.which(name))}
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "check": False}
    texts = [subprocess.run([path, "-v"], **quiet).stdout for path in programs.values()]
    versions = [re.search(r"\d+\.\d+\.\d+", text)[0] for text in texts]
    return f"{hardware()}; {', '.join(map(' '.join, zip(programs, versions)))}."
