"""`scripts/loop live RUNG`: a page from which a rung is paused and stepped, and to which scenarios are sent.

The rung waits for a line on its standard input before each wait of its loop, writes its recording after each turn, and then
one line about the turn on standard error. That line is the event that the page gets."""

import contextlib
import http.server
import json
import re
import subprocess
import threading
import time

from lib import Trouble

from . import TARGET, language, player, reading, rungs

COMMANDS = {"step": b"\n", "run": b"run\n", "pause": b"pause\n"}
# The loop of a rung, for the page that is opened before the first turn is over.
LOOPS = {"select": "select", "mio": "mio", "reactor": "reactor", "chat": "reactor", "waker": "waker", "executor": "executor",
         "futures": "futures", "tokio": "tokio"}
# Most clients of a group: a person steps through what they do.
MOST = 500
# Seconds after which a stream of events without an event says that it is alive.
SILENCE = 15


class Live:
    """A rung that is stepped: commands go in, turns come out."""

    def __init__(self, rung):
        self.rung, self.turns, self.news, self.is_over = rung, 0, threading.Condition(), False
        # Results of scenarios, in the order in which they ended; and all clients that were sent.
        self.results, self.clients = [], []
        self.file, log = TARGET / f"live-{rung.slug}.rec", TARGET / f"live-{rung.slug}.log"
        TARGET.mkdir(parents=True, exist_ok=True)
        self.file.unlink(missing_ok=True)
        self.running = rungs.Running(rung, "--record", str(self.file), "--loop", "--step", log=log,
                                     stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        """Reads the rung's standard error to its end: each line of a turn is an event."""
        for line in self.running.process.stderr:
            if re.match(rb"turn +\d+ ", line):
                with self.news:
                    self.turns += 1
                    self.news.notify_all()
        with self.news:
            self.is_over = True
            self.news.notify_all()

    def command(self, name):
        with contextlib.suppress(BrokenPipeError):
            self.running.process.stdin.write(COMMANDS[name])
            self.running.process.stdin.flush()

    def send(self, name):
        """Plays a scenario in a thread of its own; a person decides how long it takes."""
        scenario = language.load(name, MOST)
        if reason := scenario.misfit(self.rung):
            raise Trouble(f"{name} cannot be played on {self.rung.name}: {reason}")
        play = player.Play(scenario, self.rung.kind, self.running.port, self.running.freeze, self.running.thaw, None,
                           lambda: self.is_over)
        self.clients += play.clients
        threading.Thread(target=self.play, args=(play,), daemon=True).start()

    def play(self, play):
        with play:
            try:
                failures = [f"{client.name}: {client.failure}" for client in play.run() if client.failure]
            except Trouble as trouble:
                failures = [str(trouble)]
        with self.news:
            self.results.append({"scenario": play.scenario.name, "failures": failures})
            self.news.notify_all()

    def recording(self):
        """The bytes of the recording: whole, although the rung may be writing them again."""
        for _ in range(100):
            with contextlib.suppress(OSError, Trouble):
                content = self.file.read_bytes()
                reading.Recording(content, self.file)
                if content == self.file.read_bytes():
                    return reading.named(content, self.clients)
            if not self.turns:
                return self.empty()
            time.sleep(0.01)
        raise Trouble(f"{self.file} is not whole")

    def empty(self):
        """A recording before the first turn."""
        loop = LOOPS[self.rung.whole.partition("_")[2]]
        return (f"stheno recording 1\nprogram {self.rung.whole}\nloop {loop}\ntells\npid {self.running.pid}\nworker 0\n"
                f"began {time.time():.9f}\nrecords 0\n\n").encode()

    def page(self):
        from . import page
        out = TARGET / f"live-{self.rung.slug}.html"
        page.make([(f"{self.rung.name}, live", self.recording(), self.rung.source, f"scripts/loop live {self.rung.name}")],
                  out, live=True)
        return out.read_bytes()

    def scenarios(self):
        """Those that fit this rung."""
        for name in language.names():
            scenario = language.load(name)
            if not scenario.misfit(self.rung):
                yield {"name": name, "about": scenario.about}

    def end(self):
        self.command("run")
        self.running.end()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads, allow_reuse_address = True, True

    def __init__(self, live, port=0):
        self.live = live
        super().__init__(("127.0.0.1", port), Handler)
        self.own = {f"{host}:{self.server_port}" for host in ("127.0.0.1", "localhost")}

    def handle_error(self, request, client_address):
        """A viewer that leaves in the middle of its answer is no error."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        live = self.server.live
        answers = {
            "/": lambda: ("text/html; charset=utf-8", live.page()),
            "/recording": lambda: ("application/octet-stream", live.recording()),
            "/scenarios": lambda: ("application/json", json.dumps(list(live.scenarios())).encode()),
        }
        if not self.is_own():
            return self.reply(403, "text/plain", b"this page is for its own address only\n")
        if self.path == "/events":
            return self.stream()
        if self.path not in answers:
            return self.reply(404, "text/plain", b"there is no such page\n")
        try:
            return self.reply(200, *answers[self.path]())
        except Trouble as trouble:
            return self.reply(503, "text/plain", f"{trouble}\n".encode())

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > 1000:
            self.close_connection = True
            return self.reply(400, "text/plain", b"a body of at most 1,000 bytes is wanted\n")
        word = self.rfile.read(int(length)).decode(errors="replace").strip()
        # Another site's page can send a POST here, but not without its own name in Origin, and not with our name in Host
        # when it reaches this address through a name of its own.
        if not self.is_own():
            return self.reply(403, "text/plain", b"only the page itself may do this\n")
        try:
            if self.path == "/control" and word in COMMANDS:
                self.server.live.command(word)
            elif self.path == "/send" and word in language.names():
                self.server.live.send(word)
            else:
                return self.reply(404, "text/plain", f"there is no {self.path} '{word}'\n".encode())
        except Trouble as trouble:
            return self.reply(409, "text/plain", f"{trouble}\n".encode())
        return self.reply(204, "text/plain", b"")

    def is_own(self):
        origin = self.headers.get("Origin")
        return self.headers.get("Host") in self.server.own and (
            origin is None or origin.removeprefix("http://") in self.server.own and origin.startswith("http://"))

    def reply(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def stream(self):
        """Events until the viewer leaves or the rung is over. Turns that end faster than they are sent are one event."""
        live, turns, results = self.server.live, -1, len(self.server.live.results)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        over = False
        while not over:
            with live.news:
                live.news.wait_for(lambda: live.turns != turns or len(live.results) > results or live.is_over, SILENCE)
                news, over = live.results[results:], live.is_over
                changed, turns, results = turns != live.turns, live.turns, len(live.results)
            text = f"event: recording\ndata: {turns}\n\n" if changed else ""
            text += "".join(f"event: sent\ndata: {json.dumps(one)}\n\n" for one in news)
            text += "event: over\ndata: the rung has ended\n\n" if over else ""
            self.wfile.write((text or ": still here\n\n").encode())

    def log_message(self, *_):
        """The terminal belongs to the person at it."""


@contextlib.contextmanager
def serving(rung, port=0):
    """A rung that is stepped, and the server of its page."""
    live = Live(rung)
    try:
        with Server(live, port) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            try:
                yield live, server
            finally:
                server.shutdown()
                thread.join()
    finally:
        live.end()


def live(options):
    """`scripts/loop live RUNG`."""
    if options.rung == "stheno":
        raise Trouble("stheno forks workers and is not stepped; web_reactor is the rung with the same loop")
    rung = rungs.Rung(options.rung)
    if rung.from_outside:
        raise Trouble(f"{rung.name} has no loop that could be stepped; there are {', '.join(rungs.LOOPS)}")
    rungs.build([rung])
    with serving(rung) as (live, server):
        page = f"http://127.0.0.1:{server.server_port}/"
        print(f"{rung.name} stands before its first wait: {page} (Ctrl+C ends it)", flush=True)
        print(f"its clients connect to 127.0.0.1:{live.running.port}", flush=True)
        try:
            with live.news:
                live.news.wait_for(lambda: live.is_over)
        except KeyboardInterrupt:
            print("\nended")
            return 0
    raise Trouble(f"{rung.name} has ended by itself: see {TARGET}/live-{rung.slug}.log")
