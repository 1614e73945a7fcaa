"""The law that the lab is about.

With m servers, service time S, N users and think time Z:

    X = min(m/S, N/(Z+S))      requests a second: what the servers can do, or what the users ask for
    R = max(S, N/X - Z)        seconds for a response: Little's law over the whole circle of users

It is a bound, and a good one where chance matters little: far below the knee (m/S = N/(Z+S)), where no request waits,
and far above it, where every request does.
"""

import math
from dataclasses import dataclass

# A larger difference from the prediction is marked.
TOLERANCE = 0.10


@dataclass(frozen=True)
class Load:
    """The load of a run; times in seconds."""

    users: int
    think_least: float
    think_most: float
    service: float
    backlog: int

    @property
    def think(self):
        return (self.think_least + self.think_most) / 2


def load_of(options):
    """The load of a command line. The rungs take the time of the database in whole milliseconds."""
    service = max(1, round(options.db / options.scale)) if options.db else 0
    least, most = options.wait
    return Load(options.users, least / options.scale, most / options.scale, service / 1000, options.backlog)


@dataclass(frozen=True)
class Prediction:
    """For one rung: seconds, and requests a second; `busy` is the share of the servers in use, 0 for a rung without a limit,
    `waiting` the number of clients that wait to be accepted, and `demand` what users ask for as a share of what servers can do."""

    servers: float
    rate: float
    response: float
    busy: float
    waiting: float
    demand: float

    def chance(self, service):
        """The mean seconds that a request waits because others arrive at the same time, if arrivals are random and services
        take equally long (Allen and Cunneen). It is a bound here: users of a closed circle wait less."""
        if not 0 < self.demand < 1.25:
            return 0.0
        busy = min(self.demand, 0.999)
        return busy ** (math.sqrt(2 * (self.servers + 1)) - 1) / (self.servers * (1 - busy)) * service / 2


def predict(servers, load, beside=0.0):
    """What the law predicts; `servers` may be math.inf, and a response takes `beside` seconds outside of the servers."""
    asked = load.users / (load.think + load.service + beside)
    # Without a service time the servers are no limit that this law knows.
    able = servers / load.service if load.service else math.inf
    rate = min(able, asked)
    response = max(load.service + beside, load.users / rate - load.think)
    waiting = rate * (response - load.service - beside)
    return Prediction(servers, rate, response, min(asked / able, 1.0), waiting, asked / able)


def difference(measured, predicted):
    """As a share of the prediction."""
    return (measured - predicted) / predicted if predicted else math.inf
