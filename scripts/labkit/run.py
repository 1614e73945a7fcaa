"""Runs contestants one after the other, and keeps what was done of it, however it ends."""

import contextlib
import datetime
import math
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

from . import Trouble, contestants, load as generators, model, records
from .progress import Progress
from .sampler import Sampler

# Seconds that a generator may take before its first request, and after its last one.
START_UP = 30
METRONOME = pathlib.Path(__file__).with_name("metronome.py")


@dataclass(frozen=True)
class Plan:
    """How each contestant is measured."""

    load: model.Load
    seconds: float
    spawn_rate: float
    generator: str
    seed: int
    repeat: int
    profile: str

    def warm_up(self, servers):
        """Seconds until the users are all there and have gone round once: then it is as it will be."""
        prediction = model.predict(servers, self.load)
        return self.load.users / self.spawn_rate + self.load.think + prediction.response


class Interrupted(Exception):
    """Ctrl+C."""


def _interrupt(*_):
    # Once: the second one is not to end us in the middle of ending others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Interrupted


def listen_for_ctrl_c():
    """Ctrl+C and kill raise `Interrupted`, once, wherever we are."""
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    # A terminal that is closed.
    signal.signal(signal.SIGHUP, _interrupt)


def prepare(plan, names):
    """What can go wrong goes wrong here, before anything is measured."""
    chosen = [contestants.named(name) for name in names]
    programs = [one.program for one in chosen if not one.is_python]
    contestants.build(programs + (["stheno_load"] if plan.generator == "stheno" else []), plan.profile)
    return chosen


def run_all(plan, chosen, out):
    """Measures them all; answers whether all were measured to the end."""
    out.mkdir(parents=True, exist_ok=True)
    records.save(out / "lab.json", {
        "format": records.FORMAT,
        "command": records.command_line(),
        "begun": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": records.machine(),
        "generator": plan.generator,
        "seed": plan.seed,
        "seconds": plan.seconds,
        "spawn_rate": plan.spawn_rate,
        "profile": plan.profile,
        "rungs": [one.name for one in chosen],
        "load": asdict(plan.load),
    })
    progress, is_whole = Progress(), True
    todo = [(number, one, again) for number, one in enumerate(chosen, 1) for again in range(1, plan.repeat + 1)]
    for number, contestant, again in todo:
        title = f"{number}/{len(chosen)} {contestant.name}" + (f" ({again})" if plan.repeat > 1 else "")
        try:
            measure(plan, contestant, out / f"{contestant.slug}-{again}", title, progress, plan.seed + again - 1)
        except Trouble as trouble:
            # The others are none the worse for it.
            progress.done(f"{title}: {trouble}")
            is_whole = False
        except Interrupted:
            progress.done("interrupted: what is done is kept")
            is_whole = False
            break
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_DFL)
    return is_whole


