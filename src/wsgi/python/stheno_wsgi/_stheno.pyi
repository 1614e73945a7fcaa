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

def current_request() -> tuple[str, str, str, str | None] | None:
    """Method, path, id and client address of the request that this thread works on."""

def serve(options: Options) -> int:
    """Serves until it is told to stop. Returns the exit code."""
