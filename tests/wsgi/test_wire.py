"""Rows X: 100-continue, pipelining, clients that leave, and smuggling."""

import pathlib
import re
import time

from client import Connection, Silence, eventually, request
from harness import Skip, expect, row


# WSGI X1
@row("X1", "Expect: 100-continue gets a response before the body comes")
def continues(case):
    with Connection(case.server.address, patience=5) as connection:
        connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nX-App: echo\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        try:
            first = connection.answer(interim=True)
        except Silence:
            raise AssertionError("no 100") from None
        expect(first and first.status, 100)
        connection.send(b"hello")
        expect(connection.answer().body, b"hello")
        after = connection.ask(app="one")
        expect(after and after.body, b"Hello World", "the request behind it")


# WSGI X1
@row("X1", "no 100 for HTTP/1.0, nor if the body has arrived already")
def does_not_continue(case):
    connection = case.connect()
    connection.send(b"POST / HTTP/1.0\r\nX-App: echo\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
    answer = connection.answer(interim=True)
    assert answer.status == 200 and answer.body == b"hello", answer


# WSGI X1
@row("X1", "other expectations get 417, or are ignored")
def other_expectations(case):
    connection = case.connect()
    connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nX-App: echo\r\nContent-Length: 5\r\nExpect: wonders\r\n\r\nhello")
    answer = connection.answer()
    assert answer.status == 417 or answer.body == b"hello", answer


# WSGI X2
@row("X2", "pipelined requests get their responses in order")
def pipelined(case):
    connection = case.connect()
    paths = [f"/pipelined/{number}" for number in range(20)]
    connection.send(b"".join(request(path, "dump") for path in paths))
    for path in paths:
        answer = connection.answer()
        assert answer is not None, f"no response to {path}"
        expect(answer.json["PATH_INFO"][1], path)


# WSGI X2
@row("X2", "also after a slow request, and with bodies")
def pipelined_slow(case):
    connection = case.connect()
    flag = case.flag()
    connection.send(request("/", "streams_until", headers=[("X-Flag", str(flag)), ("X-Mark", case.mark)])
                    + request("/", "echo", "POST", body=b"one") + request("/", "echo", "POST", body=[b"two"])
                    + request("/", "one"))
    while b"begun" not in connection.buffer:
        assert connection.more(), "closed"
    flag.touch()
    for wanted in [b"begun ended", b"one", b"two", b"Hello World"]:
        answer = connection.answer()
        assert answer is not None, f"no response to {wanted}"
        expect(answer.body, wanted)


# WSGI X3; waitress 236, fastwsgi 31
@row("X3", "a client that leaves: the app is stopped, close() is called")
def leaves(case):
    for number, how in enumerate(("close", "reset")):
        connection = case.connect(small_window=True)
        mark = f"{case.mark}x{number}"
        connection.send(request("/", "endless", headers=[("X-Mark", mark)]))
        expect(connection.head().status, 200)
        getattr(connection, how)()
        eventually(lambda: [one for one in case.server.events() if one[:2] == [mark, "closed"]], f"close() after a {how}", 10)
    expect(case.ask(app="one").body, b"Hello World")


# WSGI X3, S7; waitress 236
@row("X3", "write() raises when the client has left")
def leaves_write(case):
    connection = case.connect(small_window=True)
    connection.send(request("/", "endless_write", headers=[("X-Mark", case.mark)]))
    head = connection.head()
    if head.status == 500 and not case.kind.name.startswith("stheno"):
        raise Skip("no write(), see S7")
    expect(head.status, 200)
    connection.reset()
    eventually(lambda: case.events("stopped"), "write() raises", 10)


# WSGI X3, R2
@row("X3", "a client that leaves before the response: close() is called")
def leaves_early(case):
    flag = case.flag()
    connection = case.connect()
    connection.send(request("/", "waits", headers=[("X-Mark", case.mark), ("X-Flag", str(flag))]))
    case.event("begun")
    connection.reset()
    flag.touch()
    case.event("ended")
    eventually(lambda: case.events("closed"), "close()", 10)


# WSGI X3; waitress 418, bjoern 88
@row("X3", "a client that has left or shut its side makes no thread spin")
def no_spinning(case):
    server = case.serve()
    flag = case.flag()
    connections = [case.connect(server) for _ in range(2)]
    for connection in connections:
        connection.send(request("/", "waits", headers=[("X-Mark", case.mark), ("X-Flag", str(flag))]))
        if "threads" not in case.kind.knows or server.threads < 2:
            raise Skip("one thread, which waits in the app")
    eventually(lambda: len(case.events("begun", server)) == 2, "both are in the app")
    connections[0].half_close()
    connections[1].reset()

    def used():
        # The apps' polling takes some CPU time; a loop that spins would take all of a CPU.
        return sum(sum(map(int, pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
                   for pid in server.pids()) / 100
    before, begun = used(), time.monotonic()
    time.sleep(1.0)
    share = (used() - before) / (time.monotonic() - begun)
    flag.touch()
    assert share < 0.5, f"{share:.0%} of a CPU"


# WSGI X3
@row("X3", "a client that only shut its side still gets its response")
def half_closed(case):
    connection = case.connect()
    connection.send(request("/", "one"))
    connection.half_close()
    answer = connection.answer()
    expect(answer and answer.body, b"Hello World")


def leavers(case, args):
    """One thread is busy while three clients send a request and leave. Returns what the access log has of them then, and what
    the application has done for them once the thread is free."""
    access, flag = case.folder / "access", case.flag()
    server = case.serve(threads=1, args=["--access-log", str(access), *args])
    waits = lambda mark: request(f"/{mark}", "waits", headers=[("X-Mark", mark), ("X-Flag", str(flag))])
    busy = case.connect(server)
    busy.send(waits(case.mark))
    case.event("begun", server)
    for how in ("close", "half_close", "reset"):
        connection = case.connect(server)
        connection.send(waits(how))
        getattr(connection, how)()
    # Another one of this process waits behind them.
    last = case.connect(server)
    last.send(waits("last"))
    yield access.read_text, flag
    expect(busy.answer().body, b"waited")
    expect(last.answer().body, b"waited")
    yield {one[0] for one in server.events() if one[1] == "begun"} - {case.mark, "last"}


# WSGI X3
@row("X3", "a client that leaves while its request waits for a thread: 499, and the app is not called", ours=True)
def abandoned(case):
    if case.kind.name == "stheno:0":
        raise Skip("no request waits for a thread")
    steps = leavers(case, [])
    log, flag = next(steps)
    for how in ("close", "half_close", "reset"):
        eventually(lambda: re.search(f'"GET /{how} HTTP/1.1" 499 0', log()), f"499 for {how}, before the thread is free")
    flag.touch()
    expect(next(steps), set())


# WSGI X3
@row("X3", "--run-abandoned: the app is called for a client that has left", ours=True)
def run_abandoned(case):
    if case.kind.name == "stheno:0":
        raise Skip("no request waits for a thread")
    steps = leavers(case, ["--run-abandoned"])
    _, flag = next(steps)
    flag.touch()
    expect(next(steps), {"close", "half_close", "reset"})


def smuggled(case, head, number, body=b""):
    """Sends a doubtful head with a request in its body, which must not get a response."""
    mark = f"{case.mark}n{number}"
    inner = b"GET / HTTP/1.1\r\nHost: a\r\nX-App: unread\r\nX-Mark: %s\r\n\r\n" % mark.encode()
    with Connection(case.server.address) as connection:
        connection.send(head + (body or b"0\r\n\r\n" + inner))
        connection.half_close()
        answer = connection.answer()
        connection.rest() if answer else None
    called = [one for one in case.server.events() if one[0] == mark]
    return answer, called


LENGTH = b"POST / HTTP/1.1\r\nHost: a\r\nX-App: one\r\n"
DOUBTFUL = [LENGTH + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            LENGTH + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
            LENGTH + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
            LENGTH + b"Content-Length: 5, 6\r\n\r\n",
            LENGTH + b"Content-Length: +5\r\n\r\n",
            LENGTH + b"Content-Length: 5_0\r\n\r\n",
            LENGTH + b"Content-Length: 0x5\r\n\r\n",
            LENGTH + b"Content-Length: -5\r\n\r\n",
            LENGTH + b"Content-Length:\r\n\r\n",
            LENGTH + b"Content-Length : 5\r\n\r\n",
            LENGTH + b"Transfer-Encoding: xchunked\r\n\r\n",
            LENGTH + b"Transfer-Encoding: chunked, identity\r\n\r\n",
            LENGTH + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
            LENGTH + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
            LENGTH + b"Transfer-Encoding : chunked\r\n\r\n",
            LENGTH + b"Transfer-Encoding:\x0bchunked\r\n\r\n",
            LENGTH + b"X-A: b\r\n Transfer-Encoding: chunked\r\n\r\n",
            b"POST / HTTP/1.0\r\nHost: a\r\nX-App: one\r\nTransfer-Encoding: chunked\r\n\r\n"]


# WSGI X4; waitress 464, 465, cheroot 275
@row("X4", "18 doubtful framings: refused, nothing is smuggled")
def framing(case):
    bad = []
    for number, head in enumerate(DOUBTFUL):
        what = head.removeprefix(LENGTH)[:60]
        try:
            answer, called = smuggled(case, head, number)
        except AssertionError as error:
            bad.append(f"{what}: {error}")
            continue
        if called:
            bad.append(f"{what} smuggles")
        elif answer is not None and answer.status not in (400, 411, 413, 501):
            bad.append(f"{what} is {answer.status}")
    assert not bad, f"{len(bad)} of {len(DOUBTFUL)}: {'; '.join(bad)}"


# WSGI X4
@row("X4", "two Hosts, no Host, spaces before the colon, folded lines: 400")
def heads(case):
    bad = []
    for text in [b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n",
                 b"GET / HTTP/1.1\r\nHost: a\r\nX-A : b\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n folded\r\n\r\n",
                 b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\0c\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX-A\r\n\r\n",
                 b"GET / HTTP/1.1\r\nHost: a\r\nX A: b\r\n\r\n", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
                 b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n"]:
        with Connection(case.server.address) as connection:
            connection.send(text)
            connection.half_close()
            try:
                answer = connection.answer()
            except AssertionError as error:
                bad.append(f"{text[:60]}: {error}")
                continue
            if answer is not None and answer.status != 400:
                bad.append(f"{text[:60]} is {answer.status}")
    assert not bad, "; ".join(bad)
