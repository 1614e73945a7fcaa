"""The report: one page that needs nothing but itself, with pictures and figures in files beside it."""

import csv
import html
import math
import pathlib
import shutil

from . import PICTURES, PROJECT, charts, model, panels, records
from .charts import LIGHT
from .verdict import time as in_words, verdict

CSS = pathlib.Path(__file__).with_name("report.css")
COLUMNS = ["rung", "m", "runs", "seconds", "predicted_rate", "rate", "rate_off", "predicted_response", "p50",
           "response_off", "mean", "p95", "p99", "longest", "requests", "failures", "queue", "queue_most", "backlog",
           "threads", "processes", "memory_kib", "cpu", "switches_per_answer", "cpu_ms_per_answer", "load_cpu"]


def write(folder, docs=False):
    """Draws everything anew; answers where the page is."""
    folder = pathlib.Path(folder)
    about, rungs = records.load_folder(folder)
    table = [line_of(rung) for rung in rungs]
    with open(folder / "results.csv", "w", newline="", encoding="utf-8") as file:
        lines = csv.DictWriter(file, COLUMNS)
        lines.writeheader()
        lines.writerows(table)
    overview = draw_overview(rungs, folder)
    drawn = {}
    for rung in rungs:
        line = panels.Timeline(rung)
        drawn[rung.name] = panels.draw(line)
        panels.story(line, folder / rung.folders[0].name / "story")
    page = folder / "report.html"
    page.write_text(as_page(about, rungs, table, overview, drawn), encoding="utf-8")
    if docs:
        into_the_docs(folder, rungs)
    return page


def line_of(rung):
    """A line of results.csv."""
    line = {name: rung.figure(name) for name in COLUMNS if name in rung.runs[0]["figures"]}
    runs = [run for run in rung.runs if run["answers"] and run["switches"] is not None]

    def for_each(name):
        return sum(run[name] for run in runs) / sum(run["answers"] for run in runs) if runs else math.nan

    prediction = rung.prediction
    line |= {"rung": rung.name, "m": prediction.servers, "runs": len(rung.runs),
             "predicted_rate": prediction.rate, "predicted_response": prediction.response,
             "rate_off": rung.rate_off, "response_off": rung.response_off,
             "switches_per_answer": for_each("switches"), "cpu_ms_per_answer": for_each("cpu_seconds") * 1000}
    return {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in line.items()}


def draw_overview(rungs, folder):
    """Measured beside predicted, for each rung: two pictures for the page, and one of both."""
    kinds = [("Requests per second", "rate", lambda rung: rung.prediction.rate, charts.plain),
             ("Median response time", "p50", lambda rung: rung.prediction.response, charts.seconds)]
    height = 0.7 + 0.27 * len(rungs)
    for_page = []
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
    """A bar for what was measured, a stroke for what was predicted."""
    places = range(len(rungs))
    values = [0 if math.isnan(rung.figure(name)) else rung.figure(name) for rung in rungs]
    colours = [LIGHT["sand"] if rung.name.startswith("python/") else LIGHT["teal"] for rung in rungs]
    axis.barh(places, values, color=colours, height=0.66)
    axis.scatter([wanted(rung) for rung in rungs], places, marker="|", s=150, linewidths=2, color=LIGHT["orange"],
                 zorder=3)
    for place, value, rung in zip(places, values, rungs):
        # Behind the bar and the stroke.
        axis.annotate(words(value), (max(value, wanted(rung)), place), (6, 0), textcoords="offset points", va="center",
                      fontsize=8)
    charts.tidy(axis, title, left=False)
    axis.grid(False)
    axis.set_xlim(0, max([*values, *(wanted(rung) for rung in rungs)]) * 1.22)
    axis.set_xticks([])
    axis.spines["bottom"].set_visible(False)
    axis.set_yticks(places, [rung.name for rung in rungs])
    axis.tick_params(axis="y", labelcolor=LIGHT["ink"])
    axis.set_ylim(len(rungs) - 0.5, -0.5)


# The pages of the lab, their heads of the table, and how they write a number that has a point.
DOCS = {
    "LAB.md": (
        "| rung | m | X, predicted | X, measured | R, predicted | R, measured | queue | threads | MiB |", "any", "."),
    "LAB.ru.md": (
        "| ступень | m | X по закону | X измерен | R по закону | R измерен | очередь | потоков | МиБ |", "любое", ","),
}


