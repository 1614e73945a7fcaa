"""`scripts/bench million`: idle connections by the million; what each costs, and what the others notice of them.

The server has as many workers, and the clients are as many processes, as the limit of descriptors asks for. The steps are in
`bench` and `measure`.
"""

import contextlib
import json
import math
import multiprocessing
import os
import pathlib
import re
import resource
import socket
import statistics
import struct
import time

from lib import RELEASE, Trouble, proc, quantile, request, setup, until, write_part
from lib.server import PortServer

from .contestants import FILES, OUT, ROOT, make_root
from .latency import at_rate
from .measure import quartiles
from .report import hardware

DESCRIPTORS = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
# A worker sets aside 64 descriptors, 1000 for the file cache, and two for each connection (src/server/capacity.rs). A full
# worker closes its longest idle connection for a new one, so there are more workers than needed by a quarter: the shares may
# differ by that.
PER_WORKER = max(1, int((DESCRIPTORS - 1064) / 2 / 1.25))
# A few descriptors are left for the process itself.
PER_CLIENT = min(DESCRIPTORS - 200, 200_000)
# Connections from one address. Linux tries the even ones of the 28,000 ports first, and searches long for the last of them.
PER_ADDRESS = 10_000
# Connections that a client process opens before it reads their responses. All processes together have fewer than 4096 in
# the queue of the listener.
BURST = 32
# No connection is added with less memory than this available: the kernel would end processes. It takes half of the inodes
# and names of sockets for memory that it could have back, which is 1 GB for a million.
LEAST_KIB = 2_500_000
PATIENCE = struct.pack("ll", 60, 0)
RESET = struct.pack("ii", 1, 0)
IP_BIND_ADDRESS_NO_PORT = 24
RATE, USERS = 2000, 32
# Slab caches that grow with connections, what is in them, and the server's share. SLUB keeps objects of one size in one
# cache, under the name of the first.
SLABS = {"TCP": ("a socket of TCP at each end", 0.5), "sock_inode_cache": ("its inode", 0.5), "dentry": ("its name", 0.5),
         "filp": ("its file", 0.5), "lsm_inode_cache": ("security of the inode", 0.5),
         "lsm_file_cache": ("security of the file", 0.5),
         "eventpoll_epi": ("the server's place in epoll; the client's port, which is as large", 0.5),
         "anon_vma_chain": ("the server's place in the socket's queue (`eventpoll_pwq`)", 1),
         "ep_head": ("the head of a list of epolls", 1)}
MOST_BYTES, MOST_RATIO = 350, 1.2


class Client:
    """A process that holds connections: the sockets, and why there are not more of them."""

    def __init__(self, port, number, wanted):
        self.server, self.number = ("127.0.0.1", port), number
        self.wanted, self.held, self.ended_by = wanted, [], ""
        self.pipe, end = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("fork").Process(target=self.run, args=(end,), daemon=True)
        self.process.start()
        end.close()

    def run(self, pipe):
        """Opens the connections; when told, asks on all of them once more; when told again, resets them."""
        self.pipe.close()
        while len(self.held) < self.wanted and not self.ended_by:
            self.add(min(BURST, self.wanted - len(self.held)))
        pipe.send((len(self.held), self.ended_by))
        # The pipe ends with the parent.
        with contextlib.suppress(EOFError):
            pipe.recv()
            pipe.send(sum(answered(self.held[at:at + BURST]) for at in range(0, len(self.held), BURST)))
            pipe.recv()
            for one in self.held:
                # With FIN, a million sockets in TIME_WAIT would stay for a minute.
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                one.close()
            pipe.send(0)

    def tell(self):
        """Has the process take its next step: ask, close."""
        self.pipe.send(None)

    def end(self):
        self.process.kill()
        self.process.join()

    def add(self, count):
        if available() < LEAST_KIB:
            self.ended_by = f"less than {LEAST_KIB / 1e6:.1f} GB of memory was available"
            return
        burst, source = [], f"127.{1 + self.number // 250}.{self.number % 250}.{1 + len(self.held) // PER_ADDRESS}"
        try:
            for _ in range(count):
                burst.append(socket.socket())
                burst[-1].setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
                burst[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, PATIENCE)
                burst[-1].setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, PATIENCE)
                burst[-1].bind((source, 0))
                burst[-1].connect(self.server)
        except OSError as error:
            burst.pop().close()
            self.ended_by = f"the system: {error.strerror}"
        self.held += burst
        if (good := answered(burst)) < len(burst):
            self.ended_by = f"the server: {len(burst) - good} of {len(burst)} new connections got no response"


def answered(burst):
    """Sends a request on each connection at once; returns how many had the whole right response."""
    payload, good = request("/1k"), 0
    for one in burst:
        with contextlib.suppress(OSError):
            one.sendall(payload)
    for one in burst:
        with contextlib.suppress(OSError):
            good += is_whole(one)
    return good


