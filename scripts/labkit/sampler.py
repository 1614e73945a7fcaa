"""What can be seen of a server from outside, once a second: the kernel's queue before it, and what it uses."""

import contextlib
import csv
import pathlib
import socket
import struct
import threading
import time

from lib import proc

# netlink(7), sock_diag(7)
NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, NLMSG_ERROR, NLMSG_DONE = 4, 20, 2, 3
REQUEST_DUMP, LISTEN = 0x1 | 0x300, 10


def listener(port):
    """The accept queue of a listener: how many wait, and how many may (`ss -ltn`: Recv-Q, Send-Q)."""
    try:
        return _ask_sock_diag(port)
    except OSError:
        # proc(5) knows how many wait, and not how many may.
        rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()]
        queues = [row[4] for row in rows if row[3] == "0A" and int(row[1].partition(":")[2], 16) == port]
        return sum(int(queue.partition(":")[2], 16) for queue in queues), 0


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


def sample(port, pid, load_pid):
    """One line of samples.csv."""
    pids, (waiting, backlog) = proc.family(pid), listener(port)
    # Connections for which any queue of this machine had no room since its start (`nstat TcpExtListenDrops`).
    lines = [line.split() for line in pathlib.Path("/proc/net/netstat").read_text().splitlines()]
    counts = {name: value for names, values in zip(lines[::2], lines[1::2]) for name, value in zip(names, values)}
    return {"time": f"{time.time():.3f}", "queue": waiting, "backlog": backlog, "overflows": int(counts.get("ListenDrops", 0)),
            "threads": proc.total(pids, proc.THREADS), "processes": len(pids),
            "memory_kib": proc.total(pids, proc.PSS), "cpu_seconds": f"{proc.cpu_seconds(pids):.2f}",
            "switches": proc.total(pids, proc.SWITCHES),
            "load_cpu_seconds": f"{proc.cpu_seconds(proc.family(load_pid)):.2f}"}


class Sampler(threading.Thread, contextlib.AbstractContextManager):
    """Writes a line each second until the block ends; `last` is the latest."""

    def __init__(self, path, port, pid, load_pid):
        super().__init__(daemon=True)
        self.path, self.about, self.over = path, (port, pid, load_pid), threading.Event()
        self.last = sample(*self.about)
        self.start()

    def run(self):
        with open(self.path, "w", newline="", encoding="utf-8") as file:
            lines = csv.DictWriter(file, self.last)
            lines.writeheader()
            due = time.monotonic()
            while not self.over.is_set():
                self.last = sample(*self.about)
                lines.writerow(self.last)
                file.flush()
                due = max(due + 1, time.monotonic())
                self.over.wait(due - time.monotonic())

    def __exit__(self, *_):
        self.over.set()
        self.join()
