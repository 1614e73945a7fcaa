"""The lab's load: each user requests a page, thinks for 5 to 15 seconds, and requests it again.

    pip install locust
    cargo run --example web_singlethread
    locust -f examples/locustfile.py --host http://127.0.0.1:9090     # then http://localhost:8089: 100 users, 10 a second

Without a browser: add `--headless -u 100 -r 10 -t 3m`. `scripts/lab run` does that for every rung, and sets
its options through the environment:

    STHENO_WAIT=0.5-1.5      seconds between an answer and the next request
    STHENO_SEED=1            seed of the think times
    STHENO_REQUESTS=FILE     a line per request: time of its end, milliseconds, failure, milliseconds sent late
"""

import math
import os
import random
import time

from locust import HttpUser, between, events, task

LEAST, _, MOST = os.environ.get("STHENO_WAIT", "5-15").partition("-")
random.seed(os.environ.get("STHENO_SEED"))


class WebsiteUser(HttpUser):
    """One of the lab's hundred users."""

    thinks = between(float(LEAST), float(MOST or LEAST))
    due = math.inf

    def wait_time(self):
        """Notes when the next request is due: Locust has one thread, and sends it when that thread is free."""
        seconds = self.thinks()
        self.due = time.perf_counter() + seconds
        return seconds

    @task
    def index(self):
        late = max(0.0, time.perf_counter() - self.due)
        self.client.get("/", context={"late": late})


if path := os.environ.get("STHENO_REQUESTS"):
    # Line by line, so that finished requests are on disk however the run ends.
    REQUESTS = open(path, "w", buffering=1, encoding="utf-8")
    REQUESTS.write("ended,milliseconds,failure,late\n")

    @events.request.add_listener
    def keep(response_time, exception, context, **_):
        failure = type(exception).__name__ if exception else ""
        REQUESTS.write(f"{time.time():.4f},{response_time:.3f},{failure},{1000 * context['late']:.3f}\n")
