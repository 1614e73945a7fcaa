"""Apps about the iterable that an app returns."""

import sys

from .registry import Body, TEXT, app, note, wait_for


# What is wrong with these the validator finds first.
@app(checked=False)
def returns_none(environ, start_response):
    start_response("200 OK", TEXT)


@app(checked=False)
def returns_text(environ, start_response):
    start_response("200 OK", TEXT)
    return ["text"]


@app(checked=False)
def returns_a_number(environ, start_response):
    start_response("200 OK", TEXT)
    return [5]


@app(checked=False)
def never_starts(environ, start_response):
    return [b"body"]


@app(checked=False)
def never_starts_and_is_empty(environ, start_response):
    return []


@app
def raises(environ, start_response):
    raise RuntimeError(f"on purpose: secret {environ['HTTP_X_MARK']}")


@app(checked=False)
def exits(environ, start_response):
    """What an app must not do to its server."""
    sys.exit(3)


@app
def raises_in_the_middle(environ, start_response):
    start_response("200 OK", TEXT)

    def body():
        yield b"first"
        raise RuntimeError("on purpose")
    return Body(environ, body())


@app
def raises_at_the_first(environ, start_response):
    start_response("200 OK", TEXT)

    def body():
        raise RuntimeError("on purpose")
        yield b""
    return Body(environ, body())


@app
def closes(environ, start_response):
    start_response("200 OK", TEXT)
    return Body(environ, [b"one", b"two"])


# Called, but start_response is not.
@app(checked=False)
def closes_unstarted(environ, start_response):
    return Body(environ, [b"one"])


def close_fails():
    raise RuntimeError("close() on purpose")


@app
def close_raises(environ, start_response):
    start_response("200 OK", [*TEXT, ("Content-Length", "3")])
    return Body(environ, [b"one"], close=close_fails)


# The validator hides that a list has a length.
@app(checked=False)
def one(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"Hello World"]


@app(checked=False)
def nothing(environ, start_response):
    start_response("200 OK", TEXT)
    return []


@app
def streams(environ, start_response):
    start_response("200 OK", TEXT)
    return iter([b"a", b"", b"bb", b"ccc"])


@app
def nothing_yielded(environ, start_response):
    start_response("200 OK", TEXT)
    return iter([])


def sized(environ, start_response, length, chunks):
    start_response("200 OK", [*TEXT, ("Content-Length", str(length))])
    return Body(environ, chunks)


@app
def short(environ, start_response):
    return sized(environ, start_response, 10, [b"12345"])


@app
def long(environ, start_response):
    return sized(environ, start_response, 5, [b"123", b"4567890", b"more", b"more"])


@app
def sized_by_write(environ, start_response):
    write = start_response("200 OK", [*TEXT, ("Content-Length", "10")])
    write(b"12345")
    return [b"67890"]


@app
def long_by_write(environ, start_response):
    write = start_response("200 OK", [*TEXT, ("Content-Length", "5")])
    try:
        write(b"1234567890")
    except Exception as error:  # allowed: the server may say so
        note(environ, "write", type(error).__name__)
    return []


@app
def ticks(environ, start_response):
    """Says "tick", and goes on only when the client shows that it has it."""
    start_response("200 OK", TEXT)

    def body():
        yield b"tick"
        yield b" seen" if wait_for(environ["HTTP_X_FLAG"], 10) else b" not seen"
    return body()


@app
def ticks_behind(environ, start_response):
    """Others come just before it, so that a server might expect more to come."""
    start_response("200 OK", TEXT)

    def body():
        yield from (b"one ", b"two ", b"three ", b"tick")
        yield b" seen" if wait_for(environ["HTTP_X_FLAG"], 10) else b" not seen"
    return body()


@app
def ticks_by_write(environ, start_response):
    write = start_response("200 OK", TEXT)
    write(b"tick")
    write(b" seen" if wait_for(environ["HTTP_X_FLAG"], 10) else b" not seen")
    return []


# The validator refuses bodies where none belongs.
@app(checked=False)
def status(environ, start_response):
    """A body for a status that X-Status says, with a length if X-Length says one."""
    headers = list(TEXT)
    if length := environ.get("HTTP_X_LENGTH"):
        headers.append(("Content-Length", length))
    start_response(environ["HTTP_X_STATUS"], headers)
    return [b"hello"] if environ.get("QUERY_STRING", "") == "one" else Body(environ, [b"hel", b"lo"])


@app
def cookies(environ, start_response):
    start_response("200 OK", [*TEXT, ("Set-Cookie", "b=1"), ("X-Between", "1"), ("Set-Cookie", "a=2"),
                              ("set-cookie", "b=3")])
    return [b"ok"]
