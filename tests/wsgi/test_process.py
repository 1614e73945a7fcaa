"""Processes: signals, hooks, the watch of --reload, what is said at the start, and a server inside a program."""

import os
import re
import signal
import sys
import time

from client import eventually, request
from harness import Skip, expect, row
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
        code, out = command(case, "app:application", "--check", "--hooks", spec)
        expect(code, 4, out)
        assert words in out, out


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
    code, out = command(case, "app:application", "--check", env={"TMPDIR": str(case.folder / "none")})
    expect(code, 1, out)
    # Bodies that stay in memory need none.
    code, out = command(case, "app:application", "--check", "--max-body", "1000", env={"TMPDIR": "/nowhere"})
    expect(code, 0, out)
    if os.geteuid() == 0:
        # A folder that only the master may write.
        private = case.folder / "private"
        private.mkdir(mode=0o700)
        case.folder.chmod(0o755)
        code, out = command(case, *listens_nowhere("app:application", "--user", "nobody"), env={"TMPDIR": str(private)})
        expect(code, 4, out)
        assert "TMPDIR" in out and str(private) in out, out


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


# gevent, eventlet
@row("C", "a process that gevent has patched: refused with threads, a warning with --threads 0", ours=True)
def patched(case):
    (case.folder / "gevent").mkdir()
    (case.folder / "gevent" / "__init__.py").touch()
    (case.folder / "gevent" / "monkey.py").write_text("def is_module_patched(name): return name == 'threading'\n")
    text = "import gevent.monkey\n" + PLAIN
    (case.folder / "app.py").write_text(text)
    for more in ([], ["-w", "2"], ["--preload"]):
        code, out = command(case, *listens_nowhere("app:application", "--threads", "2", *more))
        expect(code, 4, out)
        assert out.count("gunicorn -k gevent") == 1 and "Traceback" not in out, out
    server = serve(case, text, threads=0)
    expect(case.ask(server=server).body, b"plain")
    said(server, "one request at a time")


FIXTURES = """
import os, threading, time, urllib.error, urllib.request
import stheno_wsgi

begun = threading.Event()

def application(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        begun.set()
        time.sleep(0.5)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode(), str(environ["wsgi.multiprocess"]).encode()]

def get(url):
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read()

def refuses(url):
    try:
        get(url)
    except urllib.error.URLError:
        return True
    return False

def state():
    return len(os.listdir("/proc/self/fd")), threading.active_count(), len(os.listdir("/proc/self/task"))

def state_of_one():
    # What the first server leaves for the others is in it.
    with stheno_wsgi.Server(application) as server:
        get(server.url)
    until = time.monotonic() + 10
    while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < until:
        time.sleep(0.01)
    return state()

def settles(before):
    until = time.monotonic() + 10
    while state() != before and time.monotonic() < until:
        time.sleep(0.01)
    assert state() == before, (before, state())

def wait_for(url):
    until = time.monotonic() + 20
    while refuses(url) and time.monotonic() < until:
        time.sleep(0.01)
"""


def program(case, text, code=0):
    """Runs a program to its end."""
    (case.folder / "program.py").write_text(FIXTURES + text)
    got, out = command(case, program=[sys.executable, "program.py"])
    expect(got, code, out)
    return out


# From a program
@row("P", "Server: start, stop, start again, several at once; nothing is left behind", ours=True)
def in_a_thread(case):
    program(case, f"""
before = state_of_one()
for number in range(30):
    with stheno_wsgi.Server(application, threads=number % 4) as server:
        assert get(server.url + "/a") == b"/aFalse"
    assert refuses(server.url)
settles(before)
server = stheno_wsgi.Server(application)
port = server.port
for _ in range(3):
    server.start()
    assert server.is_serving and server.port == port and get(server.url + "/again") == b"/againFalse"
    server.stop()
    assert not server.is_serving and refuses(server.url)
several = [stheno_wsgi.Server(application).start() for _ in range(4)]
assert [get(one.url + "/one") for one in several] == [b"/oneFalse"] * 4
assert len({{one.port for one in several}}) == 4
# A request in progress is finished.
answers = []
client = threading.Thread(target=lambda: answers.append(get(several[0].url + "/slow")))
client.start()
assert begun.wait(10)
for one in several:
    one.stop()
client.join()
assert answers == [b"/slowFalse"], answers
server = stheno_wsgi.Server(application, listen=[{f"unix:{case.folder}/socket"!r}])
assert server.addresses == [{f"{case.folder}/socket"!r}]
server.start()
server.stop()
assert not os.path.exists({f"{case.folder}/socket"!r})
settles(before)
# One that is never stopped.
stheno_wsgi.Server(application).start()
""")


# From a program
@row("P", "Server: errors are exceptions where it is made or started", ours=True)
def in_a_thread_errors(case):
    program(case, """
def raises(kind, words, *args, **options):
    try:
        stheno_wsgi.Server(*args, **options)
    except kind as error:
        assert words in str(error), error
    else:
        raise AssertionError(words)
server = stheno_wsgi.Server(application)
raises(OSError, "taken", application, port=server.port)
raises(TypeError, "workers", application, workers=2)
raises(TypeError, "cannot be called", 5)
raises(ValueError, "url_prefix", application, url_prefix="x")
raises(TypeError, "did you mean", application, treads=2)
server.start()
try:
    server.start()
except RuntimeError as error:
    assert "already" in str(error)
else:
    raise AssertionError("started twice")
server.stop()
server.stop()
""")


