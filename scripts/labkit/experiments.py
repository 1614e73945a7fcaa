"""The experiments of the book. Each is a function that measures and returns data for JSON; `shows` draws them."""

import dataclasses
import json
import os
import re
import subprocess
import sys
import time

from lib import PROJECT, Progress, proc
from lib.server import STHENO_SAYS, Child, Server
from loopkit import broken

from . import model, records, run, rungs, stall

# The lab's load, ten times as fast, and its four knobs → values, and what a value changes in the load.
LOAD = model.Load(users=100, think_least=0.5, think_most=1.5, service=0.030, backlog=128)
KNOBS = {
    "users": ([5, 10, 20, 30, 35, 40, 60, 80, 100], lambda value: {"users": value}),
    "think": ([0.25, 0.5, 1.0, 2.0, 2.75, 3.0, 3.5, 5.0],
              lambda value: {"think_least": value / 2, "think_most": value * 1.5}),
    "service": ([0.003, 0.006, 0.008, 0.01, 0.012, 0.02, 0.03, 0.04], lambda value: {"service": value}),
    "backlog": ([4, 16, 32, 48, 64, 128], lambda value: {"backlog": value}),
}
PYTHON = [sys.executable, "-u"]


def program(profile, name):
    return [str(rungs.examples(profile) / name)]


def ask(profile, server, folder, *options):
    """Starts stheno_load; its output is in load.txt."""
    return Child([*program(profile, "stheno_load"), "--url", f"{server.url}/", *map(str, options)], folder / "load.txt")


def rate(folder):
    """The requests per second that stheno_load has printed."""
    return float(re.search(r"rate +([\d.]+)", (folder / "load.txt").read_text())[1])


def cores_for(seconds, *children):
    """The cores that each family of processes uses in the next seconds."""
    def spent():
        return [proc.cpu_seconds(proc.family(child.pid)) for child in children]
    begun, before = time.monotonic(), spent()
    time.sleep(seconds)
    return [(after - was) / (time.monotonic() - begun) for after, was in zip(spent(), before)]


def knobs(profile, folder):
    """The lab's four knobs, each turned alone: users, how often they ask, the database's time, the backlog."""
    progress, table, rung = Progress(), [], rungs.Contestant("web_singlethread")
    for knob, (values, change) in KNOBS.items():
        for value in values:
            load = dataclasses.replace(LOAD, **change(value))
            # Retries of a full queue come after 1, 3 and 7 s, and take longer to show.
            plan = run.Plan(load, 24 if knob == "backlog" else 12, load.users / load.think, profile=profile)
            place = folder / f"{knob}-{value:g}"
            run.measure(plan, rung, place, f"{knob} {value:g}", progress)
            figures, law = json.loads((place / "run.json").read_text())["figures"], model.predict(1, load)
            table.append({"knob": knob, "value": float(value), "predicted_rate": law.rate, "predicted": law.response}
                         | {name: figures[name] for name in ("rate", "p50", "p95", "longest", "queue", "failures")})
    records.write_csv(folder / "knobs.csv", table)
    return table


def omission(profile, folder, generator=None):
    """Coordinated omission: one run of a server that is stopped for two seconds, counted in two ways."""
    if generator:
        broken.build([generator])
    asks = [str(broken.program(generator))] if generator else program(profile, "stheno_load")
    return stall.measure(asks, program(profile, "web_reactor"), folder, 400, 12, 2)


