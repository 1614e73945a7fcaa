"""Rows S: start_response, write, status and fields."""

import re

from client import Connection, eventually
from harness import expect, goes_out_at_once, row


# WSGI S1
@row("S1", "start_response takes two or three arguments")
def arguments(case):
    for app in ("two_arguments", "three_arguments"):
        answer = case.ask(app=app)
        expect((answer.status, answer.body), (200, b"ok"), app)


# WSGI S2
@row("S2", "an empty first chunk sends no head")
def empty_chunk(case):
    answer = case.ask(app="empty_then_replaced")
    expect((answer.status, answer.body), (503, b"replaced"))
    assert answer.get("X-New") and not answer.get("X-Old"), answer.fields


# WSGI S2
@row("S2", "write(b'') sends no head")
def empty_write(case):
    answer = case.ask(app="empty_write_then_replaced")
    expect((answer.status, answer.body), (503, b"replaced"))


# WSGI S3; granian 286, 845, hypercorn 320, 331
@row("S3", "start_response in a generator, or in __next__")
def late(case):
    answer = case.ask(app="in_a_generator")
    expect((answer.status, answer.body), (201, b"first second"))
    expect(answer.get("X-Late"), "1")
    answer = case.ask(app="late_start")
    expect((answer.status, answer.body), (202, b"late"))


# WSGI S4
@row("S4", "a second call without exc_info fails")
def second_call(case):
    case.ask(app="twice")
    assert case.event("second") != "accepted", "it was accepted"


# WSGI S4
@row("S4", "also after the first call has failed")
def second_call_after_an_error(case):
    answer = case.ask(app="twice_after_an_error")
    assert case.event("first") != "accepted", "a line break in a field was accepted"
    assert case.event("second") != "accepted", "the second call was accepted"
    expect(answer.status, 500)


# WSGI S5
@row("S5", "exc_info before the head: the new status and fields, none of the old")
def replaced(case):
    answer = case.ask(app="replaced")
    expect((answer.status, answer.body), (500, b"replaced"))
    assert not answer.all("X-Old") and not answer.all("Set-Cookie"), answer.fields
    expect(answer.get("X-New"), "1")
    assert answer.get("Content-Length") in (None, "8"), answer.fields


# WSGI S6
@row("S6", "exc_info after the head: raised again, and the response is cut off")
def too_late(case):
    with Connection(case.server.address) as connection:
        answer = connection.ask(app="too_late", headers=[("X-Mark", case.mark)])
        expect(answer.status, 200)
        assert not answer.complete or answer.framing == "close", f"it ends as if it were whole: {answer}"
        assert b"after" not in answer.body, answer
        assert connection.is_closed(), "the connection goes on"
    expect(case.event("again"), f"on purpose, {case.mark} True")
    case.event("closed")


# WSGI S6
@row("S6", "no reference to exc_info is kept")
def exc_info_let_go(case):
    expect(case.ask("/?off", app="no_collector").status, 200)
    try:
        for app in ("error_replaced", "too_late"):
            case.ask(app=app)
            eventually(lambda: case.ask(app="witness").body == b"let go", f"{app}: the traceback is let go", 5)
    finally:
        case.ask("/?on", app="no_collector")


# WSGI S7
@row("S7", "write() exists, and precedes the iterable")
def write(case):
    expect(case.ask(app="writes").body, b"first second third fourth")


# WSGI S7
@row("S7", "write() of 4 MiB, for a slow reader")
def write_much(case):
    with Connection(case.server.address, small_window=True) as connection:
        answer = connection.ask(app="writes_much")
        assert answer and answer.complete, answer
        expect(len(answer.body), 64 * 65536)
        assert all(answer.body[n * 65536] == n for n in range(64)), "out of order"


# WSGI S7, R7
@row("S7", "write() beyond Content-Length is cut; HEAD sends none of it")
def write_too_much(case):
    for app, method in [("long_by_write", "GET"), ("sized_by_write", "HEAD"), ("sized_by_write", "GET")]:
        with Connection(case.server.address) as connection:
            answer = connection.ask(app=app, method=method, headers=[("X-Mark", case.mark)])
            expect((answer.status, answer.body), (200, {"GET": b"1234567890", "HEAD": b""}[method][:5 if "long" in app else 10]))
            after = connection.ask(app="one")
            assert after is None or after.body == b"Hello World", f"the response after it: {after}"


