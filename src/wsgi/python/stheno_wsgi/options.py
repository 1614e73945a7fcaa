"""What the server is told, by the command line or by :func:`stheno_wsgi.serve`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


def _nothing(_seat: int) -> None:
    """Runs in each worker, unless something else is to."""


@dataclass
class Options:
    """Everything that may be said; ``load`` answers the application, in each worker."""

    load: Callable[[], Callable[..., Any]]
    name: str = "application"
    ready: Callable[[int], None] = _nothing
    listen: list[str] = field(default_factory=list)
    host: str = "127.0.0.1"
    port: int = 9000
    workers: int = 1
    threads: int = 4
    preload: bool = False
    log: str = "info"
    logfile: str | None = None
    access_log: str = "off"
    max_body: int = 1024 * 1024 * 1024
    max_requests: int = 0
    timeout: float = 30.0
    grace: float = 30.0
    url_prefix: str = ""
    mounts: list[tuple[str, str]] = field(default_factory=list)
    forwarded_allow_ips: str = ""
    program: str = sys.executable or ""
    arguments: list[str] = field(default_factory=lambda: sys.orig_argv[1:])
