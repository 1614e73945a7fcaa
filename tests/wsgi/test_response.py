"""Rows R: the result of the app, and the response to the client."""

import contextlib
import time

from client import Connection, Silence, eventually, request
from harness import Skip, expect, goes_out_at_once, row


def still_fine(connection, what):
    """Checks that the connection is closed, or that the next response on it is the right one."""
    answer = connection.ask(app="one")
    if answer is not None:
        expect((answer.status, answer.body), (200, b"Hello World"), f"the answer behind {what}")


# WSGI R1
@row("R1", "None, text, numbers, or no start_response: 500")
def nonsense(case):
    for app in ["returns_none", "returns_text", "returns_a_number", "never_starts", "never_starts_and_is_empty"]:
        answer = case.ask(app=app)
        assert answer.status == 500 or answer.framing != "close" and not answer.complete, f"{app}: {answer}"


# WSGI R1
@row("R1", "an app that raises: 500, details in the log only")
def raises(case):
    answer = case.ask(app="raises")
    expect(answer.status, 500)
    assert b"secret" not in answer.body and b"Traceback" not in answer.body, answer.body
    eventually(lambda: f"on purpose: secret {case.mark}" in case.server.log(), "the traceback in the log")


# WSGI R1
@row("R1", "raised at the first chunk: 500")
def raises_at_the_first(case):
    expect(case.ask(app="raises_at_the_first").status, 500)
    case.event("closed")


# WSGI R1
@row("R1", "raised after the first chunk: the response is visibly cut off")
def raises_in_the_middle(case):
    with Connection(case.server.address) as connection:
        answer = connection.ask(app="raises_in_the_middle", headers=[("X-Mark", case.mark)])
        expect((answer.status, answer.body), (200, b"first"))
        assert answer.framing == "close" or not answer.complete, "it ends as if it were whole"
        assert connection.is_closed(), "the connection goes on"
    case.event("closed")


# WSGI R1
@row("R1", "sys.exit() in an app does not end the server")
def exits(case):
    server = case.serve()
    pid = case.ask(app="pids", server=server).body
    with Connection(server.address, patience=5) as connection, contextlib.suppress(Silence):
        connection.ask(app="exits")
    expect(case.ask(app="pids", server=server).body, pid, "process")
    assert server.process.poll() is None, "the server has ended"


# WSGI R2; granian 29, 306, hypercorn 154
@row("R2", "close() is called once: on success, on HEAD, on errors")
def close(case):
    for app, method in [("closes", "GET"), ("closes", "HEAD"), ("raises_in_the_middle", "GET"), ("raises_at_the_first", "GET"),
                        ("closes_unstarted", "GET"), ("short", "GET"), ("long", "GET"), ("too_late", "GET")]:
        before = len(case.events("closed"))
        with Connection(case.server.address) as connection:
            connection.ask(app=app, method=method, headers=[("X-Mark", case.mark)])
        eventually(lambda: len(case.events("closed")) > before, f"close() is called: {app} {method}", 5)
        # A second call of close() would come with the first one, or with this request.
        case.ask(app="one")
        expect(len(case.events("closed")) - before, 1, f"calls of close(): {app} {method}")


# WSGI R2
@row("R2", "close() is called by the thread that ran the app")
def close_thread(case):
    with Connection(case.server.address) as connection:
        connection.ask(app="waits", headers=[("X-Mark", case.mark), ("X-Flag", "/")])
    expect(case.event("closed"), case.event("begun"))


# WSGI R2
@row("R2", "an error in close() is logged; the response is complete")
def close_raises(case):
    answer = case.ask(app="close_raises")
    expect((answer.status, answer.body), (200, b"one"))
    eventually(lambda: "close() on purpose" in case.server.log(), "the error in the log")


# WSGI R3
@row("R3", "a list of one has a Content-Length")
def list_of_one(case):
    expect(case.ask(app="one").get("Content-Length"), "11")


# WSGI R3
@row("R3", "and an empty list", ours=True)
def list_of_none(case):
    expect(case.ask(app="nothing").get("Content-Length"), "0")


# WSGI R4; bjoern 113, 114
@row("R4", "unknown length: in chunks, and the connection is kept")
def chunks(case):
    with Connection(case.server.address) as connection:
        for _ in range(3):
            answer = connection.ask(app="streams")
            assert answer is not None, "the connection was closed"
            expect((answer.framing, answer.body, answer.complete), ("chunks", b"abbccc", True))


