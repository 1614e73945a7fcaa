"""The parts of `scripts/platforms`."""
