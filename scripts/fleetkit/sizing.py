"""How many hosts a load needs, out of the figures of docs/BENCHMARKS.md, step by step.

    scripts/fleet size --rps 100000 --bytes 10240 --connections 100000
    scripts/fleet size --rps 20000 --bytes 2M --connections 50000 --tls --cores 32 --nic 100 --memory 128
    scripts/fleet size --docs         writes the example and the table of the page

Figures are those of loopback, for one machine that the page names: no driver of a network card, no packets that are lost. So
half of a core is planned with (--busy 0.5). Bytes may end in K, M or G (of 1,024), other numbers in K, M or G (of 1,000).
"""

import argparse
import dataclasses
import functools
import math
import re

from lib import PROJECT, Trouble, run_command, write_part

PAGE = "FLEET.md"
KIB, MIB = 1024, 1024 * 1024
# Bytes of a response beside its body: the head, and a request has about as many.
HEAD = 300
# Of 1,514 bytes of a full frame 1,448 are TCP's; 24 more are between two frames.
FRAMING = 1538 / 1448


@dataclasses.dataclass(frozen=True)
class Load:
    """Requests a second, mean bytes of a body, connections that are open at once, TLS, and the share of requests that bring a
    new connection."""

    rps: float
    bytes: float
    connections: float
    tls: bool = False
    new: float = 0.0


@dataclasses.dataclass(frozen=True)
class Machine:
    """Cores (and workers), network card in Gbit/s, memory in GiB, descriptors of a worker; how much of each is planned with."""

    cores: float = 16
    nic: float = 25
    memory: float = 64
    # LimitNOFILE of docs/systemd/stheno.service.
    descriptors: float = 65536
    busy: float = 0.5
    full: float = 0.7
    held: float = 0.5
    shared: float = 0.8


@functools.cache
def part(mark):
    """A generated part of docs/BENCHMARKS.md."""
    page = (PROJECT / "docs" / "BENCHMARKS.md").read_text(encoding="utf-8")
    _, found, rest = page.partition(f"<!-- {mark} -->")
    if not found:
        raise Trouble(f"docs/BENCHMARKS.md has no part {mark}")
    return rest.partition(f"<!-- /{mark} -->")[0]


def figure(mark, row, column=1):
    """The first number of a cell of the first row with this name."""
    for line in part(mark).splitlines():
        cells = [cell.strip().replace("*", "") for cell in line.split("|")]
        if len(cells) > column + 1 and cells[1].partition(":")[0] == row:
            if found := re.match(r"[\d,]+(?:\.\d+)?", cells[column + 1]):
                return float(found[0].replace(",", ""))
    raise Trouble(f"docs/BENCHMARKS.md, {mark}: there is no figure in the row {row!r}")


def between(points, size):
    """Interpolates: constant below the first size, in proportion above the last."""
    points = sorted(points)
    if size <= points[0][0]:
        return points[0][1]
    for (small, low), (large, high) in zip(points, points[1:]):
        if size <= large:
            return low + (high - low) * (size - small) / (large - small)
    return points[-1][1] * size / points[-1][0]


def costs(load):
    """Microseconds of CPU for one request, by their rows: [(row, microseconds)]."""
    bench, tls = "scripts/bench", "scripts/bench tls"
    one = figure(bench, "1 KiB, 64 connections")
    if load.tls:
        rows, name = [(KIB, "1 KiB, 32 kept connections"), (100 * KIB, "100 KiB, 32 kept connections"),
                      (10 * MIB, "10 MiB, 4 kept connections")], tls
        fresh = figure(tls, "a new connection, full handshake")
    else:
        rows, name = [(KIB, "1 KiB, 64 connections"), (10 * KIB, "10 KiB, 64 connections"),
                      (100 * KIB, "100 KiB, 64 connections"), (10 * MIB, "10 MiB, 8 connections")], bench
        fresh = figure(bench, "1 KiB, a new connection each") - one
    response = between([(length, figure(name, row)) for length, row in rows], load.bytes)
    return [("the response" + (" over TLS" if load.tls else ""), response),
            ("a line of the access log", figure(bench, "1 KiB, 64 connections, a line for each in a file") - one),
            ("more workers beside it, as measured with two", figure(bench, "1 KiB, 64 connections, 2 workers") - one),
            (f"a new connection for {load.new:.0%}", load.new * fresh)]


