"""The recording of one thread, from its system calls."""

import dataclasses

from .reading import BLOCKED, END, FAILED, NONE, RECORD
from .reading import KINDS as RECORD_KINDS
from .served import EPOLLED, Act, Connection, Listener, Wait, bits
from .steps import GATHERED, gathered, kind_of_loop

KIND = {name: number for number, name in enumerate(RECORD_KINDS, 1)}
# Why a hook is called: the wait has reported its channel, or the program calls it of itself.
EVENT, PROGRAM = 0, 9
# How a hook ends: it had not returned when the recording ended.
RETURNED, ERROR, PENDING = 0, 1, 3
ACCEPTED, ADOPTED = 1, 2
# A call that returns EAGAIN after so long had a time-out, and one that returns it at once did not wait.
TIMED_OUT = 5_000_000
# The most records of a recording, as in the ring of a program that records itself.
MOST = 32_768
HOOKS = {"lock": "wait for a thread", "child": "wait for a child"}


class Thread:
    """The records of one thread."""

    def __init__(self, served, thread, began, until, queued):
        self.served, self.thread, self.began, self.until, self.queued = served, thread, began, until, queued
        self.records, self.names, self.totals, self.now = [], {}, {"turns": 0, "read": 0, "written": 0, "responses": 0}, 0
        # Channels that are open, and what has a turn: the wait that is over.
        self.open, self.in_turn, self.ready = {}, False, ()
        self.acts = [act for act in served.acts[thread] if act.call.began <= until and (act.call.ended or until) >= began]
        self.loop = kind_of_loop(self.acts)
        self.last_lock = None
        self.notes = sorted(self.later_notes(), key=lambda note: note[0])
        self.run()

    # The records.

    def put(self, kind, time=None, key=NONE, code=0, name=0, a=0, b=0):
        if time is not None:
            self.tell_until(time)
            self.now = max(self.now, time - self.began, 0)
        self.records.append(RECORD.pack(self.now, key, KIND[kind], code, name, a, b))

    def tell_until(self, time):
        """Puts what others have done by then."""
        while self.notes and self.notes[0][0] <= time:
            at, note = self.notes.pop(0)
            self.now = max(self.now, at - self.began, 0)
            note()

    def name(self, text):
        return self.names.setdefault(text, len(self.names) + 1)

    def later_notes(self):
        """What happens to this thread's listeners and connections without it: pairs of a time and a call that puts it."""
        listener = next((act.on for act in self.acts if act.kind == "accept"), None)
        if listener:
            times = sorted([one.since for one in self.queued] + [one.until for one in self.queued if one.until])
            for time in times:
                if time < self.until:
                    yield time, lambda time=time: self.put_queue(listener, time)
        for one in {act.made for act in self.acts if isinstance(act, Act) and act.made}:
            others = [act for thread, acts in self.served.acts.items() if thread != self.thread for act in acts
                      if isinstance(act, Act) and act.on is one]
            if others:
                first = min(others, key=lambda act: act.call.began).call
                yield first.began, lambda one=one, first=first: self.put_state(one, self.served.trace.called(first.thread))
                if self.same_process(first.thread) and one.closed and one.closed <= self.until:
                    yield one.closed, lambda one=one: self.put_close(one)

    def same_process(self, thread):
        tasks = self.served.trace.tasks
        return tasks[thread].process == tasks[self.thread].process

    def put_queue(self, listener, time):
        waiting = sum(one.since <= time and not (one.until and one.until <= time) for one in self.queued)
        self.put("Queue", key=listener.descriptor, a=waiting, b=listener.backlog)

    def put_state(self, one, name):
        if one.descriptor in self.open:
            self.put("State", key=one.descriptor, name=self.name(f"in {name}"))

    def put_close(self, one):
        if self.open.get(one.descriptor) is one:
            self.put("Close", key=one.descriptor)
            del self.open[one.descriptor]

    def put_new(self, on, origin, parent=NONE):
        is_connection = isinstance(on, Connection)
        self.open[on.descriptor] = on
        self.put("New", key=on.descriptor, code=origin, name=self.name("connection" if is_connection else "listener"),
                 a=on.descriptor, b=parent)
        host, _, port = on.peer.rpartition(":") if is_connection else ("", "", "")
        if host.count(".") == 3:
            number = int.from_bytes(map(int, host.split(".")), "big")
            self.put("Peer", key=on.descriptor, code=4, name=int(port), a=number)

    # The calls, in order.

    def run(self):
        for on in {act.on.descriptor: act.on for act in self.acts if isinstance(getattr(act, "on", None), Listener)}.values():
            self.put_new(on, 0)
        for step in gathered(self.acts, self.loop, self.until):
            if len(self.records) > MOST:
                self.put("Mark", name=self.name("the rest is left out"))
                break
            if isinstance(step.act, Wait):
                self.wait(step)
            elif step.kind == "accept" and self.loop == "blocking":
                self.block_in_accept(step)
            else:
                self.call(step)
        task = self.served.trace.tasks[self.thread]
        if task.ended is None or task.ended > self.until:
            self.put("Mark", self.until, name=self.name("the recording ends"))

    def ended(self, step):
        """When the call returned; None if that was not before the end of the recording."""
        return step.call.ended if step.call.ended is not None and step.call.ended <= self.until else None

    def wait(self, step):
        act, ended = step.act, self.ended(step)
        asks = act.kind in ("select", "poll")
        self.put("Wait", act.call.began, name=self.name(act.kind), a=len(act.asked) if asks else 0,
                 b=NONE if act.limit is None else act.limit)
        if ended is None:
            return
        self.totals["turns"] += 1
        self.ready = act.ready
        self.put("Turn", ended, a=len(act.ready))
        for on, what in act.ready.items():
            self.put("Event", key=getattr(on, "descriptor", on), code=what & 15, name=what & 15)

    def block_in_accept(self, step):
        ended, made = self.ended(step), step.act.made
        self.put("Wait", step.began, name=self.name("accept"), b=NONE)
        if ended is None:
            return
        self.begin_turn(ended, int(made is not None))
        if made:
            self.put_new(made, ACCEPTED, step.act.on.descriptor)

    def begin_turn(self, time, events):
        self.in_turn = True
        self.totals["turns"] += 1
        self.put("Turn", time, a=events)

    def call(self, step):
        kind, on, call = step.kind, step.act.on, step.call
        if kind == "watch":
            self.watch(on, call)
            return
        if kind == "close":
            self.tell_until(call.began)
            if on is self.open.get(call.descriptor):
                self.put("Close", call.began, call.descriptor)
                del self.open[call.descriptor]
            return
        if isinstance(on, Connection) and self.open.get(call.descriptor) is not on:
            self.take_over(on, step)
        if self.loop == "blocking" and not self.in_turn:
            # A thread that accepts nothing waits for a lock before it is given a connection.
            self.last_lock = step.began if kind == "lock" else self.last_lock
            return
        if kind == "shutdown":
            self.put("Shutdown", call.began, call.descriptor)
            return
        self.hook(step)

    def watch(self, on, call):
        code = {"EPOLL_CTL_ADD": 1, "EPOLL_CTL_MOD": 2, "EPOLL_CTL_DEL": 3}[call.args[1]]
        what = EPOLLED.search(call.args[3]) if code < 3 else None
        self.put("Watch", call.began, on.descriptor, code, a=bits(what[1]) & 3 if what else 0)

    def take_over(self, on, step):
        """A connection that this thread has not accepted: its turn begins with it."""
        if self.loop == "blocking":
            begins = self.last_lock or self.served.trace.tasks[self.thread].began
            self.put("Wait", max(begins, self.began), name=self.name("start"), b=NONE)
            self.begin_turn(step.began, 1)
            self.last_lock = None
        on = dataclasses.replace(on, descriptor=step.call.descriptor) if on.descriptor != step.call.descriptor else on
        self.put_new(on, ADOPTED)
        self.open[step.call.descriptor] = step.act.on

    def hook(self, step):
        kind, call, ended = step.kind, step.call, self.ended(step)
        key = NONE if step.act.on is None else call.descriptor
        name = self.name(HOOKS.get(kind, kind))
        why = EVENT if step.act.on in self.ready and step.act.on is not None else PROGRAM
        self.put("Enter", step.began, key, why, name)
        if ended is None:
            self.put("Exit", self.until, key, PENDING, name)
            return
        self.tell_until(ended)
        self.now = max(self.now, ended - self.began)
        failed = self.put_result(kind, call, key, step)
        self.put("Exit", ended, key, ERROR if failed else RETURNED, name)

    def put_result(self, kind, call, key, step):
        """The bytes of a call, or the connection that it has made; returns whether it has failed."""
        if kind == "accept" and step.act.made:
            self.put_new(step.act.made, ACCEPTED, key)
        elif kind == "accept" and call.error == "EAGAIN":
            self.put("Mark", key=key, name=self.name("nothing to accept"))
        if kind == GATHERED:
            for word, one, total in (("Read", "recv", "read"), ("Write", "send", "written")):
                number = sum(part.call.result for part in step.gathered if part.kind == one)
                self.totals[total] += number
                self.put(word, key=key, b=number)
            self.put("Mark", key=key, name=self.name("calls"), b=len(step.gathered))
        if kind not in ("recv", "send"):
            return False
        word, total = ("Read", "read") if kind == "recv" else ("Write", "written")
        if call.result is None or call.result < 0:
            would_block = call.error in ("EAGAIN", "EWOULDBLOCK")
            is_late = would_block and call.ended - step.began > TIMED_OUT
            self.put(word, key=key, code=BLOCKED if would_block else FAILED)
            if is_late:
                self.put("Mark", key=key, name=self.name("time-out"))
            return is_late or not would_block and call.error != "EINTR"
        code = END if kind == "recv" and call.result == 0 else 0
        self.totals[total] += call.result
        self.put(word, key=key, code=code, b=call.result)
        return False

    def file(self, program, name, source):
        """The bytes of the recording."""
        self.tell_until(self.until)
        asks = {"select": " asked", "poll": " asked", "epoll": " register"}.get(self.loop, "")
        tasks, text = self.served.trace.tasks, source.encode()
        head = ["stheno recording 1", f"program {program}", f"loop {self.loop}", f"tells read write call queue{asks}",
                "keys descriptor", f"pid {tasks[self.thread].process}", "worker 0", f"thread {name}",
                f"began {self.began // 10**9}.{self.began % 10**9:09}"]
        head += [f"total {word} {number}" for word, number in self.totals.items()]
        head += [f"name {number} {text}" for text, number in self.names.items()]
        for descriptor, on in self.open.items():
            is_connection = isinstance(on, Connection)
            peer = f" peer={on.peer}" if is_connection and on.peer else ""
            kind = self.names["connection" if is_connection else "listener"]
            head.append(f"channel {descriptor}.0 {kind} fd={descriptor}{peer}")
        for one in self.queued:
            times = [one.since] + ([one.until] if one.until else [])
            head.append(" ".join(["queued", one.address, *(str(max(0, time - self.began)) for time in times)]))
        head += [f"records {len(self.records)}", f"source {len(text)}", "", ""]
        return "\n".join(head).encode() + b"".join(self.records) + text
