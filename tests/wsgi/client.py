"""A client that sends exact bytes, and makes no assumptions about the response.

It knows how a response is framed (length, chunks, close, or no body), and reports whether it was complete.
"""

import contextlib
import json
import re
import socket
import time

# The limit for every wait: far more than needed, even beside a compiler on the same two cores.
PATIENCE = 20.0


class Silence(AssertionError):
    """Nothing arrived in time."""


class Answer:
    """One response as it arrived."""

    def __init__(self):
        self.version, self.status, self.reason = "", 0, ""
        self.fields = []
        self.body = b""
        # The chunks as they were sent, if the response was chunked.
        self.chunks = []
        # The framing: "length", "chunks", "close" or "none" (without a body).
        self.framing = ""
        # Whether it is complete. With "close" that is unknown.
        self.complete = False

    def all(self, name):
        """The values of all fields with this name, in order."""
        return [value for field, value in self.fields if field.lower() == name.lower()]

    def get(self, name):
        """The value of the only field with this name, or None."""
        values = self.all(name)
        assert len(values) < 2, f"{name} is there {len(values)} times: {values}"
        return values[0] if values else None

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.reason} {self.fields} {self.framing} {self.body[:200]!r}>"


class Connection:
    """One connection; `address` is a pair, or the path of a Unix socket; `small_window` may be a size in bytes."""

    def __init__(self, address, patience=PATIENCE, small_window=False):
        self.patience = patience
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(patience)
        if small_window:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096 if small_window is True else small_window)
        self.socket.connect(address)
        if family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.ended = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Closes the connection so that the server's next write fails."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    @property
    def port(self):
        """The local port."""
        return self.socket.getsockname()[1]

    def send(self, data):
        """Sends all of it. A close by the server is found when the response is read."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def ask(self, target="/", app=None, method="GET", headers=(), body=None, version="HTTP/1.1"):
        """Sends a request, and waits for its response."""
        self.send(request(target, app, method, headers, body, version))
        return self.answer(method)

    def more(self):
        """Waits for bytes; False if the server has closed."""
        if self.ended:
            return False
        try:
            data = self.socket.recv(65536)
        except socket.timeout:
            raise Silence(f"nothing in {self.patience:.0f} s; until then: {self.buffer[:300]!r}") from None
        except ConnectionResetError:
            data = b""
        self.buffer += data
        self.ended = not data
        return not self.ended

    def until(self, end):
        """Takes everything up to and including these bytes; None if the server closes before."""
        while end not in self.buffer:
            if not self.more():
                return None
        taken, self.buffer = self.buffer.split(end, 1)
        return taken + end

    def exactly(self, length):
        """Takes this number of bytes, or fewer if the server closes before."""
        pieces, missing = [], length
        while missing:
            if not self.buffer and not self.more():
                break
            taken, self.buffer = self.buffer[:missing], self.buffer[missing:]
            pieces.append(taken)
            missing -= len(taken)
        return b"".join(pieces)

    def rest(self):
        """Takes everything until the server closes."""
        pieces = [self.buffer]
        self.buffer = b""
        while self.more():
            pieces.append(self.buffer)
            self.buffer = b""
        return b"".join(pieces)

    def is_closed(self):
        """Waits until the server closes; False if more bytes arrive."""
        return not self.buffer and not self.more()

    def head(self):
        """Takes a head; returns None if the server closes instead."""
        text = self.until(b"\r\n\r\n")
        if text is None:
            return None
        answer = Answer()
        first, *lines = text[:-4].decode("latin-1").split("\r\n")
        found = re.fullmatch(r"(HTTP/1\.[01]) (\d\d\d)(?: (.*))?", first)
        assert found, f"no status line: {first!r}"
        answer.version, answer.status, answer.reason = found[1], int(found[2]), found[3] or ""
        for line in lines:
            name, colon, value = line.partition(":")
            assert colon and name and name == name.strip(), f"no field: {line!r}"
            answer.fields.append((name, value.strip(" \t")))
        return answer

    def answer(self, method="GET", interim=False):
        """Takes a response; None if the server closes instead. Interim responses (1xx) are skipped."""
        answer = self.head()
        if answer is None:
            return None
        if 100 <= answer.status < 200:
            answer.framing, answer.complete = "none", True
            return answer if interim else self.answer(method)
        length = answer.get("Content-Length")
        if method == "HEAD" or answer.status in (204, 304):
            answer.framing, answer.complete = "none", True
        elif coding := answer.get("Transfer-Encoding"):
            assert coding.lower() == "chunked" and length is None, f"two ends: {answer}"
            answer.framing = "chunks"
            answer.complete = self.take_chunks(answer)
        elif length is not None:
            assert length.isdigit(), f"Content-Length: {length!r}"
            answer.framing = "length"
            answer.body = self.exactly(int(length))
            answer.complete = len(answer.body) == int(length)
        else:
            answer.framing = "close"
            answer.body = self.rest()
            answer.complete = True
        return answer

    def take_chunks(self, answer):
        """Takes chunks until the last; False if the server closes before it."""
        while True:
            line = self.until(b"\r\n")
            if line is None:
                return False
            size = int(line.split(b";")[0], 16)
            if size == 0:
                end = self.until(b"\r\n")
                assert end in (b"\r\n", None), f"after the last chunk: {end!r}"
                return end is not None
            chunk = self.exactly(size)
            answer.chunks.append(chunk)
            answer.body += chunk
            if self.exactly(2) != b"\r\n":
                assert self.ended, "no CRLF after a chunk"
                return False


def request(target="/", app=None, method="GET", headers=(), body=None, version="HTTP/1.1"):
    """The bytes of a request. `app` is one of the package `apps`; a list as a body is sent in chunks."""
    fields = [("Host", "test.example")]
    if app:
        fields.append(("X-App", app))
    fields += headers
    if isinstance(body, (list, tuple)):
        fields.append(("Transfer-Encoding", "chunked"))
        data = b"".join(chunk(piece) for piece in body) + b"0\r\n\r\n"
    else:
        data = body or b""
        if body is not None:
            fields.append(("Content-Length", str(len(data))))
    lines = [f"{method} {target} {version}"] + [f"{name}: {value}" for name, value in fields]
    return "\r\n".join(lines + ["", ""]).encode("latin-1") + data


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def eventually(condition, what, patience=PATIENCE):
    """Waits until the condition is true, and returns its value."""
    until = time.monotonic() + patience
    while True:
        if held := condition():
            return held
        if time.monotonic() > until:
            raise Silence(f"not within {patience:.0f} s: {what}")
        time.sleep(0.01)
