"""The folder that every server serves, and the certificates and passwords beside it."""

import gzip
import os
import shutil
import subprocess

from . import TARGET

ROOT = TARGET / "root"
# Not served: what a probe tries to reach from inside, and what options name.
OUTSIDE = TARGET / "outside.txt"
SECRET = b"outside of the root\n"
USER, PASSWORD = "anna", "correct horse"
# The password as `htpasswd -B` (bcrypt) and `openssl passwd -6` and `-1` (crypt(3)) write it, and as plain SHA-256.
BCRYPT = "$2y$05$CxkHXHEm10bGNTv0oXu1ceCWTVY8b0H4ijJ9Fsq2o9OhHgjvGQQ8y"
SHA512 = "$6$saltsalt$hRM5XZ86KXEw9UOmjigeVqFgULtFB2sgpC9lXQDfMib3Zgw7mEiUvBJI2EplzfAqxL5Vvwp2scFtv/uamSo5z0"
MD5 = "$1$saltsalt$NuzA7WTAelpl95xgBGWN60"
SHA256 = "4104d36f8da2c254349f85836793ebe029e0c957063a34c91c2e9203187b5631"
MANY, MANY_SIZE = 20_000, 4321
LARGE = 24 << 20
HUGE = 5 << 30
CYRILLIC = "Съешь же ещё этих мягких французских булок, да выпей чаю.\n"
PAGE = "<!doctype html><title>{0}</title><p>This is {0}.\n"
# Names that break a listing that does not encode them; what is in each file.
ODD = {b"line\nbreak.txt": b"newline", b"<img src=x onerror=alert(1)>.txt": b"markup", b"not-utf-8-\xff.txt": b"bytes",
       b"100% #1?.txt": b"reserved", b"quote'\".txt": b"quotes", "имя.txt".encode(): b"cyrillic"}


def write(path, content):
    path = ROOT / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def make():
    """Makes folder, certificates and passwords again."""
    shutil.rmtree(ROOT, ignore_errors=True)
    ROOT.mkdir(parents=True)
    OUTSIDE.write_bytes(SECRET)
    make_pages()
    make_types()
    make_folders()
    passwords()


def make_pages():
    for name in ("index.html", "about.html", "own404.html", "app/index.html", "own/home.htm"):
        write(name, PAGE.format(name))
    # Some servers send the page of this name without an option; it would be in the way of other rows.
    (TARGET / "root404" / "sub").mkdir(parents=True, exist_ok=True)
    (TARGET / "root404" / "404.html").write_text(PAGE.format("own404.html"))
    write("app.js", "export const answer = 42;\n" * 100)
    write("data.bin", bytes(range(256)) * 8)
    write("sub/hello.txt", "hello\n")


def make_types():
    write("utf8.txt", CYRILLIC)
    write("cp1251.txt", CYRILLIC.encode("cp1251"))
    write("cp1251.html", ("<!doctype html><title>x</title>" + CYRILLIC).encode("cp1251"))
    for name in ("Dockerfile", "main.rs", "run.sh", "notes.md", "LICENSE"):
        write(f"text/{name}", "plain text\n")
    for name in ("a.mjs", "a.wasm", "a.avif", "a.woff2", "a.webmanifest", "a.json", "a.svg", "a.foo", "a.jxl", "a.m4a"):
        write(f"types/{name}", "x")


def make_folders():
    for name, size in (("file1", 3000), ("file10", 1000), ("file2", 2000)):
        write(f"plain/{name}", b"x" * size)
    write(".env", "PASSWORD=secret\n")
    write(".git/config", "[core]\n")
    text = "compress me, please. " * 500
    write("packed.txt", text)
    for ending in ("br", "zst"):
        # No server reads what is in them; each only has to be the one that was asked for.
        write(f"packed.txt.{ending}", f"the {ending} variant")
    write("packed.txt.gz", gzip.compress(text.encode(), mtime=0))
    for name, content in ODD.items():
        path = os.fsencode(ROOT) + b"/odd/" + name
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
    (ROOT / "many").mkdir()
    for number in range(MANY):
        with open(ROOT / "many" / f"n{number:05}", "wb") as file:
            file.truncate(MANY_SIZE)
    os.mkfifo(ROOT / "pipe")
    for name, size in (("huge.bin", HUGE), ("big.bin", 2 * LARGE)):
        with open(ROOT / name, "wb") as file:
            file.truncate(size)
    (ROOT / "out.txt").symlink_to(OUTSIDE)
    (ROOT / "inside.txt").symlink_to("sub/hello.txt")
    (ROOT / "uploads").mkdir()


def make_certificate(place, name):
    """Makes `cert.pem` and `key.pem` in a folder: for localhost, valid for a day; the organisation is `name`."""
    place.mkdir(parents=True, exist_ok=True)
    subject, names = f"/CN=localhost/O={name}", "subjectAltName=DNS:localhost,IP:127.0.0.1"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
               "-subj", subject, "-addext", names, "-keyout", place / "key.pem", "-out", place / "cert.pem"]
    subprocess.run(command, check=True, capture_output=True)
    (place / "key.pem").chmod(0o600)


def passwords():
    for name, line in (("htpasswd", f"{USER}:{BCRYPT}"), ("sha256", f"{USER}:sha256:{SHA256}")):
        (TARGET / name).write_text(line + "\n")
        (TARGET / name).chmod(0o600)
    # nginx reads its file as the user of its workers.
    (TARGET / "htpasswd-nginx").write_text(f"{USER}:{BCRYPT}\n")
    (TARGET / "mime.types").write_text("application/x-foo foo\n")


def values():
    """What the options of a server may name."""
    return {"root": ROOT, "htpasswd": TARGET / "htpasswd", "sha256": TARGET / "sha256",
            "htpasswd_nginx": TARGET / "htpasswd-nginx", "types": TARGET / "mime.types", "out": TARGET, "user": USER,
            "password": PASSWORD, "bcrypt": BCRYPT, "sha512": SHA512, "md5": MD5, "own404": ROOT / "own404.html"}