def is_whole(one):
    body, got = b"x" * FILES["1k"], b""
    while not got.endswith(b"\r\n\r\n" + body):
        if not (more := one.recv(1 << 14)) or len(got) > 1 << 14:
            return False
        got += more
    return got.startswith(b"HTTP/1.1 200 ")


def available():
    """KiB of memory that programs may still take."""
    return int(re.search(r"^MemAvailable:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.M)[1])


def sockets_of(port):
    """How many sockets of TCP have this port at either end, without those in TIME_WAIT."""
    lines = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(f":{port:04X}" in words[1] + words[2] and words[3] != "06" for words in lines)


def buffers():
    """Bytes in the buffers of all sockets of TCP."""
    pages = re.search(r"^TCP: .* mem (\d+)", pathlib.Path("/proc/net/sockstat").read_text(), re.M)[1]
    return int(pages) * resource.getpagesize()


def slabs():
    """Bytes of each slab cache of the kernel; none where only root may know."""
    try:
        lines = pathlib.Path("/proc/slabinfo").read_text().splitlines()[2:]
    except PermissionError:
        return {}
    page = resource.getpagesize()
    return {words[0]: int(words[14]) * int(words[5]) * page for words in map(str.split, lines)}


class Figures:
    """What the kernel, the workers and the clients use now, in bytes."""

    def __init__(self, workers, clients=()):
        # Inodes and names that the kernel only remembers would count as grown or shrunk slabs.
        with contextlib.suppress(OSError):
            pathlib.Path("/proc/sys/vm/drop_caches").write_text("2")
        self.slabs, self.available, self.buffers = slabs(), available() * 1024, buffers()
        self.anonymous, self.pss = (proc.total(workers, what) * 1024 for what in (proc.ANONYMOUS, proc.PSS))
        self.of_clients = proc.total([one.process.pid for one in clients], proc.PSS) * 1024
        self.descriptors = list(map(descriptors, workers))


def descriptors(pid):
    """How many descriptors a process has. Before Linux 6.2 they have to be counted, which makes an inode for each."""
    return os.stat(f"/proc/{pid}/fd").st_size or proc.descriptors(pid)


def rounds(options, port, what):
    found = []
    for number in range(options.rounds):
        found.append(at_rate(port, "/1k", RATE, options.seconds + 1, USERS, warm_up=1)["p99"])
        print(f"p99 {what}, round {number + 1} of {options.rounds}: {found[-1]:.2f} ms", flush=True)
    return found


def bench(options):
    setup.build("stheno", "stheno_load")
    make_root()
    number, log = max(os.cpu_count(), math.ceil(options.connections / PER_WORKER)), OUT / "million.err"

    def command_for(port):
        return [RELEASE / "stheno", "--port", str(port), "-r", ROOT, "-w", str(number), "--log", "warning",
                "--access-log", "off", "--keepalive-timeout", "7200"]
    with PortServer(command_for, log, seconds=60) as server:
        until(lambda: len(proc.family(server.pid)) == number + 1, f"{number} workers", 60, 0.05)
        workers = proc.family(server.pid)[1:]
        got = measure(options, server.port, workers)
        if proc.family(server.pid)[1:] != workers:
            raise Trouble(f"a worker has ended: see {log}")
    if still := [pid for pid in workers if proc.is_alive(pid)]:
        raise Trouble(f"processes are left: {still}")
    until(lambda: not sockets_of(server.port), "all sockets are gone", 30, 0.1)
    got["long turns"] = [int(took) for took in re.findall(r"one turn of the loop took (\d+)", log.read_text())]
    text = as_text(options, got)
    (OUT / "million.json").write_text(json.dumps(got, default=vars, indent=1))
    (OUT / "million.md").write_text(text)
    if options.docs:
        write_part("BENCHMARKS.md", "scripts/bench million", text)
    print(text)


def measure(options, port, workers):
    """The latency without the connections, beside them and after them; and what they cost."""
    got, wanted = {"none": rounds(options, port, "before")}, options.connections
    got["before"], clock = Figures(workers), Clock()
    with contextlib.ExitStack() as stack:
        clients = []
        for number, begin in enumerate(range(0, wanted, PER_CLIENT)):
            clients.append(Client(port, number, min(PER_CLIENT, wanted - begin)))
            stack.callback(clients[-1].end)
        reports = [one.pipe.recv() for one in clients]
        got["held"], got["ended by"] = sum(held for held, _ in reports), next((why for _, why in reports if why), "")
        got["clients"], got["set up"] = len(clients), clock.lap()
        if not got["held"]:
            raise Trouble(f"there is no connection: {got['ended by']}")
        print(f"{got['held']:,} connections in {got['set up']:.0f} s {got['ended by']}", flush=True)
        got["beside"] = rounds(options, port, "beside")
        time.sleep(max(0, options.hold - clock.seconds()))
        got["during"], got["hold"] = Figures(workers, clients), clock.lap()
        got["answered"], got["ask"] = tell(clients), clock.lap()
        tell(clients)
        # A worker may keep a file in its cache.
        rest = sum(got["before"].descriptors) + len(workers)
        until(lambda: sum(map(descriptors, workers)) <= rest, "the workers have closed the connections", 120, 0.1)
        got["close"] = clock.lap()
    got["none"] += rounds(options, port, "after")
    got["after"] = Figures(workers)
    return got


def tell(clients):
    """Has all client processes take their next step at once; returns the sum of what they report."""
    for one in clients:
        one.tell()
    return sum(one.pipe.recv() for one in clients)


def as_text(options, got):
    held, before, during, after = got["held"], got["before"], got["during"], got["after"]
    shares = sorted(now - was for now, was in zip(during.descriptors, before.descriptors))
    there = max(1, sum(shares))
    user, pss = ((getattr(during, what) - getattr(before, what)) / there for what in ("anonymous", "pss"))
    ratio = statistics.median(got["beside"]) / statistics.median(got["none"])
    ended = got["ended by"] or "all that were asked for"
    rows = [("connections, each answered once", f"{held:,} ({ended})", f"{options.connections:,}"),
            ("of them there at the end of the hold", f"{there:,}", f"{held:,}"),
            ("workers, client processes", f"{len(shares)}, {got['clients']}", ""),
            ("connections of a worker: least, median, most", " / ".join(f"{quantile(shares, at):,}" for at in (0, 0.5, 1)), ""),
            ("largest share / mean", f"{shares[-1] / statistics.mean(shares):.2f}", "≤ 1.25"),
            ("set up", f"{got['set up']:.0f} s, {held / got['set up']:,.0f} a second", ""),
            ("held", f"{got['hold']:.0f} s", "≥ 60 s"),
            ("answered once more", f"{got['answered']:,} in {got['ask']:.0f} s", f"{held:,}"),
            ("closed", f"in {got['close']:.0f} s", ""),
            ("turns of more than 100 ms that the workers report (longest, ms)",
             f"{len(got['long turns'])} ({max(got['long turns'], default=0)})", ""),
            ("**user memory for each, bytes**: RssAnon of all workers", f"**{user:.0f}**", f"≤ {MOST_BYTES}"),
            ("the same as PSS", f"{pss:.0f}", ""),
            ("RssAnon of a worker: before, during, after; KiB",
             " / ".join(f"{one.anonymous / len(shares) / 1024:,.0f}" for one in (before, during, after)), ""),
            (f"p99 of 1 KiB at {RATE:,} requests a second, ms: without them", shown(got["none"]), ""),
            ("the same beside them", shown(got["beside"]), ""),
            ("**beside them / without them**, medians", f"**{ratio:.2f}**", f"≤ {MOST_RATIO}")]
    lines = [f"{options.rounds} rounds of {options.seconds} s before the connections, beside them and after them; quartiles. "
             f"{DESCRIPTORS:,} descriptors for each process. {hardware()}.", "", "| | figure | bar |", "|---|---|---|"]
    lines += [f"| {what} | {figure} | {bar} |" for what, figure, bar in rows]
    return "\n".join(lines + [""] + of_the_kernel(got)) + "\n"


def of_the_kernel(got):
    """The table of slab caches, and what the machine has less of in all."""
    before, during = got["before"], got["during"]
    held = max(1, sum(during.descriptors) - sum(before.descriptors))
    lines = ["Memory of the kernel for each connection, bytes (`/proc/slabinfo`):", "",
             "| slab cache | what is in it | both ends | server |", "|---|---|---|---|"]
    sums = [0, 0]
    for name, (what, share) in SLABS.items():
        each = (during.slabs.get(name, 0) - before.slabs.get(name, 0)) / held
        sums = [sums[0] + each, sums[1] + each * share]
        lines.append(f"| `{name}` | {what} | {each:.0f} | {each * share:.0f} |")
    lines.append(f"| together | | {sums[0]:.0f} | **{sums[1]:.0f}** |" if during.slabs else "| only root may read them | | | |")
    gone, of_clients = before.available - during.available, during.of_clients / held
    lines += ["", f"`MemAvailable`: {before.available / 1e9:.1f} GB before, {during.available / 1e9:.1f} GB beside them: "
              f"{gone / held:.0f} bytes for each connection with both ends, of which {of_clients:.0f} are the client processes'. "
              f"Buffers of TCP: {(during.buffers - before.buffers) / held:.0f} bytes each."]
    return lines


def shown(found):
    return " / ".join(f"{value:.2f}" for value in quartiles(found))


class Clock:
    """The seconds since it was made, or since the last lap."""

    def __init__(self):
        self.begun = time.monotonic()

    def seconds(self):
        return time.monotonic() - self.begun

    def lap(self):
        taken, self.begun = self.seconds(), time.monotonic()
        return taken
