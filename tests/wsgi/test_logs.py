"""The log with its requests and tracebacks, formats of the access log, Python's logging."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

from client import Connection, eventually, request
from harness import expect, row

# Time, process and level as gunicorn writes them, then thread, id and request.
LINE = re.compile(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000\] \[(\d+)\] \[(\w+)\] (?:\[([^]]*)\] )?(?:\[([^] ]+)\] (\S+) (\S+): )?(.*)")
MADE = re.compile(r"[0-9a-f]{12}-[0-9a-f]+")


def lines(text):
    """The lines of a log as tuples: process, level, thread, id, method, path, text."""
    return [found.groups() for found in map(LINE.fullmatch, text.splitlines()) if found]


def find(read, text, what=None):
    """The line of the log with this text at its end, once it is there."""
    return eventually(lambda: [line for line in lines(read()) if line[6].endswith(text)], what or f"{text!r} in the log")[0]


def logged(case, **options):
    """A server with a log file, and a function that reads that."""
    path = case.folder / "error.log"
    args = ["--logfile", str(path), *options.pop("args", [])]
    server = case.serve(args=args, **options)
    return server, path


# Lines of the log
@row("L", "an exception: one line with its request, and the traceback, in the log file", ours=True)
def failure(case):
    server, path = logged(case)
    case.ask("/a%20b/c?secret=1", "fails", server=server, headers=[("X-Request-ID", "given-1")])
    pid, level, thread, number, method, target, text = find(path.read_text, "ValueError: on purpose")
    expect((level, number, method, target), ("ERROR", "given-1", "GET", "/a%20b/c"))
    assert int(pid) in server.pids() and thread, (pid, thread)
    after = path.read_text().split("ValueError: on purpose\n", 1)[1]
    for words in ("  Traceback (most recent call last):\n", "  KeyError: 'the cause'\n", "raise ValueError",
                  "the direct cause", "  ValueError: on purpose\n"):
        assert words in after, after
    assert "Traceback" not in server.log() and "secret" not in path.read_text(), server.log()
    # Once more: the same is not left out. Without an id the server makes one.
    case.ask("/two", "fails", server=server)
    eventually(lambda: path.read_text().count("  Traceback") == 4, "two pairs of tracebacks")
    made = [line for line in lines(path.read_text()) if line[5] == "/two"][0]
    assert MADE.fullmatch(made[3]), made
    case.ask("/three", "fails_in_close", server=server)
    expect(find(path.read_text, "ValueError: in close()")[5], "/three")


@row("L", "without a log file the traceback is in standard error", ours=True)
def failure_in_stderr(case):
    server = case.serve()
    case.ask("/x", "fails", server=server)
    expect(find(server.log, "ValueError: on purpose")[5], "/x")
    eventually(lambda: "  Traceback (most recent call last):\n" in server.log(), "the traceback")


@row("L", "no text of a request or an exception can begin a line of the log, or control a terminal", ours=True)
def forged(case):
    server, path = logged(case)
    forged = "x|[2026-01-01 00:00:00 +0000] [1] [INFO] forged^[2J"
    case.ask("/" + "p" * 1000, "fails", server=server, headers=[("X-Text", forged), ("X-Request-ID", "a\"b")])
    find(path.read_text, "ValueError: x")
    eventually(lambda: "forged" in path.read_text(), "the traceback")
    text = path.read_text()
    assert "\n[2026-01-01" not in text and "\x1b" not in text and "\\x1b[2J" in text, text
    line = find(path.read_text, "ValueError: x")
    assert MADE.fullmatch(line[3]) and len(line[5]) < 250, line


@row("L", "tracebacks of many threads and processes do not mix", ours=True)
def whole_tracebacks(case):
    server, path = logged(case, workers=2)

    def client(number):
        for turn in range(25):
            case_ask(server, f"/{number}/{turn}")

    def case_ask(server, target):
        with Connection(server.address) as connection:
            expect(connection.ask(target, "fails_twice", "GET", [("X-Mark", case.mark)]).status, 500)
    threads = [threading.Thread(target=client, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(lambda: len(lines(path.read_text())) >= 100, "a hundred lines")
    found, inside = set(), []
    for line in path.read_text().splitlines():
        parsed = LINE.fullmatch(line)
        if parsed:
            inside.append([parsed[6]])
        elif inside:
            inside[-1].append(line)
    for path_of, *rest in (block for block in inside if block[0].startswith("/")):
        expect((rest[0], rest[-1]), ("  Traceback (most recent call last):", "  ValueError: twice the same"))
        found.add(path_of)
    expect(len(found), 100, "tracebacks")


@row("L", "wsgi.errors: every line has its request, from any thread", ours=True)
def errors_stream(case):
    server, path = logged(case)
    answer = case.ask("/errors", "stream", server=server)
    expect(answer.json, ["UnsupportedOperation", False, False, True, False, "utf-8", False])
    mark = case.mark
    for text in (f"printed {mark} 5", f"no end of line {mark}", f"begun {mark} and ended", f"one {mark}",
                 f"handled {mark}", f"left open {mark}"):
        line = find(path.read_text, text)
        expect((line[1], line[4], line[5], line[6]), ("APP", "GET", "/errors", text))
    assert f"one {mark}\n  two \\x1b[31m {mark}\n" in path.read_text(), path.read_text()
    expect(find(path.read_text, f"elsewhere {mark}")[2:6], ("thread-of-app", None, None, None))


@row("L", "a client that leaves during write() is no error of the application", ours=True)
def client_leaves(case):
    server, path = logged(case, args=["--log", "debug"])
    with Connection(server.address) as connection:
        connection.send(request("/gone", "writes_on", headers=[("X-Mark", case.mark)]))
        connection.more()
        connection.reset()
    expect(find(path.read_text, "the client has left")[1], "DEBUG")
    assert "BrokenPipeError" not in path.read_text(), path.read_text()


@row("L", "the log file is opened again at USR1, for tracebacks and wsgi.errors as well", ours=True)
def rotated(case):
    server, path = logged(case)
    case.ask("/one", "fails", server=server)
    find(path.read_text, "ValueError: on purpose")
    old = path.rename(path.with_suffix(".old"))
    server.signal(signal.SIGUSR1)
    eventually(path.exists, "a new file")
    read = lambda: path.read_text() if path.exists() else ""  # noqa: E731

    def in_the_new():
        case.ask("/two", "fails", server=server)
        return any(line[5] == "/two" for line in lines(read()))
    eventually(in_the_new, "a line in the new file")
    case.ask("/three", "errors", server=server)
    eventually(lambda: any(line[5] == "/three" for line in lines(read())), "wsgi.errors in the new file")
    assert "/three" not in old.read_text()


# The access log
ATOMS = ('%(h)s %(l)s %(u)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %(m)s %(U)s %(q)s %(H)s %(B)s %({x-one}i)s %({x-thing}o)s '
         '%({content-type}o)s %({x-none}o)s %({HTTP_X_ONE}e)s %(i)s')


@row("L", "gunicorn's format of the access log", ours=True)
def atoms(case):
    path = case.folder / "access.log"
    server = case.serve(args=["--access-log", str(path), "--access-log-format", ATOMS + " %(T)s %(M)s %(D)s %(L)s %(p)s %(t)s"])
    case.ask("/p/x?q=1", "many_fields", server=server, headers=[("Referer", "http://r/"), ("User-Agent", "me"), ("X-One", "1"),
                                                                ("X-Request-ID", "given")])
    line = eventually(lambda: path.exists() and path.read_text(), "a line").strip()
    want = ('127.0.0.1 - - "GET /p/x?q=1 HTTP/1.1" 201 5 "http://r/" "me" GET /p/x q=1 HTTP/1.1 5 1 a \\"b\\" text/plain - 1 '
            'given ')
    assert line.startswith(want), line
    rest = re.fullmatch(r"0 \d+ (\d+) 0\.(\d{6}) <(\d+)> \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\]", line[len(want):])
    assert rest and int(rest[1]) == int(rest[2]) and int(rest[3]) in server.pids(), line


@row("L", "the id of a request is the same in access log, error log and application", ours=True)
def ids(case):
    access = case.folder / "access.log"
    server, path = logged(case, args=["--access-log", str(access), "--access-log-format", "json"])
    said = case.ask("/id", "says_id", server=server).body.decode()
    assert MADE.fullmatch(said), said
    case.ask("/fails", "fails", server=server)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    said_trace = case.ask("/trace", "says_id", server=server, headers=[("traceparent", f"00-{trace}-00f067aa0ba902b7-01")])
    expect(said_trace.body.decode(), trace)
    in_error = find(path.read_text, "ValueError: on purpose")[3]

    def objects():
        text = access.read_text() if access.exists() else ""
        return {one["target"]: one for one in map(json.loads, text.splitlines())}
    found = eventually(lambda: len(objects()) >= 3 and objects(), "three lines")
    expect([found[key]["request_id"] for key in ("/id", "/fails", "/trace")], [said, in_error, trace])
    expect((found["/fails"]["status"], found["/fails"]["malformed"]), (500, None))


@row("L", "mistakes in the options of logs are one line", ours=True)
def mistakes(case):
    broken = {"a.yaml": "x", "a.json": "{", "b.json": '{"handlers": {"h": {"class": "no.such.Class"}}}', "a.ini": "[loggers]\n"}
    for name, text in broken.items():
        (case.folder / name).write_text(text)
    for options, code, says in [
        (["--access-log-format", "%(x)s"], 2, "there is no %(x)s; there are %(h)s"),
        (["--access-log-format", "%({wsgi.input}e)s"], 2, "the log does not know wsgi.input of the environ"),
        (["--log-config", "none.json"], 4, "--log-config none.json: "),
        (["--log-config", "none.ini"], 4, "--log-config none.ini: "),
        (["--log-config", "a.yaml"], 4, "the name must end in .ini (fileConfig), .json or .toml"),
        (["--log-config", "a.json"], 4, "--log-config a.json: "),
        (["--log-config", "b.json"], 4, "--log-config b.json: Unable to configure handler 'h'"),
        (["--log-config", "a.ini"], 4, "--log-config a.ini: "),
    ]:
        run = subprocess.run([sys.executable, "-m", "stheno_wsgi", "apps:application", "--port", "0", *options], text=True,
                             cwd=case.folder, env=case.server.environment(), capture_output=True, timeout=30)
        expect(run.returncode, code, run.stderr)
        said = [line for line in run.stderr.splitlines() if says in line]
        assert len(said) == 1 and "Traceback" not in run.stderr, (options, run.stderr)


# Python's logging
HANDLERS = '''
import json, logging

class Json(logging.Formatter):
    KEYS = ("method", "path", "request_id", "remote_addr", "status", "bytes", "seconds")

    def format(self, record):
        facts = {key: getattr(record, key) for key in self.KEYS if hasattr(record, key)}
        if record.exc_info:
            facts["traceback"] = self.formatException(record.exc_info)
        return json.dumps({"logger": record.name, "level": record.levelname, "text": record.getMessage(),
                           "thread": record.threadName, **facts})
'''


def config(case, **changes):
    """A configuration with all loggers in one file, and its path."""
    (case.folder / "handlers_of_test.py").write_text(HANDLERS)
    out = case.folder / "python.log"
    content = {
        "version": 1,
        "formatters": {"json": {"()": "handlers_of_test.Json"}},
        "filters": {"request": {"()": "stheno_wsgi.logs.RequestFilter"}},
        "handlers": {"file": {"class": "logging.FileHandler", "filename": str(out), "formatter": "json", "filters": ["request"]}},
        "root": {"handlers": ["file"], "level": "INFO"},
        "loggers": {"stheno_wsgi": {"handlers": ["file"], "propagate": False}},
        **changes,
    }
    path = case.folder / "logging.json"
    path.write_text(json.dumps(content))

    def records(logger=None):
        found = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
        return [one for one in found if logger in (None, one["logger"])]
    return path, records


def with_config(case, path, **options):
    args = ["--log-config", str(path), *options.pop("args", [])]
    folders = os.pathsep.join([str(case.folder), str(case.server.environment()["PYTHONPATH"])])
    return logged(case, args=args, env={"PYTHONPATH": folders}, **options)


@row("L", "--log-config: exceptions, lines and accesses are records with the facts of the request", ours=True)
def joined(case):
    path, records = config(case)
    server, log = with_config(case, path)
    case.ask("/p?q=1", "fails", server=server, headers=[("X-Request-ID", "one")])
    failed = eventually(lambda: [one for one in records("stheno_wsgi.error") if "traceback" in one], "the exception")[0]
    expect([failed[key] for key in ("level", "text", "method", "path", "request_id", "remote_addr")],
           ["ERROR", "GET /p: ValueError: on purpose", "GET", "/p", "one", "127.0.0.1"])
    assert "KeyError: 'the cause'" in failed["traceback"] and failed["traceback"].count("Traceback (most") == 2, failed
    assert "on purpose" not in log.read_text(), log.read_text()
    case.ask("/app", "says_id", server=server, headers=[("X-Request-ID", "two")])
    own = eventually(lambda: records("apps.logged"), "the record of the application")[0]
    expect([own["text"], own["path"], own["request_id"]], ["in the application", "/app", "two"])
    accesses = eventually(lambda: len(records("stheno_wsgi.access")) >= 2 and records("stheno_wsgi.access"), "two accesses")
    expect([[one[key] for key in ("path", "request_id", "status", "level", "remote_addr")] for one in accesses],
           [["/p", "one", 500, "INFO", "127.0.0.1"], ["/app", "two", 200, "INFO", "127.0.0.1"]])
    assert re.match(r'127\.0\.0\.1 - - \[.*\] "GET /p\?q=1 HTTP/1.1" 500 ', accesses[0]["text"]), accesses[0]
    assert accesses[1]["bytes"] >= 3 and accesses[1]["seconds"] >= 0, accesses[1]
    server.signal(signal.SIGTERM)
    expect(server.wait(), 0)
    drained = [one for one in records("stheno_wsgi.error") if one["text"].startswith("draining")]
    assert drained and drained[0]["level"] == "INFO" and drained[0]["path"] is None, records()


@row("L", "--access-log FILE keeps accesses from logging", ours=True)
def file_first(case):
    path, records = config(case)
    access = case.folder / "access.log"
    server, _ = with_config(case, path, args=["--access-log", str(access)])
    case.ask("/p", "one", server=server)
    eventually(lambda: access.exists() and "GET /p " in access.read_text(), "the line")
    case.ask("/p", "fails", server=server)
    eventually(lambda: records("stheno_wsgi.error"), "the exception")
    expect(records("stheno_wsgi.access"), [])


@row("L", "--log-config as .ini and .toml", ours=True)
def other_files(case):
    out = case.folder / "out.log"
    ini = case.folder / "logging.ini"
    ini.write_text(f"""[loggers]
