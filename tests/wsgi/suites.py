#!/usr/bin/env python3
"""Runs the tests of falcon and waitress that are about a server against this one; `scripts/wsgi --apps` runs it.

    tests/wsgi/suites.py                           stheno; --peer stheno:0 for the app on the loop
    tests/wsgi/suites.py --only falcon --verbose   the output of the tests

falcon's `test_wsgi_servers.py` starts servers as programs: here `python -m waitress` is a module that becomes this server.
waitress's `test_functional.py` starts waitress in a process: here its `start_subprocess` starts this server for the same
application, with the options that mean the same. Their other tests call functions of their own and start no server. The
sources come from PyPI into $SUITES (a temporary folder by default). Tests of waitress that expect what only waitress
does are in `DIFFERENCES`, each with the reason; such a test that passes is a failure here.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

import servers

PACKAGES = ["falcon", "pytest", "requests", "waitress"]

# What `python -m waitress --listen HOST:PORT APP` runs.
AS_WAITRESS = """import os, sys
_, _, place, app = sys.argv
os.execv(sys.executable, [sys.executable, "-m", "stheno_wsgi", "--bind", place, "--threads", "{threads}", app])
"""

# A plugin of pytest: the base class of waitress's tests starts this server. Three things are adapted in all tests. Their
# requests of HTTP/1.1 get a Host field, without which this server refuses them (RFC 9112, 3.2). The version of a response is
# HTTP/1.1 also for a request of HTTP/1.0 (RFC 9110, 6.2), where waitress repeats the request's. The field Server has
# another name.
PLUGIN = '''import re, socket, subprocess, sys


class WithHost(socket.socket):
    def send(self, data):
        if b"host:" not in data.lower():
            data = re.sub(rb"( HTTP/1.1\\r\\n)", rb"\\1Host: test.example\\r\\n", data)
        super().sendall(data)


def assertline(self, line, status, reason, version):
    found_version, found_status, found_reason = (word.strip().decode() for word in line.split(None, 2))
    self.assertEqual((found_status, found_reason, found_version), (status, reason, "HTTP/1.1"))


def start_subprocess(self, target, **options):
    words = {"max_request_header_size": "--max-header-bytes", "max_request_body_size": "--max-body"}
    known = [word for name, value in options.items() if name in words for word in (words[name], str(value))]
    known += ["--forwarded-allow-ips", "*"] if options.get("trusted_proxy") == "*" else []
    command = [sys.executable, "-m", "stheno_wsgi", f"{target.__module__}:{target.__name__}", "--port", "0",
               "--threads", "THREADS", *known]
    self.proc = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in self.proc.stderr:
        if found := re.search(r"http://127\\.0\\.0\\.1:(\\d+)/", line):
            self.bound_to = "127.0.0.1", int(found[1])
        if line.startswith("  stop"):
            break
    else:
        raise RuntimeError(f"{command} does not start")
    self.sock = WithHost(self.server.family, socket.SOCK_STREAM)


def stop_subprocess(self):
    self.sock.close()
    self.proc.terminate()
    try:
        self.proc.communicate(timeout=5)
    except subprocess.TimeoutExpired:
        self.proc.kill()
        self.proc.communicate()


def pytest_collection_modifyitems(session, config, items):
    import tests.test_functional as functional

    functional.SubprocessTests.start_subprocess = start_subprocess
    functional.SubprocessTests.stop_subprocess = stop_subprocess
    functional.SubprocessTests.assertline = assertline
    # The same tests through a Unix socket say nothing more about the server.
    items[:] = [item for item in items if "Unix" not in item.nodeid]
'''

# Tests of waitress's TCP classes that expect what only waitress does, and why this server does not.
PLAIN = "the text of an error page is waitress's own"
LOWER = "`keep-alive` and the digits of a chunk's size are in lower case, which means the same"
NEXT = "the bytes that follow a body are refused as an unknown method, not as fields that are too large"
DIFFERENCES = {
    "TcpEchoTests.test_broken_chunked_encoding_invalid_extension": PLAIN,
    "TcpEchoTests.test_broken_chunked_encoding_invalid_hex": PLAIN,
    "TcpEchoTests.test_broken_chunked_encoding_missing_chunk_end": PLAIN,
    "TcpEchoTests.test_keepalive_http10_explicit": LOWER,
    "TcpEchoTests.test_proxy_headers": "X-Forwarded-Port stays in the environment",
    "TcpExpectContinueTests.test_expect_continue": "no 100 is sent if the body has arrived already (RFC 9110, 10.1.1)",
    "TcpFileWrapperTests.test_filelike_longcl_http11": "a Content-Length that is too large is sent, and the connection is closed "
                                                       "early: the client sees an error, not a shorter file",
    "TcpInternalServerErrorTests.test_after_start_response_http10": PLAIN,
    "TcpInternalServerErrorTests.test_after_start_response_http11": PLAIN,
    "TcpInternalServerErrorTests.test_after_start_response_http11_close": PLAIN,
    "TcpInternalServerErrorTests.test_after_write_cb": "nothing was sent yet, so the error is a 500, not an empty 200",
    "TcpInternalServerErrorTests.test_before_start_response_http_10": PLAIN,
    "TcpInternalServerErrorTests.test_before_start_response_http_11": PLAIN,
    "TcpInternalServerErrorTests.test_before_start_response_http_11_close": PLAIN,
    "TcpInternalServerErrorTests.test_in_generator": "nothing was sent yet, so the error is a 500, not an empty 200",
    "TcpInternalServerErrorTestsWithTraceback.test_expose_tracebacks_http_10": "no client gets a traceback",
    "TcpInternalServerErrorTestsWithTraceback.test_expose_tracebacks_http_11": "no client gets a traceback",
    "TcpNoContentLengthTests.test_http10_list": LOWER,
    "TcpNoContentLengthTests.test_http11_generator": LOWER,
    "TcpTooLargeTests.test_request_body_too_large_chunked_encoding": "an extension without a name is 400 before the size counts",
    "TcpTooLargeTests.test_request_body_too_large_with_no_cl_http10_keepalive": NEXT,
    "TcpTooLargeTests.test_request_body_too_large_with_no_cl_http11": NEXT,
    "TcpTooLargeTests.test_request_body_too_large_with_wrong_cl_http10_keepalive": NEXT,
    "TcpTooLargeTests.test_request_body_too_large_with_wrong_cl_http11": NEXT,
}
NAME = '(headers.get("server") or "").partition("/")[0], "stheno"'


def sources(name, folder):
    """The unpacked source distribution."""
    if not list(folder.glob(f"{name}-*.tar.gz")):
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", name, "-d", str(folder),
                        name], check=True)
    archive = sorted(folder.glob(f"{name}-*.tar.gz"))[-1]
    shutil.rmtree(folder / name, ignore_errors=True)
    with tarfile.open(archive) as packed:
        packed.extractall(folder / name, filter="data")
    return next((folder / name).iterdir())


def pytest(folder, paths, *words, verbose):
    """Runs pytest in the folder; returns test → outcome."""
    path = os.pathsep.join([*map(str, paths), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", "-q", "-o", "addopts=", *words],
                          cwd=folder, env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=1200, check=False, stdin=subprocess.DEVNULL)
    if verbose:
        print(done.stdout)
    found = re.findall(r"^(PASSED|FAILED|ERROR|SKIPPED) (?:\[\d+\] )?\S*?(?:::(\S+))?(?: - .*)?$", done.stdout, re.M)
    if not found:
        raise AssertionError(f"pytest ran no test: {done.stdout[-1500:]}")
    return {test.replace("::", "."): outcome for outcome, test in found}


def falcon(folder, threads, verbose):
    source = sources("falcon", folder)
    shim = folder / "shim" / "waitress"
    shim.mkdir(parents=True, exist_ok=True)
    (shim / "__init__.py").write_text("")
    (shim / "__main__.py").write_text(AS_WAITRESS.format(threads=threads))
    return pytest(source / "tests", [shim.parent], "test_wsgi_servers.py", "-k", "waitress", verbose=verbose), {}


def waitress(folder, threads, verbose):
    source = sources("waitress", folder)
    tests = source / "tests" / "test_functional.py"
    tests.write_text(tests.read_text().replace('headers.get("server"), "waitress"', NAME))
    (source / "stheno_plugin.py").write_text(PLUGIN.replace("THREADS", str(threads)))
    # This class asks for a second page while the application sleeps.
    words = ["-k", "not Sleepy"] if threads == 0 else []
    found = pytest(source, [source, source / "src"], "-p", "stheno_plugin", "tests/test_functional.py", *words, verbose=verbose)
    return found, DIFFERENCES


SUITES = [falcon, waitress]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", default="stheno", help="stheno[:threads]")
    parser.add_argument("--only", help="falcon or waitress")
    parser.add_argument("--verbose", action="store_true", help="the output of the tests")
    parser.add_argument("--packages", action="store_true", help="print the packages that have to be installed")
    options = parser.parse_args()
    if options.packages:
        return print(*PACKAGES)
    threads = servers.kind(options.peer)().threads
    folder = pathlib.Path(os.environ.get("SUITES") or tempfile.mkdtemp(prefix="stheno-wsgi-"))
    folder.mkdir(exist_ok=True)
    failed = False
    try:
        for suite in [one for one in SUITES if options.only in (None, one.__name__)]:
            found, differences = suite(folder, threads, options.verbose)
            passed = {test for test, outcome in found.items() if outcome == "PASSED"}
            wrong = found.keys() - passed - differences.keys()
            better = passed & differences.keys()
            failed = failed or bool(wrong or better)
            for test in sorted(wrong):
                print(f"{found[test].lower():8}{suite.__name__} {test}")
            for test in sorted(better):
                print(f"passes  {suite.__name__} {test}, which is listed as a difference: {differences[test]}")
            print(f"{suite.__name__}: {len(passed)} of {len(found)} tests passed, {len(found.keys() & differences.keys())} differ "
                  f"as listed, {len(wrong)} failed", flush=True)
    finally:
        if not os.environ.get("SUITES"):
            shutil.rmtree(folder, ignore_errors=True)
    return sys.exit(failed)


if __name__ == "__main__":
    main()
