"""The parts of scripts/loop: cli ──► show, live, check (promises, live_check) ──► language, player (clients, kinds),
rungs (broken), reading; outside (thread, steps), judge ──► served ──► strace."""

from lib import PROJECT

TARGET = PROJECT / "target" / "loop"
SCENARIOS = PROJECT / "scripts" / "loopkit" / "scenarios"
