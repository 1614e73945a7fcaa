"""The page of a run: throughput, latency and failures over time with the steps marked, and the table of all bars."""

import html
import math
import os
import pathlib
import platform
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from string import Template

from lib import cpu_model, quantile

from . import OUT

# The picture, in units of its own: its size, its margins, the height of each of its two parts.
WIDTH, LEFT, RIGHT, TOP, HEIGHT, GAP = 1200, 56, 24, 30, 210, 46
BOTTOM = TOP + 2 * HEIGHT + GAP
LATENCIES = 0.0001, 10.0
# Seconds of a point of the curves.
STEP = 0.25


def write(trials):
    """Writes target/fleet/index.html, which is XML: a mistake in it ends the script."""
    missed = sum(not row["held"] for row in trials.rows)
    text = pathlib.Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
    page = Template(text).substitute(
        headline=f"A fleet under load: {len(trials.rows)} bars, " + (f"{missed} missed" if missed else "all held"),
        lead="Servers in network namespaces behind HAProxy or nginx. Clients compare every byte of every answer; a time counts "
             "from the moment at which the request was due.",
        timeline=timeline(trials.record, trials.seen) if trials.seen else "",
        rows="\n".join(map(row, trials.rows)),
        about=html.escape(f"{time.strftime('%Y-%m-%d %H:%M %z')} · {cpu_model()}, {os.cpu_count()} cores, which hosts, balancer and "
                          f"clients share · {platform.system()} {platform.release()} · scripts/fleet{' --quick' * trials.quick}"))
    ElementTree.fromstring(page)
    (OUT / "index.html").write_text(page, encoding="utf-8")


def row(one):
    held = "held" if one["held"] else '<span class="missed">missed</span>'
    return "<tr>" + "".join(f"<td>{html.escape(one[name])}</td>" for name in ("rule", "what", "measured", "bar")) + f"<td>{held}</td></tr>"


def timeline(record, seen):
    """The picture and the table of the steps."""
    steps = sorted(record.steps, key=lambda step: step["from"])
    end = steps[-1]["to"]
    answers = [(ended - record.begun, took) for ended, took in zip(seen.ended, seen.took)]
    failures = [failure["at"] - record.begun for failure in seen.failures]
    names = sorted(record.samples[0][1])
    legend = "".join(f'<span><i style="background:var(--{name})"></i>{name}</span>' for name in names)
    cells = "\n".join(
        f'<tr><td>{number}</td><td>{html.escape(step["name"])}</td><td class="when">{step["from"]:.1f} – {step["to"]:.1f} s</td>'
        f'<td>{html.escape(step["said"])}</td></tr>' for number, step in enumerate(steps, 1))
    return f"""<figure>{picture(steps, end, shares(record.samples, answers, names), answers, failures)}</figure>
<div class="legend">{legend}<span><i style="background:var(--bad)"></i>a request that failed</span>
<span><i style="background:var(--ink)"></i>median of each {STEP} s</span><span><i style="background:var(--muted)"></i>p99</span></div>
<div class="scroll"><table><thead><tr><th></th><th>step</th><th>time</th><th>seen</th></tr></thead><tbody>{cells}</tbody></table></div>"""


def shares(samples, answers, names):
    """Server → (time, answers in a second): what clients got in each piece of time, by the counts of the balancer meanwhile."""
    pieces, found = Counter(int(ended / STEP) for ended, _ in answers), {name: [] for name in names}
    parts = [0.0] * len(names)
    for (_, old), (later, new) in zip(samples, samples[1:]):
        grown = [max(0, new[name][0] - old[name][0]) for name in names]
        if sum(grown):
            parts = [count / sum(grown) for count in grown]
        # A balancer that has just begun has counted nothing yet: the parts of the piece before stand.
        for name, part in zip(names, parts):
            found[name].append((later, part * pieces[int(later / STEP)] / STEP))
    return found


