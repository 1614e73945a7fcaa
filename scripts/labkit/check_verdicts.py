"""Made-up runs, each with one cause of its own: the verdict has to name it, for scripts/lab check."""

import math

from . import causes, model

LOAD = model.Load(users=100, think_least=0.5, think_most=1.5, service=0.030, backlog=128)
# What a run of two servers measures, and of a rung without a limit: all of it on the law.
TWO = {"rate": 66.7, "p50": 0.5, "sleep": 0.030, "sleep_p50": 0.030, "late": 0.0, "load_cpu": 0.0}
ANY = TWO | {"rate": 97.1, "p50": 0.030}
# The verdict, the number of servers, and the figures. Sleeps of 33 ms: 100 · 0.033/2 − 1 = 0.65 s.
RUNS = [
    ("law", 2, TWO), ("law", math.inf, ANY), ("law", 2, TWO | {"p50": 0.54, "rate": 65.0}),
    ("machine", 2, TWO | {"p50": 0.65, "rate": 60.6, "sleep": 0.033, "sleep_p50": 0.033}),
    ("rung", 2, TWO | {"p50": 0.65, "rate": 60.6}),
    ("rung", 2, TWO | {"p50": 0.9, "rate": 52.6, "sleep": 0.033, "sleep_p50": 0.033}),
    ("generator", math.inf, ANY | {"p50": 0.040, "rate": 96.2, "late": 0.004, "load_cpu": 0.58}),
    ("both", math.inf, ANY | {"p50": 0.046, "rate": 95.6, "sleep": 0.0335, "sleep_p50": 0.0335, "late": 0.0035, "load_cpu": 0.5}),
    ("rung", math.inf, ANY | {"p50": 0.060, "rate": 94.3, "late": 0.004, "load_cpu": 0.58}),
    # A late sending that the machine explains is counted once.
    ("rung", math.inf, ANY | {"p50": 0.043, "rate": 95.9, "sleep": 0.034, "sleep_p50": 0.034, "late": 0.004}),
    ("chance", 3, ANY | {"p50": 0.063, "rate": 93.9}),
    ("rung", math.inf, ANY | {"rate": math.nan, "p50": math.nan}),
]


class MadeUp:
    """As much of `records.Rung` as `Causes` looks at."""

    runs = [{"answers": 1000, "cpu_seconds": 0.1, "alone": 0.0301}]

    def __init__(self, servers, figures):
        self.load, self.figures, self.prediction = LOAD, figures, model.predict(servers, LOAD)

    def figure(self, name):
        return self.figures.get(name, math.nan)


def wrong_verdicts():
    for wanted, servers, figures in RUNS:
        found = causes.Causes(MadeUp(servers, figures)).verdict
        if found != wanted:
            yield f"the verdict is '{found}' in place of '{wanted}': {servers} servers, {figures}"
