"""The seed's classes, and `serve()`: the interface of the module."""

import importlib.util
import signal
import subprocess
import sys

import servers
from client import Connection, request
from harness import expect, row

# The seed's program, with the two lines of its imports changed.
SEED = """
import argparse
import importlib
from stheno_wsgi import AsyncWSGIServer
from stheno_wsgi import AsyncWSGIRequestHandler

def parse_args():
    parser = argparse.ArgumentParser("Simple asynchronous web-server")
    parser.add_argument("application")
    parser.add_argument("--host", dest="host", default="127.0.0.1")
    parser.add_argument("--port", dest="port", type=int, default=9000)
    return parser.parse_args()

if __name__ == "__main__":
    args = parse_args()
    module, name = args.application.split(":")
    server = AsyncWSGIServer(host=args.host, port=args.port)
    server.set_app(getattr(importlib.import_module(module), name))
    assert callable(server.get_app())
    server.serve_forever()
"""


class Script(servers.Stheno):
    """A program that starts a server itself."""

    text = SEED

    def command(self):
        path = self.folder / "script.py"
        path.write_text(self.text)
        return [sys.executable, str(path), self.app, "--port", "0"]


def script(case, text):
    server = Script()
    server.text = text
    case.stack.callback(server.stop)
    server.start()
    return server


# The seed, section 4
@row("A", "the seed's program serves, and TERM and INT end it", ours=True)
def seed(case):
    for number in (signal.SIGTERM, signal.SIGINT):
        server = script(case, SEED)
        expect(case.ask(app="one", server=server).body, b"Hello World")
        expect(case.ask(app="echo", method="POST", body=[b"a", b"b"], server=server).body, b"ab")
        server.signal(number)
        server.wait(15)
        assert not server.pids(), "something is left running"


# The seed, section 4
@row("A", "AsyncWSGIServer and AsyncWSGIRequestHandler have the seed's methods", ours=True)
def names(case):
    code = """
import stheno_wsgi
server, handler = stheno_wsgi.AsyncWSGIServer, stheno_wsgi.AsyncWSGIRequestHandler
for owner, names in [(server, "set_app get_app serve_forever"),
                     (handler, "get_environ start_response handle_request finish_response")]:
    for name in names.split():
        assert callable(getattr(owner, name)), name
app = lambda environ, start_response: []
one = server(host="127.0.0.1", port=0)
one.set_app(app)
assert one.get_app() is app
assert callable(stheno_wsgi.serve)
assert stheno_wsgi.__version__
import pathlib
folder = pathlib.Path(stheno_wsgi.__file__).parent
assert list(folder.glob("*.pyi")) and (folder / "py.typed").exists(), "it is not typed"
print("fine")
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    expect(run.stdout, "fine\n", run.stderr)


HANDLER = """
from stheno_wsgi import AsyncWSGIServer, AsyncWSGIRequestHandler
import apps

class Handler(AsyncWSGIRequestHandler):
    def get_environ(self):
        environ = super().get_environ()
        environ["HTTP_X_FROM_THE_HANDLER"] = "yes"
        return environ

server = AsyncWSGIServer(host="127.0.0.1", port=0, handler_class=Handler)
server.set_app(apps.application)
server.serve_forever()
"""


# The seed, section 4
@row("A", "a custom handler changes the app's environment", ours=True)
def handler(case):
    server = script(case, HANDLER)
    expect(case.environ(server=server, app="bare").get("HTTP_X_FROM_THE_HANDLER"), "yes")


SERVE = """
import stheno_wsgi, apps
stheno_wsgi.serve(apps.application, host="127.0.0.1", port=0, workers={workers}, threads={threads})
print("serve() has returned", flush=True)
"""


# serve()
@row("A", "serve(app, host, port, workers, threads) serves until it is stopped", ours=True)
def serve(case):
    for workers, threads in [(1, 4), (2, 1), (1, 0)]:
        server = script(case, SERVE.format(workers=workers, threads=threads))
        with Connection(server.address) as connection:
            seen = connection.ask(app="dump").json
            expect(seen["wsgi.multithread"][1], str(threads > 1))
            expect(seen["wsgi.multiprocess"][1], str(workers > 1))
            for _ in range(5):
                expect(connection.ask(app="one").body, b"Hello World")
        server.signal(signal.SIGTERM)
        expect(server.wait(15), 0)
        assert not server.pids(), "something is left running"


# bottle's adapter
@row("A", "bottle: run(server=...) with the adapter", ours=True)
def bottle(case):
    if not importlib.util.find_spec("bottle"):
        raise servers.Skip("bottle is not installed")
    server = script(case, """
import bottle, stheno_wsgi

@bottle.route("/hello/<name>")
def hello(name):
    return "Hello " + name

bottle.run(server=stheno_wsgi.SthenoServer, host="127.0.0.1", port=0, quiet=True)
""")
    expect(case.ask("/hello/bottle", server=server).body, b"Hello bottle")
    with Connection(server.address) as connection:
        connection.send(request("/hello/again"))
        expect(connection.answer().body, b"Hello again")
