"""Scenarios for the master: reload, upgrade, rotation, full logs, and every way to end."""

import contextlib
import os
import pathlib
import re
import signal
import socket
import tempfile
import time
from time import monotonic as now

from lib import Trouble, proc, until
from lib.proc import descriptors, is_alive

from .clients import OUT, Download, failed
from .stage import FAILED, reap
from .trials import ms


def reloads(trials):
    """HUP under load."""
    rounds = trials.some(10, 3)
    with trials.serve(2, load={}) as stage:
        for _ in trials.counted(rounds):
            before = stage.workers()
            stage.reload()
            until(lambda: not any(map(is_alive, before)), "the old workers have gone", 40)
            stage.clients.wait_for_more(100)
        seen = stage.finish()
        trials.row("D9", f"{rounds} reloads", str(seen), "0 failed", not seen.failures, seen)


def leaks(trials):
    """Many reloads: what remains of each."""
    rounds, warm_up, before = trials.some(200, 40), 400, {}

    def footprint(stage):
        pids = stage.processes()
        return {"descriptors": sum(map(descriptors, pids)), "processes": len(pids), "threads": proc.total(pids, proc.THREADS),
                "KiB of the master": proc.total([stage.master()], proc.ANONYMOUS)}
    with trials.serve(2) as stage:
        for count in trials.counted(warm_up + rounds):
            # The first reloads make what is made once, and the heap of the master settles: it has its size after 400.
            if count == warm_up:
                before = footprint(stage)
            stage.reload()
            stage.ask()
            until(stage.is_whole, "the old workers have gone", 40)
        with contextlib.suppress(Trouble):
            until(lambda: footprint(stage)["descriptors"] <= before["descriptors"], "descriptors as before", 2)
        after = footprint(stage)
        # Memory grows in pages of 4 KiB.
        limits = before | {"KiB of the master": before["KiB of the master"] * 1.01 + 4}
        trials.row("D10", f"{rounds} reloads: what they leave behind",
                   "; ".join(f"{name} {before[name]}, then {after[name]}" for name in before),
                   "equal; memory ± 1 % and a page", all(after[name] <= limits[name] for name in before),
                   before=before, after=after)


def upgrades(trials):
    """USR2 under load."""
    rounds = trials.some(10, 3)
    with trials.serve(2, load={}) as stage:
        for _ in trials.counted(rounds):
            old = stage.master()
            stage.install(trials.program)
            os.kill(old, signal.SIGUSR2)
            until(lambda: stage.master() not in (None, old), "another program takes over", 60)
            stage.clients.wait_for_more(100)
            until(lambda: not is_alive(old), "the old master has gone", 40)
            reap()
        until(stage.is_whole, "only the last one is left", 40)
        seen = stage.finish()
        trials.row("D13", f"{rounds} upgrades", str(seen), "0 failed", not seen.failures, seen)


def misfits(trials):
    """USR2 when the new program cannot take over."""
    with trials.serve(2, load={}) as stage:
        workers, master = stage.workers(), stage.master()
        garbage = stage.folder / "garbage"
        garbage.write_bytes(b"\x7fELF and nothing else")
        garbage.chmod(0o755)
        programs = ["/bin/false", "/bin/true", garbage, None]
        for count in trials.counted(len(programs)):
            if programs[count]:
                stage.install(programs[count])
            else:
                stage.program.unlink()
            stage.signal(signal.SIGUSR2)
            until(lambda: stage.said(FAILED) == count + 1, "the log says so")
            stage.clients.wait_for_more(50)
        same = (stage.master(), stage.workers()) == (master, workers)
        seen = stage.finish()
        trials.row("D13", "upgrades to /bin/false, /bin/true, garbage and nothing",
                   f"{seen}; {'the same' if same else 'other'} workers, {stage.said(FAILED)} lines in the log",
                   "the old one goes on, 0 failed", same and not seen.failures, seen)


