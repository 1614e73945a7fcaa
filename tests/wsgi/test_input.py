"""Rows I: the body of the request, and wsgi.input."""

import hashlib
import io
import json
import random
import time

from client import Connection, chunk, eventually, request
from harness import expect, row

LINES = b"first\nsecond line\n\nno end"


def wanted(body, operations):
    """The results of `io.BytesIO`, which the server's have to equal."""
    stream, results = io.BytesIO(body), []
    for name, *arguments in operations:
        got = list(stream) if name == "__iter__" else getattr(stream, name)(*arguments)
        results.append(repr(got) if len(repr(got)) < 500 else hashlib.sha256(repr(got).encode()).hexdigest())
    return results


def compare(case, body, operations, in_chunks=False, server=None):
    sent = [body[:7], body[7:]] if in_chunks and len(body) > 7 else [body] if in_chunks else body
    answer = case.ask(app="operations", method="POST", headers=[("X-Operations", json.dumps(operations))], body=sent,
                      server=server)
    expect(answer.status, 200, str(operations))
    for operation, got, want in zip(operations, answer.json, wanted(body, operations), strict=True):
        expect(got, want, f"{operation} of {operations} on {body[:40]!r}")


# WSGI I1
@row("I1", "read(size), readline(), readlines(hint), iteration")
def methods(case):
    for operations in [[["read", 3], ["read", 100], ["read", 1]], [["readline"], ["readline"], ["readline"], ["readline"],
                       ["readline"]], [["readlines", 7], ["read", 100]], [["readlines"]], [["__iter__"], ["read", 1]],
                       [["readline"], ["__iter__"]]]:
        compare(case, LINES, operations)


# WSGI I1
@row("I1", "read(), read(-1), read(None), read(0), readline(size)")
def optional_arguments(case):
    for operations in [[["read"]], [["read", -1], ["read"]], [["read", None]], [["read", 0], ["read", 3], ["read"]],
                       [["readline", 2], ["readline", 100], ["readline", -1]], [["readlines", None]]]:
        compare(case, LINES, operations)


# WSGI I1; granian 909
@row("I1", "60 random sequences, whole and in chunks, as io.BytesIO")
def random_operations(case):
    dice = random.Random(1)
    for number in range(60):
        body = b"".join(dice.choice([b"a", b"\n", b"word ", b"\r\n", b"\0", b"x" * 3000]) for _ in range(dice.randrange(12)))
        operations = []
        for _ in range(dice.randrange(1, 8)):
            name = dice.choice(["read", "readline", "readlines"])
            operations.append(dice.choice([[name], [name, dice.randrange(0, 20)]]))
        compare(case, body, operations + [["__iter__"]], in_chunks=number % 2)


# WSGI I1, I5
@row("I1", "a large body, kept in a file, reads the same")
def large_operations(case):
    body = (b"line of text\n" * 100_000)[:1_200_001]
    compare(case, body, [["readline"], ["read", 600_000], ["readline", 5], ["readlines", 1000], ["read"], ["read"]])


# WSGI I2
@row("I2", "the input ends with the body")
def end_of_input(case):
    connection = case.connect()
    connection.send(request("/", "echo", "POST", body=b"first") + request("/", "echo", "POST", body=b"second"))
    expect(connection.answer().body, b"first")
    second = connection.answer()
    expect(second and second.body, b"second", "the request after it")


# WSGI I2; gunicorn 3301, 3334
@row("I2", "a body that the app does not read does no harm")
def unread(case):
    for size in (10, 100_000, 3_000_000):
        connection = case.connect()
        connection.send(request("/", "unread", "POST", body=b"u" * size))
        answer = connection.answer()
        expect(answer and answer.body, b"not read", f"{size} bytes")
        if not connection.ended and answer.get("Connection") != "close":
            after = connection.ask(app="one")
            expect(after and after.body, b"Hello World", f"the request after {size} bytes")


# WSGI I3; gunicorn 605, 1264, uwsgi 1187, 1428
@row("I3", "a chunked body: decoded, with its length, without coding")
def chunked(case):
    for body in ([b"hello ", b"world"], [b"x"] * 300, [b"a" * 70_000, b"b"], []):
        answer = case.ask(app="echo", method="POST", body=body)
        expect(answer.body, b"".join(body))
        expect(answer.get("X-Length"), str(len(b"".join(body))))
        expect(answer.get("X-Coding"), "none")


# WSGI I3
@row("I3", "frameworks that read by CONTENT_LENGTH get a chunked body")
def by_length(case):
    expect(case.ask(app="lengths", method="POST", body=[b"hello ", b"world"]).body, b"11 hello world")


# WSGI I3; cheroot 69
@row("I3", "extensions and trailers; the next request is served")
def extensions(case):
    connection = case.connect()
    connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nX-App: echo\r\nTransfer-Encoding: chunked\r\n\r\n"
                    b"0005;name=value\r\nhello\r\nA;x=\"y\"\r\n0123456789\r\n0\r\nX-One: 1\r\nX-Two: 2\r\n\r\n"
                    + request("/", "one"))
    expect(connection.answer().body, b"hello0123456789")
    after = connection.answer()
    expect(after and after.body, b"Hello World", "the request after trailers")


# WSGI I3
@row("I3", "a body in pieces of one byte")
def byte_by_byte(case):
    connection = case.connect()
    for byte in request("/", "echo", "POST", body=[b"hello ", b"world"]):
        connection.send(bytes([byte]))
    expect(connection.answer().body, b"hello world")


