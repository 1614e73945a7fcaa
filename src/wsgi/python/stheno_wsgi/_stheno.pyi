"""The extension module: the server itself, in Rust."""

from collections.abc import Iterator
from typing import Any, Protocol

from .options import Options

__version__: str

class _Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...

class FileWrapper:
    """``wsgi.file_wrapper``: a file as the body of a response, sent by the kernel where possible."""

    def __init__(self, filelike: _Readable, blksize: int = 8192) -> None: ...
    @property
    def filelike(self) -> Any: ...
    @property
    def blksize(self) -> int: ...
    def __iter__(self) -> Iterator[bytes]: ...
    def __next__(self) -> bytes: ...
    def close(self) -> None: ...

class LocalServer:
    """A server in this process that listens from the beginning, and serves once."""

    def __init__(self, options: Options) -> None: ...
    def addresses(self) -> list[Any]:
        """Where it listens: ``(host, port)`` for each TCP socket, the path for each Unix socket."""
    def serve(self) -> None:
        """Serves until it is stopped."""
    def stop(self, at_once: bool) -> None:
        """Ends it: after the responses in progress, or at once. Without any, it closes its sockets."""

def serve(options: Options) -> int:
    """Serves until it is told to stop. Returns the exit code."""
