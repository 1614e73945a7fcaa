"""A thread for each client: the lab's tcp_multithread."""

import logging
import socket
import threading

import seed

logging.basicConfig(level=logging.DEBUG, format="[%(levelname)s] (%(threadName)-10s) %(message)s")


def main(host="localhost", port=9090, timeout=10):
    """An echo server with a thread for every client."""
    serversocket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    serversocket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
    serversocket.bind((host, port))
    serversocket.listen(128)

    print(f"Starting TCP Echo Server at {host}:{serversocket.getsockname()[1]}")
    number = 0
    try:
        while True:
            clientsocket, client_address = serversocket.accept()
            client = "{}:{}".format(*client_address)
            logging.debug(f"New client: {client}")
            number += 1
            # A daemon is not waited for at the end.
            thread = threading.Thread(target=client_handler, args=(clientsocket, client, timeout), name=f"Thread-{number}",
                                      daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                logging.error(f"{error}; {client} is turned away")
                clientsocket.close()
    except KeyboardInterrupt:
        print("Shutting down")


def client_handler(clientsocket, client, timeout):
    with clientsocket:
        try:
            echo(clientsocket, client, timeout)
        except OSError:
            pass  # An error of one client ends its own thread only.
    logging.debug(f"Bye-bye: {client}")


def echo(clientsocket, client, timeout):
    """Sends everything back, until the client closes or is silent for `timeout`."""
    clientsocket.settimeout(timeout)
    while True:
        message = clientsocket.recv(1024)
        logging.debug(f"Recv: {message} from {client}")
        if not message:
            return
        clientsocket.sendall(message)
        logging.debug(f"Send: {message} to {client}")


if __name__ == "__main__":
    seed.run(main)
