"""`scripts/bench recording`: what a recording of the loop costs a server, with the doctor that looks at each turn."""

from lib import setup

from .contestants import OUT, ROWS, STHENO, Contestant, make_root
from .measure import in_rounds, measure, median, ratios
from .report import PACKAGES, machine, publish, spread

PLAIN, RECORDED = "plain", "recorded"
# Where the loop is saturated, and a request costs little: there a record costs most.
LOADS = ["1k", "pipelined", "close", "100k"]


def contestants():
    record = ["--record", str(OUT / "bench.rec")]
    return {PLAIN: Contestant(PLAIN, STHENO), RECORDED: Contestant(RECORDED, [*STHENO, *record])}


def bench(options):
    setup.install({"wrk": PACKAGES["wrk"]})
    setup.build("stheno")
    make_root()
    here, results = contestants(), {}
    loads = options.rows.split(",") if options.rows else LOADS
    for row in (row for row in ROWS if row.name in loads):
        results[row.name] = in_rounds(row.what, list(here), options.rounds,
                                      lambda name, row=row: measure(here[name], row, options.seconds))
    publish("recording", "scripts/bench recording", as_text(results, options), options, results)


def as_text(results, options):
    """The CPU time of the worker for one request, without and with a recording; the quartiles of the rounds' ratios."""
    titles = {row.name: row.what for row in ROWS}
    lines = [f"CPU µs of the worker for each request, {options.rounds} rounds, in which both take turns; the ratio is that of "
             f"each round. {machine()}", "", "| load | plain | recorded | ratio | bar |", "|---|---|---|---|---|"]
    for name, rounds in results.items():
        plain, recorded = (median(rounds[one], "cpu") for one in (PLAIN, RECORDED))
        found = spread(ratios(rounds[RECORDED], rounds[PLAIN]), 3)
        lines.append(f"| {titles[name]} | {plain:.2f} | {recorded:.2f} | {found} | ≤ 1.02 |")
    return "\n".join(lines) + "\n"
