"""Operations on a running server: stop, kill, reload; and crowds of clients."""

import json
import os
import random
import re
import signal
import subprocess
import threading
import time

from client import Connection, Silence, eventually, request
from harness import expect, row
from load import Load

STREAM = b"".join(b"%04d" % number + b"s" * 1020 for number in range(50))


# Drain
@row("P", "TERM under load while apps stream: no response is cut")
def drain(case):
    server = case.serve()
    load = Load(server, "slow_stream", STREAM, clients=12)
    try:
        load.reaches(6)
        server.signal(signal.SIGTERM)
        server.wait(20)
    finally:
        load.end()
    assert load.cut == 0 and not load.wrong, str(load)
    assert load.lost <= 2, f"{load}: accepted requests got no response"


# Drain; granian 548, 875, pyo3 6084
@row("P", "TERM with idle connections and under load: the server ends", ours=True)
def terminates(case):
    for turn in range(4):
        server = case.serve(workers=1 + turn % 2)
        idle = [case.connect(server) for _ in range(5)]
        for connection in idle:
            expect(connection.ask(app="one").body, b"Hello World")
        load = Load(server, "one", b"Hello World", clients=4)
        try:
            load.reaches(50)
            server.signal(signal.SIGTERM)
            expect(server.wait(15), 0, "exit code")
        finally:
            load.end()
        assert not load.cut and not load.wrong, str(load)
        eventually(lambda: not server.pids(), "no process is left", 5)
        for connection in idle:
            connection.close()
        server.stop()


# Ctrl+C
@row("P", "INT stops at once, also while apps sleep", ours=True)
def interrupts(case):
    server = case.serve()
    connections = [case.connect(server) for _ in range(6)]
    for connection in connections:
        connection.send(request("/", "waits", headers=[("X-Mark", case.mark), ("X-Flag", str(case.flag()))]))
    eventually(lambda: len(case.events("begun", server)) >= min(4, max(1, server.threads)), "apps sleep")
    begun = time.monotonic()
    server.signal(signal.SIGINT)
    server.wait(15)
    assert time.monotonic() - begun < 10, "late"
    assert "Fatal Python error" not in server.log() and "panicked" not in server.log(), server.log()[-800:]


# A worker is killed
@row("P", "a worker is killed while apps sleep: the others go on, and it is replaced", ours=True)
def worker_killed(case):
    server = case.serve(workers=2, threads=32)
    flag = case.flag()
    busy = {}
    for number in range(32):
        mark = f"{case.mark}w{number}"
        connection = case.connect(server)
        connection.send(request("/", "waits", headers=[("X-Mark", mark), ("X-Flag", str(flag))]))
        begun = eventually(lambda: [one[2] for one in server.events() if one[:2] == [mark, "pid"]], "the app begins")
        busy.setdefault(begun[0], []).append(connection)
        if len(busy) == 2 and number > 4:
            break
    expect(len(busy), 2, "workers that are busy")
    victim, other = sorted(busy, key=lambda pid: len(busy[pid]))
    os.kill(int(victim), signal.SIGKILL)
    for connection in busy[victim]:
        assert connection.is_closed(), "the killed one's client is answered"
    flag.touch()
    for connection in busy[other]:
        answer = connection.answer()
        expect(answer and answer.body, b"waited", "a client of the other one")

    def replaced():
        pid = case.ask(app="pids", server=server).body.split()[0].decode()
        return pid not in busy
    eventually(replaced, "a new worker serves")


