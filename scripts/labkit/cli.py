"""The command line of scripts/lab. A command is the function of its name in one of the modules; it returns an exit code."""

import argparse
import contextlib
import importlib
import math
import pathlib

from loopkit import broken

# Command → its module, and its line of help.
COMMANDS = {
    "run": ("run", "measure rungs, and draw the report"),
    "list": ("rungs", "print the rungs"),
    "predict": ("rungs", "print what the law predicts"),
    "report": ("report", "draw a run again"),
    "compare": ("check", "two runs, side by side"),
    "check": ("check", "check that a run is as predicted, and that its files are in order"),
    "show": ("shows", "one of the experiments of the book"),
}


def span(text):
    """`5-15`, or one number for both."""
    least, _, most = text.partition("-")
    with contextlib.suppress(ValueError):
        if 0 <= float(least) <= float(most or least):
            return float(least), float(most or least)
    raise argparse.ArgumentTypeError(f"'{text}': seconds are wanted, the smaller ones first, as in 5-15")


def number(kind, least, most=math.inf):
    def check(text):
        with contextlib.suppress(ValueError):
            if least <= kind(text) <= most:
                return kind(text)
        between = f"from {least:g} to {most:g}" if most < math.inf else f"of {least:g} or more"
        raise argparse.ArgumentTypeError(f"'{text}': a number {between} is wanted")

    return check


def parser(doc):
    title, _, rest = doc.partition("\n")
    top = argparse.ArgumentParser(prog="scripts/lab", description=title, epilog=rest,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    add = {name: commands.add_parser(name, help=text).add_argument for name, (_, text) in COMMANDS.items()}
    folder = {"type": pathlib.Path, "metavar": "DIR"}
    for name in ("run", "predict"):
        add[name]("rungs", nargs="*", metavar="RUNG", help="as scripts/lab list prints them (all)")
        add[name]("--users", type=number(int, 1, 10_000), default=100, help="number of users (100)")
        add[name]("--wait", type=span, default=(5.0, 15.0), metavar="A-B",
                  help="seconds that a user thinks between two requests (5-15)")
        add[name]("--db", type=number(float, 0), default=300, metavar="MS", help="time of the database (300)")
        add[name]("--backlog", type=number(int, 1, 65535), default=128, help="clients that may wait to be accepted (128)")
        add[name]("--scale", type=number(float, 1, 1000), default=1, help="divides the time of the database and of users (1)")
    add["run"]("--time", type=number(float, 1), metavar="SECONDS",
               help="measured of each run, after its warm-up (120/scale, 10 at least)")
    add["run"]("--repeat", type=number(int, 1, 100), default=1, help="runs of each rung (1)")
    add["run"]("--load", choices=["locust", "stheno"],
               help="the generator (locust; with --scale, stheno, which has less work of its own)")
    add["run"]("--seed", type=int, default=1, help="of the think times (1)")
    add["run"]("--out", help="for the files (a new one in target/lab)", **folder)
    add["show"]("experiment", choices=["threads", "knobs", "parallel", "omission", "saturation"])
    add["show"]("--out", help="for picture and figures (target/lab/NAME)", **folder)
    for name in ("run", "show"):
        add[name]("--debug", dest="profile", action="store_const", const="debug", default="release",
                  help="the debug builds of the rungs")
    add["show"]("--generator", choices=broken.generators(), help="of omission: one that is broken on purpose")
    add["show"]("--draw", action="store_true", help="measure nothing; draw what was measured last")
    for name in ("report", "show"):
        add[name]("--docs", action="store_true", help="write the pictures of the book, in both languages, and its table")
    for name in ("run", "report", "show"):
        add[name]("--lang", choices=["en", "ru"], default="en", help="language of page and pictures (en)")
    add["report"]("folder", **folder)
    add["compare"]("folders", nargs=2, **folder)
    add["check"]("folder", **folder)
    add["check"]("--band", type=number(float, 0), default=10, metavar="PERCENT", help="of difference that is allowed (10)")
    return top


def main(doc):
    options = parser(doc).parse_args()
    module = importlib.import_module(f"labkit.{COMMANDS[options.command][0]}")
    return getattr(module, options.command)(options)
