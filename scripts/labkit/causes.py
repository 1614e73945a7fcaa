"""Why a rung differs from the law: the machine's share, the generator's, and what is left for the rung itself.

The law speaks of S, the time that a server is busy with a request. On a machine with other work a sleep of S takes longer: the
metronome's sleeps (sleeps.csv) say by how much, for the rung's sleeps are as late as these. The generator takes time as well:
each request says how late it was sent (requests.csv), and each response costs the generator some computing. So the law is asked
again with these times in it, and the rung is judged by what they do not explain.
"""

import dataclasses
import math
import statistics

from . import model


@dataclasses.dataclass(frozen=True)
class Expected:
    """Requests per second, and seconds for a response."""

    rate: float
    response: float


def machine_late(rung):
    """The mean seconds by which the machine made a sleep of the database's time longer."""
    return max(0.0, rung.figure("sleep") - rung.load.service) if rung.load.service else 0.0


def generator_late(rung):
    """The seconds that the generator adds to a response: its late sending, so far as the machine does not explain it, and
    its own computing. That takes longer the busier its one thread is with other users. All of it is counted, though a part
    falls into the users' think time."""
    busy = rung.figure("load_cpu")
    computing = busy / rung.figure("rate") / max(1 - busy, 0.05) if rung.figure("rate") else math.nan
    return max(0.0, zero(rung.figure("late")) - machine_late(rung)) + zero(computing)


def works(rung):
    """The seconds of processor time that the rung takes for a response."""
    answers = sum(run["answers"] for run in rung.runs)
    return sum(run["cpu_seconds"] or 0.0 for run in rung.runs) / answers if answers else 0.0


def zero(value):
    return 0.0 if math.isnan(value) else value


class Causes:
    """The law for a rung, in steps, each with one more cause in it: `law`, `machine`, `generator`, `work`."""

    def __init__(self, rung):
        self.rung, late, beside = rung, machine_late(rung), generator_late(rung)
        # Of a rung in which no request waits the median response is known: so the median of the sleeps belongs to it.
        middle = zero(rung.figure("sleep_p50") - rung.load.service)
        alone = max(0.0, statistics.median(run["alone"] for run in rung.runs) - rung.load.service)
        self.law = self.with_times(0.0, 0.0, 0.0)
        self.machine = self.with_times(late, middle, 0.0)
        self.generator = self.with_times(late, middle, beside)
        self.only_generator = self.with_times(0.0, 0.0, beside)
        wait = rung.prediction.chance(rung.load.service)
        self.chance = Expected(rung.load.users / (rung.load.think + self.generator.response + wait), self.generator.response + wait)
        self.work = self.with_times(late + works(rung), middle + alone, beside)

    def with_times(self, busy, middle, beside):
        """The law for a server that is busy for `busy` seconds longer with each request, in the middle for `middle`."""
        load = self.rung.load
        law = model.predict(self.rung.prediction.servers, dataclasses.replace(load, service=load.service + busy), beside)
        return Expected(law.rate, law.response if law.busy > 0.999 else load.service + middle + beside)

    @property
    def shares(self):
        """The seconds of the median response that are the machine's, the generator's, and the rest."""
        return (self.machine.response - self.law.response, self.generator.response - self.machine.response,
                self.rung.figure("p50") - self.generator.response)

    def explains(self, step, band):
        """Whether rate and response are no further than `band` from the law, from `step`, or between both."""
        pairs = (("rate", self.law.rate, step.rate), ("p50", self.law.response, step.response))
        return all(min(law, other) * (1 - band) <= self.rung.figure(name) <= max(law, other) * (1 + band)
                   for name, law, other in pairs)

    @property
    def verdict(self):
        """A key of `words.VERDICTS`."""
        rung, band = self.rung, model.TOLERANCE
        if self.explains(self.law, band):
            return "law"
        if self.explains(self.machine, band):
            return "machine"
        if self.explains(self.generator, band):
            return "generator" if self.explains(self.only_generator, band) else "both"
        if rung.prediction.waiting > rung.load.backlog + 1:
            return "full"
        return "chance" if rung.prediction.chance(rung.load.service) and self.explains(self.chance, band) else "rung"
