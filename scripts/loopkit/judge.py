"""Judges how a program serves, by its system calls (strace(1)): how it waits, which calls block while others wait, and what it
is made of.

    run = show.play(rungs.of("./mine"), language.load("two_at_once"))
    verdict = judge.of(run)
    verdict.waits             {"epoll": 12, "accept": 3}: how often each kind of wait was called for clients
    verdict.loops             the threads that wait for several descriptors at once, by select, poll or epoll
    verdict.blocked           the calls that blocked while another client had something for the program: `Blocked`
    verdict.threads, verdict.processes   how many it made, beside the first of each
    verdict.spinning          the most waits within a second that returned at once and led to no call

A call blocks when it takes `LONG` or more. A client waits while it is in the accept queue, and from the time at which it sent
something until the next read of its connection. A call keeps this client waiting if both overlap for `LONG` or more, and if
its thread is one that could have served the client: one that accepts while the client is in the accept queue, and later one that
reads from its connection. A wait for several descriptors (select, poll, epoll) keeps nobody waiting, and neither does accept. The
time for which a scenario has frozen the program is taken off.

What a trace cannot show: how long the program computes, and what it does by io_uring."""

import bisect
import collections
import dataclasses

from .served import Act, Connection, Wait, queue_of

# Nanoseconds from which on a call blocks, and a client waits.
LONG = 50_000_000
SECOND = 1_000_000_000
WORDS = {"lock": "a wait for a thread", "child": "a wait for a child"}


@dataclasses.dataclass
class Blocked:
    """A call that blocked, and the addresses of the clients that waited meanwhile."""

    thread: int
    kind: str
    peer: str
    began: int
    length: int
    waiting: list

    def text(self, names=None):
        """`recv of A blocked for 1.2 s while B waited`; `names` are those of addresses."""
        name = (names or {}).get
        who = f" of {name(self.peer, self.peer)}" if self.peer else ""
        waiting = " and ".join(sorted(name(one, one) for one in self.waiting)[:3])
        more = f" and {len(self.waiting) - 3} more" if len(self.waiting) > 3 else ""
        return f"{WORDS.get(self.kind, self.kind)}{who} blocked for {self.length / SECOND:.2f} s while {waiting}{more} waited"


@dataclasses.dataclass
class Verdict:
    waits: dict
    loops: set
    blocked: list
    threads: int
    processes: int
    spinning: int


@dataclasses.dataclass
class Arrival:
    """What a client did: when its connection was there, and when it sent something."""

    address: str
    connected: int
    sent: list


@dataclasses.dataclass
class Waiting:
    """A time in which a client waited, and the threads that could have served it."""

    address: str
    since: int
    until: int
    threads: set


def of(run, long=LONG):
    """The verdict on a rung or program that show.play has played."""
    arrivals = [Arrival(address, connected, [at for where, at in client.sent if where == address])
                for client in run.clients for address, connected in client.connects]
    return judge(run.served, run.ended_at, arrivals, run.frozen, long)


def judge(served, until, arrivals=(), frozen=(), long=LONG):
    """The `Verdict` on what happened before `until`; `arrivals` are what the clients did, and `frozen` the times (from, to) in
    which the program stood still."""
    acts = {thread: [act for act in acts if act.call.began <= until] for thread, acts in served.acts.items()}
    tasks = served.trace.tasks.values()
    waits = collections.Counter(kind for one in acts.values() for kind in kinds_of_waits(one))
    return Verdict(
        waits=dict(waits),
        loops={thread for thread, one in acts.items() if any(is_loop(act) for act in one)},
        blocked=list(blocked(served, acts, until, arrivals, frozen, long)),
        threads=sum(task.is_thread and task.began <= until for task in tasks),
        processes=sum(not task.is_thread and task.began <= until for task in tasks) - 1,
        spinning=max((spinning(one) for one in acts.values()), default=0),
    )


def is_loop(act):
    return isinstance(act, Wait) and (len(act.asked) > 1 or act.kind == "epoll" and bool(act.asked))


def has_clients(act):
    """Whether a wait is for a listener or a connection, and not for files and signals of the program's own."""
    return any(not isinstance(on, int) for on in act.asked)


def kinds_of_waits(acts):
    """The kind of each wait for clients. In a loop, accept is called for what the wait has reported."""
    has_loop = any(map(is_loop, acts))
    for act in acts:
        if isinstance(act, Wait):
            if has_clients(act):
                yield act.kind
        elif act.kind == "accept" and not has_loop and act.call.error != "EAGAIN":
            yield "accept"


def spans(acts, until, long):
    """The calls of a thread that took `long`, with what they were for: a wait of one descriptor is one of these."""
    for act in acts:
        ended = min(act.call.ended or until, until)
        if ended - act.call.began < long or is_loop(act):
            continue
        if isinstance(act, Wait):
            on = next(iter(act.asked), None)
            if on is None or isinstance(on, int):
                continue
            yield ("recv" if isinstance(on, Connection) else "accept"), on, act.call.began, ended
        else:
            yield act.kind, act.on, act.call.began, ended


def blocked(served, acts, until, arrivals, frozen, long):
    """The calls that kept clients waiting."""
    waiting = list(waits_of_clients(served, acts, until, arrivals))
    for thread, own in acts.items():
        mine = [one for one in waiting if thread in one.threads]
        for kind, on, began, ended in spans(own, until, long) if mine else ():
            peer = on.peer if isinstance(on, Connection) else ""
            others = {one.address for one in mine if one.address != peer
                      and overlap(max(one.since, began), min(one.until, ended), frozen) >= long}
            if others and kind != "accept":
                yield Blocked(thread, kind, peer, began, ended - began, sorted(others))


def overlap(since, until, frozen):
    """The nanoseconds between these times in which the program was not frozen."""
    return until - since - sum(max(0, min(to, until) - max(began, since)) for began, to in frozen)


def waits_of_clients(served, acts, until, arrivals):
    """When each client waited to be accepted, and then for what it had sent to be read."""
    reads, users, accepting = collections.defaultdict(list), collections.defaultdict(set), set()
    for thread, own in acts.items():
        for act in own:
            if isinstance(act, Act) and isinstance(act.on, Connection):
                users[act.on.peer].add(thread)
                if act.kind == "recv" and act.call.ended and act.call.error not in ("EAGAIN", "EINTR"):
                    reads[act.on.peer].append(act.call.ended)
            elif isinstance(act, Act) and act.kind == "accept":
                accepting.add(thread)
    accepted = {one.peer: one.accepted for one in served.connections}
    queue = queue_of(served, [(arrival.address, arrival.connected) for arrival in arrivals], until)
    for arrival, queued in zip(arrivals, queue):
        accept, at = accepted.get(arrival.address), queued.until or until
        yield Waiting(arrival.address, queued.since, at, accepting)
        done = sorted(reads[arrival.address])
        threads = users[arrival.address] or ({accept.thread} if accept else set())
        for sent in arrival.sent:
            later = bisect.bisect_left(done, sent)
            yield Waiting(arrival.address, max(sent, at), done[later] if later < len(done) else until, threads)


def spinning(acts):
    """The most waits within a second that had nothing to report and did not wait, or reported what no call then served."""
    empty = []
    for act, after in zip(acts, [*acts[1:], None]):
        if isinstance(act, Wait) and act.call.length is not None and act.call.length < 1_000_000:
            if not act.ready or isinstance(after, Wait):
                empty.append(act.call.began)
    return max((bisect.bisect_left(empty, at + SECOND) - number for number, at in enumerate(empty)), default=0)
