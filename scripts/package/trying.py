"""Tries packages on a bare system: Debian made by debootstrap, without Rust and without a compiler, as a root of its own."""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tarfile
import time

from lib import PROJECT, Trouble, fetch, proc, request, setup, until

from .building import OUT, VERSION, maturin, run, static_program

SUITE = "bookworm"
# systemd checks the unit; Python is for the wheel.
INCLUDED = ["systemd", "python3-venv"]
NEEDED = {"debootstrap": "debootstrap", "unshare": "util-linux"}
PAGE = "<p>It serves.\n"
APP = """import falcon


class Page:
    def on_get(self, request, response):
        response.text = "It serves."


app = falcon.App()
app.add_route("/", Page())
"""


def bare(name):
    """A fresh copy of the bare system, which is made once."""
    if os.geteuid():
        raise Trouble("packages are tried on a system of their own, which only root can make")
    setup.install(NEEDED)
    base, root = PROJECT / "target" / f"bare-{SUITE}", OUT / f"bare-{name}"
    if not (base / "ready").exists():
        shutil.rmtree(base, ignore_errors=True)
        run("debootstrap", "--variant=minbase", f"--include={','.join(INCLUDED)}", SUITE, base, stdout=subprocess.DEVNULL)
        (base / "ready").touch()
    shutil.rmtree(root, ignore_errors=True)
    run("cp", "-a", "--reflink=auto", base, root)
    for tool in ("cargo", "rustc", "cc", "gcc"):
        if (root / "usr/bin" / tool).exists():
            raise Trouble(f"the bare system has {tool}")
    return root


def within(root, *command, user=None):
    """The words that run a command in `root`, as the first process of its own process namespace."""
    change = ["chroot", f"--userspec={user}", str(root)] if user else ["chroot", str(root)]
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child", f"--mount-proc={root / 'proc'}", *change,
            *map(str, command)]


def said(root, *command):
    """What a command in `root` prints."""
    found = subprocess.run(within(root, *command), capture_output=True, text=True, check=False)
    if found.returncode:
        raise Trouble(f"{' '.join(map(str, command))} fails on the bare system: {(found.stderr or found.stdout).strip()}")
    return found.stdout


def end_within(process, number):
    """Signals the first process of the namespace; the kernel ends the others with it. (The death of unshare would not reach it:
    a change of the user clears the signal that was asked for.)"""
    for child in proc.family(process.pid)[1:2]:
        os.kill(child, number)


