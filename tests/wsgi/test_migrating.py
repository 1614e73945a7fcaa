"""docs/MIGRATING.md: the options that it names exist, and no setting of a peer that is installed here is missing."""

import importlib
import re
import subprocess
import sys

import servers
from harness import Skip, expect, row

PAGE = servers.PROJECT / "docs" / "MIGRATING.md"


def tables(heading):
    """The cells of all rows below a heading of the second level."""
    text = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return [cells for cells in rows if set(cells[0]) - {"-"}]


def code(text):
    """The words in backticks."""
    return set(re.findall(r"`([^`]+)`", text))


def options():
    """The options that `--help` has, long and short."""
    text = subprocess.run([sys.executable, "-m", "stheno_wsgi", "--help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^ +(--[a-z-]+|-\w)\b", text, re.M)) | set(re.findall(r"^ +-\w, (--[a-z-]+)", text, re.M)) \
        | set(re.findall(r"^ +(?:-\w, )?(?:--[a-z-]+, )+(--[a-z-]+)", text, re.M))


@row("C", "docs/MIGRATING.md names options that exist", ours=True)
def migrating_options(_case):
    known, named = options(), set()
    for heading in ("gunicorn", "waitress", "uWSGI"):
        for cells in tables(heading)[1:]:
            expect(len(cells), 3, f"cells of {cells}")
            named |= code(cells[1])
            wants_reason = not cells[1]
            assert not wants_reason or re.match(r"not (needed|here)\b", cells[2]), f"no reason in {cells}"
    expect(sorted(named - known), [], "options that are not in --help")
    assert len(named) > 40, sorted(named)


@row("C", "docs/MIGRATING.md has every setting of gunicorn", ours=True)
def migrating_gunicorn(_case):
    found = {setting.name: setting.cli or [] for setting in module("gunicorn.config").KNOWN_SETTINGS}
    named = set().union(*(code(cells[0]) for cells in tables("gunicorn")))
    missing = [name for name, flags in found.items() if not named & {name, *flags}]
    expect(missing, [], f"settings of {len(found)} that the page lacks")
    expect(sorted(named - {*found, *(flag for flags in found.values() for flag in flags)}), [], "names that gunicorn lacks")


@row("C", "docs/MIGRATING.md has every setting of waitress", ours=True)
def migrating_waitress(_case):
    found = {name for name, _ in module("waitress.adjustments").Adjustments._params}
    named = set().union(*(code(cells[0]) for cells in tables("waitress")))
    expect((sorted(found - named), sorted(named - found)), ([], ["--call"]), "missing, and names that waitress lacks")


@row("C", "docs/MIGRATING.md names options that uWSGI has", ours=True)
def migrating_uwsgi(_case):
    program = servers.BIN / "uwsgi"
    if not program.exists():
        raise Skip("uWSGI is not installed")
    text = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"--([a-z0-9-]+)", text))
    named = set().union(*(code(cells[0]) for cells in tables("uWSGI")))
    expect(sorted(named - known), [], "names that uWSGI lacks")


def module(name):
    try:
        return importlib.import_module(name)
    except ImportError:
        raise Skip(f"{name.split('.')[0]} is not installed") from None
