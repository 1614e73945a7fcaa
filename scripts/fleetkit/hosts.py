"""Hosts that are network namespaces with a mount namespace each, on one bridge.

The script starts itself again in namespaces of its own for networks, mounts and processes: whatever it makes ends with it,
also after kill -9, and nothing outside is touched.

    bridge 10.77.0.1 ── lb .2 ── web1 … webN .11 … ── load1, load2 .21, .22 ── store .31
"""

import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import sys

from lib import ENDING, Missing, Trouble, proc, until
from lib.server import PR_SET_PDEATHSIG, Child
from lib.setup import which

from .cable import Cable

INSIDE = "STHENO_FLEET_INSIDE"
NETWORK = "10.77.0"
LIBC = ctypes.CDLL(None, use_errno=True)


def numbers(webs):
    """Host → the last byte of its address."""
    return {"lb": 2} | {f"web{number}": 10 + number for number in range(1, webs + 1)} | {"load1": 21, "load2": 22, "store": 31}


def isolation(programs):
    """The words that start a program in namespaces of its own; raises `Missing` where that is not allowed, or one of the
    `programs` is missing."""
    if missing := [name for name in ["unshare", *programs] if not which(name)]:
        raise Missing(f"not installed here: {', '.join(missing)}")
    words = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    for more in [[], ["--user", "--map-root-user"]]:
        if subprocess.run([*words, *more, "ip", "link", "add", "name", "br0", "type", "bridge"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return [*words, *more]
    raise Missing("this user may not make network namespaces: run it as root, or allow user namespaces")


def is_inside():
    """Whether this is the run inside the namespaces."""
    return INSIDE in os.environ


def run_inside(words):
    """Runs this script again in namespaces of its own; returns its exit code."""
    child = subprocess.Popen([*words, sys.executable, *sys.argv], env=os.environ | {INSIDE: "1"},
                             preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))

    def pass_on(number, _):
        for pid in proc.children(child.pid):
            os.kill(pid, number)
    for number in ENDING:
        signal.signal(number, pass_on)
    return child.wait()


def settle():
    """The first acts in new namespaces."""
    # Process ids of the outside are gone, so is what the outside has in /run: sockets of its own balancers and stores.
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def ip(*words):
    done = subprocess.run(["ip", *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Trouble(f"ip {' '.join(map(str, words))}: {done.stderr.strip()}")


class Host:
    """One host: a process that keeps its namespaces, an address, and a link that can be cut."""

    # The processes of all hosts that a `Child` waits for; of others we are the parent as process 1 of the namespace.
    ours = set()

    def __init__(self, name, number, folder, stack):
        self.name, self.address, self.folder = name, f"{NETWORK}.{number}", folder / name
        self.folder.mkdir(parents=True)
        self.stack, self.cable = stack, None
        # Names below /srv and /run are those of the host alone.
        keep = "mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /srv && hostname {} && echo up && exec sleep infinity"
        self.keeper = self.child(["unshare", "--net", "--mount", "--uts", "sh", "-c", keep.format(name)], "keeper")
        until(lambda: "up" in self.log("keeper").read_text(), f"{name} has namespaces")

    def connect(self, has_cable):
        """Connects the host with the bridge: by a pair of interfaces, or by a cable that can lose and delay."""
        pid = self.keeper.pid
        if has_cable:
            self.cable = self.stack.enter_context(Cable(self, self.log("cable")))
        else:
            ip("link", "add", "name", self.name, "type", "veth", "peer", "name", "eth0", "netns", pid)
            # The kernel removes the links of a namespace that has ended later, and another fleet may take the name at once.
            self.stack.callback(ip, "link", "delete", self.name)
        ip("link", "set", self.name, "master", "br0", "up")
        for words in ("link set lo up", f"addr add {self.address}/24 dev eth0", "link set eth0 up"):
            self.check("ip", *words.split())

    def log(self, name):
        return self.folder / f"{name}.log"

    def child(self, words, name, **options):
        one = self.stack.enter_context(Child([str(word) for word in words], self.log(name), **options))
        Host.ours.add(one.pid)
        return one

    def inside(self, *words):
        """The words of a command in the namespaces of this host."""
        return ["nsenter", f"--target={self.keeper.pid}", "--net", "--mount", "--uts", "--", *map(str, words)]

    def run(self, name, *words, **options):
        """Starts a program on this host, whose output goes to the file NAME.log of the host."""
        return self.child(self.inside(*words), name, **options)

    def output(self, *words, timeout=60):
        """Runs a program to its end; returns what it was and printed, in bytes."""
        return subprocess.run(self.inside(*words), capture_output=True, check=False, timeout=timeout)

    def check(self, *words):
        """Runs a program to its end; returns its text. Raises `Trouble` if it fails."""
        done = self.output(*words)
        if done.returncode:
            raise Trouble(f"{words[0]} on {self.name}: {(done.stderr or done.stdout).decode(errors='replace').strip()}")
        return done.stdout.decode()

    def become(self):
        """Moves this thread into the network of the host: its sockets belong there from now on."""
        with open(f"/proc/{self.keeper.pid}/ns/net", encoding="ascii") as namespace:
            if LIBC.setns(namespace.fileno(), 0):
                raise OSError(ctypes.get_errno(), f"no entry into the network of {self.name}")

    def cut(self):
        """Takes the host off the network: what it sends, and what is sent to it, is lost without a word."""
        ip("link", "set", self.name, "down")

    def join(self):
        ip("link", "set", self.name, "up")


class Network(contextlib.ExitStack):
    """All hosts of a fleet, until the block ends."""

    def __init__(self, folder, webs=3, cables=(), store=False):
        super().__init__()
        shutil.rmtree(folder, ignore_errors=True)
        self.folder, self.cables = folder, cables
        self.numbers = {name: number for name, number in numbers(webs).items() if store or name != "store"}
        self.hosts = {}

    def __enter__(self):
        super().__enter__()
        self.folder.mkdir(parents=True)
        names = self.folder / "hosts"
        names.write_text("127.0.0.1 localhost\n" + "".join(
            f"{NETWORK}.{number} {name}\n" for name, number in self.numbers.items()))
        ip("link", "add", "name", "br0", "type", "bridge")
        ip("addr", "add", f"{NETWORK}.1/24", "dev", "br0")
        ip("link", "set", "br0", "up")
        self.callback(ip, "link", "delete", "br0")
        subprocess.run(["mount", "--bind", names, "/etc/hosts"], check=True)
        self.callback(subprocess.run, ["umount", "/etc/hosts"], check=True)
        for name, number in self.numbers.items():
            host = self.hosts[name] = Host(name, number, self.folder, self)
            host.connect(name in self.cables)
        return self

    def __getattr__(self, name):
        try:
            return self.__dict__["hosts"][name]
        except KeyError as error:
            raise AttributeError(name) from error

    @property
    def webs(self):
        return [host for name, host in self.hosts.items() if name.startswith("web")]


def copied(source, target, *options):
    """Copies a folder as it is done between hosts: times are kept, inodes are not."""
    pathlib.Path(target).mkdir(parents=True, exist_ok=True)
    subprocess.run(["rsync", "-a", "--delete", *options, f"{source}/", f"{target}/"], check=True)
