"""What runs on the hosts: Stheno, HAProxy and nginx, each with a recipe of docs/fleet as it is."""

import contextlib
import csv
import io
import os
import pathlib
import re
import shutil
import signal
import socket
import urllib.error
import urllib.request

from chaoskit.stage import RELOADED, reap
from lib import Trouble, proc, until
from lib.proc import is_alive

from . import RECIPES
from .hosts import Host, copied
from .trying import local

STATUS = 9100


def get(url, seconds=2.0):
    """Status and body of a GET; (0, "") without an answer."""
    try:
        with urllib.request.urlopen(url, timeout=seconds) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except OSError:
        return 0, ""


def accepts(*address):
    with contextlib.suppress(OSError), socket.create_connection(address, 1):
        return True
    return False


class Web:
    """One Stheno with its copy of the content, and the recipe stheno.toml."""

    def __init__(self, host, program, content=None, options=(), changes=None):
        self.host, self.name, self.options, self.process = host, host.name, options, None
        self.config = recipe(host, "stheno.toml", changes)
        self.root = pathlib.Path(f"/proc/{host.keeper.pid}/root")
        self.program = host.folder / "stheno"
        (self.root / "run/stheno").mkdir()
        self.install(program)
        if content:
            copied(content, host.folder / "www")
            (self.root / "srv/www").mkdir(parents=True)
            host.check("mount", "--bind", host.folder / "www", "/srv/www")

    def install(self, program):
        """Replaces the program in one step."""
        pathlib.Path(shutil.copy(program, self.host.folder / "new")).rename(self.program)

    def start(self, *options):
        """Starts the server, and waits until it is healthy."""
        self.process = self.host.run("stheno", self.program, "--config", self.config, *self.options, *options,
                                     polite=signal.SIGQUIT)
        until(lambda: self.health() == 200 or self.process.is_over(), f"{self.name} is healthy", 20)
        if self.process.is_over():
            raise Trouble(f"{self.name} does not start: {self.host.log('stheno').read_text().strip()}")
        return self

    def health(self):
        return get(f"http://{self.host.address}:{STATUS}/healthz")[0]

    def metric(self, name, labels):
        """The sum of a metric over the series whose labels match."""
        status, text = get(f"http://{self.host.address}:{STATUS}/metrics")
        if status != 200:
            raise Trouble(f"{self.name} has no metrics: {status}")
        return sum(float(value) for value in re.findall(rf"^{name}{{{labels}}} (\S+)$", text, re.M))

    def master(self):
        with contextlib.suppress(OSError, ValueError):
            return int((self.root / "run/stheno/stheno.pid").read_text())
        return None

    def workers(self):
        return proc.children(self.master())

    def said(self, text):
        return self.host.log("stheno").read_text(errors="replace").count(text)

    def reload(self):
        """HUP; returns when the workers of before have ended."""
        before, said = self.workers(), self.said(RELOADED)
        os.kill(self.master(), signal.SIGHUP)
        until(lambda: self.said(RELOADED) > said, f"{self.name}: the new generation serves", 40)
        until(lambda: not any(map(is_alive, before)), f"{self.name}: the old workers have ended", 60)

    def upgrade(self):
        """USR2; returns when the old master has ended."""
        old = self.master()
        self.install(self.program)
        os.kill(old, signal.SIGUSR2)
        until(lambda: self.master() not in (None, old), f"{self.name}: another program takes over", 60)
        until(lambda: not is_alive(old), f"{self.name}: the old master has ended", 60)
        reap(Host.ours)

    def stop(self):
        """TERM, as `systemctl stop` does; returns when everything has ended."""
        old = self.master()
        family = proc.family(old)
        os.kill(old, signal.SIGTERM)
        until(lambda: not any(map(is_alive, family)), f"{self.name} ends", 60, 0.01)
        reap(Host.ours)

    def kill(self):
        """Ends all processes at once."""
        family = proc.family(self.master())
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not any(map(is_alive, family)), f"{self.name} is dead")
        reap(Host.ours)

    def restart(self):
        self.stop()
        self.start()


