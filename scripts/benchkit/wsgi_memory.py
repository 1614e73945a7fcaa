"""`scripts/bench wsgi-memory`: the memory of the WSGI servers beside slow readers, and the latency of other requests beside
readers that have stopped. One run each; the steps are in `slow_readers` and `stopped_readers`."""

import contextlib
import selectors
import socket
import time

from lib import proc, request, setup

from .contestants import OUT
from .measure import quartiles
from .report import hardware, publish, spread
from .wsgi import BIN, CONTESTANTS, PACKAGES, VERSIONS, Running, install

APP = "wsgi_apps:readers"
NAMES = ["stheno 0", "stheno 4", "bjoern", "granian 4", "uWSGI", "waitress", "gunicorn"]
# Slow readers, the bytes that each takes in a second, and the seconds before they come, that they read, and after.
READERS, SPEED, BEFORE, READING, AFTER = 80, 100_000, 1, 10, 3
TICK = 0.1
# Readers that have stopped; requests meanwhile, and the seconds after which a request counts as not answered.
STOPPED, ASKED, PATIENCE = (0, 4, 8, 16), 50, 2
# A client that does not read has this much in its kernel.
BUFFER = 65536


def bench(options):
    install()
    OUT.mkdir(parents=True, exist_ok=True)
    names = [name for name in NAMES if not options.rows or name.split()[0] in options.rows.split(",")]
    curves = {name: slow_readers(name) for name in names}
    delays = {name: {count: stopped_readers(name, count) for count in STOPPED} for name in names}
    data = {"readers": {name: found["curve"] for name, found in curves.items()}}
    publish("bench-wsgi-slow", "scripts/bench wsgi-memory", as_text(curves, delays), options, data)


def serve(name):
    command, threads = CONTESTANTS[name]
    return Running(name, command, APP, threads)


def connect(port, path):
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    client.settimeout(PATIENCE)
    client.connect(("127.0.0.1", port))
    client.sendall(request(path))
    client.setblocking(False)
    return client


class SlowReaders:
    """Connections that ask for the large list, and take SPEED bytes a second from then on."""

    def __init__(self, port):
        self.clients = [connect(port, "/large") for _ in range(READERS)]
        self.begun, self.taken = time.monotonic(), dict.fromkeys(self.clients, 0)

    def read(self):
        due = (time.monotonic() - self.begun) * SPEED
        for client in self.clients:
            with contextlib.suppress(OSError):
                self.taken[client] += len(client.recv(max(1, int(due - self.taken[client]))))

    def close(self):
        for client in self.clients:
            client.close()


def slow_readers(name):
    """The curve of memory (seconds, MB), and how many readers have had bytes."""
    with serve(name) as server:
        begun, curve, readers = time.monotonic(), [], None

        def tick():
            pids = proc.family(server.pid)
            curve.append((round(time.monotonic() - begun, 2), proc.total(pids, proc.PSS) / 1024))
            time.sleep(TICK)

        def during(seconds):
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                tick()
                if readers:
                    readers.read()
        during(BEFORE)
        readers = SlowReaders(server.port)
        during(READING)
        served = sum(count > 0 for count in readers.taken.values())
        readers.close()
        readers = None
        during(AFTER)
    megabytes = [found for _, found in curve]
    print(f"{f'{READERS} slow readers of 10 MB: {name}':40}{max(megabytes):.0f} MB, {served} are served", flush=True)
    return {"curve": curve, "rest": megabytes[0], "most": max(megabytes), "end": megabytes[-1], "served": served}


def stopped_readers(name, count):
    """Milliseconds of each answered request for `/` beside clients that have stopped reading a generator, and how many
    were not answered."""
    with serve(name) as server:
        clients = [connect(server.port, "/generated") for _ in range(count)]
        try:
            settle(clients)
            milliseconds, silent = [], 0
            while len(milliseconds) + silent < ASKED and silent < 3:
                begun = time.monotonic()
                if is_answered(server.port):
                    milliseconds.append((time.monotonic() - begun) * 1000)
                else:
                    silent += 1
        finally:
            for client in clients:
                client.close()
    print(f"{f'{count} have stopped reading: {name}':40}{len(milliseconds)} answered, {silent} not", flush=True)
    return milliseconds, silent


def settle(clients):
    """Waits until the first bytes of each answer are there, or `PATIENCE` is over, and then until the buffers are full."""
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client, selectors.EVENT_READ)
        until = time.monotonic() + PATIENCE
        while selector.get_map() and time.monotonic() < until:
            for key, _ in selector.select(TICK):
                selector.unregister(key.fileobj)
    time.sleep(0.5)


def is_answered(port):
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            client.sendall(request("/", "Connection: close"))
            return client.recv(12) == b"HTTP/1.1 200"
    except OSError:
        return False


def as_text(curves, delays):
    lines = [f"One run; {hardware()}; {setup.output(f'{BIN}/python', '-c', VERSIONS, *PACKAGES)}.", "",
             f"Memory while {READERS} clients read 10 MB each, an object that all responses share, at {SPEED // 1000} kB/s for "
             f"{READING} s; MB of all processes, where shared pages count once. Clients are served if they had bytes in that "
             "time:", "", "![Memory beside slow readers](img/bench-wsgi-slow-readers.svg)", "",
             "| | at rest | at most | at the end | clients served |", "|---|---|---|---|---|"]
    lines += [f"| {name} | {found['rest']:.0f} | {found['most']:.0f} | {found['end']:.0f} | {found['served']} |"
              for name, found in curves.items()]
    lines += ["", f"Milliseconds of a request for a small page beside clients that have stopped reading a response of 100 MB from "
              f"a generator: {ASKED} requests one after the other, the median and the quartiles; `none` if three were not answered "
              f"within {PATIENCE} s:", "",
              "| | " + " | ".join(f"{count} stopped" for count in STOPPED) + " |", "|---|" + "---|" * len(STOPPED)]
    for name, found in delays.items():
        cells = [f"none ({len(answered)} before)" if silent == 3 else spread(quartiles(answered), 1)
                 + (f", {silent} not answered" if silent else "") for answered, silent in found.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
