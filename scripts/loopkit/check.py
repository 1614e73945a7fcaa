"""`scripts/loop check`: every scenario on every rung that it fits, the language, the broken rungs, and the live mode."""

import base64
import html
import json
import re
import subprocess
import sys
import textwrap
import time
import zlib

from lib import PROJECT, Progress, Trouble

from . import TARGET, broken, check_breaks, check_outside, check_page, language, live_check, page, reading, rungs, show
from .promises import MOST, PROMISES, everyone_is_served, need

# What the rungs without a loop play here: the others take long, and show the same.
SHORT = "two_at_once"
COMPARED = ["tcp_select", "tcp_mio", "tcp_reactor", "web_futures", "tcp_tokio"]


def plays():
    for name in PROMISES:
        scenario = language.load(name, MOST)
        for rung in [*rungs.LOOPS, *(rungs.OUTSIDE if name == SHORT else ())]:
            if not scenario.misfit(rungs.Rung(rung)):
                yield name, rung


def check_play(name, rung):
    scenario = language.load(name, MOST)
    # Two processes serve two clients, also on a machine with one core.
    run = show.play(rungs.Rung(rung), scenario, options=["--processes", "2"] if "multiprocess" in rung else [])
    if run.rung.from_outside:
        everyone_is_served(run)
        return check_outside.promise(run)
    need(run.recording.program, "the recording names no program")
    everyone_is_served(run)
    return PROMISES[name](run)


def check_language(_=None):
    """Mistakes are reported with the line; texts keep commas, number signs and bytes."""
    text = '# a\nA is 3 clients, 2 at a time\nA B send "x, # \\"y\\x00\\n" # why\nB pause 5 ms, close'
    good = language.parse(text, "good")
    need([step.verb for step in good.groups["B"].steps] == ["send", "pause", "close"], "the steps of B")
    need(good.groups["A"].steps[0].text == b'x, # "y\0\n', f"{good.groups['A'].steps[0].text}")
    need((good.groups["A"].count, good.groups["A"].at_once, good.clients) == (3, 2, 4), "the clients")
    need(language.parse("# a\nA is 9 clients\nA connect", "small", 2).clients == 2, "fewer clients")
    for text, message in [
        ("# a\nA connect\nA jump", "line 3: there is no step 'jump'"), ("# a\nA wait for b", "no client says 'b'"),
        ("# a\nconnect", "neither a head nor the steps"), ("A connect", "begins with a comment"),
        ("# a\nA connect,", "missing"), ('# a\nA send "x', "there is no step"),
        ("# a\nA pause ms", "there is no step 'pause ms'"),
    ]:
        try:
            language.parse(text, "bad")
        except Trouble as trouble:
            need(message in str(trouble), f"'{trouble}' in place of '{message}'")
        else:
            raise Trouble(f"{text!r} is no scenario, and was read as one")
    used = set(PROMISES) | {broken.read(name).scenario for name in broken.names()}
    need(set(language.names()) == used, "a scenario that nothing checks, or the reverse")


def check_docs(_=None):
    """docs/LOOPS.md lists every scenario, every broken rung and every step, and its example can be played."""
    text = (PROJECT / "docs" / "LOOPS.md").read_text(encoding="utf-8")
    example = re.search(r"(?m)^ {4}# A request comes in two pieces.*\n(?: {4}.*\n)+", text)
    need(example, "docs/LOOPS.md has no example")
    scenario = language.parse(textwrap.dedent(example[0]), "example")
    everyone_is_served(show.play(rungs.Rung("tcp_reactor"), scenario))
    cells = " ".join(re.findall(r"(?m)^\| (`.*?) \|", text))
    for word in [*language.names(), *broken.names(), *language.STEPS]:
        need(re.search(rf"`{re.escape(word)}[ `]", cells), f"docs/LOOPS.md does not explain {word}")


