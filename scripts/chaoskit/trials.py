"""Runs scenarios, and records what they measure against its bar."""

import contextlib
import json
import subprocess
import time

from lib import Progress, Trouble, write_part

from .clients import OUT, Failure, make_root
from .stage import Stage

INTRODUCTION = """## Under a load that checks every byte

Written by `scripts/chaos --docs`: the release build, about 500 requests a second of clients that keep their
connections, on a machine with two cores. Rows as above; F12 is the soak.

"""


class Trials:
    """What a scenario gets: servers, amounts, and the table of rows."""

    out = OUT

    def __init__(self, program, quick):
        self.program, self.quick, self.progress = program, quick, Progress()
        self.contents, self.rows = make_root(), []

    def serve(self, workers, *options, **files):
        return Stage(self.program, self.contents, workers, *options, **files)

    def some(self, many, few):
        return few if self.quick else many

    def counted(self, rounds):
        """The numbers below `rounds`, each shown as progress."""
        for number in range(rounds):
            self.progress.show(f"{number} of {rounds}")
            yield number

    def in_time(self, seconds, limit):
        """With --quick the machine may be ten times too slow."""
        return seconds <= limit * (10 if self.quick else 1)

    def row(self, rule, what, measured, bar, held, seen=None, **figures):
        if seen:
            figures["failures"] = seen.failures
        self.rows.append({"rule": rule, "what": what, "measured": measured, "bar": bar, "held": bool(held), **figures})

    def play(self, name, scenario):
        """Runs a scenario and prints its rows. An error in it is a row that does not hold."""
        begun, before, self.progress.name = time.monotonic(), len(self.rows), name
        self.progress.show("begins")
        try:
            scenario(self)
        except (Trouble, Failure, OSError, subprocess.TimeoutExpired) as error:
            self.row("D", (scenario.__doc__ or name).rstrip("."), f"{type(error).__name__}: {error}".replace("|", "/"),
                     "it can be measured", False)
        self.progress.show()
        for row in self.rows[before:]:
            print(f"{'ok    ' if row['held'] else 'MISSED'} {row['rule']:<4} {row['what']}: {row['measured']}  [{row['bar']}]  "
                  f"{time.monotonic() - begun:.1f} s", flush=True)

    def save(self, name, seconds):
        """Writes NAME.json and NAME.md into the folder `out`."""
        (self.out / f"{name}.md").write_text(table(self.rows))
        data = {"rows": self.rows, "seconds": round(seconds, 1), "when": time.strftime("%Y-%m-%d %H:%M:%S %z")}
        (self.out / f"{name}.json").write_text(json.dumps(data, indent=1, ensure_ascii=False))


def ms(seconds):
    return f"{seconds * 1000:.1f} ms"


def table(rows):
    return "| row | what | measured | bar | |\n|---|---|---|---|---|\n" + "".join(
        f"| {row['rule']} | {row['what']} | {row['measured']} | {row['bar']} | {'✓' if row['held'] else '✗'} |\n" for row in rows)


def into_docs():
    """Writes the tables of the last run of each kind into docs/RELIABILITY.md."""
    rows = []
    for name in ("scenarios", "mixture", "soak"):
        with contextlib.suppress(FileNotFoundError):
            rows += json.loads((OUT / f"{name}.json").read_text())["rows"]
    write_part("RELIABILITY.md", "scripts/chaos", INTRODUCTION + table(rows))
