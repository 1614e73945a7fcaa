"""`scripts/bench`: every row, the curves of latency, the single figures, and the report of all."""

import json
import math
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys

from lib import PROJECT, RELEASE, cpu_model, setup, write_part

from . import latency
from .contestants import CONTESTANTS, EVERYONE, FILE_SERVERS, GROUPS, OURS, OUT, PEERS, PLAIN, ROWS, make_root
from .instructions import WORKLOADS
from .measure import TIMED, balance, median, quartiles, ratios_to_best, run_rows, system_calls

BARS = pathlib.Path(__file__).with_name("bars.py")
PACKAGES = {"nginx": "nginx-light", "lighttpd": "lighttpd", "h2o": "h2o", "wrk": "wrk", "strace": "strace"}
# What is measured beside the rows.
PARTS = ["latency", "mixed", "extras"]
# A point of a curve at which less of the requests is answered is past what the server can do.
KEEPS_UP = 0.98


def bench(options):
    setup.install(PACKAGES)
    setup.build("stheno", "floor", "hyper_hello", "tokio_httpd", "stheno_load", "burning")
    make_root()
    here = {contestant.name: contestant for contestant in CONTESTANTS if contestant.is_here()}
    for missing in [contestant.name for contestant in CONTESTANTS if contestant.name not in here]:
        print(f"{missing} is not here and is left out", file=sys.stderr)
    wanted = options.rows.split(",") if options.rows else [*(row.name for row in ROWS), *PARTS]
    rows = [row for row in ROWS if row.name in wanted]
    results = run_rows(rows, options, here)
    curve = latency.curves(here, FILE_SERVERS, options.rounds) if "latency" in wanted else {}
    mixed = latency.mixed(options.rounds, options.seconds) if "mixed" in wanted else {}
    extra = extras(here) if "extras" in wanted else {}
    judged = {row.name: judge(row, results[row.name]) for row in rows}
    (OUT / "report.json").write_text(json.dumps(machine_readable(rows, results, judged), indent=1))
    charted = {row.what: results[row.name] for row in rows}
    data = {"all": results, "extra": extra, "mixed": mixed} | latency.for_chart(curve) | memory_for_chart(rows, results)
    text = as_text(results, rows, judged, curve, mixed, extra, options)
    publish("bench", "scripts/bench", text, options, data, charted, 1.75)


def publish(name, mark, text, options, data, charted=None, height=0):
    """Prints the text; writes NAME.json, NAME.md, a chart of `charted` (title → results), with `height` inches for each, and
    those of data["latency"] and data["memory"], into target/bench; and text and charts into the docs if that is wanted."""
    cpu = {what: {one: median(rounds, "cpu") for one, rounds in got.items()} for what, got in (charted or {}).items()}
    data, path = {"rows": cpu} | data, OUT / f"{name}.json"
    path.write_text(json.dumps(data, indent=1))
    path.with_suffix(".md").write_text(text)
    pictures = {OUT / f"{name}.svg": ["rows", str(height)]} if charted else {}
    pictures |= {OUT / f"{name}-{kind}.svg": [kind] for kind in ("latency", "memory", "readers") if data.get(kind)}
    for picture, words in pictures.items():
        python = setup.venv(PROJECT / "target" / "bench-venv", ["matplotlib"])
        subprocess.run([python, BARS, path, picture, *words], check=True)
    if options.docs:
        write_part("BENCHMARKS.md", mark, text)
        for picture in pictures:
            shutil.copy(picture, PROJECT / "docs" / "img")
    print(text)


def judge(row, got):
    """Group of peers → the quartiles of the ratio, the bar, and whether it is held."""
    found = {}
    for group, names in GROUPS.items():
        there = [got[name] for name in names if name in got]
        if there and OURS in got:
            ratio, bar = ratios_to_best(got[OURS], there), row.bars.get(group)
            # By the figure that is printed.
            found[group] = {"ratio": ratio, "bar": bar, "holds": None if bar is None else round(ratio[1], 2) <= bar}
    return found


def machine_readable(rows, results, judged):
    return {row.name: {"what": row.what, "against": judged[row.name], "contestants": {
        name: {key: quartiles([one[key] for one in rounds]) for key in rounds[0]}
        for name, rounds in results[row.name].items()}} for row in rows}


def extras(here):
    """The figures that are no rows."""
    extra, starts, names = {}, {}, [name for name in FILE_SERVERS if name in here]
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


def head(options):
    """The first line of a table: how it was made, and on what."""
    late = f" {TIMED.summary()}" if TIMED.measured else ""
    return (f"{options.rounds} rounds of {options.seconds} s: the median, and in small the first and the third quartile. "
            f"Ratios are those of the rounds, to the peer with the largest one.{late} {machine()}")