def check_commands(_=None):
    """The command line: pages, texts, recordings that exist, exit codes, and mistakes in one line."""
    record, out = TARGET / "check.rec", TARGET / "check.html"

    def loop(code, *words):
        command = [sys.executable, str(PROJECT / "scripts" / "loop"), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        need(done.returncode == code, f"scripts/loop {' '.join(map(str, words))}: {done.returncode}, {done.stderr[-300:]}")
        return done.stdout if code == 0 else done.stdout + done.stderr

    said = loop(1, "tcp_mio+lost_edge", "--scenario", "lost_edge", "--record", record, "--out", out)
    need("failed: line" in said and "for _ in 0..2" in reading.read(record).source, f"what a broken rung says: {said}")
    for make in (lambda: None, lambda: loop(0, "page", record, "--out", out),
                 lambda: loop(0, "--compare", *COMPARED, "--scenario", "two_at_once", "--out", out)):
        make()
        text = out.read_text(encoding="utf-8")
        need(text.lower().startswith("<!doctype html") and len(text) < 1 << 20, "no page, or a page of more than 1 MiB")
        out.unlink()
    need(re.search(r"(?m)^turn +1 ", loop(0, "tcp_select", "--scenario", "one_line", "--text")), "no line about turn 1")
    need(re.search(r"(?m)^turn +1 ", loop(0, "lines", record)), "no lines of a recording")
    need(json.loads(loop(0, "chrome", record)), "no JSON for Chrome")
    need(json.loads(loop(0, "doctor", "--json", record)) and str(record) in loop(0, "doctor", record), "the doctor")
    for words in (["nothing", "--scenario", "one_line"], ["tcp_mio", "--scenario", "nothing"], ["live", "stheno"],
                  ["web_mio+lost", "--scenario", "one_line"], ["web_select", "--scenario", "idle"], ["page", "/nothing"],
                  ["tcp_mio+nothing", "--scenario", "one_line"], ["page", PROJECT / "Cargo.toml"]):
        said = [line for line in loop(1, *words).splitlines() if not line.startswith(("   Compiling", "    Finished"))]
        need(len(said) == 1 and said[0].startswith("scripts/loop: "), f"{words}: {said}")


def check_patches(_=None):
    """A patch is applied where its lines are found once, and refused otherwise."""
    patch = "--- a\n+++ b\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
    need(broken.patched("x\na\nb\n", patch, "p") == "x\na\nc\n", "the patch")
    for text in ("x\n", "a\nb\na\nb\n"):
        try:
            broken.patched(text, patch, "p")
        except Trouble:
            continue
        raise Trouble(f"a patch was applied to {text!r}")


def check_site(_=None):
    """The demo site shows a recording of its own server, in the player that is here."""
    text = (PROJECT / "examples" / "site" / "loop.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'(?s)<script type="application/json"[^>]*>(.*?)</script>', text)[1])
    title = html.unescape(re.search("<title>(.*)</title>", text)[1])
    need(page.assemble(title, data) == text, "examples/site/loop.html has another player: make it again, as its page says")
    content = zlib.decompress(base64.b64decode(data["recordings"][0]["data"]))
    recording = reading.Recording(content)
    need(recording.program == "stheno" and recording.totals["responses"] >= 12, "what the demo site shows is no such recording")
    need(data["recordings"][0]["command"] == "scripts/loop stheno --scenario site", "the command that the page shows")


def check_in_browser(_=None):
    """The page in a browser; says so where there is none."""
    check_page.main()


def check_reader(_=None):
    """A recording that is cut, or of another version, is refused."""
    head = (b"stheno recording 1\nprogram p\nloop mio\ntells read\nbegan 1.5\nname 1 a hook\ntotal turns 2\nrecords 2\n"
            b"source 3\n\n")
    key = 1 << 32 | 3
    records = reading.RECORD.pack(5, key, 2, 0, 0, 1, 0) + reading.RECORD.pack(6, key, 9, 4, 80, 0x7F000002, 0)
    good = reading.Recording(head + records + b"abc" + b"left over")
    need(good.peers() == {"127.0.0.2:80": key} and good.source == "abc" and len(good.turns()) == 1, "the reader")
    need(good.show(key) == "channel 3.1" and good.names == {1: "a hook"} and good.totals == {"turns": 2}, "the head")
    for bad in (head + records, head + records[:-1], head.replace(b"recording 1", b"recording 2") + records, b"", head[:40]):
        try:
            reading.Recording(bad)
        except Trouble:
            continue
        raise Trouble(f"{bad[:30]!r} … was read as a recording")


def check(options):
    """Prints each failure; returns 1 if there is one."""
    parts = [("language", check_language), ("patches", check_patches), ("reader", check_reader), ("docs", check_docs),
             ("commands", check_commands), ("site", check_site), ("browser", check_in_browser)]
    parts += [(f"{name} on {rung}", lambda name=name, rung=rung: check_play(name, rung)) for name, rung in plays()]
    parts += [(f"break: {name}", part) for name, part in check_breaks.PARTS.items()]
    parts += [(f"live: {name}", part) for name, part in live_check.PARTS.items()]
    parts += [(f"outside: {name}", part) for name, part in check_outside.PARTS.items()]
    parts = [(name, part) for name, part in parts if not options.only or options.only in name]
    if not parts:
        raise Trouble(f"no check has '{options.only}' in its name")
    rungs.build([rungs.Rung(name) for name in [*rungs.KINDS, *rungs.FOR_BREAKS, *broken.names()]], "recording")
    progress, failed, begun = Progress(), 0, time.monotonic()
    for name, part in parts:
        progress.show(name)
        try:
            part()
        except Trouble as trouble:
            failed += 1
            progress.done(f"FAILED {name}: {trouble}")
    progress.show()
    print(f"scripts/loop check: {len(parts)} checks, {failed} failed, in {time.monotonic() - begun:.0f} s")
    return 1 if failed else 0