def memory():
    """Bytes of an idle connection: of a worker, and of the kernel."""
    million = "scripts/bench million"
    return figure(million, "user memory for each, bytes"), figure(million, "together", 3)


def room(machine):
    """Connections of a host: a worker sets aside 64 descriptors and 1,000 for files, and two for each connection."""
    return machine.cores * max(1, (machine.descriptors - 1_064) / 2) * machine.shared


def hosts(load, machine, micros=None, each=None):
    """What the load needs: hosts for each resource, for all, and those that may be away. `micros` of CPU for a request and bytes
    for `each` connection are those of docs/BENCHMARKS.md unless they are given."""
    micros = sum(cost for _, cost in costs(load)) if micros is None else micros
    bits = load.rps * (load.bytes + HEAD) * FRAMING * 8
    held = load.connections * (sum(memory()) if each is None else each)
    need = {"CPU": load.rps * micros / 1e6 / (machine.cores * machine.busy),
            "network": bits / (machine.nic * 1e9 * machine.full),
            "memory": held / (machine.memory * 2**30 * machine.held),
            "descriptors": load.connections / room(machine)}
    least = max(1, math.ceil(max(need.values())))
    # One, or 2 % of a large fleet: of a thousand hosts more than one is away at any time, and a restart of one after the other
    # would take a day.
    away = max(1, math.ceil(least / 50))
    return {"micros": micros, "bits": bits, "held": held, "need": need, "least": least, "away": away, "all": least + 2 * away,
            "first": max(need, key=need.get)}


