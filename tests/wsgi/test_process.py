"""Processes: signals, hooks, the watch of --reload, what is said at the start, and a server inside a program."""

import os
import re
import signal
import sys
import time

from client import Connection, eventually, request
from harness import expect, row
from test_cli import command, listens_nowhere
from test_operations import VERSION, answers

ANSWER = """
def answer(start_response, body):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]

"""
PLAIN = ANSWER + """
def application(environ, start_response):
    return answer(start_response, b"plain")
"""
HANDLERS = ANSWER + """
import os, signal, threading, time
seen = []
def note(number, frame):
    seen.append(f"{signal.Signals(number).name} {threading.current_thread() is threading.main_thread()} {time.monotonic()}")
    if number == signal.SIGPROF:
        raise ValueError("a handler on purpose")
for number in (signal.SIGALRM, signal.SIGUSR2, signal.SIGCHLD, signal.SIGPROF):
    signal.signal(number, note)
def application(environ, start_response):
    if environ["PATH_INFO"] == "/pid":
        return answer(start_response, str(os.getpid()).encode())
    return answer(start_response, "\\n".join(seen).encode())
"""
TAKES = ANSWER + """
import signal
def mine(number, frame):
    open("handled", "a").write("handled\\n")
for name in ("SIGTERM", "SIGINT", "SIGQUIT"):
    signal.signal(getattr(signal, name), mine)
def application(environ, start_response):
    return answer(start_response, b"takes")
"""


def serve(case, text, name="app", **options):
    """Serves `application` of a module with this text."""
    (case.folder / f"{name}.py").write_text(text)
    return case.serve(app=f"{name}:application", cwd=case.folder, **options)


def said(server, words, patience=20):
    eventually(lambda: words in server.log(), f"the log says {words!r}", patience)


# Signals
@row("P", "an application that takes SIGTERM: one line, and the worker drains at once all the same", ours=True)
def takes_signals(case):
    for args in ([], ["--preload"]):
        server = serve(case, TAKES, args=args)
        expect(case.ask(server=server).body, b"takes")
        lines = [line for line in server.log().splitlines() if "a handler of" in line]
        expect(len(lines), 1, server.log())
        assert all(word in lines[0] for word in ("SIGTERM", "SIGINT", "SIGQUIT", "atexit", "--hooks")), lines
        begun = time.monotonic()
        server.signal(signal.SIGTERM)
        expect(server.wait(20), 0, "exit code")
        assert time.monotonic() - begun < 5, "late"
        assert not (case.folder / "handled").exists(), "the handler has run"


# Signals
@row("P", "after HUP only new code answers, also when the old code took SIGTERM", ours=True)
def takes_signals_and_reloads(case):
    server = serve(case, TAKES)
    expect(case.ask(server=server).body, b"takes")
    (case.folder / "app.py").write_text(PLAIN)
    server.signal(signal.SIGHUP)
    eventually(lambda: case.ask(server=server).body == b"plain", "new code")
    eventually(lambda: len(server.pids()) == 2, "only one worker and its master are left")
    for _ in range(20):
        expect(case.ask(server=server).body, b"plain")


# Signals
@row("P", "a handler that is set later, in the main thread, is noticed and taken back", ours=True)
def takes_signals_later(case):
    server = serve(case, ANSWER + """
import signal
def application(environ, start_response):
    if environ["PATH_INFO"] == "/take":
        signal.signal(signal.SIGTERM, lambda *_: None)
    return answer(start_response, b"taken")
""", threads=0)
    expect(case.ask("/take", server=server).body, b"taken")
    said(server, "a handler of SIGTERM", 5)
    begun = time.monotonic()
    server.signal(signal.SIGTERM)
    expect(server.wait(20), 0, "exit code")
    assert time.monotonic() - begun < 5, "late"


# Signals
@row("P", "Python handlers of other signals run within 100 ms, in the main thread; what they raise is logged", ours=True)
def other_signals(case):
    server = serve(case, HANDLERS)
    worker = int(case.ask("/pid", server=server).body)
    for name in ("SIGALRM", "SIGUSR2", "SIGCHLD", "SIGPROF", "SIGALRM"):
        seen = len(case.ask(server=server).body.splitlines())
        # Nothing else wakes the loop or runs Python meanwhile.
        time.sleep(0.2)
        begun = time.monotonic()
        os.kill(worker, getattr(signal, name))
        time.sleep(0.3)
        lines = case.ask(server=server).body.decode().splitlines()[seen:]
        assert len(lines) == 1 and lines[0].startswith(f"{name} True "), lines
        took = float(lines[0].split()[2]) - begun
        assert took < 0.1, f"{name}: {took:.3f} s"
    said(server, "a signal handler of the application has failed")
    said(server, "a handler on purpose")
    expect(int(case.ask("/pid", server=server).body), worker, "the worker")


