"""Runs contestants one after the other, and keeps what was measured, however the run ends."""

import contextlib
import datetime
import math
import os
import shutil
import sys
import time
import timeit
from dataclasses import asdict, dataclass

from lib import PROJECT, Progress, Trouble, fetch, interrupt_once, request, setup, until
from lib.server import Child

from . import TARGET, model, records, report, rungs, words
from .sampler import Sampler

LOCUST = [sys.executable, "-m", "locust", "-f", str(PROJECT / "examples" / "locustfile.py"), "--headless", "--only-summary"]
BAR = 24


@dataclass(frozen=True)
class Plan:
    """How each contestant is measured."""

    load: model.Load
    seconds: float
    spawn_rate: float
    generator: str = "stheno"
    seed: int = 1
    profile: str = "release"


def run(options):
    load = model.load_of(options)
    # Users begin spread over one think time, so that they do not ask in step; Locust takes tenths.
    plan = Plan(load, options.time or max(120 / options.scale, 10), max(0.1, load.users / max(load.think or 1.0, 0.5)),
                options.load or ("stheno" if options.scale > 1 else "locust"), options.seed, options.profile)
    chosen = [rungs.Contestant(name) for name in options.rungs or rungs.DEFAULT]
    programs = {one.program for one in chosen if one.program} | ({"stheno_load"} if plan.generator == "stheno" else set())
    setup.build(*sorted(programs), profile=plan.profile)
    out = options.out or TARGET / f"run-{datetime.datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}"
    out.mkdir(parents=True, exist_ok=True)
    records.save(out / "lab.json", asdict(plan) | {
        "format": records.FORMAT, "command": " ".join(["scripts/lab", *sys.argv[1:]]), "machine": records.machine(),
        "begun": datetime.datetime.now().astimezone().isoformat(timespec="seconds"), "rungs": [one.name for one in chosen]})
    interrupt_once()
    progress, code = Progress(), 0
    todo = [(number, one, again) for number, one in enumerate(chosen, 1) for again in range(1, options.repeat + 1)]
    for number, contestant, again in todo:
        title = f"{number}/{len(chosen)} {contestant.name}" + (f" ({again})" if options.repeat > 1 else "")
        try:
            measure(plan, contestant, out / f"{contestant.slug}-{again}", title, progress, plan.seed + again - 1)
        except Trouble as trouble:
            progress.done(f"{title}: {trouble}")
            code = 1
        except KeyboardInterrupt:
            progress.done("interrupted: what is measured is kept")
            code = 1
            break
    interrupt_once()
    print(report.write(out, options.lang))
    return code


