#!/usr/bin/env python3
"""Serves each app of examples/wsgi, and uses it as browsers and programs do: with `requests`, curl, and Chromium.

    tests/wsgi/frameworks.py                       stheno; --peer NAME as in run.py
    tests/wsgi/frameworks.py --only django --screenshot board.png

Sessions, an upload of 50 MB, streams, chunked bodies, errors. An app whose framework is missing, and a missing program,
are skipped with a printed line. Exits with 1 if a test fails.
"""

import argparse
import hashlib
import importlib.util
import json
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import requests

import servers
from client import eventually
from harness import expect

EXAMPLES = servers.PROJECT / "examples" / "wsgi"
LARGE = bytes(range(256)) * (50 * 4096)  # 50 MiB
DIGEST = hashlib.sha256(LARGE).hexdigest()


def in_chunks(data, size=100_000):
    """As a body, `requests` sends it with Transfer-Encoding: chunked."""
    for start in range(0, len(data), size):
        yield data[start:start + size]


class Site:
    """A session with a served app."""

    def __init__(self, server):
        self.server, self.url = server, f"http://127.0.0.1:{server.port}"
        self.session = requests.Session()
        self.session.trust_env = False

    def __call__(self, method, path, wanted=200, **more):
        answer = self.session.request(method, self.url + path, timeout=60, **more)
        expect(answer.status_code, wanted, f"{method} {path}: {answer.text[:200] if not more.get('stream') else ''}")
        return answer


def my_app(site):
    answer = site("GET", "/")
    expect((answer.text, answer.headers["Content-Type"]), ("Hello World", "text/plain"))
    expect(site("HEAD", "/").text, "")
    expect(site("POST", "/", data=LARGE[:1 << 20]).text, "Hello World")


def falcon(site):
    first = site("GET", "/quote").json()
    expect(first["author"], "Grace Hopper")
    quote = {"quote": "Ça marche ☃", "author": "Ada"}
    made = site("POST", "/quote", 201, json=quote)
    expect(site("GET", made.headers["Location"]).json(), quote)
    body = json.dumps({"quote": "in chunks", "author": "Ada"}).encode()
    made = site("POST", "/quote", 201, data=in_chunks(body, 7), headers={"Content-Type": "application/json"})
    expect(site("GET", made.headers["Location"]).json()["quote"], "in chunks")
    for bad in [{}, {"quote": "", "author": "x"}, {"quote": 5, "author": "x"}, {"quote": "x" * 501, "author": "x"},
                {"quote": "x", "author": "x", "more": 1}, ["x"]]:
        site("POST", "/quote", 422, json=bad)
    site("POST", "/quote", 400, data=b"{", headers={"Content-Type": "application/json"})
    site("POST", "/quote", 415, data=b"a=b", headers={"Content-Type": "text/plain"})
    site("GET", "/quote/99999", 404)
    site("DELETE", "/quote", 405)
    site("GET", "/nothing", 404)
    expect(site("GET", "/quote").json(), first)


def bottle(site):
    begun, seen = time.monotonic(), []
    with site("GET", "/ticks/5", stream=True) as answer:
        for line in answer.iter_lines():
            seen.append((line.split()[0], time.monotonic() - begun))
    expect([number for number, _ in seen], [b"1", b"2", b"3", b"4", b"5"])
    assert seen[0][1] < seen[-1][1] - 0.2, f"the ticks came at once: {seen}"
    expect([site("GET", "/visits").json()["visits"] for _ in range(3)], [1, 2, 3])
    weighed = site("POST", "/weigh", files={"file": ("large.bin", LARGE)}).json()
    expect((weighed["bytes"], weighed["sha256"]), (len(LARGE), DIGEST))
    # The same form, in chunks, which the server decodes for bottle.
    form = requests.Request("POST", site.url, files={"file": ("small.bin", LARGE[:300_000])}).prepare()
    weighed = site("POST", "/weigh", data=in_chunks(form.body), headers={"Content-Type": form.headers["Content-Type"]}).json()
    expect(weighed["bytes"], 300_000)
    site("POST", "/weigh", 400)
    site("GET", "/error", 500)
    site("GET", "/nothing", 404)


