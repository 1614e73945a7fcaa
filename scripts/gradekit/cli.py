"""The command line of scripts/grade."""

import argparse
import json
import pathlib
import random
import sys
import time

from lib import Trouble, interrupt_once
from loopkit import rungs

from . import check, classroom, exercise, judge, predict

WORDS = {
    "en": {"passed": "passed", "failed": "FAILED", "hint": "hint", "bytes": "seen", "turns": "the last turns", "page": "the page",
           "right": "right", "wrong": "wrong", "answer": "your answer", "kinds": "chapter {0}, {1}"},
    "ru": {"passed": "решено", "failed": "НЕ РЕШЕНО", "hint": "подсказка", "bytes": "видно", "turns": "последние обороты",
           "page": "страница", "right": "верно", "wrong": "неверно", "answer": "ваш ответ", "kinds": "глава {0}, {1}"},
}


def parser(doc):
    title, _, rest = doc.partition("\n")
    top = argparse.ArgumentParser(prog="scripts/grade", description=title, epilog=rest,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("words", nargs="*", metavar="NAME", help="an exercise; or start NAME, class FOLDER, check")
    top.add_argument("--list", action="store_true", help="print the exercises")
    top.add_argument("--bin", type=pathlib.Path, metavar="PROGRAM", help="judge this program")
    top.add_argument("--source", type=pathlib.Path, metavar="FILE", help="judge this source (exercises/NAME.rs)")
    top.add_argument("--json", action="store_true", help="print the result as JSON")
    top.add_argument("--ru", dest="language", action="store_const", const="ru", default="en", help="speak Russian")
    top.add_argument("--seed", help="of a question: the same seed asks the same question")
    top.add_argument("--answer", metavar="NUMBERS", help="answer a question here")
    top.add_argument("-c", dest="show", action="store_true", help="show the answer of a question")
    top.add_argument("--csv", type=pathlib.Path, metavar="FILE", help="of a class: the table for a spreadsheet")
    top.add_argument("--html", type=pathlib.Path, metavar="FILE", help="of a class: the table as a page")
    return top


def main(doc):
    top = parser(doc)
    options = top.parse_args()
    interrupt_once()
    try:
        return run(top, options)
    except Trouble as trouble:
        print(f"scripts/grade: {trouble}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        sys.exit("stopped")


def run(top, options):
    words = options.words
    if options.list:
        return print_list(options.language)
    if words == ["check"]:
        return check.check()
    if len(words) == 2 and words[0] == "start":
        print(exercise.start(exercise.load(words[1]), options.language))
        return 0
    if len(words) == 2 and words[0] == "class":
        return classroom.grade(pathlib.Path(words[1]), options)
    if len(words) != 1:
        top.error("an exercise is wanted; --list prints them")
    one = exercise.load(words[0])
    return answer(one, options) if one.kind == "predict" else solve(one, options)


def print_list(language):
    for one in exercise.all_of_them():
        print(f"{one.name:20} {WORDS[language]['kinds'].format(one.chapter, one.kind):22} {one.title[language]}")
    return 0


def solve(one, options):
    """Judges a program; prints the verdict."""
    begun, words = time.monotonic(), WORDS[options.language]
    verdict = judge.judge(one, program_of(one, options), options.language)
    seconds = time.monotonic() - begun
    if options.json:
        print(json.dumps(as_json(one, verdict, seconds), ensure_ascii=False))
    elif verdict.passed:
        print(f"{one.name}: {words['passed']} ({', '.join(result.scenario for result in verdict.results)})")
    else:
        print_failure(one, verdict, options.language)
    return 0 if verdict.passed else 1


def program_of(one, options):
    if options.bin:
        return rungs.Program(options.bin, rungs.Rung(one.rung).kind.name)
    if one.kind == "build":
        raise Trouble(f"{one.name} needs a program: scripts/grade {one.name} --bin ./mine")
    path = options.source or exercise.file_of(one.name)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        raise Trouble(f"{path} is not there; scripts/grade start {one.name} writes it") from None
    return judge.compiled(one, text, f"exercise-{one.name}")


def print_failure(one, verdict, language):
    words, failure = WORDS[language], verdict.failure
    print(f"{one.name}: {words['failed']}: {failure.message}\n  {words['bytes']} ({failure.scenario}): {failure.seen}")
    if failure.turns:
        print(f"  {words['turns']}:\n" + "".join(f"    {line}\n" for line in failure.turns.splitlines()), end="")
    if failure.files:
        print(f"  {words['page']}: scripts/loop page {' '.join(failure.files)}")
    print(f"  {words['hint']}: {one.hint[language]}")


def as_json(one, verdict, seconds):
    failure = verdict.failure
    return {"exercise": one.name, "kind": one.kind, "chapter": one.chapter, "passed": verdict.passed,
            "message": failure.message if failure else "", "seen": failure.seen if failure else "",
            "witnesses": [{"scenario": result.scenario, "passed": result.passed} for result in verdict.results],
            "seconds": round(seconds, 1)}


def answer(one, options):
    """Asks a question, and compares the answer."""
    language, words = options.language, WORDS[options.language]
    seed = options.seed or str(random.randrange(10**6))
    question = predict.ask(one.name, seed)
    if options.show:
        print(f"{question.text[language]}\n\n{question.why[language]}")
        return 0
    given = options.answer
    if given is None:
        print(f"{question.text[language]}\n(--seed {seed})\n")
        try:
            given = input(f"{words['answer']} ({question.wanted[language]}): ")
        except EOFError:
            raise Trouble("there is no answer") from None
    try:
        numbers = tuple(float(word.replace(",", ".")) for word in given.split())
    except ValueError:
        raise Trouble(f"'{given}': numbers are wanted: {question.wanted[language]}") from None
    passed = question.is_right(numbers)
    if options.json:
        print(json.dumps({"exercise": one.name, "kind": one.kind, "chapter": one.chapter, "passed": passed, "seed": seed,
                          "message": "" if passed else question.why[language]}, ensure_ascii=False))
    else:
        print(f"{words['right'] if passed else words['wrong']}: {question.why[language]}")
    return 0 if passed else 1
