"""Clients that compare every byte of every response with the file that they asked for."""

import array
import collections
import ctypes
import hashlib
import math
import multiprocessing
import os
import random
import select
import signal
import socket
import threading
import time
from dataclasses import dataclass
from time import monotonic as now

from lib import ENDING, PROJECT, Trouble, quantile, request, until

OUT = PROJECT / "target" / "chaos"
ROOT = OUT / "root"
# No response takes longer, not even one of a worker that is stopped meanwhile.
PATIENCE = 15.0
# File → size, and how often it is asked for. The server reads up to 16 KiB and leaves larger files to sendfile.
FILES = {"1k": (1024, 60), "16k": (16 * 1024, 14), "16k-and-1": (16 * 1024 + 1, 10), "100k": (100_000, 14),
         "2m": (2 << 20, 2)}


def make_root():
    """Makes the files and returns what they contain. Every 32 bytes depend on the name and the offset, so a byte at a wrong
    place is a wrong byte. Another run may be serving the files, so each appears as a whole."""
    contents = {}
    ROOT.mkdir(parents=True, exist_ok=True)
    for name, (size, _) in FILES.items():
        blocks = (hashlib.sha256(f"{name} {offset}".encode()).digest() for offset in range(0, size, 32))
        contents[name] = b"".join(blocks)[:size]
        beside = OUT / f"{name}.{os.getpid()}"
        beside.write_bytes(contents[name])
        beside.rename(ROOT / name)
    return contents


class Failure(Exception):
    """A request without its proper response: kind and detail. The kind is one of

    refused  no connection, or a new one that was closed before any byte came
    lost     nothing came on a connection that had served before
    cut      the response ended early
    wrong    it is not the file
    late     it is not there within `PATIENCE`
    """


class Client(threading.Thread):
    """One connection at a time, and a request every `pause` seconds, until the load is over."""

    patience = PATIENCE

    def __init__(self, load, due, pause, churn):
        super().__init__(daemon=True)
        self.load, self.due, self.pause, self.churn = load, due, pause, churn
        self.socket, self.port, self.served = None, 0, False

    def run(self):
        load = self.load
        time.sleep(max(0, self.due - now()))
        while not load.shared.over:
            begun = now()
            try:
                size, ended = self.ask(), now()
                with load.lock:
                    load.ended.append(ended)
                    load.took.append(ended - begun)
                    load.bytes += size
                    load.shared.answered += 1
                self.due = max(self.due + self.pause, ended)
            except Failure as failure:
                kind, detail = failure.args
                self.close()
                if kind == "refused" and load.shared.leaving:
                    return
                with load.lock:
                    load.failures.append({"at": now(), "port": self.port, "kind": kind, "how": f"{kind}: {detail}"})
                    load.shared.failed += 1
                self.due = now() + 0.02
            time.sleep(max(0, self.due - now()))

    def ask(self):
        """Makes one request and checks its response; returns the size of the file."""
        deadline = now() + self.patience
        if self.socket and select.select([self.socket], [], [], 0)[0]:
            if data := self.receive(deadline):
                raise Failure("wrong", f"bytes without a request: {data[:100]!r}")
            self.close()
        name = random.choices(list(FILES), [weight for _, weight in FILES.values()])[0]
        fields, expected = ["Connection: close"] * (random.random() < self.churn), self.load.contents[name]
        try:
            if not self.socket:
                self.served, self.port = False, 0
                self.socket = socket.create_connection(self.load.address, timeout=PATIENCE)
                self.port = self.socket.getsockname()[1]
            self.socket.sendall(request(f"/{name}", *fields))
        except OSError as error:
            raise Failure("lost" if self.served else "refused", error.strerror) from error
        if self.check_response(name, expected, deadline):
            self.close()
        self.served = True
        return len(expected)

    def receive(self, deadline):
        """The next bytes; none after a close or a reset."""
        try:
            self.socket.settimeout(max(0.001, deadline - now()))
            return self.socket.recv(1 << 18)
        except TimeoutError as error:
            raise Failure("late", f"not in {self.patience:.0f} s") from error
        except OSError:
            return b""

    def check_response(self, name, expected, deadline):
        """Reads and compares a response; returns whether the server closes after it."""
        head, end, body = b"", b"", 0
        while not end or body < len(expected):
            data = self.receive(deadline)
            if not data:
                kind = "cut" if head else "lost" if self.served else "refused"
                raise Failure(kind, f"{name}: closed after {body} of {len(expected)} bytes")
            if not end:
                head, end, data = (head + data).partition(b"\r\n\r\n")
            if expected[body:body + len(data)] != data:
                raise Failure("wrong", f"{name}: other bytes between {body} and {body + len(data)}")
            body += len(data)
        status, *fields = head.lower().split(b"\r\n")
        if status != b"http/1.1 200 ok" or b"content-length: %d" % len(expected) not in fields:
            raise Failure("wrong", f"{name}: {head[:200]!r}")
        return b"connection: close" in fields

    def close(self):
        if self.socket:
            self.socket.close()
            self.socket = None


