"""The table of options: command line, configuration file, environment, and the arguments of `serve()`."""

import os
import pwd
import re
import signal
import subprocess
import sys

import servers
from client import Connection, eventually
from harness import Skip, expect, row
from test_cli import APP, command
from test_seed import Script

# An application that says which user and group its worker has, and those that imported it.
WHO = """import os
imported = os.getuid()
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getuid()} {os.getgid()} {os.getgroups()} {imported}".encode()]
"""


# --help
@row("C", "--help has the server's options; they are known on the command line and in the environment", ours=True)
def every_option(case):
    code, said = command(case, "--help")
    expect(code, 0, said)
    names = re.findall(r"--[a-z-]+", said)
    for wanted in ("--header-timeout", "--user", "--unix-mode", "--pidfile", "--max-connections-per-ip", "--accept", "--bind"):
        assert wanted in names, f"{wanted} is not in --help: {sorted(names)}"
    # A value that these do not take: the error names the place, so the option was found there.
    for option in ("--workers", "--max-fields", "--keepalive-timeout", "--max-body", "--timeout", "--bind", "--user", "--log"):
        key = option[2:].replace("-", "_")
        code, said = command(case, "apps:application", option, ":::")
        assert code in (1, 2) and option in said and len(said.splitlines()) == 1, f"{option}: {code} {said}"
        code, said = command(case, "apps:application", env={f"STHENO_{key.upper()}": ":::"})
        assert code in (1, 2) and (option in said or f"STHENO_{key.upper()}" in said), f"{option}: {code} {said}"


# Errors
@row("C", "an option that is not known: one line with the name that was meant", ours=True)
def suggestions(case):
    for wrong, meant in [("--thread", "--threads"), ("--keep-alive", "--keepalive-timeout"), ("--certfile", "--help"),
                         ("--graceful-timeout", "--grace"), ("--pid", "--pidfile"), ("--error-logfile", "--logfile")]:
        code, said = command(case, "apps:application", wrong, "1")
        expect(code, 2, said)
        assert meant in said and len(said.splitlines()) == 1, said
    for words in (["one:app", "two:app"], ["--threads"], ["--threads", "1", "--threads", "2"], ["one:app", "--app", "two:app"]):
        code, said = command(case, *words)
        expect(code, 2, f"{words}: {said}")
        expect(len(said.splitlines()), 1, said)


# --config
@row("C", "--config: TOML with the same names; the command line before it, the environment after it", ours=True)
def config_file(case):
    (case.folder / "files").mkdir()
    (case.folder / "files" / "a.txt").write_text("a file")
    path = case.folder / "wsgi.toml"
    path.write_text('app = "apps:application"\nthreads = 3\nmax-body = "2k"\nurl-prefix = "/file"\n'
                    'static = ["/static=files"]\nkeepalive-timeout = 1.5\nno-server-header = true\n')
    server = servers.Stheno(args=["--config", str(path), "--threads", "1"],
                            env={"STHENO_URL_PREFIX": "/variable", "STHENO_WORKERS": "2"})
    line = server.command()
    # The application comes from the file, and nothing of the command line replaces it.
    kept = [sys.executable, "-m", "stheno_wsgi", "--port", "0", "--config", str(path), "--threads", "1"]
    assert line[:3] == kept[:3]
    server.command = lambda: kept
    case.stack.callback(server.stop)
    server.start()
    seen = case.environ("/file/x", server=server)
    expect((seen["SCRIPT_NAME"], seen["wsgi.multithread"], seen["wsgi.multiprocess"]), ("/file", "False", "True"))
    expect(case.ask("/file/x", "digest", "POST", body=b"x" * 2049, server=server).status, 413)
    expect(case.ask("/file/x", "digest", "POST", body=b"x" * 2048, server=server).status, 200)
    answer = case.ask("/static/a.txt", server=server)
    expect((answer.body, answer.get("Server")), (b"a file", "stheno"))


# --config: errors
@row("C", "--config: an error names file, line and key", ours=True)
def config_errors(case):
    path = case.folder / "wsgi.toml"
    for text, line, says in [("threads = 'x'", 1, "threads"), ("\nbind = ['::x']", 2, "bind"), ("\n\nthread = 1", 3, "threads"),
                             ("max-body = '1X'", 1, "max-body"), ("root = 'x'", 1, "root"), ("check = true", 1, "check")]:
        path.write_text(text)
        code, said = command(case, "apps:application", "--config", str(path))
        expect(code, 2, said)
        assert f"{path}:{line}: " in said and says in said and len(said.splitlines()) == 1, said


