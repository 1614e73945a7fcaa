"""The parts of scripts/lab: cli ──► run ──► rungs, sampler, metronome ──► files (records) ──► causes ──► report, check; and
shows ──► experiments."""

from lib import PROJECT

TARGET = PROJECT / "target" / "lab"
PICTURES = PROJECT / "docs" / "img" / "lab"
VENV = TARGET / "venv"
PACKAGES = ["locust~=2.47.0", "matplotlib~=3.11.0"]
