"""What a client sends to a rung of each kind when it asks, and how it knows the answer."""

import re

# The response of every web rung to every request.
PAGE = (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 71\r\n\r\n"
        b"<html><head><title>Success</title></head><body>Index page</body></html>")


class Wrong(Exception):
    """Bytes that a client must not get, or the end of them before the answer is whole."""


def lines(count, start=0):
    """Bytes `start` to `start + count` of the numbered lines, each of which has 100 bytes: a lost or doubled piece shows."""
    first, last = start // 100, (start + count) // 100 + 1
    text = "".join(f"{number:099}\n" for number in range(first, last)).encode()
    return text[start - first * 100:][:count]


def exactly(wanted):
    """Checks that the next bytes are these. A check returns how many bytes it takes, or None when more have to come."""
    def check(inbox, ended):
        if len(inbox) < len(wanted) and not ended:
            return None
        if not inbox.startswith(wanted):
            shorter = min(len(inbox), len(wanted))
            same = next((at for at in range(shorter) if inbox[at] != wanted[at]), shorter)
            if same == len(inbox):
                raise Wrong(f"{ended} after {same} of {len(wanted)} bytes")
            raise Wrong(f"byte {same} differs: {bytes(inbox[same:same + 20])!r} in place of {wanted[same:same + 20]!r}")
        return len(wanted)
    check.length = len(wanted)
    return check


class Echo:
    """A line comes back."""

    name, one_request = "echo", False

    def request(self, client, number, size):
        return lines(size) if size else f"Hey server, {client} asks ({number})\n".encode()

    def reply(self, request, _):
        return exactly(request)


class Web:
    """One page for each connection, whatever the request is; then the end."""

    name, one_request = "web", True

    def request(self, client, _, __):
        return f"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: {client}\r\n\r\n".encode()

    def reply(self, _, __):
        page = exactly(PAGE)

        def check(inbox, ended):
            # A rung that reads once closes with input unread when the request came in pieces: a reset is an end as well.
            if taken := page(inbox, ended):
                if len(inbox) > taken:
                    raise Wrong(f"{len(inbox) - taken} bytes after the page")
                return taken if ended else None
            return None
        check.length = len(PAGE)
        return check


class File:
    """Files of a folder: the front page, and lines of as many bytes as are asked for."""

    name, one_request = "file", False

    def __init__(self, root):
        self.root = root

    def request(self, client, _, size):
        path = f"/{self.provide(size).name}" if size else "/"
        return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: {client}\r\n\r\n".encode()

    def provide(self, size):
        path = self.root / f"lines-{size}.txt"
        if not path.exists():
            path.write_bytes(lines(size))
        return path

    def reply(self, _, size):
        body = exactly((self.provide(size) if size else self.root / "index.html").read_bytes())

        def check(inbox, ended):
            end = inbox.find(b"\r\n\r\n")
            if end < 0:
                if ended:
                    raise Wrong(f"{ended} inside of the head")
                return None
            head = bytes(inbox[:end + 2])
            if not head.startswith(b"HTTP/1.1 200 "):
                raise Wrong(f"the response begins with {head[:40]!r}")
            length = re.search(rb"(?i)\r\nContent-Length: (\d+)\r\n", head)
            if not length or int(length[1]) != body.length:
                raise Wrong(f"Content-Length is {length and length[1]!r} in place of {body.length}")
            if len(inbox) < end + 4 + body.length and not ended:
                return None
            return end + 4 + body(inbox[end + 4:end + 4 + body.length], ended)
        check.length = body.length
        return check


def of(name):
    """The kind `echo` or `web`."""
    return {"echo": Echo, "web": Web}[name]()
