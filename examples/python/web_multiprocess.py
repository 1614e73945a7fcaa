"""A process for every core, one listener for all: the lab's tcp_multiprocess with the lab's page."""

import multiprocessing
import os
import signal
import time

import seed


def worker_process(serversocket, database):
    # The parent ends its children, so they ignore the terminal's Ctrl+C.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while True:
        clientsocket, _ = serversocket.accept()
        with clientsocket:
            try:
                clientsocket.recv(1024)
                time.sleep(database)
                clientsocket.sendall(seed.PAGE)
            except ConnectionError:
                pass  # The client left before its response.


def main():
    args = seed.arguments(("--processes", os.cpu_count() or 1))
    fork = multiprocessing.get_context("fork")
    with seed.listen(args) as serversocket:
        processes = [
            fork.Process(target=worker_process, args=(serversocket, args.db / 1000)) for _ in range(args.processes)
        ]
        try:
            for process in processes:
                process.start()
            for process in processes:
                process.join()
        except KeyboardInterrupt:
            print("Shutting down...")
        finally:
            for process in processes:
                if process.pid:
                    process.terminate()
                    process.join()


if __name__ == "__main__":
    main()
