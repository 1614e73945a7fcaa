"""What the checks of the recipes share."""

import subprocess

from . import OUT as FLEET

OUT = FLEET / "recipes"


def said(*command, **options):
    """Whether a command succeeds, and its last line of output."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=60, **options)
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return done.returncode == 0, (lines[-1] if done.returncode == 0 else "; ".join(lines)) if lines else f"exit code {done.returncode}"
