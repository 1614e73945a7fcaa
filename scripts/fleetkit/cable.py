"""A cable between a host and the bridge that delays, loses and reorders frames.

Not every kernel has the netem queue of tc(8). This program is the same in user space: it holds an Ethernet interface (TAP)
on each side, and carries the frames between them. Its chance has a seed, so a run can be repeated.

    python3 -m fleetkit.cable NAME PID   the interface NAME here, and eth0 in the network of PID; orders on standard input:
                                         DELAY_MS LOSS REORDER, shares of 1; a reordered frame leaves at once
"""

import contextlib
import ctypes
import errno
import fcntl
import heapq
import os
import pathlib
import random
import select
import signal
import struct
import sys
import time

from lib.server import Child

TUN = "/dev/net/tun"
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
LARGEST_FRAME = 1 << 16
# Frames on the way in one direction; further ones are lost, as in the queue of a router.
MOST_ON_THE_WAY = 2000


class Cable(Child):
    """The process of a cable, seen from the script."""

    def __init__(self, host, log):
        read, self.orders = os.pipe()
        super().__init__([sys.executable, "-m", "fleetkit.cable", host.name, str(host.keeper.pid)], log, polite=signal.SIGTERM,
                         stdin=read, cwd=pathlib.Path(__file__).parents[1])
        os.close(read)
        self.wait_until_ready(lambda: "carries" in log.read_text(errors="replace"), log, 10)

    def set(self, delay_ms=0.0, loss=0.0, reorder=0.0):
        """Sets the delay of each direction, and the shares of frames that are lost and reordered."""
        os.write(self.orders, f"{delay_ms} {loss} {reorder}\n".encode())

    def end(self, patience=10):
        with contextlib.suppress(OSError):
            os.close(self.orders)
        super().end(patience)


def interface(name):
    """The descriptor of a new Ethernet interface in the present network namespace."""
    descriptor = os.open(TUN, os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return descriptor


def change_network(path):
    libc = ctypes.CDLL(None, use_errno=True)
    with open(path, encoding="ascii") as namespace:
        if libc.setns(namespace.fileno(), 0):
            raise OSError(ctypes.get_errno(), f"no entry into {path}")


class Direction:
    """Frames on their way from one interface to the other."""

    def __init__(self, source, target, chance):
        self.source, self.target, self.chance, self.way, self.count = source, target, chance, [], 0

    def take(self, delay, loss, reorder):
        """Takes the frames that have come."""
        with contextlib.suppress(BlockingIOError):
            while True:
                frame = os.read(self.source, LARGEST_FRAME)
                if self.chance.random() < loss or len(self.way) >= MOST_ON_THE_WAY:
                    continue
                due = time.monotonic() + (0 if self.chance.random() < reorder else delay)
                # The number keeps the order of frames that are due at once.
                self.count += 1
                heapq.heappush(self.way, (due, self.count, frame))

    def give(self, now):
        """Delivers the frames that are due; returns the seconds until the next one, or None."""
        while self.way and self.way[0][0] <= now:
            frame = heapq.heappop(self.way)[2]
            try:
                os.write(self.target, frame)
            except OSError as error:
                # A link that is down takes no frames, and a full one loses them.
                if error.errno not in (errno.EIO, errno.EAGAIN, errno.ENOBUFS):
                    raise
        return max(0.0, self.way[0][0] - now) if self.way else None


def main(name, pid):
    outside = interface(name)
    change_network(f"/proc/{pid}/ns/net")
    inside = interface("eth0")
    delay, loss, reorder, orders = 0.0, 0.0, 0.0, b""
    directions = [Direction(outside, inside, random.Random(1)), Direction(inside, outside, random.Random(2))]
    print(f"{name} carries", flush=True)
    while True:
        now = time.monotonic()
        waits = [wait for direction in directions if (wait := direction.give(now)) is not None]
        ready = select.select([0, outside, inside], [], [], min(waits, default=None))[0]
        if 0 in ready:
            if not (more := os.read(0, 1000)):
                return
            *whole, orders = (orders + more).split(b"\n")
            for order in whole:
                delay, loss, reorder = map(float, order.split())
        for direction in directions:
            if direction.source in ready:
                direction.take(delay / 1000, loss, reorder)


if __name__ == "__main__":
    main(*sys.argv[1:])
