"""Apps about the threads that call them: slow readers, tools that look at threads."""

import json
import sys
import threading
import time

from .registry import Body, TEXT, app, note, wait_for

PIECE = 65536


def numbered(count):
    """`count` pieces that all differ."""
    for number in range(count):
        yield b"%08d" % number * (PIECE // 8)


def length(environ):
    count = int(environ["QUERY_STRING"])
    return count, [*TEXT, ("Content-Length", str(count * PIECE))]


@app
def pieces(environ, start_response):
    """A generator of the number of pieces in the query."""
    count, headers = length(environ)
    start_response("200 OK", headers)

    def body():
        note(environ, "begun", threading.get_ident())
        yield from numbered(count)
        note(environ, "ended", threading.get_ident())
    return Body(environ, body())


@app
def written_pieces(environ, start_response):
    """As `pieces`, by write()."""
    count, headers = length(environ)
    write = start_response("200 OK", headers)
    note(environ, "begun", threading.get_ident())
    for piece in numbered(count):
        write(piece)
    note(environ, "ended", threading.get_ident())
    return []


RUNNING, MOST, COUNTING = 0, 0, threading.Lock()


@app
def together(environ, start_response):
    """Returns how many calls of it ran at the same time, at the most."""
    global RUNNING, MOST
    with COUNTING:
        RUNNING += 1
        MOST = max(MOST, RUNNING)
    time.sleep(0.05)
    with COUNTING:
        RUNNING -= 1
    start_response("200 OK", TEXT)
    return [str(MOST).encode()]


@app
def threads(environ, start_response):
    """What Python knows of its threads."""
    this = threading.current_thread()
    facts = {"name": this.name, "kind": type(this).__name__, "daemon": this.daemon,
             "all": sorted(thread.name for thread in threading.enumerate()), "frames": len(sys._current_frames())}
    start_response("200 OK", TEXT)
    return [json.dumps(facts).encode()]


@app
def waits_in_c(environ, start_response):
    """Holds the interpreter until the process ends."""
    import ctypes
    note(environ, "hangs")
    ctypes.PyDLL(None).sleep(60)
    start_response("200 OK", TEXT)
    return []


@app
def waits_silently(environ, start_response):
    """As `waits`, without a body that notes its end."""
    note(environ, "begun")
    wait_for(environ["HTTP_X_FLAG"])
    start_response("200 OK", TEXT)
    return [b"waited"]
