"""A fleet on one machine: network namespaces as hosts, servers, a balancer, a timed load, and what is done to them."""

from lib import PROJECT

OUT = PROJECT / "target" / "fleet"
RECIPES = PROJECT / "docs" / "fleet"
