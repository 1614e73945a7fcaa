"""What each scenario promises, read from the recording of a rung; the clients have compared every byte that they got."""

from lib import Trouble

from .clients import STUCK
from .kinds import PAGE
from .reading import ACCEPTED, BLOCKED, END, ERROR, FAILED, NONE, TASK

# Loops that poll tasks.
TASKS = ("waker", "executor", "futures", "tokio")
# Clients of the largest scenario here.
MOST = 1000
# Seconds that the hook of a broken rung sleeps.
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


def accepted(recording):
    """The channels, or tasks, that were made for connections, in this order."""
    made = recording.of("New")
    if recording.loop in TASKS:
        # A task that accepts has no peer itself; it makes those of the clients.
        peers = set(recording.peers().values())
        return [record for record in made if record.key & TASK and (
            record.key in peers if peers else record.b != NONE and record.b & TASK)]
    types = {record.name for record in made if record.code == ACCEPTED}
    return [record for record in made if record.name in types]


def key_of(run, name):
    """The key of a client's channel. A recording does not know every peer: web_futures does not look, and a connection that
    was reset before has none. Then the order of the connections tells."""
    client, peers = next(client for client in run.clients if client.name == name), run.recording.peers()
    if client.addresses[0] in peers:
        return peers[client.addresses[0]]
    order = sorted(run.clients, key=lambda client: client.connected_at).index(client)
    found = accepted(run.recording)
    need(order < len(found), f"the recording has no channel of {name}")
    need(found[order].key not in peers.values(), f"the channel of {name} has another peer")
    return found[order].key


def one_line(run):
    recording = run.recording
    need(len(accepted(recording)) == 1, f"{len(accepted(recording))} channels were accepted")
    key, request = key_of(run, "A"), run.rung.kind.request("A", 1, None)
    total = sum(record.b for record in recording.of("Read", key))
    need(total == len(request), f"{total} bytes were read, and A sent {len(request)}")
    if run.rung.kind.name == "web":
        total = sum(record.b for record in recording.of("Write"))
        need(total == len(PAGE), f"{total} bytes were written")


def two_at_once(run):
    """What both have asked is read in one turn."""
    one, two = key_of(run, "A"), key_of(run, "B")
    need(one != two, "A and B have the same key")
    if run.recording.loop in ("waker", "executor"):
        # Each read has a thread of its own, which wakes the loop by itself.
        return
    reads = [{record.key for record in turn if record.kind == "Read" and record.b} for turn in run.recording.turns()]
    need(any({one, two} <= keys for keys in reads), "no turn reads from both")


def slow_head(run):
    """A rung that reads until the request is whole reads several times; on a busy machine, two pieces may come together."""
    recording = run.recording
    if run.rung.kind.name != "web":
        reads = [record for record in recording.of("Read", key_of(run, "A")) if record.b]
        need(len(reads) >= 2, f"A's request came in five pieces, and was read in {len(reads)}")
    a, b = (next(client for client in run.clients if client.name == name) for name in "AB")
    if run.rung.kind.name != "web":
        need(b.answers[0][1] < a.answers[0][1], "B was answered after A, whose request was not whole")


def slow_reader(run):
    """Writes to A stop while A does not read, and B is answered meanwhile."""
    recording, size = run.recording, 5_000_000
    need(recording.totals["written"] >= size, f"{recording.totals['written']} bytes were written in all")
    # tcp_select asks before it writes, so that its writes succeed; a task tells of a write when it is done.
    if recording.loop in ("mio", "reactor"):
        need(any(record.code & BLOCKED for record in recording.of("Write")), "no write would have blocked")
    times = [record.time for record in recording.of("Write", key_of(run, "A"))]
    longest = max((later - earlier for earlier, later in zip(times, times[1:])), default=0)
    need(longest >= STUCK / 2 * 1e9, f"writes to A pause for {longest / 1e9:.3f} s at most")
    a, b = (next(client for client in run.clients if client.name == name) for name in "AB")
    need(b.answers[0][1] < a.answers[0][1], "B was answered after A, which did not read")


def big_answer(run):
    """Many writes. They are in many turns, except where nothing limits the share of a client (tcp_mio, a task)."""
    recording, size = run.recording, 8_000_000
    need(recording.totals["written"] >= size, f"{recording.totals['written']} bytes were written in all")
    writes = [record for record in recording.of("Write") if record.b]
    need(len(writes) >= 3, f"the answer of 8 MB was written by {len(writes)} writes")
    if recording.loop in ("select", "reactor"):
        turns = sum(any(record.kind == "Write" and record.b for record in turn) for turn in recording.turns())
        need(turns >= 3, f"the answer of 8 MB was written in {turns} turns")


