"""What each scenario promises, read from the recording of a rung; the clients have compared every byte that they got."""

from lib import Trouble

from .kinds import PAGE
from .reading import ACCEPTED, BLOCKED, END

# Clients of the largest scenario here.
MOST = 1000
# Seconds that the hook of tcp_reactor+sleeping_hook sleeps.
SLEEP = 0.3


def need(condition, what):
    if not condition:
        raise Trouble(what)


def everyone_is_served(run):
    """Each client got as many answers as it asked for, with the right bytes: the clients have compared them."""
    failed = [f"{client.name}: {client.failure}" for client in run.clients if client.failure]
    need(not failed, f"{len(failed)} clients failed: {'; '.join(failed[:3])}")
    for client in run.clients:
        asks = sum(step.verb == "ask" for step in client.group.steps)
        resets = any(step.verb == "reset" for step in client.group.steps)
        need(resets or len(client.answers) == asks, f"{client.name} got {len(client.answers)} of {asks} answers")


def key_of(run, name):
    """The key of a client's channel."""
    client, peers = next(client for client in run.clients if client.name == name), run.recording.peers()
    need(client.addresses and client.addresses[0] in peers, f"the recording does not know the address of {name}")
    return peers[client.addresses[0]]


def accepted(recording):
    return [record for record in recording.of("New") if record.code == ACCEPTED]


def one_line(run):
    recording = run.recording
    need(len(accepted(recording)) == 1, f"{len(accepted(recording))} channels were accepted")
    if "read" in recording.tells:
        key, request = key_of(run, "A"), run.rung.kind.request("A", 1, None)
        total = sum(record.b for record in recording.of("Read", key))
        need(total == len(request), f"{total} bytes were read, and A sent {len(request)}")
    if "write" in recording.tells and run.rung.kind.name == "web":
        total = sum(record.b for record in recording.of("Write"))
        need(total == len(PAGE), f"{total} bytes were written")


def two_at_once(run):
    """What both have asked is in one turn, where the loop says which events a turn has."""
    one, two = key_of(run, "A"), key_of(run, "B")
    need(one != two, "A and B have the same key")
    both = [turn for turn in run.recording.turns() if {one, two} <= {record.key for record in turn if record.kind == "Read"}]
    if "read" in run.recording.tells:
        need(both, "no turn reads from both clients")


def slow_head(run):
    """Each piece is read by itself, from a rung that reads until the request is whole."""
    recording = run.recording
    if "read" in recording.tells and run.rung.kind.name != "web":
        reads = [record for record in recording.of("Read", key_of(run, "A")) if record.b]
        need(len(reads) >= 5, f"A's request came in five pieces, and was read in {len(reads)}")
    a, b = (next(client for client in run.clients if client.name == name) for name in "AB")
    if run.rung.kind.name != "web":
        need(b.answers[0][1] < a.answers[0][1], "B was answered after A, whose request was not whole")


def slow_reader(run):
    """Some write to A did not take all; B was answered while A did not read."""
    recording = run.recording
    if "write" in recording.tells:
        blocked = [record for record in recording.of("Write") if record.code & BLOCKED]
        need(blocked, "no write would have blocked")
        need(recording.totals["written"] >= 8_000_000, f"{recording.totals['written']} bytes were written in all")
    a, b = (next(client for client in run.clients if client.name == name) for name in "AB")
    need(b.answers[0][1] < a.answers[0][1], "B was answered after A, which did not read")


def big_answer(run):
    recording = run.recording
    if "write" in recording.tells:
        turns = sum(any(record.kind == "Write" and record.b for record in turn) for turn in recording.turns())
        need(turns >= 3, f"the answer of 8 MB was written in {turns} turns")
        need(recording.totals["written"] >= 8_000_000, f"{recording.totals['written']} bytes were written in all")


def burst(run):
    """All 64 are accepted: one in each turn by select, many in one turn where the loop is told once of all."""
    recording = run.recording
    # Each has a peer of its own; a web rung's client has one connection.
    need(len(accepted(recording)) >= 64, f"{len(accepted(recording))} channels were accepted")
    if recording.loop in ("mio", "reactor"):
        most = max(sum(record.kind == "New" for record in turn) for turn in recording.turns())
        need(most >= 16, f"at most {most} channels were accepted in one turn")


def half_close(run):
    """The end was read (a web rung reads once, and does not look), and the answer came; the client has compared it."""
    recording = run.recording
    if "read" in recording.tells and run.rung.kind.name != "web":
        need(any(record.code & END for record in recording.of("Read", key_of(run, "A"))), "no read returned the end")


def reset(run):
    recording, key = run.recording, key_of(run, "A")
    need(recording.of("Close", key), "the channel of A was not closed")
    at = recording.of("Close", key)[0].time
    later = [record for record in recording.of("Read") if record.key != key and record.time >= at]
    need("read" not in recording.tells or later, "nothing was read from B after the reset of A")


def sleeping_hook(run):
    """Nobody waits in a whole rung. In the broken one, a hook takes the time, and B and C wait for it."""
    b = next(client for client in run.clients if client.name == "B")
    waited = (b.answers[0][1] - b.answers[0][0]) / 1e9
    spans, entered = [], []
    for record in run.recording.records:
        if record.kind == "Enter":
            entered.append(record)
        elif record.kind == "Exit" and entered:
            begun = entered.pop()
            spans.append(((record.time - begun.time) / 1e9, begun.key))
    if run.rung.patch:
        need(waited >= SLEEP * 0.9, f"B waited {waited:.3f} s behind a hook that sleeps")
        need(max(spans)[0] >= SLEEP and max(spans)[1] == key_of(run, "A"), f"the longest hook took {max(spans)[0]:.3f} s")
    elif spans:
        need(max(spans)[0] < SLEEP, f"a hook took {max(spans)[0]:.3f} s")


def lost_edge(run):
    """The last read of the broken rung could have gone on. A whole rung reads all of the 5,000 bytes."""
    recording, key = run.recording, key_of(run, "A")
    reads = recording.of("Read", key)
    total = sum(record.b for record in reads)
    if run.rung.patch:
        idle = [record for record in reads if record.b][-1]
        need(total < 5000 and not idle.code & BLOCKED, f"{total} bytes were read, and the last read had result {idle.code}")
    elif "read" in recording.tells:
        need(total == 5000, f"{total} of 5,000 bytes were read")


def idle(run):
    """The silent clients cost a turn nothing: the one of B has one event for each thing that B does."""
    recording, b = run.recording, next(client for client in run.clients if client.name == "B")
    begun = (b.answers[0][0] / 1e9 - recording.began) * 1e9
    during = [turn for turn in recording.turns() if begun <= turn[0].time <= begun + (b.answers[0][1] - b.answers[0][0])]
    if "asked" in recording.tells:
        need(during and max(turn[0].a for turn in during) <= 3, "a turn of B had events of others")
    need(len(run.clients) == MOST + 1, f"{len(run.clients)} clients played")


PROMISES = {function.__name__: function for function in [
    one_line, two_at_once, slow_head, slow_reader, big_answer, burst, half_close, reset, sleeping_hook, lost_edge, idle]}
# Scenario → the broken rung that it witnesses.
WITNESSES = {"sleeping_hook": "tcp_reactor+sleeping_hook", "lost_edge": "tcp_mio+lost_edge"}
