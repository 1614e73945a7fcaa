"""The page of the report. It is written as XML, so that scripts/lab check can parse it strictly."""

import html
import math
import pathlib
from string import Template

from lib import PROJECT

from . import charts, model

GENERATORS = {"locust": "Locust", "stheno": "stheno-load"}
ABOUT = ("{begun} · {cpu}, {cores} cores, {memory} · {system} · stheno {stheno} · Rust {rust} ({profile}) · Python {python} · "
         "Locust {locust} · matplotlib {matplotlib} · somaxconn {somaxconn}")
# A sleep that is longer by this share shows a busy machine: on an idle one timers are late by 0.1 ms.
LATE = 0.05


def in_words(value):
    return charts.seconds(value) if not value >= 10 else f"{value:.1f} s"


def link(rung):
    return f'<a href="#{rung.slug}">{html.escape(rung.name)}</a>'


def as_page(about, rungs, table, overview, drawn):
    load, off = rungs[0].load, [rung for rung in rungs if rung.is_off]
    slow, fast = (choose(rungs, key=lambda rung: rung.figure("p50")) for choose in (max, min))
    longest, shortest = (in_words(rung.figure("p50")) for rung in (slow, fast))
    headline = f"{longest} for an answer, or {shortest}: it depends on where the clients wait"
    if len(rungs) == 1 or slow.figure("p50") < fast.figure("p50") * 2:
        headline = f"{html.escape(slow.name)}: {longest} for an answer"
    said = f'<span class="off">{len(off)} of {len(rungs)} are more than 10 % off:</span> {", ".join(map(link, off))}.'
    facts = [(load.users, "users"), (f"{load.think_least:g} – {load.think_most:g} s", "between two requests"),
             (in_words(load.service) if load.service else "none", "the database"), (load.backlog, "backlog"),
             (f"{about['seconds']:g} s", "measured of each run"), (GENERATORS[about["generator"]], "asked")]
    return Template(pathlib.Path(__file__).with_suffix(".html").read_text(encoding="utf-8")).substitute(
        title=html.escape("The lab: " + ", ".join(rung.name for rung in rungs[:3]) + (" and others" if rungs[3:] else "")),
        light=charts.css(0), dark=charts.css(1), headline=headline, said=said if off else "All of it within 10 %.",
        facts="".join(f"<div><b>{html.escape(str(value))}</b><span>{name}</span></div>" for value, name in facts),
        service=f"{load.service:g}", users=load.users, think=f"{load.think:g}", rows="\n".join(map(row, rungs, table)),
        overview="".join(overview), sections="\n".join(map(section, rungs, drawn)),
        about=html.escape(ABOUT.format(**about, **about["machine"])), command=html.escape(about["command"]),
    ).replace(f"{PROJECT}/", "")


def row(rung, line):
    """A row of the table."""
    def percent(value):
        return f'<span class="{"off" if abs(value) > 0.1 else ""}">{100 * value:+.1f} %</span>'
    figure, law = rung.figure, rung.prediction
    cells = [link(rung), law.count, f"{law.rate:.2f}", f"<b>{figure('rate'):.2f}</b>", percent(rung.rate_off),
             in_words(law.response), f"<b>{in_words(figure('p50'))}</b>", percent(rung.response_off),
             in_words(figure("p95")), f"{figure('queue'):.1f}", f"{figure('threads'):.0f}",
             f"{figure('memory_kib') / 1024:.1f}", f"{float(line['cpu_ms_per_answer']):.2f}",
             f"{float(line['switches_per_answer']):.1f}"]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def section(rung, drawn):
    badge = '<span class="badge off">more than 10 % off' if rung.is_off else '<span class="badge">as predicted'
    run, spread = rung.runs[0], ""
    commands = html.escape(" ".join(run["server_command"]) + "\n" + " ".join(run["load_command"]))
    if len(rung.runs) > 1 and (values := rung.values("p50")):
        spread = (f'<p class="fine">{len(rung.runs)} runs, medians of {in_words(min(values))} to {in_words(max(values))}; '
                  'the curves are those of the first.</p>')
    return (f'<section class="rung" id="{rung.slug}"><header><h3>{html.escape(rung.name)}</h3>'
            f'<span>{html.escape(run["what"])}</span>{badge}</span></header>'
            f'<p class="verdict">{html.escape(" ".join([verdict(rung), *asides(rung)]))}</p>{spread}'
            f'<div class="panels">{"".join(f"<figure>{svg}</figure>" for svg in drawn)}</div>'
            f'<details><summary>How it was run</summary><pre>{commands}</pre></details></section>')


def verdict(rung):
    """What the run shows, in a sentence or two."""
    rate, median, queue = rung.figure("rate"), rung.figure("p50"), rung.figure("queue")
    if math.isnan(median) or not rate:
        return "No request was answered in the measured time."
    service, load = rung.load.service, rung.load
    # Little's law for the queue alone.
    waits = 0.0 if math.isnan(queue) else queue / rate
    if rung.prediction.waiting > load.backlog + 1:
        return (f"The queue has room for {load.backlog + 1}, and {rung.prediction.waiting:.0f} clients want to be in it: a client "
                f"that finds it full tries again after 1 s, 3 s, 7 s. Half are answered within {in_words(median)}, the slowest "
                f"twentieth waits {in_words(rung.figure('p95'))} or more.")
    if queue >= 1 and waits > service / 2:
        return (f"Every request is served in {in_words(service)}; clients wait {in_words(waits)} in the kernel's queue of "
                f"{queue:.0f}.")
    if median > service * (1 + model.TOLERANCE) and median - service > 0.002:
        return (f"The database takes {in_words(service)}, the answer {in_words(median)}: the rest is not the queue "
                f"({queue:.1f} wait in it), it is chance and work.")
    return (f"Requests wait for the database alone: half of the answers take {in_words(median)} or less, and "
            f"{rate:.3g} requests a second are all that {load.users} users ask for.")


def asides(rung):
    """Sentences about what else happened."""
    failures, slept, load_cpu = rung.figure("failures"), rung.figure("sleep"), rung.figure("load_cpu")
    if failures > 0:
        yield f"{failures:,.0f} request{'' if round(failures) == 1 else 's'} failed."
    if 0.85 < rung.prediction.busy <= 0.999:
        yield (f"{rung.prediction.count} servers are {rung.prediction.busy:.0%} busy, near the knee: the law is a bound "
               "there, and chance makes a queue of its own.")
    if slept > rung.load.service * (1 + LATE):
        yield f"A sleep of {in_words(rung.load.service)} took {in_words(slept)} here meanwhile: the machine had other work."
    if load_cpu > 0.8:
        yield f"The generator was busy for {load_cpu:.0%} of the time: the figures are those of the generator."
    if any(run["interrupted"] for run in rung.runs):
        yield f"Interrupted: only {rung.figure('seconds'):.0f} s were measured."