def flask(site):
    site("GET", "/files", 401)
    site("POST", "/sign-in", 400)
    expect(site("POST", "/sign-in", data={"name": "Ada"}).json(), {"name": "Ada"})
    put = site("POST", "/files", 201, files={"file": ("large.bin", LARGE)}).json()
    expect(put, {"name": "large.bin", "bytes": len(LARGE)})
    expect(site("GET", "/files").json(), [put])
    hashed = hashlib.sha256()
    with site("GET", "/files/large.bin", stream=True) as answer:
        expect(answer.headers["Content-Length"], str(len(LARGE)))
        for piece in answer.iter_content(1 << 20):
            hashed.update(piece)
        tag = answer.headers["ETag"]
    expect(hashed.hexdigest(), DIGEST)
    part = site("GET", "/files/large.bin", 206, headers={"Range": "bytes=1000-1999"})
    expect(part.content, LARGE[1000:2000])
    site("GET", "/files/large.bin", 304, headers={"If-None-Match": tag})
    site("GET", "/files/none", 404)
    with site("GET", "/numbers/100000", stream=True) as answer:
        assert "Content-Length" not in answer.headers
        expect(sum(1 for _ in answer.iter_lines()), 100_000)
    form = requests.Request("POST", site.url, files={"file": ("chunks.bin", LARGE[:300_000])}).prepare()
    put = site("POST", "/files", 201, data=in_chunks(form.body), headers={"Content-Type": form.headers["Content-Type"]}).json()
    expect(put["bytes"], 300_000)
    site("GET", "/error", 500)
    # The rest of this stream is not read, so the next request needs another connection.
    with site("GET", "/numbers/100000000", stream=True) as answer:
        next(answer.iter_content(1000))
    site("POST", "/sign-out")
    site("GET", "/files", 401)


def django(site):
    page = site("GET", "/").text
    assert "Nothing hangs here yet" in page, page[:500]

    def pin(wanted=200, **fields):
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', site("GET", "/").text)[1]
        files = {"file": fields.pop("file")} if "file" in fields else {"file": ("", b"")}
        data = {"csrfmiddlewaretoken": token, "colour": "verd", **fields}
        return site("POST", "/", wanted, data=data, files=files).text

    page = pin(name="Ada", text="Ça marche ☃ <script>alert(1)</script>")
    assert "Ça marche ☃ &lt;script&gt;" in page and "<script>" not in page
    assert "have pinned 1 of them" in page, "no session"
    page = pin(name="Ada", text="with a file", file=("large.bin", LARGE), colour="plum")
    assert "have pinned 2 of them" in page and "50.0" in page
    number = re.search(r'href="/file/(\d+)"', page)[1]
    hashed = hashlib.sha256()
    with site("GET", f"/file/{number}", stream=True) as answer:
        expect(answer.headers["Content-Length"], str(len(LARGE)))
        for piece in answer.iter_content(1 << 20):
            hashed.update(piece)
    expect(hashed.hexdigest(), DIGEST)
    for bad in [{"name": "", "text": "x"}, {"name": "x", "text": "x" * 401}, {"name": "x", "text": "y", "colour": "no"}]:
        assert "errorlist" in pin(422, **bad)
    site("POST", "/", 403, data={"name": "x", "text": "no token", "colour": "verd"})
    with site("GET", "/notes.csv", stream=True) as answer:
        assert "Content-Length" not in answer.headers
        lines = list(answer.iter_lines())
    expect(len(lines), 3)
    # urlencoded, and in chunks: Django reads by CONTENT_LENGTH.
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', site("GET", "/").text)[1]
    body = f"csrfmiddlewaretoken={token}&name=Ada&text=in+chunks&colour=sky".encode()
    page = site("POST", "/", data=in_chunks(body, 9), headers={"Content-Type": "application/x-www-form-urlencoded"}).text
    assert "in chunks" in page, "Django did not see a body that came in chunks"
    site("GET", "/error", 500)
    site("GET", "/nothing", 404)
    eventually(lambda: database_files(site.server) <= 4, "database connections are closed")


def database_files(server):
    """How often the processes have the database open. Each thread may keep one."""
    return sum("board.sqlite3" in name for name in server.descriptors())


def chromium(url, folder, *more):
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if not program:
        return None
    return subprocess.run([program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                           "--disable-background-networking", "--disable-component-update", "--disable-sync",
                           f"--user-data-dir={folder}", *more, url], capture_output=True, text=True, timeout=60, check=False)


