"""Bad links: delay, loss and reordering on the way to clients and to a server; and clients that read slowly."""

import contextlib
import os
import socket
import threading
from time import monotonic as now

from chaoskit.clients import failed
from chaoskit.trials import ms
from lib import Missing, Trouble, request

from .cable import TUN
from .load import TimedClient, summary

READERS = 200


def prepare():
    """Raises `Missing` where cables cannot be made."""
    if not os.access(TUN, os.R_OK | os.W_OK):
        raise Missing(f"{TUN} may not be opened: a cable that loses frames needs it")


class FarClient(TimedClient):
    """A client behind a link on which a large file takes its time."""

    patience = 120.0


class SlowReaders:
    """Clients that have asked for the largest file and read 4 KiB of it twice a second, until `end`."""

    def __init__(self, host, address, number):
        # A thread of its own may enter the network of a host: sockets belong to the network in which they are made.
        self.host, self.address, self.number, self.sockets, self.is_over = host, address, number, [], threading.Event()
        self.cut = 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.ready = threading.Event()
        self.thread.start()
        if not self.ready.wait(20):
            raise Trouble("the slow readers do not begin")

    def run(self):
        self.host.become()
        for _ in range(self.number):
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.settimeout(20)
            one.connect(self.address)
            one.sendall(request("/2m"))
            self.sockets.append(one)
        self.ready.set()
        while not self.is_over.wait(0.5):
            self.cut += sum(map(is_cut, self.sockets))

    def end(self):
        self.is_over.set()
        self.thread.join()
        for one in self.sockets:
            one.close()


def is_cut(reader):
    """Reads; returns whether the response has ended early, or nothing comes."""
    try:
        return not reader.recv(4096)
    except OSError:
        return True


def links(trials):
    """Loss, delay and reordering; slow readers."""
    with trials.fleet(cables=("load2", "web3")) as fleet:
        near, moments = fleet.load(rate=300, clients=100), {}

        @contextlib.contextmanager
        def during(name, seconds):
            """Runs the block, and then waits until `seconds` are over, with the load."""
            begun = now()
            yield
            while now() - begun < seconds:
                near.wait_for_more(30)
                trials.progress.show(f"{name}: {near.shared.answered} answers")
            moments[name] = begun, now()
        with during("before", trials.some(20, 3)):
            pass
        with during("slow readers", trials.some(20, 3)):
            readers = SlowReaders(fleet.net.load2, fleet.address, READERS)
        readers.end()
        if readers.cut:
            raise Trouble(f"{readers.cut} responses to slow readers were cut short")
        with during("far clients", trials.some(60, 4)):
            fleet.net.load2.cable.set(delay_ms=25, loss=0.02, reorder=0.05)
            far = fleet.load(fleet.net.load2, rate=50, clients=50, client=FarClient)
        with during("far server", trials.some(60, 4)):
            fleet.net.web3.cable.set(delay_ms=25, loss=0.02, reorder=0.05)
        seen_far, seen = far.stop(), near.stop()
    rows(trials, seen, seen_far, moments)


def rows(trials, seen, seen_far, moments):
    def share(name, part):
        return seen.percentile(part, *moments[name])
    for name, what in [("slow readers", f"{READERS} clients that read 8 KiB/s"), ("far clients", "50 clients behind a bad link")]:
        failures = [one for one in seen.failures if moments[name][0] <= one["at"] < moments[name][1]]
        trials.row("links", f"{what}, beside 300 requests/s of others",
                   f"{failed(failures)}; p50 of the others {ms(share('before', 0.5))} before, {ms(share(name, 0.5))} then; p95 "
                   f"{ms(share('before', 0.95))}, {ms(share(name, 0.95))}", "0 failed; p50 ≤ 1.5 ×",
                   not failures and trials.in_time(share(name, 0.5), 1.5 * share("before", 0.5)))
    trials.row("links", "the clients behind the bad link: 50 ms there and back, 2 % loss, 5 % reordered", summary(seen_far),
               "0 failed", not seen_far.failures and len(seen_far.took) > 100, seen_far)
    trials.row("links", "all others, also while one of three servers was behind such a link", summary(seen), "0 failed",
               not seen.failures, seen)