keys=root
[handlers]
keys=file
[formatters]
keys=plain
[logger_root]
level=INFO
handlers=file
[handler_file]
class=FileHandler
formatter=plain
args=('{out}',)
[formatter_plain]
format=%(name)s|%(levelname)s|%(message)s
""")
    server, log = with_config(case, ini)
    case.ask("/ini", "fails", server=server)
    eventually(lambda: "stheno_wsgi.error|ERROR|GET /ini: ValueError: on purpose" in out.read_text(), "the record")
    server.stop()
    if sys.version_info < (3, 11):
        return
    toml = case.folder / "logging.toml"
    toml.write_text(f"""[formatters.plain]
format = "%(name)s|%(request_id)s|%(message)s"
[handlers.file]
class = "logging.FileHandler"
filename = "{out}"
formatter = "plain"
[loggers."stheno_wsgi.error"]
handlers = ["file"]
""")
    server, log = with_config(case, toml)
    case.ask("/toml", "fails", server=server, headers=[("X-Request-ID", "seven")])
    eventually(lambda: "stheno_wsgi.error|seven|GET /toml: ValueError: on purpose" in out.read_text(), "the record")


@row("L", "logging that the application sets up is joined if it has handlers for stheno_wsgi", ours=True)
def joined_by_the_application(case):
    out = case.folder / "out.log"
    for name, logger in (("django_like", "stheno_wsgi"), ("other", "")):
        (case.folder / f"{name}.py").write_text(f"""
