"""The lab's four knobs, each turned alone: users, how often they ask, the database's time, the backlog."""

import csv
import dataclasses
import json
import math

from .. import charts, contestants, model, records, run
from ..charts import LIGHT, plt
from ..progress import Progress

PROGRAMS = ["web_singlethread", "stheno_load"]
RUNG = "web_singlethread"
# The lab's load, ten times as fast.
LOAD = model.Load(users=100, think_least=0.5, think_most=1.5, service=0.030, backlog=128)
SECONDS = 12
USERS = [5, 10, 20, 30, 35, 40, 60, 80, 100]
THINK = [0.25, 0.5, 1.0, 2.0, 2.75, 3.0, 3.5, 5.0]
SERVICE = [0.003, 0.006, 0.008, 0.010, 0.012, 0.020, 0.030, 0.040]
BACKLOG = [4, 16, 32, 48, 64, 128]


def loads():
    """Knob → its values, and the load for each."""
    turned = dataclasses.replace
    return {
        "users": [(value, turned(LOAD, users=value)) for value in USERS],
        "think": [(value, turned(LOAD, think_least=value / 2, think_most=value * 1.5)) for value in THINK],
        "service": [(value, turned(LOAD, service=value)) for value in SERVICE],
        "backlog": [(value, turned(LOAD, backlog=value)) for value in BACKLOG],
    }


def show(profile, folder):
    progress, table = Progress(), []
    contestant = contestants.named(RUNG)
    for knob, points in loads().items():
        for value, load in points:
            # Retries of a full queue come after 1, 3 and 7 s: that takes a while to show.
            seconds = SECONDS * 2 if knob == "backlog" else SECONDS
            plan = run.Plan(load, seconds, load.users / load.think, "stheno", 1, 1, profile)
            place = folder / f"{knob}-{value:g}"
            run.measure(plan, contestant, place, f"{knob} {value:g}", progress, 1)
            table.append(line_of(knob, value, load, place))
    with open(folder / "knobs.csv", "w", newline="", encoding="utf-8") as file:
        lines = csv.DictWriter(file, table[0])
        lines.writeheader()
        lines.writerows(table)
    draw(table, folder)
    return "\n".join("  ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
                               for key, value in line.items()) for line in table)


def line_of(knob, value, load, place):
    figures = json.loads((place / "run.json").read_text())["figures"]
    prediction = model.predict(1, load)
    return {"knob": knob, "value": float(value), "predicted_rate": prediction.rate, "rate": figures["rate"],
            "predicted": prediction.response, "p50": figures["p50"], "p95": figures["p95"], "longest": figures["longest"],
            "queue": figures["queue"], "failures": figures["failures"]}


def draw(table, folder):
    figure, axes = charts.figure(columns=2, rows=2, width=4.2, height=2.2)
    titles = {"users": "Users", "think": "Seconds between requests", "service": "The database, ms", "backlog": "Backlog"}
    for axis, (knob, title) in zip(axes.flat, titles.items()):
        lines = [line for line in table if line["knob"] == knob]
        scale = 1000 if knob == "service" else 1
        values = [line["value"] * scale for line in lines]
        if knob == "backlog":
            places = range(len(values))
            for name, colour, label in (("longest", "plum", "longest"), ("p95", "blue", "p95"), ("p50", "teal", "median")):
                axis.plot(places, [line[name] for line in lines], marker="o", ms=3.5, color=LIGHT[colour], label=label)
            axis.set_xticks(places, [f"{value:g}" for value in values])
        else:
            smooth = law(knob, min(values) / scale, max(values) / scale)
            axis.plot([x * scale for x, _ in smooth], [y for _, y in smooth], color=LIGHT["orange"], lw=1.1,
                      ls=(0, (5, 3)), label="predicted")
            axis.plot(values, [line["p50"] for line in lines], "o", ms=4.5, color=LIGHT["teal"], label="median")
        charts.tidy(axis, title)
        axis.margins(x=0.04)
        axis.yaxis.set_major_formatter(plt.FuncFormatter(charts.seconds))
        axis.set_ylim(0)
        charts.legend(axis)
    charts.save(figure, folder / "knobs", "web_singlethread: response time for each of the four knobs")


def law(knob, least, most):
    """The prediction, without gaps."""
    found = []
    for step in range(201):
        value = least + (most - least) * step / 200
        change = {"users": {"users": value}, "service": {"service": value},
                  "think": {"think_least": value / 2, "think_most": value * 1.5}}[knob]
        found.append((value, model.predict(1, dataclasses.replace(LOAD, **change)).response))
    return [point for point in found if not math.isnan(point[1])]