# WSGI R4
@row("R4", "a chunk for each item, none for empty ones", ours=True)
def chunk_each(case):
    expect(case.ask(app="streams").chunks, [b"a", b"bb", b"ccc"])


# WSGI R4
@row("R4", "an empty item is not the end")
def empty_items(case):
    expect(case.ask(app="streams").body, b"abbccc")
    answer = case.ask(app="nothing_yielded")
    expect((answer.status, answer.body, answer.complete), (200, b"", True))


# WSGI R5
@row("R5", "unknown length for HTTP/1.0: no chunks, closed at the end")
def old_client(case):
    for headers in ([], [("Connection", "keep-alive")]):
        answer = case.ask(app="streams", version="HTTP/1.0", headers=headers)
        expect((answer.all("Transfer-Encoding"), answer.framing, answer.body), ([], "close", b"abbccc"))


# WSGI R5
@row("R5", "HTTP/1.0 keeps a connection when it asks to, and the length is known")
def old_keep_alive(case):
    with Connection(case.server.address) as connection:
        for _ in range(2):
            answer = connection.ask(app="one", version="HTTP/1.0", headers=[("Connection", "keep-alive")])
            assert answer is not None, "the connection was closed"
            expect((answer.body, (answer.get("Connection") or "").lower()), (b"Hello World", "keep-alive"))


# WSGI R6; fastwsgi 32
@row("R6", "less than Content-Length: visibly cut off, and logged")
def short(case):
    with Connection(case.server.address, patience=5) as connection:
        try:
            answer = connection.ask(app="short")
        except Silence:
            raise AssertionError("the connection stays open, the client waits for ever") from None
        expect((answer.body, answer.complete), (b"12345", False))


# WSGI R6
@row("R6", "also while the app keeps write(): closed at once", ours=True)
def short_with_write_kept(case):
    for target in ("/?short", "/?raises"):
        with Connection(case.server.address, patience=5) as connection:
            answer = connection.ask(target, app="keeps_write")
            expect((answer.body, answer.complete), (b"begun", False), target)


# WSGI R7
@row("R7", "more than Content-Length: cut, and the next response is intact")
def long(case):
    with Connection(case.server.address) as connection:
        answer = connection.ask(app="long", headers=[("X-Mark", case.mark)])
        expect(answer.body, b"12345")
        still_fine(connection, "a body that is too long")


# WSGI R8
@row("R8", "each block is sent before the next one is requested")
def unbuffered(case):
    goes_out_at_once(case, "ticks")


# WSGI R8
@row("R8", "also the last of several blocks")
def unbuffered_behind(case):
    goes_out_at_once(case, "ticks_behind")


# WSGI R9; waitress 427
@row("R9", "HEAD has no body, also if the app returns one; the length is kept")
def head(case):
    for app, length in [("one", "11"), ("streams", None), ("sized", "10"), ("long", "5")]:
        with Connection(case.server.address) as connection:
            headers = [("X-Mark", case.mark)]
            if app == "sized":
                app, headers = "status", [*headers, ("X-Status", "200 OK"), ("X-Length", "10")]
            answer = connection.ask(app=app, method="HEAD", headers=headers)
            assert answer is not None, f"{app}: no response"
            expect(answer.status, 200, app)
            if length and app != "one":
                expect(answer.get("Content-Length"), length, app)
            still_fine(connection, f"HEAD of {app}")
            assert connection.buffer == b"", f"{app}: {connection.buffer!r} after it"


# WSGI R9; waitress 427
@row("R9", "HEAD does not close the connection")
def head_keeps(case):
    with Connection(case.server.address) as connection:
        for _ in range(3):
            answer = connection.ask(app="one", method="HEAD")
            assert answer is not None, "it was closed"
        expect(connection.ask(app="one").body, b"Hello World")


# WSGI R10
@row("R10", "204 and 304 have no body and no coding, 204 no length")
def no_body(case):
    for status in ("204 No Content", "304 Not Modified"):
        for length in (None, "5"):
            for target in ("/", "/?one"):
                headers = [("X-Status", status), ("X-Mark", case.mark)] + ([("X-Length", length)] if length else [])
                with Connection(case.server.address) as connection:
                    answer = connection.ask(target, app="status", headers=headers)
                    expect(answer.status, int(status[:3]))
                    expect(answer.all("Transfer-Encoding"), [], status)
                    if status[:3] == "204":
                        expect(answer.all("Content-Length"), [], status)
                    still_fine(connection, status)
                    assert connection.buffer == b"", f"{status}: {connection.buffer!r} after it"


