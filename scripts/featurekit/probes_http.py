"""Probes: HTTP as browsers, players and scripts use it."""

import re

from . import folder, wire
from .verdict import check, feature, no, partly, shares, yes

GROUP = "HTTP"
DATA = bytes(range(256)) * 8


@feature(GROUP, "a range")
def single(stage):
    """`bytes=5-9`, `bytes=-3` and `bytes=2040-` are 206 with these bytes and the right `Content-Range`."""
    running = stage.running()

    def right(spec, start, end):
        found = running.ask("/data.bin", f"Range: bytes={spec}")
        where = f"bytes {start}-{end - 1}/2048"
        return found.status == 206 and found.body == DATA[start:end] and found.get("content-range") == where
    cases = [("5-9", 5, 10), ("-3", 2045, 2048), ("2040-", 2040, 2048)]
    return shares(*((right(*case), f"`{case[0]}`") for case in cases), word="not ")


@feature(GROUP, "several ranges")
def several(stage):
    """`bytes=0-1,100-101` is 206 `multipart/byteranges` with both parts."""
    found = stage.running().ask("/data.bin", "Range: bytes=0-1,100-101")
    parts = found.body.count(b"Content-Range") or found.body.lower().count(b"content-range")
    if found.status == 206 and "multipart/byteranges" in found.get("content-type") and parts == 2:
        return yes()
    return no("one part" if found.status == 206 else "whole file" if found.status == 200 else f"{found.status}")


@feature(GROUP, "`If-Range`")
def if_range(stage):
    """With the file's validator a range is sent, with another one the whole file."""
    running = stage.running()
    first = running.ask("/data.bin")
    validator = first.get("etag") if not first.get("etag").startswith("W/") else ""
    validator = validator or first.get("last-modified")
    if not validator:
        return no("no validator")
    same, other = (running.ask("/data.bin", "Range: bytes=5-9", f"If-Range: {value}").status
                   for value in (validator, '"other"'))
    return shares((same == 206, "right validator: whole file"), (other == 200, "wrong validator: a part of another version"))


@feature(GROUP, "`If-None-Match`, `If-Modified-Since`")
def conditional(stage):
    """A second request with the `ETag` of the first, and one with its `Last-Modified`, is 304."""
    running = stage.running()
    first = running.ask("/data.bin")
    tag, date = first.get("etag"), first.get("last-modified")
    return shares((tag and running.ask("/data.bin", f"If-None-Match: {tag}").status == 304, "no ETag"),
                  (date and running.ask("/data.bin", f"If-Modified-Since: {date}").status == 304, "no date"))


@feature(GROUP, "precompressed files by q-values", "precompressed")
def precompressed(stage):
    """`packed.txt.br`, `.zst` and `.gz` are sent to the clients that accept them; `br;q=0.1, gzip;q=0.9` gets gzip, and
    `br;q=0, zstd;q=0, gzip;q=0` the file itself."""
    running = stage.running("precompressed")

    def coding(accepted):
        found = running.ask("/packed.txt", f"Accept-Encoding: {accepted}")
        wanted = {"br": b"the br variant", "zstd": b"the zst variant"}.get(found.get("content-encoding"))
        stored = found.body == wanted or found.body == (folder.ROOT / "packed.txt.gz").read_bytes()
        return (found.get("content-encoding") or "none") if stored or not found.get("content-encoding") else "made on the fly"
    if all(coding(name) in ("none", "made on the fly") for name in ("br", "zstd", "gzip")):
        return no()
    return shares((coding("br") == "br", "no br"), (coding("zstd") == "zstd", "no zst"), (coding("gzip") == "gzip", "no gz"),
                  (coding("br;q=0.1, gzip;q=0.9") == "gzip", "q-values ignored"),
                  (coding("br;q=0, zstd;q=0, gzip;q=0") == "none", "sends what is refused"))


@feature(GROUP, "`HEAD`")
def head(stage):
    """`HEAD` has the status, length and type of `GET`, and no body."""
    running = stage.running()
    get, head_of = running.ask("/data.bin"), running.ask("/data.bin", method="HEAD")
    names = ("content-length", "content-type")
    is_alike = head_of.status == 200 and all(get.get(name) == head_of.get(name) for name in names)
    return check(is_alike, f"{head_of.status or 'no response'}")


@feature(GROUP, "`OPTIONS` says what is allowed")
def options(stage):
    """`OPTIONS /data.bin` is 200 or 204 with `Allow`, or 405 with `Allow`."""
    found = stage.running().ask("/data.bin", method="OPTIONS")
    if not found.get("allow"):
        return no(f"{found.status}, without `Allow`")
    return yes() if found.status in (200, 204) else partly(f"{found.status}")


@feature(GROUP, "keep-alive and pipelining")
def pipelined(stage):
    """Three requests in one piece get three responses in their order on one connection."""
    names = ["/sub/hello.txt", "/data.bin", "/sub/hello.txt"]
    try:
        with wire.connect(stage.running().port, patience=4) as client:
            client.sendall(b"".join(wire.head(name) for name in names))
            reader = wire.Reader(client)
            bodies = [reader.response().body for _ in names]
    except OSError:
        bodies = []
    if bodies == [b"hello\n", DATA, b"hello\n"]:
        return yes()
    return no("closes after each response" if bodies and bodies[0] == b"hello\n" else "")


@feature(GROUP, "files over 4 GiB")
def large(stage):
    """Of a file of 5 GiB, the length is right, and so is a range at its end."""
    running = stage.running()
    size = running.ask("/huge.bin", method="HEAD").get("content-length")
    if not size:
        return no("no answer within 10 s")
    last = running.ask("/huge.bin", "Range: bytes=5368709115-5368709119")
    return shares((size == str(folder.HUGE), "wrong length"), (last.status == 206 and len(last.body) == 5, "no range there"))


@feature(GROUP, "a target or a field that is too long")
def limits(stage):
    """A target of 100 kB is refused with 414, a field of 100 kB with 431."""
    running = stage.running()
    target = running.ask("/" + "a" * 100_000, patience=5).status
    field = running.ask("/sub/hello.txt", "X-Long: " + "a" * 100_000, patience=5).status
    if (target, field) == (414, 431):
        return yes()
    shown = ", ".join(f"{name} {code or 'cut'}" for name, code in (("target", target), ("field", field)))
    return no(shown) if field == 200 else partly(shown)


@feature(GROUP, "a request of doubtful framing is refused")
def framing(stage):
    """`Content-Length` beside `Transfer-Encoding: chunked`, two different lengths, a space before a colon, and a missing
    `Host` are 4xx, and what follows on the connection is not answered."""
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
    bad = {"length and chunks": post + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
           "two lengths": post + b"Content-Length: 0\r\n\r\n",
           "space before the colon": b"GET / HTTP/1.1\r\nHost : x\r\nContent-Length : 5\r\n\r\n",
           "no `Host`": b"GET / HTTP/1.1\r\n\r\n"}
    running = stage.running()
    return shares(*((is_refused(running, head_bytes), name) for name, head_bytes in bad.items()), word="takes ")


def is_refused(running, payload):
    got = b""
    try:
        with wire.connect(running.port, patience=2) as client:
            client.sendall(payload + wire.head("/sub/hello.txt", ["Connection: close"]))
            reader = wire.Reader(client)
            while reader.more():
                pass
            got = reader.input
    except OSError:
        pass
    statuses = re.findall(rb"HTTP/1\.[01] (\d{3})", got)
    return b"hello" not in got and (not statuses or statuses[0].startswith((b"4", b"5")))
