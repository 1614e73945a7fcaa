"""`scripts/bench twin`: the same server on its own loop and on Tokio, timed and counted."""

import dataclasses
import json
import pathlib
import shutil
import subprocess

from lib import PROJECT, RELEASE, Trouble, setup

from .contestants import CONTESTANTS, OURS, OUT, ROWS, TWINS, make_root
from .instructions import PARTS, WORKLOADS, by_part
from .measure import quartiles, ratios, run_rows, system_calls
from .report import PACKAGES, head, publish, spread

NAMES = [OURS, *TWINS]
TWIN_ROWS = ["1k", "1k-w2", "pipelined", "close", "100k", "10m", "idle-1000"]
COUNTED = {"one at a time": "1 KiB", "16 pipelined, of each": "16 pipelined",
           "a connection for each": "a connection each"}
# The code of each between the kernel and the protocol.
FRONTS = {OURS: ["src/reactor/*.rs", "src/timers.rs", "src/server/acceptor.rs", "src/server/channel.rs",
                 "src/server/connection_table.rs", "src/server/worker.rs"],
          TWINS[0]: ["examples/tokio_httpd.rs", "examples/tokio_httpd/*.rs"]}
PROGRAMS = {OURS: ("stheno",)} | {name: ("examples/tokio_httpd", "--runtime", name.split("-")[1]) for name in TWINS}


def bench(options):
    setup.install({name: PACKAGES[name] for name in ("wrk", "strace")} | {"valgrind": "valgrind"})
    setup.build("stheno", "tokio_httpd")
    make_root()
    here = {contestant.name: contestant for contestant in CONTESTANTS if contestant.name in NAMES}
    about, (counted, calls) = sizes(), count(here)
    print("timed from here on", flush=True)
    timed, results = measure_times(here, options)
    table = timed | counted | about
    data = {"table": table, "rows": results, "calls": calls}
    publish("twin", "scripts/bench twin", as_text(table, calls, options), options, data)


def count(here):
    """System calls and instructions of each twin, which do not depend on what else the machine does."""
    rows, details, few, many = {}, {}, 160, 1120
    for what, workload in COUNTED.items():
        calls = {name: system_calls(here[name], WORKLOADS[workload]) for name in NAMES}
        rows[f"system calls, {what}"] = {name: f"{sum(found.values()):.2f}" for name, found in calls.items() if found}
        details[what] = calls
        print(f"system calls, {what}: {calls}", flush=True)
    for what, workload in COUNTED.items() if shutil.which("valgrind") else ():
        parts = {name: by_part(WORKLOADS[workload], few, many, PROGRAMS[name]) for name in NAMES}
        rows[f"instructions, {what}"] = {name: f"{sum(found.values()):,.0f}" for name, found in parts.items()}
        for part in [*PARTS, "the rest"]:
            rows[f"instructions, {what}: {part}"] = {name: f"{found[part]:,.0f}" for name, found in parts.items()}
        print(f"instructions, {what}: {parts}", flush=True)
    return rows, details


def measure_times(here, options):
    """CPU time, context switches and memory: rows of the table, and the rounds that they come from."""
    def figures(rounds, key, digits=3, unit=1):
        return {name: spread(quartiles([one[key] / unit for one in rounds[name]]), digits) for name in NAMES}

    rows = [dataclasses.replace(row, contestants=NAMES) for row in ROWS if row.name in TWIN_ROWS]
    results, table = run_rows(rows, options, here), {}
    for row in rows:
        got = results[row.name]
        against = {name: f"; {spread(ratios(got[name], got[OURS]))} × {OURS}" if name != OURS else "" for name in NAMES}
        table[f"CPU µs, {row.what}"] = {name: text + against[name] for name, text in figures(got, "cpu", 2).items()}
    for what, row in (("one worker", "1k"), ("a connection for each", "close"), ("two workers", "1k-w2")):
        table[f"context switches, {what}"] = figures(results[row], "switches")
    table["memory of an idle connection, bytes"] = figures(results["idle-1000"], "memory", 0)
    table["the kernel's part of it, both ends, bytes"] = figures(results["idle-1000"], "kernel", 0)
    table["memory at rest, master and one worker, KiB"] = figures(results["1k"], "rest", 0, 1024)
    return table, results


def sizes():
    """The rows about programs and source. The size of a program is that without symbols, where strip is here."""
    programs, lines, stripped = {}, {}, OUT / "stripped"
    for name in NAMES:
        path = RELEASE / PROGRAMS[name][0]
        if shutil.which("strip"):
            subprocess.run(["strip", "-o", str(stripped), str(path)], check=True)
            path = stripped
        programs[name] = f"{path.stat().st_size / 1024:.0f}"
    for name, globs in FRONTS.items():
        files = {glob: sorted(PROJECT.glob(glob)) for glob in globs}
        if missing := [glob for glob, paths in files.items() if not paths]:
            raise Trouble(f"FRONTS in scripts/benchkit/twin.py names files that are gone: {', '.join(missing)}")
        lines[name] = f"{lines_of_code(sum(files.values(), [])):,}"
    return {"the program, stripped, KiB": programs, "lines of code between kernel and protocol": {
        OURS: lines[OURS], TWINS[0]: f"{lines[TWINS[0]]}, and Tokio", TWINS[1]: "the same"}}


def lines_of_code(paths):
    """Lines that are neither empty, nor comments, nor tests."""
    texts = [path.read_text().split("#[cfg(test)]\nmod tests")[0] for path in paths]
    return sum(bool(line.strip()) and not line.strip().startswith("//") for text in texts for line in text.splitlines())


def as_text(table, details, options):
    packages = json.loads(setup.output("cargo", "metadata", "--format-version", "1", "--locked"))["packages"]
    tokio = next(package for package in packages if package["name"] == "tokio")
    # All lines of the crate in the registry, whether or not they are compiled.
    sources = (pathlib.Path(tokio["manifest_path"]).parent / "src").rglob("*.rs")
    lines = lines_of_code(path for path in sources if "tests" not in path.parts)
    text = [f"{head(options)} Tokio {tokio['version']}, {lines:,} lines of code.", "",
            "| for each request | " + " | ".join(NAMES) + " |", "|---|" + "---|" * len(NAMES)]
    text += [f"| {what} | " + " | ".join(figures.get(name, "") for name in NAMES) + " |"
             for what, figures in table.items()]
    for what, calls in details.items():
        cells = [f"{name} " + ", ".join(f"{call} {number:g}" for call, number in (found or {}).items())
                 for name, found in calls.items()]
        text += ["", f"System calls, {what}: {'; '.join(cells)}."]
    return "\n".join(text) + "\n"
