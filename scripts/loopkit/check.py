"""`scripts/loop check`: every scenario on every rung that it fits. What a scenario promises is read from the recording, and
the clients compare every byte that they get. Then the language, the broken rungs and the live mode."""

import time

from lib import Progress, Trouble

from . import broken, language, live_check, reading, rungs, show
from .reading import ACCEPTED, BLOCKED, END

# Clients of the largest scenario here.
MOST = 1000
# What the echo rungs that are whole do with the scenarios of the broken ones.
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
        need(total == len(show_page()), f"{total} bytes were written")


def show_page():
    from .kinds import PAGE
    return PAGE


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


def plays():
    for name in language.names():
        scenario = language.load(name, MOST)
        for rung in [*rungs.KINDS, *broken.names()]:
            if not scenario.misfit(rung, rungs.KINDS[rung.partition("+")[0]]) and ("+" not in rung or WITNESSES.get(name) == rung):
                yield name, rung


def check_play(name, rung):
    scenario = language.load(name, MOST)
    run = show.play(rungs.Rung(rung), scenario)
    need(run.recording.program, "the recording names no program")
    if name == "lost_edge" and "+" in rung:
        need(run.clients[0].failure, "the broken rung answers as a whole one")
    else:
        everyone_is_served(run)
    PROMISES[name](run)


def check_language(_=None):
    """Mistakes are reported with the line; texts keep commas, number signs and bytes."""
    good = language.parse('# a\nA is 3 clients, 2 at a time\nA B send "x, # \\"y\\x00\\n" # why\nB pause 5 ms, close', "good")
    need([step.verb for step in good.groups["B"].steps] == ["send", "pause", "close"], "the steps of B")
    need(good.groups["A"].steps[0].text == b'x, # "y\0\n', f"{good.groups['A'].steps[0].text}")
    need((good.groups["A"].count, good.groups["A"].at_once, good.clients) == (3, 2, 4), "the clients")
    need(language.parse("# a\nA is 9 clients\nA connect", "small", 2).clients == 2, "fewer clients")
    for text, message in [
        ("# a\nA connect\nA jump", "line 3: there is no step 'jump'"), ("# a\nA wait for b", "no client says 'b'"),
        ("# a\nconnect", "neither a head nor the steps"), ("A connect", "begins with a comment"), ("# a\nA connect,", "missing"),
        ('# a\nA send "x', "there is no step"), ("# a\nA pause ms", "there is no step 'pause ms'"),
    ]:
        try:
            language.parse(text, "bad")
        except Trouble as trouble:
            need(message in str(trouble), f"'{trouble}' in place of '{message}'")
        else:
            raise Trouble(f"{text!r} is no scenario, and was read as one")
    need(set(language.names()) == set(PROMISES), "a scenario without a promise that is checked, or the reverse")


def check_patches(_=None):
    """A patch is applied where its lines are found once, and refused otherwise."""
    patch = "--- a\n+++ b\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
    need(broken.patched("x\na\nb\n", patch, "p") == "x\na\nc\n", "the patch")
    for text in ("x\n", "a\nb\na\nb\n"):
        try:
            broken.patched(text, patch, "p")
        except Trouble:
            continue
        raise Trouble(f"a patch was applied to {text!r}")


def check_reader(_=None):
    """A recording that is cut, or of another version, is refused."""
    head = b"stheno recording 1\nprogram p\nloop mio\ntells read\nbegan 1.5\nname 1 a hook\ntotal turns 2\nrecords 2\nsource 3\n\n"
    records = reading.RECORD.pack(5, 1 << 32 | 3, 2, 0, 0, 1, 0) + reading.RECORD.pack(6, 1 << 32 | 3, 9, 4, 80, 0x7F000002, 0)
    good = reading.Recording(head + records + b"abc" + b"left over")
    need(good.peers() == {"127.0.0.2:80": 1 << 32 | 3} and good.source == "abc" and len(good.turns()) == 1, "the reader")
    need(good.show(1 << 32 | 3) == "3.1" and good.names == {1: "a hook"} and good.totals == {"turns": 2}, "the head")
    for bad in (head + records, head + records[:-1], head.replace(b"recording 1", b"recording 2") + records, b"", head[:40]):
        try:
            reading.Recording(bad)
        except Trouble:
            continue
        raise Trouble(f"{bad[:30]!r} … was read as a recording")


def check(options):
    """Prints each failure; returns 1 if there is one."""
    parts = [("language", check_language), ("patches", check_patches), ("reader", check_reader)]
    parts += [(f"{name} on {rung}", lambda name=name, rung=rung: check_play(name, rung)) for name, rung in plays()]
    parts += [(f"live: {name}", part) for name, part in live_check.PARTS.items()]
    parts = [(name, part) for name, part in parts if not options.only or options.only in name]
    if not parts:
        raise Trouble(f"no check has '{options.only}' in its name")
    rungs.build([rungs.Rung(name) for name in [*rungs.KINDS, *broken.names()]])
    progress, failed, begun = Progress(), 0, time.monotonic()
    for name, part in parts:
        progress.show(name)
        try:
            part()
        except Trouble as trouble:
            failed += 1
            progress.done(f"FAILED {name}: {trouble}")
    progress.show()
    print(f"scripts/loop check: {len(parts)} checks, {failed} failed, in {time.monotonic() - begun:.0f} s")
    return 1 if failed else 0
