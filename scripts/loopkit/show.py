"""Plays a scenario on rungs, and writes the page; and the commands for recordings that exist."""

import contextlib
import dataclasses
import json
import pathlib
import subprocess
import time

from lib import PROJECT, Trouble

from . import TARGET, broken, language, outside, player, reading, rungs, served, strace, witness

RECORDER = PROJECT / "target" / "debug" / "examples" / "recording"
# Milliseconds that the database of a web rung takes: as in the lab; beside an echo rung, which has none, on one page.
SLOW_DATABASE, DATABASE = 300, 20
# Descriptors that stheno keeps for its cache of files.
CACHE = 1000
# Clients of one group from which on the report is about the group.
SEVERAL = 5


@dataclasses.dataclass
class Run:
    """One scenario on one rung: the recording, its file, and the clients as they were at the end. A rung that was recorded from
    outside has a part for each thread that served, the first of which is the recording, and what it did with its clients."""

    rung: rungs.Rung
    scenario: language.Scenario
    file: pathlib.Path
    content: bytes
    clients: list
    parts: list = dataclasses.field(default_factory=list)
    left_out: int = 0
    served: object = None
    # Nanoseconds since 1970, when the rung was told to end. Processes that went on after it.
    ended_at: int = None
    # The times (from, to) in which a scenario had stopped it.
    frozen: list = dataclasses.field(default_factory=list)
    left_behind: int = 0

    @property
    def title(self):
        return f"{self.rung.name} · {self.scenario.name}"

    @property
    def recording(self):
        return reading.Recording(self.content, self.file)

    def pages(self):
        """The title, the content and the file of each recording."""
        for part in self.parts:
            served = {client.name for client in self.clients for address in client.addresses
                      if address in reading.Recording(part.content).peers()}
            names = f" ({', '.join(sorted(served))})" if 0 < len(served) < SEVERAL else ""
            yield f"{self.title} · {part.name}{names}" if len(self.parts) > 1 else self.title, part.content, part.file
        if not self.parts:
            yield self.title, self.content, self.file

    @property
    def recordings(self):
        """The recording, or those of all threads."""
        return [reading.Recording(part.content, part.file) for part in self.parts] or [self.recording]


def play(rung, scenario, file=None, options=(), patience=player.PATIENCE):
    """Starts a rung that is built, plays the scenario, ends the rung, and returns the `Run`."""
    if reason := scenario.misfit(rung):
        raise Trouble(f"{scenario.name} cannot be played on {rung.name}: {reason}")
    # stheno counts two for each connection, beside those of its cache of files, and closes idle ones where there are fewer.
    needed = scenario.clients * 2 + CACHE if rung.kind.name == "file" else scenario.clients
    player.allow_descriptors(needed + player.SPARE)
    base = TARGET / f"{rung.slug}-{scenario.name}"
    file = (file or base.with_suffix(".rec")).absolute()
    with contextlib.suppress(FileNotFoundError):
        file.unlink()
    log = base.with_suffix(".log")
    trace = base.with_suffix(".strace") if rung.from_outside else None
    words = () if trace else ("--record", str(file))
    with rungs.Running(rung, *words, *options, log=log, trace=trace) as running:
        with player.Play(scenario, rung.kind, running.port, running.freeze, running.thaw, patience, running.is_over,
                         may_be_busy=rung.from_outside or "one-at-a-time" in rung.traits) as play:
            clients = play.run()
            # The rung ends before the clients that stay: a recording of 10,000 idle ones would have only their closing.
            running.settle(play.connected())
            ended_at = time.time_ns()
            running.end()
    frozen = [(since, until or ended_at) for since, until in play.freezes]
    run = Run(rung, scenario, file, b"", clients, ended_at=ended_at, frozen=frozen, left_behind=running.left_behind)
    if trace:
        record_from_outside(run, trace)
        return run
    try:
        run.content = reading.named(file.read_bytes(), clients)
    except OSError as error:
        raise Trouble(f"{rung.name} has left no recording: {error.strerror} (see {log})") from error
    file.write_bytes(run.content)
    return run


