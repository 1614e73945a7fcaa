"""The command line of scripts/loop."""

import argparse
import pathlib
import sys

from lib import interrupt_once

from . import check, live, show


def number(text):
    if text.isdigit() and int(text):
        return int(text)
    raise argparse.ArgumentTypeError(f"'{text}': a number of 1 or more is wanted")


def play_parser(doc):
    title, _, rest = doc.partition("\n")
    top = argparse.ArgumentParser(prog="scripts/loop", description=title, epilog=rest,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("rungs", nargs="*", metavar="RUNG", help="a rung, stheno, a broken rung, or the path of a program; its own "
                     "options come last, after --")
    top.add_argument("--compare", nargs="+", metavar="RUNG", default=[], help="several rungs, side by side on one page")
    top.add_argument("--scenario", metavar="NAME", help="as --list prints them, or a file NAME.txt; of a broken rung, "
                     "that of its patch")
    top.add_argument("--list", action="store_true", help="print the scenarios")
    top.add_argument("--text", action="store_true", help="print the lines of --loop in place of the page")
    top.add_argument("--out", type=pathlib.Path, metavar="FILE.html", help="the page (target/loop/RUNG-NAME.html)")
    top.add_argument("--record", type=pathlib.Path, metavar="FILE.rec", help="the recording (target/loop/RUNG-NAME.rec)")
    top.add_argument("--db", type=number, metavar="MS", help="time of a web rung's database (300; 20 beside echo rungs)")
    top.add_argument("--clients", type=number, metavar="N", help="most clients of a group: makes large scenarios smaller")
    return top


def command_parser():
    top = argparse.ArgumentParser(prog="scripts/loop")
    commands = top.add_subparsers(dest="command", required=True)
    for name, text in (("page", "write the page of recordings"), ("doctor", "say what is wrong with a loop"),
                       ("lines", "print the turns"), ("chrome", "print JSON for ui.perfetto.dev")):
        command = commands.add_parser(name, help=text)
        command.add_argument("files", nargs="+" if name in ("page", "doctor") else 1, type=pathlib.Path, metavar="FILE")
        if name == "page":
            command.add_argument("--out", type=pathlib.Path, metavar="FILE.html")
        if name == "doctor":
            command.add_argument("--json", action="store_true", help="for programs")
        command.set_defaults(call=getattr(show, name))
    command = commands.add_parser("live", help="pause and step a rung from the page")
    command.add_argument("rung", metavar="RUNG")
    command.set_defaults(call=live.live)
    command = commands.add_parser("check", help="the tests of scenarios, recordings and the live mode")
    command.add_argument("--only", metavar="WORD", help="those whose name has this word in it")
    command.set_defaults(call=check.check)
    return top


def main(doc):
    words, options_of_rung = sys.argv[1:], []
    if "--" in words:
        at = words.index("--")
        words, options_of_rung = words[:at], words[at + 1:]
    interrupt_once()
    try:
        if words and words[0] in ("page", "doctor", "lines", "chrome", "live", "check"):
            options = command_parser().parse_args(words)
            return options.call(options)
        parser = play_parser(doc)
        options = parser.parse_args(words, argparse.Namespace(options=options_of_rung))
        if options.list:
            return show.scenarios()
        options.rungs += options.compare
        if not options.rungs or not options.scenario and not all("+" in rung for rung in options.rungs):
            parser.error("a rung and --scenario are wanted; --list prints the scenarios")
        if options.record and len(options.rungs) > 1:
            parser.error("--record is for one rung")
        return show.run(options)
    except KeyboardInterrupt:
        sys.exit("stopped")
