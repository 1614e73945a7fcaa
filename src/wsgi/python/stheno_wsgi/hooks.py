"""``--hooks``: functions that run when processes begin and end. Names and arguments are those of gunicorn."""

from __future__ import annotations

import functools
import os
import sys
from typing import TYPE_CHECKING, Any

from .loading import NoApplication, add_to_path, import_from

if TYPE_CHECKING:
    import logging

NAMES = ("when_ready", "post_fork", "worker_exit", "child_exit")

# Other hooks of gunicorn, which would be missed.
_OTHERS = ("on_starting", "on_reload", "pre_fork", "post_worker_init", "worker_int", "worker_abort", "pre_exec",
           "pre_request", "post_request", "nworkers_changed", "on_exit", "ssl_context")


class _Process:
    @property
    def log(self) -> logging.Logger:
        """The logger ``stheno_wsgi``."""
        # Without an import of logging nothing of it is joined.
        import logging

        return logging.getLogger("stheno_wsgi")


class ServerProcess(_Process):
    """The master, for hooks."""

    def __init__(self) -> None:
        self.pid = os.getpid()


class WorkerProcess(_Process):
    """A worker, for hooks."""

    def __init__(self, number: int, pid: int, exitcode: int | None = None) -> None:
        self.number = number
        self.pid = pid
        #: In ``child_exit``: the exit code, or the negative number of the signal that has ended the worker.
        self.exitcode = exitcode


class Hooks:
    """The functions of an object or a module. The server calls the methods; it logs what they raise."""

    def __init__(self, target: Any) -> None:
        self._target = target
        self._server = ServerProcess()
        # In a worker: itself.
        self._worker: WorkerProcess | None = None

    def _run(self, name: str, *args: Any) -> None:
        hook = getattr(self._target, name, None)
        if hook is not None:
            hook(*args)

    def when_ready(self) -> None:
        self._run("when_ready", self._server)

    def post_fork(self, number: int) -> None:
        self._worker = WorkerProcess(number, os.getpid())
        self._run("post_fork", self._server, self._worker)

    def worker_exit(self) -> None:
        # A worker that could not start may end before post_fork.
        if self._worker is not None:
            self._run("worker_exit", self._server, self._worker)

    def child_exit(self, number: int, pid: int, exitcode: int) -> None:
        self._run("child_exit", self._server, WorkerProcess(number, pid, exitcode))


def load(spec: str, folder: str) -> Hooks:
    """Imports ``MODULE`` or ``MODULE:OBJECT``, with ``folder`` first on ``sys.path``.

    Raises :class:`NoApplication` if there are no such hooks, and whatever the module itself raises.
    """
    add_to_path(folder)
    name, _, path = spec.partition(":")
    if not all(part.isidentifier() for part in name.split(".")):
        raise NoApplication(f"--hooks {spec}: give a module, or MODULE:OBJECT")
    target = import_from(name, folder, f"--hooks {spec}: ")
    try:
        target = functools.reduce(getattr, path.split(".") if path else [], target)
    except AttributeError:
        raise NoApplication(f"--hooks {spec}: the module has no {path!r}") from None
    try:
        return of(target, f"--hooks {spec}")
    except TypeError as error:
        raise NoApplication(str(error)) from None


def of(target: Any, name: str = "hooks") -> Hooks:
    """The hooks of an object or a module; ``name`` is what it is called in errors. Raises :class:`TypeError` if it has
    none."""
    if not any(callable(getattr(target, hook, None)) for hook in NAMES):
        raise TypeError(f"{name}: it has none of {', '.join(NAMES)}")
    others = [hook for hook in _OTHERS if callable(getattr(target, hook, None))]
    if others:
        print(f"stheno-wsgi: {name}: {', '.join(others)} is not called here; there are {', '.join(NAMES)}", file=sys.stderr)
    return Hooks(target)
