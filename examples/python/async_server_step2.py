"""A request ends with an empty line; it is collected, and not answered. The second step of the lab."""

import asynchat
import asyncore
import logging

import seed

logging.basicConfig(level=logging.DEBUG, format="%(name)s: %(process)d %(message)s")
log = logging.getLogger("async_server_step2")


class AsyncHTTPRequestHandler(asynchat.async_chat):
    """Collects the request of one client."""

    def __init__(self, sock):
        super().__init__(sock)
        self.set_terminator(b"\r\n\r\n")

    def collect_incoming_data(self, data):
        log.debug(f"Incoming data: {data}")
        self._collect_incoming_data(data)

    def found_terminator(self):
        self.parse_request()

    def parse_request(self):
        """Empty here; `async_server_step3` has it."""


class AsyncHTTPServer(asyncore.dispatcher):
    """The listener. Each connection becomes a channel of its own."""

    def __init__(self, host, port):
        super().__init__()
        self.create_socket()
        self.set_reuse_addr()
        self.bind((host, port))
        self.listen(5)

    def handle_accepted(self, sock, addr):
        log.debug(f"Incoming connection from {addr}")
        AsyncHTTPRequestHandler(sock)


def main(host="127.0.0.1", port=9000):
    """Simple asynchronous web-server."""
    server = AsyncHTTPServer(host, port)
    print(f"Starting Web Server at {host}:{server.socket.getsockname()[1]}")
    try:
        asyncore.loop()
    except KeyboardInterrupt:
        print("Shutting down")


if __name__ == "__main__":
    seed.run(main)
