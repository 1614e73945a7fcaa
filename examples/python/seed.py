"""The parts that the lab's servers share: the command line; of web servers also the page and the listening socket."""

import argparse
import contextlib
import errno
import inspect
import multiprocessing
import pathlib
import signal
import socket
import sys

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


# The options of the echo rungs and of the HTTP server, by the names of the parameters of `main`.
HELP = {
    "host": "address or name to listen on",
    "port": "port to listen on; 0 = any free one",
    "timeout": "seconds that a client may be silent",
    "threads": "threads of the pool",
    "processes": "processes that serve",
    "root": "directory that is served",
}


class Parser(argparse.ArgumentParser):
    """A parser whose errors have one line."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def number(name):
    """Returns the function that reads the value of the option `name`."""
    least, most = (0, 65535) if name == "port" else (1, 1_000_000)

    def read(text):
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"a number from {least} to {most} is needed, and not '{text}'")
        return int(text)
    return read


def run(main):
    """Calls `main` with the options of the command line: its parameters and their defaults. Reports an error in one line."""
    program = pathlib.Path(sys.argv[0]).stem
    parser = Parser(prog=program, description=main.__doc__, allow_abbrev=False)
    letters = {"h"}
    for name, parameter in inspect.signature(main).parameters.items():
        kind = number(name) if isinstance(parameter.default, int) else str
        words = [f"--{name}"] if name[0] in letters else [f"-{name[0]}", f"--{name}"]
        letters.add(name[0])
        parser.add_argument(*words, type=kind, default=parameter.default,
                            help=f"{HELP[name]} (default {parameter.default})")
    options = vars(parser.parse_args())
    # `kill` ends the program as Ctrl+C does, and each line is printed at once.
    for number_of_signal in BOTH:
        signal.signal(number_of_signal, signal.default_int_handler)
    sys.stdout.reconfigure(line_buffering=True)
    try:
        main(**options)
    except OSError as error:
        advice = {
            errno.EADDRINUSE: "; choose another with --port, or --port 0 for any free one",
            errno.EADDRNOTAVAIL: "; choose another with --host",
        }.get(error.errno, "; is the host of --host right?" if isinstance(error, socket.gaierror) else "")
        sys.exit(f"{program}: {error}{advice}")


BOTH = {signal.SIGINT, signal.SIGTERM}


@contextlib.contextmanager
def interrupts_wait():
    """Ctrl+C and `kill` wait until the end of this block, so that it starts all that it is to start."""
    signal.pthread_sigmask(signal.SIG_BLOCK, BOTH)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, BOTH)


def start_processes(count, target, *args):
    """Forks processes that inherit all sockets, where interrupts wait. Ctrl+C and `kill` end each of them at once."""
    def child():
        # A signal has waited until the child has dropped the handlers of its parent.
        for number_of_signal in BOTH:
            signal.signal(number_of_signal, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, BOTH)
        target(*args)

    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=child, name=f"Process-{number}") for number in range(1, count + 1)]
    for process in processes:
        process.start()
    return processes