def measure(plan, contestant, folder, title, progress, seed):
    """One run of one contestant: its files, and figures that are made of them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    warm_up = plan.warm_up(contestant.servers)
    everything = warm_up + plan.seconds
    run = {"name": contestant.name, "what": contestant.what, "load": asdict(plan.load), "generator": plan.generator,
           "spawn_rate": plan.spawn_rate, "seed": seed,
           "servers": None if math.isinf(contestant.servers) else contestant.servers, "interrupted": False}
    begun = None
    try:
        with contestants.server_of(contestant, plan.load, plan.profile, folder / "server.txt") as server:
            run["alone"] = alone(server.port)
            # In whole seconds, as Locust takes it. It counts from before its first request, so it gets some more, and
            # is ended by us.
            asking, run["load_command"] = generators.start(
                plan.generator, server.url, plan.load, math.ceil(everything) + 5, plan.spawn_rate, seed, folder,
                plan.profile)
            run["server_command"] = server.command
            with asking, metronome(plan.load.service, folder):
                sampler = Sampler(folder / "samples.csv", server.port, server.pid, asking.pid)
                sampler.start()
                try:
                    begun = wait_for_first(folder, asking, server)
                    watch(title, progress, folder, sampler, server, asking, begun, warm_up, everything)
                except Interrupted:
                    run["interrupted"] = True
                    raise
                finally:
                    until = min(time.time(), begun + everything) if begun else time.time()
                    sampler.stop()
    finally:
        if begun and until - begun > warm_up + 1:
            run |= {"begun": begun, "measured_from": begun + warm_up, "measured_until": until, "warm_up": warm_up}
            run["figures"] = records.figures(folder, begun + warm_up, until)
            run["switches"], run["cpu_seconds"] = used(server)
            run["answers"] = sum(1 for _, _, failed in records.requests(folder) if not failed)
            records.save(folder / "run.json", run)
            progress.done(summary(title, contestant, plan, run))


def metronome(seconds, folder):
    """Sleeps beside the rung, as long as its database takes: the file says why."""
    if not seconds:
        return contextlib.nullcontext()
    command = [sys.executable, "-S", str(METRONOME), str(seconds), str(folder / "sleeps.csv")]
    with open(folder / "metronome.txt", "wb") as log:
        return contestants.Child(contestants.spawn(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))


def alone(port):
    """Seconds that a request takes when there is no other, at best: the database, and what the rung adds to it."""
    times = []
    for _ in range(9):
        begun = time.monotonic()
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n")
            while client.recv(4096):
                pass
        times.append(time.monotonic() - begun)
    return min(times)


def wait_for_first(folder, asking, server):
    """When the first user asked: the beginning of time."""
    until = time.monotonic() + START_UP
    while time.monotonic() < until:
        found = records.requests(folder)
        if found:
            ended, took, _ = found[0]
            return ended - took
        look_after(asking, server, folder)
        time.sleep(0.05)
    raise Trouble(f"no request has been answered in {START_UP} s: see {folder}/load.txt and server.txt")


def look_after(asking, server, folder):
    if server.is_over():
        raise Trouble(f"the server has ended by itself: see {folder}/server.txt")
    if asking.is_over():
        raise Trouble(f"the load has ended by itself: see {folder}/load.txt")


def watch(title, progress, folder, sampler, server, asking, begun, warm_up, everything):
    """Waits until the time is over, and shows how it goes."""
    lines = Tail(folder / "requests.csv")
    while (spent := time.time() - begun) < everything:
        look_after(asking, server, folder)
        rate = lines.rate(spent)
        queue = sampler.last["queue"] if sampler.last else 0
        stage = "warming up, " if spent < warm_up else ""
        left = f"{math.ceil(everything - spent):4} s left"
        progress.show(title, spent / everything, f"{left}  {stage}{rate:.1f} req/s, {queue} in the queue")
        time.sleep(min(0.25, everything - spent))


class Tail:
    """Counts the lines that a file grows by, over the last ten looks."""

    def __init__(self, path):
        self.path, self.lines, self.offset, self.looks = path, 0, 0, []

    def rate(self, spent):
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            piece = file.read()
        self.offset += len(piece)
        self.lines += piece.count(b"\n")
        self.looks = [*self.looks[-20:], (spent, self.lines)]
        (first, few), (last, many) = self.looks[0], self.looks[-1]
        return (many - few) / (last - first) if last > first else 0.0


def used(server):
    """Context switches and CPU seconds of all its life, its ended threads and children among it."""
    usage = server.usage
    if usage is None:
        return None, None
    return usage.ru_nvcsw + usage.ru_nivcsw, round(usage.ru_utime + usage.ru_stime, 3)


def summary(title, contestant, plan, run):
    """The line that stays."""
    figures = run["figures"]
    prediction = model.predict(contestant.servers, plan.load)
    if not figures["requests"]:
        return f"{title:32} no answer in the measured time"
    off = max(abs(model.difference(figures["rate"], prediction.rate)),
              abs(model.difference(figures["p50"], prediction.response)))
    mark = "" if off <= model.TOLERANCE else f"   ← {off:.0%} off"
    part = f"   only {figures['seconds']:.0f} s" if run["interrupted"] else ""
    return (f"{title:32} {figures['rate']:7.2f} req/s of {prediction.rate:7.2f}   median {figures['p50']:7.3f} s of "
            f"{prediction.response:7.3f}   queue {figures['queue'] or 0:5.1f}{mark}{part}")


def place_for(name):
    """A folder of its own for a run that was given none."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return contestants.PROJECT / "target" / "lab" / f"{name}-{stamp}-{os.getpid()}"
