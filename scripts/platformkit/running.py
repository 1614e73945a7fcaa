"""Builds the server for another C library or processor, and runs the tests over the wire on it."""

import os
import re
import subprocess
from dataclasses import dataclass, field

from lib import PROJECT, Trouble, setup

from .toolchain import BUILD_STD, FOLDER


@dataclass
class Program:
    """The server for a target, and what runs it here."""

    target: str
    packages: dict = field(default_factory=dict)
    runner: list = field(default_factory=list)
    # Tests that fail for a reason that is not the server's: name → reason.
    cannot: dict = field(default_factory=dict)


LIBRARIES = "/usr/aarch64-linux-gnu"
PROGRAMS = {
    "static": Program("x86_64-unknown-linux-musl"),
    "aarch64": Program("aarch64-unknown-linux-gnu",
                       {"qemu-aarch64-static": "qemu-user-static", f"{LIBRARIES}/lib/libc.so.6": "libc6-arm64-cross"},
                       ["qemu-aarch64-static", "-L", LIBRARIES]),
}
ZIG = ["cargo-zigbuild", "ziglang"]


def zigbuild(env, target, *words):
    """Builds the server with zig as its linker, which brings the C libraries of its targets."""
    python = setup.venv(PROJECT / "target" / "zig-venv", ZIG)
    command = ["cargo-zigbuild", "zigbuild", "--locked", "--release", "--target", target, "--bin", "stheno", *words]
    if subprocess.run(command, cwd=PROJECT, env=env | {"PATH": f"{python.parent}:{env['PATH']}"}, check=False).returncode:
        raise Trouble(f"the server cannot be built for {target}")


def build(tools, program):
    """The path of the server."""
    # The start files of musl are zig's: Debian's compiler has none.
    flags = f"{tools.get('RUSTFLAGS', '')} -Clink-self-contained=no".strip()
    zigbuild(tools | {"RUSTFLAGS": flags}, program.target, *BUILD_STD)
    return FOLDER / "build" / program.target / "release" / "stheno"


def run(tools, program, only_build):
    """Builds the server, and has the tests over the wire start it in place of the one that cargo has built for them."""
    built = build(tools, program)
    print(built, flush=True)
    if only_build:
        return 0
    setup.install(program.packages)
    if missing := [name for name in program.packages if not setup.which(name)]:
        raise Trouble(f"{', '.join(missing)} is not here: nothing is run")
    starter = built.with_name(f"{built.name}-started")
    starter.write_text(f"#!/bin/sh\nexec {' '.join([*program.runner, str(built)])} \"$@\"\n")
    starter.chmod(0o755)
    tests = PROJECT / "target" / f"{program.target}.txt"
    with open(tests, "w", encoding="utf-8") as file:
        subprocess.run(["cargo", "test", "--locked", "--test", "wire"], cwd=PROJECT, stdout=file, stderr=subprocess.STDOUT,
                       env=os.environ | {"STHENO_PROGRAM": str(starter if program.runner else built)}, check=False)
    found = re.findall(r"^test (\S+) \.\.\. (\w+)", tests.read_text(encoding="utf-8"), re.M)
    passed, failed = ({name for name, how in found if how == want} for want in ("ok", "FAILED"))
    print(f"{program.target}: {len(passed)} tests over the wire passed, {len(failed)} failed ({tests.relative_to(PROJECT)})")
    for name in sorted(failed):
        print(f"  {name}: {program.cannot.get(name, 'FAILED')}")
    for name in sorted(set(program.cannot) - failed):
        print(f"  {name} passes, and is listed as one that cannot")
    return 0 if passed and failed <= set(program.cannot) else 1
