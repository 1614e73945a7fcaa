"""What is in each package, and how it is put together."""

import gzip
import os
import pathlib
import shutil
import subprocess
import tarfile

from lib import PROJECT, Trouble

from .building import OUT, VERSION, commit_time, environment, glibc_program, licences, maturin, run, static_program

HERE = pathlib.Path(__file__).parent
DOCS = PROJECT / "docs"
# For shells that are not bash the name of a file is that of the command, in a folder of each.
COMPLETIONS = {"stheno.bash": "bash-completion/completions/stheno", "_stheno": "zsh/vendor-completions/_stheno",
               "stheno.fish": "fish/vendor_completions.d/stheno.fish"}


def size(path):
    """KiB of a file, or of all files of a folder."""
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return round(sum(one.stat().st_size for one in files) / 1024)


def fresh(name):
    """An empty folder."""
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def put(path, content, mode=0o644):
    """Writes a text, or copies a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, pathlib.Path):
        shutil.copyfile(content, path)
    else:
        path.write_text(content, encoding="utf-8")
    path.chmod(mode)


def compressed(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content.read_bytes() if isinstance(content, pathlib.Path) else content.encode(), 9, mtime=0))


def settle(folder):
    """Gives all files and folders the time of the commit, and folders the mode that everybody may enter."""
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)
        os.utime(path, (int(commit_time()),) * 2, follow_symlinks=False)


def unit():
    """The unit of docs/systemd, for the place and the user of the package."""
    text = (DOCS / "systemd" / "stheno.service").read_text()
    for old, new, times in (("/usr/local/bin/", "/usr/bin/", 2), ("DynamicUser=yes", "User=stheno\nGroup=stheno", 1),
                            # systemd 252, of Debian 12, does not know notify-reload.
                            ("Type=notify-reload", "Type=notify\nExecReload=/bin/sh -c 'kill -HUP $MAINPID'", 1)):
        if text.count(old) != times:
            raise Trouble(f"docs/systemd/stheno.service has {old!r} {text.count(old)} times, not {times}")
        text = text.replace(old, new)
    # The first paragraph says how to install it by hand.
    return ("# Stheno, a web server for files. Change it by `systemctl edit stheno`; the options are in\n"
            "# /etc/stheno/stheno.toml.\n\n" + text.partition("\n\n")[2])


def deb():
    root, share = fresh("deb"), pathlib.Path("usr/share")
    put(root / "usr/bin/stheno", glibc_program(), 0o755)
    put(root / "usr/lib/systemd/system/stheno.service", unit())
    put(root / "usr/lib/systemd/system/stheno.socket", DOCS / "systemd" / "stheno.socket")
    put(root / "usr/lib/sysusers.d/stheno.conf", 'u stheno - "Stheno web server" /nonexistent\n')
    put(root / "etc/stheno/stheno.toml", HERE / "stheno.toml")
    compressed(root / share / "man/man1/stheno.1.gz", DOCS / "stheno.1")
    for name, place in COMPLETIONS.items():
        put(root / share / place, DOCS / "completions" / name)
    about = root / share / "doc/stheno"
    put(about / "copyright", PROJECT / "LICENSE")
    compressed(about / "third-party.txt.gz", licences())
    compressed(about / "changelog.gz", PROJECT / "CHANGELOG.md")
    for script in ("postinst", "prerm", "postrm"):
        put(root / "DEBIAN" / script, HERE / "deb" / script, 0o755)
    put(root / "DEBIAN/conffiles", "/etc/stheno/stheno.toml\n")
    control = (HERE / "deb" / "control").read_text()
    put(root / "DEBIAN/control", control.format(version=VERSION, size=size(root)))
    settle(root)
    package = OUT / f"stheno_{VERSION}_amd64.deb"
    run("dpkg-deb", "--build", "--root-owner-group", "-Zxz", root, package, env=os.environ | environment(),
        stdout=subprocess.DEVNULL)
    return package


def tarball():
    name = f"stheno-{VERSION}-x86_64-linux"
    root = fresh(name)
    put(root / "stheno", static_program(), 0o755)
    put(root / "stheno.1", DOCS / "stheno.1")
    for file in [*(DOCS / "completions").iterdir(), *(DOCS / "systemd").iterdir()]:
        put(root / file.parent.name / file.name, file)
    for file in ("LICENSE", "README.md", "CHANGELOG.md"):
        put(root / file, PROJECT / file)
    put(root / "third-party.txt", licences())
    settle(root)
    return packed(root, OUT / f"{name}.tar.gz")


def packed(root, path):
    """A tar file with names in order, owned by root."""
    def owned(entry):
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        return entry
    with open(path, "wb") as file, gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packer, \
            tarfile.open(fileobj=packer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for one in [root, *sorted(root.rglob("*"))]:
            tar.add(one, one.relative_to(root.parent), recursive=False, filter=owned)
    return path


def wheel():
    folder = fresh("wheel")
    listed = PROJECT / "src/wsgi/python/stheno_wsgi/third-party.txt"
    listed.write_text(licences(["wsgi"]), encoding="utf-8")
    env = os.environ | environment(PATH=f"{maturin().parent}:{os.environ['PATH']}", CARGO_TARGET_DIR=str(OUT / "build"))
    try:
        run("maturin", "build", "--release", "--locked", "--zig", "--compatibility", "manylinux2014", "--out", folder,
            cwd=PROJECT, env=env)
    finally:
        listed.unlink()
    return next(folder.glob("*.whl"))


def image():
    """The root of the image, beside the file that makes it."""
    context = fresh("image")
    put(context / "root/stheno", static_program(), 0o755)
    put(context / "root/third-party.txt", licences())
    put(context / "root/LICENSE", PROJECT / "LICENSE")
    put(context / "root/srv/index.html", HERE / "welcome.html")
    put(context / "Containerfile", HERE / "Containerfile")
    settle(context)
    return context


RECIPES = {"deb": deb, "tarball": tarball, "wheel": wheel, "image": image}
