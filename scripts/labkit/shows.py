"""The experiments of docs/LAB.md. Each is a function that measures, draws a picture into `folder`, and returns a text."""

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

from lib import PROJECT, Progress, interrupt_once, proc, setup
from lib.server import STHENO_SAYS, Child, Server

from . import PICTURES, TARGET, charts, model, records, run, rungs
from .charts import LIGHT

# The lab's load, ten times as fast, and its four knobs → title, values, and what a value changes in the load.
LOAD = model.Load(users=100, think_least=0.5, think_most=1.5, service=0.030, backlog=128)
KNOBS = {
    "users": ("Users", [5, 10, 20, 30, 35, 40, 60, 80, 100], lambda value: {"users": value}),
    "think": ("Seconds between requests", [0.25, 0.5, 1.0, 2.0, 2.75, 3.0, 3.5, 5.0],
              lambda value: {"think_least": value / 2, "think_most": value * 1.5}),
    "service": ("The database, ms", [0.003, 0.006, 0.008, 0.01, 0.012, 0.02, 0.03, 0.04], lambda value: {"service": value}),
    "backlog": ("Backlog", [4, 16, 32, 48, 64, 128], lambda value: {"backlog": value}),
}
PYTHON = [sys.executable, "-u"]
COLOURS = {"Rust": LIGHT["teal"], "Python": LIGHT["sand"]}
CORES = os.cpu_count() or 1


def show(options):
    """Runs an experiment, prints its text, and copies its picture into the docs if that is wanted."""
    experiment, programs = EXPERIMENTS[options.experiment]
    folder = options.out or TARGET / options.experiment
    picture = folder / f"{options.experiment}.svg"
    folder.mkdir(parents=True, exist_ok=True)
    setup.build(*programs, profile=options.profile)
    interrupt_once()
    try:
        print(experiment(options.profile, folder))
    except KeyboardInterrupt:
        print("interrupted: nothing is drawn")
        return 130
    if options.docs:
        PICTURES.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, PICTURES)
    print(picture)
    return 0


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
    for knob, (_, values, change) in KNOBS.items():
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
    figure, axes = charts.figure(columns=2, rows=2, width=4.2, height=2.2)
    for axis, knob in zip(axes.flat, KNOBS):
        draw_knob(axis, knob, [line for line in table if line["knob"] == knob])
    charts.save(figure, folder / "knobs", "web_singlethread: response time for each of the four knobs")
    return "\n".join("  ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
                               for key, value in line.items()) for line in table)


def draw_knob(axis, knob, lines):
    (title, values, change), scale = KNOBS[knob], 1000 if knob == "service" else 1
    if knob == "backlog":
        for name, colour, label in (("longest", "plum", "longest"), ("p95", "blue", "p95"), ("p50", "teal", "median")):
            axis.plot([line[name] for line in lines], marker="o", ms=3.5, color=LIGHT[colour], label=label)
        axis.set_xticks(range(len(values)), [f"{value:g}" for value in values])
    else:
        smooth = [values[0] + (values[-1] - values[0]) * step / 200 for step in range(201)]
        law = [model.predict(1, dataclasses.replace(LOAD, **change(value))).response for value in smooth]
        axis.plot([value * scale for value in smooth], law, **charts.DASHED)
        axis.plot([value * scale for value in values], [line["p50"] for line in lines], "o", ms=4.5, color=LIGHT["teal"],
                  label="median")
    charts.tidy(axis, title, form=charts.seconds, margin=0.04, floor=0)


def omission(profile, folder):
    """Coordinated omission: one run of a server that is stopped for two seconds, counted in two ways."""
    requests, seconds, stopped, path = 400, 12, 2, folder / "percentiles.csv"
    with Server([*program(profile, "web_reactor"), "--db", "5"], folder / "server.txt") as server:
        with ask(profile, server, folder, "--rate", requests, "--connections", 20, "--time", seconds,
                 "--percentiles", path) as load:
            time.sleep(5)
            os.kill(server.pid, signal.SIGSTOP)
            try:
                time.sleep(stopped)
            finally:
                os.kill(server.pid, signal.SIGCONT)
            load.wait(seconds + 10)
    points = [{name: float(value) for name, value in row.items()} for row in records.rows(path)]
    figure, axis = charts.figure(width=6.2, height=2.9)
    for name, colour, label in (("since_due_ms", "orange", "from when it was due"),
                                ("since_sent_ms", "blue", "from when it was sent")):
        axis.plot([1 / (1 - point["share"]) for point in points], [point[name] / 1000 for point in points],
                  color=LIGHT[colour], label=label)
    charts.nines(axis, requests * seconds)
    axis.set_xlim(1, requests * seconds)
    axis.set_ylim(0)
    axis.locator_params(axis="y", nbins=4)
    charts.save(figure, folder / "omission", "One run, counted from when requests were due, and from when they were sent")
    quick = [point["share"] for point in points if point["since_sent_ms"] < 100]
    return (f"{(folder / 'load.txt').read_text().rstrip()}\n  The server was stopped for {stopped} s of {seconds}: "
            f"{stopped / seconds:.0%} of the requests were due then. Since sent, {quick[-1]:.2%} take less than 0.1 s.")


