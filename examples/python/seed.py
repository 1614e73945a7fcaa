"""The parts that the lab's web servers share: the page, the command line, and the listening socket."""

import argparse
import signal
import socket

PAGE = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: text/html\r\n"
    b"Content-Length: 71\r\n\r\n"
    b"<html><head><title>Success</title></head><body>Index page</body></html>"
)


def arguments(*more):
    """Parses the options; `more` are pairs of a name and a default."""
    parser = argparse.ArgumentParser(description="A web server with one page, which takes a while.")
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=9090, help="0 = any free one")
    parser.add_argument("--db", type=int, default=300, metavar="MS", help="milliseconds that the database takes")
    parser.add_argument("--backlog", type=int, default=128, help="connections that may wait to be accepted")
    for name, default in more:
        parser.add_argument(name, type=int, default=default)
    # `kill` ends the program as Ctrl+C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return parser.parse_args()


def listen(args):
    """Returns a listening socket, and prints the first line."""
    serversocket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    serversocket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
    serversocket.bind((args.host, args.port))
    serversocket.listen(args.backlog)
    print(f"Starting Web Server at {args.host}:{serversocket.getsockname()[1]}", flush=True)
    return serversocket
