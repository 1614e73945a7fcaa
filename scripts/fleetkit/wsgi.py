"""The trial `sessions`: Django on every host by stheno-wsgi, sessions in a store that all hosts share, HAProxy before them,
sticky and not. Clients count by POST, which HAProxy may not send again, so whatever an upgrade loses is seen."""

import collections
import contextlib
import os
import pathlib
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from time import monotonic as now

from chaoskit.clients import failed
from lib import PROJECT, Trouble, setup, until
from lib.setup import which

from . import OUT, RECIPES
from .counting import SessionLoad
from .hosts import Network, copied
from .servers import Balancer, Web, accepts, get

VENV = OUT / "venv"
PACKAGES = ["django~=5.2", "redis~=8.1", "psycopg[binary]~=3.3"]
APPS = PROJECT / "scripts" / "fleetkit" / "apps"
# Where scripts/wsgi leaves what it has built.
WHEELS = PROJECT / "target" / "wsgi"
# A method of a server, and what it is.
WAYS = {"reload": "HUP", "upgrade": "USR2", "restart": "stop and start"}
CLIENTS, RATE, SHARE = 40, 150, 0.02


def prepare():
    """Installs what the trial needs; to be called while there is a network."""
    setup.install({"redis-server": "redis-server", "/usr/lib/postgresql": "postgresql"})
    python, installed = setup.venv(VENV, PACKAGES), VENV / "installed"
    try:
        built = wheel(python)
        stamp = str(built.stat().st_mtime_ns)
        # Servers of another run may load modules from there now.
        if not installed.exists() or installed.read_text() != stamp:
            subprocess.run([python, "-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps", built], check=True)
            installed.write_text(stamp)
    except subprocess.CalledProcessError as error:
        raise Trouble(f"stheno-wsgi cannot be installed: {error}") from error


