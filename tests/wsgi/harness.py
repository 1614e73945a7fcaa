"""Tests, and the case that each test gets.

A test is a function with a row of the checklist (`@row("S3", …)`) that takes a `Case` and asserts. It can be run against
any server of servers.py; a server that lacks what the test needs raises `Skip`.
"""

import contextlib
import itertools
import pathlib
import shutil
import tempfile

import servers
from client import Connection, eventually, request

# Texts that must not occur in a server's log.
FORBIDDEN = ["Iterator garbage collected without being closed", "panicked at", "Fatal Python error", "!!! uWSGI process",
             "Segmentation fault"]
TESTS = []


class Test:
    def __init__(self, row, what, function, ours, long):
        self.row, self.what, self.function, self.ours, self.long = row, what, function, ours, long
        self.name = f"{function.__module__}.{function.__name__}"


def row(number, what, ours=False, long=False):
    """Makes a function a test. `ours`: about our own flags and promises, not for peers. `long`: only with --long."""
    def decorate(function):
        TESTS.append(Test(number, what, function, ours, long))
        return function
    return decorate


class Case:
    """The parameter of a test: a running server, and means to start others."""

    counter = itertools.count(1)

    def __init__(self, kind, shared):
        self.kind, self.shared = kind, shared
        self.mark = f"mark{next(self.counter)}"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="stheno-wsgi-"))
        self.stack = contextlib.ExitStack()
        self.stack.callback(shutil.rmtree, self.folder, ignore_errors=True)

    @property
    def server(self):
        """The server that all tests share."""
        return self.shared.get()

    def serve(self, **options):
        """Starts another server for this test only; the options are those of servers.Server."""
        server = self.kind(**options)
        self.stack.callback(server.stop)
        server.start()
        return server

    def connect(self, server=None, **options):
        return self.stack.enter_context(Connection((server or self.server).address, **options))

    def ask(self, target="/", app=None, method="GET", headers=(), body=None, version="HTTP/1.1", server=None):
        """Sends one request on a connection of its own, and returns the response, which must come."""
        with Connection((server or self.server).address) as connection:
            answer = connection.ask(target, app, method, [*headers, ("X-Mark", self.mark)], body, version)
            assert answer is not None, "the connection was closed without a response"
            return answer

    def environ(self, target="/", server=None, **more):
        """The environment as the app saw it: key to type and value."""
        answer = self.ask(target, more.pop("app", "dump"), server=server, **more)
        assert answer.status == 200, f"{answer.status} {answer.body[:200]!r}"
        return {key: Value(kind, value) for key, (kind, value) in answer.json.items()}

    def events(self, name=None, server=None):
        """The events with this name that apps have noted for this test's mark."""
        found = [line for line in (server or self.server).events() if line[0] == self.mark]
        return [line[2] for line in found if name is None or line[1] == name]

    def event(self, name, server=None):
        """Waits until an app notes this event, and returns its text."""
        return eventually(lambda: self.events(name, server), f"the app notes {name!r}")[0]

    def flag(self, name="flag"):
        """The path of a file that apps may wait for."""
        return self.folder / name

    def close(self):
        self.stack.close()


class Value(str):
    """A value of the environment: its text, and its type in the app."""

    def __new__(cls, kind, value):
        one = super().__new__(cls, value)
        one.kind = kind
        return one


class Shared:
    """The server that many tests use; started when it is first needed, and again after it has died."""

    def __init__(self, kind, **options):
        self.kind, self.options, self.running = kind, options, None

    def get(self):
        if self.running is None:
            server = self.kind(**self.options)
            server.start()
            self.running = server
        return self.running

    def mind(self, position):
        """After a test: the server must be alive, and its log from the position on free of forbidden texts."""
        if self.running is None:
            return
        text = self.running.log()[position:]
        dead = self.running.process.poll() is not None
        if dead:
            code = self.running.process.returncode
            self.stop()
            raise AssertionError(f"the server has died (code {code}): {text[-800:]}")
        for words in FORBIDDEN:
            assert words not in text, f"in the server's log: {words!r}"

    def position(self):
        return len(self.running.log()) if self.running else 0

    def stop(self):
        if self.running:
            self.running.stop()
            self.running = None


def expect(got, wanted, what=""):
    """Asserts that both are equal, and says how they differ."""
    assert got == wanted, f"{what}{': ' if what else ''}{got!r}, not {wanted!r}"


def goes_out_at_once(case, app):
    """The app sends "tick", and continues when the client confirms its arrival."""
    flag = case.flag(app)
    with Connection(case.server.address) as connection:
        connection.send(request("/", app, headers=[("X-Flag", str(flag))]))
        expect(connection.head().status, 200)
        while b"tick" not in connection.buffer:
            assert connection.more(), f"closed; until then {connection.buffer!r}"
        flag.touch()
        while b"seen" not in connection.buffer and connection.more():
            pass
        assert b" seen" in connection.buffer and b" not seen" not in connection.buffer, f"buffered: {connection.buffer!r}"


Skip = servers.Skip