def failed(failures):
    """The number of failures, their kinds, and the first one."""
    if not failures:
        return "0 failed"
    kinds = collections.Counter(failure["kind"] for failure in failures)
    sorts = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
    return f"{len(failures)} failed ({sorts}; the first: {failures[0]['how']})".replace("|", "/")


@dataclass
class Seen:
    """What clients have seen until they ended: the end of each response, and the seconds that it took; all failures, and
    those of clients whose worker was not touched."""

    seconds: float
    ended: array.array
    took: array.array
    failures: list
    bytes: int
    others: list = ()

    def percentile(self, share, since=0.0, until=math.inf):
        return quantile([took for ended, took in zip(self.ended, self.took) if since <= ended < until], share)

    @property
    def rate(self):
        return f"{len(self.took):,} answers at {len(self.took) / self.seconds:.0f}/s"

    def __str__(self):
        return f"{self.rate}: {failed(self.failures)}"


class Shared(ctypes.Structure):
    """Memory that the process of the clients shares with ours: its counts, and two words that it is told."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("answered", "failed", "over", "leaving")]


class Load:
    """Clients in a process of their own, from now until `stop` or `see_out`."""

    client = Client
    # Whether the first requests are spread over a pause.
    stagger = 1

    def __init__(self, address, contents, clients=50, rate=500, churn=0.0):
        self.address, self.contents, self.begun = address, contents, now()
        self.shared, self.lock = multiprocessing.RawValue(Shared), threading.Lock()
        self.ended, self.took, self.failures, self.bytes = array.array("d"), array.array("d"), [], 0
        self.pipe, far_end = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("fork").Process(
            target=self.work, args=(far_end, clients, clients / rate, churn), daemon=True)
        self.process.start()
        self.wait_for_more(clients)

    def work(self, pipe, number, pause, churn):
        for one in ENDING:
            signal.signal(one, signal.SIG_IGN)
        parent = os.getppid()
        random.seed(os.getpid())
        clients = [self.client(self, now() + self.stagger * pause * count / number, pause, churn) for count in range(number)]
        for client in clients:
            client.start()
        while any(client.is_alive() for client in clients) and os.getppid() == parent:
            time.sleep(0.005)
        pipe.send((self.ended, self.took, self.failures, self.bytes))

    def wait_for_more(self, answers):
        wanted = self.shared.answered + answers
        until(lambda: self.shared.answered >= wanted, f"{answers} more answers", 2 * PATIENCE)

    def stop(self):
        """Ends the load after the responses that are under way; returns what was seen."""
        seconds, self.shared.over = now() - self.begun, 1
        return self.see_out(seconds)

    def see_out(self, seconds=None):
        """Waits until every client has ended: once `leaving` is set it does when a connection is refused."""
        if not self.pipe.poll(2 * self.client.patience):
            raise Trouble("the clients do not end")
        seen = Seen(seconds or now() - self.begun, *self.pipe.recv())
        self.process.join(PATIENCE)
        return seen

    def end(self):
        self.process.kill()
        self.process.join()


class Download:
    """A client that has asked for the largest file and stops reading until `finish`."""

    def __init__(self, address, expected):
        self.expected, self.socket = expected, socket.socket()
        # A small window: the server has to keep what is not read.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(address)
        self.socket.sendall(request("/2m", "Connection: close"))
        self.begin = self.socket.recv(1000)

    def finish(self):
        """Reads to the end; returns whether the file came whole."""
        with self.socket:
            try:
                rest = b"".join(iter(lambda: self.socket.recv(1 << 16), b""))
            except OSError:
                return False
        return (self.begin + rest).partition(b"\r\n\r\n")[2] == self.expected