def rounded(value):
    """Whole numbers from 100 on, two digits below."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def steps(load, machine):
    """The arithmetic in lines."""
    found, (own, kernel), show = hosts(load, machine), memory(), rounded
    need = {name: f"{value:.2f} hosts" for name, value in found["need"].items()}
    cores, gbit, gib = load.rps * found["micros"] / 1e6, found["bits"] / 1e9, found["held"] / 2**30
    lines = [f"CPU          {show(load.rps)} requests/s x {found['micros']:.2f} µs = {show(cores)} cores",
             *(f"             {cost:10.2f} µs  {name}" for name, cost in costs(load) if cost),
             f"             a host has {show(machine.cores)} cores x {machine.busy:.0%}: {need['CPU']}",
             f"network      {show(load.rps)} x ({show(load.bytes)} + {HEAD}) B x {FRAMING:.2f} = {show(gbit)} Gbit/s",
             f"             a host has {show(machine.nic)} Gbit/s x {machine.full:.0%}: {need['network']}",
             f"memory       {show(load.connections)} connections x ({own:.0f} + {kernel:.0f}) B = {show(gib)} GiB",
             f"             a host has {show(machine.memory)} GiB x {machine.held:.0%}: {need['memory']}",
             f"descriptors  {show(machine.cores)} workers x ({machine.descriptors:,.0f} - 1,064) / 2 x {machine.shared:.0%}",
             f"             = {show(room(machine))} connections of a host: {need['descriptors']}",
             f"hosts        {found['least']:,} for the load ({found['first']} is the first limit)",
             f"             + {found['away']:,} that may be lost + {found['away']:,} in a rolling restart = {found['all']:,}",
             f"             {show(load.rps / found['least'])} requests/s and {show(load.connections / found['least'])} "
             "connections for each, spares aside"]
    return lines


# The rows of the page: what it is, the load.
TABLE = [("a team", Load(1_000, 10 * KIB, 1_000)),
         ("a busy site", Load(100_000, 10 * KIB, 100_000)),
         ("the same, TLS on the hosts", Load(100_000, 10 * KIB, 100_000, tls=True, new=0.05)),
         ("a large site", Load(1_000_000, 10 * KIB, 1_000_000)),
         ("downloads", Load(10_000, 10 * MIB, 100_000)),
         ("idle connections", Load(100_000, KIB, 100_000_000)),
         ("internet scale", Load(10_000_000, 10 * KIB, 10_000_000))]


def table():
    """The table of the page."""
    machine = Machine()
    lines = [f"A host has {machine.cores} cores and workers, a network card of {machine.nic} Gbit/s, {machine.memory} GiB and "
             f"{machine.descriptors:,} descriptors for each worker; {machine.busy:.0%}, {machine.full:.0%}, {machine.held:.0%} "
             f"and {machine.shared:.0%} of them are planned with. Connections are kept, except in the row with TLS (5% new).", "",
             "| load | requests/s | body | connections | cores, in all | Gbit/s, in all | GiB for connections | first limit | hosts | + lost "
             "| + restart | all |", "|---" * 12 + "|"]
    for name, load in TABLE:
        found = hosts(load, machine)
        body = f"{load.bytes / MIB:.0f} MiB" if load.bytes >= MIB else f"{load.bytes / KIB:.0f} KiB"
        figures = (load.rps * found["micros"] / 1e6, found["bits"] / 1e9, found["held"] / 2**30)
        cells = [name, f"{load.rps:,}", body, f"{load.connections:,}", *map(rounded, figures), found["first"],
                 *(f"{found[one]:,}" for one in ("least", "away", "away", "all"))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


# The example of the page, as it is typed.
EXAMPLE = "--rps 1M --bytes 10K --connections 1M --new 0.05"


def parts():
    """What the page has between its markers."""
    lines = "\n".join(steps(Load(1_000_000, 10 * KIB, 1_000_000, new=0.05), Machine()))
    return {"scripts/fleet size, an example": f"    scripts/fleet size {EXAMPLE}\n\n```text\n{lines}\n```\n",
            "scripts/fleet size": table()}


def positive(text, step=1_000):
    """A number above 0, with or without K, M or G."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMG]?)", text.strip())
    if not found or not float(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0, such as 100000, 10K or 2.5M")
    return float(found[1]) * step ** " KMG".index(found[2] or " ")


def size(text):
    """Bytes."""
    return positive(text, KIB)


def share(text):
    """A share from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share from 0 to 1")
    return value


def main(argv=None):
    machine = Machine()
    parser = argparse.ArgumentParser(prog="scripts/fleet size", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rps", type=positive, help="requests a second, all hosts together")
    parser.add_argument("--bytes", type=size, help="mean size of a body")
    parser.add_argument("--connections", type=positive, help="connections that are open at once: those of clients, or of a balancer")
    parser.add_argument("--tls", action="store_true", help="the hosts speak TLS, and not a proxy before them")
    parser.add_argument("--new", type=share, default=0.0, help="share of the requests that bring a new connection (0)")
    parser.add_argument("--cores", type=positive, default=machine.cores, help=f"of a host ({machine.cores})")
    parser.add_argument("--nic", type=positive, default=machine.nic, help=f"network card of a host, Gbit/s ({machine.nic})")
    parser.add_argument("--memory", type=positive, default=machine.memory, help=f"of a host, GiB ({machine.memory})")
    parser.add_argument("--descriptors", type=positive, default=machine.descriptors,
                        help=f"of a worker, LimitNOFILE ({machine.descriptors})")
    parser.add_argument("--busy", type=share, default=machine.busy,
                        help=f"share of a core that is planned with ({machine.busy})")
    parser.add_argument("--docs", action="store_true", help=f"write example and table into docs/{PAGE}")
    options = parser.parse_args(argv)
    if options.docs:
        for mark, text in parts().items():
            write_part(PAGE, mark, text)
        return 0
    if missing := [name for name in ("rps", "bytes", "connections") if getattr(options, name) is None]:
        parser.error(f"give --{' and --'.join(missing)} as well (an estimate will do)")
    if not options.busy:
        parser.error("--busy has to be more than 0")
    print("\n".join(steps(Load(options.rps, options.bytes, options.connections, options.tls, options.new),
                          Machine(options.cores, options.nic, options.memory, options.descriptors, options.busy))))
    return 0


if __name__ == "__main__":
    run_command("scripts/fleet size", main)