def parallel(profile, folder):
    """A handler that computes, in Rust and in Python with its GIL, for one client and for several."""
    # The limits make about the same work, some ten milliseconds, in each language.
    commands = {"Rust": [*program(profile, "web_cpubound"), "--limit", "200000"],
                "Python": [*PYTHON, "examples/python/web_cpubound.py", "--limit", "20000"]}
    numbers, seconds, rounds, progress = [1, 2, 4, 8], 4, 5, Progress()
    best = {kind: [(0.0, 0.0)] * len(numbers) for kind in commands}
    # The best of several rounds: other load of the machine takes cores away, and never adds any.
    for again in range(1, rounds + 1):
        for kind, command in commands.items():
            for place, clients in enumerate(numbers):
                progress.show(f"round {again} of {rounds}: {kind}, {clients} at a time")
                with Server(command, folder / "server.txt") as server:
                    options = "--users", clients, "--wait", 0, "--time", seconds, "--warm-up", 0.5
                    with ask(profile, server, folder, *options) as load:
                        time.sleep(0.5)
                        used = cores_for(seconds - 0.7, server)
                        load.wait(10)
                best[kind][place] = max(best[kind][place], (rate(folder), *used))
    return {"clients": numbers, "cores": os.cpu_count(), "best": best}


def saturation(profile, folder):
    """The limit of each generator: one worker of the server, asked without a pause by Locust and by stheno-load."""
    command, found = [str(PROJECT / "target" / profile / "stheno"), "-r", "examples/site", "--access-log", "off"], {}
    # The best of three rounds, as in `parallel`.
    for name, measure in [("Locust", by_locust), ("stheno-load", by_stheno_load)] * 3:
        with Server(command, folder / "server.txt", STHENO_SAYS) as server:
            found[name] = max(found.get(name, (0.0,)), measure(profile, server, folder, users=64, seconds=6, warm_up=2))
    return found


def by_locust(_, server, folder, users, seconds, warm_up):
    path = folder / "requests.csv"
    path.unlink(missing_ok=True)
    command = [*run.LOCUST, "--host", server.url, "-u", str(users), "-r", str(users), "-t", f"{seconds + warm_up + 20}s"]
    environment = os.environ | {"STHENO_WAIT": "0", "STHENO_REQUESTS": str(path)}
    with Child(command, folder / "locust.txt", env=environment) as load:
        while len(records.rows(path)) <= users:
            time.sleep(0.1)
        time.sleep(warm_up)
        begun, used, ended = time.time(), cores_for(seconds, server, load), time.time()
    return sum(begun <= at < ended for at, _, _ in records.requests(folder)) / (ended - begun), *used


def by_stheno_load(profile, server, folder, users, seconds, warm_up):
    with ask(profile, server, folder, "--users", users, "--wait", 0, "--time", seconds + warm_up, "--warm-up", warm_up) as load:
        time.sleep(warm_up)
        used = cores_for(seconds - 0.5, server, load)
        load.wait(20)
    return rate(folder), *used


def threads(profile, folder):
    """Too many threads: how many there can be under a limit of address space, and what they take."""
    limits = [1024, 2048, 4096, 8192]
    commands = {"Rust": program(profile, "toomanythreads"), "Python": [*PYTHON, "examples/python/toomanythreads.py"]}
    found = {kind: [make_threads(command, limit) for limit in limits] for kind, command in commands.items()}
    return {"limits": limits, "found": found}


def make_threads(command, limit):
    """The number of threads that is reached; on the way there (threads, MiB of addresses, MiB of memory)."""
    most, way = 0, []
    with Child([*command, "--limit", str(limit)], stdout=subprocess.PIPE, text=True) as child:
        for line in child.process.stdout:
            most = int(line)
            if most % 25 == 0:
                seen = [proc.total([child.pid], (rf"^{name}:\s+(\d+)", "status")) / 1024 for name in ("VmSize", "VmRSS")]
                way += [(most, *seen)] if all(seen) else []
    return most, way


# Experiment → its function, and the programs that it needs.
EXPERIMENTS = {"threads": (threads, ["toomanythreads"]), "knobs": (knobs, ["web_singlethread", "stheno_load"]),
               "parallel": (parallel, ["web_cpubound", "stheno_load"]), "omission": (omission, ["web_reactor", "stheno_load"]),
               "saturation": (saturation, ["stheno", "stheno_load"])}
