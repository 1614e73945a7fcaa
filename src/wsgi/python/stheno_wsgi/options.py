"""The options of the server, for the command line and :func:`stheno_wsgi.serve`.

This is their one source: the command line, ``--help``, the environment and the table in ``docs/WSGI.md`` are made from
it. As a script it prints that table, for ``tests/options_table.rs``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


def _size(text: str) -> int:
    """``1048576``, ``64k``, ``10M`` or ``1GiB``."""
    number = text.strip().lower().removesuffix("b").removesuffix("i")
    unit = number[-1:] if number[-1:] in _UNITS else ""
    digits = number.removesuffix(unit)
    if not digits.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a size: give bytes, or a number with k, M or G")
    return int(digits) * _UNITS[unit]


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: give a number from 0 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return int(text)


def _mount(text: str) -> tuple[str, str]:
    prefix, equals, folder = text.partition("=")
    if not equals or not folder or not prefix.startswith("/"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a mount: give /PREFIX=DIR")
    return prefix, folder


def _option(default: Any, *flags: str, help: str, shown: str | None = None, **argument: Any) -> Any:
    """A field with an option. ``shown`` is the default in texts, if it is not the value itself."""
    argument |= {"default": default, "help": help}
    metadata = {"flags": flags, "argument": argument, "shown": str(default) if shown is None else shown}
    if default is None and argument.get("action") == "append":
        return field(default_factory=list, metadata=metadata)
    return field(default=default, metadata=metadata)


def _nothing(_number: int, _is_draining: Callable[[], bool]) -> None:
    """Runs in each worker by default."""


@dataclass
class Options:
    """The options; ``load`` returns the application, in each worker."""

    load: Callable[[], Callable[..., Any]]
    hooks: Any = None
    name: str = "application"
    ready: Callable[[int, Callable[[], bool]], None] = _nothing
    listen: list[str] = _option(
        None, "--bind", "--listen", action="append", metavar="PLACE", shown="",
        help="listen on HOST:PORT, :PORT or unix:PATH; may be repeated")
    host: str = _option("127.0.0.1", "--host", metavar="NAME", help="address to listen on, without --bind")
    port: int = _option(
        9000, "--port", type=_port, metavar="N", help="port to listen on, without --bind; 0 for any free port")
    workers: int = _option(1, "-w", "--workers", type=_count, metavar="N", help="worker processes; 0 for one per core")
    threads: int = _option(
        4, "--threads", type=_count, metavar="N",
        help="threads of each worker that call the application; 0 calls it on the loop, where it must not wait")
    preload: bool = _option(
        False, "--preload", action="store_true", shown="",
        help="import the application once, before the fork: less memory, but HUP loads no new code")
    url_prefix: str = _option(
        "", "--url-prefix", metavar="PATH",
        help="path that the application is mounted at (SCRIPT_NAME); other paths are 404")
    mounts: list[tuple[str, str]] = _option(
        None, "--static", action="append", type=_mount, metavar="/PREFIX=DIR", shown="",
        help="serve the files of DIR without Python; may be repeated")
    max_body: int = _option(
        1024**3, "--max-body", type=_size, metavar="BYTES", shown="1G",
        help="size of a request body; a larger one is refused with 413. From 512 KiB a body is kept in a temporary "
             "file")
    max_requests: int = _option(
        0, "--max-requests", type=_count, metavar="N",
        help="requests after which a worker is replaced, plus up to a tenth; 0 for no limit")
    timeout: float = _option(
        30.0, "--timeout", type=float, metavar="SECONDS", shown="30",
        help="time after which a worker is replaced if every thread (with --threads 0: the loop) is in the application "
             "without output; 0 for no limit")
    grace: float = _option(
        30.0, "--grace", type=float, metavar="SECONDS", shown="30",
        help="time to finish the responses that are due, after SIGTERM")
    forwarded_allow_ips: str = _option(
        "", "--forwarded-allow-ips", metavar="LIST",
        help="proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted: addresses, networks or *")
    access_log: str = _option(
        "off", "--access-log", metavar="FILE",
        help="append a line for each response to this file; - for standard output, off for none")
    status: str | None = _option(
        None, "--status", metavar="PLACE", shown="off",
        help="serve a live page about the server, /metrics for Prometheus and /healthz at PORT or HOST:PORT (without a "
             "host: the loopback address) or unix:PATH")
    status_path: str | None = _option(
        None, "--status-path", metavar="PATH", shown="off",
        help="serve the same pages to every client, below this path of the public port: a proxy in front must keep "
             "others away from it")
    log: str = _option(
        "info", "--log", metavar="LEVEL", help="lowest level to log: debug, info, warning, error, critical or off")
    logfile: str | None = _option(
        None, "--logfile", metavar="FILE", shown="standard error", help="append the log to this file")
    record: str | None = _option(
        None, "--record", metavar="FILE", shown="",
        help="record the loop of each worker in this file (docs/RECORDINGS.md); several workers add their number")
    record_when_turn_exceeds: int | None = _option(
        None, "--record-when-turn-exceeds", type=_count, metavar="MS", shown="",
        help="write the recording at once when a turn of the loop takes longer")
    program: str = sys.executable or ""
    arguments: list[str] = field(default_factory=lambda: sys.orig_argv[1:])


# The fields that are options of the command line.
FIELDS = [option for option in fields(Options) if "flags" in option.metadata]


def make_parser(version: str) -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="stheno-wsgi",
        description="Serves a WSGI application.",
        epilog="Every option can also be set in the environment: STHENO_THREADS=8 means --threads 8. "
        "Several values of one are separated by spaces there.",
    )
    add = parser.add_argument
    add("app", metavar="MODULE:CALLABLE",
        help="the application, or a call with literal arguments that returns it: module:create_app('x', k=1); the "
             "callable may be a dotted name, and MODULE alone is MODULE:application")
    add("--factory", action="store_true", help="CALLABLE returns the application")
    add("--chdir", metavar="DIR", help="change to this directory first, and import modules from it")
    add("--hooks", metavar="MODULE[:OBJECT]",
        help="run when_ready, post_fork, worker_exit and child_exit of this module or object when processes begin and "
             "end")
    add("--reload", action="store_true", help="load the application again when a source file changes, for development")
    for option in FIELDS:
        argument, shown = dict(option.metadata["argument"]), option.metadata["shown"]
        if shown:
            argument["help"] += f" (default: {shown})"
        add(*option.metadata["flags"], dest=option.name, **argument)
    add("--version", action="version", version=f"stheno-wsgi {version}", help="print the version and exit")
    return parser


def _table() -> str:
    """The options as a table in Markdown."""
    lines = ["| option | default | meaning |", "|---|---|---|"]
    for action in make_parser("")._actions:
        words = f"{', '.join(action.option_strings)} {action.metavar or ''}".strip()
        meaning, _, default = (action.help or "").partition(" (default: ")
        lines.append(f"| `{words}` | {default[:-1]} | {meaning} |".replace("*", "\\*"))
    return "\n".join(lines)


if __name__ == "__main__":
    print(_table())
