#!/usr/bin/env python3
"""Serves whole applications from PyPI, and uses each by a client of its own; `scripts/wsgi --apps` runs it.

    tests/wsgi/applications.py                     stheno; --peer stheno:0 for the app on the loop, or NAME as in run.py
    tests/wsgi/applications.py --only klaus

WsgiDAV by litmus, pypiserver by twine and pip, Radicale by caldav, klaus by git, moto by boto3, and Django's admin by a
session as a browser has it. The packages are in the interpreter's environment; litmus and git are Debian's. Exits with 1
if an application fails, or cannot be tested because its client is missing.
"""

import argparse
import contextlib
import datetime
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import servers
from harness import expect

PACKAGES = ["boto3", "build", "caldav", "django", "klaus", "moto[server]", "pypiserver", "radicale", "requests", "setuptools",
            "twine", "wheel", "wsgidav"]
LARGE = bytes(range(256)) * 4096 * 20  # 20 MiB


class Site:
    """What a check works with: a folder of its own, and a server for an application."""

    def __init__(self, kind, folder, stack):
        self.kind, self.folder, self.stack = kind, folder, stack
        self.url, self.server = "", None

    def serve(self, app, *args, **env):
        paths = {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), "TMPDIR": str(self.folder)}
        self.server = self.kind(app=app, args=args, env=paths | env, cwd=self.folder)
        self.stack.callback(self.server.stop)
        self.server.start()
        self.url = f"http://127.0.0.1:{self.server.port}"

    def run(self, *command, wanted=0, **options):
        """Runs a client in the folder; returns its output."""
        options = {"cwd": self.folder, "env": os.environ | {"HOME": str(self.folder), **options.pop("env", {})}} | options
        done = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
                              check=False, stdin=subprocess.DEVNULL, **options)
        expect(done.returncode, wanted, f"{command[0]}: {done.stdout[-600:]}")
        return done.stdout


def wsgidav(site):
    """WebDAV's test suite."""
    (site.folder / "files").mkdir()
    site.serve("wsgidav.wsgidav_app:WsgiDAVApp({'provider_mapping': {'/': '" + str(site.folder / "files") + "'}, "
               "'simple_dc': {'user_mapping': {'*': True}}, 'property_manager': True, 'verbose': 1, 'logging': {'enable': False}, "
               "'http_authenticator': {'domain_controller': None}})")
    text = site.run("litmus", "-k", site.url + "/")
    passed = re.findall(r"of (\d+) tests run: (\d+) passed, (\d+) failed", text)
    figures = [sum(map(int, column)) for column in zip(*passed)]
    assert len(passed) == 5 and figures[0] == figures[1], text[-2000:]
    return f"litmus: {figures[1]} of {figures[0]} passed in {len(passed)} suites"