# WSGI I3; cheroot 718, gunicorn 3721
@row("I3", "bad chunks are refused, and the app is not called")
def bad_chunks(case):
    bad = [b"x\r\nabc\r\n0\r\n\r\n", b"-1\r\n", b"3\r\nabcd\r\n0\r\n\r\n", b"0x3\r\nabc\r\n0\r\n\r\n", b"3 3\r\nabc\r\n0\r\n\r\n",
           b"ffffffffffffffffff\r\n", b"1_0\r\n0123456789012345\r\n0\r\n\r\n", b"3" * 100_000]
    for number, body in enumerate(bad):
        mark = f"{case.mark}bad{number}"
        connection = case.connect()
        connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nX-App: echo\r\nX-Mark: %s\r\nTransfer-Encoding: chunked\r\n\r\n%s"
                        % (mark.encode(), body))
        if len(body) < 1000:
            connection.half_close()
        answer = connection.answer()
        assert answer is None or 400 <= answer.status < 500, f"{body[:30]!r}: {answer}"
        assert not [one for one in case.server.events() if one[0] == mark], f"the app was called: {body[:30]!r}"


# WSGI I4; gunicorn 3234
@row("I4", "a body that ends early: the app is not called")
def truncated(case):
    for number, sent in enumerate([b"Content-Length: 10\r\n\r\nabc", b"Content-Length: 1\r\n\r\n",
                                   b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc",
                                   b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
                                   b"Content-Length: 2000000\r\n\r\n" + b"x" * 1_500_000]):
        mark = f"{case.mark}cut{number}"
        connection = case.connect()
        connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nX-App: echo\r\nX-Mark: %s\r\n%s" % (mark.encode(), sent))
        connection.half_close()
        answer = connection.answer()
        assert answer is None or answer.status >= 400, f"answered as if it were whole: {answer}"
        assert connection.is_closed(), "the connection goes on"
        called = [one[2] for one in case.server.events() if one[0] == mark]
        assert not called, f"the app was called with {called[0]} bytes: {sent[:60]!r}"


# WSGI I5
@row("I5", "--max-body: 413, without waiting for the body")
def max_body(case):
    server = case.serve(max_body=1000)
    expect(case.ask(app="digest", method="POST", body=b"x" * 999, server=server).status, 200)
    expect(case.ask(app="digest", method="POST", body=[b"x" * 499] * 2, server=server).status, 200)
    connection = case.connect(server)
    connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nX-App: digest\r\nContent-Length: 1001\r\n\r\n")
    expect(connection.answer().status, 413)
    connection = case.connect(server)
    connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n")
    expect(connection.answer(interim=True).status, 413, "instead of 100")


# WSGI I5
@row("I5", "--max-body holds for chunked bodies")
def max_body_chunked(case):
    server = case.serve(max_body=1000)
    connection = case.connect(server)
    connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nX-App: digest\r\nTransfer-Encoding: chunked\r\n\r\n"
                    + chunk(b"x" * 600) * 2)
    expect(connection.answer().status, 413)


# WSGI I5; granian 328
@row("I5", "a body of 48 MiB costs less than 16 MiB of memory")
def spooled(case):
    server = case.serve()
    piece = bytes(range(256)) * 4096
    case.ask(app="digest", method="POST", body=b"warm", server=server)
    before = server.memory("VmHWM")
    connection = case.connect(server)
    connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nX-App: digest\r\nContent-Length: %d\r\n\r\n" % (48 * len(piece)))
    for _ in range(48):
        connection.send(piece)
    expect(connection.answer().body.decode(), f"{48 * len(piece)} {hashlib.sha256(piece * 48).hexdigest()}")
    grown = server.memory("VmHWM") - before
    assert grown < 16 << 20, f"{grown >> 20} MiB"


# WSGI I6
@row("I6", "slow senders cost no thread")
def slow(case):
    sent = request("/", "echo", "POST", body=b"slow body")
    connections = [case.connect() for _ in range(8)]
    for connection in connections:
        connection.send(sent[:-4])
    begun = time.monotonic()
    with Connection(case.server.address, patience=5) as quick:
        expect(quick.ask(app="one").body, b"Hello World", "beside 8 slow ones")
    assert time.monotonic() - begun < 5, "late"
    for connection in connections:
        connection.send(sent[-4:])
    for connection in connections:
        expect(connection.answer().body, b"slow body")


# WSGI I7
@row("I7", "without a body, read() is empty at once")
def no_body(case):
    for method, body in [("GET", None), ("POST", b""), ("DELETE", None)]:
        headers = [("X-Operations", json.dumps([["read"], ["read", 10], ["readline"], ["__iter__"]]))]
        with Connection(case.server.address, patience=5) as connection:
            answer = connection.ask(app="operations", method=method, headers=headers, body=body)
            expect(answer and answer.status, 200, method)
            expect(answer.json, ["b''", "b''", "b''", "[]"], method)


# WSGI I5; granian 328
@row("I5", "20 uploads of 4 MiB leave no memory behind", ours=True)
def uploads_leave_nothing(case):
    server = case.serve()
    body = b"m" * (4 << 20)
    for _ in range(5):
        case.ask(app="digest", method="POST", body=body, server=server)
    before = server.memory("RssAnon")
    for _ in range(20):
        case.ask(app="digest", method="POST", body=body, server=server)
    grown = server.memory("RssAnon") - before
    assert grown < 4 << 20, f"{grown >> 10} KiB more"

    def has_files():
        return any("deleted" in name or name.startswith(("/tmp/#", "/tmp/tmp")) for name in server.descriptors())
    eventually(lambda: not has_files(), "the temporary files are gone")
