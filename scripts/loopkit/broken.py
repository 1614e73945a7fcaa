"""Rungs that are broken on purpose: a patch in loopkit/broken, RUNG+NAME.patch, is applied to a copy of the rung.

The copy is built in a mirror of the project below target/loop, which has the same manifests, lock file and sources (links); one
manifest has the name of the broken rung in place of the rung's. So cargo needs no other file, and no network."""

import os
import re
import shutil
import subprocess

from lib import PROJECT, Trouble

from . import TARGET

PATCHES = PROJECT / "scripts" / "loopkit" / "broken"
MIRROR = TARGET / "broken"
HUNK = re.compile(r"^@@ -\d+(?:,\d+)? \+\d+(?:,\d+)? @@.*\n", re.M)


def names():
    return sorted(path.stem for path in PATCHES.glob("*.patch"))


def example(name):
    return name.replace("+", "_")


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


def build(name):
    """Makes the mirror and the patched source, and has cargo build it. A source that has not changed is not written."""
    whole = name.partition("+")[0]
    MIRROR.mkdir(parents=True, exist_ok=True)
    for part in ("Cargo.lock", "src", "docs", "README.md", "tests"):
        link(MIRROR / part, PROJECT / part)
    mirror_examples(whole, name)
    rung = (PROJECT / "examples" / f"{whole}.rs").read_text(encoding="utf-8")
    text = patched(rung, (PATCHES / f"{name}.patch").read_text(encoding="utf-8"), name)
    # A rung has its own text in it, for the recording.
    text = text.replace(f'include_str!("{whole}.rs")', f'include_str!("{example(name)}.rs")')
    write(source(name), text)
    command = ["cargo", "build", "--locked", "--manifest-path", str(MIRROR / "Cargo.toml"),
               "--target-dir", str(PROJECT / "target"), "--example", example(name)]
    try:
        subprocess.run(command, cwd=MIRROR, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Trouble(f"{name} cannot be built: {error}") from error


def mirror_examples(whole, name):
    """Makes the manifests and links to the sources, so that the package of the rung builds the broken one instead."""
    found = 0
    for package in ("Cargo.toml", "examples/runtimes/Cargo.toml", "examples/threads/Cargo.toml"):
        text = (PROJECT / package).read_text(encoding="utf-8")
        found += text.count(f'{{ name = "{whole}"')
        text = text.replace(f'{{ name = "{whole}"', f'{{ name = "{example(name)}"').replace(f"/{whole}.rs", f"/{example(name)}.rs")
        write(MIRROR / package, text)
    if found != 1:
        raise Trouble(f"{found} manifests list the rung {whole}")
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
