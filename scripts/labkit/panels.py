"""The pictures of one rung: Locust's own three, and what Locust cannot see, on one axis of time."""

import statistics

from . import charts, records
from .charts import LIGHT, plt


class Timeline:
    """What happened in a run, by seconds since its first request."""

    def __init__(self, rung, number=0):
        self.rung, self.run, self.folder = rung, rung.runs[number], rung.folders[number]
        self.begun = self.run["begun"]
        self.end = self.run["measured_until"] - self.begun
        self.warm_up = self.run["measured_from"] - self.begun
        self.requests = [(ended - self.begun, took, failed) for ended, took, failed in records.requests(self.folder)
                         if ended - self.begun <= self.end]
        self.samples = [one | {"time": one["time"] - self.begun} for one in records.samples(self.folder)]
        self.samples = [one for one in self.samples if 0 <= one["time"] <= self.end]
        # So wide that there are some requests in each.
        self.step = max(1.0, self.end / 60)
        self.bins = [[] for _ in range(max(1, round(self.end / self.step)))]
        for ended, took, failed in self.requests:
            if not failed:
                self.bins[min(len(self.bins) - 1, max(0, int(ended / self.step)))].append(took)

    def middles(self):
        return [(number + 0.5) * self.step for number in range(len(self.bins))]

    def widths(self):
        """The last one has what is left."""
        last = self.end - (len(self.bins) - 1) * self.step
        return [self.step] * (len(self.bins) - 1) + [last]

    def users(self):
        """By the seconds: as many as have begun."""
        load, rate = self.rung.load, self.run["spawn_rate"]
        return [0, load.users / rate, self.end], [0, load.users, load.users]

    def column(self, name):
        return [one["time"] for one in self.samples], [one[name] for one in self.samples]

    def growth(self, name):
        """How much a count grows by in a second; the kernel counts CPU in hundredths, so over several at a time."""
        some = self.samples[:: max(1, len(self.samples) // 30)]
        pairs = list(zip(some, some[1:]))
        return ([later["time"] for _, later in pairs],
                [max(0.0, (later[name] - one[name]) / (later["time"] - one["time"])) for one, later in pairs])


def finish(axis, line, title, unit="", floor=True):
    charts.tidy(axis, title, unit)
    axis.set_xlim(0, line.end)
    axis.axvspan(0, line.warm_up, color=LIGHT["sand"], alpha=0.16, lw=0)
    axis.set_xlabel("seconds", fontsize=8)
    if floor:
        axis.set_ylim(0, max(axis.get_ylim()[1], 1e-9) * 1.08)


def predicted(axis, value):
    """The law's line."""
    axis.axhline(value, color=LIGHT["orange"], lw=1.1, ls=(0, (5, 3)), label="predicted")


def rate(axis, line):
    share = [len(one) / width for one, width in zip(line.bins, line.widths())]
    axis.plot(line.middles(), share, color=LIGHT["teal"], label="answered")
    failed = [ended for ended, _, failed in line.requests if failed]
    if failed:
        counts = [sum(1 for ended in failed if int(ended / line.step) == number) / line.step
                  for number in range(len(line.bins))]
        axis.plot(line.middles(), counts, color=LIGHT["plum"], label="failed")
    predicted(axis, line.rung.prediction.rate)
    finish(axis, line, "Requests per second")
    charts.legend(axis)


def response(axis, line):
    for share, colour, name in ((0.95, "blue", "p95"), (0.5, "teal", "median")):
        points = [(at, records.quantile(one, share)) for at, one in zip(line.middles(), line.bins) if one]
        axis.plot(*zip(*points), color=LIGHT[colour], label=name)
    predicted(axis, line.rung.prediction.response)
    finish(axis, line, "Response times")
    axis.yaxis.set_major_formatter(plt.FuncFormatter(charts.seconds))
    charts.legend(axis)


def users(axis, line):
    axis.fill_between(*line.users(), color=LIGHT["teal"], alpha=0.18, lw=0)
    axis.plot(*line.users(), color=LIGHT["teal"])
    finish(axis, line, "Users")


def queue(axis, line):
    times, waiting = line.column("queue")
    axis.fill_between(times, waiting, color=LIGHT["orange"], alpha=0.2, lw=0)
    axis.plot(times, waiting, color=LIGHT["orange"], label="clients")
    backlog = line.rung.load.backlog
    most = max(waiting, default=0)
    axis.set_ylim(0, max(most, 4))
    if most > backlog / 4:
        axis.axhline(backlog, color=LIGHT["ink"], lw=1, ls=":", label=f"backlog {backlog}")
        axis.set_ylim(0, max(most, backlog))
    finish(axis, line, "The accept queue")
    charts.legend(axis)


def memory(axis, line):
    times, kib = line.column("memory_kib")
    axis.plot(times, [one / 1024 for one in kib], color=LIGHT["plum"])
    finish(axis, line, "Memory of its own", "MiB")


def threads(axis, line):
    for name, colour in (("threads", "blue"), ("processes", "ink")):
        times, values = line.column(name)
        axis.step(times, values, where="post", color=LIGHT[colour], label=name)
    finish(axis, line, "Threads and processes")
    charts.legend(axis)


def work(axis, line):
    times, share = line.growth("cpu_seconds")
    axis.plot(times, [one * 1000 for one in share], color=LIGHT["teal"], label="CPU, ms")
    times, switches = line.growth("switches")
    axis.plot(times, switches, color=LIGHT["blue"], label="switches")
    finish(axis, line, "In a second")
    charts.legend(axis)


def distribution(axis, line):
    times = sorted(took for ended, took, failed in line.requests if not failed and ended >= line.warm_up)
    if not times:
        return
    shares = [1 / (1 - number / len(times)) for number in range(len(times))]
    axis.plot(shares, times, color=LIGHT["teal"], drawstyle="steps-post")
    axis.axhline(line.rung.prediction.response, color=LIGHT["orange"], lw=1.1, ls=(0, (5, 3)))
    axis.set_xscale("log")
    axis.set_yscale("log")
    charts.tidy(axis, "So many took no longer", left=False)
    middle = statistics.median(times)
    low, high = min(times[0], line.rung.prediction.response), max(times[-1], line.rung.prediction.response)
    axis.set_ylim(min(low * 0.8, middle / 2.5), max(high * 1.25, middle * 2.5))
    marks = [mark for mark in (1, 2, 10, 100, 1000, 10_000, 100_000) if mark <= shares[-1]]
    axis.set_xticks(marks, ["0 %" if mark == 1 else f"{100 - 100 / mark:.5g} %" for mark in marks])
    axis.minorticks_off()
    ticks = [mark * 10.0**power for power in range(-6, 4) for mark in (1, 2, 5)]
    axis.set_yticks([tick for tick in ticks if axis.get_ylim()[0] <= tick <= axis.get_ylim()[1]])
    axis.yaxis.set_major_formatter(plt.FuncFormatter(charts.seconds))


PANELS = {"rate": rate, "response": response, "users": users, "queue": queue, "distribution": distribution,
          "memory": memory, "threads": threads, "work": work}


def draw(line):
    """All panels of a run, as SVG for a page; the files stand beside its other ones."""
    found = {}
    for name, panel in PANELS.items():
        figure, axis = charts.figure()
        panel(axis, line)
        found[name] = charts.save(figure, line.folder / name, f"{line.rung.name}: {name}")
    return found


def story(line, path):
    """The lab's picture of a rung, one file: Locust's three panels, and the queue below them."""
    figure, axes = charts.figure(columns=2, rows=2, width=4.0, height=2.0)
    for axis, panel in zip(axes.flat, (rate, response, users, queue)):
        panel(axis, line)
    return charts.save(figure, path, f"{line.rung.name}: rate, response times, users, accept queue")
