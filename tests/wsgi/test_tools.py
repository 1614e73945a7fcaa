"""Tools that look at threads: debugpy, coverage, py-spy."""

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys

from client import request
from dap import Debugger
from harness import Skip, expect, row
from servers import BIN, Stheno

APPLICATION = """def helper(count):
    total = 0
    for number in range(count):
        total += number
    return total


def never():
    return 1


def application(environ, start_response):
    total = helper(3)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(total).encode()]
"""


def needs(package):
    if importlib.util.find_spec(package) is None:
        raise Skip(f"{package} is not installed")


class Covered(Stheno):
    """The server under `coverage run`."""

    def command(self):
        _, *line = super().command()
        return [sys.executable, "-m", "coverage", "run", *line]


def coverage(folder, *arguments):
    line = [sys.executable, "-m", "coverage", *arguments]
    subprocess.run(line, cwd=folder, check=True, capture_output=True)


# Item 11: coverage
@row("P", "coverage counts the lines of an application, on threads and on the loop", ours=True)
def covered(case):
    needs("coverage")
    case.kind = Covered
    for threads in (4, 0):
        folder = case.folder / str(threads)
        folder.mkdir()
        (folder / "shop.py").write_text(APPLICATION)
        (folder / ".coveragerc").write_text("[run]\nparallel = true\npatch = _exit\nsource = .\n")
        server = case.serve(app="shop:application", threads=threads, cwd=folder)
        expect(case.ask(server=server).body, b"3")
        server.signal(signal.SIGTERM)
        expect(server.wait(), 0, "exit code")
        coverage(folder, "combine")
        coverage(folder, "json")
        report = json.loads((folder / "coverage.json").read_text())["files"]["shop.py"]
        expect(report["missing_lines"], [9], f"{threads} threads: lines that were not run")


# Item 11: debugpy
@row("P", "debugpy stops at a breakpoint, on threads and on the loop", ours=True)
def debugged(case):
    needs("debugpy")
    (case.folder / "shop.py").write_text(APPLICATION)
    for threads, name in [(1, "wsgi-0"), (0, "MainThread")]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        # As docs/WSGI.md shows it, and waiting, so that no request comes before the breakpoint is set.
        (case.folder / "shop_debug.py").write_text(
            f"import debugpy\ndebugpy.listen({port})\ndebugpy.wait_for_client()\nfrom shop import application\n")
        server = case.kind(app="shop_debug:application", threads=threads, cwd=case.folder, args=["--timeout", "0"])
        case.stack.callback(server.stop)
        server.launch()
        with Debugger(port) as debugger:
            debugger.attach(case.folder / "shop.py", 4)
            server.wait_until_it_listens()
            connection = case.connect(server)
            connection.send(request("/"))
            thread, stopped, frames = debugger.stop()
            expect((stopped, frames[:2]), (name, [("helper", 4), ("application", 13)]))
            debugger.ask("setBreakpoints", source={"path": str(case.folder / "shop.py")}, breakpoints=[])
            debugger.ask("continue", threadId=thread)
            expect(connection.answer().body, b"3")
        server.stop()


# Item 11: py-spy
@row("P", "py-spy shows the names of threads", ours=True)
def sampled(case):
    spy = shutil.which("py-spy", path=f"{BIN}:{os.environ['PATH']}")
    if spy is None:
        raise Skip("py-spy is not installed")
    server = case.serve()
    worker = case.ask(app="pids", server=server).body.split()[0].decode()
    run = subprocess.run([spy, "dump", "--pid", worker], capture_output=True, text=True)
    if run.returncode and "ermission" in run.stderr:
        raise Skip("py-spy may not trace processes here")
    expect(run.returncode, 0, run.stderr)
    for name in ["MainThread", *(f"wsgi-{number}" for number in range(server.threads))]:
        assert f'"{name}"' in run.stdout, run.stdout
