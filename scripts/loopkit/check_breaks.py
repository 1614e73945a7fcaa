"""The broken rungs: what their patches promise is found in a recording of them, and not in one of the whole rung."""

import re

from labkit import stall
from lib import PROJECT, Trouble

from . import broken, language, rungs, show, witness
from .promises import need

# Rungs whose "Break it" is no patch, and why.
WITHOUT = {
    "async_server_step1": "it is broken as it is: tests/ladder/steps.rs looks at it",
    "async_server_step2": "it is broken as it is: tests/ladder/steps.rs looks at it",
    "toomanythreads": "it runs into its own limit",
    "tokio_httpd": "what breaks it does not compile",
}


def play(name, of):
    """Plays the scenario of a broken rung on `of`: itself, or the whole rung."""
    about = broken.read(name)
    return show.play(rungs.Rung(of), language.load(about.scenario), options=about.options)


def check_break(name):
    about = broken.read(name)
    run = play(name, name)
    for words in about.witnesses:
        need(witness.found(words, run), f"'{words}' is not found in the broken rung")
    run = play(name, about.whole)
    for words in about.witnesses:
        seen = witness.found(words, run)
        need(not seen, f"'{words}' is found in the whole rung: {seen}")


def check_lines():
    """The line "Break it" of each rung names its broken rung, and examples/README.md does."""
    map_of_rungs = (PROJECT / "examples" / "README.md").read_text(encoding="utf-8")
    for rung in re.findall(r"(?m)^\| \[`(\w+)`\]", map_of_rungs):
        ours = [name for name in broken.names() if broken.read(name).whole == rung]
        line = next(line for line in broken.text_of(rung).splitlines() if line.startswith("//! - Break it: "))
        row = next(line for line in map_of_rungs.splitlines() if line.startswith(f"| [`{rung}`]"))
        if rung in WITHOUT:
            need(not ours, f"{rung} has a broken rung, and a reason to have none")
        else:
            need(any(f"`scripts/loop {name}`" in line for name in ours), f"{rung}: the line 'Break it' names no broken rung")
            need(any(f"`+{name.partition('+')[2]}`" in row for name in ours), f"{rung}: its row on the map names no broken rung")


def check_heads():
    """A head with a missing or an unknown word is refused, as is an unknown witness."""
    for name in broken.names():
        language.load(broken.read(name).scenario)
    try:
        witness.found("client A is happy", None)
    except Trouble:
        return
    raise Trouble("an unknown witness is taken")


PARTS = ({"lines": check_lines, "heads": check_heads} | {name: lambda name=name: check_break(name) for name in broken.names()}
         | {name: lambda name=name: stall.check_break(name) for name in broken.generators()})
