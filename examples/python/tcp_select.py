"""One thread waits for all descriptors: the lab's select server."""

import functools
import logging
import select
import socket

import seed

logging.basicConfig(level=logging.DEBUG, format="[%(levelname)s] (%(processName)-10s) (%(threadName)-10s) %(message)s")

# A set of select(2) has room for the descriptors below this.
FD_SETSIZE = 1024


class Server:
    """The waiters, by descriptor. Each is called once, and adds the next one itself: read, then write, then read again."""

    def __init__(self, serversocket):
        self.serversocket = serversocket
        self.read_waiters = {}
        self.write_waiters = {}
        self.connections = {}
        self.wait_to_accept()

    def turn(self):
        rlist, wlist, _ = select.select(list(self.read_waiters), list(self.write_waiters), [], 60)
        if not rlist and not wlist:
            self.wait_to_accept()
        for fileno in rlist:
            handler = self.read_waiters.pop(fileno, None)
            if handler:
                handler()
        for fileno in wlist:
            handler = self.write_waiters.pop(fileno, None)
            if handler:
                handler()

    def wait_to_accept(self):
        self.read_waiters[self.serversocket.fileno()] = self.accept_handler

    def wait_to_recv(self, fileno):
        self.read_waiters[fileno] = functools.partial(self.recv_handler, fileno)

    def wait_to_send(self, fileno, message):
        self.write_waiters[fileno] = functools.partial(self.send_handler, fileno, message)

    def accept_handler(self):
        try:
            clientsocket, client_address = self.serversocket.accept()
            self.welcome(clientsocket, "{}:{}".format(*client_address))
        except (BlockingIOError, ConnectionAbortedError):
            pass
        except OSError as error:
            # Out of descriptors: `select` would report "ready" at once again. Accepting waits until a client leaves.
            logging.error(f"accepting pauses: {error}")
            return
        self.wait_to_accept()

    def welcome(self, clientsocket, client):
        fileno = clientsocket.fileno()
        if fileno >= FD_SETSIZE:
            room = f"select, which has room for 0 to {FD_SETSIZE - 1}"
            logging.error(f"descriptor {fileno} is too large for {room}: {client} is turned away")
            clientsocket.close()
            return
        clientsocket.setblocking(False)
        logging.debug(f"New client: {client}")
        self.connections[fileno] = clientsocket, client
        self.wait_to_recv(fileno)

    def recv_handler(self, fileno):
        clientsocket, client = self.connections[fileno]
        try:
            message = clientsocket.recv(1024)
        except BlockingIOError:
            # "Ready" is a hint: the input may be gone.
            self.wait_to_recv(fileno)
            return
        except OSError:
            message = b""
        if not message:
            self.terminate(fileno)
            return
        logging.debug(f"Recv: {message} from {client}")
        self.wait_to_send(fileno, message)

    def send_handler(self, fileno, message):
        clientsocket, client = self.connections[fileno]
        try:
            sent = clientsocket.send(message)
        except BlockingIOError:
            self.wait_to_send(fileno, message)
            return
        except OSError:
            # The lab's server ended here, with all its clients.
            self.terminate(fileno)
            return
        logging.debug(f"Send: {message[:sent]} to {client}")
        if sent < len(message):
            self.wait_to_send(fileno, message[sent:])
        else:
            self.wait_to_recv(fileno)

    def terminate(self, fileno):
        """Removes a client from every table, because the next client gets the same descriptor."""
        self.read_waiters.pop(fileno, None)
        self.write_waiters.pop(fileno, None)
        clientsocket, client = self.connections.pop(fileno)
        clientsocket.close()
        logging.debug(f"Bye-Bye: {client}")
        self.wait_to_accept()


def main(host="localhost", port=9090):
    """An echo server with one thread that waits in select."""
    serversocket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    serversocket.setblocking(False)
    serversocket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
    serversocket.bind((host, port))
    serversocket.listen(128)

    print(f"Starting TCP Echo Server at {host}:{serversocket.getsockname()[1]}")
    server = Server(serversocket)
    try:
        while True:
            server.turn()
    except KeyboardInterrupt:
        print("Shutting down")


if __name__ == "__main__":
    seed.run(main)
