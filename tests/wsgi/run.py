#!/usr/bin/env python3
"""Runs the checklist of PEP 3333 against a server, over the wire.

    tests/wsgi/run.py                              stheno, with a pool of 4 threads
    tests/wsgi/run.py --peer stheno:0              the app on the loop; also stheno:N
    tests/wsgi/run.py --peer waitress              gunicorn, granian, bjoern, uwsgi, if they are installed here
    tests/wsgi/run.py --rows S,R9 --only drain     these rows; tests with this in their names
    tests/wsgi/run.py --long                       also the tests that take minutes
    tests/wsgi/run.py --server 'CMD {app} {port}'  any other server: its command line
    tests/wsgi/run.py --table docs/WSGI.md         writes the table, from the results of the last runs

Prints one line for each test, and writes the results to target/wsgi/NAME.json. Exits with 1 if a test fails, or if a row has
no test.
"""

import argparse
import importlib
import json
import pathlib
import re
import signal
import sys
import time
import traceback

import servers
import table
from harness import TESTS, Case, Shared, Skip

OUT = servers.PROJECT / "target" / "wsgi"
MODULES = ["test_environ", "test_input", "test_start", "test_response", "test_large", "test_wire", "test_others",
           "test_operations", "test_threads", "test_tools", "test_process", "test_forks", "test_cli", "test_options",
           "test_trust", "test_logs", "test_readers", "test_migrating", "test_seed"]
ROWS = ([f"E{n}" for n in range(1, 23)] + [f"I{n}" for n in range(1, 8)] + [f"S{n}" for n in range(1, 14)]
        + [f"R{n}" for n in range(1, 13)] + [f"X{n}" for n in range(1, 6)])


def check_rows():
    """Checks that every row has a test, and that every test names its row."""
    here = {test.row for test in TESTS}
    if missing := [row for row in ROWS if row not in here]:
        sys.exit(f"no test for {', '.join(missing)}")
    for module in MODULES:
        text = (servers.HERE / f"{module}.py").read_text()
        for number, what in re.findall(r'^@row\("([EISRX]\d+)", "(.*?)"', text, re.M):
            marks = text.split(f'@row("{number}", "{what}"')[0].rsplit("\n\n", 1)[1]
            if not re.search(rf"^# WSGI .*\b{number[0]}\d", marks, re.M):
                sys.exit(f"{module}: the test {what!r} does not say which row it is of")


def wanted(options):
    rows = options.rows.split(",") if options.rows else None
    for test in TESTS:
        if rows and not any(test.row == row or (len(row) == 1 and test.row.startswith(row)) for row in rows):
            continue
        if options.only and options.only not in test.name:
            continue
        yield test


def run_one(test, kind, shared, options):
    """Returns "ok", "failed" or "skipped", and the reason."""
    if test.ours and not kind.name.startswith(("stheno", "custom")):
        return "skipped", "about our own flags and promises"
    if test.long and not options.long:
        return "skipped", "takes minutes: --long"
    case = Case(kind, shared)
    position = shared.position()
    try:
        try:
            test.function(case)
        finally:
            case.close()
        shared.mind(position)
        return "ok", ""
    except Skip as skip:
        return "skipped", str(skip)
    except Exception as error:
        if options.verbose:
            traceback.print_exc()
            print(shared.running.log()[position:] if shared.running else "", file=sys.stderr)
        # The next test gets a new server, in case this one is damaged.
        shared.stop()
        where = traceback.extract_tb(error.__traceback__)
        line = [frame.lineno for frame in where if frame.filename.endswith(f"{test.function.__module__}.py")]
        text = str(error) if isinstance(error, AssertionError) and str(error) else f"{type(error).__name__}: {error}"
        return "failed", f"{' '.join(text.split())[:400]} (line {line[-1] if line else '?'})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", default="stheno", help="the server: stheno[:threads], " + ", ".join(servers.PEERS))
    parser.add_argument("--server", help="another server's command, with {app} and {port}")
    parser.add_argument("--rows", help="only these rows, or letters, separated by commas")
    parser.add_argument("--only", help="only tests with this in their names")
    parser.add_argument("--long", action="store_true", help="also the tests that take minutes")
    parser.add_argument("--table", type=pathlib.Path, metavar="FILE", help="only write the table into this file")
    parser.add_argument("--verbose", action="store_true", help="tracebacks, and the server's log")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    for module in MODULES:
        importlib.import_module(module)
    check_rows()
    if options.table:
        return table.write(options.table, OUT, TESTS)
    kind = servers.Custom if options.server else servers.kind(options.peer)
    if options.server:
        servers.Custom.line = options.server

    shared, results, begun = Shared(kind), {}, time.monotonic()
    try:
        for test in wanted(options):
            started = time.monotonic()
            verdict, why = run_one(test, kind, shared, options)
            results[test.name] = [verdict, why]
            print(f"{verdict:8}{test.row:4} {test.name.removeprefix('test_'):36} {time.monotonic() - started:6.2f} s  "
                  f"{why or test.what}", flush=True)
    finally:
        shared.stop()
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{kind.name}.json"
    kept = json.loads(path.read_text()) if path.exists() and (options.rows or options.only) else {}
    path.write_text(json.dumps(kept | results, indent=1))
    counts = {word: sum(verdict == word for verdict, _ in results.values()) for word in ("ok", "failed", "skipped")}
    print(f"{kind.name}: {counts['ok']} ok, {counts['failed']} failed, {counts['skipped']} skipped, "
          f"{time.monotonic() - begun:.0f} s")
    sys.exit(1 if counts["failed"] or not counts["ok"] else 0)


if __name__ == "__main__":
    main()
