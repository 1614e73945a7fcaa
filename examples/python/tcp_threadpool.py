"""A fixed number of threads, which all accept: the lab's thread pool."""

import logging
import socket
import threading

import seed

logging.basicConfig(level=logging.DEBUG, format="[%(levelname)s] (%(threadName)-10s) %(message)s")


def main(host="localhost", port=9090, threads=10):
    """An echo server with a pool of threads."""
    serversocket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    serversocket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
    serversocket.bind((host, port))
    serversocket.listen(128)
    # A thread that is blocked in `accept` never sees the event, so `accept` has a time-out.
    serversocket.settimeout(0.2)

    print(f"Starting TCP Echo Server at {host}:{serversocket.getsockname()[1]}")
    shutdown_event, clients = threading.Event(), set()
    pool = [threading.Thread(target=worker_thread, args=(serversocket, shutdown_event, clients), name=f"Thread-{number}")
            for number in range(1, threads + 1)]
    try:
        with seed.interrupts_wait():
            for thread in pool:
                thread.start()
        shutdown_event.wait()
    except KeyboardInterrupt:
        print("Shutting down...")
    finally:
        shutdown_event.set()
        # A thread that is blocked in `recv` of a silent client does not see the event either.
        for clientsocket in clients.copy():
            hang_up(clientsocket)
        for thread in pool:
            thread.join()


def worker_thread(serversocket, shutdown_event, clients):
    while not shutdown_event.is_set():
        try:
            clientsocket, client_address = serversocket.accept()
        except TIMEOUT:
            continue
        except OSError:
            # For example for lack of descriptors. An immediate retry would only keep the core busy.
            shutdown_event.wait(0.1)
            continue
        client = "{}:{}".format(*client_address)
        clients.add(clientsocket)
        # The event is looked at after the client is in the set: either `main` sees the client, or this thread the event.
        if shutdown_event.is_set():
            hang_up(clientsocket)
        logging.debug(f"New client: {client}")
        with clientsocket:
            try:
                echo(clientsocket, client)
            except OSError:
                pass  # An error of one client must not end the thread, which serves the others.
            clients.discard(clientsocket)
        logging.debug(f"Bye-bye: {client}")
    logging.debug("Shutting down thread")


def echo(clientsocket, client):
    while True:
        message = clientsocket.recv(1024)
        logging.debug(f"Recv: {message} from {client}")
        if not message:
            return
        clientsocket.sendall(message)
        logging.debug(f"Send: {message} to {client}")


def hang_up(clientsocket):
    try:
        clientsocket.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # The client may have left already.


# The built-in TimeoutError from Python 3.10 on.
TIMEOUT = socket.timeout

if __name__ == "__main__":
    seed.run(main)
