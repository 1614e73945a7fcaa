"""The command: its flags, its variables, and its error messages."""

import re
import signal
import subprocess
import sys
import time

import servers
from client import Connection, eventually
from harness import Skip, expect, row

APP = """def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"here"]
"""
FACTORY = """def create_app(name="default", k=0):
    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{name} {k}".encode()]
    return application
"""
# The words of --log, which tests/wire/command.rs gives to the server and its twin.
LEVELS = "debug info warning error critical off trace notset warn fatal DEBUG Info"


def command(case, *arguments, env=None, cwd=None, program=None, patience=30):
    """Runs the command to its end; returns its exit code and output."""
    if case.kind is servers.Custom:
        raise Skip("another server's command")
    server = case.kind()
    environment = {**server.environment(), **(env or {})}
    process = subprocess.Popen([*(program or [sys.executable, "-m", "stheno_wsgi"]), *arguments], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd or case.folder,
                               env=environment, start_new_session=True, preexec_fn=servers.end_with_us)
    server.process = process
    servers.RUNNING.add(server)
    try:
        said, _ = process.communicate(timeout=patience)
        eventually(lambda: not server.pids(), "nothing is left running", 10)
        return process.returncode, said
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{arguments}: still running after {patience} s") from None
    finally:
        server.kill()


def listens_nowhere(*arguments):
    return [*arguments, "--port", "0"]


# C: exit 4
@row("C", "an app that does not import: its traceback, exit 4, nothing left", ours=True)
def import_error(case):
    (case.folder / "broken.py").write_text("import does_not_exist_at_all\n")
    (case.folder / "syntax.py").write_text("def broken(:\n")
    (case.folder / "raising.py").write_text("raise ValueError('on purpose')\n")
    (case.folder / "leaving.py").write_text("import sys\nsys.exit(0)\n")
    for name, words in [("broken", "does_not_exist_at_all"), ("syntax", "SyntaxError"), ("raising", "on purpose"),
                        ("nowhere_at_all", "nowhere_at_all"), ("leaving", "leaving")]:
        for more in ([], ["-w", "3"], ["--preload"], ["--threads", "0"]):
            code, said = command(case, *listens_nowhere(f"{name}:application", *more))
            expect(code, 4, f"{name} {more}: {said[-500:]}")
            assert words in said, said
            if name in ("broken", "raising"):
                assert f"{name}.py" in said and "Traceback" in said, said


# C: exit 4
@row("C", "a missing or uncallable name: one line, exit 4", ours=True)
def wrong_name(case):
    (case.folder / "good.py").write_text(APP + "number = 5\n")
    for name, words in [("good:missing", "missing"), ("good:number", "number")]:
        code, said = command(case, *listens_nowhere(name))
        expect(code, 4, said)
        lines = [line for line in said.splitlines() if words in line]
        assert lines and "Traceback" not in said, said


# C: exit 2
@row("C", "an unknown flag or invalid value: one line, exit 2", ours=True)
def wrong_flags(case):
    (case.folder / "good.py").write_text(APP)
    for arguments in [["--no-such-flag"], ["--threads", "many"], ["--threads", "-1"], ["-w", "x"], ["--max-body", "big"],
                      ["--static", "nonsense"], ["--bind", "256.256.256.256:x"]]:
        code, said = command(case, "good:application", *arguments)
        expect(code, 2, f"{arguments}: {said}")
        assert "Traceback" not in said, said
    code, said = command(case)
    expect(code, 2, said)
    assert "Traceback" not in said, said


# C: --log
@row("C", "--log takes the words that stheno takes, and no other", ours=True)
def levels(case):
    for word in LEVELS.split():
        code, said = command(case, *listens_nowhere("nowhere_at_all:application", "--log", word))
        expect(code, 4, f"{word}: {said}")
    code, said = command(case, "nowhere_at_all:application", "--log", "loud")
    expect(code, 2, said)
    assert all(word.lower() in said for word in LEVELS.split()), said


# C: start-up
@row("C", "the start-up lines show app, URL, workers and threads", ours=True)
def start_up(case):
    server = case.serve(workers=2, threads=3)
    eventually(lambda: f"http://127.0.0.1:{server.port}/" in server.log(), "the URL")
    log = server.log()
    assert "apps:application" in log, log
    assert re.search(r"workers:? +2\b", log) and re.search(r"threads:? +3\b", log), log


# C: --help, --version, the console command
@row("C", "stheno-wsgi is installed beside python, with --help and --version", ours=True)
def console(case):
    program = [str(servers.BIN / "stheno-wsgi")]
    code, said = command(case, "--help", program=program)
    expect(code, 0, said)
    for flag in ["--bind", "--host", "--port", "-w", "--log", "--logfile", "--threads", "--preload", "--reload", "--max-body",
                 "--max-requests", "--timeout", "--url-prefix", "--static", "--access-log", "--forwarded-allow-ips",
                 "--factory", "--chdir"]:
        assert re.search(rf"(?<![\w-]){flag}(?![\w-])", said), f"--help does not speak of {flag}"
    code, said = command(case, "--version", program=program)
    expect(code, 0, said)
    assert re.search(r"\d+\.\d+\.\d+", said), said


# C: factories
@row("C", "--factory and module:create_app('x', k=1)", ours=True)
def factory(case):
    (case.folder / "made.py").write_text(FACTORY)
    for app, args, wanted in [("made:create_app", ["--factory"], b"default 0"), ("made:create_app('x', k=1)", [], b"x 1"),
                              ("made:create_app()", [], b"default 0")]:
        server = case.serve(app=app, args=args, cwd=case.folder)
        expect(case.ask(server=server).body, wanted)
        server.stop()
    code, said = command(case, *listens_nowhere("made:create_app(__import__('os').getpid())"))
    expect(code, 4, f"an argument that is no literal: {said}")