def pypiserver(site):
    """A package is built, uploaded, found and installed."""
    (site.folder / "packages").mkdir()
    project = site.folder / "project"
    (project / "parcel").mkdir(parents=True)
    (project / "parcel" / "__init__.py").write_text("WORDS = 'it has arrived'\n")
    (project / "parcel" / "data.bin").write_bytes(os.urandom(8 << 20))
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "parcel"\nversion = "1.2"\n[tool.setuptools]\npackages = ["parcel"]\n'
        '[tool.setuptools.package-data]\nparcel = ["data.bin"]\n')
    site.run(sys.executable, "-m", "build", "--no-isolation", "--outdir", site.folder / "dist", project)
    site.serve(f"pypiserver:app(roots=['{site.folder}/packages'], password_file='.', authenticate=[])")
    files = sorted((site.folder / "dist").iterdir())
    site.run(sys.executable, "-m", "twine", "upload", "--non-interactive", "--disable-progress-bar", "--repository-url",
             site.url + "/", "-u", "a", "-p", "b", *files)
    expect(sorted(path.name for path in (site.folder / "packages").iterdir()), [path.name for path in files])
    pip = [sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check"]
    site.run(*pip, "install", "--no-deps", "--no-cache-dir", "--index-url", f"{site.url}/simple/", "--target",
             site.folder / "there", "parcel==1.2")
    expect(site.run(sys.executable, "-c", "import parcel; print(parcel.WORDS)",
                    env={"PYTHONPATH": str(site.folder / "there")}).strip(), "it has arrived")
    same = (site.folder / "there" / "parcel" / "data.bin").read_bytes() == (project / "parcel" / "data.bin").read_bytes()
    assert same, "the installed file differs"
    site.run(*pip, "download", "--no-deps", "--no-cache-dir", "--index-url", f"{site.url}/simple/", "parcel==9", wanted=1)
    return f"twine uploads {len(files)} files, pip installs one"


def radicale(site):
    """A calendar with events, which are added, searched, changed and deleted."""
    import caldav

    (site.folder / "config").write_text(
        f"[storage]\nfilesystem_folder = {site.folder}/collections\n[auth]\ntype = none\n[rights]\ntype = authenticated\n")
    site.serve("radicale:application", RADICALE_CONFIG=str(site.folder / "config"))
    day = "DTSTART:202703{0:02}T100000Z\r\nDTEND:202703{0:02}T110000Z\r\nSUMMARY:{1}"
    event = "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//EN", "BEGIN:VEVENT", "UID:{1}-{0}@test.example",
                         "DTSTAMP:20270101T000000Z", day, "END:VEVENT", "END:VCALENDAR", ""])
    with caldav.DAVClient(url=site.url + "/", username="ada", password="x") as client:
        calendar = client.principal().make_calendar(name="Été ☃")
        for number in range(1, 21):
            calendar.save_event(event.format(number, "standup"))
        expect(len(calendar.events()), 20)
        found = calendar.search(start=datetime.datetime(2027, 3, 5), end=datetime.datetime(2027, 3, 8), event=True)
        expect(len(found), 3)
        found[0].data = found[0].data.replace("SUMMARY:standup", "SUMMARY:moved")
        found[0].save()
        found[1].delete()
        texts = [one.data for one in calendar.events()]
        expect((len(texts), sum("moved" in text for text in texts)), (19, 1))
        calendar.delete()
    return "20 events added, searched, one changed, one deleted"


def klaus(site):
    """A repository is cloned, and pushed to, by git's smart protocol."""
    import requests

    git = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@test.example", "-c", "init.defaultBranch=main"]
    here, bare = site.folder / "here", site.folder / "parcel.git"
    site.run(*git, "init", "-q", here)
    (here / "large.bin").write_bytes(os.urandom(12 << 20))
    site.run(*git, "add", ".", cwd=here)
    site.run(*git, "commit", "-qm", "The first", cwd=here)
    site.run(*git, "clone", "-q", "--bare", here, bare)
    site.serve(f"klaus:make_app(['{bare}'], 'test', use_smarthttp=True, unauthenticated_push=True)")
    page = requests.get(f"{site.url}/parcel/", timeout=60)
    assert page.status_code == 200 and "large.bin" in page.text, page.text[:500]
    there = site.folder / "there"
    site.run(*git, "clone", "-q", f"{site.url}/parcel", there)
    assert (there / "large.bin").read_bytes() == (here / "large.bin").read_bytes(), "the cloned file differs"
    (there / "more.bin").write_bytes(os.urandom(3 << 20))
    site.run(*git, "add", ".", cwd=there)
    site.run(*git, "commit", "-qm", "The second", cwd=there)
    # Above this size git sends the pack in chunks, without a length.
    site.run(*git, "-c", "http.postBuffer=65536", "push", "-q", "origin", "HEAD", cwd=there)
    expect(site.run(*git, "log", "--format=%s", "main", cwd=bare).split("\n")[:2], ["The second", "The first"])
    return "git clones 12 MB, and pushes 3 MB in chunks"


def moto(site):
    """Objects of S3: one by one, in parts, in ranges, and signed URLs."""
    import boto3
    import requests
    from botocore.config import Config

    site.serve("moto.server:create_backend_app('s3')")
    s3 = boto3.client("s3", endpoint_url=site.url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b",
                      config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}))
    s3.create_bucket(Bucket="parcels")
    names = [f"number {number}/ü" for number in range(25)]
    for name in names:
        s3.put_object(Bucket="parcels", Key=name, Body=name.encode())
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="parcels", PaginationConfig={"PageSize": 10})
    expect(sorted(one["Key"] for page in pages for one in page["Contents"]), sorted(names))
    (site.folder / "large.bin").write_bytes(LARGE)
    s3.upload_file(str(site.folder / "large.bin"), "parcels", "large.bin")
    s3.download_file("parcels", "large.bin", str(site.folder / "back.bin"))
    assert (site.folder / "back.bin").read_bytes() == LARGE, "the downloaded object differs"
    part = s3.get_object(Bucket="parcels", Key="large.bin", Range="bytes=1000-1999")["Body"].read()
    expect(part == LARGE[1000:2000], True, "the range")
    signed = s3.generate_presigned_url("get_object", Params={"Bucket": "parcels", "Key": names[3]})
    expect(requests.get(signed, timeout=60).text, names[3])
    s3.delete_objects(Bucket="parcels", Delete={"Objects": [{"Key": name} for name in names]})
    expect([one["Key"] for one in s3.list_objects_v2(Bucket="parcels")["Contents"]], ["large.bin"])
    try:
        s3.get_object(Bucket="parcels", Key="gone")
    except s3.exceptions.NoSuchKey:
        return "25 objects, 20 MB up and down in parts"
    raise AssertionError("an object that does not exist was found")


