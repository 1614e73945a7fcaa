"""Processes that the application forks: they are no workers."""

import os
import signal
import socket

from client import Connection, eventually
from harness import expect, row
from test_process import ANSWER, said, serve

FORKS = ANSWER + """
import multiprocessing, os, signal, sys, time

def sleep():
    time.sleep(60)

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/terminate":
        child = multiprocessing.get_context("fork").Process(target=sleep)
        child.start()
        child.terminate()
        child.join(10)
        return answer(start_response, str(child.exitcode).encode())
    if path == "/pool":
        pool = multiprocessing.get_context("fork").Pool(2)
        pool.map_async(time.sleep, [60, 60])
        pool.terminate()
        pool.join()
        return answer(start_response, b"over")
    if path in ("/raise", "/exit", "/return", "/iterate"):
        child = os.fork()
        if child == 0 and path == "/raise":
            raise ValueError("in the child")
        if child == 0 and path == "/exit":
            sys.exit(3)
        if child == 0 and path == "/return":
            return answer(start_response, b"of the child")
        if child == 0:
            start_response("200 OK", [])
            return iter([b"of the child"])
        return answer(start_response, str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())
    if path == "/keep":
        if os.fork() == 0:
            open("child", "w").write(str(os.getpid()))
            time.sleep(60)
            os._exit(0)
        return answer(start_response, b"kept")
    return answer(start_response, str(os.getpid()).encode())
"""


# Signals
@row("P", "children of the application end by SIGTERM: Process.terminate(), Pool.terminate()", ours=True)
def children_end(case):
    server = serve(case, FORKS)
    expect(case.ask("/terminate", server=server).body, b"-15")
    expect(case.ask("/pool", server=server).body, b"over")
    server.signal(signal.SIGTERM)
    expect(server.wait(), 0)


# Processes
@row("P", "a child of the application that comes back ends, and answers nobody", ours=True)
def children_that_come_back(case):
    server = serve(case, FORKS)
    worker = case.ask(server=server).body
    for path, code in [("/raise", b"1"), ("/exit", b"3"), ("/return", b"0"), ("/iterate", b"0")]:
        expect(case.ask(path, server=server).body, code, path)
    assert "ValueError: in the child" in server.log(), server.log()
    for _ in range(10):
        expect(case.ask(server=server).body, worker)
    server.signal(signal.SIGTERM)
    expect(server.wait(), 0)


# Processes
@row("P", "a child of the application that goes on holds no listening socket", ours=True)
def children_hold_nothing(case):
    server = serve(case, FORKS)
    expect(case.ask("/keep", server=server).body, b"kept")
    place = case.folder / "child"
    child = int(eventually(lambda: place.exists() and place.read_text(), "the child"))
    try:
        server.signal(signal.SIGTERM)
        expect(server.wait(), 0)
        with socket.socket() as probe:
            expect(probe.connect_ex(server.address), 111)
    finally:
        os.kill(child, signal.SIGKILL)


# write() on the loop
@row("P", "--threads 0: a reader of write() that stops is cut, and the worker goes on", ours=True)
def a_stopped_reader_of_write(case):
    text = ANSWER + """
import os
def application(environ, start_response):
    if environ["PATH_INFO"] == "/pid":
        return answer(start_response, str(os.getpid()).encode())
    write = start_response("200 OK", [])
    for _ in range(64):
        write(bytes(1024 * 1024))
    return []
"""
    server = serve(case, text, threads=0, args=["--timeout", "3"])
    worker = case.ask("/pid", server=server).body
    with Connection(server.address) as reader:
        reader.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        expect(case.ask("/pid", server=server).body, worker)
    assert "signal" not in server.log(), server.log()


# Logs
@row("L", "a request that is refused has an id of its own", ours=True)
def refused_requests_have_an_id(case):
    out = case.folder / "access"
    server = serve(case, ANSWER + "application = lambda environ, start: answer(start, b'')\n",
                   args=["--access-log", str(out), "--access-log-format", "%s %i", "--proxy-protocol", "127.0.0.1",
                         "--allow", "192.0.2.0/24"])
    for client, status in [("192.0.2.7", 200), ("198.51.100.1", 403), ("192.0.2.7", 200)]:
        with Connection(server.address) as connection:
            connection.send(f"PROXY TCP4 {client} 192.0.2.1 1000 80\r\n".encode())
            expect(connection.ask("/").status, status)
    lines = eventually(lambda: out.exists() and (lines := out.read_text().splitlines())[2:] and lines, "three lines")
    ids = [line.split()[1] for line in lines]
    assert len(set(ids)) == 3 and "-" not in ids, lines


# Hooks
@row("P", "worker_exit runs in no worker in which post_fork has not run; --logfile has the reason", ours=True)
def no_exit_without_a_start(case):
    (case.folder / "hooked.py").write_text("def worker_exit(server, worker):\n    print('exit', worker.number)\n")
    (case.folder / "wrong.py").write_text("raise ValueError('at the import')\n")
    log = case.folder / "the log"
    args = ["--hooks", "hooked", "--logfile", str(log)]
    server = serve(case, ANSWER + "application = lambda environ, start: answer(start, b'')\n", args=args)
    said_before = log.read_text()
    (case.folder / "app.py").write_text("raise ValueError('at the import')\n")
    server.signal(signal.SIGHUP)
    eventually(lambda: "ValueError: at the import" in log.read_text(), "the reason in the log file")
    assert "at the import" not in said_before
