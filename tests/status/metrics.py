"""Reads ``/metrics`` of a running server with Prometheus' own parser, and checks names, types and values.

    target/prometheus/bin/python tests/status/metrics.py target/debug/stheno
"""

import math
import re
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

TYPES = {
    "stheno_build_info": "gauge",
    "stheno_start_time_seconds": "gauge",
    "stheno_uptime_seconds": "gauge",
    "stheno_draining": "gauge",
    "stheno_workers": "gauge",
    "stheno_worker_restarts": "counter",
    "stheno_log_lines_lost": "counter",
    "stheno_requests": "counter",
    "stheno_response_bytes": "counter",
    "stheno_connections": "gauge",
    "stheno_worker_connections": "gauge",
    "stheno_accepts": "counter",
    "stheno_turn_seconds": "histogram",
    "stheno_accept_queue_length": "gauge",
    "stheno_accept_queue_limit": "gauge",
}
BUCKETS = [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, math.inf]


def fetch(url):
    """The body, whatever the status."""
    try:
        with urllib.request.urlopen(url, timeout=20) as response:
            return response.read().decode()
    except urllib.error.HTTPError as error:
        return error.read().decode()


def families(url):
    """The families of metrics by their names."""
    found = list(text_string_to_metric_families(fetch(f"{url}metrics")))
    assert len({family.name for family in found}) == len(found), "a family comes twice"
    return {family.name: family for family in found}


def values(family, name=None):
    """The values of a family by their labels."""
    samples = [sample for sample in family.samples if name in (None, sample.name)]
    return {tuple(sorted(sample.labels.items())): sample.value for sample in samples}


def check(public, status):
    """Sends requests, and compares."""
    for path, count in [("", 0), ("page", 3), ("nothing", 2)]:
        for _ in range(count):
            fetch(public + path)
    found = families(status)
    assert {name: family.type for name, family in found.items()} == TYPES, found.keys()
    assert all(family.documentation.endswith(".") for family in found.values())
    requests = values(found["stheno_requests"])
    assert requests == {(("code", f"{n}xx"),): {2: 3, 4: 2}.get(n, 0) for n in range(1, 6)}, requests
    workers = values(found["stheno_workers"])
    assert workers[("state", "ready"),] == 2 and sum(workers.values()) == 2, workers
    assert sum(values(found["stheno_accepts"]).values()) == 5
    turns = found["stheno_turn_seconds"]
    buckets = values(turns, "stheno_turn_seconds_bucket")
    assert [float(dict(labels)["le"]) for labels in buckets] == BUCKETS, buckets
    counts = list(buckets.values())
    assert counts == sorted(counts) and counts[-1] == values(turns, "stheno_turn_seconds_count")[()] > 0
    print(f"ok: {len(found)} families, {sum(len(family.samples) for family in found.values())} series")


def main(program):
    """Runs a server for the time of the check."""
    with tempfile.TemporaryDirectory() as root:
        with open(f"{root}/page", "w", encoding="ascii") as page:
            page.write("page\n")
        words = ["-r", root, "--port", "0", "-w", "2", "--access-log", "off", "--status", "0"]
        with subprocess.Popen([program, *words], stderr=subprocess.PIPE, text=True) as server:
            try:
                said = ""
                for line in server.stderr:
                    said += line
                    if line.startswith("  stop "):
                        break
                public, status = (re.search(rf"^  {name} +(http://\S+)", said, re.M)[1] for name in ("url", "status"))
                check(public, status)
            finally:
                server.send_signal(signal.SIGINT)


if __name__ == "__main__":
    main(sys.argv[1])
