"""Runs an experiment of the book, keeps its figures in NAME.json, and draws them in a language."""

import dataclasses
import json
import shutil

from lib import Trouble, interrupt_once, setup

from . import PICTURES, TARGET, charts, experiments, model, words
from .charts import LIGHT
from .words import number, seconds, t

COLOURS = {"Rust": LIGHT["teal"], "Python": LIGHT["sand"]}
# Knob → the title of its axis, and of its picture.
TITLES = {"users": "Users (N)", "think": "Seconds between two requests (Z)", "service": "Milliseconds of the database (S)",
          "backlog": "Backlog"}


def show(options):
    """Runs an experiment, prints its text, and copies its pictures into the docs if that is wanted."""
    name = options.experiment
    if options.generator and (name != "omission" or options.docs):
        raise Trouble("--generator goes with omission, and without --docs")
    experiment, programs = experiments.EXPERIMENTS[name]
    folder = options.out or TARGET / (options.generator or name)
    kept = folder / f"{name}.json"
    if not options.draw:
        folder.mkdir(parents=True, exist_ok=True)
        setup.build(*programs, profile=options.profile)
        interrupt_once()
        try:
            more = {"generator": options.generator} if options.generator else {}
            kept.write_text(json.dumps(experiment(options.profile, folder, **more), indent=1) + "\n")
        except KeyboardInterrupt:
            print("interrupted: nothing is drawn")
            return 130
    try:
        data = json.loads(kept.read_text())
    except (OSError, ValueError) as error:
        raise Trouble(f"there is nothing to draw, because {kept} cannot be read: {error}") from None
    draw, say = DRAWN[name]
    for language in words.LANGUAGES if options.docs else [options.lang]:
        with words.speaking(language):
            for picture, figure, title in draw(data):
                charts.save(figure, folder / picture, title)
                print(folder / f"{picture}.svg")
                if options.docs:
                    PICTURES.mkdir(parents=True, exist_ok=True)
                    shutil.copy(folder / f"{picture}.svg", PICTURES / f"{picture}.{language}.svg")
    print(say(data))
    return 0


def knobs(table):
    """A picture for each knob."""
    for knob, title in TITLES.items():
        figure, axis = charts.figure(width=6.2, height=2.5)
        lines = [line for line in table if line["knob"] == knob]
        values, change = experiments.KNOBS[knob]
        if knob == "backlog":
            for name, colour, label in (("longest", "plum", "longest"), ("p95", "blue", "p95"), ("p50", "teal", "median")):
                axis.plot([line[name] for line in lines], marker="o", ms=3.5, color=LIGHT[colour], label=t(label))
            axis.set_xticks(range(len(values)), [f"{value:g}" for value in values])
        else:
            scale = 1000 if knob == "service" else 1
            smooth = [values[0] + (values[-1] - values[0]) * step / 200 for step in range(201)]
            law = [model.predict(1, dataclasses.replace(experiments.LOAD, **change(value))).response for value in smooth]
            axis.plot([value * scale for value in smooth], law, **charts.dashed())
            axis.plot([line["value"] * scale for line in lines], [line["p50"] for line in lines], "o", ms=4.5,
                      color=LIGHT["teal"], label=t("median"))
            axis.xaxis.set_major_formatter(charts.FuncFormatter(charts.plain))
        charts.tidy(axis, t("Response time"), form=seconds, margin=0.04, floor=0)
        axis.set_xlabel(t(title), fontsize=8)
        yield f"knob-{knob}", figure, t("{}: median response time", t(title))


def knobs_text(table):
    return "\n".join("  ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
                               for key, value in line.items()) for line in table)


def omission(data):
    points, sent = data["points"], data["requests"] * data["seconds"]
    figure, axis = charts.figure(width=6.2, height=2.9)
    for name, colour, label in (("since_due_ms", "orange", "from when it was due"),
                                ("since_sent_ms", "blue", "from when it was sent")):
        axis.plot([1 / (1 - point["share"]) for point in points], [point[name] / 1000 for point in points],
                  color=LIGHT[colour], label=t(label))
    charts.nines(axis, sent)
    axis.set_xlim(1, sent)
    axis.set_ylim(0)
    axis.locator_params(axis="y", nbins=4)
    yield "omission", figure, t("One run, counted from when requests were due, and from when they were sent")


def omission_text(data):
    quick = [point["share"] for point in data["points"] if point["since_sent_ms"] < 100]
    return (f"{data['says']}\n  The server was stopped for {data['stopped']} s of {data['seconds']}: "
            f"{data['stopped'] / data['seconds']:.0%} of the requests were due then. "
            f"Since sent, {quick[-1]:.2%} take less than 0.1 s.")


