"""What a trial gets: a fleet under load, amounts, the table of rows, and a record of what happens when."""

import contextlib
import threading
from time import monotonic as now

from chaoskit import trials as chaos
from chaoskit.clients import ROOT
from lib import write_part

from . import OUT
from .hosts import Network
from .load import FleetLoad
from .servers import Balancer, Web

INTRODUCTION = """Written by `scripts/fleet --docs`: the release build, three hosts with two workers each, HAProxy or nginx before them, and the
clients, on one machine with two cores.

"""


class Record(threading.Thread):
    """What the balancer counts, four times a second, and the steps of the script, until `stop`."""

    def __init__(self, balancer):
        super().__init__(daemon=True)
        self.balancer, self.begun, self.is_over = balancer, now(), threading.Event()
        self.samples, self.steps = [], []
        self.start()

    def run(self):
        last, sums = {}, {}
        while not self.is_over.wait(0.25):
            # A balancer that is replaced does not answer for a moment, and begins to count at zero.
            with contextlib.suppress(OSError):
                rows = self.balancer.servers()
                rows.pop("BACKEND", None)
                for name, row in rows.items():
                    count = int(row["hrsp_2xx"] or 0)
                    sums[name] = sums.get(name, 0) + (count - last.get(name, 0) if count >= last.get(name, 0) else count)
                    last[name] = count
                self.samples.append((now() - self.begun, {
                    name: (sums[name], row["status"].split()[0]) for name, row in rows.items()}))

    @contextlib.contextmanager
    def step(self, name):
        """A step: its time, and what is said of it at the end by the list that the block gets."""
        begun, said = now() - self.begun, []
        try:
            yield said
        finally:
            self.steps.append({"name": name, "from": begun, "to": now() - self.begun, "said": "; ".join(said)})

    def stop(self):
        self.is_over.set()
        self.join()


class Fleet(contextlib.ExitStack):
    """Hosts with servers on them, behind HAProxy or nginx."""

    def __init__(self, trials, content=ROOT, webs=3, options=(), cables=(), front=Balancer):
        super().__init__()
        self.trials, self.content, self.options, self.front = trials, content, options, front
        self.net = Network(OUT / "hosts", webs, cables)

    def __enter__(self):
        super().__enter__()
        self.enter_context(self.net)
        self.webs = [Web(host, self.trials.program, self.content, self.options, self.front.server_changes).start()
                     for host in self.net.webs]
        self.balancer = self.front(self.net.lb)
        self.balancer.wait_all(self.webs)
        self.address = self.net.lb.address, 80
        return self

    def load(self, host=None, kind=FleetLoad, **options):
        one = kind(host or self.net.load1, self.address, self.trials.contents, **options)
        self.callback(one.end)
        return one


class Trials(chaos.Trials):
    """The trials of a run, and their rows."""

    out = OUT

    def __init__(self, program, quick):
        super().__init__(program, quick)
        self.record, self.seen = None, None

    def fleet(self, **options):
        return Fleet(self, **options)


def into_docs(rows):
    write_part("FLEET.md", "scripts/fleet", INTRODUCTION + chaos.table(rows))
