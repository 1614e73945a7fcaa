"""Probes: weak spots, and how processes behave."""

import contextlib
import os
import pathlib
import signal
import time

from lib import Trouble, proc, until

from . import folder, wire
from .verdict import check, feature, no, partly, told, yes

WEAK, PROCESSES = "Weak spots", "Processes"


@feature(WEAK, "a symbolic link out of the root is refused", "jail")
def link(stage):
    """`/out.txt`, a link to a file beside the root; with an option only where one is needed."""
    return check(stage.running("jail").ask("/out.txt").body != folder.SECRET, "follows it")


@feature(WEAK, "… while one inside is followed", "jail")
def link_inside(stage):
    """`/inside.txt`, a link to a file in the root, with the same options."""
    return check(stage.running("jail").ask("/inside.txt").body == b"hello\n")


@feature(WEAK, "`..` in all spellings stays inside")
def dots(stage):
    """`/../`, `/%2e%2e/`, `/..%2f`, `/sub/..%5c..%2f` and `//../` do not reach a file beside the root."""
    spellings = ["/../", "/%2e%2e/", "/..%2f", "/sub/%2e%2e%2f%2e%2e%2f", "//../", "/sub/..%5c..%2f", "/.%00./", "/..%c0%af"]
    return check(not any(stage.running().ask(f"{one}outside.txt").body == folder.SECRET for one in spellings))


@feature(WEAK, "hidden names are not served", "hidden")
def hidden(stage):
    """`/.env` and `/.git/config`; with an option only where one is needed."""
    served = [name for name in ("/.env", "/.git/config") if stage.running("hidden").ask(name).status == 200]
    return check(not served)


@feature(WEAK, "a FIFO stops nobody")
def fifo(stage):
    """`/pipe` is a FIFO without a writer: eight clients that ask for it are answered, and so is another one meanwhile."""
    with stage.fresh() as running, contextlib.ExitStack() as stack:
        waiting = []
        for _ in range(8):
            waiting.append(stack.enter_context(wire.connect(running.port, patience=3)))
            waiting[-1].sendall(wire.head("/pipe", ["Connection: close"]))
        other = running.ask("/sub/hello.txt", patience=6)
        answered = sum(wire.Reader(client).response().status != 0 for client in waiting[:1])
        return check(other.body == b"hello\n" and answered, "clients wait")


@feature(WEAK, "a file that is rewritten while it is sent")
def rewritten(stage):
    """A reader pauses after the first bytes of 24 MiB, and the file gets other bytes of the same size in place. The response
    has to be of one version, or cut short; with its full length and a mix of both it looks whole."""
    path = folder.ROOT / f"changing-{stage.place.name}"
    path.write_bytes(b"A" * folder.LARGE)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    try:
        with wire.connect(stage.running().port) as client:
            client.sendall(wire.head(f"/{path.name}", ["Connection: close"]))
            reader = wire.Reader(client)
            reader.exactly(1000)
            with open(path, "r+b") as file:
                file.write(b"B" * folder.LARGE)
            while reader.more():
                pass
        body = reader.input.partition(b"\r\n\r\n")[2] if reader.input.startswith(b"HTTP") else reader.input
    finally:
        path.unlink()
    mixed = b"B" in body
    if len(body) + 1000 < folder.LARGE:
        return yes("cut short")
    return no("a mix with full length") if mixed else yes()


@feature(WEAK, "a head that never ends is cut", is_slow=True)
def slow_head(stage):
    """A client sends one byte of a head every second; the connection ends within 70 s."""
    return cut_after(stage, b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"a")


@feature(WEAK, "a silent connection is closed", is_slow=True)
def silent(stage):
    """A client connects and sends nothing; the connection ends within 70 s."""
    return cut_after(stage, b"", b"")


def cut_after(stage, first, then):
    begun = time.monotonic()
    with wire.connect(stage.running().port, patience=1) as client:
        client.sendall(first)
        while time.monotonic() - begun < 70:
            try:
                if not client.recv(4096):
                    break
            except TimeoutError:
                try:
                    client.sendall(then)
                except OSError:
                    break
            except OSError:
                break
        else:
            return no("open after 70 s")
    return yes(f"{time.monotonic() - begun:.0f} s")


@feature(PROCESSES, "finishes downloads when it is told to stop", "grace")
def graceful(stage):
    """A slow reader has 24 MiB left when TERM (nginx: QUIT) is sent; the response is whole, and the process ends after it."""
    order = stage.server.signals.get("graceful", signal.SIGTERM)
    with stage.fresh("grace") as running:
        with wire.connect(running.port) as client:
            client.sendall(wire.head("/big.bin", ["Connection: close", f"Range: bytes=0-{folder.LARGE - 1}"]))
            reader = wire.Reader(client)
            found = reader.head()
            if not found.status:
                return no("no response")
            os.kill(running.pid, order)
            time.sleep(1)
            body = reader.exactly(folder.LARGE)
        with contextlib.suppress(Trouble):
            running.wait(10)
        if len(body) < folder.LARGE:
            return no()
        return yes() if running.is_over() else partly("goes on running")


@feature(PROCESSES, "goes on when a worker is killed", "workers")
def killed(stage):
    """With two workers where there is an option, the youngest process is killed; requests are answered within two seconds."""
    with stage.fresh("workers") as running:
        # A port that accepts may belong to a master that has no workers yet.
        running.ask("/sub/hello.txt")
        children = proc.family(running.pid)[1:]
        if not children:
            return no("one process")
        os.kill(children[-1], signal.SIGKILL)
        until(lambda: not proc.is_alive(children[-1]), "it is killed", 5)
        with contextlib.suppress(Trouble):
            until(lambda: running.ask("/sub/hello.txt", patience=1).status == 200, "it serves again", 2, 0.05)
        return check(running.ask("/sub/hello.txt", patience=2).status == 200)


def status_of(pid, name):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return line.split()[1:]
    return ["0"]


@feature(PROCESSES, "confines itself")
def sandbox(stage):
    """proc(5) shows more filters of system calls (seccomp) in one of its processes than in the probe's."""
    running = stage.running()
    running.ask("/sub/hello.txt")
    family = running.everyone()
    own = int(status_of("self", "Seccomp_filters")[0])
    return check(any(int(status_of(pid, "Seccomp_filters")[0]) > own for pid in family))


@feature(PROCESSES, "gives up root's rights", "user")
def user(stage):
    """Started by root, with the option where there is one, the process that serves is not root (proc(5))."""
    if os.geteuid():
        return told("not tried: needs root")
    running = stage.running("user")
    running.ask("/sub/hello.txt")
    family = running.everyone()
    return check(any(status_of(pid, "Uid")[1] != "0" for pid in family))