# WSGI S7, R8
@row("S7", "each write() is sent at once")
def write_unbuffered(case):
    goes_out_at_once(case, "ticks_by_write")


# WSGI S7
@row("S7", "write() takes bytes only")
def write_text(case):
    answer = case.ask(app="writes_text")
    assert case.event("write") != "accepted", "text was accepted"
    assert b"text" not in answer.body or answer.status == 500, answer


def answered(case, status="200 OK", headers=None):
    headers = [("Content-Type", "text/plain")] if headers is None else headers
    code = ascii((status, headers))
    with Connection(case.server.address) as connection:
        return connection.ask(app="answers", headers=[("X-Answer", code), ("X-Mark", case.mark)])


def refused(case, **what):
    """Checks that the client gets the server's own 500."""
    answer = answered(case, **what)
    assert answer is not None, f"{what}: closed without a response"
    expect(answer.status, 500, str(what))
    return answer


# WSGI S8
@row("S8", "a status is three digits and a reason, or three digits")
def status_forms(case):
    for status, wanted in [("200 OK", (200, "OK")), ("404 Not here at all", (404, "Not here at all")),
                           ("299 Other", (299, "Other"))]:
        answer = answered(case, status)
        expect((answer.status, answer.reason), wanted)
    expect(answered(case, "201").status, 201)


# WSGI S8
@row("S8", "anything else is an error: 500")
def bad_status(case):
    for status in ["abc def", "", "20", "2000 Many", "-20 Minus", b"200 OK", 200, None, "1e2 Odd", "²00 OK"]:
        refused(case, status=status)


# WSGI S8
@row("S8", "line breaks in status, name or value: 500, nothing injected")
def injection(case):
    for status, headers in [("200 OK\r\nX-Evil: 1", []), ("200 OK\nX-Evil: 1", []),
                            ("200 OK", [("X-A", "a\r\nX-Evil: 1")]), ("200 OK", [("X-A", "a\nX-Evil: 1")]),
                            ("200 OK", [("X-A", "a\rX-Evil: 1")]), ("200 OK", [("X-A: b\r\nX-Evil", "1")]),
                            ("200 OK", [("X-A\r\n", "1")]), ("200 OK", [("X-A", "\r\n\r\nbody")])]:
        answer = answered(case, status, headers)
        assert answer is not None, "closed without a response"
        assert not answer.all("X-Evil"), f"injected: {status!r} {headers}"
        expect(answer.status, 500, f"{status!r} {headers}")


# WSGI S9
@row("S9", "the app's list is copied, and not changed")
def list_copied(case):
    for _ in range(3):
        answer = case.ask(app="kept_headers")
        expect(answer.body, b"[('Content-Type', 'text/plain'), ('X-Kept', '1')]")
        expect(answer.all("X-Kept"), ["1"])


# WSGI S9
@row("S9", "fields that are not pairs of str: 500")
def bad_fields(case):
    for headers in [[("X-A", 1)], [("X-A", None)], [(b"X-A", "1")], [("X-A", b"1")], [("X-A",)], [("X-A", "1", "2")], ["X-A"],
                    [None], 5, None]:
        answer = answered(case, "200 OK", headers if headers is not None else "None")
        assert answer is not None, f"{headers}: closed without a response"
        expect(answer.status, 500, str(headers))


# WSGI S10
@row("S10", "names are tokens, values have no control characters")
def characters(case):
    for name in ["X A", "X:A", "", " X", "X\t", "X(A)", "Xé", "X\0"]:
        refused(case, headers=[(name, "1")])
    for value in ["a\0b", "a\x01", "a\x7f", "\x1b[0m"]:
        refused(case, headers=[("X-A", value)])


