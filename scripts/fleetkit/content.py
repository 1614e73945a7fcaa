"""Shared content, tried: a release is copied to two hosts by `rsync -a` and switched by a link while clients ask both."""

import contextlib
import http.client
import shutil
import socket
import subprocess
import threading
import time

from lib import Trouble, request, until
from lib.server import STHENO_SAYS, Server
from lib.setup import which

from .trying import OUT

FOLDER = OUT / "content"
SIZES = {"small": 1_000, "large": 200_000, "huge": 24_000_000}
VALIDATORS = "ETag", "Last-Modified"


def release(version):
    """A build: each file has one letter, but `same`, which no release changes."""
    source = FOLDER / "build"
    source.mkdir(parents=True, exist_ok=True)
    for name, size in SIZES.items():
        (source / name).write_bytes(version * size)
    if not (source / "same").exists():
        (source / "same").write_bytes(b"=" * 20_000)


def copied(host, number):
    """Copies the build to a new folder of a host; files that have not changed are links to those of the release before. Without
    --checksum rsync takes a file for unchanged that has the size and the second of the one before."""
    releases = FOLDER / host / "releases"
    releases.mkdir(parents=True, exist_ok=True)
    before = [f"--link-dest=../{number - 1}"] if number > 1 else []
    subprocess.run(["rsync", "-a", "--checksum", *before, f"{FOLDER}/build/", f"{releases}/{number}/"], check=True)


def switch(host, number):
    """Makes the link lead to another release, in one step."""
    link = FOLDER / host / "next"
    link.symlink_to(f"releases/{number}")
    link.rename(FOLDER / host / "www")


class Clients:
    """Asks a server for one file after the other, on one connection, and keeps what is wrong."""

    def __init__(self, port):
        self.port, self.wrong, self.count, self.seen, self.over = port, [], 0, {}, False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as client:
                while not self.over:
                    for name in ("small", "large", "same"):
                        client.request("GET", f"/{name}")
                        answer = client.getresponse()
                        self.look(name, answer, answer.read())
                    time.sleep(0.002)
        except (OSError, http.client.HTTPException) as error:
            self.wrong.append(f"{type(error).__name__}: {error}")

    def look(self, name, answer, body):
        self.count += 1
        letters = bytes(set(body[:200_000]))
        if answer.status != 200 or len(letters) != 1 or len(body) != SIZES.get(name, 20_000):
            self.wrong.append(f"{name}: {answer.status}, {len(body)} bytes with {letters[:3]!r}")
        # One tag for each version of a file, and one version for each tag.
        elif self.seen.setdefault((name, letters), answer.headers["ETag"]) != answer.headers["ETag"]:
            self.wrong.append(f"{name}: two tags for {letters!r}")

    def versions(self, name):
        return {letters for (one, letters) in self.seen if one == name}


def validators(port, name, **fields):
    """Status and validators of a response."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as client:
        client.request("GET", f"/{name}", headers=fields)
        answer = client.getresponse()
        answer.read()
        return answer.status, *[answer.headers[one] for one in VALIDATORS]


def agree(ports):
    """Files whose validators differ between the hosts, or are missing."""
    found = {name: {validators(port, name) for port in ports} for name in [*SIZES, "same"]}
    return [f"{name}: {sorted(map(str, seen))}" for name, seen in found.items() if len(seen) > 1 or None in next(iter(seen))]


def begun(port):
    """A client that has begun to download, and does not read on."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    client.settimeout(20)
    client.connect(("127.0.0.1", port))
    client.sendall(request("/huge", "Connection: close"))
    return client, client.recv(1 << 10)


def switched(ports, hosts, clients):
    """Switches one host after the other; returns what is wrong, and the longest time until the new release was seen."""
    wrong, longest = [], 0.0
    old = validators(ports[0], "same")
    for host, port, client in zip(hosts, ports, clients):
        download, first = begun(port)
        with contextlib.closing(download):
            switch(host, 2)
            longest = max(longest, until(lambda: b"2" in client.versions("small") and b"2" in client.versions("large"),
                                         f"{host} serves the new release", 15))
            rest = first + b"".join(iter(lambda: download.recv(1 << 20), b""))
        if rest.partition(b"\r\n\r\n")[2] != b"1" * SIZES["huge"]:
            wrong.append(f"{host}: the download across the switch is not the old file, whole")
        if validators(port, "same", **{"If-None-Match": old[1]})[0] != 304:
            wrong.append(f"{host}: a file that has not changed is no 304 after the switch")
    return wrong, longest


def check(program, site):
    """Rows; the content is our own, so `site` is not used."""
    del site
    if not which("rsync"):
        yield "content: rsync -a and a switched link", None, "not run: rsync is not here"
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    hosts = ["web1", "web2"]
    release(b"1")
    for host in hosts:
        copied(host, 1)
        switch(host, 1)
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(Server([program, "-r", FOLDER / host / "www", "-w", "2", "--access-log", "off"],
                                            FOLDER / f"{host}.log", STHENO_SAYS)).port for host in hosts]
        wrong = agree(ports)
        yield ("content: copies by rsync -a have the same validators", not wrong,
               "; ".join(wrong) or f"{len(SIZES) + 1} files, 2 hosts")
        clients = [Clients(port) for port in ports]
        try:
            release(b"2")
            for host in hosts:
                copied(host, 2)
            wrong, longest = switched(ports, hosts, clients)
            wrong += agree(ports)
        except (Trouble, OSError, subprocess.CalledProcessError) as error:
            wrong, longest = [str(error)], 0
        for client in clients:
            client.over = True
            client.thread.join(20)
            wrong += client.wrong
    seen = f"{sum(client.count for client in clients):,} responses, seen after {longest * 1000:.0f} ms at most"
    yield ("content: a switched link under load: each response is one release, whole", not wrong,
           "; ".join(wrong[:3]) or f"{seen}, a download across it is whole")
