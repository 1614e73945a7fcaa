"""Who is out of breath first: the server itself, one worker, asked without a pause by Locust and by stheno-load."""

import os
import subprocess
import sys
import time

from .. import PROJECT, charts, records
from ..charts import LIGHT
from ..contestants import STHENO_SAYS, Child, Server, spawn
from . import Cpu, ask, said, wait_for_end

PROGRAMS = ["stheno_load"]
USERS, SECONDS, WARM_UP = 64, 6, 2
# The best of so many counts, as in `parallel`.
ROUNDS = 3


def show(profile, folder):
    subprocess.run(["cargo", "build", "--locked", "--quiet", "--bin", "stheno"]
                   + (["--release"] if profile == "release" else []), cwd=PROJECT, check=True)
    command = [str(PROJECT / "target" / profile / "stheno"), "-r", str(PROJECT / "examples/site"), "--access-log", "off"]
    found = {}
    for name, measure in [("Locust", by_locust), ("stheno-load", by_stheno_load)] * ROUNDS:
        with Server(command, folder / "server.txt", STHENO_SAYS) as server:
            found[name] = max(found.get(name, (0.0, 0.0, 0.0)), measure(profile, server, folder))
    draw(found, folder)
    lines = [f"{'':14}{'requests/s':>12}{'server, cores':>15}{'generator, cores':>18}"]
    lines += [f"{name:14}{rate:12,.0f}{server:15.2f}{load:18.2f}" for name, (rate, server, load) in found.items()]
    return "\n".join(lines)


def by_locust(_, server, folder):
    path = folder / "requests.csv"
    path.unlink(missing_ok=True)
    command = [sys.executable, "-m", "locust", "-f", str(PROJECT / "examples/locustfile.py"), "--headless", "--host",
               server.url, "-u", str(USERS), "-r", str(USERS), "-t", f"{SECONDS + WARM_UP + 20}s", "--only-summary"]
    environment = os.environ | {"STHENO_WAIT": "0", "STHENO_REQUESTS": str(path)}
    with open(folder / "locust.txt", "wb") as log:
        process = spawn(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
    with Child(process) as load:
        while not (path.exists() and len(records.rows(path)) > USERS):
            time.sleep(0.1)
        time.sleep(WARM_UP)
        cores, begun = (Cpu(server.pid), Cpu(load.pid)), time.time()
        time.sleep(SECONDS)
        until, used = time.time(), [one.cores() for one in cores]
    ended = [float(row["ended"]) for row in records.rows(path)]
    return sum(begun <= one < until for one in ended) / (until - begun), *used


def by_stheno_load(profile, server, folder):
    with ask(profile, server.url, folder, "--users", USERS, "--wait", 0, "--time", SECONDS + WARM_UP, "--warm-up",
             WARM_UP) as load:
        time.sleep(WARM_UP)
        cores = Cpu(server.pid), Cpu(load.pid)
        time.sleep(SECONDS - 0.5)
        used = [one.cores() for one in cores]
        wait_for_end(load, 20)
    return said(folder, r"rate +([\d.]+)"), *used


def draw(found, folder):
    figure, axes = charts.figure(columns=2, width=4.2, height=1.6, sharey=True)
    names, places = list(found), range(len(found))
    bars = axes[0].barh(places, [one[0] for one in found.values()], color=LIGHT["teal"], height=0.5)
    axes[0].bar_label(bars, [f"{one[0]:,.0f}" for one in found.values()], padding=5, fontsize=8)
    charts.tidy(axes[0], "Requests per second", left=False)
    for shift, part, colour, label in ((-0.17, 1, "teal", "server"), (0.17, 2, "sand", "generator")):
        values = [one[part] for one in found.values()]
        bars = axes[1].barh([place + shift for place in places], values, color=LIGHT[colour], height=0.3, label=label)
        axes[1].bar_label(bars, [f"{value:.2f}" for value in values], padding=5, fontsize=8)
    charts.tidy(axes[1], "Cores in use", left=False)
    for axis in axes:
        axis.grid(False)
        axis.set_xticks([])
        axis.spines["bottom"].set_visible(False)
        axis.set_xlim(0, axis.get_xlim()[1] * 1.25)
    axes[0].set_yticks(places, names)
    axes[0].set_ylim(len(found) - 0.5, -0.5)
    charts.legend(axes[1])
    charts.save(figure, folder / "saturation", "One worker of the server, asked without a pause")
