"""What a run comes to, in a sentence or two."""

import math

from . import charts, model

# So much longer than asked for, and a machine is not its user's alone: timers are late by 0.1 ms without that.
LATE = 0.05


def time(value):
    return charts.seconds(value) if value < 10 else f"{value:.1f} s"


def count(value, what):
    return f"{value:,.0f} {what}{'' if round(value) == 1 else 's'}"


def verdict(rung):
    """The sentence under a rung's name."""
    rate, median, queue = rung.figure("rate"), rung.figure("p50"), rung.figure("queue")
    if math.isnan(median) or not rate:
        return "Nobody was answered in the measured time."
    service, load = rung.load.service, rung.load
    # Little's law again, for the queue alone: so many wait, so many leave in a second.
    waits = queue / rate if rate and not math.isnan(queue) else 0.0
    if rung.prediction.waiting > load.backlog + 1:
        text = (f"The queue has room for {load.backlog + 1}, and {rung.prediction.waiting:.0f} want to be in it: who "
                f"finds it full tries again after 1 s, 3 s, 7 s. Half are answered within {time(median)}, the slowest "
                f"twentieth waits {time(rung.figure('p95'))} or more.")
    elif queue >= 1 and waits > service / 2:
        text = (f"Every request is served in {time(service)}; clients wait {time(waits)} in the kernel's queue of "
                f"{queue:.0f}.")
    elif median > service * (1 + model.TOLERANCE) and median - service > 0.002:
        text = (f"The database takes {time(service)}, the answer {time(median)}: the rest is not the queue "
                f"({queue:.1f} wait in it), it is chance and work.")
    else:
        text = (f"Nobody waits but for the database: half of the answers take {time(median)} or less, and "
                f"{rate:.3g} requests a second are all that {load.users} users ask for.")
    return " ".join([text, *asides(rung)])


def asides(rung):
    """What else there is to say."""
    if failures := rung.figure("failures"):
        if not math.isnan(failures):
            yield f"{count(failures, 'request')} failed."
    if rung.prediction.is_near_the_knee:
        yield (f"{rung.prediction.servers:g} servers are {rung.prediction.busy:.0%} busy, near the knee: the law is a "
               "bound there, and chance makes a queue of its own.")
    if (slept := rung.figure("sleep")) > rung.load.service * (1 + LATE):
        yield (f"A sleep of {time(rung.load.service)} took {time(slept)} here meanwhile: the machine had other things to "
               "do.")
    load_cpu = rung.figure("load_cpu")
    if load_cpu > 0.8:
        yield f"The generator was busy for {load_cpu:.0%} of the time: it is what was measured."
    if rung.is_partial:
        yield f"Interrupted: only {rung.figure('seconds'):.0f} s were measured."
