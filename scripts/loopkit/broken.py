"""Rungs that are broken on purpose: a patch in loopkit/broken, RUNG+NAME.patch, is applied to a copy of the rung.

The copies are built in a mirror of the project below target/loop, which has the same manifests, lock file and sources (links);
its manifests list the copies in place of the rung. So cargo needs no other file, and no network. Any other text in place of a
rung is built in the same way."""

import dataclasses
import functools
import os
import re
import shlex
import shutil
import subprocess

from lib import PROJECT, Trouble

from . import TARGET

PATCHES = PROJECT / "scripts" / "loopkit" / "broken"
MIRROR = TARGET / "broken"
HUNK = re.compile(r"^@@ -\d+(?:,\d+)? \+\d+(?:,\d+)? @@.*\n", re.M)
# The words of a patch's head; the value may go on in lines that begin with two spaces.
NEEDED, POSSIBLE = ("en", "ru", "scenario", "witness"), ("en", "ru", "scenario", "witness", "options")
HEAD = re.compile(r"([a-z]+): (.*(?:\n  .*)*)\n")


@dataclasses.dataclass(frozen=True)
class Broken:
    """What a patch does, in two languages, and how that is seen: the scenario, options of the rung, and the witnesses."""

    name: str
    en: str
    ru: str
    scenario: str
    witnesses: tuple
    options: tuple
    diff: str

    @property
    def whole(self):
        return self.name.partition("+")[0]

    @property
    def path(self):
        """The file that the patch changes."""
        return PROJECT / re.match(r"--- (\S+)", self.diff)[1]

    @property
    def text(self):
        return self.path.read_text(encoding="utf-8")

    @property
    def command(self):
        return f"scripts/loop {self.name}" if self.name in names() else f"scripts/lab show {self.scenario} --generator {self.name}"


def names():
    """The broken rungs."""
    return sorted(set(path.stem for path in PATCHES.glob("*.patch")) - set(generators()))


def generators():
    """The broken load generators: their scenario is an experiment of scripts/lab."""
    return sorted(path.stem for path in PATCHES.glob("stheno_load+*.patch"))


@functools.cache
def read(name):
    head, mark, diff = (PATCHES / f"{name}.patch").read_text(encoding="utf-8").partition("\n---")
    found, rest = {}, head.strip() + "\n"
    while match := HEAD.match(rest):
        found[match[1]] = " ".join(match[2].split())
        rest = rest[match.end():]
    if rest or not mark or not set(NEEDED) <= set(found) <= set(POSSIBLE):
        raise Trouble(f"{name}.patch: the head has the words {', '.join(POSSIBLE)}, and nothing else")
    witnesses = tuple(word.strip() for word in found["witness"].split(";"))
    options = tuple(shlex.split(found.get("options", "")))
    return Broken(name, found["en"], found["ru"], found["scenario"], witnesses, options, "---" + diff)


def example(name):
    return re.sub(r"\W", "_", name)


def source(name):
    return MIRROR / "examples" / f"{example(name)}.rs"


def program(name):
    return PROJECT / "target" / "debug" / "examples" / example(name)


def patched(text, patch, name):
    """The text with the patch of unified diff(1) in it; its lines must be found exactly once each time."""
    for hunk in HUNK.split(patch)[1:]:
        lines = hunk.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] in " -")
        after = "".join(line[1:] for line in lines if line[0] in " +")
        if text.count(before) != 1:
            first = before.strip().splitlines()[0]
            raise Trouble(f"{name}.patch does not fit the rung any more: {first!r} and what follows")
        text = text.replace(before, after)
    return text


def build(wanted):
    """Builds broken rungs, by one call of cargo."""
    build_sources({name: (read(name).whole, patched(read(name).text, read(name).diff, name)) for name in wanted})


def text_of(rung):
    return (PROJECT / "examples" / f"{rung}.rs").read_text(encoding="utf-8")


def write_source(name, rung, text):
    """Writes what is built: a file, or the folder of a program in which the patch changes one file."""
    if name in generators():
        for path in (PROJECT / "examples" / rung).iterdir():
            part = text if path == read(name).path else path.read_text(encoding="utf-8")
            write(MIRROR / "examples" / example(name) / path.name, part)
        return
    # A rung has its own text in it, for the recording.
    write(source(name), text.replace(f'include_str!("{rung}.rs")', f'include_str!("{example(name)}.rs")'))


def build_sources(texts):
    """Builds other texts in place of rungs, by one call of cargo: name → (rung, text). The result is `program(name)`. Raises
    `Trouble` with what the compiler says."""
    if not texts:
        return
    MIRROR.mkdir(parents=True, exist_ok=True)
    for part in ("Cargo.lock", "src", "docs", "README.md", "tests"):
        link(MIRROR / part, PROJECT / part)
    mirror_examples({name: rung for name, (rung, _) in texts.items()})
    for name, (rung, text) in texts.items():
        write_source(name, rung, text)
    words = [word for name in texts for word in ("--example", example(name))]
    command = ["cargo", "build", "--quiet", "--locked", "--manifest-path", str(MIRROR / "Cargo.toml"), "--target-dir",
               str(PROJECT / "target"), *words]
    try:
        done = subprocess.run(command, cwd=MIRROR, check=False, capture_output=True, text=True)
    except OSError as error:
        raise Trouble(f"cargo does not start: {error}") from error
    if done.returncode:
        raise Trouble(f"{', '.join(texts)} cannot be built:\n{done.stderr.strip()}")


def mirror_examples(rungs):
    """Makes the manifests and links to the sources, so that the package of each rung builds what takes its place."""
    for package in ("Cargo.toml", "examples/runtimes/Cargo.toml", "examples/threads/Cargo.toml"):
        text = (PROJECT / package).read_text(encoding="utf-8")
        for rung in sorted(set(rungs.values())):
            line = re.compile(rf'^    \{{ name = "{rung}"(.*)\}},\n', re.M)
            copies = [example(name) for name, whole in rungs.items() if whole == rung]

            def listed(match, rung=rung, copies=copies):
                return "".join(f'    {{ name = "{copy}"{re.sub(rf"/{rung}(?=[./])", f"/{copy}", match[1])}}},\n' for copy in copies)
            text = line.sub(listed, text)
        write(MIRROR / package, text)
    for path in (PROJECT / "examples").iterdir():
        if path.suffix == ".rs" or path.name in ("shared", "stheno_load", "tokio_httpd"):
            link(MIRROR / "examples" / path.name, path)


def write(path, text):
    """Writes the file unless it has this text, so that cargo sees only what has changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        path.unlink()
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def link(path, to):
    if path.is_symlink() or path.exists():
        if path.is_symlink() and os.readlink(path) == str(to):
            return
        path.unlink() if path.is_symlink() or path.is_file() else shutil.rmtree(path)
    path.symlink_to(to)
