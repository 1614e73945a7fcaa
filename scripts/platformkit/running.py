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
    flags: str = ""
    packages: dict = field(default_factory=dict)
    runner: list = field(default_factory=list)
    # Tests that fail for a reason that is not the server's: name → reason.
    cannot: dict = field(default_factory=dict)


UPGRADE = "an upgrade runs the program by itself, and this processor cannot"
JAIL = "qemu has neither Landlock nor seccomp, and the start says so in a line more"
NO_OPENAT2 = "the delay is for openat2, which qemu does not have: the server walks"
UNDER_QEMU = {
    "command::standard_error_may_be_a_file": JAIL,
    "command::the_start_up_lines_say_everything": JAIL,
    "config_file::the_command_line_wins": JAIL,
    "rules_d::notify::d21_an_upgrade_moves_the_main_process": UPGRADE,
    "rules_d::orders::d30_an_upgrade_leaves_no_old_worker": UPGRADE,
    "rules_d::streams::d33_a_full_pipe_stops_no_process": JAIL,
    "rules_d::streams::d33_an_upgrade_does_not_wait_for_a_full_pipe": UPGRADE,
    "rules_d::together::a_unix_socket_outlives_upgrades": UPGRADE,
    "rules_d::upgrade::a_successor_leaves_no_trace_in_the_environment": UPGRADE,
    "rules_d::upgrade::d13_a_successor_that_fails_changes_nothing": UPGRADE,
    "rules_d::upgrade::d13_an_upgrade_fails_no_request": UPGRADE,
    "rules_d_rights::d24_workers_give_up_their_rights": JAIL,
    "rules_d_rights::jail::d25_what_the_kernel_lacks_is_reported_once": JAIL,
    "rules_d_rights::jail::d25_workers_serve_from_within": JAIL,
    "rules_e::sending::e18_a_long_turn_is_logged": NO_OPENAT2,
    "rules_e::sending::e21_a_crowd_that_asks_for_slow_files_ends_no_worker": NO_OPENAT2,
    "rules_e::sharing::shares_stay_equal": "connections are counted by the descriptors of the process, and qemu has its own",
}
LIBRARIES = "/usr/aarch64-linux-gnu"
PROGRAMS = {
    # The start files of musl are zig's: Debian's compiler has none.
    "static": Program("x86_64-unknown-linux-musl", "-Clink-self-contained=no"),
    "aarch64": Program("aarch64-unknown-linux-gnu", "",
                       {"qemu-aarch64-static": "qemu-user-static", f"{LIBRARIES}/lib/libc.so.6": "libc6-arm64-cross"},
                       ["qemu-aarch64-static", "-L", LIBRARIES], UNDER_QEMU),
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
    flags = f"{tools.get('RUSTFLAGS', '')} {program.flags}".strip()
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