def picture(steps, end, rates, answers, failures):
    def x(seconds):
        return LEFT + (WIDTH - LEFT - RIGHT) * min(max(seconds, 0), end) / end
    parts = [f'<svg viewBox="0 0 {WIDTH} {BOTTOM + 34}" role="img" aria-label="Throughput, latency and failures over time">']
    labelled = 0
    for number, step in enumerate(steps, 1):
        left, right = x(step["from"]), x(step["to"])
        if number % 2:
            parts.append(f'<rect class="band" x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" height="{BOTTOM - TOP}"/>')
        # The numbers of short steps beside each other need room.
        middle = labelled = max((left + right) / 2, labelled + 16)
        parts.append(f'<text class="number" x="{middle:.1f}" y="{TOP - 9}" text-anchor="middle">{number}'
                     f'<title>{html.escape(step["name"])}</title></text>')
    parts += throughput(rates, x) + latency(answers, x)
    parts += [f'<line class="fail" x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{TOP + HEIGHT}" y2="{TOP + HEIGHT + 14}"/>' for at in failures]
    for seconds in marks(end, 12):
        parts.append(f'<text x="{x(seconds):.1f}" y="{BOTTOM + 16}" text-anchor="middle">{seconds:g} s</text>')
    return "\n".join([*parts, "</svg>"])


def marks(end, most):
    """Round numbers up to `end`, at most `most` of them."""
    size = 10 ** math.floor(math.log10(end / most))
    step = next(size * factor for factor in (1, 2, 5, 10) if end / (size * factor) <= most)
    return [number * step for number in range(int(end / step) + 1)]


def throughput(rates, x):
    """One area above the other: the answers of each server in a second."""
    points = [[rate for _, rate in one] for one in rates.values()]
    times = [at for at, _ in next(iter(rates.values()))]
    highest = max(map(sum, zip(*points)), default=1) * 1.06 or 1

    def y(rate):
        return TOP + HEIGHT - HEIGHT * rate / highest
    parts, below = [], [0.0] * len(times)
    for rate in marks(highest, 5)[1:]:
        parts.append(f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(rate):.1f}" y2="{y(rate):.1f}"/>'
                     f'<text x="{LEFT - 6}" y="{y(rate) + 4:.1f}" text-anchor="end">{rate:g}</text>')
    for name, one in zip(rates, points):
        above = [low + rate for low, rate in zip(below, one)]
        edge = [f"{x(at):.1f},{y(rate):.1f}" for at, rate in zip(times, above)]
        edge += [f"{x(at):.1f},{y(rate):.1f}" for at, rate in reversed(list(zip(times, below)))]
        parts.append(f'<polygon points="{" ".join(edge)}" fill="var(--{name})" fill-opacity=".78"><title>{name}</title></polygon>')
        below = above
    return [*parts, f'<text class="name" x="{LEFT + 6}" y="{TOP + 14}">answers per second, by server</text>']


def latency(answers, x):
    """Median and p99 of the answers that ended in each piece of time, on a scale of tens."""
    top = TOP + HEIGHT + GAP
    low, high = map(math.log10, LATENCIES)

    def y(took):
        return top + HEIGHT - HEIGHT * (math.log10(min(max(took, LATENCIES[0]), LATENCIES[1])) - low) / (high - low)
    parts, pieces = [], {}
    for power in range(round(low), round(high) + 1):
        at, name = y(10 ** power), {-4: "100 µs", -3: "1 ms", -2: "10 ms", -1: "100 ms", 0: "1 s", 1: "10 s"}[power]
        parts.append(f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
                     f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{name}</text>')
    for ended, took in answers:
        pieces.setdefault(int(ended / STEP), []).append(took)
    for share, colour in ((0.99, "muted"), (0.5, "ink")):
        points = " ".join(f"{x((piece + 0.5) * STEP):.1f},{y(quantile(tooks, share)):.1f}" for piece, tooks in sorted(pieces.items()))
        parts.append(f'<polyline class="line" stroke="var(--{colour})" points="{points}"/>')
    return [*parts, f'<text class="name" x="{LEFT + 6}" y="{top + 14}">time of an answer since it was due</text>']
