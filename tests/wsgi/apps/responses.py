"""Apps about `start_response` and `write`."""

import gc
import sys
import weakref

from .registry import APPS, Body, TEXT, app, note


def raised():
    try:
        raise RuntimeError("on purpose")
    except RuntimeError:
        return sys.exc_info()


@app
def two_arguments(environ, start_response):
    start_response("200 OK", [*TEXT, ("X-Arguments", "2")])
    return [b"ok"]


# The validator takes positional arguments only.
@app(checked=False)
def three_arguments(environ, start_response):
    start_response("200 OK", [*TEXT, ("X-Arguments", "3")], None)
    return [b"ok"]


@app
def empty_then_replaced(environ, start_response):
    start_response("200 OK", [*TEXT, ("X-Old", "1")])

    def body():
        yield b""
        start_response("503 Replaced", [*TEXT, ("X-New", "1")], raised())
        yield b"replaced"
    return body()


@app
def empty_write_then_replaced(environ, start_response):
    write = start_response("200 OK", [*TEXT, ("X-Old", "1")])
    write(b"")
    start_response("503 Replaced", [*TEXT, ("X-New", "1")], raised())
    return [b"replaced"]


# The validator requires start_response before the iteration, which is stricter than PEP 3333.
@app(checked=False)
def in_a_generator(environ, start_response):
    start_response("201 Created late", [*TEXT, ("X-Late", "1")])
    yield b"first "
    yield b"second"


class LateStart:
    def __init__(self, environ, start_response):
        self.start_response, self.chunks = start_response, iter([b"late"])

    def __iter__(self):
        return self

    def __next__(self):
        if self.start_response:
            self.start_response("202 Late", TEXT)
            self.start_response = None
        return next(self.chunks)


APPS["late_start"] = LateStart


@app
def twice(environ, start_response):
    start_response("200 OK", TEXT)
    try:
        start_response("200 Again", TEXT)
        note(environ, "second", "accepted")
    except Exception as error:
        note(environ, "second", type(error).__name__)
    return [b"ok"]


# The validator would block the first call, which has to fail in the server.
@app(checked=False)
def twice_after_an_error(environ, start_response):
    try:
        start_response("200 OK", [("X-Bad", "a\r\nb: c")])
        note(environ, "first", "accepted")
    except Exception as error:
        note(environ, "first", type(error).__name__)
    try:
        start_response("200 Again", TEXT)
        note(environ, "second", "accepted")
    except Exception as error:
        note(environ, "second", type(error).__name__)
        raise
    return [b"ok"]


@app
def replaced(environ, start_response):
    start_response("200 OK", [*TEXT, ("X-Old", "1"), ("Content-Length", "1000"), ("Set-Cookie", "old=1")])
    start_response("500 Replaced", [*TEXT, ("X-New", "1")], raised())
    return [b"replaced"]


class Witness:
    """An object that a frame of a traceback holds."""


WITNESSES = {}


def fails_with_a_witness(mark):
    witness = Witness()
    WITNESSES[mark] = weakref.ref(witness)
    raise RuntimeError(f"on purpose, {mark}")


# The validator keeps exc_info in a frame of its own.
@app(checked=False)
def too_late(environ, start_response):
    """An error after the first bytes: start_response must raise it again."""
    mark = environ["HTTP_X_MARK"]
    start_response("200 OK", TEXT)

    def body():
        yield b"sent already"
        try:
            fails_with_a_witness(mark)
        except RuntimeError:
            try:
                start_response("500 Too late", TEXT, sys.exc_info())
            except RuntimeError as again:
                names, here = [], again.__traceback__
                while here:
                    names.append(here.tb_frame.f_code.co_name)
                    here = here.tb_next
                note(environ, "again", f"{again} {'fails_with_a_witness' in names}")
                raise
            note(environ, "again", "nothing raised")
        yield b"after the error"
    return Body(environ, body())


@app(checked=False)
def error_replaced(environ, start_response):
    """An error before the first bytes, passed as exc_info."""
    start_response("200 OK", TEXT)
    try:
        fails_with_a_witness(environ["HTTP_X_MARK"])
    except RuntimeError:
        start_response("500 Replaced", TEXT, sys.exc_info())
    return [b"replaced"]


@app
def witness(environ, start_response):
    """Reports whether the traceback of the other app is still referenced, without a run of gc."""
    start_response("200 OK", TEXT)
    return [b"held" if WITNESSES[environ["HTTP_X_MARK"]]() else b"let go"]


@app
def no_collector(environ, start_response):
    """Switches the garbage collector off or on, so that cycles stay."""
    (gc.disable if environ.get("QUERY_STRING", "") == "off" else gc.enable)()
    start_response("200 OK", TEXT)
    return [b"done"]


@app
def writes(environ, start_response):
    write = start_response("200 OK", TEXT)
    write(b"first ")
    write(b"second ")
    return [b"third ", b"fourth"]


KEPT_WRITES = []


@app
def keeps_write(environ, start_response):
    """Keeps write() beyond a response that is cut short."""
    write = start_response("200 OK", [*TEXT, ("Content-Length", "100")])
    KEPT_WRITES.append(write)
    write(b"begun")
    if environ["QUERY_STRING"] == "raises":
        raise RuntimeError("on purpose")
    return []


@app
def writes_much(environ, start_response):
    write = start_response("200 OK", [*TEXT, ("Content-Length", str(64 * 65536))])
    for number in range(64):
        write(bytes([number]) * 65536)
    return []


# The validator would find it first.
@app(checked=False)
def writes_text(environ, start_response):
    write = start_response("200 OK", TEXT)
    try:
        write("text")
        note(environ, "write", "accepted")
    except Exception as error:
        note(environ, "write", type(error).__name__)
        raise
    return []


# The validator would find it first; the row is about the server.
@app(checked=False)
def answers(environ, start_response):
    """Calls start_response with the Python expression in X-Answer."""
    status, headers = eval(environ["HTTP_X_ANSWER"])  # only tests send it
    try:
        start_response(status, headers)
    except Exception as error:
        note(environ, "refused", type(error).__name__)
        raise
    return [b"body"]


KEPT_HEADERS = [("Content-Type", "text/plain"), ("X-Kept", "1")]


@app
def kept_headers(environ, start_response):
    """A list of the module, which the server must copy and not change."""
    mine = list(KEPT_HEADERS) if environ.get("QUERY_STRING", "") == "late" else KEPT_HEADERS
    start_response("200 OK", mine)
    if environ.get("QUERY_STRING", "") == "late":
        mine.append(("X-Too-Late", "1"))
    return [repr(KEPT_HEADERS).encode()]
