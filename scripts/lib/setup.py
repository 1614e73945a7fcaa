"""Installs what a script needs: Debian packages when we are root, Python packages in a venv, our own programs."""

import os
import shutil
import subprocess
import sys

from . import PROJECT, Missing, Trouble


def which(name):
    """The path of a program, or of a file that is named by its whole path."""
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") or (os.path.exists(name) and name)


def install(packages):
    """Installs the Debian packages of programs or files that are missing; `packages` maps each to its package."""
    missing = [package for name, package in packages.items() if not which(name)]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": False,
                 "env": os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}}
        subprocess.run(["apt-get", "update"], **quiet)
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", *missing], **quiet)


def venv(folder, packages):
    """Makes a venv with these packages unless it is there; returns its interpreter."""
    python, ready = folder / "bin" / "python", folder / "ready"
    if ready.exists() and ready.read_text() == "\n".join(packages):
        return python
    print(f"{' and '.join(packages)} are installed in {folder.relative_to(PROJECT)}, once", file=sys.stderr)
    try:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Missing(f"no venv with {' and '.join(packages)} can be made: {error}") from error
    ready.write_text("\n".join(packages))
    return python


def build(*programs, profile="release"):
    """Has cargo build programs: `stheno` is the binary, other names are examples."""
    words = [word for name in programs for word in ("--bin" if name == "stheno" else "--example", name)]
    release = ["--release"] if profile == "release" else []
    try:
        if programs:
            subprocess.run(["cargo", "build", "--locked", *release, *words], cwd=PROJECT, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Trouble(f"{', '.join(programs)} cannot be built: {error}") from error


def output(*command):
    """What a command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT).stdout.strip()
