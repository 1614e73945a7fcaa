"""The check: servers, a browser, and what the page has to read."""

import contextlib
import json
import pathlib
import re
import shutil
import subprocess
import tempfile

from lib import PROJECT, Trouble, setup
from lib.server import STHENO_SAYS, Server
from loopkit import browser

from . import data

HERE = pathlib.Path(__file__).resolve().parent
OUT = PROJECT / "target" / "ranges"
# The libraries that maps, satellite images and arrays are read with, and what they load themselves in a browser.
LIBRARIES = ["pmtiles@4.5.0", "geotiff@3.0.5", "zarrita@0.7.5"]


def main(program=None):
    setup.install({"chromium": "chromium"} if not browser.program() else {})
    if not browser.program():
        raise Trouble("no Chromium is here, and none can be installed: the readers were not tried")
    libraries = install()
    if program is None:
        setup.build("stheno", profile="debug")
        program = PROJECT / "target" / "debug" / "stheno"
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        folder = pathlib.Path(folder)
        files, pages = folder / "data", folder / "pages"
        for each in (files, pages):
            each.mkdir()
        data.write(files)
        for name in ("page.html", "reader.js"):
            shutil.copy(HERE / name, pages)
        (pages / "npm").symlink_to(libraries)

        def start(name, root, *options):
            command = [str(program), "-r", str(root), "--access-log", str(folder / f"{name}.log"), *options]
            return stack.enter_context(Server(command, folder / f"{name}.txt", STHENO_SAYS)).url
        page = start("pages", pages, "--follow-symlinks", "--sandbox", "off") + "/page.html?from="
        origin = page.split("/page.html", maxsplit=1)[0]
        fields = ["--header", "X-Data: made up"]
        servers = {"any": start("any", files, "--cors", "*", *fields),
                   "one": start("one", files, "--cors", "http://127.0.0.2:1", "--cors", origin, *fields),
                   "another": start("another", files, "--cors", "http://127.0.0.2:1", *fields),
                   "none": start("none", files, *fields)}
        window = stack.enter_context(browser.Browser())
        wrong = [line for name, url in servers.items() for line in reads(window, page + url, name)]
        wrong += [line for name in ("any", "one") for line in asked(folder / f"{name}.log", name)]
    if wrong:
        raise Trouble("\n  ".join(["not everything is read from another origin:", *wrong]))
    print(f"{', '.join(LIBRARIES)}: read from another origin, and refused where it may not be")


def install():
    """The folder of the libraries."""
    modules, ready = OUT / "node_modules", OUT / "ready"
    if not ready.exists() or ready.read_text() != " ".join(LIBRARIES):
        OUT.mkdir(parents=True, exist_ok=True)
        (OUT / "package.json").write_text('{"private": true}')
        command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", *LIBRARIES]
        try:
            subprocess.run(command, cwd=OUT, check=True, capture_output=True, text=True)
        except OSError as error:
            raise Trouble(f"npm is needed, for {' '.join(LIBRARIES)}: {error}") from error
        except subprocess.CalledProcessError as error:
            raise Trouble(f"npm cannot install {' '.join(LIBRARIES)}: {error.stderr.strip()[-300:]}") from error
        ready.write_text(" ".join(LIBRARIES))
    return modules


def wanted():
    """What each reader has to return, from the pixels themselves."""
    def area(left, top, right, bottom, step=1, missing=False):
        return [7 if missing and row >= data.TILE and column >= data.TILE else data.pixel(column * step, row * step)
                for row in range(top, bottom) for column in range(left, right)]
    box = [100, 900 - data.SIDE, 100 + data.SIDE, 900]
    size = len(data.geotiff())
    return {"pmtiles": ["tile 0 ", "tile 1 ", "tile 4 ", "five tiles"],
            "geotiff": [2, box, area(250, 250, 262, 262), area(0, 0, 3, 2, step=2)],
            "array": area(254, 254, 258, 258, missing=True),
            "sharded": area(254, 254, 258, 258),
            "lengths": area(0, 300, 4, 301),
            "fields": [[], [206, 304, 412, 416, 404, 206], f"bytes */{size}", "multipart/byteranges"]}


def reads(window, url, server):
    """What is wrong with what the page reads; from a server that does not allow it, it must read nothing."""
    window.troubles.clear()
    window.open(url)
    for name, want in wanted().items():
        got = window.run(f"read('{name}')")
        if server in ("any", "one"):
            if got != json.dumps(want, separators=(",", ":")):
                yield f"{server}, {name}: {got[:200]} instead of {want}"
        elif "Error" not in got:
            yield f"{server}, {name}: {got[:200]} although no origin may"
    if server in ("any", "one"):
        yield from (f"{server}: the console says {said}" for said in window.troubles if "CORS" in said)
    elif not any("CORS" in said for said in window.troubles):
        yield f"{server}: the console says nothing of CORS: {window.troubles}"


def asked(log, server):
    """What is wrong with the requests that the readers sent: they must be such as this check is for."""
    lines = re.findall(r'"(\w+) (\S+) HTTP/1.1" (\d+) (\d+)', log.read_text())
    seen = {(method, status) for method, _, status, _ in lines}
    for one in [("GET", "206"), ("OPTIONS", "204"), ("GET", "404"), ("GET", "416")]:
        if one not in seen:
            yield f"{server}: no reader has sent {one[0]} with the response {one[1]}: {sorted(seen)}"
    for method, path, status, length in lines:
        if method == "GET" and status == "200" and path.endswith((".pmtiles", ".tif", "sharded.zarr/c/0/0")):
            yield f"{server}: {path} was sent whole, {length} bytes"
