"""Tries the features on the servers, and writes docs/PEERS.md or compares with it."""

import concurrent.futures
import importlib
import re
import subprocess

from lib import PROJECT, Trouble, write_part

from . import folder, stage
from .servers import MISSING, SERVERS
from .verdict import FEATURES, GROUPS

PAGE, MARK = "PEERS.md", "scripts/features"
# Servers that are tried at the same time: most of the time passes in waiting for what does not come.
AT_ONCE = 4
# Probes that wait for a minute, beside the others of their server.
WAITING = 4

for module in ("shell", "listings", "pages", "access", "tls", "http", "care", "elsewhere"):
    importlib.import_module(f".probes_{module}", __package__)


def cell(found, option):
    """What the table shows: whether it is there, by which option, and what is missing."""
    shown = option.label() if option and found.grade in ("yes", "partly") else ""
    if found.grade == "yes":
        return " ".join(word for word in (shown or "yes", f"({found.note})" if found.note else "") if word)
    if found.grade == "partly":
        return f"{shown} partly: {found.note}".strip()
    return f"no ({found.note})" if found.note and found.grade == "no" else found.grade or found.note


def try_server(server, rows):
    """Tries the features on a server; returns its version, and a cell for each."""
    place = stage.Stage(server)
    # Without this, a server that does not start at all would have a column of `no`.
    if place.running().ask("/sub/hello.txt").body != b"hello\n":
        place.end()
        raise Trouble(f"{server.name} does not serve a file")
    with concurrent.futures.ThreadPoolExecutor(WAITING) as pool:
        try:
            slow = {row.title: pool.submit(row.try_on, place) for row in rows if row.is_slow}
            cells = {row.title: cell(*row.try_on(place)) for row in rows if not row.is_slow}
            cells |= {title: cell(*future.result()) for title, future in slow.items()}
        finally:
            place.end()
    print(f"{server.name}: {len(cells)} features tried", flush=True)
    return {"version": version(server), "cells": cells}


def version(server):
    """The first version number that the server prints."""
    words = [str(server.program), *([server.version] if server.version else [])]
    run = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL)
    found = re.search(r"\d+\.\d+(\.\d+)?(-[\w.]+)?", run.stdout + run.stderr)
    return found[0] if found else "?"


def try_all(servers, rows):
    """Tries these servers; returns a column for each."""
    folder.make()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        waiting = {server.name: pool.submit(try_server, server, rows) for server in servers}
        return {name: future.result() for name, future in waiting.items()}


def tables(columns):
    """What was tried, the tables of all groups, and how each row is tried."""
    text = "| server | version | started with |\n|---|---|---|\n"
    for server in SERVERS:
        text += f"| {server.name} | {columns[server.name]['version']} | `{server.shown()}` |\n"
    text += "".join(f"| {name} | not tried | {why} |\n" for name, why in MISSING.items())
    for group in GROUPS:
        text += f"\n### {group}\n\n| | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}\n"
        for row in of_group(group):
            text += f"| {row.title} | {' | '.join(column['cells'][row.title] for column in columns.values())} |\n"
    text += "\n## How each row is tried\n"
    for group in GROUPS:
        text += f"\n**{group}**\n\n"
        text += "".join(f"* *{row.title}*: {' '.join(row.probe.__doc__.split())}\n" for row in of_group(group))
    return text + "\n"


def of_group(group):
    return [row for row in FEATURES if row.group == group]


def write(tried):
    """Writes the page; the columns of servers that have not been tried now stay as they are."""
    columns = {server.name: tried.get(server.name) or on_page(server.name) for server in SERVERS}
    for name, column in columns.items():
        for row in FEATURES:
            if row.title not in column["cells"]:
                raise Trouble(f"docs/{PAGE} does not say '{row.title}' of {name}: try it, too")
    write_part(PAGE, MARK, tables(columns))


def on_page(name):
    """The column of a server as the page has it."""
    column, place = {"version": "", "cells": {}}, None
    for line in (PROJECT / "docs" / PAGE).read_text(encoding="utf-8").splitlines():
        words = [word.strip() for word in line.split("|")[1:-1]]
        if not words:
            place = None
        elif words[0] == name:
            column["version"] = words[1]
        elif words[0] == "" and name in words:
            place = words.index(name)
        elif place is not None:
            column["cells"][words[0]] = words[place]
    return column


def differences(name, column, rows):
    """Where a column is not as the page says. Seconds differ from run to run."""
    said = on_page(name)["cells"]

    def steady(text):
        return re.sub(r"\d+ s\b", "N s", text)
    return [f"{row.title}: found {column['cells'][row.title]}, the page says {said.get(row.title, 'nothing')}"
            for row in rows if steady(said.get(row.title, "")) != steady(column["cells"][row.title])]