# close()
@row("P", "close() once, for each of 10,000 requests that clients abort", ours=True)
def aborted(case):
    server = case.serve()
    case.ask(app="one", server=server)
    sockets, dice = sockets_of(server), random.Random(7)

    def client(count, seed):
        dice = random.Random(seed)
        for _ in range(count):
            how = dice.randrange(4)
            try:
                with Connection(server.address, small_window=how == 2) as connection:
                    connection.send(request(f"/?{dice.choice([10, 5000, 300_000])}", "counted"))
                    if how:
                        connection.more()
                    if how == 3:
                        connection.half_close()
                    connection.reset()
            except (OSError, Silence):
                continue
    threads = [threading.Thread(target=client, args=(1250, dice.random())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    def settled():
        counts = json.loads(case.ask(app="counts", server=server).body)
        return counts["called"] == counts["closed"] and counts
    counts = eventually(settled, "every body is closed")
    expect(counts["twice"], 0, "closed twice")
    assert counts["called"] >= 5000, f"only {counts['called']} of 10,000 requests came to the app"
    eventually(lambda: sockets_of(server) <= sockets, "no connection is left")


def sockets_of(server):
    """The number of sockets that its processes hold."""
    return sum(name.startswith("socket:") for name in server.descriptors())


def pid_of(case, server):
    return case.ask(app="pids", server=server).body.split()[0].decode()


# Reload
@row("P", "ten reloads under load: no request fails", ours=True)
def reloads(case):
    server = case.serve()
    kept, fresh = Load(server, "one", b"Hello World", clients=3), Load(server, "one", b"Hello World", clients=2, keep=False)
    try:
        for _ in range(10):
            old = pid_of(case, server)
            server.signal(signal.SIGHUP)
            eventually(lambda: pid_of(case, server) != old, "a new worker serves")
            kept.reaches(20)
            fresh.reaches(20)
    finally:
        kept.end()
        fresh.end()
    for load in (kept, fresh):
        assert not (load.cut or load.lost or load.refused or load.wrong), f"{kept}; {fresh}"


VERSION = """def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"version %d"]
"""


# Reload
@row("P", "HUP loads new code; if the import fails, the old code stays", ours=True)
def reload_code(case):
    path = case.folder / "changing.py"
    path.write_text(VERSION % 1)
    server = case.serve(app="changing:application", cwd=case.folder)
    expect(case.ask(server=server).body, b"version 1")
    path.write_text(VERSION % 2)
    server.signal(signal.SIGHUP)
    eventually(lambda: case.ask(server=server).body == b"version 2", "the new code")
    path.write_text("raise RuntimeError('broken on purpose')\n")
    server.signal(signal.SIGHUP)
    eventually(lambda: "broken on purpose" in server.log(), "the traceback in the log")
    for _ in range(5):
        expect(case.ask(server=server).body, b"version 2")
    assert server.process.poll() is None, "the server has ended"
    path.write_text(VERSION % 3)
    server.signal(signal.SIGHUP)
    eventually(lambda: case.ask(server=server).body == b"version 3", "the mended code")


# Reload
@row("P", "--reload: a changed file is loaded automatically", ours=True)
def reload_watch(case):
    path = case.folder / "changing.py"
    path.write_text(VERSION % 1)
    server = case.serve(app="changing:application", cwd=case.folder, args=["--reload"])
    expect(case.ask(server=server).body, b"version 1")
    path.write_text(VERSION % 22)
    eventually(lambda: answers(case, server, None, b"version 22"), "the new code")


# --max-requests
@row("P", "--max-requests: workers are replaced, no request fails", ours=True)
def max_requests(case):
    server = case.serve(args=["--max-requests", "50"])
    load = Load(server, "one", b"Hello World", clients=3)
    seen = set()
    try:
        eventually(lambda: seen.add(pid_of(case, server)) or len(seen) >= 4, "a fourth worker")
    finally:
        load.end()
    assert not (load.cut or load.lost or load.refused or load.wrong), str(load)


def answers(case, server, app="one", wanted=b"Hello World"):
    try:
        return case.ask(app=app, server=server).body == wanted
    except (OSError, AssertionError):
        return False


# --static
@row("P", "--follow-symlinks: links of `collectstatic --link`", ours=True)
def static_links(case):
    root = case.folder / "collected"
    root.mkdir()
    (case.folder / "package.css").write_text("body {}")
    (root / "out.css").symlink_to(case.folder / "package.css")
    server = case.serve(args=["--static", f"/static={root}"])
    expect(case.ask("/static/out.css", server=server).status, 404)
    eventually(lambda: "without --follow-symlinks" in server.log(), "the log says why")
    server = case.serve(args=["--static", f"/static={root}", "--follow-symlinks"])
    answer = case.ask("/static/out.css", server=server)
    expect((answer.status, answer.body, answer.get("Content-Type")), (200, b"body {}", "text/css"))


@row("P", "--static: files, and only files, are served while all threads sleep", ours=True)
def static(case):
    root = case.folder / "site"
    root.mkdir()
    (root / "page.html").write_text("<p>static</p>")
    (root / "index.html").write_text("<p>index</p>")
    (root / "dir").mkdir()
    (case.folder / "secret").write_text("secret")
    server = case.serve(args=["--static", f"/static={root}"])
    flag = case.flag()
    # On the loop a sleeping app blocks everything, as the documentation of the flag warns.
    busy = [case.connect(server) for _ in range(6 if server.threads else 0)]
    for connection in busy:
        connection.send(request("/", "waits", headers=[("X-Mark", case.mark), ("X-Flag", str(flag))]))
    eventually(lambda: len(case.events("begun", server)) >= min(4, server.threads), "all threads are busy")
    with Connection(server.address, patience=5) as connection:
        answer = connection.ask("/static/page.html")
        expect((answer.status, answer.body), (200, b"<p>static</p>"))
        expect(answer.get("Content-Type").split(";")[0], "text/html")
        expect(connection.ask("/static/page.html", headers=[("Range", "bytes=3-8")]).body, b"static")
        expect(connection.ask("/static/none.html").status, 404)
        for target, location in [("/static", "./static/"), ("/static?a=%zz", "./static/?a=%zz"), ("/static/dir", "./dir/"),
                                 ("/static/dir?\xd0\xbc", "./dir/?%D0%BC")]:
            answer = connection.ask(target)
            expect((answer.status, answer.get("Location")), (301, location), target)
        for target in ("/static/../secret", "/static/%2e%2e/secret", "/static/..%2fsecret"):
            assert b"secret" not in connection.ask(target).body, target
    flag.touch()
    for connection in busy:
        expect(connection.answer().body, b"waited")
    expect(case.environ("/staticfile", server=server)["PATH_INFO"], "/staticfile")
    seen = case.environ("/\xd0\xbc?\xff=%zz", server=server)
    expect((seen["PATH_INFO"], seen["QUERY_STRING"], seen["REQUEST_URI"]), ("/\xd0\xbc", "\xff=%zz", "/\xd0\xbc?\xff=%zz"))


# --record
@row("P", "the loop of a worker is recorded", ours=True)
def recorded(case):
    path = case.folder / "loop.rec"
    server = case.serve(args=["--record", str(path)])
    with case.connect(server) as connection:
        for _ in range(3):
            expect(connection.ask(app="one").body, b"Hello World")
    server.signal(signal.SIGTERM)
    expect(server.wait(15), 0, "exit code")
    head, _, records = path.read_bytes().partition(b"\n\n")
    facts = dict(line.rsplit(" ", 1) for line in head.decode().splitlines())
    expect(facts["loop"], "reactor")
    assert int(facts["total turns"]) >= 3 and int(facts["total written"]) > 3 * len(b"Hello World"), facts
    expect(len(records), 32 * int(facts["records"]))
    names = {line.split(" ", 2)[2] for line in head.decode().splitlines() if line.startswith("name ")}
    assert {"handle_read", "HttpChannel", "Acceptor"} <= names, names


# Memory
@row("P", "memory is flat over a million requests", ours=True, long=True)
def memory(case):
    for threads in (4, 0):
        server = case.serve(threads=threads)
        worker = int(pid_of(case, server))

        def ask(count):
            done = 0
            while done < count:
                text = subprocess.run(["wrk", "-t1", "-c32", "-d5", "-H", "X-App: one", f"http://127.0.0.1:{server.port}/"],
                                      capture_output=True, text=True, check=True).stdout
                done += int(re.search(r"(\d+) requests in", text)[1])

        def resident():
            return server.memory("RssAnon", [worker]) // 1024
        ask(100_000)
        # Memory that start-up has freed may return to the kernel later, which must not hide growth.
        readings = [resident()]
        for _ in range(10):
            ask(100_000)
            readings.append(resident())
            assert readings[-1] <= min(readings) * 1.01, f"{threads} threads, KiB after each 100,000: {readings}"
        print(f"        {threads} threads: {readings[0]} KiB, and {readings[-1]} KiB after a million requests")


# The page shows the loops of the server; an application is one more service.
@row("P", "--status shows all workers, --status-path also on the public port", ours=True)
def status_page(case):
    server = case.serve(workers=2, args=["--status", "0", "--status-path", "/-/status"])
    place = eventually(lambda: re.search(r"  status   http://127\.0\.0\.1:(\d+)/", server.log()), "a place")
    for _ in range(5):
        expect(case.ask(app="one", server=server).body, b"Hello World")

    def page(path, port):
        with Connection(("127.0.0.1", port)) as connection:
            answer = connection.ask(path)
            return answer.status, answer.body

    own = int(place[1])
    expect(page("/healthz", own), (200, b"ok\n"))
    expect(page("/nothing", own)[0], 404)
    eventually(lambda: b'stheno_requests_total{code="2xx"} 5\n' in page("/metrics", own)[1], "five requests")
    assert b'stheno_workers{state="ready"} 2\n' in page("/metrics", own)[1]
    assert b'stheno_accepts_total{worker="1"}' in page("/-/status/metrics", server.port)[1]
    server.signal(signal.SIGHUP)
    eventually(lambda: "draining" in server.log(), "a reload")
    expect(page("/healthz", own), (200, b"ok\n"))