def browser(site, folder, screenshot):
    """The page in a browser: its layout, and no request for a missing file."""
    run = chromium(site.url, folder / "chromium", "--dump-dom", "--virtual-time-budget=3000")
    if run is None:
        return "no Chromium here"
    assert "<h1>The board</h1>" in run.stdout and "Pin it" in run.stdout, run.stdout[:500] + run.stderr[-500:]
    if screenshot:
        chromium(site.url, folder / "chromium", f"--screenshot={screenshot}", "--window-size=1280,900")
    return ""


def curl(site, folder):
    """The curl commands of the apps' first lines; here an upload and its response."""
    if not shutil.which("curl"):
        return "no curl here"
    (folder / "upload").write_bytes(LARGE[:5_000_000])
    run = subprocess.run(["curl", "-sS", "-F", f"file=@{folder / 'upload'}", f"{site.url}/weigh"], capture_output=True, text=True,
                         timeout=60, check=True)
    expect(json.loads(run.stdout)["bytes"], 5_000_000)
    run = subprocess.run(["curl", "-sS", "-N", "--http1.0", f"{site.url}/ticks/2"], capture_output=True, text=True, timeout=60,
                         check=True)
    expect(len(run.stdout.splitlines()), 2)
    return ""


APPS = [("my_app:application", None, my_app), ("quotes_falcon:api", "falcon", falcon),
        ("clock_bottle:application", "bottle", bottle), ("shelf_flask:application", "flask", flask),
        ("board_django:application", "django", django)]


def exercise(app, check, options, say):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="stheno-wsgi-"))
    for name in ("board", "shelf"):
        (folder / name).mkdir()
    # Temporary files of server and app are in a folder that is removed at the end.
    env = {"PYTHONPATH": str(EXAMPLES), "BOARD_FOLDER": str(folder / "board"), "SHELF_FOLDER": str(folder / "shelf"),
           "TMPDIR": str(folder)}
    server = servers.kind(options.peer)(app=app, env=env)
    try:
        server.start()
        site = Site(server)
        check(site)
        say("ok", check.__name__)
        if check is bottle:
            missing = curl(site, folder)
            say("skipped" if missing else "ok", "bottle by curl", missing)
        if check is django:
            if options.screenshot:
                decorate(site)
            missing = browser(site, folder, options.screenshot)
            say("skipped" if missing else "ok", "django in Chromium", missing)
        log = server.log()
        for words in ("panicked at", "Fatal Python error"):
            assert words not in log, log[-1000:]
        expect(server.process.poll(), None, "exit code")
    except Exception as error:  # a failure is one line, and the next app is tested
        say("failed", check.__name__, f"{type(error).__name__}: {' '.join(str(error).split())[:500]}")
        if options.verbose:
            print(server.log()[-3000:], file=sys.stderr)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def decorate(site):
    """Notes for the screenshot."""
    for name, text, colour in [("Grace", "The most dangerous phrase in the language is:\nwe have always done it this way.",
                                "bronze"),
                               ("Ada", "The engine might compose elaborate pieces of music of any degree of complexity.", "sky"),
                               ("Barbara", "Bring cake on Thursday.", "plum"),
                               ("Medusa", "Do not look at the second sister, look at the loop.", "verd")]:
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', site("GET", "/").text)[1]
        site("POST", "/", data={"csrfmiddlewaretoken": token, "name": name, "text": text, "colour": colour})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", default="stheno", help="the server: stheno[:threads], " + ", ".join(servers.PEERS))
    parser.add_argument("--only", help="the framework with this name")
    parser.add_argument("--screenshot", help="a picture of the board, as a PNG file")
    parser.add_argument("--verbose", action="store_true", help="the server's log when something fails")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    failures = []

    def say(verdict, what, why=""):
        print(f"{verdict:8}{what:24}{why}", flush=True)
        if verdict == "failed":
            failures.append(what)
    for app, module, check in APPS:
        if options.only and check.__name__ != options.only:
            continue
        if module and not importlib.util.find_spec(module):
            say("skipped", check.__name__, f"{module} is not installed")
        else:
            exercise(app, check, options, say)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
