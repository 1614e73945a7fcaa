"""Bugs of other servers, with their reports, as tests of any server."""

import re
import threading

from client import Connection, Silence, eventually, request
from harness import Skip, expect, row


# granian 527, pyo3 1741: objects of the server are dropped by another thread
@row("B", "environ, start_response, write and input may be dropped in any thread")
def dropped_elsewhere(case):
    server = case.serve()
    for _ in range(100):
        expect(case.ask(app="hoards", server=server).body, b"ok")
    assert "panicked" not in server.log() and "unsendable" not in server.log(), server.log()[-500:]


# fastwsgi 4, 31: used after the end of the response
@row("B", "write() and start_response() after the response are errors of the app")
def used_too_late(case):
    flag = case.flag()
    with Connection(case.server.address) as connection:
        expect(connection.ask(app="outlives", headers=[("X-Mark", case.mark), ("X-Flag", str(flag))]).body, b"ok")
        flag.touch()
        case.event("over")
        after = connection.ask(app="one")
        assert after is None or after.body == b"Hello World", f"the next response is {after}"


# gunicorn 1698, 2781, 2917, granian 789, waitress 301: idle connections take the place of busy ones
@row("B", "150 idle connections, and a new one is served")
def idle_connections(case):
    for _ in range(150):
        case.connect()
    with Connection(case.server.address, patience=5) as connection:
        try:
            expect(connection.ask(app="one").body, b"Hello World")
        except Silence:
            raise AssertionError("no client is served beside 150 idle connections") from None


# granian 873: long streams in all threads but one
@row("B", "three endless streams; the fourth thread serves")
def long_streams(case):
    if "threads" not in case.kind.knows or case.server.threads < 4:
        raise Skip("fewer than four threads")
    streams = [case.connect(small_window=True) for _ in range(3)]
    for stream in streams:
        stream.send(request("/", "endless", headers=[("X-Mark", case.mark)]))
        expect(stream.head().status, 200)
    for _ in range(20):
        with Connection(case.server.address, patience=5) as connection:
            expect(connection.ask(app="one").body, b"Hello World")


# gunicorn 1976: the request of a client that has left is run anyway
@row("B", "a request that waits for a thread is not run when its client has left", ours=True)
def left_while_waiting(case):
    server = case.serve(threads=1)
    flag = case.flag()
    busy = case.connect(server)
    busy.send(request("/", "waits", headers=[("X-Mark", case.mark), ("X-Flag", str(flag))]))
    case.event("begun", server)
    leaving = case.connect(server)
    port = leaving.port
    leaving.send(request("/", "unread", headers=[("X-Mark", case.mark)]))
    leaving.reset()
    eventually(lambda: port not in accepted_ports(server.port), "the server sees that it has left")
    flag.touch()
    expect(busy.answer().body, b"waited")
    expect(case.ask(app="one", server=server).body, b"Hello World")
    expect(case.events("called", server), [], "calls of the app")


def accepted_ports(port):
    """The client ports of the connections to this port, from the kernel."""
    found = set()
    with open("/proc/net/tcp") as table:
        for line in table:
            if match := re.match(rf"\s*\d+: \w+:{port:04X} \w+:(\w+) ", line):
                found.add(int(match[1], 16))
    return found


# bjoern 113, 114; requests of different shapes on one connection
@row("B", "one connection, 60 requests of all shapes")
def shapes(case):
    connection = case.connect()
    for number in range(60):
        shape = number % 5
        if shape == 0:
            answer = connection.ask(app="one")
        elif shape == 1:
            answer = connection.ask(app="echo", method="POST", body=b"body")
        elif shape == 2:
            answer = connection.ask(app="echo", method="POST", body=[b"bo", b"dy"])
        elif shape == 3:
            answer = connection.ask(app="streams")
        else:
            answer = connection.ask(app="one", method="HEAD")
        wanted = [b"Hello World", b"body", b"body", b"abbccc", b""][shape]
        assert answer is not None, f"closed at the {number + 1}th"
        expect(answer.body, wanted, f"the {number + 1}th")


# waitress 260, gunicorn 1264: seen by frameworks as a path without its beginning
@row("B", "threading.local lasts from request to request")
def thread_locals(case):
    for _ in range(40):
        thread, count = case.ask(app="thread_local").body.split()
        if int(count) > 1:
            return
    raise AssertionError("after 40 requests no thread has been here twice")


# A thundering herd of 40 threads
@row("B", "40 clients at once, 20 requests each: each gets its own response")
def crowd(case):
    wrong = []

    def client(number):
        try:
            with Connection(case.server.address) as connection:
                for turn in range(20):
                    text = f"{number}-{turn}".encode()
                    answer = connection.ask(app="echo", method="POST", body=text)
                    if answer is None or answer.body != text:
                        wrong.append(f"{text}: {answer}")
        except (OSError, AssertionError) as error:
            wrong.append(f"{number}: {error}")
    threads = [threading.Thread(target=client, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, f"{len(wrong)} wrong: {wrong[:3]}"


# uwsgi 1149: forked without the interpreter's hooks
@row("B", "each worker has its own random numbers", ours=True)
def chance(case):
    for args in ([], ["--preload"]):
        server = case.serve(workers=3, threads=1, args=args)
        seen = {}

        def all_three():
            pid, number, forks = case.ask(app="chance", server=server).body.decode().split(" ", 2)
            seen.setdefault(pid, (number, forks))
            return len(seen) == 3
        eventually(all_three, f"three workers answer {args}")
        assert len({number for number, _ in seen.values()}) == 3, f"the same chance twice: {seen}"
        if args:
            assert all(forks == "[1]" for _, forks in seen.values()), f"os.register_at_fork was not heeded: {seen}"
