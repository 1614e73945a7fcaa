"""A process for each core, with threads in each of them: the lab's server with processes and threads."""

import logging
import os
import socket
import threading
import time

import seed

logging.basicConfig(level=logging.DEBUG, format="[%(levelname)s] (%(processName)-10s) (%(threadName)-10s) %(message)s")


def main(host="localhost", port=9090, processes=os.cpu_count() or 1, threads=10):
    """An echo server with a process for every core, and threads in each."""
    serversocket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    serversocket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
    serversocket.bind((host, port))
    serversocket.listen(5)

    print(f"Starting TCP Echo Server at {host}:{serversocket.getsockname()[1]}")
    logging.debug(f"Number of processes: {processes}")
    children = []
    try:
        with seed.interrupts_wait():
            children = seed.start_processes(processes, worker_process, serversocket, threads)
        for child in children:
            child.join()
    except KeyboardInterrupt:
        print("Shutting down...")
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.join()


def worker_process(serversocket, threads):
    """Starts the threads after the fork, because a fork copies only the calling thread."""
    pool = [threading.Thread(target=worker_thread, args=(serversocket,), name=f"Thread-{number}", daemon=True)
            for number in range(1, threads + 1)]
    for thread in pool:
        thread.start()
    for thread in pool:
        thread.join()


def worker_thread(serversocket):
    while True:
        try:
            clientsocket, client_address = serversocket.accept()
        except OSError:
            # For example for lack of descriptors. An immediate retry would only keep the core busy.
            time.sleep(0.1)
            continue
        client = "{}:{}".format(*client_address)
        logging.debug(f"New client {client}")
        with clientsocket:
            try:
                echo(clientsocket, client)
            except OSError:
                pass
        logging.debug(f"Bye-bye: {client}")


def echo(clientsocket, client):
    while True:
        message = clientsocket.recv(1024)
        logging.debug(f"Recv: {message} from {client}")
        if not message:
            return
        clientsocket.sendall(message)
        logging.debug(f"Send: {message} to {client}")


if __name__ == "__main__":
    seed.run(main)
