"""The GIL turned round: a handler that computes, in Rust and in Python, for one client and for several."""

import os
import sys
import time

from .. import PROJECT, charts
from ..charts import LIGHT
from ..contestants import Server
from ..progress import Progress
from . import Cpu, ask, examples, said, wait_for_end

PROGRAMS = ["web_cpubound", "stheno_load"]
CLIENTS = [1, 2, 4, 8]
SECONDS, WARM_UP = 4, 0.5
# The best of so many counts: what else the machine does takes cores away, and never gives any.
ROUNDS = 5


def show(profile, folder):
    # Work that takes some tens of milliseconds in each.
    commands = {"Rust": [str(examples(profile) / "web_cpubound"), "--limit", "200000"],
                "Python": [sys.executable, "-u", str(PROJECT / "examples/python/web_cpubound.py"), "--limit", "20000"]}
    rates = {kind: [0.0] * len(CLIENTS) for kind in commands}
    cores = {kind: [0.0] * len(CLIENTS) for kind in commands}
    progress = Progress()
    for number in range(1, ROUNDS + 1):
        for kind, command in commands.items():
            for place, clients in enumerate(CLIENTS):
                progress.show(f"round {number} of {ROUNDS}", number / ROUNDS, f"{kind}, {clients} at a time")
                rate, used = measure(profile, folder, command, clients)
                if rate > rates[kind][place]:
                    rates[kind][place], cores[kind][place] = rate, used
    draw(rates, folder)
    lines = ["clients         " + "".join(f"{clients:>18}" for clients in CLIENTS)]
    for kind in commands:
        cells = [f"{rate:.1f}/s ({rate / rates[kind][0]:.2f} x, {core:.2f} cores)".rjust(28)
                 for rate, core in zip(rates[kind], cores[kind])]
        lines.append(f"{kind:10}" + "".join(cells))
    return "\n".join(lines)


def measure(profile, folder, command, clients):
    """Requests a second, and the cores that the server had."""
    with Server(command, folder / "server.txt") as server:
        with ask(profile, server.url, folder, "--users", clients, "--wait", 0, "--time", SECONDS, "--warm-up",
                 WARM_UP) as load:
            time.sleep(WARM_UP)
            cpu = Cpu(server.pid)
            time.sleep(SECONDS - WARM_UP - 0.2)
            used = cpu.cores()
            wait_for_end(load, 10)
    return said(folder, r"rate +([\d.]+)"), used


def draw(rates, folder):
    figure, axis = charts.figure(width=5.6, height=2.6)
    width = 0.36
    for place, (kind, values) in enumerate(rates.items()):
        gains = [value / values[0] for value in values]
        bars = axis.bar([number + (place - 0.5) * width for number in range(len(CLIENTS))], gains, width,
                        color=LIGHT["teal" if kind == "Rust" else "sand"], label=kind)
        axis.bar_label(bars, [f"{gain:.2f}" for gain in gains], padding=2, fontsize=8)
    axis.axhline(os.cpu_count() or 1, color=LIGHT["orange"], lw=1.1, ls=(0, (5, 3)), label=f"{os.cpu_count()} cores")
    charts.tidy(axis, "Requests per second, one client = 1")
    axis.set_xticks(range(len(CLIENTS)), [f"{clients} client{'s' * (clients > 1)}" for clients in CLIENTS])
    axis.set_xlim(-0.6, len(CLIENTS) - 0.4)
    charts.legend(axis)
    charts.save(figure, folder / "parallel", "A handler that computes: threads in Rust and in Python")
