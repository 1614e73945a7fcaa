"""A WSGI server on a hand-written event loop.

    stheno-wsgi my_app:application

or, from a program::

    import stheno_wsgi
    stheno_wsgi.serve(application, host="127.0.0.1", port=9000, workers=2, threads=4)
"""

from typing import TYPE_CHECKING, Any

from ._stheno import FileWrapper, __version__
from .local import Server, stop
from .server import AsyncWSGIRequestHandler, AsyncWSGIServer, serve

if TYPE_CHECKING:
    from .adapters import SthenoServer

__all__ = [
    "AsyncWSGIRequestHandler",
    "AsyncWSGIServer",
    "FileWrapper",
    "Server",
    "SthenoServer",
    "__version__",
    "serve",
    "stop",
]


def __getattr__(name: str) -> Any:
    # Imported on demand, because bottle may not be installed.
    if name == "SthenoServer":
        from .adapters import SthenoServer

        return SthenoServer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
