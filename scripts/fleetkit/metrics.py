"""Prometheus, its alerts and the dashboard, tried: promtool's checks, then a Prometheus that scrapes two servers and HAProxy."""

import contextlib
import http.client
import json
import re
import shutil
import signal
import socket
import urllib.error
import urllib.parse
import urllib.request

from lib import PROJECT, Missing, Trouble, until
from lib.server import STHENO_SAYS, PortServer, Server
from lib.setup import which

from . import RECIPES, dashboard
from .trying import OUT, STATUS_SAYS, in_venv, said

# Made by Grafana of the schema of version 10.1; the number before the `!` is theirs.
PACKAGES = ["grafana-foundation-sdk==1769699998!10.1.0"]
CASES = PROJECT / "tests" / "fleet" / "alerts_test.yml"
# What Grafana puts in for variables.
VALUES = {"$job": "stheno", "$instance": ".*", "$balancer": "haproxy", "$__rate_interval": "10s"}


def static():
    """What can be said of the files alone."""
    found = dashboard.mistakes(json.loads(dashboard.FILE.read_text(encoding="utf-8")))
    if dashboard.FILE.read_text(encoding="utf-8") != dashboard.text():
        found.append("the file is not what `python3 -m fleetkit.dashboard` writes")
    count = sum(len(row) for row in dashboard.ROWS.values())
    yield ("grafana.json: places, queries, variables, metrics of docs/OPERATING.md", not found,
           "; ".join(found) or f"{count} panels")
    try:
        found = in_venv("grafana", PACKAGES, "grafana_model.py", dashboard.FILE)
        yield "grafana.json: the classes of Grafana's schema", not found, "; ".join(found[:3]) or "know every member of it"
    except Missing as missing:
        yield "grafana.json: the classes of Grafana's schema", None, f"not run: {missing}"
    if not which("promtool"):
        yield "prometheus.yml, alerts.yml", None, "not run: promtool is not here (Debian's package prometheus)"
        return
    for name, command in (("prometheus.yml: promtool check config", ("check", "config", RECIPES / "prometheus.yml")),
                          ("alerts.yml: promtool check rules", ("check", "rules", RECIPES / "alerts.yml")),
                          ("alerts.yml: promtool test rules", ("test", "rules", CASES))):
        yield name, *said("promtool", *command)


def ports(server, log):
    """The place of a server's status page, as Prometheus has it."""
    return f"127.0.0.1:{re.findall(STATUS_SAYS, log.read_text(), re.M)[0]}"


def replaced(text, old, new, times):
    """`text` with a pattern replaced that has to be there so often."""
    changed, found = re.subn(old, new, text, flags=re.M)
    if found != times:
        raise Trouble(f"a recipe has {old!r} {found} times, not {times}")
    return changed


def balancer_config(web, exporter, hosts):
    """haproxy.cfg on loopback: the ports of its frontends, and (port, status port) of each server."""
    text = (RECIPES / "haproxy.cfg").read_text(encoding="utf-8")
    text = replaced(text, r"^ *stats socket .*$", "", 1)
    text = replaced(text, r"bind :80$", f"bind 127.0.0.1:{web}", 1)
    text = replaced(text, r"bind :8405$", f"bind 127.0.0.1:{exporter}", 1)
    names = re.findall(r"^ *server (\w+)", text, re.M)
    # A server for each port that is there; the names of the others have no address here.
    for name, place in zip(names, [*hosts, *[None] * len(names)]):
        words = f"    server {name} 127.0.0.1:{place[0]} port {place[1]}" if place else ""
        text = replaced(text, rf"^ *server {name} .*$", words, 1)
    return text


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def prometheus_config(statuses, exporter):
    """prometheus.yml with other places and a scrape each second."""
    text = (RECIPES / "prometheus.yml").read_text(encoding="utf-8")
    text = replaced(text, r"_interval: 15s$", "_interval: 1s", 2)
    text = replaced(text, r"- web3:9100\n", "", 1)
    for name, place in [("web1:9100", statuses[0]), ("web2:9100", statuses[1]), ("lb:8405", f"127.0.0.1:{exporter}")]:
        text = replaced(text, f"- {name}", f"- {place}", 1)
    return text


class Prometheus(PortServer):
    """Debian's Prometheus with a configuration of its own folder."""

    def __init__(self, config):
        shutil.rmtree(OUT / "prometheus", ignore_errors=True)
        (OUT / "prometheus").mkdir(parents=True)
        shutil.copy(RECIPES / "alerts.yml", OUT / "prometheus")
        (OUT / "prometheus" / "prometheus.yml").write_text(config)
        super().__init__(lambda port: [
            "prometheus", f"--config.file={OUT}/prometheus/prometheus.yml", f"--storage.tsdb.path={OUT}/prometheus/data",
            f"--web.listen-address=127.0.0.1:{port}"], OUT / "prometheus.log", "/-/ready", 30, signal.SIGTERM)

    def ask(self, path, **query):
        """`data` of an answer; raises `Trouble` with the error of Prometheus."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise Trouble(f"{json.load(error).get('error')}") from error
        except OSError as error:
            raise Trouble(f"Prometheus does not answer: {error} (target/fleet/recipes/prometheus.log)") from error

    def series(self, expression):
        return self.ask("query", query=expression)["result"]


def load(port, count):
    """Requests on one connection through the balancer, some for a file that is missing."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as client:
        for number in range(count):
            client.request("GET", "/" if number % 5 else "/missing")
            client.getresponse().read()


