"""Builds what is packaged, and lists what it contains."""

import functools
import os
import pathlib
import re
import subprocess
import tomllib

from lib import PROJECT, Trouble, setup
from platformkit import running
from platformkit.toolchain import toolchain

OUT = PROJECT / "target" / "package"
VERSION = tomllib.loads((PROJECT / "Cargo.toml").read_text())["package"]["version"]
# The oldest glibc that the program of the Debian package runs with: that of Debian 10.
GLIBC = "x86_64-unknown-linux-gnu.2.28"
CARGO_HOME = pathlib.Path(os.environ.get("CARGO_HOME", "~/.cargo")).expanduser()


def maturin():
    """The interpreter of the environment that has maturin."""
    return setup.venv(PROJECT / "target" / "maturin-venv", ["maturin[zig]>=1.9,<2"])


@functools.cache
def commit_time():
    """Seconds since 1970: the time of everything in a package."""
    return setup.output("git", "log", "-1", "--format=%ct")


def environment(**more):
    """A build whose result does not tell where it was made."""
    remapped = {CARGO_HOME: "cargo", PROJECT: "stheno"}
    flags = " ".join(f"--remap-path-prefix={old}=/{new}" for old, new in remapped.items())
    return {"SOURCE_DATE_EPOCH": commit_time(), "RUSTFLAGS": flags, "CARGO_PROFILE_RELEASE_DEBUG": "false",
            "CARGO_PROFILE_RELEASE_STRIP": "true", "CARGO_INCREMENTAL": "0", **more}


def static_program():
    """The program with musl inside, for any Linux."""
    return running.build(toolchain() | environment(), running.PROGRAMS["static"])


def glibc_program():
    """The program for the glibc of the system, by the compiler of this machine."""
    target = OUT / "build"
    running.zigbuild(os.environ | environment(CARGO_TARGET_DIR=str(target)), GLIBC)
    return target / GLIBC.rsplit(".", 2)[0] / "release" / "stheno"


def licences(features=()):
    """The text of the file that lists the crates in a program, with their licences and the texts of these."""
    words = ["--features", ",".join(features)] if features else []
    tree = setup.output("cargo", "tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}|{l}",
                        "--target", "x86_64-unknown-linux-gnu", *words)
    crates = sorted({line.removesuffix(" (*)") for line in tree.splitlines() if str(PROJECT) not in line})
    lines = ["Stheno contains these crates. What each is licensed under, and the texts of the licences:", ""]
    texts = {}
    for line in crates:
        package, licence = line.split("|")
        name, version = package.split(" v")
        version = version.split()[0]
        if not licence:
            raise Trouble(f"{name} {version} names no licence")
        lines.append(f"* {name} {version}: {licence}")
        for path in licence_files(name, version):
            texts.setdefault(path.read_text(encoding="utf-8", errors="replace").strip(), []).append(f"{name} ({path.name})")
    for text, names in texts.items():
        lines += ["", "-" * 80, ", ".join(names), "", text]
    return "\n".join(lines) + "\n"


def licence_files(name, version):
    """The files of a crate in the registry that are licences."""
    folders = CARGO_HOME.glob(f"registry/src/*/{name}-{version}")
    return sorted(path for folder in folders for path in folder.iterdir()
                  if re.match(r"(licen[sc]e|copying|unlicense)", path.name, re.I) and path.is_file())


def run(*command, **options):
    """Runs a command of a recipe; its failure is one line."""
    try:
        subprocess.run([str(word) for word in command], check=True, **options)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Trouble(f"{command[0]} fails: {error}") from error
