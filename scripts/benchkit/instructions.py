"""Instructions for each request, counted by callgrind, and the gate that compares them with the recorded numbers."""

import json
import re
import shutil
import signal

from lib import PROJECT, RELEASE, Trouble, proc, request, setup
from lib.server import PortServer

from .contestants import OUT, ROOT, make_root
from .measure import drive

KEPT = PROJECT / "scripts" / "instructions.json"
# A different compiler may differ by this share.
OTHER_COMPILER = 0.15
# Request, how many are sent at once, and whether each has a connection of its own.
WORKLOADS = {
    "1 KiB": (request("/1k"), 1, False),
    "1 KiB, a browser's fields": (request(
        "/1k", "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "Accept: text/html,*/*;q=0.8",
        "Accept-Language: en-US,en;q=0.5", "Accept-Encoding: gzip, deflate, br", "Cookie: a=b; c=d"), 1, False),
    "16 pipelined": (request("/1k"), 16, False),
    "100 KiB": (request("/100k"), 1, False),
    "404": (request("/nothing"), 1, False),
    "a connection each": (request("/1k", "Connection: close"), 1, True),
}
# The twin on Tokio, so that it stays a careful program. Its connection for each request is not counted: that the client is
# there in time saves it a wake-up or a registration, so a busy machine changes the count by a third.
TWIN = ("examples/tokio_httpd", "--runtime", "prefork")
# The turns of the loop that a connection takes depend on when its packets arrive.
LOOSE = {"a connection each": 0.15}
# Where an instruction belongs: the first pattern that matches "file:function". An inlined piece belongs to its source file.
PARTS = {"the clock": r"time\.rs:|clock_gettime|/clock\.rs:",
         "memory": r"malloc|memalign|_int_free|:free|realloc|:mem(cpy|move|set)|:__mem|alloc\.rs:",
         "Tokio and mio": r"/(tokio|mio)-[\d.]+/|:<?(tokio|mio)::",
         "protocol and files": r"/(http1|chat|files)/|stheno::(http1|chat|files)|httparse|memchr|/httpdate",
         "the front": r"/(reactor|server)/|timers\.rs|slab\.rs|stheno::(reactor|server)|tokio_httpd"}


def trace(workload, requests, program=("stheno",)):
    """Runs a worker under callgrind from its start to its end; returns its instructions and the file of the trace."""
    for old in OUT.glob("callgrind.out.*"):
        old.unlink()

    def command_for(port):
        return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={OUT}/callgrind.out.%p",
                str(RELEASE / program[0]), *program[1:], "--port", str(port), "-r", str(ROOT), "--log", "warning",
                "--access-log", "off"]
    with PortServer(command_for, OUT / "callgrind.txt", seconds=60, polite=signal.SIGINT) as server:
        drive(server.port, workload, requests)
        worker = proc.family(server.pid)[-1]
        server.end(60)
    path = OUT / f"callgrind.out.{worker}"
    return int(re.search(r"^(?:summary|totals): (\d+)", path.read_text(), re.M)[1]), path


def count(workload, runs, program):
    """Instructions for each request: the difference of a short run and a long one."""
    few, many = runs
    return round((trace(workload, many, program)[0] - trace(workload, few, program)[0]) / (many - few))


def bench(options):
    """Instructions per request are the difference of two runs: so the start and the end of the server do not count."""
    setup.install({"valgrind": "valgrind"})
    if not shutil.which("valgrind"):
        print("instructions: not measured, valgrind is not here and cannot be installed")
        return
    setup.build("stheno", "tokio_httpd")
    make_root()
    few, many, got = 320, 1280, {}
    counted = [*((name, name, ("stheno",)) for name in WORKLOADS), ("twin: 1 KiB", "1 KiB", TWIN)]
    for name, kind, program in counted:
        # Other load of the machine changes the turns in which connections end: it can only add to the count.
        counts = [count(WORKLOADS[kind], (few, many), program) for _ in range(3 if name in LOOSE else 1)]
        got[name] = min(counts)
        print(f"{name:30} {got[name]:8}", flush=True)
    compiler, tolerance = setup.output("rustc", "--version"), options.tolerance
    if options.keep:
        KEPT.write_text(json.dumps({"compiler": compiler, "instructions": got}, indent=2) + "\n")
        return
    kept = json.loads(KEPT.read_text())
    if kept["compiler"] != compiler:
        tolerance = max(tolerance, OTHER_COMPILER)
        print(f"recorded with {kept['compiler']}, compiled with {compiler}: {tolerance:.0%} are allowed")
    wanted = kept["instructions"]
    wrong = [f"{name}: {got.get(name)} instructions, {wanted.get(name)} are recorded" for name in got | wanted
             if name not in got or name not in wanted
             or abs(got[name] / wanted[name] - 1) > max(tolerance, LOOSE.get(name, 0))]
    if wrong:
        raise Trouble("\n".join([*wrong, "if this is intended: scripts/bench instructions --keep, and say why in the commit"]))
    print(f"all within {tolerance:.0%} of the recorded numbers")


def by_part(workload, few, many, program):
    """Instructions of each request for each name in `PARTS`."""
    def of(requests):
        command = ["callgrind_annotate", "--threshold=100", "--auto=no", str(trace(workload, requests, program)[1])]
        parts = dict.fromkeys([*PARTS, "the rest"], 0)
        for number, where in re.findall(r"^ *([\d,]+) \([ \d.]+%\)  (\S.*:.*)$", setup.output(*command), re.M):
            part = next((part for part, pattern in PARTS.items() if re.search(pattern, where)), "the rest")
            parts[part] += int(number.replace(",", ""))
        return parts
    before, after = of(few), of(many)
    return {part: (after[part] - before[part]) / (many - few) for part in after}