class Balancer:
    """HAProxy with the recipe haproxy.cfg."""

    # `recipe`: its file. `server_changes`: what the recipe of the servers needs for it.
    recipe, title, server_changes = "haproxy.cfg", "HAProxy", None

    def __init__(self, host, changes=None):
        self.host, self.root = host, pathlib.Path(f"/proc/{host.keeper.pid}/root")
        (self.root / "run/haproxy").mkdir()
        self.process = host.run("haproxy", "haproxy", "-W", "-f", recipe(host, self.recipe, changes), "-p",
                                "/run/haproxy/pid", polite=signal.SIGTERM)
        until(lambda: self.pid() or self.process.is_over(), "HAProxy answers", 20)
        if self.process.is_over():
            raise Trouble(f"HAProxy does not start: {host.log('haproxy').read_text().strip()}")

    def ask(self, command):
        """What HAProxy answers to a command at its administrator's socket."""
        with socket.socket(socket.AF_UNIX) as one:
            one.settimeout(5)
            one.connect(str(self.root / "run/haproxy/admin.sock"))
            one.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: one.recv(1 << 16), b"")).decode()

    def pid(self):
        """The process that answers; None while none does."""
        with contextlib.suppress(OSError):
            return int(re.search(r"^Pid: (\d+)", self.ask("show info"), re.M)[1])
        return None

    def servers(self):
        """Server → its row of `show stat`."""
        rows = csv.DictReader(io.StringIO(self.ask("show stat").removeprefix("# ")))
        return {row["svname"]: row for row in rows if row["pxname"] == "fleet"}

    def wait(self, name, state, seconds=20):
        """Waits until HAProxy thinks that a server is UP or DOWN; returns the seconds."""
        return until(lambda: self.servers()[name]["status"].split()[0] == state, f"HAProxy sees {name} {state}", seconds, 0.01)

    def wait_all(self, webs):
        for web in webs:
            self.wait(web.name, "UP")

    def sent_again(self):
        """Requests that HAProxy has sent again, to the same server or to another one."""
        total = self.servers()["BACKEND"]
        return int(total["wretr"]) + int(total["wredis"])

    def answered(self):
        """Server → the answers of class 2xx that it has given."""
        return {name: int(row["hrsp_2xx"] or 0) for name, row in self.servers().items()}

    def reload(self):
        """USR2: another process takes the sockets over; returns when it answers."""
        before = self.pid()
        os.kill(self.process.pid, signal.SIGUSR2)
        until(lambda: self.pid() not in (None, before), "another HAProxy answers", 20, 0.01)


class Nginx:
    """nginx with the recipe nginx.conf."""

    title, server_changes = "nginx", {'proxy-protocol = ["10.77.0.2"]': 'forwarded-from = ["10.77.0.2"]'}

    def __init__(self, host):
        self.host, root = host, pathlib.Path(f"/proc/{host.keeper.pid}/root")
        (root / "srv/tls").mkdir()
        # Clients on other hosts know it by its path from outside.
        self.certificate = root / "srv/tls/cert.pem"
        host.check("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "/srv/tls/key.pem", "-out",
                   "/srv/tls/cert.pem", "-days", "1", "-subj", "/CN=lb", "-addext", "subjectAltName=DNS:lb")
        self.process = host.run("nginx", "nginx", "-c", recipe(host, "nginx.conf"), "-p", host.folder, "-e",
                                "stderr", "-g", "daemon off;", polite=signal.SIGQUIT)
        until(lambda: accepts(host.address, 443) or self.process.is_over(), "nginx accepts", 20)
        if self.process.is_over():
            raise Trouble(f"nginx does not start: {host.log('nginx').read_text().strip()}")

    def wait_all(self, webs):
        """nginx has no checks of its own: it tries every server."""

    def said(self, text):
        return self.host.log("nginx").read_text(errors="replace").count(text)


def recipe(host, name, changes=None):
    """The file of a recipe, or a copy of it with `changes`: what is there → what to put there."""
    if not changes:
        return RECIPES / name
    path = host.folder / name
    path.write_text(local((RECIPES / name).read_text(encoding="utf-8"), changes), encoding="utf-8")
    return path
