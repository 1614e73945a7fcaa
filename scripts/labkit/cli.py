"""The command line of scripts/lab."""

import argparse
import math
import pathlib
import sys

from . import Trouble, contestants, model

# Seconds that are measured, of a run at full scale; and the least that a figure can be made of.
MEASURED, LEAST_MEASURED = 120, 10


def span(text):
    """`5-15`, or one number for both."""
    least, _, most = text.partition("-")
    try:
        both = float(least), float(most or least)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}': seconds are wanted, as in 5-15") from None
    if not 0 <= both[0] <= both[1]:
        raise argparse.ArgumentTypeError(f"'{text}': the smaller one comes first")
    return both


def number(kind, least, most=math.inf):
    def check(text):
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            between = f"from {least:g} to {most:g}" if most < math.inf else f"of {least:g} or more"
            raise argparse.ArgumentTypeError(f"'{text}': a number {between} is wanted")
        return value

    return check


def add_load(parser):
    parser.add_argument("rungs", nargs="*", metavar="RUNG", help="as scripts/lab list names them (all)")
    parser.add_argument("--users", type=number(int, 1, 10_000), default=100, help="who ask (100)")
    parser.add_argument("--wait", type=span, default=(5.0, 15.0), metavar="A-B",
                        help="seconds that a user thinks between two requests (5-15)")
    parser.add_argument("--db", type=number(float, 0), default=300, metavar="MS", help="the database takes (300)")
    parser.add_argument("--backlog", type=number(int, 1, 65535), default=128, help="may wait to be accepted (128)")
    parser.add_argument("--scale", type=number(float, 1, 1000), default=1,
                        help="divides the database's time and the users' by it (1)")


def parser(doc):
    title, _, rest = doc.partition("\n")
    top = argparse.ArgumentParser(prog="scripts/lab", description=title, epilog=rest,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    run = commands.add_parser("run", help="measure rungs, and draw the report")
    add_load(run)
    run.add_argument("--time", type=number(float, 1), metavar="SECONDS",
                     help=f"measured of each run, behind its warm-up ({MEASURED}/scale, {LEAST_MEASURED} at least)")
    run.add_argument("--repeat", type=number(int, 1, 100), default=1, help="runs of each rung (1)")
    run.add_argument("--out", type=pathlib.Path, metavar="DIR", help="for the files (a new one in target/lab)")
    run.add_argument("--load", choices=["locust", "stheno"], default="locust", help="who asks (locust)")
    run.add_argument("--seed", type=int, default=1, help="of the think times (1)")
    run.add_argument("--debug", action="store_true", help="the debug builds of the rungs")
    commands.add_parser("list", help="say which rungs there are")
    add_load(commands.add_parser("predict", help="say what the law says"))
    report = commands.add_parser("report", help="draw a run again")
    report.add_argument("folder", type=pathlib.Path, metavar="DIR")
    report.add_argument("--docs", action="store_true", help="put its pictures into docs/img/lab")
    compare = commands.add_parser("compare", help="two runs, side by side")
    compare.add_argument("folders", nargs=2, type=pathlib.Path, metavar="DIR")
    check = commands.add_parser("check", help="say whether a run is as predicted, and its files are in order")
    check.add_argument("folder", type=pathlib.Path, metavar="DIR")
    check.add_argument("--band", type=number(float, 0), default=10, metavar="PERCENT", help="that it may be off (10)")
    show = commands.add_parser("show", help="one of the experiments of docs/LAB.md")
    show.add_argument("experiment", choices=["threads", "knobs", "parallel", "omission", "saturation"])
    show.add_argument("--out", type=pathlib.Path, metavar="DIR", help="for picture and figures (target/lab/NAME)")
    show.add_argument("--docs", action="store_true", help="put the picture into docs/img/lab")
    show.add_argument("--debug", action="store_true", help="the debug builds of the rungs")
    return top


def load_of(options):
    """The load as it will be run: the database's time in whole milliseconds, as the rungs take it."""
    service = max(1, round(options.db / options.scale)) if options.db else 0
    return model.Load(options.users, options.wait[0] / options.scale, options.wait[1] / options.scale,
                      service / 1000, options.backlog)


def list_rungs():
    print("RUNG                       SERVES AT ONCE   WHAT IT IS")
    for name, (servers, option, what) in contestants.KINDS.items():
        at_once = "everyone" if math.isinf(servers) else f"{servers}"
        print(f"{name:26} {at_once:16} {what}{f'; {name}:N for N' if option else ''}")
    print(f"\nWithout a name scripts/lab run takes: {', '.join(contestants.DEFAULT)}")


def predict(options):
    load = load_of(options)
    print(f"{load.users} users who think {load.think_least:g} to {load.think_most:g} s; a database of "
          f"{load.service * 1000:g} ms; a queue of {load.backlog}\n")
    print(f"{'RUNG':28} {'m':>8} {'X, req/s':>10} {'R, s':>9} {'busy':>6} {'in the queue':>13}")
    for name in options.rungs or contestants.DEFAULT:
        one = model.predict(contestants.named(name).servers, load)
        servers = "any" if math.isinf(one.servers) else f"{one.servers}"
        note = "" if one.waiting <= load.backlog + 1 else "   more than may wait: some try again, later and later"
        print(f"{name:28} {servers:>8} {one.rate:10.2f} {one.response:9.3f} {one.busy:6.0%} {one.waiting:13.1f}{note}")
    print("\nX = min(m/S, N/(Z+S)), R = max(S, N/X - Z)")


def run(options):
    from . import report, run as runner

    load = load_of(options)
    think = load.think or 1.0
    plan = runner.Plan(
        load=load,
        seconds=options.time or max(MEASURED / options.scale, LEAST_MEASURED),
        # Spread over one think time, so that they do not ask in step; Locust takes tenths.
        spawn_rate=max(0.1, load.users / max(think, 0.5)),
        generator=options.load, seed=options.seed, repeat=options.repeat,
        profile="debug" if options.debug else "release")
    chosen = runner.prepare(plan, options.rungs or contestants.DEFAULT)
    out = options.out or runner.place_for("run")
    runner.listen_for_ctrl_c()
    is_whole = runner.run_all(plan, chosen, out)
    print(report.write(out))
    return 0 if is_whole else 1


def main(doc):
    options = parser(doc).parse_args()
    try:
        if options.command == "list":
            list_rungs()
        elif options.command == "predict":
            predict(options)
        elif options.command == "run":
            return run(options)
        elif options.command == "report":
            from . import report

            print(report.write(options.folder, docs=options.docs))
        elif options.command == "compare":
            from . import compare

            print(compare.compare(*options.folders))
        elif options.command == "check":
            from . import check

            print(check.check(options.folder, options.band / 100))
        else:
            from . import shows

            return shows.show(options)
    except Trouble as trouble:
        print(f"scripts/lab: {trouble}", file=sys.stderr)
        return 1
    return 0
