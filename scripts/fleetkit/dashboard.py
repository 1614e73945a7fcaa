"""The Grafana dashboard docs/fleet/grafana.json: made from the table below, and checked as a file.

    python3 -m fleetkit.dashboard     # from scripts/: writes the file
"""

import json
import re

from lib import PROJECT

from . import RECIPES

FILE = RECIPES / "grafana.json"
OF = '{job="$job",instance=~"$instance"}'
RATE = "[$__rate_interval]"
WIDTH = 24


def rate(metric, by, labels=""):
    """The sum of the rates of a counter, by these labels."""
    chosen = OF[:-1] + (f",{labels}" if labels else "") + "}"
    return f"sum by ({by}) (rate({metric}{chosen}{RATE}))"


def turns(share, by="le"):
    return f"histogram_quantile({share}, {rate('stheno_turn_seconds_bucket', by)})"


BAD, ALL = rate("stheno_requests_total", "instance", 'code="5xx"'), rate("stheno_requests_total", "instance")
ACCEPTS = f"rate(stheno_accepts_total{OF}{RATE})"
BALANCER = '{job="$balancer"}'

# Rows of panels: title, kind, unit, width, height, (expression, legend) of each line, description.
ROWS = {
    "Fleet": [
        ("Hosts up", "stat", "short", 4, 4, [(f"sum(up{OF})", "up"), (f"count(up{OF})", "all")],
         "Hosts whose status page answers."),
        ("Requests", "stat", "reqps", 4, 4, [(f"sum({ALL})", "")], "Responses a second of all hosts."),
        ("Sent", "stat", "Bps", 4, 4, [(f"sum({rate('stheno_response_bytes_total', 'instance')})", "")],
         "Bytes of bodies a second, without heads, TLS and TCP."),
        ("Share of 5xx", "stat", "percentunit", 4, 4, [(f"sum({BAD}) / sum({ALL})", "")], "Of all responses."),
        ("Open connections", "stat", "short", 4, 4, [(f"sum(stheno_connections{OF})", "")], "In all states."),
        ("Draining hosts", "stat", "short", 4, 4, [(f"sum(stheno_draining{OF})", "")],
         "Hosts that have got SIGTERM and have not ended. One at a time in a rolling restart."),
    ],
    "Requests": [
        ("Requests by class", "timeseries", "reqps", 8, 8, [(rate("stheno_requests_total", "code"), "{{code}}")],
         "499 (a client that left) is in 4xx."),
        ("Requests by host", "timeseries", "reqps", 8, 8, [(ALL, "{{instance}}")],
         "Equal lines where the balancer has equal weights."),
        ("Bytes by host", "timeseries", "Bps", 8, 8, [(rate("stheno_response_bytes_total", "instance"), "{{instance}}")],
         "Bytes of bodies. Compare with the network card."),
        ("Share of 5xx by host", "timeseries", "percentunit", 12, 7, [(f"{BAD} / {ALL}", "{{instance}}")],
         "No line while a host has no requests."),
        ("Bytes of a response", "timeseries", "bytes", 12, 7,
         [(f"{rate('stheno_response_bytes_total', 'instance')} / {ALL}", "{{instance}}")], "Mean size of a body."),
    ],
    "Connections": [
        ("Connections by state", "timeseries", "short", 8, 8, [(f"sum by (state) (stheno_connections{OF})", "{{state}}")],
         "busy: a request is in progress; idle: between two; lingering: read for a moment after the last response."),
        ("Connections of each worker", "timeseries", "short", 8, 8,
         [(f"stheno_worker_connections{OF}", "{{instance}} worker {{worker}}")], "The workers of a host keep equal shares."),
        ("Largest share of the accepts", "timeseries", "short", 8, 8,
         [(f"max by (instance) ({ACCEPTS}) / avg by (instance) ({ACCEPTS})", "{{instance}}")],
         "The accepts of the worker with the most, over the mean of its host: 1 is equal."),
        ("Accepted connections by host", "timeseries", "cps", 8, 7, [(rate("stheno_accepts_total", "instance"), "{{instance}}")],
         "Behind a balancer that keeps its connections this is far below the requests."),
        ("Accept queue", "timeseries", "short", 8, 7,
         [(f"stheno_accept_queue_length{OF}", "{{instance}} {{listener}}")],
         "Connections that wait to be accepted: more than 0 for long means that the workers are busy or full."),
        ("Accept queue, share of its limit", "timeseries", "percentunit", 8, 7,
         [(f"stheno_accept_queue_length{OF} / stheno_accept_queue_limit{OF}", "{{instance}} {{listener}}")],
         "At 1 the kernel drops new connections."),
    ],
    "Loop": [
        ("Turns of the loop", "timeseries", "s", 8, 8,
         [(turns(share), name) for share, name in ((0.5, "p50"), (0.99, "p99"), (0.999, "p99.9"))],
         "Time of a turn without its wait; other connections of the worker wait that long."),
        ("p99 of a turn by host", "timeseries", "s", 8, 8, [(turns(0.99, "instance, le"), "{{instance}}")],
         "One slow disk shows here."),
        ("Busy loops", "timeseries", "short", 8, 8, [(rate("stheno_turn_seconds_sum", "instance"), "{{instance}}")],
         "Seconds of turns in each second: how many workers of a host are busy. Near the number of its workers it is full."),
    ],
    "Workers": [
        ("Workers by state", "timeseries", "short", 6, 7, [(f"sum by (state) (stheno_workers{OF})", "{{state}}")], ""),
        ("Restarts in an hour", "timeseries", "short", 6, 7,
         [(f"increase(stheno_worker_restarts_total{OF}[1h])", "{{instance}}")],
         "Workers that have died and were replaced; those of a reload are not counted."),
        ("Lost lines of the access log", "timeseries", "short", 6, 7,
         [(f"increase(stheno_log_lines_lost_total{OF}[1h])", "{{instance}}")],
         "In an hour; the disk is full, or the reader of a pipe is slow."),
        ("Drains", "timeseries", "short", 6, 7, [(f"stheno_draining{OF}", "{{instance}}")],
         "Each host of a rolling restart in turn."),
        ("Versions", "table", "short", 12, 6, [(f"count by (version) (stheno_build_info{OF})", "")], "Hosts of each version."),
        ("Uptime", "timeseries", "s", 12, 6, [(f"stheno_uptime_seconds{OF}", "{{instance}}"),
                                              (f"time() - stheno_start_time_seconds{OF}", "{{instance}}, by Prometheus' clock")],
         "A restart or an upgrade begins it again; a reload does not. Two lines of a host that part are a wrong clock."),
    ],
    "HAProxy": [
        ("Servers in rotation", "timeseries", "short", 8, 7, [(f"haproxy_backend_active_servers{BALANCER}", "{{proxy}}")], ""),
        ("Responses by server", "timeseries", "reqps", 8, 7,
         [(f"sum by (server) (rate(haproxy_server_http_responses_total{BALANCER}{RATE}))", "{{server}}")], ""),
        ("Time to the response", "timeseries", "s", 8, 7,
         [(f"haproxy_server_response_time_average_seconds{BALANCER}", "{{server}}")],
         "Mean of the last 1,024 requests of each server."),
        ("Retries and redispatches", "timeseries", "reqps", 8, 7,
         [(f"sum(rate(haproxy_backend_{what}_warnings_total{BALANCER}{RATE}))", what) for what in ("retry", "redispatch")],
         "Requests that a server did not answer and another one did."),
        ("Failed checks", "timeseries", "short", 8, 7,
         [(f"sum by (server) (increase(haproxy_server_check_failures_total{BALANCER}{RATE}))", "{{server}}")],
         "A drain is one as well."),
        ("Requests that wait for a server", "timeseries", "short", 8, 7,
         [(f"haproxy_backend_current_queue{BALANCER}", "{{proxy}}")], ""),
    ],
}