import logging
handler = logging.FileHandler({str(out)!r})
handler.setFormatter(logging.Formatter("%(name)s|%(message)s"))
logging.getLogger({logger!r}).addHandler(handler)
from apps import application
""")
    env = {"PYTHONPATH": os.pathsep.join([str(case.folder), case.server.environment()["PYTHONPATH"]])}
    server, log = logged(case, app="django_like:application", env=env)
    case.ask("/joined", "fails", server=server)
    eventually(lambda: "stheno_wsgi.error|GET /joined: ValueError: on purpose" in out.read_text(), "the record")
    eventually(lambda: "stheno_wsgi.access|127.0.0.1 - - [" in out.read_text(), "the access")
    assert "on purpose" not in log.read_text()
    server.stop()
    log.unlink()
    server, log = logged(case, app="other:application", env=env)
    case.ask("/apart", "fails", server=server)
    find(log.read_text, "ValueError: on purpose")
    assert "/apart" not in out.read_text()


@row("L", "a handler that hangs holds up neither the loop nor requests; lines that were lost are counted", ours=True)
def hanging_handler(case):
    flag, out = case.flag("go"), case.folder / "out.log"
    (case.folder / "hanging.py").write_text(f"""
import logging, os, time
class Hanging(logging.FileHandler):
    def emit(self, record):
        while not os.path.exists({str(flag)!r}):
            time.sleep(0.01)
        super().emit(record)
