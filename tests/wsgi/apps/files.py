"""Apps about `wsgi.file_wrapper`; `checked=False`, because the validator hides the object it returns."""

import io

from .registry import Body, TEXT, app, note


class NotedFile(io.FileIO):
    def __init__(self, environ, path):
        super().__init__(path)
        self.environ = environ

    def close(self):
        if not self.closed:
            note(self.environ, "file closed")
        super().close()


@app(checked=False)
def file(environ, start_response):
    """Sends the file X-File from position X-From, with the length X-Length, through wsgi.file_wrapper."""
    opened = NotedFile(environ, environ["HTTP_X_FILE"])
    opened.seek(int(environ.get("HTTP_X_FROM", "0")))
    headers = list(TEXT)
    if length := environ.get("HTTP_X_LENGTH"):
        headers.append(("Content-Length", length))
    start_response("200 OK", headers)
    wrapped = environ["wsgi.file_wrapper"](opened, *map(int, environ.get("QUERY_STRING", "").split()))
    return Body(environ, wrapped, close=getattr(wrapped, "close", None)) if "HTTP_X_WRAPPED" in environ else wrapped


class OnlyRead:
    """A file-like object with read() only: no descriptor, no length."""

    def __init__(self, environ, size):
        self.environ, self.left, self.sizes = environ, size, set()

    def read(self, size=-1):
        self.sizes.add(size)
        size = self.left if size < 0 else min(size, self.left)
        self.left -= size
        return b"r" * size

    def close(self):
        note(self.environ, "file closed", sorted(self.sizes))


@app(checked=False)
def file_like(environ, start_response):
    start_response("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](OnlyRead(environ, 100_000), 8192)


@app(checked=False)
def file_in_memory(environ, start_response):
    stream = io.BytesIO(b"0123456789" * 1000)
    stream.seek(5)
    start_response("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](stream)


@app(checked=False)
def file_wrapper_facts(environ, start_response):
    """Tries the wrapper itself, without sending a file."""
    wrapper = environ.get("wsgi.file_wrapper")
    start_response("200 OK", TEXT)
    if wrapper is None:
        return [b"absent"]
    source = OnlyRead(environ, 20)
    wrapped = wrapper(source, 8)
    chunks = list(wrapped)
    wrapped.close()
    return [repr(([len(chunk) for chunk in chunks], callable(wrapper))).encode()]
