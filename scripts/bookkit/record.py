"""The recordings that the book shows: docs/book/recordings.txt says of which rung and scenario, docs/book/recordings has them."""

import dataclasses
import functools
import json

from lib import Trouble
from loopkit import broken, language, page, rungs, show

from . import BOOK


@dataclasses.dataclass(frozen=True)
class Row:
    """A recording: its name, the rung or broken rung, the scenario, and options of the rung."""

    name: str
    rung: str
    scenario: str
    options: tuple

    @property
    def command(self):
        words = [f"scripts/loop {self.rung}"]
        if not ("+" in self.rung and broken.read(self.rung).scenario == self.scenario):
            words.append(f"--scenario {self.scenario}")
        return " ".join([*words, *(["--", *self.options] if self.options else [])])

    @property
    def file(self):
        return BOOK / "recordings" / f"{self.name}.json"

    def data(self):
        """What the player's page has in it."""
        try:
            return json.loads(self.file.read_text(encoding="utf-8"))
        except OSError:
            raise Trouble(f"there is no recording {self.name}: scripts/book record {self.name}") from None


@functools.cache
def rows():
    found = {}
    for line in (BOOK / "recordings.txt").read_text(encoding="utf-8").splitlines():
        words = line.partition("#")[0].split()
        if words:
            if len(words) < 3 or words[0] in found:
                raise Trouble(f"recordings.txt: '{line}': a new NAME, a RUNG, a SCENARIO and options are wanted")
            found[words[0]] = Row(words[0], words[1], words[2], tuple(words[3:]))
    return found


def row(name):
    if name not in rows():
        raise Trouble(f"recordings.txt has no recording '{name}'")
    return rows()[name]


def source_now(one):
    """The text that the rung has now."""
    whole, _, patch = one.rung.partition("+")
    if whole.startswith("python/"):
        return (BOOK.parents[1] / "examples" / f"{whole}.py").read_text(encoding="utf-8")
    text = broken.text_of(whole)
    if patch:
        text = broken.patched(text, broken.read(one.rung).diff, one.rung)
    return text.replace(f'include_str!("{whole}.rs")', f'include_str!("{broken.example(one.rung)}.rs")')


def record(options):
    """`scripts/book record [NAME …]`."""
    wanted = [row(name) for name in options.names] or list(rows().values())
    rungs.build([rungs.of(one.rung) for one in wanted], "recording")
    (BOOK / "recordings").mkdir(exist_ok=True)
    for one in wanted:
        rung = rungs.of(one.rung)
        run = show.play(rung, language.load(one.scenario), options=one.options)
        pages = list(run.pages())
        data = {
            "recordings": [{"title": title, "command": one.command, "source": rung.source or "", "data": page.packed(content)}
                           for title, content, _ in pages],
            "findings": [show.findings(file) for _, _, file in pages], "live": False, "scenarios": [],
        }
        one.file.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        print(f"{one.name}: {len(pages)} recording{'s' * (len(pages) > 1)}, {one.file.stat().st_size / 1024:.0f} KiB")
