"""The recipes for systemd on several hosts, tried: the drop-in by systemd-analyze, roll.sh against servers on loopback."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import tomllib

from lib import PROJECT, proc, until
from lib.server import Child
from lib.setup import which

from . import RECIPES
from .servers import get
from .trying import OUT, local, said

DROP_IN, ROLL = RECIPES / "stheno.service.d" / "fleet.conf", RECIPES / "roll.sh"
# In place of ssh(1): tells the check of the host and the command, and exits with the code that it says.
FAKE_SSH = f"""#!{sys.executable}
import os, socket, sys
with socket.socket(socket.AF_UNIX) as link:
    link.connect(os.environ["FAKE_SSH"])
    link.sendall("\\n".join(sys.argv[-2:]).encode())
    link.shutdown(socket.SHUT_WR)
    sys.exit(int(link.recv(16) or 255))
"""


def seconds_of(text, name):
    return float(re.findall(rf"^{name}=(\d+)$", text, re.M)[-1])


def unit(program):
    """The unit for the systemd of this machine, with the program's path."""
    text = (PROJECT / "docs/systemd/stheno.service").read_text(encoding="utf-8")
    version = int(subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True, check=True).stdout.split()[1])
    if version < 253:
        # As the Debian package has it: systemd 252 does not know notify-reload.
        text = local(text, {"Type=notify-reload": "Type=notify\nExecReload=/bin/sh -c 'kill -HUP $MAINPID'"})
    return text.replace("/usr/local/bin/stheno", str(program)), version


