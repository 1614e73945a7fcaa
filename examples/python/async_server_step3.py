"""The lab's whole AsyncHTTPRequestHandler, in corrected form."""

import asynchat
import asyncore
import email.utils
import http
import logging
import mimetypes
import os
import sys
import time
import urllib.parse

import seed

# The most bytes of a head, and of a body, that are stored. The lab sets no limit.
MAX_BYTES = 64 * 1024

logging.basicConfig(level=logging.DEBUG, format="%(name)s: %(process)d %(message)s")
log = logging.getLogger("async_server_step3")


class FileProducer:
    """Reads a file piece by piece; each piece is read when the one before it has left."""

    def __init__(self, file, size, chunk_size=4096):
        self.file, self.left, self.chunk_size = file, size, chunk_size

    def more(self):
        data = self.file.read(min(self.left, self.chunk_size))
        self.left -= len(data)
        if not data:
            self.file.close()
            if self.left:
                raise OSError("the file was cut short")
        return data


class AsyncHTTPRequestHandler(asynchat.async_chat):
    """Handles the one request of a client."""

    # Code, reason phrase, explanation.
    responses = {
        200: ("OK", "Request fulfilled, document follows"),
        400: ("Bad Request", "Bad request syntax or unsupported method"),
        403: ("Forbidden", "Request forbidden -- authorization will not help"),
        404: ("Not Found", "Nothing matches the given URI"),
        405: ("Method Not Allowed", "Specified method is invalid for this resource."),
    }

    def __init__(self, sock, root, timeout):
        super().__init__(sock)
        self.set_terminator(b"\r\n\r\n")
        self.root, self.timeout = root, timeout
        self.stored, self.headers = 0, {}
        self.is_answered = self.has_closed_its_half = False
        # When this channel is closed; put off by each piece of the response that leaves.
        self.deadline = time.monotonic() + timeout

    def collect_incoming_data(self, data):
        if self.is_answered:
            return
        self._collect_incoming_data(data)
        self.stored += len(data)
        if self.stored > MAX_BYTES:
            self.send_error(400)

    def found_terminator(self):
        if not self.is_answered:
            self.parse_request()

    def parse_request(self):
        if self.headers:
            # This was the body, which no method here uses.
            self.handle_request()
            return
        length = self.parse_headers()
        if length is None:
            self.send_error(400)
        elif length > 0 and self.headers["method"] == "POST":
            self.set_terminator(length)
        else:
            # In the lab a length of 0 became a terminator, too, which meant "collect everything, for ever".
            self.handle_request()

    def parse_headers(self):
        """Returns the length of the body, or `None` for a malformed head."""
        try:
            first, *lines = self._get_data().decode().split("\r\n")
            method, uri, protocol = first.split(" ")
            fields = [self.parse_field(line) for line in lines]
        except ValueError:
            return None
        lengths = [value for name, value in fields if name.lower() == "content-length"] or ["0"]
        is_coded = any(name.lower() == "transfer-encoding" for name, _ in fields)
        if protocol not in ("HTTP/1.0", "HTTP/1.1") or not uri.startswith("/") or is_coded or len(lengths) > 1:
            return None
        if not lengths[0].isascii() or not lengths[0].isdecimal() or int(lengths[0][:20]) > MAX_BYTES:
            return None
        self.headers = {"method": method, "uri": uri, "protocol": protocol}
        for name, value in fields:
            self.headers.setdefault(name, value)
        log.debug(self.headers)
        return int(lengths[0])

    @staticmethod
    def parse_field(line):
        name, colon, value = line.partition(":")
        if not colon or " " in name or "\t" in name:
            raise ValueError(line)
        return name, value.strip()

    def handle_request(self):
        handler = {"GET": self.do_GET, "HEAD": self.do_HEAD}.get(self.headers["method"])
        if handler:
            handler()
        else:
            self.send_error(405)

    def do_GET(self):
        found = self.send_head()
        if found:
            self.push_with_producer(FileProducer(*found))
            self.close_when_done()

    def do_HEAD(self):
        found = self.send_head()
        if found:
            found[0].close()
            self.close_when_done()

    def send_head(self):
        """Sends the head of the response; returns the file that follows it, and its size."""
        path = self.translate_path()
        try:
            # A path with a slash after a file's name, and one through a file, is an error here.
            file = open(path, "rb") if path else None
        except (OSError, ValueError):
            file = None
        if not file:
            self.send_error(404)
            return None
        size = os.fstat(file.fileno()).st_size
        self.send_response(200)
        self.send_header("Content-Type", mimetypes.guess_type(path)[0] or "application/octet-stream")
        self.send_header("Content-Length", size)
        self.end_headers()
        return file, size

    def translate_path(self):
        """The file of the target, links followed; `None` if it is outside of the root, or no file."""
        names = self.url_normalize(self.headers["uri"].partition("?")[0].partition("#")[0])
        if names is None:
            return None
        path = os.path.realpath(os.path.join(self.root, *names))
        if os.path.isdir(path):
            path = os.path.realpath(os.path.join(path, "index.html"))
        is_inside = path.startswith(os.path.join(self.root, ""))
        return path if is_inside and os.path.isfile(path) else None

    @staticmethod
    def url_normalize(path):
        """Decodes a path once, and then takes `.` and `..` out; `None` if it leads out. Returns the names in it."""
        try:
            path = urllib.parse.unquote(path, errors="strict")
        except ValueError:
            return None
        names = []
        for name in path.split("/"):
            if name == ".." and not names or "\0" in name:
                return None
            if name == "..":
                names.pop()
            elif name not in ("", "."):
                names.append(name)
        # A path that ends with a slash names a directory; its index is the file to send.
        return [*names, "index.html"] if path.endswith(("/", "/.", "/..")) else names

    def send_error(self, code, message=None):
        self.send_response(code, message)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        # Closes after all that was pushed has left; the lab called `handle_close` right after `push`, which cut it off.
        self.close_when_done()

    def send_response(self, code, message=None):
        if message is None:
            message = self.responses.get(code, ("???", "???"))[0]
        self.push(f"HTTP/1.1 {code} {message}\r\n".encode())
        self.send_header("Server", "async_server_step3")
        self.send_header("Date", self.date_time_string())
        self.send_header("Connection", "close")
        if code == http.HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")

    def send_header(self, keyword, value):
        self.push(f"{keyword}: {value}\r\n".encode())

    def end_headers(self):
        """Ends the head and ignores further input: this response is the last one."""
        self.push(b"\r\n")
        self.set_terminator(None)
        self.is_answered = True

    @staticmethod
    def date_time_string():
        return email.utils.formatdate(usegmt=True)

    def readable(self):
        return not self.has_closed_its_half and super().readable()

    def send(self, data):
        sent = super().send(data)
        if sent:
            self.deadline = time.monotonic() + self.timeout
        return sent

    def handle_close(self):
        """At the end of input, while a response is under way, the client has closed only its half. asynchat calls this at the
        end of output and after an error as well."""
        if self.producer_fifo and not self.has_closed_its_half:
            self.has_closed_its_half = True
        else:
            self.close()


