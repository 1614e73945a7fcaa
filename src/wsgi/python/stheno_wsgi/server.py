"""The server as an object, with the names that the course gives it."""

from __future__ import annotations

import contextlib
import contextvars  # noqa: F401 (for the threads of a worker, whose user may not be able to read the library)
import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from . import hooks as _hooks
from ._stheno import serve as _serve
from .local import Server, serve_here

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], None]]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


class AsyncWSGIRequestHandler:
    """One request on its way through the application.

    The server calls the application itself, in Rust. Give :class:`AsyncWSGIServer` a subclass of this to come between:
    then each request makes an instance, and the response is what :meth:`handle_request` returns.
    """

    def __init__(self, server: AsyncWSGIServer, environ: Environ, start_response: StartResponse) -> None:
        self.server = server
        self._environ = environ
        self._start_response = start_response

    def get_environ(self) -> Environ:
        """The environ of this request."""
        return self._environ

    def start_response(
        self, status: str, response_headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """Begins the response (PEP 3333)."""
        return self._start_response(status, response_headers, exc_info)

    def handle_request(self) -> Iterable[bytes]:
        """Calls the application."""
        application = self.server.get_app()
        return self.finish_response(application(self.get_environ(), self.start_response))

    def finish_response(self, result: Iterable[bytes]) -> Iterable[bytes]:
        """Returns what the application has returned. A wrapper around it has to pass ``close()`` on."""
        return result


class AsyncWSGIServer:
    """A server for one application. ::

        server = AsyncWSGIServer("127.0.0.1", 9000)
        server.set_app(application)
        server.serve_forever()
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 9000,
        handler_class: type[AsyncWSGIRequestHandler] = AsyncWSGIRequestHandler,
        **options: Any,
    ) -> None:
        self.host = host
        self.port = port
        self.handler_class = handler_class
        self.options = options
        self.application: Application | None = None
        self._lock = threading.Lock()
        self._local: Server | None = None
        # Whether it has served in this process, and is not to begin.
        self._has_served = self._is_shut_down = False

    def set_app(self, application: Application) -> None:
        """Sets the application."""
        self.application = application

    def get_app(self) -> Application:
        """Returns the application."""
        if self.application is None:
            raise RuntimeError("there is no application: call set_app first")
        return self.application

    def serve_forever(self) -> None:
        """Serves: in a thread until :meth:`shutdown`, in the main thread until SIGTERM or SIGINT. As :func:`serve`, it
        forks in the main thread, unless the server is bound already."""
        application = self.get_app()
        if self.handler_class is not AsyncWSGIRequestHandler:
            application = self._handle
        if self._local is None and threading.current_thread() is threading.main_thread():
            serve(application, **self._places(), **self.options)
            return
        local = self.server_bind()
        local._app = application
        with self._lock:
            is_shut_down, self._is_shut_down, self._has_served = self._is_shut_down, False, True
        if not is_shut_down:
            local.serve_forever()

    def _places(self) -> dict[str, Any]:
        return {} if self.options.keys() & {"bind", "listen"} else {"host": self.host, "port": self.port}

    def server_bind(self) -> Server:
        """Listens, if it does not yet. From then on it serves in this process."""
        with self._lock:
            if self._local is None:
                self._local = Server(self._handle, **self._places(), **self.options)
            return self._local

    @property
    def server_address(self) -> tuple[str, int]:
        """Host and port; binds the server if it is not."""
        local = self.server_bind()
        return local.host, local.port

    @property
    def server_port(self) -> int:
        """The port; binds the server if it is not."""
        return self.server_address[1]

    def shutdown(self) -> None:
        """Ends :meth:`serve_forever` in another thread, after the responses in progress."""
        local = self.server_bind()
        with self._lock:
            # The thread may not have come so far.
            self._is_shut_down = not self._has_served
        local.stop()

    stop = shutdown

    def server_close(self) -> None:
        """Closes the sockets."""
        if self._local is not None:
            self._local.stop()
            self._local = None

    def __enter__(self) -> AsyncWSGIServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.server_close()

    def _handle(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return self.handler_class(self, environ, start_response).handle_request()


def say_where_at_the_end(_number: int) -> None:
    """Makes a worker that is aborted, or crashes, write where each of its threads is."""
    # Without a standard error there is nothing to write to.
    with contextlib.suppress(RuntimeError, ValueError, OSError, AttributeError):
        faulthandler.enable()


def _give_signals_back() -> None:
    """Gives the signals back to the handlers that Python had before."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2,
                   signal.SIGCHLD, signal.SIGWINCH, signal.SIGTTIN, signal.SIGTTOU):
        handler = signal.getsignal(number)
        if handler is not None:
            signal.signal(number, handler)


def serve(
    app: Application,
    *,
    name: str | None = None,
    ready: Callable[[int], None] = say_where_at_the_end,
    hooks: Any = None,
    **options: Any,
) -> None:
    """Serves ``app`` until SIGTERM or SIGINT.

    ``options`` are those of the command line, with underscores: ``host``, ``port``, ``workers``, ``threads``,
    ``max_body``, ``access_log`` and so on. Switches are True or False; what may be repeated is a list, and ``static`` may
    be a dict; ``log_config`` may be one for ``logging.config.dictConfig``. The environment does not count.

    In the main thread, workers are forked: call it there while there is no other thread. ``ready`` runs in each worker, with
    its number, before it serves; ``name`` is shown at the start; ``hooks`` is an object or a module, or the name of one. In
    another thread it serves in this process, without signals, until :func:`stheno_wsgi.stop`. Raises :class:`TypeError`
    for a name that is no option, :class:`ValueError` for a value that is not valid, and :class:`OSError` when it cannot
    serve.
    """
    if not callable(app):
        raise TypeError(f"{app!r} is not a WSGI application: it cannot be called")
    if threading.current_thread() is not threading.main_thread():
        serve_here(app, hooks=hooks, **options)
        return
    config = options.pop("log_config", None)
    if config is not None and not isinstance(config, Mapping):
        options["log_config"], config = config, None

    def load(*_: Any) -> Application:
        if config is not None:
            # Imported on demand, as logging itself.
            from .logs import configure

            configure(config)
        return app

    if name is None:
        name = f"{getattr(app, '__module__', '')}:{getattr(app, '__name__', type(app).__name__)}"
    given = None
    if isinstance(hooks, str):
        options["hooks"] = hooks
    elif hooks is not None:
        given = _hooks.of(hooks)

    def hooks_of(name: str | None) -> _hooks.Hooks | None:
        return _hooks.load(name, os.getcwd()) if name else given

    try:
        code = _serve(load, lambda number, *_: ready(number), hooks_of, name, options)
    finally:
        _give_signals_back()
    if code:
        sys.exit(code)
