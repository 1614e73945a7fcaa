"""Apps about the iterable that an app returns."""

import sys

from .registry import Body, TEXT, app, note, wait_for


# The validator would find the errors of these apps before the server.
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
    """Exits, which must not end the server."""
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


# The app is called, but does not call start_response.
@app(checked=False)
def closes_unstarted(environ, start_response):
    return Body(environ, [b"one"])


def close_fails():
    raise RuntimeError("close() on purpose")


@app
def close_raises(environ, start_response):
    start_response("200 OK", [*TEXT, ("Content-Length", "3")])
    return Body(environ, [b"one"], close=close_fails)


# The validator hides the length of a list.
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
    except Exception as error:  # the server may raise, or cut it silently
        note(environ, "write", type(error).__name__)
    return []


@app
def ticks(environ, start_response):
    """Sends "tick", and continues when the client has confirmed it."""
    start_response("200 OK", TEXT)

    def body():
        yield b"tick"
        yield b" seen" if wait_for(environ["HTTP_X_FLAG"], 10) else b" not seen"
    return body()


@app
def ticks_behind(environ, start_response):
    """As `ticks`, after other chunks, so that a server may wait for more."""
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


# The validator refuses bodies of statuses without one.
@app(checked=False)
def status(environ, start_response):
    """A body with the status X-Status, and the length X-Length if given."""
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
