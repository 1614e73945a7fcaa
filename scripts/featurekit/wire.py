"""A client that sends exactly the bytes it is told to, and reads responses as RFC 9112 frames them."""

import contextlib
import socket
import ssl
from dataclasses import dataclass, field

PATIENCE = 10.0
# No more of a body is read: a server that ignores a range sends 5 GiB.
MOST = 64 << 20


@dataclass
class Response:
    """A response; `status` is 0 where none came, and `is_whole` is false where it ended early."""

    status: int = 0
    reason: str = ""
    fields: list = field(default_factory=list)
    body: bytes = b""
    is_whole: bool = False

    def get(self, name):
        """The values of a field, joined; an empty text if there is none."""
        return ", ".join(value for key, value in self.fields if key == name)

    @property
    def text(self):
        return self.body.decode(errors="replace")


def connect(port, source="127.0.0.1", tls=None, session=None, patience=PATIENCE):
    """A connection to the server; `tls` is an SSLContext."""
    client = socket.create_connection(("127.0.0.1", port), patience, (source, 0))
    return tls.wrap_socket(client, server_hostname="localhost", session=session) if tls else client


def trusting(*protocols, latest=None):
    """A context that takes any certificate, and offers these protocols by ALPN."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    if latest:
        context.maximum_version = latest
    return context


def head(path, fields=(), method="GET", host="localhost"):
    """The bytes of a request without a body. The path is sent as it is, so it may be bytes."""
    path = path.encode() if isinstance(path, str) else path
    lines = [f"Host: {host}", *fields] if host else list(fields)
    return method.encode() + b" " + path + b" HTTP/1.1\r\n" + "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


def ask(port, path, *fields, method="GET", body=b"", before=b"", close=True, **options):
    """Sends one request on a new connection, with the bytes `before` in front of it; returns the response."""
    fields = [*fields, *([f"Content-Length: {len(body)}"] if body else []), *(["Connection: close"] if close else [])]
    try:
        with connect(port, **options) as client:
            client.sendall(before + head(path, fields, method) + body)
            return Reader(client).response(method)
    except OSError:
        return Response()


class Reader:
    """Reads responses from a connection, one after the other."""

    def __init__(self, client):
        self.client, self.input, self.is_over = client, bytearray(), False

    def more(self):
        """Reads what is there; false at the end, where the server is silent for longer than the client waits, and where it
        has sent more than anyone wants."""
        with contextlib.suppress(OSError):
            if len(self.input) < MOST and (data := self.client.recv(1 << 18)):
                self.input += data
                return True
        self.is_over = True
        return False

    def take(self, end):
        taken = bytes(self.input[:end])
        del self.input[:end]
        return taken

    def exactly(self, size):
        while len(self.input) < min(size, MOST) and self.more():
            pass
        return self.take(size)

    def until(self, mark):
        while mark not in self.input and self.more():
            pass
        if mark not in self.input:
            return self.take(len(self.input))
        return self.take(self.input.index(mark) + len(mark))

    def head(self):
        """The head of a response, as one without a body."""
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        words = lines[0].split(" ", 2)
        if not words[0].startswith("HTTP/1") or len(words) < 2 or not words[1].isdigit():
            return Response(body="\n".join(lines).encode())
        pairs = (line.partition(":") for line in lines[1:] if ":" in line)
        return Response(int(words[1]), "".join(words[2:]), [(name.lower(), value.strip()) for name, _, value in pairs])

    def response(self, method="GET"):
        found = self.head()
        while 100 <= found.status < 200:
            found = self.head()
        if not found.status:
            return found
        if method == "HEAD" or found.status in (204, 304):
            found.is_whole = True
        elif "chunked" in found.get("transfer-encoding"):
            self.chunks(found)
        elif found.get("content-length").isdigit():
            size = int(found.get("content-length"))
            found.body = self.exactly(size)
            found.is_whole = len(found.body) == size
        else:
            while self.more():
                pass
            found.body, found.is_whole = self.take(len(self.input)), True
        return found

    def chunks(self, found):
        parts = []
        while size := int(self.until(b"\r\n").split(b";")[0].strip() or b"0", 16):
            parts.append(self.exactly(size))
            self.until(b"\r\n")
            if self.is_over:
                break
        found.body, found.is_whole = b"".join(parts), not self.is_over
