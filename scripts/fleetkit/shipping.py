"""The recipes for logs, tried: a server under load, rsyslog, logrotate, and a collector on loopback that reads each line."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess

from lib import PROJECT, Trouble, setup, until
from lib.server import STHENO_SAYS, Child, Server
from lib.setup import which

from . import RECIPES
from .trying import OUT, local, said

NEEDED = {"rsyslogd": "rsyslog", f"/usr/lib/{os.uname().machine}-linux-gnu/rsyslog/omrelp.so": "rsyslog-relp",
          "logrotate": "logrotate"}
FOLDER = OUT / "logs"
# The most lines that omrelp sends before the first is acknowledged.
WINDOW = 128
# Targets and fields that a format of lines could trip over; each is sent as it is.
ODD = [b"/", b"/%22quote%22", b"/a?b=\\c&d=\"e\"", "/\u00e4\U0001f600".encode(),
       b"/\xff\xfe", b"/missing%0a", b"/" + b"x" * 3000]
AGENTS = [b"plain", b"a \"quoted\" one \\", "\u00fc\U0001f600".encode(), b"\x80\x81", b"y" * 3000]


def documented():
    """The members of the JSON format, in the order of the table in docs/SERVING.md."""
    part = (PROJECT / "docs/SERVING.md").read_text(encoding="utf-8").split("## Formats of the access log")[1].split("\n\n")
    table = next(one for one in part if one.startswith("| member"))
    return [name for row in re.findall(r"^\| (`.*?) \|", table, re.M) for name in re.findall(r"`(\w+)`", row)]


def requests(port, count, ids):
    """Sends requests with odd targets and fields, each with a number of its own."""
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        reader = client.makefile("rb")
        for number in range(count):
            name = f"line-{len(ids)}"
            ids.append(name)
            client.sendall(b"GET %s HTTP/1.1\r\nHost: shipping\r\nUser-Agent: %s\r\nX-Request-ID: %s\r\n\r\n" % (
                ODD[number % len(ODD)], AGENTS[number % len(AGENTS)], name.encode()))
            head = b"".join(iter(reader.readline, b"\r\n"))
            if not head:
                raise Trouble(f"the server does not answer the request {name}")
            reader.read(int(re.search(rb"Content-Length: (\d+)", head)[1]))


def configure(port):
    """Writes two configurations of rsyslog, whose only part is a recipe, for places of this machine."""
    changes = {"rsyslog.conf": {'File="/var/log/stheno/access.json"': f'File="{FOLDER}/access.json"',
                                'target="store" port="2514"': f'target="127.0.0.1" port="{port}"'},
               "rsyslog-store.conf": {'string="/var/log/stheno/': f'string="{FOLDER}/',
                                      'port="2514"': f'address="127.0.0.1" port="{port}"'}}
    for name, texts in changes.items():
        (FOLDER / f"{name}.d").mkdir()
        text = local((RECIPES / name).read_text(encoding="utf-8"), texts)
        (FOLDER / name).write_text(f'global(workDirectory="{FOLDER}/{name}.d" net.enableDNS="off")\n{text}')


def rsyslog(name):
    """rsyslog with one of the configurations."""
    return Child(["rsyslogd", "-n", "-f", FOLDER / name, "-i", FOLDER / f"{name}.pid"], FOLDER / f"{name}.log", signal.SIGTERM)


def arrived():
    """The lines that the collector has written."""
    return b"".join(path.read_bytes() for path in sorted(FOLDER.glob("fleet-*.json"))).splitlines()


def rotated(pidfile):
    """Rotates by the recipe; the command for systemd is a signal to the master here."""
    # As root logrotate refuses a folder of another user's, which a checkout may be.
    owner = "\n    su root root" if os.geteuid() == 0 else ""
    text = local((RECIPES / "logrotate.conf").read_text(encoding="utf-8"), {
        "/var/log/stheno/access.json {": f"{FOLDER}/access.json {{{owner}",
        "systemctl kill --kill-whom=main --signal=USR1 stheno": f"kill -USR1 $(cat {pidfile})"})
    (FOLDER / "logrotate.conf").write_text(text)
    (FOLDER / "logrotate.conf").chmod(0o644)
    done = subprocess.run(["logrotate", "--force", "--state", FOLDER / "logrotate.state", FOLDER / "logrotate.conf"],
                          capture_output=True, text=True, check=False)
    if done.returncode or not (FOLDER / "access.json.1").exists():
        raise Trouble(f"logrotate fails: {(done.stderr or done.stdout).strip()}")


def mistakes(lines, ids, wanted):
    """What is wrong with the lines that have arrived, and how many are there twice."""
    found, seen = [], []
    for line in lines:
        try:
            members = json.loads(line)
        except ValueError as error:
            found.append(f"{error}: {line[:80]!r}")
            continue
        if list(members) != ["server", *wanted]:
            found.append(f"the members of a line are {', '.join(members)}")
        if members.get("server") != socket.gethostname().partition(".")[0]:
            found.append(f"the server of a line is {members.get('server')}")
        seen.append(members.get("request_id"))
    found += [f"{len(set(ids) - set(seen))} lines are missing"] if set(ids) - set(seen) else []
    # RELP sends again what was not acknowledged.
    twice = len(seen) - len(set(seen))
    found += [f"{twice} lines are there twice"] if twice > WINDOW else []
    return found, twice


def shipped(program, site):
    """A server writes lines while the collector is away, comes, is killed and comes again, a log is rotated, and rsyslog is
    restarted; returns mistakes and counts."""
    ids, pidfile = [], FOLDER / "pid"

    def wait(what):
        until(lambda: len(arrived()) >= len(ids), what, 20, 0.05)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Server(
            [program, "-r", site, "--access-log", FOLDER / "access.json", "--access-log-format", "json", "-w", "2", "--pidfile",
             pidfile], FOLDER / "server.log", STHENO_SAYS))
        requests(server.port, 500, ids)
        with rsyslog("rsyslog.conf"):
            until(lambda: "could not connect" in (FOLDER / "rsyslog.conf.log").read_text(),
                  "rsyslog notices that there is no collector", 15)
            with rsyslog("rsyslog-store.conf") as store:
                wait("the lines of before arrive")
                requests(server.port, 500, ids)
                rotated(pidfile)
                requests(server.port, 500, ids)
                wait("the lines around the rotation arrive")
                store.process.kill()
            requests(server.port, 500, ids)
            with rsyslog("rsyslog-store.conf"):
                wait("the lines beside a restart of the collector arrive")
        requests(server.port, 500, ids)
        with rsyslog("rsyslog-store.conf"), rsyslog("rsyslog.conf"):
            wait("the lines beside a restart of rsyslog arrive")
    wrong, twice = mistakes(arrived(), ids, documented())
    return wrong, f"{len(ids):,} lines, {twice} of them twice"


def check(program, site):
    """Rows of the recipes for logs."""
    setup.install(NEEDED)
    if missing := [name for name in NEEDED if not which(name)]:
        yield "rsyslog.conf, logrotate.conf", None, f"not run: {' and '.join(missing)}: not here"
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        configure(probe.getsockname()[1])
    for name in ("rsyslog.conf", "rsyslog-store.conf"):
        fine, detail = said("rsyslogd", "-N1", "-f", FOLDER / name)
        yield f"{name}: rsyslogd -N1", fine, "no error" if fine else detail
    try:
        wrong, counts = shipped(program, site)
    except Trouble as trouble:
        wrong = [str(trouble)]
    yield ("rsyslog.conf, logrotate.conf: each line arrives, as JSON with the members of docs/SERVING.md", not wrong,
           "; ".join(wrong[:3]) or f"{counts}; the collector away and killed, a rotation, a restart of rsyslog")
