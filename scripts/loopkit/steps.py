"""The calls of a thread, as a recording shows them: those that belong together are one."""

import dataclasses

from .served import Act, Listener, Wait

# Nanoseconds: a shorter wait for a lock tells nothing; the threads of Python take turns at one every 5 ms.
SHORT = 10_000_000
# So many calls in a row on one connection, of less than 10 ms each, are one hook.
MANY, BRIEF, GATHERED = 8, 10_000_000, "recv, send"


def kind_of_loop(acts):
    """A wait for one descriptor is a call that blocks, with a time-out; a wait for several makes a loop."""
    kinds = [act.kind for act in acts if isinstance(act, Wait) and (len(act.asked) > 1 or act.kind == "epoll")]
    return max(set(kinds), key=kinds.count) if kinds else "blocking"


@dataclasses.dataclass
class Step:
    """A call as a recording shows it: several calls may be one wait, such as a poll of one descriptor and the recv after it."""

    kind: str
    began: int
    act: Act
    gathered: tuple = ()

    @property
    def call(self):
        return self.act.call


def as_one(run):
    """These steps, or one for all of them."""
    if len(run) < MANY:
        return run
    call = dataclasses.replace(run[0].call, ended=run[-1].call.ended)
    return [Step(GATHERED, run[0].began, Act(GATHERED, call, run[0].act.on), tuple(run))]


def steps_of(acts, loop):
    """The calls of a thread that blocks: those that belong together are one. Of a loop, each call is one."""
    pending = interrupted = None
    for act in acts:
        if loop == "blocking" and isinstance(act, Wait):
            pending = pending if pending and pending.act.asked.keys() == act.asked.keys() else Step("", act.call.began, act)
            continue
        began = act.call.began
        if pending and act.on in pending.act.asked or interrupted and (act.kind, act.on) == interrupted[:2]:
            began = pending.began if pending else interrupted[2]
        interrupted = None
        if isinstance(act, Act) and act.call.error == "EINTR":
            interrupted = act.kind, act.on, began, act
            continue
        if isinstance(act, Act) and act.kind == "lock" and act.call.length is not None and act.call.length < SHORT:
            continue
        pending = None
        yield Step(act.kind, began, act)
    if interrupted:
        kind, on, began, act = interrupted
        yield Step(kind, began, Act(kind, dataclasses.replace(act.call, ended=None), on))
    if pending:
        # The last wait was not over, or nothing came of it.
        on = next(iter(pending.act.asked), None)
        kind = "accept" if isinstance(on, Listener) else "recv"
        yield Step(kind, pending.began, Act(kind, dataclasses.replace(pending.act.call, ended=None), on))


def gathered(acts, loop, until):
    """The steps, with one in place of many short ones: an echo of megabytes has thousands of them, and what matters is
    between them."""
    run = []
    for step in steps_of(acts, loop):
        small = loop == "blocking" and step.kind in ("recv", "send") and (step.call.result or 0) > 0 and (
            step.call.ended - step.began < BRIEF and step.call.ended <= until)
        if run and not (small and run[0].act.on is step.act.on):
            yield from as_one(run)
            run = []
        if small:
            run.append(step)
        else:
            yield step
    yield from as_one(run)
