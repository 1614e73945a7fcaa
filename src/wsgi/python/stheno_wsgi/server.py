"""The server as an object, with the names that the course gives it."""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from ._stheno import serve as _serve
from .hooks import of as hooks_of
from .local import Server, serve_here
from .options import Options

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
        host: str = Options.host,
        port: int = Options.port,
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
            serve(application, host=self.host, port=self.port, **self.options)
            return
        local = self.server_bind()
        local._app = application
        with self._lock:
            is_shut_down, self._is_shut_down, self._has_served = self._is_shut_down, False, True
        if not is_shut_down:
            local.serve_forever()

    def server_bind(self) -> Server:
        """Listens, if it does not yet. From then on it serves in this process."""
        with self._lock:
            if self._local is None:
                self._local = Server(self._handle, host=self.host, port=self.port, **self.options)
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


def say_where_at_the_end(_number: int, _is_draining: Callable[[], bool]) -> None:
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
    host: str = Options.host,
    port: int = Options.port,
    workers: int = Options.workers,
    threads: int = Options.threads,
    listen: Iterable[str] = (),
    static: dict[str, str] | None = None,
    hooks: Any = None,
    **options: Any,
) -> None:
    """Serves ``app`` until SIGTERM or SIGINT.

    ``options`` are those of the command line, with underscores: ``url_prefix``, ``max_body``, ``access_log`` and so on.
    In the main thread, workers are forked: call it there while there is no other thread. In another thread it serves in
    this process, without signals, until :func:`stheno_wsgi.stop`. Raises :class:`ValueError` for an option that is not
    valid, and :class:`OSError` when it cannot serve.
    """
    if not callable(app):
        raise TypeError(f"{app!r} is not a WSGI application: it cannot be called")
    name = getattr(app, "__name__", type(app).__name__)
    if threading.current_thread() is not threading.main_thread():
        serve_here(app, host=host, port=port, threads=threads, workers=workers, listen=listen, static=static, **options)
        return
    asked = Options(
        load=functools.partial(_same, app),
        name=options.pop("name", f"{getattr(app, '__module__', '')}:{name}"),
        ready=options.pop("ready", say_where_at_the_end),
        hooks=None if hooks is None else hooks_of(hooks),
        listen=list(listen),
        host=host,
        port=port,
        workers=workers,
        threads=threads,
        mounts=list((static or {}).items()),
        **options,
    )
    try:
        code = _serve(asked)
    finally:
        _give_signals_back()
    if code:
        sys.exit(code)


def _same(app: Application) -> Application:
    return app
