"""Apps that return large objects."""

import sys
import urllib.parse

from .registry import TEXT, app, note

KEPT = {}


def kept(size):
    """The object of this size, which this module keeps."""
    if size not in KEPT:
        KEPT[size] = (bytes(range(251)) * (size // 251 + 1))[:size]
    return KEPT[size]


def options(environ):
    return dict(urllib.parse.parse_qsl(environ["QUERY_STRING"]))


def begin(environ, start_response):
    length = options(environ).get("length")
    return start_response("200 OK", [*TEXT, ("Content-Length", length)] if length else TEXT)


# The validator would put an iterator around a list.
@app(checked=False)
def large(environ, start_response):
    """An object of `size` bytes, once or several times, in a body of this `kind`."""
    asked = options(environ)
    piece, kind = kept(int(asked["size"])), asked["kind"]
    write = begin(environ, start_response)
    if kind == "write":
        write(piece)
        write(b"between")
        write(piece)
        return [b"after", piece]
    if kind == "generator":
        return (part for part in (b"before", piece, b"", piece, b"after"))
    return {"list": [piece], "tuple": (piece,), "several": [piece, piece, b"after", piece], "thousand": [piece] * 1000}[kind]


@app
def references(environ, start_response):
    """How many references to the object there are, beside the module's."""
    piece = kept(int(options(environ)["size"]))
    start_response("200 OK", TEXT)
    # The module, the variable, and the argument of getrefcount.
    return [str(sys.getrefcount(piece) - 3).encode()]


# The validator holds a reference, here and below.
@app(checked=False)
def marked(environ, start_response):
    """An object that notes its release."""
    class Marked(bytes):
        def __del__(self):
            note(environ, "released")
    start_response("200 OK", TEXT)
    return [Marked(int(options(environ)["size"]))]


@app(checked=False)
def counted(environ, start_response):
    """Notes each piece that is asked for."""
    start_response("200 OK", TEXT)

    def body():
        for number in range(100):
            note(environ, "piece", number)
            yield kept(1_000_000)
    return body()


@app
def writes_and_ends(environ, start_response):
    """Writes `size` bytes, and ends too early or too late."""
    asked = options(environ)
    write = begin(environ, start_response)
    write(kept(int(asked["size"])))
    if asked["end"] == "raises":
        raise RuntimeError("on purpose")
    return []