def parallel(data):
    figure, axis = charts.figure(width=5.6, height=2.6)
    places = range(len(data["clients"]))
    for shift, (kind, found) in zip((-0.18, 0.18), data["best"].items()):
        gains = [rate / found[0][0] for rate, _ in found]
        bars = axis.bar([place + shift for place in places], gains, 0.36, color=COLOURS[kind], label=kind)
        axis.bar_label(bars, [number(gain, ".2f") for gain in gains], padding=2, fontsize=8)
    axis.axhline(data["cores"], **charts.dashed("{} cores", data["cores"]))
    charts.tidy(axis, t("Gain over one client"))
    axis.set_xticks(places, data["clients"])
    axis.set_xlabel(t("clients"), fontsize=8)
    axis.set_xlim(-0.6, len(places) - 0.4)
    axis.set_ylim(0, axis.get_ylim()[1] * 1.08)
    yield "parallel", figure, t("A handler that computes: threads in Rust and in Python")


def parallel_text(data):
    return "\n".join(["clients         " + "".join(f"{clients:>18}" for clients in data["clients"]), *(
        f"{kind:10}" + "".join(f"{rate:.1f}/s ({rate / of[0][0]:.2f} x, {cores:.2f} cores)".rjust(28) for rate, cores in of)
        for kind, of in data["best"].items())])


def saturation(found):
    figure, axes = charts.figure(columns=2, width=4.2, height=1.7, sharey=True)
    series = [[(0, "teal", 0.5, 0, "")], [(1, "teal", 0.3, -0.17, "server"), (2, "sand", 0.3, 0.17, "generator")]]
    for axis, title, form, bars in zip(axes, ("Requests per second", "Cores in use"), (",.0f", ".2f"), series):
        for part, colour, height, shift, label in bars:
            values = [one[part] for one in found.values()]
            drawn = axis.barh([place + shift for place in range(2)], values, color=LIGHT[colour], height=height,
                              label=label and t(label))
            axis.bar_label(drawn, [number(value, form) for value in values], padding=5, fontsize=8)
        charts.bare(axis, t(title))
        axis.set_xlim(0, axis.get_xlim()[1] * 1.25)
    axes[0].set_yticks(range(2), list(found))
    axes[0].set_ylim(1.5, -0.5)
    yield "saturation", figure, t("One worker of the server, asked without a pause")


def saturation_text(found):
    return "\n".join([f"{'':14}{'requests/s':>12}{'server, cores':>15}{'generator, cores':>18}", *(
        f"{name:14}{rate:12,.0f}{server:15.2f}{load:18.2f}" for name, (rate, server, load) in found.items())])


def threads(data):
    counts, memory = charts.figure(width=5.6, height=2.6), charts.figure(width=5.6, height=2.6)
    for kind, runs in data["found"].items():
        most, (numbers, _, residents) = [most for most, _ in runs], zip(*runs[-1][1])
        counts[1].plot(data["limits"], most, marker="o", ms=4, color=COLOURS[kind], label=kind)
        counts[1].annotate(most[-1], (data["limits"][-1], most[-1]), (-4, 4), textcoords="offset points", ha="right", fontsize=8)
        memory[1].plot(numbers, residents, color=COLOURS[kind], label=kind)
    counts[1].set_xticks(data["limits"])
    counts[1].margins(y=0.12)
    charts.tidy(counts[1], t("Threads, until none can be started"), margin=0.04, floor=0)
    counts[1].set_xlabel(t("MiB of address space allowed"), fontsize=8)
    charts.tidy(memory[1], t("Memory of sleeping threads"), t("MiB"), margin=0.04, floor=0)
    memory[1].set_xlabel(t("threads"), fontsize=8)
    yield "threads", counts[0], t("Threads until none can be started, by address space")
    yield "threads-memory", memory[0], t("Memory of sleeping threads")


def threads_text(data):
    lines = ["address space " + "".join(f"{limit:>9} MiB" for limit in data["limits"])]
    for kind, runs in data["found"].items():
        lines.append(f"{kind:13} " + "".join(f"{most:>13}" for most, _ in runs))
        numbers, sizes, residents = zip(*runs[-1][1])
        lines.append(f"{kind}: {numbers[-1]} threads have {sizes[-1] / numbers[-1]:.2f} MiB of addresses each, and "
                     f"{residents[-1] * 1024 / numbers[-1]:.1f} KiB of memory")
    return "\n".join(lines)


# Experiment → what draws its pictures, and what prints its figures.
DRAWN = {"threads": (threads, threads_text), "knobs": (knobs, knobs_text), "parallel": (parallel, parallel_text),
         "omission": (omission, omission_text), "saturation": (saturation, saturation_text)}
