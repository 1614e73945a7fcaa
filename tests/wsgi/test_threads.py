"""The threads of a worker: what tools see of them, slow readers, and those that hang."""

import hashlib
import pathlib
import re
import signal
import sys
import time

from apps.threads import PIECE, numbered
from client import eventually, request
from harness import Skip, expect, row


def pool(case, **options):
    """A server with threads."""
    server = case.serve(**options)
    if not server.threads:
        raise Skip("without threads")
    return server


def pid_of(case, server):
    return case.ask(app="pids", server=server).body.split()[0].decode()


# debugpy, py-spy
@row("P", "threads are those of threading: names, enumerate", ours=True)
def known(case):
    server = case.serve()
    facts = case.ask(app="threads", server=server).json
    if not server.threads:
        expect((facts["name"], facts["kind"]), ("MainThread", "_MainThread"))
        return
    assert re.fullmatch(r"wsgi-[0-3]", facts["name"]), facts
    expect((facts["kind"], facts["daemon"]), ("Thread", True))
    expect([name for name in facts["all"] if name.startswith("wsgi-")], [f"wsgi-{n}" for n in range(server.threads)])
    tasks = pathlib.Path(f"/proc/{pid_of(case, server)}/task")
    names = {path.read_text().strip() for path in tasks.glob("*/comm")}
    assert facts["name"] in names, names


TRACED = """import sys, threading
SEEN, PROFILED = set(), set()

def trace(frame, event, argument):
    if frame.f_code.co_filename == __file__:
        SEEN.add((frame.f_code.co_name, event))
        return trace

def profile(frame, event, argument):
    if frame.f_code.co_filename == __file__:
        PROFILED.add((frame.f_code.co_name, event))

for where in (threading, sys):
    where.settrace(trace)
    where.setprofile(profile)

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield repr((sorted(SEEN), sorted(PROFILED))).encode()
"""


# debugpy, coverage
@row("P", "settrace and setprofile see the lines of the application", ours=True)
def traced(case):
    (case.folder / "traced.py").write_text(TRACED)
    server = case.serve(app="traced:application", cwd=case.folder)
    seen, profiled = eval(case.ask(server=server).body)
    assert {("application", "call"), ("application", "line")} <= set(seen), seen
    assert ("application", "call") in profiled, profiled


WRAPPED = """import _thread, threading
native = _thread.start_new_thread
# As a debugger does.
_thread.start_new_thread = threading._start_new_thread = lambda *arguments: native(*arguments)

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [type(threading.current_thread()).__name__.encode()]
"""

# debugpy
@row("P", "threads start when the function that starts them is wrapped", ours=True)
def replaced(case):
    (case.folder / "wrapped.py").write_text(WRAPPED)
    server = pool(case, app="wrapped:application", cwd=case.folder)
    expect(case.ask(server=server).body, b"Thread")


def stops_reading(case, server, app, count, pieces):
    """`count` readers that stop when the app has begun."""
    readers = [case.connect(server) for _ in range(count)]
    for reader in readers:
        reader.send(request(f"/?{pieces}", app, headers=[("X-Mark", case.mark)]))
        expect(reader.head().status, 200)
    eventually(lambda: len(case.events("begun", server)) == count, f"{count} apps begin")
    return readers


def digest(pieces):
    whole = hashlib.sha256()
    for piece in numbered(pieces):
        whole.update(piece)
    return whole.hexdigest()


def reads_on(reader, pieces):
    """The digest of the body that is left."""
    whole, missing = hashlib.sha256(), pieces * PIECE
    while missing:
        data = reader.buffer or (reader.more() and reader.buffer)
        if not data:
            break
        reader.buffer = b""
        whole.update(data)
        missing -= len(data)
    return whole.hexdigest(), missing