# From a program
@row("P", "Server.serve_forever in the main thread: Ctrl+C raises KeyboardInterrupt, and the server has stopped", ours=True)
def in_a_thread_interrupted(case):
    out = program(case, """
import signal
server = stheno_wsgi.Server(application)
def later():
    wait_for(server.url)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=later).start()
try:
    server.serve_forever()
except KeyboardInterrupt:
    print("interrupted", server.is_serving, refuses(server.url))
handler = signal.getsignal(signal.SIGTERM)
assert handler is signal.SIG_DFL, handler
""")
    assert "interrupted False True" in out, out


# From a program
@row("P", "AsyncWSGIServer and serve() in a thread, with shutdown() and stop()", ours=True)
def names_of_the_lab_in_a_thread(case):
    program(case, """
before = state_of_one()
server = stheno_wsgi.AsyncWSGIServer("127.0.0.1", 0)
server.set_app(application)
for _ in range(3):
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/"
    assert get(url + "lab") == b"/labFalse"
    server.shutdown()
    thread.join(20)
    assert not thread.is_alive() and refuses(url)
server.server_close()
# shutdown() before the thread has come to serve.
for _ in range(20):
    server = stheno_wsgi.AsyncWSGIServer("127.0.0.1", 0)
    server.set_app(application)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    server.shutdown()
    thread.join(20)
    assert not thread.is_alive()
    server.server_close()
with stheno_wsgi.Server(application) as free:
    port = free.port
thread = threading.Thread(target=stheno_wsgi.serve, args=(application,), kwargs={"port": port})
thread.start()
wait_for(f"http://127.0.0.1:{port}/")
assert get(f"http://127.0.0.1:{port}/served") == b"/servedFalse"
stheno_wsgi.stop()
thread.join(20)
assert not thread.is_alive()
settles(before)
""")


# From a program
@row("P", "Django's LiveServerThread with AsyncWSGIServer", ours=True)
def live_server_of_django(case):
    try:
        import django  # noqa: F401
    except ImportError:
        raise Skip("Django is not installed") from None
    program(case, """
from django.conf import settings
settings.configure(DEBUG=False, ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="x", INSTALLED_APPS=[],
                   DATABASES={}, STATIC_URL="/static/")
import django
django.setup()
from django.http import HttpResponse
from django.test.testcases import LiveServerThread, _StaticFilesHandler
from django.urls import path
urlpatterns = [path("hello/", lambda request: HttpResponse(f"hello from {request.get_host()}"))]

class Live(LiveServerThread):
    def _create_server(self, connections_override=None):
        return stheno_wsgi.AsyncWSGIServer(self.host, self.port)

for _ in range(3):
    live = Live("127.0.0.1", _StaticFilesHandler)
    live.daemon = True
    live.start()
    live.is_ready.wait()
    assert live.error is None, live.error
    assert get(f"http://127.0.0.1:{live.port}/hello/") == f"hello from 127.0.0.1:{live.port}".encode()
    live.terminate()
    live.join(20)
    assert not live.is_alive()
""")


# Drain
@row("P", "what the end of --grace cuts off is logged: how many, and which", ours=True)
def cut_off(case):
    server = serve(case, """
import time
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"begun"
    for _ in range(1000):
        time.sleep(0.01)
        yield b"."
""", args=["--grace", "1"])
    targets = ["/one?x=1", "/two"][:max(1, server.threads)]
    for target in targets:
        connection = case.connect(server)
        connection.send(request(target, method="POST"))
        expect(connection.head().status, 200)
    server.signal(signal.SIGTERM)
    expect(server.wait(10), 0, "exit code")
    assert f"in the middle of a response: {len(targets)}" in server.log(), server.log()
    line = next(line for line in server.log().splitlines() if "cut off in the application" in line)
    assert f": {len(targets)}: " in line and all(f"POST {target[:4]}" in line for target in targets), line
    assert "x=1" not in line, f"the query is logged: {line}"
    if server.threads:
        assert sum("application (" in line for line in server.log().splitlines()) == 2, f"stacks: {server.log()}"


# Hooks
@row("P", "serve() takes hooks as an object", ours=True)
def hooks_of_a_program(case):
    out = program(case, """
import signal
class Hooks:
    def __init__(self):
        self.pid = os.getpid()
    def when_ready(self, server):
        print("ready", os.getpid() == self.pid == server.pid, flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
    def post_fork(self, server, worker):
        print("fork", os.getpid() == worker.pid != self.pid, worker.number, flush=True)
    def child_exit(self, server, worker):
        print("exit", worker.exitcode, flush=True)
try:
    stheno_wsgi.serve(application, port=0, hooks=object())
except TypeError as error:
    assert "none of when_ready" in str(error), error
else:
    raise AssertionError("hooks without a function")
stheno_wsgi.serve(application, port=0, hooks=Hooks())
print("over")
""")
    lines = [line for line in out.splitlines() if line.split()[0] in ("fork", "ready", "exit", "over")]
    expect(lines, ["fork True 0", "ready True", "exit 0", "over"], out)
