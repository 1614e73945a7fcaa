"""Draws the results of a benchmark: python bars.py DATA.json PICTURE.svg, and then `rows HEIGHT`, `latency`, `memory` or
`readers`. Run in a venv with matplotlib."""

import json
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

COLOURS = {
    "stheno": "#0b7a75", "tokio-prefork": "#5f8f3e", "tokio-threads": "#a3bf6b", "floor": "#b9b4a7",
    "hyper": "#7d6b91", "nginx": "#d5a021", "lighttpd": "#c1666b", "h2o": "#4a6fa5",
    "hyper-servedir": "#b5762a", "axum-servedir": "#c1666b", "uring-server": "#4a6fa5", "stheno-mimalloc": "#6fc4bf",
    "tokio-prefork-mimalloc": "#8fb573", "tokio-threads-mimalloc": "#c9dba3",
    "bjoern": "#c1666b", "granian": "#7d6b91", "uWSGI": "#d5a021", "waitress": "#4a6fa5", "gunicorn": "#b9b4a7",
}

plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False,
                     "svg.hashsalt": "stheno", "font.family": "DejaVu Sans"})


def draw_bars(rows, height):
    lines = (len(rows) + 1) // 2
    figure, axes = plt.subplots(lines, 2, figsize=(9, height * lines), squeeze=False)
    for axis, (title, cpu) in zip(axes.flat, rows.items()):
        names, values = list(cpu)[::-1], list(cpu.values())[::-1]
        bars = axis.barh(names, values, color=[COLOURS[name.split()[0]] for name in names], height=0.72)
        axis.bar_label(bars, [f"{value:.1f}" if value < 1000 else f"{value:,.0f}" for value in values], padding=3)
        axis.set_title(title, loc="left", fontsize=10, fontweight="bold")
        axis.set_xlim(0, max(values) * 1.17)
        axis.tick_params(left=False, bottom=False, labelbottom=False)
        axis.spines["bottom"].set_visible(False)
    for axis in axes.flat[len(rows):]:
        axis.axis("off")
    figure.suptitle("CPU microseconds of the server for each request; less is better", x=0.01, ha="left")
    return figure


def draw_curves(curve):
    """`curve`: name → rate → percentile → milliseconds, the first quartile, the median, and the third."""
    percentiles = list(next(iter(next(iter(curve.values())).values())))
    figure, axes = plt.subplots(1, len(percentiles), figsize=(11, 4.2), sharey=True)
    for axis, percentile in zip(axes, percentiles):
        for name, points in curve.items():
            rates = [float(rate) / 1000 for rate in points]
            low, middle, high = zip(*(point[percentile] for point in points.values()))
            axis.plot(rates, middle, "o-", markersize=3, linewidth=1.6, color=COLOURS[name], label=name)
            axis.fill_between(rates, low, high, color=COLOURS[name], alpha=0.12, linewidth=0)
        axis.set(yscale="log", xlabel="thousand requests per second", xlim=(0, None))
        axis.set_title(percentile, loc="left", fontsize=10, fontweight="bold")
        axis.grid(axis="y", alpha=0.25)
    axes[0].set_ylabel("ms since the request was due")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncols=min(len(curve), 6), frameon=False)
    figure.suptitle("Latency against load, one worker; bands are quartiles of the rounds; less is better", x=0.01, ha="left")
    return figure


def draw_memory(memory):
    """`memory`: the number of idle connections, and name → bytes of the server, and of the kernel."""
    names = list(memory["of"])[::-1]
    ours, kernel = ([memory["of"][name][part] for name in names] for part in ("server", "kernel"))
    figure, axis = plt.subplots(figsize=(9, 0.34 * len(names) + 1.3))
    axis.barh(names, ours, color=[COLOURS[name] for name in names], height=0.72)
    bars = axis.barh(names, kernel, left=ours, color="#e3dfd5", height=0.72)
    axis.bar_label(bars, [f"{own:,.0f} + {other:,.0f}" for own, other in zip(ours, kernel)], padding=3)
    axis.set_xlim(0, max(map(sum, zip(ours, kernel))) * 1.2)
    axis.tick_params(left=False, bottom=False, labelbottom=False)
    axis.spines["bottom"].set_visible(False)
    figure.suptitle(f"Bytes for each of {memory['idle']:,} idle connections: of the server, and (grey) of the kernel for both ends",
                    x=0.01, ha="left")
    return figure


def draw_readers(curves):
    """`curves`: name → pairs of seconds and MB."""
    figure, axis = plt.subplots(figsize=(9, 4.2))
    for name, points in curves.items():
        seconds, megabytes = zip(*points)
        style = "--" if name == "stheno 0" else "-"
        axis.plot(seconds, megabytes, style, linewidth=1.6, color=COLOURS[name.split()[0]], label=name)
    axis.set(xlabel="seconds", ylabel="MB of all processes", yscale="log", ylim=(10, 1200))
    ticks = [10, 20, 50, 100, 200, 500, 1000]
    axis.set_yticks(ticks, map(str, ticks))
    axis.minorticks_off()
    axis.grid(axis="y", alpha=0.25)
    figure.legend(*axis.get_legend_handles_labels(), loc="lower center", ncols=7, frameon=False)
    figure.suptitle("Memory before, while and after 80 slow clients read 10 MB each; less is better", x=0.01, ha="left")
    return figure


with open(sys.argv[1], encoding="utf-8") as file:
    data = json.load(file)
kind, *words = sys.argv[3:]
drawn = {"rows": draw_bars, "latency": draw_curves, "memory": draw_memory, "readers": draw_readers}[kind](data[kind], *map(float, words))
drawn.tight_layout(rect=(0, 0.1 if drawn.legends else 0, 1, 0.985))
drawn.savefig(sys.argv[2], metadata={"Date": None})