def measure(plan, contestant, folder, title, progress, seed=1):
    """One run of one contestant: its files, and the figures that are made of them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # Until all users are there and each has made its first round.
    warm_up = plan.load.users / plan.spawn_rate + plan.load.think + model.predict(contestant.servers, plan.load).response
    everything = warm_up + plan.seconds
    run = {"name": contestant.name, "what": contestant.what, "load": asdict(plan.load), "generator": plan.generator,
           "spawn_rate": plan.spawn_rate, "seed": seed, "interrupted": False,
           "servers": None if math.isinf(contestant.servers) else contestant.servers}
    ended = 0
    try:
        with contestant.start(plan.load, plan.profile, folder / "server.txt") as server:
            # The least seconds of a request without other load: the database, and what the rung adds to it.
            run["alone"] = min(timeit.repeat(lambda: fetch(server.port, request("/")), number=1, repeat=9))
            run |= {"server_command": server.command,
                    "load_command": load_command(plan, server.url, math.ceil(everything) + 5, seed, folder)}
            environment = os.environ | {"STHENO_WAIT": think_time(plan.load), "STHENO_SEED": str(seed),
                                        "STHENO_REQUESTS": str(folder / "requests.csv")}
            sleeper = [sys.executable, "-S", "scripts/labkit/metronome.py", str(plan.load.service), str(folder / "sleeps.csv")]
            with Child(run["load_command"], folder / "load.txt", env=environment) as load, \
                    Child(sleeper, folder / "metronome.txt") if plan.load.service else contextlib.nullcontext(), \
                    Sampler(folder / "samples.csv", server.port, server.pid, load.pid) as sampler:
                try:
                    watch(title, progress, folder, sampler, {"server": server, "load": load}, run, warm_up, everything)
                except KeyboardInterrupt:
                    run["interrupted"] = True
                    raise
                finally:
                    ended = min(time.time(), run.get("begun", 0) + everything)
    finally:
        if "begun" in run and ended - run["begun"] > warm_up + 1:
            begin, usage = run["begun"] + warm_up, server.usage
            run |= {"measured_from": begin, "measured_until": ended, "warm_up": warm_up,
                    "figures": records.figures(folder, begin, ended),
                    # Of the server's whole life, ended threads and children included.
                    "switches": usage.ru_nvcsw + usage.ru_nivcsw, "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3),
                    "answers": sum(1 for _, _, failed in records.requests(folder) if not failed)}
            records.save(folder / "run.json", run)
            progress.done(summary(title, contestant, plan, run, folder))


def load_command(plan, url, seconds, seed, folder):
    """The generator, which ends by itself after whole `seconds`, as Locust takes them. It counts from before its first
    request, so it gets some more than are measured, and is ended early."""
    load = plan.load
    if plan.generator == "locust":
        return [*LOCUST, "--host", url, "-u", str(load.users), "-r", f"{plan.spawn_rate:g}", "-t", f"{seconds}s",
                "--csv", str(folder / "locust"), "--csv-full-history"]
    return [str(rungs.examples(plan.profile) / "stheno_load"), "--url", url + "/", "--users", str(load.users),
            "--wait", think_time(load), "--spawn-rate", f"{plan.spawn_rate:g}",
            "--time", str(seconds), "--seed", str(seed), "--requests", str(folder / "requests.csv")]


def think_time(load):
    return f"{load.think_least:g}-{load.think_most:g}"


def watch(title, progress, folder, sampler, children, run, warm_up, everything):
    """Waits for the first request, when `begun` is, and for the end of the time; shows rate and queue."""
    def check_alive():
        for name, child in children.items():
            if child.is_over():
                raise Trouble(f"the {name} has ended by itself: see {folder}/{name}.txt")

    until(lambda: check_alive() or records.requests(folder), f"a request is answered: see {folder}/load.txt", 30, 0.05)
    ended, took, _ = records.requests(folder)[0]
    run["begun"], looks, lines = ended - took, [], 0
    with open(folder / "requests.csv", "rb") as file:
        while (spent := time.time() - run["begun"]) < everything:
            check_alive()
            lines += file.read().count(b"\n")
            looks = [*looks[-20:], (spent, lines)]
            (first, few), (last, many) = looks[0], looks[-1]
            rate = (many - few) / (last - first) if last > first else 0.0
            full, stage = round(spent / everything * BAR), "warming up, " if spent < warm_up else ""
            progress.show(f"{title:32} {'█' * full}{'░' * (BAR - full)} {math.ceil(everything - spent):4} s left  "
                          f"{stage}{rate:.1f} req/s, {sampler.last['queue']} in the queue")
            time.sleep(min(0.25, everything - spent))


def summary(title, contestant, plan, run, folder):
    figures, law = run["figures"], model.predict(contestant.servers, plan.load)
    if not figures["requests"]:
        return f"{title:32} no answer in the measured time"
    verdict = records.Rung([folder / "run.json"]).causes.verdict
    mark = "" if verdict == "law" else f"   ← {words.VERDICTS[verdict][0]}"
    part = f"   only {figures['seconds']:.0f} s" if run["interrupted"] else ""
    return (f"{title:32} {figures['rate']:7.2f} req/s of {law.rate:7.2f}   median {figures['p50']:7.3f} s of "
            f"{law.response:7.3f}   queue {figures['queue'] or 0:5.1f}{mark}{part}")

