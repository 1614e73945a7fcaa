"""Processes as proc(5) shows them."""

import contextlib
import glob
import os
import pathlib
import re

TICKS = os.sysconf("SC_CLK_TCK")


def children(pid):
    """The children of a process, the oldest first; none of a process that is gone."""
    found = []
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        with contextlib.suppress(OSError):
            found += map(int, pathlib.Path(path).read_text().split())
    return found


def family(pid):
    """A process and all its descendants, parents before children."""
    found = [pid]
    for one in found:
        found += children(one)
    return found


def state(pid):
    """The letter of proc(5); `X` for a process that is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "X"


def are_stopped(pids):
    """Whether all threads of these processes stand still; also those that a tracer stops, which it may do for a moment only."""
    found = set()
    for pid in pids:
        for path in glob.glob(f"/proc/{pid}/task/*/stat"):
            with contextlib.suppress(OSError):
                found.add(pathlib.Path(path).read_text().rsplit(")", 1)[1].split()[0])
    return found <= set("tTXZ")


def tracer(pid):
    """The process that traces this one; 0 for none."""
    try:
        return int(re.search(r"^TracerPid:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1])
    except OSError:
        return 0


def is_alive(pid):
    return state(pid) not in "XZ"


# What `total` sums up: a pattern with a number, and the files below /proc/PID that have it.
THREADS = r"^Threads:\s+(\d+)", "status"
# KiB of memory; of what processes share each has its share.
PSS = r"^Pss:\s+(\d+)", "smaps_rollup"
# KiB of memory that belong to no file.
ANONYMOUS = r"^RssAnon:\s+(\d+) kB", "status"
# Of live threads: how often they left a CPU, and the nanoseconds that they have run.
SWITCHES = r"ctxt_switches:\s+(\d+)$", "task/*/status"
CPU_TIME = r"^(\d+)", "task/*/schedstat"


def total(pids, what):
    found, (pattern, files) = 0, what
    for pid in pids:
        for path in glob.glob(f"/proc/{pid}/{files}"):
            with contextlib.suppress(OSError):
                found += sum(map(int, re.findall(pattern, pathlib.Path(path).read_text(), re.M)))
    return found


def cpu_seconds(pids):
    """Seconds of CPU in steps of a tick; threads that have ended are included."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            words = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
            total += int(words[11]) + int(words[12])
    return total / TICKS


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))