# Item 5: readers that stop
@row("P", "readers that stop in a generator, or in write(), hold no thread", ours=True)
def slow_readers(case):
    wanted = {pieces: digest(pieces) for pieces in (320, 1600)}
    for app, count, pieces in [("pieces", 4, 1600), ("pieces", 12, 320), ("written_pieces", 12, 320)]:
        server = pool(case)
        worker = [int(pid_of(case, server))]
        before = server.memory("RssAnon", worker)
        readers = stops_reading(case, server, app, count, pieces)
        times = []
        with case.connect(server) as connection:
            for _ in range(10):
                begun = time.monotonic()
                expect(connection.ask(app="one").body, b"Hello World")
                times.append(time.monotonic() - begun)
        assert sorted(times)[5] < 0.1, f"{app}, {count} readers: {times}"
        grown = (server.memory("RssAnon", worker) - before) // 1024
        assert grown < 1024 * count, f"{app}, {count} readers: {grown} KiB"
        for reader in readers:
            expect(reads_on(reader, pieces), (wanted[pieces], 0), f"{app}, {count} readers")
        most = [case.connect(server) for _ in range(12)]
        for connection in most:
            connection.send(request("/", "together"))
        assert max(int(connection.answer().body) for connection in most) <= server.threads, "too many run"
        assert [int(pid_of(case, server))] == worker, "the worker was replaced"
        server.stop()
        (server.folder / "events").unlink(missing_ok=True)
        case.mark += "x"


# Item 5: more readers than threads
@row("P", "--spare-threads is the limit; a reader that leaves makes place", ours=True)
def more_readers_than_threads(case):
    server = pool(case, threads=1, args=["--spare-threads", "2"])
    readers = stops_reading(case, server, "pieces", 3, 320)
    waiting = case.connect(server, patience=0.5)
    waiting.send(request("/", "one"))
    try:
        assert not waiting.more(), "a fourth thread"
    except AssertionError as silence:
        assert "nothing in" in str(silence), silence
    readers[0].reset()
    waiting.socket.settimeout(20)
    expect(waiting.answer().body, b"Hello World")


# --timeout
@row("P", "--timeout: a worker that hangs is replaced, and logs where", ours=True)
def hung(case):
    for threads in (1, 0):
        server = case.serve(threads=threads, args=["--timeout", "2", "--grace", "3"])
        old = pid_of(case, server)
        connection = case.connect(server)
        connection.send(request("/", "hangs", headers=[("X-Mark", case.mark)]))
        case.event("hangs", server)
        waiting = case.connect(server)
        waiting.send(request("/", "one"))
        eventually(lambda: "the_line_where_it_hangs" in server.log(), f"the stack, {threads} threads")
        if threads:
            answer = waiting.answer()
            expect((answer.status, answer.get("Retry-After"), answer.get("Connection")), (503, "1", "close"))
        assert connection.is_closed(), "the client of the one that hangs is answered"
        eventually(lambda: answers(case, server), f"another worker serves, {threads} threads")
        assert pid_of(case, server) != old, "the same worker"


# --timeout
@row("P", "--timeout: what hangs with the interpreter is aborted, and logs where", ours=True)
def hung_with_the_interpreter(case):
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        raise Skip("a free-threaded interpreter has no lock that one thread can keep")
    server = pool(case, args=["--timeout", "1", "--grace", "2"])
    case.connect(server).send(request("/", "waits_in_c", headers=[("X-Mark", case.mark)]))
    case.event("hangs", server)
    waiting = case.connect(server)
    waiting.send(request("/", "one"))
    expect(waiting.answer().status, 503)
    eventually(lambda: "in waits_in_c" in server.log(), "the stack, of faulthandler")
    eventually(lambda: answers(case, server), "another worker serves")


def answers(case, server, app="one", wanted=b"Hello World"):
    try:
        return case.ask(app=app, server=server).body == wanted
    except (OSError, AssertionError):
        return False


# --timeout
@row("P", "--timeout: slow requests, and one that waits for them, are answered", ours=True)
def slow_and_waiting(case):
    server = pool(case, args=["--timeout", "1", "--grace", "20"])
    flag = case.flag()
    headers = [("X-Mark", case.mark), ("X-Flag", str(flag))]
    slow = [case.connect(server) for _ in range(server.threads)]
    for connection in slow:
        connection.send(request("/", "waits_silently", headers=headers))
    eventually(lambda: len(case.events("begun", server)) == len(slow), "all threads are busy")
    waiting = case.connect(server)
    waiting.send(request("/", "one"))
    eventually(lambda: "no thread has returned" in server.log() and "draining" in server.log(), "it is noticed")
    eventually(lambda: answers(case, server), "another worker serves")
    flag.touch()
    for connection in slow:
        expect(connection.answer().body, b"waited")
    expect(waiting.answer().body, b"Hello World")


