"""System calls of a program and of everything that it starts, by strace(1): how it is started below the tracer, and the
records of the tracer's output.

    trace = parse(text)
    trace.calls        each call in the order in which it began: its thread, name, arguments, result, beginning and end
    trace.tasks        each thread and process by its number: who made it, and when it began and ended

A call that is interrupted by other threads is two lines of the output (`<unfinished ...>`, `<... resumed>`) and one `Call`; so
is a call that the kernel starts again after a signal. Times are nanoseconds since 1970, as `time.time_ns()` returns them. The
tracer stops the thread at each call that it records, which takes some 20 to 50 microseconds: what is short is longer here than
it is without the tracer, and what waits is not."""

import dataclasses
import functools
import re
import subprocess

from lib import Trouble, setup

# Calls on sockets, waits, and what makes and ends threads and processes.
TRACED = ("%network,%process,read,write,readv,writev,close,dup,dup2,dup3,fcntl,sendfile,splice,select,pselect6,poll,ppoll,"
          "epoll_create,epoll_create1,epoll_ctl,epoll_wait,epoll_pwait,epoll_pwait2,nanosleep,clock_nanosleep,pause,futex,prctl")
# The beginning of a line, a call that was begun, its end, and the result of one that has returned.
LINE = re.compile(r"(\d+) +(\d+)\.(\d{9}) (.*)")
BEGUN = re.compile(r"(\w+)\((.*)")
RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)")
RESULT = re.compile(r"\s*= (-?\d+|\?|0x[0-9a-f]+)(<.*?(?<!-)>)?(?: (E[A-Z0-9]+))?(.*?)(?: <(\d+)\.(\d{9})>)?$")
NAME = re.compile(r'PR_SET_NAME, "((?:\\.|[^"\\])*)"')
SECOND = 1_000_000_000


@dataclasses.dataclass(slots=True)
class Call:
    """One system call. `result` is None, and so is `ended`, when it had not returned at the end of the trace."""

    thread: int
    name: str
    began: int
    args: list
    ended: int = None
    result: int = None
    error: str = ""
    # What follows the number of the result: the path of a descriptor, `(Timeout)`, `(in [3 4])`.
    more: str = ""
    # How often a signal has interrupted it, after which the kernel started it again; and when that was last.
    restarts: int = 0
    started: int = 0

    @property
    def length(self):
        """Nanoseconds; None of a call that has not returned."""
        return None if self.ended is None else self.ended - self.began

    @property
    def descriptor(self):
        """The number of the descriptor that is the first argument, or None."""
        found = re.match(r"\d+", self.args[0]) if self.args else None
        return int(found[0]) if found else None


@dataclasses.dataclass(slots=True)
class Task:
    """A thread. The first one of a process has the process's number."""

    number: int
    process: int
    parent: int = None
    name: str = ""
    began: int = None
    ended: int = None
    # `exited with 0`, `killed by SIGKILL`.
    how: str = ""

    @property
    def is_thread(self):
        return self.number != self.process


@dataclasses.dataclass
class Trace:
    calls: list
    tasks: dict
    # Pairs of a time and the name of a signal, of each thread.
    signals: dict

    def of(self, thread):
        return [call for call in self.calls if call.thread == thread]

    def called(self, thread):
        """`main thread`, `Thread-1`, `process 2`, `process 2, thread 1`: as many words as are needed."""
        tasks, task = self.tasks, self.tasks[thread]
        processes = sorted({one.process for one in tasks.values()}, key=lambda number: (tasks[number].began, number))
        number = processes.index(task.process)
        threads = sorted((one.number for one in tasks.values() if one.process == task.process and one.is_thread),
                         key=lambda one: (tasks[one].began, one))
        own = task.name or f"thread {threads.index(thread) + 1}" if task.is_thread else ""
        process = f"process {number + 1}" if number else ""
        return ", ".join(filter(None, (process, own))) or "main thread"


def parse(text):
    """The trace in this output of `strace -f` with nanoseconds."""
    calls, open_calls, tasks, signals = [], {}, {}, {}
    for line in text.splitlines():
        if not (match := LINE.match(line)):
            continue
        thread, now, rest = int(match[1]), int(match[2]) * SECOND + int(match[3]), match[4]
        task = tasks.setdefault(thread, Task(thread, thread, began=now))
        if rest.startswith("+++"):
            task.ended, task.how = now, rest.strip("+ ")
        elif rest.startswith("---"):
            if found := re.match(r"--- (SIG\w+) \{", rest):
                signals.setdefault(thread, []).append((now, found[1]))
        elif match := RESUMED.match(rest):
            if call := open_calls.get(thread):
                finish(call, match[2])
        elif match := BEGUN.match(rest):
            call = begin(thread, now, match[1], match[2], open_calls.get(thread))
            if call is not (last := open_calls.get(thread)):
                calls.append(call)
                open_calls[thread] = call
                if last and last.error.startswith("ERESTART"):
                    # A handler ran, and then the call returned.
                    last.result, last.error = -1, "EINTR"
    for call in open_calls.values():
        if call.error.startswith("ERESTART"):
            # The signal has ended the thread.
            call.ended, call.error = None, ""
    make_tasks(calls, tasks)
    return Trace(calls, tasks, signals)