# WSGI R10
@row("R10", "an app cannot send 1xx: 500")
def interim(case):
    with Connection(case.server.address, patience=5) as connection:
        connection.send(request("/?one", "status", headers=[("X-Status", "100 Continue"), ("X-Mark", case.mark)]))
        answer = connection.answer(interim=True)
        expect(answer and answer.status, 500)


def has_wrapper(case):
    facts = case.ask(app="file_wrapper_facts").body
    if facts == b"absent":
        raise Skip("no wsgi.file_wrapper, which is optional")
    return facts


# WSGI R11
@row("R11", "wsgi.file_wrapper is callable, yields blocks, and has close()")
def wrapper(case):
    expect(has_wrapper(case), b"([8, 8, 4], True)")
    case.event("file closed")


# WSGI R11
@row("R11", "from the file's position, up to Content-Length; closed once")
def wrapper_position(case):
    has_wrapper(case)
    path = case.folder / "file"
    content = bytes(range(256)) * 8000
    path.write_bytes(content)
    for start, length in [(0, None), (5, None), (1000, 25), (0, 100_000), (len(content), None), (2_000_000, 48_000)]:
        for more in ([], [("X-Wrapped", "1")]):
            closed = len(case.events("file closed"))
            headers = [("X-File", str(path)), ("X-From", str(start)), ("X-Mark", case.mark), *more]
            if length:
                headers.append(("X-Length", str(length)))
            with Connection(case.server.address) as connection:
                answer = connection.ask(app="file", headers=headers)
                wanted = content[start:start + length if length else None]
                assert answer.complete, f"from {start}, {length} bytes: cut off"
                assert answer.body == wanted, f"from {start}, {length} bytes: {len(answer.body)} came, {answer.body[:20]!r}"
                still_fine(connection, f"a file from {start}, {length} bytes")
            eventually(lambda: len(case.events("file closed")) > closed, "the file is closed")
            expect(len(case.events("file closed")) - closed, 1, "times closed")


# WSGI R11
@row("R11", "shorter than Content-Length: closed; HEAD: nothing")
def wrapper_short(case):
    has_wrapper(case)
    path = case.folder / "file"
    path.write_bytes(b"0123456789" * 100)
    headers = [("X-File", str(path)), ("X-From", "990"), ("X-Length", "500"), ("X-Mark", case.mark)]
    with Connection(case.server.address, patience=5) as connection:
        try:
            answer = connection.ask(app="file", headers=headers)
        except Silence:
            raise AssertionError("the connection stays open, the client waits for ever") from None
        # A server may correct the app.
        wanted = (b"0123456789", answer.get("Content-Length") == "10")
        expect((answer.body, answer.complete), wanted)
    with Connection(case.server.address) as connection:
        assert connection.ask(app="file", method="HEAD", headers=headers).get("Content-Length") in ("500", "10")
        still_fine(connection, "HEAD")


# WSGI R11; bjoern 165
@row("R11", "an object without a descriptor is read")
def wrapper_without_descriptor(case):
    has_wrapper(case)
    answer = case.ask(app="file_like")
    expect((len(answer.body), answer.complete), (100_000, True))
    case.event("file closed")
    answer = case.ask(app="file_in_memory")
    expect(answer.body, (b"0123456789" * 1000)[5:])


# WSGI R11
@row("R11", "20 MiB to a client that reads slowly, beside others")
def wrapper_large(case):
    has_wrapper(case)
    path = case.folder / "file"
    piece = bytes(range(256)) * 4096
    with path.open("wb") as file:
        for _ in range(20):
            file.write(piece)
    closed = len(case.events("file closed"))
    slow = [case.connect(small_window=True) for _ in range(3)]
    for connection in slow:
        connection.send(request("/", "file", headers=[("X-File", str(path)), ("X-Mark", case.mark)]))
    begun = time.monotonic()
    expect(case.ask(app="one").body, b"Hello World")
    assert time.monotonic() - begun < 10, "late"
    for connection in slow[:2]:
        answer = connection.answer()
        assert answer.complete and answer.body == piece * 20, f"{len(answer.body)} bytes"
    for connection in slow:
        connection.close()
    eventually(lambda: len(case.events("file closed")) == closed + 3, "all files are closed")


# WSGI R12
@row("R12", "several Set-Cookie, one per line, in order")
def cookies(case):
    expect(case.ask(app="cookies").all("Set-Cookie"), ["b=1", "a=2", "b=3"])
