"""Probes: who may, what is believed of a proxy, and what is logged."""

import base64
import json
import re
import socket

from lib import until

from . import folder
from .verdict import check, feature, no, partly, shares, yes

ACCESS, PROXY = "Access", "Behind a proxy, and logs"
CLIENT = "203.0.113.9"


def basic(user, password):
    return "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@feature(ACCESS, "a password, from a file with bcrypt", "auth", needs=True)
def auth(stage):
    """No password and a wrong one are 401 with `WWW-Authenticate`; the right one is 200."""
    running = stage.running("auth")
    asked = running.ask("/about.html")
    wrong, right = (running.ask("/about.html", basic(folder.USER, word)) for word in ("wrong", folder.PASSWORD))
    return check(asked.status == 401 and "basic" in asked.get("www-authenticate").lower()
                 and wrong.status in (401, 403) and right.status == 200)


@feature(ACCESS, "networks that may", "allow", needs=True)
def allow(stage):
    """Only 127.0.0.2 may: from there a file is 200, from 127.0.0.1 it is refused."""
    running = stage.running("allow")
    stranger, friend = (running.ask("/about.html", source=source) for source in ("127.0.0.1", "127.0.0.2"))
    return check(stranger.status in (0, 403) and friend.status == 200)


@feature(PROXY, "PROXY protocol", "log", "proxy", needs=True)
def proxy(stage):
    """A PROXY v1 and a v2 header before a request: 200, and the log has the address that they name."""
    running = stage.running("proxy")
    first = b"PROXY TCP4 203.0.113.9 127.0.0.1 40000 80\r\n"
    second = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([203, 0, 113, 10, 127, 0, 0, 1]) + b"\x9c\x40\0\x50"
    answers = [running.ask("/about.html", before=before).status == 200 for before in (first, second)]
    seen = [running.says(lambda text, address=address: address in text) for address in (CLIENT, "203.0.113.10")]
    return shares((answers[0] and seen[0], "not v1"), (answers[1] and seen[1], "not v2"))


@feature(PROXY, "`X-Forwarded-For` of named networks only", "log", "forwarded")
def forwarded(stage):
    """The log has the address in the field of a request from 127.0.0.1, which is named, not of one from 127.0.0.2."""
    running = stage.running(*(["forwarded"] if "forwarded" in stage.server.options else ["log"]))
    running.ask("/about.html", f"X-Forwarded-For: {CLIENT}")
    if not running.says(lambda text: is_client(text, CLIENT)):
        return no()
    running.ask("/about.html", "X-Forwarded-For: 203.0.113.77", source="127.0.0.2")
    running.ask("/app.js")
    running.says(lambda text: "app.js" in text)
    return check(not is_client(running.output(), "203.0.113.77"), "believes everyone")


def is_client(text, address):
    """Whether a line of the log has the address as that of the client, and not as the value of the field."""
    for line in text.splitlines():
        try:
            value = json.loads(line)
            line = json.dumps({key: one for key, one in (value.get("request") or value).items() if key != "headers"})
        except (ValueError, AttributeError):
            pass
        if address in line:
            return True
    return False


COMBINED = (r'^127\.0\.0\.1 \S+ \S+ \[\d\d/\w{3}/\d{4}[^\]]*\] "GET /about\.html\?combined HTTP/1\.1" 200 (\S+) '
            r'"[^"]*" "probe/1"')


@feature(PROXY, "a log in the combined format", "log", "combined")
def combined(stage):
    """The log has a line of the combined format with status, bytes and the user agent."""
    running = stage.running(*(["combined"] if "combined" in stage.server.options else ["log"]))
    running.ask("/about.html?combined", "User-Agent: probe/1")
    running.says(lambda text: "?combined" in text)
    found = re.search(COMBINED, running.output(), re.M)
    size = len(folder.PAGE.format("about.html"))
    if found:
        return yes() if found[1] == str(size) else partly("without bytes")
    lines = [line for line in running.output().splitlines() if "about.html?combined" in line]
    if any(re.search(rf'\] "GET \S+ HTTP/1.1" 200 {size}$', line) for line in lines):
        return partly("common format")
    return partly("a format of its own") if any("200" in line for line in lines) else no("no line with path and status")


@feature(PROXY, "a log as JSON", "json_log", needs=True)
def json_log(stage):
    """A line of the log is a JSON object with the path and the status."""
    running = stage.running("json_log")
    running.ask("/about.html")

    def has_line(text):
        for line in text.splitlines():
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if isinstance(value, dict) and "about.html" in line and 200 in [*value.values()]:
                return True
        return False
    return check(running.says(has_line))


@feature(PROXY, "on a Unix socket", "unix", needs=True)
def unix(stage):
    """A request over the socket file is answered with the file."""
    running = stage.running("unix")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        # A server may listen on TCP first.
        until(lambda: client.connect_ex(str(running.socket)) == 0, "the socket accepts", 3)
        client.sendall(b"GET /sub/hello.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        got = b"".join(iter(lambda: client.recv(65536), b""))
    return check(got.endswith(b"hello\n"))


@feature(PROXY, "metrics for Prometheus", "metrics", needs=True)
def metrics(stage):
    """`/metrics` (or below the path of the option) has a line `# TYPE`."""
    running = stage.running("metrics")
    return check(any("# TYPE" in running.ask(path).text for path in ("/metrics", "/status/metrics")))
