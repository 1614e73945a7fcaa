"""What several scripts need: processes, requests, installation, statistics, and the generated parts of docs/."""

import math
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import sys
import time

PROJECT = pathlib.Path(__file__).resolve().parents[2]
RELEASE = PROJECT / "target" / "release"


# The signals that end a program, and everything that it has started.
ENDING = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


class Trouble(Exception):
    """An error that ends a measurement and is printed in one line."""


class Missing(Trouble):
    """Something that is not here, and cannot be installed: a test that needs it says so and does not run."""


def run_command(name, main):
    """Exits with the code that `main` returns; with 1 and one line on standard error when it raises `Trouble`."""
    try:
        sys.exit(main())
    except Trouble as trouble:
        sys.exit(f"{name}: {trouble}")
    except BrokenPipeError:
        # The reader of the output has had enough, as in `| head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def interrupt_once():
    """The next signal of `ENDING` raises KeyboardInterrupt; later ones do not interrupt the end of the children."""
    def interrupt(*_):
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt
    for number in ENDING:
        signal.signal(number, interrupt)


def until(condition, what, seconds=10.0, every=0.002):
    """Waits until `condition()` is true; returns the seconds that this took. Raises `Trouble` after `seconds`."""
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > seconds:
            raise Trouble(f"not within {seconds:.0f} s: {what}")
        time.sleep(every)
    return time.monotonic() - begun


def request(path, *fields, method="GET"):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: bench", *fields, "", ""]).encode()


def fetch(port, payload, timeout=60):
    """Sends `payload` on a new connection; returns everything up to its end."""
    with socket.create_connection(("127.0.0.1", port), timeout) as client:
        client.sendall(payload)
        return b"".join(iter(lambda: client.recv(1 << 16), b""))


def quantile(values, share):
    """The least value that `share` of `values` do not exceed; nan of an empty list."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))] if ordered else math.nan


def cpu_model():
    return (re.findall(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text()) or [platform.machine()])[0]


def write_part(page, mark, text):
    """Replaces the lines between `<!-- mark -->` and the next `<!-- / -->` or `<!-- /mark -->` of docs/`page`."""
    path, begin = PROJECT / "docs" / page, f"<!-- {mark} -->\n"
    before, found, rest = path.read_text(encoding="utf-8").partition(begin)
    if not found or "<!-- /" not in rest:
        raise Trouble(f"docs/{page} has no part {begin.strip()}")
    path.write_text(before + begin + text + rest[rest.index("<!-- /"):], encoding="utf-8")


class Progress:
    """One line on standard error that changes. Without a terminal only finished lines are written."""

    def __init__(self):
        self.is_live, self.name = sys.stderr.isatty(), ""

    def show(self, text=""):
        """Shows `text` after the name; nothing clears the line."""
        if self.is_live:
            width = shutil.get_terminal_size().columns - 1
            line = f"{self.name}: {text}" if self.name and text else text
            print("\r" + line[:width].ljust(width), end="\r", file=sys.stderr, flush=True)

    def done(self, line):
        self.show()
        print(line, file=sys.stderr, flush=True)
