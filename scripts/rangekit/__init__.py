"""Real readers of ranges, from another origin."""
