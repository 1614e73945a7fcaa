"""Where the servers come from: each package has a version that stays, and is installed below target/features."""

import os
import pathlib
import subprocess
import sys

from lib import PROJECT, Trouble, setup

from . import TARGET


def run(*command, **environment):
    """Runs an installer; at the lowest priority, since some build for minutes."""
    try:
        subprocess.run(["nice", "-n", "19", *map(str, command)], check=True, env=os.environ | environment, stdout=sys.stderr)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Trouble(f"{command[0]} does not install: {error}") from error


class Package:
    """A program from a registry. `version` is None where the system decides."""

    def __init__(self, name, version=None, program=None):
        self.name, self.version, self.file = name, version, program or name

    @property
    def program(self):
        return self.path()

    def is_here(self):
        return pathlib.Path(self.path()).exists()


class Cargo(Package):
    """A crate. It is built without optimisation, in half of the time: what is tried here is not speed."""

    def path(self):
        return TARGET / "cargo" / "bin" / self.file

    def install(self):
        folder = {"CARGO_TARGET_DIR": str(TARGET / "build"), "CARGO_PROFILE_DEV_DEBUG": "0", "CARGO_INCREMENTAL": "0"}
        place = ["--root", TARGET / "cargo"]
        run("cargo", "install", "--locked", "--debug", "-j1", *place, f"{self.name}@{self.version}", **folder)


class Npm(Package):
    def path(self):
        return TARGET / "npm" / "node_modules" / ".bin" / self.file

    def install(self):
        run("npm", "install", "--prefix", TARGET / "npm", "--no-audit", "--no-fund", f"{self.name}@{self.version}")


class Pip(Package):
    def path(self):
        return TARGET / "venv" / "bin" / self.file

    def install(self):
        setup.venv(TARGET / "venv", [f"{self.name}=={self.version}"])


class Apt(Package):
    """Debian's package, which root installs into the system."""

    def path(self):
        return pathlib.Path(setup.which(self.file) or f"/usr/bin/{self.file}")

    def install(self):
        setup.install({self.file: self.name})


class Python(Package):
    """The interpreter that runs this."""

    def __init__(self):
        super().__init__("python3")

    def path(self):
        return pathlib.Path(sys.executable)

    def install(self):
        """It is there."""


class Own(Package):
    """This project's debug build, which the tests make anyway."""

    def path(self):
        return PROJECT / "target" / "debug" / self.file

    def install(self):
        setup.build(self.name, profile="debug")
