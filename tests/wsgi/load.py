"""Clients that keep a server busy."""

import threading

from client import Connection, eventually


class Load:
    """Clients that send the same request repeatedly, and count the outcomes."""

    def __init__(self, server, app, wanted, clients=8, keep=True):
        self.server, self.app, self.wanted, self.keep = server, app, wanted, keep
        self.good, self.cut, self.wrong, self.lost, self.refused = 0, 0, [], 0, 0
        self.lock, self.ending = threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self.client, daemon=True) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def count(self, name, what=None):
        with self.lock:
            if what is None:
                setattr(self, name, getattr(self, name) + 1)
            else:
                self.wrong.append(what)

    def client(self):
        while not self.ending.is_set():
            try:
                connection = Connection(self.server.address)
            except OSError:
                self.count("refused")
                if self.server.process.poll() is not None or self.ending.wait(0.01):
                    return
                continue
            with connection:
                self.talk(connection)

    def talk(self, connection):
        while not self.ending.is_set():
            # A server may close between two responses; the client then uses another connection.
            connection.socket.setblocking(False)
            try:
                if connection.socket.recv(1) == b"":
                    return
            except BlockingIOError:
                pass
            except OSError:
                return
            connection.socket.settimeout(connection.patience)
            try:
                answer = connection.ask(app=self.app)
            except (AssertionError, OSError) as error:
                return self.count("wrong", repr(error)[:200])
            if answer is None:
                return self.count("lost")
            if not answer.complete or answer.framing == "close" and answer.body != self.wanted:
                return self.count("cut")
            if answer.status != 200 or self.wanted is not None and answer.body != self.wanted:
                return self.count("wrong", repr(answer)[:200])
            self.count("good")
            if not self.keep or (answer.get("Connection") or "").lower() == "close":
                return

    def reaches(self, count):
        """Waits until `count` more requests were served."""
        wanted = self.good + count
        eventually(lambda: self.good >= wanted or self.ending.is_set(), f"{count} more responses; {self}", 60)

    def end(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(30)

    def __str__(self):
        return (f"{self.good} good, {self.cut} cut, {self.lost} lost, {self.refused} refused, {len(self.wrong)} wrong "
                f"{self.wrong[:2]}")