# WSGI S10
@row("S10", "valid fields arrive: a tab, every token character, an empty value")
def allowed_characters(case):
    answer = answered(case, headers=[("X!#$%&'*+.^_`|~9", "a\tb"), ("X-Empty", ""), ("Content-Type", "text/plain")])
    expect((answer.status, answer.get("X!#$%&'*+.^_`|~9"), answer.get("X-Empty")), (200, "a\tb", ""))


HOP_BY_HOP = [("Connection", "keep-alive"), ("Keep-Alive", "timeout=5"), ("Transfer-Encoding", "chunked"), ("TE", "trailers"),
              ("Trailer", "X-A"), ("Upgrade", "h2c"), ("Proxy-Authenticate", "Basic"), ("transfer-encoding", "gzip")]


# WSGI S11
@row("S11", "hop-by-hop fields of the app are not sent")
def hop_by_hop(case):
    for name, value in HOP_BY_HOP:
        # The client asserts that "Transfer-Encoding: chunked" is sent once, and with chunks.
        answer = answered(case, headers=[("Content-Type", "text/plain"), (name, value)])
        assert answer is not None, f"{name}: closed without a response"
        if answer.status == 200:
            assert value not in answer.all(name) or name in ("Connection", "Transfer-Encoding"), f"{name} is sent"
            assert len(answer.all(name)) < 2, f"{name} is sent twice"
            assert answer.body == b"body" and answer.complete, f"{name}: {answer}"
            if answer.all("Transfer-Encoding"):
                assert name.lower() != "transfer-encoding" or answer.chunks == [b"body"], f"{name} is sent"


# WSGI S11
@row("S11", "they are dropped, with one line in the log for each name", ours=True)
def hop_by_hop_dropped(case):
    server = case.serve(threads=1)
    with Connection(server.address) as connection:
        for _ in range(3):
            for name, value in HOP_BY_HOP:
                code = ascii(("200 OK", [("X-Before", "1"), (name, value), ("X-After", "2")]))
                answer = connection.ask(app="answers", headers=[("X-Answer", code), ("X-Mark", case.mark)])
                expect((answer.status, answer.body, answer.get("X-Before"), answer.get("X-After")), (200, b"body", "1", "2"))
                assert len(answer.all(name)) <= (name == "Connection"), f"{name} is sent: {answer.fields}"
    for name in ("Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade"):
        expect(len(re.findall(f"has set {name},", server.log())), 1, name)


# WSGI S11
@row("S11", "Connection: close of the app closes the connection after the response", ours=True)
def asks_for_the_end(case):
    for value in ("close", "foo, Close"):
        with Connection(case.server.address) as connection:
            code = ascii(("200 OK", [("Connection", value), ("Content-Length", "4")]))
            answer = connection.ask(app="answers", headers=[("X-Answer", code), ("X-Mark", case.mark)])
            expect((answer.status, answer.body, answer.all("Connection")), (200, b"body", ["close"]))
            assert connection.is_closed(), "it stays open"


# WSGI S12
@row("S12", "a latin-1 character is sent as one byte")
def latin(case):
    answer = answered(case, "200 Tr\xe8s bien", [("X-Latin", "caf\xe9 \xff")])
    expect((answer.status, answer.reason, answer.get("X-Latin")), (200, "Tr\xe8s bien", "caf\xe9 \xff"))


# WSGI S12
@row("S12", "other characters are an error: 500")
def not_latin(case):
    refused(case, headers=[("X-Euro", "\u20ac")])
    refused(case, headers=[("X-\u20ac", "1")])
    refused(case, status="200 \u20ac")


# WSGI S13
@row("S13", "Date and Server are added")
def date_and_server(case):
    answer = case.ask(app="one")
    assert answer.get("Date") and answer.get("Server"), answer.fields


# WSGI S13
@row("S13", "the app's own Date and Server are sent, once")
def own_date_and_server(case):
    date = "Sun, 06 Nov 1994 08:49:37 GMT"
    answer = answered(case, headers=[("Content-Type", "text/plain"), ("date", date), ("Server", "mine")])
    expect((answer.all("Date"), answer.all("Server")), ([date], ["mine"]))
