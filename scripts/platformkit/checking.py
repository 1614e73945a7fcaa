"""Type-checks foreign targets, and compares versions of Rust."""

import json
import subprocess
import time

from lib import PROJECT, Trouble, setup

from .toolchain import BUILD_STD, FOLDER

PARTS = ["--lib", "--bins", "--examples"]
# Target → what is checked: the library, the server, and the programs of the ladder; and the feature of the WSGI server.
TARGETS = {
    "aarch64-apple-darwin": [PARTS, ["--lib", "--features", "wsgi"]],
    "x86_64-unknown-freebsd": [PARTS],
    "x86_64-unknown-netbsd": [PARTS],
    "x86_64-unknown-openbsd": [PARTS],
    "aarch64-unknown-linux-gnu": [PARTS],
    "x86_64-unknown-linux-musl": [PARTS],
}
# pyo3 compiles for an interpreter that is not here.
WITHOUT_PYTHON = {"PYO3_NO_PYTHON": "1", "PYO3_CROSS_PYTHON_VERSION": "3.10"}
# ring has C and assembler, which need a compiler for the target. Nothing is linked, so each object may be empty.
COMPILER = """#!/bin/sh
for word; do
  file=${word#-Fo}
  case $word in *.o) : > "${file#-o}" ;; esac
done
"""


def check(tools, targets):
    """Checks each target; returns how many have errors or warnings."""
    bad = 0
    compiler = FOLDER / "cc"
    compiler.write_text(COMPILER)
    compiler.chmod(0o755)
    for target in targets:
        begun = time.monotonic()
        tools = tools | {f"CC_{target.replace('-', '_')}": str(compiler)}
        for parts in TARGETS[target]:
            command = ["cargo", "check", "--quiet", "--locked", "-Zwarnings", "--config", "build.warnings='deny'", *BUILD_STD,
                       "--target", target, *parts]
            found = subprocess.run(command, cwd=PROJECT, env=tools | WITHOUT_PYTHON, check=False).returncode
            bad += found != 0
            said = "compiles without a warning" if found == 0 else "has errors or warnings"
            print(f"{target}: {' '.join(parts)} {said} ({time.monotonic() - begun:.0f} s)", flush=True)
    return bad


def rust_version():
    """The version in Cargo.toml is the largest that the compiled dependencies name, or larger. (What the standard library had
    then is checked by clippy: `incompatible_msrv`.)"""
    text = setup.output("cargo", "metadata", "--format-version", "1", "--locked")
    metadata = json.loads(text)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root, seen = metadata["resolve"]["root"], set()
    todo = [root]
    while todo:
        one = todo.pop()
        if one not in seen:
            seen.add(one)
            # Dependencies of tests and examples are not compiled for a user.
            todo += [edge["pkg"] for edge in nodes[one]["deps"] if any(kind["kind"] != "dev" for kind in edge["dep_kinds"])]

    def version(package):
        return tuple(map(int, (packages[package]["rust_version"] or "0").split("."))) + (0,) * 2
    ours = version(root)[:2]
    newer = [packages[one]["name"] for one in seen if version(one)[:2] > ours]
    if newer:
        raise Trouble(f"rust-version {'.'.join(map(str, ours))} is older than what {', '.join(newer)} need")
    most = max(version(one)[:2] for one in seen - {root})
    print(f"rust-version {'.'.join(map(str, ours))}; the newest that a dependency needs is {'.'.join(map(str, most))}")
    return 0