def burst(run):
    """All 64 are accepted: one in each turn by select, many in one turn where the loop is told once of all."""
    recording = run.recording
    need(len(accepted(recording)) >= 64, f"{len(accepted(recording))} channels were accepted")
    if recording.loop in ("mio", "reactor"):
        most = max(sum(record.kind == "New" for record in turn) for turn in recording.turns())
        need(most >= 16, f"at most {most} channels were accepted in one turn")


def half_close(run):
    """The end was read (a web rung reads once, and does not look), the answer came, and then the rung closed by itself."""
    if run.rung.kind.name != "web":
        need(any(record.code & END for record in run.recording.of("Read", key_of(run, "A"))), "no read returned the end")
    need(run.clients[0].ended == "the end", "the rung did not close the connection")


def reset(run):
    """The channel of A is closed after an error or the end, and B is served by another one."""
    recording, a, b = run.recording, key_of(run, "A"), key_of(run, "B")
    need(a != b, "A and B have the same key")
    need(recording.of("Close", a), "the channel of A was not closed")
    # The last web rung to find out is told by its write: the answer comes 300 ms after the reset.
    told = [record for record in recording.records if record.key == a and (
        record.kind in ("Read", "Write") and record.code & (END | FAILED) or record.kind == "Event" and record.code & ERROR
        or record.kind == "Exit" and record.code == 1)]
    need(told, "nothing tells of the reset of A")


def sleeping_hook(run):
    """No hook takes long: a line that says `sleep` is a line like any other."""
    spans, entered = [], []
    for record in run.recording.records:
        if record.kind == "Enter":
            entered.append(record)
        elif record.kind == "Exit" and entered:
            spans.append((record.time - entered.pop().time) / 1e9)
    need(not spans or max(spans) < SLEEP, f"a hook took {max(spans, default=0):.3f} s")


def lost_edge(run):
    """All of the 5,000 bytes are read."""
    total = sum(record.b for record in run.recording.of("Read", key_of(run, "A")))
    need(total == 5000, f"{total} of 5,000 bytes were read")


def idle(run):
    """The silent clients cost nothing: while B asks, no hook of theirs is called."""
    recording, b = run.recording, next(client for client in run.clients if client.name == "B")
    begun, answered = (time - recording.began * 1e9 for time in (b.connected_at, b.answers[0][1]))

    def called(slack):
        return {record.key for record in recording.of("Enter") if begun - slack <= record.time <= answered + slack}
    # The clocks of the two programs differ by a part of a millisecond, in which the last of the others may have been served.
    need(key_of(run, "B") in called(2e6), "no hook of B is called while it asks")
    need(len(called(0)) <= MOST / 50, f"while B asks, hooks of {len(called(0))} channels are called")
    need(len(run.clients) == MOST + 1, f"{len(run.clients)} clients played")
    closed = sum(bool(client.ended) for client in run.clients if client is not b)
    need(not closed, f"{closed} silent clients were closed")


def site(run):
    """What the demo site says of its recording: a slow request is read in pieces, and a large file is sent in sips."""
    recording = run.recording
    reads = [record for record in recording.of("Read", key_of(run, "D")) if record.b]
    need(len(reads) >= 2, f"D's request came in five pieces, and was read in {len(reads)}")
    sent = [record for record in recording.of("Write", key_of(run, "E")) if record.b]
    need(len(sent) >= 2 and any(record.code & BLOCKED for record in sent), f"E's file was sent by {len(sent)} writes")
    need(recording.totals["responses"] >= 12, f"{recording.totals['responses']} responses")


def five_users(run):
    """Each of them has a channel of its own."""
    need(len(accepted(run.recording)) == 5, f"{len(accepted(run.recording))} channels were accepted")


def stuck_reader(run):
    """B is answered while A does not read."""
    a, b = (next(client for client in run.clients if client.name == name) for name in "AB")
    need(b.answers[0][1] < a.answers[0][1], "B was answered after A, which did not read")


def three_stay(run):
    """C is answered while A and B are still there."""
    a, c = (next(client for client in run.clients if client.name == name) for name in "AC")
    need(c.answers[0][1] - a.answers[0][1] < 300e6, "C was answered when A had left")


PROMISES = {function.__name__: function for function in [
    one_line, two_at_once, slow_head, slow_reader, big_answer, burst, half_close, reset, sleeping_hook, lost_edge, idle, site, five_users,
    three_stay, stuck_reader]}
