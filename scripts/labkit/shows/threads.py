"""Too many threads: how many there can be under a limit of address space, and what they take."""

import re
import subprocess
import sys
from pathlib import Path

from .. import PROJECT, charts
from ..charts import LIGHT
from ..contestants import Child, spawn
from . import examples

PROGRAMS = ["toomanythreads"]
# MiB of address space; the last is also the one whose way there is drawn.
LIMITS = [1024, 2048, 4096, 8192]
KIND = {"Rust": "teal", "Python": "sand"}


def show(profile, folder):
    commands = {"Rust": [str(examples(profile) / "toomanythreads")],
                "Python": [sys.executable, str(PROJECT / "examples/python/toomanythreads.py")]}
    reached = {kind: [start(command, limit)[0] for limit in LIMITS] for kind, command in commands.items()}
    ways = {kind: start(command, LIMITS[-1])[1] for kind, command in commands.items()}
    draw(reached, ways, folder)
    lines = ["address space " + "".join(f"{limit:>9} MiB" for limit in LIMITS)]
    lines += [f"{kind:13} " + "".join(f"{count:>13}" for count in counts) for kind, counts in reached.items()]
    for kind, way in ways.items():
        threads, size, resident = way[-1]
        lines.append(f"{kind}: {threads} threads have {size / threads:.2f} MiB of addresses each, and "
                     f"{resident * 1024 / threads:.1f} KiB of memory")
    return "\n".join(lines)


def start(command, limit):
    """How many it comes to, and on the way there (threads, MiB of addresses, MiB of memory)."""
    process = spawn([*command, "--limit", str(limit)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL, text=True)
    most, way = 0, []
    with Child(process) as child, process.stdout:
        for line in process.stdout:
            most = int(line)
            if most % 25 == 0 and (seen := memory(child.pid)):
                way.append((most, *seen))
    return most, way


def memory(pid):
    """MiB of addresses and of memory, while it is there."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
        return tuple(int(re.search(rf"^{name}:\s+(\d+)", text, re.M)[1]) / 1024 for name in ("VmSize", "VmRSS"))
    except (OSError, TypeError):
        return None


def draw(reached, ways, folder):
    figure, axes = charts.figure(columns=2, width=4.2, height=2.5)
    for kind, counts in reached.items():
        axes[0].plot(LIMITS, counts, marker="o", ms=4, color=LIGHT[KIND[kind]], label=kind)
        axes[0].annotate(f"{counts[-1]}", (LIMITS[-1], counts[-1]), (-4, 4), textcoords="offset points", ha="right",
                         fontsize=8)
    charts.tidy(axes[0], "Threads, until none is left")
    axes[0].set_xlabel("MiB of address space allowed", fontsize=8)
    axes[0].set_xticks(LIMITS)
    axes[0].set_ylim(0)
    for kind, way in ways.items():
        threads, _, residents = zip(*way)
        axes[1].plot(threads, residents, color=LIGHT[KIND[kind]], label=kind)
    charts.tidy(axes[1], "Memory on the way there", "MiB")
    axes[1].set_xlabel("threads", fontsize=8)
    axes[1].set_ylim(0)
    for axis in axes:
        axis.margins(x=0.04)
        charts.legend(axis)
    charts.save(figure, folder / "threads", "Threads that sleep, under a limit of address space")