def record_from_outside(run, trace):
    """Makes recordings of the system calls in the file `trace`: FILE, and FILE.2 and so on for further threads."""
    run.served = served.follow(strace.parse(trace.read_text(errors="replace")))
    connects = [pair for client in run.clients for pair in client.connects]
    run.parts, run.left_out = outside.record(run.served, run.rung.name, run.ended_at, connects, run.rung.source)
    if not run.parts:
        raise Trouble(f"{run.rung.name} has accepted nothing that its system calls show: see {trace}")
    for old in run.file.parent.glob(f"{run.file.name}.*"):
        if old.suffix[1:].isdigit():
            old.unlink()
    for number, part in enumerate(run.parts, 1):
        part.content = reading.named(part.content, run.clients)
        part.file = run.file if number == 1 else run.file.with_name(f"{run.file.name}.{number}")
        part.file.write_bytes(part.content)
    run.content = run.parts[0].content


def report(run):
    """What the clients saw, as lines: one for each client, or for each group of several."""
    recordings, number = run.recordings, run.scenario.clients
    peers = [(part, recording, recording.peers()) for part, recording in zip(run.parts or [None], recordings)]
    if run.parts:
        what = f"{counted(len(run.parts) + run.left_out, 'thread')} served" + (
            f" ({run.left_out} of them have no recording)" if run.left_out else "")
    else:
        what = f"{recordings[0].totals.get('turns', len(recordings[0].turns()))} turns of the loop"
    yield f"{run.title}: {counted(number, 'client')}, {what}"
    groups = {}
    for client in run.clients:
        name, count = client.group.name, client.group.count
        groups.setdefault(client.name if count <= SEVERAL else f"{name} ({count} clients)", []).append(client)
    for name, clients in groups.items():
        address = clients[0].addresses[-1] if len(clients) == 1 and clients[0].addresses else None
        where = f"{address}, {channel(address, peers)}: " if address else ""
        yield f"  {name:4} {where}{saw(clients, recordings[0].began)}"


def witnessed(run):
    """What is seen of the break, if this is a broken rung with its own scenario."""
    if run.rung.patch and (about := broken.read(run.rung.name)).scenario == run.scenario.name:
        yield f"  broken: {about.en}"
        for words in about.witnesses:
            yield f"  witness: {witness.found(words, run) or f'{words}: not seen this time'}"


def counted(number, what):
    plural = f"{what}es" if what.endswith("s") else f"{what}s"
    return f"{number} {what if number == 1 else plural}"


def channel(address, peers):
    """Where the recordings have this client: in the last thread that had its connection."""
    found = [f"{recording.show(known[address])}{f', {part.name}' if part else ''}"
             for part, recording, known in peers if address in known]
    # What was in the accept queue to the end has one time only.
    is_queued = any(line.split()[0] == address and len(line.split()) == 2 for line in peers[0][1].all("queued"))
    return found[-1] if found else "never accepted" if is_queued else "not in the recording"


def saw(clients, began):
    """What these clients waited for their answers, and what went wrong."""
    answers = [pair for client in clients for pair in client.answers]
    waits = sorted((answered - asked) / 1e6 for asked, answered in answers)
    failures = [client.failure for client in clients if client.failure]
    parts = []
    if len(answers) == 1:
        parts.append(f"asked at {answers[0][0] / 1e6 - began * 1e3:.1f} ms, answered {waits[0]:.1f} ms later")
    elif answers:
        parts.append(f"answered after {waits[0]:.1f} to {waits[-1]:.1f} ms")
    if failures:
        parts.append((f"{len(failures)} failed: " if len(failures) > 1 else "failed: ") + failures[0])
    return "; ".join(parts) or "done"


