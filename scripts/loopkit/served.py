"""What a program did with its clients, from its system calls: listeners, connections, and the calls that had to do with them.

    served = follow(trace)
    served.acts        of each thread, in order: `Act`s (accept, recv, send, close, shutdown, sleep, lock, child) and `Wait`s

Descriptors are followed through accept, dup, fork and close: a connection is known by its accept, in every process that has it."""

import collections
import dataclasses
import re

NAMES = {name: kind for kind, names in {
    "accept": "accept accept4", "recv": "read readv recvfrom recvmsg recvmmsg recv",
    "send": "write writev sendto sendmsg sendmmsg send sendfile splice", "close": "close", "shutdown": "shutdown",
    "sleep": "nanosleep clock_nanosleep pause", "child": "wait4 waitid waitpid"}.items() for name in names.split()}
WAITS = {"select": "select", "pselect6": "select", "poll": "poll", "ppoll": "poll", "epoll_wait": "epoll",
         "epoll_pwait": "epoll", "epoll_pwait2": "epoll"}
READABLE, WRITABLE, HALF_CLOSED, ERROR, EDGE = 1, 2, 4, 8, 16
# Nanoseconds: a call that takes longer has found nothing at first.
SHORT = 1_000_000
BITS = {"ET": EDGE, "IN": READABLE, "OUT": WRITABLE, "RDHUP": HALF_CLOSED, "HUP": HALF_CLOSED, "ERR": ERROR}
SPACE = r"(?:<.*?(?<!-)>)?"
POLLED = re.compile(rf"fd=(\d+){SPACE}, r?events=([A-Z|]+)")
EPOLLED = re.compile(r"events=([A-Z|]+), data=\{u32=\d+, u64=(\d+)\}")
TIME = re.compile(r"\{tv_sec=(-?\d+), tv_([un]sec)=(\d+)\}")


@dataclasses.dataclass(eq=False)
class Listener:
    descriptor: int
    port: int
    backlog: int
    began: int


@dataclasses.dataclass(eq=False)
class Connection:
    """An accepted connection. `closed` is when its last descriptor was closed; None while one is open."""

    number: int
    descriptor: int
    peer: str
    listener: Listener
    accepted: object
    holders: set = dataclasses.field(default_factory=set)
    closed: int = None


@dataclasses.dataclass
class Act:
    """A call that has to do with a listener or a connection (`on`), or a sleep, or a wait for a lock or a child (None). The kind
    `watch` is a change of what an epoll waits for.
    `made` is the connection that an accept has returned."""

    kind: str
    call: object
    on: object = None
    made: Connection = None


@dataclasses.dataclass
class Wait:
    """A call of select, poll or epoll. `asked` maps what is waited for to the bits of its interest; `ready` likewise, what was
    reported. A key is a listener or a connection, or the number of another descriptor. `limit` is in nanoseconds or None."""

    kind: str
    call: object
    asked: dict
    ready: dict
    limit: int = None


@dataclasses.dataclass
class Served:
    trace: object
    listeners: list
    connections: list
    # Thread → its acts and waits, in the order of their beginnings.
    acts: dict


class Following:
    """The tables of descriptors, as they change from call to call. Threads of a process share one."""

    def __init__(self, trace):
        self.trace = trace
        self.tables = collections.defaultdict(dict)
        # (process, descriptor of an epoll) → descriptor → its data and its interest.
        self.epolls = collections.defaultdict(dict)
        self.listeners, self.connections, self.acts = [], [], collections.defaultdict(list)
        # id of a call → its act: an accept gets its connection when it returns.
        self.begun = {}

    def process(self, call):
        return self.trace.tasks[call.thread].process

    def begin(self, call):
        table = self.tables[self.process(call)]
        on = table.get(call.descriptor)
        kind = NAMES.get(call.name)
        if call.name in ("fork", "vfork", "clone", "clone3") and call.result:
            self.fork(call)
        elif call.name in WAITS:
            self.wait(call, table)
        elif call.name == "futex":
            if any("FUTEX_WAIT" in arg for arg in call.args):
                self.acts[call.thread].append(Act("lock", call))
        elif kind in ("sleep", "child") or on and kind:
            self.begun[id(call)] = act = Act(kind, call, on)
            self.acts[call.thread].append(act)
            if kind == "close":
                self.drop(call, table)

    def end(self, call):
        table = self.tables[self.process(call)]
        if call.result is None or call.result < 0:
            return
        if call.name == "listen" and (match := re.search(r"<TCP.*:(\d+)\]>", call.args[0])):
            listener = Listener(call.descriptor, int(match[1]), int(call.args[1]), call.ended)
            self.listeners.append(listener)
            table[call.descriptor] = listener
        elif NAMES.get(call.name) == "accept" and isinstance(listener := table.get(call.descriptor), Listener):
            one = Connection(len(self.connections) + 1, call.result, peer_of(call), listener, call)
            self.connections.append(one)
            self.hold(call, call.result, one)
            self.begun[id(call)].made = one
        elif call.name == "epoll_ctl":
            self.control(call)
        elif call.name in ("dup", "dup2", "dup3") or call.name == "fcntl" and "F_DUPFD" in call.args[1]:
            if on := table.get(call.descriptor):
                self.hold(call, call.result, on)

    def hold(self, call, descriptor, on):
        self.tables[self.process(call)][descriptor] = on
        if isinstance(on, Connection):
            on.holders.add((self.process(call), descriptor))

    def drop(self, call, table):
        on = table.pop(call.descriptor)
        if isinstance(on, Connection):
            on.holders.discard((self.process(call), call.descriptor))
            on.closed = None if on.holders else call.began

    def fork(self, call):
        """A child process begins with copies of all descriptors."""
        child, parent = self.trace.tasks[call.result], self.process(call)
        if child.process == parent:
            return
        for descriptor, on in self.tables[parent].items():
            self.tables[child.process][descriptor] = on
            if isinstance(on, Connection):
                on.holders.add((child.process, descriptor))
        for (process, epoll), known in list(self.epolls.items()):
            if process == parent:
                self.epolls[child.process, epoll] = dict(known)

    def control(self, call):
        """EPOLL_CTL_ADD, _MOD and _DEL: what an epoll waits for, and the number by which it reports it."""
        known = self.epolls[self.process(call), call.descriptor]
        found = re.match(r"\d+", call.args[2])
        if "DEL" in call.args[1]:
            known.pop(int(found[0]), None)
        elif match := EPOLLED.search(call.args[3]):
            known[int(found[0])] = int(match[2]), bits(match[1])
        if on := self.tables[self.process(call)].get(int(found[0])):
            self.acts[call.thread].append(Act("watch", call, on))

    def wait(self, call, table):
        kind = WAITS[call.name]
        asked, ready, limit = {"select": selected, "poll": polled, "epoll": self.epolled}[kind](call)
        named = [{table.get(descriptor, descriptor): what for descriptor, what in one.items()} for one in (asked, ready)]
        if kind == "select" and not asked:
            self.acts[call.thread].append(Act("sleep", call))
        else:
            self.acts[call.thread].append(Wait(kind, call, *named, limit))

    def epolled(self, call):
        known = self.epolls[self.process(call), call.descriptor]
        names = {data: descriptor for descriptor, (data, _) in known.items()}
        events = EPOLLED.findall(call.args[1]) if call.result else []
        ready = {names[int(data)]: bits(text) for text, data in events if int(data) in names}
        limit = timespec(call.args[3]) if call.name == "epoll_pwait2" else milliseconds(call.args[3])
        return {descriptor: interest for descriptor, (_, interest) in known.items()}, ready, limit


