"""Probes: listings of folders."""

import base64
import contextlib
import html
import json
import re
import urllib.parse

from . import folder
from .verdict import check, feature, no, shares, told, yes

GROUP = "Listings"
PLAIN = ("file1", "file2", "file10")


def links(text):
    """The targets of the links of a page."""
    pairs = re.findall(r"""<a\b[^>]*?href=(?:"([^"]*)"|'([^']*)')""", text, re.I)
    return [html.unescape(one) for pair in pairs for one in pair if one]


def shown(text):
    """The text of a page, with what it hands to its script in base64."""
    for word in re.findall(r"[A-Za-z0-9+/]{100,}={0,2}", text):
        with contextlib.suppress(ValueError):
            text += base64.b64decode(word + "=" * (-len(word) % 4)).decode(errors="replace")
    return text


def positions(text, names):
    """Where the links to these names begin; -1 for a name that is not linked."""
    text = html.unescape(text)
    found = (re.search(rf"""href=["'](?:[^"']*/)?{name}["'?]""", text) for name in names)
    return [match.start() if match else -1 for match in found]


@feature(GROUP, "lists a folder without an index", "listing")
def listing(stage):
    """`/plain/`, which has no index, is 200 and names its files."""
    found = stage.running("listing").ask("/plain/")
    return check(found.status == 200 and all(name in shown(found.text) for name in PLAIN))


@feature(GROUP, "… without an option")
def by_default(stage):
    """The same, without any option."""
    found = stage.running().ask("/plain/")
    return check(found.status == 200 and "file10" in shown(found.text))


@feature(GROUP, "no listing: the page says how to get one", "no_listing")
def hint(stage):
    """With listings off, the page of `/plain/` names the option that turns them on."""
    found = stage.running("no_listing").ask("/plain/", "Accept: text/html")
    if found.status == 200 and "file10" in shown(found.text):
        return told("always lists")
    return check(re.search(r"--[a-z-]*(listing|index|browse)|autoindex", found.text))


@feature(GROUP, "works without a script", "listing")
def scriptless(stage):
    """The names are links in the HTML itself."""
    text = stage.running("listing").ask("/plain/").text
    return check(min(positions(text, PLAIN)) >= 0, "made by a script" if "<script" in text else "")


@feature(GROUP, "sorted by size with a link", "listing")
def sort(stage):
    """A link of the listing with a query, followed, gives the order of sizes, which is not that of names."""
    running = stage.running("listing")
    text = running.ask("/plain/").text
    by_size = ["file10", "file2", "file1"]
    for link in dict.fromkeys(links(text)):
        if "?" in link:
            target = urllib.parse.urlsplit(urllib.parse.urljoin("http://localhost/plain/", link))
            places = positions(running.ask(f"{target.path}?{target.query}").text, by_size)
            if min(places) >= 0 and places in (sorted(places), sorted(places, reverse=True)):
                return yes()
    return no()


@feature(GROUP, "file2 before file10", "listing")
def natural(stage):
    """The order of the links in `/plain/`."""
    places = positions(stage.running("listing").ask("/plain/").text, PLAIN)
    if min(places) < 0:
        return no("no listing, or one by a script")
    return check(places in (sorted(places), sorted(places, reverse=True)))


@feature(GROUP, "as JSON", "listing", "json")
def as_json(stage):
    """`Accept: application/json`, `?format=json` or `?json` gives JSON with the three names."""
    for keys in (("json",), ("listing",)):
        running = stage.running(*keys)
        for path, field in (("/plain/", "application/json"), ("/plain/?format=json", "*/*"), ("/plain/?json", "*/*")):
            try:
                text = json.dumps(json.loads(running.ask(path, f"Accept: {field}").body))
            except ValueError:
                continue
            if all(name in text for name in PLAIN):
                return yes()
    return no()


@feature(GROUP, "20,000 names: all there", "listing")
def many(stage):
    """The listing of a folder of 20,000 files names each, or says by its status that it does not."""
    found = stage.running("listing").ask("/many/", patience=60)
    count = len(set(re.findall(r"\bn\d{5}\b", shown(found.text))))
    if count == folder.MANY:
        return yes()
    return no(f"{count:,} with status {found.status}" if found.status != 404 else "")


@feature(GROUP, "20,000 names: with sizes", "listing")
def many_sizes(stage):
    """The same listing has a size for each name (4,321 bytes)."""
    text = shown(stage.running("listing").ask("/many/", patience=60).text)
    if len(set(re.findall(r"\bn\d{5}\b", text))) < folder.MANY:
        return no("not all names")
    count = len(re.findall(r"(?<![\d.])(?:4[,. ]?321|4[.,][23]\d?)(?!\d)", text))
    return yes() if count >= folder.MANY else no(f"{count:,}" if count else "")


@feature(GROUP, "odd names: shown safely", "listing")
def odd_safe(stage):
    """A folder with a file named `<img src=x onerror=alert(1)>.txt`: the page names it, and has no such element."""
    found = stage.running("listing").ask("/odd/")
    if found.status != 200 or "onerror" not in urllib.parse.unquote(shown(found.text)):
        return no("not listed")
    return check("<img src=x" not in found.text.lower())


@feature(GROUP, "odd names: each link leads to its file", "listing")
def odd_links(stage):
    """The links of names with a newline, markup, bytes that are not UTF-8, `%#?`, quotes and Cyrillic are followed."""
    running = stage.running("listing")
    got = set()
    for link in links(running.ask("/odd/").text):
        target = urllib.parse.urlsplit(urllib.parse.urljoin("http://localhost/odd/", link.replace("\n", "%0A")))
        path = urllib.parse.quote(target.path, safe="/%!$&'()*+,;=:@~")
        got.add(running.ask(path).body)
    return shares(*((content in got, content.decode()) for content in folder.ODD.values()), word="not ")


@feature(GROUP, "dark colours, fits a phone", "listing")
def looks(stage):
    """`prefers-color-scheme` or `color-scheme` in the page or its style sheets, and a viewport in the page."""
    running = stage.running("listing")
    page = running.ask("/plain/", "Accept: text/html").text
    sheets = re.findall(r"""<link\b[^>]*href=["']?([^"' >]+)""", page)
    own = [urllib.parse.urljoin("/plain/", html.unescape(sheet)) for sheet in sheets if "://" not in sheet]
    style = page + "".join(running.ask(sheet).text for sheet in own)
    return shares(("color-scheme" in style, "no dark colours"),
                  (re.search(r"""name=["']?viewport""", page), "no viewport"))
