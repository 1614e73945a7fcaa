"""Processes that the application forks, by ``os.fork`` or ``multiprocessing``: they are no workers."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading
from collections.abc import Callable, Iterable


def watch(signals: Iterable[int], sockets: Iterable[int], note: Callable[[], None]) -> None:
    """Has every child of this process give up what only the worker may use: the handlers of ``signals`` and the
    ``sockets``. ``note`` is called in the child.
    """
    # A socket that is closed meanwhile leaves its number to another file.
    known = [(number, os.fstat(number).st_ino) for number in sockets]
    signals, masks = list(signals), threading.local()
    # A signal that comes before the child has its own handlers waits until it has them.
    os.register_at_fork(
        before=functools.partial(_block, signals, masks),
        after_in_parent=functools.partial(_unblock, masks),
        after_in_child=functools.partial(_in_child, signals, known, note, masks))


def _block(signals: list[int], masks: threading.local) -> None:
    masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)


def _unblock(masks: threading.local) -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, masks.before)


def _in_child(
    signals: list[int], sockets: list[tuple[int, int]], note: Callable[[], None], masks: threading.local
) -> None:
    note()
    signal.set_wakeup_fd(-1)
    for number in signals:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    for descriptor, inode in sockets:
        with contextlib.suppress(OSError):
            if os.fstat(descriptor).st_ino == inode:
                os.close(descriptor)
    _unblock(masks)
