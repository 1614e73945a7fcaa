"""The race at the limit of an idle connection: the balancer sends a request while the server closes."""

from .load import FleetLoad, summary
from .servers import Balancer, Nginx

LIMIT = 1


class Together(FleetLoad):
    """Clients whose requests are due at the same moments, so that each uses a connection that was idle as long as the others."""

    stagger = 0


def idle(trials):
    """Requests that are due just when the servers' time for idle connections is over."""
    # The recipes keep the time of the balancer below that of the servers; here both meet, which is the worst.
    for front, again in [(Balancer, lambda one: one.sent_again()), (Nginx, lambda one: one.said("response header from upstream"))]:
        with trials.fleet(options=("--keepalive-timeout", LIMIT), front=front) as fleet:
            load = fleet.load(clients=100, rate=100 / LIMIT, spread=0.01, kind=Together)
            load.wait_for_more(trials.some(10_000, 500))
            seen = load.stop()
            # Without one the race was not met, and nothing is shown. A short run may meet none.
            met = again(fleet.balancer)
            trials.row("idle", f"{front.title} in front, requests {LIMIT} s ± 10 ms apart", f"{summary(seen)}; {met} sent again",
                       "0 failed, some sent again", not seen.failures and (met or trials.quick), seen)
