"""The experiments of docs/LAB.md: each is a module with `show(options, folder)`, which draws PICTURE in the folder."""

import importlib
import re
import shutil
import subprocess
import time

from .. import PICTURES, PROJECT, TARGET, Trouble, contestants, run
from ..contestants import Child, spawn
from ..sampler import cpu_seconds


def show(options):
    """Runs one, says what it has found, and keeps the picture if that is wanted."""
    experiment = importlib.import_module(f".{options.experiment}", __name__)
    folder = options.out or TARGET / options.experiment
    folder.mkdir(parents=True, exist_ok=True)
    profile = "debug" if options.debug else "release"
    contestants.build(experiment.PROGRAMS, profile)
    run.listen_for_ctrl_c()
    try:
        print(experiment.show(profile, folder))
    except run.Interrupted:
        print("interrupted: nothing is drawn")
        return 130
    if options.docs:
        PICTURES.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / f"{options.experiment}.svg", PICTURES / f"{options.experiment}.svg")
    print(folder / f"{options.experiment}.svg")
    return 0


def examples(profile):
    """Where cargo puts them."""
    return PROJECT / "target" / profile / "examples"


def ask(profile, url, folder, *options):
    """Starts stheno_load; what it says is in load.txt."""
    command = [str(examples(profile) / "stheno_load"), "--url", f"{url}/", *map(str, options)]
    with open(folder / "load.txt", "wb") as log:
        return Child(spawn(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))


def wait_for_end(child, seconds):
    """Until it ends by itself."""
    until = time.monotonic() + seconds
    while not child.is_over():
        if time.monotonic() > until:
            raise Trouble("the load does not end")
        time.sleep(0.02)


def said(folder, pattern):
    """A number that the generator has said."""
    text = (folder / "load.txt").read_text(errors="replace")
    found = re.search(pattern, text)
    if not found:
        raise Trouble(f"the load says nothing of that: see {folder}/load.txt")
    return float(found[1])


class Cpu:
    """What a group of processes computes in a while, in cores."""

    def __init__(self, pid):
        self.pid = pid
        self.begun, self.spent = time.monotonic(), cpu_seconds(contestants.family(pid))

    def cores(self):
        return (cpu_seconds(contestants.family(self.pid)) - self.spent) / (time.monotonic() - self.begun)
