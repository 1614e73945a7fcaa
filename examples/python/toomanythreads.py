"""Starts threads until its own limit of address space: the lab's toomanythreads."""

import argparse
import resource
import threading
import time


def loop():
    while True:
        time.sleep(1)


def main():
    parser = argparse.ArgumentParser(description="Starts threads that sleep, until no more can be started.")
    parser.add_argument("--threads", type=int, default=10_000)
    parser.add_argument("--limit", type=int, default=4096, metavar="MIB", help="of address space")
    args = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (args.limit << 20, most))
    for _ in range(args.threads):
        threading.Thread(target=loop, daemon=True).start()
        print(threading.active_count(), flush=True)


if __name__ == "__main__":
    main()
