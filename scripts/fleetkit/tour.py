"""The life of a fleet under load, step by step: start, rolling upgrades, a lost host, a canary, the end."""

import contextlib
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from time import monotonic as now

from chaoskit.clients import Download
from chaoskit.stage import FAILED, REFUSED
from lib import proc, until
from lib.proc import is_alive

from .load import summary
from .trials import Record


def tour(trials):
    """Everything that happens to a fleet, with a load of 500 requests a second that is never interrupted."""
    begun = now()
    with trials.fleet() as fleet:
        healthy = now() - begun
        trials.record = record = Record(fleet.balancer)
        fleet.callback(record.stop)
        load = fleet.load()
        with record.step("start") as said:
            said.append(f"three hosts healthy and in rotation {healthy:.1f} s after the first command")
            load.wait_for_more(trials.some(2500, 500))
        for name, way in [("HUP", "reload"), ("USR2", "upgrade"), ("stop and start", "restart")]:
            rolling(trials, fleet, load, name, way)
        balancer_reloads(trials, fleet, load)
        lost = host_lost(trials, fleet, load)
        canary(trials, fleet, load)
        with record.step("end") as said:
            load.wait_for_more(500)
            trials.seen = seen = load.stop()
            record.stop()
            said.append(str(seen))
        trials.row("fleet", "the whole load", summary(seen), "failed only with the lost host", len(seen.failures) == lost, seen)
        teardown(trials, fleet)


@contextlib.contextmanager
def counted(load):
    """Counts answers and failures of a step: the block's list gets both at its end."""
    answers, failures, found = load.shared.answered, load.shared.failed, []
    yield found
    found += [load.shared.answered - answers, load.shared.failed - failures]


def rolling(trials, fleet, load, name, way):
    """Upgrades every host in turn, again and again until there are enough answers."""
    least, rounds = trials.some(50_000, 1), 0
    with trials.record.step(f"rolling upgrade: {name}") as said:
        with counted(load) as found:
            answers = load.shared.answered
            while not rounds or load.shared.answered - answers < least:
                rounds += 1
                for web in fleet.webs:
                    trials.progress.show(f"{name}: {web.name}, {load.shared.answered - answers} answers")
                    getattr(web, way)()
                    fleet.balancer.wait(web.name, "UP")
                    load.wait_for_more(100)
        said.append(f"{rounds * len(fleet.webs)} upgrades, {found[0]:,} answers, {found[1]} failed")
    trials.row("fleet", f"rolling upgrade of {len(fleet.webs)} hosts by {name}, {rounds} times each",
               f"{found[0]:,} answers, {found[1]} failed", "0 failed", not found[1])


def balancer_reloads(trials, fleet, load):
    """Reloads HAProxy: another process takes the listening sockets over."""
    rounds = trials.some(20, 3)
    with trials.record.step("HAProxy: reload") as said:
        with counted(load) as found:
            for _ in trials.counted(rounds):
                fleet.balancer.reload()
                load.wait_for_more(500)
        said.append(f"{rounds} reloads, {found[0]:,} answers, {found[1]} failed")
    fleet.balancer.wait_all(fleet.webs)
    trials.row("fleet", f"{rounds} reloads of HAProxy", f"{found[0]:,} answers, {found[1]} failed", "0 failed", not found[1])


