"""The command line: ``stheno-wsgi MODULE:CALLABLE``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from . import watching
from ._stheno import main as _main
from .loading import load
from .server import say_where_at_the_end


def _load(app: str, factory: bool) -> Callable[..., Any]:
    return load(app, factory, os.getcwd())


def _in_worker(number: int, reload: bool) -> None:
    say_where_at_the_end(number)
    if reload and number == 0:
        watching.start()


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until it is told to stop. Returns the exit code."""
    return _main(list(sys.argv[1:] if argv is None else argv), _load, _in_worker)
