"""Who asks: Locust, or our own stheno-load. Both write the same file, a line for every request."""

import os
import subprocess
import sys

from . import PROJECT, Trouble
from .contestants import Child, spawn

GENERATORS = ("locust", "stheno")


def start(generator, url, load, seconds, spawn_rate, seed, folder, profile):
    """Starts the load; it ends by itself after so many seconds."""
    users, least, most = load.users, load.think_least, load.think_most
    with open(folder / "load.txt", "wb") as log:
        if generator == "locust":
            command = [sys.executable, "-m", "locust", "-f", str(PROJECT / "examples" / "locustfile.py"), "--headless",
                       "--host", url, "-u", str(users), "-r", f"{spawn_rate:g}", "-t", f"{seconds:.0f}s",
                       "--csv", str(folder / "locust"), "--csv-full-history", "--only-summary"]
            environment = os.environ | {"STHENO_WAIT": f"{least:g}-{most:g}", "STHENO_SEED": str(seed),
                                        "STHENO_REQUESTS": str(folder / "requests.csv")}
        elif generator == "stheno":
            command = [str(PROJECT / "target" / profile / "examples" / "stheno_load"), "--url", url + "/",
                       "--users", str(users), "--wait", f"{least:g}-{most:g}", "--spawn-rate", f"{spawn_rate:g}",
                       "--time", f"{seconds:.0f}", "--seed", str(seed), "--requests", str(folder / "requests.csv")]
            environment = None
        else:
            raise Trouble(f"--load is {' or '.join(GENERATORS)}")
        process = spawn(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
    return Child(process), command
