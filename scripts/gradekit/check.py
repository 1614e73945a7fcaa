"""`scripts/grade check`: every starter fails with its message, every solution passes, every wrong attempt fails for its reason."""

import contextlib
import csv
import io
import json
import pathlib
import subprocess
import tempfile
import types

from lib import PROJECT, Progress, Trouble
from loopkit import broken, rungs

from . import LANGUAGES, SOLUTIONS, classroom, exercise, judge, predict

EMPTY = "//! Nothing.\n\nfn main() {}\n"


def need(condition, what):
    if not condition:
        raise Trouble(what)


def labels(one):
    """The programs of a mend exercise: label → source."""
    return {f"check-{one.name}-starter": one.starter(), f"check-{one.name}-solution": one.solution(),
            f"check-{one.name}-wrong": one.wrong()[0]}


def build(exercises):
    """All programs, by one call of cargo."""
    texts = {label: (one.rung, text) for one in exercises for label, text in labels(one).items()}
    texts["check-empty"] = ("tcp_select", EMPTY)
    broken.build_sources(texts)


def judged(one, label, text):
    return judge.judge(one, judge.Submission(one.rung, broken.program(label), text))


def check_texts(one):
    """Both languages are there, and differ."""
    for texts in (one.title, one.task, one.hint, *(witness.message for witness in one.witnesses)):
        need(set(texts) == set(LANGUAGES) and all(texts.values()) and texts["en"] != texts["ru"], f"texts of {one.name}: {texts}")
    for witness in one.witnesses:
        one.scenario(witness.scenario)


def check_mend(one):
    starter, solution, wrong = labels(one)
    text, fails, sees = one.wrong()
    verdict = judged(one, starter, one.starter())
    first = one.witnesses[0]
    need(not verdict.passed and verdict.failure.scenario == first.scenario, f"the starter passes {first.scenario}")
    need(verdict.failure.message == first.message["en"] and verdict.failure.seen, f"the starter: {verdict.failure}")
    verdict = judged(one, solution, one.solution())
    need(verdict.passed, f"the solution fails: {verdict.failure}")
    need([result.scenario for result in verdict.results] == [witness.scenario for witness in one.witnesses], "not all was played")
    for witness in one.witnesses[1:]:
        green = judge.look(one, witness, judge.Submission(one.rung, broken.program(starter), one.starter()), "en")
        need(green.passed or sees_the_defect(one, green), f"the starter also fails {witness.scenario}: {green.seen}")
    verdict = judged(one, wrong, text)
    need(not verdict.passed and verdict.failure.scenario == fails, f"the wrong attempt: {verdict.failure} in place of {fails}")
    need(sees.strip() in verdict.failure.seen, f"the wrong attempt is seen as '{verdict.failure.seen}'")
    verdict = judged(one, "check-empty", EMPTY)
    need(not verdict.passed and "ended at once" in verdict.failure.seen, f"an empty program: {verdict.failure}")


def sees_the_defect(one, result):
    """Another witness may show the same defect: then it has the same message as the first one, or says in its own what it is."""
    return any(witness.scenario == result.scenario and witness.message["en"] != SERVES for witness in one.witnesses)


SERVES = "the rung no longer serves a line as it should"


def check_build(one):
    """Programs in Python and C pass; others fail for the reason in the first line of their text."""
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted((SOLUTIONS / one.name).iterdir()):
            program = made(path, pathlib.Path(folder))
            verdict = judge.judge(one, rungs.Program(program))
            said = path.read_text(encoding="utf-8").splitlines()[1].lstrip("/#* ").strip()
            if said.startswith("fails: "):
                fails, _, sees = said.removeprefix("fails: ").partition(": ")
                need(not verdict.passed and verdict.failure.scenario == fails, f"{path.name}: {verdict.failure}, and not {fails}")
                need(sees in verdict.failure.seen, f"{path.name} is seen as '{verdict.failure.seen}'")
            else:
                need(verdict.passed, f"{path.name} fails: {verdict.failure}")


def made(path, folder):
    """An executable of a Python or C program."""
    program = folder / path.stem
    if path.suffix == ".c":
        subprocess.run(["cc", "-O1", "-Wall", "-Werror", "-o", str(program), str(path)], check=True)
    else:
        program.write_bytes(path.read_bytes())
        program.chmod(0o755)
    return program


