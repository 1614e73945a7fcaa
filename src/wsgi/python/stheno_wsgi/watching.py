"""``--reload``: new workers when a source file changes, for development."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

_EVERY = 0.5


def _sources() -> set[str]:
    """The source files of the modules in this process."""
    names = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    return {name for name in names if name and not name.startswith(sys.prefix + os.sep)}


def _times(files: set[str]) -> dict[str, int]:
    times = {}
    for file in files:
        try:
            times[file] = os.stat(file).st_mtime_ns
        except OSError:
            times[file] = 0
    return times


def _watch(master: int) -> None:
    before = _times(_sources())
    while os.getppid() == master:
        time.sleep(_EVERY)
        now = _times(_sources() | before.keys())
        changed = sorted(file for file, at in now.items() if before.get(file, at) != at)
        before = now
        if changed:
            print(f"stheno-wsgi: {changed[0]} has changed: loading the application again", file=sys.stderr)
            # The old workers serve until the new ones can; if these fail, there is a traceback and no more.
            os.kill(master, signal.SIGHUP)


def start() -> None:
    """Watches in a thread."""
    threading.Thread(target=_watch, args=(os.getppid(),), name="wsgi-reload", daemon=True).start()
