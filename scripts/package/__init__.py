"""The recipes of `scripts/package/make`."""
