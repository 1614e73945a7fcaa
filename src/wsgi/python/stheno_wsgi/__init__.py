"""A WSGI server on a hand-written event loop.

    stheno-wsgi my_app:application

or, from a program::

    import stheno_wsgi
    stheno_wsgi.serve(application, host="127.0.0.1", port=9000, workers=2, threads=4)
"""

from typing import TYPE_CHECKING, Any

from ._stheno import FileWrapper, __version__, current_request
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
    "request_id",
    "serve",
    "stop",
]


def request_id() -> str | None:
    """The id of the request that this thread works on, as it is in the logs; ``None`` if it works on none.

    It is the value of ``X-Request-ID``, or the trace id of ``traceparent``, or one that the server makes.
    """
    request = current_request()
    return request[2] if request else None


def __getattr__(name: str) -> Any:
    # Imported on demand, because bottle may not be installed.
    if name == "SthenoServer":
        from .adapters import SthenoServer

        return SthenoServer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
