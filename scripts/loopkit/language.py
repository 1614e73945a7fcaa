"""The language of scenarios. docs/LOOPS.md describes it.

A file is a comment with one sentence about the scenario, lines of its head (`fits`, `without`, `A is 64 clients`), and
lines of steps: the names of clients, and what each of them does, in order."""

import dataclasses
import pathlib
import re

from lib import Trouble

from . import SCENARIOS

TEXT = r'"(?P<text>(?:\\.|[^"\\])*)"'
BYTES = r"(?P<number>\d+) bytes"
WITHIN = r"(?: within (?P<within>\d+) ms)?"
# Verb → the rest of the step. Of two verbs that begin alike, the longer one comes first.
STEPS = {
    "connect": "",
    "ask": rf"(?: {BYTES})?(?: in (?P<pieces>\d+) pieces (?P<apart>\d+) ms apart)?",
    "answer": WITHIN,
    "send endless": rf" {BYTES}",
    "send": rf" (?:{TEXT}|{BYTES})",
    "expect end": WITHIN,
    "expect": rf" (?:{TEXT}|{BYTES}){WITHIN}",
    "pause": r" (?P<number>\d+) ms",
    "wait until stuck": "",
    "wait until accepted": "",
    "wait for all": "",
    "wait for": r" (?P<label>[a-z][a-z-]*)",
    "say": r" (?P<label>[a-z][a-z-]*)",
    "stop reading": "",
    "read on": "",
    "receive buffer": rf" {BYTES}",
    "half-close": "",
    "reset": "",
    "close": "",
    "freeze": "",
    "thaw": "",
}
PATTERNS = {verb: re.compile(f"{re.escape(verb)}{rest}") for verb, rest in STEPS.items()}
GROUP = re.compile(r"([A-Z]+) is (\d+) clients(?:, (\d+) at a time)?")
NAMES = re.compile(r"((?:[A-Z]+ )+)(.*)")
# A step: anything up to a comma or a comment that no text contains.
PIECE = re.compile(r'\s*((?:"(?:\\.|[^"\\])*"|[^",#])+)')
KINDS = "echo", "web", "file"
ESCAPES = {"n": b"\n", "r": b"\r", "t": b"\t", "0": b"\0"}


@dataclasses.dataclass(frozen=True)
class Step:
    """One thing that a client does. `within` and `apart` are milliseconds."""

    verb: str
    line: int
    text: bytes = None
    number: int = None
    pieces: int = 1
    apart: int = 0
    within: int = None
    label: str = None


@dataclasses.dataclass
class Group:
    """Clients that do the same; most groups have one. `at_once` of them run at the same time."""

    name: str
    count: int = 1
    at_once: int = 0
    steps: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Scenario:
    name: str
    about: str
    fits: tuple = KINDS
    without: dict = dataclasses.field(default_factory=dict)
    groups: dict = dataclasses.field(default_factory=dict)

    def misfit(self, rung):
        """The reason why a rung cannot play this; None where it can."""
        for word in (rung.name, rung.whole, *sorted(rung.traits)):
            if reason := self.without.get(word):
                return reason
        return None if {rung.name, rung.whole, rung.kind.name} & set(self.fits) else f"it is for {' and '.join(self.fits)}"

    @property
    def clients(self):
        return sum(group.count for group in self.groups.values())


def unescape(text):
    r"""The bytes of a text with \n, \r, \t, \0, \", \\ and \x41."""
    parts = re.split(r"\\(x[0-9a-fA-F]{2}|.)", text)
    # Every second part is what stood after a backslash.
    return b"".join(escaped(part) if at % 2 else part.encode() for at, part in enumerate(parts))


def escaped(word):
    return bytes.fromhex(word[1:]) if len(word) == 3 else ESCAPES.get(word, word.encode())


def parse(text, name, most=None):
    """A scenario from its text; `most` is the largest number of clients that a group may have, and makes it smaller."""
    scenario = Scenario(name, "")
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if line.startswith("#"):
            scenario.about = scenario.about or line.lstrip("# ")
        elif line:
            try:
                read_line(scenario, line, number, most)
            except ValueError as error:
                raise Trouble(f"{name}, line {number}: {error}") from None
    steps = [step for group in scenario.groups.values() for step in group.steps]
    said = {step.label for step in steps if step.verb == "say"}
    for step in steps:
        if step.verb == "wait for" and step.label not in said:
            raise Trouble(f"{name}, line {step.line}: no client says '{step.label}'")
    if not scenario.about or not steps:
        raise Trouble(f"{name}: a scenario begins with a comment that describes it, and has steps")
    return scenario


def read_line(scenario, line, number, most):
    word, _, rest = line.partition(" ")
    if word == "fits":
        scenario.fits = tuple(rest.split())
    elif word == "without":
        rung, _, reason = rest.partition(": ")
        scenario.without[rung] = reason
    elif match := GROUP.fullmatch(line.partition("#")[0].strip()):
        count, at_once = int(match[2]), int(match[3] or 0)
        scenario.groups[match[1]] = Group(match[1], min(count, most or count), at_once)
    elif match := NAMES.fullmatch(line):
        for name in match[1].split():
            group = scenario.groups.setdefault(name, Group(name))
            group.steps += read_steps(match[2], number)
    else:
        raise ValueError(f"'{line}' is neither a head nor the steps of a client")


def read_steps(text, number):
    at = 0
    while match := PIECE.match(text, at):
        yield read_step(" ".join(match[1].split()) if '"' not in match[1] else match[1].strip(), number)
        at = match.end() + 1
        if text[match.end():match.end() + 1] in ("", "#"):
            return
    raise ValueError(f"a step is missing in '{text}'")


def read_step(text, number):
    for verb, pattern in PATTERNS.items():
        if match := pattern.fullmatch(text):
            found = {key: value for key, value in match.groupdict().items() if value is not None}
            text = found.pop("text", None)
            label = found.pop("label", None)
            numbers = {key: int(value) for key, value in found.items()}
            return Step(verb, number, text=None if text is None else unescape(text), label=label, **numbers)
    raise ValueError(f"there is no step '{text}'")


def names():
    return sorted(path.stem for path in SCENARIOS.glob("*.txt"))


def load(name, most=None):
    """The scenario of this name, or the one in the file of this path."""
    path = SCENARIOS / f"{name}.txt"
    try:
        if not path.exists() and not name.endswith(".txt"):
            raise Trouble(f"there is no scenario '{name}'; scripts/loop --list prints them")
        path = path if path.exists() else pathlib.Path(name)
        return parse(path.read_text(encoding="utf-8"), path.stem, most)
    except (OSError, UnicodeDecodeError) as error:
        raise Trouble(f"{name} cannot be read: {error}") from error
