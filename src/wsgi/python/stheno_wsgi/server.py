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

    def set_app(self, application: Application) -> None:
        """Sets the application."""
        self.application = application

    def get_app(self) -> Application:
        """Returns the application."""
        if self.application is None:
            raise RuntimeError("there is no application: call set_app first")
        return self.application

    def serve_forever(self) -> None:
        """Serves until SIGTERM or SIGINT. Call it in the main thread, while there is no other."""
        application = self.get_app()
        if self.handler_class is not AsyncWSGIRequestHandler:
            application = self._handle
        serve(application, host=self.host, port=self.port, **self.options)

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
    Workers are forked: call it in the main thread, while there is no other. Raises :class:`ValueError` for an option
    that is not valid, and :class:`OSError` when it cannot serve.
    """
    if not callable(app):
        raise TypeError(f"{app!r} is not a WSGI application: it cannot be called")
    name = getattr(app, "__name__", type(app).__name__)
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("serve() forks and takes signals: call it in the main thread")
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
