"""An exercise: what is asked, and what is looked at. A folder with exercise.toml, starter.patch, and scenarios of its own."""

import dataclasses
import pathlib
import tomllib

from lib import Trouble
from loopkit import broken, language

from . import EXERCISES, SOLUTIONS


@dataclasses.dataclass(frozen=True)
class Witness:
    """A scenario in which every client has to get what it expects, and what must not be seen in it; `message` says what a program
    that fails does wrong."""

    scenario: str
    never: tuple
    message: dict
    options: tuple


@dataclasses.dataclass(frozen=True)
class Exercise:
    """`rung` is the program that is to be mended, or that a question is about. The starter of a mend exercise fails the first
    witness, and no other."""

    name: str
    kind: str
    chapter: int
    rung: str
    title: dict
    task: dict
    hint: dict
    witnesses: tuple

    def scenario(self, name):
        own = EXERCISES / self.name / f"{name}.txt"
        return language.load(str(own) if own.exists() else name)

    def starter(self):
        """The source that a student begins with."""
        return self.patched(broken.text_of(self.rung), EXERCISES / self.name / "starter.patch")

    def solution(self):
        return self.patched(self.starter(), SOLUTIONS / f"{self.name}.patch")

    def wrong(self):
        """A plausible attempt that fails: its source, the scenario that it fails, and a part of what is said of it."""
        path = SOLUTIONS / "wrong" / f"{self.name}.patch"
        head = dict(line.split(": ", 1) for line in path.read_text(encoding="utf-8").partition("\n---")[0].strip().splitlines())
        return self.patched(self.starter(), path), head["fails"], head["sees"]

    def patched(self, text, path):
        return broken.patched(text, path.read_text(encoding="utf-8"), f"{self.name}/{path.stem}")


def names():
    return sorted(path.parent.name for path in EXERCISES.glob("*/exercise.toml"))


def load(name):
    if name not in names():
        raise Trouble(f"there is no exercise '{name}'; scripts/grade --list prints them")
    try:
        about = tomllib.loads((EXERCISES / name / "exercise.toml").read_text(encoding="utf-8"))
        witnesses = tuple(Witness(one["scenario"], tuple(one.get("never", ())), one["message"], tuple(one.get("options", ())))
                          for one in about.get("witness", ()))
        return Exercise(name, about["kind"], about["chapter"], about["rung"], about["title"], about["task"], about["hint"], witnesses)
    except (KeyError, tomllib.TOMLDecodeError) as error:
        raise Trouble(f"the exercise {name} is not in order: {error}") from error


def all_of_them():
    """In the order of the chapters."""
    return sorted(map(load, names()), key=lambda one: (one.chapter, one.name))


def file_of(name, folder="."):
    """Where a student works."""
    return pathlib.Path(folder) / "exercises" / f"{name}.rs"


def start(exercise, words, folder="."):
    """Writes the file that is to be mended; returns what to do next."""
    if exercise.kind != "mend":
        return f"{exercise.task[words]}\n\n    scripts/grade {exercise.name}" + (" --bin ./mine" if exercise.kind == "build" else "")
    path = file_of(exercise.name, folder)
    path.parent.mkdir(exist_ok=True)
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(exercise.starter())
    except FileExistsError:
        raise Trouble(f"{path} is there already: move it away to begin again") from None
    return f"{exercise.task[words]}\n\n    {path}\n    scripts/grade {exercise.name}"