def as_text(results, rows, judged, curve, mixed, extra, options):
    lines = [head(options)]
    if rows:
        groups = list(GROUPS)
        lines += ["", "CPU µs of the server for each request (and requests per second, in thousands):", "",
                  f"| work | {' | '.join(EVERYONE)} | {' | '.join(f'/ {group}' for group in groups)} | bar |",
                  "|---|" + "---|" * (len(EVERYONE) + len(groups) + 1)]
    for row in rows:
        got = results[row.name]
        cells = [cell(got[name], 2) if name in got else "" for name in EVERYONE]
        cells += [spread(judged[row.name][group]["ratio"]) if group in judged[row.name] else "" for group in groups]
        bars = [f"≤ {found['bar']:g} × {group}: {'holds' if found['holds'] else 'missed'}"
                for group, found in judged[row.name].items() if found["bar"] is not None]
        lines.append(f"| {row.what} | {' | '.join(cells)} | {'; '.join(bars)} |")
    lines += idle_table([row for row in rows if row.idle], results)
    for row in [row for row in rows if row.name in ("1k", "1k-w2")]:
        shares = ", ".join(f"{name} {median(got, 'client'):.0%}" for name, got in results[row.name].items())
        lines += ["", f"The client's share of its CPU ({row.what}): {shares}."]
    lines += latency_table(curve, "bench") + mixed_table(mixed)
    for title, figures in extra.items():
        lines += ["", f"{title}: " + "; ".join(f"{name} {figure}" for name, figure in figures.items()) + "."]
    lines += ["", "Configurations (`deferred` and `defer` are empty and 0, except in the row of that name):", ""]
    lines += [f"* {contestant.name}: `{' '.join(contestant.config.split())}`" for contestant in CONTESTANTS
              if contestant.config and (OUT / f"{contestant.name}.conf").exists()]
    return "\n".join(lines).replace(str(PROJECT), ".") + "\n"


def memory_for_chart(rows, results):
    """The first row with idle connections; nothing where the kernel does not show its memory."""
    for row in [row for row in rows if row.idle][:1]:
        of = {name: {"server": median(got, "memory"), "kernel": median(got, "kernel")}
              for name, got in results[row.name].items() if name != PLAIN}
        if not any(math.isnan(found["kernel"]) for found in of.values()):
            return {"memory": {"idle": row.idle, "of": of}}
    return {}


def idle_table(rows, results):
    names = [name for name in FILE_SERVERS if any(name in results[row.name] for row in rows)]
    lines = ["", "Bytes for each idle connection: of the server's own memory, and of the kernel's for both ends of it:", "",
             "![Memory of an idle connection](img/bench-memory.svg)", "", f"| | {' | '.join(names)} |", "|---|" + "---|" * len(names)] if rows else []
    for row in rows:
        for key, what in (("memory", "server"), ("kernel", "kernel")):
            cells = [spread(quartiles([one[key] for one in results[row.name][name]]), 0) if name in results[row.name] else ""
                     for name in names]
            lines.append(f"| {row.idle:,} idle: {what} | {' | '.join(cells)} |")
    return lines


def latency_table(curve, picture):
    if not curve:
        return []
    lines = ["", f"Latency in ms since a request was due, p50 / p99 / p99.9, medians of the rounds, {latency.CONNECTIONS} "
             f"connections, one worker; the rates are 10 to 90 % of what `{OURS}` and this client reach without a schedule. "
             f"`late`: less than {KEEPS_UP:.0%} of the requests were answered. The client's share is that of its CPU, beside "
             f"`{OURS}`:", "", f"![Latency against load](img/{picture}-latency.svg)", "",
             f"| requests per second | {' | '.join(curve)} | client |", "|---|" + "---|" * (len(curve) + 1)]
    for rate in curve[OURS]:
        def figures(rounds):
            text = " / ".join(f"{middle:.2f}" for _, middle, _ in latency.summary(rounds).values())
            return text + " late" * (median(rounds, "answered") < KEEPS_UP)
        cells = [figures(points[rate]) for points in curve.values()]
        lines.append(f"| {rate:,} | {' | '.join(cells)} | {median(curve[OURS][rate], 'client'):.0%} |")
    return lines


def mixed_table(mixed):
    """What requests that compute cost the others."""
    lines = ["", f"Latency in ms since due of {latency.OTHERS:,} requests per second, beside {latency.BURNING} that need "
             f"{latency.BURN} ms of CPU each (1 % of all), two workers on two CPUs, the client on one of them. In small the "
             "quartiles:", "", "| | p50 | p99 | p99.9 | CPUs in use |", "|---|---|---|---|---|"] if mixed else []
    for name, rounds in mixed.items():
        cells = [spread(found) for found in latency.summary(rounds).values()]
        lines.append(f"| {name} | {' | '.join(cells)} | {median(rounds, 'busy'):.2f} |")
    return lines


def spread(found, digits=2):
    """A median, and its quartiles in small."""
    low, middle, high = (f"{value:,.{digits}f}" for value in found)
    return f"{middle} <sub>{low}–{high}</sub>"


def cell(rounds, digits):
    return f"{spread(quartiles([one['cpu'] for one in rounds]), digits)} ({median(rounds, 'rate') / 1000:.1f})"


def hardware():
    return f"{os.cpu_count()} CPUs ({cpu_model()}), Linux {platform.release()}"


def machine():
    programs = {name: path for name in PEERS if (path := setup.which(name))}
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "check": False}
    texts = [subprocess.run([path, "-v"], **quiet).stdout for path in programs.values()]
    versions = [re.search(r"\d+\.\d+\.\d+", text)[0] for text in texts]
    return f"{hardware()}; {', '.join(map(' '.join, zip(programs, versions)))}."
