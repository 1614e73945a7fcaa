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

def main(words: list[str], load: Callable[[str, bool], Any], ready: Callable[[int, bool], None]) -> int:
    """Runs the command line. Returns the exit code.

    ``load(app, factory)`` returns the application that ``app`` names. ``ready(number, reload)`` runs in each worker after the
    application was loaded.
    """

def current_request() -> tuple[str, str, str, str | None] | None:
    """Method, path, id and client address of the request that this thread works on."""

def serve(load: Callable[..., Any], ready: Callable[..., None], name: str, options: dict[str, Any]) -> int:
    """Serves until it is told to stop. Returns the exit code."""