# C: sys.path
@row("C", "the working directory is on sys.path; --chdir changes it", ours=True)
def paths(case):
    inner = case.folder / "inner"
    inner.mkdir()
    (inner / "here.py").write_text(APP)
    server = case.serve(app="here:application", cwd=inner)
    expect(case.ask(server=server).body, b"here")
    server = case.serve(app="here:application", cwd=case.folder, args=["--chdir", "inner"])
    expect(case.ask(server=server).body, b"here")
    code, said = command(case, *listens_nowhere("here:application", "--chdir", "nowhere"))
    assert code in (1, 2, 4) and "nowhere" in said and "Traceback" not in said, f"{code} {said}"


# C: --bind
@row("C", "--bind: several listeners, with unix:PATH; its file is removed at the end", ours=True)
def bind(case):
    path = case.folder / "socket"
    server = case.serve(unix=path, args=["--bind", "127.0.0.1:0"])
    port = eventually(lambda: re.search(r"http://127\.0\.0\.1:(\d+)/", server.log()), "the URL")[1]
    with Connection(str(path)) as one, Connection(("127.0.0.1", int(port))) as other:
        expect(one.ask(app="one").body, b"Hello World")
        expect(other.ask(app="one").body, b"Hello World")
        expect(other.ask(app="dump").json["SERVER_PORT"][1], port)
    server.signal(signal.SIGTERM)
    server.wait()
    assert not path.exists(), "the socket's file is still there"


# C: a port in use
@row("C", "a port that is in use: one line, exit 1", ours=True)
def port_in_use(case):
    server = case.serve()
    code, said = command(case, "apps:application", "--port", str(server.port))
    expect(code, 1, said)
    assert "Traceback" not in said and str(server.port) in said, said


# C: STHENO_*
@row("C", "every flag also from STHENO_*; the command line wins", ours=True)
def variables(case):
    server = case.serve(threads=1, env={"STHENO_URL_PREFIX": "/env", "STHENO_MAX_BODY": "100", "STHENO_THREADS": "9",
                                        "STHENO_WORKERS": "3"})
    seen = case.environ("/env/x", server=server)
    expect((seen["SCRIPT_NAME"], seen["PATH_INFO"], seen["wsgi.multithread"]), ("/env", "/x", "False"))
    expect(case.ask("/env/x", "digest", "POST", body=b"x" * 101, server=server).status, 413)
    code, said = command(case, "apps:application", "--port", "0", env={"STHENO_THREADS": "many"})
    expect(code, 2, said)
    assert "environment" in said and "STHENO_THREADS" in said and '"many"' in said and "Traceback" not in said, said


# C: --forwarded-allow-ips
@row("C", "--forwarded-allow-ips: the proxies whose X-Forwarded fields are used", ours=True)
def forwarded(case):
    said = [("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Proto", "https")]
    server = case.serve(args=["--forwarded-allow-ips", "127.0.0.1"])
    seen = case.environ(headers=said, server=server)
    expect((seen["REMOTE_ADDR"], seen["wsgi.url_scheme"]), ("203.0.113.7", "https"))
    seen = case.environ(headers=[("X-Forwarded-For", "198.51.100.1, 203.0.113.7"), ("X-Forwarded-Proto", "HTTPS")],
                        server=server)
    expect(seen["REMOTE_ADDR"], "203.0.113.7", "of several, the last that is not trusted")
    for nonsense in ("ftp", "https, http", "\xff", ""):
        seen = case.environ(headers=[("X-Forwarded-Proto", nonsense), ("X-Forwarded-For", "not an address")], server=server)
        assert seen["wsgi.url_scheme"] in ("http", "https"), seen["wsgi.url_scheme"]
        expect(seen["REMOTE_ADDR"], "127.0.0.1", "an invalid address is ignored")
    server = case.serve(args=["--forwarded-allow-ips", "10.0.0.1"])
    seen = case.environ(headers=said, server=server)
    expect((seen["REMOTE_ADDR"], seen["wsgi.url_scheme"]), ("127.0.0.1", "http"))


# C: logs
@row("C", "--access-log and --logfile: a line for each response", ours=True)
def logs(case):
    access, log = case.folder / "access", case.folder / "log"
    server = case.serve(args=["--access-log", str(access)])
    case.ask("/seen?x", "one", server=server)
    eventually(lambda: access.exists() and re.search(r'127\.0\.0\.1 .*"GET /seen\?x HTTP/1\.1" 200 11', access.read_text()),
               "the line in the access log")
    # With --logfile everything, the URL included, goes to the file instead of standard error.
    server = case.kind(args=["--logfile", str(log), "--log", "debug"])
    case.stack.callback(server.stop)
    server.found_port = lambda: (found := re.search(r"http://127\.0\.0\.1:(\d+)/", (log.read_text() if log.exists() else "")
                                                    + server.log())) and int(found[1])
    server.start()
    expect(case.ask(app="one", server=server).body, b"Hello World")
    eventually(lambda: log.exists() and log.read_text(), "a line in the log")


# C: --log
@row("C", "threads: the seed's 0.3 s for 20 clients take 0.3 s with 20 threads", ours=True)
def threads(case):
    server = case.serve(threads=20)
    connections = [case.connect(server) for _ in range(20)]
    begun = time.monotonic()
    for connection in connections:
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-App: sleeps\r\n\r\n")
    for connection in connections:
        expect(connection.answer().body, b"slept")
    # One after the other they would take 6 s.
    took = time.monotonic() - begun
    assert took < 3, f"{took:.1f} s"