def parallel(profile, folder):
    """A handler that computes, in Rust and in Python with its GIL, for one client and for several."""
    # The limits make some tens of milliseconds of work in each language.
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
    figure, axis = charts.figure(width=5.6, height=2.6)
    for shift, (kind, found) in zip((-0.18, 0.18), best.items()):
        gains = [rate / found[0][0] for rate, _ in found]
        bars = axis.bar([place + shift for place in range(len(numbers))], gains, 0.36, color=COLOURS[kind], label=kind)
        axis.bar_label(bars, [f"{gain:.2f}" for gain in gains], padding=2, fontsize=8)
    axis.axhline(CORES, **charts.DASHED | {"label": f"{CORES} cores"})
    charts.tidy(axis, "Requests per second, one client = 1")
    axis.set_xticks(range(len(numbers)), [f"{clients} client{'s' * (clients > 1)}" for clients in numbers])
    axis.set_xlim(-0.6, len(numbers) - 0.4)
    charts.save(figure, folder / "parallel", "A handler that computes: threads in Rust and in Python")
    return "\n".join(["clients         " + "".join(f"{clients:>18}" for clients in numbers), *(
        f"{kind:10}" + "".join(f"{rate:.1f}/s ({rate / of[0][0]:.2f} x, {cores:.2f} cores)".rjust(28) for rate, cores in of)
        for kind, of in best.items())])


def saturation(profile, folder):
    """The limit of each generator: one worker of the server, asked without a pause by Locust and by stheno-load."""
    command, found = [str(PROJECT / "target" / profile / "stheno"), "-r", "examples/site", "--access-log", "off"], {}
    # The best of three rounds, as in `parallel`.
    for name, measure in [("Locust", by_locust), ("stheno-load", by_stheno_load)] * 3:
        with Server(command, folder / "server.txt", STHENO_SAYS) as server:
            found[name] = max(found.get(name, (0.0,)), measure(profile, server, folder, users=64, seconds=6, warm_up=2))
    figure, axes = charts.figure(columns=2, width=4.2, height=1.6, sharey=True)
    series = [[(0, "teal", 0.5, 0, "")], [(1, "teal", 0.3, -0.17, "server"), (2, "sand", 0.3, 0.17, "generator")]]
    for axis, title, form, bars in zip(axes, ("Requests per second", "Cores in use"), (",.0f", ".2f"), series):
        for part, colour, height, shift, label in bars:
            values = [one[part] for one in found.values()]
            drawn = axis.barh([place + shift for place in range(2)], values, color=LIGHT[colour], height=height, label=label)
            axis.bar_label(drawn, [f"{value:{form}}" for value in values], padding=5, fontsize=8)
        charts.bare(axis, title)
        axis.set_xlim(0, axis.get_xlim()[1] * 1.25)
    axes[0].set_yticks(range(2), list(found))
    axes[0].set_ylim(1.5, -0.5)
    charts.save(figure, folder / "saturation", "One worker of the server, asked without a pause")
    return "\n".join([f"{'':14}{'requests/s':>12}{'server, cores':>15}{'generator, cores':>18}", *(
        f"{name:14}{rate:12,.0f}{server:15.2f}{load:18.2f}" for name, (rate, server, load) in found.items())])


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
    lines = ["address space " + "".join(f"{limit:>9} MiB" for limit in limits)]
    lines += [f"{kind:13} " + "".join(f"{most:>13}" for most, _ in runs) for kind, runs in found.items()]
    figure, axes = charts.figure(columns=2, width=4.2, height=2.5)
    for kind, runs in found.items():
        counts, (numbers, sizes, residents) = [most for most, _ in runs], zip(*runs[-1][1])
        axes[0].plot(limits, counts, marker="o", ms=4, color=COLOURS[kind], label=kind)
        axes[0].annotate(counts[-1], (limits[-1], counts[-1]), (-4, 4), textcoords="offset points", ha="right", fontsize=8)
        axes[1].plot(numbers, residents, color=COLOURS[kind], label=kind)
        lines.append(f"{kind}: {numbers[-1]} threads have {sizes[-1] / numbers[-1]:.2f} MiB of addresses each, and "
                     f"{residents[-1] * 1024 / numbers[-1]:.1f} KiB of memory")
    axes[0].set_xticks(limits)
    titles = ("Threads, until none is left", "", "MiB of address space allowed"), ("Memory on the way there", "MiB", "threads")
    for axis, (title, unit, below) in zip(axes, titles):
        charts.tidy(axis, title, unit, margin=0.04, floor=0)
        axis.set_xlabel(below, fontsize=8)
    charts.save(figure, folder / "threads", "Threads that sleep, under a limit of address space")
    return "\n".join(lines)


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
