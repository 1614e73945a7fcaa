"""Apps about logs."""

import json
import logging
import sys
import threading

from .registry import TEXT, app

LOGGER = logging.getLogger("apps.logged")


@app
def fails(environ, start_response):
    """Raises an exception with the text in X-Text (`|` is a line end, `^` an escape), and with a cause."""
    try:
        raise KeyError("the cause")
    except KeyError as cause:
        raise ValueError(environ.get("HTTP_X_TEXT", "on purpose").replace("|", "\n").replace("^", "\x1b")) from cause


@app
def fails_twice(environ, start_response):
    raise ValueError("twice the same")


@app
def fails_in_close(environ, start_response):
    start_response("200 OK", TEXT)

    class Body:
        def __iter__(self):
            return iter([b"body"])

        def close(self):
            raise ValueError("in close()")
    return Body()


@app(checked=False)
def stream(environ, start_response):
    """Uses wsgi.errors in all ways, and returns what it is."""
    errors, mark = environ["wsgi.errors"], environ["HTTP_X_MARK"]
    print("printed", mark, 5, file=errors)
    print("no end of line", mark, end="", file=errors)
    errors.flush()
    errors.write(f"begun {mark}")
    errors.write(" and ended\n")
    errors.write(f"one {mark}\ntwo \x1b[31m {mark}\n")
    handler = logging.StreamHandler(errors)
    handler.emit(logging.LogRecord("x", 30, "x", 1, "handled %s", (mark,), None))
    thread = threading.Thread(target=lambda: errors.write(f"elsewhere {mark}\n"), name="thread-of-app")
    thread.start()
    thread.join()
    errors.write(f"left open {mark}")
    try:
        number = errors.fileno()
    except OSError as error:
        number = type(error).__name__
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps([number, errors.isatty(), errors.closed, errors.writable(), errors.readable(), errors.encoding,
                        errors is sys.stderr]).encode()]


@app
def says_id(environ, start_response):
    import stheno_wsgi
    LOGGER.warning("in the application")
    start_response("200 OK", TEXT)
    return [(stheno_wsgi.request_id() or "none").encode()]


@app
def many_fields(environ, start_response):
    start_response("201 Created", [*TEXT, ("X-Thing", "a \"b\""), ("Content-Length", "5"), ("Set-Cookie", "secret=1")])
    return [b"12345"]


@app(checked=False)
def writes_on(environ, start_response):
    """Calls write until the client is gone."""
    write = start_response("200 OK", TEXT)
    for _ in range(10_000):
        write(b"x" * 65536)
    return []
