"""Probes: what others have and stheno leaves to them."""

import gzip

from . import folder
from .verdict import check, feature

GROUP = "Not in stheno"


@feature(GROUP, "uploads", "upload", needs=True)
def upload(stage):
    """A `PUT` of a new file, or a form as its page sends it, makes the file."""
    target = folder.ROOT / "uploads" / f"{stage.place.name}.txt"
    target.unlink(missing_ok=True)
    running = stage.running("upload")
    folder.ROOT.joinpath("uploads").chmod(0o777)
    running.ask(f"/uploads/{target.name}", method="PUT", body=b"new")
    if not target.exists():
        form = f'--x\r\nContent-Disposition: form-data; name="path"; filename="{target.name}"\r\n\r\nnew\r\n--x--\r\n'.encode()
        running.ask("/upload?path=/uploads", "Content-Type: multipart/form-data; boundary=x", method="POST", body=form)
    found = target.exists() and target.read_bytes() == b"new"
    target.unlink(missing_ok=True)
    return check(found)


@feature(GROUP, "WebDAV", "webdav", needs=True)
def webdav(stage):
    """`PROPFIND /plain/` is 207 with the names."""
    found = stage.running("webdav").ask("/plain/", "Depth: 1", method="PROPFIND")
    return check(found.status == 207 and "file10" in found.text, f"`PROPFIND` is {found.status}")


@feature(GROUP, "a folder as an archive", "archive", needs=True)
def archive(stage):
    """`/plain/?download=tar`, `?zip` or `?download` is an archive (tar, gzip or not, or zip) that has the names."""
    running = stage.running("archive")
    bodies = [running.ask(f"/plain/?{query}").body for query in ("download=tar", "zip", "download")]
    bodies = [gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body for body in bodies]
    return check(any(b"file10" in body and (b"ustar" in body or body.startswith(b"PK")) for body in bodies))


@feature(GROUP, "compresses on the fly", "compress")
def compress(stage):
    """`app.js`, which has no compressed sibling, is sent with a `Content-Encoding` to a client that accepts gzip."""
    found = stage.running("compress").ask("/app.js", "Accept-Encoding: gzip, deflate, br")
    return check(found.status == 200 and found.get("content-encoding"))