def recorder(command, *words):
    """Runs the program that reads recordings, which is built; returns its output."""
    done = subprocess.run([str(RECORDER), command, *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Trouble((done.stderr.strip().splitlines() or [f"recording {command} has failed"])[-1])
    return done.stdout


def findings(file):
    return json.loads(recorder("doctor", "--json", file))


def finding_lines(found):
    for one in found:
        yield f"  {one['severity']}: turn {one['turn']}: {one['text']}"
        yield f"      {one['cure']}"
    if not found:
        yield "  the doctor finds nothing wrong"


def write_page(recordings, out, found):
    """The page of several recordings; `found` has a list of findings for each of them."""
    from . import page
    out.parent.mkdir(parents=True, exist_ok=True)
    page.make(recordings, out, findings=found)
    print(f"{out}: {out.stat().st_size / 1024:.0f} KiB, opens offline")


def run(options):
    """`scripts/loop RUNG … --scenario NAME`."""
    wanted = [rungs.of(name) for name in options.rungs]
    breaks = [broken.read(rung.name) for rung in wanted if rung.patch]
    scenario = language.load(options.scenario or breaks[0].scenario, options.clients)
    # A broken rung is shown with the options that show it best.
    options.options = options.options or [word for one in breaks[:1] for word in one.options]
    for rung in wanted:
        if reason := scenario.misfit(rung):
            raise Trouble(f"{scenario.name} cannot be played on {rung.name}: {reason}")
    rungs.build(wanted, "recording")
    runs, found, kinds = [], [], {rung.kind.name for rung in wanted}
    for rung in wanted:
        database = ["--db", str(options.db or (DATABASE if len(kinds) > 1 else SLOW_DATABASE))]
        has_database = rung.kind.name == "web" and isinstance(rung, rungs.Rung) and rung.whole not in rungs.FOR_BREAKS
        has_database &= "--db" not in options.options
        runs.append(one := play(rung, scenario, options.record, [*(database if has_database else ()), *options.options]))
        print("\n".join([*report(one), *witnessed(one)]), flush=True)
        for title, _, file in one.pages():
            if len(one.parts) > 1:
                print(f"  {title.removeprefix(one.title)[3:]}:")
            if options.text:
                print(recorder("lines", file), end="", flush=True)
                continue
            found.append(findings(file))
            print("\n".join(finding_lines(found[-1])), flush=True)
    if not options.text:
        name = f"{wanted[0].slug if len(wanted) == 1 else 'compare'}-{scenario.name}.html"
        words = ["--compare"] * (len(wanted) > 1) + options.rungs + ["--scenario", scenario.name]
        command = " ".join(["scripts/loop", *words, *(["--", *options.options] if options.options else [])])
        pages = [(title, content, one.rung.source, command) for one in runs for title, content, _ in one.pages()]
        write_page(pages, options.out or TARGET / name, found)
    return 1 if any(client.failure for one in runs for client in one.clients) else 0


def scenarios():
    """`scripts/loop --list`."""
    for name in language.names():
        scenario = language.load(name)
        print(f"{name:14} {scenario.about}\n{'':14} for {', '.join(scenario.fits)}"
              + "".join(f"; not {rung}: {reason}" for rung, reason in scenario.without.items()))


def page(options):
    """`scripts/loop page FILE…`."""
    rungs.build([], "recording")
    recordings = [(file, reading.read(file)) for file in options.files]
    titles = [f"{recording.program} · {file.name}" for file, recording in recordings]
    entries = [(title, file.read_bytes(), recording.source, f"scripts/loop page {file.name}")
               for title, (file, recording) in zip(titles, recordings)]
    write_page(entries, options.out or options.files[0].with_suffix(".html"), [findings(file) for file in options.files])


def doctor(options):
    """`scripts/loop doctor FILE…`."""
    rungs.build([], "recording")
    for file in options.files:
        found = findings(file)
        print(json.dumps(found, indent=1) if options.json else "\n".join([f"{file}:", *finding_lines(found)]))


def lines(options):
    """`scripts/loop lines FILE`."""
    rungs.build([], "recording")
    print(recorder("lines", *options.files), end="")


def chrome(options):
    """`scripts/loop chrome FILE`."""
    rungs.build([], "recording")
    print(recorder("chrome", *options.files), end="")
