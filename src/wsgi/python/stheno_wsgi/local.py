"""A server in a thread of this process: for tests, and for programs that do more than serve."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from ._stheno import LocalServer
from .loading import patched_by

# Those that :func:`serve_here` runs.
_SERVING: set[Server] = set()

# What only a master and its workers have.
_OF_PROCESSES = ("workers", "preload", "max_requests", "timeout", "worker_timeout", "hooks", "ready", "user", "group",
                 "pidfile", "chdir", "config", "log_config")


class Server:
    """A server for one application, in threads of this process: without a fork, and without a signal. ::

        with stheno_wsgi.Server(application) as server:
            requests.get(server.url)

    It listens from the beginning, so :attr:`port` is known before it serves. It may be started again after
    :meth:`stop`, on the same port.
    """

    def __init__(self, app: Callable[..., Iterable[bytes]], **options: Any) -> None:
        """``options`` are those of :func:`stheno_wsgi.serve`, but for those of processes. The port is any free one, the
        ``grace`` is 5 seconds and the ``log`` has warnings, unless they are given."""
        if not callable(app):
            raise TypeError(f"{app!r} is not a WSGI application: it cannot be called")
        if (library := patched_by()) is not None:
            raise RuntimeError(f"{library} has patched this process: a server in a thread needs threads of the system")
        if others := [name for name in _OF_PROCESSES if options.get(name) is not None]:
            raise TypeError(f"{others[0]}: a server in a thread has no processes of its own; use stheno_wsgi.serve()")
        self._app = app
        has_places = options.keys() & {"bind", "listen"}
        places = {} if has_places else {"host": "127.0.0.1", "port": 0}
        self._options = {**places, "grace": 5, "log": "warning", **options}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        # Set when the thread has served. CPython takes a thread whose join() was interrupted for an ended one.
        self._done = threading.Event()
        self._error: BaseException | None = None
        self._local: LocalServer | None = LocalServer(self._load, self._options)
        #: Where it listens: ``(host, port)`` for each TCP socket, the path for each Unix socket.
        self.addresses: list[Any] = self._local.addresses()
        tcp = [address for address in self.addresses if isinstance(address, tuple)]
        self.host, self.port = tcp[0] if tcp else ("", 0)
        if tcp and not has_places:
            # For the next start.
            self._options["port"] = self.port

    @property
    def url(self) -> str:
        """The URL of the first TCP socket, without a slash at its end."""
        scheme = "https" if self._options.get("tls_cert") or self._options.get("tls_self_signed") else "http"
        return f"{scheme}://[{self.host}]:{self.port}" if ":" in self.host else f"{scheme}://{self.host}:{self.port}"

    def _load(self, *_: Any) -> Callable[..., Iterable[bytes]]:
        return self._app

    @property
    def is_serving(self) -> bool:
        """Whether it was started and has not stopped."""
        return self._thread is not None and not self._done.is_set()

    def start(self) -> Server:
        """Serves in a thread. Returns itself."""
        with self._lock:
            if self.is_serving:
                raise RuntimeError("the server serves already")
            if self._local is None:
                self._local = LocalServer(self._load, self._options)
            self._error = None
            self._done.clear()
            self._thread = threading.Thread(target=self._serve, args=(self._local,), name="stheno-wsgi", daemon=True)
            # Threads of an interpreter that ends must not run: they are stopped before.
            atexit.register(self.stop, 0.0)
            self._thread.start()
        return self

    def _serve(self, local: LocalServer) -> None:
        try:
            local.serve()
        except BaseException as error:
            self._error = error
        finally:
            self._done.set()

    def stop(self, grace: float | None = None) -> None:
        """Accepts no more, waits for the responses in progress, and closes: within ``grace`` seconds, or the server's
        own. Raises what has ended the server before, if something has."""
        with self._lock:
            local, thread = self._local, self._thread
            if local is not None:
                local.stop(grace == 0)
            if thread is not None and thread is not threading.current_thread():
                if not self._done.wait(grace) and local is not None:
                    local.stop(True)
                    self._done.wait()
                thread.join()
            self._local = self._thread = None
            atexit.unregister(self.stop)
            error, self._error = self._error, None
        if error is not None:
            raise error

    def serve_forever(self) -> None:
        """Serves until :meth:`stop` is called in another thread. Ctrl+C in the main thread stops it as well, and raises
        :class:`KeyboardInterrupt` as usual."""
        self.start()
        try:
            # A signal that comes right before a wait does not end it.
            while not self._done.wait(1):
                pass
        except BaseException:
            self.stop(0)
            raise
        if self._error is not None:
            self.stop()

    def __enter__(self) -> Server:
        return self if self.is_serving else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def serve_here(app: Callable[..., Iterable[bytes]], **options: Any) -> None:
    """``serve()`` in a thread: serves in this process until :func:`stop`."""
    if options.pop("workers", 1) != 1:
        raise RuntimeError("serve() forks its workers: call it in the main thread, or leave workers at 1")
    server = Server(app, **options)
    _SERVING.add(server)
    try:
        server.serve_forever()
    finally:
        _SERVING.discard(server)


def stop(grace: float | None = None) -> None:
    """Stops what :func:`stheno_wsgi.serve` serves in threads of this process, as :meth:`Server.stop`."""
    for server in list(_SERVING):
        server.stop(grace)
