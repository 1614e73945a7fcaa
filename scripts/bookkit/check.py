"""`scripts/book check`: both languages say the same, text and code have not parted, words are defined, links lead somewhere."""

import collections
import html.parser
import re
import shutil
import urllib.parse

from lib import Progress
from loopkit import browser, check_page

from . import BOOK, CHAPTERS, LANGUAGES, OTHERS, TARGET, build, check_items, page, record
from .directives import LINE

FENCE = re.compile(r"^```(\w*)\n.*?^```$", re.M | re.S)
# A number, with the commas, points and spaces inside of it.
NUMBER = re.compile(r"(?<![\w.,])\d{1,3}(?:[ \u00a0\u202f,]\d{3})+(?![\d])|\d+(?:[.,]\d+)*")
QUOTE = '"'
DEFINED = re.compile(r"<dfn>(.*?)</dfn>", re.S)


def text_of(language, name):
    return page(language, name).read_text(encoding="utf-8")


def prose(text):
    """The text without code, consoles and directives."""
    return LINE.sub("", FENCE.sub("", text))


def directives(text):
    """Every directive, without its caption."""
    return [f"{match[1]} {match[2].split(QUOTE)[0].strip()}" for match in LINE.finditer(text)]


def figures(text):
    """The numbers of a text as digits alone: `44,600` is `44 600`, and `0.3` is `0,3`."""
    without = re.sub(r"<[^>]*>|\]\([^)]*\)|`[^`]*`", " ", prose(text))
    return collections.Counter(re.sub(r"\D", "", one) for one in NUMBER.findall(without))


def check_files():
    """Both languages have the same chapters, and a line in the summary for each."""
    for language in LANGUAGES:
        there = {path.stem for path in (BOOK / language / "src").glob("*.md")} - {"SUMMARY"}
        if there != {*CHAPTERS, *OTHERS}:
            yield f"{language}: {sorted(there ^ {*CHAPTERS, *OTHERS})} are missing, or too many"
        listed = re.findall(r"\(([\w-]+)\.md\)", text_of(language, "SUMMARY"))
        if listed != ["index", *CHAPTERS, "teacher"]:
            yield f"{language}: SUMMARY.md lists {listed}"


def check_twins(name):
    """The same directives in the same order, the same consoles, the same figures."""
    one, other = (text_of(language, name) for language in LANGUAGES)
    for left, right in zip(directives(one) + [None], directives(other) + [None]):
        if left != right:
            yield f"{name}: English includes '{left}' where Russian includes '{right}'"
            break
    commands = [[line for fence in re.findall(r"(?ms)^```sh\n(.*?)^```$", text) for line in fence.splitlines()
                 if not line.startswith("#")] for text in (one, other)]
    commands = [[line.partition("  #")[0].rstrip() for line in lines] for lines in commands]
    if commands[0] != commands[1]:
        yield f"{name}: the commands differ: {[pair for pair in zip(*commands) if pair[0] != pair[1]][:1] or 'one has more'}"
    ours, theirs = figures(one), figures(other)
    if ours != theirs:
        only = [sorted(one.elements()) for one in (ours - theirs, theirs - ours)]
        yield f"{name}: numbers only in English: {only[0]}, only in Russian: {only[1]}"


def check_chapter(language, name):
    """A chapter has a question, a recording, a break and an exercise; code is included, and not copied."""
    text = text_of(language, name)
    for kind in FENCE.findall(text):
        if kind not in ("sh", "text", "toml"):
            yield f"{language}/{name}: a block of '{kind}' that no directive includes"
    if name in OTHERS:
        return
    kinds = collections.Counter(match[1] for match in LINE.finditer(text))
    for kind in ("loop", "break", "exercise"):
        if not kinds[kind]:
            yield f"{language}/{name} has no '{kind}'"
    if not kinds["item"] + kinds["both"]:
        yield f"{language}/{name} shows no code"
    if len(re.findall(r"(?m)^> .*\?$", text)) != 1 or not re.match(r"# .*\n\n> ", text):
        yield f"{language}/{name} does not begin with one question"


