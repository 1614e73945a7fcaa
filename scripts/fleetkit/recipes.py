"""The recipes of docs/fleet, tried: all but those of HAProxy and nginx, which `scripts/fleet` runs with every fleet.

    scripts/fleet recipes                   # all, within a minute
    scripts/fleet recipes --only logs       # these
    scripts/fleet recipes --program FILE    # with a server that is already built

A line for each check: `ok`, `FAILED`, or `-` with what is not here to run it. Files are below target/fleet/recipes.
"""

import argparse
import pathlib
import sys
import time

from lib import PROJECT, RELEASE, Trouble, interrupt_once, run_command, setup

from . import content, manifests, metrics, shipping, sizing, units
from .trying import OUT, said



def sizes(program, site):
    """Rows of the arithmetic of sizes, which needs no server."""
    del program, site
    yield "sizing: its cases", *said(sys.executable, PROJECT / "tests/fleet/test_sizing.py")
    page = PROJECT / "docs" / sizing.PAGE
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    fine = all(f"<!-- {mark} -->\n{part}<!-- /" in text for mark, part in sizing.parts().items())
    yield (f"sizing: the example and the table of docs/{sizing.PAGE}", fine,
           "is current" if fine else "is not what `scripts/fleet size --docs` writes")


PARTS = {"prometheus": metrics.check, "kubernetes": manifests.check, "systemd": units.check, "logs": shipping.check,
         "content": content.check, "sizing": sizes}
NEEDED = {"prometheus": "prometheus", "promtool": "prometheus", "haproxy": "haproxy", "systemd-analyze": "systemd",
          "curl": "curl", "rsync": "rsync", **shipping.NEEDED}
MARKS = {True: "ok", False: "FAILED", None: "-"}


def rows(names, program):
    """Rows of these parts, as they are found; an error ends its part and is a row."""
    setup.install(NEEDED)
    site = OUT / "site"
    site.mkdir(parents=True, exist_ok=True)
    (site / "index.html").write_text("<p>It serves.\n")
    for name in names:
        try:
            yield from PARTS[name](program, site)
        except (Trouble, OSError, LookupError, ValueError) as error:
            yield f"{name}: the check itself", False, f"{type(error).__name__}: {error}"


def main(argv=None):
    parser = argparse.ArgumentParser(prog="scripts/fleet recipes", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAMES", help="these, separated by commas: " + ", ".join(PARTS))
    parser.add_argument("--program", type=pathlib.Path, help="a server that is already built")
    options = parser.parse_args(argv)
    names = options.only.split(",") if options.only else list(PARTS)
    if unknown := [name for name in names if name not in PARTS]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if not options.program:
        setup.build("stheno")
    program = (options.program or RELEASE / "stheno").resolve()
    if not program.exists():
        raise Trouble(f"there is no program {program}")
    interrupt_once()
    begun, held = time.monotonic(), []
    try:
        for name, ok, detail in rows(names, program):
            held.append(ok)
            print(f"{MARKS[ok]:7} {name}: {detail}", flush=True)
    except KeyboardInterrupt:
        sys.exit("stopped")
    seconds = time.monotonic() - begun
    print(f"{len(held)} checks, {held.count(False)} failed, {held.count(None)} not run, in {seconds:.0f} s")
    return 1 if False in held else 0


if __name__ == "__main__":
    run_command("fleetkit.recipes", main)
