"""What shows that a program is broken: a few sentences that a run of a scenario makes true. docs/LOOPS.md lists them."""

import re

from lib import Trouble

from . import show

MIB = 1 << 20


def finding(run, kind):
    """The doctor's finding of this kind, in any of the recordings."""
    for _, _, file in run.pages():
        for one in show.findings(file):
            if one["kind"] == kind:
                return f"the doctor finds, in turn {one['turn']}: {one['text']}"
    return None


def client_fails(run, name):
    failure = client_of(run, name).failure
    return failure and f"client {name} failed: {failure}"


def client_waits(run, name, milliseconds):
    return first(wait_of(client, int(milliseconds)) for client in [client_of(run, name)])


def any_client_waits(run, milliseconds):
    return first(wait_of(client, int(milliseconds)) for client in run.clients)


def any_client_connects_late(run, milliseconds):
    """The kernel drops the first packet of a connection when the queue is full; the client tries again after a second."""
    for client in run.clients:
        if (late := client.longest_connect / 1e6) >= int(milliseconds):
            return f"client {client.name} was connected after {late:.0f} ms"
    return None


def bytes_are_held(run, mebibytes):
    """The most bytes that had been read and not yet been written, in any of the recordings."""
    most = 0
    for recording in run.recordings:
        held = 0
        for record in recording.records:
            held += record.b if record.kind == "Read" else -record.b if record.kind == "Write" else 0
            most = max(most, held)
    return f"{most / MIB:.1f} MiB were read and not yet sent" if most >= int(mebibytes) * MIB else None


def process_is_left(run):
    return f"{show.counted(run.left_behind, 'process')} of the rung went on after its end" if run.left_behind else None


# A sentence → the function that looks for it; its groups are the arguments.
WITNESSES = {
    r"finding ([a-z_]+)": finding,
    r"client ([A-Z]+\d*) fails": client_fails,
    r"client ([A-Z]+\d*) waits (\d+) ms": client_waits,
    r"a client waits (\d+) ms": any_client_waits,
    r"a client connects after (\d+) ms": any_client_connects_late,
    r"(\d+) MiB are held": bytes_are_held,
    r"a process is left": process_is_left,
}


def found(words, run):
    """What was seen, as a sentence; None if the run does not show it."""
    for pattern, look in WITNESSES.items():
        if match := re.fullmatch(pattern, words):
            return look(run, *match.groups())
    raise Trouble(f"there is no witness '{words}'; docs/LOOPS.md lists them")


def client_of(run, name):
    for client in run.clients:
        if client.name == name:
            return client
    raise Trouble(f"{run.scenario.name} has no client {name}")


def wait_of(client, least):
    """The first wait of a client for an answer that took `least` milliseconds, or had no end."""
    for asked, answered in client.answers:
        if (waited := (answered - asked) / 1e6) >= least:
            return f"client {client.name} waited {waited:.0f} ms for its answer"
    return f"client {client.name} was never answered" if client.asked_at else None


def first(found):
    return next(filter(None, found), None)