# Signals
@row("P", "faulthandler.register and asyncio.run in the application leave the server its signals", ours=True)
def signals_of_libraries(case):
    server = serve(case, ANSWER + """
import asyncio, faulthandler, os, signal
faulthandler.register(signal.SIGUSR1)
async def work():
    await asyncio.sleep(0)
    return b"async"
def application(environ, start_response):
    if environ["PATH_INFO"] == "/pid":
        return answer(start_response, str(os.getpid()).encode())
    return answer(start_response, asyncio.run(work()))
""")
    expect(case.ask(server=server).body, b"async")
    os.kill(int(case.ask("/pid", server=server).body), signal.SIGUSR1)
    said(server, "most recent call first")
    assert "a handler of" not in server.log(), server.log()
    expect(case.ask(server=server).body, b"async")
    server.signal(signal.SIGINT)
    expect(server.wait(10), 0, "exit code")
    assert "KeyboardInterrupt" not in server.log(), server.log()


HOOKS = """
import os
def note(*words):
    with open("hooks", "a") as file:
        file.write(" ".join(map(str, words)) + "\\n")
def when_ready(server):
    note("when_ready", server.pid == os.getpid())
def post_fork(server, worker):
    worker.mine = "kept"
    note("post_fork", worker.number, worker.pid == os.getpid(), server.pid == os.getppid(), worker.pid)
def worker_exit(server, worker):
    note("worker_exit", worker.number, worker.pid == os.getpid(), worker.mine, worker.pid)
def child_exit(server, worker):
    note("child_exit", worker.number, server.pid == os.getpid(), worker.exitcode, worker.pid)
"""


def hooks_of(case):
    path = case.folder / "hooks"
    return path.read_text().splitlines() if path.exists() else []


# Hooks
@row("P", "--hooks: when_ready, post_fork, worker_exit, child_exit, each in its process", ours=True)
def hooks(case):
    (case.folder / "operator_hooks.py").write_text(HOOKS)
    server = serve(case, PLAIN, workers=2, args=["--hooks", "operator_hooks"])
    expect(case.ask(server=server).body, b"plain")
    eventually(lambda: "when_ready True" in hooks_of(case), "when_ready")
    forked = [line for line in hooks_of(case) if line.startswith("post_fork")]
    expect(sorted(line.rsplit(" ", 1)[0] for line in forked), ["post_fork 0 True True", "post_fork 1 True True"])
    pids = {int(line.split()[1]): int(line.split()[-1]) for line in forked}
    # A worker that is killed, and its replacement.
    os.kill(pids[1], signal.SIGKILL)
    eventually(lambda: f"child_exit 1 True -9 {pids[1]}" in hooks_of(case), "child_exit of a killed worker")
    eventually(lambda: sum(line.startswith("post_fork 1") for line in hooks_of(case)) == 2, "post_fork again")
    # A reload, and the end.
    server.signal(signal.SIGHUP)
    eventually(lambda: f"child_exit 0 True 0 {pids[0]}" in hooks_of(case), "child_exit after a reload")
    server.signal(signal.SIGTERM)
    expect(server.wait(20), 0, "exit code")
    lines = hooks_of(case)
    expect(sum(line == "when_ready True" for line in lines), 1, "when_ready")
    assert f"worker_exit 0 True kept {pids[0]}" in lines, lines
    count = {name: sum(line.startswith(name) for line in lines) for name in ("post_fork", "worker_exit", "child_exit")}
    expect(count["post_fork"], count["child_exit"], lines)
    expect(count["worker_exit"], count["child_exit"] - 1, lines)


# Hooks
@row("P", "a hook that raises: a line and its traceback, and the server goes on", ours=True)
def hooks_that_raise(case):
    (case.folder / "raising.py").write_text("import sys\n" + "".join(
        f"def {name}(*args):\n    {what}\n" for name, what in
        [("when_ready", "raise ValueError('ready on purpose')"), ("post_fork", "sys.exit('fork on purpose')"),
         ("worker_exit", "1/0"), ("child_exit", "raise KeyError('child on purpose')")]))
    server = serve(case, PLAIN, args=["--hooks", "raising"])
    expect(case.ask(server=server).body, b"plain")
    server.signal(signal.SIGHUP)
    said(server, "child on purpose")
    expect(case.ask(server=server).body, b"plain")
    server.signal(signal.SIGTERM)
    expect(server.wait(20), 0, "exit code")
    for words in ("ready on purpose", "fork on purpose", "ZeroDivisionError", "the hook when_ready has failed",
                  "the hook post_fork has failed", "the hook worker_exit has failed", "the hook child_exit has failed"):
        assert words in server.log(), f"{words!r} is missing: {server.log()}"


