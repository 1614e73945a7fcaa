"""What a database's time is on this machine, meanwhile: a process that sleeps so long, again and again.

A machine that is shared, with other processes or with other guests of its host, wakes a sleeper late, and wakes the
rung's sleepers as late as this one. The law holds for the time that a request did take, not for the one that was asked
for; this tells the two apart without asking the rung.

    python metronome.py SECONDS FILE
"""

import sys
import time


def sleep_on(seconds, path):
    """Writes when each sleep ended and its milliseconds, until it is interrupted."""
    with open(path, "w", encoding="ascii") as file:
        file.write("ended,milliseconds\n")
        try:
            while True:
                begun = time.perf_counter()
                time.sleep(seconds)
                took = time.perf_counter() - begun
                file.write(f"{time.time():.6f},{took * 1000:.3f}\n")
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    sleep_on(float(sys.argv[1]), sys.argv[2])
