"""The servers that scripts/bench measures, each in its best honest configuration."""

import os
import resource
import signal
from dataclasses import dataclass, field

from lib import PROJECT, RELEASE
from lib.server import PortServer
from lib.setup import which

OUT = PROJECT / "target" / "bench"
ROOT = OUT / "root"
LOG = OUT / "access.log"
FILES = {"1k": 1 << 10, "10k": 10 << 10, "100k": 100 << 10, "10m": 10 << 20, "burn": 1 << 10}
# Every contestant can hold that many connections with the descriptors that one process may open.
MOST_IDLE = min(10_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2 - 1000)


@dataclass
class Contestant:
    name: str
    command: list
    config: str = ""
    tls: bool = False

    def is_here(self):
        return which(self.command[0] % {"bin": RELEASE})

    def start(self, workers=1, deferred=False, logs=False):
        """Starts the server; one worker gets CPU 0, several get both CPUs. `deferred`: the kernel holds a connection back
        until its first bytes are there. `logs`: stheno and its twin write a line for each response into a file."""
        path, of_ours = OUT / f"{self.name}.conf", "--access-log" in self.command
        words = [*self.command, *["--defer-accept"] * (deferred and of_ours)]

        def command_for(port):
            values = {"port": port, "root": ROOT, "workers": workers, "out": OUT, "bin": RELEASE, "config": path,
                      "deferred": "deferred" * deferred, "defer": int(deferred), "log": LOG if logs else "off"}
            if self.config:
                path.write_text(self.config % values)
            return ["taskset", "-c", "0" if workers == 1 else "0,1", *(word % values for word in words)]
        polite = signal.SIGINT if "%(bin)s" in self.command[0] else signal.SIGTERM
        return PortServer(command_for, OUT / f"{self.name}.err", polite=polite, tls=self.tls)


STHENO = ["%(bin)s/stheno", "--port", "%(port)s", "-r", "%(root)s", "-w", "%(workers)s", "--log", "warning",
          "--access-log", "%(log)s", "--keepalive-timeout", "600"]
TOKIO = ["%(bin)s/examples/tokio_httpd", *STHENO[1:], "--runtime"]
MINIMAL = ["--port", "%(port)s", "--size", "1024"]
NGINX = """daemon off; worker_processes %(workers)s; pid %(out)s/nginx.pid;
error_log %(out)s/nginx.error; worker_rlimit_nofile 20000; events { worker_connections 19000; }
http {
  access_log off; sendfile on; tcp_nopush on; open_file_cache max=1000 inactive=60s;
  keepalive_requests 1000000000; keepalive_timeout 600; default_type text/plain;
  server { listen 127.0.0.1:%(port)s backlog=4096 %(deferred)s; location / { root %(root)s; } }
}
"""
LIGHTTPD = """server.document-root = "%(root)s"
server.bind = "127.0.0.1"
server.port = %(port)s
server.max-keep-alive-requests = 1000000000
server.max-keep-alive-idle = 600
server.max-connections = 19000
server.max-fds = 20000
server.listen-backlog = 4096
server.event-handler = "linux-sysepoll"
server.network-backend = "sendfile"
server.max-worker = 0
server.defer-accept = %(defer)s
"""
H2O = """user: root
num-threads: %(workers)s
max-connections: 19000
http1-request-timeout: 600
error-log: %(out)s/h2o.error
listen: { host: 127.0.0.1, port: %(port)s }
hosts: { default: { paths: { "/": { file.dir: "%(root)s" } } } }
"""
OURS, TWINS = "stheno", ["tokio-prefork", "tokio-threads"]
CONTESTANTS = [
    Contestant("stheno", STHENO),
    *[Contestant(name, [*TOKIO, name.removeprefix("tokio-")]) for name in TWINS],
    Contestant("floor", ["%(bin)s/examples/floor", *MINIMAL]),
    Contestant("hyper", ["%(bin)s/examples/hyper_hello", *MINIMAL]),
    Contestant("nginx", ["nginx", "-c", "%(config)s", "-p", "%(out)s"], NGINX),
    Contestant("lighttpd", ["lighttpd", "-D", "-f", "%(config)s"], LIGHTTPD),
    Contestant("h2o", ["h2o", "-c", "%(config)s"], H2O),
]
PEERS = ["nginx", "lighttpd", "h2o"]
EVERYONE = [OURS, *TWINS, "floor", "hyper", *PEERS]
FILE_SERVERS = [OURS, *TWINS, *PEERS]
# The server in the same rounds, without what the row adds to the plain load: idle connections, a condition, or a log.
PLAIN = "stheno plain"
GROUPS = {"best peer": PEERS, "floor": ["floor"], "hyper": ["hyper"], "plain": [PLAIN]}


@dataclass
class Row:
    """One kind of work, and the contestants that can do it."""

    name: str
    what: str
    contestants: list
    # The largest ratio of CPU time to each of GROUPS.
    bars: dict = field(default_factory=dict)
    path: str = "/1k"
    wrk: tuple = ("-c64",)
    header: str = ""
    idle: int = 0
    workers: int = 1
    deferred: bool = False
    logs: bool = False


ROWS = [
    Row("1k", "1 KiB, 64 connections", EVERYONE, {"floor": 1.12, "best peer": 0.87}),
    Row("1k-w2", "1 KiB, 64 connections, 2 workers", FILE_SERVERS, workers=2),
    Row("1000", "1 KiB, 1,000 connections", EVERYONE, {"hyper": 1.0}, wrk=("-c1000",)),
    Row("pipelined", "1 KiB, 16 pipelined", EVERYONE, {"hyper": 0.8}, wrk=("-c64", "-s", f"{OUT}/pipelined.lua")),
    Row("close", "1 KiB, a new connection each", [OURS, *TWINS, "hyper", *PEERS], {"best peer": 0.95},
        header="Connection: close"),
    Row("close-deferred", "the same, accepted with the first bytes", FILE_SERVERS, {"best peer": 0.95},
        header="Connection: close", deferred=True),
    Row("304", "304, 64 connections", [OURS, PLAIN, *PEERS], {"plain": 1.0}, header="If-Modified-Since: "),
    Row("log", "1 KiB, 64 connections, a line for each in a file", [OURS, PLAIN], {"plain": 1.05}, logs=True),
    Row("10k", "10 KiB, 64 connections", [OURS, *PEERS], {"best peer": 0.95}, "/10k"),
    Row("100k", "100 KiB, 64 connections", FILE_SERVERS, {"best peer": 0.95}, "/100k"),
    Row("10m", "10 MiB, 8 connections", [OURS, *PEERS], {"best peer": 1.0}, "/10m", ("-c8",)),
    Row("idle-1000", "1 KiB beside 1,000 idle connections", FILE_SERVERS, idle=1000),
    Row("idle-most", f"1 KiB beside {MOST_IDLE:,} idle connections", [OURS, PLAIN, TWINS[0], *PEERS], {"plain": 1.05},
        idle=MOST_IDLE),
]
PIPELINED = """init = function(args) batch = string.rep(wrk.format(nil, wrk.path), 16) end
request = function() return batch end
"""


def make_root():
    ROOT.mkdir(parents=True, exist_ok=True)
    for name, size in FILES.items():
        (ROOT / name).write_bytes(b"x" * size)
        os.utime(ROOT / name, (0, 10**9))  # a file that changed lately is copied, not sent by the kernel
    (OUT / "pipelined.lua").write_text(PIPELINED)