# --config: HUP
@row("C", "HUP reads the configuration file again; a wrong one changes nothing", ours=True)
def config_reload(case):
    path = case.folder / "wsgi.toml"
    path.write_text("url-prefix = '/one'\n")
    (case.folder / "inner").mkdir()
    server = case.serve(args=["--config", "wsgi.toml", "--chdir", "inner"], cwd=case.folder)
    expect(case.environ("/one/x", server=server)["SCRIPT_NAME"], "/one")
    path.write_text("url-prefix = 'wrong'\n")
    server.signal(signal.SIGHUP)
    eventually(lambda: "begin it with a slash" in server.log(), "the error in the log")
    expect(case.environ("/one/x", server=server)["SCRIPT_NAME"], "/one")
    path.write_text("url-prefix = '/two'\nthreads = 1\n")
    server.signal(signal.SIGHUP)
    eventually(lambda: case.ask("/two/x", "dump", server=server).status == 200, "the new prefix")
    expect(case.ask("/one/x", "dump", server=server).status, 404)


# --chdir, --config: USR2
@row("C", "a successor (USR2) starts where the server was started: relative --config and --chdir", ours=True)
def upgrade(case):
    (case.folder / "wsgi.toml").write_text("url-prefix = '/one'\n")
    (case.folder / "inner").mkdir()
    server = case.serve(args=["--config", "wsgi.toml", "--chdir", "inner", "--pidfile", str(case.folder / "pid")], cwd=case.folder)

    def pid():
        """The process of the pid file, which is away for a moment while the successor takes over; 0 then."""
        try:
            return int((case.folder / "pid").read_text())
        except (OSError, ValueError):
            return 0

    eventually(lambda: pid() == server.process.pid, "the pid file")
    server.signal(signal.SIGUSR2)
    eventually(lambda: pid() not in (0, server.process.pid), "the successor's pid file")
    server.process.wait(20)
    expect(case.environ("/one/x", server=server)["SCRIPT_NAME"], "/one")
    os.kill(pid(), signal.SIGTERM)
    eventually(lambda: not server.pids(), "the successor ends", 15)


# --check
@row("C", "--check: says what is wrong, imports the application, and binds nothing", ours=True)
def check(case):
    (case.folder / "good.py").write_text(APP)
    code, said = command(case, "good", "--check", "--port", "0")
    expect((code, said), (0, "configuration is fine\n"))
    code, said = command(case, "good:missing", "--check", "--port", "0")
    expect(code, 4, said)
    for words in (["--logfile", "/nowhere/log"], ["--static", "/static=nowhere"], ["--unix-mode", "9"], ["--threads", "-1"]):
        code, said = command(case, "good", "--check", "--port", "0", *words)
        assert code in (1, 2) and words[0] in said, f"{words}: {code} {said}"


# $PORT
@row("C", "$PORT and $WEB_CONCURRENCY count where no option says something else", ours=True)
def platform(case):
    server = servers.Stheno(env={"PORT": "0", "WEB_CONCURRENCY": "2"})
    command_line = [word for word in server.command() if word not in ("--host", "127.0.0.1", "--port", "0", "-w", "1")]
    server.command = lambda: command_line
    case.stack.callback(server.stop)
    server.start()
    expect(case.environ(server=server)["wsgi.multiprocess"], "True")
    assert "from other machines" in server.log() or "http://127.0.0.1" in server.log()
    code, said = command(case, "apps:application", env={"PORT": "http"})
    assert code == 2 and "PORT" in said, said
    server = case.serve(env={"PORT": "1", "WEB_CONCURRENCY": "2"})
    expect(case.environ(server=server)["wsgi.multiprocess"], "False", "-w 1 is given")


# --max-body
@row("C", "--max-body takes units, and 0 is no limit", ours=True)
def sizes(case):
    for size, length, status in [("1k", 1025, 413), ("1KiB", 1024, 200), ("0", 3_000_000, 200)]:
        server = case.serve(args=["--max-body", size])
        expect(case.ask("/", "digest", "POST", body=b"x" * length, server=server).status, status, size)
        server.stop()


# Limits
@row("C", "the limits of the server are here: time, number, size", ours=True)
def limits(case):
    server = case.serve(args=["--keepalive-timeout", "0.3", "--max-fields", "9", "--max-target-bytes", "100",
                              "--max-requests-per-connection", "2", "--header-timeout", "0.3"])
    expect(case.ask("/" + "x" * 120, server=server).status, 414)
    expect(case.ask(headers=[(f"X-{n}", "1") for n in range(9)], server=server).status, 431)
    with Connection(server.address) as connection:
        connection.ask(app="one")
        assert connection.is_closed(), "the idle connection stays open"
    with Connection(server.address) as connection:
        assert connection.ask(app="one").get("Connection") != "close"
        expect(connection.ask(app="one").get("Connection"), "close")
    with Connection(server.address) as connection:
        connection.send(b"GET / HTTP/1.1\r\n")
        expect(connection.answer().status, 408)


