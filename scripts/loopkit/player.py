"""Plays a scenario against a rung: all clients in one thread, with one selector."""

import collections
import contextlib
import heapq
import itertools
import resource
import selectors
import time

from lib import Trouble

from .clients import Client, Wait
from .kinds import Wrong

# Seconds that any wait of a client may take.
PATIENCE = 20.0
# Clients of one group from which on they come from several addresses: an address has 28,000 ports (ip(7)).
MANY, ADDRESSES = 500, 8
# Descriptors that this program, or a rung, has open besides its clients.
SPARE = 128


class Play(contextlib.AbstractContextManager):
    """A scenario, a rung that is running, and the clients, until the `with` block ends. `patience` is None where a person
    steps the rung; `may_be_busy` is true of a rung that does not accept while it serves."""

    def __init__(self, scenario, kind, port, freeze, thaw, patience=PATIENCE, is_over=lambda: False, may_be_busy=False):
        self.scenario, self.kind, self.port = scenario, kind, port
        self.stop_rung, self.continue_rung, self.patience, self.is_over = freeze, thaw, patience, is_over
        self.may_be_busy, self.frozen = may_be_busy, False
        # The times, in nanoseconds since 1970, from a freeze to the thaw.
        self.freezes = []
        self.selector, self.masks = selectors.DefaultSelector(), {}
        self.events, self.counts, self.waiting = set(), {}, {}
        self.timers, self.order = [], itertools.count()
        # Clients that no longer wait. They go on from `turn`, and never from inside of another client's step.
        self.ready = collections.deque()
        self.clients = [client for group in scenario.groups.values() for client in self.clients_of(group)]
        # Clients that have yet to start, and how many of each group run.
        self.later = {name: collections.deque() for name in scenario.groups}
        for client in self.clients:
            self.later[client.group.name].append(client)
        self.running = dict.fromkeys(scenario.groups, 0)
        self.idle, self.over = set(), set()

    def clients_of(self, group):
        for number in range(1, group.count + 1):
            name = group.name if group.count == 1 else f"{group.name}{number}"
            source = f"127.0.0.{2 + number % ADDRESSES}" if group.count >= MANY else None
            yield Client(self, name, group, source)

    def run(self):
        """Plays until all clients are done; returns them. Raises `Trouble` if the rung ends meanwhile."""
        allow_descriptors(len(self.clients) + SPARE)
        for name in self.later:
            self.start_some(name)
        while len(self.over) < len(self.clients):
            self.turn()
            if self.is_over():
                raise Trouble("the rung has ended inside of the scenario")
        return self.clients

    def connected(self):
        """The number of clients that have kept their connections."""
        return sum(client.socket is not None and not client.ended for client in self.clients)

    def freeze(self):
        self.frozen = True
        self.freezes.append((time.time_ns(), None))
        self.stop_rung()

    def thaw(self):
        self.frozen = False
        self.continue_rung()
        self.freezes[-1] = self.freezes[-1][0], time.time_ns()

    def __exit__(self, *_):
        """Closes what is left, and leaves no rung frozen."""
        if self.frozen:
            self.thaw()
        for client in self.clients:
            client.drop()
        self.selector.close()

    def turn(self):
        while self.ready:
            if (client := self.ready.popleft()) not in self.over:
                self.advance(client)
        if len(self.over) == len(self.clients):
            return
        wait = max(0.0, min(0.5, self.timers[0][0] - time.monotonic())) if self.timers else 0.5
        for key, mask in self.selector.select(wait):
            self.handle(key.data, mask)
        while self.timers and self.timers[0][0] <= time.monotonic():
            _, _, client, what = heapq.heappop(self.timers)
            if client.wait is what and client not in self.over:
                self.expire(client, what)

    def handle(self, client, mask):
        try:
            if mask & selectors.EVENT_READ:
                client.handle_read()
            if mask & selectors.EVENT_WRITE and client.socket:
                client.handle_write()
            self.watch(client)
            if client.wait and client.wait.is_there and client.wait.is_there():
                self.advance(client)
        except Wrong as wrong:
            self.fail(client, str(wrong))

    def expire(self, client, what):
        if what.is_pause:
            self.advance(client)
        else:
            self.fail(client, f"{what.what} ({len(client.inbox)} bytes are)")

    def start_some(self, name):
        """Starts clients of a group, as many as may run at the same time."""
        at_once = self.scenario.groups[name].at_once
        while self.later[name] and not (at_once and self.running[name] >= at_once):
            self.running[name] += 1
            self.ready.append(self.later[name].popleft())

    def advance(self, client):
        """Lets a client go on until it waits again, or is over."""
        client.wait = None
        try:
            client.wait = next(client.steps)
        except StopIteration:
            return self.end(client)
        except (Wrong, OSError) as wrong:
            return self.fail(client, str(wrong))
        if client.wait.until:
            heapq.heappush(self.timers, (client.wait.until, next(self.order), client, client.wait))
        if client.wait.event:
            self.waiting.setdefault(client.wait.event, []).append(client)
            self.make_room(client)
        return None

    def fail(self, client, why):
        """Ends a client. It keeps its connection, as any client that is done: closing would change what the loop does."""
        client.failure, client.wait = why, None
        client.steps.close()
        self.end(client)

    def end(self, client):
        """A client that is over has said all it could say, and is missed nowhere."""
        self.over.add(client)
        for step in client.group.steps:
            if step.verb == "say":
                self.say(client, step.label)
        meetings = sum(step.verb == "wait for all" for step in client.group.steps)
        for number in range(client.met + 1, meetings + 1):
            self.count(client, ("all", number))
        self.make_room(client)

    def make_room(self, client):
        """The client waits for others, or is over: another one of its group may start."""
        if client not in self.idle:
            self.idle.add(client)
            self.running[client.group.name] -= 1
            self.start_some(client.group.name)

    def say(self, client, label):
        self.count(client, ("said", label))

    def arrive(self, client, event):
        if not self.count(client, event):
            yield Wait(event=event)

    def count(self, client, event):
        """Notes that an event has come from this client; it is there when it has come from all that it can come from."""
        seen = self.counts.setdefault(event, set())
        seen.add(client)
        if event in self.events or len(seen) < self.expected(event):
            return event in self.events
        self.events.add(event)
        self.ready.extend(self.waiting.pop(event, []))
        return True

    def expected(self, event):
        kind, what = event
        if kind == "said":
            return sum(group.count for group in self.scenario.groups.values()
                       if any(step.verb == "say" and step.label == what for step in group.steps))
        return sum(group.count for group in self.scenario.groups.values()
                   if sum(step.verb == "wait for all" for step in group.steps) >= what)

    def watch(self, client):
        """Watches a client's socket for what the client can use now."""
        mask = selectors.EVENT_READ if client.reading and not client.ended and not client.connecting else 0
        mask |= selectors.EVENT_WRITE if client.outbox or client.connecting else 0
        before = self.masks.get(client, 0)
        if client.socket is None or mask == before:
            return
        self.masks[client] = mask
        if not before:
            self.selector.register(client.socket, mask, client)
        elif mask:
            self.selector.modify(client.socket, mask, client)
        else:
            self.selector.unregister(client.socket)

    def unwatch(self, client):
        if self.masks.pop(client, 0):
            self.selector.unregister(client.socket)


def allow_descriptors(number):
    """Raises the limit of descriptors of this process, and of the rungs that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < number:
        raise Trouble(f"{number} descriptors are needed, and the limit here (ulimit -Hn) is {hard}: choose fewer clients, "
                      "as in --clients 1000")
    if soft != resource.RLIM_INFINITY and soft < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))
