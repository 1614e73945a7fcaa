"""The apps that `scripts/bench wsgi` measures. They do next to nothing: what is left is the server."""

import json
import time

HELLO = b"Hello World"
# Blanks at the end are JSON as well.
JSON = json.dumps([{"number": number, "text": "x" * 30} for number in range(150)]).encode().ljust(10240)
PIECE = b"s" * 1024


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "11")])
    return [HELLO]


def json10k(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "10240")])
    return [JSON]


def streamed(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return (PIECE for _ in range(10))


def echo(environ, start_response):
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def sleeps(environ, start_response):
    """The seed's database."""
    time.sleep(0.3)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "11")])
    return [HELLO]
