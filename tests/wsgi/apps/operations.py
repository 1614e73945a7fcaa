"""Apps that run long, stream, fork, or count."""

import json
import os
import threading
import time

from .files import OnlyRead
from .registry import Body, TEXT, app, note, wait_for


@app
def endless(environ, start_response):
    start_response("200 OK", TEXT)

    def body():
        note(environ, "begun")
        while True:
            yield b"x" * 16384
    return Body(environ, body())


@app
def endless_write(environ, start_response):
    write = start_response("200 OK", TEXT)
    note(environ, "begun")
    try:
        while True:
            write(b"x" * 16384)
    except BaseException as error:
        note(environ, "stopped", type(error).__name__)
        raise


@app
def waits(environ, start_response):
    """Responds when the flag file exists."""
    note(environ, "begun", threading.get_ident())
    note(environ, "pid", os.getpid())
    there = wait_for(environ["HTTP_X_FLAG"])
    note(environ, "ended")
    start_response("200 OK" if there else "504 No flag", TEXT)
    return Body(environ, [b"waited"])


@app
def streams_until(environ, start_response):
    """One chunk, and another when the flag file exists."""
    start_response("200 OK", TEXT)

    def body():
        note(environ, "begun")
        yield b"begun "
        wait_for(environ["HTTP_X_FLAG"])
        yield b"ended"
    return Body(environ, body())


@app
def slow_stream(environ, start_response):
    """50 numbered chunks, so that a drain begins in the middle."""
    start_response("200 OK", TEXT)

    def body():
        for number in range(50):
            yield b"%04d" % number + b"s" * 1020
            time.sleep(0.01)
    return Body(environ, body())


@app
def sleeps(environ, start_response):
    """The seed's database."""
    time.sleep(0.3)
    start_response("200 OK", TEXT)
    return [b"slept"]


@app
def pids(environ, start_response):
    start_response("200 OK", TEXT)
    return [f"{os.getpid()} {os.getppid()}".encode()]


LOCAL = threading.local()


@app
def thread_local(environ, start_response):
    """Counts the calls in this thread."""
    LOCAL.count = getattr(LOCAL, "count", 0) + 1
    start_response("200 OK", TEXT)
    return [f"{threading.get_ident()} {LOCAL.count}".encode()]


HELD = []


# The validator would wrap the server's objects.
@app(checked=False)
def hoards(environ, start_response):
    """Keeps the server's objects, which another thread drops."""
    write = start_response("200 OK", TEXT)
    held = [environ, start_response, write, environ["wsgi.input"], environ["wsgi.errors"]]
    if "wsgi.file_wrapper" in environ:
        held.append(environ["wsgi.file_wrapper"](OnlyRead(environ, 10)))
    HELD.append(held)
    if len(HELD) > 20:
        dropped = [HELD.pop() for _ in range(len(HELD))]
        thread = threading.Thread(target=dropped.clear)
        thread.start()
        thread.join()
    return [b"ok"]


# Uses the server's objects after the end of the response: an error in the app, and no crash.
@app(checked=False)
def outlives(environ, start_response):
    write = start_response("200 OK", TEXT)

    def later():
        for use in (lambda: write(b"later"), lambda: start_response("200 Later", TEXT),
                    lambda: environ["wsgi.input"].read()):
            try:
                use()
            except Exception as error:
                note(environ, "later", type(error).__name__)
        note(environ, "over")
    thread = threading.Thread(target=lambda: (wait_for(environ["HTTP_X_FLAG"]), later()))
    thread.start()
    return [b"ok"]


@app
def chance(environ, start_response):
    import random
    start_response("200 OK", TEXT)
    return [f"{os.getpid()} {random.random()} {FORKS}".encode()]


FORKS = []
os.register_at_fork(after_in_child=lambda: FORKS.append(1))


@app
def hangs(environ, start_response):
    """Does not return."""
    note(environ, "hangs", os.getpid())
    the_line_where_it_hangs()
    return []


def the_line_where_it_hangs():
    while True:
        time.sleep(60)


@app
def length_10k(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"x" * 10240]


COUNTS = {"called": 0, "closed": 0, "twice": 0}
COUNTING = threading.Lock()


class Counted:
    def __init__(self, chunks):
        self.chunks, self.closed = iter(chunks), False
        with COUNTING:
            COUNTS["called"] += 1

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.chunks)

    def close(self):
        with COUNTING:
            COUNTS["closed"] += 1
            COUNTS["twice"] += self.closed
        self.closed = True


@app
def counted(environ, start_response):
    start_response("200 OK", TEXT)
    return Counted([b"x" * int(environ.get("QUERY_STRING") or 10)] * 4)


@app
def counts(environ, start_response):
    start_response("200 OK", TEXT)
    return [json.dumps(COUNTS).encode()]