def rotations(trials):
    """USR1 under load: both logs are renamed and opened again."""
    rounds, slowest = trials.some(20, 5), 0.0
    with trials.serve(2, "--log", "debug", access_log="file", load={}) as stage:
        for count in trials.counted(rounds):
            for path in (stage.log, stage.access_log):
                path.rename(f"{path}.{count}")
            begun = now()
            stage.signal(signal.SIGUSR1)
            until(lambda: stage.access_log.exists() and stage.access_log.stat().st_size and stage.log.exists(),
                  "there are new files with lines in them", every=0.0005)
            slowest = max(slowest, now() - begun)
            stage.clients.wait_for_more(50)
        seen = stage.finish()

        def lines():
            return "".join(path.read_text() for path in stage.folder.glob("access*")).splitlines()
        with contextlib.suppress(Trouble):
            until(lambda: len(lines()) >= len(seen.took), "a line for each answer", 3)
        whole = re.compile(r'127\.0\.0\.1 - - \[[^]]+\] "GET /[\w-]+ HTTP/1\.1" 200 \d+ .*\d$')
        split, lost = sum(not whole.match(line) for line in lines()), len(seen.took) - len(lines())
        trials.row("D12", f"{rounds} rotations of both logs",
                   f"{seen}; {lost} lines lost, {split} split; the new files after {ms(slowest)} at the most",
                   "0, ≤ 100 ms", not (seen.failures or lost or split) and trials.in_time(slowest, 0.1), seen)


def logs(trials):
    """Logs that accept no bytes."""
    seconds, rates, failures = trials.some(5, 1.5), {}, []
    with tempfile.TemporaryDirectory(dir=OUT) as folder:
        fifo = pathlib.Path(folder) / "fifo"
        os.mkfifo(fifo)
        full = pathlib.Path("/dev/full")
        # Open, so that it can be written to; never read.
        with open(fifo, "r+b", buffering=0):
            for name, files in [("file", {"access_log": "file"}), ("/dev/full", {"access_log": full, "log": full}),
                                ("FIFO", {"access_log": fifo})]:
                trials.progress.show(name)
                with trials.serve(2, **files, load={}) as stage:
                    time.sleep(seconds)
                    seen = stage.finish()
                    rates[name] = len(seen.took) / seen.seconds
                    failures += seen.failures
    share = min(rates["/dev/full"], rates["FIFO"]) / rates["file"]
    trials.row("C16", "access log and log /dev/full; access log a FIFO without a reader",
               f"{failed(failures)}; " + ", ".join(f"{name} {rate:.0f}/s" for name, rate in rates.items()),
               "0 failed, ≥ 90 % of a file's rate", not failures and share >= trials.some(0.9, 0.5), failures=failures)


def orphans(trials):
    """The master is killed."""
    def port_is_free():
        with contextlib.suppress(OSError), socket.create_server(stage.address):
            return True
        return False
    with trials.serve(3, load={}) as stage:
        downloads = stage.downloads(8)
        stage.clients.shared.leaving = 1
        begun = now()
        stage.signal(signal.SIGKILL)
        until(port_is_free, "the port is free", every=0.0005)
        free = now() - begun
        seen = stage.clients.see_out()
        whole = sum(map(Download.finish, downloads))
        until(lambda: not stage.processes(), "all workers have gone", 40)
        trials.row("D14", "the master killed", f"the port is free after {ms(free)}; {whole} of 8 downloads on their way "
                   f"came to their end; {len(seen.took):,} answers: {failed(seen.failures)}; 0 processes left",
                   "≤ 100 ms, 0 failed, 0 left", trials.in_time(free, 0.1) and whole == 8 and not seen.failures, seen)


def drain(trials):
    """TERM with 200 clients."""
    with trials.serve(2, load={"clients": 200}) as stage:
        time.sleep(trials.some(3, 1))
        downloads = stage.downloads(8)
        stage.clients.shared.leaving = 1
        stage.signal(signal.SIGTERM)
        seen = stage.clients.see_out()
        whole = sum(map(Download.finish, downloads))
        last, code = now(), stage.process.wait(40)
        after, left = now() - last, len(stage.processes())
        trials.row("D7", "TERM with 200 clients and 8 slow downloads",
                   f"{seen}; {whole} of 8 downloads whole; exit code {code}, {ms(after)} after the last; {left} processes "
                   "left", "0 failed, ≤ 100 ms after the last",
                   not seen.failures and whole == 8 and code == 0 and trials.in_time(after, 0.1) and not left, seen)


def stuck(trials):
    """INT with clients that do not read, and a worker that is stopped."""
    number = trials.some(300, 100)
    with trials.serve(2) as stage:
        stage.downloads(number)
        os.kill(stage.workers()[0], signal.SIGSTOP)
        begun = now()
        stage.signal(signal.SIGINT)
        code = stage.process.wait(40)
        took, left = now() - begun, len(stage.processes())
        trials.row("D8", f"INT with {number} stuck clients and a worker that hangs",
                   f"gone after {took:.2f} s, exit code {code}, {left} processes left", "≤ 2 s",
                   trials.in_time(took, 2) and code == 0 and not left)
