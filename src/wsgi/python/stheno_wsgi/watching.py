"""``--reload``: new workers when a source file changes, for development."""

from __future__ import annotations

import os
import signal
import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .loading import NoApplication

_EVERY = 0.5
_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_IMPORT = (_HERE, "<frozen importlib", os.path.join(sysconfig.get_path("stdlib"), "importlib") + os.sep)
_INSTALLED = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib"))

Load = Callable[[], Callable[..., Any]]


class Broken:
    """Stands in for an application that cannot be loaded, until a file changes."""

    def __init__(self, error: BaseException, module: str, folder: str) -> None:
        self.text = error.line if isinstance(error, NoApplication) else "".join(_lines(error)).rstrip()
        self.files = set(_files_of(error)) | set(_places_of(module, folder))
        if isinstance(error, ModuleNotFoundError) and error.name is not None:
            self.files |= set(_places_of(error.name, folder))

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = b"The application cannot be loaded, and the server's log says why. It is loaded again when a file changes.\n"
        start_response("500 Internal Server Error", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]


class Watch:
    """Loads the application, and watches its files in a thread of one worker."""

    def __init__(self, load: Load, spec: str, folder: str) -> None:
        self._load = load
        self._module = spec.partition(":")[0]
        self._folder = folder
        self._broken: Broken | None = None
        self._began = 0

    def load(self) -> Callable[..., Any]:
        """Returns the application; if it cannot be loaded, a :class:`Broken` one."""
        self._began = time.time_ns()
        try:
            return self._load()
        except (Exception, SystemExit) as error:
            self._broken = Broken(error, self._module, self._folder)
            return self._broken

    def start(self, is_draining: Callable[[], bool]) -> None:
        """Watches until the worker drains: then the watch is another worker's."""
        if self._broken is not None:
            print(f"{self._broken.text}\nstheno-wsgi: the application cannot be loaded; it is loaded again when a file "
                  "changes", file=sys.stderr)
        args = (os.getppid(), is_draining)
        threading.Thread(target=self._watch, args=args, name="wsgi-reload", daemon=True).start()

    def _files(self) -> set[str]:
        """The source files of the modules in this process, but for what is installed."""
        names = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
        files = {name for name in names if name and not name.startswith((*_INSTALLED, _HERE))}
        return files | (self._broken.files if self._broken else set())

    def _watch(self, master: int, is_draining: Callable[[], bool]) -> None:
        before = _times(self._files())
        now = time.time_ns()
        # What has changed while it was loaded. A time in the future is another clock's.
        changed = [file for file, at in before.items() if self._began < at <= now]
        while os.getppid() == master:
            if changed:
                print(f"stheno-wsgi: {min(changed)} has changed: loading the application again", file=sys.stderr)
                os.kill(master, signal.SIGHUP)
            time.sleep(_EVERY)
            if is_draining():
                return
            times = _times(self._files() | before.keys())
            changed = [file for file, at in times.items() if before.get(file, at) != at]
            before = times


def _times(files: set[str]) -> dict[str, int]:
    times = {}
    for file in files:
        try:
            times[file] = os.stat(file).st_mtime_ns
        except OSError:
            times[file] = 0
    return times


def _lines(error: BaseException) -> list[str]:
    """The traceback, without the frames of the import itself."""
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename.startswith(_IMPORT):
        frame = frame.tb_next
    return traceback.format_exception(type(error), error, frame)


def _files_of(error: BaseException | None) -> Iterator[str]:
    """The files that an exception comes from, as far as they exist."""
    for _ in range(10):
        if error is None:
            return
        for frame, _line in traceback.walk_tb(error.__traceback__):
            yield frame.f_code.co_filename
        if isinstance(error, SyntaxError) and error.filename:
            yield error.filename
        error = error.__cause__ or error.__context__


def _places_of(module: str, folder: str) -> Iterator[str]:
    """Where a module would be, if it is one of the project."""
    path = os.path.join(folder, *module.split("."))
    yield path + ".py"
    yield os.path.join(path, "__init__.py")
