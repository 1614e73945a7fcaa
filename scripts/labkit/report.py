"""The report: one page that loads nothing else, with pictures and figures in files beside it."""

import math
import shutil

from lib import write_part

from . import PICTURES, charts, page, panels, records, words
from .charts import LIGHT
from .words import number, seconds, t

COLUMNS = ["rung", "m", "runs", "seconds", "predicted_rate", "rate", "rate_off", "predicted_response", "p50",
           "response_off", "machine_share", "generator_share", "rest", "verdict", "mean", "p95", "p99", "longest", "requests",
           "failures", "queue", "queue_most", "backlog", "threads", "processes", "memory_kib", "cpu", "switches_per_answer",
           "cpu_ms_per_answer", "load_cpu", "sleep", "late"]
# The head of the book's table, by language; "late" is the share of the machine and of the generator in R.
HEADS = {
    "en": "| rung | m | X, law | X, measured | R, law | R, measured | late, ms | verdict | queue | threads | MiB |",
    "ru": "| ступень | m | X, закон | X, измерено | R, закон | R, измерено | опоздания, мс | вывод | очередь | потоков | МиБ |",
}
CHAPTER = "book/{}/src/04-pools-and-processes.md"


def report(options):
    print(write(options.folder, options.lang))
    if options.docs:
        into_docs(options.folder)
        write(options.folder, options.lang)


def write(folder, language="en"):
    """Draws all pictures and writes the page in a language; returns its path."""
    about, rungs = records.load_folder(folder)
    table = [line_of(rung) for rung in rungs]
    records.write_csv(folder / "results.csv", table)
    path = folder / "report.html"
    with words.speaking(language):
        text = page.as_page(about, rungs, table, draw_overview(rungs, folder), map(panels.draw, rungs))
    path.write_text(text, encoding="utf-8")
    return path


def line_of(rung):
    """A line of results.csv."""
    runs = [run for run in rung.runs if run["answers"] and run["switches"] is not None]

    def for_each(name):
        return sum(run[name] for run in runs) / sum(run["answers"] for run in runs) if runs else math.nan

    law, shares = rung.prediction, rung.causes.shares
    known = {"rung": rung.name, "m": law.servers, "runs": len(rung.runs), "predicted_rate": law.rate,
             "predicted_response": law.response, "rate_off": rung.rate_off, "response_off": rung.response_off,
             "machine_share": shares[0], "generator_share": shares[1], "rest": shares[2], "verdict": rung.causes.verdict,
             "switches_per_answer": for_each("switches"), "cpu_ms_per_answer": for_each("cpu_seconds") * 1000}
    line = {name: known[name] if name in known else rung.figure(name) for name in COLUMNS}
    return {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in line.items()}


def draw_overview(rungs, folder):
    """Measured beside predicted, for each rung: a picture of the rates, and one of the times."""
    found = []
    for kind, name, wanted, form in (("Requests per second", "rate", "rate", charts.plain),
                                     ("Median response time", "p50", "response", seconds)):
        figure, axis = charts.figure(width=6.6, height=0.9 + 0.24 * len(rungs))
        values = [(rung.figure(name), getattr(rung.prediction, wanted)) for rung in rungs]
        draw_dots(axis, [rung.name for rung in rungs], values, form, t(kind), is_log=name == "p50")
        found.append(charts.save(figure, folder / f"overview-{name}", t("{}, measured and predicted", t(kind))))
    return found


def draw_dots(axis, names, values, form, title, is_log):
    """A dot for the measured value, a stroke for the predicted one; a light line leads from the name to the dot."""
    places = range(len(names))
    colours = [LIGHT["muted"] if name.startswith("python/") else LIGHT["teal"] for name in names]
    seen = [measured for measured, _ in values]
    if is_log:
        axis.set_xscale("log")
    axis.set_xlim(min(map(min, values)) / 1.6 if is_log else 0, max(map(max, values)) * (2.2 if is_log else 1.15))
    axis.hlines(places, axis.get_xlim()[0], seen, color=LIGHT["grid"], linewidth=1)
    axis.scatter(seen, places, s=36, color=colours, zorder=3, label=t("measured"))
    axis.scatter([law for _, law in values], places, marker="|", s=150, linewidths=2, color=LIGHT["orange"], zorder=4,
                 label=t("predicted"))
    for place, pair in enumerate(values):
        axis.annotate(form(pair[0]), (max(pair), place), (8, 0), textcoords="offset points", va="center", fontsize=8)
    charts.tidy(axis, title, form=None)
    axis.grid(axis="y", visible=False)
    axis.grid(axis="x", visible=True)
    if is_log:
        marks = [step * 10.0**power for power in range(-4, 3) for step in (1, 2, 5)]
        marks = [mark for mark in marks if axis.get_xlim()[0] <= mark <= axis.get_xlim()[1]]
        axis.set_xticks(marks, [form(mark) for mark in marks])
        axis.minorticks_off()
    axis.set_yticks(places, names)
    axis.tick_params(axis="y", labelcolor=LIGHT["ink"])
    axis.set_ylim(len(names) - 0.5, -0.5)


def into_docs(folder):
    """The book's pictures, in each language. Two rungs at full scale have pictures of their own; more are the overview, and the
    table of chapter 4."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for language in words.LANGUAGES:
        write(folder, language)
        _, rungs = records.load_folder(folder)
        if len(rungs) == 2:
            for rung in rungs:
                shutil.copy(rung.folders[0] / "load.svg", PICTURES / f"{rung.name}.{language}.svg")
                shutil.copy(rung.folders[0] / "queue-alone.svg", PICTURES / f"{rung.name}-queue.{language}.svg")
            continue
        shutil.copy(folder / "overview-rate.svg", PICTURES / f"overview-rate.{language}.svg")
        shutil.copy(folder / "overview-p50.svg", PICTURES / f"overview-response.{language}.svg")
        with words.speaking(language):
            lines = [HEADS[language], "|---" * (HEADS[language].count("|") - 1) + "|", *map(markdown, rungs)]
        write_part(CHAPTER.format(language), "scripts/lab report DIR --docs", "\n".join(lines) + "\n")


def markdown(rung):
    """A row of the book's table. Bold is a verdict that neither the machine nor the generator explains."""
    figure, law, (text, marked) = rung.figure, rung.prediction, words.verdict(rung)
    machine, generator, _ = rung.causes.shares
    cells = [f"`{rung.name}`", words.servers(law), number(law.rate, ".1f"), number(figure("rate"), ".1f"),
             number(law.response, ".3f"), number(figure("p50"), ".3f"), number((machine + generator) * 1000, ".1f"),
             f"**{text}**" if marked else text, number(figure("queue"), ".1f"),
             f"{figure('threads'):.0f}", number(figure("memory_kib") / 1024, ".1f")]
    return "| " + " | ".join(cells) + " |"
