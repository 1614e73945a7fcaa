"""The page of the report. It is written as XML, so that scripts/lab check can parse it strictly."""

import html
import math
import pathlib
import re
from string import Template

from lib import PROJECT

from . import charts, model, words
from .words import number, percent, seconds, t

GENERATORS = {"locust": "Locust", "stheno": "stheno-load"}
ABOUT = ("{begun} · {cpu}, {cores}, {memory} · {system} · stheno {stheno} · Rust {rust} ({profile}) · Python {python} · "
         "Locust {locust} · matplotlib {matplotlib} · somaxconn {somaxconn}")


def link(rung):
    return f'<a href="#{rung.slug}">{html.escape(rung.name)}</a>'


def as_page(about, rungs, table, overview, drawn):
    load, machine = rungs[0].load, about["machine"] | {"cores": t("{} cores", about["machine"]["cores"])}
    facts = [(load.users, t("users")), (f"{number(load.think_least, 'g')} – {seconds(load.think_most)}",
                                        t("think time between two requests")),
             (seconds(load.service) if load.service else t("none"), t("the database")), (load.backlog, t("backlog")),
             (seconds(about["seconds"]), t("measured in each run")), (GENERATORS[about["generator"]], t("sends the requests"))]
    text = pathlib.Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
    return Template(re.sub(r"\{\{(.+?)\}\}", lambda match: t(match[1]), text)).substitute(
        lang=words.language(), light=charts.css(0), dark=charts.css(1), headline=headline(rungs), said=said(rungs),
        title=html.escape(" ".join([f"{t('The lab')}:", ", ".join(rung.name for rung in rungs[:3]), t("and others") if rungs[3:] else ""])),
        facts="".join(f"<div><b>{html.escape(str(value))}</b><span>{name}</span></div>" for value, name in facts),
        law=t(LAW, number(load.service, "g"), load.users, number(load.think, "g")), shares=t(SHARES),
        rows="\n".join(map(row, rungs)), costs="\n".join(map(costs, rungs, table)),
        overview="".join(overview), sections="\n".join(map(section, rungs, drawn)),
        about=html.escape(ABOUT.format(**about | machine)), command=html.escape(about["command"]),
    ).replace(f"{PROJECT}/", "")


def headline(rungs):
    slow, fast = (choose(rungs, key=lambda rung: rung.figure("p50")) for choose in (max, min))
    longest, shortest = (seconds(rung.figure("p50")) for rung in (slow, fast))
    if len(rungs) == 1 or slow.figure("p50") < fast.figure("p50") * 2:
        return t("{}: {} for a response", html.escape(slow.name), longest)
    return t("{} for a response, or {}: it depends on where the clients wait", longest, shortest)


def said(rungs):
    """How many rungs differ from the law for a reason of their own."""
    off = [rung for rung in rungs if words.verdict(rung)[1]]
    if not off:
        return t("All rungs are within 10 % of the law, or the machine and the generator explain the difference.")
    text = t("{} of {} rungs differ from the law by more than 10 %, and neither the machine nor the generator explains it: {}.",
             len(off), len(rungs), ", ".join(map(link, off)))
    return f'<span class="off">{text}</span>'


def cells(*values):
    return "<tr>" + "".join(f"<td>{value}</td>" for value in values) + "</tr>"


def row(rung):
    """A row of the table: measured, the law, the shares of both, and the verdict."""
    def change(value):
        return f'<span class="{"off" if abs(value) > model.TOLERANCE else ""}">{number(100 * value, "+.1f")} %</span>'
    figure, law, (text, marked) = rung.figure, rung.prediction, words.verdict(rung)
    return cells(link(rung), words.servers(law), number(law.rate, ".2f"), f"<b>{number(figure('rate'), '.2f')}</b>",
                 change(rung.rate_off), seconds(law.response), f"<b>{seconds(figure('p50'))}</b>", change(rung.response_off),
                 *map(signed, rung.causes.shares), f'<span class="{"off" if marked else ""}">{text}</span>')


def signed(value):
    """A share of a time, in milliseconds."""
    return "-" if math.isnan(value) else f"{number(value * 1000, '+,.1f')} {words.unit('ms')}"


def costs(rung, line):
    figure = rung.figure
    return cells(link(rung), seconds(figure("p95")), number(figure('queue'), ".1f"), f"{figure('threads'):.0f}",
                 number(figure('memory_kib') / 1024, ".1f"), number(float(line['cpu_ms_per_answer']), ".2f"),
                 number(float(line['switches_per_answer']), ".1f"))


