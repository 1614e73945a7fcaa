"""A timed load from one host of the fleet: clients that keep their connections, and compare every byte of every response.

The clock decides when a request is due, and not the responses before it. Latency counts from that moment, so a fleet that stalls
delays each request that was due meanwhile.
"""

import random
import time
from time import monotonic as now

from chaoskit.clients import Client, Failure, Load, failed
from lib import quantile


class TimedClient(Client):
    """A client of chaoskit whose requests are due every `pause` seconds, whatever happens."""

    def run(self):
        load, shared = self.load, self.load.shared
        while True:
            time.sleep(max(0, self.due - now()))
            if shared.over:
                return
            try:
                load.bytes += self.ask()
                with load.lock:
                    load.ended.append(now())
                    load.took.append(now() - self.due)
                    shared.answered += 1
            except Failure as failure:
                kind, detail = failure.args
                self.close()
                with load.lock:
                    load.failures.append({"at": now(), "port": self.port, "kind": kind, "how": f"{kind}: {detail}"})
                    shared.failed += 1
            self.due += self.pause * random.uniform(1 - self.load.spread, 1 + self.load.spread)


class FleetLoad(Load):
    """Clients on `host`, from now until `stop`."""

    def __init__(self, host, address, contents, clients=50, rate=500, spread=0.2, client=TimedClient):
        self.host, self.spread, self.client = host, spread, client
        super().__init__(address, contents, clients, rate)

    def work(self, pipe, number, pause, churn):
        self.host.become()
        super().work(pipe, number, pause, churn)

    def wait_for_more(self, answers):
        """Waits for this number of answers; raises `Trouble` when none come."""
        wanted = self.shared.answered + answers
        while (left := wanted - self.shared.answered) > 0:
            super().wait_for_more(min(left, 100))


def summary(seen):
    """Answers, failures and latencies in one line."""
    return (f"{seen.rate}: {failed(seen.failures)}; p50 {quantile(seen.took, 0.5) * 1000:.1f} ms, "
            f"p99 {quantile(seen.took, 0.99) * 1000:.1f} ms, longest {max(seen.took, default=0) * 1000:.0f} ms")

