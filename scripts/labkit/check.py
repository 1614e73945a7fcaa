"""Whether a run is as predicted, and its report in order: for scripts/test."""

import csv
import dataclasses
import re
import shutil
import statistics
import subprocess
import tempfile
import xml.etree.ElementTree
from html.parser import HTMLParser
from pathlib import Path

from . import Trouble, model, panels, records

BROWSERS = ["chromium", "chromium-browser", "google-chrome"]
# Nothing of it goes to the network, and no name is found.
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-component-update", "--disable-background-networking", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND",
         "--enable-logging=stderr", "--log-level=0"]
PROBE = "<!doctype html><title>probe</title><script>console.error('a probe')</script><img src='missing.png'>"
# Elements that have no end.
VOID = {"meta", "link", "img", "br", "hr", "input"}


def check(folder, band):
    """Answers in words what was found in order; raises `Trouble` with everything that is not."""
    about, rungs = records.load_folder(folder)
    page = folder / "report.html"
    wrong = [*figures(about, rungs, band), *files(folder, rungs), *self_contained(page)]
    text, browser = "", browser_here()
    if browser:
        wrong += opens(browser, page, [rung.folders[0].name for rung in rungs])
    else:
        text = "; no Chromium is here, and the page was not opened"
    if wrong:
        raise Trouble("\n  ".join([f"{folder} is not in order:", *wrong]))
    return f"{', '.join(rung.name for rung in rungs)}: within {band:.0%}; the files and the report are in order{text}"


def figures(about, rungs, band):
    """Everyone who was asked for is there, and within the band."""
    for name in set(about["rungs"]) - {rung.name for rung in rungs}:
        yield f"{name} was not measured"
    for rung in rungs:
        if any("sleep" not in run["figures"] for run in rung.runs):
            yield f"{rung.name} was measured by an older scripts/lab, without a metronome: run it again"
            continue
        rate, response = here(rung)
        for what, name, wanted in (("requests/s", "rate", rate), ("s", "p50", response)):
            off = model.difference(rung.figure(name), wanted)
            if not abs(off) <= band:
                yield f"{rung.name}: {rung.figure(name):.3f} {what}, {wanted:.3f} predicted: {off:+.1%}"
        if rung.figure("failures"):
            yield f"{rung.name}: {rung.figure('failures'):.0f} requests failed"


def here(rung):
    """What the law says of requests a second, and of the seconds for an answer, on this machine.

    It is asked with the time that a server is busy with a request: as long as the machine made of the database's time
    meanwhile, and what the rung computes. A few tenths of a millisecond beside a database of 6 are a wait of tens of
    them for a hundred users, and say nothing of the law. Where nobody waits, the answer takes what it takes alone."""
    answers = sum(run["answers"] for run in rung.runs)
    computes = sum(run["cpu_seconds"] or 0.0 for run in rung.runs) / answers if answers else 0.0
    slept = rung.figure("sleep") if rung.load.service else 0.0
    law = model.predict(rung.prediction.servers, dataclasses.replace(rung.load, service=slept + computes))
    if law.is_saturated:
        return law.rate, law.response
    adds = statistics.median(run["alone"] for run in rung.runs) - rung.load.service
    return law.rate, (rung.figure("sleep_p50") if rung.load.service else 0.0) + adds


def files(folder, rungs):
    """They are there, and are what their names say."""
    with open(folder / "results.csv", newline="", encoding="utf-8") as file:
        named = [line["rung"] for line in csv.DictReader(file) if float(line["rate"]) > 0]
    if named != [rung.name for rung in rungs]:
        yield f"results.csv has {named}"
    pictures = [folder / name for name in ("overview", "overview-rate", "overview-p50")]
    pictures += [rung.folders[0] / name for rung in rungs for name in [*panels.PANELS, "story"]]
    for path in pictures:
        try:
            if not xml.etree.ElementTree.parse(path.with_suffix(".svg")).getroot().tag.endswith("svg"):
                yield f"{path}.svg is no SVG"
            if not path.with_suffix(".png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n"):
                yield f"{path}.png is no PNG"
        except (OSError, xml.etree.ElementTree.ParseError) as error:
            yield f"{path}: {error}"
    for rung in rungs:
        if not records.samples(rung.folders[0]) or not records.requests(rung.folders[0]):
            yield f"{rung.name} has no samples, or no requests"


class Page(HTMLParser):
    """Looks whether every element ends, and what the page asks for."""

    def __init__(self):
        super().__init__()
        self.open, self.wrong, self.ids, self.links = [], [], set(), []

    def handle_starttag(self, tag, attributes):
        self.handle_startendtag(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        for name, value in attributes:
            if name == "id" and value in self.ids:
                self.wrong.append(f"two elements have the id {value}")
            if name == "id":
                self.ids.add(value)
            if name in ("src", "href", "xlink:href"):
                self.links.append(value)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> ends nothing")


def self_contained(path):
    """It asks for nothing but itself."""
    text = path.read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    yield from page.wrong
    if page.open:
        yield f"{page.open} have no end"
    for link in page.links:
        if link.startswith("#") and link[1:] not in page.ids:
            yield f"{link} leads nowhere"
        if not link.startswith(("#", "data:")):
            yield f"the page asks for {link}"
    for link in re.findall(r"url\(['\"]?([^'\")]+)|@import", text):
        if not link.startswith("#"):
            yield f"the page asks for {link}"


def browser_here():
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def opens(browser, page, sections):
    """Headless, without a network; what the console says is an error."""
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder) / "probe.html"
        probe.write_text(PROBE)
        # Or a browser that says nothing would find every page in order.
        if not console(browser, probe)[1]:
            yield "the browser does not tell what its console says"
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
            raise Trouble(f"{browser} does not come to an end with {page}") from None
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]
