"""Large pieces, which the server sends from the objects of the app."""

import select
import threading

from apps.large import kept
from client import PATIENCE, Connection, eventually
from harness import expect, row

# The size from which on a piece is not copied.
LARGE = 32 * 1024
SIZES = [LARGE - 1, LARGE, LARGE + 1, 1_000_000]


def wanted(kind, size):
    """The pieces of the body."""
    piece = kept(size)
    return {"list": [piece], "tuple": [piece], "several": [piece, piece, b"after", piece],
            "generator": [b"before", piece, piece, b"after"],
            "write": [piece, b"between", piece, b"after", piece]}[kind]


def ask(case, app, query, small_window=False, **more):
    with Connection(case.server.address, small_window=small_window) as connection:
        answer = connection.ask(f"/?{query}", app, headers=[("X-Mark", case.mark)], **more)
        assert answer is not None, f"{query}: closed without a response"
        return answer, connection.ask(app="one") if answer.complete and more.get("version") != "HTTP/1.0" else None


# WSGI R3, R4
@row("R3", "large objects, in every kind of body and framing")
def large(case):
    for size in SIZES:
        for kind in ("list", "tuple", "several", "generator", "write"):
            pieces = wanted(kind, size)
            body = b"".join(pieces)
            for length in ("", f"&length={len(body)}"):
                for version in ("HTTP/1.1", "HTTP/1.0"):
                    what = f"kind={kind}&size={size}{length}"
                    answer, after = ask(case, "large", what, small_window=size > LARGE, version=version)
                    assert answer.body == body, f"{what}: {len(answer.body)} bytes, not {len(body)}, or others"
                    if answer.framing == "chunks":
                        assert answer.chunks == pieces, f"{what}: chunks of {[len(chunk) for chunk in answer.chunks]}"
                    assert after is None or after.body == b"Hello World", f"{what}: after it {after}"


# WSGI R6, R7
@row("R7", "a Content-Length that ends within a large object, or beyond it")
def large_and_length(case):
    for kind in ("list", "several", "generator", "write"):
        body = b"".join(wanted(kind, LARGE + 9))
        for length in (0, 1, 7, LARGE - 1, LARGE, LARGE + 1, len(body) - 1, len(body), len(body) + 1):
            what = f"kind={kind}&size={LARGE + 9}&length={length}"
            answer, after = ask(case, "large", what)
            assert answer.body == body[:length], f"{what}: {len(answer.body)} bytes"
            expect(answer.complete, length <= len(body), what)
            assert after is None or after.body == b"Hello World", f"{what}: after it {after}"


# WSGI R9
@row("R9", "HEAD of a large object")
def large_head(case):
    for kind in ("list", "several", "generator", "write"):
        answer, after = ask(case, "large", f"kind={kind}&size={LARGE}", method="HEAD")
        expect((answer.status, answer.body), (200, b""), kind)
        expect(after.body, b"Hello World", kind)


# WSGI R6, S7
@row("R6", "write() of much, then an answer that is cut short: the connection ends, also for a slow reader")
def written_and_cut(case):
    for size in (5, LARGE, 3_000_000):
        for end, length in (("raises", ""), ("short", f"&length={size + 1}")):
            with Connection(case.server.address, patience=10, small_window=True) as connection:
                what = f"size={size}&end={end}{length}"
                answer = connection.ask(f"/?{what}", "writes_and_ends")
                assert answer is not None and answer.body == kept(size), f"{what}: {answer}"
                assert not answer.complete and connection.is_closed(), what


@row("P", "a large object is released when it has left, and when the client has", ours=True)
def large_is_released(case):
    size = 4_000_000
    server = case.serve()

    def references():
        return int(case.ask(f"/?size={size}", "references", server=server).body)
    expect(references(), 0)
    for kind in ("list", "several", "generator", "write"):
        with Connection(server.address) as connection:
            connection.ask(f"/?kind={kind}&size={size}", "large")
            eventually(lambda: references() == 0, f"{kind}: released after the response")
        if kind == "write" and not server.threads:
            # write() on the loop waits for the client, and every other client with it.
            continue
        with Connection(server.address, small_window=True) as connection:
            connection.send(b"GET /?kind=%s&size=%d HTTP/1.1\r\nHost: a\r\nX-App: large\r\n\r\n" % (kind.encode(), size))
            connection.head()
            assert references() > 0, f"{kind}: nothing is held while the client reads"
            connection.reset()
        eventually(lambda: references() == 0, f"{kind}: released after the client has left")


@row("P", "a large object is released without another request", ours=True)
def large_is_released_soon(case):
    answer, _ = ask(case, "marked", "size=3000000")
    expect(len(answer.body), 3_000_000)
    with Connection(case.server.address):
        case.event("released")


@row("P", "a client that does not read holds up a body of large pieces", ours=True)
def large_is_not_taken_early(case):
    server = case.serve()
    with Connection(server.address, small_window=True) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-App: counted\r\nX-Mark: %s\r\n\r\n" % case.mark.encode())
        connection.head()
        for _ in range(50):
            expect(case.ask(app="one", server=server).body, b"Hello World")
        # The kernel takes up to 4 MiB; the server holds two pieces.
        assert len(case.events("piece", server)) < 20, case.events("piece", server)[-1]


@row("P", "80 slow readers of a large object cost no copies of it", ours=True)
def large_memory(case):
    size = 10_000_000
    for kind in ("list", "thousand", "generator"):
        server = case.serve()
        case.ask(f"/?kind=list&size={size}", "large", server=server)
        before = server.memory("VmHWM")
        readers = [case.connect(server, small_window=True) for _ in range(80)]
        for reader in readers:
            reader.send(b"GET /?kind=%s&size=%d HTTP/1.1\r\nHost: a\r\nX-App: large\r\n\r\n" % (kind.encode(), size))
        # A thread waits for the client of its generator, so a pool serves as many of those as it has threads.
        served = len(readers) if kind == "list" or not server.threads else server.threads
        while served > 0:
            ready = select.select([reader.socket for reader in readers if not reader.buffer], [], [], PATIENCE)[0]
            assert ready, f"{kind}: {served} readers get nothing"
            for reader in readers:
                if reader.socket in ready:
                    reader.exactly(100_000)
                    reader.buffer, served = b"seen", served - 1
        grown = server.memory("VmHWM") - before
        assert grown < 30 << 20, f"{kind}: {grown >> 20} MiB more for {len(readers)} readers"
        for reader in readers:
            reader.close()
        server.stop()


@row("P", "threads and large objects: 8 clients, each gets its own bytes", ours=True)
def large_crowd(case):
    wrong = []

    def client(number):
        with Connection(case.server.address) as connection:
            for turn in range(10):
                size = LARGE - 4 + number + turn
                answer = connection.ask(f"/?kind=several&size={size}", "large")
                if answer is None or answer.body != b"".join(wanted("several", size)):
                    wrong.append((number, turn))
    clients = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    expect(wrong, [])