def admin(site):
    """Sign in, add, change and delete; a form without its token; the collected files."""
    import requests

    env = {"ADMIN_FOLDER": str(site.folder), "PYTHONPATH": str(servers.HERE)}
    site.run(sys.executable, servers.HERE / "admin_django.py", env=env)
    env["PYTHONPATH"] += os.pathsep + os.environ.get("PYTHONPATH", "")
    static = ["--static", f"/static={site.folder}/static", "--follow-symlinks"] if issubclass(site.kind, servers.Stheno) else []
    site.serve("admin_django", *static, **env)
    session = requests.Session()

    def page(method, path, wanted=200, **data):
        if method == "POST":
            data["csrfmiddlewaretoken"] = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page("GET", path).text)[1]
        answer = session.request(method, site.url + path, data=data, timeout=60)
        expect(answer.status_code, wanted, f"{method} {path}")
        return answer

    assert page("GET", "/admin/").url.endswith("/admin/login/?next=/admin/")
    assert "correct username" in page("POST", "/admin/login/?next=/admin/", username="ada", password="no").text
    assert "Site administration" in page("POST", "/admin/login/?next=/admin/", username="ada", password="lovelace").text
    added = page("POST", "/admin/auth/group/add/", name="Readers ☃").text
    assert "was added successfully" in added and "Readers ☃" in added
    number = re.search(r"/admin/auth/group/(\d+)/change/", added)[1]
    assert "was changed" in page("POST", f"/admin/auth/group/{number}/change/", name="Writers").text
    assert "Writers" in page("GET", "/admin/auth/group/").text
    expect(session.post(f"{site.url}/admin/auth/group/add/", data={"name": "x"}, timeout=60).status_code, 403, "without a token")
    deleted = page("POST", f"/admin/auth/group/{number}/delete/", post="yes").text
    assert "was deleted successfully" in deleted and ">Writers</a>" not in deleted
    if static:
        sheet = page("GET", "/static/admin/css/base.css")
        assert "--primary" in sheet.text and sheet.headers["ETag"], "a collected file"
    return "signs in, adds, changes, deletes; 403 without the token"


CHECKS = [wsgidav, pypiserver, radicale, klaus, moto, admin]


def exercise(check, kind):
    """One application from the start of its server to its end; returns the text of its line."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="stheno-wsgi-"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        site = Site(kind, folder, stack)
        try:
            text = check(site)
        except Exception:
            # A server that has not started is gone, and its log is in the exception.
            with contextlib.suppress(AttributeError, FileNotFoundError):
                print(site.server.log()[-3000:], file=sys.stderr)
            raise
        for words in ("panicked at", "Fatal Python error", "Traceback"):
            assert words not in site.server.log(), site.server.log()[-2000:]
        expect(site.server.process.poll(), None, "exit code")
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", default="stheno", help="the server: stheno[:threads], " + ", ".join(servers.PEERS))
    parser.add_argument("--only", help="the application with this name")
    parser.add_argument("--packages", action="store_true", help="print the packages that have to be installed")
    options = parser.parse_args()
    if options.packages:
        return print(*PACKAGES)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    failed = 0
    for check in CHECKS:
        if options.only in (None, check.__name__):
            begun = time.monotonic()
            try:
                verdict, text = "ok", exercise(check, servers.kind(options.peer))
            except Exception as error:  # a failure is one line, and the next application is tested
                verdict, text, failed = "failed", f"{type(error).__name__}: {' '.join(str(error).split())[:500]}", failed + 1
            print(f"{verdict:8}{check.__name__:14}{time.monotonic() - begun:5.1f} s  {text}", flush=True)
    return sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
