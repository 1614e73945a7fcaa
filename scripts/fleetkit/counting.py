"""Clients with a session: a POST adds one to the count that the session keeps, a GET reads it. A count that is not the next
one is a request that was lost, done twice, or done on an old session."""

import collections
import http.client
import json
import random
from time import monotonic as now

from chaoskit.clients import PATIENCE, Failure

from .load import FleetLoad, TimedClient

# The share of requests that read.
READS = 0.2


class SessionClient(TimedClient):
    """A client that keeps its cookies and its connection."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.cookies, self.count, self.host = {}, None, None
        # Whether a POST without an answer may have been done.
        self.is_unsure = False

    def ask(self):
        """Makes one request and compares the count; returns the size of the body."""
        method = "GET" if self.count is None or random.random() < READS else "POST"
        status, fields, body = self.exchange(method)
        for cookie in fields.get_all("Set-Cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        if status != 200:
            self.is_unsure |= method == "POST"
            raise Failure("status", f"{method}: {status}")
        try:
            self.compare(method, json.loads(body))
        except (ValueError, KeyError) as error:
            raise Failure("wrong", f"{method}: {type(error).__name__}: {error}") from error
        return len(body)

    def exchange(self, method):
        """Status, fields and body of the response to a request."""
        fields = {"Cookie": "; ".join("=".join(pair) for pair in self.cookies.items())} if self.cookies else {}
        if method == "POST":
            fields["X-CSRFToken"] = self.cookies["csrftoken"]
        if not self.socket:
            self.socket, self.served = http.client.HTTPConnection(*self.load.address, timeout=PATIENCE), False
        try:
            self.socket.request(method, "/", headers=fields)
            self.port = self.socket.sock.getsockname()[1]
            response = self.socket.getresponse()
            found = response.status, response.headers, response.read()
            self.served = True
            return found
        except TimeoutError as error:
            self.is_unsure |= method == "POST"
            raise Failure("late", f"{method}: not in {PATIENCE:.0f} s") from error
        except (OSError, http.client.HTTPException) as error:
            self.is_unsure |= method == "POST"
            raise Failure("lost" if self.served else "refused", f"{method}: {error or type(error).__name__}") from error

    def compare(self, method, found):
        load, count = self.load, found["count"]
        expected = {(self.count or 0) + (method == "POST")}
        if self.is_unsure:
            expected |= {one + 1 for one in expected}
        before, self.count, self.is_unsure = self.count, count, False
        with load.lock:
            load.posts += method == "POST"
            load.hosts[found["host"]] += 1
            if self.host not in (None, found["host"]):
                load.moves.append((now(), self.host, found["host"]))
        self.host = found["host"]
        if count not in expected:
            raise Failure("session", f"{method}: {count} after {before}")
        if found["client"] != load.host.address:
            raise Failure("wrong", f"the application sees the client {found['client']}")


class SessionLoad(FleetLoad):
    """Clients with sessions on `host`. When it has ended: the POSTs that were answered, the answers of each host, and when a
    client has met another host than before."""

    def __init__(self, host, address, **options):
        self.posts, self.hosts, self.moves = 0, collections.Counter(), []
        super().__init__(host, address, None, client=SessionClient, **options)

    def work(self, pipe, *arguments):
        super().work(pipe, *arguments)
        pipe.send((self.posts, self.hosts, self.moves))

    def see_out(self, seconds=None):
        seen = super().see_out(seconds)
        self.posts, self.hosts, self.moves = self.pipe.recv()
        return seen
