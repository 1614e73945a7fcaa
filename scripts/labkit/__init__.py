"""The parts of scripts/lab: cli ──► run ──► rungs, sampler, metronome ──► files (records) ──► report, check, shows."""

from lib import PROJECT

TARGET = PROJECT / "target" / "lab"
PICTURES = PROJECT / "docs" / "img" / "lab"
