"""Checks the page of recordings in a browser: python3 scripts/loopkit/check_page.py

The recordings are made up (sample.py), so what the page has to show is known."""

import pathlib
import re
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lib import PROJECT, Trouble, run_command  # noqa: E402
from loopkit import browser, check_outside, live_page, page, sample  # noqa: E402

TURNS, SLOW = 2000, 700
MOST_BYTES, MOST_MS = 1_000_000, 1000
STEPS = 120
FINDINGS = [{"kind": "slow hook", "severity": "critical", "turn": SLOW, "key": None, "text": "handle_read took 300 ms",
             "cure": "Do the work in a thread.", "time": None}]
# What the page shows at this step.
STATE = """[document.getElementById('sentence').textContent, document.getElementById('slab').innerText,
  document.querySelector('#ring svg').textContent, document.getElementById('position').textContent].join('|')"""
ROWS = """[...document.querySelectorAll('#slab tbody tr')].map((row) => ['key', 'state', 'in', 'out']
  .map((name) => (row.querySelector('.c-' + name) || {}).textContent || '–'))"""
FIGURES = """Object.fromEntries([...document.querySelectorAll('#compare-table tr')]
  .map((row) => [row.cells[0].textContent, row.cells[1].textContent]))"""
# Words that have no translation show their own name.
UNKNOWN = r"document.body.innerText.match(/\b(n|st|cmp|ask|col|live|keys)\.[a-zA-Z0-9]+\b/g)"


def main():
    if not browser.program():
        print("no Chromium is here, and the page was not opened")
        return
    with tempfile.TemporaryDirectory() as folder, browser.Browser() as window:
        folder = pathlib.Path(folder)
        notices_troubles(window, folder)
        one = sample.Sample(TURNS, slow=(SLOW, 1400))
        source = (PROJECT / "examples" / "tcp_reactor.rs").read_text(encoding="utf-8")
        content = one.file("tcp_reactor", source)
        page.make([("tcp_reactor", content, None, "a command <b>")], folder / "one.html", [FINDINGS])
        asks = sample.Sample(300, asks=True).file("tcp_select")
        page.make([("tcp_reactor", content, None, ""), ("tcp_select", asks, None, "")], folder / "two.html")
        page.make([("broken", content[:200], None, "")], folder / "broken.html")
        head = sample.Sample(0).file("x").split(b"\nrecords")[0]
        page.make([("empty", head + b"\nrecords 0\n\n", None, "")], folder / "empty.html")
        wrong = [*opens(window, folder), *steps(window, folder), *shows(window, folder, one), *counts(window, folder, one),
                 *translated(), *asks_me(window, folder, one),
                 *compares(window, folder, one), *fits(window, folder), *odd_ones(window, folder),
                 *check_outside.page_of_threads(window, visit, folder),
                 *live_page.check(window, folder, content, TURNS)]
    if wrong:
        raise Trouble("\n  ".join(["the page is not in order:", *wrong]))
    print(f"the page of a recording: {TURNS} turns, in order")


def visit(window, path, place=""):
    """Opens a page; returns its milliseconds and what is wrong with its console and its requests."""
    window.troubles.clear()
    window.requests.clear()
    # Another address each time: one that differs only after `#` would not be loaded again.
    visit.count = getattr(visit, "count", 0) + 1
    took = window.open(f"file://{path}?{visit.count}#{place}")
    return took, troubles(window, path.name)


def troubles(window, name):
    return [f"{name}: the console says: {text}" for text in window.troubles] + \
           [f"{name} asks for {url}" for url in window.requests if not url.startswith(("file:", "data:"))]


def notices_troubles(window, folder):
    """A browser that notices nothing would find every page in order."""
    probe = folder / "probe.html"
    probe.write_text("<!doctype html><title>probe</title><img src='http://a.test/x.png'><script>"
                     "document.documentElement.dataset.shown = 1; console.error('a probe')</script>", encoding="utf-8")
    _, found = visit(window, probe)
    if not any("a probe" in line for line in found) or not any("a.test" in line for line in found):
        raise Trouble(f"the browser does not notice what is wrong with a page: {found}")


