"""The tests of the live mode: a rung is stepped over HTTP, as its page does it."""

import contextlib
import http.client
import json
import socket

from lib import Trouble, until

from . import live, reading, rungs
from .clients import unread, waiting
from .promises import need


class Browser:
    """What the page does: requests, and a stream of events."""

    def __init__(self, port):
        self.port = port

    def ask(self, method, path, body=None, **fields):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request(method, path, body, {"Origin": f"http://127.0.0.1:{self.port}"} | fields)
            response = connection.getresponse()
            return response.status, response.read()

    def post(self, path, word):
        status, body = self.ask("POST", path, word)
        need(status == 204, f"{path} {word}: {status} {body!r}")

    @contextlib.contextmanager
    def events(self):
        """A function that returns the next event: its name and its data."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request("GET", "/events")
            response = connection.getresponse()
            need(response.headers["Content-Type"] == "text/event-stream", "no stream of events")

            def following():
                fields = {}
                while True:
                    line = response.readline().decode().rstrip("\n")
                    if not line and "event" in fields:
                        return fields["event"], fields["data"]
                    name, _, value = line.partition(": ")
                    fields[name] = value
            yield following


@contextlib.contextmanager
def page_of(name):
    with live.serving(rungs.Rung(name)) as (one, server):
        yield one, Browser(server.server_port)
    need(one.running.is_over(), "the rung is left running")


# Rungs that accept on threads of their own, also while their loop stands still.
ELSEWHERE = ("web_waker", "web_executor")


def turns_of(browser):
    status, content = browser.ask("GET", "/recording")
    need(status == 200, f"/recording: {status}")
    return reading.Recording(content).turns()


def stepping():
    """A step is one turn; the client's answer comes when enough of them were made, and no sooner. So on every rung."""
    for name in rungs.LOOPS:
        if name != "stheno":
            step_through(name)


def step_through(name):
    with page_of(name) as (one, browser), browser.events() as following:
        need(following() == ("recording", "0") and turns_of(browser) == [], f"{name}: turns before the first step")
        browser.post("/send", "one_line")
        if name not in ELSEWHERE:
            until(lambda: waiting(one.running.port), "a connection waits to be accepted")
        need(not one.results, f"{name}: the answer came without a turn")
        event, steps, data = None, 0, None
        while event != "sent":
            need(steps < 50, f"{name}: no answer after {steps} steps")
            browser.post("/control", "step")
            steps += 1
            event, data = following()
            if event == "recording":
                need(int(data) <= steps, f"{name}: {data} turns after {steps} steps")
                need(len(turns_of(browser)) >= int(data), f"{name}: the recording is older than its event")
        need(json.loads(data) == {"scenario": "one_line", "failures": []}, f"{name}: {data}")
        if name not in ELSEWHERE:
            use_up(one, steps)
            stands(one, browser)


def use_up(one, steps):
    """Has the rung make the turns that it may still make: a connection is an event."""
    with contextlib.ExitStack() as connections:
        while (turns := one.turns) < steps:
            connections.enter_context(socket.create_connection(("127.0.0.1", one.running.port)))
            until(lambda: one.turns > turns, "a turn")


def stands(one, browser):
    """Sends one line to a rung that must not go on: nothing happens in a time in which it would have."""
    results, before = len(one.results), waiting(one.running.port)
    browser.post("/send", "one_line")
    until(lambda: waiting(one.running.port) > before or len(one.results) > results, "a connection waits to be accepted")
    with contextlib.suppress(Trouble):
        until(lambda: len(one.results) > results, "an answer", 0.3)
    need(len(one.results) == results and waiting(one.running.port) > before, f"{one.rung.name} goes on without an order")


def running_and_pausing():
    """A rung that runs serves; a rung that is paused does not."""
    with page_of("tcp_reactor") as (one, browser), browser.events() as following:
        browser.post("/control", "run")
        browser.post("/send", "two_at_once")
        while (event := following())[0] != "sent":
            pass
        need(json.loads(event[1])["failures"] == [], event[1])
        browser.post("/control", "pause")
        # This connection ends the wait that the rung is in; the rung then reads its order, and stops.
        with socket.create_connection(("127.0.0.1", one.running.port)):
            until(lambda: not unread(one.running.process.stdin), "the rung reads its order")
            stands(one, browser)
        browser.post("/control", "run")
        while following()[0] != "sent":
            pass


def strangers():
    """Another site's page, and a name that leads here, are refused; so are things that do not exist."""
    with page_of("tcp_reactor") as (one, browser):
        for fields in ({"Origin": "http://example.org"}, {"Origin": "null"}, {"Host": "example.org"},
                       {"Origin": f"https://127.0.0.1:{browser.port}"}, {"Host": f"example.org:{browser.port}"}):
            for path in ("/control", "/send"):
                status, _ = browser.ask("POST", path, "step", **fields)
                need(status == 403, f"{fields} may use {path}: {status}")
        need(browser.ask("GET", "/recording", Host="example.org")[0] == 403, "a name that leads here reads the recording")
        for path, word in (("/control", "fly"), ("/send", "no_such_scenario"), ("/else", "step")):
            need(browser.ask("POST", path, word)[0] == 404, f"{path} {word}")
        need(browser.ask("POST", "/control", "x" * 2000)[0] == 400, "a long body")
        need(browser.ask("GET", "/else")[0] == 404, "a page that is not there")
        names = {one["name"] for one in json.loads(browser.ask("GET", "/scenarios")[1])}
        need({"one_line", "idle"} <= names, f"the scenarios are {names}")
        status, page = browser.ask("GET", "/")
        need(status == 200 and b"<html" in page.lower(), f"the page: {status}")


def server_is_refused():
    try:
        live.live(type("Options", (), {"rung": "stheno"}))
    except Trouble as trouble:
        need("\n" not in str(trouble), "more than one line")
    else:
        raise Trouble("stheno was started")


PARTS = {function.__name__: function for function in [stepping, running_and_pausing, strangers, server_is_refused]}