def variable(name, label, query, **more):
    """A variable whose values are those of a label."""
    return {"name": name, "label": label, "type": "query", "datasource": SOURCE, "refresh": 2, "sort": 1,
            "query": {"query": query, "refId": name}, **more}


SOURCE = {"type": "prometheus", "uid": "${datasource}"}
VARIABLES = [
    {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1},
    variable("job", "Job", "label_values(stheno_build_info, job)", current={"text": "stheno", "value": "stheno"}),
    variable("instance", "Host", 'label_values(stheno_build_info{job="$job"}, instance)', multi=True, includeAll=True,
             allValue=".*", current={"text": "All", "value": "$__all"}),
    variable("balancer", "Job of HAProxy", "label_values(haproxy_process_start_time_seconds, job)",
             current={"text": "haproxy", "value": "haproxy"}),
]


def targets(lines, kind):
    """The queries of a panel. A number or a table shows this moment."""
    moment = {"instant": True, "range": False} if kind in ("stat", "table") else {}
    shape = {"format": "table"} if kind == "table" else {}
    return [{"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": expression, "legendFormat": legend or "__auto",
             **moment, **shape} for index, (expression, legend) in enumerate(lines)]


def panels():
    """All panels with their places: from left to right, each row below the last."""
    made, top = [], 0
    for name, row in ROWS.items():
        made.append({"id": len(made) + 1, "type": "row", "title": name, "collapsed": False, "panels": [],
                     "gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1}})
        left, top, lowest = 0, top + 1, top + 1
        for title, kind, unit, width, height, lines, text in row:
            if left + width > WIDTH:
                left, top = 0, lowest
            least = {"min": 0} if kind == "timeseries" else {}
            made.append({"id": len(made) + 1, "type": kind, "title": title, "description": text, "datasource": SOURCE,
                         "gridPos": {"x": left, "y": top, "w": width, "h": height},
                         "fieldConfig": {"defaults": {"unit": unit, **least}, "overrides": []},
                         "targets": targets(lines, kind)})
            left, lowest = left + width, max(lowest, top + height)
        top = lowest
    return made


def text():
    """The file."""
    return json.dumps({
        "title": "Stheno: a fleet", "uid": "stheno-fleet", "tags": ["stheno"], "schemaVersion": 38, "version": 1,
        "editable": True, "graphTooltip": 1, "refresh": "10s", "time": {"from": "now-1h", "to": "now"}, "timezone": "utc",
        "templating": {"list": VARIABLES}, "annotations": {"list": []}, "panels": panels()}, indent=1) + "\n"


def expressions(board):
    """(title, expression) of all queries of a dashboard."""
    return [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel.get("targets", [])]


def overlap(one, other):
    """Whether two places have a cell in common."""
    return (one["x"] < other["x"] + other["w"] and other["x"] < one["x"] + one["w"]
            and one["y"] < other["y"] + other["h"] and other["y"] < one["y"] + one["h"])


def documented():
    """The metrics of the table in docs/OPERATING.md."""
    page = (PROJECT / "docs" / "OPERATING.md").read_text(encoding="utf-8")
    return {name for row in re.findall(r"^\| (`stheno_.*?) \|", page, re.M) for name in re.findall(r"stheno_\w+", row)}


def base(name):
    """The metric of a series of a histogram."""
    return re.sub(r"_(bucket|sum|count)$", "", name)


def mistakes(board):
    """What is wrong with a dashboard as a file."""
    shown, found = board["panels"], []
    ids = [panel["id"] for panel in shown]
    found += [f"the id {one} is there twice" for one in set(ids) if ids.count(one) > 1]
    for index, panel in enumerate(shown):
        place = panel["gridPos"]
        if place["x"] < 0 or place["x"] + place["w"] > WIDTH:
            found.append(f"{panel['title']} is wider than the page")
        found += [f"{panel['title']} covers {other['title']}" for other in shown[:index] if overlap(place, other["gridPos"])]
        if panel["type"] != "row" and not panel.get("targets"):
            found.append(f"{panel['title']} has no query")
        found += [f"{panel['title']}: a query has no source" for one in panel.get("targets", [])
                  if one.get("datasource", {}).get("uid") != "${datasource}"]
    every = "\n".join(expression for _, expression in expressions(board))
    used, known = {base(name) for name in re.findall(r"stheno_\w+", every)}, documented()
    found += [f"{name} is not in docs/OPERATING.md" for name in used - known]
    found += [f"{name} is in no panel" for name in known - used]
    names = {one["name"] for one in board["templating"]["list"]}
    asked = set(re.findall(r"\$\{?(\w+)", json.dumps(board))) - {"__rate_interval", "__all"}
    return found + [f"there is no variable {name}" for name in asked - names]


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
    print(f"{FILE.relative_to(PROJECT)}: {sum(len(row) for row in ROWS.values())} panels")
