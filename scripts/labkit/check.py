"""Checks that a run is as predicted and its report in order, for scripts/test; and compares two runs."""

import math
import re
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

from lib import Trouble

from . import check_verdicts, panels, records, report

# The browser sends nothing to a network and resolves no name.
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update",
         "--disable-background-networking", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND",
         "--enable-logging=stderr", "--log-level=0"]


def check(options):
    """Prints what is in order; raises `Trouble` with everything that is not."""
    folder, band = options.folder, options.band / 100
    about, rungs = records.load_folder(folder)
    page = folder / "report.html"
    wrong = [*figures(about, rungs, band), *files(folder, rungs), *self_contained(page)]
    wrong += check_verdicts.wrong_verdicts()
    # A text without a Russian one is an error.
    wrong += self_contained(report.write(folder, "ru"))
    report.write(folder)
    browser = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
    wrong += opens(browser, page, [rung.slug for rung in rungs]) if browser else []
    if wrong:
        raise Trouble("\n  ".join([f"{folder} is not in order:", *wrong]))
    print(f"{', '.join(rung.name for rung in rungs)}: within {band:.0%}; the files and the report are in order"
          + ("" if browser else "; no Chromium is here, and the page was not opened"))


def figures(about, rungs, band):
    """Every rung was measured, and is within the band: of the law, or of the law with all times in it that are known."""
    for name in set(about["rungs"]) - {rung.name for rung in rungs}:
        yield f"{name} was not measured"
    for rung in rungs:
        law, work = rung.causes.law, rung.causes.work
        if not rung.causes.explains(work, band):
            yield (f"{rung.name}: {rung.figure('rate'):.3f} requests/s and {rung.figure('p50'):.3f} s; the law says {law.rate:.3f} "
                   f"and {law.response:.3f}, with the times of machine, generator and rung {work.rate:.3f} and {work.response:.3f}")
        if rung.figure("failures"):
            yield f"{rung.name}: {rung.figure('failures'):.0f} requests failed"


def files(folder, rungs):
    """The files exist, and are what their names say."""
    named = [line["rung"] for line in records.rows(folder / "results.csv") if float(line["rate"]) > 0]
    if named != [rung.name for rung in rungs]:
        yield f"results.csv has {named}"
    pictures = [folder / name for name in ("overview-rate", "overview-p50")]
    pictures += [rung.folders[0] / name for rung in rungs for name in [*panels.PANELS, *panels.STORIES]]
    for path in pictures:
        try:
            if not ElementTree.parse(path.with_suffix(".svg")).getroot().tag.endswith("svg"):
                yield f"{path}.svg is no SVG"
            if not path.with_suffix(".png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n"):
                yield f"{path}.png is no PNG"
        except (OSError, ElementTree.ParseError) as error:
            yield f"{path}: {error}"
    for rung in rungs:
        if not records.samples(rung.folders[0]) or not records.requests(rung.folders[0]):
            yield f"{rung.name} has no samples, or no requests"


def self_contained(path):
    """The page is well-formed (it is written as XML), its ids are unique, and it loads nothing but itself."""
    text = path.read_text(encoding="utf-8")
    try:
        attributes = [pair for element in ElementTree.fromstring(text).iter() for pair in element.attrib.items()]
    except ElementTree.ParseError as error:
        yield f"{path}: {error}"
        return
    ids = Counter(value for name, value in attributes if name == "id")
    yield from (f"two elements have the id {name}" for name, number in ids.items() if number > 1)
    links = [value for name, value in attributes if name in ("src", "href")]
    yield from (f"{link} leads nowhere" for link in links if link.startswith("#") and link[1:] not in ids)
    links += re.findall(r"url\(['\"]?([^'\")]+)|@import", text)
    yield from (f"the page loads {link}" for link in links if not link.startswith(("#", "data:")))


def opens(browser, page, sections):
    """A headless browser shows the page without a message on its console."""
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder) / "probe.html"
        probe.write_text("<!doctype html><title>probe</title><script>console.error('a probe')</script>")
        # A browser without messages would find every page in order.
        if not console(browser, probe)[1]:
            yield "the browser does not print the messages of its console"
    dom, said = console(browser, page)
    yield from (f"the console says: {line}" for line in said)
    yield from (f"{name} is not in the page as it is shown" for name in sections if f'id="{name}"' not in dom)


def console(browser, page):
    """The page as the browser has it, and the lines of its console."""
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, *FLAGS, f"--user-data-dir={profile}", "--dump-dom", page.resolve().as_uri()]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        except subprocess.TimeoutExpired:
            raise Trouble(f"{browser} does not end with {page}") from None
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def compare(options):
    """Prints a table of the rungs of two runs, and what else differs between the runs."""
    (about_one, one), (about_two, two) = map(records.load_folder, options.folders)
    others = {rung.name: rung for rung in two}
    lines = [f"A: {about_one['command']}", f"B: {about_two['command']}"]
    for key, value in (about_one["load"] | about_one["machine"]).items():
        if value != (other := (about_two["load"] | about_two["machine"]).get(key)):
            lines.append(f"   {key}: {value} in A, {other} in B")
    if about_one["generator"] != about_two["generator"]:
        lines.append(f"   asked by {about_one['generator']} in A, by {about_two['generator']} in B")
    lines += ["", f"{'RUNG':28} {'req/s A':>9} {'B':>9} {'':>8}   {'median A':>9} {'B':>9} {'':>8}   {'queue A':>8} {'B':>8}"]
    for rung in one:
        if not (other := others.pop(rung.name, None)):
            lines.append(f"{rung.name:28} only in A")
            continue
        line = f"{rung.name:28} "
        for name, form in (("rate", "9.2f"), ("p50", "9.3f")):
            a, b = rung.figure(name), other.figure(name)
            change = "-" if math.isnan(a) or math.isnan(b) or not a else f"{(b - a) / a:+.1%}"
            line += f"{a:{form}} {b:{form}} {change:>8}   "
        lines.append(line + f"{rung.figure('queue'):8.1f} {other.figure('queue'):8.1f}")
    print("\n".join([*lines, *(f"{name:28} only in B" for name in others)]))
