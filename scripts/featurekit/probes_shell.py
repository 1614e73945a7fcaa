"""Probes: what is seen at a shell."""

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess

from lib import Trouble, until

from . import folder
from .stage import as_typed, fetch_inside, listening
from .verdict import check, feature, no, partly, told, yes

GROUP = "At a shell"
LAN = "198.51.100.7"


def typed(stage, form, place):
    return [word % {"program": stage.server.program} for word in shlex.split(form.replace("DIR", shlex.quote(str(place))))]


@feature(GROUP, "serves a folder that is named as the only word")
def one_word(stage):
    """`NAME DIR` is typed; a file of the folder is fetched from the address on which the process listens."""
    with as_typed(typed(stage, stage.server.typed, folder.ROOT / "sub"), 6) as (child, _):
        places = listening(child.pid)
        return check(any(b"hello" in fetch_inside(child.pid, place, "/hello.txt") for place in places))


@feature(GROUP, "address without options")
def address(stage):
    """The folder is served without an option for the address; the listening sockets are read from proc(5). `*` is every
    address of the machine."""
    with as_typed(typed(stage, stage.server.own_form or stage.server.typed, folder.ROOT), 6) as (child, _):
        places = {place.replace("[::1]", "127.0.0.1") for place in listening(child.pid)}
        return told(", ".join(f"`{place}`" for place in sorted(places))) if places else no("does not listen")


@feature(GROUP, "prints the address in the LAN")
def lan(stage):
    """It listens on all addresses of a machine that has 198.51.100.7; the output names that address."""
    with as_typed(stage.command([], "lan", 18080, "0.0.0.0"), 6) as (_, shown):
        with contextlib.suppress(Trouble):
            until(lambda: LAN in shown(), "it prints the address", 1.5)
        return check(LAN in shown())


@feature(GROUP, "QR code", "qr", needs=True)
def qr(stage):
    """On a terminal, listening on all addresses, the output has a block of half-block characters."""
    words = stage.command(stage.options(["qr"]), "qr", 18080, "0.0.0.0")
    with as_typed(words, 6) as (_, shown):
        with contextlib.suppress(Trouble):
            until(lambda: len(re.findall("[▀▄█]", shown())) > 100, "a code", 2)
        return check(len(re.findall("[▀▄█]", shown())) > 100)


@feature(GROUP, "opens the browser", "open", needs=True)
def opens(stage):
    """The browser is a script that writes down its URL; the URL answers."""
    browser, seen = stage.place / "bin" / "xdg-open", stage.place / "bin" / "seen"
    browser.parent.mkdir(exist_ok=True)
    seen.unlink(missing_ok=True)
    browser.write_text(f"#!/bin/sh\necho \"$@\" >> {seen}\n")
    browser.chmod(0o755)
    path = f"{browser.parent}:/usr/bin:/bin:/usr/local/bin"
    with stage.fresh("open", BROWSER=str(browser), DISPLAY=":99", PATH=path) as running:
        with contextlib.suppress(Trouble):
            until(seen.exists, "the browser is started", 4)
        return check(seen.exists() and str(running.port) in seen.read_text())


@feature(GROUP, "a taken port: names another one")
def taken(stage):
    """The port is taken by another socket. It either takes another port and says so, or its error names a free one."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with output_of(stage.command([], "taken", port), stage.place / "taken") as shown:
            with contextlib.suppress(Trouble):
                until(lambda: others(shown(), port), "it names a port", 3, 0.05)
            return check(others(shown(), port))


def others(text, port):
    """Ports near this one, or those of URLs, that the text names beside it."""
    found = {int(number) for number in re.findall(r"(?::|port |--port[ =]|-p )(\d{4,5})\b", text)}
    return {number for number in found - {port} if number > 1023}


@contextlib.contextmanager
def output_of(words, log):
    """Runs a command in our own network; yields a function that returns its output."""
    with open(log, "wb") as out:
        process = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                   start_new_session=True)
        try:
            yield lambda: log.read_text(errors="replace")
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            process.wait(10)


@feature(GROUP, "a misspelt option: suggests the right one")
def misspelt(stage):
    """An option is typed with two letters exchanged or one left out; the output names the right one."""
    if not stage.server.typo:
        return no("has no long options")
    wrong, right = stage.server.typo
    words = [*typed(stage, stage.server.typed, folder.ROOT / "sub"), wrong]
    with as_typed(words, 3) as (_, shown):
        text = shown()
    return check(re.search(re.escape(right) + r"\b", text.replace(wrong, "")) and len(text) < 1500)


@feature(GROUP, "a summary at the end")
def summary(stage):
    """On a terminal three requests, then Ctrl+C; what is printed from then on says `3 requests`, or the like."""
    with as_typed(typed(stage, stage.server.typed, folder.ROOT / "sub"), 6) as (child, shown):
        for place in listening(child.pid)[:1] * 3:
            fetch_inside(child.pid, place, "/hello.txt")
        before = len(shown())
        os.kill(child.pid, signal.SIGINT)
        with contextlib.suppress(Trouble):
            until(child.is_over, "it ends", 5)
        return check(re.search(r"\b3 (request|response)|(request|response)\w*\W{1,3}3\b", shown()[before:]))


@feature(GROUP, "explains what it would do with a request", "explain", needs=True)
def explain(stage):
    """With `/out.txt`, a link that leads out of the root, it prints the path and a word of links, and serves nothing."""
    command = [*map(str, stage.command([], "explain", 0)), *shlex.split(stage.options(["explain"])[0].words), "/out.txt"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL)
    text = run.stdout + run.stderr
    if "unknown option" in text or not re.search(r"link", text):
        return no()
    return yes() if "out.txt" in text else partly("without the path")
