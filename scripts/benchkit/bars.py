"""Draws the rows of a benchmark as bars: python bars.py DATA.json PICTURE.svg HEIGHT. Run in a venv with matplotlib."""

import json
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

COLOURS = {
    "stheno": "#0b7a75", "tokio-prefork": "#5f8f3e", "tokio-threads": "#a3bf6b", "floor": "#b9b4a7",
    "hyper": "#7d6b91", "nginx": "#d5a021", "lighttpd": "#c1666b", "h2o": "#4a6fa5", "undeferred": "#74b3ae",
    "bjoern": "#c1666b", "granian": "#7d6b91", "uWSGI": "#d5a021", "waitress": "#4a6fa5", "gunicorn": "#b9b4a7",
}

plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False,
                     "axes.spines.bottom": False, "svg.hashsalt": "stheno", "font.family": "DejaVu Sans"})
with open(sys.argv[1], encoding="utf-8") as file:
    rows = json.load(file)["cpu"]
lines = (len(rows) + 1) // 2
figure, axes = plt.subplots(lines, 2, figsize=(9, float(sys.argv[3]) * lines), squeeze=False)
for axis, (title, cpu) in zip(axes.flat, rows.items()):
    names, values = list(cpu)[::-1], list(cpu.values())[::-1]
    bars = axis.barh(names, values, color=[COLOURS[name.split()[0]] for name in names], height=0.72)
    axis.bar_label(bars, [f"{value:.1f}" if value < 1000 else f"{value:,.0f}" for value in values], padding=3)
    axis.set_title(title, loc="left", fontsize=10, fontweight="bold")
    axis.set_xlim(0, max(values) * 1.17)
    axis.tick_params(left=False, bottom=False, labelbottom=False)
for axis in axes.flat[len(rows):]:
    axis.axis("off")
figure.suptitle("CPU microseconds of the server for each request; less is better", x=0.01, ha="left")
figure.tight_layout(rect=(0, 0, 1, 0.985))
figure.savefig(sys.argv[2], metadata={"Date": None})
