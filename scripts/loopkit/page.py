"""The page of recordings: one HTML file that needs nothing else. Its parts are in src/recording/player."""

import base64
import hashlib
import html
import json
import pathlib
import zlib

PLAYER = pathlib.Path(__file__).resolve().parents[2] / "src" / "recording" / "player"
# In this order: each part uses those before it.
SCRIPTS = ("format", "model", "words_en", "words_ru", "words", "phrases_en", "phrases_ru", "calls", "sentences", "colours",
           "overview", "closeup", "ring", "panels", "ask", "compare", "live", "player", "controls", "main")


def make(recordings, out, findings=None, live=False, scenarios=()):
    """Writes the page. `recordings`: of each its title, the bytes of its file, the source of its program or None, and the
    command that made it. `findings`: a list for each recording. `scenarios`: names, or {name, about}, for a live page."""
    data = {
        "recordings": [{"title": title, "command": command or "", "source": source or "", "data": packed(content)}
                       for title, content, source, command in recordings],
        "findings": findings or [], "live": live, "scenarios": list(scenarios),
    }
    pathlib.Path(out).write_text(assemble(recordings[0][0] if recordings else "stheno", data), encoding="utf-8")


def packed(content):
    return base64.b64encode(zlib.compress(content, 9)).decode()


def assemble(title, data):
    style = (PLAYER / "style.css").read_text(encoding="utf-8")
    parts = [(PLAYER / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    script = "\n\"use strict\";\n(() => {\n" + "\n".join(parts) + "\n})();\n"
    page = (PLAYER / "page.html").read_text(encoding="utf-8")
    values = {
        "title": html.escape(title), "policy": policy(script, style, data["live"]), "style": style, "script": script,
        # Inside of a script element only `</` and `<!--` could end it or change its meaning.
        "data": json.dumps(data, ensure_ascii=False).replace("<", "\\u003c"),
    }
    head, *rest = page.split("{{")
    return head + "".join(values[name] + text for name, _, text in (part.partition("}}") for part in rest))


def policy(script, style, live):
    """The Content-Security-Policy: this script, this style, and nothing else."""
    def digest(text):
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    rules = ["default-src 'none'", f"script-src {digest(script)}", f"style-src {digest(style)}", "img-src data:",
             "base-uri 'none'", "form-action 'none'"]
    return "; ".join(rules + (["connect-src 'self'"] if live else []))
