"""The parts of scripts/chaos: clients ──► stage (a server) ──► trials ──► workers, master, endurance."""