@contextlib.contextmanager
def started(root, *command, user=None):
    """Runs a server in `root`; gives the port that it prints. It has to end by itself after SIGTERM, with the code 0."""
    with open(OUT / "tried.txt", "w+", encoding="utf-8") as log:
        process = subprocess.Popen(within(root, *command, user=user), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            found = []

            def is_there():
                log.seek(0)
                found.extend(re.findall(r"http://(?:\[\S*?\]|[^:/\s]+):(\d+)", log.read()))
                return found or process.poll() is not None
            until(is_there, f"{command[0]} says where it listens (target/package/tried.txt)", 20)
            if not found:
                raise Trouble(f"{command[0]} has ended at once: see target/package/tried.txt")
            yield int(found[0])
            end_within(process, signal.SIGTERM)
            if process.wait(30):
                raise Trouble(f"{command[0]} has ended with code {process.returncode} after SIGTERM")
        finally:
            end_within(process, signal.SIGKILL)
            process.wait()


def answers(port, want):
    """One request; the server may not have its workers yet."""
    def is_right():
        with contextlib.suppress(OSError):
            return want.encode() in fetch(port, request("/", "Connection: close"))
    until(is_right, f"an answer with {want!r}", 20, 0.05)


def try_deb(package):
    root = bare("deb")
    shutil.copy(package, root / "tmp")
    before = files(root)
    said(root, "dpkg", "--install", f"/tmp/{package.name}")
    added = files(root) - before
    listed = said(root, "dpkg", "--listfiles", "stheno").split()
    for name in ("/usr/bin/stheno", "/usr/lib/systemd/system/stheno.service", "/usr/lib/systemd/system/stheno.socket",
                 "/usr/share/man/man1/stheno.1.gz", "/etc/stheno/stheno.toml"):
        if name not in listed:
            raise Trouble(f"the package has no {name}")
    (root / "var/www/html").mkdir(parents=True)
    (root / "var/www/html/index.html").write_text(PAGE)
    (root / "var/log/stheno").mkdir()
    checked = said(root, "stheno", "--check", "--config", "/etc/stheno/stheno.toml").strip()
    said(root, "systemd-analyze", "--man=no", "verify", "stheno.service", "stheno.socket")
    with started(root, "stheno", "-r", "/var/www/html", "--port", "0", "--user", "stheno", "-w", "2") as port:
        answers(port, PAGE)
    user = said(root, "getent", "passwd", "stheno").strip()
    said(root, "dpkg", "--purge", "stheno")
    left = {name for name in files(root) & added if (root / name).is_file()}
    if left:
        raise Trouble(f"the purged package leaves {', '.join(sorted(left))}")
    return f"{len(added)} files, the user {user}, {checked!r}, the unit verified, serves, purged without a rest"


def files(root):
    """The files that packages install, without caches and databases."""
    return {str(path.relative_to(root)) for top in ("usr", "etc/stheno") for path in (root / top).rglob("*")}


def try_tarball(package):
    root = bare("tarball")
    with tarfile.open(package) as tar:
        tar.extractall(root / "opt", filter="data")
    (root / "srv/index.html").write_text(PAGE)
    program = f"/opt/{package.name.removesuffix('.tar.gz')}/stheno"
    version = said(root, program, "--version").strip()
    with started(root, program, "-r", "/srv", "--port", "0") as port:
        answers(port, PAGE)
    return f"{version}, serves"


def try_wheel(package):
    root, found = bare("wheel"), OUT / "wheels"
    shutil.rmtree(found, ignore_errors=True)
    run(maturin(), "-m", "pip", "download", "--quiet", "--only-binary", ":all:", "--python-version", "3.11", "--dest", found, "falcon")
    shutil.copytree(found, root / "wheels")
    shutil.copy(package, root / "wheels")
    (root / "srv/app.py").write_text(APP)
    said(root, "python3", "-m", "venv", "/opt/venv")
    said(root, "/opt/venv/bin/pip", "install", "--quiet", "--no-index", "--find-links", "/wheels", "stheno-wsgi", "falcon")
    with started(root, "/opt/venv/bin/stheno-wsgi", "--chdir", "/srv", "--port", "0", "app:app") as port:
        answers(port, "It serves.")
    return "installed into an empty venv, serves falcon"


def try_image(context):
    """The root of the image as its only root, with what a container runtime adds: /dev, /proc, and another user."""
    root = OUT / "bare-image"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(context / "root", root)
    (root / "dev").mkdir()
    (root / "proc").mkdir()
    run("mknod", root / "dev/null", "c", 1, 3)
    (root / "dev/null").chmod(0o666)
    text = (context / "Containerfile").read_text()
    words = [word for line in ("ENTRYPOINT", "CMD") for word in json.loads(re.search(rf"^{line} (.*)$", text, re.M)[1])]
    words[words.index("8080")] = "0"
    user = re.search(r"^USER (\S+)$", text, re.M)[1]
    with started(root, *words, user=user) as port:
        answers(port, "Stheno runs.")
    return f"`{' '.join(words)}` as process 1 and user {user}, serves, ends by SIGTERM"


def all_of(made):
    tries = {"deb": try_deb, "tarball": try_tarball, "wheel": try_wheel, "image": try_image}
    for name, package in made.items():
        begun = time.monotonic()
        print(f"{name}: {tries[name](package)} ({time.monotonic() - begun:.0f} s)", flush=True)
    return 0


def same():
    """Two builds of the static program, each from nothing."""
    found = []
    for _ in range(2):
        shutil.rmtree(PROJECT / "target" / "foreign" / "build", ignore_errors=True)
        found.append(hashlib.sha256(static_program().read_bytes()).hexdigest())
        print(f"{VERSION}: {found[-1]}", flush=True)
    print("the builds are identical" if found[0] == found[1] else "the builds differ")
    return int(found[0] != found[1])
