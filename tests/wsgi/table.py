"""The table of docs/WSGI.md, from the results of the runs in target/wsgi."""

import importlib.metadata
import json
import platform

BEGIN, END = "<!-- tests/wsgi/run.py --table -->\n", "<!-- /tests/wsgi/run.py --table -->\n"
COLUMNS = {"stheno": "stheno", "stheno:0": "`--threads 0`", "waitress": "waitress", "gunicorn": "gunicorn",
           "granian": "granian", "bjoern": "bjoern", "uwsgi": "uWSGI"}
SECTIONS = {"E": "The environment", "I": "The body of the request", "S": "start_response, write, status, fields",
            "R": "The response", "X": "The wire", "B": "Bugs of other servers", "P": "Operations", "C": "The command",
            "A": "The seed's classes"}
SIGNS = {"ok": "✓", "failed": "✗", "skipped": "–"}

INTRODUCTION = """Each line is a test of `tests/wsgi`, run over the wire against each server by `tests/wsgi/run.py`. ✓ passed, ✗ failed (the
observation is below), – not asked: the test is about flags and promises of stheno, or the server has no such feature. Rows are
those of the checklist: E, I, S, R and X follow PEP 3333 and RFC 9112, the others are operation and use. The checklist decides
more than PEP 3333 where that says "should" or nothing: stheno is built to pass it, and what other servers do instead is listed
below. Peers run with 4 threads where they have any: {versions}; CPython {python}.
"""


def versions():
    found = []
    for name in ("waitress", "gunicorn", "granian", "bjoern", "uwsgi"):
        try:
            found.append(f"{COLUMNS[name]} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def plain(text):
    """Escapes the text for a table or a list."""
    for sign in "\\`*_|<>[]":
        text = text.replace(sign, "\\" + sign)
    return text


def read(out):
    """Returns the results by the name of the server."""
    return {name: json.loads((out / f"{name}.json").read_text()) for name in COLUMNS if (out / f"{name}.json").exists()}


def table(tests, results):
    text, section = [INTRODUCTION.format(versions=versions(), python=platform.python_version())], None
    for test in tests:
        if test.row[0] != section:
            section = test.row[0]
            text.append(f"\n### {SECTIONS[section]}\n\n| row | what | test | "
                        + " | ".join(COLUMNS[name] for name in results) + " |\n|---|---|---|" + "---|" * len(results) + "\n")
        cells = [SIGNS[results[name].get(test.name, ["skipped"])[0]] for name in results]
        row = test.row if test.row[1:] else ""
        text.append(f"| {row} | {plain(test.what)} | `{test.name.removeprefix('test_')}` | " + " | ".join(cells) + " |\n")
    return "".join(text)


def totals(tests, results):
    """Counts the tests of the checklist that pass, of those that were run."""
    text = "\n### Totals\n\nTests of the checklist (rows E to X) that pass, of those that could be run:\n\n"
    text += "| " + " | ".join(COLUMNS[name] for name in results) + " |\n|" + "---|" * len(results) + "\n| "
    cells = []
    for name, verdicts in results.items():
        asked = [verdicts[test.name][0] for test in tests if test.row[1:] and test.name in verdicts]
        good = sum(verdict == "ok" for verdict in asked)
        cells.append(f"{good} of {good + sum(verdict == 'failed' for verdict in asked)}")
    return text + " | ".join(cells) + " |\n"


def seen(tests, results):
    """Lists the observations for each ✗."""
    text = ["\n### Observations\n"]
    for name, verdicts in results.items():
        failures = [(test, verdicts[test.name][1]) for test in tests if verdicts.get(test.name, [""])[0] == "failed"]
        if failures:
            text.append(f"\n**{COLUMNS[name].strip('`')}**\n\n")
        for test, why in failures:
            why = why.rpartition(" (line")[0] or why
            text.append(f"* {test.row if test.row[1:] else ''} `{test.name.removeprefix('test_')}`: ".replace("*  ", "* ")
                        + f"{plain(why[:160])}\n")
    return "".join(text)


def write(page, out, tests):
    """Writes the table between its marks, or at the end of the page."""
    results = read(out)
    if "stheno" not in results:
        raise SystemExit(f"run tests/wsgi/run.py first: there is nothing in {out}")
    tests = sorted(tests, key=lambda test: list(SECTIONS).index(test.row[0]) * 100 + int(test.row[1:] or 0))
    text = BEGIN + table(tests, results) + totals(tests, results) + seen(tests, results) + END
    old = page.read_text() if page.exists() else "# WSGI\n\n"
    before, found, rest = old.partition(BEGIN)
    after = rest.partition(END)[2] if found else ""
    page.write_text((before if found else before.rstrip("\n") + "\n\n## Beside the peers\n\n") + text + after)
    print(f"{page}: {len(tests)} tests, {', '.join(results)}")
