"""The parts of scripts/faults: table (what fails, and what may come of it) ──► stage (one server, one fault)."""
