"""Coordinated omission: a server stands still while requests are due, and a load generator counts them."""

import os
import re
import signal
import time

from lib import PROJECT, Trouble, setup
from lib.server import Child, Server
from loopkit import broken

from . import TARGET, records


def measure(generator, server, folder, requests, seconds, stopped):
    """Asks `server` for some requests per second, and stops it once; the percentiles, counted both ways, and the output."""
    path = folder / "percentiles.csv"
    with Server([*server, "--db", "5"], folder / "server.txt") as child:
        options = ["--url", f"{child.url}/", "--rate", requests, "--connections", 20, "--time", seconds, "--percentiles", path]
        with Child([*generator, *map(str, options)], folder / "load.txt") as load:
            time.sleep(seconds * 0.4)
            os.kill(child.pid, signal.SIGSTOP)
            try:
                time.sleep(stopped)
            finally:
                os.kill(child.pid, signal.SIGCONT)
            load.wait(seconds + 10)
    points = [{name: float(value) for name, value in row.items()} for row in records.rows(path)]
    return {"points": points, "requests": requests, "seconds": seconds, "stopped": stopped,
            "says": (folder / "load.txt").read_text().rstrip()}


def check_break(name):
    """A stall of a sixth of the time is in the percentiles of the generator, and not in those of the broken one."""
    about, folder = broken.read(name), TARGET / "stall"
    most = float(re.fullmatch(r"p95 below (\d+) ms", about.witnesses[0])[1])
    folder.mkdir(parents=True, exist_ok=True)
    broken.build([name])
    setup.build(about.whole, "web_reactor", profile="debug")
    examples = PROJECT / "target" / "debug" / "examples"
    for generator, wanted in ((broken.program(name), True), (examples / about.whole, False)):
        data = measure([str(generator)], [str(examples / "web_reactor")], folder, 200, 6, 1)
        p95 = max(point["since_due_ms"] for point in data["points"] if point["share"] <= 0.95)
        if (p95 < most) != wanted:
            raise Trouble(f"{generator.name}: 95 % of the requests take up to {p95:.0f} ms; {about.witnesses[0]} is "
                          f"{'not ' if wanted else ''}found")
