"""Coordinated omission: one run, one server that stands still for two seconds, counted in two ways."""

import os
import signal
import time

from .. import charts
from ..charts import LIGHT, plt
from ..contestants import Server
from ..records import rows
from . import ask, examples, wait_for_end

PROGRAMS = ["web_reactor", "stheno_load"]
RATE, CONNECTIONS, SECONDS = 400, 20, 12
STILL_FROM, STILL = 5, 2


def show(profile, folder):
    table = folder / "percentiles.csv"
    command = [str(examples(profile) / "web_reactor"), "--db", "5"]
    with Server(command, folder / "server.txt") as server:
        with ask(profile, server.url, folder, "--rate", RATE, "--connections", CONNECTIONS, "--time", SECONDS,
                 "--percentiles", table) as load:
            time.sleep(STILL_FROM)
            os.kill(server.pid, signal.SIGSTOP)
            try:
                time.sleep(STILL)
            finally:
                os.kill(server.pid, signal.SIGCONT)
            wait_for_end(load, SECONDS + 10)
    draw([{name: float(value) for name, value in row.items()} for row in rows(table)], folder)
    lines = (folder / "load.txt").read_text().rstrip()
    late = sum(1 for row in rows(table) if float(row["since_sent_ms"]) < 100)
    return (f"{lines}\n  The server stood still for {STILL} s of {SECONDS}: {STILL / SECONDS:.0%} of the requests were "
            f"due then. Since sent, {float(rows(table)[late - 1]['share']):.2%} take less than 0.1 s.")


def draw(points, folder):
    figure, axis = charts.figure(width=6.2, height=2.9)
    nines = [1 / (1 - point["share"]) for point in points]
    for name, colour, label in (("since_due_ms", "orange", "from when it was due"),
                                ("since_sent_ms", "blue", "from when it was sent")):
        axis.plot(nines, [point[name] / 1000 for point in points], color=LIGHT[colour], label=label)
    most = RATE * SECONDS
    axis.set_xscale("log")
    axis.set_xlim(1, most)
    marks = [mark for mark in (1, 2, 10, 100, 1000) if mark <= most]
    axis.set_xticks(marks, ["0 %" if mark == 1 else f"{100 - 100 / mark:.5g} %" for mark in marks])
    axis.minorticks_off()
    charts.tidy(axis, "So many took no longer")
    axis.yaxis.set_major_formatter(plt.FuncFormatter(charts.seconds))
    axis.set_ylim(0)
    charts.legend(axis)
    charts.save(figure, folder / "omission", "One run, counted from when requests were due, and from when they were sent")