def substituted(expression):
    for name, value in VALUES.items():
        expression = expression.replace(name, value)
    return expression


def values_of(board):
    """(name, expression) of the variables whose values are those of a label; the series have to have it."""
    queries = [(one["label"], one["query"]["query"]) for one in board["templating"]["list"] if one["type"] == "query"]
    for label, query in queries:
        metric, of = re.fullmatch(r"label_values\((.*), (\w+)\)", query).groups()
        yield f"the variable {label}", f'count by ({of}) ({metric}) and count by ({of}) ({{{of}!=""}})'


def panels_of(prometheus):
    """What is wrong with the queries of the dashboard."""
    found, board = [], json.loads(dashboard.FILE.read_text(encoding="utf-8"))
    for title, expression in [*dashboard.expressions(board), *values_of(board)]:
        try:
            if not prometheus.series(substituted(expression)):
                found.append(f"{title}: no series")
        except Trouble as trouble:
            found.append(f"{title}: {trouble}")
    return found


def rules_of(prometheus):
    """The alerts by name: (health, state)."""
    groups = prometheus.ask("rules")["groups"]
    return {rule["name"]: (rule["health"], rule["state"]) for group in groups for rule in group["rules"]}


def answers(prometheus, server):
    """Rows of a Prometheus that has scraped for a moment; `server` is ended for the last."""
    wrong = panels_of(prometheus)
    count = len(dashboard.expressions(json.loads(dashboard.FILE.read_text(encoding="utf-8"))))
    yield "grafana.json: Prometheus has a series for each query", not wrong, "; ".join(wrong) or f"{count} queries, and a value for each variable"
    rules = rules_of(prometheus)
    wrong = [f"{name}: {health}, {state}" for name, (health, state) in rules.items() if (health, state) != ("ok", "inactive")]
    yield "alerts.yml: evaluated, none pends beside servers that are well", not wrong, "; ".join(wrong) or f"{len(rules)} alerts"
    server.end()
    with contextlib.suppress(Trouble):
        until(lambda: rules_of(prometheus)["InstanceDown"][1] == "pending", "", 15, 0.1)
    pending = sorted(name for name, (_, state) in rules_of(prometheus).items() if state == "pending")
    yield "alerts.yml: a server ends, and one alert pends", pending == ["InstanceDown"], ", ".join(pending) or "none pends"


def scraped(prometheus):
    """Whether each target was scraped five times without an error."""
    counts = prometheus.series("sum by (instance) (sum_over_time(up[1m]))")
    return len(counts) == 3 and all(float(one["value"][1]) >= 5 for one in counts)


def live(program, site):
    """A Prometheus that scrapes two servers and HAProxy."""
    if missing := [name for name in ("prometheus", "haproxy") if not which(name)]:
        yield "grafana.json, alerts.yml beside a real Prometheus", None, f"not run: {' and '.join(missing)}: not here"
        return
    with contextlib.ExitStack() as stack:
        logs = [OUT / f"server{number}.log" for number in (1, 2)]
        servers = [stack.enter_context(Server(
            [program, "-r", site, "--status", "127.0.0.1:0", "-w", "2", "--access-log", "off", "--proxy-protocol", "127.0.0.1",
             "--drain-delay", "0", "--grace", "1"], log, STHENO_SAYS)) for log in logs]
        statuses = [ports(server, log) for server, log in zip(servers, logs)]

        web = free_port()

        def balancer(exporter):
            hosts = [(server.port, place.rpartition(":")[2]) for server, place in zip(servers, statuses)]
            (OUT / "haproxy.cfg").write_text(balancer_config(web, exporter, hosts))
            return [which("haproxy"), "-db", "-f", str(OUT / "haproxy.cfg")]
        front = stack.enter_context(PortServer(balancer, OUT / "haproxy.log", "/metrics"))
        prometheus = stack.enter_context(Prometheus(prometheus_config(statuses, front.port)))
        begun = []

        def enough():
            load(web, 40)
            begun.append(1)
            return len(begun) > 2 and scraped(prometheus)
        until(enough, "Prometheus has scraped everything five times: see target/fleet/recipes/prometheus.log", 40, 0.5)
        yield from answers(prometheus, servers[1])


def check(program, site):
    yield from static()
    yield from live(program, site)