# --timeout
@row("P", "--timeout: while no request waits, a slow one is only logged", ours=True)
def slow_alone(case):
    server = pool(case, threads=1, args=["--timeout", "1"])
    pid, flag = pid_of(case, server), case.flag()
    with case.connect(server) as connection:
        connection.send(request("/", "waits_silently", headers=[("X-Mark", case.mark), ("X-Flag", str(flag))]))
        eventually(lambda: re.search(": 1 of 1\n.*wsgi-0, for . s: .*waits_silently", server.log()), "its stack")
        flag.touch()
        expect(connection.answer().body, b"waited")
    expect(pid_of(case, server), pid, "process")
    expect(server.log().count("wsgi-0, for"), 1, "stacks")


# --timeout
@row("P", "--timeout: 3 of 4 threads that hang are logged, each once", ours=True)
def most_hang(case):
    server = pool(case, args=["--timeout", "1"])
    pid = pid_of(case, server)
    for _ in range(3):
        case.connect(server).send(request("/", "hangs", headers=[("X-Mark", case.mark)]))
    eventually(lambda: server.log().count("the_line_where_it_hangs") == 3, "three stacks")
    begun = time.monotonic()
    while time.monotonic() - begun < 2.5 and not time.sleep(0.1):
        expect(case.ask(app="one", server=server).body, b"Hello World")
    expect(pid_of(case, server), pid, "process")
    expect(server.log().count("the_line_where_it_hangs"), 3, "stacks")


# --timeout
@row("P", "--timeout does not end a worker that streams for longer", ours=True)
def slow_but_alive(case):
    server = case.serve(threads=1, args=["--timeout", "1"])
    pid = pid_of(case, server)
    connection = case.connect(server, small_window=True)
    connection.send(request("/", "endless", headers=[("X-Mark", case.mark)]))
    waiting = case.connect(server)
    waiting.send(request("/", "one"))
    begun = time.monotonic()
    while time.monotonic() - begun < 3:
        connection.buffer = b""
        assert connection.more(), "closed while it streams"
    connection.close()
    expect(waiting.answer().body, b"Hello World")
    expect(pid_of(case, server), pid, "process")


# Drain
@row("P", "TERM: a request that no thread has begun by the end of the grace gets 503", ours=True)
def drained_while_waiting(case):
    server = pool(case, threads=1, args=["--grace", "2"])
    busy, waiting, kept = case.connect(server), case.connect(server), case.connect(server)
    busy.send(request("/", "hangs", headers=[("X-Mark", case.mark)]))
    case.event("hangs", server)
    waiting.send(request("/", "one", "HEAD"))
    eventually(lambda: taken(waiting), "the request has arrived")
    server.signal(signal.SIGTERM)
    answer = waiting.answer("HEAD")
    expect((answer.status, answer.get("Retry-After"), answer.get("Connection")), (503, "1", "close"))
    assert busy.is_closed() and kept.is_closed(), "answered"
    expect(server.wait(10), 0, "exit code")


# A request that waits for a thread
@row("P", "clients that leave while they wait for a thread leave no request behind", ours=True)
def left_while_waiting(case):
    server = pool(case, threads=1)
    flag = case.flag()
    busy = case.connect(server)
    busy.send(request("/", "waits_silently", headers=[("X-Mark", case.mark), ("X-Flag", str(flag))]))
    case.event("begun", server)
    worker = [int(pid) for pid in server.pids() if pid != server.process.pid]
    before = server.memory("RssAnon", worker)
    for _ in range(100):
        connection = case.connect(server)
        connection.send(request("/", "one", "POST", body=b"x" * 500_000))
        eventually(lambda: taken(connection), "the body has arrived")
        connection.reset()
    grown = (server.memory("RssAnon", worker) - before) // 1024
    assert grown < 8 * 1024, f"{grown} KiB"
    flag.touch()
    expect(busy.answer().body, b"waited")


def taken(connection):
    """Whether the server has taken all that was sent. (SIOCOUTQ)"""
    import fcntl
    import struct
    import termios
    return struct.unpack("i", fcntl.ioctl(connection.socket, termios.TIOCOUTQ, b"\0" * 4))[0] == 0
