"""The report: one page that loads nothing else, with pictures and figures in files beside it."""

import math
import shutil

from lib import write_part

from . import PICTURES, charts, model, page, panels, records
from .charts import LIGHT

COLUMNS = ["rung", "m", "runs", "seconds", "predicted_rate", "rate", "rate_off", "predicted_response", "p50",
           "response_off", "mean", "p95", "p99", "longest", "requests", "failures", "queue", "queue_most", "backlog",
           "threads", "processes", "memory_kib", "cpu", "switches_per_answer", "cpu_ms_per_answer", "load_cpu"]
# The pages of the lab, the heads of their tables, and how they write any number and a decimal point.
DOCS = {
    "LAB.md": (
        "| rung | m | X, predicted | X, measured | R, predicted | R, measured | queue | threads | MiB |", "any", "."),
    "LAB.ru.md": (
        "| ступень | m | X по закону | X измерен | R по закону | R измерен | очередь | потоков | МиБ |", "любое", ","),
}


def report(options):
    print(write(options.folder, options.docs))


def write(folder, docs=False):
    """Draws all pictures and writes the page; returns its path."""
    about, rungs = records.load_folder(folder)
    table = [line_of(rung) for rung in rungs]
    records.write_csv(folder / "results.csv", table)
    path = folder / "report.html"
    path.write_text(page.as_page(about, rungs, table, draw_overview(rungs, folder), map(panels.draw, rungs)), encoding="utf-8")
    if docs:
        into_docs(folder, rungs)
    return path


def line_of(rung):
    """A line of results.csv."""
    runs = [run for run in rung.runs if run["answers"] and run["switches"] is not None]

    def for_each(name):
        return sum(run[name] for run in runs) / sum(run["answers"] for run in runs) if runs else math.nan

    law = rung.prediction
    known = {"rung": rung.name, "m": law.servers, "runs": len(rung.runs), "predicted_rate": law.rate,
             "predicted_response": law.response, "rate_off": rung.rate_off, "response_off": rung.response_off,
             "switches_per_answer": for_each("switches"), "cpu_ms_per_answer": for_each("cpu_seconds") * 1000}
    line = {name: known[name] if name in known else rung.figure(name) for name in COLUMNS}
    return {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in line.items()}


def draw_overview(rungs, folder):
    """Measured beside predicted, for each rung: two pictures for the page, and one of both."""
    kinds = [("Requests per second", "rate", lambda rung: rung.prediction.rate, charts.plain),
             ("Median response time", "p50", lambda rung: rung.prediction.response, charts.seconds)]
    height, for_page = 0.7 + 0.27 * len(rungs), []
    for kind in kinds:
        figure, axis = charts.figure(width=5.2, height=height)
        draw_bars(axis, rungs, *kind)
        for_page.append(charts.save(figure, folder / f"overview-{kind[1]}", f"{kind[0]}, measured and predicted"))
    figure, axes = charts.figure(columns=2, width=4.6, height=height, sharey=True)
    for axis, kind in zip(axes, kinds):
        draw_bars(axis, rungs, *kind)
    charts.save(figure, folder / "overview", "Measured, and predicted, for each rung")
    return for_page


def draw_bars(axis, rungs, title, name, wanted, words):
    """A bar for the measured value, a stroke for the predicted one."""
    places = range(len(rungs))
    values = [0 if math.isnan(rung.figure(name)) else rung.figure(name) for rung in rungs]
    colours = [LIGHT["sand"] if rung.name.startswith("python/") else LIGHT["teal"] for rung in rungs]
    axis.barh(places, values, color=colours, height=0.66)
    axis.scatter([wanted(rung) for rung in rungs], places, marker="|", s=150, linewidths=2, color=LIGHT["orange"],
                 zorder=3)
    for place, value, rung in zip(places, values, rungs):
        axis.annotate(words(value), (max(value, wanted(rung)), place), (6, 0), textcoords="offset points", va="center",
                      fontsize=8)
    charts.bare(axis, title)
    axis.set_xlim(0, max([*values, *(wanted(rung) for rung in rungs)]) * 1.22)
    axis.set_yticks(places, [rung.name for rung in rungs])
    axis.tick_params(axis="y", labelcolor=LIGHT["ink"])
    axis.set_ylim(len(rungs) - 0.5, -0.5)


def into_docs(folder, rungs):
    """Two rungs at full scale are the pictures of docs/LAB.md; all rungs are its overview and its table."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    if len(rungs) == 2:
        for rung in rungs:
            shutil.copy(rung.folders[0] / "story.svg", PICTURES / f"{rung.name}.svg")
        return
    shutil.copy(folder / "overview.svg", PICTURES / "overview.svg")
    for name, (titles, any_number, point) in DOCS.items():
        lines = [titles, "|---" * (titles.count("|") - 1) + "|"]
        lines += [markdown(rung, any_number).replace(".", point) for rung in rungs]
        write_part(name, "scripts/lab report DIR --docs", "\n".join(lines) + "\n")


def markdown(rung, any_number):
    """A row of the table; a value is bold that is more than 10 % off."""
    figure, law = rung.figure, rung.prediction

    def bold(text, off):
        return f"**{text}**" if abs(off) > model.TOLERANCE else text

    cells = [f"`{rung.name}`", law.count.replace("any", any_number), f"{law.rate:.1f}",
             bold(f"{figure('rate'):.1f}", rung.rate_off), f"{law.response:.3f}",
             bold(f"{figure('p50'):.3f}", rung.response_off), f"{figure('queue'):.1f}", f"{figure('threads'):.0f}",
             f"{figure('memory_kib') / 1024:.1f}"]
    return "| " + " | ".join(cells) + " |"
