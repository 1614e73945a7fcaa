"""The pictures of one rung on one axis of time: Locust's own three, and what Locust cannot see."""

import statistics

from lib import quantile

from . import charts, records
from .charts import LIGHT
from .words import seconds, t


class Timeline:
    """A run by seconds since its first request."""

    def __init__(self, rung):
        self.rung, self.run, self.folder = rung, rung.runs[0], rung.folders[0]
        begun = self.run["begun"]
        self.end, self.warm_up = self.run["measured_until"] - begun, self.run["measured_from"] - begun
        self.requests = [(ended - begun, took, failed) for ended, took, failed in records.requests(self.folder)
                         if ended - begun <= self.end]
        self.samples = [one | {"time": one["time"] - begun} for one in records.samples(self.folder)
                        if 0 <= one["time"] - begun <= self.end]
        # Bins that are wide enough to have some requests each.
        self.step = max(1.0, self.end / 60)
        self.bins = [[] for _ in range(max(1, round(self.end / self.step)))]
        for ended, took, failed in self.requests:
            if not failed:
                self.bins[min(len(self.bins) - 1, max(0, int(ended / self.step)))].append(took)
        self.middles = [(number + 0.5) * self.step for number in range(len(self.bins))]

    def column(self, name):
        return [one["time"] for one in self.samples], [one[name] for one in self.samples]

    def growth(self, name):
        """How much a count grows in a second. The kernel counts CPU in hundredths, so over several seconds at a time."""
        some = self.samples[:: max(1, len(self.samples) // 30)]
        return ([later["time"] for later in some[1:]],
                [max(0.0, (later[name] - one[name]) / (later["time"] - one["time"])) for one, later in zip(some, some[1:])])


def finish(axis, line, title, unit="", form=charts.plain):
    charts.tidy(axis, title, unit, form)
    axis.set_xlim(0, line.end)
    axis.axvspan(0, line.warm_up, color=LIGHT["sand"], alpha=0.16, lw=0)
    axis.set_xlabel(t("seconds"), fontsize=8)
    axis.set_ylim(0, max(axis.get_ylim()[1], 1e-9) * 1.08)


def rate(axis, line):
    widths = [line.step] * (len(line.bins) - 1) + [line.end - (len(line.bins) - 1) * line.step]
    axis.plot(line.middles, [len(one) / width for one, width in zip(line.bins, widths)], color=LIGHT["teal"], label=t("answered"))
    if failed := [int(ended / line.step) for ended, _, failed in line.requests if failed]:
        counts = [failed.count(number) / line.step for number in range(len(line.bins))]
        axis.plot(line.middles, counts, color=LIGHT["plum"], label=t("failed"))
    axis.axhline(line.rung.prediction.rate, **charts.dashed())
    finish(axis, line, t("Requests per second"))


def response(axis, line):
    for share, colour, name in ((0.95, "blue", "p95"), (0.5, "teal", "median")):
        points = [(at, quantile(one, share)) for at, one in zip(line.middles, line.bins) if one]
        axis.plot(*zip(*points), color=LIGHT[colour], label=t(name))
    axis.axhline(line.rung.prediction.response, **charts.dashed())
    finish(axis, line, t("Response times"), form=seconds)


def users(axis, line):
    number = line.rung.load.users
    curve = [0, number / line.run["spawn_rate"], line.end], [0, number, number]
    axis.fill_between(*curve, color=LIGHT["teal"], alpha=0.2, lw=0)
    axis.plot(*curve, color=LIGHT["teal"])
    finish(axis, line, t("Users"))


def queue(axis, line):
    times, waiting = line.column("queue")
    axis.fill_between(times, waiting, color=LIGHT["orange"], alpha=0.2, lw=0)
    axis.plot(times, waiting, color=LIGHT["orange"], label=t("clients in it"))
    backlog, most = line.rung.load.backlog, max(waiting, default=0)
    axis.set_ylim(0, max(most, 4))
    if most > backlog / 4:
        axis.axhline(backlog, color=LIGHT["ink"], lw=1, ls=":", label=t("backlog {}", backlog))
        axis.set_ylim(0, max(most, backlog))
    finish(axis, line, t("The accept queue"))


def curves(title, unit, *series):
    """A panel of samples over time: each of `series` is a column or its growth, with factor, colour and label."""
    def panel(axis, line):
        for read, name, factor, colour, label in series:
            times, values = read(line, name)
            axis.plot(times, [value * factor for value in values], color=LIGHT[colour], label=label and t(label))
        finish(axis, line, t(title), unit and t(unit))
    return panel


def distribution(axis, line):
    times = sorted(took for ended, took, failed in line.requests if not failed and ended >= line.warm_up)
    if not times:
        return
    shares = [1 / (1 - number / len(times)) for number in range(len(times))]
    axis.plot(shares, times, color=LIGHT["teal"], drawstyle="steps-post")
    law = line.rung.prediction.response
    axis.axhline(law, **charts.dashed())
    axis.set_yscale("log")
    charts.nines(axis, shares[-1])
    middle, low, high = statistics.median(times), min(times[0], law), max(times[-1], law)
    axis.set_ylim(min(low * 0.8, middle / 2.5), max(high * 1.25, middle * 2.5))
    ticks = [mark * 10.0**power for power in range(-6, 4) for mark in (1, 2, 5)]
    axis.set_yticks([tick for tick in ticks if axis.get_ylim()[0] <= tick <= axis.get_ylim()[1]])
    axis.minorticks_off()


PANELS = {
    "rate": rate, "response": response, "users": users, "queue": queue, "distribution": distribution,
    "memory": curves("Memory of its own", "MiB", (Timeline.column, "memory_kib", 1 / 1024, "plum", None)),
    "threads": curves("Threads and processes", "", (Timeline.column, "threads", 1, "blue", "threads"),
                      (Timeline.column, "processes", 1, "ink", "processes")),
    "work": curves("In each second", "", (Timeline.growth, "cpu_seconds", 1000, "teal", "CPU, ms"),
                   (Timeline.growth, "switches", 1, "blue", "switches")),
}


# The book's pictures, each of one idea: what a client can see, and where the clients wait.
STORIES = {"load": ([rate, response], "{}: requests per second and response times"), "queue-alone": ([queue], "{}: the accept queue")}


def draw(rung):
    """Draws the first run of a rung into its folder; returns all panels as SVG for a page."""
    line, found = Timeline(rung), []
    for name, panel in PANELS.items():
        figure, axis = charts.figure()
        panel(axis, line)
        found.append(charts.save(figure, line.folder / name, t("{}: {}", rung.name, name)))
    for name, (parts, title) in STORIES.items():
        figure, axes = charts.figure(columns=len(parts), width=4.2 if parts[1:] else 6.2, height=2.2, squeeze=False)
        for axis, panel in zip(axes.flat, parts):
            panel(axis, line)
        charts.save(figure, line.folder / name, t(title, rung.name))
    return found