def begin(thread, now, name, rest, last):
    """The call of this line: a new one, or `last`, which the kernel starts again after a signal."""
    is_again = last and last.error.startswith("ERESTART") and (
        name == "restart_syscall" or name == last.name and rest.partition(",")[0] == ",".join(last.args[:1]))
    call = last if is_again else Call(thread, name, now, [])
    call.started = now
    if is_again:
        call.restarts, call.error, call.ended, call.result = call.restarts + 1, "", None, None
        if name != "restart_syscall":
            call.args = []
    if rest.endswith("<unfinished ...>"):
        call.args += split(rest.removesuffix("<unfinished ...>"))[0]
    else:
        finish(call, rest)
    return call


def finish(call, rest):
    """Notes the arguments that are left, and the result."""
    # A thread that ends in a call has ` <unfinished ...>) = ?`, alone or after `<... accept4 resumed>`.
    args, tail = split(re.sub(r" ?<unfinished \.\.\.>(?=\) += \?$)", "", rest))
    call.args += args
    if not (match := RESULT.match(tail)):
        return
    number, path, error, more, seconds, nanos = match.groups()
    call.result = None if number == "?" else int(number, 0)
    call.error, call.more = error or "", ((path or "") + more).strip()
    if seconds is not None:
        call.ended = call.started + int(seconds) * SECOND + int(nanos)


def split(text):
    """The arguments up to the closing parenthesis of the call, and what follows it. Texts, brackets and the `<…>` after a
    descriptor may have commas in them."""
    args, depth, from_, at, size = [], 0, 0, 0, len(text)
    while at < size:
        sign = text[at]
        if sign == '"':
            at = closing_quote(text, at)
        elif sign == "<" and at and text[at - 1].isdigit():
            at = closing_angle(text, at)
        elif sign in "([{":
            depth += 1
        elif sign in ")]}":
            if sign == ")" and not depth:
                break
            depth -= 1
        elif sign == "," and not depth:
            args.append(text[from_:at].strip())
            from_ = at + 1
        at += 1
    last = text[from_:at].strip()
    return args + ([last] if last else []), text[at + 1:]


def closing_quote(text, at):
    at += 1
    while at < len(text) and text[at] != '"':
        at += 2 if text[at] == "\\" else 1
    return at


def closing_angle(text, at):
    """The `>` that ends `<TCP:[1.2.3.4:5->6.7.8.9:10]>`; that of an arrow does not."""
    while at < len(text) and (text[at] != ">" or text[at - 1] == "-"):
        at += 1
    return at


def make_tasks(calls, tasks):
    """Who made each thread, and of which process it is."""
    for call in calls:
        if call.name in ("clone", "clone3", "fork", "vfork") and call.result:
            task = tasks.setdefault(call.result, Task(call.result, call.result, began=call.ended))
            is_thread = any("CLONE_THREAD" in arg for arg in call.args)
            task.parent = call.thread
            task.process = tasks[call.thread].process if is_thread else call.result
            task.began = min(task.began, call.ended)
        elif call.name == "prctl" and (match := NAME.match(", ".join(call.args))):
            tasks[call.thread].name = match[1]
    # The one that makes a thread may be a thread whose own process was not known when its line came.
    for task in tasks.values():
        while task.is_thread and tasks[task.process].process != task.process:
            task.process = tasks[task.process].process


@functools.cache
def program():
    """The path of strace, which is installed where that can be done. Raises `Trouble` where it cannot trace."""
    setup.install({"strace": "strace"})
    path = setup.which("strace")
    if not path:
        raise Trouble("strace is not installed, and records programs without a loop of their own (Debian: strace)")
    done = subprocess.run([path, "-f", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[0]
        raise Trouble(f"strace cannot trace here: {said}")
    return path


def command(words, file):
    """The command that runs these words below the tracer, whose output goes to this file. The program is a child of ours, as
    without it: the tracer is not in between (-DD)."""
    return [program(), "-DD", "-f", "--seccomp-bpf", "--quiet=attach,personality,path-resolution", "-yy", "-s", "128",
            "--absolute-timestamps=format:unix,precision:ns", "--syscall-times=ns", "-e", f"trace={TRACED}", "-o", str(file),
            *words]
