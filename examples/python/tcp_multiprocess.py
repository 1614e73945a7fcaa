"""A process for each core, all with the listener of their parent: the lab's server with processes."""

import logging
import os
import socket

import seed

logging.basicConfig(level=logging.DEBUG, format="[%(levelname)s] (%(processName)-10s) (%(threadName)-10s) %(message)s")


def main(host="localhost", port=9090, processes=os.cpu_count() or 1):
    """An echo server with a process for every core."""
    # The port is bound once, before the fork: a child that binds again fails.
    serversocket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    serversocket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
    serversocket.bind((host, port))
    serversocket.listen(128)

    print(f"Starting TCP Echo Server at {host}:{serversocket.getsockname()[1]}")
    logging.debug(f"Number of processes: {processes}")
    children = []
    try:
        with seed.interrupts_wait():
            children = seed.start_processes(processes, worker_process, serversocket)
        for child in children:
            child.join()
    except KeyboardInterrupt:
        print("Shutting down...")
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.join()


def worker_process(serversocket):
    while True:
        clientsocket, client_address = serversocket.accept()
        client = "{}:{}".format(*client_address)
        logging.debug(f"New client: {client}")
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
