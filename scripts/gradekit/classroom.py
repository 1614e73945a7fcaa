"""A class: a folder for each student, and one table of all of them, for a spreadsheet and as a page."""

import csv
import html
import os

from lib import Progress, Trouble
from loopkit import rungs

from . import exercise, judge

STYLE = """
:root { color-scheme: light dark; }
body { font: 1em/1.5 sans-serif; margin: 2em; }
table { border-collapse: collapse; }
th, td { border: 1px solid #8888; padding: .3em .7em; text-align: left; vertical-align: top; font-size: .9em; }
td.passed { background: #2a9d8f44; }
td.failed { background: #d1495b44; }
"""


def grade(folder, options):
    """`scripts/grade class FOLDER`."""
    if not folder.is_dir():
        raise Trouble(f"{folder} is no folder of submissions")
    students = sorted(path for path in folder.iterdir() if path.is_dir())
    wanted = [one for one in exercise.all_of_them() if one.kind != "predict"]
    if not students:
        raise Trouble(f"{folder} has no folder of a student")
    table, progress = [], Progress()
    for student in students:
        row = {"student": student.name}
        for one in wanted:
            progress.show(f"{student.name}: {one.name}")
            row[one.name] = mark(one, student, options.language)
        row["passed"] = sum(cell == "passed" for cell in row.values())
        progress.done(f"{student.name}: {row['passed']} of {sum(bool(row[one.name]) for one in wanted)}")
        table.append(row)
    names = ["student", *(one.name for one in wanted), "passed"]
    out = options.csv or folder / "grades.csv"
    with open(out, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(table)
    page = options.html or folder / "grades.html"
    page.write_text(as_page(names, table), encoding="utf-8")
    print(f"{out}, {page}")
    return 0


def mark(one, student, language):
    """`passed`, what is wrong, or nothing where nothing was handed in."""
    try:
        program = submission(one, student)
        if program is None:
            return ""
        verdict = judge.judge(one, program, language)
    except Trouble as trouble:
        return f"failed: {first_line(trouble)}"
    return "passed" if verdict.passed else f"failed: {verdict.failure.message}"


def first_line(trouble):
    """What the compiler says first, or all of a short message."""
    lines = str(trouble).splitlines()
    return next((line for line in lines if line.startswith("error")), lines[0])


def submission(one, student):
    """What a student has handed in: exercises/NAME.rs or NAME.rs for a source, NAME or NAME.py for a program."""
    places = [place / one.name for place in (student, student / "exercises")]
    for place in places:
        source = place.with_suffix(".rs")
        if one.kind == "mend" and source.is_file():
            return judge.compiled(one, source.read_text(encoding="utf-8"), f"class-{student.name}-{one.name}")
        for program in (place, place.with_suffix(".py")):
            if program.is_file() and os.access(program, os.X_OK):
                return rungs.Program(program, rungs.Rung(one.rung).kind.name)
    return None


def as_page(names, table):
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    rows = "".join(f"<tr>{''.join(cell(row[name]) for name in names)}</tr>\n" for row in table)
    return (f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width">\n'
            f"<title>Grades</title>\n<style>{STYLE}</style>\n<table>\n<tr>{head}</tr>\n{rows}</table>\n</html>\n")


def cell(value):
    kind = str(value).partition(":")[0]
    attribute = f' class="{kind}"' if kind in ("passed", "failed") else ""
    return f"<td{attribute}>{html.escape(str(value))}</td>"
