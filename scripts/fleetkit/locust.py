"""The trial `growth`: the lab's load by Locust, a master and workers on two hosts, against one to three servers through the
balancer. What the law of the lab predicts is compared with what is measured.

The application sleeps, so the capacity of a host is its threads by the time of a sleep and not a share of the CPU, which all
hosts of this machine divide between them.
"""

import csv
import math
import os
import shutil
import time

import labkit
from labkit import model, records
from lib import PROJECT, Trouble, proc, setup, until

from . import OUT, wsgi
from .apps import sleeps

FILES = OUT / "growth"
# Requests that a host serves at once: two workers (wsgi.toml) with three threads each.
THREADS, AT_ONCE = 3, 6
THINK = 0.8, 1.2
# More than three hosts can serve, and what one host cannot serve but two can.
MANY, FEW = 260, 100


def prepare():
    """Installs what the trial needs; to be called while there is a network."""
    wsgi.prepare()
    setup.venv(labkit.VENV, labkit.PACKAGES)


class Locust:
    """A master on load1 and a worker on each of load1 and load2, headless, from now until `stop`."""

    def __init__(self, net, users, seconds):
        self.net, self.users, self.workers = net, users, []
        python = labkit.VENV / "bin" / "python"
        if not python.exists():
            raise Trouble(f"{python.relative_to(PROJECT)} is not here: it has to be installed before the network is isolated")
        words = [python, "-m", "locust", "-f", PROJECT / "examples" / "locustfile.py"]
        # Users begin spread over a second.
        self.master = net.load1.run("locust-master", *words, "--master", "--headless", "--only-summary", "--expect-workers", "2",
                                    "--host", "http://lb", "-u", users, "-r", users, "-t", f"{seconds}s",
                                    "--csv", FILES / f"{users}")
        for host in (net.load1, net.load2):
            folder = FILES / f"{users}-{host.name}"
            folder.mkdir(parents=True)
            environment = {"STHENO_WAIT": "{}-{}".format(*THINK), "STHENO_REQUESTS": str(folder / "requests.csv")}
            self.workers.append((folder, host.run("locust-worker", *words, "--worker", "--master-host", "load1",
                                                  env=os.environ | environment)))
        until(lambda: self.check() or all(records.requests(folder) for folder, _ in self.workers),
              "both workers are answered", 30)

    def check(self):
        for child in [self.master, *(child for _, child in self.workers)]:
            if child.is_over():
                raise Trouble(f"Locust has ended by itself: see {self.net.folder}")

    def pids(self):
        return [self.master.pid, *(child.pid for _, child in self.workers)]

    def requests(self, begun=0.0, ended=math.inf):
        """The requests of both workers that ended between two moments."""
        return [one for folder, _ in self.workers for one in records.requests(folder) if begun <= one[0] < ended]

    def wait(self):
        """Waits for the end; returns the sum that the master has of its workers: requests and failures."""
        for child in [self.master, *(child for _, child in self.workers)]:
            child.wait(90)
        with open(FILES / f"{self.users}_stats.csv", newline="", encoding="utf-8") as file:
            total = next(row for row in csv.DictReader(file) if row["Name"] == "Aggregated")
        return int(total["Request Count"]), int(total["Failure Count"])


def growth(trials):
    """Locust on two hosts against one, two and three servers: predicted and measured."""
    shutil.rmtree(FILES, ignore_errors=True)
    FILES.mkdir(parents=True)
    with wsgi.Applications(options=["sleeps:application", "--threads", str(THREADS)]) as fleet:
        for users in trials.some([MANY, FEW], [MANY]):
            grow(trials, fleet, users)


def grow(trials, fleet, users):
    """The same users against three hosts, then two, then one: a host less is felt at once, but the queue of the first host
    would take a while to spread to one more."""
    load, seconds, warm_up = model.Load(users, *THINK, sleeps.SECONDS, 0), trials.some(20, 4), trials.some(6, 2)
    numbers = range(len(fleet.webs), 0, -1)
    for web in fleet.webs:
        fleet.balancer.ask(f"set server fleet/{web.name} state ready")
    locust = Locust(fleet.net, users, len(numbers) * (warm_up + seconds) + 8)
    found = []
    for number in numbers:
        trials.progress.show(f"{users} users, {number} hosts")
        for web in fleet.webs[number:]:
            fleet.balancer.ask(f"set server fleet/{web.name} state maint")
        law = model.predict(number * AT_ONCE, load)
        time.sleep(warm_up)
        found.append(window(fleet, locust, number, law, seconds))
    locust.check()
    total, failures = locust.wait()
    lines = locust.requests()
    for one in reversed(found):
        say(trials, users, one)
    trials.row("growth", f"{users} users of Locust, a master and two workers",
               f"{total:,} requests, {failures} failed; the files of the workers have {len(lines):,}", "0 failed, the same sum",
               not failures and total == len(lines) and not any(failed for _, _, failed in lines))


def window(fleet, locust, number, law, seconds):
    """What happens in `seconds` with `number` hosts."""
    groups = {"servers": [pid for web in fleet.webs for pid in proc.family(web.master())],
              "HAProxy": proc.family(fleet.balancer.process.pid), "Locust": locust.pids()}
    # In nanoseconds: ticks miss threads that a timer wakes and that sleep again before the next tick.
    begun, before = time.time(), {name: proc.total(pids, proc.CPU_TIME) for name, pids in groups.items()}
    time.sleep(seconds)
    ended = time.time()
    cpu = {name: (proc.total(pids, proc.CPU_TIME) - before[name]) / 1e9 / (ended - begun) for name, pids in groups.items()}
    here = locust.requests(begun, ended)
    good = [took for _, took, failed in here if not failed]
    return {"hosts": number, "predicted": law.rate, "measured": len(good) / (ended - begun), "failed": len(here) - len(good),
            "predicted_response": law.response, "response": sum(good) / max(1, len(good)), "cpu": cpu}


def say(trials, users, one):
    off = model.difference(one["measured"], one["predicted"])
    cpu = ", ".join(f"{name} {share:.2f}" for name, share in one["cpu"].items())
    trials.row("growth", f"{users} users, {one['hosts']} host{'s' if one['hosts'] > 1 else ''}",
               f"{one['measured']:.1f} requests/s, predicted {one['predicted']:.1f} ({off:+.1%}); response {one['response']:.2f} s, "
               f"predicted {one['predicted_response']:.2f} s; {one['failed']} failed; CPU s/s: {cpu}", "± 10 %, 0 failed",
               trials.in_time(abs(off), model.TOLERANCE) and not one["failed"], figures=one)
