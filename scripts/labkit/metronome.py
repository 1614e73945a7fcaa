"""Sleeps for the same time again and again, as the database of the lab does: python metronome.py SECONDS FILE.

A shared machine wakes a sleeper late, and wakes the rung's sleepers as late as this one. The law holds for the time that
a request did take; this process measures it without asking the rung. Each line is the end of a sleep and its milliseconds.
"""

import sys
import time

with open(sys.argv[2], "w", buffering=1, encoding="ascii") as file:
    file.write("ended,milliseconds\n")
    try:
        while True:
            begun = time.perf_counter()
            time.sleep(float(sys.argv[1]))
            took = time.perf_counter() - begun
            file.write(f"{time.time():.6f},{took * 1000:.3f}\n")
    except KeyboardInterrupt:
        pass
