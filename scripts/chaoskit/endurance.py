"""Everything by chance for some minutes, and a steady load for many."""

import contextlib
import os
import pathlib
import random
import signal
import statistics
import time
from collections import Counter
from time import monotonic as now

from lib import proc, until
from lib.proc import descriptors, is_alive, state

from .clients import failed
from .stage import FAILED, REFUSED, clients_of, reap
from .trials import ms


class Mixture:
    """Actions on a server that continues to serve, in an order that a seed decides."""

    def __init__(self, trials, stage, seed):
        self.trials, self.stage = trials, stage
        self.random, self.done = random.Random(seed), Counter()
        # Action → how often it is chosen, and what it does. A worker is paused for less than the worker time-out, the
        # master for less or for more.
        self.actions = {
            "kill": (6, lambda: stage.kill(self.a_worker())),
            "kill all": (1, lambda: list(map(stage.kill, stage.workers()))),
            "reload": (5, lambda: stage.signal(signal.SIGHUP)),
            "pause": (3, lambda: self.pause(self.a_worker(), 0.05, 0.8)),
            "pause master": (2, lambda: self.pause(stage.master(), 0.1, 3.0)),
            "hang": (1, self.hang),
            "rotate": (4, self.rotate),
            "upgrade": (3, self.upgrade),
            "resize": (1, lambda: list(map(stage.signal, self.random.sample([signal.SIGTTIN, signal.SIGTTOU], 2)))),
        }

    def run(self, seconds):
        begun = now()
        while (at := now() - begun) < seconds:
            self.trials.progress.show(f"{at:.0f} of {seconds:.0f} s, {sum(self.done.values())} events, "
                                      f"{self.stage.clients.shared.failed} failures")
            name = self.random.choices(list(self.actions), [weight for weight, _ in self.actions.values()])[0]
            with contextlib.suppress(ProcessLookupError, FileNotFoundError, IndexError):
                self.actions[name][1]()
                self.done[name] += 1
            reap()
            time.sleep(self.random.uniform(0.05, 1.0))

    def a_worker(self):
        """A worker of any generation and of any master."""
        return self.random.choice([pid for pid in self.stage.processes()
                                   if pathlib.Path(f"/proc/{pid}/comm").read_text().startswith("stheno: ")])

    def pause(self, pid, least, most):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(self.random.uniform(least, most))
        os.kill(pid, signal.SIGCONT)

    def hang(self):
        pid = self.random.choice(self.stage.workers())
        self.stage.halt(pid, 40)
        until(lambda: not is_alive(pid), "a worker that hangs is ended", 30)

    def rotate(self):
        for path in (self.stage.log, self.stage.access_log):
            if path.exists():
                path.rename(f"{path}.{self.done['rotate']}")
        self.stage.signal(signal.SIGUSR1)

    def upgrade(self):
        """Upgrades, with a death meanwhile now and then. The server refuses while a reload is under way."""
        stage, old = self.stage, self.stage.master()
        refused, lost = stage.said(REFUSED), stage.said(FAILED)
        stage.install(self.trials.program)
        os.kill(old, signal.SIGUSR2)
        if self.random.random() < 0.3:
            time.sleep(self.random.uniform(0, 0.05))
            stage.kill(self.a_worker())
        until(lambda: stage.said(REFUSED) > refused or stage.said(FAILED) > lost or stage.master() not in (None, old),
              "another program takes over, or the log says that it does not", 70)
        if stage.master() == old:
            self.done["upgrade that had to wait"] += 1
            self.done["upgrade"] -= 1


def mixture(trials, minutes, seed):
    """Kills, pauses, reloads, upgrades and rotations by chance."""
    with trials.serve(4, "--worker-timeout", 2, "--grace", 10, access_log="file", load={"churn": 0.02}) as stage:
        mix = Mixture(trials, stage, seed)
        mix.run(minutes * 60)
        until(lambda: (stage.signal(signal.SIGHUP), time.sleep(0.5), reap(), stage.is_whole())[-1],
              "one master and four workers", 60)
        seen = stage.finish(500)
        reap()
        zombies = sum(state(pid) == "Z" for pid in proc.family(stage.master()))
        done = ", ".join(f"{number} {name}" for name, number in mix.done.most_common() if number)
        trials.row("D", f"{minutes:g} minutes of everything by chance, seed {seed}: {done}",
                   f"{seen.rate}, p99 {ms(seen.percentile(0.99))}: {stage.victims(seen)}; at the end 1 master, 4 workers, "
                   f"{zombies} zombies", "≥ 99.99 % of the others, whole at the end",
                   len(seen.others) <= len(seen.took) / 10_000 and not zombies, seen, innocent=seen.others, deeds=mix.done)


def soak(trials, minutes):
    """A steady load: memory and descriptors, every ten seconds."""
    every, samples = 10, []

    def slope(name):
        """The least-squares line through the samples, per minute."""
        times, values = [one["at"] / 60 for one in samples], [one[name] for one in samples]
        return statistics.linear_regression(times, values).slope if len(samples) > 1 else 0.0
    with trials.serve(2, access_log="file", load={"clients": 200, "churn": 0.02}) as stage:
        begun, pids = now(), [stage.master(), *stage.workers()]
        # After half a minute there is everything that all files and the first connections need.
        time.sleep(min(30, minutes * 20))
        while (left := begun + minutes * 60 - now()) > 0:
            held = sum(map(descriptors, pids)) - sum(len(clients_of(pid)) for pid in pids[1:])
            samples.append({"at": now(), "KiB": proc.total(pids, proc.ANONYMOUS), "descriptors": held})
            trials.progress.show(f"{now() - begun:.0f} of {minutes * 60:.0f} s: {samples[-1]['KiB']} KiB, "
                                 f"{stage.clients.shared.failed} failures")
            time.sleep(min(every, left))
        same = pids == [stage.master(), *stage.workers()]
        seen = stage.finish()
        until(lambda: not any(clients_of(pid) for pid in pids[1:]), "the clients are gone")
    for before, one in zip([{"at": begun}, *samples], samples):
        one["p99"] = seen.percentile(0.99, before["at"], one["at"])
    rise, drift = slope("KiB"), slope("descriptors")
    first, last = samples[0]["KiB"], samples[-1]["KiB"]
    # Memory grows in pages: over a few minutes one or two of them are a slope of their own.
    grown = max(one["KiB"] for one in samples) - first
    trials.row("F12", f"{minutes:g} minutes, 200 clients, one of 50 requests the last of its connection",
               f"{seen.rate}, {seen.bytes / 1e9:.1f} GB: {failed(seen.failures)}; {first} KiB, then {last}: "
               f"{rise:+.2f} KiB/min; p50 {ms(seen.percentile(0.5))}, p99 {ms(seen.percentile(0.99))}",
               "0 failed; ≤ 1 KiB/min, or 4 pages in all",
               not seen.failures and same and (rise <= 1 or grown <= 16), seen, samples=samples)
    held = [one["descriptors"] for one in samples]
    # Each worker may have a file or two open at the moment of a sample.
    trials.row("F12", "descriptors beside those of clients",
               f"{min(held)} to {max(held)} in {len(samples)} samples; slope {drift:+.2f} a minute", "slope 0 (± 1)",
               abs(drift) <= 1)
