"""A compiler for foreign targets: Debian's packages, unpacked and not installed, because they conflict with rustup's."""

import os
import re
import shutil
import subprocess

from lib import PROJECT, Trouble

FOLDER = PROJECT / "target" / "foreign"
PACKAGES = ["rustc-web", "rust-web-src"]
# The standard library is compiled with the program; Cargo's flag for that is unstable.
BUILD_STD = ["-Zbuild-std=std,panic_unwind"]


def toolchain():
    """The environment for `cargo`, with the compiler of Debian's packages; they are unpacked once."""
    if not shutil.which("apt-get"):
        raise Trouble("the packages of the compiler are Debian's, and there is no apt-get here")
    ready = FOLDER / "ready"
    if not ready.exists():
        shutil.rmtree(FOLDER, ignore_errors=True)
        unpack(FOLDER, missing(PACKAGES))
        ready.touch()
    libraries = FOLDER / "usr" / "lib" / "x86_64-linux-gnu"
    return os.environ | {"RUSTC": str(FOLDER / "usr" / "bin" / "rustc"), "LD_LIBRARY_PATH": str(libraries),
                         "RUSTC_BOOTSTRAP": "1", "CARGO_TARGET_DIR": str(FOLDER / "build")}


def missing(packages):
    """`packages`, and what they depend on that is not installed: name → version."""
    command = ["apt-get", "install", "--simulate", "--no-install-recommends", *packages]
    for fresh in (False, True):
        if fresh and os.geteuid() == 0:
            subprocess.run(["apt-get", "update"], capture_output=True, check=False)
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        if found.returncode == 0:
            return dict(re.findall(r"^Inst (\S+) \((\S+) ", found.stdout, re.M))
    raise Trouble(f"no packages {' and '.join(packages)}: {found.stderr.strip().splitlines()[-1]}")


def unpack(folder, versions):
    """Downloads packages, and unpacks all of them into one folder."""
    folder.mkdir(parents=True)
    names = [f"{name}={version}" for name, version in versions.items()]
    found = subprocess.run(["apt-get", "download", *names], cwd=folder, capture_output=True, text=True, check=False)
    if found.returncode:
        raise Trouble(f"the packages of the compiler cannot be downloaded: {found.stderr.strip().splitlines()[-1]}")
    for package in sorted(folder.glob("*.deb")):
        subprocess.run(["dpkg", "--extract", package, folder], check=True)
        package.unlink()
