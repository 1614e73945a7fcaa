"""What a front passes on: the address of the client, TLS and HTTP/2; and upgrades behind nginx."""

from lib import Trouble

from .load import summary
from .servers import Nginx


def fronts(trials):
    """HAProxy and nginx in front: addresses, TLS, and upgrades behind nginx."""
    with trials.fleet(options=("--access-log", "/run/access.log")) as fleet:
        trials.row("fronts", "HAProxy, by curl", "all files", "0 wrong", fetch(fleet, "http://lb"))
        addressed(trials, fleet, "HAProxy, by the PROXY protocol")
    with trials.fleet(options=("--access-log", "/run/access.log"), front=Nginx) as fleet:
        count = trials.some(200, 10)
        by_tls = "--http2", "--cacert", fleet.balancer.certificate
        wrong = [one for one in trials.counted(count) if not fetch(fleet, "https://lb", *by_tls)]
        trials.row("fronts", "nginx with TLS and HTTP/2, by curl", f"{count} rounds of all files, {len(wrong)} wrong", "0 wrong",
                   not wrong)
        addressed(trials, fleet, "nginx, by X-Forwarded-For")
        behind_nginx(trials, fleet)


def fetch(fleet, base, *options):
    """Fetches every file by one curl on load1; returns whether HTTP and all bytes are right."""
    contents = fleet.trials.contents
    urls = (f"{base}/{name}" for name in contents)
    done = fleet.net.load1.output("curl", "-sS", "--fail", "-w", "%{stderr}%{http_version} ", *options, *urls)
    versions = set(done.stderr.decode().split())
    return done.stdout == b"".join(contents.values()) and versions == ({"2"} if "--http2" in options else {"1.1"})


def addressed(trials, fleet, how):
    """The access log has the address of the client."""
    lines = [line for web in fleet.webs for line in (web.root / "run/access.log").read_text().splitlines()]
    clients = {line.split()[0] for line in lines}
    trials.row("fronts", f"clients in the access log: {how}", f"{len(lines)} lines of {', '.join(sorted(clients))}",
               "the client, and not the front", clients == {fleet.net.load1.address})


def behind_nginx(trials, fleet):
    """Rolling upgrades behind a front without checks."""
    load = fleet.load()
    for name, way in [("HUP", "reload"), ("USR2", "upgrade"), ("stop and start", "restart")]:
        for _ in range(trials.some(5, 1)):
            for web in fleet.webs:
                getattr(web, way)()
                load.wait_for_more(200)
    seen = load.stop()
    if not seen.took:
        raise Trouble("no answer through nginx")
    trials.row("fronts", f"{len(fleet.webs)} hosts upgraded behind nginx, by HUP, USR2, and stop and start", summary(seen),
               "0 failed", not seen.failures, seen)


