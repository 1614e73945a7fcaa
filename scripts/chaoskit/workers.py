"""Scenarios in which workers die, hang or are reset by their clients."""

import os
import signal
import socket
import statistics
import time
from time import monotonic as now

from lib import proc, request, until
from lib.proc import state

from .clients import PATIENCE, failed
from .stage import ABORTED
from .trials import ms


def kills(trials):
    """One worker after the other is killed."""
    rounds, took = trials.some(20, 6), []
    with trials.serve(4, load={}) as stage:
        # The victim is older than a second: a worker that dies younger is part of a crash loop.
        time.sleep(1.1)
        for _ in trials.counted(rounds):
            victim = stage.workers()[0]
            at = stage.kill(victim)
            took.append(stage.wait_replaced([victim]) - at)
            time.sleep(0.35)
        seen, middle, most = stage.finish(100), statistics.median(took), max(took)
        trials.row("D1", f"{rounds} workers killed, one by one", f"another after p50 {ms(middle)}, max {ms(most)}",
                   "p50 ≤ 5 ms, max ≤ 50 ms", trials.in_time(middle, 0.005) and trials.in_time(most, 0.05), seconds=took)
        trials.row("D2", "clients that this affects", f"{seen.rate}: {stage.victims(seen)}", "0 of the others",
                   not seen.others, seen)


def massacre(trials):
    """All workers are killed at once."""
    rounds, took = trials.some(5, 2), []
    with trials.serve(4, load={}) as stage:
        for _ in trials.counted(rounds):
            time.sleep(1.1)
            victims = stage.workers()
            for pid in victims:
                stage.halt(pid)
            begun = now()
            for pid in victims:
                os.kill(pid, signal.SIGKILL)
            took.append(stage.wait_replaced(victims) - begun)
        seen = stage.finish(100)
        trials.row("D3", f"4 of 4 workers killed at once, {rounds} times",
                   f"4 others after {ms(max(took))} at the most; {seen.rate}; of the clients in the queue "
                   f"{failed(seen.others)}", "≤ 100 ms, 0 failed", trials.in_time(max(took), 0.1) and not seen.others,
                   seen, seconds=took)


def crashes(trials):
    """A worker is killed as soon as it appears."""
    seconds = trials.some(10, 4)
    with trials.serve(2, load={"rate": 200}) as stage:
        time.sleep(1.1)
        healthy, master = stage.workers()[0], stage.master()
        forks, begun, before = set(), now(), proc.total([master], proc.CPU_TIME)
        while now() - begun < seconds:
            trials.progress.show(f"{now() - begun:.0f} of {seconds} s")
            for pid in stage.workers():
                if pid != healthy and pid not in forks and stage.kill(pid):
                    forks.add(pid)
            time.sleep(0.005)
        share = (proc.total([master], proc.CPU_TIME) - before) / 1e9 / (now() - begun) * 100
        # The first victim was there before.
        seen, number = stage.finish(), len(forks) - 1
        trials.row("D4", f"a worker that dies at once, for {seconds} s",
                   f"{number} forks, master {share:.1f} % of a CPU; {seen.rate}: {failed(seen.others)}",
                   "≤ 10 forks, ≤ 2 %, 0 failed with the healthy one",
                   2 <= number <= 10 and share <= 2 and healthy in stage.workers() and not seen.others, seen)


def hang(trials):
    """A worker is stopped for good."""
    timeout = trials.some(2, 1)
    with trials.serve(4, "--worker-timeout", timeout, load={}) as stage:
        victim, *rest = stage.workers()
        begun = now()
        ports = stage.halt(victim, 30)
        until(lambda: stage.said(ABORTED), "the worker is found", 30)
        found = now() - begun
        replaced = stage.wait_replaced([victim], 30) - begun
        seen = stage.finish(200)
        same = set(rest) <= set(stage.workers())
        in_time = trials.in_time(found - timeout, 1) and trials.in_time(replaced - found, 1.5)
        trials.row("D15", f"a worker that hangs, --worker-timeout {timeout}",
                   f"found after {found:.1f} s, replaced after {replaced:.1f} s; {seen.rate}: "
                   f"{len(seen.failures) - len(seen.others)} of its {len(ports)} clients, of the others {failed(seen.others)}",
                   "found ≤ 1 s after the time-out, replaced ≤ 1.5 s later, 0 of the others",
                   same and not seen.others and in_time, seen)


def deaths(trials):
    """All workers are killed, again and again."""
    size, rounds, most = 32, trials.some(32, 2), 0
    with trials.serve(size) as stage:
        for _ in trials.counted(rounds):
            victims = stage.workers()
            # A worker that dies younger than a second is part of a crash loop.
            time.sleep(1.1)
            for pid in victims:
                os.kill(pid, signal.SIGKILL)
            stage.wait_replaced(victims, 30)
            most = max(most, sum(state(pid) == "Z" for pid in proc.family(stage.master())))
        serves = stage.ask()
        trials.row("D17", f"{rounds * size:,} workers killed, {size} at a time",
                   f"all replaced; at most {most} zombies when they were; it {'serves' if serves else 'does not serve'}",
                   "0 zombies", not most and serves)


def resets(trials):
    """Clients leave in the middle of a response with bytes unread, which resets the connection."""
    number = trials.some(10_000, 500)
    with trials.serve(2) as stage:
        before = stage.workers()
        for _ in trials.counted(number):
            with socket.create_connection(stage.address, PATIENCE) as client:
                client.sendall(request("/2m"))
                client.recv(1000)
        stage.load()
        seen, died = stage.finish(100), len(set(before) - set(stage.workers()))
        trials.row("D19", f"{number:,} clients that reset in the middle of an answer",
                   f"{died} deaths; then {failed(seen.failures)}", "0 deaths", not died and not seen.failures, seen)


def suspended(trials):
    """The master is stopped for longer than the worker time-out, then all processes are."""
    seconds = trials.some(4, 1.5)
    with trials.serve(2, "--worker-timeout", 1, load={}) as stage:
        workers = stage.workers()
        for pids in ([stage.master()], [stage.master(), *workers]):
            trials.progress.show(f"{len(pids)} stopped")
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            time.sleep(seconds)
            # The master wakes first, and finds only old heartbeats.
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
                time.sleep(0.2)
            time.sleep(1.5)
        killed = len(set(workers) - set(stage.workers()))
        seen = stage.finish(100)
        trials.row("D16", f"the master, then everyone suspended for {seconds} s at a time-out of 1 s",
                   f"{killed} workers killed; {seen}", "0 kills, 0 failed", not killed and not seen.failures, seen)
