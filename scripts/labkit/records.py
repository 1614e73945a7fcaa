"""The files of a run.

    DIR/lab.json                 what was run, by which command, on which machine
    DIR/NAME-1/run.json          one run of one rung: its figures
    DIR/NAME-1/requests.csv      when each request ended, how long it took, and how late it was sent
    DIR/NAME-1/samples.csv       the server once a second
    DIR/NAME-1/sleeps.csv        how long a sleep of the database's time took meanwhile
    DIR/NAME-1/locust_*.csv      what Locust itself writes
"""

import contextlib
import csv
import json
import math
import os
import pathlib
import platform
import statistics
import subprocess
from importlib import metadata

from lib import Trouble, cpu_model, quantile, setup

from . import causes, model

FORMAT = 3


def machine():
    def try_to(function, *arguments):
        try:
            return function(*arguments)
        except (OSError, subprocess.CalledProcessError, metadata.PackageNotFoundError):
            return "unknown"

    return {
        "cpu": cpu_model(), "cores": os.cpu_count(),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / (1 << 30):.0f} GiB",
        "system": f"{platform.system()} {platform.release()}", "python": platform.python_version(),
        "stheno": try_to(setup.output, "git", "describe", "--always", "--dirty"),
        "rust": try_to(setup.output, "rustc", "--version").removeprefix("rustc ").partition(" (")[0],
        "locust": try_to(metadata.version, "locust"), "matplotlib": try_to(metadata.version, "matplotlib"),
        "somaxconn": pathlib.Path("/proc/sys/net/core/somaxconn").read_text().strip(),
    }


def save(path, content):
    """Writes the file whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1) + "\n")
    part.rename(path)


def write_csv(path, lines):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, lines[0])
        writer.writeheader()
        writer.writerows(lines)


def rows(path):
    """The lines of a CSV file without one that is cut off; none if there is no file."""
    with contextlib.suppress(FileNotFoundError), open(path, newline="", encoding="utf-8") as file:
        return [line for line in csv.DictReader(file) if None not in line.values()]
    return []


def requests(folder):
    """The requests of a run by time: when each ended, its seconds, and whether it failed."""
    found = []
    for row in rows(folder / "requests.csv"):
        with contextlib.suppress(ValueError):
            found.append((float(row["ended"]), float(row["milliseconds"]) / 1000, bool(row["failure"])))
    return sorted(found)


def column(folder, file, name, begun, until):
    """The seconds in a column of milliseconds, of the lines that ended between two moments."""
    found = [(float(row["ended"]), float(row[name] or "nan")) for row in rows(folder / file)]
    return [value / 1000 for ended, value in found if begun <= ended < until and not math.isnan(value)]


def samples(folder):
    return [{name: float(value) for name, value in row.items()} for row in rows(folder / "samples.csv")]


def figures(folder, begun, until):
    """The figures of a run between two moments."""
    window, here = until - begun, [request for request in requests(folder) if begun <= request[0] < until]
    good = [took for _, took, failed in here if not failed]
    seen = [one for one in samples(folder) if begun <= one["time"] < until]
    # The metronome: no sleeps where the database takes no time.
    slept = column(folder, "sleeps.csv", "milliseconds", begun, until)
    late = column(folder, "requests.csv", "late", begun, until)

    def most(name):
        return max((one[name] for one in seen), default=math.nan)

    def mean(values):
        return statistics.fmean(values) if values else math.nan

    def grown(name):
        return seen[-1][name] - seen[0][name] if len(seen) > 1 else math.nan

    found = {
        "seconds": window, "requests": len(good), "failures": len(here) - len(good),
        "rate": len(good) / window if window > 0 else math.nan,
        "mean": mean(good), "p50": quantile(good, 0.5), "p95": quantile(good, 0.95), "p99": quantile(good, 0.99),
        "longest": max(good, default=math.nan), "sleep": mean(slept), "sleep_p50": quantile(slept, 0.5),
        "late": mean(late),
        "queue": mean([one["queue"] for one in seen]), "queue_most": most("queue"), "backlog": most("backlog"),
        "overflows": grown("overflows"), "threads": most("threads"), "processes": most("processes"),
        "memory_kib": most("memory_kib"), "cpu": grown("cpu_seconds") / grown("time"),
        "load_cpu": grown("load_cpu_seconds") / grown("time"),
    }
    # JSON has no nan: what could not be seen is null.
    return {name: None if math.isnan(value) else value for name, value in found.items()}


class Rung:
    """All runs of one contestant, from their files run.json."""

    def __init__(self, paths):
        self.runs, self.folders = [json.loads(path.read_text()) for path in paths], [path.parent for path in paths]
        self.name, self.slug, self.load = self.runs[0]["name"], self.folders[0].name, model.Load(**self.runs[0]["load"])
        servers = self.runs[0]["servers"]
        self.prediction = model.predict(math.inf if servers is None else servers, self.load)
        self.rate_off = model.difference(self.figure("rate"), self.prediction.rate)
        self.response_off = model.difference(self.figure("p50"), self.prediction.response)
        self.causes = causes.Causes(self)

    def values(self, name):
        found = [run["figures"].get(name) for run in self.runs]
        return [value for value in found if value is not None]

    def figure(self, name):
        """The median of the runs; nan if none has it."""
        return statistics.median(self.values(name) or [math.nan])


def load_folder(folder):
    """The content of lab.json, and the rungs that were measured, in their order."""
    try:
        about = json.loads((folder / "lab.json").read_text())
    except (FileNotFoundError, ValueError) as error:
        raise Trouble(f"there is no run in {folder}, because lab.json cannot be read: {error}") from None
    if about.get("format") != FORMAT:
        raise Trouble(f"{folder} was written by another version of scripts/lab: run it again")
    paths = {}
    for path in sorted(folder.glob("*/run.json"), key=lambda path: path.stat().st_mtime):
        paths.setdefault(path.parent.name.rpartition("-")[0], []).append(path)
    if not paths:
        raise Trouble(f"{folder} has no rung that was measured to the end")
    return about, sorted(map(Rung, paths.values()), key=lambda rung: about["rungs"].index(rung.name))
