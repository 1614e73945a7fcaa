"""Apps that look at the request: its environment and its body."""

import hashlib
import json

from .registry import TEXT, app, note


def described(environ):
    what = {str(key): [type(value).__name__, value if isinstance(value, str) else repr(value)]
            for key, value in environ.items()}
    what["type(environ)"] = [type(environ).__name__, ""]
    return json.dumps(what).encode()


@app
def dump(environ, start_response):
    data = described(environ)
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
    return [data]


# The validator refuses "*" as a path.
@app(checked=False)
def bare(environ, start_response):
    data = described(environ)
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
    return [data]


@app
def spoil(environ, start_response):
    """Changes its environment, as an app may."""
    for key in list(environ):
        if not key.startswith(("wsgi.", "HTTP_X_")):
            del environ[key]
    environ["spoilt"] = "yes"
    start_response("200 OK", TEXT)
    return [b"spoilt"]


@app
def errors(environ, start_response):
    stream, mark = environ["wsgi.errors"], environ["HTTP_X_MARK"]
    stream.write(f"write {mark} é ☃ 🐍\n")
    stream.writelines([f"first {mark}\n", f"second {mark}\n"])
    stream.flush()
    start_response("200 OK", TEXT)
    return [b"written"]


# The validator requires exactly one argument for read().
@app(checked=False)
def operations(environ, start_response):
    """Calls the methods of wsgi.input that X-Operations names; returns their results."""
    stream, results = environ["wsgi.input"], []
    for name, *arguments in json.loads(environ["HTTP_X_OPERATIONS"]):
        try:
            got = list(stream) if name == "__iter__" else getattr(stream, name)(*arguments)
        except Exception as error:  # the server's exception is the result
            got = f"{type(error).__name__}: {error}"
        results.append(repr(got) if len(repr(got)) < 500 else hashlib.sha256(repr(got).encode()).hexdigest())
    data = json.dumps(results).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
    return [data]


@app
def echo(environ, start_response):
    """Echoes the body, with its description in fields."""
    body = environ["wsgi.input"].read(1 << 30)
    note(environ, "called", len(body))
    start_response("200 OK", [*TEXT, ("Content-Length", str(len(body))),
                              ("X-Length", environ.get("CONTENT_LENGTH", "none")),
                              ("X-Coding", environ.get("HTTP_TRANSFER_ENCODING", "none")),
                              ("X-Terminated", str(environ.get("wsgi.input_terminated")))])
    return [body]


@app
def digest(environ, start_response):
    """Reads the body in pieces; returns its length and hash."""
    total, hashed = 0, hashlib.sha256()
    while piece := environ["wsgi.input"].read(65536):
        total += len(piece)
        hashed.update(piece)
    start_response("200 OK", TEXT)
    return [f"{total} {hashed.hexdigest()}".encode()]


@app
def unread(environ, start_response):
    note(environ, "called")
    start_response("200 OK", TEXT)
    return [b"not read"]


@app
def lengths(environ, start_response):
    """Reads the announced length, as Django does."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length)
    start_response("200 OK", TEXT)
    return [f"{length} ".encode(), body]
