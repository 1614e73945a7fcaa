"""The command line: ``stheno-wsgi MODULE:CALLABLE``."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from . import hooks
from ._stheno import main as _main
from .loading import load
from .server import say_where_at_the_end
from .watching import Watch


class _Command:
    """What Python does for the server."""

    def __init__(self) -> None:
        self._watch: Watch | None = None

    def load(self, app: str, factory: bool, reload: bool) -> Callable[..., Any]:
        load_now = functools.partial(load, app, factory, os.getcwd())
        if not reload:
            return load_now()
        self._watch = Watch(load_now, app, os.getcwd())
        return self._watch.load()

    def ready(self, number: int, reload: bool, is_draining: Callable[[], bool]) -> None:
        say_where_at_the_end(number)
        if self._watch is not None and number == 0:
            self._watch.start(is_draining)

    def hooks(self, name: str | None) -> hooks.Hooks | None:
        return hooks.load(name, os.getcwd()) if name else None


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until it is told to stop. Returns the exit code."""
    command = _Command()
    return _main(list(sys.argv[1:] if argv is None else argv), command.load, command.ready, command.hooks)