def follow(trace):
    """What each thread did with listeners and connections. A call takes effect when it begins, or when it returns."""
    following = Following(trace)
    events = [(call.began, 0, at, call) for at, call in enumerate(trace.calls)]
    events += [(call.ended, 1, at, call) for at, call in enumerate(trace.calls) if call.ended is not None]
    for _, is_end, _, call in sorted(events, key=lambda event: event[:3]):
        following.end(call) if is_end else following.begin(call)
    return Served(trace, following.listeners, following.connections, dict(following.acts))


@dataclasses.dataclass
class Queued:
    """A connection in the accept queue; `until` is None of one that was never accepted."""

    address: str
    since: int
    until: int = None


def queue_of(served, connects, until):
    """When each connection was in the accept queue; `connects` are pairs of a client's address and when it was connected.

    A client is connected when the kernel has agreed to that. Where the queue is full, this is before the connection comes into the
    queue: as long as a thread finds the queue empty, it is not there."""
    empty = [span for acts in served.acts.values() for span in times_of_empty_queue(acts, until)]
    accepted = {one.peer: one.accepted.ended for one in served.connections}
    for address, since in connects:
        end = accepted.get(address)
        last = until if end is None else end
        known = [min(to, last) for began, to in empty if began < last]
        yield Queued(address, max([since, *known]), end)


def times_of_empty_queue(acts, until):
    """The times in which calls of a thread have waited for a connection: (from, to)."""
    for act in acts:
        ended = act.call.ended or until
        if isinstance(act, Wait):
            listens = any(isinstance(on, Listener) and not what & EDGE for on, what in act.asked.items())
        else:
            listens = act.kind == "accept"
            if listens and act.call.error == "EAGAIN":
                yield act.call.began, ended
        if listens and ended - act.call.started > SHORT:
            yield act.call.started + SHORT, ended


def peer_of(accept):
    """The address of the peer, as `127.0.0.1:40002`; of an accept that does not ask for it, as the tracer knows it."""
    text = ", ".join(accept.args[1:])
    port = re.search(r"sin6?_port=htons\((\d+)\)", text)
    host = re.search(r'inet_addr\("([^"]+)"\)|AF_INET6, "([^"]+)"', text)
    if port and host:
        name = host[1] or host[2].removeprefix("::ffff:")
        return f"[{name}]:{port[1]}" if ":" in name else f"{name}:{port[1]}"
    match = re.search(r"->(.*)\]>", accept.more)
    return re.sub(r"^\[::ffff:([\d.]+)\]", r"\1", match[1]) if match else ""


def bits(text):
    return sum({BITS.get(re.sub("^E?POLL", "", word), 0) for word in text.split("|")})


def milliseconds(text):
    return None if text.startswith("-") else int(text) * 1_000_000


def timespec(text):
    match = TIME.search(text)
    return match and int(match[1]) * 1_000_000_000 + int(match[3]) * (1000 if match[2] == "usec" else 1)


def polled(call):
    def pairs(text):
        return {int(number): bits(events) for number, events in POLLED.findall(text)}
    limit = milliseconds(call.args[2]) if call.name == "poll" else timespec(call.args[2])
    return pairs(call.args[0]), pairs(call.more), limit


def selected(call):
    def numbers(text):
        return map(int, re.findall(r"\d+", re.sub(r"<.*?(?<!-)>", "", text)))
    asked, ready = {}, {}
    for text, bit in zip(call.args[1:3], (READABLE, WRITABLE)):
        for number in numbers(text):
            asked[number] = asked.get(number, 0) | bit
    for word, bit in (("in", READABLE), ("out", WRITABLE)):
        for number in numbers((re.findall(rf"\b{word} \[(.*?)\](?=[,)])", call.more) or [""])[0]):
            ready[number] = ready.get(number, 0) | bit
    return asked, ready, timespec(call.args[4]) if len(call.args) > 4 else None
