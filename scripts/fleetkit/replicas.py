"""What replicas owe each other: a client that meets another host with each request must not notice."""

import http.client
import os
import random
import shutil

from lib import Trouble

from . import OUT
from .hosts import copied

CONTENT = OUT / "content"
# File → size and time of the last change; 1 is what reproducible builds write.
FILES = {"small.txt": (1000, 1_700_000_000.25), "large.bin": (300_000, 1_700_000_100.5), "larger.bin": (2 << 20, 1_700_000_200),
         "built.js": (9000, 1), "built.wasm": (400_000, 1), "folder/b.txt": (10, 1_700_000_300), "folder/B.txt": (20, 1_700_000_400),
         "folder/a10.txt": (30, 1), "folder/a9.txt": (40, 0)}
# What clients ask for, with fields; the answers of all hosts have to be the same.
QUESTIONS = [
    *(("GET", f"/{name}", {}) for name in FILES), ("HEAD", "/large.bin", {}), ("GET", "/built.js", {"Accept-Encoding": "gzip"}),
    ("GET", "/folder/", {}), ("GET", "/folder/?C=S;O=D", {}), ("GET", "/folder/", {"Accept": "application/json"}),
    ("GET", "/missing", {}), ("GET", "/missing", {"Accept": "text/html"}), ("GET", "/%00", {}), ("GET", "/../x", {}),
    ("PUT", "/small.txt", {}), ("BREW", "/", {}), ("GET", "/large.bin", {"Range": "bytes=300000-"}),
    ("GET", "/large.bin", {"Range": "bytes=0-9,100-109"}), ("GET", "/small.txt", {"If-Match": '"other"'}),
    ("GET", "/folder", {}), ("OPTIONS", "/", {}), ("GET", "/small.txt", {"X": "y" * 40_000}),
]


def make_content():
    """Makes the files in an order of chance, so that no folder has the names in the same order."""
    shutil.rmtree(CONTENT, ignore_errors=True)
    chance = random.Random(7)
    for name in sorted(FILES, key=lambda _: chance.random()):
        path = CONTENT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(FILES[name][0]))
    (CONTENT / "built.js.gz").write_bytes(chance.randbytes(3000))
    for path in [*CONTENT.rglob("*"), CONTENT]:
        seconds = FILES.get(str(path.relative_to(CONTENT)), (0, 1))[1]
        os.utime(path, ns=(round(seconds * 1e9),) * 2)


def ask(address, method, path, fields):
    """Status, fields in lower case without Date, and body."""
    with_port = http.client.HTTPConnection(*address, timeout=20)
    try:
        with_port.request(method, path, headers=fields)
        answer = with_port.getresponse()
        named = {name.lower(): value for name, value in answer.getheaders() if name.lower() != "date"}
        return answer.status, named, answer.read()
    finally:
        with_port.close()


def boundaries(answer):
    """The answer with the boundary of its parts replaced: each host may choose another."""
    status, fields, body = answer
    kind = fields.get("content-type", "")
    if "boundary=" not in kind:
        return answer
    mark = kind.split("boundary=")[1].strip('"')
    return status, fields | {"content-type": kind.replace(mark, "MARK")}, body.replace(mark.encode(), b"MARK")


def replicas(trials):
    """Requests that alternate between hosts: validators, listings, errors, ranges."""
    make_content()
    with trials.fleet(content=CONTENT, options=("--listing", "--precompressed")) as fleet:
        hosts = [(web.host.address, 8080) for web in fleet.webs]
        different = [f"{method} {path}" for method, path, fields in QUESTIONS
                     if len({repr(boundaries(ask(host, method, path, fields))) for host in hosts}) > 1]
        trials.row("replicas", f"{len(QUESTIONS)} questions to each of {len(hosts)} hosts",
                   f"{len(different)} answered differently" + (f": {', '.join(different)}" if different else ""),
                   "0 differ in a byte but Date", not different)
        conditional(trials, fleet, hosts)
        ranges(trials, fleet, hosts)
        replaced(trials, fleet, hosts)


