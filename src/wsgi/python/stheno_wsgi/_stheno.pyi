"""The extension module: the server itself, in Rust."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

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

    def __init__(self, load: Callable[..., Any], options: dict[str, Any]) -> None: ...
    def addresses(self) -> list[Any]:
        """Where it listens: ``(host, port)`` for each TCP socket, the path for each Unix socket."""
    def serve(self) -> None:
        """Serves until it is stopped."""
    def stop(self, at_once: bool) -> None:
        """Ends it: after the responses in progress, or at once. One that does not serve closes its sockets."""

def main(
    words: list[str],
    load: Callable[[str, bool, bool], Any],
    ready: Callable[[int, bool, Callable[[], bool]], None],
    hooks: Callable[[str | None], Any],
) -> int:
    """Runs the command line. Returns the exit code.

    ``load(app, factory, reload)`` returns the application that ``app`` names. ``ready(number, reload, is_draining)`` runs in
    each worker after the application was loaded. ``hooks(name)`` returns the hooks of this name, or ``None``.
    """

def current_request() -> tuple[str, str, str, str | None] | None:
    """Method, path, id and client address of the request that this thread works on."""

def serve(
    load: Callable[..., Any],
    ready: Callable[..., None],
    hooks: Callable[[str | None], Any],
    name: str,
    options: dict[str, Any],
) -> int:
    """Serves until it is told to stop. Returns the exit code."""
