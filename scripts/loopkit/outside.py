"""Recordings of programs that do not record themselves: what strace(1) saw of each of their threads, in the format of
docs/RECORDINGS.md.

A thread that blocks (`loop blocking`) has a turn for each client: the wait is its accept, and each other call is a hook in
the row of its connection. A thread that was given a connection by another one has one turn for it. A thread that waits by select,
poll or epoll has turns as any loop."""

import dataclasses
import pathlib

from .served import SHORT, Act, Connection, Listener, queue_of
from .thread import Thread

# The most threads that have a recording.
MOST = 16


@dataclasses.dataclass
class Part:
    """The recording of one thread: `name` is the thread as people know it. `file` is set by who writes it."""

    thread: int
    name: str
    content: bytes
    file: pathlib.Path = None


def record(served, program, until, connects=(), source=""):
    """A `Part` for each thread that served, in the order in which they began to, and the number of those that are left out.
    What happens after `until` belongs to the end of the program."""
    listeners = [one for one in served.listeners if any(made.listener is one for made in served.connections)]
    began = min((one.began for one in listeners or served.listeners), default=until)
    queued = [one for one in queue_of(served, connects, until) if (one.until or until) - one.since >= SHORT]
    served_at = {}
    for thread, acts in served.acts.items():
        done = [act.call for act in acts if isinstance(act, Act) and (act.made or isinstance(act.on, Connection)
                and act.kind in ("recv", "send")) and (act.call.ended or act.call.began) <= until]
        if done:
            served_at[thread] = min(call.began for call in done)
    if not served_at:
        served_at = {thread: 0 for thread, acts in served.acts.items()
                     if any(isinstance(getattr(act, "on", None), Listener) and act.kind == "accept" for act in acts)}
    # A thread that accepts comes before those to which it gives connections.
    accepting = {thread for thread in served_at if any(act.kind == "accept" for act in served.acts[thread])}
    threads = sorted(served_at, key=lambda one: (one not in accepting, served_at[one] if one in accepting
                                                 else served.trace.tasks[one].began))
    parts = []
    for thread in threads[:MOST]:
        name = served.trace.called(thread)
        parts.append(Part(thread, name, Thread(served, thread, began, until, queued).file(program, name, source or "")))
    return parts, len(threads) - len(parts)