class AsyncHTTPServer(asyncore.dispatcher):
    """The listener. Each connection becomes a channel of its own."""

    def __init__(self, host, port, root, timeout):
        super().__init__()
        self.root, self.timeout, self.resumes = root, timeout, 0
        self.create_socket()
        self.set_reuse_addr()
        self.bind((host, port))
        self.listen(128)

    def handle_accepted(self, sock, addr):
        log.debug(f"Incoming connection from {addr}")
        AsyncHTTPRequestHandler(sock, self.root, self.timeout)

    def readable(self):
        return time.monotonic() >= self.resumes

    def handle_error(self):
        """Out of descriptors, for example: asyncore would close the listener. Accepting pauses, so as not to spin."""
        log.error(f"accepting pauses: {sys.exc_info()[1]}")
        self.resumes = time.monotonic() + 0.5


def close_late_channels():
    """asyncore has no time-outs: the loop looks at the channels once a second."""
    now = time.monotonic()
    for channel in list(asyncore.socket_map.values()):
        if getattr(channel, "deadline", now) < now:
            channel.close()


def main(host="127.0.0.1", port=9000, root=".", timeout=10):
    """Simple asynchronous web-server."""
    # Opened, so that an error comes now.
    os.scandir(root).close()
    server = AsyncHTTPServer(host, port, os.path.realpath(root), timeout)
    print(f"Starting Web Server at {host}:{server.socket.getsockname()[1]}")
    try:
        while True:
            asyncore.loop(timeout=1, count=1)
            close_late_channels()
    except KeyboardInterrupt:
        print("Shutting down")


if __name__ == "__main__":
    seed.run(main)
