"""Python's ``logging`` and the server.

The logger ``stheno_wsgi.error`` gets what the log of a worker has otherwise, and ``stheno_wsgi.access`` a record for each
response. The server uses them if handlers are set up for them: by ``--log-config``, or by the application when it is
imported. Each record of ``stheno_wsgi.error`` has the attributes ``method``, ``path``, ``request_id`` and ``remote_addr``,
which are ``None`` beside a request; those of ``stheno_wsgi.access`` have the members of ``--access-log-format json``.
"""

from __future__ import annotations

import json
import logging
import logging.config
import os
import sys
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from ._stheno import current_request
from .loading import NoApplication

_ROOT, _ERROR, _ACCESS = "stheno_wsgi", "stheno_wsgi.error", "stheno_wsgi.access"
_REQUEST = ("method", "path", "request_id", "remote_addr")
# How long a worker that ends waits for handlers.
_PATIENCE = 1.0

_thread: threading.Thread | None = None
_is_configured = False


class RequestFilter(logging.Filter):
    """Adds ``method``, ``path``, ``request_id`` and ``remote_addr`` of the request that the thread works on to each record.
    Use it as a filter of a handler. The attributes are ``None`` beside a request.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, "request_id"):
            record.__dict__.update(zip(_REQUEST, current_request() or (None,) * 4))
        return True


def configure(config: Any) -> None:
    """Loads a dict for ``dictConfig``, or a file: .ini for ``fileConfig``, .json or .toml for ``dictConfig``."""
    global _is_configured
    _is_configured = True
    name = "log_config" if isinstance(config, Mapping) else f"--log-config {os.fspath(config)}"
    try:
        if not isinstance(config, Mapping):
            config = _read(os.fspath(config))
        if config is not None:
            logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, **config})
    except NoApplication as error:
        raise NoApplication(f"{name}: {error.line}") from None
    except OSError as error:
        raise NoApplication(f"{name}: {error.strerror or error}") from error
    except Exception as error:
        # dictConfig says which part is wrong, and keeps why as the cause.
        causes = [str(cause) or type(cause).__name__ for cause in (error, error.__cause__) if cause is not None]
        raise NoApplication(f"{name}: {': '.join(causes)}") from error


def _read(path: str) -> Mapping[str, Any] | None:
    """The contents of a file for ``dictConfig``; a file for ``fileConfig`` is loaded, and ``None`` returned."""
    kind = os.path.splitext(path)[1].lower()
    if kind in {".ini", ".cfg", ".conf"}:
        if not os.path.isfile(path):
            raise NoApplication("there is no such file")
        logging.config.fileConfig(path, disable_existing_loggers=False)
        return None
    if kind not in {".json", ".toml"}:
        raise NoApplication("the name must end in .ini (fileConfig), .json or .toml (dictConfig)")
    with open(path, "rb") as file:
        content = json.load(file) if kind == ".json" else _toml().load(file)
    if not isinstance(content, Mapping):
        raise NoApplication("it has no object at the top")
    return content


def _toml() -> Any:
    try:
        import tomllib
    except ImportError:
        raise NoApplication("TOML needs Python 3.11 or later: use .json or .ini") from None
    return tomllib


def joined() -> tuple[bool, bool]:
    """Whether errors and accesses go to ``logging``: the logger, or ``stheno_wsgi``, has a handler of its own. With
    ``--log-config`` a handler of the root logger is enough for errors.
    """
    known = logging.root.manager.loggerDict
    if not _is_configured and not any(name in known for name in (_ROOT, _ERROR, _ACCESS)):
        return False, False
    found = []
    for name in (_ERROR, _ACCESS):
        logger = logging.getLogger(name)
        chain = [logger, logging.getLogger(_ROOT)] if logger.propagate else [logger]
        is_joined = any(one.handlers for one in chain) or (
            _is_configured and name == _ERROR and logger.hasHandlers())
        if is_joined and not any(one.level for one in chain):
            # The root logger's WARNING is for programs that have set nothing up.
            logger.setLevel(logging.INFO)
        found.append(is_joined and not logger.disabled)
    return found[0], found[1]


def start(descriptor: int) -> None:
    """Starts the thread that delivers the lines of the server, which come through a pipe."""
    global _thread
    os.set_blocking(descriptor, True)
    _thread = threading.Thread(target=_deliver, args=(descriptor,), name="stheno-log", daemon=True)
    _thread.start()


def finish() -> None:
    """Waits for the handlers, for a moment, and flushes them."""
    if _thread is not None:
        _thread.join(_PATIENCE)


def failure(
    error: BaseException, traceback: TracebackType | None, summary: str, request: tuple[Any, ...] | None
) -> None:
    """Logs an exception of the application."""
    facts = dict(zip(_REQUEST, request or (None,) * 4))
    where = f"{facts['method']} {facts['path']}: " if request else ""
    info = (type(error), error.with_traceback(traceback), traceback)
    logger = logging.getLogger(_ERROR)
    if logger.isEnabledFor(logging.ERROR):
        logger.handle(_record(logger, logging.ERROR, where + summary, facts, info))


def _record(logger: logging.Logger, level: int, message: str, facts: Mapping[str, Any], info: Any = None
            ) -> logging.LogRecord:
    record = logger.makeRecord(logger.name, level, "stheno_wsgi", 0, message, (), info)
    record.__dict__.update(facts)
    return record


def _deliver(descriptor: int) -> None:
    with open(descriptor, "rb") as lines:
        for line in lines:
            text = line.decode("utf-8", "backslashreplace").rstrip("\n")
            if text == "end":
                return
            try:
                _handle(text)
            except Exception:
                # As logging itself: a handler that fails does not end the server.
                if logging.raiseExceptions and sys.stderr is not None:
                    sys.excepthook(*sys.exc_info())


def _handle(text: str) -> None:
    message, separator, facts = text.partition("\x1f")
    if separator:
        logger, level, known = logging.getLogger(_ACCESS), logging.INFO, json.loads(facts)
        known["remote_addr"] = known.pop("client")
        known["path"] = (known.get("target") or "").partition("?")[0] or None
    elif text.startswith("{"):
        logger, known = logging.getLogger(_ERROR), dict.fromkeys(_REQUEST) | json.loads(text)
        level, message = known.pop("level"), known.pop("message")
        known["msecs"] = known["created"] % 1 * 1000
    else:
        # The number of lines that the pipe did not take.
        logger, level, known = logging.getLogger(_ERROR), logging.WARNING, dict.fromkeys(_REQUEST)
    if logger.isEnabledFor(level):
        logger.handle(_record(logger, level, message, known))
