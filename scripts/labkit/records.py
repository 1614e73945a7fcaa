"""The files of a run.

    DIR/lab.json                 what was run, by which command, on which machine
    DIR/NAME-1/run.json          one run of one rung: its figures
    DIR/NAME-1/requests.csv      when each request ended, and how long it took
    DIR/NAME-1/samples.csv       what was seen of the server, once a second
    DIR/NAME-1/sleeps.csv        how long the machine made of the database's time, meanwhile
    DIR/NAME-1/locust_*.csv      what Locust says itself
"""

import csv
import json
import math
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata

from . import PROJECT, Trouble, model

FORMAT = 1


def machine():
    """What it was measured on."""
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())

    def says(*command):
        try:
            return subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return "unknown"

    def version(package):
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            return "none"

    return {
        "cpu": cpu[1] if cpu else platform.machine(),
        "cores": os.cpu_count(),
        "memory": f"{int(memory[1]) / (1 << 20):.0f} GiB" if memory else "unknown",
        "system": f"{platform.system()} {platform.release()}",
        "stheno": says("git", "describe", "--always", "--dirty"),
        "rust": says("rustc", "--version").removeprefix("rustc ").partition(" (")[0],
        "python": platform.python_version(),
        "locust": version("locust"),
        "matplotlib": version("matplotlib"),
        "somaxconn": pathlib.Path("/proc/sys/net/core/somaxconn").read_text().strip(),
    }


def save(path, content):
    """Writes it whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1) + "\n")
    part.rename(path)


def rows(path):
    """The lines of a CSV file; what was cut off in the middle of a line is left out."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            lines = csv.DictReader(file)
            return [line for line in lines if None not in line.values()]
    except FileNotFoundError:
        return []


def requests(folder):
    """Each request of a run: when it ended, seconds, and whether it failed; by time."""
    found = []
    for row in rows(folder / "requests.csv"):
        try:
            found.append((float(row["ended"]), float(row["milliseconds"]) / 1000, bool(row["failure"])))
        except ValueError:
            continue
    return sorted(found)


def sleeps(folder):
    """Each sleep of the metronome: when it ended, and seconds; none where the database takes no time."""
    return [(float(row["ended"]), float(row["milliseconds"]) / 1000) for row in rows(folder / "sleeps.csv")]


def samples(folder):
    """What was seen each second, as numbers."""
    return [{name: float(value) for name, value in row.items()} for row in rows(folder / "samples.csv")]


def quantile(values, share):
    """The value that this share is no greater than; nan of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def figures(folder, begun, until):
    """What the measured time has shown, between two moments."""
    window = until - begun
    here = [(took, failed) for ended, took, failed in requests(folder) if begun <= ended < until]
    good = [took for took, failed in here if not failed]
    seen = [one for one in samples(folder) if begun <= one["time"] < until]
    slept = [took for ended, took in sleeps(folder) if begun <= ended < until]

    def mean(name):
        return statistics.fmean(one[name] for one in seen) if seen else math.nan

    def most(name):
        return max((one[name] for one in seen), default=math.nan)

    def grown(name):
        return seen[-1][name] - seen[0][name] if len(seen) > 1 else math.nan

    watched = seen[-1]["time"] - seen[0]["time"] if len(seen) > 1 else math.nan
    found = {
        "seconds": window,
        "requests": len(good),
        "failures": len(here) - len(good),
        "rate": len(good) / window if window > 0 else math.nan,
        "mean": statistics.fmean(good) if good else math.nan,
        "p50": quantile(good, 0.5),
        "p95": quantile(good, 0.95),
        "p99": quantile(good, 0.99),
        "longest": max(good, default=math.nan),
        "sleep": statistics.fmean(slept) if slept else math.nan,
        "sleep_p50": quantile(slept, 0.5),
        "queue": mean("queue"),
        "queue_most": most("queue"),
        "backlog": most("backlog"),
        "overflows": grown("overflows"),
        "threads": most("threads"),
        "processes": most("processes"),
        "memory_kib": most("memory_kib"),
        "cpu": grown("cpu_seconds") / watched,
        "load_cpu": grown("load_cpu_seconds") / watched,
    }
    # What could not be seen is null: JSON knows no nan.
    return {name: None if math.isnan(value) else value for name, value in found.items()}


@dataclass
class Rung:
    """All runs of one contestant."""

    name: str
    prediction: model.Prediction
    load: model.Load
    runs: list
    folders: list

    def figure(self, name):
        """The median of its runs; nan when there is none."""
        values = self.values(name)
        return statistics.median(values) if values else math.nan

    def values(self, name):
        """Of each run that has it."""
        found = [run["figures"].get(name) for run in self.runs]
        return [value for value in found if value is not None]

    @property
    def rate_off(self):
        return model.difference(self.figure("rate"), self.prediction.rate)

    @property
    def response_off(self):
        return model.difference(self.figure("p50"), self.prediction.response)

    @property
    def is_off(self):
        off = [self.rate_off, self.response_off]
        return any(math.isnan(one) or abs(one) > model.TOLERANCE for one in off)

    @property
    def is_partial(self):
        return any(run["interrupted"] for run in self.runs)


def load_folder(folder):
    """What lab.json says, and the rungs that are done, in order."""
    folder = pathlib.Path(folder)
    try:
        about = json.loads((folder / "lab.json").read_text())
    except FileNotFoundError:
        raise Trouble(f"there is no run in {folder}: it has no lab.json") from None
    except ValueError as error:
        raise Trouble(f"{folder}/lab.json cannot be read: {error}") from None
    if about.get("format") != FORMAT:
        raise Trouble(f"{folder} was written by another version of scripts/lab: run it again")
    rungs = {}
    for path in sorted(folder.glob("*/run.json"), key=lambda path: path.stat().st_mtime):
        run = json.loads(path.read_text())
        load = model.Load(**run["load"])
        servers = math.inf if run["servers"] is None else run["servers"]
        rung = rungs.setdefault(run["name"], Rung(run["name"], model.predict(servers, load), load, [], []))
        rung.runs.append(run)
        rung.folders.append(path.parent)
    if not rungs:
        raise Trouble(f"{folder} has no rung that was measured to the end")
    order = {name: place for place, name in enumerate(about["rungs"])}
    return about, sorted(rungs.values(), key=lambda rung: order.get(rung.name, len(order)))


def command_line():
    """As it was typed."""
    return " ".join(["scripts/lab", *sys.argv[1:]])