def check_words():
    """Every word of words.txt is defined in the paragraph in which it first comes, or before it."""
    for line in (BOOK / "words.txt").read_text(encoding="utf-8").splitlines():
        patterns = [one.strip() for one in line.split("|")]
        if len(patterns) != 2:
            yield f"words.txt: '{line}' is no pair of English and Russian"
            continue
        for language, pattern in zip(LANGUAGES, patterns):
            yield from check_word(language, re.compile(rf"(?<!\w){pattern}", re.I))


def check_word(language, pattern):
    for name in CHAPTERS:
        for paragraph in prose(text_of(language, name)).split("\n\n"):
            if paragraph.startswith(("#", ">")):
                continue
            flat = " ".join(paragraph.split())
            if any(pattern.match(word) for word in map(str.strip, DEFINED.findall(flat))):
                return
            if pattern.search(re.sub(r"`[^`]*`", "", flat)):
                yield f"{language}/{name}: '{pattern.pattern[6:]}' is used before it is defined: {flat[:80]} …"
                return
    yield f"{language}: '{pattern.pattern[6:]}' is defined nowhere"


def check_recordings():
    """Every recording is used, and shows the source that the rung has now."""
    used = {match[2].split()[0] for name in CHAPTERS for match in LINE.finditer(text_of("en", name)) if match[1] == "loop"}
    for one in record.rows().values():
        if one.name not in used:
            yield f"no chapter shows the recording {one.name}"
        if one.data()["recordings"][0]["source"] != record.source_now(one):
            yield f"the rung of the recording {one.name} has changed: scripts/book record {one.name}"


class Links(html.parser.HTMLParser):
    """The links and the ids of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.ids = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.links.append(value)
            elif name == "id":
                self.ids.add(value)


def check_links():
    """Links inside of the book lead somewhere; a page loads nothing from elsewhere."""
    paths = [path for language in LANGUAGES for path in (TARGET / language).glob("*.html")]
    pages = {path: Links(path.read_text(encoding="utf-8")) for path in paths}
    for path, found in pages.items():
        for link in found.links:
            where = urllib.parse.urlsplit(link)
            if where.scheme or where.netloc or path.name in ("print.html", "toc.html", "404.html"):
                continue
            target = (path.parent / urllib.parse.unquote(where.path)).resolve() if where.path else path
            if not target.exists():
                yield f"{path.relative_to(TARGET)}: {link} leads nowhere"
            elif where.fragment and target in pages and urllib.parse.unquote(where.fragment) not in pages[target].ids:
                yield f"{path.relative_to(TARGET)}: {link}: there is no such part"


def check_browser():
    """The pages open without a message on the console, and ask for nothing elsewhere; no page is wider than a phone."""
    if not browser.program():
        print("no Chromium is here, and the pages were not opened")
        return
    with browser.Browser() as window:
        for width in (1400, 390):
            window.resize(width)
            for path in (TARGET / language / f"{name}.html" for language in LANGUAGES for name in (*OTHERS, *CHAPTERS)):
                window.troubles.clear()
                window.requests.clear()
                window.load(f"file://{path}")
                yield from check_page.troubles(window, f"{path.parent.name}/{path.name}")
                if (wide := window.run("document.documentElement.scrollWidth")) > width:
                    yield f"{path.parent.name}/{path.name}: {wide} points wide on a screen of {width}"


def check(_):
    """Prints everything that is wrong; returns 1 if anything is."""
    shutil.rmtree(TARGET, ignore_errors=True)
    build.build()
    parts = [("items", check_items.check), ("files", check_files), ("words", check_words), ("recordings", check_recordings),
             ("links", check_links), ("browser", check_browser)]
    parts += [(name, lambda name=name: check_twins(name)) for name in (*OTHERS, *CHAPTERS)]
    parts += [(f"{language}/{name}", lambda language=language, name=name: check_chapter(language, name))
              for language in LANGUAGES for name in (*OTHERS, *CHAPTERS)]
    progress, wrong = Progress(), 0
    for name, part in parts:
        progress.show(name)
        for problem in part() or ():
            wrong += 1
            progress.done(f"FAILED {problem}")
    progress.show()
    print(f"scripts/book check: {len(parts)} checks, {wrong} problems")
    return 1 if wrong else 0

