"""The apps that `scripts/bench wsgi` measures. They do almost nothing, so that the cost is that of the server."""

import json
import time

# Padded with blanks, which JSON allows.
JSON = json.dumps([{"number": number, "text": "x" * 30} for number in range(150)]).encode().ljust(10240)
PIECE = b"s" * 1024
# What slow readers read; one object for all responses.
LARGE = b"l" * 10_000_000
GENERATED = b"g" * 65536


def user(number):
    """The fields that the applications of the frameworks send as JSON."""
    return {"id": number, "name": f"user {number}", "active": True, "roles": ["reader", "editor"]}


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "11")])
    return [b"Hello World"]


def json10k(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "10240")])
    return [JSON]


def streamed(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return (PIECE for _ in range(10))


def echo(environ, start_response):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    # The first request, which finds out whether the server is ready, has no body; uWSGI waits for one in read(0).
    body = environ["wsgi.input"].read(length) if length else b""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def sleeps(environ, start_response):
    """A database that takes 0.3 s."""
    time.sleep(0.3)
    return hello(environ, start_response)


def readers(environ, start_response):
    """10 MB as a list of one, 100 MB from a generator, and a page for other clients."""
    if environ["PATH_INFO"] == "/large":
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(LARGE)))])
        return [LARGE]
    if environ["PATH_INFO"] == "/generated":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (GENERATED for _ in range(1600))
    return hello(environ, start_response)


def burns(_, start_response):
    """5 ms of CPU time, whatever else runs on the machine."""
    end = time.thread_time() + 0.005
    while time.thread_time() < end:
        pass
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"done\n"]