def check_predict(one):
    """The answer that is shown is right; another one, that of another seed, and none are wrong."""
    question = predict.ask(one.name, "1")
    need(question.is_right(question.right), f"{question.right} is not right")
    need(not question.is_right(tuple(number * 1.5 + 5 for number in question.right)), "a wrong answer is right")
    need(not question.is_right(()), "no answer is right")
    others = [predict.ask(one.name, str(seed)).right for seed in range(2, 5)]
    need(any(not question.is_right(other) for other in others), "the answer of each seed is right")
    if one.name != "predict_wait":
        need(predict.ask(one.name, "1").right == question.right, "the same seed has another answer")


def check_class():
    """Three students: one has solved an exercise, one has handed in the starter, and one a text that does not compile."""
    one = exercise.load("lost_edge")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for student, text in (("ann", one.solution()), ("bob", one.starter()), ("eve", "fn main() { nothing }\n")):
            (folder / student / "exercises").mkdir(parents=True)
            exercise.file_of(one.name, folder / student).write_text(text, encoding="utf-8")
        options = types.SimpleNamespace(language="en", csv=None, html=None)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            classroom.grade(folder, options)
        with open(folder / "grades.csv", encoding="utf-8") as file:
            rows = {row["student"]: row for row in csv.DictReader(file)}
        need(rows["ann"][one.name] == "passed" and rows["ann"]["passed"] == "1" and not rows["ann"]["slow_reader"], f"{rows['ann']}")
        need(rows["bob"][one.name] == f"failed: {one.witnesses[0].message['en']}", f"{rows['bob']}")
        need(rows["eve"][one.name].startswith("failed: error"), f"{rows['eve']}")
        need((folder / "grades.html").read_text(encoding="utf-8").count('class="failed"') == 2, "the page")


def check_commands():
    """The command line: start, JSON, exit codes, and mistakes in one line."""
    with tempfile.TemporaryDirectory() as folder:
        def grade(code, *words):
            done = subprocess.run([str(PROJECT / "scripts" / "grade"), *words], cwd=folder, capture_output=True, text=True, check=False)
            need(done.returncode == code, f"scripts/grade {' '.join(words)}: {done.returncode}: {done.stdout}{done.stderr}")
            return done.stdout if code < 2 else done.stderr
        need(grade(0, "--list").count("\n") == len(exercise.names()), "the list")
        grade(0, "start", "lost_edge")
        need("already" in grade(2, "start", "lost_edge"), "a file is written over")
        said = grade(1, "lost_edge")
        need(exercise.load("lost_edge").witnesses[0].message["en"] in said and "hint: " in said and "turn " in said, said)
        need("подсказка: " in grade(1, "lost_edge", "--ru"), "the Russian text")
        found = json.loads(grade(1, "lost_edge", "--json"))
        need(found["exercise"] == "lost_edge" and not found["passed"] and found["message"], f"{found}")
        right = predict.ask("predict_law", "5").right
        grade(0, "predict_law", "--seed", "5", "--answer", " ".join(f"{number:.3f}" for number in right))
        grade(1, "predict_law", "--seed", "6", "--answer", " ".join(f"{number:.3f}" for number in right))
        for words in (["nothing"], ["one_wait"], ["slow_reader"], ["predict_law", "--answer", "many"], ["class", "/nothing"],
                      ["one_wait", "--bin", "/nothing"]):
            said = grade(2, *words).strip().splitlines()
            need(len(said) == 1 and said[0].startswith("scripts/grade: "), f"{words}: {said}")


KINDS = {"mend": check_mend, "build": check_build, "predict": check_predict}


def check():
    """Prints each failure; returns 1 if there is one."""
    exercises = exercise.all_of_them()
    rungs.build([], "recording")
    build([one for one in exercises if one.kind == "mend"])
    parts = [(f"{one.name}: texts", lambda one=one: check_texts(one)) for one in exercises]
    parts += [(one.name, lambda one=one: KINDS[one.kind](one)) for one in exercises]
    parts += [("class", check_class), ("commands", check_commands)]
    progress, failed = Progress(), 0
    for name, part in parts:
        progress.show(name)
        try:
            part()
        except Trouble as trouble:
            failed += 1
            progress.done(f"FAILED {name}: {trouble}")
    progress.show()
    print(f"scripts/grade check: {len(parts)} checks, {failed} failed")
    return 1 if failed else 0


