"""Probes: which page is sent, with which header fields, as which type."""

import re

from .verdict import check, feature, no, partly, shares, yes

PAGES, HEADERS = "Pages", "Headers and types"


@feature(PAGES, "`index.html` for a folder, without an option")
def index(stage):
    """`/app/` is the page of its `index.html`."""
    return check("This is app/index.html" in stage.running().ask("/app/").text)


@feature(PAGES, "another name of the index", "index", needs=True)
def index_name(stage):
    """`/own/` is the page of its `home.htm`."""
    return check("This is own/home.htm" in stage.running("index").ask("/own/").text)


@feature(PAGES, "fallback for history routing", "spa", needs=True)
def spa(stage):
    """`/some/route` is the page of `index.html` with status 200; `/assets/missing.js` is 404."""
    running = stage.running("spa")
    found = running.ask("/some/route", "Accept: text/html")
    if found.status != 200 or "This is index.html" not in found.text:
        return no()
    missing = running.ask("/assets/missing.js", "Accept: */*")
    return yes() if missing.status == 404 else partly(f"a missing `.js` is {missing.status} with HTML")


@feature(PAGES, "an error page of one's own", "error_page")
def error_page(stage):
    """A missing name is 404 with a page of the folder: that of an option for it, or `404.html`."""
    found = stage.running("error_page").ask("/nothing-here", "Accept: text/html")
    return check(found.status == 404 and "This is own404.html" in found.text)


@feature(PAGES, "`/about` is `about.html`", "clean")
def clean(stage):
    """`/about` is 200 with the page of `about.html`."""
    found = stage.running("clean").ask("/about")
    return check(found.status == 200 and "This is about.html" in found.text)


@feature(PAGES, "a redirect survives a prefix that a proxy removed")
def redirect(stage):
    """`/sub` leads to `./sub/` or `sub/`, not to `/sub/`, which would be another page behind `location /app/`."""
    where = stage.running("listing").ask("/sub").get("location")
    if not where:
        return no("no redirect")
    return check(not where.startswith("/") and "://" not in where, f"`{re.sub(r':[0-9]{2,5}', ':…', where)}`")


@feature(HEADERS, "a header field of one's own", "header", needs=True)
def header(stage):
    """`X-Test: 1` in the response for a file."""
    return check(stage.running("header").ask("/app.js").get("x-test") == "1")


@feature(HEADERS, "CORS for readers of ranges", "cors", needs=True)
def cors(stage):
    """`GET` with `Origin` has `Access-Control-Allow-Origin` and exposes `Content-Range`; a preflight allows `Range`."""
    running, origin = stage.running("cors"), "Origin: https://app.example"
    got = running.ask("/data.bin", origin, "Range: bytes=0-9")
    asked = running.ask("/data.bin", origin, "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: range",
                        method="OPTIONS")

    def has(found, name, word):
        values = found.get(f"access-control-{name}").lower().replace(" ", "").split(",")
        return word in values or "*" in values
    return shares((has(got, "allow-origin", "https://app.example"), "no `Allow-Origin`"),
                  (has(got, "expose-headers", "content-range"), "`Content-Range` not exposed"),
                  (asked.status in (200, 204) and has(asked, "allow-headers", "range"), "no preflight for `Range`"))


@feature(HEADERS, "a cache rule for some names", "cache", needs=True)
def cache(stage):
    """`app.js` is `immutable` by a rule for `*.js`, and `index.html` is not."""
    running = stage.running("cache")
    return check("immutable" in running.ask("/app.js").get("cache-control")
                 and "immutable" not in running.ask("/about.html").get("cache-control"))


@feature(HEADERS, "the type of an extension", "mime", needs=True)
def mime(stage):
    """`a.foo` is `application/x-foo`, `a.json` still JSON."""
    running = stage.running("mime")
    return check("application/x-foo" in running.ask("/types/a.foo").get("content-type")
                 and "json" in running.ask("/types/a.json").get("content-type"))


@feature(HEADERS, "listings and error pages are locked down by themselves", "listing")
def locked(stage):
    """The listing of `/plain/` and the page of a 404 have `X-Content-Type-Options` and `Content-Security-Policy`."""
    running = stage.running("listing")
    pages = [running.ask(path, "Accept: text/html") for path in ("/plain/", "/nothing-here")]
    return shares((all(page.get("x-content-type-options") == "nosniff" for page in pages), "no `nosniff`"),
                  (all(page.get("content-security-policy") for page in pages), "no CSP"))


@feature(HEADERS, "UTF-8 text is declared so", "charset")
def utf8(stage):
    """`utf8.txt` has `charset=utf-8`."""
    return check("utf-8" in stage.running("charset").ask("/utf8.txt").get("content-type").lower())


@feature(HEADERS, "… and windows-1251 text is not", "charset")
def cp1251(stage):
    """`cp1251.txt` and `cp1251.html` have no `charset=utf-8`, with the same options."""
    kinds = [(name, stage.running("charset").ask(f"/cp1251.{name}").get("content-type").lower()) for name in ("txt", "html")]
    return shares(*(("utf-8" not in kind and kind, name) for name, kind in kinds), word="not ")


@feature(HEADERS, "sources are shown, not downloaded")
def sources(stage):
    """`Dockerfile`, `main.rs`, `run.sh`, `notes.md` and `LICENSE` are `text/…`, or have no type: browsers show such text."""
    running = stage.running()

    def shown(name):
        kind = running.ask(f"/text/{name}").get("content-type")
        return kind.startswith("text/") or not kind
    names = ("Dockerfile", "main.rs", "run.sh", "notes.md", "LICENSE")
    return shares(*((shown(name), f"`{name}`") for name in names), word="not ")


TYPES = {"a.mjs": "text/javascript", "a.wasm": "application/wasm", "a.avif": "image/avif", "a.woff2": "font/woff2",
         "a.webmanifest": "application/manifest+json", "a.json": "application/json", "a.svg": "image/svg+xml",
         "a.jxl": "image/jxl", "a.m4a": "audio/"}


@feature(HEADERS, "types that browsers insist on")
def types(stage):
    """`.mjs .wasm .avif .woff2 .webmanifest .json .svg .jxl .m4a` have their types."""
    running = stage.running()

    def right(name, wanted):
        kind = running.ask(f"/types/{name}").get("content-type")
        return kind.startswith(wanted) or (name == "a.mjs" and "javascript" in kind)
    return shares(*((right(name, kind), f"`{name[1:]}`") for name, kind in TYPES.items()), word="not ")