def opens(window, folder):
    path = folder / "one.html"
    if path.stat().st_size > MOST_BYTES:
        yield f"the page of {TURNS} turns has {path.stat().st_size} bytes"
    times = []
    for width, scheme in ((1400, "light"), (390, "dark"), (1400, "dark")):
        window.resize(width)
        window.scheme(scheme)
        took, found = visit(window, path)
        times.append(took)
        yield from found
    if min(times) > MOST_MS:
        yield f"the page of {TURNS} turns opens in {min(times)} ms"
    if "tcp_reactor" not in window.run("document.title") or not window.run("document.getElementById('sentence').textContent"):
        yield "the page has no title or no sentence"
    if window.run("document.getElementById('command').textContent") != "a command <b>":
        yield "the command is not shown as it is"


def steps(window, folder):
    """Forwards and backwards, every step shows the same; so do the ends."""
    window.resize(1400)
    yield from visit(window, folder / "one.html", f"turn={SLOW - 2}&lang=en")[1]
    there, back = [], []
    for _ in range(STEPS):
        there.append(window.run(STATE))
        window.press("ArrowRight")
    for _ in range(STEPS):
        window.press("ArrowLeft")
        back.append(window.run(STATE))
    if there != back[::-1]:
        yield "a step back does not show what was there before the step"
    if len(set(there)) != STEPS:
        yield "some steps show nothing new"
    window.press("Home")
    first = window.run(STATE)
    window.press("End")
    last = window.run(STATE)
    window.press("Home")
    window.press("ArrowRight", shift=True, times=3)
    window.press("ArrowLeft", shift=True, times=3)
    if window.run(STATE) != first or first == last:
        yield "the first step is not the same after a visit to the last one"
    if "1 of" not in first:
        yield f"Home does not go to the first step: {first}"


def shows(window, folder, one):
    """The table is what the recording's maker knows; the slow hook is found, in the source too."""
    for turn in (1, 2, SLOW, 1234, TURNS):
        yield from visit(window, folder / "one.html", f"turn={turn}&lang=en")[1]
        wanted = sorted([key, state or "–", size(read), size(written)]
                        for key, (state, read, written) in one.before[turn].items())
        if (found := sorted(window.run(ROWS))) != wanted:
            yield f"turn {turn} begins with {wanted}, and the page shows {found}"
    window.press("f")
    if f"Turn {SLOW}:" not in window.run("document.querySelector('.stage').textContent"):
        yield "the finding does not lead to its turn"
    window.press("l")
    text = window.run("document.getElementById('sentence').textContent")
    if "300 ms" not in text or "waited behind it" not in text:
        yield f"the longest turn does not tell its slow hook: {text}"
    if "fn handle_read" not in window.run("(document.querySelector('#source li.on') || {}).textContent || ''"):
        yield "the hook is not marked in the source"


def counts(window, folder, one):
    """Bytes are added at the step that reads or writes them, and not before or after it."""
    yield from visit(window, folder / "one.html", "turn=1234&lang=en")[1]
    moved, known = 0, {key: [read, written] for key, (_, read, written) in one.before[1234].items()}
    for _ in range(60):
        window.press("ArrowRight")
        text = window.run("document.getElementById('sentence').textContent")
        if found := re.match(r"Echo (\d+\.\d+): (read|wrote) (\d+) B", text):
            key, verb, number = found.groups()
            known.setdefault(key, [0, 0])[verb == "wrote"] += int(number)
            moved += 1
        shown = {row[0]: row[2:] for row in window.run(ROWS)}
        wrong = [key for key, values in known.items() if key in shown and shown[key] != [size(value) for value in values]]
        if wrong:
            yield f"after '{text}' the page shows {shown[wrong[0]]} for {wrong[0]}, and it has moved {known[wrong[0]]}"
            return
    if moved < 5:
        yield f"only {moved} steps of 60 move bytes"


def translated():
    """Both languages have a text for each word."""
    texts = [(page.PLAYER / f"words_{language}.js").read_text(encoding="utf-8") for language in ("en", "ru")]
    english, russian = (set(re.findall(r'^  "([^"]+)":', text, re.MULTILINE)) for text in texts)
    if not english or english != russian:
        yield f"words that only one language has: {sorted(english ^ russian)}"


