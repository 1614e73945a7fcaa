"""What the checks of the recipes share."""

import json
import subprocess

from lib import PROJECT, Trouble, setup

from . import OUT as FLEET

OUT = FLEET / "recipes"
# The line of the start-up lines that has the port of the status page.
STATUS_SAYS = r"^ +status +http://.*:(\d+)/$"


def said(*command, **options):
    """Whether a command succeeds, and its last line of output; all of its lines if not."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=60, **options)
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    fine = done.returncode == 0
    return fine, (lines[-1] if fine else "; ".join(lines)) if lines else f"exit code {done.returncode}"


def in_venv(name, packages, program, *words):
    """What a program of this folder prints, as JSON, in a venv with these packages."""
    python = setup.venv(OUT / name, packages)
    command = [python, PROJECT / "scripts" / "fleetkit" / program, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Trouble(f"{program}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)


def local(text, changes):
    """A recipe with the paths and places of this machine; each text that is replaced has to be there once."""
    for old, new in changes.items():
        if text.count(old) != 1:
            raise Trouble(f"a recipe has {old!r} {text.count(old)} times, not once")
        text = text.replace(old, new)
    return text


def status_of(answer):
    """The status of a response; 0 of none."""
    words = answer.split(b" ", 2)
    return int(words[1]) if len(words) > 2 else 0