handler = Hanging({str(out)!r})
logging.getLogger("stheno_wsgi.access").addHandler(handler)
from apps import application
""")
    env = {"PYTHONPATH": os.pathsep.join([str(case.folder), case.server.environment()["PYTHONPATH"]])}
    server, log = logged(case, app="hanging:application", env=env)
    begun = time.monotonic()
    with Connection(server.address) as connection:
        for _ in range(1200):
            expect(connection.ask("/" + "x" * 1000, "one", "GET", [("X-Mark", case.mark)]).body, b"Hello World")
    assert time.monotonic() - begun < 20
    lost = eventually(lambda: re.search(r"cannot write the access log .*: (\d+) lines lost so far", log.read_text()), "a warning")
    assert lost
    flag.touch()
    eventually(lambda: out.exists() and len(out.read_text().splitlines()) > 50, "the others are delivered")


@row("L", "serve(log_config=dict)", ours=True)
def from_a_program(case):
    out = case.folder / "out.log"
    script = case.folder / "program.py"
    script.write_text(f"""
import stheno_wsgi
from apps import application
stheno_wsgi.serve(application, port=0, log_config={{
    "formatters": {{"plain": {{"format": "%(name)s|%(message)s"}}}},
    "handlers": {{"file": {{"class": "logging.FileHandler", "filename": {str(out)!r}, "formatter": "plain"}}}},
    "loggers": {{"stheno_wsgi": {{"handlers": ["file"]}}}}}})
""")
    class Program(case.kind):
        def command(self):
            return [sys.executable, str(script)]
    server = Program()
    case.stack.callback(server.stop)
    server.start()
    case.ask("/program", "fails", server=server)
    eventually(lambda: "stheno_wsgi.error|GET /program: ValueError: on purpose" in out.read_text(), "the record")
