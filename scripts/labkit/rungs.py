"""The contestants of the lab: the rungs of the ladder, and the lab's own programs in Python."""

import math
import os
import re
import sys

from lib import PROJECT, Trouble
from lib.server import Server

from . import model, words

CORES = os.cpu_count() or 1
# Name without a number → requests served at the same time, the option that takes a number, and what it is.
KINDS = {
    "web_singlethread": (1, None, "one thread, one client at a time"),
    "web_multithread": (math.inf, None, "a thread for every client"),
    "web_threadpool": (10, "--threads", "a pool of threads"),
    "web_multiprocess": (CORES, "--processes", "a process for every core, or as many as are asked for"),
    "web_select": (math.inf, None, "one thread, select(2)"),
    "web_reactor": (math.inf, None, "one thread, our reactor"),
    "web_waker": (1, None, "a future and a waker by hand, one client at a time"),
    "web_executor": (math.inf, None, "futures on an executor, a thread for each wait"),
    "web_futures": (math.inf, None, "futures on our reactor"),
    "web_tokio": (math.inf, None, "futures on Tokio"),
    "python/web_singlethread": (1, None, "the lab's own, in Python"),
    "python/web_multithread": (math.inf, None, "the lab's own, in Python"),
    "python/web_threadpool": (10, "--threads", "the lab's pool with the lab's page"),
    "python/web_multiprocess": (CORES, "--processes", "the lab's processes with the lab's page"),
    "python/web_select": (math.inf, None, "the lab's select with the lab's page"),
    "python/web_asyncio": (math.inf, None, "the lab's own, in Python"),
}
# Without a name the lab does not run web_waker and web_executor: their models are those of web_singlethread and web_multithread.
VARIANTS = {"web_threadpool": [":2", ":3", ""], "web_multiprocess": ["", ":8"], "web_waker": [], "web_executor": []}
DEFAULT = [kind + number for kind in KINDS for number in VARIANTS.get(kind, [""])]


def examples(profile):
    return PROJECT / "target" / profile / "examples"


class Contestant:
    """The server of a name, `KIND` or `KIND:NUMBER`; `servers` is how many requests it serves at once."""

    def __init__(self, name):
        kind, colon, number = name.partition(":")
        if kind not in KINDS:
            raise Trouble(f"there is no rung '{name}'; scripts/lab list prints them")
        self.servers, option, self.what = KINDS[kind]
        if colon and not option:
            raise Trouble(f"'{kind}' takes no number; {', '.join(key for key in KINDS if KINDS[key][1])} do")
        if colon and (not number.isdigit() or not 0 < int(number) <= 1000):
            raise Trouble(f"'{name}': a number from 1 to 1000 has to follow the colon")
        self.servers = int(number) if colon else self.servers
        self.name, self.kind, self.slug = name, kind, re.sub(r"\W+", "-", name)
        self.options = [option, str(self.servers)] if option else []
        # The example that has to be built.
        self.program = None if kind.startswith("python/") else kind

    def start(self, load, profile, log):
        """Starts the server, which takes --host, --port, --db and --backlog."""
        python = [sys.executable, "-u", str(PROJECT / "examples" / f"{self.kind}.py")]
        command = [str(examples(profile) / self.program)] if self.program else python
        return Server([*command, *self.options, "--db", str(round(load.service * 1000)), "--backlog", str(load.backlog)], log)


def list(_):
    print("RUNG                       SERVES AT ONCE   WHAT IT IS")
    for name, (servers, option, what) in KINDS.items():
        at_once = "everyone" if math.isinf(servers) else f"{servers}"
        print(f"{name:26} {at_once:16} {what}{f'; {name}:N for N' if option else ''}")
    print(f"\nWithout a name scripts/lab run takes: {', '.join(DEFAULT)}")


def predict(options):
    load = model.load_of(options)
    print(f"{load.users} users who think {load.think_least:g} to {load.think_most:g} s; a database of "
          f"{load.service * 1000:g} ms; a queue of {load.backlog}\n")
    print(f"{'RUNG':28} {'m':>8} {'X, req/s':>10} {'R, s':>9} {'busy':>6} {'in the queue':>13}")
    for name in options.rungs or DEFAULT:
        law = model.predict(Contestant(name).servers, load)
        note = "" if law.waiting <= load.backlog + 1 else "   more than may wait: some try again, later and later"
        print(f"{name:28} {words.servers(law):>8} {law.rate:10.2f} {law.response:9.3f} {law.busy:6.0%} {law.waiting:13.1f}{note}")
    print("\nX = min(m/S, N/(Z+S)), R = max(S, N/X - Z)")