def size(number):
    return "–" if not number else f"{number} B" if number < 10000 else rounded(number / 1024, "KiB")


def rounded(value, unit):
    text = f"{value:.1f}".removesuffix(".0") if value < 9.95 else str(int(value + 0.5))
    return f"{text} {unit}"


def asks_me(window, folder, one):
    """The true answer is right, and another one is not."""
    for turn, truth in ((5, True), (6, False)):
        yield from visit(window, folder / "two.html", f"rec=1&turn={turn}&lang=en")[1]
        window.press("a")
        if window.run("document.getElementById('quiz').hidden"):
            yield f"no question is asked before turn {turn}"
            continue
        if f"Turn {turn}:" in window.run("document.querySelector('.stage').textContent"):
            yield "the answer stands beside the question"
        window.run("document.querySelector('#quiz input[type=radio]').checked = true")
        window.run("document.querySelector('#quiz').requestSubmit()")
        marks = window.run("[...document.querySelectorAll('#quiz label.true input')].map((input) => [input.type, input.value])")
        yield from visit(window, folder / "two.html", f"rec=1&turn={turn}&lang=en")[1]
        window.press("a")
        for kind, value in marks if truth else marks[:-1]:
            window.run(f"document.querySelector('#quiz input[type={kind}][value=\"{value}\"]').checked = true")
        if not truth:
            other = (int(marks[-1][1]) + 1) % 5
            window.run(f"document.querySelector('#quiz input[type=radio][value=\"{other}\"]').checked = true")
        window.run("document.querySelector('#quiz').requestSubmit()")
        text = window.run("document.querySelector('#quiz .result').textContent")
        if ("Right." in text) != truth or ("2 of 2" in text) != truth:
            yield f"an answer that is {truth} is told: {text}"
        yield from troubles(window, "a question")


def compares(window, folder, one):
    yield from visit(window, folder / "two.html", "lang=en")[1]
    found = window.run(FIGURES)
    kinds = [record[16] for record in one.records]
    wanted = {"turns": TURNS, "hooks called": kinds.count(sample.ENTER), "reads": kinds.count(sample.READ),
              "writes": kinds.count(sample.WRITE), "changes of the kernel's list": kinds.count(sample.WATCH)}
    for name, number in wanted.items():
        if found.get(name) != (f"{number:,}" if number > 9999 else str(number)):
            yield f"Compare shows {found.get(name)} {name} instead of {number}"
    window.run("document.querySelector('#tabs button:last-child').click()")
    if "fd 4" not in window.run("document.getElementById('slab').innerText"):
        yield "the second recording is not opened by its tab"


def fits(window, folder):
    """In both languages, on both screens: nothing is cut off, and every word has its text."""
    for width in (390, 1400):
        window.resize(width)
        for language, word in (("en", "turn"), ("ru", "оборот")):
            for place in (f"rec=1&turn={SLOW}", "rec=0", "rec=2&turn=9"):
                yield from visit(window, folder / "two.html", f"{place}&lang={language}")[1]
                where = f"{place} in {language} at {width} px"
                if (wide := window.run("document.documentElement.scrollWidth")) > width:
                    yield f"{where}: the page is {wide} px wide"
                if word not in window.run("document.body.innerText").lower():
                    yield f"{where}: '{word}' is not there"
                if unknown := window.run(UNKNOWN):
                    yield f"{where}: words without a text: {unknown}"
    window.run("document.querySelector('[data-language=en]').click()")
    if window.run("document.documentElement.lang") != "en" or "оборот" in window.run("document.body.innerText"):
        yield "the switch of languages leaves Russian words"


def odd_ones(window, folder):
    """A file that is no recording, and one that has no records, are told."""
    yield from visit(window, folder / "broken.html", "lang=en")[1]
    if window.run("document.getElementById('trouble').hidden"):
        yield "a broken recording is not told"
    yield from visit(window, folder / "empty.html", "lang=en")[1]
    if "no records" not in window.run("document.getElementById('sentence').textContent"):
        yield "an empty recording is not told"


if __name__ == "__main__":
    run_command("check_page", main)
