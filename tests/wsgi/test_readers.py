"""Rows X: clients that read slowly, and clients that stop reading."""

import threading
import time

from client import Connection, eventually, request
from harness import row

# The kernel holds up to 4 MiB for a reader that has taken this much.
AT_ONCE = 1_200_000
SIZE = 8_000_000
# With a smaller receive buffer the server's kernel holds less.
WINDOW = 32 * 1024


def kinds(case, server):
    """A large response of each kind: what to send for it."""
    large = case.folder / "static" / "large"
    yield "file_wrapper", request("/", "file", headers=[("X-File", str(large)), ("X-Mark", case.mark)])
    yield "generator", request("/", "endless", headers=[("X-Mark", case.mark)])
    yield "--static", request("/static/large")


def serve(case, *args):
    folder = case.folder / "static"
    folder.mkdir()
    with (folder / "large").open("wb") as file:
        file.truncate(SIZE)
    return case.serve(args=["--static", f"/static={folder}", *args])


def read(connection, count, rate=None):
    """Reads this number of bytes, at this number of bytes a second; the number of those that came."""
    begun, taken = time.monotonic(), 0
    while taken < count:
        if rate:
            time.sleep(max(0, taken / rate - (time.monotonic() - begun)))
        piece = connection.socket.recv(min(count - taken, 20_000))
        if not piece:
            break
        taken += len(piece)
    return taken


# WSGI X5
@row("X5", "a client that reads slowly gets all of it", ours=True)
def slow(case):
    server = serve(case, "--write-timeout", "0.5", "--timeout", "1")
    found = {}

    def take(kind, sent):
        try:
            with Connection(server.address, small_window=WINDOW) as connection:
                connection.send(sent)
                found[kind] = read(connection, AT_ONCE) + read(connection, SIZE - AT_ONCE, 2_500_000)
        except OSError as error:
            found[kind] = error
    threads = [threading.Thread(target=take, args=kind) for kind in kinds(case, server)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found.values()) == {SIZE}, found


# WSGI X5
@row("X5", "a client that stops reading is reset after --write-timeout", ours=True)
def stopped(case):
    server = serve(case, "--write-timeout", "0.5")
    for kind, sent in kinds(case, server):
        connection = case.connect(server, small_window=WINDOW)
        connection.send(sent)
        read(connection, AT_ONCE)
        begun = time.monotonic()
        # The kernel of the client has room for little: only the end of the connection is an event for it.
        eventually(lambda: not alive(connection), f"{kind}: reset", 10)
        assert time.monotonic() - begun < 5, kind


def alive(connection):
    """Whether the kernel has the connection as established."""
    port = f":{connection.port:04X} "
    with open("/proc/net/tcp") as table:
        return any(port in line and line.split()[3] == "01" and line.split()[1].endswith(port.strip()) for line in table)