def into_the_docs(folder, rungs):
    """The pictures and the table of docs/LAB.md that are made of a run: two rungs at full scale, or all of them."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    if len(rungs) == 2:
        for rung in rungs:
            shutil.copy(rung.folders[0] / "story.svg", PICTURES / f"{rung.name}.svg")
        return
    shutil.copy(folder / "overview.svg", PICTURES / "overview.svg")
    for name, (titles, any_number, point) in DOCS.items():
        page = PROJECT / "docs" / name
        begin, end = "<!-- scripts/lab report DIR --docs -->\n", "<!-- / -->\n"
        before, rest = page.read_text(encoding="utf-8").split(begin)
        lines = [titles, "|---" * (titles.count("|") - 1) + "|"]
        lines += [markdown(rung, any_number).replace(".", point) for rung in rungs]
        page.write_text(before + begin + "\n".join(lines) + "\n" + end + rest.split(end, 1)[1], encoding="utf-8")


def markdown(rung, any_number):
    """A row of that table; what is more than 10 % beside the law is bold."""
    figure, prediction = rung.figure, rung.prediction

    def bold(text, off):
        return f"**{text}**" if abs(off) > model.TOLERANCE else text

    servers = any_number if math.isinf(prediction.servers) else f"{prediction.servers:g}"
    cells = [f"`{rung.name}`", servers, f"{prediction.rate:.1f}", bold(f"{figure('rate'):.1f}", rung.rate_off),
             f"{prediction.response:.3f}", bold(f"{figure('p50'):.3f}", rung.response_off), f"{figure('queue'):.1f}",
             f"{figure('threads'):.0f}", f"{figure('memory_kib') / 1024:.1f}"]
    return "| " + " | ".join(cells) + " |"


# ---- the page ----------------------------------------------------------------------------------------------------

def as_page(about, rungs, table, overview, drawn):
    load = rungs[0].load
    off = [rung for rung in rungs if rung.is_off]
    parts = [head(about, rungs, load, off), section_of_law(load), section_of_table(rungs, table),
             f'<h2>All of them</h2><p>Bars are measured, the orange strokes predicted; the grey ones are Python.</p>'
             f'<div class="pair">{"".join(overview)}</div>',
             '<h2>One by one</h2><p>All curves of a rung share one axis of time; the shaded part is the warm-up, which '
             'no figure counts. The dashed line is the prediction.</p>']
    parts += [section_of(rung, line, drawn[rung.name]) for rung, line in zip(rungs, table)]
    parts.append(foot(about))
    title = "The lab: " + ", ".join(rung.name for rung in rungs[:3]) + (" and others" if len(rungs) > 3 else "")
    style = (f":root{{{charts.css(0)}--tint:#f1f3ef;color-scheme:light dark}}"
             f"@media(prefers-color-scheme:dark){{:root{{{charts.css(1)}--tint:#1c2427}}}}" + CSS.read_text())
    icon = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E"
    return ('<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f'<title>{html.escape(title)}</title><link rel="icon" href="{icon}"><style>{style}</style></head><body><main>'
            + "\n".join(parts) + "</main></body></html>\n")


GENERATORS = {"locust": "Locust", "stheno": "stheno-load"}


def head(about, rungs, load, off):
    facts = [(load.users, "users"), (f"{load.think_least:g} – {load.think_most:g} s", "between two requests"),
             (in_words(load.service) if load.service else "none", "the database"), (load.backlog, "backlog"),
             (f"{about['seconds']:g} s", "measured of each run"), (GENERATORS[about["generator"]], "asked")]
    cells = "".join(f"<div><b>{html.escape(str(value))}</b><span>{name}</span></div>" for value, name in facts)
    if off:
        names = ", ".join(f'<a href="#{rung.folders[0].name}">{html.escape(rung.name)}</a>' for rung in off)
        said = f'<span class="off">{len(off)} of {len(rungs)} are more than 10 % beside it:</span> {names}.'
    else:
        said = "All of it within 10 %."
    return (f'<h1>{headline(rungs)}</h1><p class="lead">What the law predicts for each rung of the ladder, what was '
            f'measured, and where the waiting happened. {said}</p><div class="facts">{cells}</div>')


def headline(rungs):
    """The news: the longest wait, and the shortest."""
    slow = max(rungs, key=lambda rung: rung.figure("p50"))
    fast = min(rungs, key=lambda rung: rung.figure("p50"))
    if len(rungs) == 1 or slow.figure("p50") < fast.figure("p50") * 2:
        return f"{html.escape(slow.name)}: {in_words(slow.figure('p50'))} for an answer"
    return (f"{in_words(slow.figure('p50'))} for an answer, or {in_words(fast.figure('p50'))}: "
            "it is a matter of who waits where")


def section_of_law(load):
    return ('<h2>The law</h2><div class="law"><i>X</i> = min(<i>m</i>/<i>S</i>, <i>N</i>/(<i>Z</i>+<i>S</i>)) &nbsp; requests '
            'a second<br><i>R</i> = max(<i>S</i>, <i>N</i>/<i>X</i> − <i>Z</i>) &nbsp; seconds for an answer</div>'
            f'<p><i>m</i> servers, each busy for <i>S</i> = {load.service:g} s with a request; <i>N</i> = {load.users} users who '
            f'think <i>Z</i> = {load.think:g} s on average. A rung with few servers gives <i>m</i>/<i>S</i> and no more; with '
            'enough of them users ask for <i>N</i>/(<i>Z</i>+<i>S</i>) and no more. What is too much waits, before '
            '<code>accept</code>, where no program sees it.</p>')


def percent(value):
    if math.isnan(value):
        return "-"
    return f'<span{" class=off" if abs(value) > 0.1 else ""}>{value:+.1%}</span>'.replace("%", " %")


def section_of_table(rungs, table):
    rows = []
    for rung, line in zip(rungs, table):
        figure, prediction = rung.figure, rung.prediction
        servers = "any" if math.isinf(prediction.servers) else f"{prediction.servers:g}"
        cells = [f'<a href="#{rung.folders[0].name}">{html.escape(rung.name)}</a>', servers,
                 f"{prediction.rate:.2f}", f"<b>{figure('rate'):.2f}</b>", percent(rung.rate_off),
                 in_words(prediction.response), f"<b>{in_words(figure('p50'))}</b>", percent(rung.response_off),
                 in_words(figure("p95")), f"{figure('queue'):.1f}", f"{figure('threads'):.0f}",
                 f"{figure('memory_kib') / 1024:.1f}", f"{float(line['cpu_ms_per_answer']):.2f}",
                 f"{float(line['switches_per_answer']):.1f}"]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return ('<h2>Predicted and measured</h2><div class="scroll"><table><thead>'
            '<tr><th></th><th></th><th class="group" colspan="3">requests per second</th>'
            '<th class="group" colspan="3">median response</th><th></th><th>mean</th><th></th><th>memory</th>'
            '<th class="group" colspan="2">for each answer</th></tr>'
            '<tr><th>rung</th><th>m</th><th>predicted</th><th>measured</th><th>off</th><th>predicted</th><th>measured</th>'
            '<th>off</th><th>p95</th><th>queue</th><th>threads</th><th>MiB</th><th>CPU, ms</th><th>switches</th></tr>'
            f'</thead><tbody>{"".join(rows)}</tbody></table></div>'
            '<p class="fine">Threads and memory are the most that was seen; memory is what the processes have for '
            'themselves (PSS). Switches and CPU are those of the whole life of the server, for each answer. All of it is '
            'in <code>results.csv</code>.</p>')


def section_of(rung, line, drawn):
    off = "off" if rung.is_off else ""
    badge = "more than 10 % off" if rung.is_off else "as predicted"
    run = rung.runs[0]
    commands = html.escape(" ".join(run["server_command"]) + "\n" + " ".join(run["load_command"]))
    spread = ""
    if len(rung.runs) > 1 and (values := rung.values("p50")):
        spread = (f'<p class="fine">{len(rung.runs)} runs, medians of {in_words(min(values))} to {in_words(max(values))}; '
                  'the curves are those of the first.</p>')
    return (f'<section class="rung" id="{rung.folders[0].name}"><header><h3>{html.escape(rung.name)}</h3>'
            f'<span>{html.escape(run["what"])}</span><span class="badge {off}">{badge}</span></header>'
            f'<p class="verdict">{html.escape(verdict(rung))}</p>{spread}'
            f'<div class="panels">{"".join(f"<figure style=margin:0>{svg}</figure>" for svg in drawn.values())}</div>'
            f'<details><summary>How it was run</summary><pre>{shorten(commands)}</pre></details></section>')


def shorten(text):
    """Without the folders of this machine."""
    return text.replace(str(PROJECT) + "/", "")


def foot(about):
    one = about["machine"]
    return (f'<footer><p>{html.escape(about["begun"])} · {html.escape(one["cpu"])}, {one["cores"]} cores, {one["memory"]} · '
            f'{html.escape(one["system"])} · stheno {html.escape(one["stheno"])} · Rust {one["rust"]} ({about["profile"]}) · '
            f'Python {one["python"]} · Locust {one["locust"]} · matplotlib {one["matplotlib"]} · somaxconn {one["somaxconn"]}'
            f'</p><pre>{html.escape(shorten(about["command"]))}</pre></footer>')
