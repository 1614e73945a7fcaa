"""The command line of scripts/book."""

import argparse

from . import build, check, record


def main(doc):
    title, _, rest = doc.partition("\n")
    top = argparse.ArgumentParser(prog="scripts/book", description=title, epilog=rest,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(metavar="COMMAND")
    command = commands.add_parser("record", help="play the scenarios of the book's recordings again")
    command.add_argument("names", nargs="*", metavar="NAME", help="as in docs/book/recordings.txt (all)")
    command.set_defaults(call=record.record)
    commands.add_parser("check", help="check both books").set_defaults(call=check.check)
    top.set_defaults(call=build.build)
    options = top.parse_args()
    return options.call(options)
