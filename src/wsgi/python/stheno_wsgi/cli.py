"""The command line: ``stheno-wsgi MODULE:CALLABLE``."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from . import hooks, watching
from ._stheno import __version__
from ._stheno import serve as _serve
from .loading import NoApplication, load
from .options import FIELDS, Options, make_parser
from .server import say_where_at_the_end

_USAGE_ERROR = 2
_START_ERROR = 1
_NO_APPLICATION = 4

def _truth(text: str) -> bool:
    return text.strip().lower() in {"1", "true", "yes", "on"}


def _from_environment(parser: argparse.ArgumentParser, environment: dict[str, str]) -> None:
    """Makes variables the defaults, checked as the options are."""
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
                # Values on the command line replace these; argparse would add to them.
                action.default = None
                parser.set_defaults(**{"_environment_" + action.dest: default})


def _default(action: argparse.Action, value: str) -> Any:
    convert: Callable[[str], Any] = action.type if callable(action.type) else str
    if isinstance(action, argparse._StoreTrueAction):
        return _truth(value)
    if isinstance(action, argparse._AppendAction):
        return [convert(word) for word in value.split()]
    return convert(value)


def _value(args: argparse.Namespace, field: dataclasses.Field[Any]) -> Any:
    value = getattr(args, field.name)
    if field.default_factory is dataclasses.MISSING:
        return value
    return value or getattr(args, f"_environment_{field.name}", None) or []


def _in_worker(watch: watching.Watch | None, number: int, is_draining: Callable[[], bool]) -> None:
    say_where_at_the_end(number, is_draining)
    if watch is not None and number == 0:
        watch.start(is_draining)


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until it is told to stop. Returns the exit code."""
    parser = make_parser(__version__)
    _from_environment(parser, dict(os.environ))
    args = parser.parse_args(argv)
    if args.chdir is not None:
        try:
            os.chdir(args.chdir)
        except OSError as error:
            parser.error(f"--chdir: {error}")
    if args.reload and args.preload:
        parser.error("--reload loads the application again, and --preload keeps it: give one of them")
    try:
        found = hooks.load(args.hooks, os.getcwd()) if args.hooks else None
    except NoApplication as error:
        print(f"stheno-wsgi: {error.line}", file=sys.stderr)
        return _NO_APPLICATION
    except BaseException:
        traceback.print_exc()
        return _NO_APPLICATION
    load_it = functools.partial(load, args.app, args.factory, os.getcwd())
    watch = watching.Watch(load_it, args.app, os.getcwd()) if args.reload else None
    options = Options(
        hooks=found,
        load=load_it if watch is None else watch.load,
        name=args.app,
        ready=functools.partial(_in_worker, watch),
        **{field.name: _value(args, field) for field in FIELDS},
    )
    try:
        return _serve(options)
    except ValueError as error:
        print(f"stheno-wsgi: {error} (see stheno-wsgi --help)", file=sys.stderr)
        return _USAGE_ERROR
    except OSError as error:
        print(f"stheno-wsgi: {error}", file=sys.stderr)
        return _START_ERROR
