"""Judges a program: plays the scenarios of an exercise with it, and looks at what the recordings and the system calls show."""

import contextlib
import dataclasses
import pathlib
import re

from lib import Trouble
from loopkit import broken, rungs, show, witness
from loopkit import judge as calls

# Seconds that a client waits for anything. A program that is right needs a fraction of one.
PATIENCE = 4.0
# Turns of a recording that are printed after a failure.
TURNS = 10
NO_LOOP = "no wait for several"


class Submission(rungs.Rung):
    """A student's program in place of a rung."""

    def __init__(self, rung, program, text):
        super().__init__(rung)
        self.given, self.text = pathlib.Path(program), text

    @property
    def slug(self):
        return self.given.name

    @property
    def program(self):
        return self.given

    @property
    def source(self):
        return self.text


@dataclasses.dataclass
class Result:
    """Of one witness: whether it is green, what the program does wrong, what was seen, and where the recording is."""

    scenario: str
    passed: bool
    message: str = ""
    seen: str = ""
    files: tuple = ()
    turns: str = ""


@dataclasses.dataclass
class Verdict:
    exercise: str
    results: list

    @property
    def passed(self):
        return bool(self.results) and all(one.passed for one in self.results)

    @property
    def failure(self):
        return next((one for one in self.results if not one.passed), None)


def compiled(exercise, text, label):
    """Builds a student's source; returns the program to judge."""
    broken.build_sources({label: (exercise.rung, text)})
    return Submission(exercise.rung, broken.program(label), text)


def judge(exercise, program, language="en"):
    """Plays all witnesses until one fails. `program` is a `Submission`, or a rungs.Program."""
    rungs.build([], "recording")
    if program.kind.name == "file":
        rungs.make_site()
    verdict = Verdict(exercise.name, [])
    for one in exercise.witnesses:
        verdict.results.append(look(exercise, one, program, language))
        if not verdict.passed:
            break
    return verdict


def look(exercise, one, program, language):
    scenario = exercise.scenario(one.scenario)
    options = [*one.options] if isinstance(program, Submission) else []
    try:
        run = show.play(program, scenario, options=options, patience=PATIENCE)
    except Trouble as trouble:
        return Result(one.scenario, False, one.message[language], str(trouble))
    failures = [f"client {client.name}: {client.failure}" for client in run.clients if client.failure]
    seen = "; ".join(failures[:2]) or next(filter(None, (found(words, run) for words in one.never)), "")
    if not seen:
        return Result(one.scenario, True)
    files = tuple(str(file) for _, _, file in run.pages())
    return Result(one.scenario, False, one.message[language], seen, files, last_turns(files))


def found(words, run):
    """What is seen of something that must not be: by the system calls, or as loopkit.witness has it."""
    verdict = calls.of(run) if run.served else None
    if words == "it blocks":
        return verdict.blocked[0].text(names_of(run)) if verdict.blocked else ""
    if words == "it spins":
        return f"{verdict.spinning} waits within a second had nothing to report" if verdict.spinning > 100 else ""
    if words == "more than one thread":
        more = verdict.threads + verdict.processes
        return f"it has made {more} threads or processes" if more else ""
    if words == NO_LOOP:
        return "" if verdict.loops else f"it waits for one client at a time: {verdict.waits or 'no wait for clients is seen'}"
    return witness.found(words, run)


def names_of(run):
    return {address: client.name for client in run.clients for address in client.addresses}


def last_turns(files):
    """The end of the recordings, as `scripts/loop lines` prints it."""
    for file in files[:1]:
        with contextlib.suppress(Trouble):
            turns = re.split(r"(?m)^(?=turn )", show.recorder("lines", file))
            return "".join(turns[-TURNS:])
    return ""