def section(rung, drawn):
    (text, marked), run, spread = words.verdict(rung), rung.runs[0], ""
    commands = html.escape(" ".join(run["server_command"]) + "\n" + " ".join(run["load_command"]))
    if len(rung.runs) > 1 and (values := rung.values("p50")):
        spread = t("{} runs with medians from {} to {}; the curves are those of the first run.", len(rung.runs),
                   seconds(min(values)), seconds(max(values)))
        spread = f'<p class="fine">{spread}</p>'
    return (f'<section class="rung" id="{rung.slug}"><header><h3>{html.escape(rung.name)}</h3>'
            f'<span>{html.escape(t(run["what"]))}</span><span class="badge{" off" if marked else ""}">{text}</span></header>'
            f'<p class="verdict">{html.escape(" ".join([story(rung), *asides(rung)]))}</p>{spread}'
            f'<div class="panels">{"".join(f"<figure>{svg}</figure>" for svg in drawn)}</div>'
            f'<details><summary>{t("How it was run")}</summary><pre>{commands}</pre></details></section>')


def story(rung):
    """What the run shows, in a sentence or two."""
    rate, median, queue = rung.figure("rate"), rung.figure("p50"), rung.figure("queue")
    if math.isnan(median) or not rate:
        return t("No request was answered in the measured time.")
    service, room = rung.load.service, rung.load.backlog + 1
    # Little's law for the queue alone.
    waits = 0.0 if math.isnan(queue) else queue / rate
    if rung.prediction.waiting > room:
        return t(FULL, room, f"{rung.prediction.waiting:.0f}", seconds(median), seconds(rung.figure("p95")))
    if queue >= 1 and waits > service / 2:
        return t(QUEUE, seconds(service), f"{queue:.0f}", seconds(waits))
    if median > service * (1 + model.TOLERANCE) and median - service > 0.002:
        return t(NO_QUEUE, seconds(service), seconds(median), number(queue, ".1f"))
    return t("A request waits for the database only: the median response takes {}. The users send no more than {} requests per second.",
             seconds(median), number(rate, ".3g"))


def asides(rung):
    """Sentences about what else happened."""
    machine, generator, _ = rung.causes.shares
    if machine + generator > max(0.001, rung.prediction.response / 50):
        yield t("Of the response time, the machine's lateness is {}, the generator's {}.", seconds(machine), seconds(generator))
    if rung.figure("failures") > 0:
        yield t("Failed requests: {}.", number(rung.figure('failures'), ",.0f"))
    if rung.prediction.chance(rung.load.service) > rung.load.service / 5:
        yield t(CHANCE, percent(rung.prediction.busy))
    if rung.figure("load_cpu") > 0.8:
        yield t("The generator was busy for {} of the time: these figures show the limit of the generator.",
                percent(rung.figure("load_cpu")))
    if any(run["interrupted"] for run in rung.runs):
        yield t("The run was interrupted after {} of measuring.", seconds(rung.figure("seconds")))


LAW = ("<i>m</i> threads or processes serve, each of them is busy for <i>S</i> = {} s with a request; <i>N</i> = {} users think for "
       "<i>Z</i> = {} s on average. A rung with few threads serves <i>m</i>/<i>S</i> requests per second and no more. With enough "
       "of them the users are the limit: they send <i>N</i>/(<i>Z</i>+<i>S</i>). All other clients wait in the kernel's accept "
       "queue, where no program sees them.")
SHARES = ("<b>The machine's share</b>: beside the rung a process sleeps for the database's time, again and again; these sleeps take "
          "longer on a busy machine, and the law is calculated again with their length. <b>The generator's share</b>: requests that "
          "were sent later than they were due, and the generator's computing for each response. <b>The rest</b> is what the rung "
          "itself adds, and chance. The verdict names what explains a difference of more than 10 %.")
FULL = ("The queue has room for {} clients, and {} need a place. The kernel drops the SYN of a client that finds the queue full, and "
        "the client tries again after 1 s, 3 s and 7 s. The median is {}; one response of twenty takes {} or longer.")
QUEUE = ("Each request is served in {}. On average {} clients are in the kernel's accept queue, and each of them waits there for "
         "{}.")
NO_QUEUE = ("The database takes {}, and the median response {}. The accept queue does not explain that: on average it has {} "
            "clients.")
CHANCE = "The law keeps the rung busy for {} of the time. It knows mean values only: users arrive at random, and chance makes a queue."