def drop_in(program):
    """Rows of the drop-in."""
    text = DROP_IN.read_text(encoding="utf-8")
    options = tomllib.loads((RECIPES / "stheno.toml").read_text(encoding="utf-8"))
    need, wrong = options["drain-delay"] + options["grace"], []
    if seconds_of(text, "TimeoutStopSec") <= need:
        wrong.append(f"TimeoutStopSec is not more than drain-delay + grace, {need}")
    if seconds_of(text, "WatchdogSec") <= options.get("worker-timeout", 10):
        wrong.append("WatchdogSec is over before the master replaces a worker")
    if not options["root"] == re.findall(r"^RequiresMountsFor=(.*)$", text, re.M)[-1]:
        wrong.append(f"RequiresMountsFor is not {options['root']}")
    yield "fleet.conf: its times beside those of stheno.toml", not wrong, "; ".join(wrong) or f"{need} s of drain and grace"
    if not which("systemd-analyze"):
        yield "fleet.conf: systemd-analyze verify", None, "not run: systemd is not here"
        return
    folder = OUT / "systemd"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "stheno.service.d").mkdir(parents=True)
    base, version = unit(program)
    (folder / "stheno.service").write_text(base)
    (folder / "stheno.service.d" / "fleet.conf").write_text(text.replace("/usr/local/bin/stheno", str(program)))
    command = ["systemd-analyze", "--man=no", "verify", folder / "stheno.service"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # It exits with 0 for a line that it does not understand.
    told = done.stderr.strip().replace("\n", "; ")
    yield "fleet.conf: systemd-analyze verify", done.returncode == 0 and not told, told or f"systemd {version}"


class Host:
    """One server at an address of its own on loopback; the port of its status page is that of all hosts."""

    def __init__(self, program, site, address, status):
        self.program, self.address, self.status = program, address, status
        self.pidfile, self.log = OUT / f"{address}.pid", OUT / f"{address}.log"
        self.words = ["-r", str(site), "--host", address, "--port", "0", "--status", f"{address}:{status}", "--pidfile",
                      str(self.pidfile), "--access-log", "off", "--grace", "1", "--drain-delay", "0.5"]
        self.done = []

    def start(self):
        self.child = Child([self.program, *self.words], self.log, signal.SIGTERM)
        self.child.wait_until_ready(self.master, self.log, 20)

    def master(self):
        with contextlib.suppress(OSError, ValueError):
            return int(self.pidfile.read_text())
        return None

    def end(self):
        """Ends the server, whichever generation serves; an upgrade has left the session's first process behind."""
        if (pid := self.master()) and proc.is_alive(pid):
            os.kill(pid, signal.SIGTERM)
            until(lambda: self.child.is_over() and not proc.is_alive(pid), f"the server at {self.address} ends", 20)
        self.child.end()

    def do(self, command):
        """What systemd would do; the exit code."""
        self.done.append(command)
        if "reload" in command:
            os.kill(self.master(), signal.SIGHUP)
        elif "USR2" in command:
            os.kill(self.master(), signal.SIGUSR2)
        elif "restart" in command:
            self.end()
            self.start()
        else:
            return 127
        return 0


class Ssh(socketserver.UnixStreamServer):
    """The other end of the fake ssh; `breaks` has what happens to hosts in place of their command."""

    def __init__(self, hosts, path):
        path.unlink(missing_ok=True)
        self.hosts, self.breaks = {host.address: host for host in hosts}, {}
        super().__init__(str(path), None)

    def finish_request(self, link, _):
        address, command = link.makefile().read().split("\n", 1)
        host = self.hosts[address]
        link.sendall(str(self.breaks.get(address, lambda: host.do(command))()).encode())


def rolled(change, hosts, **settings):
    """Runs roll.sh; returns its exit code and what it prints."""
    env = {"PATH": f"{OUT / 'bin'}:{os.environ['PATH']}", "FAKE_SSH": str(OUT / "ssh"), "STATUS_PORT": str(hosts[0].status),
           "WELL": "1"} | settings
    done = subprocess.run(["sh", ROLL, change, *[host.address for host in hosts]], capture_output=True, text=True, check=False,
                          timeout=100, env=os.environ | env)
    return done.returncode, (done.stdout + done.stderr).strip()


def begun(host):
    """When the server of a host was started."""
    text = get(f"http://{host.address}:{host.status}/metrics")[1]
    return float(re.search(r"^stheno_start_time_seconds (\S+)", text, re.M)[1])


def turns(hosts, ssh):
    """(what, whether it held, detail) of each use of roll.sh."""
    for change, is_new in (("reload", False), ("upgrade", True), ("restart", True)):
        before = [begun(host) for host in hosts]
        code, told = rolled(change, hosts)
        changed = [one != begun(host) for one, host in zip(before, hosts)]
        yield change, code == 0 and changed == [is_new] * len(hosts) and told.count("is done") == len(hosts), told
    hosts[2].done.clear()
    ssh.breaks[hosts[1].address] = lambda: 255
    code, told = rolled("restart", hosts)
    yield "a host that ssh does not reach", code == 1 and not hosts[2].done and "fails" in told, told
    ssh.breaks[hosts[1].address] = lambda: hosts[1].end() or 0
    code, told = rolled("restart", hosts, PATIENCE="3")
    yield "a host that does not come back", code == 1 and not hosts[2].done and "no healthy new server 3 s" in told, told
    hosts[0].done.clear()
    code, told = rolled("restart", hosts)
    yield "a host that is away already", code == 1 and not hosts[0].done and "were not changed" in told, told


def roll(program, site):
    """Rows of roll.sh."""
    if missing := [name for name in ("sh", "curl") if not which(name)]:
        yield "roll.sh", None, f"not run: {' and '.join(missing)}: not here"
        return
    yield "roll.sh: sh -n", *said("sh", "-n", ROLL)
    (OUT / "bin").mkdir(parents=True, exist_ok=True)
    (OUT / "bin/ssh").write_text(FAKE_SSH)
    (OUT / "bin/ssh").chmod(0o755)
    # The program may be replaced while it is used, so the hosts have copies.
    copy = pathlib.Path(shutil.copy(program, OUT / "stheno"))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        status = probe.getsockname()[1]
    hosts = [Host(copy, site, f"127.0.0.{number}", status) for number in (2, 3, 4)]
    with contextlib.ExitStack() as stack:
        for host in hosts:
            host.start()
            stack.callback(host.end)
        ssh = stack.enter_context(Ssh(hosts, OUT / "ssh"))
        threading.Thread(target=ssh.serve_forever, daemon=True).start()
        stack.callback(ssh.shutdown)
        for what, held, told in turns(hosts, ssh):
            yield f"roll.sh: {what}", held, told.splitlines()[-1] if told else "no output"


def check(program, site):
    yield from drop_in(program)
    yield from roll(program, site)
