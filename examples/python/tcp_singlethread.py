"""One thread, one client at a time: the lab's tcp_singlethread."""

import socket

import seed


def main(host="localhost", port=9090, timeout=10):
    """An echo server with one thread: one client at a time."""
    serversocket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    serversocket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
    serversocket.bind((host, port))
    serversocket.listen(5)

    print(f"Starting Echo Server at {host}:{serversocket.getsockname()[1]}")
    try:
        while True:
            clientsocket, client_address = serversocket.accept()
            client = "{}:{}".format(*client_address)
            print(f"New client {client}")
            with clientsocket:
                try:
                    echo(clientsocket, timeout)
                except OSError:
                    pass  # An error of one client must not end the service for the others.
            print(f"Bye-bye: {client}")
    except KeyboardInterrupt:
        print("Shutting down")


def echo(clientsocket, timeout):
    """Sends everything back, until the client closes or is silent for `timeout`."""
    clientsocket.settimeout(timeout)
    while True:
        data = clientsocket.recv(1024)
        print(f"Recv: {data}")
        if not data:
            return
        # A send may take fewer bytes than it is given. `sendall` loops over the rest; the lab's own loop never ended.
        clientsocket.sendall(data)
        print(f"Send: {data}")


if __name__ == "__main__":
    seed.run(main)
