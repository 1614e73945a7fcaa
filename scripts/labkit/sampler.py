"""What can be seen of a server from outside, once a second: the kernel's queue before it, and what it takes."""

import csv
import os
import pathlib
import re
import socket
import struct
import threading
import time

from .contestants import family

FIELDS = ["time", "queue", "backlog", "overflows", "threads", "processes", "memory_kib", "cpu_seconds", "switches",
          "load_cpu_seconds"]
TICKS = os.sysconf("SC_CLK_TCK")

# netlink(7), sock_diag(7)
NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, NLMSG_ERROR, NLMSG_DONE = 4, 20, 2, 3
REQUEST_DUMP = 0x1 | 0x300
LISTEN = 10


def listener(port):
    """The accept queue of who listens on the port: how many wait, and how many may. (`ss -ltn`: Recv-Q, Send-Q)"""
    try:
        return _ask_sock_diag(port)
    except OSError:
        return _read_proc(port)


def _ask_sock_diag(port):
    request = struct.pack("=BBBBI48x", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, 1 << LISTEN)
    header = struct.pack("=IHHII", 16 + len(request), SOCK_DIAG_BY_FAMILY, REQUEST_DUMP, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as netlink:
        netlink.settimeout(1)
        netlink.send(header + request)
        while True:
            data = netlink.recv(1 << 16)
            while len(data) >= 16:
                length, kind = struct.unpack_from("=IH", data)
                if kind == NLMSG_DONE:
                    return 0, 0
                if kind == NLMSG_ERROR:
                    raise OSError("sock_diag is refused")
                # struct inet_diag_msg: 4 bytes, the socket's id (the port first) of 48, the timer, both queues.
                if struct.unpack_from("!H", data, 16 + 4)[0] == port:
                    return struct.unpack_from("=II", data, 16 + 4 + 48 + 4)
                data = data[(length + 3) & ~3:]


def _read_proc(port):
    """Where sock_diag is not there: proc(5) knows who waits, and not how many may."""
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A" and int(words[1].partition(":")[2], 16) == port:
            return int(words[4].partition(":")[2], 16), 0
    return 0, 0


def overflows():
    """Connections that some queue of this machine had no room for, since it was started. (`nstat TcpExtListenDrops`)"""
    lines = [line.split() for line in pathlib.Path("/proc/net/netstat").read_text().splitlines()]
    for names, values in zip(lines[::2], lines[1::2]):
        if "ListenDrops" in names:
            return int(values[names.index("ListenDrops")])
    return 0


def cpu_seconds(pids):
    """What these processes have computed, threads that have ended among them."""
    total = 0
    for pid in pids:
        try:
            words = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        total += int(words[11]) + int(words[12])
    return total / TICKS


def _count(pids, pattern, files):
    """The sum of a number that stands in files of these processes."""
    total = 0
    for pid in pids:
        for path in files(pathlib.Path(f"/proc/{pid}")):
            try:
                total += sum(int(number) for number in re.findall(pattern, path.read_text(), re.M))
            except OSError:
                continue
    return total


def sample(port, pid, load_pid):
    """One line of the file."""
    pids = family(pid)
    waiting, backlog = listener(port)
    return {
        "time": f"{time.time():.3f}",
        "queue": waiting,
        "backlog": backlog,
        "overflows": overflows(),
        "threads": _count(pids, r"^Threads:\s+(\d+)", lambda proc: [proc / "status"]),
        "processes": len(pids),
        # The share of each process in what several have.
        "memory_kib": _count(pids, r"^Pss:\s+(\d+)", lambda proc: [proc / "smaps_rollup"]),
        "cpu_seconds": f"{cpu_seconds(pids):.2f}",
        # Of threads that live; what those that came and went have switched is in the totals at the end only.
        "switches": _count(pids, r"^\w*voluntary_ctxt_switches:\s+(\d+)", lambda proc: proc.glob("task/*/status")),
        "load_cpu_seconds": f"{cpu_seconds(family(load_pid)):.2f}",
    }


class Sampler(threading.Thread):
    """Writes a line a second until it is told to stop; `last` is the latest."""

    def __init__(self, path, port, pid, load_pid, pause=1.0):
        super().__init__(daemon=True)
        self.path, self.about, self.pause = path, (port, pid, load_pid), pause
        self.over, self.last = threading.Event(), None

    def run(self):
        with open(self.path, "w", newline="", encoding="utf-8") as file:
            lines = csv.DictWriter(file, FIELDS)
            lines.writeheader()
            due = time.monotonic()
            while not self.over.is_set():
                try:
                    self.last = sample(*self.about)
                    lines.writerow(self.last)
                    file.flush()
                except OSError:
                    # It is just ending.
                    pass
                due += self.pause
                self.over.wait(max(0.0, due - time.monotonic()))

    def stop(self):
        self.over.set()
        self.join()