def host_lost(trials, fleet, load):
    """A host is cut off the network, with all that it does, and comes back. Returns the requests of the load that failed."""
    web, balancer = fleet.webs[1], fleet.balancer
    with trials.record.step("host lost") as said:
        with counted(load) as found:
            downloads = [Download(fleet.address, trials.contents["2m"]) for _ in range(9)]
            web.host.cut()
            row = balancer.servers()[web.name]
            in_flight = int(row["scur"])
            web.kill()
            down = balancer.wait(web.name, "DOWN")
            load.wait_for_more(trials.some(5000, 2500))
            with ThreadPoolExecutor(len(downloads)) as pool:
                broken = sum(not whole for whole in pool.map(Download.finish, downloads))
        lost = found[1]
        said.append(f"out of rotation after {down:.1f} s; {in_flight} requests in flight on it, {found[1] + broken} failed")
    trials.row("fleet", "a host is lost", f"{in_flight} requests in flight on it, of them {broken} stopped downloads; "
               f"{found[1] + broken} failed; out of rotation after {down:.1f} s", "failed ≤ in flight",
               found[1] + broken <= in_flight)
    with trials.record.step("host back") as said:
        with counted(load) as found:
            web.host.join()
            answered = balancer.answered()[web.name]
            web.start()
            healthy = now()
            balancer.wait(web.name, "UP")
            until(lambda: balancer.answered()[web.name] > answered, "the host answers", 20)
            back = now() - healthy
            load.wait_for_more(500)
        said.append(f"in rotation {back:.1f} s after it was healthy")
    trials.row("fleet", "the host comes back", f"answers {back:.2f} s after it was healthy; {found[1]} failed",
               "≤ 2 s, 0 failed", trials.in_time(back, 2) and not found[1])
    return lost


def canary(trials, fleet, load):
    """A version that differs gets a small share; then one that cannot start is tried."""
    web, balancer = fleet.webs[2], fleet.balancer
    share = 10 / 210
    with trials.record.step("canary: 10 of 210") as said:
        with counted(load) as found:
            balancer.ask(f"set server fleet/{web.name} weight 10")
            web.stop()
            web.start("--header", "X-Release: next")
            balancer.wait(web.name, "UP")
            before = balancer.answered()
            load.wait_for_more(trials.some(5000, 1500))
            after = balancer.answered()
            answers = {name: after[name] - before[name] for name in after}
            measured = answers[web.name] / answers["BACKEND"]
            errors = web.metric("stheno_requests_total", 'code="[45]xx"')
            shows = "X-Release: next" in head_of(web)
        said.append(f"{measured:.1%} of the answers, {errors:.0f} errors; {found[1]} failed")
    trials.row("fleet", "a canary with weight 10 of 210", f"{measured:.2%} of {answers['BACKEND']:,} answers, expected {share:.2%}; "
               f"{errors:.0f} errors; {found[1]} failed", "± 0.5 %, 0 errors, 0 failed",
               abs(measured - share) < 0.005 and not errors and not found[1] and shows)
    with trials.record.step("canary: cannot start") as said:
        with counted(load) as found:
            master = web.master()
            web.install("/bin/false")
            os.kill(master, signal.SIGUSR2)
            until(lambda: web.said(FAILED) or web.said(REFUSED), "the upgrade is refused", 30)
            load.wait_for_more(500)
            stays = web.master() == master and web.health() == 200
            web.install(trials.program)
            balancer.ask(f"set server fleet/{web.name} weight 100")
        said.append(f"the old version serves on, {found[1]} failed")
    trials.row("fleet", "a canary that cannot start, by USR2", f"the old version {'serves on' if stays else 'is gone'}; "
               f"{found[1]} failed", "serves on, 0 failed", stays and not found[1])


def head_of(web):
    """The head of an answer of one host, asked without the balancer."""
    return web.host.check("curl", "-sI", "http://127.0.0.1:8080/1k")


def teardown(trials, fleet):
    """Every server ends at SIGTERM, and nothing of it is left."""
    begun, families = now(), [proc.family(web.master()) for web in fleet.webs]
    for web in fleet.webs:
        os.kill(web.master(), signal.SIGTERM)
    until(lambda: not any(is_alive(pid) for family in families for pid in family), "all processes of the servers end", 60, 0.01)
    ended, programs = now() - begun, {str(web.program) for web in fleet.webs}
    left = [pid for pid in proc.family(os.getpid())[1:] if is_alive(pid) and program_of(pid) in programs]
    trials.row("fleet", "the end", f"{sum(map(len, families))} processes ended after {ended:.1f} s; {len(left)} of the servers are left",
               "none left", not left)


def program_of(pid):
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)")
    return None