def wheel(python):
    """The wheel that scripts/wsgi builds; built again, as it does, when a source is newer."""
    def newest(*paths):
        return max((path.stat().st_mtime for path in paths), default=0)
    sources = [path for path in (PROJECT / "src").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    built = sorted(WHEELS.glob("*.whl"))
    if newest(*built) < newest(*sources, PROJECT / "Cargo.lock"):
        for old in built:
            old.unlink()
        subprocess.run([python, "-m", "pip", "wheel", "--quiet", ".", "--no-deps", "-w", WHEELS,
                        "--config-settings=build-args=--profile dev --locked"], cwd=PROJECT, check=True)
        built = sorted(WHEELS.glob("*.whl"))
    return built[0]


class Application(Web):
    """stheno-wsgi with the recipe wsgi.toml, and its copy of the applications in /srv/shop."""

    def __init__(self, host, options=()):
        program = VENV / "bin" / "stheno-wsgi"
        if not program.exists():
            raise Trouble(f"{program.relative_to(PROJECT)} is not here: it has to be installed before the network is isolated")
        super().__init__(host, program, options=options)
        self.config = RECIPES / "wsgi.toml"
        self.folder, self.release = host.folder / "shop", 1
        copied(APPS, self.folder)
        (self.root / "srv/shop").mkdir()
        host.check("mount", "--bind", self.folder, "/srv/shop")

    def deploy(self):
        """Replaces the application by the next release, which the next processes load."""
        self.release += 1
        source, new = self.folder / "shop.py", self.folder / "new"
        new.write_text(re.sub(r"^RELEASE = \d+$", f"RELEASE = {self.release}", source.read_text(), flags=re.M))
        new.rename(source)

    def serves(self):
        """Whether a request of our own is answered by the release that was deployed."""
        return f'"release": {self.release},' in get(f"http://{self.host.address}:8080/")[1]


class WsgiBalancer(Balancer):
    """HAProxy with the recipe haproxy-wsgi.cfg."""

    recipe = "haproxy-wsgi.cfg"
    COOKIE = "    cookie SERVER insert indirect nocache httponly\n"


def redis(host):
    """Redis in memory alone."""
    if not which("redis-server"):
        raise Trouble("redis-server is not here: install Debian's package redis-server")
    host.run("redis", which("redis-server"), "--bind", host.address, "--save", "", "--appendonly", "no", "--protected-mode", "no")
    until(lambda: accepts(host.address, 6379), "Redis answers")


def postgresql(host):
    """PostgreSQL with a database of its own, which ends with the host."""
    initdb = next(iter(sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)
    if not initdb:
        raise Trouble("PostgreSQL is not here: install Debian's package postgresql")
    as_postgres, data = ["runuser", "-u", "postgres", "--"], "/srv/postgresql"
    host.check("install", "-d", "-o", "postgres", data)
    host.check(*as_postgres, initdb, "--auth=trust", "--no-sync", data)
    with open(f"/proc/{host.keeper.pid}/root{data}/pg_hba.conf", "a", encoding="ascii") as access:
        access.write("host all all 10.77.0.0/24 trust\n")
    host.run("postgresql", *as_postgres, initdb.with_name("postgres"), "-D", data, "-c", f"listen_addresses={host.address}", "-c",
             "unix_socket_directories=", "-c", "fsync=off")
    until(lambda: accepts(host.address, 5432), "PostgreSQL answers")
    host.check("env", "SESSIONS=postgresql", VENV / "bin/python", APPS / "shop.py", "migrate", "--verbosity=0")


def is_user_namespace():
    return pathlib.Path("/proc/self/uid_map").read_text(encoding="ascii").split()[2] == "1"


STORES = {"redis": redis, "postgresql": postgresql}


class Applications(contextlib.ExitStack):
    """A fleet that serves an application, with a store if it needs one."""

    def __init__(self, store=None, is_sticky=False, options=(), changes=None):
        super().__init__()
        self.store, self.is_sticky, self.options, self.steps = store, is_sticky, options, []
        # Of HAProxy's recipe.
        self.changes = (changes or {}) | ({} if is_sticky else {WsgiBalancer.COOKIE: ""})

    def __enter__(self):
        super().__enter__()
        self.net = self.enter_context(Network(OUT / "hosts", store=bool(self.store)))
        if self.store:
            STORES[self.store](self.net.store)
            os.environ["SESSIONS"] = self.store
            self.callback(os.environ.pop, "SESSIONS")
        self.webs = [Application(host, self.options).start() for host in self.net.webs]
        self.balancer = WsgiBalancer(self.net.lb, self.changes)
        self.balancer.wait_all(self.webs)
        return self

    def load(self, **options):
        load = SessionLoad(self.net.load1, (self.net.lb.address, 80), **options)
        self.callback(load.end)
        return load

    def upgrade(self, way, web, load):
        """Deploys a release on a host and upgrades it; keeps what happened meanwhile."""
        begun, failures, before = now(), load.shared.failed, self.balancer.answered()
        web.deploy()
        getattr(web, way)()
        self.balancer.wait(web.name, "UP")
        if not web.serves():
            raise Trouble(f"{web.name} serves an old release after {way}")
        load.wait_for_more(50)
        after = self.balancer.answered()
        self.steps.append({"way": way, "web": web.name, "from": begun, "to": now(), "failed": load.shared.failed - failures,
                           "answers": {name: after[name] - before[name] for name in after}})


def sessions(trials):
    """Django with sessions in a store: rolling upgrades while clients count by POST."""
    kinds = [("redis", True), ("redis", False), ("postgresql", False)]
    if trials.quick:
        kinds.pop()
    elif is_user_namespace():
        kinds.pop()
        trials.progress.done("sessions: without PostgreSQL, which does not run as root, and there is no other user here")
    for store, is_sticky in kinds:
        with Applications(store, is_sticky) as shop:
            rolling(trials, shop)
    if not trials.quick:
        crossings(trials)


def rolling(trials, shop):
    """Upgrades every host in turn in three ways, under load."""
    name = f"Django, sessions in {shop.store}, {'sticky' if shop.is_sticky else 'not sticky'}"
    load, rounds = shop.load(clients=CLIENTS, rate=RATE), trials.some(3, 1)
    load.wait_for_more(100)
    for number, way in enumerate(WAYS):
        for count in range(rounds):
            # The short form upgrades one host in each way.
            for web in shop.webs if not trials.quick else shop.webs[number:number + 1]:
                trials.progress.show(f"{name}: {WAYS[way]} of {web.name}, round {count + 1} of {rounds}")
                shop.upgrade(way, web, load)
    seen = load.stop()
    ways = ", ".join(f"{sum(step['way'] == way for step in shop.steps)} × {said}" for way, said in WAYS.items())
    wrong = sum(failure["kind"] == "session" for failure in seen.failures)
    trials.row("fleet", f"{name}: {ways}",
               f"{seen.rate}, of them {load.posts:,} POST: {failed(seen.failures)}, {wrong} sessions wrong",
               "0 failed, every count is the one before and 1", not seen.failures, seen, steps=shop.steps)
    (met if shop.is_sticky else shared)(trials, shop, load, name)


def met(trials, shop, load, name):
    """Which host a sticky client meets after an upgrade of its own."""
    moves, strays = dict.fromkeys(WAYS, 0), 0
    for at, old, _ in load.moves:
        step = next((step for step in shop.steps if step["from"] <= at <= step["to"]), {"way": "restart", "web": None})
        moves[step["way"]] += 1
        # Only the clients of a host that is stopped have to leave.
        strays += (step["way"], step["web"]) != ("restart", old)
    said = "; ".join(f"{WAYS[way]}: {count} clients met another host" for way, count in moves.items())
    trials.row("fleet", f"{name}: the host of a client",
               f"{said}, {strays} of them wrongly; shares after the last one {shares(shop.steps[-1]['answers'])}",
               "another one only if its host was stopped", moves["restart"] and not strays, moves=load.moves)


def shared(trials, shop, load, name):
    """The share of each host while all three serve."""
    total = collections.Counter()
    for step in shop.steps:
        if step["way"] != "restart":
            total.update(step["answers"])
    parts = [total[web.name] / total["BACKEND"] for web in shop.webs]
    trials.row("fleet", f"{name}: the share of each host, HUP and USR2", shares(total), f"a third each, ± {SHARE:.0%}",
               all(abs(part - 1 / len(parts)) < SHARE for part in parts), hosts=load.hosts)


def shares(answers):
    return ", ".join(f"{name} {count / answers['BACKEND']:.1%}" for name, count in answers.items() if name != "BACKEND")


def crossings(trials):
    """POSTs at the moment when an old worker closes a connection because nothing came for a second: each client has a connection
    of its own to a server, and pauses for two seconds."""
    rounds, balance = 20, "    balance roundrobin\n"
    with Applications("redis", True, changes={balance: f"{balance}    http-reuse never\n"}) as shop:
        load = shop.load(clients=300, rate=150, spread=0.05)
        load.wait_for_more(300)
        for _ in trials.counted(rounds):
            with ThreadPoolExecutor() as pool:
                list(pool.map(Application.reload, shop.webs))
        seen = load.stop()
        trials.row("fleet", f"Django, connections that no client shares: {rounds} reloads of all hosts at once",
                   f"{seen.rate}, of them {load.posts:,} POST: {failed(seen.failures)}", "0 failed", not seen.failures, seen)
