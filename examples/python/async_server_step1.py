"""Two channels: one accepts, one serves a client, and the hooks of the second are not written. The lab's first step."""

import asynchat
import asyncore
import logging

import seed

logging.basicConfig(level=logging.DEBUG, format="%(name)s: %(process)d %(message)s")
log = logging.getLogger("async_server_step1")


class AsyncHTTPRequestHandler(asynchat.async_chat):
    """Serves one client. It has no terminator, and no hooks: asyncore reports an error, and closes the channel."""


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