# --pidfile, --unix-mode
@row("C", "--pidfile and --unix-mode", ours=True)
def files(case):
    pidfile, socket = case.folder / "pid", case.folder / "socket"
    server = case.serve(unix=socket, args=["--pidfile", str(pidfile), "--unix-mode", "0600"])
    expect(int(eventually(lambda: pidfile.exists() and pidfile.read_text(), "the pid file")), server.process.pid)
    expect(oct(socket.stat().st_mode & 0o777), "0o600")
    server.signal(signal.SIGTERM)
    server.wait()
    assert not pidfile.exists(), "the pid file is still there"


# --user, --group
@row("C", "--user: workers are that user before the application is imported", ours=True)
def user(case):
    if os.getuid() != 0:
        raise Skip("only root may change the user")
    nobody = pwd.getpwnam("nobody")
    (case.folder / "who.py").write_text(WHO)
    case.folder.chmod(0o755)
    for args, threads, gid, imported in [(["--user", "nobody"], 4, nobody.pw_gid, nobody.pw_uid),
                                         (["--user", "nobody", "--group", "12345"], 4, 12345, nobody.pw_uid),
                                         (["--user", "nobody", "--preload"], 4, nobody.pw_gid, 0),
                                         (["--user", "nobody"], 0, nobody.pw_gid, nobody.pw_uid)]:
        server = case.serve(app="who:application", args=args, threads=threads, cwd=case.folder)
        expect(case.ask(server=server).body.decode(), f"{nobody.pw_uid} {gid} [] {imported}", " ".join(args))
        server.stop()
    code, said = command(case, "who:application", "--user", "no-such-user", "--port", "0")
    assert code == 2 and "--user" in said, said


# serve()
@row("A", "serve(): the same options with underscores, the same errors", ours=True)
def arguments(case):
    (case.folder / "files").mkdir()
    (case.folder / "files" / "a.txt").write_text("a file")
    server = Script(env={"STHENO_THREADS": "1", "PORT": "1"})
    server.text = f"""
import pathlib, stheno_wsgi, apps
stheno_wsgi.serve(apps.application, listen=["127.0.0.1:0"], threads=3, max_body=1000, timeout=30.0, url_prefix="/p",
                  static={{"/static": pathlib.Path({str(case.folder / "files")!r})}}, access_log="off", unix_mode=0o660,
                  defer_accept=False, pidfile=None, forwarded_allow_ips=["127.0.0.1", "10.0.0.0/8"])
"""
    case.stack.callback(server.stop)
    server.start()
    seen = case.environ("/p/x", server=server)
    expect((seen["SCRIPT_NAME"], seen["wsgi.multithread"]), ("/p", "True"))
    expect(case.ask("/p/x", "digest", "POST", body=b"x" * 1001, server=server).status, 413)
    expect(case.ask("/static/a.txt", server=server).body, b"a file")


# serve(): errors
@row("A", "serve(): an argument that is wrong is a ValueError with its name, an unknown one a TypeError", ours=True)
def argument_errors(case):
    code = """
import stheno_wsgi
app = lambda environ, start_response: []
for arguments in ARGUMENTS:
    try:
        stheno_wsgi.serve(app, port=0, **arguments)
    except (TypeError, ValueError) as error:
        print(type(error).__name__, error)
"""
    cases = [({"threads": "many"}, "ValueError threads"), ({"threads": -1}, "ValueError threads"),
             ({"threads": True}, "ValueError threads"), ({"max_body": "1X"}, "ValueError max_body"),
             ({"reload": True}, "TypeError reload"), ({"bind": ["x"]}, "ValueError bind"), ({"log": "loud"}, "ValueError log"),
             ({"defer_accept": 1}, "ValueError defer_accept"), ({"thread": 1}, "TypeError thread is not an option; did you mean "
                                                                               "threads?"),
             ({"url_prefix": "x"}, "ValueError url_prefix"), ({"static": {"x": "y"}}, "ValueError static")]
    text = code.replace("ARGUMENTS", repr([arguments for arguments, _ in cases]))
    run = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=30, check=False,
                         env=servers.Stheno().environment())
    lines = run.stdout.splitlines()
    expect(len(lines), len(cases), run.stdout + run.stderr)
    for line, (_, wanted) in zip(lines, cases, strict=True):
        assert line.startswith(wanted), f"{line}, not {wanted}"
