"""What the text of the book includes: `{{#NAME …}}`, alone on its line.

    {{#item tcp_select.rs recv_handler}}               items of a program, by name (examples/, or the project's root for src/)
    {{#both tcp_select recv_handler | handle_read}}    of a rung in Rust and of its Python twin; one list where the names are the same
    {{#golden loop/tcp_mio 1-6}}                       a console: lines of a file in tests/golden
    {{#loop NAME "Caption."}}                          a recording of docs/book/recordings.txt
    {{#figure lab/NAME "Caption."}}                    a picture of docs/img, in the language of the page where it has one
    {{#break RUNG+NAME}}                               a broken rung: the patch, the command, what shows it
    {{#exercise NAME}}                                 an exercise of scripts/grade
"""

import base64
import html
import re
import tomllib
import zlib

from lib import PROJECT, Trouble
from loopkit import broken

from . import items, record, still
from .words import WORDS, witness

LINE = re.compile(r"^\{\{#(\w+) (.*?)\}\}$", re.M)
CAPTION = re.compile(r'(\S+) "(.*)"')
EXERCISES = PROJECT / "scripts" / "gradekit" / "exercises"


class Page:
    """A chapter in one language. `files` collects what has to lie beside it: name → how it is written."""

    def __init__(self, language, name):
        self.language, self.name, self.words = language, name, WORDS[language]
        self.files, self.tabs = {}, 0

    def expand(self, text):
        def replace(match):
            try:
                return getattr(self, f"do_{match[1]}")(match[2])
            except AttributeError as error:
                if f"do_{match[1]}" not in str(error):
                    raise
                problem = "there is no such directive"
            except (Trouble, OSError) as trouble:
                problem = trouble
            line = text[:match.start()].count("\n") + 1
            raise Trouble(f"docs/book/{self.language}/src/{self.name}.md, line {line}: {match[0]}: {problem}") from None
        return LINE.sub(replace, text)

    def do_item(self, words):
        path, *names = split_names(words)
        return self.listing(path, names)

    def do_both(self, words):
        rung, names, twins = rung_and_names(words)
        self.tabs += 1
        python = {"tcp_tokio": "tcp_asyncio", "web_tokio": "web_asyncio"}.get(rung, rung)
        group = f"{self.name}-{self.tabs}"
        rust, python = self.listing(f"{rung}.rs", names), self.listing(f"python/{python}.py", twins)
        tabs = "".join(f'<input type="radio" name="{group}" id="{group}-{kind.lower()}"{checked}>'
                       f'<label for="{group}-{kind.lower()}">{kind}</label>' for kind, checked in (("Rust", " checked"), ("Python", "")))
        return (f'<div class="both">\n{tabs}\n'
                f'<div class="in-rust">\n\n{rust}\n\n</div>\n<div class="in-python">\n\n{python}\n\n</div>\n</div>')

    def listing(self, path, names):
        text = source_of(path).read_text(encoding="utf-8")
        code = "\n\n".join(items.find(path, text, name) for name in names)
        shown = path if path.startswith("src/") else f"examples/{path}"
        kind = "python" if path.endswith(".py") else "rust"
        return f'<p class="file">{shown}</p>\n\n```{kind}\n{code}\n```'

    def do_golden(self, words):
        name, _, span = words.partition(" ")
        lines = (PROJECT / "tests" / "golden" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
        if span:
            first, last = map(int, span.split("-"))
            if not 0 < first <= last <= len(lines):
                raise Trouble(f"{name}.txt has {len(lines)} lines")
            lines = lines[first - 1:last]
        return "```text\n" + "\n".join(lines) + "\n```"

    def do_loop(self, words):
        name, caption = caption_of(words)
        one = record.row(name)
        data = one.data()
        self.files[f"loops/{name}.html"] = data
        contents = [unpacked(recording["data"]) for recording in data["recordings"]]
        picture = still.draw(contents, self.language, caption)
        link = f"loops/{name}.html?lang={self.language}"
        return (f'<figure class="loop">\n{picture}\n<figcaption>{inline(caption)}</figcaption>\n'
                f'<details><summary>{self.words["step"]}</summary>\n'
                f'<iframe loading="lazy" src="{link}" title="{html.escape(caption)}"></iframe></details>\n'
                f'<p><a href="{link}">{self.words["alone"]}</a> · <code>{html.escape(one.command)}</code></p>\n</figure>')

    def do_figure(self, words):
        name, caption = caption_of(words)
        found = [path for suffix in (f".{self.language}.svg", ".svg", f".{self.language}.png", ".png")
                 if (path := PROJECT / "docs" / "img" / f"{name}{suffix}").exists()]
        if not found:
            raise Trouble(f"docs/img has no {name}")
        target = f"img/{name.replace('/', '-')}{found[0].suffix}"
        self.files[target] = found[0]
        return f'<figure>\n<img src="{target}" alt="{html.escape(caption)}">\n<figcaption>{inline(caption)}</figcaption>\n</figure>'

    def do_break(self, name):
        if name not in [*broken.names(), *broken.generators()]:
            raise Trouble("there is no such broken rung")
        one = broken.read(name)
        sees = "; ".join(witness(words, self.language) for words in one.witnesses)
        sentence = one.en if self.language == "en" else one.ru
        return (f'<div class="break">\n\n**{self.words["break"]}** {sentence}\n\n```diff\n{hunks(one.diff)}\n```\n\n'
                f'```sh\n{one.command}\n```\n\n{self.words["shows"]} {sees}.\n\n</div>')

    def do_exercise(self, name):
        about = exercise(name)
        title, task = about["title"][self.language], about["task"][self.language].strip()
        begin = "" if about["kind"] == "predict" else f"scripts/grade start {name}\n"
        options = " --bin ./mine" if about["kind"] == "build" else ""
        return (f'<div class="exercise">\n\n**{self.words["exercise"]} `{name}`: {title}** {task}\n\n'
                f"```sh\n{begin}scripts/grade {name}{options}\n```\n\n</div>")


def exercise(name):
    try:
        return tomllib.loads((EXERCISES / name / "exercise.toml").read_text(encoding="utf-8"))
    except OSError:
        raise Trouble("there is no such exercise") from None


def inline(caption):
    """A caption as HTML; code is between backticks."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(caption, quote=False))


def hunks(diff):
    """The lines of a patch, without its file names and numbers."""
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
    return "\n".join("…" if line.startswith("@@") else line for line in lines).removeprefix("…\n")


def caption_of(words):
    if not (match := CAPTION.fullmatch(words)):
        raise Trouble('a name and a "Caption." are wanted')
    return match.groups()


def split_names(words):
    """A path and names, between spaces; a name with spaces, which begins with `impl`, is between commas."""
    path, _, rest = words.partition(" ")
    names = [[part.strip()] if part.strip().startswith("impl ") else part.split() for part in rest.split(",")]
    return [path, *(name for group in names for name in group)]


def rung_and_names(words):
    rung, *names = split_names(words.partition("|")[0].strip())
    twins = [name.strip() for name in re.split(r"[ ,]+", words.partition("|")[2].strip()) if name]
    return rung, names, twins or names


def source_of(path):
    found = PROJECT / path if path.startswith("src/") else PROJECT / "examples" / path
    if not found.is_file():
        raise Trouble(f"there is no {path}")
    return found


def unpacked(text):
    return zlib.decompress(base64.b64decode(text))
