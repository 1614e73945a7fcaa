"""The command line: ``stheno-wsgi MODULE:CALLABLE``."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from . import watching
from ._stheno import __version__
from ._stheno import serve as _serve
from .loading import load
from .options import Options
from .server import say_where_at_the_end

_USAGE_ERROR = 2
_START_ERROR = 1

_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


def _size(text: str) -> int:
    """``1048576``, ``64k``, ``10M`` or ``1GiB``."""
    number = text.strip().lower().removesuffix("b").removesuffix("i")
    unit = number[-1:] if number[-1:] in _UNITS else ""
    digits = number.removesuffix(unit)
    if not digits.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no size: give bytes, or a number with k, M or G")
    return int(digits) * _UNITS[unit]


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 0 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return int(text)


def _mount(text: str) -> tuple[str, str]:
    prefix, equals, folder = text.partition("=")
    if not equals or not folder or not prefix.startswith("/"):
        raise argparse.ArgumentTypeError(f"{text!r} is no mount: give /PREFIX=DIR")
    return prefix, folder


def _truth(text: str) -> bool:
    return text.strip().lower() in {"1", "true", "yes", "on"}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stheno-wsgi",
        description="Serves a WSGI application.",
        epilog="Every option can also be set by the environment: STHENO_THREADS=8 stands for --threads 8. "
        "Several values of one are separated by spaces there.",
    )
    add = parser.add_argument
    add("app", metavar="MODULE:CALLABLE", help="the application, or a call that makes it: module:create_app('x', k=1)")
    add("--bind", "--listen", dest="listen", action="append", metavar="PLACE",
        help="HOST:PORT, :PORT or unix:PATH; may be given several times")
    add("--host", default="127.0.0.1", help="where to listen, without --bind (default: %(default)s)")
    add("--port", type=_port, default=9000, help="0 for any that is free (default: %(default)s)")
    add("-w", "--workers", type=_count, default=1, metavar="N", help="worker processes; 0 is one for each core (default: %(default)s)")
    add("--threads", type=_count, default=4, metavar="N",
        help="threads for the application in each worker; 0 runs it on the loop, where it must not wait "
        "(default: %(default)s)")
    add("--preload", action="store_true", help="import the application once, before the workers are forked")
    add("--reload", action="store_true", help="load the application anew when a source file changes")
    add("--factory", action="store_true", help="CALLABLE makes the application")
    add("--chdir", metavar="DIR", help="go there first; modules are looked for there")
    add("--url-prefix", default="", metavar="PATH", help="where the application is mounted (SCRIPT_NAME)")
    add("--static", dest="mounts", type=_mount, action="append", metavar="/PREFIX=DIR",
        help="serve files there, without Python; may be given several times")
    add("--max-body", type=_size, default=1024**3, metavar="BYTES",
        help="larger request bodies are refused with 413 (default: 1G)")
    add("--max-requests", type=_count, default=0, metavar="N",
        help="a worker leaves after so many and up to a tenth more, and another takes its place")
    add("--timeout", type=float, default=30.0, metavar="SECONDS",
        help="a worker that hangs in the application so long is replaced; 0 for never (default: 30)")
    add("--grace", type=float, default=30.0, metavar="SECONDS",
        help="how long answers may take after SIGTERM (default: 30)")
    add("--log", default="info", metavar="LEVEL", help="debug, info, warning, error or critical (default: %(default)s)")
    add("--logfile", metavar="FILE", help="where the log goes (default: standard error)")
    add("--access-log", default="off", metavar="FILE", help="a line for every answer; - for standard output")
    add("--forwarded-allow-ips", default="", metavar="LIST",
        help="proxies whose X-Forwarded-For and X-Forwarded-Proto are believed: addresses, networks, or *")
    add("--version", action="version", version=f"stheno-wsgi {__version__}")
    return parser


def _from_environment(parser: argparse.ArgumentParser, environment: dict[str, str]) -> None:
    """Variables become defaults, checked as the options themselves are."""
    for action in parser._actions:
        names = [name for name in action.option_strings if name.startswith("--")]
        for name in names:
            value = environment.get("STHENO_" + name[2:].upper().replace("-", "_"))
            if value is None or action.dest in {"help", "version"}:
                continue
            try:
                default = _default(action, value)
            except (argparse.ArgumentTypeError, ValueError) as error:
                parser.error(f"environment, {name}: {error}")
            parser.set_defaults(**{action.dest: default})
            if isinstance(default, list):
                # Places that are given with the command replace these; argparse would add to them.
                action.default = None
                parser.set_defaults(**{"_environment_" + action.dest: default})


def _default(action: argparse.Action, value: str) -> Any:
    convert: Callable[[str], Any] = action.type if callable(action.type) else str
    if isinstance(action, argparse._StoreTrueAction):
        return _truth(value)
    if isinstance(action, argparse._AppendAction):
        return [convert(word) for word in value.split()]
    return convert(value)


def _in_worker(reload: bool, seat: int) -> None:
    say_where_at_the_end(seat)
    if reload and seat == 0:
        watching.start()


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until it is told to stop; answers the exit code."""
    parser = _parser()
    _from_environment(parser, dict(os.environ))
    args = parser.parse_args(argv)
    if args.chdir is not None:
        try:
            os.chdir(args.chdir)
        except OSError as error:
            parser.error(f"--chdir: {error}")
    if args.reload and args.preload:
        parser.error("--reload loads the application anew, and --preload keeps it: give one of them")
    options = Options(
        load=functools.partial(load, args.app, args.factory, os.getcwd()),
        name=args.app,
        ready=functools.partial(_in_worker, args.reload),
        listen=args.listen or getattr(args, "_environment_listen", None) or [],
        host=args.host,
        port=args.port,
        workers=args.workers,
        threads=args.threads,
        preload=args.preload,
        log=args.log,
        logfile=args.logfile,
        access_log=args.access_log,
        max_body=args.max_body,
        max_requests=args.max_requests,
        timeout=args.timeout,
        grace=args.grace,
        url_prefix=args.url_prefix,
        mounts=args.mounts or getattr(args, "_environment_mounts", None) or [],
        forwarded_allow_ips=args.forwarded_allow_ips,
    )
    try:
        return _serve(options)
    except ValueError as error:
        print(f"stheno-wsgi: {error} (see stheno-wsgi --help)", file=sys.stderr)
        return _USAGE_ERROR
    except OSError as error:
        print(f"stheno-wsgi: {error}", file=sys.stderr)
        return _START_ERROR
