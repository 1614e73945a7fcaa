"""Draws the results of a benchmark: python bars.py DATA.json PICTURE.svg HEIGHT for its rows, without HEIGHT for its curves of
latency. Run in a venv with matplotlib."""

import json
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

COLOURS = {
    "stheno": "#0b7a75", "tokio-prefork": "#5f8f3e", "tokio-threads": "#a3bf6b", "floor": "#b9b4a7",
    "hyper": "#7d6b91", "nginx": "#d5a021", "lighttpd": "#c1666b", "h2o": "#4a6fa5",
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
    figure.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncols=len(curve), frameon=False)
    figure.suptitle("Latency against load, one worker; bands are quartiles of the rounds; less is better", x=0.01, ha="left")
    return figure


with open(sys.argv[1], encoding="utf-8") as file:
    data = json.load(file)
drawn = draw_bars(data["cpu"], float(sys.argv[3])) if len(sys.argv) > 3 else draw_curves(data["curve"])
drawn.tight_layout(rect=(0, 0.06 if drawn.legends else 0, 1, 0.985))
drawn.savefig(sys.argv[2], metadata={"Date": None})
