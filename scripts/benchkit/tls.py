"""`scripts/bench tls`: what TLS costs, beside nginx and h2o, with the same key, the same version and the same cipher, which is the
first choice of the clients.

A kept connection is wrk's. New connections are made here, by Python's ssl, with and without the ticket of the first one: each
asks for 1 KiB and closes."""

import re
import socket
import ssl
import subprocess

from lib import request, setup
from lib.setup import which

from .contestants import H2O, NGINX, OUT, STHENO, Contestant, make_root
from .measure import cost, in_rounds, median, ratios_to_best
from .report import PACKAGES, machine, publish, spread

CERTIFICATE, KEY = OUT / "tls.crt", OUT / "tls.key"
CIPHER = "TLS_AES_256_GCM_SHA384"
NGINX_TLS = NGINX.replace("listen 127.0.0.1:%(port)s", "listen 127.0.0.1:%(port)s ssl").replace(
    "server {", "server { ssl_certificate %(out)s/tls.crt; ssl_certificate_key %(out)s/tls.key; ssl_protocols TLSv1.3; "
    f"ssl_conf_command Ciphersuites {CIPHER}; ssl_session_cache shared:a:10m; ")
H2O_TLS = H2O.replace("port: %(port)s }", "port: %(port)s, ssl: { certificate-file: %(out)s/tls.crt, key-file: %(out)s/tls.key, "
                      "minimum-version: TLSv1.3, ocsp-update-interval: 0, neverbleed: OFF } }")
OURS = "stheno"
CONTESTANTS = [
    Contestant(OURS, [*STHENO, "--tls-cert", str(CERTIFICATE), "--tls-key", str(KEY)], tls=True),
    Contestant("nginx", ["nginx", "-c", "%(config)s", "-p", "%(out)s"], NGINX_TLS, tls=True),
    Contestant("h2o", ["h2o", "-c", "%(config)s"], H2O_TLS, tls=True),
]
# Name → title, path and connections of wrk; None: new connections.
ROWS = {
    "tls-1k": ("1 KiB, 32 kept connections", "/1k", 32),
    "tls-100k": ("100 KiB, 32 kept connections", "/100k", 32),
    "tls-10m": ("10 MiB, 4 kept connections", "/10m", 4),
    "tls-new": ("a new connection, full handshake", "/1k", None),
    "tls-resumed": ("a new connection, resumed", "/1k", None),
}


def bench(options):
    setup.install({name: PACKAGES[name] for name in ("nginx", "h2o", "wrk")})
    setup.build("stheno")
    make_root()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                    "-keyout", KEY, "-out", CERTIFICATE, "-subj", "/CN=localhost"], check=True, capture_output=True)
    KEY.chmod(0o600)
    here = {one.name: one for one in CONTESTANTS if which(one.command[0]) or one.name == OURS}
    wanted = options.rows.split(",") if options.rows else list(ROWS)
    results = {name: in_rounds(ROWS[name][0], list(here), options.rounds,
                               lambda one, name=name: measure(here[one], name, options.seconds), 1) for name in wanted}
    publish("tls", "scripts/bench tls", as_text(results, options), options, results)


def measure(contestant, name, seconds):
    _, path, kept = ROWS[name]
    with contestant.start() as server:
        url = f"https://127.0.0.1:{server.port}{path}"

        def wrk(seconds):
            command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{kept}", f"-d{seconds}", url]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout

        def connections(count):
            return f"{connect(server.port, count, resumes=name == 'tls-resumed')} requests in"
        if kept:
            wrk(1)
            return cost(server.pid, lambda: wrk(seconds))
        connections(20)
        return cost(server.pid, lambda: connections(400 * seconds))


def connect(port, count, resumes):
    """Makes connections one after the other; returns how many. Each that is to be resumed is, or this fails."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode, context.minimum_version = False, ssl.CERT_NONE, ssl.TLSVersion.TLSv1_3
    session, payload = None, request("/1k", "Connection: close")
    for number in range(count):
        with socket.create_connection(("127.0.0.1", port), 10) as plain, \
                context.wrap_socket(plain, session=session, suppress_ragged_eofs=True) as client:
            client.sendall(payload)
            answer = b""
            while piece := client.recv(65536):
                answer += piece
            assert re.match(rb"HTTP/1.1 200 ", answer) and len(answer) > 1024, answer[:100]
            assert client.cipher()[0] == CIPHER and client.session_reused == (resumes and number > 0), client.cipher()
            if resumes:
                session = client.session
    return count


def as_text(results, options):
    names = [one.name for one in CONTESTANTS if all(one.name in rounds for rounds in results.values())]
    lines = [f"CPU µs of the server for each request, TLS 1.3 with {CIPHER} and a P-256 certificate; {options.rounds} rounds, in "
             f"which all take turns; the ratio to the best peer is that of each round. {machine()}", "",
             f"| load | {' | '.join(names)} | ratio | bar |", "|---" * (len(names) + 3) + "|"]
    for name, rounds in results.items():
        found = spread(ratios_to_best(rounds[OURS], [rounds[one] for one in names if one != OURS]), 2)
        figures = " | ".join(f"{median(rounds[one], 'cpu'):.1f}" for one in names)
        lines.append(f"| {ROWS[name][0]} | {figures} | {found} | ≤ 1.00 |")
    return "\n".join(lines) + "\n"
