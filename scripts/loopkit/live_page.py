"""Checks the page of a program that is stepped, against a server that does as scripts/loop live."""

import functools
import http.server
import threading

from . import browser, page, sample


class Handler(http.server.BaseHTTPRequestHandler):
    """A program that is stepped: each step gives it a longer recording."""

    def __init__(self, shared, *given):
        self.shared = shared
        super().__init__(*given)

    def do_GET(self):
        shared = self.shared
        if self.path == "/events":
            self.answer("text/event-stream", b"retry: 60000\n\nevent: recording\ndata: 1\n\n", end=False)
            with shared.news:
                shared.news.wait_for(lambda: shared.posts)
            self.wfile.write(b"event: recording\ndata: 2\n\n")
            self.wfile.flush()
            shared.over.wait(browser.PATIENCE)
            return
        found = {"/": ("text/html", shared.page), "/recording": ("application/octet-stream", shared.recording()),
                 "/scenarios": ("application/json", b'[{"name": "slow_head", "about": "a head in pieces"}]')}.get(self.path)
        self.answer(*found) if found else self.send_error(404)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with self.shared.news:
            self.shared.posts.append((self.path, body))
            self.shared.news.notify_all()
        self.answer("text/plain", b"")

    def answer(self, kind, body, end=True):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        if end:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_):
        """The terminal belongs to the check."""


class Shared:
    def __init__(self, page_bytes, content):
        self.page, self.content, self.posts = page_bytes, content, []
        self.news, self.over = threading.Condition(), threading.Event()

    def recording(self):
        return self.content[min(1, len(self.posts))]


def check(window, folder, content, turns):
    """Step is sent to the program, and the page goes to the end of the longer recording."""
    short = sample.Sample(3).file("live")
    page.make([("live", short, None, "")], folder / "live.html", live=True)
    shared = Shared((folder / "live.html").read_bytes(), (short, content))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, shared)) as server:
        server.daemon_threads, server.block_on_close = True, False
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield from steps(window, f"http://127.0.0.1:{server.server_port}/", shared, turns)
        finally:
            shared.over.set()
            server.shutdown()
            thread.join()


def steps(window, url, shared, turns):
    window.troubles.clear()
    window.requests.clear()
    window.open(f"{url}#lang=en")
    window.run(until("document.querySelector('#send button')"))
    window.run("document.querySelector('[data-live=step]').click()")
    window.run(until(f"document.body.innerText.includes('Turn {turns}:')"))
    window.run("document.querySelector('#send button').click()")
    with shared.news:
        shared.news.wait_for(lambda: len(shared.posts) > 1, browser.PATIENCE)
    if shared.posts != [("/control", "step"), ("/send", "slow_head")]:
        yield f"the program was told {shared.posts}"
    yield from (f"the live page: the console says: {text}" for text in window.troubles)
    yield from (f"the live page asks for {asked}" for asked in window.requests if not asked.startswith((url, "data:")))


def until(condition):
    """A promise that is kept when the condition holds."""
    return f"new Promise((done) => {{ const look = () => ({condition}) ? done(true) : setTimeout(look, 10); look(); }})"
