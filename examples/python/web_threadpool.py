"""A pool of threads that all accept: the lab's tcp_threadpool with the lab's page."""

import threading
import time

import seed


def worker_thread(serversocket, shutdown_event, database):
    while not shutdown_event.is_set():
        try:
            clientsocket, _ = serversocket.accept()
        except OSError:
            continue  # A time-out: check the event.
        with clientsocket:
            try:
                clientsocket.recv(1024)
                time.sleep(database)
                clientsocket.sendall(seed.PAGE)
            except ConnectionError:
                pass  # The client left before its response.


def main():
    args = seed.arguments(("--threads", 10))
    shutdown_event = threading.Event()
    with seed.listen(args) as serversocket:
        # Without the time-out a thread blocked in `accept` never sees the event.
        serversocket.settimeout(0.5)
        threads = [
            threading.Thread(target=worker_thread, args=(serversocket, shutdown_event, args.db / 1000))
            for _ in range(args.threads)
        ]
        for thread in threads:
            thread.start()
        try:
            shutdown_event.wait()
        except KeyboardInterrupt:
            print("Shutting down...")
        finally:
            shutdown_event.set()
            for thread in threads:
                thread.join()


if __name__ == "__main__":
    main()