def conditional(trials, fleet, hosts):
    """304 from every host for the validators of any."""
    count, wrong, chance = trials.some(3000, 300), [], random.Random(3)
    known = {name: ask(chance.choice(hosts), "GET", f"/{name}", {})[1] for name in FILES}
    for number in trials.counted(count):
        name = chance.choice(list(FILES))
        fields = {"If-None-Match": known[name]["etag"]}
        if "last-modified" in known[name] and chance.random() < 0.5:
            fields = {"If-Modified-Since": known[name]["last-modified"]}
        # Every other one goes to the next host behind the balancer.
        host = chance.choice(hosts) if number % 2 else fleet.address
        status, got, body = ask(host, "GET", f"/{name}", fields)
        if status != 304 or body or got["etag"] != known[name]["etag"]:
            wrong.append(f"{name} at {host[0]}: {status}")
    trials.row("replicas", f"{count:,} conditional requests, alternating between hosts",
               f"{count - len(wrong):,} answers 304" + (f"; the first other one: {wrong[0]}" if wrong else ""), "all 304", not wrong)


class Download:
    """A file that is fetched in pieces from changing hosts, as a client does that resumes."""

    def __init__(self, name, place):
        # `place()`: the host that is asked next.
        self.name, self.place, self.tag, self.body, self.restarts, self.pieces = name, place, None, b"", 0, 0

    def piece(self, length):
        """Asks for the next `length` bytes; returns whether the file is whole."""
        fields = {"Range": f"bytes={len(self.body)}-{len(self.body) + length - 1}"}
        if self.tag:
            fields["If-Range"] = self.tag
        status, got, body = ask(self.place(), "GET", f"/{self.name}", fields)
        self.pieces += 1
        if status == 206:
            self.tag, self.body = got["etag"], self.body + body
            return len(self.body) >= int(got["content-range"].split("/")[1])
        if status != 200:
            raise Trouble(f"{self.name}: {status} for {fields}")
        self.restarts, self.tag, self.body = self.restarts + 1, got["etag"], body
        return True


def ranges(trials, fleet, hosts):
    """Files in pieces, each from another host."""
    rounds, pieces, wrong, chance = trials.some(40, 4), 0, 0, random.Random(5)
    for _ in trials.counted(rounds):
        for name in ("larger.bin", "built.wasm", "large.bin", "built.js"):
            one = Download(name, lambda: chance.choice([*hosts, fleet.address]))
            while not one.piece(chance.randint(1, 100_000)):
                pass
            pieces += one.pieces
            wrong += one.body != (CONTENT / name).read_bytes() or one.restarts
    trials.row("replicas", f"{rounds * 4} files in {pieces:,} ranges, each from another host", f"{wrong} wrong or begun again",
               "0", not wrong)


def replaced(trials, fleet, hosts):
    """A file that is replaced host by host while it is fetched: one version or the other, never parts of both."""
    rounds, spliced, again, chance = trials.some(60, 9), 0, 0, random.Random(11)
    for number in trials.counted(rounds):
        # Dated and undated files; the size stays, so only the validators can tell.
        name = ("larger.bin", "built.wasm", "built.js")[number % 3]
        old = (CONTENT / name).read_bytes()
        one, swap, step = Download(name, lambda: chance.choice(hosts)), chance.randint(1, 5), max(1000, len(old) // 9)
        new = chance.randbytes(len(old))
        while not one.piece(step):
            swap -= 1
            if -len(fleet.webs) < swap <= 0:
                before = (CONTENT / name).stat().st_mtime_ns
                (CONTENT / name).write_bytes(new)
                later = before + 1_000_000_000 if FILES[name][1] > 1 else before
                os.utime(CONTENT / name, ns=(later, later) if swap == 0 else (before, before))
                # An undated file keeps its size and its time: rsync has to compare the content.
                web = fleet.webs[-swap]
                copied(CONTENT, web.host.folder / "www", "--checksum")
        again += one.restarts
        spliced += one.body not in (old, new)
        for web in fleet.webs:
            copied(CONTENT, web.host.folder / "www", "--checksum")
    trials.row("replicas", f"{rounds} files replaced on one host after the other while they are fetched in ranges",
               f"{spliced} spliced, {again} begun again", "0 spliced", not spliced and again)
