"""The law that the lab is about.

With m servers, service time S, N users and think time Z:

    X = min(m/S, N/(Z+S))      requests a second: what the servers can do, or what the users ask for
    R = max(S, N/X - Z)        seconds for an answer: Little's law over the whole circle of users

It is a bound, and a good one where chance matters little: far below the knee (m/S = N/(Z+S)), where nobody waits, and
far above it, where everybody always does.
"""

import math
from dataclasses import dataclass

# More than that beside the prediction is shown as such.
TOLERANCE = 0.10


@dataclass(frozen=True)
class Load:
    """What a run is made of; times in seconds."""

    users: int
    think_least: float
    think_most: float
    service: float
    backlog: int

    @property
    def think(self):
        return (self.think_least + self.think_most) / 2


@dataclass(frozen=True)
class Prediction:
    """Of one rung; seconds, and requests a second."""

    servers: float
    rate: float
    response: float
    # How much of the servers is in use, 0 to 1; 0 where there is always one more.
    busy: float
    # Clients that wait to be accepted.
    waiting: float

    @property
    def is_saturated(self):
        return self.busy > 0.999

    @property
    def is_near_the_knee(self):
        return 0.85 < self.busy <= 0.999


def predict(servers, load):
    """What the law says; `servers` may be math.inf."""
    asked = load.users / (load.think + load.service)
    # No wait to speak of: then the servers are no limit that this law knows.
    able = servers / load.service if load.service else math.inf
    rate = min(able, asked)
    response = max(load.service, load.users / rate - load.think)
    return Prediction(servers, rate, response, asked / able if asked < able else 1.0,
                      rate * (response - load.service))


def difference(measured, predicted):
    """How far off, as a share of the prediction."""
    return (measured - predicted) / predicted if predicted else math.inf