# Hooks
@row("P", "--hooks that cannot be loaded: one line or the traceback, exit 4", ours=True)
def hooks_that_fail(case):
    (case.folder / "app.py").write_text(PLAIN)
    (case.folder / "broken.py").write_text("1/0\n")
    (case.folder / "empty.py").write_text("class hooks: pass\n")
    for spec, words in [("nowhere_at_all", "no module 'nowhere_at_all'"), ("broken", "ZeroDivisionError"),
                        ("empty", "none of when_ready"), ("empty:hooks", "none of when_ready"),
                        ("empty:missing", "'missing'"), ("./empty.py", "MODULE:OBJECT")]:
        code, out = command(case, *listens_nowhere("app:application", "--hooks", spec))
        expect(code, 4, out)
        assert words in out and ("Traceback" in out) == (spec == "broken"), out


# Reload
@row("P", "--reload: code that is broken at the start is loaded when it is mended", ours=True)
def reload_broken(case):
    app, part = case.folder / "app.py", case.folder / "part.py"
    mended = "import part\n" + VERSION % 1
    for number, (broken, piece, words) in enumerate([
            ("def broken(:\n", "", "SyntaxError"), (mended, "def broken(:\n", "part.py"), ("1/0\n", "", "ZeroDivisionError"),
            (mended, None, "No module named 'part'"), ("import sys; sys.exit(3)\n", "", "SystemExit"),
            ("other = 1\n", "", "has no 'application'"), (None, "", "no module 'app'")]):
        for path, text in ((app, broken), (part, piece)):
            path.unlink(missing_ok=True)
            if text is not None:
                path.write_text(text)
        server = case.serve(app="app:application", cwd=case.folder, args=["--reload"], workers=1 + number % 2)
        said(server, words)
        expect(case.ask(server=server).status, 500)
        expect(server.log().count("the application cannot be loaded;"), 1, "the line")
        for path, text in ((app, mended), (part, "x = 1\n")):
            if not path.exists() or path.read_text() != text:
                path.write_text(text)
        eventually(lambda: answers(case, server, None, b"version 1"), f"the mended code after {words}")
        # Once more, from code that has served.
        part.write_text("x = \n")
        eventually(lambda: case.ask(server=server).status == 500, "the broken code")
        part.write_text("x = 3\n")
        eventually(lambda: answers(case, server, None, b"version 1"), "the mended code, again")
        server.stop()


# C: exit 1
@row("C", "a TMPDIR that is missing or cannot be written: one line, exit 1", ours=True)
def temporary_folder(case):
    (case.folder / "app.py").write_text(PLAIN)
    code, out = command(case, *listens_nowhere("app:application"), env={"TMPDIR": str(case.folder / "none")})
    expect(code, 1, out)
    assert "TMPDIR" in out and str(case.folder / "none") in out and len(out.splitlines()) == 1, out


# C: exit 4
@row("C", "an ASGI application, or a path instead of a module: one line that says what to write, exit 4", ours=True)
def hints(case):
    (case.folder / "site").mkdir()
    (case.folder / "package" / "inner").mkdir(parents=True)
    for folder in ("package", "package/inner"):
        (case.folder / folder / "__init__.py").touch()
    for name in ("app.py", "site/app.py", "package/module.py", "package/inner/module.py", "my-app.py", "app.wsgi"):
        (case.folder / name).write_text(PLAIN)
    for spec, words in [
            ("app.py", "write app"), ("./app.py:app", "write app:app"), ("site/app.py:app", "write --chdir site app:app"),
            ("site/app:app", "write --chdir site app:app"), (f"{case.folder}/site/app.py", "write --chdir site app"),
            ("package/module.py", "write package.module"), ("package/inner/module.py:a", "write package.inner.module:a"),
            ("package/", "write package"), ("my-app.py", "rename my-app.py"), ("app.wsgi", "ends with .py")]:
        code, out = command(case, *listens_nowhere(spec))
        expect(code, 4, out)
        assert re.search(re.escape(words) + r"\b", out) and "Traceback" not in out, f"{spec}: {out}"
    (case.folder / "asgi_app.py").write_text("""
import functools
async def function(scope, receive, send): pass
class Class:
    async def __call__(self, scope, receive, send): pass
class Plain:
    def __call__(self, scope, receive, send): pass
instance, plain, partial = Class(), Plain(), functools.partial(function)
""")
    for name in ("function", "Class", "instance", "plain", "partial"):
        code, out = command(case, *listens_nowhere(f"asgi_app:{name}"))
        expect(code, 4, out)
        assert f"a2wsgi.ASGIMiddleware({name})" in out and "Traceback" not in out, out
